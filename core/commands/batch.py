"""The recordings of one call of `erni-audio transcribe`: each to its transcript, or to its message."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from core.accounts import MemoryAccounts, RedisAccounts
from core.child import ChildDied, ChildFailed
from core.commands import exits
from core.commands.display import Bars, Lines
from core.commands.sources import Source, bases, occupied, shown, write
from core.commands.wording import draft_notice
from core.errors import ErniError, Rejected
from core.hearing import Listener
from core.kept import RedisKept, release
from core.methods import create_engines, prepare
from core.model import Policy, Recording, Stage, Transcript
from core.pipeline import content_key_of, transcribe_file
from core.ports import Accounts, Kept
from core.registry import FORMATS, load, require
from core.render.times import duration
from core.settings import Settings
from core.state import open_any_state
from core.studio import Studio
from core.voices import IDENTIFYING, Voices

logger = logging.getLogger(__name__)

_AT_ONCE = 4  # recognition is shared anyway; more would only fill the disk with decoded audio


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """What became of a recording: `printed` is for standard output, `failure` for standard error."""

    printed: bytes = b""
    failure: str = ""


@dataclass(slots=True, kw_only=True)
class Call:
    """One call of the command."""

    settings: Settings
    policy: Policy
    out: Path | None
    replace: bool
    json_lines: bool
    work: Path

    async def run(self, sources: Sequence[Source], display: Bars | Lines) -> int:
        """The exit code."""
        engines = create_engines(self.settings)
        try:
            choice, listeners = await prepare(self.settings, engines)
            if not listeners:
                display.say(f"No recognition method can run here. {' '.join(choice.notes)}")
                return exits.NO_METHOD
            if choice.draft:
                display.say(draft_notice(choice))
            failed = 0
            async with (
                shared(self.settings, listeners) as (accounts, voices, kept),
                Studio(self.settings, accounts, kept) as studio,
                asyncio.TaskGroup() as tasks,
            ):
                batch = _Batch(self, sources, listeners, studio=studio, voices=voices, display=display)
                for key in range(len(sources)):
                    display.progress(str(key), sources[key].name, Stage.QUEUED, None)
                running = deque(tasks.create_task(batch.one(index)) for index in range(len(sources)))
                first = True
                while running:  # printed in the order of the call
                    done = await running.popleft()
                    failed += bool(done.failure)
                    if done.printed:
                        with display.aside():
                            await asyncio.to_thread(_print, done.printed, first=first)
                        first = False
            return exits.FAILED if failed else exits.OK
        finally:
            for engine in engines.values():
                await engine.close()


class _Batch:
    """The recordings of one call. Those with the same content are recognised once."""

    def __init__(
        self,
        call: Call,
        sources: Sequence[Source],
        listeners: Sequence[Listener],
        *,
        studio: Studio,
        voices: Voices | None,
        display: Bars | Lines,
    ) -> None:
        self._studio = studio
        self._voices = voices
        self._call = call
        self._sources = sources
        self._listeners = listeners
        self._display = display
        self._bases = bases(sources)
        self._slots = asyncio.Semaphore(min(_AT_ONCE, max(2, os.cpu_count() or 1)))
        self._sizes = Counter(source.path.stat().st_size for source in sources)
        self._heard: dict[str, asyncio.Future[Transcript]] = {}

    async def one(self, index: int) -> _Done:
        """Transcribe a recording. Every failure of it comes back as a message."""
        source, key = self._sources[index], str(index)
        async with self._slots:
            started = time.monotonic()
            try:
                targets = self._targets(index)
                transcript = await self._transcript(source, key)
                rendered = await asyncio.to_thread(self._rendered, source, transcript)
                if self._call.out is not None:
                    contents = {targets[name]: data for name, data in rendered.items()}
                    await asyncio.to_thread(write, contents, replace=self._call.replace)
                await release(self._studio.kept, transcript)
            except (ErniError, OSError, ExceptionGroup) as error:
                return self._failed(source, key, _why(error))
            except Exception as error:
                logger.debug("recording %s failed", key, exc_info=error)
                return self._failed(
                    source, key, f"unexpected {type(error).__name__}; ERNI_LOG_LEVEL=DEBUG shows more."
                )
        took = time.monotonic() - started
        where = ", ".join(shown(path) for path in targets.values())
        line = f"✓ {source.name}: {duration(transcript.seconds)} of audio in {duration(took)}"
        self._display.end(key, f"{line} → {where}" if where else line)
        if targets:
            return _Done()
        return _Done(printed=self._printed(source, next(iter(rendered.values()))))

    def _targets(self, index: int) -> dict[str, Path]:
        if self._call.out is None:
            return {}
        base = self._call.out / self._bases[index]
        targets = {
            name: base.with_name(f"{base.name}.{FORMATS[name].suffix}") for name in self._call.policy.formats
        }
        there = occupied(targets.values())
        if there is not None and not self._call.replace:
            raise Rejected(f"{shown(there)} is there already. --force replaces it.")
        for target in targets.values():
            if any(target.exists() and target.samefile(source.path) for source in self._sources):
                raise Rejected(
                    f"its transcript would replace the recording {shown(target)}. Use another --out."
                )
        return targets

    async def _transcript(self, source: Source, key: str) -> Transcript:
        size = source.path.stat().st_size
        if size > self._call.settings.max_bytes:
            raise Rejected(
                f"this recording has {size / 2**30:.1f} GB; ERNI_MAX_BYTES allows "
                f"{self._call.settings.max_bytes / 2**30:.1f} GB."
            )
        content = await content_key_of(source.path)
        if self._sizes[size] == 1:
            return await self._recognised(source, key, content)
        if content in self._heard:
            return await asyncio.shield(self._heard[content])
        heard = self._heard[content] = asyncio.get_running_loop().create_future()
        try:
            transcript = await self._recognised(source, key, content)
        except Exception as error:
            heard.set_exception(error)
            heard.exception()  # nobody else may be waiting for it
            raise
        heard.set_result(transcript)
        return transcript

    async def _recognised(self, source: Source, key: str, content: str) -> Transcript:
        directory = self._call.work / key
        directory.mkdir(mode=0o700)
        try:
            transcript, audio = await transcribe_file(
                source.path,
                name=source.name,
                content_key=content,
                policy=self._call.policy,
                listeners=self._listeners,
                settings=self._call.settings,
                studio=self._studio,
                work=directory,
                progress=partial(self._display.progress, key, source.name),
            )
            if self._voices is None:
                return transcript
            return await self._voices.label(transcript, audio, self._call.policy.workspace)
        finally:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    def _rendered(self, source: Source, transcript: Transcript) -> dict[str, bytes]:
        recording = Recording(
            key=f"terminal:{transcript.content_key}",
            content_key=transcript.content_key,
            platform="terminal",
            door="terminal",
            address="{}",
            name=source.name,
            shared_at=datetime.fromtimestamp(source.path.stat().st_mtime, UTC),
            policy=self._call.policy,
        )
        return {
            name: load(require(FORMATS, name, "format").render)(transcript, recording)
            for name in self._call.policy.formats
        }

    def _printed(self, source: Source, data: bytes) -> bytes:
        if not self._call.json_lines:
            return data
        return _json_line({**json.loads(data), "path": shown(source.path)})

    def _failed(self, source: Source, key: str, why: str) -> _Done:
        self._display.end(key, f"✗ {source.name}: {why}")
        line = {"name": source.name, "path": shown(source.path), "error": why}
        return _Done(printed=_json_line(line) if self._call.json_lines else b"", failure=why)


@asynccontextmanager
async def shared(
    settings: Settings, listeners: Sequence[Listener]
) -> AsyncIterator[tuple[Accounts, Voices | None, Kept | None]]:
    """Limits and costs, known voices, and vendors' answers: the store's where a vendor is paid or voices are
    wanted, so that they hold together with the service's."""
    paid = any(
        half.capabilities.account
        for listener in listeners
        for half in (listener.transcriber, listener.diarizer)
        if half is not None
    )
    if not paid and not settings.voices:
        yield MemoryAccounts(settings), None, None
        return
    async with open_any_state(settings) as state:
        accounts = RedisAccounts(state.redis, settings)
        voices = Voices(state.store, settings, accounts=accounts, price=IDENTIFYING)
        yield accounts, voices, RedisKept(state.redis, state.vault, settings)


def _json_line(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _print(data: bytes, *, first: bool) -> None:
    separator = b"" if first or data.startswith((b"{", b"\xef\xbb\xbf", b"PK")) else b"\n\n"
    sys.stdout.buffer.write(separator + data)
    sys.stdout.buffer.flush()


def _why(error: Exception) -> str:
    if isinstance(error, ExceptionGroup):
        return _why(error.exceptions[0])
    if isinstance(error, FileExistsError):
        return f"{shown(Path(str(error.filename)))} is there already. --force replaces it."
    if isinstance(error, OSError):
        where = f"{shown(Path(str(error.filename)))}: " if error.filename else ""
        return f"{where}{error.strerror or type(error).__name__}."
    if isinstance(error, ChildDied | ChildFailed):
        return f"a process that worked on it failed ({error})."
    return str(error)
