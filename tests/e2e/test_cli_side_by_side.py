"""Paid commands on one data directory at once, with and without a service: they share one store, which stays
up while any of them runs and is gone when the last one is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.embedded import socket_url
from core.model import Word
from tests.e2e.test_cli_transcribe import REAL, ROOT, cut, environment
from tests.e2e.test_vendors import ran, service
from tests.vendors.everybody import Everybody, serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

Process = asyncio.subprocess.Process

WORDS = [
    Word(start=0.5, end=1.0, text="Good", speaker="1"),
    Word(start=1.0, end=1.5, text="morning.", speaker="1"),
]
FIRST, SECOND = "deepgram", "elevenlabs"


@pytest.fixture
async def vendors() -> AsyncIterator[Everybody]:
    """They answer when their gate is opened."""
    async with serving(WORDS) as everybody:
        for server in everybody.one_call.values():
            server.gate.clear()
        yield everybody


@pytest.fixture
def home(tmp_path: Path) -> Path:
    cut(ROOT / "samples" / "meeting.m4a", tmp_path / "meeting.wav", 8)
    return tmp_path


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.02)  # asked again until it is so


async def started(home: Path, vendors: Everybody, method: str) -> Process:
    """A command that waits for what its vendor answers."""
    process = await asyncio.create_subprocess_exec(
        *(*REAL, "transcribe", "meeting.wav", "--json", "--method", method),
        cwd=home,
        env=environment(home, **vendors.environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await until(lambda: vendors.one_call[method].sent or process.returncode is not None)
    assert process.returncode is None, (await process.communicate())[1].decode()
    return process


async def finish(process: Process, vendors: Everybody, method: str) -> None:
    """Let it be answered, and see that all is well."""
    vendors.one_call[method].gate.set()
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    said = [word["text"] for each in json.loads(out)["utterances"] for word in each["words"]]
    assert said == [word.text for word in WORDS]
    assert [line for line in err.decode().splitlines() if "store" in line] == []


async def booked(home: Path) -> set[str]:
    """The engines that cost something."""
    code, out, err = await ran(home, "costs", "--json")
    assert code == 0, err
    return {cost["engine"] for cost in json.loads(out)["costs"]}


def servers(home: Path) -> list[int]:
    """The processes that run where only the server does."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if path.samefile(home / "data" / "valkey"):
                found.append(int(path.parent.name))
        except OSError:  # ended meanwhile, or somebody else's
            continue
    return found


async def back(home: Path, killed: int) -> None:
    """Until another server answers than the one that was killed."""
    async with asyncio.timeout(120), Redis.from_url(socket_url(home / "data")) as redis:
        while True:
            with contextlib.suppress(RedisError):
                if (await redis.info("server"))["process_id"] != killed:
                    return
            await asyncio.sleep(0.02)  # asked again until it is so


@pytest.mark.parametrize("first_ends_first", [True, False])
async def test_two_commands_end_in_either_order(
    home: Path, vendors: Everybody, *, first_ends_first: bool
) -> None:
    running = {method: await started(home, vendors, method) for method in (FIRST, SECOND)}
    (server,) = servers(home)
    early, late = (FIRST, SECOND) if first_ends_first else (SECOND, FIRST)
    await finish(running[early], vendors, early)
    assert servers(home) == [server]
    assert await booked(home) == {early}  # a third one comes and goes
    assert servers(home) == [server]
    await finish(running[late], vendors, late)
    assert servers(home) == []
    assert await booked(home) == {FIRST, SECOND}
    assert servers(home) == []


@pytest.mark.parametrize("server_dies_too", [False, True])
async def test_a_command_outlives_the_one_that_started_the_store_and_was_killed(
    home: Path, vendors: Everybody, *, server_dies_too: bool
) -> None:
    killed = await started(home, vendors, FIRST)
    other = await started(home, vendors, SECOND)
    (server,) = servers(home)
    killed.kill()
    await killed.communicate()
    assert servers(home) == [server]
    if server_dies_too:
        os.kill(server, signal.SIGKILL)
        await back(home, server)
    await finish(other, vendors, SECOND)
    assert servers(home) == []
    assert await booked(home) == {SECOND}


async def test_the_store_comes_back_for_all_when_it_dies(home: Path, vendors: Everybody) -> None:
    first = await started(home, vendors, FIRST)
    second = await started(home, vendors, SECOND)
    (server,) = servers(home)
    os.kill(server, signal.SIGKILL)
    await back(home, server)
    await finish(first, vendors, FIRST)
    await finish(second, vendors, SECOND)
    assert servers(home) == []
    assert await booked(home) == {FIRST, SECOND}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("order", ["first", "second", "together"])
async def test_interrupted_commands_leave_nothing_behind(
    home: Path, vendors: Everybody, number: signal.Signals, order: str
) -> None:
    first = await started(home, vendors, FIRST)
    second = await started(home, vendors, SECOND)
    (server,) = servers(home)
    one, other = (second, first) if order == "second" else (first, second)
    one.send_signal(number)
    if order != "together":
        await one.communicate()
        assert servers(home) == [server]
    other.send_signal(number)
    await asyncio.gather(one.communicate(), other.communicate())
    assert one.returncode == other.returncode == (130 if number == signal.SIGINT else 143)
    assert servers(home) == []


@pytest.mark.parametrize("command_ends_first", [True, False])
async def test_a_service_starts_and_stops_beside_a_command(
    home: Path, vendors: Everybody, *, command_ends_first: bool
) -> None:
    command = await started(home, vendors, FIRST)
    (server,) = servers(home)
    async with service(home, **vendors.environment, METHODS=SECOND) as process:
        await until(lambda: "Running at" in (home / "log").read_text() or process.returncode is not None)
        assert process.returncode is None, (home / "log").read_text()
        code, _, err = await ran(home, "serve", **vendors.environment)
        assert code == 2
        assert f"Another service (process {process.pid}) uses this data directory." in err
        if command_ends_first:
            await finish(command, vendors, FIRST)
            assert await booked(home) == {FIRST}
        assert servers(home) == [server]
    assert await process.wait() == 0
    if not command_ends_first:
        assert servers(home) == [server]
        await finish(command, vendors, FIRST)
        assert await booked(home) == {FIRST}
    assert servers(home) == []
