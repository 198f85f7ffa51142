"""Writing transcripts and notes so that each recording has one set of them, whatever breaks off when.

What is about to be written is put on record first: the folder, the number of the set and the digests. A rerun
follows the record instead of deciding anew, so files that a person edited, moved or deleted meanwhile are no
reason to write a second set. A file is replaced only if its bytes are those on record.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from connectors.folder.client import EMPTY_DIGEST, Folder, Placed
from connectors.folder.confined import Absent, Forbidden
from core.errors import Transient
from core.output_names import OutputNames
from core.ports import Store

logger = logging.getLogger(__name__)

TRANSCRIPT = "transcript"
NOTE = "note"

_SETS = 999

Contents = Callable[[str, int], Mapping[str, bytes]]
"""What the names begin with, and the number of the set -> name -> bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whose output it is, the job and the line and version of its recording (see `core.watching.Entry`), and
    where it belongs: the folder and what names begin with, unless an earlier run put others on record."""

    job: str
    line: str
    version: int
    folder: str
    base: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One file of ours: where, and the SHA-256 that it was given. `kept` says that it is not in the watched
    folder but in the place for what could not be written there."""

    kept: bool
    folder: str
    name: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The set of outputs of a line. `before` are files of an earlier set that this one takes the place of."""

    job: str
    version: int
    done: bool
    kept: bool
    folder: str
    base: str
    number: int
    files: tuple[Written, ...]
    before: tuple[Written, ...] = field(default=())

    @property
    def names(self) -> tuple[str, str, int]:
        """The folder, what the names begin with, and the number of the set, for `core.output_names`."""
        return f"{self.kept}:{self.folder}", self.base, self.number

    def to_json(self) -> str:
        """ASCII, also for names that are not Unicode."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The reverse of `to_json`. Raises ValueError."""
        fields: dict[str, Any] = json.loads(text)
        for name in ("files", "before"):
            fields[name] = tuple(Written(**file) for file in fields[name])
        return cls(**fields)


class Outputs:
    """The outputs of one watched folder. `kept` is where they go if the folder can't be written to; `space`
    is what they are remembered in."""

    def __init__(self, folder: Folder, kept: Folder, store: Store, space: str) -> None:
        self.kept = kept.root
        self._folders = {False: folder, True: kept}
        self._store = store
        self._space = space
        self._names = OutputNames(store, space)
        self._turn = asyncio.Lock()
        self.trouble = ""

    async def transcript(self, target: Target, contents: Contents) -> Record:
        """Write the transcripts of a recording, once, and take away the note of an earlier failure."""
        async with self._turn:
            record = await self._write(TRANSCRIPT, target, contents)
            note = await self._recall(NOTE, target.line)
            if note is not None and note.version <= target.version:
                await self._remove(note.files + note.before)
                await self._forget(NOTE, target.line)
            return record

    async def note(self, target: Target, contents: Contents) -> Record | None:
        """Write the note of a failure, once. None: not needed, since a transcript is there."""
        async with self._turn:
            answer = await self._recall(TRANSCRIPT, target.line)
            if answer is not None and answer.done and _answers(answer, target):
                return None
            return await self._write(NOTE, target, contents)

    async def forget(self, line: str) -> None:
        """Drop what is on record of a line whose file is long gone."""
        for kind in (TRANSCRIPT, NOTE):
            await self._forget(kind, line)

    async def _write(self, kind: str, target: Target, contents: Contents) -> Record:
        old = await self._recall(kind, target.line)
        if old is not None and (old.version > target.version or (old.job == target.job and old.done)):
            return old
        before = () if old is None else old.files + old.before
        resumed = old is not None and old.job == target.job
        record = Record(
            job=target.job,
            version=target.version,
            done=False,
            kept=old.kept if old is not None and resumed else False,
            folder=old.folder if old is not None and resumed else target.folder,
            base=old.base if old is not None and resumed else target.base,
            number=old.number if old is not None and resumed else 0,
            files=(),
            before=before,
        )
        while True:
            try:
                if record.kept:
                    await self._folders[True].call(self._folders[True].establish)
                if not resumed:
                    number = await self._free_number(kind, target.line, record, contents)
                    record = replace(record, number=number)
                    await self._names.claim(kind, *record.names, target.line)
                record = _with_files(record, contents)
                await self._store.remember(self._space, f"{kind}:{target.line}", record.to_json())
                if await self._place(record, contents, resumed=resumed):
                    break
                resumed = False
            except (Absent, Forbidden) as error:
                if record.kept:
                    raise Transient(f"The data directory can't be written to: {error}.") from error
                self._report(f"{self._folders[False].root} can't be written to: {error}", target.job)
                record, resumed = replace(record, kept=True, number=0), False
        if not record.kept:
            self.trouble = ""
        if old is not None and _same_set(old, record):  # formats that are not wanted any more
            names = {file.name for file in record.files}
            await self._remove(tuple(file for file in old.files if file.name not in names))
        record = replace(record, done=True, before=())
        await self._store.remember(self._space, f"{kind}:{target.line}", record.to_json())
        if old is not None and old.names != record.names:
            await self._names.release(kind, *old.names, target.line)
        return record

    async def _free_number(self, kind: str, line: str, record: Record, contents: Contents) -> int:
        """The first set of names that are free, or hold what may be replaced, or just what is to be written,
        unless that is another recording's."""
        folder = self._folders[record.kept]
        for number in range(record.number + 1, _SETS + 1):
            files = _with_files(replace(record, number=number), contents).files
            found = await folder.call(folder.digests, record.folder, [file.name for file in files])
            owner = await self._owner(kind, line, replace(record, number=number, files=files))
            if owner is not None and not owner.done:
                continue
            if all(
                file.name not in found
                or (found[file.name] == file.digest and owner is None)
                or found[file.name] in _replaceable(record, file)
                for file in files
            ):
                return number
        raise Transient("There are too many transcripts of this name.")

    async def _owner(self, kind: str, line: str, wanted: Record) -> Record | None:
        """What is on record of another line that has a name of this set."""
        other = await self._names.line(kind, *wanted.names)
        owner = await self._recall(kind, other) if other not in {None, line} else None
        names = {(file.kept, file.folder, file.name) for file in wanted.files}
        has = owner is not None and any(
            (file.kept, file.folder, file.name) in names for file in owner.files + owner.before
        )
        return owner if has else None

    async def _place(self, record: Record, contents: Contents, *, resumed: bool) -> bool:
        """Put the files of a set in place. False: somebody took one of the names meanwhile; none is left."""
        folder = self._folders[record.kept]
        placed: list[Written] = []
        data = contents(record.base, record.number)
        for file in record.files:
            # a name is claimed with an empty file where links can't be made, and a crash may leave it so
            replaceable = _replaceable(record, file) | ({EMPTY_DIGEST} if resumed else set())
            outcome = await folder.call(
                folder.place, record.folder, file.name, data[file.name], replaceable=frozenset(replaceable)
            )
            if outcome is Placed.OCCUPIED and not resumed:
                await self._remove(tuple(placed))
                return False
            # else it was placed before the crash and edited since
            if outcome is Placed.WRITTEN:
                placed.append(file)
        return True

    async def _remove(self, files: tuple[Written, ...]) -> None:
        for file in files:
            folder = self._folders[file.kept]
            await folder.call(folder.remove, file.folder, file.name, file.digest)

    async def _forget(self, kind: str, line: str) -> None:
        if record := await self._recall(kind, line):
            await self._names.release(kind, *record.names, line)
        await self._store.forget(self._space, f"{kind}:{line}")

    async def _recall(self, kind: str, line: str) -> Record | None:
        text = await self._store.recall(self._space, f"{kind}:{line}")
        return None if text is None else Record.from_json(text)

    def _report(self, trouble: str, job: str) -> None:
        logger.warning("%s. The output of job %s is kept in %s instead.", trouble, job, self.kept)
        self.trouble = trouble


def _with_files(record: Record, contents: Contents) -> Record:
    files = tuple(
        Written(kept=record.kept, folder=record.folder, name=name, digest=hashlib.sha256(data).hexdigest())
        for name, data in contents(record.base, record.number).items()
    )
    return replace(record, files=files)


def _same_set(old: Record, new: Record) -> bool:
    one, other = ((each.kept, each.folder, each.base, each.number) for each in (old, new))
    return one == other


def _answers(answer: Record, target: Target) -> bool:
    return answer.version > target.version or answer.job == target.job


def _replaceable(record: Record, file: Written) -> set[str]:
    place = (file.kept, file.folder, file.name)
    return {old.digest for old in record.before if (old.kept, old.folder, old.name) == place}
