"""Push notifications: `changes.watch`, `channels.stop`, and the requests that reach the app."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Literal
from urllib.parse import urlsplit

import aiohttp

from tests.vendors.gdrive_api import Api, Handler, Request
from tests.vendors.gdrive_changes import number_of, shared_drive_of
from tests.vendors.gdrive_model import Account, ChangeLog, Json, Refused, invalid

LIFE = 3600.0  # seconds, where the app asks for no expiration
MAX_LIFE = 7 * 86_400.0
_AGAIN = (500, 502, 503, 504)


@dataclass(slots=True, eq=False, kw_only=True)
class Channel:
    """Where notifications of a log are sent. `until` is in seconds of the server's clock."""

    id: str
    resource_id: str
    resource_uri: str
    address: str
    token: str | None
    until: float
    account: Account
    client: str
    log: ChangeLog
    stopped: bool = False
    number: int = 0
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_due: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class Notice:
    """A notification. `status` is that of the last answer, None while there is none; `over` is set once it
    is answered or given up."""

    channel: Channel
    state: Literal["sync", "change"]
    number: int
    attempts: int = 0
    status: int | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Push:
    """Sends notifications. `hosts` says which local origin stands for a public one, such as
    "https://bot.example"; others are not reached. `unverified` are public origins that Google does not
    accept. While `held`, notices wait in `waiting` until `release`."""

    api: Api
    hosts: dict[str, str] = field(default_factory=dict)
    unverified: set[str] = field(default_factory=set)
    retry_after: Sequence[float] = (0.1, 0.5)
    channels: list[Channel] = field(default_factory=list)
    log: list[Notice] = field(default_factory=list)
    waiting: list[Notice] = field(default_factory=list)
    held: bool = False
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _session: aiohttp.ClientSession | None = None

    # What the app calls

    def watch(self, request: Request) -> Json:
        body, shared = request.body, shared_drive_of(request)
        log = shared.log if shared else request.account.log
        number_of(request, log)
        for name in ("id", "type", "address"):
            if not isinstance(body.get(name), str) or not body[name]:
                raise Refused(400, "required", f"Required: {name}")
        self._check(body)
        now = request.drive.clock()
        asked = body.get("expiration")
        if asked is not None and not str(asked).isdecimal():
            raise invalid("expiration")
        until = now + LIFE if asked is None else min(int(asked) / 1000, now + MAX_LIFE)
        if until <= now:
            raise invalid("expiration", "The expiration is in the past.")
        token = request.params["pageToken"]
        channel = Channel(
            id=body["id"],
            resource_id=request.drive.new_id("", 27),
            resource_uri=f"https://www.googleapis.com/drive/v3/changes?alt=json&pageToken={token}",
            address=body["address"],
            token=body.get("token"),
            until=until,
            account=request.account,
            client=request.token.client,
            log=log,
        )
        self.channels.append(channel)
        log.changed = lambda: self._changed(log)
        self._add(channel, "sync")
        told = {
            "kind": "api#channel",
            "id": channel.id,
            "resourceId": channel.resource_id,
            "resourceUri": channel.resource_uri,
            "expiration": str(int(until * 1000)),
        }
        return told if channel.token is None else told | {"token": channel.token}

    def _check(self, body: Json) -> None:
        address, channel_id = body["address"], body["id"]
        if body["type"] not in ("web_hook", "webhook"):
            raise Refused(400, "push.channelTypeNotSupported", "Unsupported channel type.")
        if not address.startswith("https://"):
            message = f"WebHook callback must be HTTPS: {address}"
            raise Refused(400, "push.webhookUrlNotHttps", message)
        if _origin(address) in self.unverified:
            message = f"Unauthorized WebHook callback channel: {address}"
            raise Refused(401, "push.webhookUrlUnauthorized", message)
        if len(body.get("token") or "") > 256 or len(channel_id) > 64:
            raise invalid("token" if len(channel_id) <= 64 else "id")
        if any(one.id == channel_id for one in self.channels):
            raise Refused(400, "channelIdNotUnique", f"Channel id {channel_id} not unique")

    def stop(self, request: Request) -> None:
        wanted = request.body.get("id"), request.body.get("resourceId")
        for channel in self.live():
            mine = channel.account is request.account and channel.client == request.token.client
            if (channel.id, channel.resource_id) == wanted and mine:
                channel.stopped = True
                return
        message = f"Channel '{wanted[0]}' not found for project 'erni-audio-local'"
        raise Refused(404, "notFound", message)

    # What reaches the app

    def live(self) -> list[Channel]:
        """Channels that are neither stopped nor expired."""
        now = self.api.drive.clock()
        return [one for one in self.channels if not one.stopped and one.until > now]

    def notify(self, channel: Channel | None = None, *, copies: int = 1) -> list[Notice]:
        """Send notifications though nothing changed, to one channel or to all; `copies` of the same."""
        found = []
        for one in [channel] if channel else self.live():
            number = self._next(one)
            found += [self._send(Notice(channel=one, state="change", number=number)) for _ in range(copies)]
        return found

    def release(self, order: Callable[[list[Notice]], list[Notice]] = list) -> None:
        """Send what was held, in another order (`lambda notices: notices[::-1]`), or some of it only."""
        self.held, waiting, self.waiting = False, self.waiting, []
        for held in order(waiting):
            self._send(Notice(channel=held.channel, state=held.state, number=held.number))

    async def delivered(self, *, seconds: float = 10.0) -> None:
        """Wait until every notification so far is answered or given up."""
        async with asyncio.timeout(seconds):
            await asyncio.sleep(0)
            while pending := [notice for notice in self.log if not notice.over.is_set()]:
                await pending[0].over.wait()

    async def end(self) -> None:
        """Stop sending."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _next(self, channel: Channel) -> int:
        """Numbers grow, but they are not one after the other."""
        channel.number = 1 if channel.number == 0 else channel.number + 1 + channel.number % 3
        return channel.number

    def _changed(self, log: ChangeLog) -> None:
        """Changes of one moment are one notification."""
        for channel in self.live():
            if channel.log is log and not channel.is_due:
                channel.is_due = True
                asyncio.get_running_loop().call_soon(self._due, channel)

    def _due(self, channel: Channel) -> None:
        channel.is_due = False
        self._add(channel, "change")

    def _add(self, channel: Channel, state: Literal["sync", "change"]) -> None:
        notice = Notice(channel=channel, state=state, number=self._next(channel))
        if self.held and state == "change":
            self.waiting.append(notice)
        else:
            self._send(notice)

    def _send(self, notice: Notice) -> Notice:
        self.log.append(notice)
        task = asyncio.create_task(self._deliver(notice), name=f"gdrive {notice.state}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return notice

    async def _deliver(self, notice: Notice) -> None:
        try:
            async with notice.channel.sending:
                for wait in (*self.retry_after, None):
                    notice.attempts += 1
                    with suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                        notice.status = await self.post(notice)
                    if wait is None or notice.status is None or notice.status not in _AGAIN:
                        return
                    await asyncio.sleep(wait)
        finally:
            notice.over.set()
            self.api.changed()

    async def post(self, notice: Notice, **headers: str) -> int | None:
        """Send a notification once, with headers changed (`X_Goog_Channel_Token="forged"`); the status of
        the answer, None if nobody is there."""
        origin = self.hosts.get(_origin(notice.channel.address))
        if origin is None:
            return None
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        url = origin + notice.channel.address.removeprefix(_origin(notice.channel.address))
        sent = _headers(notice) | {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.post(url, data=b"", headers=sent, allow_redirects=False) as response:
            return response.status


def _headers(notice: Notice) -> dict[str, str]:
    channel = notice.channel
    found = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)",
        "X-Goog-Channel-ID": channel.id,
        "X-Goog-Channel-Expiration": formatdate(channel.until, usegmt=True),
        "X-Goog-Resource-ID": channel.resource_id,
        "X-Goog-Resource-URI": channel.resource_uri,
        "X-Goog-Resource-State": notice.state,
        "X-Goog-Message-Number": str(notice.number),
    }
    return found if channel.token is None else found | {"X-Goog-Channel-Token": channel.token}


def _origin(address: str) -> str:
    found = urlsplit(address)
    return f"{found.scheme}://{found.netloc}"


def handlers(push: Push) -> Mapping[str, Handler]:
    """The methods of the API that are about channels."""
    return {"changes.watch": push.watch, "channels.stop": push.stop}
