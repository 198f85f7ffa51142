"""A lease is kept as long as the work goes on, and the work is interrupted where that fails."""

from __future__ import annotations

import asyncio

import pytest

from core.holding import Lost, holding
from core.testing import MemoryStore


async def begun(store: MemoryStore) -> str:
    lease = await store.acquire("space", "key", 0.2)
    assert lease is not None
    return lease


async def test_work_that_takes_longer_keeps_its_lease() -> None:
    store = MemoryStore()
    async with holding(store, "space", "key", await begun(store), 0.2):
        for _ in range(10):
            await asyncio.sleep(0.05)
            assert await store.acquire("space", "key", 1) is None


async def test_work_is_interrupted_where_the_lease_is_somebody_elses() -> None:
    store, done = MemoryStore(), False

    async def work() -> None:
        nonlocal done
        async with holding(store, "space", "key", await begun(store), 0.2):
            store._leases.clear()
            await store.acquire("space", "key", 60)
            await asyncio.sleep(10)
            done = True

    with pytest.raises(Lost):
        await work()
    assert not done
    await asyncio.sleep(0)  # and nothing of the cancellation is left
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_work_is_interrupted_where_the_store_is_away_for_too_long() -> None:
    class Away(MemoryStore):
        async def renew(self, space: str, key: str, lease: str, seconds: float) -> bool:
            raise ConnectionError

    store = Away()
    with pytest.raises(Lost):
        async with holding(store, "space", "key", await begun(store), 0.2):
            await asyncio.sleep(10)


async def test_who_is_cancelled_is_cancelled() -> None:
    store, inside = MemoryStore(), asyncio.Event()

    async def work() -> None:
        async with holding(store, "space", "key", await begun(store), 0.2):
            inside.set()
            await asyncio.sleep(10)

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [each.get_name() for each in asyncio.all_tasks() if each.get_name().startswith("lease")] == []


async def test_what_the_work_raises_comes_out() -> None:
    store = MemoryStore()
    with pytest.raises(ValueError, match="odd"):
        async with holding(store, "space", "key", await begun(store), 0.2):
            raise ValueError("odd")
