"""Which recordings a call names, and what their transcripts are called."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.filenames import (
    TEMPORARY_PREFIX,
    TEMPORARY_SUFFIX,
    display_name,
    family,
    is_recording,
    is_watched_folder,
    output_base,
)
from core.render.safe import clean

STDIN = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file to transcribe. `folder` is where it lies below the folder that was named, empty if it was named
    itself; `name` is what people know it as."""

    path: Path
    folder: str = ""
    name: str


def gather(paths: Iterable[str], stdin: Path) -> tuple[list[Source], list[str]]:
    """The recordings behind the arguments, each file once, and a line for each argument that is none.

    Folders are walked for media files; a file that is named itself may be called anything. `stdin` is where
    standard input was put for the argument `-`.
    """
    found: dict[tuple[int, int], Source] = {}
    complaints: list[str] = []
    for argument in paths:
        if argument == STDIN:
            sources = [Source(path=stdin, name="stdin")]
        else:
            sources = list(_below(Path(argument), complaints.append))
        for source in sources:
            try:
                status = source.path.stat()
            except OSError as error:
                complaints.append(f"{shown(source.path)}: {_reason(error)}.")
                continue
            found.setdefault((status.st_dev, status.st_ino), source)
    return list(found.values()), complaints


def shown(path: Path) -> str:
    """A path for people."""
    return clean(os.fsencode(path).decode("utf-8", "replace"))


def _reason(error: OSError) -> str:
    return {
        FileNotFoundError: "there is no such file or folder",
        PermissionError: "you may not read it",
    }.get(type(error), error.strerror or type(error).__name__)


def _below(path: Path, complain: Callable[[str], None]) -> Iterator[Source]:
    try:
        is_folder = path.is_dir()
        if not is_folder and path.exists() and not path.is_file():
            complain(f"{shown(path)}: this is neither a file nor a folder.")
            return
    except OSError as error:
        complain(f"{shown(path)}: {_reason(error)}.")
        return
    if not is_folder:
        yield Source(path=path, name=display_name(path.name))
        return
    troubles: list[OSError] = []
    count = 0
    for folder, subfolders, names in os.walk(path, onerror=troubles.append):
        subfolders[:] = sorted(filter(is_watched_folder, subfolders))
        relative = os.path.relpath(folder, path)
        for name in sorted(filter(is_recording, names)):
            if (file := Path(folder, name)).is_file():
                count += 1
                yield Source(
                    path=file, folder="" if relative == "." else relative, name=display_name(file.name)
                )
    for trouble in troubles:
        complain(f"{shown(Path(trouble.filename))}: {_reason(trouble)}.")
    if not count and not troubles:
        complain(f"{shown(path)}: there are no recordings in this folder.")


def bases(sources: Sequence[Source]) -> list[str]:
    """What the outputs of each source are called below the output folder, without their ending.

    Subfolders are kept. Of recordings that would share a name, also where case does not count, those of
    different types keep their extension and the others get a number.
    """
    kin: dict[tuple[str, str], set[str]] = {}
    for source in sources:
        kin.setdefault((source.folder, family(source.path.name)), set()).add(source.path.name)
    taken: set[str] = set()
    result: list[str] = []
    for source in sources:
        shared = len(kin[source.folder, family(source.path.name)]) > 1
        has_ending = "." in source.path.name.lstrip(".")
        plain = output_base(source.path.name, shared or not has_ending)
        base, number = plain, 1
        while (wanted := os.path.join(source.folder, base)).casefold() in taken:  # noqa: PTH118  (names)
            number += 1
            base = f"{plain} ({number})"
        taken.add(wanted.casefold())
        result.append(wanted)
    return result


def occupied(targets: Iterable[Path]) -> Path | None:
    """The first of the files that is there already."""
    return next((target for target in targets if os.path.lexists(target)), None)


def write(contents: Mapping[Path, bytes], *, replace: bool) -> None:
    """Write files so that each is there whole or not at all. Raises FileExistsError unless told to replace,
    OSError."""
    for target, data in contents.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(
            dir=target.parent, prefix=TEMPORARY_PREFIX, suffix=TEMPORARY_SUFFIX
        )
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            temporary.chmod(0o666 & ~_umask())
            if not replace and os.path.lexists(target):
                raise FileExistsError(17, "is there already", str(target))
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
