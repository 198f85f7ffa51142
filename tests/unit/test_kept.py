"""Paid answers that wait for a recording's next attempt: the port, what is put there, a worker with it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from core import kept as kept_module
from core import longform as longform_module
from core import retrying
from core import worker as worker_module
from core.accounts import MemoryAccounts, RedisAccounts
from core.cutting import Piece
from core.doors import Doors
from core.errors import Transient
from core.hearing import Listener
from core.intake import Intake
from core.jobs import Queue
from core.kept import Answers, RedisKept, Shelf, life_seconds, release
from core.ledger import job_id
from core.listening import SpeechDetector
from core.model import (
    Audio,
    Diarization,
    Hints,
    JobState,
    Recognition,
    SpeakerTurn,
    Transcript,
    Utterance,
    Word,
)
from core.ports import Capabilities, Kept, Report
from core.settings import Settings, load_settings
from core.state import State, open_state
from core.studio import Studio
from core.telemetry import Metrics
from core.testing import FakeEngine, MemoryKept
from core.vault import Vault
from core.voices import Voices
from core.worker import Worker
from tests.e2e.test_work import DOOR, Hand, House
from tests.quick_store import quick_store
from tests.tiny_models import silence, voice, write_wav

CAN = Capabilities(word_times=True, account="vendor:1", price="openai/whisper-1", upload="ogg")
PIECE = Piece(start=0.0, end=30.0, keep_from=0.0, keep_to=30.0)
NEXT = Piece(start=27.0, end=60.0, keep_from=28.5, keep_to=60.0)
HEARD = Recognition(words=(Word(start=0.1, end=0.30000000000000004, text="Hi"),), languages=("en",))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with quick_store() as url:
        yield url


@pytest.fixture
async def redis(url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(url) as client:
        await client.flushall()
        yield client


def settings(**changes: Any) -> Settings:
    return load_settings(Settings, _env_file=None, **changes)


@pytest.fixture
def in_store(redis: Redis) -> RedisKept:
    return RedisKept(redis, Vault(), settings())


@pytest.fixture(params=["store", "memory"])
def any_kept(request: pytest.FixtureRequest) -> Kept:
    if request.param == "memory":
        return MemoryKept()
    found: RedisKept = request.getfixturevalue("in_store")
    return found


# the port


async def test_what_is_kept_is_found_until_it_is_dropped(any_kept: Kept) -> None:
    await any_kept.keep("a", "1", b"one", seconds=60)
    await any_kept.keep("a", "2", b"two", seconds=60)
    await any_kept.keep("b", "1", b"other", seconds=60)
    assert await any_kept.find("a", ["2", "3", "1"]) == {"1": b"one", "2": b"two"}
    assert await any_kept.find("a", []) == {}
    await any_kept.drop("a")
    await any_kept.drop("never there")
    assert await any_kept.find("a", ["1", "2"]) == {}
    assert await any_kept.find("b", ["1"]) == {"1": b"other"}


async def whole_store(redis: Redis) -> bytes:
    found = b""
    for name in cast("list[bytes]", await redis.keys("*")):
        found += name + cast("bytes", await redis.dump(name))
    return found


async def test_nothing_stays_in_the_store(redis: Redis, in_store: RedisKept) -> None:
    await in_store.keep("a", "1", b"one", seconds=60)
    await in_store.drop("a")
    assert await redis.keys("*") == []


async def test_a_life_is_the_shortest_asked_for_from_the_first_answer_on(
    redis: Redis, in_store: RedisKept
) -> None:
    await in_store.keep("a", "1", b"one", seconds=1000)
    first = await redis.pexpiretime("{erni}:kept:of:a")
    await in_store.keep("a", "2", b"two", seconds=5000)
    assert await redis.pexpiretime("{erni}:kept:of:a") == first
    await in_store.keep("a", "3", b"three", seconds=10)
    assert 0 < await redis.pttl("{erni}:kept:of:a") <= 10_000
    assert life_seconds(None, None) == 86400
    assert life_seconds(7, None) == 86400
    assert life_seconds(7, 0.25) == 21600


async def test_what_the_store_evicted_by_itself_never_stays_for_ever(
    redis: Redis, in_store: RedisKept
) -> None:
    await in_store.keep("a", "1", b"one", seconds=1000)
    await redis.delete("{erni}:kept:of:a")
    await in_store.keep("a", "2", b"two", seconds=1000)
    assert 0 < await redis.pttl("{erni}:kept:of:a") <= 1_000_000


async def test_what_ran_out_is_forgotten_altogether(redis: Redis, in_store: RedisKept) -> None:
    await in_store.keep("old", "1", b"one", seconds=0.001)
    async with asyncio.timeout(30):
        while await redis.exists("{erni}:kept:of:old"):
            await asyncio.sleep(0.01)
    await in_store.keep("new", "1", b"one", seconds=60)
    assert await redis.zrange("{erni}:kept:ends", 0, -1) == [b"new"]
    assert list(await redis.hgetall("{erni}:kept:sizes")) == [b"new"]


async def test_room_is_bounded_and_the_next_to_go_makes_it(redis: Redis) -> None:
    small = RedisKept(redis, Vault(), settings(cache_bytes=4 * 1000))
    noise = [hashed(number) for number in range(4)]  # 320 bytes that can't be compressed
    await small.keep("later", "1", noise[0], seconds=90)
    await small.keep("sooner", "1", noise[1], seconds=60)
    await small.keep("own", "1", noise[2], seconds=30)
    await small.keep("own", "1", noise[2], seconds=30)  # the same once more takes no more room
    assert await small.find("sooner", ["1"]) == {"1": noise[1]}
    await small.keep("own", "2", noise[3], seconds=30)
    assert await small.find("sooner", ["1"]) == {}
    assert await small.find("later", ["1"]) == {"1": noise[0]}
    assert set(await small.find("own", ["1", "2"])) == {"1", "2"}
    await small.keep("huge", "1", b"".join(map(hashed, range(4))), seconds=60)
    assert await small.find("huge", ["1"]) == {}
    assert set(await small.find("own", ["1", "2"])) == {"1", "2"}, "nobody made room in vain"
    used = sum([int(size) for size in await redis.hvals("{erni}:kept:sizes")])
    held = [await redis.hvals(name) for name in await redis.keys("{erni}:kept:of:*")]
    assert used == sum(len(blob) for blobs in held for blob in blobs) <= 1000


def hashed(seed: int) -> bytes:
    return b"".join(hashlib.sha256(b"%d %d" % (seed, part)).digest() for part in range(10))


async def test_it_is_sealed_and_another_key_only_means_to_buy_again(redis: Redis) -> None:
    sealed = RedisKept(redis, Vault(Vault.new_key()), settings())
    await sealed.keep("a", "1", b"a secret word", seconds=60)
    assert await sealed.find("a", ["1"]) == {"1": b"a secret word"}
    assert b"secret" not in await whole_store(redis)
    (blob,) = cast("list[bytes]", await redis.hvals("{erni}:kept:of:a"))
    assert blob.startswith(b"1"), "encrypted, not only compressed"
    assert await RedisKept(redis, Vault(Vault.new_key()), settings()).find("a", ["1"]) == {}
    await redis.hset("{erni}:kept:of:a", "1", b"0 no such thing")
    assert await sealed.find("a", ["1"]) == {}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


async def test_a_store_that_is_away_is_said_once_and_harms_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Redis.from_url(f"unix://{tmp_path}/nobody") as nobody:
        away = RedisKept(nobody, Vault(), settings())
        await away.keep("sha256:abc", "1", b"a secret word", seconds=60)
        assert await away.find("sha256:abc", ["1"]) == {}
        await away.drop("sha256:abc")
    (said,) = warnings(caplog)
    assert "pay" in said
    assert "abc" not in said


async def test_a_store_that_hangs_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kept_module, "_ANSWER_SECONDS", 0.05)
    connected = 0

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected += 1
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        Redis.from_url(f"redis://127.0.0.1:{port}", socket_timeout=None) as stuck,
        asyncio.timeout(30),
    ):
        hanging = RedisKept(stuck, Vault(), settings())
        await hanging.keep("a", "1", b"one", seconds=60)
        assert await hanging.find("a", ["1"]) == {}
    assert connected
    assert len(warnings(caplog)) == 1


# what was asked, and what it was answered


def shelf(kept: Kept, *, accounts: MemoryAccounts | None = None) -> Shelf:
    return Shelf(
        kept=kept,
        accounts=accounts or MemoryAccounts(settings()),
        recording="sha256:r",
        channels=(Path("one.wav"), Path("two.wav")),
        seconds=60,
    )


def of(
    where: Shelf,
    *,
    engine: str = "openai",
    model: str = "OpenAI whisper-1",
    can: Capabilities = CAN,
    hints: Hints | None = None,
    path: str = "/tmp/1/audio.wav",
) -> Answers[Recognition]:
    return where.answers(Recognition, engine, model=model, can=can, hints=hints or Hints(), path=Path(path))


async def test_only_the_same_question_has_the_same_answer() -> None:
    where = shelf(MemoryKept())
    await of(where).keep(PIECE, HEARD, "")
    assert await of(where).find([NEXT, PIECE]) == {1: HEARD}
    assert await of(where, path="/tmp/2/audio.wav").find([PIECE]) == {0: HEARD}, "another attempt's folder"
    renewed = replace(CAN, account="vendor:2")
    assert await of(where, can=renewed).find([PIECE]) == {0: HEARD}, "the key was replaced"
    others = [
        of(where, engine="openai-diarize"),
        of(where, model="OpenAI gpt-transcribe"),
        of(where, can=replace(CAN, labels_speakers=True)),
        of(where, can=replace(CAN, price="compatible/whisper-1")),
        of(where, hints=Hints(languages=("de",))),
        of(where, hints=Hints(vocabulary=("Erni",))),
        of(where, hints=Hints(max_speakers=2)),
        of(where, path="one.wav"),
        of(where, path="two.wav"),
        of(replace(where, recording="sha256:s")),
    ]
    assert [await other.find([PIECE]) for other in others] == [{}] * len(others)
    assert await of(where).find([replace(PIECE, end=30.5)]) == {}
    turns = where.answers(
        Diarization, "openai", model="OpenAI whisper-1", can=CAN, hints=Hints(), path=Path("a.wav")
    )
    assert await turns.find([PIECE]) == {}


async def test_channels_have_answers_of_their_own() -> None:
    where = shelf(MemoryKept())
    await of(where, path="one.wav").keep(PIECE, HEARD, "")
    moved = replace(where, channels=(Path("/again/one.wav"), Path("/again/two.wav")))
    assert await of(moved, path="/again/one.wav").find([PIECE]) == {0: HEARD}
    assert await of(moved, path="/again/two.wav").find([PIECE]) == {}


async def test_what_is_no_answer_of_ours_is_bought_again() -> None:
    kept = MemoryKept()
    await of(shelf(kept)).keep(PIECE, HEARD, "")
    pieces = kept.pieces["sha256:r"]
    for damaged in (b"", b"{}", b"\xff", b'{"answer": 1, "seconds": 1, "receipt": ""}'):
        pieces.update(dict.fromkeys(pieces, damaged))
        assert await of(shelf(kept)).find([PIECE]) == {}


async def test_a_receipt_that_nobody_understands_costs_no_answer() -> None:
    kept = MemoryKept()
    for receipt in ("?", '{"id": "1", "of": "another version"}'):
        await of(shelf(kept)).keep(PIECE, HEARD, receipt)
        assert await of(shelf(kept)).find([PIECE]) == {0: HEARD}


async def test_text_that_nobody_can_write_down_is_no_reason_to_fail() -> None:
    kept = MemoryKept()
    await of(shelf(kept)).keep(PIECE, Recognition(words=(), text="\ud800"), "")
    assert kept.pieces == {}


numbers = st.floats(min_value=0, max_value=1e6)
texts = st.text(st.characters(exclude_categories=["Cs"]))
words = st.builds(
    Word,
    start=numbers,
    end=numbers,
    text=texts,
    confidence=st.none() | st.floats(min_value=0, max_value=1),
    speaker=st.none() | texts,
)
heard = st.builds(
    Recognition,
    words=st.lists(words).map(tuple),
    text=texts,
    gaps=st.lists(st.tuples(numbers, numbers)).map(tuple),
    languages=st.lists(texts).map(tuple),
    warnings=st.lists(texts).map(tuple),
)
told = st.builds(
    Diarization,
    turns=st.lists(st.builds(SpeakerTurn, start=numbers, end=numbers, speaker=texts)).map(tuple),
    overlapping=st.booleans(),
    warnings=st.lists(texts).map(tuple),
)


@given(recognition=heard, diarization=told)
def test_answers_come_back_as_they_were(recognition: Recognition, diarization: Diarization) -> None:
    async def there_and_back() -> None:
        where = shelf(MemoryKept())
        turns = where.answers(Diarization, "e", model="m", can=CAN, hints=Hints(), path=Path("a"))
        await of(where).keep(PIECE, recognition, "")
        await turns.keep(PIECE, diarization, "")
        assert await of(where).find([PIECE]) == {0: recognition}
        assert await turns.find([PIECE]) == {0: diarization}

    asyncio.run(there_and_back())


async def test_what_an_attempt_that_died_has_bought_is_booked_once() -> None:
    accounts = MemoryAccounts(settings())
    receipt = await accounts.reserve("t", "openai", CAN.price, 100)
    dead = of(shelf(kept := MemoryKept(), accounts=accounts))
    await dead.keep(PIECE, HEARD, receipt)
    await dead.keep(NEXT, HEARD, receipt)
    assert await accounts.costs() == []
    for _ in range(2):
        assert len(await of(shelf(kept, accounts=accounts)).find([PIECE, NEXT])) == 2
    (cost,) = await accounts.costs()
    assert (cost.requests, cost.seconds) == (1, PIECE.seconds + NEXT.seconds)
    assert await accounts.reserved() == 0
    second = await accounts.reserve("t", "openai", CAN.price, 5)
    await accounts.settle(second, 5)
    await of(shelf(kept, accounts=accounts)).keep(PIECE, HEARD, second)
    assert len(await of(shelf(kept, accounts=accounts)).find([PIECE])) == 1
    assert sum(cost.seconds for cost in await accounts.costs()) == PIECE.seconds + NEXT.seconds + 5


class Slow(MemoryKept):
    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()

    async def keep(self, recording: str, piece: str, answer: bytes, *, seconds: float) -> None:
        self.begun.set()
        await self.gate.wait()
        await super().keep(recording, piece, answer, seconds=seconds)


async def test_an_answer_is_kept_although_its_attempt_is_cancelled() -> None:
    slow = Slow()
    keeping = asyncio.create_task(of(shelf(slow)).keep(PIECE, HEARD, ""))
    await slow.begun.wait()
    for _ in range(2):
        keeping.cancel()
        await asyncio.sleep(0)
    assert not keeping.done()
    slow.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert len(slow.pieces["sha256:r"]) == 1


def transcript(**changes: Any) -> Transcript:
    fields: dict[str, Any] = {"content_key": "a", "languages": (), "seconds": 1.0, "utterances": ()}
    return Transcript(**fields | {"engine": "e"} | changes)


async def test_it_goes_with_the_transcript_unless_something_is_still_missing() -> None:
    gap = Utterance(speaker=None, start=0, end=1, words=(), gap=True)
    for waits in (transcript(unlabelled=True), transcript(utterances=(gap,))):
        kept = MemoryKept()
        await kept.keep("a", "1", b"one", seconds=60)
        await release(kept, waits)
        assert kept.pieces
        await release(kept, transcript())
        assert not kept.pieces
    await release(None, transcript())


# a worker with it

TURNS = tuple(SpeakerTurn(start=n * 6.0, end=n * 6.0 + 5.5, speaker="AB"[n % 2]) for n in range(4))


class Ears(FakeEngine):
    """Hears text, one turn at a time. The turns whose numbers are in `deaf_to` fail once each."""

    def __init__(self, *deaf_to: int) -> None:
        super().__init__("ears", capabilities=replace(CAN, word_times=False))
        self.deaf_to = set(deaf_to)
        self.sent: list[int] = []

    async def transcribe(self, audio: Audio, hints: Hints, report: Report) -> Recognition:
        number = round(int(audio.path.stem.rsplit("-", 3)[1]) / 6000)
        self.sent.append(number)
        if number in self.deaf_to:
            self.deaf_to.remove(number)
            raise Transient("down")
        return Recognition(words=(), text=f"word{number}", languages=("en",))


class Attentive(SpeechDetector):
    """Hears speech all the time."""

    async def find(
        self, audio: Audio, *, report: Report = lambda _fraction: None
    ) -> tuple[tuple[float, float], ...]:
        report(1.0)
        return ((0.0, audio.seconds),)

    async def present(self, _path: Path) -> bool:
        return True


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    parts = [part for n in range(4) for part in (voice("dark" if n % 2 else "bright", 5.5), silence(0.5))]
    write_wav(path, parts)
    return path.read_bytes()


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    async with open_state(settings(data_dir=tmp_path / "data"), own=True) as state:
        yield state


@pytest.fixture
async def house(tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """As `tests.e2e.test_work` has it, but that answers are kept."""
    monkeypatch.setattr(retrying, "_FIRST_DELAY", 0.02)
    monkeypatch.setattr(longform_module, "_LEAST_PATIENCE", 0.0)
    monkeypatch.setattr(longform_module, "_PATIENCE", 0.0)
    own = settings(data_dir=tmp_path / "data")
    hand, registry = Hand(), CollectorRegistry()
    metrics = Metrics(registry)
    async with (
        Queue(state.url, state.ledger, redelivery_seconds=5, drain_seconds=0.2, worker="w") as queue,
        Studio(own, RedisAccounts(state.redis, own), RedisKept(state.redis, state.vault, own)) as studio,
    ):
        monkeypatch.setattr(studio, "detector", Attentive(1))

        def worker(listeners: tuple[Listener, ...] = (), lane: str = "") -> Worker:
            return Worker(
                ledger=state.ledger,
                queue=queue,
                store=state.store,
                doors=Doors(state.redis, state.ledger, state.vault, {DOOR: hand}, tmp_path),
                vault=state.vault,
                settings=own,
                metrics=metrics,
                studio=studio,
                voices=Voices(state.store, own),
                work=tmp_path,
                listeners=listeners,
                lane=lane,
            )

        yield House(
            ledger=state.ledger,
            intake=Intake(state.ledger, queue, state.store, own, metrics),
            queue=queue,
            store=state.store,
            hand=hand,
            worker=worker,
            metrics=registry,
        )


def eyes(*failures: Exception) -> FakeEngine:
    can = Capabilities(word_times=False, account="vendor:2", price="pyannoteai/diarize/precision-2")
    return FakeEngine("eyes", turns=TURNS, failures=failures, capabilities=can)


async def kept_now(state: State) -> list[bytes]:
    return [name async for name in state.redis.scan_iter("{erni}:kept:*")]


async def test_a_second_attempt_pays_only_for_what_the_first_did_not_get(
    house: House, state: State, talk: bytes
) -> None:
    ears, tells = Ears(1, 2, 3), eyes()
    async with house.working(ears, diarizer=tells):
        view = await house.over(await house.share("a.wav", talk))
    assert view.state is JobState.DONE
    assert view.job.attempt == 2
    assert sorted(ears.sent) == [0, 1, 1, 2, 2, 3, 3]
    assert len(tells.heard) == 1
    ((_, found),) = house.hand.delivered
    assert [(said.speaker, said.text) for said in found.utterances] == [
        (f"Speaker {n % 2 + 1}", f"word{n}") for n in range(4)
    ]
    costs = {cost.price: cost.seconds for cost in await RedisAccounts(state.redis, settings()).costs()}
    assert 22 < costs[CAN.price] <= 24
    assert costs["pyannoteai/diarize/precision-2"] == 24
    assert await kept_now(state) == [], "it has its transcript"


async def test_speakers_that_are_told_later_cost_no_words_and_leave_nothing(
    house: House, state: State, talk: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_FOLLOW_DELAY", 0.05)
    words = tuple(Word(start=t.start + 1, end=t.start + 2, text="word") for t in TURNS)
    hears = FakeEngine("hears", words=words, capabilities=CAN)
    async with house.working(hears, diarizer=eyes(Transient("down"))):
        await house.over(await house.share("a.wav", talk))
        await house.over(job_id("hand:a.wav#speakers"))
    assert [found.unlabelled for _, found in house.hand.delivered] == [True, False]
    assert len(hears.heard) == 1
    assert await kept_now(state) == []
