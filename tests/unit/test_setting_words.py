"""What people are told of a setting that is wrong: plain words, and never its value."""

from __future__ import annotations

import pytest

from bots.slack.settings import SlackSettings
from core.commands.backfill import counted
from core.commands.transcribe import parse_languages
from core.errors import Misconfigured
from core.settings import Settings, load_settings

PUBLIC = (
    "HTTPS address under which vendors reach this service's HTTP server, for webhooks, such as "
    "https://erni.example.com"
)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ERNI_HTTP_PORT", "many", "should be a whole number."),
        ("ERNI_HTTP_PORT", "70000", "should be 65535 or less."),
        ("ERNI_MAX_SECONDS", "0", "should be above 0."),
        ("ERNI_MONTHLY_BUDGET", "-1", "should be 0 or more."),
        ("ERNI_VOICES", "perhaps", "should be true or false."),
        ("ERNI_LOG_FORMAT", "xml", "should be 'text' or 'json'."),
        ("ERNI_PUBLIC_URL", "http://erni.example.com", f"is not written as it should be. It is: {PUBLIC}."),
    ],
)
def test_a_wrong_setting_in_plain_words(name: str, value: str, said: str) -> None:
    with pytest.raises(Misconfigured) as error:
        load_settings(Settings, **{name: value})
    assert str(error.value) == f"Setting {name}: {said}"


def test_our_own_words_are_left_as_they_are() -> None:
    with pytest.raises(Misconfigured, match=r"^Setting SLACK_BOT_TOKEN: should begin with xoxb- "):
        load_settings(SlackSettings, SLACK_BOT_TOKEN="nonsense")


@pytest.mark.parametrize(
    ("written", "codes"),
    [
        ("German", ("de",)),
        ("German,en", ("de", "en")),
        ("de-AT, EN_us", ("de", "en")),
        ("zh-Hant,YUE", ("zh", "yue")),
        (None, ()),
    ],
)
def test_languages_of_a_call_are_names_or_codes(written: str | None, codes: tuple[str, ...]) -> None:
    assert parse_languages(written) == codes


def test_one_is_no_plural() -> None:
    assert [counted(number, "recording") for number in (0, 1, 2000)] == [
        "0 recordings",
        "1 recording",
        "2,000 recordings",
    ]
