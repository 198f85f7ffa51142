"""Downloads from a SharePoint on this machine that cuts, redirects, lies and turns away."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from bots.teams import retries
from bots.teams.download import fetch, fetch_bytes, fetch_sent
from bots.teams.drives import Drives
from bots.teams.graph import Graph
from bots.teams.hosts import Forbidden, Hosts
from bots.teams.incoming import Download
from bots.teams.records import DriveItem
from bots.teams.settings import TeamsSettings, registration_of
from bots.teams.troubles import Gone, MissingPermission
from core.errors import ErniError, Rejected, Transient
from core.settings import load_settings
from tests.vendors import faults, teams
from tests.vendors.faults import Fault
from tests.vendors.teams import Padded, TeamsServer, graph_error
from tests.vendors.teams_items import DriveItem as Stored

DATA = bytes(range(256)) * 4000
PAGE = b" <!-- x --> <!DOCTYPE html><html>Sign in</html>"
LIMIT = 10 * len(DATA)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bots.teams.download.pause", lambda _attempt: 0.0)
    monkeypatch.setattr("bots.teams.calls.pause", lambda _attempt: 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A recording in somebody's OneDrive, and where it is to be put."""

    server: TeamsServer
    drives: Drives
    stored: Stored
    into: Path

    async def item(self) -> DriveItem:
        return await self.drives.item(self.stored.drive, self.stored.id)

    async def fetch(self, *, limit: int = LIMIT) -> None:
        await fetch(self.drives, await self.item(), self.into, limit=limit)

    def sent(self) -> Download:
        url = self.server.storage.download_url(self.stored)
        return Download(name=self.stored.name, url=url, unique_id=self.stored.unique_id)

    async def fetch_sent(self) -> None:
        await fetch_sent(self.drives.graph.client, self.sent(), self.into, limit=LIMIT)


@asynccontextmanager
async def scene(into: Path, *, data: bytes | Padded = DATA) -> AsyncIterator[Scene]:
    async with teams.serving() as server:
        ada = server.add_user(server.add_tenant())
        stored = server.add_file(ada, "Recordings/talk.mp3", data)
        settings = load_settings(TeamsSettings, **server.settings)
        hosts = Hosts(local=True)
        async with hosts.client() as client:
            registration = registration_of(settings, http_host="127.0.0.1", public_url=None)
            drives = Drives(Graph(settings, registration, hosts=hosts, client=client))
            yield Scene(server=server, drives=drives, stored=stored, into=into / "source")


@asynccontextmanager
async def answering(handler: Handler) -> AsyncIterator[tuple[httpx.AsyncClient, Download]]:
    """A host whose files are what `handler` answers."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    async with faults.serving(app) as origin, Hosts(local=True).client() as client:
        yield client, Download(name="talk.mp3", url=f"{origin}/talk.mp3?tempauth=secret")


async def test_the_bytes_arrive_without_a_token(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        await at.fetch()
        assert at.into.read_bytes() == DATA
        assert at.stored.served == [("", len(DATA))]
        at.into.write_bytes(b"something else")
        await at.fetch_sent()
        assert at.into.read_bytes() == DATA
        assert await fetch_bytes(at.drives, await at.item(), limit=LIMIT) == DATA


async def test_what_lay_there_before_is_gone(tmp_path: Path) -> None:
    async with scene(tmp_path, data=b"short") as at:
        at.into.write_bytes(b"something much longer than that")
        await at.fetch()
        assert at.into.read_bytes() == b"short"


@pytest.mark.parametrize("sent", [False, True])
async def test_a_cut_download_goes_on_where_it_was(tmp_path: Path, sent: bool) -> None:
    async with scene(tmp_path) as at:
        at.stored.cuts = [300_000, 300_000, 1]
        await (at.fetch_sent() if sent else at.fetch())
        assert at.into.read_bytes() == DATA
        asked = [range_ for range_, _ in at.stored.served]
        assert asked[0] == ""
        assert any(range_.startswith("bytes=") for range_ in asked[1:])
        assert len(at.server.called("content")) == (0 if sent else 1)  # the address was still good


async def test_a_host_that_knows_no_ranges_starts_over(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.stored.cuts = [300_000]
        at.stored.ignores_ranges = True
        await at.fetch()
        assert at.into.read_bytes() == DATA


@pytest.mark.parametrize(("cut", "whole"), [(0, False), (300_000, True)])
async def test_a_download_that_gets_nowhere_is_given_up(tmp_path: Path, cut: int, whole: bool) -> None:
    async with scene(tmp_path) as at:
        at.stored.cuts = [cut] * 50
        at.stored.ignores_ranges = whole
        with pytest.raises(Transient, match="broke off"):
            await at.fetch()
        assert len(at.stored.served) <= 2 * retries.TRANSFER_TRIES


@pytest.mark.parametrize(
    "trouble", ["cut", "lost", Fault(status=503, headers={"Retry-After": "0"}), Fault(status=429)]
)
async def test_a_passing_trouble_is_borne(tmp_path: Path, trouble: Any) -> None:
    async with scene(tmp_path) as at:
        at.server.fail("download", trouble)
        at.server.fail("content", graph_error(503, "serviceNotAvailable", retry_after=0))
        await at.fetch()
        assert at.into.read_bytes() == DATA


async def test_a_long_wait_is_the_workers(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.server.fail("download", Fault(status=429, headers={"Retry-After": "300"}))
        with pytest.raises(Transient) as caught:
            await at.fetch()
        assert caught.value.retry_after == 300


async def test_an_address_that_is_over_is_replaced(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.stored.cuts = [300_000]
        at.server.storage.life = 0.0
        first = at.server.hold("content")
        fetching = asyncio.create_task(at.fetch())
        await first.arrived.wait()
        first.release()
        await at.server.until(lambda: at.server.called("download"))
        at.server.storage.life = 3600.0
        await fetching
        assert at.into.read_bytes() == DATA
        assert len(at.server.called("content")) >= 2


async def test_an_address_that_is_over_in_the_middle_is_replaced(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.stored.cuts = [300_000]
        hold = at.server.hold("download")
        fetching = asyncio.create_task(at.fetch())
        await hold.arrived.wait()
        hold.release()
        second = at.server.hold("download")
        await second.arrived.wait()
        at.server.advance(7200)
        second.release()
        await fetching
        assert at.into.read_bytes() == DATA
        assert [call.status for call in at.server.called("content")] == [302, 401, 302]  # the token, too
        assert at.stored.served[-1][0].startswith("bytes=")  # what had come was kept


async def test_what_was_sent_too_long_ago_is_gone(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        download = at.sent()
        at.server.advance(7200)
        with pytest.raises(Gone, match="Send the recording again"):
            await fetch_sent(at.drives.graph.client, download, at.into, limit=LIMIT)


async def test_a_deleted_file_is_gone(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        item = await at.item()
        at.stored.deleted = True
        with pytest.raises(Gone):
            await fetch(at.drives, item, at.into, limit=LIMIT)


async def test_without_permission_the_permission_is_named(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        item = await at.item()
        at.server.graph.permissions["content"] = ("Other.Read.All",)
        with pytest.raises(MissingPermission, match=r"Files\.Read\.All"):
            await fetch(at.drives, item, at.into, limit=LIMIT)


async def test_a_page_instead_of_the_file_is_no_file(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.stored.pages = 1
        await at.fetch()
        assert at.into.read_bytes() == DATA
        at.stored.pages = 50
        with pytest.raises(Transient, match="web page"):
            await at.fetch()
        assert at.stored.pages == 50 - retries.TRANSFER_TRIES


async def test_a_page_that_comes_in_the_middle_costs_nothing_of_what_came(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.stored.cuts = [600_000]
        hold = at.server.hold("download")
        fetching = asyncio.create_task(at.fetch())
        await hold.arrived.wait()
        second = at.server.hold("download")
        hold.release()
        await second.arrived.wait()
        at.stored.pages = 1
        second.release()
        await fetching
        assert at.into.read_bytes() == DATA
        assert at.stored.pages == 0
        assert at.stored.served[-1][0].startswith("bytes=")


@pytest.mark.parametrize("sent", [False, True])
async def test_a_page_that_is_the_file_itself_arrives(tmp_path: Path, sent: bool) -> None:
    async with scene(tmp_path, data=PAGE) as at:
        at.stored.mime_type = "audio/mpeg" if sent else "text/html"
        await (at.fetch_sent() if sent else at.fetch())
        assert at.into.read_bytes() == PAGE


@pytest.mark.parametrize(("page", "whole"), [(PAGE, False), (PAGE * 9000, False), (PAGE, True)])
async def test_without_a_length_a_page_must_have_the_size_that_was_announced(
    tmp_path: Path, page: bytes, whole: bool
) -> None:
    asked: list[str | None] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("Range"))
        response = web.StreamResponse(headers={"Content-Type": "audio/mpeg"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(page if whole or len(asked) == 1 else DATA)
        return response

    data = page if whole else DATA
    async with scene(tmp_path) as at, answering(handler) as (_, download):
        item = replace(await at.item(), size=len(data))
        for _ in range(9):
            at.server.fail("content", Fault(status=302, headers={"Location": download.url}))
        await fetch(at.drives, item, at.into, limit=LIMIT)
        assert at.into.read_bytes() == data
        assert set(asked) == {None}


async def test_where_no_size_is_announced_a_page_without_a_type_is_no_file(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(body=PAGE, headers={"Content-Type": ""})

    async with answering(handler) as (client, download):
        with pytest.raises(Transient, match="web page"):
            await fetch_sent(client, download, tmp_path / "source", limit=LIMIT)


async def test_what_only_begins_like_a_page_is_looked_at_in_no_time(tmp_path: Path) -> None:
    """Trying every way to read the comments would take longer than the universe is old."""
    data = b"<!---->" * 500 + b"ID3"
    async with scene(tmp_path, data=data) as at:
        await at.fetch()
        assert at.into.read_bytes() == data


async def test_a_size_that_does_not_fit_is_not_believed(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        for says in (len(DATA) - 1, len(DATA) + 1):
            at.stored.says = says
            with pytest.raises(Transient, match="should have"):
                await at.fetch()


async def test_the_limit_holds_whatever_is_announced(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        with pytest.raises(Rejected, match="larger than the limit"):
            await at.fetch(limit=len(DATA) - 1)
        item = replace(await at.item(), size=0)
        with pytest.raises(Rejected, match="larger than the limit"):
            await fetch(at.drives, item, at.into, limit=1000)
        assert at.into.stat().st_size <= 1000


async def test_a_stream_without_a_length_is_limited_too(tmp_path: Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        while True:
            await response.write(bytes(100_000))

    async with answering(endless) as (client, download):
        with pytest.raises(Rejected, match="larger than the limit"):
            await fetch_sent(client, download, tmp_path / "source", limit=1_000_000)
        assert (tmp_path / "source").stat().st_size <= 1_000_000


async def test_an_empty_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    async with scene(tmp_path, data=b"") as at:
        with pytest.raises(Rejected, match="empty"):
            await at.fetch()
        folder = await at.drives.item(at.stored.drive, at.stored.parent or "")
        with pytest.raises(Rejected, match="folder"):
            await fetch(at.drives, folder, at.into, limit=LIMIT)


async def test_a_packed_answer_is_refused(tmp_path: Path) -> None:
    async def packed(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=gzip.compress(DATA), headers={"Content-Encoding": "gzip"})

    async with answering(packed) as (client, download):
        with pytest.raises(Transient, match="packed"):
            await fetch_sent(client, download, tmp_path / "source", limit=LIMIT)


# another file under the same address


async def cut(request: web.Request, into: Path, sent: bytes, **headers: str) -> web.StreamResponse:
    """Answer with the beginning of a file, and end once that has reached the disk."""
    response = web.StreamResponse(headers={"Content-Length": str(len(DATA)), **headers})
    await response.prepare(request)
    await response.write(sent)
    async with asyncio.timeout(10):
        while not into.exists() or into.stat().st_size < len(sent):
            await asyncio.sleep(0.01)
    assert request.transport is not None
    request.transport.abort()
    return response


async def test_a_changed_file_is_fetched_anew(tmp_path: Path) -> None:
    into, other = tmp_path / "source", DATA[::-1]
    asked: list[tuple[str | None, str | None]] = []

    async def changing(request: web.Request) -> web.StreamResponse:
        asked.append((request.headers.get("Range"), request.headers.get("If-Range")))
        if len(asked) == 1:
            return await cut(request, into, DATA[:600_000], ETag='"one"')
        if request.headers.get("If-Range") == '"one"' or not request.headers.get("Range"):
            return web.Response(body=other, headers={"ETag": '"two"'})
        return web.Response(status=400)

    async with answering(changing) as (client, download):
        await fetch_sent(client, download, into, limit=LIMIT)
    assert into.read_bytes() == other
    assert asked[1][1] == '"one"'


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": f"bytes 5-{len(DATA) - 1}/{len(DATA)}"},
        {"Content-Range": f"bytes 524288-{len(DATA) - 1}/{len(DATA) + 9}"},
        {"Content-Range": f"bytes 524288-{len(DATA) - 1}/{len(DATA)}", "ETag": '"two"'},
        {"Content-Range": "nothing"},
        {},
    ],
)
async def test_a_part_that_does_not_fit_is_not_added(tmp_path: Path, headers: dict[str, str]) -> None:
    into = tmp_path / "source"
    asked: list[str | None] = []

    async def lying(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("Range"))
        if len(asked) == 1:
            return await cut(request, into, DATA[:524_288], ETag='"one"')
        if request.headers.get("Range"):
            return web.Response(status=206, body=b"x" * (len(DATA) - 524_288), headers=headers)
        return web.Response(body=DATA, headers={"ETag": '"one"'})

    async with answering(lying) as (client, download):
        await fetch_sent(client, download, into, limit=LIMIT)
    assert into.read_bytes() == DATA
    assert asked[-1] is None


# where nothing is fetched from


async def test_redirects_are_followed_without_a_token(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        other = at.server.add_file(at.server.m365.users[next(iter(at.server.m365.users))], "other.mp3", DATA)
        at.stored.redirects = [at.server.storage.download_url(other)]
        await at.fetch()
        assert at.into.read_bytes() == DATA
        assert other.served  # and `serving` complains about any token at its end


@pytest.mark.parametrize(
    "there",
    [
        "http://example.com/talk.mp3",
        "https://10.0.0.1/talk.mp3",
        "https://169.254.169.254/latest/meta-data",
        "https://[fd00::1]/",
        "file:///etc/passwd",
        "https://who:what@example.com/",
    ],
)
async def test_redirects_elsewhere_are_not_followed(tmp_path: Path, there: str) -> None:
    async with scene(tmp_path) as at:
        at.stored.redirects = [there]
        with pytest.raises(Transient) as caught:
            await at.fetch()
        assert isinstance(caught.value, Forbidden)
        assert "what" not in str(caught.value)
        with pytest.raises(Forbidden):
            await fetch_sent(at.drives.graph.client, Download(name="x", url=there), at.into, limit=LIMIT)


async def test_redirects_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    async def circle(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "/again"})

    async with answering(circle) as (client, download):
        with pytest.raises(Transient, match="too often"):
            await fetch_sent(client, download, tmp_path / "source", limit=LIMIT)


async def test_this_machine_is_only_asked_if_microsoft_365_is_here(tmp_path: Path) -> None:
    async def file(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=DATA)

    async with answering(file) as (_, download), Hosts().client() as client:
        for url in (download.url, download.url.replace("http:", "https:"), "https://localhost/"):
            with pytest.raises(Forbidden):
                await fetch_sent(client, replace(download, url=url), tmp_path / "source", limit=LIMIT)


async def test_graph_without_an_address_for_the_file(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        for fault in (
            Fault(status=200, body="{}"),
            Fault(status=302),
            Fault(status=302, headers={"Location": "https://["}),
        ):
            at.server.fail("content", fault)
            with pytest.raises(Transient):
                await at.fetch()


# memory and time


async def test_memory_stays_flat(tmp_path: Path) -> None:
    size = 96 * 2**20
    async with scene(tmp_path, data=Padded(head=b"ID3", size=size)) as at:
        tracemalloc.start()
        try:
            await at.fetch(limit=2 * size)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert at.into.stat().st_size == size
        assert peak < 16 * 2**20


async def test_a_silent_host_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bots.teams.download.SILENT_SECONDS", 0.05)
    async with scene(tmp_path, data=b"short") as at:
        for _ in range(9):
            at.server.fail("download", "hang")
        with pytest.raises(Transient, match="broke off"):
            await at.fetch()
        assert len(at.server.called("download")) <= retries.TRANSFER_TRIES


async def test_a_cancelled_download_ends_at_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        hold = at.server.hold("download")
        fetching = asyncio.create_task(at.fetch())
        await hold.arrived.wait()
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        hold.release()


async def test_a_full_disk_is_said_so(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    async with scene(tmp_path) as at:
        with pytest.raises(ErniError, match="written to disk"):
            await fetch(at.drives, await at.item(), full, limit=LIMIT)
