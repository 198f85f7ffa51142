"""The Teams door against a Microsoft 365 on this machine: what people share, ask for, see, and do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.model import JobState, Stage
from core.refusals import Refusal
from core.sniffing import refusal
from tests.adapters.slack_desk import saying
from tests.adapters.teams_desk import TALK, Desk, desk
from tests.vendors.teams import File, connector_error, inputs
from tests.vendors.teams_model import CONSENT, FILE_INFO


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as found:
        yield found


# --- sharing ---


async def test_a_recording_sent_to_the_app_is_answered_from_the_first_word_to_the_result(at: Desk) -> None:
    async with at.running():
        await at.server.send_file(at.alone, at.anna, TALK)
        [answer] = await at.answered(at.alone, text="Transcribing")
        job = at.job()
        assert job.recording.name == "Board meeting.mp3"
        assert job.recording.shared_by == at.anna.id
        assert await at.fetched() == TALK.data
        await at.adapter.progress(job, Stage.RECOGNISING, 0.4)
        await at.server.until(lambda: "Listening" in answer.shown)
        await at.deliver(saying("Good morning everybody"))
    assert at.answers(at.alone) == [answer]
    assert "Good" in answer.shown
    assert "Speaker 1" in answer.shown


async def test_the_message_command_transcribes_in_a_channel_and_in_a_group_chat(at: Desk) -> None:
    async with at.running():
        post = await at.server.post(at.channel, at.anna, "The meeting", files=[TALK])
        reply = await at.server.post(at.channel, at.bo, "And this", files=[TALK], reply_to=post)
        message = await at.server.post(at.chat, at.anna, files=[TALK])
        for one in (post, reply, message):
            await at.asked(one, at.bo)
        answers = await at.answered(post, 2, text="Transcribing")
        [other] = await at.answered(at.chat, text="Transcribing")
        assert len(at.jobs.views) == 3
        for job in [view.job for view in at.jobs.views.values()]:
            assert await at.fetched(job) == TALK.data
            assert job.recording.shared_by in {at.anna.id, at.bo.id}
            await at.deliver(saying("Good morning everybody"), job)
    assert all(answer.root == post.id and "Good" in answer.shown for answer in answers)
    assert "Good" in other.shown


async def test_each_share_is_answered_once_however_often_teams_tells_of_it(at: Desk) -> None:
    async with at.running():
        await at.server.send_file(at.alone, at.anna, TALK, copies=3)
        await at.answered(at.alone)
        await at.quiet()
    assert len(at.jobs.views) == 1
    assert len(at.answers(at.alone)) == 1


@pytest.mark.parametrize("named", [True, False])
async def test_several_recordings_in_one_message_have_an_answer_each_and_pictures_have_none(
    at: Desk, *, named: bool
) -> None:
    at.server.names_requests = named
    other, picture = File(name="second.wav", data=b"RIFF"), File(name="photo.png", data=b"PNG")
    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK, picture, other])
        opened = await at.server.command(message, at.bo)
        assert opened.dialog is not None
        assert inputs(opened.dialog.card)["which"]["choices"][0]["title"] == "Both recordings"
        await at.server.submit(opened.dialog, "Transcribe", copies=2)
        await at.answered(message, 2)
        await at.quiet()
        assert at.said(message) == at.answers(message)
    assert sorted(recording.name for recording in at.recordings()) == ["Board meeting.mp3", "second.wav"]


async def test_one_of_several_recordings_with_other_settings(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.chat, at.anna, files=[TALK, File(name="second.wav", data=b"RIFF")])
        opened = await at.server.command(message, at.bo)
        assert opened.dialog is not None
        wrong = await at.server.submit(opened.dialog, "Transcribe", {"which": "1", "languages": "Klingon"})
        assert wrong.dialog is not None
        assert "Klingon" in str(wrong.dialog.card)
        values = {"which": "1", "languages": "German", "speakers": "2-4"}
        told = await at.server.submit(wrong.dialog, "Transcribe", values)
        assert told.message
        await at.answered(message)
    [recording] = at.recordings()
    assert recording.name == "second.wav"
    assert recording.policy.languages == ("de",)
    assert (recording.policy.min_speakers, recording.policy.max_speakers) == (2, 4)


async def test_everything_shared_where_the_policy_wants_it(tmp_path: Path) -> None:
    async with desk(tmp_path, TEAMS_TRANSCRIBE="all") as at, at.running():
        post = await at.server.post(at.channel, at.anna, "Hello")
        await at.server.post(at.channel, at.anna, files=[TALK], reply_to=post)
        await at.server.post(at.chat, at.anna, files=[TALK])
        await at.answered(post)
        await at.answered(at.chat)
        await at.quiet()
        assert len(at.jobs.views) == 2


async def test_where_nobody_asks_nothing_happens(at: Desk) -> None:
    async with at.running():
        await at.server.post(at.channel, at.anna, files=[TALK])
        await at.server.post(at.chat, at.anna, files=[TALK])
        await at.quiet()
    assert not at.jobs.views
    assert not at.said(at.chat)
    assert not at.server.called("channel message")


# --- asking ---


async def test_by_mention_with_the_recording_in_reply_to_it_and_quoting_it(at: Desk) -> None:
    async with at.running():
        first = await at.server.post(at.channel, at.bo, "transcribe", files=[TALK], mention_bot=True)
        await at.answered(first)
        second = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.server.post(at.channel, at.bo, "please", reply_to=second, mention_bot=True)
        await at.answered(second)
        third = await at.server.post(at.chat, at.anna, files=[TALK])
        await at.server.post(at.chat, at.bo, "transcribe", reply_to=third, mention_bot=True)
        await at.answered(third)
        await at.quiet()
    assert len(at.jobs.views) == 3
    assert [recording.shared_by for recording in at.recordings()] == [at.bo.id, at.anna.id, at.anna.id]


async def test_a_mention_about_nothing_says_so_and_an_edited_one_does_what_it_says_then(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.chat, at.bo, "what is this?", mention_bot=True)
        told = await at.told(at.chat, "found no recording")
        item = at.server.add_file(at.bo, "Recordings/Call.mp4", b"video")
        await at.server.edit(message, f"transcribe {at.server.share_link(item)}")
        await at.answered(at.chat)
        await at.quiet()
    assert at.recordings()[0].name == "Call.mp4"
    assert [one for one in at.said(at.chat) if "found no" in one.shown] == [told]


@pytest.mark.parametrize("sent", [False, True])
async def test_a_page_that_is_named_like_a_recording_is_left_to_the_check_of_media(
    at: Desk, sent: bool
) -> None:
    page = File(name="a.mp3", data=b"<!DOCTYPE html><html><body>Sign in to our network</body></html>")
    async with at.running():
        if sent:
            await at.server.send_file(at.alone, at.anna, page)
            await at.answered(at.alone, text="Transcribing")
        else:
            post = await at.server.post(at.channel, at.anna, files=[page])
            await at.asked(post, at.bo)
            await at.answered(post, text="Transcribing")
        assert refusal(await at.fetched()) is Refusal.WEB_PAGE


async def test_the_recording_of_a_meeting_works_like_any_file(at: Desk) -> None:
    async with at.running():
        chat = await at.server.post_recording(at.chat, at.anna, "Weekly-Recording.mp4", TALK.data)
        await at.asked(chat, at.bo)
        await at.answered(at.chat)
        assert await at.fetched() == TALK.data
        linked = await at.server.post(
            at.channel,
            at.bo,
            f"Here: {at.server.share_link(at.server.add_file(at.anna, 'Recordings/Other.mp4', b'other'))}",
        )
        await at.asked(linked, at.anna)
        await at.answered(linked)
        assert await at.fetched() == b"other"
    assert [recording.name for recording in at.recordings()] == ["Weekly-Recording.mp4", "Other.mp4"]


async def test_a_link_elsewhere_comes_through_the_door_that_knows_it_or_is_explained(at: Desk) -> None:
    known, unknown = "https://drive.example/known.mp3", "https://drive.google.com/file/d/1/view"
    at.links.files[known] = b"from the drive"
    async with at.running():
        await at.server.post(at.alone, at.anna, f"This one: {known}")
        await at.answered(at.alone, text="Transcribing")
        assert await at.fetched() == b"from the drive"
        await at.server.post(at.alone, at.anna, unknown)
        await at.told(at.alone, "Google Drive")
        await at.deliver(saying("Hello there"))
    assert len(at.jobs.views) == 1


async def test_asking_where_it_was_done_says_so(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        await at.answered(message)
        await at.deliver(saying("Hello there"))
        await at.asked(message, at.bo)
        told = await at.told(message, "was transcribed already")
        [answer] = at.answers(message)
        see = await at.server.press(told, "See the transcript", at.bo)
        assert see.url == at.server.payloads.link(at.channel, answer)
        other = await at.server.post(at.chat, at.anna, files=[TALK])
        await at.asked(other, at.bo)
        [answer] = await at.answered(at.chat)
        await at.asked(other, at.bo)
        told = await at.told(at.chat, "is being transcribed")
        see = await at.server.press(told, "See how far it is", at.bo)
        assert see.url == at.server.payloads.link(at.chat, answer)
    assert len(at.jobs.views) == 2


async def test_the_recording_of_a_meeting_is_found_by_a_mention_in_its_chat(at: Desk) -> None:
    """What Teams writes about it can't be replied to, and some clients offer no menu on it."""
    async with at.running():
        await at.server.post_recording(at.chat, at.anna, "First.mp4", b"the first")
        await at.server.post_recording(at.chat, at.anna, "Weekly.mp4", TALK.data)
        await at.server.post(at.chat, at.bo, files=[File(name="later.mp3", data=b"another")])
        await at.server.post(at.chat, at.bo, "transcribe", mention_bot=True)
        await at.answered(at.chat)
        assert await at.fetched() == TALK.data
        await at.quiet()
    [recording] = at.recordings()
    assert recording.name == "Weekly.mp4"
    assert recording.shared_by == at.anna.id


async def test_where_the_app_is_not_the_dialog_offers_to_add_it_and_goes_on(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.bare, at.anna, files=[TALK])
        opened = await at.server.command(message, at.bo)
        assert opened.dialog is not None
        assert "not in this conversation" in str(opened.dialog.card)
        added = await at.server.submit(opened.dialog, "Add it here")
        assert added.dialog is not None
        await at.server.submit(added.dialog, "Transcribe")
        await at.answered(at.bare)


@pytest.mark.parametrize(
    "refusal",
    [
        (403, "Forbidden"),
        (403, "BotNotInConversationRoster"),
        (404, "ConversationNotFound"),
        (404, "MemberNotFoundInConversation"),
    ],
)
async def test_whatever_teams_calls_it_the_dialog_offers_to_add_the_app(
    at: Desk, refusal: tuple[int, str]
) -> None:
    async with at.running():
        message = await at.server.post(at.bare, at.anna, files=[TALK])
        at.server.fail("member", connector_error(*refusal, "no"))
        opened = await at.server.command(message, at.bo)
        assert opened.dialog is not None
        assert "not in this conversation" in str(opened.dialog.card)


async def test_that_the_app_is_there_is_asked_once_in_a_while_and_again_when_it_was_removed(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.chat, at.anna, files=[TALK])
        for _ in range(3):
            opened = await at.server.command(message, at.bo)
            assert opened.dialog is not None
            assert "not in this conversation" not in str(opened.dialog.card)
        assert len(at.server.called("member")) == 1
        await at.server.remove(at.chat, at.anna)
        await at.quiet()
        opened = await at.server.command(message, at.bo)
        assert opened.dialog is not None
        assert "not in this conversation" in str(opened.dialog.card)
        assert len(at.server.called("member")) == 2


async def test_the_command_on_what_has_no_recording_says_so(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.channel, at.anna, "Good morning")
        opened = await at.server.command(message, at.bo)
        assert opened.dialog is not None
        assert "found no recording" in str(opened.dialog.card)


async def test_words_that_the_app_knows(at: Desk) -> None:
    async with at.running():
        await at.server.post(at.alone, at.anna, "hello?", copies=2)
        await at.told(at.alone, "Ask for a transcript")
        await at.server.post(at.alone, at.anna, "status")
        await at.told(at.alone, "Nothing is being transcribed")
        await at.server.post(at.alone, at.anna, "Stop")
        await at.told(at.alone, "Nothing is being transcribed here right now.")
        await at.server.send_file(at.alone, at.anna, TALK)
        [answer] = await at.answered(at.alone)
        await at.server.post(at.alone, at.anna, "status")
        await at.told(at.alone, "In progress: 1")
        await at.server.post(at.alone, at.anna, "stop")
        await at.server.until(lambda: "was stopped by" in answer.shown)
        post = await at.server.post(at.channel, at.bo, "help", mention_bot=True)
        await at.told(post, "Ask for a transcript")
        await at.quiet()
    assert len([one for one in at.said(at.alone) if "Ask for a transcript" in one.shown]) == 1


async def test_who_adds_the_app_for_themselves_is_welcomed_once(at: Desk) -> None:
    alone = at.server.add_personal_chat(at.bo, installed=False)
    async with at.running():
        await at.server.install(alone, at.bo)
        await at.quiet()
        await at.server.post(alone, at.bo, "status")
        await at.told(alone, "Nothing is being transcribed")
    assert len(at.said(alone)) == 2


# --- the result ---


async def test_the_whole_transcript_pages_for_who_asks(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        [answer] = await at.answered(message)
        await at.deliver(saying(" ".join(f"word{number}" for number in range(400)), speakers=2))
        first = await at.server.press(answer, "Show the whole transcript", at.bo)
        assert "Page 1 of" in str(first.card)
        second = await at.server.press(answer, "Next", at.bo)
        assert "Page 2 of" in str(second.card)
        back = await at.server.press(answer, "Overview", at.bo)
        assert "Show the whole transcript" in str(back.card)
        elsewhere = await at.server.post(at.chat, at.bo, "hello")
        assert elsewhere
    assert "Page" not in answer.shown


async def test_files_are_put_beside_the_recording_and_changed_with_the_names(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        paths = {"General/Board meeting.transcript.md", "General/Board meeting.transcript.srt"}
        assert paths < set(at.server.items(at.team))
        assert "Board meeting.transcript.md" in answer.shown
        await at.deliver(saying("Hello there"))
        opened = await at.server.press(answer, "Name the speakers", at.bo)
        assert opened.dialog is not None
        await at.server.submit(opened.dialog, "Save", {"own:0": "Grace Hopper"}, copies=2)
        await at.server.until(lambda: "Grace Hopper" in answer.shown)
        await at.quiet()
        item = at.server.items(at.team)["General/Board meeting.transcript.md"]
        assert b"Grace Hopper" in item.read(0, item.size)
        assert len(at.server.items(at.team)) == 3
        merged = await at.server.press(answer, "Name the speakers", at.bo)
        assert merged.dialog is not None
        await at.server.submit(merged.dialog, "Save", {"who:1": "same:0"})
        await at.server.until(lambda: "Speaker 2" not in answer.shown)
        await at.quiet()
    assert len(at.answers(message)) == 1


async def test_what_somebody_wrote_into_a_file_stays(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        item = at.server.items(at.team)["General/Board meeting.transcript.md"]
        item.data, item.version = b"my notes", item.version + 1
        opened = await at.server.press(answer, "Name the speakers", at.bo)
        assert opened.dialog is not None
        await at.server.submit(opened.dialog, "Save", {"own:0": "Grace Hopper"})
        await at.server.until(lambda: "General/Board meeting.transcript (2).md" in at.server.items(at.team))
        await at.quiet()
    assert item.data == b"my notes"


async def test_in_a_group_chat_its_people_can_open_the_files_and_nobody_else_can(at: Desk) -> None:
    outsider = at.server.add_user(at.anna.tenant, "Olga Out")
    async with at.running():
        message = await at.server.post(at.chat, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        [answer] = await at.answered(at.chat)
        await at.deliver(saying("Hello there"))
    files = at.server.items(at.anna)
    assert "Board meeting.transcript.md" in answer.shown
    for path in ("Board meeting.transcript.md", "Board meeting.transcript.srt"):
        item = files[f"Microsoft Teams Chat Files/{path}"]
        assert at.server.m365.web_url(item) in str(answer.card)
        assert [at.server.can_open(item, user) for user in (at.anna, at.bo, outsider)] == [True, True, False]
    assert "can't open" not in answer.shown
    assert len(at.server.called("pagedmembers")) == 1


async def test_in_a_chat_with_the_app_files_come_with_consent(at: Desk) -> None:
    async with at.running():
        await at.server.send_file(at.alone, at.anna, TALK)
        [answer] = await at.answered(at.alone)
        await at.deliver(saying("Hello there"))
        await at.deliver(saying("Hello there"))
        markdown, subtitles = [one for one in at.said(at.alone) if one is not answer]
        accepted = await at.server.accept_consent(markdown, at.anna, copies=2)
        path = "Applications/Erni/Board meeting.transcript.md"
        await at.server.until(lambda: path in at.server.items(at.anna))
        await at.quiet()
        at.server.delivery.add(accepted.delivery.activity)  # once more, when it is done
        await at.quiet()
        assert markdown.attachments[0]["contentType"] == FILE_INFO
        item = at.server.items(at.anna)[path]
        assert b"Hello" in item.read(0, item.size)
        await at.server.decline_consent(subtitles, at.anna)
        await at.server.until(lambda: subtitles.deleted)
        await at.deliver(saying("Hello there"))
        assert at.said(at.alone) == [answer, markdown]
        opened = await at.server.press(answer, "Name the speakers", at.anna)
        assert opened.dialog is not None
        await at.server.submit(opened.dialog, "Save", {"own:0": "Grace Hopper"})
        await at.server.until(lambda: markdown.attachments[0]["contentType"] == CONSENT)
        await at.quiet()
        assert at.said(at.alone) == [answer, markdown]
        await at.server.press(answer, "Get it", at.anna, {"format": "srt"})
        await at.server.until(lambda: len(at.said(at.alone)) == 3)
        await at.quiet()


async def test_consent_given_after_a_restart_and_too_late(at: Desk) -> None:
    async with at.running():
        await at.server.send_file(at.alone, at.anna, TALK)
        [answer] = await at.answered(at.alone)
        await at.deliver(saying("Hello there"))
    markdown, subtitles = [one for one in at.said(at.alone) if one is not answer]
    async with at.running(at.open()):
        await at.server.accept_consent(markdown, at.anna)
        await at.server.until(lambda: markdown.attachments[0]["contentType"] == FILE_INFO)
        at.server.storage.session_life = 0.0
        await at.server.accept_consent(subtitles, at.anna)
        await at.quiet()
        assert subtitles.attachments[0]["contentType"] == CONSENT
        at.server.storage.session_life = 900.0
        await at.server.accept_consent(subtitles, at.anna)
        await at.server.until(lambda: subtitles.attachments[0]["contentType"] == FILE_INFO)
        await at.quiet()


# --- deeds ---


async def test_stop_then_try_again_with_other_settings(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        [answer] = await at.answered(message)
        told = await at.server.press(answer, "Stop", at.bo, copies=2)
        assert told.message
        await at.server.until(lambda: "was stopped by" in answer.shown)
        await at.quiet()
        assert at.jobs.views[at.job().id].state is JobState.CANCELLED
        stopped = at.job()
        opened = await at.server.press(answer, "Try again…", at.bo)
        assert opened.dialog is not None
        await at.server.submit(opened.dialog, "Transcribe again", {"languages": "French"}, copies=2)
        await at.server.until(lambda: "Transcribing" in answer.shown)
        await at.quiet()
        assert len(at.jobs.views) == 2
        assert at.job().recording.policy.languages == ("fr",)
        await at.adapter.deliver(saying("Belated"), stopped)
        assert "Belated" not in answer.shown
        await at.deliver(saying("Bonjour tout"))
    assert at.answers(message) == [answer]
    assert "Bonjour" in answer.shown


async def test_another_format(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        await at.server.press(answer, "Get it", at.bo, {"format": "docx"}, copies=2)
        await at.server.until(lambda: "Board meeting.transcript.docx" in answer.shown)
        await at.quiet()
    assert "General/Board meeting.transcript.docx" in at.server.items(at.team)


async def test_only_who_shared_it_or_an_owner_can_delete(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        refused = await at.server.press(answer, "Delete the transcript", at.bo)
        assert "Only who shared" in str(refused.message)
        await at.server.press(answer, "Delete the transcript", at.anna)
        await at.server.until(lambda: "was deleted by" in answer.shown)
        await at.quiet()
    assert set(at.server.items(at.team)) == {"General/Board meeting.mp3"}
    assert not at.jobs.transcripts


async def test_deleting_the_message_takes_the_transcript_away(at: Desk) -> None:
    async with at.running():
        message = await at.server.send_file(at.alone, at.anna, TALK)
        [answer] = await at.answered(at.alone)
        await at.deliver(saying("Hello there"))
        await at.server.delete(message)
        await at.server.until(lambda: "recording was deleted" in answer.shown)
        await at.quiet()
    assert at.said(at.alone) == [answer]


async def test_settings_are_for_owners_of_the_team_and_people_of_the_chat(at: Desk) -> None:
    async with at.running():
        post = await at.server.post(at.channel, at.bo, "settings", mention_bot=True)
        card = await at.told(post, "Nothing is being transcribed")
        refused = await at.server.press(card, "Settings", at.bo)
        assert "owners of the team" in str(refused.message)
        opened = await at.server.press(card, "Settings", at.anna)
        assert opened.dialog is not None
        saved = await at.server.submit(opened.dialog, "Save", {"mode": "all", "languages": "German"})
        assert saved.message
        await at.quiet()
        again = await at.server.press(card, "Settings", at.anna)
        assert again.dialog is not None
        assert inputs(again.dialog.card)["mode"]["value"] == "all"
        await at.server.post(at.channel, at.bo, files=[TALK])
        await at.server.until(lambda: at.jobs.views)
        assert at.recordings()[0].policy.languages == ("de",)
        mine = await at.server.post(at.chat, at.bo, "status", mention_bot=True)
        other = await at.told(mine, "Nothing is being transcribed")
        assert (await at.server.press(other, "Settings", at.bo)).dialog is not None
        await at.quiet()


async def test_transcripts_are_kept_as_long_as_the_conversation_wants(at: Desk) -> None:
    async with at.running():
        await at.server.send_file(at.alone, at.anna, TALK)
        [answer] = await at.answered(at.alone)
        await at.deliver(saying("Hello there"))
        state = (await at.adapter.answers.states())[0]
        policy = replace(await at.adapter.conversations.policy(state.share.where), retention_days=3)
        await at.adapter.conversations.choose(state.share.where, policy)
        await at.adapter.keeping.clear(state.at + 2 * 86400)
        assert "Hello" in answer.shown
        await at.adapter.keeping.clear(state.at + 4 * 86400)
        assert "after 3 days" in answer.shown
    assert not at.jobs.transcripts


async def test_where_another_try_comes_to_nothing_the_transcript_before_it_is_shown_again(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        for failure in (True, False):
            opened = await at.server.press(answer, "Try again…", at.bo)
            assert opened.dialog is not None
            await at.server.submit(opened.dialog, "Transcribe again")
            await at.server.until(lambda: "Transcribing" in answer.shown)
            await at.quiet()
            if failure:
                await at.adapter.report_failure(at.job(), "There is no sound in it.")
            else:
                await at.server.press(answer, "Stop", at.bo)
                await at.quiet()
            assert "Hello" in answer.shown
            assert "earlier transcript" in answer.shown
        [item] = message.files.values()
        item.deleted = True
        opened = await at.server.press(answer, "Try again…", at.bo)
        assert opened.dialog is not None
        await at.server.submit(opened.dialog, "Transcribe again")
        await at.told(message, "deleted or moved")
        await at.quiet()
        assert "Hello" in answer.shown
        await at.server.press(answer, "Delete the transcript", at.anna)
        await at.server.until(lambda: "was deleted by" in answer.shown)
        await at.quiet()
    assert not at.jobs.transcripts
