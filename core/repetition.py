"""Runaway repetition: a phrase that a recogniser writes over and over because it is stuck. Pure.

A stuck recogniser goes on until its window is full: Whisper stops at 224 tokens, which is a word about 170
times or a sentence of twenty words 8 times. People repeat themselves too, but far less, and what they say has
the pace of speech. So a phrase is cut at a number of repetitions between the two; at a lower one where other
evidence speaks against it. Whisper's own test, text that shrinks more than 2.4-fold under zlib, lies lower
still, at 12 times "no": too low to cut by, since it is only meant to try again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

LONGEST = 40
"""Tokens in the longest phrase that is looked for."""

LONG_WORD = 40
"""Characters from which on a word may be a loop in a script without spaces."""

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def normal(text: str) -> str:
    """Letters and digits in one case, by which words are compared; the text itself where it has none."""
    return "".join(character for character in text.casefold() if character.isalnum()) or text.strip()


def bearable(tokens: int, *, doubtful: bool) -> int:
    """How many times in a row a phrase of so many `tokens` may be said; `doubtful` if other evidence is
    against it.

    Laughter, "no, no, no", counting to four in a gym and a chorus sung three times stay within it.
    """
    for longest, plain, suspicious in ((1, 20, 10), (2, 14, 7), (3, 10, 5), (7, 8, 4)):
        if tokens <= longest:
            return suspicious if doubtful else plain
    return 3 if doubtful else 5


def superfluous(tokens: Sequence[str], doubtful: Flags | None = None) -> list[int]:
    """Indices of the `tokens` that only repeat the phrase before them too often, in order.

    The first occurrence stays. `doubtful` marks tokens that other evidence is against. Nothing is superfluous
    in what is left. O(tokens) for each level of loops within loops.
    """
    numbers = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    ids: Ints = np.array([numbers[token] for token in tokens], dtype=np.int64)
    doubts: Flags = np.zeros(len(ids), dtype=np.bool_) if doubtful is None else doubtful
    left: Ints = np.arange(len(ids))
    while True:
        cut = _repeated(ids[left], doubts[left])
        if not cut.any():
            break
        left = left[~cut]
    gone = np.ones(len(ids), dtype=np.bool_)
    gone[left] = False
    return [int(index) for index in np.flatnonzero(gone)]


def text_runaway(text: str) -> str:
    """`text` with every phrase that is repeated too often in a row written once; else unchanged.

    Also finds loops within a word, as in scripts without spaces.
    """
    while True:
        shorter = _without(_WORD.sub(_unlooped, text), lambda match: normal(match[0]))
        if shorter == text:
            return text
        text = shorter


_WORD = re.compile(r"\S+")
_CHARACTER = re.compile(r"\S")


def _unlooped(match: re.Match[str]) -> str:
    word = match[0]
    if len(word) < LONG_WORD or not any(map(str.isalpha, word)):
        return word
    return _without(word, lambda character: character[0].casefold(), _CHARACTER)


def _without(text: str, key: Callable[[re.Match[str]], str], token: re.Pattern[str] = _WORD) -> str:
    found = list(token.finditer(text))
    cut = superfluous([key(match) for match in found])
    kept: list[str] = []
    at = 0
    for index in cut:
        # with the space before it; a loop never begins with its superfluous part, so there is a word before
        before = found[index - 1].end()
        if at < before:
            kept.append(text[at:before])
        at = found[index].end()
    return "".join(kept) + text[at:]


def _repeated(ids: Ints, doubts: Flags) -> Flags:
    """What to cut now: in each loop everything but the first occurrence. Shorter phrases come first, so that
    a loop counts by its shortest phrase."""
    cut: Flags = np.zeros(len(ids), dtype=np.bool_)
    taken = cut.copy()
    doubted = np.concatenate([[0], np.cumsum(doubts)])
    for period in range(1, min(LONGEST, len(ids) // 2) + 1):
        same = np.concatenate([[False], ids[period:] == ids[:-period], [False]])
        edges = np.flatnonzero(same[1:] != same[:-1])
        first, last = edges[::2], edges[1::2]
        for begin, end in zip(
            *(part[last - first >= period].tolist() for part in (first, last)), strict=True
        ):
            times = (end - begin) // period + 1
            over = begin + times * period
            doubtful = 2 * (doubted[over] - doubted[begin]) > over - begin
            if times > bearable(period, doubtful=bool(doubtful)) and not taken[begin:over].any():
                taken[begin:over] = True
                cut[begin + period : over] = True
    return cut
