"""`erni-audio transcribe`: recordings to transcripts here and now, without queue or store."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import shutil
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from core.child import ChildDied, ChildFailed
from core.commands import exits
from core.commands.display import Bars, Lines, log_stream, make_display
from core.commands.sources import STDIN, Source, bases, gather, occupied, shown, write
from core.commands.wording import draft_notice
from core.errors import ErniError, Rejected
from core.methods import create_engines, prepare
from core.model import Policy, Recording, Stage, Transcript
from core.pipeline import Listener, content_key_of, transcribe_file
from core.registry import FORMATS, METHODS, load, require
from core.render.languages import language_name
from core.render.times import duration
from core.settings import Settings, load_settings
from core.telemetry import configure_logging
from core.workspace import workspace

logger = logging.getLogger(__name__)

_AT_ONCE = 4  # recognition is shared anyway; more would only fill the disk with decoded audio
_SPEAKERS = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?")
_BINARY = frozenset({"docx"})


def _names(value: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (value or "").split(",") if part.strip())


def parse_formats(value: str | None) -> tuple[str, ...]:
    """Names of formats, each once. Raises BadParameter naming what there is."""
    formats = tuple(dict.fromkeys(_names(value)))
    if unknown := [name for name in formats if name not in FORMATS]:
        raise typer.BadParameter(f"There is no format {unknown[0]!r}. There are: {', '.join(FORMATS)}.")
    if value is not None and not formats:
        raise typer.BadParameter(f"Name a format. There are: {', '.join(FORMATS)}.")
    return formats


def parse_languages(value: str | None) -> tuple[str, ...]:
    """ISO 639-1 codes; regions are left off. Raises BadParameter for what is none."""
    codes = tuple(dict.fromkeys(re.split("[-_]", name, maxsplit=1)[0].lower() for name in _names(value)))
    if unknown := [code for code in codes if language_name(code) == code]:
        raise typer.BadParameter(
            f"{unknown[0]!r} is no language code. Give ISO 639-1 codes, several with commas: en, de, fr, es, "
            "it, pt, nl, pl, ru, zh, ja, ..."
        )
    return codes


def parse_speakers(value: str | None) -> tuple[int | None, int | None]:
    """`3` or `2-5` as lowest and highest number. Raises BadParameter."""
    if value is None:
        return None, None
    found = _SPEAKERS.fullmatch(value.strip())
    low = int(found[1]) if found else 0
    high = int(found[2] or low) if found else 0
    if not 1 <= low <= high:
        raise typer.BadParameter("Give a number of speakers such as 3, or a range such as 2-5.")
    return low, high


def parse_methods(value: str | None) -> tuple[str, ...]:
    """Names of methods. Raises BadParameter naming what there is."""
    names = _names(value)
    if unknown := [name for name in names if name not in METHODS]:
        raise typer.BadParameter(f"There is no method {unknown[0]!r}. There are: {', '.join(METHODS)}.")
    return names


def transcribe(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...", help="Recordings, or folders to look for them in; `-` reads one from a pipe."
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Write NAME.EXT into this folder instead of printing. Subfolders are kept.",
        ),
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME,...",
            help=f"One or, with --out, several of: {', '.join(FORMATS)}.",
            show_default="txt",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Recognition method instead of the best one that can run here.",
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            "--language",
            "-l",
            metavar="CODE,...",
            help="Spoken languages (ISO 639-1: en, de).",
            show_default="detected",
        ),
    ] = None,
    speakers: Annotated[
        str | None,
        typer.Option(
            "--speakers", "-s", metavar="N|MIN-MAX", help="How many people speak.", show_default="counted"
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print our JSON: one document for one recording, one line for each of several.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace transcripts that are in DIR.")] = False,
) -> None:
    """Transcribe recordings here and now: audio or video of any kind.

    Prints the transcript; messages and progress go to standard error. The best method that can run on this
    machine is used; `erni-audio doctor` says which one that is and what would make it better.

    Exit codes: 0, everything was transcribed; 1, some of it was not; 2, wrong call, or nothing to
    transcribe; 3, no method can run here.
    """
    low, high = parse_speakers(speakers)
    wanted = parse_formats(formats)
    if as_json:
        wanted = tuple(dict.fromkeys((*wanted, "json"))) if out else wanted or ("json",)
        if out is None and wanted != ("json",):
            raise typer.BadParameter("--json and --format can't both be printed; --out DIR writes files.")
    wanted = wanted or ("txt",)
    if out is None and (len(wanted) > 1 or (_BINARY.intersection(wanted) and sys.stdout.isatty())):
        raise typer.BadParameter(f"{', '.join(wanted)} can't be printed. Write files with --out DIR.")
    settings = exits.quiet_by_default(load_settings(Settings))
    if methods := parse_methods(method):
        settings = settings.model_copy(update={"methods": methods})
    policy = Policy(
        languages=parse_languages(language) or settings.languages,
        min_speakers=low,
        max_speakers=high,
        formats=wanted,
        tenant="terminal",
    )
    with make_display() as display, workspace(settings) as work:
        configure_logging(settings, stream=log_stream(display))
        stdin = work / "stdin"
        if (
            STDIN in paths
        ):  # before the event loop starts, where a read that nobody answers can be interrupted
            with display.aside(), stdin.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        sources, complaints = gather(paths, stdin)
        for line in complaints:
            display.say(line)
        if not sources:
            raise typer.Exit(exits.UNUSABLE)
        several = as_json and (len(paths) > 1 or any(Path(path).is_dir() for path in paths))
        call = _Call(settings=settings, policy=policy, out=out, replace=force, json_lines=several, work=work)
        code = exits.run_to_end(call.run(sources, display))
    raise typer.Exit(code or (exits.FAILED if complaints else exits.OK))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """What became of a recording: `printed` is for standard output, `failure` for standard error."""

    printed: bytes = b""
    failure: str = ""


@dataclass(slots=True, kw_only=True)
class _Call:
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
            batch = _Batch(self, sources, listeners, display)
            failed = 0
            async with asyncio.TaskGroup() as tasks:
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
        self, call: _Call, sources: Sequence[Source], listeners: Sequence[Listener], display: Bars | Lines
    ) -> None:
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
            return await transcribe_file(
                source.path,
                name=source.name,
                content_key=content,
                policy=self._call.policy,
                listeners=self._listeners,
                settings=self._call.settings,
                work=directory,
                progress=partial(self._display.progress, key, source.name),
            )
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
