"""Recordings whose channels carry one speaker each: words per channel become one conversation. Pure.

Labels are right by construction; what is left is to order what was said, and to take out what a microphone
picked up from the neighbour. O(n log n) in the number of words.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

from core.model import Utterance, Word
from core.segmentation import cut, repaired, sentence_ends, spoken_ends

PHRASE_PAUSE = 0.5
"""Seconds of silence that end a phrase. Phrases are what other channels' speech is sorted between."""

ECHO_SHIFT = 0.25
"""Seconds by which an echo's words may start earlier or later than the original's."""

ECHO_WORDS = 3
"""A phrase with fewer words is never taken for an echo: two people do say "yes, okay" at once."""

ECHO_MATCH = 0.8
"""Share of a phrase's words that must be said at the same time, in the same order, on the other channel."""

ECHO_DOUBT = 0.15
"""How much less sure, on average, the recogniser must be of the echo than of the original."""

_LONGEST_PHRASE = 30
_TRIES = 8


def merge_channels(per_channel: Sequence[Sequence[Word]]) -> tuple[Utterance, ...]:
    """One conversation from the words of each channel; the speakers are "channel 1", "channel 2", ...

    Within a channel every word is kept in order. A channel's phrase starts a new utterance where another
    channel spoke in between, so a reply stands where it was made and overlapping speech is not shredded.

    The one loss is cross-talk: a phrase is dropped where a louder channel says the same. Since dropping what
    somebody did say is worse than saying it twice, all of this must hold: three words or more; at least 80 %
    of them on the other channel within 0.25 s and in the same order; somebody speaking there during every
    one of the rest; and a mean confidence lower by 0.15 or more. Without confidences nothing is dropped.
    """
    labelled = [
        [
            Word(
                start=word.start,
                end=word.end,
                text=word.text,
                confidence=word.confidence,
                speaker=f"channel {number}",
            )
            for word in repaired(words)
        ]
        for number, words in enumerate(per_channel, start=1)
    ]
    phrases = [
        _Phrase(channel=channel, words=tuple(words))
        for channel, spoken in enumerate(labelled)
        for words in _phrases(spoken)
    ]
    echoes = _echoes(phrases, len(labelled))
    kept = [phrase for i, phrase in enumerate(phrases) if i not in echoes]
    kept.sort(key=lambda phrase: (phrase.words[0].start, phrase.channel))
    flat = [word for phrase in kept for word in phrase.words]
    return cut(flat, list(accumulate(len(phrase.words) for phrase in kept))[:-1])


def merge_speakers(words: Sequence[Word]) -> tuple[Utterance, ...]:
    """One conversation from words that carry their speakers, also at the same time: as `merge_channels`, with
    each speaker for a channel, but that every word is kept."""
    spoken: dict[str | None, list[Word]] = {}
    for word in repaired(words):
        spoken.setdefault(word.speaker, []).append(word)
    phrases = [tuple(phrase) for own in spoken.values() for phrase in _phrases(own)]
    phrases.sort(key=lambda phrase: phrase[0].start)
    flat = [word for phrase in phrases for word in phrase]
    return cut(flat, list(accumulate(len(phrase) for phrase in phrases))[:-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Phrase:
    channel: int
    words: tuple[Word, ...]


def _phrases(words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    ends, finals = spoken_ends(words), sentence_ends(words)
    first = 0
    for i in range(1, len(words) + 1):
        if (
            i == len(words)
            or finals[i - 1]
            or words[i].start - ends[i - 1] >= PHRASE_PAUSE
            or i - first >= _LONGEST_PHRASE
        ):
            yield words[first:i]
            first = i


class _Heard:
    """What was said on one channel, by word and by time; echoes are struck out."""

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.words: list[Word] = []
        self.struck: list[bool] = []
        self._places: dict[str, list[int]] = {}
        self._times: dict[str, list[float]] = {}

    def add(self, word: Word) -> int:
        place = len(self.words)
        self.words.append(word)
        self.starts.append(word.start)
        self.struck.append(False)
        text = _plain(word.text)
        self._places.setdefault(text, []).append(place)
        self._times.setdefault(text, []).append(word.start)
        return place

    def same(self, word: Word, beyond: int) -> int | None:
        """The place, after `beyond`, of the first such word starting at about the same time."""
        text = _plain(word.text)
        times = self._times.get(text)
        if not text or times is None:
            return None
        first = bisect_left(times, word.start - ECHO_SHIFT)
        for place, time in zip(
            islice(self._places[text], first, first + _TRIES),
            islice(times, first, first + _TRIES),
            strict=True,
        ):
            if time > word.start + ECHO_SHIFT:
                return None
            if place > beyond and not self.struck[place]:
                return place
        return None

    def busy(self, word: Word) -> bool:
        """Whether a word is being said here while `word` is."""
        place = bisect_left(self.starts, word.end) - 1
        return place >= 0 and not self.struck[place] and self.words[place].end > word.start


def _echoes(phrases: Sequence[_Phrase], channels: int) -> set[int]:
    """Which phrases are echoes. The least certain are judged first and against words still standing, so that
    of phrases that echo one another the most certain one always remains."""
    heard = [_Heard() for _ in range(channels)]
    places = [[heard[phrase.channel].add(word) for word in phrase.words] for phrase in phrases]
    doubtful = [
        (sure, i) for i, phrase in enumerate(phrases) if (sure := _certainty(phrase.words)) is not None
    ]
    echoes: set[int] = set()
    for sure, i in sorted(doubtful):
        phrase = phrases[i]
        if any(
            _echoed(phrase.words, sure, heard[other]) for other in range(channels) if other != phrase.channel
        ):
            echoes.add(i)
            for place in places[i]:
                heard[phrase.channel].struck[place] = True
    return echoes


def _echoed(words: Sequence[Word], sure: float, other: _Heard) -> bool:
    if len(words) < ECHO_WORDS:
        return False
    matches: list[Word] = []
    at = -1
    for word in words:
        place = other.same(word, at)
        if place is not None:
            at = place
            matches.append(other.words[place])
        elif not other.busy(word):
            return False
    original = _certainty(matches)
    return len(matches) >= ECHO_MATCH * len(words) and original is not None and original - sure >= ECHO_DOUBT


def _certainty(words: Sequence[Word]) -> float | None:
    known = [word.confidence for word in words if word.confidence is not None]
    return sum(known) / len(known) if words and len(known) == len(words) else None


def _plain(text: str) -> str:
    return "".join(glyph for glyph in text.casefold() if glyph.isalnum())
