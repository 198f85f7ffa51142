"""Speech detection, before and beside recognition: in child processes, so that the event loop runs on."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from core.children import Children
from core.model import Audio
from core.ports import Report


class SpeechDetector:
    """Up to `processes` child processes that listen for speech: started when needed, used again, and never
    more than there are processor cores, since each keeps one busy.

    What it finds is the network's word where that is installed; else it goes by energy and errs on the side
    of speech.
    """

    def __init__(self, processes: int = 2) -> None:
        self._children = Children(max(1, min(processes, os.cpu_count() or 1)))

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
        found = await self._children.call(
            "core.engines.speech_presence:find", {"path": os.fspath(audio.path)}, report=report
        )
        return tuple((start, end) for start, end in found)

    async def present(self, path: Path) -> bool:
        """Whether there is any speech in the decoded audio `path`: False for silence, noise and music
        without song. Stops at the first clear half second. Raises as `find` does."""
        arguments = {"path": os.fspath(path)}
        return bool(await self._children.call("core.engines.speech_presence:present", arguments))

    async def close(self) -> None:
        """End the processes. Safe to repeat; a later call starts them again."""
        await self._children.close()
