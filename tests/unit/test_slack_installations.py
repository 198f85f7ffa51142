"""Tokens: found for whom they are, renewed by one process at a time, gone when Slack says so."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.asyncio import Redis
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.web.async_client import AsyncWebClient

from bots.slack.installations import Installations, SingleWorkspace
from bots.slack.settings import SCOPES
from bots.slack.tokens import Installed
from bots.slack.troubles import Denied, Revoked
from core.errors import AuthFailed, Transient
from core.ledger import Ledger
from core.store import RedisStore
from core.testing import MemoryStore
from core.vault import Vault
from tests.quick_store import quick_store
from tests.vendors import slack
from tests.vendors.faults import HTML, Fault
from tests.vendors.slack import SlackServer, rate_limited, refusal
from tests.vendors.slack_model import Installation as Live
from tests.vendors.slack_model import Workspace

# slack_sdk 3.47.0 signs in to oauth.v2.access with what aiohttp 3.14 calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")

SOON, EXPIRED, LATER = 1800.0, -60.0, 40_000.0


@pytest.fixture
async def server() -> AsyncIterator[SlackServer]:
    async with slack.serving() as running:
        yield running


@dataclass
class Removals:
    """Remembers what was said to be removed; fails the next `failures` times."""

    places: list[tuple[str | None, str | None]] = field(default_factory=list)
    failures: int = 0

    async def __call__(self, team: str | None, enterprise: str | None) -> None:
        if self.failures:
            self.failures -= 1
            raise Transient("The store can't be reached.")
        self.places.append((team, enterprise))


def installations(
    server: SlackServer, store: MemoryStore, removals: Removals | None = None, secret: str | None = None
) -> Installations:
    return Installations(
        store,
        AsyncWebClient(base_url=server.api_url, retry_handlers=[]),
        client_id=server.app.client_id,
        client_secret=secret or server.app.client_secret,
        removed=removals or Removals(),
    )


def installation(live: Live, *, lasts: float | None = None, **others: Any) -> Installation:
    """As bolt's OAuth flow makes it."""
    facts = {
        "app_id": "A0000000001",
        "team_id": live.team,
        "enterprise_id": live.enterprise_id,
        "bot_token": live.token,
        "bot_id": live.bot_id,
        "bot_user_id": live.bot_user_id,
        "bot_scopes": ",".join(sorted(live.scopes)),
        "bot_refresh_token": live.refresh_token,
        "bot_token_expires_at": None if lasts is None else int(time.time() + lasts),
        "is_enterprise_install": live.is_enterprise_install,
        "user_id": live.installer,
        "token_type": "bot",
    }
    return Installation(**(facts | others))


async def rotating(server: SlackServer, store: MemoryStore, lasts: float) -> tuple[Workspace, Live]:
    """A workspace whose token, which lasts so many seconds, is in the store."""
    server.api.rotates_tokens = True
    workspace = server.add_workspace()
    live = server.installation(workspace)
    await installations(server, store).async_save(installation(live, lasts=lasts))
    return workspace, live


# --- finding ---


async def test_what_was_saved_is_found(server: SlackServer) -> None:
    workspace = server.add_workspace(enterprise_id="E1")
    live = server.installation(workspace)
    live.enterprise_id = "E1"
    source = installations(server, MemoryStore())
    assert await source.async_find_bot(enterprise_id="E1", team_id=workspace.id) is None
    await source.async_save(installation(live))

    bot = await source.async_find_bot(enterprise_id="E1", team_id=workspace.id, is_enterprise_install=None)
    assert bot is not None
    assert (bot.bot_token, bot.bot_id, bot.bot_user_id) == (live.token, live.bot_id, live.bot_user_id)
    assert tuple(bot.bot_scopes) == SCOPES
    assert (bot.team_id, bot.enterprise_id, bot.is_enterprise_install) == (workspace.id, "E1", False)
    found = await source.async_find_installation(enterprise_id="E1", team_id=workspace.id)
    assert found is not None
    assert found.user_id == live.installer
    by_installer = await source.async_find_installation(
        enterprise_id=None, team_id=workspace.id, user_id=live.installer
    )
    assert by_installer is not None
    assert (
        await source.async_find_installation(enterprise_id=None, team_id=workspace.id, user_id="U9") is None
    )
    assert await source.token(workspace.id) == live.token
    for team, enterprise in (("T9", None), ("T9", "E1"), (None, "E1")):
        assert await source.async_find_bot(enterprise_id=enterprise, team_id=team) is None
        with pytest.raises(Revoked, match="not installed"):
            await source.token(team, enterprise)


async def test_an_organisations_installation_serves_all_its_workspaces(server: SlackServer) -> None:
    one, other = (server.add_workspace(name, enterprise_id="E1", install=False) for name in ("One", "Other"))
    live = server.install(None, "U1", enterprise_id="E1")
    source = installations(server, MemoryStore())
    await source.async_save(installation(live))
    for team in (one.id, other.id, None):
        assert await source.token(team, "E1") == live.token
        bot = await source.async_find_bot(enterprise_id="E1", team_id=team, is_enterprise_install=True)
        assert bot is not None
        assert (bot.is_enterprise_install, bot.team_id) == (True, None)
    with pytest.raises(AuthFailed):
        await source.token(one.id, "E2")
    with pytest.raises(AuthFailed):
        await source.token(one.id)


async def test_a_workspaces_own_installation_comes_first_unless_the_event_is_the_organisations(
    server: SlackServer,
) -> None:
    workspace = server.add_workspace(enterprise_id="E1", install=False)
    wide = server.install(None, "U1", enterprise_id="E1")
    own = server.install(workspace, "U1")
    own.enterprise_id = "E1"
    source = installations(server, MemoryStore())
    for live in (wide, own):
        await source.async_save(installation(live))
    assert await source.token(workspace.id, "E1") == own.token
    found = await source.find(workspace.id, "E1", wide=True)
    assert found is not None
    assert found.token == wide.token


async def test_an_installation_without_a_bot_or_a_place_is_refused(server: SlackServer) -> None:
    server.add_workspace()
    live = server.slack.installations[0]
    store = MemoryStore()
    source = installations(server, store)
    for facts in ({"bot_token": None}, {"team_id": None}, {"is_enterprise_install": True}):
        with pytest.raises(ValueError, match="needs a bot token and a workspace"):
            await source.async_save(installation(live, **facts))
    assert await source.installed() == []


async def test_an_app_does_not_see_another_apps_installations(server: SlackServer) -> None:
    workspace = server.add_workspace()
    store = MemoryStore()
    await installations(server, store).async_save(installation(server.installation(workspace)))
    client = AsyncWebClient(base_url=server.api_url)
    another = Installations(store, client, client_id="1.2", client_secret="hush")
    with pytest.raises(AuthFailed):
        await another.token(workspace.id)


async def test_tokens_are_encrypted_in_the_store_and_not_shown(server: SlackServer) -> None:
    workspace = server.add_workspace()
    live = server.installation(workspace)
    with quick_store() as url:
        async with Redis.from_url(url) as redis:
            store = RedisStore(redis, Vault(Vault.new_key()), Ledger(redis, Vault()))
            source = Installations(
                store, AsyncWebClient(base_url=server.api_url), client_id="1.2", client_secret="hush"
            )
            await source.async_save(installation(live, bot_refresh_token="xoxe-1-refresh"))
            assert await source.token(workspace.id) == live.token
            for key in [key async for key in redis.scan_iter("*")]:
                kept = await redis.dump(key)
                assert kept is not None
                assert b"xox" not in kept
    found = Installed(team="T1", enterprise=None, wide=False, token="xoxb-hush", bot="B1", bot_user="U1")
    assert "hush" not in repr(found)


async def test_installing_is_audited_by_ids(server: SlackServer) -> None:
    workspace = server.add_workspace()
    live = server.installation(workspace)
    store = MemoryStore()
    source = installations(server, store)
    await source.async_save(installation(live))
    await source.async_delete_all(enterprise_id=None, team_id=workspace.id)
    assert store.audited == [
        ("slack-installed", {"workspace": workspace.id, "by": live.installer}),
        ("slack-removed", {"workspace": workspace.id}),
    ]


# --- renewing ---


async def test_a_token_that_lasts_is_not_renewed(server: SlackServer) -> None:
    store = MemoryStore()
    workspace, live = await rotating(server, store, LATER)
    assert await installations(server, store).token(workspace.id) == live.token
    assert not server.called("oauth.v2.access")


@pytest.mark.parametrize("lasts", [SOON, EXPIRED])
async def test_a_token_that_ends_is_renewed_and_kept(server: SlackServer, lasts: float) -> None:
    store = MemoryStore()
    workspace, live = await rotating(server, store, lasts)
    source = installations(server, store)
    token = await source.token(workspace.id)
    new = server.slack.installations[-1]
    assert token == new.token != live.token
    kept = await source.find(workspace.id, None)
    assert kept is not None
    assert (kept.token, kept.refresh_token) == (new.token, new.refresh_token)
    assert kept.expires_at == pytest.approx(time.time() + 43_200, abs=60)
    assert (kept.installer, kept.bot_user) == (live.installer, live.bot_user_id)
    assert await source.token(workspace.id) == token
    assert len(server.called("oauth.v2.access")) == 1


async def test_an_expired_token_is_renewed_once_for_all_processes(
    server: SlackServer, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    workspace, _ = await rotating(server, store, EXPIRED)
    asked = server.hold("oauth.v2.access")
    processes = [installations(server, store) for _ in range(3)]
    waiting = [asyncio.create_task(each.token(workspace.id)) for each in processes for _ in range(5)]
    await asked.arrived.wait()
    assert not any(task.done() for task in waiting)
    asked.release()
    assert set(await asyncio.gather(*waiting)) == {server.slack.installations[-1].token}
    assert len(server.called("oauth.v2.access")) == 1
    assert not caplog.records


async def test_nobody_waits_for_a_renewal_while_the_old_token_is_good(server: SlackServer) -> None:
    store = MemoryStore()
    workspace, live = await rotating(server, store, SOON)
    asked = server.hold("oauth.v2.access")
    first = asyncio.create_task(installations(server, store).token(workspace.id))
    await asked.arrived.wait()
    assert await installations(server, store).token(workspace.id) == live.token
    asked.release()
    assert await first == server.slack.installations[-1].token


async def test_a_renewal_that_is_cancelled_is_still_kept(server: SlackServer) -> None:
    store = MemoryStore()
    workspace, _ = await rotating(server, store, EXPIRED)
    source = installations(server, store)
    asked = server.hold("oauth.v2.access")
    task = asyncio.create_task(source.token(workspace.id))
    await asked.arrived.wait()
    task.cancel()
    asked.release()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await source.token(workspace.id) == server.slack.installations[-1].token
    assert len(server.called("oauth.v2.access")) == 1


async def test_a_renewal_can_be_cancelled_for_good(server: SlackServer) -> None:
    store = MemoryStore()
    workspace, _ = await rotating(server, store, EXPIRED)
    asked = server.hold("oauth.v2.access")
    task = asyncio.create_task(installations(server, store).token(workspace.id))
    await asked.arrived.wait()
    async with asyncio.timeout(10):
        while not task.done():
            task.cancel()
            await asyncio.sleep(0.01)
    assert task.cancelled()
    assert not [each for each in asyncio.all_tasks() if each.get_name().startswith("slack rotation")]
    asked.release()


async def test_a_token_that_cannot_be_renewed_is_used_while_it_lasts(server: SlackServer) -> None:
    store = MemoryStore()
    workspace, live = await rotating(server, store, SOON)
    source = installations(server, store)
    server.fail("oauth.v2.access", Fault(status=503))
    for _ in range(20):  # one try, then Slack is left alone for a while
        assert await source.token(workspace.id) == live.token
    assert server.faults.calls["POST /api/oauth.v2.access"] == 1
    # The other way round, a renewal that worked holds nothing up.
    again, _ = await rotating(server, store, EXPIRED)
    await source.token(again.id)
    assert await store.acquire(f"slack:rotation:{server.app.client_id}", again.id, 1.0) is not None


@pytest.mark.parametrize(
    ("trouble", "kind", "says"),
    [
        (Fault(status=503), Transient, "503"),
        (HTML, Transient, "not with Slack's JSON"),
        (Fault(status=200, body="[]"), Transient, "oauth.v2.access"),
        (Fault(status=200, body="{", content_type="application/json"), Transient, "oauth.v2.access"),
        (Fault(status=200, body='{"ok": true}'), Transient, "something else"),
        (Fault(status=200, body='{"ok": true, "token_type": "bot"}'), Transient, "something else"),
        (Fault(status=200, body="ok", content_type="text/plain"), Transient, "something else"),
        (rate_limited(7), Transient, "too often"),
        ("cut", Transient, "oauth.v2.access"),
        (refusal("internal_error"), Transient, "internal_error"),
        (refusal("invalid_refresh_token"), Revoked, "can't be renewed"),
        (refusal("bad_client_secret"), Denied, "SLACK_CLIENT_SECRET"),
    ],
)
async def test_a_failed_renewal_says_why(
    server: SlackServer, trouble: slack.Trouble, kind: type[Exception], says: str
) -> None:
    store = MemoryStore()
    workspace, _ = await rotating(server, store, EXPIRED)
    before = dict(store.spaces)
    server.fail("oauth.v2.access", trouble)
    source = installations(server, store)
    with pytest.raises(kind, match=says) as caught:
        await source.token(workspace.id)
    assert "xox" not in str(caught.value)
    assert store.spaces == before
    if isinstance(caught.value, Transient) and trouble == rate_limited(7):
        assert caught.value.retry_after == 7.0
    assert await source.token(workspace.id) == server.slack.installations[-1].token  # the next try works


async def test_installing_again_during_a_renewal_wins(server: SlackServer) -> None:
    store = MemoryStore()
    workspace, live = await rotating(server, store, EXPIRED)
    source = installations(server, store)
    asked = server.hold("oauth.v2.access")
    task = asyncio.create_task(source.token(workspace.id))
    await asked.arrived.wait()
    again = server.install(workspace, live.installer)
    await source.async_save(installation(again, lasts=LATER))
    asked.release()
    assert await task == again.token
    assert await source.token(workspace.id) == again.token


async def test_a_renewal_that_lost_a_race_takes_the_winners_token(server: SlackServer) -> None:
    store = MemoryStore()
    workspace, _ = await rotating(server, store, EXPIRED)
    source = installations(server, store)
    asked = server.hold("oauth.v2.access")
    task = asyncio.create_task(source.token(workspace.id))
    await asked.arrived.wait()
    # A process that was frozen for longer than its lease: another one has used the refresh token meanwhile.
    winner = await source._rotated(workspace.id)
    asked.release()
    assert await task == winner.token
    assert server.called("oauth.v2.access")[-1].error == "invalid_refresh_token"


async def test_removing_during_a_renewal_is_final(server: SlackServer) -> None:
    store = MemoryStore()
    workspace, _ = await rotating(server, store, EXPIRED)
    source = installations(server, store)
    asked = server.hold("oauth.v2.access")
    task = asyncio.create_task(source.token(workspace.id))
    await asked.arrived.wait()
    await source.async_delete_bot(enterprise_id=None, team_id=workspace.id)
    asked.release()
    with pytest.raises(Revoked):
        await task
    assert await source.installed() == []


async def test_two_workspaces_are_renewed_at_the_same_time(server: SlackServer) -> None:
    store = MemoryStore()
    one, _ = await rotating(server, store, EXPIRED)
    other, _ = await rotating(server, store, EXPIRED)
    source = installations(server, store)
    asked = server.hold("oauth.v2.access")
    task = asyncio.create_task(source.token(one.id))
    await asked.arrived.wait()
    assert await source.token(other.id) == server.slack.installations[-1].token
    asked.release()
    await task


# --- removal ---


async def test_a_workspace_that_removed_the_app_is_forgotten(server: SlackServer) -> None:
    workspace = server.add_workspace()
    store, removals = MemoryStore(), Removals()
    source = installations(server, store, removals)
    await source.async_save(installation(server.installation(workspace)))
    await server.uninstall(workspace)
    assert await source.revoked(workspace.id, None)
    assert removals.places == [(workspace.id, None)]
    assert await source.installed() == []
    with pytest.raises(Revoked):
        await source.token(workspace.id)


async def test_removal_is_said_again_where_it_failed(server: SlackServer) -> None:
    workspace = server.add_workspace()
    removals = Removals(failures=1)
    source = installations(server, MemoryStore(), removals)
    await source.async_save(installation(server.installation(workspace)))
    await server.uninstall(workspace)
    with pytest.raises(Transient):
        await source.revoked(workspace.id, None)
    with pytest.raises(Revoked):
        await source.token(workspace.id)
    assert await source.revoked(workspace.id, None)  # Slack sends the event again
    assert removals.places == [(workspace.id, None)]


async def test_an_event_about_an_older_installation_changes_nothing(server: SlackServer) -> None:
    workspace = server.add_workspace()
    removals = Removals()
    source = installations(server, MemoryStore(), removals)
    await server.uninstall(workspace)
    again = server.install(workspace, "U1")
    await source.async_save(installation(again))
    assert not await source.revoked(workspace.id, None)
    assert removals.places == []
    assert await source.token(workspace.id) == again.token


@pytest.mark.parametrize("trouble", [Fault(status=500), HTML, rate_limited(), "cut", refusal("fatal_error")])
async def test_nothing_is_removed_while_slack_cannot_be_asked(
    server: SlackServer, trouble: slack.Trouble
) -> None:
    workspace = server.add_workspace()
    removals = Removals()
    source = installations(server, MemoryStore(), removals)
    await source.async_save(installation(server.installation(workspace)))
    server.fail("auth.test", trouble)
    with pytest.raises(Transient):
        await source.revoked(workspace.id, None)
    assert removals.places == []
    assert len(await source.installed()) == 1


async def test_a_wrong_client_secret_removes_nobody(server: SlackServer) -> None:
    store, removals = MemoryStore(), Removals()
    workspace, _ = await rotating(server, store, EXPIRED)
    source = installations(server, store, removals, secret="wrong")
    with pytest.raises(Denied, match="SLACK_CLIENT_SECRET"):
        await source.revoked(workspace.id, None)
    assert removals.places == []
    assert len(await source.installed()) == 1


async def test_a_token_that_can_be_renewed_is_alive(server: SlackServer) -> None:
    store, removals = MemoryStore(), Removals()
    workspace, _ = await rotating(server, store, EXPIRED)
    assert not await installations(server, store, removals).revoked(workspace.id, None)
    assert removals.places == []


async def test_a_token_that_cannot_be_renewed_any_more_is_dead(server: SlackServer) -> None:
    store, removals = MemoryStore(), Removals()
    workspace, _ = await rotating(server, store, EXPIRED)
    await server.uninstall(workspace)
    assert await installations(server, store, removals).revoked(workspace.id, None)
    assert removals.places == [(workspace.id, None)]


@pytest.mark.parametrize("team", [None, "any"])
async def test_an_organisation_that_removed_the_app_is_forgotten(
    server: SlackServer, team: str | None
) -> None:
    workspace = server.add_workspace(enterprise_id="E1", install=False)
    live = server.install(None, "U1", enterprise_id="E1")
    removals = Removals()
    source = installations(server, MemoryStore(), removals)
    await source.async_save(installation(live))
    assert not await source.revoked(team and workspace.id, "E1")
    await server.uninstall(workspace)
    assert await source.revoked(team and workspace.id, "E1")
    assert removals.places == [(None, "E1")]
    assert await source.installed() == []


async def test_a_workspace_whose_organisation_took_over_keeps_its_data(server: SlackServer) -> None:
    workspace = server.add_workspace(enterprise_id="E1", install=False)
    own = server.install(workspace, "U1")
    own.enterprise_id = "E1"
    removals = Removals()
    source = installations(server, MemoryStore(), removals)
    await source.async_save(installation(own))
    own.state = "revoked"
    wide = server.install(None, "U1", enterprise_id="E1")
    await source.async_save(installation(wide))
    assert not await source.revoked(workspace.id, "E1")
    assert removals.places == []
    assert await source.token(workspace.id, "E1") == wide.token


async def test_a_persons_token_is_none_of_ours(server: SlackServer) -> None:
    workspace = server.add_workspace()
    removals = Removals()
    source = installations(server, MemoryStore(), removals)
    await source.async_save(installation(server.installation(workspace)))
    await source.async_delete_installation(enterprise_id=None, team_id=workspace.id, user_id="U9")
    assert len(await source.installed()) == 1
    await source.async_delete_installation(enterprise_id=None, team_id=workspace.id)
    assert await source.installed() == []
    assert removals.places == [(workspace.id, None)]


async def test_a_bot_that_was_saved_keeps_its_installer(server: SlackServer) -> None:
    workspace = server.add_workspace()
    live = server.installation(workspace)
    source = installations(server, MemoryStore())
    saved = installation(live)
    await source.async_save(saved)
    bot = saved.to_bot()
    bot.bot_token = "xoxb-other"
    await source.async_save_bot(bot)
    found = await source.find(workspace.id, None)
    assert found is not None
    assert (found.token, found.installer) == ("xoxb-other", live.installer)


# --- one workspace ---


def single(server: SlackServer, token: str, removals: Removals | None = None) -> SingleWorkspace:
    return SingleWorkspace(
        token, AsyncWebClient(base_url=server.api_url, retry_handlers=[]), removals or Removals()
    )


async def test_a_token_from_the_settings_is_asked_once_what_it_is_for(server: SlackServer) -> None:
    workspace = server.add_workspace()
    live = server.installation(workspace)
    source = single(server, live.token)
    tokens = await asyncio.gather(*(source.token(workspace.id) for _ in range(10)))
    assert set(tokens) == {live.token}
    bot = await source.async_find_bot(enterprise_id=None, team_id=workspace.id)
    assert bot is not None
    assert (bot.bot_id, bot.bot_user_id, tuple(bot.bot_scopes)) == (live.bot_id, live.bot_user_id, SCOPES)
    assert await source.async_find_installation(enterprise_id=None, team_id=workspace.id) is not None
    assert len(server.called("auth.test")) == 1


async def test_it_serves_no_other_workspace(server: SlackServer) -> None:
    workspace, other = server.add_workspace(), server.add_workspace("Other")
    source = single(server, server.installation(workspace).token)
    assert await source.async_find_bot(enterprise_id=None, team_id=other.id) is None
    with pytest.raises(Revoked, match="belongs to another one"):
        await source.token(other.id)


async def test_it_may_serve_an_organisation(server: SlackServer) -> None:
    workspace = server.add_workspace(enterprise_id="E1", install=False)
    live = server.install(None, "U1", enterprise_id="E1")
    source = single(server, live.token)
    assert await source.token(workspace.id, "E1") == live.token
    assert (await source.identity()).key == "E1"
    with pytest.raises(AuthFailed):
        await source.token(workspace.id, "E2")


@pytest.mark.parametrize(
    ("trouble", "kind", "says"),
    [
        (refusal("invalid_auth"), Denied, "SLACK_BOT_TOKEN"),
        (refusal("account_inactive"), Revoked, "Install the app again"),
        (Fault(status=500), Transient, "500"),
        (Fault(status=200, body='{"ok": true, "team_id": "T1"}'), Transient, "something else"),
        (Fault(status=200, body='{"ok": true, "is_enterprise_install": true}'), Transient, "something else"),
        ("cut", Transient, "auth.test"),
    ],
)
async def test_what_is_wrong_with_it_is_said(
    server: SlackServer, trouble: slack.Trouble, kind: type[Exception], says: str
) -> None:
    workspace = server.add_workspace()
    live = server.installation(workspace)
    source = single(server, live.token)
    server.fail("auth.test", trouble)
    with pytest.raises(kind, match=says) as caught:
        await source.token(workspace.id)
    assert live.token not in str(caught.value)
    assert await source.token(workspace.id) == live.token  # asked again after a failure


async def test_when_it_is_revoked_its_workspaces_data_goes(server: SlackServer) -> None:
    workspace = server.add_workspace()
    removals = Removals()
    source = single(server, server.installation(workspace).token, removals)
    assert not await source.revoked(workspace.id, None)
    await server.uninstall(workspace)
    assert await source.revoked(workspace.id, None)
    assert removals.places == [(workspace.id, None)]
    with pytest.raises(Revoked):
        await source.token(workspace.id)


async def test_it_is_not_revoked_because_slack_is_down(server: SlackServer) -> None:
    workspace = server.add_workspace()
    removals = Removals()
    source = single(server, server.installation(workspace).token, removals)
    server.fail("auth.test", Fault(status=500), refusal("not_allowed_token_type"))
    with pytest.raises(Transient):
        await source.revoked(workspace.id, None)
    with pytest.raises(Denied):
        await source.revoked(workspace.id, None)
    assert removals.places == []


async def test_it_is_deleted_on_demand(server: SlackServer) -> None:
    workspace = server.add_workspace()
    removals = Removals()
    source = single(server, server.installation(workspace).token, removals)
    await source.async_delete_all(enterprise_id=None, team_id=workspace.id)
    assert removals.places == [(workspace.id, None)]


def test_what_is_kept_has_no_names(server: SlackServer) -> None:
    saved = installation(
        Live(
            token="xoxb-1",
            team="T1",
            enterprise_id=None,
            bot_user_id="U1",
            bot_id="B1",
            scopes=frozenset(),
            installer="U2",
        ),
        team_name="Secret Project",
        user_token="xoxp-1",
    )
    store = MemoryStore()
    asyncio.run(Installations(store, AsyncWebClient(), client_id="1.2", client_secret="h").async_save(saved))
    kept = json.dumps(store.spaces)
    assert "Secret Project" not in kept
    assert "xoxp" not in kept
