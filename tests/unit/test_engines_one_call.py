"""What ElevenLabs, AssemblyAI and Deepgram have in common, each against a server that speaks its protocol."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from core.engines import assemblyai as assemblyai_engine
from core.engines.labelled_words import Said, language_of, languages_of, terms, words_of
from core.engines.prices import price_of
from core.errors import AuthFailed, Misconfigured, QuotaExhausted, Rejected, Transient
from core.model import Audio, Hints, Recognition, Word
from core.ports import Engine
from core.settings import Settings, load_settings
from tests.vendors.one_call import Fault, VendorServer

VENDORS = ("elevenlabs", "assemblyai", "deepgram")
SECONDS = 7.1


def spoken(*speakers: str) -> tuple[Word, ...]:
    """Four words of two speakers, as their labels are at this vendor."""
    first, second = speakers
    return (
        Word(start=0.5, end=0.9, text="Good", confidence=0.99, speaker=first),
        Word(start=1.0, end=1.5, text="morning,", confidence=0.5, speaker=first),
        Word(start=4.0, end=4.4, text="Frau", confidence=0.75, speaker=second),
        Word(start=4.5, end=5.25, text="Müller.", confidence=0.875, speaker=second),
    )


LABELS = {"elevenlabs": ("speaker_0", "speaker_1"), "assemblyai": ("A", "B"), "deepgram": ("0", "1")}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A vendor's server, its module, and our engine for it."""

    name: str
    module: Any
    server: VendorServer
    engine: Engine

    async def hear(self, audio: Audio, hints: Hints | None = None) -> Recognition:
        assert self.engine.transcriber is not None
        return await self.engine.transcriber.transcribe(audio, hints or Hints(), lambda _fraction: None)

    def fail(self, *faults: Fault) -> None:
        """The request that is paid for fails; AssemblyAI's is the second one."""
        self.server.faults = [None, *faults] if self.name == "assemblyai" else [*faults]


def create(name: str, tmp_path: Path) -> Engine:
    settings = load_settings(Settings, _env_file=None, data_dir=tmp_path)
    engine: Engine = importlib.import_module(f"core.engines.{name}").create(settings)
    return engine


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VENDORS:
        for suffix in ("API_KEY", "BASE_URL", "MODEL", "MODELS"):
            monkeypatch.delenv(f"{name.upper()}_{suffix}", raising=False)
    monkeypatch.chdir(tmp_path)  # no .env of whoever runs this
    monkeypatch.setattr(assemblyai_engine, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(assemblyai_engine, "_LONGEST_PAUSE", 0.02)


@pytest.fixture(params=VENDORS)
async def place(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Place]:
    name = request.param
    module = importlib.import_module(f"tests.vendors.{name}")
    async with module.serving(spoken(*LABELS[name]), "de") as server:
        monkeypatch.setenv(f"{name.upper()}_API_KEY", "right-key")
        monkeypatch.setenv(f"{name.upper()}_BASE_URL", server.url)
        engine = create(name, tmp_path)
        yield Place(name=name, module=module, server=server, engine=engine)
        await engine.close()


@pytest.fixture
def talk(tmp_path: Path) -> Audio:
    path = tmp_path / "talk.ogg"
    path.write_bytes(b"OggS" + bytes(range(256)) * 4096)
    return Audio(path=path, seconds=SECONDS)


async def test_words_come_with_times_speakers_and_confidence(place: Place, talk: Audio) -> None:
    assert place.engine.transcriber is not None
    reported: list[float] = []
    found = await place.engine.transcriber.transcribe(talk, Hints(), reported.append)
    for word, true in zip(found.words, place.server.words, strict=True):
        assert word == replace(true, confidence=word.confidence)
        assert word.confidence == pytest.approx(true.confidence)
    assert found.languages == ("de",)
    assert found.warnings == ()
    assert reported == sorted(reported)
    assert (reported[0], reported[-1]) == (0.0, 1.0)


async def test_the_file_arrives_as_it_is(place: Place, talk: Audio) -> None:
    await place.hear(talk)
    [sent] = place.server.sent
    data = talk.path.read_bytes()
    assert (sent.size, sent.sha256) == (len(data), hashlib.sha256(data).hexdigest())


async def test_silence_has_no_words_and_no_language(place: Place, talk: Audio) -> None:
    place.server.words = ()
    assert await place.hear(talk, Hints(languages=("de",))) == Recognition(words=())


async def test_words_beyond_the_end_are_drawn_in(place: Place, talk: Audio) -> None:
    found = await place.hear(replace(talk, seconds=4.8))
    assert [(word.start, word.end) for word in found.words[-2:]] == [(4.0, 4.4), (4.5, 4.8)]


async def test_it_says_what_it_can_do(place: Place) -> None:
    assert place.engine.transcriber is not None
    assert place.engine.diarizer is None
    assert not place.engine.draft
    assert place.engine.name == place.name
    can = place.engine.transcriber.capabilities
    assert can.word_times
    assert can.labels_speakers
    assert can.upload == "ogg"
    assert can.price.startswith(f"{place.name}/")
    assert price_of(can.price) is not None
    assert can.account.startswith(f"{place.name}:")
    assert "right-key" not in repr(can)


async def test_it_is_ready_without_asking_anybody(place: Place) -> None:
    assert (await place.engine.check()).usable
    assert place.server.calls == []


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("key", [None, "", "  "])
async def test_without_a_key_it_is_absent(
    name: str, key: str | None, tmp_path: Path, talk: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = f"{name.upper()}_API_KEY"
    if key is not None:
        monkeypatch.setenv(variable, key)
    engine = create(name, tmp_path)
    ready = await engine.check()
    assert (ready.usable, ready.absent) == (False, True)
    assert variable in ready.reason
    assert variable in ready.remedy
    assert engine.transcriber is not None
    with pytest.raises(AuthFailed, match=variable):
        await engine.transcriber.transcribe(talk, Hints(), lambda _fraction: None)


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize(("suffix", "value"), [("API_KEY", "schlüssel"), ("BASE_URL", "ftp://somewhere")])
def test_settings_that_can_not_be_right_are_refused(
    name: str, suffix: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{name.upper()}_{suffix}", value)
    with pytest.raises(Misconfigured):
        create(name, tmp_path)


async def test_a_wrong_key_is_for_the_operator(place: Place, talk: Audio) -> None:
    place.server.key = "another"
    with pytest.raises(AuthFailed) as caught:
        await place.hear(talk)
    assert not isinstance(caught.value, QuotaExhausted)


async def test_an_empty_account_is_told_apart(place: Place, talk: Audio) -> None:
    place.fail(place.module.NO_CREDIT)
    with pytest.raises(QuotaExhausted):
        await place.hear(talk)


async def test_a_long_wait_is_passed_on(place: Place, talk: Audio) -> None:
    place.fail(replace(place.module.BUSY, headers={"Retry-After": "120"}))
    with pytest.raises(Transient) as caught:
        await place.hear(talk)
    assert caught.value.retry_after == 120
    assert place.server.faults == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500, body="<html>Internal Server Error</html>"),
        Fault(status=504, body=""),
        Fault(status=200, body="<html>Sign in to the network</html>"),
        Fault(status=200, body=""),
        Fault(status=200, body={}),
        Fault(status=200, body=[1, 2]),
        Fault(status=200, body={"results": {"channels": [3]}, "words": "many", "id": 5}),
        Fault(status=200, body={"results": {"channels": []}, "words": ["one"], "id": None}),
        Fault(cut=True),
    ],
    ids=lambda fault: "cut" if fault.cut else f"{fault.status} {json.dumps(fault.body)[:20]}",
)
async def test_an_answer_that_is_none_is_worth_another_try(place: Place, talk: Audio, fault: Fault) -> None:
    place.fail(fault)
    with pytest.raises(Transient):
        await place.hear(talk)
    assert (await place.hear(talk)).words


async def test_what_is_paid_for_is_not_sent_twice(place: Place, talk: Audio) -> None:
    place.fail(Fault(cut=True))
    with pytest.raises(Transient):
        await place.hear(talk)
    assert len([call for call in place.server.calls if call.startswith("POST")]) == 1 + len(
        [call for call in place.server.calls if call.endswith("upload")]
    )


async def test_a_file_that_is_too_large_is_refused(place: Place, talk: Audio) -> None:
    place.server.faults = [place.module.TOO_LARGE]
    with pytest.raises(Rejected) as caught:
        await place.hear(talk)
    assert str(talk.path) not in caught.value.user_message


async def test_broken_audio_is_refused(place: Place, talk: Audio) -> None:
    talk.path.write_bytes(b"this is no sound")
    with pytest.raises(Rejected):
        await place.hear(talk)


async def test_a_hint_that_is_not_accepted_costs_no_transcript(place: Place, talk: Audio) -> None:
    found = await place.hear(talk, Hints(languages=("xx",), vocabulary=("Müller",)))
    assert len(found.words) == 4
    assert len(found.warnings) == 1
    assert "known beforehand" in found.warnings[0]


async def test_cancelling_ends_the_call_and_the_next_one_works(place: Place, talk: Audio) -> None:
    place.server.gate.clear()
    task = asyncio.create_task(place.hear(talk))
    async with asyncio.timeout(5):
        while not place.server.asked:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    place.server.gate.set()
    assert (await place.hear(talk)).words


async def test_the_key_stays_where_it_belongs(place: Place, talk: Audio) -> None:
    async with place.module.serving() as elsewhere:
        path = {"elevenlabs": "v1/speech-to-text", "assemblyai": "v2/transcript", "deepgram": "v1/listen"}
        place.fail(Fault(status=307, headers={"Location": f"{elsewhere.url}/{path[place.name]}"}))
        with pytest.raises(Transient):
            await place.hear(talk)
        assert elsewhere.calls == []


async def test_closed_twice_it_still_answers(place: Place, talk: Audio) -> None:
    await place.engine.close()
    assert (await place.hear(talk)).words
    await place.engine.close()
    await place.engine.close()
    assert (await place.hear(talk)).words


async def test_nothing_that_was_said_is_logged(
    place: Place, talk: Audio, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="core"):
        await place.hear(talk, Hints(languages=("xx",), vocabulary=("Zwickelbach",)))
    own = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("core"))
    for secret in ("right-key", "Müller", "Zwickelbach"):
        assert secret not in own


def test_words_are_mended_not_lost() -> None:
    said = [
        Said(text=" late ", start=3.0, end=2.0, confidence=1.5, speaker=0),
        Said(text="early", start=-1.0, end=float("nan"), confidence=True),
        Said(text="untimed", speaker=""),
        Said(text="  "),
    ]
    assert words_of(said, 10.0, "Vendor") == (
        Word(start=0.0, end=0.0, text="early"),
        Word(start=0.0, end=0.0, text="untimed"),
        Word(start=3.0, end=3.0, text="late", confidence=1.0, speaker="0"),
    )
    with pytest.raises(Transient, match="not understood"):
        words_of([Said(text=None)], 10.0, "Vendor")


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("eng", "en"),
        ("deu", "de"),
        ("ger", "de"),
        ("cmn", "zh"),
        ("en_us", "en"),
        ("zh-TW", "zh"),
        ("DE", "de"),
        ("yue", "yue"),
        ("multi", None),
        ("", None),
        (None, None),
        ("e1", None),
    ],
)
def test_languages_have_two_letters_where_they_can(code: object, language: str | None) -> None:
    assert language_of(code) == language


def test_a_language_is_named_once() -> None:
    assert languages_of(["eng", "en-GB", None, "deu"]) == ("en", "de")


def test_terms_that_do_not_fit_are_left_out_and_said() -> None:
    assert terms([" Anna  Müller ", "Anna Müller", ""], "It", most=5) == (["Anna Müller"], ())
    kept, said = terms(["one", "two", "three"], "It", most=2)
    assert kept == ["one", "two"]
    assert said == ("It can take only 2 of the 3 terms of the vocabulary.",)
    assert terms(["ä" * 5, "b" * 10, "c"], "It", most=9, most_bytes=13)[0] == ["ä" * 5, "c"]
