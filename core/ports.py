"""What the core needs from the outside, as Protocols. No vendor type crosses them.

One contract suite per port (`tests/contracts/`) runs on the fakes in `core.testing` and on every real
implementation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from core.model import (
    Audio,
    Delivery,
    Diarization,
    Hints,
    Job,
    JobView,
    Recognition,
    Recording,
    Stage,
    Transcript,
)
from core.settings import Settings

if TYPE_CHECKING:
    from aiohttp.web import AbstractRouteDef

Report = Callable[[float], None]
"""Takes the finished fraction, 0..1, from the event loop's thread. Cheap: may be called often."""

Submit = Callable[[Recording], Awaitable[str]]
"""Accepts a share durably and returns its job id. A known key is a no-op, so calling twice is harmless. A
recording that is refused is answered through `report_failure` like any other failure; submit does not raise
for it. Raises `Transient` if the store can't be reached: nothing was accepted then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether a part can do its work now; if not, why, and what the operator should do. `absent`: nobody set
    it up, which is no fault. `for_log` stands for reason and remedy where they name what people named."""

    usable: bool
    reason: str = ""
    remedy: str = ""
    absent: bool = False
    for_log: str = ""


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


@runtime_checkable
class Routed(Protocol):
    """An adapter that is called over HTTP: the routes that it adds to the service's server."""

    def routes(self) -> Sequence[AbstractRouteDef]: ...


@runtime_checkable
class Prepared(Protocol):
    """An adapter that has something to get ready before its routes are called."""

    def prepared(self) -> AbstractAsyncContextManager[None]:
        """Entered before the service listens and says that it runs, left when it does no more. What can't be
        got ready now is no error: `check` says so, and it is tried again."""
        ...


@runtime_checkable
class Linked(Protocol):
    """An adapter that can fetch what a link of its platform points to. Whoever can post a link gets a
    transcript of it, so it hands out only what anybody with the link may read, and more only where the
    operator's settings say so."""

    def covers(self, url: str) -> bool:
        """Whether `url` is a link of this platform. Cheap."""
        ...

    async def fetch_link(self, url: str, into: Path) -> None:
        """Stream the file behind `url` to `into`. Raises as `Adapter.fetch`."""
        ...


class Links(Protocol):
    """The open doors' `Linked` adapters as one, for recordings that are shared as links to somewhere else."""

    def covers(self, url: str) -> bool:
        """Whether a door that is open here can fetch `url`."""
        ...

    async def fetch_link(self, url: str, into: Path) -> None:
        """See `Linked`. Raises Rejected if no door that is open here knows the link."""
        ...


class Jobs(Protocol):
    """What people may ask of accepted recordings after `submit`."""

    async def view(self, job_id: str) -> JobView | None:
        """How a job is, None if it is unknown (any more)."""
        ...

    async def cancel(self, job_id: str) -> bool:
        """Stop it. False: it was over, or unknown."""
        ...

    async def transcript(self, job_id: str) -> Transcript | None:
        """What a job led to, None while there is nothing or if it is not kept any more."""
        ...

    async def forget(self, job_id: str) -> None:
        """Drop the job's transcript from the store, what would still be added to it, and what the record of a
        finished job says of people; a delivery of the transcript that is owed elsewhere is still made."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a transcriber or diarizer can do and how it wants to be asked, as data. Limits None mean none.

    `word_times`: words come with times; else it gives text only and is fed one speaker turn at a time.
    `labels_speakers`: its words carry speakers (labels restart with every request). `languages` are those it
    knows (ISO 639-1); empty means any. `max_seconds` and `max_bytes` bound one request. `upload` is what a
    request's audio is encoded to, a key of `core.uploads.CONTAINERS`; empty means that it reads decoded
    audio itself. `concurrency` and `per_minute` bound the requests of one `account` at a vendor (an opaque id
    without secrets, empty for engines without one), over all workers. `price` is a key of
    `core.engines.prices.PRICES`. `takes_...` say which hints it can use.
    """

    word_times: bool
    labels_speakers: bool = False
    languages: frozenset[str] = frozenset()
    max_seconds: float | None = None
    max_bytes: int | None = None
    upload: str = ""
    concurrency: int = 1
    per_minute: int | None = None
    account: str = ""
    price: str = ""
    takes_languages: bool = True
    takes_vocabulary: bool = True
    takes_speakers: bool = True


class Transcriber(Protocol):
    """Hears words."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def transcribe(self, audio: Audio, hints: Hints, report: Report) -> Recognition:
        """The words of `audio.path`, which is decoded audio or, where `capabilities.upload` says so, a file
        of that kind within the limits of one request. Raises Rejected (a language it can't do), Transient,
        AuthFailed or QuotaExhausted."""
        ...


@runtime_checkable
class Probing(Protocol):
    """A transcriber that must ask its server before it knows its own capabilities. Until then only their
    `account`, `concurrency` and `per_minute` are right."""

    @property
    def prepared(self) -> bool:
        """Whether `prepare` has nothing to ask now."""
        ...

    async def prepare(self) -> None:
        """Called like a request, before `capabilities` is read for a recording, unless it is `prepared`.
        Raises as `transcribe` does."""
        ...


class Diarizer(Protocol):
    """Hears who speaks when."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def diarize(self, audio: Audio, hints: Hints, report: Report) -> Diarization:
        """The speaker turns of `audio.path` (see `Transcriber.transcribe`). Raises Rejected, Transient,
        AuthFailed or QuotaExhausted."""
        ...


class Hooks(Protocol):
    """Webhooks of vendors, to whichever process waits for them. A hook is only a nudge: what it says is not
    believed, the vendor is asked. So a forged, doubled, early or missing one does no harm."""

    def url(self, vendor: str) -> str | None:
        """Where `vendor` is to call, None if this service has no public address or no secret for it."""
        ...

    async def wait(self, vendor: str, job: str, seconds: float) -> bool:
        """Until a verified hook for the vendor's `job` has come, before or now, or `seconds` have passed;
        whether one came. Each hook is reported once."""
        ...


class Accounts(Protocol):
    """Limits, trouble and money at vendors, shared by all workers on one store."""

    def permit(
        self, account: str, *, concurrency: int, per_minute: int | None
    ) -> AbstractAsyncContextManager[None]:
        """A place among the account's requests; waits for one, and while the account is paused. Places of
        processes that died come free by themselves."""
        ...

    async def pause(self, account: str, seconds: float) -> None:
        """The vendor asked everybody to wait (429 with Retry-After)."""
        ...

    async def resting(self, engine: str) -> float:
        """Seconds for which `engine` is not to be used because it kept failing; 0 if it may be."""
        ...

    async def worked(self, engine: str) -> None:
        """It answered: forget its failures."""
        ...

    async def failed(self, engine: str) -> None:
        """It failed through its own fault; after several in a row it rests for everybody."""
        ...

    async def undecided(self, engine: str) -> None:
        """Who was let in by `resting` did not find out how it does (its work was cancelled, say): if that was
        the one try after a rest, somebody else has it now. Changes nothing for an engine in use."""
        ...

    async def reserve(self, tenant: str, engine: str, price: str, seconds: float) -> str:
        """Set aside what `seconds` of audio will cost, before spending; a receipt for `settle`. Raises
        OverBudget, politely, if the month's budget does not allow it."""
        ...

    async def settle(self, receipt: str, seconds: float) -> None:
        """Book what was really sent to the vendor, seconds of audio; 0 books nothing. Safe to repeat."""
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


@runtime_checkable
class Hooked(Protocol):
    """An engine that can be told by webhook that a job is done."""

    def use_hooks(self, hooks: Hooks) -> None: ...


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

    async def remember_all(self, space: str, values: Mapping[str, str]) -> None:
        """Keep several values by key, at once."""
        ...

    async def forget(self, space: str, key: str) -> None:
        """Drop it; unknown keys are fine."""
        ...

    async def memories(self, space: str) -> Mapping[str, str]:
        """Everything remembered in `space`."""
        ...

    async def acquire(self, space: str, key: str, seconds: float) -> str | None:
        """A lease on `key` in `space` for `seconds`, over all processes on the store; None while somebody
        has it. It ends by itself, so that a process that dies holds nothing up."""
        ...

    async def renew(self, space: str, key: str, lease: str, seconds: float) -> bool:
        """Let a lease end only in `seconds` from now. False: it ran out before."""
        ...

    async def release(self, space: str, key: str, lease: str) -> None:
        """End a lease early; one that ran out, and may be somebody else's by now, is left alone."""
        ...

    async def audit(self, event: str, facts: Mapping[str, str]) -> None:
        """Append to the audit log: who shared, what was fetched, delivered, deleted. Ids and counts only."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterContext:
    """What every adapter's `create` is given. `node_id` names this machine among those that share a store,
    and stays the same over restarts; `methods` tells the recognition methods that can run, as far as this
    process knows, once it has started."""

    settings: Settings
    store: Store
    jobs: Jobs
    links: Links
    node_id: str
    methods: Callable[[], tuple[str, ...]] = tuple


class Kept(Protocol):
    """What was paid for on the way to a transcript, for the recording's next attempt, over all workers on one
    store. None of it raises: a store that does not answer is only logged, and the next attempt pays again."""

    async def find(self, recording: str, pieces: Sequence[str]) -> Mapping[str, bytes]:
        """Those of the `pieces` of `recording` (a content key) that are kept."""
        ...

    async def keep(self, recording: str, piece: str, answer: bytes, *, seconds: float) -> None:
        """Keep `answer` for `seconds` at most; less where room is short or the recording's first one goes
        sooner."""
        ...

    async def drop(self, recording: str) -> None:
        """Forget all pieces of `recording`; an unknown one is fine."""
        ...
