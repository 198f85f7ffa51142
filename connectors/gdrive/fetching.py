"""Files in Google Drive behind links that people share elsewhere, fetched with an account that may."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from connectors.gdrive.audience import FIELDS_FOR_IT, is_open
from connectors.gdrive.client import DriveClient
from connectors.gdrive.connecting import GDriveConnecting
from connectors.gdrive.download import download
from connectors.gdrive.files import is_folder, remote_file
from core.cloud_folders import NOT_THEIRS
from core.errors import Rejected
from core.links import FOLDER, Closed, first_that_may
from core.places import Credentials
from core.remote import Changed, RemoteFile

_NO_ACCOUNT: Final = "No Google account is connected to fetch links with. Run `erni-audio connect gdrive`."
_CLOSED: Final = (
    "Not everybody who has this link to Google Drive may open it. Share the file with anybody who has the "
    "link, or share the file itself here."
)
_KEPT_BACK: Final = "The owner of this file does not let others download it. Ask for that to be allowed."


async def fetch_open(
    connecting: GDriveConnecting,
    accounts: Sequence[Credentials],
    file_id: str,
    into: Path,
    *,
    limit: int,
) -> None:
    """Stream a file that anybody with the link may read to `into`, at most `limit` bytes, with the first of
    the `accounts` that may. Raises Rejected, AuthFailed or Transient."""

    async def fetch_with(credentials: Credentials) -> None:
        async with connecting.using(credentials) as client:
            await fetch(client, await _open_file(client, file_id), into, limit=limit)

    await first_that_may(accounts, fetch_with, missing=_NO_ACCOUNT)


async def fetch(client: DriveClient, file: RemoteFile, into: Path, *, limit: int) -> None:
    """Stream a file to `into`, at most `limit` bytes. Raises Rejected, AuthFailed or Transient."""
    if not file.content:
        raise Rejected("What this link leads to is no file with sound. Share the recording.")
    if not file.downloadable:
        raise Rejected(NOT_THEIRS if file.target else _KEPT_BACK)
    if file.size > limit:
        raise Rejected("This recording is larger than the limit here. Share it in parts, or as audio.")
    try:
        await download(client, file, into)  # which ends where more comes than was said
    except Changed:
        raise Rejected("This file was replaced or taken away just now. Share the link again.") from None


async def _open_file(client: DriveClient, file_id: str) -> RemoteFile:
    told = await client.file(file_id, FIELDS_FOR_IT)
    if told is None or told.get("trashed") or not is_open(told):
        raise Closed(_CLOSED)
    if is_folder(told):
        raise Rejected(FOLDER)
    return remote_file(told, ())
