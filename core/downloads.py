"""Downloading one pinned file: resumable, checked, put into place in one step."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from core.engines.catalogue import ModelFile
from core.errors import Misconfigured, Transient

FetchReport = Callable[[ModelFile, int, int], None]
"""Takes the file, the bytes of it that are there and its size. Called from the event loop's thread, often."""

Sleep = Callable[[float], Awaitable[None]]

_CHUNK = 2**20
_TRIES = 6  # in a row without a byte of progress
_LONGEST_WAIT = 120.0


def is_whole(path: Path, file: ModelFile) -> bool:
    """Whether `path` holds exactly the published bytes. Reads them all."""
    return _size(path) == file.bytes and _digest(path).hexdigest() == file.sha256


def bytes_so_far(place: Path, file: ModelFile) -> int:
    """Bytes of an interrupted download in the folder `place`."""
    return _size(_part(place, file))


def _digest(path: Path) -> hashlib._Hash:
    digest = hashlib.sha256()
    if path.exists():
        with path.open("rb") as source:
            while block := source.read(_CHUNK):
                digest.update(block)
    return digest


def _part(place: Path, file: ModelFile) -> Path:
    return place / f"{file.name}.part"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


@dataclass(slots=True)
class _Download:
    """A file on its way: bytes on disk, their running digest, and the version tag that the server gave."""

    file: ModelFile
    path: Path
    received: int
    digest: hashlib._Hash
    tag: str | None

    @classmethod
    def resume(cls, file: ModelFile, place: Path) -> _Download:
        """Take up what an earlier fetch left, unless it can't be the beginning of this file."""
        path = _part(place, file)
        tag_path = path.with_suffix(".etag")
        if _size(path) > file.bytes:
            path.unlink()
        tag = tag_path.read_text(encoding="ascii", errors="replace") if tag_path.exists() else None
        return cls(file=file, path=path, received=_size(path), digest=_digest(path), tag=tag or None)

    def restart(self, tag: str | None) -> None:
        """Throw away what is there; remember the version that comes now."""
        self.path.unlink(missing_ok=True)
        self.received, self.digest, self.tag = 0, hashlib.sha256(), tag
        self.path.with_suffix(".etag").write_text(tag or "", encoding="ascii", errors="replace")

    def append(self, target: IO[bytes], block: bytes) -> None:
        target.write(block)
        self.digest.update(block)
        self.received += len(block)

    def finish(self, target: Path) -> None:
        """Put the checked file into place, durably."""
        with self.path.open("rb+") as written:
            os.fsync(written.fileno())
        self.path.replace(target)
        self.path.with_suffix(".etag").unlink(missing_ok=True)


async def download(
    client: Any, file: ModelFile, place: Path, *, base_url: str, report: FetchReport, sleep: Sleep
) -> None:
    """Fetch `file` into the folder `place` with an httpx client, trying again while bytes arrive.

    Raises Transient if the server stays unreachable, Misconfigured if it delivers something else.
    """
    state = await asyncio.to_thread(_Download.resume, file, place)
    failures = damaged = 0
    furthest = state.received
    while True:
        if state.received < file.bytes:
            try:
                await _receive(client, state, base_url, report)
            except Transient as error:
                # Only bytes beyond the furthest so far count, else short answers would never end.
                failures = 1 if state.received > furthest else failures + 1
                furthest = max(furthest, state.received)
                if failures >= _TRIES:
                    raise
                await sleep(min(_LONGEST_WAIT, error.retry_after or 2.0**failures / 2))
                continue
        if state.digest.hexdigest() == file.sha256:
            await asyncio.to_thread(state.finish, place / file.name)
            return
        state.restart(None)
        damaged += 1
        if damaged > 1:  # once can be a part from elsewhere; twice is what the server has
            raise Misconfigured(
                f"{file.url(base_url)} does not deliver the published file: its SHA-256 is wrong. "
                "Nothing was installed. If MODELS_BASE_URL names a mirror, that mirror is at fault."
            )


async def _receive(client: Any, download: _Download, base_url: str, report: FetchReport) -> None:
    """One request. Raises Transient if it ends early, Misconfigured if the answer can't be the file."""
    import httpx  # noqa: PLC0415

    file, url = download.file, download.file.url(base_url)
    headers = {}
    if download.received:
        headers = {"Range": f"bytes={download.received}-"}
        if download.tag and not download.tag.startswith("W/"):
            headers["If-Range"] = download.tag
    try:
        async with client.stream("GET", url, headers=headers) as response:
            if response.status_code == 416:
                download.restart(None)
                raise Transient(f"{_host(url)} has another version of {file.name} than the part here.")
            _require_file(response, file, url)
            tag = response.headers.get("ETag")
            goes_on = response.status_code == 206 and _offset(response) == download.received
            if not goes_on:
                download.restart(tag)
                if response.status_code == 206:  # a range that nobody asked for
                    raise Transient(f"{_host(url)} answered with the wrong part of {file.name}.")
            async for received in _store(response, download):
                report(file, received, file.bytes)
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise Transient(f"{_host(url)} can't be reached or broke off ({reason}).") from None
    except OSError as error:
        raise Misconfigured(f"{download.path} can't be written: {error.strerror}.") from None
    if download.received < file.bytes:
        raise Transient(
            f"{_host(url)} broke off after {download.received:,} of {file.bytes:,} bytes of {file.name}."
        )


async def _store(response: Any, download: _Download) -> AsyncIterator[int]:
    with download.path.open("ab") as target:
        async for block in response.aiter_bytes():
            if download.received + len(block) > download.file.bytes:
                download.restart(None)
                raise Misconfigured(
                    f"{_host(str(response.url))} delivers more than the {download.file.bytes:,} bytes that "
                    f"{download.file.name} has. Nothing was installed."
                )
            await asyncio.to_thread(download.append, target, block)
            yield download.received


def _require_file(response: Any, file: ModelFile, url: str) -> None:
    status = response.status_code
    if status in {408, 425, 429} or status >= 500:
        wait = response.headers.get("Retry-After", "")
        raise Transient(
            f"{_host(url)} is busy (HTTP {status}).", retry_after=float(wait) if wait.isdigit() else None
        )
    if status not in {200, 206}:
        raise Misconfigured(
            f"{url} answers with HTTP {status}. If MODELS_BASE_URL names a mirror, it lacks this file."
        )
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise Misconfigured(
            f"{url} answers with a web page instead of {file.name}: probably a sign-in page of this network "
            "or a proxy's notice. Open the address in a browser to see it."
        )


def _offset(response: Any) -> int | None:
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    first = rest.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdigit() else None


def _host(url: str) -> str:
    return url.split("//", 1)[-1].split("/", 1)[0]
