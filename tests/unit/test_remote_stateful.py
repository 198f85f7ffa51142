"""A folder in somebody's cloud under everything that people, crashes and lost answers do to it."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.fake_cloud import Item
from core.filenames import is_output
from tests.contracts.faults import FAULTS, Fuse
from tests.contracts.test_watcher_contract import CloudDriver, Service
from tests.contracts.watcher_scenarios import Options

PATHS = st.sampled_from(["a.mp3", "a.wav", "b.mp3", "x/a.mp3", "x/y/b.mp3"])
PICK = st.integers(0, 100)
FAULT = st.none() | st.tuples(st.integers(0, 40), st.sampled_from(FAULTS))
OPTIONS = st.builds(
    Options,
    backfill=st.sampled_from([True, True, False]),
    delete=st.sampled_from([True, True, False]),
    output=st.sampled_from(["beside", "beside", "Transcripts"]),
    formats=st.sampled_from(["txt", "md"]),
)


class Cloud(RuleBasedStateMachine):
    """Contents are never repeated, but for copies, so an output tells what it was made from. Those that begin
    with "bad" can't be transcribed."""

    unique = False

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.driver = CloudDriver(Path(self.folder.name), unique=self.unique)
        self.fuse = Fuse()
        self.fuse.guard(self.driver.store)
        self.cloud = self.driver.cloud
        self.cloud.step = self.fuse
        self.service = Service(self.driver, Path(self.folder.name))
        self.options = Options()
        self.count = 0
        self.old: set[str] = set()  # contents that lay there before the folder was watched
        self.answered: dict[str, str] = {}  # file inside at the last rest -> what is in it
        self.left: set[str] = set()  # files that were answered and moved out of sight
        self.strays: set[str] = set()  # files that ever were out of sight
        self.binned: set[str] = set()  # files that ever were in the bin
        self.contents: dict[str, set[str]] = {}  # what files ever held
        self.spoilt: Counter[str] = Counter()  # outputs that a person removed or edited
        self.revived: Counter[str] = Counter()  # outputs that a person took out of the bin
        self.edits: set[str] = set()

    def teardown(self) -> None:
        try:
            self.rest()
        finally:
            self.loop.close()
            self.folder.cleanup()

    def run(
        self, work: Coroutine[Any, Any, object], fault: tuple[int, type[BaseException]] | None = None
    ) -> None:
        self.fuse.burn(self.loop.run_until_complete, work, self.driver.restart, fault)

    @initialize(options=OPTIONS, paths=st.lists(PATHS, max_size=2))
    def begin(self, options: Options, paths: list[str]) -> None:
        self.options = options
        self.upload(paths, bad=False)
        if not options.backfill:
            self.old = {_text(item) for item in self.recordings()}
        self.run(self.driver.start(options, self.service.submit))

    # what people do

    def text(self, *, bad: bool) -> bytes:
        self.count += 1
        return f"{'bad' if bad else 'c'}{self.count}".encode()

    def recordings(self) -> list[Item]:
        return [item for item in self.cloud.items.values() if item.data is not None and _is_recording(item)]

    def pick(self, number: int, items: Iterable[Item]) -> Item | None:
        found = list(items)
        return found[number % len(found)] if found else None

    def live(self) -> list[Item]:
        return [item for item in self.recordings() if not self.cloud.is_deleted(item.id)]

    def free(self, path: str) -> bool:
        return not self.unique or path not in self.cloud.files()

    def folders(self, *, binned: bool) -> list[Item]:
        return [
            item
            for item in self.cloud.items.values()
            if item.data is None and item.parent == "root" and item.binned is binned
        ]

    def below(self, folder: Item) -> list[Item]:
        return [self.cloud.items[file_id] for file_id in self.cloud._below(folder.id)]

    @rule(paths=st.lists(PATHS, min_size=1, max_size=4), bad=st.sampled_from([False, False, True]))
    def upload(self, paths: list[str], bad: bool) -> None:
        for path in paths:
            if self.free(path):
                self.cloud.upload(path, self.text(bad=bad))

    @rule(path=PATHS)
    def upload_locked(self, path: str) -> None:
        if self.free(path):
            item = self.cloud.items[self.cloud.upload(path, self.text(bad=False))]
            self.cloud.put(replace(item, downloadable=False))

    @rule(number=PICK)
    def unlock(self, number: int) -> None:
        if item := self.pick(number, (item for item in self.live() if not item.downloadable)):
            self.cloud.put(replace(item, downloadable=True))

    @rule(number=PICK, bad=st.sampled_from([False, False, True]))
    def replace(self, number: int, bad: bool) -> None:
        if item := self.pick(number, self.live()):
            self.cloud.replace(item.id, self.text(bad=bad))

    @rule(number=PICK, other=PICK)
    def overwrite(self, number: int, other: int) -> None:
        item, model = self.pick(number, self.live()), self.pick(other, self.live())
        if item and model and item.data != model.data:
            self.cloud.replace(item.id, model.data or b"")

    @rule(number=PICK, path=PATHS, out=st.booleans())
    def move(self, number: int, path: str, out: bool) -> None:
        item = self.pick(number, self.live())
        if item and (out or self.free(path)):
            self.cloud.move(item.id, f"../{item.id}.mp3" if out else path)
            self.strays |= {item.id} if out else set()

    @rule(number=PICK)
    def move_folder(self, number: int) -> None:
        inside = [item for item in self.folders(binned=False) if item.name in "xz"]
        item = self.pick(number, inside)
        name = "z" if item and item.name == "x" else "x"
        if item and not (self.unique and any(other.name == name for other in inside)):
            self.cloud.move(item.id, name)

    @rule(number=PICK, path=PATHS)
    def copy(self, number: int, path: str) -> None:
        item = self.pick(number, self.live())
        if item and self.free(path):
            self.cloud.copy(item.id, path)

    @rule(number=PICK)
    def remove(self, number: int) -> None:
        if item := self.pick(number, self.live()):
            self.cloud.bin(item.id)
            self.binned.add(item.id)

    @rule(number=PICK)
    def restore(self, number: int) -> None:
        item = self.pick(number, (item for item in self.recordings() if item.binned))
        if item and self.free(_path_if_restored(self.cloud.items, item)):
            self.cloud.restore(item.id)

    @rule(number=PICK)
    def remove_folder(self, number: int) -> None:
        if folder := self.pick(number, self.folders(binned=False)):
            for item in self.below(folder):
                if is_output(item.name) and not item.binned:
                    self.spoilt[_said(_text(item))] += 1
                elif _is_recording(item):
                    self.binned.add(item.id)
            self.cloud.bin(folder.id)

    @rule(number=PICK)
    def restore_folder(self, number: int) -> None:
        folder = self.pick(number, self.folders(binned=True))
        inside = [item.name for item in self.folders(binned=False)]
        if folder and not (self.unique and folder.name in inside):
            self.cloud.restore(folder.id)
            for item in self.below(folder):
                if is_output(item.name) and not item.binned:
                    self.revived[_said(_text(item))] += 1

    @rule(number=PICK)
    def delete(self, number: int) -> None:
        if item := self.pick(number, self.recordings()):
            self.cloud.delete(item.id)

    @rule(number=PICK, edit=st.booleans())
    def spoil(self, number: int, edit: bool) -> None:
        outputs = (
            item
            for item in self.cloud.items.values()
            if item.data is not None and is_output(item.name) and not self.cloud.is_deleted(item.id)
            and _text(item) not in self.edits
        )  # fmt: skip
        if item := self.pick(number, outputs):
            self.spoilt[_said(_text(item))] += 1
            if edit:
                self.edits.add(f"edit {self.count}")
                self.cloud.replace(item.id, f"edit {self.count}".encode())
                self.count += 1
            else:
                self.cloud.bin(item.id)

    # what the platform and the service do

    @rule()
    def lose_cursors(self) -> None:
        self.cloud.lose_cursors()

    @rule()
    def repeat(self) -> None:
        self.cloud.log.extend(self.cloud.log[-20:])

    @rule()
    def keep_quiet(self) -> None:
        self.cloud.quiet = True

    @rule(days=st.sampled_from([-150.0, -0.1, 0.1, 150.0]))
    def set_clock(self, days: float) -> None:
        self.driver.offset = days * 86400.0

    @rule(seconds=st.sampled_from([0.0, 0.0, 30.0, 4000.0]), fault=FAULT)
    def look(self, seconds: float, fault: tuple[int, type[BaseException]] | None) -> None:
        self.run(self.driver.look(self.service.submit, seconds), fault)

    @rule(fault=FAULT, number=st.none() | PICK)
    def answer(self, fault: tuple[int, type[BaseException]] | None, number: int | None) -> None:
        self.run(self.service.answer(number), fault)

    @rule()
    def look_and_answer(self) -> None:
        """Both at once, by turns."""

        async def both() -> None:
            await asyncio.gather(self.driver.look(self.service.submit), self.service.answer())

        self.run(both())

    @rule()
    def hand_over(self) -> None:
        self.run(self.driver.restart())

    @invariant()
    def remember_contents(self) -> None:
        for item in self.recordings():
            self.contents.setdefault(item.id, set()).add(_text(item))

    @rule()
    def rest(self) -> None:
        """When nothing happens for a day, each recording has its transcript or its note, and nothing else is
        there but those of recordings that went out of sight."""
        self.cloud.quiet = False
        self.driver.offset = 0.0
        for seconds in (30000.0, 4000.0):
            self.run(self.service.rest(seconds))
        inside = {item.id: item for item in self.recordings() if self.cloud.path(item.id)}
        seen = self.cloud.files().items()
        outputs = [data.decode() for path, found in seen if is_output(path) for data in found]
        notes = [text for text in outputs if _said(text) == NOTE]
        said = Counter(_said(text) for text in outputs if text not in {*self.edits, *notes})
        self.compare_transcripts(said, inside)
        self.compare_notes(len(notes), inside)
        self.compare_left(said, inside)
        assert self.edits - {
            _text(item) for item in self.cloud.items.values() if self.cloud.is_deleted(item.id)
        } <= set(outputs)

    def compare_transcripts(self, said: Counter[str], inside: dict[str, Item]) -> None:
        wanted, past = Counter[str](), Counter[str]()
        for file_id, item in inside.items():
            if _fails(item):
                past.update(self.contents[file_id])  # until it can be transcribed, the last one stays
            elif _text(item) not in self.old:
                wanted[_text(item)] += 1
            elif len([found for found in self.contents.values() if _text(item) in found]) > 1:
                past[_text(item)] += 1  # it may be one of those that lay there, or a copy
        for file_id in (self.contents if not self.options.delete else self.strays) - inside.keys():
            past.update(self.contents[file_id])
        failing = [item for item in inside.values() if _fails(item)]
        more = said - (wanted + past + self.revived)
        assert more.total() <= len(failing), more  # those of what these came in the place of
        assert wanted - self.spoilt <= said, wanted - self.spoilt - said

    def compare_notes(self, notes: int, inside: dict[str, Item]) -> None:
        wanted = [item for item in inside.values() if _fails(item)]
        gone = (self.contents if not self.options.delete else self.strays) - inside.keys()
        assert notes <= len(wanted) + len(gone) + self.revived[NOTE], (notes, wanted)
        wanted = [item for item in wanted if _text(item) not in self.old]
        assert notes >= len(wanted) - self.spoilt[NOTE], (notes, wanted)

    def compare_left(self, said: Counter[str], inside: dict[str, Item]) -> None:
        """What was answered and then taken out of sight keeps its transcript, unless that became the one of a
        copy that was put in its place."""
        self.left = {
            file_id
            for file_id in self.left | self.answered.keys()
            if file_id in self.cloud.items and file_id not in inside and file_id not in self.binned
        }
        for file_id in self.left:
            mine = self.contents[file_id]
            others = {text for other, found in self.contents.items() if other != file_id for text in found}
            assert mine & {*said, *self.spoilt, *others}, mine
        self.answered = {
            file_id: _text(item)
            for file_id, item in inside.items()
            if not _fails(item) and _text(item) not in self.old
        }


class PathCloud(Cloud):
    unique = True


NOTE = "note"


def _is_recording(item: Item) -> bool:
    return item.name.endswith((".mp3", ".wav"))


def _text(item: Item) -> str:
    return (item.data or b"").decode()


def _fails(item: Item) -> bool:
    return _text(item).startswith("bad") or not item.downloadable


def _said(text: str) -> str:
    return NOTE if "was not transcribed" in text else text.partition("heard ")[2].split("\n")[0] or text


def _path_if_restored(items: dict[str, Item], item: Item) -> str:
    names = [item.name]
    at = item.parent
    while at not in {None, "root", "elsewhere"} and at is not None:
        names.append(items[at].name)
        at = items[at].parent
    return "/".join(reversed(names)) if at == "root" else "elsewhere"


_SETTINGS = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    # without the explaining, which traces every line and takes ten times as long
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
Cloud.TestCase.settings = _SETTINGS
PathCloud.TestCase.settings = _SETTINGS
TestCloud = Cloud.TestCase
TestPathCloud = PathCloud.TestCase
