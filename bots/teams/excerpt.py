"""What was said, as cards show it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from bots.teams import cards
from bots.teams.cards import Element, rich, run
from core.excerpt import Said, Turn, beginning, is_named, opening, paragraphs
from core.fitting import fit
from core.model import Transcript

_AROUND: Final = 12  # characters that a time and a new line take, as people see it
_COMMA: Final = 2


def conversation(transcript: Transcript, whole: int, *, room: int) -> tuple[list[Element], bool]:
    """All of it if it has at most `whole` characters and its elements weigh no more than `room`, else how it
    begins, within `room` too; and whether that is all. At least one word must be visible."""
    named = is_named(transcript)
    turns, complete = beginning(transcript, whole)
    if complete:
        found = [element for turn in turns for element in drawn(paragraphs(turn), named=named)]
        if cards.weight(found) <= room:
            return found, True
    first, most = opening(turns)
    shortened = (_shortened(turn, most) for turn in first)
    return _within(room, (element for turn in shortened for element in drawn(turn, named=named))), False


def _within(room: int, elements: Iterable[Element]) -> list[Element]:
    """Those that weigh no more than `room` together, but at least what is said first and who says it."""
    found: list[Element] = []
    for element in elements:
        room -= cards.weight(element) + _COMMA
        if room < 0 and len(found) > 1:
            break
        found.append(element)
    return found


def drawn(turn: Turn, *, named: bool, continued: bool = False) -> Iterator[Element]:
    """A turn: who speaks, then what is said, with the time of each paragraph. `named`: some speakers of the
    recording are known; `continued`: it began on an earlier page."""
    for place, said in enumerate(turn.said):
        far = "medium" if place == 0 else "small"
        if turn.name is None:
            yield rich(run(said.text, subtle=True, italic=True), spacing=far)
        elif place == 0 and named:
            when = f"  {said.stamp} (continued)" if continued else f"  {said.stamp}"
            yield rich(run(cards.speaker(turn.name), bold=True), run(when, subtle=True), spacing=far)
            yield rich(run(said.text), spacing="none")
        else:
            yield rich(run(f"{said.stamp}  ", subtle=True), run(said.text), spacing=far)


def _shortened(turn: Turn, most: int) -> Turn:
    """A turn of which at most `most` characters are said."""
    kept: list[Said] = []
    left = most
    for said in turn.said:
        if left <= 0:
            kept[-1] = _with_text(kept[-1], f"{kept[-1].text.removesuffix('…')}…")
            break
        kept.append(_with_text(said, fit(said.text, max(2, left))))
        left -= len(said.text) + _AROUND
    return Turn(name=turn.name, said=kept)


def _with_text(said: Said, text: str) -> Said:
    return Said(start=said.start, overlap=said.overlap, words=said.words, text=text)
