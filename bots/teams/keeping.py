"""How long things are kept in Teams: transcripts as a conversation wants it, notes on shares for a while."""

from __future__ import annotations

import asyncio
import logging
import time

from bots.teams.answers import Answers
from bots.teams.commands import Commands
from bots.teams.conversations import Conversations
from bots.teams.deeds import Deeds
from bots.teams.shares import State
from core.errors import ErniError
from core.ports import AdapterContext

logger = logging.getLogger(__name__)

_ROUND_SECONDS = 3600.0
_DAY = 86400.0
_KNOWN_DAYS = 90.0  # for which a share is known at least: then as long as the core keeps a job of it


class Keeping:
    """Takes away what is too old, once an hour, in one process."""

    def __init__(
        self,
        context: AdapterContext,
        answers: Answers,
        conversations: Conversations,
        deeds: Deeds,
        commands: Commands,
    ) -> None:
        self._store = context.store
        self._jobs = context.jobs
        self._answers = answers
        self._conversations = conversations
        self._deeds = deeds
        self._commands = commands

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                if await self._store.acquire("teams:keeping", "round", _ROUND_SECONDS / 2) is not None:
                    await self.clear(time.time())
            except Exception as error:  # noqa: BLE001  (the next round does it)
                what = error if isinstance(error, ErniError) else type(error).__name__
                logger.warning("what is too old in Teams is cleared later: %s", what)
            await asyncio.sleep(_ROUND_SECONDS)

    async def clear(self, now: float) -> None:
        """One round, at `now` (Unix seconds)."""
        await self._commands.clear(now, _DAY)
        for state in await self._answers.states():
            try:
                await self._look_at(state, now)
            except ErniError as error:
                # One conversation's trouble must not keep the transcripts of others.
                logger.warning("share %s in Teams is cleared later: %s", state.share.id, error)

    async def _look_at(self, state: State, now: float) -> None:
        days = (await self._conversations.policy(state.share.where)).retention_days
        if (state.phase == "done" or state.leaving) and days is not None:
            if await self._age(state, now, days) > days:
                await self._deeds.expire(state, days)
        elif await self._age(state, now, _KNOWN_DAYS) > _KNOWN_DAYS:
            views = [await self._jobs.view(job) for job in state.jobs]
            if not any(views):
                await self._answers.forget(state.share)

    async def _age(self, state: State, now: float, least: float) -> float:
        """Days since a share was taken in for the last time, which may be long after it was shared. Not
        exact where it is not more than `least`."""
        age = (now - state.at) / _DAY
        view = await self._jobs.view(state.job) if age > least else None
        return age if view is None else (now - view.submitted_at.timestamp()) / _DAY
