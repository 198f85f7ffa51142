"""The local Dropbox, driven by Dropbox's own library: what it can do with it, it can do with Dropbox."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import io
import json
import random
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import dropbox
import pytest
import requests
from aiohttp import web
from dropbox import common, exceptions, files
from dropbox.base import DropboxBase
from dropbox.content_hash import content_hash

from tests.vendors import dropbox_fields as fields
from tests.vendors import dropbox_server as vendor
from tests.vendors import faults
from tests.vendors.dropbox_model import Refused, below
from tests.vendors.dropbox_server import (
    ENDPOINTS,
    SCOPES,
    App,
    CannotFind,
    CannotWrite,
    Damage,
    DropboxServer,
    Person,
    rate_limited,
    refusal,
    unwritten,
)
from tests.vendors.dropbox_session import client, mount
from tests.vendors.faults import HTML, Fault

TALK = bytes(range(256)) * 40
SECOND = b"another take" * 1000
# The SDK reckons with datetime.utcnow, which Python 3.12 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

EVERYTHING = files.ListFolderArg("", recursive=True)


@dataclass(slots=True)
class Place:
    """A Dropbox with one person, and the SDK with her token."""

    server: DropboxServer
    ann: Person
    sdk: Any

    async def __call__(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return await ask(self.sdk, method, *args, **kwargs)

    async def refused(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """The error union that a call raises."""
        with pytest.raises(exceptions.ApiError) as caught:
            await self(method, *args, **kwargs)
        return caught.value.error

    async def changes(self, cursor: str) -> list[str]:
        """What is new since a cursor, as "+path" and "-path"."""
        return shown((await self("files_list_folder_continue", cursor)).entries)


async def ask(sdk: Any, method: str, *args: Any, **kwargs: Any) -> Any:
    return await asyncio.to_thread(getattr(sdk, method), *args, **kwargs)


def shown(entries: list[Any]) -> list[str]:
    return [("-" if isinstance(e, files.DeletedMetadata) else "+") + e.path_display for e in entries]


@pytest.fixture
async def server() -> AsyncIterator[DropboxServer]:
    """Every answer of every test is held against the SDK's descriptions, to the last field."""
    async with vendor.serving() as server:
        yield server
    assert server.misfits() == []


@pytest.fixture
async def place(server: DropboxServer) -> Place:
    ann = server.add_person("Ann Lee")
    return Place(server, ann, server.client(server.connect(ann)))


# What the routes are


def _documented_scope(route: str) -> str | None:
    method = getattr(DropboxBase, re.sub(r"\W", "_", route))
    found = re.search(r"scope: (\S+)", method.__doc__)
    return found[1] if found else None


def test_every_route_has_the_scope_that_the_sdk_documents() -> None:
    for route, endpoint in ENDPOINTS.items():
        needs_token = "user" in fields.auth_types(route)
        assert endpoint.scope == (_documented_scope(route) if needs_token else None), route
    assert {endpoint.scope for endpoint in ENDPOINTS.values()} - {None} == SCOPES


async def test_answers_are_held_against_the_sdk_to_the_last_field(place: Place) -> None:
    place.ann.upload("/talk.mp3", TALK)
    await place("files_get_metadata", "/talk.mp3")
    good = place.server.called("files/get_metadata")[0].answer
    fields.check_answer("files/get_metadata", 200, good)
    without = {name: value for name, value in good.items() if name != "rev"}
    for wrong in (good | {"colour": "red"}, without, good | {"size": "1"}, good | {".tag": "photo"}):
        with pytest.raises(fields.Misfit):
            fields.check_answer("files/get_metadata", 200, wrong)
    error = {"error_summary": "path/...", "error": {".tag": "path", "path": {".tag": "lost"}}}
    with pytest.raises(fields.Misfit):
        fields.check_answer("files/get_metadata", 409, error)
    with pytest.raises(fields.Misfit):
        fields.check_answer("files/get_metadata", 409, {"error": {".tag": "path"}})


@pytest.mark.parametrize("route", [route for route, endpoint in ENDPOINTS.items() if endpoint.scope])
async def test_a_token_without_the_scope_of_a_route_is_refused(server: DropboxServer, route: str) -> None:
    ann, scope = server.add_person("Ann Lee"), ENDPOINTS[route].scope
    style = fields.style(route)
    headers = {"Content-Type": "application/json"} if style == "rpc" else {}
    if style == "upload":
        headers["Content-Type"] = "application/octet-stream"
    async with aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as session:
        for granted in (SCOPES - {scope}, frozenset({scope})):
            grant = server.connect(ann, scopes=granted)  # type: ignore[arg-type]
            signed = headers | {"Authorization": f"Bearer {grant.access_token}"}
            url = f"{server.origin}/2/{route}"
            async with session.post(url, headers=signed, data=b"{}" if style == "rpc" else None) as answer:
                text = await answer.text()
                assert ("missing_scope" in text) == (scope not in granted)
                assert (answer.status == 401) == (scope not in granted)


async def test_what_the_sdk_checks_before_sending_is_checked_here_too(place: Place) -> None:
    grant = place.server.connect(place.ann)
    url = f"{place.server.origin}/2/files/"
    good = {"Authorization": f"Bearer {grant.access_token}", "Content-Type": "application/json"}
    for route, headers, body, says in [
        ("list_folder", good, '{"path": "Inbox"}', "did not match pattern"),
        ("list_folder", good, '{"path": "/"}', "empty string"),
        ("list_folder", good, '{"path": "", "limit": 2001}', "2000"),
        ("list_folder", good, '{"path": "", "colour": 1}', "colour"),
        ("list_folder", good, "{", "JSON"),
        ("list_folder", good | {"Content-Type": "text/html"}, '{"path": ""}', "Content-Type"),
        ("list_folder", {"Content-Type": "application/json"}, '{"path": ""}', "Authorization"),
        ("list_folder", good | {"Authorization": "Basic eDp5"}, '{"path": ""}', "Bearer"),
        ("list_folder", good | {"Dropbox-API-Path-Root": "7"}, '{"path": ""}', "Path-Root"),
        ("list_folder", good | {"Dropbox-API-Select-User": "dbmid:x"}, '{"path": ""}', "team tokens"),
        ("list_folder/longpoll", {"Content-Type": "application/json"}, '{"cursor": "x", "timeout": 9}', "30"),
        ("list_folder/longpoll", {"Content-Type": "application/json"}, '{"cursor": "x"}', "cursor"),
        ("list_folder/continue", good, '{"cursor": "AAHx"}', "cursor"),
        ("get_metadata", good, '{"path": "/"}', "root folder"),
        ("get_metadata", good, '{"path": ""}', "did not match pattern"),
        ("upload", good | {"Content-Type": "application/octet-stream"}, "", "Dropbox-API-Arg"),
    ]:
        async with (
            aiohttp.ClientSession() as session,
            session.post(url + route, headers=headers, data=body) as answer,
        ):
            text = await answer.text()
            assert answer.status == 400, (route, text)
            assert says in text
            assert answer.content_type == "text/plain"


async def test_routes_live_at_their_hosts_only() -> None:
    serving = vendor.serving()
    server = await serving.__aenter__()
    sdk = server.client(server.connect(server.add_person("Ann Lee")))
    sdk._host_map["content"] = "api.dropboxapi.com"
    with pytest.raises(json.JSONDecodeError):
        await ask(sdk, "files_upload", b"", "/a.mp3")
    with pytest.raises(AssertionError, match="files/upload was called at api"):
        await serving.__aexit__(None, None, None)


# Whose account it is, and where paths begin


async def test_a_personal_account(place: Place) -> None:
    account = await place("users_get_current_account")
    assert account.account_id == place.ann.account.id
    assert account.name.display_name == "Ann Lee"
    assert account.root_info.root_namespace_id == account.root_info.home_namespace_id
    assert (await place("check_user", "still there?")).result == "still there?"
    with dropbox.Dropbox(
        app_key=place.server.app.key,
        app_secret=place.server.app.secret,
        session=mount(dropbox.create_session(), place.server.origin),
    ) as sdk:
        assert (await ask(sdk, "check_app", "hello")).result == "hello"


async def test_members_of_a_team_see_its_folders_from_the_root_only(server: DropboxServer) -> None:
    team = server.add_team("Acme")
    ann, bob = server.add_person("Ann Lee", team=team), server.add_person("Bob", team=team)
    folder = server.add_team_folder(team, "Meetings", {ann: "editor", bob: "viewer"})
    secret = server.add_team_folder(team, "Board", {bob: "editor"})
    ann.upload("/Meetings/talk.mp3", TALK)
    ann.upload("/Ann Lee/own.mp3", TALK)
    assert ann.names() == ["Ann Lee", "Meetings"]
    assert bob.names() == ["Board", "Bob", "Meetings"]

    sdk = server.client(server.connect(ann))
    info = (await ask(sdk, "users_get_current_account")).root_info
    assert info.home_path == "/Ann Lee"
    home = await ask(sdk, "files_list_folder", "", recursive=True)
    assert shown(home.entries) == ["+/own.mp3"]

    rooted = sdk.with_path_root(common.PathRoot.root(info.root_namespace_id))
    whole = await ask(rooted, "files_list_folder", "", recursive=True)
    assert sorted(shown(whole.entries)) == [
        *("+/Ann Lee", "+/Ann Lee/own.mp3", "+/Meetings", "+/Meetings/talk.mp3")
    ]
    talk = await ask(rooted, "files_get_metadata", "/meetings/TALK.mp3")
    assert talk.sharing_info.parent_shared_folder_id == folder.id
    assert talk.sharing_info.read_only is False
    same = await ask(rooted, "files_get_metadata", f"ns:{folder.id}/talk.mp3")
    assert same.path_lower == "/meetings/talk.mp3"

    for one, path in ((sdk, f"ns:{folder.id}/talk.mp3"), (sdk, talk.id), (rooted, f"ns:{secret.id}/x")):
        with pytest.raises(exceptions.ApiError) as caught:
            await ask(one, "files_get_metadata", path)
        assert caught.value.error.get_path().is_not_found()

    only = sdk.with_path_root(common.PathRoot.namespace_id(folder.id))
    assert shown((await ask(only, "files_list_folder", "")).entries) == ["+/talk.mp3"]
    foreign = sdk.with_path_root(common.PathRoot.namespace_id(secret.id))
    with pytest.raises(exceptions.PathRootError) as denied:
        await ask(foreign, "files_list_folder", "")
    assert denied.value.error.is_no_permission()
    with pytest.raises(exceptions.ApiError) as unwritable:
        await ask(rooted, "files_upload", b"", "/at the top.mp3")
    assert unwritable.value.error.get_path().reason.is_no_write_permission()


async def test_a_root_that_is_not_hers_any_more_is_named_with_the_new_one(place: Place) -> None:
    old = place.ann.account.root.id
    rooted = place.sdk.with_path_root(common.PathRoot.root(old))
    await ask(rooted, "files_list_folder", "")
    team = place.server.add_team("Acme")
    place.server.join(place.ann, team)
    with pytest.raises(exceptions.PathRootError) as caught:
        await ask(rooted, "files_list_folder", "")
    assert caught.value.error.get_invalid_root().root_namespace_id == team.root.id
    place.server.leave(place.ann)
    await ask(rooted, "files_list_folder", "")


# Listing and cursors


async def test_a_listing_comes_in_pages_and_goes_on_with_what_changed(place: Place) -> None:
    ann = place.ann
    ann.make_folder("/Inbox/empty")
    for number in range(5):
        ann.upload(f"/Inbox/talk {number}.mp3", TALK)
    place.server.cursors.page_size = 3
    first = await place("files_list_folder", "/inbox", recursive=True)
    second = await place("files_list_folder_continue", first.cursor)
    third = await place("files_list_folder_continue", second.cursor)
    assert [first.has_more, second.has_more, third.has_more] == [True, True, False]
    assert shown(first.entries + second.entries + third.entries) == [
        *("+/Inbox", "+/Inbox/empty"),
        *(f"+/Inbox/talk {number}.mp3" for number in range(5)),
    ]
    assert (await place("files_list_folder_continue", first.cursor)).entries == second.entries
    assert await place.changes(third.cursor) == []
    assert (await place("files_list_folder_continue", third.cursor)).cursor == third.cursor
    latest = await place("files_list_folder_get_latest_cursor", "/inbox", recursive=True)
    assert await place.changes(latest.cursor) == []

    before = ann.file("/Inbox/talk 0.mp3")
    ident, rev = before.id, before.rev
    ann.replace("/Inbox/talk 0.mp3", SECOND)
    ann.rename("/Inbox/talk 1.mp3", "renamed.mp3")
    ann.delete("/Inbox/talk 2.mp3")
    ann.upload("/elsewhere.mp3", TALK)
    assert await place.changes(latest.cursor) == [
        *("+/Inbox/talk 0.mp3", "-/Inbox/talk 1.mp3", "+/Inbox/renamed.mp3")
    ]
    rest = await place("files_list_folder_continue", latest.cursor)
    rest = await place("files_list_folder_continue", rest.cursor)
    assert shown(rest.entries) == ["-/Inbox/talk 2.mp3"]
    replaced = ann.file("/Inbox/talk 0.mp3")
    assert replaced.id == ident
    assert replaced.rev != rev

    flat = await place("files_list_folder_get_latest_cursor", "")
    ann.upload("/Inbox/deep.mp3", TALK)
    ann.upload("/top.mp3", TALK)
    assert await place.changes(flat.cursor) == ["+/top.mp3"]
    assert shown((await place("files_list_folder", "")).entries) == [
        "+/Inbox",
        "+/elsewhere.mp3",
        "+/top.mp3",
    ]
    assert (await place("files_list_folder", ann.folder("/Inbox").id)).entries
    assert (await place.refused("files_list_folder", "/top.mp3")).get_path().is_not_folder()
    assert (await place.refused("files_list_folder", "/nowhere")).get_path().is_not_found()


async def test_moves_copies_and_restores_as_cursors_tell_them(place: Place) -> None:
    ann = place.ann
    talk = ann.upload("/Inbox/talk.mp3", TALK)
    ident, rev = talk.id, talk.rev
    cursor = (await place("files_list_folder_get_latest_cursor", "", recursive=True)).cursor
    ann.move("/Inbox", "/Archive")
    assert await place.changes(cursor) == ["-/Inbox", "+/Archive", "+/Archive/talk.mp3"]
    assert talk.id == ident
    assert talk.rev != rev
    copy = ann.copy("/Archive", "/Copy")
    assert isinstance(ann.find("/Copy/talk.mp3"), vendor.File)
    assert copy.id != ann.folder("/Archive").id
    ann.delete("/Archive")
    assert await place.changes(cursor) == ["-/Inbox", "+/Copy", "+/Copy/talk.mp3", "-/Archive"]
    assert ann.restore("/Archive") is ann.folder("/Archive")
    assert ann.file("/Archive/talk.mp3").id == ident
    place.server.storage.moves_change_rev = False
    kept = talk.rev
    ann.rename("/Archive/talk.mp3", "later.mp3")
    assert talk.rev == kept
    cursor = (await place("files_list_folder_get_latest_cursor", "", recursive=True)).cursor
    ann.rename("/Archive/later.mp3", "LATER.mp3")
    assert await place.changes(cursor) == []
    assert (await place("files_get_metadata", "/archive/later.mp3")).name == "LATER.mp3"
    with pytest.raises(CannotFind):
        ann.delete("/nowhere")
    with pytest.raises(CannotWrite):
        ann.upload("/Archive/later.mp3")


async def test_what_is_not_there_any_more_is_not_listed(place: Place) -> None:
    place.ann.upload_many("/Inbox", ["a.mp3", "b.mp3", "c.mp3"], TALK)
    place.server.cursors.page_size = 1
    first = await place("files_list_folder", "/Inbox")
    place.ann.delete("/Inbox/b.mp3")
    second = await place("files_list_folder_continue", first.cursor)
    assert shown(second.entries) == ["+/Inbox/c.mp3"]
    assert await place.changes(second.cursor) == ["-/Inbox/b.mp3"]
    gone = await place("files_list_folder", "/Inbox", include_deleted=True, limit=2000)
    while gone.has_more:
        gone = await place("files_list_folder_continue", gone.cursor)
    assert shown(gone.entries) == ["-/Inbox/b.mp3"]


async def test_pages_may_be_empty_and_cases_careless(place: Place) -> None:
    place.ann.upload("/Inbox/Talk.mp3", TALK)
    place.server.cursors.hollow_pages = 1
    place.server.cursors.careless_case = True
    hollow = await place("files_list_folder", "/Inbox")
    assert (hollow.entries, hollow.has_more) == ([], True)
    assert await place.changes(hollow.cursor) == ["+/inbox/Talk.mp3"]


@pytest.mark.parametrize("how", ["deleted", "moved"])
async def test_a_watched_folder_that_is_gone(place: Place, how: str) -> None:
    place.ann.upload("/Inbox/talk.mp3", TALK)
    cursor = (await place("files_list_folder_get_latest_cursor", "/Inbox", recursive=True)).cursor
    if how == "deleted":
        place.ann.delete("/Inbox")
    else:
        place.ann.move("/Inbox", "/Other")
    assert (await place("files_list_folder_longpoll", cursor)).changes
    assert (await place.refused("files_list_folder_continue", cursor)).get_path().is_not_found()
    place.server.cursors.gone_root = "deleted"
    assert await place.changes(cursor) == ["-/inbox"]


async def test_cursors_expire_and_belong_to_somebody(place: Place) -> None:
    cursor = (await place("files_list_folder", "")).cursor
    bob = place.server.add_person("Bob")
    with pytest.raises(exceptions.BadInputError):
        await ask(place.server.client(place.server.connect(bob)), "files_list_folder_continue", cursor)
    place.server.expire_cursors()
    assert (await place.refused("files_list_folder_continue", cursor)).is_reset()
    assert (await place.refused("files_list_folder_longpoll", cursor)).is_reset()
    fresh = (await place("files_list_folder", "")).cursor
    assert fresh != cursor
    assert await place.changes(fresh) == []


def _apply(state: dict[str, str], entries: list[Any]) -> None:
    """Dropbox's own rules for keeping a copy of a tree."""
    for entry in entries:
        path, tag = entry["path_lower"], entry[".tag"]
        if tag != "folder":
            for old in [p for p in state if p == path or p.startswith(f"{path}/")]:
                del state[old]
        if tag != "deleted":
            state[path] = f"{tag} {entry.get('rev')} {entry['id']}"


@pytest.mark.parametrize("seed", range(60))
async def test_whoever_follows_a_cursor_has_what_is_there(server: DropboxServer, seed: int) -> None:
    chance = random.Random(seed)
    ann = server.add_person("Ann Lee")
    cursors, view = server.cursors, ann.view
    cursors.page_size, cursors.gone_root = 4, "deleted"
    watched = ann.make_folder("/Inbox")
    state: dict[str, str] = {}
    page = cursors.page(cursors.list_folder(view, watched, EVERYTHING))
    for _ in range(60):
        for _ in range(chance.randrange(4)):
            with contextlib.suppress(CannotFind, CannotWrite, Refused, KeyError):
                one, other = (
                    chance.choice(["/Inbox", "/Inbox/x", "/Inbox/x/y", "/Inbox/z", "/out"])
                    + chance.choice(["", "/p", "/q"])
                    for _ in range(2)
                )
                match chance.choice(["upload", "replace", "move", "copy", "delete", "restore", "folder"]):
                    case "upload":
                        ann.upload(one, bytes([chance.randrange(256)]))
                    case "replace":
                        ann.replace(one, bytes([chance.randrange(256)]))
                    case "move":
                        ann.move(one, other)
                    case "copy":
                        ann.copy(one, other)
                    case "delete":
                        ann.delete(one)
                    case "restore":
                        ann.restore(one)
                    case "folder":
                        ann.make_folder(one)
        _apply(state, page["entries"])
        page = cursors.page(cursors.resume("", page["cursor"]))
    more = True
    while more:
        _apply(state, page["entries"])
        more, before = page["has_more"], page["cursor"]
        page = cursors.page(cursors.resume("", before))
        more = more or page["cursor"] != before
    there: dict[str, str] = {}
    with contextlib.suppress(CannotFind):
        top = ann.folder("/Inbox")
        for node in (top, *below(top)):
            tag = "file" if isinstance(node, vendor.File) else "folder"
            path = view.path(node)
            assert path is not None
            there[path] = f"{tag} {getattr(node, 'rev', None)} {node.id}"
    state.pop("/inbox", None)
    there.pop("/inbox", None)
    assert state == there


async def test_a_hundred_thousand_files_are_listed_in_fifty_one_pages(place: Place) -> None:
    place.ann.upload_many("/Inbox", (f"talk {number}.mp3" for number in range(100_000)), TALK)
    cursors = place.server.cursors
    page = cursors.page(cursors.list_folder(place.ann.view, place.ann.folder("/Inbox"), EVERYTHING))
    pages, paths = 1, {entry["path_lower"] for entry in page["entries"]}
    while page["has_more"]:
        page = cursors.page(cursors.resume("", page["cursor"]))
        pages += 1
        paths.update(entry["path_lower"] for entry in page["entries"])
    assert (pages, len(paths)) == (51, 100_001)
    place.ann.upload("/Inbox/new.mp3", TALK)
    assert await place.changes(page["cursor"]) == ["+/Inbox/new.mp3"]


# Waiting


async def test_longpoll_waits_until_something_changes(place: Place) -> None:
    cursor = (await place("files_list_folder", "", recursive=True)).cursor
    waiting = asyncio.create_task(place("files_list_folder_longpoll", cursor, timeout=480))
    await place.server.until(lambda: place.server.longpoll.waiting)
    place.ann.upload("/talk.mp3", TALK)
    assert (await waiting).changes
    assert (await place("files_list_folder_longpoll", cursor)).changes
    assert await place.changes(cursor) == ["+/talk.mp3"]


async def test_longpoll_ends_without_changes_and_honours_what_is_watched(place: Place) -> None:
    place.ann.make_folder("/Inbox")
    cursor = (await place("files_list_folder", "/Inbox")).cursor
    waiting = asyncio.create_task(place("files_list_folder_longpoll", cursor, timeout=480))
    await place.server.until(lambda: place.server.longpoll.waiting)
    place.ann.upload("/elsewhere.mp3", TALK)
    assert not waiting.done()
    place.server.longpoll.end()
    assert (await waiting).changes is False
    place.server.longpoll.longest = 0.05
    assert (await place("files_list_folder_longpoll", cursor)).changes is False
    place.server.longpoll.longest = 600.0
    waiting = asyncio.create_task(place("files_list_folder_longpoll", cursor))
    await place.server.until(lambda: place.server.longpoll.waiting)
    place.server.expire_cursors()
    with pytest.raises(exceptions.ApiError) as caught:
        await waiting
    assert caught.value.error.is_reset()


async def test_cursors_with_media_info_cannot_be_waited_for(place: Place) -> None:
    cursor = (await place("files_list_folder", "", include_media_info=True)).cursor
    with pytest.raises(exceptions.BadInputError, match="include_media_info"):
        await place("files_list_folder_longpoll", cursor)


@pytest.mark.parametrize("early", [True, False])
async def test_the_backoff_of_longpoll_has_to_be_honoured(early: bool) -> None:
    expected = pytest.raises(AssertionError, match="backoff") if early else contextlib.nullcontext()
    with expected:
        async with vendor.serving() as server:
            sdk = server.client(server.connect(server.add_person("Ann Lee")))
            server.longpoll.longest = 0.0
            cursor = (await ask(sdk, "files_list_folder", "")).cursor
            server.longpoll.backoffs = [600 if early else 0]
            assert (await ask(sdk, "files_list_folder_longpoll", cursor)).backoff is not None
            assert (await ask(sdk, "files_list_folder_longpoll", cursor)).backoff is None


async def test_a_token_does_not_belong_to_the_longpoll_host() -> None:
    serving = vendor.serving()
    server = await serving.__aenter__()
    url, headers = f"{server.origin}/2/files/list_folder/longpoll", {"Authorization": "Bearer sl.x"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json={"cursor": "x"}, headers=headers) as answer,
    ):
        assert answer.status == 400
    with pytest.raises(AssertionError, match="Authorization"):
        await serving.__aexit__(None, None, None)


# Metadata and downloads


async def test_metadata_by_path_id_and_revision(place: Place) -> None:
    ann = place.ann
    talk = ann.upload("/Inbox/Ünïcode 🎤\x7f.mp3", TALK, modified=1_700_000_000.9)
    first = talk.rev
    ann.replace("/Inbox/ünïcode 🎤\x7f.mp3", SECOND)
    by_path = await place("files_get_metadata", "/INBOX/ÜNÏCODE 🎤\x7f.MP3")
    assert by_path.id == talk.id
    assert by_path.content_hash == content_hash(SECOND)
    assert (await place("files_get_metadata", talk.id)).rev == talk.rev
    assert (await place("files_get_metadata", f"rev:{first}")).size == len(TALK)
    meta, answer = await place("files_download", f"rev:{first}")
    assert (answer.content, meta.name) == (TALK, "Ünïcode 🎤\x7f.mp3")
    assert meta.client_modified.isoformat() == "2023-11-14T22:13:20"
    assert (await place.refused("files_get_metadata", "/a//b")).get_path().is_malformed_path()
    assert (await place.refused("files_get_metadata", "rev:0123456789")).get_path().is_not_found()
    assert (await place.refused("files_download", "/Inbox")).get_path().is_not_file()
    ann.delete("/Inbox")
    assert (await place.refused("files_get_metadata", "/inbox")).get_path().is_not_found()
    gone = await place("files_get_metadata", "/inbox", include_deleted=True)
    assert (type(gone), gone.name) == (files.DeletedMetadata, "Inbox")
    with pytest.raises(exceptions.BadInputError, match="root folder"):
        await place("files_get_metadata", "/")


async def test_downloads_in_pieces(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(TALK * 300)
    size = path.stat().st_size
    talk = place.ann.upload("/talk.wav", path)
    meta, whole = await place("files_download", talk.id)
    assert whole.content == path.read_bytes()
    assert meta.content_hash == content_hash(whole.content)
    _, piece = await place("files_download", "/talk.wav", extra_headers={"Range": "bytes=10-19"})
    assert (piece.status_code, piece.content) == (206, TALK[10:20])
    assert piece.headers["Content-Range"] == f"bytes 10-19/{size}"
    _, end = await place("files_download", "/talk.wav", extra_headers={"Range": "bytes=-5"})
    assert end.content == TALK[-5:]
    with pytest.raises(exceptions.HttpError) as caught:
        await place("files_download", "/talk.wav", extra_headers={"Range": f"bytes={size}-"})
    assert caught.value.status_code == 416
    assert place.server.called("files/download")[1].byte_range == "bytes=10-19"


async def test_downloads_that_go_wrong(place: Place) -> None:
    place.ann.upload("/talk.mp3", TALK)
    wrong = (Damage(keep=100), Damage(keep=100, quietly=True), Damage(flipped=True))
    place.server.fail("files/download", *wrong)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        await asyncio.to_thread(lambda: place.sdk.files_download("/talk.mp3")[1].content)
    meta, short = await place("files_download", "/talk.mp3")
    assert (short.content, meta.size) == (TALK[:100], len(TALK))
    _, flipped = await place("files_download", "/talk.mp3")
    assert len(flipped.content) == len(TALK)
    assert content_hash(flipped.content) != meta.content_hash


async def test_temporary_links(place: Place) -> None:
    place.ann.upload("/talk.mp3", TALK)
    link = (await place("files_get_temporary_link", "/talk.mp3")).link
    async with aiohttp.ClientSession() as session:
        async with session.get(link, headers={"Range": "bytes=0-3"}) as answer:
            assert (answer.status, await answer.read()) == (206, TALK[:4])
        place.server.advance(4 * 3600)
        async with session.get(link) as answer:
            assert answer.status == 410
        async with session.get(link.replace("/get/", "/get/x")) as answer:
            assert answer.status == 404


# Writing


async def test_uploads_never_overwrite_unless_they_say_so(place: Place) -> None:
    made = await place("files_upload", b"one", "/New folder/notes.md", mute=True)
    assert made.path_display == "/New folder/notes.md"
    same = await place("files_upload", b"one", "/new folder/NOTES.md")
    assert same.rev == made.rev
    strict = await place.refused("files_upload", b"one", "/New folder/notes.md", strict_conflict=True)
    assert strict.get_path().reason.get_conflict().is_file()
    assert (await place.refused("files_upload", b"two", "/New folder/notes.md")).is_path()
    renamed = await place("files_upload", b"two", "/New folder/notes.md", autorename=True)
    assert renamed.name == "notes (1).md"
    update = files.WriteMode.update(made.rev)
    second = await place("files_upload", b"two", "/New folder/notes.md", mode=update, strict_conflict=True)
    assert second.id == made.id
    lost = await place.refused("files_upload", b"three", "/New folder/notes.md", mode=update)
    assert lost.get_path().reason.get_conflict().is_file()
    copy = await place("files_upload", b"three", "/New folder/notes.md", mode=update, autorename=True)
    assert copy.name == "notes (conflicted copy).md"
    place.ann.delete("/New folder/notes.md")
    guarded = files.WriteMode.update(second.rev)
    arguments = {"mode": guarded, "strict_conflict": True}
    assert (await place.refused("files_upload", b"four", "/New folder/notes.md", **arguments)).is_path()
    again = await place("files_upload", b"four", "/New folder/notes.md", mode=guarded)
    assert again.id != made.id
    last = await place("files_upload", b"five", "/New folder/notes.md", mode=files.WriteMode.overwrite)
    assert last.id == again.id
    assert place.ann.file("/New folder/notes.md").data == b"five"


async def test_uploads_into_a_folder_by_its_id(place: Place) -> None:
    inbox = place.ann.make_folder("/Inbox")
    made = await place("files_upload", b"one", f"{inbox.id}/notes.md")
    assert made.path_display == "/Inbox/notes.md"
    place.ann.move("/Inbox", "/Archive")
    assert (await place("files_upload", b"two", f"{inbox.id}/more.md")).path_display == "/Archive/more.md"
    again = await place("files_upload", b"new", made.id, mode=files.WriteMode.overwrite)
    assert (again.id, again.path_display) == (made.id, "/Archive/notes.md")
    place.ann.delete("/Archive")
    assert (await place.refused("files_upload", b"three", f"{inbox.id}/notes.md")).is_path()


async def test_uploads_that_cannot_be(place: Place) -> None:
    ann, server = place.ann, place.server
    ann.upload("/talk.mp3", TALK)
    ann.make_folder("/Inbox")
    for path, reason in [
        ("/talk.mp3/notes.md", "file_ancestor"),
        ("/Inbox", "folder"),
        ("/desktop.ini", "disallowed_name"),
        ("/a\\b.md", "malformed_path"),
        ("/" + "x" * 256, "malformed_path"),
    ]:
        error = (await place.refused("files_upload", b"text", path)).get_path().reason
        assert reason in (error._tag, error._value and getattr(error._value, "_tag", None)), path
    bob = server.add_person("Bob")
    bob.make_folder("/Read only")
    bob.share_folder("/Read only", {ann: "viewer"})
    read_only = (await place.refused("files_upload", b"text", "/Read only/a.md")).get_path().reason
    assert read_only.is_no_write_permission()
    server.api.max_request = 10
    assert (await place.refused("files_upload", b"more than ten", "/a.md")).is_payload_too_large()
    hashed = await place.refused("files_upload", b"text", "/a.md", content_hash="0" * 64)
    assert hashed.is_content_hash_mismatch()
    with pytest.raises(TypeError):
        await place("files_upload", io.BytesIO(b"text"), "/a.md")


async def test_upload_sessions(place: Place) -> None:
    place.server.api.max_request = 8
    session = (await place("files_upload_session_start", b"01234567")).session_id
    assert (await place.refused("files_upload_session_start", b"012345678")).is_payload_too_large()
    wrong = files.UploadSessionCursor(session, 3)
    offset = await place.refused("files_upload_session_append_v2", b"89", wrong)
    assert offset.get_incorrect_offset().correct_offset == 8
    await place("files_upload_session_append_v2", b"89", files.UploadSessionCursor(session, 8))
    commit = files.CommitInfo("/notes.md", strict_conflict=True)
    failed = await place.refused("files_upload_session_finish", b"", wrong, commit)
    assert failed.get_lookup_failed().get_incorrect_offset().correct_offset == 10
    end = files.UploadSessionCursor(session, 10)
    made = await place("files_upload_session_finish", b"ab", end, commit)
    assert place.ann.file("/notes.md").data == b"0123456789ab"
    assert made.content_hash == content_hash(b"0123456789ab")
    again = await place.refused("files_upload_session_finish", b"ab", end, commit)
    assert again.get_lookup_failed().is_not_found()

    closed = (await place("files_upload_session_start", b"x", close=True)).session_id
    cursor = files.UploadSessionCursor(closed, 1)
    assert (await place.refused("files_upload_session_append_v2", b"y", cursor)).is_closed()
    conflict = await place.refused("files_upload_session_finish", b"", cursor, commit)
    assert conflict.get_path().get_conflict().is_file()
    place.server.advance(7 * 86_400)
    sdk = place.server.client(place.server.connect(place.ann))
    with pytest.raises(exceptions.ApiError) as caught:
        await ask(sdk, "files_upload_session_append_v2", b"y", cursor)
    assert caught.value.error.is_not_found()


async def test_concurrent_upload_sessions(place: Place) -> None:
    block, kind = 4 * 1024 * 1024, files.UploadSessionType.concurrent
    session = (await place("files_upload_session_start", b"", session_type=kind)).session_id
    assert (await place.refused("files_upload_session_start", b"x", session_type=kind))._tag == (
        "concurrent_session_data_not_allowed"
    )

    def at(offset: int) -> files.UploadSessionCursor:
        return files.UploadSessionCursor(session, offset)

    first, last = b"a" * block, b"the end"
    await place("files_upload_session_append_v2", last, at(block), close=True)
    odd = await place.refused("files_upload_session_append_v2", first, at(1))
    assert odd.is_concurrent_session_invalid_offset()
    short = await place.refused("files_upload_session_append_v2", b"x", at(0))
    assert short.is_concurrent_session_invalid_data_size()
    commit = files.CommitInfo("/big.bin")
    missing = await place.refused("files_upload_session_finish", b"", at(block), commit)
    assert missing.is_concurrent_session_missing_data()
    await place("files_upload_session_append_v2", first, at(0))
    made = await place("files_upload_session_finish", b"", at(block + len(last)), commit)
    assert made.content_hash == content_hash(first + last)


async def test_folders_are_made_moved_copied_and_deleted(place: Place) -> None:
    made = (await place("files_create_folder_v2", "/Out/deep")).metadata
    assert made.path_display == "/Out/deep"
    assert (await place.refused("files_create_folder_v2", "/out/DEEP")).get_path().get_conflict().is_folder()
    assert (await place("files_create_folder_v2", "/Out/deep", autorename=True)).metadata.name == "deep (1)"
    talk = place.ann.upload("/Out/talk.mp3", TALK)
    moved = (await place("files_move_v2", "/Out/talk.mp3", "/Out/deep/renamed.mp3")).metadata
    assert (moved.id, moved.path_lower) == (talk.id, "/out/deep/renamed.mp3")
    copy = (await place("files_copy_v2", "/Out/deep", "/Copy")).metadata
    assert copy.id != made.id
    for source, target, tag in [
        ("/nowhere", "/x", "from_lookup"),
        ("/Out", "/Copy", "to"),
        ("/Out/deep/renamed.mp3", "/Out/deep/RENAMED.mp3", "to"),
        ("/Out", "/Out/deep/x", "cant_move_folder_into_itself"),
    ]:
        assert (await place.refused("files_move_v2", source, target))._tag == tag
    guarded = await place.refused("files_delete_v2", "/Copy/renamed.mp3", parent_rev=talk.rev)
    assert guarded.get_path_write().is_conflict()
    rev = place.ann.file("/Copy/renamed.mp3").rev
    assert (await place("files_delete_v2", "/Copy/renamed.mp3", parent_rev=rev)).metadata.rev == rev
    assert (await place.refused("files_delete_v2", "/nowhere")).get_path_lookup().is_not_found()
    assert (await place("files_delete_v2", "/Out")).metadata.name == "Out"
    assert place.ann.names() == ["Copy"]


async def test_tags(place: Place) -> None:
    place.ann.upload("/talk.mp3", TALK)
    cursor = (await place("files_list_folder_get_latest_cursor", "")).cursor
    await place("files_tags_add", "/talk.mp3", "Transcribed")
    await place("files_tags_add", "/talk.mp3", "transcribed")
    found = (await place("files_tags_get", ["/talk.mp3"])).paths_to_tags[0].tags
    assert [tag.get_user_generated_tag().tag_text for tag in found] == ["transcribed"]
    for number in range(19):
        await place("files_tags_add", "/talk.mp3", f"tag_{number}")
    assert (await place.refused("files_tags_add", "/talk.mp3", "another")).is_too_many_tags()
    await place("files_tags_remove", "/talk.mp3", "transcribed")
    assert (await place.refused("files_tags_remove", "/talk.mp3", "transcribed")).is_tag_not_present()
    assert (await place.refused("files_tags_get", ["/nowhere"])).get_path().is_not_found()
    assert await place.changes(cursor) == []


# Sharing


async def test_a_link_leads_to_its_folder(place: Place) -> None:
    server, ann = place.server, place.ann
    inbox = ann.make_folder("/Inbox/Talks")
    link = ann.share_link("/Inbox/Talks")
    pasted = link.url.replace("dl=0", "st=abc&dl=1")
    found = await place("sharing_get_shared_link_metadata", pasted)
    assert (found.id, found.path_lower, found.name) == (inbox.id, "/inbox/talks", "Talks")
    talk = ann.upload("/Inbox/Talks/talk.mp3", TALK)
    inside = await place("sharing_get_shared_link_metadata", link.url, path="/talk.mp3")
    assert (inside.id, inside.size) == (talk.id, len(TALK))
    bob = server.client(server.connect(server.add_person("Bob")))
    assert (await ask(bob, "sharing_get_shared_link_metadata", link.url)).path_lower is None
    link.password = "sesame"
    with pytest.raises(exceptions.ApiError) as caught:
        await ask(bob, "sharing_get_shared_link_metadata", link.url)
    assert caught.value.error.is_shared_link_access_denied()
    await ask(bob, "sharing_get_shared_link_metadata", link.url, link_password="sesame")
    link.audience = "no_one"
    for url in (link.url, link.url.replace("rlkey=", "rlkey=x"), "https://example.com/folder"):
        error = await place.refused("sharing_get_shared_link_metadata", url)
        assert error.is_shared_link_not_found()
    ann.upload("/one.mp3", TALK)
    one = await place("sharing_get_shared_link_metadata", ann.share_link("/one.mp3").url)
    assert one.rev == ann.file("/one.mp3").rev


async def test_what_a_link_leads_to_is_downloaded(place: Place) -> None:
    place.ann.upload("/talk.mp3", TALK)
    link = place.ann.share_link("/talk.mp3")
    found, answer = await place("sharing_get_shared_link_file", link.url)
    with contextlib.closing(answer):
        assert (answer.content, found.rev) == (TALK, place.ann.file("/talk.mp3").rev)
    place.ann.make_folder("/Inbox")
    folder = place.ann.share_link("/Inbox")
    error = await place.refused("sharing_get_shared_link_file", folder.url)
    assert error.is_shared_link_is_directory()


async def test_links_for_the_team_only(server: DropboxServer) -> None:
    team = server.add_team("Acme")
    ann, bob = server.add_person("Ann Lee", team=team), server.add_person("Bob", team=team)
    eve = server.add_person("Eve")
    folder = server.add_team_folder(team, "Meetings", {ann: "editor", bob: "viewer"})
    link = ann.share_link("/Meetings", audience="team")
    sdk = server.client(server.connect(bob))
    rooted = sdk.with_path_root(common.PathRoot.root(team.root.id))
    assert (await ask(sdk, "sharing_get_shared_link_metadata", link.url)).path_lower is None
    assert (await ask(rooted, "sharing_get_shared_link_metadata", link.url)).path_lower == "/meetings"
    with pytest.raises(exceptions.ApiError) as caught:
        await ask(server.client(server.connect(eve)), "sharing_get_shared_link_metadata", link.url)
    assert caught.value.error.is_shared_link_access_denied()
    shared = await ask(rooted, "sharing_get_folder_metadata", folder.id)
    assert (shared.is_team_folder, shared.access_type.is_viewer(), shared.path_lower) == (
        *(True, True, "/meetings"),
    )
    with pytest.raises(exceptions.ApiError) as removed:
        await ask(rooted, "files_delete_v2", "/Meetings")
    assert removed.value.error.get_path_write().is_team_folder()


async def test_shared_folders_come_and_go(place: Place) -> None:
    server, ann = place.server, place.ann
    bob = server.add_person("Bob")
    cursor = (await place("files_list_folder_get_latest_cursor", "", recursive=True)).cursor
    shared = []
    for name in ("One", "Two", "Three"):
        bob.upload(f"/{name}/talk.mp3", TALK)
        shared.append(bob.share_folder(f"/{name}", {ann: "editor"}))
    assert await place.changes(cursor) == [
        *("+/One", "+/One/talk.mp3", "+/Two", "+/Two/talk.mp3", "+/Three", "+/Three/talk.mp3")
    ]
    first = await place("sharing_list_folders", limit=2)
    second = await place("sharing_list_folders_continue", first.cursor)
    assert [f.path_lower for f in first.entries + second.entries] == ["/one", "/two", "/three"]
    assert second.cursor is None
    assert (await place.refused("sharing_list_folders_continue", "x")).is_invalid_cursor()
    cursor = (await place("files_list_folder_get_latest_cursor", "", recursive=True)).cursor
    bob.upload("/One/more.mp3", TALK)
    ann.upload("/Two/hers.mp3", TALK)
    assert bob.names("/Two") == ["hers.mp3", "talk.mp3"]
    server.set_access(ann, shared[2], None)
    assert await place.changes(cursor) == ["+/One/more.mp3", "+/Two/hers.mp3", "-/Three"]
    assert (await place.refused("sharing_get_folder_metadata", shared[2].id)).is_not_a_member()
    assert (await place.refused("sharing_get_folder_metadata", "77")).is_invalid_id()
    await place("files_delete_v2", "/One")
    assert bob.names("/One") == ["more.mp3", "talk.mp3"]


async def test_access_to_a_team_folder_is_taken_away(server: DropboxServer) -> None:
    team = server.add_team("Acme")
    ann, bob = server.add_person("Ann Lee", team=team), server.add_person("Bob", team=team)
    folder = server.add_team_folder(team, "Meetings", {ann: "editor", bob: "editor"})
    sdks = [
        server.client(server.connect(who)).with_path_root(common.PathRoot.root(team.root.id))
        for who in (ann, bob)
    ]
    cursors = [
        (await ask(sdk, "files_list_folder_get_latest_cursor", "", recursive=True)).cursor for sdk in sdks
    ]
    server.set_access(ann, folder, None)
    told = [await ask(sdk, "files_list_folder_continue", c) for sdk, c in zip(sdks, cursors, strict=True)]
    assert [shown(answer.entries) for answer in told] == [["-/Meetings"], []]


# OAuth


def _flow(server: DropboxServer, **more: Any) -> Any:
    flow = dropbox.DropboxOAuth2FlowNoRedirect(server.app.key, **more)
    mount(flow.requests_session, server.origin)
    return flow


def _refreshing(server: DropboxServer, refresh_token: str, **more: Any) -> Any:
    session = mount(dropbox.create_session(), server.origin)
    return dropbox.Dropbox(
        oauth2_refresh_token=refresh_token,
        app_key=server.app.key,
        session=session,
        max_retries_on_error=0,
        **more,
    )


async def test_consent_with_pkce_and_tokens_that_refresh_themselves(server: DropboxServer) -> None:
    ann = server.add_person("Ann Lee")
    flow = _flow(server, use_pkce=True, token_access_type="offline", scope=["account_info.read"])
    code = server.approve(flow.start(), ann)
    result = await ask(flow, "finish", code)
    assert result.account_id == ann.account.id
    assert result.scope == "account_info.read"
    with pytest.raises(requests.HTTPError):
        await ask(flow, "finish", code)
    sdk = _refreshing(server, result.refresh_token)
    await ask(sdk, "users_get_current_account")
    with pytest.raises(exceptions.AuthError) as caught:
        await ask(sdk, "files_list_folder", "")
    assert caught.value.error.get_missing_scope().required_scope == "files.metadata.read"
    first = server.grants.all[0].access_token
    server.expire_tokens()
    await ask(sdk, "users_get_current_account")
    assert server.grants.all[0].access_token != first
    server.revoke(ann)
    with pytest.raises(exceptions.AuthError) as revoked:
        await ask(sdk, "users_get_current_account")
    assert revoked.value.error.is_invalid_access_token()
    server.expire_tokens()
    with pytest.raises(exceptions.AuthError):
        await ask(_refreshing(server, result.refresh_token), "users_get_current_account")


async def test_consent_with_the_secret(server: DropboxServer) -> None:
    ann = server.add_person("Ann Lee")
    flow = _flow(server, consumer_secret=server.app.secret, token_access_type="offline")
    result = await ask(flow, "finish", server.approve(flow.start(), ann))
    assert set(result.scope.split()) == SCOPES
    with pytest.raises(exceptions.BadInputError, match="invalid_client"):
        await ask(_refreshing(server, result.refresh_token), "users_get_current_account")
    narrow = _refreshing(
        server, result.refresh_token, app_secret=server.app.secret, scope=["files.metadata.read"]
    )
    await ask(narrow, "files_list_folder", "")
    with pytest.raises(exceptions.AuthError):
        await ask(narrow, "users_get_current_account")
    wrong = _refreshing(server, "refresh-token-of-nobody", app_secret=server.app.secret)
    with pytest.raises(exceptions.AuthError) as invalid_grant:
        await ask(wrong, "users_get_current_account")
    assert invalid_grant.value.error.is_invalid_access_token()
    online = _flow(server, consumer_secret=server.app.secret)
    assert (await ask(online, "finish", server.approve(online.start(), ann))).refresh_token == ""


async def test_what_the_consent_page_refuses() -> None:
    async with vendor.serving(app=App(scopes=frozenset({"account_info.read"}))) as server:
        ann = server.add_person("Ann Lee")
        too_much = _flow(server, use_pkce=True, scope=["files.metadata.read"])
        with pytest.raises(Refused, match="scope"):
            server.approve(too_much.start(), ann)
        other = dropbox.DropboxOAuth2FlowNoRedirect("another key", use_pkce=True)
        with pytest.raises(Refused, match="client_id"):
            server.approve(other.start(), ann)
        session: dict[str, str] = {}
        web_flow = dropbox.DropboxOAuth2Flow(
            server.app.key, "http://127.0.0.1:9/back", session, "csrf", use_pkce=True
        )
        mount(web_flow.requests_session, server.origin)
        back = server.approve(web_flow.start("ours"), ann)
        query = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
        assert (await ask(web_flow, "finish", query)).url_state == "ours"
        back = server.approve(web_flow.start(), ann, declines=True)
        with pytest.raises(dropbox.oauth.NotApprovedException):
            await ask(web_flow, "finish", {n: v[0] for n, v in parse_qs(urlsplit(back).query).items()})
        server.grants.visitor = None
        page = _flow(server, use_pkce=True).start().replace("https://www.dropbox.com", server.origin)
        async with aiohttp.ClientSession() as browser, browser.get(page) as answer:
            assert "visitor" in await answer.text()
            assert answer.status == 400
        server.grants.visitor, server.grants.declines = ann.account, False
        async with aiohttp.ClientSession() as browser, browser.get(page) as answer:
            assert 'name="code"' in await answer.text()


async def test_tokens_that_are_not_good(place: Place) -> None:
    place.server.expire_tokens()
    with pytest.raises(exceptions.AuthError) as expired:
        await place("files_list_folder", "")
    assert expired.value.error.is_expired_access_token()
    grant = place.server.connect(place.ann)
    sdk = place.server.client(grant)
    place.ann.account.suspended = True
    with pytest.raises(exceptions.AuthError) as suspended:
        await ask(sdk, "files_list_folder", "")
    assert suspended.value.error.is_user_suspended()
    place.ann.account.suspended = False
    await ask(sdk, "auth_token_revoke")
    with pytest.raises(exceptions.AuthError) as revoked:
        await ask(sdk, "files_list_folder", "")
    assert revoked.value.error.is_invalid_access_token()


# Webhooks


@dataclass(slots=True)
class Receiver:
    """An app's webhook. `statuses` are its next answers, 200 after them."""

    url: str
    bodies: list[bytes]
    signatures: list[str]
    statuses: list[int]
    nosniff: bool = True


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    got = Receiver("", [], [], [])

    async def challenge(request: web.Request) -> web.Response:
        headers = {"X-Content-Type-Options": "nosniff"} if got.nosniff else {}
        return web.Response(text=request.query["challenge"], headers=headers)

    async def hook(request: web.Request) -> web.Response:
        got.bodies.append(await request.read())
        got.signatures.append(request.headers["X-Dropbox-Signature"])
        return web.Response(status=got.statuses.pop(0) if got.statuses else 200)

    app = web.Application()
    app.router.add_get("/hook", challenge)
    app.router.add_post("/hook", hook)
    async with faults.serving(app) as origin:
        got.url = f"{origin}/hook"
        yield got


async def test_webhooks_say_whose_files_changed(place: Place, receiver: Receiver) -> None:
    hooks, bob = place.server.webhooks, place.server.add_person("Bob")
    receiver.nosniff = False
    assert not await hooks.verify(receiver.url)
    assert hooks.url is None
    receiver.nosniff = True
    assert not await hooks.verify(receiver.url.replace("/hook", "/other"))
    assert await hooks.verify(receiver.url)
    bob.upload("/not ours.mp3", TALK)
    place.ann.upload("/talk.mp3", TALK)
    place.ann.upload("/second.mp3", TALK)
    await hooks.delivered()
    assert [json.loads(body) for body in receiver.bodies] == [
        {"list_folder": {"accounts": [place.ann.account.id]}, "delta": {"users": [place.ann.account.uid]}}
    ]
    secret = place.server.app.secret.encode()
    assert receiver.signatures == [hmac.new(secret, receiver.bodies[0], hashlib.sha256).hexdigest()]


async def test_webhooks_come_twice_or_never_or_are_forged(place: Place, receiver: Receiver) -> None:
    hooks = place.server.webhooks
    assert await hooks.verify(receiver.url)
    hooks.copies = 2
    place.ann.upload("/a.mp3", TALK)
    await hooks.delivered()
    assert len(receiver.bodies) == 2
    hooks.copies, hooks.lose = 1, 1
    place.ann.upload("/b.mp3", TALK)
    await hooks.delivered()
    assert len(receiver.bodies) == 2
    assert hooks.log[-1].lost
    receiver.statuses = [500, 503]
    place.ann.upload("/c.mp3", TALK)
    await hooks.delivered()
    assert hooks.log[-1].statuses == [500, 503, 200]
    assert hooks.log[-1].arrived
    forged = hooks.notice([place.ann.account])
    forged.body += b" "
    await hooks.send(forged)
    assert receiver.signatures[-1] != hooks.signature(receiver.bodies[-1])
    place.server.revoke(place.ann)
    before = len(receiver.bodies)
    place.ann.upload("/d.mp3", TALK)
    await hooks.delivered()
    assert len(receiver.bodies) == before


# What goes wrong on command


async def test_rate_limits_in_both_forms(place: Place) -> None:
    server = place.server
    server.fail("files/list_folder", rate_limited(7), rate_limited(8, "too_many_write_operations"))
    server.fail("files/list_folder", rate_limited(9, as_text=True))
    for seconds in (7, 8, 9):
        with pytest.raises(exceptions.RateLimitError) as caught:
            await place("files_list_folder", "")
        assert caught.value.backoff == seconds
        assert (caught.value.error is None) == (seconds == 9)
    await place("files_list_folder", "")
    server.fail_always("files/list_folder", rate_limited(0))
    patient = server.client(server.connect(place.ann), max_retries_on_rate_limit=20)
    with pytest.raises(exceptions.RateLimitError):
        await ask(patient, "files_list_folder", "")
    server.forgive()
    await ask(patient, "files_list_folder", "")


async def test_other_errors_on_command(place: Place) -> None:
    place.server.fail("files/upload", unwritten("insufficient_space"), Fault(status=503, body="busy"))
    assert (await place.refused("files_upload", b"", "/a.md")).get_path().reason.is_insufficient_space()
    with pytest.raises(exceptions.InternalServerError):
        await place("files_upload", b"", "/a.md")
    place.server.faults.add("POST /2/files/get_metadata", HTML, refusal("path/locked"))
    with pytest.raises(AssertionError):
        await place("files_get_metadata", "/a.md")
    assert (await place.refused("files_get_metadata", "/a.md")).get_path()._tag == "locked"
    place.server.fail("oauth2/token", Fault(status=500))
    grant = place.server.connect(place.ann)
    assert grant.refresh_token
    with pytest.raises(exceptions.InternalServerError):
        await ask(
            _refreshing(place.server, grant.refresh_token, app_secret=place.server.app.secret), "check_user"
        )


async def test_connections_that_end_before_or_after_it_took_effect(place: Place) -> None:
    place.server.fail("files/upload", "cut", "lost")
    for number, there in enumerate((False, True)):
        with pytest.raises(requests.ConnectionError):
            await place("files_upload", b"text", f"/{number}.md")
        assert place.ann.exists(f"/{number}.md") == there
    place.server.fail("files/upload", "hang")
    impatient = client(place.server.origin, place.server.connect(place.ann), timeout=0.2)
    with pytest.raises(requests.Timeout):
        await ask(impatient, "files_upload", b"text", "/c.md")
    assert not place.ann.exists("/c.md")


async def test_a_call_is_held_until_it_is_released(place: Place) -> None:
    hold = place.server.hold("files/upload")
    waiting = asyncio.create_task(place("files_upload", b"text", "/a.md"))
    async with asyncio.timeout(10):
        await hold.arrived.wait()
    assert not place.ann.exists("/a.md")
    hold.release()
    await waiting
    assert place.ann.exists("/a.md")
    call = place.server.called("files/upload")[-1]
    assert (call.status, call.size, call.account_id) == (200, 4, place.ann.account.id)


async def test_the_clock_stands_still_and_goes_back(place: Place) -> None:
    place.server.freeze()
    first = place.ann.upload("/a.mp3", TALK)
    second = place.ann.upload("/b.mp3", TALK)
    assert first.current.server_modified == second.current.server_modified
    place.server.advance(-3600)
    third = place.ann.upload("/c.mp3", TALK)
    assert first.current.server_modified - third.current.server_modified == 3600
