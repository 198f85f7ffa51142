"""What becomes of shares whose files leave a folder in somebody's cloud, and of those that failed there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from core.ports import Store
from core.remote import RemoteFile, RemoteFolder
from core.remote_view import RemoteView
from core.sightings import Decision, Entry
from core.watching import Watched

_AT_ONCE = 100
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

    async def end_broken_off(self, watched: Watched) -> None:
        """Take those files for gone whose outputs a process took back that died before it remembered that."""
        withdrawn = await self._outputs.withdrawn()
        for path, entry in list(watched.entries.items()) if withdrawn else ():
            if entry.gone is None and withdrawn.get(entry.line, -1) >= entry.version:
                watched.mark_gone(path, self._today())
                watched.fail(entry.key)

    async def retire(self, line: str) -> None:
        """The last file of a line is long gone."""
        await self._store.forget(f"{self._place}:moved", line)
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
            await self._store.remember(f"{self._place}:moved", decision.entry.line, path)
        if decision.replaces is not None and self._delete:
            await self._withdraw(watched, decision.replaces)

    async def hear_of_failures(self, watched: Watched, view: RemoteView, now: float) -> Collection[str]:
        """Take note of shares that were answered with a note, by whichever process; returns their keys. A
        file that was not there then is gone, and tried again if it is back."""
        failures = await self._store.memories(f"{self._place}:failures")
        for key, why in failures.items():
            watched.fail(key)
            path = watched.where(key)
            if why == _GONE and path is not None:
                file = await self._folder.look(path)
                view.lose(watched, path, now)
                watched.mark_gone(path, self._today())
                if file is not None:
                    view.see(watched, file, now)
        return tuple(failures)

    async def drop_failures(self, keys: Collection[str]) -> None:
        """They are remembered elsewhere by now."""
        for key in keys:
            await self._store.forget(f"{self._place}:failures", key)

    async def part(self, watched: Watched, view: RemoteView, now: float) -> None:
        """Take back what recordings led to that were deleted. Done before it is remembered that they are
        gone, and without harm twice."""
        while watched.departed:
            batch = watched.departed[:_AT_ONCE]
            gone = {path for path in batch if self._is_gone(watched.entries.get(path))}
            if gone and self._delete:
                deleted = await self._folder.deleted(gone)
                for path in deleted & gone:
                    await self._withdraw(watched, path)
                for path in gone - deleted:  # it may be back without our having been told
                    if file := await self._folder.look(path):
                        view.see(watched, file, now)
            del watched.departed[: len(batch)]

    async def _withdraw(self, watched: Watched, path: str) -> None:
        entry = watched.entries[path]
        watched.fail(entry.key)  # first: back from the bin, it is answered again
        await self._outputs.withdraw(entry.line, entry.version)

    @staticmethod
    def _is_gone(entry: Entry | None) -> bool:
        return entry is not None and entry.gone is not None and not entry.skipped


async def whereabouts(
    store: Store, place: str, folder: RemoteFolder, *, file_id: str, line: str, content: str
) -> RemoteFile | None:
    """The file of a share of the folder `place` as it is now: if it was deleted there and put there anew
    meanwhile, the one that has its line now. One with another content only if none has that of the share;
    None if it is not in the folder any more."""
    found: RemoteFile | None = None
    heir = await store.recall(f"{place}:moved", line)
    for candidate in dict.fromkeys(filter(None, (heir, file_id))):
        file = await folder.look(candidate)
        if file is not None and file.content == content:
            return file
        found = found or file
    return found


async def report_failure(store: Store, place: str, key: str, *, gone: bool) -> None:
    """The share `key` of the folder `place` was answered with a note, by whichever process: the same file,
    put there anew, is tried again. `gone`: it was not there."""
    await store.remember(f"{place}:failures", key, _GONE if gone else "")
