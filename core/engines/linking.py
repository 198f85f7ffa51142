"""Speakers across the pieces of a long recording: which piece's voices are one person. Pure.

Diarization compares every stretch of speech with every other, so a long recording is diarized in pieces, by
us or by a vendor who numbers speakers anew with every request. Agglomerative clustering links the pieces'
speakers, by voice embeddings (average linkage on cosine distance, Day and Edelsbrunner 1984) or, without a
trained network, by the likelihood of their statistics. Two speakers of one piece are never linked unless the
number of speakers is bounded, because within a piece the engine has told them apart with more evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.cutting import Piece

Turn = tuple[float, float, str]
"""Start and end in seconds, speaker."""

LINKED = 0.5
"""Cosine distance up to which two embeddings of several seconds count as one voice."""

_JOIN = 0.5  # seconds of pause at a seam across which a turn goes on
_LATE, _SHARED = 1e9, 1e12  # beyond any distance: linked after all others, and linked last if at all
_AGAIN = 3.0  # nats by which it is likelier beforehand that a voice is somebody heard in other pieces
_CLEARLY = 1.0  # nats by which a brief voice has to be likelier somebody else's than its own
_ROUNDS = 5

BRIEF = 1.5
"""Seconds of speech below which a voice hardly says who speaks."""

Floats = npt.NDArray[np.float64]
Embedding = Floats


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of n voices in d dimensions: in each a mean that is a person's own, heard with errors.

    `precision` (n x d) is one over the variance of a voice's error, 0 where nothing was heard; `weighted`
    (n x d) is that times the mean heard; `prior` (d) is the variance of people's means around zero.
    """

    precision: Floats
    weighted: Floats
    prior: Floats

    def gain(self, one: Evidence) -> Floats:
        """For each voice, how much likelier (nats) it and `one` are as one person than as two."""
        joint = Evidence(
            precision=self.precision + one.precision, weighted=self.weighted + one.weighted, prior=self.prior
        )
        return joint._logs() - self._logs() - one._logs()

    def pooled(self, owner: npt.NDArray[np.int64], people: int) -> Evidence:
        """What is known of each of `people` persons from the voices that belong to them."""
        found = [np.zeros((people, self.precision.shape[1])) for _ in range(2)]
        np.add.at(found[0], owner, self.precision)
        np.add.at(found[1], owner, self.weighted)
        return Evidence(precision=found[0], weighted=found[1], prior=self.prior)

    def __getitem__(self, rows: slice | npt.NDArray[np.int64]) -> Evidence:
        return Evidence(precision=self.precision[rows], weighted=self.weighted[rows], prior=self.prior)

    def _logs(self) -> Floats:
        """The logarithm of the likelihood, less what is the same however the voices are shared out."""
        settled = self.weighted**2 * self.prior / (1 + self.prior * self.precision)
        found: Floats = 0.5 * (settled - np.log1p(self.prior * self.precision)).sum(axis=1)
        return found


def link(
    voices: Sequence[tuple[int, Embedding]],
    *,
    least: int | None = None,
    most: int | None = None,
    distance: float = LINKED,
    seconds: Sequence[float] | None = None,
) -> list[int]:
    """A person's number for each voice, given as (piece, embedding), numbered by first appearance.

    Voices are linked up to the cosine `distance`; fewer than `least` people are never left (as far as there
    are voices) and more than `most` never remain. With `seconds`, how much speech each embedding is made of,
    voices weigh accordingly and those of hardly any speech are linked last.
    """
    sizes = np.ones(len(voices)) if seconds is None else np.maximum(0.1, np.array(seconds, dtype=np.float64))
    brief = np.zeros(len(voices), dtype=bool) if seconds is None else sizes < BRIEF
    apart = _distances(voices)

    def merged(first: int, second: int) -> Floats:
        # Average linkage by the update of Lance and Williams (1967).
        total = sizes[first] + sizes[second]
        row: Floats = (sizes[first] * apart[first] + sizes[second] * apart[second]) / total
        sizes[first] = total
        return row

    piece = np.array([number for number, _ in voices], dtype=np.int64)
    owner = _agglomerated(apart, piece, brief, merged, limits=(distance, distance), bounds=(least, most))
    return _numbered(owner)


def link_by_evidence(
    pieces_of: Sequence[int],
    evidence: Evidence,
    *,
    brief: npt.NDArray[np.bool_],
    least: int | None = None,
    most: int | None = None,
) -> list[int]:
    """As `link`, for voices known by `evidence`: whatever grouping into people is likeliest, found greedily.

    Pairs are merged for as long as that makes the evidence likelier, which adds up over any number of voices;
    then each piece in turn is matched anew with the people of all others, at best as a whole. Somebody is
    rather heard again than new, but a `brief` voice joins only whom it is like.
    """
    piece = np.array(pieces_of, dtype=np.int64)
    work = Evidence(
        precision=evidence.precision.copy(), weighted=evidence.weighted.copy(), prior=evidence.prior
    )

    def merged(first: int, second: int) -> Floats:
        work.precision[first] += work.precision[second]
        work.weighted[first] += work.weighted[second]
        return -work.gain(work[first : first + 1])

    apart = np.array([-evidence.gain(evidence[row : row + 1]) for row in range(len(piece))])
    apart = apart.reshape(len(piece), len(piece))
    owner = _agglomerated(apart, piece, brief, merged, limits=(_AGAIN, -_CLEARLY), bounds=(least, most))
    found = _rematched(owner, piece, evidence, brief, most)
    return _numbered(found if len(set(found.tolist())) >= (least or 1) else owner)


def _distances(voices: Sequence[tuple[int, Embedding]]) -> Floats:
    if not voices:
        return np.zeros((0, 0))
    rows = np.stack([embedding for _, embedding in voices]).astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    apart: Floats = 1.0 - unit @ unit.T
    return apart


def _agglomerated(
    apart: Floats,
    piece: npt.NDArray[np.int64],
    brief: npt.NDArray[np.bool_],
    merged: Callable[[int, int], Floats],
    *,
    limits: tuple[float, float],
    bounds: tuple[int | None, int | None],
) -> npt.NDArray[np.int64]:
    """The number of a voice that stands for its person, for each voice.

    Closest first, up to `limits` (the second where a brief voice is concerned). Voices of one piece and brief
    ones come last in this order; only `most` makes one person of two in the same piece. `merged` gives the
    distances of two that became one.
    """
    least, most = bounds
    owner, size = np.arange(len(piece)), len(piece)
    shared = piece[:, None] == piece[None, :]
    brief = brief.copy()
    gone = np.eye(size, dtype=bool)
    for left in range(size, 1, -1):
        if least is not None and left <= least:
            break
        late = brief[:, None] | brief[None, :]
        order = np.where(gone, np.inf, apart + _LATE * late + _SHARED * shared)
        near = (apart <= np.where(late, limits[1], limits[0])) & ~shared
        chosen = np.where(near, order, np.inf)
        if not np.isfinite(chosen.min()):
            if most is None or left <= most:
                break
            chosen = order
        first, second = sorted(divmod(int(chosen.argmin()), size))
        row = merged(first, second)
        apart[first], apart[:, first] = row, row
        shared[first] |= shared[second]
        shared[:, first] = shared[first]
        brief[first] &= brief[second]
        gone[second], gone[:, second] = True, True
        owner[owner == second] = first
    return owner


def _rematched(
    owner: npt.NDArray[np.int64],
    piece: npt.NDArray[np.int64],
    evidence: Evidence,
    brief: npt.NDArray[np.bool_],
    most: int | None,
) -> npt.NDArray[np.int64]:
    """Each piece's voices matched with the people of the other pieces, until nothing changes."""
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]  # noqa: PLC0415  (heavy)

    for _ in range(_ROUNDS):
        before = _numbered(owner)
        for number in np.unique(piece):
            rows, rest = np.flatnonzero(piece == number), np.flatnonzero(piece != number)
            if not len(rest) or len(np.unique(owner[rows])) < len(rows):
                continue  # where `most` made one person of two there is no matching one to one
            people, others = np.unique(owner[rest], return_inverse=True)
            known = evidence[rest].pooled(others, len(people))
            gains = np.array([known.gain(evidence[row : row + 1]) for row in rows])
            new = np.where(brief[rows], _CLEARLY, -_AGAIN)[:, None]
            fresh = len(rows) if most is None else min(len(rows), most - len(people))
            _, chosen = linear_sum_assignment(np.hstack([gains, np.tile(new, fresh)]), maximize=True)
            owner = owner.copy()
            owner[rows] = np.concatenate([people, owner.max() + 1 + np.arange(fresh)])[chosen]
        if _numbered(owner) == before:
            break
    return owner


def _numbered(owner: npt.NDArray[np.int64]) -> list[int]:
    names: dict[int, int] = {}
    return [names.setdefault(int(one), len(names)) for one in owner]


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
