"""How long things are kept in Slack: transcripts as a channel wants it, notes about shares for a while."""

from __future__ import annotations

import asyncio
import logging
import time

from bots.slack.answers import Answers
from bots.slack.channels import Channels
from bots.slack.deeds import Deeds
from bots.slack.reception import Reception
from bots.slack.shares import OVER, State
from core.errors import ErniError
from core.leases import holding
from core.ports import AdapterContext

logger = logging.getLogger(__name__)

_ROUND_SECONDS = 3600.0
_LOOK_SECONDS = 5.0
_DAY = 86400.0
_KNOWN_DAYS = 90.0  # for which a share is known: as long as the core keeps the record of its job


class Keeping:
    """Takes away what is too old, once an hour, in one process."""

    def __init__(
        self,
        context: AdapterContext,
        answers: Answers,
        channels: Channels,
        deeds: Deeds,
        reception: Reception,
    ) -> None:
        self._store = context.store
        self._jobs = context.jobs
        self._answers = answers
        self._channels = channels
        self._deeds = deeds
        self._reception = reception

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
            for state in await self._answers.states(owner):
                try:
                    await self._look_at(state, now)
                except ErniError as error:
                    # One workspace's trouble must not keep the transcripts of others.
                    logger.warning("share %s in Slack is cleared later: %s", state.share.id, error)
            await self._answers.index.clear(owner, now - _KNOWN_DAYS * _DAY)

    async def _look_at(self, state: State, now: float) -> None:
        age = (now - state.at) / _DAY
        policy = await self._channels.policy(state.share.owner, state.share.channel)
        days = policy.retention_days
        if state.phase == "done" and days is not None:
            if age > days:
                await self._deeds.expire(state, days)
        elif age > _KNOWN_DAYS and (state.phase in OVER or await self._jobs.view(state.job) is None):
            await self._answers.forget(state.share)
