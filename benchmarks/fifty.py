"""Fifty recordings at once: `python -m benchmarks.fifty [--recordings 50] [--minutes 10] [--write]`.

They are dropped into the folder of the real service, all at the same moment, with the method `standard`; the
vendors' servers (`vendor_servers`, a process of their own) take their time, which here is real time.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks import machine
from benchmarks.overhead import make_recording
from benchmarks.service import Service, Trouble
from benchmarks.tables import megabytes, percentile, publish, table

_PATIENCE = 1800.0
_TARGET_BYTES, _TARGET_LAG = 600e6, 0.02
_ROLES = {
    "core.child": "children: decoding, encoding, speech detection",
    "valkey": "store",
    "redis-server": "store",
}
_SERVICE = "service"


def role_of(command: str) -> str:
    """What a process of the service is for, by its command line."""
    return next((role for part, role in _ROLES.items() if part in command), _SERVICE)


@dataclass(kw_only=True)
class Memory:
    """The proportional set size (shared pages counted once) of a process and all below it, twice a second.

    `most` is the highest sum, in bytes, `parts` what it was made of, by role, `processes` how many there were
    then, `resident` the highest sum of resident sizes. Linux only: elsewhere all stay empty.
    """

    pid: int
    most: int = 0
    resident: int = 0
    parts: dict[str, int] = field(default_factory=dict)
    processes: dict[str, int] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(0.5):
            parts: dict[str, int] = {}
            processes: dict[str, int] = {}
            resident = 0
            for pid in family(self.pid):
                try:
                    sizes = Path(f"/proc/{pid}/smaps_rollup").read_text()
                    command = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
                except OSError:
                    continue
                role = role_of(command)
                parts[role] = parts.get(role, 0) + _kilobytes(sizes, "Pss:")
                processes[role] = processes.get(role, 0) + 1
                resident += _kilobytes(sizes, "Rss:")
            self.resident = max(self.resident, resident)
            if sum(parts.values()) > self.most:
                self.most, self.parts, self.processes = sum(parts.values()), parts, processes


def _kilobytes(sizes: str, name: str) -> int:
    return next((1024 * int(line.split()[1]) for line in sizes.splitlines() if line.startswith(name)), 0)


def family(pid: int) -> list[int]:
    """`pid` and all processes that descend from it."""
    parents: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(place.read_text(errors="replace").rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        parents.setdefault(parent, []).append(int(place.parent.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Seconds from the drop to each answer, in order; what memory and loop were like; how many failed."""

    answered: Sequence[float]
    failed: int
    memory: Memory
    idle: int
    lags: Sequence[float]
    kept: Mapping[str, int]
    stuck: Sequence[tuple[str, int]]
    requests: Mapping[str, int]


@contextmanager
def vendors(seconds: float) -> Iterator[tuple[dict[str, str], dict[str, int]]]:
    """The vendors' servers in a process of their own: the engines' environment, and what there was to do,
    which is filled in at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.vendor_servers", "--seconds", str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )
    told: dict[str, int] = {}
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        if not first:
            raise Trouble("The vendors' servers did not start.")
        yield json.loads(first), told
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
        told.update(json.loads(rest.splitlines()[-1]) if rest.strip() else {})


def measure(recordings: int, seconds: float, home: Path) -> Result:
    """All at once, and wait for the last answer. Raises Trouble if the service ends or nothing comes."""
    ready = home / "ready"
    ready.mkdir()
    for number in range(recordings):
        make_recording(ready / f"recording{number}.m4a", seconds, number * 7)
    many = str(recordings)
    with vendors(seconds) as (environment, told):
        settings = {
            **environment,
            "METHODS": "standard",
            "OPENAI_TRANSCRIBE_MODEL": "whisper-1",
            "ERNI_SHORT_WORKERS": many,
            "ERNI_TENANT_JOBS": many,
            # Accounts that allow as much, or it is their limits that are measured.
            "OPENAI_CONCURRENCY": many,
            "OPENAI_PER_MINUTE": "1000",
            "PYANNOTEAI_CONCURRENCY": many,
            "PYANNOTEAI_PER_MINUTE": "1000",
            "BENCHMARK_LAG": str(home / "lag"),
        }
        with Service(home / "service", "benchmarks.lagged_service", **settings) as service:
            time.sleep(1)
            idle = sum(_idle(service.process.pid))
            with Memory(pid=service.process.pid) as memory:
                dropped = time.monotonic()
                for number in range(recordings):
                    name = f"recording{number}.m4a"
                    (ready / name).rename(service.inbox / name)
                service.wait(lambda: _settled(service) >= recordings, _PATIENCE)
            spans = service.spans()
        lag: dict[str, Any] = json.loads((home / "lag").read_text())
    return Result(
        answered=sorted(span.ended - dropped for span in spans if span.name == "settle"),
        failed=sum(span.name == "failure" for span in spans),
        memory=memory,
        idle=idle,
        lags=lag["lags"],
        kept=lag["late"],
        stuck=lag["stuck"],
        requests=told,
    )


def _settled(service: Service) -> int:
    time.sleep(0.2)  # reading the trace takes processor time from what is measured
    return sum(span.name == "settle" for span in service.spans())


def _idle(pid: int) -> Iterator[int]:
    for one in family(pid):
        try:
            yield _kilobytes(Path(f"/proc/{one}/smaps_rollup").read_text(), "Pss:")
        except OSError:
            continue


def report(result: Result, recordings: int, seconds: float, described: str) -> str:
    """The page of results."""
    last = result.answered[-1]
    late = sum(lag > _TARGET_LAG for lag in result.lags)
    memory = result.memory
    rows = [
        ["recordings answered", f"{recordings - result.failed} of {recordings}", ""],
        ["first answer after", f"{result.answered[0]:.0f} s", ""],
        ["half of them after", f"{percentile(result.answered, 0.5):.0f} s", ""],
        ["last answer after", f"{last:.0f} s", ""],
        ["recordings a minute", f"{60 * recordings / last:.1f}", ""],
        ["hours of audio an hour", f"{recordings * seconds / last:.0f}", ""],
        ["memory in all, idle", f"{megabytes(result.idle)} MB", ""],
        ["memory in all, peak", f"{megabytes(memory.most)} MB", f"under {megabytes(_TARGET_BYTES)} MB"],
        *(
            [f"- of it {role} ({memory.processes[role]})", f"{megabytes(size)} MB", ""]
            for role, size in sorted(memory.parts.items(), key=lambda item: -item[1])
        ),
        ["sum of resident sizes, peak", f"{megabytes(memory.resident)} MB", ""],
        ["event loop late, p50", f"{1000 * percentile(result.lags, 0.5):.1f} ms", ""],
        ["event loop late, p99", f"{1000 * percentile(result.lags, 0.99):.1f} ms", "under 20 ms"],
        ["event loop late, most", f"{1000 * max(result.lags):.0f} ms", ""],
        ["- by more than 20 ms", f"{late} of {len(result.lags)}", ""],
        *(
            [f"- of them because of {who}", str(result.kept.get(name, 0)), ""]
            for name, who in (
                ("loop", "the loop itself"),
                ("threads", "other threads"),
                ("others", "other processes"),
            )
        ),
        ["pieces recognised", str(result.requests.get("heard", 0)), ""],
        ["requests refused (429, 500)", str(result.requests.get("refused", 0)), ""],
    ]
    setting = (
        f"{recordings} different recordings of {seconds / 60:g} minutes (m4a), put into the folder of the "
        "real service at the same moment: its own Valkey, decoding, method `standard` "
        f"(`ERNI_SHORT_WORKERS={recordings}`), outputs written beside the recordings. The vendors' servers "
        "run on the same processors, at 40 Mbit/s a service and 0.05 to 0.15 s of recognition for a second "
        "of audio, in real time; 2 % of requests are answered with 429, 2 % with 500. The accounts allow as "
        "many requests at once as there are recordings."
    )
    return "\n".join(
        [
            f"# {recordings} recordings at once",
            "",
            f"Made by `python -m benchmarks.fifty --write` on {described}.",
            "",
            setting,
            "",
            table(["", "measured", "target"], rows),
            "",
            _EXPLANATION,
        ]
    )


_EXPLANATION = """\
**Memory in all** is that of the service and all its child processes, its Valkey included, twice a second,
with pages that they share counted once (PSS); the sum of resident sizes counts those in every process.
**Late**: a task of the service sleeps 10 ms over and over and notes how much longer it took, so computing
in the loop and waiting for a processor both count. By more than 20 ms: **the loop itself** computed for
more than half of that time, or **other threads** of the service did, which hold the interpreter, or else
**other processes** had the processors."""


def main() -> int:
    """Measure and show; exit status 1 if something went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="replace the committed results")
    parser.add_argument("--recordings", type=int, default=50, help="how many (default 50)")
    parser.add_argument("--minutes", type=float, default=10, help="length of each (default 10)")
    options = parser.parse_args()
    described = machine.describe()
    with tempfile.TemporaryDirectory(prefix="erni-fifty-") as home:
        try:
            result = measure(options.recordings, 60 * options.minutes, Path(home))
        except Trouble as error:
            print(error, file=sys.stderr)
            return 1
    for what, times in result.stuck:
        print(f"stuck {times} times at {what}", file=sys.stderr)
    publish("fifty", report(result, options.recordings, 60 * options.minutes, described), write=options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
