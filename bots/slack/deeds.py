"""What people do with an answer: stop, delete, name speakers, get a format, try again, take things back."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace

from bots.slack import format as messages
from bots.slack import ids, notes
from bots.slack.answers import Answers, Hold
from bots.slack.channels import Channels
from bots.slack.client import Workspace
from bots.slack.letters import Chosen, Pressed, Renamed, Retried, Withdrawn
from bots.slack.parts import Message
from bots.slack.publishing import publish, restore
from bots.slack.reception import Reception
from bots.slack.records import Person
from bots.slack.results import Shown
from bots.slack.shares import OVER, State
from bots.slack.telling import tell
from bots.slack.troubles import Gone, MissingScope
from bots.slack.workspaces import Workspaces
from core.errors import Rejected
from core.model import JobState
from core.policies import Mode, load_policy
from core.ports import AdapterContext
from core.registry import FORMATS
from core.relabelling import amended

logger = logging.getLogger(__name__)

_MEMBER = re.compile(r"[UW][A-Z0-9]{6,}")


class Deeds:
    """Acts on the wishes of people about answers that are there."""

    def __init__(
        self,
        context: AdapterContext,
        workspaces: Workspaces,
        answers: Answers,
        channels: Channels,
        reception: Reception,
    ) -> None:
        self._jobs = context.jobs
        self._store = context.store
        self._answers = answers
        self._channels = channels
        self._reception = reception
        self._workspaces = workspaces

    async def pressed(self, letter: Pressed) -> None:
        """A button or a choice under an answer."""
        state = await self._state(letter)
        slack = await self._workspaces.slack(letter.team, letter.enterprise)
        if state is None:
            await _tell_forgotten(slack, letter)
            return
        if letter.action == ids.STOP:
            await self._stop(slack, letter, state)
        elif letter.action == ids.DELETE:
            await self._delete(slack, letter, state)
        elif letter.action == ids.FORMAT and letter.choice in FORMATS:

            def more(now: State) -> State:
                return replace(now, formats=tuple(dict.fromkeys((*now.formats, letter.choice))))

            await self._change(slack, letter, state, more)

    async def renamed(self, letter: Renamed) -> None:
        """Show the speakers' names as somebody gave them, in the answer and in its files."""
        state = await self._state(letter)
        slack = await self._workspaces.slack(letter.team, letter.enterprise)
        if state is None:
            await _tell_forgotten(slack, letter)
            return
        names = {label: await _name(slack, value) for label, value in letter.names.items()}

        def named(now: State) -> State:
            return replace(now, names={**now.names, **names}, merged=amended(now.merged, letter.merged))

        await self._change(slack, letter, state, named)
        await self._store.audit("renamed", {"share": letter.share, "by": letter.user})

    async def retried(self, letter: Retried) -> None:
        """Recognise once more, with other settings, unless the transcript was deleted while they were chosen
        or the channel wants none."""
        state = await self._state(letter)
        slack = await self._workspaces.slack(letter.team, letter.enterprise)
        if state is None:
            await _tell_forgotten(slack, letter)
            return
        share = state.share
        channel = await self._channels.policy(share.owner, share.channel)
        said: Message | None
        if state.phase == "deleted":
            said = notes.deleted_meanwhile()
        elif channel.mode is Mode.NEVER:
            said = notes.switched_off()
        else:
            said = await self._again(slack, letter, state)
        if said is not None:
            where = {"channel": share.channel, "thread": share.thread, "about": share.name}
            await tell(slack, said, user=letter.user, **where)

    async def _again(self, slack: Workspace, letter: Retried, state: State) -> Message | None:
        """Recognise once more; what there is to say to who wanted it."""
        chosen = load_policy(letter.policy, self._channels.default)
        policy = replace(
            await self._channels.used(state, self._jobs),
            languages=chosen.languages,
            min_speakers=chosen.min_speakers,
            max_speakers=chosen.max_speakers,
            method=chosen.method,
        )
        try:
            refusal = await self._reception.again(
                slack, state, policy, version=letter.version, form=letter.form
            )
        except Gone:
            return notes.file_gone()
        return notes.note(refusal) if refusal else None

    async def chosen(self, letter: Chosen) -> None:
        """Let what somebody chose for a channel hold from now on, if they may choose."""
        slack = await self._workspaces.slack(letter.team, letter.enterprise)
        if await self._channels.may_change(slack, letter.team, letter.channel, letter.user):
            owner = await self._workspaces.owner(letter.team, letter.enterprise)
            policy = load_policy(letter.policy, self._channels.default)
            await self._channels.choose(owner, letter.channel, policy)
            await self._store.audit("settings changed", {"channel": letter.channel, "by": letter.user})

    async def withdrawn(self, letter: Withdrawn) -> None:
        """The recording is gone: stop working on it, and take its transcript away if the channel wants it,
        else leave what there is."""
        owner = await self._workspaces.owner(letter.team, letter.enterprise)
        if letter.file:
            found = await self._answers.of_file(owner, letter.file)
        else:
            found = await self._answers.of_message(owner, letter.channel, letter.ts)
        for state in found:
            share = state.share
            if state.phase == "deleted" and not state.leaving:
                continue
            policy = await self._channels.policy(owner, share.channel)
            goes = policy.delete_with_recording or state.leaving
            if not goes and (state.phase in OVER or not await self._is_cancelled(state.job)):
                continue
            if not goes and state.good is not None:
                await self._end_try(state, "The recording was deleted, so the new try was stopped.", by=None)
                continue
            await self._jobs.cancel(state.job)
            async with self._answers.hold(share) as hold:
                if goes or hold.state.phase not in OVER:
                    await self._take_away(hold, messages.deleted(_shown(hold.state), None))

    async def expire(self, state: State, days: int) -> None:
        """Take a transcript away that was kept for `days`, as long as its channel wants."""
        async with self._answers.hold(state.share) as hold:
            if hold.state.phase == "done" or hold.state.leaving:
                await self._take_away(hold, notes.expired(days))
        await self._store.audit("transcript expired", {"share": state.share.id})

    async def forget(self, team: str | None, enterprise: str | None) -> None:
        """The app was taken out of a workspace, or (no `team`) of a whole organisation: nothing of it is
        kept. Repeatable."""
        for owner in filter(None, (team, enterprise)):
            # Of what an organisation installed, one workspace alone may be taken back.
            whole = owner == (team or enterprise)
            for state in await self._answers.states(owner):
                if not whole and state.share.team != team:
                    continue
                async with self._answers.hold(state.share) as hold:  # else who is at it remembers it again
                    await self._jobs.cancel(hold.state.job)
                    await self._forget_transcripts(hold.state)
                    await self._answers.forget(state.share)
            if whole:
                await self._answers.index.forget_owner(owner)
                await self._answers.threads.forget(owner)
                await self._reception.forget(owner)
                await self._channels.forget(owner)
                await self._store.audit("workspace forgotten", {"team": owner})

    async def _state(self, letter: Pressed | Renamed | Retried) -> State | None:
        owner = await self._workspaces.owner(letter.team, letter.enterprise)
        return await self._answers.state(owner, letter.share)

    async def _is_cancelled(self, job: str) -> bool:
        """Cancel a job. False: it ended otherwise before."""
        if await self._jobs.cancel(job):
            return True
        view = await self._jobs.view(job)
        return view is not None and view.state is JobState.CANCELLED

    async def _stop(self, slack: Workspace, letter: Pressed, state: State) -> None:
        if not await self._is_cancelled(state.job):
            return  # it is over
        person = await _person(slack, letter.user)
        by = None if person is None else person.name
        await self._end_try(state, "The new try was stopped.", by=by)

    async def _end_try(self, state: State, why: str, *, by: str | None) -> None:
        """Show the earlier transcript again, and `why`, once the newest job was cancelled; else that somebody
        called `by` stopped it."""
        async with self._answers.hold(state.share) as hold:
            if hold.state.job != state.job or hold.state.phase in OVER:
                return
            try:
                if not await restore(self._answers, hold, self._jobs, why):
                    await hold.save(replace(hold.state, phase="stopped"))
                    await self._answers.say(hold, messages.stopped(_shown(state), by))
            except Rejected as error:  # the thread is gone
                logger.info("the end of a try can't be said: %s", type(error).__name__)

    async def _delete(self, slack: Workspace, letter: Pressed, state: State) -> None:
        person = await _person(slack, letter.user)
        rules = person is not None and (person.is_admin or person.is_owner) and person.is_of(letter.team)
        if letter.user != state.share.user and not rules:
            await _tell(slack, letter.user, state.share.channel, state.share.thread, notes.may_not_delete())
            return
        await self._jobs.cancel(state.job)
        name = person.name if person is not None else "the person who shared it"
        async with self._answers.hold(state.share) as hold:
            await self._take_away(hold, messages.deleted(_shown(state), name))
        await self._store.audit("transcript deleted", {"share": letter.share, "by": letter.user})

    async def _forget_transcripts(self, state: State) -> None:
        """Drop the service's copies, also those of earlier versions."""
        for job in state.jobs:
            await self._jobs.forget(job)

    async def _take_away(self, hold: Hold, message: Message) -> None:
        """Delete what can be read in the thread, and the service's copy. Repeatable."""
        await self._jobs.cancel(hold.state.job)  # also one that somebody has just begun
        await self._forget_transcripts(hold.state)
        bare = replace(hold.state, phase="deleted", leaving=True, names={}, merged={}, good=None)
        await hold.save(bare)
        try:
            gone = await self._answers.detach(hold)
            await self._answers.say(hold, message if gone else notes.files_left(), anew=False)
        except Rejected as error:  # the thread is gone, and the text with it
            logger.info("an answer was gone already: %s", type(error).__name__)
        await hold.save(replace(hold.state, leaving=False))

    async def _change(
        self, slack: Workspace, letter: Pressed | Renamed, state: State, change: Callable[[State], State]
    ) -> None:
        view = await self._jobs.view(state.job)
        transcript = await self._jobs.transcript(state.job)
        if view is None or transcript is None:
            await _tell(slack, letter.user, state.share.channel, state.share.thread, notes.not_kept())
            return
        async with self._answers.hold(state.share) as hold:
            if hold.state.phase == "done" and hold.state.job == state.job:
                await hold.save(change(hold.state))
                await publish(self._answers, hold, transcript, view.job.recording)


async def _tell_forgotten(slack: Workspace, letter: Pressed | Renamed | Retried) -> None:
    await _tell(slack, letter.user, letter.channel, letter.thread, notes.forgotten())


async def _tell(slack: Workspace, user: str, channel: str, thread: str, message: Message) -> None:
    """Say something to one person in a thread."""
    await tell(slack, message, channel=channel, user=user, thread=thread)


def _shown(state: State) -> Shown:
    return Shown(share=state.share.id, name=state.share.name)


async def _name(slack: Workspace, value: str) -> str:
    """The name that was given; pickers give the id of a member."""
    person = await _person(slack, value) if _is_member(value) else None
    return (person.name if person is not None else "") or value


async def _person(slack: Workspace, user: str) -> Person | None:
    """Who it is; None for those whom the app can't see, as many of other organisations."""
    try:
        return await slack.user(user)
    except (Gone, MissingScope):
        return None


def _is_member(value: str) -> bool:
    """Whether a name is the id of somebody in the workspace, as pickers give it."""
    return bool(_MEMBER.fullmatch(value)) and any(each.isdigit() for each in value)
