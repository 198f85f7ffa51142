"""The account and the folders that settings name, put on record like those that commands add."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import asdict, replace
from typing import Final

from redis.exceptions import RedisError

from connectors.dropbox.connecting import TAGS, DropboxConnecting
from core.connecting import FoundFolder
from core.errors import ErniError, Rejected
from core.leases import turn
from core.places import Credentials, Keyring, WatchedFolder, WatchedFolders
from core.ports import AdapterContext

logger = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 60.0


class Enrolment:
    """`trouble` is what is wrong with them, empty when they are on record."""

    def __init__(self, context: AdapterContext, connecting: DropboxConnecting) -> None:
        self.trouble = ""
        self._context = context
        self._connecting = connecting
        self._folders = WatchedFolders(context.store, context.settings, connecting.name)
        self._space = f"{connecting.name}:settings"

    async def settle(self) -> None:
        """Put them on record, trying again until that works, and drop those of earlier settings."""
        while True:
            try:
                async with turn(self._context.store, self._space, "turn"):
                    trouble = await self._record()
            except (ErniError, RedisError, OSError) as error:
                trouble = str(error) if isinstance(error, ErniError) else type(error).__name__
            if trouble != self.trouble:
                if trouble:
                    logger.warning("%s", trouble)
                self.trouble = trouble
            if not trouble:
                return
            await asyncio.sleep(_AGAIN_SECONDS)

    async def check(self) -> str:
        """What is wrong with them now, without a record of anything. Raises AuthFailed and Transient."""
        credentials = await self._connecting.from_environment()
        if credentials is None:
            return ""
        _, trouble = await self._find(credentials)
        return trouble

    async def _record(self) -> str:
        credentials = await self._connecting.from_environment()
        before = await self._context.store.memories(self._space)
        found: dict[str, FoundFolder] = {}
        trouble = ""
        if credentials is not None:
            await self._keep(credentials)
            found, trouble = await self._find(credentials)
            for folder in found.values():
                await self._watch(folder, credentials, ours=folder.id in before)
        for folder_id in [] if trouble else before.keys() - found.keys():
            known = await self._folders.find(folder_id)
            if known is not None and not known.removed:
                await self._folders.remove(known)
            await self._context.store.forget(self._space, folder_id)
        return trouble

    async def _keep(self, credentials: Credentials) -> None:
        """They hold no secret, so that they may be kept without a key to encrypt it."""
        name = self._connecting.name
        keyring = Keyring(self._context.store, self._context.settings, name)
        if await keyring.find(credentials.account) != credentials:
            document = json.dumps(asdict(credentials))
            await self._context.store.remember(f"{name}:credentials", credentials.account, document)

    async def _find(self, credentials: Credentials) -> tuple[dict[str, FoundFolder], str]:
        """The folders by id, and what is wrong with one of them."""
        found: dict[str, FoundFolder] = {}
        trouble = ""
        for text in self._connecting.settings.folders:
            try:
                folder = await self._connecting.find(credentials, text)
            except Rejected as error:
                trouble = f"Setting DROPBOX_FOLDERS: {error.user_message}"
            else:
                found[folder.id] = folder
        for folder in list(found.values()):
            if outer := next((found[place] for place in folder.around if place in found), None):
                trouble = (
                    f"Setting DROPBOX_FOLDERS: {folder.name} lies in {outer.name}, which is watched already."
                )
                del found[folder.id]
        return found, trouble

    async def _watch(self, found: FoundFolder, credentials: Credentials, *, ours: bool) -> None:
        settings = self._connecting.settings
        known = await self._folders.find(found.id)
        fresh = known is None or known.removed
        if known is not None and not fresh and not ours:
            return  # it was added by a command, with a policy of its own
        wanted = WatchedFolder(
            connector=self._connecting.name,
            id=found.id,
            account=credentials.account,
            name=found.name,
            link=found.link,
            policy=settings.policy(self._context.settings),
            output=settings.output,
            backfill=settings.backfill,
            since=time.time() if known is None or fresh else known.since,
            options={TAGS: "yes" if settings.tags else "no"},
        )
        if known is None or replace(wanted, since=known.since) != known or fresh:
            await self._folders.save(wanted)
        await self._context.store.remember(self._space, found.id, "")
