"""How much of a recording's way is behind it, and how long the rest will take. Pure."""

from __future__ import annotations

from collections.abc import Callable

from core.model import Stage

Clock = Callable[[], float]

# Recognition takes nearly all of the time, so it gets nearly all of the bar.
_RANGES = {
    Stage.QUEUED: (0.0, 0.0),
    Stage.FETCHING: (0.0, 0.03),
    Stage.DECODING: (0.03, 0.08),
    Stage.RECOGNISING: (0.08, 0.98),
    Stage.WRITING: (0.98, 0.99),
    Stage.DELIVERING: (0.99, 1.0),
}
_TELLING_SECONDS = 3.0  # before, an estimate of the time left is a guess
_TELLING_FRACTION = 0.03


def overall(stage: Stage, fraction: float | None) -> float:
    """How much of a recording's way is behind it, 0..1, from its stage and how much of that is done."""
    low, high = _RANGES[stage]
    return low + (high - low) * min(1.0, max(0.0, fraction or 0.0))


class Pace:
    """How long recognition will go on, judged by how long it took so far. Times are the clock's seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stage: Stage | None = None
        self._fraction = 0.0
        self._began = self._at = clock()

    def update(self, stage: Stage, fraction: float | None) -> None:
        """Take note of the state now."""
        if stage != self._stage:
            self._stage, self._fraction, self._began = stage, 0.0, self._clock()
        if (fraction or 0.0) != self._fraction:
            self._fraction, self._at = fraction or 0.0, self._clock()

    def seconds_left(self) -> float | None:
        """None while nobody can tell, and where it is over any moment."""
        took = self._at - self._began
        if (
            self._stage is not Stage.RECOGNISING
            or self._fraction < _TELLING_FRACTION
            or took < _TELLING_SECONDS
        ):
            return None
        left = took * (1 - self._fraction) / self._fraction - (self._clock() - self._at)
        return left if left >= 1 else None
