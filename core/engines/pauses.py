"""Pauses around the places where a long recording may be cut, on the child process's side.

By energy alone: what counts is that nobody speaks up at the cut, also where music or noise goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from core.engines import pcm

_FRAME = 320  # samples: 20 ms
_SHORTEST = 0.16  # seconds: longer than the closure of a stop within a word
_DEPTH = 0.3  # of the way from the quietest to the loudest
_CONTRAST = 9.0  # dB between quiet and loud below which there is nothing to tell pauses by

Floats = npt.NDArray[np.float64]


def find(path: str, windows: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Middle and length (seconds) of every pause within `windows` (seconds) of decoded audio, in order.

    Raises ValueError if the file is not 16 kHz mono 16-bit PCM.
    """
    return [pause for start, end in windows for pause in _pauses(path, start, end)]


def _pauses(path: str, start: float, end: float) -> list[tuple[float, float]]:
    start = max(0.0, start)
    samples = pcm.read(path, start, end).astype(np.float64)
    frames = len(samples) // _FRAME
    if not frames:
        return []
    power = (samples[: frames * _FRAME].reshape(frames, _FRAME) ** 2).mean(axis=1)
    level: Floats = 10 * np.log10(power + 1.0)
    quiet, loud = np.percentile(level, [5, 95])
    if loud - quiet < _CONTRAST:
        return [(start + frames * _FRAME / pcm.RATE / 2, end - start)] if loud < _CONTRAST else []
    low = np.concatenate([[False], level < quiet + _DEPTH * (loud - quiet), [False]])
    edges = np.flatnonzero(np.diff(low.astype(np.int8))).tolist()
    step = _FRAME / pcm.RATE
    return [
        (start + (first + last) / 2 * step, (last - first) * step)
        for first, last in zip(edges[::2], edges[1::2], strict=True)
        if (last - first) * step >= _SHORTEST
    ]
