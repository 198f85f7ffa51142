"""The Dropbox API: who calls what, whether they may, how answers look, and what goes wrong on command."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from tests.vendors import dropbox_fields as fields
from tests.vendors.dropbox_cursors import Cursors, Longpoll
from tests.vendors.dropbox_fields import Misfit
from tests.vendors.dropbox_grants import Grant, Grants
from tests.vendors.dropbox_model import (
    Content,
    Json,
    Node,
    Refused,
    Revision,
    bad_input,
    summary,
    tagged,
)
from tests.vendors.dropbox_payloads import root_info
from tests.vendors.dropbox_storage import Storage
from tests.vendors.dropbox_view import View
from tests.vendors.faults import Fault

HOSTS = {"api": "api.dropboxapi.com", "content": "content.dropboxapi.com", "notify": "notify.dropboxapi.com"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A download that goes wrong: only the first `keep` bytes come, or all of them with one bit `flipped`.
    `quietly`: the answer ends as if it were whole, otherwise the connection is cut."""

    keep: int | None = None
    flipped: bool = False
    quietly: bool = False


_DAMAGE = web.RequestKey("damage", Damage)

Trouble = Fault | Damage | Literal["cut", "hang", "lost"]
"""An answer instead of the right one; a damaged download; or the connection ends at once, or it stays open
without an answer, or the call takes effect and then the connection ends."""


def refusal(error: str | Json, status: int = 409) -> Fault:
    """An error of a route: "path/not_found" or the tagged union itself."""
    union = tagged(error) if isinstance(error, str) else error
    return Fault(status=status, body=json.dumps({"error_summary": summary(union), "error": union}))


def unwritten(reason: str) -> Fault:
    """What an upload is refused with: "conflict/file", "insufficient_space", "too_many_write_operations"."""
    return refusal({".tag": "path", "reason": tagged(reason), "upload_session_id": "pid_upload_session:AAA"})


def rate_limited(
    seconds: int = 1,
    reason: Literal["too_many_requests", "too_many_write_operations"] = "too_many_requests",
    *,
    as_text: bool = False,
) -> Fault:
    """A 429; some of Dropbox's are plain text."""
    headers = {"Retry-After": str(seconds)}
    if as_text:
        return Fault(status=429, body="Too many requests", content_type="text/plain", headers=headers)
    body = {
        "error_summary": f"{reason}/...",
        "error": {"reason": {".tag": reason}, "retry_after": seconds},
    }
    return Fault(status=429, body=json.dumps(body), headers=headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that was answered. `arg` and `answer` are JSON (`answer` a text for 400s), `size` is that of
    the body of an upload, `at` seconds of Dropbox's clock, `root` the header that sets where paths begin."""

    route: str
    arg: Any
    status: int
    answer: Any
    account_id: str | None
    root: str | None
    size: int
    byte_range: str | None
    at: float


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


@dataclass(slots=True, kw_only=True)
class Incoming:
    """A call on its way: `seen` is what the caller may see, None where nobody has to say who they are."""

    route: str
    request: web.Request
    body: bytes = b""
    grant: Grant | None = None
    seen: View | None = None

    @property
    def view(self) -> View:
        assert self.seen is not None
        return self.seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What is sent as a file, with its metadata in a header."""

    metadata: Json
    revision: Revision


Handler = Callable[["Api", Incoming, Any], Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route: who may call it, and what it does. Where there is no scope, nobody's token is wanted."""

    handler: Handler
    scope: str | None = None


@dataclass(slots=True)
class Api:
    """The API and everything behind it. `max_request` is the most bytes of one upload. `keep_answers`:
    whether `calls` remember what was answered. `violations` are things that no app may ever do."""

    storage: Storage
    grants: Grants
    endpoints: Mapping[str, Endpoint]
    violations: list[str] = field(default_factory=list)
    origin: str = ""
    max_request: int = 150 * 1024 * 1024
    keep_answers: bool = True
    calls: list[Call] = field(default_factory=list)
    sessions: dict[str, Any] = field(default_factory=dict)
    temporary: dict[str, tuple[Node, Revision, float]] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    called: Callable[[], None] = lambda: None
    cursors: Cursors = field(init=False)
    longpoll: Longpoll = field(init=False)
    _troubles: defaultdict[str, list[Trouble]] = field(default_factory=lambda: defaultdict(list))
    _always: dict[str, Trouble] = field(default_factory=dict)
    _holds: defaultdict[str, list[Hold]] = field(default_factory=lambda: defaultdict(list))
    _requests: int = 0

    def __post_init__(self) -> None:
        self.cursors = Cursors(self.storage)
        self.longpoll = Longpoll(self.cursors, self.violations)

    def fail(self, route: str, *troubles: Trouble) -> None:
        self._troubles[route] += troubles

    def fail_always(self, route: str, trouble: Trouble) -> None:
        self._always[route] = trouble

    def forgive(self) -> None:
        self._troubles.clear()
        self._always.clear()

    def hold(self, route: str) -> Hold:
        hold = Hold()
        self._holds[route].append(hold)
        return hold

    async def serve(
        self, route: str, request: web.Request, answer: Callable[[], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """`answer`, or what goes wrong instead."""
        if self._holds[route]:
            await self._holds[route].pop(0).wait()
        waiting = self._troubles[route]
        trouble = waiting.pop(0) if waiting else self._always.get(route)
        if isinstance(trouble, Fault):
            await request.read()
            return web.Response(
                status=trouble.status,
                text=trouble.body,
                content_type=trouble.content_type,
                headers=trouble.headers,
            )
        if isinstance(trouble, Damage):
            request[_DAMAGE] = trouble
            return await answer()
        if trouble == "hang":
            await self.over.wait()
        response = web.Response() if trouble in ("cut", "hang") else await answer()
        if trouble is not None and request.transport is not None:
            request.transport.abort()
        return response

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any route of version 2."""
        route = request.path.removeprefix("/2/")
        return await self.serve(route, request, lambda: self._answer(route, request))

    async def _answer(self, route: str, request: web.Request) -> web.StreamResponse:
        incoming = Incoming(route=route, request=request)
        arg: Any = None
        answer: Any = None
        status = 200
        download = None
        try:
            self._check_host(route, request)
            self._check_caller(incoming)
            arg = await self._argument(incoming)
            answer = self.endpoints[route].handler(self, incoming, _parsed(incoming, arg))
            if inspect.isawaitable(answer):
                answer = await answer
            if isinstance(answer, Download):
                answer, download = answer.metadata, answer.revision
        except Refused as refused:
            status, answer = refused.status, refused.error
            if isinstance(answer, dict):
                answer = {"error_summary": summary(answer), "error": answer}
        self.calls.append(
            Call(
                route=route,
                arg=arg,
                status=status,
                answer=answer if self.keep_answers else None,
                account_id=incoming.grant.account.id if incoming.grant else None,
                root=request.headers.get("Dropbox-API-Path-Root"),
                size=len(incoming.body),
                byte_range=request.headers.get("Range"),
                at=self.storage.clock(),
            )
        )
        self.called()
        self._requests += 1
        headers = {"X-Dropbox-Request-Id": f"{self._requests:032x}", "X-Content-Type-Options": "nosniff"}
        if isinstance(answer, str):
            return web.Response(status=status, text=answer, headers=headers)
        if download is None:
            return web.json_response(answer, status=status, headers=headers)
        headers["Dropbox-API-Result"] = json.dumps(answer).replace("\x7f", "\\u007f")
        return await send(request, download.content, headers, etag=f'W/"{download.rev}"')

    def _check_host(self, route: str, request: web.Request) -> None:
        host, right = request.host, HOSTS[fields.host(route)]
        if host != right and not re.fullmatch(r"(127\.0\.0\.1|localhost):\d+", host):
            self.violations.append(f"{route} was called at {host}")
            raise Refused(f'Unknown API function: "{route}"', status=404)

    def _check_caller(self, incoming: Incoming) -> None:
        route, headers = incoming.route, incoming.request.headers
        kinds, authorization = fields.auth_types(route), headers.get("Authorization")
        if kinds == ["noauth"]:
            if authorization is not None:
                self.violations.append(f"{route} was sent an Authorization header")
            return
        if "user" not in kinds:
            self.grants.check_app(route, authorization)
            return
        token = self.grants.bearer(route, authorization)
        incoming.grant = token.grant
        scope = self.endpoints[route].scope
        if scope is not None and scope not in token.scopes:
            raise Refused({".tag": "missing_scope", "required_scope": scope}, status=401)
        if "Dropbox-API-Select-User" in headers or "Dropbox-API-Select-Admin" in headers:
            raise bad_input(route, "only for team tokens", where='HTTP header "Dropbox-API-Select-User"')
        incoming.seen = self._view(incoming, headers.get("Dropbox-API-Path-Root"))

    def _view(self, incoming: Incoming, header: str | None) -> View:
        assert incoming.grant is not None
        account = incoming.grant.account
        if header is None:
            return self.storage.view(account, account.home)
        try:
            root = fields.parse_root(json.loads(header))
        except (ValueError, Misfit) as error:
            where = 'HTTP header "Dropbox-API-Path-Root"'
            raise bad_input(incoming.route, str(error), where=where) from None
        if root.is_home():
            return self.storage.view(account, account.home)
        if root.is_root():
            if root.get_root() != account.root.id:
                union = {".tag": "invalid_root", "invalid_root": root_info(account)}
                raise Refused(union, status=422)
            return self.storage.view(account, account.root)
        namespace = self.storage.namespaces.get(root.get_namespace_id())
        whole = self.storage.view(account, account.root)
        if namespace is None or whole.names_before(namespace) is None:
            raise Refused({".tag": "no_permission"}, status=422)
        return self.storage.view(account, namespace)

    async def _argument(self, incoming: Incoming) -> Any:
        route, request = incoming.route, incoming.request
        style, kind = fields.style(route), request.headers.get("Content-Type")
        wanted = {"rpc": "application/json", "upload": "application/octet-stream", "download": None}[style]
        if (kind or None) != wanted:
            raise bad_input(route, f"expecting {wanted!r}, got {kind!r}", where='HTTP header "Content-Type"')
        text, where = request.headers.get("Dropbox-API-Arg"), 'HTTP header "Dropbox-API-Arg"'
        if style == "upload":
            incoming.body = await request.read()
        elif style == "rpc":
            text, where = await request.text(), "request body"
        if text is None:
            raise bad_input(route, 'Must provide HTTP header "Dropbox-API-Arg"', where=where)
        try:
            return json.loads(text)
        except ValueError:
            raise bad_input(route, "could not decode input as JSON", where=where) from None


def _parsed(incoming: Incoming, arg: Any) -> Any:
    try:
        return fields.parse(incoming.route, arg)
    except Misfit as error:
        style = fields.style(incoming.route)
        where = "request body" if style == "rpc" else 'HTTP header "Dropbox-API-Arg"'
        raise bad_input(incoming.route, str(error), where=where) from None


async def send(
    request: web.Request, content: Content, headers: Mapping[str, str], *, etag: str
) -> web.StreamResponse:
    """Stream a file, a part of it where a Range is asked for, with the damage that was commanded."""
    start, end, status = 0, content.size, 200
    sent = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "ETag": etag, **headers}
    sent["Original-Content-Length"] = str(content.size)
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""))
    if asked and (asked[1] or asked[2]):
        start = int(asked[1]) if asked[1] else max(0, end - int(asked[2]))
        if asked[1] and asked[2]:
            end = min(end, int(asked[2]) + 1)
        if start >= content.size:
            headers = {"Content-Range": f"bytes */{content.size}"}
            return web.Response(status=416, text="Range Not Satisfiable", headers=headers)
        sent["Content-Range"], status = f"bytes {start}-{end - 1}/{content.size}", 206
    damage: Damage = request.get(_DAMAGE, Damage())
    last = end if damage.keep is None else min(end, start + damage.keep)
    sent["Content-Length"] = str((last if damage.quietly else end) - start)
    response = web.StreamResponse(status=status, headers=sent)
    await response.prepare(request)
    flip = damage.flipped
    with contextlib.suppress(ConnectionError):  # who asked has gone away
        for piece in content.pieces(start, last):
            await response.write(bytes([piece[0] ^ 1]) + piece[1:] if flip else piece)
            flip = False
    if last < end and not damage.quietly and request.transport is not None:
        request.transport.close()
    return response
