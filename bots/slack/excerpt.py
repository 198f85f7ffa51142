"""What was said, as a message shows it: all of a short conversation, or how a long one begins. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bots.slack import parts
from bots.slack.parts import Block, Element, rich, words
from core.excerpt import Turn, beginning, is_named, opening
from core.model import Transcript

_PER_BLOCK: Final = 2_800  # characters


def conversation(transcript: Transcript, whole: int, *, room: int) -> tuple[list[Block], bool]:
    """All of it if it has at most `whole` characters and its blocks weigh no more than `room`, else how it
    begins; and whether that is all. At least one word must be visible."""
    named = is_named(transcript)
    turns, complete = beginning(transcript, whole)
    if complete:
        blocks = _blocks(_drawn(turn, named=named) for turn in turns)
        if parts.weight(blocks) <= room:
            return blocks, True
    first, most = opening(turns)
    return _blocks(_drawn(turn, named=named, most=most) for turn in first), False


def _drawn(turn: Turn, *, named: bool, most: int | None = None) -> list[Element]:
    """A turn as elements of rich text, what is said cut to `most` characters."""
    first, *rest = turn.said
    text = "\n".join([first.text, *(f"{each.stamp}  {each.text}" for each in rest)])
    if most is not None:
        text = parts.fit(text, most)
    if turn.name is None:
        return [words(text)]
    if not named:
        return [words(f"{first.stamp}  {text}")]
    return [words(parts.speaker(turn.name), bold=True), words(f"  {first.stamp}\n{text}")]


def _blocks(turns: Iterable[list[Element]]) -> list[Block]:
    """The turns, an empty line between them, in blocks that are not too long."""
    groups: list[list[Element]] = []
    size = 0
    for turn in turns:
        length = sum(parts.length(element["text"]) for element in turn)
        if not groups or size + length > _PER_BLOCK:
            groups.append([])
            size = 0
        elif groups[-1]:
            groups[-1].append(words("\n\n"))
        groups[-1] += turn
        size += length + 2
    return [rich(parts.quote(*group)) for group in groups]
