"""Slack's Web API: who calls, with which arguments, whether they may, and what goes wrong on command."""

from __future__ import annotations

import asyncio
import json
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from tests.vendors.faults import Fault
from tests.vendors.slack_delivery import Deliveries, Delivery
from tests.vendors.slack_limits import invalid
from tests.vendors.slack_model import Channel, Installation, Json, Message, Refused, Slack
from tests.vendors.slack_payloads import App, callback, message_event
from tests.vendors.slack_scopes import EVENT_SCOPES, METHODS, Rates, check

Trouble = Fault | Literal["cut", "hang", "lost"]
"""An answer instead of the right one; or the connection ends at once, or it stays open without an answer, or
the call takes effect and then the connection ends."""

_MESSAGE_EVENTS = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}


def refusal(error: str, **extra: Any) -> Fault:
    """The answer `ok: false`, with status 200 as Slack has it."""
    return Fault(status=200, body=json.dumps({"ok": False, "error": error, **extra}))


def rate_limited(seconds: int = 1) -> Fault:
    return Fault(
        status=429, body='{"ok": false, "error": "ratelimited"}', headers={"Retry-After": str(seconds)}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request of the Web API that was answered. `at` is seconds of the server's clock, `error` None if it
    was `ok`, `answer` what was sent back (also where the connection was cut then)."""

    method: str
    args: Mapping[str, Any]
    token: str
    at: float
    answer: Json

    @property
    def error(self) -> str | None:
        return None if self.answer["ok"] else str(self.answer["error"])


@dataclass(slots=True)
class Hold:
    """A call that waits: `arrived` is set once it came, `release` lets it go on."""

    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _go: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        self._go.set()

    async def wait(self) -> None:
        self.arrived.set()
        await self._go.wait()


@dataclass(frozen=True, slots=True)
class Args:
    """Arguments of a call, from the query, a form or a JSON body."""

    values: Mapping[str, Any]

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        return str(value) if value not in (None, "") else None

    def need(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise invalid("invalid_arguments", f"missing required field: {name}")
        return value

    def flag(self, name: str) -> bool:
        return str(self.values.get(name, "")).lower() in ("1", "true")

    def number(self, name: str, default: int, most: int) -> int:
        value = self.text(name)
        if value is None:
            return default
        if not value.isdecimal() or not 0 < int(value) <= most:
            raise invalid("invalid_arguments", f"{name} must be 1 to {most}")
        return int(value)

    def json(self, name: str, error: str = "invalid_arguments") -> Any:
        """A structured argument, None if it was not sent."""
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            raise invalid(error, f"{name} is not JSON") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls: an installation, and the workspace it speaks of; neither for an app token or OAuth."""

    installed: Installation
    team: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Installer:
    """A person at the OAuth page: into which workspace (None: all of an enterprise), or declines."""

    user: str
    team: str | None
    enterprise_id: str | None = None
    declines: bool = False


@dataclass(slots=True, kw_only=True)
class Code:
    """What oauth.v2.access exchanges."""

    installer: Installer
    scopes: frozenset[str]
    redirect_uri: str
    until: float
    used: bool = False


Handler = Callable[["Api", Caller, Args], Json]


@dataclass(slots=True)
class Api:
    """The Web API and everything behind it. `rates` None: nobody is limited. `dead_thread` is the error for a
    reply to a message that does not exist, None accepts it. `violations` are things that no app may ever do.
    `sign_in` is how a download without a good token ends. `upload_lag` is how many requests of files.info do
    not see yet where an upload was shared. `history_seconds` is 60 for an app that is distributed outside the
    Marketplace: how long it waits between two pages of conversations.history or conversations.replies, which
    are short then (that a longer `limit` is cut, not refused, is unverified); 0.0 for all others. `installer`
    presses Allow on the OAuth page."""

    slack: Slack
    app: App
    deliveries: Deliveries
    handlers: Mapping[str, Handler]
    origin: str = ""
    calls: list[Call] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    rates: Rates | None = None
    dead_thread: str | None = "thread_not_found"
    sign_in: Literal["redirect", "page"] = "redirect"
    upload_lag: int = 0
    history_seconds: float = 0.0
    installer: Installer | None = None
    rotates_tokens: bool = False
    codes: dict[str, Code] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    changed: Callable[[], None] = lambda: None
    _troubles: defaultdict[str, list[Trouble]] = field(default_factory=lambda: defaultdict(list))
    _histories: dict[tuple[str, str], float] = field(default_factory=dict)
    _holds: defaultdict[str, list[Hold]] = field(default_factory=lambda: defaultdict(list))

    def fail(self, method: str, *troubles: Trouble) -> None:
        """Answer the next calls of `method` ("chat.update", "download", "upload") with these, one each."""
        self._troubles[method] += troubles

    def hold(self, method: str) -> Hold:
        """Keep the next call of `method` waiting before it takes effect."""
        hold = Hold()
        self._holds[method].append(hold)
        return hold

    async def serve(
        self, method: str, request: web.Request, answer: Callable[[], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """`answer`, or what goes wrong instead."""
        if self._holds[method]:
            await self._holds[method].pop(0).wait()
        trouble = self._troubles[method].pop(0) if self._troubles[method] else None
        if isinstance(trouble, Fault):
            await request.read()
            return web.Response(
                status=trouble.status,
                text=trouble.body,
                content_type=trouble.content_type,
                headers=trouble.headers,
            )
        if trouble == "hang":
            await self.over.wait()
        response = web.Response() if trouble in ("cut", "hang") else await answer()
        if trouble is not None and request.transport is not None:
            request.transport.abort()
        return response

    async def handle(self, request: web.Request) -> web.StreamResponse:
        method = request.path.rpartition("/")[2]
        return await self.serve(method, request, lambda: self._answer(method, request))

    async def _answer(self, method: str, request: web.Request) -> web.StreamResponse:
        token, args = await self._read(method, request)
        headers: dict[str, str] = {}
        status = 200
        try:
            granted, caller = self._caller(method, token, args)
            headers["X-OAuth-Scopes"] = ",".join(sorted(granted))
            check(method, granted)
            if wait := self._limited(method, caller, args):
                status, headers["Retry-After"] = 429, str(max(1, math.ceil(wait)))
                raise Refused("ratelimited")  # noqa: TRY301 - one place makes answers
            answer: Json = {"ok": True, **self.handlers[method](self, caller, args)}
        except Refused as refused:
            answer = {"ok": False, "error": refused.error, **refused.extra}
        self.calls.append(
            Call(method=method, args=args.values, token=token, at=self.slack.clock(), answer=answer)
        )
        self.changed()
        return web.json_response(answer, status=status, headers=headers)

    async def _read(self, method: str, request: web.Request) -> tuple[str, Args]:
        values: dict[str, Any] = dict(request.query)
        if "token" in values:
            self.violations.append(f"a token in the address of {method}")
        if request.content_type == "application/json" and request.can_read_body:
            if METHODS[method].reads_json:
                values |= await request.json()
        elif request.method == "POST":
            values |= {
                name: value for name, value in (await request.post()).items() if isinstance(value, str)
            }
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        posted = str(values.pop("token", ""))
        if kind == "Basic":
            values["basic"] = token
            token = ""
        return token or posted, Args(values)

    def _caller(self, method: str, token: str, args: Args) -> tuple[frozenset[str], Caller]:
        wanted = METHODS[method].token
        nobody = Installation(
            token="",
            team=None,
            enterprise_id=None,
            bot_user_id="",
            bot_id="",
            scopes=frozenset(),
            installer="",
        )
        if not wanted:
            return frozenset(), Caller(installed=nobody, team=None)
        if not token:
            raise Refused("not_authed")
        if token in self.app.app_tokens:
            if wanted != "xapp":
                raise Refused("not_allowed_token_type")
            return self.app.app_tokens[token], Caller(installed=nobody, team=None)
        installed = self.installation(token)
        if wanted != "xoxb":
            raise Refused("not_allowed_token_type")
        team = installed.team or args.text("team_id")
        if team is not None and team not in self.slack.teams_of(installed):
            raise Refused("team_access_not_granted")
        return installed.scopes, Caller(installed=installed, team=team)

    def installation(self, token: str) -> Installation:
        """Whose token it is; refused where it is not good any more."""
        for installed in self.slack.installations:
            if installed.token == token:
                if installed.state != "active":
                    raise Refused("token_revoked" if installed.state == "revoked" else "account_inactive")
                if installed.expires_at is not None and self.slack.clock() >= installed.expires_at:
                    raise Refused("token_expired")
                return installed
        raise Refused("invalid_auth")

    def _limited(self, method: str, caller: Caller, args: Args) -> float:
        whose = caller.installed.team or caller.installed.enterprise_id or ""
        if self.history_seconds and method in {"conversations.history", "conversations.replies"}:
            now, last = self.slack.clock(), self._histories.get((method, whose), 0.0)
            if now < last + self.history_seconds:
                return last + self.history_seconds - now
            self._histories[method, whose] = now
        if self.rates is None:
            return 0.0
        return self.rates.wait(method, whose, args.text("channel"))

    # What handlers share

    def conversation(self, method: str, caller: Caller, channel_id: str, *, member: bool = True) -> Channel:
        """A conversation that the caller may use for `method`; `member`: only if its bot is in it."""
        installed = caller.installed
        channel = self.slack.channels.get(channel_id)
        if channel is None or not set(channel.teams) & set(self.slack.teams_of(installed)):
            raise Refused("channel_not_found")
        inside = installed.bot_user_id in channel.members
        if channel.is_private and not inside:
            raise Refused("channel_not_found")
        check(method, installed.scopes, channel.kind)
        if member and not inside:
            raise Refused("not_in_channel")
        return channel

    def message(self, channel: Channel, ts: str) -> Message:
        message = channel.messages.get(ts)
        if message is None or message.deleted:
            raise Refused("message_not_found")
        return message

    def check_thread(self, channel: Channel, thread_ts: str | None) -> None:
        """Refuse a reply where there is nothing to reply to."""
        if thread_ts is None:
            return
        parent = channel.messages.get(thread_ts)
        if parent is None or (parent.deleted and not self.slack.replies(channel, thread_ts)):
            if self.dead_thread is not None:
                raise Refused(self.dead_thread)
        elif parent.is_reply:
            raise Refused("cannot_reply_to_message")

    def emit(
        self, event: Json, channel: Channel | None, *, installed: Installation | None = None, copies: int = 1
    ) -> Delivery | None:
        """Send an event where the app subscribed to it, is in the conversation and has the scope."""
        kind = str(event["type"])
        name = f"message.{_MESSAGE_EVENTS[channel.kind]}" if kind == "message" and channel else kind
        if name not in self.app.events:
            return None
        found = [installed] if installed or channel is None else self.slack.installations_in(channel)
        for one in filter(None, found):
            scope = EVENT_SCOPES[kind]
            needed = (
                scope if channel is None or scope is None or isinstance(scope, str) else scope[channel.kind]
            )
            if needed is None or needed in one.scopes:
                teams = self.slack.teams_of(one)
                team = next((t for t in channel.teams if t in teams), teams[0]) if channel else teams[0]
                shared = channel is not None and bool(channel.shared_with)
                body = callback(self.slack, self.app, one, event, team=team, shared=shared)
                return self.deliveries.add("events_api", body, copies=copies)
        return None

    def emit_message(self, message: Message, *, copies: int = 1) -> Delivery | None:
        channel = self.slack.channels[message.channel]
        return self.emit(message_event(self.slack, self.app, message, self.origin), channel, copies=copies)
