"""Talking to a vendor's HTTP API: one client, errors turned into ours, uploads streamed, jobs awaited."""

from __future__ import annotations

import asyncio
import email.utils
import json
import logging
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from core.errors import AuthFailed, Misconfigured, QuotaExhausted, Rejected, Transient
from core.ports import Hooks

logger = logging.getLogger(__name__)

T = TypeVar("T")

_ANSWER_BYTES = 64 * 2**20  # the words of a 12-hour recording are about 20 MB
_BLOCK = 256 * 1024
_LARGE = 64 * 1024  # bytes of JSON that would hold up the event loop
_LONGEST_WAIT = 30.0  # for which one request waits itself; longer waits are the caller's to plan
_TRIES = 4
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_BUSY = frozenset({429, 503})
_PASSING = frozenset({408, 409, 425, 429})


class Vendor:
    """A vendor's API at `base_url`. `headers` go to that origin only, never along with a redirect or to an
    address that the vendor named. Opens with the first call, and again after `close`.

    `timeout` is the longest silence within a request, seconds. `no_credit` are words in an error answer that
    mean that the account has no credit left.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        headers: Mapping[str, str],
        *,
        timeout: float = 60.0,
        no_credit: tuple[str, ...] = ("insufficient_quota", "insufficient_credit", "quota_exceeded"),
    ) -> None:
        self.name = name
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Misconfigured(f"The address of {name}, {base_url!r}, is not an http(s) URL.")
        self._base = base_url.rstrip("/")
        self._origin = (parts.scheme, parts.netloc)
        self._headers = dict(headers)
        self._timeout = timeout
        self._no_credit = no_credit
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Close all connections. Safe to repeat."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def call(
        self,
        method: str,
        address: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | list[tuple[str, str]] | None = None,
        data: Mapping[str, Any] | None = None,
        files: Any = None,
        upload: Path | None = None,
        headers: Mapping[str, str] | None = None,
        patience: float | None = None,
        repeatable: bool | None = None,
    ) -> Any:
        """The JSON answer to a request; None if the answer is empty.

        `address` is a path below the base URL, or a whole URL that the vendor named, which gets no key unless
        it has the vendor's own origin. `body` is sent as JSON, `upload` is a file streamed as the body,
        `data` and `files` make a multipart form as in httpx. `patience` is the longest silence of this
        request, seconds. A busy vendor (429, 503) is asked again a few times where it asks for a short wait;
        one that broke off is asked again only if the request is `repeatable` (default: GET and PUT are).

        Raises Transient, AuthFailed, QuotaExhausted, Misconfigured (no such address or model) or Rejected.
        """
        url = address if "://" in address else f"{self._base}/{address.lstrip('/')}"
        own = urlsplit(url)[:2] == self._origin
        safe = method in {"GET", "PUT", "DELETE"} if repeatable is None else repeatable
        for attempt in range(_TRIES):
            last = attempt == _TRIES - 1
            try:
                status, answer_headers, answer = await self._send(
                    method,
                    url,
                    json=body,
                    params=params,
                    data=data,
                    files=files,
                    content=None if upload is None else _streamed(upload),
                    headers={
                        **(self._headers if own else {}),
                        **(headers or {}),
                        **({} if upload is None else {"Content-Length": str(upload.stat().st_size)}),
                    },
                    timeout=httpx.Timeout(patience or self._timeout, connect=15.0),
                )
            except _NOT_SENT as error:
                trouble = Transient(f"{self.name} can't be reached ({type(error).__name__}).")
            except (httpx.TransportError, httpx.DecodingError) as error:
                trouble = Transient(f"{self.name} broke off ({type(error).__name__}).")
                last = last or not safe
            except httpx.InvalidURL:
                raise Transient(f"{self.name} named an address that is none.") from None
            else:
                if status < 300:
                    if len(answer) < _LARGE:  # no moment in which a cancellation could lose a job's id
                        return self._parsed(answer)
                    return await asyncio.to_thread(self._parsed, answer)
                found = self._error(status, answer_headers, answer)
                if not isinstance(found, Transient):
                    raise found
                trouble = found
                wait = trouble.retry_after or 0.0
                last = last or wait > _LONGEST_WAIT or not (safe or status in _BUSY)
            if last or files is not None:  # a form's files are read already
                raise trouble
            await asyncio.sleep(max(trouble.retry_after or 0.0, 0.5 * 2**attempt * (0.5 + random.random())))  # noqa: S311
        raise AssertionError("unreachable")

    async def _send(self, method: str, url: str, **options: Any) -> tuple[int, httpx.Headers, bytes]:
        trusted = await asyncio.to_thread(_trusted)
        if self._client is None:
            # Environment proxies are honoured; redirects are not followed, they would carry the key along.
            self._client = httpx.AsyncClient(
                verify=trusted,
                follow_redirects=False,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            )
        async with self._client.stream(method, url, **options) as answer:
            taken = bytearray()
            async for block in answer.aiter_bytes():
                taken += block
                if len(taken) > _ANSWER_BYTES:
                    raise Transient(f"{self.name} answered with too much.")
            return answer.status_code, answer.headers, bytes(taken)

    def _parsed(self, answer: bytes) -> Any:
        if not answer.strip():
            return None
        try:
            return json.loads(answer)
        except ValueError:
            raise Transient(f"{self.name} answered with something that is no JSON.") from None

    def _error(
        self, status: int, headers: httpx.Headers, answer: bytes
    ) -> Transient | AuthFailed | Misconfigured | Rejected:
        text = answer[:4096].decode("utf-8", "replace").lower()
        if status == 402 or (status in {400, 401, 403, 429} and any(w in text for w in self._no_credit)):
            return QuotaExhausted(f"The account at {self.name} has no credit left.")
        if status in {401, 403}:
            return AuthFailed(f"{self.name} does not accept the key, or it lacks a permission ({status}).")
        if status in _PASSING or status >= 500:
            return Transient(
                f"{self.name} answered {status}.", retry_after=retry_after(headers.get("retry-after"))
            )
        if status < 400:
            return Transient(f"{self.name} answered with a redirect ({status}).")
        if status in {404, 405, 410}:
            return Misconfigured(
                f"{self.name} knows no such address, model or version ({status}). Check its settings."
            )
        logger.warning("%s refused a request with status %d", self.name, status)
        return Rejected(
            f"The recognition service {self.name} did not accept this recording. Convert it to MP3 or WAV "
            "and share it again; if that fails too, tell whoever runs the service."
        )


@cache
def _trusted() -> ssl.SSLContext:
    """Reading the certificates takes up to 0.4 s: once is enough for all, and not on the event loop."""
    return httpx.create_ssl_context()


def retry_after(value: str | None, now: float | None = None) -> float | None:
    """Seconds that a Retry-After header asks for (a number or a date); None if it names none."""
    if not value:
        return None
    try:
        return max(0.0, min(float(value), 86400.0))
    except ValueError:
        pass
    try:
        at = email.utils.parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError):
        return None
    return max(0.0, min(at - (time.time() if now is None else now), 86400.0))


async def _streamed(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while block := await asyncio.to_thread(file.read, _BLOCK):
            yield block


async def awaited(
    ask: Callable[[], Awaitable[T | None]],
    *,
    hooks: Hooks | None,
    vendor: str,
    job: str,
    first: float = 1.0,
    longest: float = 10.0,
    troubles: int = 1000,
) -> T:
    """The result of a vendor's job, once `ask` gives one (None: not yet).

    Asks at growing intervals of `first` to `longest` seconds; where webhooks come (`hooks` has a URL for the
    vendor) at once after one, and at `longest` intervals otherwise, so a lost one only costs time. Bears
    `troubles` Transient errors in a row: a job that was paid for is not given up. The caller sets a deadline.
    """
    hooked = hooks is not None and hooks.url(vendor) is not None
    pause = longest if hooked else first
    failed = 0
    while True:
        try:
            found = await ask()
            failed = 0
        except Transient as error:
            failed += 1
            if failed > troubles:
                raise
            pause = max(pause, error.retry_after or 0.0)
            found = None
        if found is not None:
            return found
        if hooked and hooks is not None:
            await hooks.wait(vendor, job, pause)
        else:
            await asyncio.sleep(pause)
        pause = min(longest, pause * 1.5)
