"""What the local servers of ElevenLabs, AssemblyAI and Deepgram have in common: faults on command, requests
remembered, a body that must be an audio file."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from core.model import Word

_MAGIC = {b"OggS": "audio/ogg", b"RIFF": "audio/wav", b"fLaC": "audio/flac"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An answer instead of the right one. `cut` ends the connection without any."""

    status: int = 500
    body: Any = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """What the client sees."""
        if self.cut and request.transport is not None:
            request.transport.abort()
        if isinstance(self.body, str):
            return web.Response(
                status=self.status, text=self.body, content_type="text/html", headers=self.headers
            )
        return web.json_response(self.body, status=self.status, headers=self.headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An audio file that arrived."""

    media_type: str
    size: int
    sha256: str


@dataclass(kw_only=True)
class VendorServer:
    """A vendor's API on this machine. It answers `words`, which are in `language` (ISO 639-1), to whoever has
    `key`; before that, each request takes one of the `faults` (None: none). Requests wait at `gate`, which is
    open."""

    key: str = "right-key"
    words: Sequence[Word] = ()
    language: str = "en"
    faults: list[Fault | None] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    calls: list[str] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that is said."""
        return " ".join(word.text for word in self.words)

    async def fault(self, request: web.Request) -> web.StreamResponse | None:
        """Note the request, and fail it if that was asked for."""
        self.calls.append(f"{request.method} {request.path}")
        fault = self.faults.pop(0) if self.faults else None
        if fault is None:
            return None
        await request.read()  # an answer before the body's end looks like a broken pipe
        return await fault.answer(request)


@asynccontextmanager
async def running(app: web.Application, server: VendorServer) -> AsyncIterator[None]:
    """`app` on a free port, whose address becomes `server.url`."""
    server.gate.set()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield
    finally:
        server.gate.set()
        await runner.cleanup()


async def taken(blocks: AsyncIterator[bytes]) -> Sent:
    """The file that `blocks` are. `media_type` is empty if it is no audio."""
    digest, size, start = hashlib.sha256(), 0, b""
    async for block in blocks:
        digest.update(block)
        size += len(block)
        start = (start + block)[:4]
    return Sent(media_type=_MAGIC.get(start, ""), size=size, sha256=digest.hexdigest())
