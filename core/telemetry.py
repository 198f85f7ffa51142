"""What the operator sees: log lines that leak and forge nothing, and Prometheus metrics."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import sys
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, TextIO

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from pydantic_settings import BaseSettings

from core.model import JobState, Stage
from core.redaction import Redactor, escape_controls
from core.settings import Settings

OUR_PACKAGES = ("core", "bots", "connectors", "benchmarks")

_QUOTING = (
    "httpx",
    "httpx2",
    "httpcore",
    "openai",
    "googleapiclient",
    "google_auth_httplib2",
    "requests_oauthlib",
    "slack_sdk",
    "slack_bolt",
    "dropbox",
)
"""Libraries whose notes quote whole addresses, bodies or headers, with tokens and texts in them."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Lines(logging.Formatter):
    """What both formats share: redaction comes after everything is put together, so it covers all of it."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def _clean(self, text: str) -> str:
        return escape_controls(self._redact(text))

    @staticmethod
    def _message(record: logging.LogRecord) -> str:
        try:
            return record.getMessage()
        except Exception:  # noqa: BLE001  (logging would print the raw arguments, past all redaction)
            return f"{record.msg} (its arguments don't fit)"

    @staticmethod
    def _facts(record: logging.LogRecord) -> dict[str, Any]:
        return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class TextLines(_Lines):
    """One line per record for people; below INFO, tracebacks follow, indented so that none passes for a
    record."""

    def __init__(self, redact: Redactor, *, tracebacks: bool) -> None:
        super().__init__(redact)
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        time = datetime.fromtimestamp(record.created).astimezone().isoformat(" ", "seconds")
        text = self._message(record)
        text += "".join(f" {name}={value}" for name, value in self._facts(record).items())
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not self._tracebacks:
            text += f" ({_in_short(error)})"
        lines = [f"{time} {record.levelname:<7} {record.name}: {self._clean(text)}"]
        if error is not None and self._tracebacks:
            trace = self._redact("".join(traceback.format_exception(error)))
            lines += [f"    | {escape_controls(line)}" for line in trace.rstrip().split("\n")]
        return "\n".join(lines)


class JsonLines(_Lines):
    """One JSON object per record for machines: time, level, logger, message, the record's own facts, and the
    traceback under `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """The object, on one line."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": self._clean(self._message(record)),
        }
        for name, value in self._facts(record).items():
            plain = (
                value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
            )
            entry.setdefault(name, value if plain else self._clean(str(value)))
        if record.exc_info and record.exc_info[1] is not None:
            entry["exception"] = self._redact("".join(traceback.format_exception(record.exc_info[1])))
        return json.dumps(entry)  # ASCII only: control characters are escaped by JSON itself


def _in_short(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
    text = str(error)
    return f"{type(error).__name__}{': ' if text else ''}{text}{where}"


def configure_logging(settings: Settings, *others: BaseSettings, stream: TextIO | None = None) -> Redactor:
    """Send all logging to standard error as `settings` say, without any secret that they or `others` hold.

    Adapters' secrets that become known later are added with the returned redactor's `learn`. Called again,
    it replaces what it set up before. Libraries are heard from WARNING on, with DEBUG from INFO on: at their
    own DEBUG they write out requests with their headers.
    """
    redact = Redactor()
    redact.learn(settings, *others)
    level = logging.getLevelNamesMapping()[settings.log_level]
    debug = level <= logging.DEBUG
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        JsonLines(redact) if settings.log_format == "json" else TextLines(redact, tracebacks=debug)
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old.formatter, _Lines):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.INFO if debug else max(level, logging.WARNING))
    for package in OUR_PACKAGES:
        logging.getLogger(package).setLevel(level)
    for package in _QUOTING:
        logging.getLogger(package).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)
    return redact


class _Bounded:
    """Lets the first values of a label through and calls the rest `other`, so that nothing a vendor or a
    sharer sends can make a metric grow without end."""

    def __init__(self, limit: int = 40) -> None:
        self._limit = limit
        self._seen: set[str] = set()

    def __call__(self, value: str) -> str:
        if value not in self._seen:
            if len(self._seen) >= self._limit:
                return "other"
            self._seen.add(value)
        return value


class Metrics:
    """What Prometheus is told, on the registry given. Safe to call often; nothing here blocks.

    Labels carry names from our tables (platforms, engines, lanes, states, classes of errors), never keys,
    file names or ids.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        seconds = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 3 * 3600)
        self._bounded: dict[str, _Bounded] = {}
        self._jobs = Counter(
            "erni_jobs", "Jobs that entered a state.", ["platform", "state"], registry=registry
        )
        self._stages = Histogram(
            "erni_stage_seconds",
            "Time that one recording spent in a stage.",
            ["stage"],
            buckets=seconds,
            registry=registry,
        )
        self._audio = Counter(
            "erni_recognised_audio_seconds", "Audio recognised.", ["engine"], registry=registry
        )
        self._factor = Histogram(
            "erni_real_time_factor",
            "Recognition time over audio time; below 1 is faster than real time.",
            ["engine"],
            buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
            registry=registry,
        )
        self._cache = Counter(
            "erni_cache_lookups", "Looks for a finished transcript.", ["outcome"], registry=registry
        )
        self._queue = Gauge("erni_queue_depth", "Recordings that wait.", ["lane"], registry=registry)
        self._deliveries = Counter(
            "erni_deliveries", "Recordings answered.", ["platform", "outcome"], registry=registry
        )
        self._answer = Histogram(
            "erni_answer_seconds",
            "Time from accepting a recording to its answer.",
            ["platform", "outcome"],
            buckets=(*seconds, 12 * 3600, 24 * 3600),
            registry=registry,
        )
        self._retries = Counter("erni_retries", "Tries that are made again.", ["kind"], registry=registry)
        self._failures = Counter("erni_failures", "Tries that failed.", ["kind"], registry=registry)
        self._fallbacks = Counter(
            "erni_engine_fallbacks",
            "Times that one method failed and the next one took over.",
            ["failed", "took_over"],
            registry=registry,
        )
        self._lag = Gauge(
            "erni_event_loop_lag_seconds",
            "Longest time that the event loop was late by, over the last samples.",
            registry=registry,
        )
        for outcome in ("hit", "miss"):  # so that a rate can be computed from the start
            self._cache.labels(outcome)

    def _label(self, name: str, value: str) -> str:
        return self._bounded.setdefault(name, _Bounded())(value)

    def job(self, platform: str, state: JobState) -> None:
        """A job of `platform` entered `state`."""
        self._jobs.labels(self._label("platform", platform), state.value).inc()

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Measures the time spent within, also when it ends in an exception."""
        started = perf_counter()
        try:
            yield
        finally:
            self._stages.labels(stage.value).observe(perf_counter() - started)

    def recognised(self, engine: str, audio_seconds: float, seconds: float) -> None:
        """`engine` took `seconds` for `audio_seconds` of audio."""
        label = self._label("engine", engine)
        self._audio.labels(label).inc(audio_seconds)
        if audio_seconds > 0:
            self._factor.labels(label).observe(seconds / audio_seconds)

    def cache_hit(self) -> None:
        """A finished transcript was on record."""
        self._cache.labels("hit").inc()

    def cache_miss(self) -> None:
        """None was: the recording must be recognised."""
        self._cache.labels("miss").inc()

    def queue_depth(self, lane: str, waiting: int) -> None:
        """So many recordings wait in `lane`."""
        self._queue.labels(self._label("lane", lane)).set(waiting)

    def delivered(self, platform: str, outcome: str, seconds: float) -> None:
        """A recording was answered with `outcome` (transcript, failure), `seconds` after it was accepted."""
        labels = (self._label("platform", platform), self._label("outcome", outcome))
        self._deliveries.labels(*labels).inc()
        self._answer.labels(*labels).observe(seconds)

    def retried(self, kind: str) -> None:
        """A try that ended in an error of class `kind` will be made again."""
        self._retries.labels(self._label("kind", kind)).inc()

    def failed(self, kind: str) -> None:
        """A try ended in an error of class `kind`."""
        self._failures.labels(self._label("kind", kind)).inc()

    def fell_back(self, failed: str, took_over: str) -> None:
        """The method `failed` could not do it and `took_over` was tried next."""
        self._fallbacks.labels(self._label("method", failed), self._label("method", took_over)).inc()

    def loop_lag(self, seconds: float) -> None:
        """The event loop was late by `seconds`."""
        self._lag.set(seconds)


async def sample_loop_lag(
    metrics: Metrics,
    *,
    interval: float = 1.0,
    samples: int = 30,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    clock: Callable[[], float] = perf_counter,
) -> None:
    """Until cancelled, report how late the event loop wakes us: the worst of the last `samples`, so that a
    stall between two scrapes shows."""
    recent: deque[float] = deque(maxlen=samples)
    while True:
        started = clock()
        await sleep(interval)
        recent.append(max(0.0, clock() - started - interval))
        metrics.loop_lag(max(recent))
