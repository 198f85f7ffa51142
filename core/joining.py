"""The words of pieces as one text, without doubled or lost words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from core.cutting import Piece
from core.model import Word

_SAME = 0.7
"""Seconds between two hearings of one word; the same word farther away is another one."""


def shifted(words: Sequence[Word], seconds: float) -> tuple[Word, ...]:
    """`words` that many seconds later."""
    return tuple(replace(word, start=word.start + seconds, end=word.end + seconds) for word in words)


def join(parts: Sequence[tuple[Piece, Sequence[Word]]]) -> tuple[Word, ...]:
    """All words of consecutive pieces (times count from the recording's start), in order.

    Where two overlap, both heard the same seconds: the text goes over from one to the other at the words on
    which they agree, nearest to the middle; where they agree on none, in the middle.
    """
    joined: list[Word] = []
    before: Piece | None = None
    for piece, words in parts:
        fresh = list(words)
        if before is not None and before.end > piece.start:
            kept, fresh = _seam(joined, fresh, piece.start, before.end)
            joined = kept
        joined += fresh
        before = piece
    return tuple(joined)


def _seam(left: list[Word], right: list[Word], start: float, end: float) -> tuple[list[Word], list[Word]]:
    middle = (start + end) / 2
    first = next((n for n, word in enumerate(left) if _centre(word) >= start), len(left))
    last = next((n for n, word in enumerate(right) if _centre(word) > end), len(right))
    ours, theirs = left[first:], right[:last]
    match = SequenceMatcher(None, [_bare(w) for w in ours], [_bare(w) for w in theirs], autojunk=False)
    agreed = [(block.a + n, block.b + n) for block in match.get_matching_blocks() for n in range(block.size)]
    agreed = [(a, b) for a, b in agreed if abs(_centre(ours[a]) - _centre(theirs[b])) <= _SAME]
    if agreed:
        # Near the middle neither piece has cut a word; of equals the earlier.
        a, b = min(agreed, key=lambda pair: abs(_centre(ours[pair[0]]) - middle))
        return left[: first + a + 1], right[b + 1 :]
    kept = [word for word in ours if _centre(word) < middle]
    return left[:first] + kept, [word for word in right if _centre(word) >= middle]


def _centre(word: Word) -> float:
    return (word.start + word.end) / 2


def _bare(word: Word) -> str:
    return "".join(sign for sign in word.text.casefold() if sign.isalnum()) or word.text
