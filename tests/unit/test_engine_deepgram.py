"""What is Deepgram's own; what it has in common with others is in test_engines_one_call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.engines.deepgram import create
from core.errors import QuotaExhausted, Rejected, Transient
from core.model import Audio, Hints, Recognition, Word
from core.settings import Settings, load_settings
from tests.vendors.deepgram import BUSY, GAVE_UP, DeepgramServer, serving
from tests.vendors.one_call import Fault

WORDS = (
    Word(start=0.5, end=0.9, text="Guten", confidence=0.9, speaker="0"),
    Word(start=1.0, end=1.4, text="Morgen!", confidence=0.9, speaker="0"),
    Word(start=1.5, end=1.9, text="Bonjour.", confidence=0.9, speaker="1"),
)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[DeepgramServer]:
    async with serving(WORDS, "de") as running:
        monkeypatch.setenv("DEEPGRAM_API_KEY", running.key)
        monkeypatch.setenv("DEEPGRAM_BASE_URL", running.url)
        monkeypatch.delenv("DEEPGRAM_MODEL", raising=False)
        monkeypatch.chdir(tmp_path)
        yield running


async def hear(folder: Path, hints: Hints) -> Recognition:
    path = folder / "talk.wav"
    path.write_bytes(b"RIFF" + bytes(1000))
    engine = create(load_settings(Settings, _env_file=None, data_dir=folder))
    try:
        assert engine.transcriber is not None
        return await engine.transcriber.transcribe(Audio(path=path, seconds=2.0), hints, lambda _: None)
    finally:
        await engine.close()


async def test_what_is_asked_for(server: DeepgramServer, tmp_path: Path) -> None:
    await hear(tmp_path, Hints())
    assert server.asked == [
        {
            "model": ["nova-3"],
            "diarize_model": ["latest"],
            "utterances": ["true"],
            "punctuate": ["true"],
            "smart_format": ["true"],
            "detect_language": ["true"],
        }
    ]
    assert server.sent[0].media_type == "audio/wav"


async def test_one_language_is_told_and_taken_for_what_was_spoken(
    server: DeepgramServer, tmp_path: Path
) -> None:
    found = await hear(tmp_path, Hints(languages=("fr",)))
    assert server.asked[0]["language"] == ["fr"]
    assert "detect_language" not in server.asked[0]
    assert found.languages == ("fr",)


async def test_several_languages_may_alternate(server: DeepgramServer, tmp_path: Path) -> None:
    server.codes = ["fr", "de", "fr"]
    found = await hear(tmp_path, Hints(languages=("de", "fr")))
    assert server.asked[0]["language"] == ["multi"]
    assert server.asked[0]["language_hint"] == ["de", "fr"]
    assert found.languages == ("fr", "de")


async def test_languages_that_the_answer_lists_are_taken(server: DeepgramServer, tmp_path: Path) -> None:
    assert (await hear(tmp_path, Hints(languages=("de", "fr")))).languages == ("de",)


@pytest.mark.parametrize(("model", "languages"), [("nova-3", ("de", "rm")), ("nova-2", ("de", "fr"))])
async def test_languages_between_which_it_can_not_switch_are_a_choice(
    server: DeepgramServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    languages: tuple[str, ...],
) -> None:
    monkeypatch.setenv("DEEPGRAM_MODEL", model)
    await hear(tmp_path, Hints(languages=languages))
    assert server.asked[0]["detect_language"] == list(languages)
    assert "language" not in server.asked[0]


async def test_the_vocabulary_is_passed_on(server: DeepgramServer, tmp_path: Path) -> None:
    found = await hear(tmp_path, Hints(vocabulary=("Anna Müller", "R&D + more")))
    assert server.asked[0]["keyterm"] == ["Anna Müller", "R&D + more"]
    assert found.warnings == ()


async def test_a_long_vocabulary_stays_under_the_limit(server: DeepgramServer, tmp_path: Path) -> None:
    found = await hear(tmp_path, Hints(vocabulary=tuple(f"Überlingen {n}" for n in range(100))))
    assert len(server.asked) == 1
    assert 30 <= len(server.asked[0]["keyterm"]) < 40
    assert "of the 100 terms" in found.warnings[0]


async def test_an_older_model_takes_no_vocabulary(
    server: DeepgramServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPGRAM_MODEL", "nova-2")
    assert (await hear(tmp_path, Hints(vocabulary=("fine",)))).warnings == ()
    assert "keyterm" not in server.asked[0]
    engine = create(load_settings(Settings, _env_file=None, data_dir=tmp_path))
    assert engine.transcriber is not None
    assert not engine.transcriber.capabilities.takes_vocabulary


async def test_speakers_are_counted_by_itself(server: DeepgramServer, tmp_path: Path) -> None:
    found = await hear(tmp_path, Hints(min_speakers=2, max_speakers=2))
    assert [word.speaker for word in found.words] == ["0", "0", "1"]
    engine = create(load_settings(Settings, _env_file=None, data_dir=tmp_path))
    assert engine.transcriber is not None
    assert not engine.transcriber.capabilities.takes_speakers


async def test_a_short_wait_is_waited(server: DeepgramServer, tmp_path: Path) -> None:
    server.faults = [replace(BUSY, headers={"Retry-After": "0"})]
    assert (await hear(tmp_path, Hints())).words
    assert len(server.calls) == 2


async def test_giving_up_is_not_repeated_at_once(server: DeepgramServer, tmp_path: Path) -> None:
    server.faults = [GAVE_UP]
    with pytest.raises(Transient):
        await hear(tmp_path, Hints())
    assert len(server.calls) == 1


async def test_quota_in_any_wording(server: DeepgramServer, tmp_path: Path) -> None:
    server.faults = [Fault(status=402, body="<html>Payment Required</html>")]
    with pytest.raises(QuotaExhausted):
        await hear(tmp_path, Hints())


async def test_an_unknown_model_is_refused(
    server: DeepgramServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPGRAM_MODEL", "nova-1000")
    with pytest.raises(Rejected):
        await hear(tmp_path, Hints())


@pytest.mark.parametrize(
    "alternatives",
    [[], [{"transcript": "", "confidence": 0.0}], [{"transcript": "", "confidence": 0.0, "words": []}]],
)
async def test_every_way_to_hear_nothing(
    server: DeepgramServer, tmp_path: Path, alternatives: list[object]
) -> None:
    body = {"results": {"channels": [{"alternatives": alternatives, "detected_language": "en"}]}}
    server.faults = [Fault(status=200, body=body)]
    assert await hear(tmp_path, Hints()) == Recognition(words=())


@pytest.mark.parametrize("best", [{"transcript": "Good morning."}, {"transcript": "x", "words": ["x"]}])
async def test_text_without_words_is_not_taken_for_silence(
    server: DeepgramServer, tmp_path: Path, best: object
) -> None:
    server.faults = [Fault(status=200, body={"results": {"channels": [{"alternatives": [best]}]}})]
    with pytest.raises(Transient, match="not understood"):
        await hear(tmp_path, Hints())
