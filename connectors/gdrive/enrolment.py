"""The account and the folders that settings name, put on record beside those that people added."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Final

from connectors.gdrive.connecting import GDriveConnecting
from connectors.gdrive.consent import read_json
from connectors.gdrive.credentials import service_account
from connectors.gdrive.settings import GDriveSettings
from core.errors import Misconfigured, Rejected
from core.places import Credentials, Keyring, WatchedFolder, WatchedFolders
from core.ports import AdapterContext

logger = logging.getLogger(__name__)

_SPACE: Final = "gdrive:settings"  # which folders on record are those of the settings


async def enrol(context: AdapterContext, connecting: GDriveConnecting) -> None:
    """Raises Misconfigured, AuthFailed, Transient and what the store does."""
    settings = connecting.settings
    if settings.credentials is None:
        await _strike(context, ())
        return
    keyring = Keyring(context.store, context.settings, connecting.name)
    keyring.require_key()
    credentials = await _read(settings.credentials, settings.subject, connecting)
    if await keyring.find(credentials.account) != credentials:
        await keyring.save(credentials)
    enrolled = []
    for text in settings.folders:
        try:
            found = await connecting.find(credentials, text)
        except Rejected as error:
            raise Misconfigured(f"Setting GDRIVE_FOLDERS: {error.user_message}") from None
        enrolled.append(found.id)
        wanted = WatchedFolder(
            connector=connecting.name,
            id=found.id,
            account=credentials.account,
            name=found.name,
            link=found.link,
            policy=settings.policy(context.settings),
            output=settings.output,
            backfill=settings.backfill,
            since=time.time(),
            options=_options(settings),
        )
        await _put(context, wanted)
    await _strike(context, enrolled)


async def _read(path: Path, subject: str, connecting: GDriveConnecting) -> Credentials:
    try:
        key = read_json(str(path))
        return await connecting.credentials(service_account(key if isinstance(key, dict) else {}, subject))
    except Rejected as error:
        raise Misconfigured(f"Setting GDRIVE_CREDENTIALS: {error.user_message}") from None


def _options(settings: GDriveSettings) -> dict[str, str]:
    chosen = {"document": settings.document, "comments": settings.comments}
    return {name: "yes" if value else "no" for name, value in chosen.items()}


async def _put(context: AdapterContext, wanted: WatchedFolder) -> None:
    """On record as wanted, unless somebody added it with a policy of its own."""
    folders = WatchedFolders(context.store, context.settings, wanted.connector)
    known = await folders.find(wanted.id)
    ours = await context.store.recall(_SPACE, wanted.id) is not None
    if known is None or known.removed:
        await context.store.remember(_SPACE, wanted.id, "")
        await folders.save(wanted)
    elif ours and (same := replace(wanted, since=known.since)) != known:
        await folders.save(same)


async def _strike(context: AdapterContext, wanted: Collection[str]) -> None:
    """Watch no longer what the settings do not name any more."""
    folders = WatchedFolders(context.store, context.settings, GDriveConnecting.name)
    for folder_id in await context.store.memories(_SPACE):
        if folder_id not in wanted:
            known = await folders.find(folder_id)
            if known is not None and not known.removed:
                await folders.remove(known)
            await context.store.forget(_SPACE, folder_id)
