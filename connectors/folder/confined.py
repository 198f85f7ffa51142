"""Opening files in one folder so that no name, and no link planted meanwhile, leads out of it.

Every path is walked from the folder's own descriptor, component by component, without following links.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.errors import ErniError, Transient

CHUNK = 1 << 20  # bytes read at once

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = (
    os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
)  # non-blocking: nobody may be at a pipe's end
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_FORBIDDEN = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}
)


class Absent(ErniError):
    """There is no such regular file, or no such folder."""


class Forbidden(ErniError):
    """The file system does not allow it: rights, a read-only mount, a name that it can't hold."""


class Changed(ErniError):
    """The file is another one than expected, or changed while it was read."""


class Stopped(ErniError):
    """Whoever asked has gone."""


class Confined:
    """The inside of `root`. Paths are relative, with slashes; "" is the folder itself."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def opened(self, folder: str, *, make: bool = False) -> Iterator[int]:
        with translated():
            directory = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in _parts(folder):
                with translated():
                    try:
                        inner = os.open(part, _DIRECTORY, dir_fd=directory)
                    except FileNotFoundError:
                        if not make:
                            raise
                        with suppress(FileExistsError):
                            os.mkdir(part, dir_fd=directory)
                        inner = os.open(part, _DIRECTORY, dir_fd=directory)
                os.close(directory)
                directory = inner
            yield directory
        finally:
            os.close(directory)

    @contextmanager
    def regular(self, directory: int, name: str) -> Iterator[int]:
        with translated():
            file = os.open(_component(name), _FILE, dir_fd=directory)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise Absent
            yield file
        finally:
            os.close(file)

    @contextmanager
    def source(self, path: str) -> Iterator[int]:
        folder, _, name = path.rpartition("/")
        with self.opened(folder) as directory, self.regular(directory, name) as file:
            yield file

    def digest(self, directory: int, name: str) -> str | None:
        """Raises Absent only if nothing at all has the name."""
        digest = hashlib.sha256()
        try:
            with self.regular(directory, name) as file, translated():
                while chunk := os.read(file, CHUNK):
                    digest.update(chunk)
        except (Absent, Forbidden):
            with translated():
                os.stat(name, dir_fd=directory, follow_symlinks=False)
            return None
        return digest.hexdigest()


@contextmanager
def translated(*, keep: bool = False) -> Iterator[None]:
    """Turn what the system says into our errors, but with `keep` not that a file exists or is missing."""
    try:
        yield
    except OSError as error:
        if keep and isinstance(error, FileExistsError | FileNotFoundError):
            raise
        if error.errno in _ABSENT:
            raise Absent from error
        if error.errno in _FORBIDDEN:
            raise Forbidden(error.strerror or "not allowed") from error
        raise Transient(f"The file system reports: {error.strerror or type(error).__name__}.") from error


def _parts(folder: str) -> list[str]:
    return [_component(part) for part in folder.split("/")] if folder else []


def _component(name: str) -> str:
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise Absent
    return name
