"""How often and how long Microsoft is asked again within one call, before the worker is told."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

import httpx

from core.engines.vendor import retry_after

CALL_SECONDS: Final = 15.0
"""The longest that one request with a short answer may take."""

SLOWEST_BYTES: Final = 32 * 1024
"""Bytes per second below which a transfer is given up."""

LONGEST_WAIT: Final = 10.0
"""Seconds of a Retry-After up to which a call waits itself; longer waits are the worker's to plan."""

CALL_TRIES: Final = 4
TRANSFER_TRIES: Final = 4
"""Tries of a call, and tries of a transfer in a row without progress."""

NOT_DONE: Final = frozenset({412, 429, 503})
"""Answers after which nothing was done: everything may be asked again."""

UNCLEAR: Final = frozenset({408, 500, 502, 504})
"""Answers after which it may have been done all the same."""

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


def was_not_sent(error: BaseException) -> bool:
    """Whether a request failed before a single byte of it was on the way."""
    return isinstance(error, _NOT_SENT)


def pause(attempt: int) -> float:
    """Seconds to wait before another try, after failed try number `attempt` (from 1)."""
    return float(min(LONGEST_WAIT, 0.25 * 2**attempt * (0.5 + random.random())))  # noqa: S311


def seconds_in(headers: Mapping[str, str]) -> float | None:
    """What Retry-After asks for, a number or a date; None if it asks for nothing."""
    return retry_after(headers.get("retry-after"))
