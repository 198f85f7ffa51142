"""By what shares are found without reading all that is known: their file, their message, and, newest first,
their conversation and who shared them.

Only ids and times are kept. What is found may be over or gone by now: whoever looks reads the state itself.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, Collection, Mapping
from typing import Final, Literal

from bots.slack.shares import OVER, Share, State
from core.ports import Store

_RECENT: Final = 60  # shares that are kept of a conversation and of a person, to look back at
_CROWDED: Final = 90  # from which the oldest go

_DONE: Final = "1"

Standing = Literal["running", "over", "deleted"]


class Index:
    """An index of the shares of all owners (see `bots.slack.shares.Share`)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._is_complete = False

    async def is_complete(self) -> bool:
        """Whether all shares that are known are in here; else they have to be looked through."""
        if not self._is_complete:
            self._is_complete = await self._store.recall("slack:index", "complete") is not None
        return self._is_complete

    async def complete(self) -> None:
        """All shares are in here from now on."""
        await self._store.remember("slack:index", "complete", _DONE)

    async def note(self, state: State) -> None:
        """Keep up with a state once it was stored; only for those who hold it. Cheap where nothing changed,
        and repeatable: what a crash keeps from being noted is noted with the next state."""
        share, standing = state.share, _standing(state)
        known = await self._store.recall(_of_file(share.owner, share.file), share.id)
        if known == standing:
            return
        running = _running(share.owner, share.channel)
        changes = [
            self._store.remember(running, share.id, share.ts)
            if standing == "running"
            else self._store.forget(running, share.id)
        ]
        if known is None:
            message = _of_message(share.owner, share.channel, share.ts)
            changes.append(self._store.remember(message, share.id, _DONE))
        if standing == "deleted":
            changes.append(self._leave(share))
        elif known in {None, "deleted"}:
            changes.append(self._enter(share))
        await asyncio.gather(*changes)
        await self._store.remember(_of_file(share.owner, share.file), share.id, standing)

    async def forget(self, share: Share) -> None:
        """Drop a share, before its state is dropped."""
        await self._leave(share)
        for space in (
            _running(share.owner, share.channel),
            _of_message(share.owner, share.channel, share.ts),
            _of_file(share.owner, share.file),
        ):
            await self._store.forget(space, share.id)

    async def of_file(self, owner: str, file: str) -> list[str]:
        """The ids of the shares of a file."""
        return list(await self._store.memories(_of_file(owner, file)))

    async def of_message(self, owner: str, channel: str, ts: str) -> list[str]:
        """The ids of the shares in a message."""
        return list(await self._store.memories(_of_message(owner, channel, ts)))

    async def running(self, owner: str, channel: str) -> list[str]:
        """The ids of the shares in a conversation that are not over, newest first."""
        return [share for _, share in _newest(await self._store.memories(_running(owner, channel)))]

    async def conversations(self, owner: str) -> dict[str, float]:
        """The conversations in which anything was shared, and when that was last, Unix seconds."""
        found = await self._store.memories(_conversations(owner))
        return {channel: float(ts) for channel, ts in found.items()}

    async def recent(
        self, owner: str, conversations: Mapping[str, float], user: str
    ) -> AsyncGenerator[str, None]:
        """The ids of the newest shares by `user` and in `conversations` (of those that `conversations()`
        gives), newest first; of each conversation the last sixty or so."""
        waiting = sorted((newest, channel) for channel, newest in conversations.items())
        found = _newest(await self._store.memories(_recent(owner, user)))
        seen: set[str] = set()
        while found or waiting:
            # Only those conversations are looked into whose turn it may be.
            while waiting and (not found or waiting[-1][0] >= -found[0][0]):
                _, channel = waiting.pop()
                for entry in _newest(await self._store.memories(_recent(owner, channel))):
                    heapq.heappush(found, entry)
            if found:
                _, share = heapq.heappop(found)
                if share not in seen:
                    seen.add(share)
                    yield share

    async def clear(self, owner: str, before: float) -> None:
        """Drop the names of conversations in which nothing was shared since `before` (Unix seconds)."""
        for channel, newest in (await self.conversations(owner)).items():
            if newest < before and not await self._store.memories(_recent(owner, channel)):
                await self._store.forget(_conversations(owner), channel)

    async def forget_owner(self, owner: str) -> None:
        """Drop what is left of a workspace or organisation whose shares are forgotten."""
        for channel in await self.conversations(owner):
            await self._store.forget(_conversations(owner), channel)

    async def _enter(self, share: Share) -> None:
        await asyncio.gather(*(self._list(share, place) for place in _places(share)))
        newest = await self._store.recall(_conversations(share.owner), share.channel)
        if newest is None or float(newest) < float(share.ts):
            await self._store.remember(_conversations(share.owner), share.channel, share.ts)

    async def _list(self, share: Share, place: str) -> None:
        recent = _recent(share.owner, place)
        await self._store.remember(recent, share.id, share.ts)
        kept = await self._store.memories(recent)
        if len(kept) > _CROWDED:
            for _, old in _newest(kept)[_RECENT:]:
                await self._store.forget(recent, old)

    async def _leave(self, share: Share) -> None:
        for place in _places(share):
            await self._store.forget(_recent(share.owner, place), share.id)


def _standing(state: State) -> Standing:
    if state.phase == "deleted":
        return "deleted"
    return "over" if state.phase in OVER else "running"


def _newest(found: Mapping[str, str]) -> list[tuple[float, str]]:
    """Negative times and ids, newest first, which is a heap too."""
    return sorted((-float(ts), share) for share, ts in found.items())


def _places(share: Share) -> Collection[str]:
    """Where a share is looked for in lists; ids of people and of conversations differ."""
    return tuple(filter(None, dict.fromkeys((share.channel, share.user))))


def _of_file(owner: str, file: str) -> str:
    return f"slack:file:{owner}:{file}"


def _of_message(owner: str, channel: str, ts: str) -> str:
    return f"slack:message:{owner}:{channel}:{ts}"


def _running(owner: str, channel: str) -> str:
    return f"slack:running:{owner}:{channel}"


def _recent(owner: str, place: str) -> str:
    return f"slack:recent:{owner}:{place}"


def _conversations(owner: str) -> str:
    return f"slack:conversations:{owner}"
