"""What is in a watched folder: listed, followed by a cursor, looked at and downloaded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any, Final

from dropbox.exceptions import ApiError
from dropbox.files import FileMetadata, UploadSessionCursor

from connectors.dropbox.client import Account
from connectors.dropbox.download import fetch
from connectors.dropbox.entries import RootMoved, is_below, items, remote_file
from connectors.dropbox.root import Root, RootGone, all_metadata, is_absent, metadata
from connectors.dropbox.troubles import BadRequest, refused, tags
from core.errors import AuthFailed, Transient
from core.ports import Readiness
from core.remote import CursorLost, Page, RemoteFile

_PAGE: Final = 2000
_NO_REVISION: Final = "rev:000000000"
_NO_SESSION: Final = "none"


class Reading:
    """See `core.remote.RemoteFolder` and `core.remote.Notified`."""

    def __init__(self, account: Account, root: Root) -> None:
        self._account = account
        self._root = root

    async def listing(self) -> AsyncIterator[Page]:
        """See the port."""
        path = await self._root.path(fresh=True)
        address = path if self._root.name.startswith("ns:") else self._root.name
        ask: tuple[Any, ...] = ("files_list_folder", address)
        options: dict[str, Any] = {"recursive": True, "limit": _PAGE}
        while True:
            try:
                answer = await self._account.ask(*ask, **options)
                page = self._page(answer, path, news=False)
            except (ApiError, RootMoved) as error:
                raise await self._broken_off(error) from None
            yield page
            if not page.more:
                return
            ask, options = ("files_list_folder_continue", page.cursor), {}

    async def changes(self, cursor: str) -> Page:
        """See the port."""
        path = await self._root.path()
        try:
            answer = await self._account.ask("files_list_folder_continue", cursor)
            return self._page(answer, path, news=True)
        except (RootMoved, BadRequest):
            self._root.forget()
            raise CursorLost from None
        except ApiError as error:
            if not is_absent(error) and "reset" not in tags(error.error):
                raise refused(error) from None
            await self._root.path(fresh=True)  # which says so if the folder is gone
            raise CursorLost from None

    async def wait(self, cursor: str) -> None:
        """See the port. What Dropbox asks to be left alone for is waited for by the next call."""
        try:
            await self._account.longpoll(cursor)
        except ApiError as error:
            if "reset" in tags(error.error):
                raise CursorLost from None
            raise refused(error) from None

    async def deleted(self, ids: Collection[str]) -> frozenset[str]:
        """See the port. What was moved out of the account's sight is like deleted, for the account."""
        try:
            await self._root.path(fresh=True)
        except RootGone:
            return frozenset()
        found = await all_metadata(self._account, ids)
        return frozenset(file_id for file_id, entry in zip(ids, found, strict=True) if entry is None)

    async def look(self, file_id: str) -> RemoteFile | None:
        """See the port."""
        entry = await metadata(self._account, file_id)
        if not isinstance(entry, FileMetadata):
            return None
        try:
            path = await self._root.path()
            if not is_below(entry, path):
                path = await self._root.path(fresh=True)
        except RootGone:
            return None
        if not is_below(entry, path):
            return None
        parent: str | None = self._root.name
        if (here := entry.path_lower.rpartition("/")[0]) != path:
            folder = await metadata(self._account, here)
            parent = None if folder is None else folder.id
        return remote_file(entry, root=self._root.name, path=path, parent=parent)

    async def download(self, file: RemoteFile, into: Path) -> None:
        """See the port."""
        await fetch(self._account, file, into)

    async def check(self) -> Readiness:
        """See the port."""
        remedy = "Mend that, then run `erni-audio folders check dropbox`."
        try:
            folder = await self._root.folder()
            await self._try("files_get_temporary_link", _NO_REVISION)
            await self._try("files_upload_session_append_v2", b"", UploadSessionCursor(_NO_SESSION, 0))
        except AuthFailed as error:
            return Readiness(usable=False, reason=str(error), remedy=remedy)
        sharing = None if folder is None else folder.sharing_info
        if sharing is not None and sharing.read_only:
            return Readiness(
                usable=False,
                reason="The connected account may only read the folder, not write into it.",
                remedy="Give the account the right to edit the folder.",
            )
        return Readiness(usable=True)

    async def _try(self, method: str, *args: Any) -> None:
        """Call something that comes to nothing, and so only shows whether it may be called."""
        try:
            await self._account.ask(method, *args)
        except (ApiError, BadRequest):
            return

    def _page(self, answer: Any, path: str, *, news: bool) -> Page:
        found = items(answer.entries, root=self._root.name, path=path, news=news)
        return Page(items=found, cursor=answer.cursor, more=answer.has_more)

    async def _broken_off(self, error: ApiError | RootMoved) -> Exception:
        """What to raise in the midst of a listing."""
        if isinstance(error, ApiError) and not is_absent(error) and "reset" not in tags(error.error):
            return refused(error)
        await self._root.path(fresh=True)  # which says so if the folder is gone
        return Transient("The folder was moved while it was listed.")
