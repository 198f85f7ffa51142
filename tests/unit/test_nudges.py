"""Nudges pass between processes that share a store: each is two objects here, on one store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

import pytest

from core.nudges import Nudges
from core.tasks import end
from core.testing import MemoryStore


class Frail(MemoryStore):
    away = False

    async def memories(self, space: str) -> Mapping[str, str]:
        if self.away:
            raise OSError
        return await super().memories(space)

    async def remember_all(self, space: str, values: Mapping[str, str]) -> None:
        if self.away:
            raise OSError
        await super().remember_all(space, values)


async def test_they_reach_every_process_once(caplog: pytest.LogCaptureFixture) -> None:
    store = Frail()
    heard: dict[str, list[str]] = {"a": [], "b": []}
    a, b = (Nudges(store, "gdrive:nudges", heard[name].append, pause=0.01) for name in "ab")
    b.give("before")  # nobody else runs yet: the other's first look at its folders finds what changed
    tasks = [asyncio.create_task(one.share()) for one in (b, a)]
    await until(lambda: a._known is not None and b._known is not None)
    a.give("ann")
    assert heard["a"][-1] == "ann"  # here at once
    await until(lambda: "ann" in heard["b"])
    b.give("ann")
    await until(lambda: heard["a"].count("ann") == 2)
    store.away = True
    with caplog.at_level(logging.WARNING):
        await until(lambda: len(caplog.records) == 2)
        b.give("bo")
        await asyncio.sleep(0.05)
    assert len(caplog.records) == 2  # one from each
    assert "bo" not in heard["a"]
    store.away = False
    await until(lambda: "bo" in heard["a"])
    await asyncio.sleep(0.05)
    await end(*tasks)
    assert heard == {"a": ["ann", "ann", "bo"], "b": ["before", "ann", "ann", "bo"]}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)
