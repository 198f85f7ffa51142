"""What text-only transcribers are sent, and words from what they answer."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.cutting import Pause
from core.model import SpeakerTurn
from core.turnwise import LONGEST, Slice, divided, slices, words_of

SECONDS = 120.0
TIMES = st.floats(min_value=0, max_value=SECONDS)


def turn(start: float, end: float, speaker: str) -> SpeakerTurn:
    return SpeakerTurn(start=start, end=end, speaker=speaker)


TURNS = st.lists(
    st.builds(lambda a, b, who: turn(min(a, b), max(a, b), who), TIMES, TIMES, st.sampled_from("ABC")),
    max_size=15,
)
SPEECH = st.lists(st.tuples(TIMES, TIMES).map(lambda pair: (min(pair), max(pair))), max_size=6).map(
    lambda spans: [
        span for n, span in enumerate(sorted(spans)) if n == 0 or span[0] >= sorted(spans)[n - 1][1]
    ]
)


@settings(deadline=None)
@given(TURNS, SPEECH)
def test_slices_follow_one_another_and_leave_no_speech_out(
    turns: list[SpeakerTurn], speech: list[tuple[float, float]]
) -> None:
    parts = slices(turns, speech, SECONDS)
    for part in parts:
        assert 0 <= part.start < part.end <= SECONDS
    for before, after in itertools.pairwise(parts):
        assert before.end <= after.start + 1e-9
    covered = [(part.start, part.end) for part in parts]
    said = [(one.start, one.end) for one in turns] + speech
    for start, end in said:
        # A moment of everything said is heard, unless it is too short to hold a word.
        for at in (start + (end - start) * fraction for fraction in (0.25, 0.5, 0.75)):
            alone = end - start >= 1 and all(not first < at < last for first, last in covered)
            assert not alone or min(abs(at - edge) for span in covered or [(0, 0)] for edge in span) <= 0.3


def test_an_interjection_splits_the_turn_it_falls_into() -> None:
    parts = slices([turn(0, 10, "A"), turn(4, 5, "B")], [], 20)
    assert [(part.speaker, round(part.start), round(part.end)) for part in parts] == [
        ("A", 0, 4),
        ("B", 4, 5),
        ("A", 5, 10),
    ]


def test_a_speaker_goes_on_over_a_short_pause() -> None:
    assert len(slices([turn(0, 4, "A"), turn(4.8, 9, "A")], [], 20)) == 1
    assert len(slices([turn(0, 4, "A"), turn(8, 9, "A")], [], 20)) == 2


def test_what_the_diarizer_missed_is_heard_all_the_same() -> None:
    parts = slices([turn(0, 4, "A")], [(0.1, 4.4), (7, 9)], 20)
    assert [part.speaker for part in parts] == ["A", None]
    assert parts[0].end > 4.3


def test_padding_stops_half_way_to_the_neighbour() -> None:
    first, second = slices([turn(1, 4, "A"), turn(4.1, 9, "B")], [], 20)
    assert first.end == pytest.approx(4.05)
    assert second.start == pytest.approx(4.05)
    assert first.start == pytest.approx(0.88)


def test_long_turns_are_divided_in_pauses() -> None:
    part = Slice(start=100, end=195, speaker="A")
    pieces = divided(part, [Pause(at=151, length=0.5), Pause(at=20, length=1)])
    assert [(piece.start, piece.end, piece.speaker) for piece in pieces] == [(100, 151, "A"), (151, 195, "A")]
    assert divided(Slice(start=0, end=LONGEST, speaker=None), []) == (
        Slice(start=0, end=LONGEST, speaker=None),
    )


@settings(deadline=None)
@given(st.lists(st.text(min_size=1).filter(lambda word: word.split() == [word]), max_size=50))
def test_words_fill_their_slice_in_order(words: list[str]) -> None:
    part = Slice(start=3, end=9, speaker="A")
    found = words_of(" ".join(words), part)
    assert [word.text for word in found] == words
    assert all(word.speaker == "A" and 3 <= word.start < word.end <= 9 + 1e-9 for word in found)
    assert [word.start for word in found] == sorted(word.start for word in found)
