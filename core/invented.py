"""Text that nobody said: loops, echoes of the vocabulary, and words over silence or music. Pure.

It is cut with a sentence that says where. Text that may be real stays: in doubt the reader is told instead.
Times are seconds; ranges are half-open and of indices into the words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from core.model import Recognition, Word
from core.plausibility import Flags, Range, Span, hasty, outside_speech, ranges, silent
from core.render.times import clock
from core.repetition import LONG_WORD, normal, superfluous, text_runaway
from core.stock_phrases import mentions

_PAUSE = 1.0  # seconds before a word that begins a new piece of text
_FEWEST = 3  # words; fewer outside speech may be an "mm-hm" that the detector missed
_LARGEST_SHARE, _ALWAYS = 0.2, 8  # of the words that may lie outside speech while the detector is believed
_LISTED, _LISTED_SILENTLY, _LISTED_SURELY = 4, 3, 8  # entries of the vocabulary in a row
_NAMED = 3  # stretches that get a sentence each; more share one

_REPEATED = "the recogniser repeated itself, so that text was cut."
_ECHOED = "the recogniser wrote down the vocabulary it was given, so that text was cut."
_SILENT = "nobody speaks, so the text that the recogniser gave there was cut."


def runaways(words: Sequence[Word], *, speech: Sequence[Span] | None = None) -> list[Range]:
    """Words that only repeat the phrase before them, more often than anybody would; the first stays.

    Repetition faster than speech, or outside `speech` (None: unknown), is borne less.
    """
    return ranges(superfluous([normal(word.text) for word in words], hasty(words) | silent(words, speech)))


def prompt_echoes(
    words: Sequence[Word], vocabulary: Sequence[str], *, speech: Sequence[Span] | None = None
) -> list[Range]:
    """Where the text is the `vocabulary` itself, most of it and in its order.

    A few entries are enough where nobody speaks. Else it takes the start of a piece of text, and words that
    come faster than speech unless `speech` is unknown (None): people do read out lists of names.
    """
    entries = _entries(vocabulary)
    beginnings = {entry[0] for entry in entries}
    tokens = [normal(word.text) for word in words]
    hurried, unheard = hasty(words), silent(words, speech)
    found: list[Range] = []
    at = 0
    while at < len(tokens):
        if tokens[at] not in beginnings:
            at += 1
            continue
        listed, end = _listed(tokens, at, entries)
        believable = speech is not None and not _mostly(hurried[at:end])
        if (listed >= _LISTED_SILENTLY and _mostly(unheard[at:end])) or (
            listed >= _enough(entries) and _begins(words, at) and not believable
        ):
            found.append((at, end))
            at = end
        else:
            at += 1
    return found


def stock_phrases(words: Sequence[Word], spans: Sequence[Span]) -> list[Range]:
    """Phrases that recognisers are known to write over silence ("Thanks for watching", "Subtitles by ..."),
    where less than half of them overlaps `spans` of speech: people say some of them too."""
    unheard = silent(words, spans)
    found: list[Range] = []
    for first, last, open_ended in mentions([normal(word.text) for word in words]):
        if not _mostly(unheard[first:last]):
            continue
        end = last
        while open_ended and end < len(words) and unheard[end] and not _begins(words, end):
            end += 1
        found.append((first, end))
    return ranges(dict.fromkeys(index for first, end in found for index in range(first, end)))


def cut_invented(
    recognition: Recognition, *, speech: Sequence[Span] | None, vocabulary: Sequence[str] = ()
) -> Recognition:
    """`recognition` without what was invented, with warnings that say where.

    `speech` are the detected stretches of speech in order, None if nobody knows. Words outside it are only
    cut while they are few and the others lie within; else the detector may be wrong, and the reader is told
    instead. Words that stay are neither changed nor moved, but for a loop within one word. Idempotent.
    """
    if not recognition.words:
        return _cut_text(recognition, vocabulary)
    words = [_unlooped(word) for word in recognition.words]
    reasons = [""] * len(words)
    left = list(range(len(words)))
    while True:
        now = [words[index] for index in left]
        reason, found = _invented(now, speech, vocabulary)
        if not found:
            break
        for first, last in found:
            for at in range(first, last):
                reasons[left[at]] = reason
        left = [index for index in left if not reasons[index]]
    stretches = _stretches(words, reasons)
    stretches += [
        (_REPEATED, words[index].start, words[index].end)
        for index in left
        if words[index] is not recognition.words[index]
    ]
    warnings = [
        sentence
        for reason in (_REPEATED, _ECHOED, _SILENT)
        for sentence in _sentences([(start, end) for why, start, end in stretches if why == reason], reason)
    ]
    return replace(
        recognition,
        words=tuple(now),
        warnings=tuple(dict.fromkeys((*recognition.warnings, *warnings, *_doubts(now, speech)))),
    )


def _invented(
    words: Sequence[Word], speech: Sequence[Span] | None, vocabulary: Sequence[str]
) -> tuple[str, list[Range]]:
    """What to cut next, and why. One thing at a time: what is left may form a new loop."""
    if found := runaways(words, speech=speech):
        return _REPEATED, found
    if found := prompt_echoes(words, vocabulary, speech=speech):
        return _ECHOED, found
    return _SILENT, _unspoken(words, speech) if speech is not None else []


def _unspoken(words: Sequence[Word], speech: Sequence[Span]) -> list[Range]:
    """Words over silence to cut now: stock phrases, and others while the detector may be believed."""
    if known := stock_phrases(words, speech):
        return known
    outside = outside_speech(words, speech)
    many = sum(last - first for first, last in outside) > max(_ALWAYS, _LARGEST_SHARE * len(words))
    if many or _mostly(silent(words, speech)):
        return []
    return [(first, last) for first, last in outside if last - first >= _FEWEST]


def _cut_text(recognition: Recognition, vocabulary: Sequence[str]) -> Recognition:
    """The same for text without times, which is that of one stretch of speech."""
    text = text_runaway(recognition.text)
    reasons = [_REPEATED] if text != recognition.text else []
    entries = _entries(vocabulary)
    while True:
        words = text.split()
        listed, end = _listed([normal(word) for word in words], 0, entries)
        if listed < _enough(entries):
            break
        text = " ".join(words[end:])
        reasons.append(_ECHOED)
    warnings = [reason[0].upper() + reason[1:] for reason in reasons]
    return replace(recognition, text=text, warnings=tuple(dict.fromkeys((*recognition.warnings, *warnings))))


def _stretches(words: Sequence[Word], reasons: Sequence[str]) -> list[tuple[str, float, float]]:
    """When the runs of words were said that were cut for one reason, with nothing kept between them."""
    found: list[tuple[str, float, float]] = []
    for reason, group in groupby(range(len(words)), key=reasons.__getitem__):
        indices = list(group)
        if reason:
            found.append((reason, words[indices[0]].start, words[indices[-1]].end))
    return found


def _sentences(stretches: Sequence[Span], reason: str) -> list[str]:
    """Where something was cut, and why; one sentence for many places."""
    if len(stretches) > _NAMED:
        start, end = stretches[0]
        return [f"In {len(stretches)} places, the first between {clock(start)} and {clock(end)}, {reason}"]
    return [f"Between {clock(start)} and {clock(end)} {reason}" for start, end in stretches]


def _doubts(words: Sequence[Word], speech: Sequence[Span] | None) -> list[str]:
    """What to say of words that stay although no speech was detected there."""
    if speech is None:
        return []
    found = [(first, last) for first, last in outside_speech(words, speech) if last - first >= _FEWEST]
    if not found:
        return []
    first, last = found[0]
    more = ("", " and in one more place", f" and in {len(found) - 1} more places")[min(len(found), 3) - 1]
    where = f"Between {clock(words[first].start)} and {clock(words[last - 1].end)}{more}"
    return [
        f"{where} there is text although no speech could be detected: please check it against the recording."
    ]


def _mostly(flags: Flags) -> bool:
    return 2 * int(flags.sum()) > len(flags)


def _begins(words: Sequence[Word], at: int) -> bool:
    """Whether a new piece of text begins with this word."""
    return at == 0 or words[at].start - words[at - 1].end >= _PAUSE


def _unlooped(word: Word) -> Word:
    text = text_runaway(word.text) if len(word.text) >= LONG_WORD else word.text
    return word if text == word.text else replace(word, text=text)


def _entries(vocabulary: Iterable[str]) -> list[list[str]]:
    return [tokens for tokens in ([normal(word) for word in entry.split()] for entry in vocabulary) if tokens]


def _enough(entries: Sequence[object]) -> int:
    """How many entries in a row make an echo: most of a short list, some of a long one."""
    return max(_LISTED, min(_LISTED_SURELY, math.ceil(0.6 * len(entries))))


def _listed(tokens: Sequence[str], at: int, entries: Sequence[Sequence[str]]) -> tuple[int, int]:
    """How many entries follow one another from token `at`, in order (one may be left out); where they end."""
    number = next((i for i, entry in enumerate(entries) if _says(tokens, at, entry)), len(entries))
    listed, end = 0, at
    while number < len(entries):
        step = next(
            (i for i in (number, number + 1) if i < len(entries) and _says(tokens, end, entries[i])), None
        )
        if step is None:
            break
        listed, end, number = listed + 1, end + len(entries[step]), step + 1
    return listed, end


def _says(tokens: Sequence[str], at: int, entry: Sequence[str]) -> bool:
    return at < len(tokens) and tokens[at] == entry[0] and list(tokens[at : at + len(entry)]) == list(entry)
