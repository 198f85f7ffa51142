"""What may be said about whose voice somebody has, and the arithmetic under it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.identification import (
    cosine,
    excerpts,
    length,
    likeness_of_halves,
    mean,
    name_speakers,
    overlap_scores,
    pick,
)
from core.model import Utterance, Word

SURE, PERHAPS = 0.75, 0.6
LIKENESS = st.floats(-1, 1)


def named(scores: dict[str, dict[str, float]]) -> tuple[dict[str, str], dict[str, str]]:
    found = name_speakers(scores, sure=SURE, perhaps=PERHAPS)
    return dict(found.claims), dict(found.suggestions)


def said(speaker: str | None, start: float, end: float, *, overlap: bool = False) -> Utterance:
    word = Word(start=start, end=end, text="word")
    return Utterance(speaker=speaker, start=start, end=end, words=(word,), overlap=overlap)


@pytest.mark.parametrize(
    ("likeness", "claimed", "suggested"),
    [
        (0.75, True, False),
        (0.9, True, False),
        (0.749, False, True),
        (0.6, False, True),
        (0.599, False, False),
    ],
)
def test_a_name_is_claimed_suggested_or_kept_back_by_its_likeness(
    likeness: float, claimed: bool, suggested: bool
) -> None:
    claims, suggestions = named({"Speaker 1": {"anna": likeness, "ben": 0.1}})
    assert claims == ({"Speaker 1": "anna"} if claimed else {})
    assert suggestions == ({"Speaker 1": "anna"} if suggested else {})


@pytest.mark.parametrize("best", [0.95, 0.7])
def test_two_voices_that_are_nearly_as_alike_leave_the_speaker_unknown(best: float) -> None:
    assert named({"Speaker 1": {"anna": best, "ben": best - 0.04}}) == ({}, {})
    claims, suggestions = named({"Speaker 1": {"anna": best, "ben": best - 0.06}})
    assert claims or suggestions


def test_one_person_in_two_halves_is_claimed_once_and_suggested_once() -> None:
    scores = {"Speaker 1": {"anna": 0.82}, "Speaker 2": {"anna": 0.95}}
    assert named(scores) == ({"Speaker 2": "anna"}, {"Speaker 1": "anna"})


def test_two_speakers_equally_like_a_voice_are_both_only_suggestions() -> None:
    scores = {"Speaker 1": {"anna": 0.9}, "Speaker 2": {"anna": 0.9}}
    assert named(scores) == ({}, {"Speaker 1": "anna", "Speaker 2": "anna"})


def test_everybody_gets_their_own_name() -> None:
    scores = {
        "Speaker 1": {"anna": 0.2, "ben": 0.88, "eva": 0.1},
        "Speaker 2": {"anna": 0.91, "ben": 0.3, "eva": 0.2},
        "Speaker 3": {"anna": 0.1, "ben": 0.2, "eva": 0.3},
    }
    assert named(scores) == ({"Speaker 1": "ben", "Speaker 2": "anna"}, {})


def test_nobody_is_compared_with_nobody() -> None:
    assert named({}) == ({}, {})
    assert named({"Speaker 1": {}}) == ({}, {})


@given(
    st.dictionaries(
        st.sampled_from(["Speaker 1", "Speaker 2", "Speaker 3", "Speaker 4"]),
        st.fixed_dictionaries({"anna": LIKENESS, "ben": LIKENESS, "eva": LIKENESS}),
    ),
    st.floats(0, 0.2),
)
def test_no_name_is_claimed_twice_and_none_below_the_threshold(
    scores: dict[str, dict[str, float]], margin: float
) -> None:
    found = name_speakers(scores, sure=SURE, perhaps=PERHAPS, margin=margin)
    assert len(set(found.claims.values())) == len(found.claims)
    assert not found.claims.keys() & found.suggestions.keys()
    assert all(scores[label][voice] >= SURE for label, voice in found.claims.items())
    assert all(scores[label][voice] >= PERHAPS for label, voice in found.suggestions.items())
    for label, voice in {**found.claims, **found.suggestions}.items():
        others = [value for other, value in scores[label].items() if other != voice]
        assert scores[label][voice] - max(others) >= margin


def test_likeness_is_about_direction() -> None:
    assert cosine((1, 0), (5, 0)) == pytest.approx(1)
    assert cosine((1, 0), (0, 2)) == pytest.approx(0)
    assert cosine((1, 0), (-3, 0)) == pytest.approx(-1)
    for useless in ((0, 0), (math.inf, 1), (math.nan, 1), (1, 2, 3)):
        assert cosine((1, 0), useless) == -1


def test_the_mean_weighs_directions_not_lengths() -> None:
    assert mean([((10.0, 0.0), 1.0), ((0.0, 0.1), 1.0)]) == pytest.approx((0.7071, 0.7071), abs=1e-4)
    assert mean([((1.0, 0.0), 3.0), ((0.0, 1.0), 1.0)]) == pytest.approx((0.9487, 0.3162), abs=1e-4)
    assert mean([]) is None
    assert mean([((0.0, 0.0), 1.0), ((1.0, 1.0), 0.0)]) is None
    assert mean([((1.0, 0.0), 1.0), ((-1.0, 0.0), 1.0)]) is None


def test_the_longest_stretches_are_picked_in_order_of_time() -> None:
    spans = [(0.0, 2.0), (5.0, 9.0), (10.0, 11.0), (20.0, 23.0)]
    assert pick(spans, seconds=8, longest=10) == [(0.0, 1.0), (5.0, 9.0), (20.0, 23.0)]
    assert pick(spans, seconds=100, longest=10, shortest=1.5) == [(0.0, 2.0), (5.0, 9.0), (20.0, 23.0)]
    assert length(pick([(0.0, 100.0)], seconds=29.5, longest=29.5)) == pytest.approx(29.5)
    assert pick([(0.0, 25.0)], seconds=60, longest=10) == [(0.0, 10.0), (10.0, 20.0), (20.0, 25.0)]


@given(
    st.lists(st.tuples(st.floats(0, 1000), st.floats(0.01, 50)).map(lambda at: (at[0], at[0] + at[1]))),
    st.floats(1, 60),
    st.floats(1, 30),
)
def test_no_more_is_picked_than_asked_for(
    spans: list[tuple[float, float]], seconds: float, longest: float
) -> None:
    found = pick(spans, seconds=seconds, longest=longest)
    assert length(found) <= seconds + 1e-6
    assert length(found) == pytest.approx(min(seconds, length(spans)), abs=1e-6)
    assert all(end - start <= longest + 1e-6 for start, end in found)


def test_voices_are_heard_where_nobody_talks_over_them() -> None:
    found = excerpts(
        [
            said("Speaker 1", 0, 6),
            said("Speaker 2", 5, 9, overlap=True),
            said("Speaker 1", 10, 30, overlap=True),
            said(None, 30, 60),
            said("Speaker 3", 60, 61.5),
        ]
    )
    # Who is always talked over is heard as well as can be; who hardly speaks is not compared.
    assert found == {"Speaker 1": [(0, 6)], "Speaker 2": [(5, 9)]}


def test_a_long_speech_is_heard_for_half_a_minute() -> None:
    assert length(excerpts([said("Speaker 1", 0, 3600)])["Speaker 1"]) == pytest.approx(30)


def test_stretches_identified_elsewhere_become_scores_by_what_they_cover() -> None:
    spoken = {"Speaker 1": [(0.0, 10.0)], "Speaker 2": [(12.0, 22.0)], "Speaker 3": [(30.0, 40.0)]}
    stretches = [
        (0.0, 9.5, "anna", 0.9),
        (12.0, 17.0, "ben", 0.9),
        (17.0, 22.0, "SPEAKER_01", 0.9),
        (30.0, 31.0, "anna", 1.0),
        (50.0, 60.0, "ben", 1.0),
    ]
    scores = overlap_scores(spoken, stretches, {"anna", "ben"})
    assert scores["Speaker 1"] == {"anna": pytest.approx(0.9), "ben": 0}
    assert scores["Speaker 2"] == {"anna": 0, "ben": pytest.approx(0.45)}
    # A second in ten says little about the other nine.
    assert scores["Speaker 3"] == {"anna": pytest.approx(0.2), "ben": 0}


def test_nonsense_from_elsewhere_gives_no_scores() -> None:
    spoken = {"Speaker 1": [(0.0, 10.0)], "Speaker 2": []}
    scores = overlap_scores(
        spoken, [(0, 10, "anna", 7.0), (0, 10, "anna", math.nan), (9, 3, "anna", 1)], {"anna"}
    )
    assert scores == {"Speaker 1": {"anna": pytest.approx(0.5)}, "Speaker 2": {}}


def test_two_people_in_a_sample_are_two_unlike_halves() -> None:
    one, other = (1.0, 0.1), (-1.0, 0.1)
    assert likeness_of_halves([(one, 6), (other, 6), (one, 4)]) < 0
    assert likeness_of_halves([(one, 6), ((0.9, 0.2), 6), (one, 4)]) > 0.9
    # A cough is not a person.
    assert likeness_of_halves([(one, 6), (other, 1.0), (one, 4)]) == 1
    assert likeness_of_halves([(one, 6)]) == 1
    assert likeness_of_halves([]) == 1
