"""One watched folder in Dropbox, for reading and writing."""

from __future__ import annotations

from collections.abc import Callable

from connectors.dropbox.client import Account
from connectors.dropbox.reading import Reading
from connectors.dropbox.root import Root
from connectors.dropbox.writing import Writing


class DropboxPlace(Reading, Writing):
    """See `core.remote.RemotePlace` and `core.remote.Notified`. `release` is told once when it is closed."""

    def __init__(self, account: Account, name: str, release: Callable[[], None]) -> None:
        super().__init__(account, Root(account, name))
        self.account = account
        self._release: Callable[[], None] | None = release

    async def close(self) -> None:
        """See the port."""
        release, self._release = self._release, None
        if release is not None:
            release()
