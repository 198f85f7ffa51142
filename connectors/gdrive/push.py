"""Notices of changes that Google sends, if it can reach us. Each is only a nudge to ask: what it says is not
believed, and without any of them changes are found by asking now and then."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final

from aiohttp import web
from redis.exceptions import RedisError

from connectors.gdrive.client import EVERYWHERE, Json
from connectors.gdrive.place import DrivePlace
from core.errors import ErniError
from core.ports import Store

logger = logging.getLogger(__name__)

PATH: Final = "/gdrive/notices"
SPACE: Final = "gdrive:channels"

_LIFE: Final = 7 * 86_400.0 - 60  # what Google allows
_LONGEST_MARGIN: Final = 86_400.0
_UNSURE: Final = 600.0  # how long a channel counts of which it is not known whether it was made
_AGAIN: Final = 600.0
_ROUND: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Where Google sends notices of one log of changes: that of a shared drive (its id), or ("") of an
    account. `proof` is the hash of the token that comes with each. Times are Unix times."""

    id: str
    account: str
    log: str
    address: str
    proof: str
    made: float
    until: float
    resource: str = ""

    def is_good(self, address: str, now: float) -> bool:
        """Whether it need not be renewed yet."""
        margin = min((self.until - self.made) / 4, _LONGEST_MARGIN)
        return self.address == address and now < self.until - margin


class Channels:
    """The channels of all accounts, on record in the store. `nudge` is told the account in which something
    may have changed."""

    def __init__(
        self,
        store: Store,
        public_url: str,
        nudge: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._address = public_url.rstrip("/") + PATH
        self._nudge = nudge
        self._clock = clock
        self._resting: dict[tuple[str, str], float] = {}
        self._told: dict[tuple[str, str], str] = {}

    async def receive(self, request: web.Request) -> web.Response:
        """Google calls."""
        try:
            text = await self._store.recall(SPACE, request.headers.get("X-Goog-Channel-ID", "")[:100])
        except (RedisError, OSError):
            return web.Response(status=503)
        channel = None if text is None else Channel(**json.loads(text))
        given = _proof(request.headers.get("X-Goog-Channel-Token", ""))
        known = secrets.compare_digest(given, channel.proof if channel is not None else _proof(""))
        if channel is None or not known or channel.until <= self._clock():
            return web.Response(status=404)
        if channel.resource and channel.resource != request.headers.get("X-Goog-Resource-ID", ""):
            return web.Response(status=404)
        if request.headers.get("X-Goog-Resource-State") != "sync":  # that is the channel's own beginning
            self._nudge(channel.account)
        return web.Response(status=204)

    async def keep(self, places: Iterable[tuple[str, DrivePlace]]) -> float:
        """Have a channel for every log of changes that tells of these places, given with their accounts, and
        no others. Returns when to do so again, in seconds. Raises what the store does."""
        wanted: dict[tuple[str, str], DrivePlace] = {}
        by_account: dict[str, DrivePlace] = {}
        unclear = False
        for account, place in places:
            by_account[account] = place
            try:
                wanted[account, await place.log()] = place
            except ErniError:  # whoever watches the folder tells that
                unclear = True
        known = await self._known()
        now = self._clock()
        for channel in known.values():
            asked_for = (channel.account, channel.log) in wanted
            if channel.until <= now or not (asked_for or unclear):
                await self._end(channel, by_account.get(channel.account))
        for (account, log), place in wanted.items():
            mine = [one for one in known.values() if (one.account, one.log) == (account, log)]
            if not any(one.is_good(self._address, now) for one in mine):
                await self._renew(account, log, place, mine)
        return _ROUND

    async def _renew(self, account: str, log: str, place: DrivePlace, old: Iterable[Channel]) -> None:
        """Make a channel, then end those before it."""
        key, now = (account, log), self._clock()
        if now < self._resting.get(key, 0.0):
            return
        try:
            await self._make(account, log, place)
        except ErniError as error:
            if self._told.get(key) != str(error):
                logger.warning("Google does not tell of changes: %s", error)
            self._told[key] = str(error)
            self._resting[key] = now + _AGAIN
            return
        self._told.pop(key, None)
        for channel in old:
            await self._end(channel, place)

    async def _make(self, account: str, log: str, place: DrivePlace) -> None:
        token, now = secrets.token_urlsafe(32), self._clock()
        channel = Channel(
            id=str(uuid.uuid4()),
            account=account,
            log=log,
            address=self._address,
            proof=_proof(token),
            made=now,
            until=now + _UNSURE,
        )
        await self._save(channel)  # its first notice may come before the answer
        try:
            told = await self._ask(channel, token, place)
        except ErniError:
            await self._store.forget(SPACE, channel.id)
            raise
        until = int(told["expiration"]) / 1000 if str(told.get("expiration", "")).isdecimal() else now + 3600
        await self._save(replace(channel, until=until, resource=str(told.get("resourceId", ""))))
        self._nudge(account)  # what changed until now nobody told

    async def _ask(self, channel: Channel, token: str, place: DrivePlace) -> Json:
        mine = {"driveId": channel.log} if channel.log else {}
        start = await place.start(channel.log)
        body = {
            "id": channel.id,
            "type": "web_hook",
            "address": channel.address,
            "token": token,
            "expiration": str(int((self._clock() + _LIFE) * 1000)),
        }
        return await place.client.ask_once(
            lambda drive: drive.changes().watch(
                body=body, pageToken=start, includeRemoved=True, **mine, **EVERYWHERE
            )
        )

    async def _end(self, channel: Channel, place: DrivePlace | None) -> None:
        await self._store.forget(SPACE, channel.id)
        if place is None or not channel.resource or channel.until <= self._clock():
            return
        body = {"id": channel.id, "resourceId": channel.resource}
        try:
            await place.client.once(lambda drive, http: drive.channels().stop(body=body).execute(http=http))
        except ErniError as error:  # it ends by itself
            logger.debug("a channel could not be stopped: %s", type(error).__name__)

    async def _known(self) -> Mapping[str, Channel]:
        found = await self._store.memories(SPACE)
        return {key: Channel(**json.loads(text)) for key, text in found.items()}

    async def _save(self, channel: Channel) -> None:
        await self._store.remember(SPACE, channel.id, json.dumps(asdict(channel)))


def _proof(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
