"""The manifest creates the app that the code and the documentation speak of, within Slack's limits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bots.slack import ids
from bots.slack.settings import EVENTS_PATH, REDIRECT_PATH, SCOPES, SlackSettings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "bots" / "slack" / "manifest.yaml").read_text(encoding="utf-8")
DOCS = (ROOT / "docs" / "slack.md").read_text(encoding="utf-8")
HOST = "https://audio.example.com"

# Field -> fewest and most characters, from github.com/slackapi/manifest-schema (schema 1.0.0, July 2026).
LIMITS = {
    "display_information.name": (1, 35),
    "display_information.description": (1, 140),
    "display_information.long_description": (175, 4000),
    "display_information.background_color": (4, 7),
    "features.bot_user.display_name": (1, 80),
    "features.shortcuts.name": (1, 24),
    "features.shortcuts.callback_id": (1, 255),
    "features.shortcuts.description": (1, 150),
    "features.slash_commands.command": (2, 32),
    "features.slash_commands.description": (1, 2000),
    "features.slash_commands.usage_hint": (1, 1000),
    "features.slash_commands.url": (8, 3000),
    "features.shortcuts.type": (6, 7),
    "oauth_config.redirect_urls": (8, 2500),
    "oauth_config.scopes.bot": (1, 50),
    "settings.event_subscriptions.request_url": (8, 3500),
    "settings.event_subscriptions.bot_events": (1, 50),
    "settings.interactivity.request_url": (8, 3500),
}
BOOLEANS = {
    "features.app_home.home_tab_enabled",
    "features.app_home.messages_tab_enabled",
    "features.app_home.messages_tab_read_only_enabled",
    "features.bot_user.always_online",
    "features.slash_commands.should_escape",
    "settings.interactivity.is_enabled",
    "settings.org_deploy_enabled",
    "settings.socket_mode_enabled",
    "settings.token_rotation_enabled",
}
# Event -> scopes without one of which Slack does not send it.
EVENT_SCOPES: dict[str, set[str]] = {
    "app_home_opened": set(),
    "app_mention": {"app_mentions:read"},
    "app_uninstalled": set(),
    "file_deleted": {"files:read"},
    "file_shared": {"files:read"},
    "member_joined_channel": {"channels:read", "groups:read"},
    "message.channels": {"channels:history"},
    "message.groups": {"groups:history"},
    "message.im": {"im:history"},
    "message.mpim": {"mpim:history"},
    "team_access_revoked": set(),
    "tokens_revoked": set(),
}


def manifest(*marks: str) -> dict[str, Any]:
    """The manifest, with the lines of these marks taken in as its comments say."""
    text = TEXT
    for mark in marks:
        text, count = re.subn(rf"(?m)^( *)#{mark} ", r"\1", text)
        assert count, f"no line is marked {mark}"
    found = yaml.safe_load(text)
    assert isinstance(found, dict)
    return found


def leaves(part: Any, path: str = "") -> list[tuple[str, Any]]:
    """Every value with its path; items of lists share their list's."""
    if isinstance(part, dict):
        return [leaf for key, value in part.items() for leaf in leaves(value, f"{path}.{key}".lstrip("."))]
    if isinstance(part, list):
        return [leaf for value in part for leaf in leaves(value, path)]
    return [(path, part)]


@pytest.mark.parametrize("marks", [(), ("HTTP",), ("MANY",), ("HTTP", "MANY")])
def test_every_field_is_one_of_slacks_and_within_its_limits(marks: tuple[str, ...]) -> None:
    for path, value in leaves(manifest(*marks)):
        if path in LIMITS:
            assert isinstance(value, str), path
            low, high = LIMITS[path]
            assert low <= len(value) <= high, f"{path} has {len(value)} characters"
        elif path in BOOLEANS:
            assert isinstance(value, bool), path
        else:
            assert path in {"_metadata.major_version", "_metadata.minor_version"}
            assert value == 1
    assert re.fullmatch("#[0-9a-f]{6}", manifest()["display_information"]["background_color"])


def test_ids_are_those_of_the_code() -> None:
    features = manifest()["features"]
    (shortcut,) = features["shortcuts"]
    assert (shortcut["callback_id"], shortcut["type"]) == (ids.SHORTCUT, "message")
    (command,) = features["slash_commands"]
    assert command["command"] == ids.COMMAND
    assert command["command"] in DOCS
    assert f"*{shortcut['name']}*" in DOCS
    assert f"/invite @{features['bot_user']['display_name']}" in DOCS


def test_scopes_are_those_of_the_code_and_each_is_explained() -> None:
    assert manifest()["oauth_config"]["scopes"] == {"bot": list(SCOPES)}
    table = DOCS.partition("## What each scope is for")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"(?m)^\| `([a-z_:]+)` \| (.+?) \|$", table))
    assert list(rows) == list(SCOPES)
    assert all(len(why) > 15 and why.endswith(".") for why in rows.values())


def test_every_event_comes_with_its_scope_and_no_scope_is_there_for_nothing() -> None:
    subscribed = manifest()["settings"]["event_subscriptions"]["bot_events"]
    assert subscribed == sorted(EVENT_SCOPES)
    for event in subscribed:
        assert EVENT_SCOPES[event] <= set(SCOPES), event
    of_events = set().union(*EVENT_SCOPES.values())
    of_calls = {
        "chat:write",
        "commands",
        "files:write",
        "im:read",
        "mpim:read",
        "usergroups:read",
        "users:read",
    }
    assert set(SCOPES) == of_events | of_calls


def test_as_it_is_it_needs_no_public_address() -> None:
    assert manifest()["settings"]["socket_mode_enabled"] is True
    assert manifest()["settings"]["token_rotation_enabled"] is False
    assert not [value for _, value in leaves(manifest()) if str(value).startswith("http")]


def test_what_the_comments_take_in_leads_to_our_pages() -> None:
    http, many = manifest("HTTP"), manifest("MANY")
    addresses = [
        http["features"]["slash_commands"][0]["url"],
        http["settings"]["event_subscriptions"]["request_url"],
        http["settings"]["interactivity"]["request_url"],
    ]
    assert addresses == [HOST + EVENTS_PATH] * 3
    assert many["oauth_config"]["redirect_urls"] == [HOST + REDIRECT_PATH]
    assert "org_deploy_enabled" in TEXT.partition("_metadata")[0]
    assert "socket_mode_enabled to false" in TEXT.partition("_metadata")[0]


def test_the_page_names_only_settings_that_there_are() -> None:
    known = {field.alias for field in SlackSettings.model_fields.values()}
    named = set(re.findall(r"\bSLACK_[A-Z_]+\b", DOCS))
    assert named == known


def test_what_the_page_quotes_is_what_the_service_says() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "bots" / "slack").glob("*.py"))
    said = re.sub(r'"\s*\n\s*f?"', "", code)  # sentences go over several lines
    for variable, path in (("{prefix}", "xoxb-"), ("%s", EVENTS_PATH), ("({code})", "(bad_client_secret)")):
        said = said.replace(variable, path)
    table = DOCS.partition("## When something is wrong")[2]
    quoted = re.findall(r"(?m)^\| `([^`]+)` \|", table)
    assert len(quoted) > 5
    for sentence in quoted:
        for part in sentence.removeprefix("SLACK_BOT_TOKEN").split("..."):
            assert part.strip() in said, part
