"""What vendors are sent: a recording or a piece of it, encoded small without loss of what is said."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from core import tasks
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

_Wanted = tuple[Path, float, float, str, Path]  # audio, start, end, kind of file, directory


def longest_request(upload: str, max_seconds: float | None, max_bytes: int | None) -> float:
    """Seconds of audio that fit into one request; infinite without limits."""
    by_size = max_bytes / CONTAINERS[upload].bytes_per_second if upload and max_bytes else float("inf")
    return min(by_size, max_seconds or float("inf"))


@dataclass(slots=True, kw_only=True)
class _Encoding:
    """A file under way or in use, by so many `users`."""

    path: Path
    task: asyncio.Task[None]
    users: int = 0


class Encoder:
    """Encodes pieces of decoded audio in child processes, and finds pauses to cut at."""

    def __init__(self, processes: int) -> None:
        self._children = Children(processes)
        self._encodings: dict[_Wanted, _Encoding] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def piece(
        self, audio: Audio, start: float, end: float, upload: str, into: Path
    ) -> AsyncIterator[Audio]:
        """`start` to `end` seconds as a file of kind `upload` in the directory `into`, gone afterwards.

        Two engines are often sent the same stretch at the same time: it is encoded once for both.
        """
        wanted = (audio.path, start, end, upload, into)
        encoding = self._encodings.get(wanted)
        if encoding is None:
            encoding = self._encodings[wanted] = self._start(wanted)
        encoding.users += 1
        try:
            await asyncio.shield(encoding.task)
            yield Audio(path=encoding.path, seconds=end - start)
        finally:
            encoding.users -= 1
            if not encoding.users:
                self._leave(wanted, encoding)
                await tasks.end(encoding.task)
                await asyncio.to_thread(encoding.path.unlink, missing_ok=True)

    def _start(self, wanted: _Wanted) -> _Encoding:
        source, start, end, upload, into = wanted
        # The name is new each time: an earlier file of this stretch may be on its way out.
        stretch = f"{round(start * 1000)}-{round(end * 1000)}-{uuid.uuid4().hex[:8]}"
        path = into / f"{source.stem}-{stretch}.{CONTAINERS[upload].suffix}"

        async def encode() -> None:
            try:
                await self._encode(source, start, end, CONTAINERS[upload], path)
            except BaseException:
                self._leave(wanted, encoding)  # its users are told; who comes now tries again
                raise

        task = asyncio.create_task(encode(), name=f"encoding {stretch}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        encoding = _Encoding(path=path, task=task)
        return encoding

    def _leave(self, wanted: _Wanted, encoding: _Encoding) -> None:
        if self._encodings.get(wanted) is encoding:
            del self._encodings[wanted]

    async def _encode(self, source: Path, start: float, end: float, container: Container, into: Path) -> None:
        await self._children.call(
            "core.encoding:encode",
            {
                "path": os.fspath(source),
                "start": start,
                "end": end,
                "into": os.fspath(into),
                "codec": container.codec,
                "options": dict(container.options),
            },
        )

    async def pauses(self, audio: Audio, windows: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """Middle and length (seconds) of the pauses within `windows`."""
        found = await self._children.call(
            "core.engines.pauses:find", {"path": os.fspath(audio.path), "windows": [list(w) for w in windows]}
        )
        return [(at, length) for at, length in found]

    async def close(self) -> None:
        """End the child processes."""
        await tasks.end(*self._tasks)
        await self._children.close()
