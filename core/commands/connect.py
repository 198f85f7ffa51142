"""`erni-audio connect`: consent to watch folders in somebody's cloud."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from core.commands import exits
from core.commands.clouds import (
    Unfinished,
    account_among,
    connecting,
    connectors,
    end,
    settings_of_call,
    store,
    tell,
)
from core.commands.terminal import Terminal
from core.places import Keyring, WatchedFolders
from core.registry import CONNECTS
from core.render.safe import clean
from core.settings import Settings


def connect(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help=f"What to connect: {', '.join(CONNECTS)}.")
    ] = None,
    *,
    listing: Annotated[
        bool, typer.Option("--list", help="List the connected accounts, and change nothing.")
    ] = False,
    forget: Annotated[
        str | None,
        typer.Option(metavar="ACCOUNT", help="Forget the credentials of this account, as --list shows it."),
    ] = None,
) -> None:
    """Let the service into a Google Drive or a Dropbox: asks some questions, tries what was allowed, and
    keeps it encrypted. Needs ERNI_ENCRYPTION_KEY. docs/gdrive.md and docs/dropbox.md say what to prepare.

    An account that is connected again gets new credentials; its folders stay.

    Exit codes: 0; 1, it was not allowed, or does not work, and why; 2, something must be set up first.
    """
    settings = settings_of_call()
    if listing and forget is None:
        end(_list(settings, name))
    if name is None:
        raise typer.BadParameter(f"Say which: {', '.join(CONNECTS)}.")
    if listing:
        raise typer.BadParameter("Give either --list or --forget.")
    end(_connect(settings, name) if forget is None else _forget(settings, name, forget))


async def _connect(settings: Settings, name: str) -> int:
    platform = connecting(name, settings)
    dialogue = Terminal(f"Run this in one. docs/{name}.md says how settings do the same.")
    async with store(settings) as state:
        keyring = Keyring(state.store, settings, name)
        keyring.require_key()
        dialogue.require_somebody()
        credentials = await platform.connect(dialogue)
        again = await keyring.find(credentials.account) is not None
        await keyring.save(credentials)
        watched = await WatchedFolders(state.store, settings, name).all()
    its = sum(folder.account == credentials.account for folder in watched)
    tell(f"✓ Connected {'again ' if again else ''}to {platform.title} as {clean(credentials.label)}.")
    if its:
        tell(f"{_folders(its)} of this account {'is' if its == 1 else 'are'} watched with it from now on.")
    else:
        tell(
            f"Next: `erni-audio folders add {name} FOLDER`, with the folder's link or path, says which to "
            "watch."
        )
    return exits.OK


async def _list(settings: Settings, name: str | None) -> int:
    found = False
    async with store(settings, reading=True) as state:
        for each in connectors(name):
            watched = await WatchedFolders(state.store, settings, each).all()
            for credentials in await Keyring(state.store, settings, each).all():
                its = sum(folder.account == credentials.account for folder in watched)
                sys.stdout.write(f"{each}: {clean(credentials.label)}, {_folders(its)}\n")
                found = True
    if not found:
        tell(f"No account is connected. `erni-audio connect {name or 'NAME'}` does that.")
    return exits.OK


async def _forget(settings: Settings, name: str, account: str) -> int:
    connectors(name)
    async with store(settings, reading=True) as state:
        keyring = Keyring(state.store, settings, name)
        accounts = await keyring.all()
        if not accounts:
            raise Unfinished(f"No account of {name} is connected, so there is nothing to forget.")
        credentials = account_among(accounts, account, name, name)
        await keyring.forget(credentials.account)
        await state.store.audit("disconnected", {"platform": name, "account": credentials.digest})
        watched = await WatchedFolders(state.store, settings, name).all()
    its = sum(folder.account == credentials.account for folder in watched)
    tell(
        f"✓ The credentials of {clean(credentials.label)} are forgotten. docs/{name}.md says how to take "
        "back what was allowed."
    )
    if credentials.reference:
        tell("Settings name this account, too: it comes back when a service starts with them.")
    elif its:
        tell(
            f"{_folders(its)} of this account can't be watched until it is connected again. `erni-audio "
            "folders remove` drops them."
        )
    return exits.OK


def _folders(number: int) -> str:
    return f"{number} folder{'' if number == 1 else 's'}"
