"""Who can open a transcript's files: those who read it in the conversation, and nobody else by us.

In a channel they lie in the team's library, which all of the team can open. In a chat they lie beside the
recording, in somebody's OneDrive: the people of the chat are let in, as Teams lets them in to what is shared
there. Who joins later is not.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final

from bots.teams.access import Access
from bots.teams.incoming import Reference
from bots.teams.records import DriveItem
from bots.teams.troubles import Denied, Refused

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 100
_MOST_REFUSALS: Final = 30
_NOT_FOUND: Final = frozenset({"noResolvedUsers", "invalidRequest"})
_CLOSED: Final = (
    "The files lie beside the recording, but Microsoft 365 did not let the app share them with the people"
    " of this chat. They can read all of the transcript here; whoever has the recording can share the"
    " files."
)
_NOT_ALL: Final = (
    "Some people in this chat can't open the files, such as guests and people of other organisations. They"
    " can read all of the transcript here."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _People:
    """Those of the organisation and its guests, by the directory's ids; `others`: there are people besides,
    whom its directory does not know."""

    own: list[str] = field(default_factory=list)
    guests: list[str] = field(default_factory=list)
    others: bool = False


class Audience:
    """The people in a conversation, asked for once."""

    def __init__(self, access: Access, where: Reference) -> None:
        self._access = access
        self._where = where
        self._people: _People | None = None

    async def let_in(self, item: DriveItem) -> str:
        """Let them look at a file. What is to be said if not all of them can open it then, else empty. Raises
        Transient."""
        if self._where.kind == "channel":
            return ""
        try:
            people = await self._known()
            complete = await self._invite(item, people.own)
        except (Refused, Denied) as error:
            logger.warning("a file can't be shared with the people of its chat: %s", error.code)
            return _CLOSED
        try:
            complete = await self._invite(item, people.guests) and complete
        except (Refused, Denied) as error:
            logger.info("a file can't be shared with guests: %s", error.code)
            complete = False
        return "" if complete and not people.others else _NOT_ALL

    async def _invite(self, item: DriveItem, people: list[str]) -> bool:
        """Let people in, as many as can be. False: not all. Raises Refused or Denied where nobody can.

        One of them whom Graph can't find, such as an account without a licence, keeps the others of the same
        call out: they are asked for in halves then.
        """
        waiting = [people[first : first + _AT_ONCE] for first in range(0, len(people), _AT_ONCE)]
        refusals: list[Refused] = []
        complete, anybody = True, False
        while waiting and len(refusals) < _MOST_REFUSALS:
            some = waiting.pop()
            try:
                complete = await self._access.drives.let_in(item, some) and complete
                anybody = True
            except Refused as error:
                if error.code not in _NOT_FOUND:
                    raise
                refusals.append(error)
                half = len(some) // 2
                waiting += [some[:half], some[half:]] if half else []
        if refusals and not anybody:
            raise refusals[0]
        return complete and not refusals

    async def _known(self) -> _People:
        if self._people is None:
            own, guests, others = [], [], False
            async for person in self._access.connector.members(self._where):
                if person.id == person.chat_id or person.tenant not in {"", self._where.tenant}:
                    others = True
                elif person.is_guest:
                    guests.append(person.id)
                else:
                    own.append(person.id)
            self._people = _People(own=own, guests=guests, others=others)
        return self._people
