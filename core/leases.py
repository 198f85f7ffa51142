"""Doing something in one process at a time, over all that share a store.

A lease lasts seconds, and is renewed while what it is for goes on: a process that is killed frees it soon.
What goes on under a lease that ended nevertheless, because the store was away or this process stood still, is
interrupted: somebody else may be doing the same by then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType

from redis.exceptions import RedisError

from core.errors import Transient
from core.ports import Store
from core.tasks import end

logger = logging.getLogger(__name__)

LEASE_SECONDS = 15.0
_POLL_SECONDS = 0.1
_AGAIN_SECONDS = 1.0  # after which work that was interrupted, and goes on, is interrupted again
_TROUBLE = (RedisError, OSError)


class Lost(Transient):
    """The lease ended while its work went on. Somebody else may be doing the same by now."""


@asynccontextmanager
async def holding(
    store: Store, space: str, key: str, *, seconds: float = LEASE_SECONDS
) -> AsyncIterator[bool]:
    """Have the lease on `key` while the body runs. False: somebody else has it.

    A body whose lease ends is interrupted, and Lost is raised; so it is for one that comes to its end
    without having noticed. Raises Transient, too, if the store does not answer, and what it raises.
    """
    held = await _taken(store, space, key, seconds)
    if held is None:
        yield False
        return
    async with held:
        yield True


@asynccontextmanager
async def turn(
    store: Store, space: str, key: str, *, seconds: float = LEASE_SECONDS, patience: float = 60.0
) -> AsyncIterator[None]:
    """The same, waiting while somebody else has it. Raises Transient if that takes more than `patience`
    seconds."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience
    while (held := await _taken(store, space, key, seconds)) is None:
        if clock() >= deadline:
            raise Transient("Another process is doing the same.", retry_after=10)
        await asyncio.sleep(_POLL_SECONDS)
    async with held:
        yield


async def alone(
    store: Store,
    space: str,
    key: str,
    work: Callable[[], Awaitable[None]],
    *,
    seconds: float = LEASE_SECONDS,
) -> None:
    """Do `work` while this process has the lease on `key`, and wait while another one has. Work whose lease
    was lost is interrupted, and done again when the lease is had again. Returns when the work does, and
    raises what it raises."""
    while True:
        held = None
        try:
            held = await _taken(store, space, key, seconds)
        except (Transient, *_TROUBLE) as error:
            logger.warning("a lease can't be had: %s", type(error).__name__)
        if held is None:
            await asyncio.sleep(seconds / 4)
            continue
        try:
            async with held:
                return await work()
        except Lost:
            if not held.is_lost:
                raise  # the work's own
            logger.warning("a lease was lost; what it was for is interrupted")


async def _taken(store: Store, space: str, key: str, seconds: float) -> _Held | None:
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    limit = asyncio.timeout_at(until)  # an answer that comes later is worth nothing
    try:
        async with limit:
            lease = await store.acquire(space, key, seconds)
    except TimeoutError:
        if limit.expired():
            raise Transient("The store does not answer.") from None
        raise
    if lease is None or clock() >= until:
        return None
    return _Held(store=store, space=space, key=key, lease=lease, seconds=seconds, until=until)


class _Held:
    """A lease that ends at `until`, by the event loop's clock, unless it is renewed: which it is while the
    context is open."""

    def __init__(
        self, *, store: Store, space: str, key: str, lease: str, seconds: float, until: float
    ) -> None:
        body = asyncio.current_task()
        if body is None:
            raise RuntimeError("Only a task can have a lease.")
        self.is_lost = False
        self._store = store
        self._space = space
        self._key = key
        self._lease = lease
        self._seconds = seconds
        self._until = until
        self._body = body
        self._loop = asyncio.get_running_loop()
        self._interruptions = 0

    async def __aenter__(self) -> None:
        self._cancelling = self._body.cancelling()
        # A timer, and no task: when this process has stood still, it is due before the body takes a step.
        self._timer = self._loop.call_at(self._until, self._lose)
        self._keeper = asyncio.create_task(self._keep(), name=f"lease on {self._key}")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self.is_lost = self.is_lost or self._loop.time() >= self._until
        for _ in range(self._interruptions):
            self._body.uncancel()
        is_cancelled = self._body.cancelling() > self._cancelling  # by others
        is_interrupted = kind is asyncio.CancelledError and self._interruptions > 0 and not is_cancelled
        await end(self._keeper)
        if not self.is_lost:
            await self._release()
        elif kind is None or is_interrupted:
            raise Lost("The work was interrupted, because it may be another process's by now.") from None

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._seconds / 4)
            asked = self._loop.time()
            try:
                async with asyncio.timeout(self._seconds / 4):  # else there is no second try
                    is_ours = await self._store.renew(self._space, self._key, self._lease, self._seconds)
            except Exception as error:  # noqa: BLE001  (the next try may be in time)
                logger.warning("a lease can't be renewed: %s", type(error).__name__)
                continue
            if self.is_lost:
                return
            self._timer.cancel()
            if not is_ours:
                self._lose()
                return
            self._until = asked + self._seconds
            self._timer = self._loop.call_at(self._until, self._lose)

    def _lose(self) -> None:
        """Interrupt the body, again and again: libraries at times swallow a cancellation (`core.tasks`)."""
        self.is_lost = True
        self._interruptions += 1
        self._body.cancel()
        self._timer = self._loop.call_later(_AGAIN_SECONDS, self._lose)

    async def _release(self) -> None:
        with contextlib.suppress(*_TROUBLE):  # it ends by itself
            async with asyncio.timeout_at(self._until):
                await self._store.release(self._space, self._key, self._lease)
