"""Transcript files come into a thread as one message, once, whatever breaks in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from bots.slack.client import Workspace
from bots.slack.hosts import Hosts
from bots.slack.troubles import Denied, Gone, Refused, Unsure
from bots.slack.upload import Prepared, Upload, shown_name
from core.errors import ErniError, Transient
from tests.vendors import faults, slack
from tests.vendors.faults import Fault
from tests.vendors.slack import SlackServer, rate_limited, refusal
from tests.vendors.slack_model import Channel, Message, User

FILES = {"talk.transcript.md": b"# Talk\n", "talk.transcript.srt": b"1\n", "talk.docx": b"PK" * 400_000}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bots.slack.upload.pause", lambda _attempt: 0.0)
    monkeypatch.setattr("bots.slack.upload.SETTLING", (0.0, 0.0, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    server: SlackServer
    workspace: Workspace
    channel: Channel
    ada: User
    parent: Message

    @property
    def upload(self) -> Upload:
        """As another process would have it: nothing is remembered in it."""
        return Upload(self.workspace)

    def posted(self) -> list[list[str]]:
        """The names of the files of every message in the thread."""
        return [
            [self.server.files[file].title for file in message.files]
            for message in self.server.messages(self.channel, self.parent.ts)
        ]


@asynccontextmanager
async def scene(*, scopes: frozenset[str] = slack.BOT_SCOPES, **kind: Any) -> AsyncIterator[Scene]:
    async with slack.serving() as server:
        team = server.add_workspace(scopes=scopes)
        ada = server.add_user(team, "ada")
        channel = server.add_channel(team, members=[ada], **kind)
        parent = await server.say(channel, ada, "listen")
        hosts = Hosts(server.api_url)
        async with hosts.session() as session:
            workspace = Workspace(server.installation(team).token, hosts=hosts, session=session)
            yield Scene(server=server, workspace=workspace, channel=channel, ada=ada, parent=parent)


@pytest.mark.parametrize("kind", ["channel", "group", "mpim", "im"])
async def test_several_files_come_as_one_message(kind: str) -> None:
    async with scene(kind=kind) as at:
        prepared = await at.upload.prepare(FILES)
        assert prepared.titles == tuple(FILES)
        assert at.posted() == []
        assert not await at.upload.is_complete(prepared, at.channel.id)
        await at.upload.complete(prepared, at.channel.id, at.parent.ts)
        assert at.posted() == [list(FILES)]
        assert [at.server.files[file].data for file in prepared.ids] == list(FILES.values())
        assert await at.upload.is_complete(prepared, at.channel.id)


async def test_outside_a_thread_too() -> None:
    async with scene() as at:
        prepared = await at.upload.prepare(FILES)
        await at.upload.complete(prepared, at.channel.id, None)
        assert len(at.server.messages(at.channel)) == 2


async def test_no_type_of_snippet_is_claimed() -> None:
    async with scene() as at:
        await at.upload.prepare(FILES)
        assert all("snippet_type" not in call.args for call in at.server.called("files.getUploadURLExternal"))


@pytest.mark.parametrize("files", [{}, {"a.md": b""}, {"a.md": b"a", "b.md": b""}])
async def test_nothing_is_no_upload(files: Mapping[str, bytes]) -> None:
    async with scene() as at:
        with pytest.raises(ValueError, match="empty"):
            await at.upload.prepare(files)
        assert at.server.called("files.getUploadURLExternal") == []


# exactly once


async def test_completing_again_changes_nothing() -> None:
    async with scene() as at:
        prepared = await at.upload.prepare(FILES)
        for _ in range(3):
            await at.upload.complete(prepared, at.channel.id, at.parent.ts)
        assert at.posted() == [list(FILES)]


async def test_only_the_ids_need_to_be_remembered() -> None:
    async with scene() as at:
        ids = (await at.upload.prepare(FILES)).ids
        await at.upload.complete(Prepared(ids=ids), at.channel.id, at.parent.ts)
        assert at.posted() == [list(FILES)]
        await at.upload.complete(Prepared(ids=ids, titles=("one",)), at.channel.id, at.parent.ts)
        assert at.posted() == [list(FILES)]


@pytest.mark.parametrize("how", ["cut", "lost", Fault(status=502, body="<html>"), refusal("internal_error")])
async def test_an_answer_that_was_lost_leads_to_no_second_message(how: Any) -> None:
    async with scene() as at:
        prepared = await at.upload.prepare(FILES)
        at.server.fail("files.completeUploadExternal", how)
        try:
            await at.upload.complete(prepared, at.channel.id, at.parent.ts)
            assert how == "lost"  # it was looked up and found
        except Unsure:
            assert how != "lost"
            assert at.posted() == []
        await at.upload.complete(prepared, at.channel.id, at.parent.ts)
        assert at.posted() == [list(FILES)]


async def test_a_lost_answer_is_found_out_even_if_slack_shows_it_late() -> None:
    async with scene() as at:
        at.server.api.upload_lag = 2
        prepared = await at.upload.prepare(FILES)
        at.server.fail("files.completeUploadExternal", "lost")
        await at.upload.complete(prepared, at.channel.id, at.parent.ts)
        assert at.posted() == [list(FILES)]


async def test_a_lost_answer_that_is_not_found_out_is_unsure_and_repeated_safely() -> None:
    async with scene() as at:
        at.server.api.upload_lag = 50
        prepared = await at.upload.prepare(FILES)
        at.server.fail("files.completeUploadExternal", "lost")
        with pytest.raises(Unsure):
            await at.upload.complete(prepared, at.channel.id, at.parent.ts)
        for file in at.server.files.values():
            file.hidden_for = 0
        await at.upload.complete(prepared, at.channel.id, at.parent.ts)
        assert at.posted() == [list(FILES)]


async def test_a_message_that_somebody_deleted_does_not_come_again() -> None:
    async with scene() as at:
        prepared = await at.upload.prepare(FILES)
        await at.upload.complete(prepared, at.channel.id, at.parent.ts)
        for file in prepared.ids:
            await at.server.delete_file(at.server.files[file])
        assert await at.upload.is_complete(prepared, at.channel.id)
        await at.upload.complete(prepared, at.channel.id, at.parent.ts)
        assert len(at.posted()) == 1


async def test_files_that_slack_threw_away_are_to_be_prepared_anew() -> None:
    async with scene() as at:
        prepared = Prepared(ids=("F0NOTHING99",), titles=("a.md",))
        assert not await at.upload.is_complete(prepared, at.channel.id)
        with pytest.raises(Gone) as error:
            await at.upload.complete(prepared, at.channel.id, at.parent.ts)
        assert error.value.code == "file_not_found"
        assert at.posted() == []


async def test_another_conversation_is_not_this_one() -> None:
    async with scene() as at:
        other = at.server.add_channel(at.channel.team, "other", members=[at.ada])
        prepared = await at.upload.prepare(FILES)
        await at.upload.complete(prepared, other.id, None)
        assert not await at.upload.is_complete(prepared, at.channel.id)


# what goes wrong


@pytest.mark.parametrize("how", ["cut", "lost", Fault(status=500), Fault(status=404), faults.HTML])
async def test_bytes_that_did_not_arrive_get_a_new_place(how: Any) -> None:
    async with scene() as at:
        at.server.fail("upload", how)
        prepared = await at.upload.prepare(FILES)
        assert len(at.server.called("files.getUploadURLExternal")) == len(FILES) + 1
        await at.upload.complete(prepared, at.channel.id, at.parent.ts)
        assert at.posted() == [list(FILES)]


async def test_an_upload_that_never_works_is_given_up() -> None:
    async with scene() as at:
        troubles: list[slack.Trouble] = ["cut"] * 20
        at.server.fail("upload", *troubles)
        with pytest.raises(Transient):
            await at.upload.prepare(FILES)
        assert len(at.server.called("files.getUploadURLExternal")) <= 4


async def test_a_busy_upload_is_left_to_the_worker() -> None:
    async with scene() as at:
        at.server.fail("upload", rate_limited(40))
        with pytest.raises(Transient) as error:
            await at.upload.prepare(FILES)
        assert error.value.retry_after == 40.0


@pytest.mark.parametrize(
    ("method", "code", "kind"),
    [
        ("files.getUploadURLExternal", "file_uploads_disabled", Refused),
        ("files.getUploadURLExternal", "storage_limit_reached", Refused),
        ("files.completeUploadExternal", "not_in_channel", Gone),
        ("files.completeUploadExternal", "is_archived", Refused),
        ("files.completeUploadExternal", "posting_to_channel_denied", Refused),
        ("files.completeUploadExternal", "no_permission", Denied),
    ],
)
async def test_what_slack_does_not_allow(method: str, code: str, kind: type[ErniError]) -> None:
    async with scene() as at:
        at.server.fail(method, refusal(code))
        with pytest.raises(kind):
            await at.upload.complete(await at.upload.prepare(FILES), at.channel.id, at.parent.ts)


@pytest.mark.parametrize(
    "answer",
    [
        {"ok": True},
        {"ok": True, "file_id": "F1", "upload_url": 3},
        {"ok": True, "file_id": "", "upload_url": "https://files.slack.com/upload/v1/x"},
        {"ok": True, "file_id": "F1", "upload_url": "http://files.slack.com/upload/v1/x"},
        {"ok": True, "file_id": "F1", "upload_url": "https://127.0.0.1/upload"},
        {"ok": True, "file_id": "F1", "upload_url": "https://localhost:1/upload"},
        {"ok": True, "file_id": "F1", "upload_url": "http://["},
        {"ok": True, "file_id": "F1", "upload_url": "/upload"},
    ],
)
async def test_bytes_go_to_no_private_or_unencrypted_address(answer: dict[str, Any]) -> None:
    asked = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.json_response(answer)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with faults.serving(app) as origin:
        hosts = Hosts(f"{origin}/api/")
        async with hosts.session() as session:
            upload = Upload(Workspace("xoxb-secret", hosts=hosts, session=session))
            with pytest.raises(Transient):
                await upload.prepare({"a.md": b"abc"})
    assert set(asked) == {"/api/files.getUploadURLExternal"}


async def test_a_redirect_of_the_upload_is_not_followed() -> None:
    async with scene() as at:
        there = Fault(status=307, headers={"Location": f"{at.server.elsewhere}/x"})
        at.server.fail("upload", *[there] * 10)
        with pytest.raises(Transient, match="307"):
            await at.upload.prepare({"a.md": b"abc"})
        assert at.server.strays == []


# names


async def test_names_of_any_length_and_content_arrive() -> None:
    async with scene() as at:
        names = [f"{'プレゼン 🎙️ ' * 60}{n}.transcript.md" for n in range(10)] + [
            "a/b\\c\n\ud800\u202e.srt",
            "",
        ]
        prepared = await at.upload.prepare(dict.fromkeys(names, b"abc"))
        await at.upload.complete(prepared, at.channel.id, at.parent.ts)
        (titles,) = at.posted()
        assert titles == list(prepared.titles)
        assert titles[-2:] == ["a_b_c.srt", "transcript"]
        assert all(title.endswith(".md") for title in titles[:10])


@given(st.text(max_size=400))
def test_a_shown_name_is_short_and_harmless(name: str) -> None:
    shown = shown_name(name)
    assert 0 < len(shown) <= 150
    shown.encode()
    assert not set(shown) & set("/\\\n\r\t\0")
    assert shown_name(shown) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("talk.transcript.md", "talk.transcript.md"),
        ("x" * 200 + ".transcript.srt", "x" * 145 + "….srt"),
        ("x" * 200, "x" * 149 + "…"),
        ("a." + "x" * 200, "a." + "x" * 147 + "…"),
        ("." + "x" * 200, "." + "x" * 148 + "…"),
    ],
)
def test_names_are_cut_before_their_ending(name: str, shown: str) -> None:
    assert shown_name(name) == shown
