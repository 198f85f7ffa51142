"""docs/teams.md speaks of the settings, permissions, commands and messages that there are."""

from __future__ import annotations

import re
from pathlib import Path

import typer
from typer.main import get_command

from bots.teams import ids
from bots.teams.command import app
from bots.teams.drives import LINKS, READ, WRITE
from bots.teams.package import FILE, NAME, RESOURCE_SPECIFIC, TITLE
from bots.teams.settings import INSECURE, MESSAGES_PATH, TeamsSettings
from core.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs" / "teams.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    found = DOCS.partition(f"## {title}\n")[2].partition("\n## ")[0]
    assert found, title
    return found


def said() -> str:
    """All that the code says, with sentences that go over several lines put together."""
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "bots" / "teams").glob("*.py"))
    whole = re.sub(r'"\s*\n\s*f?"', "", code)
    for variable, value in (
        ("to %s: %s", f"to {MESSAGES_PATH}: "),
        ("{INSECURE}", INSECURE),
        ("{name} is not", "is not"),
    ):
        assert variable in whole, variable
        whole = whole.replace(variable, value)
    return whole


def test_every_setting_is_explained_and_no_other_is_named() -> None:
    known = {str(field.alias) for field in TeamsSettings.model_fields.values()}
    assert set(re.findall(r"\b(?:TEAMS_[A-Z_]+|GRAPH_BASE_URL)\b", DOCS)) == known
    of_the_service = {str(field.alias) for field in Settings.model_fields.values()}
    elsewhere = {"ERNI_ADAPTERS"}
    assert set(re.findall(r"\bERNI_[A-Z_]+\b", DOCS)) <= of_the_service | elsewhere


def test_every_permission_is_explained_and_no_other_is_asked_for() -> None:
    rows = re.findall(r"(?m)^\| `([A-Za-z.]+)` \| (.+?) \| (.+?) \|$", section("What each permission is for"))
    assert [name for name, _, _ in rows] == [WRITE.permission, READ.permission, *RESOURCE_SPECIFIC]
    assert LINKS.permission == WRITE.permission
    for _, why, without in rows:
        assert len(why) > 15
        assert why.endswith(".")
        assert without.endswith(".")
    assert f"`{WRITE.permission}`" in section("From nothing to a transcript")


def test_where_teams_reaches_the_service_is_where_it_listens() -> None:
    assert set(re.findall(r"/teams/[a-z]+", DOCS)) == {MESSAGES_PATH}
    listens = {name: Settings.model_fields[name].default for name in ("http_host", "http_port")}
    assert f"{listens['http_host']}:{listens['http_port']}" in section("From nothing to a transcript")
    assert f"-p {listens['http_port']} " in DOCS


def test_addresses_of_clouds_are_those_that_the_settings_tell() -> None:
    told = " ".join(str(field.description) for field in TeamsSettings.model_fields.values())
    named = re.findall(r"(?m)^[A-Z_]+=(https://\S+)", section("Clouds of governments"))
    assert len(named) == 3
    for address in named:
        assert address in told


def test_defaults_are_those_of_the_code() -> None:
    fields = TeamsSettings.model_fields
    rows = dict(re.findall(r"(?m)^\| `([A-Z_]+)` \| (.+?) \|$", section("What holds in a conversation")))
    assert rows["TEAMS_TRANSCRIBE"].startswith(f"`{fields['transcribe'].default}` (as it is)")
    assert f"`{','.join(fields['formats'].default)}` as it is" in rows["TEAMS_FORMATS"]


def test_the_command_and_its_options_are_there() -> None:
    group = get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    options = {name for each in group.commands["package"].params for name in each.opts}
    named = set(re.findall(r"`(--[a-z-]+)", section("The package"))) - {"--help"}
    assert {"--name", "--app-version"} <= named <= options
    assert "`erni-audio teams package`" in DOCS
    assert f"`{FILE}`" in DOCS


def test_people_are_told_the_words_that_they_see() -> None:
    assert f"*{TITLE}*" in section("What people can do")
    assert f"`@{NAME} {ids.COMMAND}`" in section("What people can do")


def test_what_the_page_quotes_is_what_the_service_says() -> None:
    spoken = said()
    quoted = re.findall(r"(?m)^\| `([^`]+)` \|", section("When something is wrong"))
    assert len(quoted) > 15
    for sentence in quoted:
        for part in re.split(rf"(?<={re.escape(MESSAGES_PATH)}: )", sentence):
            assert part in spoken, part
    assert section("When something is wrong").count("\n| ") >= len(quoted) + 3


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https://)([^)#]+)(?:#[a-z-]+)?\)", DOCS):
        assert (ROOT / "docs" / target).exists(), target
    for anchor in re.findall(r"\]\(\.\./README\.md#([a-z-]+)\)", DOCS):
        titles = re.findall(r"(?m)^#+ (.+)$", (ROOT / "README.md").read_text(encoding="utf-8"))
        assert anchor in {title.lower().replace(" ", "-") for title in titles}
