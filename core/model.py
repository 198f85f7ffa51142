"""The nouns of the service: frozen, keyword-only, without behaviour that needs I/O.

Times within a recording are seconds as `float`; points in time are UTC-aware `datetime`s; sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How recordings of one channel or folder are to be treated.

    `languages` are ISO 639-1 codes that may occur (empty: detect). `vocabulary` holds names and terms that
    the recogniser should expect. Speaker bounds are inclusive (None: count automatically). `formats` are
    names from `core.registry.FORMATS`. `method` names one of `core.registry.METHODS` (None: the service's
    chain). `tenant` is what concurrency and budgets are limited by: a workspace, an account, a folder.
    `workspace` is whose known voices may be named (see `core.voices`); empty: nobody's. `retention_days`
    bounds how long the service keeps the transcript (None: the service's own bound).
    """

    languages: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    min_speakers: int | None = None
    max_speakers: int | None = None
    formats: tuple[str, ...] = ("md", "srt", "json")
    method: str | None = None
    tenant: str = "default"
    workspace: str = ""
    retention_days: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One share of one file.

    `follows` names the stored transcript without speakers (a result key) that this recording is worked on
    once more for: only its speakers are wanted, and its sharer, who has the text, is told of no failure.

    `key` names this *share* (platform, place, file, and in folders its content): a share is handled once.
    `content_key` names the *bytes*: the vendor's id and revision, or `sha256:<hex>`; it is replaced by the
    SHA-256 once downloaded, so a file shared in two places is recognised once and delivered twice.
    `door` names the adapter instance that can fetch and answer it: the platform, or `folder@<node>` for a
    folder that only one machine sees. `address` is JSON that only its adapter reads. `size` is the number of
    bytes that the platform announced, None where it announced none. `shared_by` is an opaque platform id.
    """

    key: str
    content_key: str
    platform: str
    door: str
    address: str
    name: str
    media_type: str | None = None
    size: int | None = None
    shared_by: str | None = None
    shared_at: datetime
    policy: Policy = field(default_factory=Policy)
    follows: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """Decoded audio on disk.

    `path` is a mono 16 kHz 16-bit PCM WAV file of `seconds`. Where the source's channels carry different
    speakers, `channels` holds one such file for each of them, in order; else it is empty. `warnings` are
    sentences for the reader, such as that the file ended early.
    """

    path: Path
    seconds: float
    channels: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerTurn:
    """A stretch in which `speaker` talks, from `start` to `end` seconds. Turns may overlap."""

    start: float
    end: float
    speaker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One recognised word with its punctuation. `confidence` is 0..1; None where the engine gives none."""

    start: float
    end: float
    text: str
    confidence: float | None = None
    speaker: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """Words that one speaker says in one go. `speaker` is the label shown to people, None if unknown.

    `overlap` says that another speaker talks at the same time during part of it; `gap` that nothing could be
    recognised here, and the words say just that.
    """

    speaker: str | None
    start: float
    end: float
    words: tuple[Word, ...]
    overlap: bool = False
    gap: bool = False

    @property
    def text(self) -> str:
        """The words, joined by single spaces."""
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """Who said what when in the recording named by `content_key`.

    `languages` are ISO 639-1 codes, the most spoken first; `engine` says which engines made it, for the
    operator; `draft` marks text that is a guess and must be shown as such; `warnings` are sentences for the
    reader. `names` maps speaker labels used in the utterances to people's names where they are known;
    `suggestions` maps labels to names that a voice may belong to: shown as "perhaps", never as a claim.
    `unlabelled`: telling the speakers apart failed, and a later try may add them.
    """

    content_key: str
    languages: tuple[str, ...]
    seconds: float
    utterances: tuple[Utterance, ...]
    engine: str
    draft: bool = False
    warnings: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    suggestions: Mapping[str, str] = field(default_factory=dict)
    unlabelled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What is known before listening; engines use what they can. Fields as in `Policy`."""

    languages: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    min_speakers: int | None = None
    max_speakers: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition:
    """What a transcriber heard: words in order of start time, and the languages it took them to be in.

    A transcriber without word times (`Capabilities.word_times`) leaves `words` empty and gives `text`. `gaps`
    are stretches (start, end in seconds) that could not be recognised: shown to the reader, never silent.
    """

    words: tuple[Word, ...]
    text: str = ""
    gaps: tuple[tuple[float, float], ...] = ()
    languages: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Diarization:
    """Who spoke when, in order of start time. `overlapping` says whether turns may overlap at all."""

    turns: tuple[SpeakerTurn, ...]
    overlapping: bool = False
    warnings: tuple[str, ...] = ()


class Stage(StrEnum):
    """Where a job is, in words that progress displays translate."""

    QUEUED = "queued"
    FETCHING = "fetching"
    DECODING = "decoding"
    RECOGNISING = "recognising"
    WRITING = "writing"
    DELIVERING = "delivering"


class JobState(StrEnum):
    """The life of a job record. DONE, FAILED and CANCELLED are final."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"  # for another job that is recognising the same bytes
    DELIVERING = "delivering"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One accepted recording on its way. `id` is short, safe in logs and file names, and derived from the
    recording's key; `attempt` counts the claims so far, this one included."""

    id: str
    recording: Recording
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job record as people and adapters look at it. `result` is the key of its transcript in the store."""

    job: Job
    state: JobState
    stage: str
    fraction: float | None
    message: str
    receipt: str | None
    submitted_at: datetime
    finished_at: datetime | None
    result: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """That `job_id` was answered `at` some time; `receipt` is JSON that only the adapter reads."""

    job_id: str
    at: datetime
    receipt: str
