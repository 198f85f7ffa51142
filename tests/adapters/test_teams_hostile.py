"""The Teams door where things go wrong: forged and repeated requests, lost answers, crashes, refusals."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bots.teams.endpoint import MOST_BYTES
from core.errors import Rejected, Transient
from core.model import Recording, Stage
from tests.adapters.slack_desk import saying
from tests.adapters.teams_desk import RSC, TALK, Desk, desk
from tests.vendors.teams import FORGERIES, App, Forgery, connector_error, graph_error, throttled
from tests.vendors.teams_model import Message, User


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as found:
        yield found


async def shared(at: Desk) -> Message:
    """The answer to a recording that somebody asked for in a channel."""
    message = await at.server.post(at.channel, at.anna, files=[TALK])
    await at.asked(message, at.bo)
    [answer] = await at.answered(message)
    return answer


# --- who is believed ---


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_what_teams_did_not_sign_is_refused_and_not_acted_on(at: Desk, forgery: Forgery) -> None:
    async with at.running():
        status, text = await at.server.deliver_forged(forgery, at.server.sample(at.alone, at.anna))
        await at.quiet()
    assert status in {401, 403}
    assert text == ""
    assert not at.said(at.alone)


async def test_large_bodies_are_refused_however_they_come(at: Desk) -> None:
    async with at.running():
        activity = at.server.sample(at.alone, at.anna) | {"text": "x" * MOST_BYTES}
        headers = at.server.delivery.headers(activity)
        status, _ = await at.server.delivery.post(json.dumps(activity).encode(), headers)
    assert status == 413


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"a":' * 80_000 + b"1" + b"}" * 80_000,
        b'{"id":' + b"9" * 400_000 + b"}",
        b'{"id": 1e999999, "channelId": "msteams"}',
        b'{"channelId": "msteams", "value": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b"\xff\xfe{}",
    ],
    ids=["open", "deep", "huge number", "infinite", "nested", "no text"],
)
async def test_bombs_of_json_are_refused(at: Desk, body: bytes) -> None:
    async with at.running():
        status, text = await at.server.delivery.post(
            body, at.server.delivery.headers(at.server.sample(at.alone, at.anna))
        )
        assert status in {400, 403}
        assert text == ""
        await at.server.post(at.alone, at.anna, "status")
        await at.told(at.alone, "Nothing is being transcribed")


async def test_a_body_that_unpacks_to_too_much_is_refused(at: Desk) -> None:
    activity = at.server.sample(at.alone, at.anna) | {"text": "x" * 50_000_000}
    packed = gzip.compress(json.dumps(activity).encode())
    headers = at.server.delivery.headers(activity) | {"Content-Encoding": "gzip"}
    async with at.running():
        status, _ = await at.server.delivery.post(packed, headers)
    assert status == 413
    assert len(packed) < MOST_BYTES


async def test_odd_values_in_what_teams_signed_do_no_harm(at: Desk) -> None:
    """As far as they come: Teams passes on what clients make up."""
    odd: list[Any] = [
        None,
        0,
        -1,
        1.5,
        True,
        "",
        "x" * 1000,
        [],
        {},
        [None],
        {"x": []},
        [[]],
        "\ud800",
        "\x00",
    ]
    async with at.running():
        await shared(at)
        await at.deliver(saying("Hello there"))
        for number, value in enumerate(odd):
            invoke = {"type": "invoke", "id": f"f:{number}", "value": value}
            for name in ("adaptiveCard/action", "task/fetch", "task/submit", "fileConsent/invoke"):
                found = at.server.sample(at.channel, at.bo) | invoke | {"name": name}
                delivery = at.server.delivery.add(found)
                await delivery.over.wait()
                assert delivery.status == 200
            for name in ("fetchTask", "submitAction"):
                found = at.server.sample(at.channel, at.bo) | invoke | {"name": f"composeExtension/{name}"}
                wrapped = found | {
                    "value": {"commandId": "transcribe", "data": value, "messagePayload": value}
                }
                delivery = at.server.delivery.add(wrapped)
                await delivery.over.wait()
                assert delivery.status == 200
            for field in ("text", "attachments", "entities", "value", "channelData", "membersAdded", "from"):
                message = at.server.sample(at.alone, at.anna) | {"id": f"1{number:012}", field: value}
                delivery = at.server.delivery.add(message)
                await delivery.over.wait()
                assert delivery.status in {200, 400, 403}
        await at.quiet()
    assert len(at.jobs.views) == 1


async def test_words_without_end_are_read_in_no_time(at: Desk) -> None:
    async with at.running():
        for text in ("<at>" * 25_000, "<at" * 30_000, "<at></at" * 12_000):
            activity = at.server.sample(at.alone, at.anna) | {"text": text}
            status, _ = await at.server.delivery.post(
                json.dumps(activity).encode(), at.server.delivery.headers(activity)
            )
            assert status == 200
        await at.told(at.alone, "Ask for a transcript")
        await at.quiet()


async def test_buttons_of_one_conversation_do_nothing_in_another(at: Desk) -> None:
    """Whoever can send a message can make up a button."""
    async with at.running():
        answer = await shared(at)
        await at.deliver(saying("Secret figures"))
        other = await at.server.post(at.chat, at.bo, "hello")
        other.sender, other.attachments = None, answer.attachments
        for button in ("Show the whole transcript", "Delete the transcript"):
            try:
                outcome = await at.server.press(other, button, at.bo)
            except AssertionError:
                continue  # all of a short transcript is shown
            assert "does not know" in str(outcome.message)
        named = await at.server.press(other, "Name the speakers", at.bo)
        assert "does not know" in str(named.message)
        await at.quiet()
    assert "Secret" in answer.shown


async def test_who_deletes_in_a_chat_of_several_must_have_shared_it(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.chat, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        [answer] = await at.answered(at.chat)
        await at.deliver(saying("Hello there"))
        assert "Only who" in str((await at.server.press(answer, "Delete the transcript", at.bo)).message)
        await at.server.press(answer, "Delete the transcript", at.anna)
        await at.server.until(lambda: "was deleted by" in answer.shown)


# --- once, whatever happens ---


@pytest.mark.parametrize("where", ["channel", "chat"])
async def test_a_lost_answer_to_the_posting_is_found_again(at: Desk, where: str) -> None:
    conversation = at.channel if where == "channel" else at.chat
    async with at.running():
        at.server.fail("send", "lost")
        message = await at.server.post(conversation, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        await at.server.until(lambda: at.jobs.views)
        await at.quiet()
        [answer] = at.answers(message)
        await at.deliver(saying("Hello there"))
    assert at.answers(message) == [answer]
    assert "Hello" in answer.shown


async def test_where_nothing_can_be_read_back_there_is_one_result_and_what_is_left_over_can_go(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, App(roles=frozenset({"Files.ReadWrite.All"}))) as at, at.running():
        at.server.fail("send", "lost")
        await at.server.send_file(at.alone, at.anna, TALK)
        await at.answered(at.alone, 2)
        await at.quiet()
        await at.deliver(saying("Hello there"))
        left, answer = at.answers(at.alone)
        assert "Hello" in answer.shown
        assert "Hello" not in left.shown
        assert "look for a newer message" in left.shown  # it says so for good
        await at.server.press(left, "Stop", at.anna)
        await at.quiet()
        assert at.answers(at.alone) == [answer]
        assert "Hello" in answer.shown


async def test_a_crash_between_posting_and_remembering_it(at: Desk) -> None:
    """The process dies before it reads the answer."""
    async with at.running():
        at.server.fail("send", "lost")
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        await at.server.until(lambda: at.answers(message))
    async with at.running(at.open()):
        await at.quiet()
        await at.deliver(saying("Hello there"))
    [answer] = at.answers(message)
    assert "Hello" in answer.shown
    assert len(at.jobs.views) == 1


async def test_two_processes_bring_a_result_at_once(at: Desk) -> None:
    async with at.running(), at.running(at.open()) as other:
        answer = await shared(at)
        at.jobs.transcripts[at.job().id] = saying("Hello there")
        await asyncio.gather(
            *(door.deliver(saying("Hello there"), at.job()) for door in (at.adapter, other) * 2)
        )
    assert "Hello" in answer.shown
    assert len(at.server.items(at.team)) == 3


async def test_a_result_after_a_restart_needs_no_door_and_finds_the_conversation(at: Desk) -> None:
    async with at.running():
        answer = await shared(at)
    await at.open().deliver(saying("Hello there"), at.job())
    assert "Hello" in answer.shown


@pytest.mark.parametrize("named", [True, False])
async def test_repeated_invokes_that_came_too_late_change_nothing(at: Desk, *, named: bool) -> None:
    at.server.names_requests = named
    at.server.delivery.new_ids = True
    at.server.delivery.invoke_within = 0.3
    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        held = at.server.hold("member")
        opening = asyncio.create_task(at.server.command(message, at.bo))
        await held.arrived.wait()
        opened = await opening
        held.release()
        assert opened.dialog is not None
        sent = await at.server.submit(opened.dialog, "Transcribe", copies=3)
        await at.answered(message)
        await at.quiet()
        at.server.delivery.add(sent.delivery.activity | {"id": "f:another"})
        await at.quiet()
        assert at.said(message) == at.answers(message)
    assert len(at.jobs.views) == 1
    assert len(at.answers(message)) == 1


@pytest.mark.parametrize("named", [True, False])
async def test_the_same_wish_is_another_one_when_time_has_passed_or_somebody_else_has_it(
    at: Desk, monkeypatch: pytest.MonkeyPatch, *, named: bool
) -> None:
    at.server.names_requests = named
    at.server.delivery.new_ids = True
    began, clock = time.time(), SimpleNamespace(late=0.0)
    for module in ("requests", "asking"):
        ticking = SimpleNamespace(time=lambda: began + clock.late)
        monkeypatch.setattr(f"bots.teams.{module}.time", ticking)

    async def ask(user: User) -> int:
        opened = await at.server.command(message, user)
        assert opened.dialog is not None
        await at.server.submit(opened.dialog, "Transcribe", copies=2)
        await at.quiet()
        return len([one for one in at.said(message) if "is being transcribed" in one.shown])

    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        assert await ask(at.bo) == 0
        assert await ask(at.bo) == int(named)  # who opened the dialog once more within a minute
        assert await ask(at.anna) == 1 + int(named)
        for clock.late in (61.0, 122.0):
            before = len(at.said(message))
            await ask(at.bo)
            assert len(at.said(message)) == before + 1
    assert len(at.jobs.views) == 1


async def test_what_the_store_did_not_take_is_not_acknowledged(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise Transient("The store is away.")

    async with at.running():
        with monkeypatch.context() as patched:
            patched.setattr(at.store, "remember", away)
            await at.server.post(at.alone, at.anna, "help")
            await at.server.delivered()
            message = await at.server.post(at.channel, at.anna, files=[TALK])
            opened = await at.server.command(message, at.bo)
            assert opened.dialog is not None
            told = await at.server.submit(opened.dialog, "Transcribe")
        assert at.server.events("message")[0].status == 503
        assert "try again" in str(told.message)
        assert not at.jobs.views


async def test_a_recording_is_not_lost_while_the_core_is_away(at: Desk) -> None:
    tries: list[Recording] = []

    async def submit(recording: Recording) -> str:
        tries.append(recording)
        if len(tries) == 1:
            raise Transient("The queue is away.")
        return await at.jobs.submit(recording)

    async with at.running(submit=submit):
        await at.server.send_file(at.alone, at.anna, TALK)
        await at.answered(at.alone)
    assert len(tries) == 2


# --- what Microsoft refuses ---


@pytest.mark.parametrize("status", [412, 429, 502, 504])
async def test_teams_is_asked_again(at: Desk, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bots.teams.answers.LAG_SECONDS", 1.0)  # for which Graph is asked whether it is there
    async with at.running():
        at.server.fail("send", connector_error(status, "Busy", "Try again."))
        answer = await shared(at)
        await at.quiet()
        at.server.fail("update", connector_error(status, "Busy", "Try again."), throttled(1))
        await at.deliver(saying("Hello there"))
        assert "Hello" in answer.shown
        assert at.answers(answer) == [answer]


async def test_a_card_that_is_too_large_comes_shorter_and_at_last_as_text(at: Desk) -> None:
    too_large = connector_error(413, "MessageSizeTooBig", "Message size too large.")
    words = " ".join(f"{'x' * 90}word{number}" for number in range(14))  # few enough to be shown whole
    async with at.running():
        answer = await shared(at)
        await at.deliver(saying(words))
        assert "word13" in answer.shown
        whole = len(json.dumps(answer.card))
        at.server.fail("update", too_large)
        await at.deliver(saying(words))
        assert "word13" not in answer.shown
        assert len(json.dumps(answer.card)) < whole
        page = await at.server.press(answer, "Show the whole transcript", at.bo)
        assert "word13" in str(page.card)
        at.server.fail("update", too_large, too_large)
        await at.deliver(saying(words))
    assert "Transcript of" in answer.text
    assert at.answers(answer) == []
    assert at.said(answer) == [answer]


async def test_a_bar_is_moved_no_more_often_than_allowed_and_never_covers_the_result(at: Desk) -> None:
    async with at.running():
        answer = await shared(at)
        at.server.fail("update", throttled(1))
        for step in range(50):
            await at.adapter.progress(at.job(), Stage.RECOGNISING, step / 50)
        await at.deliver(saying("Hello there"))
        await at.adapter.progress(at.job(), Stage.RECOGNISING, 0.99)
        await asyncio.sleep(0)
        assert len(at.server.called("update")) < 6
        assert "Hello" in answer.shown


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (frozenset({"Chat.Read.All"}), "Files.ReadWrite.All"),
        (frozenset({"Chat.Read.All", "Files.Read.All"}), ""),
    ],
)
async def test_a_missing_permission_for_files_is_named_and_reading_alone_is_enough_to_transcribe(
    tmp_path: Path, missing: frozenset[str], named: str
) -> None:
    async with desk(tmp_path, App(roles=missing, rsc=RSC)) as at, at.running():
        answer = await shared(at)
        if named:
            await at.server.until(lambda: named in answer.shown)
            assert "grant" in answer.shown
            assert not at.jobs.views
        else:
            assert await at.fetched() == TALK.data
            await at.deliver(saying("Hello there"))
            assert "Hello" in answer.shown
            assert "Files.ReadWrite.All" in answer.shown


async def test_a_missing_permission_to_read_messages_is_named_to_who_mentions(tmp_path: Path) -> None:
    async with (
        desk(tmp_path, App(roles=frozenset({"Files.ReadWrite.All"}))) as at,
        at.running(),
    ):
        post = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.server.post(at.channel, at.bo, "transcribe", reply_to=post, mention_bot=True)
        told = await at.told(post, "ChannelMessage.Read.All")
        assert "ChannelMessage.Read.Group" in told.shown
        await at.asked(post, at.bo)  # which needs no such permission
        await at.answered(post)


async def test_who_owns_a_team_can_not_be_seen(tmp_path: Path) -> None:
    async with desk(tmp_path, App(roles=frozenset({"Files.ReadWrite.All"}))) as at, at.running():
        post = await at.server.post(at.channel, at.anna, "settings", mention_bot=True)
        card = await at.told(post, "Nothing is being transcribed")
        refused = await at.server.press(card, "Settings", at.anna)
        assert "TeamMember.Read.All" in str(refused.message)


async def test_the_text_comes_while_files_are_not_possible(at: Desk) -> None:
    async with at.running():
        answer = await shared(at)
        at.server.fail("put content", *[graph_error(503, "serviceNotAvailable", retry_after=60)])
        with pytest.raises(Transient):
            await at.deliver(saying("Hello there"))
        assert "Hello" in answer.shown
        await at.deliver(saying("Hello there"))
        assert "Board meeting.transcript.md" in answer.shown


async def test_a_recording_that_is_gone(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        [item] = message.files.values()
        item.deleted = True
        await at.asked(message, at.bo)
        await at.answered(message, text="deleted or moved")
        assert not at.jobs.views
        later = await at.server.send_file(at.alone, at.anna, TALK)
        [item] = later.files.values()
        await at.answered(at.alone)
        at.server.advance(7200)  # its address is over, but it still lies in her OneDrive
        assert await at.fetched() == TALK.data
        item.deleted = True
        with pytest.raises(Rejected):
            await at.fetched()


# --- coming and going ---


async def test_removing_the_app_from_a_team_forgets_what_was_there(at: Desk) -> None:
    async with at.running():
        await shared(at)
        await at.deliver(saying("Hello there"))
        await at.server.send_file(at.alone, at.anna, TALK)
        await at.answered(at.alone)
        await at.server.remove(at.channel, at.anna)
        await at.server.until(lambda: not at.jobs.transcripts)
        await at.quiet()
        [left] = await at.adapter.answers.states()
        assert left.share.where.conversation == at.alone.id


async def test_an_upgrade_of_the_app_forgets_nothing(at: Desk) -> None:
    async with at.running():
        answer = await shared(at)
        at.server.upgrades = True
        await at.server.remove(at.channel, at.anna)
        await at.server.install(at.channel, at.anna)
        await at.quiet()
        assert await at.adapter.answers.states()
        await at.deliver(saying("Hello there"))
    assert "Hello" in answer.shown


async def test_where_the_app_was_removed_unnoticed_the_job_is_stopped(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.chat, at.anna, files=[TALK])
        await at.server.post(at.chat, at.anna, "status", mention_bot=True)
        await at.told(at.chat, "Nothing is being transcribed")
        opened = await at.server.command(message, at.bo)
        assert opened.dialog is not None
        at.chat.installed = False
        await at.server.submit(opened.dialog, "Transcribe")
        await at.quiet()
        assert all(view.state == "cancelled" for view in at.jobs.views.values())
        again = await at.server.command(message, at.bo)
        assert again.dialog is not None
        assert "not in this conversation" in str(again.dialog.card)


async def test_a_result_for_a_conversation_that_is_gone_is_refused(at: Desk) -> None:
    async with at.running():
        await shared(at)
        at.team.installed = False
        with pytest.raises(Rejected):
            await at.deliver(saying("Hello there"))


async def test_a_deleted_answer_is_posted_anew_with_the_result_and_a_bar_is_not(at: Desk) -> None:
    async with at.running():
        answer = await shared(at)
        answer.deleted_at = at.server.m365.clock()
        await at.adapter.progress(at.job(), Stage.RECOGNISING, 0.5)
        await at.deliver(saying("Hello there"))
        post = at.server.m365.conversations[at.channel.id].messages[str(answer.root)]
        [fresh] = at.answers(post)
    assert "Hello" in fresh.shown


async def test_teams_rates_are_kept_to_with_many_recordings_in_one_message(at: Desk) -> None:
    files = [replace(TALK, name=f"Part {number}.mp3") for number in range(10)]
    async with at.running():
        at.server.limit_rates()
        message = await at.server.post(at.chat, at.anna, files=files)
        await at.asked(message, at.bo)
        await at.server.until(lambda: len(at.answers(at.chat)) == 10, seconds=30)
        await at.quiet()
        for view in list(at.jobs.views.values())[:3]:
            await at.deliver(saying("Hello there"), view.job)
    assert len(at.answers(at.chat)) == 10


async def test_a_message_that_graph_does_not_show_yet_is_looked_at_again(tmp_path: Path) -> None:
    async with desk(tmp_path, TEAMS_TRANSCRIBE="all") as at, at.running():
        at.server.fail("chat message", graph_error(404, "NotFound"))
        await at.server.post(at.chat, at.anna, files=[TALK])
        await at.answered(at.chat)
        at.server.fail("chat message", graph_error(404, "NotFound"))
        await at.server.post(at.chat, at.anna, "transcribe", files=[TALK], mention_bot=True)
        await at.answered(at.chat, 2)
        await at.quiet()
    assert len(at.jobs.views) == 2


async def test_a_chat_of_two_people_is_no_chat_with_the_app(at: Desk) -> None:
    chat = at.server.add_chat(at.anna, at.bo, installed=True)
    async with at.running():
        message = await at.server.post(chat, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        [answer] = await at.answered(chat)
        await at.deliver(saying("Hello there"))
    assert at.said(chat) == [answer]
    assert "Board meeting.transcript.md" in answer.shown


async def test_stop_in_a_thread_is_about_the_thread_and_in_a_new_post_about_the_channel(at: Desk) -> None:
    async with at.running():
        answers = [await shared(at), await shared(at), await shared(at)]
        thread = at.channel.messages[str(answers[0].root)]
        await at.server.post(at.channel, at.bo, "stop", reply_to=thread, mention_bot=True)
        await at.server.until(lambda: "was stopped" in answers[0].shown)
        await at.quiet()
        assert not any("was stopped" in answer.shown for answer in answers[1:])
        await at.server.post(at.channel, at.bo, "stop", mention_bot=True)
        await at.server.until(lambda: all("was stopped" in answer.shown for answer in answers))
        await at.quiet()
