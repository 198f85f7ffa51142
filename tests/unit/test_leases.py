"""One process at a time does something, it keeps its lease while that goes on, and is interrupted where it
lost it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from core import leases
from core.errors import Transient
from core.leases import LEASE_SECONDS, Lost, alone, holding, turn
from core.ledger import Ledger
from core.ports import Store
from core.store import RedisStore
from core.tasks import end
from core.testing import MemoryStore
from core.vault import Vault
from tests.quick_store import quick_store

SHORT = 0.2  # for what is to be lost
LONG = 1.0  # for what is to be kept on a busy machine
AT = ("space", "key")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with quick_store() as found:
        yield found


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisStore]:
    redis = Redis.from_url(url, socket_timeout=None)  # as `core.state` does
    vault = Vault()
    try:
        yield RedisStore(redis, vault, Ledger(redis, vault))
    finally:
        await redis.aclose()


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, url: str) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    async with opened(url) as found:
        await found._redis.flushall()
        yield found


class Away(MemoryStore):
    """A store that can be away: it refuses, or does not answer."""

    def __init__(self, *, silent: bool = False) -> None:
        super().__init__()
        self.silent = silent
        self.is_away = True

    async def acquire(self, space: str, key: str, seconds: float) -> str | None:
        await self._answer()
        return await super().acquire(space, key, seconds)

    async def renew(self, space: str, key: str, lease: str, seconds: float) -> bool:
        await self._answer()
        return await super().renew(space, key, lease, seconds)

    async def release(self, space: str, key: str, lease: str) -> None:
        await self._answer()
        await super().release(space, key, lease)

    async def _answer(self) -> None:
        if self.is_away:
            if self.silent:
                await asyncio.Event().wait()
            raise RedisConnectionError


class Breaking(Away):
    """Away as soon as there is a lease."""

    def __init__(self, *, silent: bool = False) -> None:
        super().__init__(silent=silent)
        self.is_away = False

    async def acquire(self, space: str, key: str, seconds: float) -> str | None:
        lease = await super().acquire(space, key, seconds)
        self.is_away = True
        return lease


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.005)


@contextlib.contextmanager
def losing() -> Iterator[None]:
    """The body loses its lease, and nothing is left of that."""
    with pytest.raises(Lost) as raised:
        yield
    assert isinstance(raised.value, Transient)
    assert is_untouched()


async def steal(store: Store) -> str:
    """Somebody else has the lease from now on."""
    if isinstance(store, MemoryStore):
        store._leases.clear()
    elif isinstance(store, RedisStore):
        await store._redis.flushall()
    lease = await store.acquire(*AT, 60)
    assert lease is not None
    return lease


def is_untouched() -> bool:
    """Nothing of a cancellation is left, and nothing of a lease."""
    task = asyncio.current_task()
    assert task is not None
    left = [each for each in asyncio.all_tasks() if each.get_name().startswith("lease")]
    return not task.cancelling() and not left


# holding


async def test_it_is_kept_while_the_work_goes_on_and_is_free_afterwards(store: Store) -> None:
    async with holding(store, *AT, seconds=LONG) as is_mine:
        assert is_mine
        for _ in range(15):
            await asyncio.sleep(LONG / 10)
            async with holding(store, *AT) as is_theirs:
                assert not is_theirs
            async with holding(store, "space", "other") as is_another:
                assert is_another
    async with holding(store, *AT) as is_mine:
        assert is_mine
    assert is_untouched()


async def test_what_the_work_raises_comes_out_and_the_lease_is_free(store: Store) -> None:
    with pytest.raises(ValueError, match="odd"):
        async with holding(store, *AT):
            raise ValueError("odd")
    assert await store.acquire(*AT, 60) is not None
    assert is_untouched()


async def test_work_is_interrupted_where_the_lease_is_somebody_elses(store: Store) -> None:
    is_done = False
    with losing():
        async with holding(store, *AT, seconds=SHORT):
            theirs = await steal(store)
            await asyncio.sleep(30)
            is_done = True
    assert not is_done
    assert await store.renew(*AT, theirs, 60)  # it was left alone


@pytest.mark.parametrize("silent", [False, True])
async def test_work_is_interrupted_where_the_store_is_away_for_too_long(*, silent: bool) -> None:
    began = time.monotonic()
    with losing():
        async with holding(Breaking(silent=silent), *AT, seconds=SHORT):
            await asyncio.sleep(30)
    assert time.monotonic() - began >= 0.9 * SHORT
    assert is_untouched()


@pytest.mark.parametrize("silent", [False, True])
async def test_a_store_that_is_away_for_a_moment_costs_nothing(*, silent: bool) -> None:
    store = Breaking(silent=silent)
    async with holding(store, *AT, seconds=2 * LONG):
        await asyncio.sleep(0.8 * LONG)  # a try to renew it has failed, or is about to
        store.is_away = False
        await asyncio.sleep(1.6 * LONG)
    assert is_untouched()


async def test_a_store_that_is_away_afterwards_holds_nothing_up() -> None:
    store = Away(silent=True)
    store.is_away = False
    async with asyncio.timeout(10):
        async with holding(store, *AT, seconds=SHORT):
            store.is_away = True
    with pytest.raises(Transient, match="does not answer"):
        async with holding(store, *AT, seconds=SHORT):
            raise AssertionError("it began")


async def test_who_is_cancelled_is_cancelled_and_the_lease_is_free(store: Store) -> None:
    inside = asyncio.Event()

    async def work() -> None:
        async with holding(store, *AT):
            inside.set()
            await asyncio.sleep(30)

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.acquire(*AT, 60) is not None
    assert is_untouched()


async def test_who_is_cancelled_while_the_lease_is_lost_is_cancelled() -> None:
    store, lost, go = MemoryStore(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        async with holding(store, *AT, seconds=SHORT):
            await steal(store)
            try:
                await asyncio.sleep(30)
            finally:
                lost.set()
                await go.wait()

    task = asyncio.create_task(work())
    await lost.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_of_something_else_is_not_taken_for_ours() -> None:
    other: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    other.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with holding(MemoryStore(), *AT):
            await other


async def test_work_that_swallows_the_interruption_is_interrupted_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leases, "_AGAIN_SECONDS", 0.01)
    store, swallowed = MemoryStore(), 0
    with losing():
        async with holding(store, *AT, seconds=SHORT):
            await steal(store)
            while swallowed < 3:
                try:
                    await asyncio.sleep(30)
                except asyncio.CancelledError:
                    swallowed += 1
            await asyncio.sleep(30)
    assert swallowed == 3
    assert is_untouched()


async def test_time_limits_around_and_inside_stay_what_they_are() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), holding(MemoryStore(), *AT):
            await asyncio.sleep(30)
    with pytest.raises(TimeoutError):
        async with holding(MemoryStore(), *AT), asyncio.timeout(0.01):
            await asyncio.sleep(30)
    store = MemoryStore()
    with losing():
        async with asyncio.timeout(20), holding(store, *AT, seconds=SHORT), asyncio.timeout(20):
            await steal(store)
            await asyncio.sleep(30)
    assert is_untouched()


@pytest.mark.parametrize("which", ["inner", "outer", "both"])
async def test_one_inside_another(which: str) -> None:
    store, reached = MemoryStore(), "nothing"

    async def inside() -> None:
        async with holding(store, "space", "inner", seconds=SHORT):
            for name in ("inner", "outer") if which == "both" else (which,):
                del store._leases["space", name]
            await asyncio.sleep(30)

    with losing():
        async with holding(store, "space", "outer", seconds=SHORT):
            try:
                await inside()
            except Lost:
                reached = "inner"
                raise
            except asyncio.CancelledError:
                reached = "outer"
                raise
    assert reached in ({"inner", "outer"} if which == "both" else {which})


async def test_work_that_ends_without_noticing_that_it_stood_still_is_told() -> None:
    store = MemoryStore()
    with losing():
        async with holding(store, *AT, seconds=SHORT):
            time.sleep(2 * SHORT)  # noqa: ASYNC251  (what a frozen process does)
            assert await store.acquire(*AT, 60) is not None
    assert await store.acquire(*AT, 60) is None


async def test_work_that_fails_after_it_stood_still_says_why() -> None:
    store = MemoryStore()

    async def work() -> None:
        async with holding(store, *AT, seconds=SHORT):
            time.sleep(2 * SHORT)  # noqa: ASYNC251
            raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        await work()
    assert is_untouched()


async def test_a_lease_that_was_had_before_the_process_stood_still_is_worth_nothing() -> None:
    class Frozen(MemoryStore):
        async def acquire(self, space: str, key: str, seconds: float) -> str | None:
            lease = await super().acquire(space, key, seconds)
            time.sleep(2 * seconds)  # noqa: ASYNC251
            return lease

    async with holding(Frozen(), *AT, seconds=SHORT) as is_mine:
        assert not is_mine


# turn


async def test_turns_follow_one_another(store: Store) -> None:
    inside = finished = 0

    async def work() -> None:
        nonlocal inside, finished
        async with turn(store, *AT):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.01)
            inside -= 1
            finished += 1

    await asyncio.gather(*(work() for _ in range(5)))
    assert finished == 5


async def test_a_turn_is_kept_longer_than_its_lease(store: Store) -> None:
    async with turn(store, *AT, seconds=LONG):
        with pytest.raises(Transient, match="Another process") as raised:
            async with turn(store, *AT, patience=1.5 * LONG):
                raise AssertionError("it began")
        assert raised.value.retry_after
        assert not isinstance(raised.value, Lost)


async def test_a_turn_that_is_lost_is_interrupted(store: Store) -> None:
    with losing():
        async with turn(store, *AT, seconds=SHORT):
            await steal(store)
            await asyncio.sleep(30)


# alone


async def test_one_of_many_works_and_the_next_one_follows_when_it_ends(store: Store) -> None:
    working: list[int] = []

    async def work(number: int) -> None:
        working.append(number)
        await asyncio.Event().wait()

    async def begun(count: int) -> None:
        async def enough() -> bool:
            return len(working) >= count

        await until(enough)

    tasks = [
        asyncio.create_task(alone(store, *AT, lambda number=number: work(number), seconds=LONG))  # type: ignore[misc]
        for number in range(3)
    ]
    await begun(1)
    await asyncio.sleep(1.5 * LONG)  # long enough for a lease that nobody renews
    assert len(working) == 1
    await end(tasks[working[0]])
    await begun(2)
    assert working[0] != working[1]
    await end(*tasks)
    assert is_untouched()


async def test_what_is_done_alone_is_done_again_when_the_lease_was_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, begun, ended = MemoryStore(), 0, 0

    async def work() -> None:
        nonlocal begun, ended
        begun += 1
        try:
            if begun == 1:
                await steal(store)
                await asyncio.sleep(30)
        finally:
            ended += 1

    task = asyncio.create_task(alone(store, *AT, work, seconds=SHORT))

    async def lost() -> bool:
        return ended == 1

    await until(lost)
    assert begun == 1
    store._leases.clear()  # somebody else is done
    await task
    assert begun == ended == 2
    assert "a lease was lost" in caplog.text


async def test_what_is_done_alone_returns_and_raises_as_it_does(store: Store) -> None:
    async def good() -> None:
        await asyncio.sleep(0)

    async def bad(error: Exception) -> None:
        raise error

    await alone(store, *AT, good)
    for error in (ValueError("odd"), Lost("its own"), RedisConnectionError("its own")):
        with pytest.raises(type(error)) as raised:
            await alone(store, *AT, lambda error=error: bad(error))  # type: ignore[misc]
        assert raised.value is error
    assert await store.acquire(*AT, 60) is not None


@pytest.mark.parametrize("silent", [False, True])
async def test_what_is_done_alone_waits_for_a_store_that_is_away(
    caplog: pytest.LogCaptureFixture, *, silent: bool
) -> None:
    caplog.set_level(logging.WARNING)
    store, is_done = Away(silent=silent), False

    async def work() -> None:
        nonlocal is_done
        is_done = True

    task = asyncio.create_task(alone(store, *AT, work, seconds=SHORT))

    async def told() -> bool:
        return "a lease can't be had" in caplog.text

    await until(told)
    assert not is_done
    store.is_away = False
    await task
    assert is_done


# Other processes


@contextlib.asynccontextmanager
async def other_process(url: str, tmp_path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """One that has the lease and counts in the store, and says how that ended."""
    program = f"""
import asyncio
from redis.asyncio import Redis
from core.leases import Lost, turn
from core.ledger import Ledger
from core.store import RedisStore
from core.vault import Vault

async def main():
    redis = Redis.from_url({url!r}, socket_timeout=None)
    store = RedisStore(redis, Vault(), Ledger(redis, Vault()))
    try:
        async with turn(store, *{AT!r}, seconds={LONG}):
            while True:
                await redis.incr("steps")
                await asyncio.sleep(0.001)
    except Lost:
        print("lost", flush=True)
    await redis.aclose()

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=Path(leases.__file__).parents[1]
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def steps(store: RedisStore) -> int:
    return int(await store._redis.get("steps") or 0)


async def test_a_process_that_is_killed_frees_its_lease_within_seconds(url: str, tmp_path: Path) -> None:
    async with opened(url) as store, other_process(url, tmp_path) as process:
        await store._redis.flushall()
        await until(lambda: steps(store))
        await asyncio.sleep(1.5 * LONG)  # it has renewed it by now
        assert await store.acquire(*AT, 60) is None
        process.kill()
        await process.wait()
        killed = time.monotonic()
        async with turn(store, *AT, patience=20):
            assert time.monotonic() - killed < LONG + 5  # of which 5 for a busy machine
    assert 10 <= LEASE_SECONDS <= 20


async def test_a_process_that_was_frozen_does_not_go_on(url: str, tmp_path: Path) -> None:
    async with opened(url) as store, other_process(url, tmp_path) as process:
        await store._redis.flushall()
        await until(lambda: steps(store))
        process.send_signal(signal.SIGSTOP)
        async with turn(store, *AT, patience=20):
            frozen = await steps(store)
            process.send_signal(signal.SIGCONT)
            assert process.stdout is not None
            async with asyncio.timeout(20):
                assert await process.stdout.readline() == b"lost\n"
            # At most the step that it was about to take: what is on its way can't be called back.
            assert await steps(store) <= frozen + 1
