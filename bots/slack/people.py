"""Who and what there is in one workspace, as Slack told a moment ago: people, conversations, groups."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final

from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bots.slack.calls import Calls
from bots.slack.records import Conversation, Json, Person, mapping, texts
from bots.slack.troubles import Gone
from core.fresh import Fresh

_PERSON_SECONDS: Final = 600.0
_PLACE_SECONDS: Final = 60.0
_PAGE: Final = 200
_MEMBERS_PAGE: Final = 999  # at once: before a window there is time for few calls only
_MOST_PAGES: Final = 100
_KINDS: Final = ("public_channel", "private_channel", "mpim", "im")


class People:
    """Asks `calls`. `clock` gives seconds. Methods raise as those of `bots.slack.client.Workspace`."""

    def __init__(self, calls: Calls, clock: Callable[[], float]) -> None:
        self.calls = calls
        self._web = calls.web
        self._ask = calls.ask
        self._people: Fresh[Person] = Fresh(_PERSON_SECONDS, clock)
        self._conversations: Fresh[Conversation] = Fresh(_PLACE_SECONDS, clock)
        self._groups: Fresh[frozenset[str]] = Fresh(_PLACE_SECONDS, clock)
        self._inside: Fresh[bool] = Fresh(_PLACE_SECONDS, clock)
        self._where: Fresh[frozenset[str]] = Fresh(_PLACE_SECONDS, clock)

    async def user(self, user_id: str) -> Person:
        """Somebody, as they were at most ten minutes ago."""

        async def ask() -> Person:
            data = await self._ask("users.info", self._web.users_info(user=user_id))
            return Person.from_payload(data.get("user"))

        return await self._people.get(user_id, ask)

    async def channel(self, channel_id: str) -> Conversation:
        """A conversation, as it was at most a minute ago."""

        async def ask() -> Conversation:
            data = await self._ask("conversations.info", self._web.conversations_info(channel=channel_id))
            return Conversation.from_payload(data.get("channel"))

        return await self._conversations.get(channel_id, ask)

    async def few_members(self, channel_id: str, most: int) -> frozenset[str] | None:
        """The ids of those in a conversation; None if they are more than `most`."""
        found: set[str] = set()
        async with aclosing(self._members(channel_id, most + 1)) as pages:
            async for page in pages:
                found.update(page)
                if len(found) > most:
                    return None
        return frozenset(found)

    async def is_member(self, channel_id: str, user_id: str) -> bool:
        """Whether somebody was in a conversation, at most a minute ago; no if that can't be told."""

        async def ask() -> bool:
            async with aclosing(self._members(channel_id, _MEMBERS_PAGE)) as pages:
                async for page in pages:
                    if user_id in page:
                        return True
            return False

        try:
            return await self._inside.get(f"{channel_id}:{user_id}", ask)
        except Gone:
            return False

    async def _members(self, channel_id: str, limit: int) -> AsyncGenerator[tuple[str, ...], None]:
        def call(cursor: str | None) -> Awaitable[AsyncSlackResponse]:
            return self._web.conversations_members(channel=channel_id, limit=limit, cursor=cursor)

        async with aclosing(self._pages("conversations.members", call)) as pages:
            async for page in pages:
                yield texts(page.get("members"))

    async def group_members(self, group_id: str) -> frozenset[str]:
        """The ids of a user group's members, as of at most a minute ago."""

        async def ask() -> frozenset[str]:
            call = self._web.usergroups_users_list(usergroup=group_id)
            return frozenset(texts((await self._ask("usergroups.users.list", call)).get("users")))

        return await self._groups.get(group_id, ask)

    async def conversations_of(self, user_id: str) -> frozenset[str]:
        """The ids of the conversations that somebody is in, as of at most a minute ago: public channels, and
        of the others those that the app is in too."""

        async def ask() -> frozenset[str]:
            def call(cursor: str | None) -> Awaitable[AsyncSlackResponse]:
                return self._web.users_conversations(user=user_id, types=_KINDS, limit=_PAGE, cursor=cursor)

            pages = self._pages("users.conversations", call)
            return frozenset([each async for page in pages for each in _ids(page.get("channels"))])

        return await self._where.get(user_id, ask)

    async def _pages(
        self, method: str, call: Callable[[str | None], Awaitable[AsyncSlackResponse]]
    ) -> AsyncGenerator[Json, None]:
        """The pages of what `call` asks for from a cursor on; an endless list ends somewhere."""
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            data = await self._ask(method, call(cursor))
            yield data
            if not (cursor := next_cursor(data)):
                return


def next_cursor(data: Json) -> str:
    """Where the next page of an answer begins, empty after the last."""
    found = mapping(data.get("response_metadata")).get("next_cursor")
    return found if isinstance(found, str) else ""


def _ids(value: object) -> tuple[str, ...]:
    return texts([mapping(each).get("id") for each in value]) if isinstance(value, list) else ()
