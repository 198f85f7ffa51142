"""The account and the folders that settings name, put on record like those that commands add."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from redis.exceptions import RedisError

from core.connecting import Connecting, FoundFolder
from core.errors import ErniError, Rejected
from core.leases import turn
from core.places import Credentials, Keyring, WatchedFolder, WatchedFolders
from core.policies import ChannelPolicy
from core.ports import AdapterContext
from core.settings import Settings

logger = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The folders that settings name, by what people write, and how they are treated: see `WatchedFolder`.
    `settings` are the names of those settings that may be wrong."""

    folders: Sequence[str]
    policy: ChannelPolicy
    output: str
    backfill: bool
    options: Mapping[str, str]
    settings: tuple[str, ...]


class Enrolling(Connecting, Protocol):
    """A platform of which settings may name an account and folders."""

    def named(self, settings: Settings) -> Named:
        """The folders. `settings` are the service's."""
        ...

    async def from_settings(self) -> Credentials | None:
        """A reference to the credentials in settings, None if there are none. Asks the platform whose they
        are. Raises AuthFailed and Transient."""
        ...

    async def resolved(self, credentials: Credentials) -> Credentials:
        """Credentials as settings hold them now, for a reference; others as they are. Their fingerprint
        changes when the secret does. Asks no platform. Raises AuthFailed where settings do not hold them
        (any more)."""
        ...


def named_in_settings(connector: str) -> str:
    """The space of the store that holds the ids of those folders on record that are treated as settings
    say."""
    return f"{connector}:settings"


class Enrolment:
    """See above. `trouble` is what is wrong with them as far as `settle` knows, "" if nothing is."""

    def __init__(self, context: AdapterContext, platform: Enrolling) -> None:
        self.trouble = ""
        self._is_settling = False
        self._platform = platform
        self._settings = context.settings
        self._store = context.store
        self._setting = f"Setting {platform.name.upper()}_FOLDERS"
        self._folders = WatchedFolders(context.store, context.settings, platform.name)
        self._keyring = Keyring(context.store, context.settings, platform.name)
        self._space = named_in_settings(platform.name)

    async def settle(self) -> None:
        """Put them on record, trying again until that works, and drop those of earlier settings."""
        self._is_settling = True
        while True:
            trouble, for_log = await self._tried()
            if trouble and trouble != self.trouble:
                logger.warning("the folders in the settings can't be watched yet: %s", for_log)
            self.trouble = trouble
            if not trouble:
                return
            await asyncio.sleep(_AGAIN_SECONDS)

    async def check(self) -> str:
        """What is wrong with them: as `settle` found it, or, if nobody called that, as it is now."""
        if self._is_settling:
            return self.trouble
        try:
            credentials = await self._platform.from_settings()
            return "" if credentials is None else (await self._find(credentials))[1]
        except ErniError as error:
            return str(error)

    async def _tried(self) -> tuple[str, str]:
        """What is wrong, "" if nothing is, and what of that may be in the log."""
        try:
            async with turn(self._store, self._space, "turn"):
                return await self._record(), f"{self._setting}: `erni-audio doctor` says which, and why"
        except ErniError as error:
            trouble = str(error)
        except (RedisError, OSError) as error:
            trouble = f"The store does not answer ({type(error).__name__})."
        return trouble, trouble

    async def _record(self) -> str:
        credentials = await self._platform.from_settings()
        found: dict[str, FoundFolder] = {}
        trouble = ""
        if credentials is not None:
            if await self._keyring.find(credentials.account) != credentials:
                await self._keyring.save(credentials)
            found, trouble = await self._find(credentials)
            for folder in found.values():
                await self._watch(folder, credentials)
        if not trouble:
            await self._strike(found)
            await self._forget_others(credentials)
        return trouble

    async def _find(self, credentials: Credentials) -> tuple[dict[str, FoundFolder], str]:
        """The folders by id, and what is wrong with one of them. One that lies in another one, which is
        watched, is left out: its files would be taken twice."""
        found: dict[str, FoundFolder] = {}
        trouble = ""
        for text in self._platform.named(self._settings).folders:
            try:
                folder = await self._platform.find(credentials, text)
            except Rejected as error:
                trouble = f"{self._setting}: {error.user_message}"
            else:
                found[folder.id] = folder
        ours = await self._store.memories(self._space)
        watched = await self._folders.all()
        outer = {folder.id: folder.name for folder in watched if folder.recursive and folder.id not in ours}
        outer |= {folder.id: folder.name for folder in found.values()}
        for folder in list(found.values()):
            if name := next((outer[place] for place in folder.around if place in outer), None):
                trouble = f"{self._setting}: {folder.name} lies in {name}, which is watched already."
                del found[folder.id]
        return found, trouble

    async def _watch(self, found: FoundFolder, credentials: Credentials) -> None:
        named = self._platform.named(self._settings)
        known = await self._folders.find(found.id)
        if known is not None and known.removed:
            known = None
        if known is None:
            await self._store.remember(self._space, found.id, "")
        elif await self._store.recall(self._space, found.id) is None:
            return  # it was added by a command, with a policy of its own
        wanted = WatchedFolder(
            connector=self._platform.name,
            id=found.id,
            account=credentials.account,
            name=found.name,
            link=found.link,
            policy=named.policy,
            output=named.output,
            backfill=named.backfill,
            since=time.time() if known is None else known.since,
            options=named.options,
        )
        if known is not None and wanted.backfill and not known.backfill:
            await self._folders.renew(known, wanted)
        elif wanted != known:
            await self._folders.save(wanted)

    async def _strike(self, found: Collection[str]) -> None:
        """Watch no longer what settings do not name any more."""
        for folder_id in await self._store.memories(self._space):
            if folder_id not in found:
                known = await self._folders.find(folder_id)
                if known is not None and not known.removed:
                    await self._folders.remove(known)
                await self._store.forget(self._space, folder_id)

    async def _forget_others(self, credentials: Credentials | None) -> None:
        """Drop references that nothing is watched with any more."""
        needed = {folder.account for folder in await self._folders.all()}
        if credentials is not None:
            needed.add(credentials.account)
        for known in await self._keyring.all():
            if known.reference and known.account not in needed:
                await self._keyring.forget(known.account)
