"""The life of a share at the Teams door: taken back and brought back, stopped early, changed in disorder,
and deleted for good."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import Transient
from core.model import JobState
from tests.adapters.slack_desk import saying
from tests.adapters.teams_desk import TALK, Desk, desk, documented
from tests.vendors.teams import connector_error, inputs
from tests.vendors.teams_model import CONSENT, Message


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as found:
        yield found


async def transcribed(at: Desk, where: str) -> tuple[Message, Message]:
    """A recording of Anna's in the `channel`, in the `chat`, or in her chat with the app (`alone`), and its
    answer with a transcript."""
    if where == "alone":
        message = await at.server.send_file(at.alone, at.anna, TALK)
    else:
        message = await at.server.post(getattr(at, where), at.anna, files=[TALK])
        await at.asked(message, at.bo)
    [answer] = await at.answered(message)
    await at.deliver(saying("Hello there"))
    assert "Hello" in answer.shown
    return message, answer


# --- deleted, and brought back ---


@pytest.mark.parametrize("where", ["channel", "chat"])
async def test_deleting_the_message_takes_the_transcript_away_where_others_are(at: Desk, where: str) -> None:
    async with at.running():
        message, answer = await transcribed(at, where)
        await at.server.delete(message)
        await at.server.until(lambda: "recording was deleted" in answer.shown)
        await at.quiet()
        assert "Hello" not in answer.shown
        assert at.said(message) == [answer]
    assert not at.jobs.transcripts
    owner = at.team if where == "channel" else at.anna
    assert [path.rpartition("/")[2] for path in at.server.items(owner)] == [TALK.name]


@pytest.mark.parametrize("where", ["alone", "channel", "chat"])
async def test_a_recording_that_is_brought_back_is_transcribed_again(at: Desk, where: str) -> None:
    async with at.running():
        message, answer = await transcribed(at, where)
        await at.server.delete(message)
        await at.server.until(lambda: "recording was deleted" in answer.shown)
        await at.server.undelete(message)
        await at.server.until(lambda: "Transcribing" in answer.shown)
        await at.quiet()
        await at.deliver(saying("Good evening"))
        assert "Good" in answer.shown
        assert at.answers(message) == [answer]
    assert len(at.jobs.views) == 2


@pytest.mark.parametrize("where", ["alone", "channel", "chat"])
async def test_a_recording_that_was_away_before_it_was_heard_of_is_taken_in(
    tmp_path: Path, where: str
) -> None:
    async with desk(tmp_path, transcribe="all") as at, at.running():
        held = at.server.hold("shares")
        if where == "alone":
            at.alone.installed = False  # so that nobody is told yet
            message = await at.server.send_file(at.alone, at.anna, TALK)
            at.alone.installed = True
            held.release()
        else:
            message = await at.server.post(getattr(at, where), at.anna, files=[TALK])
            await held.arrived.wait()
        await at.server.delete(message)
        held.release()
        await at.quiet()
        await at.server.undelete(message)
        [answer] = await at.answered(message)
        await at.quiet()
        await at.deliver(saying("Hello there"))
        assert "Hello" in answer.shown
        assert at.said(message)[:1] == [answer]


async def test_asking_for_what_was_brought_back_unheard_transcribes_it(at: Desk) -> None:
    """Nobody told of the undoing, such as a Teams that does not tell of it."""
    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.server.delete(message)
        await at.quiet()
        message.deleted_at = None
        await at.asked(message, at.bo)
        [answer] = await at.answered(message)
        await at.quiet()
        await at.deliver(saying("Hello there"))
        assert "Hello" in answer.shown


async def test_what_was_asked_for_before_it_was_deleted_is_not_taken_in(at: Desk) -> None:
    async with at.running():
        at.alone.installed = False  # so that nobody is told yet
        message = await at.server.send_file(at.alone, at.anna, TALK, text="transcribe")
        at.alone.installed = True
        told = at.server.payloads.message("message", at.alone, message, at.anna)
        await at.server.delete(message)
        await at.quiet()
        at.server.delivery.add(told)
        await at.quiet()
    assert not at.jobs.views


@pytest.mark.parametrize("where", ["alone", "channel"])
async def test_what_somebody_deleted_by_hand_does_not_come_back_with_the_message(
    at: Desk, where: str
) -> None:
    async with at.running():
        message, answer = await transcribed(at, where)
        await at.server.press(answer, "Delete the transcript", at.anna)
        await at.server.until(lambda: "was deleted by" in answer.shown)
        await at.server.delete(message)
        await at.server.undelete(message)
        await at.quiet()
        assert "was deleted by" in answer.shown
    assert len(at.jobs.views) == 1


async def test_a_deletion_that_is_told_after_its_undoing_changes_nothing(at: Desk) -> None:
    async with at.running():
        message, answer = await transcribed(at, "channel")
        deletion = at.server.payloads.message("messageDelete", at.channel, message, at.anna)
        await at.server.undelete(message)
        await at.quiet()
        at.server.delivery.add(deletion)
        await at.quiet()
        assert "Hello" in answer.shown
        await at.server.delete(message)  # this one is meant
        await at.server.until(lambda: "recording was deleted" in answer.shown)
        await at.quiet()


async def test_what_was_stopped_is_not_begun_again_by_a_message_that_is_back(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        [answer] = await at.answered(message)
        await at.server.press(answer, "Stop", at.bo)
        await at.server.until(lambda: "was stopped by" in answer.shown)
        await at.quiet()
        await at.server.delete(message)
        await at.server.until(lambda: "recording was deleted" in answer.shown)
        await at.quiet()
        await at.server.undelete(message)
        await at.server.until(lambda: "was stopped" in answer.shown)
        await at.quiet()
    assert len(at.jobs.views) == 1


async def test_the_text_of_a_deleted_recording_goes_however_long_teams_is_away(at: Desk) -> None:
    async with at.running():
        message, answer = await transcribed(at, "channel")
        at.server.fail("update", "cut", "cut", "cut", "cut")  # more than one letter tries
        await at.server.delete(message)
        await at.quiet()
        assert "recording was deleted" in answer.shown


async def test_a_kept_transcript_outlives_a_retry_whose_recording_is_deleted(at: Desk) -> None:
    async with at.running():
        message, answer = await transcribed(at, "channel")
        [state] = await at.adapter.answers.states()
        policy = await at.adapter.conversations.policy(state.share.where)
        kept = replace(policy, delete_with_recording=False)
        await at.adapter.conversations.choose(state.share.where, kept)
        before = answer.shown
        opened = await at.server.press(answer, "Try again…", at.bo)
        assert opened.dialog is not None
        await at.server.submit(opened.dialog, "Transcribe again")
        await at.server.until(lambda: "Transcribing" in answer.shown)
        await at.quiet()
        at.server.fail("update", "cut", "cut", "cut", "cut")
        await at.server.delete(message)
        await at.server.until(lambda: "earlier transcript" in answer.shown)
        await at.quiet()
        [state] = await at.adapter.answers.states()
    assert "recording was deleted" in answer.shown
    assert before.split()[-1] in answer.shown
    assert state.phase == "done"
    assert await at.jobs.transcript(state.job) is not None


async def test_what_is_kept_too_long_goes_although_teams_is_away_once(at: Desk) -> None:
    async with at.running():
        _, answer = await transcribed(at, "channel")
        [state] = await at.adapter.answers.states()
        policy = replace(await at.adapter.conversations.policy(state.share.where), retention_days=3)
        await at.adapter.conversations.choose(state.share.where, policy)
        at.server.fail("update", *[connector_error(503, "ServiceUnavailable", "Later.")] * 4)
        await at.adapter.keeping.clear(state.at + 4 * 86400)
        assert "after 3 days" not in answer.shown
        for _ in range(4):  # there may be some refusals left
            await at.adapter.keeping.clear(state.at + 4 * 86400)
    assert "after 3 days" in answer.shown
    assert not at.jobs.transcripts


# --- delete means all of it ---


async def test_deleting_takes_the_transcripts_of_all_tries(at: Desk) -> None:
    async with at.running():
        _, answer = await transcribed(at, "channel")
        for words in ("Good morning", "Good evening"):
            at.jobs.views[at.job().id] = replace(at.jobs.views[at.job().id], state=JobState.DONE)
            opened = await at.server.press(answer, "Try again…", at.bo)
            assert opened.dialog is not None
            await at.server.submit(opened.dialog, "Transcribe again")
            await at.server.until(lambda: "Transcribing" in answer.shown)
            assert "newer message" not in answer.shown  # this card is known
            await at.quiet()
            await at.deliver(saying(words))
        assert len(at.jobs.transcripts) == 3
        await at.server.press(answer, "Delete the transcript", at.anna)
        await at.server.until(lambda: "was deleted by" in answer.shown)
        await at.quiet()
    assert not at.jobs.transcripts


# --- what several people do at once ---


async def test_the_settings_that_were_saved_last_hold_however_late_the_others_come(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at.running():
        post = await at.server.post(at.channel, at.anna, "settings", mention_bot=True)
        card = await at.told(post, "Nothing is being transcribed")
        asked, may_change = 0, at.adapter.conversations.may_change

        async def away(*about: object) -> bool:
            """Graph does not answer when the first letter is acted on."""
            nonlocal asked
            asked += 1
            if asked == 3:
                raise Transient("Graph is away.")
            return await may_change(*about)  # type: ignore[arg-type]

        monkeypatch.setattr(at.adapter.conversations, "may_change", away)
        for mode in ("all", "never"):
            opened = await at.server.press(card, "Settings", at.anna)
            assert opened.dialog is not None
            await at.server.submit(opened.dialog, "Save", {"mode": mode})
            if mode == "all":
                await at.server.until(lambda: asked == 3)
        await at.quiet()
        opened = await at.server.press(card, "Settings", at.anna)
        assert opened.dialog is not None
        assert inputs(opened.dialog.card)["mode"]["value"] == "never"


async def test_the_names_that_were_given_last_hold_however_late_the_others_come(at: Desk) -> None:
    async with at.running():
        _, answer = await transcribed(at, "channel")
        opened = await at.server.press(answer, "Name the speakers", at.bo)
        at.server.fail("update", "cut", "cut", "cut", "cut")
        assert opened.dialog is not None
        await at.server.submit(opened.dialog, "Save", {"own:0": "Ada Early", "own:1": "Eve Early"})
        await at.server.until(lambda: "Ada Early" in str(at.store.spaces["teams:shares"]))
        opened = await at.server.press(answer, "Name the speakers", at.bo)
        assert opened.dialog is not None
        await at.server.submit(opened.dialog, "Save", {"own:0": "Ada Late"})
        await at.quiet()
        assert "Ada Late" in answer.shown
        assert "Eve Early" in answer.shown
        assert "Ada Early" not in answer.shown


# --- stopped early ---


async def test_what_is_still_being_looked_up_is_stopped_too(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.chat, at.anna, files=[TALK])
        held = at.server.hold("shares")
        await at.asked(message, at.bo)
        await held.arrived.wait()
        await at.server.post(at.chat, at.bo, "stop", mention_bot=True)
        await at.server.delivered()
        held.release()
        await at.told(at.chat, "was stopped by")
        await at.quiet()
        assert [one for one in at.said(at.chat) if "Nothing is being" in one.shown] == []
    assert all(view.state is JobState.CANCELLED for view in at.jobs.views.values())


async def test_what_could_not_be_looked_up_yet_is_not_taken_in_once_it_is_stopped(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.chat, at.anna, files=[TALK])
        at.server.fail("shares", "cut", "cut", "cut", "cut", "cut")
        await at.asked(message, at.bo)
        await at.server.until(lambda: len(at.server.called("shares")) == 4)
        await at.server.post(at.chat, at.bo, "stop", mention_bot=True)
        await at.told(at.chat, "was stopped by")
        await at.quiet()
    assert not at.jobs.views


# --- once, also where nothing can be read back, or not yet ---


@pytest.mark.parametrize("where", ["channel", "chat", "alone"])
async def test_a_lost_answer_is_found_although_graph_shows_it_late(tmp_path: Path, where: str) -> None:
    async with desk(tmp_path, documented("Chat.Read.All")) as at, at.running():
        at.server.graph.lag = 2.0
        at.server.fail("send", "lost")
        if where == "alone":
            message = await at.server.send_file(at.alone, at.anna, TALK)
        else:
            message = await at.server.post(getattr(at, where), at.anna, files=[TALK])
            await at.asked(message, at.bo)
        await at.server.until(lambda: at.jobs.views)
        await at.quiet()
        [answer] = at.answers(message)
        await at.deliver(saying("Hello there"))
        assert at.answers(message) == [answer]


async def test_a_question_whose_answer_was_lost_is_found_although_graph_shows_it_late(tmp_path: Path) -> None:
    async with desk(tmp_path, documented("Chat.Read.All")) as at, at.running():
        await at.server.send_file(at.alone, at.anna, TALK)
        await at.answered(at.alone)
        at.server.graph.lag = 2.0
        at.server.fail("send", "lost")
        for _ in range(2):
            with pytest.raises(Transient):
                await at.deliver(saying("Hello there"))
        at.server.graph.lag = 0.0
        await at.deliver(saying("Hello there"))
        assert len(questions(at)) == 2


async def test_what_teams_surely_did_not_take_is_said_again_at_once(at: Desk) -> None:
    async with at.running():
        at.server.graph.lag = 600.0
        at.server.fail("send", *[connector_error(503, "ServiceUnavailable", "Later.")] * 4)
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        await at.answered(message)
        await at.quiet()
        assert len(at.said(message)) == 1


def questions(at: Desk) -> list[Message]:
    return [one for one in at.said(at.alone) if one.attachments[0]["contentType"] == CONSENT]


async def test_a_question_left_over_goes_once_there_is_no_transcript_any_more(tmp_path: Path) -> None:
    async with desk(tmp_path, documented()) as at, at.running():
        await at.server.send_file(at.alone, at.anna, TALK)
        [answer] = await at.answered(at.alone)
        at.server.fail("send", "lost")
        with pytest.raises(Transient):
            await at.deliver(saying("Hello there"))
        await at.deliver(saying("Hello there"))
        assert len(questions(at)) == 3
        await at.server.press(answer, "Delete the transcript", at.anna)
        await at.server.until(lambda: len(questions(at)) == 1)
        await at.quiet()
        [left] = questions(at)
        await at.server.accept_consent(left, at.anna)
        await at.server.until(lambda: left.deleted)
        await at.quiet()
        assert at.said(at.alone) == [answer]
    assert len(at.server.items(at.anna)) == 1


# --- where the app is not ---


async def test_in_a_chat_of_two_people_the_command_offers_to_add_the_app(at: Desk) -> None:
    async with at.running():
        chat = at.server.add_chat(at.anna, at.bo, installed=False)
        message = await at.server.post(chat, at.anna, files=[TALK])
        opened = await at.server.command(message, at.bo)
        assert opened.dialog is not None
        assert "is not in this conversation yet" in str(opened.dialog.card)
        added = await at.server.submit(opened.dialog, "Add it here")
        assert added.dialog is not None
        await at.server.submit(added.dialog, "Transcribe")
        [answer] = await at.answered(chat)
        await at.quiet()
        await at.deliver(saying("Hello there"))
        assert "Hello" in answer.shown
