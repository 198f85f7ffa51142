"""Text from strangers (file names, people's names, recognised words) made fit to be shown on one line.

Everything here is about characters that no format can carry or that change what a reader sees elsewhere on
the page. What is markup in one format only is escaped by that format.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

UNKNOWN_SPEAKER: Final = "Unknown speaker"

_SURROGATE = re.compile("[\ud800-\udfff]")
# Controls, byte-order marks and noncharacters, which XML refuses; embeddings, overrides and isolates, which
# reorder the text around them. Joiners and left-to-right marks stay: emoji, Persian and Hebrew need them.
_UNSAFE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff"
    + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(1, 17))
    + "]"
)
_RTL = frozenset({"R", "AL"})


def encodable(text: str) -> str:
    """`text` such that UTF-8 can hold it: halves of surrogate pairs are joined, or replaced by U+FFFD."""
    if _SURROGATE.search(text):
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def clean(text: str) -> str:
    """`text` on one line without characters that are invisible and harmful; spaces are single."""
    return " ".join(_UNSAFE.sub("", encodable(text)).split())


def visible(text: str) -> bool:
    """Whether a reader would see anything of it."""
    return any(unicodedata.category(character)[0] not in "CZM" for character in text)


def shown(speaker: str | None, names: Mapping[str, str]) -> str:
    """What people read for a speaker's label: the name where one is known, else the label."""
    if speaker is None:
        return UNKNOWN_SPEAKER
    for candidate in (names.get(speaker, ""), speaker):
        if visible(candidate := clean(candidate)):
            return candidate
    return UNKNOWN_SPEAKER


def shown_names(names: Mapping[str, str], suggestions: Mapping[str, str]) -> dict[str, str]:
    """What `shown` is to use for each label: names, and for a voice that may be somebody's the label with
    "perhaps" and that name, so that it never reads as a claim."""
    found = {
        label: f"{shown(label, {})}, perhaps {clean(name)}"
        for label, name in suggestions.items()
        if visible(clean(name))
    }
    return found | {label: name for label, name in names.items() if visible(clean(name))}


def has_rtl(text: str) -> bool:
    """Whether any of it runs from right to left."""
    return not text.isascii() and any(unicodedata.bidirectional(character) in _RTL for character in text)


def is_rtl(text: str) -> bool:
    """Whether most of its letters run from right to left: Hebrew may begin with an English name."""
    if text.isascii():
        return False
    kinds = [unicodedata.bidirectional(character) for character in text]
    return sum(kind in _RTL for kind in kinds) > kinds.count("L")


def isolate(text: str) -> str:
    """`text` in a first-strong isolate where it needs one, so that numbers beside it stay where they are."""
    return f"\u2068{text}\u2069" if has_rtl(text) else text
