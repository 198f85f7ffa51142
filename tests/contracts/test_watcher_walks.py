"""Watched folders of every kind under whatever people, crashes and lost answers do to them: random walks of
what `watcher_scenarios` says one by one."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from core.filenames import is_output
from tests.contracts.faults import FAULTS, Fuse
from tests.contracts.test_watcher_contract import DRIVERS, Driver, Service
from tests.contracts.watcher_scenarios import Options

PATHS = st.sampled_from(["a.mp3", "a.wav", "b.mp3", "x/a.mp3", "x/y/b.mp3"])
PICK = st.integers(0, 100)
FAULT = st.none() | st.tuples(st.integers(0, 40), st.sampled_from(FAULTS))
OPTIONS = st.builds(
    Options,
    delete=st.booleans(),
    output=st.sampled_from(["beside", "Transcripts"]),
    formats=st.sampled_from(["txt", "md"]),
)


@dataclass
class File:
    """`held` is what it contained one after the other. `overtaken`: another file took its name while it was
    away. `strayed`: it ever was outside."""

    held: list[str]
    path: str = ""
    overtaken: bool = False
    strayed: bool = False


class Walk(RuleBasedStateMachine):
    """Contents are never repeated, but for copies, so an output tells what it was made from."""

    name: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.fuse = Fuse()
        self.count = 0
        self.inside: dict[str, File] = {}
        self.outside: dict[str, File] = {}
        self.bin: dict[str, File] = {}
        self.held: Counter[str] = Counter()  # how many files ever held a content

    def teardown(self) -> None:
        try:
            if hasattr(self, "service"):
                self.rest()
        finally:
            self.runner.run(self.stack.aclose())
            self.runner.close()

    def run(
        self, work: Coroutine[Any, Any, object], fault: tuple[int, type[BaseException]] | None = None
    ) -> None:
        self.fuse.burn(self.runner.run, work, self.driver.restart, fault)

    @initialize(options=OPTIONS)
    def begin(self, options: Options) -> None:
        self.options = options
        self.driver: Driver = self.runner.run(self.stack.enter_async_context(DRIVERS[self.name](self.folder)))
        self.service = Service(self.driver, self.folder)
        self.fuse.guard(self.driver.store)
        self.run(self.driver.start(options, self.service.submit))

    def offers(self, what: str) -> bool:
        return what in self.driver.offers

    def pick(self, number: int) -> str | None:
        return sorted(self.inside)[number % len(self.inside)] if self.inside else None

    # what people do

    def put(self, path: str, file: File) -> None:
        """It is there now."""
        if file.overtaken:
            self.held[file.held[-1]] += 1  # it may be taken for another one
        file.path, file.overtaken = path, False
        self.inside[path] = file
        for other in (*self.outside.values(), *self.bin.values()):
            other.overtaken = other.overtaken or other.path == path

    def fill(self, file: File) -> bytes:
        """With something new."""
        self.count += 1
        file.held.append(f"c{self.count}")
        self.held[file.held[-1]] += 1
        return file.held[-1].encode()

    @rule(paths=st.lists(PATHS, min_size=1, max_size=3, unique=True))
    def upload(self, paths: list[str]) -> None:
        for path in paths:
            if path not in self.inside:
                self.put(path, File([]))
                self.run(self.driver.upload(path, self.fill(self.inside[path])))

    @rule(number=PICK)
    def replace(self, number: int) -> None:
        if path := self.pick(number):
            self.run(self.driver.replace(path, self.fill(self.inside[path])))

    @rule(number=PICK, to=PATHS)
    def move(self, number: int, to: str) -> None:
        if (path := self.pick(number)) and to not in self.inside:
            self.put(to, self.inside.pop(path))
            self.run(self.driver.move(path, to))

    @rule(number=PICK, to=PATHS)
    def copy(self, number: int, to: str) -> None:
        if (path := self.pick(number)) and to not in self.inside:
            content = self.inside[path].held[-1]
            self.put(to, File([content]))
            self.held[content] += 1
            self.run(self.driver.copy(path, to))

    @rule(number=PICK)
    def move_out(self, number: int) -> None:
        if path := self.pick(number):
            self.count += 1
            to = f"../{self.count}.mp3"
            self.outside[to] = self.inside.pop(path)
            self.outside[to].strayed = True
            self.run(self.driver.move(path, to))

    @rule(number=PICK, to=PATHS)
    def move_in(self, number: int, to: str) -> None:
        if self.outside and to not in self.inside:
            path = sorted(self.outside)[number % len(self.outside)]
            self.put(to, self.outside.pop(path))
            self.run(self.driver.move(path, to))

    @rule(number=PICK)
    def remove(self, number: int) -> None:
        if (path := self.pick(number)) and path not in self.bin:
            self.bin[path] = self.inside.pop(path)
            self.run(self.driver.remove(path))

    @rule(number=PICK)
    def restore(self, number: int) -> None:
        free = [path for path in sorted(self.bin) if not self.bin[path].overtaken]
        if free:
            path = free[number % len(free)]
            self.put(path, self.bin.pop(path))
            self.run(self.driver.restore(path))

    # what the platform and the service do

    @precondition(lambda self: self.offers("cursors"))
    @rule()
    def lose_cursors(self) -> None:
        self.run(self.driver.lose_cursors())

    @precondition(lambda self: self.offers("notices"))
    @rule()
    def repeat(self) -> None:
        self.run(self.driver.repeat_notices())

    @rule(seconds=st.sampled_from([0.0, 0.0, 30.0, 4000.0]), fault=FAULT)
    def look(self, seconds: float, fault: tuple[int, type[BaseException]] | None) -> None:
        self.run(self.driver.look(self.service.submit, seconds), fault)

    @rule(fault=FAULT, number=st.none() | PICK)
    def answer(self, fault: tuple[int, type[BaseException]] | None, number: int | None) -> None:
        self.run(self.service.answer(number), fault)

    @rule()
    def hand_over(self) -> None:
        self.run(self.driver.restart())

    @rule()
    def rest(self) -> None:
        """When nothing happens for a day, each recording has its transcript."""
        for seconds in (30000.0, 4000.0):
            self.run(self.service.rest(seconds))
        files = self.runner.run(self.driver.files())
        found = {path: data for path, [data] in files.items() if not is_output(path.rpartition("/")[2])}
        assert {path: data.decode() for path, data in found.items()} == {
            path: file.held[-1] for path, file in self.inside.items()
        }
        outputs = [
            data.decode()
            for path, found in files.items()
            if is_output(path.rpartition("/")[2])
            for data in found
        ]
        said = Counter(text.partition("heard ")[2].split("\n")[0] or "note" for text in outputs)
        self.compare(said)

    def compare(self, said: Counter[str]) -> None:
        wanted = Counter(file.held[-1] for file in self.inside.values())
        assert wanted <= said, wanted - said
        notes = said.pop("note", 0)
        if self.offers("deleting") and self.options.delete:
            # where a file that is out of sight was deleted, can't be told: in the folder or elsewhere
            strays = [file for file in (*self.outside.values(), *self.bin.values()) if file.strayed]
            left = Counter(content for file in strays for content in file.held)
        else:
            left = self.held - wanted
        assert said <= wanted + left, said - wanted - left
        assert notes <= left.total(), notes


class Folder(Walk):
    name = "folder"


class GDrive(Walk):
    name = "gdrive"


class Dropbox(Walk):
    name = "dropbox"


_SETTINGS = settings(
    max_examples=12,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # without the explaining, which traces every line and takes ten times as long
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
Folder.TestCase.settings = _SETTINGS
GDrive.TestCase.settings = _SETTINGS
Dropbox.TestCase.settings = _SETTINGS
TestFolder = Folder.TestCase
TestGDrive = GDrive.TestCase
TestDropbox = Dropbox.TestCase
