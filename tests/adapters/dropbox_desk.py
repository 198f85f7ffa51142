"""A Dropbox on this machine with a watched folder, our door to it, and a worker's part played by the test."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.dropbox.adapter import DropboxFolders
from connectors.dropbox.client import Access
from connectors.dropbox.connecting import DropboxConnecting
from connectors.dropbox.settings import DropboxSettings
from core.following import Rhythm
from core.model import Job, Recording, Transcript, Utterance, Word
from core.places import Credentials, Keyring, WatchedFolder, WatchedFolders
from core.policies import ChannelPolicy
from core.ports import AdapterContext, Submit
from core.settings import Settings, load_settings
from core.tasks import end
from core.tending import Opened, take_stock
from core.testing import MemoryJobs, MemoryLinks, MemoryStore
from core.vault import Vault
from tests.vendors.dropbox_server import DropboxServer, Grant, Person, serving

TALK = bytes(range(256)) * 40
INBOX = "/Inbox"
QUICK = Rhythm(changes=0.1, settle=0.02, grace=0.2, denied=0.2)
"""For tests that watch for a while."""
SELDOM = Rhythm(changes=1000.0, listing=1e6, settle=0.02, grace=0.2, denied=0.2)
"""Only notices lead to anything in time."""


def saying(text: str, recording: Recording) -> Transcript:
    """A transcript of one speaker."""
    words = tuple(Word(start=0.0, end=1.0, text=word) for word in text.split())
    return Transcript(
        content_key=recording.content_key,
        languages=("en",),
        seconds=1.0,
        utterances=(Utterance(speaker="Speaker 1", start=0.0, end=1.0, words=words),),
        engine="fake",
    )


@dataclass(kw_only=True)
class Desk:
    """Everything at hand: `ann` connected her account, and her folder /Inbox is watched."""

    server: DropboxServer
    ann: Person
    grant: Grant
    folder: Path
    rhythm: Rhythm = QUICK
    options: dict[str, Any] = field(default_factory=dict)
    store: MemoryStore = field(default_factory=MemoryStore)
    jobs: MemoryJobs = field(default_factory=MemoryJobs)
    settings: Settings = field(init=False)
    adapter: DropboxFolders = field(init=False)

    def __post_init__(self) -> None:
        self.settings = load_settings(
            Settings,
            ERNI_DATA_DIR=self.folder / "data",
            ERNI_ENCRYPTION_KEY=Vault.new_key(),
            ERNI_FORMATS="txt",
        )
        self.adapter = self.open()

    def connecting(self, **options: Any) -> DropboxConnecting:
        """What is behind the commands."""
        chosen = {"DROPBOX_API_BASE_URL": self.server.origin} | self.options | options
        return DropboxConnecting(load_settings(DropboxSettings, **chosen))

    def open(self, **options: Any) -> DropboxFolders:
        """Another process of the service, with the same store."""
        context = AdapterContext(
            settings=self.settings,
            store=self.store,
            jobs=self.jobs,
            links=MemoryLinks(),
            node_id="node",
        )
        return DropboxFolders(context, self.connecting(**options), rhythm=self.rhythm)

    def credentials(self, grant: Grant | None = None) -> Credentials:
        """As `erni-audio connect dropbox` leaves them."""
        grant = grant or self.grant
        assert grant.refresh_token is not None
        access = Access(app_key=self.server.app.key, refresh_token=grant.refresh_token)
        account = grant.account
        return Credentials(account=account.id, label=account.email, secret=access.to_json())

    async def watch(self, path: str = INBOX, **options: Any) -> WatchedFolder:
        """As `erni-audio folders add dropbox` does."""
        credentials = self.credentials()
        await Keyring(self.store, self.settings, "dropbox").save(credentials)
        connecting = self.connecting()
        found = await connecting.find(credentials, path)
        defaults: dict[str, Any] = {
            "policy": ChannelPolicy(formats=("txt",)),
        }
        folder = WatchedFolder(
            connector="dropbox",
            id=found.id,
            account=credentials.account,
            name=found.name,
            link=found.link,
            **(defaults | options),
        )
        folders = WatchedFolders(self.store, self.settings, "dropbox")
        folder = await folders.as_new(folder)
        if not folder.backfill:
            place = connecting.open(folder, credentials)
            await take_stock(self.store, folder, place, lambda _: None)
            await place.close()
        await folders.save(folder)
        return folder

    async def opened(self, path: str = INBOX) -> Opened:
        """The watched folder at a path, as the door has it."""
        found = await self.adapter.tended.opened(self.ann.find(path).id)
        assert found is not None
        return found

    @asynccontextmanager
    async def running(
        self, adapter: DropboxFolders | None = None, submit: Submit | None = None
    ) -> AsyncIterator[DropboxFolders]:
        """The door open."""
        adapter = adapter or self.adapter
        task = asyncio.create_task(adapter.run(submit or self.jobs.submit))
        try:
            yield adapter
        finally:
            await end(task)

    def recordings(self) -> list[Recording]:
        return [view.job.recording for view in self.jobs.views.values()]

    async def submitted(self, count: int) -> list[Job]:
        """Wait until so many recordings were, at least."""
        await self.server.until(lambda: len(self.jobs.views) >= count)
        return [view.job for view in self.jobs.views.values()]

    def outputs(self, path: str = INBOX) -> dict[str, str]:
        """What lies in a folder besides recordings, by name."""
        return {
            name: self.ann.file(f"{path}/{name}").data.decode()
            for name in self.ann.names(path)
            if ".transcript" in name
        }

    async def deliver(self, job: Job, text: str, adapter: DropboxFolders | None = None) -> dict[str, Any]:
        """What a worker does when it is done; the receipt."""
        receipt = await (adapter or self.adapter).deliver(saying(text, job.recording), job)
        found: dict[str, Any] = json.loads(receipt)
        return found


@asynccontextmanager
async def desk(folder: Path, *, watched: bool = True, **fields: Any) -> AsyncIterator[Desk]:
    """See `Desk`; `options` among the fields are settings of the door."""
    async with serving() as server:
        # The library reckons with it, which Python 3.12 deprecates.
        warnings.filterwarnings("ignore", "datetime.datetime.utcnow", DeprecationWarning)
        ann = server.add_person("Ann Lee")
        ann.make_folder(INBOX)
        at = Desk(server=server, ann=ann, grant=server.connect(ann, pkce=True), folder=folder, **fields)
        if watched:
            await at.watch()
        try:
            yield at
        finally:
            await at.adapter.tended.close()
    assert server.misfits() == []
