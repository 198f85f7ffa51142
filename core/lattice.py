"""The lattice behind `core.attribution`: what each speaker costs for each word, and the cheapest path. Pure.

Evidence is computed for all words at once with numpy; only words with more than one possible speaker enter
the path search.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.model import Word
from core.segmentation import BLUR, ends_clause, is_punctuated, sentence_ends, spoken_ends, voices
from core.speech import NOBODY, Flags, Floats, Ints, Speech

CANDIDATES = 4
"""Speakers considered for one word."""

REACH = 5.0
"""Seconds. A phrase (words without a pause of `PHRASE_PAUSE`) with no turn within reach of any of its words
has an unknown speaker, unless the recording has one speaker only."""

PHRASE_PAUSE = 1.0
"""Seconds of silence across which a speaker is not inferred from the words on the other side."""

_LAG_SILENCE = 0.25
_LAG_MOST = 0.6
_LAG_EVIDENCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Costs of the lattice, unit-free; times in seconds."""

    window: float = 1.0
    vicinity: float = 0.5
    uncovered: float = 4.5
    distance: float = 1.6
    distance_cap: float = 1.687
    onset: float = 0.654
    brief: float = 6.0
    brief_length: float = 0.513
    switch: float = 1.227
    pause: float = 0.483
    pause_length: float = 0.372
    sentence: float = 1.353
    clause: float = 0.151
    run_on: float = 1.319
    edge: float = 0.934
    edge_cap: float = 0.6
    across: float = -0.4
    collision: float = 10.0


WEIGHTS = Weights()


def labels(words: Sequence[Word], speech: Speech, weights: Weights = WEIGHTS) -> list[int]:
    """The index of each word's speaker in `speech.speakers`, or `NOBODY`."""
    if not words or not speech.speakers:
        return [NOBODY] * len(words)
    if len(speech.speakers) == 1:
        return [0] * len(words)
    ends = spoken_ends(words)
    order = voices(words, ends)
    timeline = _Timeline.of([words[i] for i in order], [ends[i] for i in order])
    timeline = timeline.shifted(-_lag(timeline, speech))
    found = speech.alone(timeline.start - weights.window, timeline.end + weights.window)
    open_ = found == NOBODY
    near = np.zeros(len(words))
    if open_.any():
        who, cost, distance = _candidates(timeline, np.flatnonzero(open_), speech, weights)
        near[open_] = distance
        found[open_] = _decode(timeline, found, (who, cost), speech, weights)
    near[~open_] = speech.distance(found[~open_], timeline.middle[~open_])
    phrases = np.flatnonzero(np.concatenate([[True], timeline.gap[1:] >= PHRASE_PAUSE]))
    lost = np.minimum.reduceat(near, phrases) > REACH
    found[np.repeat(lost, np.diff(np.append(phrases, len(words))))] = NOBODY
    in_text_order = np.empty_like(found)
    in_text_order[order] = found
    result: list[int] = in_text_order.tolist()
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timeline:
    """The words as arrays: when each is spoken, and what separates it from the one before."""

    start: Floats
    end: Floats
    middle: Floats
    gap: Floats  # seconds of silence before the word; negative where words overlap
    final: Flags  # the word before ends a sentence
    weak: Flags  # the word before ends a clause
    punctuated: bool

    @classmethod
    def of(cls, words: Sequence[Word], ends: Sequence[float]) -> _Timeline:
        start = np.array([word.start for word in words], dtype=np.float64)
        end = np.array(ends, dtype=np.float64)
        finals = sentence_ends(words)
        weak = {text for text in {word.text for word in words} if ends_clause(text)}
        return cls(
            start=start,
            end=end,
            middle=start + (end - start) / 2,
            gap=np.concatenate([[np.inf], start[1:] - end[:-1]]),
            final=np.array([False, *finals[:-1]]),
            weak=np.array([False, *(word.text in weak for word in words[:-1])]),
            punctuated=is_punctuated(finals),
        )

    def shifted(self, seconds: float) -> _Timeline:
        """The same words, so many seconds later."""
        if not seconds:
            return self
        return replace(self, start=self.start + seconds, end=self.end + seconds, middle=self.middle + seconds)


def _lag(timeline: _Timeline, speech: Speech) -> float:
    """By how many seconds the words' clock runs behind that of the turns, as far as the recording proves it.

    Recogniser and diarizer each have a bias of their own. It shows where a phrase follows or precedes
    silence: there a turn should begin or end. The median distance is taken over the starts and over the ends,
    and the two are averaged, so that turns with generous margins on both sides show no lag.
    """
    opens = timeline.start[timeline.gap >= _LAG_SILENCE]
    closes = timeline.end[np.append(timeline.gap[1:] >= _LAG_SILENCE, True)]
    behind = [
        speech.offsets(times, starts=starts, within=_LAG_MOST)
        for times, starts in ((opens, True), (closes, False))
    ]
    evidence = min(map(len, behind))
    if evidence < _LAG_EVIDENCE:
        return 0.0
    lag = float(np.median(behind[0]) + np.median(behind[1])) / 2
    spread = max(float(np.median(np.abs(offsets - np.median(offsets)))) for offsets in behind)
    doubt = 1.5 * spread / np.sqrt(2 * evidence)
    return lag if abs(lag) > max(2 * doubt, 0.03) else 0.0


def _candidates(
    timeline: _Timeline, at: Ints, speech: Speech, weights: Weights
) -> tuple[Ints, Floats, Floats]:
    """For the words `at`: up to `CANDIDATES` speakers each, what each costs, and how far the nearest is."""
    start, end, middle = timeline.start[at], timeline.end[at], timeline.middle[at]
    times = (middle, start, end, start - weights.vicinity, end + weights.vicinity)
    probes = [speech.active(each) for each in times]
    who = np.sort(np.concatenate([*probes, speech.neighbours(middle)], axis=1), axis=1)
    who[:, 1:][who[:, 1:] == who[:, :-1]] = NOBODY
    row, column = np.nonzero(who != NOBODY)
    speaker = who[row, column]
    early = _share(speech, speaker, start[row], middle[row])
    late = _share(speech, speaker, middle[row], end[row])
    covered = weights.onset * early + (1 - weights.onset) * late
    distance = speech.distance(speaker, middle[row])
    share = np.zeros(who.shape)
    share[row, column] = covered
    # How much of the word somebody else covers too: the best of the others' shares.
    top = np.sort(share, axis=1)[:, -2:]
    rival = np.where(covered >= top[row, 1], top[row, 0], top[row, 1])
    turn = speech.turn_length(speaker, middle[row])
    # A brief turn under a longer one wants words of its own; each takes its part of the turn's whole claim.
    claim = np.exp(-turn / weights.brief_length) * np.minimum(
        (end - start)[row] / np.maximum(turn, 1e-6), 1.0
    )
    price = (
        weights.uncovered * (1 - covered)
        + weights.distance * np.minimum(distance, weights.distance_cap)
        - weights.brief * claim * covered * rival
    )
    cost = np.full(who.shape, np.inf)
    cost[row, column] = price
    far = np.full(who.shape, np.inf)
    far[row, column] = distance
    best = np.argsort(cost, axis=1, kind="stable")[:, :CANDIDATES]
    return np.take_along_axis(who, best, 1), np.take_along_axis(cost, best, 1), far.min(axis=1)


def _share(speech: Speech, who: Ints, since: Floats, until: Floats) -> Floats:
    """Which part of the time `who` speaks, 0..1; of no time at all: whether `who` speaks at that instant."""
    length = until - since
    spoken = speech.covered(who, since, until)
    instant = (speech.distance(who, since) == 0.0).astype(np.float64)
    return np.where(length > 1e-6, np.clip(spoken / np.maximum(length, 1e-6), 0.0, 1.0), instant)


def _decode(
    timeline: _Timeline, sole: Ints, open_choices: tuple[Ints, Floats], speech: Speech, weights: Weights
) -> Ints:
    """The cheapest path through the open words; a word with a sole speaker on either side anchors it."""
    open_ = sole == NOBODY
    size = len(open_)
    anchors = ~open_ & (np.append(open_[1:], False) | np.insert(open_[:-1], 0, False))
    at = np.flatnonzero(open_ | anchors)
    choices = np.full((size, CANDIDATES), NOBODY, dtype=np.int64)
    prices = np.full((size, CANDIDATES), np.inf)
    choices[open_], prices[open_] = open_choices
    choices[anchors, 0], prices[anchors, 0] = sole[anchors], 0.0
    leave, enter = _edges(timeline, at, choices[at], speech, weights)
    change, keep = _changes(timeline, at, weights)
    lattice = _Lattice(
        at=at.tolist(),
        who=choices[at].tolist(),
        cost=prices[at].tolist(),
        leave=leave.tolist(),
        enter=enter.tolist(),
        change=change.tolist(),
        keep=keep.tolist(),
    )
    found = sole.copy()
    found[at] = list(lattice.cheapest())
    decoded: Ints = found[open_]
    return decoded


def _edges(
    timeline: _Timeline, at: Ints, who: Ints, speech: Speech, weights: Weights
) -> tuple[Floats, Floats]:
    """What it costs that each candidate stops after, or starts with, each word: how far the nearest edge of
    its turns is. Cheap too where its turn goes on across the change: then it is talked over, or talks on."""
    row, column = np.nonzero(who != NOBODY)
    speaker, word = who[row, column], at[row]
    last = len(timeline.start) - 1
    stop = speech.edge(speaker, timeline.end[word], starts=False)
    begin = speech.edge(speaker, timeline.start[word], starts=True)
    scale = weights.edge / weights.edge_cap
    stop = np.minimum(stop, weights.edge_cap) * scale
    begin = np.minimum(begin, weights.edge_cap) * scale
    goes_on = speech.distance(speaker, timeline.middle[np.minimum(word + 1, last)]) == 0.0
    went_on = speech.distance(speaker, timeline.middle[np.maximum(word - 1, 0)]) == 0.0
    leave, enter = np.zeros(who.shape), np.zeros(who.shape)
    leave[row, column] = np.where(goes_on, np.minimum(stop, weights.across), stop)
    enter[row, column] = np.where(went_on, np.minimum(begin, weights.across), begin)
    return leave, enter


def _changes(timeline: _Timeline, at: Ints, weights: Weights) -> tuple[Floats, Floats]:
    """What it costs to change the speaker before each word, and to keep the speaker."""
    gap, final, weak = timeline.gap[at], timeline.final[at], timeline.weak[at]
    change = weights.switch - weights.pause * (1 - np.exp(-np.maximum(gap, 0.0) / weights.pause_length))
    change = change - weights.sentence * final - weights.clause * weak
    if timeline.punctuated:
        change = change + weights.run_on * ~(final | weak)
    shorter = np.minimum(timeline.end[at] - timeline.start[at], (timeline.end - timeline.start)[at - 1])
    collided = np.clip(-gap / np.maximum(0.4 * shorter, BLUR), 0.0, 1.0)
    # Where words lie across each other there are two voices: then a change needs no pause.
    return np.maximum(change, 0.0) * (1 - collided), weights.collision * collided


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lattice:
    """Word positions with, per candidate, its label and costs; per word, the costs of changing and keeping.
    Positions that do not follow one another are separate lattices."""

    at: list[int]
    who: list[list[int]]
    cost: list[list[float]]
    leave: list[list[float]]
    enter: list[list[float]]
    change: list[float]
    keep: list[float]

    def cheapest(self) -> Iterator[int]:
        """The label of each position on the cheapest path."""
        first = 0
        for i in range(1, len(self.at) + 1):
            if i == len(self.at) or self.at[i] != self.at[i - 1] + 1:
                yield from self._path(first, i)
                first = i

    def _path(self, first: int, stop: int) -> list[int]:
        total = [price for who, price in zip(self.who[first], self.cost[first], strict=True) if who != NOBODY]
        back: list[list[int]] = []
        for i in range(first + 1, stop):
            total, pointers = self._step(i, total)
            back.append(pointers)
        slot = total.index(min(total))
        path = [self.who[stop - 1][slot]]
        for i, pointers in zip(range(stop - 2, first - 1, -1), reversed(back), strict=True):
            slot = pointers[slot]
            path.append(self.who[i][slot])
        path.reverse()
        return path

    def _step(self, i: int, total: list[float]) -> tuple[list[float], list[int]]:
        change, keep = self.change[i], self.keep[i]
        came_from = self.who[i - 1]
        # The best and second best to come from, since nobody "changes" to oneself.
        best = second = -1
        best_price = second_price = float("inf")
        for slot, (price, extra) in enumerate(zip(total, self.leave[i - 1], strict=False)):
            out = price + extra
            if out < best_price:
                second, second_price = best, best_price
                best, best_price = slot, out
            elif out < second_price:
                second, second_price = slot, out
        reached: list[float] = []
        pointers: list[int] = []
        for label, cost, enter in zip(self.who[i], self.cost[i], self.enter[i], strict=True):
            if label == NOBODY:
                break
            if label not in came_from:
                source, price = best, best_price + change + enter
            else:
                slot = came_from.index(label)
                source, price = (second, second_price) if slot == best else (best, best_price)
                price += change + enter
                kept = total[slot] + keep
                if kept <= price:
                    source, price = slot, kept
            reached.append(price + cost)
            pointers.append(source)
        return reached, pointers
