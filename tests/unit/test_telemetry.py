"""Log lines and metrics, as an operator and Prometheus get them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.model import JobState, Stage
from core.settings import Settings
from core.telemetry import OUR_PACKAGES, Metrics, _Lines, configure_logging, sample_loop_lag

SECRET = "hush-hush/42 ü"
logger = logging.getLogger("core.test")


class DoorSettings(BaseSettings):
    """As an adapter's."""

    model_config = SettingsConfigDict(env_prefix="TEST_DOOR_")

    token: SecretStr = SecretStr(SECRET)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    names = ["", *OUR_PACKAGES]
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    logging.captureWarnings(capture=False)
    root = logging.getLogger()
    root.handlers[:] = [handler for handler in root.handlers if not isinstance(handler.formatter, _Lines)]
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg]  # pydantic-settings' own argument


def logged(emit: Any, *others: BaseSettings, **values: Any) -> str:
    stream = io.StringIO()
    configure_logging(settings(**values), *others, stream=stream)
    root = logging.getLogger()
    everyone = root.handlers[:]
    # What pytest records goes into its report, and pytest-xdist can't send a lone surrogate.
    root.handlers[:] = [handler for handler in everyone if isinstance(handler.formatter, _Lines)]
    try:
        emit()
    finally:
        root.handlers[:] = everyone
    return stream.getvalue()


def fail(message: str) -> None:
    logger.error("job %s failed", "ab12", exc_info=raised(message))


def raised(message: str) -> RuntimeError:
    with pytest.raises(RuntimeError) as caught:
        raise RuntimeError(message)
    return caught.value


def test_text_is_one_line_per_record() -> None:
    line = logged(lambda: logger.info("job %s done", "ab12", extra={"stage": "writing"}))
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d INFO    core\.test: job ab12 done stage=writing\n", line
    )


@pytest.mark.parametrize("ending", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_file_name_forges_no_line(ending: str, log_format: str) -> None:
    forged = f"a.wav{ending}2026-11-22 10:00:00+00:00 INFO    core.app: all is well"
    text = logged(lambda: logger.warning("refused %s", forged), log_format=log_format)
    assert len(text.splitlines()) == 1
    assert "all is well" in text


def test_nothing_drives_the_terminal_or_reorders_the_line() -> None:
    text = logged(lambda: logger.info("name %s", "\x1b[2J\x9b31m\u202egnp.exe\ud800\x00"))
    assert "\\x1b[2J\\x9b31m\\u202egnp.exe\\ud800\\x00" in text
    assert text.isprintable() or text.rstrip("\n").isprintable()


def test_an_exception_is_one_line_for_people() -> None:
    text = logged(lambda: fail("first\nsecond"))
    assert text.count("\n") == 1
    assert re.search(r"job ab12 failed \(RuntimeError: first\\nsecond in raised, line \d+\)\n$", text)


def test_a_traceback_at_debug_is_indented_and_forges_nothing() -> None:
    text = logged(
        lambda: fail("x\n2026-11-22 10:00:00+00:00 INFO    core.app: all is well"), log_level="DEBUG"
    )
    first, *rest = text.splitlines()
    assert first.endswith("job ab12 failed")
    assert "Traceback" in rest[0]
    assert all(line.startswith("    | ") for line in rest)


def test_json_is_one_object_per_record() -> None:
    def emit() -> None:
        logger.info("wait %d", 3, extra={"seconds": 1.5, "ratio": float("nan"), "job": "ab12"})
        fail("broken")

    first, second = (json.loads(line) for line in logged(emit, log_format="json").splitlines())
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "level": "INFO",
        "logger": "core.test",
        "message": "wait 3",
        "seconds": 1.5,
        "ratio": "nan",
        "job": "ab12",
    }
    assert second["exception"].startswith("Traceback")
    assert "RuntimeError: broken" in second["exception"]


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("log_level", ["DEBUG", "INFO"])
def test_secrets_of_every_settings_class_never_appear(log_format: str, log_level: str) -> None:
    url = "redis://user:p%40ss%2Fword@db.test:6379/0"

    def emit() -> None:
        logger.error("with %s", SECRET)
        logger.error("in a list %r", [SECRET, {"url": url}])
        logger.error("the password alone: %s, %s", "p@ss/word", "p%40ss%2Fword", extra={"token": SECRET})
        logger.error("quoted: %s", "hush-hush%2F42%20%C3%BC hush-hush/42%20%C3%BC")
        fail(f"{SECRET} at {url}")
        logging.getLogger("vendor").warning("sent %s", SECRET)

    text = logged(emit, DoorSettings(), REDIS_URL=url, log_format=log_format, log_level=log_level)
    assert text.count("[redacted]") >= 6
    for secret in ("hush", "p@ss", "p%40ss"):
        assert secret not in text


def test_a_secret_learnt_later_never_appears_either() -> None:
    stream = io.StringIO()
    redact = configure_logging(settings(), stream=stream)
    redact.learn(SecretStr("later-secret"))
    logger.warning("with %s", "later-secret")
    assert "later-secret" not in stream.getvalue()


def test_arguments_that_do_not_fit_lose_neither_line_nor_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own would raise
    text = logged(lambda: logger.warning("count %d", SECRET), DoorSettings())
    assert "count %d (its arguments don't fit)" in text
    assert "hush" not in text + capsys.readouterr().err


def test_levels_ours_and_theirs() -> None:
    def emit() -> None:
        for name in ("core.test", "connectors.test", "aiohttp", "httpx"):
            for level in (logging.DEBUG, logging.INFO, logging.WARNING):
                logging.getLogger(name).log(level, "%s %s", name, logging.getLevelName(level))

    def heard(**values: Any) -> list[str]:
        return re.findall(r": (\S+ [A-Z]+)$", logged(emit, **values), re.MULTILINE)

    ours = ["core.test INFO", "core.test WARNING", "connectors.test INFO", "connectors.test WARNING"]
    assert heard() == [*ours, "aiohttp WARNING", "httpx WARNING"]
    assert "core.test DEBUG" in heard(log_level="DEBUG")
    assert "aiohttp INFO" in heard(log_level="DEBUG")
    assert "aiohttp DEBUG" not in heard(log_level="DEBUG")
    assert "httpx INFO" not in heard(log_level="DEBUG"), "it quotes addresses, with tokens in them"
    assert heard(log_level="ERROR") == []


def test_configured_again_it_writes_each_line_once() -> None:
    stream = io.StringIO()
    configure_logging(settings(), stream=stream)
    configure_logging(settings(), stream=stream)
    logger.info("once")
    assert stream.getvalue().count("once") == 1


def test_python_warnings_are_logged() -> None:
    def emit() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(capture=True)
            warnings.warn("old\nthing", stacklevel=1)

    assert "old\\nthing" in logged(emit)


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_metrics_say_what_happened() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.job("folder", JobState.DONE)
    metrics.recognised("draft", 100.0, 25.0)
    metrics.recognised("draft", 0.0, 1.0)
    metrics.cache_hit()
    metrics.queue_depth("short", 7)
    metrics.delivered("folder", "transcript", 12.0)
    metrics.retried("Transient")
    metrics.failed("Rejected")
    metrics.fell_back("local", "draft")
    assert sample(registry, "erni_jobs_total", platform="folder", state="done") == 1
    assert sample(registry, "erni_recognised_audio_seconds_total", engine="draft") == 100
    assert sample(registry, "erni_real_time_factor_sum", engine="draft") == 0.25
    assert sample(registry, "erni_real_time_factor_count", engine="draft") == 1
    assert sample(registry, "erni_cache_lookups_total", outcome="hit") == 1
    assert sample(registry, "erni_cache_lookups_total", outcome="miss") == 0
    assert sample(registry, "erni_queue_depth", lane="short") == 7
    assert sample(registry, "erni_deliveries_total", platform="folder", outcome="transcript") == 1
    assert sample(registry, "erni_answer_seconds_sum", platform="folder", outcome="transcript") == 12
    assert sample(registry, "erni_retries_total", kind="Transient") == 1
    assert sample(registry, "erni_failures_total", kind="Rejected") == 1
    assert sample(registry, "erni_engine_fallbacks_total", failed="local", took_over="draft") == 1


def test_a_stage_counts_even_if_it_fails() -> None:
    registry = CollectorRegistry()
    with pytest.raises(RuntimeError), Metrics(registry).stage(Stage.FETCHING):
        raise RuntimeError
    assert sample(registry, "erni_stage_seconds_count", stage="fetching") == 1


def test_every_metric_is_ours_and_two_services_share_none() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    Metrics(first).cache_hit()
    Metrics(second)
    assert sample(second, "erni_cache_lookups_total", outcome="hit") == 0
    names = re.findall(r"^# TYPE (\S+)", generate_latest(first).decode(), re.MULTILINE)
    assert len(names) >= 12
    assert all(name.startswith("erni_") for name in names)


def test_hostile_labels_do_not_grow_the_metrics() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    for number in range(1000):
        metrics.failed(f"Error{number}")
    lines = [
        line for line in generate_latest(registry).decode().splitlines() if "erni_failures_total{" in line
    ]
    assert len(lines) <= 50
    assert sum(float(line.split()[-1]) for line in lines) == 1000
    assert 'erni_failures_total{kind="Error0"} 1.0' in lines
    assert sample(registry, "erni_failures_total", kind="other") == 1000 - (len(lines) - 1)


async def test_the_loop_lag_is_the_worst_of_the_last_samples() -> None:
    registry = CollectorRegistry()
    now, seen = 0.0, []
    delays = iter([0.0, 0.5, 0.1, 0.2, 0.0, -0.01])

    async def sleep(seconds: float) -> None:
        nonlocal now
        seen.append(sample(registry, "erni_event_loop_lag_seconds"))
        delay = next(delays, None)
        if delay is None:
            raise asyncio.CancelledError
        now += seconds + delay

    with pytest.raises(asyncio.CancelledError):
        await sample_loop_lag(
            Metrics(registry), interval=1.0, samples=3, sleep=sleep, clock=lambda: round(now, 6)
        )
    assert seen == pytest.approx([0.0, 0.0, 0.5, 0.5, 0.5, 0.2, 0.2])
