"""Google's library from the event loop: every call runs in a thread, and is tried again boundedly."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import lru_cache
from threading import Lock
from typing import Any, TypeVar

import google_auth_httplib2
from googleapiclient.discovery import build

from connectors.gdrive.credentials import google_credentials
from connectors.gdrive.settings import API_BASE_URL
from connectors.gdrive.transport import Http, Threads
from connectors.gdrive.troubles import TROUBLES, Refused, translated
from core.errors import Transient
from core.tasks import end

T = TypeVar("T")
Json = dict[str, Any]

_AT_ONCE = 4
_TRIES = 4
_LONGEST_PAUSE = 30.0
"""Waits that are longer are left to the worker."""

EVERYWHERE: dict[str, Any] = {"supportsAllDrives": True, "includeItemsFromAllDrives": True}


class DriveClient:
    """Calls of one account, which raise AuthFailed if its secret makes no sense. Threads share no connection.
    `pause` is before the second try, seconds."""

    def __init__(self, secret: str, *, base_url: str = API_BASE_URL, pause: float = 1.0) -> None:
        self._secret = secret
        self._base_url = base_url
        self._pause = pause
        self._credentials: Any = None
        self._lock = Lock()
        self._threads = Threads(_AT_ONCE, self._http)

    def _http(self) -> Any:
        """What carries one thread's calls, in that thread: to read a key takes long."""
        with self._lock:
            if self._credentials is None:
                self._credentials = google_credentials(self._secret)
        return google_auth_httplib2.AuthorizedHttp(self._credentials, http=Http(self._base_url))

    async def once(self, use: Callable[[Any, Any], T]) -> T:
        """What `use` makes of the library's service and an Http of its own, in a thread. Raises Transient
        (Lost where nothing is known of its effect), Refused or AuthFailed."""
        try:
            return await self._threads.run(lambda http: use(_service(self._base_url), http))
        except TROUBLES as error:
            raise translated(error) from None

    async def ask(self, request: Callable[[Any], Any], *needs: str) -> Json:
        """The answer, with the fields that it `needs`, to the request that `request` makes of the library's
        service; for what may be done twice."""
        return await self.retry(lambda: self.ask_once(request, *needs))

    async def ask_once(self, request: Callable[[Any], Any], *needs: str) -> Json:
        """The same, once."""

        def execute(service: Any, http: Any) -> Json:
            answer = request(service).execute(http=http)
            if not isinstance(answer, dict) or not set(needs) <= set(answer):
                raise ValueError("no answer of Drive's")  # a page of some proxy, say
            return answer

        return await self.once(execute)

    async def retry(self, act: Callable[[], Awaitable[T]]) -> T:
        """Try something some times while it is Transient."""
        for number in range(_TRIES):
            try:
                return await act()
            except Transient as error:
                if number == _TRIES - 1:
                    raise
                await self.wait(number, error)
        raise AssertionError("The last try returns or raises.")

    async def wait(self, number: int, error: Transient) -> None:
        """Between two tries: as long as was asked for, else longer every time. Raises `error` if that is too
        long to hold things up here."""
        if (error.retry_after or 0.0) > _LONGEST_PAUSE:
            raise error
        backoff = self._pause * 2.0**number * (1 + random.random() / 4)  # noqa: S311  (so that not all come at once)
        await asyncio.sleep(max(error.retry_after or 0.0, backoff))

    async def file(self, file_id: str, fields: str) -> Json | None:
        """The fields of a file; None if there is none of this id that we may see."""
        try:
            return await self.ask(
                lambda drive: drive.files().get(fileId=file_id, fields=fields, supportsAllDrives=True),
                "id",
            )
        except Refused as error:
            if error.missing:
                return None
            raise

    async def files(self, ids: Iterable[str], fields: str) -> list[Json | None]:
        """The same of several, in their order."""
        return await together(self.file(file_id, fields) for file_id in ids)

    def close(self) -> None:
        """End its connections."""
        self._threads.close()


async def together(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What all calls return, done at once. If one raises the others are ended."""
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        await end(*tasks)
        raise


@lru_cache(maxsize=8)
def _service(base_url: str) -> Any:
    """The library's service, which makes requests for any thread."""
    options = {} if base_url == API_BASE_URL else {"client_options": {"api_endpoint": base_url}}
    return build("drive", "v3", http=Http(base_url), cache_discovery=False, **options)
