"""What becomes of shares whose files leave a folder in somebody's cloud, and of those that failed there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from core.ports import Store
from core.remote import RemoteFile, RemoteFolder
from core.sightings import Decision, Entry
from core.watching import Watched

_AT_ONCE = 100
_MOVES = 20
_GONE = "gone"


class Withdrawing(Protocol):
    """What takes back outputs, by the line and version of their recording: `core.remote_outputs`."""

    async def withdraw(self, line: str, version: int) -> None: ...

    async def withdrawn(self) -> Mapping[str, int]:
        """Version by line."""
        ...

    async def forget(self, line: str) -> None: ...


class Departures:
    """For the folder that is known as `place`. `delete`: what a recording led to is taken back when it is
    deleted. `today` is the Unix time."""

    def __init__(
        self,
        *,
        place: str,
        folder: RemoteFolder,
        store: Store,
        outputs: Withdrawing,
        delete: bool,
        today: Callable[[], float],
    ) -> None:
        self._place = place
        self._folder = folder
        self._store = store
        self._outputs = outputs
        self._delete = delete
        self._today = today

    async def broken_off(self, entries: Mapping[str, Entry]) -> dict[str, Entry]:
        """Those of the files whose outputs a process took back that died before it was remembered that they
        are gone: as they are to be remembered."""
        withdrawn = await self._outputs.withdrawn()
        return {
            path: replace(entry, gone=self._today(), failed=True)
            for path, entry in (entries.items() if withdrawn else ())
            if entry.gone is None and withdrawn.get(entry.line, -1) >= entry.version
        }

    async def retire(self, line: str) -> None:
        """The last file of a line is long gone."""
        await self._outputs.forget(line)

    async def tell_apart(self, watched: Watched, missing: set[str]) -> None:
        """Of files that are missing, those that are elsewhere are gone; only what was deleted can be what has
        come to light here."""
        if missing:
            for path in missing - await self._folder.deleted(missing):
                watched.mark_gone(path, self._today())

    async def follow_on(self, watched: Watched, path: str, decision: Decision) -> None:
        """See `core.inbox.Inbox`."""
        if decision.moved_from is not None:
            await self._store.remember(f"{self._place}:moved", decision.moved_from, path)
        if decision.replaces is not None and self._delete:
            past = watched.entries[decision.replaces]
            await self._outputs.withdraw(past.line, past.version)

    async def failures(self) -> Mapping[str, bool]:
        """The keys of shares that were answered with a note since they were last dropped, and whether their
        files were not there."""
        found = await self._store.memories(f"{self._place}:failures")
        return {key: why == _GONE for key, why in found.items()}

    async def drop_failures(self, keys: Mapping[str, bool]) -> None:
        """They are remembered elsewhere by now."""
        for key in keys:
            await self._store.forget(f"{self._place}:failures", key)

    async def part(self, watched: Watched) -> None:
        """Take back what recordings led to that were deleted. Done before it is remembered that they are
        gone, and without harm twice."""
        while watched.departed:
            batch = watched.departed[:_AT_ONCE]
            found = {path: watched.entries[path] for path in batch if path in watched.entries}
            gone = {path for path, entry in found.items() if entry.gone is not None and not entry.skipped}
            if gone:
                here = {entry.line for entry in watched.entries.values() if entry.gone is None}
                taken = {path for path in gone if found[path].line in here}  # another file has its line
                for path in taken:
                    watched.detach(path)
                gone -= taken
            if gone and self._delete:
                for path in await self._folder.deleted(gone) & gone:
                    await self._outputs.withdraw(found[path].line, found[path].version)
                    watched.fail(found[path].key)  # back from the bin, it is answered again
            del watched.departed[: len(batch)]


async def whereabouts(store: Store, place: str, folder: RemoteFolder, file_id: str) -> RemoteFile | None:
    """A file that was submitted from the folder `place`, as it is now, also if it was deleted there and put
    there anew meanwhile; None if it is not in the folder any more."""
    for _ in range(_MOVES):
        if file := await folder.look(file_id):
            return file
        moved = await store.recall(f"{place}:moved", file_id)
        if moved is None:
            return None
        file_id = moved
    return None


async def report_failure(store: Store, place: str, key: str, *, gone: bool) -> None:
    """The share `key` of the folder `place` was answered with a note, by whichever process: the same file,
    put there anew, is tried again. `gone`: it was not there."""
    await store.remember(f"{place}:failures", key, _GONE if gone else "")
