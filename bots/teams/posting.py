"""How letters come into the mailbox: under a key that is the same however often Teams tells of something."""

from __future__ import annotations

import hashlib
from typing import Protocol, TypedDict

from bots.teams.incoming import Incoming, Reference
from bots.teams.letters import Any_, dump


class Post(Protocol):
    """Keeps a letter durably (`core.mailbox.Mailbox.post`)."""

    async def __call__(self, key: str, text: str, *, delay: float = 0.0) -> None: ...


class Origin(TypedDict):
    """What every letter says."""

    where: Reference
    team: str
    user: str
    user_name: str


class Posting:
    """Writes letters down."""

    def __init__(self, post: Post) -> None:
        self._post = post

    async def keep(self, letter: Any_, *key: str, delay: float = 0.0) -> None:
        """Write a letter down, to be acted on in `delay` seconds; `key` names what happened in its
        conversation, the letter itself without one."""
        text = dump(letter)
        name = ":".join((letter.kind, letter.where.conversation, *key)) if key else text
        await self._post(hashlib.sha256(name.encode()).hexdigest()[:32], text, delay=delay)


def origin(incoming: Incoming) -> Origin:
    """Where something happened, and who did it."""
    return Origin(
        where=incoming.where,
        team=incoming.thread,
        user=incoming.user or incoming.user_chat_id,
        user_name=incoming.user_name,
    )
