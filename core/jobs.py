"""The queue: the only module that knows docket, the engine that hands tickets to workers.

The job records in `core.ledger` are the truth; docket only says *when* to look at one. Whatever docket loses
or repeats, `reconcile` hands it the ticket again and the record refuses what is stale.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from docket import Docket, Worker
from redis.exceptions import RedisError

from core.ledger import Ledger, Ticket

logger = logging.getLogger(__name__)

SHORT, LONG = "short", "long"
"""Lanes of recognition: a short recording never waits behind a long one. Deliveries go by `post:<door>`."""

Handle = Callable[[str, int], Awaitable[None]]
"""Takes a job id and a run number, and decides everything; docket never retries on its own."""

_RECONCILE_SECONDS = 5.0
_CLOSE_SECONDS = 10.0


class Queue:
    """Hands tickets to workers, on this machine and on others that use the same Redis.

    `url` is a Redis URL; `redelivery_seconds` is the silence after which a worker counts as dead.
    """

    def __init__(
        self,
        url: str,
        ledger: Ledger,
        *,
        redelivery_seconds: float,
        drain_seconds: float,
        worker: str,
    ) -> None:
        self._url = url
        self._ledger = ledger
        self._redelivery = timedelta(seconds=redelivery_seconds)
        self._drain_seconds = drain_seconds
        self._worker = worker
        self._dockets: dict[str, Docket] = {}
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._stack.aclose()
        except TimeoutError:
            logger.warning("the queue engine did not close in time and is left")

    async def enqueue(self, tickets: Iterable[Ticket]) -> None:
        """Hand tickets to the engine; one that it has already is a no-op."""
        for ticket in tickets:
            docket = await self._docket(ticket.lane)
            await docket.add(
                "work", when=datetime.fromtimestamp(ticket.due, UTC), key=f"{ticket.job_id}:{ticket.run}"
            )(job_id=ticket.job_id, run=ticket.run)

    async def serve(self, lane: str, concurrency: int, handle: Handle) -> None:
        """Work on `lane` until cancelled; let running jobs finish for the drain time, then cancel."""
        running: set[asyncio.Task[Any]] = set()

        async def attend(job_id: str, run: int) -> None:
            task = asyncio.current_task()
            if task is None:
                raise RuntimeError("a job runs in a task")
            running.add(task)
            try:
                await handle(job_id, run)
            except Exception:
                # The record keeps its claim and reconciling finds it: nothing is lost.
                logger.exception("job %s run %d ended unexpectedly", job_id, run)
            finally:
                running.discard(task)

        docket = await self._open(lane, attend)
        worker = Worker(
            docket,
            name=f"{self._worker}:{lane}",
            concurrency=concurrency,
            redelivery_timeout=self._redelivery,
            reconnection_delay=timedelta(seconds=0.5),
            minimum_check_interval=timedelta(milliseconds=50),
            scheduling_resolution=timedelta(milliseconds=100),
            schedule_automatic_tasks=False,
        )
        async with worker:
            loop = asyncio.create_task(worker.run_forever(), name=f"lane {lane}")
            try:
                await asyncio.shield(loop)
            finally:
                loop.cancel()  # docket takes this as: fetch no more, finish what runs
                done, _ = await asyncio.wait({loop}, timeout=self._drain_seconds)
                if not done:
                    for task in running:
                        task.cancel()
                    await asyncio.wait({loop})

    async def reconcile(self) -> None:
        """Until cancelled, hand the engine every ticket that it should have."""
        while True:
            try:
                silence = 2 * self._redelivery.total_seconds()
                async for ticket in self._ledger.overdue(silence):
                    await self.enqueue([ticket])
                    if time.time() - ticket.due > silence and await self._lost(ticket):
                        logger.warning("the queue engine lost a ticket of job %s", ticket.job_id)
                        fresh = await self._ledger.reissue(ticket)
                        await self.enqueue([fresh] if fresh else [])
                await self._ledger.sweep()
            except (RedisError, OSError) as error:
                logger.warning("the queue can't be checked now: %s", type(error).__name__)
            await asyncio.sleep(_RECONCILE_SECONDS)

    async def _lost(self, ticket: Ticket) -> bool:
        """Whether docket knows a ticket and will hand it to nobody: neither scheduled nor in the stream.

        Seen once in 1,000 kills (0.27.0): a run marked as queued whose stream entry was gone.
        """
        docket = await self._docket(ticket.lane)
        key = f"{ticket.job_id}:{ticket.run}"
        async with docket.redis() as redis:
            if await redis.zscore(docket.queue_key, key) is not None:
                return False
            entry = await redis.hget(docket.runs_key(key), "stream_id")
            return not (entry and await redis.xrange(docket.stream_key, min=entry, max=entry))

    async def depth(self, lane: str) -> int:
        """How many tickets wait in `lane`, due or not."""
        docket = await self._docket(lane)
        async with docket.redis() as redis:
            waiting = await redis.xlen(docket.stream_key)
            later = await redis.zcard(docket.queue_key)
        return int(waiting) + int(later)

    async def waiting(self, lane: str) -> int:
        """How many tickets of `lane` are due or being worked on."""
        docket = await self._docket(lane)
        async with docket.redis() as redis:
            return int(await redis.xlen(docket.stream_key))

    async def _docket(self, lane: str) -> Docket:
        return self._dockets.get(lane) or await self._open(lane, None)

    async def _open(self, lane: str, attend: Handle | None) -> Docket:
        async with self._opening:
            docket = self._dockets.get(lane)
            if docket is None:
                docket = Docket(
                    name=f"erni-{lane}",
                    url=self._url,
                    heartbeat_interval=self._redelivery / 5,
                    execution_ttl=timedelta(minutes=1),
                )
                await self._stack.enter_async_context(docket)
                docket.register(self._task(None))
                self._dockets[lane] = docket
            if attend is not None:
                docket.register(self._task(attend))
            return docket

    def _task(self, attend: Handle | None) -> Callable[..., Awaitable[None]]:
        async def work(job_id: str, run: int) -> None:
            if attend is None:
                raise RuntimeError("this process only adds to the lane")
            await attend(job_id, run)

        return work
