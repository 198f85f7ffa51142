"""From what a watched folder shows to recordings submitted: the part that all kinds of folders share."""

from __future__ import annotations

import asyncio
import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote_from_bytes

from core.filenames import output_base, output_names
from core.known import is_buried
from core.model import Recording
from core.ports import Store, Submit
from core.sightings import UNREAD, Decision, Entry, Sighting
from core.watching import Watched

Clock = Callable[[], float]

AT_ONCE = 32
"""Files taken between two looks at what else arrived."""

_SAVED_AT_ONCE = 100
_MARKED = ("md", "json", "seglst.json")  # formats that name the content they were made from
_NUMBERS = (1, 2, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """The content key of a file (UNREAD if it can't be read). `answered` names a transcript of just this
    content that lies beside it, "" for none; `owner` is the line that has this on record, where one has."""

    content: str
    answered: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """The file is to be looked at again after so many seconds."""

    seconds: float


class Inbox(ABC):
    """One watched folder. `place` names it among all places of the service. `unread_seconds` is after what
    time a file is tried again that could not be read; None: when it is seen to have changed."""

    unread_seconds: float | None = 600.0

    def __init__(self, *, place: str, store: Store, clock: Clock = time.monotonic) -> None:
        self.place = place
        self.trouble = ""
        self._store = store
        self._clock = clock
        self._space = f"{place}:files"
        self._loading = asyncio.Lock()
        self._watched: Watched | None = None
        self._wake = asyncio.Event()

    # what differs

    @abstractmethod
    async def recollect(self, entries: dict[str, Entry]) -> Watched:
        """The state of the folder, from what is remembered of its files."""

    @abstractmethod
    async def look_again(self, watched: Watched, paths: Collection[str]) -> None:
        """Bring what is known of these files up to date, where that costs little."""

    @abstractmethod
    async def examine(self, watched: Watched, sighting: Sighting) -> Examined | Later | None:
        """What is in a file that has come to rest; None: it is not there any more."""

    @abstractmethod
    def recording(self, sighting: Sighting, entry: Entry) -> Recording:
        """How the file is submitted."""

    @abstractmethod
    async def follow_on(self, watched: Watched, path: str, decision: Decision) -> None:
        """The file at `path` is known to have been, or to come in the place of, one at another path. Called
        before that is remembered, so perhaps more than once."""

    @abstractmethod
    async def retire(self, line: str) -> None:
        """The last file of a line is long gone: drop what else is remembered of it."""

    # what is the same

    def tell(self, trouble: str) -> None:
        """What is wrong with the folder, the empty string when it is well again."""
        self.trouble = trouble

    async def watched(self) -> Watched:
        """The state of the folder as it was remembered."""
        async with self._loading:
            if self._watched is None:
                remembered = (await self._store.memories(self._space)).values()
                entries = await asyncio.to_thread(lambda: dict(map(_remembered, remembered)))
                self._watched = await self.recollect(entries)
            return self._watched

    async def take_due(self, watched: Watched, submit: Submit) -> None:
        """Submit what has come to rest, some files at most, and remember what changed."""
        due = watched.due(self._clock(), AT_ONCE)
        await self.look_again(watched, due)
        for path in due:
            if sighting := watched.ready(path, self._clock()):
                await self.look_again(watched, watched.rivals(sighting))
            if sighting := watched.ready(path, self._clock()):
                await self._take(watched, sighting, submit)
                await self.save()
        await self.save()

    async def save(self) -> None:
        """Remember what changed: what is there before what is not there any more."""
        watched = await self.watched()
        while watched.retired:
            await self.retire(watched.retired[-1])
            watched.retired.pop()
        while watched.unsaved:
            changed = list(watched.unsaved.items())
            for turn in (0, 1, 2):
                group = [item for item in changed if _turn(*item) == turn]
                for start in range(0, len(group), _SAVED_AT_ONCE):
                    await self._save(watched, group[start : start + _SAVED_AT_ONCE])

    async def _save(self, watched: Watched, changed: Sequence[tuple[str, Entry | None]]) -> None:
        kept = {
            _key(path): json.dumps([path, entry.to_json()]) for path, entry in changed if entry is not None
        }
        await self._store.remember_all(self._space, kept)
        for path, entry in changed:
            if entry is None:
                await self._store.forget(self._space, _key(path))
            if path in watched.unsaved and watched.unsaved[path] is entry:
                del watched.unsaved[path]

    async def _take(self, watched: Watched, sighting: Sighting, submit: Submit) -> None:
        path, now = sighting.path, self._clock()
        found = await self.examine(watched, sighting)
        if found is None:
            watched.lose(path, now)
            return
        if isinstance(found, Later):
            watched.postpone(path, now + found.seconds)
            return
        await self.look_again(watched, watched.rivals(sighting, found.content))
        decision = watched.decide(sighting, found.content, answered=found.answered, owner=found.owner)
        if decision.moved_from or decision.replaces:
            await self.follow_on(watched, path, decision)
        if decision.submit:
            watched.intend(path, decision)
            await self.save()
            await submit(self.recording(sighting, decision.entry))
        watched.apply(path, decision)
        if decision.entry.content == UNREAD and self.unread_seconds is not None:
            watched.postpone(path, now + self.unread_seconds)


def output_folder(folder: str, output: str) -> str:
    """Where the outputs of recordings in `folder` go: there (`beside`), or in the subfolder `output`."""
    if output == "beside":
        return folder
    return f"{folder}/{output}" if folder else output


def answer_names(name: str) -> list[str]:
    """What a transcript of the file may be called that says what it was made from."""
    return [output for _, _, outputs in answer_sets(name) for output in outputs]


def answer_sets(name: str) -> Iterator[tuple[str, int, Collection[str]]]:
    """The same, set by set: what the names begin with, the number, and the names."""
    for shared in (False, True):
        base = output_base(name, shared)
        for number in _NUMBERS:
            yield base, number, output_names(base, _MARKED, number).values()


def _turn(path: str, entry: Entry | None) -> int:
    if is_buried(path) and entry is not None:  # before what took its path
        return 0
    return 1 if entry is not None and entry.gone is None else 2


def _key(path: str) -> str:
    return quote_from_bytes(os.fsencode(path), safe="/ ")


def _remembered(text: str) -> tuple[str, Entry]:
    path, entry = json.loads(text)
    return path, Entry.from_json(entry)
