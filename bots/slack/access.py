"""Who may read what is in a conversation, as far as Slack tells."""

from __future__ import annotations

import asyncio

from bots.slack.client import Workspace
from bots.slack.troubles import MissingScope
from core.errors import Rejected


async def may_read(
    slack: Workspace, channel: str, user: str, team: str, *, seconds: float | None = None
) -> bool:
    """Whether somebody may read a conversation of the workspace `team`: a public channel everybody of the
    workspace but guests, all others those who are in it (public ones too without a `team`). No if that can't
    be told. Who it is is waited for `seconds`; later only those who are in it may."""
    try:
        place = await slack.channel(channel)
    except Rejected:
        return False
    if place.kind == "channel" and team:
        try:
            async with asyncio.timeout(seconds):
                person = await slack.user(user)
        except (Rejected, MissingScope, TimeoutError):
            pass  # somebody of another organisation whom the app can't see; or it may see nobody
        else:
            if person.is_of(team) and not person.is_guest:
                return True
    return await slack.is_member(channel, user)
