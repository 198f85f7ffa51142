"""Messages with recordings: which are meant, and whether they are wanted."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from bots.teams import notes
from bots.teams.access import Access
from bots.teams.answers import Answers
from bots.teams.cards import Message
from bots.teams.conversations import Conversations
from bots.teams.graph import LAG_SECONDS
from bots.teams.letters import TOLD, Asked, Shared, told_key
from bots.teams.links import message_link
from bots.teams.notices import note, pointer
from bots.teams.reception import Reception
from bots.teams.records import ChatMessage, Place
from bots.teams.shares import OVER, Found, Share, State, found_in, is_alone
from bots.teams.troubles import Denied, Gone, Refused
from core.errors import Rejected, Transient
from core.model import JobState
from core.policies import ChannelPolicy, Mode, load_policy
from core.ports import AdapterContext

logger = logging.getLogger(__name__)

_REPLIES = 50  # of a thread that are looked at, the newest first
_BACK = 200  # messages of a chat among which the recording of a meeting is looked for


class Asking:
    """Finds what people mean, and has it taken in."""

    def __init__(
        self,
        context: AdapterContext,
        access: Access,
        answers: Answers,
        conversations: Conversations,
        reception: Reception,
    ) -> None:
        self._store = context.store
        self._jobs = context.jobs
        self._links = context.links
        self._access = access
        self._answers = answers
        self._conversations = conversations
        self._reception = reception

    async def shared(self, letter: Shared) -> None:
        """A message that may have recordings: they are transcribed if the conversation's policy says so."""
        policy = await self._conversations.policy(letter.where)
        if policy.mode is not Mode.ALL:
            return
        found = letter.found
        if letter.look:
            try:
                place = await self._access.place(letter.where, letter.team, letter.user)
                young = time.time() - letter.at < LAG_SECONDS
                message = await self._message(place, letter.message, letter.where.root, young=young)
            except Denied as error:
                logger.error("a message is not looked at for recordings: %s", error)  # noqa: TRY400  (foreseen)
                return
            if message is None or (not message.user and not policy.bots and not message.recording):
                return  # deleted at once, or another app's
            if message.app and message.app == self._access.app:
                return
            found = found_in(message, self._links.covers, asked=False)
        for each in found:
            share = self._reception.share(letter, each, message=letter.message, now=time.time())
            by = None if each.of_meeting else each.user
            await self._reception.accept(share, policy, by=by, when=letter.when)

    async def asked(self, letter: Asked) -> None:
        """Transcribe what somebody asks for, or say why not. What was dealt with is not dealt with again."""
        key = told_key(letter.where, letter.request)
        if letter.request and await self._store.recall(TOLD, key) is not None:
            return
        await self._deal_with(letter)
        if letter.request:
            await self._store.remember(TOLD, key, str(time.time()))

    async def _deal_with(self, letter: Asked) -> None:
        here = await self._conversations.policy(letter.where)
        if here.mode is Mode.NEVER:
            await self._tell(letter, note(notes.switched_off(letter.where)))
            return
        policy = load_policy(letter.policy, here) if letter.policy else here
        try:
            meant = await self._meant(letter)
        except Denied as error:
            logger.error("what somebody asks for can't be read: %s", error)  # noqa: TRY400  (an operator's)
            # In somebody's own chat it is less likely than that there is nothing.
            alone = is_alone(letter.where)
            await self._tell(letter, note(notes.NOTHING_TO_TRANSCRIBE if alone else str(error)))
            return
        if not meant:
            await self._tell(letter, note(notes.NOTHING_TO_TRANSCRIBE))
        for share in meant:
            await self._take(letter, share, policy)

    async def _take(self, letter: Asked, share: Share, policy: ChannelPolicy) -> None:
        """Take a recording in. One that was transcribed already shows that where it is."""
        known = await self._answers.state(share.id)
        repeated = known is not None and bool(letter.request) and known.asked == letter.request
        if known is None or repeated:  # nobody asked twice: this process, or another one, died over it
            await self._accept(letter, share, policy)
        elif await self._came_to_nothing(known):
            version = known.share.version + 1
            await self._reception.again(
                known, policy, version=version, by=letter.user, asked=letter.request, when=letter.when
            )
        elif known.message and letter.request:
            await self._tell(letter, pointer(await self._address(known), done=known.phase == "done"))
        else:
            await self._accept(letter, share, policy)

    async def _accept(self, letter: Asked, share: Share, policy: ChannelPolicy) -> None:
        await self._reception.accept(share, policy, by=letter.user, asked=letter.request, when=letter.when)

    async def _address(self, state: State) -> str:
        """Where the answer to a share is; empty if that can't be said."""
        share = state.share
        try:
            place = await self._access.place(share.where, share.team, share.user)
        except Rejected:
            return ""
        return message_link(share.where, state.message, team=place.team) if self._access.app else ""

    async def _came_to_nothing(self, state: State) -> bool:
        if state.phase in OVER or not state.job:
            return state.phase in OVER - {"done"}
        view = await self._jobs.view(state.job)
        return view is None or view.state in {JobState.FAILED, JobState.CANCELLED}

    async def _meant(self, letter: Asked) -> list[Share]:
        """The recordings that somebody asks for: in the message, in what it answers, or in its thread."""
        if letter.found or (is_alone(letter.where) and not self._access.app):
            found = letter.found if is_alone(letter.where) else await self._vouched(letter)
            return self._shares(letter, letter.message, found)
        async for message in self._around(letter):
            if message.app and message.app == self._access.app:
                continue
            if found := found_in(message, self._links.covers, asked=True):
                return self._shares(letter, message.id, found)
        return await self._newest_of_meeting(letter)

    async def _vouched(self, letter: Asked) -> tuple[Found, ...]:
        """What the message command was used on, which the client of who asks tells: who shared it is believed
        only to Graph. Where that can't tell, it is who asks."""
        seen: dict[str, Found] = {}
        try:
            place = await self._access.place(letter.where, letter.team, letter.user)
            message = await self._message(place, letter.message, letter.where.root)
            if message is not None:
                seen = {each.file: each for each in found_in(message, self._links.covers, asked=True)}
        except (Denied, Refused) as error:
            logger.info("nobody vouches for who shared a recording: %s", error.code)
        return tuple(
            seen[each.file]
            if each.file in seen and seen[each.file].user
            else replace(each, user=letter.user, claimed=each.user)
            for each in letter.found
        )

    async def _newest_of_meeting(self, letter: Asked) -> list[Share]:
        """What Teams writes about the recording of a meeting can't be replied to: in its chat the newest one
        is meant, where nothing else is."""
        if letter.where.kind == "channel" or is_alone(letter.where):
            return []
        left = _BACK
        place = await self._access.place(letter.where, letter.team, letter.user)
        async for message in self._access.graph.recent(place):
            if message.recording:
                found = found_in(message, self._links.covers, asked=True)
                return self._shares(letter, message.id, found)
            left -= 1
            if not left:
                break
        return []

    def _shares(self, letter: Asked, message: str, found: tuple[Found, ...]) -> list[Share]:
        return [self._reception.share(letter, each, message=message, now=time.time()) for each in found]

    async def _around(self, letter: Asked) -> AsyncIterator[ChatMessage]:
        """Where a recording may be that somebody means: the message, what it quotes, its thread."""
        place = await self._access.place(letter.where, letter.team, letter.user)
        root = letter.where.root
        young = time.time() - letter.at < LAG_SECONDS
        own = await self._message(place, letter.message, root, young=young)
        if own is not None:
            yield own
            for quoted in own.quotes:
                if (message := await self._message(place, quoted, root)) is not None:
                    yield message
        if place.channel and root and root != letter.message:
            if (post := await self._message(place, root, "")) is not None:
                yield post
            left = _REPLIES
            async for reply in self._access.graph.recent(place, root=root):
                yield reply
                left -= 1
                if not left:
                    return

    async def _message(
        self, place: Place, message: str, root: str, *, young: bool = False
    ) -> ChatMessage | None:
        try:
            return await self._access.graph.message(place, message, root=root)
        except Gone:
            if young:
                raise Transient("Graph does not show a message yet.", retry_after=1.0) from None
            return None

    async def _tell(self, letter: Asked, message: Message) -> None:
        if not letter.request:
            return
        try:
            await self._answers.tell(letter.where, message)
        except Rejected as error:
            logger.info("somebody who asked could not be told: %s", type(error).__name__)
