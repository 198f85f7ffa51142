"""Letters of a front door: kept before they are acted on, acted on to the end, whoever dies in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from core import mailbox
from core.errors import AuthFailed, Rejected, Transient
from core.mailbox import Mailbox
from core.tasks import end
from core.testing import MemoryStore

SPACE = "letters"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "_SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(mailbox, "_LONGEST_PAUSE", 0.01)


@asynccontextmanager
async def attended(box: Mailbox, handle: Callable[[str], Awaitable[None]]) -> AsyncIterator[None]:
    task = asyncio.create_task(box.run(handle))
    try:
        yield
    finally:
        await end(task)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


class Reader:
    """Acts on letters; raises what is in `failures` first."""

    def __init__(self, *failures: BaseException) -> None:
        self.read: list[str] = []
        self.failures = list(failures)

    async def __call__(self, text: str) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.read.append(text)


async def test_acts_on_each_letter_once_and_throws_it_away() -> None:
    store, reader = MemoryStore(), Reader()
    box = Mailbox(store, SPACE)
    async with attended(box, reader):
        for number in range(50):
            await box.post(str(number), f"letter {number}")
        await until(lambda: len(reader.read) == 50 and not store.spaces[SPACE])
    assert sorted(reader.read) == sorted(f"letter {number}" for number in range(50))


async def test_letters_of_a_process_that_died_are_found_by_another() -> None:
    store, reader = MemoryStore(), Reader()
    await Mailbox(store, SPACE).post("a", "left behind")
    async with attended(Mailbox(store, SPACE), reader):
        await until(lambda: reader.read == ["left behind"])


async def test_a_letter_that_another_process_acts_on_is_left_to_it() -> None:
    store, reader = MemoryStore(), Reader()
    box = Mailbox(store, SPACE)
    lease = await store.acquire(SPACE, "a", 60)
    assert lease is not None
    async with attended(box, reader):
        await box.post("a", "theirs")
        await box.post("b", "ours")
        await until(lambda: "ours" in reader.read)
        assert reader.read == ["ours"]
        await store.release(SPACE, "a", lease)
        await until(lambda: "theirs" in reader.read)


async def test_what_failed_for_now_is_tried_again_and_what_was_refused_is_not() -> None:
    store, reader = MemoryStore(), Reader(Transient("away"), ValueError("odd"), Rejected("no"))
    box = Mailbox(store, SPACE)
    async with attended(box, reader):
        await box.post("a", "one")
        await until(lambda: not store.spaces[SPACE])
        assert reader.read == []  # the third try refused it
        await box.post("b", "two")
        await until(lambda: reader.read == ["two"])


async def test_what_can_not_be_acted_on_for_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "_OLDEST_SECONDS", 0.0)
    store, reader = MemoryStore(), Reader(Transient("away"))
    box = Mailbox(store, SPACE)
    async with attended(box, reader):
        await box.post("a", "one")
        await until(lambda: not store.spaces[SPACE])
    assert reader.read == []


async def test_many_are_acted_on_side_by_side_but_not_all() -> None:
    store, gate = MemoryStore(), asyncio.Event()
    running, most = 0, 0

    async def slow(_text: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1

    box = Mailbox(store, SPACE, at_once=3)
    async with attended(box, slow):
        for number in range(9):
            await box.post(str(number), "x")
        await until(lambda: running == 3)
        gate.set()
        await until(lambda: not store.spaces[SPACE])
    assert most == 3


async def test_cancelling_keeps_what_was_not_done() -> None:
    store, begun = MemoryStore(), asyncio.Event()

    async def stuck(_text: str) -> None:
        begun.set()
        await asyncio.Event().wait()

    box = Mailbox(store, SPACE)
    async with attended(box, stuck):
        await box.post("a", "one")
        await begun.wait()
    assert list(store.spaces[SPACE]) == ["a"]
    reader = Reader()
    async with attended(Mailbox(store, SPACE), reader):  # the lease was given back, so at once
        await until(lambda: reader.read == ["one"])


class AwayStore(MemoryStore):
    away = False

    async def remember(self, space: str, key: str, value: str) -> None:
        if self.away:
            raise ConnectionError
        await super().remember(space, key, value)

    async def memories(self, space: str) -> dict[str, str]:
        if self.away:
            raise ConnectionError
        return dict(await super().memories(space))

    async def forget(self, space: str, key: str) -> None:
        if self.away:
            raise ConnectionError
        await super().forget(space, key)


async def test_an_outage_of_the_store_ends_nothing() -> None:
    store, reader = AwayStore(), Reader()
    box = Mailbox(store, SPACE)
    async with attended(box, reader):
        await box.post("a", "one")
        await until(lambda: reader.read == ["one"])
        store.away = True
        with pytest.raises(ConnectionError):
            await box.post("b", "two")
        await asyncio.sleep(0.1)
        store.away = False
        await box.post("b", "two")
        await until(lambda: "two" in reader.read and not store.spaces[SPACE])


async def test_what_another_process_has_done_is_not_done_again() -> None:
    """It found the letter in the store, and comes to it when the other one has just ended."""

    class Overtaken(MemoryStore):
        async def acquire(self, space: str, key: str, seconds: float) -> str | None:
            await super().forget(space, key)
            return await super().acquire(space, key, seconds)

    store, reader = Overtaken(), Reader()
    box = Mailbox(store, SPACE)
    async with attended(box, reader):
        await box.post("a", "one")
        await until(lambda: not box._letters)
    assert reader.read == []


async def test_what_the_operator_can_mend_is_tried_again() -> None:
    store, reader = MemoryStore(), Reader(AuthFailed("a permission is missing"))
    async with attended(box := Mailbox(store, SPACE), reader):
        await box.post("a", "one")
        await until(lambda: reader.read == ["one"])


async def test_other_processes_wait_as_well_where_a_vendor_asks_for_it() -> None:
    store, reader, other = MemoryStore(), Reader(Transient("slower", retry_after=60)), Reader()
    async with attended(box := Mailbox(store, SPACE), reader):
        await box.post("a", "one")
        await until(lambda: box._letters["a"].tries == 1 and "1]" in store.spaces[SPACE]["a"])
        async with attended(second := Mailbox(store, SPACE), other):
            await until(lambda: "a" in second._letters)
            await asyncio.sleep(0)
            assert second._letters["a"].due > time.time() + 50
    assert other.read == []


async def test_a_letter_may_wait_before_it_is_acted_on() -> None:
    store, reader = MemoryStore(), Reader()
    async with attended(box := Mailbox(store, SPACE), reader):
        await box.post("later", "later", delay=0.2)
        await box.post("now", "now")
        await until(lambda: len(reader.read) == 2)
    assert reader.read == ["now", "later"]


async def test_errors_that_nobody_foresaw_end_a_letter_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "_BLIND_TRIES", 3)
    store, reader = MemoryStore(), Reader(*[ValueError("odd")] * 3)
    async with attended(box := Mailbox(store, SPACE), reader):
        await box.post("a", "one")
        await until(lambda: not store.spaces[SPACE])
    assert reader.read == []
