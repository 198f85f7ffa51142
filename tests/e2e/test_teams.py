"""The real service at a Teams: activities in, transcripts out, whatever dies in between."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bots.teams import ids
from tests.e2e.teams_service import FILES, Process, Services, said_in, services
from tests.vendors.teams import FORGERIES
from tests.vendors.teams_model import CONSENT, Message

Recorded = Callable[[str, object], None]


@pytest.mark.parametrize("in_channel", [False, True], ids=["sent to the app", "asked for in a channel"])
async def test_a_recording_comes_back_as_text_and_files_and_the_log_is_discreet(
    tmp_path: Path, record_testsuite_property: Recorded, in_channel: bool
) -> None:
    async with services(tmp_path, in_channel=in_channel, ERNI_LOG_LEVEL="DEBUG") as place:
        at = place.at
        async with place.running():
            message = await place.share(copies=2)
            answer = await place.transcribed(message)
            await place.quiet()
            named = await at.server.press(answer, "Name the speakers", at.anna)
            assert named.dialog is not None
            await at.server.submit(named.dialog, "Save", {"own:0": "Zebedee Quix", "who:1": "same:0"})
            await place.child.until(lambda: "Zebedee Quix" in answer.shown)
            await place.quiet()
            subtitles = await place.once(message)
            words = said_in(subtitles)
            assert all(word in answer.shown for word in words)
            assert all(word in place.files()[FILES[0]].decode() for word in words)
            assert b"Zebedee Quix" in subtitles
            assert b"Speaker 1" not in subtitles
        record_testsuite_property(f"acknowledged_ms, {in_channel=}", place.acknowledged_ms())
        assert place.leaked([*words, "Zebedee", "Quix"]) == []
        assert "Traceback" not in place.child.log
        assert "Unclosed" not in place.child.log


async def test_only_teams_is_listened_to(tmp_path: Path) -> None:
    async with services(tmp_path) as place, place.running():
        server = place.at.server
        message = await place.share()
        await place.transcribed(message)
        activity = server.events("message")[0].activity | {"id": "1700000000000"}
        for forgery in FORGERIES:
            status, text = await server.deliver_forged(forgery, activity)
            assert status in {401, 403}, forgery
            assert text == ""
        strange = activity | {"serviceUrl": server.elsewhere}
        headers = server.delivery.headers(activity)
        status, _ = await server.delivery.post(json.dumps(strange).encode(), headers)
        assert status == 403
        status, _ = await server.delivery.post(b"x" * 600_000, headers)
        assert status == 413
        await place.quiet()
        await place.once(message)
        assert len(place.at.answers(message)) == 1


async def test_the_stop_button_stops_the_work(tmp_path: Path) -> None:
    async with (
        services(tmp_path, QUICK_SECONDS="100000", ERNI_DRAIN_SECONDS="0") as place,
        place.running(),
    ):
        at = place.at
        message = await place.share()
        await place.child.until(lambda: at.answers(message) and "Listening" in at.answers(message)[0].shown)
        [answer] = at.answers(message)
        assert "recognising" in (await place.child.command("jobs"))[1]
        await at.server.press(answer, ids.STOP, at.anna)
        await place.child.until(lambda: "was stopped by" in answer.shown)
        assert await place.child.command("jobs") == (0, "Nothing is in progress.\n")
        await place.quiet()
        assert at.said(message) == [answer]
        assert "was stopped by" in answer.shown
        assert place.leaked([]) == []


# --- what dies in between ---


async def while_it_listens(place: Services, process: Process) -> Message:
    message = await place.share()
    await place.child.until(
        lambda: "Listening" in "".join(each.shown for each in place.at.answers(message)), process
    )
    await place.child.kill(process)
    return message


class Held:
    """Killed while Microsoft is asked to do the last of `calls`, each the first of its name after the one
    before; it does not do it, or (`done`) does it without anybody hearing of it."""

    def __init__(self, *calls: str, done: bool = False) -> None:
        self.calls = calls
        self.done = done

    async def __call__(self, place: Services, process: Process) -> Message:
        server = place.at.server
        hold = server.hold(self.calls[0])
        message = await place.share()
        await place.child.until(hold.arrived.is_set, process)
        for call in self.calls[1:]:
            before, hold = hold, server.hold(call)
            before.release()
            await place.child.until(hold.arrived.is_set, process)
        if self.done:
            calls = len(server.calls)
            process.send_signal(signal.SIGSTOP)
            hold.release()
            await place.child.until(lambda: len(server.calls) > calls)
            assert (server.calls[-1].name, server.calls[-1].error) == (self.calls[-1], None)
        await place.child.kill(process)
        return message


async def while_a_file_is_handed_over(place: Services, process: Process) -> Message:
    message = await place.share()
    await place.transcribed(message)
    hold = place.at.server.hold("piece")
    await place.accept(place.offers(message, CONSENT)[0])
    await place.child.until(hold.arrived.is_set, process)
    process.send_signal(signal.SIGSTOP)
    hold.release()
    await place.child.until(place.files)
    await place.child.kill(process)
    return message


SENT: dict[str, Callable[[Services, Process], Awaitable[Message]]] = {
    "acknowledged, nothing done": Held("token"),
    "accepted, not answered": Held("send"),
    "answered, not remembered": Held("send", done=True),
    "fetching": Held("download"),
    "listening": while_it_listens,
    "result shown, no file offered": Held("send", "send"),
    "file offered, not remembered": Held("send", "send", done=True),
    "between the offers": Held("send", "send", "send"),
    "a file handed over, not remembered": while_a_file_is_handed_over,
}
ASKED: dict[str, Callable[[Services, Process], Awaitable[Message]]] = {
    "acknowledged, nothing done": Held("shares"),
    "accepted, not answered": Held("send"),
    "answered, not remembered": Held("send", done=True),
    "fetching": Held("download"),
    "listening": while_it_listens,
    "before the first file": Held("put content"),
    "first file there, not remembered": Held("put content", done=True),
    "between the files": Held("put content", "put content"),
    "result not shown": Held("put content", "put content", "update"),
    "result shown, not remembered": Held("put content", "put content", "update", done=True),
}


async def killed(home: Path, moment: str, in_channel: bool) -> tuple[bytes, list[float]]:
    """The subtitles of the one transcript that there is in the end, and how fast Teams was answered."""
    die = (ASKED if in_channel else SENT)[moment]
    async with services(home, in_channel=in_channel, ERNI_REDELIVERY_SECONDS="2") as place:
        slow = {"QUICK_SECONDS": "100000"} if moment == "listening" else {}
        async with place.running(**slow) as process:
            message = await die(place, process)
        async with place.running():
            await place.transcribed(message)
            await place.quiet()
            subtitles = await place.once(message)
        assert place.leaked(said_in(subtitles)) == []
        return subtitles, place.acknowledged_ms()


async def undisturbed(home: Path, in_channel: bool) -> bytes:
    async with services(home, in_channel=in_channel) as place, place.running():
        message = await place.share()
        await place.transcribed(message)
        await place.quiet()
        return await place.once(message)


@pytest.mark.slow
@pytest.mark.parametrize("in_channel", [False, True], ids=["sent to the app", "asked for in a channel"])
async def test_killed_at_any_moment_it_answers_once_and_loses_nothing(
    tmp_path: Path, record_testsuite_property: Recorded, in_channel: bool
) -> None:
    moments, some = list(ASKED if in_channel else SENT), asyncio.Semaphore(4)
    expected = await undisturbed(tmp_path / "undisturbed", in_channel)
    took: list[float] = []

    async def one(moment: str) -> bytes:
        async with some:
            subtitles, acknowledged = await killed(tmp_path / moment, moment, in_channel)
        took.extend(acknowledged)
        return subtitles

    found = await asyncio.gather(*map(one, moments), return_exceptions=True)
    record_testsuite_property(f"acknowledged_ms while killed, {in_channel=}", sorted(took))
    assert dict(zip(moments, found, strict=True)) == dict.fromkeys(moments, expected)


# --- what the operator is told ---


async def test_without_an_app_there_is_no_service(tmp_path: Path) -> None:
    async with services(tmp_path) as place:
        code, said = await place.child.command("serve", TEAMS_APP_ID="")
        assert code != 0
        assert "TEAMS_APP_ID is missing" in said
        local = dict.fromkeys(("TEAMS_APP_ID", "TEAMS_APP_PASSWORD", "TEAMS_TENANT_ID"), "")
        code, said = await place.child.command(
            "serve", **local, TEAMS_INSECURE_LOCAL_DEVELOPMENT="1", ERNI_PUBLIC_URL="https://erni.example"
        )
        assert code != 0
        assert "ERNI_PUBLIC_URL" in said
        assert "Running at" not in said


async def test_the_doctor_looks_at_teams(tmp_path: Path) -> None:
    async with services(tmp_path) as place:

        async def found(**more: str) -> dict[str, str]:
            code, out = await place.child.command("doctor", "--json", **more)
            assert code == 0, out
            return next(f for f in json.loads(out)["findings"] if f["area"] == "front door teams")

        assert (await found())["level"] == "ok"
        wrong = await found(TEAMS_APP_PASSWORD="revoked~secret")
        assert wrong["level"] == "bad"
        assert "revoked~secret" not in json.dumps(wrong)
        assert "TEAMS_TENANT_ID" in (await found(TEAMS_TENANT_ID=""))["state"]
        away = "http://127.0.0.1:1"
        assert (await found(TEAMS_LOGIN_BASE_URL=away))["level"] == "bad"
