"""The circuit breaker around engines: one that keeps failing rests for everybody who uses it.

(M. Nygard, "Release It!", 2007.) Only what an engine itself did counts; whatever else fails is ours, and
decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from core.child import ChildDied, ChildFailed
from core.errors import AuthFailed, Misconfigured, Rejected, Transient
from core.model import Audio, Diarization, Hints, Recognition
from core.ports import Accounts, Capabilities, Diarizer, Report, Transcriber

T = TypeVar("T")

ENGINE_TROUBLE = (Transient, AuthFailed, Misconfigured, ChildDied, ChildFailed, TimeoutError, OSError)
"""What an engine may raise through no fault of the recording: the next one is tried."""


class Watched:
    """Half of an engine, and what its requests came to. Whatever else fails is ours: the encoder, the disk,
    the store, the budget."""

    def __init__(self, half: Any) -> None:
        self._half = half
        self.name: str = half.name
        self.capabilities: Capabilities = half.capabilities
        vendors = (Transient, AuthFailed, Misconfigured, TimeoutError)
        self._its_own = (Rejected, *(vendors if self.capabilities.account else ENGINE_TROUBLE))
        self._raised: list[Exception] = []
        self.answered = False

    async def prepare(self) -> None:
        await self._noted(self._half.prepare())

    async def transcribe(self, audio: Audio, hints: Hints, report: Report) -> Recognition:
        return await self._noted(self._half.transcribe(audio, hints, report))

    async def diarize(self, audio: Audio, hints: Hints, report: Report) -> Diarization:
        return await self._noted(self._half.diarize(audio, hints, report))

    async def _noted(self, request: Awaitable[T]) -> T:
        try:
            found = await request
        except self._its_own as error:
            self._raised.append(error)
            raise
        self.answered = True
        return found

    def raised(self, error: Exception) -> bool:
        """Whether a request raised `error`, or used up its time."""
        return type(error) is TimeoutError or any(error is each for each in self._raised)


class Breaker:
    """The breaker as one recording meets it: an engine is asked for once."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._asked: dict[str, asyncio.Task[None]] = {}
        self._told: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait until everything has been told."""
        if self._told:
            await asyncio.wait(self._told)

    async def guard(
        self, engine: str, half: Transcriber | Diarizer, work: Callable[[Watched], Awaitable[T]]
    ) -> T:
        """`work` with the engine's `half`, unless the engine is resting; how that ends is told to everybody
        who shares the engine, if its requests decided it."""
        watched = Watched(half)
        if not engine:
            return await work(watched)
        if engine not in self._asked:  # once a recording: the answer may be the only try there is
            self._asked[engine] = asyncio.create_task(self._let_in(engine))
        asked, verdict = self._asked[engine], self._accounts.undecided
        try:
            await asyncio.shield(asked)
            found = await work(watched)
        except Exception as error:
            if watched.raised(error):  # a refusal is an answer
                verdict = self._accounts.worked if isinstance(error, Rejected) else self._accounts.failed
            raise
        else:
            if watched.answered:
                verdict = self._accounts.worked
            return found
        finally:
            told = asyncio.create_task(self._tell(engine, asked, verdict))
            self._told.add(told)
            await asyncio.shield(told)

    async def _let_in(self, engine: str) -> None:
        resting = await self._accounts.resting(engine)
        if resting > 0:
            raise Transient(f"{engine} failed repeatedly and is left alone for now.", retry_after=resting)

    async def _tell(
        self, engine: str, asked: asyncio.Task[None], verdict: Callable[[str], Awaitable[None]]
    ) -> None:
        """Say how a try ended, also one that was cancelled before the answer came that it may be made."""
        if verdict == self._accounts.undecided and self._asked.get(engine) is asked:
            del self._asked[engine]  # it is somebody else's now
        with suppress(Transient):
            await asked
            await verdict(engine)
