"""The app's own tokens, by which it calls Graph and Teams: kept until shortly before they end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

import httpx

from bots.teams.calls import body_of, json_of
from bots.teams.retries import CALL_SECONDS
from bots.teams.settings import Registration
from bots.teams.troubles import broken, from_login
from core.errors import Transient

logger = logging.getLogger(__name__)

Scope = Callable[[], Awaitable[str]]
"""The service that a token is for, such as https://graph.microsoft.com."""

_EARLY: Final = 300.0  # seconds before its end from which a token is renewed
_AGAIN: Final = 60.0  # seconds for which a failed renewal is not repeated while the old token is good
_LONGEST: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    text: str = field(repr=False)
    since: float
    until: float


class AppToken:
    """The token of the app `registration` for one service. `clock` gives seconds."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        registration: Registration,
        *,
        login_base_url: str,
        scope: Scope,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._registration = registration
        self._url = f"{login_base_url}/{quote(registration.tenant)}/oauth2/v2.0/token"
        self._scope = scope
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token: _Token | None = None
        self._renew_at = 0.0

    async def get(self) -> str:
        """A token that is good now. Raises Denied, Misconfigured or Transient if there is none."""
        async with self._lock:  # who comes while we ask waits and shares the answer
            known = self._token
            if known is not None and self._clock() < self._renew_at:
                return known.text
            try:
                self._token = await self._fresh()
            except Transient as error:
                if known is None or self._clock() >= known.until:
                    raise
                logger.warning("the app's token is not renewed yet: %s", error)
                self._renew_at = min(self._clock() + _AGAIN, known.until)
                return known.text
            life = self._token.until - self._token.since
            self._renew_at = self._token.until - min(_EARLY, life / 2)
            return self._token.text

    def age(self, token: str) -> float:
        """Seconds since `token` was given out; 0 for one that is not in use."""
        known = self._token
        return self._clock() - known.since if known is not None and known.text == token else 0.0

    def spoil(self, token: str) -> None:
        """The service did not accept `token`: the next call gets another one."""
        if self._token is not None and self._token.text == token:
            self._token = None

    async def _fresh(self) -> _Token:
        scope = await self._scope()
        asked = self._clock()
        try:
            async with (
                asyncio.timeout(CALL_SECONDS),
                self._client.stream(
                    "POST",
                    self._url,
                    data={
                        "grant_type": "client_credentials",
                        "client_id": self._registration.app,
                        "client_secret": self._registration.secret.get_secret_value(),
                        "scope": f"{scope}/.default",
                    },
                    headers={"Accept": "application/json"},
                ) as response,
            ):
                data = json_of(await body_of(response))
        except (httpx.HTTPError, TimeoutError) as error:
            raise broken("Microsoft's login", error) from None
        if response.status_code != 200 or data is None:
            raise from_login(response.status_code, response.headers, data or {})
        token, life = data.get("access_token"), data.get("expires_in")
        if not isinstance(token, str) or not token.isascii() or not token or "\n" in token:
            raise Transient("Microsoft's login answered without a token.")
        seconds = float(life) if isinstance(life, int | float | str) and str(life).isdigit() else 300.0
        return _Token(text=token, since=asked, until=asked + min(seconds, _LONGEST))
