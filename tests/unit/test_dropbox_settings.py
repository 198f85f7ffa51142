"""Settings of the Dropbox connector."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.dropbox.settings import API_BASE_URL, DropboxSettings, check
from core.errors import Misconfigured
from core.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)


def settings(**values: Any) -> DropboxSettings:
    return load_settings(DropboxSettings, **values)


def test_nothing_is_needed() -> None:
    found = settings()
    check(found)
    assert found.api_base_url == API_BASE_URL
    assert (found.folders, found.output, found.backfill, found.tags) == ((), "beside", False, False)


def test_everything_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DROPBOX_APP_KEY": "erniaudioappkey",
        "DROPBOX_APP_SECRET": " s3cr3t ",
        "DROPBOX_REFRESH_TOKEN": "r3fr3sh",
        "DROPBOX_FOLDERS": "/Meetings, https://www.dropbox.com/scl/fo/x?rlkey=y",
        "DROPBOX_BACKFILL": "yes",
        "DROPBOX_FORMATS": "md,vtt",
        "DROPBOX_OUTPUT": "Transcripts",
        "DROPBOX_LANGUAGES": "de,en",
        "DROPBOX_SPEAKERS": "2-5",
        "DROPBOX_VOCABULARY": "Erni, Zürich",
        "DROPBOX_TAGS": "true",
        "DROPBOX_API_BASE_URL": "http://127.0.0.1:8080/",
    }.items():
        monkeypatch.setenv(name, value)
    found = settings()
    check(found)
    assert found.app_secret is not None
    assert found.app_secret.get_secret_value() == "s3cr3t"
    assert found.folders == ("/Meetings", "https://www.dropbox.com/scl/fo/x?rlkey=y")
    assert found.api_base_url == "http://127.0.0.1:8080"
    policy = found.policy(load_settings(Settings, ERNI_LANGUAGES="fr"))
    assert (policy.languages, policy.formats) == (("de", "en"), ("md", "vtt"))
    assert (policy.min_speakers, policy.max_speakers) == (2, 5)
    assert policy.vocabulary == ("Erni", "Zürich")
    assert "s3cr3t" not in repr(found)
    assert "r3fr3sh" not in repr(found)


def test_what_is_not_set_is_as_in_the_service() -> None:
    policy = settings().policy(load_settings(Settings, ERNI_LANGUAGES="fr", ERNI_FORMATS="srt"))
    assert (policy.languages, policy.formats) == (("fr",), ("srt",))
    assert policy.min_speakers is None


def test_empty_variables_count_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DROPBOX_APP_KEY", "DROPBOX_REFRESH_TOKEN", "DROPBOX_FORMATS"):
        monkeypatch.setenv(name, "")
    check(settings())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DROPBOX_APP_KEY", "not a key"),
        ("DROPBOX_FORMATS", "pdf"),
        ("DROPBOX_OUTPUT", "a/b"),
        ("DROPBOX_OUTPUT", ".hidden"),
        ("DROPBOX_SPEAKERS", "many"),
        ("DROPBOX_API_BASE_URL", "http://example.com"),
        ("DROPBOX_API_BASE_URL", "https://ann@example.com"),
        ("DROPBOX_API_BASE_URL", "https://example.com/path"),
        ("DROPBOX_API_BASE_URL", "https://[::1"),
        ("DROPBOX_API_BASE_URL", "ftp://127.0.0.1"),
        ("DROPBOX_API_BASE_URL", "https://"),
        ("DROPBOX_VOCABULARY", "x" * 200),
    ],
)
def test_what_makes_no_sense_is_named(name: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=name):
        settings(**{name: value})


@pytest.mark.parametrize("address", ["https://gateway.example", "http://localhost:80", "http://[::1]:8080"])
def test_addresses_that_may_be(address: str) -> None:
    assert settings(DROPBOX_API_BASE_URL=address).api_base_url == address


def test_what_is_missing_is_named() -> None:
    with pytest.raises(Misconfigured, match="DROPBOX_APP_KEY"):
        check(settings(DROPBOX_REFRESH_TOKEN="r3fr3sh"))
    with pytest.raises(Misconfigured, match="DROPBOX_REFRESH_TOKEN"):
        check(settings(DROPBOX_FOLDERS="/Meetings"))
