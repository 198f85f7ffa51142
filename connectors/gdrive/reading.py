"""What lies in a watched folder of Google Drive, and what changed there."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.gdrive import download
from connectors.gdrive.client import EVERYWHERE, DriveClient, together
from connectors.gdrive.files import FIELDS, SHORTCUT, Json, is_folder, parent_of, quoted, remote_file
from connectors.gdrive.shortcuts import Shortcuts
from connectors.gdrive.tree import Tree
from connectors.gdrive.troubles import NO_STORAGE, READ_ONLY, Refused
from core.errors import AuthFailed
from core.ports import Readiness
from core.remote import CursorLost, Gone, Page, RemoteFile

_PAGE = 1000
_AT_ONCE = 4
_LISTED = f"nextPageToken,files({FIELDS})"
_CHANGED = (
    f"nextPageToken,newStartPageToken,changes(changeType,removed,fileId,driveId,file({FIELDS}))"  # as of now
)
_UNSHARED = (
    "The folder does not exist in Google Drive any more, or is not shared with the service any more. Share "
    "it again, or remove it with `erni-audio folders remove gdrive`."
)
_BINNED = "The folder lies in the bin of Google Drive. Restore it, or remove it from the watched ones."


class Reading:
    """`core.remote.RemoteFolder`. `owns_nothing`: the account has no storage."""

    def __init__(self, client: DriveClient, root: str, *, recursive: bool, owns_nothing: bool) -> None:
        self._client = client
        self._root = root
        self._recursive = recursive
        self._owns_nothing = owns_nothing
        self._log: str | None = None
        self._drive = ""  # the shared drive that it lies in
        self._tree = Tree(root, self._get)
        self._shortcuts = Shortcuts(client)
        self._reached = ""  # the cursor up to which shortcuts are known

    async def listing(self) -> AsyncIterator[Page]:
        """See the port."""
        log = await self._find_log()
        cursor = f"{log}:{await self._start(log)}"
        self._tree = tree = Tree(self._root, self._get)
        self._shortcuts, self._reached = Shortcuts(self._client), ""
        async for files in self._walk(self._root, ()):
            yield Page(items=tuple(files), cursor=cursor)
        tree.complete = True
        self._reached = cursor

    async def changes(self, cursor: str) -> Page:
        """See the port. What is told of a file is as it is now, not as it was at a change."""
        log, _, token = cursor.partition(":")
        if log != (await self._find_log() if self._log is None else self._log):
            raise CursorLost
        mine: dict[str, Any] = {"driveId": log} if log else {}
        try:
            if cursor != self._reached:  # we go on where another process ended
                await self._shortcuts.find(self._corpus)
                self._reached = cursor
            answer = await self._client.ask(
                lambda drive: drive.changes().list(
                    pageToken=token,
                    pageSize=_PAGE,
                    includeRemoved=True,
                    fields=_CHANGED,
                    **mine,
                    **EVERYWHERE,
                )
            )
        except Refused as error:
            if (error.status == 400 and error.about in {"pageToken", ""}) or error.status == 410:
                raise CursorLost from None
            if error.missing:  # the shared drive, or our membership of it
                self._log = None
                raise CursorLost from None
            raise
        news = _News()
        for change in answer.get("changes", ()):
            if change.get("changeType") == "drive":  # the account became a member, or is none any more
                news.unclear |= bool(self._drive) and change.get("driveId") == self._drive
                continue
            told = None if change.get("removed") else change.get("file")
            await self._hear(news, str(change.get("fileId", "")), told)
        following = answer.get("nextPageToken")
        after = following or answer.get("newStartPageToken")
        if after is None:
            raise CursorLost
        self._reached = f"{log}:{after}"
        return Page(
            items=tuple(news.items),
            cursor=self._reached,
            more=following is not None,
            unclear=news.unclear,
        )

    async def deleted(self, ids: Collection[str]) -> frozenset[str]:
        """See the port. One that we can't see may be elsewhere, where we may not look: only what lies in the
        bin is known to be deleted."""
        found = await self._client.files(ids, "id,trashed")
        return frozenset(told["id"] for told in found if told is not None and told.get("trashed"))

    async def look(self, file_id: str) -> RemoteFile | None:
        """See the port."""
        told = await self._get(file_id)
        return None if told is None or is_folder(told) else await self._remote(told)

    async def download(self, file: RemoteFile, into: Path) -> None:
        """See the port."""
        await download.download(self._client, file, into)

    async def check(self) -> Readiness:
        """See the port."""
        remedy = "`erni-audio folders check gdrive` tries it again."
        try:
            root = await self._require_root()
        except AuthFailed as error:
            return Readiness(usable=False, reason=str(error), remedy=remedy)
        can = root.get("capabilities") or {}
        if not can.get("canAddChildren"):
            return Readiness(usable=False, reason=READ_ONLY, remedy=remedy)
        if self._owns_nothing and not root.get("driveId"):
            return Readiness(usable=False, reason=NO_STORAGE, remedy=remedy)
        return Readiness(usable=True)

    # the parts

    @property
    def _corpus(self) -> dict[str, Any]:
        """Where to look for files."""
        return {"corpora": "drive", "driveId": self._log} if self._log else {}

    async def _get(self, file_id: str) -> Json | None:
        return await self._client.file(file_id, FIELDS)

    async def _require_root(self) -> Json:
        root = await self._get(self._root)
        if root is None:
            raise AuthFailed(_UNSHARED)
        if root.get("trashed"):
            raise AuthFailed(_BINNED)
        return root

    async def _find_log(self) -> str:
        """Whose changes tell of the folder: those of the shared drive with this id, or ("") the account's
        own. That has nothing of shared drives but what was shared with the account one by one."""
        self._drive = drive_id = str((await self._require_root()).get("driveId") or "")
        if drive_id:
            try:
                await self._start(drive_id)
            except Refused as error:
                if not error.missing:
                    raise
                drive_id = ""  # not a member of it
        self._log = drive_id
        return drive_id

    async def _start(self, log: str) -> str:
        mine: dict[str, Any] = {"driveId": log} if log else {}
        answer = await self._client.ask(
            lambda drive: drive.changes().getStartPageToken(supportsAllDrives=True, **mine),
            "startPageToken",
        )
        return str(answer["startPageToken"])

    async def _walk(self, folder: str, names: tuple[str, ...]) -> AsyncIterator[list[RemoteFile]]:
        """All files in a folder, page by page; at least one page. Some folders are read at once."""
        waiting: deque[tuple[str, tuple[str, ...], str | None]] = deque([(folder, names, None)])
        while waiting:
            now = [waiting.popleft() for _ in range(min(_AT_ONCE, len(waiting)))]
            answers = await together(self._page(folder_id, token) for folder_id, _, token in now)
            files: list[RemoteFile] = []
            for (folder_id, above, _), (found, following) in zip(now, answers, strict=True):
                if following is not None:
                    waiting.appendleft((folder_id, above, following))
                for told in found:
                    if is_folder(told):
                        self._tree.put(told["id"], told["name"], folder_id)
                        if self._recursive:
                            waiting.append((told["id"], (*above, told["name"]), None))
                    elif (file := await self._file(told, above)) is not None:
                        files.append(file)
            yield files

    async def _page(self, folder: str, token: str | None) -> tuple[Iterable[Json], str | None]:
        """Part of what is in a folder, and the token for the rest. A token that ran out begins anew."""
        more = {} if token is None else {"pageToken": token}
        try:
            answer = await self._client.ask(
                lambda drive: drive.files().list(
                    q=f"{quoted(folder)} in parents and trashed = false",
                    pageSize=_PAGE,
                    fields=_LISTED,
                    **more,
                    **self._corpus,
                    **EVERYWHERE,
                )
            )
        except Refused as error:
            if token is not None and error.status == 400:
                return await self._page(folder, None)
            if error.missing and folder != self._root:
                return (), None  # it went away meanwhile, which is a change of its own
            if error.missing:
                raise AuthFailed(_UNSHARED) from None
            raise
        return answer.get("files", ()), answer.get("nextPageToken")

    async def _remote(self, told: Json) -> RemoteFile | None:
        """A file that is in the watched folder; None for others."""
        if told.get("trashed"):
            return None
        names = await self._tree.names(parent_of(told))
        return None if names is None else await self._file(told, names)

    async def _file(self, told: Json, names: tuple[str, ...]) -> RemoteFile | None:
        """The same where it is known to be there. Shortcuts to files are followed, not those to folders."""
        if told.get("mimeType") != SHORTCUT:
            return remote_file(told, names)
        return await self._shortcuts.follow(told, names)

    async def _hear(self, news: _News, file_id: str, told: Json | None) -> None:
        """Something changed: `told` is what it is now, None if it is gone or out of sight."""
        if file_id == self._root:
            moved = told is not None and str(told.get("driveId") or "") != self._drive
            news.unclear |= told is None or moved or bool(told.get("trashed"))
            return
        before = self._tree.take(file_id)
        if before is not None or (told is not None and is_folder(told)):
            await self._hear_of_folder(news, file_id, told, known=before is not None)
            return
        file = None if told is None else await self._remote(told)
        news.items.append(Gone(id=file_id) if file is None else file)
        for shortcut in self._shortcuts.to(file_id):
            through = await self.look(shortcut)
            news.items.append(Gone(id=shortcut) if through is None else through)

    async def _hear_of_folder(self, news: _News, file_id: str, told: Json | None, *, known: bool) -> None:
        """One that is new, renamed or moved in there is walked through; of one that left it is not known what
        was in it."""
        names = None
        if told is not None and not told.get("trashed"):
            names = await self._tree.names(parent_of(told))
        if told is None or names is None:
            news.unclear |= known or not self._tree.complete
            return
        self._tree.put(file_id, told["name"], parent_of(told))
        if self._recursive:
            async for files in self._walk(file_id, (*names, told["name"])):
                news.items += files


@dataclass(slots=True)
class _News:
    """What a page of changes comes to."""

    items: list[RemoteFile | Gone] = field(default_factory=list)
    unclear: bool = False
