"""Speakers across the pieces of a long recording."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cutting import Piece
from core.engines.linking import Embedding, assemble, link, pieces
from core.engines.sherpa import alone_spans


@given(st.floats(0.1, 50_000), st.floats(60, 3000), st.floats(0, 30))
def test_pieces_cover_the_recording_once(seconds: float, longest: float, overlap: float) -> None:
    plan = pieces(seconds, longest=longest, overlap=overlap)
    assert plan[0].start == plan[0].keep_from == 0
    assert plan[-1].end == pytest.approx(seconds)
    assert plan[-1].keep_to == seconds
    for piece in plan:
        assert piece.start - 1e-6 <= piece.keep_from < piece.keep_to <= piece.end + 1e-6
        assert piece.end - piece.start <= longest + 1e-6
    for a, b in itertools.pairwise(plan):
        assert a.keep_to == b.keep_from


def voices(count: int, per_piece: list[list[int]], seed: int = 0) -> list[tuple[int, Embedding]]:
    rng = np.random.default_rng(seed)
    people = np.eye(max(count, 1), 48)
    return [
        (number, people[person] + 0.05 * rng.standard_normal(48))
        for number, piece in enumerate(per_piece)
        for person in piece
    ]


@given(st.integers(1, 12), st.data())
def test_any_number_of_people_is_found_again(count: int, data: st.DataObject) -> None:
    people = st.lists(st.integers(0, count - 1), min_size=1, unique=True)
    per_piece = data.draw(st.lists(people, min_size=1, max_size=8))
    truth = [person for piece in per_piece for person in piece]
    numbers = link(voices(count, per_piece))
    assert len(set(zip(truth, numbers, strict=True))) == len(set(truth)) == len(set(numbers))
    assert numbers[0] == 0
    assert sorted(set(numbers)) == list(range(len(set(numbers))))


def test_two_speakers_of_one_piece_stay_two_unless_bounded() -> None:
    same = [(0, np.array([1.0, 0.01])), (0, np.array([1.0, 0.0])), (1, np.array([1.0, 0.0]))]
    assert len(set(link(same))) == 2
    assert len(set(link(same, most=1))) == 1
    assert link([]) == []


def test_bounds_on_the_number_of_people() -> None:
    found = voices(6, [[0, 1, 2], [3, 4, 5], [0, 3]])
    assert len(set(link(found))) == 6
    assert len(set(link(found, most=4))) == 4
    assert len(set(link(found, least=8))) == 8
    assert len(set(link(found, least=20))) == 8


def test_a_voice_without_an_embedding_is_nobody_else() -> None:
    assert len(set(link([(0, np.ones(4)), (1, np.zeros(4)), (2, np.ones(4))]))) == 2


def test_turns_are_joined_across_a_seam_and_named_by_appearance() -> None:
    first = Piece(start=0, end=55, keep_from=0, keep_to=50)
    second = Piece(start=45, end=100, keep_from=50, keep_to=100)
    turns = assemble(
        [
            (first, [(0.0, 10.0, "1"), (40.0, 55.0, "0")]),
            (second, [(45.0, 60.0, "7"), (70.0, 80.0, "8"), (46.0, 49.0, "8")]),
        ],
        {(0, "1"): 4, (0, "0"): 2, (1, "7"): 2, (1, "8"): 4},
    )
    assert turns == [(0.0, 10.0, "S1"), (40.0, 60.0, "S2"), (70.0, 80.0, "S1")]


def test_where_a_speaker_is_alone() -> None:
    turns = [(0.0, 10.0, "a"), (4.0, 6.0, "b"), (9.0, 12.0, "b"), (20.0, 21.0, "c"), (19.0, 22.0, "b")]
    assert alone_spans(turns, "a") == [(0.0, 4.0), (6.0, 9.0)]
    assert alone_spans(turns, "c") == [(20.0, 21.0)]  # never alone: better than nothing
