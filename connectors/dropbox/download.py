"""Fetching files from Dropbox: streamed to disk in a thread, resumed after a cut, checked by their hash."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, Final

import requests
from dropbox.content_hash import DropboxContentHasher
from dropbox.exceptions import ApiError

from connectors.dropbox.client import LONGEST_WAIT, TRIES, Account, pause
from connectors.dropbox.entries import CONTENT
from connectors.dropbox.root import is_absent
from connectors.dropbox.troubles import TROUBLES, refused, tags, translated
from core.errors import Rejected, Transient
from core.remote import Changed, RemoteFile

logger = logging.getLogger(__name__)

_BLOCK: Final = 256 * 1024
_PATIENCE: Final = 60.0
_SLOWEST_BYTES: Final = 32 * 1024
"""Bytes per second below which a download is given up."""
_RANGE: Final = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")
_WITHHELD: Final = frozenset({"restricted_content", "unsupported_file", "unsupported_content_type"})

Open = Callable[[Any, dict[str, str]], tuple[Any, requests.Response]]
"""Takes the library's client and headers, begins a download; what is said of the file, and the answer."""


async def fetch(account: Account, file: RemoteFile, into: Path) -> None:
    """The bytes of a file in a watched folder. Raises Changed, Rejected, Transient or AuthFailed."""

    def begin(client: Any, headers: dict[str, str]) -> tuple[Any, requests.Response]:
        return client.files_download(file.id, extra_headers=headers)  # type: ignore[no-any-return]

    wanted = file.content.removeprefix(CONTENT)
    try:
        await Download(account=account, open=begin, into=into, size=file.size, hash=wanted, id=file.id).run()
    except ApiError as error:
        if is_absent(error):
            raise Changed from None
        if not _WITHHELD.isdisjoint(tags(error.error)):
            raise Rejected(
                "Dropbox does not give this file out. Upload the recording itself, under another name."
            ) from None
        raise refused(error) from None


class _Stopped(Exception):
    """Whoever wanted the file was cancelled."""


@dataclass(slots=True, kw_only=True)
class Download:
    """A file on its way. `size` and `hash` are what it must have; `hash` is empty where that is not known.
    `id` is for the log."""

    account: Account
    open: Open
    into: Path
    size: int
    hash: str
    id: str
    received: int = 0
    _digest: Any = field(default_factory=DropboxContentHasher)
    _stop: Event = field(default_factory=Event)

    async def run(self) -> None:
        """Until all is there. Raises Changed if it is another file by now, the library's ApiError, and
        Transient."""
        failures = furthest = damaged = 0
        while True:
            try:
                await self._attempt()
            except Transient as error:
                # Only bytes beyond the furthest so far count, else short answers would never end.
                failures = 1 if self.received > furthest else failures + 1
                furthest = max(furthest, self.received)
                wait = pause(failures, error)
                if failures >= TRIES or wait > LONGEST_WAIT:
                    raise
                logger.info("download of %s: %s", self.id, error)
                await asyncio.sleep(wait)
                continue
            if not self.hash or self._digest.copy().hexdigest() == self.hash:
                return
            damaged += 1
            self._restart()
            if damaged > 1:
                raise Transient("The file arrived damaged, twice.")

    async def _attempt(self) -> None:
        try:
            await self.account.transfer(self._receive)
        except asyncio.CancelledError:
            self._stop.set()
            raise

    def _receive(self, client: Any) -> None:
        headers = {"Accept-Encoding": "identity"}
        if self.received:
            headers["Range"] = f"bytes={self.received}-"
        try:
            found, answer = self.open(client, headers)
        except Exception as error:
            if getattr(error, "status_code", None) == requests.codes.range_not_satisfiable:
                self._restart()
            raise
        with contextlib.closing(answer):
            if found.size != self.size or (self.hash and found.content_hash != self.hash):
                raise Changed
            if self.received and not self._goes_on(answer):
                self._restart()
            with self._file() as target:
                self._take(answer.iter_content(_BLOCK), target)
        if self.received < self.size:
            raise Transient("The download broke off.")

    def _goes_on(self, answer: requests.Response) -> bool:
        if answer.status_code != requests.codes.partial_content:
            return False
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
        if found is None or (int(found[1]), int(found[3])) != (self.received, self.size):
            self._restart()
            raise Transient("The download went on with another part of the file.")
        return True

    def _take(self, blocks: Iterable[bytes], target: Any) -> None:
        deadline = time.monotonic() + _PATIENCE + self.size / _SLOWEST_BYTES
        try:
            for block in blocks:
                if self._stop.is_set():
                    raise _Stopped
                if time.monotonic() > deadline:
                    raise Transient("The download is too slow.")
                if self.received + len(block) > self.size:
                    self._restart()
                    raise Transient("More arrived than the file has.")
                _write(target, block)
                self._digest.update(block)
                self.received += len(block)
        except TROUBLES as error:
            raise translated(error) from None

    def _file(self) -> Any:
        try:
            target = self.into.open("r+b" if self.received else "wb")
            target.seek(self.received)
        except OSError as error:
            raise _full(error) from None
        return target

    def _restart(self) -> None:
        self.received, self._digest = 0, DropboxContentHasher()


def _write(target: Any, block: bytes) -> None:
    try:
        target.write(block)
        target.flush()  # a full disk is found out here, not when the file is closed
    except OSError as error:
        raise _full(error) from None


def _full(error: OSError) -> Transient:
    return Transient(f"The recording can't be written to disk: {error.strerror}.")
