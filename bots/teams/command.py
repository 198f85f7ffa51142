"""`erni-audio teams`: what an admin needs to bring the app into Teams."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bots.teams.package import NAME, ORGANISATION, VERSION, App, write
from bots.teams.settings import MESSAGES_PATH, TeamsSettings
from core.errors import Misconfigured
from core.settings import Settings, load_settings

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    help="Bring the app into Microsoft Teams. docs/teams.md says all there is to do.",
)


@app.callback()
def _teams() -> None:
    """Keeps `package` a command of its own while it is the only one."""


@app.command()
def package(
    *,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", file_okay=False, help="Folder for erni-teams.zip.")
    ] = Path(),
    name: Annotated[
        str, typer.Option("--name", help="What people call and mention the app, 30 characters at most.")
    ] = NAME,
    organisation: Annotated[
        str, typer.Option("--organisation", help="Who runs it, 32 characters at most.")
    ] = ORGANISATION,
    website: Annotated[
        str | None,
        typer.Option("--website", metavar="URL", help="Page about the app. Default: ERNI_PUBLIC_URL."),
    ] = None,
    privacy: Annotated[
        str | None,
        typer.Option("--privacy", metavar="URL", help="Page about people's data. Default: ERNI_PUBLIC_URL."),
    ] = None,
    terms: Annotated[
        str | None,
        typer.Option("--terms", metavar="URL", help="Page of the terms of use. Default: ERNI_PUBLIC_URL."),
    ] = None,
    version: Annotated[
        str,
        typer.Option("--app-version", metavar="X.Y.Z", help="Has to be higher than that of the last upload."),
    ] = VERSION,
) -> None:
    """Write the app package that an admin uploads: erni-teams.zip, with manifest and icons, for the app in
    TEAMS_APP_ID at ERNI_PUBLIC_URL. Asks nobody, and changes nothing else.

    Exit codes: 0; 2, a setting or an option can't be used.
    """
    app_id, public_url = load_settings(TeamsSettings).app_id, load_settings(Settings).public_url
    if app_id is None:
        raise Misconfigured(
            "TEAMS_APP_ID is missing. Set it to the Application (client) ID: docs/teams.md says where it is."
        )
    if public_url is None:
        raise Misconfigured(
            "ERNI_PUBLIC_URL is missing. Set it to the https:// address at which Teams reaches this service."
        )
    described = App(
        id=app_id,
        public_url=public_url,
        name=name,
        organisation=organisation,
        website=website,
        privacy=privacy,
        terms=terms,
        version=version,
    )
    path = write(described, out)
    sys.stdout.write(f"{path}\n")
    sys.stderr.write(
        f"✓ {name} {version} for Teams. The bot's messaging endpoint in Azure is "
        f"{public_url.rstrip('/')}{MESSAGES_PATH}. Next: upload the package in the Teams admin centre, under "
        "Teams apps, Manage apps.\n"
    )
