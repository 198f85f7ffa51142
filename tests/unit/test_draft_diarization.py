"""The weight-free diarization: its parts by hand and by property, and the whole on the sample meeting."""

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

from core.engines import agglomeration, clustering, mixtures
from core.engines.clustering import Bounds, bounds, diarize
from core.engines.features import DIMENSIONS, Speech, extract
from core.engines.speech import find_speech

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def write_wav(path: Path, samples: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes(samples.astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def meeting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=16000)
    with av.open(str(SAMPLES / "meeting.m4a")) as source:
        pieces = [
            out.to_ndarray()[0] for frame in source.decode(audio=0) for out in resampler.resample(frame)
        ]
    return write_wav(tmp_path_factory.mktemp("draft") / "meeting.wav", np.concatenate(pieces))


@pytest.fixture(scope="module")
def features(meeting: Path) -> Speech:
    return extract(meeting, find_speech(meeting))


def talk(*parts: tuple[int, float], regions: int = 1) -> Speech:
    """Made-up speech: for each part its frames and the place of its speaker on every axis."""
    rng = np.random.default_rng(0)
    cepstra = np.concatenate([rng.normal(place, 1, (frames, DIMENSIONS)) for frames, place in parts])
    edges = np.linspace(0, len(cepstra), regions + 1).astype(int).tolist()
    return Speech(
        cepstra=cepstra.astype(np.float32),
        pitch=np.full(len(cepstra), np.nan, dtype=np.float32),
        regions=tuple(
            (one / 100 + at, two / 100 + at) for at, (one, two) in enumerate(itertools.pairwise(edges))
        ),
        offsets=tuple(edges),
    )


def test_features_are_normalised_over_the_speech(features: Speech) -> None:
    assert features.cepstra.mean(axis=0) == pytest.approx(np.zeros(DIMENSIONS), abs=1e-3)
    assert features.cepstra.std(axis=0) == pytest.approx(np.ones(DIMENSIONS), abs=1e-3)
    seconds = sum(end - start for start, end in features.regions)
    assert len(features.cepstra) == pytest.approx(100 * seconds, rel=0.05)
    assert features.offsets[-1] == len(features.cepstra) == len(features.pitch)


@pytest.mark.parametrize("hertz", [90, 150, 260])
def test_pitch_of_a_known_tone(tmp_path: Path, hertz: int) -> None:
    time = np.arange(32000) / 16000
    voice = sum(np.sin(2 * np.pi * hertz * harmonic * time) / harmonic for harmonic in range(1, 8))
    path = write_wav(tmp_path / "tone.wav", 5000 * np.asarray(voice))
    pitch = extract(path, [(0.1, 1.9)]).pitch
    measured = pitch[~np.isnan(pitch)]
    assert len(measured) > 30
    assert np.median(measured) == pytest.approx(np.log2(hertz), abs=0.03)


def test_noise_has_no_pitch(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "noise.wav", np.random.default_rng(0).normal(0, 3000, 32000))
    assert np.isnan(extract(path, [(0.0, 2.0)]).pitch).mean() > 0.95


def test_long_regions_are_read_in_pieces_without_a_seam(
    meeting: Path, features: Speech, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.engines.features._PIECE", 52)  # a multiple of the pitch grid
    in_pieces = extract(meeting, features.regions)
    assert np.abs(in_pieces.cepstra - features.cepstra).max() < 1e-3
    assert np.array_equal(np.isnan(in_pieces.pitch), np.isnan(features.pitch))


def test_regions_too_short_for_a_frame_are_left_out(meeting: Path) -> None:
    assert extract(meeting, [(1.0, 1.01), (2.0, 3.0)]).regions == ((2.0, 3.0),)
    nothing = extract(meeting, [(1.0, 1.01)])
    assert nothing.regions == ()
    assert clustering.speakers(nothing, bounds(None, None)).tolist() == []


def test_distant_voices_are_grouped_and_kept_apart() -> None:
    speech = talk((800, -2), (800, 2), (800, -2), (800, 2))
    labels = agglomeration.first_labels(speech, 2)
    assert len(set(labels[:800])) == 1
    assert labels[0] != labels[900]
    assert labels[0] == labels[2000]


def test_clustering_by_windows_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    speech = talk(*[(400, place) for place in (-2, 2, 0, 2, -2, 0) * 4])
    expected = agglomeration.first_labels(speech, 3)
    monkeypatch.setattr(agglomeration, "_WINDOW", 10)
    monkeypatch.setattr(agglomeration, "_TOGETHER", 20)
    windowed = agglomeration.first_labels(speech, 3)
    pairs = set(zip(expected.tolist(), windowed.tolist(), strict=True))
    assert len(pairs) == 3  # the same groups, perhaps with other numbers


def test_likelihood_ratio_of_equal_halves_is_nothing() -> None:
    frames = np.random.default_rng(0).normal(0, 1, (500, DIMENSIONS)).astype(np.float32)
    twice = agglomeration.gaussians_of(np.concatenate([frames, frames]), [(0, 500), (500, 1000)])
    ratio = agglomeration.likelihood_ratio(twice, agglomeration.spread(twice), 0, np.array([1]))
    assert ratio == pytest.approx([0.0], abs=1e-6)


tables = st.integers(1, 6).flatmap(
    lambda count: st.integers(1, 3).flatmap(
        lambda width: st.tuples(
            st.lists(
                st.lists(st.integers(-50, 50), min_size=width, max_size=width), min_size=count, max_size=count
            ),
            st.lists(st.integers(0, 40), min_size=count, max_size=count),
        )
    )
)


@given(tables)
def test_viterbi_finds_the_best_path(table: tuple[list[list[int]], list[int]]) -> None:
    scores, switch = np.array(table[0], dtype=float), np.array(table[1], dtype=float)

    def total(path: tuple[int, ...]) -> float:
        turns = sum(switch[t] for t in range(1, len(path)) if path[t] != path[t - 1])
        return float(sum(scores[t, speaker] for t, speaker in enumerate(path)) - turns)

    best = max(total(path) for path in itertools.product(range(scores.shape[1]), repeat=len(scores)))
    assert total(tuple(mixtures.viterbi(scores, switch).tolist())) == pytest.approx(best)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=300), st.integers(1, 5))
def test_turns_tell_the_labels_in_order(labels: list[int], regions: int) -> None:
    speech = talk((len(labels), 0.0), regions=min(regions, len(labels)))
    found = list(clustering.turns(speech, np.array(labels)))
    assert all(start < end for start, end, _ in found)
    assert all(one[1] <= two[0] + 1e-9 for one, two in itertools.pairwise(found))
    numbers = [number for _, _, number in found]
    assert list(dict.fromkeys(numbers)) == list(range(len(set(labels))))
    assert sum(end - start for start, end, _ in found) == pytest.approx(len(labels) / 100)


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        (None, None, Bounds(least=1, most=32)),
        (3, 3, Bounds(least=3, most=3)),
        (2, None, Bounds(least=2, most=32)),
        (None, 4, Bounds(least=1, most=4)),
        (5, 2, Bounds(least=5, most=5)),
        (0, -3, Bounds(least=1, most=1)),
        (1000, 10**9, Bounds(least=32, most=32)),
    ],
)
def test_bounds(least: int | None, most: int | None, expected: Bounds) -> None:
    assert bounds(least, most) == expected


def test_the_sample_has_three_speakers_in_their_places(meeting: Path) -> None:
    seen: list[float] = []
    found = diarize(str(meeting), report=seen.append)
    assert {number for _, _, number in found} == {0, 1, 2}
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    names = {"Anna": 0, "Mark": 1, "Ian": 2}  # in order of first appearance
    wrong = sum(
        max(0.0, min(end, line["end_time"]) - max(start, line["start_time"]))
        for line in json.loads((SAMPLES / "meeting.seglst.json").read_text())
        for start, end, number in found
        if number != names[line["speaker"]]
    )
    assert wrong < 2.0  # seconds of 78; the overlap alone is 0.35


@pytest.mark.parametrize(("least", "most"), [(1, 1), (2, 2), (3, 3), (5, 5), (None, 2), (4, None)])
def test_the_number_of_speakers_is_honoured(features: Speech, least: int | None, most: int | None) -> None:
    count = len(set(clustering.speakers(features, bounds(least, most)).tolist()))
    assert (least or 1) <= count <= (most or 32)


def test_more_speakers_than_speech_for_them() -> None:
    labels = clustering.speakers(talk((150, 0.0)), bounds(20, 20))
    assert set(labels.tolist()) == {0}
