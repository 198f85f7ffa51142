"""The composition root: opens the store, engines and adapters, runs them, drains, and closes in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from redis.exceptions import RedisError

from core import webhooks
from core.accounts import RedisAccounts
from core.doors import Doors
from core.errors import ErniError, Misconfigured
from core.http import HttpServer, Probes
from core.intake import Intake
from core.jobs import LONG, SHORT, Queue
from core.kept import RedisKept
from core.links import OpenLinks
from core.methods import Choice, create_engines, prepare
from core.ports import Adapter, AdapterContext, Engine, Jobs, Prepared, Readiness, Routed
from core.progress import relay_progress
from core.registry import ADAPTERS, load, require
from core.settings import Settings
from core.state import State, open_state
from core.studio import Studio
from core.tasks import end
from core.telemetry import Metrics, sample_loop_lag
from core.voices import IDENTIFYING, Voices
from core.worker import Worker
from core.workspace import workspace

logger = logging.getLogger(__name__)

_SWITCH_SECONDS = 0.0005

_POST_JOBS = 4  # deliveries at once per door
_RESTART_SECONDS = 5.0
_DEPTH_SECONDS = 5.0
_POST_SECONDS = 5.0  # how long a stopping service delivers what is ready
_Work = dict[str, Coroutine[Any, Any, None]]


def create_adapters(
    settings: Settings, state: State, jobs: Jobs, methods: Callable[[], tuple[str, ...]]
) -> dict[str, Adapter]:
    """The enabled adapters by door. Raises Misconfigured naming a missing variable."""
    adapters: dict[str, Adapter] = {}
    context = AdapterContext(
        settings=settings,
        store=state.store,
        jobs=jobs,
        links=OpenLinks(adapters),
        node_id=state.node,
        methods=methods,
    )
    for name in settings.adapters:
        adapter: Adapter = load(require(ADAPTERS, name, "front door in ERNI_ADAPTERS"))(context)
        adapters[adapter.door] = adapter
    return adapters


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What a started service tells the operator. `troubles` are the doors that can't be used now."""

    node: str
    port: int | None
    choice: Choice
    adapters: Mapping[str, Adapter]
    troubles: Mapping[str, Readiness] = field(default_factory=dict)


async def serve(
    settings: Settings,
    *,
    stop: asyncio.Event,
    front_doors: bool = True,
    announce: Callable[[Announcement, State], None] = lambda _announcement, _state: None,
) -> None:
    """Run the service until `stop` is set, then drain. Without `front_doors` it works for others' doors.

    Raises Misconfigured if it can't start.
    """
    # A thread that computes (seals, renders, hashes) hands over to the event loop this soon, not after 5 ms.
    sys.setswitchinterval(_SWITCH_SECONDS)
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    async with open_state(settings, own=front_doors) as state:
        with workspace(settings) as work:
            await _run(
                settings,
                state,
                work=work,
                metrics=metrics,
                registry=registry,
                stop=stop,
                front_doors=front_doors,
                announce=announce,
            )


async def _run(
    settings: Settings,
    state: State,
    *,
    work: Path,
    metrics: Metrics,
    registry: CollectorRegistry,
    stop: asyncio.Event,
    front_doors: bool,
    announce: Callable[[Announcement, State], None],
) -> None:
    verifiers = webhooks.verifiers()
    hooks = webhooks.RedisHooks(state.redis, settings.public_url, frozenset(verifiers))
    kept = RedisKept(state.redis, state.vault, settings)
    studio = Studio(settings, RedisAccounts(state.redis, settings), kept)
    # Each lane has engines of its own, so that a short recording never waits for a long one's process.
    lanes = {
        lane: (jobs, create_engines(settings, hooks))
        for lane, jobs in ((SHORT, settings.short_workers), (LONG, settings.long_workers))
        if jobs
    }
    options: dict[str, Any] = {
        "redelivery_seconds": settings.redelivery_seconds,
        "drain_seconds": settings.drain_seconds,
        "worker": f"{state.node}-{os.getpid()}",
    }
    async with Queue(state.url, state.ledger, **options) as queue, contextlib.AsyncExitStack() as prepared:
        choice = Choice(methods=(), notes=())
        intake = Intake(state.ledger, queue, state.store, settings, metrics, kept=kept)
        adapters = create_adapters(settings, state, intake, lambda: choice.methods) if front_doors else {}
        doors = Doors(state.redis, state.ledger, state.vault, adapters, work)
        shared: dict[str, Any] = {
            "ledger": state.ledger,
            "queue": queue,
            "store": state.store,
            "doors": doors,
            "vault": state.vault,
            "settings": settings,
            "metrics": metrics,
            "studio": studio,
            "voices": Voices(state.store, settings, accounts=studio.accounts, price=IDENTIFYING),
            "work": work,
        }
        hearing: _Work = {}
        posting: _Work = {}
        for lane, (jobs, engines) in lanes.items():
            choice, listeners = await prepare(settings, engines)
            worker = Worker(**shared, listeners=listeners, lane=lane)
            hearing[f"lane {lane}"] = queue.serve(lane, jobs, worker.handle)
        for door in adapters:
            poster = Worker(**shared)
            posting[f"post {door}"] = queue.serve(f"post:{door}", _POST_JOBS, poster.handle)
        http = HttpServer(
            host=settings.http_host,
            port=settings.http_port,
            probes=_probes(state, {name: e for _, es in lanes.values() for name, e in es.items()}, adapters),
            registry=registry,
            routes=[
                *webhooks.routes(verifiers, hooks.arrived),
                *(
                    route
                    for adapter in adapters.values()
                    if isinstance(adapter, Routed)
                    for route in adapter.routes()
                ),
            ],
        )
        try:
            if front_doors:
                for adapter in adapters.values():
                    if isinstance(adapter, Prepared):
                        await prepared.enter_async_context(adapter.prepared())
                await http.start()
            port = http.port if front_doors else None
            started = Announcement(node=state.node, port=port, choice=choice, adapters=adapters)
            if lanes:
                if choice.methods and not choice.draft:  # else they are announced
                    for note in choice.notes:
                        logger.info("%s", note)
                logger.info("recognition by %s", ", then ".join(choice.methods) or "no method: none can run")
            background: _Work = doors.services() | {
                "announcement": _announced(started, state, announce),
                "reconcile": queue.reconcile(),
                "progress": relay_progress(state.redis, state.ledger, adapters),
                "loop lag": sample_loop_lag(metrics),
                "queue depth": _sample_depth(queue, metrics),
            }
            entrances = {
                f"door {door}": _kept_open(door, adapter, intake) for door, adapter in adapters.items()
            }

            async def all_posted() -> bool:
                return not any([await queue.waiting(f"post:{door}") for door in adapters])

            await _live(
                entrances,
                hearing,
                posting,
                background,
                stop=stop,
                all_posted=all_posted,
                patience=settings.drain_seconds + 10,
            )
        finally:
            await http.stop()
            for _, engines in lanes.values():
                for engine in engines.values():
                    await engine.close()
            await studio.close()


async def _live(
    entrances: _Work,
    hearing: _Work,
    posting: _Work,
    background: _Work,
    *,
    stop: asyncio.Event,
    all_posted: Callable[[], Coroutine[Any, Any, bool]],
    patience: float,
) -> None:
    """Run everything until `stop`; then, in this order: close the doors, let recognition drain, deliver what
    is ready, and end the rest. `patience` is how long a lane may take to drain, seconds."""
    async with asyncio.TaskGroup() as tasks:
        groups = [
            [tasks.create_task(work, name=name) for name, work in group.items()]
            for group in (entrances, hearing, posting, background)
        ]
        await stop.wait()
        logger.info("stopping: no new recordings, running ones may finish")
        await end(*groups[0])
        await end(*groups[1], patience=patience)
        with contextlib.suppress(TimeoutError, RedisError, OSError):
            async with asyncio.timeout(_POST_SECONDS):
                while not await all_posted():  # noqa: ASYNC110  (the outbox is in Redis)
                    await asyncio.sleep(0.05)
        await end(*groups[2], patience=patience)
        await end(*groups[3])


async def _announced(
    started: Announcement, state: State, announce: Callable[[Announcement, State], None]
) -> None:
    """Announce the service, which runs already, once its doors were tried: soon, or without their answer."""
    probes = Probes({door: adapter.check for door, adapter in started.adapters.items()})
    troubles = {door: found for door, found in (await probes.parts()).items() if not found.usable}
    announce(replace(started, troubles=troubles), state)


async def _kept_open(door: str, adapter: Adapter, intake: Intake) -> None:
    """A door that fails is opened again: one platform's trouble does not stop the others."""
    while True:
        try:
            await adapter.run(intake.submit)
        except Misconfigured:
            raise
        except Exception as error:
            logger.error(  # noqa: TRY400  (foreseen errors need no trace)
                "door %s failed and is opened again: %s",
                door,
                error if isinstance(error, ErniError) else type(error).__name__,
                exc_info=None if isinstance(error, ErniError) else error,
            )
        await asyncio.sleep(_RESTART_SECONDS)


async def _sample_depth(queue: Queue, metrics: Metrics) -> None:
    while True:
        for lane in (SHORT, LONG):
            with contextlib.suppress(RedisError, OSError):
                metrics.queue_depth(lane, await queue.depth(lane))
        await asyncio.sleep(_DEPTH_SECONDS)


def _probes(
    state: State, engines: Mapping[str, Engine], adapters: Mapping[str, Adapter]
) -> dict[str, Callable[[], Coroutine[Any, Any, Readiness]]]:
    async def store() -> Readiness:
        try:
            await state.redis.ping()
        except (RedisError, OSError) as error:
            return Readiness(usable=False, reason=f"The store does not answer: {type(error).__name__}.")
        return Readiness(usable=True)

    probes: dict[str, Callable[[], Coroutine[Any, Any, Readiness]]] = {"store": store}
    probes |= {f"engine {name}": engine.check for name, engine in engines.items()}
    probes |= {f"adapter {door}": adapter.check for door, adapter in adapters.items()}
    return probes
