"""The real service at a Teams: activities in, transcripts out, whatever dies in between."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bots.teams import ids
from bots.teams.settings import MESSAGES_PATH
from tests.adapters.teams_desk import documented
from tests.e2e.children import Process
from tests.e2e.teams_service import FILES, Services, said_in, services, shows_transcript
from tests.e2e.test_cli_transcribe import REAL, ROOT, cut
from tests.e2e.test_slack import redis_server
from tests.vendors import faults
from tests.vendors.teams import FORGERIES, App, File
from tests.vendors.teams_model import CONSENT, Conversation, Message

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


@pytest.mark.slow
async def test_a_real_recording_is_recognised_as_a_draft_that_says_so(tmp_path: Path) -> None:
    cut(ROOT / "samples" / "meeting.m4a", tmp_path / "meeting.wav", 11.8)
    async with services(tmp_path, program=tuple(REAL), METHODS="draft") as place, place.running():
        at = place.at
        recording = File(name="Monday.wav", data=(tmp_path / "meeting.wav").read_bytes())
        message = await at.server.send_file(at.alone, at.anna, recording)
        answer = await place.transcribed(message)
        await place.quiet()
        await place.take(message)
        await place.quiet()
        files = {name: data.decode() for name, data in place.files().items()}
        assert set(files) == {"Monday.transcript.md", "Monday.transcript.srt"}
        for text in (answer.shown, *files.values()):
            assert "good morning everyone thank you for coming on such short notice" in " ".join(text.split())
            assert "Speaker 2" in text
            assert "draft" in text.lower()
        assert at.answers(message) == [answer]
        assert place.leaked(["good morning", "short notice", "Monday"]) == []


# --- ready or not ---


async def test_it_says_that_it_runs_when_nobody_has_to_wait_for_keys(tmp_path: Path) -> None:
    async with services(tmp_path) as place, AsyncExitStack() as stack:
        server = place.at.server
        hold = server.hold("keys")
        starting = asyncio.create_task(stack.enter_async_context(place.running()))
        await place.child.until(hold.arrived.is_set)
        assert "Running at" not in place.child.log
        hold.release()
        await starting
        known = len(server.called("keys")), len(server.called("token"))
        assert known == (1, 2)  # the other token is Graph's, with which the door was tried
        message = await place.share()
        await place.transcribed(message)
        assert len(server.called("keys")) == 1
        await place.quiet()


async def test_without_microsoft_it_starts_and_says_what_is_missing(tmp_path: Path) -> None:
    async with services(tmp_path) as place:
        server = place.at.server
        server.fail("metadata", *[faults.Fault(status=503)] * 100)
        async with place.running(), aiohttp.ClientSession() as client:

            async def ready() -> tuple[int, dict[str, str]]:
                async with client.get(f"{place.child.address}/readyz") as answer:
                    return answer.status, (await answer.json())["adapter teams"]

            status, teams = await ready()
            assert status == 503
            assert "The keys of Teams can't be fetched" in teams["reason"]
            assert "Teams can't be heard yet" in place.child.log
            server.traffic.forgive()
            async with asyncio.timeout(60):
                while (await ready())[0] != 200:  # it keeps what it said for some seconds
                    await asyncio.sleep(0.2)
            message = await place.share()
            await place.transcribed(message)
            await place.quiet()
            await place.once(message)


# --- what dies in between ---


async def at_once(place: Services, process: Process) -> Message:
    message = await place.share()
    await place.child.kill(process)
    return message


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

            def ours() -> list[str | None]:  # other calls may have come with it
                return [call.error for call in server.calls[calls:] if call.name == self.calls[-1]]

            await place.child.until(ours)
            assert ours()[0] is None
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
    "acknowledged a moment ago": at_once,
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


LEFT_OVER = {"answered, not remembered", "file offered, not remembered"}
"""Where a message may be left over in the app's own chat, which it can't read with the permissions that
docs/teams.md recommends."""


async def killed(home: Path, moment: str, in_channel: bool, app: App) -> tuple[bytes, list[float]]:
    """The subtitles of the one transcript that there is in the end, and how fast Teams was answered."""
    die = (ASKED if in_channel else SENT)[moment]
    blind = not in_channel and "Chat.Read.All" not in app.roles
    more = {"ERNI_REDELIVERY_SECONDS": "2"}
    async with services(home, app, in_channel=in_channel, **more) as place:
        slow = {"QUICK_SECONDS": "100000"} if moment == "listening" else {}
        async with place.running(**slow) as process:
            message = await die(place, process)
        async with place.running():
            await place.transcribed(message)
            await place.quiet()
            if blind:
                assert await place.tidy(message) == (1 if moment in LEFT_OVER else 0)
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
@pytest.mark.parametrize(
    ("in_channel", "more"),
    [(False, ()), (True, ()), (False, ("Chat.Read.All",))],
    ids=["sent to the app", "asked for in a channel", "sent to an app that may read chats"],
)
async def test_killed_at_any_moment_it_answers_once_and_loses_nothing(
    tmp_path: Path, record_testsuite_property: Recorded, in_channel: bool, more: tuple[str, ...]
) -> None:
    moments, some = list(ASKED if in_channel else SENT), asyncio.Semaphore(4)
    if more:
        moments = [moment for moment in moments if moment in LEFT_OVER]  # elsewhere nothing is read
    expected = await undisturbed(tmp_path / "undisturbed", in_channel)
    took: list[float] = []

    async def one(moment: str) -> bytes:
        async with some:
            app = documented(*more)
            subtitles, acknowledged = await killed(tmp_path / moment, moment, in_channel, app)
        took.extend(acknowledged)
        return subtitles

    found = await asyncio.gather(*map(one, moments), return_exceptions=True)
    record_testsuite_property(f"acknowledged_ms while killed, {in_channel=} {more=}", sorted(took))
    assert dict(zip(moments, found, strict=True)) == dict.fromkeys(moments, expected)


# --- several processes ---


@dataclass(kw_only=True)
class Balancer:
    """Passes what Teams sends on to the services `behind` it in turn, and to another where one is gone."""

    client: aiohttp.ClientSession
    behind: list[str] = field(default_factory=list)
    passed: Counter[str] = field(default_factory=Counter)
    last: str = ""

    async def pass_on(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name: request.headers[name] for name in ("Authorization", "Content-Type")}
        for _ in range(len(self.behind)):
            self.behind.append(where := self.behind.pop(0))
            try:
                async with self.client.post(where, data=body, headers=headers) as answer:
                    text = await answer.text()
            except aiohttp.ClientConnectionError:
                continue
            self.passed[where] += 1
            self.last = where
            return web.Response(status=answer.status, text=text, content_type=answer.content_type)
        return web.Response(status=502)


@asynccontextmanager
async def balancer(place: Services) -> AsyncIterator[Balancer]:
    async with aiohttp.ClientSession() as client:
        passing, app = Balancer(client=client), web.Application()
        app.router.add_post(MESSAGES_PATH, passing.pass_on)
        async with faults.serving(app) as origin:
            place.at.server.delivery.endpoint = origin + MESSAGES_PATH
            yield passing


@pytest.mark.slow
@pytest.mark.parametrize("in_channel", [False, True], ids=["sent to the app", "asked for in a channel"])
async def test_two_services_on_one_redis_answer_once_and_stand_in_for_each_other(
    tmp_path: Path, in_channel: bool
) -> None:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(redis_server(tmp_path / "redis"))
        more = {"REDIS_URL": url, "ERNI_REDELIVERY_SECONDS": "2"}
        place = await stack.enter_async_context(services(tmp_path / "one", in_channel=in_channel, **more))
        passing = await stack.enter_async_context(balancer(place))
        (tmp_path / "two").mkdir()
        at, processes = place.at, {}
        children = [place.child, replace(place.child, home=tmp_path / "two")]
        for child in children:
            process = await stack.enter_async_context(child.running())
            processes[child.address + MESSAGES_PATH] = process
        passing.behind = list(processes)

        async def transcripts(count: int) -> None:
            """That there are as many, each with one card and two files, and nothing else."""
            places: Sequence[Conversation | Message] = shared if in_channel else [at.alone]
            await place.child.until(
                lambda: sum(shows_transcript(one) for each in places for one in at.answers(each)) == count
            )
            await place.quiet()
            if not in_channel:
                await asyncio.gather(*map(consent, place.offers(shared[0], CONSENT)))
                await place.child.until(lambda: not place.offers(shared[0], CONSENT))
                await place.quiet()
            assert len(place.files()) == 2 * count
            said = [one for each in places for one in at.said(each)]
            assert len([one for one in said if one.has_card]) == count
            assert len(said) == (1 if in_channel else 3) * count

        async def consent(question: Message) -> None:
            await at.server.accept_consent(question, at.anna, copies=2)

        shared = [await place.share(200 + 20 * number, copies=2) for number in range(4)]
        await transcripts(4)
        assert all(passing.passed[each] >= 4 for each in processes), "both took part"

        # Whoever was told of a share dies over it: the other one does it.
        hold = at.server.hold("send")
        shared.append(await place.share(500))
        await place.child.until(hold.arrived.is_set)
        gone = passing.last
        await place.child.kill(processes[gone])
        hold.release()
        await transcripts(5)
        assert len(set(place.files().values())) == 10
        for child in children:
            assert replace(place, child=child).leaked([]) == []


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


async def test_a_wrong_password_is_said_at_the_start(tmp_path: Path) -> None:
    async with services(tmp_path) as place:
        async with place.child.running(TEAMS_APP_PASSWORD="revoked~secret"):
            pass
        log = place.child.log
    [line] = [line for line in log.splitlines() if " WARNING " in line and "front door" in line]
    [shown] = [line for line in log.splitlines() if line.startswith("Front door")]
    for text in (line, shown):
        assert "ront door teams can't be used" in text
        assert text.endswith("See docs/teams.md.")
    assert "hare a recording" not in log
    assert "revoked~secret" not in log


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
