"""Windows that people open: a channel's settings, the speakers' names, another try; and the app's home."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from bots.slack import notes
from bots.slack.access import may_read
from bots.slack.answers import Answers
from bots.slack.channels import Channels
from bots.slack.client import Workspace
from bots.slack.home import Entry, home_view
from bots.slack.modals import retry_view, settings_view
from bots.slack.notices import LISTED, help_text, status_text
from bots.slack.parts import Message, View
from bots.slack.records import Person
from bots.slack.renaming import rename_view
from bots.slack.shares import OVER, State
from bots.slack.telling import tell
from bots.slack.troubles import Denied, MissingScope, TooLate
from bots.slack.workspaces import Workspaces
from core.errors import ErniError, Rejected
from core.model import Stage
from core.pace import overall
from core.policies import Mode
from core.ports import AdapterContext
from core.tasks import end

logger = logging.getLogger(__name__)

_SHOWN = 60  # recordings in somebody's home, newest first
_TEAMS = 20  # workspaces of an organisation that somebody's home is about
_AT_ONCE = 8  # recordings of which is asked where they are
_PICKED = 100  # members that a menu of Slack's can offer
_PERSON_SECONDS = 0.8  # for which it is waited to know who wants a window
_PEOPLE_SECONDS = 1.2  # for which their names are waited for
_SHOWN_AS: Final[Mapping[str, Literal["done", "failed", "stopped"]]] = {
    "done": "done",
    "failed": "failed",
    "stopped": "stopped",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """`user` pressed a button under the answer to `share`, in `thread` of `channel`; `trigger` opens a window
    for them."""

    user: str
    share: str
    trigger: str
    channel: str
    thread: str


class Dialogs:
    """Opens windows. Called beside the listeners: Slack takes a window only within three seconds."""

    def __init__(
        self, context: AdapterContext, workspaces: Workspaces, answers: Answers, channels: Channels
    ) -> None:
        self._context = context
        self._workspaces = workspaces
        self._answers = answers
        self._channels = channels

    async def settings(
        self, team: str, enterprise: str | None, *, channel: str, user: str, trigger: str, reply: str
    ) -> None:
        """What a channel wants, for those who may change it."""
        slack = await self._workspaces.slack(team, enterprise)

        async def said(message: Message) -> None:
            await slack.respond(reply, message.text)

        try:
            place = await slack.channel(channel)
        except Rejected:
            await said(notes.not_a_member())
            return
        try:
            allowed = await self._channels.may_change(slack, team, channel, user)
        except Rejected:
            allowed = False  # somebody of another organisation whom the app can't see
        except MissingScope as error:
            logger.error("settings can't be shown: %s", error)  # noqa: TRY400  (an operator's matter)
            await said(notes.not_allowed())
            return
        if not allowed:
            await said(notes.may_not_set())
            return
        policy = await self._channels.policy(await self._workspaces.owner(team, enterprise), channel)
        view = settings_view(
            policy,
            f"#{place.name}" if place.kind in {"channel", "private"} else "",
            methods=self._methods(),
            metadata=json.dumps({"team": team, "channel": channel}),
            defaults=self._channels.default,
            keeps_days=self._context.settings.retention_days,
        )
        await _open(slack, trigger, view, said)

    async def rename(self, team: str, enterprise: str | None, press: Press) -> None:
        """Who is who in a transcript."""
        slack = await self._workspaces.slack(team, enterprise)
        state = await self._known(slack, team, enterprise, press)
        if state is None or not await self._may(slack, state, press, team):
            return
        transcript = await self._context.jobs.transcript(state.job)
        if transcript is None:
            await self._tell(slack, press, notes.not_kept())
            return
        view = await asyncio.to_thread(
            rename_view,
            transcript,
            await self._people(slack, state),
            metadata=json.dumps(_about(team, press)),
            names=state.names,
            merged=state.merged,
        )
        await _open(slack, press.trigger, view, lambda message: self._tell(slack, press, message))

    async def retry(self, team: str, enterprise: str | None, press: Press) -> None:
        """Other settings for another try, for anybody who sees the answer."""
        slack = await self._workspaces.slack(team, enterprise)
        state = await self._known(slack, team, enterprise, press)
        if state is None or not await self._may(slack, state, press, team):
            return
        share = state.share
        if (await self._channels.policy(share.owner, share.channel)).mode is Mode.NEVER:
            await self._tell(slack, press, notes.switched_off())
            return
        policy = await self._channels.used(state, self._context.jobs)
        metadata = json.dumps({**_about(team, press), "version": str(share.version + 1)})
        form = retry_view(policy, share.name, methods=self._methods(), metadata=metadata)
        await _open(slack, press.trigger, form, lambda message: self._tell(slack, press, message))

    async def _known(self, slack: Workspace, team: str, enterprise: str | None, press: Press) -> State | None:
        """What is known of the share; None, which is said, if nothing is any more."""
        state = await self._answers.state(await self._workspaces.owner(team, enterprise), press.share)
        if state is None:
            await self._tell(slack, press, notes.forgotten())
        return state

    async def _may(self, slack: Workspace, state: State, press: Press, team: str) -> bool:
        """Whether somebody may read the answer; if not, that is said."""
        if await may_read(slack, state.share.channel, press.user, team, seconds=_PERSON_SECONDS):
            return True
        await self._tell(slack, press, notes.not_yours())
        return False

    async def respond(
        self, team: str, enterprise: str | None, reply: str, message: Message, *, thread: str = ""
    ) -> None:
        """Say something to who used a command or a button, by the response URL that came with it."""
        slack = await self._workspaces.slack(team, enterprise)
        more = {"thread_ts": thread} if thread else {}
        await slack.respond(reply, message.text, response_type="ephemeral", replace_original=False, **more)

    async def help(self, team: str, enterprise: str | None, channel: str, reply: str) -> None:
        """How to use the app, and what holds in a channel."""
        slack = await self._workspaces.slack(team, enterprise)
        app = await self._workspaces.app(team, enterprise)
        me = await _person(slack, app.bot_user)
        said = help_text(await self._channels.policy(app.key, channel), me=me.name if me else "")
        await slack.respond(reply, said.text, blocks=said.blocks)

    async def status(self, team: str, enterprise: str | None, channel: str, reply: str) -> None:
        """What is being transcribed in a channel, and what holds there."""
        slack = await self._workspaces.slack(team, enterprise)
        owner = await self._workspaces.owner(team, enterprise)
        policy = await self._channels.policy(owner, channel)
        running = await self._answers.running(owner, channel)
        oldest = running[-LISTED:]
        said = status_text(await self._entries(slack, oldest), policy, more=len(running) - len(oldest))
        await slack.respond(reply, said.text, blocks=said.blocks)

    async def home(self, team: str, enterprise: str | None, user: str) -> None:
        """What somebody may see, and only that: what they shared, and what was shared where they are."""
        slack = await self._workspaces.slack(team, enterprise)
        app = await self._workspaces.app(team, enterprise)
        where = await slack.conversations_of(user)
        if app.wide:
            where |= await self._elsewhere(slack, team, enterprise, user)
        states = await self._answers.recent(app.key, user, where, most=_SHOWN)
        entries = await self._entries(slack, states)
        me = (await slack.user(app.bot_user)).name
        await slack.publish_home(user, home_view(entries, me=me))

    async def _elsewhere(
        self, slack: Workspace, team: str, enterprise: str | None, user: str
    ) -> frozenset[str]:
        """Where somebody is in other workspaces of the organisation."""
        found: frozenset[str] = frozenset()
        for other in (await slack.user(user)).teams[:_TEAMS]:
            if other != team:
                try:
                    there = await self._workspaces.slack(other, enterprise)
                    found |= await there.conversations_of(user)
                except (Rejected, Denied) as error:
                    logger.info("a workspace is left out of a home: %s", type(error).__name__)
        return found

    async def _entries(self, slack: Workspace, states: Sequence[State]) -> list[Entry]:
        room = asyncio.Semaphore(_AT_ONCE)

        async def entry(state: State) -> Entry:
            async with room:
                return await self._entry(slack, state)

        async with asyncio.TaskGroup() as tasks:
            made = [tasks.create_task(entry(state)) for state in states]
        return [task.result() for task in made]

    async def _entry(self, slack: Workspace, state: State) -> Entry:
        progress = None
        if state.phase not in OVER:
            view = await self._context.jobs.view(state.job)
            if view is not None and view.stage:
                progress = overall(Stage(view.stage), view.fraction)
        permalink, name = None, ""
        try:
            place = await slack.channel(state.share.channel)
            name = f"#{place.name}" if place.kind in {"channel", "private"} else "a direct message"
            permalink = await slack.permalink(state.share.channel, state.message) or None
        except ErniError as error:
            logger.info("a recording is listed without its place: %s", type(error).__name__)
        return Entry(
            name=state.share.name,
            place=name,
            state=_SHOWN_AS.get(state.phase, "working"),
            when=datetime.fromtimestamp(state.at, UTC),
            permalink=permalink,
            progress=progress,
        )

    async def _people(self, slack: Workspace, state: State) -> list[tuple[str, str]] | None:
        """Members of the conversation by id and name; None if they are more than a menu can offer."""
        members = await slack.few_members(state.share.channel, _PICKED)
        if members is None:
            return None
        asked = [asyncio.create_task(_person(slack, member)) for member in sorted(members)]
        try:
            # Who is not known in time can still be typed.
            if asked:
                await asyncio.wait(asked, timeout=_PEOPLE_SECONDS)
            people = [task.result() for task in asked if task.done() and task.exception() is None]
        finally:
            await end(*asked)
        return [(each.id, each.name) for each in people if each and not each.is_bot and not each.deleted]

    def _methods(self) -> tuple[str, ...]:
        return self._context.methods() or self._context.settings.methods

    async def _tell(self, slack: Workspace, press: Press, message: Message) -> None:
        await tell(slack, message, channel=press.channel, user=press.user, thread=press.thread)


def _about(team: str, press: Press) -> dict[str, str]:
    """What a form sends back about the answer under which it was opened."""
    return {"team": team, "share": press.share, "channel": press.channel, "thread": press.thread}


async def _open(
    slack: Workspace, trigger: str, view: View, tell: Callable[[Message], Awaitable[None]]
) -> None:
    """Open a window; if it is too late for that, say so."""
    try:
        await slack.open_view(trigger, view)
    except TooLate:
        await tell(notes.not_done())


async def _person(slack: Workspace, user: str) -> Person | None:
    try:
        return await slack.user(user)
    except ErniError:
        return None  # a name is not worth the window
