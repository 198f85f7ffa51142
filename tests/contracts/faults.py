"""Faults for random walks: the process is killed, or an answer is lost, at any step of its work."""

from __future__ import annotations

import asyncio

from core.errors import Transient
from core.testing import MemoryStore


class Crash(BaseException):
    """The process is killed."""


class Fuse:
    """Blows at step number `left`, once."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.fault: type[BaseException] = Crash

    def __call__(self, _what: str = "") -> None:
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0:
            self.left = None
            raise self.fault("The answer was lost.")

    def guard(self, store: MemoryStore) -> None:
        """Whatever is remembered or forgotten in the store is a step, in which others get their turn.
        `remember_all` calls `remember`."""
        remember, forget = store.remember, store.forget

        async def remembered(space: str, key: str, value: str) -> None:
            self()
            await asyncio.sleep(0)
            await remember(space, key, value)
            self()

        async def forgotten(space: str, key: str) -> None:
            self()
            await asyncio.sleep(0)
            await forget(space, key)
            self()

        store.remember, store.forget = remembered, forgotten  # type: ignore[method-assign]


FAULTS = (Crash, Transient)
