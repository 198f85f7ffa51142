"""A Slack on this machine with one workspace, our door to it, and a worker's part played by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bots.slack.adapter import SlackAdapter
from bots.slack.ids import SHARE_EVENT
from bots.slack.settings import SlackSettings
from core.model import Job, Recording, Transcript, Utterance, Word
from core.ports import AdapterContext, Submit
from core.settings import Settings, load_settings
from core.tasks import end
from core.testing import MemoryJobs, MemoryLinks, MemoryStore
from tests.vendors.slack import Item, SlackServer, serving
from tests.vendors.slack_model import Channel, Message, User, Workspace

TALK = Item(name="Board meeting.mp3", data=bytes(range(256)) * 40)


def saying(text: str, content_key: str = "sha256:0", *, speakers: int = 2) -> Transcript:
    """A transcript in which the speakers take turns, a word each."""
    utterances = tuple(
        Utterance(
            speaker=f"Speaker {1 + number % speakers}",
            start=float(number),
            end=number + 1.0,
            words=(Word(start=float(number), end=number + 1.0, text=word),),
        )
        for number, word in enumerate(text.split())
    )
    return Transcript(
        content_key=content_key,
        languages=("en",),
        seconds=float(max(1, len(utterances))),
        utterances=utterances,
        engine="fake",
    )


@dataclass(kw_only=True)
class Desk:
    """Everything at hand: `anna` made `channel`, `bo` is in it, `root` administers the workspace."""

    server: SlackServer
    workspace: Workspace
    channel: Channel
    anna: User
    bo: User
    root: User
    folder: Path
    store: MemoryStore = field(default_factory=MemoryStore)
    jobs: MemoryJobs = field(default_factory=MemoryJobs)
    links: MemoryLinks = field(default_factory=MemoryLinks)
    options: dict[str, Any] = field(default_factory=dict)
    adapter: SlackAdapter = field(init=False)

    def __post_init__(self) -> None:
        self.adapter = self.open()

    def open(self, store: MemoryStore | None = None) -> SlackAdapter:
        """Another process of the service, by default with the same store."""
        context = AdapterContext(
            settings=load_settings(Settings, ERNI_DATA_DIR=self.folder / "data"),
            store=store or self.store,
            jobs=self.jobs,
            links=self.links,
            node_id="node",
        )
        options = {
            "SLACK_BOT_TOKEN": self.server.installation(self.workspace).token,
            "SLACK_APP_TOKEN": self.server.app.app_token,
            "SLACK_API_BASE_URL": self.server.api_url,
        }
        return SlackAdapter(context, load_settings(SlackSettings, **(options | self.options)))

    @asynccontextmanager
    async def running(
        self, adapter: SlackAdapter | None = None, submit: Submit | None = None
    ) -> AsyncIterator[SlackAdapter]:
        """The door open."""
        adapter = adapter or self.adapter
        before = len(self.server.delivery.connections)
        task = asyncio.create_task(adapter.run(submit or self.jobs.submit))
        try:
            await self.server.connected(before + 1)
            yield adapter
        finally:
            await end(task)

    def thread(self, message: Message, channel: Channel | None = None) -> list[Message]:
        """What people see under a message, and nobody deleted."""
        root = message.thread_ts or message.ts
        return self.server.messages(channel or self.channel, root)

    def answers(self, message: Message, channel: Channel | None = None) -> list[Message]:
        """The messages that answer shares in a thread, by what they carry."""
        return [
            reply
            for reply in self.thread(message, channel)
            if (reply.metadata or {}).get("event_type") == SHARE_EVENT
        ]

    async def answered(self, message: Message, count: int = 1, *, text: str = "") -> list[Message]:
        """Wait until there are `count` answers, each with `text` in what is shown."""
        await self.server.until(
            lambda: len(found := self.answers(message)) >= count and all(text in one.shown for one in found)
        )
        return self.answers(message)

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

    def files(self, message: Message) -> dict[str, bytes]:
        """The transcript's files that people see in a thread, by name."""
        return {
            file.name: file.data
            for reply in self.thread(message)
            for file in self.server.attached(reply)
            if not file.deleted and reply.user != self.anna.id
        }


@asynccontextmanager
async def desk(folder: Path, **options: Any) -> AsyncIterator[Desk]:
    """See `Desk`; `options` are settings of the door."""
    async with serving() as server:
        workspace = server.add_workspace()
        anna = server.add_user(workspace, "anna.example")
        bo = server.add_user(workspace, "bo.example")
        root = server.add_user(workspace, "root", is_admin=True)
        channel = server.add_channel(workspace, "design", creator=anna, members=[anna, bo])
        yield Desk(
            server=server,
            workspace=workspace,
            channel=channel,
            anna=anna,
            bo=bo,
            root=root,
            folder=folder,
            options=options,
        )
