"""Putting files into Dropbox: in one call, or in a session where they are too big for one."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Final

from dropbox.exceptions import ApiError
from dropbox.files import CommitInfo, UploadSessionCursor, WriteMode

from connectors.dropbox.client import LONGEST_WAIT, TRIES, Account, pause
from connectors.dropbox.troubles import BadRequest, tags
from core.errors import Transient

logger = logging.getLogger(__name__)

SINGLE: Final = 150 * 1024 * 1024
"""The most bytes that one call may carry."""

PART: Final = 16 * 1024 * 1024


class Doubtful(Transient):
    """No answer came: the file may be there, or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file to be written to a path, or over the file with an id, as `mode` allows. In one call up to
    `single` bytes; above that in parts of `part`."""

    data: bytes
    path: str
    mode: Any = WriteMode.add
    single: int = SINGLE
    part: int = PART

    async def run(self, account: Account) -> Any:
        """What Dropbox says of the file then. Raises the library's ApiError, Doubtful, Transient and
        AuthFailed."""
        if len(self.data) > self.single:
            return await _Session(account=account, upload=self).run()
        return await finally_told(
            account.ask_once(
                "files_upload",
                self.data,
                self.path,
                mode=self.mode,
                autorename=False,
                mute=True,
                strict_conflict=True,
            )
        )

    def commit(self) -> Any:
        """The same, for the end of a session."""
        return CommitInfo(path=self.path, mode=self.mode, autorename=False, mute=True, strict_conflict=True)


async def finally_told(call: Any) -> Any:
    """The answer to a call that writes a file. Raises Doubtful if there was none."""
    try:
        return await call
    except BadRequest:
        raise
    except Transient as error:
        raise Doubtful(str(error), retry_after=error.retry_after) from None


@dataclass(slots=True, kw_only=True)
class _Session:
    """A file that is sent in parts. `sent` bytes have arrived."""

    account: Account
    upload: Upload
    session: str = ""
    sent: int = 0

    async def run(self) -> Any:
        failures = furthest = 0
        while True:
            try:
                if not self.session:
                    await self._start()
                while len(self.upload.data) - self.sent > self.upload.part:
                    await self._append()
                return await self._finish()
            except Doubtful:
                raise
            except BadRequest:
                raise
            except Transient as error:
                failures = 1 if self.sent > furthest else failures + 1
                furthest = max(furthest, self.sent)
                wait = pause(failures, error)
                if failures >= TRIES or wait > LONGEST_WAIT:
                    raise
                logger.info("an upload is at %d of %d bytes: %s", self.sent, len(self.upload.data), error)
            await asyncio.sleep(wait)

    async def _start(self) -> None:
        part = self.upload.data[: self.upload.part]
        answer = await self.account.ask_once("files_upload_session_start", part)
        self.session, self.sent = answer.session_id, len(part)

    async def _append(self) -> None:
        part = self.upload.data[self.sent : self.sent + self.upload.part]
        cursor = UploadSessionCursor(self.session, self.sent)
        try:
            await self.account.ask_once("files_upload_session_append_v2", part, cursor)
        except ApiError as error:
            self._recover(error, error.error)
            return
        self.sent += len(part)

    async def _finish(self) -> Any:
        cursor = UploadSessionCursor(self.session, self.sent)
        rest = self.upload.data[self.sent :]
        try:
            return await finally_told(
                self.account.ask_once("files_upload_session_finish", rest, cursor, self.upload.commit())
            )
        except ApiError as error:
            if not error.error.is_lookup_failed():
                raise
            self._recover(error, error.error.get_lookup_failed())
            raise Transient("An upload has to go on from elsewhere.") from None

    def _recover(self, error: ApiError, reason: Any) -> None:
        """Go on from where Dropbox is after an answer was lost, or from the start."""
        found = tags(reason)
        if "incorrect_offset" in found:
            there = reason.get_incorrect_offset().correct_offset
            if self.sent < there <= len(self.upload.data):
                self.sent = there
                return
        elif not {"not_found", "closed", "content_hash_mismatch"} & set(found):
            raise error
        self.session, self.sent = "", 0
        raise Transient("An upload has to begin again.")
