"""Slack's settings: what is put in the wrong place is named, and never shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bots.slack.settings import SCOPES, SlackSettings, authorize_url, mode_of, reach_of, web_origin
from core.configuration import render
from core.errors import Misconfigured
from core.settings import load_settings

BOT, APP, SECRET, CLIENT, CLIENT_SECRET = (
    "SLACK_BOT_TOKEN",
    "SLACK_APP_TOKEN",
    "SLACK_SIGNING_SECRET",
    "SLACK_CLIENT_ID",
    "SLACK_CLIENT_SECRET",
)
VALUES = {
    BOT: "xoxb-1-hush",
    APP: "xapp-1-hush",
    SECRET: "hush",
    CLIENT: "1234567890.9876543210",
    CLIENT_SECRET: "hush",
}
PUBLIC = "https://audio.example.com"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where no .env lies
    for name in VALUES:
        monkeypatch.delenv(name, raising=False)


def having(*names: str, **others: Any) -> SlackSettings:
    return load_settings(SlackSettings, **{name: VALUES[name] for name in names}, **others)


def test_everything_is_optional_by_itself() -> None:
    settings = having()
    assert settings.api_base_url == "https://slack.com/api/"
    assert (settings.transcribe, settings.formats) == ("all", ("md", "srt"))


def test_the_environment_and_a_file_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("SLACK_APP_TOKEN=' xapp-1-from-file '\nSLACK_SIGNING_SECRET=\n")
    monkeypatch.setenv(BOT, "xoxb-1-from-environment\n")
    monkeypatch.setenv("SLACK_FORMATS", "txt, vtt")
    monkeypatch.setenv("SLACK_TRANSCRIBE", "")
    settings = load_settings(SlackSettings)
    assert settings.bot_token is not None
    assert settings.bot_token.get_secret_value() == "xoxb-1-from-environment"
    assert settings.app_token is not None
    assert settings.app_token.get_secret_value() == "xapp-1-from-file"
    assert settings.signing_secret is None
    assert settings.formats == ("txt", "vtt")
    assert settings.transcribe == "all"


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        (BOT, "xapp-1-hush", "an app-level token: put it into SLACK_APP_TOKEN"),
        (BOT, "xoxp-1-hush", "a user's token"),
        (BOT, "xoxe.xoxb-1-hush", "token rotation is on"),
        (BOT, "xoxe-1-hush", "a refresh or configuration token"),
        (BOT, "xoxe.xoxp-1-hush", "a refresh or configuration token"),
        (BOT, "xoxc-hush", "another kind of token"),
        (BOT, "hush", "something else"),
        (APP, "xoxb-1-hush", "a bot token: put it into SLACK_BOT_TOKEN"),
        (APP, "xoxp-1-hush", "a user's token"),
        (APP, "hush", "something else"),
    ],
)
def test_a_token_in_the_wrong_place_is_named_but_not_shown(variable: str, value: str, says: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        having(**{variable: value})
    assert variable in str(caught.value)
    assert says in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        (CLIENT, "A0123456789"),
        ("SLACK_TRANSCRIBE", "some"),
        ("SLACK_FORMATS", "md,pdf"),
        ("SLACK_FORMATS", ","),
        ("SLACK_SETTINGS_GROUP", "@admins"),
        ("SLACK_API_BASE_URL", "http://slack.com/api/"),
        ("SLACK_API_BASE_URL", "https://user:pass@slack.com/api/"),
        ("SLACK_API_BASE_URL", "https://slack.com/api/?x=1"),
        ("SLACK_API_BASE_URL", "slack.com/api/"),
        ("SLACK_API_BASE_URL", "https:///api/"),
        ("SLACK_API_BASE_URL", "https://[/api/"),
        ("SLACK_API_BASE_URL", "https://slack.com:port/api/"),
    ],
)
def test_values_that_cannot_be_are_refused(variable: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=variable):
        having(**{variable: value})


@pytest.mark.parametrize(
    ("given", "base", "authorize"),
    [
        ("https://slack.com/api", "https://slack.com/api/", "https://slack.com/oauth/v2/authorize"),
        (
            "https://slack-gov.com/api/",
            "https://slack-gov.com/api/",
            "https://slack-gov.com/oauth/v2/authorize",
        ),
        (
            "http://127.0.0.1:4100/api/",
            "http://127.0.0.1:4100/api/",
            "http://127.0.0.1:4100/oauth/v2/authorize",
        ),
    ],
)
def test_pages_are_on_the_host_of_the_api(given: str, base: str, authorize: str) -> None:
    settings = having(SLACK_API_BASE_URL=given)
    assert settings.api_base_url == base
    assert authorize_url(base) == authorize
    assert authorize.startswith(web_origin(base))


@pytest.mark.parametrize(
    ("names", "public_url", "mode"),
    [
        ((APP,), None, "socket"),
        ((APP,), PUBLIC, "socket"),
        ((APP, SECRET), None, "socket"),
        ((SECRET,), PUBLIC, "http"),
    ],
)
def test_the_mode_follows_from_what_is_set(names: tuple[str, ...], public_url: str | None, mode: str) -> None:
    assert mode_of(having(*names), public_url) == mode


@pytest.mark.parametrize(
    ("names", "public_url", "says"),
    [
        ((), None, "Set SLACK_APP_TOKEN"),
        ((), None, "set ERNI_PUBLIC_URL and SLACK_SIGNING_SECRET"),
        ((), PUBLIC, "or SLACK_SIGNING_SECRET"),
        ((SECRET,), None, "Set ERNI_PUBLIC_URL"),
        ((SECRET,), None, "set SLACK_APP_TOKEN instead"),
        ((APP, SECRET), PUBLIC, "Remove SLACK_SIGNING_SECRET if Socket Mode is on"),
    ],
)
def test_what_the_mode_lacks_is_named(names: tuple[str, ...], public_url: str | None, says: str) -> None:
    with pytest.raises(Misconfigured, match=says):
        mode_of(having(*names), public_url)


def test_one_workspace_or_many() -> None:
    assert reach_of(having(BOT), None, encrypted=False) == "one"
    assert reach_of(having(CLIENT, CLIENT_SECRET), PUBLIC, encrypted=True) == "many"


@pytest.mark.parametrize(
    ("names", "public_url", "encrypted", "says"),
    [
        ((), None, False, "SLACK_BOT_TOKEN is missing"),
        ((CLIENT,), PUBLIC, True, "need SLACK_CLIENT_SECRET, which is not set"),
        ((CLIENT_SECRET,), PUBLIC, True, "need SLACK_CLIENT_ID, which is not set"),
        ((CLIENT, CLIENT_SECRET), None, True, "need ERNI_PUBLIC_URL, which is not set"),
        ((CLIENT, CLIENT_SECRET), PUBLIC, False, "need ERNI_ENCRYPTION_KEY, which is not set"),
        ((BOT, CLIENT, CLIENT_SECRET), PUBLIC, True, "Remove SLACK_BOT_TOKEN, or the other two"),
    ],
)
def test_what_workspaces_lack_is_named(
    names: tuple[str, ...], public_url: str | None, encrypted: bool, says: str
) -> None:
    with pytest.raises(Misconfigured, match=says):
        reach_of(having(*names), public_url, encrypted=encrypted)


def test_the_table_describes_every_setting_and_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VALUES.items():
        monkeypatch.setenv(name, value)
    table = render([SlackSettings])
    assert "hush" not in table
    for row in table.splitlines()[4:]:
        assert len(row.split(" | ")[2]) > 20, f"no description: {row}"


def test_scopes_are_sorted_and_occur_once() -> None:
    assert list(SCOPES) == sorted(set(SCOPES))
