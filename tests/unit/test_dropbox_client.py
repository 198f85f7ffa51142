"""One Dropbox account through the official library: few retries, errors of ours, roots of teams, threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from dropbox.exceptions import ApiError

from connectors.dropbox import client
from connectors.dropbox.client import TRIES, Access, Account, Pools
from connectors.dropbox.settings import API_BASE_URL
from connectors.dropbox.threads import Threads
from connectors.dropbox.transport import Rerouted, open_session
from connectors.dropbox.troubles import BadRequest, tags
from core.errors import AuthFailed, Transient
from core.tasks import end
from tests.vendors import dropbox_server as vendor
from tests.vendors import faults
from tests.vendors.dropbox_server import SCOPES, App, DropboxServer, Person, rate_limited, refusal
from tests.vendors.faults import HTML, Fault

TALK = b"talk" * 100
METADATA = "POST /2/files/get_metadata"
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


@dataclass(kw_only=True)
class Place:
    server: DropboxServer
    ann: Person
    account: Account

    async def look(self, path: str = "/talk.mp3") -> Any:
        return await self.account.ask("files_get_metadata", path)

    @property
    def looks(self) -> int:
        """How often that was asked."""
        return self.server.faults.calls[METADATA]


@pytest.fixture(autouse=True)
def swift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.001)


@pytest.fixture
async def server() -> AsyncIterator[DropboxServer]:
    async with vendor.serving() as server:
        yield server


@pytest.fixture
def place(server: DropboxServer) -> Iterator[Place]:
    ann = server.add_person("Ann Lee")
    ann.upload("/talk.mp3", TALK)
    account = account_of(server, server.connect(ann, pkce=True))
    yield Place(server=server, ann=ann, account=account)
    account.close()


def account_of(server: DropboxServer, grant: vendor.Grant, **fields: Any) -> Account:
    given = {"app_key": server.app.key, "refresh_token": grant.refresh_token} | fields
    return Account(Access(**given), Pools(), base_url=server.origin)


# What is asked again, and how often


@pytest.mark.parametrize(
    "trouble",
    [
        rate_limited(0),
        rate_limited(0, as_text=True),
        rate_limited(0, "too_many_write_operations"),
        Fault(status=429, body="slow down", content_type="text/plain", headers={"Retry-After": "0"}),
        Fault(status=503, body="upstream", content_type="text/plain"),
        Fault(status=500, body="{}"),
        HTML,
        Fault(status=403, body="<html>Forbidden</html>", content_type="text/html"),
        Fault(status=404, body="<html>Not found</html>", content_type="text/html"),
        Fault(status=409, body="[]"),
        Fault(status=409, body='{"error": 7}'),
        Fault(status=200, body="[1, 2"),
        Fault(status=200, body='{"name": 7}'),
        Fault(status=200, body="[" * 100_000),
        Fault(status=401, body="<html>Sign in</html>", content_type="text/html"),
        Fault(status=429, body='{"error": "no"}'),
        Fault(status=418, body="teapot", content_type="text/plain"),
        refusal("other"),
        "cut",
        "lost",
    ],
    ids=lambda trouble: str(trouble)[:40],
)
async def test_what_may_pass_is_asked_again(place: Place, trouble: Any) -> None:
    place.server.fail("files/get_metadata", trouble)
    assert (await place.look()).name == "talk.mp3"
    assert place.looks == 2


@pytest.mark.parametrize(
    "trouble", [rate_limited(0), Fault(status=500), HTML, "cut"], ids=lambda trouble: str(trouble)[:20]
)
async def test_but_not_for_ever(place: Place, trouble: Any) -> None:
    place.server.fail_always("files/get_metadata", trouble)
    with pytest.raises(Transient):
        await place.look()
    assert place.looks == TRIES
    place.server.forgive()
    assert (await place.look()).name == "talk.mp3"


@pytest.mark.parametrize("as_text", [False, True])
async def test_a_long_wait_is_left_to_others(place: Place, as_text: bool) -> None:
    place.server.fail_always("files/get_metadata", rate_limited(60, as_text=as_text))
    with pytest.raises(Transient) as caught:
        await place.look()
    assert caught.value.retry_after == 60
    assert place.looks == 1


async def test_a_wait_without_end_has_one(place: Place) -> None:
    place.server.fail("files/get_metadata", rate_limited(10**9))
    with pytest.raises(Transient) as caught:
        await place.look()
    assert caught.value.retry_after == 3600


async def test_what_may_have_been_done_is_asked_once(place: Place) -> None:
    place.server.fail("files/get_metadata", "lost")
    with pytest.raises(Transient):
        await place.account.ask_once("files_get_metadata", "/talk.mp3")
    assert place.looks == 1


async def test_a_request_that_makes_no_sense_is_not_repeated(place: Place) -> None:
    with pytest.raises(BadRequest):
        await place.account.ask("files_list_folder_continue", "nonsense")
    assert len(place.server.called("files/list_folder/continue")) == 1


async def test_a_busy_folder_is_a_trouble_that_passes(place: Place) -> None:
    busy = refusal("path/too_many_write_operations")
    place.server.fail("files/create_folder_v2", busy, busy)
    place.server.fail("files/delete_v2", refusal("too_many_write_operations"))
    account = place.account
    made = await account.ask("files_create_folder_v2", "/Transcripts")
    await account.ask("files_delete_v2", made.metadata.id)
    assert place.ann.names() == ["talk.mp3"]


async def test_errors_of_a_route_are_for_the_caller(place: Place) -> None:
    with pytest.raises(ApiError) as caught:
        await place.look("/nowhere")
    assert tags(caught.value.error) == ("path", "not_found")
    with pytest.raises(ApiError) as caught:
        await place.account.ask("files_upload", b"x", "/talk.mp3", strict_conflict=True)
    assert tags(caught.value.error) == ("path", "conflict", "file")


# Whom Dropbox lets in


async def test_a_token_is_refreshed_when_its_time_is_over(place: Place) -> None:
    await place.look()
    place.server.expire_tokens()
    await place.look()
    assert place.server.faults.calls["POST /oauth2/token"] == 2


async def test_a_revoked_account_is_for_the_operator(place: Place) -> None:
    await place.look()
    place.server.revoke(place.ann)
    with pytest.raises(AuthFailed, match="erni-audio connect dropbox"):
        await place.look()
    assert place.looks == 2


async def test_a_refresh_token_that_is_not_good(server: DropboxServer) -> None:
    ann = server.add_person("Ann Lee")
    grant = server.connect(ann, pkce=True)
    server.revoke(grant)
    account = account_of(server, grant)
    with pytest.raises(AuthFailed, match="does not accept the credentials"):
        await account.profile()
    account.close()


@pytest.mark.parametrize("fields", [{"app_secret": "wrong"}, {"app_key": "anotherappkey"}])
async def test_a_wrong_key_or_secret_is_named(server: DropboxServer, fields: dict[str, str]) -> None:
    account = account_of(server, server.connect(server.add_person("Ann Lee")), **fields)
    with pytest.raises(AuthFailed, match="DROPBOX_APP_SECRET"):
        await account.profile()
    account.close()


async def test_a_missing_permission_is_named(server: DropboxServer) -> None:
    ann = server.add_person("Ann Lee")
    ann.upload("/talk.mp3", TALK)
    account = account_of(server, server.connect(ann, pkce=True, scopes=SCOPES - {"files.content.write"}))
    await account.ask("files_get_metadata", "/talk.mp3")
    with pytest.raises(AuthFailed, match=r"files\.content\.write"):
        await account.ask("files_upload", b"x", "/x.txt")
    account.close()


async def test_a_suspended_account(place: Place) -> None:
    place.ann.account.suspended = True
    with pytest.raises(AuthFailed, match="suspended"):
        await place.look()


async def test_nothing_that_dropbox_says_is_in_a_message(place: Place) -> None:
    evil = (
        '{"error_summary": "x", "error": {".tag": "missing_scope", "required_scope": "https://evil.example"}}'
    )
    place.server.fail("files/get_metadata", Fault(status=401, body=evil))
    with pytest.raises(AuthFailed) as caught:
        await place.look()
    assert "evil" not in str(caught.value)
    place.server.fail_always(
        "files/get_metadata", Fault(status=400, body="secret talk", content_type="text/plain")
    )
    with pytest.raises(BadRequest) as refused:
        await place.look()
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_secrets_are_not_shown() -> None:
    access = Access(app_key="erniaudioappkey", refresh_token="r3fr3sh", app_secret="s3cr3t")
    assert "r3fr3sh" not in repr(access)
    assert "s3cr3t" not in repr(access)
    assert "s3cr3t" not in access.to_json()
    assert Access.from_json(access.to_json()) == Access(app_key="erniaudioappkey", refresh_token="r3fr3sh")
    for senseless in ("", "7", "[]", '{"app_key": "x"}'):
        with pytest.raises(AuthFailed):
            Access.from_json(senseless)


# Where paths begin


async def test_a_member_of_a_team_sees_the_team_s_folders(server: DropboxServer) -> None:
    team = server.add_team("Acme")
    ann = server.add_person("Ann Lee", team=team)
    server.add_team_folder(team, "Meetings", {ann: "editor"})
    ann.upload("/Meetings/talk.mp3", TALK)
    account = account_of(server, server.connect(ann, pkce=True))
    assert (await account.ask("files_get_metadata", "/meetings/talk.mp3")).name == "talk.mp3"
    profile = await account.profile()
    assert (profile.email, profile.home_path) == ("ann.lee@example.com", "/ann lee")
    assert profile.root == team.root.id != profile.home
    account.close()


async def test_a_personal_account_needs_no_header(place: Place) -> None:
    await place.look()
    assert place.server.called("files/get_metadata")[0].root is None
    profile = await place.account.profile()
    assert profile.root == profile.home
    assert profile.home_path == ""


async def test_who_leaves_a_team_begins_elsewhere(server: DropboxServer) -> None:
    team = server.add_team("Acme")
    ann = server.add_person("Ann Lee", team=team)
    talk = ann.upload("/Ann Lee/talk.mp3", TALK)
    account = account_of(server, server.connect(ann, pkce=True))
    assert (await account.ask("files_get_metadata", talk.id)).path_lower == "/ann lee/talk.mp3"
    server.leave(ann)
    both = (account.ask("files_get_metadata", talk.id) for _ in range(2))
    assert [found.path_lower for found in await asyncio.gather(*both)] == ["/talk.mp3"] * 2
    other = server.add_team("Beta")
    server.join(ann, other)
    profile = await account.profile()
    assert profile.root == profile.home
    account.close()


async def test_who_moves_to_another_team_begins_there(server: DropboxServer) -> None:
    first, second = server.add_team("Acme"), server.add_team("Beta")
    ann = server.add_person("Ann Lee", team=first)
    talk = ann.upload("/Ann Lee/talk.mp3", TALK)
    account = account_of(server, server.connect(ann, pkce=True))
    await account.ask("files_get_metadata", talk.id)
    server.leave(ann)
    server.join(ann, second)
    assert (await account.ask("files_get_metadata", talk.id)).path_lower == "/ann lee/talk.mp3"
    assert (await account.profile()).root == second.root.id
    account.close()


async def test_a_root_that_is_forbidden_is_for_the_operator(server: DropboxServer) -> None:
    team = server.add_team("Acme")
    account = account_of(server, server.connect(server.add_person("Ann Lee", team=team), pkce=True))
    await account.profile()
    server.fail("files/get_metadata", refusal("no_permission", 422))
    with pytest.raises(AuthFailed, match="team space"):
        await account.ask("files_get_metadata", "/x")
    account.close()


# Waiting for changes


async def test_longpoll_honours_what_dropbox_asks_for(place: Place) -> None:
    server, account = place.server, place.account
    cursor = (await account.ask("files_list_folder", "", recursive=True)).cursor
    server.longpoll.longest = 0.01
    server.longpoll.backoffs = [1]
    await account.longpoll(cursor)
    loop = asyncio.get_running_loop()
    before = loop.time()
    other = (
        await account.ask("files_list_folder", "")
    ).cursor  # another folder of the account has to wait too
    await account.longpoll(other)
    assert loop.time() - before >= 0.9
    assert server.violations == []


async def test_longpoll_ends_when_something_changes_and_needs_no_place_of_others(place: Place) -> None:
    server, account = place.server, place.account
    cursor = (await account.ask("files_list_folder", "", recursive=True)).cursor
    waiting = [asyncio.create_task(account.longpoll(cursor)) for _ in range(20)]
    await server.until(lambda: server.longpoll.waiting == 20)
    await place.look()
    place.ann.upload("/new.mp3", TALK)
    await asyncio.gather(*waiting)


async def test_a_wait_that_is_given_up_holds_nothing_up(place: Place) -> None:
    server, account = place.server, place.account
    cursor = (await account.ask("files_list_folder", "", recursive=True)).cursor
    waiting = asyncio.create_task(account.longpoll(cursor))
    await server.until(lambda: server.longpoll.waiting)
    await end(waiting)
    await place.look()


async def test_longpoll_of_a_revoked_account(place: Place) -> None:
    cursor = (await place.account.ask("files_list_folder", "")).cursor
    place.server.revoke(place.ann)
    place.server.expire_tokens()
    place.account._rooted._oauth2_access_token_expiration = None  # four hours have passed
    with pytest.raises(AuthFailed):
        await place.account.longpoll(cursor)


# The way there


async def test_nobody_is_followed_elsewhere(place: Place) -> None:
    asked: list[str] = []

    async def thief(request: web.Request) -> web.Response:
        asked.append(await request.text())
        return web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", thief)
    await place.account.profile()
    async with faults.serving(app) as origin:
        for status in (301, 302, 307, 308):
            place.server.fail_always("files/get_metadata", Fault(status=status, headers={"Location": origin}))
            with pytest.raises(Transient):
                await place.look()
        place.server.fail_always("oauth2/token", Fault(status=307, headers={"Location": origin}))
        place.server.expire_tokens()
        place.server.forgive()
        place.server.fail_always("oauth2/token", Fault(status=307, headers={"Location": origin}))
        with pytest.raises(Transient):
            await place.look()
    assert asked == []


async def test_a_netrc_does_not_replace_the_token(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine api.dropboxapi.com login ann password wrong\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert (await place.look()).name == "talk.mp3"


def test_only_another_address_is_rerouted() -> None:
    real, other = open_session(API_BASE_URL), open_session("https://gateway.example")
    assert not isinstance(real.get_adapter("https://api.dropboxapi.com/2/x"), Rerouted)
    assert isinstance(other.get_adapter("https://content.dropboxapi.com/2/x"), Rerouted)
    real.close()
    other.close()


# Threads


async def test_threads_are_so_many_at_once() -> None:
    threads = Threads(3)
    gate, running, most = threading.Event(), 0, 0
    lock = threading.Lock()

    def work() -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(10)
        with lock:
            running -= 1
        return 7

    tasks = [asyncio.create_task(threads.run(work)) for _ in range(9)]
    async with asyncio.timeout(10):
        while running < 3:
            await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*tasks) == [7] * 9
    assert most == 3


async def test_a_thread_whose_caller_went_away_keeps_its_place_until_it_ends() -> None:
    threads = Threads(1)
    began, gate = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        gate.wait(10)

    first = asyncio.create_task(threads.run(work))
    while not began.is_set():
        await asyncio.sleep(0)
    await end(first)
    second = asyncio.create_task(threads.run(lambda: 2))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not second.done()
    gate.set()
    assert await second == 2


async def test_what_a_thread_raises_arrives() -> None:
    with pytest.raises(KeyError):
        await Threads(1).run(lambda: {"y": 1}["x"])


def test_a_thread_may_outlive_its_loop() -> None:
    gate, done = threading.Event(), threading.Event()

    def work() -> None:
        gate.wait(10)
        done.set()

    async def main() -> None:
        task = asyncio.create_task(Threads(1).run(work))
        await asyncio.sleep(0)
        await end(task)

    asyncio.run(main())
    gate.set()
    assert done.wait(10)


async def test_without_threads_it_is_tried_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threads = Threads(1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(Transient):
            await threads.run(lambda: 1)
    assert await threads.run(lambda: 1) == 1


async def test_the_app_may_have_another_name() -> None:
    async with vendor.serving(app=App(key="otherkey12345")) as server:
        ann = server.add_person("Ann Lee")
        account = account_of(server, server.connect(ann, pkce=True))
        assert (await account.profile()).account == ann.account.id
        account.close()
