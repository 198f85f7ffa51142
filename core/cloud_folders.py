"""Watched folders in somebody's cloud as a front door: a file dropped is a recording shared, the answer lies
beside it. A connector inherits from `CloudFolders` and adds what is particular to its platform."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.departures import report_failure, whereabouts
from core.enrolment import Enrolling, Enrolment
from core.errors import Rejected
from core.filenames import display_name, note_name, output_base, output_names
from core.following import Rhythm
from core.model import Job, Recording, Stage, Transcript
from core.nudges import Nudges
from core.output_plans import Contents, Record, Target
from core.places import WatchedFolders
from core.ports import AdapterContext, Readiness, Submit, Welcome
from core.registry import FORMATS, load
from core.remote import Changed, Output, RemoteFile
from core.sightings import UNREAD, Entry
from core.tending import Opened, Tended

_SHOWN_AT_MOST = 1000
_LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
_REPLACED = (
    "This file was replaced by another one before it could be transcribed. What is in it now is transcribed "
    "on its own: there is nothing to do."
)
_TAKEN_AWAY = (
    "This file was taken away before it could be transcribed. Put it back, or upload it anew, to have it "
    "transcribed."
)
_NOT_HANDED_OUT = (
    "The owner of this file does not let others download it. Ask for that to be allowed: it is transcribed "
    "then."
)
NOT_THEIRS = (
    "This shortcut leads to a file that may not be downloaded, or that the people around it may not open as "
    "far as can be told. Put the file itself here, or have it shared by name with whoever put the shortcut "
    "here; in a shared drive, with everybody who sees the shortcut."
)
"""Of a shortcut that is not followed."""
_WHICH = "`erni-audio doctor` says which, and why"
_AGAIN = "To try the same file again, delete it here and upload it anew. "
_SAID_ALREADY = frozenset({_REPLACED, _TAKEN_AWAY, _NOT_HANDED_OUT, NOT_THEIRS})
"""Of these another way to try again would only confuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAddress:
    """Where a recording is. `folder` is the id of the watched folder, the rest as in `core.remote.RemoteFile`
    and `core.sightings.Entry`."""

    folder: str
    file: str
    name: str
    parent: str
    content: str
    line: str
    version: int
    base: str

    @property
    def mark(self) -> str:
        """What tells the recording from others of the same content, for `core.remote.Output.made_for`. It
        stays the same when the folder is removed and added again."""
        line = re.sub(rf"^[^:]+:{re.escape(self.folder)}:\d+:", "", self.line)
        return hashlib.sha256(f"{line}\0{self.content}".encode()).hexdigest()[:16]

    @classmethod
    def of(cls, recording: Recording) -> FileAddress:
        """Read from a recording. Raises Rejected."""
        try:
            return cls(**json.loads(recording.address))
        except (TypeError, ValueError) as error:
            raise Rejected(
                "The service can't tell any more where this recording is. Share it again."
            ) from error


class CloudFolders:
    """See `core.ports.Adapter`. Folders and credentials are those in the store; changes of them are noticed
    while it runs."""

    def __init__(
        self, context: AdapterContext, connecting: Enrolling, *, rhythm: Rhythm | None = None
    ) -> None:
        self.connecting = connecting
        self.context = context
        self.enrolment = Enrolment(context, connecting)
        self.folders = WatchedFolders(context.store, context.settings, connecting.name)
        self.tended = Tended(
            context.store,
            context.settings,
            connecting,
            rhythm=rhythm or Rhythm(),
            recording=self.recording,
        )
        self._shown: dict[str, str] = {}  # what of each job that is under way
        self._nudges = Nudges(context.store, f"{connecting.name}:nudges", self.tended.nudge)

    @property
    def door(self) -> str:
        return self.connecting.name

    async def run(self, submit: Submit) -> None:
        """Watch all folders until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.enrolment.settle(), name="folders in the settings")
            tasks.create_task(self.tended.run(submit), name="watched folders")
            tasks.create_task(self._nudges.share(), name="nudges")

    def nudge(self, account: str) -> None:
        """Something may have changed in the folders of an account, whichever process watches them."""
        self._nudges.give(account)

    async def fetch(self, recording: Recording, into: Path) -> None:
        """Download the file, wherever in its folder it is by now."""
        address = FileAddress.of(recording)
        opened = await self.tended.opened(address.folder)
        if opened is None or opened.folder.removed:
            raise Rejected(
                "The folder that this recording was in is not watched any more. Share it elsewhere."
            )
        file = await self._find(opened, address)
        if file is None:
            raise Rejected(_TAKEN_AWAY)
        if address.content == UNREAD or not file.downloadable:
            raise Rejected(NOT_THEIRS if file.target else _NOT_HANDED_OUT)
        if file.content != address.content:
            raise Rejected(_REPLACED)
        try:
            await opened.place.download(file, into)
        except Changed:
            gone = await self._find(opened, address) is None
            raise Rejected(_TAKEN_AWAY if gone else _REPLACED) from None

    async def progress(self, job: Job, stage: Stage, fraction: float | None) -> None:
        """Nothing; for a connector whose platform has a place for it."""

    async def marked(self, job: Job, text: str, option: str) -> Opened | None:
        """The folder of a job's recording, if it has chosen `option` and the recording is not marked with
        `text` yet, as far as is known. Raises what opening a folder raises."""
        if self._shown.get(job.id) == text:
            return None
        if len(self._shown) >= _SHOWN_AT_MOST:  # of jobs that were never finished here
            self._shown.clear()
        self._shown[job.id] = text
        opened = await self.tended.opened(FileAddress.of(job.recording).folder)
        return opened if opened and opened.folder.options.get(option) == "yes" else None

    def marked_last(self, job: Job) -> None:
        """Nothing more is shown of a job."""
        self._shown.pop(job.id, None)

    def contents(self, transcript: Transcript, job: Job, opened: Opened) -> Contents:  # noqa: ARG002  (for connectors)
        """The files of a transcript. A connector may add some."""
        recording = job.recording
        formats = [FORMATS[name] for name in recording.policy.formats]
        address = FileAddress.of(recording)
        rendered = {
            entry.suffix: Output(
                data=load(entry.render)(transcript, recording),
                media_type=entry.media_type,
                made_from=address.content,
                made_for=address.mark,
            )
            for entry in formats
        }

        def named(base: str, number: int) -> Mapping[str, Output]:
            names = output_names(base, rendered, number)
            return {names[suffix]: output for suffix, output in rendered.items()}

        return named

    async def deliver(self, transcript: Transcript, job: Job) -> str:
        """Write the transcript in each format beside the recording.

        A transcript of a file that has been replaced and answered since, or deleted where transcripts go with
        their recordings, is not written.
        """
        opened, target, _ = await self._home(job)
        contents = await asyncio.to_thread(self.contents, transcript, job, opened)
        record = await opened.outputs.transcript(target, contents)
        return _receipt(record, job)

    async def report_failure(self, job: Job, message: str) -> str:
        """Leave a note beside the recording."""
        opened, target, there = await self._home(job)
        mark = FileAddress.of(job.recording).mark
        note = Output(data=_note(job, message), media_type="text/plain", made_from="", made_for=mark)
        record = await opened.outputs.note(target, lambda base, number: {note_name(base, number): note})
        await report_failure(self.context.store, opened.folder.place, job.recording.key, gone=not there)
        return _receipt(record, job)

    async def check(self) -> Readiness:
        """Whether there are folders, and every one can be read and written. While the service runs, as was
        found by that."""
        name, named = self.connecting.name, self.connecting.named(self.context.settings)
        if trouble := await self.enrolment.check():
            remedy = f"Look at {', '.join(named.settings)}: docs/{name}.md explains them."
            for_log = f"The account or the folders in the settings can't be used: {_WHICH}."
            return Readiness(usable=False, reason=trouble, remedy=remedy, for_log=for_log)
        if not named.folders and not await self.folders.all():
            return Readiness(
                usable=False,
                reason=f"No folder in {self.connecting.title} is watched.",
                remedy=f"Run `erni-audio connect {name}`, then `erni-audio folders add {name} FOLDER`.",
            )
        return await self.tended.check()

    def welcome(self) -> Welcome:
        """See `core.ports.Welcoming`."""
        return Welcome(
            share=f"Put a recording into a watched folder in {self.connecting.title}",
            answer="NAME.transcript appears beside it",
        )

    def recording(self, opened: Opened, file: RemoteFile, entry: Entry) -> Recording:
        """How a file is submitted."""
        address = FileAddress(
            folder=opened.folder.id,
            file=file.id,
            name=file.name,
            parent=file.parent,
            content=entry.content,
            line=entry.line,
            version=entry.version,
            base=entry.base,
        )
        shared_at = file.modified / 1e9 if file.appeared is None else file.appeared
        tenant = f"{self.connecting.name}:{opened.folder.id}"
        workspace = f"{self.connecting.name}:{opened.folder.account}"
        return Recording(
            key=entry.key,
            content_key=entry.content or f"unread:{entry.key}",
            platform=self.connecting.name,
            door=self.door,
            address=json.dumps(asdict(address)),
            name=display_name(file.name),
            media_type=file.media_type,
            size=file.size,
            shared_by=file.owner,
            shared_at=datetime.fromtimestamp(min(max(0.0, shared_at), _LATEST), UTC),
            policy=opened.folder.policy.to_policy(tenant=tenant, workspace=workspace),
        )

    async def _find(self, opened: Opened, address: FileAddress) -> RemoteFile | None:
        return await whereabouts(
            self.context.store,
            opened.folder.place,
            opened.place,
            file_id=address.file,
            line=address.line,
            content=address.content,
        )

    async def _home(self, job: Job) -> tuple[Opened, Target, bool]:
        """Where the answer belongs: beside the recording, wherever it is by now, and whether it is there."""
        address = FileAddress.of(job.recording)
        opened = await self.tended.opened(address.folder)
        if opened is None:
            raise Rejected(
                "The folder that this recording was in is not watched any more. Share it elsewhere."
            )
        file = await self._find(opened, address)
        parent, base = address.parent, address.base
        if file is not None:
            parent = file.parent
            base = base if file.name == address.name else output_base(file.name, shared=False)
        output = opened.folder.output
        target = Target(
            job=job.id,
            line=address.line,
            version=address.version,
            folder=parent,
            subfolder="" if output == "beside" else output,
            base=base,
        )
        return opened, target, file is not None


def _receipt(record: Record | None, job: Job) -> str:
    if record is None or record.job != job.id:
        return json.dumps({"superseded": True})
    return json.dumps({"files": [{"id": file.file_id, "name": file.name} for file in record.files]})


def _note(job: Job, message: str) -> bytes:
    again = "" if message in _SAID_ALREADY else _AGAIN
    return (
        f"{job.recording.name} was not transcribed.\n\n{message}\n\n{again}"
        f"This note goes away when there is a transcript.\n\nReference: {job.id}\n"
    ).encode()
