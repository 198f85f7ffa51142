"""One recording from bytes to transcript. Its delivery follows from the outbox (`core.worker`)."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from core.hearing import Listener, Progress, listen, tell_speakers
from core.kept import life_seconds
from core.media import decode
from core.model import Audio, Hints, Policy, Recording, Stage, Transcript
from core.settings import Settings
from core.studio import Studio


def hints_of(policy: Policy) -> Hints:
    """What a policy tells the engines."""
    return Hints(
        languages=policy.languages,
        vocabulary=policy.vocabulary,
        min_speakers=policy.min_speakers,
        max_speakers=policy.max_speakers,
    )


def result_key(content_key: str, policy: Policy, methods: Sequence[str], voices: str = "") -> str:
    """Under which a transcript is kept: the bytes and everything that changes what is recognised in them.

    `voices` stands for the voices that are known in the recording's workspace: names of one are no business
    of another.
    """
    parts: list[object] = [
        content_key,
        sorted(policy.languages),
        sorted(policy.vocabulary),
        policy.min_speakers,
        policy.max_speakers,
        list(methods),
        *([voices] if voices else []),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


async def content_key_of(path: Path) -> str:
    """`sha256:<hex>` of a file's bytes."""

    def digest() -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return f"sha256:{await asyncio.to_thread(digest)}"


async def transcribe_file(
    source: Path,
    *,
    name: str,
    content_key: str,
    policy: Policy,
    listeners: Sequence[Listener],
    settings: Settings,
    studio: Studio,
    work: Path,
    progress: Progress,
    decoded: Callable[[Audio], Awaitable[None]] | None = None,
    fell_back: Callable[[str, str], None] = lambda _failed, _took_over: None,
    unlabelled: Transcript | None = None,
) -> tuple[Transcript, Audio]:
    """A file of any media type to its transcript, and the decoded audio in `work`.

    `name` is what the sharer calls the file; `decoded` is called once the length is known and may raise to
    stop; `fell_back` is told which method failed and which one did it instead. With an `unlabelled`
    transcript only its speakers are told.

    Raises Rejected with a message for the sharer, Transient, AuthFailed or Misconfigured.
    """
    progress(Stage.DECODING, 0.0)
    async with studio.decoders:
        audio = await decode(
            source,
            work,
            settings=settings,
            report=lambda fraction: progress(Stage.DECODING, fraction),
            announced_name=name,
        )
    if decoded is not None:
        await decoded(audio)
    hints = hints_of(policy)
    longform = studio.longform(
        work,
        policy.tenant,
        content_key=content_key,
        channels=audio.channels,
        keep_seconds=life_seconds(settings.retention_days, policy.retention_days),
    )
    if unlabelled is not None:
        transcript = await tell_speakers(
            audio,
            unlabelled,
            hints=hints,
            listeners=listeners,
            longform=longform,
            detector=studio.detector,
            progress=progress,
        )
        return transcript, audio
    transcript = await listen(
        audio,
        content_key=content_key,
        hints=hints,
        listeners=listeners,
        longform=longform,
        detector=studio.detector,
        progress=progress,
        fell_back=fell_back,
    )
    return transcript, audio


_BYTES_PER_SECOND = 16_000  # 128 kbit/s, what phones, meetings and music players write
_VIDEO_BYTES_PER_SECOND = 120_000


def is_long(recording: Recording, long_seconds: float) -> bool:
    """A guess from the announced size; the decoder knows better, and the job is moved if this was wrong."""
    if recording.size is None:
        return False
    video = (recording.media_type or "").startswith("video/")
    return recording.size / (_VIDEO_BYTES_PER_SECOND if video else _BYTES_PER_SECOND) >= long_seconds
