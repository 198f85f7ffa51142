"""What was said, turn by turn, and how much of it a message shows: all if it is short, else how it begins.

Pure. Nothing here is escaped or cut for any platform.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.cells import split_graphemes

from core.model import Transcript, Word
from core.render import times
from core.render.layout import OVERLAPPING, in_order
from core.render.safe import shown, shown_names, visible
from core.render.words import ends_sentence, join_words

WHOLE: Final = 2_500
"""Characters up to which a transcript is shown whole where nothing else is said."""

_OPENING: Final = 1_400
_OPENING_TURN: Final = 320
_AROUND: Final = 60  # what stands around a turn: the name, the time, an empty line


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one speaker says in one go, or a part of that. `start` is seconds; `overlap`: somebody else talks
    at the same time."""

    start: float
    overlap: bool
    words: tuple[Word, ...]
    text: str

    @property
    def stamp(self) -> str:
        """When it is said, as people read it."""
        clock = times.clock(self.start)
        return f"{clock} {OVERLAPPING}" if self.overlap else clock


@dataclass(slots=True, kw_only=True)
class Turn:
    """What one speaker says until the next one does. `name` is as shown to people, None where the text is
    nobody's: it says that something was not recognised."""

    name: str | None
    said: list[Said] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Characters that are said."""
        return sum(len(each.text) for each in self.said)


def is_silent(transcript: Transcript) -> bool:
    """Whether there is no word in it that anybody could read."""
    return not any(visible(word.text) for said in transcript.utterances for word in said.words)


def is_named(transcript: Transcript) -> bool:
    """Whether it says of anything who said it."""
    return any(said.speaker is not None for said in transcript.utterances)


def turns(transcript: Transcript) -> Iterator[Turn]:
    """Everything that can be read, in order of time."""
    names = shown_names(transcript.names, transcript.suggestions)
    turn: Turn | None = None
    for utterance in in_order(transcript.utterances):
        text = join_words(utterance.words)
        if not visible(text):
            continue
        name = None if utterance.gap else shown(utterance.speaker, names)
        if turn is None or name is None or name != turn.name:
            if turn is not None:
                yield turn
            turn = Turn(name=name)
        turn.said.append(
            Said(start=utterance.start, overlap=utterance.overlap, words=utterance.words, text=text)
        )
    if turn is not None:
        yield turn


def beginning(transcript: Transcript, whole: int) -> tuple[list[Turn], bool]:
    """The first turns, enough for an opening; and whether they are all, of at most `whole` characters."""
    found: list[Turn] = []
    size = 0
    for turn in turns(transcript):
        found.append(turn)
        size += turn.size
        if size > max(whole, _OPENING * 4):
            break
    return found, size <= whole


def opening(first: Sequence[Turn]) -> tuple[list[Turn], int]:
    """Those of the `first` turns that an opening shows, and how many characters of each at most. There must
    be one."""
    found: list[Turn] = []
    left = _OPENING
    for turn in first:
        if left <= 0:
            break
        found.append(turn)
        left -= min(turn.size, _OPENING_TURN) + _AROUND
    return found, max(_OPENING_TURN, _OPENING // len(found))


def paragraphs(turn: Turn, most: int = 1_200) -> Turn:
    """The turn with everything that is said in one go cut into paragraphs of at most `most` characters, after
    sentences where possible; each with its own time. No word is lost."""
    return Turn(name=turn.name, said=[part for said in turn.said for part in _parted(said, most)])


def _parted(said: Said, most: int) -> Iterator[Said]:
    if len(said.text) <= most:
        yield said
        return
    group: list[Word] = []
    size = 0
    for word in said.words:
        length = len(word.text) + 1
        full = size + length > most
        if group and (full or (size > most // 2 and ends_sentence(group[-1].text.rstrip()))):
            yield from _part(said, group, most)
            group, size = [], 0
        group.append(word)
        size += length
    yield from _part(said, group, most)


def _part(said: Said, group: Sequence[Word], most: int) -> Iterator[Said]:
    text = join_words(group)
    while visible(text):
        cut = _cut(text, most)
        yield Said(start=group[0].start, overlap=said.overlap, words=tuple(group), text=text[:cut])
        text = text[cut:].lstrip()


def _cut(text: str, most: int) -> int:
    """Where to cut a text that may be one endless word: not within what people see as a character, unless
    that is endless too."""
    if len(text) <= most:
        return len(text)
    spans, _ = split_graphemes(text[: most + 1], "latest")
    return next((start for start, _, _ in reversed(spans) if 0 < start <= most), most)
