"""Leases of a store, and what people may ask of jobs and links, on every implementation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from core.errors import Rejected
from core.ledger import Ledger
from core.links import OpenLinks
from core.ports import Adapter, Store
from core.store import RedisStore
from core.testing import FakeAdapter, MemoryStore
from core.vault import Vault
from tests.quick_store import quick_store


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with quick_store() as found:
        yield found


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, url: str) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    redis = Redis.from_url(url)
    await redis.flushall()
    vault = Vault()
    yield RedisStore(redis, vault, Ledger(redis, vault))
    await redis.aclose()


async def test_one_at_a_time_has_a_lease(store: Store) -> None:
    lease = await store.acquire("space", "key", 60)
    assert lease is not None
    assert await store.acquire("space", "key", 60) is None
    assert await store.acquire("space", "other key", 60) is not None
    assert await store.acquire("other space", "key", 60) is not None
    await store.release("space", "key", lease)
    assert await store.acquire("space", "key", 60) is not None


async def test_a_lease_ends_by_itself_and_its_old_holder_can_not_end_the_next_one(store: Store) -> None:
    old = await store.acquire("space", "key", 0.02)
    assert old is not None
    async with asyncio.timeout(10):
        while (new := await store.acquire("space", "key", 60)) is None:
            await asyncio.sleep(0.005)
    assert new != old
    await store.release("space", "key", old)
    assert await store.acquire("space", "key", 60) is None


async def test_a_lease_lasts_as_long_as_it_is_renewed(store: Store) -> None:
    lease = await store.acquire("space", "key", 0.05)
    assert lease is not None
    assert await store.renew("space", "key", lease, 60)
    assert not await store.renew("space", "key", "somebody else's", 60)
    assert await store.acquire("space", "key", 60) is None
    assert await store.renew("space", "key", lease, 0.001)
    async with asyncio.timeout(10):
        while (new := await store.acquire("space", "key", 60)) is None:
            await asyncio.sleep(0.005)
    assert not await store.renew("space", "key", lease, 60)
    assert await store.renew("space", "key", new, 60)


async def test_of_many_who_want_a_lease_one_gets_it(store: Store) -> None:
    found = await asyncio.gather(*(store.acquire("space", "key", 60) for _ in range(20)))
    assert sum(lease is not None for lease in found) == 1


class Drive(FakeAdapter):
    def covers(self, url: str) -> bool:
        return url.startswith("https://drive.example/")

    async def fetch_link(self, url: str, into: Path) -> None:
        await asyncio.to_thread(into.write_bytes, url.encode())


async def test_a_link_is_fetched_by_the_door_that_knows_it(tmp_path: Path) -> None:
    adapters: dict[str, Adapter] = {}
    links = OpenLinks(adapters)
    adapters["plain"] = FakeAdapter("plain")
    assert not links.covers("https://drive.example/1")
    adapters["drive"] = Drive("drive")
    assert links.covers("https://drive.example/1")
    await links.fetch_link("https://drive.example/1", tmp_path / "one")
    assert (tmp_path / "one").read_text() == "https://drive.example/1"
    assert not links.covers("https://elsewhere.example/1")
    with pytest.raises(Rejected, match="not connected"):
        await links.fetch_link("https://elsewhere.example/1", tmp_path / "two")
