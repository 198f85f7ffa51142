"""Utterances cut into subtitle cues: at most two lines, shown long enough to read, ended where speech pauses.

The cuts minimise a sum of penalties over all ways to cut (dynamic programming, linear in the words because a
cue holds few). Sizes follow common practice in subtitling: 42 columns, two lines, 1 to 7 s, 20 columns a
second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from core.model import Transcript
from core.render.layout import in_order
from core.render.safe import shown, shown_names
from core.render.words import Piece, cells, ends_clause, ends_sentence, join_pieces, pieces, wrap

LINE: Final = 42
_NAME: Final = 24
_LONGEST: Final = 7000
_SHORTEST: Final = 1000
_TANGLED: Final = 300  # what is left to a cue that another one overlaps, milliseconds
_PAUSE: Final = 1500  # no cue spans a silence as long as this
_READING: Final = 20  # columns per second
_LINGER: Final = 400
_GAP: Final = 40  # one frame between cues, so that a viewer notices the change


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """What one speaker says in a cue. `speaker` is as shown to people."""

    speaker: str
    pieces: tuple[Piece, ...]

    def lines(self, *, named: bool) -> list[str]:
        """The text on one line or two, seldom three where `named` puts the name before it."""
        if not named:
            return _lines(self.pieces)
        label = f"{shorten(self.speaker)}:"
        first = Piece(text=label, cells=cells(label), spaced=False, start=0, end=0)
        return _lines([first, replace(self.pieces[0], spaced=True), *self.pieces[1:]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """What is on the screen from `start` to `end`, in milliseconds."""

    start: int
    end: int
    voices: tuple[Voice, ...]


def cut(transcript: Transcript) -> list[Cue]:
    """The cues by start time, each with one voice; only those of different speakers overlap."""
    spoken: dict[str, list[Cue]] = {}
    names = shown_names(transcript.names, transcript.suggestions)
    for utterance in in_order(transcript.utterances):
        name = shown(utterance.speaker, names)
        parts = pieces(utterance.words, limit=LINE)
        for group in _groups(parts, reserved=cells(shorten(name)) + 2):
            cue = Cue(
                start=group[0].start,
                end=min(max(part.end for part in group), group[0].start + _LONGEST),
                voices=(Voice(speaker=name, pieces=tuple(group)),),
            )
            spoken.setdefault(name, []).append(cue)
    found = [cue for cues in spoken.values() for cue in _untangled(cues)]
    return list(_lengthened(sorted(found, key=lambda cue: cue.start)))


def flatten(cues: Iterable[Cue]) -> list[Cue]:
    """The cues without any overlap, for formats whose players show one at a time.

    An interjection within somebody else's cue joins it; otherwise the earlier cue ends, once it could be
    read, where the later begins. Each text stays on the screen once.
    """
    flat: list[Cue] = []
    for cue in cues:
        before = flat[-1] if flat else None
        if before is not None and cue.start < before.end:
            if cue.end <= before.end + _TANGLED and len(before.voices) < 3:
                flat[-1] = replace(before, end=max(before.end, cue.end), voices=before.voices + cue.voices)
                continue
            change = max(cue.start, min(before.end, before.start + _needed(before), cue.end - _SHORTEST))
            flat[-1] = replace(before, end=change)
            cue = replace(cue, start=change)  # noqa: PLW2901
        flat.append(cue)
    return _untangled(flat)


def shorten(name: str) -> str:
    """A name that leaves room for text beside it."""
    if cells(name) <= _NAME:
        return name
    kept = ""
    for character in name:
        if cells(kept + character) >= _NAME:
            break
        kept += character
    return kept.rstrip() + "…"


def _groups(parts: Sequence[Piece], *, reserved: int) -> Iterator[Sequence[Piece]]:
    """The pieces of one utterance as cues. The first line leaves `reserved` columns for the name."""
    begin = 0
    for index in range(1, len(parts) + 1):
        if index == len(parts) or parts[index].start - parts[index - 1].end >= _PAUSE:
            run = parts[begin:index]
            edges = _best_edges(run, reserved=reserved if begin == 0 else 0)
            yield from (run[start:end] for start, end in pairwise(edges))
            begin = index


def _best_edges(run: Sequence[Piece], *, reserved: int) -> list[int]:
    """The cheapest way to cut `run`: indices from 0 to its length."""
    size = len(run)
    widths = [0]
    for part in run:
        widths.append(widths[-1] + part.cells + part.spaced)
    ends = [_end_penalty(run, index) for index in range(size + 1)]
    line = _reach(run, LINE)
    first = _reach(run[:LINE], max(LINE - reserved, run[0].cells))[0]
    cost = [0.0] + [float("inf")] * size
    previous = [0] * (size + 1)
    for start in range(size):
        half = line[start] if start else first
        begun, base, offset = run[start].start, cost[start] + 1.0, widths[start]
        for end in range(start + 1, (line[half] if half < size else half) + 1):
            spoken = run[end - 1].end - begun
            if spoken > _LONGEST and end > start + 1:
                break
            on_screen = run[end].start - begun if end < size else spoken + _LINGER
            total = base + ends[end] + _haste(on_screen, widths[end] - offset)
            if total < cost[end]:
                cost[end], previous[end] = total, start
    edges = [size]
    while edges[-1]:
        edges.append(previous[edges[-1]])
    return edges[::-1]


def _haste(on_screen: int, columns: int) -> float:
    """What it costs that a cue is on the screen for that many milliseconds only."""
    if on_screen >= _SHORTEST and columns * 1000 <= on_screen * _READING:
        return 0.0
    flash = max(0.0, 2 - 2 * on_screen / _SHORTEST)
    return flash + min(3.0, max(0.0, columns * 1000 / max(on_screen, 300) - _READING) / 10)


def _end_penalty(run: Sequence[Piece], end: int) -> float:
    if end in (0, len(run)):
        return 0.0
    text = run[end - 1].text
    pause = run[end].start - run[end - 1].end
    if ends_sentence(text):
        return 0.0
    return (0.35 if ends_clause(text) else 1.0) - min(0.3, max(0, pause) / 1500)


def _reach(run: Sequence[Piece], width: int) -> list[int]:
    """For each piece, the index behind the last one that fits on a line of `width` beginning with it."""
    found, end, used = [], 0, 0
    for start, part in enumerate(run):
        if end <= start:
            end, used = start + 1, part.cells
        while end < len(run) and used + run[end].spaced + run[end].cells <= width:
            used += run[end].spaced + run[end].cells
            end += 1
        found.append(end)
        used -= part.cells + (run[start + 1].spaced if start + 1 < end else 0)
    return found


def _lines(group: Sequence[Piece]) -> list[str]:
    """One line, or two of similar length that end where speech does."""
    total = sum(part.cells + part.spaced for part in group) - group[0].spaced
    if total <= LINE:
        return [join_pieces(group)]
    best, cut_at, upper = float("inf"), 0, group[0].cells
    for index in range(1, len(group)):
        widest = max(upper, total - upper - group[index].spaced)
        if widest <= LINE:
            before = group[index - 1].text
            bonus = 10 if ends_sentence(before) else 6 if ends_clause(before) else 0
            if widest - bonus < best:
                best, cut_at = widest - bonus, index
        upper += group[index].cells + group[index].spaced
    return [join_pieces(group[:cut_at]), join_pieces(group[cut_at:])] if cut_at else wrap(group, LINE)


def _needed(cue: Cue) -> int:
    """How long it takes to read, milliseconds."""
    columns = sum(part.cells + part.spaced for voice in cue.voices for part in voice.pieces)
    return min(_LONGEST, max(_SHORTEST, columns * 1000 // _READING))


def _lengthened(cues: Sequence[Cue]) -> Iterator[Cue]:
    """Cues stay on the screen until they could be read, if the next one leaves them the time."""
    for index, cue in enumerate(cues):
        wanted = min(max(cue.end + _LINGER, cue.start + _needed(cue)), cue.start + _LONGEST)
        if index + 1 < len(cues):
            wanted = min(wanted, cues[index + 1].start - _GAP)
        yield replace(cue, end=max(cue.end, wanted))


def _untangled(cues: Iterable[Cue]) -> list[Cue]:
    """The cues, in order, without overlap and none too short to be noticed."""
    apart: list[Cue] = []
    for cue in cues:
        start = cue.start
        if apart and start < apart[-1].end:
            start = min(max(start, apart[-1].start + _TANGLED), apart[-1].end)
            apart[-1] = replace(apart[-1], end=start)
        apart.append(replace(cue, start=start, end=max(cue.end, start + _TANGLED)))
    return apart
