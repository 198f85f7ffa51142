"""Fetching weights from a real HTTP server on this machine that behaves as badly as servers do."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pytest
from aiohttp import web

from core import downloads, models
from core.engines import catalogue
from core.engines.catalogue import ModelFile, ModelSet
from core.errors import Misconfigured, Transient

BIG = random.Random(7).randbytes(3 * 2**20 + 123)
SMALL = b'{"a": 1}'


def a_file(name: str, content: bytes) -> ModelFile:
    return ModelFile(
        name=name,
        path=f"org/repo/resolve/rev/{name}",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        licence="MIT",
    )


@pytest.fixture(autouse=True)
def catalogued(monkeypatch: pytest.MonkeyPatch) -> None:
    item = ModelSet(
        name="toy",
        purpose="speech",
        folder="whisper-toy",
        description="For tests.",
        files=(a_file("config.json", SMALL), a_file("model.bin", BIG)),
        memory_bytes=1,
    )
    table = MappingProxyType({"toy": item})
    for module in (catalogue, models):
        monkeypatch.setattr(module, "SETS", table)
    for variable in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)


Behaviour = Callable[[web.Request, bytes], web.StreamResponse | None]


@dataclass
class Hub:
    """Serves two files with Range and ETag; `behave` may answer first; `cut` breaks bodies off."""

    url: str = ""
    content: dict[str, bytes] = field(default_factory=lambda: {"config.json": SMALL, "model.bin": BIG})
    tag: str = '"v1"'
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    behave: Behaviour = lambda _request, _content: None
    seen: list[tuple[str, str | None, int]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name = request.path.rsplit("/", 1)[-1]
        content = self.content[name]
        special = self.behave(request, content)
        if special is not None:
            self.seen.append((name, request.headers.get("Range"), special.status))
            return special
        start, status = 0, 200
        asked = request.headers.get("Range")
        if asked and self.ranges and request.headers.get("If-Range", self.tag) == self.tag:
            start, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
            if start >= len(content):
                self.seen.append((name, asked, 416))
                return web.Response(status=416)
        self.seen.append((name, asked, status))
        body = content[start:]
        response = web.StreamResponse(
            status=status, headers={"ETag": self.tag, "Content-Length": str(len(body))}
        )
        if status == 206:
            response.headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        await response.prepare(request)
        if name == "model.bin" and self.cuts:
            await response.write(body[: self.cuts.pop(0)])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(body)
        return response


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    hub = Hub()
    app = web.Application()
    app.router.add_get("/{path:.*}", hub.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    hub.url = f"http://{host}:{port}"
    yield hub
    await runner.cleanup()


@dataclass
class Waits:
    slept: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


def ignore(_file: ModelFile, _received: int, _total: int) -> None:
    pass


async def get(hub: Hub, folder: Path, waits: Waits | None = None) -> None:
    await models.fetch("toy", folder, ignore, base_url=hub.url, sleep=waits or Waits())


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (folder / "whisper-toy").iterdir() if p.name != ".lock"}


async def test_a_fetch_brings_every_file_whole_and_leaves_nothing_else(hub: Hub, tmp_path: Path) -> None:
    reports: list[tuple[str, int, int]] = []
    assert not models.installed(tmp_path, "toy")
    await models.fetch(
        "toy",
        tmp_path,
        lambda file, received, total: reports.append((file.name, received, total)),
        base_url=hub.url + "/",
    )
    assert content(tmp_path) == {"config.json": SMALL, "model.bin": BIG}
    assert models.installed(tmp_path, "toy")
    assert await models.verify(tmp_path, "toy") == ()
    grown = [received for name, received, _ in reports if name == "model.bin"]
    assert grown == sorted(grown)
    assert ("model.bin", len(BIG), len(BIG)) in reports


async def test_a_second_fetch_asks_the_server_for_nothing(hub: Hub, tmp_path: Path) -> None:
    await get(hub, tmp_path)
    asked = len(hub.seen)
    await get(hub, tmp_path)
    assert len(hub.seen) == asked


async def test_a_cut_connection_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    hub.cuts = [1_500_000, 700_000]
    waits = Waits()
    await get(hub, tmp_path, waits)
    assert content(tmp_path)["model.bin"] == BIG
    asked = [(asked, status) for name, asked, status in hub.seen if name == "model.bin"]
    assert [status for _, status in asked] == [200, 206, 206]
    assert asked[0][0] is None
    assert all(text is not None for text, _ in asked[1:])
    assert len(waits.slept) == 2


async def test_an_interrupted_fetch_is_taken_up_by_the_next_one(hub: Hub, tmp_path: Path) -> None:
    reached = asyncio.Event()

    def report(file: ModelFile, received: int, _total: int) -> None:
        if file.name == "model.bin" and received:
            reached.set()

    async def wait_for_ever(_seconds: float) -> None:
        await asyncio.Event().wait()

    hub.cuts = [2_000_000]
    first = asyncio.create_task(models.fetch("toy", tmp_path, report, base_url=hub.url, sleep=wait_for_ever))
    await reached.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (tmp_path / "whisper-toy" / "model.bin.part").stat().st_size > 0
    assert not models.installed(tmp_path, "toy")
    await get(hub, tmp_path)
    assert content(tmp_path) == {"config.json": SMALL, "model.bin": BIG}
    assert hub.seen[-1][2] in {206, 200}


async def test_a_part_of_another_version_is_not_glued_to_the_new_one(hub: Hub, tmp_path: Path) -> None:
    place = tmp_path / "whisper-toy"
    place.mkdir()
    (place / "model.bin.part").write_bytes(b"x" * 1000)
    (place / "model.bin.etag").write_text('"v0"')
    await get(hub, tmp_path)
    assert content(tmp_path)["model.bin"] == BIG
    assert ("model.bin", "bytes=1000-", 200) in hub.seen


async def test_a_damaged_part_without_a_version_is_fetched_anew_once(hub: Hub, tmp_path: Path) -> None:
    place = tmp_path / "whisper-toy"
    place.mkdir()
    (place / "model.bin.part").write_bytes(b"x" * 1000)
    await get(hub, tmp_path)
    assert content(tmp_path)["model.bin"] == BIG


async def test_a_part_longer_than_the_file_is_thrown_away(hub: Hub, tmp_path: Path) -> None:
    place = tmp_path / "whisper-toy"
    place.mkdir()
    (place / "model.bin.part").write_bytes(b"x" * (len(BIG) + 1))
    await get(hub, tmp_path)
    assert content(tmp_path)["model.bin"] == BIG


async def test_a_server_without_ranges_still_works(hub: Hub, tmp_path: Path) -> None:
    hub.ranges = False
    hub.cuts = [1_000_000]
    await get(hub, tmp_path)
    assert content(tmp_path)["model.bin"] == BIG


async def test_a_damaged_file_is_repaired(hub: Hub, tmp_path: Path) -> None:
    await get(hub, tmp_path)
    path = tmp_path / "whisper-toy" / "model.bin"
    path.write_bytes(b"\0" + BIG[1:])
    assert models.installed(tmp_path, "toy")  # sizes alone can't tell
    assert "damaged" in (await models.verify(tmp_path, "toy"))[0]
    await get(hub, tmp_path)
    assert path.read_bytes() == BIG


async def test_wrong_bytes_are_never_installed(hub: Hub, tmp_path: Path) -> None:
    hub.content["model.bin"] = b"\0" + BIG[1:]
    with pytest.raises(Misconfigured, match="SHA-256 is wrong"):
        await get(hub, tmp_path)
    assert "model.bin" not in content(tmp_path)


async def test_a_body_longer_than_published_stops_early(hub: Hub, tmp_path: Path) -> None:
    hub.content["model.bin"] = BIG + b"x" * 5_000_000
    with pytest.raises(Misconfigured, match="more than the"):
        await get(hub, tmp_path)
    assert "model.bin" not in content(tmp_path)


async def test_a_file_shorter_than_published_is_an_error(hub: Hub, tmp_path: Path) -> None:
    hub.content["model.bin"] = BIG[:1000]
    with pytest.raises(Transient):
        await get(hub, tmp_path)
    assert not models.installed(tmp_path, "toy")


async def test_a_web_page_in_place_of_weights_is_told_apart(hub: Hub, tmp_path: Path) -> None:
    hub.behave = lambda _r, _c: web.Response(text="<html>Please sign in</html>", content_type="text/html")
    with pytest.raises(Misconfigured, match=r"web page instead of config\.json"):
        await get(hub, tmp_path)
    assert content(tmp_path) == {}


async def test_a_missing_file_names_its_address(hub: Hub, tmp_path: Path) -> None:
    hub.behave = lambda _r, _c: web.Response(status=404)
    with pytest.raises(Misconfigured, match=r"org/repo/resolve/rev/config\.json answers with HTTP 404"):
        await get(hub, tmp_path)


async def test_redirects_are_followed_with_the_range(hub: Hub, tmp_path: Path) -> None:
    def behave(request: web.Request, _content: bytes) -> web.StreamResponse | None:
        if not request.path.startswith("/cdn/"):
            raise web.HTTPFound(f"/cdn{request.path}")
        return None

    hub.behave = behave
    hub.cuts = [1_000_000]
    await get(hub, tmp_path)
    assert content(tmp_path)["model.bin"] == BIG
    assert hub.seen[-1][2] == 206


@pytest.mark.parametrize(("status", "header", "wait"), [(429, "7", 7.0), (503, "3", 3.0), (503, None, 1.0)])
async def test_a_busy_server_is_waited_for_as_it_asks(
    hub: Hub, tmp_path: Path, status: int, header: str | None, wait: float
) -> None:
    left = [1]

    def behave(_request: web.Request, _content: bytes) -> web.StreamResponse | None:
        if left.pop() if left else 0:
            return web.Response(status=status, headers={"Retry-After": header} if header else {})
        return None

    hub.behave = behave
    waits = Waits()
    await get(hub, tmp_path, waits)
    assert waits.slept == [wait]
    assert models.installed(tmp_path, "toy")


async def test_a_server_that_stays_busy_ends_with_what_to_do_by_hand(hub: Hub, tmp_path: Path) -> None:
    hub.behave = lambda _r, _c: web.Response(status=503, headers={"Retry-After": "99999"})
    waits = Waits()
    with pytest.raises(Transient) as raised:
        await get(hub, tmp_path, waits)
    text = str(raised.value)
    assert "HTTP 503" in text
    assert f"{hub.url}/org/repo/resolve/rev/model.bin" in text
    assert str(tmp_path / "whisper-toy") in text
    assert "MODELS_DIR" in text
    assert max(waits.slept) <= 120
    assert len(waits.slept) == 5


async def test_no_network_says_how_to_copy_the_files(tmp_path: Path) -> None:
    with pytest.raises(Transient, match="can't be reached") as raised:
        await models.fetch("toy", tmp_path, ignore, base_url="http://127.0.0.1:1", sleep=Waits())
    assert "model.bin" in str(raised.value)


async def test_the_proxy_of_the_environment_is_used(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", hub.url)
    await models.fetch("toy", tmp_path, ignore, base_url="http://models.invalid", sleep=Waits())
    assert models.installed(tmp_path, "toy")


async def test_two_fetches_do_not_write_one_file(hub: Hub, tmp_path: Path) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def held(_seconds: float) -> None:
        entered.set()
        await leave.wait()

    hub.cuts = [10]
    first = asyncio.create_task(models.fetch("toy", tmp_path, ignore, base_url=hub.url, sleep=held))
    await entered.wait()
    with pytest.raises(Transient, match="Another process is fetching toy"):
        await get(hub, tmp_path)
    leave.set()
    await first
    assert models.installed(tmp_path, "toy")
    await get(hub, tmp_path)  # the lock is free again


async def test_a_full_disk_is_said_before_the_first_byte(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "_SPARE", 2**62)
    with pytest.raises(Misconfigured, match="Make room, or set MODELS_DIR"):
        await get(hub, tmp_path)
    assert hub.seen == []


async def test_a_folder_that_cannot_be_written_is_named(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="can't be written"):
        await get(hub, tmp_path / "file")


async def test_an_unknown_model_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="There are: toy"):
        await models.fetch("huge", tmp_path, ignore)


def test_problems_name_each_file(tmp_path: Path) -> None:
    place = tmp_path / "whisper-toy"
    place.mkdir()
    (place / "config.json").write_bytes(SMALL)
    (place / "model.bin").write_bytes(b"short")
    assert models.problems(tmp_path, "toy") == (
        f"whisper-toy/model.bin has 5 bytes instead of {len(BIG):,} bytes.",
    )


def test_a_folder_of_ones_own_needs_only_the_right_files(tmp_path: Path) -> None:
    own = tmp_path / "mine"
    own.mkdir()
    for name in ("config.json", "model.bin"):
        (own / name).write_bytes(b"x")
    assert models.problems(tmp_path, "mine") == ("mine/tokenizer.json is missing.",)
    (own / "tokenizer.json").write_bytes(b"")
    assert models.problems(tmp_path, "mine") == ("mine/tokenizer.json has 0 bytes instead of weights.",)
    assert len(models.problems(tmp_path, "mine", "speakers")) == 2


def test_an_abandoned_part_counts_towards_the_room_needed(tmp_path: Path) -> None:
    (tmp_path / "model.bin.part").write_bytes(b"12345")
    assert downloads.bytes_so_far(tmp_path, a_file("model.bin", BIG)) == 5
    assert downloads.bytes_so_far(tmp_path, a_file("config.json", SMALL)) == 0
