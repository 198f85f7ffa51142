"""What Dropbox's library raises, as errors of ours: once, here."""

from __future__ import annotations

import re
from typing import Any, Final

import requests
import urllib3
from dropbox.exceptions import (
    ApiError,
    AuthError,
    BadInputError,
    DropboxException,
    HttpError,
    PathRootError,
    RateLimitError,
)
from stone.backends.python_rsrc.stone_base import Union
from stone.backends.python_rsrc.stone_validators import ValidationError

from core.errors import AuthFailed, ErniError, Transient

_UNREACHED: Final = (requests.RequestException, urllib3.exceptions.HTTPError)

TROUBLES: Final = (
    DropboxException,
    *_UNREACHED,
    # An answer that is not made as Dropbox makes them: a proxy's page, say.
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValidationError,
    ValueError,
)
"""What the library raises."""

RECONNECT: Final = "Run `erni-audio connect dropbox` again."
_MALFORMED: Final = "Dropbox did not understand a request (HTTP 400)."
_SECRETS: Final = (
    "Dropbox does not know the app any more, or the app key or secret is wrong. Compare DROPBOX_APP_KEY and "
    "DROPBOX_APP_SECRET with the app's page Settings in the App Console."
)
_DEFAULT_WAIT: Final = 5.0
_LONGEST_RATE_LIMIT: Final = 3600.0


class BadRequest(Transient):
    """Dropbox did not take the request for one (HTTP 400)."""


def translated(error: Exception) -> ErniError:
    """The error of ours for one of `TROUBLES`. Nothing in it comes from Dropbox's own texts."""
    if isinstance(error, HttpError):
        return _answered(error)
    if isinstance(error, ApiError):
        return refused(error)
    if isinstance(error, requests.Timeout):
        return Transient("Dropbox did not answer in time.")
    if isinstance(error, ValueError) or not isinstance(error, _UNREACHED):
        return Transient(f"Dropbox's answer makes no sense ({type(error).__name__}).")
    return Transient(f"Dropbox can't be reached ({type(error).__name__}).")


def _answered(error: HttpError) -> ErniError:
    if isinstance(error, AuthError):
        return _denied(error.error)
    if isinstance(error, PathRootError):
        return AuthFailed(
            f"Dropbox does not let the account into the team space that its paths begin at. {RECONNECT}"
        )
    if isinstance(error, BadInputError):
        return AuthFailed(_SECRETS) if "invalid_client" in str(error.message) else BadRequest(_MALFORMED)
    if isinstance(error, RateLimitError):
        wait = float(error.backoff) if isinstance(error.backoff, int | float) else _DEFAULT_WAIT
        wait = min(max(wait, 0.0), _LONGEST_RATE_LIMIT)
        return Transient("Dropbox asks to wait (HTTP 429).", retry_after=wait)
    return Transient(f"Dropbox is in trouble (HTTP {error.status_code}).")


def refused(error: ApiError) -> ErniError:
    """What an error of a route comes to that means the same everywhere."""
    found = tags(error.error)
    if "too_many_write_operations" in found:
        return Transient("Dropbox is busy with other changes in this folder.", retry_after=1.0)
    if any(tag.endswith("insufficient_space") for tag in found) or "upload_traffic_limit_reached" in found:
        return AuthFailed("There is no room left in the Dropbox. Make some, or get more.")
    if {"no_write_permission", "access_restricted", "team_folder"} & set(found):
        return AuthFailed(
            "The connected account may only read the folder, not write into it. Give it the right to edit."
        )
    if {"locked", "operation_suppressed"} & set(found):
        return Transient("The file is locked in Dropbox.")
    return Transient(f"Dropbox refused a request ({'/'.join(found) or 'without a reason'}).")


def tags(error: Any) -> tuple[str, ...]:
    """The tags of an error of a route, from the outside to the inside: ("path", "conflict", "file")."""
    found: list[str] = []
    while error is not None:
        if isinstance(error, Union):
            found.append(str(error._tag))  # noqa: SLF001  (there is no other way to ask for it)
            error = error._value  # noqa: SLF001
        else:
            error = getattr(error, "reason", None)
    return tuple(found)


def _denied(error: Any) -> AuthFailed:
    found = tags(error)
    if "missing_scope" in found:
        scope = str(getattr(error.get_missing_scope(), "required_scope", ""))
        name = scope if re.fullmatch(r"[a-z_.]{1,50}", scope) else "that this needs"
        return AuthFailed(
            f"The app lacks the permission {name}. Tick it on the app's page Permissions in the App Console "
            f"and press Submit. Then connect anew, since a token has the permissions of its time. {RECONNECT}"
        )
    if "user_suspended" in found:
        return AuthFailed(
            "The connected Dropbox account is suspended. Ask the team's admin, or connect another account."
        )
    return AuthFailed(
        "Dropbox does not accept the credentials any more: the app was disconnected, or its access ended. "
        f"{RECONNECT}"
    )
