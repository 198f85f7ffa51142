"""The Replicate engine against a local server that speaks its protocol, failures included."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.engines.credentials import ReplicateAccount
from core.engines.replicate_diarization import ReplicateEngine, create
from core.errors import AuthFailed, Misconfigured, QuotaExhausted, Rejected, Transient
from core.model import Audio, Hints, Recognition
from core.ports import Hooked
from core.settings import Settings, load_settings
from core.testing import MemoryHooks
from tests.tiny_models import write_wav
from tests.vendors.faults import HTML, Fault
from tests.vendors.replicate import TOKEN, VERSION, ReplicateServer

HEAD = {
    "segments": [
        {
            "start": 0.2,
            "end": 1.8,
            "text": "Hello there. Hi.",
            "speaker": "SPEAKER_00",
            "avg_logprob": -0.2,
            "words": [
                {
                    "start": 0.2,
                    "end": 0.5,
                    "word": " Hello",
                    "probability": 0.91,
                    "speaker": "SPEAKER_00",
                },
                {
                    "start": 0.5,
                    "end": 0.9,
                    "word": " there.",
                    "probability": 1.2,
                    "speaker": "UNKNOWN",
                },
                {"start": 1.4, "end": 1.8, "word": " Hi.", "probability": 0.5, "speaker": "SPEAKER_01"},
            ],
        }
    ],
    "language": "en",
    "num_speakers": 2,
}


@pytest.fixture
def audio(tmp_path: Path) -> Audio:
    path = tmp_path / "Q3 with Anna.wav"
    return Audio(path=path, seconds=write_wav(path, [np.zeros(2 * 16000)]))


@pytest.fixture
async def server() -> AsyncIterator[ReplicateServer]:
    async with ReplicateServer().running() as server:
        server.output = HEAD
        yield server


def account(url: str, **changes: Any) -> ReplicateAccount:
    wanted = {"api_key": TOKEN, "base_url": url, "version": VERSION} | changes
    return load_settings(ReplicateAccount, _env_file=None, **wanted)


@pytest.fixture
async def engine(server: ReplicateServer) -> AsyncIterator[ReplicateEngine]:
    engine = ReplicateEngine(account(server.url), first=0.01, longest=0.02)
    yield engine
    await engine.close()


def ignore(_fraction: float) -> None:
    pass


async def heard(engine: ReplicateEngine, audio: Audio, hints: Hints | None = None) -> Recognition:
    return await engine.transcriber.transcribe(audio, hints or Hints(), ignore)


def said(found: Recognition) -> list[tuple[float, float, str, str | None]]:
    return [(word.start, word.end, word.text, word.speaker) for word in found.words]


# --- set up or not ---


async def test_without_a_token_it_is_absent(
    audio: Audio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REPLICATE_API_TOKEN", raising=False)
    engine = create(load_settings(Settings, _env_file=None))
    ready = await engine.check()
    assert (ready.usable, ready.absent) == (False, True)
    assert "REPLICATE_API_TOKEN" in ready.remedy
    assert engine.transcriber is not None
    with pytest.raises(AuthFailed, match="REPLICATE_API_TOKEN"):
        await engine.transcriber.transcribe(audio, Hints(), ignore)
    await engine.close()


@pytest.mark.parametrize("version", ["", "latest", VERSION[:-1]])
async def test_without_a_version_it_is_not_set_up_completely(version: str) -> None:
    engine = ReplicateEngine(account("http://127.0.0.1:9", version=version))
    ready = await engine.check()
    assert (ready.usable, ready.absent) == (False, False)
    assert "REPLICATE_VERSION" in ready.remedy
    assert "replicate.com/thomasmol/whisper-diarization/versions" in ready.remedy
    await engine.close()


async def test_a_token_that_can_be_none_is_said() -> None:
    with pytest.raises(Misconfigured, match="REPLICATE_API_TOKEN"):
        ReplicateEngine(account("http://127.0.0.1:9", api_key="r8_ключ"))


async def test_with_both_it_is_usable_and_asks_nobody() -> None:
    engine = ReplicateEngine(account("http://127.0.0.1:9", concurrency=2))
    assert (await engine.check()).usable
    assert isinstance(engine, Hooked)
    assert engine.diarizer is None
    can = engine.transcriber.capabilities
    assert (can.word_times, can.labels_speakers, can.upload) == (True, True, "ogg")
    assert (can.max_bytes, can.concurrency) == (100 * 2**20, 2)
    assert can.price == "replicate/whisper-diarization"
    assert TOKEN not in can.account
    await engine.close()


# --- the way there and back ---


async def test_a_file_is_uploaded_predicted_and_deleted(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio
) -> None:
    reported: list[float] = []
    found = await engine.transcriber.transcribe(audio, Hints(), reported.append)
    assert said(found) == [
        (0.2, 0.5, "Hello", "SPEAKER_00"),
        (0.5, 0.9, "there.", "SPEAKER_00"),
        (1.4, 1.8, "Hi.", "SPEAKER_01"),
    ]
    assert [word.confidence for word in found.words] == [0.91, None, 0.5]
    assert found.languages == ("en",)
    assert reported == sorted(reported)
    assert reported[-1] == 1.0
    (prediction,) = server.predictions
    assert prediction.body == {
        "version": VERSION,
        "input": {"file": f"{server.url}/v1/files/file1"},
    }
    assert not prediction.cancelled
    await engine.close()
    assert server.deleted == ["file1"]
    assert server.names == {"file1": "audio.wav"}


async def test_the_bytes_arrive_as_they_are(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio
) -> None:
    server.faults.add("DELETE /v1/files/{file}", *[Fault(status=403)] * 4)
    await heard(engine, audio)
    await engine.close()
    assert server.files == {"file1": audio.path.read_bytes()}


async def test_it_works_through_a_proxy_whose_answers_name_the_vendor(audio: Audio) -> None:
    server = ReplicateServer()
    server.named, server.output = "https://api.replicate.com", HEAD
    async with server.running():
        engine = ReplicateEngine(account(server.url), first=0.01, longest=0.02)
        assert len((await heard(engine, audio)).words) == 3
        await engine.close()
    assert server.deleted == ["file1"]


@pytest.mark.parametrize(
    ("hints", "sent"),
    [
        (Hints(min_speakers=3, max_speakers=3), {"num_speakers": 3}),
        (Hints(min_speakers=2, max_speakers=3, languages=("de", "en")), {}),
        (
            Hints(languages=("de",), vocabulary=("Erni", "Luzern")),
            {"language": "de", "prompt": "Erni, Luzern."},
        ),
        (Hints(min_speakers=60, max_speakers=60), {}),
    ],
)
async def test_hints_are_passed_on_as_far_as_every_version_takes_them(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio, hints: Hints, sent: dict[str, object]
) -> None:
    await heard(engine, audio, hints)
    wanted = dict(server.predictions[0].body["input"])
    del wanted["file"]
    assert wanted == sent


async def test_a_long_vocabulary_is_cut_between_terms(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio
) -> None:
    found = await heard(engine, audio, Hints(vocabulary=tuple(f"Term{number:04}" for number in range(200))))
    prompt = server.predictions[0].body["input"]["prompt"]
    assert len(prompt) <= 700
    assert "of the 200 terms" in found.warnings[0]
    assert prompt.startswith("Term0000, Term0001")
    assert prompt.endswith(".")


# --- answers of other versions ---


async def test_old_versions_give_times_as_text_and_no_language(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio
) -> None:
    server.output = {
        "segments": [
            {"start": "0.5", "end": "1.5", "text": "Good day", "speaker": "SPEAKER 1"},
            {"start": "0:00:01.5", "end": "0:00:02", "text": "Bye", "speaker": "UNKNOWN", "words": None},
        ]
    }
    found = await heard(engine, audio, Hints(languages=("en",)))
    assert said(found) == [
        (0.5, 1.0, "Good", "SPEAKER 1"),
        (1.0, 1.5, "day", "SPEAKER 1"),
        (1.5, 2.0, "Bye", None),
    ]
    assert found.languages == ("en",)


async def test_no_text_is_lost_for_its_times(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio
) -> None:
    server.output = [
        {"start": 1, "end": "never", "text": "one two", "speaker": None, "words": []},
        {"text": "three", "speaker": 2},
        {"start": 50, "end": 60, "text": "four"},
    ]
    found = await heard(engine, audio)
    assert [word.text for word in found.words] == ["one", "two", "three", "four"]
    assert all(0 <= word.start <= word.end <= audio.seconds for word in found.words)
    assert found.words[2].speaker == "2"
    assert found.languages == ()


async def test_silence_has_no_words_and_no_language(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio
) -> None:
    server.output = {"segments": [], "language": "en"}
    found = await heard(engine, audio)
    assert (found.words, found.languages) == ((), ())


@pytest.mark.parametrize("output", [None, "text", {"text": "other model"}])
async def test_an_answer_of_another_shape_is_not_taken_for_silence(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio, output: object
) -> None:
    server.output = output
    with pytest.raises(Transient):
        await heard(engine, audio)


# --- predictions that fail ---


@pytest.mark.parametrize("status", ["failed", "canceled", "aborted"])
async def test_a_prediction_that_fails_may_be_tried_again(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio, status: str
) -> None:
    server.outcome = {"status": status, "output": None, "error": "CUDA out of memory at /tmp/anna"}
    with pytest.raises(Transient, match=status) as caught:
        await heard(engine, audio)
    assert "anna" not in str(caught.value)
    await engine.close()
    assert server.deleted == ["file1"]


async def test_audio_that_the_model_cannot_read_is_rejected(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio
) -> None:
    server.outcome = {"status": "failed", "output": None, "error": "Invalid audio file: moov atom missing"}
    with pytest.raises(Rejected, match="Convert it"):
        await heard(engine, audio)


async def test_a_wrong_version_is_a_wrong_setting_not_a_bad_recording(
    server: ReplicateServer, audio: Audio
) -> None:
    engine = ReplicateEngine(account(server.url, version="0" * 64))
    with pytest.raises(Misconfigured, match="REPLICATE_VERSION"):
        await heard(engine, audio)
    await engine.close()
    assert server.deleted == ["file1"]


async def test_a_wrong_token_is_the_operators_matter(server: ReplicateServer, audio: Audio) -> None:
    engine = ReplicateEngine(account(server.url, api_key="r8_other"))
    with pytest.raises(AuthFailed):
        await heard(engine, audio)
    await engine.close()


async def test_no_credit_is_said_as_such(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio
) -> None:
    body = json.dumps({"title": "Insufficient credit", "status": 402})
    server.faults.add("POST /v1/predictions", Fault(status=402, body=body))
    with pytest.raises(QuotaExhausted):
        await heard(engine, audio)


async def test_a_short_wait_is_waited(server: ReplicateServer, engine: ReplicateEngine, audio: Audio) -> None:
    server.faults.add("POST /v1/predictions", Fault(status=429, headers={"Retry-After": "0"}))
    assert len((await heard(engine, audio)).words) == 3
    assert len(server.predictions) == 1


async def test_a_busy_storage_hands_its_wait_on(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio
) -> None:
    server.faults.add("POST /v1/files", Fault(status=429, headers={"Retry-After": "7"}))
    with pytest.raises(Transient) as caught:
        await heard(engine, audio)
    assert caught.value.retry_after == 7


@pytest.mark.parametrize("answer", [{}, {"id": "file1"}, {"id": 7, "urls": {"get": "x"}}, []])
async def test_a_file_without_an_address_is_not_used(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio, answer: object
) -> None:
    server.faults.add("POST /v1/files", Fault(status=201, body=json.dumps(answer)))
    with pytest.raises(Transient):
        await heard(engine, audio)


@pytest.mark.parametrize("fault", [Fault(status=500), HTML])
async def test_a_submission_that_may_have_worked_is_not_repeated(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio, fault: Fault
) -> None:
    server.faults.add("POST /v1/predictions", fault)
    with pytest.raises(Transient):
        await heard(engine, audio)
    assert server.faults.calls["POST /v1/predictions"] == 1


@pytest.mark.parametrize("fault", [Fault(status=502), HTML, Fault(status=404)])
async def test_questions_may_fail_now_and_then(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio, fault: Fault
) -> None:
    server.faults.add("GET /v1/predictions/{id}", fault)
    assert len((await heard(engine, audio)).words) == 3
    assert not server.predictions[0].cancelled


async def test_a_prediction_that_cannot_be_asked_about_is_given_up_and_cancelled(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio
) -> None:
    server.faults.add("GET /v1/predictions/{id}", *[HTML] * 10_000)
    task = asyncio.create_task(heard(engine, audio))
    while server.faults.calls["GET /v1/predictions/{id}"] < 20:  # paid for, so not given up soon
        assert not task.done()
        await asyncio.sleep(0.01)
    task.cancel()  # as the caller's deadline does
    with pytest.raises(asyncio.CancelledError):
        await task
    await engine.close()
    assert len(server.predictions) == 1
    assert server.predictions[0].cancelled
    assert server.deleted == ["file1"]


async def test_who_is_cancelled_cancels_the_prediction(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio
) -> None:
    server.states = ["processing"] * 100_000
    task = asyncio.create_task(heard(engine, audio))
    while server.faults.calls["GET /v1/predictions/{id}"] < 2:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await engine.close()
    assert server.predictions[0].cancelled
    assert server.deleted == ["file1"]


async def test_tidying_up_that_fails_spoils_no_result(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio
) -> None:
    server.faults.add("DELETE /v1/files/{file}", Fault(status=404))
    assert len((await heard(engine, audio)).words) == 3
    await engine.close()
    assert server.deleted == []


# --- webhooks ---


async def test_polling_takes_over_if_no_webhook_comes(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio
) -> None:
    engine.use_hooks(MemoryHooks("https://erni.example/", frozenset({"replicate"})))
    assert len((await heard(engine, audio)).words) == 3
    body = server.predictions[0].body
    assert body["webhook"] == "https://erni.example/webhooks/replicate"
    assert body["webhook_events_filter"] == ["completed"]


async def test_without_an_address_no_webhook_is_asked_for(
    server: ReplicateServer, engine: ReplicateEngine, audio: Audio
) -> None:
    engine.use_hooks(MemoryHooks("https://erni.example", frozenset()))
    assert len((await heard(engine, audio)).words) == 3
    assert "webhook" not in server.predictions[0].body
