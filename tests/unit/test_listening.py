"""Speech is told from silence, noise and music, in child processes that are few and used again."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from core.child import ChildFailed
from core.engines import speech, speech_presence
from core.errors import Transient
from core.listening import SpeechDetector
from core.model import Audio
from tests.tiny_models import RATE, silence, voice, write_wav

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
SECONDS = 6.0
AT = np.arange(round(SECONDS * RATE)) / RATE

Floats = npt.NDArray[np.float64]


def decoded(source: Path) -> Floats:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    with av.open(str(source), metadata_errors="ignore") as opened:
        pieces = [
            out.to_ndarray()[0] for frame in opened.decode(audio=0) for out in resampler.resample(frame)
        ]
    return np.concatenate(pieces) / 32768


@pytest.fixture(scope="module")
def meeting(tmp_path_factory: pytest.TempPathFactory) -> Audio:
    path = tmp_path_factory.mktemp("listening") / "meeting.wav"
    return Audio(path=path, seconds=write_wav(path, [decoded(SAMPLES / "meeting.m4a")]))


@pytest.fixture
async def detector() -> AsyncIterator[SpeechDetector]:
    async with SpeechDetector(2) as detector:
        yield detector


@pytest.fixture
def without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_presence, "vad_model", lambda: None)


def noise() -> Floats:
    return np.random.default_rng(1).normal(0, 0.1, len(AT))


def bursts() -> Floats:
    """Noise four times a second, the rate of syllables."""
    return noise() * (np.sin(2 * np.pi * 4 * AT) > 0)


def chords() -> Floats:
    """A piano of sorts: struck triads with ten harmonics each."""
    sound = np.zeros(len(AT))
    second = np.arange(RATE) / RATE
    for beat in range(int(SECONDS)):
        root = (220.0, 174.6, 261.6, 196.0)[beat % 4]
        for interval in (1, 1.26, 1.5):
            for harmonic in range(1, 11):
                tone = np.sin(2 * np.pi * root * interval * harmonic * second) / harmonic
                sound[beat * RATE : (beat + 1) * RATE] += np.exp(-3 * second) * tone
    sound *= 0.5 / np.abs(sound).max()
    return sound


def melody() -> Floats:
    """A bowed line with vibrato: the closest that an instrument comes to a voice."""
    notes = np.repeat([262, 294, 330, 349, 392, 349], RATE // 2)
    pitch = np.resize(notes, len(AT)) * (1 + 0.03 * np.sin(2 * np.pi * 5.5 * AT))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    sound: Floats = np.sum([np.sin(harmonic * phase) / harmonic for harmonic in range(1, 12)], axis=0)
    return sound * 0.15


def drums() -> Floats:
    beat = np.arange(RATE // 2)
    drum = np.exp(-beat / 1500) * np.sin(2 * np.pi * 60 * beat / RATE)
    return np.resize(drum, len(AT)) * 0.5


SOUNDS: dict[str, Callable[[], Floats]] = {
    "nothing": lambda: np.zeros(0),
    "digital silence": lambda: np.zeros(len(AT)),
    "a silent room": lambda: silence(SECONDS),
    "a tone": lambda: 0.5 * np.sin(2 * np.pi * 440 * AT),
    "noise": noise,
    "bursts of noise": bursts,
    "chords": chords,
    "a melody": melody,
    "drums": drums,
    "a band": lambda: 0.4 * chords() + 0.3 * melody() + 0.4 * drums(),
}


@pytest.mark.parametrize("sound", sorted(SOUNDS))
@pytest.mark.parametrize("gain", [1.0, 0.05])
def test_what_is_no_speech(tmp_path: Path, sound: str, gain: float) -> None:
    path = tmp_path / "sound.wav"
    write_wav(path, [SOUNDS[sound]() * gain])
    assert not speech_presence.present(str(path))


@pytest.mark.parametrize("gain", [1.0, 0.03])
def test_a_voice_after_music_is_speech(tmp_path: Path, gain: float) -> None:
    path = tmp_path / "voice.wav"
    write_wav(path, [chords() * gain, silence(1), voice("dark", 3) * gain, silence(1)])
    assert speech_presence.present(str(path))


@pytest.mark.parametrize("gain", [1.0, 0.02])
def test_one_line_in_a_long_silence_is_speech(tmp_path: Path, meeting: Audio, gain: float) -> None:
    path = tmp_path / "line.wav"
    line = decoded(meeting.path)[round(10.78 * RATE) : round(11.44 * RATE)]  # "Good morning."
    write_wav(path, [silence(40), line * gain, silence(40)])
    assert speech_presence.present(str(path))


def test_real_recordings_hold_speech(tmp_path: Path, corpus: Path) -> None:
    found = sorted(corpus.glob("browser-recorders/*.*")) + sorted(corpus.glob("ami-*/*.wav"))
    found = [path for path in found if path.suffix in {".wav", ".webm", ".ogg", ".m4a", ".mp4"}]
    assert len(found) > 5
    for source in found:
        path = tmp_path / "decoded.wav"
        write_wav(path, [decoded(source)])
        assert speech_presence.present(str(path)), source.name


def test_listening_stops_at_the_first_clear_stretch() -> None:
    def probabilities() -> Iterator[float]:
        yield from [0.1, 0.6, 0.1] * 5
        yield from [0.6, 0.4] * 8
        pytest.fail("listened on after half a second of speech")

    assert speech_presence.holds_speech(probabilities(), 0.5)


@pytest.mark.parametrize(("gain", "expected"), [(1.0, False), (0.05, True)])
def test_quiet_recordings_are_listened_to_more_closely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gain: float, expected: bool
) -> None:
    path = tmp_path / "tone.wav"
    write_wav(path, [SOUNDS["a tone"]() * gain])
    monkeypatch.setattr(speech_presence, "speech_probabilities", lambda _path: iter([0.4] * 40))
    assert speech_presence.present(str(path)) is expected


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([], False),
        ([0.6] * 15, False),  # nearly half a second, but doubtful
        ([0.6] * 16, True),
        ([0.6] * 7 + [0.9], True),  # brief and sure
        ([0.9] * 7, False),  # a click
        ([0.4] * 100, False),
        ([0.9, 0.9, 0.1] * 50, False),
    ],
)
def test_how_much_speech_is_speech(probabilities: list[float], expected: bool) -> None:
    assert speech_presence.holds_speech(probabilities, 0.5) is expected


async def test_finds_every_line_of_the_sample(detector: SpeechDetector, meeting: Audio) -> None:
    seen: list[float] = []
    found = await detector.find(meeting, report=seen.append)
    for line in json.loads((SAMPLES / "meeting.seglst.json").read_text()):
        middle = (line["start_time"] + line["end_time"]) / 2
        assert any(start <= middle <= end for start, end in found), line["start_time"]
    assert seen[-1] == 1.0
    assert list(found) == speech.find_speech(meeting.path)


async def test_processes_are_few_and_used_again(detector: SpeechDetector, tmp_path: Path) -> None:
    path = tmp_path / "quiet.wav"
    write_wav(path, [silence(1)])
    assert await asyncio.gather(*(detector.present(path) for _ in range(6))) == [False] * 6
    before = _pids(detector)
    assert 1 <= len(before) <= 2
    await detector.present(path)
    assert _pids(detector) == before
    await detector.close()
    assert _pids(detector) == set()
    assert await detector.present(path) is False


def test_there_are_no_more_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert len(SpeechDetector(50)._children._all) == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert len(SpeechDetector()._children._all) == 1


async def test_a_cancelled_search_leaves_its_place(meeting: Audio) -> None:
    async with SpeechDetector(1) as detector:
        started = asyncio.Event()
        search = asyncio.create_task(detector.find(meeting, report=lambda _fraction: started.set()))
        await started.wait()
        search.cancel()
        with pytest.raises(asyncio.CancelledError):
            await search
        assert await detector.present(meeting.path)


async def test_a_process_that_ends_is_transient(meeting: Audio) -> None:
    async with SpeechDetector(1) as detector:

        def end(_fraction: float) -> None:
            for pid in _pids(detector):
                os.kill(pid, signal.SIGKILL)

        with pytest.raises(Transient):
            await detector.find(meeting, report=end)
        assert await detector.present(meeting.path)


async def test_other_files_fail(detector: SpeechDetector, tmp_path: Path) -> None:
    path = tmp_path / "not.wav"
    path.write_bytes(b"not audio")
    with pytest.raises(ChildFailed):
        await detector.present(path)


@pytest.mark.usefixtures("without_network")
def test_without_the_network_every_line_is_found_by_energy(meeting: Audio) -> None:
    found = speech_presence.find(str(meeting.path), lambda _fraction: None)
    for line in json.loads((SAMPLES / "meeting.seglst.json").read_text()):
        middle = (line["start_time"] + line["end_time"]) / 2
        assert any(start <= middle <= end for start, end in found), line["start_time"]
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(found))
    assert found[-1][1] <= meeting.seconds
    assert speech_presence.present(str(meeting.path))


@pytest.mark.usefixtures("without_network")
@pytest.mark.parametrize(
    ("sound", "expected"),
    [
        ("nothing", False),
        ("digital silence", False),
        ("a silent room", False),
        ("noise", True),  # may hide speech: better recognised than refused
        ("chords", True),
    ],
)
def test_without_the_network_doubt_counts_as_speech(tmp_path: Path, sound: str, expected: bool) -> None:
    path = tmp_path / "sound.wav"
    write_wav(path, [SOUNDS[sound]()])
    assert speech_presence.present(str(path)) is expected


def _pids(detector: SpeechDetector) -> set[int]:
    running = (child._process for child in detector._children._all)
    return {process.pid for process in running if process is not None}
