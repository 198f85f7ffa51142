"""Fetching files from Slack: streamed to disk, resumed after a cut, checked; the token stays at Slack."""

from __future__ import annotations

import asyncio
import io
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import aiohttp
from yarl import URL

from bots.slack.calls import Calls
from bots.slack.client import Workspace
from bots.slack.hosts import Forbidden, PrivateAddress
from bots.slack.records import SlackFile
from bots.slack.refusals import GONE
from bots.slack.retries import (
    CONNECT_SECONDS,
    LONGEST_WAIT,
    SILENT_SECONDS,
    SLOWEST_BYTES,
    TRANSFER_TRIES,
    pause,
    seconds_in,
)
from bots.slack.troubles import Denied, Gone
from core.errors import Rejected, Transient
from core.sniffing import is_page

logger = logging.getLogger(__name__)

_BLOCK: Final = 512 * 1024
_HOPS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PASSING: Final = frozenset({408, 425, 429})
_SIGN_IN_PATHS: Final = frozenset(
    {"", "/", "/signin", "/login", "/sign_in_with_password", "/workspace-signin"}
)
_PAGE_TYPES: Final = frozenset({"text/html", "application/xhtml+xml"})
_RANGE: Final = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")

_TOO_BIG = "This recording is larger than the limit here. Share it in parts, or as audio."
_ELSEWHERE = "Slack only links to this file, it does not have it. Upload the recording itself and share that."
_HIDDEN = (
    "Slack hides this file because of the limits of your plan. Upload the recording again to have it "
    "transcribed."
)
_REMEDY = (
    "Either the app lacks the scope files:read (add it on the app's page OAuth & Permissions and install the "
    "app again), or it is not in the channel."
)
_SIGN_IN = f"Slack answered with its sign-in page instead of a file. {_REMEDY}"


async def fetch(workspace: Workspace, file: SlackFile, into: Path, *, limit: int) -> None:
    """Stream `file`, as files.info describes it, to the file `into`, at most `limit` bytes.

    Raises Gone, Rejected (too big, not in Slack), Denied (the scope files:read, or not in the channel) or
    Transient (also where the size is not the one announced).
    """
    if file.is_gone:
        raise Gone(GONE["file_deleted"], code="file_deleted")
    if file.is_hidden:
        raise Rejected(_HIDDEN)
    if file.is_external:
        raise Rejected(_ELSEWHERE)
    if not file.url:
        raise Transient("Slack does not say where the file can be downloaded.")
    if file.size > limit:
        raise Rejected(_TOO_BIG)
    with into.open("wb") as target:
        download = _Download(
            calls=workspace.calls, url=file.url, size=file.size, target=target, limit=limit, id=file.id
        )
        await download.run()


async def fetch_text(workspace: Workspace, url: str, *, limit: int = 4 * 2**20) -> str:
    """A text of Slack's, such as the `vtt` of a clip, at most `limit` bytes. Raises as `fetch`."""
    target = io.BytesIO()
    await _Download(calls=workspace.calls, url=url, size=0, target=target, limit=limit, id="text").run()
    return target.getvalue().decode("utf-8", "replace")


class _Cut(Transient):
    """It ended early, or goes on with something else: another request may get further."""


@dataclass(slots=True, kw_only=True)
class _Download:
    """A file on its way. `size` is what files.info announced, 0 if it did not; `total` what the server says;
    `tag` the version that is arriving. `page`: it looks like a web page, so that it is the file itself only
    if it has the size that was announced."""

    calls: Calls
    url: str
    size: int
    target: BinaryIO
    limit: int
    id: str
    received: int = 0
    total: int | None = None
    tag: str | None = None
    page: bool = False

    async def run(self) -> None:
        failures = furthest = 0
        while True:
            try:
                await self._receive()
            except _Cut as error:
                # Only bytes beyond the furthest so far count, else short answers would never end.
                failures = 1 if self.received > furthest else failures + 1
                furthest = max(furthest, self.received)
                wait = max(error.retry_after or 0.0, pause(failures))
                if failures >= TRANSFER_TRIES or wait > LONGEST_WAIT:
                    raise Transient(str(error), retry_after=error.retry_after) from None
                logger.info("file %s: %s", self.id, error)
            else:
                return
            await asyncio.sleep(wait)

    async def _receive(self) -> None:
        try:
            async with self._answer() as answer:
                await self._begin(answer)
                async for block in answer.content.iter_chunked(_BLOCK):
                    await self._take(block)
        except Forbidden as error:
            raise Transient(str(error)) from None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, PrivateAddress):
                raise Transient(str(error.os_error)) from None
            raise _Cut(f"The file can't be reached ({type(error).__name__}).") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _Cut(f"The download broke off ({type(error).__name__}).") from None
        if self.received < (self.total or self.size):
            raise self._sign_in() if self.page and self.total is None else _Cut("The download broke off.")
        if not self.received:
            raise Rejected("This file is empty. Check the recording and upload it again.")

    @asynccontextmanager
    async def _answer(self) -> AsyncIterator[aiohttp.ClientResponse]:
        """The file's own answer, after all redirects. Each hop is checked, and none inherits the token."""
        hosts = self.calls.hosts
        url = _url(self.url)
        hosts.check(url)
        for _ in range(_HOPS + 1):
            headers = {"Accept-Encoding": "identity"}
            if hosts.takes_token(url):
                headers["Authorization"] = f"Bearer {self.calls.token}"
            if self.received:
                headers["Range"] = f"bytes={self.received}-"
                if self.tag:
                    headers["If-Range"] = self.tag
            async with self.calls.session.get(
                url,
                headers=headers,
                proxy=hosts.proxy(url),
                allow_redirects=False,
                auto_decompress=False,
                read_bufsize=_BLOCK,
                timeout=aiohttp.ClientTimeout(
                    total=SILENT_SECONDS + (self.size or self.limit) / SLOWEST_BYTES,
                    sock_connect=CONNECT_SECONDS,
                    sock_read=SILENT_SECONDS,
                ),
            ) as answer:
                if answer.status not in _REDIRECTS:
                    yield answer
                    return
                url = self._next(url, answer)
        raise Transient("Slack redirects the download too often.")

    def _next(self, url: URL, answer: aiohttp.ClientResponse) -> URL:
        """Where a redirect leads."""
        there = url.join(_url(answer.headers.get("Location", "")))
        self.calls.hosts.check(there)
        is_sign_in = there.path in _SIGN_IN_PATHS or "redir" in there.query
        if is_sign_in and self.calls.hosts.takes_token(there):
            raise self._sign_in()
        return there

    async def _begin(self, answer: aiohttp.ClientResponse) -> None:
        _require_file(answer)
        if answer.status == 206 and self.received:
            found = _RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
            first, total = (int(found[1]), int(found[3])) if found else (-1, -1)
            if first != self.received or total != (self.total or self.size or total):
                await self._restart(None, None)
                raise _Cut("Slack went on with another part of the file, or with another file.")
            self.total = total
        elif answer.status == 200:
            await self._restart(answer.content_length, answer.headers.get("ETag"))
        else:
            await self._restart(None, None)
            raise _Cut(f"Slack answered the download with HTTP {answer.status}.")
        if (self.total or 0) > self.limit:
            raise Rejected(_TOO_BIG)
        self._suspect(answer.content_type in _PAGE_TYPES)
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Transient("Slack sends the file packed, which was not asked for.")
        if self.size and self.total is not None and self.total != self.size:
            raise self._wrong_size(f"{self.total:,}")

    def _suspect(self, page: bool) -> None:
        """Take note of what looks like a web page. Raises Denied unless it may be the file itself, as people
        name pages like recordings, too: one to sign in has another size."""
        self.page |= page
        if self.page and not (self.size and self.total in {None, self.size}):
            raise self._sign_in()

    def _sign_in(self) -> Denied:
        return Denied(_SIGN_IN, code="sign_in_page")

    def _wrong_size(self, instead: str) -> Transient:
        return Transient(
            f"Slack announced {self.size:,} bytes and sends {instead}. The upload may not be complete yet."
        )

    async def _restart(self, total: int | None, tag: str | None) -> None:
        self.received, self.total, self.page = 0, total, False
        self.tag = tag if tag and not tag.startswith("W/") else None
        await self._write(b"", truncate=True)

    async def _take(self, block: bytes) -> None:
        if not self.received:
            self._suspect(is_page(block))
        self.received += len(block)
        if self.received > self.limit:
            raise Rejected(_TOO_BIG)
        if self.size and self.received > self.size:
            raise self._sign_in() if self.page else self._wrong_size("more")
        await self._write(block)

    async def _write(self, block: bytes, *, truncate: bool = False) -> None:
        def write() -> None:
            if truncate:
                self.target.seek(0)
                self.target.truncate()
            self.target.write(block)
            self.target.flush()  # a full disk is found out here, not when the file is closed

        try:
            await asyncio.to_thread(write)
        except OSError as error:
            raise Transient(f"The recording can't be written to disk: {error.strerror}.") from None


def _require_file(answer: aiohttp.ClientResponse) -> None:
    """Raise unless the answer carries a file, or a part of one."""
    status = answer.status
    if status in {404, 410}:
        raise Gone(GONE["file_not_found"], code="file_not_found")
    if status in {401, 403}:
        raise Denied(
            f"Slack does not let the app read a file (HTTP {status}). {_REMEDY}", code=f"http_{status}"
        )
    if status in _PASSING or status >= 500:
        raise _Cut(f"Slack answered the download with HTTP {status}.", retry_after=seconds_in(answer.headers))


def _url(text: str) -> URL:
    try:
        return URL(text.strip())
    except ValueError:
        raise Forbidden("Slack named something that is no address.") from None
