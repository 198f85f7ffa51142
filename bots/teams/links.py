"""Addresses that open a message in Teams. Pure."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from bots.teams.incoming import Reference
from bots.teams.shares import is_alone

_TEAMS = "https://teams.microsoft.com/l/message"
_IN_A_CHAT = quote('{"contextType":"chat"}')


def message_link(where: Reference, message: str, *, team: str = "") -> str:
    """The address of a message; `team` is that of the channel, by the directory's id. Empty where there is
    none: chats with the app alone have no name that Teams' addresses know, and clouds of governments have
    addresses of their own."""
    host = urlsplit(where.service_url).hostname or ""
    if is_alone(where) or host.endswith(".microsoft.us") or not message:
        return ""
    address = f"{_TEAMS}/{quote(where.conversation, safe='')}/{quote(message, safe='')}"
    if where.kind != "channel":
        return f"{address}?context={_IN_A_CHAT}"
    return f"{address}?groupId={team}&parentMessageId={where.root}" if team and where.root else ""
