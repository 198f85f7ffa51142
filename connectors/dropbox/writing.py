"""Putting transcripts into a watched folder, never instead of anything that is not ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dropbox.exceptions import ApiError
from dropbox.files import FileMetadata, FolderMetadata, WriteMode

from connectors.dropbox import entries
from connectors.dropbox.client import LONGEST_WAIT, TRIES, Account, pause
from connectors.dropbox.root import Root, RootGone, all_metadata, is_absent, metadata
from connectors.dropbox.troubles import refused, tags
from connectors.dropbox.upload import Doubtful, Upload
from core.errors import AuthFailed, ErniError, Rejected, Transient
from core.remote import Changed, FolderGone, Held, Occupied, Output


@dataclass(frozen=True, slots=True, kw_only=True)
class _Where:
    """A folder now: `path` leads to it, and so does `address`, even if it is moved meanwhile."""

    address: str
    path: str


class Writing:
    """See `core.remote.RemoteWriter`."""

    def __init__(self, account: Account, root: Root) -> None:
        self._account = account
        self._root = root

    @property
    def root(self) -> str:
        """See the port."""
        return self._root.name

    def digest(self, data: bytes) -> str:
        """See the port."""
        return entries.digest(data)

    async def subfolder(self, folder: str, name: str) -> str:
        """See the port."""
        path = f"{(await self._where(folder)).path}/{name}"
        found = await metadata(self._account, path)
        if found is None:
            try:
                found = (await self._account.ask("files_create_folder_v2", path)).metadata
            except ApiError as error:
                if "conflict" not in tags(error.error):
                    raise refused(error) from None
                found = await metadata(self._account, path)  # somebody was quicker
        if not isinstance(found, FolderMetadata):
            raise AuthFailed(
                f"Transcripts can't be put into a subfolder {name}: there is a file of this name. Rename it."
            )
        return str(found.id)

    async def reserve(self, count: int) -> Sequence[str]:
        """See the port. Dropbox gives no ids in advance."""
        return [""] * count

    async def present(self, folder: str, names: Collection[str]) -> Mapping[str, Sequence[Held]]:
        """See the port."""
        where = await self._where(folder)
        found = await all_metadata(self._account, (f"{where.path}/{name}" for name in names))
        return {
            name: [entries.held(entry, folder=folder)]
            for name, entry in zip(names, found, strict=True)
            if entry is not None
        }

    async def create(self, folder: str, name: str, output: Output, *, file_id: str) -> Held:  # noqa: ARG002  (there are no ids)
        """See the port."""
        address = folder if _is_id(folder) else (await self._where(folder)).address

        async def now() -> Any:
            return await metadata(self._account, f"{(await self._where(folder)).path}/{name}")

        return await self._put(Upload(data=output.data, path=f"{address}/{name}"), folder, now, Occupied)

    async def replace(self, held: Held, output: Output) -> Held:
        """See the port."""

        async def now() -> Any:
            found = await metadata(self._account, held.id)
            if found is None:
                raise Changed
            return found

        upload = Upload(data=output.data, path=held.id, mode=WriteMode.update(held.revision))
        return await self._put(upload, held.folder, now, Changed)

    async def delete(self, held: Held) -> None:
        """See the port."""
        try:
            await self._account.ask("files_delete_v2", held.id, parent_rev=held.revision)
        except ApiError as error:
            if "conflict" in tags(error.error):
                raise Changed from None
            if not is_absent(error):
                raise refused(error) from None

    async def _put(
        self, upload: Upload, folder: str, now: Callable[[], Awaitable[Any]], taken: type[ErniError]
    ) -> Held:
        """Write a file. `now` finds what is at its place, or raises that it can't be written there any more;
        `taken` is raised if that is something else."""
        doubtful = False
        attempt = 0
        while True:
            attempt += 1
            try:
                return entries.held(await upload.run(self._account), folder=folder)
            except ApiError as error:
                found = tags(error.error)
                if "content_hash_mismatch" not in found:
                    there = await now()
                    if "conflict" not in found:
                        raise _unwritten(error) from None
                    if doubtful and await asyncio.to_thread(_is, there, upload.data):
                        return entries.held(there, folder=folder)
                    raise taken from None
                trouble = Transient("An upload arrived damaged.")
            except Doubtful as error:
                doubtful, trouble = True, error
            wait = pause(attempt, trouble)
            if attempt >= TRIES or wait > LONGEST_WAIT:
                raise trouble
            await asyncio.sleep(wait)

    async def _where(self, folder: str) -> _Where:
        """Raises FolderGone."""
        head, _, below = folder.partition("/")
        try:
            if head == self._root.name:
                path = await self._root.path(fresh=True)
                if not below:
                    return _Where(address=head if _is_id(head) else path, path=path)
                found = await metadata(self._account, f"{path}/{below}")
            else:
                found = await metadata(self._account, folder)
        except RootGone:
            raise FolderGone from None
        if not isinstance(found, FolderMetadata) or not found.path_lower:
            raise FolderGone
        return _Where(address=found.id, path=found.path_lower)


def _is_id(folder: str) -> bool:
    return folder.startswith("id:") and "/" not in folder


def _is(entry: Any, data: bytes) -> bool:
    return isinstance(entry, FileMetadata) and entry.content_hash == entries.digest(data)


def _unwritten(error: ApiError) -> ErniError:
    found = set(tags(error.error))
    if {"malformed_path", "disallowed_name"} & found:
        return Rejected(
            "Dropbox does not allow a file to be called like the transcript. Rename the recording."
        )
    return refused(error)
