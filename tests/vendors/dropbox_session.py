"""The official SDK, unchanged, speaking to the Dropbox on this machine.

It has https and its hosts built in, so a transport adapter takes its requests to the loopback address. The
header Host stays as it was: our Dropbox checks that every route is called where it lives.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import dropbox
import requests
from requests.adapters import HTTPAdapter

from tests.vendors.dropbox_grants import Grant


class Loopback(HTTPAdapter):
    """Sends every request to `origin`."""

    def __init__(self, origin: str) -> None:
        self.origin = urlsplit(origin)
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        url = urlsplit(request.url or "")
        request.headers["Host"] = url.netloc
        request.url = urlunsplit((self.origin.scheme, self.origin.netloc, *url[2:]))
        kwargs["proxies"] = {}  # those of the environment are for the real one
        return super().send(request, *args, **kwargs)


def mount(session: requests.Session, origin: str) -> requests.Session:
    session.mount("https://", Loopback(origin))
    return session


def client(origin: str, grant: Grant, **options: Any) -> Any:
    """A `dropbox.Dropbox` with a grant's access token, that tries everything once unless told otherwise."""
    defaults: dict[str, Any] = {
        "oauth2_access_token": grant.access_token,
        "max_retries_on_error": 0,
        "max_retries_on_rate_limit": 0,
        "timeout": 30,
        "session": mount(dropbox.create_session(), origin),
    }
    return dropbox.Dropbox(**(defaults | options))
