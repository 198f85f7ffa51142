"""Where the app is, as Teams last told of it. Teams may be reached there under another address by now."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from pydantic import TypeAdapter

from bots.teams.incoming import Reference
from core.fresh import Fresh
from core.ports import Store

_SPACE: Final = "teams:conversations"
_GOOD_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    where: Reference
    team: str


_KEPT: Final = TypeAdapter(_Place)


class Places:
    """All conversations that the app is in and something came from. `team` is what activities call the team
    that a channel is in, empty for chats. Where it was sought with success is known for ten minutes of
    `clock`."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._sought: Fresh[None] = Fresh(_GOOD_SECONDS, clock)

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

    async def seek(self, where: Reference, ask: Callable[[], Awaitable[None]]) -> None:
        """Make sure that the app is there. `ask` is called where that is not known, and raises what it likes
        if it is not."""
        if not await self.is_known(where):
            await self._sought.get(where.conversation, ask)

    async def current(self, where: Reference) -> Reference:
        """The same place under the address at which Teams was last reached there."""
        known = await self._of(where.conversation)
        return where if known is None else replace(where, service_url=known.where.service_url)

    async def lost(self, conversation: str) -> None:
        """The app turned out not to be there (any more)."""
        self._sought.drop(conversation)
        await self._store.forget(_SPACE, conversation)

    async def of_team(self, team: str) -> list[str]:
        """The channels of a team."""
        found = await self._store.memories(_SPACE)
        return [name for name, kept in found.items() if _KEPT.validate_json(kept).team == team]

    async def _of(self, conversation: str) -> _Place | None:
        kept = await self._store.recall(_SPACE, conversation)
        return None if kept is None else _KEPT.validate_json(kept)
