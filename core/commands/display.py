"""How far each recording is, on standard error: live bars where a person looks, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from core.model import Stage
from core.pace import Clock, Pace, overall
from core.redaction import escape_controls
from core.render.times import clock as as_clock

WORDS = {
    Stage.QUEUED: "waiting",
    Stage.FETCHING: "fetching",
    Stage.DECODING: "decoding",
    Stage.RECOGNISING: "recognising",
    Stage.WRITING: "writing",
    Stage.DELIVERING: "delivering",
}
"""What people read for a stage."""

_LINE_SECONDS = 5.0
_NAME_CELLS = 36
_BAR_CELLS = 24
_SPARE_LINES = 4  # of the terminal's height, for what was written above


class Display(Protocol):
    """Where progress is shown. Called from the event loop's thread."""

    def progress(self, key: str, name: str, stage: Stage, fraction: float | None) -> None:
        """The recording `key`, which people know as `name`, is in `stage`. Cheap: may be called often."""
        ...

    def end(self, key: str, line: str = "") -> None:
        """The recording is over; say `line` about it if there is anything to say."""
        ...

    def say(self, line: str) -> None:
        """A line of its own."""
        ...

    @contextmanager
    def aside(self) -> Iterator[None]:
        """While something else is written to the terminal."""
        ...


class _Row:
    def __init__(self, name: str, clock: Clock) -> None:
        self.name = escape_controls(name)
        self.stage = Stage.QUEUED
        self.done = 0.0
        self.pace = Pace(clock)

    def update(self, stage: Stage, fraction: float | None) -> None:
        self.stage, self.done = stage, overall(stage, fraction)
        self.pace.update(stage, fraction)


class Bars:
    """A bar for each recording that is worked on, redrawn in place; open as a context."""

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._rows: dict[str, _Row] = {}
        self._lock = threading.Lock()  # rich draws from a thread of its own
        self._live = Live(
            console=console,
            get_renderable=self.picture,
            refresh_per_second=8,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Bars:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the bars away and give the terminal back. Safe to repeat."""
        with self._lock:
            self._rows.clear()
        self._live.stop()

    def progress(self, key: str, name: str, stage: Stage, fraction: float | None) -> None:
        with self._lock:
            row = self._rows.setdefault(key, _Row(name, self._clock))
            row.update(stage, fraction)

    def end(self, key: str, line: str = "") -> None:
        with self._lock:
            self._rows.pop(key, None)
        if line:
            self.say(line)

    def say(self, line: str) -> None:
        self._console.print(Text(escape_controls(line)))

    def write(self, text: str) -> None:
        """Text as it is, above the bars; what is longer than a line is left to the terminal."""
        self._console.print(Text(text), soft_wrap=True, end="")

    @contextmanager
    def aside(self) -> Iterator[None]:
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def picture(self) -> RenderableType:
        """What is drawn now."""
        with self._lock:
            rows = list(self._rows.values())
        working = [row for row in rows if row.stage is not Stage.QUEUED]
        shown = working[: max(1, self._console.height - _SPARE_LINES)]
        table = Table.grid(padding=(0, 1))
        table.add_column(max_width=_NAME_CELLS, no_wrap=True, overflow="ellipsis")
        table.add_column(no_wrap=True)
        table.add_column(width=_BAR_CELLS)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True)
        for row in shown:
            left = row.pace.seconds_left()
            table.add_row(
                Text(row.name),
                Text(WORDS[row.stage], style="cyan"),
                ProgressBar(total=1.0, completed=row.done, width=_BAR_CELLS),
                f"{row.done:.0%}",
                Text("" if left is None else f"{as_clock(left)} left", style="dim"),
            )
        parts: list[RenderableType] = [table] if shown else []
        if waiting := len(rows) - len(shown):
            parts.append(Text(f"{waiting} more waiting" if shown else f"{waiting} waiting", style="dim"))
        return Group(*parts)


class Lines:
    """A line for each stage and, in long ones, from time to time; for logs and pipes."""

    def __init__(self, stream: TextIO, clock: Clock = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._rows: dict[str, _Row] = {}
        self._said: dict[str, tuple[Stage, float, float]] = {}

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.clear()

    def progress(self, key: str, name: str, stage: Stage, fraction: float | None) -> None:
        row = self._rows.setdefault(key, _Row(name, self._clock))
        row.update(stage, fraction)
        now = self._clock()
        before = self._said.get(key)
        if stage in {Stage.QUEUED, Stage.WRITING}:  # over in no time, or nothing to see
            return
        if before is not None and before[0] == stage:
            _, done, at = before
            if now - at < _LINE_SECONDS or row.done < done + 0.1:
                return
        self._said[key] = (stage, row.done, now)
        left = row.pace.seconds_left()
        self.say(
            f"{row.name}: {WORDS[stage]}"
            + (f", {row.done:.0%}" if before is not None and before[0] == stage else "")
            + ("" if left is None else f", {as_clock(left)} left")
        )

    def end(self, key: str, line: str = "") -> None:
        self._rows.pop(key, None)
        self._said.pop(key, None)
        if line:
            self.say(line)

    def say(self, line: str) -> None:
        self.write(escape_controls(line) + "\n")

    def write(self, text: str) -> None:
        """Text as it is."""
        self._stream.write(text)
        self._stream.flush()

    @contextmanager
    def aside(self) -> Iterator[None]:
        yield


class _LogStream:
    """What the log is written to, so that its lines go above the bars instead of through them."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write = write

    def flush(self) -> None:
        """Nothing is held back."""


def a_person_looks() -> bool:
    """Whether standard error is a terminal that can redraw lines."""
    return sys.stderr.isatty() and not Console(stderr=True).is_dumb_terminal


def make_display() -> Bars | Lines:
    """The display that suits standard error."""
    return Bars(Console(stderr=True, highlight=False)) if a_person_looks() else Lines(sys.stderr)


def log_stream(display: Bars | Lines) -> TextIO:
    """For `core.telemetry.configure_logging`."""
    return cast("TextIO", _LogStream(display.write))
