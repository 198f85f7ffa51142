"""What is AssemblyAI's own; what it has in common with others is in test_engines_one_call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.engines import assemblyai
from core.engines.assemblyai import create
from core.errors import Misconfigured, QuotaExhausted, Rejected, Transient
from core.model import Audio, Hints, Recognition, Word
from core.settings import Settings, load_settings
from tests.vendors.assemblyai import NO_SPEECH, UNREADABLE, AssemblyAIServer, serving
from tests.vendors.one_call import Fault

WORDS = (
    Word(start=0.5, end=0.9, text="Guten", confidence=0.9, speaker="A"),
    Word(start=1.0, end=1.4, text="Morgen!", confidence=0.9, speaker="B"),
)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[AssemblyAIServer]:
    async with serving(WORDS, "de") as running:
        monkeypatch.setenv("ASSEMBLYAI_API_KEY", running.key)
        monkeypatch.setenv("ASSEMBLYAI_BASE_URL", running.url)
        monkeypatch.delenv("ASSEMBLYAI_MODELS", raising=False)
        monkeypatch.setattr(assemblyai, "_FIRST_PAUSE", 0.01)
        monkeypatch.setattr(assemblyai, "_LONGEST_PAUSE", 0.02)
        monkeypatch.chdir(tmp_path)
        yield running


async def hear(folder: Path, hints: Hints | None = None) -> Recognition:
    path = folder / "talk.ogg"
    path.write_bytes(b"OggS" + bytes(1000))
    engine = create(load_settings(Settings, _env_file=None, data_dir=folder))
    try:
        assert engine.transcriber is not None
        return await engine.transcriber.transcribe(
            Audio(path=path, seconds=2.0), hints or Hints(), lambda _: None
        )
    finally:
        await engine.close()


async def test_what_is_asked_for(server: AssemblyAIServer, tmp_path: Path) -> None:
    await hear(tmp_path)
    [address] = server.uploads
    assert server.asked == [
        {
            "audio_url": address,
            "speech_models": ["universal-3-pro", "universal-2"],
            "speaker_labels": True,
            "language_detection": True,
        }
    ]


@pytest.mark.parametrize(
    ("hints", "asked"),
    [
        (Hints(languages=("fr",)), {"language_code": "fr"}),
        (
            Hints(languages=("fr", "de")),
            {
                "language_detection": True,
                "language_detection_options": {
                    "expected_languages": ["fr", "de"],
                    "fallback_language": "auto",
                },
            },
        ),
        (Hints(min_speakers=3, max_speakers=3), {"language_detection": True, "speakers_expected": 3}),
        (
            Hints(min_speakers=2, max_speakers=4),
            {
                "language_detection": True,
                "speaker_options": {"min_speakers_expected": 2, "max_speakers_expected": 4},
            },
        ),
        (
            Hints(max_speakers=4),
            {"language_detection": True, "speaker_options": {"max_speakers_expected": 4}},
        ),
        (
            Hints(vocabulary=("Anna Müller",)),
            {"language_detection": True, "keyterms_prompt": ["Anna Müller"]},
        ),
    ],
)
async def test_hints_are_passed_on(
    server: AssemblyAIServer, tmp_path: Path, hints: Hints, asked: dict[str, Any]
) -> None:
    found = await hear(tmp_path, hints)
    [body] = server.asked
    always = {"audio_url", "speech_models", "speaker_labels"}
    assert {name: value for name, value in body.items() if name not in always} == asked
    assert found.warnings == ()


async def test_a_long_vocabulary_stays_under_the_limit(server: AssemblyAIServer, tmp_path: Path) -> None:
    vocabulary = ("one two three four five six seven", *(f"term {n}" for n in range(250)))
    found = await hear(tmp_path, Hints(vocabulary=vocabulary))
    [body] = server.asked
    assert body["keyterms_prompt"] == [f"term {n}" for n in range(200)]
    assert "200 of the 251 terms" in found.warnings[0]


async def test_a_slow_job_is_waited_for(server: AssemblyAIServer, tmp_path: Path) -> None:
    server.slow = 4
    assert (await hear(tmp_path)).words
    assert len([call for call in server.calls if call.startswith("GET")]) == 5


async def test_an_upload_that_breaks_off_is_repeated(server: AssemblyAIServer, tmp_path: Path) -> None:
    server.faults = [Fault(cut=True)]
    assert (await hear(tmp_path)).words
    assert server.calls.count("POST /v2/upload") == 2
    assert server.calls.count("POST /v2/transcript") == 1


async def test_trouble_while_waiting_is_borne(server: AssemblyAIServer, tmp_path: Path) -> None:
    server.faults = [None, None, Fault(status=200, body={"status": "dreaming"})]
    assert (await hear(tmp_path)).words


async def test_nothing_stays_there(server: AssemblyAIServer, tmp_path: Path) -> None:
    await hear(tmp_path)
    assert server.here == {}
    assert server.calls[-1].startswith("DELETE /v2/transcript/")


@pytest.mark.parametrize("error", ["Internal error", UNREADABLE])
async def test_nothing_stays_there_after_a_failure(
    server: AssemblyAIServer, tmp_path: Path, error: str
) -> None:
    server.error = error
    with pytest.raises((Transient, Rejected)):
        await hear(tmp_path)
    assert server.here == {}


async def test_nothing_stays_there_when_it_is_cancelled(server: AssemblyAIServer, tmp_path: Path) -> None:
    server.gate.clear()
    task = asyncio.create_task(hear(tmp_path))
    async with asyncio.timeout(5):
        while not server.here:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert server.here == {}


async def test_a_transcript_that_can_not_be_deleted_is_still_a_transcript(
    server: AssemblyAIServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults = [None, None, None, Fault(status=403, body={"error": "Guten Morgen is yours"})]
    assert (await hear(tmp_path)).words
    assert server.here
    [record] = [record for record in caplog.records if record.name == "core.engines.assemblyai"]
    assert "403" in record.getMessage()
    assert "Guten" not in record.getMessage()


@pytest.mark.parametrize("error", [NO_SPEECH, "Audio duration is too short."])
async def test_a_job_that_heard_nobody_is_silence(
    server: AssemblyAIServer, tmp_path: Path, error: str
) -> None:
    server.error = error
    assert await hear(tmp_path, Hints(languages=("de",))) == Recognition(words=())


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (UNREADABLE, Rejected),
        ("Your current account balance is negative. Please top up.", QuotaExhausted),
        ("Download error, unable to download https://cdn.assemblyai.com/upload/secret", Transient),
        ("", Transient),
    ],
)
async def test_failed_jobs_are_told_apart(
    server: AssemblyAIServer, tmp_path: Path, error: str, raised: type[Exception]
) -> None:
    answer = {"status": "error", "error": error or None}
    server.faults = [None, None, Fault(status=200, body=answer)]
    with pytest.raises(raised) as caught:
        await hear(tmp_path)
    assert "cdn." not in str(caught.value)


async def test_a_model_that_is_gone_is_for_the_operator(
    server: AssemblyAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSEMBLYAI_MODELS", "best")
    with pytest.raises(Misconfigured, match="ASSEMBLYAI_MODELS"):
        await hear(tmp_path, Hints(languages=("de",)))


def test_no_model_is_a_mistake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSEMBLYAI_MODELS", "")
    with pytest.raises(Misconfigured, match="ASSEMBLYAI_MODELS"):
        create(load_settings(Settings, _env_file=None, data_dir=tmp_path))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": "completed", "text": "", "utterances": [], "words": []}, []),
        ({"status": "completed", "text": None, "utterances": None}, []),
        (
            {"status": "completed", "text": "Hi", "words": [{"text": "Hi", "start": 100, "end": 300}]},
            [Word(start=0.1, end=0.3, text="Hi")],
        ),
        (
            {
                "status": "completed",
                "language_code": "en_us",
                "utterances": [{"speaker": "C", "words": [{"text": "Hi", "start": 100, "end": 300}]}],
            },
            [Word(start=0.1, end=0.3, text="Hi", speaker="C")],
        ),
    ],
)
async def test_answers_with_less_in_them(
    server: AssemblyAIServer, tmp_path: Path, answer: dict[str, Any], words: list[Word]
) -> None:
    server.faults = [None, None, Fault(status=200, body=answer)]
    assert list((await hear(tmp_path)).words) == words


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "completed", "text": "Hi"},
        {"status": "completed", "text": "Hi", "utterances": [{"speaker": "A"}]},
        {"status": "completed", "text": "Hi", "utterances": ["Hi"]},
        {"status": "completed", "text": "Hi", "words": ["Hi"]},
    ],
)
async def test_text_without_words_is_not_taken_for_silence(
    server: AssemblyAIServer, tmp_path: Path, answer: dict[str, Any]
) -> None:
    server.faults = [None, None, Fault(status=200, body=answer)]
    with pytest.raises(Transient, match="not understood"):
        await hear(tmp_path)
