"""What people do with an answer: stop, delete, name speakers, get a format, try again, take things back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from bots.teams import format as shows
from bots.teams import ids, notes
from bots.teams.answers import Answers, Hold
from bots.teams.cards import Message
from bots.teams.conversations import Conversations
from bots.teams.letters import Chosen, Left, Pressed, Renamed, Restored, Retried, Told, Withdrawn
from bots.teams.naming import named
from bots.teams.notices import note
from bots.teams.places import Places
from bots.teams.publishing import Publishing
from bots.teams.reception import Reception
from bots.teams.results import Shown
from bots.teams.shares import OVER, Phase, State
from core.errors import Rejected
from core.model import JobState
from core.policies import Mode, load_policy
from core.ports import AdapterContext
from core.registry import FORMATS

logger = logging.getLogger(__name__)

_FILES_LEFT = "The transcript was deleted, but not all of its files: please delete those yourself."


class Deeds:
    """Acts on the wishes of people about answers that are there. Whether they may is looked at before."""

    def __init__(
        self,
        context: AdapterContext,
        answers: Answers,
        conversations: Conversations,
        reception: Reception,
        publishing: Publishing,
        *,
        places: Places,
    ) -> None:
        self._places = places
        self._jobs = context.jobs
        self._store = context.store
        self._answers = answers
        self._conversations = conversations
        self._reception = reception
        self._publishing = publishing

    async def pressed(self, letter: Pressed) -> None:
        """A button or a choice under an answer."""
        state = await self._state(letter)
        if state is None:
            return  # forgotten since, or of another conversation
        await self._answers.pressed(letter.share, letter.card)
        if letter.verb == ids.STOP:
            await self.stop(state, letter.user_name)
        elif letter.verb == ids.DELETE:
            await self._delete(letter, state)
        elif letter.verb == ids.FORMAT and letter.choice in FORMATS:

            def more(now: State) -> State:
                files = {n: f for n, f in now.files.items() if n != letter.choice or not f.declined}
                formats = tuple(dict.fromkeys((*now.formats, letter.choice)))
                return replace(now, formats=formats, files=files)

            await self._change(letter, state, more)

    async def renamed(self, letter: Renamed) -> None:
        """Show the speakers' names as somebody gave them, in the answer and in its files."""
        state = await self._state(letter)
        if state is None:
            return

        if state.share.version != letter.version or state.phase != "done":
            await self._tell(letter, notes.TOO_LATE)  # the speakers are others by now
            return
        names, merged, when = letter.names, letter.merged, letter.when
        await self._change(letter, state, lambda now: named(now, names, merged, when=when))
        await self._store.audit("renamed", {"share": letter.share, "by": letter.user})

    async def retried(self, letter: Retried) -> None:
        """Recognise once more, with other settings."""
        state = await self._state(letter)
        if state is not None and state.phase != "deleted":
            policy = load_policy(letter.policy, self._conversations.default)
            await self._reception.again(
                state, policy, version=letter.version, by=letter.user, when=letter.when
            )

    async def chosen(self, letter: Chosen) -> None:
        """Let what somebody chose for a conversation hold from now on, if they may choose."""
        if await self._conversations.may_change(letter.where, letter.team, letter.user):
            policy = load_policy(letter.policy, self._conversations.default)
            if await self._conversations.choose(letter.where, policy, when=letter.when):
                facts = {"channel": letter.where.conversation, "by": letter.user}
                await self._store.audit("settings changed", facts)

    async def stop_all(self, letter: Told) -> bool:
        """Stop whatever is being transcribed in a conversation, in a channel in this thread. False: nothing
        is."""
        stopped = False
        for state in await self._answers.running(letter.where.conversation):
            # What is written in a thread is about that thread, a new post about the whole channel.
            if letter.where.root in {"", letter.message, state.share.where.root}:
                stopped = await self.stop(state, letter.user_name) or stopped
        return stopped

    async def stop(self, state: State, by: str) -> bool:
        """Stop working on a share, as somebody called `by` wants. False: it was over."""
        job = state.job
        if job and not await self._is_cancelled(job):
            return False
        async with self._answers.hold(state.share) as hold:
            if not job and hold.state.job:  # it was being looked up until now
                job = hold.state.job
                if not await self._is_cancelled(job):
                    return False
            if hold.state.at and hold.state.job == job and hold.state.phase not in OVER:
                if await self._publishing.restore(hold, "The new try was stopped."):
                    return True
                await hold.save(replace(hold.state, phase="stopped"))  # nor is it taken in later
                await self._answers.say(hold, shows.stopped(_shown(state), by or None))
        return True

    async def withdrawn(self, letter: Withdrawn) -> None:
        """The message is gone: stop working on its recordings, and take their transcripts away if the
        conversation wants it. What waits to be taken in is not any more."""
        await self._reception.withdraw(letter.where, letter.message, letter.when or time.time())
        goes = (await self._conversations.policy(letter.where)).delete_with_recording
        for state in await self._answers.in_message(letter.where.conversation, letter.message):
            async with self._answers.hold(state.share) as hold:
                now = hold.state
                if not now.at or (now.phase == "deleted" and not now.withdrawn):
                    continue
                if not await self._reception.is_withdrawn(letter.where, letter.message):
                    return  # it is back
                running = now.phase not in OVER
                if goes or now.withdrawn:
                    await self._jobs.cancel(now.job)
                elif not running or not await self._is_cancelled(now.job) or await self._kept(hold):
                    continue
                was = now.withdrawn or now.phase
                await self._take_away(hold, shows.deleted(_shown(now), None), withdrawn=was)

    async def _kept(self, hold: Hold) -> bool:
        """Show the transcript from before a try whose recording was deleted. False: there is none."""
        try:
            return await self._publishing.restore(
                hold, "The recording was deleted, so the new try was stopped."
            )
        except Rejected as error:  # the conversation is gone
            logger.info("the end of a try can't be said: %s", type(error).__name__)
            return True

    async def restored(self, letter: Restored) -> None:
        """The message is back: what was taken away with it is made once more. Repeatable."""
        await self._reception.restore(letter.where, letter.message, letter.when)
        policy = await self._conversations.policy(letter.where)
        for state in await self._answers.in_message(letter.where.conversation, letter.message):
            async with self._answers.hold(state.share) as hold:  # who takes it away is done then
                known = hold.state
                if known.phase != "deleted" or not known.withdrawn:
                    continue
                if known.withdrawn == "stopped":
                    await hold.save(replace(known, phase="stopped", withdrawn=""))
                    await self._answers.say(hold, shows.stopped(_shown(known), None))
                    continue
            if policy.mode is not Mode.NEVER:
                version, by = known.share.version + 1, letter.user or known.share.user
                await self._reception.again(known, policy, version=version, by=by, when=letter.when)

    async def expire(self, state: State, days: int) -> None:
        """Take a transcript away that was kept for `days`, as long as its conversation wants."""
        async with self._answers.hold(state.share) as hold:
            if hold.state.phase == "done" or hold.state.leaving:
                before = hold.state.withdrawn
                await self._take_away(hold, note(notes.expired(days)), withdrawn=before)
        await self._store.audit("transcript expired", {"share": state.share.id})

    async def left(self, letter: Left) -> None:
        """The app was taken out of a conversation or team: nothing of it is kept. Repeatable."""
        conversations = {letter.where.conversation}
        if letter.whole and letter.team:
            conversations.update(await self._places.of_team(letter.team))
        for state in await self._answers.states():
            share = state.share
            of_team = letter.whole and letter.team and share.team == letter.team
            if not of_team and share.where.conversation not in conversations:
                continue
            async with self._answers.hold(share) as hold:  # else who is at it remembers it again
                await self._jobs.cancel(hold.state.job)
                await self._forget(hold.state)
                await self._answers.forget(share)
            conversations.add(share.where.conversation)
        for conversation in conversations:
            await self._conversations.forget(conversation)
        await self._store.audit("conversation forgotten", {"conversation": letter.where.conversation})

    async def _state(self, letter: Pressed | Renamed | Retried) -> State | None:
        state = await self._answers.state(letter.share)
        if state is None or state.share.where.conversation != letter.where.conversation:
            return None
        return state

    async def _is_cancelled(self, job: str) -> bool:
        """Cancel a job. False: it ended otherwise before."""
        if await self._jobs.cancel(job):
            return True
        view = await self._jobs.view(job)
        return view is not None and view.state is JobState.CANCELLED

    async def _delete(self, letter: Pressed, state: State) -> None:
        async with self._answers.hold(state.share) as hold:
            await self._jobs.cancel(hold.state.job)  # also one that somebody has just begun
            name = letter.user_name or "somebody"
            await self._take_away(hold, shows.deleted(_shown(state), name))
        await self._store.audit("transcript deleted", {"share": letter.share, "by": letter.user})

    async def _take_away(self, hold: Hold, message: Message, *, withdrawn: Phase | Literal[""] = "") -> None:
        """Delete what can be read in the conversation, and the service's copy. Repeatable."""
        bare = replace(hold.state, phase="deleted", names={}, merged={}, said={}, withdrawn=withdrawn)
        await hold.save(replace(bare, leaving=True))
        await self._forget(hold.state)
        try:
            await self._answers.say(hold, message, anew=False)  # the text first: files may take some tries
            if not await self._publishing.detach(hold):
                await self._answers.say(hold, note(_FILES_LEFT), anew=False)
        except Rejected as error:  # the conversation is gone, and the text with it
            logger.info("an answer was gone already: %s", type(error).__name__)
        await hold.save(replace(hold.state, leaving=False))

    async def _forget(self, state: State) -> None:
        """Drop the service's own copies, also those of earlier versions."""
        for job in state.jobs:
            await self._jobs.forget(job)

    async def _change(
        self, letter: Pressed | Renamed, state: State, change: Callable[[State], State]
    ) -> None:
        view = await self._jobs.view(state.job)
        transcript = await self._jobs.transcript(state.job)
        if view is None or transcript is None:
            await self._tell(letter, notes.NOT_KEPT)
            return
        async with self._answers.hold(state.share) as hold:
            if hold.state.phase == "done" and hold.state.job == state.job:
                await hold.save(change(hold.state))
                await self._publishing.publish(hold, transcript, view.job.recording)

    async def _tell(self, letter: Pressed | Renamed, text: str) -> None:
        try:
            await self._answers.tell(letter.where, note(text))
        except Rejected as error:
            logger.info("somebody could not be told: %s", type(error).__name__)


def _shown(state: State) -> Shown:
    return Shown(share=state.share.id, name=state.share.name)
