"""The file system, as seen from inside one folder. Nothing that is asked of it reaches outside.

All methods block: the adapter calls them through `Folder.call`, in threads
that belong to the folder alone, because a dead network mount keeps its threads for ever.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from connectors.folder.confined import CHUNK, Absent, Changed, Confined, Forbidden, Stopped, translated
from connectors.folder.mounts import filesystem_of, has_lasting_numbers, mounts
from core.errors import ErniError, Transient
from core.filenames import (
    TEMPORARY_PREFIX,
    TEMPORARY_SUFFIX,
    is_arriving,
    is_recording,
    is_watched,
    is_watched_folder,
)
from core.sightings import Sighting

P = ParamSpec("P")
T = TypeVar("T")

_BATCH = 1000
_ORPHANED_SECONDS = 3600.0
_NO_LINKS = frozenset(
    {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}
)
EMPTY_DIGEST = hashlib.sha256(b"").hexdigest()


class Placed(Enum):
    """What became of an output."""

    WRITTEN = "written"
    SAME = "same"  # it was there already, byte for byte
    OCCUPIED = "occupied"  # by something that is not ours to replace


@dataclass(slots=True, kw_only=True)
class Walk:
    """What a complete look at the folder came across besides recordings."""

    unread: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)


class Folder(Confined):
    """One folder and what may be done in it. Paths are relative, with slashes; "" is the folder itself.

    Methods raise Absent, Forbidden or, for what may pass (a full disk, a network that is away), Transient.
    """

    def __init__(self, root: Path, *, recursive: bool = True) -> None:
        super().__init__(root)
        self.recursive = recursive
        self.filesystem = filesystem_of(root, mounts())
        self._lasting = has_lasting_numbers(self.filesystem)
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="folder")

    async def call(
        self, function: Callable[Concatenate[Callable[[], None], P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a method in a thread. Its first argument is given here: it raises Stopped once the caller was
        cancelled, so that reading a large file ends."""
        stopped = False

        def check() -> None:
            if stopped:
                raise Stopped

        work = asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: function(check, *args, **kwargs)
        )
        try:
            return await work
        except asyncio.CancelledError:
            stopped = True
            raise

    # looking

    def create(self, _check: Callable[[], None]) -> None:
        """Make the folder, but not what it lies in, which may be a network mount that is away."""
        with translated(), suppress(FileExistsError):
            self.root.mkdir()

    def establish(self, _check: Callable[[], None]) -> None:
        """Make the folder and what it lies in, for the service's user alone."""
        with translated():
            for folder in [*reversed(self.root.parents), self.root]:
                if not folder.is_dir():  # `mkdir(parents=True)` would use the mode for the last one only
                    folder.mkdir(mode=0o700, exist_ok=True)

    def identity(self, _check: Callable[[], None]) -> tuple[str, str, bool]:
        """What changes when the folder is replaced or something is mounted over it, the type of its file
        system, and whether it is empty."""
        with translated():
            found = self.root.stat()
            with os.scandir(self.root) as entries:
                empty = next(entries, None) is None
        self.filesystem = filesystem_of(self.root, mounts())
        self._lasting = has_lasting_numbers(self.filesystem)
        return f"{found.st_dev}:{found.st_ino}", self.filesystem, empty

    def access(self, _check: Callable[[], None]) -> tuple[bool, bool, bool]:
        """Whether it is a folder, can be read, and can be written."""
        here = self.root.is_dir()
        effective = os.access in os.supports_effective_ids
        return (
            here,
            here and os.access(self.root, os.R_OK | os.X_OK, effective_ids=effective),
            here and os.access(self.root, os.W_OK | os.X_OK, effective_ids=effective),
        )

    def walk(self, walk: Walk) -> Iterator[list[Sighting]]:
        """Every recording, in batches. Raises Absent or Forbidden only if the folder itself can't be read."""
        batch: list[Sighting] = []
        pending = [""]
        while pending:
            folder = pending.pop()
            try:
                with translated(), os.scandir(self.root / folder) as found:
                    entries = list(found)
            except ErniError:
                if not folder:
                    raise
                walk.unread.append(folder)
                continue
            names = {entry.name for entry in entries}
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                with suppress(OSError):  # gone since
                    if entry.is_dir(follow_symlinks=False):
                        if self.recursive and is_watched_folder(entry.name):
                            pending.append(path)
                    elif not entry.is_file(follow_symlinks=False):
                        continue
                    elif entry.name.startswith(TEMPORARY_PREFIX):
                        walk.leftovers.append(path)
                    elif is_recording(entry.name):
                        busy = is_arriving(entry.name, names.__contains__)
                        batch.append(self._sighting(path, entry.stat(follow_symlinks=False), busy))
                if len(batch) >= _BATCH:
                    yield batch
                    batch = []
        yield batch

    def next_batch(self, _check: Callable[[], None], walk: Iterator[list[Sighting]]) -> list[Sighting] | None:
        """The next of `walk`, None at its end."""
        return next(walk, None)

    def glimpses(self, check: Callable[[], None], paths: Iterable[str]) -> dict[str, Sighting | None]:
        """`glimpse` of several."""
        return {path: self.glimpse(check, path) for path in paths}

    def nearest(self, _check: Callable[[], None], folder: str) -> str:
        """The folder itself if it exists, else the closest one above it that does."""
        while folder:
            with suppress(Absent, Forbidden), self.opened(folder):
                return folder
            folder = folder.rpartition("/")[0]
        return folder

    def is_folder(self, _check: Callable[[], None], path: str) -> bool:
        """Whether a folder that would be looked into is at `path`."""
        with suppress(Absent, Forbidden), self.opened(path):
            return all(is_watched_folder(part) for part in path.split("/"))
        return False

    def glimpse(self, _check: Callable[[], None], path: str) -> Sighting | None:
        """The recording at `path`, None if there is none."""
        folder, _, name = path.rpartition("/")
        if not is_watched(path):
            return None

        try:
            with self.opened(folder) as directory, translated():
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if not stat.S_ISREG(found.st_mode):
                    return None
                return self._sighting(path, found, is_arriving(name, lambda other: _exists(directory, other)))
        except (Absent, Forbidden):
            return None

    def search(self, check: Callable[[], None], like: Sighting) -> str | None:
        """Where a file that has left its path is now, by all that can be told without reading it."""
        for batch in self.walk(Walk()):
            check()
            for sighting in batch:
                same = (sighting.size, sighting.modified) == (like.size, like.modified)
                if same and (not like.identity or like.identity == sighting.identity):
                    return sighting.path
        return None

    # reading

    def content_key(self, check: Callable[[], None], sighting: Sighting) -> str:
        """`sha256:<hex>` of the file that was sighted. Raises Changed if it is not that any more."""
        digest = hashlib.sha256()
        with self.source(sighting.path) as file, translated():
            if self._sighting(sighting.path, os.fstat(file), sighting.busy) != sighting:
                raise Changed
            while chunk := os.read(file, CHUNK):
                check()
                digest.update(chunk)
            if self._sighting(sighting.path, os.fstat(file), sighting.busy) != sighting:
                raise Changed
        return f"sha256:{digest.hexdigest()}"

    def copy(self, check: Callable[[], None], path: str, into: Path, *, size: int, content: str) -> None:
        """The file's bytes into the file `into`. Raises Changed if they are not the expected ones."""
        digest = hashlib.sha256()
        with self.source(path) as source, into.open("wb") as target, translated():
            if os.fstat(source).st_size != size:
                raise Changed
            while chunk := os.read(source, CHUNK):
                check()
                digest.update(chunk)
                target.write(chunk)
        if f"sha256:{digest.hexdigest()}" != content:
            raise Changed

    def examine(
        self, check: Callable[[], None], sighting: Sighting, folder: str, names: list[str]
    ) -> tuple[str, bool]:
        """The content key of the file, and whether one of `names` in `folder` mentions it."""
        content = self.content_key(check, sighting)
        return content, self.mentions(check, folder, names, content)

    def mentions(self, _check: Callable[[], None], folder: str, names: list[str], text: str) -> bool:
        """Whether one of the files begins or ends with a part that holds `text`."""
        wanted = text.encode()
        with suppress(Absent, Forbidden), self.opened(folder) as directory:
            for name in names:
                if not _exists(directory, name):
                    continue
                with suppress(Absent, Forbidden), self.regular(directory, name) as file, translated():
                    length = os.fstat(file).st_size
                    if wanted in os.pread(file, 1 << 16, 0) + os.pread(
                        file, 1 << 16, max(0, length - (1 << 16))
                    ):
                        return True
        return False

    def digests(self, _check: Callable[[], None], folder: str, names: list[str]) -> dict[str, str | None]:
        """Name -> SHA-256 in hex; None for what exists but is no readable file. Absent names are left out."""
        found: dict[str, str | None] = {}
        with suppress(Absent), self.opened(folder) as directory:
            for name in names:
                with suppress(Absent):
                    found[name] = self.digest(directory, name)
        return found

    # writing

    def place(
        self,
        _check: Callable[[], None],
        folder: str,
        name: str,
        data: bytes,
        *,
        replaceable: frozenset[str] = frozenset(),
    ) -> Placed:
        """Put an output into `folder`, which is made if need be, through a temporary file.

        A file that is there is left alone unless its SHA-256 is among `replaceable`.
        """
        wanted = hashlib.sha256(data).hexdigest()
        with self.opened(folder, make=True) as directory:
            for _ in range(3):  # each time something else came in between
                try:
                    found = self.digest(directory, name)
                except Absent:
                    found = ""
                if found == wanted:
                    return Placed.SAME
                if found is None or (found and found not in replaceable):
                    return Placed.OCCUPIED
                with suppress(FileExistsError, FileNotFoundError), translated(keep=True):
                    self._write(directory, name, data, replace=bool(found))
                    return Placed.WRITTEN
        raise Transient("The folder changes all the time.")

    def remove(self, _check: Callable[[], None], folder: str, name: str, digest: str) -> None:
        """Delete an output if it is still what we wrote."""
        with suppress(Absent, Forbidden), self.opened(folder) as directory:
            if self.digest(directory, name) == digest:
                with translated():
                    self._unlink(directory, name)

    def sweep(self, _check: Callable[[], None], leftovers: list[str]) -> int:
        """Delete temporary files whose writer died. Returns how many."""
        swept = 0
        for path in leftovers:
            folder, _, name = path.rpartition("/")
            with (
                suppress(Absent, Forbidden, Transient),
                self.opened(folder) as directory,
                self.regular(directory, name) as file,
            ):
                if _abandoned(file):
                    with translated():
                        self._unlink(directory, name)
                    swept += 1
        return swept

    def _write(self, directory: int, name: str, data: bytes, *, replace: bool) -> None:
        temporary = f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
        file = self._create(directory, temporary)
        try:
            with suppress(OSError):  # not everywhere; `_abandoned` then goes by age
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                self._fill(file, data)
                if replace:
                    self._rename(directory, temporary, name)
                else:
                    self._claim(directory, temporary, name)
            finally:
                with suppress(OSError):
                    self._unlink(directory, temporary)
            self._sync(directory)
        finally:
            os.close(file)

    def _claim(self, directory: int, temporary: str, name: str) -> None:
        """Give the temporary file its name unless that is taken, which `rename` alone can't do."""
        try:
            self._link(directory, temporary, name)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            os.close(self._create(directory, name))
            self._rename(directory, temporary, name)

    # one system call each: tests break off before any of them

    def _create(self, directory: int, name: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, 0o666, dir_fd=directory)

    def _fill(self, file: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]
        os.fsync(file)

    def _link(self, directory: int, old: str, new: str) -> None:
        os.link(old, new, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)

    def _rename(self, directory: int, old: str, new: str) -> None:
        os.rename(old, new, src_dir_fd=directory, dst_dir_fd=directory)

    def _unlink(self, directory: int, name: str) -> None:
        os.unlink(name, dir_fd=directory)

    def _sync(self, directory: int) -> None:
        with suppress(OSError):  # network file systems refuse it, and mean no harm
            os.fsync(directory)

    def _sighting(self, path: str, found: os.stat_result, busy: bool) -> Sighting:
        return Sighting(
            path=path,
            size=found.st_size,
            modified=found.st_mtime_ns,
            identity=str(found.st_ino) if self._lasting else "",
            busy=busy,
        )


def _exists(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True


def _abandoned(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return time.time() - os.fstat(file).st_mtime > _ORPHANED_SECONDS
    return True
