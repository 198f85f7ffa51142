"""Whom the service believes: only what Teams signed, for this app, about the address that it vouches for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import jwt

from bots.teams.calls import json_of
from bots.teams.incoming import Incoming, tenant_of
from bots.teams.issuer import ALGORITHM, UNREADABLE, Issuer, Key
from bots.teams.records import Json, text
from bots.teams.settings import Registration
from core.addresses import is_loopback
from core.errors import ErniError

CHANNEL: Final = "msteams"
"""What Teams calls itself among the channels of the Bot Framework; no other is served."""

_LEEWAY: Final = 300.0  # seconds that clocks may differ
_LONGEST_TOKEN: Final = 16_384


class Untrusted(ErniError):
    """A request that is not acted on. `status` is what it is answered with: 401 without a good token, 403 if
    the token is not for this, 400 for what can't be read."""

    def __init__(self, message: str, *, status: int = 401) -> None:
        super().__init__(message)
        self.status = status


class Trust:
    """Checks requests to the app `registration`, whose tokens `issuer` signs."""

    def __init__(self, issuer: Issuer, registration: Registration) -> None:
        self._issuer = issuer
        self._registration = registration

    async def admit(self, body: bytes, headers: Mapping[str, str]) -> Incoming:
        """The activity of a request. Raises Untrusted if Teams did not send it to this app, Transient if that
        can't be found out now."""
        activity = json_of(body) or {}
        given = {name.lower(): value for name, value in headers.items()}
        key, claims = await self._claims(given.get("authorization", ""))
        if text(activity, "channelId") != CHANNEL or CHANNEL not in key.endorsements:
            raise Untrusted("Its token does not speak for Teams.", status=403)
        service_url = text(activity, "serviceUrl")
        if not service_url or claims.get("serviceurl") != service_url:
            raise Untrusted("Its token vouches for another address.", status=403)
        if tenant_of(activity) not in {"", self._registration.tenant}:
            raise Untrusted("It comes from another organisation.", status=403)
        return _readable(activity)

    async def _claims(self, authorization: str) -> tuple[Key, Mapping[str, Any]]:
        """What a good token says, and the key that signed it. A token is checked each time it comes: that
        takes a tenth of a millisecond, and what was remembered could outlive its key."""
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > _LONGEST_TOKEN:
            raise Untrusted("It has no token.")
        try:
            header = jwt.get_unverified_header(token)
        except UNREADABLE:
            raise Untrusted("Its token can't be read.") from None
        key_id = header.get("kid")
        if header.get("alg") != ALGORITHM or not isinstance(key_id, str):
            raise Untrusted("Its token is not signed as Teams signs.")
        key = await self._issuer.key(key_id)
        if key is None:
            raise Untrusted("Its token is signed with a key that is not Teams'.")
        return key, self._verified(token, key, await self._issuer.name())

    def _verified(self, token: str, key: Key, issuer: str) -> Mapping[str, Any]:
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key.public,
                algorithms=[ALGORITHM],
                audience=self._registration.app,
                issuer=issuer,
                leeway=_LEEWAY,
                options={"require": ["exp", "iss", "aud"], "strict_aud": True},
            )
        except jwt.InvalidIssuerError:
            raise Untrusted("Its token is not from Teams.") from None
        except jwt.InvalidAudienceError:
            raise Untrusted("Its token is for another app.", status=403) from None
        except UNREADABLE as error:
            raise Untrusted(f"Its token is not good ({type(error).__name__}).") from None
        return claims


class Neighbourhood:
    """Instead of `Trust` in local development: believes programs on this machine."""

    async def admit(self, body: bytes, headers: Mapping[str, str]) -> Incoming:
        """The activity of a request without any proof. A page in a browser can send none of this kind without
        asking first, and can't make up the host. Raises Untrusted if it comes from elsewhere, or wants to be
        answered there."""
        activity = json_of(body) or {}
        given = {name.lower(): value for name, value in headers.items()}
        kind = given.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" or not _is_here(f"//{given.get('host', '')}"):
            raise Untrusted("It does not come from a program on this machine.", status=403)
        service_url = text(activity, "serviceUrl")
        if not service_url.startswith(("http://", "https://")) or not _is_here(service_url):
            raise Untrusted("In local development only this machine is answered.", status=403)
        return _readable(activity)


def _is_here(address: str) -> bool:
    try:
        return is_loopback(urlsplit(address).hostname or "")
    except ValueError:
        return False


def _readable(activity: Json) -> Incoming:
    try:
        return Incoming.from_payload(activity)
    except ValueError:
        raise Untrusted("It is no activity that can be answered.", status=400) from None
