"""What to do with a job that went wrong: pure, and the only place that decides on retries."""

from __future__ import annotations

import random
from dataclasses import dataclass

from redis.exceptions import RedisError

from core.doors import DoorAway
from core.errors import AuthFailed, Misconfigured, QuotaExhausted, Rejected, Transient

_FIRST_DELAY = 5.0  # seconds
_LONGEST_DELAY = 900.0
_STORE_DELAY = 2.0
_OPERATOR_DELAY = 900.0  # how long to wait for somebody to mend credentials
_OPERATOR_PATIENCE = 3 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Try once more in `delay` seconds; `counts` says whether this attempt used up the budget."""

    delay: float
    counts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """Tell the sharer `message`."""

    message: str


def backoff(attempt: int, jitter: float) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 1); `jitter` in 0..1 spreads the herd."""
    return float(min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** min(attempt - 1, 20)) * (0.75 + 0.5 * jitter))


def decide(
    error: Exception, *, job_id: str, attempt: int, max_attempts: int, age: float, jitter: float | None = None
) -> Again | GiveUp:
    """What follows from `error` in attempt number `attempt` of a job accepted `age` seconds ago."""
    shake = random.random() if jitter is None else jitter  # noqa: S311  (spreads load, guards nothing)
    if isinstance(error, Rejected):
        return GiveUp(message=error.user_message)
    if isinstance(error, DoorAway | RedisError) or isinstance(error.__cause__, RedisError):
        # The trouble of a door or of the store is not the recording's, and costs no attempt.
        asked = error.retry_after if isinstance(error, DoorAway) else None
        return Again(delay=asked or _STORE_DELAY, counts=False)
    if isinstance(error, AuthFailed | Misconfigured):
        spent = isinstance(error, QuotaExhausted)
        if age < _OPERATOR_PATIENCE and not spent:
            return Again(delay=_OPERATOR_DELAY, counts=False)
        trouble = (
            "The account that pays for recognition has no credit left."
            if spent
            else "The transcription service is not set up correctly at the moment."
        )
        return GiveUp(
            message=f"{trouble} Ask whoever runs it (reference {job_id}), then share the recording again."
        )
    if attempt < max_attempts:
        wanted = error.retry_after if isinstance(error, Transient) else None
        return Again(delay=max(backoff(attempt, shake), wanted or 0.0), counts=True)
    return GiveUp(
        message=f"This recording could not be transcribed: it failed {attempt} times. Share it again to try "
        f"once more; if that fails too, tell whoever runs the service (reference {job_id})."
    )


def poison_message(job_id: str) -> str:
    """For a recording that ended the worker again and again."""
    return (
        "This recording could not be transcribed: something in it stops the program that reads it. Convert "
        "it to MP3 or WAV and share it again. If that fails too, tell whoever runs the service "
        f"(reference {job_id})."
    )
