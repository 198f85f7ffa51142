"""What every watched folder promises, as scenarios: what people and crashes do to it, then what was submitted
and what lies there. A new connector joins by a `Driver` of its own in `DRIVERS`.

Nothing here waits: drivers have a clock of their own, and look when they are told to.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Protocol

import pytest

from connectors.folder.adapter import FolderAdapter
from connectors.folder.settings import FolderSettings
from core.cloud_folders import CloudFolders
from core.errors import Rejected, Transient
from core.fake_cloud import ROOT, FakeCloud
from core.fake_remote import CONSENT, FakeConnecting
from core.following import Rhythm
from core.model import Job, Recording, Transcript, Utterance, Word
from core.places import Credentials, Keyring, WatchedFolder, WatchedFolders
from core.policies import ChannelPolicy
from core.ports import Adapter, AdapterContext, Submit
from core.settings import Settings, load_settings
from core.testing import MemoryJobs, MemoryLinks, MemoryStore
from core.vault import Vault
from tests.adapters.dropbox_driver import dropbox_driver
from tests.adapters.gdrive_driver import gdrive_driver
from tests.contracts.faults import Crash, Fuse
from tests.contracts.watcher_scenarios import SCENARIOS, Options, Scenario


class Driver(Protocol):
    """A watched folder with its service, in the hands of a test. Paths are relative to the folder; "../"
    leads to a place that is not watched."""

    offers: frozenset[str]
    """What there is on this platform: `same names` in one folder, `bin`, `cursors`, `notices`, `deleting` of
    transcripts with their recordings, `lasting ids` which files keep over crashes and name shares."""

    @property
    def adapter(self) -> Adapter: ...

    @property
    def store(self) -> MemoryStore:
        """What the service remembers."""

    async def start(self, options: Options, submit: Submit) -> None:
        """The folder is watched from now on, long after anything was put there before."""

    async def upload(self, path: str, data: bytes) -> None: ...

    async def replace(self, path: str, data: bytes) -> None: ...

    async def move(self, path: str, to: str) -> None:
        """A file or a folder, under the same name or another one."""

    async def copy(self, path: str, to: str) -> None: ...

    async def remove(self, path: str) -> None:
        """Into the bin where there is one."""

    async def restore(self, path: str) -> None:
        """Out of the bin, where that is offered."""

    async def files(self) -> Mapping[str, Sequence[bytes]]:
        """What lies in the folder."""

    async def look(self, submit: Submit, seconds: float = 0.0) -> None:
        """Let time pass, and let the watcher do everything that it has to do then."""

    async def restart(self) -> None:
        """The process is killed, and another one takes over with the same store."""

    async def lose_cursors(self) -> None: ...

    async def repeat_notices(self) -> None:
        """The platform tells once more what it told."""

    async def keep_quiet(self, quiet: bool) -> None:
        """The platform does not tell what changes meanwhile."""


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def pass_time(step: Callable[[], Awaitable[float]], clock: Clock, seconds: float) -> None:
    """Look often enough that everything happens that is due by then, and a little later."""
    start = clock.now
    for after in (0.0, 3.0, 6.0, *((seconds / 2, seconds, seconds + 3.0) if seconds else ())):
        clock.now = max(clock.now, start + after)
        for _ in range(100):  # some files at a time
            if await step() > 0:
                break


class FolderDriver:
    """The local folder, on a real file system and a clock of its own."""

    offers = frozenset({"bin"})

    def __init__(self, tmp_path: Path) -> None:
        self.base = tmp_path
        tmp_path.mkdir(exist_ok=True)
        self.inbox = tmp_path / "inbox"
        self.clock = Clock()
        self.store = MemoryStore()
        self.stamp = 1_700_000_000
        self._threads = ThreadPoolExecutor()

    async def start(self, options: Options, submit: Submit) -> None:
        self.inbox.mkdir(exist_ok=True)
        self.options = options
        await self.restart()
        await self.look(submit)

    async def restart(self) -> None:
        context = AdapterContext(
            settings=load_settings(Settings, ERNI_DATA_DIR=self.base / "data"),
            store=self.store,
            jobs=MemoryJobs(),
            links=MemoryLinks(),
            node_id="node",
        )
        settings = load_settings(
            FolderSettings,
            FOLDER_PATHS=str(self.inbox),
            FOLDER_FORMATS=self.options.formats,
            FOLDER_BACKFILL=self.options.backfill,
            FOLDER_OUTPUT=self.options.output,
        )
        self._threads.shutdown()
        self.adapter = FolderAdapter(context, settings)
        [self._watch] = self.adapter._inboxes.values()
        self._threads = self._watch.folder._threads
        self._watch._clock = self.clock

    def _at(self, path: str) -> Path:
        where = self.base / "elsewhere" / path[3:] if path.startswith("../") else self.inbox / path
        where.parent.mkdir(parents=True, exist_ok=True)
        return where

    def _write(self, where: Path, data: bytes) -> None:
        where.write_bytes(data)
        self.stamp += 1  # each content with a time of its own, also on coarse clocks
        os.utime(where, (self.stamp, self.stamp))

    async def upload(self, path: str, data: bytes) -> None:
        self._write(self._at(path), data)

    async def replace(self, path: str, data: bytes) -> None:
        self._write(self._at(path), data)

    async def move(self, path: str, to: str) -> None:
        self._at(path).rename(self._at(to))

    async def copy(self, path: str, to: str) -> None:
        self._write(self._at(to), self._at(path).read_bytes())

    async def remove(self, path: str) -> None:
        self._at(path).rename(self._at(f"../bin/{path}"))

    async def restore(self, path: str) -> None:
        self._at(f"../bin/{path}").rename(self._at(path))

    async def files(self) -> Mapping[str, Sequence[bytes]]:
        return {
            str(path.relative_to(self.inbox)): [path.read_bytes()]
            for path in self.inbox.rglob("*")
            if path.is_file()
        }

    async def look(self, submit: Submit, seconds: float = 0.0) -> None:
        async def step() -> float:
            self._watch._next_round = 0.0
            return await self._watch.step(submit)

        await pass_time(step, self.clock, seconds)

    # A local folder does not offer these, so that no scenario that needs them is run with it.

    async def lose_cursors(self) -> None:
        raise NotImplementedError

    async def repeat_notices(self) -> None:
        raise NotImplementedError

    async def keep_quiet(self, quiet: bool) -> None:
        raise NotImplementedError


class CloudDriver:
    """A folder in somebody's cloud, in memory. Drivers of real connectors do the same to their servers."""

    def __init__(self, tmp_path: Path, *, unique: bool) -> None:
        self.offers = frozenset(
            {"bin", "cursors", "notices", "deleting", "lasting ids"} | (set() if unique else {"same names"})
        )
        self.cloud = FakeCloud(unique=unique, reserves=not unique, marks=not unique)
        self.connecting = FakeConnecting(self.cloud)
        self.clock = Clock()
        self.store = MemoryStore()
        self.settings = load_settings(
            Settings, ERNI_DATA_DIR=tmp_path, ERNI_ENCRYPTION_KEY=Vault.new_key(), ERNI_FORMATS="txt"
        )
        self.binned: dict[str, str] = {}
        self.offset = 0.0  # of the service's idea of what time of the day it is

    def context(self) -> AdapterContext:
        return AdapterContext(
            settings=self.settings,
            store=self.store,
            jobs=MemoryJobs(),
            links=MemoryLinks(),
            node_id="node",
        )

    async def start(self, options: Options, submit: Submit) -> None:
        credentials = Credentials(account="account", label="ada", secret=CONSENT)
        await Keyring(self.store, self.settings, "fake").save(credentials)
        folder = WatchedFolder(
            connector="fake",
            id=ROOT,
            account="account",
            name="/",
            policy=ChannelPolicy(formats=(options.formats,), delete_with_recording=options.delete),
            backfill=options.backfill,
            output=options.output,
            since=self.cloud.now + 1000,
        )
        await WatchedFolders(self.store, self.settings, "fake").save(folder)
        await self.restart()
        await self.look(submit)

    async def restart(self) -> None:
        self.adapter = CloudFolders(self.context(), self.connecting, rhythm=Rhythm())
        opened = await self.adapter.tended.opened(ROOT)
        assert opened is not None
        self._watch = opened.inbox
        self._watch._clock = self.clock
        self._watch._today = lambda: 1e6 + self.clock.now + self.offset

    async def upload(self, path: str, data: bytes) -> None:
        self.cloud.upload(path, data)

    async def replace(self, path: str, data: bytes) -> None:
        self.cloud.replace(self.cloud.find(path), data)

    async def move(self, path: str, to: str) -> None:
        root = "elsewhere" if path.startswith("../") else ROOT
        plain = path.removeprefix("../")
        found = [item.id for item in self.cloud.items.values() if self.cloud.path(item.id, root) == plain]
        self.cloud.move(found[0], to)

    async def copy(self, path: str, to: str) -> None:
        self.cloud.copy(self.cloud.find(path), to)

    async def remove(self, path: str) -> None:
        self.binned[path] = self.cloud.find(path)
        self.cloud.bin(self.binned[path])

    async def restore(self, path: str) -> None:
        self.cloud.restore(self.binned.pop(path))

    async def files(self) -> Mapping[str, Sequence[bytes]]:
        return self.cloud.files()

    async def look(self, submit: Submit, seconds: float = 0.0) -> None:
        async def step() -> float:
            self._watch.nudge()
            delay = await self._watch.step(submit)
            self.cloud.now = 1_000_000.0 + self.clock.now
            return delay

        await pass_time(step, self.clock, seconds)

    async def lose_cursors(self) -> None:
        self.cloud.lose_cursors()

    async def repeat_notices(self) -> None:
        self.cloud.log.extend(list(self.cloud.log))

    async def keep_quiet(self, quiet: bool) -> None:
        self.cloud.quiet = quiet


DRIVERS: dict[str, Callable[[Path], AbstractAsyncContextManager[Driver]]] = {
    "folder": lambda tmp_path: nullcontext(FolderDriver(tmp_path)),
    "names shared": lambda tmp_path: nullcontext(CloudDriver(tmp_path, unique=False)),
    "names unique": lambda tmp_path: nullcontext(CloudDriver(tmp_path, unique=True)),
    "gdrive": lambda tmp_path: gdrive_driver(tmp_path, Clock(), pass_time),
    "gdrive shared drive": lambda tmp_path: gdrive_driver(tmp_path, Clock(), pass_time, "shared drive"),
    "dropbox": lambda tmp_path: dropbox_driver(tmp_path, Clock(), pass_time),
}


async def never(recording: Recording) -> str:
    raise AssertionError(f"{recording.name} was submitted")


class Service:
    """What is around a watched folder: an intake that knows what it took, and a worker that answers. Content
    that begins with "bad" fails, and so does none at all."""

    def __init__(self, driver: Driver, tmp_path: Path) -> None:
        self.driver = driver
        self.away = 0
        self.dead = 0
        self.submitted: dict[str, Recording] = {}
        self._answered: set[str] = set()
        self._into = tmp_path / "fetched"

    async def submit(self, recording: Recording) -> str:
        if self.away:
            self.away -= 1
            raise Transient("The store is away.")
        self.submitted.setdefault(recording.key, recording)
        if self.dead:
            self.dead -= 1
            raise Crash
        return "job"

    async def look(self, seconds: float = 0.0) -> None:
        try:
            await self.driver.look(self.submit, seconds)
        except Transient:
            await self.driver.look(self.submit, seconds)
        except Crash:
            await self.driver.restart()

    async def answer(self, number: int | None = None) -> None:
        """All that is open, in the order in which it came, or one of them."""
        waiting = [key for key in self.submitted if key not in self._answered]
        for key in waiting if number is None or not waiting else [waiting[number % len(waiting)]]:
            job = Job(id=f"job{list(self.submitted).index(key)}", recording=self.submitted[key])
            await self._answer(job)
            self._answered.add(key)

    async def rest(self, seconds: float = 0.0) -> None:
        await self.look(seconds)
        await self.answer()
        await self.look()

    async def _answer(self, job: Job) -> None:
        adapter = self.driver.adapter
        try:
            await adapter.fetch(job.recording, self._into)
        except Rejected as error:
            await adapter.report_failure(job, error.user_message)
            return
        text = self._into.read_text()
        for _ in range(2):  # both may be done twice
            if not text or text.startswith("bad"):
                await adapter.report_failure(job, "There is no sound in it.")
            else:
                await adapter.deliver(saying(text, job.recording), job)

    async def outputs(self) -> dict[str, list[str]]:
        """What people see beside their recordings, and what it says: what was heard, or "note"."""
        return {
            path: [_gist(data.decode()) for data in found]
            for path, found in (await self.driver.files()).items()
            if ".transcript" in path
        }


def _gist(text: str) -> str:
    return "note" if "was not transcribed" in text else text.partition("heard ")[2].split("\n")[0] or text


def saying(text: str, recording: Recording) -> Transcript:
    words = tuple(Word(start=0.0, end=1.0, text=word) for word in ("heard", *text.split()))
    return Transcript(
        content_key=recording.content_key,
        languages=("en",),
        seconds=1.0,
        utterances=(Utterance(speaker="Speaker 1", start=0.0, end=1.0, words=words),),
        engine="fake",
    )


async def play(line: str, driver: Driver, service: Service, options: Options) -> None:
    """One step of a scenario."""
    verb, *words = line.split(" ")
    match verb:
        case "start":
            await driver.start(options, service.submit)
        case "upload" | "replace" | "edit":
            path, data = " ".join(words[:-1]), words[-1].encode().removesuffix(b"nothing")
            await (driver.upload if verb == "upload" else driver.replace)(path, data)
        case "move" | "copy":
            await (driver.move if verb == "move" else driver.copy)(words[0], words[1])
        case "remove":
            await driver.remove(words[0])
        case "restore":
            await driver.restore(words[0])
        case "look" | "rest":
            seconds = float(words[0]) if words else 0.0
            await (service.look if verb == "look" else service.rest)(seconds)
        case "answer":
            await service.answer()
        case "crash":
            await driver.restart()
        case "away":
            service.away = 1
        case "dead":
            service.dead = 1
        case "lose":
            await driver.lose_cursors()
        case "repeat":
            await driver.repeat_notices()
        case "quiet" | "loud":
            await driver.keep_quiet(verb == "quiet")
        case _:
            raise ValueError(line)


@pytest.mark.parametrize("make", DRIVERS.values(), ids=DRIVERS)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
async def test_scenario(
    scenario: Scenario, make: Callable[[Path], AbstractAsyncContextManager[Driver]], tmp_path: Path
) -> None:
    deadly, dead = 0, True
    while dead:  # again, with the crash at a later step
        fuse = Fuse()
        async with make(tmp_path / str(deadly)) as driver:
            if not set(filter(None, [scenario.needs])) <= driver.offers:
                pytest.skip(f"there is no such thing as {scenario.needs} here")
            fuse.guard(driver.store)
            dead = await run_through(scenario, driver, Service(driver, tmp_path), fuse, deadly)
        deadly += 1 if isinstance(driver, FolderDriver | CloudDriver) else 4


async def run_through(scenario: Scenario, driver: Driver, service: Service, fuse: Fuse, deadly: int) -> bool:
    """Whether the process died where it was to die."""
    dead = False
    steps = scenario.steps.split("; ")
    if "start" not in steps:
        await driver.start(scenario.options, service.submit)
    for line in steps:
        if line == "die":
            fuse.left = deadly
            continue
        armed = fuse.left is not None
        try:
            await play(line, driver, service, scenario.options)
        except Crash:
            await driver.restart()
        dead = dead or (armed and fuse.left is None)
        fuse.left = None
    await check(scenario, service)
    # what was learnt is remembered: whoever takes over has nothing to do
    await driver.restart()
    await driver.look(never)
    await check(scenario, service)
    return dead


async def check(scenario: Scenario, service: Service) -> None:
    outputs = await service.outputs()
    if scenario.said:
        said = Counter(text for found in outputs.values() for text in found)
        assert said == Counter(scenario.said.split())
        return
    names = Counter(recording.name for recording in service.submitted.values())
    assert names == Counter(scenario.submitted.split())
    assert outputs == {path: [text] for path, text in scenario.outputs.items()}
