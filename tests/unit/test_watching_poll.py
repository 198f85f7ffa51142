"""The loop that outlives every trouble, on a clock that jumps."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from core.errors import AuthFailed, Transient
from core.polling import poll


class Steps:
    """Does one thing after another; ends the loop with a cancellation when there is nothing left."""

    def __init__(self, *outcomes: float | Exception) -> None:
        self.outcomes = list(outcomes)
        self.troubles: list[str] = []

    async def __call__(self) -> float:
        if not self.outcomes:
            raise asyncio.CancelledError
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    really: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def sleep(seconds: float) -> None:
        found.append(seconds)
        await really(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return found


async def run(steps: Steps, wake: asyncio.Event | None = None) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await poll(steps, wake or asyncio.Event(), name="test", trouble=steps.troubles.append, longest=60)


async def test_trouble_is_told_waited_out_and_over(pauses: list[float]) -> None:
    steps = Steps(Transient("away"), OSError("disk"), Transient("still away"), 0.0, Transient("again"))
    await run(steps)
    assert pauses == [1, 2, 4, 1]
    assert steps.troubles == ["away", "disk", "still away", "", "again"]


async def test_waits_grow_to_a_limit_and_heed_what_was_asked(pauses: list[float]) -> None:
    await run(
        Steps(
            Transient("x", retry_after=30),
            *[Transient("x")] * 9,
            AuthFailed("key"),
            Transient("y", retry_after=999),
        )
    )
    assert pauses[0] == 30
    assert pauses[1:10] == [2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert pauses[10:] == [60, 60]


async def test_a_mistake_of_ours_does_not_end_the_watching(
    pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    steps = Steps(KeyError("secret name"), 0.0)
    await run(steps)
    assert steps.troubles == ["An internal error (KeyError); the log has the details.", ""]
    assert "Traceback" in caplog.text


async def test_a_wake_up_during_the_step_or_the_wait_counts() -> None:
    wake = asyncio.Event()
    calls = 0

    async def step() -> float:
        nonlocal calls
        calls += 1
        if calls == 1:
            wake.set()
        elif calls == 2:
            asyncio.get_running_loop().call_soon(wake.set)
        elif calls == 3:
            raise asyncio.CancelledError
        return 3600.0

    with contextlib.suppress(asyncio.CancelledError):
        async with asyncio.timeout(20):
            await poll(step, wake, name="test", trouble=lambda _: None)
    assert calls == 3
