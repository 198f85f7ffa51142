"""Which folders lie in the watched one. Drive tells of a file only the folder that it is in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from connectors.gdrive.files import Json, is_folder, parent_of

_DEEPEST = 100
_MOST_OUTSIDE = 20_000


@dataclass(frozen=True, slots=True)
class Branch:
    """A folder below the watched one: its name, and the folder that it is in."""

    name: str
    parent: str


class Tree:
    """Folders below `root`, as they were seen last. `find` asks Drive for one. `complete`: everything was
    listed once, so that a folder which is not known was not in it then."""

    def __init__(self, root: str, find: Callable[[str], Awaitable[Json | None]]) -> None:
        self.root = root
        self.complete = False
        self._find = find
        self._inside: dict[str, Branch] = {}
        self._outside: dict[str, None] = {}

    def put(self, folder_id: str, name: str, parent: str) -> None:
        """It was seen in there."""
        self._inside[folder_id] = Branch(name, parent)
        self._outside.pop(folder_id, None)

    def take(self, folder_id: str) -> Branch | None:
        """Forget a folder, in there or not."""
        self._outside.pop(folder_id, None)
        return self._inside.pop(folder_id, None)

    async def names(self, folder_id: str) -> tuple[str, ...] | None:
        """The folders between the root and what is in this one; None if it is not in there."""
        way: list[tuple[str, Branch]] = []
        at = folder_id
        while at != self.root:
            branch = None if at in self._outside or len(way) > _DEEPEST else await self._branch(at)
            if branch is None:
                self._exclude([at, *(passed for passed, _ in way)])
                return None
            way.append((at, branch))
            at = branch.parent
        for passed, branch in way:
            self.put(passed, branch.name, branch.parent)
        return tuple(branch.name for _, branch in reversed(way))

    async def _branch(self, folder_id: str) -> Branch | None:
        known = self._inside.get(folder_id)
        if known is not None or not folder_id:
            return known
        told = await self._find(folder_id)
        if told is None or not is_folder(told) or told.get("trashed") or not parent_of(told):
            return None
        return Branch(str(told["name"]), parent_of(told))

    def _exclude(self, folders: list[str]) -> None:
        if len(self._outside) > _MOST_OUTSIDE:
            self._outside.clear()
        for folder_id in filter(None, folders):
            self._inside.pop(folder_id, None)
            self._outside[folder_id] = None
