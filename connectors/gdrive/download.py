"""A recording's bytes, in pieces, compared with what Drive says of them."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final

from googleapiclient.http import MediaIoBaseDownload

from connectors.gdrive.client import DriveClient
from connectors.gdrive.files import FIELDS, content_key
from connectors.gdrive.troubles import Refused
from core.errors import Rejected, Transient
from core.remote import Changed, RemoteFile

PIECE_BYTES: Final = 8 * 2**20
"""So many are held in memory."""

_TRIES = 5  # in a row without a byte
_SHRINK: Final = 4  # after a failure so much less is asked for at once, and slowly more again
_LEAST: Final = 64  # of a piece, as a fraction
_REFUSALS: Final = {
    "cannotDownloadAbusiveFile": "Google takes this file for malware or spam and does not hand it out. "
    "Record it anew, or ask for a review in Google Drive.",
    "cannotDownloadFile": "The owner of this file does not let others download it. Ask for that to be "
    "allowed, and save it here anew.",
    "fileNotDownloadable": "This is no file with sound, but a document of Google's. Share the recording.",
}


@dataclass(slots=True)
class _Partial:
    """What is there of a file, on disk."""

    target: IO[bytes]
    digest: Any
    received: int = 0
    buffer: BytesIO = field(default_factory=BytesIO)

    def keep(self) -> None:
        """Take over what came."""
        piece = self.buffer.getvalue()
        self.target.write(piece)
        self.digest.update(piece)
        self.received += len(piece)
        self.buffer.seek(0)
        self.buffer.truncate()


async def download(client: DriveClient, file: RemoteFile, into: Path) -> None:
    """See `core.remote.RemoteFolder`. A broken connection goes on where it broke."""
    file_id = file.target or file.id
    for last in (False, True):
        try:
            with await asyncio.to_thread(into.open, "wb") as target:
                received, digest = await _receive(client, file, file_id, target)
        except Refused as error:
            if error.missing:
                raise Changed from None
            if error.status == 416:  # it is shorter by now
                raise Changed from None
            if error.reason in _REFUSALS:
                raise Rejected(_REFUSALS[error.reason]) from None
            raise
        if received == file.size and digest == file.content:
            return
        told = await client.file(file_id, FIELDS)
        if told is None or content_key(told) != file.content:
            raise Changed
        if last:
            raise Transient("Google Drive delivers other bytes than it says.")


async def _receive(client: DriveClient, file: RemoteFile, file_id: str, target: IO[bytes]) -> tuple[int, str]:
    """How many bytes came, and their content key."""
    kind = file.content.partition(":")[0]
    partial = _Partial(target, hashlib.new(kind, usedforsecurity=False))
    reader: Any = None
    size = PIECE_BYTES

    def next_piece(drive: Any, http: Any) -> bool:
        nonlocal reader
        if reader is None:
            request = drive.files().get_media(fileId=file_id, supportsAllDrives=True)
            reader = request, MediaIoBaseDownload(partial.buffer, request, chunksize=size)
        reader[0].http = http
        reader[1]._chunksize = size  # noqa: SLF001  (what came of a piece that breaks off is lost)
        return bool(reader[1].next_chunk()[1])

    failures, done = 0, False
    while not done:
        try:
            done = await client.once(next_piece)
        except Transient as error:
            failures += 1
            if failures >= _TRIES:
                raise
            size = max(size // _SHRINK, PIECE_BYTES // _LEAST)
            await client.wait(failures - 1, error)
            continue
        failures = 0 if partial.buffer.tell() else failures + 1
        if failures >= _TRIES:
            raise Transient("Google Drive delivers nothing.")
        size = min(size * 2, PIECE_BYTES)
        await asyncio.to_thread(partial.keep)
        if partial.received > file.size:
            break
    return partial.received, f"{kind}:{partial.digest.hexdigest()}"
