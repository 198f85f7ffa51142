"""Microsoft Graph as the app: messages, and who owns teams. Files are in `bots.teams.drives`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import quote

import httpx

from bots.teams.calls import Answer, Calls
from bots.teams.hosts import Forbidden, Hosts, parsed
from bots.teams.records import ChatMessage, Json, Person, Place, objects, text
from bots.teams.settings import Registration, TeamsSettings, graph_scope
from bots.teams.tokens import AppToken
from bots.teams.troubles import Denied, Need, from_graph
from core.errors import Transient

CHANNEL_MESSAGES: Final = Need(
    doing="read the messages of this channel",
    permission="ChannelMessage.Read.All",
    here="ChannelMessage.Read.Group",
)
CHAT_MESSAGES: Final = Need(
    doing="read the messages of this chat", permission="Chat.Read.All", here="ChatMessage.Read.Chat"
)
TEAM_MEMBERS: Final = Need(
    doing="see who owns this team", permission="TeamMember.Read.All", here="TeamMember.Read.Group"
)

_PAGES: Final = 100
_GUID: Final = re.compile(r"[0-9a-fA-F-]{36}")
# Else Graph calls the message about a meeting's recording "unknownFutureValue".
_ALL_KINDS: Final = {"Prefer": "include-unknown-enum-members"}

LAG_SECONDS: Final = 15.0
"""For which Graph may not show a message yet that Teams told of, or took."""


class Graph:
    """Graph with the token of the app `registration`; without one, in local development, all is denied.

    `client` comes from `hosts.client()`; its owner closes it. Methods raise what `bots.teams.troubles`
    describes: Transient, Denied (MissingPermission, which names what an admin must grant) or Refused (Gone,
    Conflict).
    """

    def __init__(
        self,
        settings: TeamsSettings,
        registration: Registration | None,
        *,
        hosts: Hosts,
        client: httpx.AsyncClient,
    ) -> None:
        self.hosts = hosts
        self.client = client
        self._base = settings.graph_base_url

        async def scope() -> str:
            return graph_scope(settings)

        self._calls = None
        if registration is not None:
            token = AppToken(client, registration, login_base_url=settings.login_base_url, scope=scope)
            self._calls = Calls(client, who="Microsoft Graph", token=token)

    # asking

    async def ask(
        self,
        need: Need,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to a request for `path`, which begins with a slash and is quoted, or is a whole address
        of Graph's. A redirect is not followed."""
        if self._calls is None:
            raise Denied("There is no Microsoft Graph in local development.", code="local_development")
        url = parsed(self._base + path if path.startswith("/") else path)
        if _origin(url) != _origin(httpx.URL(self._base)):
            raise Forbidden(f"Microsoft Graph pointed to {url.host} for more.")
        return await self._calls.ask(
            method,
            url,
            doing=need.doing,
            trouble=partial(from_graph, need),
            json=json,
            content=content,
            headers=headers,
        )

    async def get(self, need: Need, path: str, *, headers: Mapping[str, str] | None = None) -> Json:
        """What lies at `path`."""
        return (await self.ask(need, "GET", path, headers=headers)).data

    async def listed(
        self, need: Need, path: str, *, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[Json]:
        """The entries of the list at `path`, page by page."""
        for _ in range(_PAGES):
            page = await self.get(need, path, headers=headers)
            for each in objects(page.get("value")):
                yield each
            if not (path := text(page, "@odata.nextLink")):
                return

    # messages

    async def message(self, place: Place, message: str, *, root: str = "") -> ChatMessage:
        """A message; in a channel, `root` is the post whose thread it is in. Raises Gone if there is none."""
        path, need = _messages(place)
        if place.channel and root and root != message:
            path = f"{path}/{quoted(root)}/replies"
        found = ChatMessage.from_payload(
            await self.get(need, f"{path}/{quoted(message)}", headers=_ALL_KINDS)
        )
        if not found.id:
            raise Transient("Microsoft Graph answered without a message.")
        return found

    async def recent(self, place: Place, *, root: str = "") -> AsyncIterator[ChatMessage]:
        """The messages of a chat, or the replies to the post `root` of a channel, the newest first."""
        path, need = _messages(place)
        if place.channel:
            path = f"{path}/{quoted(root)}/replies"
        async for each in self.listed(need, f"{path}?$top=50", headers=_ALL_KINDS):
            yield ChatMessage.from_payload(each)

    # people

    async def member(self, team: str, user: str) -> Person | None:
        """Somebody of a team, both by the directory's ids; None if they are not in it. Only they are asked
        for: teams have up to 25,000 members."""
        if not _GUID.fullmatch(user):
            return None
        which = quoted(f"(microsoft.graph.aadUserConversationMember/userId eq '{user}')")
        async for each in self.listed(TEAM_MEMBERS, f"/teams/{quoted(team)}/members?$filter={which}"):
            if (person := Person.from_payload(each)).id == user:
                return person
        return None


def quoted(part: str) -> str:
    """One part of a path."""
    return quote(part, safe="!")


def _messages(place: Place) -> tuple[str, Need]:
    if place.channel:
        channel = f"/teams/{quoted(place.team)}/channels/{quoted(place.channel)}"
        return f"{channel}/messages", CHANNEL_MESSAGES
    return f"/chats/{quoted(place.chat)}/messages", CHAT_MESSAGES


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
