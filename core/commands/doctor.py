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
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import version
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

import typer
from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.commands import exits
from core.commands.models import megabytes
from core.embedded import find_server, socket_path, socket_url
from core.errors import ErniError, Misconfigured
from core.ledger import Ledger
from core.methods import choose, create_engines
from core.models import catalogue, installed, models_dir, problems
from core.ports import AdapterContext, Readiness, Store
from core.registry import ADAPTERS, METHODS, load, require
from core.settings import Settings, load_settings
from core.store import RedisStore
from core.telemetry import configure_logging
from core.testing import MemoryStore
from core.vault import Vault

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SPARE_BYTES = 2**30
_ANSWER_SECONDS = 5.0


class Level(StrEnum):
    """How a finding is meant."""

    OK = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at: what it is, how it is, and what to do about it."""

    area: str
    level: Level
    state: str
    remedy: str = ""


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Print a fresh key for ERNI_ENCRYPTION_KEY, and nothing else.")
    ] = False,
) -> None:
    """Look at everything a transcript needs, and say how to mend what is missing: engines, weights, store,
    front doors, encryption. Changes nothing, and works while the service runs.

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
    findings += [_engine(name, found) for name, found in readiness.items()]
    findings += list(_weights(settings))
    findings.append(_methods(choice.methods, draft=choice.draft, asked=bool(settings.methods)))
    async with _store(settings) as (store, about_store):
        findings += about_store
        findings += [finding async for finding in _doors(settings, store)]
    findings += list(_keeping(settings))
    return bool(choice.methods) and places_fine, findings


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


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[tuple[Store, list[Finding]]]:
    """What adapters may ask while they are checked, and what is to be said about it. Nothing is started:
    where no store is up, adapters see one that remembers nothing."""
    try:
        url, findings = _embedded(settings) if settings.redis_url is None else (_redis_url(settings), [])
        vault = Vault(settings.encryption_key.get_secret_value() if settings.encryption_key else None)
    except ErniError as error:
        yield MemoryStore(), [Finding(area="store", level=Level.BAD, state=str(error))]
        return
    if not url:
        yield MemoryStore(), findings
        return
    redis = Redis.from_url(url, socket_timeout=_ANSWER_SECONDS, socket_connect_timeout=_ANSWER_SECONDS)
    async with redis:
        try:
            await redis.ping()
        except (RedisError, OSError) as error:
            reason = type(error).__name__
            if settings.redis_url is not None:
                findings.append(
                    Finding(
                        area="store",
                        level=Level.BAD,
                        state=f"the Redis at REDIS_URL can't be used ({reason})",
                        remedy="Check address, password and certificate in REDIS_URL, and that it runs.",
                    )
                )
            yield MemoryStore(), findings
            return
        if settings.redis_url is not None:
            findings += await _shared(redis, url)
        else:
            findings.append(
                Finding(area="store", level=Level.OK, state="a service runs on this data directory")
            )
        yield RedisStore(redis, vault, Ledger(redis, vault)), findings


def _embedded(settings: Settings) -> tuple[str, list[Finding]]:
    finding = Finding(
        area="store", level=Level.OK, state=f"own Valkey, started with the service: {find_server()}"
    )
    return socket_url(settings.data_dir) if socket_path(settings.data_dir).exists() else "", [finding]


def _redis_url(settings: Settings) -> str:
    url = settings.redis_url.get_secret_value() if settings.redis_url is not None else ""
    if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        raise Misconfigured("REDIS_URL is not a Redis URL: it begins with redis://, rediss:// or unix://.")
    return url


async def _shared(redis: Redis, url: str) -> list[Finding]:
    info = cast("Mapping[str, Any]", await redis.info("server"))
    product = "Valkey" if "valkey_version" in info else "Redis"
    number = info.get("valkey_version") or info.get("redis_version", "?")
    findings = [Finding(area="store", level=Level.OK, state=f"{product} {number} at REDIS_URL answers")]
    durable = await _configured(redis, "appendonly")
    if durable not in {"yes", None}:
        findings.append(
            Finding(
                area="store",
                level=Level.NOTE,
                state="it keeps no append-only file: a crash of it loses accepted recordings",
                remedy="Set `appendonly yes` and `appendfsync always` there.",
            )
        )
    eviction = await _configured(redis, "maxmemory-policy")
    if eviction not in {"noeviction", None}:
        findings.append(
            Finding(
                area="store",
                level=Level.NOTE,
                state=f"it may throw jobs away when memory is short (maxmemory-policy {eviction})",
                remedy="Set `maxmemory-policy noeviction` there.",
            )
        )
    parts = urlsplit(url)
    private = parts.scheme in {"rediss", "unix"} or parts.hostname in _LOOPBACK
    known = parts.scheme == "unix" or bool(parts.password)
    if not (private and known):
        lacks = " and ".join(
            text for text, fine in (("encryption (TLS)", private), ("a password", known)) if not fine
        )
        findings.append(
            Finding(
                area="store",
                level=Level.NOTE,
                state=f"the connection lacks {lacks}. Who can write to this Redis can run code here",
                remedy="Use rediss://, and an ACL user with a password that is used by nothing else.",
            )
        )
    return findings


async def _configured(redis: Redis, name: str) -> str | None:
    """A setting of the server; None where it does not tell."""
    try:
        found = cast("Mapping[Any, Any]", await redis.config_get(name))
    except (RedisError, OSError):
        return None
    value = found.get(name, found.get(name.encode()))
    return value.decode() if isinstance(value, bytes) else value


async def _doors(settings: Settings, store: Store) -> AsyncIterator[Finding]:
    note = settings.data_dir / "node-id"
    context = AdapterContext(
        settings=settings, store=store, node_id=note.read_text().strip() if note.exists() else "new"
    )
    for name in settings.adapters:
        area = f"front door {name}"
        try:
            adapter = load(require(ADAPTERS, name, "front door in ERNI_ADAPTERS"))(context)
            async with asyncio.timeout(2 * _ANSWER_SECONDS):
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


def _keeping(settings: Settings) -> Iterator[Finding]:
    encrypted = settings.encryption_key is not None
    yield Finding(
        area="encryption",
        level=Level.OK,
        state="on" if encrypted else "off: transcripts and audio lie readable in the data directory (0700)",
        remedy="" if encrypted else "Set ERNI_ENCRYPTION_KEY to what `erni-audio doctor --new-key` prints.",
    )
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
