"""The watched folders of one connector: opened as they are on record, watched while the service runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from redis.exceptions import RedisError

from core.enrolment import Enrolling
from core.errors import AuthFailed, ErniError
from core.following import Rhythm, Selection
from core.model import Recording
from core.places import Keyring, WatchedFolder, WatchedFolders
from core.ports import Readiness, Store, Submit
from core.remote import RemoteFile, RemotePlace
from core.remote_inbox import RemoteInbox
from core.remote_outputs import RemoteOutputs
from core.settings import Settings
from core.sightings import Entry
from core.tasks import end

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A watched folder and the way into it. `fingerprint` is that of the credentials."""

    folder: WatchedFolder
    fingerprint: str
    place: RemotePlace
    outputs: RemoteOutputs
    inbox: RemoteInbox = field(repr=False)


class Tended:
    """See above. `recording` says how a file of a folder is submitted."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        connecting: Enrolling,
        *,
        rhythm: Rhythm,
        recording: Callable[[Opened, RemoteFile, Entry], Recording],
    ) -> None:
        self._store = store
        self._connecting = connecting
        self._folders = WatchedFolders(store, settings, connecting.name)
        self._keyring = Keyring(store, settings, connecting.name)
        self._rhythm = rhythm
        self._recording = recording
        self._open: dict[str, Opened] = {}
        self._past: list[RemotePlace] = []  # something may still be done in them
        self._watchers: dict[str, tuple[Opened, asyncio.Task[None]]] = {}
        self._troubles: dict[str, str] = {}
        self._trouble_looking = ""
        self._running = False
        self._looked = asyncio.Event()

    async def opened(self, folder_id: str) -> Opened | None:
        """A folder as it is on record now, also one that is not watched any more; None for an unknown one.
        Raises AuthFailed without credentials for it."""
        folder = await self._folders.find(folder_id)
        return None if folder is None else await self._opened(folder)

    async def run(self, submit: Submit) -> None:
        """Watch every folder that is on record until cancelled. What is added, changed, removed or connected
        anew meanwhile is noticed within seconds."""
        self._running = True
        try:
            while True:
                try:
                    await self._adjust(submit)
                    self._looked.set()
                    self._trouble_looking = ""
                except (RedisError, OSError, ErniError) as error:
                    trouble = str(error) if isinstance(error, ErniError) else type(error).__name__
                    if trouble != self._trouble_looking:
                        logger.warning("the watched folders can't be looked up: %s", trouble)
                    self._trouble_looking = trouble
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            self._running = False
            self._looked.clear()
            await end(*(task for _, task in self._watchers.values()))
            self._watchers.clear()
            await self.close()

    def nudge(self, account: str) -> None:
        """Something may have changed in the folders of an account."""
        for opened in self._open.values():
            if opened.folder.account == account:
                opened.inbox.nudge()

    async def looked(self) -> None:
        """Wait until all folders that can be watched are, after the beginning."""
        await self._looked.wait()

    def running(self) -> list[Opened]:
        """The folders that are watched now."""
        return [opened for opened, _ in self._watchers.values()]

    async def check(self) -> Readiness:
        """Whether every folder can be read and written; while they are watched, as was found by that."""
        for folder in await self._folders.all():
            label = f"{self._connecting.title} folder {folder.name}"
            remedy = f"`erni-audio folders check {folder.connector}` says more."
            for_log = f"Its folder {folder.place} can't be used: `erni-audio doctor` says why."
            try:
                opened = await self._opened(folder)
                found = Readiness(usable=True) if self._running else await opened.place.check()
            except ErniError as error:
                return Readiness(usable=False, reason=f"{label}: {error}", remedy=remedy, for_log=for_log)
            if not found.usable:
                return replace(found, reason=f"{label}: {found.reason}", for_log=for_log)
            trouble = self._troubles.get(folder.id) or opened.inbox.trouble
            if self._running and trouble:
                return Readiness(usable=False, reason=f"{label}: {trouble}", remedy=remedy, for_log=for_log)
        return Readiness(usable=True)

    async def close(self) -> None:
        """End what keeps folders open; they are opened again when they are needed."""
        places = [*self._past, *(opened.place for opened in self._open.values())]
        self._past.clear()
        self._open.clear()
        for place in places:
            await place.close()

    async def _adjust(self, submit: Submit) -> None:
        """Begin to watch what is new or was changed, and end what is not to be watched any more."""
        wanted = {folder.id: folder for folder in await self._folders.all()}
        found: dict[str, Opened] = {}
        for folder in wanted.values():
            try:
                found[folder.id] = await self._opened(folder)
            except ErniError as error:
                self._trouble(folder, str(error))
            else:
                self._troubles.pop(folder.id, None)
        for folder_id, (opened, task) in list(self._watchers.items()):
            if task.done() or found.get(folder_id) is not opened:
                del self._watchers[folder_id]
                await end(task)
                if not task.cancelled() and (fault := task.exception()):
                    logger.error("watching %s ended", opened.folder.place, exc_info=fault)
        for folder_id, opened in found.items():
            if folder_id not in self._watchers:
                task = asyncio.create_task(opened.inbox.watch(submit))
                self._watchers[folder_id] = opened, task

    def _trouble(self, folder: WatchedFolder, trouble: str) -> None:
        if self._troubles.get(folder.id) != trouble:
            logger.warning("%s can't be watched: %s", folder.place, trouble)
        self._troubles[folder.id] = trouble

    async def _opened(self, folder: WatchedFolder) -> Opened:
        credentials = await self._keyring.find(folder.account)
        if credentials is None:
            raise AuthFailed(
                f"There are no credentials for its account. Run `erni-audio connect {folder.connector}`."
            )
        credentials = await self._connecting.resolved(credentials)
        known = self._open.get(folder.id)
        if known is not None and (known.folder, known.fingerprint) == (folder, credentials.fingerprint):
            return known
        place = self._connecting.open(folder, credentials)
        outputs, inbox = _parts(
            self._store,
            folder,
            place,
            self._rhythm,
            lambda file, entry: self._recording(opened, file, entry),
        )
        opened = Opened(
            folder=folder, fingerprint=credentials.fingerprint, place=place, outputs=outputs, inbox=inbox
        )
        self._open[folder.id] = opened
        if known is not None:
            self._past.append(known.place)
        return opened


async def take_stock(
    store: Store, folder: WatchedFolder, place: RemotePlace, report: Callable[[int], None]
) -> None:
    """Before `folder` goes on record: leave alone what lies there, see `core.remote_inbox`."""

    def nothing(_file: RemoteFile, _entry: Entry) -> Recording:
        raise ValueError("Nothing is submitted before a folder is watched.")

    _, inbox = _parts(store, folder, place, Rhythm(), nothing)
    await inbox.take_stock(report)


def _parts(
    store: Store,
    folder: WatchedFolder,
    place: RemotePlace,
    rhythm: Rhythm,
    submitted_as: Callable[[RemoteFile, Entry], Recording],
) -> tuple[RemoteOutputs, RemoteInbox]:
    outputs = RemoteOutputs(place, store, f"{folder.place}:outputs")
    selection = Selection(
        since=folder.since,
        backfill=folder.backfill,
        recursive=folder.recursive,
        widened=folder.widened,
        output=folder.output,
    )
    return outputs, RemoteInbox(
        folder=place,
        place=folder.place,
        store=store,
        selection=selection,
        rhythm=rhythm,
        submitted_as=submitted_as,
        outputs=outputs,
        delete=folder.policy.delete_with_recording,
    )
