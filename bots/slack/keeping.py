"""How long things are kept in Slack: transcripts as a channel wants it, notes about shares for a while."""

from __future__ import annotations

import asyncio
import logging
import time

from bots.slack.answers import Answers
from bots.slack.channels import Channels
from bots.slack.deeds import Deeds
from bots.slack.departures import Departures
from bots.slack.reception import Reception
from bots.slack.shares import State
from core.errors import ErniError
from core.leases import holding
from core.ports import AdapterContext

logger = logging.getLogger(__name__)

_ROUND_SECONDS = 3600.0
_LOOK_SECONDS = 5.0
_DAY = 86400.0
_KNOWN_DAYS = 90.0  # for which a share is known at least that led to no transcript, or has none any more
_KEPT_DAYS = 365.0  # for which one with a transcript is known: as long as the core keeps one at most


class Keeping:
    """Takes away what is too old, once an hour, in one process."""

    def __init__(
        self,
        context: AdapterContext,
        answers: Answers,
        channels: Channels,
        deeds: Deeds,
        reception: Reception,
        *,
        departures: Departures,
    ) -> None:
        self._store = context.store
        self._jobs = context.jobs
        self._answers = answers
        self._channels = channels
        self._deeds = deeds
        self._reception = reception
        self._departures = departures

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                if await self._store.acquire("slack:keeping", "round", _ROUND_SECONDS / 2) is not None:
                    await self.clear(time.time())
            except Exception as error:  # noqa: BLE001  (the next round does it)
                what = error if isinstance(error, ErniError) else type(error).__name__
                logger.warning("what is too old in Slack is cleared later: %s", what)
            await asyncio.sleep(_ROUND_SECONDS)

    async def find_all(self) -> None:
        """Index what was stored before there was an index, once, in one process. Until that is done, shares
        are found by looking through all of them."""
        while not await self._answers.index.is_complete():
            try:
                await self._index()
            except Exception as error:  # noqa: BLE001  (the next try does it)
                what = error if isinstance(error, ErniError) else type(error).__name__
                logger.warning("shares in Slack are indexed later: %s", what)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _index(self) -> None:
        async with holding(self._store, "slack:keeping", "index") as is_mine:
            if is_mine:
                for owner in await self._reception.owners():
                    await self._answers.find_all(owner)
                await self._answers.index.complete()

    async def clear(self, now: float) -> None:
        """One round, at `now` (Unix seconds)."""
        for owner in await self._reception.owners():
            await self._reception.clear(owner, now)
            await self._answers.threads.clear(owner, now)
            for state in await self._answers.states(owner):
                try:
                    async with self._departures.noticed(state.share.team, state.share.enterprise):
                        await self._look_at(state, now)
                except ErniError as error:
                    # One workspace's trouble must not keep the transcripts of others.
                    logger.warning("share %s in Slack is cleared later: %s", state.share.id, error)
            await self._answers.index.clear(owner, now - _KNOWN_DAYS * _DAY)

    async def _look_at(self, state: State, now: float) -> None:
        age = state.age(now) / _DAY
        policy = await self._channels.policy(state.share.owner, state.share.channel)
        days = policy.retention_days
        if (state.phase == "done" or state.leaving) and days is not None:
            if age > days:
                await self._deeds.expire(state, days)
            return
        if age > (_KEPT_DAYS if state.phase == "done" else _KNOWN_DAYS):
            # While the core knows a job, it takes the recording for one that is known too, and may keep what
            # that led to.
            views = [await self._jobs.view(job) for job in state.jobs]
            if not any(views):
                await self._answers.forget(state.share)
