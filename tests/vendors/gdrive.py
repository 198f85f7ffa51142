"""A Google Drive on this machine: its API v3, uploads, downloads, push notifications, and Google's OAuth.

Facts are those of `platforms.md`, section 3, and of the discovery document, against which every answer is
checked. It is strict where Drive is: scopes, roles, `supportsAllDrives`, field masks, page tokens, ids, and
storage that service accounts do not have. It fails on command with `fail` and `hold`. What no app may ever
do, such as a token in an address, is put into `violations`, and `serving` raises when it ends.

Unverified, in one place: reasons `supportsTeamDrivesRequired` and `parentNotAFolder`; that a channel lives an
hour if the app does not say; that comments, and nothing in a folder that is trashed, shared or moved, are
changes (`drive.cascades`); that made ids are good for shared drives (`drive.ids_in_shared_drives`); that who
may only read a file is told who else may (`drive.tells_readers`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from tests.vendors import faults, gdrive_changes, gdrive_files, gdrive_writes
from tests.vendors.faults import HTML, Fault, Faults
from tests.vendors.gdrive_api import Api, Call
from tests.vendors.gdrive_fields import methods
from tests.vendors.gdrive_keys import Key
from tests.vendors.gdrive_media import Media
from tests.vendors.gdrive_model import Account, Drive, SharedDrive
from tests.vendors.gdrive_oauth import SCOPE, Client, Consent, OAuth
from tests.vendors.gdrive_people import People
from tests.vendors.gdrive_push import Push, handlers
from tests.vendors.gdrive_troubles import (
    Hold,
    Partly,
    Short,
    Trouble,
    Wrong,
    backend_error,
    rate_limited,
    refusal,
)

__all__ = [
    "HTML",
    "SCOPE",
    "Call",
    "Client",
    "Consent",
    "Fault",
    "GDriveServer",
    "Hold",
    "Partly",
    "Short",
    "Trouble",
    "Wrong",
    "backend_error",
    "rate_limited",
    "refusal",
    "serving",
]

API = "/drive/v3/"


@dataclass(slots=True, kw_only=True)
class GDriveServer(People):
    """A Google Drive that runs. `api_url` is what GDRIVE_API_BASE_URL is set to."""

    api: Api
    media: Media
    push: Push
    faults: Faults = field(default_factory=Faults)
    origin: str = ""
    ahead: float = 0.0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def api_url(self) -> str:
        return f"{self.origin}{API}"

    @property
    def oauth(self) -> OAuth:
        """Clients, tokens and consents; `oauth.testing` lets refresh tokens end after a week."""
        return self.api.oauth

    @property
    def calls(self) -> list[Call]:
        """Every request so far, in the order of its answer."""
        return self.api.calls

    @property
    def violations(self) -> list[str]:
        return self.api.violations

    def called(self, method: str) -> list[Call]:
        """The calls of a method so far, such as "files.list", "download", "upload" (pieces) or "token"."""
        return [call for call in self.calls if call.method == method]

    # Credentials

    def service_account(self, name: str = "erni-audio", *, delegated: Iterable[str] = ()) -> Account:
        """A service account with a key; `delegated` are the scopes with which it may act as people."""
        email = f"{name}@erni-audio-local.iam.gserviceaccount.com"
        account = self._account(email, email, is_service=True)
        self.new_key(account, delegated=delegated)
        return account

    def new_key(self, account: Account, *, delegated: Iterable[str] = ()) -> Key:
        return self.oauth.keys.new(account, frozenset(delegated))

    def key_file(self, account: Account) -> dict[str, str]:
        """The newest key of a service account, as Google gives it to download."""
        return self.oauth.key_file(self.oauth.keys.of(account))

    def client(self, name: str = "erni", **changes: Any) -> Client:
        """An OAuth client, for `oauth.client_file`."""
        client = Client(id=f"{name}.apps.googleusercontent.com", secret=f"GOCSPX-{name}", **changes)
        self.oauth.clients[client.id] = client
        return client

    def token(
        self,
        account: Account,
        *scopes: str,
        client: str = "erni.apps.googleusercontent.com",
        refresh: str | None = None,
    ) -> str:
        """An access token without ceremony; scopes by their last word, "drive" if none is given."""
        full = frozenset(one if "/" in one else SCOPE + one for one in scopes or ("drive",))
        return self.oauth.issue(account, client, full, refresh).value

    async def consent(self, url: str, by: Account, *, scopes: Iterable[str] | None = None) -> str:
        """Somebody opens the consent page and allows what is asked, or only `scopes`; what the browser then
        shows, which is the app's own page if all went well."""
        allowed = None if scopes is None else frozenset(scopes)
        return await self._at_the_page(url, Consent(account=by, scopes=allowed))

    async def decline(self, url: str, by: Account) -> str:
        """Somebody opens the consent page and declines."""
        return await self._at_the_page(url, Consent(account=by, declines=True))

    async def _at_the_page(self, url: str, person: Consent) -> str:
        self.oauth.at_the_page = person
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return await response.text()
        finally:
            self.oauth.at_the_page = None

    # What goes wrong

    def fail(self, method: str, *troubles: Trouble) -> None:
        """What goes wrong with the next calls of a method, one each: a `Fault` (`refusal`, `rate_limited`,
        `backend_error`, `HTML`), "cut", "hang" or "lost". Also "download" (`Short`, `Wrong`), "upload"
        (`Partly`) and "token"."""
        self.api.fail(method, *troubles)

    def forgive(self) -> None:
        """No more trouble to come."""
        self.api.forgive()
        self.faults.forgive()

    def hold(self, method: str) -> Hold:
        """Keep the next call of a method waiting until `release` of the answer is called."""
        return self.api.hold(method)

    def expire_page_token(self, of: Account | SharedDrive) -> None:
        """Page tokens of a change log that were given out so far are refused from now on."""
        of.log.expire()

    def expire_lists(self) -> None:
        """A list that is being read page by page has to be read from its beginning."""
        self.api.pages.expire()

    def expire_tokens(self) -> None:
        """Access tokens end now; those who have a refresh token or a key get others."""
        self.oauth.tokens.clear()

    def expire_uploads(self) -> None:
        """Uploads in pieces have to begin anew."""
        self.media.uploads.clear()

    # Time

    def advance(self, seconds: float) -> None:
        """Set Drive's clock forward: tokens, codes and channels grow older (assertions do not)."""
        self.ahead += seconds

    def freeze(self, at: float | None = None) -> None:
        """Drive's clock stands still from now on, at `at` if given, but for `advance`."""
        now = (self.drive.clock() if at is None else at) - self.ahead
        self.drive.clock = lambda: now + self.ahead

    async def until(self, condition: Callable[[], object], *, seconds: float = 10.0) -> None:
        """Wait until something is so; it is looked at after every call and notification."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                try:
                    async with asyncio.timeout(0.05):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    def notice(self) -> None:
        """Something changed."""
        self._changed.set()


def _routes(server: GDriveServer) -> web.Application:
    app = web.Application(client_max_size=1 << 40, middlewares=[server.faults.middleware])
    by_path = sorted(methods().items(), key=lambda item: (item[1]["path"].count("{"), item[1]["path"]))
    for name, method in by_path:
        app.router.add_route(method["httpMethod"], API + method["path"], _endpoint(server, name))
    for name in ("files.create", "files.update"):
        path = methods()[name]["mediaUpload"]["protocols"]["simple"]["path"]
        app.router.add_route(methods()[name]["httpMethod"], path, _upload(server, name))
        app.router.add_put(path, server.media.piece)

    async def token(request: web.Request) -> web.StreamResponse:
        async def answer(_trouble: Trouble | None) -> web.StreamResponse:
            response = await server.oauth.token(request)
            server.api.record("token", {}, status=response.status)
            return response

        return await server.api.serve("token", request, answer)

    async def page(request: web.Request) -> web.StreamResponse:
        return await server.oauth.page(request)

    async def revoke(request: web.Request) -> web.StreamResponse:
        return await server.oauth.revoked(request)

    app.router.add_post("/token", token)
    app.router.add_post("/revoke", revoke)
    for path in ("/o/oauth2/auth", "/o/oauth2/v2/auth"):
        app.router.add_get(path, page)
    return app


def _endpoint(server: GDriveServer, name: str) -> Callable[[web.Request], Any]:
    """What answers a method. A long search comes as POST, with the method that is meant in a header."""

    async def endpoint(request: web.Request) -> web.StreamResponse:
        called = name
        if request.headers.get("X-HTTP-Method-Override") == "GET":
            called = {"files.create": "files.list"}.get(name, name)
        bytes_wanted = request.query.get("alt") == "media" and called in ("files.get", "revisions.get")
        if bytes_wanted or called == "files.export":
            return await server.media.download(called, request)

        async def answer(_trouble: Trouble | None) -> web.StreamResponse:
            return await server.api.answer(called, request)

        return await server.api.serve(called, request, answer)

    return endpoint


def _upload(server: GDriveServer, name: str) -> Callable[[web.Request], Any]:
    async def endpoint(request: web.Request) -> web.StreamResponse:
        return await server.media.upload(name, request)

    return endpoint


@asynccontextmanager
async def serving() -> AsyncIterator[GDriveServer]:
    """A Google Drive without accounts. Raises AssertionError at the end if there were violations."""
    drive = Drive()
    oauth = OAuth(drive)
    known = {**gdrive_files.HANDLERS, **gdrive_writes.HANDLERS, **gdrive_changes.HANDLERS}
    api = Api(drive, oauth, known)
    push = Push(api)
    known.update(handlers(push))
    server = GDriveServer(drive, api=api, media=Media(api), push=push, faults=Faults())
    drive.clock = lambda: time.time() + server.ahead
    api.changed = server.notice
    server.client()
    async with faults.serving(_routes(server)) as origin:
        server.origin = oauth.origin = origin
        try:
            yield server
        finally:
            api.over.set()
            await push.end()
    if server.violations:
        raise AssertionError(f"no app may do this: {server.violations}")
