"""Notices that Google sends when something changes: arranged, renewed, believed only if they prove it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from connectors.gdrive.adapter import GDriveFolders
from connectors.gdrive.place import DrivePlace
from connectors.gdrive.push import PATH, SPACE, Channels
from core.following import Rhythm
from core.model import Recording
from core.tasks import end
from tests.adapters.gdrive_desk import TALK, Desk, Way, desk
from tests.vendors import faults
from tests.vendors.gdrive import backend_error
from tests.vendors.gdrive_push import Channel, Notice

PUBLIC = "https://bot.example"
DAY = 86_400.0


@dataclass
class Line:
    """Channels and where Google's notices arrive, without a watcher behind them. `now` is our clock."""

    at: Desk
    channels: Channels
    nudged: list[str]
    statuses: list[int] = field(default_factory=list)
    now: float = 0.0

    async def keep(self, *places: DrivePlace) -> None:
        await self.channels.keep([("account", place) for place in places])
        await self.at.server.push.delivered()

    @property
    def live(self) -> list[Channel]:
        return self.at.server.push.live()

    async def advance(self, seconds: float) -> None:
        self.now += seconds
        self.at.server.advance(seconds)
        self.at.server.expire_tokens()


@asynccontextmanager
async def line(tmp_path: Path, way: Way = "person") -> AsyncIterator[Line]:
    async with desk(tmp_path, way) as at:
        at.server.freeze()
        start = at.server.drive.clock()
        nudged: list[str] = []
        channels = Channels(at.store, PUBLIC, nudged.append, clock=lambda: start + made.now)
        made = Line(at, channels, nudged)

        async def receive(request: web.Request) -> web.Response:
            answer = await channels.receive(request)
            made.statuses.append(answer.status)
            return answer

        app = web.Application()
        app.router.add_post(PATH, receive)
        async with faults.serving(app) as origin:
            at.server.push.hosts[PUBLIC] = origin
            yield made


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Line]:
    async with line(tmp_path) as made:
        yield made


async def test_a_change_is_a_nudge_and_the_beginning_is_not(at: Line) -> None:
    await at.keep(at.at.place())
    [channel] = at.live
    assert channel.address == PUBLIC + PATH
    assert channel.until > at.at.server.drive.clock() + 6 * DAY
    at.nudged.clear()
    at.at.server.upload(at.at.inbox, "a.mp3", TALK)
    await at.at.server.push.delivered()
    assert at.nudged == ["account"]
    assert at.statuses == [204, 204]


@pytest.mark.parametrize("way", ["shared drive"])
async def test_a_shared_drive_has_a_channel_of_its_own(tmp_path: Path, way: Way) -> None:
    async with line(tmp_path, way) as at:
        mine = at.at.server.folder(at.at.anna, "Mine")
        at.at.server.share(mine, at.at.account, "writer")
        places = at.at.place(), at.at.place(), at.at.place(mine)
        await at.keep(*places)
        await at.keep(*places)
        assert {one.log for one in at.live} == {at.at.home.log, at.at.account.log}
        assert len(at.live) == 2


async def test_what_does_not_prove_itself_is_refused(at: Line) -> None:
    await at.keep(at.at.place())
    [channel] = at.live
    at.nudged.clear()
    notice = Notice(channel=channel, state="change", number=7)
    push = at.at.server.push
    for forged in (
        {"X_Goog_Channel_Token": "forged"},
        {"X_Goog_Channel_Token": ""},
        {"X_Goog_Channel_ID": "unknown"},
        {"X_Goog_Channel_ID": "x" * 5000},
        {"X_Goog_Channel_ID": "", "X_Goog_Channel_Token": ""},
        {"X_Goog_Resource_ID": "another"},
        {"X_Goog_Resource_ID": ""},
    ):
        assert await push.post(notice, **forged) == 404
    assert at.nudged == []
    assert await push.post(notice) == await push.post(notice) == 204
    assert at.nudged == ["account"] * 2
    stored = (await at.at.store.memories(SPACE))[channel.id]
    assert channel.token is not None
    assert channel.token not in stored


async def test_a_channel_that_has_ended_is_not_heard(at: Line) -> None:
    await at.keep(at.at.place())
    [channel] = at.live
    at.nudged.clear()
    await at.advance(8 * DAY)
    assert await at.at.server.push.post(Notice(channel=channel, state="change", number=7)) == 404
    assert at.nudged == []


async def test_channels_are_renewed_before_they_end_without_a_gap(at: Line) -> None:
    place = at.at.place()
    await at.keep(place)
    [first] = at.live
    await at.advance(5 * DAY)
    await at.keep(place)
    assert at.live == [first]
    await at.advance(1.5 * DAY)
    await at.keep(place)
    [second] = at.live
    assert second is not first
    assert first.stopped
    assert set(await at.at.store.memories(SPACE)) == {second.id}


async def test_one_that_ended_while_it_was_off_is_made_anew(at: Line) -> None:
    place = at.at.place()
    await at.keep(place)
    await at.advance(30 * DAY)
    at.nudged.clear()
    await at.keep(place)
    assert len(at.live) == 1
    assert at.nudged == ["account"]  # what changed meanwhile nobody told
    assert len(await at.at.store.memories(SPACE)) == 1


async def test_another_start_goes_on_with_the_channels_that_are_there(at: Line) -> None:
    await at.keep(at.at.place())
    again = Channels(at.at.store, PUBLIC, at.nudged.append, clock=at.at.server.drive.clock)
    await again.keep([("account", at.at.place())])
    assert len(at.at.server.push.channels) == 1
    elsewhere = Channels(
        at.at.store, "https://other.example/x/", at.nudged.append, clock=at.at.server.drive.clock
    )
    await elsewhere.keep([("account", at.at.place())])
    assert [one.address for one in at.live] == ["https://other.example/x" + PATH]


async def test_what_is_not_watched_any_more_is_stopped(at: Line) -> None:
    place = at.at.place()
    await at.keep(place)
    mine = at.at.server.folder(at.at.server.shared_drive("Team", {at.at.anna: "organizer"}), "Other")
    await at.keep(at.at.place(mine))
    assert [one.log is at.at.anna.log for one in at.live] == [False]
    await at.channels.keep([])
    assert await at.at.store.memories(SPACE) == {}


async def test_an_answer_that_is_lost_leaves_no_channel_that_counts(at: Line) -> None:
    place = at.at.place()
    at.at.server.fail("changes.watch", "lost")
    await at.keep(place)
    assert await at.at.store.memories(SPACE) == {}
    assert set(at.statuses) <= {204, 404}
    await at.keep(place)  # it rests
    assert len(at.at.server.called("changes.watch")) == 1
    await at.advance(601)
    await at.keep(place)
    assert len(await at.at.store.memories(SPACE)) == 1


@pytest.mark.parametrize("trouble", [backend_error(), "cut"], ids=str)
async def test_trouble_is_tried_again_later(at: Line, trouble: Any) -> None:
    place = at.at.place()
    await at.keep(place)
    [first] = at.live
    await at.advance(6.5 * DAY)
    at.at.server.fail("changes.watch", trouble)
    await at.keep(place)
    assert at.live == [first]
    at.at.server.upload(at.at.inbox, "a.mp3", TALK)
    await at.at.server.push.delivered()
    assert at.statuses[-1] == 204
    await at.advance(601)
    await at.keep(place)
    assert at.live != [first]


async def test_an_address_that_google_does_not_take_is_told_once(
    at: Line, caplog: pytest.LogCaptureFixture
) -> None:
    at.at.server.push.unverified.add(PUBLIC)
    for _ in range(3):
        await at.keep(at.at.place())
        await at.advance(601)
    assert [
        record.message.count("ERNI_PUBLIC_URL") for record in caplog.records if record.levelname == "WARNING"
    ] == [1]
    assert at.live == []


async def test_a_store_that_is_away_lets_google_call_again(at: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    await at.keep(at.at.place())

    async def away(*_: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(at.at.store, "recall", away)
    assert await at.at.server.push.post(Notice(channel=at.live[0], state="change", number=9)) == 503


# With the watcher behind it


@asynccontextmanager
async def service(
    tmp_path: Path, submitted: list[Recording], **settings: Any
) -> AsyncIterator[tuple[Desk, GDriveFolders]]:
    """It asks for changes once in a long time, unless it is nudged."""
    rhythm = Rhythm(changes=3600, settle=0.01, grace=0.1)
    async with desk(tmp_path, rhythm=rhythm, public_url=PUBLIC, settings=settings) as at:
        await at.watch()
        adapter = at.open()

        async def submit(recording: Recording) -> str:
            submitted.append(recording)
            return "job"

        app = web.Application()
        app.add_routes(adapter.routes())
        async with faults.serving(app) as origin:
            at.server.push.hosts[PUBLIC] = origin
            task = asyncio.create_task(adapter.run(submit))
            try:
                yield at, adapter
            finally:
                await end(task)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_with_push_work_begins_at_once_and_without_it_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.gdrive.push._ROUND", 0.05)
    submitted: list[Recording] = []
    async with service(tmp_path, submitted) as (at, _):
        await until(lambda: bool(at.server.push.live()))
        await at.server.push.delivered()
        at.server.upload(at.inbox, "a.mp3", TALK)
        await until(lambda: len(submitted) == 1)
        at.server.push.held = True
        at.server.upload(at.inbox, "b.mp3", TALK * 2)
        at.server.upload(at.inbox, "c.mp3", TALK * 3)
        at.server.push.release(lambda notices: [*notices[::-1], *notices])  # doubled and in another order
        await until(lambda: len(submitted) == 3)
        stored = [json.loads(text) for text in (await at.store.memories(SPACE)).values()]
        assert [one["account"] for one in stored] == ["account"]
    assert len({recording.key for recording in submitted}) == 3


async def test_a_start_ends_no_channel_before_it_knows_what_is_watched(
    at: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.gdrive.push._ROUND", 0.01)
    monkeypatch.setattr("core.tending._LOOK_SECONDS", 0.05)
    await at.keep(at.at.place())
    before = at.live
    await at.at.watch()
    away, tries = True, 0
    memories = at.at.store.memories

    async def hesitant(space: str) -> Mapping[str, str]:
        nonlocal tries
        if space == "gdrive:folders" and away:
            tries += 1
            raise ConnectionError
        return await memories(space)

    monkeypatch.setattr(at.at.store, "memories", hesitant)
    at.at.public_url = PUBLIC
    adapter = at.at.open()
    adapter.channels = at.channels

    async def submit(_recording: Recording) -> str:
        return "job"

    task = asyncio.create_task(adapter.run(submit))
    await until(lambda: tries >= 5)
    away = False
    await until(lambda: bool(adapter.tended.running()))
    await asyncio.sleep(0.1)  # some rounds, in which nothing is to happen
    await end(task)
    assert at.live == before


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    async with desk(tmp_path, public_url=PUBLIC, settings={"GDRIVE_PUSH": "false"}) as at:
        adapter = at.open()
        assert adapter.channels is None
        assert list(adapter.routes()) == []
    async with desk(tmp_path) as at:
        assert list(at.open().routes()) == []
