"""Writing transcripts and notes into somebody's folder so that each recording has one set of them, whatever
breaks off when.

What is about to be written is put on record first: the folder, the number of the set, ids where the platform
reserves them, and the digests. A rerun follows the record instead of deciding anew. A file is replaced only
if it is as we left it; what a person changed stays, and the new set gets a number.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from core.errors import AuthFailed, Transient
from core.leases import turn
from core.output_names import OutputNames
from core.output_plans import (
    Adopt,
    Contents,
    Create,
    Filed,
    Record,
    Replace,
    Step,
    Target,
    answers,
    free_to_go,
    plan,
    settles,
)
from core.ports import Store
from core.remote import Changed, FolderGone, Held, Occupied, Output, RemoteWriter

logger = logging.getLogger(__name__)

TRANSCRIPT = "transcript"
NOTE = "note"
_SETS = 999


class RemoteOutputs:
    """The outputs of one watched folder; `space` is what they are remembered in. Several processes may write
    for the same folder."""

    def __init__(self, writer: RemoteWriter, store: Store, space: str) -> None:
        self._writer = writer
        self._store = store
        self._space = space
        self._names = OutputNames(store, space)

    async def transcript(self, target: Target, contents: Contents) -> Record | None:
        """Write the transcripts of a recording, once, and take away the note of an earlier failure. None: the
        recording was deleted, and its transcript is to be so too.

        Raises Transient, AuthFailed.
        """
        async with turn(self._store, self._space, target.line):
            if await self._is_withdrawn(target):
                return None
            record = await self._write(TRANSCRIPT, target, contents)
            note = await self._recall(NOTE, target.line)
            if note is not None and note.version <= target.version:
                await self._remove(note.files + note.before)
                await self._forget(NOTE, target.line)
            return record

    async def note(self, target: Target, contents: Contents) -> Record | None:
        """Write the note of a failure, once. None: not needed, since a transcript is there, or the recording
        is not any more. Raises as `transcript`."""
        async with turn(self._store, self._space, target.line):
            answer = await self._recall(TRANSCRIPT, target.line)
            if (answer is not None and answers(answer, target)) or await self._is_withdrawn(target):
                return None
            return await self._write(NOTE, target, contents)

    async def withdraw(self, line: str, version: int) -> None:
        """The recording was deleted: delete what was written for it up to `version` and is as we left it, and
        write nothing more for that. One that may not be deleted stays. Raises Transient, and AuthFailed where
        access has ended: then it is to be called again."""
        async with turn(self._store, self._space, line):
            await self._store.remember(f"{self._space}:withdrawn", line, str(version))
            for kind in (TRANSCRIPT, NOTE):
                record = await self._recall(kind, line)
                if record is not None and record.version <= version:
                    await self._remove(record.files + record.before)
                    await self._forget(kind, line)

    async def forget(self, line: str) -> None:
        """Drop what is on record of a line whose file is long gone."""
        for kind in (TRANSCRIPT, NOTE):
            await self._forget(kind, line)
        await self._store.forget(f"{self._space}:withdrawn", line)

    async def withdrawn(self) -> Mapping[str, int]:
        """The lines whose recordings were deleted, and the versions up to which they were."""
        found = await self._store.memories(f"{self._space}:withdrawn")
        return {line: int(version) for line, version in found.items()}

    async def owner(self, folder: str, base: str, number: int, name: str) -> str:
        """The line that has a transcript of this name on record, in a set of these names; or ""."""
        line = await self._names.line(TRANSCRIPT, folder, base, number)
        record = await self._recall(TRANSCRIPT, line or "")
        return line if line and record and record.has(folder, [name]) else ""

    async def _is_withdrawn(self, target: Target) -> bool:
        version = await self._store.recall(f"{self._space}:withdrawn", target.line)
        return version is not None and int(version) >= target.version

    async def _write(self, kind: str, target: Target, contents: Contents) -> Record:
        old = await self._recall(kind, target.line)
        if old is not None and settles(old, target):
            return old
        resumed = old is not None and old.job == target.job
        if old is not None and resumed:
            record = old
        else:
            before = () if old is None else old.files + old.before
            record = Record(
                job=target.job,
                version=target.version,
                done=False,
                folder=await self._home(target.folder, target.subfolder),
                base=target.base,
                number=0,
                before=before,
            )
        while True:
            try:
                if not resumed:
                    record = await self._begin(kind, target.line, record, contents)
                files = await self._place(record, contents, resumed=resumed)
            except FolderGone:
                if record.folder == (home := await self._home(self._writer.root, target.subfolder)):
                    raise Transient("The watched folder can't be found.") from None
                record = replace(record, folder=home, number=0)
            else:
                if files is not None:
                    break
            if resumed:  # some of its files may be there
                record = replace(record, before=record.files + record.before)
            resumed = False
        await self._clear(record, files)
        record = replace(record, done=True, files=files, before=())
        await self._store.remember(self._space, f"{kind}:{target.line}", record.to_json())
        if old is not None and old.names != record.names:
            await self._names.release(kind, *old.names, target.line)
        return record

    async def _home(self, folder: str, subfolder: str) -> str:
        if not subfolder:
            return folder
        async with turn(self._store, self._space, f"subfolder of {folder}"):  # two would make two
            for place in (folder, self._writer.root):
                with contextlib.suppress(FolderGone):
                    return await self._writer.subfolder(place, subfolder)
        raise Transient("The watched folder can't be found.")

    async def _begin(self, kind: str, line: str, record: Record, contents: Contents) -> Record:
        """Put on record the first set of names after the record's that are free, or hold what may be
        replaced."""
        async with self._names.choosing(record.folder, record.base):
            for number in range(record.number + 1, _SETS + 1):
                outputs = contents(record.base, number)
                found = replace(record, number=number, files=await self._filed(record.folder, outputs))
                owner = await self._owner(kind, line, found)
                if owner is not None and not owner.done:
                    continue
                steps = await self._steps(found, outputs, resumed=False, taken=owner is not None)
                if None in steps:
                    continue
                made = [place for place, step in enumerate(steps) if isinstance(step, Create)]
                ids = dict(zip(made, await self._writer.reserve(len(made)) if made else (), strict=True))
                files = (replace(file, file_id=ids.get(at, "")) for at, file in enumerate(found.files))
                found = replace(found, files=tuple(files))
                await self._names.claim(kind, *found.names, line)
                await self._store.remember(self._space, f"{kind}:{line}", found.to_json())
                return found
        raise Transient("There are too many transcripts of this name.")

    async def _owner(self, kind: str, line: str, wanted: Record) -> Record | None:
        """What is on record of another line that has a name of this set."""
        other = await self._names.line(kind, *wanted.names)
        owner = await self._recall(kind, other) if other not in {None, line} else None
        has = owner is not None and owner.has(wanted.folder, [file.name for file in wanted.files])
        return owner if has else None

    async def _filed(self, folder: str, outputs: Mapping[str, Output]) -> tuple[Filed, ...]:
        def digested() -> tuple[Filed, ...]:
            return tuple(
                Filed(folder=folder, name=name, file_id="", digest=self._writer.digest(output.data))
                for name, output in outputs.items()
            )

        return await asyncio.to_thread(digested)

    async def _steps(
        self, record: Record, outputs: Mapping[str, Output], *, resumed: bool, taken: bool
    ) -> list[Step | None]:
        found = await self._writer.present(record.folder, list(outputs))
        return [
            plan(
                file,
                found.get(file.name, ()),
                record.before,
                made_for=outputs[file.name].made_for,
                resumed=resumed,
                taken=taken,
            )
            for file in record.files
        ]

    async def _place(self, record: Record, contents: Contents, *, resumed: bool) -> tuple[Filed, ...] | None:
        """Put the files of a set in place. None: somebody took one of the names meanwhile; what was made is
        deleted again."""
        outputs = contents(record.base, record.number)
        files: list[Filed] = []
        made: list[Held] = []
        steps = await self._steps(record, outputs, resumed=resumed, taken=False)
        if None in steps:
            return None
        for file, step in zip(record.files, steps, strict=True):
            held: Held | None = None
            try:
                match step:
                    case Create():
                        held = await self._writer.create(
                            file.folder, file.name, outputs[file.name], file_id=file.file_id
                        )
                        made.append(held)
                    case Replace():
                        held = await self._writer.replace(step.held, outputs[file.name])
                    case Adopt():
                        held = step.held
            except (Occupied, Changed) as error:
                if isinstance(error, Occupied) or not resumed:
                    await self._delete(made)
                    return None
            if isinstance(step, Replace | Adopt):
                await self._delete(step.surplus)
            known = file if held is None else replace(file, file_id=held.id, digest=held.digest)
            files.append(known)
        return tuple(files)

    async def _clear(self, record: Record, files: tuple[Filed, ...]) -> None:
        """Delete what is left of an earlier set: formats that are not wanted any more, or all of it where the
        recording is called otherwise or lies elsewhere by now."""
        kept = {file.file_id for file in files}
        stale = tuple(file for file in record.before if file.file_id not in kept)
        places = {(file.folder, file.name) for file in files}
        for group in (
            [file for file in stale if (file.folder, file.name) not in places and file.folder == folder]
            for folder in {file.folder for file in stale}
        ):
            await self._remove(group, together=True)

    async def _remove(self, files: Iterable[Filed], *, together: bool = False) -> None:
        """Delete files that are as we left them; `together`: all of them or none."""
        files = tuple(files)
        found: dict[tuple[str, str], Sequence[Held]] = {}
        for folder in {file.folder for file in files}:
            names = [file.name for file in files if file.folder == folder]
            try:
                present = await self._writer.present(folder, names)
            except FolderGone:
                continue
            found |= {(folder, name): held for name, held in present.items()}
        if together:
            await self._delete(free_to_go(files, found))
        else:
            for file in files:
                await self._delete(free_to_go([file], found))

    async def _delete(self, held: Iterable[Held]) -> None:
        for each in held:
            try:
                await self._writer.delete(each)
            except Changed:
                continue
            except AuthFailed as error:
                with contextlib.suppress(FolderGone):
                    await self._writer.present(each.folder, [each.name])  # raises where all access has ended
                logger.warning("an output of ours may not be deleted: %s", error)

    async def _forget(self, kind: str, line: str) -> None:
        if record := await self._recall(kind, line):
            await self._names.release(kind, *record.names, line)
        await self._store.forget(self._space, f"{kind}:{line}")

    async def _recall(self, kind: str, line: str) -> Record | None:
        text = await self._store.recall(self._space, f"{kind}:{line}")
        return None if text is None else Record.from_json(text)
