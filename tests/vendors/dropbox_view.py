"""Files and folders as one account sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.vendors.dropbox_model import (
    Access,
    Account,
    CannotFind,
    CannotWrite,
    Folder,
    Namespace,
    Node,
    lower,
    names_to,
    namespace_of,
)


@dataclass(frozen=True, slots=True)
class View:
    """What an account sees where paths begin at `root`."""

    account: Account
    root: Namespace
    ids: Mapping[str, Node]
    namespaces: Mapping[str, Namespace]

    def access(self, namespace: Namespace) -> Access | None:
        return namespace.access.get(self.account.id)

    def names_before(self, namespace: Namespace) -> list[str] | None:
        """The names from the root to the top of a namespace, None where it cannot be reached."""
        if self.access(namespace) is None:
            return None
        if namespace is self.root:
            return []
        for mount in namespace.mounted:
            try:
                before = self.names_before(namespace_of(mount))
            except CannotFind:
                continue
            if before is not None:
                return before + names_to(mount)
        return None

    def names(self, node: Node) -> list[str] | None:
        """The names from the root to a node, None where it is deleted or out of sight."""
        try:
            before = self.names_before(namespace_of(node))
        except CannotFind:
            return None
        return None if before is None else before + names_to(node)

    def path(self, node: Node) -> str | None:
        """The lower-cased path of a node."""
        names = self.names(node)
        return None if names is None else lower("".join(f"/{name}" for name in names))

    def find(self, path: str) -> Node:
        """What is at a path ("", "/...", "ns:...", "id:..."). Raises CannotFind."""
        start, rest = self.start(path)
        node: Node = start
        for name in split(rest):
            if not isinstance(node, Folder):
                raise CannotFind("not_found")
            child = node.children.get(lower(name))
            if child is None or not self.shows(child):
                raise CannotFind("not_found")
            node = child
        return node

    def start(self, path: str) -> tuple[Node, str]:
        """The node that a path begins at, and the rest of it."""
        head, slash, rest = path.partition("/")
        if head.startswith("id:"):
            node = self.ids.get(head)
            if node is None or self.names(node) is None:
                raise CannotFind("not_found")
            return node, slash + rest
        if head.startswith("ns:"):
            namespace = self.namespaces.get(head.removeprefix("ns:"))
            if namespace is None or self.names_before(namespace) is None:
                raise CannotFind("not_found")
            return namespace.top, slash + rest
        return self.root.top, path

    def shows(self, child: Node) -> bool:
        """Whether a child of a visible folder is visible."""
        return not (isinstance(child, Folder) and child.mounts and self.access(child.mounts) is None)

    def below(self, folder: Folder, *, recursive: bool) -> Iterator[Node]:
        """What is inside a folder, parents first."""
        for child in list(folder.children.values()):
            if self.shows(child):
                yield child
                if recursive and isinstance(child, Folder):
                    yield from self.below(child, recursive=True)

    def may_write(self, folder: Folder) -> bool:
        """Whether the account may change what is inside a folder."""
        return self.access(namespace_of(folder.inside)) in ("owner", "editor")

    def check_removable(self, node: Node) -> None:
        """Raise CannotWrite where a node must not leave its place."""
        if isinstance(node, Folder) and node.mounts and node.mounts.kind in ("team_folder", "home"):
            raise CannotWrite("team_folder")
        if node.parent is None or not self.may_write(node.parent):
            raise CannotWrite("no_write_permission")


def split(path: str) -> list[str]:
    """The names of a path. Raises CannotFind where it is malformed."""
    if path in ("", "/"):
        return []
    names = path.split("/")[1:]
    if path[0] != "/" or not all(names):
        raise CannotFind("malformed_path")
    return names
