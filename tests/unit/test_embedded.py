"""The embedded Valkey: private, durable, owned by one, mended, restarted, adopted."""

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
    # What a SIGKILL of the service leaves behind: the server runs, nobody owns it.
    assert killed._keeper is not None
    killed._keeper.cancel()
    killed._disown()
    async with EmbeddedValkey(tmp_path) as valkey:
        assert await server_pid(valkey.url) == pid
        assert await answer(valkey.url, "kept") == b"1"
    assert killed._process is not None
    assert await killed._process.wait() == 0


async def test_a_frozen_leftover_is_replaced(tmp_path: Path) -> None:
    killed = EmbeddedValkey(tmp_path)
    await killed.__aenter__()
    pid = await server_pid(killed.url)
    assert killed._keeper is not None
    killed._keeper.cancel()
    killed._disown()
    os.kill(pid, signal.SIGSTOP)
    async with EmbeddedValkey(tmp_path) as valkey:
        assert await server_pid(valkey.url) != pid
    assert killed._process is not None
    await killed._process.wait()


async def test_a_second_service_is_told_who_owns_the_directory(tmp_path: Path) -> None:
    async with EmbeddedValkey(tmp_path):
        with pytest.raises(Misconfigured, match=rf"process {os.getpid()}.*ERNI_DATA_DIR"):
            await EmbeddedValkey(tmp_path).__aenter__()


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
