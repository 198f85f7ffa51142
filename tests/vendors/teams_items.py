"""Files of a Microsoft 365: drives, folders, files, uploads that go on, addresses that need no token."""

from __future__ import annotations

import hashlib
import itertools
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote


def stamp(at: float) -> str:
    """A time as Microsoft writes it, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


@dataclass(slots=True, kw_only=True)
class Padded:
    """Content too large to hold: `head`, then zeros until `size`."""

    head: bytes
    size: int

    def read(self, start: int, end: int) -> bytes:
        """The bytes from start to before end."""
        part = self.head[start:end]
        return part + bytes(min(end, self.size) - start - len(part))


@dataclass(slots=True, kw_only=True)
class DriveItem:
    """A file or folder. `by` is who made it (a user's id, empty: an app). `links` are sharing links to it,
    those in `narrow` for who can open it anyway; `grants` are who can, besides those who can open all of its
    drive.

    For downloads: `cuts` are byte counts after which the next connections end, `pages` how many of the next
    requests get an HTML page, `announces` a wrong Content-Length, `says` a wrong size in Graph,
    `ignores_ranges` answers 200 to a Range, `redirects` where the next requests are sent.
    """

    id: str
    drive: str
    parent: str | None
    name: str
    unique_id: str
    modified: float
    data: bytes | Padded | None = None
    mime_type: str = "application/octet-stream"
    by: str = ""
    version: int = 1
    links: list[str] = field(default_factory=list)
    narrow: set[str] = field(default_factory=set)
    grants: set[str] = field(default_factory=set)
    deleted: bool = False
    cuts: list[int] = field(default_factory=list)
    pages: int = 0
    announces: int | None = None
    says: int | None = None
    ignores_ranges: bool = False
    redirects: list[str] = field(default_factory=list)
    served: list[tuple[str, int]] = field(default_factory=list)

    @property
    def is_folder(self) -> bool:
        return self.data is None

    @property
    def size(self) -> int:
        if self.data is None:
            return 0
        return self.data.size if isinstance(self.data, Padded) else len(self.data)

    @property
    def etag(self) -> str:
        return f'"{{{self.unique_id.upper()}}},{self.version}"'

    @property
    def extension(self) -> str:
        return self.name.rpartition(".")[2].lower() if "." in self.name else ""

    def read(self, start: int, end: int) -> bytes:
        """The bytes from start to before end."""
        if isinstance(self.data, Padded):
            return self.data.read(start, end)
        return (self.data or b"")[start:end]


@dataclass(slots=True, kw_only=True)
class Drive:
    """A person's OneDrive, or the document library of a team's site. `granted` is what Sites.Selected gives
    the app here."""

    id: str
    web_url: str
    root: str
    user: str | None = None
    team: str | None = None
    granted: Literal["read", "write"] | None = None
    items: dict[str, DriveItem] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Session:
    """An upload that goes on. `item` is set once all bytes came."""

    key: str
    drive: str
    parent: str
    name: str
    conflict: str
    until: float
    data: bytearray = field(default_factory=bytearray)
    total: int | None = None
    item: DriveItem | None = None
    unique_id: str | None = None
    ended: bool = False
    pieces: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Items:
    """Every drive, upload and download address. `clock` gives seconds since 1970."""

    clock: Callable[[], float] = time.time
    drives: dict[str, Drive] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    downloads: dict[str, tuple[DriveItem, float]] = field(default_factory=dict)
    _numbers: defaultdict[str, Iterator[int]] = field(
        default_factory=lambda: defaultdict(lambda: itertools.count(1))
    )

    def number(self, kind: str) -> int:
        return next(self._numbers[kind])

    def guid(self, kind: str) -> str:
        """The next GUID of its kind; the same in every run."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}/{self.number(kind)}"))

    def opaque(self, kind: str, length: int = 44) -> str:
        """The next id of its kind that means nothing to anybody."""
        seed = f"{kind}/{self.number(kind)}"
        text = "".join(hashlib.sha256(f"{seed}/{n}".encode()).hexdigest() for n in range(3))
        return text[:length]

    def drive_of(self, *, user: str | None = None, team: str | None = None) -> Drive:
        """The drive of a person or of a team."""
        return next(
            d for d in self.drives.values() if (d.user, d.team) == (user, team) and (user or team) is not None
        )

    def path(self, item: DriveItem) -> str:
        """Where an item is in its drive, without a slash at the front."""
        items, names = self.drives[item.drive].items, []
        while item.parent is not None:
            names.append(item.name)
            item = items[item.parent]
        return "/".join(reversed(names))

    def web_url(self, item: DriveItem) -> str:
        """The address of an item in SharePoint."""
        base, path = self.drives[item.drive].web_url, self.path(item)
        return f"{base}/{quote(path)}" if path else base

    def children(self, folder: DriveItem) -> list[DriveItem]:
        items = self.drives[folder.drive].items.values()
        return [i for i in items if i.parent == folder.id and not i.deleted]

    def at_path(self, base: DriveItem, path: str) -> DriveItem | None:
        """The item at a path below another; names do not differ by case alone."""
        item: DriveItem | None = base
        for name in filter(None, path.split("/")):
            if item is None:
                return None
            item = self.child(item, name)
        return item

    def child(self, folder: DriveItem, name: str) -> DriveItem | None:
        return next((c for c in self.children(folder) if c.name.lower() == name.lower()), None)

    def free_name(self, folder: DriveItem, name: str) -> str:
        """A name that is not taken in a folder, made from this one."""
        stem, dot, ending = name.rpartition(".")
        number = 0
        while self.child(folder, name) is not None:
            number += 1
            name = f"{stem} {number}{dot}{ending}" if dot else f"{ending} {number}"
        return name

    def add_item(
        self,
        drive: Drive,
        parent: DriveItem,
        name: str,
        data: bytes | Padded | None,
        mime_type: str = "",
        *,
        by: str = "",
    ) -> DriveItem:
        """Put a file (or, without data, a folder) into a folder."""
        item = DriveItem(
            id=f"01{self.opaque('item', 32).upper()}",
            drive=drive.id,
            parent=parent.id,
            name=name,
            unique_id=self.guid("unique"),
            modified=self.clock(),
            data=data,
            mime_type=mime_type or "application/octet-stream",
            by=by,
        )
        drive.items[item.id] = item
        return item

    def folder(self, base: DriveItem, path: str) -> DriveItem:
        """The folder at a path below another, made if it is not there."""
        for name in filter(None, path.split("/")):
            base = self.child(base, name) or self.add_item(self.drives[base.drive], base, name, None)
        return base

    def root(self, drive: Drive) -> DriveItem:
        return drive.items[drive.root]

    def download_url(self, item: DriveItem, origin: str, life: float) -> str:
        """A pre-authenticated address of a file, good for `life` seconds."""
        key = self.opaque("download", 40)
        self.downloads[key] = (item, self.clock() + life)
        return f"{origin}/download/{key}?tempauth={self.opaque('tempauth', 24)}"
