"""200 shares a minute on a platform: what the benchmarks of Slack and Teams have in common.

The real service, whose children decode long recordings all the while, and a stand-in for the platform in a
process of its own (`sharing`).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.service import Service, Trouble
from benchmarks.sharing import Outcome
from benchmarks.tables import percentile, publish, table

RATE = 200.0
"""Shares a minute."""

_TARGETS = {
    "not acknowledged": "0",
    "answers or files twice": "0",
    "shares without their transcript": "0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """How people share, told to the stand-in as `options`, for `part` of the time."""

    name: str
    part: float = 1.0
    options: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """One benchmark. `benchmarks.COMMAND_load` is the stand-in of the platform called `name`, `api` what is
    called there, `reply` what people see first. `targets` are by the names of the rows, `setting` and
    `explanation` stand on the page before and after the table; in the former, {minutes} is how long a
    recording is."""

    name: str
    command: str
    api: str
    reply: str
    scenarios: Sequence[Scenario]
    targets: Mapping[str, str]
    setting: str
    explanation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came of a scenario: the shares in order, and seconds that acknowledgements took, by what was
    acknowledged (in one word; empty: everything); how often something was sent, and how much was never
    acknowledged; how late the stand-in and the service's event loop were, seconds; how often each method was
    called, and how often refused for its rate; how many shares waited for their transcript when the last one
    came in, and how much of the processors was in use until then."""

    outcomes: Sequence[Outcome]
    acknowledged: Mapping[str, Sequence[float]]
    sent: int
    unacknowledged: int
    late: Sequence[float]
    lags: Sequence[float]
    calls: Mapping[str, tuple[int, int]]
    waiting: int
    busy: float


def processors() -> tuple[float, float]:
    """Seconds that all processors were in use, and in all, since the machine started (Linux)."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    numbers = [int(each) / os.sysconf("SC_CLK_TCK") for each in fields]
    return sum(numbers) - numbers[3] - numbers[4], sum(numbers)


@contextmanager
def _stand_in(
    platform: Platform, scenario: Scenario, *, minutes: float, seconds: float
) -> Iterator[subprocess.Popen[str]]:
    """Its process, ended afterwards."""
    options = {**scenario.options, "rate": RATE, "minutes": scenario.part * minutes, "seconds": seconds}
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", f"benchmarks.{platform.command}_load"),
            *(part for name, value in options.items() for part in (f"--{name}", str(value))),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        process.wait(60)


def _told(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next thing that the stand-in says. Raises Trouble if it has ended."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise Trouble("The stand-in for the platform ended.")
    said: dict[str, Any] = json.loads(line)
    return said


def measure(platform: Platform, scenario: Scenario, home: Path, *, minutes: float, seconds: float) -> Found:
    """Share recordings of `seconds` and wait for the last answer. Raises Trouble if something ends."""
    with _stand_in(platform, scenario, minutes=minutes, seconds=seconds) as process:
        assert process.stdin is not None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        environment = _told(process)["settings"] | {
            "METHODS": "quick",
            "ERNI_HTTP_PORT": port,
            "BENCHMARK_LAG": str(home / "lag"),
        }
        with Service(home / "service", "benchmarks.quick_service", **environment):
            print(f"http://127.0.0.1:{port}", file=process.stdin, flush=True)
            _told(process)
            used, passed = processors()
            waiting = _told(process)["waiting"]
            used_then, passed_then = processors()
            found = _told(process)["found"]
        lag: dict[str, Any] = json.loads((home / "lag").read_text())
        for what, often in lag["stuck"]:
            print(f"stuck {often} times at {what}", file=sys.stderr)
    return Found(
        outcomes=[Outcome(**each) for each in found["outcomes"]],
        acknowledged=found["acknowledged"],
        sent=found["sent"],
        unacknowledged=found["unacknowledged"],
        late=found["late"],
        lags=lag["lags"],
        calls={method: (count, refused) for method, (count, refused) in found["calls"].items()},
        waiting=waiting,
        busy=(used_then - used) / (passed_then - passed),
    )


def _milliseconds(values: Sequence[float], share: float) -> str:
    """A percentile of seconds."""
    return f"{1000 * percentile(values, share):.1f}" if values else "-"


def _seconds(values: Sequence[float], share: float) -> str:
    return f"{percentile(values, share):.2f}" if values else "-"


def figures(platform: Platform, found: Found) -> dict[str, str]:
    """The column of a scenario, by the names of the rows."""
    replied = [each.replied for each in found.outcomes if each.replied is not None]
    calls = sum(count for count, _ in found.calls.values())
    done = [each.transcribed for each in found.outcomes if each.transcribed is not None]
    acknowledged = {
        f"{what} acknowledged after, {name} (ms)".lstrip(): _milliseconds(values, share)
        for what, values in found.acknowledged.items()
        for name, share in (("p50", 0.5), ("p99", 0.99), ("most", 1.0))
    }
    return {
        "shares": str(len(found.outcomes)),
        "events sent, with repetitions": str(found.sent),
        "processors in use while people share": f"{100 * found.busy:.0f} %",
        "waiting for a worker after the last share": str(found.waiting),
        **acknowledged,
        "not acknowledged": str(found.unacknowledged),
        f"the {platform.name} itself late, p99 (ms)": _milliseconds(found.late, 0.99),
        f"the {platform.name} itself late, most (ms)": _milliseconds(found.late, 1),
        "the service's event loop late, p99 (ms)": _milliseconds(found.lags, 0.99),
        f"first {platform.reply} after, p50 (s)": _seconds(replied, 0.5),
        f"first {platform.reply} after, p99 (s)": _seconds(replied, 0.99),
        f"first {platform.reply} after, most (s)": _seconds(replied, 1),
        "transcript after, p50 (s)": _seconds(done, 0.5),
        "transcript after, most (s)": _seconds(done, 1),
        "answers or files twice": str(sum(each.surplus for each in found.outcomes)),
        "shares without their transcript": str(sum(each.lost for each in found.outcomes)),
        "- of them told that it failed": str(sum(each.lost and each.failed for each in found.outcomes)),
        "requests refused for their rate": str(sum(refused for _, refused in found.calls.values())),
        f"calls of {platform.api} a share": f"{calls / len(found.outcomes):.1f}",
    }


def report(platform: Platform, results: Mapping[str, Found], seconds: float, described: str) -> str:
    """The page of results."""
    columns = {name: figures(platform, found) for name, found in results.items()}
    targets = {**_TARGETS, **platform.targets}
    names = list(next(iter(columns.values())))
    rows = [[name, *(column[name] for column in columns.values()), targets.get(name, "")] for name in names]
    methods = sorted({method for found in results.values() for method in found.calls})
    calls = [
        [method, *(_a_share(found, method) for found in results.values())]
        for method in methods
        if any(found.calls.get(method, (0, 0))[0] for found in results.values())
    ]
    return "\n".join(
        [
            f"# 200 shares a minute in {platform.name}",
            "",
            f"Made by `python -m benchmarks.{platform.command} --write` on {described}.",
            "",
            platform.setting.format(minutes=f"{seconds / 60:g}"),
            "",
            table(["", *columns, "target"], rows),
            "",
            platform.explanation,
            "",
            f"## Calls of {platform.api} for each share",
            "",
            table(["", *columns], calls),
            "",
            "In brackets: how many of them were refused because of their rate.",
        ]
    )


def _a_share(found: Found, method: str) -> str:
    count, refused = found.calls.get(method, (0, 0))
    shares = len(found.outcomes)
    return f"{count / shares:.2f}" + (f" ({refused / shares:.2f})" if refused else "")


def run(platform: Platform, *, seconds: float) -> int:
    """Measure and show what the command line asks for; exit status 1 if something went wrong. `seconds` is
    how long a recording is where it does not say."""
    parser = argparse.ArgumentParser(description=f"200 shares a minute in {platform.name}.")
    parser.add_argument("--write", action="store_true", help="replace the committed results")
    parser.add_argument("--minutes", type=float, default=3, help="for which people share (default 3)")
    parser.add_argument("--seconds", type=float, default=seconds, help="of a recording (default %(default)g)")
    parser.add_argument("--only", type=int, help="one scenario, by its number from 1")
    options = parser.parse_args()
    described = machine.describe()
    chosen = list(platform.scenarios)
    if options.only:
        chosen = [chosen[options.only - 1]]
    results = {}
    for scenario in chosen:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"erni-{platform.command}-") as home:
            try:
                results[scenario.name] = measure(
                    platform, scenario, Path(home), minutes=options.minutes, seconds=options.seconds
                )
            except Trouble as error:
                print(error, file=sys.stderr)
                return 1
        print(f"{scenario.name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    page = report(platform, results, options.seconds, described)
    publish(platform.command, page, write=options.write)
    return 0
