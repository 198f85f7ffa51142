"""A few child processes that share work of one kind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from core.child import ONE_THREAD, Child, ChildDied
from core.errors import Transient


class Children:
    """Up to `processes` of them, started when needed and used again. More calls than that wait."""

    def __init__(self, processes: int) -> None:
        self._all = tuple(Child(environment=ONE_THREAD) for _ in range(processes))
        self._idle = list(self._all)
        self._slots = asyncio.Semaphore(processes)

    async def call(
        self, function: str, arguments: Mapping[str, Any], *, report: Callable[[float], None] | None = None
    ) -> Any:
        """As `Child.call`, by whichever child is free. Raises Transient if it dies."""
        async with self._slots:
            child = self._idle.pop()  # the one used last is warm
            try:
                return await child.call(function, arguments, report=report)
            except ChildDied:
                raise Transient(f"The process that ran {function} ended unexpectedly.") from None
            finally:
                self._idle.append(child)

    async def close(self) -> None:
        """End them all. Safe to repeat; a later call starts them again."""
        await asyncio.gather(*(child.close() for child in self._all))
