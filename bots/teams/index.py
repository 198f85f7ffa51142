"""By what shares are found without reading all that is known: their message, and their conversation while
they are under way; and which share a message of the app answers.

Only ids and times are kept. What is found may be over or gone by now: whoever looks reads the state itself.
"""

from __future__ import annotations

from bots.teams.shares import OVER, Share, State
from core.ports import Store


class Index:
    """An index of all shares."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def note(self, state: State) -> None:
        """Keep up with a state once it was stored; only for those who hold it. Cheap where nothing changed,
        and repeatable: what a crash keeps from being noted is noted with the next state."""
        share = state.share
        running = state.phase not in OVER
        now = f"{'running' if running else 'over'} {state.message}"
        of_message = _of_message(share.where.conversation, share.message)
        if await self._store.recall(of_message, share.id) == now:
            return
        if state.message:
            await self._store.remember(_cards(share.where.conversation), state.message, share.id)
        if running:
            await self._store.remember(_running(share.where.conversation), share.id, str(share.at))
        else:
            await self._store.forget(_running(share.where.conversation), share.id)
        await self._store.remember(of_message, share.id, now)

    async def forget(self, share: Share) -> None:
        """Drop a share, before its state is dropped."""
        conversation = share.where.conversation
        await self._store.forget(_running(conversation), share.id)
        for card, of_share in (await self._store.memories(_cards(conversation))).items():
            if of_share == share.id:
                await self._store.forget(_cards(conversation), card)
        await self._store.forget(_of_message(conversation, share.message), share.id)

    async def of_message(self, conversation: str, message: str) -> list[str]:
        """The ids of the shares in a message."""
        return list(await self._store.memories(_of_message(conversation, message)))

    async def running(self, conversation: str) -> list[str]:
        """The ids of the shares in a conversation that are not over, the oldest first."""
        found = await self._store.memories(_running(conversation))
        return sorted(found, key=lambda share: float(found[share]))

    async def answered_by(self, conversation: str, card: str) -> str:
        """The id of the share that a message of the app answers; empty if it answers none."""
        return await self._store.recall(_cards(conversation), card) or ""


def _of_message(conversation: str, message: str) -> str:
    return f"teams:message:{conversation}:{message}"


def _running(conversation: str) -> str:
    return f"teams:running:{conversation}"


def _cards(conversation: str) -> str:
    return f"teams:cards:{conversation}"
