"""Words joined into text, and text cut where a line may end, in scripts with and without spaces."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, split_graphemes

from core.model import Word
from core.render.safe import clean, visible
from core.render.times import milliseconds

# Han, Kana, Bopomofo, Yi: a line may end after any character.
_IDEOGRAPHS: Final = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303b\u3040-\u3096\u3099-\u309f\u30a1-\u30ff"
    "\u3100-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uf900-\ufaff\uff66-\uff9f"
    "\U0001b000-\U0001b16f\U00020000-\U0003fffd"
)
# Thai, Lao, Tibetan, Burmese, Khmer: written without spaces, but only a dictionary knows where lines may end.
_SOUTH_EAST: Final = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u0f00-\u0fff\u1000-\u109f\u1780-\u17d3\uaa60-\uaa7f"
)
_OPENING: Final = "\u3008\u300a\u300c\u300e\u3010\u3014\u3016\u3018\u301a\u301d\uff08\uff3b\uff5b\uff5f"
# Never at the start of a line: closing punctuation, small kana, sound and repetition marks.
_CLOSING: Final = (
    "\u3001\u3002\u3005\u3009\u300b\u300d\u300f\u3011\u3015\u3017\u3019\u301b\u301e\u301f\u30fb\u30fc"
    "\uff01\uff05\uff09\uff0c\uff0e\uff1a\uff1b\uff1f\uff3d\uff5d\uff60-\uff65\uff70"
    "\u3041\u3043\u3045\u3047\u3049\u3063\u3083\u3085\u3087\u308e"
    "\u30a1\u30a3\u30a5\u30a7\u30a9\u30c3\u30e3\u30e5\u30e7\u30ee\u309d\u309e\u30fd\u30fe"
)
_MARKS: Final = "\u3099\u309a\ufe00-\ufe0f\U000e0100-\U000e01ef"
_IDEOGRAPH = re.compile(f"[{_IDEOGRAPHS}{_OPENING}{_CLOSING}]")
_SPACELESS = re.compile(f"[{_IDEOGRAPHS}{_SOUTH_EAST}]")
_WIDE_PUNCTUATION = re.compile(
    "[\u3001-\u3003\u3008-\u301f\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]"
)
_UNBREAKABLE = re.compile(
    f"[{_OPENING}]*(?:[{_IDEOGRAPHS}][{_MARKS}]*|[^{_IDEOGRAPHS}{_OPENING}{_CLOSING}]+)?[{_CLOSING}]*"
)
_CLINGING: Final = frozenset(",.!?;:\u2026\u060c\u061b\u061f\u06d4\u0964")
_QUOTES: Final = "\"'\u2019\u201d\u00bb)]\u300d\u300f\uff09"
_SENTENCE_ENDS: Final = frozenset(".!?\u2026\u061f\u06d4\u0964\u3002\uff01\uff1f")
_CLAUSE_ENDS: Final = frozenset(",;:\u060c\u061b\u3001\uff0c\uff1b\uff1a\u2013\u2014")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of text that a line break must not cut.

    `spaced` says that a space comes before it unless it begins a line; `cells` is its width in columns, two
    for a wide character; `start` and `end` are milliseconds.
    """

    text: str
    cells: int
    spaced: bool
    start: int
    end: int


def cells(text: str) -> int:
    """The width of `text` in columns of a terminal or of a subtitle."""
    return cell_len(text, "latest")  # by default rich asks the environment


def join_words(words: Iterable[Word]) -> str:
    """The text of `words`: single spaces, but none within scripts that do without, nor before a full stop
    that stands alone. Words without anything to see are left out."""
    return "".join(f" {text}" if spaced else text for text, spaced, _ in _joined(words))


def pieces(words: Iterable[Word], *, limit: int) -> list[Piece]:
    """The text of `words` as pieces of at most `limit` columns, their times shared out by width."""
    found: list[Piece] = []
    for text, spaced, word in _joined(words):
        parts = list(_parts(text, limit))
        total = sum(width for _, width, _ in parts) or 1
        start = milliseconds(word.start)
        length = max(0, milliseconds(word.end) - start)
        done = 0
        for position, (part, width, apart) in enumerate(parts):
            begin, done = start + length * done // total, done + width
            found.append(
                Piece(
                    text=part,
                    cells=width,
                    spaced=apart if position else spaced,
                    start=begin,
                    end=start + length * done // total,
                )
            )
    return found


def join_pieces(parts: Sequence[Piece]) -> str:
    """The pieces as one line."""
    return "".join(
        f" {part.text}" if part.spaced and index else part.text for index, part in enumerate(parts)
    )


def wrap(parts: Iterable[Piece], width: int) -> list[str]:
    """The pieces on lines of at most `width` columns, each as full as possible."""
    lines: list[str] = []
    line, used = "", 0
    for part in parts:
        gap = 1 if part.spaced and line else 0
        if line and used + gap + part.cells > width:
            lines.append(line)
            line, used, gap = "", 0, 0
        line += " " * gap + part.text
        used += gap + part.cells
    return [*lines, line] if line else lines


def ends_sentence(text: str) -> bool:
    """Whether a sentence may end here."""
    return text.rstrip(_QUOTES)[-1:] in _SENTENCE_ENDS


def ends_clause(text: str) -> bool:
    """Whether a part of a sentence may end here."""
    return text.rstrip(_QUOTES)[-1:] in _CLAUSE_ENDS


def _joined(words: Iterable[Word]) -> Iterator[tuple[str, bool, Word]]:
    """Each visible word's clean text, whether a space comes before it, and the word."""
    before, trailing = "", False
    for word in words:
        text = clean(word.text)
        if not visible(text):
            continue
        asked = trailing or word.text[:1].isspace()
        yield text, bool(before) and _apart(before, text, asked=asked), word
        before, trailing = text, word.text[-1:].isspace()


def _apart(before: str, after: str, *, asked: bool) -> bool:
    """Whether a space belongs between two words; `asked` says that the recogniser put one there."""
    if _CLINGING.issuperset(after):
        return False
    if before.isascii() or after.isascii():
        left, right = before[-1], after[0]
    else:
        left, right = _edge(reversed(before)), _edge(after)
    if _WIDE_PUNCTUATION.match(left) or _WIDE_PUNCTUATION.match(right):
        return False
    return asked or not (_SPACELESS.match(left) and _SPACELESS.match(right))


def _edge(text: Iterable[str]) -> str:
    """The first character that is neither a variation selector nor another invisible mark."""
    first = ""
    for character in text:
        first = first or character
        if _SPACELESS.match(character) or unicodedata.category(character) not in {"Mn", "Cf"}:
            return character
    return first


def _parts(text: str, limit: int) -> Iterator[tuple[str, int, bool]]:
    """The parts of a word's text that no line break may cut: text, columns, whether a space precedes."""
    for position, chunk in enumerate(text.split(" ")):
        apart = position > 0
        for part in _UNBREAKABLE.findall(chunk) if _IDEOGRAPH.search(chunk) else (chunk,):
            if not part:
                continue
            width = cells(part)
            for cut, columns in [(part, width)] if width <= limit else _cut(part, limit):
                yield cut, columns, apart
                apart = False


def _cut(text: str, limit: int) -> Iterator[tuple[str, int]]:
    """Something too wide for a line, cut between characters as people see them."""
    begin, used, last = 0, 0, 0
    for start, end, width in split_graphemes(text, "latest")[0]:
        if used and used + width > limit:
            yield text[begin:start], used
            begin, used = start, 0
        used, last = used + width, end
    if begin < last:
        yield text[begin:last], used
