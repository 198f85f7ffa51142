"""Downloading from Google Drive, through Google's library, from a Drive on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.gdrive import download
from connectors.gdrive.place import DrivePlace
from core.errors import Rejected, Transient
from core.remote import Changed, RemoteFile
from core.tasks import end
from tests.adapters.gdrive_desk import TALK, Desk, desk, elsewhere
from tests.vendors.faults import Fault
from tests.vendors.gdrive import HTML, Short, Wrong, backend_error, rate_limited, refusal
from tests.vendors.gdrive_model import File

PIECE = 4096


@pytest.fixture
async def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(download, "PIECE_BYTES", PIECE)
    async with desk(tmp_path) as made:
        yield made


@pytest.fixture
def place(at: Desk) -> DrivePlace:
    return at.place()


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "fetched"


async def found(place: DrivePlace, file: File) -> RemoteFile:
    remote = await place.look(file.id)
    assert remote is not None
    return remote


async def test_the_bytes_come_in_pieces(at: Desk, place: DrivePlace, into: Path) -> None:
    file = at.server.upload(at.inbox, "a.mp3", TALK)
    await place.download(await found(place, file), into)
    assert into.read_bytes() == TALK
    ranges = [call.params["range"] for call in at.server.called("download")]
    assert ranges == ["0-4096", "4096-8192", f"8192-{len(TALK)}"]


async def test_the_file_behind_a_shortcut_is_what_comes(at: Desk, place: DrivePlace, into: Path) -> None:
    target = at.server.upload(at.home, "a.mp3", TALK)
    shortcut = at.server.make_shortcut(target, at.inbox)
    await place.download(await found(place, shortcut), into)
    assert into.read_bytes() == TALK


async def test_with_an_md5_alone_that_is_compared(at: Desk, place: DrivePlace, into: Path) -> None:
    file = at.server.upload(at.inbox, "a.mp3", TALK)
    md5 = f"md5:{file.head.content.checksums[0]}"
    await place.download(replace(await found(place, file), content=md5), into)
    with pytest.raises(Changed):
        await place.download(replace(await found(place, file), content="md5:" + "0" * 32), into)


@pytest.mark.parametrize(
    "trouble", ["cut", "lost", Short(after=100), backend_error(), rate_limited()], ids=str
)
async def test_it_goes_on_where_it_broke(at: Desk, place: DrivePlace, into: Path, trouble: Any) -> None:
    file = at.server.upload(at.inbox, "a.mp3", TALK)
    remote = await found(place, file)
    at.server.fail("download", trouble, trouble)
    await place.download(remote, into)
    assert into.read_bytes() == TALK


async def test_a_way_that_breaks_off_again_and_again_is_asked_for_less(
    at: Desk, place: DrivePlace, into: Path
) -> None:
    file = at.server.upload(at.inbox, "a.mp3", TALK)
    remote = await found(place, file)
    at.server.fail("download", *[Short(after=1500)] * 60)
    await place.download(remote, into)
    assert into.read_bytes() == TALK


async def test_no_piece_is_fetched_from_where_an_answer_says(at: Desk, place: DrivePlace, into: Path) -> None:
    file = at.server.upload(at.inbox, "a.mp3", TALK)
    remote = await found(place, file)
    async with elsewhere() as (origin, came):
        part = {"Content-Range": f"bytes 0-{PIECE - 1}/{len(TALK)}", "Content-Location": f"{origin}/rest"}
        at.server.fail("download", Fault(status=206, body="x" * PIECE, headers=part))
        await place.download(remote, into)
    assert came == []
    assert into.read_bytes() == TALK


async def test_a_file_that_was_fetched_too_often_today_has_to_wait(
    at: Desk, place: DrivePlace, into: Path
) -> None:
    file = at.server.upload(at.inbox, "a.mp3", TALK)
    remote = await found(place, file)
    at.server.fail("download", refusal(403, "downloadQuotaExceeded"))
    with pytest.raises(Transient) as caught:
        await place.download(remote, into)
    assert (caught.value.retry_after or 0) >= 3600
    assert len(at.server.called("download")) == 1


@pytest.mark.parametrize("trouble", [Wrong(), HTML], ids=str)
async def test_other_bytes_than_were_announced_are_fetched_again(
    at: Desk, place: DrivePlace, into: Path, trouble: Any
) -> None:
    file = at.server.upload(at.inbox, "a.mp3", TALK)
    at.server.fail("download", trouble)
    await place.download(await found(place, file), into)
    assert into.read_bytes() == TALK


async def test_twice_is_too_often(at: Desk, place: DrivePlace, into: Path) -> None:
    file = at.server.upload(at.inbox, "a.mp3", TALK)
    at.server.fail("download", *[Wrong()] * 6)
    with pytest.raises(Transient, match="other bytes"):
        await place.download(await found(place, file), into)


async def test_tries_are_bounded(at: Desk, place: DrivePlace, into: Path) -> None:
    file = at.server.upload(at.inbox, "a.mp3", TALK)
    at.server.fail("download", *[backend_error()] * 20)
    with pytest.raises(Transient):
        await place.download(await found(place, file), into)
    assert len(at.server.called("download")) <= 5


async def test_a_file_that_is_another_one_by_now_has_changed(at: Desk, place: DrivePlace, into: Path) -> None:
    file = at.server.upload(at.inbox, "a.mp3", TALK)
    remote = await found(place, file)
    for other in (TALK[::-1], TALK[:5000], TALK * 3, b"x", b""):
        at.server.replace(file, other)
        with pytest.raises(Changed):
            await place.download(remote, into)
    at.server.delete(file)
    with pytest.raises(Changed):
        await place.download(remote, into)


async def test_what_is_not_handed_out_is_said_to_who_shared_it(at: Desk, into: Path) -> None:
    server = at.server
    bo = server.person("bo@example.com")
    theirs = server.folder(bo, "Theirs")
    server.share(theirs, at.anna, "reader")
    place = at.place(theirs)
    kept, bad = server.upload(theirs, "a.mp3", TALK), server.upload(theirs, "b.mp3", TALK)
    server.forbid_download(kept)
    server.flag_abuse(bad)
    with pytest.raises(Rejected, match="does not let others download"):
        await place.download(await found(place, kept), into)
    with pytest.raises(Rejected, match="malware"):
        await place.download(await found(place, bad), into)


async def test_it_can_be_cancelled(at: Desk, place: DrivePlace, into: Path) -> None:
    file = at.server.upload(at.inbox, "a.mp3", TALK)
    remote = await found(place, file)
    hold = at.server.hold("download")
    task = asyncio.create_task(place.download(remote, into))
    await at.server.until(lambda: at.server.api._holds["download"] == [])
    await end(task)
    assert task.cancelled()
    hold.release()
    await place.download(remote, into)
    assert into.read_bytes() == TALK
