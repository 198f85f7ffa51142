"""Graph v1.0 for conversations and people: messages, members, teams, users."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from tests.vendors.teams_items import Drive
from tests.vendors.teams_login import GRAPH, Login
from tests.vendors.teams_model import Conversation, Json, Message, Microsoft, Team, User
from tests.vendors.teams_payloads import Payloads
from tests.vendors.teams_permissions import PERMISSIONS, check
from tests.vendors.teams_traffic import Refused, Traffic

VERSION = "v1.0"
_MEMBER = re.compile(r"\(microsoft\.graph\.aadUserConversationMember/userId eq '([0-9a-f-]+)'\)")


@dataclass(slots=True)
class Graph:
    """`permissions` can be changed, operation by operation. A list has `page` entries, or `$top`. A message
    is only shown once it is `lag` seconds old."""

    m365: Microsoft
    login: Login
    traffic: Traffic
    payloads: Payloads
    origin: str = ""
    page: int = 20
    lag: float = 0.0
    permissions: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(PERMISSIONS))

    def allow(
        self,
        request: web.Request,
        operation: str,
        *,
        rsc: frozenset[str] = frozenset(),
        drive: Drive | None = None,
    ) -> None:
        """Refuse a caller without a token or without the permission."""
        claims = self.login.caller(request, GRAPH)
        roles = frozenset(claims.get("roles", ()))
        check(operation, roles, wanted=self.permissions, rsc=rsc, drive=drive)

    def listed(
        self, request: web.Request, things: Sequence[Any], show: Callable[[Any], Json]
    ) -> web.StreamResponse:
        """A page of a list, and where the next one is."""
        start = int(request.query.get("$skiptoken", "0"))
        size = min(int(request.query.get("$top", self.page)), self.page)
        answer: Json = {"@odata.context": f"https://graph.microsoft.com/{VERSION}/$metadata"}
        answer["value"] = [show(thing) for thing in things[start : start + size]]
        answer["@odata.count"] = len(answer["value"])
        if start + size < len(things):
            query = dict(parse_qsl(request.query_string)) | {"$skiptoken": str(start + size)}
            answer["@odata.nextLink"] = f"{self.origin}{request.rel_url.raw_path}?{urlencode(query)}"
        return web.json_response(answer)

    # Where

    def team(self, name: str) -> Team:
        team = self.m365.teams.get(name)
        if team is None:
            raise Refused(404, "NotFound", f"No team found with Group Id {name}")
        return team

    def _channel(self, request: web.Request, operation: str) -> Conversation:
        found = self.m365.teams.get(request.match_info["team"])
        rsc = found.rsc if found is not None and found.installed else frozenset()
        self.allow(request, operation, rsc=rsc)
        team = self.team(request.match_info["team"])
        name = request.match_info["channel"]
        if name not in team.channels or self.m365.conversations[name].gone:
            raise Refused(404, "NotFound", "The channel was not found.")
        return self.m365.conversations[name]

    def _chat(self, request: web.Request, operation: str) -> Conversation:
        name = request.match_info["chat"]
        chat = next((c for c in self.m365.conversations.values() if c.chat_id == name), None)
        self.allow(request, operation, rsc=self.m365.rsc(chat) if chat is not None else frozenset())
        if chat is None or chat.gone:
            raise Refused(404, "NotFound", "The chat was not found.")
        return chat

    # Messages

    async def channel_message(self, request: web.Request) -> web.StreamResponse:
        channel = self._channel(request, "channel message")
        return self._message(request, channel, request.match_info["message"], root=True)

    async def channel_reply(self, request: web.Request) -> web.StreamResponse:
        channel = self._channel(request, "channel message")
        post, name = request.match_info["message"], request.match_info["reply"]
        found = channel.messages.get(name)
        if found is not None and (found.root != post or not found.is_reply):
            raise Refused(404, "NotFound", "The reply was not found in this thread.")
        return self._message(request, channel, name, root=False)

    def _message(
        self, request: web.Request, conversation: Conversation, name: str, *, root: bool
    ) -> web.StreamResponse:
        message = conversation.messages.get(name)
        if message is None or (root and message.is_reply) or not self._appeared(message):
            raise Refused(404, "NotFound", "The message was not found.")
        unknown = "include-unknown-enum-members" in request.headers.get("Prefer", "")
        return web.json_response(self.payloads.graph_message(conversation, message, unknown=unknown))

    async def channel_replies(self, request: web.Request) -> web.StreamResponse:
        channel = self._channel(request, "channel message")
        if request.match_info["message"] not in channel.messages:
            raise Refused(404, "NotFound", "The message was not found.")
        replies = filter(self._appeared, self.m365.replies(channel, request.match_info["message"]))
        return self.listed(request, list(replies)[::-1], self._shown(channel))

    def _appeared(self, message: Message) -> bool:
        return self.m365.clock() - message.at >= self.lag

    def _shown(self, conversation: Conversation) -> Callable[[Message], Json]:
        return lambda message: self.payloads.graph_message(conversation, message)

    async def chat_message(self, request: web.Request) -> web.StreamResponse:
        chat = self._chat(request, "chat message")
        return self._message(request, chat, request.match_info["message"], root=False)

    async def chat_messages(self, request: web.Request) -> web.StreamResponse:
        chat = self._chat(request, "chat message")
        messages = filter(self._appeared, chat.messages.values())
        return self.listed(request, list(messages)[::-1], self._shown(chat))

    # Teams and people

    async def chat_members(self, request: web.Request) -> web.StreamResponse:
        chat = self._chat(request, "chat members")
        users = [self.m365.users[name] for name in chat.members]
        return self.listed(request, users, lambda user: self._member(chat.chat_id, user, owner=True))

    async def one_team(self, request: web.Request) -> web.StreamResponse:
        found = self.m365.teams.get(request.match_info["team"])
        rsc = found.rsc if found is not None and found.installed else frozenset()
        self.allow(request, "team", rsc=rsc)
        team = self.team(request.match_info["team"])
        shown: Json = {"id": team.id, "displayName": team.name, "internalId": team.thread_id}
        return web.json_response(shown | {"tenantId": team.tenant, "isArchived": False})

    async def team_members(self, request: web.Request) -> web.StreamResponse:
        found = self.m365.teams.get(request.match_info["team"])
        rsc = found.rsc if found is not None and found.installed else frozenset()
        self.allow(request, "team members", rsc=rsc)
        team = self.team(request.match_info["team"])
        users = [self.m365.users[name] for name in team.members]
        if (asked := request.query.get("$filter")) is not None:
            wanted = _MEMBER.fullmatch(asked)
            if wanted is None:
                raise Refused(400, "BadRequest", "Invalid filter clause.")
            users = [user for user in users if user.id == wanted[1]]
        return self.listed(
            request, users, lambda user: self._member(team.id, user, owner=user.id in team.owners)
        )

    def _member(self, where: str, user: User, *, owner: bool) -> Json:
        member: Json = {"@odata.type": "#microsoft.graph.aadUserConversationMember"}
        member |= {"id": f"{where}##{user.id}", "roles": ["owner"] if owner else []}
        member |= {"displayName": user.name, "userId": user.id, "email": user.mail}
        return member | {"tenantId": user.tenant}

    async def owners(self, request: web.Request) -> web.StreamResponse:
        self.allow(request, "owners")
        team = self.team(request.match_info["team"])
        return self.listed(request, [self.m365.users[name] for name in team.owners], self._user)

    def _user(self, user: User) -> Json:
        given, _, surname = user.name.partition(" ")
        shown: Json = {"id": user.id, "displayName": user.name, "givenName": given, "surname": surname}
        return shown | {"mail": user.mail, "userPrincipalName": user.mail}

    def person(self, name: str) -> User:
        user = next((u for u in self.m365.users.values() if name in (u.id, u.mail)), None)
        if user is None or user.deleted:
            message = f"Resource '{name}' does not exist or one of its queried reference objects is missing."
            raise Refused(404, "Request_ResourceNotFound", message)
        return user

    async def user(self, request: web.Request) -> web.StreamResponse:
        self.allow(request, "user")
        return web.json_response(self._user(self.person(request.match_info["user"])))

    def add_routes(self, router: web.UrlDispatcher) -> None:
        at, here = self.traffic.route, f"/{VERSION}"
        message = f"{here}/teams/{{team}}/channels/{{channel}}/messages/{{message}}"
        router.add_get(message, at("graph", "channel message", self.channel_message))
        router.add_get(f"{message}/replies", at("graph", "replies", self.channel_replies))
        router.add_get(f"{message}/replies/{{reply}}", at("graph", "reply message", self.channel_reply))
        router.add_get(f"{here}/chats/{{chat}}/messages", at("graph", "chat messages", self.chat_messages))
        one = f"{here}/chats/{{chat}}/messages/{{message}}"
        router.add_get(one, at("graph", "chat message", self.chat_message))
        router.add_get(f"{here}/chats/{{chat}}/members", at("graph", "chat members", self.chat_members))
        router.add_get(f"{here}/teams/{{team}}", at("graph", "graph team", self.one_team))
        router.add_get(f"{here}/teams/{{team}}/members", at("graph", "team members", self.team_members))
        router.add_get(f"{here}/groups/{{team}}/owners", at("graph", "owners", self.owners))
        router.add_get(f"{here}/users/{{user}}", at("graph", "user", self.user))
