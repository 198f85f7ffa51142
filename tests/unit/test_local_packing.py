"""Windows for Whisper, languages and guards: pure decisions of the local recogniser."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.engines.packing import (
    Window,
    by_share,
    credible,
    joined,
    languages_heard,
    pack,
    restrict,
    sample,
    without_loops,
)

gaps = st.lists(
    st.tuples(st.floats(0, 20, allow_nan=False), st.floats(0.05, 90, allow_nan=False)), max_size=30
)


def spans(pairs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    at, found = 0.0, []
    for gap, length in pairs:
        found.append((at + gap, at + gap + length))
        at = found[-1][1]
    return found


@given(gaps)
def test_all_speech_is_in_exactly_one_window_of_bounded_length(pairs: list[tuple[float, float]]) -> None:
    speech = spans(pairs)
    windows = pack(speech, longest=29.0)
    pieces = [piece for window in windows for piece in window.pieces]
    assert pieces == sorted(pieces)
    assert all(a[1] <= b[0] + 1e-9 for a, b in itertools.pairwise(pieces))
    assert sum(end - start for start, end in pieces) == pytest.approx(sum(b - a for a, b in speech))
    assert all(0 < window.seconds <= 29.0 + 1e-6 for window in windows)


@given(gaps, st.floats(0, 1))
def test_a_cut_is_never_outside_the_allowed_range(pairs: list[tuple[float, float]], wish: float) -> None:
    asked: list[tuple[float, float]] = []

    def quietest(first: float, last: float) -> float:
        asked.append((first, last))
        return first - 5 + wish * (last - first + 10)

    windows = pack(spans(pairs), longest=29.0, quietest=quietest)
    assert all(window.seconds <= 29.0 + 1e-6 for window in windows)
    assert all(0 < last - first <= 29.0 / 3 + 1e-6 for first, last in asked)


@given(gaps, st.floats(0, 30), st.floats(0, 3))
def test_words_land_inside_a_piece_and_keep_their_order(
    pairs: list[tuple[float, float]], start: float, length: float
) -> None:
    for window in pack(spans(pairs)):
        first, last = window.in_recording(start, start + length)
        assert any(a <= first <= last <= b for a, b in window.pieces)
        later, _ = window.in_recording(start + length, start + length)
        assert later >= first - 1e-9


def test_a_word_across_a_cut_goes_where_its_middle_is() -> None:
    window = Window(pieces=((10.0, 12.0), (20.0, 23.0)))
    assert window.seconds == 5.0
    assert window.in_recording(0.5, 1.0) == (10.5, 11.0)
    assert window.in_recording(1.5, 2.2) == pytest.approx((11.5, 12.0))
    assert window.in_recording(1.8, 3.0) == pytest.approx((20.0, 21.0))
    assert window.in_recording(4.9, 7.0) == pytest.approx((22.9, 23.0))


def test_short_stretches_share_a_window() -> None:
    windows = pack([(0, 5), (8, 12), (12, 20), (100, 115)])
    assert [window.pieces for window in windows] == [((0, 5), (8, 20)), ((100, 115),)]


@given(st.integers(0, 10_000), st.integers(1, 20))
def test_samples_are_spread_and_distinct(count: int, most: int) -> None:
    chosen = sample(count, most)
    assert len(chosen) == min(count, most) == len(set(chosen))
    assert chosen == sorted(chosen)
    assert all(0 <= index < count for index in chosen)


def test_languages_are_restricted_to_those_that_may_occur() -> None:
    heard = {"en": 0.6, "nl": 0.3, "de": 0.1}
    assert restrict(heard, ["nl", "de"]) == pytest.approx({"nl": 0.75, "de": 0.25})
    assert restrict(heard, []) == pytest.approx(heard)
    assert restrict(heard, ["fr"]) == {}
    assert restrict({"en": 0.0, "de": 0.0}, []) == {"en": 0.5, "de": 0.5}


def test_one_mumbled_window_does_not_bring_in_a_language() -> None:
    english, mumble = {"en": 0.9, "cy": 0.1}, {"en": 0.4, "cy": 0.6}
    assert languages_heard([english, english, mumble]) == ("en",)
    assert languages_heard([english, {"en": 0.1, "cy": 0.9}]) == ("cy", "en")
    assert languages_heard([english, english, {"en": 0.1, "cy": 0.9}]) == ("en", "cy")
    assert languages_heard([]) == ()
    assert languages_heard([{"cy": 0.4, "en": 0.35, "de": 0.25}]) == ("cy",)


def test_languages_come_by_share() -> None:
    assert by_share({"de": 10.0, "en": 500.0, "fr": 1.0}) == ("en",)
    assert by_share({"de": 100.0, "en": 500.0, "fr": 0.0}) == ("en", "de")
    assert by_share({}) == ()


@pytest.mark.parametrize(
    ("no_speech", "log_probability", "kept"),
    [(0.1, -0.3, True), (0.7, -0.5, True), (0.7, -1.2, False), (0.95, -0.6, False), (0.95, -0.2, True)],
)
def test_what_was_rather_invented_is_dropped(no_speech: float, log_probability: float, kept: bool) -> None:
    assert credible(no_speech=no_speech, log_probability=log_probability) is kept


def test_loops_are_said_once() -> None:
    phrase = ["I", "will", "go", "there"]
    text = ["so", *phrase * 3, "i", "will", "go", "there.", "and", "then"]
    kept = [text[index] for index in without_loops(text)]
    assert " ".join(kept) == "so I will go there and then"
    assert len(without_loops(["no,"] * 5)) == 5
    assert len(without_loops(["thank", "you"] * 3)) == 6
    assert len(without_loops(["you"] * 40)) == 1


@given(st.lists(st.sampled_from(["a", "b", "c", "A,", ""]), max_size=60))
def test_loops_only_ever_lose_repetitions(words: list[str]) -> None:
    kept = without_loops(words)
    assert kept == sorted(set(kept))
    assert all(0 <= index < len(words) for index in kept)
    assert {words[i].strip(" .,!?;:-").casefold() for i in kept} == {
        word.strip(" .,!?;:-").casefold() for word in words
    }


def test_pieces_of_a_word_are_joined() -> None:
    pieces = [
        (0.0, 1.0, " real", 0.9),
        (1.0, 1.5, "-time", 0.4),
        (1.5, 2.0, " ", 0.1),
        (2.0, 3.0, " it", 0.8),
    ]
    assert joined(pieces, spaced=True) == [(0.0, 1.5, "real-time", 0.4), (2.0, 3.0, "it", 0.8)]
    assert [word[2] for word in joined([(0, 1, "你", 1.0), (1, 2, "好", 1.0)], spaced=False)] == ["你", "好"]
    assert joined([], spaced=True) == []
