"""Google's accounts: tokens of service accounts (assertions) and of people (consent, code, refresh)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from tests.vendors.gdrive_keys import Denied, Key, Keys
from tests.vendors.gdrive_model import Account, Drive

TOKEN_LIFE = 3599  # seconds
CODE_LIFE = 600
TESTING_LIFE = 7 * 86_400  # of a refresh token while the app's status is "Testing"
GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"  # what google-auth signs as the audience
ASSERTION = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """An OAuth client. One that is "installed" takes its answer at any port of this machine."""

    id: str
    secret: str
    kind: Literal["installed", "web"] = "installed"
    redirect_uris: tuple[str, ...] = ("http://localhost",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token. `client` is whose private properties (appProperties) it sees."""

    value: str
    account: Account
    client: str
    scopes: frozenset[str]
    until: float
    refresh: str | None = None


@dataclass(slots=True, kw_only=True)
class Grant:
    """What a person allowed an app: a refresh token."""

    value: str
    account: Account
    client: str
    scopes: frozenset[str]
    until: float | None = None
    revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """A person at the consent page: `scopes` None allows all that are asked for."""

    account: Account
    scopes: frozenset[str] | None = None
    declines: bool = False


@dataclass(slots=True, kw_only=True)
class Code:
    account: Account
    client: str
    scopes: frozenset[str]
    redirect_uri: str
    until: float
    offline: bool
    challenge: str | None
    method: str
    used: bool = False


EXPIRED = "Token has been expired or revoked."


@dataclass(slots=True)
class OAuth:
    """Accounts' side of it. `testing`: refresh tokens end after a week, as those of an app in "Testing" do.
    `at_the_page` is who answers the consent page."""

    drive: Drive
    origin: str = ""
    testing: bool = False
    at_the_page: Consent | None = None
    clients: dict[str, Client] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    keys: Keys = field(default_factory=Keys)
    _number: int = 0

    @property
    def token_uri(self) -> str:
        return f"{self.origin}/token"

    def _next(self) -> int:
        self._number += 1
        return self._number

    def issue(
        self, account: Account, client: str, scopes: frozenset[str], refresh: str | None = None
    ) -> Token:
        """A new access token."""
        token = Token(
            value=f"ya29.local-{self._next()}",
            account=account,
            client=client,
            scopes=scopes,
            until=self.drive.clock() + TOKEN_LIFE,
            refresh=refresh,
        )
        self.tokens[token.value] = token
        return token

    def key_file(self, key: Key) -> dict[str, str]:
        """What the console of Google Cloud gives to download."""
        return {
            "type": "service_account",
            "project_id": "erni-audio-local",
            "private_key_id": key.id,
            "private_key": key.private,
            "client_email": key.account.email,
            "client_id": key.client,
            "auth_uri": f"{self.origin}/o/oauth2/auth",
            "token_uri": self.token_uri,
            "universe_domain": "googleapis.com",
        }

    def client_file(self, client: Client) -> dict[str, dict[str, Any]]:
        """What the console gives to download for an OAuth client."""
        told = {
            "client_id": client.id,
            "client_secret": client.secret,
            "project_id": "erni-audio-local",
            "auth_uri": f"{self.origin}/o/oauth2/auth",
            "token_uri": self.token_uri,
            "redirect_uris": list(client.redirect_uris),
        }
        return {client.kind: told}

    def revoke(self, account: Account) -> None:
        """Somebody takes back what they allowed, at their account's page."""
        for grant in self.grants.values():
            if grant.account is account:
                self._end(grant)

    def _end(self, grant: Grant) -> None:
        grant.revoked = True
        self.tokens = {v: token for v, token in self.tokens.items() if token.refresh != grant.value}

    # The token endpoint

    async def token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            told = self._exchange(form, request.headers.get("Authorization", ""))
        except Denied as denied:
            body = {"error": denied.error, "error_description": denied.description}
            return web.json_response(body, status=denied.status)
        return web.json_response(told)

    def _exchange(self, form: Mapping[str, str], authorization: str) -> dict[str, Any]:
        kind = form.get("grant_type")
        if kind == ASSERTION:
            return _told(self._by_assertion(form.get("assertion", "")))
        client = self._client(form, authorization)
        if kind == "refresh_token":
            return _told(self._by_refresh(client, form.get("refresh_token", "")))
        if kind == "authorization_code":
            return self._by_code(client, form)
        raise Denied("unsupported_grant_type", f"Invalid grant_type: {kind}")

    def _client(self, form: Mapping[str, str], authorization: str) -> Client:
        name, secret = form.get("client_id", ""), form.get("client_secret", "")
        if authorization.startswith("Basic "):
            name, _, secret = base64.b64decode(authorization[6:]).decode().partition(":")
        client = self.clients.get(name)
        if client is None:
            raise Denied("invalid_client", "The OAuth client was not found.", 401)
        if client.secret != secret:
            raise Denied("invalid_client", "Unauthorized", 401)
        return client

    def _by_assertion(self, assertion: str) -> Token:
        """For a service account, or for a person whom it may stand for."""
        key, claims = self.keys.read(assertion, [self.token_uri, GOOGLE_TOKEN_URI])
        scopes = frozenset(str(claims.get("scope", "")).split())
        if not scopes:
            raise Denied("invalid_scope", "Empty or missing scope not allowed.")
        account = key.account
        if (subject := claims.get("sub", account.email)) != account.email:
            account = self._delegated(key, str(subject), scopes)
        return self.issue(account, key.client, scopes)

    def _delegated(self, key: Key, email: str, scopes: frozenset[str]) -> Account:
        account = next((one for one in self.drive.accounts.values() if one.email == email), None)
        if account is None or account.is_service:
            raise Denied("invalid_grant", "Invalid email or User ID")
        if not scopes <= key.delegated:
            raise Denied(
                "unauthorized_client",
                "Client is unauthorized to retrieve access tokens using this method, "
                "or client not authorized for any of the scopes requested.",
                401,
            )
        return account

    def _by_refresh(self, client: Client, value: str) -> Token:
        grant = self.grants.get(value)
        if grant is None or grant.revoked or (grant.until is not None and grant.until <= self.drive.clock()):
            raise Denied("invalid_grant", EXPIRED)
        if grant.client != client.id:
            raise Denied("unauthorized_client", "Unauthorized", 401)
        return self.issue(grant.account, client.id, grant.scopes, grant.value)

    def _by_code(self, client: Client, form: Mapping[str, str]) -> dict[str, Any]:
        code = self.codes.get(form.get("code", ""))
        if code is None or code.used or code.until <= self.drive.clock() or code.client != client.id:
            raise Denied("invalid_grant", "Malformed auth code.")
        if form.get("redirect_uri") != code.redirect_uri:
            raise Denied("redirect_uri_mismatch", "Bad Request")
        if code.challenge is not None:
            verifier = form.get("code_verifier")
            if verifier is None:
                raise Denied("invalid_grant", "Missing code verifier.")
            if _challenge(verifier, code.method) != code.challenge:
                raise Denied("invalid_grant", "Invalid code verifier.")
        code.used = True
        if not code.offline:
            return _told(self.issue(code.account, client.id, code.scopes))
        grant = Grant(
            value=f"1//local-{self._next()}",
            account=code.account,
            client=client.id,
            scopes=code.scopes,
            until=self.drive.clock() + TESTING_LIFE if self.testing else None,
        )
        self.grants[grant.value] = grant
        told = _told(self.issue(code.account, client.id, code.scopes, grant.value))
        told["refresh_token"] = grant.value
        if self.testing:
            told["refresh_token_expires_in"] = TESTING_LIFE
        return told

    async def revoked(self, request: web.Request) -> web.Response:
        """The endpoint where an app gives a token back."""
        value = str((await request.post()).get("token") or request.query.get("token", ""))
        token = self.tokens.get(value)
        grant = self.grants.get(token.refresh or "" if token else value)
        if token is None and (grant is None or grant.revoked):
            told = {"error": "invalid_token", "error_description": "Token expired or revoked"}
            return web.json_response(told, status=400)
        self.tokens.pop(value, None)
        if grant is not None:
            self._end(grant)
        return web.json_response({})

    # The page

    async def page(self, request: web.Request) -> web.StreamResponse:
        """The page where a person allows the app; who is at it presses the button at once."""
        asked = request.query
        client = self.clients.get(asked.get("client_id", ""))
        uri = asked.get("redirect_uri", "")
        if client is None:
            return _page("Error 401: invalid_client", 401)
        if not _fits(client, uri):
            return _page("Error 400: redirect_uri_mismatch", 400)
        scopes = frozenset(asked.get("scope", "").split())
        if asked.get("response_type") != "code" or not scopes:
            return _page("Error 400: invalid_request", 400)
        if not all(one.startswith(SCOPE) or one in ("openid", "email", "profile") for one in scopes):
            return _page("Error 400: invalid_scope", 400)
        person = self.at_the_page
        if person is None:
            return _page("Sign in with Google", 200)
        back = {"state": asked["state"]} if "state" in asked else {}
        if person.declines:
            back["error"] = "access_denied"
        else:
            allowed = scopes if person.scopes is None else scopes & person.scopes
            back |= {"code": f"4/local-{self._next()}", "scope": " ".join(sorted(allowed))}
            before = [g for g in self.grants.values() if g.account is person.account and not g.revoked]
            again = asked.get("prompt") == "consent" or not [g for g in before if g.client == client.id]
            self.codes[back["code"]] = Code(
                account=person.account,
                client=client.id,
                scopes=allowed,
                redirect_uri=uri,
                until=self.drive.clock() + CODE_LIFE,
                offline=asked.get("access_type") == "offline" and again,
                challenge=asked.get("code_challenge"),
                method=asked.get("code_challenge_method", "plain"),
            )
        joint = "&" if urlsplit(uri).query else "?"
        return web.Response(status=302, headers={"Location": f"{uri}{joint}{urlencode(back)}"})


def _fits(client: Client, uri: str) -> bool:
    if client.kind == "web":
        return uri in client.redirect_uris
    found = urlsplit(uri)
    return found.scheme == "http" and found.hostname in ("127.0.0.1", "localhost", "::1")


def _challenge(verifier: str, method: str) -> str:
    if method == "plain":
        return verifier
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _told(token: Token) -> dict[str, Any]:
    return {
        "access_token": token.value,
        "expires_in": TOKEN_LIFE,
        "scope": " ".join(sorted(token.scopes)),
        "token_type": "Bearer",
    }


def _page(text: str, status: int) -> web.Response:
    body = f"<html><body><h1>{text}</h1></body></html>"
    return web.Response(status=status, text=body, content_type="text/html")
