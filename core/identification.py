"""Whose voice a speaker has: scores of speakers against known voices, and what may be said of them. Pure.

A claim must be clear both ways: no other voice is nearly as like the speaker, and no other speaker nearly as
like the voice. So no two speakers of a recording get the same name, and where a diarizer made two speakers of
one person the weaker half is only a suggestion.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

from core.model import Utterance

Vector: TypeAlias = Sequence[float]

Span: TypeAlias = tuple[float, float]
"""Start and end in seconds."""

Scores: TypeAlias = Mapping[str, Mapping[str, float]]
"""Speaker label -> voice id -> how alike they are, at most 1."""

MARGIN = 0.05
"""By how much the best voice must lead the second-best one."""

_LEAST_SPEECH = 2.0  # seconds that a speaker must talk to be compared at all
_SHORTEST = 0.8  # seconds; less says little about a voice
_LEAST_SHARE = 0.5  # of a speaker's speech that a voice must be heard in to count in full
_OTHER_VOICE_SECONDS = 3.0  # what a second voice in a sample must have; less is a cough or a laugh


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """Speaker label -> voice id: who somebody is, and who somebody may be."""

    claims: Mapping[str, str]
    suggestions: Mapping[str, str]


def name_speakers(scores: Scores, *, sure: float, perhaps: float, margin: float = MARGIN) -> Naming:
    """What the scores allow to be said: from `sure` a claim, from `perhaps` a suggestion, below it nothing.

    Neither is made where the best voice does not lead the second-best by `margin`.
    """
    claims: dict[str, str] = {}
    suggestions: dict[str, str] = {}
    for speaker, row in scores.items():
        if not row:
            continue
        voice, best = max(row.items(), key=lambda item: item[1])
        if best < perhaps or not _leads(
            best, (value for other, value in row.items() if other != voice), margin
        ):
            continue
        rivals = (other.get(voice, -1.0) for label, other in scores.items() if label != speaker)
        clear = best >= sure and _leads(best, rivals, margin)
        (claims if clear else suggestions)[speaker] = voice
    return Naming(claims=claims, suggestions=suggestions)


def _leads(best: float, others: Iterable[float], margin: float) -> bool:
    second = max(others, default=-math.inf)
    return best > second and best - second >= margin


def cosine(one: Vector, other: Vector) -> float:
    """How alike two embeddings are, -1..1; -1 where one of them says nothing or they don't compare."""
    if len(one) != len(other):
        return -1.0
    length = math.hypot(*one) * math.hypot(*other)
    if not 0 < length < math.inf:
        return -1.0
    return max(-1.0, min(1.0, sum(a * b for a, b in zip(one, other, strict=True)) / length))


def mean(weighted: Iterable[tuple[Vector, float]]) -> tuple[float, ...] | None:
    """The mean direction of embeddings with weights, such as their seconds, at length 1; None for none."""
    total: list[float] = []
    for vector, weight in weighted:
        length = math.hypot(*vector)
        if not (0 < length < math.inf and weight > 0):
            continue
        total = total or [0.0] * len(vector)
        total = [sum_ + value / length * weight for sum_, value in zip(total, vector, strict=True)]
    length = math.hypot(*total)
    return tuple(value / length for value in total) if length > 0 else None


def pick(spans: Iterable[Span], *, seconds: float, longest: float, shortest: float = 0.0) -> list[Span]:
    """The longest spans, in order of time, `seconds` in all; one longer than `longest` is cut up."""
    pieces = [
        (start + longest * part, min(end, start + longest * (part + 1)))
        for start, end in spans
        for part in range(math.ceil((end - start) / longest))
    ]
    kept: list[Span] = []
    left = seconds
    for start, end in sorted(pieces, key=lambda piece: (piece[0] - piece[1], piece[0])):
        length = min(end - start, left)
        if length <= 0 or length < shortest:
            break
        kept.append((start, start + length))
        left -= length
    return sorted(kept)


def excerpts(utterances: Iterable[Utterance], *, seconds: float = 30.0) -> dict[str, list[Span]]:
    """For each labelled speaker where their voice is best heard: their longest utterances, `seconds` in all,
    and those over which others talk only where there are no others. Who hardly speaks is left out."""
    alone: dict[str, list[Span]] = {}
    all_spans: dict[str, list[Span]] = {}
    for said in utterances:
        if said.speaker is None or said.end <= said.start:
            continue
        all_spans.setdefault(said.speaker, []).append((said.start, said.end))
        if not said.overlap:
            alone.setdefault(said.speaker, []).append((said.start, said.end))
    found = {}
    for speaker, spans in all_spans.items():
        chosen = pick(alone.get(speaker, spans), seconds=seconds, longest=10.0, shortest=_SHORTEST)
        if length(chosen) >= _LEAST_SPEECH:
            found[speaker] = chosen
    return found


def length(spans: Iterable[Span]) -> float:
    """Seconds in all."""
    return sum(end - start for start, end in spans)


def overlap_scores(
    spoken: Mapping[str, Sequence[Span]],
    stretches: Iterable[tuple[float, float, str, float]],
    voices: Collection[str],
) -> dict[str, dict[str, float]]:
    """Scores from stretches (start, end, voice id or any other label, confidence 0..1) that somebody else
    identified: a voice's confidence over the part of a speaker's speech in which anybody was recognised.

    Stretches with other labels count against the voices, and so does speech in which nobody was recognised
    where that is more than half of it.
    """
    found = list(stretches)
    scores: dict[str, dict[str, float]] = {}
    for speaker, spans in spoken.items():
        weight = dict.fromkeys(voices, 0.0)
        heard = 0.0
        for start, end, label, confidence in found:
            shared = sum(max(0.0, min(end, last) - max(start, first)) for first, last in spans)
            heard += shared
            if label in weight and math.isfinite(confidence):
                weight[label] += shared * max(0.0, min(1.0, confidence))
        whole = max(heard, _LEAST_SHARE * length(spans))
        scores[speaker] = {voice: value / whole for voice, value in weight.items()} if whole > 0 else {}
    return scores


def likeness_of_halves(windows: Sequence[tuple[Vector, float]]) -> float:
    """How alike the two most different halves of a sample are, -1..1: low where two people talk in it.

    `windows` are embeddings with their seconds. 1 where one half is too short to be a second person.
    """
    if len(windows) < 2:
        return 1.0
    first, second = min(combinations(windows, 2), key=lambda pair: cosine(pair[0][0], pair[1][0]))
    halves: tuple[list[tuple[Vector, float]], list[tuple[Vector, float]]] = ([], [])
    for window in windows:
        nearer = cosine(window[0], first[0]) >= cosine(window[0], second[0])
        halves[0 if nearer else 1].append(window)
    if min(sum(seconds for _, seconds in half) for half in halves) < _OTHER_VOICE_SECONDS:
        return 1.0
    one, other = mean(halves[0]), mean(halves[1])
    return 1.0 if one is None or other is None else cosine(one, other)
