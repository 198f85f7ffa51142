"""The same recording again: `python -m benchmarks.repeated [--repeats N] [--write]`.

The sample meeting goes through the real service with the `draft` engine, then again and again under other
names: its bytes are known, so the transcript comes from the cache.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import av

from benchmarks.machine import describe
from benchmarks.overhead import SAMPLE
from benchmarks.service import SETTLE_SECONDS, Service, Trouble
from benchmarks.tables import publish, seconds, table
from benchmarks.tracing import Span

_PATIENCE = 280.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Seconds from the first look into the complete file until its outputs are in place."""

    first: float
    again: Sequence[float]


def delivered(spans: Sequence[Span]) -> float:
    """Those seconds, from the traced stages of one recording."""
    first = min(span.began for span in spans if span.name == "door hash")
    return max(span.ended for span in spans if span.name == "deliver") - first


def measure(repeats: int) -> Result:
    """Once in earnest and `repeats` times from the cache. Raises Trouble if the cache was not used."""
    with (
        tempfile.TemporaryDirectory(prefix="erni-repeated-") as home,
        Service(Path(home) / "service", METHODS="draft") as service,
    ):
        first = delivered(service.transcribe(SAMPLE, "meeting.m4a", _PATIENCE)[1])
        again = []
        for number in range(repeats):
            _, spans = service.transcribe(SAMPLE, f"copy{number}.m4a", _PATIENCE)
            if any(span.name == "decode" for span in spans):
                raise Trouble("The same recording was decoded twice.")
            again.append(delivered(spans))
    return Result(first=first, again=again)


def report(result: Result, length: float, machine: str) -> str:
    """The page of results."""
    usual = median(result.again)
    rows = [
        ["the first time", "1", seconds(result.first), "-", "-", "1"],
        [
            "the same bytes under another name",
            str(len(result.again)),
            seconds(usual),
            seconds(min(result.again)),
            seconds(max(result.again)),
            f"1/{result.first / usual:.0f}",
        ],
    ]
    text = [
        "# A recording that comes again",
        "",
        f"Made by `python -m benchmarks.repeated --write` on {machine}.",
        "",
        (
            f"`samples/meeting.m4a` ({length:.0f} s) dropped into the inbox of the real service with the "
            "`draft` engine: seconds from the first look into the complete file until all outputs (md, srt, "
            "json) are in place. Not counted is the time for which a file must not change before it counts "
            f"as complete (`FOLDER_SETTLE_SECONDS`, 2 s unless set, {SETTLE_SECONDS} s here)."
        ),
        "",
        table(["", "runs", "median s", "least s", "most s", "of the first"], rows),
        "",
        (
            "A slower engine makes the first time longer and leaves the second as it is: nothing is decoded "
            "or recognised, the bytes are hashed and the stored transcript is rendered."
        ),
    ]
    return "\n".join(text)


def main() -> int:
    """Measure and show; exit status 1 if a recording was not transcribed, or not from the cache."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="replace the committed results")
    parser.add_argument("--repeats", type=int, default=9, help="how often it comes again (default 9)")
    options = parser.parse_args()
    machine = describe()
    with av.open(str(SAMPLE)) as sample:
        length = (sample.duration or 0) / av.time_base
    try:
        result = measure(options.repeats)
    except Trouble as error:
        print(error, file=sys.stderr)
        return 1
    publish("repeated", report(result, length, machine), write=options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
