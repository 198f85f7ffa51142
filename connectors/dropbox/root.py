"""The watched folder itself: where it is now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from dropbox.exceptions import ApiError
from dropbox.files import FolderMetadata

from connectors.dropbox.client import Account
from connectors.dropbox.troubles import refused, tags
from core.errors import AuthFailed
from core.tasks import end

_ABSENT: Final = frozenset({"not_found", "not_file", "not_folder", "malformed_path"})


class RootGone(AuthFailed):
    """The watched folder is not there any more, or out of the account's sight."""


async def metadata(account: Account, path: str) -> Any:
    """What Dropbox says of a file or folder, by path or id; None if there is none."""
    try:
        return await account.ask("files_get_metadata", path)
    except ApiError as error:
        if is_absent(error):
            return None
        raise refused(error) from None


async def all_metadata(account: Account, paths: Iterable[str]) -> list[Any]:
    """The same of several, in their order."""
    asked = [asyncio.create_task(metadata(account, path)) for path in paths]
    try:
        return list(await asyncio.gather(*asked))
    except BaseException:
        await end(*asked)
        raise


def is_absent(error: ApiError) -> bool:
    """Whether an error says that there is no such file or folder."""
    return not _ABSENT.isdisjoint(tags(error.error))


class Root:
    """`name` is the folder's id, or "ns:" and the number of a namespace for the top of one."""

    def __init__(self, account: Account, name: str) -> None:
        self.name = name
        self._account = account
        self._path: str | None = None

    async def path(self, *, fresh: bool = False) -> str:
        """Its path in lower case, "" for the top; `fresh`: asked anew. Raises RootGone."""
        if self._path is None or fresh:
            self._path = None
            self._path = await self._find()
        return self._path

    def forget(self) -> None:
        """It may have been moved."""
        self._path = None

    async def folder(self) -> Any:
        """What Dropbox says of it, None for the top of a namespace. Raises RootGone."""
        if self.name.startswith("ns:"):
            await self.path(fresh=True)
            return None
        found = await metadata(self._account, self.name)
        if not isinstance(found, FolderMetadata) or not found.path_lower:
            raise RootGone(
                "The folder is not in the connected Dropbox any more: it was deleted, or is not shared with "
                "the account. Restore it or share it again, or remove it with `erni-audio folders remove`."
            )
        return found

    async def _find(self) -> str:
        if not self.name.startswith("ns:"):
            return str((await self.folder()).path_lower)
        profile, number = await self._account.profile(), self.name.removeprefix("ns:")
        if number == profile.root:
            return ""
        if number == profile.home:
            return profile.home_path
        raise RootGone(
            "The connected Dropbox begins elsewhere by now: the account joined or left a team. Remove the "
            "folder with `erni-audio folders remove`, and add it again."
        )
