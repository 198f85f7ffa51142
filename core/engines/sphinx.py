"""English speech recognition with pocketsphinx and the model in its wheel. Runs in child processes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from core.engines import pcm
from core.engines.speech import Span, find_speech, threshold_for

HeardWord: TypeAlias = tuple[float, float, str, float]
"""Start and end in seconds, text, and the recogniser's posterior probability, 0..1."""

LONGEST_SPAN = 20.0  # seconds: search time and errors grow with the length of an utterance

_FRAMES_PER_SECOND = 100
_ENERGY_WINDOW = 0.05  # seconds
_SHORTEST_AUDIO = 0.3  # seconds: what the front end needs to make any features
_NOT_A_WORD = re.compile(r"<.*>|\[.*\]|\+\+.*\+\+")
_PRONUNCIATION = re.compile(r"\(\d+\)$")
_FIRST_PERSON = re.compile(r"^i(?='|$)")


def plan(path: str, report: Callable[[float], None] | None = None) -> list[Span]:
    """The stretches of speech in decoded audio, none longer than 20 s: those are cut where it is quietest.

    Raises ValueError if the file is not 16 kHz mono 16-bit PCM.
    """
    found = find_speech(path, threshold=threshold_for(path), report=report)
    return [piece for span in found for piece in cut(span, lambda *at: _energy(path, *at))]


def cut(
    span: Span, energy: Callable[[float, float], Sequence[float]], longest: float = LONGEST_SPAN
) -> Iterator[Span]:
    """`span` in pieces of half of `longest` to `longest` seconds, cut where it is quietest.

    `energy(start, end)` gives the loudness of evenly spaced moments. The last piece may be of any length.
    """
    start, end = span
    while end - start > longest:
        low, high = start + longest / 2, start + longest
        levels = energy(low, high)
        quietest = min(range(len(levels)), key=levels.__getitem__) if levels else len(levels)
        at = low + (quietest + 0.5) * (high - low) / len(levels) if levels else high
        yield start, at
        start = at
    yield start, end


def _energy(path: str, start: float, end: float) -> list[float]:
    samples = pcm.read(path, start, end).astype(np.float64)
    moments = max(1, round((end - start) / _ENERGY_WINDOW))
    return [float(np.mean(piece**2)) if len(piece) else 0.0 for piece in np.array_split(samples, moments)]


def recognise(
    path: str, spans: Sequence[Span], report: Callable[[float], None] = lambda _: None
) -> list[HeardWord]:
    """The English words in `spans` (seconds) of decoded audio, in order; each span is heard on its own.

    The result does not depend on what was heard before, so spans may be shared among processes.
    """
    decoder = _decoder()
    found: list[HeardWord] = []
    total = sum(end - start for start, end in spans)
    done = 0.0
    for start, end in spans:
        found += words(_decode(decoder, pcm.read(path, start, end)), start, end)
        done += end - start
        report(min(1.0, done / total) if total else 1.0)
    return found


def _decode(decoder: Any, samples: pcm.Samples) -> Iterator[tuple[str, int, int, float]]:
    if not len(samples):
        return
    missing = int(_SHORTEST_AUDIO * pcm.RATE) - len(samples)
    if missing > 0:
        samples = np.pad(samples, (0, missing))
    decoder.reinit_feat()  # forget the noise heard before: a span's words must not depend on other spans
    decoder.start_utt()
    try:
        # As a whole utterance: means are then taken over this span alone.
        decoder.process_raw(samples.tobytes(), no_search=False, full_utt=True)
    finally:
        decoder.end_utt()
    for segment in decoder.seg() or ():
        yield segment.word, segment.start_frame, segment.end_frame, segment.prob


def words(segments: Iterable[tuple[str, int, int, float]], start: float, end: float) -> Iterator[HeardWord]:
    """The words among a decoder's segments (word, first and last frame, posterior), at their time in the
    recording. Silence, noises and sentence marks are left out, and so is the mark of a pronunciation."""
    for text, first, last, posterior in segments:
        if _NOT_A_WORD.fullmatch(text):
            continue
        yield (
            min(end, start + first / _FRAMES_PER_SECOND),
            min(end, start + (last + 1) / _FRAMES_PER_SECOND),
            _FIRST_PERSON.sub("I", _PRONUNCIATION.sub("", text)),
            round(min(1.0, max(0.0, posterior)), 4),
        )


@cache
def _decoder() -> Any:
    # Imported late: the parent only plans. It ships without type hints.
    import pocketsphinx  # type: ignore[import-untyped]  # noqa: PLC0415

    return pocketsphinx.Decoder(loglevel="FATAL")
