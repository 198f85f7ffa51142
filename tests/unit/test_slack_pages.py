"""HTTP: only Slack is believed, and installing the app works in a browser and nowhere else."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import html.parser
import io
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient
from yarl import URL

from bots.slack.connection import bolt_app
from bots.slack.installations import Installations, SingleWorkspace
from bots.slack.installing import InstallFlow, pages
from bots.slack.pages import events, routes
from bots.slack.settings import SCOPES, SlackSettings
from bots.slack.states import STATE_SECONDS, States
from bots.slack.tokens import TokenSource
from core.http import HttpServer
from core.ports import AdapterContext
from core.settings import Settings, load_settings
from core.testing import MemoryJobs, MemoryLinks, MemoryStore
from tests.vendors import slack
from tests.vendors.faults import Fault
from tests.vendors.slack import Installer, SlackServer, refusal

# slack_sdk 3.47.0 signs in to oauth.v2.access with what aiohttp 3.14 calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")

SECRET = slack.App().signing_secret
PUBLIC = "https://audio.example.com"
JSON = "application/json"
OF_MANY = {
    "/slack/install",
    "/slack/oauth_redirect",
    "/slack/uninstall",
    "/slack/oauth_redirect/uninstall",
}
FORM = "application/x-www-form-urlencoded"
MENTION: dict[str, Any] = {
    "type": "event_callback",
    "team_id": "T1",
    "event_id": "Ev1",
    "event": {"type": "app_mention", "user": "U1", "channel": "C1", "ts": "1.2", "text": "hush"},
}


@pytest.fixture
async def server() -> AsyncIterator[SlackServer]:
    async with slack.serving() as running:
        yield running


@dataclass
class Site:
    """Our HTTP server, with what came through it."""

    origin: str
    browser: aiohttp.ClientSession
    store: MemoryStore
    source: Installations | SingleWorkspace
    heard: list[dict[str, Any]] = field(default_factory=list)

    async def send(
        self, body: str | bytes, content_type: str = JSON, headers: Mapping[str, str] | None = None
    ) -> aiohttp.ClientResponse:
        """POST something to /slack/events, signed as Slack does unless `headers` say otherwise."""
        data = body if isinstance(body, bytes) else body.encode()
        sent = {"Content-Type": content_type, **(signed(data) if headers is None else headers)}
        async with self.browser.post(f"{self.origin}/slack/events", data=data, headers=sent) as answer:
            await answer.read()
            return answer

    async def get(self, url: str) -> tuple[aiohttp.ClientResponse, str]:
        async with self.browser.get(URL(url, encoded=True), allow_redirects=False) as answer:
            return answer, await answer.text()


def signed(body: bytes, *, at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    stamp = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}


def listening(app: AsyncApp, heard: list[dict[str, Any]]) -> None:
    """Listeners for one of everything."""

    async def note(body: dict[str, Any], ack: Callable[[], Any]) -> None:
        await ack()
        heard.append(body)

    for kind in ("app_mention", "file_shared", "app_uninstalled"):
        app.event(kind)(note)
    app.command("/transcribe")(note)
    app.action("erni.stop")(note)
    app.shortcut("erni.transcribe")(note)
    app.view("erni.view.settings")(note)


def bolt(source: TokenSource, server: SlackServer) -> AsyncApp:
    """As the adapter makes it: the signature is checked before."""
    own = {"SLACK_SIGNING_SECRET": SECRET, "SLACK_API_BASE_URL": server.api_url}
    return bolt_app(load_settings(SlackSettings, **own), source)


@asynccontextmanager
async def site(
    server: SlackServer, source: Installations | SingleWorkspace | None = None
) -> AsyncIterator[Site]:
    store = MemoryStore()
    client = AsyncWebClient(base_url=server.api_url, retry_handlers=[])
    app = server.app
    installations = Installations(store, client, client_id=app.client_id, client_secret=app.client_secret)
    flow = InstallFlow(
        installations,
        store,
        client,
        client_id=app.client_id,
        client_secret=app.client_secret,
        public_url=PUBLIC + "/",
        api_base_url=server.api_url,
    )
    heard: list[dict[str, Any]] = []
    listener = bolt(source or installations, server)
    listening(listener, heard)
    routes = [*events(listener, SECRET), *pages(flow)]
    async with HttpServer(port=0, probes={}, registry=CollectorRegistry(), routes=routes) as http:
        origin = f"http://127.0.0.1:{http.port}"
        # A browser keeps the cookie, as it would over https.
        jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=URL(origin))
        async with aiohttp.ClientSession(cookie_jar=jar) as browser:
            yield Site(origin, browser, store, source or installations, heard)


async def one(server: SlackServer) -> SingleWorkspace:
    workspace = server.add_workspace()
    token = server.installation(workspace).token
    return SingleWorkspace(token, AsyncWebClient(base_url=server.api_url))


async def until_heard(here: Site, count: int) -> None:
    async with asyncio.timeout(10):
        while len(here.heard) < count:
            await asyncio.sleep(0.01)


# --- events ---


async def test_what_slack_sends_arrives(server: SlackServer) -> None:
    source = await one(server)
    team = (await source.identity()).team
    user = {"id": "U1", "team_id": team}
    interactions: list[dict[str, Any]] = [
        {"type": "block_actions", "actions": [{"type": "button", "action_id": "erni.stop", "block_id": "b"}]},
        {"type": "message_action", "callback_id": "erni.transcribe"},
        {"type": "view_submission", "view": {"type": "modal", "callback_id": "erni.view.settings"}},
    ]
    async with site(server, source) as here:
        answer = await here.send(json.dumps(MENTION | {"team_id": team}))
        assert answer.status == 200
        for body in interactions:
            payload = json.dumps({"team": {"id": team}, "user": user, **body})
            answer = await here.send(urlencode({"payload": payload}), FORM)
            assert answer.status == 200, body["type"]
        command = {"command": "/transcribe", "text": "help", "team_id": team, "user_id": "U1"}
        assert (await here.send(urlencode(command), FORM)).status == 200
        await until_heard(here, 5)
    assert here.heard[0]["event"]["text"] == "hush"
    assert len(server.called("auth.test")) == 1  # not one for each event


async def test_slack_may_check_the_address(server: SlackServer) -> None:
    async with site(server) as here:
        server.delivery.request_url = f"{here.origin}/slack/events"
        assert await server.verify_url()


async def test_that_slack_holds_back_events_is_acknowledged_and_logged(
    server: SlackServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with site(server, await one(server)) as here:
        server.delivery.request_url = f"{here.origin}/slack/events"
        server.delivery.signing_secret = SECRET
        for minute in (1_518_467_820, 10**30):
            delivery = await server.hold_back("T0000000001", minute)
            await server.delivered()
            assert delivery.acknowledged
    assert "workspace T0000000001 since 2018-02-12 20:37 UTC" in caplog.text
    assert "since now" in caplog.text


@pytest.mark.parametrize("late", [-310, 310, -86400, 1e12])
async def test_a_replay_is_refused(
    server: SlackServer, caplog: pytest.LogCaptureFixture, late: float
) -> None:
    caplog.set_level(logging.DEBUG)
    body = json.dumps(MENTION).encode()
    async with site(server) as here:
        assert (await here.send(body, headers=signed(body, at=time.time() + late))).status == 401
    assert not here.heard
    assert "hush" not in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"X-Slack-Signature": "v0=" + "0" * 64},
        {"X-Slack-Signature": ""},
        {"X-Slack-Signature": "vö=\udcff"},
        {"X-Slack-Signature": "v0=" + "é" * 64},
        {"X-Slack-Request-Timestamp": "soon"},
        {"X-Slack-Request-Timestamp": ""},
        {"X-Slack-Request-Timestamp": "-1"},
        {"X-Slack-Request-Timestamp": "1e9"},
        {"X-Slack-Request-Timestamp": "9" * 5000},
        {"X-Slack-Request-Timestamp": "٤"},
        None,
    ],
)
async def test_what_slack_did_not_sign_is_refused_and_not_logged(
    server: SlackServer, caplog: pytest.LogCaptureFixture, change: Mapping[str, str] | None
) -> None:
    caplog.set_level(logging.DEBUG)
    body = json.dumps(MENTION).encode()
    headers = {} if change is None else signed(body) | dict(change)
    async with site(server) as here:
        assert (await here.send(body, headers=headers)).status == 401
        assert not here.heard
    assert "hush" not in caplog.text


async def test_a_body_signed_with_another_secret_is_refused(server: SlackServer) -> None:
    body = json.dumps(MENTION).encode()
    async with site(server) as here:
        assert (await here.send(body, headers=signed(body, secret="other"))).status == 401
        assert (await here.send(body + b" ", headers=signed(body))).status == 401
        assert (await here.send(b"\xff\xfe", headers=signed(b"\xff\xfe"))).status == 401
    assert not here.heard


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("{", JSON),
        ("", JSON),
        ("[]", JSON),
        ('"text"', JSON),
        ("null", JSON),
        ("1", JSON),
        ("{}", JSON),
        ('{"type": 1}', JSON),
        ('{"type": ["event_callback"]}', JSON),
        ('{"type": "event_callback"}', JSON),
        ('{"type": "event_callback", "event": []}', JSON),
        ('{"type": "event_callback", "event": {"type": {}}}', JSON),
        ('{"type": "event_callback", "event": {"type": "app_mention"}, "team": 5}', JSON),
        ('{"type": "event_callback", "event": {"type": "app_mention"}, "authorizations": [1]}', JSON),
        ('{"a":' * 20_000, JSON),
        ('{"type": "view_submission", "view": {"callback_id": "erni.view.settings"}}', JSON),
        ('{"type": "view_submission", "view": 1}', JSON),
        ("payload={", FORM),
        ("payload=%5B%5D", FORM),
        ("payload=", FORM),
        ("nothing=here", FORM),
        ("%%%", FORM),
        ('{"type": "event_callback"}', "text/plain; charset=klingon"),
    ],
)
async def test_a_body_that_cannot_be_read_is_400(server: SlackServer, body: str, content_type: str) -> None:
    async with site(server, await one(server)) as here:
        answer = await here.send(body, content_type)
    assert answer.status == 400
    assert answer.headers["X-Slack-No-Retry"] == "1"


async def test_a_strange_charset_changes_nothing(server: SlackServer) -> None:
    source = await one(server)
    body = json.dumps(MENTION | {"team_id": (await source.identity()).team}, ensure_ascii=False)
    async with site(server, source) as here:
        answer = await here.send(body.replace("hush", "héllo"), "application/json; charset=latin-1")
        assert answer.status == 200
        await until_heard(here, 1)
    assert here.heard[0]["event"]["text"] == "héllo"


async def test_headers_that_are_not_slacks_reach_nobody(server: SlackServer) -> None:
    source = await one(server)
    body = json.dumps(MENTION | {"team_id": (await source.identity()).team}).encode()
    async with site(server, source) as here:
        lazy = {"X-Slack-Bolt-Lazy-Only": "1", "X-Slack-Bolt-Lazy-Function-Name": "note"}
        assert (await here.send(body, headers=signed(body) | lazy)).status == 200
        await until_heard(here, 1)


async def test_a_body_that_is_too_large_is_413(server: SlackServer) -> None:
    body = io.BytesIO(b"x" * (2**20 + 1))
    async with site(server) as here, here.browser.post(f"{here.origin}/slack/events", data=body) as answer:
        assert answer.status == 413


async def test_only_posts_are_events(server: SlackServer) -> None:
    async with site(server) as here:
        answer, _ = await here.get(f"{here.origin}/slack/events")
        assert answer.status == 405


async def test_the_apps_own_events_are_passed_over(server: SlackServer) -> None:
    source = await one(server)
    known = await source.identity()
    own = MENTION["event"] | {"user": known.bot_user}
    async with site(server, source) as here:
        assert (await here.send(json.dumps(MENTION | {"team_id": known.team, "event": own}))).status == 200
        assert (await here.send(json.dumps(MENTION | {"team_id": known.team}))).status == 200
        await until_heard(here, 1)
    assert here.heard[0]["event"]["user"] == "U1"


async def test_events_of_workspaces_that_are_not_installed_are_not_heard(server: SlackServer) -> None:
    async with site(server) as here:
        assert (await here.send(json.dumps(MENTION))).status == 200
        removal = MENTION | {"event": {"type": "app_uninstalled"}}
        assert (await here.send(json.dumps(removal))).status == 200
        await until_heard(here, 1)
    assert [body["event"]["type"] for body in here.heard] == ["app_uninstalled"]


@pytest.mark.parametrize(
    ("of_many", "signs", "socket", "paths"),
    [
        (False, True, False, {"/slack/events"}),
        (False, True, True, set()),
        (True, False, True, OF_MANY),
        (True, True, False, {"/slack/events"} | OF_MANY),
    ],
)
def test_there_is_only_what_the_settings_ask_for(
    server: SlackServer, of_many: bool, signs: bool, socket: bool, paths: set[str]
) -> None:
    client = AsyncWebClient(base_url=server.api_url)
    source: TokenSource = SingleWorkspace("xoxb-1", client)
    wanted = {"SLACK_SIGNING_SECRET": "hush"} if signs else {}
    if of_many:
        source = Installations(MemoryStore(), client, client_id="1.2", client_secret="hush")
        wanted |= {"SLACK_CLIENT_ID": "1.2", "SLACK_CLIENT_SECRET": "hush"}
    context = AdapterContext(
        settings=load_settings(Settings, ERNI_PUBLIC_URL=PUBLIC),
        store=MemoryStore(),
        jobs=MemoryJobs(),
        links=MemoryLinks(),
        node_id="here",
    )
    settings = load_settings(SlackSettings, **wanted)
    found = routes(bolt(source, server), context, settings, source, socket=socket)
    assert {route.path for route in found} == paths


async def test_the_environment_does_not_change_whose_token_is_used(
    server: SlackServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    # Bolt reads these by itself, and would keep installations in files.
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-other")
    monkeypatch.setenv("SLACK_CLIENT_ID", "1.2")
    monkeypatch.setenv("SLACK_CLIENT_SECRET", "hush")
    monkeypatch.setenv("HOME", str(tmp_path))
    await test_what_slack_sends_arrives(server)
    assert not list(tmp_path.iterdir())


# --- installing ---


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


class Page(html.parser.HTMLParser):
    """What is on a page: elements, links, text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


async def begin(here: Site) -> str:
    """Slack's address that the first page leads to."""
    answer, _ = await here.get(f"{here.origin}/slack/install")
    assert answer.status == 302
    return answer.headers["Location"]


async def allow(here: Site, url: str) -> str:
    """Our address that Slack leads back to, as a browser reaches it in this test."""
    answer, text = await here.get(url)
    assert answer.status == 302, text
    back = answer.headers["Location"]
    assert back.startswith(f"{PUBLIC}/slack/oauth_redirect?")
    return here.origin + back.removeprefix(PUBLIC)


async def test_the_first_page_leads_to_slack(server: SlackServer) -> None:
    async with site(server) as here:
        answer, text = await here.get(f"{here.origin}/slack/install")
        assert (answer.status, text) == (302, "")
        to = answer.headers["Location"]
        assert to.startswith(f"{server.origin}/oauth/v2/authorize?")
        asked = query_of(to)
        assert asked.pop("state")
        assert asked == {
            "client_id": server.app.client_id,
            "scope": ",".join(SCOPES),
            "redirect_uri": f"{PUBLIC}/slack/oauth_redirect",
        }
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-erni-slack-state=")
        for attribute in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/", f"Max-Age={STATE_SECONDS}"):
            assert attribute in cookie
        assert "Domain" not in cookie
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not here.store.spaces  # nobody can fill the store by loading the page


@pytest.mark.parametrize(
    ("team", "passed_on"),
    [("T0123ABC", "T0123ABC"), ("T1&redirect_uri=https://x", None), ("%0d%0aX:1", None)],
)
async def test_a_workspace_may_be_suggested(server: SlackServer, team: str, passed_on: str | None) -> None:
    async with site(server) as here:
        answer, _ = await here.get(f"{here.origin}/slack/install?team={team}")
        assert answer.status == 302
        asked = query_of(answer.headers["Location"])
        assert asked.get("team") == passed_on
        assert asked["redirect_uri"] == f"{PUBLIC}/slack/oauth_redirect"


async def test_an_installation_ends_in_the_store(server: SlackServer) -> None:
    workspace = server.add_workspace("Äcme <b>&", install=False)
    server.api.installer = Installer(user="U7", team=workspace.id)
    async with site(server) as here:
        answer, text = await here.get(await allow(here, await begin(here)))
        assert answer.status == 200
        page = Page(text)
        assert "Erni Audio is installed in Äcme <b>&" in page.text
        assert page.links == [f"{server.origin}/app_redirect?app=A0000000001&team={workspace.id}"]
        assert "__Host-erni-slack-state=deleted" in answer.headers["Set-Cookie"]
        assert await here.source.token(workspace.id) == server.installation(workspace).token
        found = await here.source.find(workspace.id, None)
        assert found is not None
        assert (found.installer, found.scopes) == ("U7", SCOPES)
        # And its events are heard from now on.
        assert (await here.send(json.dumps(MENTION | {"team_id": workspace.id}))).status == 200
        await until_heard(here, 1)


async def test_tokens_that_rotate_are_stored_whole(server: SlackServer) -> None:
    server.api.rotates_tokens = True
    workspace = server.add_workspace(install=False)
    server.api.installer = Installer(user="U7", team=workspace.id)
    async with site(server) as here:
        await here.get(await allow(here, await begin(here)))
        found = await here.source.find(workspace.id, None)
    assert found is not None
    assert found.refresh_token == server.installation(workspace).refresh_token
    assert found.expires_at == pytest.approx(time.time() + 43_200, abs=60)


async def test_an_organisation_can_install_it(server: SlackServer) -> None:
    workspace = server.add_workspace(enterprise_id="E1", install=False)
    server.api.installer = Installer(user="U7", team=None, enterprise_id="E1")
    async with site(server) as here:
        answer, text = await here.get(await allow(here, await begin(here)))
        assert answer.status == 200
        page = Page(text)
        assert "Erni Audio is installed in Acme Group" in page.text
        assert page.links == [
            "https://acme.slack.com/manage/organization/apps/profile/A0000000001/workspaces/add"
        ]
        assert await here.source.token(workspace.id, "E1") == server.installation(workspace).token


@pytest.mark.parametrize("url", ['https://x/"><script>alert(1)</script>', "javascript:alert(1)//", None])
async def test_what_slack_says_is_not_trusted_on_a_page(server: SlackServer, url: str | None) -> None:
    server.add_workspace(enterprise_id="E1", install=False)
    server.api.installer = Installer(user="U7", team=None, enterprise_id="E1")
    me = {"ok": True, "url": url, "bot_id": "B1", "user_id": "U1"}
    async with site(server) as here:
        back = await allow(here, await begin(here))
        server.fail("auth.test", Fault(status=200, body=json.dumps(me)))
        answer, text = await here.get(back)
        assert answer.status == 200
    page = Page(text)
    assert page.elements <= {"html", "meta", "title", "h1", "p", "a"}
    assert all(link.startswith("https://") for link in page.links)


async def test_installing_again_replaces_the_token(server: SlackServer) -> None:
    workspace = server.add_workspace(install=False)
    server.api.installer = Installer(user="U7", team=workspace.id)
    async with site(server) as here:
        await here.get(await allow(here, await begin(here)))
        await server.uninstall(workspace)
        await here.get(await allow(here, await begin(here)))
        assert await here.source.token(workspace.id) == server.installation(workspace).token


async def test_who_declines_is_told_so(server: SlackServer) -> None:
    workspace = server.add_workspace(install=False)
    server.api.installer = Installer(user="U7", team=workspace.id, declines=True)
    async with site(server) as here:
        answer, text = await here.get(await allow(here, await begin(here)))
        assert answer.status == 400
        assert "You did not allow it in Slack." in text
        assert Page(text).links == ["install"]
    assert not here.store.spaces


@pytest.mark.parametrize("reason", ["<script>alert(1)</script>", "bad_redirect_uri", ""])
async def test_what_the_address_says_is_not_repeated(server: SlackServer, reason: str) -> None:
    async with site(server) as here:
        answer, text = await here.get(f"{here.origin}/slack/oauth_redirect?{urlencode({'error': reason})}")
        assert answer.status == 400
        assert not reason or reason not in text


async def test_a_page_is_good_once(server: SlackServer) -> None:
    workspace = server.add_workspace(install=False)
    server.api.installer = Installer(user="U7", team=workspace.id)
    async with site(server) as here:
        url = await begin(here)
        cookies = {cookie.key: cookie.value for cookie in here.browser.cookie_jar}
        back = await allow(here, url)
        assert (await here.get(back))[0].status == 200
        here.browser.cookie_jar.update_cookies(cookies, URL(here.origin))
        answer, text = await here.get(back)
        assert answer.status == 400
        assert "loaded twice" in text
    assert len(server.called("oauth.v2.access")) == 1


async def test_another_browser_cannot_end_an_installation(server: SlackServer) -> None:
    workspace = server.add_workspace(install=False)
    server.api.installer = Installer(user="U7", team=workspace.id)
    async with site(server) as here:
        back = await allow(here, await begin(here))
        here.browser.cookie_jar.clear()
        answer, text = await here.get(back)
        assert answer.status == 400
        assert "another browser" in text
    assert not server.called("oauth.v2.access")


@pytest.mark.parametrize("state", ["", "deleted", "x", "1-2-3", "x-y-", "é", "\udcff", "0" * 5000])
async def test_a_made_up_state_is_refused(server: SlackServer, state: str) -> None:
    async with site(server) as here:
        query = urlencode({"state": state, "code": "1"}, errors="surrogatepass")
        cookie = f"__Host-erni-slack-state={state.encode(errors='replace').decode()}"
        async with here.browser.get(
            f"{here.origin}/slack/oauth_redirect?{query}", headers={"Cookie": cookie}
        ) as answer:
            assert answer.status == 400
    assert not server.called("oauth.v2.access")


async def test_no_code_is_no_installation(server: SlackServer) -> None:
    async with site(server) as here:
        state = query_of(await begin(here))["state"]
        answer, text = await here.get(f"{here.origin}/slack/oauth_redirect?state={state}")
        assert answer.status == 400
        assert "not reached from Slack" in text


@pytest.mark.parametrize(
    ("method", "trouble", "status"),
    [
        ("oauth.v2.access", refusal("invalid_code"), 400),
        ("oauth.v2.access", refusal("bad_client_secret"), 400),
        ("oauth.v2.access", Fault(status=500), 503),
        ("oauth.v2.access", "cut", 503),
        ("oauth.v2.access", Fault(status=200, body='{"ok": true}'), 503),
        ("oauth.v2.access", Fault(status=200, body='{"ok": true, "access_token": 5, "team": "T1"}'), 503),
        (
            "oauth.v2.access",
            Fault(body='{"ok": true, "access_token": "x", "token_type": "user"}', status=200),
            503,
        ),
        ("auth.test", refusal("invalid_auth"), 400),
        ("auth.test", Fault(status=200, body="[]"), 503),
    ],
)
async def test_a_failed_installation_says_so_and_stores_nothing(
    server: SlackServer,
    caplog: pytest.LogCaptureFixture,
    method: str,
    trouble: slack.Trouble,
    status: int,
) -> None:
    caplog.set_level(logging.INFO)
    workspace = server.add_workspace(install=False)
    server.api.installer = Installer(user="U7", team=workspace.id)
    async with site(server) as here:
        back = await allow(here, await begin(here))
        server.fail(method, trouble)
        answer, text = await here.get(back)
        assert answer.status == status
        assert "Erni Audio was not installed" in text
    assert not here.store.spaces
    logged = " ".join(each.getMessage() for each in caplog.records if each.name != "aiohttp.access")
    assert "an installation failed" in logged
    assert query_of(back)["code"] not in logged
    assert query_of(back)["state"] not in logged


class Unreachable(MemoryStore):
    async def remember(self, space: str, key: str, value: str) -> None:
        raise ConnectionError("redis://hush")


async def test_a_store_that_fails_gives_a_page_too(
    server: SlackServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = server.add_workspace(install=False)
    server.api.installer = Installer(user="U7", team=workspace.id)
    monkeypatch.setattr(MemoryStore, "remember", Unreachable.remember)
    async with site(server) as here:
        answer, text = await here.get(await allow(here, await begin(here)))
        assert answer.status == 503
        assert "Try again in a few minutes" in text
    assert "hush" not in caplog.text + text


@pytest.mark.parametrize("path", ["/slack/install", "/slack/oauth_redirect"])
async def test_looking_without_loading_does_nothing(server: SlackServer, path: str) -> None:
    async with site(server) as here, here.browser.head(here.origin + path) as answer:
        assert answer.status == 405


async def test_pages_need_nothing_that_our_policy_forbids(server: SlackServer) -> None:
    workspace = server.add_workspace(install=False)
    server.api.installer = Installer(user="U7", team=workspace.id)
    async with site(server) as here:
        texts = [
            (await here.get(await allow(here, await begin(here))))[1],
            (await here.get(f"{here.origin}/slack/oauth_redirect"))[1],
        ]
    for text in texts:
        page = Page(text)
        assert page.elements <= {"html", "meta", "title", "h1", "p", "a"}
        assert page.attributes <= {"lang", "charset", "name", "content", "href"}


async def test_states_expire_and_belong_to_one_secret() -> None:
    now = 1_790_000_000.0
    store = MemoryStore()
    states = States(store, "hush", clock=lambda: now)
    state = await states.async_issue()
    assert state != await states.async_issue()
    assert not await States(store, "other", clock=lambda: now).async_consume(state)
    assert not await States(store, "hush", clock=lambda: now + STATE_SECONDS).async_consume(state)
    forged = f"{int(now) + 5}-{state.partition('-')[2]}"
    assert not await states.async_consume(forged)
    found = await asyncio.gather(*(states.async_consume(state) for _ in range(5)))
    assert sorted(found) == [False, False, False, False, True]
