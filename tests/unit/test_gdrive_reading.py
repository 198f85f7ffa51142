"""Reading a watched folder in Google Drive, through Google's library, from a Drive on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connectors.gdrive import reading, shortcuts
from connectors.gdrive.place import DrivePlace
from core.errors import AuthFailed, Transient
from core.remote import CursorLost, Gone, RemoteFile
from tests.adapters.gdrive_desk import TALK, Desk, Way, desk
from tests.vendors.gdrive import HTML, backend_error, rate_limited, refusal
from tests.vendors.gdrive_model import File

ALL: tuple[Way, ...] = ("person", "shared drive", "service account")


@pytest.fixture(params=["person"])
async def at(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path, request.param) as made:
        yield made


@pytest.fixture
def place(at: Desk) -> DrivePlace:
    return at.place()


everywhere = pytest.mark.parametrize("at", ALL, indirect=True)


async def listed(place: DrivePlace) -> tuple[dict[str, RemoteFile], str]:
    """Files by path, and the cursor."""
    found: dict[str, RemoteFile] = {}
    cursor = ""
    async for page in place.listing():
        found |= {item.path: item for item in page.items if isinstance(item, RemoteFile)}
        cursor = page.cursor
    return found, cursor


async def told(place: DrivePlace, cursor: str) -> tuple[set[str], set[str], bool, str]:
    """Paths of files that changed, ids of those that are gone, whether it is unclear, and the new cursor."""
    paths: set[str] = set()
    gone: set[str] = set()
    unclear, more = False, True
    while more:
        page = await place.changes(cursor)
        paths |= {item.path for item in page.items if isinstance(item, RemoteFile)}
        gone |= {item.id for item in page.items if isinstance(item, Gone)}
        unclear, cursor, more = unclear or page.unclear, page.cursor, page.more
    return paths, gone, unclear, cursor


@everywhere
async def test_everything_below_the_folder_is_listed_with_what_tells_it_apart(
    at: Desk, place: DrivePlace
) -> None:
    server = at.server
    deep = server.folder(server.folder(at.inbox, "2026"), "11/25")
    server.upload(at.inbox, "a.mp3", TALK)
    file = server.upload(deep, "b/c.mp3", TALK)
    server.upload(at.home, "elsewhere.mp3", TALK)
    server.trash(server.upload(at.inbox, "binned.mp3", TALK))
    server.document(at.inbox, "Minutes", "text")
    server.upload(at.inbox, "empty.mp3", b"")
    found, _ = await listed(place)
    assert set(found) == {"a.mp3", "2026/11_25/b_c.mp3", "Minutes", "empty.mp3"}
    remote = found["2026/11_25/b_c.mp3"]
    assert (remote.id, remote.parent, remote.size) == (file.id, deep.id, len(TALK))
    assert remote.content == f"sha256:{hashlib.sha256(TALK).hexdigest()}"
    assert remote.revision == file.head.id
    assert remote.downloadable
    assert remote.appeared == pytest.approx(file.created, abs=0.01)
    assert remote.owner == at.anna.id
    assert found["Minutes"].content == ""
    assert found["empty.mp3"].content == f"sha256:{hashlib.sha256(b'').hexdigest()}"
    assert found["empty.mp3"].sighting().is_empty


async def test_an_empty_folder_has_a_cursor_too(place: DrivePlace) -> None:
    found, cursor = await listed(place)
    assert found == {}
    assert await told(place, cursor) == (set(), set(), False, cursor)


async def test_without_recursion_only_what_lies_in_the_folder_itself(at: Desk) -> None:
    at.server.upload(at.inbox, "a.mp3", TALK)
    inner = at.server.folder(at.inbox, "inner")
    at.server.upload(inner, "b.mp3", TALK)
    found, _ = await listed(at.place(recursive=False))
    assert set(found) == {"a.mp3"}


async def test_a_list_is_read_page_by_page_and_begins_anew_when_its_token_ran_out(
    at: Desk, place: DrivePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_PAGE", 3)
    at.server.fill(at.inbox, [f"{number}.mp3" for number in range(10)])
    pages = 0
    names: set[str] = set()
    async for page in place.listing():
        pages += 1
        names |= {item.name for item in page.items if isinstance(item, RemoteFile)}
        if pages == 2:
            at.server.expire_lists()
    assert len(names) == 10
    assert pages > 4


@everywhere
async def test_what_changes_is_told(at: Desk, place: DrivePlace) -> None:
    server, anna = at.server, at.anna
    inner = server.folder(at.inbox, "inner")
    one, two = server.upload(at.inbox, "1.mp3", TALK), server.upload(inner, "2.mp3", TALK)
    _, cursor = await listed(place)
    server.replace(one, b"other", by=anna)
    server.rename(two, "two.mp3", by=anna)
    server.upload(inner, "3.mp3", TALK, by=anna)
    elsewhere = server.upload(at.home, "4.mp3", TALK)
    paths, gone, unclear, cursor = await told(place, cursor)
    assert paths == {"1.mp3", "inner/two.mp3", "inner/3.mp3"}
    assert gone <= {elsewhere.id}
    assert not unclear
    server.trash(one, by=anna)
    server.move(two, at.home, by=anna)
    paths, gone, unclear, cursor = await told(place, cursor)
    assert (paths, unclear) == (set(), False)
    assert {one.id, two.id} <= gone
    assert await place.deleted([one.id, two.id]) == {one.id}
    server.untrash(one, by=anna)
    assert (await told(place, cursor))[0] == {"1.mp3"}


@everywhere
@pytest.mark.parametrize("cascades", [False, True])
async def test_folders_that_come_are_walked_and_of_those_that_go_all_is_listed(
    at: Desk, place: DrivePlace, cascades: bool
) -> None:
    server, anna = at.server, at.anna
    server.drive.cascades = cascades
    inner = server.folder(at.inbox, "inner")
    server.upload(inner, "1.mp3", TALK)
    outside = server.folder(at.home, "outside")
    server.upload(server.folder(outside, "deep"), "2.mp3", TALK)
    _, cursor = await listed(place)
    server.rename(inner, "renamed", by=anna)
    paths, _, unclear, cursor = await told(place, cursor)
    assert ("renamed/1.mp3" in paths, unclear) == (True, False)
    server.move(outside, at.inbox, by=anna)
    paths, _, unclear, cursor = await told(place, cursor)
    assert ("outside/deep/2.mp3" in paths, unclear) == (True, False)
    server.move(inner, outside, by=anna)
    paths, _, unclear, cursor = await told(place, cursor)
    assert ("outside/renamed/1.mp3" in paths, unclear) == (True, False)
    server.trash(outside, by=anna)
    assert (await told(place, cursor))[2]
    assert set((await listed(place))[0]) == set()


async def test_a_folder_elsewhere_is_nobodys_business(at: Desk, place: DrivePlace) -> None:
    outside = at.server.folder(at.home, "outside")
    _, cursor = await listed(place)
    at.server.rename(outside, "other")
    at.server.upload(outside, "1.mp3", TALK)
    at.server.trash(outside)
    paths, _, unclear, _ = await told(place, cursor)
    assert (paths, unclear) == (set(), False)


async def test_after_a_start_folders_are_looked_up_as_they_are_needed(at: Desk, place: DrivePlace) -> None:
    inner = at.server.folder(at.server.folder(at.inbox, "a"), "b")
    _, cursor = await listed(place)
    at.server.upload(inner, "1.mp3", TALK)
    again = at.place()
    assert (await told(again, cursor))[0] == {"a/b/1.mp3"}
    before = len(at.server.called("files.get"))
    at.server.upload(inner, "2.mp3", TALK)
    assert (await told(again, cursor))[0] == {"a/b/1.mp3", "a/b/2.mp3"}
    assert len(at.server.called("files.get")) == before


async def test_cursors_that_are_too_old_or_of_another_log_are_lost(at: Desk, place: DrivePlace) -> None:
    _, cursor = await listed(place)
    at.server.expire_page_token(at.anna)
    with pytest.raises(CursorLost):
        await place.changes(cursor)
    with pytest.raises(CursorLost):
        await place.changes("0Aanotherdrive:1")


@pytest.mark.parametrize("at", ["shared drive"], indirect=True)
async def test_a_folder_of_a_shared_drive_may_be_shared_with_who_is_no_member(at: Desk) -> None:
    server = at.server
    shared = server.drive.drives[at.inbox.drive.id] if at.inbox.drive else None
    assert shared is not None
    server.share(at.inbox, at.account, "writer")
    server.leave(shared, at.account)
    place = at.place()
    _, cursor = await listed(place)
    assert cursor.startswith(":")
    assert (await place.check()).usable
    server.join(shared, at.account, "fileOrganizer")
    assert (await told(place, cursor))[2]
    again = at.place()
    with pytest.raises(CursorLost):
        await again.changes(cursor)
    _, cursor = await listed(again)
    assert cursor.startswith(f"{shared.id}:")
    server.leave(shared, at.account)
    with pytest.raises(CursorLost):
        await again.changes(cursor)


async def test_a_folder_that_moves_to_a_shared_drive_is_followed(at: Desk, place: DrivePlace) -> None:
    shared = at.server.shared_drive("Team", {at.anna: "organizer"})
    inner = at.server.folder(at.inbox, "inner")
    inside = at.place(inner)
    _, cursor = await listed(inside)
    at.server.move(inner, shared)
    assert (await told(inside, cursor))[2]
    _, cursor = await listed(inside)
    assert cursor.startswith(f"{shared.id}:")
    at.server.upload(inner, "a.mp3", TALK)
    assert (await told(inside, cursor))[0] == {"a.mp3"}


async def test_a_page_token_that_is_gone_means_to_begin_anew(at: Desk, place: DrivePlace) -> None:
    _, cursor = await listed(place)
    at.server.fail("changes.list", refusal(410, "gone"))
    with pytest.raises(CursorLost):
        await place.changes(cursor)
    assert len(at.server.called("changes.list")) == 1


@pytest.mark.parametrize("reason", ["forbidden", "insufficientFilePermissions", "domainPolicy"])
async def test_what_is_forbidden_is_not_asked_again_and_again(
    at: Desk, place: DrivePlace, reason: str
) -> None:
    _, cursor = await listed(place)
    at.server.fail("changes.list", refusal(403, reason), refusal(403, reason))
    with pytest.raises(AuthFailed):
        await place.changes(cursor)
    assert len(at.server.called("changes.list")) == 1


async def test_shortcuts_are_followed_to_files(at: Desk, place: DrivePlace) -> None:
    server = at.server
    target = server.upload(at.home, "talk.mp3", TALK)
    shortcut = server.make_shortcut(target, at.inbox, name="Our talk")
    server.make_shortcut(server.folder(at.home, "folder"), at.inbox, name="to a folder.mp3")
    lost = server.upload(at.home, "lost.mp3", TALK)
    server.make_shortcut(lost, at.inbox)
    server.delete(lost)
    found, cursor = await listed(place)
    assert set(found) == {"talk.mp3"}
    remote = found["talk.mp3"]
    assert (remote.id, remote.target, remote.parent) == (shortcut.id, target.id, at.inbox.id)
    assert (remote.size, remote.revision) == (len(TALK), target.head.id)
    server.replace(target, b"newer")
    page = await place.changes(cursor)
    [changed] = [item for item in page.items if isinstance(item, RemoteFile)]
    assert (changed.id, changed.size) == (shortcut.id, 5)
    server.trash(target)
    assert await place.look(shortcut.id) is None
    page = await place.changes(page.cursor)
    assert Gone(id=shortcut.id) in page.items


@everywhere
async def test_a_shortcut_is_known_from_the_start_where_another_process_ended(
    at: Desk, place: DrivePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shortcuts, "_PAGE", 2)
    server = at.server
    inside, outside = server.folder(at.inbox, "inside"), server.folder(at.home, "outside")
    target = server.upload(outside, "talk.mp3", TALK)
    server.share(target, at.account, "reader")
    made = [server.make_shortcut(target, folder) for folder in (inside, inside, outside, outside, inside)]
    binned = server.make_shortcut(target, inside)
    server.trash(binned)
    _, cursor = await listed(place)
    again = at.place()
    server.replace(target, b"newer")
    page = await again.changes(cursor)
    through = {item.id: item.size for item in page.items if isinstance(item, RemoteFile) and item.target}
    assert set(through) == {made[0].id, made[1].id, made[4].id}
    if at.account is at.anna:
        assert set(through.values()) == {5}
    lists = len(server.called("files.list"))
    await again.changes(page.cursor)
    assert len(server.called("files.list")) == lists


async def test_a_shortcut_is_known_that_came_while_another_process_watched(
    at: Desk, place: DrivePlace
) -> None:
    target = at.server.upload(at.home, "talk.mp3", TALK)
    _, cursor = await listed(place)
    shortcut = at.server.make_shortcut(target, at.inbox)
    *_, cursor = await told(at.place(), cursor)
    at.server.replace(target, b"newer")
    page = await place.changes(cursor)
    assert shortcut.id in {item.id for item in page.items if isinstance(item, RemoteFile)}


async def test_looking_for_shortcuts_is_tried_again_until_it_works(at: Desk, place: DrivePlace) -> None:
    target = at.server.upload(at.home, "talk.mp3", TALK)
    shortcut = at.server.make_shortcut(target, at.inbox)
    _, cursor = await listed(place)
    again = at.place()
    at.server.replace(target, b"newer")
    at.server.fail("files.list", *[backend_error()] * 4)
    with pytest.raises(Transient):
        await again.changes(cursor)
    page = await again.changes(cursor)
    assert shortcut.id in {item.id for item in page.items if isinstance(item, RemoteFile)}


@pytest.mark.parametrize("at", ["shared drive"], indirect=True)
async def test_in_a_shared_drive_everybody_who_sees_a_shortcut_must_see_its_target(
    at: Desk, place: DrivePlace
) -> None:
    """Also what is in the same drive: folders can be given to single people, who see nothing else of it."""
    server = at.server
    target = server.upload(at.home, "board.mp3", TALK)
    shortcut = server.make_shortcut(target, at.inbox, name="Look.mp3")
    seen = await place.look(shortcut.id)
    assert seen is not None
    assert (seen.downloadable, seen.name) == (True, "Look.mp3")
    carl = server.person("carl@example.com")
    server.share(at.inbox, carl, "writer")
    seen = await place.look(shortcut.id)
    assert seen is not None
    assert (seen.downloadable, seen.size) == (False, 0)
    server.rename(shortcut, "Ours.mp3", by=at.anna)  # who may read it, but did not put it there
    seen = await place.look(shortcut.id)
    assert seen is not None
    assert not seen.downloadable
    server.share(target, carl, "reader")
    seen = await place.look(shortcut.id)
    assert seen is not None
    assert (seen.downloadable, seen.size) == (True, len(TALK))


@pytest.mark.parametrize("tells_readers", [True, False])
async def test_where_readers_are_not_told_who_else_may_read_shortcuts_of_others_are_not_followed(
    at: Desk, tells_readers: bool
) -> None:
    server, place = at.server, at.place()
    bo, carl = server.person("bo@example.com"), server.person("carl@example.com")
    server.share(at.inbox, bo, "writer")
    target = server.upload(carl, "talk.mp3", TALK, by=carl)
    for one in (at.anna, bo):
        server.share(target, one, "reader")
    server.drive.tells_readers = tells_readers
    for by, followed in ((bo, tells_readers), (at.anna, True)):
        seen = await place.look(server.make_shortcut(target, at.inbox, by=by).id)
        assert seen is not None
        assert seen.downloadable is followed


async def test_who_sees_a_shortcut_is_asked_only_where_that_decides(at: Desk, place: DrivePlace) -> None:
    server = at.server
    bo = server.person("bo@example.com")
    server.share(at.inbox, bo, "writer")
    target = server.upload(at.home, "talk.mp3", TALK)
    mine, theirs = (server.make_shortcut(target, at.inbox, by=by) for by in (at.anna, bo))
    for shortcut, calls in ((mine, 2), (theirs, 3)):
        before = len(server.called("files.get"))
        await place.look(shortcut.id)
        assert len(server.called("files.get")) == before + calls


async def test_one_shortcut_into_the_forbidden_does_not_stop_the_rest(at: Desk, place: DrivePlace) -> None:
    server = at.server
    target = server.upload(at.home, "talk.mp3", TALK)
    _, cursor = await listed(place)
    shortcut = server.make_shortcut(target, at.inbox)
    server.upload(at.inbox, "b.mp3", TALK)
    server.fail("files.get", refusal(403, "domainPolicy"))
    page = await place.changes(cursor)
    assert Gone(id=shortcut.id) in page.items
    assert {item.name for item in page.items if isinstance(item, RemoteFile)} >= {"b.mp3"}


async def test_one_file_is_looked_at(at: Desk, place: DrivePlace) -> None:
    server = at.server
    file = server.upload(server.folder(at.inbox, "x"), "a.mp3", TALK)
    outside = server.upload(at.home, "b.mp3", TALK)
    looked = await place.look(file.id)
    assert looked is not None
    assert looked.path == "x/a.mp3"
    for file_id in (outside.id, at.inbox.id, "nothing-of-this-id"):
        assert await place.look(file_id) is None
    server.trash(file)
    assert await place.look(file.id) is None


async def test_what_the_owner_does_not_let_others_have_is_told(at: Desk) -> None:
    server = at.server
    bo = server.person("bo@example.com")
    theirs = server.folder(bo, "Theirs")
    server.share(theirs, at.anna, "reader")
    server.forbid_download(server.upload(theirs, "a.mp3", TALK))
    found, _ = await listed(at.place(theirs))
    assert not found["a.mp3"].downloadable
    assert found["a.mp3"].sighting().content == ""


async def test_a_folder_that_is_away_is_the_operators_business(at: Desk) -> None:
    server = at.server
    bo = server.person("bo@example.com")
    theirs = server.folder(bo, "Theirs")
    server.share(theirs, at.anna, "writer")
    place = at.place(theirs)
    _, cursor = await listed(place)
    server.unshare(theirs, at.anna)
    assert (await place.changes(cursor)).unclear
    with pytest.raises(AuthFailed, match="not shared with the service any more"):
        await listed(place)
    assert "not shared" in (await place.check()).reason
    server.share(theirs, at.anna, "writer")
    server.trash(theirs, by=bo)
    with pytest.raises(AuthFailed, match="lies in the bin"):
        await listed(place)


async def test_access_that_was_taken_back_is_too(at: Desk, place: DrivePlace) -> None:
    at.server.oauth.revoke(at.anna)
    with pytest.raises(AuthFailed, match="access was taken back"):
        await listed(place)
    assert not (await place.check()).usable


@pytest.mark.parametrize(
    ("way", "role", "reason"),
    [
        ("person", "writer", ""),
        ("person", "reader", "may read the folder, but not write"),
        ("service account", "writer", "Service accounts own no storage"),
        ("service account", "reader", "may read the folder, but not write"),
        ("shared drive", "", ""),
    ],
)
async def test_it_says_whether_reading_and_writing_will_work(
    tmp_path: Path, way: Way, role: str, reason: str
) -> None:
    async with desk(tmp_path, way) as at:
        folder: File = at.inbox
        if role:
            folder = at.server.folder(at.server.person("bo@example.com"), "Theirs")
            at.server.share(folder, at.account, "reader" if role == "reader" else "writer")
        readiness = await at.place(folder).check()
        assert readiness.usable == (not reason)
        assert reason in readiness.reason


@pytest.mark.parametrize(
    "trouble",
    [
        rate_limited(),
        rate_limited("rateLimitExceeded"),
        rate_limited(status=429),
        backend_error(),
        backend_error(503),
        "cut",
        HTML,
    ],
    ids=str,
)
async def test_passing_trouble_is_overcome(at: Desk, place: DrivePlace, trouble: object) -> None:
    at.server.upload(at.inbox, "a.mp3", TALK)
    at.server.fail("files.list", trouble, trouble)  # type: ignore[arg-type]
    at.server.fail("changes.getStartPageToken", trouble)  # type: ignore[arg-type]
    assert set((await listed(place))[0]) == {"a.mp3"}


async def test_tries_are_bounded(at: Desk, place: DrivePlace) -> None:
    at.server.fail("files.list", *[backend_error()] * 20)
    with pytest.raises(Transient):
        await listed(place)
    assert len(at.server.called("files.list")) <= 4


async def test_a_long_wait_that_is_asked_for_is_left_to_others(at: Desk, place: DrivePlace) -> None:
    fault = rate_limited(status=429)
    fault = type(fault)(status=429, body=fault.body, headers={"Retry-After": "3000"})
    at.server.fail("files.list", fault)
    with pytest.raises(Transient) as caught:
        await listed(place)
    assert caught.value.retry_after == 3000
    assert len(at.server.called("files.list")) == 1


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("accessNotConfigured", "not switched on"),
        ("domainPolicy", "administrator"),
        ("insufficientPermissions", "too little"),
        ("somethingNew", "HTTP 403, somethingNew"),
        ("<b>odd</b>", "without a reason"),
    ],
)
async def test_what_only_the_operator_can_mend_is_said_at_once(
    at: Desk, place: DrivePlace, reason: str, message: str
) -> None:
    at.server.fail("files.list", refusal(403, reason, "secret text"))
    with pytest.raises(AuthFailed, match=message) as caught:
        await listed(place)
    assert "secret" not in str(caught.value)
