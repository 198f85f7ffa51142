"""Which sound tracks of a file to listen to. Pure.

A player plays one track; a recording can have several that all belong to the conversation, such as the
system's sound and the microphone of a screen recording, or one track per participant. Choosing only the
player's track would lose people. So every track is heard, except those that repeat the same conversation for
another audience: translations, descriptions for the blind, commentary. The tracks then count as channels,
and `core.separation` decides from what they carry whether they are different people, copies, or parts of one
mix.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from core.separation import Samples
from core.spool import BLOCK, RATE

_LAG = 30 * RATE

MAX_SOURCES = 8
"""Channels or tracks looked at one by one. More are averaged (channels) or left out (tracks)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackFacts:
    """One sound track: its stream index, its language tag if it has one, whether the container calls it the
    default, and whether it is marked as being for another audience."""

    index: int
    language: str | None = None
    default: bool = False
    special: bool = False


def choose(tracks: Sequence[TrackFacts]) -> tuple[int, ...]:
    """Stream indices of the tracks to listen to, in the file's order."""
    ordinary = [track for track in tracks if not track.special] or list(tracks)
    languages = {
        track.language for track in ordinary if track.language not in (None, "", "und", "mul", "zxx")
    }
    if len(languages) > 1:
        ordinary = [next((track for track in ordinary if track.default), ordinary[0])]
    return tuple(track.index for track in ordinary[:MAX_SOURCES])


def is_surround(layout: str, channels: int) -> bool:
    """Whether a layout names loudspeaker positions beyond stereo: one mix for one listener.

    Multi-channel recorders with a microphone per person write layouts without positions (`4 channels`).
    """
    return channels > 2 and re.fullmatch(r"\d+ channels?", layout) is None


class Merge:
    """Lays tracks side by side that come interleaved, block by block. A track that stays behind the others
    by more than half a minute counts as silent meanwhile, so memory has a bound."""

    def __init__(self, indices: list[int]) -> None:
        self._waiting: dict[int, deque[Samples]] = {index: deque() for index in indices}
        self._length = dict.fromkeys(indices, 0)
        self._late = dict.fromkeys(indices, 0)

    def add(self, index: int, block: Samples) -> Iterator[Samples]:
        """Take a block of one track; give what is ready of all."""
        late = min(self._late[index], len(block))
        self._late[index] -= late
        self._waiting[index].append(block[late:])
        self._length[index] += len(block) - late
        ready = max(min(self._length.values()), max(self._length.values()) - _LAG)
        if ready >= BLOCK:
            yield self._take(ready)

    def finish(self) -> Iterator[Samples]:
        """The rest, shorter tracks filled up with silence."""
        if ready := max(self._length.values()):
            yield self._take(ready)

    def _take(self, count: int) -> Samples:
        columns = []
        for index, waiting in self._waiting.items():
            joined = np.concatenate([np.zeros((0, 1), np.float32), *waiting])
            taken, rest = joined[:count], joined[count:]
            waiting.clear()
            waiting.append(rest)
            self._length[index] = len(rest)
            self._late[index] += count - len(taken)
            columns.append(np.pad(taken, ((0, count - len(taken)), (0, 0))))
        return np.concatenate(columns, axis=1)
