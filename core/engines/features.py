"""Acoustic features of the stretches of speech in a recording: cepstra and pitch, computed in a stream.

Classical front end: mel-frequency cepstral coefficients (Davis and Mermelstein, 1980) and pitch from the
normalised autocorrelation (Boersma, 1993). All frames are 25 ms long and 10 ms apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from os import PathLike
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.fft import dct, irfft, rfft  # type: ignore[import-untyped]  # ships no type hints

from core.engines import pcm
from core.engines.speech import Span

Floats: TypeAlias = npt.NDArray[np.float32]

FRAMES_PER_SECOND = 100
DIMENSIONS = 19

_LENGTH = 400  # samples: 25 ms
_STEP = 160  # samples: 10 ms
_FFT = 512
_FILTERS = 30
_LOWEST, _HIGHEST = 60.0, 7600.0
_EMPHASIS = 0.97

_PITCH_EVERY = 4  # frames: medians over a speaker need no finer grid
_PITCH_LENGTH = 640  # samples: 40 ms
_PITCH_FFT = 2048
_PITCH_LOWEST, _PITCH_HIGHEST = 60, 400  # Hz
_VOICED = 0.6
_OCTAVE_COST = 0.02  # of the correlation

_PIECE = 3000  # frames: 30 s of audio in memory at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """The speech frames of a recording, one region after another.

    `cepstra` is frames x 19, normalised to zero mean and unit variance over the recording; `pitch` is log2 of
    the fundamental frequency in Hz for each frame, NaN where unvoiced or not measured. `regions` are the
    stretches of speech in seconds and `offsets` the index of each one's first frame, plus the total.
    """

    cepstra: Floats
    pitch: Floats
    regions: tuple[Span, ...]
    offsets: tuple[int, ...]


def extract(
    path: str | PathLike[str], regions: Sequence[Span], *, report: Callable[[float], None] | None = None
) -> Speech:
    """The features of `regions` in decoded audio. Regions too short for one frame are left out.

    Takes 80 bytes of memory for each 10 ms of speech and no more. Raises ValueError for another kind of file.
    """
    kept = [(start, end) for start, end in regions if _frames(start, end) > 0]
    counts = [_frames(start, end) for start, end in kept]
    total = sum(counts)
    cepstra = np.empty((total, DIMENSIONS), dtype=np.float32)
    pitch = np.full(total, np.nan, dtype=np.float32)
    done = 0
    for (start, _), count in zip(kept, counts, strict=True):
        for first, frames in _pieces(count):
            audio = _audio(path, start + first * _STEP / pcm.RATE, frames)
            cepstra[done : done + frames] = _cepstra(audio, frames)
            pitch[done : done + frames : _PITCH_EVERY] = _pitch(audio, frames)
            done += frames
            if report is not None:
                report(done / total)
    if total:
        cepstra -= cepstra.mean(axis=0, dtype=np.float64).astype(np.float32)
        cepstra /= np.maximum(1e-3, np.sqrt(np.einsum("nd,nd->d", cepstra, cepstra) / total))
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).tolist()
    return Speech(cepstra=cepstra, pitch=pitch, regions=tuple(kept), offsets=tuple(offsets))


def _frames(start: float, end: float) -> int:
    return max(0, int((end - start) * pcm.RATE + 0.5 - _LENGTH) // _STEP + 1)


def _pieces(count: int) -> Iterator[tuple[int, int]]:
    for first in range(0, count, _PIECE):
        yield first, min(_PIECE, count - first)


def _audio(path: str | PathLike[str], start: float, frames: int) -> Floats:
    """One sample before `start`, the frames, and enough after them for the longer pitch window."""
    samples = (frames - 1) * _STEP + _PITCH_LENGTH
    begin = round(start * pcm.RATE)
    before = 1 if begin > 0 else 0
    found = pcm.read(path, (begin - before) / pcm.RATE, (begin + samples) / pcm.RATE)
    audio = np.zeros(1 + samples, dtype=np.float32)
    audio[1 - before : 1 - before + len(found)] = found
    audio /= 32768
    return audio


def _cepstra(audio: Floats, frames: int) -> Floats:
    emphasised = audio[1:] - np.float32(_EMPHASIS) * audio[:-1]
    windows = np.lib.stride_tricks.sliding_window_view(emphasised, _LENGTH)[: frames * _STEP : _STEP][:frames]
    spectrum = np.abs(rfft(windows * _hamming(), n=_FFT, axis=1)) ** 2
    mel = np.log(spectrum @ _mel_filters() + 1e-8)
    return np.asarray(dct(mel, norm="ortho", axis=1)[:, 1 : DIMENSIONS + 1], dtype=np.float32)


def _pitch(audio: Floats, frames: int) -> Floats:
    step = _STEP * _PITCH_EVERY
    wanted = -(-frames // _PITCH_EVERY)
    windows = np.lib.stride_tricks.sliding_window_view(audio[1:], _PITCH_LENGTH)[::step][:wanted]
    windows = (windows - windows.mean(axis=1, keepdims=True)) * _hann()
    power = np.abs(rfft(windows, n=_PITCH_FFT, axis=1)) ** 2
    shortest, longest = pcm.RATE // _PITCH_HIGHEST, pcm.RATE // _PITCH_LOWEST
    correlation = irfft(power, n=_PITCH_FFT, axis=1)[:, : longest + 1]
    correlation = correlation / np.maximum(correlation[:, :1], 1e-9) / _window_correlation()[: longest + 1]
    lags = correlation[:, shortest:]
    # Every multiple of a period fits as well: an octave down has to fit a little better.
    peak = (lags - _octave_cost()).argmax(axis=1)
    strength = np.take_along_axis(lags, peak[:, None], axis=1)[:, 0]
    # A maximum at the edge of the range is the flank of a peak outside it, not a period.
    voiced = (strength > _VOICED) & (peak > 0) & (peak < lags.shape[1] - 1)
    values = np.log2(pcm.RATE / (peak + shortest))
    return np.where(voiced, values, np.nan).astype(np.float32)


@cache
def _hamming() -> Floats:
    return np.hamming(_LENGTH).astype(np.float32)


@cache
def _hann() -> Floats:
    return np.hanning(_PITCH_LENGTH).astype(np.float32)


@cache
def _octave_cost() -> Floats:
    lags = np.arange(pcm.RATE // _PITCH_HIGHEST, pcm.RATE // _PITCH_LOWEST + 1)
    return (_OCTAVE_COST * np.log2(lags)).astype(np.float32)


@cache
def _window_correlation() -> Floats:
    correlation = irfft(np.abs(rfft(_hann(), n=_PITCH_FFT)) ** 2, n=_PITCH_FFT)
    return np.asarray(correlation / correlation[0], dtype=np.float32)


@cache
def _mel_filters() -> Floats:
    """Triangles, evenly spaced on the mel scale: bins x filters."""
    lowest, highest = (2595 * np.log10(1 + hertz / 700) for hertz in (_LOWEST, _HIGHEST))
    edges = 700 * (10 ** (np.linspace(lowest, highest, _FILTERS + 2) / 2595) - 1)
    bins = np.arange(_FFT // 2 + 1)[:, None] * (pcm.RATE / _FFT)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
