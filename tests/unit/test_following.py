"""When a folder in somebody's cloud is asked for changes, however it is nudged."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import Transient
from core.fake_remote import FakePlace
from core.following import Checkpoints, Rhythm, Timetable, cursor_of
from core.neighbours import Neighbours
from core.remote import Page, RemoteFile
from core.tasks import end
from tests.contracts.test_watcher_contract import CloudDriver, never
from tests.contracts.watcher_scenarios import Options

RHYTHM = Rhythm(changes=30.0, listing=1000.0)


def rested(now: float = 100.0) -> Timetable:
    """Everything is known up to now."""
    times = Timetable(RHYTHM)
    times.list_done(now, now, 0.0)
    times.begin_asking()
    times.asked(now)
    return times


def test_without_nudges_it_is_asked_now_and_then() -> None:
    times = rested()
    assert not times.must_ask(129.9)
    assert times.next() == 130
    assert times.must_ask(130)


def test_a_nudge_leads_to_a_question() -> None:
    times = rested()
    assert times.nudge()
    assert times.must_ask(101)


def test_a_nudge_while_it_is_asked_leads_to_another_question() -> None:
    times = rested()
    times.nudge()
    times.begin_asking()
    assert times.nudge()
    times.asked(102)
    assert times.must_ask(103)
    assert times.next() == 103


def test_a_question_that_broke_off_is_still_to_be_asked() -> None:
    times = rested()
    times.nudge()
    times.begin_asking()
    assert times.must_ask(101)
    times.begin_asking()
    times.asked(101)
    assert not times.must_ask(102)


def test_a_storm_of_nudges_leads_to_a_question_a_second() -> None:
    times = rested(0.0)
    asked = woken = 0
    for tick in range(5000):  # for ten seconds, 500 a second
        now = tick / 500
        woken += times.nudge()
        if times.must_ask(now):
            times.begin_asking()
            times.asked(now)
            asked += 1
    assert asked == 9
    assert woken <= asked + 1


def test_jumps_of_the_clock_lead_to_a_listing_and_no_more() -> None:
    for jump in (-5000.0, 5000.0):
        times = rested()
        assert not times.must_list(200, 999.0)
        assert times.must_list(200, jump)
        times.list_done(200, 210, jump)
        assert not times.must_list(220, jump + 10)


def test_what_marks_files_as_arriving_is_stored_with_the_cursor() -> None:
    def mark(number: int) -> RemoteFile:
        name = f"{number}.mp3.part"
        return RemoteFile(
            id=f"id{number}", name=name, parent="root", size=1, modified=1, revision="1", content="a:1"
        )

    before, after, points = Neighbours(), Neighbours(), Checkpoints()
    for number in range(5000):
        before.put(mark(number))
    before.discard("id0")
    points.add("cursor", 7.0, [], before.marks())
    stored = points.passed(lambda _: False)
    assert stored is not None
    assert len(stored) < 100_000
    cursor, listed, marks = cursor_of(stored)
    assert (cursor, listed) == ("cursor", 7.0)
    after.recall(marks)
    assert not after.arriving("0.mp3")
    assert after.arriving("1.mp3")
    after.discard("id1")
    assert not after.arriving("1.mp3")
    after.put(replace(mark(2), name="b.mp3.part"))
    assert not after.arriving("2.mp3")
    assert after.arriving("b.mp3")


def test_a_cursor_that_an_earlier_version_stored_is_read() -> None:
    assert cursor_of('["cursor", null]') == ("cursor", None, {})


async def settled(steps: list[int], count: int) -> None:
    """Until so many looks have been taken, and no more follow."""
    async with asyncio.timeout(20):
        while len(steps) < count:
            await asyncio.sleep(0)
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_storm_reaches_the_platform_as_a_breeze(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = CloudDriver(tmp_path, unique=False)
    await driver.start(Options(), never)
    inbox, steps, calls = driver._watch, list[int](), driver.cloud.calls
    step = inbox.step

    async def counted(submit: object) -> float:
        delay = await step(never)
        steps.append(calls.count("changes"))
        return delay

    monkeypatch.setattr(inbox, "step", counted)
    task = asyncio.create_task(inbox.watch(never))
    try:
        await settled(steps, 1)
        asked = calls.count("changes")
        for _ in range(1000):
            inbox.nudge()
            await asyncio.sleep(0)
        await settled(steps, 2)
        assert calls.count("changes") == asked  # it was asked within this second
        assert len(steps) < 20  # a second later it is looked again, which costs nothing
        driver.clock.now += 2
        inbox._wake.set()  # for the time that passed
        await settled(steps, len(steps) + 1)
        assert calls.count("changes") == asked + 1
    finally:
        await end(task)


async def test_a_nudge_whose_question_failed_is_heeded_at_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = CloudDriver(tmp_path, unique=False)
    await driver.start(Options(), never)
    driver.clock.now += 5
    driver._watch.nudge()
    changes = FakePlace.changes

    async def away(self: FakePlace, cursor: str) -> Page:
        raise Transient("away")

    monkeypatch.setattr(FakePlace, "changes", away)
    with pytest.raises(Transient):
        await driver._watch.step(never)
    monkeypatch.setattr(FakePlace, "changes", changes)
    asked = driver.cloud.calls.count("changes")
    await driver._watch.step(never)
    assert driver.cloud.calls.count("changes") == asked + 1
