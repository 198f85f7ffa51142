"""Words that the app knows: help, status, settings and stop."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Final

from bots.teams import notes
from bots.teams.answers import Answers
from bots.teams.conversations import Conversations
from bots.teams.deeds import Deeds
from bots.teams.letters import TOLD, Joined, Told
from bots.teams.notices import Entry, help_text, note, status_text
from bots.teams.shares import State, is_alone
from core.errors import Rejected
from core.model import Stage
from core.pace import overall
from core.ports import AdapterContext

logger = logging.getLogger(__name__)

WORDS: Final = frozenset({"help", "status", "settings", "stop"})


class Commands:
    """Answers them in the conversation."""

    def __init__(
        self, context: AdapterContext, answers: Answers, conversations: Conversations, deeds: Deeds
    ) -> None:
        self._store = context.store
        self._jobs = context.jobs
        self._answers = answers
        self._conversations = conversations
        self._deeds = deeds

    async def told(self, letter: Told) -> None:
        """One of `WORDS`. What was answered already is not answered again."""
        key = f"{letter.where.conversation}:{letter.message}"
        if await self._store.recall(TOLD, key) is not None:
            return
        policy = await self._conversations.policy(letter.where)
        if letter.word == "stop":
            said = None if await self._deeds.stop_all(letter) else note(notes.NOTHING_TO_STOP)
        elif letter.word == "help":
            said = help_text(policy, personal=is_alone(letter.where))
        else:
            said = status_text(await self._running(letter), policy)
        try:
            if said is not None:
                await self._answers.tell(letter.where, said)
        except Rejected as error:
            logger.info("somebody could not be told: %s", type(error).__name__)
        await self._store.remember(TOLD, key, str(time.time()))

    async def joined(self, letter: Joined, *, known: bool) -> None:
        """The app came into a conversation. Who has it alone is told how to use it, once."""
        if is_alone(letter.where) and not known:
            await self._answers.tell(letter.where, help_text(personal=True))

    async def clear(self, now: float, seconds: float) -> None:
        """Forget what was answered longer than `seconds` ago, at `now` (Unix seconds)."""
        for key, at in (await self._store.memories(TOLD)).items():
            if now - float(at) > seconds:
                await self._store.forget(TOLD, key)

    async def _running(self, letter: Told) -> list[Entry]:
        running = await self._answers.running(letter.where.conversation)
        return [await self._entry(state) for state in running]

    async def _entry(self, state: State) -> Entry:
        view = await self._jobs.view(state.job)
        progress = overall(Stage(view.stage), view.fraction) if view is not None and view.stage else None
        when = datetime.fromtimestamp(state.at, UTC)
        return Entry(name=state.share.name, when=when, progress=progress)
