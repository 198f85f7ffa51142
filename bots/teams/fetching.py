"""A recording on its way from Teams to disk."""

from __future__ import annotations

import logging
from pathlib import Path

from bots.teams import download, notes
from bots.teams.access import Access
from bots.teams.records import DriveItem
from bots.teams.rights import Rights
from bots.teams.shares import Share
from bots.teams.troubles import Denied, Gone
from core.errors import Rejected
from core.ports import Links

logger = logging.getLogger(__name__)


async def fetch(share: Share, into: Path, *, access: Access, links: Links, limit: int) -> None:
    """Stream the recording to `into`. What was sent to the app is fetched where Teams put it, and once that
    is over from the sender's OneDrive, if the app may read there; what is linked elsewhere comes through the
    door that knows the link. Raises Rejected where it is gone by now."""
    if share.is_link:
        await links.fetch_link(share.url, into)
        return
    try:
        await _fetch(share, into, access=access, limit=limit)
    except Gone as gone:
        raise Rejected(gone.user_message if share.sent is not None else notes.FILE_GONE) from None


async def _fetch(share: Share, into: Path, *, access: Access, limit: int) -> None:
    if share.sent is not None:
        try:
            await download.fetch_sent(access.client, share.sent, into, limit=limit)
        except Gone as gone:
            item = await _where_it_lies(share, gone, access)
        else:
            return
    else:
        item = await access.recording(share)
    await download.fetch(access.drives, item, into, limit=limit)


async def _where_it_lies(share: Share, gone: Gone, access: Access) -> DriveItem:
    """The file that was sent to the app, in its sender's OneDrive. Raises `gone` if it is not there."""
    if not share.url:
        raise gone
    try:
        item = await access.recording(share)
        may = await Rights(access).may_open(item, share, share.user)
    except Denied as error:
        logger.info("a recording can't be fetched where it lies: %s", error.code)
        raise gone from None
    if not may:
        raise gone
    return item
