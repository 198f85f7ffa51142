"""The Slack door over the life of a share: how long it is known, what ends it, and who is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bots.slack import ids
from bots.slack.shares import STATE, Share, State, taken_up
from bots.slack.troubles import Revoked
from core.model import JobState
from tests.adapters.slack_desk import TALK, Desk, desk, saying
from tests.vendors.slack import refusal
from tests.vendors.slack_model import Message

DAY = 86400.0


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as found:
        yield found


# --- how long a share is known ---


@pytest.mark.parametrize("days", [100, 300])
async def test_deleting_an_old_recording_deletes_its_transcript(at: Desk, days: int) -> None:
    async with at.running():
        message, answer = await delivered(at)
        at.jobs.views.clear()  # the core's record of the job may be gone before
        await at.adapter._keeping.clear(at.server.slack.clock() + days * DAY)
        await at.server.delete_message(at.channel, message)
        await at.server.until(lambda: "The recording was deleted" in answer.shown)
    assert not at.files(message)


async def test_after_a_year_nothing_is_known_of_a_share(at: Desk) -> None:
    async with at.running():
        await delivered(at)
        now = at.server.slack.clock()
        await at.adapter._keeping.clear(now + 366 * DAY)
        assert await states(at), "while the core knows its job"
        at.jobs.views.clear()
        await at.adapter._keeping.clear(now + 364 * DAY)
        assert await states(at)
        await at.adapter._keeping.clear(now + 366 * DAY)
    assert not await states(at)


@pytest.mark.parametrize("action", [ids.RENAME, ids.RETRY, ids.DELETE, ids.FORMAT])
async def test_buttons_of_a_share_that_is_not_known_any_more_say_so(at: Desk, action: str) -> None:
    async with at.running():
        message, answer = await delivered(at)
        [state] = await states(at)
        await at.adapter._answers.forget(state.share)
        if action == ids.FORMAT:
            await at.server.select(answer, action, f"{state.share.id}/docx", at.bo)
        else:
            await at.server.press(answer, action, at.bo)
        await at.server.until(lambda: at.server.ephemerals)
        await quiet(at)
    [told] = at.server.ephemerals
    assert (told.user, told.thread_ts) == (at.bo.id, message.ts)
    assert "Transcribe recording" in told.shown
    assert not at.server.views
    assert "Hello" in answer.shown


@pytest.mark.parametrize("action", [ids.RENAME, ids.RETRY])
async def test_forms_about_a_share_that_is_not_known_any_more_say_so(at: Desk, action: str) -> None:
    async with at.running():
        message, answer = await delivered(at)
        await at.server.press(answer, action, at.bo)
        await at.server.until(lambda: at.server.views)
        [state] = await states(at)
        await at.adapter._answers.forget(state.share)
        await at.server.submit_view(at.server.views[0], {})
        await at.server.until(lambda: at.server.ephemerals)
        await quiet(at)
    [told] = at.server.ephemerals
    assert (told.user, told.thread_ts) == (at.bo.id, message.ts)
    assert "I keep nothing about this transcript" in told.shown
    assert "Hello" in answer.shown
    assert len(at.jobs.views) == 1


async def test_what_is_forgotten_here_and_known_to_the_core_can_be_asked_for_again(at: Desk) -> None:
    async with at.running():
        message, _ = await delivered(at)
        first = at.job()
        at.jobs.views[first.id] = replace(at.jobs.views[first.id], state=JobState.DONE)
        [state] = await states(at)
        await at.adapter._answers.forget(state.share)
        await at.server.shortcut(message, at.bo, ids.SHORTCUT)
        await at.server.until(lambda: len(at.jobs.views) == 2)
        await quiet(at)
        await at.deliver(saying("Once more"))
    assert at.job() != first
    assert sum("Once" in answer.shown for answer in at.answers(message)) == 1


# --- from when it is kept ---


async def test_an_old_recording_that_somebody_asks_for_is_known(tmp_path: Path) -> None:
    async with desk(tmp_path, SLACK_TRANSCRIBE="asked") as at, at.running():
        message, answer = await asked(at, days=100)
        at.jobs.views.clear()
        await at.adapter._keeping.clear(at.server.slack.clock() + 3600)
        await at.server.press(answer, ids.DELETE, at.anna)
        await at.server.until(lambda: "was deleted" in answer.shown)
        assert len(at.answers(message)) == 1


async def test_retention_counts_from_the_answer_and_not_from_the_recording(tmp_path: Path) -> None:
    async with desk(tmp_path, SLACK_TRANSCRIBE="asked") as at, at.running():
        _, answer = await asked(at, days=40, kept="30")
        now = at.server.slack.clock()
        await at.adapter._keeping.clear(now + 3600)
        assert "Hello" in answer.shown
        await at.adapter._keeping.clear(now + 29 * DAY)
        assert "Hello" in answer.shown
        await at.adapter._keeping.clear(now + 31 * DAY)
        assert "deleted after 30 days" in answer.shown


async def test_a_new_try_that_leads_to_nothing_makes_the_earlier_transcript_no_younger(at: Desk) -> None:
    async with at.running():
        _, answer = await delivered(at)
        [state] = await states(at)
        async with at.adapter._answers.hold(state.share) as hold:
            await hold.save(replace(hold.state, kept_from=12345.0))
        await at.server.press(answer, ids.RETRY, at.anna)
        await at.server.until(lambda: at.server.views)
        await at.server.submit_view(at.server.views[0], {"languages": "German"})
        await at.server.until(lambda: "Transcribing" in answer.shown)
        await at.adapter.report_failure(at.job(), "Recognition is down.")
        [state] = await states(at)
    assert (state.phase, state.kept_from) == ("done", 12345.0)


def test_from_when_a_share_is_kept() -> None:
    share = Share(
        owner="T",
        team="T",
        enterprise=None,
        channel="C",
        ts="100.1",
        thread="100.1",
        file="F",
        user="U",
        name="a",
    )
    asked_for = taken_up(State(share=share), share, "job", 200.0)
    assert (asked_for.at, asked_for.age(250.0)) == (100.1, 50.0)
    answered = replace(taken_up(asked_for, share, "job", 300.0), phase="done")
    said_again = taken_up(answered, share, "job", 400.0)
    assert said_again.kept_from == 300.0
    newer = taken_up(said_again, replace(share, version=1), "job 2", 500.0)
    assert newer.kept_from == 500.0
    assert newer.good is not None
    assert newer.good.kept_from == 300.0


def test_what_was_stored_before_is_kept_from_when_it_was_shared() -> None:
    share = Share(
        owner="T",
        team="T",
        enterprise=None,
        channel="C",
        ts="100.1",
        thread="100.1",
        file="F",
        user="U",
        name="a",
    )
    state = taken_up(
        State(share=share, job="job", phase="done", at=100.1), replace(share, version=1), "2", 9.0
    )
    stored = json.loads(STATE.dump_json(state))
    del stored["kept_from"], stored["good"]["kept_from"]
    found = STATE.validate_json(json.dumps(stored))
    assert found.age(150.1) == 50.0
    assert found.good is not None
    assert found.good.job == "job"


# --- the app is gone, and nobody was told ---


@pytest.mark.parametrize("how", ["deliver", "fail", "fetch", "press", "retention"])
async def test_a_removal_that_nobody_told_us_of_is_acted_on_when_it_shows(
    at: Desk, how: str, tmp_path: Path
) -> None:
    async with at.running():
        await choose(at, days="1")
        _, answer = await delivered(at)
        running, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(running)
        await quiet(at)
    job, installed = at.job(), at.server.installation(at.workspace)
    at.adapter = at.open()
    installed.state = "inactive"  # while the service was down
    if how == "deliver":
        with pytest.raises(Revoked):
            await at.adapter.deliver(saying("Hello there"), job)
    elif how == "fail":
        with pytest.raises(Revoked):
            await at.adapter.report_failure(job, "Recognition is down.")
    elif how == "fetch":
        with pytest.raises(Revoked):
            await at.adapter.fetch(job.recording, tmp_path / "recording")
    elif how == "press":
        installed.state = "active"
        async with at.running():
            held = at.server.hold("users.info")
            await at.server.press(answer, ids.DELETE, at.anna)
            await held.arrived.wait()
            installed.state = "inactive"
            held.release()
            await gone(at)
    else:
        async with at.adapter._workspaces.open():
            await at.adapter._keeping.clear(at.server.slack.clock() + 2 * DAY)
    async with at.running():
        await gone(at)
    assert at.jobs.views[job.id].state is JobState.CANCELLED
    assert not at.jobs.transcripts


async def test_a_refusal_that_passes_deletes_nothing(at: Desk) -> None:
    async with at.running():
        message, answer = await delivered(at)
        at.server.fail("chat.update", refusal("account_inactive"))
        with pytest.raises(Revoked):
            await at.deliver(saying("Hello again"))
        await quiet(at)
        assert await states(at)
        await at.deliver(saying("Hello again"))
    assert "again" in answer.shown
    assert len(at.answers(message)) == 1


# --- what is not wanted any more ---


async def test_where_nothing_is_transcribed_trying_again_does_nothing(at: Desk) -> None:
    async with at.running():
        _, answer = await delivered(at)
        await at.server.press(answer, ids.RETRY, at.bo)
        await at.server.until(lambda: at.server.views)
        [form] = at.server.views
        await choose(at, mode="never")
        await at.server.submit_view(form, {"languages": "German"})
        await at.server.until(lambda: at.server.ephemerals)
        await at.server.press(answer, ids.RETRY, at.bo)
        await at.server.until(lambda: len(at.server.ephemerals) == 2)
        await quiet(at)
    assert all("switched off" in told.shown for told in at.server.ephemerals)
    assert len(at.jobs.views) == 1
    assert not at.server.views
    assert "Hello" in answer.shown


@pytest.mark.parametrize("trouble", ["files.info", "files.delete", "chat.update"])
@pytest.mark.parametrize("how", ["recording", "button", "retention"])
async def test_what_slack_refuses_for_a_moment_is_deleted_later(at: Desk, how: str, trouble: str) -> None:
    async with at.running():
        await choose(at, days="1")
        message, answer = await delivered(at)
        at.server.fail(trouble, refusal("team_added_to_org"))
        if how == "recording":
            await at.server.delete_message(at.channel, message)
        elif how == "button":
            await at.server.press(answer, ids.DELETE, at.anna)
        else:
            for _ in range(2):
                await at.adapter._keeping.clear(at.server.slack.clock() + 2 * DAY)
        await quiet(at)
        assert "Hello" not in answer.shown
        assert "deleted" in answer.shown
        assert not at.files(message)
        [state] = await states(at)
        assert (state.phase, state.leaving) == ("deleted", False)


@pytest.mark.parametrize("trouble", [None, "files.getUploadURLExternal", "chat.update"])
@pytest.mark.parametrize("what", ["file", "message", "nothing"])
async def test_where_transcripts_stay_one_stays_though_the_recording_goes_during_a_new_try(
    at: Desk, what: str, trouble: str | None
) -> None:
    async with at.running():
        await choose(at, extras="")
        message, answer = await delivered(at)
        [recording] = at.server.attached(message)
        await at.server.press(answer, ids.RETRY, at.bo)
        await at.server.until(lambda: at.server.views)
        await at.server.submit_view(at.server.views[-1], {"languages": "German"})
        await at.server.until(lambda: "Transcribing" in answer.shown)
        await quiet(at)
        if trouble:
            at.server.fail(trouble, refusal("team_added_to_org"))  # which passes
        if what == "file":
            await at.server.delete_file(recording)
        elif what == "message":
            await at.server.delete_message(at.channel, message)
        else:
            await at.server.press(answer, ids.STOP, at.bo)
        await at.server.until(lambda: "This is the earlier transcript" in answer.shown)
        await quiet(at)
        [state] = await states(at)
        assert (state.phase, state.job) == ("done", at.job(0).id)
        assert at.jobs.views[at.job().id].state is JobState.CANCELLED
        assert "Hello" in answer.shown
        assert ("recording was deleted" in answer.shown) == (what != "nothing")
        assert len(at.files(message)) == 2
        assert list(at.jobs.transcripts) == [at.job(0).id]
        await at.server.press(answer, ids.DELETE, at.anna)  # it can still be
        await at.server.until(lambda: "was deleted by" in answer.shown)
    assert not at.jobs.transcripts


async def test_where_transcripts_stay_files_stay_that_the_service_has_no_copy_of(at: Desk) -> None:
    async with at.running():
        await choose(at, extras="")
        message, answer = await delivered(at)
        await at.server.press(answer, ids.RETRY, at.bo)
        await at.server.until(lambda: at.server.views)
        await at.server.submit_view(at.server.views[-1], {"languages": "German"})
        await at.server.until(lambda: "Transcribing" in answer.shown)
        await quiet(at)
        at.jobs.transcripts.clear()
        await at.server.delete_message(at.channel, message)
        await at.server.until(lambda: "was stopped" in answer.shown)
        await quiet(at)
    assert len(at.files(message)) == 2


@pytest.mark.parametrize(("setting", "jobs"), [("all", 1), ("asked", 1), ("never", 0)])
async def test_what_holds_in_a_direct_message_where_nobody_chose(
    tmp_path: Path, setting: str, jobs: int
) -> None:
    async with desk(tmp_path, SLACK_TRANSCRIBE=setting) as at, at.running():
        place = at.server.add_channel(at.workspace, kind="im", creator=at.anna, members=[at.anna])
        message, _ = await at.server.share(place, at.anna, TALK)
        await quiet(at)
        await at.server.until(lambda: len(at.answers(message, place)) == jobs)
        assert len(at.jobs.views) == jobs
        if setting == "never":
            await at.server.shortcut(message, at.anna, ids.SHORTCUT)
            await at.server.until(lambda: at.server.ephemerals)
            assert "switched off" in at.server.ephemerals[0].shown
            assert not at.jobs.views


async def test_a_form_from_before_a_deletion_brings_nothing_back(at: Desk) -> None:
    async with at.running():
        message, answer = await delivered(at)
        await at.server.press(answer, ids.RETRY, at.bo)
        await at.server.until(lambda: at.server.views)
        await at.server.press(answer, ids.DELETE, at.anna)
        await at.server.until(lambda: "was deleted" in answer.shown)
        await quiet(at)
        await at.server.submit_view(at.server.views[0], {"languages": "German"})
        await at.server.until(lambda: at.server.ephemerals)
        [told] = at.server.ephemerals
        assert told.user == at.bo.id
        assert "deleted meanwhile" in told.shown
        assert "was deleted" in answer.shown
        assert len(at.jobs.views) == 1
        await at.server.shortcut(message, at.bo, ids.SHORTCUT)  # this is asking for it
        await at.server.until(lambda: "Transcribing" in answer.shown)


async def test_a_deletion_while_a_new_try_begins_holds(at: Desk) -> None:
    async with at.running():
        _, answer = await delivered(at)
        await at.server.press(answer, ids.RETRY, at.bo)
        await at.server.until(lambda: at.server.views)
        held = at.server.hold("files.info")
        await at.server.submit_view(at.server.views[0], {"languages": "German"})
        await held.arrived.wait()
        [state] = await states(at)
        async with at.adapter._answers.hold(state.share) as hold:
            await hold.save(replace(hold.state, phase="deleted"))
        held.release()
        await at.server.until(lambda: at.server.ephemerals)
        await quiet(at)
    assert "deleted meanwhile" in at.server.ephemerals[0].shown
    assert len(at.jobs.views) == 1


async def test_where_the_transcript_went_with_anothers_of_the_same_bytes_people_are_told(at: Desk) -> None:
    async with at.running():
        _, answer = await delivered(at)
        at.jobs.transcripts.clear()  # `core.intake` keeps one copy for all shares of the same bytes
        [state] = await states(at)
        await at.server.press(answer, ids.RENAME, at.bo)
        await at.server.until(lambda: len(at.server.ephemerals) == 1)
        await at.server.select(answer, ids.FORMAT, f"{state.share.id}/docx", at.bo)
        await at.server.until(lambda: len(at.server.ephemerals) == 2)
        for told in at.server.ephemerals:
            assert "does not keep this transcript any more" in told.shown
            assert "Try again" in told.shown
        await at.server.press(answer, ids.RETRY, at.bo)
        await at.server.until(lambda: at.server.views)
        await at.server.submit_view(at.server.views[0], {})
        await at.server.until(lambda: len(at.jobs.views) == 2)
        await quiet(at)
        await at.deliver(saying("Once more"))
    assert "Once" in answer.shown


# --- helpers ---


async def delivered(at: Desk) -> tuple[Message, Message]:
    """A recording that Anna shared, and its answer."""
    message, _ = await at.server.share(at.channel, at.anna, TALK)
    [answer] = await at.answered(message)
    await at.deliver(saying("Hello there"))
    return message, answer


async def asked(at: Desk, *, days: int, kept: str = "") -> tuple[Message, Message]:
    """A recording that Anna shared days ago and Bo asks for now, and its answer. `kept`: for how long."""
    at.server.advance(-days * DAY)
    message, _ = await at.server.share(at.channel, at.anna, TALK)
    at.server.advance(days * DAY)
    await quiet(at)
    assert float(message.ts) < at.server.slack.clock() - (days - 1) * DAY
    if kept:
        await choose(at, days=kept)
    await at.server.shortcut(message, at.bo, ids.SHORTCUT)
    [answer] = await at.answered(message)
    await at.deliver(saying("Hello there"))
    return message, answer


async def choose(at: Desk, **values: str) -> None:
    """Anna chooses what holds in her channel."""
    before = len(at.server.views)
    await at.server.slash(at.channel, at.anna, "settings")
    await at.server.until(lambda: len(at.server.views) > before)
    await at.server.submit_view(at.server.views[-1], values)
    await quiet(at)


async def gone(at: Desk) -> None:
    """Until nothing is known of the workspace."""
    await at.server.until(lambda: not at.store.spaces.get(f"slack:shares:{at.workspace.id}"))
    await quiet(at)


async def states(at: Desk) -> list[State]:
    return await at.adapter._answers.states(at.workspace.id)


async def quiet(at: Desk) -> None:
    """Until everything that Slack told was acted on."""
    await at.server.delivered()
    await at.server.until(lambda: not at.store.spaces.get("slack:letters"))
