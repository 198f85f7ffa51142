"""Whoever stops the service is heard by the task that keeps its Valkey alive, whatever it is doing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from core.embedded import EmbeddedValkey


# redis-py leaves a connection that was cancelled while it was being made to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
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
