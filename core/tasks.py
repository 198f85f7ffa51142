"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any


async def end(*tasks: asyncio.Task[Any], patience: float = 1.0) -> None:
    """Cancel `tasks` until they have ended, asking again every `patience` seconds; their errors are theirs.

    Once is not enough: a cancellation that lands in the same step as a time-out inside a client library can
    be swallowed there (seen with redis-py on Python 3.11), and who then awaits the task waits for ever.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=patience)
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            task.exception()
