"""The questions that forms ask about a conversation and a recording, and how answers are read. Pure.

A platform lays the questions out and implements `Filled` over what it gets back. Complaints are by field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar

from core.policies import (
    MOST_TERMS,
    ChannelPolicy,
    Mode,
    read_days,
    read_languages,
    read_speakers,
    read_vocabulary,
)
from core.registry import FORMATS, METHODS
from core.wording import METHOD_NAMES

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A field: its name in answers and complaints, and the words around it."""

    field: str
    label: str
    hint: str = ""
    placeholder: str = ""


MODE: Final = Question(field="mode", label="What is transcribed?")
LANGUAGES: Final = Question(
    field="languages",
    label="Which languages are spoken?",
    hint="With commas between them. If you leave this empty, they are found out by listening.",
    placeholder="English, German",
)
VOCABULARY: Final = Question(
    field="vocabulary",
    label="Names and special words",
    hint=f"They are recognised better when listed here: up to {MOST_TERMS}, with commas.",
    placeholder="Erni, Kubernetes, Zürich",
)
SPEAKERS: Final = Question(
    field="speakers",
    label="How many people speak?",
    hint="If you leave this empty, they are counted by listening. It helps to know.",
    placeholder="3 or 2-4",
)
FILES: Final = Question(field="formats", label="Which files come with a transcript?")
METHOD: Final = Question(field="method", label="Which recognition is used?")
DAYS: Final = Question(field="days", label="Delete transcripts after how many days?")
EXTRAS: Final = Question(field="extras", label="And also")

AUTOMATIC: Final = "-"
"""The value of a method where none is chosen."""

DELETING, BOTS = "deleting", "bots"
EXTRA_NAMES: Final[Mapping[str, str]] = {
    DELETING: "Delete the transcript when its recording is deleted",
    BOTS: "Take recordings that other apps post, too",
}


class Filled(Protocol):
    """A form that came back."""

    def written(self, field: str) -> str:
        """What was typed."""
        ...

    def chosen(self, field: str) -> str | None:
        """The value of the choice, None if there is none."""
        ...

    def all_chosen(self, field: str) -> tuple[str, ...]:
        """The values of the choices where there may be several."""
        ...


def modes(asking: str) -> dict[Mode, tuple[str, str]]:
    """The answers to `MODE`, each with what it means; `asking` says how people ask."""
    return {
        Mode.ALL: ("Every recording that is shared", "The transcript comes by itself"),
        Mode.ASKED: ("Only when somebody asks", asking),
        Mode.NEVER: ("Nothing", "Not even when somebody asks"),
    }


def days_hint(keeps_days: float | None) -> str:
    """What an empty answer to `DAYS` means where the service keeps transcripts for `keeps_days` (None: as
    `core.store.life_seconds` says)."""
    if keeps_days is None:
        return "If you leave this empty, they are kept for three months, those of long recordings longer."
    return f"If you leave this empty, they are kept for {keeps_days:g} days."


def methods_offered(chosen: str | None, methods: Sequence[str]) -> dict[str, str]:
    """The answers to `METHOD` by value: those of `methods`, which can run here, and the one `chosen`."""
    found = {AUTOMATIC: "Automatic: the best that works"}
    found |= {name: METHOD_NAMES.get(name, name) for name in methods}
    if chosen is not None and chosen not in methods:
        found[chosen] = f"{METHOD_NAMES.get(chosen, chosen)} (not available now)"
    return found


def extras_chosen(policy: ChannelPolicy) -> tuple[str, ...]:
    """The answer to `EXTRAS` that a policy stands for."""
    wanted = {DELETING: policy.delete_with_recording, BOTS: policy.bots}
    return tuple(name for name, is_on in wanted.items() if is_on)


def read_policy(filled: Filled) -> ChannelPolicy | dict[str, str]:
    """The policy that was chosen, or complaints by field."""
    problems: dict[str, str] = {}
    low, high = _read(filled, SPEAKERS, read_speakers, problems) or (None, None)
    mode = filled.chosen(MODE.field)
    formats = _read_formats(filled, problems)
    if mode not in set(Mode):
        problems[MODE.field] = "Please choose one."
    extras = filled.all_chosen(EXTRAS.field)
    languages = _read(filled, LANGUAGES, read_languages, problems) or ()
    vocabulary = _read(filled, VOCABULARY, read_vocabulary, problems) or ()
    days = _read(filled, DAYS, read_days, problems)
    if problems:
        return problems
    return ChannelPolicy(
        mode=Mode(str(mode)),
        languages=languages,
        vocabulary=vocabulary,
        min_speakers=low,
        max_speakers=high,
        formats=formats,
        method=_read_method(filled),
        retention_days=days,
        delete_with_recording=DELETING in extras,
        bots=BOTS in extras,
    )


def read_another_try(filled: Filled, policy: ChannelPolicy) -> ChannelPolicy | dict[str, str]:
    """`policy` with the languages, speakers and method that were chosen, or complaints by field."""
    problems: dict[str, str] = {}
    languages = _read(filled, LANGUAGES, read_languages, problems) or ()
    low, high = _read(filled, SPEAKERS, read_speakers, problems) or (None, None)
    if problems:
        return problems
    return replace(
        policy, languages=languages, min_speakers=low, max_speakers=high, method=_read_method(filled)
    )


def read_request(filled: Filled, policy: ChannelPolicy) -> ChannelPolicy | dict[str, str]:
    """`policy` with the languages, speakers and formats that were chosen, or complaints by field."""
    problems: dict[str, str] = {}
    languages = _read(filled, LANGUAGES, read_languages, problems) or ()
    low, high = _read(filled, SPEAKERS, read_speakers, problems) or (None, None)
    formats = _read_formats(filled, problems)
    if problems:
        return problems
    return replace(policy, languages=languages, min_speakers=low, max_speakers=high, formats=formats)


def _read_formats(filled: Filled, problems: dict[str, str]) -> tuple[str, ...]:
    formats = tuple(name for name in filled.all_chosen(FILES.field) if name in FORMATS)
    if not formats:
        problems[FILES.field] = "Please choose at least one."
    return formats


def _read_method(filled: Filled) -> str | None:
    name = filled.chosen(METHOD.field)
    return name if name in METHODS else None


def _read(
    filled: Filled, question: Question, reader: Callable[[str], T], problems: dict[str, str]
) -> T | None:
    try:
        return reader(filled.written(question.field))
    except ValueError as error:
        problems[question.field] = str(error)
        return None
