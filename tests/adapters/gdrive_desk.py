"""A Google Drive on this machine with a watched folder, our door to it, and a worker's part played by the
test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from aiohttp import web

from connectors.gdrive import credentials
from connectors.gdrive.adapter import GDriveFolders
from connectors.gdrive.connecting import GDriveConnecting
from connectors.gdrive.credentials import SCOPE
from connectors.gdrive.place import DrivePlace
from connectors.gdrive.settings import GDriveSettings
from core.following import Rhythm
from core.model import Job, Recording, Transcript, Utterance, Word
from core.places import Credentials, Keyring, WatchedFolder, WatchedFolders
from core.policies import ChannelPolicy
from core.ports import AdapterContext
from core.settings import Settings, load_settings
from core.testing import MemoryJobs, MemoryLinks, MemoryStore
from core.vault import Vault
from tests.vendors import faults
from tests.vendors.gdrive import GDriveServer, serving
from tests.vendors.gdrive_model import Account, File, SharedDrive
from tests.vendors.gdrive_oauth import Grant

TALK = bytes(range(256)) * 40
RHYTHM = Rhythm(changes=0.2, settle=0.05, grace=0.2, denied=0.2)
PAUSE = 0.01

Way = Literal["person", "shared drive", "service account"]


def saying(text: str, recording: Recording) -> Transcript:
    """A transcript of one utterance."""
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
    """Everything at hand. `anna` owns what there is; `home` is what `inbox`, the watched folder, lies in, and
    `account` is who the service is: she, or a service account."""

    server: GDriveServer
    anna: Account
    account: Account
    home: Account | SharedDrive
    inbox: File
    secret: str
    tmp_path: Path
    store: MemoryStore = field(default_factory=MemoryStore)
    jobs: MemoryJobs = field(default_factory=MemoryJobs)
    key: str = field(default_factory=Vault.new_key)
    public_url: str | None = None
    max_bytes: int | None = None
    rhythm: Rhythm = RHYTHM
    settings: dict[str, Any] = field(default_factory=dict)
    _places: list[DrivePlace] = field(default_factory=list)
    _adapters: list[GDriveFolders] = field(default_factory=list)

    @property
    def context(self) -> AdapterContext:
        changes: dict[str, Any] = {} if self.public_url is None else {"ERNI_PUBLIC_URL": self.public_url}
        changes |= {} if self.max_bytes is None else {"ERNI_MAX_BYTES": self.max_bytes}
        settings = load_settings(
            Settings,
            ERNI_DATA_DIR=self.tmp_path,
            ERNI_ENCRYPTION_KEY=self.key,
            ERNI_FORMATS="txt",
            **changes,
        )
        return AdapterContext(
            settings=settings, store=self.store, jobs=self.jobs, links=MemoryLinks(), node_id="node"
        )

    def gdrive(self) -> GDriveSettings:
        return load_settings(GDriveSettings, GDRIVE_API_BASE_URL=self.server.api_url, **self.settings)

    def open(self) -> GDriveFolders:
        """The service starts."""
        self._adapters.append(GDriveFolders(self.context, self.gdrive(), rhythm=self.rhythm, pause=PAUSE))
        return self._adapters[-1]

    @property
    def credentials(self) -> Credentials:
        return Credentials(account="account", label=self.account.email, secret=self.secret)

    async def watch(self, folder: File | None = None, **changes: Any) -> WatchedFolder:
        """The folder is put on record."""
        settings = self.context.settings
        await Keyring(self.store, settings, "gdrive").save(self.credentials)
        watched = WatchedFolder(
            connector="gdrive",
            id=(folder or self.inbox).id,
            account="account",
            name="Inbox",
            policy=ChannelPolicy(formats=("txt",)),
            backfill=True,
        )
        watched = replace(watched, **changes)
        await WatchedFolders(self.store, settings, "gdrive").save(watched)
        return watched

    def place(self, folder: File | None = None, *, recursive: bool = True) -> DrivePlace:
        """The way into a folder, without all that is around it."""
        connecting = GDriveConnecting(self.gdrive(), pause=PAUSE)
        watched = WatchedFolder(
            connector="gdrive",
            id=(folder or self.inbox).id,
            account="account",
            name="Inbox",
            recursive=recursive,
        )
        self._places.append(connecting.open(watched, self.credentials))
        return self._places[-1]

    def texts(self, folder: File | None = None, *, notes: bool = False) -> dict[str, list[str]]:
        """What people see of our outputs in a folder: texts by name."""
        found: dict[str, list[str]] = {}
        for file in self.server.files_in(folder or self.inbox):
            if ".transcript" in file.name and ("transcript-error" in file.name) == notes:
                found.setdefault(file.name, []).append(file.text)
        return found

    async def close(self) -> None:
        for place in self._places:
            await place.close()
        for adapter in self._adapters:
            await adapter.tended.close()


def refresh_token(server: GDriveServer, account: Account) -> str:
    """A secret for what somebody consented to."""
    client = server.client()
    grant = Grant(value=f"1//{account.id}", account=account, client=client.id, scopes=frozenset({SCOPE}))
    server.oauth.grants[grant.value] = grant
    return credentials.person(
        client_id=client.id,
        client_secret=client.secret,
        token_uri=server.oauth.token_uri,
        refresh_token=grant.value,
    )


@asynccontextmanager
async def desk(tmp_path: Path, way: Way = "person", **changes: Any) -> AsyncIterator[Desk]:
    """A person connected their own Drive; or a service account is a member of a shared drive, or was given a
    folder of My Drive."""
    async with serving() as server:
        anna = account = server.person("anna@example.com")
        home: Account | SharedDrive = anna
        secret = refresh_token(server, anna)
        if way != "person":
            account = server.service_account()
            secret = await asyncio.to_thread(credentials.service_account, server.key_file(account))
        if way == "shared drive":
            home = server.shared_drive("Team", {anna: "organizer", account: "fileOrganizer"})
        inbox = server.folder(home, "Inbox")
        if way == "service account":
            server.share(inbox, account, "writer")
        at = Desk(
            server=server,
            anna=anna,
            account=account,
            home=home,
            inbox=inbox,
            secret=secret,
            tmp_path=tmp_path,
            **changes,
        )
        try:
            yield at
        finally:
            await at.close()


@asynccontextmanager
async def elsewhere() -> AsyncIterator[tuple[str, list[str]]]:
    """A server that nobody has any business with: its address, and the paths that were asked of it."""
    came: list[str] = []

    async def note(request: web.Request) -> web.Response:
        came.append(request.path)
        return web.Response(text="{}")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", note)
    async with faults.serving(app) as origin:
        yield origin, came


def job_of(recording: Recording, number: int = 1) -> Job:
    return Job(id=f"job{number}", recording=recording)


def key_path(at: Desk) -> str:
    """A service account's key file on disk."""
    path = at.tmp_path / "key.json"
    path.write_text(json.dumps(at.server.key_file(at.account)))
    return str(path)
