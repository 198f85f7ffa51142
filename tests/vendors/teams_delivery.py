"""How Teams reaches a bot: signed POSTs, the time that it waits, repetitions, answers that come too late."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp

from tests.vendors.teams_login import Login
from tests.vendors.teams_traffic import Json

AGENT = "Microsoft-SkypeBotApi (Microsoft-BotFramework/3.0)"


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One time that an activity was sent. `took` is seconds until an answer that counted, None if there was
    none in time; `late` seconds until one that was dropped."""

    number: int
    id: str
    took: float | None = None
    late: float | None = None
    status: int | None = None
    text: str = ""
    error: str | None = None


@dataclass(slots=True, kw_only=True)
class Delivery:
    """An activity for the bot. `over` is set once it is answered or given up; `problem` is what is wrong with
    the shape of an answer."""

    activity: Json
    attempts: list[Attempt] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    problem: str | None = None

    @property
    def kind(self) -> str:
        """Such as "message", "conversationUpdate" or "composeExtension/fetchTask"."""
        return str(self.activity.get("name") or self.activity["type"])

    @property
    def is_invoke(self) -> bool:
        return bool(self.activity["type"] == "invoke")

    @property
    def answered(self) -> Attempt | None:
        """The attempt whose answer counts."""
        return next((a for a in self.attempts if a.took is not None), None)

    @property
    def acknowledged(self) -> bool:
        return self.answered is not None and 200 <= (self.status or 0) < 300

    @property
    def status(self) -> int | None:
        return self.answered.status if self.answered else None

    @property
    def took(self) -> float | None:
        """Seconds that the answer took."""
        return self.answered.took if self.answered else None

    @property
    def answer(self) -> Any:
        """The JSON of the answer, None if it has none."""
        text = self.answered.text if self.answered else ""
        return json.loads(text) if text else None


class NoAnswer(Exception):
    """The bot did not answer in time, or with an error: people see "Unable to reach app"."""


@dataclass(slots=True)
class Deliveries:
    """Sends what `add` is given. `endpoint` is the bot's. Times are in seconds.

    An invoke is dropped after `invoke_within` and sent `invoke_repeats` times more; whether a repetition has
    a new id (`new_ids`, also for copies of invokes) is not published. Other activities have `ack_within` and
    are not repeated unless `event_repeats` says so. `anonymous` sends no token, as the Agents Playground
    does.
    """

    login: Login
    endpoint: str | None = None
    invoke_within: float = 5.0
    invoke_repeats: int = 2
    ack_within: float = 15.0
    event_repeats: int = 0
    new_ids: bool = False
    anonymous: bool = False
    log: list[Delivery] = field(default_factory=list)
    changed: Callable[[], None] = lambda: None
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _session: aiohttp.ClientSession | None = None

    def add(self, activity: Json, *, copies: int = 1) -> Delivery:
        """Send an activity, `copies` times at once under the same id unless there are `new_ids`."""
        first = Delivery(activity=activity)
        renamed = self.new_ids and first.is_invoke
        more = [activity | ({"id": _new_id()} if renamed else {}) for _ in range(copies - 1)]
        for delivery in [first, *(Delivery(activity=each) for each in more)]:
            self.log.append(delivery)
            self._start(self._deliver(delivery), f"teams {delivery.kind}")
        return first

    def _start(self, work: Any, name: str) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def end(self) -> None:
        """Stop sending."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _deliver(self, delivery: Delivery) -> None:
        repeats = self.invoke_repeats if delivery.is_invoke else self.event_repeats
        within = self.invoke_within if delivery.is_invoke else self.ack_within
        try:
            for number in range(repeats + 1):
                activity = delivery.activity
                if number and self.new_ids:
                    activity = activity | {"id": _new_id()}
                attempt = Attempt(number=number, id=str(activity["id"]))
                delivery.attempts.append(attempt)
                sending = self._start(self._send(activity, attempt), f"teams {delivery.kind} {number}")
                started = time.perf_counter()
                await asyncio.wait({sending}, timeout=within)
                if sending.done():
                    if attempt.status is not None:
                        attempt.took = time.perf_counter() - started
                        return
                else:
                    sending.add_done_callback(partial(self._too_late, attempt, started))
        finally:
            delivery.over.set()
            self.changed()

    def _too_late(self, attempt: Attempt, started: float, _: asyncio.Task[Any]) -> None:
        if attempt.status is not None:
            attempt.late = time.perf_counter() - started
        self.changed()

    async def _send(self, activity: Json, attempt: Attempt) -> None:
        headers = self.headers(activity)
        try:
            attempt.status, attempt.text = await self.post(json.dumps(activity).encode(), headers)
        except (aiohttp.ClientError, ConnectionError) as error:
            attempt.error = str(error) or type(error).__name__

    def headers(self, activity: Json, authorization: str | None = None) -> dict[str, str]:
        """Headers of an activity: its own token unless there is another."""
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": AGENT}
        headers["x-ms-conversation-id"] = str(activity.get("conversation", {}).get("id", ""))
        headers["x-ms-tenant-id"] = str(activity.get("conversation", {}).get("tenantId", ""))
        if authorization is not None:
            headers["Authorization"] = authorization
        elif not self.anonymous:
            headers["Authorization"] = self.login.header(str(activity.get("serviceUrl")))
        return headers

    async def post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        """Send bytes to the bot's endpoint as they are; status and text of the answer."""
        if self._session is None:
            # A bot that was restarted would be sent the first activity over a connection that is dead.
            connector = aiohttp.TCPConnector(force_close=True)
            self._session = aiohttp.ClientSession(connector=connector)
        if self.endpoint is None:
            raise AssertionError("set endpoint first")
        async with self._session.post(
            self.endpoint, data=body, headers=headers, allow_redirects=False
        ) as response:
            return response.status, await response.text()


def _new_id() -> str:
    return f"f:{uuid.uuid4()}"
