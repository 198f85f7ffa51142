"""Recordings on their way in, shared or asked for: each is taken in once and answered where it was shared."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bots.teams import format as shows
from bots.teams import notes
from bots.teams.access import Access
from bots.teams.answers import Answers, Hold
from bots.teams.cards import Message
from bots.teams.conversations import Conversations
from bots.teams.incoming import Reference
from bots.teams.letters import TOLD, Asked, Met, Shared
from bots.teams.notices import note
from bots.teams.places import Places
from bots.teams.records import DriveItem
from bots.teams.results import Shown
from bots.teams.rights import Rights
from bots.teams.shares import (
    DOOR,
    OVER,
    Found,
    Share,
    State,
    address_of,
    is_recording,
    share_in,
    taken_up,
)
from bots.teams.troubles import Denied, Gone, Refused, Removed
from core.errors import Rejected
from core.model import Recording
from core.policies import ChannelPolicy
from core.ports import AdapterContext, Submit

logger = logging.getLogger(__name__)

_NO_RECORDING = "This is no audio or video file."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A recording as Graph shows it; without `item` it was sent to the app, or lies elsewhere. `refusal` says
    why it can't be taken."""

    share: Share
    item: DriveItem | None = None
    refusal: Message | None = None


class Reception:
    """Takes recordings in for `answers`. `submit` is the core's."""

    def __init__(
        self,
        context: AdapterContext,
        access: Access,
        answers: Answers,
        conversations: Conversations,
        *,
        places: Places,
        submit: Submit,
    ) -> None:
        self._context = context
        self._store = context.store
        self._access = access
        self._rights = Rights(access)
        self._answers = answers
        self._places = places
        self._conversations = conversations
        self._submit = submit

    def share(self, letter: Shared | Asked | Met, found: Found, *, message: str, now: float) -> Share:
        """The share of a recording in a message of the letter's conversation."""
        return share_in(letter.where, message, found, team=letter.team, user=letter.user, now=now)

    async def accept(
        self, share: Share, policy: ChannelPolicy, *, by: str | None, asked: str = "", when: float = 0.0
    ) -> None:
        """Take a share in and say so in its answer; a known one is a no-op. Repeatable after a crash.

        `by` is who wants it, by the directory's id, and has to be able to open the file (see
        `bots.teams.rights`); None for what Teams itself tells of. `asked` is the request of who asked for it,
        `when` it was shared or asked for, Unix seconds: if the message was deleted before that, it is back.
        """
        async with self._answers.hold(share) as hold:
            state = hold.state
            if state.phase in OVER or (state.job and state.message):
                return
            if not state.at:
                await hold.save(replace(state, share=share, at=share.at, asked=asked))
            await self._heard(share, when)
            if await self.is_withdrawn(share.where, share.message):
                await self._answers.forget(share)  # after it was saved, so that one of the two sees the other
                return
            seen = await self._seen(share, by)
            if seen.refusal is not None:
                await self._fail(hold, seen.refusal)
            else:
                await self._take(hold, seen, policy)

    async def again(
        self,
        known: State,
        policy: ChannelPolicy,
        *,
        version: int,
        by: str,
        asked: str = "",
        when: float = 0.0,
    ) -> None:
        """Recognise a share once more, as its `version`; a version that is known is a no-op. `by`, `asked`
        and `when` as in `accept`."""
        await self._heard(known.share, when)
        seen = await self._seen(replace(known.share, version=version), by)
        async with self._answers.hold(known.share) as hold:
            state = hold.state
            if state.share.version > version or (state.share.version == version and state.phase in OVER):
                return
            if state.phase == "deleted" != known.phase:
                return  # somebody was faster, and did not want it any more
            if seen.refusal is not None:
                await self._refuse(hold, seen.refusal)
                return
            if state.phase not in OVER and state.share.version < version:
                await self._context.jobs.cancel(state.job)
            await hold.save(replace(state, asked=asked))
            await self._take(hold, seen, policy)

    async def withdraw(self, where: Reference, message: str, when: float) -> None:
        """A message was deleted: what waits to be taken in from it is left."""
        await self._mark("withdrawn", where, message, when)

    async def restore(self, where: Reference, message: str, when: float) -> None:
        """A message is there again."""
        await self._mark("restored", where, message, when)

    async def is_withdrawn(self, where: Reference, message: str) -> bool:
        """Whether a message was deleted, in the last day, and is not back."""
        gone = await self._marked("withdrawn", where, message)
        return gone > await self._marked("restored", where, message)

    async def _heard(self, share: Share, when: float) -> None:
        """A message was written, asked about or brought back at `when`: deleted before, it is back."""
        gone = await self._marked("withdrawn", share.where, share.message)
        if gone and when > gone:
            await self.restore(share.where, share.message, when)

    async def _mark(self, what: str, where: Reference, message: str, when: float) -> None:
        if when > await self._marked(what, where, message):
            await self._store.remember(TOLD, f"{what}:{where.conversation}:{message}", str(when))

    async def _marked(self, what: str, where: Reference, message: str) -> float:
        """When that was last so, 0 if it was not in the last day."""
        return float(await self._store.recall(TOLD, f"{what}:{where.conversation}:{message}") or 0.0)

    async def _take(self, hold: Hold, seen: _Seen, policy: ChannelPolicy) -> None:
        job = await self._submit(self._recording(seen.share, seen.item, policy))
        now = taken_up(hold.state, seen.share, job)
        await hold.save(replace(now, share=seen.share, phase="working"))
        try:
            await self._answers.announce(hold)
        except Rejected as error:
            # Where nothing can be posted, a transcript can't be either.
            await self._context.jobs.cancel(job)
            await hold.save(replace(hold.state, phase="failed"))
            await self._unreachable(seen.share, error)

    async def _fail(self, hold: Hold, refusal: Message) -> None:
        await hold.save(replace(hold.state, phase="failed"))
        try:
            await self._answers.say(hold, refusal)
        except Rejected as error:
            await self._unreachable(hold.state.share, error)

    async def _refuse(self, hold: Hold, refusal: Message) -> None:
        """No other try: a transcript that is there stays."""
        if hold.state.phase != "done":
            await self._fail(hold, refusal)
            return
        try:
            await self._answers.tell(hold.state.share.where, note(refusal.summary))
        except Rejected as error:
            await self._unreachable(hold.state.share, error)

    async def _unreachable(self, share: Share, error: Rejected) -> None:
        logger.warning("share %s can't be answered: %s", share.id, type(error).__name__)
        if isinstance(error, Removed):
            await self._places.lost(share.where.conversation)

    async def _seen(self, share: Share, by: str | None) -> _Seen:
        """What Graph shows of a file before it is fetched: whether it is there, and who wants it may read
        it."""
        about = Shown(share=share.id, name=share.name)
        if share.is_link and not self._context.links.covers(share.url):
            return _Seen(share=share, refusal=shows.elsewhere(about, share.url))
        if share.is_link or share.sent is not None:
            return _Seen(share=share)
        try:
            item = await self._readable(share, by)
        except Denied as error:
            logger.error("share %s can't be read: %s", share.id, error)  # noqa: TRY400  (an operator's matter)
            return _Seen(share=share, refusal=shows.failed(about, str(error), again=True))
        except Refused as error:
            why = notes.FILE_GONE if isinstance(error, Gone) else error.user_message
            return _Seen(share=share, refusal=shows.refused(about, why))
        if not is_recording(item.name, item.mime_type):
            return _Seen(share=share, refusal=shows.refused(about, _NO_RECORDING))
        return _Seen(share=replace(share, name=item.name), item=item)

    async def _readable(self, share: Share, by: str | None) -> DriveItem:
        item = await self._access.recording(share)
        if by is not None and not await self._rights.may_open(item, share, by):
            logger.warning("share %s is of a file that %s may not open", share.id, by or "not everybody")
            raise Gone("This is not theirs to share.", code="not_theirs")
        return item

    def _recording(self, share: Share, item: DriveItem | None, policy: ChannelPolicy) -> Recording:
        content = f"teams:{share.id}"
        if item is not None and item.ctag:
            content = f"teams:{item.drive}:{item.id}:{item.ctag}"
        elif share.sent is not None and share.sent.etag:
            content = f"teams:{share.file}:{share.sent.etag}"
        return Recording(
            key=share.key,
            content_key=content,
            platform=DOOR,
            door=DOOR,
            address=address_of(share),
            name=share.name,
            media_type=(item.mime_type or None) if item is not None else None,
            size=(item.size or None) if item is not None else None,
            shared_by=share.user or None,
            shared_at=datetime.fromtimestamp(share.at, UTC),
            policy=policy.to_policy(
                tenant=f"teams:{share.where.tenant}", workspace=self._conversations.voices
            ),
        )
