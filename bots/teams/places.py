"""Where the app is, as Teams last told of it. Teams may be reached there under another address by now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from pydantic import TypeAdapter

from bots.teams.incoming import Reference
from core.ports import Store

_SPACE: Final = "teams:conversations"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    where: Reference
    team: str


_KEPT: Final = TypeAdapter(_Place)


class Places:
    """All conversations that the app is in and something came from. `team` is what activities call the team
    that a channel is in, empty for chats."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def remember(self, where: Reference, team: str) -> None:
        """The app is there: something came from it."""
        known = await self._of(where.conversation)
        # Some activities of a channel don't name its team.
        place = _Place(where=replace(where, root=""), team=team or (known.team if known else ""))
        if place != known:
            await self._store.remember(_SPACE, where.conversation, _KEPT.dump_json(place).decode())

    async def is_known(self, where: Reference) -> bool:
        """Whether anything came from there before."""
        return await self._of(where.conversation) is not None

    async def current(self, where: Reference) -> Reference:
        """The same place under the address at which Teams was last reached there."""
        known = await self._of(where.conversation)
        return where if known is None else replace(where, service_url=known.where.service_url)

    async def lost(self, conversation: str) -> None:
        """The app turned out not to be there (any more)."""
        await self._store.forget(_SPACE, conversation)

    async def of_team(self, team: str) -> list[str]:
        """The channels of a team."""
        found = await self._store.memories(_SPACE)
        return [name for name, kept in found.items() if _KEPT.validate_json(kept).team == team]

    async def _of(self, conversation: str) -> _Place | None:
        kept = await self._store.recall(_SPACE, conversation)
        return None if kept is None else _KEPT.validate_json(kept)
