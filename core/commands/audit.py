"""`erni-audio audit`: the audit log for people and programs."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from redis.exceptions import RedisError

from core.commands import exits
from core.errors import Misconfigured
from core.settings import Settings, load_settings
from core.state import open_state
from core.telemetry import configure_logging


def parse_since(value: str) -> datetime:
    """A date or a time as ISO 8601 writes it; without a zone it is the local one. Raises BadParameter."""
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except ValueError:
        raise typer.BadParameter(
            f"{value!r} is no date. Give one such as 2026-11-22 or 2026-11-22T15:00."
        ) from None


def audit(
    *,
    since: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Only what happened from then on: 2026-11-22, 2026-11-22T15:00."),
    ] = None,
) -> None:
    """Print the audit log, one JSON object per line, oldest first: what was accepted, fetched, delivered and
    deleted, and when. It holds ids and counts, no names and no text.

    The service of this data directory must be running, or REDIS_URL be set.
    """
    begin = parse_since(since) if since is not None else None
    settings = exits.quiet_by_default(load_settings(Settings))
    configure_logging(settings)
    raise typer.Exit(exits.run_to_end(_print(settings, begin)))


async def _print(settings: Settings, begin: datetime | None) -> int:
    async with open_state(settings, own=False) as state:
        try:
            async for entry in state.store.audit_entries():
                if begin is None or datetime.fromisoformat(entry["at"]) >= begin:
                    sys.stdout.write(json.dumps(entry) + "\n")
        except RedisError as error:
            raise Misconfigured(f"The store does not answer: {type(error).__name__}.") from None
    return exits.OK
