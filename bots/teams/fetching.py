"""A recording on its way from Teams to disk."""

from __future__ import annotations

import logging
from pathlib import Path

from bots.teams import download
from bots.teams.access import Access
from bots.teams.shares import Share
from bots.teams.troubles import Denied, Gone
from core.ports import Links

logger = logging.getLogger(__name__)


async def fetch(share: Share, into: Path, *, access: Access, links: Links, limit: int) -> None:
    """Stream the recording to `into`. What was sent to the app is fetched where Teams put it, and once that
    is over from the sender's OneDrive, if the app may read there; what is linked elsewhere comes through the
    door that knows the link."""
    if share.is_link:
        await links.fetch_link(share.url, into)
        return
    if share.sent is not None:
        try:
            await download.fetch_sent(access.client, share.sent, into, limit=limit)
        except Gone as gone:
            if not share.url:
                raise
            try:
                item = await access.recording(share)
            except Denied as error:
                logger.info("a recording can't be fetched where it lies: %s", error.code)
                raise gone from None
        else:
            return
    else:
        item = await access.recording(share)
    await download.fetch(access.drives, item, into, limit=limit)
