"""Answers that are good for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_MOST: Final = 5000


class Fresh(Generic[T]):
    """Remembers answers for `seconds` of `clock`; the oldest make room."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._known: dict[str, tuple[float, T]] = {}

    async def get(self, key: str, ask: Callable[[], Awaitable[T]]) -> T:
        """What is known under `key`, or what `ask` finds now. What it raises is not remembered."""
        known = self._known.get(key)
        if known is not None and known[0] > self._clock():
            return known[1]
        found = await ask()
        self._known.pop(key, None)
        self._known[key] = (self._clock() + self._seconds, found)
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
        return found

    def drop(self, key: str) -> None:
        """Forget what is known under `key`."""
        self._known.pop(key, None)
