"""What a watched folder costs in calls while nothing happens in it, for `clouds`.

Connector, library and platform are the real ones and those of the tests, in one process on a clock that skips
the time that all of them wait (`skipping`), so that hours take seconds and every rhythm stays what it is.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

import connectors.dropbox.threads
import connectors.gdrive.transport
from benchmarks import skipping
from benchmarks.clouds_servers import Cloud, Way, running
from benchmarks.service import Trouble
from benchmarks.skipping import SkippingLoop
from connectors.dropbox.adapter import DropboxFolders
from connectors.dropbox.connecting import DropboxConnecting
from connectors.dropbox.settings import DropboxSettings
from connectors.gdrive.adapter import GDriveFolders
from connectors.gdrive.settings import GDriveSettings
from core import leases
from core.ports import AdapterContext
from core.remote_inbox import RemoteInbox
from core.settings import Settings, load_settings
from core.tasks import end
from core.testing import MemoryJobs, MemoryLinks, MemoryStore
from tests.vendors import faults
from tests.vendors.dropbox_cursors import Longpoll

_FILES = 200
_BEGINNING = 120.0  # seconds


@contextmanager
def at_work(loop: SkippingLoop) -> Iterator[None]:
    """While a connector's thread does something time is not skipped, unless the platform lets it wait for a
    change. Leases are renewed seldom, since that asks no platform for anything."""
    threads = (connectors.gdrive.transport.Threads, connectors.dropbox.threads.Threads)
    originals: list[tuple[Any, str, Any]] = [(each, "run", each.run) for each in threads]
    originals.append((Longpoll, "wait", Longpoll.wait))
    defaults = _defaults(leases.alone)
    lease = defaults["seconds"]
    defaults["seconds"] = 3600.0
    for owner, name, original in originals:
        setattr(owner, name, _counted(loop, original, 1 if name == "run" else -1))
    try:
        yield
    finally:
        defaults["seconds"] = lease
        for owner, name, original in originals:
            setattr(owner, name, original)


def _defaults(function: Any) -> dict[str, Any]:
    """Of its keyword parameters, to be changed."""
    found: dict[str, Any] = function.__kwdefaults__
    return found


def _counted(loop: SkippingLoop, function: Callable[..., Any], change: int) -> Callable[..., Any]:
    async def counted(*arguments: Any) -> Any:
        loop.working += change
        try:
            return await function(*arguments)
        finally:
            loop.working -= change

    return counted


def opened(cloud: Cloud, connector: str, home: Path) -> GDriveFolders | DropboxFolders:
    """The door to a cloud, as the service opens it."""
    chosen: dict[str, Any] = cloud.settings() | {"ERNI_DATA_DIR": str(home)}
    context = AdapterContext(
        settings=load_settings(Settings, **_of(chosen, "ERNI_")),
        store=MemoryStore(),
        jobs=MemoryJobs(),
        links=MemoryLinks(),
        node_id="node",
    )
    if connector == "gdrive":
        return GDriveFolders(context, load_settings(GDriveSettings, **_of(chosen, "GDRIVE_")))
    return DropboxFolders(
        context, DropboxConnecting(load_settings(DropboxSettings, **_of(chosen, "DROPBOX_")))
    )


def _of(chosen: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name: value for name, value in chosen.items() if name.startswith(prefix) and value}


async def _idle(loop: SkippingLoop, ways: Sequence[tuple[str, Way]], hours: float) -> list[Counter[str]]:
    clocks = _defaults(RemoteInbox.__init__)
    before = dict(clocks)
    clocks |= {"clock": loop.time, "today": lambda: time.time() + loop.ahead}
    try:
        async with AsyncExitStack() as stack:
            stack.enter_context(at_work(loop))
            clouds = [await _watched(loop, stack, connector, way) for connector, way in ways]
            await asyncio.sleep(_BEGINNING)
            if not all(cloud.tells() for cloud in clouds):
                raise Trouble("A service does not hear of changes.")
            began, calls = loop.time(), [cloud.calls() for cloud in clouds]
            await asyncio.sleep(3600 * hours)
            passed = (loop.time() - began) / 3600
            if not hours <= passed < 1.01 * hours:
                raise Trouble(f"The clock went on for {passed} hours.")
            return [cloud.calls() - known for cloud, known in zip(clouds, calls, strict=True)]
    finally:
        clocks |= before


async def _watched(loop: SkippingLoop, stack: AsyncExitStack, connector: str, way: Way) -> Cloud:
    """A cloud with files in its folder, and the door to it open."""
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="erni-clouds-")))
    cloud = await stack.enter_async_context(running(connector, way, home))
    cloud.fill(f"Meeting {number:06d}.m4a" for number in range(_FILES))
    cloud.set_clock(lambda: time.time() + loop.ahead)
    adapter = opened(cloud, connector, home)
    app = web.Application()
    app.add_routes(adapter.routes())
    await cloud.reach(await stack.enter_async_context(faults.serving(app)))
    task = asyncio.create_task(adapter.run(_nothing))
    stack.push_async_callback(end, task)
    return cloud


async def _nothing(_recording: Any) -> str:
    raise Trouble("Something was submitted although nothing happened.")


def measure_idle(ways: Sequence[tuple[str, Way]], hours: float) -> list[dict[str, float]]:
    """Calls an hour by method, for each connector and way, over so many hours. Raises Trouble."""
    found = skipping.run(lambda loop: _idle(loop, ways, hours))
    return [{method: count / hours for method, count in calls.items()} for calls in found]
