"""Webhooks of vendors: only the vendor is believed, and whoever waits hears of it, whenever it comes."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from core.embedded import EmbeddedValkey
from core.engines.credentials import PyannoteAIAccount, ReplicateAccount
from core.engines.pyannoteai import PyannoteAIEngine
from core.engines.pyannoteai import webhook as pyannoteai_webhook
from core.engines.replicate_diarization import ReplicateEngine
from core.engines.replicate_diarization import webhook as replicate_webhook
from core.errors import Misconfigured, Transient
from core.http import HttpServer
from core.ledger import PREFIX
from core.model import Audio, Hints
from core.registry import WEBHOOKS
from core.settings import load_settings
from core.testing import MemoryHooks
from core.webhooks import Forged, RedisHooks, Verifier, routes, verifiers
from tests.tiny_models import write_wav
from tests.vendors import pyannoteai, replicate
from tests.vendors.faults import Fault, serving

NOW = 1_790_000_000.0
VENDORS = frozenset({"pyannoteai", "replicate"})
PYANNOTEAI_BODY = json.dumps({"jobId": "job-1", "status": "succeeded"}).encode()
REPLICATE_BODY = json.dumps({"id": "pred1", "status": "succeeded", "output": None}).encode()


@pytest.fixture(autouse=True)
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where no .env lies
    monkeypatch.setenv("PYANNOTEAI_WEBHOOK_SECRET", pyannoteai.SECRET)
    monkeypatch.setenv("REPLICATE_WEBHOOK_SECRET", replicate.SECRET)


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    async with EmbeddedValkey(tmp_path / "data") as valkey, Redis.from_url(valkey.url) as client:
        yield client


def the(found: Verifier | None) -> Verifier:
    assert found is not None
    return found


# --- who is believed: pyannoteAI ---


@pytest.mark.parametrize("encoding", ["base64", "hex"])
@pytest.mark.parametrize("spelling", [str.lower, str.title])
def test_pyannoteai_signs_in_base64_or_hex(encoding: str, spelling: Callable[[str], str]) -> None:
    stamp = str(int(NOW))
    headers = {
        spelling("x-request-timestamp"): stamp,
        spelling("x-signature"): pyannoteai.signature(PYANNOTEAI_BODY, stamp, encoding=encoding),
    }
    assert the(pyannoteai_webhook())(headers, PYANNOTEAI_BODY, NOW + 299) == "job-1"


@pytest.mark.parametrize("late", [-301, 301, 86400])
def test_pyannoteai_hooks_expire(late: float) -> None:
    stamp = str(int(NOW))
    headers = {
        "x-request-timestamp": stamp,
        "x-signature": pyannoteai.signature(PYANNOTEAI_BODY, stamp),
    }
    with pytest.raises(Forged, match="five minutes"):
        the(pyannoteai_webhook())(headers, PYANNOTEAI_BODY, NOW + late)


@pytest.mark.parametrize(
    "given",
    ["", "é", "0" * 64, pyannoteai.signature(PYANNOTEAI_BODY, str(int(NOW)), secret="another")],
)
def test_pyannoteai_forgeries(given: str) -> None:
    headers = {"X-Request-Timestamp": str(int(NOW)), "X-Signature": given}
    with pytest.raises(Forged):
        the(pyannoteai_webhook())(headers, PYANNOTEAI_BODY, NOW)


def test_pyannoteai_signs_the_time_too() -> None:
    headers = {
        "X-Request-Timestamp": str(int(NOW)),
        "X-Signature": pyannoteai.signature(PYANNOTEAI_BODY, str(int(NOW) - 9999)),
    }
    with pytest.raises(Forged, match="signature"):
        the(pyannoteai_webhook())(headers, PYANNOTEAI_BODY, NOW)


@pytest.mark.parametrize("stamp", ["soon", "-1", "1e9", "٣", "9" * 40, "nan"])
def test_times_that_are_none_are_forged(stamp: str) -> None:
    headers = {
        "X-Request-Timestamp": stamp,
        "X-Signature": pyannoteai.signature(PYANNOTEAI_BODY, stamp),
    }
    with pytest.raises(Forged, match="time"):
        the(pyannoteai_webhook())(headers, PYANNOTEAI_BODY, NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        b"{}",
        b'{"jobId": 7}',
        b'{"jobId": ""}',
        b'{"jobId": "%b"}' % (b"a" * 201),
    ],
)
def test_a_body_that_names_no_job_is_refused(body: bytes) -> None:
    stamp = str(int(NOW))
    headers = {"X-Request-Timestamp": stamp, "X-Signature": pyannoteai.signature(body, stamp)}
    with pytest.raises(Forged):
        the(pyannoteai_webhook())(headers, body, NOW)


# --- who is believed: Replicate ---


def replicate_headers(signed: str, stamp: float = NOW) -> dict[str, str]:
    return {"Webhook-Id": "msg_1", "Webhook-Timestamp": str(int(stamp)), "Webhook-Signature": signed}


def test_replicate_lists_signatures_of_which_one_must_fit() -> None:
    right = replicate.signature(REPLICATE_BODY, "msg_1", str(int(NOW)))
    verify = the(replicate_webhook())
    assert verify(replicate_headers(right), REPLICATE_BODY, NOW) == "pred1"
    assert verify(replicate_headers(f"v1,AAAA v2,BBBB {right}"), REPLICATE_BODY, NOW) == "pred1"


@pytest.mark.parametrize("kind", ["other id", "other body", "other version", "other secret", "é", "none"])
def test_replicate_forgeries(kind: str) -> None:
    stamp = str(int(NOW))
    right = replicate.signature(REPLICATE_BODY, "msg_1", stamp)
    given = {
        "other id": replicate.signature(REPLICATE_BODY, "msg_2", stamp),
        "other body": replicate.signature(b'{"id": "pred1"}', "msg_1", stamp),
        "other version": right.replace("v1,", "v2,"),
        "other secret": replicate.signature(REPLICATE_BODY, "msg_1", stamp, "whsec_AAAA"),
        "é": "v1,é",
        "none": " ",
    }[kind]
    with pytest.raises(Forged):
        the(replicate_webhook())(replicate_headers(given), REPLICATE_BODY, NOW)


def test_replicate_hooks_expire() -> None:
    right = replicate.signature(REPLICATE_BODY, "msg_1", str(int(NOW)))
    with pytest.raises(Forged, match="five minutes"):
        the(replicate_webhook())(replicate_headers(right), REPLICATE_BODY, NOW + 301)


def test_a_missing_header_is_forged() -> None:
    right = replicate.signature(REPLICATE_BODY, "msg_1", str(int(NOW)))
    for name in replicate_headers(right):
        rest = {key: value for key, value in replicate_headers(right).items() if key != name}
        with pytest.raises(Forged, match=name.lower()):
            the(replicate_webhook())(rest, REPLICATE_BODY, NOW)


def test_a_secret_that_can_be_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_WEBHOOK_SECRET", "whsec_not base64!")
    with pytest.raises(Misconfigured, match="REPLICATE_WEBHOOK_SECRET") as caught:
        verifiers()
    assert "not base64" not in str(caught.value)


def test_vendors_without_a_secret_or_their_packages_have_no_verifier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert set(verifiers()) == VENDORS
    monkeypatch.delenv("REPLICATE_WEBHOOK_SECRET")
    monkeypatch.setitem(WEBHOOKS, "other", "core.engines.of_nobody:webhook")
    assert set(verifiers()) == {"pyannoteai"}
    monkeypatch.setenv("PYANNOTEAI_WEBHOOK_SECRET", "")
    assert verifiers() == {}


# --- the way in ---


@asynccontextmanager
async def way_in(
    arrived: Callable[[str, str], Awaitable[None]],
) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    registry = CollectorRegistry()
    async with (
        HttpServer(port=0, probes={}, registry=registry, routes=routes(verifiers(), arrived)) as server,
        aiohttp.ClientSession() as session,
    ):
        yield f"http://127.0.0.1:{server.port}", session


async def test_forged_ones_learn_nothing_and_are_logged_without_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[tuple[str, str]] = []

    async def arrived(vendor: str, job: str) -> None:
        told.append((vendor, job))

    async with way_in(arrived) as (url, session):
        caplog.set_level(logging.WARNING, "core.webhooks")
        headers = {"X-Signature": "secret-guess", "X-Request-Timestamp": "1"}
        for vendor, status in (("pyannoteai", 401), ("replicate", 401), ("openai", 404)):
            answer = await session.post(f"{url}/webhooks/{vendor}", data=b'{"jobId": "j"}', headers=headers)
            assert (answer.status, await answer.read()) == (status, b"")
        assert (await session.get(f"{url}/webhooks/pyannoteai")).status == 405
        big = await session.post(
            f"{url}/webhooks/pyannoteai", data=io.BytesIO(b" " * (2**20 + 1)), headers=headers
        )
        assert big.status == 413
    assert told == []
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "secret-guess" not in caplog.text
    assert "jobId" not in caplog.text


async def test_a_hook_that_could_not_be_kept_is_asked_for_again() -> None:
    async def arrived(vendor: str, job: str) -> None:
        raise Transient("The store can't be reached.")

    server = pyannoteai.PyannoteAIServer()
    server.outputs["diarize"] = {}
    async with way_in(arrived) as (url, _):
        job = pyannoteai.Job("job-1", "diarize", {"webhook": f"{url}/webhooks/pyannoteai"}, [])
        assert await server.call_back(job) == [503]


# --- to whom waits ---


@pytest.fixture(params=["memory", "redis"])
def hooks(request: pytest.FixtureRequest) -> MemoryHooks | RedisHooks:
    if request.param == "memory":
        return MemoryHooks("https://erni.example/", VENDORS)
    client: Redis = request.getfixturevalue("redis")
    return RedisHooks(client, "https://erni.example/", VENDORS, look=0.01)


async def test_addresses(hooks: MemoryHooks | RedisHooks) -> None:
    assert hooks.url("replicate") == "https://erni.example/webhooks/replicate"
    assert hooks.url("deepgram") is None
    assert MemoryHooks(None, VENDORS).url("replicate") is None


async def test_who_waits_is_told(hooks: MemoryHooks | RedisHooks) -> None:
    async with asyncio.TaskGroup() as group:
        mine = group.create_task(hooks.wait("pyannoteai", "job-1", 60))
        other = group.create_task(hooks.wait("pyannoteai", "job-2", 0.2))
        elsewhere = group.create_task(hooks.wait("replicate", "job-1", 0.2))
        await asyncio.sleep(0.05)
        await hooks.arrived("pyannoteai", "job-1")
    assert (mine.result(), other.result(), elsewhere.result()) == (True, False, False)


async def test_early_and_doubled_ones_are_told_once(hooks: MemoryHooks | RedisHooks) -> None:
    await hooks.arrived("replicate", "pred1")
    await hooks.arrived("replicate", "pred1")
    assert await hooks.wait("replicate", "pred1", 60)
    assert not await hooks.wait("replicate", "pred1", 0.05)


async def test_waiting_can_be_cancelled(hooks: MemoryHooks | RedisHooks) -> None:
    task = asyncio.create_task(hooks.wait("replicate", "pred1", 60))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await hooks.arrived("replicate", "pred1")
    assert await hooks.wait("replicate", "pred1", 60)


async def test_hooks_go_from_one_process_to_another_and_do_not_stay(redis: Redis) -> None:
    here, there = RedisHooks(redis, None, VENDORS), RedisHooks(redis, None, VENDORS)
    await here.arrived("replicate", "pred1")
    (key,) = await redis.keys(f"{PREFIX}:hook:*")
    assert 0 < await redis.ttl(key) <= 3600
    assert await there.wait("replicate", "pred1", 60)
    assert await redis.keys(f"{PREFIX}:hook:*") == []


async def test_many_wait_without_a_connection_each(redis: Redis) -> None:
    hooks = RedisHooks(redis, None, VENDORS, look=0.05)
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(hooks.wait("replicate", f"pred{number}", 60)) for number in range(50)]
        await asyncio.sleep(0.2)
        blocked = [row for row in await redis.client_list() if "b" in row["flags"]]
        for number in range(50):
            await hooks.arrived("replicate", f"pred{number}")
    assert all(task.result() for task in waiting)
    assert blocked == []


async def test_a_store_that_is_away_only_means_polling(tmp_path: Path) -> None:
    async with Redis.from_url(f"unix://{tmp_path}/nowhere.sock") as away:
        hooks = RedisHooks(away, None, VENDORS, look=0.01)
        assert not await hooks.wait("replicate", "pred1", 0.05)
        with pytest.raises(Transient):
            await hooks.arrived("replicate", "pred1")


# --- all of it: vendor, way in, store, engine ---


@pytest.fixture
def audio(tmp_path: Path) -> Audio:
    path = tmp_path / "talk.wav"
    return Audio(path=path, seconds=write_wav(path, [np.zeros(2 * 16000)]))


def ignore(_fraction: float) -> None:
    pass


@asynccontextmanager
async def public(redis: Redis) -> AsyncIterator[RedisHooks]:
    """The service's own way in, and the hooks of a worker elsewhere on the same store."""
    inward = RedisHooks(redis, None, VENDORS)
    app = web.Application()
    app.add_routes(routes(verifiers(), inward.arrived))
    async with serving(app) as url:
        yield RedisHooks(redis, url, VENDORS, look=0.02)


async def test_a_webhook_completes_a_pyannoteai_job(redis: Redis, audio: Audio) -> None:
    turn = {"start": 0.0, "end": 1.0, "speaker": "SPEAKER_00"}
    async with pyannoteai.PyannoteAIServer().running() as vendor, public(redis) as hooks:
        vendor.outputs["diarize"] = {"exclusiveDiarization": [turn]}
        account = load_settings(PyannoteAIAccount, api_key=pyannoteai.KEY, base_url=vendor.url)
        # Nobody asks a second time within this test unless a hook comes.
        engine = PyannoteAIEngine(account, first=3600, longest=3600)
        engine.use_hooks(hooks)
        task = asyncio.create_task(engine.diarizer.diarize(audio, Hints(), ignore))
        while not vendor.faults.calls["GET /v1/jobs/{job}"]:
            await asyncio.sleep(0.01)
        assert await vendor.call_back(vendor.jobs[0], times=3) == [204, 204, 204]
        assert len((await task).turns) == 1
        await engine.close()


async def test_an_early_webhook_is_not_lost(redis: Redis, audio: Audio) -> None:
    async with pyannoteai.PyannoteAIServer().running() as vendor, public(redis) as hooks:
        vendor.early = True
        account = load_settings(PyannoteAIAccount, api_key=pyannoteai.KEY, base_url=vendor.url)
        engine = PyannoteAIEngine(account, first=3600, longest=3600)
        engine.use_hooks(hooks)
        # The first question is answered as if the job went on still.
        running = Fault(status=200, body='{"jobId": "job-1", "status": "running"}')
        vendor.faults.add("GET /v1/jobs/{job}", running)
        assert (await engine.diarizer.diarize(audio, Hints(), ignore)).turns == ()
        assert vendor.faults.calls["GET /v1/jobs/{job}"] == 2
        await engine.close()


async def test_a_webhook_completes_a_replicate_prediction(redis: Redis, audio: Audio) -> None:
    async with replicate.ReplicateServer().running() as vendor, public(redis) as hooks:
        vendor.output = {"segments": [{"start": 0, "end": 1, "text": "Hello", "speaker": "SPEAKER_00"}]}
        account = load_settings(
            ReplicateAccount, api_key=replicate.TOKEN, base_url=vendor.url, version=replicate.VERSION
        )
        engine = ReplicateEngine(account, first=3600, longest=3600)
        engine.use_hooks(hooks)
        task = asyncio.create_task(engine.transcriber.transcribe(audio, Hints(), ignore))
        while not vendor.faults.calls["GET /v1/predictions/{id}"]:
            await asyncio.sleep(0.01)
        assert await vendor.call_back(vendor.predictions[0]) == 204
        assert [word.text for word in (await task).words] == ["Hello"]
        await engine.close()
