"""The real service at a Slack: events in, transcripts out, whatever dies in between."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from bots.slack import ids
from core.embedded import find_server
from tests.e2e.children import PATIENCE, Process
from tests.e2e.slack_service import Services, Way, services
from tests.e2e.test_cli_transcribe import REAL, ROOT, cut, record
from tests.vendors.slack import Item, refusal
from tests.vendors.slack_model import Message


def talk(home: Path, pitch: float = 220, seconds: float = 4) -> Item:
    """A recording of its own for each pitch, always with the same name."""
    path = record(home / f"{pitch}.wav", seconds, pitch)
    return Item(name="talk about money.wav", data=path.read_bytes())


def long_words(subtitles: bytes) -> list[str]:
    """Words that are in no log by chance."""
    found = re.findall(r"\b[a-z]{6,}\b", subtitles.decode())
    assert found
    return found


@pytest.mark.parametrize("way", ["socket", "http"])
async def test_a_recording_comes_back_as_text_and_files_and_the_log_is_discreet(
    tmp_path: Path, way: Way
) -> None:
    async with services(tmp_path, way=way, more={"ERNI_LOG_LEVEL": "DEBUG"}) as place:
        at = place.at
        at.server.delivery.retry_after = (0.0, *[0.5] * 200)  # as Slack does it, but in a minute
        async with place.running():
            message, _ = await at.server.share(at.channel, at.anna, talk(tmp_path), copies=2)
            answer = await place.transcribed(message)
            await place.quiet()
            words = long_words(place.once(message))
            assert all(word in answer.shown for word in words)
            notes = next(file.data.decode() for file in place.files(message) if file.name.endswith(".md"))
            assert all(word in notes for word in words)
            await at.server.press(answer, ids.RENAME, at.bo)
            await place.until(lambda: at.server.views)
            await at.server.submit_view(
                at.server.views[-1],
                {"name:Speaker%201": "Zebedee Quix", "who:Speaker%202": "same:Speaker%201"},
            )
            await place.until(lambda: "Zebedee Quix" in answer.shown)
            await place.until(lambda: any(b"Zebedee" in file.data for file in place.files(message)))
            await place.quiet()
            place.once(message)
        # Nothing reaches it now; what is shared is told again when it is back.
        later, _ = await at.server.share(at.channel, at.bo, talk(tmp_path, 330))
        async with place.running():
            await place.transcribed(later)
            await place.quiet()
            assert place.once(later) != place.once(message)
        assert place.leaked([*words, *long_words(place.once(later)), "Zebedee", "Quix"]) == []
        assert "Traceback" not in place.log
        assert "Unclosed" not in place.log


async def test_over_http_only_slack_is_listened_to(tmp_path: Path) -> None:
    async with services(tmp_path, way="http") as place, place.running():
        at, delivery = place.at, place.at.server.delivery
        assert await at.server.verify_url()
        message, _ = await at.server.share(at.channel, at.anna, talk(tmp_path))
        await place.transcribed(message)
        event = next(d for d in at.server.events("message") if d.event.get("files"))
        body = json.dumps(event.payload | {"event_id": "Ev0FORGED"}).replace(message.ts, "1700000000.000100")
        kind = {"Content-Type": "application/json"}
        for signed in (
            {},
            delivery.signed(body, secret="somebody else's"),
            delivery.signed(body, at=time.time() - 600),
            delivery.signed(body + " "),
        ):
            status, _, _ = await delivery.post(body, kind | signed)
            assert status == 401
        await place.quiet()
        place.once(message)
        assert len(at.server.called("chat.postMessage")) == 1


@pytest.mark.slow
async def test_a_real_recording_becomes_one_draft_that_says_so_though_the_service_was_killed_over_it(
    tmp_path: Path,
) -> None:
    cut(ROOT / "samples" / "meeting.m4a", tmp_path / "meeting.wav", 11.8)
    more = {"METHODS": "draft", "ERNI_REDELIVERY_SECONDS": "2"}
    async with services(tmp_path, program=tuple(REAL), more=more) as place:
        at = place.at
        recording = Item(name="Monday.wav", data=(tmp_path / "meeting.wav").read_bytes())
        async with place.running() as process:
            held = at.server.hold("upload")  # of the first file: it was recognised, and nobody saw it yet
            message, _ = await at.server.share(at.channel, at.anna, recording)
            await place.until(held.arrived.is_set, process)
            await place.kill(process)
        assert not place.files(message)
        async with place.running():
            answer = await place.transcribed(message)
            await place.quiet()
        files = {file.name: file.data.decode() for file in place.files(message)}
        assert set(files) == {"Monday.transcript.md", "Monday.transcript.srt"}
        for text in (answer.shown, *files.values()):
            assert "good morning everyone thank you for coming on such short notice" in " ".join(text.split())
            assert "Speaker 2" in text
            assert "draft" in text.lower()
        assert len(place.replies(message)) == 2
        assert place.leaked(["good morning", "short notice", "Monday"]) == []


async def test_the_stop_button_stops_the_work(tmp_path: Path) -> None:
    more = {"QUICK_SECONDS": "100000", "ERNI_DRAIN_SECONDS": "0"}
    async with services(tmp_path, more=more) as place, place.running():
        at = place.at
        message, _ = await at.server.share(at.channel, at.anna, talk(tmp_path))
        await place.until(lambda: at.answers(message) and "Listening" in at.answers(message)[0].shown)
        [answer] = at.answers(message)
        assert "recognising" in (await place.command("jobs"))[1]
        pressed = await at.server.press(answer, ids.STOP, at.bo)
        assert pressed.acknowledged
        await place.until(lambda: "was stopped by" in answer.shown)
        assert await place.command("jobs") == (0, "Nothing is in progress.\n")
        await place.quiet()
        assert place.replies(message) == [answer]
        assert "was stopped by" in answer.shown
        assert at.bo.name in answer.shown
        assert place.leaked([]) == []


# --- what dies in between ---


async def before_acknowledging(place: Services, process: Process) -> Message:
    process.send_signal(signal.SIGSTOP)
    message, _ = await share(place)
    await place.until(lambda: any(delivery.attempts for delivery in place.at.server.deliveries))
    assert not any(delivery.acknowledged for delivery in place.at.server.deliveries)
    await place.kill(process)
    return message


async def while_it_listens(place: Services, process: Process) -> Message:
    message, _ = await share(place)
    await place.until(lambda: "Listening" in "".join(each.shown for each in place.at.answers(message)))
    await place.kill(process)
    return message


async def share(place: Services) -> tuple[Message, object]:
    return await place.at.server.share(place.at.channel, place.at.anna, talk(place.home), copies=2)


class Held:
    """Killed while Slack is asked to do `method`, the first time or the first after `after`; it does not do
    it, or (`done`) does it without anybody hearing of it."""

    def __init__(self, method: str, *, after: str = "", done: bool = False) -> None:
        self.method = method
        self.after = after
        self.done = done

    async def __call__(self, place: Services, process: Process) -> Message:
        server = place.at.server
        first = server.hold(self.after or self.method)
        message, _ = await share(place)
        await place.until(first.arrived.is_set, process)
        hold = first
        if self.after:
            hold = server.hold(self.method)
            first.release()
            await place.until(hold.arrived.is_set, process)
        await server.delivered(seconds=PATIENCE)
        if self.done:
            calls = len(server.calls)
            process.send_signal(signal.SIGSTOP)
            hold.release()

            def ours() -> list[str | None]:  # other calls may have come with it
                return [call.error for call in server.calls[calls:] if call.method == self.method]

            await place.until(ours)
            assert ours()[0] is None
        await place.kill(process)
        return message


MOMENTS: dict[str, Callable[[Services, Process], Awaitable[Message]]] = {
    "before it acknowledges": before_acknowledging,
    "acknowledged, nothing done": Held("users.info"),
    "accepted, not answered": Held("chat.postMessage"),
    "answered, not remembered": Held("chat.postMessage", done=True),
    "fetching": Held("files.info"),
    "listening": while_it_listens,
    "before the first file": Held("files.getUploadURLExternal"),
    "between the files": Held("upload"),
    "files not shown": Held("files.completeUploadExternal"),
    "files shown, not remembered": Held("files.completeUploadExternal", done=True),
    "result not shown": Held("chat.update", after="files.completeUploadExternal"),
    "result shown, not remembered": Held("chat.update", after="files.completeUploadExternal", done=True),
}


async def killed(home: Path, moment: str) -> bytes:
    """The subtitles of the one transcript that there is in the end."""
    async with services(home, more={"ERNI_REDELIVERY_SECONDS": "2"}) as place:
        slow = {"QUICK_SECONDS": "100000"} if moment == "listening" else {}
        async with place.running(**slow) as process:
            message = await MOMENTS[moment](place, process)
        async with place.running():
            await place.transcribed(message)
            await place.quiet()
            subtitles = place.once(message)
        assert place.leaked(long_words(subtitles)) == []
        return subtitles


async def undisturbed(home: Path) -> bytes:
    async with services(home) as place, place.running():
        message, _ = await share(place)
        await place.transcribed(message)
        await place.quiet()
        return place.once(message)


@pytest.mark.slow
async def test_killed_at_any_moment_it_answers_once_and_loses_nothing(tmp_path: Path) -> None:
    expected, some = await undisturbed(tmp_path / "undisturbed"), asyncio.Semaphore(4)

    async def one(moment: str) -> bytes:
        async with some:
            return await killed(tmp_path / moment, moment)

    found = await asyncio.gather(*map(one, MOMENTS), return_exceptions=True)
    assert dict(zip(MOMENTS, found, strict=True)) == dict.fromkeys(MOMENTS, expected)


# --- several processes ---


@asynccontextmanager
async def redis_server(home: Path) -> AsyncIterator[str]:
    """The URL of a real server over TCP, the machine's own Redis where it has one."""
    home.mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = shutil.which("redis-server") or str(find_server())
    options = ["--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--logfile", "log"]
    server = await asyncio.create_subprocess_exec(program, *options, cwd=home)
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        await server.wait()


@pytest.mark.slow
async def test_two_services_on_one_redis_answer_once_and_stand_in_for_each_other(tmp_path: Path) -> None:
    async with redis_server(tmp_path / "redis") as url, services(tmp_path / "one") as one:
        (tmp_path / "two").mkdir()
        one.more = {"REDIS_URL": url, "ERNI_REDELIVERY_SECONDS": "2"}
        two = Services(home=tmp_path / "two", at=one.at, more=one.more)
        server, channel, anna = one.at.server, one.at.channel, one.at.anna
        async with AsyncExitStack() as stack:
            processes = [await stack.enter_async_context(each.running()) for each in (one, two)]
            messages = [
                (await server.share(channel, anna, talk(tmp_path, 200 + 20 * number), copies=3))[0]
                for number in range(6)
            ]
            for message in messages:
                await one.transcribed(message)
            await one.quiet()
            texts = {one.once(message) for message in messages}
            assert len(texts) == 6
            told = {attempt.connection for each in server.deliveries for attempt in each.attempts}
            assert told == {1, 2}, "both took part"

            # Whoever was told of a share dies over it: the other one does it.
            hold = server.hold("chat.postMessage")
            last, _ = await server.share(channel, anna, talk(tmp_path, 500), order="message only")
            await one.until(hold.arrived.is_set)
            number = server.deliveries[-1].attempts[0].connection
            assert number is not None
            await one.kill(processes[number - 1])
            hold.release()
            await one.transcribed(last)
            await one.quiet()
            assert one.once(last) not in texts
        for place in (one, two):
            assert place.leaked(word for text in texts for word in long_words(text)) == []


# --- what the operator is told ---


async def test_the_doctor_looks_at_slack(tmp_path: Path) -> None:
    async with services(tmp_path) as place:
        installed = place.at.server.installation(place.at.workspace)

        async def found(**more: str) -> dict[str, str]:
            code, out = await place.command("doctor", "--json", **more)
            assert code == 0, out
            return next(f for f in json.loads(out)["findings"] if f["area"] == "front door slack")

        assert (await found())["level"] == "ok"
        wrong = await found(SLACK_BOT_TOKEN="xoxb-T0-1-revoked")
        assert wrong["level"] == "bad"
        assert "xoxb-T0" not in json.dumps(wrong)
        installed.scopes -= {"files:write"}
        lacking = await found()
        assert lacking["level"] == "bad"
        assert "files:write" in lacking["state"]
        assert "install the app again" in lacking["remedy"]
        assert "SLACK_APP_TOKEN" in (await found(SLACK_APP_TOKEN=""))["state"]
        assert "put it into SLACK_BOT_TOKEN" in (await found(SLACK_APP_TOKEN=installed.token))["state"]
        away = await found(SLACK_API_BASE_URL="http://127.0.0.1:1/api/")
        assert away["level"] == "bad"
        installed.scopes |= {"files:write"}
        wrong = await found(SLACK_APP_TOKEN="xapp-1-A1-1-wrong")
        assert wrong["level"] == "bad"
        assert "Slack does not accept SLACK_APP_TOKEN" in wrong["state"]
        assert "xapp-1" not in json.dumps(wrong)


async def test_a_wrong_bot_token_is_said_at_the_start(tmp_path: Path) -> None:
    async with services(tmp_path) as place:
        async with place.running(SLACK_BOT_TOKEN="xoxb-T0-1-revoked"):
            pass
        [line] = [line for line in place.log.splitlines() if " WARNING " in line and "front door" in line]
        [shown] = [line for line in place.log.splitlines() if line.startswith("Front door")]
        for text in (line, shown):
            assert "ront door slack can't be used" in text
            assert text.endswith("See docs/slack.md.")
        assert "Share a recording" not in place.log
        assert "xoxb-T0" not in place.log


async def test_a_wrong_token_for_socket_mode_is_named_and_the_door_opens_later(
    tmp_path: Path,
) -> None:
    async with services(tmp_path) as place:
        server = place.at.server
        server.fail("apps.connections.open", refusal("invalid_auth"))
        async with place.running():
            message, _ = await server.share(place.at.channel, place.at.anna, talk(tmp_path))
            await place.transcribed(message)
        [line] = [line for line in place.log.splitlines() if "door slack failed" in line]
        assert "Slack does not accept SLACK_APP_TOKEN" in line
        assert place.leaked([]) == []
