"""Who may do what at the local Google Drive: scopes, roles, keys and consent, with Google's libraries."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import google_auth_httplib2
import pytest
from aiohttp import web
from google.auth import crypt, jwt
from google.auth.exceptions import RefreshError
from google_auth_oauthlib.flow import Flow
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaIoBaseUpload

from tests.vendors import faults
from tests.vendors.gdrive import SCOPE, Consent, GDriveServer, refusal, serving
from tests.vendors.gdrive_app import LocalHttp, app_of, create, download, ids, reason_of, service_credentials
from tests.vendors.gdrive_model import Account, File, Refused, Role

TALK = b"a talk" * 100
DRIVE = f"{SCOPE}drive"
ALL: dict[str, Any] = {"supportsAllDrives": True}


@pytest.fixture
async def server() -> AsyncIterator[GDriveServer]:
    async with serving() as server:
        yield server


@pytest.fixture
def anna(server: GDriveServer) -> Account:
    return server.person("anna@example.com")


@pytest.fixture
def inbox(server: GDriveServer, anna: Account) -> File:
    return server.folder(anna, "Inbox")


async def refused(awaitable: Any) -> tuple[int, str]:
    """Why a call was refused."""
    with pytest.raises(HttpError) as caught:
        await awaitable
    return reason_of(caught.value)


# Tokens and scopes


async def test_without_a_good_token_nothing_goes(server: GDriveServer, anna: Account, inbox: File) -> None:
    http = LocalHttp(server.origin)
    url = f"{server.api_url}files/{inbox.id}"
    for headers, expected in (({}, "required"), ({"Authorization": "Bearer forged"}, "authError")):
        response, content = await asyncio.to_thread(http.request, url, "GET", headers=headers)
        assert (response.status, json.loads(content)["error"]["errors"][0]["reason"]) == (401, expected)
    http.close()
    async with app_of(server, anna) as app:
        server.advance(3600)
        with pytest.raises(RefreshError):  # the library tries to get another, and has nothing to get it with
            await app.get(inbox.id)


async def test_a_token_in_an_address_is_a_violation() -> None:
    running = serving()
    server = await running.__aenter__()
    token = server.token(server.person("anna@example.com"))
    async with aiohttp.ClientSession() as session, session.get(f"{server.api_url}about?access_token={token}"):
        pass
    with pytest.raises(AssertionError, match="a token in the address"):
        await running.__aexit__(None, None, None)


@pytest.mark.parametrize(
    ("scope", "reads", "bytes_too", "writes"),
    [
        ("drive", True, True, True),
        ("drive.readonly", True, True, False),
        ("drive.metadata.readonly", True, False, False),
        ("drive.metadata", True, False, False),
    ],
)
async def test_scopes(
    server: GDriveServer, anna: Account, inbox: File, scope: str, reads: bool, bytes_too: bool, writes: bool
) -> None:
    talk = server.upload(inbox, "talk.m4a", TALK)
    denied = (403, "insufficientPermissions")
    async with app_of(server, anna, scope) as app:
        assert ids(await app.listed(q=f"'{inbox.id}' in parents")) == ({talk.id} if reads else set())
        if bytes_too:
            assert await download(app, talk.id) == TALK
        else:
            assert await refused(download(app, talk.id)) == denied
        if writes:
            assert (await create(app, {"name": "t.md", "parents": [inbox.id]}, b"x"))["id"]
        else:
            assert await refused(create(app, {"name": "t.md", "parents": [inbox.id]}, b"x")) == denied
            comment = app.service.comments().create(fileId=talk.id, body={"content": "x"}, fields="id")
            assert await refused(app.do(comment)) == denied
        renamed = app.do(app.service.files().update(fileId=talk.id, body={"name": "x"}))
        if scope in ("drive", "drive.metadata"):
            assert (await renamed)["name"] == "x"
        else:
            assert await refused(renamed) == denied
        replaced = app.service.files().update(
            fileId=talk.id, media_body=MediaIoBaseUpload(io.BytesIO(b"x"), "audio/mp4")
        )
        if scope == "drive.metadata":
            assert await refused(app.do(replaced)) == denied


async def test_drive_file_sees_what_the_app_made_and_nothing_else(
    server: GDriveServer, anna: Account, inbox: File
) -> None:
    talk = server.upload(inbox, "talk.m4a", TALK)
    async with app_of(server, anna, "drive.file") as app:
        assert await refused(app.get(talk.id)) == (404, "notFound")
        assert await refused(download(app, talk.id)) == (404, "notFound")
        assert await refused(create(app, {"name": "x.md", "parents": [inbox.id]}, b"x")) == (404, "notFound")
        made = await create(app, {"name": "own.md"}, b"x")
        assert ids(await app.listed(q="trashed = false")) == {made["id"]}
        assert await download(app, made["id"]) == b"x"
        assert "parents" not in await app.get(made["id"])


# Roles


@pytest.mark.parametrize(
    ("role", "comments", "edits", "trashes"),
    [("reader", False, False, False), ("commenter", True, False, False), ("writer", True, True, False)],
)
async def test_roles_in_my_drive(
    server: GDriveServer, anna: Account, inbox: File, role: Role, comments: bool, edits: bool, trashes: bool
) -> None:
    bob = server.person("bob@example.com")
    server.share(inbox, bob, role)
    talk = server.upload(inbox, "talk.m4a", TALK)
    denied = (403, "insufficientFilePermissions")
    async with app_of(server, bob) as app:
        can = (await app.get(talk.id))["capabilities"]
        assert (can["canComment"], can["canEdit"], can["canTrash"]) == (comments, edits, trashes)
        assert await download(app, talk.id) == TALK
        comment = app.do(app.service.comments().create(fileId=talk.id, body={"content": "x"}, fields="id"))
        renamed = app.do(app.service.files().update(fileId=talk.id, body={"name": "x"}))
        made = create(app, {"name": "t.md", "parents": [inbox.id]}, b"x")
        for awaitable, allowed in ((comment, comments), (renamed, edits), (made, edits)):
            if allowed:
                await awaitable
            else:
                assert await refused(awaitable) == denied
        trashed = app.service.files().update(fileId=talk.id, body={"trashed": True})
        assert await refused(app.do(trashed)) == denied
        assert await refused(app.do(app.service.files().delete(fileId=talk.id))) == denied
        listed = app.service.permissions().list(fileId=talk.id, fields="*")
        if not edits:
            assert await refused(app.do(listed)) == denied
    if edits:
        own = server.named(inbox, "t.md")
        assert own.owner is bob
        async with app_of(server, anna) as app:
            told = await app.do(app.service.permissions().list(fileId=own.id, fields="*"))
            assert [(p["emailAddress"], p["role"]) for p in told["permissions"]] == [
                ("bob@example.com", "owner"),
                ("anna@example.com", "writer"),
            ]


@pytest.mark.parametrize(
    ("role", "creates", "trashes", "deletes"),
    [
        ("reader", False, False, False),
        ("writer", True, False, False),
        ("fileOrganizer", True, True, False),
        ("organizer", True, True, True),
    ],
)
async def test_roles_in_a_shared_drive(
    server: GDriveServer, anna: Account, role: Role, creates: bool, trashes: bool, deletes: bool
) -> None:
    bob = server.person("bob@example.com")
    team = server.shared_drive("Team", {anna: "organizer", bob: role})
    talk, old = server.upload(team, "talk.m4a", TALK), server.upload(team, "old.m4a", TALK)
    async with app_of(server, bob) as app:
        files = app.service.files()
        for awaitable, allowed in (
            (create(app, {"name": "t.md", "parents": [team.id]}, b"x", **ALL), creates),
            (app.do(files.update(fileId=talk.id, body={"trashed": True}, **ALL)), trashes),
            (app.do(files.delete(fileId=old.id, **ALL)), deletes),
        ):
            if allowed:
                await awaitable
            else:
                assert await refused(awaitable) == (403, "insufficientFilePermissions")
        listed = await app.do(app.service.permissions().list(fileId=talk.id, fields="*", **ALL))
        assert {(p["emailAddress"], p["role"]) for p in listed["permissions"]} == {
            ("anna@example.com", "organizer"),
            ("bob@example.com", role),
        }
        assert all(p["permissionDetails"][0]["inherited"] for p in listed["permissions"])


async def test_what_people_may_not_do_they_cannot_do_at_drives_own_pages(
    server: GDriveServer, anna: Account, inbox: File
) -> None:
    bob = server.person("bob@example.com")
    server.share(inbox, bob)
    talk = server.upload(inbox, "talk.m4a", TALK)
    for act in (
        lambda: server.upload(inbox, "x.m4a", b"x", by=bob),
        lambda: server.replace(talk, b"x", by=bob),
        lambda: server.rename(talk, "x", by=bob),
        lambda: server.trash(talk, by=bob),
        lambda: server.comment(talk, "x", by=bob),
    ):
        with pytest.raises(Refused):
            act()
    assert server.copy(talk, bob, by=bob).owner is bob


# Service accounts


async def test_a_service_account_signs_for_its_tokens(
    server: GDriveServer, anna: Account, inbox: File
) -> None:
    robot = server.service_account()
    server.share(inbox, robot, "writer")
    credentials = service_credentials(server.key_file(robot), scopes=[DRIVE])
    async with app_of(server, credentials) as app:
        assert (await app.get(inbox.id, "name"))["name"] == "Inbox"
        assert await app.get(inbox.id, "name")
        assert len(server.called("token")) == 1
        server.expire_tokens()
        assert await app.get(inbox.id, "name")
        assert [call.status for call in server.called("files.get")] == [200, 200, 401, 200]
        assert server.called("files.get")[0].account == robot.email
        server.fail("token", refusal(500, "internal"))
        server.expire_tokens()
        assert await app.get(inbox.id, "name")


async def test_assertions_that_are_not_right_are_refused(server: GDriveServer, anna: Account) -> None:
    robot, other = server.service_account(), server.service_account("other")
    mine, theirs = server.key_file(robot), server.key_file(other)

    async def attempt(info: dict[str, str], scopes: list[str], subject: str | None = None) -> str:
        credentials = service_credentials(info, scopes=scopes, subject=subject)
        http = LocalHttp(server.origin)
        with pytest.raises(RefreshError) as caught:
            await asyncio.to_thread(credentials.refresh, google_auth_httplib2.Request(http))
        http.close()
        return str(caught.value.args[0])

    assert "Invalid JWT Signature" in await attempt(mine | {"private_key": theirs["private_key"]}, [DRIVE])
    assert "Invalid JWT Signature" in await attempt(mine | {"private_key_id": "0" * 40}, [DRIVE])
    assert "Invalid JWT" in await attempt(mine | {"client_email": other.email}, [DRIVE])
    assert "unauthorized_client" in await attempt(mine, [DRIVE], anna.email)
    assert "Invalid email" in await attempt(mine, [DRIVE], "nobody@example.com")
    assert "invalid_scope" in await attempt(mine, [])
    server.oauth.keys.of(robot).deleted = True
    assert "Invalid JWT Signature" in await attempt(mine, [DRIVE])


async def test_an_assertion_is_good_for_an_hour_at_most(server: GDriveServer) -> None:
    robot = server.service_account()
    key = server.key_file(robot)
    sign, signer_of = _untyped(jwt.encode), _untyped(crypt.RSASigner.from_service_account_info)
    now = datetime.now(UTC)
    claims = {"iss": robot.email, "scope": DRIVE, "aud": key["token_uri"]}
    for begins, ends in ((-7200, -3600), (0, 7200), (3600, 7200)):
        times = {"iat": now + timedelta(seconds=begins), "exp": now + timedelta(seconds=ends)}
        signed = sign(signer_of(key), claims | {name: int(at.timestamp()) for name, at in times.items()})
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed.decode()}
        async with aiohttp.ClientSession() as session, session.post(key["token_uri"], data=form) as response:
            assert (response.status, (await response.json())["error"]) == (400, "invalid_grant")


def _untyped(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


async def test_a_service_account_stands_for_people_where_an_administrator_lets_it(
    server: GDriveServer, anna: Account, inbox: File
) -> None:
    robot = server.service_account(delegated=[DRIVE])
    credentials = service_credentials(server.key_file(robot), scopes=[DRIVE], subject=anna.email)
    async with app_of(server, credentials) as app:
        made = await create(app, {"name": "t.md", "parents": [inbox.id]}, b"x")
        assert server.drive.files[made["id"]].owner is anna
        assert server.called("files.create")[0].account == anna.email


# People


class Terminal:
    """An app that asks for consent from a terminal: it waits for the browser at a port of its own."""

    def __init__(self, server: GDriveServer, **changes: Any) -> None:
        self.server = server
        self.client = server.client("terminal", **changes)
        self.came: dict[str, str] = {}
        self.flow: Any = None

    async def ask(self, act: Callable[[str], Any], **kwargs: Any) -> str:
        async def land(request: web.Request) -> web.Response:
            self.came = dict(request.query)
            return web.Response(text="You can close this window.")

        app = web.Application()
        app.router.add_get("/", land)
        async with faults.serving(app) as origin:
            config = self.server.oauth.client_file(self.client)
            self.flow = Flow.from_client_config(
                config, scopes=[DRIVE], redirect_uri=f"{origin}/", autogenerate_code_verifier=True
            )
            url, _ = self.flow.authorization_url(**({"access_type": "offline", "prompt": "consent"} | kwargs))
            return str(await act(url))

    async def credentials(self) -> Any:
        await asyncio.to_thread(self.flow.fetch_token, code=self.came["code"])
        self.flow.oauth2session.close()
        return self.flow.credentials


@pytest.fixture
def terminal(server: GDriveServer, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # the local server speaks HTTP
    return Terminal(server)


async def test_somebody_allows_the_app_and_takes_it_back(
    server: GDriveServer, terminal: Terminal, anna: Account, inbox: File
) -> None:
    assert await terminal.ask(lambda url: server.consent(url, anna)) == "You can close this window."
    credentials = await terminal.credentials()
    assert credentials.refresh_token
    async with app_of(server, credentials) as app:
        assert (await app.get(inbox.id, "name"))["name"] == "Inbox"
        server.expire_tokens()
        assert (await app.get(inbox.id, "name"))["name"] == "Inbox"
        server.oauth.revoke(anna)
        with pytest.raises(RefreshError, match=r"invalid_grant: Token has been expired or revoked"):
            await app.get(inbox.id)


async def test_a_code_is_good_once_for_its_client_with_its_verifier(
    server: GDriveServer, terminal: Terminal, anna: Account
) -> None:
    await terminal.ask(lambda url: server.consent(url, anna))
    form = {
        "grant_type": "authorization_code",
        "code": terminal.came["code"],
        "client_id": terminal.client.id,
        "client_secret": terminal.client.secret,
        "redirect_uri": terminal.flow.redirect_uri,
        "code_verifier": terminal.flow.code_verifier,
    }

    async def post(**changes: str) -> tuple[int, str]:
        data = {name: value for name, value in (form | changes).items() if value}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{server.origin}/token", data=data) as response,
        ):
            told = await response.json()
            return response.status, told.get("error_description", told.get("token_type"))

    assert await post(code_verifier="x" * 43) == (400, "Invalid code verifier.")
    assert await post(code_verifier="") == (400, "Missing code verifier.")
    assert await post(redirect_uri="http://localhost/") == (400, "Bad Request")
    assert await post(client_secret="guessed") == (401, "Unauthorized")
    assert await post(client_id="other") == (401, "The OAuth client was not found.")
    assert await post(grant_type="password") == (400, "Invalid grant_type: password")
    assert await post() == (200, "Bearer")
    assert await post() == (400, "Malformed auth code.")
    await terminal.ask(lambda url: server.consent(url, anna))
    server.advance(601)
    assert await post(code=terminal.came["code"]) == (400, "Malformed auth code.")


async def test_a_refresh_token_comes_once_unless_it_is_asked_for_and_not_at_all_online(
    server: GDriveServer, terminal: Terminal, anna: Account
) -> None:
    await terminal.ask(lambda url: server.consent(url, anna))
    assert (await terminal.credentials()).refresh_token
    await terminal.ask(lambda url: server.consent(url, anna), prompt="select_account")
    assert (await terminal.credentials()).refresh_token is None
    await terminal.ask(lambda url: server.consent(url, anna), access_type="online")
    assert (await terminal.credentials()).refresh_token is None


async def test_somebody_declines_or_allows_less(
    server: GDriveServer, terminal: Terminal, anna: Account
) -> None:
    await terminal.ask(lambda url: server.decline(url, anna))
    assert terminal.came["error"] == "access_denied"
    await terminal.ask(lambda url: server.consent(url, anna, scopes=[]))
    assert terminal.came["scope"] == ""
    nobody = f"{server.origin}/o/oauth2/auth?" + urlsplit(terminal.flow.authorization_url()[0]).query
    async with aiohttp.ClientSession() as session, session.get(nobody) as response:
        assert "Sign in" in await response.text()


async def test_while_the_app_is_being_tested_consent_lasts_a_week(
    server: GDriveServer, terminal: Terminal, anna: Account, inbox: File
) -> None:
    server.oauth.testing = True
    await terminal.ask(lambda url: server.consent(url, anna))
    async with app_of(server, await terminal.credentials()) as app:
        server.advance(6 * 86_400)
        assert await app.get(inbox.id, "name")
        server.advance(86_400)
        with pytest.raises(RefreshError, match="invalid_grant"):
            await app.get(inbox.id)


async def test_the_page_checks_where_it_sends_people_to(server: GDriveServer, anna: Account) -> None:
    website = server.client("website", kind="web", redirect_uris=("https://bot.example/back",))
    asked = {"client_id": website.id, "response_type": "code", "scope": DRIVE, "redirect_uri": "x"}

    async def shown(**changes: str) -> tuple[int, str]:
        url = f"{server.origin}/o/oauth2/auth"
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, params=asked | changes, allow_redirects=False) as response,
        ):
            return response.status, response.headers.get("Location") or await response.text()

    assert "redirect_uri_mismatch" in (await shown())[1]
    back = "https://bot.example/back"
    assert "invalid_client" in (await shown(client_id="x"))[1]
    assert "invalid_scope" in (await shown(redirect_uri=back, scope="https://evil.example/"))[1]
    assert "invalid_request" in (await shown(redirect_uri=back, response_type="token"))[1]
    server.oauth.at_the_page = Consent(account=anna)
    status, location = await shown(redirect_uri=back, state="s")
    assert status == 302
    assert parse_qs(urlsplit(location).query)["state"] == ["s"]
    oob = await shown(redirect_uri="urn:ietf:wg:oauth:2.0:oob", client_id=server.client().id)
    assert "redirect_uri_mismatch" in oob[1]


async def test_an_app_gives_its_token_back(
    server: GDriveServer, terminal: Terminal, anna: Account, inbox: File
) -> None:
    await terminal.ask(lambda url: server.consent(url, anna))
    credentials = await terminal.credentials()
    async with aiohttp.ClientSession() as session:
        url = f"{server.origin}/revoke"
        async with session.post(url, data={"token": credentials.refresh_token}) as response:
            assert response.status == 200
        async with session.post(url, data={"token": credentials.refresh_token}) as response:
            assert (response.status, (await response.json())["error"]) == (400, "invalid_token")
    async with app_of(server, credentials) as app:
        with pytest.raises(RefreshError):
            await app.get(inbox.id)
