"""What counts as a word, and when two words are the same. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum


class Normalizer(StrEnum):
    """How text is prepared before it is compared."""

    NONE = "none"
    BASIC = "basic"


class Unit(StrEnum):
    """What is counted: words between spaces, or characters (which makes each figure a CER)."""

    AUTO = "auto"
    WORD = "word"
    CHARACTER = "character"


_EVENT = re.compile(r"\[[^\[\]]*\]|<[^<>\s]*>")
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u00b4`", "'"))
_SPACELESS = (
    ("\u0e00", "\u0eff"),  # Thai, Lao
    ("\u0f00", "\u0fff"),  # Tibetan
    ("\u1000", "\u109f"),  # Myanmar
    ("\u1780", "\u17ff"),  # Khmer
    ("\u3040", "\u30ff"),  # Hiragana, Katakana
    ("\u3400", "\u4dbf"),  # Han, extension A
    ("\u4e00", "\u9fff"),  # Han
    ("\uf900", "\ufaff"),  # Han, compatibility
    ("\U00020000", "\U0003ffff"),  # Han, further extensions
)


def basic(text: str) -> str:
    """Lower case in Unicode form NFKC, without punctuation, symbols and events such as `[laughter]`.

    Apostrophes inside a word stay ("don't"), and so do full stops, commas and colons inside a number: numbers
    are neither spelled out nor rewritten. Every other mark ends a word, hyphens included.
    """
    text = unicodedata.normalize("NFKC", _EVENT.sub(" ", text).translate(_APOSTROPHES)).lower()
    text = text.translate(_APOSTROPHES)  # full-width ones appear only now
    characters = [c for c in text if unicodedata.category(c) != "Cf"]
    last = len(characters) - 1
    kept = []
    for place, c in enumerate(characters):
        if unicodedata.category(c)[0] in "LMN":
            kept.append(c)
            continue
        before = characters[place - 1] if place else " "
        after = characters[place + 1] if place < last else " "
        inside_word = c == "'" and before.isalnum() and after.isalnum()
        inside_number = c in ".,:" and before.isdigit() and after.isdigit()
        kept.append(c if inside_word or inside_number else " ")
    return "".join(kept)


def tokens(text: str, normalizer: Normalizer, unit: Unit) -> list[str]:
    """The words or characters of `text` to be compared. `unit` is WORD or CHARACTER."""
    words = (basic(text) if normalizer is Normalizer.BASIC else text).split()
    return list("".join(words)) if unit is Unit.CHARACTER else words


def unit_of(texts: Iterable[str]) -> Unit:
    """CHARACTER if most letters belong to scripts that put no spaces between words, else WORD."""
    spaceless = letters = 0
    for text in texts:
        for c, count in Counter(text).items():
            if unicodedata.category(c)[0] == "L":
                letters += count
                spaceless += count * any(first <= c <= last for first, last in _SPACELESS)
    return Unit.CHARACTER if 2 * spaceless > letters else Unit.WORD
