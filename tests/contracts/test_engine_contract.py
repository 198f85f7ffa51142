"""What every engine does, whatever it is made of: the fake, the draft, the local one on tiny models, and the
vendors' against servers that speak their protocols."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from core.engines.local import create as create_local
from core.model import Audio, Hints, SpeakerTurn, Word
from core.ports import Engine
from core.registry import ENGINES, load
from core.settings import Settings, load_settings
from core.testing import FakeEngine
from tests.tiny_models import silence, voice, write_wav
from tests.vendors.everybody import Everybody, serving

ENGINE_NAMES = ["fake", *ENGINES]


def settings(models: Path, data: Path) -> Settings:
    return load_settings(
        Settings,
        _env_file=None,
        models_dir=models,
        data_dir=data,
        local_model="toy",
        local_speakers="toy-speakers",
    )


def make(name: str, models: Path, data: Path) -> Engine:
    if name == "fake":
        return FakeEngine(
            words=[Word(start=1, end=2, text="hello"), Word(start=4, end=5, text="there", confidence=0.5)],
            turns=[SpeakerTurn(start=0.5, end=3, speaker="A"), SpeakerTurn(start=4, end=6.5, speaker="B")],
        )
    if name == "local":
        return create_local(settings(models, data))
    module = ENGINES[name].partition(":")[0]
    if find_spec(module) is None:
        pytest.skip(f"{module} is not there")
    engine: Engine = load(ENGINES[name])(settings(models, data))
    return engine


@pytest.fixture
async def vendors(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Everybody]:
    heard = [
        Word(start=1, end=2, text="Hello.", speaker="1"),
        Word(start=4, end=5, text="There?", speaker="2"),
    ]
    async with serving(heard) as everybody:
        for name, value in everybody.environment.items():
            monkeypatch.setenv(name, value)
        yield everybody


@pytest.fixture(params=ENGINE_NAMES)
async def engine(
    request: pytest.FixtureRequest, tiny_models: Path, tmp_path: Path, vendors: Everybody
) -> AsyncIterator[Engine]:
    engine = make(request.param, tiny_models, tmp_path)
    yield engine
    await engine.close()


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Audio:
    path = tmp_path_factory.mktemp("audio") / "talk.wav"
    parts = [silence(0.3), voice("dark", 3), silence(0.5), voice("bright", 3), silence(0.3)]
    return Audio(path=path, seconds=write_wav(path, parts))


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Audio:
    path = tmp_path_factory.mktemp("audio") / "quiet.wav"
    return Audio(path=path, seconds=write_wav(path, [silence(2) * 0]))


def ignore(_fraction: float) -> None:
    pass


async def test_it_names_itself_and_offers_a_half(engine: Engine) -> None:
    assert engine.name
    assert isinstance(engine.draft, bool)
    assert engine.transcriber is not None or engine.diarizer is not None
    if engine.transcriber is not None:
        assert engine.transcriber.name
        assert engine.transcriber.capabilities.concurrency > 0
        assert bool(engine.transcriber.capabilities.upload) == bool(engine.transcriber.capabilities.account)
    if engine.diarizer is not None:
        assert engine.diarizer.name


async def test_it_knows_that_it_can_run(engine: Engine) -> None:
    ready = await engine.check()
    assert ready.usable, ready.reason


async def test_words_are_in_order_inside_the_recording(engine: Engine, talk: Audio) -> None:
    if engine.transcriber is None:
        pytest.skip("hears no words")
    reported: list[float] = []
    found = await engine.transcriber.transcribe(talk, Hints(languages=("en",)), reported.append)
    assert [word.start for word in found.words] == sorted(word.start for word in found.words)
    for word in found.words:
        assert 0 <= word.start <= word.end <= talk.seconds
        assert word.text == word.text.strip() != ""
        assert word.confidence is None or 0 <= word.confidence <= 1
    assert all(len(code) in {2, 3} for code in found.languages)
    assert bool(found.languages) or not found.words
    assert reported == sorted(reported)
    assert reported[-1] == 1.0
    assert all(0 <= fraction <= 1 for fraction in reported)


async def test_turns_are_in_order_inside_the_recording(engine: Engine, talk: Audio) -> None:
    if engine.diarizer is None:
        pytest.skip("tells no voices apart")
    reported: list[float] = []
    found = await engine.diarizer.diarize(talk, Hints(), reported.append)
    assert found.turns
    assert [turn.start for turn in found.turns] == sorted(turn.start for turn in found.turns)
    for turn in found.turns:
        assert 0 <= turn.start < turn.end <= talk.seconds
        assert turn.speaker
    if not found.overlapping:
        assert all(a.end <= b.start for a, b in zip(found.turns, found.turns[1:], strict=False))
    assert reported
    assert all(0 <= fraction <= 1 for fraction in reported)


async def test_both_halves_run_at_the_same_time(engine: Engine, talk: Audio) -> None:
    if engine.transcriber is None or engine.diarizer is None:
        pytest.skip("has one half")
    async with asyncio.TaskGroup() as group:
        words = group.create_task(engine.transcriber.transcribe(talk, Hints(), ignore))
        turns = group.create_task(engine.diarizer.diarize(talk, Hints(), ignore))
    assert words.result().words or engine.draft  # the draft may understand nothing of a buzz
    assert turns.result().turns


async def test_silence_has_no_words(engine: Engine, quiet: Audio, vendors: Everybody) -> None:
    vendors.hear(())
    if engine.transcriber is None:
        pytest.skip("hears no words")
    if isinstance(engine, FakeEngine):
        engine.words = ()
    found = await engine.transcriber.transcribe(quiet, Hints(), ignore)
    assert found.words == ()


async def test_silence_has_no_speakers(engine: Engine, quiet: Audio, vendors: Everybody) -> None:
    vendors.hear(())
    if engine.diarizer is None:
        pytest.skip("tells no voices apart")
    if isinstance(engine, FakeEngine):
        engine.turns = ()
    found = await engine.diarizer.diarize(quiet, Hints(), ignore)
    assert found.turns == ()


async def test_a_cancelled_call_ends_and_the_next_one_works(engine: Engine, talk: Audio) -> None:
    if engine.transcriber is None:
        pytest.skip("hears no words")
    started = asyncio.Event()
    if isinstance(engine, FakeEngine):
        engine.gate.clear()
    task = asyncio.create_task(engine.transcriber.transcribe(talk, Hints(), lambda _fraction: started.set()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    if isinstance(engine, FakeEngine):
        engine.gate.set()
    again = await engine.transcriber.transcribe(talk, Hints(), ignore)
    assert again.words or engine.draft


async def test_closing_twice_is_fine_and_calls_start_it_again(engine: Engine, talk: Audio) -> None:
    await engine.close()
    await engine.close()
    if engine.diarizer is not None:
        assert (await engine.diarizer.diarize(talk, Hints(), ignore)).turns
