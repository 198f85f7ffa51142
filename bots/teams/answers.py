"""The one card that answers a share: posted once, then only changed.

What is posted is never a result but the short card that says it will come; results are put in its place.
So there is one result at most, whatever happens. If the answer to a posting was lost, or the process died
before it was remembered, the conversation is read back through Graph where the app may do that. Where it may
not, the short card is posted again: one may be left over, which says where to look and goes away once
somebody presses its button.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from bots.teams import cards
from bots.teams import format as shows
from bots.teams.access import Access
from bots.teams.cards import Message
from bots.teams.graph import LAG_SECONDS
from bots.teams.incoming import Reference
from bots.teams.index import Index
from bots.teams.places import Places
from bots.teams.records import ChatMessage
from bots.teams.results import Shown
from bots.teams.shares import OVER, STATE, Share, State
from bots.teams.troubles import Denied, Gone, Refused, TooLarge, Unshowable, Unsure
from core.answering import Hold as AnyHold
from core.answering import States
from core.errors import Transient
from core.ports import Store

logger = logging.getLogger(__name__)

SPACE = "teams:shares"
_MARGIN_SECONDS = 120.0  # that the clocks of Teams and ours may differ

Hold = AnyHold[State]


class Answers:
    """The answers to all shares."""

    def __init__(self, store: Store, access: Access, places: Places) -> None:
        self._access = access
        self._places = places
        self._index = Index(store)
        self._states = States(store, STATE, leases="teams:answers", whose="Teams", noted=self._index.note)

    async def state(self, share: str) -> State | None:
        """What is known of a share, by its id."""
        return await self._states.get(SPACE, share)

    async def states(self) -> list[State]:
        """All that is known, newest first. Slow: for rounds that take their time."""
        return sorted(await self._states.all(SPACE), key=lambda state: -state.at)

    async def in_message(self, conversation: str, message: str) -> list[State]:
        """What is known of the recordings in a message."""
        return await self._those(await self._index.of_message(conversation, message))

    async def running(self, conversation: str) -> list[State]:
        """What is known of the shares in a conversation that are not over, the oldest first."""
        found = await self._those(await self._index.running(conversation))
        return [state for state in found if state.phase not in OVER]  # the index may be a step behind

    async def is_answer(self, where: Reference, message: str) -> bool:
        """Whether a message of the app answers a share."""
        return bool(message and await self._index.answered_by(where.conversation, message))

    async def _those(self, shares: Iterable[str]) -> list[State]:
        found = [await self.state(share) for share in shares]
        return [state for state in found if state is not None]

    async def forget(self, share: Share) -> None:
        """Drop what is known of a share."""
        await self._index.forget(share)
        await self._states.forget(SPACE, share.id)

    @asynccontextmanager
    async def hold(self, share: Share) -> AsyncIterator[Hold]:
        """The share's answer for oneself. See `core.answering.States.hold`."""
        async with self._states.hold(SPACE, share.id, State(share=share)) as hold:
            await self._locate(hold)
            yield hold

    @asynccontextmanager
    async def hold_if_free(self, share: Share) -> AsyncIterator[Hold | None]:
        """The same without waiting: None if somebody else has it."""
        async with self._states.hold_if_free(SPACE, share.id, State(share=share)) as hold:
            if hold is not None:
                await self._locate(hold)
            yield hold

    async def _locate(self, hold: Hold) -> None:
        """Teams may be reached under another address than when the share was taken in."""
        share = hold.state.share
        hold.state = replace(hold.state, share=replace(share, where=await self._places.current(share.where)))

    async def say(
        self, hold: Hold, message: Message, *, anew: bool = True, smaller: Message | None = None
    ) -> None:
        """Show something in the answer, or `smaller` if Teams finds it too large. It is posted if it was not
        yet, or if somebody deleted it; without `anew` it is only changed, where it is. Raises Rejected if
        there is no place for it."""
        if not await self._is_there(hold, anew=anew):
            return
        share = hold.state.share
        versions = [_marked(each, share.id) for each in (message, smaller) if each is not None]
        try:
            await self._update(share.where, hold.state.message, *versions)
        except Gone:
            if not anew:
                raise
            await hold.save(replace(hold.state, message=""))
            await self._is_there(hold, anew=True)
            await self._update(share.where, hold.state.message, *versions)

    async def announce(self, hold: Hold) -> None:
        """Say that the transcript will come. Raises as `say`."""
        if hold.state.message:
            about = Shown(share=hold.state.share.id, name=hold.state.share.name)
            await self.say(hold, shows.accepted(about, again=True))
        else:
            await self._is_there(hold, anew=True)

    async def _is_there(self, hold: Hold, *, anew: bool) -> bool:
        """Make sure, if `anew`, that there is a message to be changed."""
        if not hold.state.message and hold.state.posting:
            await self._find(hold)
        if hold.state.message or not anew:
            return bool(hold.state.message)
        share = hold.state.share
        await hold.save(replace(hold.state, posting=True, tried=time.time()))
        placeholder = shows.accepted(Shown(share=share.id, name=share.name))
        try:
            sent = await self.post(share.where, _marked(placeholder, share.id))
        except Unsure:
            raise
        except Transient:
            await hold.save(replace(hold.state, posting=False))  # it is not there, that is sure
            raise
        await hold.save(replace(hold.state, message=sent, posting=False))
        return True

    async def tell(self, where: Reference, message: Message) -> None:
        """Say something beside the answers, to whoever wrote there."""
        await self.post(where, message)

    async def post(self, where: Reference, message: Message) -> str:
        """A new message; its id."""
        try:
            return await self._access.connector.send(where, _activity(message))
        except Unshowable as error:
            logger.error("Teams does not take a card (%s): shown as text", error)  # noqa: TRY400  (foreseen)
            return await self._access.connector.send(where, _text(message))

    async def _update(self, where: Reference, message: str, *versions: Message) -> None:
        """Show the first of the `versions` that Teams takes, else the first as text."""
        for shown in versions:
            try:
                await self._access.connector.update(where, message, _activity(shown))
            except TooLarge as error:
                logger.warning("Teams does not take a card: %s", error)
            except Unshowable as error:
                logger.error("Teams does not take a card: %s", error)  # noqa: TRY400  (foreseen)
                break
            else:
                return
        await self._access.connector.update(where, message, _text(versions[0]))

    async def _find(self, hold: Hold) -> None:
        """The message that an earlier try may have posted."""
        share = hold.state.share
        try:
            async for message in self.own(share, hold.state.tried):
                if any(f'"{_mark(share.id)}"' in each.content for each in message.attachments):
                    await hold.save(replace(hold.state, message=message.id, posting=False))
                    return
        except (Denied, Refused) as error:
            logger.warning("share %s may be announced twice: %s", share.id, error)
        else:
            wait_for_graph(hold.state.tried)

    async def own(self, share: Share, since: float) -> AsyncIterator[ChatMessage]:
        """What the app said since then (Unix seconds) where a share is answered, the newest first. Raises
        Denied where it may not read that."""
        where = share.where
        if where.kind == "channel" and not where.root:
            return
        place = await self._access.place(where, share.team, share.user)
        async for message in self._access.graph.recent(place, root=where.root):
            if message.id.isdigit() and int(message.id) / 1000 < since - _MARGIN_SECONDS:
                return
            if message.app == self._access.app and not message.deleted:
                yield message

    async def pressed(self, share: str, card: str) -> None:
        """A button of a share's answer was pressed on the message `card`: if that is not the answer, nor one
        to another share, it is one that was left over."""
        state = await self.state(share)
        if state is None or not card or card == state.message:
            return
        if await self._index.answered_by(state.share.where.conversation, card) not in {"", share}:
            return  # whoever pressed made that up
        async with self.hold(state.share) as hold:
            if not hold.state.message and hold.state.posting:
                await hold.save(replace(hold.state, message=card, posting=False))
            elif hold.state.message not in {"", card}:
                try:
                    await self._access.connector.delete(state.share.where, card)
                except Refused as error:
                    logger.info("a card that was left over stays: %s", error.code)


def wait_for_graph(tried: float) -> None:
    """Raise Transient while Graph may not show yet what was posted at `tried`, Unix seconds."""
    if time.time() - tried < LAG_SECONDS:
        raise Transient("Graph may not show yet what was posted.", retry_after=1.0)


def _mark(share: str) -> str:
    return f"share-{share}"


def _marked(message: Message, share: str) -> Message:
    """The message with the share's name on it, which nobody sees."""
    first, *rest = message.card["body"]
    return replace(message, card={**message.card, "body": [{**first, "id": _mark(share)}, *rest]})


def _activity(message: Message) -> Mapping[str, Any]:
    return {
        "type": "message",
        "summary": message.summary,
        "attachments": [cards.attachment(message.card)],
    }


def _text(message: Message) -> Mapping[str, Any]:
    return {"type": "message", "text": message.summary, "textFormat": "plain"}
