"""The rules that others use to give words a speaker, written from descriptions of their behaviour.

Each takes words and turns and returns one label (or None) per word.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence

from core.attribution import attribute
from core.model import SpeakerTurn, Word
from core.segmentation import ends_sentence

Rule = Callable[[Sequence[Word], Sequence[SpeakerTurn]], list[str | None]]


class _Turns:
    """Turns by start, with a window for look-ups, so that the comparison itself takes no minutes."""

    def __init__(self, turns: Sequence[SpeakerTurn]) -> None:
        self.ordered = sorted(turns, key=lambda turn: turn.start)
        self._starts = [turn.start for turn in self.ordered]
        self._longest = max((turn.end - turn.start for turn in turns), default=0.0)

    def greatest_overlap(self, start: float, end: float) -> str | None:
        """The speaker whose turns share most time with the span; of equals, the one who started first."""
        totals: dict[str, float] = {}
        first, stop = bisect_left(self._starts, start - self._longest), bisect_right(self._starts, end)
        for turn in self.ordered[first:stop]:
            shared = min(end, turn.end) - max(start, turn.start)
            if shared > 0:
                totals[turn.speaker] = totals.get(turn.speaker, 0.0) + shared
        return max(totals, key=totals.__getitem__) if totals else None


def per_word(words: Sequence[Word], turns: Sequence[SpeakerTurn]) -> list[str | None]:
    """whisperX's `assign_word_speakers`: the speaker sharing most time with the word, else none."""
    found = _Turns(turns)
    return [found.greatest_overlap(word.start, word.end) for word in words]


def per_word_filled(words: Sequence[Word], turns: Sequence[SpeakerTurn]) -> list[str | None]:
    """The same with `fill_nearest`: a word outside all turns goes to the turn with the nearest middle."""
    ordered = _Turns(turns).ordered
    labels = per_word(words, turns)
    for i, word in enumerate(words):
        if labels[i] is None and ordered:
            labels[i] = _nearest(ordered, (word.start + word.end) / 2)
    return labels


def _nearest(turns: Sequence[SpeakerTurn], middle: float) -> str:
    return min(turns, key=lambda turn: abs((turn.start + turn.end) / 2 - middle)).speaker


def segments(words: Sequence[Word]) -> list[list[int]]:
    """Segments as Whisper makes them: cut at sentence ends and pauses over 0.5 s, 10 s at most."""
    groups: list[list[int]] = []
    for i, word in enumerate(words):
        if groups:
            last = words[groups[-1][-1]]
            opened = words[groups[-1][0]].start
            if not ends_sentence(last.text) and word.start - last.end <= 0.5 and word.end - opened <= 10.0:
                groups[-1].append(i)
                continue
        groups.append([i])
    return groups


def per_segment(words: Sequence[Word], turns: Sequence[SpeakerTurn]) -> list[str | None]:
    """The predecessor's rule: a segment goes whole to the one turn that shares most time with it."""
    labels: list[str | None] = [None] * len(words)
    for group in segments(words):
        start, end = words[group[0]].start, max(words[i].end for i in group)
        best, most = None, 0.0
        for turn in turns:
            shared = min(end, turn.end) - max(start, turn.start)
            if shared > most:
                best, most = turn.speaker, shared
        for i in group:
            labels[i] = best
    return labels


def sentence_vote(words: Sequence[Word], turns: Sequence[SpeakerTurn]) -> list[str | None]:
    """whisper-diarization's rule: a word goes to the turn its start lies in (else the next, else the last);
    where the speaker changes in mid-sentence, a speaker with at least half the sentence's words (50 at most)
    gets all of it."""
    ordered = sorted(turns, key=lambda turn: turn.start)
    if not ordered:
        return [None] * len(words)
    labels: list[str] = []
    turn = 0
    for word in words:
        while turn + 1 < len(ordered) and word.start > ordered[turn].end:
            turn += 1
        labels.append(ordered[turn].speaker)
    finals = [i for i, word in enumerate(words) if ends_sentence(word.text)]
    voted: list[str | None] = list(labels)
    i = 0
    while i < len(words):
        if i + 1 < len(words) and labels[i] != labels[i + 1] and not ends_sentence(words[i].text):
            place = bisect_right(finals, i - 1)
            first = finals[place - 1] + 1 if place else 0
            last = finals[place] if place < len(finals) else len(words) - 1
            if last - first < 50:
                label, votes = Counter(labels[first : last + 1]).most_common(1)[0]
                if votes * 2 >= last - first + 1:
                    voted[first : last + 1] = [label] * (last - first + 1)
                i = max(i, last)
        i += 1
    return voted


def ours(words: Sequence[Word], turns: Sequence[SpeakerTurn]) -> list[str | None]:
    """`core.attribution.attribute`."""
    bare = [Word(start=word.start, end=word.end, text=word.text) for word in words]
    return [
        word.speaker for utterance in attribute(bare, turns, overlapping=True) for word in utterance.words
    ]


RULES: dict[str, Rule] = {
    "ours": ours,
    "whisperX": per_word,
    "whisperX, fill_nearest": per_word_filled,
    "sentence vote": sentence_vote,
    "predecessor": per_segment,
}
