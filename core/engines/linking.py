"""Speakers across the pieces of a long recording: which piece's voices are one person. Pure.

Diarization compares every stretch of speech with every other, so a long recording is diarized in pieces.
Each piece's speakers get a voice embedding, and agglomerative clustering (average linkage on cosine distance,
Day and Edelsbrunner 1984) links them; two speakers of one piece are never linked unless the number of
speakers is bounded, because within a piece the engine has told them apart with more evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Turn = tuple[float, float, str]
"""Start and end in seconds, speaker."""

LINKED = 0.5
"""Cosine distance up to which two embeddings of several seconds count as one voice."""

_JOIN = 0.5  # seconds of pause at a seam across which a turn goes on
_APART = 4.0  # beyond any cosine distance: two speakers of one piece

Embedding = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of the recording, diarized from `start` to `end`, of which `keep_from` to `keep_to` counts."""

    start: float
    end: float
    keep_from: float
    keep_to: float


def pieces(seconds: float, *, longest: float, overlap: float) -> list[Piece]:
    """Equal pieces of at most `longest` seconds that overlap by `overlap`; seams lie in the middle of it."""
    if seconds <= longest:
        return [Piece(start=0.0, end=seconds, keep_from=0.0, keep_to=seconds)]
    count = int(np.ceil((seconds - overlap) / (longest - overlap)))
    step = (seconds - overlap) / count
    edges = [0.0, *(index * step + overlap / 2 for index in range(1, count)), seconds]
    return [
        Piece(
            start=index * step,
            end=min(seconds, (index + 1) * step + overlap),
            keep_from=edges[index],
            keep_to=edges[index + 1],
        )
        for index in range(count)
    ]


def link(
    voices: Sequence[tuple[int, Embedding]],
    *,
    least: int | None = None,
    most: int | None = None,
    distance: float = LINKED,
) -> list[int]:
    """A person's number for each voice, given as (piece, embedding), numbered by first appearance.

    Voices are linked up to the cosine `distance`; fewer than `least` people are never left (as far as there
    are voices) and more than `most` never remain.
    """
    owner = np.arange(len(voices))
    apart = _distances(voices)
    sizes = np.ones(len(voices))
    for left in range(len(voices), 1, -1):
        if least is not None and left <= least:
            break
        first, second = sorted(divmod(int(np.argmin(apart)), len(voices)))
        if apart[first, second] > distance and not (most is not None and left > most):
            break
        # Average linkage by the update of Lance and Williams (1967).
        merged = (sizes[first] * apart[first] + sizes[second] * apart[second]) / (
            sizes[first] + sizes[second]
        )
        apart[first], apart[:, first] = merged, merged
        apart[first, first] = np.inf
        apart[second], apart[:, second] = np.inf, np.inf
        sizes[first] += sizes[second]
        owner[owner == second] = first
    names: dict[int, int] = {}
    return [names.setdefault(int(one), len(names)) for one in owner]


def _distances(voices: Sequence[tuple[int, Embedding]]) -> npt.NDArray[np.float64]:
    if not voices:
        return np.zeros((0, 0))
    rows = np.stack([embedding for _, embedding in voices]).astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    apart: npt.NDArray[np.float64] = 1.0 - unit @ unit.T
    piece = np.array([number for number, _ in voices])
    # Average linkage then keeps clusters apart that share a piece, and still orders forced merges sensibly.
    apart[piece[:, None] == piece[None, :]] += _APART * len(voices) ** 2
    np.fill_diagonal(apart, np.inf)
    return apart


def assemble(
    parts: Sequence[tuple[Piece, Sequence[Turn]]], people: Mapping[tuple[int, str], int]
) -> list[Turn]:
    """All turns of the recording: clipped to what counts of each piece, joined across seams, named S1, S2,
    ... by first appearance. `people` gives the person for (piece, the piece's speaker)."""
    turns: list[tuple[float, float, int]] = []
    open_turn: dict[int, int] = {}
    for number, (piece, found) in enumerate(parts):
        for start, end, speaker in sorted(found):
            first, last = max(start, piece.keep_from), min(end, piece.keep_to)
            if last <= first:
                continue
            person = people[number, speaker]
            before = open_turn.get(person)
            seam = before is not None and turns[before][1] <= piece.keep_from <= first
            if before is not None and seam and first - turns[before][1] <= _JOIN:
                turns[before] = (turns[before][0], last, person)
            else:
                open_turn[person] = len(turns)
                turns.append((first, last, person))
    turns.sort()
    names: dict[int, str] = {}
    for _, _, person in turns:
        names.setdefault(person, f"S{len(names) + 1}")
    return [(start, end, names[person]) for start, end, person in turns]
