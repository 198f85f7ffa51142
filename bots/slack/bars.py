"""The bars in answers under way: as new as Slack's rate limits allow, over all processes."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass, field

from bots.slack import format as messages
from bots.slack.answers import Answers
from bots.slack.results import Shown
from bots.slack.shares import OVER, Share
from core.errors import Rejected, Transient
from core.model import Stage
from core.pace import Pace
from core.ports import Store
from core.tasks import end

logger = logging.getLogger(__name__)

_EDIT_SECONDS = 4.0  # between two changes of one answer
_UPDATE_SECONDS = 1.5  # between two changes of any of a workspace's: Slack takes 50 a minute, results too
_MOST = 40  # answers whose bars one process moves; the others only get their result


@dataclass(slots=True, kw_only=True)
class _Bar:
    share: Share
    job: str
    stage: Stage
    fraction: float | None
    fresh: bool = True
    over: bool = False
    pace: Pace = field(default_factory=lambda: Pace(time.monotonic))


class Bars:
    """Shows how far each share is."""

    def __init__(self, store: Store, answers: Answers) -> None:
        self._store = store
        self._answers = answers
        self._bars: dict[str, _Bar] = {}
        self._moving: dict[str, asyncio.Task[None]] = {}
        self._is_open = False

    def open(self) -> None:
        """Show what is told from now on."""
        self._is_open = True

    def show(self, share: Share, job: str, stage: Stage, fraction: float | None) -> None:
        """That a job is so far. Returns at once."""
        bar = self._bars.get(share.id)
        if bar is None:
            if len(self._bars) >= _MOST or not self._is_open:
                return
            bar = self._bars[share.id] = _Bar(share=share, job=job, stage=stage, fraction=fraction)
            self._moving[share.id] = asyncio.create_task(self._move(bar), name="slack bar")
        bar.fresh = bar.fresh or (bar.stage, bar.fraction, bar.job) != (stage, fraction, job)
        bar.over = bar.over and bar.job == job
        bar.share, bar.job, bar.stage, bar.fraction = share, job, stage, fraction
        bar.pace.update(stage, fraction)

    async def close(self) -> None:
        """Leave the bars where they are. What is told from now on is not shown."""
        self._is_open = False
        await end(*self._moving.values())

    async def _move(self, bar: _Bar) -> None:
        """Until nothing new is told for a while."""
        try:
            idle = 0
            while idle < 2:
                pause = max(_EDIT_SECONDS, _UPDATE_SECONDS * len(self._bars))
                idle = 0 if bar.fresh else idle + 1
                if bar.fresh:
                    bar.fresh = False
                    if not bar.over and not await self._turn(bar, pause):
                        bar.fresh = True  # somebody else was about it: soon again
                        pause = random.uniform(0.5, 1.5)  # noqa: S311  (so that not all come at once)
                await asyncio.sleep(pause)
        finally:
            self._moving.pop(bar.share.id, None)
            self._bars.pop(bar.share.id, None)

    async def _turn(self, bar: _Bar, pause: float) -> bool:
        """Change the answer if it is this bar's turn, over all processes. False: it is not."""
        owner, share = bar.share.owner, bar.share.id
        try:
            turn = await self._store.acquire("slack:bars", owner, _UPDATE_SECONDS)
            if turn is None:
                return False
            mine = await self._store.acquire("slack:bars", share, 0.9 * pause)
            if mine is None:
                return False
            is_done = True
            try:
                is_done = await self._edit(bar)
            except Rejected:
                bar.over = True  # it can't be changed any more
            except Transient as error:
                if error.retry_after:
                    await self._store.release("slack:bars", owner, turn)
                    await self._store.acquire("slack:bars", owner, error.retry_after)
            if not is_done:
                await self._store.release("slack:bars", share, mine)
        except Exception as error:  # noqa: BLE001  (a bar must never cost a transcript)
            logger.debug("a bar was not moved: %s", type(error).__name__)
            return True
        return is_done

    async def _edit(self, bar: _Bar) -> bool:
        """Change the answer. False: somebody has it."""
        async with self._answers.hold_if_free(bar.share) as hold:
            if hold is None:
                return False
            if hold.state.phase in OVER or hold.state.job not in {"", bar.job}:
                bar.over = True
            elif hold.state.message:
                about = Shown(share=bar.share.id, name=bar.share.name)
                left = bar.pace.seconds_left()
                message = messages.working(about, bar.stage, bar.fraction, left)
                await self._answers.say(hold, message, anew=False)
        return True
