"""For transcribers that give text without times: what to send them, and words from what they answer. Pure.

They hear one speaker turn at a time, so the labels are right by construction and the times nearly so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from core.cutting import OVERLAP, Pause, plan
from core.model import SpeakerTurn, Word

LONGEST = 60.0
"""Seconds sent at once: longer turns are cut in a pause, so that no word's time is off by minutes."""

_JOIN = 1.2  # seconds of pause across which a speaker's turn goes on
_PAD = 0.12  # seconds around a turn, where nobody else speaks
_SHORTEST = 0.25  # seconds; less holds no word
_REACH = 0.6  # seconds of speech next to a turn that the diarizer left out and that belongs to it


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What is heard at once: one speaker (None: unknown) from `start` to `end` seconds."""

    start: float
    end: float
    speaker: str | None


def slices(
    turns: Sequence[SpeakerTurn], speech: Sequence[tuple[float, float]], seconds: float
) -> tuple[Slice, ...]:
    """Everything said, in order and without overlap, by speaker.

    Where turns overlap, whoever began last has the word. `speech` are detected stretches of speech (seconds);
    those outside all turns are heard too, for the turn next to them or for nobody known, so that a diarizer's
    miss loses no text. `seconds` is the recording's length.
    """
    parts = _exclusive(turns)
    parts = _with_missed(parts, speech)
    joined: list[Slice] = []
    for part in parts:
        last = joined[-1] if joined else None
        if last is not None and last.speaker == part.speaker and part.start - last.end <= _JOIN:
            joined[-1] = replace(last, end=max(last.end, part.end))
        else:
            joined.append(part)
    kept = [part for part in joined if part.end - part.start >= _SHORTEST]
    return tuple(_padded(kept, seconds))


def divided(part: Slice, pauses: Sequence[Pause]) -> tuple[Slice, ...]:
    """`part` in pieces of at most `LONGEST` seconds, cut in `pauses` (times as in the recording)."""
    length = part.end - part.start
    if length <= LONGEST:
        return (part,)
    inside = [Pause(at=pause.at - part.start, length=pause.length) for pause in pauses]
    return tuple(
        Slice(
            # a word said twice is worse here than one cut: there are no times to find the seam by
            start=part.start + piece.keep_from,
            end=part.start + piece.keep_to,
            speaker=part.speaker,
        )
        for piece in plan(length, LONGEST + 2 * OVERLAP, inside)
    )


def words_of(text: str, part: Slice) -> tuple[Word, ...]:
    """The words of `text`, spread over the slice in proportion to their length."""
    found = text.split()
    total = sum(len(word) + 1 for word in found)
    length = part.end - part.start
    words: list[Word] = []
    done = 0
    for word in found:
        start = part.start + length * done / total
        done += len(word) + 1
        words.append(
            Word(start=start, end=part.start + length * done / total, text=word, speaker=part.speaker)
        )
    return tuple(words)


def _exclusive(turns: Iterable[SpeakerTurn]) -> list[Slice]:
    """`turns` without overlaps: at every moment the turn that began last, the shorter of two at once."""
    sound = sorted(
        (turn for turn in turns if turn.end > turn.start), key=lambda turn: (turn.start, -turn.end)
    )
    parts: list[Slice] = []
    open_turns: list[SpeakerTurn] = []  # a stack: the last one has the word
    at = 0.0

    def talk(until: float) -> None:
        nonlocal at
        while open_turns and at < until:
            top = open_turns[-1]
            if top.end <= at:
                open_turns.pop()
                continue
            stop = min(top.end, until)
            if parts and parts[-1].speaker == top.speaker and parts[-1].end >= at:
                parts[-1] = replace(parts[-1], end=stop)
            else:
                parts.append(Slice(start=at, end=stop, speaker=top.speaker))
            at = stop
        at = max(at, until)

    for turn in sound:
        talk(turn.start)
        open_turns.append(turn)
    talk(max((turn.end for turn in sound), default=0.0))
    return parts


def _with_missed(parts: list[Slice], speech: Sequence[tuple[float, float]]) -> list[Slice]:
    """Speech that no part covers goes to the nearest part within reach, or stands alone."""
    missed: list[Slice] = []
    number = 0
    for start, end in speech:
        at = start
        while number > 0 and parts[number - 1].end > start:
            number -= 1
        while number < len(parts) and parts[number].start < end:
            part = parts[number]
            if part.end > at:
                if part.start > at:
                    missed.append(Slice(start=at, end=part.start, speaker=None))
                at = part.end
            number += 1
        if at < end:
            missed.append(Slice(start=at, end=end, speaker=None))
    edges = {part.end: part.speaker for part in parts}, {part.start: part.speaker for part in parts}
    given = [
        replace(gap, speaker=edges[0].get(gap.start, edges[1].get(gap.end)))
        if gap.end - gap.start <= _REACH
        else gap
        for gap in missed
    ]
    return sorted([*parts, *given], key=lambda part: part.start)


def _padded(parts: Sequence[Slice], seconds: float) -> Iterable[Slice]:
    for number, part in enumerate(parts):
        before = parts[number - 1].end if number else 0.0
        after = parts[number + 1].start if number + 1 < len(parts) else seconds
        yield replace(
            part,
            start=max(part.start - _PAD, min(part.start, (before + part.start) / 2), 0.0),
            end=min(part.end + _PAD, max(part.end, (part.end + after) / 2), seconds),
        )
