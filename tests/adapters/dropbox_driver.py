"""A watched folder in the local Dropbox, for the suites that every adapter and watched folder passes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from core.following import Rhythm
from core.policies import ChannelPolicy
from core.ports import Submit
from tests.adapters.dropbox_desk import INBOX, Desk, desk
from tests.vendors.dropbox_model import below
from tests.vendors.dropbox_server import File

ELSEWHERE = "/Elsewhere"
PassTime = Callable[[Callable[[], Awaitable[float]], Any, float], Awaitable[None]]


class Clock(Protocol):
    now: float

    def __call__(self) -> float: ...


class Options(Protocol):
    """See `tests.contracts.watcher_scenarios.Options`."""

    @property
    def backfill(self) -> bool: ...
    @property
    def delete(self) -> bool: ...
    @property
    def output(self) -> str: ...
    @property
    def formats(self) -> str: ...


class DropboxDriver:
    """See `tests.contracts.test_watcher_contract.Driver`, which gives the clock and says how time passes."""

    offers = frozenset({"bin", "cursors", "notices", "deleting", "lasting ids"})

    def __init__(self, at: Desk, clock: Clock, pass_time: PassTime) -> None:
        self._at = at
        self.store = at.store
        self._clock = clock
        self._pass_time = pass_time
        self._silent_from: int | None = None
        at.ann.make_folder(ELSEWHERE)
        self.adapter = at.adapter

    async def start(self, options: Options, submit: Submit) -> None:
        await self._at.watch(
            policy=ChannelPolicy(formats=(options.formats,), delete_with_recording=options.delete),
            backfill=options.backfill,
            output=options.output,
        )
        await self.restart()
        await self.look(submit)

    async def restart(self) -> None:
        await self.adapter.tended.close()
        self.adapter = self._at.adapter = self._at.open()
        self._inbox = (await self._at.opened()).inbox
        self._inbox._clock = self._clock
        self._inbox._today = lambda: 1e6 + self._clock.now

    async def upload(self, path: str, data: bytes) -> None:
        self._at.ann.upload(_at(path), data)

    async def replace(self, path: str, data: bytes) -> None:
        self._at.ann.replace(_at(path), data)

    async def move(self, path: str, to: str) -> None:
        self._at.ann.move(_at(path), _at(to))

    async def copy(self, path: str, to: str) -> None:
        self._at.ann.copy(_at(path), _at(to))

    async def remove(self, path: str) -> None:
        self._at.ann.delete(_at(path))

    async def restore(self, path: str) -> None:
        self._at.ann.restore(_at(path))

    async def files(self) -> Mapping[str, Sequence[bytes]]:
        ann = self._at.ann
        found: dict[str, Sequence[bytes]] = {}
        for node in below(ann.folder(INBOX)):
            if isinstance(node, File):
                names = ann.view.names(node)
                assert names is not None
                found["/".join(names[1:])] = [node.data]
        return found

    async def look(self, submit: Submit, seconds: float = 0.0) -> None:
        async def step() -> float:
            self._inbox.nudge()
            return await self._inbox.step(submit)

        await self._pass_time(step, self._clock, seconds)

    async def lose_cursors(self) -> None:
        self._at.server.expire_cursors()

    async def repeat_notices(self) -> None:
        log = self._at.server.storage.log
        log.extend(list(log))

    async def keep_quiet(self, quiet: bool) -> None:
        log = self._at.server.storage.log
        if quiet:
            self._silent_from = len(log)
        elif self._silent_from is not None:
            del log[self._silent_from :]


@asynccontextmanager
async def dropbox_driver(tmp_path: Path, clock: Clock, pass_time: PassTime) -> AsyncIterator[DropboxDriver]:
    """A driver with its Dropbox."""
    async with desk(tmp_path, watched=False, rhythm=Rhythm()) as at:
        driver = DropboxDriver(at, clock, pass_time)
        yield driver
        await driver.adapter.tended.close()


class DropboxBench:
    """See `tests.contracts.test_adapter_contract.Bench`."""

    def __init__(self, at: Desk) -> None:
        self._at = at
        self.adapter = at.adapter

    def restart(self) -> None:
        self.adapter = self._at.adapter = self._at.open()

    async def share(self, name: str, data: bytes) -> None:
        self._at.ann.upload(f"{INBOX}/{name}", data)

    async def withdraw(self, name: str) -> None:
        self._at.ann.delete(f"{INBOX}/{name}")

    async def outputs(self) -> list[str]:
        return [text for name, text in self._at.outputs().items() if "transcript-error" not in name]

    async def failures(self) -> list[str]:
        return [text for name, text in self._at.outputs().items() if "transcript-error" in name]


@asynccontextmanager
async def dropbox_bench(tmp_path: Path) -> AsyncIterator[DropboxBench]:
    """A bench with its Dropbox."""
    async with desk(tmp_path) as at:
        yield DropboxBench(at)


def _at(path: str) -> str:
    return f"{ELSEWHERE}/{path.removeprefix('../')}" if path.startswith("../") else f"{INBOX}/{path}"
