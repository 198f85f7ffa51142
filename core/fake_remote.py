"""The way into a cloud in memory, for tests of what watches folders and writes into them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from core.connecting import Dialogue, FoundFolder, Option
from core.enrolment import Named
from core.errors import AuthFailed, Rejected
from core.fake_cloud import ROOT, FakeCloud, Item, digest
from core.filenames import folded
from core.places import Credentials, WatchedFolder
from core.policies import ChannelPolicy
from core.ports import Readiness
from core.remote import Changed, CursorLost, FolderGone, Gone, Held, Occupied, Output, Page, RemoteFile
from core.settings import Settings

CONSENT = "good"
"""The code that the cloud gives to who consents."""


class FakePlace:
    """A `RemotePlace`: the watched folder of a cloud, in the hands of the service."""

    def __init__(self, cloud: FakeCloud, root: str = ROOT) -> None:
        self.cloud = cloud
        self.root = root
        self.closed = False

    async def listing(self) -> AsyncIterator[Page]:
        self._ask("list")
        cursor = f"{self.cloud.epoch}:{len(self.cloud.log)}"
        found = [
            file for item in list(self.cloud.items.values()) if (file := self.cloud.remote(item, self.root))
        ]
        for start in range(0, max(1, len(found)), self.cloud.page):
            yield Page(items=tuple(found[start : start + self.cloud.page]), cursor=cursor)

    async def changes(self, cursor: str) -> Page:
        self._ask("changes")
        epoch, _, index = cursor.partition(":")
        if int(epoch) != self.cloud.epoch:
            raise CursorLost
        end = int(index) + self.cloud.page
        items: list[RemoteFile | Gone] = []
        unclear = False
        for row in self.cloud.log[int(index) : end]:
            if isinstance(row, Gone):
                items.append(row)
                continue
            item = self.cloud.items.get(row)
            unclear = unclear or (item is not None and item.data is None)
            file = None if item is None else self.cloud.remote(item, self.root)
            if file is not None:
                items.append(file)
            elif not self.cloud.unique:
                items.append(Gone(id=row))
        end = min(end, len(self.cloud.log))
        return Page(
            items=tuple(items), cursor=f"{epoch}:{end}", more=end < len(self.cloud.log), unclear=unclear
        )

    async def deleted(self, ids: Collection[str]) -> frozenset[str]:
        self._ask("deleted")
        return frozenset(file_id for file_id in ids if self.cloud.is_deleted(file_id))

    async def look(self, file_id: str) -> RemoteFile | None:
        self._ask("look")
        item = self.cloud.items.get(file_id)
        return None if item is None else self.cloud.remote(item, self.root)

    async def download(self, file: RemoteFile, into: Path) -> None:
        self._ask("download")
        item = self.cloud.items.get(file.id)
        if item is None or item.data is None or item.binned or digest(item.data) != file.content:
            raise Changed
        await asyncio.to_thread(into.write_bytes, item.data)

    async def check(self) -> Readiness:
        try:
            self._ask("check")
        except AuthFailed as error:
            return Readiness(usable=False, reason=str(error), remedy="Connect anew.")
        return Readiness(usable=True)

    def digest(self, data: bytes) -> str:
        return digest(data)

    async def subfolder(self, folder: str, name: str) -> str:
        self._enter("subfolder", folder)
        found = [item for item in self.cloud.inside(folder) if item.data is None and item.name == name]
        if found:
            return found[0].id
        made = Item(id=self.cloud.next_id(), name=name, parent=folder)
        self.cloud.items[made.id] = made
        self.cloud.step("subfolder made")
        return made.id

    async def reserve(self, count: int) -> Sequence[str]:
        self._ask("reserve")
        if not self.cloud.reserves:
            return [""] * count
        return [f"reserved-{self.cloud.next_id()}" for _ in range(count)]

    async def present(self, folder: str, names: Collection[str]) -> Mapping[str, Sequence[Held]]:
        self._enter("present", folder)
        return {name: [_held(item) for item in self._bearing(folder, name)] for name in names}

    async def create(self, folder: str, name: str, output: Output, *, file_id: str) -> Held:
        self._enter("create", folder)
        if file_id and file_id in self.cloud.items:
            return _held(self.cloud.items[file_id])
        if self.cloud.unique and self._bearing(folder, name):
            raise Occupied
        item = Item(
            id=file_id or self.cloud.next_id(),
            name=name,
            parent=folder,
            data=output.data,
            modified=int(self.cloud.now * 1e9),
            appeared=self.cloud.now,
            made_from=output.made_from,
            made_for=output.made_for if self.cloud.marks else "",
        )
        self.cloud.put(item)
        self.cloud.step("created")
        return _held(item)

    async def replace(self, held: Held, output: Output) -> Held:
        self._ask("replace")
        item = self._guarded(held)
        self.cloud.replace(item.id, output.data)
        self.cloud.items[item.id] = replace(
            self.cloud.items[item.id],
            made_from=output.made_from,
            made_for=output.made_for if self.cloud.marks else "",
        )
        self.cloud.step("replaced")
        return _held(self.cloud.items[item.id])

    async def delete(self, held: Held) -> None:
        self._ask("delete")
        if held.id in self.cloud.items and not self.cloud.items[held.id].binned:
            self.cloud.bin(self._guarded(held).id)
            self.cloud.step("deleted")

    async def close(self) -> None:
        self.closed = True

    def _guarded(self, held: Held) -> Item:
        item = self.cloud.items.get(held.id)
        if item is None or item.binned or str(item.revision) != held.revision:
            raise Changed
        return item

    def _bearing(self, folder: str, name: str) -> list[Item]:
        same = folded if self.cloud.unique else str
        return [item for item in self.cloud.inside(folder) if same(item.name) == same(name)]

    def _enter(self, what: str, folder: str) -> None:
        self._ask(what)
        if folder != self.root and (
            folder not in self.cloud.items or self.cloud.path(folder, self.root) is None
        ):
            raise FolderGone

    def _ask(self, what: str) -> None:
        self.cloud.calls.append(what)
        self.cloud.step(what)
        if self.cloud.trouble is not None:
            raise self.cloud.trouble


def _held(item: Item) -> Held:
    return Held(
        id=item.id,
        name=item.name,
        folder=item.parent or "",
        digest="" if item.data is None else digest(item.data),
        revision=str(item.revision),
        made_for=item.made_for,
    )


class FakeConnecting:
    """A `Connecting` to a cloud, whose folders are named by their paths, with "/" for the watched one."""

    name = "fake"
    title = "Fake Cloud"
    options: Mapping[str, Option] = {"doc": Option(values=("no", "yes"), help="Whether to make a document.")}

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud = cloud
        self.places: list[FakePlace] = []

    async def connect(self, dialogue: Dialogue) -> Credentials:
        dialogue.say("Open https://cloud.example/consent and copy the code.")
        code = dialogue.ask("Code", hidden=True)
        if code != CONSENT:
            raise Rejected("This code is not right. Copy it anew.")
        return Credentials(account="account1", label="ada@cloud.example", secret=code)

    async def find(self, credentials: Credentials, text: str) -> FoundFolder:
        if credentials.secret != CONSENT:
            raise AuthFailed("The cloud does not accept the credentials any more.")
        path = text.strip("/")
        for item in self.cloud.items.values():
            if item.data is None and self.cloud.path(item.id) == path:
                around = []
                above = item.parent
                while above is not None:
                    around.append(above)
                    above = self.cloud.items[above].parent
                return FoundFolder(id=item.id, name=f"/{path}", around=tuple(around))
        raise Rejected(f"There is no folder {text} in the cloud. Check how it is written.")

    def named(self, settings: Settings) -> Named:  # noqa: ARG002  (there are none)
        return Named(
            folders=(), policy=ChannelPolicy(), output="beside", backfill=False, options={}, settings=()
        )

    async def from_settings(self) -> Credentials | None:
        return None

    async def resolved(self, credentials: Credentials) -> Credentials:
        return credentials

    def open(self, folder: WatchedFolder, credentials: Credentials) -> FakePlace:
        if credentials.secret != CONSENT:
            raise AuthFailed("The credentials make no sense.")
        self.places.append(FakePlace(self.cloud, folder.id))
        return self.places[-1]
