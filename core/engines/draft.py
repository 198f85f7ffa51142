"""The `draft` engine: works with nothing but installed packages, and says that its text is a guess.

pocketsphinx hears English words in parallel child processes; a weight-free clustering of voices tells
speakers apart in another one, at the same time. No account, no download, no GPU.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Mapping, Sequence
from typing import Any

from core.child import ONE_THREAD, Child, ChildDied, ChildFailed
from core.engines import machine
from core.engines.speech import Span, vad_model
from core.errors import Rejected, Transient
from core.model import Audio, Diarization, Hints, Recognition, SpeakerTurn, Word
from core.ports import Capabilities, Diarizer, Engine, Readiness, Report, Transcriber
from core.settings import Settings

_PACKAGES = {
    "faster_whisper": "faster-whisper",
    "onnxruntime": "onnxruntime",
    "pocketsphinx": "pocketsphinx",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
}
_EXTRA = "Install the extra: pip install 'erni-audio[draft]'."
_RECOGNISER_BYTES = 256 * 2**20  # seen: 175 MB
_MOST_PROCESSES = 16
_BATCH_SECONDS = 30.0
_PLANNING = 0.1  # of the whole recognition's progress

OTHER_LANGUAGE = (
    "This recording is marked as being in another language, and the draft recogniser knows English only. "
    "For other languages fetch the local models (`erni-audio models fetch`) or set up an account engine; "
    "if it is in English after all, set the language to `en`."
)
LANGUAGE_UNKNOWN = (
    "The draft recogniser knows English only and can't notice another language: if something else is spoken "
    "here, this text means nothing."
)
VOCABULARY_UNUSED = "The vocabulary is not used by the draft engine."


def create(settings: Settings) -> Engine:  # noqa: ARG001  (every engine is made from the settings)
    """The engine; it has no settings of its own."""
    return DraftEngine()


class DraftEngine:
    """Both halves and their child processes."""

    name = "draft"
    draft = True

    def __init__(self) -> None:
        self._transcriber = DraftTranscriber()
        self._diarizer = DraftDiarizer()

    @property
    def transcriber(self) -> Transcriber:
        return self._transcriber

    @property
    def diarizer(self) -> Diarizer:
        return self._diarizer

    async def check(self) -> Readiness:
        """Whether the packages are installed; imports none of them."""
        absent = [name for module, name in _PACKAGES.items() if importlib.util.find_spec(module) is None]
        if not absent and await asyncio.to_thread(vad_model) is None:
            absent = ["the speech detector that faster-whisper ships"]
        if absent:
            return Readiness(usable=False, reason=f"not installed: {', '.join(absent)}", remedy=_EXTRA)
        return Readiness(usable=True, reason="English only; its text and its speakers are guesses")

    async def close(self) -> None:
        """End all child processes."""
        await asyncio.gather(self._transcriber.close(), self._diarizer.close())


def english(languages: Sequence[str]) -> bool:
    """Whether English is among the languages that may occur; none named means any. Regions are ignored."""
    return not languages or any(map(_is_english, languages))


def _only_english(languages: Sequence[str]) -> bool:
    return bool(languages) and all(map(_is_english, languages))


def _is_english(language: str) -> bool:
    return language.strip().lower().replace("_", "-").partition("-")[0] in ("en", "eng")


def batches(spans: Sequence[Span], seconds: float = _BATCH_SECONDS) -> list[list[Span]]:
    """`spans` in order, in groups of about `seconds` each: small enough to share and to show progress."""
    groups: list[list[Span]] = []
    filled = seconds
    for start, end in spans:
        if filled + (end - start) / 2 > seconds:
            groups.append([])
            filled = 0.0
        groups[-1].append((start, end))
        filled += end - start
    return groups


async def _call(child: Child, function: str, arguments: Mapping[str, Any], report: Report) -> Any:
    try:
        return await child.call(function, arguments, report=report)
    except ChildDied as error:
        why = " It was killed, most likely for want of memory." if error.signal_number == 9 else ""
        raise Transient(f"A process of the draft engine ended unexpectedly.{why}") from None
    except ChildFailed as error:
        if error.kind == "MemoryError":
            raise Transient("There is not enough memory for the draft engine.") from None
        raise


class _Crew:
    """Child processes that share work, as many as the machine has processors; they end when all is done."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._free: asyncio.Queue[Child] = asyncio.Queue()
        self._users = 0
        self._changing = asyncio.Lock()  # nobody may start in a child that is being ended

    async def __aenter__(self) -> _Crew:
        async with self._changing:
            if not self._children:
                seen = await asyncio.to_thread(machine.probe)
                size = min(seen.cores, seen.memory_bytes // 2 // _RECOGNISER_BYTES, _MOST_PROCESSES)
                self._children = [Child(environment=ONE_THREAD) for _ in range(max(1, size))]
                for child in self._children:
                    self._free.put_nowait(child)
            self._users += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._users -= 1
        async with self._changing:
            if not self._users:
                await self.close()

    async def call(self, function: str, arguments: Mapping[str, Any], report: Report) -> Any:
        """Run the function in the next child that is free."""
        child = await self._free.get()
        try:
            return await _call(child, function, arguments, report)
        finally:
            self._free.put_nowait(child)

    async def close(self) -> None:
        """End the processes; the next call starts them again."""
        await asyncio.gather(*(child.close() for child in self._children))


class DraftTranscriber:
    """pocketsphinx over the stretches of speech, in as many processes as there are processors."""

    name = "pocketsphinx"
    capabilities = Capabilities(word_times=True, languages=frozenset({"en"}), takes_vocabulary=False)

    def __init__(self) -> None:
        self._crew = _Crew()

    async def transcribe(self, audio: Audio, hints: Hints, report: Report) -> Recognition:
        """The words of `audio.path`, lower case and without punctuation. No speech gives no words.

        Raises Rejected if the languages that may occur leave out English, Transient if a process dies.
        """
        if not english(hints.languages):
            raise Rejected(OTHER_LANGUAGE)
        path = os.fspath(audio.path)
        async with self._crew as crew:
            planned = await crew.call(
                "core.engines.sphinx:plan", {"path": path}, lambda fraction: report(_PLANNING * fraction)
            )
            groups = batches([(start, end) for start, end in planned])
            progress = _Progress(groups, report)
            try:
                async with asyncio.TaskGroup() as tasks:
                    found = [
                        tasks.create_task(
                            crew.call(
                                "core.engines.sphinx:recognise",
                                {"path": path, "spans": group},
                                progress.of(index),
                            )
                        )
                        for index, group in enumerate(groups)
                    ]
            except BaseExceptionGroup as several:
                raise several.exceptions[0] from None
        report(1.0)
        words = tuple(
            Word(start=start, end=end, text=text, confidence=confidence)
            for task in found
            for start, end, text, confidence in task.result()
        )
        warnings = [] if not words or _only_english(hints.languages) else [LANGUAGE_UNKNOWN]
        if hints.vocabulary:
            warnings.append(VOCABULARY_UNUSED)
        return Recognition(words=words, languages=("en",) if words else (), warnings=tuple(warnings))

    async def close(self) -> None:
        """End the child processes."""
        await self._crew.close()


class _Progress:
    """One finished fraction from those of all groups, weighted by their seconds of speech."""

    def __init__(self, groups: Sequence[Sequence[Span]], report: Report) -> None:
        self._seconds = [sum(end - start for start, end in group) for group in groups]
        self._total = sum(self._seconds) or 1.0
        self._done = [0.0] * len(groups)
        self._finished = 0.0
        self._report = report

    def of(self, index: int) -> Report:
        """What the group at `index` reports to."""

        def report(fraction: float) -> None:
            gained = max(0.0, fraction - self._done[index])
            self._done[index] += gained
            self._finished += gained * self._seconds[index] / self._total
            self._report(_PLANNING + (1 - _PLANNING) * min(1.0, self._finished))

        return report


class DraftDiarizer:
    """Clustering of voices without weights, in a child process."""

    name = "weight-free clustering"
    capabilities = Capabilities(word_times=False, takes_languages=False, takes_vocabulary=False)

    def __init__(self) -> None:
        self._child = Child(environment=ONE_THREAD)

    async def diarize(self, audio: Audio, hints: Hints, report: Report) -> Diarization:
        """The speaker turns of `audio.path`, one at a time, named S1, S2, ... in order of first appearance.

        Honours the bounds on the number of speakers as far as there is speech for so many, up to 32. Raises
        Transient if the process dies.
        """
        turns = await _call(
            self._child,
            "core.engines.clustering:diarize",
            {
                "path": os.fspath(audio.path),
                "min_speakers": hints.min_speakers,
                "max_speakers": hints.max_speakers,
            },
            report,
        )
        return Diarization(
            turns=tuple(
                SpeakerTurn(start=start, end=end, speaker=f"S{number + 1}") for start, end, number in turns
            )
        )

    async def close(self) -> None:
        """End the child process."""
        await self._child.close()
