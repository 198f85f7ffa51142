"""One Dropbox account, as its own library reaches it: in threads, with few retries, with errors of ours.

Paths begin at the root of the account: for members of a team that is the team space, where the library alone
would see only the member's own folder.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import dropbox
from dropbox.common import PathRoot
from dropbox.exceptions import ApiError, PathRootError

from connectors.dropbox.settings import API_BASE_URL
from connectors.dropbox.threads import Threads
from connectors.dropbox.transport import Answers, open_session
from connectors.dropbox.troubles import RECONNECT, TROUBLES, BadRequest, refused, tags, translated
from core.errors import AuthFailed, Transient

T = TypeVar("T")

TRIES: Final = 4
LONGEST_WAIT: Final = 10.0
"""Seconds up to which a call waits itself before it is tried again; longer waits are for others to plan."""

LONGPOLL_SECONDS: Final = 120
FIRST_PAUSE: Final = 0.5
_LONGEST_BACKOFF: Final = 600.0
_CONNECT_SECONDS: Final = 10.0
_SILENT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What lets the service into an account. There is no secret where consent was given with PKCE."""

    app_key: str
    refresh_token: str = field(repr=False)
    app_secret: str | None = field(default=None, repr=False)

    def to_json(self) -> str:
        """For `core.places.Credentials`."""
        return json.dumps({"app_key": self.app_key, "refresh_token": self.refresh_token})

    @classmethod
    def from_json(cls, text: str) -> Access:
        """The reverse of `to_json`. Raises AuthFailed."""
        try:
            document = json.loads(text)
            return cls(app_key=str(document["app_key"]), refresh_token=str(document["refresh_token"]))
        except (ValueError, TypeError, LookupError):
            raise AuthFailed(f"The stored credentials make no sense. {RECONNECT}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """The threads of the connector, for all accounts: for short calls, for files on their way, and for
    waiting until something changes."""

    calls: Threads = field(default_factory=lambda: Threads(8))
    transfers: Threads = field(default_factory=lambda: Threads(4))
    waits: Threads = field(default_factory=lambda: Threads(256))


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Whose account it is. `root` and `home` are ids of namespaces: where paths begin, and the person's own
    folder, which lies at `home_path` there ("" if it is the root)."""

    account: str
    email: str
    root: str
    home: str
    home_path: str


class Account:
    """See above. Methods raise AuthFailed and Transient, and the library's ApiError where `ask` says so."""

    def __init__(self, access: Access, pools: Pools, *, base_url: str = API_BASE_URL) -> None:
        self._pools = pools
        self._session = open_session(base_url)
        self._answers = Answers(self._session)
        self._plain = dropbox.Dropbox(
            oauth2_refresh_token=access.refresh_token,
            app_key=access.app_key,
            app_secret=access.app_secret,
            session=self._session,
            user_agent="erni-audio",
            timeout=(_CONNECT_SECONDS, _SILENT_SECONDS),
            # The library would sleep in its thread, after a rate limit for as long as that lasts.
            max_retries_on_error=0,
            max_retries_on_rate_limit=0,
        )
        self._rooted: Any = None
        self._profile: Profile | None = None
        self._learning = asyncio.Lock()
        self._quiet_until = 0.0

    async def profile(self) -> Profile:
        """Whose account it is, asked once."""
        async with self._learning:
            if self._profile is None:
                found = await retried(
                    lambda: self._run(self._pools.calls, self._plain, _method("users_get_current_account"))
                )
                self._learn(found.account_id, found.email, found.root_info)
            return self._profile_known()

    async def ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the library, a few times if need be. Raises ApiError for errors of the route."""
        return await retried(lambda: self.ask_once(method, *args, **kwargs))

    async def ask_once(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """The same, once: for what may have been done although no answer came."""
        return await self._call(self._pools.calls, _method(method, *args, **kwargs))

    async def transfer(self, function: Callable[[Any], T]) -> T:
        """What `function` returns, called once in a thread with the library's client. Raises as `ask`."""

        def closing(client: Any) -> T:
            with self._answers.closed_on_failure():
                return function(client)

        result: T = await self._call(self._pools.transfers, closing)
        return result

    async def longpoll(self, cursor: str) -> None:
        """Until there may be something new after `cursor`, or some minutes have passed. If Dropbox asked to
        be left alone, the next call waits for that, whichever folder of the account it is about. Raises
        ApiError."""
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._quiet_until - clock()))
        poll = _method("files_list_folder_longpoll", cursor, timeout=LONGPOLL_SECONDS)
        answer = await self._call(self._pools.waits, poll)
        if answer.backoff:
            until = clock() + min(float(answer.backoff), _LONGEST_BACKOFF)
            self._quiet_until = max(self._quiet_until, until)

    def close(self) -> None:
        """Let go of the connections that nothing goes over now."""
        self._session.close()

    async def _call(self, pool: Threads, function: Callable[[Any], Any]) -> Any:
        for _ in range(3):
            await self.profile()
            client = self._rooted
            try:
                return await self._run(pool, client, function)
            except PathRootError as error:
                if client is self._rooted:  # else another call has found out already
                    self._move_root(error)
        raise Transient("The paths of the Dropbox begin elsewhere again and again.")

    async def _run(self, pool: Threads, client: Any, function: Callable[[Any], Any]) -> Any:
        try:
            return await pool.run(lambda: function(client))
        except PathRootError:
            raise
        except ApiError as error:
            if "too_many_write_operations" in tags(error.error):
                raise refused(error) from None
            raise
        except TROUBLES as error:
            raise translated(error) from None

    def _learn(self, account: str, email: str, info: Any) -> None:
        self._profile = Profile(
            account=account,
            email=email,
            root=info.root_namespace_id,
            home=info.home_namespace_id,
            home_path=(getattr(info, "home_path", "") or "").lower(),
        )
        self._rooted = self._plain
        if info.root_namespace_id != info.home_namespace_id:
            self._rooted = self._plain.with_path_root(PathRoot.root(info.root_namespace_id))

    def _move_root(self, error: PathRootError) -> None:
        """Somebody joined or left a team, or moved to another one."""
        if error.error is None or not error.error.is_invalid_root():
            raise translated(error) from None
        known = self._profile_known()
        self._learn(known.account, known.email, error.error.get_invalid_root())

    def _profile_known(self) -> Profile:
        if self._profile is None:
            raise RuntimeError("The account was not asked yet.")
        return self._profile


async def retried(call: Callable[[], Awaitable[T]]) -> T:
    """What `call` returns, tried again a few times if it raises Transient."""
    attempt = 0
    while True:
        attempt += 1
        try:
            return await call()
        except BadRequest:
            raise
        except Transient as error:
            wait = pause(attempt, error)
            if attempt >= TRIES or wait > LONGEST_WAIT:
                raise
        await asyncio.sleep(wait)


def pause(attempt: int, error: Transient) -> float:
    """Seconds to wait after failed try number `attempt` (from 1)."""
    return float(max(error.retry_after or 0.0, FIRST_PAUSE * 2 ** (attempt - 1) * (0.5 + random.random())))  # noqa: S311


def _method(name: str, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
    return lambda client: getattr(client, name)(*args, **kwargs)
