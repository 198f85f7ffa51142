"""Reading what vendors' recognisers answer: noise in times and labels is borne, and no text is ever lost."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from core.model import SpeakerTurn, Word

Row = Mapping[str, Any]

_NOBODY = frozenset({"", "unknown", "none", "null"})
_BAD_AUDIO = re.compile(
    r"\b(corrupt(ed)?|invalid|unsupported|unreadable|malformed|undecodable|empty)"
    r"( or \w+)? (audio|media|sound)\b"
    r"|\b(audio|media)( file| format)? (is |was )?(corrupt(ed)?|invalid|unsupported|unreadable|empty)\b"
    r"|\b(decode|decoding|read|open) (the )?(audio|media)\b"
    r"|\bno audio (stream|track)\b"
    r"|\baudio (file )?(is |was )?too (short|long)\b",
    re.IGNORECASE,
)
_TRANSPORT = re.compile(
    r"\burls?\b|https?:|download|fetch|time[d-]? ?out|connection|access|permission", re.IGNORECASE
)


def rows(value: object) -> list[Row]:
    """The objects in a list; none if it is no list."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def seconds(value: object) -> float | None:
    """A time in seconds given as 12.5, "12.5" or "0:00:12.5"; None if it is none."""
    try:
        if isinstance(value, str):
            parts = value.strip().split(":")
            found = sum(float(part) * 60**place for place, part in enumerate(reversed(parts)))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found = float(value)
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def fraction(value: object, whole: float = 1.0) -> float | None:
    """A confidence out of `whole` as 0..1; None if it is none."""
    found = seconds(value)
    return None if found is None or not 0 <= found <= whole else found / whole


def label(value: object) -> str | None:
    """A speaker's label; None for nobody in particular."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    text = value.strip() if isinstance(value, str) else ""
    return None if text.lower() in _NOBODY else text


def spoken(
    row: Row,
    field: str,
    *,
    after: float,
    limit: float,
    speaker: str | None,
    confidence: float | None = None,
) -> list[Word]:
    """The words in `field` of `row`, spread evenly from its `start` to its `end`, within 0 and `limit`.

    Text whose times can't be read is put at `after`, the end of what came before it.
    """
    text = row.get(field)
    words = text.split() if isinstance(text, str) else []
    if not words:
        return []
    start = seconds(row.get("start"))
    start = _within(after if start is None else start, limit)
    end = seconds(row.get("end"))
    end = max(start, _within(start if end is None else end, limit))
    step = (end - start) / len(words)
    return [
        Word(
            start=min(end, start + index * step),
            end=min(end, start + (index + 1) * step),
            text=word,
            confidence=confidence,
            speaker=speaker,
        )
        for index, word in enumerate(words)
    ]


def in_order(words: Iterable[Word]) -> tuple[Word, ...]:
    """The words by their start."""
    return tuple(sorted(words, key=lambda word: word.start))


def turns(found: Iterable[Row], limit: float, *, exclusive: bool) -> tuple[SpeakerTurn, ...]:
    """Speaker turns in order within 0 and `limit`; what is no turn is dropped.

    `exclusive`: no two may overlap; where they do all the same, the earlier one wins.
    """
    read = []
    for row in found:
        start, end, speaker = seconds(row.get("start")), seconds(row.get("end")), label(row.get("speaker"))
        if start is not None and end is not None and speaker is not None:
            read.append((_within(start, limit), _within(end, limit), speaker))
    kept: list[SpeakerTurn] = []
    latest = 0.0
    for start, end, speaker in sorted(read):
        begin = max(start, latest) if exclusive else start
        if begin < end:
            kept.append(SpeakerTurn(start=begin, end=end, speaker=speaker))
            latest = end
    return tuple(kept)


def blames_audio(error: object) -> bool:
    """Whether a vendor's error text clearly says that the audio itself is at fault, not its transport."""
    return isinstance(error, str) and bool(_BAD_AUDIO.search(error)) and not _TRANSPORT.search(error)


def _within(at: float, limit: float) -> float:
    return min(max(at, 0.0), limit)
