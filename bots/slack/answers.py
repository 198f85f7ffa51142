"""The one message that answers a share, and the transcript's files under it: posted once, then only changed.

Whoever changes an answer holds the lease on its share, so a bar that is late never covers a result, and two
processes never post two messages. What is about to be done is remembered first: after a crash, or an answer
of Slack's that was lost, the thread is read back before anything is posted again.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from typing import Any

from bots.slack.client import Workspace
from bots.slack.ids import SHARE_EVENT
from bots.slack.index import Index
from bots.slack.parts import Message as Said
from bots.slack.records import Message
from bots.slack.shares import OVER, STATE, Share, State
from bots.slack.threads import Threads
from bots.slack.troubles import Gone, MissingScope, Refused, Unshowable
from bots.slack.upload import Prepared, Upload, shown_name
from bots.slack.workspaces import Workspaces
from core.answering import Hold as AnyHold
from core.answering import States
from core.errors import Rejected, Transient
from core.ports import Store

logger = logging.getLogger(__name__)

_UNEDITABLE = frozenset({"cant_update_message", "edit_window_closed"})
_THROWN_AWAY = frozenset({"file_deleted", "file_is_deleted", "file_not_found", "files_not_found"})
_LATE_SECONDS = 3600.0  # by which the clocks of Slack and of this machine may differ
_THREAD = 10_000  # replies that are looked through for an answer


def space_of(owner: str) -> str:
    """Where the answers are remembered that a workspace or organisation got."""
    return f"slack:shares:{owner}"


Hold = AnyHold[State]


class Answers:
    """The answers of all workspaces."""

    def __init__(self, store: Store, workspaces: Workspaces) -> None:
        self._workspaces = workspaces
        self.index = Index(store)
        self.threads = Threads(store)
        self._states = States(store, STATE, leases="slack:answers", whose="Slack", noted=self.index.note)

    async def state(self, owner: str, share: str) -> State | None:
        """What is known of a share, by its id."""
        return await self._states.get(space_of(owner), share)

    async def forget(self, share: Share) -> None:
        """Drop what is known of a share."""
        await self.index.forget(share)
        await self._states.forget(space_of(share.owner), share.id)

    async def states(self, owner: str) -> list[State]:
        """All that is known of a workspace or organisation, newest first. Slow: for rounds that take their
        time."""
        return sorted(await self._states.all(space_of(owner)), key=lambda state: -state.at)

    async def of_file(self, owner: str, file: str) -> list[State]:
        """What is known of the shares of a file."""
        if not await self.index.is_complete():
            return [state for state in await self.states(owner) if state.share.file == file]
        return await self._those(owner, await self.index.of_file(owner, file))

    async def of_message(self, owner: str, channel: str, ts: str) -> list[State]:
        """What is known of the shares in a message."""
        if not await self.index.is_complete():
            found = await self.states(owner)
            return [state for state in found if (state.share.channel, state.share.ts) == (channel, ts)]
        return await self._those(owner, await self.index.of_message(owner, channel, ts))

    async def running(self, owner: str, channel: str) -> list[State]:
        """What is known of the shares in a conversation that are not over, newest first."""
        if await self.index.is_complete():
            found = await self._those(owner, await self.index.running(owner, channel))
        else:
            found = [state for state in await self.states(owner) if state.share.channel == channel]
        return [state for state in found if state.phase not in OVER]  # the index may be a step behind

    async def recent(self, owner: str, user: str, where: frozenset[str], *, most: int) -> list[State]:
        """What is known of the newest `most` shares by `user` and in the conversations `where` that have an
        answer, newest first."""
        found: list[State] = []
        async with aclosing(self._newest(owner, user, where)) as newest:
            async for state in newest:
                if state.message and state.phase != "deleted":
                    found.append(state)
                    if len(found) == most:
                        break
        return found

    async def _newest(self, owner: str, user: str, where: frozenset[str]) -> AsyncGenerator[State, None]:
        if not await self.index.is_complete():
            for state in await self.states(owner):
                if state.share.user == user or state.share.channel in where:
                    yield state
            return
        last = await self.index.conversations(owner)
        these = {channel: at for channel, at in last.items() if channel in where}
        async with aclosing(self.index.recent(owner, these, user)) as shares:
            async for share in shares:
                known = await self.state(owner, share)
                if known is not None:
                    yield known

    async def find_all(self, owner: str) -> None:
        """Index what was stored before there was an index. Repeatable."""
        for known in await self._states.all(space_of(owner)):
            async with self.hold(known.share) as hold:
                if hold.state.at:  # else it was forgotten meanwhile
                    await self.index.note(hold.state)

    async def _those(self, owner: str, shares: Iterable[str]) -> list[State]:
        found = [await self.state(owner, share) for share in shares]
        return [state for state in found if state is not None]

    def hold(self, share: Share) -> AbstractAsyncContextManager[Hold]:
        """The share's answer for oneself. See `core.answering.States.hold`."""
        return self._states.hold(space_of(share.owner), share.id, State(share=share))

    def hold_if_free(self, share: Share) -> AbstractAsyncContextManager[Hold | None]:
        """The same without waiting: None if somebody else has it."""
        return self._states.hold_if_free(space_of(share.owner), share.id, State(share=share))

    async def say(self, hold: Hold, message: Said, *, anew: bool = True) -> None:
        """Post the message that answers a share, or change it if it was posted. If somebody deleted it, or
        nobody may change it any more, it is posted anew; without `anew` it is only changed, where it is.
        Raises Rejected if there is no place for it."""
        share = hold.state.share
        slack = await self._workspaces.slack(share.team, share.enterprise)
        if not hold.state.message and hold.state.posting:
            await self._find(hold, slack)
        if hold.state.message:
            try:
                await _shown(slack.update, message, share.channel, hold.state.message)
            except Refused as error:
                if not anew or error.code not in {"message_not_found", *_UNEDITABLE}:
                    raise
                with contextlib.suppress(Rejected):
                    await slack.delete_message(share.channel, hold.state.message)
                await hold.save(replace(hold.state, message=""))
            else:
                return
        if not anew:
            return
        since = hold.state.since if hold.state.posting else time.time()
        await hold.save(replace(hold.state, posting=True, since=since))
        metadata = {"event_type": SHARE_EVENT, "event_payload": {"share": share.id}}
        ts = await _shown(slack.post, message, share.channel, thread_ts=share.thread, metadata=metadata)
        await hold.save(replace(hold.state, message=ts, posting=False))

    async def _find(self, hold: Hold, slack: Workspace) -> None:
        """The message that an earlier try may have posted: not before the recording, nor before that try."""
        share = hold.state.share
        oldest = max(float(share.ts), hold.state.since - _LATE_SECONDS)

        def is_ours(reply: Message) -> bool:
            if reply.user != slack.bot_user:
                return False  # another app's message may carry anything
            found = reply.metadata
            return found.get("event_type") == SHARE_EVENT and _payload(found).get("share") == share.id

        thread = self.threads.read(
            slack,
            share.channel,
            share.thread,
            owner=share.owner,
            reader=f"{share.id}:{hold.state.since}",
            keep=is_ours,
            oldest=oldest,
            metadata=True,
            limit=_THREAD,
        )
        try:
            async with aclosing(thread):
                async for reply in thread:
                    await hold.save(replace(hold.state, message=reply.ts, posting=False))
                    return
        except MissingScope as error:
            logger.error("a thread can't be read back, so an answer may come twice: %s", error)  # noqa: TRY400

    async def attach(self, hold: Hold, files: Mapping[str, bytes]) -> None:
        """Make `files`, by name, the transcript's files in the thread, in place of those that are there."""
        share, state = hold.state.share, hold.state
        slack = await self._workspaces.slack(share.team, share.enterprise)
        upload = Upload(slack)
        digest = _digest(files)
        if state.prepared and state.prepared_digest != digest:
            # Of an earlier content, from before a crash: they are in the thread already, or never will be.
            if await upload.is_complete(Prepared(ids=state.prepared), share.channel):
                state = replace(state, files=(*state.files, *state.prepared))
            state = replace(state, digest="", prepared=(), prepared_digest="")
            await hold.save(state)
        if state.digest == digest:
            return
        if not state.prepared and files:
            prepared = await upload.prepare(files)
            state = replace(state, prepared=prepared.ids, prepared_digest=digest)
            await hold.save(state)
        if state.prepared:
            try:
                prepared = Prepared(ids=state.prepared, titles=tuple(map(shown_name, files)))
                await upload.complete(prepared, share.channel, share.thread)
            except Gone as error:
                if error.code not in _THROWN_AWAY:
                    raise  # there is no place for them any more
                await hold.save(replace(state, prepared=(), prepared_digest=""))
                raise Transient("Slack has thrown uploaded files away.") from None
        old = state.files
        state = replace(state, files=state.prepared, digest=digest, prepared=(), prepared_digest="")
        await hold.save(state)
        if left := await self._remove(slack, share, old):
            await hold.save(replace(state, files=(*state.files, *left)))

    async def detach(self, hold: Hold) -> bool:
        """Take the transcript's files away. False: Slack does not let go of all of them."""
        share, state = hold.state.share, hold.state
        slack = await self._workspaces.slack(share.team, share.enterprise)
        left = await self._remove(slack, share, (*state.files, *state.prepared))
        await hold.save(replace(state, files=left, digest="", prepared=(), prepared_digest=""))
        return not left

    async def _remove(self, slack: Workspace, share: Share, files: Sequence[str]) -> tuple[str, ...]:
        """Delete files and the messages that brought them; those files that Slack does not let go of."""
        left = []
        for file in files:
            try:
                places = {
                    place.ts for place in (await slack.file(file)).shares if place.channel == share.channel
                }
            except Gone:
                continue  # somebody was faster
            except MissingScope:
                places = set()  # where it is can't be seen, but it can be deleted
            try:
                # The message first: a file that is gone does not say any more where it was.
                for ts in places:
                    with contextlib.suppress(Refused):
                        await slack.delete_message(share.channel, ts)
                await slack.delete_file(file)
            except (Refused, MissingScope) as error:
                logger.warning("file %s of a transcript can't be deleted: %s", file, error.code)
                left.append(file)
        return tuple(left)


async def _shown(call: Callable[..., Awaitable[str]], message: Said, *where: str, **more: Any) -> str:
    """Post or update; what Slack does not take as blocks is shown as plain text."""
    try:
        return await call(*where, message.text, blocks=message.blocks, **more)
    except Unshowable as error:
        logger.error("Slack does not take the blocks of an answer (%s): shown as text", error)  # noqa: TRY400
        return await call(*where, message.text, **more)


def _payload(metadata: Mapping[str, object]) -> Mapping[str, object]:
    found = metadata.get("event_payload")
    return found if isinstance(found, dict) else {}


def _digest(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, data in files.items():
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()
