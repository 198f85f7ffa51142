"""What front doors remember of the answers that they give, changed only by whoever has the lease on one.

So a bar that is late never covers a result, and two processes never post two messages.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import TypeAdapter

from core.errors import Transient
from core.leases import holding
from core.ports import Store

S = TypeVar("S")

_BODY_SECONDS = 120.0
_PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.05


@dataclass(slots=True)
class Hold(Generic[S]):
    """What is known of an answer, in the hands of whoever has its lease."""

    _states: States[S]
    _space: str
    _key: str
    state: S

    async def save(self, state: S) -> None:
        """Remember it durably."""
        await self._states.put(self._space, self._key, state)
        self.state = state


class States(Generic[S]):
    """What is known of answers, as `S`, in spaces of the store; leases are in the space `leases`. `whose` is
    how messages call the platform. `noted` is told of every state that was stored, as an index is: whatever
    it does has to be repeatable."""

    def __init__(
        self,
        store: Store,
        kind: TypeAdapter[S],
        *,
        leases: str,
        whose: str,
        noted: Callable[[S], Awaitable[None]],
    ) -> None:
        self._store = store
        self._kind = kind
        self._leases = leases
        self._whose = whose
        self._noted = noted

    async def get(self, space: str, key: str) -> S | None:
        """What is known of one; None if nothing is."""
        text = await self._store.recall(space, key)
        return None if text is None else self._kind.validate_json(text)

    async def put(self, space: str, key: str, state: S) -> None:
        """Remember it durably. Only for those who hold it."""
        await self._store.remember(space, key, self._kind.dump_json(state).decode())
        await self._noted(state)

    async def all(self, space: str) -> list[S]:
        """All that is known."""
        found = await self._store.memories(space)
        return await asyncio.to_thread(lambda: [self._kind.validate_json(text) for text in found.values()])

    async def forget(self, space: str, key: str) -> None:
        """Drop what is known of one."""
        await self._store.forget(space, key)

    @asynccontextmanager
    async def hold(self, space: str, key: str, fresh: S) -> AsyncIterator[Hold[S]]:
        """One for oneself, `fresh` if nothing is known of it; waits while somebody else has it. Raises
        Transient if that takes too long, or if the body does."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            async with self.hold_if_free(space, key, fresh) as hold:
                if hold is not None:
                    yield hold
                    return
            await asyncio.sleep(_POLL_SECONDS)
        raise Transient("Another process has been working on this answer for too long.")

    @asynccontextmanager
    async def hold_if_free(self, space: str, key: str, fresh: S) -> AsyncIterator[Hold[S] | None]:
        """The same without waiting: None if somebody else has it."""
        async with holding(self._store, self._leases, key) as is_mine:
            if not is_mine:
                yield None
                return
            limit = asyncio.timeout(_BODY_SECONDS)
            try:
                async with limit:
                    state = await self.get(space, key)
                    yield Hold(self, space, key, fresh if state is None else state)
            except TimeoutError:
                if limit.expired():
                    raise Transient(f"{self._whose} took too long to take an answer.") from None
                raise
