"""The processes that `benchmarks.killing` kills: the real service and real workers.

Importing everything takes a second of processor time, which ten thousand restarts can't afford, so a template
process imports once and forks each actor. Only two things are not the product's: recognition (`quick_engine`)
and decoding, which reads WAV in the process itself, since starting a decoder is the decoder's benchmark.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
import wave
from pathlib import Path
from typing import Any

import core.pipeline
from benchmarks import quick_engine
from connectors.folder.adapter import FolderAdapter
from core.app import serve
from core.doors import Doors
from core.errors import Misconfigured, Rejected
from core.jobs import Queue
from core.ledger import Ledger
from core.model import Audio
from core.settings import Settings, load_settings
from core.telemetry import configure_logging


async def _decode(source: Path, into: Path, **_: Any) -> Audio:  # noqa: ARG001
    try:
        with wave.open(str(source)) as file:
            return Audio(path=source, seconds=file.getnframes() / file.getframerate())
    except (wave.Error, EOFError):
        raise Rejected("This file holds no sound.") from None


BOUNDARIES: dict[str, tuple[Any, str]] = {
    "submit": (Ledger, "submit"),
    "enqueue": (Queue, "enqueue"),
    "begin": (Ledger, "begin"),
    "fetch": (Doors, "fetch"),
    "lead": (Ledger, "lead"),
    "decode": (core.pipeline, "decode"),
    "transcribe": (quick_engine.Hearing, "transcribe"),
    "diarize": (quick_engine.Hearing, "diarize"),
    "commit": (Ledger, "commit"),
    "fail": (Ledger, "fail"),
    "deliver": (FolderAdapter, "deliver"),
    "report failure": (FolderAdapter, "report_failure"),
    "settle": (Ledger, "settle"),
}
"""Where one stage of a recording's way ends and the next begins."""


def set_trap(trap: str) -> None:
    """Let this process kill itself at the first `before BOUNDARY` or `after BOUNDARY`."""
    when, _, boundary = trap.partition(" ")
    owner, name = BOUNDARIES[boundary]
    passed = getattr(owner, name)

    async def deadly(*arguments: Any, **options: Any) -> Any:
        try:
            if when == "after":
                await passed(*arguments, **options)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, deadly)


async def _act(role: str) -> None:
    settings = load_settings(Settings)
    configure_logging(settings)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    while not stop.is_set():
        try:
            await serve(settings, stop=stop, front_doors=role == "service")
        except Misconfigured as error:
            # The last owner's lock is released only when the system has buried it.
            print(role, error, file=sys.stderr)
            await asyncio.sleep(0.05)


def main() -> None:
    """Fork an actor for each line of standard input (its role and a trap) and answer with its process id."""
    quick_engine.register()
    core.pipeline.decode = _decode  # type: ignore[attr-defined]  # an import of its own
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    for line in sys.stdin:
        role, _, trap = line.strip().partition(" ")
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            os.close(0)
            os.open(os.devnull, os.O_RDONLY)
            try:
                if trap:
                    set_trap(trap)
                asyncio.run(_act(role))
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    main()
