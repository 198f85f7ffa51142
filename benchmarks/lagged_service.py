"""The real service, whose event loop is asked a hundred times a second how late it is.

Run by `fifty`, and as `quick_service`, through `benchmarks.service`; `BENCHMARK_TRACE` names the file of
times, `BENCHMARK_LAG` that of the lags, which is written when the service stops. A thread notes what the loop
was at whenever it stood still.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

from benchmarks import traced_service
from benchmarks.service import end_with_parent
from benchmarks.tracing import Tracer

_EVERY = 0.01  # seconds
_STUCK = 0.02
_OURS = ("/core/", "/connectors/", "/bots/")


class Lag:
    """`lags` are seconds by which the loop woke us too late; `stuck` counts where it was then. `late` counts
    by whom it was kept when that was long: the `loop` itself, which computed, other `threads` of the process,
    which had the interpreter, or `others`, who had the processors."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self.stuck: Counter[str] = Counter()
        self.late: Counter[str] = Counter()
        self._woken = time.monotonic()
        self._over = threading.Event()

    async def sample(self) -> None:
        """Until cancelled."""
        thread = threading.Thread(target=self._watch, args=(threading.get_ident(),), daemon=True)
        thread.start()
        try:
            while True:
                began, own, whole = time.monotonic(), time.thread_time(), time.process_time()
                await asyncio.sleep(_EVERY)
                self._woken = time.monotonic()
                late = max(0.0, self._woken - began - _EVERY)
                self.lags.append(late)
                if late > _STUCK:
                    own, whole = time.thread_time() - own, time.process_time() - whole
                    self.late["loop" if own > late / 2 else "threads" if whole > late / 2 else "others"] += 1
        finally:
            self._over.set()

    def _watch(self, loop_thread: int) -> None:
        while not self._over.wait(_EVERY):
            if time.monotonic() - self._woken > _EVERY + _STUCK:
                frame = sys._current_frames().get(loop_thread)  # noqa: SLF001  (there is no other way to look)
                if frame is not None:
                    calls = traceback.extract_stack(frame)[-12:]
                    own = [c for c in calls if any(part in c.filename for part in _OURS)]
                    named = [*own[-1:], calls[-1]]
                    self.stuck[" > ".join(f"{Path(c.filename).name}:{c.lineno} {c.name}" for c in named)] += 1


async def run(tracer: Tracer, lag: Lag) -> None:
    """Serve until SIGTERM."""
    sampler = asyncio.create_task(lag.sample())
    try:
        await traced_service.run(tracer)
    finally:
        sampler.cancel()


def main() -> None:
    end_with_parent()
    lag, tracer = Lag(), Tracer(Path(os.environ["BENCHMARK_TRACE"]))
    for name in ("settle", "failure", "decode"):
        tracer.watch(name, *traced_service.STAGES[name])
    try:
        asyncio.run(run(tracer, lag))
    finally:
        found = {"lags": lag.lags, "stuck": lag.stuck.most_common(12), "late": lag.late}
        Path(os.environ["BENCHMARK_LAG"]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
