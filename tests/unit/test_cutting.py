"""Where long recordings are cut."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.cutting import OVERLAP, Pause, plan, windows

LENGTHS = st.floats(min_value=1, max_value=50_000)
LIMITS = st.floats(min_value=60, max_value=6000)


@st.composite
def recordings(draw: st.DrawFn) -> tuple[float, float, list[Pause]]:
    seconds, longest = draw(LENGTHS), draw(LIMITS)
    pauses = draw(
        st.lists(
            st.builds(
                Pause,
                at=st.floats(min_value=0, max_value=seconds),
                length=st.floats(min_value=0.1, max_value=4),
            ),
            max_size=40,
        )
    )
    return seconds, longest, pauses


@settings(deadline=None)
@given(recordings())
def test_pieces_cover_everything_once_within_the_limit(case: tuple[float, float, list[Pause]]) -> None:
    seconds, longest, pauses = case
    pieces = plan(seconds, longest, pauses)
    assert pieces[0].keep_from == 0
    assert pieces[-1].keep_to == seconds
    for before, after in itertools.pairwise(pieces):
        assert before.keep_to == after.keep_from
    for piece in pieces:
        assert 0 <= piece.start <= piece.keep_from < piece.keep_to <= piece.end <= seconds
        assert piece.seconds <= longest + 1e-6


@settings(deadline=None)
@given(LENGTHS, LIMITS)
def test_as_few_and_as_even_as_there_is_room_for(seconds: float, longest: float) -> None:
    pieces = plan(seconds, longest, [])
    fewest = math.ceil(seconds / longest)
    # Room to look for pauses, and overlaps, may cost pieces; never a sixth more, and one at least.
    assert fewest <= len(pieces) <= max(fewest + 1, math.ceil(fewest * 1.6))
    kept = [piece.keep_to - piece.keep_from for piece in pieces]
    assert max(kept) == pytest.approx(min(kept))


def test_what_fits_is_not_cut() -> None:
    assert [(piece.start, piece.end) for piece in plan(1390, 1390, [Pause(at=700, length=2)])] == [(0, 1390)]


def test_four_hours_for_a_limit_of_1390_seconds_are_eleven_pieces() -> None:
    assert len(plan(14_400, 1390, [])) == 11


def test_a_cut_lies_in_the_longest_pause_and_both_pieces_hear_it() -> None:
    first, second = plan(2000, 1390, [Pause(at=1003.5, length=0.6), Pause(at=990, length=0.2)])
    assert first.keep_to == second.keep_from == 1003.5
    assert (first.end, second.start) == (1003.5 + OVERLAP, 1003.5 - OVERLAP)


def test_without_a_pause_both_pieces_hear_the_seam() -> None:
    first, second = plan(2000, 1390, [Pause(at=10, length=3)])
    assert first.end - second.start == pytest.approx(2 * OVERLAP)


@settings(deadline=None)
@given(LENGTHS, LIMITS)
def test_windows_are_apart(seconds: float, longest: float) -> None:
    places = windows(seconds, longest)
    for before, after in itertools.pairwise(places):
        assert before.earliest <= before.at <= before.latest < after.earliest


def test_a_limit_that_nothing_fits_into_is_an_error() -> None:
    with pytest.raises(ValueError, match="too short"):
        windows(100, 2 * OVERLAP)
