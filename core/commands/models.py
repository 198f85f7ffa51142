"""`erni-audio models`: the weights for local recognition."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from core.commands import exits
from core.commands.display import a_person_looks
from core.downloads import FetchReport, bytes_so_far
from core.engines.catalogue import SPEAKERS, ModelFile, ModelSet, choose_model, ideal_model
from core.engines.machine import probe
from core.models import catalogue, fetch, installed, model_set, models_dir, problems, verify
from core.settings import Settings, load_settings

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    help="The weights for local recognition: what there is, what is here, and fetching it.\n\n"
    "Weights are kept in MODELS_DIR, or in `models` in the data directory. A machine without a network gets "
    "them by hand: `models list --files` says which files go where, and they count as fetched.",
)

_LINE_SECONDS = 5.0


def megabytes(size: int) -> str:
    """`1,618 MB`, `0.6 MB`: decimal, as download pages and disks count."""
    return f"{size / 1e6:,.0f} MB" if size >= 10e6 else f"{size / 1e6:,.1f} MB"


def suggested(settings: Settings) -> tuple[str, ...]:
    """The sets that this machine wants: the speech model that suits it, or the one that the operator chose,
    and the speaker models. Blocks: see `core.engines.machine.probe`."""
    speech = settings.local_model
    if speech == "auto":
        seen = probe()
        speech = ideal_model(seen.memory_bytes, seen.cores, seen.gpu_memory_bytes)
    known = {item.name for item in catalogue()}
    return tuple(name for name in (speech, settings.local_speakers) if name in known)


def _in_use(settings: Settings, folder: Path) -> frozenset[str]:
    speech = settings.local_model
    if speech == "auto":
        seen = probe()
        here = {
            item.name for item in catalogue() if item.purpose == "speech" and installed(folder, item.name)
        }
        speech = choose_model(seen.memory_bytes, seen.cores, seen.gpu_memory_bytes, here)
    return frozenset({speech, settings.local_speakers})


def _licences(item: ModelSet) -> str:
    return ", ".join(dict.fromkeys(file.licence for file in item.files))


async def _state(folder: Path, item: ModelSet, *, check: bool) -> tuple[str, tuple[str, ...]]:
    """One word for people, and the problems found."""
    found = problems(folder, item.name)
    place = folder / item.folder
    if not found:
        if not check:
            return "here", ()
        wrong = await verify(folder, item.name)
        return ("damaged", wrong) if wrong else ("checked", ())
    there = sum(
        min(file.bytes, (place / file.name).stat().st_size)
        if (place / file.name).is_file()
        else bytes_so_far(place, file)
        for file in item.files
    )
    return (f"{there / item.bytes:.0%} here", found) if there else ("not here", found)


@app.command("list")
def list_models(
    *,
    files: Annotated[
        bool, typer.Option("--files", help="Each file with its place, size, SHA-256 and address.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--verify", help="Read what is here and compare it with the published SHA-256.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with every file.")] = False,
) -> None:
    """List the weights: size, licence, and whether they are here. `→` marks what this machine uses.

    Exit codes: 0; 1, with --verify, something is damaged.
    """
    settings = load_settings(Settings)
    folder = models_dir(settings)
    in_use = _in_use(settings, folder)
    states = {item.name: asyncio.run(_state(folder, item, check=check)) for item in catalogue()}
    if as_json:
        document = [
            _document(item, folder, settings.models_base_url)
            | {"state": state, "problems": found, "in_use": item.name in in_use}
            for item in catalogue()
            for state, found in [states[item.name]]
        ]
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    elif files:
        for item in catalogue():
            for file in item.files:
                sys.stdout.write(
                    f"{folder / item.folder / file.name}\n  {file.bytes:,} bytes, {file.licence}\n  "
                    f"sha256 {file.sha256}\n  {file.url(settings.models_base_url)}\n"
                )
    else:
        _table(folder, in_use, {name: state for name, (state, _) in states.items()})
    for state, found in states.values():
        if state == "damaged":
            sys.stderr.write("".join(f"{line}\n" for line in found))
    damaged = any(state == "damaged" for state, _ in states.values())
    raise typer.Exit(exits.FAILED if damaged else exits.OK)


def _table(folder: Path, in_use: frozenset[str], states: dict[str, str]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    table.add_column("Name", no_wrap=True)
    table.add_column("Size", justify="right", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("Licence")
    table.add_column("What it is")
    styles = {"here": "green", "checked": "green", "damaged": "red"}
    for item in catalogue():
        state = states[item.name]
        table.add_row(
            "→" if item.name in in_use else "",
            item.name,
            megabytes(item.bytes),
            Text(state, style=styles.get(state, "dim")),
            _licences(item),
            item.description.removeprefix(f"Whisper {item.name}: "),
        )
    console = Console()
    console.print(table)
    console.print(Text(f"In {folder}. → is what this machine uses."), soft_wrap=True)


def _document(item: ModelSet, folder: Path, base_url: str) -> dict[str, Any]:
    return {
        "name": item.name,
        "purpose": item.purpose,
        "description": item.description,
        "bytes": item.bytes,
        "folder": str(folder / item.folder),
        "files": [
            {
                "name": file.name,
                "bytes": file.bytes,
                "sha256": file.sha256,
                "licence": file.licence,
                "url": file.url(base_url),
            }
            for file in item.files
        ],
    }


@app.command("fetch")
def fetch_models(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="Sets from `models list`.", show_default="what suits this machine"
        ),
    ] = None,
) -> None:
    """Fetch weights, check every byte, and repair what is damaged.

    What was interrupted goes on where it stopped. Proxies come from HTTPS_PROXY and NO_PROXY, a mirror of
    the hub from MODELS_BASE_URL.

    Exit codes: 0, all of it is here; 2, it can't be fetched, and what to do instead; 130, interrupted: call
    it again to go on.
    """
    settings = load_settings(Settings)
    items = [model_set(name) for name in dict.fromkeys(names or suggested(settings) or (SPEAKERS,))]
    raise typer.Exit(exits.run_to_end(_fetch(settings, items)))


async def _fetch(settings: Settings, items: list[ModelSet]) -> int:
    folder = models_dir(settings)
    for item in items:
        sys.stderr.write(f"{item.name}: {item.description} {megabytes(item.bytes)}, {_licences(item)}.\n")
        with _shown() as report:
            await fetch(item.name, folder, report, base_url=settings.models_base_url)
        sys.stderr.write(f"✓ {item.name} is in {folder / item.folder}, every checksum is right.\n")
    return exits.OK


@contextmanager
def _shown() -> Iterator[FetchReport]:
    """Takes what a fetch reports and shows it to whoever looks."""
    if not a_person_looks():
        yield _Lines()
        return
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    rows: dict[str, Any] = {}

    def report(file: ModelFile, received: int, size: int) -> None:
        if file.name not in rows:
            # what an earlier fetch left must not count as speed
            rows[file.name] = progress.add_task(file.name, total=size, completed=received)
        progress.update(rows[file.name], completed=received)

    with progress:
        yield report


class _Lines:
    """A line when a file begins, from time to time, and when it is whole."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def __call__(self, file: ModelFile, received: int, size: int) -> None:
        now = time.monotonic()
        if received < size and now - self._said.get(file.name, float("-inf")) < _LINE_SECONDS:
            return
        self._said[file.name] = now
        sys.stderr.write(f"{file.name}: {megabytes(received)} of {megabytes(size)} ({received / size:.0%})\n")
        sys.stderr.flush()
