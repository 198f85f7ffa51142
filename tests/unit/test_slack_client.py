"""The Web API as the front door uses it, against a whole Slack on this machine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from bots.slack import refusals
from bots.slack.client import Workspace
from bots.slack.hosts import Hosts
from bots.slack.ids import SHARE_EVENT
from bots.slack.troubles import (
    Denied,
    Gone,
    MissingScope,
    Refused,
    Revoked,
    TooLate,
    Unshowable,
    Unsure,
    by_status,
    trouble,
)
from core.errors import ErniError, Misconfigured, Rejected, Transient
from tests.vendors import faults, slack
from tests.vendors.faults import Fault
from tests.vendors.slack import Item, SlackServer, rate_limited, refusal
from tests.vendors.slack_model import Channel, User
from tests.vendors.slack_views import new_trigger

METADATA = {"event_type": SHARE_EVENT, "event_payload": {"share": "0123456789abcdef0123"}}
BLOCKS = [{"type": "section", "text": {"type": "mrkdwn", "text": "*Hello*"}}]


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A workspace with a channel, a person in it, and our client."""

    server: SlackServer
    workspace: Workspace
    channel: Channel
    ada: User
    team: str
    clock: Clock


@asynccontextmanager
async def scene(*, scopes: frozenset[str] = slack.BOT_SCOPES, seconds: float = 10.0) -> AsyncIterator[Scene]:
    async with slack.serving() as server:
        team = server.add_workspace(scopes=scopes)
        ada = server.add_user(team, "ada")
        channel = server.add_channel(team, members=[ada])
        hosts, clock = Hosts(server.api_url), Clock()
        session = hosts.session(seconds=seconds)
        try:
            workspace = Workspace(
                server.installation(team).token,
                hosts=hosts,
                session=session,
                bot_user=server.installation(team).bot_user_id,
                clock=clock,
            )
            yield Scene(
                server=server, workspace=workspace, channel=channel, ada=ada, team=team.id, clock=clock
            )
        finally:
            await session.close()


@asynccontextmanager
async def pretending(answer: web.Response | str) -> AsyncIterator[Workspace]:
    """A client of a server that answers everything with `answer`, or redirects there."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        if isinstance(answer, str):
            return web.Response(status=307, headers={"Location": answer})
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with faults.serving(app) as origin:
        hosts = Hosts(f"{origin}/api/")
        async with hosts.session() as session:
            yield Workspace("xoxb-secret", hosts=hosts, session=session)


async def replies_of(at: Scene, ts: str, **how: Any) -> list[str]:
    return [reply.ts async for reply in at.workspace.replies(at.channel.id, ts, **how)]


# messages


async def test_a_message_is_posted_in_its_thread_changed_and_deleted() -> None:
    async with scene() as at:
        parent = await at.server.say(at.channel, at.ada, "listen to this")
        where = at.channel.id
        ts = await at.workspace.post(where, "Hello", thread_ts=parent.ts, blocks=BLOCKS, metadata=METADATA)
        found = [each async for each in at.workspace.replies(where, parent.ts, metadata=True)]
        assert [each.ts for each in found] == [parent.ts, ts]
        assert found[1].metadata == METADATA
        assert found[1].user == at.workspace.bot_user

        assert await at.workspace.update(where, ts, "Done") == ts
        (posted,) = at.server.messages(at.channel, parent.ts)
        assert posted.text == "Done"
        assert posted.blocks == []
        assert posted.metadata == METADATA

        await at.workspace.delete_message(where, ts)
        await at.workspace.delete_message(where, ts)
        assert at.server.messages(at.channel, parent.ts) == []


async def test_links_and_names_in_a_text_do_nothing_by_themselves() -> None:
    async with scene() as at:
        await at.workspace.post(at.channel.id, "@ada said https://example.org")
        args = at.server.called("chat.postMessage")[0].args
        assert args["link_names"] is False
        assert args["parse"] == "none"
        assert args["unfurl_links"] is False
        assert args["unfurl_media"] is False


async def test_metadata_comes_only_when_asked_for() -> None:
    async with scene() as at:
        ts = await at.workspace.post(at.channel.id, "Hello", metadata=METADATA)
        async for each in at.workspace.replies(at.channel.id, ts):
            assert "event_payload" not in each.metadata
        message = await at.workspace.message(at.channel.id, ts)
        assert message is not None
        assert message.metadata == METADATA


async def test_a_long_thread_is_read_page_by_page_up_to_a_limit() -> None:
    async with scene() as at:
        parent = await at.server.say(at.channel, at.ada, "first")
        said = [(await at.server.say(at.channel, at.ada, f"{n}", thread_ts=parent.ts)).ts for n in range(450)]
        assert await replies_of(at, parent.ts) == [parent.ts, *said]
        assert len(at.server.called("conversations.replies")) == 3
        assert await replies_of(at, parent.ts, limit=3) == [parent.ts, *said[:2]]
        assert await replies_of(at, parent.ts, limit=250) == [parent.ts, *said[:249]]


async def test_a_server_that_never_stops_paging_is_left() -> None:
    endless = web.json_response({"ok": True, "messages": [], "response_metadata": {"next_cursor": "more"}})
    async with pretending(endless) as workspace:
        assert [each async for each in workspace.replies("C1", "1.1", limit=30)] == []


async def test_one_message_is_found_whether_it_is_a_reply_or_not() -> None:
    async with scene() as at:
        parent = await at.server.say(at.channel, at.ada, "first")
        reply = await at.server.say(at.channel, at.ada, "second", thread_ts=parent.ts)
        for ts, thread in ((parent.ts, None), (reply.ts, None), (reply.ts, parent.ts)):
            found = await at.workspace.message(at.channel.id, ts, thread)
            assert found is not None
            assert found.ts == ts
        assert await at.workspace.message(at.channel.id, "1700000000.000100") is None
        assert await at.workspace.message(at.channel.id, "1700000000.000100", parent.ts) is None
        with pytest.raises(Gone):
            await at.workspace.message("C0NOWHERE99", parent.ts)


async def test_an_ephemeral_message_and_a_permalink() -> None:
    async with scene() as at:
        parent = await at.server.say(at.channel, at.ada, "first")
        await at.workspace.ephemeral(at.channel.id, at.ada.id, "Only you", thread_ts=parent.ts, blocks=BLOCKS)
        (seen,) = at.server.slack.ephemerals
        assert (seen.user, seen.text, seen.thread_ts) == (at.ada.id, "Only you", parent.ts)
        assert parent.ts.replace(".", "") in await at.workspace.permalink(at.channel.id, parent.ts)


# what is known of people and places


async def test_people_are_remembered_for_ten_minutes() -> None:
    async with scene() as at:
        person = await at.workspace.user(at.ada.id)
        assert (person.name, person.is_bot, person.is_admin, person.deleted) == ("ada", False, False, False)
        await at.server.deactivate(at.ada)
        at.clock.now = 599.0
        assert not (await at.workspace.user(at.ada.id)).deleted
        assert len(at.server.called("users.info")) == 1
        at.clock.now = 600.0
        assert (await at.workspace.user(at.ada.id)).deleted
        with pytest.raises(Gone):
            await at.workspace.user("U0NOBODY999")
        with pytest.raises(Gone):  # a failure is not remembered
            await at.workspace.user("U0NOBODY999")
        assert len(at.server.called("users.info")) == 4


async def test_conversations_have_a_kind() -> None:
    async with scene() as at:
        kinds = {"channel": "channel", "group": "private", "mpim": "group", "im": "im"}
        for theirs, ours in kinds.items():
            made = at.server.add_channel(at.team, f"a-{theirs}", kind=theirs, members=[at.ada])  # type: ignore[arg-type]
            found = await at.workspace.channel(made.id)
            assert (found.id, found.kind, found.is_member) == (made.id, ours, True)
            assert found.creator == ("" if theirs == "im" else at.ada.id)
        at.channel.archived = True
        assert (await at.workspace.channel(at.channel.id)).is_archived
        other = at.server.add_workspace("Umbrella")
        shared = at.server.add_channel(at.team, "both", shared_with=[other])
        assert (await at.workspace.channel(shared.id)).is_shared


async def test_who_is_in_a_large_channel_is_asked_with_few_calls_and_remembered_a_minute() -> None:
    async with scene() as at:
        people = [at.server.add_user(at.team, f"p{n}").id for n in range(2100)]
        crowd = at.server.add_channel(at.team, "crowd", members=people)
        for _ in range(2):
            assert await at.workspace.is_member(crowd.id, people[0])
        assert len(at.server.called("conversations.members")) == 1  # no more than needed
        assert await at.workspace.is_member(crowd.id, people[-1])
        for _ in range(2):
            assert not await at.workspace.is_member(crowd.id, at.ada.id)
        assert len(at.server.called("conversations.members")) == 7
        await at.server.invite(crowd, at.ada)
        at.clock.now = 60.0
        assert await at.workspace.is_member(crowd.id, at.ada.id)
        assert not await at.workspace.is_member("C0NOWHERE99", at.ada.id)


async def test_the_members_of_a_conversation_are_listed_if_they_are_few() -> None:
    async with scene() as at:
        people = [at.server.add_user(at.team, f"p{n}").id for n in range(9)]
        place = at.server.add_channel(at.team, "few", members=people)  # and the app
        assert await at.workspace.few_members(place.id, 10) == frozenset(place.members)
        assert await at.workspace.few_members(place.id, 9) is None
        assert len(at.server.called("conversations.members")) == 2


async def test_members_of_a_user_group() -> None:
    async with scene() as at:
        group = at.server.add_group(at.team, [at.ada])
        assert await at.workspace.group_members(group.id) == {at.ada.id}
        with pytest.raises(Gone):
            await at.workspace.group_members("S0NOBODY999")


async def test_a_file_as_files_info_has_it() -> None:
    async with scene() as at:
        parent = await at.server.say(at.channel, at.ada, "first")
        item = Item(
            name="audio_message.mp4",
            data=b"x" * 1000,
            mimetype="audio/mp4",
            subtype="slack_audio",
            transcript="hello " * 40,
            vtt="WEBVTT",
            seconds=12.5,
        )
        message, (shared,) = await at.server.share(
            at.channel, at.ada, item, thread_ts=parent.ts, delay_shares=1
        )
        early = await at.workspace.file(shared.id)
        assert early.shares == ()
        file = await at.workspace.file(shared.id)
        (place,) = file.shares
        assert (place.channel, place.ts, place.thread_ts) == (at.channel.id, message.ts, parent.ts)
        assert place.public
        assert file.conversations == {at.channel.id}
        assert (file.size, file.seconds, file.mimetype) == (1000, 12.5, "audio/mp4")
        assert (file.subtype, file.transcription, file.user) == ("slack_audio", "complete", at.ada.id)
        assert file.transcript.startswith("hello hello")
        assert file.transcript_goes_on
        assert file.vtt.startswith(at.server.origin)
        await at.server.delete_file(shared)
        with pytest.raises(Gone) as error:
            await at.workspace.file(shared.id)
        assert error.value.code == "file_deleted"


async def test_only_own_files_are_deleted_and_gone_ones_are_fine() -> None:
    async with scene() as at:
        _, (shared,) = await at.server.share(at.channel, at.ada, Item(name="a.mp3", data=b"abc"))
        with pytest.raises(Refused):
            await at.workspace.delete_file(shared.id)
        await at.server.delete_file(shared)
        await at.workspace.delete_file(shared.id)


async def test_who_we_are_and_with_which_scopes() -> None:
    async with scene() as at:
        identity = await at.workspace.identity()
        installed = at.server.installation(at.team)
        assert (identity.user, identity.bot_id, identity.team) == (
            installed.bot_user_id,
            installed.bot_id,
            at.team,
        )
        assert identity.scopes == slack.BOT_SCOPES


async def test_the_token_of_an_organisation_names_the_workspace() -> None:
    async with slack.serving() as server:
        team = server.add_workspace(enterprise_id="E0000000001", install=False)
        owner = server.add_user(team, "boss")
        token = server.install(None, owner, enterprise_id="E0000000001").token
        hosts = Hosts(server.api_url)
        async with hosts.session() as session:
            workspace = Workspace(token, hosts=hosts, session=session, team=team.id)
            assert (await workspace.user(owner.id)).name == "boss"
            assert server.called("users.info")[0].args["team_id"] == team.id


async def test_a_renewed_token_is_used() -> None:
    async with scene() as at:
        good = at.workspace.calls.token
        at.workspace.renew("xoxb-0-wrong")
        with pytest.raises(Denied) as error:
            await at.workspace.identity()
        assert error.value.code == "invalid_auth"
        assert not isinstance(error.value, Revoked)
        at.workspace.renew(good)
        await at.workspace.identity()


# views and response addresses


def modal(title: str) -> dict[str, Any]:
    return {
        "type": "modal",
        "title": {"type": "plain_text", "text": title},
        "blocks": [{"type": "section", "text": {"type": "plain_text", "text": title}}],
    }


async def test_a_modal_opens_once_and_changes_while_it_is_open() -> None:
    async with scene() as at:
        trigger = new_trigger(at.server.api, at.ada.id, at.team)
        name = await at.workspace.open_view(trigger, modal("One"))
        view = at.server.slack.views[name]
        before = view.hash
        await at.workspace.update_view(name, modal("Two"), before)
        assert "Two" in view.shown
        for late in (
            at.workspace.update_view(name, modal("Three"), before),
            at.workspace.update_view("V0NOTHING99", modal("Three")),
            at.workspace.open_view(trigger, modal("Three")),
            at.workspace.open_view("1.2.3", modal("Three")),
        ):
            with pytest.raises(TooLate):
                await late
        assert "Two" in view.shown
        with pytest.raises(Unshowable):
            await at.workspace.update_view(name, {"type": "modal"})


async def test_a_home_is_published_again_and_again() -> None:
    async with scene() as at:
        for title in ("One", "Two"):
            await at.workspace.publish_home(at.ada.id, {"type": "home", "blocks": modal(title)["blocks"]})
            assert title in at.server.slack.homes[at.ada.id].shown


async def test_who_used_a_command_is_answered_alone() -> None:
    async with scene() as at:
        address = at.server._response_url(at.channel, at.ada.id, None)
        await at.workspace.respond(address, "Only you", blocks=BLOCKS, response_type="ephemeral")
        (seen,) = at.server.slack.ephemerals
        assert (seen.user, seen.text) == (at.ada.id, "Only you")
        at.server.fail("response_url", "cut")
        with pytest.raises(Unsure):
            await at.workspace.respond(address, "Only you")
        assert len(at.server.slack.ephemerals) == 1
        with pytest.raises(Unshowable):
            await at.workspace.respond(address, "Only you", blocks=[{"type": "nonsense"}])
        with pytest.raises(TooLate):
            await at.workspace.respond(f"{at.server.origin}/actions/T1/1/0", "Only you")


# what goes wrong


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("account_inactive", Revoked),
        ("token_revoked", Revoked),
        ("token_expired", Denied),
        ("no_permission", Denied),
        ("org_login_required", Denied),
        ("channel_not_found", Gone),
        ("not_in_channel", Gone),
        ("thread_not_found", Gone),
        ("is_archived", Refused),
        ("restricted_action", Refused),
        ("cannot_reply_to_message", Refused),
        ("msg_too_long", Unshowable),
        ("msg_blocks_too_long", Unshowable),
        ("invalid_blocks", Unshowable),
        ("internal_error", Unsure),
        ("fatal_error", Unsure),
        ("service_unavailable", Unsure),
        ("request_timeout", Transient),
        ("team_added_to_org", Transient),
        ("something_new", Transient),
        ("<script>", Transient),
    ],
)
async def test_every_error_has_its_kind(code: str, kind: type[ErniError]) -> None:
    async with scene() as at:
        at.server.fail("chat.postMessage", refusal(code))
        with pytest.raises(ErniError) as error:
            await at.workspace.post(at.channel.id, "Hello")
        assert type(error.value) is kind
        assert getattr(error.value, "code", code) == code
        assert "<" not in str(error.value)
        assert at.workspace.calls.token not in str(error.value)
        assert len(at.server.messages(at.channel)) == 0


def test_no_error_is_in_two_tables_and_all_say_what_to_do() -> None:
    tables = [refusals.GONE, refusals.REFUSED, refusals.TOO_LATE, refusals.DENIED]
    codes = [code for table in tables for code in table]
    assert len(codes) == len(set(codes))
    for table in tables:
        for code, sentence in table.items():
            assert sentence[0].isupper(), code
            assert sentence.endswith("."), code
            assert code not in sentence


async def test_a_missing_scope_is_named_with_its_remedy() -> None:
    async with scene(scopes=slack.BOT_SCOPES - {"files:read"}) as at:
        with pytest.raises(MissingScope) as error:
            await at.workspace.file("F0000000001")
        assert error.value.scope == "files:read"
        assert "files:read" in str(error.value)
        assert "OAuth & Permissions" in str(error.value)


def test_a_scope_is_not_believed_to_be_one() -> None:
    error = trouble("files.info", "missing_scope", needed="<b>\nfiles:read</b>")
    assert isinstance(error, MissingScope)
    assert "<b>" not in str(error)


async def test_what_slack_says_of_wrong_blocks_is_for_the_operator() -> None:
    async with scene() as at:
        with pytest.raises(Unshowable) as error:
            await at.workspace.post(at.channel.id, "Hello", blocks=[{"type": "nonsense"}])
        assert error.value.code == "invalid_blocks"
        assert "json-pointer" in str(error.value)


async def test_a_short_rate_limit_is_waited_for() -> None:
    async with scene() as at:
        at.server.fail("chat.postMessage", rate_limited(0), rate_limited(0))
        await at.workspace.post(at.channel.id, "Hello")
        assert len(at.server.messages(at.channel)) == 1


async def test_a_long_rate_limit_is_left_to_the_worker() -> None:
    async with scene() as at:
        at.server.fail("chat.postMessage", rate_limited(60))
        with pytest.raises(Transient) as error:
            await at.workspace.post(at.channel.id, "Hello")
        assert type(error.value) is Transient
        assert error.value.retry_after == 60.0
        assert at.server.faults.calls["POST /api/chat.postMessage"] == 1


async def test_a_rate_limit_without_end_is_given_up() -> None:
    async with scene() as at:
        at.server.fail("files.info", *[rate_limited(0)] * 5)
        with pytest.raises(Transient):
            await at.workspace.file("F0000000001")
        assert at.server.faults.calls["GET /api/files.info"] == 3


@pytest.mark.parametrize("wait", ["soon", "Wed, 21 Oct 2026 07:28:00 GMT", "-1", ""])
async def test_a_rate_limit_without_a_number_is_not_waited_for(wait: str) -> None:
    async with scene() as at:
        at.server.fail("files.info", Fault(status=429, body="{}", headers={"Retry-After": wait}))
        with pytest.raises(Transient) as error:
            await at.workspace.file("F0000000001")
        assert error.value.retry_after == 30.0


async def test_a_lost_answer_to_a_post_is_unsure_and_it_is_not_posted_again() -> None:
    async with scene() as at:
        at.server.fail("chat.postMessage", "lost")
        with pytest.raises(Unsure):
            await at.workspace.post(at.channel.id, "Hello")
        assert len(at.server.messages(at.channel)) == 1
        assert at.server.faults.calls["POST /api/chat.postMessage"] == 1


@pytest.mark.parametrize("how", ["cut", "lost"])
async def test_what_may_be_done_twice_is_asked_again(how: Any) -> None:
    async with scene() as at:
        ts = await at.workspace.post(at.channel.id, "Hello")
        at.server.fail("chat.update", how)
        await at.workspace.update(at.channel.id, ts, "Done")
        assert at.server.faults.calls["POST /api/chat.update"] == 2
        at.server.fail("chat.delete", how)
        await at.workspace.delete_message(at.channel.id, ts)
        assert at.server.messages(at.channel) == []


async def test_a_post_without_an_answer_in_time_is_unsure() -> None:
    async with scene(seconds=0.3) as at:
        at.server.fail("chat.postMessage", "hang")
        with pytest.raises(Unsure):
            await at.workspace.post(at.channel.id, "Hello")
        at.server.fail("files.info", "hang")
        with pytest.raises(Transient) as error:
            await at.workspace.file("F0000000001")
        assert type(error.value) is Transient


async def test_cancelling_a_call_ends_it() -> None:
    async with scene() as at:
        hold = at.server.hold("chat.postMessage")
        task = asyncio.create_task(at.workspace.post(at.channel.id, "Hello"))
        await hold.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        hold.release()


async def test_who_can_not_be_reached_was_not_asked() -> None:
    async with scene() as at:
        hosts = Hosts("http://127.0.0.1:1/api/")
        async with hosts.session() as session:
            workspace = Workspace("xoxb-secret", hosts=hosts, session=session)
            with pytest.raises(Transient) as error:
                await workspace.post(at.channel.id, "Hello")
        assert type(error.value) is Transient


@pytest.mark.parametrize(
    ("status", "body", "content_type", "kind"),
    [
        (200, "<html>Sign in</html>", "text/html", Unsure),
        (200, "", "application/json", Unsure),
        (200, "{broken", "application/json", Unsure),
        (200, "[1]", "application/json", Unsure),
        (200, "[]", "application/json", Unsure),
        (200, '"ok"', "application/json", Unsure),
        (200, "ok", "text/plain", Unsure),
        (200, '{"ok": true}', "application/json", Unsure),
        (200, '{"ok": true, "ts": 12}', "application/json", Unsure),
        (500, "<html>Oops</html>", "text/html", Unsure),
        (503, "{}", "application/json", Unsure),
        (403, "<html>Blocked</html>", "text/html", Denied),
        (407, "", "text/html", Denied),
        (404, "<html>Not here</html>", "text/html", Misconfigured),
    ],
)
async def test_answers_that_are_not_slacks(
    status: int, body: str, content_type: str, kind: type[ErniError]
) -> None:
    answer = web.Response(status=status, body=body.encode(), content_type=content_type)
    async with pretending(answer) as workspace:
        with pytest.raises(ErniError) as error:
            await workspace.post("C1", "Hello")
        assert type(error.value) is kind
        assert "secret" not in str(error.value)
        with pytest.raises(ErniError) as error:
            await workspace.file("F1")
        assert type(error.value) is (Transient if kind is Unsure else kind)


async def test_no_redirect_takes_the_token_or_a_text_elsewhere() -> None:
    async with scene() as at, pretending(f"{at.server.elsewhere}/api/") as workspace:
        with pytest.raises(Transient):
            await workspace.post("C1", "Hello")
        with pytest.raises(Transient):
            await workspace.file("F1")
        assert at.server.strays == []


async def test_nothing_that_is_said_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with scene() as at:
            at.server.fail("chat.update", "cut")
            ts = await at.workspace.post(at.channel.id, "a very private text")
            await at.workspace.update(at.channel.id, ts, "a very private text")
            token = at.workspace.calls.token
    assert "private" not in caplog.text
    assert token not in caplog.text


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/hooks",
        "http://hooks.slack.com/actions/1",
        "https://hooks.slack.com.evil.example/actions/1",
        "https://hooks.slack.com@evil.example/actions/1",
        "https://hooks.slack.com:8443/actions/1",
        "http://127.0.0.1:1/x",
        "//hooks.slack.com/x",
        "file:///etc/passwd",
        "http://[",
        "",
    ],
)
async def test_only_slack_is_answered(address: str) -> None:
    async with scene() as at:
        with pytest.raises(Rejected, match="did not come from Slack"):
            await at.workspace.respond(address, "Hello")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, "ok", None),
        (404, "expired_url", TooLate),
        (404, "used_url", TooLate),
        (400, "invalid_payload", Unshowable),
        (403, "action_prohibited", Refused),
        (410, "channel_is_archived", Refused),
        (500, "<html>", Unsure),
        (200, "<html>", Unsure),
        (429, "", Transient),
    ],
)
async def test_an_answer_to_a_command_or_button(status: int, body: str, kind: type[ErniError] | None) -> None:
    async with pretending(web.Response(status=status, text=body)) as workspace:
        address = f"{workspace.calls.hosts.base.origin()}/actions/T1/2/3"
        if kind is None:
            await workspace.respond(address, "Hello", blocks=BLOCKS, replace_original=False)
            return
        with pytest.raises(ErniError) as error:
            await workspace.respond(address, "Hello")
        assert type(error.value) is kind


def test_statuses_in_between() -> None:
    assert isinstance(by_status("files.info", 502, {}), Transient)
    error = by_status("chat.postMessage", 503, {"Retry-After": "7"})
    assert isinstance(error, Unsure)
    assert error.retry_after == 7.0
