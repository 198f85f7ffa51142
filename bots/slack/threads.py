"""Long threads, page by page. Some apps get one a minute: a later try goes on where the last one stopped."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import asdict
from typing import Any, Final

from bots.slack.client import Bookmark, Workspace
from bots.slack.records import Message
from core.errors import Transient
from core.ports import Store

_KEPT_SECONDS: Final = 86400.0
_NEEDED: Final = ("ts", "thread_ts", "user", "bot_id", "app_id", "subtype", "files", "metadata", "team")


class Threads:
    """Reads threads, and keeps in `store` how far that came where Slack made somebody wait."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(
        self,
        slack: Workspace,
        channel: str,
        ts: str,
        *,
        owner: str,
        reader: str,
        keep: Callable[[Message], bool],
        oldest: float = 0.0,
        metadata: bool = False,
        limit: int = 2000,
        again: bool = False,
    ) -> AsyncGenerator[Message, None]:
        """The replies of `slack.replies` that are worth to `keep`, without their text. After a Transient the
        same `reader` goes on with the same page; with `again` it may also come back to what it has read.
        `owner` installed the app."""
        key = hashlib.sha256(f"{channel}:{ts}:{oldest}:{reader}".encode()).hexdigest()[:32]
        text = await self._store.recall(_space(owner), key)
        known: dict[str, Any] = {} if text is None else json.loads(text)
        found: list[dict[str, Any]] = known.get("found", [])
        for each in found:
            yield Message.from_payload(each)
        if known.get("whole"):
            return
        mark = Bookmark(**known.get("mark", {}))
        page = mark.cursor
        replies = slack.replies(channel, ts, oldest=oldest, metadata=metadata, limit=limit, bookmark=mark)
        try:
            async with aclosing(replies):
                async for reply in replies:
                    if keep(reply):
                        found.append({name: reply.payload[name] for name in _NEEDED if name in reply.payload})
                        yield reply
        except Transient as error:
            if mark.cursor != page or error.retry_after:
                await self._note(owner, key, found, mark, whole=False)
            else:
                await self._store.forget(_space(owner), key)  # that page may be no more
            raise
        if known and again:
            await self._note(owner, key, found, mark, whole=True)
        elif known:
            await self._store.forget(_space(owner), key)

    async def clear(self, owner: str, now: float) -> None:
        """Drop what nobody went on with, at `now` (Unix seconds)."""
        for key, text in (await self._store.memories(_space(owner))).items():
            if now - float(json.loads(text)["at"]) > _KEPT_SECONDS:
                await self._store.forget(_space(owner), key)

    async def forget(self, owner: str) -> None:
        """Drop all of a workspace or organisation."""
        for key in await self._store.memories(_space(owner)):
            await self._store.forget(_space(owner), key)

    async def _note(
        self, owner: str, key: str, found: list[dict[str, Any]], mark: Bookmark, *, whole: bool
    ) -> None:
        known = {"at": time.time(), "found": found, "mark": asdict(mark), "whole": whole}
        await self._store.remember(_space(owner), key, json.dumps(known))


def _space(owner: str) -> str:
    return f"slack:threads:{owner}"
