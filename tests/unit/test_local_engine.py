"""The local engine through its real child processes, on tiny models whose answers follow from the sound."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from core.engines import local, machine, sherpa
from core.engines.local import LocalEngine
from core.engines.machine import Machine
from core.errors import Misconfigured, Rejected, Transient
from core.model import Audio, Hints
from core.settings import Settings, load_settings
from tests.tiny_models import silence, voice, write_wav

GIB = 2**30


def settings(models: Path, **changes: Any) -> Settings:
    given = {"local_model": "toy", "local_speakers": "toy-speakers"} | changes
    return load_settings(Settings, _env_file=None, models_dir=models, data_dir=models.parent, **given)


@pytest.fixture
async def engine(tiny_models: Path) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(settings(tiny_models))
    yield engine
    await engine.close()


@pytest.fixture
def recording(tmp_path: Path) -> Callable[..., Audio]:
    def write(*parts: Any) -> Audio:
        path = tmp_path / "talk.wav"
        return Audio(path=path, seconds=write_wav(path, parts))

    return write


def ignore(_fraction: float) -> None:
    pass


@pytest.mark.parametrize(
    ("timbre", "vocabulary", "language"),
    [("dark", {"low", "tone"}, "en"), ("bright", {"high", "note"}, "de")],
)
async def test_what_is_said_follows_from_what_is_heard(
    engine: LocalEngine, recording: Callable[..., Audio], timbre: Any, vocabulary: set[str], language: str
) -> None:
    audio = recording(silence(0.5), voice(timbre, 5), silence(0.5))
    found = await engine.transcriber.transcribe(audio, Hints(vocabulary=("Erni",)), ignore)
    assert {word.text for word in found.words} <= vocabulary
    assert len(found.words) >= 2
    assert found.languages == (language,)
    assert found.words[0].confidence is not None
    assert engine.transcriber.name == "faster-whisper toy"


async def test_two_languages_are_told_by_their_share(
    engine: LocalEngine, recording: Callable[..., Audio]
) -> None:
    german, english = [voice("bright", 3), silence(1.5)] * 8, [voice("dark", 3), silence(1.5)] * 13
    audio = recording(*german, *english)
    found = await engine.transcriber.transcribe(audio, Hints(), ignore)
    assert found.languages == ("en", "de")
    first = [word.text for word in found.words if word.end < 30]
    last = [word.text for word in found.words if word.start > 75]
    assert {"high", "note"} >= set(first) != set()
    assert {"low", "tone"} >= set(last) != set()


async def test_a_given_language_is_not_detected(engine: LocalEngine, recording: Callable[..., Audio]) -> None:
    audio = recording(silence(0.5), voice("bright", 4), silence(0.5))
    found = await engine.transcriber.transcribe(audio, Hints(languages=("zh",)), ignore)
    assert found.languages == ("zh",)


async def test_several_given_languages_restrict_the_detection(
    engine: LocalEngine, recording: Callable[..., Audio]
) -> None:
    audio = recording(silence(0.5), voice("bright", 4), silence(0.5))
    found = await engine.transcriber.transcribe(audio, Hints(languages=("en", "zh")), ignore)
    assert set(found.languages) <= {"en", "zh"}
    assert found.languages


async def test_an_unknown_language_is_rejected_with_a_reason(
    engine: LocalEngine, recording: Callable[..., Audio]
) -> None:
    with pytest.raises(Rejected, match="does not know the language tlh"):
        await engine.transcriber.transcribe(recording(voice("dark", 1)), Hints(languages=("tlh",)), ignore)


async def test_two_voices_in_alternation_are_two_speakers(
    engine: LocalEngine, recording: Callable[..., Audio]
) -> None:
    audio = recording(voice("dark", 6), silence(0.5), voice("bright", 6), silence(0.5), voice("dark", 6))
    found = await engine.diarizer.diarize(audio, Hints(), ignore)
    assert found.overlapping
    talking = {
        at: {turn.speaker for turn in found.turns if turn.start <= at < turn.end} for at in (3.0, 9.5, 16.0)
    }
    assert talking[3.0] == talking[16.0] == {"S1"}
    assert talking[9.5] == {"S2"}


@pytest.mark.parametrize(
    ("least", "most", "count"), [(1, 1, 1), (None, 1, 1), (2, 2, 2), (2, 5, 2), (3, 3, 3)]
)
async def test_bounds_on_the_speakers_are_kept(
    engine: LocalEngine, recording: Callable[..., Audio], least: int | None, most: int, count: int
) -> None:
    audio = recording(voice("dark", 5), silence(0.5), voice("bright", 5), silence(0.5), voice("dark", 5))
    found = await engine.diarizer.diarize(audio, Hints(min_speakers=least, max_speakers=most), ignore)
    assert len({turn.speaker for turn in found.turns}) == count


async def test_recordings_of_hardly_any_length_do_no_harm(
    engine: LocalEngine, recording: Callable[..., Audio]
) -> None:
    for parts in ([silence(0.0)], [silence(0.05)], [voice("dark", 0.3)], [voice("bright", 0.02)]):
        audio = recording(*parts)
        await engine.diarizer.diarize(audio, Hints(), ignore)
        await engine.transcriber.transcribe(audio, Hints(), ignore)


def test_a_long_recording_in_pieces_keeps_its_speakers(
    tiny_models: Path, recording: Callable[..., Audio], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [
        part for _ in range(3) for part in (voice("dark", 9), silence(1), voice("bright", 9), silence(1))
    ]
    audio = recording(*parts)
    arguments: dict[str, Any] = {
        "path": str(audio.path),
        "segmentation": str(tiny_models / "toy-speakers" / "segmentation.onnx"),
        "embedding": str(tiny_models / "toy-speakers" / "embedding.onnx"),
        "threads": 1,
        "report": ignore,
    }
    whole = sherpa.diarize(**arguments, min_speakers=None, max_speakers=None)
    monkeypatch.setattr(sherpa, "_LONGEST", 25.0)
    in_pieces = sherpa.diarize(**arguments, min_speakers=None, max_speakers=None)
    one = sherpa.diarize(**arguments, min_speakers=None, max_speakers=1)

    def at(turns: list[tuple[float, float, str]], time: float) -> set[str]:
        return {speaker for start, end, speaker in turns if start <= time < end}

    for time in (4.0, 14.0, 24.0, 34.0, 44.0, 54.0):
        assert at(in_pieces, time) == at(whole, time) == ({"S1"} if time % 20 < 10 else {"S2"})
    assert {speaker for _, _, speaker in one} == {"S1"}
    sherpa._loaded.clear()


async def test_missing_weights_are_named_with_the_remedy(
    tmp_path: Path, recording: Callable[..., Audio]
) -> None:
    engine = LocalEngine(settings(tmp_path / "none", local_model="small", local_speakers="speakers"))
    ready = await engine.check()
    assert not ready.usable
    assert ready.reason == "The weights of small and speakers are not on this machine."
    assert "erni-audio models fetch small speakers" in ready.remedy
    for folder in ("whisper-small", "speakers"):
        (tmp_path / "none" / folder).mkdir(parents=True)
        (tmp_path / "none" / folder / ".lock").touch()
    assert (await engine.check()).reason == ready.reason, "what a failed fetch leaves is no model"
    for folder in ("whisper-small", "speakers"):
        (tmp_path / "none" / folder / "config.json").touch()
    ready = await engine.check()
    assert "whisper-small/model.bin is missing." in ready.reason
    assert "speakers/embedding.onnx is missing." in ready.reason
    audio = recording(voice("dark", 1))
    with pytest.raises(Misconfigured, match="erni-audio models fetch small"):
        await engine.transcriber.transcribe(audio, Hints(), ignore)
    with pytest.raises(Misconfigured, match="erni-audio models fetch speakers"):
        await engine.diarizer.diarize(audio, Hints(), ignore)


async def test_a_half_copied_file_shows_in_the_check(tiny_models: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(tiny_models / "toy", models / "whisper-small")
    ready = await LocalEngine(settings(models, local_model="small")).check()
    assert not ready.usable
    assert "instead of 483,546,902 bytes" in ready.reason


@pytest.mark.parametrize("damage", [b"", b"not a model at all" * 100, None])
@pytest.mark.parametrize("name", ["model.bin", "tokenizer.json", "config.json"])
async def test_damaged_speech_weights_are_the_operators_to_mend(
    tiny_models: Path, tmp_path: Path, recording: Callable[..., Audio], name: str, damage: bytes | None
) -> None:
    models = tmp_path / "models"
    shutil.copytree(tiny_models / "toy", models / "toy")
    path = models / "toy" / name
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage is None else damage)
    engine = LocalEngine(settings(models))
    with pytest.raises(Misconfigured, match=r"Put your model's files"):
        await engine.transcriber.transcribe(recording(voice("dark", 1)), Hints(), ignore)
    await engine.close()


@pytest.mark.parametrize("damage", [b"not a model at all" * 100, None])
@pytest.mark.parametrize("name", ["segmentation.onnx", "embedding.onnx"])
async def test_damaged_speaker_models_are_the_operators_to_mend(
    tiny_models: Path, tmp_path: Path, recording: Callable[..., Audio], name: str, damage: bytes | None
) -> None:
    models = tmp_path / "models"
    shutil.copytree(tiny_models / "toy-speakers", models / "toy-speakers")
    path = models / "toy-speakers" / name
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage is None else damage)
    engine = LocalEngine(settings(models))
    with pytest.raises(Misconfigured):
        await engine.diarizer.diarize(recording(voice("dark", 1)), Hints(), ignore)
    await engine.close()


async def test_a_killed_child_can_be_tried_again(
    engine: LocalEngine, recording: Callable[..., Audio]
) -> None:
    audio = recording(*[voice("dark", 10)] * 6)

    def kill(_fraction: float) -> None:
        process = engine._recogniser.child._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(Transient, match="ended unexpectedly"):
        await engine.transcriber.transcribe(audio, Hints(), kill)
    assert (await engine.transcriber.transcribe(audio, Hints(), ignore)).words


async def test_the_model_stays_loaded_between_recordings(
    engine: LocalEngine, recording: Callable[..., Audio]
) -> None:
    audio = recording(voice("dark", 3))
    await engine.transcriber.transcribe(audio, Hints(), ignore)
    first = engine._recogniser.child._process
    await asyncio.gather(*(engine.transcriber.transcribe(audio, Hints(), ignore) for _ in range(3)))
    assert first is not None
    assert engine._recogniser.child._process is first


@pytest.mark.parametrize("name", ["../evil", "/etc", "", ".hidden", "a/b"])
def test_a_model_name_cannot_leave_the_models_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(Misconfigured, match="ERNI_LOCAL_MODEL"):
        local.create(settings(tmp_path, local_model=name))


async def test_the_check_says_which_model_the_machine_gets(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "probe", lambda: Machine(memory_bytes=8 * GIB, cores=2))
    engine = LocalEngine(settings(tmp_path, local_model="auto", local_speakers="speakers"))
    assert "The weights of small and" in (await engine.check()).reason
    own = LocalEngine(settings(tiny_models))
    assert (await own.check()).reason == "Whisper toy on 2 processor cores"


async def test_a_gpu_that_cannot_be_used_is_planned_without(
    tiny_models: Path, recording: Callable[..., Audio], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretended = Machine(memory_bytes=8 * GIB, cores=2, gpu_memory_bytes=8 * GIB)
    monkeypatch.setattr(machine, "probe", lambda: pretended)
    engine = LocalEngine(settings(tiny_models))
    assert "GPU" in (await engine.check()).reason
    await engine.transcriber.transcribe(recording(voice("dark", 2)), Hints(), ignore)
    assert "2 processor cores" in (await engine.check()).reason
    await engine.close()
