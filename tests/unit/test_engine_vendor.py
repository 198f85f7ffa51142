"""The HTTP client that vendors' engines share, against a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from core.engines import vendor
from core.engines.vendor import Vendor, awaited, retry_after
from core.errors import AuthFailed, ErniError, Misconfigured, QuotaExhausted, Rejected, Transient

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[tuple[str, list[web.Request]]]:
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


@asynccontextmanager
async def talking(url: str) -> AsyncIterator[Vendor]:
    client = Vendor("Acme", f"{url}/v1/", {"Authorization": "Bearer secret"}, timeout=5)
    try:
        yield client
    finally:
        await client.close()


def saying(status: int, body: str = "{}", **headers: str) -> Handler:
    async def handler(_request: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=body, headers=named)

    return handler


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, '{"error": {"code": "insufficient_quota"}}', QuotaExhausted),
        (401, "{}", AuthFailed),
        (402, "{}", QuotaExhausted),
        (403, "<html>no</html>", AuthFailed),
        (404, "{}", Misconfigured),
        (413, "too large", Rejected),
        (422, "{}", Rejected),
        (302, "", Transient),
        (504, "<html>", Transient),
        (200, "<html>Sign in</html>", Transient),
    ],
)
async def test_every_answer_has_its_kind(status: int, body: str, kind: type[ErniError]) -> None:
    async with serving(saying(status, body)) as (url, _), talking(url) as client:
        with pytest.raises(kind) as error:
            await client.call("POST", "jobs", body={})
        assert type(error.value) is kind
        assert "secret" not in str(error.value)
        assert "Acme" in str(error.value)


async def test_an_answer_is_json_and_an_empty_one_is_none() -> None:
    async with serving(saying(200, '{"a": [1]}')) as (url, seen), talking(url) as client:
        assert await client.call("GET", "jobs/1") == {"a": [1]}
        assert seen[0].path == "/v1/jobs/1"
        assert seen[0].headers["Authorization"] == "Bearer secret"
    async with serving(saying(204, "")) as (url, _), talking(url) as client:
        assert await client.call("DELETE", "/jobs/1") is None


async def test_a_busy_vendor_is_asked_again_after_the_wait_it_names() -> None:
    answers = [saying(429, "{}", Retry_After="0.05"), saying(503), saying(200, '"done"')]

    async def handler(request: web.Request) -> web.StreamResponse:
        return await answers.pop(0)(request)

    async with serving(handler) as (url, seen), talking(url) as client:
        assert await client.call("POST", "jobs", body={}) == "done"
        assert len(seen) == 3


async def test_a_long_wait_is_the_callers_to_plan() -> None:
    async with serving(saying(429, "{}", Retry_After="120")) as (url, seen), talking(url) as client:
        with pytest.raises(Transient) as error:
            await client.call("POST", "jobs", body={})
        assert error.value.retry_after == 120
        assert len(seen) == 1


@pytest.mark.parametrize(("method", "requests"), [("GET", 4), ("POST", 1)])
async def test_what_may_have_been_done_is_not_done_twice(
    method: str, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: -0.5)  # no waits

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async with serving(handler) as (url, seen), talking(url) as client:
        with pytest.raises(Transient, match="broke off"):
            await client.call(method, "jobs")
        assert len(seen) == requests


async def test_nobody_there() -> None:
    async with serving(saying(200)) as (url, _):
        pass
    async with talking(url) as client:
        with pytest.raises(Transient, match="can't be reached"):
            await client.call("POST", "jobs", body={})


async def test_the_key_goes_to_its_origin_only(tmp_path: Path) -> None:
    path = tmp_path / "piece.ogg"
    path.write_bytes(b"OggS" + bytes(600_000))

    async def redirect(_request: web.Request) -> web.Response:
        raise web.HTTPFound(elsewhere)

    async def read(request: web.Request) -> web.Response:
        return web.json_response(len(await request.read()))

    async with serving(read) as (elsewhere, seen), serving(redirect) as (url, _), talking(url) as client:
        with pytest.raises(Transient, match="redirect"):
            await client.call("GET", "jobs")
        assert seen == []
        assert await client.call("PUT", f"{elsewhere}/presigned?token=x", upload=path) == 600_004
        assert "Authorization" not in seen[0].headers
        assert seen[0].headers["Content-Length"] == "600004"


async def test_it_opens_again_after_closing() -> None:
    async with serving(saying(200, "1")) as (url, _), talking(url) as client:
        assert await client.call("GET", "a") == 1
        await client.close()
        await client.close()
        assert await client.call("GET", "a") == 1


async def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor, "_ANSWER_BYTES", 1000)
    async with serving(saying(200, '"' + "x" * 2000 + '"')) as (url, _), talking(url) as client:
        with pytest.raises(Transient, match="too much"):
            await client.call("POST", "a")


@pytest.mark.parametrize("url", ["api.example.com", "ftp://example.com", "", "http://"])
def test_an_address_that_is_none_names_the_vendor(url: str) -> None:
    with pytest.raises(Misconfigured, match="Acme"):
        Vendor("Acme", url, {})


def test_retry_after_is_a_number_or_a_date() -> None:
    now = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC).timestamp()
    assert retry_after("7") == 7
    assert retry_after("Tue, 24 Nov 2026 12:00:30 GMT", now) == 30
    assert retry_after("Tue, 24 Nov 2026 11:00:30 GMT", now) == 0
    assert retry_after("soon") is None
    assert retry_after(None) is None
    assert retry_after("1e99") == 86400


class Bell:
    """Hooks that ring at once, or never."""

    def __init__(self, *, rings: bool) -> None:
        self.rings = rings
        self.waited: list[float] = []

    def url(self, _vendor: str) -> str:
        return "https://erni.example/webhooks/acme"

    async def wait(self, _vendor: str, _job: str, seconds: float) -> bool:
        self.waited.append(seconds)
        return self.rings


async def test_a_job_is_asked_for_until_it_is_done() -> None:
    answers: list[str | Exception | None] = [None, Transient("busy"), None, "done"]

    async def ask() -> str | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await awaited(ask, hooks=None, vendor="acme", job="1", first=0.001, longest=0.01) == "done"


async def test_a_hook_only_wakes_the_one_who_asks() -> None:
    answers = [None, None, "done"]

    async def ask() -> str | None:
        return answers.pop(0)

    bell = Bell(rings=True)
    assert await awaited(ask, hooks=bell, vendor="acme", job="1", first=0.001, longest=30) == "done"
    assert bell.waited == [30, 30]


async def test_trouble_in_a_row_ends_the_asking() -> None:
    async def ask() -> str | None:
        raise Transient("down")

    with pytest.raises(Transient):
        await awaited(ask, hooks=None, vendor="acme", job="1", first=0.001, longest=0.002, troubles=3)
