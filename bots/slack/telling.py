"""Telling one person something, by the first way that Slack allows."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from bots.slack import notes
from bots.slack.client import Workspace
from bots.slack.parts import Message
from bots.slack.troubles import Denied, Unsure
from core.errors import Rejected

logger = logging.getLogger(__name__)


async def tell(
    slack: Workspace,
    message: Message,
    *,
    channel: str,
    user: str,
    thread: str = "",
    reply: str = "",
    about: str = "",
) -> None:
    """Say `message` to `user` and to nobody else: by the response URL `reply` if there is one, else in the
    conversation and its `thread`; if that is refused and `about` is the name of a recording, in a direct
    message. What nobody can be told is only logged. Raises Transient."""
    blocks = message.blocks or None

    async def by_reply() -> None:
        await slack.respond(reply, message.text, **({"blocks": blocks} if blocks else {}))

    async def in_place() -> None:
        await slack.ephemeral(channel, user, message.text, blocks=blocks, thread_ts=thread or None)

    async def apart() -> None:
        await slack.post(user, notes.apart(about, message).text)

    ways: list[Callable[[], Awaitable[None]]] = [by_reply if reply else in_place]
    if about:
        ways.append(apart)
    for way in ways:
        try:
            await way()
        except Unsure:
            return  # they may have been told
        except (Denied, Rejected) as error:
            refused = error.code if isinstance(error, Denied) else type(error).__name__
        else:
            return
    logger.warning("somebody could not be told what happened: %s", refused)
