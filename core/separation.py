"""Do the channels of a recording carry different people? Decided from statistics of constant size.

Pure: `Statistics` is fed blocks of samples, `decide` looks at what they add up to. The questions are asked of
levels in frames of 32 ms, because levels survive what waveforms do not: delay between microphones, lossy
coding and echo.

A channel is *active* in a frame that stands clear of its own background and is not far below its own loud
frames, so steady hiss is never activity. Levels of two channels are compared relative to how loud each of
them gets, so a quiet caller counts as much as a loud agent. Channel i *dominates* j where i is active and
relatively 12 dB above j. One sound in two channels, be it a stereo microphone, a pair of microphones or
crosstalk, keeps their relative levels together: they dominate one another in 1-2 % of active frames. Two
people on lines of their own do so in nearly all frames while they take turns, and in about 40 % while they
talk at once (the level of speech varies by some 10 dB from frame to frame). The border is drawn at 25 %. Both
must dominate, and their waveforms must not be one another's copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

FRAME = 512
"""Samples per frame, at 16 kHz."""

SILENCE_DBFS = -66.0
"""A source whose loudest frames stay below this is silent: real speech, however faint, is above -60 dBFS."""

_STEP = 2.0
_LOWEST = -100.0
_BINS = 51
_ACTIVE_ABOVE_FLOOR = 9.0
_ACTIVE_BELOW_LOUD = 30.0
_FLOOR_SHARE = 0.15
_DOMINANCE = 12.0
_APART_SHARE = 0.25
_LESSER_SHARE = 0.005
_LESSER_FRAMES = 8
_SAME_WAVE = 0.5
_INVERTED = -0.6
_SAME_SOUND = 6.0
_SAME_SOUND_SHARE = 0.8
_NEGLIGIBLE = 40.0
_HISS_NEGLIGIBLE = 10.0
_BOOST_PEAK = 0.7

_LEVELS = _LOWEST + _STEP * np.arange(_BINS)

Samples = npt.NDArray[np.float32]
"""Rows are samples at 16 kHz, columns are sources; -1..1."""


class Statistics:
    """What `decide` needs to know about a recording with `sources` channels, in constant memory."""

    def __init__(self, sources: int) -> None:
        self.sources = sources
        self.pairs = tuple(combinations(range(sources), 2))
        self.levels = np.zeros((sources, _BINS), np.int64)
        self.joint = np.zeros((len(self.pairs), _BINS, _BINS), np.int64)
        self.products = np.zeros((sources, sources))
        self.mean_peak = 0.0
        self._rest: Samples = np.zeros((0, sources), np.float32)

    def add(self, block: Samples) -> None:
        """Take the next samples, however many. What is left over at the end makes no frame and is ignored."""
        if not len(block):
            return
        mean = block @ np.full(self.sources, 1 / self.sources, np.float32)
        self.mean_peak = max(self.mean_peak, float(np.abs(mean).max()))
        block = np.concatenate((self._rest, block)) if len(self._rest) else block
        count = len(block) // FRAME
        self._rest = block[count * FRAME :].copy()
        if not count:
            return
        columns = np.ascontiguousarray(block[: count * FRAME].T)
        self.products += columns @ columns.T
        frames = columns.reshape(self.sources, count, FRAME)
        # The variance, not the power: a constant offset of cheap sound cards is not sound.
        power = np.einsum("scf,scf->sc", frames, frames) / FRAME - frames.mean(axis=2) ** 2
        decibels = 10 * np.log10(np.maximum(power, 0.0) + 1e-12)
        index = np.clip(np.rint((decibels - _LOWEST) / _STEP), 0, _BINS - 1).astype(np.intp)
        for source in range(self.sources):
            self.levels[source] += np.bincount(index[source], minlength=_BINS)
        for pair, (first, second) in enumerate(self.pairs):
            flat = np.bincount(index[first] * _BINS + index[second], minlength=_BINS * _BINS)
            self.joint[pair] += flat.reshape(_BINS, _BINS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do with the sources of a recording.

    `silent`: there is nothing to hear in any of them. `apart`: the sources that carry different people, in
    order; empty if they belong together. `weights`: how much of each source goes into the mono mix.
    """

    silent: bool
    apart: tuple[int, ...]
    weights: tuple[float, ...]


def decide(statistics: Statistics, *, downmixed: int = 1, alternatives: bool = False) -> Decision:
    """Judge the whole recording.

    `downmixed` is how many channels each source is already the mean of, for making up what that cost in
    level. `alternatives` says that the sources are tracks of one file, which can hold the same sound in two
    codings: of those the first is taken, since a sum of two slightly shifted copies sounds hollow.
    """
    count = statistics.sources
    loud = [_loud(histogram) for histogram in statistics.levels]
    live = [source for source in range(count) if loud[source] >= SILENCE_DBFS]
    if not live:
        return Decision(silent=True, apart=(), weights=(1.0 / count,) * count)
    apart = _apart(statistics, live, loud)
    if not apart:
        live = [source for source in live if loud[source] >= max(loud) - _worthless(statistics, source, loud)]
        live = _without_copies(statistics, live, loud) if alternatives else live
        live = _without_inverted(statistics, live)
    weight = 1.0 / len(live)
    # The mean of many mostly quiet channels is faint: raise it again, as far as its peak allows.
    peak = statistics.mean_peak * count / len(live)
    most = max(1.0, len(live) * downmixed / 2)
    weight *= min(most, max(1.0, _BOOST_PEAK / peak)) if peak else 1.0
    return Decision(
        silent=False,
        apart=apart,
        weights=tuple(weight if source in live else 0.0 for source in range(count)),
    )


def _worthless(statistics: Statistics, source: int, loud: list[float]) -> float:
    """How far below the loudest source this one adds only noise: less far for steady hiss."""
    levels = statistics.levels[source]
    hiss = int(levels[_active(levels, loud[source])].sum()) < _LESSER_FRAMES
    return _HISS_NEGLIGIBLE if hiss else _NEGLIGIBLE


def _loud(histogram: npt.NDArray[np.int64]) -> float:
    """The level that the loudest 0.2 % of frames reach, and at least three frames: a click is not it."""
    frames = int(histogram.sum())
    needed = max(min(3, frames), int(0.002 * frames))
    from_top = np.cumsum(histogram[::-1])
    return float(_LEVELS[::-1][int(np.argmax(from_top >= needed))]) if needed else _LOWEST


def _active(histogram: npt.NDArray[np.int64], loud: float) -> npt.NDArray[np.bool_]:
    """Which level bins count as activity of this source."""
    reached = np.cumsum(histogram) >= _FLOOR_SHARE * histogram.sum()
    floor = float(_LEVELS[int(np.argmax(reached))])
    threshold = max(floor + _ACTIVE_ABOVE_FLOOR, loud - _ACTIVE_BELOW_LOUD, SILENCE_DBFS)
    return np.asarray(threshold <= _LEVELS)


def _apart(statistics: Statistics, live: list[int], loud: list[float]) -> tuple[int, ...]:
    """The sources that carry different people: all that are active, if every two are independent."""
    active = {source: _active(statistics.levels[source], loud[source]) for source in live}
    speaking = [
        source for source in live if statistics.levels[source][active[source]].sum() >= _LESSER_FRAMES
    ]
    if len(speaking) < 2:
        return ()
    for first, second in combinations(speaking, 2):
        joint = statistics.joint[statistics.pairs.index((first, second))]
        either = active[first][:, None] | active[second][None, :]
        total = int(joint[either].sum())
        least = max(_LESSER_FRAMES, _LESSER_SHARE * total)
        for lead in (_lead(0.0, 0.0), _lead(loud[first], loud[second])):
            leads = int(joint[active[first][:, None] & (lead >= _DOMINANCE)].sum())
            trails = int(joint[active[second][None, :] & (lead <= -_DOMINANCE)].sum())
            if leads + trails >= _APART_SHARE * total and min(leads, trails) >= least:
                break
        else:
            return ()
        if abs(_correlation(statistics, first, second)) >= _SAME_WAVE:
            return ()
    return tuple(speaking)


def _lead(first_loud: float, second_loud: float) -> npt.NDArray[np.float64]:
    """By how many decibels the first is relatively louder, for every pair of level bins."""
    return np.asarray((_LEVELS[:, None] - first_loud) - (_LEVELS[None, :] - second_loud))


def _correlation(statistics: Statistics, first: int, second: int) -> float:
    products = statistics.products
    scale = float(np.sqrt(products[first, first] * products[second, second]))
    return float(products[first, second]) / scale if scale else 0.0


def _without_inverted(statistics: Statistics, live: list[int]) -> list[int]:
    """Leave out what would cancel the strongest source: a copy of it with its polarity turned."""
    strongest = max(live, key=lambda source: float(statistics.products[source, source]))
    return [
        source
        for source in live
        if source == strongest or _correlation(statistics, strongest, source) > _INVERTED
    ]


def _without_copies(statistics: Statistics, live: list[int], loud: list[float]) -> list[int]:
    """Leave out tracks whose level goes up and down with that of an earlier one throughout."""
    kept: list[int] = []
    for source in live:
        if not any(_same_sound(statistics, earlier, source, loud) for earlier in kept):
            kept.append(source)
    return kept


def _same_sound(statistics: Statistics, first: int, second: int, loud: list[float]) -> bool:
    joint = statistics.joint[statistics.pairs.index((first, second))]
    active = (
        _active(statistics.levels[first], loud[first])[:, None]
        | _active(statistics.levels[second], loud[second])[None, :]
    )
    together = active & (np.abs(_lead(loud[first], loud[second])) <= _SAME_SOUND)
    total = int(joint[active].sum())
    return total > 0 and int(joint[together].sum()) >= _SAME_SOUND_SHARE * total
