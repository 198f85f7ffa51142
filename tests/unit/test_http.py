"""The HTTP server, spoken to over real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter

from core.errors import AuthFailed, Misconfigured
from core.http import HttpServer, Probe, Probes, is_ready
from core.ports import Readiness

LONG = 3600.0


async def usable() -> Readiness:
    return Readiness(usable=True)


async def unusable() -> Readiness:
    return Readiness(usable=False, reason="No weights.", remedy="Run erni-audio models fetch.")


async def never() -> Readiness:
    await asyncio.Event().wait()
    raise AssertionError


def server(
    probes: Mapping[str, Probe] | None = None, registry: CollectorRegistry | None = None, **options: Any
) -> HttpServer:
    return HttpServer(port=0, probes=probes or {}, registry=registry or CollectorRegistry(), **options)


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_alive_without_asking_any_part(client: aiohttp.ClientSession) -> None:
    async with (
        server({"store": never}) as http,
        client.get(f"http://127.0.0.1:{http.port}/healthz") as answer,
    ):
        assert answer.status == 200
        assert await answer.json() == {"status": "ok"}


async def test_ready_names_every_part(client: aiohttp.ClientSession) -> None:
    async with (
        server({"store": usable, "adapter folder": unusable}) as http,
        client.get(f"http://127.0.0.1:{http.port}/readyz") as answer,
    ):
        assert answer.status == 503
        assert await answer.json() == {
            "store": {"usable": True, "reason": "", "remedy": ""},
            "adapter folder": {
                "usable": False,
                "reason": "No weights.",
                "remedy": "Run erni-audio models fetch.",
            },
        }


@pytest.mark.parametrize(
    ("probes", "status"),
    [
        ({}, 200),
        ({"store": usable, "engine local": unusable, "engine draft": usable}, 200),
        ({"store": usable, "engine local": unusable, "engine draft": unusable}, 503),
        ({"store": unusable, "engine draft": usable}, 503),
        ({"adapter a": usable, "adapter b": unusable}, 503),
    ],
)
async def test_ready_needs_every_part_but_one_engine(
    client: aiohttp.ClientSession, probes: Mapping[str, Probe], status: int
) -> None:
    async with (
        server(probes) as http,
        client.get(f"http://127.0.0.1:{http.port}/readyz") as answer,
    ):
        assert answer.status == status


@given(st.dictionaries(st.text(), st.booleans()))
def test_without_alternatives_ready_means_all(parts: dict[str, bool]) -> None:
    readiness = {name: Readiness(usable=value) for name, value in parts.items()}
    assert is_ready(readiness, ()) == all(parts.values())


async def test_probes_run_at_the_same_time() -> None:
    barrier = asyncio.Barrier(3)

    async def meet() -> Readiness:
        await barrier.wait()  # passes only if all three are under way
        return Readiness(usable=True)

    async with asyncio.timeout(30):
        parts = await Probes({"a": meet, "b": meet, "c": meet}).parts()
    assert all(part.usable for part in parts.values())


async def test_many_callers_cost_one_call_per_period() -> None:
    now, calls = 0.0, 0

    async def counted() -> Readiness:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        return Readiness(usable=True)

    probes = Probes({"vendor": counted}, cache_seconds=5.0, clock=lambda: now)
    await asyncio.gather(*(probes.parts() for _ in range(50)))
    assert calls == 1
    now = 4.9
    await probes.parts()
    assert calls == 1
    now = 5.0
    await probes.parts()
    assert calls == 2


async def test_a_silent_part_is_unusable_and_holds_up_no_other() -> None:
    parts = await Probes({"silent": never, "store": usable}, probe_seconds=0.01).parts()
    assert not parts["silent"].usable
    assert "did not answer within 0.01 s" in parts["silent"].reason
    assert parts["store"].usable


async def test_own_errors_are_said_and_foreign_ones_are_not() -> None:
    async def own() -> Readiness:
        raise AuthFailed("The token lacks files:read.")

    async def foreign() -> Readiness:
        raise RuntimeError("GET https://vendor.test/?token=hush")

    parts = await Probes({"own": own, "foreign": foreign}).parts()
    assert parts["own"].reason == "The token lacks files:read."
    assert "RuntimeError" in parts["foreign"].reason
    assert "hush" not in json.dumps([part.reason + part.remedy for part in parts.values()])


async def test_a_caller_that_gives_up_does_not_spoil_the_answer_for_others() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow() -> Readiness:
        asked.set()
        await answer.wait()
        return Readiness(usable=True)

    probes = Probes({"slow": slow}, probe_seconds=LONG)
    first = asyncio.create_task(probes.parts())
    await asked.wait()
    second = asyncio.create_task(probes.parts())
    first.cancel()
    answer.set()
    assert (await second)["slow"].usable
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_metrics_of_the_given_registry_only(client: aiohttp.ClientSession) -> None:
    registry = CollectorRegistry()
    Counter("erni_test", "A test.", registry=registry).inc(3)
    async with (
        server(registry=registry) as http,
        client.get(f"http://127.0.0.1:{http.port}/metrics") as answer,
    ):
        text = await answer.text()
        assert answer.status == 200
        assert "erni_test_total 3.0" in text
        assert "python_info" not in text


async def test_adapters_bring_routes_and_bodies_are_limited(client: aiohttp.ClientSession) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async with server(routes=[web.post("/slack/events", echo)], body_bytes=1000) as http:
        url = f"http://127.0.0.1:{http.port}/slack/events"
        async with client.post(url, data=b"x" * 1000) as answer:
            assert answer.status == 200
            assert await answer.read() == b"x" * 1000
        async with client.post(url, data=b"x" * 1001) as answer:
            assert answer.status == 413

        async def unannounced() -> AsyncIterator[bytes]:
            for _ in range(11):
                yield b"x" * 100

        async with client.post(url, data=unannounced()) as answer:
            assert answer.status == 413


async def test_a_request_that_never_ends_is_ended() -> None:
    async def read(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async with server(routes=[web.post("/hook", read)], request_seconds=0.05) as http:
        reader, writer = await asyncio.open_connection("127.0.0.1", http.port)
        writer.write(b"POST /hook HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx")
        await writer.drain()
        assert b" 503 " in await reader.readline()
        writer.close()
        await writer.wait_closed()


async def test_headers_tell_browsers_nothing_and_forbid_much(client: aiohttp.ClientSession) -> None:
    async with server() as http:
        for path in ("/healthz", "/no-such-page"):
            async with client.get(f"http://127.0.0.1:{http.port}{path}") as answer:
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Cache-Control"] == "no-store"
                assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
                assert answer.headers["Server"] == "erni-audio"


async def test_the_access_log_holds_no_query_path_or_client(
    client: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    async def hook(request: web.Request) -> web.Response:
        return web.Response()

    with caplog.at_level(logging.DEBUG, "core.http"):
        async with server(routes=[web.get("/hook/{secret}", hook)]) as http:
            for path in ("/hook/hush?token=hush", "/hush?token=hush", "/healthz?token=hush"):
                async with client.get(f"http://127.0.0.1:{http.port}{path}"):
                    pass
    lines = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert any(level == logging.INFO and "GET /hook/{secret} 200" in line for level, line in lines)
    assert any("GET (no route) 404" in line for _, line in lines)
    assert any(level == logging.DEBUG and "GET /healthz 200" in line for level, line in lines)
    assert all("hush" not in line and "127.0.0.1" not in line for _, line in lines)


async def test_a_failing_webhook_answers_500_without_details(client: aiohttp.ClientSession) -> None:
    async def broken(request: web.Request) -> web.Response:
        raise RuntimeError("hush")

    async with (
        server(routes=[web.get("/hook", broken)]) as http,
        client.get(f"http://127.0.0.1:{http.port}/hook") as answer,
    ):
        assert answer.status == 500
        assert "hush" not in await answer.text()


async def test_a_taken_port_names_the_variable() -> None:
    async with server() as first:
        second = HttpServer(port=first.port, probes={}, registry=CollectorRegistry())
        with pytest.raises(Misconfigured, match="ERNI_HTTP_PORT"):
            await second.start()
        await second.stop()


async def test_an_address_of_another_machine_names_the_variable() -> None:
    with pytest.raises(Misconfigured, match="ERNI_HTTP_HOST"):
        await server(host="192.0.2.1").start()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a second loopback address")
@pytest.mark.parametrize("host", ["127.0.0.1", ""])
async def test_listens_on_loopback_alone(host: str) -> None:
    async with server(host=host) as http:
        with socket.socket() as other:
            other.bind(("127.0.0.2", http.port))  # is free: the server has not taken every address


async def test_stops_after_running_requests_and_may_stop_twice(client: aiohttp.ClientSession) -> None:
    entered, go = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        entered.set()
        await go.wait()
        return web.Response(text="done")

    http = server(routes=[web.get("/slow", slow)])
    await http.start()
    url = f"http://127.0.0.1:{http.port}"

    async def ask() -> str:
        async with client.get(f"{url}/slow") as answer:
            return await answer.text()

    asking = asyncio.create_task(ask())
    await entered.wait()
    stopping = asyncio.create_task(http.stop())
    await asyncio.sleep(0)
    go.set()
    assert await asking == "done"
    await stopping
    await http.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.get(f"{url}/healthz")
    with pytest.raises(RuntimeError):
        _ = http.port
