"""Clouds in processes of their own (`clouds_load`), and the real service at them, for `clouds`."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.clouds_servers import WAYS, Way
from benchmarks.service import Service, Trouble
from benchmarks.tracing import Span

_MODULE = "benchmarks.clouds_service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A connector, and how the service hears of changes there."""

    connector: str
    way: Way

    @property
    def platform(self) -> str:
        """What people call it."""
        return {"gdrive": "Drive", "dropbox": "Dropbox"}[self.connector]

    @property
    def title(self) -> str:
        """Both."""
        return f"{self.platform}, {self.way}"


PLACES = [Place(connector=connector, way=way) for connector, ways in WAYS.items() for way in ways]


class Cloud:
    """The process of a cloud. Raises Trouble when it has ended."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.clouds_load", place.connector, place.way],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()  # nothing more is to be done
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def tell(self, what: str, **arguments: Any) -> None:
        """Have something done, whose answer is to be `heard`."""
        assert self._process.stdin is not None
        try:
            print(json.dumps({"do": what, **arguments}), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise Trouble(f"The cloud ({self.place.title}) ended.") from None

    def heard(self) -> dict[str, Any]:
        """The answer to what was told first."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Trouble(f"The cloud ({self.place.title}) ended.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, what: str, **arguments: Any) -> dict[str, Any]:
        """Both."""
        self.tell(what, **arguments)
        return self.heard()


@contextmanager
def serving(cloud: Cloud, home: Path, settings: Mapping[str, str], **more: str) -> Iterator[Service]:
    """A service that the cloud can reach."""
    home.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    own = {"METHODS": "quick", "ERNI_HTTP_PORT": port, "BENCHMARK_LAG": str(home / "lag")}
    with Service(home / "service", _MODULE, **{**settings, **own, **more}) as service:
        cloud.ask("reach", address=f"http://127.0.0.1:{port}")
        yield service


def looks(service: Service) -> list[Span]:
    """When the service looked at its folder so far."""
    return [span for span in service.spans() if span.name == "look"]


def submitted(service: Service) -> dict[str, float]:
    """When recordings were submitted for the first time, by name."""
    found: dict[str, float] = {}
    for span in service.spans():
        if span.name == "submit":
            found.setdefault(span.job, span.ended)
    return found


def difference(after: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """What was called since."""
    return {name: count - before.get(name, 0) for name, count in after.items() if count > before.get(name, 0)}
