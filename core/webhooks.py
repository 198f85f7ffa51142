"""Webhooks of recognition vendors: who may call, and how the waiting worker hears of it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.errors import ErniError, Misconfigured, Transient
from core.ledger import PREFIX
from core.registry import WEBHOOKS, load

logger = logging.getLogger(__name__)

Verifier = Callable[[Mapping[str, str], bytes, float], str]
"""Takes the request's headers (any case), its raw body and the time (Unix seconds); returns the vendor's job
id. Raises `Forged` if signature or time are wrong, or no job is named."""

_WINDOW = 300.0  # seconds that a signed time may be off, against replays
KEPT = 3600  # seconds for which a hook waits for its waiter
_LOOK = 0.3  # seconds between two looks into the store
_LONGEST_ID = 200


class Forged(ErniError):
    """A webhook that the vendor did not send, or sent long ago."""


# --- what the vendors' verifiers share ---


def header(headers: Mapping[str, str], name: str) -> str:
    """The header `name` (lower case), however it is spelt in `headers`. Raises Forged if it is missing."""
    for key, value in headers.items():
        if key.lower() == name and value:
            return value
    raise Forged(f"It has no {name} header.")


def check_time(stamp: str, now: float) -> None:
    """Raises Forged unless `stamp`, whole Unix seconds, is within five minutes of `now`."""
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise Forged("Its time is none.")
    if abs(now - int(stamp)) > _WINDOW:
        raise Forged("Its time is more than five minutes away from ours.")


def job_in(body: bytes, field: str) -> str:
    """The job's id in `field` of the JSON `body`. Raises Forged if there is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Forged("Its body is no JSON.") from None
    job = found.get(field) if isinstance(found, dict) else None
    if not isinstance(job, str) or not 0 < len(job) <= _LONGEST_ID:
        raise Forged("It names no job.")
    return job


# --- from the process that is called to the one that waits ---


class Addresses:
    """Where vendors are to call: those in `vendors`, if there is a `public_url`."""

    def __init__(self, public_url: str | None, vendors: frozenset[str]) -> None:
        self._public_url = public_url.rstrip("/") if public_url else None
        self._vendors = vendors

    def url(self, vendor: str) -> str | None:
        """See `core.ports.Hooks`."""
        if self._public_url is None or vendor not in self._vendors:
            return None
        return f"{self._public_url}/webhooks/{vendor}"


class RedisHooks(Addresses):
    """`core.ports.Hooks` across all processes on one store.

    A waiter looks every `look` seconds rather than blocking, which would hold a connection per job. A store
    that can't be reached delays a hook and does no other harm: the vendor is asked anyway.
    """

    def __init__(
        self, redis: Redis, public_url: str | None, vendors: frozenset[str], *, look: float = _LOOK
    ) -> None:
        super().__init__(public_url, vendors)
        self._redis = redis
        self._look = look

    async def arrived(self, vendor: str, job: str) -> None:
        """A verified hook came. Raises Transient if the store can't be reached."""
        try:
            await self._redis.set(_key(vendor, job), b"1", ex=KEPT)
        except (RedisError, OSError) as error:
            raise Transient(f"The store can't be reached ({type(error).__name__}).") from error

    async def wait(self, vendor: str, job: str, seconds: float) -> bool:
        """See `core.ports.Hooks`."""
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        while True:
            try:
                if await self._redis.getdel(_key(vendor, job)) is not None:
                    return True
            except (RedisError, OSError) as error:
                logger.debug("no look for a webhook: %s", type(error).__name__)
            left = until - clock()
            if left <= 0:
                return False
            await asyncio.sleep(min(self._look, left))


def _key(vendor: str, job: str) -> str:
    return f"{PREFIX}:hook:{vendor}:{job}"


# --- the vendors' way in ---


def verifiers() -> dict[str, Verifier]:
    """The verifier of every vendor whose secret is set and whose packages are installed.

    Raises Misconfigured for a secret that can be none.
    """
    found: dict[str, Verifier] = {}
    for vendor, target in WEBHOOKS.items():
        try:
            create = load(target)
        except Misconfigured as error:
            logger.debug("no webhooks of %s: %s", vendor, error)
            continue
        verifier: Verifier | None = create()
        if verifier is not None:
            found[vendor] = verifier
    return found


def routes(
    verifiers: Mapping[str, Verifier], arrived: Callable[[str, str], Awaitable[None]]
) -> list[web.RouteDef]:
    """`POST /webhooks/{vendor}`, which calls `arrived` with vendor and job.

    Answers 204; 401 without a word for what is forged, 404 for an unknown vendor, 503 if `arrived` raises
    Transient, so that the vendor tries again.
    """

    async def receive(request: web.Request) -> web.Response:
        vendor = request.match_info["vendor"]
        verify = verifiers.get(vendor)
        if verify is None:
            return web.Response(status=404)
        body = await request.read()
        try:
            job = verify(request.headers, body, time.time())
        except Forged as error:
            logger.warning("refused a webhook for %s: %s", vendor, error)
            return web.Response(status=401)
        try:
            await arrived(vendor, job)
        except Transient as error:
            logger.warning("a webhook of %s could not be kept: %s", vendor, error)
            return web.Response(status=503)
        return web.Response(status=204)

    return [web.post("/webhooks/{vendor}", receive)]
