"""What limits and money promise, in one process and over two workers on one store, whose calls alternate."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest
from redis.asyncio import Redis

from core.accounts import Cost, MemoryAccounts, RedisAccounts
from core.errors import Rejected
from core.ports import Accounts
from core.settings import Settings, load_settings
from tests.quick_store import quick_store

WHISPER = "openai/whisper-1"  # $0.36 an hour
UNPRICED = "replicate/whisper-diarization"
HOUR = 3600.0


class World:
    """Workers that share everything, under a clock that can be put forward."""

    def __init__(self, redis: Redis | None) -> None:
        self._redis = redis
        self._ahead = 0.0
        self._turns = itertools.count()
        self._workers: list[MemoryAccounts | RedisAccounts] = []
        self.open()

    def open(self, budget: float | None = None, tenant_budget: float | None = None) -> None:
        settings = load_settings(
            Settings, _env_file=None, monthly_budget=budget, tenant_monthly_budget=tenant_budget
        )
        if self._redis is None:
            self._workers = [MemoryAccounts(settings, forward=lambda: self._ahead)]
        else:
            self._workers = [
                RedisAccounts(self._redis, settings, forward=lambda: self._ahead) for _ in range(2)
            ]

    @property
    def accounts(self) -> MemoryAccounts | RedisAccounts:
        """Each time another worker."""
        return self._workers[next(self._turns) % len(self._workers)]

    def elapse(self, seconds: float) -> None:
        self._ahead += seconds

    def permit(
        self, account: str = "a", concurrency: int = 3, per_minute: int | None = None
    ) -> AbstractAsyncContextManager[None]:
        return self.accounts.permit(account, concurrency=concurrency, per_minute=per_minute)

    async def enters(self, account: str = "a", concurrency: int = 3, per_minute: int | None = None) -> None:
        """Fails if nobody is let in."""
        async with asyncio.timeout(10), self.permit(account, concurrency, per_minute):
            pass

    async def trip(self, engine: str = "e") -> None:
        for _ in range(3):
            await self.accounts.failed(engine)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with quick_store() as url:
        yield url


@pytest.fixture(params=["memory", "redis"])
async def world(request: pytest.FixtureRequest, url: str) -> AsyncIterator[World]:
    if request.param == "memory":
        yield World(None)
        return
    async with Redis.from_url(url) as redis:
        await redis.flushall()
        yield World(redis)


def test_both_kinds_are_the_port(world: World) -> None:
    accounts: Accounts = world.accounts
    assert accounts


# Places and rates


@pytest.mark.parametrize("seed", range(3))
async def test_never_more_than_the_places_and_every_one_comes_back(world: World, seed: int) -> None:
    chance = random.Random(seed)
    places = chance.randint(1, 4)
    inside = most = served = 0

    async def work() -> None:
        nonlocal inside, most, served
        await asyncio.sleep(chance.random() * 0.1)
        async with world.permit(concurrency=places):
            inside += 1
            most = max(most, inside)
            try:
                await asyncio.sleep(chance.random() * 0.02)
            finally:
                inside -= 1
        served += 1

    tasks = [asyncio.create_task(work()) for _ in range(40)]
    for task in tasks[::2]:
        await asyncio.sleep(chance.random() * 0.02)
        task.cancel()
    await asyncio.wait(tasks, timeout=60)
    ends = [task.cancelled() or task.exception() for task in tasks]
    assert set(ends) <= {True, None}
    assert 0 < most <= places
    assert served >= 20
    async with asyncio.timeout(10), AsyncExitStack() as stack:
        for _ in range(places):
            await stack.enter_async_context(world.permit(concurrency=places))
        one_more = asyncio.create_task(world.enters(concurrency=places))
        await asyncio.sleep(0.3)
        assert not one_more.done()
    await one_more


async def test_a_place_comes_back_from_work_that_failed(world: World) -> None:
    for _ in range(3):
        with pytest.raises(ValueError, match="no"):
            async with world.permit(concurrency=1):
                raise ValueError("no")
    await world.enters(concurrency=1)


async def test_accounts_do_not_wait_for_one_another(world: World) -> None:
    async with world.permit("a", concurrency=1):
        await world.enters("b", concurrency=1)


async def test_without_an_account_there_is_no_limit(world: World) -> None:
    async with (
        world.permit("", concurrency=1, per_minute=1),
        world.permit("", concurrency=1, per_minute=1),
        world.permit("", concurrency=1, per_minute=1),
    ):
        pass


async def test_no_minute_has_more_requests_than_allowed(world: World) -> None:
    await world.enters(per_minute=3)
    world.elapse(30)
    await world.enters(per_minute=3)
    await world.enters(per_minute=3)
    fourth, fifth = (asyncio.create_task(world.enters(per_minute=3)) for _ in range(2))
    await asyncio.sleep(0.4)
    assert not fourth.done()
    assert not fifth.done()
    world.elapse(31)  # the first one is over a minute ago, the second one is not
    done, waiting = await asyncio.wait({fourth, fifth}, return_when="FIRST_COMPLETED")
    assert (len(done), len(waiting)) == (1, 1)
    await asyncio.sleep(0.4)
    assert not any(task.done() for task in waiting)
    world.elapse(30)
    await asyncio.gather(fourth, fifth)


async def test_a_lower_rate_counts_what_a_higher_one_let_in(world: World) -> None:
    for _ in range(5):
        await world.enters(concurrency=9, per_minute=5)
        world.elapse(10)
    waiting = asyncio.create_task(world.enters(concurrency=9, per_minute=2))
    world.elapse(20)  # now they were 70, 60, 50, 40 and 30 seconds ago
    await asyncio.sleep(0.4)
    assert not waiting.done(), "three are still within the minute"
    world.elapse(21)
    await waiting


async def test_a_pause_holds_everybody_and_is_never_shortened(world: World) -> None:
    await world.accounts.pause("a", 40)
    await world.accounts.pause("a", 5)
    for odd in (0.0, -1.0, float("inf"), float("nan")):
        await world.accounts.pause("a", odd)
    waiting = asyncio.create_task(world.enters())
    await world.enters("b")
    world.elapse(20)
    await asyncio.sleep(0.7)
    assert not waiting.done()
    world.elapse(25)
    await waiting


# Engines that keep failing


async def test_three_failures_in_a_row_make_an_engine_rest(world: World) -> None:
    for _ in range(2):
        await world.accounts.failed("e")
        assert await world.accounts.resting("e") == 0
    await world.accounts.failed("e")
    assert 0 < await world.accounts.resting("e") <= 60
    assert await world.accounts.resting("other") == 0


async def test_an_answer_in_between_forgets_the_failures(world: World) -> None:
    for _ in range(2):
        await world.accounts.failed("e")
        await world.accounts.failed("e")
        await world.accounts.worked("e")
    assert await world.accounts.resting("e") == 0


async def test_failures_far_apart_are_no_row(world: World) -> None:
    for _ in range(5):
        await world.accounts.failed("e")
        world.elapse(160)
    assert await world.accounts.resting("e") == 0


async def test_after_the_rest_exactly_one_tries(world: World) -> None:
    await world.trip()
    world.elapse(61)
    answers = await asyncio.gather(*(world.accounts.resting("e") for _ in range(20)))
    assert sum(answer == 0 for answer in answers) == 1
    assert max(answers) <= 60
    await world.accounts.worked("e")
    assert [await world.accounts.resting("e") for _ in range(3)] == [0, 0, 0]


async def test_each_probe_that_fails_doubles_the_rest_up_to_a_quarter_of_an_hour(world: World) -> None:
    await world.trip()
    rests = []
    for _ in range(6):
        rest = await world.accounts.resting("e")
        rests.append(round(rest, -1))
        world.elapse(rest + 0.1)
        assert await world.accounts.resting("e") == 0
        await world.accounts.failed("e")
    assert rests == [60, 120, 240, 480, 900, 900]
    world.elapse(901)
    assert await world.accounts.resting("e") == 0
    await world.accounts.worked("e")
    await world.trip()
    assert await world.accounts.resting("e") <= 60, "who recovered begins anew"


async def test_failures_of_work_begun_before_do_not_lengthen_the_rest(world: World) -> None:
    await world.trip()
    await world.trip()
    assert await world.accounts.resting("e") <= 60


async def test_a_probe_that_nobody_hears_of_is_followed_by_another(world: World) -> None:
    await world.trip()
    world.elapse(61)
    assert await world.accounts.resting("e") == 0
    world.elapse(500)
    assert await world.accounts.resting("e") > 0
    world.elapse(101)
    assert await world.accounts.resting("e") == 0


async def test_a_probe_that_decided_nothing_is_handed_on_to_one(world: World) -> None:
    await world.trip()
    world.elapse(61)
    for _ in range(3):
        assert await world.accounts.resting("e") == 0
        assert await world.accounts.resting("e") > 0
        await world.accounts.undecided("e")
    answers = await asyncio.gather(*(world.accounts.resting("e") for _ in range(20)))
    assert sum(answer == 0 for answer in answers) == 1
    await world.accounts.failed("e")
    assert 60 < await world.accounts.resting("e") <= 120, "who tries next counts as before"


async def test_undecided_changes_nothing_for_engines_at_rest_or_in_use(world: World) -> None:
    await world.accounts.undecided("e")
    await world.accounts.failed("e")
    await world.accounts.undecided("e")
    await world.accounts.failed("e")
    assert await world.accounts.resting("e") == 0
    await world.accounts.failed("e")
    await world.accounts.undecided("e")
    assert 0 < await world.accounts.resting("e") <= 60


# Money


async def test_without_a_budget_costs_are_booked(world: World) -> None:
    receipt = await world.accounts.reserve("t", "openai", WHISPER, HOUR)
    assert await world.accounts.costs() == []
    await world.accounts.settle(receipt, HOUR / 2)
    month = world.accounts.month()
    assert await world.accounts.costs(None) == [
        Cost(
            month=month,
            tenant="t",
            engine="openai",
            price=WHISPER,
            requests=1,
            seconds=HOUR / 2,
            dollars=0.18,
        )
    ]
    assert await world.accounts.costs("2020-01") == []


async def test_a_receipt_is_booked_once(world: World) -> None:
    receipt = await world.accounts.reserve("t", "openai", WHISPER, HOUR)
    await asyncio.gather(*(world.accounts.settle(receipt, HOUR) for _ in range(5)))
    await world.accounts.settle(receipt, 2 * HOUR)
    (cost,) = await world.accounts.costs()
    assert (cost.requests, cost.seconds, cost.dollars) == (1, HOUR, 0.36)
    assert await world.accounts.reserved() == 0


async def test_costs_are_kept_apart_by_tenant_engine_and_price(world: World) -> None:
    orders = [
        ('t "1" x', "openai", WHISPER),
        ('t "1" x', "openai", "openai/gpt-transcribe"),
        ('t "1" x', "replicate", UNPRICED),
        ("zoë: 2", "openai", WHISPER),
    ]
    for _ in range(2):
        for order in orders:
            await world.accounts.settle(await world.accounts.reserve(*order, 60), 30)
    found = await world.accounts.costs()
    assert {(c.tenant, c.engine, c.price): (c.requests, c.seconds, c.dollars) for c in found} == {
        orders[0]: (2, 60, 0.006),
        orders[1]: (2, 60, 0.0045),
        orders[2]: (2, 60, None),
        orders[3]: (2, 60, 0.006),
    }


async def test_a_budget_is_never_overspent(world: World) -> None:
    world.open(budget=1.0)  # two hours cost 0.72
    results = await asyncio.gather(
        *(world.accounts.reserve(f"t{n}", "openai", WHISPER, HOUR / 4) for n in range(30)),
        return_exceptions=True,
    )
    receipts = [result for result in results if isinstance(result, str)]
    assert len(receipts) == 11, "a quarter of an hour costs 9 cents"
    assert all(isinstance(result, Rejected) for result in results if not isinstance(result, str))
    assert await world.accounts.reserved() == pytest.approx(0.99)
    for receipt in receipts:
        await world.accounts.settle(receipt, HOUR / 4)
    assert await world.accounts.reserved() == 0
    with pytest.raises(Rejected):
        await world.accounts.reserve("t", "openai", WHISPER, HOUR / 4)
    await world.accounts.reserve("t", "openai", WHISPER, 60)  # 0.6 cents fit


@pytest.mark.parametrize("seed", range(3))
async def test_reserved_and_spent_stay_within_the_budget_in_any_order(world: World, seed: int) -> None:
    chance = random.Random(seed)
    world.open(budget=2.0, tenant_budget=0.8)
    under_way: list[tuple[str, float]] = []
    for _ in range(120):
        if chance.random() < 0.5 or not under_way:
            seconds = chance.uniform(1, HOUR)
            try:
                receipt = await world.accounts.reserve(f"t{chance.randint(1, 4)}", "e", WHISPER, seconds)
            except Rejected:
                continue
            under_way.append((receipt, seconds))
        else:
            receipt, seconds = under_way.pop(chance.randrange(len(under_way)))
            await world.accounts.settle(receipt, chance.choice([0, seconds / 2, seconds]))
        costs = await world.accounts.costs()
        spent = sum(cost.dollars or 0 for cost in costs)
        assert spent + await world.accounts.reserved() <= 2.0 + 1e-9
        assert max([cost.dollars or 0 for cost in costs], default=0) <= 0.8 + 1e-9
    for receipt, _ in under_way:
        await world.accounts.settle(receipt, 0)
    assert await world.accounts.reserved() == 0


async def test_what_was_not_sent_is_free_again(world: World) -> None:
    world.open(budget=0.4)
    for sent in (0.0, 1.0, 0.0):
        receipt = await world.accounts.reserve("t", "openai", WHISPER, HOUR)
        with pytest.raises(Rejected):
            await world.accounts.reserve("t", "openai", WHISPER, HOUR)
        await world.accounts.settle(receipt, sent)
    (cost,) = await world.accounts.costs()
    assert (cost.requests, cost.seconds) == (1, 1)


async def test_each_workspace_has_its_own_budget(world: World) -> None:
    world.open(tenant_budget=0.4)
    await world.accounts.reserve("t1", "openai", WHISPER, HOUR)
    with pytest.raises(Rejected):
        await world.accounts.reserve("t1", "openai", WHISPER, HOUR)
    await world.accounts.reserve("t2", "openai", WHISPER, HOUR)


async def test_an_unknown_price_is_let_through_until_the_budget_is_used_up(world: World) -> None:
    world.open(budget=0.36)
    await world.accounts.settle(await world.accounts.reserve("t", "replicate", UNPRICED, HOUR), HOUR)
    await world.accounts.settle(await world.accounts.reserve("t", "openai", WHISPER, HOUR), HOUR)
    with pytest.raises(Rejected):
        await world.accounts.reserve("t", "replicate", UNPRICED, 1)


async def test_a_budget_of_nothing_allows_nothing(world: World) -> None:
    world.open(budget=0.0)
    for price in (WHISPER, UNPRICED):
        with pytest.raises(Rejected, match="the whole monthly budget"):
            await world.accounts.reserve("t", "e", price, 1)


async def test_what_dead_workers_set_aside_comes_free_and_can_still_be_booked(world: World) -> None:
    world.open(budget=0.4)
    lost = await world.accounts.reserve("t", "openai", WHISPER, HOUR)
    world.elapse(86_401)
    world_month = world.accounts.month()
    fresh = await world.accounts.reserve("t", "openai", WHISPER, HOUR)
    await world.accounts.settle(lost, HOUR)
    assert await world.accounts.reserved(world_month) == pytest.approx(0.36), "only the fresh one holds"
    await world.accounts.settle(fresh, 0)
    assert await world.accounts.reserved(world_month) == 0


async def test_a_new_month_has_a_new_budget(world: World) -> None:
    world.open(budget=0.4)
    await world.accounts.settle(await world.accounts.reserve("t", "openai", WHISPER, HOUR), HOUR)
    old = world.accounts.month()
    world.elapse(31 * 86_400)
    assert world.accounts.month() > old
    await world.accounts.settle(await world.accounts.reserve("t", "openai", WHISPER, HOUR), HOUR)
    for month in (old, world.accounts.month()):
        assert [cost.dollars for cost in await world.accounts.costs(month)] == [0.36]


async def test_the_sharer_is_told_what_to_do_and_the_operator_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.open(budget=0.4)
    await world.accounts.reserve("t", "openai", WHISPER, HOUR)
    with caplog.at_level(logging.WARNING, "core"):
        for _ in range(3):
            with pytest.raises(Rejected) as refused:
                await world.accounts.reserve("t", "openai", WHISPER, HOUR)
    said = refused.value.user_message
    assert "ask whoever runs this service" in said
    assert "Share it again from 1 " in said
    assert "0.4" not in said, "what the operator pays is not for everybody"
    (line,) = [record.getMessage() for record in caplog.records]
    assert "ERNI_MONTHLY_BUDGET" in line


async def test_a_cancelled_reservation_holds_nothing(world: World) -> None:
    world.open(budget=10)
    for pauses in range(8):
        task = asyncio.create_task(world.accounts.reserve("t", "openai", WHISPER, HOUR))
        for _ in range(pauses):
            await asyncio.sleep(0)
        task.cancel()
        found = (await asyncio.gather(task, return_exceptions=True))[0]
        if isinstance(found, str):
            await world.accounts.settle(found, 0)
    async with asyncio.timeout(10):
        while await world.accounts.reserved() != 0:
            await asyncio.sleep(0.01)
