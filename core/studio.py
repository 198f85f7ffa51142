"""What all recordings of a process share while they are recognised: accounts, speech detection, encoders."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from core.child import ChildFailed
from core.children import Children
from core.detecting import Spans
from core.engines.voice_embedding import VoiceModel
from core.errors import Transient
from core.kept import Shelf
from core.listening import SpeechDetector
from core.longform import Longform
from core.model import Audio, Hints
from core.ports import Accounts, Kept
from core.settings import Settings
from core.uploads import Encoder

logger = logging.getLogger(__name__)


class Studio:
    """Its child processes are as many as there are processors, however many recordings are under way. `kept`
    is where vendors' answers wait for another attempt; None keeps none."""

    def __init__(self, settings: Settings, accounts: Accounts, kept: Kept | None = None) -> None:
        processes = max(1, os.cpu_count() or 1)
        self._voice_model = VoiceModel(settings)
        self.accounts = accounts
        self.kept = kept
        self.detector = SpeechDetector(processes)
        self.decoders = asyncio.Semaphore(processes)
        """Taken while a recording is decoded: more decoders than processors would only take memory."""
        self._encoder = Encoder(processes)
        self._linkers = Children(1)

    def longform(
        self,
        work: Path,
        tenant: str,
        *,
        content_key: str = "",
        channels: Sequence[Path] = (),
        keep_seconds: float = 0.0,
    ) -> Longform:
        """For one recording, with `work` as its directory. Answers to one with a `content_key` are kept for
        `keep_seconds`; `channels` are its files that hold one speaker each."""
        shelf = None
        if self.kept is not None and content_key:
            shelf = Shelf(
                kept=self.kept,
                accounts=self.accounts,
                recording=content_key,
                channels=channels,
                seconds=keep_seconds,
            )
        return Longform(
            accounts=self.accounts,
            encoder=self._encoder,
            link=self._link,
            work=work,
            tenant=tenant,
            shelf=shelf,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End all child processes."""
        await asyncio.gather(self.detector.close(), self._encoder.close(), self._linkers.close())

    async def _link(
        self, audio: Audio, voices: Sequence[tuple[int, Spans]], hints: Hints
    ) -> Sequence[int] | None:
        """Which voices of different pieces are one person; with the local weights if they are there."""
        installed = await asyncio.to_thread(lambda: self._voice_model.installed)
        weights = [os.fspath(self._voice_model.path)] if installed else []
        for embedding in (*weights, None):  # None: without weights, which can do it too
            try:
                people: list[int] = await self._linkers.call(
                    "core.engines.linked:people",
                    {
                        "path": os.fspath(audio.path),
                        "voices": [[piece, [list(span) for span in spans]] for piece, spans in voices],
                        "embedding": embedding,
                        "threads": max(1, os.cpu_count() or 1),
                        "least": hints.min_speakers,
                        "most": hints.max_speakers,
                    },
                )
            except (ChildFailed, Transient) as error:
                logger.warning("speakers of different pieces can't be linked: %s", type(error).__name__)
            else:
                return people
        return None
