"""What is done to files and folders, and the log of changes behind cursors."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from tests.vendors.dropbox_model import (
    Access,
    Account,
    CannotFind,
    CannotWrite,
    Change,
    Content,
    File,
    Folder,
    Namespace,
    Node,
    Refused,
    Revision,
    SharedLink,
    Team,
    below,
    lower,
    names_to,
    namespace_of,
    normal,
    path_in,
)
from tests.vendors.dropbox_view import View, split

MAX_NAME = 255  # characters
_DISALLOWED = {".dropbox", ".dropbox.attr", ".ds_store", "desktop.ini", "icon\r", "thumbs.db"}

Mode = Literal["add", "overwrite", "update"]


@dataclass(slots=True)
class Place:
    """Where something is to be written: `missing` are folders to be made on the way."""

    folder: Folder
    missing: list[str]
    name: str

    @property
    def existing(self) -> Node | None:
        return None if self.missing else self.folder.children.get(lower(self.name))


@dataclass(slots=True)
class Storage:
    """All of it. `log` holds every change, the latest last; `told` is called after each. `moves_change_rev`:
    whether a moved file gets a new `rev` (unverified, so test both)."""

    clock: Callable[[], float] = time.time
    told: Callable[[Change], None] = lambda _: None
    moves_change_rev: bool = True
    namespaces: dict[str, Namespace] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    teams: list[Team] = field(default_factory=list)
    links: list[SharedLink] = field(default_factory=list)
    ids: dict[str, Node] = field(default_factory=dict)
    revs: dict[str, tuple[File, Revision]] = field(default_factory=dict)
    log: list[Change] = field(default_factory=list)
    _count: int = 0

    def number(self) -> int:
        self._count += 1
        return self._count

    def new_id(self, prefix: str = "id:") -> str:
        digest = hashlib.sha256(f"{prefix}{self.number()}".encode()).digest()[:16]
        return prefix + base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def add_namespace(
        self, kind: Literal["home", "team", "shared", "team_folder"], name: str, access: dict[str, Access]
    ) -> Namespace:
        top = Folder(id=self.new_id(), name="")
        namespace = Namespace(
            id=str(1_000_000 + self.number()),
            kind=kind,
            name=name,
            top=top,
            access=access,
            since=self.clock(),
        )
        top.namespace = namespace
        self.namespaces[namespace.id] = namespace
        return namespace

    def mount(self, namespace: Namespace, folder: Folder, name: str) -> Folder:
        """Show a namespace inside a folder."""
        here = folder.inside
        mount = Folder(id=self.new_id(), name=free_name(here, name), parent=here, mounts=namespace)
        here.own[lower(mount.name)] = self.ids[mount.id] = mount
        namespace.mounted.append(mount)
        self.announce(mount)
        return mount

    def unmount(self, mount: Folder) -> None:
        assert mount.mounts is not None
        self._note_gone(mount)
        mount.mounts.mounted.remove(mount)
        self._detach(mount)

    def view(self, account: Account, root: Namespace) -> View:
        return View(account, root, self.ids, self.namespaces)

    # What is done to files and folders

    def place(self, view: View, path: str) -> Place:
        """Where a path to be written is. Raises CannotWrite."""
        try:
            if path.startswith("id:") and "/" not in path:
                node = view.find(path)
                assert node.parent is not None
                return Place(node.parent, [], node.name)
            node, rest = view.start(path)
            names = [normal(name) for name in split(rest)]
        except CannotFind as error:
            raise CannotWrite(
                "malformed_path" if error.reason[".tag"] == "malformed_path" else "no_write_permission"
            ) from None
        if not names:
            raise CannotWrite("malformed_path")
        for name in names:
            check_name(name)
        while len(names) > 1 and isinstance(node, Folder):
            child = node.children.get(lower(names[0]))
            if child is None or not view.shows(child):
                break
            node = child
            names.pop(0)
        if not isinstance(node, Folder):
            raise CannotWrite("conflict", "file_ancestor")
        if not view.may_write(node):
            raise CannotWrite("no_write_permission")
        return Place(node.inside, names[:-1], names[-1])

    def put(
        self,
        view: View,
        path: str,
        content: Content,
        *,
        mode: Mode = "add",
        rev: str | None = None,
        autorename: bool = False,
        strict: bool = False,
        client_modified: float | None = None,
    ) -> File:
        """Write a file. Raises CannotWrite."""
        place = self.place(view, path)
        existing = place.existing
        if isinstance(existing, File):
            matches = mode == "overwrite" or (mode == "update" and existing.rev == rev)
            same = existing.content_hash == content.hash
            if same and (matches or not strict):
                return existing
            if matches:
                existing.revisions.append(self._revision(view, content, client_modified, existing))
                self._note(existing)
                return existing
        if existing is not None or (mode == "update" and strict):
            if not autorename:
                raise CannotWrite("conflict", "folder" if isinstance(existing, Folder) else "file")
            place.name = free_name(place.folder, place.name, copy=mode == "update")
        file = File(id=self.new_id(), name=place.name, revisions=[])
        file.revisions.append(self._revision(view, content, client_modified, file))
        self._attach(file, place)
        return file

    def put_many(self, view: View, folder: Folder, names: Iterable[str], content: Content) -> None:
        """Write new files into one folder, quickly: their names must be good and free."""
        for name in names:
            file = File(id=self.new_id(), name=name, revisions=[])
            file.revisions.append(self._revision(view, content, None, file))
            self._attach(file, Place(folder.inside, [], name))

    def make_folder(self, view: View, path: str, *, autorename: bool = False) -> Folder:
        place = self.place(view, path)
        if place.existing is not None:
            if not autorename:
                raise CannotWrite("conflict", "folder" if isinstance(place.existing, Folder) else "file")
            place.name = free_name(place.folder, place.name)
        folder = Folder(id=self.new_id(), name=place.name)
        self._attach(folder, place)
        return folder

    def move(self, view: View, node: Node, to: str, *, autorename: bool = False) -> Node:
        """Move or rename a file or folder, which keeps its id. Raises CannotWrite."""
        place = self._free(view, to, autorename=autorename)
        above: Folder | None = place.folder
        while above is not None:
            if above is node:
                raise Refused({".tag": "cant_move_folder_into_itself"})
            above = above.parent
        self._note_gone(node)
        self._detach(node)
        node.name = place.name
        if self.moves_change_rev:
            self._new_revs(view, node)
        self._attach(node, place)
        return node

    def copy(self, view: View, node: Node, to: str, *, autorename: bool = False) -> Node:
        place = self._free(view, to, autorename=autorename)
        copy = self._copied(view, node, place.name)
        self._attach(copy, place)
        return copy

    def recase(self, node: Node, name: str) -> None:
        """Change only the case of a name, as a person can; Dropbox does not tell cursors of it."""
        assert lower(name) == lower(node.name)
        node.name = normal(name)

    def remove(self, node: Node) -> None:
        """Delete a file or folder with all that is inside."""
        if isinstance(node, Folder) and node.mounts:
            self.unmount(node)
            return
        self._note_gone(node)
        namespace_of(node).deleted[path_in(node)] = (names_to(node), node)
        self._detach(node)

    def restore(self, view: View, path: str) -> Node:
        """Bring back what was deleted at a path; it keeps its id, and files get a new `rev`."""
        place = self.place(view, path)
        where = path_in(place.folder) + "".join(f"/{lower(name)}" for name in [*place.missing, place.name])
        if place.existing is not None:
            raise CannotWrite("conflict", "folder" if isinstance(place.existing, Folder) else "file")
        _, node = namespace_of(place.folder).deleted.pop(where)
        self._new_revs(view, node)
        self._attach(node, place)
        return node

    def announce(self, node: Node) -> None:
        """Tell of a node, and of everything inside it."""
        self._note(node)
        for inner in below(node):
            self._note(inner)

    def withdraw(self, mount: Folder) -> None:
        """Tell that a mounted folder is gone, for those who may not see it any more."""
        self._note_gone(mount)

    # The parts

    def _free(self, view: View, path: str, *, autorename: bool) -> Place:
        place = self.place(view, path)
        if place.existing is not None:
            if not autorename:
                raise CannotWrite("conflict", "folder" if isinstance(place.existing, Folder) else "file")
            place.name = free_name(place.folder, place.name)
        return place

    def _attach(self, node: Node, place: Place) -> None:
        folder = place.folder
        for name in place.missing:
            made = Folder(id=self.new_id(), name=name, parent=folder)
            folder.own[lower(name)] = self.ids[made.id] = made
            self._note(made)
            folder = made
        node.parent = folder
        folder.own[lower(node.name)] = self.ids[node.id] = node
        for inner in below(node):
            self.ids[inner.id] = inner
        self.announce(node)
        namespace_of(node).deleted.pop(path_in(node), None)

    def _detach(self, node: Node) -> None:
        assert node.parent is not None
        del node.parent.own[lower(node.name)]
        node.parent = None

    def _revision(
        self, view: View, content: Content, client_modified: float | None, file: File, at: float | None = None
    ) -> Revision:
        now = self.clock()
        revision = Revision(
            rev=f"016{self.number():013x}",
            content=content,
            client_modified=now if client_modified is None else client_modified,
            server_modified=now if at is None else at,
            modified_by=view.account.id,
        )
        self.revs[revision.rev] = (file, revision)
        return revision

    def _new_revs(self, view: View, node: Node) -> None:
        for file in (node, *below(node)):
            if isinstance(file, File):
                was = file.current
                file.revisions.append(
                    self._revision(view, was.content, was.client_modified, file, was.server_modified)
                )

    def _copied(self, view: View, node: Node, name: str) -> Node:
        if isinstance(node, File):
            file = File(id=self.new_id(), name=name, revisions=[])
            was = node.current
            file.revisions.append(self._revision(view, was.content, was.client_modified, file))
            return file
        folder = Folder(id=self.new_id(), name=name)
        assert isinstance(node, Folder)
        for child in node.children.values():
            copy = self._copied(view, child, child.name)
            copy.parent = folder
            folder.own[lower(copy.name)] = copy
        return folder

    def _note(self, node: Node) -> None:
        self._log(Change(namespace=namespace_of(node), path=path_in(node), gone=False))

    def _note_gone(self, node: Node) -> None:
        self._log(
            Change(
                namespace=namespace_of(node),
                path=path_in(node),
                gone=True,
                names=tuple(names_to(node)),
                was_folder=isinstance(node, Folder),
            )
        )

    def _log(self, change: Change) -> None:
        self.log.append(change)
        self.told(change)


def check_name(name: str) -> None:
    """Raise CannotWrite where a file or folder cannot be called so."""
    if len(name) > MAX_NAME or name in (".", "..") or "\\" in name:
        raise CannotWrite("malformed_path")
    if name.lower() in _DISALLOWED:
        raise CannotWrite("disallowed_name")


def free_name(folder: Folder, name: str, *, copy: bool = False) -> str:
    """The name, or what Dropbox makes of it where it is taken: "a (1).txt", "a (conflicted copy).txt"."""
    stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
    number, found = 0, name
    while lower(found) in folder.children or (copy and not number):
        number += 1
        mark = ("conflicted copy" if number == 1 else f"conflicted copy {number}") if copy else str(number)
        found = f"{stem} ({mark}){suffix}"
    return found
