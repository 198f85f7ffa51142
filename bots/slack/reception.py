"""Recordings on their way in, shared or asked for: each is taken in once and answered in its thread."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypedDict

from bots.slack import format as messages
from bots.slack import notes
from bots.slack.answers import Answers, Hold
from bots.slack.channels import Channels
from bots.slack.client import Workspace
from bots.slack.letters import Filed, Joined, Letter, Shared
from bots.slack.parts import Message as Said
from bots.slack.records import Message, SlackFile
from bots.slack.results import Shown
from bots.slack.shares import (
    DOOR,
    OVER,
    Share,
    State,
    address_of,
    is_recording,
    led_to,
    share_in,
    share_on_record,
    taken_up,
)
from bots.slack.telling import tell
from bots.slack.troubles import Gone, MissingScope
from bots.slack.workspaces import Workspaces
from core.errors import Rejected, Transient
from core.model import JobState, Recording
from core.policies import ChannelPolicy, Mode
from core.ports import AdapterContext, Submit

logger = logging.getLogger(__name__)

_OWNERS = "slack:owners"
_ASKED = "asked"  # in place of a form
_SEEN_SECONDS = 86400.0
_SHARES_SECONDS = 120.0  # for which a file's record may not yet say where it was shared


class Reception:
    """Takes recordings in for `answers`. `submit` is the core's."""

    def __init__(
        self,
        context: AdapterContext,
        workspaces: Workspaces,
        answers: Answers,
        channels: Channels,
        submit: Submit,
    ) -> None:
        self._context = context
        self._workspaces = workspaces
        self._store = context.store
        self._answers = answers
        self._channels = channels
        self._submit = submit

    async def shared(self, letter: Shared) -> None:
        """A message with files: its recordings are transcribed if the channel's policy says so."""
        message = Message.from_payload(letter.message)
        app = await self._workspaces.app(letter.team, letter.enterprise)
        policy = await self._channels.policy(app.key, letter.channel)
        if policy.mode is not Mode.ALL or not message.ts:
            return
        files = [file for file in message.files if file.is_stub or is_recording(file)]
        for file in files:
            await self._store.remember(_seen(app.key), f"{letter.channel}:{file.id}", str(time.time()))
        if not await self._is_new(app.key, letter.channel, message.ts):
            return
        if message.user == app.bot_user or (message.bot_id and not policy.bots):
            return
        slack = await self._workspaces.slack(letter.team, letter.enterprise)
        if not policy.bots and await self._is_bot(slack, message.user):
            return
        for file in files:
            await self._take(letter, slack, message, file, policy)

    async def filed(self, letter: Filed) -> None:
        """A file in a channel, of whose message we may not have been told."""
        app = await self._workspaces.app(letter.team, letter.enterprise)
        policy = await self._channels.policy(app.key, letter.channel)
        told = await self._store.recall(_seen(app.key), f"{letter.channel}:{letter.file}")
        if told is not None or policy.mode is not Mode.ALL or letter.user == app.bot_user:
            return
        slack = await self._workspaces.slack(letter.team, letter.enterprise)
        try:
            file = await slack.file(letter.file)
        except Gone:
            return  # deleted at once
        if not is_recording(file) or file.is_gone or file.is_hidden:
            return
        share = share_on_record(file, **place_of(app.key, letter), channel=letter.channel, user=letter.user)
        if share is None and time.time() - letter.at < _SHARES_SECONDS:
            raise Transient("Slack does not show yet where a file was shared.", retry_after=1.0)
        if share is None:
            logger.warning("Slack never showed where file %s was shared", letter.file)
            return
        if not await self._is_new(app.key, letter.channel, share.ts):
            return
        if policy.bots or not await self._is_bot(slack, share.user):
            await self._tell_sharer(slack, share, await self.accept(share, file, policy))

    async def joined_at(self, owner: str, channel: str) -> float | None:
        """When the app was taken into a channel, Unix seconds; None if that is not known."""
        found = await self._store.recall(_joined(owner), channel)
        return None if found is None else float(found)

    async def joined(self, letter: Joined) -> None:
        """From now on, recordings shared in this channel count."""
        owner = await self._workspaces.owner(letter.team, letter.enterprise)
        await self._store.remember(_joined(owner), letter.channel, letter.ts)

    async def accept(self, share: Share, file: SlackFile, policy: ChannelPolicy) -> str:
        """Take a share in and say so in its thread; a known one is a no-op. Repeatable after a crash. Why it
        can't be answered there, for who shared it; empty if it can."""
        shown = Shown(share=share.id, name=share.name)
        async with self._answers.hold(share) as hold:
            state = hold.state
            if state.phase in OVER or (state.job and state.message):
                return ""
            is_new = not state.at
            if is_new:
                await self._store.remember(_OWNERS, share.owner, share.enterprise or "")
                now = time.time()
                await hold.save(replace(state, share=share, at=float(share.ts), kept_from=now))
            if share.link and not self._context.links.covers(share.link):
                await hold.save(replace(hold.state, phase="failed"))
                return await self._said(hold, messages.elsewhere(shown, file.external_type))
            job = await self._submit(self._recording(share, file, policy))
            while is_new and await self._is_over(job):  # it was forgotten here, but not by the core
                await hold.save(led_to(hold.state, job))
                share = replace(share, version=share.version + 1)
                job = await self._submit(self._recording(share, file, policy))
            await hold.save(replace(led_to(hold.state, job), share=share, phase="working"))
            return await self._said(hold, messages.accepted(shown))

    async def again(
        self, slack: Workspace, known: State, policy: ChannelPolicy, *, version: int, form: str = ""
    ) -> str:
        """Recognise a share once more, as its `version`, asked for in the window `form` if in one; a version
        that is known is a no-op. Returns as `accept`; also why it is not, if another form was faster or the
        transcript was deleted since it was `known`. Raises Gone if the
        recording is."""
        file = await slack.file(known.share.file)
        share = replace(known.share, version=version)
        async with self._answers.hold(share) as hold:
            state = hold.state
            # Without a form it may be this try, which a crash kept from being remembered.
            if form and state.share.version >= version and state.tried not in {"", form}:
                return notes.OUTRUN
            if state.share.version > version or (state.share.version == version and state.phase in OVER):
                return ""
            if state.phase == "deleted" and known.phase != "deleted":
                return notes.deleted_meanwhile().text
            if state.phase not in OVER and state.share.version < version:
                await self._context.jobs.cancel(state.job)
            job = await self._submit(self._recording(share, file, policy))
            state = taken_up(state, share, job, time.time())
            await hold.save(replace(state, phase="working", tried=form or _ASKED))
            return await self._said(hold, messages.accepted(Shown(share=share.id, name=share.name)))

    async def _tell_sharer(self, slack: Workspace, share: Share, why: str) -> None:
        """Why a recording that nobody asked for has no answer, where there is a place to say so."""
        if why and share.user:
            message = notes.note(why)
            try:
                await tell(
                    slack,
                    message,
                    channel=share.channel,
                    user=share.user,
                    thread=share.thread,
                    about=share.name,
                )
            except Transient as error:
                logger.warning("who shared %s is not told why it has no answer: %s", share.id, error)

    async def _is_over(self, job: str) -> bool:
        view = await self._context.jobs.view(job)
        return view is not None and view.state in {JobState.DONE, JobState.FAILED, JobState.CANCELLED}

    async def _said(self, hold: Hold, message: Said) -> str:
        """Say it in the answer. Where nothing can be posted, a transcript can't be either: why."""
        try:
            await self._answers.say(hold, message)
        except Rejected as error:
            await self._context.jobs.cancel(hold.state.job)
            await hold.save(replace(hold.state, phase="failed"))
            logger.warning("share %s can't be answered: %s", hold.state.share.id, type(error).__name__)
            return error.user_message
        return ""

    async def owners(self) -> list[str]:
        """All workspaces and organisations in which anything was shared."""
        return list(await self._store.memories(_OWNERS))

    async def clear(self, owner: str, now: float) -> None:
        """Drop what nobody asks for any more, at `now` (Unix seconds)."""
        for key, at in (await self._store.memories(_seen(owner))).items():
            if now - float(at) > _SEEN_SECONDS:
                await self._store.forget(_seen(owner), key)

    async def forget(self, owner: str) -> None:
        """Drop what was noted of a workspace or organisation."""
        for space in (_seen(owner), _joined(owner)):
            for key in await self._store.memories(space):
                await self._store.forget(space, key)
        await self._store.forget(_OWNERS, owner)

    def _recording(self, share: Share, file: SlackFile, policy: ChannelPolicy) -> Recording:
        return Recording(
            key=share.key,
            content_key=f"slack:{share.id}" if share.link else f"slack:{share.owner}:{share.file}",
            platform=DOOR,
            door=DOOR,
            address=address_of(share),
            name=share.name,
            media_type=None if share.link else file.mimetype or None,
            size=None if share.link else file.size or None,
            shared_by=share.user or None,
            shared_at=datetime.fromtimestamp(float(share.ts), UTC),
            policy=policy.to_policy(
                tenant=f"slack:{share.team}", workspace=self._channels.voices(share.team)
            ),
        )

    async def _is_new(self, owner: str, channel: str, ts: str) -> bool:
        """Whether the app was in the channel when something was shared at `ts`."""
        joined = await self.joined_at(owner, channel)
        return joined is None or float(ts) >= joined

    async def _take(
        self, letter: Shared, slack: Workspace, message: Message, file: SlackFile, policy: ChannelPolicy
    ) -> None:
        if file.is_stub:
            try:
                file = await slack.file(file.id)
            except Gone:
                return
        if is_recording(file) and not file.is_gone and not file.is_hidden:
            owner = await self._workspaces.owner(letter.team, letter.enterprise)
            share = share_in(message, file, **place_of(owner, letter), channel=letter.channel)
            await self._tell_sharer(slack, share, await self.accept(share, file, policy))

    async def _is_bot(self, slack: Workspace, user: str) -> bool:
        try:
            return bool(user) and (await slack.user(user)).is_bot
        except (Gone, MissingScope):
            return False  # somebody of another organisation whom the app can't see; or it may see nobody


class Place(TypedDict):
    """Where something happened, as a share notes it."""

    owner: str
    team: str
    enterprise: str | None


def place_of(owner: str, letter: Letter) -> Place:
    """Where a letter is from."""
    return {"owner": owner, "team": letter.team, "enterprise": letter.enterprise}


def _seen(owner: str) -> str:
    return f"slack:seen:{owner}"


def _joined(owner: str) -> str:
    return f"slack:joined:{owner}"
