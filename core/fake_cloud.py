"""Somebody's cloud in memory, and what people do there; for tests. `core.fake_remote` is the way into it."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from core.remote import Gone, RemoteFile

ROOT = "root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A file or, without `data`, a folder. `parent` is None for the top of the cloud. `binned`: it lies in
    the bin, and what is in it with it."""

    id: str
    name: str
    parent: str | None
    data: bytes | None = None
    revision: int = 0
    modified: int = 0
    appeared: float = 0.0
    binned: bool = False
    downloadable: bool = True
    made_from: str = ""
    made_for: str = ""


class FakeCloud:
    """Files by id, and a log of what changed. The watched folder is `ROOT`, beside which `elsewhere` lies.

    `unique`: names are unique in a folder, whatever their case, and what is gone is told by path; else
    several files may share a name, ids are told, and of a folder that moves it is told only that something is
    `unclear`. `reserves`: ids can be had in advance. `marks`: what a file was made from can be told.
    `page` is how many things are told at once.

    `step` is called before and after everything that changes the cloud, with what it is, and may raise;
    `trouble` is raised by whatever is asked. `quiet` keeps changes out of the log.
    """

    def __init__(
        self, *, unique: bool = False, reserves: bool = True, marks: bool = True, page: int = 3
    ) -> None:
        self.unique = unique
        self.reserves = reserves
        self.marks = marks
        self.page = page
        self.items: dict[str, Item] = {}
        self.log: list[Gone | str] = []
        self.epoch = 0
        self.quiet = False
        self.now = 1_000_000.0
        self.calls: list[str] = []
        self.trouble: Exception | None = None
        self.step: Callable[[str], None] = lambda _: None
        self._ids = itertools.count(1)
        for name in (ROOT, "elsewhere"):
            self.items[name] = Item(id=name, name=name, parent=None)

    # what people do; paths are below the watched folder, "../" leads to `elsewhere`

    def upload(self, path: str, data: bytes, *, file_id: str = "", made_from: str = "") -> str:
        """A new file, also beside another one of its name where that is possible."""
        folder, _, name = path.rpartition("/")
        item = Item(
            id=file_id or self.next_id(),
            name=name,
            parent=self.folder(folder),
            data=data,
            modified=int(self.now * 1e9),
            appeared=self.now,
            made_from=made_from,
        )
        self.put(item)
        return item.id

    def replace(self, file_id: str, data: bytes) -> None:
        """New content."""
        item = self.items[file_id]
        self.put(replace(item, data=data, revision=item.revision + 1, modified=int(self.now * 1e9)))

    def move(self, file_id: str, path: str) -> None:
        """Another name or folder, for a file or a folder."""
        folder, _, name = path.rpartition("/")
        self.put(replace(self.items[file_id], name=name, parent=self.folder(folder)))

    def copy(self, file_id: str, path: str) -> str:
        """Another file of the same content."""
        return self.upload(path, self.items[file_id].data or b"")

    def bin(self, file_id: str) -> None:
        """Into the bin."""
        self.put(replace(self.items[file_id], binned=True))

    def restore(self, file_id: str) -> None:
        """Out of the bin."""
        self.put(replace(self.items[file_id], binned=False))

    def delete(self, file_id: str) -> None:
        """For good."""
        path = self.path(file_id)
        del self.items[file_id]
        if not self.quiet:
            self.log.append(Gone(path=path) if self.unique and path else Gone(id=file_id))

    def next_id(self) -> str:
        """An id that nothing has yet."""
        return f"id{next(self._ids)}"

    def lose_cursors(self) -> None:
        """Cursors given so far are not known any more."""
        self.epoch += 1

    def put(self, item: Item) -> None:
        """Take over a state, and log it."""
        before = self.path(item.id) if item.id in self.items else None
        self.items[item.id] = item
        now = self.path(item.id)
        if self.quiet:
            return
        if self.unique and before is not None and before != now:
            self.log.append(Gone(path=before))
        below = [item.id] if item.data is not None or not self.unique else list(self._below(item.id))
        self.log.extend(below)

    def folder(self, path: str) -> str:
        """The id of a folder, made if need be."""
        first, *rest = path.split("/")
        parent = "elsewhere" if first == ".." else ROOT
        for name in rest if first == ".." else filter(None, path.split("/")):
            found = [item for item in self.inside(parent) if item.data is None and item.name == name]
            if not found:
                made = Item(id=self.next_id(), name=name, parent=parent)
                self.items[made.id] = made
                found = [made]
            parent = found[0].id
        return parent

    def inside(self, folder: str) -> list[Item]:
        """What lies in a folder."""
        return [item for item in self.items.values() if item.parent == folder and not item.binned]

    def path(self, file_id: str, root: str = ROOT) -> str | None:
        """Where a file is below the folder `root`; None if it is not."""
        names: list[str] = []
        at: str | None = file_id
        while at != root:
            item = self.items.get(at or "")
            if item is None or item.binned or item.parent is None:
                return None
            names.append(item.name)
            at = item.parent
        return "/".join(reversed(names))

    def is_deleted(self, file_id: str) -> bool:
        """Whether it is deleted, or in the bin with or without a folder that it is in."""
        at: str | None = file_id
        while at is not None:
            item = self.items.get(at)
            if item is None or item.binned:
                return True
            at = item.parent
        return False

    def files(self) -> dict[str, list[bytes]]:
        """What people see in the watched folder: contents by path."""
        found: dict[str, list[bytes]] = {}
        for item in self.items.values():
            if item.data is not None and (path := self.path(item.id)) is not None:
                found.setdefault(path, []).append(item.data)
        return found

    def find(self, path: str) -> str:
        """The id of the file or folder at a path."""
        return next(item.id for item in self.items.values() if self.path(item.id) == path)

    def remote(self, item: Item, root: str = ROOT) -> RemoteFile | None:
        """A file as it is told; None if it is not in the folder `root`."""
        path = self.path(item.id, root)
        if path is None or item.data is None or item.parent is None:
            return None
        return RemoteFile(
            id=item.id,
            name=item.name,
            folders=tuple(path.split("/")[:-1]),
            parent=item.parent,
            size=len(item.data),
            modified=item.modified,
            revision=str(item.revision),
            content=digest(item.data),
            downloadable=item.downloadable,
            appeared=item.appeared,
            made_from=item.made_from if self.marks else "",
        )

    def _below(self, folder: str) -> Iterator[str]:
        for item in self.items.values():
            at: str | None = item.id
            while at is not None and at != folder and at in self.items:
                at = self.items[at].parent
            if at == folder and item.data is not None:
                yield item.id


def digest(data: bytes) -> str:
    """The cloud's hash of bytes, which is also the content key."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
