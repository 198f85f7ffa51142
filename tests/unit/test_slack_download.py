"""Downloads from a Slack on this machine that cuts, redirects, lies and turns away."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web

from bots.slack import retries
from bots.slack.client import Workspace
from bots.slack.download import fetch, fetch_text
from bots.slack.hosts import Hosts
from bots.slack.records import SlackFile
from bots.slack.troubles import Denied, Gone
from core.errors import ErniError, Rejected, Transient
from tests.vendors import faults, slack
from tests.vendors.faults import Fault
from tests.vendors.slack import Item, SlackServer
from tests.vendors.slack_model import File

DATA = bytes(range(256)) * 4000
PAGE = b"<!DOCTYPE html><html><body>Sign in</body></html>"
LIMIT = 10 * len(DATA)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bots.slack.download.pause", lambda _attempt: 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A recording that was shared with the app, and where it is to be put."""

    server: SlackServer
    workspace: Workspace
    shared: File
    into: Path

    async def info(self) -> SlackFile:
        return await self.workspace.file(self.shared.id)


@asynccontextmanager
async def scene(
    into: Path, *, data: bytes = DATA, scopes: frozenset[str] = slack.BOT_SCOPES
) -> AsyncIterator[Scene]:
    async with slack.serving() as server:
        team = server.add_workspace(scopes=scopes)
        ada = server.add_user(team, "ada")
        channel = server.add_channel(team, members=[ada])
        _, (shared,) = await server.share(channel, ada, Item(name="talk.mp3", data=data, vtt="WEBVTT\n"))
        hosts = Hosts(server.api_url)
        async with hosts.session() as session:
            workspace = Workspace(server.installation(team).token, hosts=hosts, session=session)
            yield Scene(server=server, workspace=workspace, shared=shared, into=into / "source")


@asynccontextmanager
async def answering(handler: Handler, *, size: int = 0) -> AsyncIterator[tuple[Workspace, SlackFile]]:
    """A Slack whose files are what `handler` answers."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    async with faults.serving(app) as origin:
        hosts = Hosts(f"{origin}/api/")
        async with hosts.session() as session:
            file = SlackFile(id="F1", name="talk.mp3", size=size, url=f"{origin}/files-pri/T1-F1/talk.mp3")
            yield Workspace("xoxb-secret", hosts=hosts, session=session), file


async def test_the_bytes_arrive_and_the_token_is_sent(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        await fetch(at.workspace, await at.info(), at.into, limit=LIMIT)
        assert at.into.read_bytes() == DATA
        assert at.shared.served == [("", len(DATA))]


async def test_what_lay_there_before_is_gone(tmp_path: Path) -> None:
    async with scene(tmp_path, data=b"short") as at:
        at.into.write_bytes(b"something much longer than that")
        await fetch(at.workspace, await at.info(), at.into, limit=LIMIT)
        assert at.into.read_bytes() == b"short"


async def test_a_cut_download_goes_on_where_it_was(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.shared.cuts = [300_000, 300_000, 1]
        await fetch(at.workspace, await at.info(), at.into, limit=LIMIT)
        assert at.into.read_bytes() == DATA
        asked = [range_ for range_, _ in at.shared.served]
        assert len(asked) >= 3
        assert asked[0] == ""
        assert any(range_.startswith("bytes=") for range_ in asked[1:])


async def test_a_server_that_knows_no_ranges_starts_over(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.shared.cuts = [300_000]
        at.shared.ignores_ranges = True
        await fetch(at.workspace, await at.info(), at.into, limit=LIMIT)
        assert at.into.read_bytes() == DATA


async def test_a_download_without_progress_is_given_up(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.shared.cuts = [0] * 50
        with pytest.raises(Transient, match="broke off"):
            await fetch(at.workspace, await at.info(), at.into, limit=LIMIT)
        assert len(at.shared.served) == retries.TRANSFER_TRIES


async def test_a_download_that_starts_over_for_ever_is_given_up(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.shared.cuts = [300_000] * 50
        at.shared.ignores_ranges = True
        with pytest.raises(Transient):
            await fetch(at.workspace, await at.info(), at.into, limit=LIMIT)
        assert len(at.shared.served) <= 2 * retries.TRANSFER_TRIES


@pytest.mark.parametrize("trouble", ["cut", "lost"])
async def test_a_connection_that_ends_before_an_answer_is_tried_again(tmp_path: Path, trouble: str) -> None:
    async with scene(tmp_path) as at:
        at.server.fail("download", trouble)  # type: ignore[arg-type]
        await fetch(at.workspace, await at.info(), at.into, limit=LIMIT)
        assert at.into.read_bytes() == DATA


# another file under the same address


async def cut(request: web.Request, into: Path, sent: bytes, **headers: str) -> web.StreamResponse:
    """Answer with the beginning of a file, and end once that has reached the disk."""
    response = web.StreamResponse(headers={name.replace("_", "-"): value for name, value in headers.items()})
    await response.prepare(request)
    await response.write(sent)
    async with asyncio.timeout(10):
        while into.stat().st_size < len(sent):
            await asyncio.sleep(0.005)
    assert request.transport is not None
    request.transport.close()
    return response


@pytest.mark.parametrize("new", [b"N" * 2000, b"N" * 300])
async def test_a_file_that_became_another_one_is_fetched_anew(tmp_path: Path, new: bytes) -> None:
    into, asked = tmp_path / "source", []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append((request.headers.get("Range"), request.headers.get("If-Range")))
        assert request.headers["Accept-Encoding"] == "identity"
        if len(asked) == 1:
            return await cut(request, into, b"O" * 500, Content_Length="1000", ETag='"old"')
        if len(asked) == 2 and len(new) > 500:
            headers = {"Content-Range": f"bytes 500-{len(new) - 1}/{len(new)}"}
            return web.Response(status=206, body=new[500:], headers=headers)
        return web.Response(body=new)

    async with answering(handler) as (workspace, file):
        await fetch(workspace, file, into, limit=LIMIT)
    assert into.read_bytes() == new
    assert asked[:2] == [(None, None), ("bytes=500-", '"old"')]
    assert asked[2:] in ([], [(None, None)])


async def test_a_weak_tag_names_no_bytes(tmp_path: Path) -> None:
    into, asked = tmp_path / "source", []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append((request.headers.get("Range"), request.headers.get("If-Range")))
        if len(asked) == 1:
            return await cut(request, into, b"a" * 500, Content_Length="1000", ETag='W/"old"')
        headers = {"Content-Range": "bytes 500-999/1000"}
        return web.Response(status=206, body=b"b" * 500, headers=headers)

    async with answering(handler, size=1000) as (workspace, file):
        await fetch(workspace, file, into, limit=LIMIT)
    assert into.read_bytes() == b"a" * 500 + b"b" * 500
    assert asked == [(None, None), ("bytes=500-", None)]


@pytest.mark.parametrize(
    ("status", "content_range"),
    [
        (206, "bytes 0-999/1000"),
        (206, "bytes 501-999/1000"),
        (206, "bytes 499-999/1000"),
        (206, "bytes 500-999/1001"),
        (206, "bytes 500-999/*"),
        (206, "items 500-999/1000"),
        (206, ""),
        (416, "bytes */400"),
        (204, ""),
    ],
)
async def test_a_wrong_part_is_not_put_together(tmp_path: Path, status: int, content_range: str) -> None:
    into, whole = tmp_path / "source", b"A" * 500 + b"B" * 500
    asked: list[str | None] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("Range"))
        if len(asked) == 1:
            return await cut(request, into, whole[:500], Content_Length="1000")
        if len(asked) == 2:
            body = b"" if status == 204 else b"X" * 500
            return web.Response(status=status, body=body, headers={"Content-Range": content_range})
        return web.Response(body=whole)

    async with answering(handler, size=1000) as (workspace, file):
        await fetch(workspace, file, into, limit=LIMIT)
    assert into.read_bytes() == whole
    assert asked == [None, "bytes=500-", None]


# turned away


@pytest.mark.parametrize("how", ["redirect", "page"])
async def test_a_sign_in_page_names_the_scope(tmp_path: Path, how: str) -> None:
    async with scene(tmp_path) as at:
        file = await at.info()
        at.server.installation(at.shared.team).scopes = slack.BOT_SCOPES - {"files:read"}
        at.server.api.sign_in = how  # type: ignore[assignment]
        with pytest.raises(Denied, match="files:read") as error:
            await fetch(at.workspace, file, at.into, limit=LIMIT)
        assert "not in the channel" in str(error.value)
        assert at.workspace.calls.token not in str(error.value)
        assert at.into.read_bytes() == b""


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><html><body>Sign in</body></html>",
        b"\n  <!-- Slack -->\n<HTML>",
        b"<!doctype html>" + b"x" * 600_000,
    ],
)
async def test_a_page_that_is_called_a_recording_is_still_a_page(tmp_path: Path, page: bytes) -> None:
    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=page, content_type="audio/mpeg")

    async with answering(handler) as (workspace, file):
        with pytest.raises(Denied):
            await fetch(workspace, file, tmp_path / "source", limit=LIMIT)


@pytest.mark.parametrize("kind", ["audio/mpeg", "text/html"])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("more", "right"), [(0, True), (1, False), (-1, False)])
async def test_a_page_of_just_the_announced_size_is_the_file(
    tmp_path: Path, kind: str, chunked: bool, more: int, right: bool
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if not chunked:
            return web.Response(body=PAGE, content_type=kind)
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        await response.write(PAGE)
        return response

    async with answering(handler, size=len(PAGE) + more) as (workspace, file):
        if right:
            await fetch(workspace, file, tmp_path / "source", limit=LIMIT)
            assert (tmp_path / "source").read_bytes() == PAGE
        else:
            with pytest.raises(ErniError, match=r"sign-in page|announced"):
                await fetch(workspace, file, tmp_path / "source", limit=LIMIT)


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (Fault(status=401), Denied, "files:read"),
        (Fault(status=403, body="<html>", content_type="text/html"), Denied, "files:read"),
        (Fault(status=404, body="<html>", content_type="text/html"), Gone, "deleted"),
        (Fault(status=410), Gone, "deleted"),
        (Fault(status=429, headers={"Retry-After": "90"}), Transient, "429"),
        (Fault(status=200, body="<html>", content_type="text/html"), Denied, "sign-in page"),
        (Fault(status=200, body="abc", headers={"Content-Encoding": "br"}), Transient, "packed"),
    ],
)
async def test_other_answers_have_their_kinds(
    tmp_path: Path, fault: Fault, kind: type[ErniError], said: str
) -> None:
    async with scene(tmp_path) as at:
        at.server.fail("download", fault)
        with pytest.raises(kind, match=said) as error:
            await fetch(at.workspace, await at.info(), at.into, limit=LIMIT)
        if isinstance(error.value, Transient) and fault.status == 429:
            assert error.value.retry_after == 90.0


async def test_a_busy_server_is_asked_again_for_a_while(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.server.fail("download", Fault(status=503), Fault(status=429, headers={"Retry-After": "0"}))
        await fetch(at.workspace, await at.info(), at.into, limit=LIMIT)
        assert at.into.read_bytes() == DATA
        at.server.fail("download", *[Fault(status=500)] * 10)
        with pytest.raises(Transient, match="500"):
            await fetch(at.workspace, await at.info(), at.into, limit=LIMIT)


async def test_a_file_deleted_meanwhile_is_gone(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        file = await at.info()
        await at.server.delete_file(at.shared)
        with pytest.raises(Gone):
            await fetch(at.workspace, file, at.into, limit=LIMIT)


# sizes


async def test_a_wrong_announcement_is_said_with_both_numbers(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        file = await at.info()
        for wrong in (replace(file, size=len(DATA) - 1), replace(file, size=len(DATA) + 1)):
            with pytest.raises(Transient, match=f"announced {wrong.size:,} bytes and sends {len(DATA):,}"):
                await fetch(at.workspace, wrong, at.into, limit=LIMIT)
        at.shared.announces = len(DATA) + 10
        with pytest.raises(Transient, match="announced"):
            await fetch(at.workspace, file, at.into, limit=LIMIT)


@pytest.mark.parametrize(("sent", "right"), [(1000, True), (999, False), (1001, False)])
async def test_without_a_length_the_announcement_counts(tmp_path: Path, sent: int, right: bool) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()  # chunked
        await response.prepare(request)
        await response.write(b"x" * sent)
        return response

    async with answering(handler, size=1000) as (workspace, file):
        if right:
            await fetch(workspace, file, tmp_path / "source", limit=LIMIT)
        else:
            with pytest.raises(Transient):
                await fetch(workspace, file, tmp_path / "source", limit=LIMIT)


async def test_what_is_too_big_is_not_fetched(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        file = await at.info()
        for announced in (file, replace(file, size=0)):
            with pytest.raises(Rejected, match="larger than the limit"):
                await fetch(at.workspace, announced, at.into, limit=len(DATA) - 1)
        assert [length for _, length in at.shared.served] in ([], [len(DATA)])
        assert at.into.stat().st_size == 0


async def test_what_grows_without_end_is_left_at_the_limit(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 100_000)

    async with answering(handler) as (workspace, file):
        with pytest.raises(Rejected, match="larger than the limit"):
            await fetch(workspace, file, tmp_path / "source", limit=1_000_000)
    assert (tmp_path / "source").stat().st_size <= 1_000_000


async def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    async with scene(tmp_path, data=b"") as at:
        with pytest.raises(Rejected, match="empty"):
            await fetch(at.workspace, await at.info(), at.into, limit=LIMIT)


async def test_memory_stays_flat(tmp_path: Path) -> None:
    block, count = b"\x00" * 2**20, 48

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(count * len(block))})
        await response.prepare(request)
        for _ in range(count):
            await response.write(block)
        return response

    async with answering(handler, size=count * len(block)) as (workspace, file):
        tracemalloc.start()
        try:
            await fetch(workspace, file, tmp_path / "source", limit=count * len(block))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert (tmp_path / "source").stat().st_size == count * len(block)
    assert peak < 16 * 2**20


# redirects


async def test_redirects_within_slack_are_followed(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        file = await at.info()
        at.shared.redirects = [file.url] * 4 + ["/" + file.url.split("/", 3)[3]]
        await fetch(at.workspace, file, at.into, limit=LIMIT)
        assert at.into.read_bytes() == DATA
        at.shared.redirects = [file.url] * 50
        with pytest.raises(Transient, match="redirects"):
            await fetch(at.workspace, file, at.into, limit=LIMIT)
        assert len(at.shared.redirects) == 44


async def test_no_other_host_on_this_machine_or_network_is_asked(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        file = await at.info()
        for there in (
            f"{at.server.elsewhere}/talk.mp3",
            at.server.elsewhere.replace("http:", "https:"),
            "https://localhost:1/talk.mp3",
            "https://169.254.169.254/latest/meta-data/",
            "https://[::ffff:10.0.0.1]/x",
            "http://files.slack.com/talk.mp3",
            "file:///etc/passwd",
            "http://[",
        ):
            at.shared.redirects = [there]
            with pytest.raises(Transient) as error:
                await fetch(at.workspace, file, at.into, limit=LIMIT)
            # Nothing was tried with the token, not even where the session would have stopped it.
            assert "token" not in str(error.value)
            outside = replace(file, url=there)
            at.shared.redirects = []
            with pytest.raises(Transient):
                await fetch(at.workspace, outside, at.into, limit=LIMIT)
        assert at.server.strays == []


# files that can not be fetched


@pytest.mark.parametrize(
    ("fields", "kind", "said"),
    [
        ({"mode": "tombstone"}, Gone, "deleted"),
        ({"mode": "hidden_by_limit"}, Rejected, "hides"),
        (
            {"mode": "external", "is_external": True, "url_private": "https://evil.example/"},
            Rejected,
            "links",
        ),
        ({"mode": "file_access", "file_access": "check_file_info"}, Transient, "does not say"),
    ],
)
async def test_some_files_have_no_bytes(
    tmp_path: Path, fields: dict[str, object], kind: type[ErniError], said: str
) -> None:
    async with scene(tmp_path) as at:
        with pytest.raises(kind, match=said):
            await fetch(at.workspace, SlackFile.from_payload({"id": "F1", **fields}), at.into, limit=LIMIT)


async def test_a_full_disk_may_pass(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    for data in (DATA, b"a few bytes"):
        async with scene(tmp_path, data=data) as at:
            with pytest.raises(Transient, match="can't be written"):
                await fetch(at.workspace, await at.info(), Path("/dev/full"), limit=LIMIT)


async def test_cancelling_ends_it(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        hold = at.server.hold("download")
        task = asyncio.create_task(fetch(at.workspace, await at.info(), at.into, limit=LIMIT))
        await hold.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        hold.release()


async def test_subtitles_of_a_clip(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        file = await at.info()
        assert await fetch_text(at.workspace, file.vtt) == "WEBVTT\n"
        with pytest.raises(Rejected):
            await fetch_text(at.workspace, file.vtt, limit=3)
