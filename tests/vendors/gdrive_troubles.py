"""What goes wrong with calls of Drive on command, and errors in Google's shape."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Literal

from tests.vendors.faults import Fault
from tests.vendors.gdrive_model import Json, Refused


@dataclass(frozen=True, slots=True)
class Short:
    """A download that ends after so many bytes, though more were announced."""

    after: int


@dataclass(frozen=True, slots=True)
class Wrong:
    """A download of the announced length with other bytes in it."""


@dataclass(frozen=True, slots=True)
class Partly:
    """A piece of an upload of which only so many bytes are kept before the connection ends."""

    kept: int


Trouble = Fault | Short | Wrong | Partly | Literal["cut", "hang", "lost"]
"""An answer instead of the right one; or the connection ends at once, or it stays open without an answer, or
the call takes effect and then the connection ends."""


def error(refused: Refused) -> Json:
    """An error in Google's shape."""
    one = {"message": refused.message, "domain": refused.domain, "reason": refused.reason}
    if refused.location is not None:
        one |= {"location": refused.location, "locationType": refused.location_type or "parameter"}
    return {"error": {"code": refused.status, "message": refused.message, "errors": [one]}}


def refusal(status: int, reason: str, message: str = "", *, domain: str = "global") -> Fault:
    """An answer that refuses a call."""
    return Fault(status=status, body=json.dumps(error(Refused(status, reason, message, domain=domain))))


def rate_limited(reason: str = "userRateLimitExceeded", *, status: int = 403) -> Fault:
    """ "userRateLimitExceeded" or "rateLimitExceeded", with 403 or 429."""
    message = "User Rate Limit Exceeded" if reason.startswith("user") else "Rate Limit Exceeded"
    return refusal(status, reason, message, domain="usageLimits")


def backend_error(status: int = 500) -> Fault:
    return refusal(status, "backendError", "Internal Error")


@dataclass(slots=True)
class Hold:
    """A call that waits: `arrived` is set once it came, `release` lets it go on."""

    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _go: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        self._go.set()

    async def wait(self) -> None:
        self.arrived.set()
        await self._go.wait()
