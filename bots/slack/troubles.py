"""What Slack refuses, as our errors: the one place that knows its error codes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from slack_sdk.errors import SlackApiError

from bots.slack.hosts import Forbidden, PrivateAddress
from bots.slack.records import mapping, texts
from bots.slack.refusals import DENIED, GONE, REFUSED, TOO_LATE
from bots.slack.retries import ONCE, seconds_in, was_not_sent
from core.errors import AuthFailed, ErniError, Misconfigured, Rejected, Transient


class Unsure(Transient):
    """The answer was lost: what was asked may have been done. Look before asking again."""


class Denied(AuthFailed):
    """The token or the app may not do this. `code` is Slack's name for it."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class Revoked(Denied):
    """The app was uninstalled, or its workspace or bot is no more: this token never works again."""


class MissingScope(Denied):
    """The app was installed without the permission `scope`."""

    def __init__(self, message: str, *, scope: str) -> None:
        super().__init__(message, code="missing_scope")
        self.scope = scope


class Refused(Rejected):
    """Not here, or not to this: a matter of the place or of its settings. `code` is Slack's name for it."""

    def __init__(self, user_message: str, *, code: str) -> None:
        super().__init__(user_message)
        self.code = code


class Gone(Refused):
    """What was meant does not exist (any more), or the app can't see it."""


class TooLate(Refused):
    """A window, button or link of Slack's that was waiting for us has expired or changed meanwhile."""


class Unshowable(ErniError):
    """Slack does not take this message or view as it is made: our mistake. A plain short text may pass."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


_UNSHOWABLE: Final = frozenset(
    """
    attachment_payload_limit_exceeded block_mismatch invalid_arguments invalid_attachments invalid_blocks
    invalid_blocks_format invalid_metadata_format invalid_metadata_schema invalid_payload
    markdown_text_conflict metadata_must_be_sent_from_app metadata_too_large msg_blocks_too_long msg_too_long
    no_text only_one_table_allowed too_many_attachments too_many_blocks view_too_large
    """.split()  # noqa: SIM905  (a table of words reads best as words)
)
_BUSY: Final = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
# "It's possible some aspect of the operation succeeded", as Slack's documentation says of the first two.
_HALF_DONE: Final = frozenset({"internal_error", "fatal_error", "service_unavailable"})
_REVOKED: Final = frozenset({"account_inactive", "token_revoked"})
_BUSY_SECONDS = 30.0


def trouble(
    method: str, code: str, *, needed: str = "", details: tuple[str, ...] = (), wait: float | None = None
) -> ErniError:
    """Our error for the error `code` that `method` answered with. `needed` is the scope that Slack names,
    `details` what it says about the arguments, `wait` its Retry-After."""
    if code == "missing_scope":
        scope = needed if re.fullmatch(r"[a-z_:.,]{1,200}", needed) else "a scope that Slack does not name"
        return MissingScope(
            f"The Slack app lacks a permission ({method} needs {scope}). Add it on the app's page OAuth & "
            "Permissions and install the app again.",
            scope=needed,
        )
    if code in DENIED:
        return (Revoked if code in _REVOKED else Denied)(DENIED[code], code=code)
    for kind, sentences in ((Gone, GONE), (Refused, REFUSED), (TooLate, TOO_LATE)):
        if code in sentences:
            return kind(sentences[code], code=code)
    if code in _UNSHOWABLE:
        said = "; ".join(details)[:500]
        return Unshowable(f"{method} answered {code}{f': {said}' if said else ''}.", code=code)
    return _passing(method, code, wait)


def _passing(method: str, code: str, wait: float | None) -> Transient:
    if code in _BUSY:
        return Transient(f"Slack is asked too often ({method}).", retry_after=wait or _BUSY_SECONDS)
    known = code if re.fullmatch(r"[a-z_]{1,80}", code) else "an error without a name"
    if code in _HALF_DONE:
        return lost(method, known, wait=wait)
    # Some pass by themselves, such as `team_added_to_org`; what is not known here may too.
    return Transient(f"Slack answered {method} with {known}.", retry_after=wait)


def from_sdk(method: str, error: SlackApiError) -> ErniError:
    """Our error for what the SDK raised after an answer."""
    response: Any = error.response
    # Where there was no JSON at all, the SDK gives aiohttp's response instead of its own.
    status: int = response.status_code if hasattr(response, "status_code") else response.status
    headers = response.headers
    data = mapping(getattr(response, "data", None))
    code = data.get("error")
    if isinstance(code, str) and code:
        needed = data.get("needed")
        details = texts(mapping(data.get("response_metadata")).get("messages")) or texts(data.get("errors"))
        return trouble(
            method,
            code,
            needed=needed if isinstance(needed, str) else "",
            details=details,
            wait=seconds_in(headers),
        )
    return by_status(method, status, headers)


def by_status(method: str, status: int, headers: Mapping[str, Any]) -> ErniError:
    """Our error for an answer that is not Slack's JSON: from a server in between, or while Slack is down."""
    wait = seconds_in(headers)
    if status == 429:
        return Transient(f"Slack is asked too often ({method}).", retry_after=wait or _BUSY_SECONDS)
    if status in {401, 403, 407}:
        return Denied(
            f"Something between here and Slack refuses {method} (HTTP {status}). Check the proxy or firewall "
            "and SLACK_API_BASE_URL.",
            code=f"http_{status}",
        )
    if status in {404, 405}:
        return Misconfigured(f"There is no {method} at SLACK_API_BASE_URL (HTTP {status}). Check it.")
    page = ", but not with Slack's JSON" if status < 300 else ""
    return lost(method, f"HTTP {status}{page}", wait=wait)


def lost(method: str, why: str, *, wait: float | None = None) -> Transient:
    """After an answer that does not tell whether it was done."""
    if method in ONCE:
        return Unsure(f"It is not known whether Slack did {method} ({why}).", retry_after=wait)
    return Transient(f"Slack did not do {method} ({why}).", retry_after=wait)


def broken(method: str, error: BaseException) -> Transient:
    """After a connection that failed."""
    if isinstance(error, Forbidden):
        return Transient(str(error))
    if isinstance(getattr(error, "os_error", None), PrivateAddress):
        return Transient(str(getattr(error, "os_error", "")))
    if was_not_sent(error):
        return Transient(f"Slack can't be reached ({type(error).__name__}).")
    return lost(method, type(error).__name__)
