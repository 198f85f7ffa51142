"""What a watched folder in Google Drive means for us, besides what holds in all clouds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from aiohttp import web
from redis.exceptions import RedisError

from connectors.gdrive import comments, fetching
from connectors.gdrive.connecting import GDriveConnecting
from connectors.gdrive.links import id_in, is_of_folder
from connectors.gdrive.place import DrivePlace
from connectors.gdrive.push import PATH, Channels
from connectors.gdrive.settings import GDriveSettings, check
from core.cloud_folders import CloudFolders, FileAddress
from core.errors import AuthFailed, ErniError, Rejected
from core.filenames import output_names
from core.following import Rhythm
from core.leases import alone
from core.links import FOLDER
from core.model import Job, Stage, Transcript
from core.output_plans import Contents
from core.places import Keyring
from core.ports import AdapterContext, Submit
from core.registry import FORMATS, load
from core.remote import Output, RemoteFile
from core.settings import load_settings
from core.tending import Opened

logger = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 60.0


def create(context: AdapterContext) -> GDriveFolders:
    """For `core.registry.ADAPTERS`. Raises Misconfigured."""
    return GDriveFolders(context, load_settings(GDriveSettings))


class GDriveFolders(CloudFolders):
    """See `core.ports.Adapter`, `Linked` and `Routed`. `pause` is that of `DriveClient`."""

    def __init__(
        self,
        context: AdapterContext,
        settings: GDriveSettings,
        *,
        rhythm: Rhythm | None = None,
        pause: float = 1.0,
    ) -> None:
        check(settings, context.settings)
        self._drive = GDriveConnecting(settings, pause=pause)
        super().__init__(context, self._drive, rhythm=rhythm)
        self._keyring = Keyring(context.store, context.settings, self._drive.name)
        url = context.settings.public_url
        pushed = url is not None and settings.push is not False
        self.channels = Channels(context.store, url, self.nudge) if url is not None and pushed else None

    async def run(self, submit: Submit) -> None:
        """Watch all folders until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(super().run(submit))
            if self.channels is not None:
                tasks.create_task(alone(self.context.store, "gdrive:leases", "channels", self._keep_channels))

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """See `core.ports.Routed`."""
        return [] if self.channels is None else [web.post(PATH, self.channels.receive)]

    def contents(self, transcript: Transcript, job: Job, opened: Opened) -> Contents:
        """With a Google Doc, where that is wanted."""
        plain = super().contents(transcript, job, opened)
        if opened.folder.options.get("document") != "yes":
            return plain
        address = FileAddress.of(job.recording)
        document = Output(
            data=load(FORMATS["md"].render)(transcript, job.recording),
            media_type="text/markdown",
            made_from=address.content,
            made_for=address.mark,
            convert=True,
        )

        def named(base: str, number: int) -> Mapping[str, Output]:
            name = output_names(base, ["md"], number)["md"].removesuffix(".md")
            return {**plain(base, number), name: document}

        return named

    async def progress(self, job: Job, stage: Stage, fraction: float | None) -> None:  # noqa: ARG002
        """A comment at the beginning, where that is wanted."""
        await self._comment(job, comments.BEGUN)

    async def deliver(self, transcript: Transcript, job: Job) -> str:
        """See the base class."""
        receipt = await super().deliver(transcript, job)
        await self._comment_at_end(job, comments.DONE)
        return receipt

    async def report_failure(self, job: Job, message: str) -> str:
        """See the base class."""
        receipt = await super().report_failure(job, message)
        await self._comment_at_end(job, comments.FAILED)
        return receipt

    # links

    def covers(self, url: str) -> bool:
        """See `core.ports.Linked`."""
        return id_in(url) is not None

    async def fetch_link(self, url: str, into: Path) -> None:
        """See `core.ports.Linked`."""
        file_id = id_in(url)
        if file_id is None:
            raise Rejected("This is no link to a file in Google Drive. Copy it with Share, Copy link.")
        if is_of_folder(url):
            raise Rejected(FOLDER)
        limit = self.context.settings.max_bytes
        within = None if self._drive.settings.links == "open" else await self._watched(file_id)
        if within is not None:
            place, file = within
            await fetching.fetch(place.client, file, into, limit=limit)
            return
        accounts = await self._keyring.all()
        if not accounts and (own := await self._drive.from_settings()) is not None:
            accounts = [own]  # those in settings are on record soon after the start
        await fetching.fetch_open(self._drive, accounts, file_id, into, limit=limit)

    async def _watched(self, file_id: str) -> tuple[DrivePlace, RemoteFile] | None:
        """A file in one of the watched folders, as far as we get into them."""
        for folder in await self.folders.all():
            try:
                opened = await self.tended.opened(folder.id)
                if opened is None or not isinstance(place := opened.place, DrivePlace):
                    continue
                file = await place.look(file_id)
            except AuthFailed:  # with the same account it is tried as an open one, which tells
                continue
            if file is not None:
                return place, file
        return None

    # what runs beside

    async def _keep_channels(self) -> None:
        if self.channels is None:
            return
        await self.tended.looked()  # else channels from before would be ended
        while True:
            try:
                running = [
                    (opened.folder.account, opened.place)
                    for opened in self.tended.running()
                    if isinstance(opened.place, DrivePlace)
                ]
                delay = await self.channels.keep(running)
            except (ErniError, RedisError, OSError) as error:
                logger.warning("notices of changes are not arranged: %s", type(error).__name__)
                delay = _AGAIN_SECONDS
            await asyncio.sleep(delay)

    async def _comment_at_end(self, job: Job, text: str) -> None:
        await self._comment(job, text)
        self.marked_last(job)

    async def _comment(self, job: Job, text: str) -> None:
        try:
            opened = await self.marked(job, text, "comments")
            if opened is not None and isinstance(opened.place, DrivePlace):
                await comments.put(opened.place.client, FileAddress.of(job.recording).file, job.id, text)
        except (ErniError, RedisError, OSError) as error:
            logger.debug("no comment on job %s: %s", job.id, type(error).__name__)
