"""Teams' settings: nothing is open without credentials; what is wrongly placed is named, not shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bots.teams.settings import (
    INSECURE,
    Registration,
    TeamsSettings,
    graph_scope,
    is_local,
    registration_of,
)
from core.configuration import render
from core.errors import Misconfigured
from core.settings import load_settings

APP, PASSWORD, TENANT = "TEAMS_APP_ID", "TEAMS_APP_PASSWORD", "TEAMS_TENANT_ID"
METADATA, LOGIN, GRAPH = "TEAMS_OPENID_METADATA", "TEAMS_LOGIN_BASE_URL", "GRAPH_BASE_URL"
VALUES: dict[str, Any] = {
    APP: "6f1c3a52-8f0e-4d0b-9a55-3b8f0d1f6f2e",
    PASSWORD: "hush~hush",
    TENANT: "0d9b645f-597b-41f0-a2a3-ef103fbd91bb",
    INSECURE: True,
}
PUBLIC = "https://audio.example.com"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where no .env lies
    for name in (*VALUES, METADATA, LOGIN, GRAPH, "TEAMS_TRANSCRIBE", "TEAMS_FORMATS"):
        monkeypatch.delenv(name, raising=False)


def having(*names: str, **others: Any) -> TeamsSettings:
    return load_settings(TeamsSettings, **{name: VALUES[name] for name in names}, **others)


def app_of(settings: TeamsSettings, host: str = "127.0.0.1", url: str | None = PUBLIC) -> Registration | None:
    return registration_of(settings, http_host=host, public_url=url)


def test_the_defaults_are_those_of_the_public_cloud() -> None:
    settings = having()
    assert settings.openid_metadata == "https://login.botframework.com/v1/.well-known/openidconfiguration"
    assert settings.login_base_url == "https://login.microsoftonline.com"
    assert settings.graph_base_url == "https://graph.microsoft.com/v1.0"
    assert (settings.transcribe, settings.formats) == ("asked", ("md", "srt"))
    assert not settings.insecure_local_development


def test_the_environment_and_a_file_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(
        f"{APP}=' {VALUES[APP].upper()} '\n{PASSWORD}=' hush '\n{METADATA}=\nTEAMS_FORMATS=\n"
    )
    monkeypatch.setenv(TENANT, VALUES[TENANT])
    monkeypatch.setenv("TEAMS_TRANSCRIBE", "never")
    settings = load_settings(TeamsSettings)
    found = app_of(settings)
    assert found is not None
    assert (found.app, found.tenant, found.bot) == (VALUES[APP], VALUES[TENANT], f"28:{VALUES[APP]}")
    assert found.secret.get_secret_value() == "hush"
    assert settings.transcribe == "never"


@pytest.mark.parametrize("name", [APP, PASSWORD, TENANT])
def test_without_one_of_them_nothing_is_opened(name: str) -> None:
    with pytest.raises(Misconfigured, match=f"^{name} is missing"):
        app_of(having(*{APP, PASSWORD, TENANT} - {name}))


def test_without_any_of_them_the_first_is_named() -> None:
    with pytest.raises(Misconfigured, match=f"^{APP} is missing"):
        app_of(having())


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (APP, "erni", APP),
        (TENANT, "contoso.onmicrosoft.com", TENANT),
        (PASSWORD, "  ", "is empty"),
        (PASSWORD, "0D9B645F-597b-41f0-a2a3-ef103fbd91bb", "Secret ID"),
        (METADATA, "http://login.botframework.com/v1", "https://"),
        (LOGIN, "https://who:what@login.example", "https://"),
        (GRAPH, "graph.microsoft.com", "https://"),
        (GRAPH, "https://graph.microsoft.com/v1.0?x=1", "https://"),
        (GRAPH, "http://10.0.0.1/v1.0", "https://"),
        ("TEAMS_TRANSCRIBE", "sometimes", "TEAMS_TRANSCRIBE"),
        ("TEAMS_FORMATS", "md,stone", "there are: "),
        (INSECURE, "perhaps", INSECURE),
    ],
)
def test_a_wrong_value_is_named_but_not_shown(name: str, value: str, says: str) -> None:
    with pytest.raises(Misconfigured, match=says) as caught:
        having(**{name: value})
    assert name in str(caught.value)
    if name == PASSWORD and value.strip():
        assert value not in str(caught.value)


def test_a_secret_is_not_shown() -> None:
    settings = having(APP, PASSWORD, TENANT)
    assert "hush" not in repr(settings)
    assert "hush" not in repr(app_of(settings))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.3.2.1"])
def test_insecure_development_needs_no_app(host: str) -> None:
    settings = having(INSECURE)
    assert app_of(settings, host, None) is None
    assert is_local(settings)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.4", "192.168.1.2", "audio.example.com"])
def test_insecure_development_stays_on_this_machine(host: str) -> None:
    with pytest.raises(Misconfigured, match=r"ERNI_HTTP_HOST must be 127\.0\.0\.1"):
        app_of(having(INSECURE), host, None)


def test_insecure_development_has_no_public_address() -> None:
    with pytest.raises(Misconfigured, match="ERNI_PUBLIC_URL"):
        app_of(having(INSECURE))


@pytest.mark.parametrize("name", [APP, PASSWORD, TENANT])
def test_insecure_development_is_not_mixed_with_an_app(name: str) -> None:
    with pytest.raises(Misconfigured, match=f"Remove {INSECURE} .* or {name} "):
        app_of(having(INSECURE, name), url=None)


def test_a_local_microsoft_is_local_altogether() -> None:
    here = {METADATA: "http://127.0.0.1:1/v1", LOGIN: "http://127.0.0.1:1/", GRAPH: "http://localhost:2"}
    settings = having(APP, PASSWORD, TENANT, **here)
    assert app_of(settings) is not None
    assert is_local(settings)
    assert settings.graph_base_url == "http://localhost:2/v1.0"
    for name in here:
        rest = {other: value for other, value in here.items() if other != name}
        with pytest.raises(Misconfigured, match=f"and {name} is not"):
            app_of(having(APP, PASSWORD, TENANT, **rest))


@pytest.mark.parametrize(
    ("address", "scope"),
    [
        ("https://graph.microsoft.com/v1.0", "https://graph.microsoft.com"),
        ("https://graph.microsoft.us", "https://graph.microsoft.us"),
        ("https://microsoftgraph.chinacloudapi.cn/v1.0/", "https://microsoftgraph.chinacloudapi.cn"),
        ("http://127.0.0.1:99/v1.0", "https://graph.microsoft.com"),
    ],
)
def test_a_token_is_asked_for_graphs_own_cloud(address: str, scope: str) -> None:
    settings = having(**{GRAPH: address})
    assert graph_scope(settings) == scope
    assert settings.graph_base_url.endswith("/v1.0")


def test_the_settings_can_be_documented() -> None:
    tables = render([TeamsSettings])
    assert all(f"`{name}`" in tables for name in VALUES)
    assert "hush" not in tables
