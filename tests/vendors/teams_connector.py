"""The Bot Connector: a bot's messages, edits and deletions, members, and new conversations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.vendors.teams_content import check
from tests.vendors.teams_login import CONNECTOR, Login
from tests.vendors.teams_model import Conversation, Json, Message, Microsoft, Team, User, Version
from tests.vendors.teams_rates import Rates
from tests.vendors.teams_traffic import Refused, Traffic, json_of

REGION = "emea"


@dataclass(slots=True)
class Connector:
    """`region` is part of the address, and may change. `rates` None: nobody is limited. `dead_thread` is the
    error for a reply to a post that never was, None accepts it. Pages of members have `page` people unless a
    caller asks for 50 to 500."""

    m365: Microsoft
    login: Login
    traffic: Traffic
    origin: str = ""
    region: str = REGION
    rates: Rates | None = None
    dead_thread: str | None = "ActivityNotFoundInConversation"
    page: int = 200
    smallest_page: int = 50

    def service_url(self, tenant: str) -> str:
        """Where a bot reaches the conversations of a tenant."""
        return f"{self.origin}/{self.region}/{tenant}/"

    # Who calls about what

    def _conversation(self, request: web.Request) -> tuple[Conversation, str | None]:
        self.login.caller(request, CONNECTOR)
        if request.match_info["region"] != self.region:
            raise Refused(404, "ConversationNotFound", "Conversation not found.")
        conversation, root = self.m365.find(request.match_info["conversation"])
        if conversation is None:
            team = self._team(request.match_info["conversation"])
            conversation = self.m365.conversations[team.channels[0]] if team else None
        if conversation is None or conversation.gone or conversation.tenant != request.match_info["tenant"]:
            raise Refused(404, "ConversationNotFound", "Conversation not found.")
        if conversation.blocked:
            raise Refused(403, "ConversationBlockedByUser", "User blocked the conversation with the bot.")
        if not self.m365.installed(conversation):
            raise Refused(
                403, "BotNotInConversationRoster", "The bot is not part of the conversation roster."
            )
        return conversation, root

    def _team(self, name: str) -> Team | None:
        return next((t for t in self.m365.teams.values() if t.thread_id == name), None)

    def _limit(self, operation: str, conversation: str, tenant: str) -> None:
        if self.rates is None:
            return
        if wait := self.rates.wait(operation, conversation, tenant):
            headers = {"Retry-After": str(max(1, math.ceil(wait)))}
            raise Refused(429, "Throttled", "Too many requests.", headers=headers)

    def _own(self, conversation: Conversation, name: str) -> Message:
        message = conversation.messages.get(name)
        if message is None or message.deleted:
            raise Refused(404, "ActivityNotFoundInConversation", "Conversation not found.")
        if not message.is_of_bot:
            raise Refused(403, "NotEnoughPermissions", "The message is not the bot's.")
        return message

    # Messages

    async def send(self, request: web.Request) -> web.StreamResponse:
        """POST /v3/conversations/{conversation}/activities"""
        conversation, root = self._conversation(request)
        return await self._post(request, conversation, root)

    async def reply(self, request: web.Request) -> web.StreamResponse:
        """POST /v3/conversations/{conversation}/activities/{activity}"""
        conversation, root = self._conversation(request)
        answered = conversation.messages.get(request.match_info["activity"])
        if root is None and conversation.kind == "channel" and answered is not None:
            root = answered.root
        return await self._post(request, conversation, root)

    async def _post(
        self, request: web.Request, conversation: Conversation, root: str | None
    ) -> web.StreamResponse:
        self._limit("send", conversation.id, conversation.tenant)
        activity = await json_of(request)
        if activity.get("type") == "typing":
            return web.json_response({}, status=201)
        message = self.say(conversation, root, activity)
        return web.json_response({"id": message.id}, status=201)

    def say(self, conversation: Conversation, root: str | None, activity: Json) -> Message:
        """Put a message of the bot into a conversation."""
        if activity.get("type") != "message":
            raise Refused(400, "BadArgument", f"Unknown activity type {activity.get('type')}.")
        if root is not None and conversation.kind != "channel":
            raise Refused(400, "BadArgument", "Only channels have threads.")
        if root is not None and root not in conversation.messages and self.dead_thread is not None:
            raise Refused(404, self.dead_thread, "Conversation not found.")
        self._check(activity, conversation)
        now, name = self.m365.clock(), self.m365.message_id()
        message = Message(id=name, conversation=conversation.id, sender=None, text="", at=now, root=root)
        if conversation.kind == "channel" and root is None:
            message.root = name
        self._set(message, activity)
        conversation.messages[name] = message
        return message

    def _check(self, activity: Json, conversation: Conversation) -> None:
        try:
            check(activity, conversation, self.m365)
        except Refused as refused:
            if refused.status == 400:
                self.traffic.violations.append(f"a message that Teams cannot show: {refused.message}")
            raise

    def _set(self, message: Message, activity: Json) -> None:
        message.text = activity.get("text") or ""
        message.attachments = list(activity.get("attachments") or ())
        message.versions.append(
            Version(
                at=self.m365.clock(), text=message.text, attachments=message.attachments, activity=activity
            )
        )

    async def update(self, request: web.Request) -> web.StreamResponse:
        """PUT /v3/conversations/{conversation}/activities/{activity}"""
        conversation, _ = self._conversation(request)
        self._limit("send", conversation.id, conversation.tenant)
        message, activity = self._own(conversation, request.match_info["activity"]), await json_of(request)
        self._check(activity, conversation)
        self._set(message, activity)
        message.edited_at = self.m365.clock()
        message.views.clear()
        return web.json_response({"id": message.id})

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """DELETE /v3/conversations/{conversation}/activities/{activity}"""
        conversation, _ = self._conversation(request)
        self._limit("send", conversation.id, conversation.tenant)
        self._own(conversation, request.match_info["activity"]).deleted_at = self.m365.clock()
        return web.Response()

    # Conversations and their members

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST /v3/conversations: a chat with a person, or a new post in a channel."""
        self.login.caller(request, CONNECTOR)
        body, tenant = await json_of(request), request.match_info["tenant"]
        self._limit("create", tenant, tenant)
        channel = ((body.get("channelData") or {}).get("channel") or {}).get("id")
        if channel is not None:
            return self._new_post(tenant, str(channel), body)
        members = [member.get("id") for member in body.get("members") or ()]
        if len(members) != 1 or body.get("isGroup"):
            raise Refused(400, "BadArgument", "A bot opens chats with one person only.")
        user = self._user(str(members[0]))
        asked = body.get("tenantId") or ((body.get("channelData") or {}).get("tenant") or {}).get("id")
        if user is None or user.tenant != tenant or asked != tenant:
            raise Refused(404, "ConversationNotFound", "Conversation not found.")
        conversation = self.personal(user)
        if conversation is None or not self._reaches(user, conversation):
            message = "Bot isn't installed in user's personal scope"
            raise Refused(403, "ForbiddenOperationException", message)
        conversation.installed = True
        answer: Json = {"id": conversation.id}
        if body.get("activity"):
            answer["activityId"] = self.say(conversation, None, body["activity"]).id
        return web.json_response(answer, status=201)

    def _new_post(self, tenant: str, channel: str, body: Json) -> web.StreamResponse:
        conversation = self.m365.conversations.get(channel)
        if conversation is None or conversation.gone or conversation.tenant != tenant:
            raise Refused(404, "ConversationNotFound", "Conversation not found.")
        if not self.m365.installed(conversation):
            raise Refused(
                403, "BotNotInConversationRoster", "The bot is not part of the conversation roster."
            )
        if not isinstance(body.get("activity"), dict):
            raise Refused(400, "BadArgument", "Activity is missing.")
        message = self.say(conversation, None, body["activity"])
        answer = {"id": f"{channel};messageid={message.id}", "activityId": message.id}
        return web.json_response(answer, status=201)

    def personal(self, user: User) -> Conversation | None:
        """The chat of a person with the bot."""
        for conversation in self.m365.conversations.values():
            if conversation.kind == "personal" and conversation.members == [user.id]:
                return conversation
        return None

    def _reaches(self, user: User, chat: Conversation) -> bool:
        return chat.installed or any(
            user.id in self.m365.members(c) and self.m365.installed(c)
            for c in self.m365.conversations.values()
        )

    def _user(self, name: str) -> User | None:
        return next((u for u in self.m365.users.values() if name in (u.mri, u.id, u.mail)), None)

    def account(self, user: User) -> Json:
        """A member as the Bot Connector describes one."""
        given, _, surname = user.name.partition(" ")
        account: Json = {"id": user.mri, "name": user.name, "objectId": user.id, "aadObjectId": user.id}
        account |= {"givenName": given, "surname": surname, "email": user.mail}
        account["userRole"] = "guest" if user.guest else "user"
        principal = f"{user.mail.replace('@', '_')}#EXT#@acme.example" if user.guest else user.mail
        return account | {"userPrincipalName": principal, "tenantId": user.tenant}

    def _members(self, request: web.Request) -> tuple[Conversation, list[User]]:
        conversation, _ = self._conversation(request)
        self._limit("members", conversation.id, conversation.tenant)
        return conversation, [self.m365.users[name] for name in self.m365.members(conversation)]

    async def members(self, request: web.Request) -> web.StreamResponse:
        _, users = self._members(request)
        return web.json_response([self.account(user) for user in users])

    async def paged_members(self, request: web.Request) -> web.StreamResponse:
        """GET /v3/conversations/{conversation}/pagedmembers"""
        _, users = self._members(request)
        asked = request.query.get("pageSize")
        size = self.page if asked is None else min(max(int(asked), self.smallest_page), 500)
        token = request.query.get("continuationToken", "p0")
        if not token[1:].isdecimal():
            raise Refused(400, "BadArgument", "Unknown continuationToken.")
        start = int(token[1:])
        answer: Json = {"members": [self.account(user) for user in users[start : start + size]]}
        if start + size < len(users):
            answer["continuationToken"] = f"p{start + size}"
        return web.json_response(answer)

    async def member(self, request: web.Request) -> web.StreamResponse:
        _, users = self._members(request)
        user = self._user(request.match_info["member"])
        if user is None or user not in users:
            raise Refused(404, "MemberNotFoundInConversation", "Member not found in conversation.")
        return web.json_response(self.account(user))

    def _own_team(self, request: web.Request) -> Team:
        self.login.caller(request, CONNECTOR)
        team = self._team(request.match_info["team"])
        if team is None or team.tenant != request.match_info["tenant"]:
            raise Refused(404, "TeamNotFound", "Team not found.")
        if not team.installed:
            raise Refused(
                403, "BotNotInConversationRoster", "The bot is not part of the conversation roster."
            )
        return team

    async def team(self, request: web.Request) -> web.StreamResponse:
        """GET /v3/teams/{team}: how Graph calls a team that an activity names."""
        team = self._own_team(request)
        answer: dict[str, Any] = {"id": team.thread_id, "name": team.name, "aadGroupId": team.id}
        answer |= {"channelCount": len(team.channels), "memberCount": len(team.members), "type": "standard"}
        return web.json_response(answer)

    async def channels(self, request: web.Request) -> web.StreamResponse:
        """GET /v3/teams/{team}/conversations; the first channel has no name."""
        team = self._own_team(request)
        found = [self.m365.conversations[name] for name in team.channels]
        listed = [{"id": c.id} | ({} if c.id == team.thread_id else {"name": c.name}) for c in found]
        return web.json_response({"conversations": listed})

    def add_routes(self, router: web.UrlDispatcher) -> None:
        at, here = self.traffic.route, "/{region}/{tenant}/v3"
        talk = f"{here}/conversations/{{conversation}}"
        router.add_post(f"{here}/conversations", at("connector", "create", self.create))
        router.add_post(f"{talk}/activities", at("connector", "send", self.send))
        router.add_post(f"{talk}/activities/{{activity}}", at("connector", "reply", self.reply))
        router.add_put(f"{talk}/activities/{{activity}}", at("connector", "update", self.update))
        router.add_delete(f"{talk}/activities/{{activity}}", at("connector", "delete", self.delete))
        router.add_get(f"{talk}/members", at("connector", "members", self.members))
        router.add_get(f"{talk}/pagedmembers", at("connector", "pagedmembers", self.paged_members))
        router.add_get(f"{talk}/members/{{member}}", at("connector", "member", self.member))
        router.add_get(f"{here}/teams/{{team}}", at("connector", "team", self.team))
        router.add_get(f"{here}/teams/{{team}}/conversations", at("connector", "channels", self.channels))
