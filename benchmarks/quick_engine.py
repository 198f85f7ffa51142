"""A recogniser that costs nothing, for measuring everything around recognition.

It hears the same words in the same bytes every time, so outputs can be compared; each run is noted in the
file named by QUICK_LOG (one line per recognition), which tells how much work was done twice.
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


class _Hearing:
    name = "quick"
    capabilities = Capabilities(word_times=True)

    def __init__(self, longest: float) -> None:
        self._longest = longest

    async def transcribe(self, audio: Audio, hints: Hints, report: Report) -> Recognition:  # noqa: ARG002
        await asyncio.sleep(random.uniform(0, self._longest))
        digest = hashlib.sha256(audio.path.read_bytes()).hexdigest()
        if log := os.environ.get("QUICK_LOG"):
            _append(Path(log), digest)
        report(1.0)
        step = audio.seconds / 8
        words = tuple(
            Word(start=i * step, end=(i + 0.9) * step, text=digest[8 * i : 8 * i + 8]) for i in range(8)
        )
        return Recognition(words=words, languages=("en",))

    async def diarize(self, audio: Audio, hints: Hints, report: Report) -> Diarization:  # noqa: ARG002
        report(1.0)
        half = audio.seconds / 2
        return Diarization(
            turns=(
                SpeakerTurn(start=0, end=half, speaker="A"),
                SpeakerTurn(start=half, end=audio.seconds, speaker="B"),
            )
        )


class QuickEngine:
    """Both halves, for `METHODS=quick` once `register` was called."""

    name = "quick"
    draft = False

    def __init__(self, longest: float) -> None:
        self.transcriber = _Hearing(longest)
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


def _append(path: Path, line: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode() + b"\n")
    finally:
        os.close(descriptor)
