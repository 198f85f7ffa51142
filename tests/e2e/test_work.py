"""Real queue, records, store and decoder around scripted engines and doors: what happens to a recording."""

from __future__ import annotations

import asyncio
import struct
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from core import doors, jobs, retrying
from core import worker as worker_module
from core.accounts import RedisAccounts
from core.doors import Doors
from core.errors import AuthFailed, Rejected, Transient
from core.hearing import Listener
from core.intake import Intake
from core.jobs import LONG, SHORT, Queue
from core.ledger import Claim, Ledger, job_id
from core.model import Job, JobState, JobView, Policy, Recording, SpeakerTurn, Stage, Transcript, Word
from core.ports import Readiness, Submit
from core.settings import Settings, load_settings
from core.state import open_state
from core.store import RedisStore
from core.studio import Studio
from core.tasks import end
from core.telemetry import Metrics
from core.testing import FakeEngine
from core.voices import Voices
from core.worker import Worker

DOOR = "hand"
WORDS = (Word(start=0.0, end=0.2, text="Hello."), Word(start=0.3, end=0.45, text="Bye."))
TURNS = (SpeakerTurn(start=0, end=0.25, speaker="A"), SpeakerTurn(start=0.25, end=0.5, speaker="B"))


def wav(seconds: float, pitch: int = 300) -> bytes:
    import io

    import numpy as np

    samples = (8000 * np.sin(2 * np.pi * pitch * np.arange(int(8000 * seconds)) / 8000)).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.tobytes())
    assert len(buffer.getvalue()) > struct.calcsize("<4sI4s")
    return buffer.getvalue()


@dataclass
class Hand:
    """A door that hands over bytes and keeps what comes back."""

    files: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    delivered: list[tuple[str, Transcript]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    trouble: list[Exception] = field(default_factory=list)
    door: str = DOOR

    async def run(self, submit: Submit) -> None:
        await asyncio.Event().wait()

    async def fetch(self, recording: Recording, into: Path) -> None:
        self.fetched.append(recording.name)
        into.write_bytes(self.files[recording.name])

    async def progress(self, job: Job, stage: Stage, fraction: float | None) -> None:
        return

    async def deliver(self, transcript: Transcript, job: Job) -> str:
        if self.trouble:
            raise self.trouble.pop(0)
        self.delivered.append((job.recording.name, transcript))
        return "{}"

    async def report_failure(self, job: Job, message: str) -> str:
        self.failed.append((job.recording.name, message))
        return "{}"

    async def check(self) -> Readiness:
        return Readiness(usable=True)


@dataclass(kw_only=True)
class House:
    """Everything that is open, and what a test does with it."""

    ledger: Ledger
    intake: Intake
    queue: Queue
    store: RedisStore
    hand: Hand
    worker: Callable[..., Worker]
    metrics: CollectorRegistry

    async def share(self, name: str, content: bytes, *, policy: Policy | None = None) -> str:
        self.hand.files[name] = content
        recording = Recording(
            key=f"hand:{name}",
            content_key=f"file:{name}",
            platform="hand",
            door=DOOR,
            address="{}",
            name=name,
            size=len(content),
            shared_at=datetime(2026, 1, 1, tzinfo=UTC),
            policy=policy or Policy(),
        )
        return await self.intake.submit(recording)

    async def over(self, job: str) -> JobView:
        """The record of a job once it is over."""

        async def settled() -> bool:
            view = await self.ledger.view(job)
            return view is not None and view.state in {JobState.DONE, JobState.FAILED, JobState.CANCELLED}

        await until(settled)
        view = await self.ledger.view(job)
        assert view is not None
        return view

    @asynccontextmanager
    async def working(
        self,
        *engines: FakeEngine,
        lane: str = SHORT,
        jobs: int = 2,
        diarizer: FakeEngine | None = None,
    ) -> AsyncIterator[None]:
        """Workers of one lane, and the deliveries, while the body runs. `diarizer` tells the speakers instead
        of the engines themselves."""
        listeners = tuple(
            Listener(method=engine.name, transcriber=engine, diarizer=diarizer or engine, draft=False)
            for engine in engines
        )
        hearing = self.worker(listeners=listeners, lane=lane)
        tasks = [
            asyncio.create_task(self.queue.serve(lane, jobs, hearing.handle)),
            asyncio.create_task(self.queue.serve(f"post:{DOOR}", 2, self.worker().handle)),
            asyncio.create_task(self.queue.reconcile()),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.02)


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(retrying, "_FIRST_DELAY", 0.02)
    settings = load_settings(
        Settings,
        data_dir=tmp_path / "data",
        redelivery_seconds=5,
        drain_seconds=0.2,
        long_seconds=2,
        tenant_jobs=2,
    )
    hand = Hand()
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    async with (
        open_state(settings, own=True) as state,
        Queue(state.url, state.ledger, redelivery_seconds=5, drain_seconds=0.2, worker="w") as queue,
    ):
        studio = Studio(settings, RedisAccounts(state.redis, settings))

        def worker(listeners: tuple[Listener, ...] = (), lane: str = "") -> Worker:
            return Worker(
                ledger=state.ledger,
                queue=queue,
                store=state.store,
                doors=Doors(state.redis, state.ledger, state.vault, {DOOR: hand}, tmp_path),
                vault=state.vault,
                settings=settings,
                metrics=metrics,
                studio=studio,
                voices=Voices(state.store, settings),
                work=tmp_path,
                listeners=listeners,
                lane=lane,
            )

        yield House(
            ledger=state.ledger,
            intake=Intake(state.ledger, queue, state.store, settings, metrics),
            queue=queue,
            store=state.store,
            hand=hand,
            worker=worker,
            metrics=registry,
        )
        await studio.close()


def heard(engine: FakeEngine) -> int:
    return sum(what == "transcribe" for what, _, _ in engine.heard)


async def test_a_recording_becomes_a_transcript_with_speakers(house: House) -> None:
    engine = FakeEngine(words=WORDS, turns=TURNS)
    async with house.working(engine):
        view = await house.over(await house.share("talk.wav", wav(0.5)))
    assert view.state is JobState.DONE
    ((name, transcript),) = house.hand.delivered
    assert name == "talk.wav"
    assert [(u.speaker, u.text) for u in transcript.utterances] == [
        ("Speaker 1", "Hello."),
        ("Speaker 2", "Bye."),
    ]
    assert transcript.engine == "fake"
    events = [entry["event"] async for entry in house.store.audit_entries()]
    assert events == ["accepted", "fetched", "delivered"]


async def test_the_same_recording_twice_at_once_is_recognised_once(house: House) -> None:
    engine = FakeEngine(words=WORDS, turns=TURNS)
    engine.gate.clear()
    content = wav(0.5)
    async with house.working(engine):
        first = await house.share("a.wav", content)
        second = await house.share("b.wav", content)

        async def one_waits() -> bool:
            views = [await house.ledger.view(job) for job in (first, second)]
            return any(view is not None and view.state is JobState.WAITING for view in views)

        await until(one_waits)
        engine.gate.set()
        await house.over(first)
        await house.over(second)
        assert heard(engine) == 1
        await house.over(await house.share("c.wav", content))
    assert heard(engine) == 1, "later copies come from the cache"
    assert sorted(name for name, _ in house.hand.delivered) == ["a.wav", "b.wav", "c.wav"]
    assert house.metrics.get_sample_value("erni_cache_lookups_total", {"outcome": "hit"}) == 1


async def labels(house: House) -> list[list[str | None]]:
    return [[said.speaker for said in transcript.utterances] for _, transcript in house.hand.delivered]


async def test_speakers_that_could_not_be_told_are_added_later_in_the_same_place(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_FOLLOW_DELAY", 0.05)
    ears = FakeEngine("ears", words=WORDS)
    eyes = FakeEngine("eyes", turns=TURNS, failures=[Transient("down"), Transient("still down")])
    async with house.working(ears, diarizer=eyes):
        job = await house.share("a.wav", wav(0.5))
        assert (await house.over(job)).state is JobState.DONE
        await house.over(job_id("hand:a.wav#speakers"))
        assert await labels(house) == [[None], ["Speaker 1", "Speaker 2"]]
        assert heard(ears) == 1, "words are paid for once"
        await house.over(await house.share("copy.wav", wav(0.5)))
    assert await labels(house) == [[None], *[["Speaker 1", "Speaker 2"]] * 2], "the cache has the better one"


async def test_speakers_that_are_never_told_end_in_silence(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_FOLLOW_DELAY", 0.0)
    monkeypatch.setattr(worker_module, "_FOLLOW_TRIES", 2)
    eyes = FakeEngine("eyes", failures=[Transient("down")] * 9)
    async with house.working(FakeEngine("ears", words=WORDS), diarizer=eyes):
        await house.share("a.wav", wav(0.5))
        view = await house.over(job_id("hand:a.wav#speakers"))
    assert view.state is JobState.CANCELLED
    assert await labels(house) == [[None]]
    assert house.hand.failed == []
    assert [what for what, _, _ in eyes.heard] == ["diarize"] * 3


async def test_speakers_of_the_same_bytes_are_told_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_FOLLOW_DELAY", 0.1)
    eyes = FakeEngine("eyes", turns=TURNS, failures=[Transient("down")])
    async with house.working(FakeEngine("ears", words=WORDS), diarizer=eyes):
        await house.over(await house.share("a.wav", wav(0.5)))
        await house.over(await house.share("copy.wav", wav(0.5)))
        for name in ("a.wav", "copy.wav"):
            await house.over(job_id(f"hand:{name}"))
        view = await house.over(job_id("hand:a.wav#speakers"))
        assert view.state is JobState.DONE
        if await house.ledger.view(job_id("hand:copy.wav#speakers")) is not None:
            await house.over(job_id("hand:copy.wav#speakers"))
    assert [what for what, _, _ in eyes.heard] == ["diarize"] * 2


async def test_nobody_hears_of_a_follow_up_that_can_not_be_delivered(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_FOLLOW_DELAY", 1.0)
    eyes = FakeEngine("eyes", turns=TURNS, failures=[Transient("down")])
    async with house.working(FakeEngine("ears", words=WORDS), diarizer=eyes):
        await house.over(await house.share("a.wav", wav(0.5)))
        house.hand.trouble.append(Rejected("The place is gone."))
        await house.over(job_id("hand:a.wav#speakers"))
    assert house.hand.failed == []
    assert len(house.hand.delivered) == 1


async def test_a_stale_worker_can_not_cancel(house: House) -> None:
    job = await house.share("a.wav", wav(0.5))
    stale = await house.ledger.begin(job, 1, max_crashes=9, poison_message="")
    assert isinstance(stale, Claim)
    (ticket,) = await house.ledger.again(stale, 0)
    fresh = await house.ledger.begin(job, ticket.run, max_crashes=9, poison_message="")
    assert isinstance(fresh, Claim)
    assert await house.ledger.cancel(job, stale) == (False, [])
    assert (await house.ledger.cancel(job, fresh))[0]


async def test_a_known_share_is_answered_once(house: House) -> None:
    engine = FakeEngine(words=WORDS, turns=TURNS)
    async with house.working(engine):
        job = await house.share("a.wav", wav(0.5))
        assert await house.share("a.wav", wav(0.5)) == job
        await house.over(job)
        assert await house.share("a.wav", wav(0.5)) == job
        await asyncio.sleep(0.3)
    assert len(house.hand.delivered) == 1


async def test_passing_troubles_are_tried_again(house: House) -> None:
    engine = FakeEngine(words=WORDS, turns=TURNS, failures=[Transient("busy")] * 2)
    async with house.working(engine):
        view = await house.over(await house.share("a.wav", wav(0.5)))
    assert view.state is JobState.DONE
    assert view.job.attempt >= 2
    assert len(house.hand.delivered) == 1


async def test_a_lasting_trouble_ends_in_a_message_with_a_reference(house: House) -> None:
    engine = FakeEngine(failures=[Transient("busy")] * 100)
    async with house.working(engine):
        job = await house.share("a.wav", wav(0.5))
        view = await house.over(job)
    assert view.state is JobState.FAILED
    ((_, message),) = house.hand.failed
    assert job in message


async def test_what_is_no_recording_is_told_at_once(house: House) -> None:
    engine = FakeEngine(words=WORDS, turns=TURNS)
    async with house.working(engine):
        await house.over(await house.share("a.mp3", b"<!DOCTYPE html><html>Sign in</html>"))
    ((_, message),) = house.hand.failed
    assert "page" in message
    assert heard(engine) == 0


async def test_a_delivery_is_tried_again_without_recognising_again(house: House) -> None:
    engine = FakeEngine(words=WORDS, turns=TURNS)
    house.hand.trouble = [Transient("busy"), OSError("network"), Transient("busy")]
    async with house.working(engine):
        view = await house.over(await house.share("a.wav", wav(0.5)))
    assert view.state is JobState.DONE
    assert heard(engine) == 1


async def test_a_transcript_that_its_place_refuses_ends_in_a_message(house: House) -> None:
    house.hand.trouble = [Rejected("The thread is gone.")]
    async with house.working(FakeEngine(words=WORDS, turns=TURNS)):
        view = await house.over(await house.share("a.wav", wav(0.5)))
    assert view.state is JobState.FAILED
    assert house.hand.failed == [("a.wav", "The thread is gone.")]


async def test_broken_credentials_cost_no_attempt_and_wait_for_the_operator(house: House) -> None:
    engine = FakeEngine(failures=[AuthFailed("token expired")] * 100)
    async with house.working(engine):
        job = await house.share("a.wav", wav(0.5))

        async def parked() -> bool:
            view = await house.ledger.view(job)
            return bool(engine.heard) and view is not None and view.state is JobState.QUEUED

        await until(parked)
        view = await house.ledger.view(job)
    assert view is not None
    assert view.job.attempt == 0
    assert house.hand.failed == []


async def test_the_next_method_takes_over_and_the_reader_is_told(house: House) -> None:
    first = FakeEngine("first", failures=[AuthFailed("quota")] * 9)
    second = FakeEngine("second", words=WORDS, turns=TURNS)
    async with house.working(first, second):
        await house.over(await house.share("a.wav", wav(0.5)))
    ((_, transcript),) = house.hand.delivered
    assert transcript.engine == "second"
    assert "The method `first` failed, so `second` was used." in transcript.warnings
    labels = {"failed": "first", "took_over": "second"}
    assert house.metrics.get_sample_value("erni_engine_fallbacks_total", labels) == 1


async def test_text_is_never_lost_because_speakers_could_not_be_told_apart(house: House) -> None:
    class Deaf(FakeEngine):
        async def diarize(self, *arguments: object, **options: object) -> object:  # type: ignore[override]  # it only raises
            raise Transient("no diarization today")

    async with house.working(Deaf(words=WORDS)):
        await house.over(await house.share("a.wav", wav(0.5)))
    ((_, transcript),) = house.hand.delivered
    assert [word.text for u in transcript.utterances for word in u.words] == ["Hello.", "Bye."]
    assert {u.speaker for u in transcript.utterances} == {None}
    assert any("speakers" in warning for warning in transcript.warnings)


async def test_a_running_job_can_be_stopped(house: House) -> None:
    engine = FakeEngine(words=WORDS, turns=TURNS)
    engine.gate.clear()
    async with house.working(engine):
        job = await house.share("a.wav", wav(0.5))

        async def running() -> bool:
            return bool(engine.heard)

        await until(running)
        assert await house.intake.cancel(job)
        assert not await house.intake.cancel(job)
        assert (await house.over(job)).state is JobState.CANCELLED
        other = await house.share("b.wav", wav(0.5, 500))
        engine.gate.set()
        await house.over(other)
    assert [name for name, _ in house.hand.delivered] == ["b.wav"]
    assert house.hand.failed == []


async def test_a_stopping_worker_gives_its_job_back_with_the_attempt(house: House) -> None:
    stuck = FakeEngine(words=WORDS, turns=TURNS)
    stuck.gate.clear()
    async with house.working(stuck):
        job = await house.share("a.wav", wav(0.5))

        async def running() -> bool:
            return bool(stuck.heard)

        await until(running)
    view = await house.ledger.view(job)
    assert view is not None
    assert (view.state, view.job.attempt) == (JobState.QUEUED, 0)
    async with house.working(FakeEngine(words=WORDS, turns=TURNS)):
        assert (await house.over(job)).state is JobState.DONE


async def test_a_short_recording_does_not_wait_for_a_long_one(house: House) -> None:
    slow, quick = FakeEngine("slow", words=WORDS), FakeEngine("quick", words=WORDS, turns=TURNS)
    slow.gate.clear()
    async with house.working(slow, lane=LONG, jobs=1), house.working(quick, lane=SHORT, jobs=1):
        # By its size it looks short; the decoder finds out and it is moved to the long lane.
        long = await house.share("long.wav", wav(3.0))

        async def in_the_long_lane() -> bool:
            return bool(slow.heard)

        await until(in_the_long_lane)
        assert heard(quick) == 0
        short = await house.share("short.wav", wav(0.5))
        assert (await house.over(short)).state is JobState.DONE
        slow.gate.set()
        assert (await house.over(long)).state is JobState.DONE


async def test_a_tenant_can_not_take_every_worker(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(words=WORDS, turns=TURNS)
    engine.gate.clear()
    async with house.working(engine, jobs=4):
        greedy = [
            await house.share(f"g{n}.wav", wav(0.5, 300 + n), policy=Policy(tenant="greedy"))
            for n in range(4)
        ]
        modest = await house.share("m.wav", wav(0.5, 900), policy=Policy(tenant="modest"))

        async def both_tenants_run() -> bool:
            return heard(engine) == 3

        await until(both_tenants_run)
        views = [await house.ledger.view(job) for job in (*greedy, modest)]
        running = [
            view.job.recording.policy.tenant for view in views if view and view.state is JobState.RUNNING
        ]
        assert sorted(running) == ["greedy", "greedy", "modest"]
        engine.gate.set()
        for job in (*greedy, modest):
            assert (await house.over(job)).state is JobState.DONE


async def test_a_method_that_a_policy_names_is_used_alone(house: House) -> None:
    first, second = FakeEngine("first"), FakeEngine("second", words=WORDS, turns=TURNS)
    async with house.working(first, second):
        await house.over(await house.share("a.wav", wav(0.5), policy=replace(Policy(), method="second")))
    assert heard(first) == 0
    assert house.hand.delivered[0][1].engine == "second"


async def test_a_lesser_methods_refusal_is_not_final_while_the_best_one_may_recover(house: House) -> None:
    best = FakeEngine("best", words=WORDS, turns=TURNS, failures=[Transient("busy")] * 2)
    draft = FakeEngine("lesser", failures=[Rejected("Only English.")] * 9)
    async with house.working(best, draft):
        view = await house.over(await house.share("a.wav", wav(0.5)))
    assert view.state is JobState.DONE
    assert house.hand.delivered[0][1].engine == "best"


async def test_a_slow_fetch_elsewhere_is_waited_for_and_its_refusal_comes_through(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "_PATIENCE_SECONDS", 0.4)
    content = wav(200)  # some MiB, so several pieces

    class Slow(Hand):
        async def fetch(self, recording: Recording, into: Path) -> None:
            await asyncio.sleep(1)
            if recording.name not in self.files:
                raise Rejected("It is gone.")
            await super().fetch(recording, into)

    slow = Slow(files={"a.wav": content})
    settings = load_settings(Settings, data_dir=tmp_path / "data")
    async with open_state(settings, own=False) as state:
        here = Doors(state.redis, state.ledger, state.vault, {DOOR: slow}, tmp_path)
        elsewhere = Doors(state.redis, state.ledger, state.vault, {}, tmp_path)
        services = [asyncio.create_task(service) for service in here.services().values()]
        try:
            for name in ("a.wav", "gone.wav"):
                job = await house.share(name, content)
                view = await house.ledger.view(job)
                assert view is not None
                fetching = elsewhere.fetch(view.job.recording, job, tmp_path / name)
                if name == "a.wav":
                    await fetching
                else:
                    with pytest.raises(Rejected, match="gone"):
                        await fetching
        finally:
            await end(*services)
    assert (tmp_path / "a.wav").read_bytes() == content
    assert not list(tmp_path.glob("transfer-*"))


async def test_bytes_that_are_not_what_was_announced_are_never_kept_as_such(house: House) -> None:
    engine = FakeEngine(words=WORDS, turns=TURNS)
    async with house.working(engine):
        house.hand.files["a.wav"] = wav(0.5, 700)
        recording = Recording(
            key="hand:announced",
            content_key=f"sha256:{'0' * 64}",
            platform="hand",
            door=DOOR,
            address="{}",
            name="a.wav",
            shared_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        view = await house.over(await house.intake.submit(recording))
    assert view.state is JobState.FAILED
    assert heard(engine) == 0


async def test_a_ticket_that_the_queue_engine_lost_is_written_anew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As found by the kill loop: docket knows the run, and its stream has no entry for it."""
    monkeypatch.setattr(jobs, "_RECONCILE_SECONDS", 0.1)
    job = await house.share("a.wav", wav(0.5))
    lane = await house.queue._docket(SHORT)
    async with lane.redis() as redis:
        assert await redis.xlen(lane.stream_key) == 1
        await redis.xtrim(lane.stream_key, maxlen=0, approximate=False)
    house.queue._redelivery = timedelta(seconds=0.5)
    async with house.working(FakeEngine(words=WORDS, turns=TURNS)):
        assert (await house.over(job)).state is JobState.DONE
    assert len(house.hand.delivered) == 1
