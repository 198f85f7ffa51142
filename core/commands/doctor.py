"""`erni-audio doctor`: what is set up, what is missing and how to mend it. Changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import stat
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.commands import exits
from core.commands.findings import ANSWER_SECONDS, Finding, Level, open_store
from core.commands.models import megabytes
from core.errors import ErniError
from core.methods import Choice, choose, create_engines
from core.models import catalogue, installed, models_dir, problems
from core.ports import AdapterContext, Readiness, Store
from core.registry import ADAPTERS, METHODS, load, require
from core.settings import Settings, load_settings
from core.telemetry import configure_logging
from core.testing import MemoryJobs, MemoryLinks
from core.vault import Vault
from core.voiceprints import refusal

_SPARE_BYTES = 2**30
_FREE = frozenset({"local", "draft"})


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Print a fresh key for ERNI_ENCRYPTION_KEY, and nothing else.")
    ] = False,
) -> None:
    """Look at everything a transcript needs, and say how to mend what is missing: engines, weights, store,
    front doors, encryption. Changes nothing, and works while the service runs and while it does not.

    Exit codes: 0, a recording could be transcribed now; 1, it could not; 2, a setting is wrong.
    """
    if new_key:
        sys.stdout.write(f"{Vault.new_key()}\n")
        raise typer.Exit
    settings = exits.quiet_by_default(load_settings(Settings))
    configure_logging(settings)
    able, findings = asyncio.run(examine(settings))
    if as_json:
        document = {"can_transcribe": able, "findings": [asdict(finding) for finding in findings]}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        _show(able, findings)
    raise typer.Exit(exits.OK if able else exits.FAILED)


async def examine(settings: Settings) -> tuple[bool, list[Finding]]:
    """Whether a recording could be transcribed now, and everything found."""
    findings = [_program(), *_data_directory(settings)]
    places_fine = all(finding.level is not Level.BAD for finding in findings)
    engines = create_engines(settings)
    try:
        readiness = {name: await engine.check() for name, engine in engines.items()}
        drafts = frozenset(name for name, engine in engines.items() if engine.draft)
    finally:
        for engine in engines.values():
            await engine.close()
    choice = choose(settings.methods, readiness, drafts)
    findings += [_engine(name, found) for name, found in readiness.items() if not found.absent]
    findings += list(_accounts(readiness))
    findings += list(_weights(settings))
    findings.append(_methods(choice.methods, draft=choice.draft, asked=bool(settings.methods)))
    findings += list(_money(settings, choice))
    async with open_store(settings) as (store, about_store):
        findings += about_store
        findings += [finding async for finding in _doors(settings, store)]
    store_fine = all(finding.level is not Level.BAD for finding in about_store)
    findings += list(_keeping(settings, known=store_fine))
    return bool(choice.methods) and places_fine and store_fine, findings


def _program() -> Finding:
    return Finding(
        area="program",
        level=Level.OK,
        state=f"erni-audio {version('erni-audio')}, Python {platform.python_version()}, {platform.system()}",
    )


def _data_directory(settings: Settings) -> Iterator[Finding]:
    place = settings.data_dir.absolute()
    nearest = next(folder for folder in (place, *place.parents) if folder.exists())
    if not os.access(nearest, os.W_OK | os.X_OK) or not nearest.is_dir():
        yield Finding(
            area="data directory",
            level=Level.BAD,
            state=f"{place} can't be written",
            remedy="Give this user the right to, or set ERNI_DATA_DIR to another place.",
        )
        return
    free = shutil.disk_usage(nearest).free
    if place.exists() and stat.S_IMODE(place.stat().st_mode) & 0o077:
        yield Finding(
            area="data directory",
            level=Level.NOTE,
            state=f"{place} is open to other users",
            remedy=f"The service closes it when it starts; now: chmod 700 '{place}'.",
        )
    yield Finding(
        area="data directory",
        level=Level.OK if free > _SPARE_BYTES else Level.NOTE,
        state=f"{place}, {megabytes(free)} free" + ("" if place.exists() else ", made at the first start"),
        remedy="" if free > _SPARE_BYTES else "Make room: decoded audio takes 115 MB an hour.",
    )


def _engine(name: str, found: Readiness) -> Finding:
    return Finding(
        area=f"engine {name}",
        level=Level.OK if found.usable else Level.NOTE,
        state=("usable" if found.usable else "can't run") + (f": {found.reason}" if found.reason else ""),
        remedy=found.remedy,
    )


def _accounts(readiness: Mapping[str, Readiness]) -> Iterator[Finding]:
    """What could run with an account, in one line: nobody promised any of it."""
    absent = {name: found for name, found in readiness.items() if found.absent}
    if absent:
        yield Finding(
            area="accounts",
            level=Level.NOTE,
            state=f"not set up: {', '.join(absent)}",
            remedy="If you have an account: "
            + " ".join(dict.fromkeys(found.remedy for found in absent.values() if found.remedy)),
        )


def _money(settings: Settings, choice: Choice) -> Iterator[Finding]:
    """What may be spent, where anything may."""
    paid = [name for name in choice.methods if name not in _FREE]
    if not paid:
        return
    limits = [
        f"{amount:g} US dollars a month {whose}"
        for amount, whose in (
            (settings.monthly_budget, "in all"),
            (settings.tenant_monthly_budget, "for each workspace"),
        )
        if amount is not None
    ]
    yield Finding(
        area="budget",
        level=Level.OK if limits else Level.NOTE,
        state=" and ".join(limits) or f"no limit on what {', '.join(paid)} may cost",
        remedy="" if limits else "Set ERNI_MONTHLY_BUDGET; `erni-audio costs` shows what was spent.",
    )


def _weights(settings: Settings) -> Iterator[Finding]:
    folder = models_dir(settings)
    here = [item.name for item in catalogue() if installed(folder, item.name)]
    own = [
        name
        for name in (settings.local_model, settings.local_speakers)
        if name != "auto" and name not in {item.name for item in catalogue()}
    ]
    for name in own:
        purpose: Any = "speakers" if name == settings.local_speakers else "speech"
        if not problems(folder, name, purpose):
            here.append(name)
    yield Finding(
        area="weights",
        level=Level.OK if here else Level.NOTE,
        state=f"{', '.join(here) or 'none'} in {folder}",
        remedy="" if here else "Fetch what suits this machine with `erni-audio models fetch`.",
    )


def _methods(methods: tuple[str, ...], *, draft: bool, asked: bool) -> Finding:
    if not methods:
        return Finding(
            area="methods",
            level=Level.BAD,
            state="no recognition method can run",
            remedy="Mend one of the engines above"
            + (f", or leave METHODS unset: it allows only {', '.join(METHODS)}." if asked else "."),
        )
    return Finding(
        area="methods",
        level=Level.NOTE if draft else Level.OK,
        state=f"{', then '.join(methods)}"
        + (", whose text is a guess: nothing better can run" if draft else ""),
        remedy="Mend one of the engines above." if draft else "",
    )


async def _doors(settings: Settings, store: Store) -> AsyncIterator[Finding]:
    note = settings.data_dir / "node-id"
    context = AdapterContext(
        settings=settings,
        store=store,
        jobs=MemoryJobs(),
        links=MemoryLinks(),
        node_id=note.read_text().strip() if note.exists() else "new",
    )
    for name in settings.adapters:
        area = f"front door {name}"
        try:
            adapter = load(require(ADAPTERS, name, "front door in ERNI_ADAPTERS"))(context)
            async with asyncio.timeout(2 * ANSWER_SECONDS):
                found: Readiness = await adapter.check()
        except TimeoutError:
            found = Readiness(usable=False, reason="It did not answer.", remedy="Check the network.")
        except (ErniError, OSError) as error:
            found = Readiness(usable=False, reason=str(error))
        yield Finding(
            area=area,
            level=Level.OK if found.usable else Level.BAD,
            state=found.reason or "usable",
            remedy=found.remedy,
        )
    if not settings.adapters:
        yield Finding(
            area="front doors",
            level=Level.NOTE,
            state="none is open",
            remedy=f"Set ERNI_ADAPTERS. There are: {', '.join(ADAPTERS)}.",
        )


def _keeping(settings: Settings, *, known: bool) -> Iterator[Finding]:
    """`known`: the store takes the key, or does without."""
    encrypted = settings.encryption_key is not None
    if known:
        yield Finding(
            area="encryption",
            level=Level.OK,
            state="on"
            if encrypted
            else "off: transcripts and audio lie readable in the data directory (0700)",
            remedy=""
            if encrypted
            else "Set ERNI_ENCRYPTION_KEY to what `erni-audio doctor --new-key` prints.",
        )
    if settings.voices and (why := refusal(settings)):
        yield Finding(area="voices", level=Level.BAD, state="wanted, but off", remedy=why)
    days = settings.retention_days
    yield Finding(
        area="retention",
        level=Level.OK,
        state="stored transcripts expire by their age and the room there is"
        if days is None
        else f"stored transcripts are deleted after {days:g} days",
    )


def _show(able: bool, findings: list[Finding]) -> None:
    marks = {Level.OK: ("✓", "green"), Level.NOTE: ("!", "yellow"), Level.BAD: ("✗", "red")}
    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        mark, style = marks[finding.level]
        text = Text(finding.state)
        if finding.remedy:
            text.append(f"\n{finding.remedy}", style="cyan")
        table.add_row(Text(mark, style=style), finding.area, text)
    console = Console()
    console.print(table)
    console.print(
        Text("A recording could be transcribed now." if able else "No recording can be transcribed now.")
    )
