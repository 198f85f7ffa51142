"""Nudges that reach every process: a platform calls one of those behind an address, and another one may be
watching the folders that it calls about."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final

from redis.exceptions import RedisError

from core.ports import Store

logger = logging.getLogger(__name__)

_ROUND_SECONDS: Final = 1.0


class Nudges:
    """`nudge` is told the account in which something may have changed, in this process and in the others that
    run `share` on the same `space` of the store. None is lost while the store is away; one too many costs
    a question."""

    def __init__(
        self, store: Store, space: str, nudge: Callable[[str], None], *, pause: float = _ROUND_SECONDS
    ) -> None:
        self._store = store
        self._space = space
        self._nudge = nudge
        self._pause = pause
        self._waiting: dict[str, str] = {}  # to be told to the others: account and stamp
        self._known: dict[str, str] | None = None

    def give(self, account: str) -> None:
        """Nudge here now, and elsewhere within seconds."""
        self._nudge(account)
        self._waiting[account] = secrets.token_hex(8)

    async def share(self) -> None:
        """Pass nudges on to the other processes, and have theirs, until cancelled."""
        trouble = ""
        while True:
            try:
                await self._tell()
                await self._hear()
                trouble = ""
            except (RedisError, OSError) as error:
                if trouble != type(error).__name__:
                    logger.warning("notices of changes reach this process only: %s", type(error).__name__)
                trouble = type(error).__name__
            await asyncio.sleep(self._pause)

    async def _tell(self) -> None:
        waiting = dict(self._waiting)
        if not waiting:
            return
        await self._store.remember_all(self._space, waiting)
        if self._known is not None:
            self._known |= waiting
        for account, stamp in waiting.items():
            if self._waiting.get(account) == stamp:
                del self._waiting[account]

    async def _hear(self) -> None:
        known, self._known = self._known, dict(await self._store.memories(self._space))
        if known is None:
            return  # what was before is found by the first look at each folder
        for account, stamp in self._known.items():
            if known.get(account) != stamp:
                self._nudge(account)
