"""What people ask for: which recordings they mean, whether they may, and where it was done already."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import aclosing

from bots.slack import notes
from bots.slack.access import may_read
from bots.slack.answers import Answers
from bots.slack.channels import Channels
from bots.slack.client import Workspace
from bots.slack.letters import Asked
from bots.slack.notices import help_text, pointer
from bots.slack.parts import Message as Said
from bots.slack.reception import Reception, place_of
from bots.slack.records import Message, SlackFile
from bots.slack.shares import (
    OVER,
    Link,
    Share,
    State,
    is_elsewhere,
    is_recording,
    link_in,
    share_in,
    share_on_record,
)
from bots.slack.telling import tell
from bots.slack.troubles import Gone, MissingScope, Refused
from bots.slack.workspaces import Workspaces
from core.model import JobState
from core.policies import Mode
from core.ports import AdapterContext

logger = logging.getLogger(__name__)

_RECENT_SECONDS = 86400.0  # of a very long thread that are looked through for what somebody means
_LATELY_SECONDS = 120.0  # for which a client may not know that the app came into a conversation


class Asking:
    """Finds what people mean, and has it taken in."""

    def __init__(
        self,
        context: AdapterContext,
        workspaces: Workspaces,
        answers: Answers,
        channels: Channels,
        reception: Reception,
    ) -> None:
        self._jobs = context.jobs
        self._workspaces = workspaces
        self._answers = answers
        self._channels = channels
        self._reception = reception

    async def asked(self, letter: Asked) -> None:
        """Transcribe what somebody asks for, or point to where that was done."""
        slack = await self._workspaces.slack(letter.team, letter.enterprise)
        owner = await self._workspaces.owner(letter.team, letter.enterprise)
        said: list[Said] = []
        try:
            link = None if letter.message.get("files") else link_in(letter.text)
            if link is not None:
                found = await self._behind(slack, owner, letter, link)
            else:
                found = await self._meant(slack, owner, letter)
            if not found and link is not None:
                said.append(notes.nothing_behind_link())
            elif not found:
                lost = letter.text and not letter.reply and not letter.thread
                policy = await self._channels.policy(owner, letter.channel)
                said.append(help_text(policy) if lost else notes.nothing_to_transcribe())
            pointers = []
            for share, file in found:
                refusal = await self._refusal(slack, share, file)
                if refusal is not None:
                    said.append(refusal)
                elif pointed := await self._take_or_point(slack, letter, share, file):
                    pointers.append(pointed)
            said += pointers[:1]  # all recordings of a message are answered in one thread
        except Refused as error:
            said.append(notes.note(error.user_message))
        except MissingScope as error:
            logger.error("what somebody asks for can't be done: %s", error)  # noqa: TRY400  (foreseen)
            said.append(notes.not_allowed())
        for message in {each.text: each for each in said}.values():
            await self._tell(slack, letter, message)

    async def _refusal(self, slack: Workspace, share: Share, file: SlackFile) -> Said | None:
        """Why a recording is not transcribed for who asks; None if it is."""
        if not (await slack.channel(share.channel)).is_member and not await self._is_in(share):
            return notes.not_a_member()
        if file.is_gone or file.is_hidden:
            return notes.file_gone()
        policy = await self._channels.policy(share.owner, share.channel)
        return notes.switched_off() if policy.mode is Mode.NEVER else None

    async def _is_in(self, share: Share) -> bool:
        """Whether the app came into the conversation a moment ago, which the client does not know yet."""
        joined = await self._reception.joined_at(share.owner, share.channel)
        return joined is not None and time.time() - joined < _LATELY_SECONDS

    async def _take_or_point(
        self, slack: Workspace, letter: Asked, share: Share, file: SlackFile
    ) -> Said | None:
        """Take a recording in, unless that was done; what there is to say to who asked."""
        policy = await self._channels.policy(share.owner, share.channel)
        known = await self._answers.state(share.owner, share.id)
        if known is not None and await self._came_to_nothing(known):
            refusal = await self._reception.again(slack, known, policy, version=known.share.version + 1)
        else:
            refusal = await self._reception.accept(share, file, policy)
        if refusal:
            return notes.note(refusal)
        unseen = share.channel != letter.channel or bool(letter.reply)
        if unseen or (known is not None and share.ts != letter.ts):
            state = await self._answers.state(share.owner, share.id)
            if state is not None and state.message:
                permalink = await slack.permalink(state.share.channel, state.message)
                return pointer(permalink, done=state.phase == "done")
        return None

    async def _came_to_nothing(self, state: State) -> bool:
        if state.phase in OVER or not state.job:
            return state.phase in OVER - {"done"}
        view = await self._jobs.view(state.job)
        return view is None or view.state in {JobState.FAILED, JobState.CANCELLED}

    async def _meant(self, slack: Workspace, owner: str, letter: Asked) -> list[tuple[Share, SlackFile]]:
        """The recordings that somebody asks for without a link: in the message, or in its thread."""
        own = Message.from_payload(letter.message)
        messages = [own] if own.files else await self._around(slack, owner, letter)
        theirs = [message for message in messages if message.user != slack.bot_user or message is own]
        return await self._recordings(slack, owner, letter, letter.channel, theirs)

    async def _behind(
        self, slack: Workspace, owner: str, letter: Asked, link: Link
    ) -> list[tuple[Share, SlackFile]]:
        """The recordings behind a link, as far as they are for who asks. Nothing is read for others: what
        they are told does not depend on what is there."""
        if link.file:
            try:
                file = await slack.file(link.file)
            except Gone:
                return []
            return await self._on_record(slack, owner, letter, file)
        if not await self._is_theirs(slack, letter, link.channel):
            return []
        message = await slack.message(link.channel, link.ts, link.thread or None)
        return await self._recordings(slack, owner, letter, link.channel, [message]) if message else []

    async def _is_theirs(self, slack: Workspace, letter: Asked, channel: str) -> bool:
        """Whether who asks may read a conversation: the one in which they ask, or another."""
        if channel == letter.channel:
            return True
        app = await self._workspaces.app(letter.team, letter.enterprise)
        # A public channel of another of an organisation's workspaces is none of theirs.
        return await may_read(slack, channel, letter.user, "" if app.wide else letter.team)

    async def _around(self, slack: Workspace, owner: str, letter: Asked) -> list[Message]:
        """Where a recording may be that somebody means who says nothing of it: the message itself, whose
        event need not show its files; the one that its thread is about; what was said in it last."""
        if letter.thread:
            replies = await self._thread(slack, owner, letter)
            if letter.ts and all(reply.ts != letter.ts for reply in replies):
                # The thread is too long to be read as a whole.
                lately = float(letter.ts) - _RECENT_SECONDS
                replies += await self._thread(slack, owner, letter, oldest=lately)
            itself = [reply for reply in replies if reply.ts == letter.ts]
            return [*itself, *replies[:1], *reversed(replies)]
        message = await slack.message(letter.channel, letter.ts) if letter.ts else None
        return [message] if message else []

    async def _thread(
        self, slack: Workspace, owner: str, letter: Asked, *, oldest: float = 0.0
    ) -> list[Message]:
        """The replies of the thread that may be meant."""
        thread = self._answers.threads.read(
            slack,
            letter.channel,
            letter.thread,
            owner=owner,
            reader=f"{letter.user}:{letter.ts}:{letter.reply}",
            keep=lambda reply: bool(reply.files) or reply.ts in {letter.ts, letter.thread},
            oldest=oldest,
            again=True,
        )
        async with aclosing(thread):
            return [reply async for reply in thread]

    async def _recordings(
        self, slack: Workspace, owner: str, letter: Asked, channel: str, messages: Sequence[Message]
    ) -> list[tuple[Share, SlackFile]]:
        """Those of the first of the messages that has any. If none has, what lies elsewhere may be one,
        whatever it is called."""
        elsewhere: list[tuple[Share, SlackFile]] = []
        for message in messages:
            files = [await slack.file(each.id) if each.is_stub else each for each in message.files]
            place = place_of(owner, letter)
            shares = [(share_in(message, file, **place, channel=channel), file) for file in files]
            found = [(share, file) for share, file in shares if _may_be_heard(file)]
            if found:
                return found
            elsewhere = elsewhere or [(share, file) for share, file in shares if is_elsewhere(file)]
        return elsewhere

    async def _on_record(
        self, slack: Workspace, owner: str, letter: Asked, file: SlackFile
    ) -> list[tuple[Share, SlackFile]]:
        """Where a file is shared: here if it is, else wherever the person who asks is."""
        for channel in dict.fromkeys([letter.channel, *(place.channel for place in file.shares)]):
            if not await self._is_theirs(slack, letter, channel):
                continue
            share = share_on_record(file, **place_of(owner, letter), channel=channel, user=file.user)
            if share is not None and (is_recording(file) or is_elsewhere(file)):
                return [(share, file)]
        return []

    async def _tell(self, slack: Workspace, letter: Asked, message: Said) -> None:
        """Say something to who asked, and to nobody else."""
        await tell(
            slack,
            message,
            channel=letter.channel,
            user=letter.user,
            thread=letter.thread,
            reply=letter.reply,
        )


def _may_be_heard(file: SlackFile) -> bool:
    return is_recording(file) or file.is_gone or file.is_hidden
