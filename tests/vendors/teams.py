"""A Microsoft 365 on this machine: login, Bot Connector, Graph, the host of files, and people.

Facts are those of `platforms.md`, section 2, and of Microsoft's documentation. It is strict where Microsoft
is: tokens, permissions, sizes, shapes of cards and answers, and rates once `limit_rates` is called. It fails
on command with `fail` and `hold`. What no app may ever do, such as sending a token to a host that it is not
for, is put into `violations`, and `serving` raises when it ends.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.vendors import faults
from tests.vendors.teams_answers import BadAnswer
from tests.vendors.teams_connector import Connector
from tests.vendors.teams_content import MAX_MESSAGE, size_of
from tests.vendors.teams_delivery import Deliveries, Delivery, NoAnswer
from tests.vendors.teams_drives import Drives, share_token
from tests.vendors.teams_forms import Missing, inputs, titles
from tests.vendors.teams_graph import VERSION, Graph
from tests.vendors.teams_interactions import Dialog, Interactions, Outcome
from tests.vendors.teams_items import DriveItem, Padded
from tests.vendors.teams_login import FORGERIES, ROLES, App, Forgery, Login
from tests.vendors.teams_model import Conversation, Json, Message, Microsoft, Team, User
from tests.vendors.teams_payloads import Payloads
from tests.vendors.teams_people import File
from tests.vendors.teams_rates import PER_TENANT, Rates
from tests.vendors.teams_storage import Storage
from tests.vendors.teams_traffic import (
    Call,
    Hold,
    Traffic,
    Trouble,
    connector_error,
    graph_error,
    graph_throttled,
    throttled,
)

__all__ = [
    "FORGERIES",
    "MAX_MESSAGE",
    "ROLES",
    "App",
    "BadAnswer",
    "Call",
    "Delivery",
    "Dialog",
    "File",
    "Forgery",
    "Hold",
    "Missing",
    "NoAnswer",
    "Outcome",
    "Padded",
    "TeamsServer",
    "Trouble",
    "connector_error",
    "graph_error",
    "graph_throttled",
    "inputs",
    "serving",
    "share_token",
    "size_of",
    "throttled",
    "titles",
]


@dataclass(slots=True, kw_only=True)
class TeamsServer(Interactions):
    """A Microsoft 365 that runs. `delivery.endpoint` is the bot's; set it before people do anything."""

    login: Login
    traffic: Traffic
    graph: Graph
    drives: Drives
    elsewhere: str = ""
    ahead: float = 0.0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    # What an app is told

    @property
    def openid_metadata(self) -> str:
        """TEAMS_OPENID_METADATA"""
        return self.login.metadata_url

    @property
    def login_url(self) -> str:
        """TEAMS_LOGIN_BASE_URL: /{tenant}/oauth2/v2.0/token is below it."""
        return self.login.origin

    @property
    def graph_url(self) -> str:
        """GRAPH_BASE_URL, version included."""
        return f"{self.graph.origin}/{VERSION}"

    @property
    def settings(self) -> dict[str, str]:
        """What an app is told of this Microsoft 365, as environment variables."""
        return {
            "TEAMS_APP_ID": self.app.id,
            "TEAMS_APP_PASSWORD": self.app.secret,
            "TEAMS_TENANT_ID": self.app.tenant,
            "TEAMS_OPENID_METADATA": self.openid_metadata,
            "TEAMS_LOGIN_BASE_URL": self.login_url,
            "GRAPH_BASE_URL": self.graph_url,
        }

    @property
    def service_url(self) -> str:
        """The serviceUrl of the app's own tenant."""
        return self.connector.service_url(self.app.tenant)

    # What happened

    @property
    def calls(self) -> list[Call]:
        return self.traffic.calls

    @property
    def violations(self) -> list[str]:
        return self.traffic.violations

    @property
    def deliveries(self) -> list[Delivery]:
        return self.delivery.log

    def called(self, name: str) -> list[Call]:
        """The calls of an operation so far, refused ones included."""
        if name not in self.traffic.names:
            raise AssertionError(f"there is no operation {name}, only {sorted(self.traffic.names)}")
        return [call for call in self.calls if call.name == name]

    def events(self, kind: str) -> list[Delivery]:
        """What was sent to the bot of a kind, such as "message" or "fileConsent/invoke"."""
        return [delivery for delivery in self.deliveries if delivery.kind == kind]

    def messages(self, conversation: Conversation, thread: Message | None = None) -> list[Message]:
        """What people see: the posts of a channel, the replies of a thread, the messages of a chat."""
        if thread is not None:
            replies = self.m365.replies(conversation, thread.root or thread.id)
            return [message for message in replies if not message.deleted]
        return [m for m in conversation.messages.values() if not m.deleted and not m.is_reply]

    def of_bot(self, conversation: Conversation, thread: Message | None = None) -> list[Message]:
        """What the bot said, of `messages`."""
        return [m for m in self.messages(conversation, thread) if m.is_of_bot]

    def items(self, owner: User | Team) -> dict[str, DriveItem]:
        """The files of a person or a team that are there, by path."""
        drive = self.m365.drive_of(**({"user": owner.id} if isinstance(owner, User) else {"team": owner.id}))
        return {
            self.m365.path(item): item
            for item in drive.items.values()
            if not item.is_folder and not item.deleted
        }

    def can_open(self, item: DriveItem, user: User) -> bool:
        """Whether somebody who knows a file's address, and the links to it, can open it."""
        drive = self.m365.drives[item.drive]
        whose = [drive.user] if drive.user else self.m365.teams[drive.team or ""].members
        own = user.id in whose
        for_all = user.tenant == self.m365.users[whose[0]].tenant and not user.guest
        return own or user.id in item.grants or (for_all and bool(set(item.links) - item.narrow))

    def acknowledged_in(self) -> list[float]:
        """Seconds that each answer took so far."""
        return [delivery.took for delivery in self.deliveries if delivery.took is not None]

    # Time and trouble

    def advance(self, seconds: float) -> None:
        """Set the clock forward: tokens, addresses and rates grow older (tokens sent to the bot do not)."""
        self.ahead += seconds

    def freeze(self) -> None:
        """The clock stands still from now on, but for `advance`. Call it before `limit_rates`."""
        now = self.m365.clock() - self.ahead
        self.m365.clock = self.traffic.clock = lambda: now + self.ahead

    def limit_rates(self, *, scale: float = 1.0, per_tenant: int = PER_TENANT) -> None:
        """Limit calls of the Bot Connector as Teams does, times `scale`."""
        self.connector.rates = Rates(clock=self.m365.clock, scale=scale, per_tenant=per_tenant)

    def fail(self, name: str, *troubles: Trouble) -> None:
        """What goes wrong with the next calls of an operation, one each: a `Fault` (`connector_error`,
        `graph_error`, `throttled`, `faults.HTML`), "cut", "hang" or "lost"."""
        self.traffic.fail(name, *troubles)

    def hold(self, name: str) -> Hold:
        """Keep the next call of an operation waiting until `release` of the answer is called."""
        return self.traffic.hold(name)

    def grant_site(self, owner: User | Team, right: Any = "write") -> None:
        """What Sites.Selected gives the app in a drive: "read", "write" or None."""
        where = {"user": owner.id} if isinstance(owner, User) else {"team": owner.id}
        self.m365.drive_of(**where).granted = right

    # Forged activities

    def sample(self, conversation: Conversation, user: User, text: str = "help") -> Json:
        """A message activity that nobody sent, to forge with."""
        activity = self.payloads.activity("message", conversation, user, id=self.m365.message_id())
        return activity | {"text": text, "textFormat": "plain"}

    async def deliver_forged(self, forgery: Forgery, activity: Json) -> tuple[int, str]:
        """Send an activity with an Authorization header that no bot may accept; status and text of the
        answer."""
        header = self.login.forge(forgery, str(activity.get("serviceUrl")))
        headers = self.delivery.headers(activity, header or "")
        if header is None:
            del headers["Authorization"]
        return await self.delivery.post(json.dumps(activity).encode(), headers)

    # Waiting

    async def until(self, condition: Callable[[], object], *, seconds: float = 10.0) -> None:
        """Wait until something is so; it is looked at after every call and answer."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                try:
                    async with asyncio.timeout(0.05):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    async def delivered(self, *, seconds: float = 10.0) -> None:
        """Wait until everything sent so far is answered or given up."""
        async with asyncio.timeout(seconds):
            while waiting := [d for d in self.deliveries if not d.over.is_set()]:
                await waiting[0].over.wait()

    def notice(self) -> None:
        """Something changed."""
        self._changed.set()


def _elsewhere(traffic: Traffic) -> web.Application:
    async def stray(request: web.Request) -> web.StreamResponse:
        if "Authorization" in request.headers:
            traffic.violations.append(f"another host was sent a token, for {request.path}")
        return web.Response(body=b"not Microsoft", content_type="audio/mpeg")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", traffic.route("storage", "elsewhere", stray))
    return app


@asynccontextmanager
async def serving(*, app: App | None = None) -> AsyncIterator[TeamsServer]:
    """A Microsoft 365 without tenants. Raises AssertionError at the end if there were violations."""
    m365, ours = Microsoft(), app or App()
    traffic = Traffic(clock=m365.clock)
    login = Login(ours, traffic)
    connector = Connector(m365, login, traffic)
    storage = Storage(m365, traffic)
    payloads = Payloads(m365, ours, connector.service_url, storage.download_url)
    graph = Graph(m365, login, traffic, payloads)
    drives = Drives(graph, storage)
    deliveries = Deliveries(login)
    server = TeamsServer(
        m365=m365,
        app=ours,
        connector=connector,
        storage=storage,
        payloads=payloads,
        delivery=deliveries,
        login=login,
        traffic=traffic,
        graph=graph,
        drives=drives,
    )
    m365.clock = traffic.clock = lambda: time.time() + server.ahead
    traffic.changed = deliveries.changed = server.notice
    async with AsyncExitStack() as stack:
        sites: list[Any] = [login, connector, storage]
        for site in sites:
            site.origin = await stack.enter_async_context(faults.serving(_site(site)))
        graph.origin = await stack.enter_async_context(faults.serving(_site(graph, drives)))
        server.elsewhere = await stack.enter_async_context(faults.serving(_elsewhere(traffic)))
        try:
            yield server
        finally:
            traffic.over.set()
            await deliveries.end()
    if server.violations:
        raise AssertionError(f"no app may do this: {server.violations}")


def _site(*parts: Any) -> web.Application:
    app = web.Application(client_max_size=512 * 1024 * 1024)
    for part in parts:
        part.add_routes(app.router)
    return app
