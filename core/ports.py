"""What the core needs from the outside, as Protocols. No vendor type crosses them.

One contract suite per port (`tests/contracts/`) runs on the fakes in `core.testing` and on every real
implementation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from core.model import Audio, Delivery, Diarization, Hints, Job, Recognition, Recording, Stage, Transcript
from core.settings import Settings

Report = Callable[[float], None]
"""Takes the finished fraction, 0..1, from the event loop's thread. Cheap: may be called often."""

Submit = Callable[[Recording], Awaitable[str]]
"""Accepts a share durably and returns its job id. A known key is a no-op, so calling twice is harmless. A
recording that is refused is answered through `report_failure` like any other failure; submit does not raise
for it. Raises `Transient` if the store can't be reached: nothing was accepted then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether a part can do its work now; if not, why, and what the operator should do."""

    usable: bool
    reason: str = ""
    remedy: str = ""


class Adapter(Protocol):
    """A front door and its way back."""

    @property
    def door(self) -> str:
        """The door id that this instance's recordings carry."""
        ...

    async def run(self, submit: Submit) -> None:
        """Watch or listen until cancelled. A cursor is saved only after every submit before it returned."""
        ...

    async def fetch(self, recording: Recording, into: Path) -> None:
        """Stream the recording's bytes to the file `into`, and check the size that was announced.

        Raises Rejected (gone, not media, too big), Transient or AuthFailed.
        """
        ...

    async def progress(self, job: Job, stage: Stage, fraction: float | None) -> None:
        """Show how far it is, where the platform has a place for it. Best effort; may be called often."""
        ...

    async def deliver(self, transcript: Transcript, job: Job) -> str:
        """Put the transcript where the recording was shared; return a receipt (JSON).

        Idempotent: called again for the same job, also after a crash half-way, it leaves one set of outputs.
        """
        ...

    async def report_failure(self, job: Job, message: str) -> str:
        """Tell the sharer, in the same place, why there is no transcript. Idempotent, returns a receipt."""
        ...

    async def check(self) -> Readiness:
        """Whether credentials and places work, without changing anything."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """What a front door tells the operator at the start, as halves of sentences without a stop: where to
    `share` a recording ("Drop a recording into /home/ada/inbox") and what the `answer` is then ("the
    transcript is put beside it as NAME.transcript.md, .srt and .json")."""

    share: str
    answer: str


@runtime_checkable
class Welcoming(Protocol):
    """An adapter that can say so; others are introduced by their platform's name."""

    def welcome(self) -> Welcome: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a transcriber can do, as data. `languages` empty means any; limits None mean none."""

    word_times: bool
    labels_speakers: bool = False
    languages: frozenset[str] = frozenset()
    max_seconds: float | None = None
    max_bytes: int | None = None
    price_per_minute: float = 0.0


class Transcriber(Protocol):
    """Hears words."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def transcribe(self, audio: Audio, hints: Hints, report: Report) -> Recognition:
        """The words of `audio.path`. Raises Rejected (a language it can't do), Transient or AuthFailed."""
        ...


class Diarizer(Protocol):
    """Hears who speaks when."""

    @property
    def name(self) -> str: ...

    async def diarize(self, audio: Audio, hints: Hints, report: Report) -> Diarization:
        """The speaker turns of `audio.path`. Raises Rejected, Transient or AuthFailed."""
        ...


class Engine(Protocol):
    """One provider: a transcriber, a diarizer or both, sharing its processes and credentials."""

    @property
    def name(self) -> str: ...

    @property
    def draft(self) -> bool:
        """Whether its text is a guess that must be shown as such."""
        ...

    @property
    def transcriber(self) -> Transcriber | None: ...

    @property
    def diarizer(self) -> Diarizer | None: ...

    async def check(self) -> Readiness:
        """Whether it can run now; cheap, loads no model."""
        ...

    async def close(self) -> None:
        """End its child processes and connections."""
        ...


class Store(Protocol):
    """What outlives a process, besides jobs: transcripts, what adapters remember, the audit log."""

    async def transcript(self, result_key: str) -> Transcript | None:
        """The finished transcript under `core.pipeline.result_key`, None if there is none (any more)."""
        ...

    async def delivery(self, job_id: str) -> Delivery | None:
        """That and how a job was answered, None if it was not yet."""
        ...

    async def recall(self, space: str, key: str) -> str | None:
        """What was remembered under `key` in `space`, such as a cursor or the digest of a file written."""
        ...

    async def remember(self, space: str, key: str, value: str) -> None:
        """Keep `value` durably; a later value replaces it."""
        ...

    async def forget(self, space: str, key: str) -> None:
        """Drop it; unknown keys are fine."""
        ...

    async def memories(self, space: str) -> Mapping[str, str]:
        """Everything remembered in `space`."""
        ...

    async def audit(self, event: str, facts: Mapping[str, str]) -> None:
        """Append to the audit log: who shared, what was fetched, delivered, deleted. Ids and counts only."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterContext:
    """What every adapter's `create` is given. `node_id` names this machine among those that share a store,
    and stays the same over restarts."""

    settings: Settings
    store: Store
    node_id: str
