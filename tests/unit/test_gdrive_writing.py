"""Writing into a watched folder in Google Drive, through Google's library, into a Drive on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connectors.gdrive import writing
from connectors.gdrive.files import digest
from connectors.gdrive.place import DrivePlace
from core.errors import AuthFailed, Transient
from core.remote import Changed, FolderGone, Output
from tests.adapters.gdrive_desk import Desk, Way, desk, elsewhere
from tests.vendors.faults import Fault
from tests.vendors.gdrive import Partly, backend_error, rate_limited, refusal
from tests.vendors.gdrive_model import DOCUMENT, FOLDER
from tests.vendors.gdrive_troubles import Trouble

TEXT = Output(data=b"hello", media_type="text/plain", made_from="sha256:1", made_for="recording")
DOC = Output(data=b"hello", media_type="text/markdown", made_from="sha256:1", made_for="r", convert=True)
WRITABLE: tuple[Way, ...] = ("person", "shared drive")


@pytest.fixture(params=["person"])
async def at(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path, request.param) as made:
        yield made


@pytest.fixture
def place(at: Desk) -> DrivePlace:
    return at.place()


both = pytest.mark.parametrize("at", WRITABLE, indirect=True)


@both
async def test_a_file_is_made_found_replaced_and_deleted(at: Desk, place: DrivePlace) -> None:
    [file_id] = await place.reserve(1)
    made = await place.create(place.root, "a.txt", TEXT, file_id=file_id)
    assert (made.id, made.name, made.folder) == (file_id, "a.txt", at.inbox.id)
    assert (made.digest, made.made_for) == (digest(b"hello"), "recording")
    found = await place.present(place.root, ["a.txt", "b'\\.txt", "A.TXT"])
    assert found == {"a.txt": [made]}
    newer = await place.replace(made, Output(data=b"bye", media_type="text/plain", made_from="", made_for=""))
    assert newer.digest == digest(b"bye")
    assert at.server.named(at.inbox, "a.txt").text == "bye"
    with pytest.raises(Changed):
        await place.replace(made, TEXT)
    with pytest.raises(Changed):
        await place.delete(made)
    await place.delete(newer)
    await place.delete(newer)
    assert at.server.files_in(at.inbox) == []
    assert [file.name for file in at.server.files_in(at.inbox, trashed=True)] == ["a.txt"]
    with pytest.raises(Changed):
        await place.replace(newer, TEXT)


@pytest.mark.parametrize("trouble", [backend_error(), rate_limited()], ids=str)
@pytest.mark.parametrize("deleting", [False, True])
async def test_what_a_person_writes_between_two_tries_stays(
    at: Desk, place: DrivePlace, trouble: Trouble, *, deleting: bool
) -> None:
    made = await place.create(place.root, "a.txt", TEXT, file_id="")
    newer = Output(data=b"newer", media_type="text/plain", made_from="", made_for="")
    hold = at.server.hold("files.update")
    at.server.fail("files.update", trouble)
    task = asyncio.create_task(place.delete(made) if deleting else place.replace(made, newer))
    async with asyncio.timeout(20):
        await hold.arrived.wait()
    at.server.advance(5)
    at.server.replace(at.server.named(at.inbox, "a.txt"), b"mine")
    hold.release()
    with pytest.raises(Changed):
        await task
    assert at.server.named(at.inbox, "a.txt").text == "mine"


@pytest.mark.parametrize("trouble", ["lost", "cut", backend_error(), rate_limited()], ids=str)
@pytest.mark.parametrize("output", [TEXT, DOC], ids=["file", "document"])
async def test_replacing_is_done_once_whatever_gets_lost(
    at: Desk, place: DrivePlace, trouble: Trouble, output: Output
) -> None:
    made = await place.create(place.root, "a", output, file_id="")
    at.server.fail("files.update", trouble, trouble)
    newer = await place.replace(made, Output(**{**_fields(output), "data": b"bye"}))
    assert (newer.id, newer.digest) == (made.id, digest(b"bye"))
    assert (await place.present(place.root, ["a"]))["a"] == [newer]
    at.server.fail("files.update", trouble, trouble)
    await place.delete(newer)
    assert at.server.files_in(at.inbox) == []


async def test_what_it_was_made_from_is_told_but_not_of_copies_that_it_is_ours(
    at: Desk, place: DrivePlace
) -> None:
    made = await place.create(place.root, "a.txt", TEXT, file_id="")
    looked = await place.look(made.id)
    assert looked is not None
    assert looked.made_from == "sha256:1"
    at.server.advance(5)
    at.server.copy(at.server.named(at.inbox, "a.txt"), name="b.txt")
    found = await place.present(place.root, ["a.txt", "b.txt"])
    assert [held.made_for for held in (*found["a.txt"], *found["b.txt"])] == ["recording", ""]


@both
@pytest.mark.parametrize("trouble", ["lost", "cut", backend_error(), rate_limited()], ids=str)
@pytest.mark.parametrize("reserved", [True, False])
@pytest.mark.parametrize("convert", [True, False])
async def test_nothing_is_made_twice(
    at: Desk, place: DrivePlace, trouble: Any, reserved: bool, convert: bool
) -> None:
    [file_id] = await place.reserve(1)
    at.server.fail("files.create", trouble, trouble)
    output = DOC if convert else TEXT
    made = await place.create(place.root, "a.txt", output, file_id=file_id if reserved else "")
    [file] = at.server.files_in(at.inbox)
    assert (file.id, file.mime_type == DOCUMENT) == (made.id, convert)


async def test_a_run_that_broke_off_finds_what_it_made(at: Desk, place: DrivePlace) -> None:
    [file_id] = await place.reserve(1)
    first = await place.create(place.root, "a.txt", TEXT, file_id=file_id)
    assert await place.create(place.root, "a.txt", TEXT, file_id=file_id) == first


@pytest.mark.parametrize("at", ["shared drive"], indirect=True)
async def test_where_ids_are_not_taken_it_is_looked_up_first(at: Desk, place: DrivePlace) -> None:
    at.server.drive.ids_in_shared_drives = False
    [file_id] = await place.reserve(1)
    at.server.fail("files.create", refusal(400, "invalid", "Invalid Value"), "lost")
    first = await place.create(place.root, "a.txt", TEXT, file_id=file_id)
    assert await place.create(place.root, "a.txt", TEXT, file_id=file_id) == first
    assert len(at.server.files_in(at.inbox)) == 1


async def test_documents_are_recognised_until_somebody_changes_them(at: Desk, place: DrivePlace) -> None:
    made = await place.create(place.root, "a", DOC, file_id="")
    [found] = (await place.present(place.root, ["a"]))["a"]
    assert found == made
    assert found.digest == digest(b"hello")
    file = at.server.named(at.inbox, "a")
    at.server.comment(file, "Well said")
    newer = await place.replace(found, Output(**{**_fields(DOC), "data": b"bye"}))
    assert newer.digest == digest(b"bye")
    at.server.advance(5)
    at.server.replace(file, b"mine")
    [changed] = (await place.present(place.root, ["a"]))["a"]
    assert changed.digest not in {found.digest, newer.digest}
    with pytest.raises(Changed):
        await place.replace(newer, DOC)


def _fields(output: Output) -> dict[str, Any]:
    return {name: getattr(output, name) for name in output.__slots__}


async def test_big_files_go_in_pieces(at: Desk, place: DrivePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_AT_ONCE_BYTES", 1000)
    monkeypatch.setattr(writing, "_PIECE_BYTES", 256 * 1024)
    data = bytes(range(256)) * 4096
    output = Output(data=data, media_type="application/json", made_from="", made_for="")
    [file_id] = await place.reserve(1)
    at.server.fail("upload", "lost", Partly(kept=0))
    await place.create(place.root, "a.json", output, file_id=file_id)
    assert [file.data for file in at.server.files_in(at.inbox)] == [data]


@both
async def test_a_subfolder_is_made_once(at: Desk, place: DrivePlace) -> None:
    at.server.fail("files.create", "lost", "lost")
    made = await place.subfolder(place.root, "Transcripts")
    assert await place.subfolder(place.root, "Transcripts") == made
    assert await place.subfolder(place.root, "transcripts") != made
    assert [file.mime_type for file in at.server.files_in(at.inbox)] == [FOLDER, FOLDER]
    held = await place.create(made, "a.txt", TEXT, file_id="")
    looked = await place.look(held.id)
    assert looked is not None
    assert looked.path == "Transcripts/a.txt"


async def test_a_folder_that_went_away_is_told(at: Desk, place: DrivePlace) -> None:
    inner = at.server.folder(at.inbox, "inner")
    outside = at.server.folder(at.home, "outside")
    await place.present(inner.id, ["a.txt"])
    at.server.trash(inner)
    for folder in (inner.id, outside.id, "nothing-of-this-id"):
        with pytest.raises(FolderGone):
            await place.present(folder, ["a.txt"])
        with pytest.raises(FolderGone):
            await place.subfolder(folder, "x")
    with pytest.raises(FolderGone):
        await place.create("nothing-of-this-id", "a.txt", TEXT, file_id="")


@pytest.mark.parametrize("at", ["service account"], indirect=True)
async def test_a_service_account_in_my_drive_is_told_what_to_do(at: Desk, place: DrivePlace) -> None:
    with pytest.raises(AuthFailed, match="Service accounts own no storage") as caught:
        await place.create(place.root, "a.txt", TEXT, file_id="")
    assert "shared drive" in str(caught.value)
    assert "GDRIVE_SUBJECT" in str(caught.value)


async def test_a_full_drive_is_told(at: Desk, place: DrivePlace) -> None:
    at.anna.quota = 0
    with pytest.raises(AuthFailed, match="no room left"):
        await place.create(place.root, "a.txt", TEXT, file_id="")


async def test_tries_are_bounded(at: Desk, place: DrivePlace) -> None:
    for _ in range(20):
        at.server.fail("files.create", "cut")
    with pytest.raises(Transient):
        await place.create(place.root, "a.txt", TEXT, file_id="")
    assert len(at.server.called("files.create")) <= 4


async def test_a_long_wait_is_left_to_the_worker(at: Desk, place: DrivePlace) -> None:
    at.server.fail("files.create", Fault(status=429, headers={"Retry-After": "600"}))
    async with asyncio.timeout(20):
        with pytest.raises(Transient) as caught:
            await place.create(place.root, "a.txt", TEXT, file_id="")
    assert caught.value.retry_after == 600


async def test_a_request_that_makes_something_is_sent_once(at: Desk, place: DrivePlace) -> None:
    """Google's HTTP library would send it again by itself."""
    await place.check()  # so that there is a connection
    at.server.fail("files.create", "lost")
    at.server.hold_search()
    with pytest.raises(Transient):
        await place.client.ask_once(
            lambda drive: drive.files().create(body={"name": "a.txt", "parents": [at.inbox.id]})
        )
    assert len(at.server.called("files.create")) == 1
    assert len(at.server.files_in(at.inbox)) == 1


async def test_no_upload_goes_where_an_answer_says(
    at: Desk, place: DrivePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_AT_ONCE_BYTES", 1000)
    output = Output(data=b"x" * 5000, media_type="application/json", made_from="", made_for="")
    async with elsewhere() as (origin, came):
        lure = Fault(status=200, headers={"Location": f"{origin}/upload"})
        at.server.fail("files.create", lure)
        await place.create(place.root, "a.json", output, file_id="")
    assert came == []
    assert [file.data for file in at.server.files_in(at.inbox)] == [output.data]
