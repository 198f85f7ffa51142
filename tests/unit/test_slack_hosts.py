"""Where the token may go, and where nothing is fetched from."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from bots.slack.hosts import Forbidden, Hosts, PrivateAddress
from core.errors import Misconfigured
from tests.vendors.faults import serving

LOCAL = "http://127.0.0.1:8765/api/"


@pytest.mark.parametrize(
    ("url", "base", "trusted"),
    [
        ("https://files.slack.com/files-pri/T1-F1/a.mp3", "https://slack.com/api/", True),
        ("https://SLACK.com/api/", "https://slack.com/api/", True),
        ("https://acme.enterprise.slack.com/x", "https://slack.com/api/", True),
        ("https://files.slack-gov.com/x", "https://slack-gov.com/api/", True),
        ("https://files.slack.com/x", LOCAL, True),
        ("http://127.0.0.1:8765/files-pri/x", LOCAL, True),
        ("http://127.0.0.1:8766/files-pri/x", LOCAL, False),
        ("https://127.0.0.1:8765/files-pri/x", LOCAL, False),
        ("http://localhost:8765/x", LOCAL, False),
        ("http://files.slack.com/x", "https://slack.com/api/", False),
        ("https://files.slack.com:8443/x", "https://slack.com/api/", False),
        ("https://notslack.com/x", "https://slack.com/api/", False),
        ("https://slack.com.evil.example/x", "https://slack.com/api/", False),
        ("https://slack.com@evil.example/x", "https://slack.com/api/", False),
        ("https://user@slack.com/x", "https://slack.com/api/", False),
        ("https://a.slack-edge.com/x", "https://slack.com/api/", False),
        ("https://slack-files.com/x", "https://slack.com/api/", False),
        ("https://drive.google.com/x", "https://slack.com/api/", False),
        ("ftp://slack.com/x", "https://slack.com/api/", False),
        ("//slack.com/x", "https://slack.com/api/", False),
        ("/api/", "https://slack.com/api/", False),
        ("", "https://slack.com/api/", False),
        ("https://gateway.example:8443/api/x", "https://gateway.example:8443/api/", True),
        ("https://gateway.example/api/x", "https://gateway.example:8443/api/", False),
    ],
)
def test_the_token_goes_to_slack_only(url: str, base: str, trusted: bool) -> None:
    assert Hosts(base).takes_token(URL(url)) is trusted


@pytest.mark.parametrize(
    "url",
    [
        "http://files.slack.com/x",
        "https://127.0.0.1/x",
        "https://10.1.2.3/x",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/x",
        "https://[fe80::1]/x",
        "https://[::ffff:192.168.1.1]/x",
        "https://[64:ff9b::a00:1]/x",
        "https://0.0.0.0/x",
        "https://224.0.0.1/x",
        "https://user:word@files.example/x",
        "http://127.0.0.1:8766/x",
        "https://127.0.0.1:8765/x",
        "file:///etc/passwd",
        "/x",
        "",
    ],
)
def test_some_addresses_are_not_even_asked(url: str) -> None:
    hosts = Hosts(LOCAL)
    with pytest.raises(Forbidden):
        hosts.check(URL(url))


@pytest.mark.parametrize(
    "url", ["https://files.slack.com/x", "https://cdn.example/x", "https://8.8.8.8/x", f"{LOCAL}x"]
)
def test_others_may_be(url: str) -> None:
    Hosts(LOCAL).check(URL(url))


@pytest.mark.parametrize(
    "base",
    ["http://slack.com/api/", "ftp://slack.com/", "slack.com", "", "https://u:p@slack.com/", "http://["],
)
def test_an_api_that_is_not_encrypted_or_no_address_is_a_misconfiguration(base: str) -> None:
    with pytest.raises(Misconfigured, match="SLACK_API_BASE_URL"):
        Hosts(base)


def test_the_operators_proxy_is_used_but_not_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "slack-gov.com")
    hosts = Hosts(LOCAL)
    assert hosts.proxy(URL("https://slack.com/api/")) == "http://proxy.example:3128"
    assert hosts.proxy(URL("https://files.slack-gov.com/x")) is None
    assert hosts.proxy(URL(LOCAL)) is None


async def test_a_session_keeps_the_rules_on_every_hop() -> None:
    seen: list[str] = []
    there: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        if there:
            return web.Response(status=307, headers={"Location": there.pop()})
        return web.Response(text="here")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with serving(app) as origin, serving(app) as other:
        hosts = Hosts(f"{origin}/api/")
        async with hosts.session() as session:
            async with session.get(f"{origin}/a", headers={"Authorization": "Bearer x"}) as answer:
                assert await answer.text() == "here"
            for forbidden in (f"{other}/b", "http://169.254.169.254/b", "https://[::1]/b"):
                there.append(forbidden)
                with pytest.raises(Forbidden):
                    await session.get(f"{origin}/a")
                with pytest.raises(Forbidden):
                    await session.get(forbidden)
            with pytest.raises(Forbidden):
                await session.get("https://cdn.example/b", headers={"Authorization": "Bearer x"})
    assert "/b" not in seen


async def test_a_name_that_leads_into_a_private_network_is_not_followed() -> None:
    async with Hosts(LOCAL).session() as session:
        with pytest.raises(aiohttp.ClientConnectorError) as error:
            await session.get("https://localhost/x")
    assert isinstance(error.value.os_error, PrivateAddress)


async def test_the_name_of_the_api_itself_may_be_local() -> None:
    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="here")

    app = web.Application()
    app.router.add_get("/api/x", handler)
    async with serving(app) as origin:
        named = origin.replace("127.0.0.1", "localhost")
        async with Hosts(f"{named}/api/").session() as session, session.get(f"{named}/api/x") as answer:
            assert await answer.text() == "here"
