"""The chain of methods: what fails is replaced, what succeeded is kept, what is missing is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from core import longform as longform_module
from core.accounting import Order, Short
from core.accounts import MemoryAccounts
from core.child import ChildDied, ChildFailed
from core.detecting import Spans
from core.errors import AuthFailed, Misconfigured, OverBudget, Rejected, Transient
from core.hearing import UNLABELLED, Listener, listen, tell_speakers
from core.longform import Incomplete, Longform
from core.model import Audio, Hints, Recognition, SpeakerTurn, Stage, Transcript, Word
from core.ports import Capabilities, Report
from core.settings import Settings, load_settings
from core.testing import FakeEngine
from core.uploads import Encoder
from tests.tiny_models import voice, write_wav

WORDS = [
    Word(start=1, end=1.4, text="Shall"),
    Word(start=1.5, end=1.8, text="we?"),
    Word(start=4, end=4.3, text="Yes,"),
    Word(start=4.4, end=4.8, text="today."),
]
TURNS = [SpeakerTurn(start=0.8, end=2.2, speaker="X"), SpeakerTurn(start=3.8, end=5, speaker="Y")]
LABELLED = [
    Word(start=word.start, end=word.end, text=word.text, speaker="ab"[word.start > 3]) for word in WORDS
]
PAID = Capabilities(word_times=True, account="vendor:1", concurrency=4, price="openai/whisper-1")
JOINT = Capabilities(word_times=True, labels_speakers=True, account="vendor:2")
TEXT = Capabilities(word_times=False, account="vendor:3", takes_vocabulary=False)
OUTAGE = Transient("down")


class Ears:
    """A detector that was told where speech is."""

    def __init__(self, *spans: tuple[float, float]) -> None:
        self.spans = spans
        self.asked = 0

    async def find(self, _audio: Audio) -> Spans:
        self.asked += 1
        return self.spans

    async def present(self, _path: Path) -> bool:
        return bool(self.spans)


class TextOnly(FakeEngine):
    """Says the words within what it is sent, without times."""

    async def transcribe(self, audio: Audio, hints: Hints, report: Report) -> Recognition:
        await self._answer("transcribe", audio, hints, report)
        start = int(audio.path.stem.split("-")[1]) / 1000
        inside = [w.text for w in self.words if start <= w.start and w.end <= start + audio.seconds]
        return Recognition(words=(), text=" ".join(inside), languages=("en",))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(longform_module, "_LEAST_PATIENCE", 0.0)
    monkeypatch.setattr(longform_module, "_PATIENCE", 0.0)


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Audio:
    path = tmp_path_factory.mktemp("audio") / "talk.wav"
    return Audio(path=path, seconds=write_wav(path, [voice("dark", 6)]))


class Books(MemoryAccounts):
    """Accounts under a clock that can be put forward, on a store that can be made to fail."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.away: set[str] = set()
        self.permits: list[str] = []
        super().__init__(load_settings(Settings, _env_file=None), forward=lambda: self.ahead)

    async def _take(self, account: str, token: str, concurrency: int, per_minute: int) -> float | None:
        if "permit" in self.away:
            raise Transient("The store does not answer.")
        self.permits.append(account)
        return await super()._take(account, token, concurrency, per_minute)

    async def _reserve(self, order: Order) -> Short | None:
        if "budget" in self.away:
            raise Transient("The store does not answer.")
        if "money" in self.away:
            raise OverBudget("Nothing is left.")
        return await super()._reserve(order)

    async def resting(self, engine: str) -> float:
        await asyncio.sleep(0)  # a store is never asked without a pause
        return await super().resting(engine)

    async def trip(self, engine: str) -> None:
        """Let its rest begin and pass: the next one who asks is its only try."""
        for _ in range(3):
            await self.failed(engine)
        self.ahead += 61


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
async def longform(tmp_path: Path, books: Books) -> AsyncIterator[Longform]:
    encoder = Encoder(1)

    async def link(_audio: Audio, _voices: object, _hints: Hints) -> None:
        return None

    yield Longform(accounts=books, encoder=encoder, link=link, work=tmp_path, tenant="t")
    await encoder.close()


def method(name: str, hears: FakeEngine, tells: FakeEngine | None) -> Listener:
    return Listener(
        method=name,
        transcriber=hears,
        diarizer=tells,
        draft=False,
        transcriber_engine=hears.name,
        diarizer_engine=tells.name if tells else "",
    )


def engine(
    name: str, *failures: Exception, can: Capabilities = PAID, words: Sequence[Word] = WORDS
) -> FakeEngine:
    kind = FakeEngine if can.word_times else TextOnly
    can = replace(can, account=can.account and name)
    return kind(name, words=words, turns=TURNS, failures=failures, capabilities=can)


async def heard(
    longform: Longform,
    audio: Audio,
    *listeners: Listener,
    hints: Hints | None = None,
    ears: Ears | None = None,
) -> tuple[Transcript, list[tuple[str, str]]]:
    fallbacks: list[tuple[str, str]] = []
    transcript = await listen(
        audio,
        content_key="sha256:x",
        hints=hints or Hints(),
        listeners=listeners,
        longform=longform,
        detector=ears or Ears((0.9, 2), (3.9, 5)),
        progress=lambda _stage, _fraction: None,
        fell_back=lambda failed, took: fallbacks.append((failed, took)),
    )
    return transcript, fallbacks


def said(transcript: Transcript) -> list[tuple[str | None, str]]:
    return [(utterance.speaker, utterance.text) for utterance in transcript.utterances]


BOTH = [("Speaker 1", "Shall we?"), ("Speaker 2", "Yes, today.")]
NOBODY = [(None, "Shall we?"), (None, "Yes, today.")]


async def test_words_and_turns_come_together(longform: Longform, audio: Audio) -> None:
    transcript, fallbacks = await heard(longform, audio, method("standard", engine("ears"), engine("eyes")))
    assert said(transcript) == BOTH
    assert transcript.engine == "ears + eyes"
    assert (transcript.warnings, transcript.unlabelled, fallbacks) == ((), False, [])


async def test_turns_are_kept_when_another_transcriber_takes_over(longform: Longform, audio: Audio) -> None:
    tells, other = engine("eyes"), engine("other")
    transcript, fallbacks = await heard(
        longform, audio, method("a", engine("ears", OUTAGE), tells), method("b", engine("second"), other)
    )
    assert said(transcript) == BOTH
    assert transcript.engine == "second + eyes"
    assert [what for what, _, _ in tells.heard] == ["diarize"]
    assert other.heard == []
    assert fallbacks == [("a", "b")]
    assert "`a` failed, so `b` was used" in transcript.warnings[0]


async def test_turns_that_were_told_go_before_labels(longform: Longform, audio: Audio) -> None:
    one_voice = [Word(start=w.start, end=w.end, text=w.text, speaker="a") for w in WORDS]
    joint = engine("joint", can=JOINT, words=one_voice)
    transcript, _ = await heard(
        longform, audio, method("a", engine("ears", OUTAGE), engine("eyes")), method("b", joint, None)
    )
    assert said(transcript) == BOTH


async def test_words_are_kept_when_another_diarizer_takes_over(longform: Longform, audio: Audio) -> None:
    hears, second = engine("ears"), engine("second")
    transcript, fallbacks = await heard(
        longform, audio, method("a", hears, engine("eyes", OUTAGE)), method("b", second, engine("other"))
    )
    assert said(transcript) == BOTH
    assert transcript.engine == "ears + other"
    assert second.heard == []
    assert fallbacks == []
    assert not transcript.unlabelled


async def test_text_is_never_lost_because_nobody_tells_the_speakers(longform: Longform, audio: Audio) -> None:
    transcript, _ = await heard(longform, audio, method("a", engine("ears"), engine("eyes", OUTAGE)))
    assert said(transcript) == NOBODY
    assert transcript.unlabelled
    assert UNLABELLED in transcript.warnings


async def test_speakers_are_added_later(longform: Longform, audio: Audio) -> None:
    before, _ = await heard(longform, audio, method("a", engine("ears"), engine("eyes", OUTAGE)))
    hears, tells = engine("ears"), engine("eyes")
    after = await tell_speakers(
        audio,
        before,
        hints=Hints(),
        listeners=[method("a", hears, tells)],
        longform=longform,
        detector=Ears(),
        progress=lambda _stage, _fraction: None,
    )
    assert said(after) == BOTH
    assert hears.heard == []
    assert (after.unlabelled, UNLABELLED in after.warnings) == (False, False)
    assert after.engine == "ears + eyes"


async def test_one_call_that_does_both_needs_no_diarizer(longform: Longform, audio: Audio) -> None:
    transcript, _ = await heard(
        longform, audio, method("j", engine("joint", can=JOINT, words=LABELLED), None)
    )
    assert said(transcript) == BOTH
    assert transcript.engine == "joint"


async def test_labels_that_are_missing_are_said_to_be(longform: Longform, audio: Audio) -> None:
    transcript, _ = await heard(longform, audio, method("j", engine("joint", can=JOINT), None))
    assert said(transcript) == NOBODY
    assert transcript.unlabelled


async def test_text_only_words_are_labelled_by_construction(longform: Longform, audio: Audio) -> None:
    hears = engine("text", can=TEXT)
    transcript, _ = await heard(longform, audio, method("t", hears, engine("eyes")))
    assert said(transcript) == BOTH
    assert len(hears.heard) == 2


async def test_text_only_without_speakers_is_text_all_the_same(longform: Longform, audio: Audio) -> None:
    transcript, _ = await heard(
        longform, audio, method("t", engine("text", can=TEXT), engine("eyes", OUTAGE))
    )
    assert said(transcript) == NOBODY
    assert transcript.unlabelled


async def test_nothing_is_spent_on_silence(longform: Longform, audio: Audio) -> None:
    hears, tells = engine("ears"), engine("eyes")
    transcript, _ = await heard(longform, audio, method("a", hears, tells), ears=Ears())
    assert transcript.utterances == ()
    assert not transcript.unlabelled
    assert hears.heard == tells.heard == []


async def test_text_outside_speech_is_cut(longform: Longform, audio: Audio) -> None:
    late = [
        Word(start=2.6 + n / 4, end=2.8 + n / 4, text=text)
        for n, text in enumerate(("Please", "do", "Subscribe!"))
    ]
    invented = [*WORDS[:2], *late, *WORDS[2:]]
    transcript, _ = await heard(
        longform,
        audio,
        method("a", engine("ears", words=invented), engine("eyes")),
        ears=Ears((0.9, 2), (3.9, 5)),
    )
    assert "Subscribe!" not in " ".join(text for _, text in said(transcript))


async def test_an_engine_that_keeps_failing_is_left_alone(longform: Longform, audio: Audio) -> None:
    for _ in range(3):
        with pytest.raises(Transient):
            await heard(longform, audio, method("a", engine("ears", OUTAGE), engine("eyes")))
    resting = engine("ears")
    transcript, fallbacks = await heard(
        longform, audio, method("a", resting, engine("eyes")), method("b", engine("second"), engine("other"))
    )
    assert resting.heard == []
    assert fallbacks == [("a", "b")]
    assert said(transcript) == BOTH


async def test_if_none_works_the_best_ones_reason_counts(longform: Longform, audio: Audio) -> None:
    with pytest.raises(AuthFailed):
        await heard(
            longform,
            audio,
            method("a", engine("ears", AuthFailed("key")), engine("eyes")),
            method("b", engine("second", Rejected("no")), engine("other")),
        )
    with pytest.raises(Misconfigured):
        await heard(longform, audio)


async def test_what_was_asked_for_and_not_used_is_said(longform: Longform, audio: Audio) -> None:
    hints = Hints(vocabulary=("Erni",), languages=("en",), min_speakers=2)
    transcript, _ = await heard(
        longform, audio, method("t", engine("text", can=TEXT), engine("eyes")), hints=hints
    )
    assert transcript.warnings == ("The vocabulary was not used: text takes none.",)


async def test_channels_are_heard_one_by_one(longform: Longform, audio: Audio, tmp_path: Path) -> None:
    second = tmp_path / "second.wav"
    second.write_bytes(audio.path.read_bytes())
    both = Audio(path=audio.path, seconds=audio.seconds, channels=(audio.path, second))
    hears, tells = engine("ears", can=Capabilities(word_times=True)), engine("eyes")
    transcript, _ = await heard(longform, both, method("a", hears, tells))
    assert {speaker for speaker, _ in said(transcript)} == {"Speaker 1", "Speaker 2"}
    assert [item.path for _, item, _ in hears.heard] == [audio.path, second]
    assert tells.heard == []


async def test_cancelling_ends_both_halves(longform: Longform, audio: Audio) -> None:
    hears, tells = engine("ears"), engine("eyes")
    hears.gate.clear()
    tells.gate.clear()
    task = asyncio.create_task(heard(longform, audio, method("a", hears, tells)))
    while not (hears.heard and tells.heard):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [t for t in asyncio.all_tasks() if t is not asyncio.current_task()] == []


async def test_progress_only_grows(longform: Longform, audio: Audio) -> None:
    seen: list[float] = []

    def progress(stage: Stage, fraction: float | None) -> None:
        if stage is Stage.RECOGNISING and fraction is not None:
            seen.append(fraction)

    await listen(
        audio,
        content_key="c",
        hints=Hints(),
        listeners=[method("a", engine("ears"), engine("eyes"))],
        longform=longform,
        detector=Ears((0, 6)),
        progress=progress,
        fell_back=lambda _failed, _took: None,
    )
    assert seen == sorted(seen)


class Deaf(Ears):
    """A detector whose process dies."""

    async def find(self, _audio: Audio) -> Spans:
        raise Transient("gone")

    async def present(self, _path: Path) -> bool:
        raise Transient("gone")


@pytest.mark.parametrize("can", [PAID, TEXT])
async def test_without_a_detector_everything_is_heard(
    longform: Longform, audio: Audio, can: Capabilities
) -> None:
    transcript, _ = await heard(
        longform, audio, method("a", engine("ears", can=can), engine("eyes")), ears=Deaf()
    )
    assert said(transcript)[0] == BOTH[0]
    assert sorted(" ".join(text for _, text in said(transcript)).split()) == sorted(w.text for w in WORDS)


async def test_a_loop_in_text_without_times_is_cut(longform: Longform, audio: Audio) -> None:
    loop = [Word(start=1 + n / 100, end=1.005 + n / 100, text="again") for n in range(60)]
    transcript, _ = await heard(
        longform,
        audio,
        method("a", engine("ears", can=TEXT, words=loop), engine("eyes")),
        ears=Ears((0.9, 2)),
    )
    assert [text for _, text in said(transcript)] == ["again"]
    assert "repeated itself" in transcript.warnings[0]


class Forgetful(FakeEngine):
    """Hears the beginning, and fails on the rest for now."""

    async def transcribe(self, audio: Audio, hints: Hints, report: Report) -> Recognition:
        found = await super().transcribe(audio, hints, report)
        raise Incomplete(replace(found, words=found.words[:2], gaps=((3.5, 6.0),)), OUTAGE)


async def test_a_method_that_gets_all_of_it_goes_before_a_gap(longform: Longform, audio: Audio) -> None:
    half = Forgetful("half", words=WORDS, turns=TURNS, capabilities=replace(PAID, account="half"))
    transcript, fallbacks = await heard(
        longform, audio, method("a", half, engine("eyes")), method("b", engine("ears"), engine("other"))
    )
    assert said(transcript) == BOTH
    assert fallbacks == [("a", "b")]


async def test_where_nobody_gets_all_of_it_the_gap_is_seen(longform: Longform, audio: Audio) -> None:
    half = Forgetful("half", words=WORDS, turns=TURNS, capabilities=replace(PAID, account="half"))
    transcript, fallbacks = await heard(
        longform,
        audio,
        method("a", half, engine("eyes")),
        method("b", engine("ears", OUTAGE), engine("other")),
    )
    assert said(transcript) == [BOTH[0], (None, "[not recognised: 0:03 to 0:06]")]
    assert fallbacks == [("b", "a")]
    assert len(half.heard) == 1


async def test_a_call_that_labels_its_words_needs_no_other_diarizer(longform: Longform, audio: Audio) -> None:
    local = engine("local", can=Capabilities(word_times=True))
    transcript, _ = await heard(
        longform,
        audio,
        method("a", engine("ears", OUTAGE), engine("eyes", OUTAGE)),
        method("j", engine("joint", can=JOINT, words=LABELLED), None),
        method("l", local, local),
    )
    assert said(transcript) == BOTH
    assert local.heard == []


async def test_a_paid_channel_in_which_nobody_speaks_costs_nothing(longform: Longform, audio: Audio) -> None:
    both = Audio(path=audio.path, seconds=audio.seconds, channels=(audio.path, audio.path))
    hears = engine("ears")

    answers = [True, True, False]  # the mix and the channels

    class OneSided(Ears):
        async def present(self, _path: Path) -> bool:
            return answers.pop(0)

    hints = Hints(min_speakers=2)
    transcript, _ = await heard(
        longform, both, method("a", hears, None), hints=hints, ears=OneSided((0.9, 5))
    )
    assert len(hears.heard) == 1
    assert {speaker for speaker, _ in said(transcript)} == {"Speaker 1"}


# Whose fault it was


class Broken(Encoder):
    """An encoder that fails at every piece, if there is an `error`."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__(1)
        self.error = error
        self.pieces = 0

    @asynccontextmanager
    async def piece(
        self, audio: Audio, start: float, end: float, upload: str, into: Path
    ) -> AsyncIterator[Audio]:
        self.pieces += 1
        if self.error is not None:
            raise self.error
        async with super().piece(audio, start, end, upload, into) as part:
            yield part


OURS = [
    ChildDied("killed"),
    ChildFailed("MemoryError", ""),
    Transient("The process that ran the encoder ended."),
    OSError(28, "No space left on device"),
    Rejected("This is no recording."),
]


@pytest.mark.parametrize("error", OURS)
async def test_what_fails_here_says_nothing_of_a_vendor(
    longform: Longform, books: Books, audio: Audio, error: Exception
) -> None:
    broken = replace(longform, encoder=Broken(error))
    vendor = engine("ears")
    for _ in range(4):
        with pytest.raises(type(error)):
            await heard(broken, audio, method("a", vendor, None))
    assert vendor.heard == []
    assert await books.resting("ears") == 0
    await books.trip("ears")
    with pytest.raises(type(error)):
        await heard(broken, audio, method("a", vendor, None))
    assert await books.resting("ears") == 0, "the try is handed on"
    assert await books.resting("ears") > 0, "and the engine is not taken to be well"


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ChildDied("killed")])
async def test_a_piece_that_cannot_be_read_says_nothing_of_a_vendor(
    longform: Longform, books: Books, audio: Audio, error: Exception
) -> None:
    for _ in range(4):
        with pytest.raises(type(error)):
            await heard(longform, audio, method("a", engine("ears", error), None))
    assert await books.resting("ears") == 0


@pytest.mark.parametrize("what", ["permit", "budget", "money"])
async def test_neither_store_nor_budget_says_anything_of_a_vendor(
    longform: Longform, books: Books, audio: Audio, what: str
) -> None:
    books.away.add(what)
    for _ in range(4):
        with pytest.raises((Transient, OverBudget)):
            await heard(longform, audio, method("a", engine("ears"), None))
    assert await books.resting("ears") == 0
    await books.trip("ears")
    with pytest.raises((Transient, OverBudget)):
        await heard(longform, audio, method("a", engine("ears"), None))
    assert await books.resting("ears") == 0
    assert await books.resting("ears") > 0


@pytest.mark.parametrize("error", [OUTAGE, AuthFailed("key"), Misconfigured("model"), TimeoutError()])
async def test_what_a_vendor_does_counts(
    longform: Longform, books: Books, audio: Audio, error: Exception
) -> None:
    for _ in range(3):
        with pytest.raises(type(error)):
            await heard(longform, audio, method("a", engine("ears", error), None))
    assert await books.resting("ears") > 0


async def test_a_vendor_that_uses_up_its_time_failed(
    longform: Longform, books: Books, audio: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(longform_module, "_LEAST_DEADLINE", 0.01)
    monkeypatch.setattr(longform_module, "_PER_SECOND", 0.0)
    for _ in range(3):
        stuck = engine("ears")
        stuck.gate.clear()
        with pytest.raises(TimeoutError):
            await heard(longform, audio, method("a", stuck, None))
    assert await books.resting("ears") > 0


@pytest.mark.parametrize("error", [ChildDied("killed"), ChildFailed("KeyError", ""), OSError("disk")])
async def test_a_local_engine_that_breaks_down_failed(
    longform: Longform, books: Books, audio: Audio, error: Exception
) -> None:
    for _ in range(3):
        local = engine("local", error, can=Capabilities(word_times=True))
        with pytest.raises(type(error)):
            await heard(longform, audio, method("a", local, None))
    assert await books.resting("local") > 0


async def test_a_refusal_is_an_answer(longform: Longform, books: Books, audio: Audio) -> None:
    await books.trip("ears")
    with pytest.raises(Rejected):
        await heard(longform, audio, method("a", engine("ears", Rejected("too loud")), None))
    assert [await books.resting("ears") for _ in range(2)] == [0, 0]


# The one try after a rest


async def test_a_try_that_is_cancelled_is_handed_on(longform: Longform, books: Books, audio: Audio) -> None:
    await books.trip("ears")
    await books.trip("eyes")
    hears, tells = engine("ears"), engine("eyes")
    hears.gate.clear()
    tells.gate.clear()
    task = asyncio.create_task(heard(longform, audio, method("a", hears, tells)))
    while not (hears.heard and tells.heard):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for name in ("ears", "eyes"):
        assert await books.resting(name) == 0
        assert await books.resting(name) > 0
    assert [t for t in asyncio.all_tasks() if t is not asyncio.current_task()] == []


async def test_a_try_is_handed_on_although_the_answer_was_not_waited_for(
    longform: Longform, books: Books, audio: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answering = asyncio.Event(), asyncio.Event()
    resting = books.resting

    async def slow(name: str) -> float:
        found = await resting(name)
        asked.set()
        await answering.wait()
        return found

    await books.trip("ears")
    with monkeypatch.context() as patch:
        patch.setattr(books, "resting", slow)
        task = asyncio.create_task(heard(longform, audio, method("a", engine("ears"), None)))
        await asked.wait()
        task.cancel()
        answering.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await books.resting("ears") == 0


async def test_cancelling_again_loses_no_try(
    longform: Longform, books: Books, audio: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling, told = asyncio.Event(), asyncio.Event()
    undecided = books.undecided

    async def slow(name: str) -> None:
        telling.set()
        await told.wait()
        await undecided(name)

    monkeypatch.setattr(books, "undecided", slow)
    await books.trip("ears")
    hears = engine("ears")
    hears.gate.clear()
    task = asyncio.create_task(heard(longform, audio, method("a", hears, None)))
    while not hears.heard:
        await asyncio.sleep(0.01)
    task.cancel()
    await telling.wait()
    task.cancel()
    for _ in range(50):
        await asyncio.sleep(0)
    assert not task.done(), "what was begun is brought to an end"
    told.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await books.resting("ears") == 0
    assert [t for t in asyncio.all_tasks() if t is not asyncio.current_task()] == []


async def test_a_try_that_was_handed_on_is_not_made_all_the_same(
    longform: Longform, books: Books, audio: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    undecided = books.undecided

    async def and_somebody_takes_it(name: str) -> None:
        await undecided(name)
        assert await books.resting(name) == 0

    monkeypatch.setattr(books, "undecided", and_somebody_takes_it)
    await books.trip("ears")
    encoder = Broken(ChildDied("killed"))
    with pytest.raises(ChildDied):
        await heard(
            replace(longform, encoder=encoder),
            audio,
            method("a", engine("ears"), None),
            method("b", engine("ears"), None),
        )
    assert encoder.pieces == 1


async def test_who_waits_for_another_ones_try_does_not_hand_it_on(
    longform: Longform, books: Books, audio: Audio
) -> None:
    await books.trip("ears")
    assert await books.resting("ears") == 0
    with pytest.raises(Transient, match="left alone"):
        await heard(longform, audio, method("a", engine("ears"), None))
    assert await books.resting("ears") > 0


async def test_all_channels_share_the_try(longform: Longform, books: Books, audio: Audio) -> None:
    await books.trip("ears")
    both = Audio(path=audio.path, seconds=audio.seconds, channels=(audio.path, audio.path))
    hears = engine("ears")
    transcript, _ = await heard(longform, both, method("a", hears, None))
    assert len(hears.heard) == 2
    assert {speaker for speaker, _ in said(transcript)} == {"Speaker 1", "Speaker 2"}
    assert [await books.resting("ears") for _ in range(2)] == [0, 0]


async def test_nothing_sent_is_nothing_learnt(longform: Longform, books: Books, audio: Audio) -> None:
    """A model that is fed speaker turns is not asked where there are none."""

    class Nobody(Ears):
        async def present(self, _path: Path) -> bool:
            return True

    await books.trip("text")
    hears = engine("text", can=TEXT)
    transcript, _ = await heard(longform, audio, method("t", hears, None), ears=Nobody())
    assert (hears.heard, transcript.utterances) == ([], ())
    assert await books.resting("text") == 0
    assert await books.resting("text") > 0


# Transcribers that ask their server first


class Asking(FakeEngine):
    """Knows what it can do once it is prepared; `troubles` are raised by that, one each time."""

    def __init__(self, books: Books, *troubles: Exception, failures: Sequence[Exception] = ()) -> None:
        super().__init__(
            "ears", words=WORDS, turns=TURNS, failures=failures, capabilities=replace(TEXT, account="ears")
        )
        self.books = books
        self.troubles = list(troubles)
        self.prepared = False
        self.held: list[list[str]] = []

    async def prepare(self) -> None:
        self.held.append(list(self.books.permits))
        await self.gate.wait()
        if self.troubles:
            raise self.troubles.pop(0)
        self.capabilities = replace(PAID, account="ears")
        self.prepared = True


async def test_asking_first_is_a_request_like_others(longform: Longform, books: Books, audio: Audio) -> None:
    hears = Asking(books)
    for _ in range(2):
        transcript, _ = await heard(longform, audio, method("a", hears, engine("eyes")))
        assert said(transcript) == BOTH
    assert hears.held == [["ears"]], "once, and with a permit"


async def test_an_outage_while_asking_counts(longform: Longform, books: Books, audio: Audio) -> None:
    hears = Asking(books, OUTAGE, OUTAGE, OUTAGE)
    for _ in range(4):
        with pytest.raises(Transient):
            await heard(longform, audio, method("a", hears, None))
    assert len(hears.held) == 3, "at rest it is not asked"
    books.ahead += 61
    await heard(longform, audio, method("a", hears, None))
    assert len(hears.held) == 4
    assert [await books.resting("ears") for _ in range(2)] == [0, 0]


async def test_who_needs_not_ask_is_judged_by_its_work_alone(
    longform: Longform, books: Books, audio: Audio
) -> None:
    hears = Asking(books, failures=[OUTAGE] * 6)
    hears.prepared = True
    for _ in range(3):
        with pytest.raises(Transient):
            await heard(longform, audio, method("a", hears, engine("eyes")))
    assert hears.held == []
    assert await books.resting("ears") > 0


async def test_a_server_that_never_says_what_it_can_do_failed(
    longform: Longform, books: Books, audio: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(longform_module, "_LEAST_DEADLINE", 0.01)
    monkeypatch.setattr(longform_module, "_PER_SECOND", 0.0)
    hears = Asking(books)
    hears.gate.clear()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await heard(longform, audio, method("a", hears, None))
    assert await books.resting("ears") > 0


async def test_a_permit_for_asking_that_is_not_to_be_had_does_not_count(
    longform: Longform, books: Books, audio: Audio
) -> None:
    books.away.add("permit")
    hears = Asking(books)
    for _ in range(4):
        with pytest.raises(Transient):
            await heard(longform, audio, method("a", hears, None))
    assert hears.held == []
    assert await books.resting("ears") == 0
