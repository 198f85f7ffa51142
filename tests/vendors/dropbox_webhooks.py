"""Telling an app that something changed: the challenge, and signed requests that say whose files it was."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import aiohttp

from core import tasks
from tests.vendors.dropbox_model import Account

PATIENCE = 10.0  # seconds that an app has to answer


@dataclass(slots=True, eq=False, kw_only=True)
class Notice:
    """One request that tells of changes. `statuses` are the answers so far, 0 where none came."""

    accounts: list[str]
    body: bytes
    headers: dict[str, str]
    statuses: list[int] = field(default_factory=list)
    lost: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def arrived(self) -> bool:
        return 200 in self.statuses


@dataclass(slots=True)
class Webhooks:
    """`url` is where notices go, None: nowhere. Each is sent `copies` times; the next `lose` are not sent at
    all. After an answer other than 200 it is tried again after each of `retry_after` (seconds)."""

    secret: str
    url: str | None = None
    copies: int = 1
    lose: int = 0
    retry_after: tuple[float, ...] = (0.05, 0.2)
    patience: float = PATIENCE
    log: list[Notice] = field(default_factory=list)
    changed: Callable[[], None] = lambda: None
    _waiting: dict[str, Account] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _session: aiohttp.ClientSession | None = None

    def tell(self, account: Account) -> None:
        """An account's files changed. What happens in one step of the event loop is told at once."""
        if self.url is None or account.id in self._waiting:
            return
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting[account.id] = account

    async def verify(self, url: str) -> bool:
        """Ask an address for its challenge as the App Console does; it is used from then on if right."""
        challenge = "Nf3x-abc_123<script>"
        try:
            async with (
                asyncio.timeout(self.patience),
                self._client().get(url, params={"challenge": challenge}, allow_redirects=False) as answer,
            ):
                right = await answer.text() == challenge and answer.status == 200
                plain = answer.content_type == "text/plain"
                right = right and plain and answer.headers.get("X-Content-Type-Options") == "nosniff"
        except (aiohttp.ClientError, TimeoutError):
            return False
        if right:
            self.url = url
        return right

    def signature(self, body: bytes) -> str:
        """What the header X-Dropbox-Signature must be."""
        return hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()

    def notice(self, accounts: Sequence[Account]) -> Notice:
        """A signed request about these accounts, not sent yet."""
        payload = {
            "list_folder": {"accounts": [account.id for account in accounts]},
            "delta": {"users": [account.uid for account in accounts]},
        }
        body = json.dumps(payload).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "DropboxWebhooks/1.0",
            "X-Dropbox-Signature": self.signature(body),
        }
        return Notice(accounts=[account.id for account in accounts], body=body, headers=headers)

    async def send(self, notice: Notice) -> int:
        """Send a notice once, the right one or what a test made of it; the status, 0 without an answer."""
        assert self.url is not None
        try:
            async with (
                asyncio.timeout(self.patience),
                self._client().post(self.url, data=notice.body, headers=notice.headers) as answer,
            ):
                await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        notice.statuses.append(status)
        self.changed()
        return status

    async def delivered(self, *, seconds: float = 10.0) -> None:
        """Wait until every notice so far arrived or was given up."""
        async with asyncio.timeout(seconds):
            while self._waiting:
                await asyncio.sleep(0)
            for notice in list(self.log):
                await notice.over.wait()

    async def end(self) -> None:
        await tasks.end(*self._tasks)
        if self._session is not None:
            await self._session.close()

    def _flush(self) -> None:
        accounts = list(self._waiting.values())
        self._waiting.clear()
        for _ in range(self.copies):
            notice = self.notice(accounts)
            self.log.append(notice)
            if self.lose:
                self.lose -= 1
                notice.lost = True
                notice.over.set()
                continue
            task = asyncio.create_task(self._deliver(notice))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, notice: Notice) -> None:
        try:
            for pause in (*self.retry_after, None):
                if await self.send(notice) == 200 or pause is None:
                    return
                await asyncio.sleep(pause)
        finally:
            notice.over.set()
            self.changed()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session
