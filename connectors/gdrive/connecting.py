"""Setting Google Drive up: accounts, folders by link or path, and the way into them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from connectors.gdrive.client import EVERYWHERE, DriveClient, Json
from connectors.gdrive.consent import ask_person, read_json
from connectors.gdrive.credentials import owns_nothing, service_account
from connectors.gdrive.files import FOLDER, SHORTCUT, is_folder, parent_of, quoted
from connectors.gdrive.key_file import KeyFile
from connectors.gdrive.links import id_in, is_id
from connectors.gdrive.place import DrivePlace
from connectors.gdrive.settings import GDriveSettings
from core.connecting import Dialogue, FoundFolder, Option
from core.enrolment import Named
from core.errors import AuthFailed, Rejected
from core.places import Credentials, WatchedFolder
from core.settings import Settings, load_settings

_FIELDS: Final = "id,name,mimeType,trashed,parents,webViewLink,driveId,shortcutDetails(targetId)"
_DEEPEST: Final = 50
_CHOICES: Final = {
    "service": "a service account: a robot with an address of its own, with which you share the folders",
    "delegated": "a service account that acts as a person of your Google Workspace",
    "person": "a person who allows the service to use their Drive, also without a Workspace",
}


def create(settings: Settings) -> GDriveConnecting:  # noqa: ARG001  (what others need)
    """For `core.registry.CONNECTS`."""
    return GDriveConnecting(load_settings(GDriveSettings))


class GDriveConnecting:
    """See `core.enrolment.Enrolling`."""

    name = "gdrive"
    title = "Google Drive"
    options: Mapping[str, Option] = {
        "document": Option(values=("no", "yes"), help="Whether to make a Google Doc of each transcript."),
        "comments": Option(
            values=("no", "yes"), help="Whether comments on a recording say how its transcription goes."
        ),
    }

    def __init__(self, settings: GDriveSettings, *, pause: float = 1.0) -> None:
        self.settings = settings
        self._pause = pause
        path = settings.credentials
        self._key_file = None if path is None else KeyFile(path, settings.subject)
        self._clients: dict[str, tuple[DriveClient, int]] = {}

    async def connect(self, dialogue: Dialogue) -> Credentials:
        """See the port."""
        kind = dialogue.choose("How is the service to get into Google Drive?", _CHOICES)
        if kind == "person":
            secret = await ask_person(dialogue)
        else:
            key = read_json(dialogue.ask("Path of the service account's key file"))
            subject = dialogue.ask("Address of the person to act as") if kind == "delegated" else ""
            if kind == "delegated" and "@" not in subject:
                raise Rejected("This is no address. Write one such as ada@example.com.")
            key = key if isinstance(key, dict) else {}
            secret = await asyncio.to_thread(service_account, key, subject)
        return await self.credentials(secret)

    async def credentials(self, secret: str) -> Credentials:
        """Try a secret, and find out whose it is. Raises AuthFailed, Transient."""
        client = self._client(secret)
        try:
            told = await client.ask(
                lambda drive: drive.about().get(fields="user(emailAddress,permissionId)"), "user"
            )
        finally:
            client.close()
        user = told["user"]
        account = hashlib.sha256(str(user["permissionId"]).encode()).hexdigest()[:16]
        return Credentials(account=account, label=str(user.get("emailAddress") or account), secret=secret)

    async def find(self, credentials: Credentials, text: str) -> FoundFolder:
        """See the port. Paths begin in My Drive, or with "Shared drives" and the name of one."""
        client = self._client((await self.resolved(credentials)).secret)
        try:
            told = await self._find(client, text.strip(), credentials.label)
            if told.get("trashed"):
                raise Rejected("This folder lies in the bin. Restore it first.")
            around: list[str] = []
            above = parent_of(told)
            while above and above not in around and len(around) < _DEEPEST:
                around.append(above)
                outer = await client.file(above, _FIELDS)
                above = "" if outer is None else parent_of(outer)
            return FoundFolder(
                id=told["id"], name=told["name"], link=told.get("webViewLink", ""), around=tuple(around)
            )
        finally:
            client.close()

    def named(self, settings: Settings) -> Named:
        """See `core.enrolment.Enrolling`."""
        own = self.settings
        chosen = {"document": own.document, "comments": own.comments}
        return Named(
            folders=own.folders,
            policy=own.policy(settings),
            output=own.output,
            backfill=own.backfill,
            options={name: "yes" if value else "no" for name, value in chosen.items()},
            settings=("GDRIVE_CREDENTIALS", "GDRIVE_SUBJECT", "GDRIVE_FOLDERS"),
        )

    async def from_settings(self) -> Credentials | None:
        """See `core.enrolment.Enrolling`."""
        file = self._key_file
        if file is None:
            return None
        secret = await asyncio.to_thread(file.secret)
        return replace(await self.credentials(secret), secret="", reference=file.reference(secret))

    async def resolved(self, credentials: Credentials) -> Credentials:
        """See `core.enrolment.Enrolling`."""
        if credentials.secret:
            return credentials
        return await asyncio.to_thread(self._resolved, credentials)

    def _resolved(self, credentials: Credentials) -> Credentials:
        if credentials.secret:
            return credentials
        if self._key_file is None:
            raise AuthFailed(
                "The key of this account is in the file that GDRIVE_CREDENTIALS names, which is not set "
                "here. Set it, or run `erni-audio connect gdrive`."
            )
        return replace(credentials, secret=self._key_file.secret(credentials.reference))

    def open(self, folder: WatchedFolder, credentials: Credentials) -> DrivePlace:
        """See the port. Folders of one account share its connections."""
        credentials = self._resolved(credentials)
        return DrivePlace(
            self._borrow(credentials),
            folder.id,
            recursive=folder.recursive,
            owns_nothing=owns_nothing(credentials.secret),
            done=lambda: self._release(credentials.fingerprint),
        )

    @asynccontextmanager
    async def using(self, credentials: Credentials) -> AsyncIterator[DriveClient]:
        """The way into an account for a while. Raises AuthFailed if there is none."""
        credentials = await self.resolved(credentials)
        client = self._borrow(credentials)
        try:
            yield client
        finally:
            self._release(credentials.fingerprint)

    def _borrow(self, credentials: Credentials) -> DriveClient:
        fingerprint = credentials.fingerprint
        client, users = self._clients.get(fingerprint) or (self._client(credentials.secret), 0)
        self._clients[fingerprint] = client, users + 1
        return client

    def _release(self, fingerprint: str) -> None:
        client, users = self._clients.pop(fingerprint)
        if users > 1:
            self._clients[fingerprint] = client, users - 1
        else:
            client.close()

    def _client(self, secret: str) -> DriveClient:
        return DriveClient(secret, base_url=self.settings.api_base_url, pause=self._pause)

    async def _find(self, client: DriveClient, text: str, label: str) -> Json:
        file_id = id_in(text)
        if file_id is None and text.startswith(("http:", "https:")):
            raise Rejected(
                "This is no link to a folder in Google Drive. Open the folder in a browser and copy "
                "the address."
            )
        told = None
        if file_id is not None or is_id(text):
            told = await client.file(file_id or text, _FIELDS)
        if told is None and file_id is None:
            return await self._walk(client, text)
        if told is not None and told.get("mimeType") == SHORTCUT:
            told = await client.file(told["shortcutDetails"]["targetId"], _FIELDS)
        if told is None:
            raise Rejected(
                f"There is no such folder, or it is not shared with {label}. Share it with that address."
            )
        if not is_folder(told):
            raise Rejected("This is a file. Name the folder that it is in.")
        return told

    async def _walk(self, client: DriveClient, path: str) -> Json:
        parts = [part for part in path.split("/") if part]
        if parts[:1] == ["My Drive"]:
            parts = parts[1:]
        at: Json | None = None
        if parts[:1] == ["Shared drives"] and len(parts) > 1:
            at = await self._only(client, await _shared_drives(client), parts[1])
            parts = parts[2:]
        else:
            at = await client.file("root", _FIELDS)
        for name in parts:
            if at is None:
                break
            query = (
                f"{quoted(at['id'])} in parents and trashed = false and mimeType = {quoted(FOLDER)} and "
                f"name = {quoted(name)}"
            )
            found = await client.ask(
                lambda drive, query=query: drive.files().list(  # type: ignore[misc]
                    q=query, fields="files(id,name)", **EVERYWHERE
                )
            )
            at = await self._only(client, found.get("files", ()), name)
        if at is None:
            raise Rejected("There is no folder with this path in Google Drive. Use its link instead.")
        return at

    async def _only(self, client: DriveClient, found: list[Json], name: str) -> Json | None:
        same = [told for told in found if told["name"] == name]
        if len(same) > 1:
            raise Rejected(f"There are several folders called {name}. Use the link of the one you mean.")
        return await client.file(same[0]["id"], _FIELDS) if same else None


async def _shared_drives(client: DriveClient) -> list[Json]:
    """Id and name of all that the account is a member of."""
    found: list[Json] = []
    more: dict[str, Any] = {}
    while True:
        answer = await client.ask(
            lambda drive, more=more: drive.drives().list(  # type: ignore[misc]
                pageSize=100, fields="nextPageToken,drives(id,name)", **more
            )
        )
        found += answer.get("drives", ())
        if not answer.get("nextPageToken"):
            return found
        more = {"pageToken": answer["nextPageToken"]}
