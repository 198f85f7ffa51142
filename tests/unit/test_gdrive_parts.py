"""The small parts of the Google Drive connector: links, settings, credentials, threads, the tree."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from google.auth.exceptions import RefreshError, TransportError

from connectors.gdrive.credentials import google_credentials, owns_nothing, person, service_account
from connectors.gdrive.files import held, remote_file
from connectors.gdrive.links import id_in, is_id, is_of_folder
from connectors.gdrive.settings import GDriveSettings, check
from connectors.gdrive.transport import LostConnection, Threads
from connectors.gdrive.tree import Tree
from connectors.gdrive.troubles import Lost, translated
from core.errors import AuthFailed, Misconfigured, Rejected, Transient
from core.following import Selection
from core.settings import Settings, load_settings

refused: Any = RefreshError  # which is not typed
unreachable: Any = TransportError

ID = "1AbC-dEf_GhIjKlMnOpQrStUvWxYz012345"


@pytest.mark.parametrize(
    "link",
    [
        f"https://drive.google.com/drive/folders/{ID}",
        f"https://drive.google.com/drive/folders/{ID}?usp=sharing&resourcekey=0-x",
        f"https://drive.google.com/drive/u/3/folders/{ID}",
        f" http://drive.google.com/file/d/{ID}/view ",
        f"https://drive.google.com/open?id={ID}",
        f"https://drive.google.com/uc?id={ID}&export=download",
        f"https://docs.google.com/document/d/{ID}/edit#heading=h.1",
        f"https://docs.google.com/document/u/1/d/{ID}/edit",
    ],
)
def test_links_lead_to_ids(link: str) -> None:
    assert id_in(link) == ID


@pytest.mark.parametrize(
    "text",
    [
        "",
        ID,
        f"ftp://drive.google.com/drive/folders/{ID}",
        f"https://drive.google.com.evil.example/drive/folders/{ID}",
        f"https://drive.google.com@evil.example/file/d/{ID}",
        f"https://evil.example/https://drive.google.com/file/d/{ID}",
        "https://drive.google.com/drive/my-drive",
        "https://drive.google.com/file/d/x/view",
        "https://drive.google.com/file/d/../../etc/passwd",
        "https://drive.google.com/open",
        f"https://drive.google.com/search?id={ID}",
        "https://[drive.google.com/file/d/",
    ],
)
def test_what_is_no_link_of_drive(text: str) -> None:
    assert id_in(text) is None


def test_ids() -> None:
    assert is_id(ID)
    assert not is_id("My Drive")
    assert not is_id("../x" + ID)


@pytest.mark.parametrize(
    "changes",
    [
        {"GDRIVE_API_BASE_URL": "http://drive.example/v3/"},
        {"GDRIVE_API_BASE_URL": "https://user@drive.example/v3/"},
        {"GDRIVE_API_BASE_URL": "https://drive.example:99999/"},
        {"GDRIVE_SUBJECT": "ada"},
        {"GDRIVE_FORMATS": "md,nonsense"},
        {"GDRIVE_OUTPUT": "a/b"},
        {"GDRIVE_SPEAKERS": "many"},
        {"GDRIVE_PUSH": "perhaps"},
    ],
)
def test_settings_that_make_no_sense_are_named(changes: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match=next(iter(changes))):
        load_settings(GDriveSettings, **changes)


def test_settings_that_need_others(tmp_path: Any) -> None:
    plain = load_settings(Settings, ERNI_DATA_DIR=tmp_path)
    for changes, named in (
        ({"GDRIVE_FOLDERS": ID}, "GDRIVE_CREDENTIALS"),
        ({"GDRIVE_SUBJECT": "ada@example.com"}, "GDRIVE_CREDENTIALS"),
        ({"GDRIVE_PUSH": "true"}, "ERNI_PUBLIC_URL"),
    ):
        with pytest.raises(Misconfigured, match=named):
            check(load_settings(GDriveSettings, **changes), plain)
    good = load_settings(GDriveSettings, GDRIVE_API_BASE_URL="http://127.0.0.1:1/drive/v3")
    check(good, plain)
    assert good.api_base_url == "http://127.0.0.1:1/drive/v3/"


def test_secrets_that_make_no_sense() -> None:
    for secret in ("", "{}", "[]", '{"kind": "person"}', '{"kind": "service_account", "key": 1}'):
        with pytest.raises(AuthFailed, match="make no sense"):
            google_credentials(secret)
        assert not owns_nothing(secret)
    for key in ({}, {"type": "authorized_user"}, {"type": "service_account", "client_email": 1}):
        with pytest.raises(Rejected, match="no key file"):
            service_account(key)
    broken = {"type": "service_account", "client_email": "x", "private_key": "x", "token_uri": "x"}
    with pytest.raises(Rejected, match="damaged"):
        service_account(broken)
    made = person(client_id="a", client_secret="b", token_uri="c", refresh_token="d")
    assert google_credentials(made).refresh_token == "d"
    assert not owns_nothing(made)


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (
            refused("x", {"error": "invalid_grant", "error_description": "hush"}),
            AuthFailed,
            "taken back",
        ),
        (refused("x", {"error": "unauthorized_client"}), AuthFailed, "Domain-wide delegation"),
        (refused("x", {"error": "invalid_client"}), AuthFailed, "OAuth client"),
        (refused("x", "text"), AuthFailed, "refused to sign in"),
        (refused("x", retryable=True), Transient, "sign-in"),
        (unreachable("hush"), Transient, "sign-in"),
        (TimeoutError("hush"), Lost, "in time"),
        (LostConnection("hush"), Lost, "broke off"),
        (ConnectionRefusedError("hush"), Lost, "can't be reached"),
        (KeyError("hush"), Transient, "makes no sense"),
    ],
)
def test_errors_become_ours_without_googles_texts(error: Exception, kind: type[Exception], said: str) -> None:
    ours = translated(error)
    assert type(ours) is kind or (kind is AuthFailed and isinstance(ours, AuthFailed))
    assert said in str(ours)
    assert "hush" not in str(ours)


class Thing:
    """What a thread has of its own; it notices when two use it at once."""

    def __init__(self) -> None:
        self.busy = threading.Lock()
        self.closed = False

    def close(self) -> None:
        self.closed = True


async def test_threads_are_bounded_and_share_nothing() -> None:
    made: list[Thing] = []

    def make() -> Thing:
        made.append(Thing())
        return made[-1]

    threads = Threads(3, make)
    everybody = threading.Barrier(3)

    def work(thing: Thing) -> int:
        assert thing.busy.acquire(blocking=False)
        everybody.wait(timeout=10)
        thing.busy.release()
        return 1

    assert await asyncio.gather(*(threads.run(work) for _ in range(9))) == [1] * 9
    assert len(made) == 3
    threads.close()
    assert all(thing.closed for thing in made)


async def test_what_a_thread_raises_is_raised_and_what_was_cancelled_keeps_its_place() -> None:
    threads = Threads(1, Thing)
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda _: 1 // 0)
    go, begun = threading.Event(), threading.Event()

    def work(_: Thing) -> None:
        begun.set()
        go.wait(10)

    task = asyncio.create_task(threads.run(work))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    following = asyncio.create_task(threads.run(lambda _: 2))
    await asyncio.sleep(0)
    assert not following.done()
    go.set()
    assert await following == 2
    threads.close()


async def test_folders_that_lie_in_one_another_end_somewhere() -> None:
    loop = {"a": "b", "b": "a"}

    async def find(folder_id: str) -> dict[str, Any] | None:
        parent = loop.get(folder_id)
        kind = "application/vnd.google-apps.folder"
        return None if parent is None else {"name": folder_id, "mimeType": kind, "parents": [parent]}

    tree = Tree("root", find)
    assert await tree.names("a") is None
    assert await tree.names("") is None
    assert await tree.names("unknown") is None
    loop |= {"b": "root"}
    tree.take("a")
    tree.take("b")
    assert await tree.names("a") == ("b", "a")


def test_what_drive_leaves_out_is_borne() -> None:
    told = {"id": "1", "name": "a.mp3"}
    remote = remote_file(told, ())
    assert (remote.size, remote.content, remote.appeared, remote.parent) == (0, "", None, "")
    remote = remote_file({**told, "size": "5", "md5Checksum": "ab"}, (), None)
    assert (remote.content, remote.revision) == ("md5:ab", "md5:ab")
    assert held(told).digest == "changed:"
    video = {**told, "videoMediaMetadata": {"durationMillis": "1500"}}
    assert remote_file(video, ()).seconds == 1.5
    behind = {"id": "2", "name": "talk.MP3", "size": "5", "md5Checksum": "ab"}
    assert remote_file({"id": "1", "name": "Our talk.mp3"}, (), behind).name == "Our talk.mp3"
    assert json.loads(json.dumps(remote_file(told, (), behind).target)) == "2"


@pytest.mark.parametrize(
    ("name", "target", "shown"),
    [
        ("Our talk", "talk.mp3", "talk.mp3"),
        ("Our talk.MP3", "talk.mp3", "Our talk.MP3"),
        ("Our talk", "v1.2 sync", "Our talk"),
        ("Our talk", "Weekly sync", "Our talk"),
    ],
)
def test_a_shortcut_keeps_its_name_unless_it_lacks_the_ending(name: str, target: str, shown: str) -> None:
    behind = {"id": "2", "name": target, "mimeType": "video/mp4"}
    assert remote_file({"id": "1", "name": name}, (), behind).name == shown


def test_of_a_shortcut_that_is_not_followed_only_what_it_says_itself_is_told() -> None:
    told = {
        "id": "1",
        "name": "Look.mp3",
        "parents": ["3"],
        "createdTime": "2026-11-20T10:00:00.000Z",
        "owners": [{"permissionId": "bo"}],
        "shortcutDetails": {"targetId": "2", "targetMimeType": "audio/mpeg"},
    }
    behind = {
        "id": "2",
        "name": "Layoffs.mp3",
        "mimeType": "audio/mpeg",
        "size": "5",
        "md5Checksum": "ab",
        "headRevisionId": "r1",
        "createdTime": "2026-11-01T10:00:00.000Z",
        "owners": [{"permissionId": "ann"}],
        "videoMediaMetadata": {"durationMillis": "1500"},
    }
    refused = remote_file(told, (), behind, theirs=False)
    later = {**behind, "name": "x", "size": "6", "md5Checksum": "cd", "headRevisionId": "r2"}
    assert remote_file(told, (), later, theirs=False) == refused
    assert (refused.name, refused.size, refused.owner, refused.seconds) == ("Look.mp3", 0, "bo", None)
    assert (refused.target, refused.media_type, refused.downloadable) == ("2", "audio/mpeg", False)
    assert Selection(since=0.0).wants(refused)
    assert not refused.sighting().is_empty
    assert refused.sighting() != remote_file(told, (), behind).sighting()
    document = {"targetId": "2", "targetMimeType": "application/vnd.google-apps.document"}
    told |= {"shortcutDetails": document}
    assert not Selection(since=0.0).wants(remote_file(told, (), behind, theirs=False))


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        (f"https://drive.google.com/drive/folders/{ID}?usp=sharing", True),
        (f" https://drive.google.com/drive/u/1/folders/{ID}", True),
        (f"https://drive.google.com/folderview?id={ID}", True),
        (f"https://drive.google.com/open?id={ID}", False),
        (f"https://drive.google.com/file/d/{ID}/view", False),
    ],
)
def test_links_that_say_that_they_lead_to_folders(url: str, answer: bool) -> None:
    assert id_in(url) == ID
    assert is_of_folder(url) is answer
