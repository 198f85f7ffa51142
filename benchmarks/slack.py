"""200 shares a minute in Slack: `python -m benchmarks.slack [--minutes 3] [--write]`.

The real service, whose children decode long recordings all the while, and a Slack in a process of its own
(`slack_load`) that is as strict about rates as Slack is, and tells of a quarter of the shares twice.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.service import Service, Trouble
from benchmarks.slack_load import Outcome
from benchmarks.tables import percentile, publish, table

_TARGET_ACKNOWLEDGED, _TARGET_REPLY = 0.1, 2.0  # seconds
_RATE = 200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """How Slack reaches the service, in how many workspaces people share, and for how long."""

    name: str
    way: str
    workspaces: int
    minutes: float


def scenarios(minutes: float) -> list[Scenario]:
    """All of them, where `minutes` is how long people share."""
    return [
        Scenario(name="Socket Mode, 8 workspaces", way="socket", workspaces=8, minutes=minutes),
        Scenario(name="HTTP, 8 workspaces", way="http", workspaces=8, minutes=minutes),
        Scenario(name="Socket Mode, 1 workspace", way="socket", workspaces=1, minutes=minutes / 3),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came of a scenario: the shares in order, and seconds that acknowledgements took; how often an
    event was sent, and how many were never acknowledged; how late the Slack and the service's event loop
    were, seconds; how often each method was called, and how often refused; how many shares waited for their
    transcript when the last one came in, and how much of the processors was in use until then."""

    outcomes: Sequence[Outcome]
    acknowledged: Sequence[float]
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
def slack(scenario: Scenario, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """The Slack's process, ended afterwards."""
    options = {"way": scenario.way, "workspaces": scenario.workspaces, "rate": _RATE}
    options |= {"minutes": scenario.minutes, "seconds": seconds}
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "benchmarks.slack_load"),
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


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next thing that the Slack says. Raises Trouble if it has ended."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise Trouble("The Slack ended.")
    said: dict[str, Any] = json.loads(line)
    return said


def measure(scenario: Scenario, seconds: float, home: Path) -> Found:
    """Share and wait for the last answer. Raises Trouble if something ends."""
    with slack(scenario, seconds) as process:
        assert process.stdin is not None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        environment = told(process)["settings"] | {
            "METHODS": "quick",
            "ERNI_HTTP_PORT": port,
            "BENCHMARK_LAG": str(home / "lag"),
        }
        with Service(home / "service", "benchmarks.slack_service", **environment):
            print(f"http://127.0.0.1:{port}", file=process.stdin, flush=True)
            told(process)
            used, passed = processors()
            waiting = told(process)["waiting"]
            used_then, passed_then = processors()
            found = told(process)["found"]
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


def milliseconds(values: Sequence[float], share: float) -> str:
    """A percentile of seconds."""
    return f"{1000 * percentile(values, share):.1f}" if values else "-"


def figures(found: Found) -> dict[str, str]:
    """The column of a scenario, by the names of the rows."""
    replied = [each.replied for each in found.outcomes if each.replied is not None]
    calls = sum(count for count, _ in found.calls.values())
    done = [each.transcribed for each in found.outcomes if each.transcribed is not None]

    def after(values: Sequence[float], share: float) -> str:
        return f"{percentile(values, share):.2f}" if values else "-"

    return {
        "shares": str(len(found.outcomes)),
        "events sent, with repetitions": str(found.sent),
        "processors in use while people share": f"{100 * found.busy:.0f} %",
        "waiting for a worker after the last share": str(found.waiting),
        "acknowledged after, p50 (ms)": milliseconds(found.acknowledged, 0.5),
        "acknowledged after, p99 (ms)": milliseconds(found.acknowledged, 0.99),
        "acknowledged after, most (ms)": milliseconds(found.acknowledged, 1),
        "not acknowledged": str(found.unacknowledged),
        "the Slack itself late, p99 (ms)": milliseconds(found.late, 0.99),
        "the Slack itself late, most (ms)": milliseconds(found.late, 1),
        "the service's event loop late, p99 (ms)": milliseconds(found.lags, 0.99),
        "first reply after, p50 (s)": after(replied, 0.5),
        "first reply after, p99 (s)": after(replied, 0.99),
        "first reply after, most (s)": after(replied, 1),
        "transcript after, p50 (s)": after(done, 0.5),
        "transcript after, most (s)": after(done, 1),
        "answers or files twice": str(sum(each.surplus for each in found.outcomes)),
        "shares without their transcript": str(sum(each.lost for each in found.outcomes)),
        "- of them told that it failed": str(sum(each.lost and each.failed for each in found.outcomes)),
        "requests refused for their rate": str(sum(refused for _, refused in found.calls.values())),
        "calls of the Web API a share": f"{calls / len(found.outcomes):.1f}",
    }


_TARGETS = {
    "acknowledged after, p99 (ms)": "under 100",
    "not acknowledged": "0",
    "first reply after, p99 (s)": "under 2",
    "answers or files twice": "0",
    "shares without their transcript": "0",
}


def report(results: Mapping[str, Found], seconds: float, described: str) -> str:
    """The page of results."""
    columns = {name: figures(found) for name, found in results.items()}
    names = list(next(iter(columns.values())))
    rows = [[name, *(column[name] for column in columns.values()), _TARGETS.get(name, "")] for name in names]
    methods = sorted({method for found in results.values() for method in found.calls})
    calls = [
        [method, *(_a_share(found, method) for found in results.values())]
        for method in methods
        if any(found.calls.get(method, (0, 0))[0] for found in results.values())
    ]
    return "\n".join(
        [
            "# 200 shares a minute in Slack",
            "",
            f"Made by `python -m benchmarks.slack --write` on {described}.",
            "",
            _SETTING.format(minutes=f"{seconds / 60:g}"),
            "",
            table(["", *columns, "target"], rows),
            "",
            _EXPLANATION,
            "",
            "## Calls of the Web API for each share",
            "",
            table(["", *columns], calls),
            "",
            "In brackets: how many of them Slack refused, nearly all of them because of their rate.",
        ]
    )


def _a_share(found: Found, method: str) -> str:
    count, refused = found.calls.get(method, (0, 0))
    shares = len(found.outcomes)
    return f"{count / shares:.2f}" + (f" ({refused / shares:.2f})" if refused else "")


_SETTING = """\
The real service with its own Valkey and its settings as they come (4 short jobs at once, 4 for each
workspace). People share recordings at random moments in 40 channels, every one of them
another file of {minutes} minutes (MP4, AAC), which keeps the children that decode busy. Recognition is
`quick_engine`, 2.5 words a second. The Slack is the tests' own, in a process of its own on the same
processors. It limits rates as Slack publishes them (in each workspace `chat.update` 50 a minute, uploads and
`files.info` 100; `chat.postMessage` one a second in each channel), sends both `file_shared` and `message` in
either order, each twice for a quarter of the shares, and again what is not acknowledged within 3 s."""

_EXPLANATION = """\
**Acknowledged**: from when the Slack sends an event until it has the acknowledgement, for every event and
every repetition. That contains how late the Slack's own process is, which competes for the same processors;
its figures are given beside. **Late**: a task that sleeps 10 ms over and over notes how much longer it took.
**First reply**: by the time stamps of the two messages. **Without their transcript**: the answer does not
show one, or its two files are not those that should be in the thread. In one workspace, Slack takes no more
than 50 results a minute from anybody (each is a `chat.update`, and two uploads of 100), so transcripts wait
for Slack there, not for a worker."""


def main() -> int:
    """Measure and show; exit status 1 if something went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="replace the committed results")
    parser.add_argument("--minutes", type=float, default=3, help="for which people share (default 3)")
    parser.add_argument("--seconds", type=float, default=900, help="length of a recording (default 900)")
    parser.add_argument("--only", type=int, help="one scenario, by its number from 1")
    options = parser.parse_args()
    described = machine.describe()
    chosen = scenarios(options.minutes)
    if options.only:
        chosen = [chosen[options.only - 1]]
    results = {}
    for scenario in chosen:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="erni-slack-") as home:
            try:
                results[scenario.name] = measure(scenario, options.seconds, Path(home))
            except Trouble as error:
                print(error, file=sys.stderr)
                return 1
        print(f"{scenario.name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    publish("slack", report(results, options.seconds, described), write=options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
