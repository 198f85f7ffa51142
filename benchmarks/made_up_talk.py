"""Talk that nobody said, for servers that hear nothing: turns of speakers, and words in them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from core.model import SpeakerTurn, Word

_WORDS_PER_SECOND = 2.5
_VOCABULARY = (
    *("we", "should", "have", "look", "at", "the", "plan", "for", "next", "week", "because", "first", "part"),
    *("was", "not", "done", "when", "they", "came", "to", "see", "it", "and", "I", "think", "that", "most"),
    *(
        "people",
        "would",
        "like",
        "some",
        "more",
        "time",
        "before",
        "you",
        "say",
        "what",
        "this",
        "will",
        "cost",
    ),
)


def made_up_turns(seconds: float, speakers: int = 3) -> list[SpeakerTurn]:
    """A conversation: turns of 2 to 20 s, with short pauses."""
    rng = random.Random(round(seconds * 1000))
    turns: list[SpeakerTurn] = []
    at = 0.3
    while at < seconds - 1:
        end = min(at + min(20.0, 2 + rng.expovariate(1 / 6)), seconds - 0.3)
        turns.append(SpeakerTurn(start=at, end=end, speaker=str(1 + len(turns) % speakers)))
        at = end + rng.uniform(0.1, 0.6)
    return turns


def made_up_words(turns: Sequence[SpeakerTurn]) -> list[Word]:
    """What is said in `turns`: about 2.5 words a second."""
    words: list[Word] = []
    for turn in turns:
        count = max(1, round((turn.end - turn.start) * _WORDS_PER_SECOND))
        step = (turn.end - turn.start) / count
        for number in range(count):
            start = turn.start + number * step
            text = _VOCABULARY[(7 * len(words) + len(words) // 13) % len(_VOCABULARY)]
            words.append(Word(start=start, end=start + 0.9 * step, text=text, speaker=turn.speaker))
    return words


def made_up_text(seconds: float) -> str:
    """What somebody says in that time: one word at least."""
    return " ".join(word.text for word in made_up_words([SpeakerTurn(start=0, end=seconds, speaker="1")]))
