"""What Slack means for us: a recording shared in a conversation is answered in its thread."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from aiohttp.web import AbstractRouteDef
from slack_sdk.web.async_client import AsyncWebClient

from bots.slack import format as messages
from bots.slack.answers import Answers, Hold
from bots.slack.asking import Asking
from bots.slack.bars import bars
from bots.slack.channels import Channels
from bots.slack.clips import own_transcript
from bots.slack.connection import bolt_app, connect, try_to_connect
from bots.slack.deeds import Deeds
from bots.slack.departures import Departures
from bots.slack.dialogs import Dialogs
from bots.slack.events import Events
from bots.slack.fetching import Fetching
from bots.slack.hosts import Hosts
from bots.slack.installations import Installations, SingleWorkspace
from bots.slack.interactions import Interactions
from bots.slack.keeping import Keeping
from bots.slack.letters import (
    Any_,
    Asked,
    Chosen,
    Filed,
    Joined,
    Left,
    Pressed,
    Renamed,
    Retried,
    Shared,
    Withdrawn,
    load,
)
from bots.slack.pages import routes
from bots.slack.publishing import attach_own, publish, restore
from bots.slack.reception import Reception
from bots.slack.results import Shown
from bots.slack.settings import SCOPES, SlackSettings, mode_of, reach_of
from bots.slack.shares import DOOR, Share, is_past, share_of, taken_up
from bots.slack.tokens import TokenSource
from bots.slack.troubles import Revoked
from bots.slack.windows import Windows
from bots.slack.workspaces import Workspaces
from core.errors import AuthFailed, ErniError, Transient
from core.mailbox import Mailbox
from core.model import Job, Recording, Stage, Transcript
from core.ports import AdapterContext, Readiness, Submit, Welcome
from core.settings import load_settings

logger = logging.getLogger(__name__)

_LETTERS = "slack:letters"


def create(context: AdapterContext) -> SlackAdapter:
    """The Slack that the settings name. Raises Misconfigured naming what is missing."""
    return SlackAdapter(context, load_settings(SlackSettings))


class SlackAdapter:
    """See `core.ports.Adapter`."""

    def __init__(self, context: AdapterContext, settings: SlackSettings) -> None:
        public = context.settings.public_url
        encrypted = context.settings.encryption_key is not None
        self._context = context
        self._settings = settings
        self._mode = mode_of(settings, public)
        many = reach_of(settings, public, encrypted=encrypted) == "many"
        self._submit: Submit | None = None
        self._source = _source(context, settings)
        self._workspaces = Workspaces(self._source, Hosts(settings.api_base_url))
        self._answers = Answers(context.store, self._workspaces)
        self._channels = Channels(context.store, settings, languages=context.settings.languages, many=many)
        self._mailbox = Mailbox(context.store, _LETTERS)
        self._departures = Departures(self._mailbox)
        self._dialogs = Dialogs(context, self._workspaces, self._answers, self._channels)
        self._reception = Reception(context, self._workspaces, self._answers, self._channels, self._submitted)
        self._asking = Asking(context, self._workspaces, self._answers, self._channels, self._reception)
        self._deeds = Deeds(context, self._workspaces, self._answers, self._channels, self._reception)
        self._source.removed = self._deeds.forget
        self._bars = bars(context.store, self._answers)
        self._keeping = Keeping(
            context, self._answers, self._channels, self._deeds, self._reception, departures=self._departures
        )
        self._fetching = Fetching(context, self._workspaces, self._answers, self._departures)
        self._windows = Windows()
        self._app = bolt_app(settings, self._source)
        for listeners in (Events, Interactions):
            listeners(self._app, self._mailbox.post, self._dialogs, self._windows.begin)

    @property
    def door(self) -> str:
        return DOOR

    def routes(self) -> Sequence[AbstractRouteDef]:
        """See `core.ports.Routed`."""
        return routes(self._app, self._context, self._settings, self._source, socket=self._mode == "socket")

    async def run(self, submit: Submit) -> None:
        """Listen to Slack, and act on what it says, until cancelled."""
        self._submit = submit
        async with self._workspaces.open():
            self._bars.open()
            self._windows.open()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._mailbox.run(self._act), name="slack letters")
                    tasks.create_task(self._keeping.run(), name="slack keeping")
                    tasks.create_task(self._keeping.find_all(), name="slack index")
                    if self._mode == "socket":
                        tasks.create_task(connect(self._app, self._settings), name="slack socket")
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from failed  # what it says is for the operator
            finally:
                await self._bars.close()
                await self._windows.close()

    async def fetch(self, recording: Recording, into: Path) -> None:
        """See `core.ports.Adapter`."""
        await self._fetching.fetch(recording, into)

    async def progress(self, job: Job, stage: Stage, fraction: float | None) -> None:
        """Move the bar in the answer, no more often than Slack allows."""
        if job.recording.follows is None and stage is not Stage.DELIVERING:
            share = share_of(job.recording.address)
            self._bars.show(share.id, share.owner, share, job=job.id, stage=stage, fraction=fraction)

    async def deliver(self, transcript: Transcript, job: Job) -> str:
        """Show the transcript in the share's answer, with its files in the thread. Idempotent: the answer is
        one message, which says whose it is, and files that are there already are left."""
        share = share_of(job.recording.address)
        noticed = self._departures.noticed(share.team, share.enterprise)
        async with self._workspaces.open(), noticed, self._answers.hold(share) as hold:
            if is_past(hold.state, share):
                return json.dumps({"superseded": True})
            await self._take_up(hold, share, job)
            await publish(self._answers, hold, transcript, job.recording)
            return json.dumps({"message": hold.state.message, "files": len(hold.state.files)})

    async def report_failure(self, job: Job, message: str) -> str:
        """Say in the share's answer why there is no transcript; for a clip, show Slack's own."""
        share = share_of(job.recording.address)
        async with self._workspaces.open(), self._departures.noticed(share.team, share.enterprise):
            theirs, complete = await self._own_transcript(share)
            async with self._answers.hold(share) as hold:
                if is_past(hold.state, share):
                    return json.dumps({"superseded": True})
                await self._take_up(hold, share, job)
                why = f"The new try led to no transcript: {message}"
                if await restore(self._answers, hold, self._context.jobs, why):
                    return json.dumps({"message": hold.state.message, "restored": True})
                # First, so that nobody waits for it where nothing can be said.
                await hold.save(replace(hold.state, phase="failed"))
                about = Shown(share=share.id, name=share.name)
                said = messages.failed(about, message, again=True)
                if theirs:
                    long = complete and not messages.is_short(theirs)
                    attached = long and await attach_own(self._answers, hold, job.recording, theirs)
                    said = messages.slack_own(about, message, theirs, complete=complete, attached=attached)
                await self._answers.say(hold, said)
                return json.dumps({"message": hold.state.message})

    def welcome(self) -> Welcome:
        """See `core.ports.Welcoming`."""
        return Welcome(
            share="Share a recording in a Slack channel that the app is invited to",
            answer="the transcript comes in its thread",
        )

    async def check(self) -> Readiness:
        """Whether Slack knows the tokens and grants what is needed."""
        if not isinstance(self._source, SingleWorkspace):
            # Somebody's token that does not work any more is that workspace's matter.
            return Readiness(usable=True)
        try:
            identity = await self._source.identity()
            if self._mode == "socket" and self._submit is None:  # else `run` says what is wrong
                await try_to_connect(self._settings)
        except AuthFailed as error:
            return Readiness(usable=False, reason=str(error), remedy="See docs/slack.md.")
        missing = [scope for scope in SCOPES if identity.scopes and scope not in identity.scopes]
        if missing:
            return Readiness(
                usable=False,
                reason=f"The Slack app lacks {', '.join(missing)}.",
                remedy="Add these under OAuth & Permissions on the app's page, and install the app again.",
            )
        return Readiness(usable=True)

    # what happens

    async def _take_up(self, hold: Hold, share: Share, job: Job) -> None:
        """Remember what a crash may have kept from being remembered when the job was submitted."""
        if not hold.state.at:  # nothing is known of it (any more), so there may be an answer
            await hold.save(replace(hold.state, posting=True))
        if job.recording.follows is None:
            await hold.save(taken_up(hold.state, share, job.id, time.time()))

    async def _act(self, text: str) -> None:
        letter = load(text)
        try:
            async with self._departures.noticed(letter.team, letter.enterprise):
                await self._act_on(letter)
        except Revoked:
            logger.info("an event of Slack workspace %s came to nothing: the app is gone", letter.team)

    async def _act_on(self, letter: Any_) -> None:
        match letter:
            case Shared():
                await self._reception.shared(letter)
            case Filed():
                await self._reception.filed(letter)
            case Asked():
                await self._asking.asked(letter)
            case Joined():
                await self._reception.joined(letter)
            case Pressed():
                await self._deeds.pressed(letter)
            case Renamed():
                await self._deeds.renamed(letter)
            case Retried():
                await self._deeds.retried(letter)
            case Withdrawn():
                await self._deeds.withdrawn(letter)
            case Chosen():
                await self._deeds.chosen(letter)
            case Left(certain=True):
                await self._deeds.forget(letter.team, letter.enterprise)
            case Left():
                await self._source.revoked(letter.team or None, letter.enterprise)

    async def _submitted(self, recording: Recording) -> str:
        if self._submit is None:
            raise Transient("The service is starting.")
        return await self._submit(recording)

    async def _own_transcript(self, share: Share) -> tuple[str, bool]:
        """What Slack heard itself, and whether that is all; empty if nothing."""
        if not share.clip:
            return "", False
        try:
            slack = await self._workspaces.slack(share.team, share.enterprise)
            return await own_transcript(slack, await slack.file(share.file))
        except ErniError as error:
            logger.info("Slack's own transcript is done without: %s", type(error).__name__)
            return "", False


def _source(context: AdapterContext, settings: SlackSettings) -> TokenSource:
    client = AsyncWebClient(base_url=settings.api_base_url, timeout=10)
    if settings.bot_token is not None:
        return SingleWorkspace(settings.bot_token.get_secret_value(), client)
    secret = settings.client_secret
    return Installations(
        context.store,
        client,
        client_id=settings.client_id or "",
        client_secret=secret.get_secret_value() if secret is not None else "",
    )
