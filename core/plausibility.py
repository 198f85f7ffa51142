"""Whether words can have been said when they claim to have been: by pace, and by where speech is. Pure.

Times are seconds; ranges are half-open and of indices into the words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from core.model import Word

Range = tuple[int, int]
Span = tuple[float, float]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_FASTEST, _AT_ONCE = 8.0, 16  # words a second that nobody says, over so many words


def outside_speech(words: Sequence[Word], spans: Sequence[Span], slack: float = 0.5) -> list[Range]:
    """Runs of words that lie wholly outside `spans` of speech, by more than `slack` seconds."""
    starts, ends = times(words)
    ordered = sorted(spans)
    before = np.searchsorted(np.array([start for start, _ in ordered]), ends + slack, side="right")
    reach = np.maximum.accumulate(np.array([-np.inf, *(end for _, end in ordered)]))
    return ranges(np.flatnonzero(reach[before] < starts - slack).tolist())


def silent(words: Sequence[Word], speech: Sequence[Span] | None) -> Flags:
    """Words of which less than half overlaps speech; none where nobody knows."""
    if speech is None or not words:
        return np.zeros(len(words), dtype=np.bool_)
    starts, ends = times(words)
    ends = np.maximum(ends, starts + 0.01)  # some engines give words no length
    flags: Flags = 2 * spoken_seconds(speech, starts, ends) < ends - starts
    return flags


def hasty(words: Sequence[Word]) -> Flags:
    """Words amid others that come faster than anybody speaks; the single characters of scripts without spaces
    count half."""
    flags: Flags = np.zeros(len(words), dtype=np.bool_)
    if len(words) <= _AT_ONCE:
        return flags
    starts, _ = times(words)
    weights = np.cumsum(
        [0.0, *(0.5 if len(word.text) == 1 and word.text > "\u1000" else 1.0 for word in words)]
    )
    said = weights[_AT_ONCE:-1] - weights[: -_AT_ONCE - 1]
    for first in np.flatnonzero(said > _FASTEST * (starts[_AT_ONCE:] - starts[:-_AT_ONCE])).tolist():
        flags[first : first + _AT_ONCE] = True
    return flags


def spoken_seconds(spans: Sequence[Span], since: Floats, until: Floats) -> Floats:
    """Seconds of `spans` between the times."""
    knots, spoken = [0.0], [0.0]
    for start, end in sorted(spans):
        begin = max(start, knots[-1])
        if end > begin:
            knots += [begin, end]
            spoken += [spoken[-1], spoken[-1] + end - begin]
    covered: Floats = np.interp(until, knots, spoken) - np.interp(since, knots, spoken)
    return covered


def ranges(indices: Iterable[int]) -> list[Range]:
    """Sorted distinct indices as ranges."""
    found: list[Range] = []
    for index in indices:
        if found and found[-1][1] == index:
            found[-1] = (found[-1][0], index + 1)
        else:
            found.append((index, index + 1))
    return found


def times(words: Sequence[Word]) -> tuple[Floats, Floats]:
    """All starts and all ends."""
    return np.array([word.start for word in words]), np.array([word.end for word in words])
