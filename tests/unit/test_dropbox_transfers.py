"""Bytes from and to Dropbox: resumed, checked by their hash, in sessions where they are many."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dropbox.content_hash import content_hash
from dropbox.exceptions import ApiError
from dropbox.files import WriteMode

from connectors.dropbox import client
from connectors.dropbox.client import TRIES, Access, Account, Pools
from connectors.dropbox.download import Download, fetch
from connectors.dropbox.entries import remote_file
from connectors.dropbox.troubles import tags
from connectors.dropbox.upload import Doubtful, Upload
from core.errors import AuthFailed, Rejected, Transient
from core.remote import Changed, RemoteFile
from core.tasks import end
from tests.vendors import dropbox_server as vendor
from tests.vendors.dropbox_server import Damage, DropboxServer, Person, rate_limited, refusal, unwritten
from tests.vendors.faults import HTML, Fault

TALK = bytes(range(256)) * 4096
DOWNLOAD = "POST /2/files/download"
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


@dataclass(kw_only=True)
class Place:
    server: DropboxServer
    ann: Person
    account: Account
    into: Path

    async def talk(self) -> RemoteFile:
        found = await self.account.ask("files_get_metadata", "/talk.mp3")
        return remote_file(found, root="ns:1", path="")

    async def fetched(self) -> bytes:
        await fetch(self.account, await self.talk(), self.into)
        return self.into.read_bytes()

    @property
    def ranges(self) -> list[str | None]:
        """What was asked for."""
        return [call.byte_range for call in self.server.called("files/download")]


@pytest.fixture(autouse=True)
def swift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.001)


@pytest.fixture
async def server() -> AsyncIterator[DropboxServer]:
    async with vendor.serving() as server:
        yield server


@pytest.fixture
def place(server: DropboxServer, tmp_path: Path) -> Iterator[Place]:
    ann = server.add_person("Ann Lee")
    ann.upload("/talk.mp3", TALK)
    token = server.connect(ann, pkce=True).refresh_token
    assert token is not None
    account = Account(Access(app_key=server.app.key, refresh_token=token), Pools(), base_url=server.origin)
    yield Place(server=server, ann=ann, account=account, into=tmp_path / "talk")
    account.close()


def _told(file: RemoteFile) -> str:
    """What Dropbox says of a file that it sends."""
    at = "2026-01-01T00:00:00Z"
    found = {"name": file.name, "id": file.id, "rev": "0123456789", "size": file.size}
    return json.dumps(found | {"client_modified": at, "server_modified": at, "content_hash": file.revision})


# Down


async def test_a_file_comes_whole(place: Place) -> None:
    assert await place.fetched() == TALK
    assert place.ranges == [None]


async def test_an_empty_file_does_too(place: Place) -> None:
    place.ann.replace("/talk.mp3", b"")
    place.into.write_bytes(b"from before")
    assert await place.fetched() == b""


async def test_a_cut_is_gone_on_from(place: Place) -> None:
    place.server.fail("files/download", Damage(keep=300_000), "cut", Fault(status=503), Damage(keep=300_000))
    assert await place.fetched() == TALK
    first, *others = place.ranges
    assert first is None
    starts = [int((each or "bytes=0-")[6:-1]) for each in others]
    assert starts == sorted(starts)
    assert 0 < starts[0] <= 300_000
    assert starts[-1] > starts[0]


async def test_as_long_as_bytes_arrive_it_goes_on(place: Place) -> None:
    place.server.fail("files/download", *[Damage(keep=262_144, quietly=True)] * 3, "cut", "cut")
    assert await place.fetched() == TALK
    assert place.server.faults.calls[DOWNLOAD] == 6


@pytest.mark.parametrize(
    "trouble", ["cut", HTML, Fault(status=500), rate_limited(0)], ids=["cut", "page", "500", "429"]
)
async def test_but_not_without_end(place: Place, trouble: Any) -> None:
    place.server.fail_always("files/download", trouble)
    with pytest.raises(Transient):
        await place.fetched()
    assert place.server.faults.calls[DOWNLOAD] == TRIES


async def test_short_answers_that_begin_again_and_again_are_not_progress(place: Place) -> None:
    talk = await place.talk()
    short = Fault(status=200, body="x" * 1000, headers={"Dropbox-API-Result": _told(talk)})
    place.server.fail_always("files/download", short)
    with pytest.raises(Transient, match="broke off"):
        await fetch(place.account, talk, place.into)
    assert place.server.faults.calls[DOWNLOAD] <= 2 * TRIES


@pytest.mark.parametrize("how", ["another part", "no part", "the whole"])
async def test_another_part_than_asked_for_is_not_taken(place: Place, how: str) -> None:
    talk = await place.talk()
    told = {"Dropbox-API-Result": _told(talk)}
    answers = {
        "another part": Fault(
            status=206, body="x" * 1000, headers=told | {"Content-Range": f"bytes 7-99/{talk.size}"}
        ),
        "no part": Fault(status=416, body="no", content_type="text/plain"),
        "the whole": Fault(status=200, body="y" * 500, headers=told),
    }
    place.server.fail("files/download", Damage(keep=300_000), answers[how])
    await fetch(place.account, talk, place.into)
    assert place.into.read_bytes() == TALK


@pytest.mark.parametrize("damage", [Damage(flipped=True), Damage(flipped=True, keep=300_000)])
async def test_damage_on_the_way_is_noticed(place: Place, damage: Damage) -> None:
    place.server.fail("files/download", damage)
    assert await place.fetched() == TALK


async def test_a_file_that_arrives_damaged_twice_is_given_up(place: Place) -> None:
    place.server.fail_always("files/download", Damage(flipped=True))
    with pytest.raises(Transient, match="damaged"):
        await place.fetched()


async def test_more_than_the_file_has_is_not_taken(place: Place) -> None:
    talk = await place.talk()
    more = Fault(status=200, body="x" * (talk.size + 1), headers={"Dropbox-API-Result": _told(talk)})
    place.server.fail_always("files/download", more)
    with pytest.raises(Transient, match="More arrived"):
        await fetch(place.account, talk, place.into)


async def test_a_file_that_was_replaced_is_not_taken(place: Place) -> None:
    talk = await place.talk()
    place.ann.replace("/talk.mp3", b"another")
    with pytest.raises(Changed):
        await fetch(place.account, talk, place.into)


async def test_nor_one_that_is_replaced_on_the_way(place: Place) -> None:
    talk = await place.talk()
    place.server.fail("files/download", Damage(keep=300_000))
    hold = [place.server.hold("files/download") for _ in range(2)]
    fetching = asyncio.create_task(fetch(place.account, talk, place.into))
    await hold[0].arrived.wait()
    hold[0].release()
    await hold[1].arrived.wait()
    place.ann.replace("/talk.mp3", TALK[::-1])
    hold[1].release()
    with pytest.raises(Changed):
        await fetching


async def test_a_moved_file_is_the_same(place: Place) -> None:
    talk = await place.talk()
    place.ann.move("/talk.mp3", "/Archive/other.mp3")
    await fetch(place.account, talk, place.into)
    assert place.into.read_bytes() == TALK


async def test_a_file_that_is_gone(place: Place) -> None:
    talk = await place.talk()
    place.ann.delete("/talk.mp3")
    with pytest.raises(Changed):
        await fetch(place.account, talk, place.into)


@pytest.mark.parametrize("reason", ["path/restricted_content", "unsupported_file"])
async def test_what_dropbox_withholds(place: Place, reason: str) -> None:
    place.server.fail("files/download", refusal(reason))
    with pytest.raises(Rejected) as caught:
        await place.fetched()
    assert "Upload" in caught.value.user_message


async def test_an_unforeseen_refusal_may_pass(place: Place) -> None:
    place.server.fail("files/download", refusal("path/locked"))
    with pytest.raises(Transient, match="locked"):
        await place.fetched()


async def test_a_revoked_account_ends_it(place: Place) -> None:
    talk = await place.talk()
    place.server.revoke(place.ann)
    with pytest.raises(AuthFailed):
        await fetch(place.account, talk, place.into)


async def test_a_disk_that_takes_nothing(place: Place) -> None:
    place.into.mkdir()
    with pytest.raises(Transient, match="written to disk"):
        await place.fetched()


class Trickle:
    """An answer whose second block comes when `gate` is set."""

    status_code = 200
    headers: dict[str, str] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.first = threading.Event()
        self.gate = threading.Event()
        self.closed = threading.Event()

    def iter_content(self, _size: int) -> Iterator[bytes]:
        yield b"one"
        self.first.set()
        self.gate.wait(10)
        yield b"two"
        raise AssertionError("nobody wants more")

    def close(self) -> None:
        self.closed.set()


def _download(place: Place, answer: Any, size: int = 1000) -> Download:
    def begin(_client: Any, _headers: dict[str, str]) -> tuple[Any, Any]:
        return SimpleNamespace(size=size), answer

    return Download(account=place.account, open=begin, into=place.into, size=size, hash="", id="x")


async def _set(event: threading.Event) -> None:
    async with asyncio.timeout(10):
        while not event.is_set():
            await asyncio.sleep(0.001)


async def test_who_is_cancelled_stops_it(place: Place) -> None:
    answer = Trickle()
    task = asyncio.create_task(_download(place, answer).run())
    await _set(answer.first)
    await end(task)
    answer.gate.set()
    await _set(answer.closed)
    assert place.into.read_bytes() == b"one"


async def test_a_download_that_hardly_moves_is_given_up(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.dropbox.download._PATIENCE", -1000.0)
    with pytest.raises(Transient, match="too slow"):
        await _download(place, Trickle()).run()


# Up


def _sends(data: bytes, **fields: Any) -> Upload:
    small: dict[str, Any] = {"path": "/notes.md", "single": 10, "part": 4}
    return Upload(data=data, **(small | fields))


def _session_calls(server: DropboxServer) -> list[str]:
    return [
        call.route.rpartition("/")[2]
        for call in server.calls
        if call.route.startswith("files/upload_session/")
    ]


async def test_what_fits_goes_in_one_call(place: Place) -> None:
    entry = await _sends(b"0123456789").run(place.account)
    assert entry.content_hash == content_hash(b"0123456789")
    assert place.ann.file("/notes.md").data == b"0123456789"
    assert _session_calls(place.server) == []
    [call] = place.server.called("files/upload")
    assert (call.arg["autorename"], call.arg["mute"], call.arg["strict_conflict"]) == (False, True, True)


@pytest.mark.parametrize("size", [11, 12, 13, 16])
async def test_what_does_not_fit_goes_in_parts(place: Place, size: int) -> None:
    data = bytes(range(size))
    await _sends(data).run(place.account)
    assert place.ann.file("/notes.md").data == data
    assert _session_calls(place.server) == ["start", *["append_v2"] * ((size - 1) // 4 - 1), "finish"]


async def test_a_real_session(place: Place) -> None:
    data = TALK * 20
    await Upload(data=data, path="/big.json", single=2**20, part=8 * 2**20).run(place.account)
    assert place.ann.file("/big.json").data == data


async def test_lost_parts_are_not_sent_twice(place: Place) -> None:
    data = bytes(range(20))
    place.server.fail("files/upload_session/start", "lost", "cut")
    place.server.fail("files/upload_session/append_v2", "lost", rate_limited(0), Fault(status=503))
    await _sends(data).run(place.account)
    assert place.ann.file("/notes.md").data == data


async def test_a_session_that_dropbox_forgot_begins_again(place: Place) -> None:
    data = bytes(range(20))
    place.server.fail(
        "files/upload_session/append_v2", refusal("not_found"), refusal("content_hash_mismatch")
    )
    place.server.fail("files/upload_session/finish", refusal("lookup_failed/not_found"))
    await _sends(data).run(place.account)
    assert place.ann.file("/notes.md").data == data
    assert _session_calls(place.server).count("start") == 4


async def test_a_session_does_not_begin_again_without_end(place: Place) -> None:
    place.server.fail_always("files/upload_session/append_v2", refusal("not_found"))
    with pytest.raises(Transient):
        await _sends(bytes(20)).run(place.account)
    assert place.server.faults.calls["POST /2/files/upload_session/append_v2"] <= 2 * TRIES


async def test_what_a_session_is_refused_for_is_told(place: Place) -> None:
    place.server.fail("files/upload_session/append_v2", refusal("too_large"))
    with pytest.raises(ApiError) as caught:
        await _sends(bytes(20)).run(place.account)
    assert tags(caught.value.error) == ("too_large",)
    place.ann.upload("/notes.md", b"hers")
    with pytest.raises(ApiError) as caught:
        await _sends(bytes(20)).run(place.account)
    assert tags(caught.value.error) == ("path", "conflict", "file")
    assert place.ann.file("/notes.md").data == b"hers"


@pytest.mark.parametrize("size", [5, 20])
async def test_a_lost_answer_at_the_end_leaves_doubt(place: Place, size: int) -> None:
    place.server.fail("files/upload", "lost")
    place.server.fail("files/upload_session/finish", "lost")
    with pytest.raises(Doubtful):
        await _sends(bytes(size)).run(place.account)
    assert place.ann.file("/notes.md").data == bytes(size)


@pytest.mark.parametrize("size", [5, 20])
async def test_a_guarded_upload_only_replaces_its_revision(place: Place, size: int) -> None:
    made = place.ann.upload("/notes.md", b"first")
    await _sends(bytes(size), path=made.id, mode=WriteMode.update(made.rev)).run(place.account)
    assert place.ann.file("/notes.md").data == bytes(size)
    rev = made.rev
    place.ann.replace("/notes.md", b"hers")
    with pytest.raises(ApiError):
        await _sends(bytes(size + 1), path=made.id, mode=WriteMode.update(rev)).run(place.account)
    assert place.ann.file("/notes.md").data == b"hers"


async def test_a_full_dropbox_is_told(place: Place) -> None:
    place.server.fail("files/upload", unwritten("insufficient_space"))
    with pytest.raises(ApiError) as caught:
        await _sends(b"x").run(place.account)
    assert tags(caught.value.error) == ("path", "insufficient_space")


def test_tags_of_what_is_no_error() -> None:
    check: Callable[[Any], tuple[str, ...]] = tags
    assert check(None) == ()
    assert check("x") == ()
