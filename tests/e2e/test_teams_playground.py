"""The real service and a client that is not ours: Microsoft's Agents Playground, driven in a browser.

The pictures stay where `ERNI_PICTURES` says, if that is set.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bots.teams.incoming import DOWNLOAD
from bots.teams.settings import MESSAGES_PATH
from tests.e2e.children import PATIENCE, Process
from tests.e2e.teams_service import Child
from tests.e2e.test_cli_transcribe import record
from tests.vendors import faults
from tests.vendors.teams_pictures import Unavailable, find_browser

PLAYGROUND = "@microsoft/m365agentsplayground@0.2.28"
PUPPETEER = "puppeteer-core@24.43.1"
DRIVER = Path(__file__).with_name("teams_playground.mjs")
NAME = "Board meeting.wav"


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("npm")
    try:
        find_browser()
        fetch(folder)
    except Unavailable as reason:
        pytest.skip(f"the Playground can't be had: {reason}")
    return folder / "node_modules"


def fetch(folder: Path) -> None:
    """The Playground and the driver of its browser, from npm. Raises Unavailable."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise Unavailable("npm is not installed")
    (folder / "package.json").write_text('{"private": true}')
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", PLAYGROUND, PUPPETEER]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=240, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable("npm's registry can't be reached in time") from None
    if done.returncode:
        raise Unavailable(f"npm can't fetch {PLAYGROUND}")


class Files:
    """A host of files as Teams has one: no token is ever sent there. The last part of a file comes once
    `go_on` is set, and `tokens` are the requests that brought one."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.go_on = asyncio.Event()
        self.served = 0
        self.tokens = 0

    async def download(self, request: web.Request) -> web.StreamResponse:
        self.tokens += "Authorization" in request.headers
        self.served += 1
        headers = {"Content-Type": "audio/wav", "Content-Length": str(len(self.data))}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(self.data[:-1000])
        await self.go_on.wait()
        await response.write(self.data[-1000:])
        await response.write_eof()
        return response


@asynccontextmanager
async def playground(modules: Path, home: Path, endpoint: str) -> AsyncIterator[str]:
    """The address of a Playground that speaks with the app at `endpoint`."""
    (home / "playground").mkdir()
    log = home / "playground" / "log"
    command = [
        *("node", str(modules / "@microsoft" / "m365agentsplayground" / "cli.js"), "start"),
        *("--app-endpoint", endpoint, "--channel-id", "msteams", "--port", str(free_port())),
        "--disable-telemetry",
    ]
    # It ends with its standard input, so that it does not outlive a test that is killed.
    command[1:1] = ["--import", "data:text/javascript,process.stdin.on('close',()=>process.exit()).resume()"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home / "playground"), "BROWSER": "none"}
    with log.open("w") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=home / "playground",
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(PATIENCE):
            while "Listening on" not in log.read_text():
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.05)  # asked again until it is so
        yield f"http://localhost:{log.read_text().partition('Listening on')[2].split()[0]}/"
    finally:
        await end(process)


async def end(process: Process) -> None:
    """End a process that ends with its standard input, and those that it started in its group."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(10):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


class Person:
    """Somebody at the Playground, played by the driver in a process of its own. `browser` is the id of the
    browser's process and of its group, once it is known."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.browser: int | None = None

    async def open(self) -> None:
        """Wait until the browser runs."""
        self.browser = int((await self._done("browser"))["pid"])

    async def did(self, step: str) -> str:
        """Wait until a step is done; all that is on the screen then."""
        return str((await self._done(step))["shown"])

    async def _done(self, step: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = await self.process.stdout.readline()
        found: dict[str, Any] = json.loads(line or b'{"step": "ended"}')
        assert found["step"] == step, found
        return found


@asynccontextmanager
async def person(modules: Path, home: Path, **given: Any) -> AsyncIterator[Person]:
    """See `Person`; `given` is what the driver is told."""
    told = given | {
        "puppeteer": (modules / "puppeteer-core/lib/esm/puppeteer/puppeteer-core.js").as_uri(),
        "browser": find_browser(),
        "profile": str(home / "profile"),
    }
    process = await asyncio.create_subprocess_exec(
        *("node", str(DRIVER), json.dumps(told)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**22,
        start_new_session=True,
    )
    found = Person(process)
    try:
        await found.open()
        yield found
    finally:
        try:
            await end(process)
        finally:
            # The browser is in a group of its own.
            if found.browser is not None and found.browser in running(home / "profile"):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(found.browser, signal.SIGKILL)


def running(profile: Path) -> set[int]:
    """The ids of the processes of a browser with this profile."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(profile).encode() in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
    return found


def repeat(path: Path, times: int) -> Path:
    """The same recording `times` over."""
    with wave.open(str(path)) as file:
        given, frames = file.getparams(), file.readframes(file.getnframes())
    with wave.open(str(path), "wb") as file:
        file.setparams(given)
        file.writeframes(frames * times)
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
@pytest.mark.parametrize("how", ["the test fails", "the test dies", "the driver dies", "all at once"])
async def test_no_browser_outlives_a_test_that_is_interrupted(
    modules: Path, tmp_path: Path, how: str
) -> None:
    nobody = {"url": "data:text/html,Nobody is here", "pictures": str(tmp_path), "attachment": {}}
    with contextlib.suppress(Interrupted):
        async with person(modules, tmp_path, **nobody) as somebody:
            assert somebody.browser in running(tmp_path / "profile")
            driver = somebody.process
            assert driver.stdin is not None
            if how == "the test dies":
                driver.stdin.close()
                await gone(tmp_path)
            elif how == "the driver dies":
                driver.kill()
                await gone(tmp_path)
            elif how == "all at once":
                os.killpg(driver.pid, signal.SIGKILL)
                await gone(tmp_path)
            raise Interrupted
    await gone(tmp_path)
    assert somebody.process.returncode is not None


class Interrupted(Exception):
    """As when somebody presses Ctrl-C."""


async def gone(home: Path) -> None:
    async with asyncio.timeout(PATIENCE):
        while running(home / "profile"):
            await asyncio.sleep(0.05)  # asked again until it is so


@pytest.mark.slow
async def test_a_recording_is_sent_and_its_transcript_seen_in_the_playground(
    modules: Path, tmp_path: Path
) -> None:
    pictures = Path(os.environ.get("ERNI_PICTURES") or tmp_path / "pictures")
    pictures.mkdir(parents=True, exist_ok=True)
    recording = repeat(record(tmp_path / "talk.wav", 4), times=75)
    files = Files(recording.read_bytes())
    app = web.Application()
    app.router.add_get("/download", files.download, allow_head=False)
    own = {"ERNI_ADAPTERS": "teams", "ERNI_HTTP_PORT": "0", "TEAMS_INSECURE_LOCAL_DEVELOPMENT": "1"}
    child = Child(home=tmp_path, own=own | {"ERNI_LOG_LEVEL": "DEBUG"})
    async with (
        faults.serving(app) as host,
        child.running(),
        playground(modules, tmp_path, child.address + MESSAGES_PATH) as url,
        person(
            modules,
            tmp_path,
            url=url,
            pictures=str(pictures),
            attachment={
                "contentType": DOWNLOAD,
                "name": NAME,
                "content": {"downloadUrl": f"{host}/download", "uniqueId": "1", "fileType": "wav"},
            },
        ) as somebody,
    ):
        assert "Transcribe recording" in await somebody.did("welcome")
        assert "Nothing is being transcribed right now." in await somebody.did("status")
        progress = await somebody.did("progress")
        assert "Stop" in progress
        assert "Name the speakers" not in progress
        files.go_on.set()
        transcript = await somebody.did("transcript")
        assert "Speaker 1" in transcript
        assert "Fetching" not in transcript
        assert transcript.count("Name the speakers") == 1
        page = await somebody.did("page")
        assert "Page 1 of" in page
        assert "Page 1 of" not in await somebody.did("overview")
        assert (files.served, files.tokens) == (1, 0)
    assert {path.stat().st_size > 20_000 for path in pictures.glob("playground-*.png")} == {True}
    assert "Traceback" not in child.log
    for private in (NAME, "Board meeting", host, "Alex Wilber"):
        assert private not in child.log
