"""How a command ends: exit codes, and signals that end it in good order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from core.settings import Settings

OK = 0
FAILED = 1
UNUSABLE = 2
NO_METHOD = 3
FAULT = 70  # EX_SOFTWARE of sysexits.h
INTERRUPTED = 130
TERMINATED = 143


def run_to_end(work: Coroutine[Any, Any, int]) -> int:
    """Run `work` for its exit code. Ctrl-C, SIGTERM and a closed terminal cancel it, so that its child
    processes end with it.

    Raises KeyboardInterrupt after Ctrl-C.
    """
    terminated = False

    async def watched() -> int:
        task = asyncio.current_task()

        def terminate() -> None:
            nonlocal terminated
            terminated = True
            if task is not None:
                task.cancel()

        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, terminate)
        return await work

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        if not terminated:
            raise
        return TERMINATED


def quiet_by_default(settings: Settings) -> Settings:
    """For commands that people look at: only warnings are logged, unless the operator chose a level."""
    if "log_level" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"log_level": "WARNING"})
