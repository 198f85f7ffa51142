"""The pyannoteAI engine against a local server that speaks its protocol, failures included."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.engines.credentials import PyannoteAIAccount
from core.engines.pyannoteai import PyannoteAIEngine, create
from core.errors import AuthFailed, Misconfigured, QuotaExhausted, Rejected, Transient
from core.model import Audio, Hints, SpeakerTurn
from core.ports import Diarizer, Hooked, Transcriber
from core.settings import Settings, load_settings
from core.testing import MemoryHooks
from tests.tiny_models import write_wav
from tests.vendors.faults import HTML, Fault
from tests.vendors.pyannoteai import KEY, PyannoteAIServer

TURNS = [
    {"start": 0.2, "end": 1.0, "speaker": "SPEAKER_00"},
    {"start": 1.0, "end": 1.9, "speaker": "SPEAKER_01"},
]


@pytest.fixture
def audio(tmp_path: Path) -> Audio:
    path = tmp_path / "Q3 with Anna.wav"
    return Audio(path=path, seconds=write_wav(path, [np.zeros(2 * 16000)]))


@pytest.fixture
async def server() -> AsyncIterator[PyannoteAIServer]:
    async with PyannoteAIServer().running() as server:
        server.outputs["diarize"] = {"diarization": TURNS, "exclusiveDiarization": TURNS}
        yield server


def account(url: str, **changes: Any) -> PyannoteAIAccount:
    wanted = {"api_key": KEY, "base_url": url} | changes
    return load_settings(PyannoteAIAccount, _env_file=None, **wanted)


@pytest.fixture
async def engine(server: PyannoteAIServer) -> AsyncIterator[PyannoteAIEngine]:
    engine = PyannoteAIEngine(account(server.url), first=0.01, longest=0.02)
    yield engine
    await engine.close()


def ignore(_fraction: float) -> None:
    pass


async def diarized(engine: PyannoteAIEngine, audio: Audio, hints: Hints | None = None) -> list[SpeakerTurn]:
    return list((await engine.diarizer.diarize(audio, hints or Hints(), ignore)).turns)


# --- set up or not ---


async def test_without_a_key_it_is_absent_and_names_the_variable(
    audio: Audio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYANNOTEAI_API_KEY", raising=False)
    engine = create(load_settings(Settings, _env_file=None))
    ready = await engine.check()
    assert (ready.usable, ready.absent) == (False, True)
    assert "PYANNOTEAI_API_KEY" in ready.remedy
    assert engine.diarizer is not None
    with pytest.raises(AuthFailed, match="PYANNOTEAI_API_KEY"):
        await engine.diarizer.diarize(audio, Hints(), ignore)
    await engine.close()


async def test_a_key_that_can_be_none_is_said() -> None:
    with pytest.raises(Misconfigured, match="PYANNOTEAI_API_KEY"):
        PyannoteAIEngine(account("http://127.0.0.1:9", api_key="sk_ключ"))


async def test_with_a_key_it_is_usable_and_asks_nobody() -> None:
    engine = PyannoteAIEngine(account("http://127.0.0.1:9", model="community-1"))
    ready = await engine.check()
    assert ready.usable
    assert "community-1" in ready.reason
    assert isinstance(engine, Hooked)
    await engine.close()


async def test_what_its_halves_can_do() -> None:
    engine = PyannoteAIEngine(account("http://127.0.0.1:9", concurrency=3, per_minute=7))
    transcriber: Transcriber = engine.transcriber
    diarizer: Diarizer = engine.diarizer
    hears, tells = transcriber.capabilities, diarizer.capabilities
    assert (hears.word_times, hears.labels_speakers, tells.word_times) == (True, True, False)
    assert hears.price == "pyannoteai/transcribe/parakeet-tdt-0.6b-v3"
    assert tells.price == "pyannoteai/diarize/precision-2"
    assert hears.account == tells.account
    assert KEY not in hears.account
    assert (tells.concurrency, tells.per_minute, tells.upload) == (3, 7, "ogg")
    assert (tells.max_seconds, tells.max_bytes) == (86400, 2**30)
    await engine.close()


# --- diarization ---


async def test_a_job_is_uploaded_submitted_and_asked_about_until_it_is_done(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    reported: list[float] = []
    found = await engine.diarizer.diarize(audio, Hints(), reported.append)
    assert found.turns == (
        SpeakerTurn(start=0.2, end=1.0, speaker="SPEAKER_00"),
        SpeakerTurn(start=1.0, end=1.9, speaker="SPEAKER_01"),
    )
    assert not found.overlapping
    (job,) = server.jobs
    assert job.body == {"url": job.body["url"], "model": "precision-2", "exclusive": True}
    assert server.uploads == {job.body["url"]: audio.path.read_bytes()}
    assert "Anna" not in job.body["url"]
    assert server.faults.calls["GET /v1/jobs/{job}"] == 4
    assert reported == sorted(reported)
    assert reported[-1] == 1.0


async def test_the_storage_gets_no_key_even_behind_the_same_proxy(audio: Audio) -> None:
    async with PyannoteAIServer().running(one_origin=True) as server:
        engine = PyannoteAIEngine(account(server.url), first=0.01, longest=0.02)
        assert await diarized(engine, audio) == []
        await engine.close()


@pytest.mark.parametrize(
    ("hints", "sent"),
    [
        (Hints(min_speakers=2, max_speakers=2), {"numSpeakers": 2}),
        (Hints(min_speakers=2, max_speakers=5), {"minSpeakers": 2, "maxSpeakers": 5}),
        (Hints(max_speakers=4), {"maxSpeakers": 4}),
    ],
)
async def test_known_numbers_of_speakers_are_passed_on(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio, hints: Hints, sent: dict[str, int]
) -> None:
    await diarized(engine, audio, hints)
    body = server.jobs[0].body
    assert {name: body[name] for name in body if name.endswith("Speakers")} == sent


async def test_without_exclusive_turns_they_may_overlap(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    rows = [{"start": 0.5, "end": 1.5, "speaker": "B"}, {"start": 0.0, "end": 1.0, "speaker": "A"}]
    server.outputs["diarize"] = {"diarization": rows}
    found = await engine.diarizer.diarize(audio, Hints(), ignore)
    assert found.overlapping
    assert [(turn.start, turn.end, turn.speaker) for turn in found.turns] == [(0, 1, "A"), (0.5, 1.5, "B")]


async def test_noise_in_the_turns_is_borne(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    server.outputs["diarize"] = {
        "exclusiveDiarization": [
            {"start": 1.5, "end": 99, "speaker": "B"},  # longer than the audio
            {"start": -1, "end": 1.0, "speaker": "A"},
            {"start": 0.9, "end": 1.5, "speaker": "C"},  # a little overlap after all
            {"start": 1.2, "end": 1.2, "speaker": "D"},
            {"start": 1.4, "end": 1.3, "speaker": "D"},
            {"start": "soon", "end": 2, "speaker": "D"},
            {"start": float("nan"), "end": 2, "speaker": "D"},
            {"start": 0, "end": 1},
            "what?",
        ]
    }
    assert await diarized(engine, audio) == [
        SpeakerTurn(start=0, end=1.0, speaker="A"),
        SpeakerTurn(start=1.0, end=1.5, speaker="C"),
        SpeakerTurn(start=1.5, end=2.0, speaker="B"),
    ]


# --- words ---


async def test_one_call_gives_words_with_speakers(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    server.outputs["diarize"] = {
        "diarization": TURNS,
        "wordLevelTranscription": [
            {"start": 1.2, "end": 1.6, "text": " there.", "speaker": "SPEAKER_01"},
            {"start": 0.3, "end": 0.6, "text": "Hello", "speaker": "SPEAKER_00"},
            {"start": 0.7, "end": 0.8, "text": "  ", "speaker": "SPEAKER_00"},
        ],
        "turnLevelTranscription": [{"start": 0, "end": 2, "text": "not this", "speaker": "SPEAKER_00"}],
    }
    reported: list[float] = []
    found = await engine.transcriber.transcribe(audio, Hints(languages=("de",)), reported.append)
    assert [(word.start, word.end, word.text, word.speaker) for word in found.words] == [
        (0.3, 0.6, "Hello", "SPEAKER_00"),
        (1.2, 1.6, "there.", "SPEAKER_01"),
    ]
    assert found.languages == ("de",)
    assert reported[-1] == 1.0
    body = server.jobs[0].body
    assert (body["transcription"], body["model"]) == (True, "precision-2")
    assert body["transcriptionConfig"] == {"model": "parakeet-tdt-0.6b-v3"}


async def test_turns_stand_in_for_words(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    server.outputs["diarize"] = {
        "wordLevelTranscription": [],
        "turnLevelTranscription": [{"start": 0.5, "end": 1.5, "text": "Good day", "speaker": "SPEAKER_00"}],
    }
    found = await engine.transcriber.transcribe(audio, Hints(languages=("de", "en")), ignore)
    assert [(word.start, word.end, word.text, word.speaker) for word in found.words] == [
        (0.5, 1.0, "Good", "SPEAKER_00"),
        (1.0, 1.5, "day", "SPEAKER_00"),
    ]
    assert found.languages == ()


async def test_no_word_is_lost_for_its_times(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    server.outputs["diarize"] = {
        "wordLevelTranscription": [
            {"start": 0.5, "end": 1.0, "text": "One", "speaker": "A"},
            {"start": None, "text": "two", "speaker": None},
            {"start": 1.5, "end": 1.2, "text": "three"},
            {"start": 70, "end": 80, "text": "four"},
        ]
    }
    found = await engine.transcriber.transcribe(audio, Hints(), ignore)
    assert [(word.start, word.end, word.text) for word in found.words] == [
        (0.5, 1.0, "One"),
        (1.0, 1.0, "two"),
        (1.5, 1.5, "three"),
        (2.0, 2.0, "four"),
    ]


async def test_silence_has_no_words(server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio) -> None:
    server.outputs["diarize"] = {"wordLevelTranscription": [], "turnLevelTranscription": []}
    assert (await engine.transcriber.transcribe(audio, Hints(), ignore)).words == ()


async def test_an_answer_without_a_transcription_is_not_taken_for_silence(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    server.outputs["diarize"] = {"diarization": TURNS}
    with pytest.raises(Transient):
        await engine.transcriber.transcribe(audio, Hints(), ignore)


# --- jobs that fail ---


@pytest.mark.parametrize("status", ["failed", "canceled"])
async def test_a_job_that_fails_without_output_may_be_tried_again(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio, status: str
) -> None:
    server.outcome = {"status": status}
    with pytest.raises(Transient, match=status):
        await diarized(engine, audio)


@pytest.mark.parametrize(
    "error", ["Invalid audio file", "could not decode audio", "The audio is too short", "No audio stream"]
)
async def test_audio_that_the_vendor_cannot_read_is_rejected(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio, error: str
) -> None:
    server.outcome = {"status": "failed", "output": {"error": error}}
    with pytest.raises(Rejected, match="Convert it"):
        await diarized(engine, audio)


@pytest.mark.parametrize(
    "error",
    [
        "Could not read audio from https://storage/secret?X-Amz-Signature=abc",
        "Invalid audio URL",
        "Timeout while opening audio",
        "Out of memory",
        ["odd"],
    ],
)
async def test_other_failures_are_passing_and_not_quoted(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio, error: object
) -> None:
    server.outcome = {"status": "failed", "output": {"error": error}}
    with pytest.raises(Transient) as caught:
        await diarized(engine, audio)
    assert str(error) not in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_success_without_a_result_is_none(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    server.outcome = {"status": "succeeded"}
    with pytest.raises(Transient):
        await diarized(engine, audio)


async def test_states_that_nobody_knows_do_not_go_on_for_ever(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    server.outcome = {"status": "meditating"}
    with pytest.raises(Transient):
        await diarized(engine, audio)


# --- requests that fail ---


async def test_a_wrong_key_is_the_operators_matter(server: PyannoteAIServer, audio: Audio) -> None:
    engine = PyannoteAIEngine(account(server.url, api_key="sk_other"))
    with pytest.raises(AuthFailed) as caught:
        await diarized(engine, audio)
    assert not isinstance(caught.value, QuotaExhausted)
    await engine.close()


async def test_no_credit_is_said_as_such(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    body = json.dumps({"requestId": "1", "message": "No active subscription"})
    server.faults.add("POST /v1/diarize", Fault(status=402, body=body))
    with pytest.raises(QuotaExhausted):
        await diarized(engine, audio)
    assert server.faults.calls["POST /v1/diarize"] == 1


async def test_a_short_wait_is_waited(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    server.faults.add("POST /v1/diarize", Fault(status=429, headers={"Retry-After": "0"}))
    assert len(await diarized(engine, audio)) == 2
    assert len(server.jobs) == 1


async def test_a_long_wait_is_handed_on(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    server.faults.add("POST /v1/diarize", Fault(status=429, headers={"Retry-After": "120"}))
    with pytest.raises(Transient) as caught:
        await diarized(engine, audio)
    assert caught.value.retry_after == 120


@pytest.mark.parametrize("fault", [Fault(status=500), HTML])
async def test_a_submission_that_may_have_worked_is_not_repeated(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio, fault: Fault
) -> None:
    server.faults.add("POST /v1/diarize", fault)
    with pytest.raises(Transient):
        await diarized(engine, audio)
    assert server.faults.calls["POST /v1/diarize"] == 1


@pytest.mark.parametrize("fault", [Fault(status=500), HTML, Fault(status=404), Fault(status=200, body="[]")])
async def test_questions_may_fail_now_and_then(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio, fault: Fault
) -> None:
    server.faults.add("GET /v1/jobs/{job}", fault)
    assert len(await diarized(engine, audio)) == 2
    assert len(server.jobs) == 1


async def test_a_job_that_was_paid_for_is_not_bought_again_because_asking_fails(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    server.faults.add("GET /v1/jobs/{job}", *[HTML] * 20)
    assert await diarized(engine, audio)
    assert len(server.jobs) == 1


async def test_a_request_that_is_refused_is_a_wrong_setting_not_a_bad_recording(
    server: PyannoteAIServer, audio: Audio
) -> None:
    engine = PyannoteAIEngine(account(server.url, model="precision-9"))
    with pytest.raises(Misconfigured, match="PYANNOTEAI_MODEL"):
        await diarized(engine, audio)
    await engine.close()


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_a_place_that_takes_no_upload_says_nothing_about_the_key(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio, status: int
) -> None:
    server.faults.add("PUT /storage/{key}", Fault(status=status, body="<Error/>"))
    with pytest.raises(Transient, match="storage"):
        await diarized(engine, audio)
    assert server.jobs == []


async def test_an_upload_that_breaks_off_is_repeated(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    server.faults.add("PUT /storage/{key}", Fault(status=500))
    assert len(await diarized(engine, audio)) == 2
    assert list(server.uploads.values()) == [audio.path.read_bytes()]


@pytest.mark.parametrize("place", [{}, {"url": None}, {"url": "/storage/x"}, []])
async def test_a_place_that_is_none_is_not_used(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio, place: object
) -> None:
    server.faults.add("POST /v1/media/input", Fault(status=201, body=json.dumps(place)))
    with pytest.raises(Transient):
        await diarized(engine, audio)


# --- voices ---


async def test_a_voice_is_kept_as_the_vendor_gives_it(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    server.outputs["voiceprint"] = {"voiceprint": "aGVsbG8="}
    assert await engine.voiceprint(audio) == "aGVsbG8="
    assert set(server.jobs[0].body) == {"url", "model"}


async def test_a_sample_that_is_too_long_is_not_sent(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    with pytest.raises(Rejected, match="30 seconds"):
        await engine.voiceprint(Audio(path=audio.path, seconds=31))
    assert not server.uploads


async def test_a_voiceprint_that_is_none_is_not_kept(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    server.outputs["voiceprint"] = {"voiceprint": "", "warning": "too noisy"}
    with pytest.raises(Transient):
        await engine.voiceprint(audio)


async def test_voices_are_found_and_names_stay_here(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    server.outputs["identify"] = {
        "diarization": TURNS,
        "identification": [
            {"start": 1.0, "end": 9.0, "speaker": "v2", "match": "v2", "diarizationSpeaker": "SPEAKER_01"},
            {"start": 0.2, "end": 1.0, "speaker": "v1", "match": "v1", "diarizationSpeaker": "SPEAKER_00"},
            {"start": 0.0, "end": 0.1, "speaker": "SPEAKER_02", "match": None},
            {"start": 0.0, "end": 0.1, "speaker": "v7", "match": "v7"},
            {"start": 0.1, "end": 0.1, "speaker": "v1", "match": "v1", "diarizationSpeaker": "SPEAKER_00"},
        ],
        "voiceprints": [
            {"speaker": "SPEAKER_00", "match": "v1", "confidence": {"v1": 93, "v2": 12}},
            {"speaker": "SPEAKER_01", "match": "v2", "confidence": None},
        ],
    }
    found = await engine.identify(audio, {"SPEAKER_Anna": "QQ==", "Ben": "Qg=="}, threshold=0.55)
    assert found == [(0.2, 1.0, "SPEAKER_Anna", 0.93), (1.0, 2.0, "Ben", 0.55)]
    body = server.jobs[0].body
    assert body["voiceprints"] == [
        {"label": "v1", "voiceprint": "QQ=="},
        {"label": "v2", "voiceprint": "Qg=="},
    ]
    assert body["matching"]["threshold"] == 55
    assert "Anna" not in json.dumps(body)


async def test_nobody_found_is_no_error(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    server.outputs["identify"] = {"identification": [], "voiceprints": []}
    assert await engine.identify(audio, {"Anna": "QQ=="}, threshold=0.5) == []
    assert await engine.identify(audio, {}, threshold=0.5) == []
    assert len(server.jobs) == 1


async def test_many_voices_take_several_requests_and_the_better_match_counts(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    place = {"start": 0.2, "end": 1.0, "match": "v3", "diarizationSpeaker": "SPEAKER_00"}
    server.outputs["identify"] = {
        "identification": [place],
        "voiceprints": [{"speaker": "SPEAKER_00", "match": "v3", "confidence": {"v3": 60}}],
    }
    voices = {f"Person {number}": "QQ==" for number in range(1, 121)}
    found = await engine.identify(audio, voices, threshold=0.5)
    assert found == [(0.2, 1.0, "Person 3", 0.6)]
    assert [len(job.body["voiceprints"]) for job in server.jobs] == [50, 50, 20]
    assert len({job.body["url"] for job in server.jobs}) == len(server.uploads) == 1


# --- webhooks ---


async def test_without_an_address_no_webhook_is_asked_for(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    engine.use_hooks(MemoryHooks(None, frozenset({"pyannoteai"})))
    assert len(await diarized(engine, audio)) == 2
    assert "webhook" not in server.jobs[0].body


async def test_polling_takes_over_if_no_webhook_comes(
    server: PyannoteAIServer, engine: PyannoteAIEngine, audio: Audio
) -> None:
    engine.use_hooks(MemoryHooks("https://erni.example", frozenset({"pyannoteai"})))
    assert len(await diarized(engine, audio)) == 2
    body = server.jobs[0].body
    assert body["webhook"] == "https://erni.example/webhooks/pyannoteai"
    assert body["webhookStatusOnly"] is True
