"""Where audio lies while it is worked on: a private directory that is gone afterwards, also after a crash."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.settings import Settings

logger = logging.getLogger(__name__)

_ROOM = 512 << 20  # bytes; four hours of decoded audio, and their source
_MEMORY = Path("/dev/shm")  # noqa: S108  (used only as a 0700 directory of our own)


def workspace_root(settings: Settings) -> Path:
    """Where working directories are made: in the data directory; in memory where what is stored must be
    encrypted, so that audio never reaches a disk."""
    if settings.encryption_key is None:
        return settings.data_dir / "work"
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM:
        return _MEMORY / f"erni-audio-{os.getuid()}"
    logger.warning(
        "less than %d MiB free in %s: audio lies unencrypted on disk while it is worked on",
        _ROOM >> 20,
        _MEMORY,
    )
    return settings.data_dir / "work"


@contextmanager
def workspace(settings: Settings) -> Iterator[Path]:
    """A directory of mode 0700 for this process, removed in the end.

    What dead processes left behind is removed first: each holds a lock on its directory while it lives.
    """
    root = workspace_root(settings)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    root.chmod(0o700)
    for left in root.iterdir():
        if left.is_dir() and (lock := _lock(left)) is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)
    directory = Path(tempfile.mkdtemp(dir=root))
    lock = _lock(directory)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _lock(directory: Path) -> int | None:
    """A lock on a directory, released with its descriptor or its process; None if another process has it."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
