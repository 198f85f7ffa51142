"""Recordings of meetings where everything is transcribed: Teams tells that a meeting ended, and no more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.adapters.slack_desk import saying
from tests.adapters.teams_desk import RSC, TALK, Desk, desk
from tests.vendors.teams import App, graph_error


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bots.teams.meetings._LOOKS", (0.0, 0.0, 0.0))


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path, TEAMS_TRANSCRIBE="all") as found:
        yield found


async def test_the_recording_of_a_meeting_is_found_once_the_meeting_is_over(at: Desk) -> None:
    async with at.running():
        at.server.m365.message_id()
        await at.server.post_recording(at.chat, at.anna, "Weekly.mp4", TALK.data)
        await at.quiet()
        assert not at.jobs.views  # nobody told of it
        await at.server.end_meeting(at.chat, at.bo, copies=2)
        [answer] = await at.answered(at.chat, text="Transcribing")
        await at.quiet()
        assert await at.fetched() == TALK.data
        await at.deliver(saying("Hello there"))
        await at.server.end_meeting(at.chat, at.bo)  # of the next one in the same chat
        await at.quiet()
    [recording] = at.recordings()
    assert recording.name == "Weekly.mp4"
    assert recording.shared_by == at.anna.id  # who began the recording
    assert at.answers(at.chat) == [answer]
    assert "Hello" in answer.shown


async def test_a_recording_that_comes_late_is_looked_for_again(at: Desk) -> None:
    """Its message is there while it is still being made ready."""
    async with at.running():
        message = await at.server.post_recording(at.chat, at.anna, "Weekly.mp4", TALK.data, status="initial")
        held = at.server.hold("chat messages")
        await at.server.end_meeting(at.chat, at.bo)
        await held.arrived.wait()
        again = at.server.hold("chat messages")
        held.release()
        await again.arrived.wait()
        assert not at.jobs.views
        assert message.event is not None
        message.event["callRecordingStatus"] = "success"
        again.release()
        await at.answered(at.chat, text="Transcribing")
        await at.quiet()
    assert len(at.server.called("chat messages")) == 3


async def test_looking_goes_on_after_a_restart(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bots.teams.meetings._LOOKS", (0.0, 3600.0, 7200.0))
    async with at.running():
        await at.server.end_meeting(at.chat, at.bo)
        await at.server.until(lambda: at.server.called("chat messages"))
        await at.server.until(lambda: len(at.store.spaces.get("teams:letters", {})) == 1)
    await at.server.post_recording(at.chat, at.anna, "Weekly.mp4", TALK.data)
    [(key, kept)] = at.store.spaces["teams:letters"].items()
    text, posted, due, tries = json.loads(kept)
    assert due - posted > 3500
    at.store.spaces["teams:letters"][key] = json.dumps([text, posted, posted, tries])  # an hour later
    async with at.running(at.open()):
        await at.answered(at.chat, text="Transcribing")


async def test_old_recordings_are_left_alone(at: Desk) -> None:
    async with at.running():
        message = await at.server.post_recording(at.chat, at.anna, "Old.mp4", TALK.data)
        old = str(int(message.id) - 2 * 86_400_000)
        at.chat.messages = {old: message}
        message.id = old
        await at.server.end_meeting(at.chat, at.bo)
        await at.server.until(lambda: len(at.server.called("chat messages")) == 3)
        await at.quiet()
    assert not at.jobs.views


@pytest.mark.parametrize("mode", ["asked", "never"])
async def test_where_not_everything_is_transcribed_nobody_looks(tmp_path: Path, mode: str) -> None:
    async with desk(tmp_path, TEAMS_TRANSCRIBE=mode) as at, at.running():
        await at.server.post_recording(at.chat, at.anna, "Weekly.mp4", TALK.data)
        await at.server.end_meeting(at.chat, at.bo)
        await at.quiet()
        assert not at.server.called("chat messages")
        assert not at.said(at.chat)


async def test_a_chat_that_may_not_be_read_is_no_trouble(tmp_path: Path) -> None:
    app = App(roles=frozenset({"Files.ReadWrite.All"}), rsc=RSC - {"ChatMessage.Read.Chat"})
    async with desk(tmp_path, app, TEAMS_TRANSCRIBE="all") as at, at.running():
        await at.server.post_recording(at.chat, at.anna, "Weekly.mp4", TALK.data)
        await at.server.end_meeting(at.chat, at.bo)
        await at.quiet()
        at.server.fail("chat messages", graph_error(503, "serviceNotAvailable", retry_after=0))
        await at.server.end_meeting(at.chat, at.bo)
        await at.quiet()
        assert not at.said(at.chat)


async def test_recordings_of_other_apps_count_where_the_conversation_wants_that(at: Desk) -> None:
    async with at.running():
        item = at.server.add_file(at.team, "General/Call.mp3", TALK.data)
        secret = at.server.add_file(at.anna, "Recordings/Board.mp4", b"a secret")
        ignored = await at.server.post_as_app(at.channel, files=[item])
        post = await at.server.post(at.channel, at.anna, "status", mention_bot=True)
        card = await at.told(post, "Nothing is being transcribed")
        dialog = await at.server.press(card, "Settings", at.anna)
        assert dialog.dialog is not None
        await at.server.submit(dialog.dialog, "Save", {"mode": "all", "extras": "bots"})
        await at.quiet()
        message = await at.server.post_as_app(at.channel, files=[item])
        await at.answered(message, text="Transcribing")
        other = await at.server.post_as_app(at.channel, files=[secret])  # which it may have made up
        await at.answered(other, text="can't see that you may open it")
        await at.quiet()
        assert not at.answers(ignored)
    assert len(at.jobs.views) == 1
