"""Files in OneDrive and SharePoint: what an address points to, and where else it can be found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from bots.teams.graph import Graph, quoted
from bots.teams.records import Drive, DriveItem, Grant, Place, below, objects, share_token
from bots.teams.troubles import Gone, MissingPermission, Need, Refused
from core.errors import Transient

READ: Final = Need(doing="read files", permission="Files.Read.All")
LINKS: Final = Need(doing="open what this link points to", permission="Files.ReadWrite.All")
WRITE: Final = Need(doing="put files beside a recording", permission="Files.ReadWrite.All")

_SELECT: Final = "?$select=id,name,size,file,folder,eTag,cTag,webUrl,parentReference,remoteItem,createdBy"
_FOLDER = "This link leads to a folder. Share the recording itself."


class Drives:
    """The files that the app of `graph` can see. Methods raise as those of `Graph`."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    async def find(self, url: str, *, place: Place | None = None, people: Sequence[str] = ()) -> DriveItem:
        """The file at an address in SharePoint or OneDrive, also a sharing link.

        Opening addresses needs Files.ReadWrite.All. With Files.Read.All it is looked for in the library of
        the channel `place`, and in the OneDrive of `people`, ids of the directory: nobody can tell where else
        a file of its address might be. Raises Gone, Refused (a folder), MissingPermission.
        """
        try:
            return await self._shared(url)
        except MissingPermission as error:
            missing = error
        if place is not None and place.channel:
            found = await self._in_library(url, place)
            if found is not None:
                return found
        for person in people:
            found = await self._in_onedrive(url, person)
            if found is not None:
                return found
        raise missing

    async def _shared(self, url: str) -> DriveItem:
        path = f"/shares/{quoted(share_token(url))}/driveItem{_SELECT}"
        return _file(DriveItem.from_payload(await self.graph.get(LINKS, path)))

    async def _in_library(self, url: str, place: Place) -> DriveItem | None:
        try:
            folder = await self.folder(place)
            drive = await self.drive(folder.drive)
        except (MissingPermission, Gone):
            return None
        return await self._in_drive(url, drive)

    async def _in_onedrive(self, url: str, person: str) -> DriveItem | None:
        try:
            drive = await self.onedrive(person)
        except (MissingPermission, Gone):
            return None
        return await self._in_drive(url, drive)

    async def _in_drive(self, url: str, drive: Drive) -> DriveItem | None:
        path = below(url, drive.web_url)
        if path is None:
            return None
        where = f"/drives/{quoted(drive.id)}/root:/{quote(path)}{_SELECT}"
        return _file(DriveItem.from_payload(await self.graph.get(READ, where)))

    async def folder(self, place: Place, need: Need = READ) -> DriveItem:
        """The folder in which a channel keeps its files; `need` is what for."""
        path = f"/teams/{quoted(place.team)}/channels/{quoted(place.channel)}/filesFolder"
        return _known(DriveItem.from_payload(await self.graph.get(need, path)))

    async def drive(self, drive: str) -> Drive:
        """A document library."""
        return await self._drive(f"/drives/{quoted(drive)}")

    async def onedrive(self, person: str) -> Drive:
        """Somebody's OneDrive. Raises Gone if they have none."""
        return await self._drive(f"/users/{quoted(person)}/drive")

    async def grants(self, item: DriveItem) -> list[Grant]:
        """Who can open a file besides those who can open all of its library, as far as Graph tells."""
        path = f"{at(item.drive, item.id)}/permissions"
        return [Grant.from_payload(each) async for each in self.graph.listed(READ, path)]

    async def _drive(self, path: str) -> Drive:
        found = Drive.from_payload(await self.graph.get(READ, f"{path}?$select=id,webUrl,owner"))
        if not found.id:
            raise Transient("Microsoft Graph answered without a drive.")
        return found

    async def item(self, drive: str, item: str) -> DriveItem:
        """A file as it is now. Raises Gone if it was deleted."""
        return _known(DriveItem.from_payload(await self.graph.get(READ, f"{at(drive, item)}{_SELECT}")))

    async def child(self, drive: str, folder: str, name: str) -> DriveItem:
        """The file of that name in a folder. Raises Gone if there is none."""
        path = f"{at(drive, folder)}:/{quoted(name)}{_SELECT}"
        return _known(DriveItem.from_payload(await self.graph.get(READ, path)))

    async def let_in(self, item: DriveItem, people: Sequence[str]) -> bool:
        """Let `people`, ids of the directory, look at a file, of which they are not told. False: not all of
        them could be. Safe to repeat. Raises Refused or Denied where none could."""
        answer = await self.graph.ask(
            WRITE,
            "POST",
            f"{at(item.drive, item.id)}/invite",
            json={
                "recipients": [{"objectId": person} for person in people],
                "roles": ["read"],
                "requireSignIn": True,
                "sendInvitation": False,
            },
        )
        return not any(each.get("error") for each in objects(answer.data.get("value")))

    async def delete(self, drive: str, item: str, *, etag: str = "") -> None:
        """Delete a file; one that is gone already is fine. With `etag`, raises Conflict if it was changed."""
        try:
            await self.graph.ask(
                WRITE, "DELETE", at(drive, item), headers={"If-Match": etag} if etag else None
            )
        except Gone:
            return


def at(drive: str, item: str) -> str:
    """The path of a file or folder in Graph."""
    return f"/drives/{quoted(drive)}/items/{quoted(item)}"


def _known(item: DriveItem) -> DriveItem:
    if not item.drive or not item.id:
        raise Transient("Microsoft Graph answered without saying where the file lies.")
    return item


def _file(item: DriveItem) -> DriveItem:
    if _known(item).is_folder:
        raise Refused(_FOLDER, code="folder")
    return item
