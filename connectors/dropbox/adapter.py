"""What Dropbox means for us: a file dropped is a recording shared, the answer lies beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aiohttp import web

from connectors.dropbox import links, progress
from connectors.dropbox.connecting import TAGS, DropboxConnecting
from connectors.dropbox.place import DropboxPlace
from connectors.dropbox.settings import DropboxSettings, check
from connectors.dropbox.webhook import routes
from core.cloud_folders import CloudFolders, FileAddress
from core.errors import ErniError
from core.following import Rhythm
from core.model import Job, Stage, Transcript
from core.places import Keyring
from core.ports import AdapterContext
from core.settings import load_settings

_RHYTHM: Final = Rhythm(changes=45.0)
"""Changes are asked for that seldom because longpoll says when there are some."""


def create(context: AdapterContext) -> DropboxFolders:
    """Raises Misconfigured."""
    settings = load_settings(DropboxSettings)
    check(settings)
    return DropboxFolders(context, DropboxConnecting(settings))


class DropboxFolders(CloudFolders):
    """See `core.ports.Adapter`, and `Routed` and `Linked` there."""

    def __init__(
        self, context: AdapterContext, connecting: DropboxConnecting, *, rhythm: Rhythm = _RHYTHM
    ) -> None:
        super().__init__(context, connecting, rhythm=rhythm)
        self._connecting = connecting
        self._keyring = Keyring(context.store, context.settings, connecting.name)

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """Dropbox's webhook, if there is the secret that it signs with."""
        secret = self._connecting.settings.app_secret
        return [] if secret is None else routes(secret.get_secret_value(), self.nudge)

    def covers(self, url: str) -> bool:
        """See `core.ports.Linked`."""
        return links.covers(url)

    async def fetch_link(self, url: str, into: Path) -> None:
        """See `core.ports.Linked`."""
        accounts = await self._keyring.all()
        limit = self.context.settings.max_bytes
        closed = self._connecting.settings.links == "account"
        await links.fetch_link(self._connecting, accounts, url, into, limit=limit, closed=closed)

    async def progress(self, job: Job, stage: Stage, fraction: float | None) -> None:  # noqa: ARG002  (a tag has no room)
        """Tag the recording while it is worked on, where that is chosen."""
        await self._tag(job, progress.WORKING)

    async def deliver(self, transcript: Transcript, job: Job) -> str:
        """See the base class."""
        receipt = await super().deliver(transcript, job)
        await self._tag_at_end(job, receipt, progress.DONE)
        return receipt

    async def report_failure(self, job: Job, message: str) -> str:
        """See the base class."""
        receipt = await super().report_failure(job, message)
        await self._tag_at_end(job, receipt, progress.FAILED)
        return receipt

    async def _tag_at_end(self, job: Job, receipt: str, tag: str) -> None:
        if "superseded" not in json.loads(receipt):
            await self._tag(job, tag)
        self.marked_last(job)

    async def _tag(self, job: Job, tag: str) -> None:
        try:
            opened = await self.marked(job, tag, TAGS)
        except ErniError:
            return
        if opened is not None and isinstance(opened.place, DropboxPlace):
            await progress.show(opened.place.account, FileAddress.of(job.recording).file, tag)
