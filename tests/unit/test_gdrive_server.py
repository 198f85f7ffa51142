"""The local Google Drive, driven by Google's own library: what it can do with it, it can do with Google's."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from googleapiclient.errors import HttpError

from tests.vendors import gdrive_fields as fields
from tests.vendors.gdrive import (
    GDriveServer,
    serving,
)
from tests.vendors.gdrive_access import Access
from tests.vendors.gdrive_app import DriveApp, app_of, create, download, ids, media, reason_of, with_token
from tests.vendors.gdrive_model import DOCUMENT, FOLDER, SHORTCUT, Account, File
from tests.vendors.gdrive_resources import FIELDS
from tests.vendors.gdrive_writes import _WRITABLE

TALK = bytes(range(256)) * 40
STEP = 256 * 1024
ALL: dict[str, Any] = {"supportsAllDrives": True}
EVERYWHERE: dict[str, Any] = {"supportsAllDrives": True, "includeItemsFromAllDrives": True}


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


# What it knows is Drive's own


def test_every_method_field_and_capability_is_in_the_discovery_document(
    server: GDriveServer, anna: Account, inbox: File
) -> None:
    known = fields.schema("File")["properties"]
    shared = server.shared_drive("Team", {anna: "organizer"})
    access = Access(server.drive, anna)
    assert set(server.api.handlers) <= set(fields.methods())
    assert set(FIELDS) <= set(known)
    assert set(_WRITABLE) <= set(known)
    for folder in (inbox, server.root(shared)):
        assert set(access.capabilities(folder)) <= set(known["capabilities"]["properties"])
    assert set(access.drive_capabilities(shared)) <= set(
        fields.schema("Drive")["properties"]["capabilities"]["properties"]
    )


def test_an_answer_that_is_not_as_drive_describes_it_is_noticed() -> None:
    schema = fields.schema("FileList")
    assert fields.wrong({"kind": "drive#fileList", "files": [{"id": "1", "size": "5"}]}, schema) == []
    assert fields.wrong({"files": [{"ID": "1"}]}, schema) == [".files[].ID is unknown"]
    assert fields.wrong({"files": [{"size": 5}]}, schema) == [".files[].size is int, not string"]
    assert fields.wrong({"files": [{"size": "5 MB"}]}, schema) == [".files[].size is no whole number"]
    assert fields.wrong({"incompleteSearch": "no"}, schema) == [".incompleteSearch is str, not boolean"]


async def test_parameters_and_methods_that_nobody_knows_are_violations() -> None:
    running = serving()
    server = await running.__aenter__()
    async with app_of(server, server.person("anna@example.com")) as app:
        response, _ = await asyncio.to_thread(app.http.request, f"{server.api_url}files?colour=red")
        assert response.status == 400
        with pytest.raises(HttpError) as caught:
            await app.do(app.service.files().emptyTrash())
        assert reason_of(caught.value) == (501, "notImplemented")
    with pytest.raises(AssertionError, match=r"no parameter colour.*does not know files.emptyTrash"):
        await running.__aexit__(None, None, None)


# Files


async def test_a_file_is_uploaded_told_and_downloaded(
    server: GDriveServer, app: DriveApp, anna: Account, inbox: File
) -> None:
    server.freeze(1_790_000_000.25)
    made = await create(app, {"name": "notes.md", "parents": [inbox.id]}, TALK)
    assert made == {"kind": "drive#file", "id": made["id"], "name": "notes.md", "mimeType": "text/markdown"}
    told = await app.get(made["id"])
    assert told["md5Checksum"] == hashlib.md5(TALK).hexdigest()
    assert told["sha256Checksum"] == hashlib.sha256(TALK).hexdigest()
    assert told["sha1Checksum"] == hashlib.sha1(TALK).hexdigest()
    assert (told["size"], told["parents"], told["trashed"]) == (str(len(TALK)), [inbox.id], False)
    assert told["createdTime"] == told["modifiedTime"] == "2026-09-21T14:13:20.250Z"
    assert [owner["emailAddress"] for owner in told["owners"]] == ["anna@example.com"]
    assert told["capabilities"]["canDownload"]
    assert told["fileExtension"] == "md"
    assert await download(app, made["id"]) == TALK
    assert [call.params["range"] for call in server.called("download")][:2] == ["0-4096", "4096-8192"]


@pytest.mark.parametrize(
    "data", [b"", b"\r", b"\r\n", b"ends with a newline\n", b"\n--\n", b"\x00\xff\r\n\r"]
)
async def test_bytes_arrive_as_they_were_sent(app: DriveApp, server: GDriveServer, data: bytes) -> None:
    made = await create(app, {"name": "x.bin"}, data)
    assert server.drive.files[made["id"]].data == data
    assert await download(app, made["id"]) == data


async def test_new_content_is_a_new_revision_even_if_it_is_the_same(
    server: GDriveServer, app: DriveApp, inbox: File
) -> None:
    talk = server.upload(inbox, "talk.m4a", TALK)
    before = await app.get(talk.id)
    server.replace(talk, TALK)
    after = await app.get(talk.id)
    assert after["headRevisionId"] != before["headRevisionId"]
    assert after["md5Checksum"] == before["md5Checksum"]
    await app.do(app.service.files().update(fileId=talk.id, media_body=media(b"other")))
    listed = await app.do(app.service.revisions().list(fileId=talk.id, fields="*"))
    assert [one["size"] for one in listed["revisions"]] == [str(len(TALK)), str(len(TALK)), "5"]
    first = app.service.revisions().get_media(fileId=talk.id, revisionId=before["headRevisionId"])
    assert await app.do(first) == TALK
    server.rename(talk, "other.m4a")
    renamed = await app.get(talk.id)
    assert renamed["headRevisionId"] == listed["revisions"][-1]["id"]
    assert int(renamed["version"]) > int(after["version"])


async def test_metadata_can_be_changed_and_what_is_drives_own_cannot(
    server: GDriveServer, app: DriveApp, inbox: File
) -> None:
    talk, done = server.upload(inbox, "talk.m4a", TALK), server.folder(inbox, "Done")
    update = app.service.files().update
    await app.do(update(fileId=talk.id, body={"name": "t.m4a", "description": "A talk", "starred": True}))
    await app.do(update(fileId=talk.id, addParents=done.id, removeParents=inbox.id))
    told = await app.get(talk.id)
    assert (told["name"], told["description"], told["parents"]) == ("t.m4a", "A talk", [done.id])
    for body, expected in (
        ({"parents": [inbox.id]}, (403, "fieldNotWritable")),
        ({"md5Checksum": "0"}, (403, "fieldNotWritable")),
        ({"colour": "red"}, (400, "badRequest")),
        ({"name": 5}, (400, "invalid")),
        ({"appProperties": {"k" * 100: "v" * 25}}, (400, "invalid")),
    ):
        with pytest.raises(HttpError) as caught:
            await app.do(update(fileId=talk.id, body=body))
        assert reason_of(caught.value) == expected
    for kwargs, expected in (
        ({"addParents": inbox.id}, (403, "cannotAddParent")),
        ({"removeParents": done.id}, (400, "badRequest")),
        ({"addParents": talk.id, "removeParents": done.id}, (403, "parentNotAFolder")),
    ):
        with pytest.raises(HttpError) as caught:
            await app.do(update(fileId=talk.id, **kwargs))
        assert reason_of(caught.value) == expected
    sub = server.folder(done, "Sub")
    with pytest.raises(HttpError) as caught:
        await app.do(update(fileId=done.id, addParents=sub.id, removeParents=inbox.id))
    assert reason_of(caught.value) == (403, "cannotMoveIntoDescendant")


async def test_private_properties_are_seen_by_the_app_that_set_them_only(
    server: GDriveServer, app: DriveApp, anna: Account, inbox: File
) -> None:
    made = await create(
        app,
        {"name": "t.md", "parents": [inbox.id], "appProperties": {"src": "it's"}, "properties": {"p": "1"}},
        b"x",
    )
    search = r"appProperties has { key='src' and value='it\'s' }"
    assert ids(await app.listed(q=search)) == {made["id"]}
    other = server.token(anna, client="other.apps.googleusercontent.com")
    async with app_of(server, with_token(other)) as stranger:
        told = await stranger.get(made["id"])
        assert "appProperties" not in told
        assert told["properties"] == {"p": "1"}
        assert await stranger.listed(q=search) == []
    await app.do(app.service.files().update(fileId=made["id"], body={"appProperties": {"src": None}}))
    assert "appProperties" not in await app.get(made["id"])


async def test_an_id_made_before_is_good_once(server: GDriveServer, app: DriveApp, inbox: File) -> None:
    made = (await app.do(app.service.files().generateIds(count=2, fields="ids")))["ids"]
    body = {"id": made[0], "name": "t.md", "parents": [inbox.id]}
    assert (await create(app, body, b"x"))["id"] == made[0]
    with pytest.raises(HttpError) as caught:
        await create(app, body, b"x")
    assert reason_of(caught.value) == (409, "fileIdInUse")
    server.delete(server.drive.files[made[0]])
    with pytest.raises(HttpError) as caught:
        await create(app, body, b"x")
    assert reason_of(caught.value) == (409, "fileIdInUse")
    for extra, expected in (
        ({"id": "1invented"}, (400, "invalid")),
        ({"id": made[1], "mimeType": DOCUMENT}, (403, "insufficientFilePermissions")),
        ({"id": made[1], "mimeType": SHORTCUT, "shortcutDetails": {"targetId": inbox.id}}, (400, "invalid")),
    ):
        with pytest.raises(HttpError) as caught:
            await create(app, body | extra)
        assert reason_of(caught.value) == expected
    shared = server.shared_drive("Team", {next(iter(server.drive.accounts.values())): "organizer"})
    server.drive.ids_in_shared_drives = False
    with pytest.raises(HttpError) as caught:
        await create(app, body | {"id": made[1], "parents": [shared.id]}, b"x", **ALL)
    assert reason_of(caught.value) == (400, "invalid")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"parents": ["root", "root"]}, (400, "invalid")),
        ({"parents": "root"}, (400, "invalid")),
        ({"trashed": "no"}, (400, "invalid")),
        ({"properties": {"a": 1}}, (400, "invalid")),
        ({"appProperties": {str(number): "x" for number in range(31)}}, (400, "invalid")),
        ({"modifiedTime": "yesterday"}, (400, "invalid")),
        ({"mimeType": SHORTCUT}, (400, "badRequest")),
        ({"mimeType": SHORTCUT, "shortcutDetails": {"targetId": "1nowhere"}}, (404, "notFound")),
    ],
)
async def test_files_that_cannot_be_made(
    server: GDriveServer, app: DriveApp, anna: Account, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    with pytest.raises(HttpError) as caught:
        await create(app, body)
    assert reason_of(caught.value) == expected
    assert server.files_in(anna) == []


async def test_an_app_may_say_when_a_file_was_made_and_changed(app: DriveApp, inbox: File) -> None:
    made = {"createdTime": "2020-01-02T03:04:05.678Z", "modifiedTime": "2021-01-02T03:04:05.000Z"}
    file = await create(app, {"name": "old.md", "parents": [inbox.id], **made}, b"x")
    assert await app.get(file["id"], "createdTime,modifiedTime") == made
    changed = {"modifiedTime": "2022-01-02T03:04:05.000Z"}
    await app.do(app.service.files().update(fileId=file["id"], body=changed))
    assert await app.get(file["id"], "modifiedTime") == changed


async def test_folders_have_no_content_and_documents_take_text_only(
    server: GDriveServer, app: DriveApp, inbox: File
) -> None:
    document = server.document(inbox, "Minutes", "Anna: hello")
    files = app.service.files()
    picture = media(b"x", "image/png")
    for request in (
        files.create(body={"mimeType": FOLDER}, media_body=media(b"x")),
        files.update(fileId=inbox.id, media_body=media(b"x")),
        files.create(body={"mimeType": DOCUMENT}, media_body=picture),
        files.update(fileId=document.id, media_body=picture),
        files.export(fileId=document.id, mimeType="application/pdf"),
    ):
        with pytest.raises(HttpError) as caught:
            await app.do(request)
        assert caught.value.resp.status in (400, 403)
    await app.do(files.update(fileId=document.id, media_body=media(b"**Anna**: bye", "text/markdown")))
    assert await app.do(files.export(fileId=document.id, mimeType="text/markdown")) == b"**Anna**: bye"
    html = await app.do(files.export(fileId=document.id, mimeType="text/html"))
    assert html == b"<p>**Anna**: bye</p>"
    server.forbid_download(document)
    bob = server.person("bob@example.com")
    server.share(document, bob)
    async with app_of(server, bob) as reader:
        with pytest.raises(HttpError) as caught:
            await reader.do(reader.service.files().export(fileId=document.id, mimeType="text/html"))
        assert reason_of(caught.value) == (403, "cannotExportFile")


async def test_revisions_and_what_is_not_there(server: GDriveServer, app: DriveApp, inbox: File) -> None:
    talk = server.upload(inbox, "talk.m4a", TALK)
    revisions, files = app.service.revisions(), app.service.files()
    told = await app.do(revisions.get(fileId=talk.id, revisionId=talk.head.id, fields="*"))
    assert told["md5Checksum"] == hashlib.md5(TALK).hexdigest()
    assert (await app.do(revisions.get(fileId=talk.id, revisionId="head")))["id"] == talk.head.id
    for request, expected in (
        (revisions.get(fileId=talk.id, revisionId="0Bnone"), (404, "notFound")),
        (files.generateIds(type="folders"), (400, "invalid")),
        (files.generateIds(space="appDataFolder"), (400, "invalid")),
        (files.list(corpora="domain"), (400, "invalid")),
        (app.service.comments().list(fileId=inbox.id, fields="*"), (403, "insufficientFilePermissions")),
        (app.service.comments().create(fileId=talk.id, body={}, fields="*"), (400, "badRequest")),
    ):
        with pytest.raises(HttpError) as caught:
            await app.do(request)
        assert reason_of(caught.value) == expected


async def test_short_lists_are_paged_too(server: GDriveServer, app: DriveApp, anna: Account) -> None:
    talk = server.upload(anna, "talk.m4a", TALK)
    for number in range(3):
        server.comment(talk, str(number))
        server.replace(talk, str(number).encode())
        server.share(talk, server.person(f"{number}@example.com"))
        server.shared_drive(str(number), {anna: "reader"})
    service = app.service
    for collection, name, kwargs, expected in (
        (service.comments(), "comments", {"fileId": talk.id, "fields": "*"}, 3),
        (service.revisions(), "revisions", {"fileId": talk.id}, 4),
        (service.permissions(), "permissions", {"fileId": talk.id}, 4),
        (service.drives(), "drives", {}, 3),
    ):
        first = await app.do(collection.list(**kwargs, pageSize=2))
        second = await app.do(collection.list(**kwargs, pageSize=2, pageToken=first["nextPageToken"]))
        assert len(first[name]) + len(second[name]) == expected


async def test_a_test_can_wait_until_something_came(server: GDriveServer, app: DriveApp, inbox: File) -> None:
    server.describe(inbox, "Drop recordings here")
    called = asyncio.create_task(app.get(inbox.id, "description"))
    await server.until(lambda: server.called("files.get"))
    assert await called == {"description": "Drop recordings here"}
    with pytest.raises(TimeoutError):
        await server.until(lambda: server.called("files.list"), seconds=0.01)


async def test_documents_are_made_from_text_and_exported(
    server: GDriveServer, app: DriveApp, inbox: File
) -> None:
    body = {"name": "Minutes", "mimeType": DOCUMENT, "parents": [inbox.id]}
    html = media(b"<h1>Minutes</h1><p>Anna: hello</p>", "text/html")
    made = await app.do(app.service.files().create(body=body, media_body=html))
    told = await app.get(made["id"])
    assert told["mimeType"] == DOCUMENT
    assert not {"md5Checksum", "sha256Checksum", "headRevisionId", "fileExtension"} & set(told)
    text = await app.do(app.service.files().export(fileId=made["id"], mimeType="text/plain"))
    assert text == b"Minutes\nAnna: hello\n"
    with pytest.raises(HttpError) as caught:
        await download(app, made["id"])
    assert reason_of(caught.value) == (403, "fileNotDownloadable")
    talk = server.upload(inbox, "talk.m4a", TALK)
    with pytest.raises(HttpError) as caught:
        await app.do(app.service.files().export(fileId=talk.id, mimeType="text/plain"))
    assert reason_of(caught.value) == (403, "fileNotExportable")


async def test_shortcuts_point_to_files_and_have_no_content(
    server: GDriveServer, app: DriveApp, anna: Account, inbox: File
) -> None:
    talk = server.upload(anna, "talk.m4a", TALK)
    made = server.make_shortcut(talk, inbox)
    details = {"targetId": talk.id, "targetMimeType": "audio/x-m4a"}
    told = await app.get(made.id)
    assert (told["mimeType"], told["shortcutDetails"]) == (SHORTCUT, details)
    assert "size" not in told
    assert "md5Checksum" not in told
    with pytest.raises(HttpError) as caught:
        await download(app, made.id)
    assert reason_of(caught.value) == (403, "fileNotDownloadable")
    body = {"name": "again", "mimeType": SHORTCUT, "shortcutDetails": {"targetId": made.id}}
    assert (await app.get((await create(app, body))["id"]))["shortcutDetails"] == details


async def test_copy_trash_and_delete(server: GDriveServer, app: DriveApp, inbox: File) -> None:
    sub = server.folder(inbox, "Sub")
    talk = server.upload(sub, "talk.m4a", TALK)
    copied = await app.do(app.service.files().copy(fileId=talk.id, body={"name": "twin"}))
    assert server.drive.files[copied["id"]].data == TALK
    server.trash(sub)
    told = await app.get(talk.id, "trashed,explicitlyTrashed")
    assert told == {"trashed": True, "explicitlyTrashed": False}
    await app.do(app.service.files().update(fileId=sub.id, body={"trashed": False}))
    assert (await app.get(talk.id, "trashed"))["trashed"] is False
    await app.do(app.service.files().delete(fileId=sub.id))
    with pytest.raises(HttpError) as caught:
        await app.get(talk.id)
    assert reason_of(caught.value) == (404, "notFound")
    assert caught.value.reason == f"File not found: {talk.id}."


async def test_comments_and_about_insist_on_fields(
    server: GDriveServer, app: DriveApp, anna: Account, inbox: File
) -> None:
    talk = server.upload(inbox, "talk.m4a", TALK)
    server.comment(talk, "Who is this?")
    add = app.service.comments().create(fileId=talk.id, body={"content": "Done & dusted"}, fields="*")
    made = await app.do(add)
    assert (made["content"], made["htmlContent"]) == ("Done & dusted", "Done &amp; dusted")
    assert "emailAddress" not in made["author"]
    listed = await app.do(app.service.comments().list(fileId=talk.id, fields="comments(content)"))
    assert [one["content"] for one in listed["comments"]] == ["Done & dusted", "Who is this?"]
    about = await app.do(app.service.about().get(fields="user/emailAddress,storageQuota"))
    assert about["user"] == {"emailAddress": "anna@example.com"}
    assert about["storageQuota"]["usage"] == str(len(TALK))
    for request in (
        app.service.comments().list(fileId=talk.id),
        app.service.comments().create(fileId=talk.id, body={"content": "x"}),
        app.service.about().get(),
    ):
        with pytest.raises(HttpError) as caught:
            await app.do(request)
        assert reason_of(caught.value) == (400, "required")


# Lists


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("'INBOX' in parents", "abcd"),
        ("'INBOX' in parents and trashed = false", "abc"),
        ("'INBOX' in parents and trashed=true", "d"),
        ("name = 'A TALK.mp3'", "a"),
        ("name contains 'talk'", "ab"),
        ("name contains 'alk'", ""),
        ("mimeType = 'text/plain' and 'INBOX' in parents", "c"),
        ("mimeType contains 'audio/' and 'INBOX' in parents", "abd"),
        ("mimeType != 'audio/mpeg' and 'INBOX' in parents", "bcd"),
        ("not name contains 'talk' and 'INBOX' in parents", "cd"),
        ("'INBOX' in parents and (name = 'c.txt' or name contains 'b')", "bc"),
        ("name = 'c.txt' or name = 'a talk.mp3' and mimeType = 'text/plain'", "c"),
        ("modifiedTime > '2026-09-21T14:13:20' and 'INBOX' in parents", "bcd"),
        ("createdTime <= '2026-09-21T14:13:20Z' and 'INBOX' in parents", "a"),
        ("name = 'it\\'s'", "e"),
        ("'me' in owners and name='c.txt'", "c"),
        ("'anna@example.com' in writers and name='c.txt'", "c"),
        ("sharedWithMe", ""),
        ("'root' in parents and name = 'it\\'s'", "e"),
    ],
)
async def test_the_search_language(
    server: GDriveServer, app: DriveApp, anna: Account, inbox: File, wanted: str, expected: str
) -> None:
    server.freeze(1_790_000_000)
    made = {"a": server.upload(inbox, "a talk.mp3", b"1")}
    server.advance(60)
    made["b"] = server.upload(inbox, "b_talk talk.m4a", b"2")
    made["c"] = server.upload(inbox, "c.txt", b"3")
    made["d"] = server.upload(inbox, "d.wav", b"4", mime_type="audio/wav")
    made["e"] = server.upload(anna, "it's", b"5")
    server.trash(made["d"])
    query = wanted.replace("INBOX", inbox.id)
    found = await app.listed(q=query, pageSize=2)
    assert ids(found) == {made[name].id for name in expected}


@pytest.mark.parametrize(
    "query",
    ["name", "name = x", "name = 'x", "trashed", "trashed = 'no'", "(name = 'x'", "name = 'x' or",
     "size > '5'", "name < 'x'", "'x' in folders", "appProperties has { key='a' }", "name = 'x' name = 'y'",
     "and"],
)  # fmt: skip
async def test_a_search_that_makes_no_sense_is_refused(app: DriveApp, query: str) -> None:
    with pytest.raises(HttpError) as caught:
        await app.listed(q=query)
    assert reason_of(caught.value) == (400, "invalid")


async def test_lists_are_paged_and_their_tokens_are_good_for_the_same_question_only(
    server: GDriveServer, app: DriveApp, inbox: File
) -> None:
    made = server.fill(inbox, [f"{number}.mp3" for number in range(5)])
    ask = app.service.files().list
    question: dict[str, Any] = {"q": f"'{inbox.id}' in parents", "pageSize": 2}
    first = await app.do(ask(**question))
    assert len(first["files"]) == 2
    server.delete(next(file for file in made if file.id not in ids(first["files"])))
    token = first["nextPageToken"]
    second = await app.do(ask(**question, pageToken=token))
    assert await app.do(ask(**question, pageToken=token)) | {"nextPageToken": ""} == second | {
        "nextPageToken": ""
    }
    third = await app.do(ask(**question, pageToken=second["nextPageToken"]))
    assert len(second["files"] + third["files"]) == 2
    assert "nextPageToken" not in third
    for changed in ({"q": "trashed = false"}, {"pageToken": "invented"}):
        with pytest.raises(HttpError) as caught:
            await app.do(ask(**({**question, "pageToken": token} | changed)))
        assert reason_of(caught.value) == (400, "invalid")
    server.expire_lists()
    with pytest.raises(HttpError) as caught:
        await app.do(ask(**question, pageToken=token))
    assert reason_of(caught.value) == (400, "invalid")
    with pytest.raises(HttpError) as caught:
        await app.do(ask(pageSize=1001))
    assert reason_of(caught.value) == (400, "invalidParameter")


async def test_order(server: GDriveServer, app: DriveApp, inbox: File) -> None:
    server.freeze()
    for name in ("10.txt", "9.txt", "1.txt"):
        server.upload(inbox, name, b"x")
        server.advance(1)
    server.folder(inbox, "z")

    async def names(order: str) -> list[str]:
        return [file["name"] for file in await app.listed(q=f"'{inbox.id}' in parents", orderBy=order)]

    assert await names("name") == ["1.txt", "10.txt", "9.txt", "z"]
    assert await names("folder,name_natural") == ["z", "1.txt", "9.txt", "10.txt"]
    assert await names("modifiedTime desc") == ["z", "1.txt", "9.txt", "10.txt"]
    with pytest.raises(HttpError):
        await names("colour")


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("id", {"id"}),
        ("name, parents", {"name", "parents"}),
        ("capabilities/canDownload", {"capabilities"}),
        ("capabilities(canEdit,canDownload),id", {"capabilities", "id"}),
        ("owners(emailAddress)", {"owners"}),
        ("description", set()),
    ],
)
async def test_masks(server: GDriveServer, app: DriveApp, inbox: File, mask: str, expected: set[str]) -> None:
    talk = server.upload(inbox, "talk.m4a", TALK)
    told = await app.get(talk.id, mask)
    assert set(told) == expected
    if "capabilities/" in mask:
        assert told["capabilities"] == {"canDownload": True}
    if "owners" in expected:
        assert told["owners"] == [{"emailAddress": "anna@example.com"}]


@pytest.mark.parametrize("mask", ["colour", "id,", "capabilities(canFly)", "owners(me", "id)", "files(id)"])
async def test_a_mask_of_what_drive_does_not_have_is_refused(app: DriveApp, inbox: File, mask: str) -> None:
    with pytest.raises(HttpError) as caught:
        await app.get(inbox.id, mask)
    assert reason_of(caught.value) == (400, "invalidParameter")


async def test_a_long_question_is_sent_as_a_form(server: GDriveServer, app: DriveApp, inbox: File) -> None:
    talk = server.upload(inbox, "talk.m4a", TALK)
    names = " or ".join(f"name = '{number:050d}'" for number in range(60))
    assert ids(await app.listed(q=f"{names} or name = 'talk.m4a'")) == {talk.id}
    assert server.called("files.list")
    assert not server.called("files.create")


async def test_a_folder_with_a_hundred_thousand_files_is_listed_quickly(
    server: GDriveServer, app: DriveApp, inbox: File
) -> None:
    server.fill(inbox, [f"talk {number}.mp3" for number in range(100_000)])
    began = time.perf_counter()
    mask = "nextPageToken,files(id,name,mimeType,size,md5Checksum,headRevisionId,parents)"
    found = await app.listed(q=f"'{inbox.id}' in parents and trashed = false", pageSize=1000, fields=mask)
    assert len(ids(found)) == 100_000
    assert len(server.called("files.list")) == 100
    assert time.perf_counter() - began < 60


async def test_new_files_can_be_late_in_searches(server: GDriveServer, app: DriveApp, inbox: File) -> None:
    old = server.upload(inbox, "old.m4a", TALK)
    server.hold_search()
    new = server.upload(inbox, "new.m4a", TALK)
    assert ids(await app.listed(q=f"'{inbox.id}' in parents")) == {old.id}
    assert (await app.get(new.id, "name"))["name"] == "new.m4a"
    server.release_search()
    assert ids(await app.listed(q=f"'{inbox.id}' in parents")) == {old.id, new.id}


async def test_a_folder_that_is_not_there_cannot_be_listed(
    server: GDriveServer, app: DriveApp, inbox: File
) -> None:
    hidden = server.folder(server.person("bob@example.com"), "Private")
    for folder in ("1nowhere", hidden.id):
        with pytest.raises(HttpError) as caught:
            await app.listed(q=f"'{folder}' in parents")
        assert reason_of(caught.value) == (404, "notFound")


# Shared drives


async def test_without_saying_so_an_app_sees_nothing_of_shared_drives(
    server: GDriveServer, app: DriveApp, anna: Account
) -> None:
    team = server.shared_drive("Team", {anna: "organizer"})
    talk = server.upload(team, "talk.m4a", TALK)
    files = app.service.files()
    for request in (
        files.get(fileId=talk.id),
        files.get_media(fileId=talk.id),
        files.update(fileId=talk.id, body={"name": "x"}),
        files.create(body={"name": "x", "parents": [team.id]}, media_body=media(b"x")),
        files.copy(fileId=talk.id),
        files.delete(fileId=talk.id),
        app.service.permissions().list(fileId=talk.id),
    ):
        with pytest.raises(HttpError) as caught:
            await app.do(request)
        assert reason_of(caught.value) == (404, "notFound")
    told = await app.get(talk.id, **ALL)
    assert (told["driveId"], told["parents"]) == (team.id, [team.id])
    assert not {"owners", "ownedByMe", "permissions", "shared"} & set(told)
    assert await download(app, talk.id, **ALL) == TALK
    assert (await create(app, {"name": "x.md", "parents": [team.id]}, b"x", **ALL))["driveId"] == team.id
    comment = app.service.comments().create(fileId=talk.id, body={"content": "x"}, fields="id")
    assert (await app.do(comment))["id"]


async def test_what_a_search_looks_through(server: GDriveServer, app: DriveApp, anna: Account) -> None:
    bob = server.person("bob@example.com")
    team, other = (
        server.shared_drive("Team", {bob: "organizer", anna: "reader"}),
        server.shared_drive("O", {bob: "organizer"}),
    )
    mine, his = server.upload(anna, "mine.m4a", b"1"), server.upload(bob, "his.m4a", b"2")
    ours, sub = server.upload(team, "ours.m4a", b"3"), server.folder(team, "Sub")
    deep, hidden = server.upload(sub, "deep.m4a", b"4"), server.upload(other, "hidden.m4a", b"5")
    given, link = server.upload(bob, "given.m4a", b"6"), server.upload(bob, "link.m4a", b"7")
    server.share(given, anna)
    server.share(link, None)
    by_name = "not name = ''"

    async def found(**kwargs: Any) -> set[str]:
        return ids(await app.listed(q=by_name, **kwargs)) - {sub.id}

    assert await found() == {mine.id, given.id}
    assert await found(**EVERYWHERE) == {mine.id, given.id}
    assert await found(corpora="allDrives", **EVERYWHERE) == {mine.id, given.id, ours.id, deep.id}
    assert await found(corpora="drive", driveId=team.id, **EVERYWHERE) == {ours.id, deep.id}
    assert ids(await app.listed(q=f"'{sub.id}' in parents", **EVERYWHERE)) == {deep.id}
    assert await app.listed(q=f"'{sub.id}' in parents", **ALL) == []
    assert (await app.get(link.id, "name"))["name"] == "link.m4a"
    assert {his.id, hidden.id} & await found(corpora="allDrives", **EVERYWHERE) == set()
    for kwargs, expected in (
        ({"corpora": "drive"}, (403, "teamDriveIdRequiresTeamDriveCorpora")),
        ({"driveId": team.id, **EVERYWHERE}, (403, "teamDriveIdRequiresTeamDriveCorpora")),
        ({"corpora": "drive", "driveId": team.id, **ALL}, (403, "includeTeamDriveItemsRequired")),
        ({"includeItemsFromAllDrives": True}, (403, "supportsTeamDrivesRequired")),
        ({"corpora": "allDrives"}, (403, "includeTeamDriveItemsRequired")),
        ({"corpora": "drive", "driveId": other.id, **EVERYWHERE}, (404, "notFound")),
    ):
        with pytest.raises(HttpError) as caught:
            await app.listed(**kwargs)
        assert reason_of(caught.value) == expected


async def test_drives_are_listed_to_their_members(server: GDriveServer, app: DriveApp, anna: Account) -> None:
    bob = server.person("bob@example.com")
    team = server.shared_drive("Team", {anna: "fileOrganizer"})
    other = server.shared_drive("Other", {bob: "organizer"})
    listed = await app.do(app.service.drives().list())
    assert listed["drives"] == [{"kind": "drive#drive", "id": team.id, "name": "Team"}]
    told = await app.do(app.service.drives().get(driveId=team.id, fields="capabilities"))
    assert told["capabilities"]["canAddChildren"]
    assert not told["capabilities"]["canManageMembers"]
    with pytest.raises(HttpError) as caught:
        await app.do(app.service.drives().get(driveId=other.id))
    assert reason_of(caught.value) == (404, "notFound")
