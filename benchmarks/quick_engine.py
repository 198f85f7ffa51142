"""A recogniser that costs next to nothing, for measuring everything around recognition.

It hears the same words in the same bytes every time, so outputs can be compared, and as many as a talk of
that length has; each run is noted in the file named by QUICK_LOG (one line per recognition), which tells how
much work was done twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from pathlib import Path

from core.model import Audio, Diarization, Hints, Recognition, SpeakerTurn, Word
from core.ports import Capabilities, Readiness, Report
from core.settings import Settings

_WORDS_PER_SECOND = 2.5
_TURN_SECONDS = 8.0
_SPEAKERS = ("A", "B", "C")
_FEWEST_WORDS = 8
"""Of any recording, so that no two of them read alike."""

_LETTERS = "etaoinshrdlu"


class Hearing:
    """Both halves of recognition. `longest` is the longest time that it pretends to think, seconds."""

    name = "quick"
    capabilities = Capabilities(word_times=True)

    def __init__(self, longest: float) -> None:
        self._longest = longest

    async def transcribe(self, audio: Audio, hints: Hints, report: Report) -> Recognition:  # noqa: ARG002
        await asyncio.sleep(random.uniform(0, self._longest))
        digest, words = await asyncio.to_thread(_heard, audio)
        if log := os.environ.get("QUICK_LOG"):
            _append(Path(log), digest)
        report(1.0)
        return Recognition(words=words, languages=("en",))

    async def diarize(self, audio: Audio, hints: Hints, report: Report) -> Diarization:  # noqa: ARG002
        report(1.0)
        count = max(2, round(audio.seconds / _TURN_SECONDS))
        step = audio.seconds / count
        return Diarization(
            turns=tuple(
                SpeakerTurn(start=i * step, end=(i + 1) * step, speaker=_SPEAKERS[i % len(_SPEAKERS)])
                for i in range(count)
            )
        )


class QuickEngine:
    """Both halves, for `METHODS=quick` once `register` was called."""

    name = "quick"
    draft = False

    def __init__(self, longest: float) -> None:
        self.transcriber = Hearing(longest)
        self.diarizer = self.transcriber

    async def check(self) -> Readiness:
        return Readiness(usable=True)

    async def close(self) -> None:
        return


def create(settings: Settings) -> QuickEngine:  # noqa: ARG001
    """QUICK_SECONDS is the longest time that it pretends to think."""
    return QuickEngine(float(os.environ.get("QUICK_SECONDS", "0")))


def register() -> None:
    """Make the method `quick` known to this process."""
    from core.registry import ENGINES, METHODS, Method  # noqa: PLC0415

    ENGINES["quick"] = "benchmarks.quick_engine:create"
    METHODS["quick"] = Method(transcriber="quick", diarizer="quick")


def _heard(audio: Audio) -> tuple[str, tuple[Word, ...]]:
    """The digest of the audio, and words drawn from it: as long as English ones, a sentence now and then."""
    with audio.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    chance = random.Random(digest)
    count = max(_FEWEST_WORDS, round(_WORDS_PER_SECOND * audio.seconds))
    step = audio.seconds / count
    words = []
    for i in range(count):
        text = "".join(chance.choices(_LETTERS, k=chance.randint(2, 8)))
        stop = "." if i % 12 == 11 else ""
        words.append(Word(start=i * step, end=(i + 0.9) * step, text=text + stop, confidence=0.9))
    return digest, tuple(words)


def _append(path: Path, line: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode() + b"\n")
    finally:
        os.close(descriptor)
