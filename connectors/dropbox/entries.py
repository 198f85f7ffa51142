"""What Dropbox says of files and folders, as the core wants to know it. Pure.

A folder is named by a text that begins with an id, "id:...", or with a namespace, "ns:...", and may go on
with a path below that: so it still means the same folder when the watched one is moved or renamed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from dropbox.content_hash import content_hash
from dropbox.files import DeletedMetadata, FileMetadata, FolderMetadata

from core.filenames import valid_name
from core.remote import Gone, Held, RemoteFile

CONTENT: Final = "dropbox:"
"""Begins content keys, before Dropbox's own hash: SHA-256 over the SHA-256 of every 4 MiB."""


class RootMoved(Exception):
    """Something is said of another place than the watched folder, or of another folder at its place: it was
    moved, deleted or replaced."""


def digest(data: bytes) -> str:
    """Dropbox's hash of bytes."""
    return str(content_hash(data))


def items(
    entries: Iterable[Any], *, root: str, path: str, news: bool = False
) -> tuple[RemoteFile | Gone, ...]:
    """The files among the entries of a listing, and what is gone. `root` names the watched folder, which is
    at `path` (in lower case, "" for the top). `news`: it is told what changed, of each path only how it is
    now, so that a file may be there in the place of another one. Raises RootMoved."""
    found: list[RemoteFile | Gone] = []
    for entry in entries:
        lower: str | None = entry.path_lower
        if not lower:
            continue  # it is nowhere that a path leads to
        if not is_below(entry, path) and not _is_root(entry, root, path):
            raise RootMoved
        if isinstance(entry, DeletedMetadata) or (news and isinstance(entry, FileMetadata)):
            found.append(Gone(path="/".join(_below(entry, path))))
        if isinstance(entry, FileMetadata):
            found.append(remote_file(entry, root=root, path=path))
    return tuple(found)


def is_below(entry: Any, path: str) -> bool:
    """Whether a file or folder lies in the folder at `path`, however deep."""
    return bool(entry.path_lower) and entry.path_lower.startswith(f"{path}/")


def remote_file(entry: Any, *, root: str, path: str, parent: str | None = None) -> RemoteFile:
    """A file in the watched folder. `parent` names its own folder, None: by its path below `root`."""
    *folders, _ = _below(entry, path)
    here = entry.path_lower[len(path) :].rpartition("/")[0]
    modified = _seconds(entry.server_modified)
    sharing = entry.sharing_info
    return RemoteFile(
        id=entry.id,
        name=valid_name(entry.name),
        folders=tuple(folders),
        parent=f"{root}{here}" if parent is None else parent,
        size=entry.size,
        modified=int(modified * 1e9),
        # A moved file may get a new `rev`, and its bytes are the same.
        revision=entry.content_hash or entry.rev,
        content=_content(entry),
        downloadable=entry.is_downloadable,
        appeared=modified,
        owner=None if sharing is None else sharing.modified_by,
    )


def held(entry: Any, *, folder: str) -> Held:
    """A file or folder that bears a name."""
    is_file = isinstance(entry, FileMetadata)
    return Held(
        id=entry.id,
        name=entry.name,
        folder=folder,
        digest=(entry.content_hash or "") if is_file else "",
        revision=entry.rev if is_file else "",
    )


def _is_root(entry: Any, root: str, path: str) -> bool:
    here = entry.path_lower == path and isinstance(entry, FolderMetadata)
    return here and (root.startswith("ns:") or entry.id == root)


def _content(entry: Any) -> str:
    if entry.symlink_info is not None:
        return ""
    if entry.content_hash:
        return f"{CONTENT}{entry.content_hash}"
    return "" if entry.is_downloadable else f"{CONTENT}{entry.rev}"  # nobody can have it, but it is there


def _below(entry: Any, path: str) -> list[str]:
    """The names from the watched folder down to the entry. Lower case can be longer, so they are counted."""
    shown: str = entry.path_display or entry.path_lower
    return valid_name(shown).split("/")[path.count("/") + 1 :]


def _seconds(when: datetime) -> float:
    return when.replace(tzinfo=UTC).timestamp()
