"""Who may have a file transcribed: who can open it.

The app reads every file of the organisation, and both a message's attachments and its links say whatever
their writer wants. So nobody is believed that a file is theirs to share: Graph is asked whether they can open
it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from bots.teams.access import Access
from bots.teams.records import Drive, DriveItem
from bots.teams.shares import Share
from bots.teams.troubles import Denied, Refused
from core.fresh import Fresh

logger = logging.getLogger(__name__)

_GOOD_SECONDS: Final = 600.0
_NO_DRIVE: Final = Drive(id="", web_url="")


class Rights:
    """Asks Graph through `access`, and remembers whose drives are whose for ten minutes of `clock`."""

    def __init__(self, access: Access, clock: Callable[[], float] = time.monotonic) -> None:
        self._access = access
        self._libraries: Fresh[str] = Fresh(_GOOD_SECONDS, clock)
        self._drives: Fresh[Drive] = Fresh(_GOOD_SECONDS, clock)

    async def may_open(self, item: DriveItem, share: Share, person: str) -> bool:
        """Whether `person`, by the directory's id, can open a file that was shared as `share` says; without
        one, whether everybody can who sees the message. False where that can't be seen.

        Everybody in a team can open what lies in its library, everybody in the organisation what a link for
        them leads to. Groups other than teams that the app is in are not looked into. Raises
        MissingPermission and Transient.
        """
        if await self._is_of_channel(item, share):
            return True
        if person and (await self._onedrive(person)).id == item.drive:
            return True
        link = _without_query(share.url)
        for grant in await self._access.drives.grants(item):
            if person.lower() in grant.people or (grant.for_all and _without_query(grant.link) == link):
                return True
        return bool(person) and await self._is_of_team(item, person)

    async def owns(self, item: DriveItem, person: str) -> bool:
        """Whether a file is somebody's own: made by them, or in their OneDrive. Raises MissingPermission and
        Transient."""
        return bool(person) and (item.maker == person or (await self._onedrive(person)).id == item.drive)

    async def _is_of_channel(self, item: DriveItem, share: Share) -> bool:
        if share.where.kind != "channel":
            return False

        async def ask() -> str:
            place = await self._access.place(share.where, share.team, share.user)
            return (await self._access.drives.folder(place)).drive

        try:
            return await self._libraries.get(share.where.conversation, ask) == item.drive
        except (Refused, Denied) as error:
            logger.info("the library of a channel is not known: %s", error.code)
            return False

    async def _onedrive(self, person: str) -> Drive:
        async def ask() -> Drive:
            try:
                return await self._access.drives.onedrive(person)
            except Refused:
                return _NO_DRIVE

        return await self._drives.get(f"of {person}", ask)

    async def _is_of_team(self, item: DriveItem, person: str) -> bool:
        """Whether the file lies in the library of a team that the person is in, if the app may see that."""

        async def ask() -> Drive:
            return await self._access.drives.drive(item.drive)

        try:
            team = (await self._drives.get(item.drive, ask)).team
            return bool(team) and await self._access.graph.member(team, person) is not None
        except (Refused, Denied) as error:
            logger.info("it can't be seen who is in the team that a file belongs to: %s", error.code)
            return False


def _without_query(url: str) -> tuple[str, str]:
    """A link as all ways to write it have in common."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    return parts.netloc.lower(), parts.path
