"""The watch over libraries that block sees them on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httplib2
import pytest

import connectors.dropbox.client
import connectors.dropbox.threads
import connectors.gdrive.transport
from connectors.dropbox import entries
from connectors.gdrive import writing
from connectors.gdrive.credentials import google_credentials
from core.errors import Transient
from core.remote import Output
from tests.adapters import dropbox_desk, gdrive_desk
from tests.off_the_loop import off_the_loop

NOWHERE = "http://127.0.0.1:1"

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


async def test_a_call_of_dropbox_on_the_event_loop_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(_: Any, function: Callable[[], Any]) -> Any:
        return function()

    async with dropbox_desk.desk(tmp_path, watched=False) as at:
        credentials = at.credentials()
        await at.connecting().find(credentials, "/Inbox")
        monkeypatch.setattr(connectors.dropbox.client, "FIRST_PAUSE", 0.001)
        monkeypatch.setattr(connectors.dropbox.threads.Threads, "run", at_once)
        with off_the_loop() as caught:
            with pytest.raises(Transient, match="AssertionError"):
                await at.connecting().find(credentials, "/Inbox")
            with pytest.raises(AssertionError, match="holds up the event loop"):
                entries.digest(b"hello")
            await asyncio.to_thread(entries.digest, b"hello")
        assert set(caught) == {"requests.Session.send", "connectors.dropbox.entries.digest"}


async def test_a_call_of_google_on_the_event_loop_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(_: Any, use: Callable[[Any], Any]) -> Any:
        return use(connectors.gdrive.transport.Http(NOWHERE))

    async with gdrive_desk.desk(tmp_path) as at:
        assert await at.place().look(at.inbox.id) is None
        monkeypatch.setattr(connectors.gdrive.transport.Threads, "run", at_once)
        with off_the_loop() as caught:
            with pytest.raises(AssertionError, match="holds up the event loop"):
                await at.place().look(at.inbox.id)
            with pytest.raises(OSError, match="refused"):
                await asyncio.to_thread(httplib2.Http().request, NOWHERE)
        assert caught == ["httplib2.Http.request"]


async def test_reading_a_key_and_hashing_for_google_on_the_event_loop_are_noticed(tmp_path: Path) -> None:
    output = Output(data=b"hello", media_type="text/markdown", made_from="a", made_for="b", convert=True)
    async with gdrive_desk.desk(tmp_path, "service account") as at:
        assert await at.place().look(at.inbox.id) is None
        with off_the_loop() as caught:
            with pytest.raises(AssertionError, match="holds up the event loop"):
                google_credentials(at.secret)
            await asyncio.to_thread(google_credentials, at.secret)
            with pytest.raises(AssertionError, match="holds up the event loop"):
                writing._marks(output)
            with pytest.raises(AssertionError, match="holds up the event loop"):
                at.place().digest(b"hello")
        assert set(caught) == {
            "connectors.gdrive.credentials._service",
            "connectors.gdrive.writing.digest",
        }
