"""What the service keeps of shares in Slack, with the real store: whatever is kept can be deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from bots.slack import ids
from bots.slack.letters import Pressed
from core.ledger import PREFIX
from core.testing import MemoryJobs, MemoryStore
from tests.adapters.kept_desk import Kept, real
from tests.adapters.slack_desk import TALK, Desk, desk, saying
from tests.vendors.slack_model import Message

_DAY = 86400.0


@dataclass(kw_only=True)
class Service(Kept[Desk]):
    """What people do there."""

    async def tried(self, *tries: str) -> tuple[Message, Message, list[str]]:
        """A recording that Anna shared, its answer after as many tries, and the keys of their results."""
        message, _ = await self.at.server.share(self.at.channel, self.at.anna, TALK)
        [answer] = await self.at.answered(message)
        await self.settled()
        results = []
        for number, said in enumerate(tries):
            if number:
                await self.again(answer)
            results.append(await self.work(saying(said)))
        assert await self.kept(*results) == set(results)
        return message, answer, results

    async def again(self, answer: Message) -> None:
        before = len(self.at.server.views)
        await self.at.server.press(answer, ids.RETRY, self.at.bo)
        await self.at.server.until(lambda: len(self.at.server.views) > before)
        await self.at.server.submit_view(self.at.server.views[-1], {})
        await self.at.server.until(lambda: "Transcribing" in answer.shown)
        await self.settled()


@asynccontextmanager
async def service(home: Path) -> AsyncIterator[Service]:
    async with desk(home) as at, real(home) as (state, intake):
        at.store, at.jobs = cast("MemoryStore", state.store), cast("MemoryJobs", intake)
        at.adapter = at.open()
        async with at.running(submit=intake.submit):
            yield Service(at=at, state=state, letters="slack:letters")


@pytest.mark.parametrize("how", ["button", "recording", "retention", "departure"])
async def test_deleting_leaves_no_copy_of_any_try(tmp_path: Path, how: str) -> None:
    async with service(tmp_path) as here:
        at = here.at
        message, answer, results = await here.tried("Hello there", "Good morning", "Good evening")
        if how == "button":
            await at.server.press(answer, ids.DELETE, at.anna)
            await at.server.until(lambda: "was deleted by" in answer.shown)
        elif how == "recording":
            await at.server.delete_message(at.channel, message)
            await at.server.until(lambda: "The recording was deleted" in answer.shown)
        elif how == "retention":
            [known] = await at.adapter._answers.states(at.workspace.id)
            await at.adapter._deeds.expire(known, 1)
            assert "after 1 day" in answer.shown
        else:
            await at.adapter._deeds.forget(at.workspace.id, None)
        await here.settled()
        assert await here.kept(*results) == set()


async def test_a_try_that_led_to_nothing_hides_no_earlier_one(tmp_path: Path) -> None:
    async with service(tmp_path) as here:
        at = here.at
        _, answer, results = await here.tried("Hello there", "Good morning")
        await here.again(answer)
        await at.server.press(answer, ids.STOP, at.bo)
        await at.server.until(lambda: "This is the earlier transcript" in answer.shown)
        await here.again(answer)
        results.append(await here.work(saying("Good evening")))
        await at.server.press(answer, ids.DELETE, at.anna)
        await at.server.until(lambda: "was deleted by" in answer.shown)
        await here.settled()
        assert await here.kept(*results) == set()


async def test_a_try_that_began_while_somebody_deleted_is_stopped(tmp_path: Path) -> None:
    async with service(tmp_path) as here:
        at = here.at
        _, answer, _ = await here.tried("Hello there")
        [known] = await at.adapter._answers.states(at.workspace.id)
        await here.again(answer)
        async with at.adapter._workspaces.open():
            slack = await at.adapter._workspaces.slack(at.workspace.id, None)
            press = Pressed(team=at.workspace.id, user=at.anna.id, share=known.share.id, action=ids.DELETE)
            await at.adapter._deeds._delete(slack, press, known)  # as it was read before
        assert "was deleted by" in answer.shown
        assert await here.state.ledger.open_jobs() == []


async def test_a_share_is_known_as_long_as_anything_is_kept_of_it(tmp_path: Path) -> None:
    async with service(tmp_path) as here:
        at = here.at
        await here.tried("Hello there", "Good morning")
        [known] = await at.adapter._answers.states(at.workspace.id)
        now = at.server.slack.clock()
        await here.state.redis.delete(f"{PREFIX}:job:{known.job}")  # as Redis does when its time is over
        await at.adapter._keeping.clear(now + 366 * _DAY)
        assert await at.adapter._answers.states(at.workspace.id) == [known]
        [earlier] = known.earlier
        await here.state.redis.delete(f"{PREFIX}:job:{earlier}")
        await at.adapter._keeping.clear(now + 366 * _DAY)
        assert await at.adapter._answers.states(at.workspace.id) == []
