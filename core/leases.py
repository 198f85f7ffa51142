"""Doing something in one process at a time, over all that share a store."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from redis.exceptions import RedisError

from core.errors import Transient
from core.ports import Store
from core.tasks import end

logger = logging.getLogger(__name__)

LEASE_SECONDS = 20.0
_POLL_SECONDS = 0.1
_TROUBLE = (RedisError, OSError)


async def alone(
    store: Store,
    space: str,
    key: str,
    work: Callable[[], Awaitable[None]],
    *,
    seconds: float = LEASE_SECONDS,
) -> None:
    """Do `work` while this process has the lease on `key`, and wait while another one has. Work whose lease
    was lost, because the store was away or this process was frozen, is cancelled, and done again when the
    lease is had again. Returns when the work does, and raises what it raises."""
    while True:
        try:
            lease = await store.acquire(space, key, seconds)
        except _TROUBLE as error:
            logger.warning("a lease can't be had: %s", type(error).__name__)
            lease = None
        if lease is None:
            await asyncio.sleep(seconds / 4)
            continue
        task = asyncio.ensure_future(work())
        try:
            if await _renewed(partial(store.renew, space, key, lease, seconds), task, seconds):
                return await task
            logger.warning("a lease was lost; what it was for is interrupted")
        finally:
            await end(task)
            with contextlib.suppress(*_TROUBLE):
                await store.release(space, key, lease)


async def _renewed(renew: Callable[[], Awaitable[bool]], task: asyncio.Future[None], seconds: float) -> bool:
    """Renew the lease until the task has ended. False: the lease was lost first."""
    until = time.monotonic() + seconds
    while not (await asyncio.wait({task}, timeout=seconds / 4))[0]:
        asked = time.monotonic()
        if asked >= until:
            return False
        try:
            async with asyncio.timeout(until - asked):
                if not await renew():
                    return False
        except (*_TROUBLE, TimeoutError) as error:
            logger.warning("a lease can't be renewed: %s", type(error).__name__)
        else:
            until = asked + seconds
    return True


@asynccontextmanager
async def turn(
    store: Store, space: str, key: str, *, seconds: float = 120.0, patience: float = 60.0
) -> AsyncIterator[None]:
    """A lease for something short. Raises Transient if it can't be had within `patience` seconds."""
    deadline = time.monotonic() + patience
    while (lease := await store.acquire(space, key, seconds)) is None:
        if time.monotonic() >= deadline:
            raise Transient("Another process is doing the same.", retry_after=10)
        await asyncio.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        with contextlib.suppress(*_TROUBLE):
            await store.release(space, key, lease)
