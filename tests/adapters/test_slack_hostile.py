"""The Slack door when things go wrong in the middle: crashes, refusals, strangers, and people in a hurry."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from slack_sdk.oauth.installation_store import Bot

from bots.slack import bars, connection, ids
from bots.slack.adapter import SlackAdapter
from bots.slack.dialogs import Press
from bots.slack.letters import Pressed
from bots.slack.settings import SlackSettings
from bots.slack.shares import State
from core.errors import AuthFailed, Rejected, Transient
from core.model import Job, JobState, Recording, Stage
from core.ports import AdapterContext
from core.settings import Settings, load_settings
from core.testing import MemoryStore
from tests.adapters.slack_desk import TALK, Desk, desk, saying
from tests.vendors.slack import rate_limited, refusal
from tests.vendors.slack_model import Kind, Message


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as found:
        yield found


# --- a process dies in the middle ---


async def test_a_result_stays_if_the_process_dies_before_it_remembers_the_job(at: Desk) -> None:
    died = Dying(at, on=1)
    message, job = await shared_until_death(at, died)
    await at.deliver(saying("Hello there"), job)  # by a worker elsewhere
    async with at.running(at.open()):
        await quiet(at)
    [answer] = at.answers(message)
    assert "Hello" in answer.shown
    [state] = await states(at)
    assert (state.phase, state.job) == ("done", job.id)


async def test_another_try_is_not_begun_anew_if_the_process_dies_before_it_remembers_it(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Good morning"))
        await at.server.press(answer, ids.RETRY, at.anna)
        await at.server.until(lambda: at.server.views)
    died = Dying(at, on=1)
    async with at.running(at.open(), died):
        await at.server.submit_view(at.server.views[0], {"languages": "German"})
        async with asyncio.timeout(10):
            await died.reached.wait()
    await at.deliver(saying("Guten Morgen"), at.job())
    async with at.running(at.open()):
        await quiet(at)
    assert "Guten" in answer.shown
    [state] = await states(at)
    assert (state.phase, state.job, state.share.version) == ("done", at.job().id, 1)


async def test_stopping_is_said_even_if_the_process_dies_on_the_way(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        held = at.server.hold("users.info")
        await at.server.press(answer, ids.STOP, at.bo)
        async with asyncio.timeout(10):
            await held.arrived.wait()
    assert at.jobs.views[at.job().id].state is JobState.CANCELLED
    held.release()
    async with at.running(at.open()):
        await at.server.until(lambda: "stopped" in answer.shown)


# --- places and people that are not there any more ---


async def test_stopping_by_somebody_whom_the_app_can_not_see_is_said(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        at.server.fail("users.info", *[refusal("user_not_visible")] * 3)
        await at.server.press(answer, ids.STOP, at.bo)
        await at.server.until(lambda: "stopped" in answer.shown)


async def test_a_sharer_whom_the_app_can_not_see_deletes_their_transcript(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
    at.adapter = at.open()  # knows nobody yet
    async with at.running():
        at.server.fail("users.info", *[refusal("user_not_found")] * 3)
        await at.server.press(answer, ids.DELETE, at.anna)
        await at.server.until(lambda: "was deleted" in answer.shown)


async def test_an_admin_of_another_organisation_deletes_nothing(at: Desk) -> None:
    other = at.server.add_workspace("Other", install=False)
    boss = at.server.add_user(other, "boss", is_admin=True)
    at.channel.members.append(boss.id)
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        await at.server.press(answer, ids.DELETE, boss)
        await quiet(at)
    assert "Hello" in answer.shown


async def test_where_the_app_was_taken_out_the_result_is_given_up_at_once(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(message)
        await at.server.kick(at.channel, at.server.installation(at.workspace).bot_user_id)
        with pytest.raises(Rejected):
            await at.deliver(saying("Hello there"))
        with pytest.raises(Rejected):
            await at.adapter.report_failure(at.job(), "It can't be put there.")
    assert len(at.server.called("files.getUploadURLExternal")) == 2  # the files were sent once
    [state] = await states(at)
    assert state.phase == "failed"


async def test_where_messages_may_not_be_edited_any_more_the_result_is_a_new_one(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(message)
        at.server.fail("chat.update", *[refusal("edit_window_closed")] * 3)
        await at.deliver(saying("Hello there"))
    [answer] = at.answers(message)
    assert "Hello" in answer.shown


async def test_an_answer_that_somebody_deleted_comes_back_as_the_result_only(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.server.delete_message(at.channel, answer)
        await at.adapter.progress(at.job(), Stage.RECOGNISING, 0.4)
        await at.server.until(lambda: at.server.called("chat.update"))
        assert not at.answers(message)
        await at.deliver(saying("Hello there"))
        [answer] = at.answers(message)
        await at.server.delete_message(at.channel, answer)
        await at.server.delete_message(at.channel, message)
        await quiet(at)
    assert not at.answers(message)
    assert not at.files(message)


async def test_what_was_stopped_is_not_covered_by_a_result_or_a_failure_on_its_way(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.server.press(answer, ids.STOP, at.bo)
        await at.server.until(lambda: "stopped" in answer.shown)
        await quiet(at)
        await at.deliver(saying("Hello there"))
        await at.adapter.report_failure(at.job(), "It failed.")
    assert "stopped" in answer.shown
    assert not at.files(message)


async def test_a_message_of_another_app_is_never_taken_for_an_answer(at: Desk) -> None:
    robot = at.server.add_user(at.workspace, "robot", is_bot=True)
    at.server.fail("chat.postMessage", "cut")
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.server.until(lambda: at.jobs.views)
        [state] = await states(at)
        payload = {"event_type": ids.SHARE_EVENT, "event_payload": {"share": state.share.id}}
        fake = Message(
            ts=at.server.slack.new_ts(),
            channel=at.channel.id,
            user=robot.id,
            text="mine",
            team=at.workspace.id,
            thread_ts=message.ts,
            metadata=payload,
            bot_id="B0THER",
        )
        at.server.slack.post(at.channel, fake)
        await at.answered(message, 2)
        await at.deliver(saying("Hello there"))
    theirs, ours = at.answers(message)
    assert theirs.shown == "mine"
    assert "Hello" in ours.shown


async def test_files_that_slack_does_not_let_go_are_not_called_deleted(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        at.server.fail("files.delete", *[refusal("compliance_exports_prevent_deletion")] * 2)
        at.server.fail("chat.delete", *[refusal("compliance_exports_prevent_deletion")] * 2)
        await at.server.press(answer, ids.DELETE, at.anna)
        await at.server.until(lambda: "Hello" not in answer.shown)
        await quiet(at)
    assert len(at.files(message)) == 2
    assert "admin" in answer.shown


async def test_retention_goes_on_where_one_workspace_is_broken(at: Desk) -> None:
    async with at.running():
        await at.server.slash(at.channel, at.anna, "settings")
        await at.server.until(lambda: at.server.views)
        await at.server.submit_view(at.server.views[0], {"days": "1"})
        await quiet(at)
        messages = []
        for _ in range(2):
            message, _ = await at.server.share(at.channel, at.anna, TALK)
            await at.answered(message)
            await at.deliver(saying("Hello there"))
            messages.append(message)
        at.server.fail("chat.update", refusal("no_permission"))
        with contextlib.suppress(AuthFailed):
            await at.adapter._keeping.clear(at.server.slack.clock() + 2 * 86400)
    assert sum("Hello" in at.answers(message)[0].shown for message in messages) <= 1


# --- permissions that are missing ---


async def test_without_users_read_recordings_are_still_transcribed(at: Desk) -> None:
    at.server.installation(at.workspace).scopes -= {"users:read"}
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(message)


async def test_a_settings_group_that_is_gone_keeps_nobody_else_out(tmp_path: Path) -> None:
    async with desk(tmp_path, SLACK_SETTINGS_GROUP="S0GONE000") as at, at.running():
        await at.server.slash(at.channel, at.anna, "settings")
        await at.server.until(lambda: at.server.views)
        await at.server.slash(at.channel, at.bo, "settings")
        await at.server.until(lambda: at.server.ephemerals)
    assert "can be changed by" in at.server.ephemerals[0].shown


async def test_slacks_own_transcript_is_done_without_where_it_can_not_be_read(at: Desk) -> None:
    clip = replace(TALK, name="audio_message.mp4", subtype="slack_audio", transcript="Slack heard this")
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, clip)
        [answer] = await at.answered(message)
        at.server.installation(at.workspace).scopes -= {"files:read"}
        await at.adapter.report_failure(at.job(), "Recognition is down.")
    assert "Recognition is down" in answer.shown


async def test_a_wrong_app_token_is_said_at_the_start(at: Desk) -> None:
    at.options["SLACK_APP_TOKEN"] = "xapp-1-unknown"
    adapter = at.open()
    with pytest.raises(AuthFailed, match="SLACK_APP_TOKEN"):
        async with asyncio.timeout(10):
            await adapter.run(at.jobs.submit)


# --- asking ---


async def test_asking_for_many_recordings_at_once(tmp_path: Path) -> None:
    async with desk(tmp_path, SLACK_TRANSCRIBE="asked") as at, at.running():
        items = [replace(TALK, name=f"{number}.mp3") for number in range(10)]
        message, _ = await at.server.share(at.channel, at.anna, *items)
        await quiet(at)
        await at.server.shortcut(message, at.bo, ids.SHORTCUT)
        await at.answered(message, 10)
        await quiet(at)
        assert len(at.jobs.views) == 10
        assert len(at.server.ephemerals) == 1


async def test_mentioned_in_the_message_of_the_recording_itself(tmp_path: Path) -> None:
    async with desk(tmp_path, SLACK_TRANSCRIBE="asked") as at, at.running():
        me = at.server.installation(at.workspace).bot_user_id
        message, _ = await at.server.share(at.channel, at.anna, TALK, text=f"<@{me}> please")
        await at.answered(message)
        await quiet(at)
        assert not at.server.ephemerals


async def test_asking_where_nothing_can_be_posted_is_answered(at: Desk) -> None:
    async with at.running():
        at.server.fail("chat.postMessage", *[refusal("restricted_action")] * 3)
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.server.until(
            lambda: at.jobs.views and at.jobs.views[at.job().id].state is JobState.CANCELLED
        )
        await quiet(at)
        await at.server.shortcut(message, at.anna, ids.SHORTCUT)
        await at.server.until(lambda: at.server.ephemerals)
    assert "don't let apps post" in at.server.ephemerals[0].shown


async def test_asking_again_after_the_invitation(at: Desk) -> None:
    place = at.server.add_channel(at.workspace, "closed", members=[at.anna], bot=False)
    async with at.running():
        message, _ = await at.server.share(place, at.anna, TALK)
        await at.server.shortcut(message, at.anna, ids.SHORTCUT)
        await at.server.until(lambda: at.server.ephemerals)
        await at.server.invite(place, at.server.installation(at.workspace).bot_user_id)
        await quiet(at)
        await at.server.shortcut(message, at.anna, ids.SHORTCUT)
        await at.server.until(lambda: at.answers(message, place))


async def test_asking_again_for_what_ended_without_an_answer_works(at: Desk) -> None:
    """The worker gave the job up without a word, as it does where its answer kills it."""
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(message)
        first = at.job()
        at.jobs.views[first.id] = replace(at.jobs.views[first.id], state=JobState.FAILED)
        await at.server.shortcut(message, at.anna, ids.SHORTCUT)
        await at.server.until(lambda: len(at.jobs.views) == 2)


# --- what people see and choose ---


async def test_files_of_recordings_without_an_ending_are_called_like_them(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(
            at.channel, at.anna, replace(TALK, title="Dr. Smith, part 2.5 of 3")
        )
        await at.answered(message)
        await at.deliver(saying("Hello there"))
    assert set(at.files(message)) == {
        "Dr. Smith, part 2.5 of 3.transcript.md",
        "Dr. Smith, part 2.5 of 3.transcript.srt",
    }


async def test_names_that_two_people_give_at_once_are_both_kept(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Good morning"))
        for person in (at.anna, at.bo):
            await at.server.press(answer, ids.RENAME, person)
        await at.server.until(lambda: len(at.server.views) == 2)
        first, second = at.server.views
        await asyncio.gather(
            at.server.submit_view(first, {"name:Speaker%201": "Zoë"}),
            at.server.submit_view(second, {"name:Speaker%202": "Yann"}),
        )
        await at.server.until(lambda: "Zoë" in answer.shown and "Yann" in answer.shown)


async def test_the_form_for_names_opens_in_time_in_a_crowd(at: Desk) -> None:
    crowd = [at.server.add_user(at.workspace, f"person.{number}") for number in range(60)]
    at.channel.members += [person.id for person in crowd]
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Good morning"))
        at.server.fail("users.info", *[rate_limited(8)] * 40)
        await at.server.press(answer, ids.RENAME, at.bo)
        await at.server.until(lambda: at.server.views, seconds=2.5)


async def test_who_is_not_there_any_more_reads_no_quotes(at: Desk) -> None:
    place = at.server.add_channel(at.workspace, "board", kind="group", members=[at.anna, at.bo])
    async with at.running():
        message, _ = await at.server.share(place, at.anna, TALK)
        await at.server.until(lambda: at.answers(message, place))
        await at.deliver(saying("Good morning"))
        team, share = at.workspace.id, (await states(at))[0].share
        await at.server.kick(place, at.bo)
        press = Press(user=at.bo.id, share=share.id, trigger="trigger", channel=place.id, thread=message.ts)
        await at.adapter._dialogs.rename(team, None, press)
    assert not at.server.called("views.open")


async def test_home_shows_ones_own_however_much_goes_on_elsewhere(at: Desk) -> None:
    secret = at.server.add_channel(at.workspace, "board", kind="group", creator=at.root, members=[at.root])
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(message)
        await at.deliver(saying("Hello there"))
        [state] = await states(at)
        for number in range(100):
            share = replace(state.share, channel=secret.id, ts=f"{9999000000 + number}.000000")
            other = replace(state, share=share, at=float(share.ts))
            async with at.adapter._answers.hold(share) as hold:
                await hold.save(other)
        await at.server.open_home(at.workspace, at.bo)
        await at.server.until(lambda: at.bo.id in at.server.slack.homes)
    assert "Board meeting.mp3" in str(at.server.home(at.bo).blocks)


async def test_a_window_that_comes_too_late_is_said_to(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Good morning"))
        at.server.fail("views.open", *[refusal("expired_trigger_id")] * 2)
        await at.server.press(answer, ids.RENAME, at.bo)
        await at.server.slash(at.channel, at.anna, "settings")
        await at.server.until(lambda: len(at.server.ephemerals) == 2)
    assert all("once more" in told.shown for told in at.server.ephemerals)


# --- bars ---


async def test_a_bar_is_moved_though_its_answer_was_busy(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await quiet(at)
        [state] = await states(at)
        async with at.adapter._answers.hold(state.share):
            await at.adapter.progress(at.job(), Stage.RECOGNISING, 0.4)
            await asyncio.sleep(0.2)
        await at.server.until(lambda: "Listening" in answer.shown)


async def test_bars_wait_as_long_as_slack_asks(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(message)
        at.server.fail("chat.update", rate_limited(60))
        await moving(at, [at.adapter], seconds=1.0)
    assert not at.server.called("chat.update")


async def test_all_processes_together_move_bars_no_more_often_than_slack_allows(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    quicken(monkeypatch)
    other = at.open()
    async with at.running(), at.running(other):
        for _ in range(5):
            message, _ = await at.server.share(at.channel, at.anna, TALK)
            await at.answered(message)
        began = at.server.slack.clock()
        await moving(at, [at.adapter, other], seconds=2.0)
        await at.server.until(lambda: len(at.server.called("chat.update")) >= 2)
        took, moved = at.server.slack.clock() - began, len(at.server.called("chat.update"))
    assert moved <= took / 0.2 + 2


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "_EDIT_SECONDS", 0.1)
    monkeypatch.setattr(bars, "_UPDATE_SECONDS", 0.2)


async def moving(at: Desk, adapters: list[SlackAdapter], *, seconds: float) -> None:
    """Every process hears of every job how far it is, again and again."""
    steps = int(seconds / 0.02)
    for step in range(steps):
        for view in list(at.jobs.views.values()):
            for adapter in adapters:
                await adapter.progress(view.job, Stage.RECOGNISING, step / steps)
        await asyncio.sleep(0.02)


# --- the end ---


async def test_what_is_delivered_while_the_service_stops_leaves_no_connection_open(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
    await at.deliver(saying("Hello there"))
    await at.adapter.progress(at.job(), Stage.RECOGNISING, 0.4)
    assert "Hello" in answer.shown
    assert at.adapter._workspaces._session is None
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "slack bar"]


async def test_a_delivery_under_way_outlives_the_door(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        held = at.server.hold("chat.update")
        delivery = asyncio.create_task(at.deliver(saying("Hello there")))
        async with asyncio.timeout(10):
            await held.arrived.wait()
    held.release()
    await delivery
    assert "Hello" in answer.shown


# --- an organisation ---


async def test_in_an_organisation_buttons_and_forms_work_from_any_of_its_workspaces(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        north = at.server.add_workspace("North", enterprise_id="E0ORG", install=False)
        south = at.server.add_workspace("South", enterprise_id="E0ORG", install=False)
        nina, sven = at.server.add_user(north, "nina", is_admin=True), at.server.add_user(south, "sven")
        at.server.install(None, nina, enterprise_id="E0ORG")
        place = at.server.add_channel(north, "both", creator=nina, members=[nina, sven], shared_with=[south])
        at.workspace, at.channel, at.anna = north, place, nina
        at.adapter = at.open()
        async with at.running():
            message, _ = await at.server.share(place, nina, TALK)
            [answer] = await at.answered(message)
            await at.deliver(saying("Good morning"))
            await at.server.press(answer, ids.RENAME, sven)
            await at.server.until(lambda: at.server.views)
            await at.server.submit_view(at.server.views[0], {"name:Speaker%201": "Zoë"})
            await at.server.until(lambda: "Zoë" in answer.shown)
            await at.server.shortcut(message, sven, ids.SHORTCUT)
            await at.server.until(lambda: at.server.ephemerals)
            await quiet(at)
            assert len(at.answers(message)) == 1
            assert len(at.jobs.views) == 1
            await at.server.slash(place, nina, "settings")
            await at.server.until(lambda: at.server.views)
            await at.server.submit_view(at.server.views[-1], {"mode": "never"})
            await quiet(at)
            other, _ = await at.server.share(place, nina, TALK)
            await quiet(at)
            assert not at.answers(other)


# --- places ---


async def test_in_a_channel_of_another_organisation_its_people_are_answered(at: Desk) -> None:
    other = at.server.add_workspace("Other", install=False)
    stranger = at.server.add_user(other, "stranger")
    place = at.server.add_channel(
        other, "joint", creator=stranger, members=[at.anna], bot=False, shared_with=[at.workspace]
    )
    place.members.append(at.server.installation(at.workspace).bot_user_id)
    async with at.running():
        message, _ = await at.server.share(place, stranger, TALK, check_file_info=True)
        await at.server.until(lambda: at.answers(message, place))
        await at.deliver(saying("Hello there"))
    assert "Hello" in at.answers(message, place)[0].shown


@pytest.mark.parametrize("kind", ["im", "mpim", "group"])
async def test_in_direct_messages_and_private_channels(at: Desk, kind: Kind) -> None:
    members = [at.anna] if kind == "im" else [at.anna, at.bo]
    place = at.server.add_channel(at.workspace, "quiet", kind=kind, creator=at.anna, members=members)
    async with at.running():
        message, _ = await at.server.share(place, at.anna, TALK)
        await at.server.until(lambda: at.answers(message, place))
        await at.deliver(saying("Hello there"))
        await at.server.slash(place, members[-1], "settings")
        await at.server.until(lambda: at.server.views or at.server.ephemerals)
    assert "Hello" in at.answers(message, place)[0].shown
    assert bool(at.server.views) == (kind != "group")  # the others may not in a channel


async def test_a_file_that_is_shared_again_is_answered_again_but_is_the_same(at: Desk) -> None:
    elsewhere = at.server.add_channel(at.workspace, "elsewhere", members=[at.anna])
    async with at.running():
        first, files = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(first)
        second, _ = await at.server.share(at.channel, at.anna, again=files)
        third, _ = await at.server.share(elsewhere, at.anna, again=files)
        await at.answered(second)
        await at.server.until(lambda: at.answers(third, elsewhere))
        await quiet(at)
    assert [len(at.answers(each)) for each in (first, second)] == [1, 1]
    assert len(at.jobs.views) == 3
    assert len({recording.content_key for recording in at.recordings()}) == 1


async def test_editing_the_message_changes_nothing(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(message)
        await at.server.edit(at.channel, message, "now with words")
        await quiet(at)
    assert len(at.jobs.views) == 1
    assert len(at.answers(message)) == 1


async def test_names_of_every_kind_are_shown_and_written(at: Desk) -> None:
    title = "<!channel> *Zoë* \u202e" + "\U0001f3a4" * 120 + ".." + "x" * 100
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, replace(TALK, title=title))
        [answer] = await at.answered(message)
        await at.adapter.progress(at.job(), Stage.RECOGNISING, 0.4)
        await at.server.until(lambda: "Listening" in answer.shown)
        await at.deliver(saying("Hello there"))
        await at.server.press(answer, ids.RETRY, at.bo)
        await at.server.until(lambda: at.server.views)
        await at.server.open_home(at.workspace, at.bo)
        await at.server.until(lambda: at.bo.id in at.server.slack.homes)
    assert len(at.files(message)) == 2
    assert "Hello" in answer.shown


async def test_of_many_files_those_that_can_be_are_transcribed(at: Desk) -> None:
    items = [replace(TALK, name=f"{number}.mp3") for number in range(8)]
    items += [replace(TALK, mode="tombstone"), replace(TALK, mode="hidden_by_limit")]
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, *items, check_file_info=True)
        await at.answered(message, 8)
        await quiet(at)
    assert len(at.answers(message)) == 8


# --- Slack is slow, or away ---


async def test_every_call_may_be_told_to_wait(at: Desk) -> None:
    for method in (
        "users.info",
        "files.info",
        "chat.postMessage",
        "chat.update",
        "files.getUploadURLExternal",
        "files.completeUploadExternal",
        "files.delete",
        "chat.delete",
        "conversations.info",
        "conversations.members",
        "views.open",
    ):
        at.server.fail(method, rate_limited(1))
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK, check_file_info=True)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        await at.server.press(answer, ids.DELETE, at.anna)
        await at.server.until(lambda: "was deleted" in answer.shown)
        await at.server.until(lambda: not at.files(message))
    assert len(at.answers(message)) == 1


async def test_what_can_not_be_written_down_is_not_acknowledged_and_comes_again(at: Desk) -> None:
    class Away(MemoryStore):
        left = 2

        async def remember(self, space: str, key: str, value: str) -> None:
            if space == "slack:letters" and self.left:
                self.left -= 1
                raise ConnectionError
            await super().remember(space, key, value)

    at.server.delivery.retry_after = (0.1, 0.2, 0.3)
    async with at.running(at.open(Away())):
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(message)
        await at.server.delivered()
    assert any(len(delivery.attempts) > 1 for delivery in at.server.deliveries)
    assert len(at.answers(message)) == 1


async def test_events_are_acknowledged_while_everything_else_stands_still(at: Desk) -> None:
    async with at.running():
        held = [at.server.hold("chat.postMessage") for _ in range(40)]
        for number in range(40):
            await at.server.share(at.channel, at.anna, replace(TALK, name=f"{number}.mp3"))
        await at.server.delivered()
        assert all(delivery.acknowledged for delivery in at.server.deliveries)
        for each in held:
            each.release()
        await at.server.until(lambda: len(at.jobs.views) == 40, seconds=30)


async def test_a_connection_that_does_not_come_back_is_begun_anew(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed(set[str]):
        def add(self, _ticket: str) -> None:
            """No ticket is ever good."""

    monkeypatch.setattr(connection, "_OFFLINE_SECONDS", 1.0)
    at.server.delivery.tickets = Closed()
    with pytest.raises(Transient, match="no connection"):
        async with asyncio.timeout(20):
            await at.adapter.run(at.jobs.submit)


# --- what is kept, and for whom ---


async def test_uninstalling_in_the_middle_leaves_nothing_behind(at: Desk) -> None:
    async with at.running():
        held = at.server.hold("chat.postMessage")
        await at.server.share(at.channel, at.anna, TALK)
        async with asyncio.timeout(10):
            await held.arrived.wait()
        await at.server.uninstall(at.workspace)
        await at.server.delivered()
        held.release()
        await quiet(at)
    assert at.jobs.views[at.job().id].state is JobState.CANCELLED
    assert not await states(at)


async def test_buttons_of_one_workspace_mean_nothing_in_another(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        [state] = await states(at)
        letter = Pressed(team="T0OTHER", user=at.anna.id, share=state.share.id, action=ids.DELETE)
        with pytest.raises(AuthFailed):
            await at.adapter._deeds.pressed(letter)
    assert "Hello" in answer.shown


async def test_what_is_known_is_forgotten_in_the_end_but_not_before_a_transcript_is_deleted(at: Desk) -> None:
    day = 86400.0
    async with at.running():
        kept, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(kept)
        await at.deliver(saying("Hello there"))
        await at.server.slash(at.channel, at.anna, "settings")
        await at.server.until(lambda: at.server.views)
        await at.server.submit_view(at.server.views[0], {"days": "200"})
        await quiet(at)
        lost, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(lost)
        at.jobs.views.clear()  # the core keeps records of jobs for 90 days or as long as their transcripts
        now = at.server.slack.clock()
        await at.adapter._keeping.clear(now + 100 * day)
        assert [state.share.ts for state in await states(at)] == [kept.ts]
        await at.adapter._keeping.clear(now + 201 * day)
        assert "deleted after 200 days" in at.answers(kept)[0].shown
        await at.adapter._keeping.clear(now + 202 * day)
    assert not await states(at)


async def test_speakers_that_come_later_are_shown_unless_somebody_went_on_meanwhile(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        first = at.job()
        await at.deliver(saying("Hello there", speakers=1))
        later = Job(
            id="later",
            recording=replace(first.recording, key=f"{first.recording.key}#speakers", follows="result"),
        )
        await at.adapter.deliver(saying("Hello again"), later)
        assert "Speaker 2" in answer.shown
        [state] = await states(at)
        assert state.job == first.id
        await at.server.press(answer, ids.RETRY, at.bo)
        await at.server.until(lambda: at.server.views)
        await at.server.submit_view(at.server.views[0], {"languages": "German"})
        await at.server.until(lambda: len(at.jobs.views) == 2)
        await at.deliver(saying("Guten Morgen"))
        await at.adapter.deliver(saying("Hello again"), later)
        assert "Guten" in answer.shown
        await at.server.press(answer, ids.DELETE, at.anna)
        await at.server.until(lambda: "was deleted" in answer.shown)
        await quiet(at)
        await at.adapter.deliver(saying("Hello again"), later)
    assert "Hello" not in answer.shown
    assert not at.files(message)


async def test_the_log_says_nothing_personal(at: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    at.server.fail("chat.postMessage", "lost")
    at.server.fail("chat.update", rate_limited(1))
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK, text="a secret between us")
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        await at.server.press(answer, ids.RENAME, at.bo)
        await at.server.until(lambda: at.server.views)
        await at.server.submit_view(at.server.views[0], {"name:Speaker%201": "Zoë"})
        await at.server.until(lambda: "Zoë" in answer.shown)
        me = at.server.installation(at.workspace).bot_user_id
        await at.server.say(at.channel, at.bo, f"<@{me}> a secret question")
        await quiet(at)
    ours = [record for record in caplog.records if record.name.startswith(("bots.", "core.", "slack"))]
    text = "\n".join(logging.Formatter().format(record) for record in ours)
    token = at.server.installation(at.workspace).token
    for secret in ("Board", "secret", "Hello", "Zoë", "Anna", "anna.", token, at.server.app.app_token):
        assert secret not in text, secret


# --- many workspaces ---


async def test_of_many_workspaces_one_that_leaves_takes_nothing_of_the_others_with_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        other = at.server.add_workspace("Other")
        otto = at.server.add_user(other, "otto")
        place = at.server.add_channel(other, "talks", creator=otto, members=[otto])
        settings = load_settings(
            Settings,
            ERNI_DATA_DIR=tmp_path / "data",
            ERNI_PUBLIC_URL="https://audio.example.com",
            ERNI_ENCRYPTION_KEY=base64.b64encode(bytes(range(32))).decode(),
        )
        context = AdapterContext(
            settings=settings, store=at.store, jobs=at.jobs, links=at.links, node_id="node"
        )
        own = load_settings(
            SlackSettings,
            SLACK_APP_TOKEN=at.server.app.app_token,
            SLACK_API_BASE_URL=at.server.api_url,
            SLACK_CLIENT_ID="1.2",
            SLACK_CLIENT_SECRET="secret",
        )
        at.adapter = SlackAdapter(context, own)
        for workspace in (at.workspace, other):
            found = at.server.installation(workspace)
            bot = Bot(
                team_id=workspace.id,
                bot_token=found.token,
                bot_id=found.bot_id,
                bot_user_id=found.bot_user_id,
                installed_at=0.0,
            )
            await at.adapter._source.async_save_bot(bot)
        async with at.running():
            message, _ = await at.server.share(at.channel, at.anna, TALK)
            await at.answered(message)
            first = at.job()
            theirs, _ = await at.server.share(place, otto, TALK)
            await at.server.until(lambda: at.answers(theirs, place))
            await at.server.uninstall(at.workspace)
            await at.server.until(lambda: at.jobs.views[first.id].state is JobState.CANCELLED)
            await quiet(at)
            assert not await states(at)
            await at.deliver(saying("Hello there"))
    assert "Hello" in at.answers(theirs, place)[0].shown


# --- helpers ---


class Dying:
    """A `Submit` whose process ends right after call `on` was accepted."""

    def __init__(self, at: Desk, *, on: int) -> None:
        self._at = at
        self._left = on
        self.reached = asyncio.Event()

    async def __call__(self, recording: Recording) -> str:
        job = await self._at.jobs.submit(recording)
        self._left -= 1
        if self._left == 0:
            self.reached.set()
            await asyncio.Event().wait()
        return job


async def shared_until_death(at: Desk, died: Dying) -> tuple[Message, Job]:
    async with at.running(at.open(), died):
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        async with asyncio.timeout(10):
            await died.reached.wait()
        await at.server.delivered()
    return message, at.job()


async def states(at: Desk) -> list[State]:
    return await at.adapter._answers.states(at.workspace.id)


async def quiet(at: Desk) -> None:
    """Until everything that Slack told was acted on."""
    await at.server.delivered()
    await at.server.until(lambda: not at.store.spaces.get("slack:letters"))
