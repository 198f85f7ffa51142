"""One watched folder of Google Drive."""

from __future__ import annotations

from collections.abc import Callable

from connectors.gdrive.audience import FIELDS_FOR_IT, is_open
from connectors.gdrive.client import DriveClient
from connectors.gdrive.files import is_folder, remote_file
from connectors.gdrive.writing import Writing
from core.remote import RemoteFile


class DrivePlace(Writing):
    """`core.remote.RemotePlace`. `done` is called when it is not used any more."""

    def __init__(
        self,
        client: DriveClient,
        root: str,
        *,
        recursive: bool = True,
        owns_nothing: bool = False,
        done: Callable[[], None],
    ) -> None:
        super().__init__(client, root, recursive=recursive, owns_nothing=owns_nothing)
        self._done: Callable[[], None] | None = done

    @property
    def client(self) -> DriveClient:
        """What its calls go through."""
        return self._client

    async def log(self) -> str:
        """The shared drive whose changes tell of the folder, "" for the account's own. Raises as the port."""
        return self._log if self._log is not None else await self._find_log()

    async def start(self, log: str) -> str:
        """The page token from which changes of now on are told."""
        return await self._start(log)

    async def public(self, file_id: str) -> RemoteFile | None:
        """A file, here or elsewhere, that anybody with the link may read; None for others."""
        told = await self._client.file(file_id, FIELDS_FOR_IT)
        if told is None or told.get("trashed") or is_folder(told) or not is_open(told):
            return None
        return remote_file(told, ())

    async def close(self) -> None:
        """See the port."""
        done, self._done = self._done, None
        if done is not None:
            done()
