"""What was said, as cards show it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bots.teams import cards
from bots.teams.cards import Element, rich, run
from core.excerpt import Said, Turn, beginning, is_named, opening, paragraphs
from core.fitting import fit
from core.model import Transcript


def conversation(transcript: Transcript, whole: int, *, room: int) -> tuple[list[Element], bool]:
    """All of it if it has at most `whole` characters and its elements weigh no more than `room`, else how it
    begins; and whether that is all. At least one word must be visible."""
    named = is_named(transcript)
    turns, complete = beginning(transcript, whole)
    if complete:
        found = [element for turn in turns for element in drawn(paragraphs(turn), named=named)]
        if cards.weight(found) <= room:
            return found, True
    first, most = opening(turns)
    shortened = (_shortened(turn, most) for turn in first)
    return [element for turn in shortened for element in drawn(turn, named=named)], False


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
        left -= len(said.text) + 1
    return Turn(name=turn.name, said=kept)


def _with_text(said: Said, text: str) -> Said:
    return Said(start=said.start, overlap=said.overlap, words=said.words, text=text)
