"""What a Dropbox holds: people and teams, namespaces with folders, files with revisions, and shared links."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

Json = dict[str, Any]

BLOCK = 4 * 1024 * 1024  # bytes that are hashed together
Access = Literal["owner", "editor", "viewer"]


class Refused(Exception):
    """An answer that is an error. `error` is the tagged union, or the text of a 400."""

    def __init__(self, error: Json | str, status: int = 409) -> None:
        super().__init__(error)
        self.error = error
        self.status = status


class CannotFind(Exception):
    """A LookupError of Dropbox."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: Json = {".tag": reason}


class CannotWrite(Exception):
    """A WriteError of Dropbox; `conflict` is with what."""

    def __init__(self, reason: str, conflict: str | None = None) -> None:
        super().__init__(reason, conflict)
        self.reason: Json = {".tag": reason}
        if conflict is not None:
            self.reason[reason] = {".tag": conflict}


def bad_input(route: str, problem: str, *, where: str = "request body") -> Refused:
    """The text that Dropbox answers a malformed request with."""
    return Refused(f'Error in call to API function "{route}": {where}: {problem}', status=400)


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a revision, in memory or in a file on disk (which must not change any more)."""

    source: bytes | Path
    size: int
    hash: str

    def pieces(self, start: int = 0, end: int | None = None, *, piece: int = 1 << 18) -> Iterator[bytes]:
        """The bytes from `start` up to before `end`."""
        end = self.size if end is None else min(end, self.size)
        if isinstance(self.source, bytes):
            for at in range(start, end, piece):
                yield self.source[at : min(at + piece, end)]
            return
        with self.source.open("rb") as file:
            file.seek(start)
            while start < end and (data := file.read(min(piece, end - start))):
                start += len(data)
                yield data

    def read(self) -> bytes:
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


def content_hash(pieces: Iterator[bytes]) -> str:
    """SHA-256 over the SHA-256 of every block of 4 MiB, as Dropbox publishes it."""
    whole, block, room = hashlib.sha256(), hashlib.sha256(), BLOCK
    for piece in pieces:
        left = memoryview(piece)
        while left:
            part, left = left[:room], left[room:]
            block.update(part)
            room -= len(part)
            if not room:
                whole.update(block.digest())
                block, room = hashlib.sha256(), BLOCK
    if room < BLOCK:
        whole.update(block.digest())
    return whole.hexdigest()


def content(data: bytes | Path | Content) -> Content:
    if isinstance(data, Content):
        return data
    unhashed = Content(data, len(data) if isinstance(data, bytes) else data.stat().st_size, "")
    return Content(data, unhashed.size, content_hash(unhashed.pieces()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A state of a file. Times are seconds since 1970."""

    rev: str
    content: Content
    client_modified: float
    server_modified: float
    modified_by: str


@dataclass(slots=True, eq=False, kw_only=True)
class Node:
    """A file or a folder. Without a parent it is the top of its namespace, or deleted."""

    id: str
    name: str
    parent: Folder | None = None
    tags: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False, kw_only=True)
class File(Node):
    revisions: list[Revision]

    @property
    def current(self) -> Revision:
        return self.revisions[-1]

    @property
    def rev(self) -> str:
        return self.current.rev

    @property
    def size(self) -> int:
        return self.current.content.size

    @property
    def content_hash(self) -> str:
        return self.current.content.hash

    @property
    def data(self) -> bytes:
        return self.current.content.read()


@dataclass(slots=True, eq=False, kw_only=True)
class Folder(Node):
    """`mounts` is the namespace that this folder shows; `namespace` is the one that it is the top of."""

    own: dict[str, Node] = field(default_factory=dict)
    mounts: Namespace | None = None
    namespace: Namespace | None = None

    @property
    def children(self) -> dict[str, Node]:
        """What is inside, by lower-cased name."""
        return self.mounts.top.own if self.mounts else self.own

    @property
    def inside(self) -> Folder:
        """The folder that is the parent of what is inside."""
        return self.mounts.top if self.mounts else self


@dataclass(slots=True, eq=False, kw_only=True)
class Namespace:
    """A tree of its own, that several people may have mounted. `access` by account id; `deleted` by path,
    with the names of the path."""

    id: str
    kind: Literal["home", "team", "shared", "team_folder"]
    name: str
    top: Folder
    access: dict[str, Access] = field(default_factory=dict)
    mounted: list[Folder] = field(default_factory=list)
    deleted: dict[str, tuple[list[str], Node]] = field(default_factory=dict)
    since: float = 0.0

    @property
    def is_shared(self) -> bool:
        return self.kind in ("shared", "team_folder")


@dataclass(slots=True, eq=False, kw_only=True)
class Team:
    """A team; `root` is its team space."""

    id: str
    name: str
    root: Namespace


@dataclass(slots=True, eq=False, kw_only=True)
class Account:
    """Somebody's account. `root` is `home`, or the team space of their team."""

    id: str
    uid: int
    name: str
    email: str
    home: Namespace
    root: Namespace
    team: Team | None = None
    member_id: str | None = None
    suspended: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class SharedLink:
    """A link to a file or folder. `audience` "no_one": switched off. `told` is which of the two ways Dropbox
    says in who may follow it; `downloads`: its owner lets others have the bytes."""

    url: str
    node: Node
    owner: Account
    audience: Literal["public", "team", "no_one"] = "public"
    password: str | None = None
    created: float = 0.0
    told: Literal["visibility", "audience"] = "visibility"
    downloads: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something happened at a path of a namespace: there is something new, or it is gone. `names` is the path
    as it was shown, of what is gone."""

    namespace: Namespace
    path: str
    gone: bool
    names: tuple[str, ...] = ()
    was_folder: bool = False


def normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def lower(path: str) -> str:
    """The form in which paths are compared."""
    return normal(path).lower()


def namespace_of(node: Node) -> Namespace:
    """The namespace that a node lies in; a mounting folder lies in that of its parent. Raises CannotFind
    where it is deleted."""
    top = node
    while top.parent is not None:
        top = top.parent
    if isinstance(top, Folder) and top.namespace is not None:
        return top.namespace
    raise CannotFind("not_found")


def names_to(node: Node) -> list[str]:
    """The names from the top of its namespace to a node."""
    names = []
    while node.parent is not None:
        names.append(node.name)
        node = node.parent
    return names[::-1]


def path_in(node: Node) -> str:
    """The lower-cased path of a node in its namespace, "" for the top."""
    return lower("".join(f"/{name}" for name in names_to(node)))


def below(node: Node) -> Iterator[Node]:
    """Everything inside a folder, parents before children, those of mounted namespaces too."""
    if isinstance(node, Folder):
        for child in list(node.children.values()):
            yield child
            yield from below(child)


@lru_cache(maxsize=4096)
def stamp(seconds: float) -> str:
    """A time as Dropbox writes it."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def tagged(path: str) -> Json:
    """A union from its tags: "path/not_found" is {".tag": "path", "path": {".tag": "not_found"}}."""
    tag, _, rest = path.partition("/")
    return {".tag": tag, tag: tagged(rest)} if rest else {".tag": tag}


def summary(error: Json) -> str:
    """The `error_summary` of an error; clients must not read it, so it ends in dots."""
    tags = []
    part: Any = error
    while isinstance(part, dict) and ".tag" in part:
        tags.append(part[".tag"])
        part = part.get(part[".tag"], part.get("reason"))
    return "/".join([*tags, "..."])
