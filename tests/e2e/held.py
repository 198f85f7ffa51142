"""Killing a service while a cloud is asked for something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from tests.e2e.children import Process


class Site(Protocol):
    """Services (`tests.e2e.children`) at a cloud, `server`, which can hold and fail calls by their name."""

    @property
    def server(self) -> Any: ...

    def share(self) -> object:
        """Put a recording into the watched folder."""
        ...

    async def until(self, condition: Any, process: Process | None = None) -> None: ...

    async def kill(self, process: Process) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Held:
    """Killed while the cloud is asked for `call`, at the time number `count`; it does not do it, or (`done`)
    has done it without anybody having heard of it."""

    call: str
    count: int = 1
    done: bool = False

    async def __call__(self, place: Site, process: Process) -> None:
        holds = [place.server.hold(self.call) for _ in range(self.count + self.done)]
        place.share()
        for number, hold in enumerate(holds, 1):
            await place.until(hold.arrived.is_set, process)
            if hold is holds[-1]:
                break
            if number == self.count:
                place.server.fail(self.call, "lost")  # and asked again, which is where it is killed
            hold.release()
        await place.kill(process)
        holds[-1].release()
