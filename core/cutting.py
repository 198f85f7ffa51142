"""Where a long recording is cut for an engine that takes only so much at once. Pure.

As few pieces as leave room to look for a pause, as even as the pauses allow. Two pieces always overlap, and
`core.joining` finds the seam in their words: what looks like a pause can be the middle of somebody's word
(`benchmarks/results/joins.md`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

OVERLAP = 3.0
"""Seconds that two pieces share on each side of a cut."""

_ROOM = 6.0  # seconds on each side of an even cut in which a pause is looked for, at least
_WIDEST = 45.0  # and at most: farther away is no longer even
_LONG_PAUSE = 1.0  # seconds; longer ones are not better
_DISTANCE_COST = 0.01  # seconds of pause that a second farther from the even cut must be worth


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What is sent from `start` to `end`, of which `keep_from` to `keep_to` counts; seconds."""

    start: float
    end: float
    keep_from: float
    keep_to: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Where a cut may lie: best `at`, and between `earliest` and `latest`; seconds."""

    at: float
    earliest: float
    latest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A stretch without speech around `at`, `length` seconds long."""

    at: float
    length: float


def windows(seconds: float, longest: float) -> tuple[Window, ...]:
    """Where a recording of `seconds` has to be cut so that no piece exceeds `longest`; empty if nowhere.

    Any choice within the windows keeps to the limit, overlaps included. Raises ValueError for a `longest` too
    short to cut anything to.
    """
    if seconds <= longest:
        return ()
    usable = longest - 2 * OVERLAP
    room = min(_ROOM, usable / 8)
    if usable <= 0:
        raise ValueError(f"pieces of {longest} s are too short")
    count = math.ceil(seconds / usable)
    while (usable - seconds / count) / 2 < room:
        count += 1
    even = seconds / count
    reach = min((usable - even) / 2, _WIDEST)
    return tuple(
        Window(at=number * even, earliest=number * even - reach, latest=number * even + reach)
        for number in range(1, count)
    )


def plan(seconds: float, longest: float, pauses: Sequence[Pause]) -> tuple[Piece, ...]:
    """The pieces of a recording, none longer than `longest`, cut in the best of `pauses` if there is one."""
    edges = [0.0, *(_cut(window, pauses) for window in windows(seconds, longest)), seconds]
    over = [0.0, *(OVERLAP for _ in edges[2:]), 0.0]
    return tuple(
        Piece(
            start=edges[number] - over[number],
            end=edges[number + 1] + over[number + 1],
            keep_from=edges[number],
            keep_to=edges[number + 1],
        )
        for number in range(len(edges) - 1)
    )


def _cut(window: Window, pauses: Sequence[Pause]) -> float:
    inside = [pause for pause in pauses if window.earliest <= pause.at <= window.latest]
    return max(
        inside,
        key=lambda pause: min(pause.length, _LONG_PAUSE) - _DISTANCE_COST * abs(pause.at - window.at),
        default=Pause(at=window.at, length=0.0),
    ).at
