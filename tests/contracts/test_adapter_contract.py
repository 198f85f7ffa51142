"""What every front door promises. A new adapter joins by a `Bench` of its own in `BENCHES`."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Protocol

import pytest

from bots.slack import ids
from connectors.folder.adapter import FolderAdapter
from connectors.folder.settings import FolderSettings
from core.errors import Rejected, Transient
from core.model import Job, Recording, Stage, Transcript, Utterance, Word
from core.ports import Adapter, AdapterContext
from core.settings import Settings, load_settings
from core.testing import FakeAdapter, MemoryJobs, MemoryLinks, MemoryStore
from tests.adapters.dropbox_driver import dropbox_bench
from tests.adapters.gdrive_driver import gdrive_bench
from tests.adapters.slack_desk import Desk, desk
from tests.adapters.teams_driver import teams_alone_bench, teams_channel_bench
from tests.vendors.slack import Item
from tests.vendors.slack_limits import interactive
from tests.vendors.slack_model import Message

PATIENCE = 20.0


class Bench(Protocol):
    """An adapter with its platform, in the hands of a test."""

    @property
    def adapter(self) -> Adapter: ...

    async def share(self, name: str, data: bytes) -> None:
        """A person shares a recording."""

    async def withdraw(self, name: str) -> None:
        """The person deletes it again."""

    async def outputs(self) -> list[str]:
        """The texts of the transcripts that a person sees on the platform, one for each set."""

    async def failures(self) -> list[str]:
        """The messages that a person sees there."""

    def restart(self) -> None:
        """The process ends and another one takes over with the same store."""


class FakeBench:
    def __init__(self, tmp_path: Path) -> None:
        self.adapter = FakeAdapter()

    async def share(self, name: str, data: bytes) -> None:
        self.adapter.share(name, data)

    async def withdraw(self, name: str) -> None:
        for key, recording in self.adapter.recordings.items():
            if recording.name == name:
                del self.adapter.files[key]

    async def outputs(self) -> list[str]:
        return [
            " ".join(utterance.text for utterance in transcript.utterances)
            for transcript in self.adapter.outputs.values()
        ]

    async def failures(self) -> list[str]:
        return list(self.adapter.failures.values())

    def restart(self) -> None:
        before, self.adapter = self.adapter, FakeAdapter()
        for name in ("files", "recordings", "outputs", "failures"):
            setattr(self.adapter, name, getattr(before, name))  # what the platform keeps


class FolderBench:
    def __init__(self, tmp_path: Path) -> None:
        self.inbox = tmp_path / "inbox"
        self.inbox.mkdir()
        self.context = AdapterContext(
            settings=load_settings(Settings, ERNI_DATA_DIR=tmp_path / "data"),
            store=MemoryStore(),
            jobs=MemoryJobs(),
            links=MemoryLinks(),
            node_id="node",
        )
        self.restart()

    def restart(self) -> None:
        settings = load_settings(
            FolderSettings,
            FOLDER_PATHS=str(self.inbox),
            FOLDER_SETTLE_SECONDS=0.05,
            FOLDER_FORMATS="txt",
        )
        self.adapter: Adapter = FolderAdapter(self.context, settings)

    async def share(self, name: str, data: bytes) -> None:
        (self.inbox / name.replace("/", "_")).write_bytes(data)

    async def withdraw(self, name: str) -> None:
        (self.inbox / name).unlink()

    async def outputs(self) -> list[str]:
        return [
            path.read_text()
            for path in sorted(self.inbox.glob("*.transcript*.txt"))
            if "transcript-error" not in path.name
        ]

    async def failures(self) -> list[str]:
        return [path.read_text() for path in sorted(self.inbox.glob("*.transcript-error*.txt"))]


class SlackBench:
    """A channel of a Slack on this machine. What people see are the threads in it."""

    def __init__(self, at: Desk) -> None:
        self._at = at
        self.adapter = at.adapter

    def restart(self) -> None:
        self.adapter = self._at.open()

    async def share(self, name: str, data: bytes) -> None:
        await self._at.server.share(self._at.channel, self._at.anna, Item(name=name, data=data))

    async def withdraw(self, name: str) -> None:
        [file] = [file for file in self._at.server.files.values() if file.name == name]
        await self._at.server.delete_file(file)

    async def outputs(self) -> list[str]:
        """What each answer shows that is a transcript; of its files, each that is there once too often."""
        return [
            text
            for thread in self._threads()
            for text in (
                *(message.shown for message in thread if _offers(message, ids.RENAME)),
                *self._surplus(thread),
            )
        ]

    async def failures(self) -> list[str]:
        return [
            message.shown
            for thread in self._threads()
            for message in thread
            if "Could not transcribe" in message.shown
        ]

    def _threads(self) -> list[list[Message]]:
        return [self._at.thread(root) for root in self._at.server.messages(self._at.channel)]

    def _surplus(self, thread: list[Message]) -> list[str]:
        attached = (file for message in thread for file in self._at.server.attached(message))
        names = Counter(file.name for file in attached if not file.deleted)
        return list((names - Counter(names.keys())).elements())


def _offers(message: Message, action: str) -> bool:
    return any(element["action_id"] == action for _, element in interactive(message.blocks))


@asynccontextmanager
async def slack_bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with desk(tmp_path) as at:
        yield SlackBench(at)


def _at_hand(make: Callable[[Path], Bench]) -> Callable[[Path], AbstractAsyncContextManager[Bench]]:
    """One that need not be started or ended."""
    return lambda tmp_path: nullcontext(make(tmp_path))


BENCHES: dict[str, Callable[[Path], AbstractAsyncContextManager[Bench]]] = {
    "fake": _at_hand(FakeBench),
    "folder": _at_hand(FolderBench),
    "dropbox": dropbox_bench,
    "gdrive": gdrive_bench,
    "slack": slack_bench,
    "teams": teams_alone_bench,
    "teams-channel": teams_channel_bench,
}


@pytest.fixture(params=list(BENCHES.values()), ids=list(BENCHES))
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    make: Callable[[Path], AbstractAsyncContextManager[Bench]] = request.param
    async with make(tmp_path) as made:
        yield made


class Inbound:
    """Takes what is submitted, as the intake does: a known key is a no-op."""

    def __init__(self) -> None:
        self.calls = 0
        self.refuse = 0
        self.recordings: dict[str, Recording] = {}
        self._news = asyncio.Condition()

    async def __call__(self, recording: Recording) -> str:
        self.calls += 1
        if self.refuse:
            self.refuse -= 1
            raise Transient("The store is away.")
        async with self._news:
            self.recordings.setdefault(recording.key, recording)
            self._news.notify_all()
        return recording.key[-8:]

    async def first(self, count: int) -> list[Recording]:
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: len(self.recordings) >= count)
        return list(self.recordings.values())

    async def named(self, *names: str) -> list[Recording]:
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(
                lambda: set(names) <= {recording.name for recording in self.recordings.values()}
            )
        return [next(found for found in self.recordings.values() if found.name == name) for name in names]


@asynccontextmanager
async def running(adapter: Adapter, inbound: Inbound) -> AsyncIterator[None]:
    task = asyncio.create_task(adapter.run(inbound))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def shared(bench: Bench, name: str = "meeting.mp3", data: bytes = b"bytes") -> Job:
    inbound = Inbound()
    async with running(bench.adapter, inbound):
        await bench.share(name, data)
        [recording] = await inbound.named(name)
    return Job(id="job1", recording=recording)


def saying(text: str, recording: Recording) -> Transcript:
    words = tuple(Word(start=0.0, end=1.0, text=word) for word in text.split())
    return Transcript(
        content_key=recording.content_key,
        languages=("en",),
        seconds=1.0,
        utterances=(Utterance(speaker="Speaker 1", start=0.0, end=1.0, words=words),),
        engine="fake",
    )


async def test_a_share_is_submitted_with_what_the_core_needs(bench: Bench) -> None:
    recording = (await shared(bench)).recording
    assert recording.door == bench.adapter.door
    assert recording.size in {5, None}
    assert recording.content_key
    assert recording.shared_at.tzinfo is not None
    json.loads(recording.address)
    assert all(part.isprintable() for part in (recording.key, recording.content_key, recording.name))


async def test_every_share_is_submitted_once(bench: Bench) -> None:
    inbound = Inbound()
    async with running(bench.adapter, inbound):
        for index in range(5):
            await bench.share(f"{index}.mp3", f"bytes {index}".encode())
        await inbound.named(*(f"{index}.mp3" for index in range(5)))
    assert len(inbound.recordings) == 5


async def test_a_share_is_not_lost_when_the_store_is_away(bench: Bench) -> None:
    inbound = Inbound()
    inbound.refuse = 1
    async with running(bench.adapter, inbound):
        await bench.share("meeting.mp3", b"bytes")
        await inbound.named("meeting.mp3")
    assert inbound.calls >= 2


async def test_what_came_while_it_was_off_is_picked_up(bench: Bench) -> None:
    await bench.share("before.mp3", b"early")
    inbound = Inbound()
    async with running(bench.adapter, inbound):
        await inbound.named("before.mp3")
    bench.restart()
    await bench.share("between.mp3", b"later")
    async with running(bench.adapter, inbound):
        await inbound.named("before.mp3", "between.mp3")
    assert len(inbound.recordings) == 2


async def test_fetch_brings_exactly_the_bytes(bench: Bench, tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    job = await shared(bench, data=data)
    into = tmp_path / "fetched"
    await bench.adapter.fetch(job.recording, into)
    assert into.read_bytes() == data


async def test_fetch_of_what_is_gone_tells_the_sharer(bench: Bench, tmp_path: Path) -> None:
    job = await shared(bench)
    await bench.withdraw("meeting.mp3")
    with pytest.raises(Rejected) as caught:
        await bench.adapter.fetch(job.recording, tmp_path / "fetched")
    assert caught.value.user_message
    assert str(tmp_path) not in caught.value.user_message


async def test_delivery_is_seen_once_however_often_it_is_done(bench: Bench) -> None:
    job = await shared(bench)
    transcript = saying("good morning", job.recording)
    first = await bench.adapter.deliver(transcript, job)
    json.loads(first)
    bench.restart()
    await bench.adapter.deliver(transcript, job)
    await asyncio.gather(*(bench.adapter.deliver(transcript, job) for _ in range(3)))
    [text] = await bench.outputs()
    assert "good morning" in text
    assert await bench.failures() == []


async def test_a_failure_is_told_once(bench: Bench) -> None:
    job = await shared(bench)
    json.loads(await bench.adapter.report_failure(job, "There is no sound in it. Record it anew."))
    bench.restart()
    await bench.adapter.report_failure(job, "There is no sound in it. Record it anew.")
    [text] = await bench.failures()
    assert "There is no sound in it. Record it anew." in text
    assert await bench.outputs() == []


async def test_two_shares_are_answered_apart(bench: Bench) -> None:
    inbound = Inbound()
    async with running(bench.adapter, inbound):
        await bench.share("one.mp3", b"1")
        await bench.share("two.mp3", b"2")
        one, two = await inbound.named("one.mp3", "two.mp3")
    await bench.adapter.deliver(saying("text of one", one), Job(id="j1", recording=one))
    await bench.adapter.deliver(saying("text of two", two), Job(id="j2", recording=two))
    texts = await bench.outputs()
    assert len(texts) == 2
    assert any("text of one" in text for text in texts)
    assert any("text of two" in text for text in texts)


async def test_progress_never_fails(bench: Bench) -> None:
    job = await shared(bench)
    for stage in Stage:
        for fraction in (None, 0.0, 0.5, 1.0):
            await bench.adapter.progress(job, stage, fraction)


@pytest.mark.parametrize(
    "name", ["a...mp3", "a\nb\t.mp3", "-rf *.mp3", "x" * 240 + ".mp3", "é\u202e🎙.mp3", "{}.mp3"]
)
async def test_hostile_names_are_only_names(bench: Bench, tmp_path: Path, name: str) -> None:
    before = {path for path in tmp_path.rglob("*") if path.is_dir()}
    inbound = Inbound()
    async with running(bench.adapter, inbound):
        await bench.share(name, b"bytes")
        [recording] = await inbound.first(1)
    await bench.adapter.deliver(saying("hello", recording), Job(id="j", recording=recording))
    assert len(await bench.outputs()) == 1
    assert {path for path in tmp_path.rglob("*") if path.is_dir()} == before


async def test_it_stops_when_it_is_cancelled(bench: Bench) -> None:
    task = asyncio.create_task(bench.adapter.run(Inbound()))
    await asyncio.sleep(0.05)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=PATIENCE)
    assert done
    assert task.cancelled()


async def test_it_says_that_it_is_ready(bench: Bench) -> None:
    readiness = await bench.adapter.check()
    assert readiness.usable, readiness
