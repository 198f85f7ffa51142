"""Faults for random walks: the process is killed, or an answer is lost, at any step of its work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

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

    def burn(
        self,
        run: Callable[[Coroutine[Any, Any, object]], object],
        work: Coroutine[Any, Any, object],
        restart: Callable[[], Coroutine[Any, Any, object]],
        fault: tuple[int, type[BaseException]] | None = None,
    ) -> None:
        """`run` some work, which may fail at the step and in the way that `fault` says; a process that dies
        is started again."""
        if fault is not None:
            self.left, self.fault = fault
        try:
            run(work)
        except Crash:
            run(restart())
        except Transient:
            pass
        finally:
            self.left = None

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
