"""Speech in windows that Whisper takes whole, and what may be kept of what it says about them. Pure.

Whisper hears 30 seconds at a time. Stretches of speech are packed into such windows with the long pauses left
out, as in the "VAD cut and merge" of WhisperX (Bain et al. 2023, https://arxiv.org/abs/2303.00747), so that
no window begins or ends within a word and silence, in which Whisper invents text, is never shown to it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

Span = tuple[float, float]
"""Start and end in seconds."""

Heard = tuple[float, float, str, float]
"""A word: start and end in seconds, text, confidence 0..1."""

WINDOW = 29.0
"""Seconds of a full window; a little less than Whisper's 30, so that the last word's end is inside."""

_CLEAR = 0.7  # probability from which one window's language is believed by itself
_LOOP_LENGTH = 8  # words that a phrase may have to count as caught in a loop
_LOOP_TIMES = 4  # repetitions that people do not utter


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Pieces of the recording, shown to the recogniser one directly after the other."""

    pieces: tuple[Span, ...]

    @property
    def seconds(self) -> float:
        """Length of the pieces together."""
        return sum(end - start for start, end in self.pieces)

    def in_recording(self, start: float, end: float) -> Span:
        """Where in the recording a word lies that was heard from `start` to `end` in the window.

        A word that reaches across a cut belongs to the piece with its middle and ends with it.
        """
        ends = list(accumulate(stop - begin for begin, stop in self.pieces))
        at = min(bisect_right(ends, (start + end) / 2), len(ends) - 1)
        begin, stop = self.pieces[at]
        shift = begin - (ends[at] - (stop - begin))
        first = min(max(start + shift, begin), stop)
        return first, min(max(end + shift, first), stop)


def pack(
    speech: Iterable[Span],
    *,
    longest: float = WINDOW,
    quietest: Callable[[float, float], float] | None = None,
) -> list[Window]:
    """Windows of at most `longest` seconds that hold all of `speech` (in order, not overlapping) once.

    A stretch that is longer by itself is cut where `quietest(earliest, latest)` says.
    """
    windows: list[Window] = []
    pieces: list[Span] = []
    filled = 0.0
    for span in speech:
        for start, end in _cut(span, longest, quietest):
            if pieces and filled + (end - start) > longest:
                windows.append(Window(pieces=tuple(pieces)))
                pieces, filled = [], 0.0
            if pieces and pieces[-1][1] == start:
                pieces[-1] = (pieces[-1][0], end)
            else:
                pieces.append((start, end))
            filled += end - start
    if pieces:
        windows.append(Window(pieces=tuple(pieces)))
    return windows


def _cut(span: Span, longest: float, quietest: Callable[[float, float], float] | None) -> Iterable[Span]:
    start, end = span
    while end - start > longest:
        at = start + longest
        if quietest is not None:
            earliest = start + longest * 2 / 3
            at = min(max(quietest(earliest, at), earliest), at)
        yield start, at
        start = at
    if end > start:
        yield start, end


def sample(count: int, most: int) -> list[int]:
    """At most `most` of `count` indices, spread evenly, so that every part of a recording is heard."""
    if count <= most:
        return list(range(count))
    return [math.floor((index + 0.5) * count / most) for index in range(most)]


def restrict(probabilities: Mapping[str, float], allowed: Iterable[str]) -> dict[str, float]:
    """The probabilities of the `allowed` languages, summing to one; all of them if `allowed` is empty."""
    wanted = frozenset(allowed)
    kept = {code: value for code, value in probabilities.items() if not wanted or code in wanted}
    total = sum(kept.values())
    if total <= 0:
        return dict.fromkeys(kept, 1 / len(kept)) if kept else {}
    return {code: value / total for code, value in kept.items()}


def languages_heard(samples: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    """The languages that the sampled windows show, the most probable first.

    One that wins on average always counts; another only if it wins some window clearly, since a single
    mumbled window otherwise brings in a language that nobody speaks.
    """
    total: dict[str, float] = {}
    for probabilities in samples:
        for code, value in probabilities.items():
            total[code] = total.get(code, 0.0) + value
    if not total:
        return ()
    winners = [max(probabilities, key=lambda code: probabilities[code]) for probabilities in samples]
    clear = {
        code for code, probabilities in zip(winners, samples, strict=True) if probabilities[code] >= _CLEAR
    }
    best = max(total, key=lambda code: (total[code], code))
    return tuple(sorted({best} | clear, key=lambda code: (-total[code], code)))


def by_share(seconds: Mapping[str, float], *, least: float = 0.02) -> tuple[str, ...]:
    """Languages with at least the fraction `least` of the speech, the most spoken first."""
    total = sum(seconds.values())
    kept = [code for code, value in seconds.items() if value > 0 and value >= least * total]
    return tuple(sorted(kept, key=lambda code: (-seconds[code], code)))


def credible(*, no_speech: float, log_probability: float) -> bool:
    """Whether a segment was rather heard than invented, from Whisper's own two measures.

    Whisper itself drops segments above 0.6 and below -1 (its published defaults); text that is almost
    certainly not speech goes even if it sounds fluent, as "thanks for watching" does.
    """
    if no_speech > 0.6 and log_probability < -1.0:
        return False
    return not (no_speech > 0.9 and log_probability < -0.5)


def joined(pieces: Sequence[Heard], *, spaced: bool) -> list[Heard]:
    """Words from Whisper's pieces, whose text begins with a space where a new word begins.

    In `spaced` languages a piece without one ("-time", "'s") belongs to the word before; its confidence is
    that of the least certain piece. Pieces without text are dropped.
    """
    words: list[Heard] = []
    for start, end, text, confidence in pieces:
        if not text.strip():
            continue
        if spaced and words and not text[0].isspace():
            first, _, before, least = words[-1]
            words[-1] = (first, end, before + text.strip(), min(least, confidence))
        else:
            words.append((start, end, text.strip(), confidence))
    return words


def without_loops(words: Sequence[str]) -> list[int]:
    """Indices of the words to keep: a phrase of up to 8 words said at least 4 times in a row stays once.

    Comparison ignores case and punctuation at the ends. Single words may be repeated up to 7 times ("no, no,
    no"), as people do.
    """
    plain = [word.strip(" .,!?;:-").casefold() for word in words]
    kept: list[int] = []
    at = 0
    while at < len(plain):
        size, times = _loop_at(plain, at)
        kept.extend(range(at, at + size))
        at += size * times
    return kept


def _loop_at(plain: Sequence[str], at: int) -> tuple[int, int]:
    for size in range(1, _LOOP_LENGTH + 1):
        phrase = plain[at : at + size]
        if len(phrase) < size:
            break
        times = 1
        while plain[at + times * size : at + (times + 1) * size] == phrase:
            times += 1
        if times >= (2 * _LOOP_TIMES if size == 1 else _LOOP_TIMES):
            return size, times
    return 1, 1
