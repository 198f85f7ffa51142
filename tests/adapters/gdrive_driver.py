"""A Google Drive on this machine as the contracts of adapters and of watched folders want it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from core.following import Rhythm
from core.policies import ChannelPolicy
from core.ports import Submit
from tests.adapters.gdrive_desk import Desk, Way, desk
from tests.contracts.watcher_scenarios import Options
from tests.vendors.gdrive_model import File, SharedDrive


class Clock(Protocol):
    now: float

    def __call__(self) -> float: ...


PassTime = Callable[[Callable[[], Awaitable[float]], Any, float], Awaitable[None]]


class GDriveBench:
    """See `tests.contracts.test_adapter_contract.Bench`."""

    def __init__(self, at: Desk) -> None:
        self._at = at
        self.adapter = at.open()

    def restart(self) -> None:
        self.adapter = self._at.open()

    async def share(self, name: str, data: bytes) -> None:
        self._at.server.upload(self._at.inbox, name, data)

    async def withdraw(self, name: str) -> None:
        self._at.server.trash(self._at.server.named(self._at.inbox, name))

    async def outputs(self) -> list[str]:
        return [text for found in self._at.texts().values() for text in found]

    async def failures(self) -> list[str]:
        return [text for found in self._at.texts(notes=True).values() for text in found]


@asynccontextmanager
async def gdrive_bench(tmp_path: Path) -> AsyncIterator[GDriveBench]:
    """For the adapters' contract."""
    async with desk(tmp_path) as at:
        await at.watch()
        yield GDriveBench(at)


class GDriveDriver:
    """A watched folder by its paths, for the watchers' contract, on a clock of its own."""

    offers = frozenset({"bin", "cursors", "notices", "deleting", "lasting ids", "same names"})

    def __init__(self, at: Desk, clock: Clock, pass_time: PassTime) -> None:
        self.at = at
        self.store = at.store
        self.clock = clock
        self._pass_time = pass_time
        self.elsewhere = at.server.folder(at.home, "Elsewhere")
        self._binned: dict[str, File] = {}
        self._logs = [at.anna.log, at.account.log]
        if isinstance(at.home, SharedDrive):
            self._logs.append(at.home.log)
        self._adding = {id(log): (log.add, log.add_all) for log in self._logs}

    async def start(self, options: Options, submit: Submit) -> None:
        at = self.at
        await at.watch(
            since=at.server.drive.clock() + 1000,
            policy=ChannelPolicy(formats=(options.formats,), delete_with_recording=options.delete),
            backfill=options.backfill,
            output=options.output,
        )
        await self.restart()
        await self.look(submit)

    async def look(self, submit: Submit, seconds: float = 0.0) -> None:
        async def step() -> float:
            self.inbox.nudge()
            return await self.inbox.step(submit)

        await self._pass_time(step, self.clock, seconds)

    async def restart(self) -> None:
        self.adapter = self.at.open()
        opened = await self.adapter.tended.opened(self.at.inbox.id)
        assert opened is not None
        self.inbox = opened.inbox
        self.inbox._clock = self.clock
        self.inbox._today = lambda: 1e6 + self.clock.now

    def folder(self, path: str) -> File:
        first, *rest = path.split("/")
        parent, names = (self.elsewhere, rest) if first == ".." else (self.at.inbox, path.split("/"))
        for name in filter(None, names):
            there = [one for one in self.at.server.files_in(parent) if one.is_folder and one.name == name]
            parent = there[0] if there else self.at.server.folder(parent, name)
        return parent

    def find(self, path: str) -> File:
        folder, _, name = path.rpartition("/")
        return next(one for one in self.at.server.files_in(self.folder(folder)) if one.name == name)

    async def upload(self, path: str, data: bytes) -> None:
        folder, _, name = path.rpartition("/")
        self.at.server.upload(self.folder(folder), name, data)

    async def replace(self, path: str, data: bytes) -> None:
        self.at.server.replace(self.find(path), data)

    async def move(self, path: str, to: str) -> None:
        file, (folder, _, name) = self.find(path), to.rpartition("/")
        into = self.folder(folder)
        if into.id != file.parent:
            self.at.server.move(file, into, by=self.at.anna)
        if name != file.name:
            self.at.server.rename(file, name, by=self.at.anna)

    async def copy(self, path: str, to: str) -> None:
        folder, _, name = to.rpartition("/")
        self.at.server.copy(self.find(path), self.folder(folder), name=name, by=self.at.anna)

    async def remove(self, path: str) -> None:
        self._binned[path] = self.find(path)
        self.at.server.trash(self._binned[path], by=self.at.anna)

    async def restore(self, path: str) -> None:
        self.at.server.untrash(self._binned.pop(path), by=self.at.anna)

    async def files(self) -> Mapping[str, Sequence[bytes]]:
        found: dict[str, list[bytes]] = {}

        def go(folder: File, path: str) -> None:
            for file in self.at.server.files_in(folder):
                if file.is_folder:
                    go(file, f"{path}{file.name}/")
                else:
                    found.setdefault(path + file.name, []).append(file.data)

        go(self.at.inbox, "")
        return found

    async def lose_cursors(self) -> None:
        for log in self._logs:
            log.expire()

    async def repeat_notices(self) -> None:
        for log in self._logs:
            ids = [entry.id for entry in log.since(log.first) if entry.kind == "file"]
            log.add_all(ids, self.at.server.drive.clock())

    async def keep_quiet(self, quiet: bool) -> None:
        for log in self._logs:
            add, add_all = self._adding[id(log)]
            log.add = (lambda *_: None) if quiet else add  # type: ignore[method-assign]
            log.add_all = (lambda *_: None) if quiet else add_all  # type: ignore[method-assign]


@asynccontextmanager
async def gdrive_driver(
    tmp_path: Path, clock: Clock, pass_time: PassTime, way: Way = "person"
) -> AsyncIterator[GDriveDriver]:
    """For the watchers' contract."""
    async with desk(tmp_path, way, rhythm=Rhythm()) as at:
        yield GDriveDriver(at, clock, pass_time)
