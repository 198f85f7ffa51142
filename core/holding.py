"""Keeping a lease while something is done under it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.errors import Transient
from core.ports import Store
from core.tasks import end

logger = logging.getLogger(__name__)


class Lost(Transient):
    """The lease ended while its work went on: the store was away, or this process stood still. Somebody else
    may be doing the same by now."""


@asynccontextmanager
async def holding(store: Store, space: str, key: str, lease: str, seconds: float) -> AsyncIterator[None]:
    """Renew a lease that was acquired for `seconds` as long as the body runs. The body is interrupted by Lost
    where that fails. Does not release the lease."""
    body = asyncio.current_task()
    is_lost = is_over = False

    async def watch() -> None:
        nonlocal is_lost
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(seconds / 4)
            asked = time.monotonic()
            try:
                async with asyncio.timeout(max(0.0, until - asked)):
                    if not await store.renew(space, key, lease, seconds):
                        break
            except Exception as error:  # noqa: BLE001  (the next try may be in time)
                logger.warning("a lease can't be renewed: %s", type(error).__name__)
            else:
                until = asked + seconds
        if body is not None and not is_over:
            is_lost = True
            body.cancel()

    keeper = asyncio.create_task(watch(), name=f"lease on {key}")
    try:
        yield
    except asyncio.CancelledError:
        if is_lost and body is not None:
            body.uncancel()
            raise Lost("The work was interrupted, because it may be another process's by now.") from None
        raise
    finally:
        is_over = True
        await end(keeper)
