"""The HTTP session of Dropbox's library: it follows no redirect, and may be sent to another address."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import dropbox
import requests
from requests.adapters import HTTPAdapter

from connectors.dropbox.settings import API_BASE_URL

_CONNECTIONS = 64


def open_session(base_url: str = API_BASE_URL) -> requests.Session:
    """A session for any number of threads. The caller closes it."""
    session: requests.Session = dropbox.create_session(max_connections=_CONNECTIONS)
    # The API redirects nobody. The library would follow, and send the refresh token after a 307.
    session.max_redirects = 0
    session.auth = _as_it_is  # a ~/.netrc would take the place of the token
    if base_url != API_BASE_URL:
        session.mount("https://", Rerouted(base_url))
    return session


class Rerouted(HTTPAdapter):
    """Sends what is for Dropbox's hosts, which the library has built in, to `origin`. The header Host still
    says for which of them."""

    def __init__(self, origin: str) -> None:
        self._origin = urlsplit(origin)
        super().__init__(pool_maxsize=_CONNECTIONS)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """See the base class."""
        url = urlsplit(request.url or "")
        request.headers["Host"] = url.netloc
        request.url = urlunsplit((self._origin.scheme, self._origin.netloc, *url[2:]))
        if self._origin.scheme == "http":  # this very machine, which no proxy can reach
            kwargs["proxies"] = {}
        return super().send(request, *args, **kwargs)


class Answers:
    """The answers that come to a session, so that none is left open. The library forgets a download that it
    can't make sense of, and its connection with it."""

    def __init__(self, session: requests.Session) -> None:
        self._here = threading.local()
        session.hooks["response"].append(self._note)

    @contextmanager
    def closed_on_failure(self) -> Iterator[None]:
        """Close what came in this thread if something is raised."""
        found: list[requests.Response] = []
        self._here.found = found
        try:
            yield
        except BaseException:
            for answer in found:
                answer.close()
            raise
        finally:
            del self._here.found

    def _note(self, answer: requests.Response, *_args: Any, **_kwargs: Any) -> None:
        if (found := getattr(self._here, "found", None)) is not None:
            found.append(answer)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
