"""From nothing to a transcript in somebody's Dropbox, by the commands alone, while the service runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.adapters.command_desk import KEY, PATIENCE, Operator, calling
from tests.e2e.test_cli_transcribe import QUICK, environment, record
from tests.vendors.dropbox_server import Person, serving

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


@asynccontextmanager
async def service(me: Operator, log: Path) -> AsyncIterator[None]:
    with log.open("w") as file:
        process = await asyncio.create_subprocess_exec(
            *(*QUICK, "serve"),
            cwd=me.home,
            env=environment(me.home, **me.settings),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        await until(lambda: "Running at" in log.read_text())
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.05)  # asked again until it is so


def answered(ann: Person, name: str) -> bool:
    return f"{name}.transcript.md" in ann.names("/Recordings")


async def test_from_nothing_to_a_transcript(tmp_path: Path) -> None:
    talk = record(tmp_path / "talk.wav", 2).read_bytes()
    with calling() as caller:
        async with serving() as server:
            ann = server.add_person("Ann Lee")
            server.ahead = -3600.0
            ann.upload("/Recordings/old.wav", record(tmp_path / "old.wav", 2, 330).read_bytes())
            server.ahead = 0.0
            me = Operator(
                caller=caller,
                home=tmp_path,
                settings={
                    "ERNI_ADAPTERS": "dropbox",
                    "ERNI_ENCRYPTION_KEY": KEY,
                    "ERNI_DATA_DIR": str(tmp_path / "data"),
                    "ERNI_HTTP_PORT": "0",
                    "DROPBOX_API_BASE_URL": server.origin,
                },
            )
            async with service(me, tmp_path / "log"):
                started = (tmp_path / "log").read_text()
                assert (
                    "Nowhere yet: no front door can be used.\nFront door dropbox can't be used now" in started
                )
                assert started.count("Run `erni-audio connect dropbox`") == 2  # shown and logged
                async with me.at_terminal("connect", "dropbox") as sitting:
                    await sitting.answer("App key: ", server.app.key)
                    said = await sitting.asked("Code (not shown): ")
                    url = next(line for line in said.splitlines() if "client_id=" in line)
                    sitting.type(server.approve(url, ann))
                    assert await sitting.end() == 0
                assert (await me.call("folders", "add", "dropbox", "/Recordings")).code == 0
                ann.upload("/Recordings/talk.wav", talk)
                await until(lambda: answered(ann, "talk"))
                assert not answered(ann, "old")
                assert (await me.call("folders", "check")).code == 0
                again = await me.call("folders", "add", "dropbox", "/Recordings", "--backfill", "--yes")
                assert again.lines[0].startswith("2 recordings lie there already"), again
                await until(lambda: answered(ann, "old"))
                assert (await me.call("folders", "remove", "dropbox", "Recordings")).code == 0
                assert len(ann.names("/Recordings")) == 8
            log = (tmp_path / "log").read_text()
            assert "Traceback" not in log
            assert "ann.lee" not in log
        assert server.misfits() == []
