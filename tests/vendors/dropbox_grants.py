"""An app that people allowed into their Dropbox: consent, codes, PKCE, refresh and access tokens, scopes."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from aiohttp import web

from tests.vendors.dropbox_model import Account, Json, Refused, bad_input

TOKEN_LIFE = 14_400  # seconds
CODE_LIFE = 600  # seconds, unverified
SCOPES = frozenset(
    {
        *("account_info.read", "files.metadata.read", "files.metadata.write", "files.content.read"),
        *("files.content.write", "sharing.read"),
    }
)


@dataclass(slots=True, kw_only=True)
class App:
    """An app of the App Console. `scopes` are ticked there; a grant never gets others."""

    key: str = "erniaudioappkey"
    secret: str = "erniaudiosecret"
    name: str = "Erni Audio"
    scopes: frozenset[str] = SCOPES
    redirect_uris: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False, kw_only=True)
class Grant:
    """That somebody allowed the app in. `access_token` is the latest one."""

    account: Account
    scopes: frozenset[str]
    access_token: str = ""
    refresh_token: str | None = None
    pkce: bool = False
    revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    grant: Grant
    scopes: frozenset[str]
    until: float


@dataclass(slots=True, kw_only=True)
class Code:
    """An authorization code, good once and for a while."""

    account: Account
    scopes: frozenset[str]
    offline: bool
    challenge: str | None
    redirect_uri: str | None
    until: float
    used: bool = False


@dataclass(slots=True)
class Grants:
    """Who may call. `visitor` is the person at the consent page; `declines`: they press Cancel."""

    clock: Callable[[], float]
    app: App = field(default_factory=App)
    visitor: Account | None = None
    declines: bool = False
    all: list[Grant] = field(default_factory=list)
    _tokens: dict[str, Token] = field(default_factory=dict)
    _codes: dict[str, Code] = field(default_factory=dict)

    def allow(self, account: Account, scopes: frozenset[str], *, offline: bool, pkce: bool = False) -> Grant:
        number = len(self.all) + 1
        refresh = f"refresh{number:03d}" + "AAAAAAAAAA" * 5 if offline else None
        grant = Grant(account=account, scopes=scopes, refresh_token=refresh, pkce=pkce)
        self.all.append(grant)
        self.issue(grant, scopes)
        return grant

    def issue(self, grant: Grant, scopes: frozenset[str]) -> str:
        """A new access token; older ones stay good until their time is over."""
        grant.access_token = f"sl.u.{len(self._tokens) + 1:04d}" + "BBBBBBBBBB" * 13
        self._tokens[grant.access_token] = Token(grant=grant, scopes=scopes, until=self.clock() + TOKEN_LIFE)
        return grant.access_token

    def bearer(self, route: str, header: str | None) -> Token:
        """Whose call it is. Raises Refused."""
        if header is None:
            raise bad_input(route, 'Must provide HTTP header "Authorization".', where="authorization")
        kind, _, text = header.partition(" ")
        if kind != "Bearer" or not text:
            problem = 'Invalid authorization value in HTTP header "Authorization": expected "Bearer".'
            raise bad_input(route, problem, where="authorization")
        token = self._tokens.get(text)
        if token is None or token.grant.revoked:
            raise Refused({".tag": "invalid_access_token"}, status=401)
        if self.clock() >= token.until:
            raise Refused({".tag": "expired_access_token"}, status=401)
        if token.grant.account.suspended:
            raise Refused({".tag": "user_suspended"}, status=401)
        return token

    def check_app(self, route: str, header: str | None) -> None:
        """Raise Refused unless the app itself calls."""
        if _basic(header) != (self.app.key, self.app.secret):
            raise bad_input(route, "Invalid app key or app secret", where="authorization")

    # The pages and the endpoint of OAuth

    def consent(self, asked: Mapping[str, str]) -> tuple[str | None, str]:
        """What the person at the page is given: where they are sent, if anywhere, and the code or the page's
        text. Raises Refused where the page itself says that something is wrong."""
        uri = asked.get("redirect_uri")
        if asked.get("client_id") != self.app.key:
            raise Refused("Invalid client_id", status=400)
        if asked.get("response_type") != "code":
            raise Refused("Invalid response_type", status=400)
        if uri is not None and uri not in self.app.redirect_uris and not _is_loopback(uri):
            raise Refused("Invalid redirect_uri", status=400)
        scopes = frozenset(asked["scope"].split()) if "scope" in asked else self.app.scopes
        if not scopes <= self.app.scopes:
            raise Refused("This app requested a scope that it does not have", status=400)
        if asked.get("token_access_type", "online") not in ("online", "offline"):
            raise Refused("Invalid token_access_type", status=400)
        if "code_challenge" in asked and asked.get("code_challenge_method") != "S256":
            raise Refused("Invalid code_challenge_method", status=400)
        if self.visitor is None:
            raise Refused("nobody is at the page: set visitor", status=400)
        back = {"state": asked["state"]} if "state" in asked else {}
        if self.declines:
            back |= {
                "error": "access_denied",
                "error_description": "The user chose not to",
            }
            return (None, "cancelled") if uri is None else (_with(uri, back), "")
        code = f"code{len(self._codes) + 1:04d}" + "CCCCCCCCCC" * 4
        self._codes[code] = Code(
            account=self.visitor,
            scopes=scopes,
            offline=asked.get("token_access_type") == "offline",
            challenge=asked.get("code_challenge"),
            redirect_uri=uri,
            until=self.clock() + CODE_LIFE,
        )
        return (None, code) if uri is None else (_with(uri, {"code": code, **back}), code)

    def exchange(self, form: Mapping[str, str], authorization: str | None) -> Json:
        """The answer of /oauth2/token. Raises Refused; its error is the whole body then."""
        key, secret = _basic(authorization) if authorization else ("", "")
        key, secret = form.get("client_id", key), form.get("client_secret", secret)
        if key != self.app.key or (secret and secret != self.app.secret):
            raise _grant_error("invalid_client", "Invalid client_id or client_secret")
        match form.get("grant_type"):
            case "authorization_code":
                return self._redeem(form, has_secret=bool(secret))
            case "refresh_token":
                return self._refresh(form, has_secret=bool(secret))
            case _:
                raise _grant_error("unsupported_grant_type", "grant_type is not supported")

    def _redeem(self, form: Mapping[str, str], *, has_secret: bool) -> Json:
        code = self._codes.get(form.get("code", ""))
        if code is None or code.used or self.clock() >= code.until:
            raise _grant_error("invalid_grant", "code doesn't exist or has expired")
        if form.get("redirect_uri") != code.redirect_uri:
            raise _grant_error("invalid_grant", "redirect_uri mismatch")
        if code.challenge is not None:
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).decode().rstrip("=") != code.challenge:
                raise _grant_error("invalid_grant", "invalid code verifier")
        elif not has_secret:
            raise _grant_error("invalid_client", "Invalid client_id or client_secret")
        code.used = True
        grant = self.allow(code.account, code.scopes, offline=code.offline, pkce=code.challenge is not None)
        answer: Json = {
            "access_token": grant.access_token,
            "token_type": "bearer",
            "expires_in": TOKEN_LIFE,
            "scope": " ".join(sorted(grant.scopes)),
            "uid": str(code.account.uid),
            "account_id": code.account.id,
        }
        return answer | ({"refresh_token": grant.refresh_token} if grant.refresh_token else {})

    def _refresh(self, form: Mapping[str, str], *, has_secret: bool) -> Json:
        text = form.get("refresh_token")
        grant = next((g for g in self.all if text is not None and g.refresh_token == text), None)
        if grant is None or grant.revoked:
            raise _grant_error("invalid_grant", "refresh token is invalid or revoked")
        if not has_secret and not grant.pkce:
            raise _grant_error("invalid_client", "Invalid client_id or client_secret")
        scopes = frozenset(form["scope"].split()) if "scope" in form else grant.scopes
        if not scopes <= grant.scopes:
            raise _grant_error("invalid_scope", "a scope was not granted")
        token = self.issue(grant, scopes)
        return {"access_token": token, "token_type": "bearer", "expires_in": TOKEN_LIFE}


async def authorise(grants: Grants, request: web.Request) -> web.StreamResponse:
    """GET /oauth2/authorize."""
    try:
        goes_to, code = grants.consent(request.query)
    except Refused as refused:
        return web.Response(status=400, text=f"Error (400): {refused.error}")
    if goes_to is not None:
        return web.Response(status=302, headers={"Location": goes_to})
    page = f'<html><body><input name="code" data-token="{code}" value="{code}"></body></html>'
    return web.Response(text=page, content_type="text/html")


async def token(grants: Grants, request: web.Request) -> web.StreamResponse:
    """POST /oauth2/token."""
    form = dict(parse_qsl(await request.text()))
    try:
        return web.json_response(grants.exchange(form, request.headers.get("Authorization")))
    except Refused as refused:
        return web.json_response(refused.error, status=refused.status)


def _grant_error(error: str, description: str) -> Refused:
    return Refused({"error": error, "error_description": description}, status=400)


def _basic(header: str | None) -> tuple[str, str]:
    kind, _, text = (header or "").partition(" ")
    try:
        key, _, secret = base64.b64decode(text if kind == "Basic" else "").decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return key, secret


def _is_loopback(uri: str) -> bool:
    return urlsplit(uri).hostname in ("127.0.0.1", "localhost")


def _with(uri: str, query: Mapping[str, str]) -> str:
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(query)}"
