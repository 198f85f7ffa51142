"""What Teams means for us: a recording shared in a conversation is answered there."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from aiohttp.web import AbstractRouteDef

from bots.teams import endpoint, fetching
from bots.teams import format as shows
from bots.teams.access import Access
from bots.teams.answers import Answers, Hold
from bots.teams.asking import Asking
from bots.teams.bars import bars
from bots.teams.commands import Commands
from bots.teams.consents import Consents
from bots.teams.conversations import Conversations
from bots.teams.deeds import Deeds
from bots.teams.events import Events
from bots.teams.invokes import Invokes
from bots.teams.keeping import Keeping
from bots.teams.letters import (
    Any_,
    Asked,
    Chosen,
    Consented,
    Joined,
    Left,
    Met,
    Pressed,
    Renamed,
    Restored,
    Retried,
    Shared,
    Told,
    Withdrawn,
    load,
)
from bots.teams.meetings import Meetings
from bots.teams.places import Places
from bots.teams.posting import Posting
from bots.teams.pressing import Pressing
from bots.teams.publishing import Publishing
from bots.teams.reception import Reception
from bots.teams.requests import Requests
from bots.teams.results import Shown
from bots.teams.settings import TeamsSettings, registration_of
from bots.teams.shares import DOOR, Share, is_past, share_of, taken_up
from bots.teams.windows import Windows
from core.errors import AuthFailed, ErniError, Transient
from core.mailbox import Mailbox
from core.model import Job, Recording, Stage, Transcript
from core.ports import AdapterContext, Readiness, Submit, Welcome
from core.settings import load_settings

logger = logging.getLogger(__name__)

_LETTERS = "teams:letters"
_PREPARING_SECONDS = 10.0  # for which a service that starts waits for Microsoft


def create(context: AdapterContext) -> TeamsAdapter:
    """The Teams that the settings name. Raises Misconfigured naming what is missing."""
    return TeamsAdapter(context, load_settings(TeamsSettings))


class TeamsAdapter:
    """See `core.ports.Adapter`."""

    def __init__(self, context: AdapterContext, settings: TeamsSettings) -> None:
        registration = registration_of(
            settings, http_host=context.settings.http_host, public_url=context.settings.public_url
        )
        self._context = context
        self._submit: Submit | None = None
        self._access = Access(settings, registration)
        self._places = Places(context.store)
        self.answers = Answers(context.store, self._access, self._places)
        self.conversations = Conversations(
            context.store, self._access, self._places, settings, languages=context.settings.languages
        )
        self._mailbox = Mailbox(context.store, _LETTERS)
        self._posting = Posting(self._mailbox.post)
        self._consents = Consents(self._access, self.answers, context.jobs)
        self._publishing = Publishing(self._access, self.answers, self._consents, context.jobs)
        self._reception = Reception(
            context,
            self._access,
            self.answers,
            self.conversations,
            places=self._places,
            submit=self._submitted,
        )
        self._asking = Asking(context, self._access, self.answers, self.conversations, self._reception)
        self._meetings = Meetings(self._access, self.conversations, self._reception, self._posting)
        self._deeds = Deeds(
            context,
            self.answers,
            self.conversations,
            self._reception,
            self._publishing,
            places=self._places,
        )
        self._commands = Commands(context, self.answers, self.conversations, self._deeds)
        self.keeping = Keeping(context, self.answers, self.conversations, self._deeds, self._commands)
        self._bars = bars(context.store, self.answers)

    @property
    def door(self) -> str:
        return DOOR

    def routes(self) -> Sequence[AbstractRouteDef]:
        """See `core.ports.Routed`."""
        context, access, conversations = self._context, self._access, self.conversations
        posting = self._posting
        pressing = Pressing(context.jobs, self.answers, conversations, posting)
        windows = Windows(context, access, self.answers, conversations, posting)
        requests = Requests(access, conversations, posting, store=context.store, links=context.links)
        return endpoint.routes(
            access,
            Events(posting, conversations, pressing, context.links),
            Invokes(posting, requests, windows, pressing),
        )

    @asynccontextmanager
    async def prepared(self) -> AsyncIterator[None]:
        """See `core.ports.Prepared`."""
        async with self._access.open():
            try:
                async with asyncio.timeout(_PREPARING_SECONDS):
                    await self._access.connector.prepare()
            except (ErniError, TimeoutError) as error:
                logger.warning("Teams can't be heard yet: %s", str(error) or "Microsoft is silent.")
            yield

    async def run(self, submit: Submit) -> None:
        """Act on what Teams says, until cancelled."""
        self._submit = submit
        async with self._access.open():
            self._bars.open()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._mailbox.run(self._act), name="teams letters")
                    tasks.create_task(self.keeping.run(), name="teams keeping")
                    tasks.create_task(self._access.connector.tend(), name="teams keys")
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from failed  # what it says is for the operator
            finally:
                await self._bars.close()

    async def fetch(self, recording: Recording, into: Path) -> None:
        """See `core.ports.Adapter`."""
        async with self._access.open():
            await fetching.fetch(
                share_of(recording.address),
                into,
                access=self._access,
                links=self._context.links,
                limit=self._context.settings.max_bytes,
            )

    async def progress(self, job: Job, stage: Stage, fraction: float | None) -> None:
        """Move the bar in the answer, no more often than Teams allows."""
        if job.recording.follows is None and stage is not Stage.DELIVERING:
            share = share_of(job.recording.address)
            group = share.where.conversation
            self._bars.show(share.id, group, share, job=job.id, stage=stage, fraction=fraction)

    async def deliver(self, transcript: Transcript, job: Job) -> str:
        """Show the transcript in the share's answer, and hand over its files. Idempotent: the answer is one
        card that is changed, and files that are there already are left."""
        share = await self._share(job)
        async with self._access.open(), self.answers.hold(share) as hold:
            if await self._is_past(hold, share):
                return json.dumps({"superseded": True})
            await self._take_up(hold, share, job)
            await self._publishing.publish(hold, transcript, job.recording)
            return json.dumps({"message": hold.state.message, "files": len(hold.state.files)})

    async def report_failure(self, job: Job, message: str) -> str:
        """Say in the share's answer why there is no transcript."""
        share = await self._share(job)
        async with self._access.open(), self.answers.hold(share) as hold:
            if await self._is_past(hold, share):
                return json.dumps({"superseded": True})
            await self._take_up(hold, share, job)
            if await self._publishing.restore(hold, f"The new try led to no transcript: {message}"):
                return json.dumps({"message": hold.state.message, "restored": True})
            # First, so that nobody waits for it where nothing can be said.
            await hold.save(replace(hold.state, phase="failed"))
            about = Shown(share=share.id, name=share.name)
            await self.answers.say(hold, shows.failed(about, message, again=True))
            return json.dumps({"message": hold.state.message})

    def welcome(self) -> Welcome:
        """See `core.ports.Welcoming`."""
        return Welcome(
            share="Send the app a recording in Microsoft Teams, or use “Transcribe recording” on a message",
            answer="the transcript comes into the conversation",
        )

    async def check(self) -> Readiness:
        """Whether Microsoft's login knows the app, and it is known what Teams signs with."""
        if self._access.registration is None:
            return Readiness(usable=True)
        try:
            async with self._access.open():
                await self._access.sign_in()
                await self._access.connector.prepare()
        except AuthFailed as error:
            return Readiness(usable=False, reason=str(error), remedy="See docs/teams.md.")
        return Readiness(usable=True)

    # what happens

    async def _share(self, job: Job) -> Share:
        share = share_of(job.recording.address)
        return replace(share, where=await self._places.current(share.where))

    async def _is_past(self, hold: Hold, share: Share) -> bool:
        """Whether nobody waits for what comes of `share`, also because the app was removed meanwhile."""
        forgotten = not hold.state.at and not await self._places.is_known(share.where)
        return forgotten or is_past(hold.state, share)

    async def _take_up(self, hold: Hold, share: Share, job: Job) -> None:
        """Remember what a crash may have kept from being remembered when the job was submitted."""
        if not hold.state.at:  # nothing is known of it (any more), so there may be an answer
            await hold.save(replace(hold.state, posting=True, at=share.at, tried=share.at))
        if job.recording.follows is None:
            await hold.save(taken_up(hold.state, share, job.id))

    async def _act(self, text: str) -> None:
        letter = load(text)
        known = True
        if isinstance(letter, Joined):
            known = await self._places.is_known(letter.where)
        if not isinstance(letter, Left | Asked | Withdrawn | Restored | Met):
            await self._places.remember(letter.where, letter.team)
        if isinstance(letter, Joined):
            await self._commands.joined(letter, known=known)
        else:
            await self._act_on(letter)

    async def _act_on(self, letter: Any_) -> None:
        match letter:
            case Shared():
                await self._asking.shared(letter)
            case Asked():
                await self._asking.asked(letter)
            case Told():
                await self._commands.told(letter)
            case Pressed():
                await self._deeds.pressed(letter)
            case Renamed():
                await self._deeds.renamed(letter)
            case Retried():
                await self._deeds.retried(letter)
            case Chosen():
                await self._deeds.chosen(letter)
            case Consented():
                await self._consents.consented(letter)
            case Withdrawn():
                await self._deeds.withdrawn(letter)
            case Restored():
                await self._deeds.restored(letter)
            case Met():
                await self._meetings.met(letter)
            case Left():
                await self._deeds.left(letter)

    async def _submitted(self, recording: Recording) -> str:
        if self._submit is None:
            raise Transient("The service is starting.")
        return await self._submit(recording)
