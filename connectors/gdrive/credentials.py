"""With what the service acts in Google Drive: a service account, one that acts as a person, or a person's
consent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from google.oauth2.credentials import Credentials as UserCredentials
from google.oauth2.service_account import Credentials as ServiceCredentials

from core.errors import AuthFailed, Rejected

SCOPE: Final = "https://www.googleapis.com/auth/drive"
"""To see files that people put into a folder, a narrower one does not do: `drive.file` shows an app only its
own, and `drive.readonly` does not let it write the transcript."""

_service: Callable[..., Any] = ServiceCredentials.from_service_account_info
_user: Callable[..., Any] = UserCredentials

_SENSELESS: Final = "The stored credentials make no sense. Run `erni-audio connect gdrive` again."


def service_account(key: Mapping[str, Any], subject: str = "") -> str:
    """A secret for `core.places.Credentials`, of a key file's content. Raises Rejected."""
    needed = ("client_email", "private_key", "token_uri")
    if key.get("type") != "service_account" or not all(isinstance(key.get(name), str) for name in needed):
        raise Rejected(
            "This is no key file of a service account. In the Google Cloud console open the service account, "
            "choose Keys, Add key, Create new key, JSON, and name the file that is downloaded."
        )
    secret = json.dumps({"kind": "service_account", "key": dict(key), "subject": subject})
    try:
        google_credentials(secret)
    except AuthFailed:
        raise Rejected("The private key in this file is damaged. Download a new key.") from None
    return secret


def person(*, client_id: str, client_secret: str, token_uri: str, refresh_token: str) -> str:
    """A secret for `core.places.Credentials`, of a person's consent."""
    return json.dumps(
        {
            "kind": "person",
            "client_id": client_id,
            "client_secret": client_secret,
            "token_uri": token_uri,
            "refresh_token": refresh_token,
        }
    )


def google_credentials(secret: str) -> Any:
    """Credentials of google-auth. Raises AuthFailed if the secret makes no sense."""
    try:
        told = json.loads(secret)
        if told["kind"] == "service_account":
            return _service(told["key"], scopes=[SCOPE], subject=told["subject"] or None)
        return _user(
            None,
            refresh_token=told["refresh_token"],
            token_uri=told["token_uri"],
            client_id=told["client_id"],
            client_secret=told["client_secret"],
            scopes=[SCOPE],
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        raise AuthFailed(_SENSELESS) from None


def owns_nothing(secret: str) -> bool:
    """Whether they are those of a service account that acts for itself."""
    try:
        told = json.loads(secret)
        return bool(told["kind"] == "service_account" and not told["subject"])
    except (ValueError, LookupError, TypeError):
        return False
