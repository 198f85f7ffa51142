"""Writes decoded sound to WAV files as it comes, and settles at the end which of them to keep."""

from __future__ import annotations

import errno
import wave
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
import numpy.typing as npt

from core.errors import Transient
from core.separation import Decision, Samples, Statistics

RATE = 16000
"""Samples per second of everything written here."""

BLOCK = 8192
"""Samples that are handled at once, roughly."""

_WAV_HEADER = 44
_SAME = 1e-4
_CHUNK = 2**20


class _Wav:
    """A mono 16-bit WAV file that grows. Its header gets the true sizes on `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO = path.open("wb")
        self._wave = wave.open(self._file, "wb")  # noqa: SIM115  (lives as long as this object)
        self._wave.setnchannels(1)
        self._wave.setsampwidth(2)
        self._wave.setframerate(RATE)
        self._wave.setnframes(0)

    def write(self, samples: npt.NDArray[np.float32]) -> None:
        scaled = samples * np.float32(32767)
        self.write_bytes(
            np.rint(np.clip(scaled, -32767, 32767, out=scaled), out=scaled).astype("<i2").tobytes()
        )

    def write_bytes(self, data: bytes) -> None:
        self._wave.writeframesraw(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        try:
            self._wave.close()
        finally:
            self._file.close()


class Spool:
    """Takes blocks of samples (rows) of one or more sources (columns), -1..1 at 16 kHz.

    The mean of the sources is written as it comes. As soon as the sources differ, each is also written to a
    file of its own, since only the end of the recording tells what they are. Raises Transient if the disk is
    full or fails: that is not the recording's fault.
    """

    def __init__(self, into: Path) -> None:
        self._into = into
        self._stack = ExitStack()
        self._mix: _Wav | None = None
        self._each: list[_Wav] = []
        self._samples = 0
        self.statistics = Statistics(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _disk_failures():
            self._stack.close()

    @property
    def seconds(self) -> float:
        """Length of what was written."""
        return self._samples / RATE

    def write(self, block: Samples) -> None:
        """Append `block`. Its number of columns must not change."""
        if not len(block):
            return
        sources = block.shape[1]
        if self._mix is None:
            self.statistics = Statistics(sources)
        self.statistics.add(block)
        with _disk_failures():
            if self._mix is None:
                self._mix = self._open("audio.wav")
            if not self._each and any(np.abs(block[:, 0] - other).max() > _SAME for other in block.T[1:]):
                self._each = [self._split(number) for number in range(sources)]
            self._mix.write(block @ np.full(sources, 1 / sources, np.float32))
            for wav, column in zip(self._each, block.T, strict=False):
                wav.write(column)
        self._samples += len(block)

    def finish(self, decision: Decision, report: Callable[[float], None]) -> tuple[Path, tuple[Path, ...]]:
        """Close the files; return the mono mix and the channels that `decision` keeps apart."""
        with _disk_failures():
            self._stack.close()
            if self._mix is None:
                raise ValueError("nothing was written")
            mix = self._mix.path
            each = [wav.path for wav in self._each]
            count = len(decision.weights)
            if each and any(abs(weight * count - 1) > 0.01 for weight in decision.weights):
                self._remix(each, decision.weights, mix, report)
            elif not each and abs(sum(decision.weights) - 1) > 0.01:
                self._remix([mix], (sum(decision.weights),), mix, report)
            kept = tuple(each[source] for source in decision.apart) if each else ()
            for path in set(each) - set(kept):
                path.unlink()
        report(1.0)
        return mix, kept

    def _open(self, name: str) -> _Wav:
        wav = _Wav(self._into / name)
        self._stack.callback(wav.close)
        return wav

    def _split(self, number: int) -> _Wav:
        """A file for one source, beginning with what all of them had in common so far."""
        wav = self._open(f"channel-{number + 1}.wav")
        if self._mix is not None:
            self._mix.flush()
            for data in _pcm(self._mix.path):
                wav.write_bytes(data)
        return wav

    def _remix(
        self,
        parts: list[Path],
        weights: tuple[float, ...],
        target: Path,
        report: Callable[[float], None],
    ) -> None:
        used = [(path, weight) for path, weight in zip(parts, weights, strict=True) if weight]
        fresh = _Wav(target.with_suffix(".new.wav"))
        try:
            done = 0
            for blocks in zip(*(_pcm(path) for path, _ in used), strict=True):
                total = sum(
                    np.frombuffer(block, "<i2").astype(np.float32) * (weight / 32767)
                    for block, (_, weight) in zip(blocks, used, strict=True)
                )
                fresh.write(np.asarray(total, np.float32))
                done += len(blocks[0])
                report(done / max(1, 2 * self._samples))
        finally:
            fresh.close()
        fresh.path.replace(target)


def _pcm(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(_WAV_HEADER)
        while data := file.read(_CHUNK):
            yield data


@contextmanager
def _disk_failures() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG):
            raise Transient(f"The decoded sound can't be written: {error.strerror}.") from error
        raise
