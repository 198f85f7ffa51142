"""A Dropbox on this machine: its API v2 on three hosts, OAuth, temporary links and webhooks.

Facts are those of `platforms.md`, section 4, and of the SDK's own descriptions of every route. It is strict
where Dropbox is: tokens, scopes, arguments, hosts, path roots, offsets, hashes. It fails on command with
`fail`, `fail_always` and `hold`. What no app may ever do, such as sending its token to the longpoll host, is
put into `violations`, and `serving` raises at its end. Call everything from the event loop that it runs in.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from tests.vendors import (
    dropbox_content,
    dropbox_fields,
    dropbox_files,
    dropbox_grants,
    dropbox_sharing,
    faults,
)
from tests.vendors.dropbox_api import (
    Api,
    Call,
    Damage,
    Endpoint,
    Hold,
    Trouble,
    rate_limited,
    refusal,
    unwritten,
)
from tests.vendors.dropbox_cursors import Cursors, Longpoll
from tests.vendors.dropbox_grants import SCOPES, App, Grant, Grants
from tests.vendors.dropbox_model import (
    CannotFind,
    CannotWrite,
    Change,
    Content,
    File,
    Folder,
    Namespace,
    content,
)
from tests.vendors.dropbox_people import Person, Population
from tests.vendors.dropbox_session import client
from tests.vendors.dropbox_storage import Storage
from tests.vendors.dropbox_webhooks import Notice, Webhooks
from tests.vendors.faults import Faults

__all__ = [
    "SCOPES",
    "App",
    "Call",
    "CannotFind",
    "CannotWrite",
    "Content",
    "Damage",
    "DropboxServer",
    "File",
    "Folder",
    "Grant",
    "Hold",
    "Namespace",
    "Notice",
    "Person",
    "Trouble",
    "content",
    "rate_limited",
    "refusal",
    "serving",
    "unwritten",
]

ENDPOINTS: dict[str, Endpoint] = (
    dropbox_content.ENDPOINTS | dropbox_files.ENDPOINTS | dropbox_sharing.ENDPOINTS
)


@dataclass(slots=True)
class DropboxServer(Population):
    """A Dropbox that runs. `origin` is what DROPBOX_API_BASE_URL is set to."""

    api: Api
    grants: Grants
    webhooks: Webhooks
    faults: Faults = field(default_factory=Faults)
    origin: str = ""
    ahead: float = 0.0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def app(self) -> App:
        return self.grants.app

    @property
    def calls(self) -> list[Call]:
        return self.api.calls

    @property
    def violations(self) -> list[str]:
        return self.api.violations

    @property
    def cursors(self) -> Cursors:
        """How listing behaves: set `page_size`, `gone_root`, `hollow_pages`, `careless_case`."""
        return self.api.cursors

    @property
    def longpoll(self) -> Longpoll:
        """How waiting behaves: set `longest`, `jitter`, `backoffs`; `waiting` is how many wait; `end`."""
        return self.api.longpoll

    def called(self, route: str) -> list[Call]:
        """The calls of a route such as "files/upload" so far, those that were refused included."""
        return [call for call in self.calls if call.route == route]

    # Who may come in

    def connect(
        self, person: Person, *, scopes: frozenset[str] = SCOPES, offline: bool = True, pkce: bool = False
    ) -> Grant:
        """Somebody lets the app in, without the pages."""
        return self.grants.allow(person.account, scopes & self.app.scopes, offline=offline, pkce=pkce)

    def client(self, grant: Grant, **options: Any) -> Any:
        """The SDK with a grant's access token."""
        return client(self.origin, grant, **options)

    def approve(self, url: str, person: Person, *, declines: bool = False) -> str:
        """Somebody opens the address of the consent page and presses Allow: the code that they are shown, or
        the address that they are sent to. Raises Refused where the page says that something is wrong."""
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}" in ("https://www.dropbox.com", self.origin), url
        assert parts.path == "/oauth2/authorize", url
        self.grants.visitor, self.grants.declines = person.account, declines
        goes_to, code = self.grants.consent(dict(parse_qsl(parts.query)))
        return goes_to or code

    def revoke(self, who: Person | Grant) -> None:
        """The app is disconnected: its tokens are not good any more."""
        for grant in self.grants.all:
            if grant is who or (isinstance(who, Person) and grant.account is who.account):
                grant.revoked = True

    def expire_tokens(self) -> None:
        """Four hours pass."""
        self.advance(dropbox_grants.TOKEN_LIFE)

    def expire_cursors(self) -> None:
        """Every cursor given out so far answers `reset`."""
        self.cursors.expire()
        self.longpoll.wake()

    # Time, and what goes wrong

    def advance(self, seconds: float) -> None:
        """Set Dropbox's clock forward, or back: tokens, links and sessions grow older, new times differ."""
        self.ahead += seconds

    def freeze(self) -> None:
        """Dropbox's clock stands still from now on, but for `advance`."""
        now = self.storage.clock() - self.ahead
        self.storage.clock = self.grants.clock = lambda: now + self.ahead

    def fail(self, route: str, *troubles: Trouble) -> None:
        """What goes wrong with the next calls of a route, one each: a `Fault` (`refusal`, `unwritten`,
        `rate_limited`, `faults.HTML`), `Damage`, "cut", "hang" or "lost". Also "temporary_link" and
        "oauth2/token"."""
        self.api.fail(route, *troubles)

    def fail_always(self, route: str, trouble: Trouble) -> None:
        """What goes wrong with every call of a route until `forgive`."""
        self.api.fail_always(route, trouble)

    def forgive(self) -> None:
        """Nothing goes wrong any more."""
        self.api.forgive()
        self.faults.forgive()

    def hold(self, route: str) -> Hold:
        """Keep the next call of a route waiting until `release` of the answer is called."""
        return self.api.hold(route)

    def misfits(self) -> list[str]:
        """Answers so far that the SDK does not know exactly, which is a mistake of this server."""
        found = []
        for call in self.calls:
            try:
                dropbox_fields.check_answer(call.route, call.status, call.answer)
            except dropbox_fields.Misfit as misfit:
                found.append(f"{call.route}: {misfit}")
        return found

    async def until(self, condition: Callable[[], object], *, seconds: float = 10.0) -> None:
        """Wait until something is so; it is looked at after every call, change and notice."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                try:
                    async with asyncio.timeout(0.05):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    def notice(self) -> None:
        """Something happened."""
        self._changed.set()

    def changed(self, change: Change) -> None:
        """A file or folder changed."""
        self.longpoll.wake()
        for grant in self.grants.all:
            if not grant.revoked and grant.account.id in change.namespace.access:
                self.webhooks.tell(grant.account)
        self.notice()


async def _as_dropbox_names_it(request: web.Request, response: web.StreamResponse) -> None:
    """The SDK takes JSON only where it is called exactly this."""
    if response.content_type == "application/json":
        response.headers["Content-Type"] = "application/json"


def _routes(server: DropboxServer) -> web.Application:
    api = server.api
    app = web.Application(client_max_size=2**40, middlewares=[server.faults.middleware])
    app.on_response_prepare.append(_as_dropbox_names_it)
    for route in ENDPOINTS:
        app.router.add_post(f"/2/{route}", api.handle)

    async def temporary(request: web.Request) -> web.StreamResponse:
        return await api.serve("temporary_link", request, lambda: dropbox_content.temporary(api, request))

    async def token(request: web.Request) -> web.StreamResponse:
        return await api.serve("oauth2/token", request, lambda: dropbox_grants.token(api.grants, request))

    async def authorise(request: web.Request) -> web.StreamResponse:
        return await dropbox_grants.authorise(api.grants, request)

    app.router.add_get("/cd/0/get/{key}/file", temporary)
    app.router.add_post("/oauth2/token", token)
    app.router.add_get("/oauth2/authorize", authorise)
    return app


@asynccontextmanager
async def serving(*, app: App | None = None) -> AsyncIterator[DropboxServer]:
    """A Dropbox without people. Raises AssertionError at the end if there were violations."""
    storage = Storage()
    grants = Grants(storage.clock, app or App())
    api = Api(storage, grants, ENDPOINTS)
    server = DropboxServer(storage, api, grants, Webhooks(grants.app.secret))
    storage.clock = grants.clock = lambda: time.time() + server.ahead
    storage.told = server.changed
    api.called = server.webhooks.changed = server.notice
    async with faults.serving(_routes(server)) as origin:
        server.origin = api.origin = origin
        try:
            yield server
        finally:
            api.over.set()
            api.longpoll.end()
            await server.webhooks.end()
    if server.violations:
        raise AssertionError(f"no app may do this: {server.violations}")
