"""One watched folder: from what the file system shows to recordings submitted."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Collection
from urllib.parse import quote_from_bytes

from watchfiles import Change, awatch

from connectors.folder.client import Folder, Walk
from connectors.folder.confined import Absent, Changed, Forbidden
from connectors.folder.mounts import is_network
from connectors.folder.outputs import Outputs
from connectors.folder.settings import FolderSettings
from core.errors import Transient
from core.filenames import is_watched, output_base, output_names
from core.model import Recording
from core.polling import poll
from core.ports import Store, Submit
from core.sightings import UNREAD, Entry, Sighting
from core.watching import Watched

logger = logging.getLogger(__name__)

_AT_ONCE = 32  # files taken between two looks at what else arrived
_SAVED_AT_ONCE = 100
_MARKED = ("md", "json", "seglst.json")  # formats that name the content they were made from
_NUMBERS = (1, 2, 3)
_UNREADABLE_SECONDS = 600.0
_TROUBLED_SECONDS = 60.0
_MISSING_NOTICES_SECONDS = 10.0


class Inbox:
    """Watches `folder`. `place` names it among all places of the service, `recording` says how one of its
    files is submitted."""

    def __init__(
        self,
        *,
        folder: Folder,
        outputs: Outputs,
        place: str,
        store: Store,
        settings: FolderSettings,
        recording: Callable[[str, Entry], Recording],
    ) -> None:
        self.folder = folder
        self.outputs = outputs
        self.place = place
        self.trouble = ""
        self._store = store
        self._settings = settings
        self._recording = recording
        self._space = f"{place}:files"
        self._loading = asyncio.Lock()
        self._watched: Watched | None = None
        self._filesystem: str | None = None
        self._identity = ""
        self._next_round = 0.0
        self._earliest_round = 0.0  # so that looking takes a sixth of the time at most
        self._touched: set[str] = set()
        self._wake = asyncio.Event()
        self._renew = asyncio.Event()

    async def watched(self) -> Watched:
        """The state of the folder as it was remembered."""
        async with self._loading:
            if self._watched is None:
                entries: dict[str, Entry] = {}
                for text in (await self._store.memories(self._space)).values():
                    path, entry = _remembered(text)
                    entries[path] = entry
                self._filesystem = await self._store.recall(f"{self.place}:folder", "filesystem")
                self._watched = Watched(
                    place=self.place, entries=entries, settle=self._settings.settle_seconds
                )
            return self._watched

    async def watch(self, submit: Submit) -> None:
        """Submit what arrives until cancelled."""

        def tell(trouble: str) -> None:
            self.trouble = trouble

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                poll(lambda: self.step(submit), self._wake, name=self.folder.root.name, trouble=tell)
            )
            if not self._polling():
                tasks.create_task(self._listen())

    async def step(self, submit: Submit) -> float:
        """Look at what may have changed and take what is complete. Returns how long, in seconds, there will
        be nothing to do unless something changes."""
        watched = await self.watched()
        await self.require()
        if time.monotonic() >= self._next_round:
            await self._look_everywhere(watched)
        else:
            await self._look_at(watched)
        for path in await self._due(watched):
            if sighting := watched.ready(path, time.monotonic()):
                await self._look_again(watched, watched.rivals(sighting))
            if sighting := watched.ready(path, time.monotonic()):
                await self._take(watched, sighting, submit)
                await self.save()
        await self.save()
        due = watched.next_due()
        return max(0.0, min(self._next_round, self._next_round if due is None else due) - time.monotonic())

    async def require(self) -> None:
        """Raises Transient if the folder is not there, or only the empty place where it is to be mounted."""
        watched = await self.watched()
        try:
            identity, filesystem, empty = await self.folder.call(self.folder.identity)
        except (Absent, Forbidden) as error:
            raise Transient(f"The folder {self.folder.root} is not there or not readable.") from error
        if empty and watched.entries and self._filesystem not in {None, filesystem}:
            raise Transient(f"The folder {self.folder.root} is not mounted ({self._filesystem}).")
        if identity != self._identity:
            if self._identity:
                self._renew.set()
            self._identity = identity
            self._next_round = 0.0

    async def failed(self, key: str) -> None:
        """The share `key` was answered with a note: the same file, put here anew, is tried again."""
        watched = await self.watched()
        watched.fail(key)
        path = watched.where(key)
        if path is not None and await self.folder.call(self.folder.glimpse, path) is None:
            watched.lose(path, time.monotonic())
            watched.mark_gone(path, time.time())
        await self.save()

    async def save(self) -> None:
        """Remember what changed, what is new before what is gone."""
        watched = await self.watched()
        while watched.retired:
            await self.outputs.forget(watched.retired[-1])
            watched.retired.pop()
        while watched.unsaved:
            batch = list(watched.unsaved.items())[:_SAVED_AT_ONCE]
            batch.sort(key=lambda item: item[1] is None)
            for wanted in (True, False):
                await asyncio.gather(
                    *(self._save(path, entry) for path, entry in batch if (entry is not None) is wanted)
                )
            for path, entry in batch:
                if watched.unsaved.get(path) is entry:
                    del watched.unsaved[path]

    async def _save(self, path: str, entry: Entry | None) -> None:
        if entry is None:
            await self._store.forget(self._space, _key(path))
        else:
            await self._store.remember(self._space, _key(path), _memory(path, entry))

    # looking

    async def _look_everywhere(self, watched: Watched) -> None:
        started = time.monotonic()
        self._touched.clear()
        watched.begin()
        walk = Walk()
        batches = self.folder.walk(walk)
        try:
            while (batch := await self.folder.call(self.folder.next_batch, batches)) is not None:
                watched.see(batch, time.monotonic())
                await asyncio.sleep(0)
        except (Absent, Forbidden) as error:
            raise Transient(f"The folder {self.folder.root} can't be read.") from error
        watched.finish(time.monotonic(), time.time(), walk.unread)
        if walk.leftovers and (swept := await self.folder.call(self.folder.sweep, walk.leftovers)):
            logger.info("removed %d temporary files that a crash had left", swept)
        if self._filesystem != self.folder.filesystem:
            if self._filesystem is None and not self._settings.backfill:
                watched.skip_all()
                await self.save()
            await self._store.remember(f"{self.place}:folder", "filesystem", self.folder.filesystem)
            self._filesystem = self.folder.filesystem
        every = self._settings.poll_seconds or (10.0 if self._polling() else 60.0)
        self._earliest_round = time.monotonic() + 5 * (time.monotonic() - started)
        self._next_round = max(time.monotonic() + every, self._earliest_round)

    async def _look_at(self, watched: Watched) -> None:
        touched, self._touched = self._touched, set()
        await self._look_again(watched, touched)

    async def _due(self, watched: Watched) -> list[str]:
        paths = watched.due(time.monotonic(), _AT_ONCE)
        await self._look_again(watched, paths)
        return paths

    async def _look_again(self, watched: Watched, paths: Collection[str]) -> None:
        if not paths:
            return
        found = await self.folder.call(self.folder.glimpses, paths)
        now = time.monotonic()
        for path, sighting in found.items():
            if sighting is None:
                watched.lose(path, now)
            else:
                watched.see([sighting], now)
        watched.relocate()

    # taking

    async def _take(self, watched: Watched, sighting: Sighting, submit: Submit) -> None:
        path, now = sighting.path, time.monotonic()
        try:
            content, answered = await self.folder.call(
                self.folder.examine, sighting, output_folder(_parent(path), self._settings), _answers(path)
            )
            await self._look_again(watched, watched.rivals(sighting, content))
        except Changed:
            watched.postpone(path, now + self._settings.settle_seconds)
            return
        except Absent:
            watched.lose(path, now)
            return
        except Forbidden:
            if path in watched.entries:
                watched.postpone(path, now + _UNREADABLE_SECONDS)
                return
            logger.warning("a file in %s may not be read", self.folder.root)
            content, answered = UNREAD, False
        except Transient as error:
            logger.warning("a file in %s can't be read now: %s", self.folder.root, error)
            watched.postpone(path, now + _TROUBLED_SECONDS)
            return
        decision = watched.decide(sighting, content, answered=answered)
        if decision.submit:
            watched.intend(path, decision)
            await self.save()
            await submit(self._recording(path, decision.entry))
        watched.apply(path, decision)
        if decision.entry.content == UNREAD:
            watched.postpone(path, now + _UNREADABLE_SECONDS)

    # notices of the system

    def _polling(self) -> bool:
        if self._settings.polling == "auto":
            return is_network(self.folder.filesystem)
        return self._settings.polling

    async def _listen(self) -> None:
        told = False
        while True:
            self._renew.clear()
            listening = False
            try:
                async for changes in awatch(
                    self.folder.root,
                    watch_filter=None,
                    debounce=400,
                    step=50,
                    rust_timeout=1000,
                    yield_on_timeout=True,
                    recursive=self.folder.recursive,
                    stop_event=self._renew,
                    ignore_permission_denied=True,
                ):
                    if not listening:  # what came before the first notice may have gone unnoticed
                        listening = True
                        self._look_soon()
                    await self._heed(changes)
            except (OSError, RuntimeError) as error:
                if not told:
                    told = True
                    logger.warning(
                        "no notices of changes in %s (%s): looking there regularly instead",
                        self.folder.root,
                        type(error).__name__,
                    )
            if not self._renew.is_set():
                await asyncio.sleep(_MISSING_NOTICES_SECONDS)

    async def _heed(self, changes: set[tuple[Change, str]]) -> None:
        prefix = f"{self.folder.root}/"
        for change, where in changes:
            path = where.removeprefix(prefix)
            if path == where:
                continue
            if is_watched(path):
                self._touched.add(path)
                self._wake.set()
            elif change is Change.added and await self.folder.call(self.folder.is_folder, path):
                self._look_soon()

    def _look_soon(self) -> None:
        self._next_round = min(self._next_round, self._earliest_round)
        self._wake.set()


def output_folder(folder: str, settings: FolderSettings) -> str:
    """Where the outputs of recordings in `folder` go."""
    if settings.output == "beside":
        return folder
    return f"{folder}/{settings.output}" if folder else settings.output


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _answers(path: str) -> list[str]:
    """What a transcript of the file may be called that says what it was made from."""
    name = path.rpartition("/")[2]
    return [
        output
        for shared in (False, True)
        for number in _NUMBERS
        for output in output_names(output_base(name, shared), _MARKED, number).values()
    ]


def _key(path: str) -> str:
    return quote_from_bytes(os.fsencode(path), safe="/ ")


def _memory(path: str, entry: Entry) -> str:
    return json.dumps([path, entry.to_json()])


def _remembered(text: str) -> tuple[str, Entry]:
    path, entry = json.loads(text)
    return path, Entry.from_json(entry)
