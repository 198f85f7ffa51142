"""A Microsoft 365 on this machine with a team and chats, our door to it, and a worker's part played by the
test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from bots.teams.adapter import TeamsAdapter
from bots.teams.settings import TeamsSettings
from core.model import Job, Recording, Transcript
from core.ports import AdapterContext, Submit
from core.settings import Settings, load_settings
from core.tasks import end
from core.testing import MemoryJobs, MemoryLinks, MemoryStore
from tests.vendors import faults
from tests.vendors.teams import App, File, TeamsServer, serving
from tests.vendors.teams_model import Conversation, Json, Message, Team, User

TALK = File(name="Board meeting.mp3", data=bytes(range(256)) * 40)
RSC = frozenset(
    {
        "ChannelMessage.Read.Group",
        "ChatMessage.Read.Chat",
        "TeamMember.Read.Group",
        "OnlineMeeting.ReadBasic.Chat",
    }
)


def documented(*more: str) -> App:
    """The app with the permissions that docs/teams.md recommends, and with `more` of Graph's."""
    return App(roles=frozenset({"Files.ReadWrite.All", *more}), rsc=RSC)


@dataclass(kw_only=True)
class Desk:
    """Everything at hand: `anna` owns `team` with its `channel`, `bo` is in it and in `chat` with her;
    `alone` is her chat with the app. The app is everywhere but in `bare`, another group chat."""

    server: TeamsServer
    team: Team
    channel: Conversation
    chat: Conversation
    bare: Conversation
    alone: Conversation
    anna: User
    bo: User
    folder: Path
    store: MemoryStore = field(default_factory=MemoryStore)
    jobs: MemoryJobs = field(default_factory=MemoryJobs)
    links: MemoryLinks = field(default_factory=MemoryLinks)
    options: dict[str, Any] = field(default_factory=dict)
    adapter: TeamsAdapter = field(init=False)

    def __post_init__(self) -> None:
        self.adapter = self.open()

    def open(self) -> TeamsAdapter:
        """Another process of the service, with the same store."""
        context = AdapterContext(
            settings=load_settings(Settings, ERNI_DATA_DIR=self.folder / "data"),
            store=self.store,
            jobs=self.jobs,
            links=self.links,
            node_id="node",
        )
        return TeamsAdapter(context, load_settings(TeamsSettings, **(self.server.settings | self.options)))

    @asynccontextmanager
    async def running(
        self, adapter: TeamsAdapter | None = None, submit: Submit | None = None
    ) -> AsyncIterator[TeamsAdapter]:
        """The door open, and Teams calling at it."""
        adapter = adapter or self.adapter
        app = web.Application()
        app.add_routes(adapter.routes())
        async with faults.serving(app) as origin:
            self.server.delivery.endpoint = f"{origin}/teams/messages"
            task = asyncio.create_task(adapter.run(submit or self.jobs.submit))
            try:
                yield adapter
            finally:
                await self.server.delivered()
                await end(task)

    def answers(self, where: Conversation | Message) -> list[Message]:
        """The cards that answer shares in a chat, or in the thread of a channel's message."""
        return [one for one in self.said(where) if one.has_card and "share-" in str(one.card["body"][0])]

    def said(self, where: Conversation | Message) -> list[Message]:
        """What the app said there, and nobody deleted."""
        if isinstance(where, Message):
            found = self.server.m365.conversations[where.conversation]
            if found.kind == "channel":
                return self.server.of_bot(found, where)
            where = found
        return self.server.of_bot(where)

    async def answered(
        self, where: Conversation | Message, count: int = 1, *, text: str = ""
    ) -> list[Message]:
        """Wait until there are `count` answers, each with `text` in what is shown."""
        await self.server.until(
            lambda: len(found := self.answers(where)) >= count and all(text in one.shown for one in found)
        )
        return self.answers(where)

    async def told(self, where: Conversation | Message, text: str) -> Message:
        """Wait until the app said something with `text` in it; the newest."""
        await self.server.until(lambda: any(text in one.shown for one in self.said(where)))
        return [one for one in self.said(where) if text in one.shown][-1]

    async def quiet(self) -> None:
        """Wait until everything that was told is dealt with."""
        await self.server.delivered()
        async with asyncio.timeout(15):
            while self.store.spaces.get("teams:letters"):
                await asyncio.sleep(0.01)

    def job(self, number: int = -1) -> Job:
        """An accepted recording, the newest by default."""
        return list(self.jobs.views.values())[number].job

    def recordings(self) -> list[Recording]:
        return [view.job.recording for view in self.jobs.views.values()]

    async def deliver(self, transcript: Transcript, job: Job | None = None) -> None:
        """What a worker does when it is done."""
        job = job or self.job()
        self.jobs.transcripts[job.id] = transcript
        await self.adapter.deliver(transcript, job)

    async def fetched(self, job: Job | None = None) -> bytes:
        """What the worker gets to hear."""
        into = self.folder / f"fetched {time.monotonic_ns()}"
        await self.adapter.fetch((job or self.job()).recording, into)
        return into.read_bytes()

    async def asked(self, message: Message, user: User, values: Json | None = None) -> None:
        """The message command with one click."""
        opened = await self.server.command(message, user)
        assert opened.dialog is not None
        await self.server.submit(opened.dialog, "Transcribe", values)


@asynccontextmanager
async def desk(folder: Path, app: App | None = None, **options: Any) -> AsyncIterator[Desk]:
    """See `Desk`; `options` are settings of the door."""
    async with serving(app=app or documented()) as server:
        tenant = server.add_tenant()
        anna, bo = server.add_user(tenant, "Ann Lee"), server.add_user(tenant, "Bo Berg")
        team = server.add_team(tenant, "Board", members=[anna, bo], owners=[anna])
        yield Desk(
            server=server,
            team=team,
            channel=server.m365.conversations[team.channels[0]],
            chat=server.add_group_chat([anna, bo]),
            bare=server.add_group_chat([anna, bo], name="Bare", installed=False),
            alone=server.add_personal_chat(anna),
            anna=anna,
            bo=bo,
            folder=folder,
            options=options,
        )
