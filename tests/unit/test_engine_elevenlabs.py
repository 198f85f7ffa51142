"""What is ElevenLabs' own; what it has in common with others is in test_engines_one_call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from core.engines.elevenlabs import create
from core.errors import Rejected, Transient
from core.model import Audio, Hints, Recognition, Word
from core.settings import Settings, load_settings
from tests.vendors.elevenlabs import BUSY, INVALID, ElevenLabsServer, serving

WORDS = (Word(start=0.5, end=0.9, text="Grüezi.", confidence=0.9, speaker="speaker_0"),)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[ElevenLabsServer]:
    async with serving(WORDS, "de") as running:
        monkeypatch.setenv("ELEVENLABS_API_KEY", running.key)
        monkeypatch.setenv("ELEVENLABS_BASE_URL", running.url)
        monkeypatch.delenv("ELEVENLABS_MODEL", raising=False)
        monkeypatch.chdir(tmp_path)
        yield running


async def hear(folder: Path, hints: Hints) -> Recognition:
    path = folder / "talk.flac"
    path.write_bytes(b"fLaC" + bytes(1000))
    engine = create(load_settings(Settings, _env_file=None, data_dir=folder))
    try:
        assert engine.transcriber is not None
        return await engine.transcriber.transcribe(Audio(path=path, seconds=2.0), hints, lambda _: None)
    finally:
        await engine.close()


async def test_what_is_asked_for(server: ElevenLabsServer, tmp_path: Path) -> None:
    await hear(tmp_path, Hints())
    [asked] = server.asked
    assert {name: value for name, value in asked.items() if name != "file"} == {
        "model_id": "scribe_v2",
        "diarize": "true",
        "timestamps_granularity": "word",
        "tag_audio_events": "false",
        "keyterms": [],
        "file_type": "audio/flac",
    }


async def test_hints_are_passed_on(server: ElevenLabsServer, tmp_path: Path) -> None:
    found = await hear(
        tmp_path, Hints(languages=("de",), vocabulary=("Anna Müller", "AVX-512"), max_speakers=40)
    )
    [asked] = server.asked
    assert asked["language_code"] == "de"
    assert asked["num_speakers"] == "32"
    assert asked["keyterms"] == ["Anna Müller", "AVX-512"]
    assert found.warnings == ()


async def test_a_minimum_of_speakers_is_no_maximum(server: ElevenLabsServer, tmp_path: Path) -> None:
    await hear(tmp_path, Hints(min_speakers=3))
    assert "num_speakers" not in server.asked[0]


async def test_several_languages_are_left_to_it_and_that_is_said(
    server: ElevenLabsServer, tmp_path: Path
) -> None:
    found = await hear(tmp_path, Hints(languages=("de", "fr")))
    assert "language_code" not in server.asked[0]
    assert found.languages == ("de",)
    assert "takes one language" in found.warnings[0]


async def test_terms_that_it_refuses_are_not_sent(server: ElevenLabsServer, tmp_path: Path) -> None:
    vocabulary = ("[Anna] {Müller}", "x" * 50, "a b c d e f", "\\", "fine")
    found = await hear(tmp_path, Hints(vocabulary=vocabulary))
    assert [asked["keyterms"] for asked in server.asked] == [["Anna Müller", "fine"]]
    assert found.warnings == ("ElevenLabs can take only 2 of the 4 terms of the vocabulary.",)


async def test_its_first_model_takes_no_vocabulary(
    server: ElevenLabsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELEVENLABS_MODEL", "scribe_v1")
    await hear(tmp_path, Hints(vocabulary=("fine",)))
    assert server.asked[0]["keyterms"] == []
    engine = create(load_settings(Settings, _env_file=None, data_dir=tmp_path))
    assert engine.transcriber is not None
    assert not engine.transcriber.capabilities.takes_vocabulary
    assert engine.transcriber.capabilities.price == "elevenlabs/scribe_v1"


async def test_sounds_and_spaces_are_no_words(
    server: ElevenLabsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer: Callable[[], dict[str, list[object]]] = server._answer

    def with_laughter() -> dict[str, list[object]]:
        found = answer()
        found["words"].append(
            {"text": "(laughter)", "type": "audio_event", "start": 1, "end": 2, "logprob": 0}
        )
        return found

    monkeypatch.setattr(server, "_answer", with_laughter)
    assert [word.text for word in (await hear(tmp_path, Hints())).words] == ["Grüezi."]


async def test_a_request_that_it_finds_invalid_is_refused_once(
    server: ElevenLabsServer, tmp_path: Path
) -> None:
    server.faults = [INVALID]
    with pytest.raises(Rejected):
        await hear(tmp_path, Hints())
    assert len(server.calls) == 1


async def test_a_busy_vendor_is_not_pressed(server: ElevenLabsServer, tmp_path: Path) -> None:
    server.faults = [BUSY]
    with pytest.raises(Transient):
        await hear(tmp_path, Hints())
    assert len(server.calls) == 1
