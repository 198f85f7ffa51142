"""What people do with an answer: stop, delete, name speakers, get a format, try again, take things back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from bots.teams import format as shows
from bots.teams import ids, notes
from bots.teams.answers import Answers, Hold
from bots.teams.cards import Message
from bots.teams.conversations import Conversations
from bots.teams.letters import Chosen, Left, Pressed, Renamed, Retried, Told, Withdrawn
from bots.teams.notices import note
from bots.teams.places import Places
from bots.teams.publishing import Publishing
from bots.teams.reception import Reception
from bots.teams.results import Shown
from bots.teams.shares import OVER, State
from core.errors import Rejected
from core.model import JobState
from core.policies import load_policy
from core.ports import AdapterContext
from core.registry import FORMATS
from core.relabelling import amended

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
        names, merged = letter.names, letter.merged

        def named(now: State) -> State:
            return replace(now, names={**now.names, **names}, merged=amended(now.merged, merged))

        await self._change(letter, state, named)
        await self._store.audit("renamed", {"share": letter.share, "by": letter.user})

    async def retried(self, letter: Retried) -> None:
        """Recognise once more, with other settings."""
        state = await self._state(letter)
        if state is not None and state.phase != "deleted":
            policy = load_policy(letter.policy, self._conversations.default)
            await self._reception.again(state, policy, version=letter.version, by=letter.user)

    async def chosen(self, letter: Chosen) -> None:
        """Let what somebody chose for a conversation hold from now on, if they may choose."""
        if await self._conversations.may_change(letter.where, letter.team, letter.user):
            policy = load_policy(letter.policy, self._conversations.default)
            await self._conversations.choose(letter.where, policy)
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
        if not await self._is_cancelled(state.job):
            return False
        async with self._answers.hold(state.share) as hold:
            if hold.state.job == state.job and hold.state.phase not in OVER:
                if await self._publishing.restore(hold, "The new try was stopped."):
                    return True
                await hold.save(replace(hold.state, phase="stopped"))
                await self._answers.say(hold, shows.stopped(_shown(state), by or None))
        return True

    async def withdrawn(self, letter: Withdrawn) -> None:
        """The message is gone: stop working on its recordings, and take their transcripts away if the
        conversation wants it. What waits to be taken in is not any more."""
        await self._reception.withdraw(letter.where, letter.message)
        goes = (await self._conversations.policy(letter.where)).delete_with_recording
        for state in await self._answers.in_message(letter.where.conversation, letter.message):
            if state.phase == "deleted":
                continue
            if goes or (state.phase not in OVER and await self._is_cancelled(state.job)):
                async with self._answers.hold(state.share) as hold:
                    await self._jobs.cancel(hold.state.job)
                    await self._take_away(hold, shows.deleted(_shown(hold.state), None))

    async def expire(self, state: State, days: int) -> None:
        """Take a transcript away that was kept for `days`, as long as its conversation wants."""
        async with self._answers.hold(state.share) as hold:
            if hold.state.phase == "done":
                await self._take_away(hold, note(notes.expired(days)))
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

    async def _take_away(self, hold: Hold, message: Message) -> None:
        """Delete what can be read in the conversation, and the service's copy. Repeatable."""
        await hold.save(replace(hold.state, phase="deleted", names={}, merged={}))
        await self._forget(hold.state)
        try:
            await self._answers.say(hold, message, anew=False)  # the text first: files may take some tries
            if not await self._publishing.detach(hold):
                await self._answers.say(hold, note(_FILES_LEFT), anew=False)
        except Rejected as error:  # the conversation is gone, and the text with it
            logger.info("an answer was gone already: %s", type(error).__name__)

    async def _forget(self, state: State) -> None:
        """Drop the service's own copies, also that of an earlier version."""
        for job in filter(None, (state.job, state.good.job if state.good else "")):
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
