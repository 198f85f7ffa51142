"""What Google's libraries raise, as errors of ours: once, here."""

from __future__ import annotations

import http.client
import json
from typing import Any, Final

import httplib2
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from googleapiclient.errors import Error, HttpError

from connectors.gdrive.transport import LostConnection
from core.errors import AuthFailed, ErniError, Transient

TROUBLES: Final = (
    Error,
    GoogleAuthError,
    httplib2.HttpLib2Error,
    http.client.HTTPException,
    OSError,
    # An answer that is not made as Google makes them: a proxy's page, say.
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What the libraries raise."""

RECONNECT: Final = "Run `erni-audio connect gdrive` again."
_RATE_REASONS: Final = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "sharingRateLimitExceeded"})
_LONGEST_WAIT: Final = 3600.0


class Lost(Transient):
    """There was no answer: whether the request took effect is unknown."""


class Refused(AuthFailed):
    """Drive did not do it. `status` is HTTP's, `reason` Drive's word for it, `about` the parameter or field
    that it names."""

    def __init__(self, message: str, *, status: int, reason: str, about: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.about = about

    @property
    def missing(self) -> bool:
        """What was asked for does not exist, or not for us."""
        return self.status == 404


def translated(error: Exception) -> ErniError:
    """The error of ours for one of `TROUBLES`. Nothing in it comes from Google's own texts."""
    if isinstance(error, HttpError):
        return _answered(error)
    if isinstance(error, RefreshError) and not error.retryable:
        return _denied(error)
    if isinstance(error, TransportError | RefreshError):
        return Transient(f"Google's sign-in can't be reached ({type(error).__name__}).")
    if isinstance(error, TimeoutError):
        return Lost("Google Drive did not answer in time.")
    if isinstance(error, LostConnection | OSError | http.client.HTTPException):
        return Lost(f"Google Drive can't be reached or broke off ({type(error).__name__}).")
    return Transient(f"Google Drive's answer makes no sense ({type(error).__name__}).")


def _answered(error: HttpError) -> ErniError:
    status = int(error.resp.status)
    reason, about = _told(error.content)
    if status in {408, 425, 429} or status >= 500 or (status == 403 and reason in _RATE_REASONS):
        if status >= 500:
            return Lost(f"Google Drive is in trouble (HTTP {status}).")
        return Transient(
            f"Google Drive asks to wait (HTTP {status}).",
            retry_after=_seconds(error.resp.get("retry-after", "")),
        )
    if reason == "downloadQuotaExceeded":
        return Transient("Google Drive has handed this file out too often today.", retry_after=_LONGEST_WAIT)
    if status < 300:
        return Lost(f"Google Drive's answer makes no sense (HTTP {status}).")
    if 300 <= status < 400:
        return Transient(f"Google Drive sends us elsewhere (HTTP {status}), which it never does.")
    message = _MESSAGES.get(reason) or (_NOT_FOUND if status == 404 else None)
    if message is None and status == 401:
        message = f"Google does not accept the credentials any more. {RECONNECT}"
    if message is None:
        message = f"Google Drive refused a request (HTTP {status}, {reason or 'without a reason'})."
    return Refused(message, status=status, reason=reason, about=about)


def _told(content: Any) -> tuple[str, str]:
    """Reason and location of an error in Google's shape."""
    try:
        [first, *_] = json.loads(content)["error"]["errors"]
        reason, about = str(first.get("reason", "")), str(first.get("location", ""))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "", ""
    return (reason if reason.replace(".", "").isalnum() and len(reason) < 80 else ""), about


def _seconds(text: str) -> float | None:
    return min(float(text), _LONGEST_WAIT) if text.isascii() and text.isdigit() and len(text) < 9 else None


def _denied(error: RefreshError) -> AuthFailed:
    answer = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], dict) else {}
    kind = str(answer.get("error", ""))
    if kind == "unauthorized_client":
        return AuthFailed(
            "Google does not let the service account act as somebody else. In the Google Workspace admin "
            "console, under Security, API controls, Domain-wide delegation, add the account's client id with "
            "the scope https://www.googleapis.com/auth/drive."
        )
    if kind == "invalid_client":
        return AuthFailed(
            f"Google does not know the OAuth client any more, or its secret was changed. {RECONNECT}"
        )
    if kind == "invalid_grant":
        return AuthFailed(
            "Google does not accept the credentials any more: access was taken back, the key was deleted, "
            "the person does not exist, or this machine's clock is wrong. (While an OAuth app is in "
            f'"Testing", access ends after seven days.) {RECONNECT}'
        )
    return AuthFailed(f"Google refused to sign in. {RECONNECT}")


_NOT_FOUND: Final = "It does not exist in Google Drive, or is not shared with the service."
NO_STORAGE: Final = (
    "Service accounts own no storage, so they can't write into a folder in somebody's My Drive, even as "
    "Editors. Use a folder of a shared drive, let the account act as a person (GDRIVE_SUBJECT), or connect "
    "as a person: `erni-audio connect gdrive`."
)
READ_ONLY: Final = (
    "The service may read the folder, but not write into it. Share it with the service as Editor (in a "
    "shared drive as Content manager)."
)
_MESSAGES: Final = {
    "accessNotConfigured": (
        "The Google Drive API is not switched on in the Google Cloud project. Enable it under APIs & "
        "Services, Library, and wait some minutes."
    ),
    "dailyLimitExceeded": "The Google Cloud project's quota for today is used up.",
    "domainPolicy": "The administrator of the Google Workspace does not allow apps to use Drive.",
    "insufficientFilePermissions": READ_ONLY,
    "insufficientPermissions": (
        "What was allowed is too little. Tick all that Google asks for when you connect. " + RECONNECT
    ),
    "storageQuotaExceeded": (
        "There is no room left in the Drive that the transcript belongs into. Make some, or get more. "
        "(Service accounts own no storage at all: they need a shared drive or GDRIVE_SUBJECT.)"
    ),
    "teamDriveFileLimitExceeded": "The shared drive holds as many files as one may. Delete some.",
    "numChildrenInNonRootLimitExceeded": "The folder holds as many files as one may. Move some elsewhere.",
    "push.webhookUrlUnauthorized": (
        "Google does not accept the address in ERNI_PUBLIC_URL for notices: verify the domain in Google "
        "Search Console and add it in the Google Cloud project. Changes are found by asking meanwhile."
    ),
}
