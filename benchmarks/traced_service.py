"""The real service, with every stage of a recording's way timed; `BENCHMARK_TRACE` names the file of times.

Run by `benchmarks.service`. Nothing is replaced; with METHODS=quick recognition is `quick_engine`'s.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import connectors.folder.adapter
import core.hearing
import core.pipeline
import core.worker
from benchmarks import quick_engine
from benchmarks.service import end_with_parent
from benchmarks.tracing import Tracer
from connectors.folder.adapter import FolderAdapter
from connectors.folder.client import Folder
from core.app import serve
from core.doors import Doors
from core.ledger import Ledger
from core.settings import Settings, load_settings
from core.store import RedisStore
from core.telemetry import configure_logging

STAGES = {
    "door hash": (Folder, "content_key"),
    "submit": (Ledger, "submit"),
    "begin": (Ledger, "begin"),
    "again": (Ledger, "again"),
    "fetch": (Doors, "fetch"),
    "hash": (core.worker, "content_key_of"),
    "decode": (core.pipeline, "decode"),
    "transcribe": (quick_engine.Hearing, "transcribe"),
    "attribute": (core.hearing, "attribute"),
    "label": (core.hearing, "label_speakers"),
    "pack": (core.worker, "pack"),
    "commit": (Ledger, "commit"),
    "unpack": (RedisStore, "transcript"),
    "render": (connectors.folder.adapter, "_rendered"),
    "deliver": (FolderAdapter, "deliver"),
    "failure": (FolderAdapter, "report_failure"),
    "settle": (Ledger, "settle"),
}


async def run(tracer: Tracer) -> None:
    """Serve until SIGTERM, noting `ready` once all doors are open."""
    settings = load_settings(Settings)
    configure_logging(settings)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    began = time.monotonic()
    await serve(settings, stop=stop, announce=lambda _announcement, _state: tracer.note("ready", began))


def main() -> None:
    end_with_parent()
    tracer = Tracer(Path(os.environ["BENCHMARK_TRACE"]))
    quick_engine.register()
    for name, (owner, attribute) in STAGES.items():
        tracer.watch(name, owner, attribute)
    asyncio.run(run(tracer))


if __name__ == "__main__":
    main()
