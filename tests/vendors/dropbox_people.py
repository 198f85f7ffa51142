"""People and what they do with their files, in a browser or a desktop client; teams and their folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.vendors.dropbox_model import (
    Access,
    Account,
    CannotFind,
    Content,
    File,
    Folder,
    Namespace,
    Node,
    SharedLink,
    Team,
    content,
    lower,
)
from tests.vendors.dropbox_storage import Storage
from tests.vendors.dropbox_view import View


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """Somebody at their Dropbox. Paths begin where people see them begin: members of a team see its folders
    and their own, such as "/Meetings" and "/Ann Lee". Errors are CannotFind and CannotWrite."""

    storage: Storage
    account: Account

    @property
    def view(self) -> View:
        return self.storage.view(self.account, self.account.root)

    def find(self, path: str) -> Node:
        return self.view.find(path)

    def file(self, path: str) -> File:
        """The file at a path. Raises CannotFind."""
        node = self.find(path)
        if not isinstance(node, File):
            raise CannotFind("not_file")
        return node

    def folder(self, path: str) -> Folder:
        """The folder at a path. Raises CannotFind."""
        node = self.find(path)
        if not isinstance(node, Folder):
            raise CannotFind("not_folder")
        return node

    def exists(self, path: str) -> bool:
        try:
            self.find(path)
        except CannotFind:
            return False
        return True

    def names(self, path: str = "") -> list[str]:
        """What is in a folder, by name."""
        return sorted(node.name for node in self.view.below(self.folder(path), recursive=False))

    def upload(self, path: str, data: bytes | Path | Content = b"", *, modified: float | None = None) -> File:
        """A new file; folders on the way are made. `modified` is the time that the client says."""
        return self.storage.put(self.view, path, content(data), strict=True, client_modified=modified)

    def upload_many(self, folder: str, names: Iterable[str], data: bytes = b"") -> None:
        """Many new files at once into one folder, which is made if need be, all with the same bytes."""
        inside = self.folder(folder) if self.exists(folder) else self.make_folder(folder)
        self.storage.put_many(self.view, inside, names, content(data))

    def replace(self, path: str, data: bytes | Path | Content) -> File:
        """New bytes in a file: the same id, a new `rev`."""
        self.file(path)
        return self.storage.put(self.view, path, content(data), mode="overwrite")

    def make_folder(self, path: str) -> Folder:
        return self.storage.make_folder(self.view, path)

    def rename(self, path: str, name: str) -> Node:
        """A new name in the same folder. Where only the case differs, no cursor hears of it."""
        node = self.find(path)
        if lower(node.name) == lower(name):
            self.storage.recase(node, name)
            return node
        return self.move(path, f"{path.rpartition('/')[0]}/{name}")

    def move(self, path: str, to: str) -> Node:
        node = self.find(path)
        self.view.check_removable(node)
        return self.storage.move(self.view, node, to)

    def copy(self, path: str, to: str) -> Node:
        return self.storage.copy(self.view, self.find(path), to)

    def delete(self, path: str) -> None:
        node = self.find(path)
        self.view.check_removable(node)
        self.storage.remove(node)

    def restore(self, path: str) -> Node:
        """Bring back what was deleted at this very path: the same id, a new `rev`."""
        return self.storage.restore(self.view, path)

    def share_link(
        self,
        path: str,
        *,
        audience: Literal["public", "team"] = "public",
        password: str | None = None,
    ) -> SharedLink:
        """What "Copy link" gives; `audience` "no_one" switches it off later."""
        node = self.find(path)
        key = self.storage.new_id("")
        kind, name = ("fi", f"/{node.name}") if isinstance(node, File) else ("fo", f"/{key[:10]}")
        link = SharedLink(
            url=f"https://www.dropbox.com/scl/{kind}/{key}{name.replace(' ', '-')}?rlkey={key[::-1]}&dl=0",
            node=node,
            owner=self.account,
            audience=audience,
            password=password,
            created=self.storage.clock(),
        )
        self.storage.links.append(link)
        return link

    def share_folder(self, path: str, others: Mapping[Person, Access]) -> Namespace:
        """Share a folder; it appears at the top of what the others see."""
        folder, storage = self.folder(path), self.storage
        access: dict[str, Access] = {self.account.id: "owner"}
        access |= {person.account.id: level for person, level in others.items()}
        namespace = storage.add_namespace("shared", folder.name, access)
        for key, child in folder.own.items():
            child.parent = namespace.top
            namespace.top.own[key] = child
        folder.own.clear()
        folder.mounts = namespace
        namespace.mounted.append(folder)
        storage.announce(folder)
        for person in others:
            storage.mount(namespace, person.account.home.top, folder.name)
        return namespace


@dataclass(slots=True)
class Population:
    """Who there is. `storage` is what they have."""

    storage: Storage

    def add_person(self, name: str, *, team: Team | None = None) -> Person:
        """Somebody new, with an empty Dropbox; in a team with a folder of their own in its team space."""
        number = self.storage.number()
        account_id = self.storage.new_id("dbid:AA") + "0123456789a"
        home = self.storage.add_namespace("home", name, {account_id: "owner"})
        account = Account(
            id=account_id,
            uid=100_000 + number,
            name=name,
            email=f"{name.lower().replace(' ', '.')}@example.com",
            home=home,
            root=home,
        )
        self.storage.accounts[account.id] = account
        person = Person(self.storage, account)
        if team is not None:
            self.join(person, team)
        return person

    def add_team(self, name: str) -> Team:
        root = self.storage.add_namespace("team", name, {})
        team = Team(id=self.storage.new_id("dbtid:AA"), name=name, root=root)
        self.storage.teams.append(team)
        return team

    def join(self, person: Person, team: Team) -> None:
        """Somebody joins a team: their paths begin at its team space now, which is another root."""
        account = person.account
        team.root.access[account.id] = "viewer"
        self.storage.mount(account.home, team.root.top, account.name)
        account.root, account.team = team.root, team
        account.member_id = self.storage.new_id("dbmid:AA")

    def leave(self, person: Person) -> None:
        """Somebody leaves their team, with their own folder."""
        account, team = person.account, person.account.team
        assert team is not None
        self.storage.unmount(next(m for m in account.home.mounted if m.parent is team.root.top))
        for namespace in self.storage.namespaces.values():
            if namespace.kind in ("team", "team_folder"):
                namespace.access.pop(account.id, None)
        account.root, account.team, account.member_id = account.home, None, None

    def add_team_folder(self, team: Team, name: str, access: Mapping[Person, Access]) -> Namespace:
        """A folder of the team, for those who are named."""
        levels = {person.account.id: level for person, level in access.items()}
        namespace = self.storage.add_namespace("team_folder", name, levels)
        self.storage.mount(namespace, team.root.top, name)
        return namespace

    def set_access(self, person: Person, namespace: Namespace, access: Access | None) -> None:
        """Change what somebody may do in a shared or team folder; None shuts them out."""
        who = person.account
        if access is not None:
            namespace.access[who.id] = access
            for mount in namespace.mounted:
                self.storage.announce(mount)
            return
        for mount in list(namespace.mounted):
            if namespace.kind == "team_folder":
                del namespace.access[who.id]
                self.storage.withdraw(mount)
            elif mount.parent is who.home.top:
                self.storage.unmount(mount)
                del namespace.access[who.id]
