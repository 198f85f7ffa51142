"""What both kinds of `core.accounts` share: standing in line for a place, receipts, refusals, the books.

Each process sends one of its waiters per account to ask for a place; the others stand in line behind it.
Money is counted in millionths of a dollar, months are calendar months in UTC.
"""

from __future__ import annotations

import asyncio
import calendar
import json
import logging
import random
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from core.engines.prices import estimate
from core.errors import OverBudget
from core.settings import Settings

logger = logging.getLogger(__name__)

T = TypeVar("T")

ALL = "all"
"""Whose budget it is that counts for every tenant; `of_tenant` names the others."""

_LOOK, _SHORTEST_LOOK, _LONGEST_LOOK = 0.15, 0.02, 0.5  # seconds between questions for a place
_MICROS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one engine cost a tenant in a month under one price key, as booked.

    `requests` counts what was sent, a recording or one channel of it, however many pieces it was cut into;
    `seconds` of audio. `dollars` is None where the price was unknown when it was booked: such requests have a
    row of their own.
    """

    month: str
    tenant: str
    engine: str
    price: str
    requests: int
    seconds: float
    dollars: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a receipt says. `micros` is the estimate in millionths of a dollar, None for an unknown price."""

    id: str
    month: str
    tenant: str
    engine: str
    price: str
    micros: int | None

    @classmethod
    def of(cls, receipt: str) -> Order:
        """The order behind `receipt`. Raises ValueError or TypeError if it is no receipt."""
        return cls(**json.loads(receipt))

    def receipt(self) -> str:
        """The reverse of `of`. The scripts read it too."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    def row(self, *, known: bool) -> str:
        """Its row in the month's table; what has no price is booked apart."""
        return json.dumps([self.tenant, self.engine, self.price, known])


@dataclass(frozen=True, slots=True, kw_only=True)
class Short:
    """A budget that does not allow an order: `whose`, and whether this is the first refusal under it."""

    whose: str
    first: bool


def of_tenant(tenant: str) -> str:
    """Whose budget a tenant's is."""
    return f"of:{tenant}"


def month_of(moment: float) -> str:
    """The calendar month (UTC) of a Unix time: `2026-11`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m")


def refusal(month: str, *, whole: bool) -> str:
    """What the sharer of a recording reads that `month`'s budget does not allow; `whole` if not even all of
    it would."""
    if whole:
        return (
            "This recording costs more than the whole monthly budget for transcription. Share a shorter part "
            "of it, or ask whoever runs this service to raise the budget."
        )
    year, number = map(int, month.split("-"))
    year, number = (year, number + 1) if number < 12 else (year + 1, 1)
    return (
        "This month's budget for transcription has too little left for this recording. Share it again from "
        f"1 {calendar.month_name[number]} {year}, or ask whoever runs this service to raise the budget."
    )


class _Place:
    def __init__(self, account: str) -> None:
        self.account = account
        self.token = secrets.token_hex(8)
        self.asked: asyncio.Task[float | None] | None = None

    @property
    def taken(self) -> bool:
        """Once the question is answered."""
        asked = self.asked
        return (
            asked is not None and not asked.cancelled() and not asked.exception() and asked.result() is None
        )


class Accounting(ABC):
    """Half of the `Accounts` port; what remains is to keep the state. `forward` gives seconds by which clocks
    are put forward: tests let time pass with it."""

    def __init__(self, settings: Settings, forward: Callable[[], float]) -> None:
        self._forward = forward
        self._limits = tuple(
            None if limit is None else round(limit * _MICROS)
            for limit in (settings.monthly_budget, settings.tenant_monthly_budget)
        )
        self._lines: dict[str, asyncio.Lock] = {}
        self._freed: dict[str, asyncio.Event] = {}
        self._errands: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def permit(self, account: str, *, concurrency: int, per_minute: int | None) -> AsyncIterator[None]:
        """See the port. Without an account there is nothing to share and no wait. Raises Transient if the
        store can't be asked."""
        if not account:
            yield
            return
        place = _Place(account)
        try:
            async with self._lines.setdefault(account, asyncio.Lock()):
                await self._wait(place, concurrency, per_minute or 0)
            yield
        finally:
            # In a task of its own: a place goes back even if this one is cancelled here, or was while asking.
            await asyncio.shield(self._errand(self._return(place)))

    async def _wait(self, place: _Place, concurrency: int, per_minute: int) -> None:
        freed = self._freed.setdefault(place.account, asyncio.Event())
        while True:
            freed.clear()
            place.asked = self._errand(self._take(place.account, place.token, concurrency, per_minute))
            wait = await asyncio.shield(place.asked)
            if wait is None:
                return
            nap = min(max(wait or _LOOK, _SHORTEST_LOOK), _LONGEST_LOOK)
            with suppress(TimeoutError):
                async with asyncio.timeout(nap * (1 + 0.3 * random.random())):  # noqa: S311  (spreads load)
                    await freed.wait()

    async def _return(self, place: _Place) -> None:
        if place.asked is not None:
            await asyncio.wait([place.asked])
        if place.taken:
            await self._give(place.account, place.token)
            self._freed[place.account].set()

    def _errand(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        return task

    async def reserve(self, tenant: str, engine: str, price: str, seconds: float) -> str:
        """See the port. Where the price is unknown nothing is set aside, but a budget that is used up stops
        that engine too. Raises Transient if the store can't be asked."""
        order = Order(
            id=secrets.token_hex(8),
            month=self.month(),
            tenant=tenant,
            engine=engine,
            price=price,
            micros=_micros(price, seconds),
        )
        asked = self._errand(self._reserve(order))
        try:
            short = await asyncio.shield(asked)
        except asyncio.CancelledError:
            self._errand(self._unreserve(asked, order))
            raise
        if short is None:
            return order.receipt()
        limit = self._limits[short.whose != ALL] or 0
        if short.first:
            logger.warning(
                "%s: the budget of %.2f dollars for %s%s does not allow every recording any more",
                "ERNI_MONTHLY_BUDGET" if short.whose == ALL else "ERNI_TENANT_MONTHLY_BUDGET",
                limit / _MICROS,
                order.month,
                "" if short.whose == ALL else f", workspace {tenant},",
            )
        raise OverBudget(refusal(order.month, whole=(order.micros or 1) > limit))

    async def _unreserve(self, asked: asyncio.Task[Short | None], order: Order) -> None:
        await asyncio.wait([asked])
        if not asked.cancelled() and asked.exception() is None:
            await self._settle(order, 0, None)

    async def settle(self, receipt: str, seconds: float) -> None:
        """See the port. Books in the month of the reservation, also after that expired. A store that can't be
        asked is only logged: what was recognised must not be lost over the books."""
        order = Order.of(receipt)
        await self._settle(order, max(0, round(seconds * 1000)), _micros(order.price, seconds))

    async def costs(self, month: str | None = None) -> list[Cost]:
        """What was booked in `month` ("2026-11"; None: the current one), by tenant, engine and price key.
        Raises Transient if the store can't be asked."""
        wanted = month or self.month()
        rows: dict[str, dict[str, int]] = {}
        for name, number in await self._booked(wanted):
            row, _, what = name.rpartition(" ")
            rows.setdefault(row, {})[what] = number
        found: list[Cost] = []
        for row in sorted(rows, key=json.loads):
            tenant, engine, price, known = json.loads(row)
            found.append(
                Cost(
                    month=wanted,
                    tenant=tenant,
                    engine=engine,
                    price=price,
                    requests=rows[row]["requests"],
                    seconds=rows[row]["milliseconds"] / 1000,
                    dollars=rows[row]["micros"] / _MICROS if known else None,
                )
            )
        return found

    async def reserved(self, month: str | None = None) -> float:
        """What is set aside for recordings under way, US dollars, of all tenants. Raises Transient if the
        store can't be asked."""
        return await self._set_aside(month or self.month()) / _MICROS

    def month(self) -> str:
        """The current month: `2026-11`."""
        return month_of(time.time() + self._forward())

    @abstractmethod
    async def _take(self, account: str, token: str, concurrency: int, per_minute: int) -> float | None:
        """None with the place taken, else for how many seconds there is none, 0 if that is unknown."""

    @abstractmethod
    async def _give(self, account: str, token: str) -> None:
        """Give a place back that was taken. Does not raise."""

    @abstractmethod
    async def _reserve(self, order: Order) -> Short | None:
        """None with the money set aside."""

    @abstractmethod
    async def _settle(self, order: Order, milliseconds: int, micros: int | None) -> None:
        """Book once, in the order's row, and free what was set aside."""

    @abstractmethod
    async def _booked(self, month: str) -> Iterable[tuple[str, int]]:
        """Rows of the month, each with `requests`, `milliseconds` or `micros` after a space."""

    @abstractmethod
    async def _set_aside(self, month: str) -> int:
        """Millionths of a dollar, of all tenants."""


def _micros(price: str, seconds: float) -> int | None:
    dollars = estimate(price, seconds)
    return None if dollars is None else round(dollars * _MICROS)


def tell_rest(engine: str, rest: float) -> None:
    """Say in the log that `engine` was taken out of use for `rest` seconds; nothing to say for 0."""
    if rest > 0:
        logger.warning("engine %s keeps failing and rests for %.0f s", engine, rest)
