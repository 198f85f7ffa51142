"""The pages that remove the app from Slack, in a browser that keeps cookies, against the local Slack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from slack_sdk.web.async_client import AsyncWebClient
from yarl import URL

from bots.slack.installations import Installations
from bots.slack.removing import RemoveFlow, removal
from core.http import HttpServer
from core.testing import MemoryStore
from tests.vendors import slack
from tests.vendors.slack import Installer, SlackServer, refusal
from tests.vendors.slack_model import User, Workspace

# slack_sdk 3.47.0 signs in to oauth.v2.access with what aiohttp 3.14 calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")

PUBLIC = "https://audio.example.com"


@dataclass
class Site:
    """Our pages; `gone` is whose data was deleted."""

    origin: str
    browser: aiohttp.ClientSession
    source: Installations
    gone: list[tuple[str | None, str | None]]

    async def get(self, url: str, **headers: str) -> tuple[aiohttp.ClientResponse, str]:
        async with self.browser.get(URL(url, encoded=True), allow_redirects=False, headers=headers) as answer:
            return answer, await answer.text()

    async def remove(self) -> tuple[aiohttp.ClientResponse, str]:
        """From the link on the first page to what Slack's page leads back to."""
        answer, _ = await self.get(
            f"{self.origin}/slack/uninstall?go=yes", **{"Sec-Fetch-Site": "same-origin"}
        )
        assert answer.status == 302
        answer, text = await self.get(answer.headers["Location"])
        assert answer.status == 302, text
        back = answer.headers["Location"]
        assert back.startswith(f"{PUBLIC}/slack/oauth_redirect/uninstall?")
        return await self.get(self.origin + back.removeprefix(PUBLIC))


@pytest.fixture
async def server() -> AsyncIterator[SlackServer]:
    async with slack.serving() as running:
        yield running


@pytest.fixture
def workspace(server: SlackServer) -> Workspace:
    return server.add_workspace("Acme <b>", install=False)


@asynccontextmanager
async def site(server: SlackServer) -> AsyncIterator[Site]:
    store = MemoryStore()
    gone: list[tuple[str | None, str | None]] = []

    async def removed(team: str | None, enterprise: str | None) -> None:
        gone.append((team, enterprise))

    client = AsyncWebClient(base_url=server.api_url, retry_handlers=[])
    app = server.app
    source = Installations(
        store, client, client_id=app.client_id, client_secret=app.client_secret, removed=removed
    )
    flow = RemoveFlow(
        source,
        store,
        client,
        client_id=app.client_id,
        client_secret=app.client_secret,
        public_url=PUBLIC + "/",
        api_base_url=server.api_url,
    )
    async with HttpServer(port=0, probes={}, registry=CollectorRegistry(), routes=removal(flow)) as http:
        origin = f"http://127.0.0.1:{http.port}"
        jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=URL(origin))
        async with aiohttp.ClientSession(cookie_jar=jar) as browser:
            yield Site(origin, browser, source, gone)


async def install(here: Site, server: SlackServer, workspace: Workspace, by: User) -> None:
    """As somebody did long ago."""
    server.api.installer = Installer(user=by.id, team=workspace.id)
    answer, _ = await here.get(f"{here.origin}/slack/uninstall?go=yes", **{"Sec-Fetch-Site": "same-origin"})
    back, _ = await here.get(answer.headers["Location"])
    code = URL(back.headers["Location"]).query["code"]
    flow = RemoveFlow(
        here.source,
        MemoryStore(),
        AsyncWebClient(base_url=server.api_url),
        client_id=server.app.client_id,
        client_secret=server.app.client_secret,
        public_url=PUBLIC,
        api_base_url=server.api_url,
    )
    await here.source.async_save(await flow.run_installation(code))


async def test_the_first_page_says_what_will_happen(server: SlackServer) -> None:
    async with site(server) as here:
        answer, text = await here.get(f"{here.origin}/slack/uninstall")
        assert answer.status == 200
        assert "what this service keeps of it is deleted" in text
        assert 'href="uninstall?go=yes"' in text


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"}])
async def test_another_site_cannot_begin_a_removal(server: SlackServer, headers: dict[str, str]) -> None:
    async with site(server) as here:
        answer, text = await here.get(f"{here.origin}/slack/uninstall?go=yes", **headers)
        assert answer.status == 200
        assert "Go on" in text


async def test_who_installed_it_removes_it(server: SlackServer, workspace: Workspace) -> None:
    installer = server.add_user(workspace, "ada")
    async with site(server) as here:
        await install(here, server, workspace, installer)
        answer, text = await here.remove()
        assert answer.status == 200, text
        assert "Erni Audio was removed from Acme &lt;b&gt;" in text
        assert 'href="../install"' in text
        assert await here.source.find(workspace.id, None) is None
        assert here.gone == [(workspace.id, None)]
    assert server.called("apps.uninstall")


async def test_an_admin_removes_it(server: SlackServer, workspace: Workspace) -> None:
    installer, admin = server.add_user(workspace, "ada"), server.add_user(workspace, "bo", is_admin=True)
    async with site(server) as here:
        await install(here, server, workspace, installer)
        server.api.installer = Installer(user=admin.id, team=workspace.id)
        answer, _ = await here.remove()
        assert answer.status == 200
        assert await here.source.find(workspace.id, None) is None


async def test_anybody_else_does_not(server: SlackServer, workspace: Workspace) -> None:
    installer, other = server.add_user(workspace, "ada"), server.add_user(workspace, "bo")
    async with site(server) as here:
        await install(here, server, workspace, installer)
        server.api.installer = Installer(user=other.id, team=workspace.id)
        for _ in range(2):  # having tried once does not make an installer of anybody
            answer, text = await here.remove()
            assert answer.status == 403
            assert "by who installed it and by admins" in text
        found = await here.source.find(workspace.id, None)
        assert found is not None
        assert found.installer == installer.id
        assert here.gone == []
    assert not server.called("apps.uninstall")


async def test_who_installs_it_again_does_not_become_its_installer(
    server: SlackServer, workspace: Workspace
) -> None:
    installer, other = server.add_user(workspace, "ada"), server.add_user(workspace, "bo")
    async with site(server) as here:
        await install(here, server, workspace, installer)
        await install(here, server, workspace, other)
        assert await installer_of(here, workspace) == installer.id
        answer, _ = await here.remove()
        assert answer.status == 403
        await install(here, server, workspace, installer)
        answer, _ = await here.remove()
        assert answer.status == 200


async def test_an_admin_who_installs_it_again_becomes_its_installer(
    server: SlackServer, workspace: Workspace
) -> None:
    installer, admin = server.add_user(workspace, "ada"), server.add_user(workspace, "bo", is_admin=True)
    async with site(server) as here:
        await install(here, server, workspace, installer)
        server.fail("users.info", refusal("user_not_found"))  # who can't be asked about counts as anybody
        await install(here, server, workspace, admin)
        assert await installer_of(here, workspace) == installer.id
        await install(here, server, workspace, admin)
        assert await installer_of(here, workspace) == admin.id


async def installer_of(here: Site, workspace: Workspace) -> str:
    found = await here.source.find(workspace.id, None)
    assert found is not None
    return found.installer


async def test_what_slack_does_not_remove_stays_as_it_was(server: SlackServer, workspace: Workspace) -> None:
    installer = server.add_user(workspace, "ada")
    async with site(server) as here:
        await install(here, server, workspace, installer)
        server.fail("apps.uninstall", refusal("is_bot"))
        answer, text = await here.remove()
        assert answer.status >= 400
        assert "Erni Audio was not removed" in text
        assert "Manage apps" in text
        assert await here.source.token(workspace.id) == server.installation(workspace).token
        assert here.gone == []


async def test_a_removal_that_was_declined(server: SlackServer, workspace: Workspace) -> None:
    installer = server.add_user(workspace, "ada")
    async with site(server) as here:
        await install(here, server, workspace, installer)
        server.api.installer = Installer(user=installer.id, team=workspace.id, declines=True)
        answer, text = await here.remove()
        assert answer.status == 400
        assert "Erni Audio was not removed" in text
        assert await here.source.find(workspace.id, None) is not None
