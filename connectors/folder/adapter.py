"""What a local folder means for us: a file dropped is a recording shared, the answer lies beside it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from connectors.folder.client import Folder
from connectors.folder.confined import Absent, Changed, Forbidden
from connectors.folder.inbox import FolderInbox
from connectors.folder.outputs import Outputs, Record, Target
from connectors.folder.settings import FolderSettings, speaker_bounds
from core.errors import Misconfigured, Rejected, Transient
from core.filenames import display_name, note_name, output_names
from core.inbox import output_folder
from core.model import Job, Policy, Recording, Stage, Transcript
from core.ports import AdapterContext, Readiness, Submit, Welcome
from core.registry import FORMATS, load
from core.settings import load_settings
from core.sightings import UNREAD, Entry, Sighting
from core.voices import OWN_WORKSPACE

logger = logging.getLogger(__name__)

_LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a recording is, and what its outputs are called. As in `core.watching.Entry`; `folder` is the id
    of the watched folder."""

    folder: str
    path: str
    size: int
    modified: int
    identity: str
    content: str
    line: str
    version: int
    base: str


def create(context: AdapterContext) -> FolderAdapter:
    """The folders that `FOLDER_PATHS` names. Raises Misconfigured."""
    return FolderAdapter(context, load_settings(FolderSettings))


class FolderAdapter:
    """See `core.ports.Adapter`. `folder` makes the client of a directory."""

    def __init__(
        self, context: AdapterContext, settings: FolderSettings, *, folder: type[Folder] = Folder
    ) -> None:
        self._context = context
        self._settings = settings
        self._policy = _policy(context, settings)
        self._folder = folder
        self._running = False
        self._inboxes = {
            _folder_id(root): self._open(root) for root in _roots(settings, context.settings.data_dir)
        }

    @property
    def door(self) -> str:
        return f"folder@{self._context.node_id}"

    async def run(self, submit: Submit) -> None:
        """Watch all folders until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for inbox in self._inboxes.values():
                try:
                    await inbox.folder.call(inbox.folder.create)
                except (Absent, Forbidden, Transient) as error:  # the watcher goes on asking for it
                    logger.warning("%s can't be created: %s", inbox.folder.root, error)
                tasks.create_task(inbox.watch(submit))
            self._running = True

    async def fetch(self, recording: Recording, into: Path) -> None:
        """Copy the file to `into`, wherever in its folder it is by now.

        A file that was replaced since is Rejected: its new content is a share of its own.
        """
        address = _address(recording)
        inbox = self._inboxes.get(address.folder)
        if inbox is None:
            raise Rejected(
                "The folder that this recording was in is not watched any more. Share it elsewhere."
            )
        if address.content == UNREAD:
            raise Rejected(
                "The service may not read this file. Give it the right to (on Linux: `chmod a+r`): it is "
                "transcribed within ten minutes then."
            )
        await inbox.require()
        folder, changed = inbox.folder, False
        for path in await self._places(inbox, recording, address):
            try:
                await folder.call(folder.copy, path, into, size=address.size, content=address.content)
            except Absent:
                continue
            except Changed:
                changed = True
                continue
            except Forbidden as error:
                raise Rejected(
                    "The service may not read this file any more. Give it the right to, and save the "
                    "file here anew."
                ) from error
            return
        if changed:
            raise Rejected(
                "This file was replaced by another one before it could be transcribed. What is in it now is "
                "transcribed on its own: there is nothing to do."
            )
        raise Rejected(
            "This file was taken away before it could be transcribed. Put it back to have it transcribed."
        )

    async def progress(self, job: Job, stage: Stage, fraction: float | None) -> None:
        """A folder has no place for it: another file would be litter."""

    async def deliver(self, transcript: Transcript, job: Job) -> str:
        """Write the transcript in each format beside the recording, or keep it where that is impossible.

        A transcript of a file that has been replaced and answered since is not written.
        """
        rendered = await asyncio.to_thread(_rendered, transcript, job.recording)
        outputs, target = await self._home(job)

        def contents(base: str, number: int) -> Mapping[str, bytes]:
            names = output_names(base, rendered, number)
            return {names[suffix]: data for suffix, data in rendered.items()}

        return _receipt(await outputs.transcript(target, contents), job)

    async def report_failure(self, job: Job, message: str) -> str:
        """Leave a note beside the recording."""
        outputs, target = await self._home(job)
        note = _note(job, message)
        record = await outputs.note(target, lambda base, number: {note_name(base, number): note})
        if inbox := self._inboxes.get(_address(job.recording).folder):
            await inbox.failed(job.recording.key)
        return _receipt(record, job)

    def welcome(self) -> Welcome:
        """See `core.ports.Welcoming`."""
        folders = " or ".join(self._settings.paths)
        endings = ", ".join(f".{FORMATS[name].suffix}" for name in self._policy.formats)
        place = "beside it" if self._settings.output == "beside" else f"in {self._settings.output}/ there"
        return Welcome(
            share=f"Drop a recording into {folders}",
            answer=f"NAME.transcript ({endings}) appears {place}",
        )

    async def check(self) -> Readiness:
        """Whether every folder exists and can be read and written."""
        for inbox in self._inboxes.values():
            root = inbox.folder.root
            here, readable, writable = await inbox.folder.call(inbox.folder.access)
            if not here and not self._running and root.parent.is_dir():
                continue  # it is made at the start
            if not here:
                return Readiness(
                    usable=False,
                    reason=f"The folder {root} does not exist now.",
                    remedy="Mount it, make it, or correct FOLDER_PATHS.",
                )
            if not (readable and writable) or inbox.outputs.trouble:
                return Readiness(
                    usable=False,
                    reason=f"The folder {root} can't be {'written to' if readable else 'read'}.",
                    remedy="Give the service's user the right to, or mount it writable. Transcripts made "
                    f"meanwhile are in {inbox.outputs.kept}.",
                )
            if inbox.trouble:
                return Readiness(usable=False, reason=inbox.trouble, remedy=f"Look at {root} and at the log.")
        return Readiness(usable=True)

    def _open(self, root: Path) -> FolderInbox:
        identifier = _folder_id(root)
        place = self._place(identifier)
        folder = self._folder(root, recursive=self._settings.recursive)
        kept = self._folder(self._kept(f"{display_name(root.name)}-{identifier}"))
        return FolderInbox(
            folder=folder,
            outputs=Outputs(folder, kept, self._context.store, f"{place}:outputs"),
            place=place,
            store=self._context.store,
            settings=self._settings,
            recording=lambda path, entry: self._recording(identifier, path, entry),
        )

    def _place(self, identifier: str) -> str:
        return f"folder:{self._context.node_id}:{identifier}"

    def _kept(self, label: str) -> Path:
        return self._context.settings.data_dir / "undelivered" / label

    def _recording(self, identifier: str, path: str, entry: Entry) -> Recording:
        address = Address(
            folder=identifier,
            path=path,
            size=entry.size,
            modified=entry.modified,
            identity=entry.identity,
            content=entry.content,
            line=entry.line,
            version=entry.version,
            base=entry.base,
        )
        return Recording(
            key=entry.key,
            content_key=entry.content or f"unread:{entry.key}",
            platform="folder",
            door=self.door,
            address=json.dumps(asdict(address)),
            name=display_name(path.rpartition("/")[2]),
            size=entry.size,
            shared_at=datetime.fromtimestamp(min(max(0.0, entry.modified / 1e9), _LATEST), UTC),
            policy=self._policy,
        )

    async def _places(self, inbox: FolderInbox, recording: Recording, address: Address) -> list[str]:
        """Where the file may be: where it was seen last, where it was at first, where one like it lies."""
        known = (await inbox.watched()).where(recording.key)
        places = list(dict.fromkeys([known or address.path, address.path]))
        found = await inbox.folder.call(inbox.folder.glimpses, places)
        if not any(found.values()):
            like = Sighting(path="", size=address.size, modified=address.modified, identity=address.identity)
            if moved := await inbox.folder.call(inbox.folder.search, like):
                places.append(moved)
        return places

    async def _home(self, job: Job) -> tuple[Outputs, Target]:
        """Where answers to a recording belong: beside it, wherever it is by now."""
        recording = job.recording
        address = _address(recording)
        path, base, inbox = address.path, address.base, self._inboxes.get(address.folder)
        if inbox is None:
            logger.warning("the folder of job %s is not watched any more", job.id)
            outputs, folder = await self._strays(address.folder), path.rpartition("/")[0]
        else:
            await inbox.require()
            places = await self._places(inbox, recording, address)
            found = await inbox.folder.call(inbox.folder.glimpses, places)
            path = next((place for place, there in found.items() if there is not None), path)
            if path != address.path:
                base = (await inbox.watched()).base(path)
            folder = await inbox.folder.call(inbox.folder.nearest, path.rpartition("/")[0])
            outputs, folder = inbox.outputs, output_folder(folder, self._settings.output)
        return outputs, Target(
            job=job.id, line=address.line, version=address.version, folder=folder, base=base
        )

    async def _strays(self, identifier: str) -> Outputs:
        """For what comes back to a folder that is not watched any more."""
        kept = self._folder(self._kept(identifier))
        await kept.call(kept.establish)
        return Outputs(kept, kept, self._context.store, f"{self._place(identifier)}:outputs")


def _policy(context: AdapterContext, settings: FolderSettings) -> Policy:
    low, high = speaker_bounds(settings.speakers) if settings.speakers else (None, None)
    formats = settings.formats or context.settings.formats
    if unknown := [name for name in formats if name not in FORMATS]:
        raise Misconfigured(
            f"Setting ERNI_FORMATS: {unknown[0]!r} is unknown. There are: {', '.join(FORMATS)}."
        )
    return Policy(
        languages=context.settings.languages if settings.languages is None else settings.languages,
        vocabulary=settings.vocabulary,
        min_speakers=low,
        max_speakers=high,
        formats=formats,
        tenant=f"folder@{context.node_id}",
        workspace=OWN_WORKSPACE,
    )


def _roots(settings: FolderSettings, data_dir: Path) -> list[Path]:
    roots: list[Path] = []
    for text in settings.paths:
        root = Path(text).expanduser().resolve()
        if root.exists() and not root.is_dir():
            raise Misconfigured(f"Setting FOLDER_PATHS: {text} is a file. Name a folder.")
        if not root.exists() and not root.parent.is_dir():
            raise Misconfigured(
                f"Setting FOLDER_PATHS: {text} does not exist, nor does the folder around it. Make it, mount "
                "it or correct the name."
            )
        if root not in roots:
            roots.append(root)
    if settings.recursive:
        for root in roots:
            if outer := next(
                (other for other in roots if other != root and root.is_relative_to(other)), None
            ):
                raise Misconfigured(
                    f"Setting FOLDER_PATHS: {root} lies in {outer}, which is watched already."
                )
            if data_dir.resolve().is_relative_to(root):
                raise Misconfigured(
                    f"Setting FOLDER_PATHS: the data directory {data_dir} lies in {root}. Set "
                    "ERNI_DATA_DIR to a place outside."
                )
    return roots


def _folder_id(root: Path) -> str:
    return hashlib.sha256(os.fsencode(root)).hexdigest()[:12]


def _address(recording: Recording) -> Address:
    try:
        return Address(**json.loads(recording.address))
    except (TypeError, ValueError) as error:
        raise Rejected("The service can't tell any more where this recording is. Share it again.") from error


def _rendered(transcript: Transcript, recording: Recording) -> dict[str, bytes]:
    formats = [FORMATS[name] for name in recording.policy.formats]
    return {entry.suffix: load(entry.render)(transcript, recording) for entry in formats}


def _receipt(record: Record | None, job: Job) -> str:
    if record is None or record.job != job.id:
        return json.dumps({"superseded": True})
    paths = [f"{file.folder}/{file.name}" if file.folder else file.name for file in record.files]
    return json.dumps({"files": paths, "kept": record.kept})


def _note(job: Job, message: str) -> bytes:
    return (
        f"{job.recording.name} was not transcribed.\n\n{message}\n\n"
        "To try the same file again, delete it here and copy it here anew, or save it again under its name. "
        f"This note goes away when there is a transcript.\n\nReference: {job.id}\n"
    ).encode("utf-8", "replace")
