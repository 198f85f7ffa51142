"""Limits and money on a store: dead workers, renewals, a store that is away, how often it is asked."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

import core.accounts
from core.accounting import Accounting, month_of, refusal
from core.accounts import MemoryAccounts, RedisAccounts
from core.errors import Rejected, Transient
from core.ledger import PREFIX
from core.settings import Settings, load_settings
from tests.quick_store import quick_store

SETTINGS = load_settings(Settings, _env_file=None)
PLACES = f"{PREFIX}:accounts:places:a"
WHISPER = "openai/whisper-1"


class Clock:
    """How far it was put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with quick_store() as url:
        yield url


@pytest.fixture
async def redis(url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(url) as client:
        await client.flushall()
        yield client


async def soon(condition: object) -> None:
    """Until `condition()` is true; fails if it does not come to that."""
    assert callable(condition)
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)


async def enter(accounts: Accounting, concurrency: int = 1) -> None:
    async with asyncio.timeout(10), accounts.permit("a", concurrency=concurrency, per_minute=None):
        pass


async def test_the_places_of_the_dead_come_free(redis: Redis, clock: Clock) -> None:
    dead = RedisAccounts(redis, SETTINGS, forward=clock)
    async with dead.permit("a", concurrency=1, per_minute=None):  # it renews nothing in the next ten seconds
        waiting = asyncio.create_task(enter(RedisAccounts(redis, SETTINGS, forward=clock)))
        await asyncio.sleep(0.4)
        assert not waiting.done()
        clock.ahead += 31
        await waiting


async def test_a_place_that_is_held_is_renewed(
    redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core.accounts, "RENEWAL", 0.02)
    holder = RedisAccounts(redis, SETTINGS, forward=clock)
    other = RedisAccounts(redis, SETTINGS, forward=clock)
    async with holder.permit("a", concurrency=1, per_minute=None):
        (token,) = cast("list[bytes]", await redis.zrange(PLACES, 0, -1))
        leased = float(await redis.zscore(PLACES, token) or 0)
        waiting = asyncio.create_task(enter(other))
        for _ in range(5):
            clock.ahead += 20
            wanted = leased + clock.ahead

            async def renewed(wanted: float = wanted) -> bool:
                return float(await redis.zscore(PLACES, token) or 0) >= wanted

            await soon(renewed)
        await asyncio.sleep(0.3)
        assert not waiting.done()
    await waiting

    async def nothing_is_renewed_any_more() -> bool:
        return not holder._renewing

    await soon(nothing_is_renewed_any_more)
    async with holder.permit("a", concurrency=1, per_minute=None):
        assert holder._renewing, "and it begins again"


async def test_a_late_renewal_takes_no_place_back(redis: Redis) -> None:
    accounts = RedisAccounts(redis, SETTINGS)
    async with accounts.permit("a", concurrency=1, per_minute=None):
        (token,) = await redis.zrange(PLACES, 0, -1)
    await accounts._run("renew", 30, "a", token)
    assert await redis.zcard(PLACES) == 0


async def test_a_question_asked_twice_takes_one_place(redis: Redis) -> None:
    """As the client does after a connection broke before the answer."""
    accounts = RedisAccounts(redis, SETTINGS)
    for _ in range(2):
        assert await accounts._take("a", "token", 1, 1) is None
    assert await redis.zcard(PLACES) == 1


async def test_cancelled_in_any_step_a_place_comes_back(redis: Redis) -> None:
    accounts = RedisAccounts(redis, SETTINGS)
    chance = random.Random(7)

    async def work() -> None:
        async with accounts.permit("a", concurrency=2, per_minute=None):
            await asyncio.sleep(0.001)

    for _ in range(100):
        tasks = [asyncio.create_task(work()) for _ in range(2)]
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(0)
        await asyncio.sleep(chance.random() * 0.001)
        for task in tasks:
            task.cancel()
            if chance.random() < 0.3:
                await asyncio.sleep(0)
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def all_are_free() -> bool:
        return int(await redis.zcard(PLACES)) == 0

    await soon(all_are_free)
    assert not accounts._held


async def test_asking_is_one_call_and_giving_back_another(redis: Redis) -> None:
    accounts = RedisAccounts(redis, SETTINGS)
    await enter(accounts)  # the script is known then

    async def calls() -> int:
        stats = await redis.info("commandstats")
        inner = {"time", "zscore", "get", "zremrangebyscore", "zcard", "zadd", "expire", "info"}
        names = {name: name.removeprefix("cmdstat_") for name in stats}
        return sum(int(stats[name]["calls"]) for name, short in names.items() if short not in inner)

    before = await calls()
    await enter(accounts)
    assert await calls() - before == 2


@pytest.mark.parametrize("kind", ["memory", "redis"])
async def test_who_waits_in_a_process_is_served_in_order(redis: Redis, kind: str) -> None:
    accounts = MemoryAccounts(SETTINGS) if kind == "memory" else RedisAccounts(redis, SETTINGS)
    served: list[int] = []

    async def work(number: int) -> None:
        async with accounts.permit("a", concurrency=1, per_minute=None):
            served.append(number)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for number in range(12):
            group.create_task(work(number))
            await asyncio.sleep(0)
    assert served == list(range(12))


async def test_a_store_that_is_away_loses_no_recording(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = Redis.from_url(f"unix://{tmp_path}/none.sock", retry=Retry(NoBackoff(), 0))
    async with away:
        accounts = RedisAccounts(away, SETTINGS)
        with pytest.raises(Transient, match="store does not answer"):
            await enter(accounts)
        with pytest.raises(Transient):
            await accounts.resting("e")
        with pytest.raises(Transient):
            await accounts.reserve("t", "openai", WHISPER, 60)
        with pytest.raises(Transient):
            await accounts.costs()
        receipt = await MemoryAccounts(SETTINGS).reserve("t", "openai", WHISPER, 60)
        with caplog.at_level(logging.WARNING, "core.accounts"):
            # What was recognised is kept, whatever becomes of the books.
            await accounts.settle(receipt, 60)
            await accounts.worked("e")
            await accounts.failed("e")
            await accounts.undecided("e")
            await accounts.pause("a", 1)
        assert len(caplog.records) == 5
        assert "openai charges for 60 s" in caplog.text


async def test_everything_but_open_reservations_ends_by_itself(redis: Redis, clock: Clock) -> None:
    settings = load_settings(Settings, _env_file=None, monthly_budget=0.5)
    accounts = RedisAccounts(redis, settings, forward=clock)
    async with accounts.permit("a", concurrency=1, per_minute=9):
        await accounts.pause("a", 5)
        for _ in range(3):
            await accounts.failed("e")
        await accounts.settle(await accounts.reserve("t", "openai", WHISPER, 60), 60)
        await accounts.reserve("t", "openai", WHISPER, 60)
        lasting = [key.decode() async for key in redis.scan_iter() if await redis.ttl(key) < 0]
    assert lasting == [f"{PREFIX}:accounts:reservations"]
    clock.ahead += 90_000
    await accounts.settle(await accounts.reserve("t", "openai", WHISPER, 60), 0)
    assert await redis.zcard(f"{PREFIX}:accounts:reservations") == 0


async def test_both_kinds_decide_alike_whatever_happens(redis: Redis, clock: Clock) -> None:
    """The one in memory and the scripts are written twice, so they are compared step by step."""
    chance = random.Random(11)
    settings = load_settings(Settings, _env_file=None, monthly_budget=1.0, tenant_monthly_budget=0.7)
    store = RedisAccounts(redis, settings, forward=clock)
    both: tuple[Accounting, ...] = (MemoryAccounts(settings, forward=clock), store)
    held: list[str] = []
    receipts: list[list[str]] = []
    seen: set[str] = set()

    async def compared(call: str, *arguments: object) -> object:
        answers: list[object] = []
        for accounts in both:
            try:
                answers.append(await getattr(accounts, call)(*arguments))
            except Rejected as error:
                answers.append(str(error))
        one, other = answers
        if isinstance(one, float) and isinstance(other, float):
            assert one == pytest.approx(other, abs=2), f"{call}: {answers}"
            assert (one == 0) == (other == 0), f"{call}: {answers}"
        elif call != "reserve":
            assert one == other, f"{call}: {answers}"
        seen.add(f"{call} {type(one).__name__}")
        return answers

    for step in range(600):
        # Long and odd steps, so that the moments between two calls decide nothing.
        clock.ahead += chance.choice([0, 0, 0, 7, 33, 301, 601])
        if held:  # leases are a store's; in one process who holds a place is alive
            await store._run("renew", 30, *(part for token in held for part in ("a", token)))
        match chance.randrange(10):
            case 0 | 1:
                await compared("failed", "e")
            case 2:
                await compared("resting", "e")
                if chance.random() < 0.2:
                    await compared("worked", "e")
            case 3:
                answers = await compared("_take", "a", f"token {step}", 2, 4)
                if answers == [None, None]:
                    held.append(f"token {step}")
            case 4 if held:
                await compared("_give", "a", held.pop())
            case 5:
                if chance.random() < 0.2:
                    await compared("pause", "a", 31)
            case 6:
                order = (f"t{chance.randint(1, 2)}", "e", chance.choice([WHISPER, "nobody/knows"]))
                found = await compared("reserve", *order, chance.uniform(1, 1200))
                assert isinstance(found, list)
                refused = [not each.startswith("{") for each in found]
                assert refused[0] == refused[1]
                seen.add(f"refused {refused[0]}")
                if not refused[0]:
                    receipts.append(found)
            case 7 if receipts:
                pair = receipts.pop(chance.randrange(len(receipts)))
                seconds = chance.choice([0.0, 30.0, 1200.0])
                for accounts, receipt in zip(both, pair, strict=True):
                    await accounts.settle(receipt, seconds)
            case 8:
                await compared("undecided", "e")
            case _:
                await compared("costs")
                await compared("reserved")
    assert {"_take NoneType", "_take float", "undecided NoneType", "refused True", "refused False"} <= seen


@pytest.mark.parametrize(
    ("month", "until"),
    [("2026-11", "1 December 2026"), ("2026-12", "1 January 2027"), ("2027-01", "1 February 2027")],
)
def test_a_refusal_names_the_day_on_which_there_is_money_again(month: str, until: str) -> None:
    assert f"again from {until}, or ask" in refusal(month, whole=False)
    assert "again from" not in refusal(month, whole=True), "waiting would not help"


def test_months_are_those_of_utc() -> None:
    assert month_of(1_796_083_199) == "2026-11"
    assert month_of(1_796_083_200) == "2026-12"
