"""A Slack on this machine: its Web API, uploads, downloads, Socket Mode, signed HTTP events and OAuth.

Facts are those of `platforms.md`, section 1. It is strict where Slack is: tokens, scopes, sizes, and rates
once `limit_rates` is called. It fails on command with `fail` and `hold`. What no app may ever do, such as
sending its token to somebody else's host, is put into `violations`, and `serving` raises when it ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.vendors import faults, slack_chat, slack_files, slack_interactions, slack_oauth, slack_views
from tests.vendors.faults import Faults
from tests.vendors.slack_api import Api, Call, Hold, Installer, Trouble, rate_limited, refusal
from tests.vendors.slack_delivery import Deliveries, Delivery, NoAnswer
from tests.vendors.slack_interactions import Interactions
from tests.vendors.slack_model import Channel, Ephemeral, File, Message, Slack, View
from tests.vendors.slack_payloads import App
from tests.vendors.slack_people import Item, Named, id_of
from tests.vendors.slack_scopes import BOT_SCOPES, METHODS, Rates
from tests.vendors.slack_views import Missing

__all__ = [
    "BOT_SCOPES",
    "App",
    "Delivery",
    "Hold",
    "Installer",
    "Item",
    "Missing",
    "NoAnswer",
    "SlackServer",
    "Trouble",
    "rate_limited",
    "refusal",
    "serving",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """A request that came to the other host."""

    path: str
    authorization: str | None


@dataclass(slots=True)
class SlackServer(Interactions):
    """A Slack that runs. `api_url` is what SLACK_API_BASE_URL is set to; `elsewhere` is the origin of a host
    that is not Slack's, which must never see a token (`strays` are the requests that came to it)."""

    faults: Faults = field(default_factory=Faults)
    origin: str = ""
    elsewhere: str = ""
    strays: list[Stray] = field(default_factory=list)
    ahead: float = 0.0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def api_url(self) -> str:
        return f"{self.origin}/api/"

    @property
    def app(self) -> App:
        return self.api.app

    @property
    def delivery(self) -> Deliveries:
        """How events reach the app: set `request_url`, `ack_within`, `retry_after`; `disconnect`, `cut`."""
        return self.api.deliveries

    @property
    def deliveries(self) -> list[Delivery]:
        return self.api.deliveries.log

    @property
    def calls(self) -> list[Call]:
        return self.api.calls

    @property
    def violations(self) -> list[str]:
        return self.api.violations

    def called(self, method: str) -> list[Call]:
        """The calls of a method so far, those that were refused included."""
        return [call for call in self.calls if call.method == method]

    def messages(self, channel: Channel, thread_ts: str | None = None) -> list[Message]:
        """The messages of a conversation outside threads, or the replies of a thread."""
        if thread_ts is not None:
            return self.slack.replies(channel, thread_ts)
        return [m for m in channel.messages.values() if not m.is_reply]

    @property
    def files(self) -> dict[str, File]:
        return {name: file for name, file in self.slack.files.items() if file.complete}

    @property
    def ephemerals(self) -> list[Ephemeral]:
        return self.slack.ephemerals

    @property
    def views(self) -> list[View]:
        """The modals that are open, the latest last."""
        return [view for view in self.slack.views.values() if view.is_open]

    def home(self, user: Named | str) -> View:
        """Somebody's App Home."""
        return self.slack.homes[id_of(user)]

    def attached(self, message: Message) -> list[File]:
        """The files of a message."""
        return [self.slack.files[name] for name in message.files]

    def events(self, kind: str) -> list[Delivery]:
        """What was sent of a kind, such as "file_shared" or "block_actions"."""
        return [delivery for delivery in self.deliveries if delivery.kind == kind]

    def advance(self, seconds: float) -> None:
        """Set Slack's clock forward: tokens, triggers, codes and rates grow older (signatures do not)."""
        self.ahead += seconds

    def freeze(self) -> None:
        """Slack's clock stands still from now on, but for `advance`. Call it before `limit_rates`."""
        now = self.slack.clock() - self.ahead
        self.slack.clock = lambda: now + self.ahead

    def fail(self, method: str, *troubles: Trouble) -> None:
        """What goes wrong with the next calls of a method, one each: a `Fault` (`refusal`, `rate_limited`,
        `faults.HTML`), "cut", "hang" or "lost". Also "download", "upload" and "response_url"."""
        self.api.fail(method, *troubles)

    def hold(self, method: str) -> Hold:
        """Keep the next call of a method waiting until `release` of the answer is called."""
        return self.api.hold(method)

    def limit_rates(self, *, window: float = 60.0, scale: float = 1.0) -> None:
        """Limit calls as Slack does: a tier's number in `window` seconds, times `scale`."""
        self.api.rates = Rates(clock=self.slack.clock, window=window, scale=scale)

    async def verify_url(self) -> bool:
        """Ask the request URL for its challenge, as Slack does when it is entered."""
        body = '{"token": "%s", "challenge": "3eZbrw1a", "type": "url_verification"}'
        body %= self.app.verification_token
        headers = {"Content-Type": "application/json", **self.delivery.signed(body)}
        status, text, _ = await self.delivery.post(body, headers)
        return status == 200 and "3eZbrw1a" in text

    async def until(self, condition: Callable[[], object], *, seconds: float = 10.0) -> None:
        """Wait until something is so; it is looked at after every call, event and acknowledgement."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                try:
                    async with asyncio.timeout(0.05):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    async def delivered(self, *, seconds: float = 10.0) -> None:
        """Wait until everything sent so far is acknowledged or given up."""
        async with asyncio.timeout(seconds):
            while waiting := [d for d in self.deliveries if not d.over.is_set()]:
                await waiting[0].over.wait()

    async def connected(self, count: int = 1, *, seconds: float = 10.0) -> None:
        """Wait until `count` Socket Mode connections are open."""
        await self.until(lambda: len(self.delivery.connections) >= count, seconds=seconds)

    def acknowledged_in(self) -> list[float]:
        """Seconds that each acknowledgement took so far."""
        return [delivery.took for delivery in self.deliveries if delivery.took is not None]

    def notice(self) -> None:
        """Something changed."""
        self._changed.set()


def _routes(server: SlackServer) -> web.Application:
    api = server.api
    app = web.Application(client_max_size=2 * slack_files.MAX_UPLOAD, middlewares=[server.faults.middleware])
    for method in METHODS:
        app.router.add_get(f"/api/{method}", api.handle, allow_head=False)
        app.router.add_post(f"/api/{method}", api.handle)

    async def upload(request: web.Request) -> web.StreamResponse:
        return await api.serve("upload", request, lambda: slack_files.upload(api, request))

    async def download(request: web.Request) -> web.StreamResponse:
        return await api.serve("download", request, lambda: slack_files.download(api, request))

    async def sign_in(request: web.Request) -> web.StreamResponse:
        return web.Response(text=slack_files.SIGN_IN, content_type="text/html")

    async def authorise(request: web.Request) -> web.StreamResponse:
        return await slack_oauth.authorise(api, request)

    app.router.add_post("/upload/v1/{key}", upload)
    for path in ("/files-pri/{key}/{name}", "/files-pri/{key}/download/{name}", "/files-tmb/{key}/{name}"):
        app.router.add_get(path, download)

    async def response_url(request: web.Request) -> web.StreamResponse:
        return await api.serve("response_url", request, lambda: slack_interactions.response_url(api, request))

    app.router.add_post("/actions/{team}/{number}/{secret}", response_url)
    app.router.add_get("/signin", sign_in)
    app.router.add_get("/link/", api.deliveries.accept)
    app.router.add_get("/oauth/v2/authorize", authorise)
    return app


def _elsewhere(server: SlackServer) -> web.Application:
    async def stray(request: web.Request) -> web.StreamResponse:
        authorization = request.headers.get("Authorization")
        server.strays.append(Stray(path=request.path, authorization=authorization))
        if authorization is not None:
            server.violations.append(f"another host was sent the token, for {request.path}")
        return web.Response(body=b"not Slack", content_type="audio/mpeg")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", stray)
    return app


@asynccontextmanager
async def serving(*, app: App | None = None) -> AsyncIterator[SlackServer]:
    """A Slack without workspaces. Raises AssertionError at the end if there were violations."""
    slack, ours = Slack(), app or App()
    deliveries = Deliveries(signing_secret=ours.signing_secret, app_id=ours.id)
    handlers = slack_chat.HANDLERS | slack_files.HANDLERS | slack_oauth.HANDLERS | slack_views.HANDLERS
    server = SlackServer(slack, Api(slack, ours, deliveries, handlers))
    slack.clock = lambda: time.time() + server.ahead
    server.api.changed = deliveries.changed = server.notice
    async with faults.serving(_routes(server)) as origin, faults.serving(_elsewhere(server)) as other:
        server.origin = server.api.origin = origin
        server.elsewhere = other
        try:
            yield server
        finally:
            server.api.over.set()
            await deliveries.end()
    if server.violations:
        raise AssertionError(f"no app may do this: {server.violations}")
