"""Fakes of the ports, for tests of this project and of extensions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from core.model import (
    Audio,
    Delivery,
    Diarization,
    Hints,
    Recognition,
    SpeakerTurn,
    Transcript,
    Word,
)
from core.ports import Capabilities, Diarizer, Readiness, Report, Transcriber


class MemoryStore:
    """A `Store` in memory. Put transcripts and deliveries into the dictionaries directly."""

    def __init__(self) -> None:
        self.transcripts: dict[str, Transcript] = {}
        self.deliveries: dict[str, Delivery] = {}
        self.spaces: dict[str, dict[str, str]] = {}
        self.audited: list[tuple[str, dict[str, str]]] = []

    async def transcript(self, result_key: str) -> Transcript | None:
        return self.transcripts.get(result_key)

    async def delivery(self, job_id: str) -> Delivery | None:
        return self.deliveries.get(job_id)

    async def recall(self, space: str, key: str) -> str | None:
        return self.spaces.get(space, {}).get(key)

    async def remember(self, space: str, key: str, value: str) -> None:
        self.spaces.setdefault(space, {})[key] = value

    async def forget(self, space: str, key: str) -> None:
        self.spaces.get(space, {}).pop(key, None)

    async def memories(self, space: str) -> Mapping[str, str]:
        return dict(self.spaces.get(space, {}))

    async def audit(self, event: str, facts: Mapping[str, str]) -> None:
        self.audited.append((event, dict(facts)))


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
