"""Buttons of cards: what people see at once, and what is written down to be done."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from bots.teams import ids, notes
from bots.teams.answers import Answers
from bots.teams.cards import ADAPTIVE, Card
from bots.teams.conversations import Conversations
from bots.teams.incoming import Incoming
from bots.teams.letters import Pressed
from bots.teams.pages import page
from bots.teams.posting import Posting, origin
from bots.teams.presses import Press
from bots.teams.publishing import shown_result
from bots.teams.results import Shown
from bots.teams.shares import OVER, State
from bots.teams.troubles import Denied
from core.model import Transcript
from core.ports import Jobs
from core.relabelling import relabel

logger = logging.getLogger(__name__)

_FORGOTTEN: Final = "The service does not know of this recording any more."
_STOPPING: Final = "It is being stopped."
_DELETING: Final = "The transcript is being deleted."
_MAKING: Final = "The file comes in a moment. If it can't, this card will say why."


class Pressing:
    """Answers presses."""

    def __init__(self, jobs: Jobs, answers: Answers, conversations: Conversations, posting: Posting) -> None:
        self._jobs = jobs
        self._answers = answers
        self._conversations = conversations
        self._posting = posting

    async def pressed(self, incoming: Incoming, press: Press) -> str | Card:
        """What who pressed sees: a sentence, or a card in place of the one they pressed on."""
        state = await self._answers.state(press.share)
        if state is None or state.share.where.conversation != incoming.where.conversation:
            return _FORGOTTEN
        if press.verb == ids.PAGE:
            return await self._page(state, press.page or 0)
        if press.verb == ids.FORMAT and state.phase != "done":
            return notes.NOT_YET
        if press.verb == ids.DELETE and (refusal := await self._kept_from_deleting(incoming, state)):
            return refusal
        letter = Pressed(
            **origin(incoming),
            share=press.share,
            verb=press.verb,
            choice=press.format or "",
            card=incoming.reply_to,
        )
        await self._posting.keep(letter)  # also where there is nothing to stop: the card may be left over
        return _told(press, state)

    async def _page(self, state: State, number: int) -> str | Card:
        transcript = await self._jobs.transcript(state.job)
        if transcript is None:
            return notes.NOT_KEPT
        if state.phase != "done" or not transcript.utterances:
            return notes.NOT_YET
        return await asyncio.to_thread(_drawn, state, transcript, number)

    async def _kept_from_deleting(self, incoming: Incoming, state: State) -> str:
        """Why somebody may not delete a transcript; empty if they may. If who owns a team can't be seen, an
        owner is told what an admin has to do about it."""
        refusal = notes.may_not_delete(incoming.where)
        try:
            may = await self._conversations.may_delete(state.share, incoming.user)
        except Denied as error:
            logger.error("owners of a team can't delete: %s", error)  # noqa: TRY400  (an operator's matter)
            return f"{refusal} {error}"
        return "" if may else refusal


def _told(press: Press, state: State) -> str:
    """What who pressed is told of what is written down to be done."""
    if press.verb == ids.STOP:
        return notes.NOTHING_TO_STOP if state.phase in OVER else _STOPPING
    if press.verb == ids.FORMAT:  # it is tried also where there was trouble, which may be over by now
        return state.trouble or _MAKING
    return _DELETING


def _drawn(state: State, transcript: Transcript, number: int) -> Card:
    named = relabel(transcript, state.names, state.merged)
    if number == 0:
        waits = any(file.message and not file.taken for file in state.files.values())
        return shown_result(state, named, offered=waits).card
    return page(Shown(share=state.share.id, name=state.share.name), named, number)


def answer_of(shown: str | Card) -> dict[str, Any]:
    """The answer to a press, as Teams reads it."""
    if isinstance(shown, str):
        kind = "application/vnd.microsoft.activity.message"
        return {"statusCode": 200, "type": kind, "value": shown}
    return {"statusCode": 200, "type": ADAPTIVE, "value": shown}
