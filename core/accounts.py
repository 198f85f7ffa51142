"""The `Accounts` port: places, rates, resting engines and budgets, for all workers on a store or one process.

A place is a lease that its holder renews, so those of dead processes come free by themselves; the rate is a
log of the last minute's requests. Engines rest after failing in a row (circuit breaker: M. Nygard, "Release
It!", 2007). In the store every decision is one Lua script (`core/lua/accounts_*.lua`) under its own clock.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.accounting import ALL, Accounting, Cost, Order, Short, of_tenant, tell_rest
from core.errors import Transient
from core.ledger import PREFIX
from core.settings import Settings

__all__ = ["Cost", "MemoryAccounts", "RedisAccounts"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

MINUTE = 60.0
LEASE, RENEWAL = 30.0, 10.0  # seconds for which a place is taken, and between renewals
FAILURES, FAILING = 3, 300.0  # in a row, within seconds
FIRST_REST, LONGEST_REST = 60.0, 900.0
PROBE = 600.0  # seconds after which a probe that nobody heard of counts as lost
RESERVED = 86400.0  # seconds for which money is set aside: hardly a recording takes longer

_PLACE = f"{PREFIX}:accounts"
_SCRIPTS = ("take", "renew", "pause", "resting", "failed", "undecided", "reserve", "settle")


def _unchanged() -> float:
    return 0.0


class RedisAccounts(Accounting):
    """For all workers on the store. `redis` answers bytes (no decoding)."""

    def __init__(
        self, redis: Redis, settings: Settings, *, forward: Callable[[], float] = _unchanged
    ) -> None:
        super().__init__(settings, forward)
        self._redis = redis
        self._held: dict[str, str] = {}
        self._renewing = False
        folder = files("core") / "lua"
        prelude = (folder / "accounts_prelude.lua").read_text()
        self._scripts = {
            name: redis.register_script(prelude + (folder / f"accounts_{name}.lua").read_text())
            for name in _SCRIPTS
        }

    async def pause(self, account: str, seconds: float) -> None:
        """See the port. Never shortens a pause. A store that can't be asked is only logged."""
        if account and seconds > 0 and math.isfinite(seconds):
            await _quietly("a pause", self._run("pause", account, seconds))

    async def resting(self, engine: str) -> float:
        """See the port. After a rest one caller is told 0; the others wait until that one says how the engine
        did or that it is undecided, or for ten minutes. Raises Transient if the store can't be asked."""
        return float(await _asked(self._run("resting", engine, FIRST_REST, PROBE)))

    async def worked(self, engine: str) -> None:
        """See the port. A store that can't be asked is only logged."""
        names = [f"{_PLACE}:{what}:{engine}" for what in ("breaker", "failures")]
        await _quietly("an engine's success", self._redis.delete(*names))

    async def failed(self, engine: str) -> None:
        """See the port. A store that can't be asked is only logged."""
        limits = (FAILURES, FAILING, FIRST_REST, LONGEST_REST)
        tell_rest(
            engine, float(await _quietly("an engine's failure", self._run("failed", engine, *limits)) or 0)
        )

    async def undecided(self, engine: str) -> None:
        """See the port. A store that can't be asked is only logged: the probe then comes free by itself."""
        await _quietly("a probe given back", self._run("undecided", engine))

    async def _take(self, account: str, token: str, concurrency: int, per_minute: int) -> float | None:
        answer = await _asked(self._run("take", account, token, concurrency, per_minute, MINUTE, LEASE))
        if answer:
            return float(answer)
        self._held[token] = account
        if not self._renewing:
            self._renewing = True
            self._errand(self._renew())
        return None

    async def _give(self, account: str, token: str) -> None:
        del self._held[token]
        places = f"{_PLACE}:places:{account}"
        await _quietly("a place given back", self._redis.zrem(places, token))

    async def _renew(self) -> None:
        try:
            while self._held:
                await asyncio.sleep(RENEWAL)
                if held := [part for token, account in self._held.items() for part in (account, token)]:
                    await _quietly("a renewal of places", self._run("renew", LEASE, *held))
        finally:
            self._renewing = False

    async def _reserve(self, order: Order) -> Short | None:
        limits = ["" if limit is None else limit for limit in self._limits]
        answer = await _asked(self._run("reserve", order.receipt(), RESERVED, *limits))
        return Short(whose=answer[0].decode(), first=bool(answer[1])) if answer else None

    async def _settle(self, order: Order, milliseconds: int, micros: int | None) -> None:
        known = micros is not None
        work = self._run(
            "settle", order.receipt(), order.row(known=known), milliseconds, micros if known else ""
        )
        await _quietly(f"what {order.engine} charges for {milliseconds / 1000:.0f} s", work)

    async def _booked(self, month: str) -> Iterable[tuple[str, int]]:
        asked = cast("Awaitable[dict[bytes, bytes]]", self._redis.hgetall(f"{_PLACE}:costs:{month}"))
        return [(name.decode(), int(value)) for name, value in (await _asked(asked)).items()]

    async def _set_aside(self, month: str) -> int:
        asked = cast("Awaitable[bytes | None]", self._redis.hget(f"{_PLACE}:aside:{month}", ALL))
        return int(await _asked(asked) or 0)

    async def _run(self, script: str, *arguments: Any) -> Any:
        return await self._scripts[script](keys=[PREFIX], args=[self._forward(), *arguments])


async def _asked(work: Awaitable[T]) -> T:
    try:
        return await work
    except (RedisError, OSError) as error:
        raise Transient(f"The store does not answer ({type(error).__name__}).") from error


async def _quietly(what: str, work: Awaitable[T]) -> T | None:
    """For what must not undo work that was done: it ends by itself, or only blurs a statistic."""
    try:
        return await work
    except (RedisError, OSError) as error:
        logger.warning("%s could not be written to the store (%s)", what, type(error).__name__)
        return None


@dataclass(slots=True)
class _Account:
    places: set[str] = field(default_factory=set)
    recent: deque[float] = field(default_factory=deque)
    paused: float = -math.inf


@dataclass(slots=True)
class _Breaker:
    failures: deque[float] = field(default_factory=lambda: deque(maxlen=FAILURES))
    till: float | None = None
    rest: float = FIRST_REST
    probed: float = -math.inf


class MemoryAccounts(Accounting):
    """For one process, where there is no store."""

    def __init__(self, settings: Settings, *, forward: Callable[[], float] = _unchanged) -> None:
        super().__init__(settings, forward)
        self._accounts: dict[str, _Account] = {}
        self._breakers: dict[str, _Breaker] = {}
        self._open: dict[str, tuple[float, Order]] = {}
        self._settled: set[str] = set()
        self._refused: set[tuple[str, str]] = set()
        self._aside: Counter[tuple[str, str]] = Counter()
        self._spent: Counter[tuple[str, str]] = Counter()
        self._rows: dict[str, Counter[str]] = {}

    def _now(self) -> float:
        return time.monotonic() + self._forward()

    async def pause(self, account: str, seconds: float) -> None:
        """See the port. Never shortens a pause."""
        if account and seconds > 0 and math.isfinite(seconds):
            state = self._accounts.setdefault(account, _Account())
            state.paused = max(state.paused, self._now() + seconds)

    async def resting(self, engine: str) -> float:
        """See the port and `RedisAccounts.resting`."""
        breaker, now = self._breakers.get(engine), self._now()
        if breaker is None or breaker.till is None:
            return 0.0
        if now < breaker.till:
            return breaker.till - now
        if now < breaker.probed:
            return min(breaker.probed - now, FIRST_REST)
        breaker.probed = now + PROBE
        return 0.0

    async def worked(self, engine: str) -> None:
        """See the port."""
        self._breakers.pop(engine, None)

    async def failed(self, engine: str) -> None:
        """See the port."""
        breaker, now = self._breakers.setdefault(engine, _Breaker()), self._now()
        if breaker.till is not None:
            if now < breaker.till:  # begun before the rest
                return
            breaker.rest = min(2 * breaker.rest, LONGEST_REST)
        else:
            breaker.failures.append(now)
            if len(breaker.failures) < FAILURES or now - breaker.failures[0] > FAILING:
                return
        breaker.till, breaker.probed = now + breaker.rest, -math.inf
        tell_rest(engine, breaker.rest)

    async def undecided(self, engine: str) -> None:
        """See the port."""
        if engine in self._breakers:
            self._breakers[engine].probed = -math.inf

    async def _take(self, account: str, token: str, concurrency: int, per_minute: int) -> float | None:
        state, now = self._accounts.setdefault(account, _Account()), self._now()
        if now < state.paused:
            return state.paused - now
        if len(state.places) >= concurrency:
            return 0.0
        if per_minute:
            while state.recent and state.recent[0] <= now - MINUTE:
                state.recent.popleft()
            if len(state.recent) >= per_minute:
                return state.recent[-per_minute] + MINUTE - now
            state.recent.append(now)
        state.places.add(token)
        return None

    async def _give(self, account: str, token: str) -> None:
        self._accounts[account].places.discard(token)

    async def _reserve(self, order: Order) -> Short | None:
        now, micros = self._now(), order.micros or 0
        for expired in [key for key, (until, _) in self._open.items() if until <= now]:
            self._release(expired)
        whose = (ALL, of_tenant(order.tenant))
        for who, limit in zip(whose, self._limits, strict=True):
            used = self._spent[order.month, who] + self._aside[order.month, who]
            if limit is not None and used + max(micros, 1) > limit:
                first = (order.month, who) not in self._refused
                self._refused.add((order.month, who))
                return Short(whose=who, first=first)
        self._open[order.id] = now + RESERVED, order
        self._aside.update(dict.fromkeys(((order.month, who) for who in whose), micros))
        return None

    def _release(self, key: str) -> None:
        if key in self._open:
            _, order = self._open.pop(key)
            for who in (ALL, of_tenant(order.tenant)):
                self._aside[order.month, who] -= order.micros or 0

    async def _settle(self, order: Order, milliseconds: int, micros: int | None) -> None:
        if order.id in self._settled:
            return
        self._settled.add(order.id)
        self._release(order.id)
        if not milliseconds:
            return
        row, rows = order.row(known=micros is not None), self._rows.setdefault(order.month, Counter())
        rows.update({f"{row} requests": 1, f"{row} milliseconds": milliseconds})
        if micros is not None:
            rows[f"{row} micros"] += micros
            self._spent.update(
                dict.fromkeys(((order.month, w) for w in (ALL, of_tenant(order.tenant))), micros)
            )

    async def _booked(self, month: str) -> Iterable[tuple[str, int]]:
        return self._rows.get(month, Counter()).items()

    async def _set_aside(self, month: str) -> int:
        return self._aside[month, ALL]
