"""What vendors are sent: a recording or a piece of it, encoded small without loss of what is said."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from core.children import Children
from core.model import Audio


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A kind of file: its suffix, how it is encoded, and the most bytes that a second takes."""

    suffix: str
    codec: str
    bytes_per_second: int
    options: Mapping[str, str] = field(default_factory=dict)


CONTAINERS: dict[str, Container] = {
    # 32 kbit/s is transparent for speech. Lowest complexity, no speech model, long frames: 5 s of
    # processor time an hour, where the library's defaults take a minute and "voip" a quarter of one.
    "ogg": Container(
        suffix="ogg",
        codec="libopus",
        bytes_per_second=5_500,
        options={
            "b": "32000",
            "application": "audio",
            "compression_level": "0",
            "frame_duration": "60",
        },
    ),
    "flac": Container(suffix="flac", codec="flac", bytes_per_second=33_000),
    "wav": Container(suffix="wav", codec="pcm_s16le", bytes_per_second=32_100),
}
"""By the name that `Capabilities.upload` uses."""


def longest_request(upload: str, max_seconds: float | None, max_bytes: int | None) -> float:
    """Seconds of audio that fit into one request; infinite without limits."""
    by_size = max_bytes / CONTAINERS[upload].bytes_per_second if upload and max_bytes else float("inf")
    return min(by_size, max_seconds or float("inf"))


class Encoder:
    """Encodes pieces of decoded audio in child processes, and finds pauses to cut at."""

    def __init__(self, processes: int) -> None:
        self._children = Children(processes)

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
