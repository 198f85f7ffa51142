"""What a watcher remembers of files and what it waits for, findable in every way that it asks. Pure."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Mapping, Set

from core.filenames import folded
from core.sightings import UNREAD, Entry

_NONE: frozenset[str] = frozenset()


class Known:
    """Entries by path. `unsaved` is what changed since it was last stored; None: forget it."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries: dict[str, Entry] = {}
        self.unsaved: dict[str, Entry | None] = {}
        self._by_content: dict[str, set[str]] = {}
        self._by_identity: dict[str, set[str]] = {}
        self._by_name: dict[str, set[str]] = {}  # where paths are no names
        self._by_key: dict[str, str] = {}
        self._by_line: dict[str, str] = {}
        self._by_adopted: dict[str, str] = {}
        for path, entry in entries.items():
            self._put(path, entry)

    def save(self, path: str, entry: Entry) -> None:
        """Remember it."""
        self._put(path, entry)
        self.unsaved[path] = entry

    def drop(self, path: str) -> None:
        """Forget it; an unknown path is fine."""
        self._unlink(path)
        if self.entries.pop(path, None) is not None:
            self.unsaved[path] = None

    def with_content(self, content: str) -> Set[str]:
        """Paths of files with this content."""
        return self._by_content.get(content, _NONE)

    def with_identity(self, identity: str) -> Set[str]:
        """Paths of files with this identity."""
        return self._by_identity.get(identity, _NONE)

    def with_name(self, shown: str) -> Set[str]:
        """Paths of files that people see under this path, also where case or accents don't count."""
        return self._by_name.get(folded(shown), _NONE)

    def has_line(self, line: str) -> bool:
        """Whether a file has this line."""
        return line in self._by_line

    def adopter(self, transcript: str) -> str | None:
        """The path of the file that has this transcript without having been submitted."""
        return self._by_adopted.get(transcript)

    def path_of(self, key: str) -> str | None:
        """The path of the share `key`."""
        return self._by_key.get(key)

    def _put(self, path: str, entry: Entry) -> None:
        self._unlink(path)
        self.entries[path] = entry
        if entry.content != UNREAD:
            self._by_content.setdefault(entry.content, set()).add(path)
        if entry.identity:
            self._by_identity.setdefault(entry.identity, set()).add(path)
        if entry.shown:
            self._by_name.setdefault(folded(entry.shown), set()).add(path)
        self._by_line[entry.line] = path
        if entry.adopted:
            self._by_adopted[entry.adopted] = path
        self._by_key[entry.key] = path

    def _unlink(self, path: str) -> None:
        entry = self.entries.get(path)
        if entry is None:
            return
        for index, value in (
            (self._by_content, entry.content),
            (self._by_identity, entry.identity),
            (self._by_name, folded(entry.shown)),
        ):
            paths = index.get(value, set())
            paths.discard(path)
            if not paths:
                index.pop(value, None)
        for places, value in (
            (self._by_line, entry.line),
            (self._by_key, entry.key),
            (self._by_adopted, entry.adopted),
        ):
            if places.get(value) == path:
                del places[value]


def buried(path: str, line: str) -> str:
    """A path that no file can have, for what is remembered of the file of a line after another one took its
    path."""
    return f"{path}\0{hashlib.sha256(line.encode()).hexdigest()[:16]}"


def is_buried(path: str) -> bool:
    """Whether it is such a path."""
    return "\0" in path


class Awaited:
    """Paths that are to be looked at from a time on: `when` holds the time of each. What is urgent comes
    before what is not, and earlier before later."""

    def __init__(self) -> None:
        self.when: dict[str, float] = {}
        self._queues: tuple[list[tuple[float, str]], ...] = ([], [])
        self._offered: list[tuple[float, str]] = []

    def add(self, path: str, when: float, *, urgent: bool) -> None:
        """Wait for it, instead of until an earlier or later time."""
        self.when[path] = when
        heapq.heappush(self._queues[0 if urgent else 1], (when, path))

    def discard(self, path: str) -> None:
        """Wait for it no longer."""
        self.when.pop(path, None)

    def due(self, now: float, limit: int) -> list[str]:
        """Paths whose time has come. One that stays is offered again next time."""
        for offer in self._offered:  # whoever asked last broke off before an answer
            if self.when.get(offer[1]) == offer[0]:
                heapq.heappush(self._queues[0], offer)
        self._offered = []
        for queue in self._queues:
            while queue and queue[0][0] <= now and len(self._offered) < limit:
                offer = heapq.heappop(queue)
                if self.when.get(offer[1]) == offer[0]:
                    self._offered.append(offer)
        return [path for _, path in self._offered]

    def next(self) -> float | None:
        """When `due` has something to say next, None if nothing is waited for."""
        return min((queue[0][0] for queue in self._queues if queue), default=None)
