"""The Slack door, asking and answering: nobody who shares, asks or presses is left without a word."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from slack_sdk.oauth.installation_store import Bot

from bots.slack import bars, ids, retries, windows
from bots.slack.adapter import SlackAdapter
from bots.slack.settings import SlackSettings
from core.errors import AuthFailed
from core.model import JobState, Stage
from core.ports import AdapterContext
from core.settings import Settings, load_settings
from tests.adapters.slack_desk import TALK, Desk, desk, saying
from tests.vendors.slack import Item, refusal
from tests.vendors.slack_fields import sample_of, unknown
from tests.vendors.slack_model import Channel, Kind, Message, User, Workspace


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as found:
        yield found


# --- where nothing can be posted ---


@pytest.mark.parametrize("order", ["message only", "file_shared only"])
async def test_who_shares_where_the_app_may_not_post_is_told_alone(at: Desk, order: str) -> None:
    at.server.fail("chat.postMessage", refusal("restricted_action"))
    async with at.running():
        await at.server.share(at.channel, at.anna, TALK, order=order)  # type: ignore[arg-type]
        await at.server.until(lambda: at.server.ephemerals)
        await quiet(at)
    [told] = at.server.ephemerals
    assert told.user == at.anna.id
    assert "don't let apps post" in told.shown
    assert at.jobs.views[at.job().id].state is JobState.CANCELLED


async def test_where_not_even_that_is_allowed_they_are_told_in_a_direct_message(at: Desk) -> None:
    at.channel.restricted = True
    async with at.running():
        await at.server.share(at.channel, at.anna, TALK)
        await quiet(at)
    [told] = direct(at, at.anna)
    assert "Board meeting.mp3" in told
    assert "don't let apps post" in told


async def test_what_nobody_can_be_told_is_in_the_log(at: Desk, caplog: pytest.LogCaptureFixture) -> None:
    at.channel.restricted = True
    at.server.fail("chat.postMessage", refusal("restricted_action"), refusal("messages_tab_disabled"))
    async with at.running():
        await at.server.share(at.channel, at.anna, TALK)
        await quiet(at)
    assert "could not be told" in caplog.text
    assert "Board" not in caplog.text


# --- what an operator has to mend ---


async def test_without_the_right_to_read_files_the_answer_says_who_must_do_what(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "_EDIT_SECONDS", 0.1)
    monkeypatch.setattr(bars, "_UPDATE_SECONDS", 0.1)
    at.adapter = at.open()
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        installed = at.server.installation(at.workspace)
        granted, installed.scopes = installed.scopes, installed.scopes - {"files:read"}
        for _ in range(2):
            with pytest.raises(AuthFailed):
                await at.adapter.fetch(at.job().recording, at.folder / "fetched")
            assert "files:read" in answer.shown
            assert "tell whoever looks after this app" in answer.shown
        await at.adapter.progress(at.job(), Stage.FETCHING, None)  # of the next try
        await at.server.until(lambda: not at.adapter._bars._bars)  # it was its turn
        assert "files:read" in answer.shown
        installed.scopes = granted
        await at.adapter.fetch(at.job().recording, at.folder / "fetched")
        await at.adapter.progress(at.job(), Stage.RECOGNISING, 0.4)
        await at.server.until(lambda: "Listening" in answer.shown)
    assert len(at.answers(message)) == 1


async def test_without_the_right_to_write_files_the_transcript_comes_and_says_who_must_do_what(
    at: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    installed = at.server.installation(at.workspace)
    granted, installed.scopes = installed.scopes, installed.scopes - {"files:write"}
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Good morning"))
        assert "Good" in answer.shown
        for said in ("could not be put into this thread", "files:write", "tell whoever looks after this app"):
            assert said in answer.shown
        assert "files:write" in caplog.text
        assert not at.files(message)
        installed.scopes = granted
        [state] = await at.adapter._answers.states(at.workspace.id)
        await at.server.select(answer, ids.FORMAT, f"{state.share.id}/docx", at.bo)
        await at.server.until(lambda: "could not be put" not in answer.shown)
        assert len(at.files(message)) == 3
        installed.scopes = granted - {"files:write"}
        await at.server.select(answer, ids.FORMAT, f"{state.share.id}/vtt", at.bo)
        await at.server.until(lambda: "The files that are there are older" in answer.shown)
        assert len(at.files(message)) == 3
    assert len(at.answers(message)) == 1


@pytest.mark.parametrize("missing", ["files:write", "files:read"])
async def test_without_rights_to_files_the_text_is_deleted_at_least(at: Desk, missing: str) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Good morning"))
        at.server.installation(at.workspace).scopes -= {missing}
        await at.server.press(answer, ids.DELETE, at.anna)
        await at.server.until(lambda: "was deleted" in answer.shown)
        await quiet(at)
    assert "Good" not in answer.shown
    assert not at.jobs.transcripts
    left = [file for file in at.server.files.values() if file.user != at.anna.id and not file.deleted]
    assert bool(left) == (missing == "files:write")
    assert ("admin" in answer.shown) == (missing == "files:write")


@pytest.mark.parametrize("how", ["redirect", "page"])
async def test_a_sign_in_page_instead_of_the_file_is_said_too(at: Desk, how: str) -> None:
    at.server.api.sign_in = how  # type: ignore[assignment]
    async with at.running():
        message, [file] = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        file.redirects = [f"{at.server.origin}/signin"] * 4
        with pytest.raises(AuthFailed):
            await at.adapter.fetch(at.job().recording, at.folder / "fetched")
    assert "permission to read files" in answer.shown


async def test_what_was_stopped_does_not_wait(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.server.press(answer, ids.STOP, at.anna)
        await at.server.until(lambda: "stopped" in answer.shown)
        at.server.installation(at.workspace).scopes -= {"files:read"}
        with pytest.raises(AuthFailed):
            await at.adapter.fetch(at.job().recording, at.folder / "fetched")
    assert "stopped" in answer.shown


# --- windows ---


@pytest.mark.parametrize("action", [ids.RENAME, ids.RETRY])
async def test_a_window_that_a_fault_of_slacks_prevents_is_said_to(at: Desk, action: str) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Good morning"))
        at.server.fail("conversations.info", *[refusal("internal_error")] * 3)
        await at.server.press(answer, action, at.bo)
        await at.server.until(lambda: at.server.ephemerals)
        assert not at.server.views
    [told] = at.server.ephemerals
    assert told.user == at.bo.id
    assert "try once more" in told.shown
    assert told.thread_ts == message.ts
    assert "Good" in answer.shown  # it is not replaced


@pytest.mark.parametrize("command", ["settings", "status", "help"])
async def test_a_command_that_fails_is_said_to(
    at: Desk, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if command == "settings":
        at.server.fail("conversations.info", *[refusal("internal_error")] * 3)
    async with at.running():
        if command != "settings":
            monkeypatch.setattr(at.adapter._channels, "policy", broken)
        await at.server.slash(at.channel, at.anna, command)
        await at.server.until(lambda: at.server.ephemerals)
    assert "try once more" in at.server.ephemerals[0].shown


async def broken(*_: object) -> None:
    raise ConnectionError("the store is away")


async def test_more_windows_than_can_be_opened_are_said_to(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_AT_ONCE", 1)
    async with at.running():
        held = at.server.hold("conversations.info")
        await at.server.slash(at.channel, at.anna, "settings")
        async with asyncio.timeout(10):
            await held.arrived.wait()
        await at.server.slash(at.channel, at.bo, "settings")
        await at.server.until(lambda: at.server.ephemerals)
        held.release()
        await at.server.until(lambda: at.server.views)
    assert at.server.ephemerals[0].user == at.bo.id
    assert "Too many people" in at.server.ephemerals[0].shown


async def test_of_two_forms_for_another_try_the_later_one_is_said_not_to_count(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Good morning"))
        for person in (at.anna, at.bo):
            await at.server.press(answer, ids.RETRY, person)
        await at.server.until(lambda: len(at.server.views) == 2)
        mine, other = sorted(at.server.views, key=lambda view: view.user != at.anna.id)
        await at.server.submit_view(mine, {"languages": "German"})
        await at.server.until(lambda: len(at.jobs.views) == 2)
        await quiet(at)
        assert not at.server.ephemerals
        await at.server.submit_view(other, {"languages": "French"})
        await at.server.until(lambda: at.server.ephemerals)
        await at.deliver(saying("Guten Morgen"))
    [told] = at.server.ephemerals
    assert told.user == at.bo.id
    assert "Your settings were not used" in told.shown
    assert at.job().recording.policy.languages == ("de",)
    assert len(at.jobs.views) == 2


# --- Slack's own transcript ---


async def test_all_of_slacks_own_transcript_comes_as_a_file_if_it_is_long(at: Desk) -> None:
    words = " ".join(f"word{number}" for number in range(600))
    clip = replace(
        TALK,
        name="audio_message.mp4",
        subtype="slack_audio",
        transcript="word0",
        vtt=f"WEBVTT\n\n00:00.000 --> 09:00.000\n{words}",
    )
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, clip)
        [answer] = await at.answered(message)
        for _ in range(2):  # as after a crash
            await at.adapter.report_failure(at.job(), "Recognition is down.")
        assert "The beginning of Slack's own transcript" in answer.shown
        assert "in the file below" in answer.shown
        assert "word599" not in answer.shown
        assert at.files(message) == {"audio_message.slack.txt": words.encode()}
        await at.server.press(answer, ids.RETRY, at.anna)
        await at.server.until(lambda: at.server.views)
        await at.server.submit_view(at.server.views[0], {"languages": "German"})
        await at.server.until(lambda: len(at.jobs.views) == 2)
        await at.deliver(saying("Guten Morgen"))
    assert set(at.files(message)) == {"audio_message.transcript.md", "audio_message.transcript.srt"}


async def test_where_files_are_not_allowed_only_its_beginning_is_promised(at: Desk) -> None:
    vtt = "WEBVTT\n\n00:00.000 --> 09:00.000\n" + "word " * 600
    clip = replace(TALK, name="audio_message.mp4", subtype="slack_audio", transcript="word", vtt=vtt)
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, clip)
        [answer] = await at.answered(message)
        at.server.fail("files.getUploadURLExternal", refusal("file_uploads_disabled"))
        await at.adapter.report_failure(at.job(), "Recognition is down.")
    assert "The beginning of Slack's own transcript" in answer.shown
    assert "file below" not in answer.shown


# --- what lies elsewhere ---

LINKED = replace(
    TALK, name="", mode="external", external_type="gdrive", mimetype="application/vnd.slack-remote"
)


@pytest.mark.parametrize(
    "item",
    [
        replace(LINKED, title="Board meeting.mp4", external_url="https://drive.example/1"),
        replace(
            LINKED, title="Board meeting", external_url="https://drive.example/a/Board%20meeting.mp4?dl=0"
        ),
        replace(
            LINKED,
            title="Board meeting",
            external_url="https://drive.example/1",
            fields={"mimetype": "application/vnd.google-apps.video"},
        ),
    ],
)
async def test_what_lies_elsewhere_is_known_by_title_address_or_kind(at: Desk, item: Item) -> None:
    at.links.files[item.external_url or ""] = b"from the drive"
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, item)
        await at.answered(message, text="Transcribing")


async def test_what_lies_elsewhere_is_tried_whatever_it_is_called_if_somebody_asks(at: Desk) -> None:
    known, unknown = "https://drive.example/known", "https://drive.example/unknown"
    at.links.files[known] = b"from the drive"
    item = replace(LINKED, title="Board meeting", external_url=known)
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, item)
        other, _ = await at.server.share(at.channel, at.anna, replace(item, external_url=unknown))
        third, _ = await at.server.share(at.channel, at.anna, item)
        mixed, _ = await at.server.share(at.channel, at.anna, item, replace(TALK, name="second.mp3"))
        await at.answered(mixed)
        await quiet(at)
        assert not at.answers(message)
        await at.server.shortcut(message, at.bo, ids.SHORTCUT)
        await at.answered(message, text="Transcribing")
        await at.server.slash(at.channel, at.bo, permalink(at, third.ts))
        await at.answered(third, text="Transcribing")
        await at.server.shortcut(other, at.bo, ids.SHORTCUT)
        await at.answered(other, text="Google Drive")
        me = at.server.installation(at.workspace).bot_user_id
        await at.server.say(at.channel, at.bo, f"<@{me}> please", thread_ts=mixed.ts)
        await quiet(at)
        assert len(at.answers(mixed)) == 1  # a recording counts more than a link


# --- whose business it is ---


async def test_probing_a_private_channel_tells_nothing(at: Desk) -> None:
    secret = at.server.add_channel(at.workspace, "board", kind="group", creator=at.root, members=[at.root])
    closed = at.server.add_channel(
        at.workspace, "closed", kind="group", creator=at.root, members=[at.root], bot=False
    )
    async with at.running():
        recording, [file] = await at.server.share(secret, at.root, TALK)
        unseen, [other] = await at.server.share(closed, at.root, TALK)
        words = await at.server.say(secret, at.root, "Quarterly figures")
        await quiet(at)
        before = len(at.server.called("conversations.replies"))
        links = [
            permalink(at, recording.ts, secret.id),
            permalink(at, words.ts, secret.id),
            permalink(at, "1700000000.000100", secret.id),
            permalink(at, unseen.ts, closed.id),
            permalink(at, "1700000000.000100", "C0NOWHERE"),
            f"https://acme.slack.com/files/U0/{file.id}/x.mp3",
            f"https://acme.slack.com/files/U0/{other.id}/x.mp3",
            "https://acme.slack.com/files/U0/F0NOTHING/x.mp3",
        ]
        for number, link in enumerate(links, 1):
            await at.server.slash(at.channel, at.bo, link)
            await at.server.until(lambda number=number: len(at.server.ephemerals) == number)  # type: ignore[misc]
        assert len(at.server.called("conversations.replies")) == before  # nothing was read
    assert len({told.shown for told in at.server.ephemerals}) == 1
    assert "no recording there" in at.server.ephemerals[0].shown


async def test_a_public_channel_is_everybodys_of_the_workspace_but_no_guests(tmp_path: Path) -> None:
    async with desk(tmp_path, SLACK_TRANSCRIBE="asked") as at, at.running():
        guest = at.server.add_user(at.workspace, "guest", is_restricted=True)
        place = at.server.add_channel(at.workspace, "talks", creator=at.root, members=[at.root])
        at.channel.members.append(guest.id)
        message, _ = await at.server.share(place, at.root, TALK)
        await quiet(at)
        await at.server.slash(at.channel, guest, permalink(at, message.ts, place.id))
        await at.server.until(lambda: at.server.ephemerals)
        assert "no recording there" in at.server.ephemerals[0].shown
        await at.server.slash(at.channel, at.bo, permalink(at, message.ts, place.id))
        await at.server.until(lambda: at.answers(message, place))
        await at.server.until(lambda: len(at.server.ephemerals) == 2)
    assert "being transcribed" in at.server.ephemerals[1].shown


async def test_a_public_channel_of_another_workspace_of_the_organisation_is_not(tmp_path: Path) -> None:
    async with desk(tmp_path, SLACK_TRANSCRIBE="asked") as at:
        north = at.server.add_workspace("North", enterprise_id="E0ORG", install=False)
        south = at.server.add_workspace("South", enterprise_id="E0ORG", install=False)
        nina, sven = at.server.add_user(north, "nina"), at.server.add_user(south, "sven")
        at.server.install(None, nina, enterprise_id="E0ORG")
        northern = at.server.add_channel(north, "northern", creator=nina, members=[nina])
        southern = at.server.add_channel(south, "southern", creator=sven, members=[sven])
        at.workspace = north
        at.adapter = at.open()
        async with at.running():
            message, _ = await at.server.share(northern, nina, TALK)
            await quiet(at)
            await at.server.slash(southern, sven, permalink(at, message.ts, northern.id))
            await at.server.until(lambda: at.server.ephemerals)
            await quiet(at)
        assert "no recording there" in at.server.ephemerals[0].shown
        assert not at.jobs.views


# --- in time ---


async def test_a_window_opens_in_time_in_a_private_channel_of_thousands(at: Desk) -> None:
    place = crowd(at, "group")
    async with at.running():
        message, _ = await at.server.share(place, at.anna, TALK)
        await at.server.until(lambda: at.answers(message, place))
        await at.deliver(saying("Good morning"))
        [answer] = at.answers(message, place)
        place.members.remove(at.bo.id)
        place.members.append(at.bo.id)  # the last of all pages
        await at.server.press(answer, ids.RENAME, at.bo)
        await at.server.until(lambda: at.server.views)
        assert len(at.server.called("conversations.members")) <= 5
        assert "More people are here" in str(at.server.views[0].blocks)
        await at.server.press(answer, ids.RETRY, at.bo)
        await at.server.until(lambda: len(at.server.views) == 2)
        assert len(at.server.called("conversations.members")) <= 5  # it is known by now


async def test_in_a_public_channel_nobody_is_counted_before_a_window_opens(at: Desk) -> None:
    place = crowd(at, "channel")
    async with at.running():
        message, _ = await at.server.share(place, at.anna, TALK)
        await at.server.until(lambda: at.answers(message, place))
        [answer] = at.answers(message, place)
        await at.server.press(answer, ids.STOP, at.anna)
        await at.server.until(lambda: "stopped" in answer.shown)
        await at.server.press(answer, ids.RETRY, at.bo)
        await at.server.until(lambda: at.server.views)
    assert not at.server.called("conversations.members")


# --- what Slack withholds ---


async def test_events_that_slack_held_back_are_in_the_log(at: Desk, caplog: pytest.LogCaptureFixture) -> None:
    async with at.running():
        delivery = await at.server.hold_back(at.workspace, 1_518_467_820)
        await at.server.delivered()
    assert delivery.acknowledged
    assert "since 2018-02-12 20:37 UTC" in caplog.text
    assert "Unhandled" not in caplog.text


async def test_a_long_thread_is_read_to_its_end_by_an_app_that_gets_a_page_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "LONGEST_WAIT", 0.5)  # so that a second here is as a minute there
    async with desk(tmp_path, SLACK_TRANSCRIBE="asked") as at, at.running():
        root = await at.server.say(at.channel, at.bo, "Our thread")
        talk(at, root, 20)
        message, _ = await at.server.share(at.channel, at.anna, TALK, thread_ts=root.ts)
        talk(at, root, 20)
        at.server.api.history_seconds = 1.0
        me = at.server.installation(at.workspace).bot_user_id
        await at.server.say(at.channel, at.bo, f"<@{me}> please", thread_ts=root.ts)
        await at.server.until(lambda: at.answers(message), seconds=30)
        await quiet(at)
        pages = [call for call in at.server.called("conversations.replies") if call.error is None]
        assert len(pages) == 3
        assert len({call.args.get("cursor") for call in pages}) == 3


async def test_an_answer_is_found_again_in_a_long_thread_a_page_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "LONGEST_WAIT", 0.5)
    async with desk(tmp_path, SLACK_TRANSCRIBE="asked") as at, at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        talk(at, message, 40)
        await quiet(at)
        at.server.api.history_seconds = 1.0
        at.server.fail("chat.postMessage", "lost")
        await at.server.shortcut(message, at.bo, ids.SHORTCUT)
        await at.server.until(lambda: at.server.called("conversations.replies"), seconds=30)
        await at.server.until(lambda: not at.store.spaces.get("slack:letters"), seconds=30)
        await at.deliver(saying("Hello there"))
        [answer] = at.answers(message)
        assert "Hello" in answer.shown
        pages = [call for call in at.server.called("conversations.replies") if call.error is None]
        assert len({call.args.get("cursor") for call in pages}) == len(pages) == 3


# --- people of other organisations ---


async def test_people_of_another_organisation_use_the_buttons_of_a_shared_channel(at: Desk) -> None:
    stranger, place = joint(at)
    async with at.running():
        message, _ = await at.server.share(place, stranger, TALK, check_file_info=True)
        await at.server.until(lambda: at.answers(message, place))
        [answer] = at.answers(message, place)
        await at.deliver(saying("Good morning"))
        pressed = await at.server.press(answer, ids.RENAME, stranger)
        assert pressed.payload["team"]["id"] == at.workspace.id
        assert pressed.payload["user"]["team_id"] == stranger.team
        assert not unknown(sample_of(pressed), pressed.payload)
        await at.server.until(lambda: at.server.views or at.server.ephemerals)
        sent = await at.server.submit_view(at.server.views[0], {"name:Speaker%201": "Zoë"})
        assert sent.payload["team"]["id"] == sent.payload["view"]["team_id"] == stranger.team
        assert sent.payload["view"]["app_installed_team_id"] == at.workspace.id
        await at.server.until(lambda: "Zoë" in answer.shown)
        await at.server.press(answer, ids.RETRY, stranger)
        await at.server.until(lambda: at.server.views)
        await at.server.submit_view(at.server.views[-1], {"languages": "German"})
        await at.server.until(lambda: len(at.jobs.views) == 2)
        await at.server.press(answer, ids.STOP, stranger)
        await at.server.until(lambda: at.jobs.views[at.job().id].state is JobState.CANCELLED)
        await quiet(at)
        await at.server.press(answer, ids.DELETE, stranger)  # who shared it
        await at.server.until(lambda: "was deleted" in answer.shown)


async def test_an_admin_of_another_organisation_has_no_more_rights_than_others(at: Desk) -> None:
    stranger, place = joint(at)
    stranger.is_admin = True
    async with at.running():
        message, _ = await at.server.share(place, at.anna, TALK)
        await at.server.until(lambda: at.answers(message, place))
        [answer] = at.answers(message, place)
        await at.deliver(saying("Good morning"))
        await at.server.press(answer, ids.DELETE, stranger)
        await at.server.until(lambda: at.server.ephemerals)
    assert "Good" in answer.shown
    assert "can delete" in at.server.ephemerals[0].shown
    assert at.server.ephemerals[0].user == stranger.id


async def test_a_button_means_the_app_that_wrote_the_answer_where_both_organisations_have_it(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as at:
        other = at.server.add_workspace("Other")
        otto = at.server.add_user(other, "otto", is_admin=True)
        place = at.server.add_channel(
            at.workspace, "joint", creator=at.anna, members=[at.anna, otto], shared_with=[other]
        )
        at.adapter = await everywhere(at, other)
        async with at.running():
            message, _ = await at.server.share(place, at.anna, TALK)
            await at.server.until(lambda: at.answers(message, place))
            [answer] = at.answers(message, place)
            await at.deliver(saying("Good morning"))
            await at.server.press(answer, ids.DELETE, otto)  # an admin, but not here
            await at.server.until(lambda: at.server.ephemerals)
            assert "can delete" in at.server.ephemerals[0].shown
            await at.server.press(answer, ids.RENAME, otto)
            await at.server.until(lambda: at.server.views)
            await at.server.submit_view(at.server.views[0], {"name:Speaker%201": "Zoë"})
            await at.server.until(lambda: "Zoë" in answer.shown)


# --- helpers ---


async def everywhere(at: Desk, *others: Workspace) -> SlackAdapter:
    """The door for the desk's workspace and others."""
    settings = load_settings(
        Settings,
        ERNI_DATA_DIR=at.folder / "data",
        ERNI_PUBLIC_URL="https://audio.example.com",
        ERNI_ENCRYPTION_KEY=base64.b64encode(bytes(range(32))).decode(),
    )
    context = AdapterContext(settings=settings, store=at.store, jobs=at.jobs, links=at.links, node_id="node")
    own = load_settings(
        SlackSettings,
        SLACK_APP_TOKEN=at.server.app.app_token,
        SLACK_API_BASE_URL=at.server.api_url,
        SLACK_CLIENT_ID="1.2",
        SLACK_CLIENT_SECRET="secret",
    )
    adapter = SlackAdapter(context, own)
    for workspace in (at.workspace, *others):
        found = at.server.installation(workspace)
        bot = Bot(
            team_id=workspace.id,
            bot_token=found.token,
            bot_id=found.bot_id,
            bot_user_id=found.bot_user_id,
            installed_at=0.0,
        )
        await adapter._source.async_save_bot(bot)
    return adapter


def joint(at: Desk) -> tuple[User, Channel]:
    """Somebody of another organisation, without the app, in a channel that both share."""
    other = at.server.add_workspace("Other", install=False)
    stranger = at.server.add_user(other, "stranger")
    place = at.server.add_channel(
        other, "joint", creator=stranger, members=[at.anna], bot=False, shared_with=[at.workspace]
    )
    place.members.append(at.server.installation(at.workspace).bot_user_id)
    return stranger, place


def crowd(at: Desk, kind: Kind) -> Channel:
    place = at.server.add_channel(at.workspace, "crowd", kind=kind, creator=at.anna, members=[at.anna, at.bo])
    place.members += [f"U0CROWD{number:05}" for number in range(3000)]
    return place


def talk(at: Desk, root: Message, replies: int) -> None:
    """Much is said in a thread, of which the app is told nothing."""
    for number in range(replies):
        said = Message(
            ts=at.server.slack.new_ts(),
            channel=at.channel.id,
            user=at.bo.id,
            text=f"Reply {number}",
            team=at.workspace.id,
            thread_ts=root.ts,
        )
        at.server.slack.post(at.channel, said)


def direct(at: Desk, user: User) -> list[str]:
    """What the app told somebody in their direct messages."""
    return [
        message.shown
        for channel in at.server.slack.channels.values()
        if channel.kind == "im" and user.id in channel.members
        for message in at.server.messages(channel)
    ]


def permalink(at: Desk, ts: str, channel: str | None = None) -> str:
    return f"https://acme.slack.com/archives/{channel or at.channel.id}/p{ts.replace('.', '')}"


async def quiet(at: Desk) -> None:
    """Until everything that Slack told was acted on."""
    await at.server.delivered()
    await at.server.until(lambda: not at.store.spaces.get("slack:letters"), seconds=30)
