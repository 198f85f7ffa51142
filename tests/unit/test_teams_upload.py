"""Uploads to a SharePoint on this machine: one file whatever happens, and nobody's work is lost."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from bots.teams import pieces, retries
from bots.teams.drives import Drives
from bots.teams.graph import Graph
from bots.teams.hosts import Forbidden, Hosts
from bots.teams.settings import TeamsSettings, registration_of
from bots.teams.troubles import Conflict, Gone, MissingPermission, Refused
from bots.teams.upload import Upload, fill, shown_name
from core.errors import Rejected, Transient
from core.settings import load_settings
from tests.vendors import faults, teams
from tests.vendors.faults import HTML, Fault
from tests.vendors.teams import App, TeamsServer, graph_error, graph_throttled
from tests.vendors.teams_items import DriveItem as Stored
from tests.vendors.teams_model import User

TEXT = b"Ada: hello\n"
LARGE = bytes(range(256)) * (3 * pieces.PIECE // 256) + b"the end"
NAME = "talk.transcript.md"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("calls", "download", "pieces"):
        monkeypatch.setattr(f"bots.teams.{module}.pause", lambda _attempt: 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A recording in somebody's OneDrive."""

    server: TeamsServer
    upload: Upload
    drives: Drives
    ada: User
    recording: Stored

    async def beside(self, name: str = NAME, data: bytes = TEXT) -> Any:
        assert self.recording.parent is not None
        return await self.upload.beside(self.recording.drive, self.recording.parent, name, data)

    def files(self) -> dict[str, bytes]:
        """The other files beside the recording."""
        items = self.server.items(self.ada)
        folder = "Recordings/"
        return {
            path.removeprefix(folder): item.read(0, item.size)
            for path, item in items.items()
            if item is not self.recording
        }

    def stored(self, name: str = NAME) -> Stored:
        return self.server.items(self.ada)[f"Recordings/{name}"]


@asynccontextmanager
async def scene(**app: Any) -> AsyncIterator[Scene]:
    async with teams.serving(app=App(**app)) as server:
        ada = server.add_user(server.add_tenant())
        recording = server.add_file(ada, "Recordings/talk.mp3", b"ID3")
        settings = load_settings(TeamsSettings, **server.settings)
        hosts = Hosts(local=True)
        async with hosts.client() as client:
            registration = registration_of(settings, http_host="127.0.0.1", public_url=None)
            drives = Drives(Graph(settings, registration, hosts=hosts, client=client))
            yield Scene(server=server, upload=Upload(drives), drives=drives, ada=ada, recording=recording)


def word(text: str, **others: str) -> bytes:
    """A Word document, as far as anybody looks here."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as document:
        document.writestr("word/document.xml", text)
        for name, content in others.items():
            document.writestr(f"docProps/{name}.xml", content)
    return target.getvalue()


# beside a recording


@pytest.mark.parametrize("data", [TEXT, LARGE], ids=["small", "large"])
async def test_a_file_is_put_beside_the_recording_once(data: bytes) -> None:
    async with scene() as at:
        made = await at.beside(data=data)
        stored = at.stored()
        assert (made.drive, made.id, made.name, made.size) == (stored.drive, stored.id, NAME, len(data))
        assert (made.etag, made.web_url) == (stored.etag, at.server.m365.web_url(stored))
        again = await at.beside(data=data)
        assert again.id == made.id
        assert at.files() == {NAME: data}
        assert stored.version == 1


async def test_large_files_go_in_pieces() -> None:
    async with scene() as at:
        await at.beside(data=LARGE)
        (session,) = at.server.m365.sessions.values()
        assert len(session.pieces) == 4
        assert session.pieces[0] == f"bytes 0-{pieces.PIECE - 1}/{len(LARGE)}"
        assert not at.server.called("put content")


@pytest.mark.parametrize("data", [TEXT, LARGE], ids=["small", "large"])
async def test_what_somebody_else_wrote_stays(data: bytes) -> None:
    async with scene() as at:
        at.server.add_file(at.ada, f"Recordings/{NAME.upper()}", b"mine")
        made = await at.beside(data=data)
        assert made.name == "talk.transcript (2).md"
        again = await at.beside(data=data)
        assert again.id == made.id
        assert at.files() == {NAME.upper(): b"mine", made.name: data}


@pytest.mark.parametrize("data", [TEXT, LARGE], ids=["small", "large"])
async def test_what_somebody_changed_stays(data: bytes) -> None:
    async with scene() as at:
        await at.beside(data=data)
        at.stored().data = data[:-1] + b"!"
        made = await at.beside(data=data)
        assert made.name == "talk.transcript (2).md"
        assert at.files()[NAME] == data[:-1] + b"!"


async def test_names_run_out() -> None:
    async with scene() as at:
        at.server.fail("put content", *[graph_error(409, "nameAlreadyExists")] * 60)
        with pytest.raises(Rejected, match="too many files"):
            await at.beside()


@pytest.mark.parametrize("name", ["transcript", ".md", "a.b.c", "…"])
async def test_odd_names_are_numbered_too(name: str) -> None:
    async with scene() as at:
        first = await at.beside(name=name)
        second = await at.beside(name=name, data=b"other")
        assert first.name == name
        assert second.name != name
        assert "(2)" in second.name
        assert second.name.endswith(".c") is (name == "a.b.c")


async def test_a_name_that_sharepoint_forbids_is_changed() -> None:
    async with scene() as at:
        assert (await at.beside(name="talk: part 1/2?.md")).name == "talk_ part 1_2_.md"


async def test_nothing_is_no_file() -> None:
    async with scene() as at:
        with pytest.raises(ValueError, match="empty"):
            await at.beside(data=b"")
        with pytest.raises(ValueError, match="empty"):
            await fill(at.drives.graph.client, "https://example.com", b"")


@pytest.mark.parametrize("trouble", ["cut", "lost", HTML, graph_throttled(0), 500, 503, 504])
async def test_a_passing_trouble_leaves_one_file(trouble: Any) -> None:
    async with scene() as at:
        at.server.fail("put content", Fault(status=trouble) if isinstance(trouble, int) else trouble)
        await at.beside()
        assert at.files() == {NAME: TEXT}


@pytest.mark.parametrize("trouble", ["cut", "lost", HTML, Fault(status=429), 416, 500, 503])
@pytest.mark.parametrize("number", [0, 1, 3])
async def test_pieces_go_on_after_a_passing_trouble(trouble: Any, number: int) -> None:
    async with scene() as at:
        holds = [at.server.hold("piece") for _ in range(number + 1)]
        putting = asyncio.create_task(at.beside(data=LARGE))
        for hold in holds[:-1]:
            await hold.arrived.wait()
            hold.release()
        await holds[-1].arrived.wait()
        at.server.fail("piece", Fault(status=trouble) if isinstance(trouble, int) else trouble)
        holds[-1].release()
        await putting
        assert at.files() == {NAME: LARGE}
        (session,) = at.server.m365.sessions.values()
        assert len(session.pieces) == 4  # none of them was taken twice


async def test_an_upload_that_gets_nowhere_is_given_up() -> None:
    async with scene() as at:
        at.server.fail("piece", *[Fault(status=503)] * 50)
        with pytest.raises(Transient):
            await at.beside(data=LARGE)
        assert len(at.server.called("piece")) == retries.TRANSFER_TRIES


@pytest.mark.parametrize("ranges", [["0-"], [], ["x"], ["99999999999-"], [f"{len(LARGE)}-"], "0-"])
async def test_a_session_that_forgets_everything_comes_to_an_end(ranges: Any) -> None:
    async with scene() as at:
        forgetful = Fault(status=202, body=json.dumps({"nextExpectedRanges": ranges}))
        at.server.fail("piece", *[forgetful] * 99)
        with pytest.raises((Transient, Refused)):
            await at.beside(data=LARGE)
        assert len(at.server.called("piece")) <= 4 * retries.TRANSFER_TRIES


async def test_a_session_that_ended_is_begun_anew_by_the_worker() -> None:
    async with scene() as at:
        hold = at.server.hold("piece")
        putting = asyncio.create_task(at.beside(data=LARGE))
        await hold.arrived.wait()
        at.server.advance(10_000)
        hold.release()
        with pytest.raises(Transient, match="begun anew"):
            await putting
        await at.beside(data=LARGE)
        assert at.files() == {NAME: LARGE}


async def test_a_name_that_is_taken_meanwhile_is_found_out_at_the_end() -> None:
    async with scene() as at:
        hold = at.server.hold("piece")
        putting = asyncio.create_task(at.beside(data=LARGE))
        await hold.arrived.wait()
        at.server.add_file(at.ada, f"Recordings/{NAME}", b"mine")
        hold.release()
        assert (await putting).name == "talk.transcript (2).md"
        assert at.files()[NAME] == b"mine"
        assert at.server.called("cancel upload")


async def test_without_sessions_all_is_sent_at_once() -> None:
    async with scene() as at:
        at.server.graph.permissions["upload session"] = ("Sites.ReadWrite.All",)
        await at.beside(data=LARGE)
        assert at.files() == {NAME: LARGE}
        assert not at.server.m365.sessions


async def test_what_an_admin_must_grant_is_named() -> None:
    async with scene(roles=frozenset({"Files.Read.All"})) as at:
        with pytest.raises(MissingPermission, match=r"Files\.ReadWrite\.All"):
            await at.beside()
        with pytest.raises(MissingPermission, match=r"Files\.ReadWrite\.All"):
            await at.beside(data=LARGE)


async def test_no_room_and_no_folder() -> None:
    async with scene() as at:
        at.server.fail("put content", graph_error(507, "quotaLimitReached"))
        with pytest.raises(Refused, match="no room"):
            await at.beside()
        at.server.fail("piece", graph_error(507, "quotaLimitReached"))
        with pytest.raises(Refused, match="no room"):
            await at.beside(data=LARGE)
        at.server.m365.drives[at.recording.drive].items[at.recording.parent or ""].deleted = True
        with pytest.raises(Gone):
            await at.beside()


async def test_an_upload_address_elsewhere_gets_nothing() -> None:
    async with scene() as at:
        for there in ("http://10.0.0.1/upload", "https://[", "", "ftp://example.com/x"):
            at.server.fail("upload session", Fault(status=200, body=json.dumps({"uploadUrl": there})))
            with pytest.raises(Forbidden):
                await at.beside(data=LARGE)


async def test_documents_that_sharepoint_writes_into_are_still_ours() -> None:
    async with scene() as at:
        made = await at.beside("talk.docx", word("hello"))
        at.stored("talk.docx").data = word("hello", custom="<x/>" * 50)
        assert (await at.beside("talk.docx", word("hello"))).id == made.id
        at.stored("talk.docx").data = word("goodbye", custom="<x/>")
        assert (await at.beside("talk.docx", word("hello"))).name == "talk (2).docx"
        at.stored("talk.docx").data = b"PK nonsense"
        assert (await at.beside("talk.docx", word("hello"))).name == "talk (2).docx"


# in the place of an earlier one


async def test_a_file_of_ours_is_replaced_once() -> None:
    async with scene() as at:
        made = await at.beside()
        changed = await at.upload.replace(made.drive, made.id, b"Grace: hello", ctag=made.ctag)
        assert (changed.id, changed.ctag != made.ctag) == (made.id, True)
        assert at.files() == {NAME: b"Grace: hello"}
        again = await at.upload.replace(made.drive, made.id, b"Grace: hello", ctag=made.ctag)
        assert again == changed
        assert at.stored().version == 2


async def test_what_somebody_changed_is_not_replaced() -> None:
    async with scene() as at:
        made = await at.beside()
        at.stored().data, at.stored().version = b"my own notes", 2
        with pytest.raises(Conflict):
            await at.upload.replace(made.drive, made.id, b"Grace: hello", ctag=made.ctag)
        assert at.files() == {NAME: b"my own notes"}


@pytest.mark.parametrize("ours", [True, False])
async def test_a_race_for_a_file_is_noticed(ours: bool) -> None:
    async with scene() as at:
        made = await at.beside()
        hold = at.server.hold("put content")
        replacing = asyncio.create_task(
            at.upload.replace(made.drive, made.id, b"Grace: hello", ctag=made.ctag)
        )
        await hold.arrived.wait()
        at.stored().data = b"Grace: hello" if ours else b"my own notes"
        at.server.fail("put content", graph_error(412, "preconditionFailed"))
        hold.release()
        if ours:
            assert (await replacing).id == made.id
        else:
            with pytest.raises(Conflict):
                await replacing
        assert at.server.called("put content")[-1].headers["If-Match"] == made.etag


async def test_what_was_deleted_is_not_replaced() -> None:
    async with scene() as at:
        made = await at.beside()
        at.stored().deleted = True
        with pytest.raises(Gone):
            await at.upload.replace(made.drive, made.id, b"Grace: hello", ctag=made.ctag)


# where somebody agreed to


def consent(at: Scene, name: str = NAME) -> str:
    """The uploadUrl of a consent, as Teams opens one in the person's OneDrive."""
    session = at.server.storage.open(at.recording.drive, at.recording.parent or "", name, "rename")
    return at.server.storage.upload_url(session)


@pytest.mark.parametrize("data", [TEXT, LARGE], ids=["small", "large"])
async def test_a_file_goes_where_somebody_agreed_to(data: bytes) -> None:
    async with scene() as at:
        await fill(at.drives.graph.client, consent(at), data)
        assert at.files() == {NAME: data}
        (session,) = at.server.m365.sessions.values()
        assert session.pieces[-1].endswith(f"-{len(data) - 1}/{len(data)}")


@pytest.mark.parametrize("trouble", ["cut", "lost", HTML, Fault(status=500)])
async def test_consent_leaves_one_file(trouble: Any) -> None:
    async with scene() as at:
        at.server.fail("piece", trouble)
        await fill(at.drives.graph.client, consent(at), TEXT)
        assert at.files() == {NAME: TEXT}


@pytest.mark.parametrize("data", [TEXT, LARGE], ids=["small", "large"])
async def test_consent_that_is_too_old_is_said_so(data: bytes) -> None:
    async with scene() as at:
        address = consent(at)
        at.server.advance(10_000)
        with pytest.raises(Gone):
            await fill(at.drives.graph.client, address, data)
        assert at.files() == {}


@pytest.mark.parametrize("there", ["http://10.0.0.1/x", "https://localhost/x", "nothing", "https://["])
async def test_consent_leads_nowhere_else(there: str) -> None:
    async with Hosts().client() as client:
        with pytest.raises(Forbidden):
            await fill(client, there, TEXT)


async def test_a_redirect_of_an_upload_is_not_followed() -> None:
    seen: list[str] = []

    async def away(request: web.Request) -> web.Response:
        seen.extend((request.method, request.path))
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", away)
    async with faults.serving(app) as origin, Hosts(local=True).client() as client:
        with pytest.raises(Transient):
            await fill(client, f"{origin}/upload", TEXT)
    assert "/elsewhere" not in seen
    assert seen.count("PUT") == retries.TRANSFER_TRIES


# names


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("talk.md", "talk.md"),
        (' a"*:<>?/\\|b.md ', "a_________b.md"),
        ("~$talk.md", "$talk.md"),
        ("talk. . .", "talk"),
        ("a\u202eb\x00c\n.md", "abc.md"),
        ("_vti_x.md", "_x.md"),
        ("", "transcript"),
        ("..", "transcript"),
        ("x" * 400 + ".md", "x" * 146 + "….md"),
    ],
)
def test_names_that_sharepoint_takes(name: str, shown: str) -> None:
    assert shown_name(name) == shown
    assert shown_name(shown) == shown
