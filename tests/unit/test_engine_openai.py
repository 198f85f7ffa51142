"""The OpenAI engines through the real SDK, against a local server that is as strict as the vendor."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.encoding import encode
from core.engines.credentials import OpenAIAccount
from core.engines.openai_audio import OpenAIEngine, create, create_diarizing
from core.errors import AuthFailed, ErniError, Misconfigured, QuotaExhausted, Rejected, Transient
from core.model import Audio, Hints, Recognition
from core.ports import Probing
from core.settings import Settings, load_settings
from core.uploads import CONTAINERS
from tests.tiny_models import write_wav
from tests.vendors.faults import HTML, Fault
from tests.vendors.openai_audio import KEY, Model, OpenAIServer, Phrase, Said, refused, serving

OWN = "https://api.openai.com/v1"
TODAY = date(2026, 11, 1)
TALK = Said(
    phrases=(
        Phrase(start=0.2, end=1.0, text="Hello, Anna.", speaker="A"),
        Phrase(start=1.2, end=1.8, text="Good morning!", speaker="B"),
    )
)


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in OpenAIAccount.model_fields.values():
        monkeypatch.delenv(str(name.alias), raising=False)
    monkeypatch.chdir(tmp_path)


def make_audio(folder: Path, seconds: float) -> Audio:
    """A piece as the pipeline sends it."""
    write_wav(folder / "Q3 with Anna.wav", [0.1 * np.sin(np.arange(round(seconds * 16000)) / 8)])
    ogg = CONTAINERS["ogg"]
    path = folder / "Q3 with Anna.ogg"
    encode(
        path=str(folder / "Q3 with Anna.wav"),
        start=0,
        end=seconds,
        into=str(path),
        codec=ogg.codec,
        options=dict(ogg.options),
    )
    return Audio(path=path, seconds=seconds)


@pytest.fixture
def audio(tmp_path: Path) -> Audio:
    return make_audio(tmp_path, 2.0)


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with serving(lambda _data, _form: TALK) as server:
        yield server


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., OpenAIEngine]]:
    engines: list[OpenAIEngine] = []

    def one(
        url: str,
        *,
        diarizing: bool = False,
        patience: float = 20.0,
        clock: Callable[[], float] = time.monotonic,
        **changes: Any,
    ) -> OpenAIEngine:
        wanted = {"api_key": KEY, "base_url": url} | changes
        account = load_settings(OpenAIAccount, _env_file=None, **wanted)
        engines.append(
            OpenAIEngine(account, diarizing=diarizing, today=lambda: TODAY, clock=clock, patience=patience)
        )
        return engines[-1]

    yield one
    for engine in engines:
        await engine.close()


Make = Callable[..., OpenAIEngine]


async def heard(engine: OpenAIEngine, audio: Audio, hints: Hints | None = None) -> Recognition:
    return await engine.transcriber.transcribe(audio, hints or Hints(), lambda _fraction: None)


def prepared(engine: OpenAIEngine) -> bool:
    assert isinstance(engine.transcriber, Probing)
    return engine.transcriber.prepared


def texts(found: Recognition) -> list[str]:
    return [word.text for word in found.words]


# --- what each model is asked, and what becomes of its answer ---


async def test_words_with_times_and_punctuation(server: OpenAIServer, make: Make, audio: Audio) -> None:
    reported: list[float] = []
    hints = Hints(languages=("en",), vocabulary=("Anna", "Erni"))
    found = await make(server.url).transcriber.transcribe(audio, hints, reported.append)
    assert texts(found) == ["Hello,", "Anna.", "Good", "morning!"]
    assert [round(word.start, 3) for word in found.words] == [0.2, 0.6, 1.2, 1.5]
    assert found.languages == ("en",)
    assert reported == [0.0, 1.0]
    [request] = server.requests
    assert request.form == {
        "model": ["whisper-1"],
        "response_format": ["verbose_json"],
        "timestamp_granularities[]": ["word", "segment"],
        "language": ["en"],
        "prompt": ["Anna, Erni"],
    }
    assert (request.filename, request.content_type) == (
        "audio.ogg",
        "audio/ogg",
    )  # no name of a recording leaves
    assert request.seconds == pytest.approx(2.0, abs=0.1)
    assert request.size == audio.path.stat().st_size


async def test_words_with_speakers(server: OpenAIServer, make: Make, tmp_path: Path) -> None:
    long = make_audio(tmp_path, 31.0)  # from 30 s the vendor insists on a chunking strategy
    engine = make(server.url, diarizing=True, diarize_model="gpt-4o-transcribe-diarize")
    found = await heard(engine, long, Hints(languages=("de",), vocabulary=("Anna",)))
    assert [(word.text, word.speaker) for word in found.words] == [
        ("Hello,", "A"),
        ("Anna.", "A"),
        ("Good", "B"),
        ("morning!", "B"),
    ]
    assert found.words[1].end == 1.0
    assert found.languages == ("de",)
    [request] = server.requests
    assert request.value("response_format") == "diarized_json"
    assert request.value("chunking_strategy") == "auto"
    assert "prompt" not in request.form
    assert engine.transcriber.capabilities.labels_speakers
    assert not engine.transcriber.capabilities.takes_vocabulary


async def test_text_with_keywords_and_languages(server: OpenAIServer, make: Make, audio: Audio) -> None:
    engine = make(server.url, transcribe_model="gpt-transcribe")
    found = await heard(engine, audio, Hints(languages=("de", "en"), vocabulary=("Anna", "Erni")))
    assert (found.words, found.text, found.languages) == ((), "Hello, Anna. Good morning!", ("en",))
    [request] = server.requests
    assert request.form == {
        "model": ["gpt-transcribe"],
        "response_format": ["json"],
        "languages[]": ["de", "en"],
        "keywords[]": ["Anna", "Erni"],
    }
    assert not engine.transcriber.capabilities.word_times


@pytest.mark.parametrize("model", ["gpt-4o-transcribe", "gpt-4o-mini-transcribe-2025-12-15"])
async def test_text_with_a_prompt(server: OpenAIServer, make: Make, audio: Audio, model: str) -> None:
    engine = make(server.url, transcribe_model=model)
    found = await heard(engine, audio, Hints(languages=("en", "de"), vocabulary=("Anna",)))
    assert (found.text, found.languages) == ("Hello, Anna. Good morning!", ())
    [request] = server.requests
    assert request.form == {"model": [model], "response_format": ["json"], "prompt": ["Anna"]}


async def test_terms_that_were_left_out_are_said(server: OpenAIServer, make: Make, audio: Audio) -> None:
    terms = tuple(f"Term{number:04}" for number in range(200))
    found = await heard(make(server.url), audio, Hints(vocabulary=terms))
    assert found.warnings == ("Of the vocabulary only the first 60 terms were used.",)


async def test_silence_is_nothing(make: Make, audio: Audio) -> None:
    async with serving() as server:
        assert (await heard(make(server.url), audio)) == Recognition(words=())


async def test_what_is_too_short_for_a_word_holds_none(
    server: OpenAIServer, make: Make, tmp_path: Path
) -> None:
    blip = Audio(path=tmp_path / "blip.wav", seconds=write_wav(tmp_path / "blip.wav", [np.zeros(800)]))
    assert (await heard(make(server.url), blip)).words == ()
    assert server.requests == []


async def test_pieces_go_out_at_the_same_time(make: Make, audio: Audio) -> None:
    both = asyncio.Barrier(2)

    async def say(_data: bytes, _form: object) -> Said:
        async with asyncio.timeout(20):
            await both.wait()
        return TALK

    async with serving(say) as server:
        engine = make(server.url)
        first, second = await asyncio.gather(heard(engine, audio), heard(engine, audio))
    assert texts(first) == texts(second) == ["Hello,", "Anna.", "Good", "morning!"]


async def test_a_cancelled_request_ends_and_the_next_one_works(
    server: OpenAIServer, make: Make, audio: Audio
) -> None:
    server.fail("stuck")
    engine = make(server.url)
    task = asyncio.create_task(heard(engine, audio))
    while not server.calls:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert texts(await heard(engine, audio))


async def test_closing_twice_is_fine_and_calls_open_it_again(
    server: OpenAIServer, make: Make, audio: Audio
) -> None:
    engine = make(server.url)
    await engine.close()
    assert texts(await heard(engine, audio))
    await engine.close()
    await engine.close()
    assert texts(await heard(engine, audio))


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("fault", "kind", "wait"),
    [
        (refused(401, "invalid_api_key"), AuthFailed, None),
        (refused(403, "unsupported_country_region_territory"), AuthFailed, None),
        (refused(403, "model_not_found"), Misconfigured, None),
        (refused(404, "model_not_found"), Misconfigured, None),
        (Fault(status=404, body="<html>", content_type="text/html"), Misconfigured, None),
        (refused(429, "insufficient_quota", retry_after="5"), QuotaExhausted, None),
        (Fault(status=429, body='{"error": {"code": "billing_not_active"}}'), QuotaExhausted, None),
        (Fault(status=429, body='{"error": {"type": "insufficient_quota"}}'), QuotaExhausted, None),
        (Fault(status=402, body='{"detail": "pay"}'), QuotaExhausted, None),
        (refused(429, "rate_limit_exceeded", retry_after="7"), Transient, 7.0),
        (refused(429, "rate_limit_exceeded", retry_after="9", retry_after_ms="1500"), Transient, 1.5),
        (refused(429, "rate_limit_exceeded", retry_after="3600"), Transient, 3600.0),
        (refused(429, "rate_limit_exceeded"), Transient, None),
        (refused(500, "server_error"), Transient, None),
        (
            Fault(status=503, body="busy", content_type="text/plain", headers={"Retry-After": "3"}),
            Transient,
            3.0,
        ),
        (HTML, Transient, None),
        (Fault(status=200, body='{"text": '), Transient, None),
        (Fault(status=200, body="[]"), Transient, None),
        (Fault(status=200, body='{"error": {"message": "overloaded"}}'), Transient, None),
        (Fault(status=422, body='{"detail": [{"loc": ["body", "file"]}]}'), Rejected, None),
        (Fault(status=413, body="<html>", content_type="text/html"), Rejected, None),
        ("cut", Transient, None),
    ],
)
async def test_failures_are_told_apart(
    server: OpenAIServer,
    make: Make,
    audio: Audio,
    fault: Fault | str,
    kind: type[ErniError],
    wait: float | None,
) -> None:
    server.fail(fault)
    engine = make(server.url)
    with pytest.raises(ErniError) as raised:
        await heard(engine, audio)
    assert type(raised.value) is kind
    assert KEY not in str(raised.value)
    if isinstance(raised.value, Transient):
        assert raised.value.retry_after == wait
    if kind is Misconfigured:
        assert "OPENAI_TRANSCRIBE_MODEL" in str(raised.value)
    assert server.calls == 1  # whoever calls repeats, not the SDK
    assert texts(await heard(engine, audio))


async def test_a_redirect_carries_no_recording_off(server: OpenAIServer, make: Make, audio: Audio) -> None:
    async with serving(key=None) as elsewhere:
        server.fail(Fault(status=307, headers={"Location": f"{elsewhere.url}/audio/transcriptions"}))
        with pytest.raises(Transient, match="307"):
            await heard(make(server.url), audio)
        assert elsewhere.calls == 0


async def test_a_server_that_never_answers_is_given_up(
    server: OpenAIServer, make: Make, audio: Audio
) -> None:
    server.fail("stuck")
    instant = Audio(path=audio.path, seconds=0.01)
    with pytest.raises(Transient, match="in time"):
        await heard(make(server.url, patience=0.3), instant)


async def test_a_server_that_is_not_there(make: Make, audio: Audio) -> None:
    async with serving() as server:
        url = server.url
    with pytest.raises(Transient, match="can't be reached"):
        await heard(make(url), audio)


async def test_a_wrong_key(server: OpenAIServer, make: Make, audio: Audio) -> None:
    with pytest.raises(AuthFailed, match="OPENAI_API_KEY"):
        await heard(make(server.url, api_key="sk-wrong"), audio)


async def test_a_recording_that_is_too_long(
    make: Make, audio: Audio, caplog: pytest.LogCaptureFixture
) -> None:
    short = Model(formats=frozenset({"json"}), max_seconds=1.0)
    async with serving(models={"gpt-4o-transcribe": short}) as server:
        engine = make(server.url, transcribe_model="gpt-4o-transcribe")
        with caplog.at_level(logging.WARNING), pytest.raises(Rejected, match="of this length"):
            await heard(engine, audio)
    assert "status 400, code invalid_value" in caplog.text
    assert "audio duration" not in caplog.text


async def test_a_file_that_is_no_recording(server: OpenAIServer, make: Make, tmp_path: Path) -> None:
    path = tmp_path / "noise.ogg"
    path.write_bytes(b"no sound at all" * 100)
    with pytest.raises(Rejected, match="Convert it to MP3 or WAV"):
        await heard(make(server.url), Audio(path=path, seconds=1.0))


async def test_a_file_of_another_kind(server: OpenAIServer, make: Make, audio: Audio, tmp_path: Path) -> None:
    path = audio.path.rename(tmp_path / "sound.aiff")
    with pytest.raises(Rejected):
        await heard(make(server.url), Audio(path=path, seconds=2.0))


async def test_a_language_that_nobody_knows(server: OpenAIServer, make: Make, audio: Audio) -> None:
    with pytest.raises(Rejected, match="does not know the language"):
        await heard(make(server.url), audio, Hints(languages=("tlh",)))


async def test_a_wrong_table_is_the_operators(server: OpenAIServer, make: Make, audio: Audio) -> None:
    engine = make(
        server.url, transcribe_model="gpt-transcribe", models='{"gpt-transcribe": {"word_times": true}}'
    )
    with pytest.raises(Misconfigured, match=r"response_format for gpt-transcribe\. Say in OPENAI_MODELS"):
        await heard(engine, audio)


# --- servers of one's own ---


BOTH = frozenset({"word", "segment"})
FIELDS = frozenset({"language", "prompt", "temperature", "timestamp_granularities[]"})
VERBOSE = frozenset({"json", "text", "verbose_json"})
TEXT_ONLY = Model(formats=frozenset({"json"}))


def own(*omits: str, granularities: frozenset[str] = BOTH) -> Model:
    return Model(formats=VERBOSE, granularities=granularities, fields=FIELDS, omits=frozenset(omits))


@pytest.mark.parametrize(
    ("model", "understood", "calls", "timed"),
    [
        (own(), ["verbose_json"], 1, True),
        (own("words"), ["verbose_json"], 1, True),  # perhaps only because there are none
        (own(granularities=frozenset({"segment"})), ["verbose_json"], 2, True),
        (own("words", "segments"), ["verbose_json", "verbose_json", "json"], 3, False),
        (TEXT_ONLY, ["json"], 3, False),
        (replace(TEXT_ONLY, refuses=422), ["json"], 3, False),
        (replace(TEXT_ONLY, refuses=500), ["json"], 5, False),
    ],
)
async def test_an_unknown_model_is_asked_once(
    make: Make, audio: Audio, model: Model, understood: list[str], calls: int, timed: bool
) -> None:
    async with serving(key=None, models={"own": model}) as server:
        engine = make(server.url, api_key=None, transcribe_model="own")
        transcriber = engine.transcriber
        assert isinstance(transcriber, Probing)
        assert not transcriber.capabilities.word_times
        await asyncio.gather(transcriber.prepare(), transcriber.prepare())
        assert transcriber.capabilities.word_times == timed
        assert transcriber.capabilities.max_seconds == 1390
        assert [request.value("response_format") for request in server.requests] == understood
        assert server.calls == calls
        assert all(0.5 < request.seconds < 2 for request in server.requests)
        server.say = lambda _data, _form: TALK
        found = await heard(engine, audio, Hints(languages=("en",)))
        assert server.calls == calls + 1
        assert (texts(found) or found.text.split()) == ["Hello,", "Anna.", "Good", "morning!"]


async def test_transcribing_asks_by_itself(make: Make, audio: Audio) -> None:
    async with serving(lambda _data, _form: TALK, models={"own": TEXT_ONLY}) as server:
        assert (await heard(make(server.url, transcribe_model="own"), audio)).text


@pytest.mark.parametrize(
    ("faults", "kind"),
    [
        ([refused(401, "invalid_api_key")], AuthFailed),
        (["cut"], Transient),
        ([refused(429, "rate_limit_exceeded", retry_after="2")], Transient),
        ([refused(503, "busy")], Transient),
        ([refused(500, "broken")] * 3, Transient),
        ([refused(500, "broken"), refused(503, "busy")], Transient),
        ([refused(500, "broken")] * 2 + ["cut"], Transient),
        ([refused(400, "no")] * 3, Misconfigured),
        ([HTML], Transient),
    ],
)
async def test_a_failed_question_is_asked_again(
    make: Make, audio: Audio, faults: list[Fault | str], kind: type[ErniError]
) -> None:
    async with serving(lambda _data, _form: TALK, models={"own": own()}) as server:
        engine = make(server.url, transcribe_model="own")
        server.fail(*faults)
        with pytest.raises(kind):
            await engine.transcriber.transcribe(audio, Hints(), lambda _fraction: None)
        assert not prepared(engine)
        assert texts(await heard(engine, audio))
        assert prepared(engine)
        assert engine.transcriber.capabilities.word_times


@pytest.mark.parametrize("stumbles", [1, 2])
async def test_stumbles_do_not_make_a_model_text_only(make: Make, stumbles: int) -> None:
    async with serving(models={"own": own()}) as server:
        engine = make(server.url, transcribe_model="own")
        server.fail(*[refused(500, "broken")] * stumbles)
        assert isinstance(engine.transcriber, Probing)
        await engine.transcriber.prepare()
        assert server.requests[-1].form["timestamp_granularities[]"] == ["word", "segment"]
    assert engine.transcriber.capabilities.word_times


async def test_what_a_server_fails_at_is_asked_for_again_after_ten_minutes(make: Make) -> None:
    now = 0.0
    failing = replace(TEXT_ONLY, refuses=500)
    async with serving(models={"own": failing}) as server:
        engine = make(server.url, transcribe_model="own", clock=lambda: now)
        transcriber = engine.transcriber
        assert isinstance(transcriber, Probing)
        await transcriber.prepare()
        assert server.calls == 5
        for calls in (7, 9):
            now += 599
            assert prepared(engine)
            now += 2
            assert not prepared(engine)
            await transcriber.prepare()
            assert server.calls == calls
            assert not transcriber.capabilities.word_times
        now += 601
        server.fail(refused(503, "busy"))
        with pytest.raises(Transient):
            await transcriber.prepare()
        assert not prepared(engine), "an outage puts the question off"
        server.models = {"own": own()}  # somebody mended it
        await transcriber.prepare()
        assert transcriber.capabilities.word_times
        now += 10_000
        assert prepared(engine)


async def test_a_refusal_in_the_end_settles_it(make: Make) -> None:
    now = 0.0
    async with serving(models={"own": replace(TEXT_ONLY, refuses=500)}) as server:
        engine = make(server.url, transcribe_model="own", clock=lambda: now)
        transcriber = engine.transcriber
        assert isinstance(transcriber, Probing)
        await transcriber.prepare()
        server.models = {"own": TEXT_ONLY}
        now += 601
        await transcriber.prepare()
        now += 10_000
        assert prepared(engine)
        assert not transcriber.capabilities.word_times


async def test_the_setting_spares_the_question(make: Make, audio: Audio) -> None:
    facts = json.dumps({"own": {"word_times": True, "max_seconds": 600}})
    async with serving(lambda _data, _form: TALK, models={"own": own()}) as server:
        engine = make(server.url, transcribe_model="own", models=facts)
        assert engine.transcriber.capabilities.max_seconds == 600
        assert texts(await heard(engine, audio))
        assert server.calls == 1


async def test_an_unknown_model_that_labels_speakers(make: Make, audio: Audio) -> None:
    labels = Model(
        formats=frozenset({"json", "diarized_json"}), fields=frozenset({"language", "chunking_strategy"})
    )
    async with serving(lambda _data, _form: TALK, models={"own": labels, "plain": TEXT_ONLY}) as server:
        engine = make(server.url, diarizing=True, diarize_model="own")
        assert {word.speaker for word in (await heard(engine, audio)).words} == {"A", "B"}
        with pytest.raises(Misconfigured, match="no model plain that labels speakers"):
            await heard(make(server.url, diarizing=True, diarize_model="plain"), audio)


# --- whether it can run ---


async def test_nobody_set_it_up(make: Make) -> None:
    for diarizing in (False, True):
        ready = await make(OWN, api_key=None, diarizing=diarizing).check()
        assert (ready.usable, ready.absent) == (False, True)
        assert "OPENAI_API_KEY" in ready.remedy
    assert (await make(OWN, transcribe_model="").check()).absent
    assert (await make(OWN, diarize_model=" ", diarizing=True).check()).absent


async def test_a_key_is_enough(make: Make) -> None:
    assert (await make(OWN).check()).usable
    assert (await make("https://eu.api.openai.com/v1", diarizing=True).check()).usable
    assert (await make("", api_key=None).check()).absent  # an empty address is OpenAI's


async def test_a_server_of_ones_own_needs_no_key(make: Make) -> None:
    engine = make("http://127.0.0.1:9/v1", api_key=None)
    ready = await engine.check()
    assert (ready.usable, ready.reason) == (True, "whisper-1 on 127.0.0.1")
    assert (await make("http://127.0.0.1:9/v1", api_key=None, diarizing=True).check()).absent
    assert (await make("http://127.0.0.1:9/v1", diarizing=True, diarize_model="own").check()).usable


@pytest.mark.parametrize(
    ("day", "usable", "says"),
    [
        (date(2026, 11, 1), True, "whisper-1 at OpenAI"),
        (date(2026, 12, 1), True, "OpenAI ends whisper-1 on 2027-02-26, in 87 days."),
        (date(2027, 2, 26), False, "OpenAI ended whisper-1 on 2027-02-26."),
    ],
)
async def test_the_end_of_a_model_is_told_with_the_remedy(day: date, usable: bool, says: str) -> None:
    account = load_settings(OpenAIAccount, _env_file=None, api_key=KEY)
    ready = await OpenAIEngine(account, today=lambda: day).check()
    assert (ready.usable, ready.reason, ready.absent) == (usable, says, False)
    assert ("OPENAI_TRANSCRIBE_MODEL=gpt-transcribe" in ready.remedy) == ("end" in says)
    ready = await OpenAIEngine(account, diarizing=True, today=lambda: day).check()
    assert ready.usable == usable
    assert ("OPENAI_DIARIZE_MODEL to nothing" in ready.remedy) == ("end" in says)


async def test_after_the_end_a_setting_is_enough() -> None:
    account = load_settings(OpenAIAccount, _env_file=None, api_key=KEY, transcribe_model="gpt-transcribe")
    assert (await OpenAIEngine(account, today=lambda: date(2030, 1, 1)).check()).usable


async def test_elsewhere_models_live_on(make: Make) -> None:
    account = load_settings(OpenAIAccount, _env_file=None, base_url="http://speech.example/v1")
    assert (await OpenAIEngine(account, today=lambda: date(2030, 1, 1)).check()).usable


async def test_a_diarizing_model_must_label_speakers(make: Make) -> None:
    ready = await make(OWN, diarizing=True, diarize_model="whisper-1").check()
    assert (ready.usable, ready.absent) == (False, False)
    assert "does not label speakers" in ready.reason


@pytest.mark.parametrize("url", ["api.openai.com", "ftp://x/v1", "https://", "http://[x", "http://x:y/v1"])
def test_an_address_that_is_none(make: Make, url: str) -> None:
    with pytest.raises(Misconfigured, match="OPENAI_BASE_URL"):
        make(url)


def test_the_registry_makes_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_PER_MINUTE", "42")
    settings = load_settings(Settings, _env_file=None)
    hearing, diarizing = create(settings), create_diarizing(settings)
    assert (hearing.name, diarizing.name) == ("openai", "openai-diarize")
    assert hearing.diarizer is diarizing.diarizer is None
    assert hearing.transcriber is not None
    assert diarizing.transcriber is not None
    can = hearing.transcriber.capabilities
    assert (can.upload, can.concurrency, can.per_minute) == ("ogg", 16, 42)
    assert can.account.startswith("openai:")
    assert KEY not in can.account
    assert can.account == diarizing.transcriber.capabilities.account
    assert (can.price, can.max_seconds) == ("openai/whisper-1", 1480)
    assert diarizing.transcriber.capabilities.max_seconds == 1390
    assert (can.takes_languages, can.takes_vocabulary, can.takes_speakers) == (True, True, False)
    monkeypatch.setenv("OPENAI_MODELS", "{")
    with pytest.raises(Misconfigured, match="OPENAI_MODELS"):
        create(settings)


def test_the_sdk_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, core.engines.openai_audio; sys.exit('openai' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
