"""The Teams door where the world moved on meanwhile: late answers, deleted messages, other addresses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import Rejected
from core.model import JobState, Stage
from tests.adapters.slack_desk import saying
from tests.adapters.teams_desk import RSC, TALK, Desk, desk
from tests.vendors.teams import App, Dialog, graph_error
from tests.vendors.teams_model import CONSENT, FILE_INFO, Message


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as found:
        yield found


async def transcribed(at: Desk) -> Message:
    """The answer to a recording of Anna's in the channel, with a transcript."""
    message = await at.server.post(at.channel, at.anna, files=[TALK])
    await at.asked(message, at.bo)
    [answer] = await at.answered(message)
    await at.deliver(saying("Hello there"))
    return answer


async def opened(at: Desk, answer: Message, button: str) -> Dialog:
    found = await at.server.press(answer, button, at.bo)
    assert found.dialog is not None
    return found.dialog


# --- dialogs that stayed open ---


async def test_names_for_the_speakers_of_another_version_are_not_taken(at: Desk) -> None:
    """Speaker 1 of the new transcript may be somebody else."""
    async with at.running():
        answer = await transcribed(at)
        names = await opened(at, answer, "Name the speakers")
        again = await opened(at, answer, "Try again…")
        await at.server.submit(again, "Transcribe again")
        await at.server.until(lambda: "Transcribing" in answer.shown)
        late = await at.server.press(answer, "Stop", at.bo)  # which brings the first one back
        assert late.message
        await at.server.until(lambda: "earlier transcript" in answer.shown)
        told = await at.server.submit(names, "Save", {"own:0": "Grace Hopper"})
        assert "changed meanwhile" in str(told.message)
        names = await opened(at, answer, "Name the speakers")
        again = await opened(at, answer, "Try again…")
        await at.server.submit(again, "Transcribe again")
        await at.server.until(lambda: "Transcribing" in answer.shown)
        told = await at.server.submit(names, "Save", {"own:0": "Grace Hopper"})
        assert "changed meanwhile" in str(told.message)
        await at.quiet()
        await at.deliver(saying("Good evening"))
    assert "Good" in answer.shown
    assert "Grace" not in answer.shown
    assert at.answers(answer) == [answer]


async def test_another_try_of_what_was_deleted_meanwhile_does_not_bring_it_back(at: Desk) -> None:
    async with at.running():
        answer = await transcribed(at)
        again = await opened(at, answer, "Try again…")
        await at.server.press(answer, "Delete the transcript", at.anna)
        await at.server.until(lambda: "was deleted by" in answer.shown)
        told = await at.server.submit(again, "Transcribe again")
        assert "not possible any more" in str(told.message)
        await at.quiet()
        assert len(at.jobs.views) == 1
        post = at.channel.messages[str(answer.root)]
        await at.asked(post, at.bo)  # who asks anew means it
        await at.server.until(lambda: "Transcribing" in answer.shown)
        await at.quiet()
    assert len(at.jobs.views) == 2


async def test_a_button_that_was_pressed_before_the_result_came_changes_nothing(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        [answer] = await at.answered(message)
        stop = dict(answer.card)
        await at.deliver(saying("Hello there"))
        at.jobs.views[at.job().id] = replace(at.jobs.views[at.job().id], state=JobState.DONE)
        answer.views[at.bo.id] = stop  # as his client still shows it
        told = await at.server.press(answer, "Stop", at.bo)
        assert "Nothing is being transcribed" in str(told.message)
        await at.quiet()
    assert "Hello" in answer.shown


# --- consent ---


async def alone(at: Desk) -> tuple[Message, Message, Message]:
    """The answer to a recording of Anna's in her chat with the app, and the questions about its files."""
    await at.server.send_file(at.alone, at.anna, TALK)
    [answer] = await at.answered(at.alone)
    await at.deliver(saying("Hello there"))
    markdown, subtitles = [one for one in at.said(at.alone) if one is not answer]
    return answer, markdown, subtitles


async def test_consent_that_is_given_twice_hands_over_once(at: Desk) -> None:
    async with at.running():
        _, markdown, _ = await alone(at)
        first = await at.server.accept_consent(markdown, at.anna)
        await at.server.until(lambda: markdown.attachments[0]["contentType"] == FILE_INFO)
        markdown.attachments = [markdown.versions[0].attachments[0]]  # as an old client still shows it
        second = await at.server.accept_consent(markdown, at.anna)
        await at.quiet()
        assert first.session is not None
        assert second.session is not None
        assert first.session.ended
        assert not second.session.data
    assert len(at.server.items(at.anna)) == 2


async def test_declining_twice_and_accepting_what_was_declined(at: Desk) -> None:
    async with at.running():
        answer, markdown, subtitles = await alone(at)
        held = at.server.hold("delete")
        await at.server.decline_consent(markdown, at.anna)
        await held.arrived.wait()
        await at.server.decline_consent(markdown, at.anna)
        held.release()
        await at.server.until(lambda: markdown.deleted)
        await at.quiet()
        await at.deliver(saying("Hello there"))
        assert at.said(at.alone) == [answer, subtitles]


@pytest.mark.parametrize("answer", ["accept", "decline"])
async def test_a_question_that_was_asked_twice_is_answered_on_either(tmp_path: Path, answer: str) -> None:
    """Where the chat can't be read back after a lost answer, a question is left over."""
    async with desk(tmp_path, App(roles=frozenset({"Files.ReadWrite.All"}))) as at, at.running():
        await at.server.send_file(at.alone, at.anna, TALK)
        [shown] = await at.answered(at.alone)
        at.server.fail("send", "lost")
        with pytest.raises(Exception, match="not known"):
            await at.deliver(saying("Hello there"))
        await at.deliver(saying("Hello there"))
        questions = [one for one in at.said(at.alone) if "md" in str(one.attachments[0].get("name"))]
        assert len(questions) == 2
        left, _ = questions
        if answer == "accept":
            await at.server.accept_consent(left, at.anna)
            await at.server.until(lambda: left.attachments[0]["contentType"] == FILE_INFO)
        else:
            await at.server.decline_consent(left, at.anna)
        await at.server.until(lambda: len(at.said(at.alone)) == (3 if answer == "accept" else 2))
        await at.quiet()
        await at.deliver(saying("Hello there"))
        assert shown in at.said(at.alone)
        assert len(at.said(at.alone)) == (3 if answer == "accept" else 2)


async def test_a_question_left_over_goes_once_the_file_is_there(tmp_path: Path) -> None:
    async with desk(tmp_path, App(roles=frozenset({"Files.ReadWrite.All"}))) as at, at.running():
        await at.server.send_file(at.alone, at.anna, TALK)
        await at.answered(at.alone)
        at.server.fail("send", "lost")
        with pytest.raises(Exception, match="not known"):
            await at.deliver(saying("Hello there"))
        await at.deliver(saying("Hello there"))
        left, real = [one for one in at.said(at.alone) if "md" in str(one.attachments[0].get("name"))]
        await at.server.accept_consent(real, at.anna)
        await at.server.until(lambda: real.attachments[0]["contentType"] == FILE_INFO)
        await at.server.accept_consent(left, at.anna)
        await at.server.until(lambda: left.deleted)
        await at.quiet()
    assert real.attachments[0]["contentType"] == FILE_INFO


async def test_consent_while_a_new_transcript_is_made_or_when_it_is_not_kept_is_answered(at: Desk) -> None:
    async with at.running():
        answer, markdown, subtitles = await alone(at)
        again = await at.server.press(answer, "Try again…", at.anna)
        assert again.dialog is not None
        await at.server.submit(again.dialog, "Transcribe again")
        await at.server.until(lambda: "Transcribing" in answer.shown)
        await at.server.accept_consent(markdown, at.anna)
        await at.told(at.alone, "A new transcript is being made")
        await at.deliver(saying("Good evening"))
        await at.server.accept_consent(markdown, at.anna)
        await at.server.until(lambda: markdown.attachments[0]["contentType"] == FILE_INFO)
        at.jobs.transcripts.clear()
        await at.server.accept_consent(subtitles, at.anna)
        await at.told(at.alone, "does not keep this transcript")
        await at.quiet()
    item = at.server.items(at.anna)["Applications/Erni/Board meeting.transcript.md"]
    assert b"Good" in item.read(0, item.size)


async def test_an_upload_that_is_over_or_has_no_room_is_explained(at: Desk) -> None:
    async with at.running():
        _, markdown, subtitles = await alone(at)
        at.server.storage.session_life = 0.0
        await at.server.accept_consent(markdown, at.anna)
        await at.server.until(lambda: "once more" in markdown.shown)
        assert markdown.attachments[0]["contentType"] == CONSENT
        at.server.storage.session_life = 900.0
        at.server.fail("piece", graph_error(507, "quotaLimitReached"))
        await at.server.accept_consent(subtitles, at.anna)
        await at.told(at.alone, "no room left")
        await at.server.accept_consent(subtitles, at.anna)
        await at.server.until(lambda: subtitles.attachments[0]["contentType"] == FILE_INFO)
        await at.quiet()


# --- messages that are changed and deleted ---


async def test_a_message_that_was_deleted_before_it_was_heard_of_is_not_taken_in(at: Desk) -> None:
    async with at.running():
        at.alone.installed = False  # so that nobody is told yet
        message = await at.server.send_file(at.alone, at.anna, TALK)
        at.alone.installed = True
        told = at.server.payloads.message("message", at.alone, message, at.anna)
        await at.server.delete(message)
        await at.quiet()
        at.server.delivery.add(told)
        await at.quiet()
        assert not at.said(at.alone)
        assert not await at.adapter.answers.states()
    assert not at.jobs.views


async def test_deleting_one_message_touches_no_other(at: Desk) -> None:
    async with at.running():
        first = await at.server.send_file(at.alone, at.anna, TALK)
        await at.answered(at.alone)
        await at.server.send_file(at.alone, at.anna, TALK)
        one, other = await at.answered(at.alone, 2)
        await at.server.delete(first)
        await at.server.until(lambda: "recording was deleted" in one.shown)
        await at.quiet()
    assert "Transcribing" in other.shown


async def test_each_change_of_a_message_counts_also_while_the_one_before_waits(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.alone, at.anna, "hello")
        await at.told(at.alone, "Ask for a transcript")
        first = at.server.add_file(at.anna, "Recordings/One.mp4", b"one")
        second = at.server.add_file(at.anna, "Recordings/Two.mp4", b"two")
        held = at.server.hold("shares")
        await at.server.edit(message, at.server.share_link(first))
        await held.arrived.wait()
        await at.server.edit(message, at.server.share_link(second))
        await at.server.delivered()
        held.release()
        await at.answered(at.alone, 2)
        await at.quiet()
    assert sorted(recording.name for recording in at.recordings()) == ["One.mp4", "Two.mp4"]


async def test_a_new_try_that_somebody_has_just_begun_goes_with_the_transcript(at: Desk) -> None:
    async with at.running():
        answer = await transcribed(at)
        again = await opened(at, answer, "Try again…")
        held = at.server.hold("update")
        await at.server.submit(again, "Transcribe again")
        await held.arrived.wait()
        await at.server.press(answer, "Delete the transcript", at.anna)
        held.release()
        await at.server.until(lambda: "was deleted by" in answer.shown)
        await at.quiet()
        assert at.jobs.views[at.job().id].state is JobState.CANCELLED
        await at.deliver(saying("Too late"))
    assert "was deleted by" in answer.shown
    assert "late" not in answer.shown


async def test_what_is_deleted_while_another_try_is_looked_at_stays_deleted(at: Desk) -> None:
    async with at.running():
        answer = await transcribed(at)
        again = await opened(at, answer, "Try again…")
        held = at.server.hold("shares")
        await at.server.submit(again, "Transcribe again")
        await held.arrived.wait()
        await at.server.press(answer, "Delete the transcript", at.anna)
        await at.server.until(lambda: "was deleted by" in answer.shown)
        held.release()
        await at.quiet()
    assert "was deleted by" in answer.shown
    assert len(at.jobs.views) == 1


# --- the app goes, and Teams moves ---


async def test_a_team_that_the_app_leaves_is_forgotten_with_all_its_channels(at: Desk) -> None:
    other = at.server.add_channel(at.team, "Planning")
    async with at.running():
        await transcribed(at)
        for channel, user in ((other, at.anna), (at.chat, at.bo)):
            post = await at.server.post(channel, user, "settings", mention_bot=True)
            card = await at.told(post, "Nothing is being transcribed")
            dialog = await at.server.press(card, "Settings", user)
            assert dialog.dialog is not None
            await at.server.submit(dialog.dialog, "Save", {"mode": "all"})
        await at.quiet()
        assert set(at.store.spaces["teams:policies"]) == {other.id, at.chat.id}
        await at.server.remove(at.channel, at.anna)
        await at.server.until(lambda: not at.jobs.transcripts)
        await at.quiet()
    assert set(at.store.spaces["teams:policies"]) == {at.chat.id}
    assert set(at.store.spaces["teams:conversations"]) == {at.chat.id}
    kept = {name: space for name, space in at.store.spaces.items() if space and "told" not in name}
    assert not [name for name in kept if at.channel.id in name or other.id in name]
    assert TALK.name not in json.dumps(kept)


async def test_a_channel_that_is_deleted_is_forgotten_and_no_other(at: Desk) -> None:
    other = at.server.add_channel(at.team, "Planning")
    async with at.running():
        await transcribed(at)
        message = await at.server.post(other, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        await at.answered(message)
        await at.server.delete_channel(other, at.anna)
        await at.server.until(lambda: at.jobs.views[at.job().id].state is JobState.CANCELLED)
        await at.quiet()
        [left] = await at.adapter.answers.states()
    assert left.share.where.conversation == at.channel.id
    assert at.jobs.transcripts


async def test_a_result_that_comes_after_the_app_was_removed_is_not_remembered(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        await at.answered(message)
        await at.server.remove(at.channel, at.anna)
        await at.quiet()
        await at.deliver(saying("Hello there"))
        assert await at.adapter.report_failure(at.job(), "It broke.")
        assert not await at.adapter.answers.states()
        assert not at.server.called("update")


@pytest.mark.parametrize("where", ["channel", "chat"])
async def test_the_app_is_removed_in_the_middle_and_comes_back(at: Desk, where: str) -> None:
    conversation = at.channel if where == "channel" else at.chat
    async with at.running():
        message = await at.server.post(conversation, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        await at.answered(message)
        (at.team if where == "channel" else at.chat).installed = False  # nobody heard of it
        with pytest.raises(Rejected):
            await at.deliver(saying("Hello there"))
        await at.server.install(conversation, at.anna)
        await at.quiet()
        [answer] = at.answers(message)
        await at.deliver(saying("Hello there"))
        assert at.answers(message) == [answer]
    assert "Hello" in answer.shown


async def test_what_teams_is_reached_under_may_change(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        [answer] = await at.answered(message)
        at.server.connector.region = "amer"
        with pytest.raises(Rejected):
            await at.deliver(saying("Hello there"))
        await at.server.post(at.channel, at.bo, "status", mention_bot=True)  # by which it becomes known
        await at.quiet()
        await at.adapter.progress(at.job(), Stage.RECOGNISING, 0.5)
        await at.deliver(saying("Hello there"))
    assert at.answers(message) == [answer]
    assert "Hello" in answer.shown


# --- a great deal of it ---


async def test_what_was_answered_long_ago_slows_nothing_down(at: Desk) -> None:
    """Deleting a message, asking for the status and stopping don't read what is over."""
    async with at.running():
        await transcribed(at)
        [state] = await at.adapter.answers.states()
        at.store.spaces["teams:shares"] |= {f"old{number}": "no state at all" for number in range(5000)}
        assert state.phase == "done"
        await at.server.send_file(at.alone, at.anna, TALK)
        message = await at.server.send_file(at.alone, at.anna, TALK)
        one, other = await at.answered(at.alone, 2)
        await at.server.post(at.alone, at.anna, "status")
        await at.told(at.alone, "In progress: 2")
        await at.server.delete(message)
        await at.server.until(lambda: "recording was deleted" in other.shown)
        await at.server.post(at.alone, at.anna, "stop")
        await at.server.until(lambda: "was stopped by" in one.shown)
        await at.quiet()


async def test_many_people_do_many_things_at_once_and_each_share_has_one_answer(tmp_path: Path) -> None:
    async with desk(tmp_path, App(rsc=RSC)) as at, at.running(), at.running(at.open()):
        messages = [await at.server.post(at.chat, at.anna, files=[TALK]) for _ in range(6)]
        await asyncio.gather(*(at.asked(message, user) for message in messages for user in (at.anna, at.bo)))
        await at.answered(at.chat, 6)
        await at.quiet()
        jobs = [view.job for view in at.jobs.views.values()]
        assert len(jobs) == 6
        await asyncio.gather(*(at.deliver(saying(f"Number{n}"), job) for n, job in enumerate(jobs)))
        await at.quiet()
        answers = at.answers(at.chat)
    assert sorted(word for one in answers for word in one.shown.split() if "Number" in word) == [
        f"Number{n}" for n in range(6)
    ]
    assert len(answers) == 6
