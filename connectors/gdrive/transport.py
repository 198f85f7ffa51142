"""What carries Google's library: an HTTP client for one thread at a time, and the threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httplib2

from connectors.gdrive.settings import API_BASE_URL, is_local
from core.errors import Transient

T = TypeVar("T")

TIMEOUT_SECONDS = 60.0


class LostConnection(ConnectionError):
    """The connection ended before there was an answer; whether the request took effect is unknown."""


class Http(httplib2.Http):
    """Follows no redirect, and sends a request that makes something once.

    `base_url` is where Drive's API is. Where that is plain HTTP, at this machine, uploads go there too: of
    their addresses the library changes the host only.
    """

    def __init__(self, base_url: str = API_BASE_URL, *, timeout: float = TIMEOUT_SECONDS) -> None:
        base = urlsplit(base_url)
        local = base.scheme == "http" and is_local(base.hostname or "")
        proxies: dict[str, Any] = {"proxy_info": None} if local else {}
        super().__init__(timeout=timeout, **proxies)
        self.follow_redirects = False  # 308 asks for the next piece of an upload
        self._local = base if local else None

    def request(self, uri: str, *args: Any, **kwargs: Any) -> Any:
        """See the base class."""
        if self._local is not None:
            asked = urlsplit(uri)
            if asked.scheme == "https" and asked.netloc == self._local.netloc:
                uri = asked._replace(scheme="http").geturl()
        response, content = super().request(uri, *args, **kwargs)
        for name in ("location", "content-location"):  # where the library would go on, token in hand
            if name in response and not self._is_there(response[name], uri):
                del response[name]
        return response, content

    def _is_there(self, address: str, asked: str) -> bool:
        """Whether an address is at the server that was asked, or another one of Google's API."""
        try:
            to, here = urlsplit(address), urlsplit(asked)
            google = to.scheme == "https" and (to.hostname or "").endswith(".googleapis.com")
        except ValueError:
            return False
        return google or (to.scheme, to.netloc) == (here.scheme, here.netloc)

    _send: Any = httplib2.Http._conn_request  # type: ignore[attr-defined]  # noqa: SLF001  (no other way in)

    def _conn_request(self, conn: Any, request_uri: str, method: str, body: Any, headers: Any) -> Any:
        """httplib2 sends anything again, once, whose connection ended before the answer. A file would be made
        twice."""
        if method != "POST":
            return self._send(conn, request_uri, method, body, headers)
        conn.close()  # one that was used before may be stale, which is the reason for sending again
        connect, connected = conn.connect, False

        def connect_once() -> None:
            nonlocal connected
            if connected:
                raise LostConnection("the connection ended before the answer")
            connect()
            connected = True

        conn.connect = connect_once
        try:
            return self._send(conn, request_uri, method, body, headers)
        finally:
            del conn.connect


class Threads:
    """At most `limit` threads at once, each with a thing of its own from `make` while it runs.

    A thread whose caller was cancelled keeps its place until it has ended, and the interpreter does not wait
    for it.
    """

    def __init__(self, limit: int, make: Callable[[], Any]) -> None:
        self._places = asyncio.Semaphore(limit)
        self._make = make
        self._idle: list[Any] = []
        self._closed = False

    async def run(self, function: Callable[[Any], T]) -> T:
        """What `function` returns or raises, called in a thread."""
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        own = self._idle.pop() if self._idle else None

        def finish(used: Any, act: Callable[[], None]) -> None:
            self._places.release()
            if used is not None and self._closed:
                used.close()
            elif used is not None:
                self._idle.append(used)
            if not future.done():
                act()

        def work() -> None:
            used = own
            try:
                used = self._make() if used is None else used
                result = function(used)
            except BaseException as error:  # noqa: BLE001  (raised in the caller)
                failure = error
                act = lambda: future.set_exception(failure)  # noqa: E731
            else:
                act = lambda: future.set_result(result)  # noqa: E731
            try:
                loop.call_soon_threadsafe(finish, used, act)
            except RuntimeError:
                if used is not None:  # the loop is closed: nobody waits any more
                    used.close()

        try:
            Thread(target=work, name="gdrive", daemon=True).start()
        except RuntimeError:
            self._places.release()
            raise Transient("This machine has no thread left.") from None
        return await future

    def close(self) -> None:
        """Close what is idle now, and the rest when it is not used any more."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
