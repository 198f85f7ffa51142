"""Starts a service for a benchmark in a folder of its own, and watches its times and its memory."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.tracing import Span, read

SETTLE_SECONDS = 0.2
_START_SECONDS = 60.0
_OWN = ("ERNI_", "FOLDER_", "METHODS", "REDIS_URL", "SLACK_", "TEAMS_", "GRAPH_", "GDRIVE_", "DROPBOX_")


_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Let this process be asked to stop when the benchmark that started it is killed (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Trouble(Exception):
    """The benchmark can't go on; the message says why."""


class Peaks:
    """The highest resident memory (VmHWM, kept by the kernel) of a process and of what it starts, by role.

    Sampled, since a process can't be asked any more when it is over; what it grows by in its last moments,
    less than `every` seconds, is missed. Linux only: elsewhere `bytes` is empty.
    """

    def __init__(self, pid: int, roles: Mapping[str, str], *, every: float = 0.02) -> None:
        self._pid = pid
        self._roles = roles
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.bytes: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        if not Path("/proc/self/status").exists():
            return
        while not self._over.wait(self._every):
            self._look("", self._pid)
            for pid in _children(self._pid):
                command = _text(pid, "cmdline")
                role = next((role for part, role in self._roles.items() if part in command), None)
                if role is not None:
                    self._look(role, pid)

    def _look(self, role: str, pid: int) -> None:
        for line in _text(pid, "status").splitlines():
            if line.startswith("VmHWM:"):
                self.bytes[role] = max(self.bytes.get(role, 0), 1024 * int(line.split()[1]))


def _children(parent: int) -> list[int]:
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            after_name = _text(int(place.name), "stat").rpartition(")")[2].split()
            if len(after_name) > 1 and after_name[1] == str(parent):
                found.append(int(place.name))
    return found


def _text(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""


class Service:
    """`python -m MODULE` with a data directory and an inbox below `home`, from start to stop.

    Raises Trouble if it does not come up, or ends.
    """

    def __init__(self, home: Path, module: str = "benchmarks.traced_service", **environment: str) -> None:
        self.inbox = home / "inbox"
        self.trace = home / "trace"
        self._log = home / "log"
        home.mkdir(parents=True, exist_ok=True)
        self.inbox.mkdir()
        settings = {
            "ERNI_DATA_DIR": str(home / "data"),
            "FOLDER_PATHS": str(self.inbox),
            "FOLDER_SETTLE_SECONDS": str(SETTLE_SECONDS),
            "ERNI_HTTP_PORT": "0",
            "ERNI_LOG_LEVEL": "WARNING",
            "BENCHMARK_TRACE": str(self.trace),
            "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        }
        # Whatever the person who measures has set up for a service of their own stays out of it.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=inherited | settings | environment,
                cwd=home,  # where no `.env` is
            )

    def __enter__(self) -> Self:
        try:
            self.wait(lambda: any(span.name == "ready" for span in self.spans()), _START_SECONDS)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def spans(self) -> list[Span]:
        """All stages that ended so far."""
        return read(self.trace)

    def wait(self, ready: Callable[[], bool], patience: float) -> None:
        """Until `ready`, asked every hundredth of a second. Raises Trouble after `patience` seconds."""
        deadline = time.monotonic() + patience
        while not ready():
            if self.process.poll() is not None:
                raise Trouble(f"The service ended: {self._last_words()}")
            if time.monotonic() > deadline:
                raise Trouble(f"Nothing happened within {patience:.0f} s: {self._last_words()}")
            time.sleep(0.01)

    def transcribe(self, source: Path, name: str, patience: float) -> tuple[float, list[Span]]:
        """Drop a copy of `source` as `name`; when that was, and every stage up to the end of the job.

        Raises Trouble if the answer is a failure.
        """
        before = len(self.spans())
        hidden = self.inbox / f".{name}.part"
        shutil.copyfile(source, hidden)
        dropped = time.monotonic()
        hidden.rename(self.inbox / name)
        spans: list[Span] = []

        def over() -> bool:
            spans[:] = self.spans()[before:]
            return any(span.name == "settle" for span in spans)

        self.wait(over, patience)
        if any(span.name == "failure" for span in spans):
            raise Trouble(f"{name} was answered with a failure: {self._last_words()}")
        return dropped, spans

    def _stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-2000:].strip() or "its log is empty"
