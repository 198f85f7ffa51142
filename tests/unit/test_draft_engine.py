"""The draft engine: what it hears in the sample, what it refuses, and how its child processes behave."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.engines import draft, sphinx
from core.errors import Rejected, Transient
from core.model import Audio, Hints
from core.settings import Settings, load_settings

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
OPENING = "good morning everyone thank you for coming on such short notice"


def write_wav(path: Path, samples: np.ndarray) -> Audio:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes(samples.astype("<i2").tobytes())
    return Audio(path=path, seconds=len(samples) / 16000)


@pytest.fixture(scope="module")
def opening(tmp_path_factory: pytest.TempPathFactory) -> Audio:
    """The first 11.6 seconds of the sample: three speakers."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=16000)
    with av.open(str(SAMPLES / "meeting.m4a")) as source:
        pieces = [
            out.to_ndarray()[0] for frame in source.decode(audio=0) for out in resampler.resample(frame)
        ]
    samples = np.concatenate(pieces)[: round(11.6 * 16000)]
    return write_wav(tmp_path_factory.mktemp("draft-engine") / "opening.wav", samples)


@pytest.fixture
async def engine() -> AsyncIterator[draft.DraftEngine]:
    made = draft.create(load_settings(Settings, _env_file=None))
    assert isinstance(made, draft.DraftEngine)
    yield made
    await made.close()


def ignore(_: float) -> None:
    pass


async def test_hears_and_diarizes_at_the_same_time(engine: draft.DraftEngine, opening: Audio) -> None:
    heard: list[float] = []
    told: list[float] = []
    recognition, diarization = await asyncio.gather(
        engine.transcriber.transcribe(opening, Hints(vocabulary=("Erni",)), heard.append),
        engine.diarizer.diarize(opening, Hints(min_speakers=3, max_speakers=3), told.append),
    )
    words = recognition.words
    assert " ".join(word.text for word in words[:11]) == OPENING
    assert recognition.languages == ("en",)
    assert recognition.warnings == (draft.LANGUAGE_UNKNOWN, draft.VOCABULARY_UNUSED)
    assert all(one.start <= two.start for one, two in itertools.pairwise(words))
    assert all(0 <= word.start < word.end <= opening.seconds for word in words)
    assert all(word.confidence is not None and 0 <= word.confidence <= 1 for word in words)
    assert words[0].start == pytest.approx(0.8, abs=0.15)  # where the reference puts it

    turns = diarization.turns
    assert list(dict.fromkeys(turn.speaker for turn in turns)) == ["S1", "S2", "S3"]
    assert not diarization.overlapping
    assert all(one.end <= two.start + 1e-9 for one, two in itertools.pairwise(turns))
    for seen in (heard, told):
        assert seen == sorted(seen)
        assert seen[-1] == 1.0


@pytest.mark.parametrize("seconds", [0.01, 3.0])
async def test_silence_gives_nothing(engine: draft.DraftEngine, tmp_path: Path, seconds: float) -> None:
    audio = write_wav(tmp_path / "silence.wav", np.zeros(round(seconds * 16000)))
    recognition = await engine.transcriber.transcribe(audio, Hints(), ignore)
    assert (recognition.words, recognition.languages, recognition.warnings) == ((), (), ())
    assert (await engine.diarizer.diarize(audio, Hints(min_speakers=2), ignore)).turns == ()


async def test_another_language_is_refused_with_the_way_out(
    engine: draft.DraftEngine, opening: Audio
) -> None:
    with pytest.raises(Rejected, match="erni-audio models fetch"):
        await engine.transcriber.transcribe(opening, Hints(languages=("de", "fr")), ignore)


@pytest.mark.parametrize(
    ("languages", "warned"), [((), True), (("de", "en"), True), (("en",), False), (("en", "EN-gb"), False)]
)
async def test_it_warns_unless_only_english_may_be_spoken(
    engine: draft.DraftEngine, opening: Audio, languages: tuple[str, ...], warned: bool
) -> None:
    found = await engine.transcriber.transcribe(opening, Hints(languages=languages), ignore)
    assert (draft.LANGUAGE_UNKNOWN in found.warnings) is warned


@pytest.mark.parametrize("languages", [("en",), ("EN-gb",), ("de", "en_US"), ()])
def test_english_is_not_refused(languages: tuple[str, ...]) -> None:
    assert draft.english(languages)


@pytest.mark.parametrize("languages", [("de",), ("fr", "es"), ("enm",)])
def test_others_are_refused(languages: tuple[str, ...]) -> None:
    assert not draft.english(languages)


async def test_closing_and_finishing_ends_the_processes(engine: draft.DraftEngine, opening: Audio) -> None:
    before = children()
    task = asyncio.create_task(engine.transcriber.transcribe(opening, Hints(), ignore))
    started = await first_children(before)
    await task
    assert started.isdisjoint(children())
    await engine.diarizer.diarize(opening, Hints(), ignore)
    kept = children() - before
    assert len(kept) == 1  # it keeps its libraries loaded
    await engine.close()
    assert kept.isdisjoint(children())


async def test_cancelling_ends_the_processes(engine: draft.DraftEngine, opening: Audio) -> None:
    before = children()
    task = asyncio.create_task(engine.transcriber.transcribe(opening, Hints(), ignore))
    await first_children(before)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() <= before


async def test_a_death_is_worth_another_try(engine: draft.DraftEngine, opening: Audio) -> None:
    before = children()
    task = asyncio.create_task(engine.diarizer.diarize(opening, Hints(), ignore))
    for process in await first_children(before):
        os.kill(process, 9)
    with pytest.raises(Transient, match="ended unexpectedly"):
        await task
    assert (await engine.diarizer.diarize(opening, Hints(), ignore)).turns


def children() -> set[int]:
    """Process ids of this process's living children."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after_name[1]) == os.getpid() and after_name[0] != "Z":
            found.add(int(status.parent.name))
    return found


async def first_children(before: set[int]) -> set[int]:
    """The first processes that appear beside those of `before`."""
    async with asyncio.timeout(60):
        while not (started := children() - before):
            await asyncio.sleep(0.01)
    return started


def test_checking_imports_nothing_heavy() -> None:
    code = (
        "import asyncio, sys; from core.engines.draft import create; from core.settings import Settings;"
        "ready = asyncio.run(create(Settings()).check());"
        "heavy = {'pocketsphinx', 'sklearn', 'scipy', 'onnxruntime', 'faster_whisper'} & set(sys.modules);"
        "print(ready.usable, sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True []"


async def test_says_which_package_is_missing(
    engine: draft.DraftEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(draft._PACKAGES, "surely_not_installed", "surely-not-installed")
    ready = await engine.check()
    assert not ready.usable
    assert "surely-not-installed" in ready.reason
    assert "erni-audio[draft]" in ready.remedy


def test_what_is_not_a_word_is_left_out() -> None:
    segments = [
        ("<s>", 0, 4, 1.0),
        ("the(2)", 5, 9, 0.5),
        ("[NOISE]", 10, 19, 0.9),
        ("i'm", 20, 29, 1.0001),
        ("++um++", 30, 39, 0.9),
        ("in(3)", 40, 49, 0.25),
        ("i", 50, 54, 0.1),
        ("<sil>", 55, 59, 1.0),
        ("</s>", 60, 64, 1.0),
    ]
    assert list(sphinx.words(segments, 10.0, 10.5)) == [
        (10.05, 10.1, "the", 0.5),
        (10.2, 10.3, "I'm", 1.0),
        (10.4, 10.5, "in", 0.25),
        (10.5, 10.5, "I", 0.1),
    ]


def test_a_span_is_heard_alike_wherever_it_comes(opening: Audio) -> None:
    first, second = (0.7, 4.2), (9.2, 10.6)
    path = str(opening.path)
    together = sphinx.recognise(path, [first, second])
    assert sphinx.recognise(path, [second]) + sphinx.recognise(path, [first]) == (
        [word for word in together if word[0] >= 9] + [word for word in together if word[0] < 9]
    )
    assert sphinx.recognise(path, [(5.0, 5.0), (99.0, 99.5)]) == []


@given(st.floats(0, 1000), st.floats(0.1, 200), st.integers(0, 50))
def test_long_spans_are_cut_without_loss(start: float, length: float, levels: int) -> None:
    rng = np.random.default_rng(levels)

    def energy(low: float, high: float) -> list[float]:
        assert start <= low < high <= start + length + 1e-6
        return [float(level) for level in rng.random(levels)]

    pieces = list(sphinx.cut((start, start + length), energy))
    assert pieces[0][0] == start
    assert pieces[-1][1] == start + length
    assert all(one[1] == two[0] for one, two in itertools.pairwise(pieces))
    assert all(0 < end - begin <= 20 + 1e-6 for begin, end in pieces)
    assert all(end - begin >= 10 - 1e-6 for begin, end in pieces[:-1])


def test_a_long_span_is_cut_where_it_is_quiet(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).normal(0, 3000, 16000 * 30)
    samples[16000 * 14 : 16000 * 14 + 4000] = 0
    audio = write_wav(tmp_path / "long.wav", samples)
    (start, at), rest = sphinx.cut((0.0, 30.0), lambda *span: sphinx._energy(str(audio.path), *span))
    assert start == 0.0
    assert 14.0 <= at <= 14.25
    assert rest == (at, 30.0)


spans = st.lists(st.floats(0.1, 20), max_size=60).map(
    lambda lengths: list(itertools.pairwise([0.0, *itertools.accumulate(lengths)]))
)


@given(spans)
def test_batches_keep_every_span_in_order(given_spans: list[tuple[float, float]]) -> None:
    groups = draft.batches(given_spans)
    assert [span for group in groups for span in group] == given_spans
    assert all(groups)
    assert all(sum(end - start for start, end in group) <= 50 for group in groups)
