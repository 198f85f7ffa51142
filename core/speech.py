"""Speaker turns as sorted arrays that answer "who speaks near this time?" for many times at once.

Pure. Turns of one speaker that touch are joined, so that within a speaker nothing overlaps and every question
is a binary search, whatever the input: O((turns + questions) log turns).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.model import SpeakerTurn
from core.segmentation import FURTHEST

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

CROWD = 4
"""Of more speakers than this at one time, only those with the shortest turns are considered. It bounds the
work where thousands of turns overlap; more than four people at once is no conversation."""

NOBODY = -1


class Speech:
    """The turns of a recording. `speakers` are the labels in order of first appearance; all methods speak of
    them by index. Turns that are empty, backwards or not finite count for nothing."""

    def __init__(self, turns: Sequence[SpeakerTurn]) -> None:
        sound = sorted(
            (
                turn
                for turn in turns
                if abs(turn.start) <= FURTHEST and abs(turn.end) <= FURTHEST and turn.end > turn.start
            ),
            key=lambda turn: (turn.start, turn.end),
        )
        self.speakers: list[str] = list(dict.fromkeys(turn.speaker for turn in sound))
        index = {speaker: i for i, speaker in enumerate(self.speakers)}
        joined: list[list[list[float]]] = [[] for _ in self.speakers]
        for turn in sound:
            mine = joined[index[turn.speaker]]
            if mine and turn.start <= mine[-1][1]:
                mine[-1][1] = max(mine[-1][1], turn.end)
            else:
                mine.append([turn.start, turn.end])
        self._first: Ints = np.cumsum([0, *map(len, joined)], dtype=np.int64)
        flat = [span for mine in joined for span in mine]
        spans = np.array(flat, dtype=np.float64).reshape(-1, 2)
        self._start: Floats = spans[:, 0]
        self._end: Floats = spans[:, 1]
        self._who: Ints = np.repeat(np.arange(len(joined), dtype=np.int64), np.diff(self._first))
        self._length: Floats = self._end - self._start
        self._before: Floats = np.concatenate([[0.0], np.cumsum(self._length)])
        # Speakers are laid end to end on one axis, so that one binary search serves all of them.
        self._origin = float(self._start.min()) if flat else 0.0
        reach = float(self._end.max()) - self._origin if flat else 0.0
        self._stride = 2.0 ** np.ceil(np.log2(reach + 64.0))
        self._axis: Floats = self._who * self._stride + (self._start - self._origin)
        self._by_end: Ints = np.argsort(self._end, kind="stable")
        self._by_start: Ints = np.argsort(self._start, kind="stable")
        self._sorted_ends: Floats = self._end[self._by_end]
        self._sorted_starts: Floats = self._start[self._by_start]
        self._sweep()

    def _sweep(self) -> None:
        """Cut time where somebody begins or ends: who is active in each piece, at most `CROWD` of them."""
        cuts: Floats = np.unique(np.concatenate([self._start, self._end]))
        begins = np.searchsorted(cuts, self._start).tolist()
        ends = np.searchsorted(cuts, self._end).tolist()
        length, who = self._length.tolist(), self._who.tolist()
        starting: list[list[int]] = [[] for _ in range(len(cuts) + 1)]
        for i, piece in enumerate(begins):
            starting[piece].append(i)
        leaving = [0] * (len(cuts) + 1)
        for piece in ends:
            leaving[piece] += 1
        # Row p is the time between cuts p-1 and p, so that a searchsorted position is a row.
        active = np.full((len(cuts) + 1, CROWD), NOBODY, dtype=np.int64)
        count = np.zeros(len(cuts) + 1, dtype=np.int64)
        heap: list[tuple[float, int]] = []
        alive = 0
        for piece in range(len(cuts)):
            for i in starting[piece]:
                heapq.heappush(heap, (length[i], i))
            alive += len(starting[piece]) - leaving[piece]
            kept: list[tuple[float, int]] = []
            while heap and len(kept) < CROWD:
                top = heapq.heappop(heap)
                if ends[top[1]] > piece:
                    kept.append(top)
            for slot, top in enumerate(kept):
                heapq.heappush(heap, top)
                active[piece + 1, slot] = who[top[1]]
            count[piece + 1] = alive
        self._cuts = cuts
        self._active = active
        contested = (
            np.concatenate([[0.0], np.where(count[1:-1] > 1, np.diff(cuts), 0.0)]) if len(cuts) else None
        )
        self._contested: Floats = np.cumsum(contested) if contested is not None else np.zeros(0)
        self._stretch = self._stretches(active[:, 0].tolist(), count.tolist())

    @staticmethod
    def _stretches(lone: list[int], count: list[int]) -> tuple[Ints, Ints]:
        """Runs of pieces in which one speaker, and nobody else, is heard: run per piece, speaker per run."""
        # A silence belongs to the run around it if the same speaker alone is on both sides.
        owner = [who if n == 1 else NOBODY for who, n in zip(lone, count, strict=True)]
        quiet = [n == 0 for n in count]
        before, after = NOBODY, NOBODY
        left, right = list(owner), list(owner)
        for i in range(len(owner)):
            if quiet[i]:
                left[i] = before
            else:
                before = owner[i]
        for i in range(len(owner) - 1, -1, -1):
            if quiet[i]:
                right[i] = after
            else:
                after = owner[i]
        last = len(owner) - 1
        for i in range(len(owner)):
            if quiet[i]:
                outer = i in (0, last)
                owner[i] = (
                    (left[i] if i else right[i]) if outer else (left[i] if left[i] == right[i] else NOBODY)
                )
        runs = [0] * len(owner)
        for i, (a, b) in enumerate(pairwise(owner), start=1):
            runs[i] = runs[i - 1] + (a != b or b == NOBODY)
        of_run = np.full(runs[-1] + 1, NOBODY, dtype=np.int64)
        of_run[runs] = owner
        return np.array(runs, dtype=np.int64), of_run

    def alone(self, since: Floats, until: Floats) -> Ints:
        """Who is the only speaker heard between the times, or next to them if nobody is; else `NOBODY`."""
        runs, owner = self._stretch
        first = runs[np.searchsorted(self._cuts, since, side="right")]
        last = runs[np.searchsorted(self._cuts, until, side="right")]
        return np.where(first == last, owner[first], NOBODY)

    def active(self, times: Floats) -> Ints:
        """Up to `CROWD` speakers active at each time, shortest turn first, padded with `NOBODY`."""
        return self._active[np.searchsorted(self._cuts, times, side="right")]

    def neighbours(self, times: Floats) -> Ints:
        """Whose turn ended last before each time, and whose begins next: two columns."""
        ended = np.searchsorted(self._sorted_ends, times, side="right") - 1
        begins = np.searchsorted(self._sorted_starts, times, side="left")
        size = len(self._who)
        who_ended = np.where(ended >= 0, self._who[self._by_end[np.maximum(ended, 0)]], NOBODY)
        who_begins = np.where(begins < size, self._who[self._by_start[np.minimum(begins, size - 1)]], NOBODY)
        return np.stack([who_ended, who_begins], axis=1)

    def _locate(self, who: Ints, times: Floats) -> tuple[Ints, Flags, Flags]:
        """The last turn of `who` that starts by each time; whether there is one; whether there is a next."""
        offset = np.clip(times - self._origin, -1.0, self._stride - 32.0)
        at = np.searchsorted(self._axis, who * self._stride + offset, side="right") - 1
        return at, at >= self._first[who], at + 1 < self._first[who + 1]

    def distance(self, who: Ints, times: Floats) -> Floats:
        """Seconds from each time to the nearest turn of `who`; zero within one."""
        at, has, more = self._locate(who, times)
        back = np.where(has, np.maximum(times - self._end[np.maximum(at, 0)], 0.0), np.inf)
        ahead = np.where(more, self._start[np.minimum(at + 1, len(self._start) - 1)] - times, np.inf)
        return np.minimum(back, np.maximum(ahead, 0.0))

    def covered(self, who: Ints, since: Floats, until: Floats) -> Floats:
        """Seconds of `who`'s speech between the times."""
        return self._spoken(who, until) - self._spoken(who, since)

    def _spoken(self, who: Ints, times: Floats) -> Floats:
        at, has, _ = self._locate(who, times)
        safe = np.maximum(at, 0)
        inside = np.clip(times - self._start[safe], 0.0, self._length[safe])
        return np.where(has, self._before[safe] + inside, self._before[self._first[who]])

    def edge(self, who: Ints, times: Floats, *, starts: bool) -> Floats:
        """Seconds from each time to the nearest start (or end) of a turn of `who`."""
        at, has, more = self._locate(who, times)
        edges = self._start if starts else self._end
        size = len(edges) - 1
        best = np.where(has, np.abs(times - edges[np.clip(at, 0, size)]), np.inf)
        best = np.minimum(best, np.where(more, np.abs(edges[np.clip(at + 1, 0, size)] - times), np.inf))
        earlier = has & (at - 1 >= self._first[who])
        return np.minimum(best, np.where(earlier, np.abs(times - edges[np.clip(at - 1, 0, size)]), np.inf))

    def offsets(self, times: Floats, *, starts: bool, within: float) -> Floats:
        """Seconds from the nearest start (or end) of anybody's turn to each time, where `within` reach."""
        edges = self._sorted_starts if starts else self._sorted_ends
        after = np.searchsorted(edges, times)
        behind = times - edges[np.maximum(after - 1, 0)]
        ahead = times - edges[np.minimum(after, len(edges) - 1)]
        nearest = np.where(np.abs(behind) <= np.abs(ahead), behind, ahead)
        return nearest[np.abs(nearest) <= within]

    def turn_length(self, who: Ints, times: Floats) -> Floats:
        """Length of `who`'s turn that each time lies in or follows; infinite if there is none."""
        at, has, _ = self._locate(who, times)
        return np.where(has, self._length[np.maximum(at, 0)], np.inf)

    def contested(self, since: Floats, until: Floats) -> Floats:
        """Seconds between the times in which two speakers or more are active."""
        if not len(self._cuts):
            return np.zeros(len(since))
        return np.interp(until, self._cuts, self._contested) - np.interp(since, self._cuts, self._contested)
