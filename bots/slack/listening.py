"""What listeners to Slack have in common: each writes down what it is told, acknowledges, and returns.

None waits for Slack. What needs a window of Slack's (`trigger_id`, three seconds) is begun at once beside the
listener.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.async_context import AsyncBoltContext

from bots.slack.dialogs import Dialogs
from bots.slack.letters import Any_, dump
from bots.slack.parts import Message
from bots.slack.records import mapping
from bots.slack.windows import Tell


class Post(Protocol):
    """Keeps a letter durably (`core.mailbox.Mailbox.post`)."""

    async def __call__(self, key: str, text: str, *, delay: float = 0.0) -> None: ...


class Beside(Protocol):
    """Starts something that somebody waits for (`bots.slack.windows.Windows.begin`)."""

    def __call__(self, work: Coroutine[Any, Any, None], tell: Tell | None = None) -> None: ...


Body = Mapping[str, Any]


class Listening(ABC):
    """Listeners, which are registered with `app` where one is made."""

    def __init__(self, app: AsyncApp, post: Post, dialogs: Dialogs, beside: Beside) -> None:
        self._post = post
        self.dialogs = dialogs
        self.beside = beside
        self._register(app)

    @abstractmethod
    def _register(self, app: AsyncApp) -> None:
        """Tell bolt which listener is for what."""

    def shown(self, team: str, enterprise: str | None, body: Body, work: Coroutine[Any, Any, None]) -> None:
        """Begin `work`, which shows something to who sent `body`. They are told if it fails."""
        reply = str(body.get("response_url", ""))
        thread = str(mapping(body.get("container")).get("thread_ts", ""))

        async def tell(message: Message) -> None:
            await self.dialogs.respond(team, enterprise, reply, message, thread=thread)

        self.beside(work, tell if reply else None)

    async def keep(self, letter: Any_, *key: str, delay: float = 0.0) -> None:
        """Write a letter down; `key` names what happened, however often we are told."""
        name = ":".join((letter.kind, letter.team, *key))
        await self._post(hashlib.sha256(name.encode()).hexdigest()[:32], dump(letter), delay=delay)


def place(
    context: AsyncBoltContext, body: Body, about: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, str | None]:
    """The workspace in which it happened, also where the app is installed in all of an organisation: a form
    does not say that by itself, so it is in what we put into it."""
    team = about.get("team") or context.team_id or body.get("context_team_id") or body.get("team_id") or ""
    return str(team), context.enterprise_id


def slim(message: Body) -> dict[str, Any]:
    """What is needed of a message: not what somebody wrote in it."""
    wanted = ("ts", "thread_ts", "user", "bot_id", "app_id", "subtype", "files", "team")
    return {name: message[name] for name in wanted if name in message}
