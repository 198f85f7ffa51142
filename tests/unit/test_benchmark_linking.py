"""The benchmark of linking counts what it says, on recordings that are as it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.linking import PIECES, RATE, Voice, compose, four_known, restarted, wrong_pairs, wrong_time


def voice(piece: int, speaker: str, seconds: int = 1) -> Voice:
    return Voice(piece=piece, speaker=speaker, start=0, end=seconds * RATE)


@given(st.permutations(range(6)))
def test_the_names_of_people_do_not_matter(names: list[int]) -> None:
    voices = [voice(0, "a"), voice(0, "b", 3), voice(1, "b"), voice(1, "c"), voice(2, "a", 2)]
    right = [names[0], names[1], names[1], names[2], names[0]]
    assert wrong_time(voices, right) == wrong_pairs(voices, right) == 0


def test_wrong_time_and_pairs() -> None:
    voices = [voice(0, "a", 4), voice(0, "b", 2), voice(1, "a", 3), voice(1, "b", 1)]
    swapped = [0, 1, 1, 0]
    assert wrong_time(voices, swapped) == pytest.approx(0.4)  # a is 0 (4 s) and b is 1 (2 s)
    assert wrong_pairs(voices, swapped) == 1
    apart = [0, 1, 2, 3]
    assert wrong_time(voices, apart) == pytest.approx(0.4)  # 4 s of a and 2 s of b are right
    assert wrong_pairs(voices, apart) == 0.5


def test_what_linking_is_compared_with() -> None:
    voices = [voice(0, name) for name in "abcde"] + [voice(1, name) for name in "eca"]
    assert restarted(voices) == [0, 1, 2, 3, 4, 0, 1, 2]
    assert wrong_time(voices, four_known(voices)) == pytest.approx(1 / 8)


@settings(max_examples=8, deadline=None)  # seconds of audio each
@given(st.integers(1, 6), st.integers(0, 1000))
def test_no_audio_is_used_twice_and_labels_stay_with_their_voices(speakers: int, seed: int) -> None:
    pool = {str(n): 1000.0 * n + np.linspace(0, 1, (5 + n) * RATE) for n in range(7)}
    sound, voices = compose(pool, speakers, np.random.default_rng(seed))
    assert len(np.unique(sound)) == len(sound) == voices[-1].end
    assert len({one.speaker for one in voices}) == speakers
    assert [one.piece for one in voices] == sorted(one.piece for one in voices)
    assert len({(one.piece, one.speaker) for one in voices}) == len(voices)
    assert all(0 <= one.piece < PIECES for one in voices)
    for one in voices:
        assert (sound[one.start : one.end] // 1000 == int(one.speaker)).all()
