"""Where somebody speaks in one recording: asked for once, and never a reason to fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from core.child import ChildDied, ChildFailed
from core.errors import Transient
from core.model import Audio
from core.tasks import end

logger = logging.getLogger(__name__)

Spans = Sequence[tuple[float, float]]
"""Stretches of the recording, start and end in seconds."""

_DEAF = (Transient, ChildDied, ChildFailed)
"""What ends speech detection; the recording is recognised all the same."""


class Detector(Protocol):
    """Knows speech from everything else."""

    async def find(self, audio: Audio) -> Spans:
        """The stretches of speech in decoded audio."""
        ...

    async def present(self, path: Path) -> bool:
        """Whether anybody speaks at all in the decoded audio `path`."""
        ...


class Detection:
    """What a detector says of `audio`."""

    def __init__(self, detector: Detector, audio: Audio) -> None:
        self._detector = detector
        self._audio = audio
        self._present: bool | None = None
        self._finding: asyncio.Task[Spans | None] | None = None

    async def close(self) -> None:
        """Stop searching."""
        if self._finding is not None:
            await end(self._finding)

    async def anybody(self) -> bool:
        """Whether anybody speaks; if so the search for where begins, beside the vendor's work."""
        if self._present is None:
            try:
                self._present = await self._detector.present(self._audio.path)
            except _DEAF as error:
                logger.warning("speech could not be detected: %s", type(error).__name__)
                self._present = True
        if self._present:
            self._start_finding()
        return self._present

    def _start_finding(self) -> asyncio.Task[Spans | None]:
        if self._finding is None:
            self._finding = asyncio.create_task(self._found(), name="speech detection")
        return self._finding

    async def _found(self) -> Spans | None:
        try:
            return await self._detector.find(self._audio)
        except _DEAF as error:
            logger.warning("speech could not be detected: %s", type(error).__name__)
            return None

    async def spans_if_known(self) -> Spans | None:
        """Where somebody speaks; None if that could not be found out."""
        return await asyncio.shield(self._start_finding())

    async def spans(self) -> Spans:
        """All of the recording where nobody knows: rather heard for nothing than not at all."""
        found = await self.spans_if_known()
        return ((0.0, self._audio.seconds),) if found is None else found
