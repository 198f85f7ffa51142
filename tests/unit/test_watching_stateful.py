"""A watched folder under everything that people and crashes do to it, with a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.sightings import Entry, Sighting
from core.watching import Watched

PATHS = st.sampled_from(["a.mp3", "b.mp3", "c.wav", "x/a.mp3", "x/b.ogg"])
SETTLE = 2.0


@dataclass
class File:
    """`number` is the inode, `revision` counts its contents."""

    number: int
    revision: int
    content: str
    modified: int
    changed: float


@dataclass(frozen=True)
class Submitted:
    key: str
    content: str
    number: int
    revision: int


class WatchedFolder(RuleBasedStateMachine):
    """Memory and queue are one log, as they are in one Redis; a crash loses some of its last entries."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.files: dict[str, File] = {}
        self.numbers = 0
        self.touched: set[str] = set()
        self.log: list[list[tuple[str, Entry | None]] | Submitted] = []
        self.load()

    def load(self) -> None:
        entries: dict[str, Entry] = {}
        for row in self.log:
            if isinstance(row, Submitted):
                continue
            for path, entry in row:
                if entry is None:
                    entries.pop(path, None)
                else:
                    entries[path] = Entry.from_json(entry.to_json())
        self.state = Watched(place="p", entries=entries, settle=SETTLE, empty_settle=SETTLE, grace=60)

    def save(self) -> None:
        """All or nothing. In truth a store could lose one of the two writes that a swap of names takes."""
        if self.state.unsaved:
            self.log.append(list(self.state.unsaved.items()))
        self.state.unsaved.clear()

    def sighting(self, path: str) -> Sighting:
        file = self.files[path]
        return Sighting(path=path, size=len(file.content), modified=file.modified, identity=str(file.number))

    def new(self, content: str) -> File:
        self.numbers += 1
        return File(self.numbers, 0, content, int(self.now * 1000) + self.numbers, self.now)

    # what people do

    @rule(path=PATHS, content=st.sampled_from("xyz"))
    def drop(self, path: str, content: str) -> None:
        self.files[path] = self.new(content)

    @rule(path=PATHS, content=st.sampled_from("xyz"))
    def overwrite(self, path: str, content: str) -> None:
        if (file := self.files.get(path)) and file.content != content:
            self.numbers += 1
            file.revision += 1
            file.content, file.changed = content, self.now
            file.modified = int(self.now * 1000) + self.numbers

    @rule(path=PATHS)
    def touch(self, path: str) -> None:
        """Of equal files that are touched, renamed and copied at once, none can tell which is the copy. One
        may be done again then, and for such contents the claims below are not made."""
        if file := self.files.get(path):
            self.numbers += 1
            file.modified = int(self.now * 1000) + self.numbers
            self.touched.add(file.content)

    @rule(old=PATHS, new=PATHS)
    def rename(self, old: str, new: str) -> None:
        if old in self.files and old != new:
            self.files[new] = self.files.pop(old)

    @rule(old=PATHS, new=PATHS)
    def swap(self, old: str, new: str) -> None:
        if old in self.files and new in self.files:
            self.files[old], self.files[new] = self.files[new], self.files[old]

    @rule(old=PATHS, new=PATHS, keeps_time=st.booleans())
    def copy(self, old: str, new: str, keeps_time: bool) -> None:
        if old in self.files and old != new:
            self.files[new] = self.new(self.files[old].content)
            if keeps_time:
                self.files[new].modified = self.files[old].modified

    @rule(path=PATHS)
    def delete(self, path: str) -> None:
        self.files.pop(path, None)

    @rule(seconds=st.sampled_from([0.5, 2.5, 100.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    # what the service does

    @rule()
    def poll(self) -> None:
        state = self.state
        state.begin()
        state.see([self.sighting(path) for path in sorted(self.files)], self.now)
        state.finish(self.now, self.now)
        for path in state.due(self.now, 100):
            sighting = state.ready(path, self.now)
            if sighting is None:
                continue
            file = self.files[path]
            assert self.now - file.changed >= SETTLE, "taken before it was complete"
            decision = state.decide(sighting, f"sha256:{file.content}")
            if decision.submit:
                state.intend(path, decision)
                self.save()
                self.log.append(Submitted(decision.entry.key, file.content, file.number, file.revision))
            state.apply(path, decision)
            self.save()
        self.save()

    @rule(lost=st.integers(0, 4))
    def crash(self, lost: int) -> None:
        del self.log[len(self.log) - min(lost, len(self.log)) :]
        self.load()
        self.rest_a_while()

    @precondition(lambda self: self.files)
    @rule()
    def rest(self) -> None:
        """When nobody does anything for a while, every file is answered for."""
        self.rest_a_while()
        sent = self.submitted()
        for path, file in self.files.items():
            entry = self.state.entries[path]
            assert entry.content == f"sha256:{file.content}"
            assert entry.sent
            assert entry.key in sent, "remembered, but not submitted"
            answered = {(found.number, found.revision) for found in sent[entry.key]}
            others = {(other.number, other.revision) for where, other in self.files.items() if where != path}
            if file.content not in self.touched:
                own = (file.number, file.revision)
                assert own in answered or not answered & others, "its answer goes to another file"

    def rest_a_while(self) -> None:
        for _ in range(4):
            self.poll()
            self.now += SETTLE

    def submitted(self) -> dict[str, set[Submitted]]:
        found: dict[str, set[Submitted]] = {}
        for row in self.log:
            if isinstance(row, Submitted):
                found.setdefault(row.key, set()).add(row)
        return found

    @invariant()
    def nothing_is_done_twice(self) -> None:
        keys: dict[tuple[int, int], set[str]] = {}
        for key, rows in self.submitted().items():
            for row in rows:
                if row.content in self.touched:
                    continue
                keys.setdefault((row.number, row.revision), set()).add(key)
        assert all(len(found) == 1 for found in keys.values()), keys


WatchedFolder.TestCase.settings = settings(
    max_examples=50,
    stateful_step_count=40,
    deadline=None,
    # without the explaining, which traces every line and takes ten times as long
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
TestWatchedFolder = WatchedFolder.TestCase
