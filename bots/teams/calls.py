"""Calling Microsoft with a token: asked again where that helps, never where something may be done twice."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import httpx

from bots.teams.records import Json, mapping
from bots.teams.retries import (
    CALL_SECONDS,
    CALL_TRIES,
    LONGEST_WAIT,
    SLOWEST_BYTES,
    UNCLEAR,
    pause,
    was_not_sent,
)
from bots.teams.troubles import Unsure, broken, unsure
from core.errors import ErniError, Transient

logger = logging.getLogger(__name__)

Trouble = Callable[[int, Mapping[str, str], Json], ErniError]
"""Our error for the status, the headers and the body of an answer."""

_MOST_BYTES: Final = 16 * 2**20
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_YOUNG: Final = 60.0  # seconds; an older token may lack what an admin granted since


class Token(Protocol):
    """Where tokens come from, such as `bots.teams.tokens.AppToken`."""

    async def get(self) -> str: ...

    def age(self, token: str) -> float: ...

    def spoil(self, token: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was answered; `data` is the body's JSON object, `location` where it leads to."""

    status: int
    data: Json
    location: str = ""


async def body_of(response: httpx.Response) -> bytes:
    """The body, at most 16 MiB. Raises Transient if it is longer."""
    taken = bytearray()
    async for block in response.aiter_bytes():
        taken += block
        if len(taken) > _MOST_BYTES:
            raise Transient("Microsoft answered with too much.")
    return bytes(taken)


def json_of(body: bytes) -> Json | None:
    """The JSON object in a body; an empty one if there is no body, None if it is anything else. Its texts can
    be kept: half a character, as is left of names that were cut, is a question mark."""
    if not body.strip():
        return {}
    try:
        found = json.loads(body)
        if _SURROGATE.search(body):
            found = json.loads(json.dumps(found, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


class Calls:
    """Calls to `who` ("Teams", "Microsoft Graph") with `token`; without one in local development."""

    def __init__(self, client: httpx.AsyncClient, *, who: str, token: Token | None) -> None:
        self.client = client
        self._who = who
        self._token = token

    async def ask(
        self,
        method: str,
        url: httpx.URL,
        *,
        doing: str,
        trouble: Trouble,
        content: bytes | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        once: bool = False,
    ) -> Answer:
        """The answer to a request, a redirect among them.

        A short wait that is asked for, a failed connection and a token that has become bad are dealt with
        here. `once`: it must not be done twice, so that after a lost answer Unsure is raised. Other errors
        are what `trouble` makes of the answer, and Transient.
        """
        renewed = False
        attempt = 0
        while True:
            attempt += 1
            token = None if self._token is None else await self._token.get()
            try:
                status, answer_headers, body = await self._send(
                    method, url, token=token, content=content, json=json, headers=headers
                )
            except (httpx.HTTPError, TimeoutError) as failure:
                error: ErniError = broken(self._who, failure)
                if once and not was_not_sent(failure):
                    raise unsure(broken(self._who, failure), doing) from None
            else:
                data = json_of(body)
                if status < 400 and data is not None:
                    return Answer(status=status, data=data, location=answer_headers.get("location", ""))
                if self._is_worth_a_token(status, token) and not renewed:
                    renewed = True
                    continue
                error = self._error(status, answer_headers, data, doing, trouble, once=once)
            wait = self._patience(error, attempt)
            logger.info("%s: %s is asked again in %.1f s", doing, self._who, wait)
            await asyncio.sleep(wait)

    def _is_worth_a_token(self, status: int, token: str | None) -> bool:
        """Whether another token may be accepted; then this one is thrown away."""
        if self._token is None or token is None or status not in {401, 403}:
            return False
        if status == 403 and self._token.age(token) < _YOUNG:
            return False
        self._token.spoil(token)
        return True

    def _error(
        self,
        status: int,
        headers: Mapping[str, str],
        data: Json | None,
        doing: str,
        trouble: Trouble,
        *,
        once: bool,
    ) -> ErniError:
        if status < 400:
            lost = Transient(f"{self._who} answered with something that is no JSON ({doing}).")
            return unsure(lost, doing) if once else lost
        error = trouble(status, headers, mapping(data))
        if once and status in UNCLEAR and isinstance(error, Transient):
            return unsure(error, doing)
        return error

    @staticmethod
    def _patience(error: ErniError, attempt: int) -> float:
        """Seconds until the next try. Raises `error` if there is none."""
        if not isinstance(error, Transient) or isinstance(error, Unsure) or attempt >= CALL_TRIES:
            raise error
        wait = max(error.retry_after or 0.0, pause(attempt))
        if wait > LONGEST_WAIT:
            raise error
        return wait

    async def _send(
        self,
        method: str,
        url: httpx.URL,
        *,
        token: str | None,
        content: bytes | None,
        json: Any,
        headers: Mapping[str, str] | None,
    ) -> tuple[int, httpx.Headers, bytes]:
        own = {"Accept": "application/json"}
        if token is not None:
            own["Authorization"] = f"Bearer {token}"
        async with (
            asyncio.timeout(CALL_SECONDS + len(content or b"") / SLOWEST_BYTES),
            self.client.stream(
                method, url, content=content, json=json, headers=own | dict(headers or {})
            ) as answer,
        ):
            return answer.status_code, answer.headers, await body_of(answer)
