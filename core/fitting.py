"""Text cut to what a platform takes, between characters as people see them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rich.cells import split_graphemes

from core.render.safe import clean, encodable, visible

NAME: Final = 80
"""Characters of a person's name that are shown."""

Measure = Callable[[str], int]
"""How long a platform takes a text to be; no less than its number of characters."""


def units(text: str) -> int:
    """The length of `text` in UTF-16 units, as JavaScript counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def fit(text: str, limit: int, length: Measure = units) -> str:
    """`text`, cut so that its `length` is at most `limit`; what was cut ends in an ellipsis, after a whole
    word where one ends nearby."""
    text = encodable(text)
    if length(text) <= limit:
        return text
    text = text[:limit]
    kept, used = 0, 1
    for start, end, _ in split_graphemes(text, "latest")[0]:
        used += length(text[start:end])
        if used > limit:
            break
        kept = end
    short = text[:kept]
    gap = short.rfind(" ")
    if gap > 0 and kept - gap <= min(24, limit // 3):
        short = short[:gap]
    return short.rstrip() + "\u2026"


def line(text: str, limit: int, length: Measure = units) -> str:
    """Text from a stranger on one line of at most `limit`; empty if nobody would see anything of it."""
    text = clean(text)
    return fit(text, limit, length) if visible(text) else ""
