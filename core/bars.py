"""The bars in answers under way: as new as a platform's rate limits allow, over all processes."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from core.errors import Rejected, Transient
from core.model import Stage
from core.pace import Pace
from core.ports import Store
from core.tasks import end

logger = logging.getLogger(__name__)

A = TypeVar("A")

Moved = Literal["done", "busy", "over"]
"""What came of moving a bar: it was changed, somebody else has the answer, or there is nothing to change any
more."""


@dataclass(slots=True, kw_only=True)
class Bar(Generic[A]):
    """How far `job` is: `fraction` of `stage` is done. `about` is what its answer is known by."""

    key: str
    group: str
    about: A
    job: str
    stage: Stage
    fraction: float | None
    fresh: bool = True
    over: bool = False
    pace: Pace = field(default_factory=lambda: Pace(time.monotonic))


class Bars(Generic[A]):
    """Shows how far answers are by calling `move`. Each changes at most every `edit_seconds`, those of a
    group (of all processes) together every `group_seconds`; one process moves `most`, others only get their
    result. `space` is where leases are kept."""

    def __init__(
        self,
        store: Store,
        space: str,
        move: Callable[[Bar[A]], Awaitable[Moved]],
        *,
        edit_seconds: float,
        group_seconds: float,
        most: int = 40,
    ) -> None:
        self._store = store
        self._space = space
        self._move_once = move
        self._edit_seconds = edit_seconds
        self._group_seconds = group_seconds
        self._most = most
        self._bars: dict[str, Bar[A]] = {}
        self._moving: dict[str, asyncio.Task[None]] = {}
        self._is_open = False

    def open(self) -> None:
        """Show what is told from now on."""
        self._is_open = True

    def show(self, key: str, group: str, about: A, *, job: str, stage: Stage, fraction: float | None) -> None:
        """That a job is so far, in the answer `key`. Returns at once."""
        bar = self._bars.get(key)
        if bar is None:
            if len(self._bars) >= self._most or not self._is_open:
                return
            bar = Bar(key=key, group=group, about=about, job=job, stage=stage, fraction=fraction)
            self._bars[key] = bar
            self._moving[key] = asyncio.create_task(self._move(bar), name=f"bar of {self._space}")
        bar.fresh = bar.fresh or (bar.stage, bar.fraction, bar.job) != (stage, fraction, job)
        bar.over = bar.over and bar.job == job
        bar.about, bar.job, bar.stage, bar.fraction = about, job, stage, fraction
        bar.pace.update(stage, fraction)

    async def close(self) -> None:
        """Leave the bars where they are. What is told from now on is not shown."""
        self._is_open = False
        await end(*self._moving.values())

    async def _move(self, bar: Bar[A]) -> None:
        """Until nothing new is told for a while."""
        try:
            idle = 0
            while idle < 2:
                pause = max(self._edit_seconds, self._group_seconds * len(self._bars))
                idle = 0 if bar.fresh else idle + 1
                if bar.fresh:
                    bar.fresh = False
                    if not bar.over and not await self._turn(bar, pause):
                        bar.fresh = True  # somebody else was about it: soon again
                        pause = random.uniform(0.5, 1.5)  # noqa: S311  (so that not all come at once)
                await asyncio.sleep(pause)
        finally:
            self._moving.pop(bar.key, None)
            self._bars.pop(bar.key, None)

    async def _turn(self, bar: Bar[A], pause: float) -> bool:
        """Change the answer if it is this bar's turn, over all processes. False: it is not."""
        try:
            turn = await self._store.acquire(self._space, bar.group, self._group_seconds)
            if turn is None:
                return False
            mine = await self._store.acquire(self._space, bar.key, 0.9 * pause)
            if mine is None:
                return False
            moved: Moved = "done"
            try:
                moved = await self._move_once(bar)
            except Rejected:
                moved = "over"  # it can't be changed any more
            except Transient as error:
                if error.retry_after:
                    await self._store.release(self._space, bar.group, turn)
                    await self._store.acquire(self._space, bar.group, error.retry_after)
            bar.over = bar.over or moved == "over"
            if moved == "busy":
                await self._store.release(self._space, bar.key, mine)
        except Exception as error:  # noqa: BLE001  (a bar must never cost a transcript)
            logger.debug("a bar was not moved: %s", type(error).__name__)
            return True
        return moved != "busy"
