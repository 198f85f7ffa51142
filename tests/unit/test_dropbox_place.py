"""One watched folder in Dropbox: what it tells, what is written into it, and what nobody overwrites."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from dropbox.files import DeletedMetadata, FileMetadata, FileSharingInfo, FolderMetadata, SymlinkInfo

from connectors.dropbox import client
from connectors.dropbox.client import Access, Account, Pools
from connectors.dropbox.entries import RootMoved, digest, items, remote_file
from connectors.dropbox.place import DropboxPlace
from connectors.dropbox.root import RootGone
from core.errors import AuthFailed, Rejected, Transient
from core.remote import (
    Changed,
    CursorLost,
    FolderGone,
    Gone,
    Held,
    Notified,
    Occupied,
    Output,
    RemoteFile,
)
from core.sightings import UNREAD
from tests.vendors import dropbox_server as vendor
from tests.vendors.dropbox_server import SCOPES, DropboxServer, Person, refusal, unwritten
from tests.vendors.faults import Fault

TALK = bytes(range(256)) * 40
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


@pytest.fixture(autouse=True)
def swift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.001)


@dataclass(kw_only=True)
class Site:
    """A person's Dropbox, in which /Inbox is watched."""

    server: DropboxServer
    ann: Person
    place: DropboxPlace

    def at(self, name: str, person: Person | None = None, **scopes: Any) -> DropboxPlace:
        """Another way in: to another folder, or of another person."""
        token = self.server.connect(person or self.ann, pkce=True, **scopes).refresh_token
        assert token is not None
        access = Access(app_key=self.server.app.key, refresh_token=token)
        account = Account(access, Pools(), base_url=self.server.origin)
        return DropboxPlace(account, name, account.close)

    async def listed(self, place: DropboxPlace | None = None) -> list[str]:
        return sorted([file.path async for file in _files(place or self.place)])

    async def cursor(self, place: DropboxPlace | None = None) -> str:
        cursor = ""
        async for page in (place or self.place).listing():
            cursor = page.cursor
        return cursor

    async def news(self, cursor: str, place: DropboxPlace | None = None) -> list[str]:
        """What changed, as "+path" and "-path"; of files only, where both are told."""
        page = await (place or self.place).changes(cursor)
        return [_sign(item) for item in page.items]


def _sign(item: RemoteFile | Gone) -> str:
    return f"-{item.path}" if isinstance(item, Gone) else f"+{item.path}"


async def _files(place: DropboxPlace) -> AsyncIterator[RemoteFile]:
    async for page in place.listing():
        for item in page.items:
            assert isinstance(item, RemoteFile)
            yield item


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with vendor.serving() as server:
        ann = server.add_person("Ann Lee")
        inbox = ann.make_folder("/Inbox")
        made = Site.__new__(Site)
        made.server, made.ann = server, ann
        made.place = made.at(inbox.id)
        yield made
        await made.place.close()
        assert server.misfits() == []


def text(data: str = "heard") -> Output:
    return Output(data=data.encode(), media_type="text/plain", made_from="dropbox:0", made_for="talk")


# What is in it


async def test_a_listing_names_files_as_people_see_them(site: Site) -> None:
    talk = site.ann.upload("/Inbox/Board/talk.mp3", TALK)
    site.ann.upload("/Inbox/a.wav", b"one")
    site.ann.upload("/elsewhere.mp3", b"two")
    site.server.cursors.page_size = 1
    site.server.cursors.hollow_pages = 1
    assert await site.listed() == ["Board/talk.mp3", "a.wav"]
    [found] = [file async for file in _files(site.place) if file.name == "talk.mp3"]
    assert (found.id, found.size, found.folders) == (talk.id, len(TALK), ("Board",))
    assert found.content == f"dropbox:{talk.content_hash}"
    assert found.parent == f"{site.place.root}/board"
    assert found.appeared == int(talk.current.server_modified)
    assert found.downloadable


async def test_the_whole_of_a_dropbox_can_be_watched(site: Site) -> None:
    site.ann.upload("/Inbox/talk.mp3", TALK)
    whole = site.at(f"ns:{site.ann.account.root.id}")
    assert await site.listed(whole) == ["Inbox/talk.mp3"]
    cursor = await site.cursor(whole)
    site.ann.upload("/top.mp3", b"one")
    site.ann.delete("/Inbox")
    assert await site.news(cursor, whole) == ["-top.mp3", "+top.mp3", "-Inbox"]
    found = await whole.look(site.ann.file("/top.mp3").id)
    assert found is not None
    assert found.parent == whole.root
    made = await whole.create(whole.root, "top.transcript.txt", text(), file_id="")
    assert made.folder == whole.root
    assert await whole.subfolder(whole.root, "Texts") == site.ann.folder("/Texts").id
    assert (await whole.check()).usable
    assert site.ann.names() == ["Texts", "top.mp3", "top.transcript.txt"]
    await whole.close()


async def test_a_member_s_own_folder_and_the_team_s(site: Site) -> None:
    server = site.server
    team = server.add_team("Acme")
    bob = server.add_person("Bob", team=team)
    server.add_team_folder(team, "Meetings", {bob: "editor"})
    bob.upload("/Meetings/talk.mp3", TALK)
    bob.upload("/Bob/own.mp3", TALK)
    meetings = site.at(bob.find("/Meetings").id, bob)
    assert await site.listed(meetings) == ["talk.mp3"]
    await meetings.create(meetings.root, "talk.transcript.txt", text(), file_id="")
    assert bob.names("/Meetings") == ["talk.mp3", "talk.transcript.txt"]
    home = site.at(f"ns:{bob.account.home.id}", bob)
    assert await site.listed(home) == ["own.mp3"]
    await home.create(home.root, "own.transcript.txt", text(), file_id="")
    assert bob.names("/Bob") == ["own.mp3", "own.transcript.txt"]
    foreign = site.at(f"ns:{site.ann.account.home.id}", bob)
    with pytest.raises(RootGone, match="begins elsewhere"):
        await site.listed(foreign)
    for place in (meetings, home, foreign):
        await place.close()


async def test_only_the_last_name_need_have_its_case(site: Site) -> None:
    site.server.cursors.careless_case = True
    site.ann.upload("/Inbox/Board Meetings/Talk.mp3", TALK)
    assert await site.listed() == ["board meetings/Talk.mp3"]


async def test_changes_are_told_in_order_and_pages(site: Site) -> None:
    ann = site.ann
    for name in "abc":
        ann.upload(f"/Inbox/{name}.mp3", name.encode())
    cursor = await site.cursor()
    assert await site.news(cursor) == []
    ann.replace("/Inbox/a.mp3", b"more")
    ann.move("/Inbox/b.mp3", "/Inbox/x/b.mp3")
    ann.delete("/Inbox/c.mp3")
    ann.upload("/Inbox/c.mp3", b"anew")  # Dropbox tells only of the new one
    site.server.cursors.page_size = 2
    found: list[str] = []
    pages, more = 0, True
    while more:
        page = await site.place.changes(cursor)
        found += [_sign(item) for item in page.items]
        pages, more, cursor = pages + 1, page.more, page.cursor
    assert pages == 3
    assert found == ["-a.mp3", "+a.mp3", "-b.mp3", "-x/b.mp3", "+x/b.mp3", "-c.mp3", "+c.mp3"]
    assert await site.news(cursor) == []


async def test_a_deleted_folder_takes_everything_in_it_along(site: Site) -> None:
    site.ann.upload("/Inbox/x/y/a.mp3", TALK)
    cursor = await site.cursor()
    site.ann.delete("/Inbox/x")
    assert await site.news(cursor) == ["-x"]


async def test_an_expired_cursor_is_lost(site: Site) -> None:
    cursor = await site.cursor()
    site.server.expire_cursors()
    with pytest.raises(CursorLost):
        await site.place.changes(cursor)
    with pytest.raises(CursorLost):
        await site.place.wait(cursor)
    with pytest.raises(CursorLost):
        await site.place.changes("of somebody else")


@pytest.mark.parametrize("gone_root", ["not_found", "deleted"])
async def test_a_watched_folder_that_moves_is_listed_anew(site: Site, gone_root: Any) -> None:
    site.server.cursors.gone_root = gone_root
    site.ann.upload("/Inbox/a.mp3", TALK)
    cursor = await site.cursor()
    site.ann.move("/Inbox", "/Archive/2026/Inbox")
    with pytest.raises(CursorLost):
        await site.place.changes(cursor)
    assert await site.listed() == ["a.mp3"]
    await site.place.create(site.place.root, "a.transcript.txt", text(), file_id="")
    assert site.ann.names("/Archive/2026/Inbox") == ["a.mp3", "a.transcript.txt"]


@pytest.mark.parametrize("gone_root", ["not_found", "deleted"])
@pytest.mark.parametrize("anew", [False, True])
async def test_a_watched_folder_that_is_gone_is_for_the_operator(
    site: Site, gone_root: Any, anew: bool
) -> None:
    site.server.cursors.gone_root = gone_root
    talk = site.ann.upload("/Inbox/a.mp3", TALK)
    cursor = await site.cursor()
    site.ann.delete("/Inbox")
    if anew:
        site.ann.upload("/Inbox/b.mp3", TALK)
    with pytest.raises((CursorLost, RootGone)):
        await site.place.changes(cursor)
    with pytest.raises(RootGone, match="not in the connected Dropbox"):
        await site.listed()
    assert await site.place.deleted([talk.id]) == frozenset()  # nobody deleted the recording alone
    assert await site.place.look(talk.id) is None
    assert not (await site.place.check()).usable
    if not anew:
        site.ann.restore("/Inbox")
        assert await site.listed() == ["a.mp3"]


async def test_a_file_that_is_named_as_a_folder_is_none(site: Site) -> None:
    place = site.at(site.ann.upload("/a.mp3", TALK).id)
    with pytest.raises(RootGone):
        await site.listed(place)
    await place.close()


async def test_a_folder_that_moves_while_it_is_listed(site: Site) -> None:
    for number in range(4):
        site.ann.upload(f"/Inbox/{number}.mp3", b"x")
    site.server.cursors.page_size = 2
    pages = site.place.listing()
    await anext(pages)
    site.ann.move("/Inbox", "/Other")
    cursor = [page.cursor async for page in pages][-1]
    with pytest.raises(CursorLost):  # so that what the rest of the listing lacked is found
        await site.place.changes(cursor)
    assert len(await site.listed()) == 4


async def test_a_folder_that_is_deleted_while_it_is_listed(site: Site) -> None:
    site.ann.upload("/Inbox/a.mp3", b"x")
    site.server.cursors.page_size = 1
    site.server.fail("files/list_folder/continue", refusal("path/not_found"))
    with pytest.raises(Transient, match="moved"):
        await site.listed()
    pages = site.place.listing()
    await anext(pages)
    site.ann.delete("/Inbox")
    site.server.fail("files/list_folder/continue", refusal("path/not_found"))
    with pytest.raises(RootGone):
        await anext(pages)


async def test_a_cursor_that_is_lost_while_listing(site: Site) -> None:
    for number in range(4):
        site.ann.upload(f"/Inbox/{number}.mp3", b"x")
    site.server.cursors.page_size = 2
    pages = site.place.listing()
    await anext(pages)
    site.server.expire_cursors()
    with pytest.raises(Transient):
        await anext(pages)


async def test_other_refusals_are_passed_on(site: Site) -> None:
    site.server.fail("files/list_folder", refusal("path/locked"))
    with pytest.raises(Transient, match="locked"):
        await site.listed()
    cursor = await site.cursor()
    site.server.fail("files/list_folder/continue", refusal("path/restricted_content"))
    with pytest.raises(Transient):
        await site.place.changes(cursor)
    site.server.fail("files/get_metadata", refusal("path/restricted_content"))
    with pytest.raises(Transient):
        await site.place.look("id:x")


async def test_it_can_be_waited_for(site: Site) -> None:
    assert isinstance(site.place, Notified)
    cursor = await site.cursor()
    waiting = asyncio.create_task(site.place.wait(cursor))
    await site.server.until(lambda: site.server.longpoll.waiting)
    site.ann.upload("/Inbox/a.mp3", TALK)
    await waiting


async def test_a_look_at_one_file(site: Site) -> None:
    ann, place = site.ann, site.place
    talk = ann.upload("/Inbox/a.mp3", TALK)
    found = await place.look(talk.id)
    assert found is not None
    assert (found.path, found.parent) == ("a.mp3", place.root)
    ann.move("/Inbox/a.mp3", "/Inbox/x/b.mp3")
    found = await place.look(talk.id)
    assert found is not None
    assert (found.path, found.parent) == ("x/b.mp3", ann.folder("/Inbox/x").id)
    ann.move("/Inbox", "/Other")
    found = await place.look(talk.id)
    assert found is not None
    assert found.path == "x/b.mp3"
    ann.move("/Other/x/b.mp3", "/b.mp3")
    assert await place.look(talk.id) is None
    assert await place.look(ann.folder("/Other").id) is None
    ann.delete("/b.mp3")
    assert await place.look(talk.id) is None
    assert await place.look("id:unknown") is None


async def test_what_was_deleted_and_what_is_only_elsewhere(site: Site) -> None:
    ann = site.ann
    ids = {name: ann.upload(f"/Inbox/{name}.mp3", TALK).id for name in "abcd"}
    ann.delete("/Inbox/a.mp3")
    ann.move("/Inbox/b.mp3", "/b.mp3")
    ann.delete("/Inbox/d.mp3")
    ann.restore("/Inbox/d.mp3")
    assert await site.place.deleted(ids.values()) == {ids["a"]}
    assert await site.place.deleted([]) == frozenset()


# Whether it can be used


async def test_a_folder_that_can_be_used(site: Site) -> None:
    before = len(site.server.storage.log)
    assert (await site.place.check()).usable
    assert len(site.server.storage.log) == before
    assert site.server.api.sessions == {}


@pytest.mark.parametrize(
    "scope", ["account_info.read", "files.metadata.read", "files.content.read", "files.content.write"]
)
async def test_a_missing_permission_is_named(site: Site, scope: str) -> None:
    place = site.at(site.place.root, scopes=SCOPES - {scope})
    found = await place.check()
    assert not found.usable
    assert scope in found.reason
    assert found.remedy
    await place.close()


async def test_a_folder_that_may_only_be_read(site: Site) -> None:
    bob = site.server.add_person("Bob")
    site.ann.share_folder("/Inbox", {bob: "viewer"})
    place = site.at(bob.find("/Inbox").id, bob)
    found = await place.check()
    assert not found.usable
    assert "only read" in found.reason
    with pytest.raises(AuthFailed, match="right to edit"):
        await place.create(place.root, "a.transcript.txt", text(), file_id="")
    await place.close()


async def test_a_revoked_account(site: Site) -> None:
    cursor = await site.cursor()
    site.server.revoke(site.ann)
    found = await site.place.check()
    assert "erni-audio connect dropbox" in found.reason
    with pytest.raises(AuthFailed):
        await site.place.changes(cursor)


# What is written into it


async def test_a_new_file_never_takes_the_place_of_another(site: Site) -> None:
    root = site.place.root
    made = await site.place.create(root, "a.transcript.txt", text(), file_id="")
    file = site.ann.file("/Inbox/a.transcript.txt")
    assert (made.id, made.revision, made.digest) == (file.id, file.rev, digest(b"heard"))
    with pytest.raises(Occupied):
        await site.place.create(root, "A.TRANSCRIPT.txt", text(), file_id="")
    site.ann.make_folder("/Inbox/b.transcript.txt")
    with pytest.raises(Occupied):
        await site.place.create(root, "b.transcript.txt", text(), file_id="")
    assert site.ann.file("/Inbox/a.transcript.txt").data == b"heard"


async def test_an_answer_that_is_lost_makes_no_second_file(site: Site) -> None:
    site.server.fail("files/upload", "lost")
    made = await site.place.create(site.place.root, "a.transcript.txt", text(), file_id="")
    assert made.id == site.ann.file("/Inbox/a.transcript.txt").id
    site.server.fail("files/upload", "lost")
    again = await site.place.replace(made, text("heard better"))
    assert (again.id, again.digest) == (made.id, digest(b"heard better"))
    assert again.revision == site.ann.file("/Inbox/a.transcript.txt").rev
    site.server.fail("files/delete_v2", "lost")
    await site.place.delete(again)
    assert site.ann.names("/Inbox") == []


async def test_nor_is_another_s_file_taken_for_ours_then(site: Site) -> None:
    root = site.place.root
    site.ann.upload("/Inbox/a.transcript.txt", b"hers")
    site.server.fail("files/upload", "cut")
    with pytest.raises(Occupied):
        await site.place.create(root, "a.transcript.txt", text(), file_id="")
    site.ann.upload("/Inbox/b.transcript.txt", b"heard")  # by chance, or by another process of ours
    with pytest.raises(Occupied):
        await site.place.create(root, "b.transcript.txt", text(), file_id="")


@pytest.mark.parametrize("trouble", ["cut", Fault(status=500)], ids=["cut", "500"])
async def test_writing_is_not_tried_for_ever(site: Site, trouble: Any) -> None:
    site.server.fail_always("files/upload", trouble)
    with pytest.raises(Transient):
        await site.place.create(site.place.root, "a.transcript.txt", text(), file_id="")
    assert site.server.faults.calls["POST /2/files/upload"] == client.TRIES


async def test_a_busy_or_lossy_way_there_is_tried_again(site: Site) -> None:
    site.server.fail("files/upload", unwritten("too_many_write_operations"), refusal("content_hash_mismatch"))
    await site.place.create(site.place.root, "a.transcript.txt", text(), file_id="")
    assert site.ann.names("/Inbox") == ["a.transcript.txt"]


@pytest.mark.parametrize(
    ("reason", "error", "says"),
    [
        ("insufficient_space", AuthFailed, "no room"),
        ("no_write_permission", AuthFailed, "right to edit"),
        ("team_folder", AuthFailed, "right to edit"),
        ("disallowed_name", Rejected, "Rename"),
        ("malformed_path", Rejected, "Rename"),
        ("operation_suppressed", Transient, "locked"),
    ],
)
async def test_why_something_can_t_be_written(
    site: Site, reason: str, error: type[Exception], says: str
) -> None:
    site.server.fail("files/upload", unwritten(reason))
    with pytest.raises(error, match=says):
        await site.place.create(site.place.root, "a.transcript.txt", text(), file_id="")


async def test_into_a_folder_that_is_gone_nothing_is_written(site: Site) -> None:
    ann, place = site.ann, site.place
    ann.upload("/Inbox/x/a.mp3", TALK)
    by_id, by_path = ann.folder("/Inbox/x").id, f"{place.root}/x"
    ann.delete("/Inbox/x")
    for folder in (by_id, by_path):
        with pytest.raises(FolderGone):
            await place.create(folder, "a.transcript.txt", text(), file_id="")
        with pytest.raises(FolderGone):
            await place.present(folder, ["a.transcript.txt"])
        with pytest.raises(FolderGone):
            await place.subfolder(folder, "Texts")
    assert ann.names("/Inbox") == []
    ann.delete("/Inbox")
    with pytest.raises(FolderGone):
        await place.create(place.root, "a.transcript.txt", text(), file_id="")
    assert ann.names() == []


async def test_into_a_folder_that_moves_it_is_written_where_that_is(site: Site) -> None:
    ann, place = site.ann, site.place
    ann.upload("/Inbox/x/a.mp3", TALK)
    folder = ann.folder("/Inbox/x").id
    ann.move("/Inbox/x", "/Inbox/y")
    await place.create(folder, "a.transcript.txt", text(), file_id="")
    assert ann.names("/Inbox/y") == ["a.mp3", "a.transcript.txt"]
    assert list(await place.present(folder, ["A.transcript.TXT", "b"])) == ["A.transcript.TXT"]
    await place.create(f"{place.root}/y", "b.transcript.txt", text(), file_id="")
    assert ann.names("/Inbox/y") == ["a.mp3", "a.transcript.txt", "b.transcript.txt"]


async def test_what_a_person_changed_is_not_replaced(site: Site) -> None:
    made = await site.place.create(site.place.root, "a.transcript.txt", text(), file_id="")
    site.ann.replace("/Inbox/a.transcript.txt", b"hers")
    with pytest.raises(Changed):
        await site.place.replace(made, text("new"))
    with pytest.raises(Changed):
        await site.place.delete(made)
    assert site.ann.file("/Inbox/a.transcript.txt").data == b"hers"
    site.ann.delete("/Inbox/a.transcript.txt")
    with pytest.raises(Changed):
        await site.place.replace(made, text("new"))
    await site.place.delete(made)  # it is gone already, which is fine
    site.ann.upload("/Inbox/a.transcript.txt", b"another")
    with pytest.raises(Changed):
        await site.place.replace(made, text("new"))
    await site.place.delete(made)
    assert site.ann.file("/Inbox/a.transcript.txt").data == b"another"


@pytest.mark.parametrize("rev_changes", [True, False])
async def test_what_a_person_renamed_is_not_replaced_by_a_name(site: Site, rev_changes: bool) -> None:
    site.server.storage.moves_change_rev = rev_changes
    made = await site.place.create(site.place.root, "a.transcript.txt", text(), file_id="")
    site.ann.move("/Inbox/a.transcript.txt", "/mine.txt")
    site.ann.upload("/Inbox/a.transcript.txt", b"another")
    if rev_changes:
        with pytest.raises(Changed):
            await site.place.replace(made, text("new"))
    else:
        await site.place.replace(made, text("new"))
        assert site.ann.file("/mine.txt").data == b"new"
    assert site.ann.file("/Inbox/a.transcript.txt").data == b"another"


async def test_subfolders_are_found_or_made(site: Site) -> None:
    ann, place = site.ann, site.place
    made = await place.subfolder(place.root, "Transcripts")
    assert made == ann.folder("/Inbox/Transcripts").id
    assert await place.subfolder(place.root, "transcripts") == made
    deeper = await place.subfolder(made, "More")
    assert ann.folder("/Inbox/Transcripts/More").id == deeper
    ann.upload("/Inbox/Texts", b"a file")
    with pytest.raises(AuthFailed, match="Texts"):
        await place.subfolder(place.root, "Texts")


async def test_a_subfolder_that_somebody_makes_meanwhile(site: Site) -> None:
    hold = site.server.hold("files/create_folder_v2")
    making = asyncio.create_task(site.place.subfolder(site.place.root, "Transcripts"))
    await hold.arrived.wait()
    theirs = site.ann.make_folder("/Inbox/Transcripts")
    hold.release()
    assert await making == theirs.id
    site.server.fail("files/create_folder_v2", refusal("path/no_write_permission"))
    with pytest.raises(AuthFailed):
        await site.place.subfolder(site.place.root, "Texts")


async def test_what_bears_a_name(site: Site) -> None:
    ann, place = site.ann, site.place
    note = ann.upload("/Inbox/Note.txt", b"one")
    ann.make_folder("/Inbox/folder")
    found = await place.present(place.root, ["note.TXT", "folder", "nothing"])
    [held] = found["note.TXT"]
    assert held == Held(
        id=note.id, name="Note.txt", folder=place.root, digest=note.content_hash, revision=note.rev
    )
    [folder] = found["folder"]
    assert (folder.digest, folder.revision) == ("", "")
    assert "nothing" not in found
    assert await place.present(place.root, []) == {}
    assert await place.reserve(2) == ["", ""]


async def test_one_failing_look_ends_the_others(site: Site) -> None:
    site.server.fail_always("files/get_metadata", refusal("path/restricted_content"))
    with pytest.raises(Transient):
        await site.place.present(site.ann.folder("/Inbox").id, ["a", "b"])
    site.server.forgive()
    site.server.fail("files/get_metadata", *[Fault(status=500)] * 0, refusal("path/locked"))
    with pytest.raises(Transient):
        await site.place.deleted(["id:a", "id:b", "id:c"])


async def test_bytes_come_through(site: Site, tmp_path: Path) -> None:
    talk = site.ann.upload("/Inbox/a.mp3", TALK)
    found = await site.place.look(talk.id)
    assert found is not None
    await site.place.download(found, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == TALK


async def test_it_is_closed_once(site: Site) -> None:
    released: list[int] = []
    account = site.place.account
    place = DropboxPlace(account, "id:x", lambda: released.append(1))
    await place.close()
    await place.close()
    assert released == [1]


# What entries say, without a Dropbox


def _file(path: str, **fields: Any) -> FileMetadata:
    given: dict[str, Any] = {
        "name": path.rpartition("/")[2],
        "id": "id:file",
        "client_modified": datetime(2026, 1, 1),  # noqa: DTZ001  (as the library has it)
        "server_modified": datetime(2026, 1, 2),  # noqa: DTZ001
        "rev": "0123456789",
        "size": 7,
        "path_lower": path.lower(),
        "path_display": path,
        "content_hash": "f" * 64,
    }
    return FileMetadata(**(given | fields))


def test_what_nobody_can_have() -> None:
    locked = remote_file(_file("/a.mp3", is_downloadable=False, content_hash=None), root="ns:1", path="")
    assert locked.sighting().content == UNREAD
    assert locked.content == "dropbox:0123456789"
    link = remote_file(_file("/a.mp3", symlink_info=SymlinkInfo(target="/etc")), root="ns:1", path="")
    assert link.content == ""
    odd = remote_file(_file("/a.mp3", content_hash=None), root="ns:1", path="")
    assert odd.content == ""


def test_who_changed_it_last() -> None:
    sharing = FileSharingInfo(read_only=False, parent_shared_folder_id="7", modified_by="dbid:" + "A" * 35)
    found = remote_file(_file("/a.mp3", sharing_info=sharing), root="ns:1", path="")
    assert found.owner == "dbid:" + "A" * 35


def test_names_that_no_file_system_takes() -> None:
    odd = "half an emoji \ud83d.mp3"
    found = remote_file(_file(f"/a\ud83d/{odd}"), root="ns:1", path="")
    assert found.path == "a?/half an emoji ?.mp3"
    [gone] = items(
        [DeletedMetadata(name=odd, path_lower=f"/{odd}", path_display=f"/{odd}")], root="ns:1", path=""
    )
    assert gone == Gone(path="half an emoji ?.mp3")


def test_names_that_grow_in_lower_case() -> None:
    found = remote_file(_file("/İİ/İ talk.mp3"), root="id:root", path="/İİ".lower())
    assert (found.path, found.parent) == ("İ talk.mp3", "id:root")


def test_what_has_no_path_is_nowhere() -> None:
    assert items([_file("/a.mp3", path_lower=None, path_display=None)], root="ns:1", path="") == ()


def test_entries_of_another_place_are_noticed() -> None:
    folder = FolderMetadata(name="Inbox", id="id:root", path_lower="/inbox", path_display="/Inbox")
    other = FolderMetadata(name="Inbox", id="id:other", path_lower="/inbox", path_display="/Inbox")
    gone = DeletedMetadata(name="Inbox", path_lower="/inbox", path_display="/Inbox")
    above = DeletedMetadata(name="Team", path_lower="/team", path_display="/Team")
    assert items([folder], root="id:root", path="/inbox") == ()
    for entry in (other, gone, above, _file("/inbox2/a.mp3")):
        with pytest.raises(RootMoved):
            items([entry], root="id:root", path="/inbox")
