"""One watched folder of Google Drive."""

from __future__ import annotations

from collections.abc import Callable

from connectors.gdrive.client import DriveClient
from connectors.gdrive.writing import Writing


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

    async def close(self) -> None:
        """See the port."""
        done, self._done = self._done, None
        if done is not None:
            done()
