"""The real service, which notes when each recording was submitted, by its name, and when it looked at a
folder. Run by `clouds` through `benchmarks.service`.

`BENCHMARK_TRACE` names the file of times, `BENCHMARK_LAG` that which says what the event loop was at when it
stood still.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import time
from pathlib import Path
from typing import Any

from benchmarks import lagged_service, quick_engine
from benchmarks.lagged_service import Lag
from benchmarks.service import end_with_parent
from benchmarks.tracing import Tracer
from core.ledger import Ledger
from core.model import Recording
from core.remote_inbox import RemoteInbox


def note(tracer: Tracer, lag: Lag) -> None:
    """Note `submit` with the name of the recording, once it is on record, and each `look` that did not fail
    with the seconds by which the event loop was late at most meanwhile."""
    submit, step = Ledger.submit, RemoteInbox.step

    @functools.wraps(submit)
    async def noted(ledger: Ledger, recording: Recording, *rest: Any) -> Any:
        began = time.monotonic()
        answer = await submit(ledger, recording, *rest)
        tracer.note("submit", began, recording.name)
        return answer

    @functools.wraps(step)
    async def looked(inbox: RemoteInbox, *rest: Any) -> float:
        began, before = time.monotonic(), len(lag.lags)
        delay = await step(inbox, *rest)
        for _ in range(3):  # until the sampler has noted the last lag
            await asyncio.sleep(0)
        tracer.note("look", began, str(max(lag.lags[before:], default=0.0)))
        return delay

    setattr(Ledger, "submit", noted)  # noqa: B010  (mypy rightly minds a plain assignment)
    setattr(RemoteInbox, "step", looked)  # noqa: B010  (as above)


def main() -> None:
    end_with_parent()
    quick_engine.register()
    lag, tracer = Lag(), Tracer(Path(os.environ["BENCHMARK_TRACE"]))
    note(tracer, lag)
    try:
        asyncio.run(lagged_service.run(tracer, lag))
    finally:
        Path(os.environ["BENCHMARK_LAG"]).write_text(json.dumps(lag.stuck.most_common(12)))


if __name__ == "__main__":
    main()
