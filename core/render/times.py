"""Times as people and players read them. No locale and no clock: the same input gives the same text."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def milliseconds(seconds: float) -> int:
    """Whole milliseconds; what is negative or no number counts as 0."""
    return max(0, round(seconds * 1000)) if math.isfinite(seconds) else 0


def rounded(seconds: float) -> float:
    """`seconds` on the millisecond."""
    return milliseconds(seconds) / 1000


def clock(seconds: float) -> str:
    """A position: `2:03`, `1:02:03`, `100:00:00`."""
    minutes, second = divmod(milliseconds(seconds) // 1000, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def duration(seconds: float) -> str:
    """A length: `3 s`, `2 min 3 s`, `1 h 2 min`. Unlike a position it can't be misread as a time of day."""
    total = milliseconds(seconds)
    if 0 < total < 1000:
        return "under 1 s"
    minutes, second = divmod((total + 500) // 1000, 60)
    hours, minute = divmod(minutes, 60)
    parts = [
        f"{amount} {unit}"
        for amount, unit in ((hours, "h"), (minute, "min"), (second, "s"))
        if amount and not (unit == "s" and hours)
    ]
    return " ".join(parts) or "0 s"


def stamp(total: int, separator: str) -> str:
    """Milliseconds as subtitle files write them: `00:02:03,456`; hours go on beyond 99."""
    seconds, thousandth = divmod(total, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}{separator}{thousandth:03}"


def utc(moment: datetime) -> datetime:
    """`moment` in UTC; one without a zone is taken to be in UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def date(moment: datetime) -> str:
    """`14 November 2026, 09:30 UTC`."""
    at = utc(moment)
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}, {at.hour:02}:{at.minute:02} UTC"


def iso(moment: datetime) -> str:
    """RFC 3339 in UTC, to the second: `2026-11-14T09:30:00Z`."""
    return utc(moment).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
