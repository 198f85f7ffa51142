"""What the commands about folders in somebody's cloud have in common."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import typer
from redis.exceptions import RedisError

from core.commands import exits
from core.enrolment import Enrolling
from core.errors import AuthFailed, Misconfigured, Rejected, Transient
from core.places import Credentials
from core.redaction import Redactor, escape_controls
from core.registry import CONNECTS, load, require
from core.settings import Settings, load_settings
from core.state import State, open_any_state
from core.telemetry import configure_logging


class Unfinished(Rejected):
    """What a person asked for can't be done, for a reason and with a remedy that they are told."""


def settings_of_call() -> Settings:
    """For a command that people look at. Raises Misconfigured."""
    settings = exits.quiet_by_default(load_settings(Settings))
    configure_logging(settings)
    return settings


def connecting(name: str, settings: Settings) -> Enrolling:
    """A platform by its name. Raises Misconfigured for an unknown one, and without its package."""
    found: Enrolling = load(require(CONNECTS, name, "connector"))(settings)
    return found


def connectors(name: str | None) -> Sequence[str]:
    """The connector of this name, or all. Raises Misconfigured for an unknown one."""
    if name is None:
        return tuple(CONNECTS)
    require(CONNECTS, name, "connector")
    return (name,)


@asynccontextmanager
async def store(settings: Settings, *, reading: bool = False) -> AsyncIterator[State]:
    """The store of the service that runs on this data directory, or opened for this call; not made for
    `reading`. Raises Misconfigured."""
    async with open_any_state(settings, reading=reading) as state:
        try:
            yield state
        except RedisError as error:
            raise Misconfigured(f"The store does not answer: {type(error).__name__}.") from None


def account_among(accounts: Sequence[Credentials], wanted: str | None, name: str, title: str) -> Credentials:
    """The account that somebody means, by what people know it by or its id; the only one if they named none.
    Raises Unfinished."""
    if not accounts:
        raise Unfinished(f"No account of {title} is connected. Run `erni-audio connect {name}`.")
    known = ", ".join(credentials.label for credentials in accounts)
    if wanted is None:
        if len(accounts) > 1:
            raise Unfinished(f"Several accounts of {title} are connected. Say which with --account: {known}.")
        return accounts[0]
    for credentials in accounts:
        if wanted == credentials.account or wanted.casefold() == credentials.label.casefold():
            return credentials
    raise Unfinished(f"{wanted} is no connected account of {title}. There are: {known}.")


def tell(line: str) -> None:
    """A line for people, on standard error."""
    sys.stderr.write(f"{escape_controls(line)}\n")
    sys.stderr.flush()


def report(line: str) -> None:
    """A line that was asked for, on standard output."""
    sys.stdout.write(f"{escape_controls(line)}\n")
    sys.stdout.flush()


def complain(message: str) -> None:
    """What went wrong, in a line."""
    tell(f"erni-audio: {Redactor()(message)}")


def end(work: Coroutine[Any, Any, int]) -> NoReturn:
    """End the process with the exit code of `work`, and with 1 for what others have to mend first."""

    async def told() -> int:
        try:
            return await work
        except (AuthFailed, Rejected, Transient) as error:
            complain(str(error))
            return exits.FAILED

    raise typer.Exit(exits.run_to_end(told()))
