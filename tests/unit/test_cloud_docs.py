"""docs/gdrive.md and docs/dropbox.md speak of the commands, settings and messages that there are."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import typer
from pydantic_settings import BaseSettings
from typer.main import get_command

from connectors.dropbox.connecting import SCOPES, TAG_SCOPE, DropboxConnecting
from connectors.dropbox.settings import DropboxSettings
from connectors.gdrive.connecting import GDriveConnecting
from connectors.gdrive.credentials import SCOPE
from connectors.gdrive.settings import GDriveSettings
from core.cli import COMMANDS
from core.commands.connect import connect
from core.commands.folders import app
from core.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PLATFORMS: dict[str, tuple[type[BaseSettings], type[GDriveConnecting] | type[DropboxConnecting]]] = {
    "gdrive": (GDriveSettings, GDriveConnecting),
    "dropbox": (DropboxSettings, DropboxConnecting),
}
each_platform = pytest.mark.parametrize("name", PLATFORMS)


def page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def words(text: str) -> str:
    return " ".join(text.split())


@cache
def said(name: str) -> str:
    """All that the code says, with sentences that go over several lines put together."""
    places = [ROOT / "connectors" / name, ROOT / "core", ROOT / "core" / "commands"]
    code = "".join(
        path.read_text(encoding="utf-8") for place in places for path in sorted(place.glob("*.py"))
    )
    return re.sub(r'"\s*\n\s*f?"', "", code).replace("{title}", PLATFORMS[name][1].title)


def options() -> set[str]:
    """Of the commands that the pages are about."""
    found: set[str] = {"--help", "--new-key"}
    single = typer.Typer()
    single.command()(connect)
    commands = [get_command(single), *vars(get_command(app))["commands"].values()]
    for command in commands:
        for parameter in command.params:
            found |= {*parameter.opts, *parameter.secondary_opts}
    return found


@each_platform
def test_every_message_is_one_of_the_code(name: str) -> None:
    table = page(name).partition("\n| It says | What to do |\n| --- | --- |\n")[2].partition("\n\n")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines()]
    assert len(rows) > 12
    for message, remedy in rows:
        if message.strip().startswith("*"):  # what others say, or nobody
            continue
        quoted = re.sub(r"\(in .*?\)|, or a folder's account is not", "", message.replace("`", ""))
        parts = [part.strip(" .,") for part in quoted.split("...")]
        assert any(parts), message
        for part in filter(None, parts):
            assert part.casefold() in said(name).casefold(), part
        assert remedy.strip().endswith((".", "?"))


@each_platform
def test_every_command_and_option_is_there(name: str) -> None:
    text = words(page(name))
    groups = {"folders": {"add", "list", "remove", "check"}, "connect": {"gdrive", "dropbox", "--list"}}
    for command, rest in re.findall(r"erni-audio ([a-z]+)((?: [^\s`]+)?)", text):
        assert command in COMMANDS
        if command in groups and rest:
            assert rest.strip() in groups[command], rest
    for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text):
        assert option in options(), option
    for option, value in re.findall(r"--option ([a-z]+)=([a-z]+)", text):
        assert value in PLATFORMS[name][1].options[option].values
    assert set(re.findall(r"--option ([a-z]+)=", text)) == set(PLATFORMS[name][1].options)


@each_platform
def test_every_setting_is_there(name: str) -> None:
    own = {str(field.alias) for field in PLATFORMS[name][0].model_fields.values()}
    named = set(re.findall(rf"\b{name.upper()}_[A-Z_]+\b", page(name)))
    assert named <= own
    assert f"{name.upper()}_FOLDERS" in named
    of_the_service = {str(field.alias) for field in Settings.model_fields.values()}
    assert set(re.findall(r"\bERNI_[A-Z_]+\b", page(name))) <= of_the_service | {"ERNI_ADAPTERS"}


def test_what_is_asked_for_is_explained() -> None:
    text = page("dropbox")
    rows = re.findall(r"(?m)^\| `([a-z_.]+)` \| .{15,}\. \|$", text)
    assert rows == [*SCOPES, TAG_SCOPE]
    assert words("   ".join(SCOPES)) in words(text)
    assert f"| `{SCOPE}` | To see" in page("gdrive")
