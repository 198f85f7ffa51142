"""What every format is read to, and the checks that every value from a file passes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from core.errors import ErniError, Misconfigured

MAX_SECONDS = 1e7
"""A hundred days: times beyond are samples or milliseconds, or damage."""


def scoring_package(module: str) -> Any:
    """The module of the `evaluate` extra. Raises Misconfigured saying how to install it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"Evaluation needs the package {error.name}, which is not installed: "
            "pip install 'erni-audio[evaluate]'."
        ) from None


class Unreadable(ErniError):
    """A file can't be used; the message is one line that names it and says why."""


class NoTranscript(Unreadable):
    """Valid JSON, but none of the structures that hold a transcript."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of speech: seconds, None where the format has no times.

    `text` is None where the format carries no words. `words` are (start, end, text) where each word of the
    text has its own time, else empty. `speaker` is None where nobody says who speaks.
    """

    speaker: str | None
    start: float | None
    end: float | None
    text: str | None
    words: tuple[tuple[float, float, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One recording's segments in the order of the file.

    `session_id` is the name that the file's content gives, None where it gives none. The flags say what the
    format carries, which an empty transcript does not show.
    """

    session_id: str | None
    segments: tuple[Segment, ...]
    has_text: bool
    has_speakers: bool
    has_times: bool


def seconds(value: object) -> float:
    """A time from a file. Raises Unreadable if it is none, or far from any recording's length."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Unreadable("a time is not a number of seconds.")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise Unreadable("a time is not a number of seconds.") from None
    if not math.isfinite(number) or abs(number) > MAX_SECONDS:
        raise Unreadable(f"a time is beyond {MAX_SECONDS:.0f} seconds; times are expected in seconds.")
    return number


def span(start: object, end: object) -> tuple[float, float] | tuple[None, None]:
    """Both times, or neither where one is missing. Raises Unreadable if they can't be."""
    if start is None or end is None:
        return None, None
    first, last = seconds(start), seconds(end)
    if last < first:
        raise Unreadable(f"speech from {first:g} s ends before it starts, at {last:g} s.")
    return first, last


def speaker_label(value: object) -> str | None:
    """A speaker as text; None where it is missing or empty. Raises Unreadable if it is something else."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Unreadable("a speaker is neither text nor a number.")
    return str(value).strip() or None
