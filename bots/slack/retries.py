"""How often and how long Slack is asked again within one call, before the worker is told."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from slack_sdk.http_retry.async_handler import AsyncRetryHandler
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.http_retry.request import HttpRequest
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.http_retry.state import RetryState

CALL_SECONDS: Final = 10.0
"""The longest that one request of the Web API may take."""

CONNECT_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 30.0
"""The longest silence in a download or an upload."""

SLOWEST_BYTES: Final = 32 * 1024
"""Bytes per second below which a transfer is given up."""

LONGEST_WAIT: Final = 10.0
"""Seconds of a Retry-After up to which a call waits itself; longer waits are the worker's to plan."""

RATE_TRIES: Final = 2
CONNECTION_TRIES: Final = 2
TRANSFER_TRIES: Final = 4
"""Further tries of a call after a rate limit or a failed connection, and tries of a transfer in a row without
progress."""

SETTLING: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Pauses between looks at something that Slack shows late, seconds."""

ONCE: Final = frozenset(
    {"chat.postMessage", "chat.postEphemeral", "files.completeUploadExternal", "views.open", "response_url"}
)
"""What must not be asked twice when an answer was lost, because it may have been done."""

_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_BROKEN = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)


def was_not_sent(error: BaseException) -> bool:
    """Whether a request failed before a single byte of it was on the way."""
    return isinstance(error, _NOT_SENT)


def pause(attempt: int) -> float:
    """Seconds to wait before another try, after failed try number `attempt` (from 1)."""
    return float(min(LONGEST_WAIT, 0.25 * 2**attempt * (0.5 + random.random())))  # noqa: S311


def seconds_in(headers: Mapping[str, Any]) -> float | None:
    """What Retry-After asks for, at most a day; None without a number. Slack sends whole seconds."""
    for name, value in headers.items():
        if name.lower() == "retry-after":
            first = value[0] if isinstance(value, list) and value else value
            text = str(first).strip()
            return min(float(text), 86400.0) if text.isascii() and text.isdigit() else None
    return None


def method_of(url: str) -> str:
    """The name of the Web API method that `url` calls; "response_url" for any other address."""
    name = url.partition("?")[0].rpartition("/")[2]
    return name if "." in name else "response_url"


class RateLimited(AsyncRateLimitErrorRetryHandler):
    """Waits as Slack asks, if that is not long. Nothing was done, so every call can be repeated."""

    def __init__(self) -> None:
        super().__init__(max_retry_count=RATE_TRIES)

    async def _can_retry_async(
        self,
        *,
        state: RetryState,  # noqa: ARG002  (the SDK's signature)
        request: HttpRequest,  # noqa: ARG002
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        if response is None or error is not None or response.status_code != 429:
            return False
        asked = seconds_in(response.headers)
        return asked is not None and asked <= LONGEST_WAIT


class Disconnected(AsyncRetryHandler):
    """Repeats what was never sent, and what may be done twice; never what may have been posted."""

    def __init__(self) -> None:
        super().__init__(max_retry_count=CONNECTION_TRIES)

    async def _can_retry_async(
        self,
        *,
        state: RetryState,  # noqa: ARG002  (the SDK's signature)
        request: HttpRequest,
        response: HttpResponse | None = None,  # noqa: ARG002
        error: Exception | None = None,
    ) -> bool:
        if error is None:
            return False
        if was_not_sent(error):
            return True
        return isinstance(error, _BROKEN) and method_of(request.url) not in ONCE


def handlers() -> list[AsyncRetryHandler]:
    """Fresh ones for a client of the SDK."""
    return [RateLimited(), Disconnected()]
