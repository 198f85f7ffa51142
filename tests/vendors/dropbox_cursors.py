"""Listing folders, the cursors that go on from there, and waiting for a change."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.vendors import dropbox_payloads as payloads
from tests.vendors.dropbox_model import (
    CannotFind,
    Change,
    Folder,
    Json,
    Namespace,
    Node,
    Refused,
    bad_input,
    lower,
    path_in,
    tagged,
)
from tests.vendors.dropbox_storage import Storage
from tests.vendors.dropbox_view import View, split

MAX_PAGE = 2000  # entries

Gone = list[str]
"""The names to something deleted."""


@dataclass(slots=True, eq=False, kw_only=True)
class Watch:
    """What was asked for when a cursor was begun. It stays with the path, whatever is there later."""

    view: View
    namespace: Namespace
    path: str
    recursive: bool
    deleted: bool
    media_info: bool
    mounted: bool
    limit: int | None

    def root(self) -> Folder | None:
        """The folder that is watched, None while it is gone."""
        node = _at(self.namespace, self.path)
        return node if isinstance(node, Folder) and self.view.names(node) is not None else None

    def full(self) -> str | None:
        """Its path in the view."""
        before = self.view.names_before(self.namespace)
        return None if before is None else lower("".join(f"/{name}" for name in before)) + self.path

    def holds(self, namespace: Namespace, full: str, top: str) -> bool:
        """Whether a path of the view belongs to what is watched."""
        if not self.mounted and namespace is not self.namespace:
            return False
        return full.startswith(f"{top}/") if self.recursive else full.rpartition("/")[0] == top and full != ""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Cursor:
    """How far somebody has read: `pending` from `offset` on, then the log from `position` on."""

    watch: Watch
    pending: list[Node | Gone]
    offset: int
    position: int


@dataclass(slots=True)
class Cursors:
    """Every cursor that was given out. `gone_root` is what a cursor answers whose folder was deleted or
    moved: an error or an entry (unverified, so test both). `hollow_pages` is how many pages will come without
    entries although there are more. `careless_case`: only the last name of `path_display` has the right
    case."""

    storage: Storage
    page_size: int = MAX_PAGE
    gone_root: Literal["not_found", "deleted"] = "not_found"
    hollow_pages: int = 0
    careless_case: bool = False
    _by_token: dict[str, Cursor] = field(default_factory=dict)
    _tokens: dict[tuple[int, int, int, int], str] = field(default_factory=dict)
    _expired: set[str] = field(default_factory=set)

    def list_folder(self, view: View, folder: Folder, arg: Any, *, latest: bool = False) -> Cursor:
        """A cursor at the beginning of a folder, or behind all that is in it now."""
        inside = folder.inside
        namespace = inside.namespace or _namespace(inside)
        watch = Watch(
            view=view,
            namespace=namespace,
            path=path_in(inside),
            recursive=arg.recursive,
            deleted=arg.include_deleted,
            media_info=arg.include_media_info,
            mounted=arg.include_mounted_folders,
            limit=arg.limit,
        )
        pending = [] if latest else list(self._listing(watch, folder))
        return Cursor(watch=watch, pending=pending, offset=0, position=len(self.storage.log))

    def token(self, cursor: Cursor) -> str:
        """The text that stands for a cursor."""
        key = (id(cursor.watch), id(cursor.pending), cursor.offset, cursor.position)
        if not cursor.pending:
            key = (id(cursor.watch), 0, 0, cursor.position)
        if key not in self._tokens or self._tokens[key] in self._expired:
            digest = hashlib.sha512(str(len(self._by_token)).encode()).digest()
            token = "AAH" + base64.urlsafe_b64encode(digest).decode().rstrip("=")
            self._tokens[key], self._by_token[token] = token, cursor
        return self._tokens[key]

    def resume(self, route: str, token: str, *, only: View | None = None) -> Cursor:
        """The cursor that a text stands for. Raises Refused where it is unknown, foreign or expired."""
        cursor = self._by_token.get(token)
        if cursor is None or (only is not None and cursor.watch.view != only):
            raise bad_input(route, 'Invalid "cursor" parameter', where="request body: cursor")
        if token in self._expired:
            raise Refused({".tag": "reset"})
        return cursor

    def expire(self) -> None:
        """No cursor given out so far is good any more."""
        self._expired |= set(self._by_token)

    def page(self, cursor: Cursor) -> Json:
        """The next entries: ListFolderResult."""
        watch, offset = cursor.watch, cursor.offset
        pending, position = cursor.pending, cursor.position
        if offset == len(pending):
            pending, offset = self._delta(watch, position), 0
            position = len(self.storage.log)
        entries: list[Json] = []
        limit = min(watch.limit or MAX_PAGE, self.page_size)
        if self.hollow_pages and offset < len(pending):
            self.hollow_pages -= 1
        else:
            top = watch.full()
            while offset < len(pending) and len(entries) < limit:
                entries += self._shown(watch, pending[offset], top)
                offset += 1
        more = offset < len(pending)
        left = pending if more else []
        reached = Cursor(watch=watch, pending=left, offset=offset if more else 0, position=position)
        return {"entries": entries, "cursor": self.token(reached), "has_more": more}

    def touched(self, watch: Watch, changes: list[Change]) -> bool:
        """Whether any of the changes belongs to what is watched."""
        top = watch.full()
        if top is None:
            return True
        for change, full in _located(watch, changes):
            if watch.holds(change.namespace, full, top):
                return True
            if change.gone and _holds(full, top):
                return True
        return False

    def _listing(self, watch: Watch, folder: Folder) -> Iterator[Node | Gone]:
        if watch.recursive and folder.parent is not None:
            yield folder
        for node in watch.view.below(folder, recursive=watch.recursive):
            if watch.mounted or not (isinstance(node, Folder) and node.mounts):
                yield node
        top = watch.full()
        if watch.deleted and top is not None:
            for namespace in self.storage.namespaces.values():
                before = watch.view.names_before(namespace)
                for shown, _ in namespace.deleted.values():
                    names = [*(before or []), *shown]
                    full = lower("".join(f"/{name}" for name in names))
                    if before is not None and watch.holds(namespace, full, top):
                        yield names

    def _delta(self, watch: Watch, position: int) -> list[Node | Gone]:
        """What is different since a position of the log, in order; the latest state of each path only."""
        if position == len(self.storage.log):
            return []
        top, view = watch.full(), watch.view
        if top is None or watch.root() is None:
            if self.gone_root == "not_found" or not watch.path:
                raise Refused(tagged("path/not_found"))
            if not self.touched(watch, self.storage.log[position:]):
                return []
            return [[*(view.names_before(watch.namespace) or []), *split(watch.path)]]
        changes = [
            (change, full)
            for change, full in _located(watch, self.storage.log[position:])
            if watch.holds(change.namespace, full, top) or (change.gone and _holds(full, top))
        ]
        last = {full: number for number, (_, full) in enumerate(changes)}
        found: list[Node | Gone] = []
        for number, (change, full) in enumerate(changes):
            node = _at(change.namespace, change.path)
            seen = node is not None and view.shows(node) and view.names(node) is not None
            superseded = last[full] != number
            if change.gone and _holds(full, top):
                # It came back: what was in it did not, unless there is more about it behind.
                found.append([*(view.names_before(watch.namespace) or []), *split(watch.path)])
            elif change.gone and (change.was_folder if seen and superseded else not (seen or superseded)):
                found.append([*(view.names_before(change.namespace) or []), *change.names])
            elif node is not None and seen and not (change.gone or superseded):
                found.append(node)
        return found

    def _shown(self, watch: Watch, entry: Node | Gone, top: str | None) -> list[Json]:
        if isinstance(entry, list):
            return [payloads.deleted(entry, careless=self.careless_case)]
        path = watch.view.path(entry)
        if path is None or top is None or not (path == top or path.startswith(f"{top}/")):
            return []
        return [payloads.metadata(watch.view, entry, careless=self.careless_case)]


@dataclass(slots=True)
class Longpoll:
    """Waiting for changes. `longest` cuts every wait short (seconds), `jitter` is added to what was asked
    for. `backoffs` go with the next answers, one each; to call before they are over is a violation."""

    cursors: Cursors
    violations: list[str]
    longest: float = 600.0
    jitter: float = 0.0
    backoffs: list[int] = field(default_factory=list)
    waiting: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _rounds: int = 0
    _not_before: dict[str, float] = field(default_factory=dict)

    def wake(self) -> None:
        """Something changed."""
        if self.waiting:
            self._changed.set()
            self._changed = asyncio.Event()

    def end(self) -> None:
        """Answer everybody who waits, as if their time were over."""
        self._rounds += 1
        self.wake()

    async def wait(self, route: str, token: str, seconds: float) -> Json:
        """The answer to list_folder/longpoll."""
        loop = asyncio.get_running_loop()
        cursor = self.cursors.resume(route, token)
        watch, log = cursor.watch, self.cursors.storage.log
        if watch.media_info:
            raise bad_input(route, "cursors of include_media_info are not supported")
        who = watch.view.account.id
        if loop.time() < self._not_before.get(who, 0.0):
            self.violations.append("list_folder/longpoll was called before its backoff was over")
        until, rounds = loop.time() + min(seconds + self.jitter, self.longest), self._rounds
        seen, changes = cursor.position, cursor.offset < len(cursor.pending)
        self.waiting += 1
        try:
            while not changes and self._rounds == rounds and loop.time() < until:
                changed = self._changed
                self.cursors.resume(route, token)
                changes = self.cursors.touched(watch, log[seen:])
                seen = len(log)
                if not changes:
                    try:
                        async with asyncio.timeout_at(until):
                            await changed.wait()
                    except TimeoutError:
                        break
        finally:
            self.waiting -= 1
        answer: Json = {"changes": changes}
        if self.backoffs:
            answer["backoff"] = self.backoffs.pop(0)
            self._not_before[who] = loop.time() + answer["backoff"]
        return answer


def _holds(full: str, top: str) -> bool:
    """Whether a path is that of the watched folder, or of one above it."""
    return full == top or top.startswith(f"{full}/")


def _namespace(folder: Folder) -> Namespace:
    top = folder
    while top.parent is not None:
        top = top.parent
    if top.namespace is None:
        raise CannotFind("not_found")
    return top.namespace


def _at(namespace: Namespace, path: str) -> Node | None:
    node: Node = namespace.top
    for name in split(path):
        child = node.children.get(name) if isinstance(node, Folder) else None
        if child is None:
            return None
        node = child
    return node


def _located(watch: Watch, changes: list[Change]) -> Iterator[tuple[Change, str]]:
    """Changes with their paths in the view."""
    before: dict[str, str | None] = {}
    for change in changes:
        where = change.namespace
        if where.id not in before:
            names = watch.view.names_before(where)
            before[where.id] = None if names is None else lower("".join(f"/{name}" for name in names))
        prefix = before[where.id]
        if prefix is not None:
            yield change, prefix + change.path
