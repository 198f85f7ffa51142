"""Putting files beside a recording, and into the OneDrive of who agreed to that.

Nothing is ever put over what somebody wrote, and asking again after a crash leaves one file: what lies there
with the same content is taken for what was put there before.
"""

from __future__ import annotations

import asyncio
import io
import logging
import mimetypes
import unicodedata
import zipfile
from typing import Any, Final

import httpx

from bots.teams import pieces
from bots.teams.download import fetch_bytes
from bots.teams.drives import WRITE, Drives, at
from bots.teams.graph import quoted
from bots.teams.hosts import parsed
from bots.teams.records import DriveItem, text
from bots.teams.troubles import Conflict, Gone, MissingPermission
from core.errors import Rejected, Transient

logger = logging.getLogger(__name__)

_SMALL: Final = 4 * 2**20  # bytes up to which one request is enough
_NAMES: Final = 50
_NAME_CHARACTERS: Final = 150
_FORBIDDEN: Final = frozenset('"*:<>?/\\|')
_TEXT: Final = "word/document.xml"
_MORE: Final = 2**20  # bytes that SharePoint may add to a document


class Upload:
    """Uploads through `drives`. Methods raise as those of `bots.teams.graph.Graph`."""

    def __init__(self, drives: Drives) -> None:
        self._drives = drives
        self._graph = drives.graph

    async def beside(self, drive: str, folder: str, name: str, data: bytes) -> DriveItem:
        """Put a new file into a folder, under `name` or, if that is taken, one like it. Safe to repeat.

        Raises ValueError if there are no bytes, Rejected if every name is taken.
        """
        if not data:
            raise ValueError("a file must not be empty")
        shown = shown_name(name)
        stem, dot, ending = shown.rpartition(".")
        if not stem:
            stem, dot, ending = shown, "", ""
        for number in range(1, _NAMES + 1):
            called = f"{stem}{f' ({number})' if number > 1 else ''}{dot}{ending}"
            try:
                return await self._new(drive, folder, called, data)
            except Conflict:
                found = await self._ours(drive, folder, called, data)
            if found is not None:
                return found
        raise Rejected("There are too many files of this name beside the recording. Tidy up and try again.")

    async def replace(self, drive: str, item: str, data: bytes, *, ctag: str) -> DriveItem:
        """Put other content into a file of ours whose content is still that of `ctag`. Safe to repeat.

        Raises Conflict if somebody changed it, Gone if it was deleted.
        """
        found = await self._drives.item(drive, item)
        if found.ctag != ctag:
            if await self._is_same(found, data):
                return found
            raise Conflict("Somebody changed this file.", code="changed")
        try:
            answer = await self._graph.ask(
                WRITE,
                "PUT",
                f"{at(drive, item)}/content",
                content=data,
                headers={"If-Match": found.etag, "Content-Type": _kind(found.name)},
            )
        except Conflict:
            # Somebody was faster, or it was we ourselves and the answer was lost.
            found = await self._drives.item(drive, item)
            if await self._is_same(found, data):
                return found
            raise
        return _made(DriveItem.from_payload(answer.data))

    async def _new(self, drive: str, folder: str, name: str, data: bytes) -> DriveItem:
        place = f"{at(drive, folder)}:/{quoted(name)}:"
        if len(data) > _SMALL:
            try:
                return await self._in_pieces(place, drive, folder, name, data)
            except MissingPermission as error:
                logger.info("no upload session (%s), so all is sent at once", error.code)
        answer = await self._graph.ask(
            WRITE,
            "PUT",
            f"{place}/content?@microsoft.graph.conflictBehavior=fail",
            content=data,
            headers={"Content-Type": _kind(name)},
        )
        return _made(DriveItem.from_payload(answer.data))

    async def _in_pieces(self, place: str, drive: str, folder: str, name: str, data: bytes) -> DriveItem:
        wanted: Any = {"item": {"@microsoft.graph.conflictBehavior": "fail", "name": name}}
        answer = await self._graph.ask(WRITE, "POST", f"{place}/createUploadSession", json=wanted)
        url = parsed(text(answer.data, "uploadUrl"))
        try:
            said = await pieces.send(self._graph.client, url, data)
        except Conflict:
            await pieces.cancel(self._graph.client, url)
            raise
        except Gone as error:
            raise Transient(f"The upload is begun anew. {error}") from None
        made = DriveItem.from_payload(said)
        if made.id and made.drive:
            return made
        found = await self._ours(drive, folder, name, data)
        if found is None:
            raise Transient("It is not known yet whether the file has arrived.")
        return found

    async def _ours(self, drive: str, folder: str, name: str, data: bytes) -> DriveItem | None:
        """The file of that name if its content is what we would put there."""
        try:
            found = await self._drives.child(drive, folder, name)
            return found if await self._is_same(found, data) else None
        except Gone:
            return None

    async def _is_same(self, found: DriveItem, data: bytes) -> bool:
        document = data.startswith(b"PK")
        if found.is_folder or (found.size != len(data) and not document) or found.size > len(data) + _MORE:
            return False
        there = await fetch_bytes(self._drives, found, limit=len(data) + _MORE)
        # SharePoint writes its own properties into documents as it stores them.
        return there == data or (document and await asyncio.to_thread(_same_text, there, data))


async def fill(client: httpx.AsyncClient, address: str, data: bytes) -> None:
    """Put a file where somebody agreed to have it: `address` is the uploadUrl of their consent.

    Raises Gone if that was too long ago, Forbidden if it is no address to send anything to, Refused or
    Transient.
    """
    if not data:
        raise ValueError("a file must not be empty")
    await pieces.send(client, parsed(address), data)


def shown_name(name: str) -> str:
    """A file's name as SharePoint takes it: without what it forbids, and not too long; its ending stays."""
    clean = "".join(
        "_" if each in _FORBIDDEN else each
        for each in name
        if unicodedata.category(each) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    )
    clean = clean.strip().lstrip("~").rstrip(". ").replace("_vti_", "_")
    if len(clean) > _NAME_CHARACTERS:
        stem, dot, ending = clean.rpartition(".")
        tail = f"{dot}{ending}" if stem and len(ending) <= 20 else ""
        clean = f"{clean[: _NAME_CHARACTERS - len(tail) - 1].rstrip()}…{tail}"
    return clean or "transcript"


def _kind(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _made(item: DriveItem) -> DriveItem:
    if not item.id or not item.drive:
        raise Transient("Microsoft Graph answered without the file that was put there.")
    return item


def _same_text(one: bytes, other: bytes) -> bool:
    """Whether two Word documents say the same."""
    texts = []
    for data in (one, other):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as document:
                if document.getinfo(_TEXT).file_size > 64 * 2**20:
                    return False
                texts.append(document.read(_TEXT))
        except (zipfile.BadZipFile, KeyError, OSError, ValueError, RuntimeError):
            return False  # RuntimeError: it is encrypted, or packed in a way that zipfile does not know
    return texts[0] == texts[1]
