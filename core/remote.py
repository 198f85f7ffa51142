"""Folders in somebody's cloud, as the core sees them: what a connector's client tells of one, and does there.

No type of a platform's SDK crosses these ports. Everything raises Transient for what may pass (limits are
retried within one request first, boundedly) and AuthFailed for what only the operator can mend: a revoked
token, a folder that is not shared with the service any more. `core.fake_remote` holds a platform in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from core.errors import ErniError
from core.ports import Readiness
from core.sightings import UNREAD, Sighting


class CursorLost(ErniError):
    """The cursor is too old, or was reset: everything must be listed anew."""


class Changed(ErniError):
    """The file is another one than expected: somebody was quicker."""


class Occupied(ErniError):
    """Something else has the name already."""


class FolderGone(ErniError):
    """The folder to write into is not there any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One file in a watched folder.

    `id` stays with it for life. `folders` are the names of the folders between the watched one and it, and
    `parent` is what the platform's calls take for the folder that it is in. `modified` is in nanoseconds
    since 1970; `revision` changes whenever the content does. `content` is the content key: `sha256:<hex>`
    where the platform tells that, else another prefix and its own hash; empty for what is no real file.
    Sizes are bytes.

    `downloadable`: its owner lets others have the bytes and, where only a shortcut to it lies here, it can be
    told that those around that may read it. `appeared` is when it came here, Unix time by the platform's
    clock, None if unknown. `owner` is an opaque id. `media_type` is None where the platform tells none, and
    `seconds` is how long it plays, where that is known. `target` is the id of the file behind a shortcut.
    `made_from` is the content key of the recording that it is a transcript of, if this service made it and it
    can be told.
    """

    id: str
    name: str
    folders: tuple[str, ...] = ()
    parent: str
    size: int
    modified: int
    revision: str
    content: str
    downloadable: bool = True
    appeared: float | None = None
    owner: str | None = None
    media_type: str | None = None
    seconds: float | None = None
    target: str = ""
    made_from: str = ""

    @property
    def path(self) -> str:
        """The path that people see, below the watched folder. Not unique everywhere, and slashes within names
        are replaced."""
        return "/".join(part.replace("/", "_") for part in (*self.folders, self.name))

    def sighting(self) -> Sighting:
        """What `core.watching.Watched` wants to know of it."""
        return Sighting(
            path=self.id,
            size=self.size,
            modified=self.modified,
            shown=self.path,
            revision=self.revision,
            content=self.content if self.downloadable else UNREAD,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A file left the watched folder: deleted, put in a bin or moved elsewhere. It is named by its `id`, or
    by its `path` where the platform tells only that; then everything below the path is gone too."""

    id: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Part of a listing, or of what changed, in order. After `cursor` the rest follows; in a listing the last
    page's counts, and is from before the first page was made or includes what changed since.

    `more`: the rest is there already. `unclear`: what changed is not told in full (a folder was moved, say),
    so that all must be listed.
    """

    items: tuple[RemoteFile | Gone, ...]
    cursor: str
    more: bool = False
    unclear: bool = False


class RemoteFolder(Protocol):
    """One watched folder, for reading. What is in subfolders belongs to it."""

    def listing(self) -> AsyncIterator[Page]:
        """Everything that is there now, on one page or more."""
        ...

    async def changes(self, cursor: str) -> Page:
        """What changed since the cursor was given. Raises CursorLost. Files that were not changed, doubled
        ones and ones that are gone already do no harm."""
        ...

    async def deleted(self, ids: Collection[str]) -> frozenset[str]:
        """Those that were deleted or lie in a bin, rather than being elsewhere or out of sight."""
        ...

    async def look(self, file_id: str) -> RemoteFile | None:
        """One file as it is now; None if it is not in the watched folder."""
        ...

    async def download(self, file: RemoteFile, into: Path) -> None:
        """Its bytes into the file `into`, compared with `file.size` and `file.content`. Raises Changed if
        they are not the expected ones or it is gone, Rejected if they can't be had at all."""
        ...

    async def check(self) -> Readiness:
        """Whether it can be read and written, without changing anything."""
        ...


@runtime_checkable
class Notified(Protocol):
    """A `RemoteFolder` whose platform can be asked to answer when something has changed."""

    async def wait(self, cursor: str) -> None:
        """Until there may be something new after `cursor`, or some minutes have passed. Returns only after as
        long as the platform asked to keep quiet. Raises CursorLost."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A file to be written. `convert`: as a document of the platform's own, where it has such a thing.
    `made_from` is the content key of the recording, for `RemoteFile.made_from`, and `made_for` tells the
    recording from others of the same content: both are to be noted on the file where that is possible."""

    data: bytes
    media_type: str
    made_from: str
    made_for: str
    convert: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A file that is in a folder. `digest` changes when anybody changes the content, and for plain files is
    what `RemoteWriter.digest` says of it; `revision` is what a guarded change of it needs. `made_for` is as
    in `Output`, if this service made it and it can be told."""

    id: str
    name: str
    folder: str
    digest: str
    revision: str
    made_for: str = ""


class RemoteWriter(Protocol):
    """Writing into a watched folder. `folder` is always what `RemoteFile.parent` is."""

    @property
    def root(self) -> str:
        """The watched folder itself."""
        ...

    def digest(self, data: bytes) -> str:
        """The platform's hash of these bytes, as it comes back in `Held.digest`. Pure. Called in a
        thread, since it may take long."""
        ...

    async def subfolder(self, folder: str, name: str) -> str:
        """The folder of this name in `folder`, made if it is missing. Raises FolderGone."""
        ...

    async def reserve(self, count: int) -> Sequence[str]:
        """Ids for files to be made, so that making one twice makes one; empty ones where the platform gives
        none in advance."""
        ...

    async def present(self, folder: str, names: Collection[str]) -> Mapping[str, Sequence[Held]]:
        """What bears these names in the folder now, under the names as given; absent ones may be left out.
        Where case does not count for the platform, it does not here. Raises FolderGone."""
        ...

    async def create(self, folder: str, name: str, output: Output, *, file_id: str) -> Held:
        """Make a file, never instead of another one. `file_id` is one that was reserved, or empty: a file
        that was made under it before is returned as it is now. Raises Occupied, FolderGone."""
        ...

    async def replace(self, held: Held, output: Output) -> Held:
        """New content for a file, if its revision is still `held.revision`. Raises Changed."""
        ...

    async def delete(self, held: Held) -> None:
        """Delete a file, into the bin where there is one, if its revision is still `held.revision`. Raises
        Changed; one that is gone already is fine."""
        ...


class RemotePlace(RemoteFolder, RemoteWriter, Protocol):
    """Both, which is what a connector opens."""

    async def close(self) -> None:
        """End its threads and connections."""
        ...
