"""Drive's API: who calls, with which parameters, whether they may, and what goes wrong on command."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from aiohttp import web

from tests.vendors.faults import Fault
from tests.vendors.gdrive_access import FILE_SCOPE, Access
from tests.vendors.gdrive_fields import COMMON, Mask, methods, parse, schema, select, wrong
from tests.vendors.gdrive_model import Account, Content, Drive, File, Json, Refused, invalid
from tests.vendors.gdrive_oauth import OAuth, Token
from tests.vendors.gdrive_resources import SHORT, View
from tests.vendors.gdrive_troubles import Hold, Partly, Short, Trouble, Wrong, error

METADATA_SCOPES = frozenset(
    f"https://www.googleapis.com/auth/drive.metadata{kind}" for kind in ("", ".readonly")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that came. `status` is what it was answered with, 0 if the connection was ended at once;
    `reason` says why it was refused. `at` is in seconds of the server's clock."""

    method: str
    params: Mapping[str, Any]
    body: Json
    account: str | None
    client: str | None
    at: float
    status: int
    reason: str | None


@dataclass(kw_only=True)
class Request:
    """A call while it is answered."""

    api: Api
    method: str
    token: Token
    params: Mapping[str, Any]
    body: Json
    content: Content | None = None
    content_type: str = ""

    @property
    def drive(self) -> Drive:
        return self.api.drive

    @property
    def account(self) -> Account:
        return self.token.account

    @cached_property
    def access(self) -> Access:
        own = FILE_SCOPE in self.token.scopes and not self._wider
        return Access(self.drive, self.account, self.token.client, only_own=own)

    @property
    def _wider(self) -> bool:
        """Whether another scope than that for the app's own files allows this call."""
        allowed = set(methods()[self.method].get("scopes", ())) - {FILE_SCOPE}
        return bool(allowed & self.token.scopes)

    @cached_property
    def view(self) -> View:
        return View(self.access)

    @property
    def all_drives(self) -> bool:
        return bool(self.params.get("supportsAllDrives") or self.params.get("supportsTeamDrives"))

    def mask(self, default: Mask) -> Mask:
        """Which fields of the answer are wanted."""
        text = self.params.get("fields")
        if text is None:
            return default
        return parse(text, methods()[self.method]["response"]["$ref"])

    def needs_mask(self) -> Mask:
        """The wanted fields, of a method that insists on "fields"."""
        if "fields" not in self.params:
            message = "The 'fields' parameter is required for this method."
            raise Refused(400, "required", message, "fields", "parameter")
        return self.mask(None)

    def tell(self, resource: Json, default: Mask = None) -> Json:
        """What is wanted of an answer."""
        told: Json = select(self.mask(default), resource)
        return told

    def tell_file(self, file: File) -> Json:
        return self.view.file(file, self.mask(SHORT))

    def find(self, name: str = "fileId") -> File:
        """The file that a parameter names."""
        return self.access.find(self.params[name], all_drives=self.all_drives)

    def paged(self, found: Callable[[], list[str]]) -> tuple[list[str], str | None]:
        """The ids of a page, and the token of the next; `found` makes the list for the first page."""
        asked = {k: v for k, v in self.params.items() if k not in ("pageToken", "pageSize", "fields")}
        key = repr((self.method, self.account.id, sorted(asked.items())))
        size = int(self.params.get("pageSize", 100))
        return self.api.pages.page(key, self.params.get("pageToken"), size, found)


class Pages:
    """Lists that are read page by page. A token is good for the same question only."""

    def __init__(self, kept: int = 200) -> None:
        self._kept = kept
        self._open: dict[str, tuple[str, list[str], int]] = {}
        self._number = 0

    def page(
        self, key: str, token: str | None, size: int, found: Callable[[], list[str]]
    ) -> tuple[list[str], str | None]:
        if token is None:
            ids, at = found(), 0
        elif token not in self._open or self._open[token][0] != key:
            raise invalid("pageToken")
        else:
            _, ids, at = self._open[token]
        if at + size >= len(ids):
            return ids[at:], None
        self._number += 1
        following = f"~!!~local-{self._number}"
        self._open[following] = key, ids, at + size
        while len(self._open) > self._kept:
            del self._open[next(iter(self._open))]
        return ids[at : at + size], following

    def expire(self) -> None:
        """No token that was given out is good any more."""
        self._open.clear()


Handler = Callable[[Request], Json | None]


@dataclass(slots=True)
class Api:
    """The API and everything behind it. `violations` are things that no app may ever do."""

    drive: Drive
    oauth: OAuth
    handlers: Mapping[str, Handler]
    calls: list[Call] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    pages: Pages = field(default_factory=Pages)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    changed: Callable[[], None] = lambda: None
    _troubles: defaultdict[str, list[Trouble]] = field(default_factory=lambda: defaultdict(list))
    _holds: defaultdict[str, list[Hold]] = field(default_factory=lambda: defaultdict(list))

    def fail(self, method: str, *troubles: Trouble) -> None:
        """Answer the next calls of `method` with these, one each."""
        for trouble in troubles:
            if isinstance(trouble, (Short, Wrong)) and method not in ("download", "files.export"):
                raise ValueError(f"{trouble} is for downloads")
            if isinstance(trouble, Partly) and method != "upload":
                raise ValueError(f"{trouble} is for pieces of uploads")
        self._troubles[method] += troubles

    def forgive(self) -> None:
        """No more trouble to come."""
        self._troubles.clear()

    def hold(self, method: str) -> Hold:
        """Keep the next call of `method` waiting before it takes effect."""
        hold = Hold()
        self._holds[method].append(hold)
        return hold

    async def serve(
        self,
        method: str,
        request: web.Request,
        answer: Callable[[Trouble | None], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """`answer`, or what goes wrong instead."""
        try:
            return await self._serve(method, request, answer)
        except ConnectionResetError:
            # The client left in the middle of its request, or of the answer.
            self.record(method, asked_of(request), status=0, reason="gone")
            return web.Response()
        except Exception as failed:
            self.violations.append(f"{method}: {failed!r}")
            raise

    async def _serve(
        self,
        method: str,
        request: web.Request,
        answer: Callable[[Trouble | None], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        if self._holds[method]:
            await self._holds[method].pop(0).wait()
        trouble = self._troubles[method].pop(0) if self._troubles[method] else None
        if isinstance(trouble, Fault):
            await request.read()
            self.record(method, asked_of(request), status=trouble.status, reason="fault")
            return web.Response(
                status=trouble.status,
                text=trouble.body,
                content_type=trouble.content_type,
                headers=trouble.headers,
            )
        if trouble in ("cut", "hang"):
            await request.read()
            self.record(method, asked_of(request), status=0, reason=str(trouble))
            if trouble == "hang":
                await self.over.wait()
            response: web.StreamResponse = web.Response()
        else:
            response = await answer(trouble)
        if trouble in ("cut", "hang", "lost") and request.transport is not None:
            request.transport.abort()
        return response

    def record(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        status: int,
        reason: str | None = None,
        body: Json | None = None,
        token: Token | None = None,
    ) -> None:
        """Put a request on the list of those that came."""
        call = Call(
            method=method,
            params=dict(params),
            body=body or {},
            account=token.account.email if token else None,
            client=token.client if token else None,
            at=self.drive.clock(),
            status=status,
            reason=reason,
        )
        self.calls.append(call)
        self.changed()

    # Who calls, and whether they may

    def token(self, request: web.Request, method: str) -> Token:
        """Whose token it is; refused where it is not good, or not for this method."""
        if "access_token" in request.query:
            self.violations.append(f"a token in the address of {method}")
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or not value:
            raise Refused(401, "required", "Login Required.", "Authorization", "header")
        found = self.oauth.tokens.get(value)
        if found is None or found.until <= self.drive.clock():
            raise Refused(401, "authError", "Invalid Credentials", "Authorization", "header")
        return found

    def check_scope(self, token: Token, method: str, *, media: bool) -> None:
        """Refuse what the token's scopes do not allow; metadata scopes never allow content."""
        allowed = set(methods()[method].get("scopes", ()))
        if not (allowed - METADATA_SCOPES if media else allowed) & token.scopes:
            message = "Request had insufficient authentication scopes."
            raise Refused(403, "insufficientPermissions", f"Insufficient Permission: {message}")

    def params(self, method: str, given: Mapping[str, str]) -> dict[str, Any]:
        """Parameters in their types, as the discovery document has them; those not given by their default."""
        described = methods()[method].get("parameters", {})
        found: dict[str, Any] = {}
        for name, value in given.items():
            if name in described:
                found[name] = _typed(name, value, described[name])
            elif name in COMMON:
                found[name] = value
            else:
                self.violations.append(f"{method} has no parameter {name}")
                raise invalid(name)
        for name, about in described.items():
            if name not in found and about.get("default", "") != "":
                found[name] = _typed(name, about["default"], about)
        return found

    # Answers

    async def answer(
        self, method: str, request: web.Request, handle: Callable[[Request], Json | None] | None = None
    ) -> web.Response:
        """Answer a call with JSON; `handle` in place of the method's own handler."""
        token: Token | None = None
        body: Json = {}
        given = asked_of(request)
        try:
            if "X-HTTP-Method-Override" in request.headers:
                given = {name: str(value) for name, value in (await request.post()).items()}
            elif request.can_read_body:
                body = await _json(request)
            token = self.token(request, method)
            self.check_scope(token, method, media=False)
            params = self.params(method, given)
            handle = handle or self.handlers.get(method)
            if handle is None:
                self.violations.append(f"the local Drive does not know {method}")
                raise Refused(501, "notImplemented", f"The local Drive does not know {method}.")  # noqa: TRY301
            found = handle(Request(api=self, method=method, token=token, params=params, body=body))
        except Refused as refused:
            self.record(method, given, status=refused.status, reason=refused.reason, body=body, token=token)
            return self.refused(refused)
        status = 204 if found is None else 200
        self.record(method, given, status=status, body=body, token=token)
        return web.Response(status=204) if found is None else self.told(method, found)

    def told(self, method: str, resource: Json) -> web.Response:
        """An answer, which must be as the discovery document describes it."""
        expected = methods()[method]["response"]["$ref"]
        self.violations += [f"{method}: {one}" for one in wrong(resource, schema(expected), expected)]
        return web.json_response(resource)

    def refused(self, refused: Refused) -> web.Response:
        headers = {}
        if refused.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="https://accounts.google.com/", error="invalid_token"'
        return web.json_response(error(refused), status=refused.status, headers=headers)


def asked_of(request: web.Request) -> dict[str, str]:
    """The parameters of a request, those in its path too."""
    return {**request.query, **request.match_info}


def _typed(name: str, value: str, about: Json) -> Any:
    if about["type"] == "boolean":
        if value not in ("true", "false"):
            raise Refused(400, "invalidParameter", f"Invalid value '{value}'.", name, "parameter")
        return value == "true"
    if about["type"] == "integer":
        low, high = int(about.get("minimum", 1)), int(about.get("maximum", 2**31 - 1))
        if not value.lstrip("-").isdecimal() or not low <= int(value) <= high:
            message = f"Invalid value '{value}'. Values must be within the range: [{low}, {high}]"
            raise Refused(400, "invalidParameter", message, name, "parameter")
        return int(value)
    return value


async def _json(request: web.Request) -> Json:
    raw = await request.read()
    if not raw:
        return {}
    if request.content_type != "application/json":
        raise Refused(400, "badContent", f"Unsupported content with type: {request.content_type}")
    return parsed(raw)


def parsed(raw: bytes) -> Json:
    """A JSON object; refused where it is none."""
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refused(400, "parseError", "Parse Error")
    return body
