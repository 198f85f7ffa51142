"""Fakes of the ports, for tests of this project and of extensions."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from core.errors import Rejected, Transient
from core.model import (
    Audio,
    Delivery,
    Diarization,
    Hints,
    Job,
    JobState,
    JobView,
    Recognition,
    Recording,
    SpeakerTurn,
    Stage,
    Transcript,
    Word,
)
from core.ports import Capabilities, Diarizer, Readiness, Report, Submit, Transcriber
from core.webhooks import KEPT, Addresses


class MemoryStore:
    """A `Store` in memory. Put transcripts and deliveries into the dictionaries directly."""

    def __init__(self) -> None:
        self.transcripts: dict[str, Transcript] = {}
        self.deliveries: dict[str, Delivery] = {}
        self.spaces: dict[str, dict[str, str]] = {}
        self.audited: list[tuple[str, dict[str, str]]] = []
        self._leases: dict[tuple[str, str], tuple[str, float]] = {}

    async def transcript(self, result_key: str) -> Transcript | None:
        return self.transcripts.get(result_key)

    async def delivery(self, job_id: str) -> Delivery | None:
        return self.deliveries.get(job_id)

    async def recall(self, space: str, key: str) -> str | None:
        return self.spaces.get(space, {}).get(key)

    async def remember(self, space: str, key: str, value: str) -> None:
        self.spaces.setdefault(space, {})[key] = value

    async def remember_all(self, space: str, values: Mapping[str, str]) -> None:
        for key, value in values.items():
            await self.remember(space, key, value)

    async def forget(self, space: str, key: str) -> None:
        self.spaces.get(space, {}).pop(key, None)

    async def memories(self, space: str) -> Mapping[str, str]:
        return dict(self.spaces.get(space, {}))

    async def acquire(self, space: str, key: str, seconds: float) -> str | None:
        _, until = self._leases.get((space, key), ("", 0.0))
        if until > time.monotonic():
            return None
        lease = secrets.token_hex(8)
        self._leases[space, key] = lease, time.monotonic() + seconds
        return lease

    async def renew(self, space: str, key: str, lease: str, seconds: float) -> bool:
        known, until = self._leases.get((space, key), ("", 0.0))
        if known != lease or until <= time.monotonic():
            return False
        self._leases[space, key] = lease, time.monotonic() + seconds
        return True

    async def release(self, space: str, key: str, lease: str) -> None:
        if self._leases.get((space, key), ("", 0.0))[0] == lease:
            del self._leases[space, key]

    async def audit(self, event: str, facts: Mapping[str, str]) -> None:
        self.audited.append((event, dict(facts)))


class MemoryJobs:
    """A `Jobs` in memory. `submit` is a `Submit`; put transcripts of jobs into `transcripts` directly."""

    def __init__(self) -> None:
        self.views: dict[str, JobView] = {}
        self.transcripts: dict[str, Transcript] = {}

    async def submit(self, recording: Recording) -> str:
        """A known key is a no-op."""
        job = Job(id=hashlib.sha256(recording.key.encode()).hexdigest()[:20], recording=recording)
        self.views.setdefault(
            job.id,
            JobView(
                job=job,
                state=JobState.QUEUED,
                stage=Stage.QUEUED,
                fraction=None,
                message="",
                receipt=None,
                submitted_at=datetime.now(UTC),
                finished_at=None,
            ),
        )
        return job.id

    async def view(self, job_id: str) -> JobView | None:
        return self.views.get(job_id)

    async def cancel(self, job_id: str) -> bool:
        view = self.views.get(job_id)
        if view is None or view.state in {JobState.DONE, JobState.FAILED, JobState.CANCELLED}:
            return False
        self.views[job_id] = replace(view, state=JobState.CANCELLED)
        return True

    async def transcript(self, job_id: str) -> Transcript | None:
        return self.transcripts.get(job_id)

    async def forget(self, job_id: str) -> None:
        self.transcripts.pop(job_id, None)


class MemoryLinks:
    """A `Links` over a dictionary of files by address."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def covers(self, url: str) -> bool:
        return url in self.files

    async def fetch_link(self, url: str, into: Path) -> None:
        if url not in self.files:
            raise Rejected("No door that is open here knows this link.")
        await asyncio.to_thread(into.write_bytes, self.files[url])


class FakeEngine:
    """An `Engine` that says what it is told to: words, turns, exceptions, delays.

    `words` and `turns` are returned as they are; an exception in `failures` is raised instead, the first one
    by the first call of either half, and so on. Each call waits for `gate` to be set (it is by default).
    `heard` lists the audio and hints of every call.
    """

    draft = False

    def __init__(
        self,
        name: str = "fake",
        *,
        words: Sequence[Word] = (),
        turns: Sequence[SpeakerTurn] = (),
        languages: tuple[str, ...] = ("en",),
        failures: Sequence[BaseException] = (),
        readiness: Readiness | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        self.name = name
        self.capabilities = capabilities or Capabilities(word_times=True)
        self.words = tuple(words)
        self.turns = tuple(turns)
        self.languages = languages
        self.failures = list(failures)
        self.readiness = readiness or Readiness(usable=True)
        self.gate = asyncio.Event()
        self.gate.set()
        self.heard: list[tuple[str, Audio, Hints]] = []
        self.closed = False

    @property
    def transcriber(self) -> Transcriber:
        return self

    @property
    def diarizer(self) -> Diarizer:
        return self

    async def transcribe(self, audio: Audio, hints: Hints, report: Report) -> Recognition:
        await self._answer("transcribe", audio, hints, report)
        inside = tuple(word for word in self.words if word.start < audio.seconds)
        return Recognition(words=inside, languages=self.languages if inside else ())

    async def diarize(self, audio: Audio, hints: Hints, report: Report) -> Diarization:
        await self._answer("diarize", audio, hints, report)
        return Diarization(turns=tuple(turn for turn in self.turns if turn.start < audio.seconds))

    async def check(self) -> Readiness:
        return self.readiness

    async def close(self) -> None:
        self.closed = True

    async def _answer(self, what: str, audio: Audio, hints: Hints, report: Report) -> None:
        self.heard.append((what, audio, hints))
        report(0.0)
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        report(1.0)


class FakeAdapter:
    """An `Adapter` whose platform is a few dictionaries.

    `share` puts a recording there; what was answered is in `outputs` and `failures`, by the recording's key.
    """

    def __init__(self, door: str = "fake") -> None:
        self._door = door
        self._arrived = asyncio.Event()
        self._submitted: set[str] = set()
        self.files: dict[str, bytes] = {}
        self.recordings: dict[str, Recording] = {}
        self.outputs: dict[str, Transcript] = {}
        self.failures: dict[str, str] = {}
        self.stages: list[tuple[str, Stage]] = []

    @property
    def door(self) -> str:
        return self._door

    def share(self, name: str, data: bytes) -> None:
        """Somebody shares a recording of this name."""
        key = f"{self._door}:{name}:{hashlib.sha256(data).hexdigest()}"
        self.files[key] = data
        self.recordings[key] = Recording(
            key=key,
            content_key=f"sha256:{hashlib.sha256(data).hexdigest()}",
            platform="fake",
            door=self._door,
            address="{}",
            name=name,
            size=len(data),
            shared_at=datetime.now(UTC),
        )
        self._arrived.set()

    async def run(self, submit: Submit) -> None:
        while True:
            self._arrived.clear()
            for key, recording in list(self.recordings.items()):
                if key in self._submitted:
                    continue
                try:
                    await submit(recording)
                except Transient:
                    asyncio.get_running_loop().call_later(0.01, self._arrived.set)
                    break
                self._submitted.add(key)
            await self._arrived.wait()

    async def fetch(self, recording: Recording, into: Path) -> None:
        data = self.files.get(recording.key)
        if data is None:
            raise Rejected("This recording is gone. Share it again.")
        if len(data) != recording.size:
            raise Rejected("This recording was replaced while it waited. There is nothing to do.")
        await asyncio.to_thread(into.write_bytes, data)

    async def progress(self, job: Job, stage: Stage, fraction: float | None) -> None:  # noqa: ARG002  (the port)
        self.stages.append((job.id, stage))

    async def deliver(self, transcript: Transcript, job: Job) -> str:
        self.outputs[job.recording.key] = transcript
        return f'{{"job": "{job.id}"}}'

    async def report_failure(self, job: Job, message: str) -> str:
        self.failures[job.recording.key] = message
        return f'{{"job": "{job.id}"}}'

    async def check(self) -> Readiness:
        return Readiness(usable=True)


class MemoryHooks(Addresses):
    """`core.ports.Hooks` within one process."""

    def __init__(self, public_url: str | None, vendors: frozenset[str]) -> None:
        super().__init__(public_url, vendors)
        self._arrived: dict[tuple[str, str], float] = {}
        self._news = asyncio.Condition()

    async def arrived(self, vendor: str, job: str) -> None:
        """A verified hook came."""
        now = time.monotonic()
        async with self._news:
            self._arrived = {key: at for key, at in self._arrived.items() if now - at < KEPT}
            self._arrived[vendor, job] = now
            self._news.notify_all()

    async def wait(self, vendor: str, job: str, seconds: float) -> bool:
        """See `core.ports.Hooks`."""
        key = (vendor, job)
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(lambda: key in self._arrived)
                del self._arrived[key]
        except TimeoutError:
            return False
        return True


class MemoryKept:
    """A `Kept` in memory, without an end of life. `pieces` are the answers by recording and piece."""

    def __init__(self) -> None:
        self.pieces: dict[str, dict[str, bytes]] = {}

    async def find(self, recording: str, pieces: Sequence[str]) -> Mapping[str, bytes]:
        known = self.pieces.get(recording, {})
        return {piece: known[piece] for piece in pieces if piece in known}

    async def keep(self, recording: str, piece: str, answer: bytes, *, seconds: float) -> None:  # noqa: ARG002  (the port)
        self.pieces.setdefault(recording, {})[piece] = answer

    async def drop(self, recording: str) -> None:
        self.pieces.pop(recording, None)
