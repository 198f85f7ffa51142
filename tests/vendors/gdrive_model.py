"""What a Google Drive holds: accounts, shared drives, files, revisions, permissions, change logs."""

from __future__ import annotations

import hashlib
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

Json = dict[str, Any]
Role = Literal["reader", "commenter", "writer", "fileOrganizer", "organizer", "owner"]
ROLES: tuple[Role, ...] = ("reader", "commenter", "writer", "fileOrganizer", "organizer", "owner")
RANK: dict[Role | None, int] = {None: -1, **{role: rank for rank, role in enumerate(ROLES)}}

FOLDER = "application/vnd.google-apps.folder"
SHORTCUT = "application/vnd.google-apps.shortcut"
DOCUMENT = "application/vnd.google-apps.document"
EDITORS = frozenset(
    {DOCUMENT, "application/vnd.google-apps.spreadsheet", "application/vnd.google-apps.presentation"}
)
ANYONE = "anyoneWithLink"


@dataclass(slots=True)
class Refused(Exception):
    """A call that Drive answers with an error, in Google's shape."""

    status: int
    reason: str
    message: str
    location: str | None = None
    location_type: str | None = None
    domain: str = "global"


def not_found(file_id: str, location: str = "fileId") -> Refused:
    return Refused(404, "notFound", f"File not found: {file_id}.", location, "parameter")


def invalid(location: str, message: str = "Invalid Value") -> Refused:
    return Refused(400, "invalid", message, location, "parameter")


class Content:
    """Bytes in memory or in a file, with the checksums that Drive tells."""

    def __init__(self, data: bytes | Path) -> None:
        self.data = data
        self.size = data.stat().st_size if isinstance(data, Path) else len(data)

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, which is not among them."""
        if isinstance(self.data, bytes):
            return self.data[start:end]
        with self.data.open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    @property
    def all(self) -> bytes:
        return self.read(0, self.size)

    @cached_property
    def checksums(self) -> tuple[str, str, str]:
        """MD5, SHA-1 and SHA-256, in hexadecimal."""
        hashes = hashlib.md5(), hashlib.sha1(), hashlib.sha256()
        for start in range(0, self.size, 1 << 22):
            piece = self.read(start, start + (1 << 22))
            for one in hashes:
                one.update(piece)
        md5, sha1, sha256 = (one.hexdigest() for one in hashes)
        return md5, sha1, sha256


@dataclass(slots=True, eq=False, kw_only=True)
class Revision:
    """One content of a file."""

    id: str
    content: Content
    modified: float
    mime_type: str
    by: Account
    original_name: str
    keep: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Who may do what: `id` is that of an account, or ANYONE."""

    id: str
    type: Literal["user", "anyone"]
    role: Role
    account: Account | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Comment:
    id: str
    author: Account
    content: str
    created: float


@dataclass(slots=True, eq=False, kw_only=True)
class File:
    """A file, folder, shortcut or document. `apps` are the OAuth clients that made or opened it."""

    id: str
    name: str
    mime_type: str
    parent: str | None
    created: float
    modified: float
    by: Account
    owner: Account | None = None
    drive: SharedDrive | None = None
    version: int = 1
    trashed: bool = False
    trashed_at: float | None = None
    trashed_by: Account | None = None
    starred: bool = False
    description: str | None = None
    permissions: dict[str, Permission] = field(default_factory=dict)
    revisions: list[Revision] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    app_properties: dict[str, dict[str, str]] = field(default_factory=dict)
    apps: set[str] = field(default_factory=set)
    comments: list[Comment] = field(default_factory=list)
    shared_at: dict[str, float] = field(default_factory=dict)
    target: str | None = None
    target_mime: str | None = None
    copy_needs_writer: bool = False
    abusive: bool = False

    @property
    def is_folder(self) -> bool:
        return self.mime_type == FOLDER

    @property
    def head(self) -> Revision:
        """The newest revision, of a file with content."""
        return self.revisions[-1]

    @property
    def data(self) -> bytes:
        """The bytes of the newest revision."""
        return self.head.content.all

    @property
    def text(self) -> str:
        return self.data.decode()

    @property
    def is_blob(self) -> bool:
        """Whether it has bytes that can be downloaded, so no folder, shortcut or document."""
        return bool(self.revisions) and not self.mime_type.startswith("application/vnd.google-apps")


@dataclass(frozen=True, slots=True)
class Entry:
    """A change: that of a file, or of a shared drive."""

    number: int
    kind: Literal["file", "drive"]
    id: str
    at: float


class ChangeLog:
    """The changes of a user or a shared drive. A file is in it once, where it changed last.

    Numbers begin at `first`, which differs from log to log, so that a token of another log is noticed.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self.kept_from = first
        self.next = first
        self._entries: list[Entry] = []
        self._latest: dict[tuple[str, str], int] = {}
        self.changed: Callable[[], None] = lambda: None

    def add(self, kind: Literal["file", "drive"], id: str, at: float) -> None:  # noqa: A002 - as Drive names it
        self._entries.append(Entry(self.next, kind, id, at))
        self._latest[kind, id] = self.next
        self.next += 1
        self.changed()

    def add_all(self, ids: Iterable[str], at: float) -> None:
        """Many files at once."""
        for number, one in enumerate(ids, self.next):
            self._entries.append(Entry(number, "file", one, at))
            self._latest["file", one] = number
            self.next = number + 1
        self.changed()

    def since(self, number: int) -> Iterator[Entry]:
        """The changes with this number and later ones, in order."""
        for entry in self._entries[bisect_left(self._entries, number, key=lambda entry: entry.number) :]:
            if self._latest[entry.kind, entry.id] == entry.number:
                yield entry

    def expire(self) -> None:
        """Forget what happened so far: tokens of it are refused."""
        self.kept_from = self.next = self.next + 1


@dataclass(slots=True, eq=False, kw_only=True)
class Account:
    """A person, or a service account, which has no storage. `quota` is in bytes, None without a limit."""

    id: str
    email: str
    name: str
    log: ChangeLog
    quota: int | None = None
    is_service: bool = False
    root: str = ""

    @property
    def domain(self) -> str:
        return self.email.partition("@")[2]


@dataclass(slots=True, eq=False, kw_only=True)
class SharedDrive:
    """A shared drive; its root folder has the same id."""

    id: str
    name: str
    created: float
    log: ChangeLog
    members: dict[str, Permission] = field(default_factory=dict)
    copy_needs_writer: bool = False


class Drive:
    """Everything in it. `clock` is seconds since 1970.

    `cascades`: whether what happens to a folder (trash, share, unshare, move) is a change of everything in it
    too. What Google does is unverified, so a watcher must manage with either. `ids_in_shared_drives`: whether
    ids from `files.generateIds` are good for shared drives (unverified too). `search_held`: searches do not
    find files that are new since then. `tells_readers`: whether those who may only read a file are told who
    else may (unverified too).
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.accounts: dict[str, Account] = {}
        self.drives: dict[str, SharedDrive] = {}
        self.files: dict[str, File] = {}
        self.children: dict[str, dict[str, File]] = {}
        self.reserved: dict[str, tuple[str, str]] = {}
        self.used: set[str] = set()
        self.cascades = False
        self.ids_in_shared_drives = True
        self.search_held = False
        self.tells_readers = True
        self.not_found_yet: set[str] = set()
        self._ids = 0

    def new_id(self, prefix: str = "1", length: int = 33) -> str:
        """An id that looks like Google's and sorts like none."""
        self._ids += 1
        digest = hashlib.sha256(str(self._ids).encode()).hexdigest()
        return prefix + digest[: length - len(prefix)]

    def new_log(self) -> ChangeLog:
        return ChangeLog((len(self.accounts) + len(self.drives) + 1) * 10_000_000)

    def put(self, file: File) -> File:
        """Take a file in."""
        if self.search_held and file.id not in self.files:
            self.not_found_yet.add(file.id)
        self.files[file.id] = file
        self.used.add(file.id)
        if file.parent is not None:
            self.children.setdefault(file.parent, {})[file.id] = file
        return file

    def inside(self, file: File) -> Iterator[File]:
        """A file and, of a folder, everything in it."""
        yield file
        for child in list(self.children.get(file.id, {}).values()):
            yield from self.inside(child)

    def above(self, file: File) -> Iterator[File]:
        """The folders that a file is in, the nearest first."""
        while file.parent is not None and file.parent in self.files:
            file = self.files[file.parent]
            yield file

    def usage(self, account: Account) -> int:
        """The bytes that an account's own files take."""
        return sum(
            revision.content.size
            for file in self.files.values()
            if file.owner is account
            for revision in file.revisions
            if revision.keep or revision is file.head
        )

    def audience(self, file: File) -> set[str]:
        """The accounts in whose change log it is that a file changed: those that own it or were given it, and
        of a shared drive only those that are no members."""
        chain = [file, *self.above(file)]
        found = {name for one in chain for name in one.permissions if name != ANYONE}
        if file.drive is not None:
            return found - set(file.drive.members)
        return found | {one.owner.id for one in chain if one.owner is not None}

    def touched(self, *files: File, before: set[str] | None = None) -> None:
        """Write into every log concerned that these files changed; `before`: who had access until now."""
        now = self.clock()
        for file in files:
            file.version += 1
            for name in sorted(self.audience(file) | (before or set())):
                self.accounts[name].log.add("file", file.id, now)
            if file.drive is not None:
                file.drive.log.add("file", file.id, now)

    def touched_folder(self, file: File, before: set[str] | None = None) -> None:
        """As `touched`, and with `cascades` of everything in a folder too."""
        for one in self.inside(file) if self.cascades else [file]:
            self.touched(one, before=before)
