"""How letters come into the mailbox: under a key that is the same however often Teams tells of something."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from datetime import datetime
from typing import Protocol, TypedDict

from bots.teams.incoming import Incoming, Reference
from bots.teams.letters import Any_, dump
from bots.teams.records import text

_LATE_SECONDS = 3600.0  # by which Teams may tell of something later


class Post(Protocol):
    """Keeps a letter durably (`core.mailbox.Mailbox.post`)."""

    async def __call__(self, key: str, text: str, *, delay: float = 0.0) -> None: ...


class Origin(TypedDict):
    """What every letter says."""

    where: Reference
    team: str
    user: str
    user_name: str
    when: float


class Posting:
    """Writes letters down."""

    def __init__(self, post: Post) -> None:
        self._post = post

    async def keep(self, letter: Any_, *key: str, delay: float = 0.0) -> None:
        """Write a letter down, to be acted on in `delay` seconds; `key` names what happened in its
        conversation, what the letter says without one."""
        said = dump(replace(letter, when=0.0))
        name = ":".join((letter.kind, letter.where.conversation, *key)) if key else said
        await self._post(hashlib.sha256(name.encode()).hexdigest()[:32], dump(letter), delay=delay)


def origin(incoming: Incoming) -> Origin:
    """Where something happened, and who did it."""
    return Origin(
        where=incoming.where,
        team=incoming.thread,
        user=incoming.user or incoming.user_chat_id,
        user_name=incoming.user_name,
        when=seconds(text(incoming.payload, "timestamp"), now=time.time()),
    )


def seconds(moment: str, *, now: float) -> float:
    """What Teams says of when something happened, as Unix seconds; `now` where it does not say, or where that
    makes no sense."""
    try:
        at = datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return now
    return at if now - _LATE_SECONDS < at < now else now
