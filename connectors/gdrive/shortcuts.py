"""Shortcuts in a watched folder, and the files that they lead to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from connectors.gdrive.audience import FIELDS_FOR_IT, READERS, is_owners, is_within
from connectors.gdrive.client import EVERYWHERE, DriveClient
from connectors.gdrive.files import SHORTCUT, Json, is_folder, quoted, remote_file
from connectors.gdrive.troubles import Refused
from core.remote import RemoteFile

_QUERY: Final = f"mimeType = {quoted(SHORTCUT)} and trashed = false"
_FIELDS: Final = "nextPageToken,files(id,shortcutDetails(targetId))"
_PAGE: Final = 1000


class Shortcuts:
    """Those that were seen."""

    def __init__(self, client: DriveClient) -> None:
        self._client = client
        self._leading: dict[str, set[str]] = {}  # by what they lead to

    def to(self, file_id: str) -> Iterable[str]:
        """The ids of those that lead to a file. Some may be elsewhere, or gone."""
        return tuple(self._leading.get(file_id, ()))

    async def find(self, corpus: dict[str, Any]) -> None:
        """Get to know all those that Drive knows of, whatever folder they are in."""
        more: dict[str, Any] = {}
        while True:
            answer = await self._client.ask(
                lambda drive, more=more: drive.files().list(  # type: ignore[misc]
                    q=_QUERY, pageSize=_PAGE, fields=_FIELDS, **more, **corpus, **EVERYWHERE
                )
            )
            for told in answer.get("files", ()):
                self._put(told)
            if not answer.get("nextPageToken"):
                return
            more = {"pageToken": answer["nextPageToken"]}

    async def follow(self, told: Json, names: tuple[str, ...]) -> RemoteFile | None:
        """The file that a shortcut stands for, in the folders `names`; None if it leads to none."""
        target = self._put(told)
        behind = await self._visible(target, FIELDS_FOR_IT) if target else None
        if behind is None or behind.get("trashed") or is_folder(behind):
            return None
        return remote_file(told, names, behind, theirs=await self._is_theirs(told, behind))

    async def _is_theirs(self, told: Json, behind: Json) -> bool:
        """Whether those around a shortcut may read what it leads to, as far as can be told."""
        if is_owners(told, behind):
            return True
        seen_by = await self._visible(str(told["id"]), READERS)
        return seen_by is not None and is_within(seen_by, behind)

    async def _visible(self, file_id: str, fields: str) -> Json | None:
        """A file; None also for one that is forbidden, to which anybody may put a shortcut here: it must not
        stop the rest."""
        try:
            return await self._client.file(file_id, fields)
        except Refused as error:
            if error.status != 403:
                raise
            return None

    def _put(self, told: Json) -> str:
        target = str((told.get("shortcutDetails") or {}).get("targetId") or "")
        if target:
            self._leading.setdefault(target, set()).add(str(told["id"]))
        return target
