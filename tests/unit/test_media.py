"""Decoding as the pipeline sees it: a child process, limits, and a sentence for every way to fail."""

from __future__ import annotations

import logging
import math
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import media
from core.child import Child, ChildDied, ChildFailed
from core.errors import Rejected, Transient
from core.model import Audio
from core.refusals import Refusal
from core.settings import Settings, load_settings

RATE = 16000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(Settings, data_dir=tmp_path, max_seconds=600.0)


def write_wav(path: Path, seconds: float, rate: int = RATE) -> Path:
    samples = 0.3 * np.sin(2 * np.pi * 300 * np.arange(int(seconds * rate)) / rate)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


async def decode(source: Path, into: Path, settings: Settings, **options: Any) -> Audio:
    into.mkdir(exist_ok=True)
    options.setdefault("report", lambda _: None)
    options.setdefault("announced_name", source.name)
    return await media.decode(source, into, settings=settings, **options)


async def test_a_recording_becomes_audio(tmp_path: Path, settings: Settings) -> None:
    seen: list[float] = []
    source = write_wav(tmp_path / "ein Gespräch \u202e.wav", 3, 44100)
    audio = await decode(source, tmp_path / "out", settings, report=seen.append)
    assert audio == Audio(path=tmp_path / "out" / "audio.wav", seconds=audio.seconds)
    assert audio.seconds == pytest.approx(3.0, abs=0.01)
    assert seen == sorted(seen)
    assert all(0 <= fraction <= 1 for fraction in seen)
    assert seen[-1] == 1.0


async def test_the_file_s_fault_reaches_the_sharer(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.mp3").write_bytes(b"<html>Sign in</html>")
    with pytest.raises(Rejected) as refused:
        await decode(tmp_path / "a.mp3", tmp_path / "out", settings)
    assert refused.value.user_message == Refusal.WEB_PAGE


async def test_too_long_names_the_limit(tmp_path: Path, settings: Settings) -> None:
    short = settings.model_copy(update={"max_seconds": 90.0})
    with pytest.raises(Rejected, match="longer than 1 minute 30 seconds"):
        await decode(write_wav(tmp_path / "a.wav", 95, 8000), tmp_path / "out", short)


async def test_the_processor_limit_refuses_the_file(tmp_path: Path, settings: Settings) -> None:
    tight = settings.model_copy(update={"decode_cpu_seconds": 2, "max_seconds": 1e6})
    path = write_wav(tmp_path / "days of it.wav", 1, 2000)
    header = bytearray(path.read_bytes()[:44])
    header[40:44] = (400_000_000).to_bytes(4, "little")
    path.write_bytes(header)
    with path.open("r+b") as sparse:
        sparse.truncate(400_000_044)  # 28 hours that take no disk space
    with pytest.raises(Rejected) as refused:
        await decode(path, tmp_path / "out", tight)
    assert refused.value.user_message == Refusal.TOO_DEMANDING


async def test_a_time_limit_is_nobody_s_fault(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(Transient):
        await decode(write_wav(tmp_path / "a.wav", 2), tmp_path / "out", settings, timeout=0.001)


async def test_a_broken_installation_is_not_the_file_s_fault(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(ChildFailed):
        await decode(tmp_path / "never written.wav", tmp_path / "out", settings)


@pytest.mark.parametrize(
    ("death", "expected"),
    [
        (ChildDied("", signal_number=11), Refusal.CRASHED),
        (ChildDied("", signal_number=6), Refusal.CRASHED),
        (ChildDied("", signal_number=24), Refusal.TOO_DEMANDING),
        (ChildDied("", signal_number=9), None),
        (ChildDied("", signal_number=15), None),
        (ChildDied("", signal_number=None), None),
        (TimeoutError(), None),
        (ChildFailed("MemoryError", ""), Refusal.TOO_DEMANDING),
        (ChildFailed("InvalidDataError", "/secret/path"), Refusal.CRASHED),
    ],
)
async def test_every_way_a_decoder_can_end(
    tmp_path: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    death: Exception,
    expected: Refusal | None,
) -> None:
    async def end(function: str, arguments: Mapping[str, Any], **limits: Any) -> Any:
        assert limits["memory_bytes"] == settings.decode_memory_bytes
        assert limits["cpu_seconds"] == settings.decode_cpu_seconds
        assert arguments["max_seconds"] == settings.max_seconds
        raise death

    monkeypatch.setattr(media, "run_in_child", end)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(Transient if expected is None else Rejected) as raised:
        await decode(tmp_path / "Anna and Bob.mp3", tmp_path / "out", settings)
    if isinstance(raised.value, Rejected):
        assert raised.value.user_message == expected
    assert "Anna" not in caplog.text
    assert "secret" not in caplog.text


EXPECTED: dict[str, Refusal | tuple[float, bool]] = {
    "aeneas__mono.invalid.wav": Refusal.CUT,
    "cognitive-services-speech-sdk__missing_wav_header.wav": Refusal.UNKNOWN,
    "derived__signin_page.mp3": Refusal.WEB_PAGE,
    "derived__truncated_half.mp3": (40.33, False),  # nothing in it says how long it was
    "derived__truncated_no_moov.m4a": Refusal.CUT,
    "derived__wav_named.mp3": (10.0, True),
    "minutes__decode-fixture-chained.ogg": (5.0, False),
    "music-metadata__CWE-835-01.aiff": Refusal.CUT,
    "music-metadata__adts-0-frame.mp3": Refusal.CUT,
    "music-metadata__dvi_adpcm.wav": Refusal.TOO_SHORT,
    "music-metadata__mpeglayer3.wav": Refusal.TOO_SHORT,
    "music-metadata__no-last-page.oga": (5.64, False),
    "mutagen__52-too-short-block-size.flac": (0.42, True),
    "mutagen__dsd.wv": Refusal.TOO_SHORT,
    "mutagen__emptyfile.mp3": Refusal.EMPTY,
    "mutagen__issue_29.wma": (0.84, True),
    "mutagen__nero-chapters.m4b": Refusal.DAMAGED,
    "mutagen__silence-44-s.ac3": Refusal.SILENT,
    "mutagen__truncated-64bit.mp4": Refusal.CUT,
    "pydub__wrong_extension.aac": (9.66, False),
    "tinytag__8khz_5s.opus": Refusal.SILENT,
    "tinytag__data_after_eos.ogg": Refusal.SILENT,
    "tinytag__empty_file.wav": Refusal.EMPTY,
    "tinytag__id3_header_with_a_zero_byte.wav": (1.0, False),
    "tinytag__invalid_file.m4a": Refusal.UNKNOWN,
    "whisper-timestamped__empty.mp3": (3.17, False),
    "small_video.mp4": Refusal.NO_AUDIO,
    "creative_common.mp4": (2.26, False),
    "8_Channel_ID.m4a": (8.06, False),
    "audio-sample-chromium.webm": (2.7, False),
    "audio-sample-firefox.ogg": (2.08, False),
    "audio-sample-ios.m4a": (1.36, False),
    "audio-sample-mac-os-safari.webm": (2.31, False),
    "video-sample-visio.mp4": (5.32, False),
    "googlework_short.mp4": (35.02, False),
    "columbia.wma": (198.76, False),
    "commercial_mono.wav": (45.3, False),
    "whatstheweatherlike-mulaw.wav": (2.03, False),
    "stereo_diarization.wav": (5.0, False),
    "michaelandsickmichael.wav": (52.44, False),
}
"""Every odd file of the corpus: why it is refused, or its seconds and whether the reader is warned."""

NO_MEDIA = {".json", ".rttm", ".stm", ".txt", ".TextGrid", ".md"}


async def test_every_file_of_the_corpus_ends_in_audio_or_in_a_sentence(corpus: Path, tmp_path: Path) -> None:
    files = [path for path in sorted(corpus.glob("*/*")) if path.suffix not in NO_MEDIA]
    assert {path.name for path in files} >= set(EXPECTED)
    assert {path.name for path in files if path.parent.name == "broken-media"} <= set(EXPECTED)
    outcomes: dict[str, Refusal | tuple[float, bool]] = {}
    apart = set()
    async with Child() as child:  # one process for all, because starting one takes longer than most files
        for path in files:
            into = tmp_path / path.name
            into.mkdir()
            arguments = {
                "source": str(path),
                "into": str(into),
                "announced_name": path.name,
                "max_seconds": 600,
            }
            try:
                result = await child.call("core.decoding:decode_file", arguments)
            except Rejected as refused:
                outcomes[path.name] = Refusal(refused.user_message)
            else:
                outcomes[path.name] = (result["seconds"], bool(result["warnings"]))
                apart |= {path.name} if result["channels"] else set()
                assert Path(result["path"]).stat().st_size == 44 + 2 * round(result["seconds"] * RATE)
    for name, outcome in outcomes.items():
        expected = EXPECTED.get(name, outcome)
        if isinstance(outcome, tuple) and isinstance(expected, tuple):
            assert math.isclose(outcome[0], expected[0], abs_tol=0.05), name
            assert outcome[1] == expected[1], name
        else:
            assert outcome == expected, name
        assert name in EXPECTED or isinstance(outcome, tuple), name
    assert apart == {"stereo_diarization.wav", "michaelandsickmichael.wav"}
