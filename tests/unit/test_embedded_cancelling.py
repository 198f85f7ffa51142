"""Whoever stops the service is heard by what starts, keeps and stops its Valkey, whatever it is doing."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.embedded import EmbeddedValkey

# redis-py leaves a connection that was cancelled while it was being made to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def nothing_is_left_to_other_tests() -> Iterator[None]:
    """Such connections are complained of here, where that is ignored, and not in a test that runs later."""
    yield
    gc.collect()


async def test_cancelling_is_heard_at_every_step_of_a_check(tmp_path: Path) -> None:
    async with EmbeddedValkey(tmp_path) as valkey:
        cancelled = 0
        for steps in range(200):
            check = asyncio.create_task(valkey._answers())
            for _ in range(steps):
                await asyncio.sleep(0)
            asked = check.cancel()
            await asyncio.wait({check})
            assert check.cancelled() == asked, f"the cancellation after {steps} steps was swallowed"
            cancelled += asked
            if not asked:
                break
        assert cancelled > 5


async def test_cancelled_at_any_moment_of_its_start_it_leaves_no_server(tmp_path: Path) -> None:
    for milliseconds in range(0, 200, 10):
        valkey = EmbeddedValkey(tmp_path, service=False)
        start = asyncio.create_task(valkey.__aenter__())
        await asyncio.wait({start}, timeout=milliseconds / 1000)  # any moment will do
        if start.cancel():
            await asyncio.wait({start})
        if not start.cancelled():
            await (await start).__aexit__(None, None, None)
        assert valkey._running() is None


async def test_a_stop_that_is_cut_short_still_ends_the_server(tmp_path: Path) -> None:
    for steps in range(1, 40):
        valkey = EmbeddedValkey(tmp_path, service=False)
        await valkey.__aenter__()
        stop = asyncio.create_task(valkey.__aexit__(None, None, None))
        for _ in range(steps):
            await asyncio.sleep(0)
        stop.cancel()
        await asyncio.wait({stop})
        async with asyncio.timeout(60):
            while valkey._running() is not None:
                await asyncio.sleep(0.01)
