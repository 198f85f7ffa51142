"""What people may choose for a channel, who may, and how they write it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from functools import cache
from itertools import product
from string import ascii_lowercase
from typing import Any, Final, get_type_hints

from pydantic import TypeAdapter, ValidationError

from core.model import Policy
from core.registry import FORMATS, METHODS
from core.render.languages import language_name, language_names
from core.render.safe import clean, visible
from core.settings import Settings

MOST_TERMS: Final = 100
MOST_TERM: Final = 100
"""Characters of one term of the vocabulary."""
MOST_VOCABULARY: Final = 2_900
"""Characters of the whole vocabulary, with what separates the terms: as much as a field of a form holds."""
MOST_SPEAKERS: Final = 50
MOST_DAYS: Final = 3_650

_UP_TO: Final = re.compile(r"(?:up\s*to|at\s*most|max\.?|<=|≤)\s*(\d+)")
_FROM: Final = re.compile(r"(?:at\s*least|min\.?|>=|≥)\s*(\d+)|(\d+)\s*(?:\+|or\s*more)")
_RANGE: Final = re.compile(r"(\d+)(?:\s*(?:-|\u2013|\u2014|to)\s*(\d+))?")
_LONG_CODES: Final = ("yue", "gsw", "fil", "haw")


class Mode(StrEnum):
    """Which recordings of a channel are transcribed."""

    ALL = "all"
    ASKED = "asked"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelPolicy:
    """How a channel wants its recordings treated. See `core.model.Policy` for what is not explained here.

    `retention_days` is after how many days transcripts are deleted (None: as the service does it);
    `delete_with_recording`: deleting a recording deletes its transcript; `bots`: recordings that other apps
    post are taken too.
    """

    mode: Mode = Mode.ALL
    languages: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    min_speakers: int | None = None
    max_speakers: int | None = None
    formats: tuple[str, ...] = ("md", "srt", "json")
    method: str | None = None
    retention_days: int | None = None
    delete_with_recording: bool = True
    bots: bool = False

    def as_used(self, used: Policy) -> ChannelPolicy:
        """The same, with how a recording was recognised, to choose anew from."""
        return replace(
            self,
            languages=used.languages,
            vocabulary=used.vocabulary,
            min_speakers=used.min_speakers,
            max_speakers=used.max_speakers,
            method=used.method,
        )

    def to_policy(self, *, tenant: str, workspace: str) -> Policy:
        """What the core needs to know of it."""
        return Policy(
            languages=self.languages,
            vocabulary=self.vocabulary,
            min_speakers=self.min_speakers,
            max_speakers=self.max_speakers,
            formats=self.formats,
            method=self.method,
            tenant=tenant,
            workspace=workspace,
            retention_days=self.retention_days,
        )


def default_policy(settings: Settings, mode: Mode = Mode.ALL) -> ChannelPolicy:
    """What holds where nobody has chosen anything."""
    return ChannelPolicy(mode=mode, languages=settings.languages, formats=settings.formats)


def dump_policy(policy: ChannelPolicy) -> str:
    """The policy as JSON."""
    return json.dumps(asdict(policy), ensure_ascii=False)


def load_policy(text: str, defaults: ChannelPolicy) -> ChannelPolicy:
    """The reverse of `dump_policy`. What is unknown is ignored, what is missing or makes no sense (any more)
    is as in `defaults`: a policy of another version of this program must not stop a channel."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return defaults
    if not isinstance(given, dict):
        return defaults
    found: dict[str, Any] = {}
    for name, kind in _kinds().items():
        if name in given:
            try:
                found[name] = kind.validate_python(given[name], strict=False)
            except ValidationError:
                continue
    return _sensible(replace(defaults, **found), defaults)


@cache
def _kinds() -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(ChannelPolicy)
    return {field.name: TypeAdapter(hints[field.name]) for field in fields(ChannelPolicy)}


def _sensible(policy: ChannelPolicy, defaults: ChannelPolicy) -> ChannelPolicy:
    vocabulary = [term for term in map(clean, policy.vocabulary) if visible(term) and len(term) <= MOST_TERM]
    vocabulary = vocabulary[:MOST_TERMS]
    while sum(len(term) + 1 for term in vocabulary) > MOST_VOCABULARY:
        vocabulary.pop()
    low, high = policy.min_speakers, policy.max_speakers
    if any(count is not None and not 1 <= count <= MOST_SPEAKERS for count in (low, high)) or (
        low is not None and high is not None and low > high
    ):
        low, high = defaults.min_speakers, defaults.max_speakers
    days = policy.retention_days
    return replace(
        policy,
        vocabulary=tuple(dict.fromkeys(vocabulary)),
        min_speakers=low,
        max_speakers=high,
        formats=tuple(dict.fromkeys(name for name in policy.formats if name in FORMATS)) or defaults.formats,
        method=policy.method if policy.method in METHODS else defaults.method,
        retention_days=days if days is None or 1 <= days <= MOST_DAYS else defaults.retention_days,
    )


def may_change(
    user: str,
    *,
    direct: bool,
    creator: str | None,
    admin: bool,
    group: Collection[str] = (),
    stranger: bool = False,
) -> bool:
    """Whether `user` may change the policy of a conversation: anyone in a `direct` message, with one or
    several people; in a channel its creator, workspace admins and owners (`admin`), and the members of the
    `group` that the operator configured. A `stranger`, who belongs to another organisation, may in direct
    messages only."""
    if direct:
        return True
    return not stranger and (admin or user == creator or user in group)


# --- what people write ---


def read_languages(text: str) -> tuple[str, ...]:
    """Codes of the languages that a person wrote, as names or codes. Raises ValueError with what to do."""
    found = []
    for part in re.split(r"[,;\n]+", text):
        word = clean(part)
        if not word:
            continue
        code = _codes().get(word.casefold())
        if code is None:
            raise ValueError(
                f"“{word[:40]}” is not a language that is known here. Write it in English, such as German,"
                " or as its code, such as de, with commas between several."
            )
        found.append(code)
    return tuple(dict.fromkeys(found))


def write_languages(codes: Sequence[str]) -> str:
    """The names of languages, as `read_languages` takes them."""
    return language_names(codes)


@cache
def _codes() -> dict[str, str]:
    """Codes by name and by code, in small letters. Of codes with the same name the first one counts."""
    found: dict[str, str] = {}
    for code in (*map("".join, product(ascii_lowercase, repeat=2)), *_LONG_CODES):
        name = language_name(code)
        if name != code:
            found.setdefault(name.casefold(), code)
            found[code] = code
    return found


def read_vocabulary(text: str) -> tuple[str, ...]:
    """Terms that stand on lines of their own or between commas. Raises ValueError with what to do."""
    terms = tuple(dict.fromkeys(filter(visible, map(clean, re.split(r"[,;\n]+", text)))))
    if len(terms) > MOST_TERMS:
        raise ValueError(f"These are {len(terms)} terms. Please leave at most {MOST_TERMS}.")
    for term in terms:
        if len(term) > MOST_TERM:
            raise ValueError(
                f"“{term[:30]}…” is too long. A term has at most {MOST_TERM} characters; put each on a line"
                " of its own."
            )
    if sum(len(term) + 1 for term in terms) > MOST_VOCABULARY:
        raise ValueError("These are too many long terms. Please leave the most important ones.")
    return terms


def write_vocabulary(terms: Sequence[str]) -> str:
    """Terms as `read_vocabulary` takes them."""
    return "\n".join(terms)


def read_speakers(text: str) -> tuple[int | None, int | None]:
    """The least and the most speakers that a person wrote: `3`, `2-4`, `2+`, `up to 4`, or nothing. Raises
    ValueError with what to do."""
    text = clean(text).casefold().removesuffix("speakers").removesuffix("people").strip()
    low: int | None
    high: int | None
    if not text:
        return None, None
    if found := _UP_TO.fullmatch(text):
        low, high = None, int(found[1][:9])
    elif found := _FROM.fullmatch(text):
        low, high = int((found[1] or found[2])[:9]), None
    elif found := _RANGE.fullmatch(text):
        low = int(found[1][:9])
        high = int(found[2][:9]) if found[2] else low
    else:
        raise ValueError("Please write a number, such as 3, or a range, such as 2-4.")
    if any(count is not None and not 1 <= count <= MOST_SPEAKERS for count in (low, high)):
        raise ValueError(f"Please write numbers from 1 to {MOST_SPEAKERS}.")
    if low is not None and high is not None and low > high:
        raise ValueError(f"Please write the smaller number first: {high}-{low}.")
    return low, high


def write_speakers(low: int | None, high: int | None) -> str:
    """Speaker bounds as `read_speakers` takes them."""
    if low is None:
        return "" if high is None else f"up to {high}"
    if high is None:
        return f"{low} or more"
    return str(low) if low == high else f"{low}-{high}"


def read_days(text: str) -> int | None:
    """A number of days, or nothing. Raises ValueError with what to do."""
    text = clean(text)
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= MOST_DAYS:
        raise ValueError(f"Please write a whole number of days from 1 to {MOST_DAYS}, or nothing.")
    return int(text)
