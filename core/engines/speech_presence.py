"""Where anybody speaks, and whether anybody does at all, on the child process's side.

By the silero network; by energy alone where its packages are missing. Energy can't tell speech from music, so
it errs on the side of speech: a recognition too many costs less than a recording that is not heard.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from core.engines import pcm
from core.engines.speech import (
    Span,
    find_speech,
    hysteresis,
    pad_spans,
    speech_probabilities,
    threshold_for,
    vad_model,
)

_STEP = 0.032  # seconds that one probability stands for
_CLEAR, _RELEASE = 0.5, 0.15  # a stretch begins at the first and goes on down to as much below it
_LONG = 16  # steps in a row, 0.51 s, that settle it
_BRIEF, _SURE = 8, 0.8  # steps in a row of which one is this probable: a lone "yes", and no chord or click

_FRAME = 512  # samples: 32 ms
_BLOCK = 1000 * _FRAME
_CONTRAST = 9.0  # dB above the quiet parts that count as somebody speaking up
_FLOOR = 30.0  # dB over one unit of 16-bit samples (60 dB below full scale): silence, whatever its contrast
_STEADY = 50.0  # dB likewise: as loud as this all the time may be speech without a pause
_PAUSE, _PAD = 16, 0.5  # frames and seconds, generous

Floats = npt.NDArray[np.float64]


def find(path: str, report: Callable[[float], None]) -> list[Span]:
    """The stretches of speech in decoded audio (seconds), in order, never overlapping; `report` is told the
    finished fraction. Raises ValueError if the file is not 16 kHz mono 16-bit PCM."""
    if not _has_network():
        return _loud(path)
    return find_speech(path, threshold=threshold_for(path), report=report)


def present(path: str) -> bool:
    """Whether there is any speech; stops listening at the first half second that clearly is.

    Raises ValueError if the file is not 16 kHz mono 16-bit PCM.
    """
    if not _has_network():
        return bool(_loud(path))
    heard: list[float] = []

    def listen() -> Iterator[float]:
        for probability in speech_probabilities(path):
            heard.append(probability)
            yield probability

    if holds_speech(listen(), _CLEAR):
        return True
    lower = threshold_for(path)
    return lower < _CLEAR and holds_speech(heard, lower)


def holds_speech(probabilities: Iterable[float], threshold: float) -> bool:
    """Whether these probabilities, one for each 32 ms, are ever speech: for half a second in a row at
    `threshold`, or for a quarter of a second without a doubt. Takes no more of them than it needs."""
    brief = False
    length, peak = 0, 0.0
    for probability in probabilities:
        if probability >= threshold or (length and probability >= threshold - _RELEASE):
            length, peak = length + 1, max(peak, probability)
        else:
            length, peak = 0, 0.0
        if length >= _LONG:
            return True
        brief = brief or (length >= _BRIEF and peak >= _SURE)
    return brief


def _has_network() -> bool:
    return importlib.util.find_spec("onnxruntime") is not None and vad_model() is not None


def _loud(path: str) -> list[Span]:
    """Stretches that stand out from the quiet parts; everything if it is loud without a pause."""
    seconds = pcm.duration(path)
    levels = [_levels(block) for block in pcm.blocks(path, _BLOCK)]
    level: Floats = np.concatenate(levels) if levels else np.zeros(0)
    if not len(level):
        return []
    quiet, loud = np.percentile(level, [5, 99])
    if loud - quiet < _CONTRAST:
        return [(0.0, seconds)] if loud >= _STEADY else []
    flags = (level >= max(quiet + _CONTRAST, _FLOOR)).astype(float).tolist()
    spans = [
        (first * _STEP, min(last * _STEP, seconds))
        for first, last in hysteresis(flags, threshold=0.5, min_silence=_PAUSE)
    ]
    return pad_spans(spans, pad=_PAD, seconds=seconds)


def _levels(block: pcm.Samples) -> Floats:
    whole = np.zeros(len(block) + -len(block) % _FRAME)
    whole[: len(block)] = block
    power: Floats = (whole.reshape(-1, _FRAME) ** 2).mean(axis=1)
    return 10 * np.log10(power + 1.0)
