"""Long recordings through engines that take little at once: the real encoder, the in-memory accounts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import av
import pytest

from core import longform as longform_module
from core.accounts import MemoryAccounts
from core.detecting import Spans
from core.errors import AuthFailed, OverBudget, QuotaExhausted, Rejected, Transient
from core.kept import Shelf
from core.longform import Incomplete, Longform, deadline
from core.model import Audio, Diarization, Hints, Recognition, SpeakerTurn, Word
from core.ports import Capabilities, Report
from core.settings import Settings, load_settings
from core.testing import MemoryKept
from core.uploads import CONTAINERS, Container, Encoder, longest_request
from tests.tiny_models import silence, voice, write_wav

SPOKEN = [(n * 4.0 + 0.5, n * 4.0 + 3.2) for n in range(30)]
"""Where somebody speaks in two minutes of audio; the rest is silence."""


class Vendor:
    """Hears which of the known stretches lie in what it is sent, by their number."""

    name = "vendor"

    def __init__(self, can: Capabilities, whole: Audio) -> None:
        self.capabilities = can
        self.whole = whole
        self.sent: list[Audio] = []
        self.under_way = 0
        self.most = 0
        self.failures: dict[int, list[Exception]] = {}
        self.formats: set[str] = set()
        self.together: asyncio.Barrier | None = None

    async def transcribe(self, audio: Audio, hints: Hints, report: Report) -> Recognition:
        offset, number = await self._take(audio)
        report(1.0)
        words = tuple(
            Word(start=s - offset, end=e - offset, text=f"w{n}", speaker="AB"[(n // 3 + number) % 2])
            for n, (s, e) in enumerate(SPOKEN)
            if s >= offset and e <= offset + audio.seconds
        )
        if not self.capabilities.word_times:
            return Recognition(words=(), text=" ".join(word.text for word in words), languages=("en",))
        return Recognition(words=words, languages=("en",))

    async def diarize(self, audio: Audio, hints: Hints, report: Report) -> Diarization:
        offset, number = await self._take(audio)
        return Diarization(
            turns=tuple(
                SpeakerTurn(start=s - offset, end=e - offset, speaker="AB"[(n // 3 + number) % 2])
                for n, (s, e) in enumerate(SPOKEN)
                if s >= offset and e <= offset + audio.seconds
            )
        )

    async def _take(self, audio: Audio) -> tuple[float, int]:
        """Where in the recording the piece begins, and its number, from its file name."""
        offset = int(audio.path.stem.split("-")[1]) / 1000
        number = round(offset / 24)
        self.sent.append(audio)
        with av.open(str(audio.path)) as file:
            self.formats.add(file.format.name)
            assert file.duration is not None
            assert abs(file.duration / 1e6 - audio.seconds) < 0.2
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if self.together is not None and number < 2:
                async with asyncio.timeout(60):
                    await self.together.wait()
            if self.failures.get(number):
                raise self.failures[number].pop(0)
        finally:
            self.under_way -= 1
        return offset, number


async def by_parity(_audio: Audio, voices: Sequence[tuple[int, Spans]], _hints: Hints) -> Sequence[int]:
    """The truth: three stretches in turn are one person's, which labels of single pieces don't show."""
    return [round((spans[0][0] - 0.5) / 4) // 3 % 2 + 1 for _, spans in voices]


async def nobody(_audio: Audio, _voices: object, _hints: Hints) -> None:
    return None


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Audio:
    path = tmp_path_factory.mktemp("audio") / "whole.wav"
    parts = []
    for n in range(30):
        parts += [silence(0.5), voice("dark" if n // 3 % 2 else "bright", 2.7), silence(0.8)]
    return Audio(path=path, seconds=write_wav(path, parts))


@pytest.fixture
async def encoder() -> AsyncIterator[Encoder]:
    encoder = Encoder(2)
    yield encoder
    await encoder.close()


@pytest.fixture
def longform(encoder: Encoder, tmp_path: Path) -> Callable[..., Longform]:
    def make(link: object = by_parity, *, shelf: Shelf | None = None, use: Encoder = encoder) -> Longform:
        accounts = shelf.accounts if shelf else MemoryAccounts(load_settings(Settings, _env_file=None))
        return Longform(
            accounts=accounts,
            encoder=use,
            link=link,  # type: ignore[arg-type]
            work=tmp_path,
            tenant="t",
            shelf=shelf,
        )

    return make


def can(**changes: object) -> Capabilities:
    fields: dict[str, object] = {
        "word_times": True,
        "upload": "ogg",
        "max_seconds": 40.0,
        "account": "vendor:1",
        "concurrency": 3,
        "price": "openai/whisper-1",
    }
    return Capabilities(**(fields | changes))  # type: ignore[arg-type]


def ignore(_fraction: float) -> None:
    pass


ALL = [f"w{n}" for n in range(len(SPOKEN))]


async def test_a_long_recording_comes_back_whole_and_in_parallel(
    longform: Callable[..., Longform], whole: Audio, tmp_path: Path
) -> None:
    vendor = Vendor(can(), whole)
    vendor.together = asyncio.Barrier(2)
    reported: list[float] = []
    found = await longform().transcribe(vendor, "vendor", whole, Hints(), reported.append)
    assert [word.text for word in found.words] == ALL
    assert [word.start for word in found.words] == pytest.approx([start for start, _ in SPOKEN])
    assert len(vendor.sent) == 5
    assert 1 < vendor.most <= 3
    assert max(part.seconds for part in vendor.sent) <= 40
    assert vendor.formats == {"ogg"}
    assert reported == sorted(reported)
    assert reported[-1] == 1.0
    assert found.languages == ("en",)
    assert list(tmp_path.iterdir()) == []  # pieces are gone


async def test_one_piece_is_retried_without_the_others(
    longform: Callable[..., Longform], whole: Audio
) -> None:
    vendor = Vendor(can(), whole)
    vendor.failures = {1: [Transient("busy", retry_after=0.05)]}
    found = await longform().transcribe(vendor, "vendor", whole, Hints(), ignore)
    assert [word.text for word in found.words] == ALL
    assert len(vendor.sent) == 6


async def test_a_piece_that_fails_for_good_is_a_gap(longform: Callable[..., Longform], whole: Audio) -> None:
    vendor = Vendor(can(), whole)
    vendor.failures = {1: [Rejected("no")]}
    found = await longform().transcribe(vendor, "vendor", whole, Hints(), ignore)
    (gap,) = found.gaps
    lost = [f"w{n}" for n, (start, _) in enumerate(SPOKEN) if gap[0] <= start < gap[1]]
    assert lost
    assert sorted([word.text for word in found.words] + lost) == sorted(ALL)
    assert "nothing could be recognised" in found.warnings[0]


async def test_what_another_try_could_fill_is_no_gap_yet(
    longform: Callable[..., Longform], whole: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(longform_module, "_LONGEST_PAUSE", 0.01)
    vendor = Vendor(can(), whole)
    vendor.failures = {1: [Transient("busy", retry_after=90)]}
    long = longform()
    with pytest.raises(Incomplete) as error:
        await long.transcribe(vendor, "vendor", whole, Hints(), ignore)
    assert error.value.retry_after == 90
    assert len(error.value.found.gaps) == 1
    assert len(error.value.found.words) > 20


async def test_a_piece_is_tried_again_while_there_is_patience(
    longform: Callable[..., Longform], whole: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(longform_module, "_FIRST_PAUSE", 0.01)
    vendor = Vendor(can(), whole)
    vendor.failures = {1: [Transient("down")] * 7}
    found = await longform().transcribe(vendor, "vendor", whole, Hints(), ignore)
    assert [word.text for word in found.words] == ALL


async def test_an_engine_that_fails_on_most_pieces_has_failed(
    longform: Callable[..., Longform], whole: Audio
) -> None:
    vendor = Vendor(can(), whole)
    vendor.failures = {n: [Rejected("no")] for n in range(3)}
    with pytest.raises(Rejected):
        await longform().transcribe(vendor, "vendor", whole, Hints(), ignore)


@pytest.mark.parametrize("error", [AuthFailed("key"), QuotaExhausted("no credit")])
async def test_what_concerns_the_account_ends_all_at_once(
    longform: Callable[..., Longform], whole: Audio, error: Exception
) -> None:
    vendor = Vendor(can(concurrency=1), whole)
    vendor.failures = {0: [error]}
    with pytest.raises(type(error)):
        await longform().transcribe(vendor, "vendor", whole, Hints(), ignore)
    assert len(vendor.sent) == 1


async def test_labels_mean_the_same_person_in_every_piece(
    longform: Callable[..., Longform], whole: Audio
) -> None:
    vendor = Vendor(can(labels_speakers=True), whole)
    found = await longform().transcribe(vendor, "vendor", whole, Hints(), ignore)
    assert [word.speaker for word in found.words] == [f"P{n // 3 % 2 + 1}" for n in range(len(SPOKEN))]


async def test_labels_that_cannot_be_linked_stay_apart(
    longform: Callable[..., Longform], whole: Audio
) -> None:
    vendor = Vendor(can(labels_speakers=True), whole)
    found = await longform(nobody).transcribe(vendor, "vendor", whole, Hints(), ignore)
    assert len({word.speaker for word in found.words}) == 10
    assert "could not be matched" in found.warnings[0]


async def test_turns_of_pieces_are_one_diarization(longform: Callable[..., Longform], whole: Audio) -> None:
    vendor = Vendor(can(), whole)
    found = await longform().diarize(vendor, "vendor", whole, Hints(), ignore)
    assert [turn.start for turn in found.turns] == pytest.approx([start for start, _ in SPOKEN])
    assert [turn.speaker for turn in found.turns] == [f"P{n // 3 % 2 + 1}" for n in range(len(SPOKEN))]


async def test_speakers_with_a_hole_are_none(longform: Callable[..., Longform], whole: Audio) -> None:
    vendor = Vendor(can(), whole)
    vendor.failures = {1: [Rejected("no")]}
    with pytest.raises(Rejected):
        await longform().diarize(vendor, "vendor", whole, Hints(), ignore)


async def test_text_only_engines_hear_one_speaker_at_a_time(
    longform: Callable[..., Longform], whole: Audio
) -> None:
    vendor = Vendor(can(word_times=False), whole)
    turns = [
        SpeakerTurn(start=n * 12.0 + 0.4, end=n * 12.0 + 11.4, speaker="SP"[n % 2]) for n in range(9)
    ]  # the last stretches are missed

    async def speech() -> Spans:
        return SPOKEN

    found = await longform().transcribe(
        vendor, "vendor", whole, Hints(), ignore, turns=Diarization(turns=tuple(turns)), speech=speech
    )
    assert [word.text for word in found.words] == ALL
    assert [word.speaker for word in found.words] == ["SP"[n // 3 % 2] if n < 27 else None for n in range(30)]
    assert all(abs(word.start - start) < 3 for word, (start, _) in zip(found.words, SPOKEN, strict=True))


async def test_what_was_sent_is_booked(longform: Callable[..., Longform], whole: Audio) -> None:
    vendor = Vendor(can(), whole)
    vendor.failures = {1: [Rejected("no")]}
    long = longform()
    await long.transcribe(vendor, "vendor", whole, Hints(), ignore)
    assert isinstance(long.accounts, MemoryAccounts)
    (cost,) = await long.accounts.costs(None)
    assert (cost.tenant, cost.engine) == ("t", "vendor")
    assert 105 < cost.seconds < 125  # pieces overlap


def new_shelf(**limits: float) -> Shelf:
    accounts = MemoryAccounts(load_settings(Settings, _env_file=None, **limits))
    return Shelf(kept=MemoryKept(), accounts=accounts, recording="sha256:r", channels=(), seconds=60)


async def booked(shelf: Shelf) -> float:
    assert isinstance(shelf.accounts, MemoryAccounts)
    assert await shelf.accounts.reserved() == 0
    return sum(cost.seconds for cost in await shelf.accounts.costs())


def offsets(vendor: Vendor) -> list[int]:
    return [int(part.path.stem.split("-")[1]) for part in vendor.sent]


async def test_another_attempt_sends_only_what_is_missing(
    longform: Callable[..., Longform], whole: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(longform_module, "_LEAST_PATIENCE", 0.0)
    monkeypatch.setattr(longform_module, "_PATIENCE", 0.0)
    expected = await longform().transcribe(
        once := Vendor(can(labels_speakers=True), whole), "vendor", whole, Hints(), ignore
    )
    # 144 s are $0.0144: once, and what is missing again, but not twice
    shelf, vendor = new_shelf(monthly_budget=0.02), Vendor(can(labels_speakers=True), whole)
    vendor.failures = {1: [Transient("down")], 3: [Transient("down")]}
    with pytest.raises(Incomplete):
        await longform(shelf=shelf).transcribe(vendor, "vendor", whole, Hints(), ignore)
    assert len(vendor.sent) == 5
    first, vendor.sent = offsets(vendor), []
    reported: list[float] = []
    found = await longform(shelf=shelf).transcribe(vendor, "vendor", whole, Hints(), reported.append)
    assert found == expected
    assert len(vendor.sent) == 2
    assert set(offsets(vendor)) < set(first)
    assert await booked(shelf) == pytest.approx(sum(part.seconds for part in once.sent))
    assert 0.4 < reported[0] < 0.8
    assert reported == sorted(reported)
    assert reported[-1] == 1.0


async def test_nothing_is_set_aside_for_what_is_known(
    longform: Callable[..., Longform], whole: Audio
) -> None:
    shelf, vendor = new_shelf(monthly_budget=0.02), Vendor(can(), whole)  # 144 s for $0.0144
    first = await longform(shelf=shelf).transcribe(vendor, "vendor", whole, Hints(), ignore)
    assert await longform(shelf=shelf).transcribe(vendor, "vendor", whole, Hints(), ignore) == first
    assert len(vendor.sent) == 5
    with pytest.raises(OverBudget):
        await longform(shelf=shelf).transcribe(vendor, "vendor", whole, Hints(max_speakers=2), ignore)


async def test_turns_of_pieces_are_kept_too(longform: Callable[..., Longform], whole: Audio) -> None:
    shelf, vendor = new_shelf(), Vendor(can(), whole)
    vendor.failures = {2: [Rejected("no")]}
    with pytest.raises(Rejected):
        await longform(shelf=shelf).diarize(vendor, "vendor", whole, Hints(), ignore)
    found = await longform(shelf=shelf).diarize(vendor, "vendor", whole, Hints(), ignore)
    assert [turn.start for turn in found.turns] == pytest.approx([start for start, _ in SPOKEN])
    assert len(vendor.sent) == 6


async def test_an_account_that_fails_takes_no_answer_with_it(
    longform: Callable[..., Longform], whole: Audio
) -> None:
    shelf, vendor = new_shelf(), Vendor(can(concurrency=1), whole)
    vendor.failures = {3: [AuthFailed("revoked")]}
    with pytest.raises(AuthFailed):
        await longform(shelf=shelf).transcribe(vendor, "vendor", whole, Hints(), ignore)
    answered = len(vendor.sent) - 1
    assert answered > 0
    assert await booked(shelf) == pytest.approx(sum(part.seconds for part in vendor.sent[:-1]))
    vendor.sent = []
    vendor.capabilities = can(account="vendor:new")
    found = await longform(shelf=shelf).transcribe(vendor, "vendor", whole, Hints(), ignore)
    assert [word.text for word in found.words] == ALL
    assert len(vendor.sent) == 5 - answered


async def test_what_costs_nothing_is_not_kept(longform: Callable[..., Longform], whole: Audio) -> None:
    shelf, vendor = new_shelf(), Vendor(can(account="", price=""), whole)
    await longform(shelf=shelf).transcribe(vendor, "vendor", whole, Hints(), ignore)
    assert isinstance(shelf.kept, MemoryKept)
    assert shelf.kept.pieces == {}


async def test_cancelling_leaves_nothing_under_way(
    longform: Callable[..., Longform], whole: Audio, tmp_path: Path
) -> None:
    vendor = Vendor(can(), whole)
    vendor.failures = {0: [Transient("later", retry_after=15)]}
    task = asyncio.create_task(longform().transcribe(vendor, "vendor", whole, Hints(), ignore))
    while not vendor.sent:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert vendor.under_way == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("upload", list(CONTAINERS))
async def test_a_second_takes_no_more_than_the_table_says(
    encoder: Encoder, whole: Audio, tmp_path: Path, upload: str
) -> None:
    async with encoder.piece(whole, 10, 100, upload, tmp_path) as part:
        size = part.path.stat().st_size
        assert part.path.suffix == f".{CONTAINERS[upload].suffix}"
    assert size / 90 < CONTAINERS[upload].bytes_per_second
    assert not part.path.exists()


def test_the_smaller_limit_counts() -> None:
    assert longest_request("ogg", 1390, 25 * 2**20) == 1390
    assert longest_request("wav", None, 25 * 2**20) < 820
    assert longest_request("", None, None) == float("inf")
    assert deadline(3600, vendor=True) > 3600


class Counting(Encoder):
    """Counts what it encodes, which begins when `gate` is set and fails with the first of `failures`."""

    def __init__(self) -> None:
        super().__init__(2)
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.failures: list[Exception] = []
        self.encoded: list[Path] = []

    async def _encode(self, source: Path, start: float, end: float, container: Container, into: Path) -> None:
        self.encoded.append(into)
        self.begun.set()
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        await super()._encode(source, start, end, container, into)


@pytest.fixture
async def counting() -> AsyncIterator[Counting]:
    encoder = Counting()
    yield encoder
    await encoder.close()


async def use(encoder: Encoder, audio: Audio, into: Path, leave: asyncio.Event, upload: str = "ogg") -> Path:
    """Where the piece was, once `leave` is set; it was there until then."""
    async with encoder.piece(audio, 10, 20, upload, into) as part:
        await leave.wait()
        assert part.path.stat().st_size > 1000
        return part.path


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_same_piece_is_encoded_once_for_all_who_use_it(
    counting: Counting, whole: Audio, tmp_path: Path
) -> None:
    leaving = [asyncio.Event() for _ in range(3)]
    users = [asyncio.create_task(use(counting, whole, tmp_path, leave)) for leave in leaving]
    for number, user in enumerate(users):
        leaving[number].set()
        path = await user
        assert path.exists() == (number < 2), "gone with the last one"
    assert counting.encoded == [path]
    leaving[0].set()
    assert await use(counting, whole, tmp_path, leaving[0]) != path
    assert len(counting.encoded) == 2
    assert list(tmp_path.iterdir()) == []


async def test_different_pieces_are_encoded_each(counting: Counting, whole: Audio, tmp_path: Path) -> None:
    leave = asyncio.Event()
    (tmp_path / "other").mkdir()
    users = [
        asyncio.create_task(use(counting, whole, into, leave, upload))
        for into, upload in ((tmp_path, "ogg"), (tmp_path, "flac"), (tmp_path / "other", "ogg"))
    ]
    await until(lambda: len(counting.encoded) == 3)
    leave.set()
    assert len(set(await asyncio.gather(*users))) == 3


async def test_who_came_first_and_is_cancelled_takes_nothing_from_the_others(
    counting: Counting, whole: Audio, tmp_path: Path
) -> None:
    counting.gate.clear()
    leave = asyncio.Event()
    leave.set()
    first, second = (asyncio.create_task(use(counting, whole, tmp_path, leave)) for _ in range(2))
    await counting.begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    counting.gate.set()
    assert [await second] == counting.encoded
    assert list(tmp_path.iterdir()) == []


async def test_what_nobody_waits_for_is_not_encoded(counting: Counting, whole: Audio, tmp_path: Path) -> None:
    counting.gate.clear()
    users = [asyncio.create_task(use(counting, whole, tmp_path, asyncio.Event())) for _ in range(2)]
    await counting.begun.wait()
    for user in users:
        user.cancel()
    await asyncio.gather(*users, return_exceptions=True)
    assert not any(task.get_name().startswith("encoding") for task in asyncio.all_tasks())
    counting.gate.set()
    (leave := asyncio.Event()).set()
    await use(counting, whole, tmp_path, leave)
    assert len(counting.encoded) == 2


async def test_all_who_wait_are_told_an_error_and_the_next_one_tries_again(
    counting: Counting, whole: Audio, tmp_path: Path
) -> None:
    counting.gate.clear()
    counting.failures = [OSError("disk full")]
    (leave := asyncio.Event()).set()
    users = [asyncio.create_task(use(counting, whole, tmp_path, leave)) for _ in range(3)]
    await counting.begun.wait()
    counting.gate.set()
    assert [type(error) for error in await asyncio.gather(*users, return_exceptions=True)] == [OSError] * 3
    assert len(counting.encoded) == 1
    await use(counting, whole, tmp_path, leave)
    assert len(counting.encoded) == 2
    assert list(tmp_path.iterdir()) == []


async def test_two_engines_are_sent_one_file(
    longform: Callable[..., Longform], counting: Counting, whole: Audio
) -> None:
    hears, tells = Vendor(can(max_seconds=None), whole), Vendor(can(max_seconds=None), whole)
    hears.together = tells.together = asyncio.Barrier(2)
    long = longform(use=counting)
    await asyncio.gather(
        long.transcribe(hears, "hears", whole, Hints(), ignore),
        long.diarize(tells, "tells", whole, Hints(), ignore),
    )
    assert [part.path for part in (*hears.sent, *tells.sent)] == counting.encoded * 2
