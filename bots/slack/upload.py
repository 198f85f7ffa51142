"""Putting files into a thread as one message, exactly once across crashes.

Slack knows an upload by its files' ids, which exist before anything is seen (`prepare`), and takes each of
them into a conversation only once (`complete`). So whoever remembers the ids in between can ask again.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from bots.slack.client import Workspace
from bots.slack.hosts import Forbidden
from bots.slack.retries import (
    CONNECT_SECONDS,
    SETTLING,
    SILENT_SECONDS,
    SLOWEST_BYTES,
    TRANSFER_TRIES,
    pause,
    seconds_in,
)
from bots.slack.troubles import Gone, Unsure, broken
from core.errors import Transient

logger = logging.getLogger(__name__)

_NAME_CHARACTERS: Final = 150
_DELETED: Final = frozenset({"file_deleted", "file_is_deleted"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Files that Slack has but that nobody sees yet: their ids and titles, in order."""

    ids: tuple[str, ...]
    titles: tuple[str, ...] = ()


class Upload:
    """Uploads to one workspace. Methods raise as those of `Workspace`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._calls = workspace.calls

    async def prepare(self, files: Mapping[str, bytes]) -> Prepared:
        """Send the bytes of `files`, by name. Nobody sees them; what is not completed, Slack throws away.

        Raises ValueError if there is no file, or if one has no bytes: Slack takes none such.
        """
        if not files or not all(files.values()):
            raise ValueError("there must be files, and none may be empty")
        titles = tuple(map(shown_name, files))
        ids = [await self._sent(name, data) for name, data in zip(titles, files.values(), strict=True)]
        return Prepared(ids=tuple(ids), titles=titles)

    async def complete(self, prepared: Prepared, channel: str, thread_ts: str | None) -> None:
        """Show the files in a conversation, as one message in the thread of `thread_ts`. Safe to repeat.

        Raises Unsure if that may have happened: to be repeated with the same `prepared`; Gone with the code
        file_not_found if Slack has thrown the files away: to be prepared anew.
        """
        named = [
            {"id": file, "title": title} if title else {"id": file}
            for file, title in zip(prepared.ids, _padded(prepared), strict=True)
        ]
        fields = {"files": json.dumps(named), "channel_id": channel}
        if thread_ts:
            fields["thread_ts"] = thread_ts
        try:
            await self._calls.form("files.completeUploadExternal", fields)
        except Unsure:
            if not await self.is_complete(prepared, channel):
                raise
        except Gone as error:
            # Also what Slack says to who asks a second time: "This method can only be called once."
            if error.code != "file_not_found" or not await self.is_complete(prepared, channel):
                raise

    async def is_complete(self, prepared: Prepared, channel: str) -> bool:
        """Whether the files were shown in the conversation, even if they were deleted since. Slack shows it
        late, so no takes a few seconds."""
        for wait in (0.0, *SETTLING):
            await asyncio.sleep(wait)
            states = [await self._state(file) for file in prepared.ids]
            if any(state is None or channel in state for state in states):
                return True
        return False

    async def _state(self, file: str) -> frozenset[str] | None:
        """Where a file is shared; None if it was and is deleted."""
        try:
            found = await self._workspace.file(file)
        except Gone as error:
            return None if error.code in _DELETED else frozenset()
        return None if found.is_gone else found.conversations

    async def _sent(self, name: str, data: bytes) -> str:
        """Reserve a place for a file and fill it; its id. Each try takes a new place."""
        for attempt in range(1, TRANSFER_TRIES + 1):
            # Without a snippet_type, Slack goes by the name: Markdown and text are shown as what they are.
            found = await self._calls.form(
                "files.getUploadURLExternal", {"filename": name, "length": str(len(data))}
            )
            file, url = found.get("file_id"), found.get("upload_url")
            if not isinstance(file, str) or not isinstance(url, str) or not file:
                raise Transient("Slack answered files.getUploadURLExternal without a place for the file.")
            try:
                await self._fill(url, data)
            except Transient as error:
                if attempt == TRANSFER_TRIES or error.retry_after is not None:
                    raise
                logger.info("file %s: %s", file, error)
                await asyncio.sleep(pause(attempt))
            else:
                return file
        raise AssertionError("unreachable")

    async def _fill(self, address: str, data: bytes) -> None:
        """Send the bytes to the address that Slack named, without the token."""
        hosts = self._calls.hosts
        try:
            url = URL(address)
            hosts.check(url)
            async with self._calls.session.post(
                url,
                data=io.BytesIO(data),
                headers={"Content-Type": "application/octet-stream"},
                proxy=hosts.proxy(url),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=SILENT_SECONDS + len(data) / SLOWEST_BYTES,
                    sock_connect=CONNECT_SECONDS,
                    sock_read=SILENT_SECONDS,
                ),
            ) as answer:
                status, page, headers = answer.status, answer.content_type, answer.headers
        except Forbidden as error:
            raise Transient(str(error)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise broken("the upload of a file", error) from None
        except ValueError:
            raise Transient("Slack named something that is no address.") from None
        if status != 200 or page == "text/html":
            raise Transient(f"Slack answered an upload with HTTP {status}.", retry_after=seconds_in(headers))


def shown_name(name: str) -> str:
    """A file's name as Slack can take it: without control characters, and not too long; its ending stays."""
    clean = "".join(
        "_" if each in "/\\" else each
        for each in name
        if unicodedata.category(each) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    ).strip()
    if len(clean) > _NAME_CHARACTERS:
        stem, dot, ending = clean.rpartition(".")
        tail = f"{dot}{ending}" if stem and len(ending) <= 20 else ""
        clean = f"{clean[: _NAME_CHARACTERS - len(tail) - 1].rstrip()}…{tail}"
    return clean or "transcript"


def _padded(prepared: Prepared) -> tuple[str, ...]:
    """One title for every file; Slack shows the name where there is none."""
    missing = len(prepared.ids) - len(prepared.titles)
    return (*prepared.titles[: len(prepared.ids)], *[""] * missing)
