"""A Google Drive and a Dropbox on this machine, the tests' own, as the benchmark `clouds` wants them.

In each somebody's folder is watched by the service, and the service is told of changes in one of several
ways.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from connectors.dropbox.client import Access
from connectors.dropbox.webhook import PATH as WEBHOOK
from connectors.gdrive import credentials
from core.vault import Vault
from tests.vendors import dropbox_server, gdrive
from tests.vendors.dropbox_model import content
from tests.vendors.faults import Fault
from tests.vendors.gdrive_model import Account, Content, File

Way = Literal["polling", "push", "longpoll", "webhook"]
WAYS: dict[str, tuple[Way, ...]] = {
    "gdrive": ("polling", "push"),
    "dropbox": ("polling", "longpoll", "webhook"),
}
"""How the service hears of changes, by connector. Besides it asks now and then whatever it is told."""

_PUBLIC = "https://erni.example"
_INBOX = "/Inbox"
_MARK = ".transcript"
_DAY = 86_400.0
_JITTER = 45.0  # seconds: Dropbox adds up to 90 to every wait for changes
_UNUSED = dict.fromkeys(
    (
        *("GDRIVE_CREDENTIALS", "GDRIVE_FOLDERS", "GDRIVE_SUBJECT"),
        *("DROPBOX_APP_KEY", "DROPBOX_APP_SECRET", "DROPBOX_REFRESH_TOKEN", "DROPBOX_FOLDERS"),
    ),
    "",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainRequest:
    """How to fetch the bytes of a file from a server with no library in between: an HTTP request."""

    method: str
    url: str
    headers: dict[str, str]


class Cloud(Protocol):
    """A platform with a watched folder."""

    def settings(self) -> dict[str, str]:
        """The environment of a service that watches the folder; what is not used is empty."""
        ...

    async def reach(self, address: str) -> None:
        """The service is there from now on."""
        ...

    def tells(self) -> bool:
        """Whether everything is arranged for the service to hear of changes."""
        ...

    def fill(self, names: Iterable[str]) -> None:
        """Files have been in the folder since yesterday, every one with bytes of its own."""
        ...

    def upload(self, name: str, data: bytes | Path) -> str:
        """Somebody puts a file into the folder, which is complete with that. Returns its id."""
        ...

    def outputs(self) -> list[str]:
        """The names of the transcripts in the folder."""
        ...

    async def stir(self) -> None:
        """Tell the service of a change although there is none."""
        ...

    def calls(self) -> Counter[str]:
        """What was asked of the platform so far and granted, by method."""
        ...

    def set_clock(self, clock: Callable[[], float]) -> None:
        """What the platform's Unix time is from now on."""
        ...

    def secret(self) -> tuple[str, str]:
        """The id of the folder, and a secret for `core.places.Credentials`."""
        ...

    def plainly(self, file_id: str) -> PlainRequest:
        """How to fetch a file with no library."""
        ...


@dataclass(slots=True, kw_only=True)
class Drive:
    """A folder of a shared drive; the service is a service account."""

    server: gdrive.GDriveServer
    way: Way
    home: Path
    anna: Account
    account: Account
    inbox: File

    def settings(self) -> dict[str, str]:
        key_file = self.home / "key.json"
        key_file.write_text(json.dumps(self.server.key_file(self.account)))
        reached = {"ERNI_PUBLIC_URL": _PUBLIC} if self.way == "push" else {}
        return {
            **_UNUSED,
            **reached,
            "ERNI_ADAPTERS": "gdrive",
            "ERNI_ENCRYPTION_KEY": Vault.new_key(),
            "GDRIVE_API_BASE_URL": self.server.api_url,
            "GDRIVE_CREDENTIALS": str(key_file),
            "GDRIVE_FOLDERS": self.inbox.id,
        }

    async def reach(self, address: str) -> None:
        self.server.push.hosts[_PUBLIC] = address

    def tells(self) -> bool:
        return self.way != "push" or bool(self.server.push.live())

    def fill(self, names: Iterable[str]) -> None:
        self.server.advance(-_DAY)
        for file in self.server.fill(self.inbox, list(names), by=self.anna):
            file.head.content = Content(f"This is {file.name}.".encode())
        self.server.advance(_DAY)

    def upload(self, name: str, data: bytes | Path) -> str:
        file = self.server.upload(self.inbox, name, data, by=self.anna)
        assert file.head.content.checksums  # of a large file these take seconds, once
        return file.id

    def outputs(self) -> list[str]:
        found = self.server.drive.children[self.inbox.id].values()
        return [file.name for file in found if _MARK in file.name and not file.trashed]

    async def stir(self) -> None:
        self.server.push.notify()
        await self.server.push.delivered()

    def calls(self) -> Counter[str]:
        return Counter(call.method for call in self.server.calls if call.status // 100 in (2, 3))

    def set_clock(self, clock: Callable[[], float]) -> None:
        self.server.drive.clock = clock

    def secret(self) -> tuple[str, str]:
        return self.inbox.id, credentials.service_account(self.server.key_file(self.account))

    def plainly(self, file_id: str) -> PlainRequest:
        return PlainRequest(
            method="GET",
            url=f"{self.server.api_url}files/{file_id}?alt=media&supportsAllDrives=true",
            headers={"Authorization": f"Bearer {self.server.token(self.account)}"},
        )


@dataclass(slots=True, kw_only=True)
class Dropbox:
    """A folder of a person's, who connected the service. Where it is not to hear of changes by `longpoll`,
    that is refused."""

    server: dropbox_server.DropboxServer
    way: Way
    ann: dropbox_server.Person
    grant: dropbox_server.Grant

    def settings(self) -> dict[str, str]:
        assert self.grant.refresh_token is not None
        return _UNUSED | {
            "ERNI_ADAPTERS": "dropbox",
            "DROPBOX_APP_KEY": self.server.app.key,
            "DROPBOX_APP_SECRET": self.server.app.secret if self.way == "webhook" else "",
            "DROPBOX_REFRESH_TOKEN": self.grant.refresh_token,
            "DROPBOX_FOLDERS": _INBOX,
            "DROPBOX_API_BASE_URL": self.server.origin,
        }

    async def reach(self, address: str) -> None:
        if self.way == "webhook" and not await self.server.webhooks.verify(address + WEBHOOK):
            raise ValueError("The service does not answer the webhook's challenge.")

    def tells(self) -> bool:
        return self.way != "longpoll" or self.server.longpoll.waiting > 0

    def fill(self, names: Iterable[str]) -> None:
        self.server.advance(-_DAY)
        self.ann.upload_many(_INBOX, names)
        self.server.advance(_DAY)
        for file in self.ann.folder(_INBOX).children.values():
            if isinstance(file, dropbox_server.File):
                own = content(f"This is {file.name}.".encode())
                file.revisions[-1] = replace(file.current, content=own)

    def upload(self, name: str, data: bytes | Path) -> str:
        return self.ann.upload(f"{_INBOX}/{name}", data).id

    def outputs(self) -> list[str]:
        return [node.name for node in self.ann.folder(_INBOX).children.values() if _MARK in node.name]

    async def stir(self) -> None:
        self.server.longpoll.end()

    def calls(self) -> Counter[str]:
        return Counter(call.route for call in self.server.calls if call.status == 200)

    def set_clock(self, clock: Callable[[], float]) -> None:
        self.server.storage.clock = self.server.grants.clock = clock

    def secret(self) -> tuple[str, str]:
        assert self.grant.refresh_token is not None
        access = Access(app_key=self.server.app.key, refresh_token=self.grant.refresh_token)
        return self.ann.find(_INBOX).id, access.to_json()

    def plainly(self, file_id: str) -> PlainRequest:
        arg = json.dumps({"path": file_id})
        return PlainRequest(
            method="POST",
            url=f"{self.server.origin}/2/files/download",
            headers={"Authorization": f"Bearer {self.grant.access_token}", "Dropbox-API-Arg": arg},
        )


@asynccontextmanager
async def running(connector: str, way: Way, home: Path) -> AsyncIterator[Cloud]:
    """The platform of a connector. `home` is a folder for what the service is to read."""
    if connector == "gdrive":
        async with gdrive.serving() as drive:
            anna = drive.person("anna@example.com")
            account = drive.service_account()
            team = drive.shared_drive("Team", {anna: "organizer", account: "fileOrganizer"})
            inbox = drive.folder(team, "Inbox")
            yield Drive(server=drive, way=way, home=home, anna=anna, account=account, inbox=inbox)
    else:
        async with dropbox_server.serving() as box:
            box.api.keep_answers = False
            box.longpoll.jitter = _JITTER
            if way != "longpoll":
                box.fail_always("files/list_folder/longpoll", Fault(status=503))
            ann = box.add_person("Ann Lee")
            ann.make_folder(_INBOX)
            yield Dropbox(server=box, way=way, ann=ann, grant=box.connect(ann, pkce=True))
