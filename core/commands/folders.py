"""`erni-audio folders`: which folders in somebody's cloud are watched, and how."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from core.commands import clouds, exits
from core.commands.adding import Wish, add
from core.commands.checking import check
from core.commands.clouds import end, settings_of_call, store, tell
from core.commands.folder_choices import Written, document, summary
from core.commands.options import SpeakersOption
from core.commands.removing import remove
from core.errors import Misconfigured
from core.places import Keyring, WatchedFolders
from core.registry import CONNECTS, FORMATS, METHODS
from core.render.safe import clean
from core.settings import Settings, load_settings

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    help="Folders in Google Drive and Dropbox: recordings that are dropped there are transcribed.\n\n"
    "First connect an account with `erni-audio connect`. A service that runs notices changes within seconds.",
)

ConnectorName = Annotated[str, typer.Argument(metavar="CONNECTOR", help=f"{' or '.join(CONNECTS)}.")]
AnyConnector = Annotated[
    str | None,
    typer.Argument(metavar="CONNECTOR", help=f"{' or '.join(CONNECTS)}.", show_default="all"),
]


class _WithOptions(TyperCommand):
    """Says in its help what the connectors offer besides; they are loaded only for that."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        settings = load_settings(Settings)
        offered = []
        for name in CONNECTS:
            try:
                platform = clouds.connecting(name, settings)
            except Misconfigured:
                continue
            offered += [
                f"{name}, {key}={'|'.join(option.values)}: {option.help}"
                for key, option in platform.options.items()
            ]
        self.epilog = "\n\n".join(["[bold]For --option[/]", *offered])
        super().format_help(ctx, formatter)


@app.command("add", cls=_WithOptions)
def add_folder(
    connector: ConnectorName,
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Its link, path or id.")],
    *,
    account: Annotated[
        str | None,
        typer.Option(
            metavar="ACCOUNT",
            help="With which account, as `erni-audio connect --list` shows it.",
            show_default="the only one",
        ),
    ] = None,
    language: Annotated[
        list[str] | None,
        typer.Option(
            "--language",
            "-l",
            metavar="NAME,...",
            help="Languages that may be spoken: German, en.",
            show_default="as ERNI_LANGUAGES",
        ),
    ] = None,
    vocabulary: Annotated[
        list[str] | None,
        typer.Option(metavar="TERM,...", help="Names and terms to expect.", show_default="none"),
    ] = None,
    speakers: SpeakersOption = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "--formats",
            "-f",
            metavar="NAME,...",
            help=f"Transcripts to write: {', '.join(FORMATS)}.",
            show_default="as ERNI_FORMATS",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Only this method: {', '.join(METHODS)}.",
            show_default="the best that can run",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="beside|NAME",
            help="Where transcripts go: beside the recording, or into a subfolder of this name there.",
            show_default="beside",
        ),
    ] = None,
    keep_days: Annotated[
        str | None,
        typer.Option(
            "--keep-days",
            metavar="DAYS",
            help="After how many days the service's own copies of transcripts are deleted.",
            show_default="as ERNI_RETENTION_DAYS",
        ),
    ] = None,
    delete: Annotated[
        bool | None,
        typer.Option(
            "--delete-with-recording/--keep-without-recording",
            help="Whether deleting a recording deletes its transcript.",
            show_default="deleted",
        ),
    ] = None,
    recursive: Annotated[
        bool | None,
        typer.Option(
            "--recursive/--not-recursive",
            help="Whether the folders inside it belong to it.",
            show_default="they do",
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="What the connector offers besides: see below."),
    ] = None,
    backfill: Annotated[
        bool,
        typer.Option(
            "--backfill",
            help="Transcribe also what lies there already, after telling how much that is and what it costs.",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="With --backfill: go on without being asked.")
    ] = False,
) -> None:
    """Watch a folder, or change how a watched one is treated.

    It has to be readable and writable. Of a folder that is watched already, what is not given here stays as
    it was; an empty text ("") takes a choice back.

    Exit codes: 0; 1, nothing was changed, and why; 2, something must be set up first, or the call is wrong.
    """
    written = Written(
        languages=language,
        vocabulary=vocabulary,
        speakers=speakers,
        formats=formats,
        method=method,
        keep_days=keep_days,
        delete_with_recording=delete,
        output=output,
        recursive=recursive,
        options=option or (),
    )
    wish = Wish(
        connector=connector, text=folder, account=account, written=written, backfill=backfill, yes=yes
    )
    end(add(settings_of_call(), wish))


@app.command("list")
def list_folders(
    connector: AnyConnector = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the watched folders, with the accounts they are watched with and what was chosen."""
    end(_list(settings_of_call(), connector, as_json=as_json))


async def _list(settings: Settings, connector: str | None, *, as_json: bool) -> int:
    documents, blocks = [], []
    async with store(settings, reading=True) as state:
        for name in clouds.connectors(connector):
            keyring = Keyring(state.store, settings, name)
            labels = {credentials.account: credentials.label for credentials in await keyring.all()}
            for folder in await WatchedFolders(state.store, settings, name).all():
                label = labels.get(folder.account, "")
                documents.append(document(folder, label))
                who = f"as {clean(label)}" if label else f"not connected: run `erni-audio connect {name}`"
                lines = [f"{name}: {clean(folder.name)}", clean(folder.link), who, summary(folder)]
                blocks.append("\n  ".join(filter(None, lines)) + "\n")
    if as_json:
        sys.stdout.write(json.dumps(documents, indent=2) + "\n")
    else:
        sys.stdout.write("".join(blocks))
        if not blocks:
            tell("No folder is watched. `erni-audio folders add CONNECTOR FOLDER` adds one.")
    return exits.OK


@app.command("remove")
def remove_folder(
    connector: ConnectorName,
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="As `folders list` shows it, its link, path or id.")
    ],
) -> None:
    """Watch a folder no longer, and forget what is known of its files.

    Transcripts that are there stay. A recording that was not fetched yet gets a note instead.

    Exit codes: 0; 1, it is not watched; 2, nothing is kept in this data directory.
    """
    end(remove(settings_of_call(), connector, folder))


@app.command("check")
def check_folders(connector: AnyConnector = None) -> None:
    """Try whether each watched folder can be read and written; changes nothing.

    Exit codes: 0; 1, one of them can't, and what to do; 2, nothing is kept in this data directory.
    """
    end(check(settings_of_call(), connector))
