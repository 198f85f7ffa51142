"""One sound track on its way to 16 kHz. Runs in a child process, see `core.decoding`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.error import FFmpegError

from core.refusals import Refusal
from core.separation import Samples
from core.spool import BLOCK, RATE
from core.tracks import MAX_SOURCES, is_surround

_GAP = 0.1
_LONGEST_GAP = 3600.0
_BACKWARDS = 1.0
_MAX_CHANNELS = 64
_RATES = range(2000, 6_200_000)
_BATCH = 16384


class SoundTrack:
    """Decodes the packets of one stream. The columns of its blocks are its channels or, where these form
    one mix, their mean. `columns` fixes their number; None takes it from the first sound. `downmixed` is the
    number of channels that one column is the mean of."""

    def __init__(self, stream: AudioStream, origin: float, columns: int | None) -> None:
        self.lost = 0.0
        self.downmixed = 1
        self._stream = stream
        self._origin = origin
        self._columns = columns
        self._time_base = float(stream.time_base or 0)
        self._fifo = av.AudioFifo()
        self._resampler: av.AudioResampler | None = None
        self._shape: tuple[str, str, int] | None = None
        self._heard = 0.0
        self._failed_until: float | None = None

    def decode(self, packet: av.Packet[Any]) -> Iterator[Samples]:
        """The sound of one packet, in blocks; a packet that can't be decoded leaves a gap."""
        try:
            frames = self._stream.codec_context.decode(packet if packet.size else None)
        except EOFError:  # the decoder was flushed already
            return
        except MemoryError:  # PyAV's is an FFmpegError too, but says nothing about the packet
            raise
        except FFmpegError:
            end = self._heard
            if packet.pts is not None:
                end = (packet.pts + (packet.duration or 0)) * self._time_base - self._origin
            self._failed_until = max(self._failed_until or 0.0, end)
            return
        for frame in frames:
            if frame.samples:
                yield from self._frame(frame)

    def finish(self) -> Iterator[Samples]:
        """What the decoder and the resampler still hold."""
        yield from self.decode(av.Packet())
        yield from self._flush()

    @property
    def failed_at_end(self) -> bool:
        """Whether packets after the last sound could not be decoded."""
        return self._failed_until is not None and self._failed_until - self._heard > _GAP

    def _flush(self) -> Iterator[Samples]:
        """Everything up to here, and a new beginning."""
        yield from self._resample()
        if self._resampler is not None:
            for frame in self._resampler.resample(None):
                yield self._samples(frame)
        self._resampler = self._shape = None
        self._fifo = av.AudioFifo()

    def _resample(self) -> Iterator[Samples]:
        if self._fifo.samples and (batch := self._fifo.read(partial=True)) is not None:
            if self._resampler is None:
                self._resampler = av.AudioResampler(format="flt", rate=RATE, frame_size=BLOCK)
            for frame in self._resampler.resample(batch):
                yield self._samples(frame)

    def _frame(self, frame: av.AudioFrame) -> Iterator[Samples]:
        channels = frame.layout.nb_channels
        if frame.sample_rate not in _RATES or not 1 <= channels <= _MAX_CHANNELS:
            raise Refusal.DAMAGED.rejected()
        if self._columns is None:
            one_mix = channels > MAX_SOURCES or is_surround(frame.layout.name, channels)
            self._columns = 1 if one_mix else channels
        if self._columns == 1:
            self.downmixed = max(self.downmixed, channels)
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        gap = self._gap(frame)
        if gap or shape != self._shape:
            yield from self._flush()
        if gap:
            self._heard += gap
            self.lost += gap if self._failed_until is not None else 0.0
            yield from _silence(gap, self._columns)
        self._failed_until = None
        self._shape = shape
        self._heard += frame.samples / frame.sample_rate
        # Frames of codecs are small: resampling several at once halves the time that everything takes.
        frame.pts = None
        self._fifo.write(frame)
        if self._fifo.samples >= _BATCH:
            yield from self._resample()

    def _gap(self, frame: av.AudioFrame) -> float:
        """Seconds of nothing before this frame: a muted recorder, lost packets, a track that starts late.

        They become silence, so that times in the transcript are those of the player. Jumps backwards or by
        more than an hour are a new clock, not a gap.
        """
        if frame.pts is None:
            return 0.0
        gap = frame.pts * self._time_base - self._origin - self._heard
        if _GAP < gap <= _LONGEST_GAP:
            return gap
        if gap < -_BACKWARDS or gap > _LONGEST_GAP:
            self._origin += gap
        return 0.0

    def _samples(self, frame: av.AudioFrame) -> Samples:
        # Not `to_ndarray`: in PyAV 18.1 it reads past the end of the plane table of wide frames and crashes.
        channels = frame.layout.nb_channels
        flat = np.frombuffer(memoryview(frame.planes[0]), np.float32)[: frame.samples * channels]
        samples = flat.reshape(-1, channels)
        if not np.isfinite(samples.sum()):
            samples = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
        if channels == self._columns:
            return samples
        mean = (samples @ np.full(channels, 1 / channels, np.float32))[:, None]
        return np.repeat(mean, self._columns or 1, axis=1)


def _silence(seconds: float, columns: int) -> Iterator[Samples]:
    left = round(seconds * RATE)
    while left > 0:
        yield np.zeros((min(left, BLOCK), columns), np.float32)
        left -= BLOCK
