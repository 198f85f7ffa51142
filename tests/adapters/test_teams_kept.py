"""What the service keeps of shares in Teams, with the real store: whatever is kept can be deleted."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from core.ledger import PREFIX
from core.testing import MemoryJobs, MemoryStore
from tests.adapters.kept_desk import Kept, real
from tests.adapters.slack_desk import saying
from tests.adapters.teams_desk import TALK, Desk, desk
from tests.vendors.teams_model import Message

_DAY = 86400.0


@dataclass(kw_only=True)
class Service(Kept[Desk]):
    """What people do there."""

    async def shared(self) -> Message:
        message = await self.at.server.post(self.at.channel, self.at.anna, files=[TALK])
        await self.at.asked(message, self.at.bo)
        [answer] = await self.at.answered(message)
        await self.settled()
        return answer

    async def delete(self, answer: Message) -> None:
        await self.at.server.press(answer, "Delete the transcript", self.at.anna)
        await self.at.server.until(lambda: "was deleted by" in answer.shown)
        await self.settled()


@asynccontextmanager
async def service(home: Path) -> AsyncIterator[Service]:
    async with desk(home) as at, real(home) as (state, intake):
        at.store, at.jobs = cast("MemoryStore", state.store), cast("MemoryJobs", intake)
        at.adapter = at.open()
        async with at.running(submit=intake.submit):
            yield Service(at=at, state=state, letters="teams:letters")


async def test_deleting_leaves_no_copy_of_any_try(tmp_path: Path) -> None:
    async with service(tmp_path) as here:
        answer = await here.shared()
        results = [await here.work(saying("Hello there"))]
        for words in ("Good morning", "Good evening"):
            opened = await here.at.server.press(answer, "Try again…", here.at.bo)
            assert opened.dialog is not None
            await here.at.server.submit(opened.dialog, "Transcribe again")
            await here.at.server.until(lambda: "Transcribing" in answer.shown)
            await here.settled()
            results.append(await here.work(saying(words)))
        assert await here.kept(*results) == set(results)
        await here.delete(answer)
        assert await here.kept(*results) == set()


async def test_what_is_kept_for_long_can_be_named_and_deleted_for_as_long(tmp_path: Path) -> None:
    long = replace(saying("Hello there"), seconds=5 * 3600.0)
    async with service(tmp_path) as here:
        answer = await here.shared()
        result = await here.work(long)
        [known] = await here.at.adapter.answers.states()
        record = f"{PREFIX}:job:{known.job}"
        kept = await here.state.redis.pttl(f"{PREFIX}:result:{result}")
        assert kept > 300 * 1000 * _DAY
        assert await here.state.redis.pttl(record) >= kept
        await here.at.adapter.keeping.clear(time.time() + 200 * _DAY)
        opened = await here.at.server.press(answer, "Name the speakers", here.at.bo)
        assert opened.dialog is not None
        await here.at.server.submit(opened.dialog, "Save", {"own:0": "Grace Hopper"})
        await here.at.server.until(lambda: "Grace Hopper" in answer.shown)
        await here.settled()
        await here.delete(answer)
        assert await here.kept(result) == set()


async def test_a_share_is_forgotten_once_nothing_is_kept_of_it(tmp_path: Path) -> None:
    async with service(tmp_path) as here:
        await here.shared()
        await here.work(saying("Hello there"))
        [known] = await here.at.adapter.answers.states()
        await here.at.adapter.keeping.clear(time.time() + 100 * _DAY)
        assert await here.at.adapter.answers.states() == [known]
        await here.state.redis.delete(f"{PREFIX}:job:{known.job}")  # as Redis does when its time is over
        await here.at.adapter.keeping.clear(time.time() + 80 * _DAY)
        assert await here.at.adapter.answers.states() == [known]
        await here.at.adapter.keeping.clear(time.time() + 100 * _DAY)
        assert await here.at.adapter.answers.states() == []


async def test_a_recording_that_was_shared_long_ago_is_kept_from_when_it_was_asked_for(
    tmp_path: Path,
) -> None:
    async with service(tmp_path) as here:
        message = await here.at.server.post(here.at.channel, here.at.anna, files=[TALK])
        old = str(int(message.id) - 40 * 86_400_000)
        here.at.channel.messages[old] = here.at.channel.messages.pop(message.id)
        message.id = message.root = old
        await here.at.asked(message, here.at.bo)
        [answer] = await here.at.answered(message)
        await here.settled()
        result = await here.work(saying("Hello there"))
        [known] = await here.at.adapter.answers.states()
        policy = replace(await here.at.adapter.conversations.policy(known.share.where), retention_days=30)
        await here.at.adapter.conversations.choose(known.share.where, policy)
        await here.at.adapter.keeping.clear(time.time())
        assert "Hello" in answer.shown
        await here.at.adapter.keeping.clear(time.time() + 31 * _DAY)
        assert "after 30 days" in answer.shown
        assert await here.kept(result) == set()
