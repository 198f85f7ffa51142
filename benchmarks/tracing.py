"""Notes when functions began and ended, in a file that another process reads while it grows."""

from __future__ import annotations

import functools
import inspect
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One call of the stage `name`, in seconds of the system's monotonic clock, which all processes share.
    `job` is the job's id where the call was about one."""

    name: str
    began: float
    ended: float
    job: str

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Tracer:
    """Appends a line per call to the file at `path`."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, name: str, began: float, job: str = "") -> None:
        """What began at `began` ends now."""
        line = json.dumps([name, began, time.monotonic(), job])
        os.write(self._file, line.encode() + b"\n")

    def watch(self, name: str, owner: Any, attribute: str) -> None:
        """Time every call of the function `attribute` of a class or module from now on."""
        passed: Callable[..., Any] = getattr(owner, attribute)

        @functools.wraps(passed)
        async def later(*arguments: Any, **options: Any) -> Any:
            began = time.monotonic()
            try:
                return await passed(*arguments, **options)
            finally:
                self.note(name, began, _job(arguments))

        @functools.wraps(passed)
        def at_once(*arguments: Any, **options: Any) -> Any:
            began = time.monotonic()
            try:
                return passed(*arguments, **options)
            finally:
                self.note(name, began, _job(arguments))

        setattr(owner, attribute, later if inspect.iscoroutinefunction(passed) else at_once)


def _job(arguments: tuple[Any, ...]) -> str:
    """The job that a method was called about: its first argument is an id, or a claim."""
    about = arguments[1] if len(arguments) > 1 else None
    return about if isinstance(about, str) else getattr(getattr(about, "job", None), "id", "")


def read(path: Path) -> list[Span]:
    """What was noted so far, in the order in which it ended."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    return [
        Span(name=name, began=began, ended=ended, job=job)
        for name, began, ended, job in map(json.loads, whole.splitlines())
    ]
