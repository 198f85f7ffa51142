"""Change logs and push notifications of the local Google Drive, read with Google's own library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from googleapiclient.errors import HttpError

from tests.vendors import faults
from tests.vendors.gdrive import SCOPE, GDriveServer, serving
from tests.vendors.gdrive_app import DriveApp, app_of, ids, reason_of, service_credentials
from tests.vendors.gdrive_model import Account, File, SharedDrive

TALK = b"a talk" * 100
EVERYWHERE: dict[str, Any] = {"supportsAllDrives": True, "includeItemsFromAllDrives": True}


@pytest.fixture
async def server() -> AsyncIterator[GDriveServer]:
    async with serving() as server:
        yield server


@pytest.fixture
def anna(server: GDriveServer) -> Account:
    return server.person("anna@example.com")


@pytest.fixture
def bob(server: GDriveServer) -> Account:
    return server.person("bob@example.com")


@pytest.fixture
def inbox(server: GDriveServer, anna: Account) -> File:
    return server.folder(anna, "Inbox")


@pytest.fixture
async def app(server: GDriveServer, anna: Account) -> AsyncIterator[DriveApp]:
    async with app_of(server, anna) as app:
        yield app


async def start(app: DriveApp, **kwargs: Any) -> str:
    answer = await app.do(app.service.changes().getStartPageToken(**kwargs))
    return str(answer["startPageToken"])


async def changes(app: DriveApp, token: str, **kwargs: Any) -> tuple[list[dict[str, Any]], str]:
    """Every change since a token, and the token to go on with."""
    found: list[dict[str, Any]] = []
    while True:
        answer = await app.do(app.service.changes().list(pageToken=token, **kwargs))
        found += answer["changes"]
        if "newStartPageToken" in answer:
            assert "nextPageToken" not in answer
            return found, answer["newStartPageToken"]
        token = answer["nextPageToken"]


# A user's log


async def test_what_somebody_does_is_a_change_with_the_state_of_now(
    server: GDriveServer, app: DriveApp, inbox: File
) -> None:
    talk = server.upload(inbox, "talk.m4a", TALK)
    token = await start(app)
    assert await changes(app, token) == ([], token)
    new = server.upload(inbox, "new.m4a", TALK)
    server.rename(talk, "renamed.m4a")
    server.replace(talk, b"other")
    found, following = await changes(app, token, fields="*")
    assert [(one["fileId"], one["file"]["name"], one["removed"]) for one in found] == [
        (new.id, "new.m4a", False),
        (talk.id, "renamed.m4a", False),
    ]
    assert found[1]["file"]["size"] == "5"
    assert (found[0]["kind"], found[0]["changeType"]) == ("drive#change", "file")
    server.trash(new)
    server.delete(talk)
    found, _ = await changes(app, following, fields="*")
    assert [(one["fileId"], one["removed"]) for one in found] == [(new.id, False), (talk.id, True)]
    assert found[0]["file"]["trashed"] is True
    assert "file" not in found[1]
    found, _ = await changes(app, following, includeRemoved=False)
    assert [one["fileId"] for one in found] == [new.id]


async def test_changes_are_paged_and_a_page_can_be_read_again(
    server: GDriveServer, app: DriveApp, inbox: File
) -> None:
    token = await start(app)
    made = server.fill(inbox, [f"{number}.mp3" for number in range(7)])
    ask = app.service.changes().list
    first = await app.do(ask(pageToken=token, pageSize=3))
    assert len(first["changes"]) == 3
    assert "newStartPageToken" not in first
    again = await app.do(ask(pageToken=token, pageSize=3))
    assert again == first
    found, following = await changes(app, token, pageSize=3)
    assert [one["fileId"] for one in found] == [file.id for file in made]
    assert (await changes(app, following))[0] == []


@pytest.mark.parametrize("mask", ["newStartPageToken", "changes(fileId),newStartPageToken"])
async def test_only_what_is_asked_for_is_told(
    server: GDriveServer, app: DriveApp, inbox: File, mask: str
) -> None:
    token = await start(app)
    talk = server.upload(inbox, "talk.m4a", TALK)
    answer = await app.do(app.service.changes().list(pageToken=token, fields=mask))
    assert answer.get("changes", [{"fileId": talk.id}]) == [{"fileId": talk.id}]
    assert set(answer) == {"newStartPageToken", *(("changes",) if "changes" in mask else ())}


async def test_tokens_of_nothing_of_others_and_of_long_ago_are_refused(
    server: GDriveServer, app: DriveApp, anna: Account, bob: Account, inbox: File
) -> None:
    token = await start(app)
    async with app_of(server, bob) as other:
        theirs = await start(other)
    server.upload(inbox, "talk.m4a", TALK)
    for wrong in ("", "invented", theirs, str(int(token) + 1000)):
        with pytest.raises(HttpError) as caught:
            await changes(app, wrong)
        assert reason_of(caught.value) == (400, "invalid")
    server.expire_page_token(anna)
    with pytest.raises(HttpError) as caught:
        await changes(app, token)
    assert reason_of(caught.value) == (400, "invalid")
    fresh = await start(app)
    server.upload(inbox, "later.m4a", TALK)
    assert len((await changes(app, fresh))[0]) == 1


async def test_access_given_and_taken_away(
    server: GDriveServer, app: DriveApp, anna: Account, bob: Account
) -> None:
    talk = server.upload(bob, "talk.m4a", TALK)
    token = await start(app)
    server.rename(talk, "private.m4a")
    assert (await changes(app, token))[0] == []
    server.share(talk, anna)
    found, token = await changes(app, token, fields="*")
    assert [(one["fileId"], one["removed"]) for one in found] == [(talk.id, False)]
    assert "parents" not in found[0]["file"]
    assert found[0]["file"]["sharedWithMeTime"]
    server.unshare(talk, anna)
    found, _ = await changes(app, token)
    assert [(one["fileId"], one["removed"]) for one in found] == [(talk.id, True)]


@pytest.mark.parametrize("cascades", [False, True])
async def test_whether_what_happens_to_a_folder_happens_to_what_is_in_it(
    server: GDriveServer, app: DriveApp, inbox: File, cascades: bool
) -> None:
    server.drive.cascades = cascades
    sub = server.folder(inbox, "Sub")
    talk = server.upload(sub, "talk.m4a", TALK)
    both = {sub.id, talk.id} if cascades else {sub.id}
    for act in (server.trash, server.untrash, lambda one: server.share(one, None), server.delete):
        token = await start(app)
        act(sub)
        assert {one["fileId"] for one in (await changes(app, token))[0]} == both


async def test_an_app_with_drive_file_sees_changes_of_its_own_files_only(
    server: GDriveServer, anna: Account, inbox: File
) -> None:
    async with app_of(server, anna, "drive.file") as app:
        token = await start(app)
        server.upload(inbox, "talk.m4a", TALK)
        made = await app.do(app.service.files().create(body={"name": "own.md"}))
        assert {one["fileId"] for one in (await changes(app, token))[0]} == {made["id"]}


# Shared drives


@pytest.fixture
def team(server: GDriveServer, anna: Account, bob: Account) -> SharedDrive:
    return server.shared_drive("Team", {bob: "organizer", anna: "writer"})


async def test_a_shared_drive_has_a_log_of_its_own(
    server: GDriveServer, app: DriveApp, team: SharedDrive
) -> None:
    own = await start(app)
    token = await start(app, driveId=team.id, supportsAllDrives=True)
    talk = server.upload(team, "talk.m4a", TALK)
    assert (await changes(app, own, **EVERYWHERE))[0] == []
    found, following = await changes(app, token, driveId=team.id, **EVERYWHERE)
    assert [one["fileId"] for one in found] == [talk.id]
    with pytest.raises(HttpError) as caught:
        await changes(app, own, driveId=team.id, **EVERYWHERE)
    assert reason_of(caught.value) == (400, "invalid")
    for kwargs, expected in (
        ({"driveId": team.id}, "supportsTeamDrivesRequired"),
        ({"driveId": team.id, "supportsAllDrives": True}, "includeTeamDriveItemsRequired"),
    ):
        with pytest.raises(HttpError) as caught:
            await changes(app, token, **kwargs)
        assert reason_of(caught.value) == (403, expected)
    server.delete(talk)
    found, _ = await changes(app, following, driveId=team.id, **EVERYWHERE)
    assert [(one["fileId"], one["removed"]) for one in found] == [(talk.id, True)]


async def test_becoming_a_member_is_one_change_and_ends_with_another(
    server: GDriveServer, app: DriveApp, anna: Account, bob: Account
) -> None:
    team = server.shared_drive("Team", {bob: "organizer"})
    server.upload(team, "talk.m4a", TALK)
    with pytest.raises(HttpError) as caught:
        await start(app, driveId=team.id, supportsAllDrives=True)
    assert reason_of(caught.value) == (404, "notFound")
    token = await start(app)
    server.join(team, anna, "reader")
    assert (await changes(app, token))[0] == []
    found, token = await changes(app, token, **EVERYWHERE)
    assert [(one["changeType"], one["driveId"], one["removed"]) for one in found] == [
        ("drive", team.id, False)
    ]
    server.rename_drive(team, "The team")
    found, token = await changes(app, token, fields="*", **EVERYWHERE)
    assert [one["drive"]["name"] for one in found] == ["The team"]
    server.leave(team, anna)
    found, _ = await changes(app, token, **EVERYWHERE)
    assert [(one["driveId"], one["removed"]) for one in found] == [(team.id, True)]
    assert "drive" not in found[0]


async def test_who_is_no_member_sees_what_was_given_to_them_in_their_own_log(
    server: GDriveServer, app: DriveApp, anna: Account, bob: Account
) -> None:
    team = server.shared_drive("Team", {bob: "organizer"})
    talk = server.upload(team, "talk.m4a", TALK)
    token = await start(app)
    server.share(talk, anna)
    assert (await changes(app, token))[0] == []
    found, _ = await changes(app, token, **EVERYWHERE)
    assert [one["fileId"] for one in found] == [talk.id]


async def test_a_file_moved_from_drive_to_drive_leaves_one_log_and_comes_into_the_other(
    server: GDriveServer, app: DriveApp, anna: Account, bob: Account, inbox: File, team: SharedDrive
) -> None:
    talk = server.upload(inbox, "talk.m4a", TALK)
    own, shared = await start(app), await start(app, driveId=team.id, supportsAllDrives=True)
    server.move(talk, team)
    found, own = await changes(app, own)
    assert found == []
    found, shared = await changes(app, shared, driveId=team.id, fields="*", **EVERYWHERE)
    assert [(one["file"]["parents"], one["file"]["driveId"]) for one in found] == [([team.id], team.id)]
    server.move(talk, server.folder(bob, "Private"), by=bob)
    found, _ = await changes(app, shared, driveId=team.id, **EVERYWHERE)
    assert [(one["fileId"], one["removed"]) for one in found] == [(talk.id, True)]
    assert talk.owner is bob


# Push


@dataclass
class Receiver:
    """The app's side of push: what came, and with what it is answered next."""

    origin: str = ""
    came: list[Mapping[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def states(self) -> list[str]:
        return [headers["X-Goog-Resource-State"] for headers in self.came]

    def numbers(self) -> list[int]:
        return [int(headers["X-Goog-Message-Number"]) for headers in self.came]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()

    async def come(request: web.Request) -> web.Response:
        receiver.came.append(dict(request.headers))
        receiver.bodies.append(await request.read())
        return web.Response(status=receiver.answers.pop(0) if receiver.answers else 204)

    app = web.Application()
    app.router.add_post("/gdrive/notifications", come)
    async with faults.serving(app) as receiver.origin:
        yield receiver


@pytest.fixture
async def receiver(server: GDriveServer) -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        server.push.hosts["https://bot.example"] = receiver.origin
        yield receiver


async def watch(app: DriveApp, body: dict[str, Any], **kwargs: Any) -> Any:
    token = await start(app, **{k: v for k, v in kwargs.items() if k in ("driveId", "supportsAllDrives")})
    full = {"id": "channel-1", "type": "web_hook", "address": "https://bot.example/gdrive/notifications"}
    return await app.do(app.service.changes().watch(pageToken=token, body=full | body, **kwargs))


async def test_a_channel_tells_first_that_it_is_there_and_then_of_changes(
    server: GDriveServer, app: DriveApp, inbox: File, receiver: Receiver
) -> None:
    server.freeze(1_790_000_000)
    channel = await watch(app, {"token": "secret"})
    assert channel["kind"] == "api#channel"
    assert int(channel["expiration"]) == 1_790_003_600_000
    await server.push.delivered()
    server.upload(inbox, "talk.m4a", TALK)
    await server.push.delivered()
    sync, change = receiver.came
    assert sync["X-Goog-Channel-ID"] == change["X-Goog-Channel-ID"] == "channel-1"
    assert sync["X-Goog-Channel-Token"] == change["X-Goog-Channel-Token"] == "secret"
    assert sync["X-Goog-Resource-ID"] == channel["resourceId"]
    assert change["X-Goog-Channel-Expiration"] == "Mon, 21 Sep 2026 15:13:20 GMT"
    assert receiver.states() == ["sync", "change"]
    assert receiver.numbers()[0] == 1 < receiver.numbers()[1]
    assert receiver.bodies == [b"", b""]


async def test_channels_end_when_they_are_stopped_and_when_they_expire(
    server: GDriveServer, app: DriveApp, inbox: File, receiver: Receiver
) -> None:
    server.freeze(1_790_000_000)
    asked = 1_790_000_000_000 + 30 * 86_400_000
    week = await watch(app, {"id": "a", "expiration": asked})
    assert int(week["expiration"]) == 1_790_000_000_000 + 7 * 86_400_000
    await watch(app, {"id": "b"})
    body = {"id": "a", "resourceId": week["resourceId"]}
    with pytest.raises(HttpError) as caught:
        await app.do(app.service.channels().stop(body=body | {"resourceId": "other"}))
    assert reason_of(caught.value) == (404, "notFound")
    await app.do(app.service.channels().stop(body=body))
    server.upload(inbox, "talk.m4a", TALK)
    await server.push.delivered()
    assert [headers["X-Goog-Channel-ID"] for headers in receiver.came].count("a") == 1
    server.advance(3601)
    server.upload(inbox, "later.m4a", TALK)
    await server.push.delivered()
    assert receiver.states() == ["sync", "sync", "change"]
    with pytest.raises(HttpError) as caught:
        await app.do(app.service.channels().stop(body=body))
    assert reason_of(caught.value) == (404, "notFound")


async def test_channels_that_are_refused(
    server: GDriveServer, app: DriveApp, team: SharedDrive, receiver: Receiver
) -> None:
    await watch(app, {})
    for body, expected in (
        ({"address": "http://bot.example/"}, (400, "push.webhookUrlNotHttps")),
        ({"type": "mail"}, (400, "push.channelTypeNotSupported")),
        ({}, (400, "channelIdNotUnique")),
        ({"id": ""}, (400, "required")),
        ({"id": "x", "expiration": "5"}, (400, "invalid")),
        ({"id": "x", "token": "t" * 257}, (400, "invalid")),
    ):
        with pytest.raises(HttpError) as caught:
            await watch(app, body)
        assert reason_of(caught.value) == expected


async def test_an_address_that_google_does_not_know_is_refused_like_a_bad_token(
    server: GDriveServer, anna: Account
) -> None:
    """The library gets another token first, as for every 401."""
    scope = f"{SCOPE}drive"
    info = server.key_file(server.service_account(delegated=[scope]))
    credentials = service_credentials(info, scopes=[scope], subject=anna.email)
    server.push.unverified.add("https://other.example")
    async with app_of(server, credentials) as app:
        with pytest.raises(HttpError) as caught:
            await watch(app, {"address": "https://other.example/"})
    assert reason_of(caught.value) == (401, "push.webhookUrlUnauthorized")
    assert len(server.called("token")) > 1


async def test_a_channel_is_bound_to_its_drive(
    server: GDriveServer, app: DriveApp, inbox: File, team: SharedDrive, receiver: Receiver
) -> None:
    await watch(app, {}, driveId=team.id, **EVERYWHERE)
    server.upload(inbox, "mine.m4a", TALK)
    await server.push.delivered()
    assert receiver.states() == ["sync"]
    server.upload(team, "ours.m4a", TALK)
    await server.push.delivered()
    assert receiver.states() == ["sync", "change"]


async def test_notifications_come_again_after_errors_and_are_lost_without_anybody(
    server: GDriveServer, app: DriveApp, inbox: File, receiver: Receiver
) -> None:
    server.push.retry_after = (0.0, 0.0)
    receiver.answers += [503, 500, 204, 404]
    await watch(app, {})
    await server.push.delivered()
    server.upload(inbox, "talk.m4a", TALK)
    await server.push.delivered()
    assert receiver.states() == ["sync", "sync", "sync", "change"]
    assert [(notice.attempts, notice.status) for notice in server.push.log] == [(3, 204), (1, 404)]
    server.push.hosts.clear()
    server.upload(inbox, "later.m4a", TALK)
    await server.push.delivered()
    assert server.push.log[-1].status is None
    assert len(receiver.came) == 4


async def test_notifications_can_be_repeated_missing_forged_and_out_of_order(
    server: GDriveServer, app: DriveApp, inbox: File, receiver: Receiver
) -> None:
    await watch(app, {"token": "secret"})
    await server.push.delivered()
    server.push.held = True
    for name in ("a", "b", "c"):
        server.upload(inbox, name, TALK)
        await asyncio.sleep(0)
    assert len(server.push.waiting) == 3
    server.push.release(lambda notices: [notices[2], notices[0], notices[0]])
    await server.push.delivered()
    first, third, one, again = receiver.numbers()
    assert first < one == again < third
    (notice,) = server.push.notify()
    await server.push.delivered()
    assert await server.push.post(notice, X_Goog_Channel_Token="forged") == 204
    assert receiver.came[-1]["X-Goog-Channel-Token"] == "forged"
    copies = server.push.notify(copies=2)
    await server.push.delivered()
    assert [notice.number for notice in copies] == receiver.numbers()[-2:]


async def test_changes_of_one_moment_are_one_notification(
    server: GDriveServer, app: DriveApp, inbox: File, receiver: Receiver
) -> None:
    await watch(app, {})
    server.fill(inbox, [f"{number}.mp3" for number in range(100)])
    server.upload(inbox, "talk.m4a", TALK)
    await server.push.delivered()
    assert receiver.states() == ["sync", "change"]
    found = await app.listed(q=f"'{inbox.id}' in parents", pageSize=1000)
    assert len(ids(found)) == 101
