"""The Slack door against a Slack on this machine: what people share, ask for, see, and do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bots.slack import ids
from core.errors import Rejected, Transient
from core.model import JobState, Stage
from core.refusals import Refusal
from core.sniffing import refusal as refusal_of
from core.testing import MemoryStore
from tests.adapters.slack_desk import TALK, Desk, desk, saying
from tests.vendors.slack import Item, refusal


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as found:
        yield found


# --- sharing ---


async def test_a_recording_is_answered_in_its_thread_from_the_first_word_to_the_result(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message, text="Transcribing")
        job = at.job()
        assert job.recording.name == "Board meeting.mp3"
        assert job.recording.size == len(TALK.data)
        assert job.recording.shared_by == at.anna.id
        await at.adapter.fetch(job.recording, at.folder / "fetched")
        assert (at.folder / "fetched").read_bytes() == TALK.data
        await at.adapter.progress(job, Stage.RECOGNISING, 0.4)
        await at.server.until(lambda: "Listening" in answer.shown)
        await at.deliver(saying("Good morning everybody"))
    assert at.answers(message) == [answer]
    assert "Good" in answer.shown
    assert "Speaker 1" in answer.shown
    assert set(at.files(message)) == {"Board meeting.transcript.md", "Board meeting.transcript.srt"}
    assert b"morning" in at.files(message)["Board meeting.transcript.md"]


async def test_each_share_is_answered_once_however_often_slack_tells_of_it(at: Desk) -> None:
    async with at.running(), at.running(at.open()):
        message, _ = await at.server.share(at.channel, at.anna, TALK, copies=3)
        late, _ = await at.server.share(at.channel, at.bo, TALK, order="message first", delay_shares=2)
        await at.server.delivered()
        await at.answered(message)
        await at.answered(late)
        await quiet(at)
    assert len(at.jobs.views) == 2
    assert len(at.answers(message)) == 1
    assert len(at.answers(late)) == 1


async def test_several_recordings_in_one_message_have_an_answer_each_and_pictures_have_none(at: Desk) -> None:
    picture = Item(name="photo.png", data=b"PNG", mimetype="image/png")
    program = Item(name="main.ts", data=b"let x", mimetype="text/plain")
    other = Item(name="second.wav", data=b"RIFF")
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK, picture, program, other)
        await at.answered(message, 2)
        await quiet(at)
    assert sorted(recording.name for recording in at.recordings()) == ["Board meeting.mp3", "second.wav"]


async def test_a_share_in_a_thread_is_answered_there(at: Desk) -> None:
    async with at.running():
        root = await at.server.say(at.channel, at.bo, "Who has the recording?")
        message, _ = await at.server.share(at.channel, at.anna, TALK, thread_ts=root.ts)
        [answer] = await at.answered(message)
    assert answer.thread_ts == root.ts


async def test_a_stub_of_another_organisation_is_looked_up(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK, check_file_info=True)
        await at.answered(message)
    assert at.job().recording.size == len(TALK.data)


async def test_only_the_event_of_the_file_is_enough(at: Desk) -> None:
    """As where the app may not read messages."""
    at.server.installation(at.workspace).scopes -= {"channels:history"}
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK, delay_shares=1)
        await at.answered(message)
    assert len(at.jobs.views) == 1


async def test_the_app_leaves_its_own_files_other_apps_and_what_was_there_before_it_alone(at: Desk) -> None:
    robot = at.server.add_user(at.workspace, "robot", is_bot=True)
    quiet_place = at.server.add_channel(at.workspace, "later", members=[at.anna], bot=False)
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(message)
        await at.deliver(saying("Hello there"))
        await at.server.share(at.channel, robot, TALK)
        await at.server.share(quiet_place, at.anna, TALK)
        await at.server.invite(quiet_place, at.server.installation(at.workspace).bot_user_id)
        await quiet(at)
        assert len(at.jobs.views) == 1
        fresh, _ = await at.server.share(quiet_place, at.anna, TALK)
        await at.server.until(lambda: at.answers(fresh, quiet_place))


async def test_what_was_deleted_or_hidden_is_no_work(at: Desk) -> None:
    async with at.running():
        await at.server.share(at.channel, at.anna, replace(TALK, mode="tombstone"))
        await at.server.share(at.channel, at.anna, replace(TALK, mode="hidden_by_limit"))
        await quiet(at)
    assert not at.jobs.views


async def test_a_link_elsewhere_comes_through_the_door_that_knows_it_or_is_explained(at: Desk) -> None:
    known, unknown = "https://drive.example/known", "https://drive.example/unknown"
    at.links.files[known] = b"from the drive"
    linked = replace(TALK, mode="external", external_type="gdrive", external_url=known)
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, linked)
        await at.answered(message, text="Transcribing")
        await at.adapter.fetch(at.job().recording, at.folder / "fetched")
        other, _ = await at.server.share(at.channel, at.anna, replace(linked, external_url=unknown))
        await at.answered(other, text="Google Drive")
        await quiet(at)
    assert (at.folder / "fetched").read_bytes() == b"from the drive"
    assert len(at.jobs.views) == 1


# --- asking ---


async def test_with_the_shortcut_by_mention_and_by_link(tmp_path: Path) -> None:
    async with desk(tmp_path, SLACK_TRANSCRIBE="asked") as at, at.running():
        first, _ = await at.server.share(at.channel, at.anna, TALK)
        second, _ = await at.server.share(at.channel, at.anna, replace(TALK, name="two.mp3"))
        third, [file] = await at.server.share(at.channel, at.anna, replace(TALK, name="three.mp3"))
        await quiet(at)
        assert not at.jobs.views
        await at.server.shortcut(first, at.bo, ids.SHORTCUT)
        await at.answered(first)
        me = at.server.installation(at.workspace).bot_user_id
        await at.server.say(at.channel, at.bo, f"<@{me}> please", thread_ts=second.ts)
        await at.answered(second)
        await at.server.slash(at.channel, at.bo, permalink(at, third.ts))
        await at.answered(third)
        await at.server.slash(at.channel, at.bo, f"<https://acme.slack.com/files/U0/{file.id}/three.mp3>")
        await at.server.until(lambda: any("being transcribed" in e.shown for e in at.server.ephemerals))
        await quiet(at)
        assert len(at.jobs.views) == 3
        assert len(at.answers(third)) == 1


async def test_asking_where_it_was_done_points_to_the_result(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(message)
        await at.deliver(saying("Hello there"))
        await at.server.shortcut(message, at.bo, ids.SHORTCUT)
        await at.server.until(lambda: at.server.ephemerals)
    [told] = at.server.ephemerals
    assert "was transcribed already" in told.shown
    assert told.user == at.bo.id
    assert len(at.jobs.views) == 1


async def test_who_asks_for_a_recording_in_a_place_that_is_not_theirs_learns_nothing(at: Desk) -> None:
    secret = at.server.add_channel(at.workspace, "board", kind="group", creator=at.root, members=[at.root])
    async with at.running():
        message, [file] = await at.server.share(secret, at.root, TALK)
        await at.server.until(lambda: at.answers(message, secret))
        await at.deliver(saying("Quarterly figures"))
        await at.server.slash(at.channel, at.bo, permalink(at, message.ts, secret.id))
        await at.server.slash(at.channel, at.bo, f"https://acme.slack.com/files/U0/{file.id}/x.mp3")
        await at.server.until(lambda: len(at.server.ephemerals) == 2)
    assert not any("archives" in told.shown or "figures" in told.shown for told in at.server.ephemerals)


async def test_asking_where_the_app_is_not_says_how_to_invite_it(at: Desk) -> None:
    place = at.server.add_channel(at.workspace, "closed", members=[at.anna], bot=False)
    async with at.running():
        message, _ = await at.server.share(place, at.anna, TALK)
        await at.server.shortcut(message, at.anna, ids.SHORTCUT)
        await at.server.until(lambda: at.server.ephemerals)
    assert "/invite" in at.server.ephemerals[0].shown
    assert not at.jobs.views


async def test_asking_for_nothing_is_answered_with_help(at: Desk) -> None:
    async with at.running():
        me = at.server.installation(at.workspace).bot_user_id
        await at.server.say(at.channel, at.bo, f"<@{me}> hello")
        await at.server.until(lambda: at.server.ephemerals)
        await at.server.slash(at.channel, at.bo, "help")
        await at.server.slash(at.channel, at.bo, "status")
        await at.server.slash(at.channel, at.bo, "https://example.com/x")
        await at.server.until(lambda: len(at.server.ephemerals) >= 4)
    texts = [told.shown for told in at.server.ephemerals]
    assert any("/transcribe settings" in text for text in texts)
    assert any("no recording there" in text for text in texts)
    assert any("Every recording that is shared here" in text for text in texts)


# --- results and what people do with them ---


async def test_nothing_is_posted_twice_when_answers_of_slack_are_lost(at: Desk) -> None:
    at.server.fail("chat.postMessage", "lost")
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(message, text="Transcribing")
        await at.server.until(lambda: at.server.called("conversations.replies"))
        at.server.fail("files.completeUploadExternal", "lost")
        at.server.fail("chat.update", "lost")
        for _ in range(3):
            with contextlib.suppress(Transient):  # the worker tries again
                await at.deliver(saying("Hello there"))
                break
    assert len(at.answers(message)) == 1
    assert len(at.files(message)) == 2
    assert sum(bool(reply.files) for reply in at.thread(message)) == 1


async def test_two_processes_deliver_once(at: Desk) -> None:
    other = at.open()
    async with at.running(), at.running(other):
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(message)
        transcript, job = saying("Hello there"), at.job()
        await asyncio.gather(*(each.deliver(transcript, job) for each in (at.adapter, other, at.adapter)))
    assert len(at.answers(message)) == 1
    assert len(at.files(message)) == 2


async def test_a_bar_that_is_late_never_covers_the_result(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        await at.adapter.progress(at.job(), Stage.RECOGNISING, 0.9)
        await quiet(at)
    assert "Hello" in answer.shown


async def test_speakers_are_named_in_the_answer_and_in_its_files(at: Desk) -> None:
    async with at.running():
        message, [recording] = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Good morning dear colleagues", speakers=3))
        before = set(at.server.files)
        await at.server.press(answer, ids.RENAME, at.bo)
        await at.server.until(lambda: at.server.views)
        [view] = at.server.views
        await at.server.submit_view(
            view,
            {
                "name:Speaker%201": "Zoë <!channel>",
                "who:Speaker%202": f"member:{at.bo.id}",
                "who:Speaker%203": "same:Speaker%202",
            },
        )
        await at.server.until(lambda: "Zoë" in answer.shown)
        await at.server.until(lambda: any(at.bo.name.encode() in data for data in at.files(message).values()))
    assert "Speaker" not in answer.shown
    assert at.bo.name in answer.shown
    assert len(at.answers(message)) == 1
    assert len(at.files(message)) == 2
    assert all(at.server.slack.files[name].deleted for name in before - {recording.id})
    assert sum(bool(reply.files) for reply in at.thread(message) if not reply.deleted) == 1


async def test_another_format_comes_to_the_thread(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        choice = next(
            option["value"]
            for block in answer.blocks
            if block["type"] == "actions"
            for element in block["elements"]
            for option in element.get("options", ())
            if option["value"].endswith("/docx")
        )
        await at.server.select(answer, ids.FORMAT, choice, at.bo)
        await at.server.until(lambda: len(at.files(message)) == 3)
    assert at.files(message)["Board meeting.transcript.docx"].startswith(b"PK")


async def test_stop_and_try_again_with_other_settings(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        first = at.job()
        await at.server.press(answer, ids.STOP, at.bo)
        await at.server.until(lambda: "stopped" in answer.shown)
        assert at.jobs.views[first.id].state is JobState.CANCELLED
        await at.server.press(answer, ids.RETRY, at.anna)
        await at.server.until(lambda: at.server.views)
        [view] = at.server.views
        await at.server.submit_view(view, {"languages": "German", "speakers": "2-3"})
        await at.server.until(lambda: len(at.jobs.views) == 2)
        again = at.job()
        assert again.recording.policy.languages == ("de",)
        assert (again.recording.policy.min_speakers, again.recording.policy.max_speakers) == (2, 3)
        await at.server.until(lambda: "Transcribing" in answer.shown)
        await at.deliver(saying("Guten Morgen"), again)
        await at.deliver(saying("Good morning"), first)  # a worker that was frozen
    assert at.answers(message) == [answer]
    assert "Guten" in answer.shown


@pytest.mark.parametrize("how", ["failed", "stopped"])
async def test_a_new_try_that_leads_to_nothing_leaves_the_earlier_transcript(at: Desk, how: str) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Good morning"))
        await at.server.press(answer, ids.RETRY, at.anna)
        await at.server.until(lambda: at.server.views)
        await at.server.submit_view(at.server.views[0], {"languages": "German"})
        await at.server.until(lambda: "Transcribing" in answer.shown)
        if how == "failed":
            await at.adapter.report_failure(at.job(), "Recognition is down.")
        else:
            await at.server.press(answer, ids.STOP, at.anna)
        await at.server.until(lambda: "morning" in answer.shown)
        assert "This is the earlier transcript" in answer.shown
        assert len(at.files(message)) == 2
        await at.server.press(answer, ids.DELETE, at.anna)
        await at.server.until(lambda: "was deleted" in answer.shown)
    assert not at.jobs.transcripts


async def test_who_shared_it_or_an_admin_deletes_a_transcript(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        await at.server.press(answer, ids.DELETE, at.bo)
        await at.server.until(lambda: at.server.ephemerals)
        assert "Hello" in answer.shown
        await at.server.press(answer, ids.DELETE, at.anna)
        await at.server.until(lambda: "was deleted" in answer.shown)
        await at.server.until(lambda: not at.files(message))
        await at.deliver(saying("Hello there"))  # late
    assert "Hello" not in answer.shown
    assert not at.files(message)


async def test_with_the_recording_its_transcript_goes(at: Desk) -> None:
    async with at.running():
        message, [file] = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        await at.server.delete_file(file)
        await at.server.until(lambda: "Hello" not in answer.shown)
    assert "The recording was deleted" in answer.shown
    assert not at.files(message)
    assert not at.jobs.transcripts


@pytest.mark.parametrize("is_done", [True, False])
async def test_with_the_message_of_the_recording_its_transcript_goes(at: Desk, is_done: bool) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        if is_done:
            await at.deliver(saying("Hello there"))
        await at.server.edit(at.channel, message, "Listen to this")
        await at.server.delete_message(at.channel, message)
        await at.server.until(lambda: "The recording was deleted" in answer.shown)
    assert "Hello" not in answer.shown
    assert not at.files(message)
    assert not at.jobs.transcripts
    assert at.jobs.views[at.job().id].state is JobState.CANCELLED
    events = [delivery.event for delivery in at.server.events("message")]
    assert message.ts not in [event.get("deleted_ts") for event in events]  # it has replies: it was changed


async def test_settings_are_for_some_and_hold_from_then_on(at: Desk) -> None:
    async with at.running():
        await at.server.slash(at.channel, at.bo, "settings")
        await at.server.until(lambda: at.server.ephemerals)
        assert not at.server.views
        await at.server.slash(at.channel, at.anna, "settings")
        await at.server.until(lambda: at.server.views)
        [view] = at.server.views
        bad = await at.server.submit_view(view, {"languages": "Klingonish", "days": "3"})
        assert bad.answer is not None
        assert bad.answer["response_action"] == "errors"
        await at.server.submit_view(
            view,
            {
                "mode": "all",
                "languages": "German, French",
                "vocabulary": "Erni, Kubernetes",
                "speakers": "2-4",
                "formats": ["txt", "docx"],
                "days": "3",
            },
        )
        await quiet(at)
        message, _ = await at.server.share(at.channel, at.bo, TALK)
        await at.answered(message)
        policy = at.job().recording.policy
    assert policy.languages == ("de", "fr")
    assert policy.vocabulary == ("Erni", "Kubernetes")
    assert policy.formats == ("txt", "docx")
    assert policy.retention_days == 3


async def test_home_shows_what_somebody_may_see_and_nothing_else(at: Desk) -> None:
    secret = at.server.add_channel(at.workspace, "board", kind="group", creator=at.root, members=[at.root])
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(message)
        await at.deliver(saying("Hello there"))
        hidden, _ = await at.server.share(secret, at.root, replace(TALK, name="secret plan.mp3"))
        await at.server.until(lambda: at.answers(hidden, secret))
        await at.server.open_home(at.workspace, at.bo)
        await at.server.until(lambda: at.bo.id in at.server.slack.homes)
    home = "\n".join(str(block) for block in at.server.home(at.bo).blocks)
    assert "Board meeting.mp3" in home
    assert "secret plan" not in home


# --- what goes wrong ---


async def test_a_failure_is_said_in_the_answer_with_a_way_on(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.adapter.report_failure(at.job(), "There is no sound in it. Record it anew.")
    assert "There is no sound in it" in answer.shown
    assert any(
        element.get("action_id") == ids.RETRY for b in answer.blocks for element in b.get("elements", ())
    )


async def test_of_a_clip_slacks_own_transcript_is_offered_and_marked(at: Desk) -> None:
    cues = ("00:00.000 --> 00:02.000\n<v Ann>Slack heard this", "00:02.000 --> 00:03.000\nto the end")
    vtt = "\n\n".join(("WEBVTT", "NOTE by Slack", *cues))
    clip = Item(
        name="audio_message.mp4", data=b"mp4", subtype="slack_audio", transcript="Slack heard", vtt=vtt
    )
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, clip)
        [answer] = await at.answered(message)
        await at.adapter.report_failure(at.job(), "Recognition is down.")
    assert "Slack heard this to the end" in answer.shown
    assert "Slack's own transcript" in answer.shown


async def test_where_files_are_not_allowed_the_text_still_comes(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        at.server.fail("files.getUploadURLExternal", *[refusal("file_uploads_disabled")] * 3)
        await at.deliver(saying("Hello there"))
    assert "Hello" in answer.shown


async def test_a_recording_that_is_gone_tells_its_sharer(at: Desk) -> None:
    async with at.running():
        message, [file] = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(message)
        job = at.job()
        file.deleted = True
        with pytest.raises(Rejected):
            await at.adapter.fetch(job.recording, at.folder / "fetched")


async def test_a_page_that_is_named_like_a_recording_is_left_to_the_check_of_media(at: Desk) -> None:
    page = Item(name="talk.mp3", data=b"<!DOCTYPE html><html><body>Sign in to our network</body></html>")
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, page)
        await at.answered(message)
        await at.adapter.fetch(at.job().recording, at.folder / "fetched")
    assert refusal_of((at.folder / "fetched").read_bytes()) is Refusal.WEB_PAGE


async def test_where_nothing_can_be_posted_no_work_is_done(at: Desk) -> None:
    async with at.running():
        at.server.fail("chat.postMessage", *[refusal("is_archived")] * 3)
        await at.server.share(at.channel, at.anna, TALK)
        await at.server.until(lambda: at.jobs.views)
        await at.server.until(lambda: at.jobs.views[at.job().id].state is JobState.CANCELLED)


async def test_what_slack_told_before_a_crash_is_acted_on_after_it(at: Desk) -> None:
    class Stuck(MemoryStore):
        """Nothing can be leased, as if the process died after it had acknowledged."""

        async def acquire(self, space: str, key: str, seconds: float) -> str | None:
            return None

    stuck = Stuck()
    async with at.running(at.open(stuck)):
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.server.delivered()
    assert not at.jobs.views
    revived = MemoryStore()
    revived.spaces = stuck.spaces
    at.store = revived
    at.adapter = at.open()
    async with at.running():
        await at.answered(message)
    assert len(at.jobs.views) == 1


async def test_uninstalling_stops_work_and_forgets_the_workspace(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(message)
        job = at.job()
        await at.server.uninstall(at.workspace)
        await at.server.until(lambda: at.jobs.views[job.id].state is JobState.CANCELLED)
        await at.server.until(lambda: not at.store.spaces.get(f"slack:shares:{at.workspace.id}"))


async def quiet(at: Desk) -> None:
    """Until everything that Slack told was acted on."""
    await at.server.delivered()
    await at.server.until(lambda: not at.store.spaces.get("slack:letters"))


def permalink(at: Desk, ts: str, channel: str | None = None) -> str:
    return f"https://acme.slack.com/archives/{channel or at.channel.id}/p{ts.replace('.', '')}"
