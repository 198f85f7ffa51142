"""The jobs of a running service as people watch them: what came in, how far it is, what became of it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Collection
from typing import cast

from redis.exceptions import RedisError

from core.commands.display import Bars
from core.errors import ErniError
from core.ledger import PREFIX
from core.model import JobState, JobView, Stage
from core.progress import news
from core.render.safe import clean
from core.render.times import duration
from core.state import State

logger = logging.getLogger(__name__)

_ENDS = frozenset({"delivered", "undeliverable", "cancelled"})
_LOOK_SECONDS = 0.5
_AUDIT = f"{PREFIX}:audit"


def outcome(view: JobView) -> str:
    """What became of a job, in one line for people. Empty if it is not over."""
    name = view.job.recording.name
    if view.finished_at is None:
        return ""
    took = duration((view.finished_at - view.submitted_at).total_seconds())
    match view.state:
        case JobState.DONE:
            return f"✓ {name} → {whereabouts(view.receipt)} ({took})"
        case JobState.CANCELLED:
            return f"✗ {name}: cancelled"
    return f"✗ {name}: {' '.join(view.message.split()) or 'it failed'} → {whereabouts(view.receipt)}"


def whereabouts(receipt: str | None) -> str:
    """Where an answer is: the first of the receipt's `files`, which any adapter may name in it."""
    try:
        files = json.loads(receipt or "{}").get("files")
    except (ValueError, AttributeError):
        files = None
    if not isinstance(files, list) or not files:
        return "answered"
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return clean(str(files[0])) + more


class JobsShown:
    """Shows the jobs of `doors` as bars, and a line for each that is over."""

    def __init__(self, state: State, doors: Collection[str], bars: Bars) -> None:
        self._state = state
        self._doors = doors
        self._bars = bars
        self._names: dict[str, str] = {}

    async def run(self) -> None:
        """Until cancelled. Trouble with it is no trouble for the service."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_record())
            tasks.create_task(self._follow_news())

    async def _follow_record(self) -> None:
        """The audit log misses nothing: a job begins and ends there whatever news is lost."""
        after: str | None = None
        while True:
            try:
                if after is None:
                    after = await self._newest()
                async for entry, event, job in self._since(after):
                    after = entry
                    if event == "accepted":
                        await self._begin(job)
                    elif event in _ENDS:
                        await self._end(job)
            except (RedisError, OSError, ValueError, ErniError) as error:
                logger.debug("jobs not shown: %s", type(error).__name__)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _newest(self) -> str:
        rows = cast(
            "list[tuple[bytes, dict[bytes, bytes]]]", await self._state.redis.xrevrange(_AUDIT, count=1)
        )
        return rows[0][0].decode() if rows else "0-0"

    async def _since(self, after: str) -> AsyncIterator[tuple[str, str, str]]:
        rows = cast(
            "list[tuple[bytes, dict[bytes, bytes]]]",
            await self._state.redis.xrange(_AUDIT, min=f"({after}", count=1000),
        )
        for entry, fields in rows:
            yield entry.decode(), fields.get(b"event", b"").decode(), fields.get(b"job", b"").decode()

    async def _begin(self, job: str) -> None:
        view = await self._state.ledger.view(job)
        if view is None or view.job.recording.door not in self._doors or view.finished_at is not None:
            return
        if job not in self._names:
            self._names[job] = view.job.recording.name
            self._bars.progress(job, self._names[job], Stage.QUEUED, None)

    async def _end(self, job: str) -> None:
        view = await self._state.ledger.view(job)
        if view is not None and view.job.recording.door in self._doors:
            self._names.pop(job, None)
            self._bars.end(job, outcome(view))

    async def _follow_news(self) -> None:
        async for item in news(self._state.redis):
            if item.door not in self._doors:
                continue
            try:
                if item.job_id not in self._names:  # of an earlier run of the service, or over meanwhile
                    await self._begin(item.job_id)
                if item.job_id in self._names:
                    self._bars.progress(item.job_id, self._names[item.job_id], item.stage, item.fraction)
            except (RedisError, OSError, ValueError, ErniError) as error:
                logger.debug("progress of %s not shown: %s", item.job_id, type(error).__name__)
