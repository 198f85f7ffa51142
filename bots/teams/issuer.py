"""The keys that Teams signs its requests with, as Microsoft publishes them."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import jwt

from bots.teams.calls import body_of, json_of
from bots.teams.hosts import Hosts, parsed
from bots.teams.records import objects, text, texts
from core.errors import Transient

logger = logging.getLogger(__name__)

ALGORITHM: Final = "RS256"

UNREADABLE: Final = (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What PyJWT raises for keys and tokens that are none, or odd, or not good."""

_GOOD: Final = 24 * 3600.0  # seconds for which keys are not asked for again
_AGAIN: Final = 60.0  # seconds between two looks for an unknown key, and after a failed look
_LONGEST_LIST: Final = 1000
_FETCH_SECONDS: Final = 5.0  # Teams waits no longer for some of its answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a signature is checked with, and the channels that its owner may speak for."""

    public: Any
    endorsements: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Published:
    """Who signs, and with what."""

    issuer: str
    keys: Mapping[str, Key]


class Issuer:
    """The keys that are published at `metadata_url`, kept for a day. `clock` gives seconds."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        hosts: Hosts,
        metadata_url: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._hosts = hosts
        self._url = metadata_url
        self._clock = clock
        self._lock = asyncio.Lock()
        self._known: _Published | None = None
        self._stale_at = 0.0
        self._look_at = 0.0
        self._renew_at = clock()
        self._failed_at = -math.inf

    async def name(self) -> str:
        """Who signs, which is also what the app's own token for Teams is asked for. Raises Transient."""
        return (await self._published()).issuer

    async def key(self, key_id: str) -> Key | None:
        """The key of that id, None if there is none. Raises Transient if that can't be found out."""
        known = await self._published()
        if key_id not in known.keys:
            known = await self._published(unless=known)
        return known.keys.get(key_id)

    async def tend(self) -> None:
        """Keep the keys fresh until cancelled, so that no request waits for them."""
        while True:
            await asyncio.sleep(max(0.0, self._renew_at - self._clock()))
            async with self._lock:
                try:
                    if self._clock() >= self._renew_at:  # else a request came first
                        await self._renew()
                except Transient as error:
                    logger.warning("the keys that Teams signs with are not known: %s", error)

    async def _published(self, *, unless: _Published | None = None) -> _Published:
        """What is published. `unless`: with this the key was not found, so look again, but not too often."""
        came = self._clock()
        if (known := self._good(unless)) is not None:
            return known  # nobody waits for a renewal who needs none
        async with self._lock:  # who comes while we ask waits and shares the answer
            if (known := self._good(unless)) is not None:
                return known
            if self._known is not None:
                self._look_at = self._clock() + _AGAIN
            elif came < self._failed_at:
                raise Transient("The keys of Teams can't be fetched.")
            return await self._renew()

    def _good(self, unless: _Published | None) -> _Published | None:
        """What is known, if nobody has to be asked."""
        known, now = self._known, self._clock()
        if known is None or now >= (self._look_at if known is unless else self._stale_at):
            return None
        return known

    async def _renew(self) -> _Published:
        """What is published now, or else what was. Raises Transient if that is nothing."""
        try:
            self._known = await self._fetched()
        except Transient as error:
            now = self._failed_at = self._clock()
            self._renew_at, self._stale_at = now + _AGAIN, max(self._stale_at, now + _AGAIN)
            if self._known is None:
                raise
            logger.warning("the keys that Teams signs with are not renewed yet: %s", error)
            return self._known
        now = self._clock()
        self._renew_at, self._stale_at = now + _GOOD / 4, now + _GOOD
        return self._known

    async def _fetched(self) -> _Published:
        document = await self._json(httpx.URL(self._url))
        issuer, address = text(document, "issuer"), parsed(text(document, "jwks_uri"))
        self._hosts.check(address)
        listed = objects((await self._json(address)).get("keys"))[:_LONGEST_LIST]
        keys = {text(each, "kid"): key for each in listed if (key := _read(each)) is not None}
        if not issuer.startswith("https://") or not keys:
            raise Transient("What Teams publishes about its keys can't be read.")
        return _Published(issuer=issuer, keys=keys)

    async def _json(self, url: httpx.URL) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(_FETCH_SECONDS), self._client.stream("GET", url) as answer:
                data = json_of(await body_of(answer))
        except (httpx.HTTPError, TimeoutError) as error:
            raise Transient(f"The keys of Teams can't be fetched ({type(error).__name__}).") from None
        if answer.status_code != 200 or data is None:
            raise Transient(f"The keys of Teams can't be fetched (HTTP {answer.status_code}).")
        return data


def _read(published: Mapping[str, Any]) -> Key | None:
    try:
        key = jwt.PyJWK(dict(published), algorithm=ALGORITHM)
    except UNREADABLE:
        return None
    return Key(public=key, endorsements=frozenset(texts(published.get("endorsements"))))
