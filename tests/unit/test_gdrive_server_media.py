"""Uploads, downloads and trouble at the local Google Drive, with Google's own library."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from googleapiclient.errors import HttpError, ResumableUploadError
from googleapiclient.http import MediaIoBaseDownload

from tests.vendors.gdrive import (
    HTML,
    GDriveServer,
    Partly,
    Short,
    Wrong,
    backend_error,
    rate_limited,
    refusal,
    serving,
)
from tests.vendors.gdrive_app import DriveApp, app_of, create, download, media, reason_of
from tests.vendors.gdrive_model import DOCUMENT, FOLDER, Account, File
from tests.vendors.gdrive_store import NO_STORAGE

TALK = bytes(range(256)) * 40
STEP = 256 * 1024
ALL: dict[str, Any] = {"supportsAllDrives": True}


@pytest.fixture
async def server() -> AsyncIterator[GDriveServer]:
    async with serving() as server:
        yield server


@pytest.fixture
def anna(server: GDriveServer) -> Account:
    return server.person("anna@example.com")


@pytest.fixture
def inbox(server: GDriveServer, anna: Account) -> File:
    return server.folder(anna, "Inbox")


@pytest.fixture
async def app(server: GDriveServer, anna: Account) -> AsyncIterator[DriveApp]:
    async with app_of(server, anna) as app:
        yield app


# Uploads in pieces


async def test_an_upload_in_pieces(server: GDriveServer, app: DriveApp, inbox: File) -> None:
    data = TALK * 80  # a little over three pieces
    body = {"name": "talk.m4a", "parents": [inbox.id]}
    made = await app.do(
        app.service.files().create(body=body, media_body=media(data, "audio/mp4", chunk=STEP), fields="*")
    )
    assert (made["size"], made["mimeType"]) == (str(len(data)), "audio/mp4")
    assert server.drive.files[made["id"]].data == data
    assert [call.status for call in server.called("upload")] == [308, 308, 308, 200]
    empty = await app.do(
        app.service.files().create(body=body, media_body=media(b"", chunk=STEP), fields="size")
    )
    assert empty == {"size": "0"}


async def test_an_upload_goes_on_where_it_was_cut(server: GDriveServer, app: DriveApp, inbox: File) -> None:
    data = TALK * 130
    request = app.service.files().create(
        body={"name": "talk.m4a", "parents": [inbox.id]}, media_body=media(data, chunk=2 * STEP), fields="id"
    )
    # httplib2 sends a request again whose answer never began, here without the piece, which it has read.
    app.http.http.timeout = 3
    server.fail("upload", Partly(STEP))
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(request.next_chunk)
    app.http.http.timeout = 20
    app.http.http.close()
    answer = None
    while answer is None:
        _, answer = await asyncio.to_thread(request.next_chunk)
    ranges = [call.params.get("range") for call in server.called("upload")]
    assert "bytes */1331200" in ranges
    assert "bytes 262144-786431/1331200" in ranges
    assert server.drive.files[answer["id"]].data == data
    assert len(server.files_in(inbox)) == 1


async def test_a_piece_whose_answer_was_lost_is_taken_once(
    server: GDriveServer, app: DriveApp, inbox: File
) -> None:
    data = TALK * 80
    body = {"name": "talk.m4a", "parents": [inbox.id]}
    uploaded = media(data, chunk=STEP)
    uploaded.has_stream = lambda: False  # pieces as bytes, so that httplib2 can send one again
    server.fail("upload", "lost")
    made = await app.do(app.service.files().create(body=body, media_body=uploaded))
    assert server.drive.files[made["id"]].data == data
    assert [call.status for call in server.called("upload")] == [308, 308, 308, 308, 200]


async def test_uploads_end_and_are_checked_before_they_begin(
    server: GDriveServer, app: DriveApp, inbox: File
) -> None:
    files = app.service.files()
    request = files.create(body={"name": "a", "parents": [inbox.id]}, media_body=media(TALK * 80, chunk=STEP))
    await asyncio.to_thread(request.next_chunk)
    server.expire_uploads()
    with pytest.raises(HttpError) as caught:
        await asyncio.to_thread(request.next_chunk)
    assert caught.value.resp.status == 404
    request = files.create(body={"name": "a", "parents": ["1nowhere"]}, media_body=media(TALK, chunk=STEP))
    with pytest.raises(ResumableUploadError) as refused:
        await app.do(request)
    assert reason_of(refused.value) == (404, "notFound")


async def test_pieces_must_be_of_the_right_size(server: GDriveServer, app: DriveApp, inbox: File) -> None:
    request = app.service.files().create(
        body={"name": "a", "parents": [inbox.id]}, media_body=media(TALK, chunk=1000)
    )
    with pytest.raises(HttpError, match="multiples of 256 KiB"):
        await app.do(request)


@pytest.mark.parametrize(
    ("header", "data", "said"),
    [
        ("bytes 5-9/100", b"01234", "does not fit"),
        ("bytes 0-9/100", b"01234", "does not fit"),
        ("bytes 0-4/99", b"01234", "total size has changed"),
        ("items 0-4/100", b"01234", "Failed to parse"),
    ],
)
async def test_pieces_that_make_no_sense_are_refused(
    server: GDriveServer, app: DriveApp, header: str, data: bytes, said: str
) -> None:
    url = f"{server.origin}/upload/drive/v3/files?uploadType=resumable"
    headers = {"Content-Type": "application/json", "X-Upload-Content-Length": "100"}
    response, _ = await asyncio.to_thread(app.http.request, url, "POST", body="{}", headers=headers)
    headers = {"Content-Range": header}
    at = response["location"]
    response, content = await asyncio.to_thread(app.http.request, at, "PUT", body=data, headers=headers)
    assert response.status == 400
    assert said in json.loads(content)["error"]["message"]
    headers = {"Content-Range": "bytes */100"}
    response, _ = await asyncio.to_thread(app.http.request, at, "PUT", body=b"", headers=headers)
    assert (response.status, "range" in response) == (308, False)


async def test_an_upload_that_is_over_says_so_again(server: GDriveServer, app: DriveApp) -> None:
    request = app.service.files().create(body={"name": "a.md"}, media_body=media(TALK, chunk=STEP))
    made = await app.do(request)
    headers = {"Content-Range": f"bytes */{len(TALK)}"}
    response, content = await asyncio.to_thread(
        app.http.request, request.resumable_uri, "PUT", body=b"", headers=headers
    )
    assert (response.status, json.loads(content)) == (200, made)


async def test_a_lost_answer_makes_a_twin_unless_the_id_was_chosen(
    server: GDriveServer, app: DriveApp, inbox: File
) -> None:
    """httplib2 itself sends a request again whose answer never began, POST or not."""
    server.fail("files.create", "lost")
    await create(app, {"name": "t.md", "parents": [inbox.id]}, b"x")
    assert [file.name for file in server.files_in(inbox)] == ["t.md", "t.md"]
    chosen = (await app.do(app.service.files().generateIds(count=1)))["ids"][0]
    server.fail("files.create", "lost")
    with pytest.raises(HttpError) as caught:
        await create(app, {"id": chosen, "name": "u.md", "parents": [inbox.id]}, b"x")
    assert reason_of(caught.value) == (409, "fileIdInUse")
    assert server.named(inbox, "u.md").id == chosen


# Downloads


async def test_downloads_of_ranges_and_of_nothing(server: GDriveServer, app: DriveApp, inbox: File) -> None:
    talk, empty = server.upload(inbox, "talk.m4a", TALK), server.upload(inbox, "empty.m4a", b"")
    for header, expected in (
        ("bytes=0-9", TALK[:10]),
        ("bytes=10000-", TALK[10000:]),
        ("bytes=-5", TALK[-5:]),
        ("bytes=10230-99999", TALK[10230:]),
    ):
        request = app.service.files().get_media(fileId=talk.id)
        request.headers["Range"] = header
        assert await app.do(request) == expected
    assert await app.do(app.service.files().get_media(fileId=talk.id)) == TALK
    assert [call.status for call in server.called("download")] == [206, 206, 206, 206, 200]
    request = app.service.files().get_media(fileId=talk.id)
    request.headers["Range"] = "bytes=99999-"
    with pytest.raises(HttpError) as caught:
        await app.do(request)
    assert caught.value.resp.status == 416
    assert await download(app, empty.id) == b""


async def test_a_big_file_is_read_from_disk(
    server: GDriveServer, app: DriveApp, inbox: File, tmp_path: Path
) -> None:
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        file.truncate(300_000_000)
        file.seek(299_999_999)
        file.write(b"!")
    talk = server.upload(inbox, "long.wav", path)
    request = app.service.files().get_media(fileId=talk.id)
    request.headers["Range"] = "bytes=299999990-"
    assert await app.do(request) == b"\x00" * 9 + b"!"


async def test_downloads_that_go_wrong(server: GDriveServer, app: DriveApp, inbox: File) -> None:
    talk = server.upload(inbox, "talk.m4a", TALK)
    server.fail("download", Short(100))
    with pytest.raises(http.client.IncompleteRead):
        await download(app, talk.id)
    server.fail("download", Wrong())
    wrong = await download(app, talk.id)
    assert len(wrong) == len(TALK)
    assert wrong != TALK
    assert wrong[4096:] == TALK[4096:]
    server.fail("download", HTML)
    assert (await download(app, talk.id)).startswith(b"<html>")
    server.fail("download", "cut", "cut")
    with pytest.raises(http.client.RemoteDisconnected):
        await download(app, talk.id)
    server.fail("download", rate_limited(), backend_error(503))
    reader = MediaIoBaseDownload(io.BytesIO(), app.service.files().get_media(fileId=talk.id))
    reader._sleep = lambda _seconds: None
    _, done = await asyncio.to_thread(reader.next_chunk, num_retries=3)
    assert done


async def test_what_may_not_be_downloaded(server: GDriveServer, app: DriveApp, anna: Account) -> None:
    bob = server.person("bob@example.com")
    talk, bad = server.upload(bob, "talk.m4a", TALK), server.upload(anna, "bad.m4a", TALK)
    server.share(talk, anna)
    server.forbid_download(talk)
    server.flag_abuse(bad)
    assert (await app.get(talk.id))["capabilities"]["canDownload"] is False
    for file, expected in ((talk, "cannotDownloadFile"), (bad, "cannotDownloadAbusiveFile")):
        with pytest.raises(HttpError) as caught:
            await download(app, file.id)
        assert reason_of(caught.value) == (403, expected)
    assert await download(app, bad.id, acknowledgeAbuse=True) == TALK
    server.share(talk, anna, "writer")
    assert await download(app, talk.id) == TALK


# Trouble


async def test_errors_come_in_googles_shape_and_are_repeated_by_the_library(
    server: GDriveServer, app: DriveApp, inbox: File
) -> None:
    for fault, expected in (
        (rate_limited(), (403, "userRateLimitExceeded")),
        (rate_limited("rateLimitExceeded", status=429), (429, "rateLimitExceeded")),
        (backend_error(502), (502, "backendError")),
        (refusal(403, "domainPolicy", "No."), (403, "domainPolicy")),
    ):
        server.fail("files.get", fault)
        with pytest.raises(HttpError) as caught:
            await app.get(inbox.id)
        assert reason_of(caught.value) == expected
    server.fail("files.get", rate_limited(), backend_error())
    request = app.service.files().get(fileId=inbox.id)
    request._sleep = lambda _seconds: None
    assert (await app.do(request, num_retries=2))["name"] == "Inbox"
    assert [call.status for call in server.called("files.get")] == [403, 429, 502, 403, 403, 500, 200]
    server.faults.add("GET /drive/v3/files/{fileId}", refusal(500, "internalError"))
    with pytest.raises(HttpError):
        await app.get(inbox.id)
    server.fail("files.get", refusal(500, "internalError"))
    server.forgive()
    assert (await app.get(inbox.id, "name"))["name"] == "Inbox"


def test_trouble_that_cannot_come_is_noticed(server: GDriveServer) -> None:
    with pytest.raises(ValueError, match="for downloads"):
        server.fail("files.get", Short(5))
    with pytest.raises(ValueError, match="for pieces"):
        server.fail("files.create", Partly(5))


async def test_a_call_can_be_held_and_one_can_hang(server: GDriveServer, app: DriveApp, inbox: File) -> None:
    hold = server.hold("files.get")
    held = asyncio.create_task(app.get(inbox.id, "name"))
    await hold.arrived.wait()
    server.rename(inbox, "Renamed")
    hold.release()
    assert (await held)["name"] == "Renamed"
    app.http.http.timeout = 0.2
    app.http.http.close()
    server.fail("files.get", "hang")
    with pytest.raises(TimeoutError):
        await app.get(inbox.id)


# Storage


async def test_service_accounts_own_nothing(server: GDriveServer, anna: Account, inbox: File) -> None:
    robot = server.service_account()
    server.share(inbox, robot, "writer")
    team = server.shared_drive("Team", {anna: "organizer", robot: "writer"})
    talk = server.upload(inbox, "talk.m4a", TALK)
    async with app_of(server, robot) as app:
        assert (await app.get(inbox.id))["capabilities"]["canAddChildren"] is True
        for body in (
            {"name": "t.md", "parents": [inbox.id]},
            {"name": "t.md"},
            {"name": "t", "parents": [inbox.id], "mimeType": FOLDER},
            {"name": "t", "parents": [inbox.id], "mimeType": DOCUMENT},
        ):
            with pytest.raises(HttpError) as caught:
                await create(app, body)
            assert reason_of(caught.value) == (403, "storageQuotaExceeded")
            assert caught.value.reason == NO_STORAGE
        with pytest.raises(HttpError) as caught:
            await app.do(app.service.files().copy(fileId=talk.id))
        assert reason_of(caught.value) == (403, "storageQuotaExceeded")
        await app.do(app.service.files().update(fileId=talk.id, media_body=media(b"new")))
        made = await create(app, {"name": "t.md", "parents": [team.id]}, b"x", **ALL)
        assert server.drive.files[made["id"]].owner is None
        about = await app.do(app.service.about().get(fields="storageQuota"))
        assert about["storageQuota"]["limit"] == "0"


async def test_a_quota_is_a_quota(server: GDriveServer) -> None:
    carl = server.person("carl@example.com", quota=100)
    async with app_of(server, carl) as app:
        made = await create(app, {"name": "a.md"}, b"x" * 60)
        with pytest.raises(HttpError) as caught:
            await create(app, {"name": "b.md"}, b"x" * 60)
        assert reason_of(caught.value) == (403, "storageQuotaExceeded")
        with pytest.raises(HttpError) as caught:
            await app.do(app.service.files().update(fileId=made["id"], media_body=media(b"x" * 60)))
        assert reason_of(caught.value) == (403, "storageQuotaExceeded")
        await app.do(app.service.files().delete(fileId=made["id"]))
        await create(app, {"name": "b.md"}, b"x" * 60)
