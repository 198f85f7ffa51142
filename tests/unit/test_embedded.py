"""The embedded Valkey: private, durable, owned by one service, shared, mended, restarted, adopted."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from pathlib import Path
from typing import cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.embedded import EmbeddedValkey, find_server, socket_path
from core.errors import Misconfigured
from core.tasks import end


async def server_pid(url: str) -> int:
    async with Redis.from_url(url) as redis:
        return int((await redis.info("server"))["process_id"])


async def answer(url: str, key: str) -> bytes | None:
    """What the server says, once it is up again."""
    async with asyncio.timeout(60), Redis.from_url(url) as redis:
        while True:
            try:
                found = await redis.get(key)
            except RedisError:
                await asyncio.sleep(0.05)
            else:
                return cast("bytes | None", found)


def runs(pid: int) -> bool:
    """Whether it is more than a dead child that nobody asked about yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def kill(valkey: EmbeddedValkey) -> None:
    """What a SIGKILL of its process does: nothing is watched any more, and the kernel frees the locks."""
    assert valkey._keeper is not None
    await end(valkey._keeper)
    valkey._unlock()


async def reaped(valkey: EmbeddedValkey) -> int:
    """The exit code of the server it started, which ends with its parent's next look."""
    assert valkey._child is not None
    async with asyncio.timeout(60):
        while (code := valkey._child.poll()) is None:
            await asyncio.sleep(0.01)
    return code


async def test_it_is_private_and_acknowledges_only_what_is_on_disk(tmp_path: Path) -> None:
    async with EmbeddedValkey(tmp_path / "a b" / "data") as valkey, Redis.from_url(valkey.url) as redis:
        config = await redis.config_get("*")
        assert (config["appendonly"], config["appendfsync"], config["port"]) == ("yes", "always", "0")
        assert config["maxmemory-policy"] == "noeviction"
        socket = socket_path(tmp_path / "a b" / "data")
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        await redis.set("kept", "1")
    async with EmbeddedValkey(tmp_path / "a b" / "data") as valkey:
        assert await answer(valkey.url, "kept") == b"1"


async def test_a_killed_server_is_started_again_without_loss(tmp_path: Path) -> None:
    async with EmbeddedValkey(tmp_path) as valkey:
        async with Redis.from_url(valkey.url) as redis:
            await redis.set("kept", "1")
        first = await server_pid(valkey.url)
        os.kill(first, signal.SIGKILL)
        assert await answer(valkey.url, "kept") == b"1"
        assert await server_pid(valkey.url) != first


async def test_a_surviving_server_is_adopted_and_stopped_in_the_end(tmp_path: Path) -> None:
    killed = EmbeddedValkey(tmp_path)
    await killed.__aenter__()
    async with Redis.from_url(killed.url) as redis:
        await redis.set("kept", "1")
    pid = await server_pid(killed.url)
    await kill(killed)
    async with EmbeddedValkey(tmp_path) as valkey:
        assert await server_pid(valkey.url) == pid
        assert await answer(valkey.url, "kept") == b"1"
    assert await reaped(killed) == 0


async def test_a_frozen_leftover_is_replaced(tmp_path: Path) -> None:
    killed = EmbeddedValkey(tmp_path)
    await killed.__aenter__()
    pid = await server_pid(killed.url)
    await kill(killed)
    os.kill(pid, signal.SIGSTOP)
    async with EmbeddedValkey(tmp_path) as valkey:
        assert await server_pid(valkey.url) != pid
    assert await reaped(killed) == -signal.SIGKILL


async def test_a_second_service_is_told_who_owns_the_directory(tmp_path: Path) -> None:
    async with EmbeddedValkey(tmp_path):
        with pytest.raises(Misconfigured, match=rf"process {os.getpid()}.*ERNI_DATA_DIR"):
            await EmbeddedValkey(tmp_path).__aenter__()


@pytest.mark.parametrize("service", [True, False])
@pytest.mark.parametrize("first_leaves_first", [True, False])
async def test_the_last_one_to_leave_stops_it(
    tmp_path: Path, *, service: bool, first_leaves_first: bool
) -> None:
    first = EmbeddedValkey(tmp_path, service=service)
    second = EmbeddedValkey(tmp_path, service=False)
    await first.__aenter__()
    await second.__aenter__()
    pid = await server_pid(second.url)
    leaver, stayer = (first, second) if first_leaves_first else (second, first)
    await leaver.__aexit__(None, None, None)
    assert await server_pid(stayer.url) == pid
    await stayer.__aexit__(None, None, None)
    assert await reaped(first) == 0


async def test_a_service_starts_beside_a_command_and_owns_the_directory_then(tmp_path: Path) -> None:
    async with EmbeddedValkey(tmp_path, service=False) as command:
        pid = await server_pid(command.url)
        async with EmbeddedValkey(tmp_path):
            assert await server_pid(command.url) == pid
            with pytest.raises(Misconfigured, match=f"process {os.getpid()}"):
                await EmbeddedValkey(tmp_path).__aenter__()
            assert await server_pid(command.url) == pid
        assert await server_pid(command.url) == pid
    assert not runs(pid)


@pytest.mark.parametrize("starter", ["is there", "left", "was killed"])
async def test_a_guest_sees_the_end_of_the_server_and_one_starts_it_again(
    tmp_path: Path, starter: str
) -> None:
    first = EmbeddedValkey(tmp_path, service=False)
    await first.__aenter__()
    async with EmbeddedValkey(tmp_path, service=False) as guest, Redis.from_url(guest.url) as redis:
        await redis.set("kept", "1")
        pid = await server_pid(guest.url)
        if starter == "left":
            await first.__aexit__(None, None, None)
        elif starter == "was killed":
            await kill(first)
        assert await server_pid(guest.url) == pid
        os.kill(pid, signal.SIGKILL)
        assert await answer(guest.url, "kept") == b"1"
        again = await server_pid(guest.url)
        assert again != pid
        if starter == "is there":
            await first.__aexit__(None, None, None)
            assert await server_pid(guest.url) == again
    assert await reaped(first) in {0, -signal.SIGKILL}  # either of the two may have started it again
    assert not runs(pid)
    assert not runs(again)


async def test_all_leave_at_once(tmp_path: Path) -> None:
    for _ in range(5):
        users = [EmbeddedValkey(tmp_path, service=False) for _ in range(4)]
        await asyncio.gather(*(user.__aenter__() for user in users))
        pid = await server_pid(users[0].url)
        await asyncio.gather(*(user.__aexit__(None, None, None) for user in users))
        assert not runs(pid)
        assert not socket_path(tmp_path).exists()
        (starter,) = (user for user in users if user._child is not None)
        assert await reaped(starter) == 0


async def test_who_comes_while_the_last_one_leaves_finds_it_up(tmp_path: Path) -> None:
    pids = set()
    users = []

    async def call(number: int) -> None:
        for turn in range(8):
            async with EmbeddedValkey(tmp_path, service=False) as valkey, Redis.from_url(valkey.url) as redis:
                users.append(valkey)
                await redis.set(f"{number} {turn}", "1")
                pids.add(await server_pid(valkey.url))
                assert await redis.get(f"{number} {turn}") == b"1"

    await asyncio.gather(*(call(number) for number in range(3)))
    assert not any(map(runs, pids))
    assert {await reaped(user) for user in users if user._child is not None} == {0}
    async with EmbeddedValkey(tmp_path) as valkey, Redis.from_url(valkey.url) as redis:
        assert await redis.dbsize() == 24


@pytest.mark.parametrize("damage", ["cut", "garbage"])
async def test_a_damaged_append_only_file_costs_at_most_its_end(tmp_path: Path, damage: str) -> None:
    async with EmbeddedValkey(tmp_path) as valkey, Redis.from_url(valkey.url) as redis:
        for index in range(100):
            await redis.set(f"key{index}", "x" * 50)
    log = next((tmp_path / "valkey" / "appendonlydir").glob("*.incr.aof"))
    content = log.read_bytes()
    half = len(content) // 2
    log.write_bytes(content[:half] if damage == "cut" else content[:half] + b"\xff" * 200 + content[half:])
    async with EmbeddedValkey(tmp_path) as valkey, Redis.from_url(valkey.url) as redis:
        assert 40 <= await redis.dbsize() <= 60


async def test_a_server_that_loads_for_too_long_does_not_get_a_second_one_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "valkey-server"  # starts, and never listens
    slow.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo v=9.1.2 && exit\necho $$ >>started\nexec sleep 600\n'
    )
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("core.embedded._START_SECONDS", 0.5)
    monkeypatch.setattr("core.embedded._STOP_SECONDS", 0.5)
    valkey = EmbeddedValkey(tmp_path / "data")
    with pytest.raises(Misconfigured, match=r"valkey\.log"):
        await valkey.__aenter__()
    started = (tmp_path / "data" / "valkey" / "started").read_text().split()
    assert len(started) == 2
    assert not any(runs(int(pid)) for pid in started)


async def test_a_path_too_long_for_a_socket_works_all_the_same(tmp_path: Path) -> None:
    async with EmbeddedValkey(tmp_path / ("long" * 30)) as valkey, Redis.from_url(valkey.url) as redis:
        assert await redis.ping()


def test_an_old_server_of_the_system_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=5.0.14 sha=0'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_server() != old


async def test_data_stay_with_the_server_that_wrote_them(tmp_path: Path) -> None:
    """A server found later, such as an older one from the distribution, may not read them."""
    async with EmbeddedValkey(tmp_path):
        pass
    note = tmp_path / "valkey" / "server"
    assert find_server(note.read_text()) == Path(note.read_text())
    assert find_server(str(tmp_path / "gone")).is_file()
