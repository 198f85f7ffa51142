"""Every request to the local Microsoft: what is noted of it, how it is refused, what goes wrong."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from aiohttp import web

from tests.vendors.faults import Fault

Json = dict[str, Any]
Api = Literal["login", "connector", "graph", "storage"]

Trouble = Fault | Literal["cut", "hang", "lost"]
"""An answer instead of the right one; or the connection ends at once, or it stays open without an answer, or
the call takes effect and then the connection ends."""


class Refused(Exception):
    """An answer with an error. `code` and `message` are put into the shape that each API has."""

    def __init__(self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None):
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}


def connector_error(status: int, code: str, message: str, *, retry_after: int | None = None) -> Fault:
    """An error of the Bot Connector, for `fail`."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Fault(status=status, body=json.dumps(_connector_body(code, message)), headers=headers)


def graph_error(status: int, code: str, message: str = "", *, retry_after: int | None = None) -> Fault:
    """An error of Graph, for `fail`."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Fault(status=status, body=json.dumps(_graph_body(code, message or code)), headers=headers)


def throttled(seconds: int = 1) -> Fault:
    """The Bot Connector's 429."""
    return connector_error(429, "Throttled", "Too many requests.", retry_after=seconds)


def graph_throttled(seconds: int = 1) -> Fault:
    """Graph's 429 for files."""
    return graph_error(429, "activityLimitReached", "The request has been throttled", retry_after=seconds)


def _connector_body(code: str, message: str) -> Json:
    return {"error": {"code": code, "message": message}}


def _graph_body(code: str, message: str) -> Json:
    request = str(uuid.uuid4())
    inner = {"date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")}
    inner |= {"request-id": request, "client-request-id": request}
    return {"error": {"code": code, "message": message, "innerError": inner}}


def error_response(api: Api, refused: Refused) -> web.Response:
    """A refusal in the shape of an API."""
    body: Json
    if api == "login":
        trace, now = str(uuid.uuid4()), datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        number = int("".join(c for c in refused.message.partition(":")[0] if c.isdecimal()) or 0)
        body = {"error": refused.code, "error_codes": [number], "timestamp": now}
        body["error_description"] = f"{refused.message} Trace ID: {trace} Timestamp: {now}"
        body |= {"trace_id": trace, "correlation_id": str(uuid.uuid4())}
    elif api == "connector" and refused.status == 401:
        body = {"message": "Authorization has been denied for this request."}
    elif api == "connector":
        body = _connector_body(refused.code, refused.message)
    else:
        body = _graph_body(refused.code, refused.message)
    return web.json_response(body, status=refused.status, headers=refused.headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that was answered. `name` is the operation, such as "send" or "shares"; `at` seconds of the
    server's clock; `body` the JSON that came, or its number of bytes; `answer` what was sent back, also where
    the connection was cut then."""

    api: Api
    name: str
    method: str
    path: str
    status: int
    at: float
    body: Any = None
    answer: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def error(self) -> str | None:
        """The code of the error, None if there was none."""
        if self.status < 400:
            return None
        answer = self.answer if isinstance(self.answer, dict) else {}
        error = answer.get("error", answer.get("message", ""))
        return str(error["code"] if isinstance(error, dict) else error)


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


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Traffic:
    """`violations` are things that no app may ever do, such as sending a token to a host it is not for."""

    clock: Callable[[], float] = time.time
    calls: list[Call] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    changed: Callable[[], None] = lambda: None
    _troubles: defaultdict[str, list[Trouble]] = field(default_factory=lambda: defaultdict(list))
    _holds: defaultdict[str, list[Hold]] = field(default_factory=lambda: defaultdict(list))
    names: set[str] = field(default_factory=set)

    def fail(self, name: str, *troubles: Trouble) -> None:
        """Answer the next calls of an operation with these, one each."""
        self._known(name)
        self._troubles[name] += troubles

    def forgive(self) -> None:
        """No more trouble to come."""
        self._troubles.clear()

    def hold(self, name: str) -> Hold:
        """Keep the next call of an operation waiting before it takes effect."""
        self._known(name)
        hold = Hold()
        self._holds[name].append(hold)
        return hold

    def _known(self, name: str) -> None:
        if name not in self.names:
            raise AssertionError(f"there is no operation {name}, only {sorted(self.names)}")

    def route(self, api: Api, name: str, handler: Handler) -> Handler:
        """`handler` as an operation of that name: noted, refused, held, failed."""
        self.names.add(name)

        async def handle(request: web.Request) -> web.StreamResponse:
            if self._holds[name]:
                await self._holds[name].pop(0).wait()
            trouble = self._troubles[name].pop(0) if self._troubles[name] else None
            if isinstance(trouble, Fault):
                await request.read()
                response: web.StreamResponse = web.Response(
                    status=trouble.status,
                    text=trouble.body,
                    content_type=trouble.content_type,
                    headers=trouble.headers,
                )
            elif trouble in ("cut", "hang"):
                if trouble == "hang":
                    await self.over.wait()
                response = web.Response(status=503)
            else:
                try:
                    response = await handler(request)
                except Refused as refused:
                    response = error_response(api, refused)
            self._note(api, name, request, response, await _body(request))
            if isinstance(trouble, str) and request.transport is not None:
                request.transport.abort()
            return response

        return handle

    def _note(
        self, api: Api, name: str, request: web.Request, response: web.StreamResponse, body: Any
    ) -> None:
        text = response.text if isinstance(response, web.Response) and response.body is not None else None
        answer: Any = text
        if text is not None and response.content_type == "application/json":
            answer = json.loads(text) if text else None
        self.calls.append(
            Call(
                api=api,
                name=name,
                method=request.method,
                path=request.rel_url.raw_path,
                status=response.status,
                at=self.clock(),
                body=body,
                answer=answer,
                headers={k: v for k, v in request.headers.items() if k != "Authorization"},
            )
        )
        self.changed()


async def _body(request: web.Request) -> Any:
    if request.content_type == "application/json" and request.body_exists:
        try:
            return json.loads(await request.read())
        except (ValueError, ConnectionError):
            return None
    return request.content_length


async def json_of(request: web.Request) -> Json:
    """A JSON object that was sent; 400 otherwise."""
    try:
        body = json.loads(await request.read() or b"{}")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refused(400, "BadSyntax", "The body is not a JSON object.")
    return body
