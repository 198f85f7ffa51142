"""What speech models behind OpenAI's protocol can do and how they want to be asked, as data. Pure.

The list changes with every announcement, so nothing but this table knows a model by name, and the setting
`OPENAI_MODELS` adds to it or corrects it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any, Final

from core.errors import Misconfigured
from core.model import Hints

MAX_BYTES: Final = 25 * 2**20 - 64 * 1024
"""What a file may have: 25 MB for the whole request, less the form around the file."""

NOTICE_DAYS: Final = 90
"""How long before a model's end the operator is told."""

_LAST_DAY: Final = date(2027, 2, 26)  # announced on 2026-08-26 for everything but gpt-transcribe
_LEAST_SECONDS, _LEAST_BYTES = 30.0, 200_000  # of one request; with less, pieces are cut within sentences
_PROMPT = 600  # characters; Whisper reads the last 224 tokens of a prompt and drops what is before
_KEYWORDS = 100  # terms; no limit is published, and a long list helps no model
_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechModel:
    """One model. Without `word_times`, `segments` (times of phrases) or `labels_speakers` it gives text only.

    `max_seconds` and `max_bytes` bound the audio of one request. `takes_language` is one language code,
    `takes_languages` a list of them. `ends` is the first day on which OpenAI no longer runs it.
    """

    name: str
    word_times: bool = False
    segments: bool = False
    labels_speakers: bool = False
    max_seconds: float = 1390.0
    max_bytes: int = MAX_BYTES
    needs_chunking_strategy: bool = False
    takes_prompt: bool = True
    takes_keywords: bool = False
    takes_language: bool = True
    takes_languages: bool = False
    ends: date | None = None

    @property
    def timed(self) -> bool:
        """Whether there are times at all, of words or of what words can be spread over."""
        return self.word_times or self.segments or self.labels_speakers

    @property
    def response_format(self) -> str:
        """The answer's format that holds the most of what it can do."""
        if self.labels_speakers:
            return "diarized_json"
        return "verbose_json" if self.word_times or self.segments else "json"

    @property
    def granularities(self) -> tuple[str, ...]:
        """Which times to ask for."""
        if self.labels_speakers:
            return ()
        if self.word_times:
            return ("word", "segment")
        return ("segment",) if self.segments else ()


_TABLE: Final[Mapping[str, SpeechModel]] = {
    model.name: model
    for model in (
        SpeechModel(name="whisper-1", word_times=True, segments=True, max_seconds=1480.0, ends=_LAST_DAY),
        SpeechModel(name="gpt-4o-transcribe", max_seconds=1480.0, ends=_LAST_DAY),
        SpeechModel(name="gpt-4o-mini-transcribe", max_seconds=1480.0, ends=_LAST_DAY),
        SpeechModel(
            name="gpt-4o-transcribe-diarize",
            labels_speakers=True,
            needs_chunking_strategy=True,
            takes_prompt=False,
            ends=_LAST_DAY,
        ),
        SpeechModel(
            name="gpt-transcribe",
            max_seconds=1480.0,
            takes_keywords=True,
            takes_language=False,
            takes_languages=True,
        ),
        # Groq's
        SpeechModel(name="whisper-large-v3", word_times=True, segments=True, max_seconds=1480.0),
        SpeechModel(name="whisper-large-v3-turbo", word_times=True, segments=True, max_seconds=1480.0),
    )
}

_FIELDS: Final = tuple(field.name for field in fields(SpeechModel) if field.name != "name")
_EXAMPLE = '{"my-model": {"word_times": true}}'


def lookup(name: str, extra: Mapping[str, SpeechModel]) -> SpeechModel | None:
    """The model called `name` in `extra` or the table; a dated name is a version of the undated one. None:
    nobody knows it, so the server has to be asked."""
    for known in (name, _DATED.sub("", name)):
        for table in (extra, _TABLE):
            if known in table:
                return replace(table[known], name=name)
    return None


def parse(text: str) -> dict[str, SpeechModel]:
    """The models in the setting `OPENAI_MODELS`; fields that one leaves out are the table's, or the defaults.

    Raises Misconfigured for text that is no such JSON, unknown fields and values that make no sense.
    """
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Misconfigured(f"OPENAI_MODELS is no JSON: {error}. It looks like {_EXAMPLE}.") from None
    if not isinstance(found, dict):
        raise Misconfigured(f"OPENAI_MODELS is no JSON object. It looks like {_EXAMPLE}.")
    return {name: _model(name, facts) for name, facts in found.items()}


def _model(name: str, facts: Any) -> SpeechModel:
    if not name or not isinstance(facts, dict):
        raise Misconfigured(f"OPENAI_MODELS: a model has a name and an object of facts, as in {_EXAMPLE}.")
    base = lookup(name, {}) or SpeechModel(name=name)
    given: dict[str, Any] = {}
    for key, value in facts.items():
        if key not in _FIELDS:
            raise Misconfigured(
                f"OPENAI_MODELS: {name} has no field {key!r}. There are: {', '.join(_FIELDS)}."
            )
        given[key] = _value(name, key, value)
    return replace(base, **given)


def _value(name: str, key: str, value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if key == "ends":
        try:
            return None if value is None else date.fromisoformat(value)
        except (TypeError, ValueError):
            wanted = "a day such as 2027-02-26, or null"
    elif key == "max_seconds":
        if number and _LEAST_SECONDS <= value < float("inf"):
            return float(value)
        wanted = f"a number of seconds, {_LEAST_SECONDS:.0f} or more"
    elif key == "max_bytes":
        if number and isinstance(value, int) and value >= _LEAST_BYTES:
            return value
        wanted = f"a whole number of bytes, {_LEAST_BYTES} or more"
    else:
        if isinstance(value, bool):
            return value
        wanted = "true or false"
    raise Misconfigured(f"OPENAI_MODELS: {key} of {name} is {value!r}, but should be {wanted}.")


def ended(model: SpeechModel | None, today: date) -> bool:
    """Whether OpenAI has ceased to run it."""
    return model is not None and model.ends is not None and model.ends <= today


def ending(name: str, today: date, extra: Mapping[str, SpeechModel] | None = None) -> str:
    """A sentence for the operator where `name` has ended or ends within `NOTICE_DAYS`, else empty."""
    model = lookup(name, extra or {})
    if model is None or model.ends is None:
        return ""
    left = (model.ends - today).days
    if left <= 0:
        return f"OpenAI ended {name} on {model.ends}."
    if left > NOTICE_DAYS:
        return ""
    return f"OpenAI ends {name} on {model.ends}, in {left} {'day' if left == 1 else 'days'}."


def form(model: SpeechModel, hints: Hints) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of a request besides the file, and sentences for the reader on what was left out.

    Keywords are preferred to a prompt, which a model may repeat as if it had been said.
    """
    asked: dict[str, Any] = {"model": model.name, "response_format": model.response_format}
    warnings: tuple[str, ...] = ()
    if model.granularities:
        asked["timestamp_granularities"] = list(model.granularities)
    if model.needs_chunking_strategy:
        asked["chunking_strategy"] = "auto"
    if model.takes_languages and hints.languages:
        asked["languages"] = list(hints.languages)
    elif model.takes_language and len(hints.languages) == 1:
        asked["language"] = hints.languages[0]
    if hints.vocabulary and (model.takes_keywords or model.takes_prompt):
        terms = _fitting(hints.vocabulary, keywords=model.takes_keywords)
        if terms and model.takes_keywords:
            asked["keywords"] = list(terms)
        elif terms:
            asked["prompt"] = ", ".join(terms)
        if len(terms) < len(hints.vocabulary):
            warnings = (f"Of the vocabulary only the first {len(terms)} terms were used.",)
    return asked, warnings


def _fitting(vocabulary: tuple[str, ...], *, keywords: bool) -> tuple[str, ...]:
    """As many terms from the front as a request has room for."""
    if keywords:
        return vocabulary[:_KEYWORDS]
    room = _PROMPT
    for count, term in enumerate(vocabulary):
        room -= len(term) + 2
        if room < -2:
            return vocabulary[:count]
    return vocabulary
