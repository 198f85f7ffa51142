"""What vendors are sent: a recording or a piece of it, encoded small without loss of what is said."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.child import Child, ChildDied
from core.errors import Transient
from core.model import Audio


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A kind of file: its suffix, how it is encoded, and the most bytes that a second takes."""

    suffix: str
    codec: str
    bytes_per_second: int
    options: Mapping[str, str] = field(default_factory=dict)


CONTAINERS: dict[str, Container] = {
    # 32 kbit/s is transparent for speech; the lowest complexity costs a ninth of the time of the highest.
    "ogg": Container(
        suffix="ogg",
        codec="libopus",
        bytes_per_second=5_500,
        options={"b": "32000", "application": "voip", "compression_level": "0"},
    ),
    "flac": Container(suffix="flac", codec="flac", bytes_per_second=33_000),
    "wav": Container(suffix="wav", codec="pcm_s16le", bytes_per_second=32_100),
}
"""By the name that `Capabilities.upload` uses."""


def longest_request(upload: str, max_seconds: float | None, max_bytes: int | None) -> float:
    """Seconds of audio that fit into one request; infinite without limits."""
    by_size = max_bytes / CONTAINERS[upload].bytes_per_second if upload and max_bytes else float("inf")
    return min(by_size, max_seconds or float("inf"))


class Children:
    """Up to `processes` child processes, started when needed, that share work of one kind."""

    def __init__(self, processes: int, environment: Mapping[str, str] | None = None) -> None:
        self._idle = [Child(environment=environment) for _ in range(processes)]
        self._all = tuple(self._idle)
        self._slots = asyncio.Semaphore(processes)

    async def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        """As `Child.call`, by whichever child is free. Raises Transient if it dies."""
        async with self._slots:
            child = self._idle.pop()
            try:
                return await child.call(function, arguments)
            except ChildDied:
                raise Transient("A process that prepared the audio ended unexpectedly.") from None
            finally:
                self._idle.append(child)

    async def close(self) -> None:
        """End them all. Safe to repeat; a later call starts them again."""
        await asyncio.gather(*(child.close() for child in self._all))


class Encoder:
    """Encodes pieces of decoded audio in child processes, and finds pauses to cut at."""

    def __init__(self, processes: int) -> None:
        self._children = Children(processes, {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})

    @asynccontextmanager
    async def piece(
        self, audio: Audio, start: float, end: float, upload: str, into: Path
    ) -> AsyncIterator[Audio]:
        """`start` to `end` seconds as a file of kind `upload` in the directory `into`, gone afterwards."""
        container = CONTAINERS[upload]
        # Two engines may be sent the same stretch at the same time.
        stretch = f"{round(start * 1000)}-{round(end * 1000)}-{uuid.uuid4().hex[:8]}"
        name = f"{audio.path.stem}-{stretch}.{container.suffix}"
        path = into / name
        try:
            await self._children.call(
                "core.encoding:encode",
                {
                    "path": os.fspath(audio.path),
                    "start": start,
                    "end": end,
                    "into": os.fspath(path),
                    "codec": container.codec,
                    "options": dict(container.options),
                },
            )
            yield Audio(path=path, seconds=end - start)
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def pauses(self, audio: Audio, windows: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """Middle and length (seconds) of the pauses within `windows`."""
        found = await self._children.call(
            "core.engines.pauses:find", {"path": os.fspath(audio.path), "windows": [list(w) for w in windows]}
        )
        return [(at, length) for at, length in found]

    async def close(self) -> None:
        """End the child processes."""
        await self._children.close()
