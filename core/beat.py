"""Keeping a claim alive while its job is worked on, and saying how far it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from redis.exceptions import RedisError

from core.ledger import Claim, Ledger
from core.model import Stage
from core.tasks import end
from core.telemetry import Metrics

_BEAT_SECONDS = 1.0


class TakenAway(Exception):
    """Somebody else holds the job now, or it was cancelled: whatever we have is void."""


@asynccontextmanager
async def held(ledger: Ledger, claim: Claim, metrics: Metrics) -> AsyncIterator[Beat]:
    """Keep the claim alive while the body runs, and end the body when the claim is lost."""
    body = asyncio.current_task()
    beat = Beat(ledger, claim, metrics)
    lost = False

    async def watch() -> None:
        nonlocal lost
        while True:
            with contextlib.suppress(RedisError, OSError):  # a short outage of the store costs no work
                if not await beat.send() and not beat.leaving:
                    break
            await beat.wait(_BEAT_SECONDS)
        lost = True
        if body is not None:
            body.cancel()

    keeper = asyncio.create_task(watch(), name=f"beat {claim.job.id}")
    try:
        yield beat
    except asyncio.CancelledError:
        if lost and body is not None:
            body.uncancel()
            raise TakenAway from None
        raise
    finally:
        beat.close()
        await end(keeper)


class Beat:
    """Tells the record that the work goes on, and how far it is."""

    def __init__(self, ledger: Ledger, claim: Claim, metrics: Metrics) -> None:
        self._ledger = ledger
        self._claim = claim
        self._metrics = metrics
        self._measured = ExitStack()
        self._stage = ""
        self._fraction: float | None = None
        self._news = asyncio.Event()
        self.leaving = False
        """The body is giving the claim back itself, so losing it is no news."""

    def progress(self, stage: Stage, fraction: float | None) -> None:
        if stage != self._stage:
            self._news.set()
            self._measured.close()
            self._measured.enter_context(self._metrics.stage(stage))
        self._stage, self._fraction = stage, fraction

    async def send(self) -> bool:
        return await self._ledger.beat(self._claim, self._stage, self._fraction)

    def close(self) -> None:
        """The last stage is over."""
        self._measured.close()

    async def wait(self, longest: float) -> None:
        """Until the next stage begins, or `longest` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest):
                await self._news.wait()
        self._news.clear()
