"""A person allows the service to use their Drive (OAuth), from a terminal without a browser."""

from __future__ import annotations

import asyncio
import json
import secrets
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from google.auth.exceptions import GoogleAuthError
from google_auth_oauthlib.flow import Flow
from oauthlib.oauth2 import OAuth2Error  # type: ignore[import-untyped]
from requests import RequestException

from connectors.gdrive.credentials import SCOPE, person
from core.connecting import Dialogue
from core.errors import Rejected, Transient

_LANDING: Final = "http://localhost:1/"
"""Where Google sends the browser afterwards. Nobody is there: the address itself is what we are after."""

_DECLINED: Final = "Nobody allowed the service to use the Drive. Begin anew, and choose Allow."
_WRONG: Final = (
    "This address is not what the browser showed at the end. Begin anew, and copy all of it: it begins with "
    f"{_LANDING}?"
)


def read_json(path: str) -> Any:
    """What is in a file that a person named. Raises Rejected."""
    try:
        return json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise Rejected(f"The file can't be read ({error.strerror}). Check how it is written.") from None
    except (ValueError, RecursionError):
        raise Rejected("This file is no JSON. Name the file as Google gave it to you.") from None


async def ask_person(dialogue: Dialogue) -> str:
    """A secret for `core.places.Credentials`. Raises Rejected or Transient."""
    config = read_json(dialogue.ask("Path of the OAuth client's file (client_secret_….json)"))
    installed = config.get("installed") if isinstance(config, dict) else None
    needed = ("client_id", "client_secret", "token_uri", "auth_uri")
    if not isinstance(installed, dict) or not all(isinstance(installed.get(key), str) for key in needed):
        raise Rejected(
            "This is no file of an OAuth client for desktop apps. In the Google Cloud console choose APIs & "
            "Services, Credentials, Create credentials, OAuth client id, type Desktop app, and "
            "download the JSON."
        )
    flow = Flow.from_client_config(
        config, scopes=[SCOPE], redirect_uri=_LANDING, autogenerate_code_verifier=True
    )
    state = secrets.token_urlsafe(24)
    url, _ = flow.authorization_url(access_type="offline", prompt="consent", state=state)
    dialogue.say(f"Open this address in a browser, sign in, and allow everything that is asked for:\n{url}")
    dialogue.say(
        "At the end the browser says that it can't reach a page at localhost. That is as it should be: copy "
        "the address of that page."
    )
    code = _code(dialogue.ask("Address of the last page", hidden=True), state)
    try:
        await asyncio.to_thread(flow.fetch_token, code=code)
    except (OAuth2Error, GoogleAuthError, ValueError, Warning):
        raise Rejected(
            "Google did not take the code: it is good once, and for ten minutes. Begin anew."
        ) from None
    except RequestException as error:
        raise Transient(f"Google's sign-in can't be reached ({type(error).__name__}).") from None
    finally:
        flow.oauth2session.close()
    refresh_token = flow.credentials.refresh_token
    if not refresh_token:
        raise Rejected("Google gave no lasting access. Remove the app at myaccount.google.com, and try anew.")
    return person(
        client_id=installed["client_id"],
        client_secret=installed["client_secret"],
        token_uri=installed["token_uri"],
        refresh_token=refresh_token,
    )


def _code(address: str, state: str) -> str:
    """What the last page's address holds. Raises Rejected."""
    try:
        query = parse_qs(urlsplit(address).query)
    except ValueError:
        raise Rejected(_WRONG) from None
    if query.get("error"):
        raise Rejected(_DECLINED)
    code, given = query.get("code", [""])[0], query.get("state", [""])[0]
    if not code or not secrets.compare_digest(given.encode(), state.encode()):
        raise Rejected(_WRONG)
    if SCOPE not in query.get("scope", [""])[0].split():
        raise Rejected("Not all was allowed that is needed. Begin anew, and tick the box for Google Drive.")
    return code
