"""A whole service whose recordings take no time: what is left is the queue. Run by `benchmarks.queueing`.

It is `core.app.serve` with its real worker, so a job is what it always is: claimed, kept alive by heartbeats,
fetched into a working directory and hashed, its result committed with the outbox row, claimed again for
delivery, delivered, settled and audited. Only three things are not real: a recording is its own name, its
transcript is empty, and its delivery goes nowhere.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import core.worker
from benchmarks import quick_engine
from benchmarks.service import end_with_parent
from benchmarks.traced_service import run
from benchmarks.tracing import Tracer
from core.ledger import Ledger
from core.model import Audio, Job, Recording, Stage, Transcript
from core.ports import AdapterContext, Readiness, Submit
from core.registry import ADAPTERS

DOOR = "benchmark"


class Nowhere:
    """An adapter without a platform."""

    door = DOOR

    async def run(self, submit: Submit) -> None:  # noqa: ARG002  (the benchmark submits)
        await asyncio.Event().wait()

    async def fetch(self, recording: Recording, into: Path) -> None:
        into.write_text(recording.key)

    async def progress(self, job: Job, stage: Stage, fraction: float | None) -> None:
        """Nobody looks."""

    async def deliver(self, transcript: Transcript, job: Job) -> str:  # noqa: ARG002
        return "{}"

    async def report_failure(self, job: Job, message: str) -> str:
        raise RuntimeError(f"job {job.id} failed: {message}")

    async def check(self) -> Readiness:
        return Readiness(usable=True)


def create(context: AdapterContext) -> Nowhere:  # noqa: ARG001
    return Nowhere()


async def _empty(source: Path, *, content_key: str, **_: Any) -> tuple[Transcript, Audio]:
    transcript = Transcript(
        content_key=content_key, languages=("en",), seconds=0, utterances=(), engine="none", draft=False
    )
    return transcript, Audio(path=source, seconds=0)


def main() -> None:
    end_with_parent()
    tracer = Tracer(Path(os.environ["BENCHMARK_TRACE"]))
    quick_engine.register()
    ADAPTERS[DOOR] = "benchmarks.queue_worker:create"
    core.worker.transcribe_file = _empty  # type: ignore[attr-defined]  # an import of its own
    tracer.watch("begin", Ledger, "begin")
    tracer.watch("settle", Ledger, "settle")
    asyncio.run(run(tracer))


if __name__ == "__main__":
    main()
