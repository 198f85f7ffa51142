"""From a worker anywhere to the place where somebody waits: how far each job is."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.ledger import PREFIX, Ledger
from core.model import Job, Stage
from core.ports import Adapter

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """That a job of `door` is in `stage`, `fraction` of which is done (None: unknown)."""

    job_id: str
    door: str
    stage: Stage
    fraction: float | None


async def news(redis: Redis) -> AsyncIterator[News]:
    """Everything that workers report, until cancelled. What is missed during an outage is not made up for."""
    while True:
        try:
            async with redis.pubsub() as channel:
                await channel.subscribe(f"{PREFIX}:progress")
                async for message in channel.listen():
                    if message["type"] == "message":
                        job, door, stage, fraction = json.loads(message["data"])
                        yield News(
                            job_id=job,
                            door=door,
                            stage=Stage(stage),
                            fraction=float(fraction) if fraction else None,
                        )
        except (RedisError, OSError):
            await asyncio.sleep(1)


async def relay_progress(redis: Redis, ledger: Ledger, adapters: Mapping[str, Adapter]) -> None:
    """Show the news at the doors of this process, until cancelled."""
    jobs: dict[str, Job] = {}
    async for item in news(redis):
        adapter = adapters.get(item.door)
        if adapter is None:
            continue
        try:
            if item.job_id not in jobs:
                view = await ledger.view(item.job_id)
                if view is None:
                    continue
                jobs[item.job_id] = view.job
            await adapter.progress(jobs[item.job_id], item.stage, item.fraction)
        except Exception as error:  # noqa: BLE001  (showing progress must never cost a transcript)
            logger.debug("progress of %s not shown: %s", item.job_id, type(error).__name__)
        if item.stage is Stage.DELIVERING:
            jobs.pop(item.job_id, None)
