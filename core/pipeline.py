"""One recording from bytes to transcript. Its delivery follows from the outbox (`core.worker`)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from core.attribution import attribute, label_speakers, merge_channels
from core.child import ChildDied, ChildFailed
from core.errors import AuthFailed, Misconfigured, Rejected, Transient
from core.media import decode
from core.model import Audio, Diarization, Hints, Policy, Recognition, Recording, Stage, Transcript, Utterance
from core.ports import Diarizer, Transcriber
from core.settings import Settings

logger = logging.getLogger(__name__)

T = TypeVar("T")

Progress = Callable[[Stage, float | None], None]
"""Takes the stage and its finished fraction (None if unknown). Cheap: may be called often."""

_ENGINE_TROUBLE = (Transient, AuthFailed, Misconfigured, ChildDied, ChildFailed, TimeoutError, OSError)
"""What an engine may raise through no fault of the recording: the next method is tried."""

_TRANSCRIBING_SHARE = 0.8  # of the work of recognition, for one progress bar over both halves


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A method ready to run: who hears the words and who hears the speakers."""

    method: str
    transcriber: Transcriber
    diarizer: Diarizer
    draft: bool


def hints_of(policy: Policy) -> Hints:
    """What a policy tells the engines."""
    return Hints(
        languages=policy.languages,
        vocabulary=policy.vocabulary,
        min_speakers=policy.min_speakers,
        max_speakers=policy.max_speakers,
    )


def result_key(content_key: str, policy: Policy, methods: Sequence[str]) -> str:
    """Under which a transcript is kept: the bytes and everything that changes what is recognised in them."""
    parts = [
        content_key,
        sorted(policy.languages),
        sorted(policy.vocabulary),
        policy.min_speakers,
        policy.max_speakers,
        list(methods),
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
    work: Path,
    progress: Progress,
    decoded: Callable[[Audio], Awaitable[None]] | None = None,
    fell_back: Callable[[str, str], None] = lambda _failed, _took_over: None,
) -> Transcript:
    """A file of any media type to its transcript. `work` is a directory for decoded audio, `name` what the
    sharer calls the file; `decoded` is called once the length is known and may raise to stop; `fell_back` is
    told which method failed and which one did it instead.

    Raises Rejected with a message for the sharer, Transient, AuthFailed or Misconfigured.
    """
    progress(Stage.DECODING, 0.0)
    audio = await decode(
        source,
        work,
        settings=settings,
        report=lambda fraction: progress(Stage.DECODING, fraction),
        announced_name=name,
    )
    if decoded is not None:
        await decoded(audio)
    return await listen(
        audio,
        content_key=content_key,
        hints=hints_of(policy),
        listeners=listeners,
        progress=progress,
        fell_back=fell_back,
    )


async def listen(
    audio: Audio,
    *,
    content_key: str,
    hints: Hints,
    listeners: Sequence[Listener],
    progress: Progress,
    fell_back: Callable[[str, str], None],
) -> Transcript:
    """Recognise with the first method that works. Raises what the first one raised if none does."""
    if not listeners:
        raise Misconfigured("No recognition method can run here. `erni-audio doctor` says why.")
    failed: list[str] = []
    failure: Exception | None = None
    for listener in listeners:
        try:
            heard = await _hear(audio, hints, listener, progress)
        except (Rejected, *_ENGINE_TROUBLE) as error:
            logger.warning("method %s failed: %s", listener.method, type(error).__name__)
            failed.append(listener.method)
            # The best method's word counts: if it had a passing trouble, a lesser one's refusal is not final.
            failure = failure or error
            continue
        for method in failed:
            fell_back(method, listener.method)
        troubles = [f"The method `{method}` failed, so `{listener.method}` was used." for method in failed]
        return Transcript(
            content_key=content_key,
            languages=heard.languages,
            seconds=audio.seconds,
            utterances=heard.utterances,
            engine=heard.engine,
            draft=listener.draft,
            warnings=(*audio.warnings, *troubles, *heard.warnings),
        )
    raise failure or Misconfigured("No recognition method ran.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    utterances: tuple[Utterance, ...]
    languages: tuple[str, ...]
    engine: str
    warnings: tuple[str, ...]


async def _hear(audio: Audio, hints: Hints, listener: Listener, progress: Progress) -> _Heard:
    progress(Stage.RECOGNISING, 0.0)
    if audio.channels:
        return await _hear_channels(audio, hints, listener, progress)
    shares = [0.0, 0.0]

    def share(index: int) -> Callable[[float], None]:
        def report(fraction: float) -> None:
            shares[index] = max(shares[index], min(1.0, fraction))
            done = _TRANSCRIBING_SHARE * shares[0] + (1 - _TRANSCRIBING_SHARE) * shares[1]
            progress(Stage.RECOGNISING, done)

        return report

    async with asyncio.TaskGroup() as tasks:
        hearing = tasks.create_task(_settled(listener.transcriber.transcribe(audio, hints, share(0))))
        telling = tasks.create_task(_settled(listener.diarizer.diarize(audio, hints, share(1))))
        if isinstance(await hearing, Exception):
            telling.cancel()  # without words there is nobody to give them to
    words = hearing.result()
    if isinstance(words, Exception):
        raise words
    turns = telling.result()
    progress(Stage.WRITING, None)
    names = [listener.transcriber.name]
    warnings = list(words.warnings)
    if isinstance(turns, Exception):
        # Text is never lost because the speakers could not be told apart.
        logger.warning("diarizer %s failed: %s", listener.diarizer.name, type(turns).__name__)
        warnings.append("The speakers could not be told apart, so the text stands without them.")
        turns = Diarization(turns=())
    else:
        names.append(listener.diarizer.name)
        warnings.extend(turns.warnings)
    utterances = await asyncio.to_thread(_attributed, words, turns)
    return _Heard(
        utterances=utterances,
        languages=words.languages,
        engine=" + ".join(dict.fromkeys(names)),
        warnings=tuple(dict.fromkeys(warnings)),
    )


async def _hear_channels(audio: Audio, hints: Hints, listener: Listener, progress: Progress) -> _Heard:
    """Each channel is one speaker, so the labels are right by construction and nobody talks over anybody."""
    heard: list[Recognition] = []
    for index, path in enumerate(audio.channels):

        def report(fraction: float, done: int = index) -> None:
            progress(Stage.RECOGNISING, (done + fraction) / len(audio.channels))

        channel = Audio(path=path, seconds=audio.seconds)
        heard.append(await listener.transcriber.transcribe(channel, hints, report))
    progress(Stage.WRITING, None)
    utterances = await asyncio.to_thread(
        lambda: label_speakers(merge_channels([recognition.words for recognition in heard]))
    )
    return _Heard(
        utterances=utterances,
        languages=tuple(dict.fromkeys(language for each in heard for language in each.languages)),
        engine=f"{listener.transcriber.name} per channel",
        warnings=tuple(dict.fromkeys(warning for each in heard for warning in each.warnings)),
    )


def _attributed(words: Recognition, turns: Diarization) -> tuple[Utterance, ...]:
    return label_speakers(attribute(words.words, turns.turns, overlapping=turns.overlapping))


async def _settled(work: Awaitable[T]) -> T | Exception:
    """The result or the error, so that one half failing leaves the other half running."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001  (handed on as a value; the caller decides)
        return error


_BYTES_PER_SECOND = 16_000  # 128 kbit/s, what phones, meetings and music players write
_VIDEO_BYTES_PER_SECOND = 120_000


def is_long(recording: Recording, long_seconds: float) -> bool:
    """A guess from the announced size; the decoder knows better, and the job is moved if this was wrong."""
    if recording.size is None:
        return False
    video = (recording.media_type or "").startswith("video/")
    return recording.size / (_VIDEO_BYTES_PER_SECOND if video else _BYTES_PER_SECOND) >= long_seconds
