"""Fetching files from OneDrive, SharePoint and Teams: streamed to disk, resumed after a cut, checked.

Bytes come from addresses that need no token, so none is ever sent there. They are good for a short time:
where Graph gave one, it gives another.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import httpx

from bots.teams.drives import READ, Drives, at
from bots.teams.hosts import SILENT_SECONDS, parsed
from bots.teams.incoming import Download
from bots.teams.records import DriveItem
from bots.teams.retries import LONGEST_WAIT, SLOWEST_BYTES, TRANSFER_TRIES, pause, seconds_in
from bots.teams.troubles import Gone, Refused
from core.errors import Rejected, Transient
from core.sniffing import is_page

logger = logging.getLogger(__name__)

Address = Callable[[], Awaitable[httpx.URL]]
"""An address of the file that is good now."""

_HOPS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OVER: Final = frozenset({401, 403, 404, 410})
_PAGE_TYPES: Final = frozenset({"text/html", "application/xhtml+xml"})
_RANGE: Final = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")

_TOO_BIG = "This recording is larger than the limit here. Share it in parts, or as audio."
_EMPTY = "This file is empty. Check the recording and upload it again."
_EXPIRED = "Teams does not hand over this file any more. Send the recording again."


async def fetch(drives: Drives, item: DriveItem, into: Path, *, limit: int) -> None:
    """Stream a file in OneDrive or SharePoint to the file `into`, at most `limit` bytes.

    Raises Gone, Rejected (too big, empty), MissingPermission or Transient (also where the size is not the one
    announced).
    """
    with await asyncio.to_thread(into.open, "wb") as target:
        await _transfer(drives, item, limit).run(target)


async def fetch_bytes(drives: Drives, item: DriveItem, *, limit: int) -> bytes:
    """A small file in OneDrive or SharePoint, at most `limit` bytes. Raises as `fetch`."""
    target = io.BytesIO()
    await _transfer(drives, item, limit).run(target)
    return target.getvalue()


async def fetch_sent(client: httpx.AsyncClient, download: Download, into: Path, *, limit: int) -> None:
    """Stream a file that was sent to the app in its personal chat to the file `into`. Raises as `fetch`; Gone
    if that was too long ago."""

    async def address() -> httpx.URL:
        return parsed(download.url)

    transfer = _Transfer(
        client=client,
        address=address,
        lasting=False,
        size=0,
        limit=limit,
        id=download.unique_id or "sent to the app",
    )
    with await asyncio.to_thread(into.open, "wb") as target:
        await transfer.run(target)


def _transfer(drives: Drives, item: DriveItem, limit: int) -> _Transfer:
    if item.is_folder:
        raise Refused("This is a folder. Share the recording itself.", code="folder")
    if item.size > limit:
        raise Rejected(_TOO_BIG)

    async def address() -> httpx.URL:
        answer = await drives.graph.ask(READ, "GET", f"{at(item.drive, item.id)}/content")
        if answer.status not in _REDIRECTS or not answer.location:
            raise Transient("Microsoft Graph does not say where the file can be downloaded.")
        return parsed(answer.location)

    return _Transfer(
        client=drives.graph.client,
        address=address,
        lasting=True,
        size=item.size,
        limit=limit,
        id=item.id,
    )


class _Cut(Transient):
    """It ended early, or goes on with something else: another request may get further."""


@dataclass(slots=True, kw_only=True)
class _Transfer:
    """A file on its way. `lasting`: there are other addresses when one is over. `size` is what was announced,
    0 if nothing was; `total` what the server says; `tag` the version that is arriving. `page`: it looks like
    a web page, so that it is the file itself only if it has the size that was announced. `typed`: the server
    says what it is; where no size was announced, that is believed, as pages to sign in say that they are."""

    client: httpx.AsyncClient
    address: Address
    lasting: bool
    size: int
    limit: int
    id: str
    url: httpx.URL | None = None
    received: int = 0
    total: int | None = None
    tag: str | None = None
    page: bool = False
    typed: bool = False

    async def run(self, target: BinaryIO) -> None:
        failures = furthest = 0
        while True:
            try:
                await self._receive(target)
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

    async def _receive(self, target: BinaryIO) -> None:
        if self.url is None:
            self.url = await self.address()
        seconds = SILENT_SECONDS + (self.size or self.limit) / SLOWEST_BYTES
        try:
            async with asyncio.timeout(seconds), self._answer(self.url) as answer:
                await self._begin(answer, target)
                async for block in answer.aiter_raw():  # as they come: none is lost with a cut
                    await self._take(block, target)
        except (httpx.HTTPError, TimeoutError) as error:
            raise _Cut(f"The download broke off ({type(error).__name__}).") from None
        if self.received < (self.total or self.size):
            if self.page and self.total is None:
                raise self._no_file()
            raise _Cut("The download broke off.")
        if not self.received:
            raise Rejected(_EMPTY)

    @asynccontextmanager
    async def _answer(self, url: httpx.URL) -> AsyncIterator[httpx.Response]:
        """The file's own answer, after all redirects; the client checks each hop."""
        headers = {"Accept-Encoding": "identity"}
        if self.received:
            headers["Range"] = f"bytes={self.received}-"
            if self.tag:
                headers["If-Range"] = self.tag
        for _ in range(_HOPS + 1):
            async with self.client.stream("GET", url, headers=headers) as answer:
                if answer.status_code not in _REDIRECTS:
                    yield answer
                    return
                url = parsed(answer.headers.get("location", ""), url)
        raise Transient("The download is redirected too often.")

    async def _begin(self, answer: httpx.Response, target: BinaryIO) -> None:
        self._require_file(answer)
        if answer.status_code == 206 and self.received:
            found = _RANGE.fullmatch(answer.headers.get("content-range", "").strip())
            first, total = (int(found[1]), int(found[3])) if found else (-1, -1)
            other = self.tag is not None and answer.headers.get("etag", self.tag) != self.tag
            if other or first != self.received or total != (self.total or self.size or total):
                await self._restart(None, None, target)
                raise _Cut("The download went on with another part of the file, or with another file.")
            self.total = total
        elif answer.status_code == 200:
            await self._restart(_length(answer), answer.headers.get("etag"), target)
        else:
            await self._restart(None, None, target)
            raise _Cut(f"The download was answered with HTTP {answer.status_code}.")
        if (self.total or 0) > self.limit:
            raise Rejected(_TOO_BIG)
        self.page |= _type(answer) in _PAGE_TYPES
        self.typed = bool(_type(answer))
        if self.size and self.total is not None and self.total != self.size:
            raise self._wrong_size(f"{self.total:,}")

    def _require_file(self, answer: httpx.Response) -> None:
        """Raise unless the answer carries a file, or a part of one."""
        status = answer.status_code
        if status in _OVER:
            if not self.lasting:
                raise Gone(_EXPIRED, code=f"http_{status}")
            self.url = None
            raise _Cut(f"The address of the file is over (HTTP {status}).")
        if status == 429 or status >= 500:
            raise _Cut(
                f"The download was answered with HTTP {status}.", retry_after=seconds_in(answer.headers)
            )
        if status == 200 and _type(answer) in _PAGE_TYPES and not self._may_be_it(_length(answer)):
            raise self._no_file()
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise Transient("The file comes packed, which was not asked for.")

    def _may_be_it(self, length: int | None) -> bool:
        """Whether a page of this length may be the file itself, as people name pages like recordings, too:
        one to sign in has another size."""
        return bool(self.size) and length in {None, self.size}

    def _no_file(self) -> _Cut:
        self.url = None
        if self.page:
            self.received = 0  # nothing may be put behind it
        return _Cut("There is a web page instead of the file, probably one to sign in.")

    def _wrong_size(self, instead: str) -> Transient:
        return Transient(
            f"The file should have {self.size:,} bytes and has {instead}. It may not be complete yet, or was "
            "changed."
        )

    async def _restart(self, total: int | None, tag: str | None, target: BinaryIO) -> None:
        self.received, self.total, self.page = 0, total, False
        self.tag = tag if tag and not tag.startswith("W/") else None
        await _write(b"", target, truncate=True)

    async def _take(self, block: bytes, target: BinaryIO) -> None:
        if not self.received and (self.size or not self.typed) and is_page(block):
            self.page = True
            if not self._may_be_it(self.total):
                raise self._no_file()
        self.received += len(block)
        if self.received > self.limit:
            raise Rejected(_TOO_BIG)
        if self.size and self.received > self.size:
            raise self._no_file() if self.page else self._wrong_size("more")
        await _write(block, target)


def _type(answer: httpx.Response) -> str:
    return str(answer.headers.get("content-type", "")).partition(";")[0].strip().lower()


def _length(answer: httpx.Response) -> int | None:
    length = answer.headers.get("content-length", "")
    return int(length) if length.isdecimal() else None


async def _write(block: bytes, target: BinaryIO, *, truncate: bool = False) -> None:
    def write() -> None:
        if truncate:
            target.seek(0)
            target.truncate()
        target.write(block)
        target.flush()  # a full disk is found out here, not when the file is closed

    try:
        await asyncio.to_thread(write)
    except OSError as error:
        raise Transient(f"The recording can't be written to disk: {error.strerror}.") from None
