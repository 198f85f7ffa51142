"""`erni-audio transcribe`: recordings to transcripts here and now, without queue or store."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from core.commands import exits
from core.commands.batch import Call
from core.commands.display import log_stream, make_display
from core.commands.options import SpeakersOption
from core.commands.sources import STDIN, gather
from core.model import Policy
from core.policies import read_languages
from core.registry import FORMATS, METHODS
from core.settings import Settings, load_settings
from core.telemetry import configure_logging
from core.voices import OWN_WORKSPACE
from core.workspace import workspace

_SPEAKERS = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?")
_REGION = re.compile(r"(?<=^[A-Za-z]{2})[-_].*|(?<=^[A-Za-z]{3})[-_].*")
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
    """ISO 639-1 codes of languages by name or code; regions are left off. Raises BadParameter for what is
    none."""
    try:
        return read_languages(",".join(_REGION.sub("", name) for name in _names(value)))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


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
            metavar="NAME,...",
            help="Languages that may be spoken: German, en.",
            show_default="detected",
        ),
    ] = None,
    speakers: SpeakersOption = None,
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
        what = "Only one format can be printed" if len(wanted) > 1 else f"{wanted[0]} is no text to print"
        raise typer.BadParameter(f"{what}: txt, for example. To write files, add --out DIR.")
    settings = exits.quiet_by_default(load_settings(Settings))
    if methods := parse_methods(method):
        settings = settings.model_copy(update={"methods": methods})
    policy = Policy(
        languages=parse_languages(language) or settings.languages,
        min_speakers=low,
        max_speakers=high,
        formats=wanted,
        tenant="terminal",
        workspace=OWN_WORKSPACE,
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
        call = Call(settings=settings, policy=policy, out=out, replace=force, json_lines=several, work=work)
        code = exits.run_to_end(call.run(sources, display))
    raise typer.Exit(code or (exits.FAILED if complaints else exits.OK))
