"""What can go wrong, classified. Adapters and engines raise these; only `core.worker` decides on retries."""

from __future__ import annotations


class ErniError(Exception):
    """Root of every error that this project raises on purpose."""


class Transient(ErniError):
    """Trying again later can help: a time-out, a rate limit, a vendor's 5xx, a file not visible yet.

    `retry_after` is the wait in seconds that the other side asked for, or None where it named none.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Rejected(ErniError):
    """This recording can never be transcribed as it is.

    `user_message` is shown to the person who shared it: plain words, what happened and what to do. It
    names nothing secret and no machine path.
    """

    def __init__(self, user_message: str) -> None:
        super().__init__(user_message)
        self.user_message = user_message


class OverBudget(Rejected):
    """The month's budget does not allow this recording: no engine was asked."""


class AuthFailed(ErniError):
    """Credentials are missing, expired or lack a permission: the operator must act, the sharer cannot."""


class QuotaExhausted(AuthFailed):
    """The account at a vendor has no credit left: trying again is useless until the operator pays."""


class Misconfigured(ErniError):
    """A setting is missing or wrong. The message names the variable and says what to set it to."""
