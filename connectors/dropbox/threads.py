"""Threads for a library that blocks: so many at once, and none that holds up the end of the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Thread
from typing import TypeVar

from core.errors import Transient

T = TypeVar("T")


class Threads:
    """At most `limit` threads at once.

    A thread whose caller was cancelled keeps its place until it has ended: requests cannot be called back.
    The interpreter does not wait for it, unlike for those of a `ThreadPoolExecutor`: a longpoll may take
    minutes.
    """

    def __init__(self, limit: int) -> None:
        self._places = asyncio.Semaphore(limit)

    async def run(self, function: Callable[[], T]) -> T:
        """What `function` returns or raises, called in a thread."""
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def finish(act: Callable[[], None]) -> None:
            self._places.release()
            if not future.done():
                act()

        def work() -> None:
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001  (raised in the caller)
                failure = error
                act = lambda: future.set_exception(failure)  # noqa: E731
            else:
                act = lambda: future.set_result(result)  # noqa: E731
            try:
                loop.call_soon_threadsafe(finish, act)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more

        try:
            Thread(target=work, name="dropbox", daemon=True).start()
        except RuntimeError:
            self._places.release()
            raise Transient("This machine has no thread left.") from None
        return await future
