"""A language that drifts inside a recording: text that is not in the language it was taken for. Pure.

A recogniser that was told or has decided on one language may go on in another, or write another one down
wrongly. What the text looks like tells; the reader can then share the recording again with the languages that
were spoken. Names, loan words and a quoted sentence are no drift: it takes about a hundred words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from core.language_profiles import alike, known, shares
from core.model import Word
from core.render.languages import language_name
from core.render.times import clock

_BLOCK = 180  # letters looked at together: about 35 words
_DENSE = "\u0e00"  # from here on, scripts write a word in half as many letters (Thai, Chinese, Korean)
# Chosen on a thousand sentences each in 60 languages (the test set of the package eld 1.0.6): 1 block in 800
# is taken for a language that it is not, and no text raises an alarm where its own language is expected.
_CLEAR = 0.15  # of the words are a language's little words, at least
_OTHERS, _EXPECTED = 0.8, 0.5  # of that share, at most, speak for any other language, and for an expected one
_FEWEST = 2  # blocks that make a drift
_BRIDGED = 2  # unclear blocks between them
_ALL = 10  # blocks in an unexpected language for each expected one: then it is the whole text
_NAMED = 2  # stretches in a language that get a sentence each; more share one


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """Words from `start` to `end` seconds, and what they are in: a language that was not expected, an
    `expected` one, or unclear (neither)."""

    start: float
    end: float
    language: str = ""
    expected: bool = False


def drifts(words: Sequence[Word], languages: Sequence[str], allowed: Sequence[str] = ()) -> tuple[str, ...]:
    """Sentences for the reader on stretches of `words` (in order) in other languages than expected.

    Expected are the `allowed` languages if there are any, else those that the engine claims (`languages`),
    else the one that most of the text is in; ISO 639-1 codes. Says nothing where the evidence is not clear,
    or if an expected language is none that can be told.
    """
    pieces = _pieces(words)
    looks = [shares(" ".join(word.text for word in piece)) for piece in pieces]
    named = [_code(language) for language in (allowed or languages) if language]
    if not named:
        seen = Counter(code for look in looks if (code := _clearest(look)))
        named = [code for code, _ in seen.most_common(1)]
    named = list(dict.fromkeys(named))
    expected = [_told(code) for code in named]
    if not named or not all(expected):
        return ()
    together = [code for codes in expected for code in codes]
    blocks = [_block(piece, look, together) for piece, look in zip(pieces, looks, strict=True)]
    return _sentences(_runs(blocks), blocks, named)


def _pieces(words: Sequence[Word]) -> list[list[Word]]:
    """`words` in pieces of about `_BLOCK` letters; a short rest belongs to the last one."""
    pieces: list[list[Word]] = []
    letters = _BLOCK
    for word in words:
        if letters >= _BLOCK:
            pieces.append([])
            letters = 0
        pieces[-1].append(word)
        letters += _letters(word.text)
    if len(pieces) > 1 and letters < _BLOCK / 2:
        rest = pieces.pop()
        pieces[-1] += rest
    return pieces


def _letters(text: str) -> int:
    return len(text) if text.isascii() else sum(1 + (letter >= _DENSE) for letter in text if letter.isalpha())


def _code(language: str) -> str:
    return re.split("[-_]", language, maxsplit=1)[0].lower()


def _told(code: str) -> list[str]:
    """The languages with a profile that stand for `code`: itself, or those too close to tell apart."""
    profiles = known()
    return [code] if code in profiles else sorted(other for other in profiles if alike(code, other))


def _clearest(look: dict[str, float]) -> str | None:
    """The language that the evidence is clearly for."""
    best = max(look, key=lambda code: look[code], default=None)
    if best is None or look[best] < _CLEAR:
        return None
    if any(share > _OTHERS * look[best] for code, share in look.items() if not alike(code, best)):
        return None
    return best


def _block(words: Sequence[Word], look: dict[str, float], expected: Sequence[str]) -> _Block:
    found = _clearest(look)
    start, end = words[0].start, words[-1].end
    if found is None:
        return _Block(start=start, end=end)
    if any(alike(found, code) for code in expected):
        return _Block(start=start, end=end, expected=True)
    doubtful = any(look.get(code, 0.0) > _EXPECTED * look[found] for code in expected)
    return _Block(start=start, end=end, language="" if doubtful else found)


def _runs(blocks: Sequence[_Block]) -> list[list[_Block]]:
    """Blocks in one unexpected language with no more than a few unclear ones between them."""
    runs: list[list[_Block]] = []
    unclear: list[_Block] = []
    going_on = False
    for block in blocks:
        if block.expected:
            going_on = False
        elif not block.language:
            unclear.append(block)
        elif going_on and len(unclear) <= _BRIDGED and alike(block.language, runs[-1][0].language):
            runs[-1].append(block)
        else:
            runs.append([block])
            going_on = True
        if block.expected or block.language:
            unclear = []
    return [run for run in runs if len(run) >= _FEWEST]


def _sentences(
    runs: Sequence[Sequence[_Block]], blocks: Sequence[_Block], named: Sequence[str]
) -> tuple[str, ...]:
    by_language: dict[str, list[Sequence[_Block]]] = {}
    for run in runs:
        language = Counter(block.language for block in run).most_common(1)[0][0]
        by_language.setdefault(language, []).append(run)
    instead = " or ".join(language_name(code) for code in named)
    said: list[str] = []
    for language, found in by_language.items():
        looks = f"looks like {language_name(language)} rather than {instead}"
        advice = f"if that is what was spoken, share it again with languages {', '.join([*named, language])}."
        places = [f"From {clock(run[0].start)} to {clock(run[-1].end)} the text" for run in found]
        if len(by_language) == 1 and sum(map(len, found)) > _ALL * sum(block.expected for block in blocks):
            places = ["The text"]
        elif len(found) > _NAMED:
            first = found[0]
            where = f"the first from {clock(first[0].start)} to {clock(first[-1].end)}"
            places = [f"In {len(found)} places, {where}, the text"]
        said += [f"{place} {looks}: {advice}" for place in places]
    return tuple(said)
