"""Microsoft's login: OpenID documents, tokens for an app's own credentials, tokens of the Bot Connector."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from aiohttp import web

from tests.vendors.teams_tokens import (
    BadToken,
    Json,
    Key,
    signed_with_public_key,
    tampered,
    unsigned,
    verify,
)
from tests.vendors.teams_traffic import Refused, Traffic

HOME = "0d9b645f-597b-41f0-a2a3-ef103fbd91bb"
CONNECTOR = "https://api.botframework.com"
GRAPH = "https://graph.microsoft.com"
SKEW = 300  # seconds that a bot may tolerate

ROLES = frozenset(
    {
        *("ChannelMessage.Read.All", "Chat.Read.All", "ChatMember.Read.All", "Files.ReadWrite.All"),
        *("TeamMember.Read.All", "User.Read.All"),
    }
)

Forgery = Literal[
    "no header",
    "not bearer",
    "empty bearer",
    "malformed",
    "not json",
    "unsigned",
    "tampered",
    "wrong key",
    "unknown key",
    "public key as secret",
    "expired",
    "not yet valid",
    "foreign audience",
    "no audience",
    "wrong issuer",
    "no issuer",
    "emulator issuer",
    "missing endorsement",
    "no endorsements",
    "wrong serviceurl",
    "no serviceurl",
    "our own token",
    "skill token",
]
FORGERIES: tuple[Forgery, ...] = get_args(Forgery)
EMULATOR = "https://sts.windows.net/d6d49420-f39b-4df7-a1dc-d59a935871db/"


@dataclass(slots=True, kw_only=True)
class App:
    """A registration: single tenant, with the permissions that an admin consented to. `roles` are application
    permissions of Graph and go into tokens as they are issued; `rsc` is what the app's manifest asks of each
    team and chat that it is installed in."""

    id: str = "6f1c3a52-8f0e-4d0b-9a55-3b8f0d1f6f2e"
    name: str = "Erni"
    secret: str = "erni~client~secret"
    tenant: str = HOME
    roles: frozenset[str] = ROLES
    rsc: frozenset[str] = frozenset()
    secret_expired: bool = False

    @property
    def bot(self) -> str:
        """The id of the bot in conversations."""
        return f"28:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A token that was given out."""

    audience: str
    at: float
    token: str


@dataclass(slots=True)
class Login:
    """`lifetime` of tokens is in seconds. `keys` sign what the Bot Connector sends to bots."""

    app: App
    traffic: Traffic
    origin: str = ""
    lifetime: int = 3599
    issued: list[Issued] = field(default_factory=list)
    keys: list[Key] = field(
        default_factory=lambda: [
            Key(name="connector", endorsements=("msteams", "skype", "agents", "webchat")),
            Key(name="other channels", endorsements=("telegram", "webchat")),
            Key(name="unendorsed"),
        ]
    )
    tenant_key: Key = field(default_factory=lambda: Key(name="entra"))
    stranger: Key = field(default_factory=lambda: Key(name="stranger", endorsements=("msteams",)))
    _revoked: set[str] = field(default_factory=set)
    _rotations: int = 0

    @property
    def metadata_url(self) -> str:
        """What TEAMS_OPENID_METADATA is set to."""
        return f"{self.origin}/v1/.well-known/openidconfiguration"

    def rotate(self) -> None:
        """The Bot Connector signs with a new key from now on; the old one stays published."""
        self._rotations += 1
        endorsed = self.keys[0].endorsements
        self.keys.insert(0, Key(name=f"connector {self._rotations}", endorsements=endorsed))

    def revoke(self) -> None:
        """No token that was issued so far is good any more."""
        self._revoked |= {issued.token for issued in self.issued}

    # Tokens that the Bot Connector sends to the bot

    def header(self, service_url: str, **claims: Any) -> str:
        """The Authorization header of an activity; claims replace those of a good token."""
        return f"Bearer {self.keys[0].sign(self._activity_claims(service_url) | claims)}"

    def _activity_claims(self, service_url: str) -> Json:
        now = int(time.time())
        return {
            "serviceurl": service_url,
            "nbf": now - 5,
            "exp": now + 3600,
            "iss": CONNECTOR,
            "aud": self.app.id,
        }

    def forge(self, what: Forgery, service_url: str) -> str | None:
        """An Authorization header that no bot may accept; None: no header at all."""
        claims, key = self._activity_claims(service_url), self.keys[0]
        now = int(time.time())
        past = {"nbf": now - 7200 - SKEW, "exp": now - 60 - SKEW}
        changed: Mapping[str, Json] = {
            "expired": past,
            "not yet valid": {"nbf": now + SKEW + 600, "exp": now + 7200},
            "foreign audience": {"aud": str(uuid.UUID(int=7))},
            "wrong issuer": {"iss": "https://api.botframework.example"},
            "emulator issuer": {"iss": EMULATOR, "ver": "1.0", "appid": self.app.id},
            "wrong serviceurl": {"serviceurl": "https://smba.trafficmanager.example/emea/"},
            "skill token": {"iss": EMULATOR, "ver": "1.0", "appid": str(uuid.UUID(int=8))},
        }
        without: Mapping[str, str] = {"no audience": "aud", "no issuer": "iss", "no serviceurl": "serviceurl"}
        if what in without:
            return f"Bearer {key.sign({k: v for k, v in claims.items() if k != without[what]})}"
        if what in changed:
            return f"Bearer {key.sign(claims | changed[what])}"
        headers: Mapping[Forgery, str | None] = {
            "no header": None,
            "not bearer": f"Basic {key.sign(claims)}",
            "empty bearer": "Bearer ",
            "malformed": "Bearer a.b.c",
            "not json": "Bearer bm90.anNvbg.YXQgYWxs",
            "unsigned": f"Bearer {unsigned(claims, key.kid)}",
            "tampered": f"Bearer {tampered(key.sign(claims), serviceurl='https://elsewhere.example/')}",
            "wrong key": f"Bearer {self.stranger.sign(claims, kid=key.kid)}",
            "unknown key": f"Bearer {self.stranger.sign(claims)}",
            "public key as secret": f"Bearer {signed_with_public_key(claims, key)}",
            "missing endorsement": f"Bearer {self._key('other channels').sign(claims)}",
            "no endorsements": f"Bearer {self._key('unendorsed').sign(claims)}",
            "our own token": f"Bearer {self._token(CONNECTOR)}",
        }
        return headers[what]

    def _key(self, name: str) -> Key:
        return next(key for key in self.keys if key.name == name)

    # Tokens that the bot gets for itself

    def _token(self, audience: str) -> str:
        now, tenant = int(self.traffic.clock()), self.app.tenant
        claims: Json = {"aud": audience, "iss": f"https://sts.windows.net/{tenant}/", "iat": now, "nbf": now}
        claims |= {"exp": now + self.lifetime, "appid": self.app.id, "appidacr": "1", "tid": tenant}
        claims |= {"idp": claims["iss"], "ver": "1.0", "uti": uuid.uuid4().hex}
        if audience == GRAPH and self.app.roles:
            claims["roles"] = sorted(self.app.roles)
        return self.tenant_key.sign(claims)

    def caller(self, request: web.Request, audience: str) -> Json:
        """The claims of a caller's token; 401 where it has none that is good for `audience`."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        code = "InvalidAuthenticationToken"
        if kind != "Bearer" or not token:
            raise Refused(401, code, "Access token is empty.")
        try:
            claims = verify(token, [self.tenant_key], now=self.traffic.clock())
        except BadToken as error:
            raise Refused(401, code, f"Access token validation failure: {error}.") from None
        if claims["aud"] != audience:
            raise Refused(401, code, "Access token validation failure. Invalid audience.")
        if claims["appid"] != self.app.id or token in self._revoked:
            raise Refused(401, code, "Access token has expired or is not yet valid.")
        return claims

    async def token(self, request: web.Request) -> web.StreamResponse:
        """POST /{tenant}/oauth2/v2.0/token"""
        form = {k: v for k, v in (await request.post()).items() if isinstance(v, str)}
        if request.query:
            self.traffic.violations.append("credentials in the address of a token request")
        tenant, client = request.match_info["tenant"], form.get("client_id")
        if form.get("grant_type") != "client_credentials":
            raise Refused(
                400, "unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant."
            )
        if tenant not in (self.app.tenant, "botframework.com"):
            raise Refused(400, "invalid_request", f"AADSTS90002: Tenant '{tenant}' not found.")
        if client != self.app.id or tenant != self.app.tenant:
            raise Refused(
                400,
                "unauthorized_client",
                f"AADSTS700016: Application with identifier '{client}' was not found in the directory.",
            )
        if form.get("client_secret") is None:
            raise Refused(
                401, "invalid_client", "AADSTS7000218: The request body must contain client_secret."
            )
        if form["client_secret"] != self.app.secret:
            raise Refused(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
        if self.app.secret_expired:
            raise Refused(
                401, "invalid_client", "AADSTS7000222: The provided client secret keys are expired."
            )
        audience = form.get("scope", "").removesuffix("/.default")
        if audience not in (CONNECTOR, GRAPH) or not form["scope"].endswith("/.default"):
            raise Refused(400, "invalid_scope", "AADSTS70011: The provided value for scope is not valid.")
        token = self._token(audience)
        self.issued.append(Issued(audience=audience, at=self.traffic.clock(), token=token))
        life = {"expires_in": self.lifetime, "ext_expires_in": self.lifetime}
        return web.json_response({"token_type": "Bearer", **life, "access_token": token})

    async def metadata(self, request: web.Request) -> web.StreamResponse:
        """The OpenID configuration of the Bot Connector."""
        return web.json_response(
            {
                "issuer": CONNECTOR,
                "authorization_endpoint": "https://invalid.botframework.com",
                "jwks_uri": f"{self.origin}/v1/.well-known/keys",
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            }
        )

    async def key_set(self, request: web.Request) -> web.StreamResponse:
        """The keys of the Bot Connector."""
        return web.json_response({"keys": [key.jwk for key in self.keys]})

    async def tenant_metadata(self, request: web.Request) -> web.StreamResponse:
        """The OpenID configuration of a tenant, which MSAL reads."""
        tenant = request.match_info["tenant"]
        if tenant != self.app.tenant:
            raise Refused(400, "invalid_tenant", f"AADSTS90002: Tenant '{tenant}' not found.")
        here = f"{self.origin}/{tenant}"
        return web.json_response(
            {
                "token_endpoint": f"{here}/oauth2/v2.0/token",
                "authorization_endpoint": f"{here}/oauth2/v2.0/authorize",
                "jwks_uri": f"{here}/discovery/v2.0/keys",
                "issuer": f"{here}/v2.0",
            }
        )

    async def tenant_keys(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"keys": [self.tenant_key.jwk]})

    def add_routes(self, router: web.UrlDispatcher) -> None:
        at = self.traffic.route
        router.add_get("/v1/.well-known/openidconfiguration", at("login", "metadata", self.metadata))
        router.add_get("/v1/.well-known/keys", at("login", "keys", self.key_set))
        router.add_get(
            "/{tenant}/v2.0/.well-known/openid-configuration",
            at("login", "tenant metadata", self.tenant_metadata),
        )
        router.add_get("/{tenant}/discovery/v2.0/keys", at("login", "tenant keys", self.tenant_keys))
        router.add_post("/{tenant}/oauth2/v2.0/token", at("login", "token", self.token))
