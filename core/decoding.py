"""Decode any recording to 16 kHz mono WAV. Runs in a child process: only this module and
`core.soundtrack` import PyAV, and nothing in the service imports them.

What a hostile file could reach is kept small: only the containers and sound codecs of `core.formats` are
tried, pictures are never decoded, and a file can't make anything else be opened, neither a path nor an
address. Memory does not grow with the length of the recording. Lengths in headers are never believed: time,
progress and limits are counted from what was decoded and from the bytes that were read.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard, Disposition

from core import sniffing
from core.formats import CODECS, CONTAINERS, HEADERLESS, ending
from core.refusals import Refusal, clock, spoken_length
from core.separation import Samples, decide
from core.soundtrack import SoundTrack
from core.spool import RATE, Spool
from core.tracks import Merge, TrackFacts, choose

_MIN_SECONDS = 0.2
_MISSING_SECONDS = 1.0
_DEMUX_ERRORS = 50
_LONGEST_WAV = (2**32 - 2**16) / (2 * RATE)
_SPECIAL = (
    Disposition.dub
    | Disposition.comment
    | Disposition.lyrics
    | Disposition.karaoke
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
    | Disposition.clean_effects
    | Disposition.descriptions
)

Report = Callable[[float], None]


def decode_file(
    source: str, into: str, announced_name: str, max_seconds: float, report: Report
) -> dict[str, Any]:
    """Decode the file `source` into WAV files in the directory `into`; the fields of `core.model.Audio`.

    Raises Rejected with the sentence for the sharer if the file can't be transcribed or holds more than
    `max_seconds` of sound, Transient if the disk fails.
    """
    size = Path(source).stat().st_size
    with Path(source).open("rb") as file, Spool(Path(into)) as spool:
        head = file.read(sniffing.HEAD_BYTES)
        if reason := sniffing.refusal(head):
            raise reason.rejected()
        outline = sniffing.structure(file, size)
        if outline.protected:
            raise Refusal.PROTECTED.rejected()
        links = sniffing.ogg_links(file, size) if head.startswith(b"OggS") else [(0, size)]
        reading = _Reading(spool, min(max_seconds, _LONGEST_WAV), _rising(report, 0.95 / size))
        for start, end in links:
            try:
                container = _open(_Window(file, start, end), announced_name)
            except MemoryError:
                raise
            except FFmpegError:
                if start:
                    reading.broken = True
                    break
                raise _unreadable(outline, size).rejected() from None
            with container:
                reading.read(container, start)
        if spool.seconds < _MIN_SECONDS:
            raise _nothing(outline, size, spool.seconds, broken=reading.broken).rejected()
        decision = decide(spool.statistics, downmixed=reading.downmixed, alternatives=reading.several_tracks)
        if decision.silent:
            raise Refusal.SILENT.rejected()
        path, channels = spool.finish(decision, _rising(report, 0.05, 0.95))
        return {
            "path": str(path),
            "seconds": spool.seconds,
            "channels": [str(channel) for channel in channels],
            "warnings": _warnings(outline, size, spool.seconds, broken=reading.broken, lost=reading.lost),
        }


def _rising(report: Report, scale: float, base: float = 0.0) -> Report:
    """`report`, called only when the fraction has grown by half a per cent."""
    highest = base

    def rising(value: float) -> None:
        nonlocal highest
        fraction = min(1.0, base + value * scale)
        if fraction >= highest + 0.005 or (fraction == 1.0 > highest):
            highest = fraction
            report(fraction)

    return rising


def _unreadable(outline: sniffing.Structure, size: int) -> Refusal:
    if outline.lacks_index or outline.declared_bytes > size:
        return Refusal.CUT
    return Refusal.DAMAGED if outline.known else Refusal.UNKNOWN


def _nothing(outline: sniffing.Structure, size: int, seconds: float, *, broken: bool) -> Refusal:
    if outline.lacks_index or outline.declared_bytes > size:
        return Refusal.CUT
    if broken:
        return Refusal.DAMAGED
    return Refusal.TOO_SHORT if seconds else Refusal.DAMAGED


def _warnings(
    outline: sniffing.Structure, size: int, seconds: float, *, broken: bool, lost: float
) -> list[str]:
    """What the reader should know. A length in a header is no evidence that sound is missing: bytes that the
    container needs and that aren't there are, and so are packets that could not be decoded."""
    warnings = []
    missing = max(seconds * (outline.declared_bytes / size - 1), outline.declared_seconds * 0.99 - seconds)
    if missing >= _MISSING_SECONDS:
        warnings.append(
            f"The file is incomplete and could only be read up to {clock(seconds)}. If the original is "
            "longer, please upload it again."
        )
    elif broken:
        warnings.append(f"The file is damaged and could only be read up to {clock(seconds)}.")
    if lost >= _MISSING_SECONDS:
        warnings.append(f"Parts of the file are damaged: about {spoken_length(lost)} of sound are missing.")
    return warnings


class _Window(io.RawIOBase):
    """The bytes from `start` to `end` of a file, as a file. It has no name that a demuxer could build on."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file, self._start, self._end = file, start, end
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        left = self._end - self._start - self._position
        if left <= 0:  # damaged files point anywhere, also where no file system can go
            return b""
        self._file.seek(self._start + self._position)
        data = self._file.read(left if size < 0 else min(size, left))
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._end - self._start}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position


def _open(window: _Window, announced_name: str) -> InputContainer:
    """The container in `window`. Raises FFmpegError if it is none of ours or asks for another file."""
    options = {
        "format_whitelist": ",".join(CONTAINERS),
        "codec_whitelist": ",".join(CODECS),
        "protocol_whitelist": "none",
    }

    def attempt(container_format: str | None, more: dict[str, str]) -> InputContainer:
        window.seek(0)
        return av.open(
            window,
            "r",
            format=container_format,
            options=options | more,
            metadata_errors="ignore",
            buffer_size=65536,
            io_open=_refuse_open,
        )

    try:
        return attempt(None, {})
    except FFmpegError:
        if (headerless := HEADERLESS.get(ending(announced_name))) is None:
            raise
        container_format, more = headerless
        options["format_whitelist"] = container_format
        return attempt(container_format, more)


def _refuse_open(_url: str, _flags: int, _options: dict[str, str]) -> Any:
    raise FFmpegError(1, "A recording may not refer to another file.")


class _Reading:
    """Reads one container after another into the spool. `lost` are the seconds of sound that could not be
    decoded between others; `broken` says that reading ended before the file did."""

    def __init__(self, spool: Spool, max_seconds: float, at: Report) -> None:
        self._spool = spool
        self._max_seconds = max_seconds
        self._at = at
        self._columns: int | None = None
        self.broken = False
        self.lost = 0.0
        self.several_tracks = False
        self.downmixed = 1

    def read(self, container: InputContainer, start: int) -> None:
        """Append the sound of `container`, whose first byte is byte `start` of the file."""
        streams = self._streams(container)
        origin = container.start_time / av.time_base if container.start_time is not None else 0.0
        several = len(streams) > 1
        columns = 1 if several else self._columns
        tracks = {stream.index: SoundTrack(stream, origin, columns) for stream in streams}
        if self._columns is None and several:
            self.several_tracks = True
            self._columns = len(streams)
        merge = Merge(list(tracks))
        for packet in self._packets(container, streams):
            track = tracks[packet.stream.index]
            for block in track.decode(packet):
                self._write(merge.add(packet.stream.index, block) if several else [block])
            if packet.pos is not None and packet.pos >= 0:
                self._at(start + packet.pos)
        for index, track in tracks.items():
            for block in track.finish():
                self._write(merge.add(index, block) if several else [block])
            self.broken |= track.failed_at_end
            self.lost += track.lost
            self.downmixed = max(self.downmixed, track.downmixed)
        self._write(merge.finish() if several else [])

    def _write(self, blocks: Iterator[Samples] | Sequence[Samples]) -> None:
        for block in blocks:
            if self._columns is None:
                self._columns = block.shape[1]
            if block.shape[1] != self._columns:
                mean = block.mean(axis=1, keepdims=True)
                self._spool.write(np.repeat(mean, self._columns, axis=1))
            else:
                self._spool.write(block)
            if self._spool.seconds > self._max_seconds:
                raise Refusal.TOO_LONG.rejected(limit=spoken_length(self._max_seconds))

    def _streams(self, container: InputContainer) -> list[AudioStream]:
        if not container.streams.audio:
            pictures = any(stream.type == "video" for stream in container.streams)
            raise (Refusal.NO_AUDIO if pictures else Refusal.UNKNOWN).rejected()
        usable = {
            stream.index: stream
            for stream in container.streams.audio
            if stream.codec_context is not None and stream.codec_context.name in CODECS
        }
        if not usable:
            raise Refusal.UNKNOWN.rejected()
        chosen = choose(
            [
                TrackFacts(
                    index=stream.index,
                    language=stream.language,
                    default=bool(stream.disposition & Disposition.default),
                    special=bool(stream.disposition & _SPECIAL),
                )
                for stream in usable.values()
            ]
        )
        for stream in container.streams:
            if stream.index not in chosen:
                stream.discard = Discard.all
        return [usable[index] for index in chosen]

    def _packets(self, container: InputContainer, streams: list[AudioStream]) -> Iterator[av.Packet[Any]]:
        """Every packet of `streams`; goes on after an error as long as something comes."""
        errors = 0
        while errors < _DEMUX_ERRORS:
            try:
                for packet in container.demux(streams):
                    if packet.size:
                        errors = 0
                    yield packet
            except MemoryError:
                raise
            except FFmpegError:
                errors += 1
            else:
                return
        self.broken = True
