"""How a Slack reaches an app: Socket Mode connections, or signed HTTP requests, with redelivery."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from tests.vendors.slack_model import Json

Way = Literal["events_api", "interactive", "slash_commands"]


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One time that an envelope was sent. `took` is seconds until it was acknowledged, None if it was not;
    `status` is that of an HTTP answer, `connection` the number of a Socket Mode connection."""

    number: int
    reason: str
    took: float | None = None
    answer: Json | None = None
    text: str = ""
    status: int | None = None
    connection: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Delivery:
    """Something sent to the app. `over` is set once it is acknowledged or given up."""

    way: Way
    payload: Json
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    attempts: list[Attempt] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    refused: str | None = None

    @property
    def acknowledged(self) -> bool:
        return any(attempt.took is not None for attempt in self.attempts)

    @property
    def took(self) -> float | None:
        """Seconds that the first acknowledgement took."""
        return next((a.took for a in self.attempts if a.took is not None), None)

    @property
    def answer(self) -> Json | None:
        """The payload of the acknowledgement."""
        return next((a.answer for a in self.attempts if a.took is not None), None)

    @property
    def event(self) -> Json:
        event: Json = self.payload.get("event", {})
        return event

    @property
    def kind(self) -> str:
        """Such as "file_shared", "message", "block_actions" or "/transcribe"."""
        return str(self.event.get("type") or self.payload.get("command") or self.payload["type"])


class NoAnswer(Exception):
    """The app did not acknowledge in time."""


@dataclass(slots=True, eq=False)
class Connection:
    """A Socket Mode connection that is open."""

    number: int
    socket: web.WebSocketResponse
    waiting: dict[str, asyncio.Future[Json]] = field(default_factory=dict)
    dropping: bool = False


@dataclass(slots=True)
class Deliveries:
    """Sends what `add` is given, in order. `request_url` None means Socket Mode.

    `ack_within` is how long the app has, seconds; `retry_after` how long to wait before each repetition of an
    event (interactions and commands are never repeated).
    """

    signing_secret: str
    app_id: str
    clock: Callable[[], float] = time.time
    request_url: str | None = None
    ack_within: float = 3.0
    retry_after: Sequence[float] = (0.0, 60.0, 300.0)
    log: list[Delivery] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    opened: int = 0
    tickets: set[str] = field(default_factory=set)
    changed: Callable[[], None] = lambda: None
    _turn: int = 0
    _connected: asyncio.Event = field(default_factory=asyncio.Event)
    _sending: asyncio.Lock = field(default_factory=asyncio.Lock)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _session: aiohttp.ClientSession | None = None

    def add(self, way: Way, payload: Json, *, copies: int = 1) -> Delivery:
        """Send a payload, `copies` times under the same event id."""
        first = Delivery(way=way, payload=payload)
        for delivery in [first, *(Delivery(way=way, payload=payload) for _ in range(copies - 1))]:
            self.log.append(delivery)
            task = asyncio.create_task(self._deliver(delivery), name=f"slack {delivery.kind}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return first

    async def end(self) -> None:
        """Stop sending and close every connection."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self.connections):
            await connection.socket.close()
        if self._session is not None:
            await self._session.close()

    async def _deliver(self, delivery: Delivery) -> None:
        retries = self.retry_after if delivery.way == "events_api" else ()
        # What comes while no connection is open reaches the app as a repetition only.
        missed = self.request_url is None and not self._live() and bool(retries)
        reason = "timeout" if missed else ""
        try:
            for number in range(int(missed), len(retries) + 1):
                if number and not missed:
                    await asyncio.sleep(retries[number - 1])
                missed = False
                attempt = Attempt(number=number, reason=reason)
                delivery.attempts.append(attempt)
                again = await (self._over_http if self.request_url else self._over_socket)(delivery, attempt)
                if again is None:
                    return
                reason = again
        finally:
            delivery.over.set()
            self.changed()

    # Socket Mode

    def _live(self) -> list[Connection]:
        return [c for c in self.connections if not c.socket.closed and not c.dropping]

    async def _next_connection(self) -> Connection:
        while not (live := self._live()):
            self._connected.clear()
            await self._connected.wait()
        self._turn += 1
        return live[self._turn % len(live)]

    async def _over_socket(self, delivery: Delivery, attempt: Attempt) -> str | None:
        """Why it has to be sent again, None if it has not."""
        envelope: Json = {
            "envelope_id": delivery.id,
            "payload": delivery.payload,
            "type": delivery.way,
            "accepts_response_payload": delivery.way != "events_api",
        }
        if delivery.way == "events_api":
            envelope |= {"retry_attempt": attempt.number, "retry_reason": attempt.reason}
        answered: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        try:
            async with (
                asyncio.timeout(None if delivery.way == "events_api" else self.ack_within),
                self._sending,
            ):
                connection = await self._next_connection()
                attempt.connection = connection.number
                connection.waiting[delivery.id] = answered
                sent = time.perf_counter()
                await connection.socket.send_json(envelope)
            async with asyncio.timeout(self.ack_within):
                answer = await answered
        except (TimeoutError, NoAnswer, ConnectionError):
            return "timeout"
        attempt.took, attempt.answer = time.perf_counter() - sent, answer.get("payload")
        return None

    async def accept(self, request: web.Request) -> web.StreamResponse:
        """Serve one Socket Mode connection until it ends."""
        ticket = request.query.get("ticket", "")
        if ticket not in self.tickets:
            return web.Response(status=408, text="this ticket was used or is unknown")
        self.tickets.discard(ticket)
        socket = web.WebSocketResponse(autoping=True)
        await socket.prepare(request)
        self.opened += 1
        connection = Connection(number=self.opened, socket=socket)
        self.connections.append(connection)
        info = {"host": "applink-1", "started": "2026-11-25 10:00:00.000", "build_number": 1}
        await socket.send_json(
            {
                "type": "hello",
                "num_connections": len(self._live()),
                "debug_info": info | {"approximate_connection_time": 18060},
                "connection_info": {"app_id": self.app_id},
            }
        )
        self._connected.set()
        self.changed()
        try:
            async for message in socket:
                if message.type == aiohttp.WSMsgType.TEXT:
                    self._acknowledge(connection, message.data)
        finally:
            self.connections.remove(connection)
            for waiting in connection.waiting.values():
                if not waiting.done():
                    waiting.set_exception(NoAnswer)
            self.changed()
        return socket

    def _acknowledge(self, connection: Connection, text: str) -> None:
        answer = json.loads(text)
        waiting = connection.waiting.pop(str(answer.get("envelope_id")), None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def disconnect(self, reason: str = "refresh_requested", *, close: bool = False) -> None:
        """Tell every connection that it ends ("warning", "refresh_requested" or "link_disabled").

        A connection that was only warned still gets events; `close` ends them all at once, which makes the
        library of Slack connect twice.
        """
        for connection in self._live():
            connection.dropping = reason != "warning"
            message = {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-1"}}
            await connection.socket.send_json(message)
            if close:
                await connection.socket.close()

    async def cut(self) -> None:
        """End every connection without a word, as a broken network does."""
        for connection in self._live():
            connection.dropping = True
            if (
                transport := connection.socket._req.transport if connection.socket._req else None
            ) is not None:
                transport.abort()

    # HTTP

    def signed(self, body: str, *, at: float | None = None, secret: str | None = None) -> dict[str, str]:
        """Headers that prove that Slack sent a body."""
        stamp = str(int(self.clock() if at is None else at))
        key = (secret or self.signing_secret).encode()
        digest = hmac.new(key, f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}

    async def post(self, body: str, headers: Mapping[str, str]) -> tuple[int, str, Mapping[str, str]]:
        """Send a body to the request URL as it is; status, text and headers of the answer."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        if self.request_url is None:
            raise AssertionError("set request_url first")
        async with self._session.post(
            self.request_url, data=body.encode(), headers=headers, allow_redirects=False
        ) as response:
            return response.status, await response.text(), response.headers

    async def _over_http(self, delivery: Delivery, attempt: Attempt) -> str | None:
        if delivery.way == "events_api":
            body, kind = json.dumps(delivery.payload), "application/json"
        else:
            form = {"payload": json.dumps(delivery.payload)}
            kind = "application/x-www-form-urlencoded"
            body = urlencode(form if delivery.way == "interactive" else delivery.payload)
        headers = {"Content-Type": kind, "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)"}
        headers |= self.signed(body)
        if attempt.number:
            headers |= {"X-Slack-Retry-Num": str(attempt.number), "X-Slack-Retry-Reason": attempt.reason}
        sent = time.perf_counter()
        try:
            async with asyncio.timeout(self.ack_within):
                attempt.status, attempt.text, attempt.headers = await self.post(body, headers)
        except TimeoutError:
            return "http_timeout"
        except (aiohttp.ClientError, ConnectionError):
            return "connection_failed"
        if not 200 <= attempt.status < 300:
            return None if attempt.headers.get("X-Slack-No-Retry") == "1" else "http_error"
        attempt.took = time.perf_counter() - sent
        if attempt.text.startswith("{"):
            attempt.answer = json.loads(attempt.text)
        return None
