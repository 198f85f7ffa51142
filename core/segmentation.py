"""From labelled words to utterances, and the repair of word times that no arithmetic survives.

Pure. Used by `core.attribution` (one stream of words, speakers from diarization) and `core.channels` (one
stream per speaker). Linear in the number of words.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from core.model import Utterance, Word

SENTENCE_PAUSE = 1.5
"""Seconds of silence after a finished sentence (or anywhere, in text without punctuation) that end an
utterance although the same speaker goes on."""

LONG_PAUSE = 3.0
"""Seconds of silence that end an utterance even in the middle of a sentence."""

FURTHEST = 1e7
"""Seconds. Times beyond it (115 days) are taken for garbage: sums with them would lose all precision."""

BLUR = 0.05
"""Seconds by which words of different speakers may run into one another without talking over each other."""

_JITTER = 0.5
_VOICES = 4
# The marks of other scripts are meant here, however much they look like Latin ones (RUF001).
_FINAL = frozenset(".?!…。．？！؟۔।॥։።፧‽")  # noqa: RUF001
_WEAK = frozenset(",;:،、，；：–—")  # noqa: RUF001
_CLOSING = "\"'”’»)]}›」』）"  # noqa: RUF001
_GLYPH_SECONDS = 0.08
_SHORTEST_CAP = 0.25


def ends_sentence(text: str) -> bool:
    """Whether a word carries sentence-final punctuation, in any script, also before a closing quote."""
    bare = text.rstrip().rstrip(_CLOSING)
    return bool(bare) and bare[-1] in _FINAL


def ends_clause(text: str) -> bool:
    """Whether a word carries a comma, a dash or their like."""
    bare = text.rstrip().rstrip(_CLOSING)
    return bool(bare) and bare[-1] in _WEAK


def plausible_seconds(text: str) -> float:
    """How long saying `text` takes at most, roughly. Recognisers stretch a word over the pause that follows
    it (Whisper, forced aligners), so what lies beyond is silence or somebody else. Digits are read out."""
    glyphs = len(text.strip())
    if any(map(str.isdigit, text)):
        glyphs += 3 * sum(map(str.isdigit, text))
    return _SHORTEST_CAP + _GLYPH_SECONDS * glyphs


def repaired(words: Iterable[Word]) -> list[Word]:
    """The same words with usable times, sorted by start; sound input comes back unchanged.

    Missing times (NaN, infinite, absurd) are filled in between their neighbours', a negative length becomes
    zero. A word that starts up to half a second before its predecessor keeps its place in the text and is
    moved to the predecessor's start: the order of the text is more reliable than the recogniser's clock. A
    word further off is sorted to where its time says.
    """
    given = list(words)
    if all(map(_in_order, given, given[1:])) and (not given or _in_order(given[-1], given[-1])):
        return given
    spans = [_span(word) for word in given]
    if None in spans:
        spans = _interpolated(spans)
    keys: list[float] = []
    moved = False
    previous = -FURTHEST
    for span in spans:
        start = span[0] if span else 0.0
        if start < previous:
            moved = True
            if start >= previous - _JITTER:
                start = previous
        keys.append(start)
        previous = start
    order = sorted(range(len(given)), key=keys.__getitem__) if moved else range(len(given))
    result = []
    for i in order:
        word, span, start = given[i], spans[i], keys[i]
        end = max(start, span[1]) if span else start
        if word.start != start or word.end != end:
            word = Word(
                start=start, end=end, text=word.text, confidence=word.confidence, speaker=word.speaker
            )
        result.append(word)
    return result


def _in_order(word: Word, following: Word) -> bool:
    return -FURTHEST <= word.start <= word.end <= FURTHEST and word.start <= following.start


def _span(word: Word) -> tuple[float, float] | None:
    start, end = word.start, word.end
    start_ok, end_ok = abs(start) <= FURTHEST, abs(end) <= FURTHEST  # both False for NaN
    if start_ok:
        return (start, end if end_ok and end >= start else start)
    return (end, end) if end_ok else None


def _interpolated(spans: Sequence[tuple[float, float] | None]) -> list[tuple[float, float] | None]:
    filled = list(spans)
    i = 0
    while i < len(filled):
        if filled[i] is not None:
            i += 1
            continue
        j = i
        while j < len(filled) and filled[j] is None:
            j += 1
        before = filled[i - 1] if i else None
        after = filled[j] if j < len(filled) else None
        left = before[1] if before else after[0] if after else 0.0
        right = max(left, after[0]) if after else left
        step = (right - left) / (j - i)
        for k in range(i, j):
            filled[k] = (left + step * (k - i), left + step * (k - i + 1))
        i = j
    return filled


def spoken_ends(words: Sequence[Word]) -> list[float]:
    """Where each word has ended in all likelihood, at or before its `end`."""
    most = {text: plausible_seconds(text) for text in {word.text for word in words}}
    return [
        end if (end := word.end) <= (latest := word.start + most[word.text]) else latest for word in words
    ]


def voices(words: Sequence[Word], ends: Sequence[float]) -> list[int]:
    """An order of the words (as indices) in which words that interleave in time stand voice by voice.

    Words that lie across each other come from different mouths. Each goes on with the voice that fell silent
    last before it; a voice that ends within another's speech stands after the word it began in, any other
    after the voice it outlasts. Where no words overlap, as in most recognisers' output, the order is that of
    the words. At most `_VOICES` are kept apart at a time, so the work is linear. `ends` are `spoken_ends`.
    """
    order = list(range(len(words)))
    for first, stop in _tangles([word.start for word in words], ends):
        order[first:stop] = _voice_by_voice(words, ends, range(first, stop))
    return order


def _tangles(starts: Sequence[float], ends: Sequence[float]) -> Iterator[tuple[int, int]]:
    """Stretches of two words or more (by start) in which each begins before an earlier one has ended."""
    if len(starts) < 2:
        return
    reach = np.maximum.accumulate(np.array(ends))[:-1]
    clear = np.flatnonzero(np.array(starts)[1:] >= reach - BLUR) + 1
    edges = np.concatenate([[0], clear, [len(starts)]])
    for place in np.flatnonzero(np.diff(edges) > 1).tolist():
        yield int(edges[place]), int(edges[place + 1])


def _voice_by_voice(words: Sequence[Word], ends: Sequence[float], tangle: Iterable[int]) -> list[int]:
    threads: list[list[int]] = []
    open_: list[list[int]] = []
    for i in tangle:
        free = [thread for thread in open_ if ends[thread[-1]] <= words[i].start + BLUR]
        if free:
            max(free, key=lambda thread: ends[thread[-1]]).append(i)
            continue
        threads.append([i])
        open_ = [*open_, threads[-1]][-_VOICES:]
    after: dict[int, list[int]] = {}
    order: list[int] = []
    main: list[int] = []
    for thread in threads:
        if main and ends[thread[-1]] < ends[main[-1]]:
            place = bisect_right(main, thread[0]) - 1
            after.setdefault(main[place], []).extend(thread)
        else:
            order.extend(thread)
            main = thread
    return [each for i in order for each in (i, *after.get(i, ()))]


def sentence_ends(words: Sequence[Word]) -> list[bool]:
    """Per word, whether it ends a sentence."""
    final = {text for text in {word.text for word in words} if ends_sentence(text)}
    return [word.text in final for word in words]


def is_punctuated(finals: Sequence[bool]) -> bool:
    """Whether a text carries sentence punctuation at all: one final mark per 50 words or more."""
    marks = sum(finals)
    return marks > 0 and marks * 50 >= len(finals)


def into_utterances(words: Sequence[Word]) -> tuple[Utterance, ...]:
    """Group words that carry their speaker: a new utterance at each change of speaker and at long pauses.

    Every word is kept, in order, exactly once. `Utterance.overlap` is set where words of different speakers
    lie at the same time for more than a blur (0.05 s, word ends cut to a plausible length).
    """
    sound = repaired(words)
    return cut(sound, range(1, len(sound)))


def cut(words: Sequence[Word], places: Iterable[int]) -> tuple[Utterance, ...]:
    """Utterances of words whose times are sound, cut only before some of the `places` (ascending indices):
    where the speaker changes, and where a pause is long."""
    ends, finals = spoken_ends(words), sentence_ends(words)
    punctuated = is_punctuated(finals)
    cuts = [0] if words else []
    for i in places:
        word, previous = words[i], words[i - 1]
        pause = word.start - ends[i - 1]
        enough = SENTENCE_PAUSE if finals[i - 1] or not punctuated else LONG_PAUSE
        if pause >= enough or word.speaker != previous.speaker:
            cuts.append(i)
    bounds = list(pairwise([*cuts, len(words)]))
    return tuple(
        Utterance(
            speaker=words[first].speaker,
            start=words[first].start,
            end=max(word.end for word in words[first:stop]),
            words=tuple(words[first:stop]),
            overlap=flag,
        )
        for (first, stop), flag in zip(bounds, _overlapped(words, ends, bounds), strict=True)
    )


def _overlapped(
    words: Sequence[Word], ends: Sequence[float], bounds: Sequence[tuple[int, int]]
) -> list[bool]:
    """Which utterances hold a word that lies across a word of another speaker.

    A sweep in order of time that remembers the word reaching furthest, and the one reaching furthest among
    the other speakers' words: constant work per word.
    """
    flags = [False] * len(bounds)
    order = sorted(range(len(words)), key=lambda i: words[i].start)
    starts_of = [first for first, _ in bounds]
    for begin, stop in _tangles([words[i].start for i in order], [ends[i] for i in order]):
        first = second = -1
        for i in order[begin:stop]:
            speaker = words[i].speaker
            same = first >= 0 and words[first].speaker == speaker
            rival = second if same else first
            if rival >= 0 and min(ends[rival], ends[i]) - words[i].start > BLUR:
                for each in (i, rival):
                    flags[bisect_right(starts_of, each) - 1] = True
            if first < 0 or ends[i] >= ends[first]:
                if first >= 0 and not same:
                    second = first
                first = i
            elif not same and (second < 0 or ends[i] >= ends[second]):
                second = i
    return flags
