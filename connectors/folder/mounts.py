"""Which file system a folder lies on, and whether that one tells of changes made elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

_NETWORK = frozenset(
    {"9p", "afs", "ceph", "cifs", "coda", "davfs", "fakeowner", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4"}
    | {"prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs"}
)
_LASTING_NUMBERS = frozenset({"nfs", "nfs4", "ceph", "lustre", "glusterfs", "afs"})


def is_network(filesystem: str) -> bool:
    """Whether changes made elsewhere show in a file system of this type without a notice."""
    return filesystem in _NETWORK or filesystem.startswith("fuse.")


def has_lasting_numbers(filesystem: str) -> bool:
    """Whether a file keeps its inode number when it is renamed and when it is mounted again."""
    return not is_network(filesystem) or filesystem in _LASTING_NUMBERS


def filesystem_of(path: Path, mountinfo: str) -> str:
    """The type of the file system that holds `path`, by the text that `mounts` returns; "" if unknown."""
    best, kind = -1, ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = Path(_unescaped(fields[4]))
        if (
            path.is_relative_to(point) and len(point.parts) >= best
        ):  # of several at one place, the last is on top
            best, kind = len(point.parts), after.split(" ")[0]
    return kind


def mounts() -> str:
    """What is mounted where; empty on systems that don't say it."""
    try:
        return os.fsdecode(Path("/proc/self/mountinfo").read_bytes())
    except OSError:
        return ""


def _unescaped(field: str) -> str:
    for code in (" ", "\t", "\n", "\\"):
        field = field.replace(f"\\{ord(code):03o}", code)
    return field
