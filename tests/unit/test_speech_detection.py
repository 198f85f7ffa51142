"""Speech is found where it is, in a stream, and padded without overlap."""

from __future__ import annotations

import itertools
import json
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.engines import pcm, speech

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def write_wav(path: Path, samples: np.ndarray, rate: int = 16000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def meeting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=16000)
    with av.open(str(SAMPLES / "meeting.m4a")) as source:
        pieces = [
            out.to_ndarray()[0] for frame in source.decode(audio=0) for out in resampler.resample(frame)
        ]
    return write_wav(tmp_path_factory.mktemp("vad") / "meeting.wav", np.concatenate(pieces))


probabilities = st.lists(st.floats(0, 1), max_size=200)


@given(probabilities, st.floats(0.2, 0.9), st.integers(1, 8))
def test_stretches_hold_all_speech_and_are_apart(
    values: list[float], threshold: float, min_silence: int
) -> None:
    found = list(speech.hysteresis(values, threshold=threshold, min_silence=min_silence))
    inside = {index for first, last in found for index in range(first, last)}
    assert all(index in inside for index, value in enumerate(values) if value >= threshold)
    assert all(values[first] >= threshold for first, _ in found)
    assert all(after[0] - before[1] >= min_silence for before, after in itertools.pairwise(found))


def test_hysteresis_by_hand() -> None:
    values = [0.1, 0.6, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.6, 0.2]
    # 0.4 lies between release (0.35) and threshold (0.5): it keeps speech open, 0.2 closes it.
    assert list(speech.hysteresis(values, threshold=0.5, min_silence=2)) == [(1, 5), (8, 9)]
    assert list(speech.hysteresis(values, threshold=0.5, min_silence=4)) == [(1, 9)]


gaps_and_lengths = st.lists(st.tuples(st.floats(0.01, 3), st.floats(0.01, 3)), max_size=20)


@given(gaps_and_lengths, st.floats(0, 2))
def test_padding_keeps_spans_apart_and_inside(parts: list[tuple[float, float]], pad: float) -> None:
    spans, at = [], 0.0
    for gap, length in parts:
        spans.append((at + gap, at + gap + length))
        at += gap + length
    padded = speech.pad_spans(spans, pad=pad, seconds=at)
    assert len(padded) == len(spans)
    for (start, end), (begin, finish) in zip(spans, padded, strict=True):
        assert 0 <= begin <= start
        assert end <= finish + 1e-9
        assert finish <= at + 1e-9
        assert start - begin <= pad + 1e-9
        assert finish - end <= pad + 1e-9
    assert all(one[1] <= two[0] + 1e-9 for one, two in itertools.pairwise(padded))


def test_finds_every_line_of_the_sample(meeting: Path) -> None:
    seen: list[float] = []
    found = speech.find_speech(meeting, report=seen.append)
    lines = json.loads((SAMPLES / "meeting.seglst.json").read_text())
    for line in lines:
        middle = (line["start_time"] + line["end_time"]) / 2
        assert any(start <= middle <= end for start, end in found), line["start_time"]
    spoken = sum(line["end_time"] - line["start_time"] for line in lines)
    assert sum(end - start for start, end in found) == pytest.approx(spoken, rel=0.1)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_long_pauses_only_where_asked(meeting: Path) -> None:
    fine = speech.find_speech(meeting, min_silence=0.2)
    coarse = speech.find_speech(meeting, min_silence=2.0, pad=0.4)
    assert len(coarse) < len(fine)
    assert speech.find_speech(meeting, min_silence=0.2, min_speech=1000) == []


def test_block_size_changes_nothing(meeting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(speech.speech_probabilities(meeting))
    monkeypatch.setattr(speech, "_BLOCK", 7 * 512)
    assert list(speech.speech_probabilities(meeting)) == pytest.approx(whole, abs=1e-4)


@pytest.mark.parametrize(("gain", "expected"), [(1.0, 0.5), (0.1, 0.35)])
def test_quiet_recordings_get_a_lower_threshold(
    tmp_path: Path, meeting: Path, gain: float, expected: float
) -> None:
    samples = pcm.read(meeting, 0, 20) * gain
    samples[5] = 32767  # one crack does not make a recording loud
    assert speech.threshold_for(write_wav(tmp_path / "gain.wav", samples)) == expected


@pytest.mark.parametrize("extreme", [-32768, 32767])
def test_the_loudest_samples_are_counted(tmp_path: Path, extreme: int) -> None:
    assert speech.threshold_for(write_wav(tmp_path / "loud.wav", np.full(1000, extreme))) == 0.5


@pytest.mark.parametrize("samples", [0, 1, 511, 512, 513, 40_000])
def test_silence_and_noise_are_no_speech(tmp_path: Path, samples: int) -> None:
    quiet = write_wav(tmp_path / "quiet.wav", np.zeros(samples))
    noise = write_wav(tmp_path / "noise.wav", np.random.default_rng(0).normal(0, 2000, samples))
    assert speech.find_speech(quiet) == []
    assert speech.find_speech(noise) == []


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2)])
def test_only_decoded_audio_is_read(tmp_path: Path, rate: int, channels: int) -> None:
    path = write_wav(tmp_path / "other.wav", np.zeros(1600), rate, channels)
    with pytest.raises(ValueError, match="decoded audio"):
        speech.find_speech(path)


@given(st.floats(-1, 3), st.floats(-1, 3))
def test_reading_pieces_stays_inside_the_file(start: float, end: float) -> None:
    path = _ramp()
    whole = pcm.read(path, 0, 99)
    first, last = max(0, round(start * 16000)), max(0, round(end * 16000))
    assert pcm.read(path, start, end).tolist() == whole[first:last].tolist()


def _ramp() -> Path:
    global _ramp_file  # noqa: PLW0603  (hypothesis cannot use a fixture per example)
    if _ramp_file is None:
        import tempfile

        folder = Path(tempfile.mkdtemp())
        _ramp_file = write_wav(folder / "ramp.wav", np.arange(16000))
    return _ramp_file


_ramp_file: Path | None = None
