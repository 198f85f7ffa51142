"""Writing into a watched folder of Google Drive so that nothing is made twice."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from googleapiclient.http import MediaInMemoryUpload

from connectors.gdrive.client import EVERYWHERE
from connectors.gdrive.files import (
    DIGEST,
    DOCUMENT,
    FIELDS,
    FOLDER,
    MADE_AS,
    MADE_AT,
    MADE_FOR,
    MADE_FROM,
    WRITTEN_AT,
    Json,
    digest,
    held,
    is_folder,
    quoted,
)
from connectors.gdrive.reading import Reading
from connectors.gdrive.troubles import NO_STORAGE, Lost, Refused
from core.errors import AuthFailed, Transient
from core.remote import Changed, FolderGone, Held, Output

_AT_ONCE_BYTES = 5 * 2**20  # above that it goes in pieces
_PIECE_BYTES = 8 * 2**20
_TRIES = 4
_NAMES = 20  # in one search


class Bytes(MediaInMemoryUpload):  # type: ignore[misc]  # (the library ships no types)
    """What is uploaded. As bytes, since a stream that was read cannot be sent once more."""

    def __init__(self, data: bytes, media_type: str) -> None:
        whole = len(data) <= _AT_ONCE_BYTES
        super().__init__(data, mimetype=media_type, chunksize=_PIECE_BYTES, resumable=not whole)

    def has_stream(self) -> bool:
        """See the base class."""
        return False


class Writing(Reading):
    """`core.remote.RemoteWriter`."""

    @property
    def root(self) -> str:
        """See the port."""
        return self._root

    def digest(self, data: bytes) -> str:
        """See the port."""
        return digest(data)

    async def subfolder(self, folder: str, name: str) -> str:
        """See the port."""
        await self._require_folder(folder)
        found = [
            told
            for told in await self._search(folder, f"name = {quoted(name)} and mimeType = {quoted(FOLDER)}")
            if told["name"] == name
        ]
        if found:
            return str(min(found, key=lambda told: (told.get("createdTime", ""), told["id"]))["id"])
        [file_id] = await self.reserve(1)
        made = await self._make({"name": name, "mimeType": FOLDER, "parents": [folder]}, None, file_id)
        self._tree.put(made["id"], name, folder)
        return str(made["id"])

    async def reserve(self, count: int) -> Sequence[str]:
        """See the port."""
        answer = await self._client.ask(
            lambda drive: drive.files().generateIds(count=count, space="drive", type="files", fields="ids"),
            "ids",
        )
        return [str(file_id) for file_id in answer["ids"]]

    async def present(self, folder: str, names: Collection[str]) -> Mapping[str, Sequence[Held]]:
        """See the port. Case counts here."""
        await self._require_folder(folder)
        wanted = list(names)
        found: dict[str, list[Held]] = {}
        for start in range(0, len(wanted), _NAMES):
            group = " or ".join(f"name = {quoted(name)}" for name in wanted[start : start + _NAMES])
            for told in await self._search(folder, f"({group})"):
                if told["name"] in names and not is_folder(told):
                    found.setdefault(told["name"], []).append(held(told))
        return found

    async def create(self, folder: str, name: str, output: Output, *, file_id: str) -> Held:
        """See the port. Names need not be unique, so nothing is ever occupied."""
        marks = await asyncio.to_thread(_marks, output)
        body: dict[str, Any] = {"name": name, "parents": [folder], "appProperties": marks}
        if output.convert:
            body["mimeType"] = DOCUMENT  # which can't have an id that was reserved
        try:
            return held(await self._make(body, output, file_id))
        except Refused as error:
            if error.missing:
                raise FolderGone from None
            raise

    async def replace(self, held: Held, output: Output) -> Held:
        """See the port. Drive can't be told to do so only at a certain revision: somebody may still be
        quicker by some milliseconds. Their version is in the file's history then."""
        body: dict[str, Any] = {"appProperties": await asyncio.to_thread(_marks, output)}
        wanted = await asyncio.to_thread(digest, output.data)
        _stamp(body, new=False)
        sent = False

        async def look_and_replace() -> Held:
            nonlocal sent
            now = await self._now(held)
            if sent and now is not None and now.digest == wanted:
                return now  # only the answer was lost
            if now is None or not _is_same(now, held):
                raise Changed
            sent = True
            answer = await self._client.ask_once(
                lambda drive: drive.files().update(
                    fileId=held.id,
                    body=body,
                    media_body=Bytes(output.data, output.media_type),
                    fields=FIELDS,
                    supportsAllDrives=True,
                ),
                "id",
            )
            return _held(answer)

        return await self._client.retry(look_and_replace)

    async def delete(self, held: Held) -> None:
        """See the port. Into the bin."""

        async def look_and_delete() -> None:
            now = await self._now(held)
            if now is None:
                return
            if not _is_same(now, held):
                raise Changed
            await self._client.ask_once(
                lambda drive: drive.files().update(
                    fileId=held.id, body={"trashed": True}, fields="id", supportsAllDrives=True
                )
            )

        await self._client.retry(look_and_delete)

    # the parts

    async def _require_folder(self, folder: str) -> None:
        if folder == self._root:
            await self._require_root()
            return
        told = await self._get(folder)
        inside = told is not None and is_folder(told) and not told.get("trashed")
        if not inside or await self._tree.names(folder) is None:
            raise FolderGone

    async def _now(self, before: Held) -> Held | None:
        """A file as it is now, None if it is gone. Asked before each try: people go on while we wait."""
        told = await self._get(before.id)
        return None if told is None or told.get("trashed") else held(told)

    async def _search(self, folder: str, query: str) -> list[Json]:
        found: list[Json] = []
        token: str | None = None
        while True:
            more = {} if token is None else {"pageToken": token}
            try:
                answer = await self._client.ask(
                    lambda drive, more=more: drive.files().list(  # type: ignore[misc]
                        q=f"{quoted(folder)} in parents and trashed = false and {query}",
                        pageSize=100,
                        fields=f"nextPageToken,files({FIELDS})",
                        **more,
                        **EVERYWHERE,
                    )
                )
            except Refused as error:
                if error.missing:
                    raise FolderGone from None
                raise
            found += answer.get("files", ())
            token = answer.get("nextPageToken")
            if token is None:
                return found

    async def _make(self, body: dict[str, Any], output: Output | None, file_id: str) -> Json:
        """Make a file or folder, once, whatever gets lost: by an id that was reserved, or where Drive does
        not take one by looking first whether it is there."""
        made_as = file_id or secrets.token_urlsafe(16)
        body["appProperties"] = {**body.get("appProperties", {}), MADE_AS: made_as}
        _stamp(body, new=True)
        if file_id and body.get("mimeType") != DOCUMENT:
            body["id"] = file_id
        lost = bool(file_id) and "id" not in body  # an earlier run may have made it
        for number in range(_TRIES):
            try:
                if lost and (found := await self._made(body["parents"][0], made_as)):
                    return found
                return await self._client.ask_once(lambda drive: _insertion(drive, body, output), "id")
            except Transient as error:
                if number == _TRIES - 1:
                    raise
                lost = lost or ("id" not in body and isinstance(error, Lost))
                await self._client.wait(number, error)
            except Refused as error:
                if error.status == 409 and "id" in body:
                    return await self._already(file_id)
                if "id" not in body or not _refuses_id(error):
                    raise self._explained(error) from None
                del body["id"]
                lost = True
        raise Transient("Google Drive did not take a file.")

    async def _made(self, folder: str, made_as: str) -> Json | None:
        condition = f"appProperties has {{ key={quoted(MADE_AS)} and value={quoted(made_as)} }}"
        found = await self._search(folder, condition)
        return min(found, key=lambda told: (told.get("createdTime", ""), told["id"]), default=None)

    async def _already(self, file_id: str) -> Json:
        told = await self._get(file_id)
        if told is None:
            raise Transient("Google Drive says that a file is there, and does not show it.")
        return told

    def _explained(self, error: Refused) -> AuthFailed:
        if error.reason == "storageQuotaExceeded" and self._owns_nothing:
            return AuthFailed(NO_STORAGE)
        return error


_held = held


def _is_same(now: Held, before: Held) -> bool:
    return (now.revision, now.digest) == (before.revision, before.digest)


def _refuses_id(error: Refused) -> bool:
    """Whether an id of our choice is what Drive does not like."""
    return error.status == 400 and error.about in {"file.id", "id", ""}


def _marks(output: Output) -> dict[str, str]:
    marks = {MADE_FROM: output.made_from, MADE_FOR: output.made_for}
    marks = {key: value for key, value in marks.items() if value}
    return {**marks, DIGEST: digest(output.data)} if output.convert else marks


def _stamp(body: dict[str, Any], *, new: bool) -> None:
    """Say in the file when we made and wrote it, and let Drive say the same: copies, and what people change,
    differ in that."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body["modifiedTime"] = now
    marks = {WRITTEN_AT: now} if not new else {WRITTEN_AT: now, MADE_AT: now}
    if new:
        body["createdTime"] = now
    body["appProperties"] = {**body.get("appProperties", {}), **marks}


def _insertion(drive: Any, body: dict[str, Any], output: Output | None) -> Any:
    media = {} if output is None else {"media_body": Bytes(output.data, output.media_type)}
    return drive.files().create(body=body, fields=FIELDS, supportsAllDrives=True, **media)
