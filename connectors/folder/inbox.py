"""One watched folder: from what the file system shows to recordings submitted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection

from watchfiles import Change, awatch

from connectors.folder.client import Folder, Walk
from connectors.folder.confined import Absent, Changed, Forbidden
from connectors.folder.mounts import is_network
from connectors.folder.outputs import Outputs
from connectors.folder.settings import FolderSettings
from core.errors import Transient
from core.filenames import is_watched
from core.inbox import Clock, Examined, Inbox, Later, answer_names, output_folder
from core.model import Recording
from core.polling import poll
from core.ports import Store, Submit
from core.sightings import UNREAD, Decision, Entry, Sighting
from core.watching import Watched

logger = logging.getLogger(__name__)

_UNREADABLE_SECONDS = 600.0
_TROUBLED_SECONDS = 60.0
_MISSING_NOTICES_SECONDS = 10.0


class FolderInbox(Inbox):
    """Watches `folder`; `recording` says how one of its files is submitted."""

    unread_seconds = _UNREADABLE_SECONDS

    def __init__(
        self,
        *,
        folder: Folder,
        outputs: Outputs,
        place: str,
        store: Store,
        settings: FolderSettings,
        recording: Callable[[str, Entry], Recording],
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__(place=place, store=store, clock=clock)
        self.folder = folder
        self.outputs = outputs
        self._settings = settings
        self._recording = recording
        self._filesystem: str | None = None
        self._identity = ""
        self._next_round = 0.0
        self._earliest_round = 0.0  # so that looking takes a sixth of the time at most
        self._touched: set[str] = set()
        self._renew = asyncio.Event()

    async def recollect(self, entries: dict[str, Entry]) -> Watched:
        self._filesystem = await self._store.recall(f"{self.place}:folder", "filesystem")
        return Watched(place=self.place, entries=entries, settle=self._settings.settle_seconds)

    def recording(self, sighting: Sighting, entry: Entry) -> Recording:
        return self._recording(sighting.path, entry)

    async def follow_on(self, watched: Watched, path: str, decision: Decision) -> None:
        """Nothing to do: the adapter asks where a share is, and transcripts stay."""

    async def retire(self, line: str) -> None:
        await self.outputs.forget(line)

    async def watch(self, submit: Submit) -> None:
        """Submit what arrives until cancelled."""
        name = self.folder.root.name
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(poll(lambda: self.step(submit), self._wake, name=name, trouble=self.tell))
            if not self._polling():
                tasks.create_task(self._listen())

    async def step(self, submit: Submit) -> float:
        """Look at what may have changed and take what is complete. Returns how long, in seconds, there will
        be nothing to do unless something changes."""
        watched = await self.watched()
        await self.require()
        if self._clock() >= self._next_round:
            await self._look_everywhere(watched)
        else:
            touched, self._touched = self._touched, set()
            await self.look_again(watched, touched)
        await self.take_due(watched, submit)
        watched.departed.clear()  # what was answered stays
        due = watched.next_due()
        return max(0.0, min(self._next_round, self._next_round if due is None else due) - self._clock())

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
        if path is not None:
            found = await self.folder.call(self.folder.glimpse, path)
            if found is None or not watched.entries[path].shows(found):
                watched.lose(path, self._clock())
                watched.mark_gone(path, time.time())
            if found is not None:
                watched.see([found], self._clock())
        await self.save()

    # looking

    async def _look_everywhere(self, watched: Watched) -> None:
        started = self._clock()
        self._touched.clear()
        watched.begin()
        walk = Walk()
        batches = self.folder.walk(walk)
        try:
            while (batch := await self.folder.call(self.folder.next_batch, batches)) is not None:
                watched.see(batch, self._clock())
                await asyncio.sleep(0)
        except (Absent, Forbidden) as error:
            raise Transient(f"The folder {self.folder.root} can't be read.") from error
        watched.finish(self._clock(), time.time(), walk.unread)
        if walk.leftovers and (swept := await self.folder.call(self.folder.sweep, walk.leftovers)):
            logger.info("removed %d temporary files that a crash had left", swept)
        if self._filesystem != self.folder.filesystem:
            if self._filesystem is None and not self._settings.backfill:
                watched.skip_all()
                await self.save()
            await self._store.remember(f"{self.place}:folder", "filesystem", self.folder.filesystem)
            self._filesystem = self.folder.filesystem
        every = self._settings.poll_seconds or (10.0 if self._polling() else 60.0)
        self._earliest_round = self._clock() + 5 * (self._clock() - started)
        self._next_round = max(self._clock() + every, self._earliest_round)

    async def look_again(self, watched: Watched, paths: Collection[str]) -> None:
        if not paths:
            return
        found = await self.folder.call(self.folder.glimpses, paths)
        now = self._clock()
        for path, sighting in found.items():
            if sighting is None:
                watched.lose(path, now)
            else:
                watched.see([sighting], now)
        watched.relocate()

    # taking

    async def examine(self, watched: Watched, sighting: Sighting) -> Examined | Later | None:
        folder, _, name = sighting.path.rpartition("/")
        try:
            content, answered = await self.folder.call(
                self.folder.examine,
                sighting,
                output_folder(folder, self._settings.output),
                answer_names(name),
            )
        except Changed:
            return Later(seconds=self._settings.settle_seconds)
        except Absent:
            return None
        except Forbidden:
            if sighting.path in watched.entries:
                return Later(seconds=_UNREADABLE_SECONDS)
            logger.warning("a file in %s may not be read", self.folder.root)
            return Examined(content=UNREAD)
        except Transient as error:
            logger.warning("a file in %s can't be read now: %s", self.folder.root, error)
            return Later(seconds=_TROUBLED_SECONDS)
        return Examined(content=content, answered="beside it" if answered else "")

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
