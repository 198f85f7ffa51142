"""Speech detection, before and beside recognition: in child processes, so that the event loop runs on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from core.child import Child, ChildDied
from core.errors import Transient
from core.model import Audio
from core.ports import Report

_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class SpeechDetector:
    """Up to `processes` child processes that listen for speech: started when needed, used again, and never
    more than there are processor cores, since each keeps one busy.

    What it finds is the network's word where that is installed; else it goes by energy and errs on the side
    of speech.
    """

    def __init__(self, processes: int = 2) -> None:
        count = max(1, min(processes, os.cpu_count() or 1))
        self._all = tuple(Child(environment=_ONE_THREAD) for _ in range(count))
        self._idle = list(self._all)
        self._slots = asyncio.Semaphore(count)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def find(
        self, audio: Audio, *, report: Report = lambda _fraction: None
    ) -> tuple[tuple[float, float], ...]:
        """The stretches of speech in `audio.path`, start and end in seconds, in order, never overlapping.

        Raises Transient if the process ends (memory, say), ChildFailed if the file is no decoded audio.
        """
        found = await self._call("core.engines.speech_presence:find", {"path": os.fspath(audio.path)}, report)
        return tuple((start, end) for start, end in found)

    async def present(self, path: Path) -> bool:
        """Whether there is any speech in the decoded audio `path`: False for silence, noise and music
        without song. Stops at the first clear half second. Raises as `find` does."""
        return bool(await self._call("core.engines.speech_presence:present", {"path": os.fspath(path)}))

    async def close(self) -> None:
        """End the processes. Safe to repeat; a later call starts them again."""
        await asyncio.gather(*(child.close() for child in self._all))

    async def _call(
        self, function: str, arguments: Mapping[str, Any], report: Callable[[float], None] | None = None
    ) -> Any:
        async with self._slots:
            child = self._idle.pop()  # the one used last is warm
            try:
                return await child.call(function, arguments, report=report)
            except ChildDied:
                raise Transient("The process that listens for speech ended unexpectedly.") from None
            finally:
                self._idle.append(child)


async def find_speech(
    audio: Audio, *, report: Report = lambda _fraction: None
) -> tuple[tuple[float, float], ...]:
    """`SpeechDetector.find` in a process of its own, which ends afterwards."""
    async with SpeechDetector(1) as detector:
        return await detector.find(audio, report=report)


async def speech_begins(path: Path) -> bool:
    """`SpeechDetector.present` in a process of its own, which ends afterwards."""
    async with SpeechDetector(1) as detector:
        return await detector.present(path)
