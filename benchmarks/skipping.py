"""An event loop whose clock runs at its own pace while anything is at work, and skips the time that all wait.

So hours of waiting for vendors take no time, while encoding, speech detection and everything else that this
machine does counts with the seconds it really took, and no waiting time in the code is changed. What is at
work: anything that the loop itself runs, threads, child processes (`core.child`) and data in sockets.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
import shutil
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from core.child import Child

T = TypeVar("T")

_GRACE = 0.002  # seconds of silence in all sockets after which everybody waits


class _Selector(selectors.DefaultSelector):
    loop: SkippingLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= _GRACE or self.loop.working:
            return list(super().select(timeout))
        began = time.monotonic()
        events = super().select(_GRACE)
        if not events and not self.loop.working:
            self.loop.ahead += max(0.0, timeout - (time.monotonic() - began))
        return list(events)


class SkippingLoop(asyncio.SelectorEventLoop):
    """`ahead` is how many seconds its clock is before the system's, `working` how much is at work outside."""

    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self.ahead = 0.0
        self.working = 0
        super().__init__(selector)

    def time(self) -> float:
        """The system's monotonic clock, and all that was skipped."""
        return super().time() + self.ahead

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]  # the stub is generic in another way
        self.working += 1
        future: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._done)
        return future

    def _done(self, _future: object) -> None:
        self.working -= 1


def run(main: Callable[[SkippingLoop], Coroutine[Any, Any, T]]) -> T:
    """As `asyncio.run`, on such a loop."""
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, SkippingLoop)
        return runner.run(main(loop))


class Remembered:
    """Child processes' answers: what was asked once is not done again, but takes as long as it took then.

    Calls that write a file (`into`) leave a copy in `folder`. `seconds` sums up what calls took, by function.
    """

    def __init__(self, loop: SkippingLoop, folder: Path) -> None:
        self._loop = loop
        self._folder = folder
        self._known: dict[str, tuple[float, Any, Path | None]] = {}
        self.seconds: dict[str, float] = {}

    def install(self) -> Callable[[], None]:
        """Take the place of `Child.call`; what is returned puts it back."""
        original = Child.call

        @functools.wraps(original)
        async def call(child: Child, function: str, arguments: Any, **options: Any) -> Any:
            key = repr((function, sorted((k, repr(v)) for k, v in arguments.items() if k != "into")))
            if key not in self._known:
                began = time.monotonic()
                self._loop.working += 1
                try:
                    answer = await original(child, function, arguments, **options)
                finally:
                    self._loop.working -= 1
                copy = self._copied(arguments.get("into"), len(self._known))
                self._known[key] = time.monotonic() - began, answer, copy
                self._add(function, self._known[key][0])
                return answer
            took, answer, copy = self._known[key]
            await asyncio.sleep(took)
            if copy is not None:
                shutil.copyfile(copy, arguments["into"])
            self._add(function, took)
            return answer

        setattr(Child, "call", call)  # noqa: B010  (mypy rightly minds a plain assignment)

        def restore() -> None:
            setattr(Child, "call", original)  # noqa: B010  (as above)

        return restore

    def _copied(self, into: str | None, number: int) -> Path | None:
        if into is None:
            return None
        copy = self._folder / f"{number}{Path(into).suffix}"
        shutil.copyfile(into, copy)
        return copy

    def _add(self, function: str, seconds: float) -> None:
        name = function.rpartition(":")[0].rpartition(".")[2]
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
