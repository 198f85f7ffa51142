"""Sending a file piece by piece to an address that Microsoft opened for it; no token is ever sent there."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass
from typing import Final

import httpx

from bots.teams.calls import body_of, json_of
from bots.teams.hosts import SILENT_SECONDS
from bots.teams.records import Json, texts
from bots.teams.retries import (
    LONGEST_WAIT,
    SLOWEST_BYTES,
    TRANSFER_TRIES,
    UNCLEAR,
    pause,
    seconds_in,
    was_not_sent,
)
from bots.teams.troubles import Conflict, Gone, Refused, broken, code_in
from core.errors import Transient

logger = logging.getLogger(__name__)

PIECE: Final = 16 * 320 * 1024
"""Bytes; every piece but the last must be a multiple of 320 KiB."""

_PASSING: Final = frozenset({408, 423, 429})
_OPEN: Final = re.compile(r"(\d{1,15})-(?:\d{1,15})?")
_FULL: Final = "There is no room left where the file is to lie."


async def send(client: httpx.AsyncClient, url: httpx.URL, data: bytes) -> Json:
    """Send `data` to the upload session at `url`; what Microsoft says of the finished file, an empty object
    if its last answer was lost.

    Raises Gone if the session is over (before all of it was sent), Conflict if there is a file of that name,
    Refused or Transient.
    """
    return await _Upload(client=client, url=url, data=data).run()


async def cancel(client: httpx.AsyncClient, url: httpx.URL) -> None:
    """Throw away what was sent to a session. Best effort: it ends by itself, too."""
    try:
        async with asyncio.timeout(SILENT_SECONDS):
            await client.delete(url)
    except (httpx.HTTPError, TimeoutError, Transient) as error:
        logger.debug("an upload session is left to run out: %s", type(error).__name__)


@dataclass(slots=True, kw_only=True)
class _Upload:
    """`sent` bytes have arrived; `tried` is how far pieces have reached that may have. `unclear`: the last
    piece was sent and its answer was lost."""

    client: httpx.AsyncClient
    url: httpx.URL
    data: bytes
    sent: int = 0
    tried: int = 0
    unclear: bool = False

    async def run(self) -> Json:
        failures = furthest = 0
        while True:
            try:
                done = await self._next()
            except Transient as error:
                failures = 1 if self.sent > furthest else failures + 1
                furthest = max(furthest, self.sent)
                wait = max(error.retry_after or 0.0, pause(failures))
                if failures >= TRANSFER_TRIES or wait > LONGEST_WAIT:
                    raise
                logger.info("an upload is at %d of %d bytes: %s", self.sent, len(self.data), error)
                await asyncio.sleep(wait)
                done = await self._look()
            if done is not None:
                return done

    async def _next(self) -> Json | None:
        """Send one piece; what is said of the file if that was the last one."""
        end = min(self.sent + PIECE, len(self.data))
        piece = self.data[self.sent : end]
        self.tried = max(self.tried, end)
        last = end == len(self.data)
        try:
            status, headers, body = await self._ask(
                "PUT", piece, {"Content-Range": f"bytes {self.sent}-{end - 1}/{len(self.data)}"}
            )
        except (httpx.HTTPError, TimeoutError) as error:
            self.unclear = self.unclear or (last and not was_not_sent(error))
            raise broken("An upload", error) from None
        self.unclear = self.unclear or (last and (status in UNCLEAR or status < 400))
        answer = json_of(body)
        if status in {200, 201, 202} and answer is None:
            raise Transient("An upload was answered with something that is no JSON.")
        if status in {200, 201}:
            return answer
        if status == 202:
            before = self.sent
            self._go_on(answer or {}, otherwise=end)
            if self.sent <= before:
                raise Transient("An upload does not get on.")
            return None
        if status == 416:
            raise Transient("Microsoft has other parts of the file than were sent.")
        return self._refused(status, headers, answer or {})

    async def _look(self) -> Json | None:
        """Ask how far it is. A session that knows of nothing more after all was sent is done."""
        try:
            status, headers, body = await self._ask("GET", None, {})
        except (httpx.HTTPError, TimeoutError) as error:
            logger.debug("an upload goes on unasked: %s", type(error).__name__)
            return None
        answer = json_of(body)
        if status == 200 and answer is not None:
            self._go_on(answer, otherwise=self.sent)
            return None
        if 400 <= status < 500 and status not in _PASSING:
            return self._refused(status, headers, answer or {})
        return None

    def _go_on(self, answer: Json, *, otherwise: int) -> None:
        starts = [
            int(found[1]) for each in texts(answer.get("nextExpectedRanges")) if (found := _OPEN.match(each))
        ]
        start = min(starts) if starts else otherwise
        # What was never sent can't be there, and a session that wants nothing has not got everything either.
        self.sent = start if start <= self.tried and start < len(self.data) else 0

    def _refused(self, status: int, headers: httpx.Headers, answer: Json) -> Json | None:
        code = code_in(answer) or f"http_{status}"
        if status in {404, 410} and self.unclear:
            return {}
        if status in {401, 403, 404, 410}:
            raise Gone("The upload took too long, or was ended.", code=code)
        if status == 409:
            raise Conflict("There is something of that name already.", code=code)
        if status == 507:
            raise Refused(_FULL, code=code)
        if 400 <= status < 500 and status not in _PASSING:
            raise Refused("Microsoft 365 does not take this file.", code=code)
        raise Transient(f"An upload was answered with HTTP {status}.", retry_after=seconds_in(headers))

    async def _ask(
        self, method: str, piece: bytes | None, headers: dict[str, str]
    ) -> tuple[int, httpx.Headers, bytes]:
        seconds = SILENT_SECONDS + len(piece or b"") / SLOWEST_BYTES
        async with (
            asyncio.timeout(seconds),
            self.client.stream(method, self.url, content=piece, headers=headers) as answer,
        ):
            return answer.status_code, answer.headers, await body_of(answer)
