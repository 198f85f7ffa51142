"""What Teams told us and what people asked for, as it waits to be acted on (`core.mailbox`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from bots.teams.incoming import Reference
from bots.teams.shares import Found

TOLD: Final = "teams:told"
"""Where is remembered for a while what was dealt with, since Teams may tell of it again."""


def told_key(where: Reference, request: str) -> str:
    """Under which of `TOLD` the Unix seconds are when a request of a conversation was dealt with."""
    return f"{where.conversation}:{request}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """Where it happened, in which team (as activities call it), and who did it: the directory's id, and the
    name if Teams told it. `when` it happened is in Unix seconds; 0 if that is not known. Letters are acted on
    side by side, and again after trouble: of two that contradict each other the one that happened later
    counts."""

    where: Reference
    team: str = ""
    user: str = ""
    user_name: str = ""
    when: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared(Letter):
    """A message that nobody addressed to the app, with the recordings that its activity shows; with `look`
    there may be others, which Graph shows."""

    message: str
    found: tuple[Found, ...] = ()
    look: bool = False
    at: float = 0.0
    kind: Literal["shared"] = "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Letter):
    """Somebody wants recordings transcribed: those that were `found`, else those of the message, of what it
    answers, and of its thread. With `policy` (JSON of a channel's policy) as that says. `request` names the
    wish, which is fulfilled once; without one, nothing is said where there is nothing to do."""

    message: str
    found: tuple[Found, ...] = ()
    policy: str = ""
    request: str = ""
    at: float
    kind: Literal["asked"] = "asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Letter):
    """A word that the app knows: help, status, settings or stop."""

    word: str
    message: str
    kind: Literal["told"] = "told"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed(Letter):
    """A button under the answer to `share`; `card` is the message that it is on."""

    share: str
    verb: str
    choice: str = ""
    card: str = ""
    kind: Literal["pressed"] = "pressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed(Letter):
    """What somebody said of the speakers of `share` in its `version`: names by label, and who is the same as
    whom."""

    share: str
    version: int
    names: Mapping[str, str]
    merged: Mapping[str, str]
    kind: Literal["renamed"] = "renamed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried(Letter):
    """Somebody wants `share` recognised once more under `policy` (JSON of a channel's policy)."""

    share: str
    policy: str
    version: int
    kind: Literal["retried"] = "retried"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen(Letter):
    """Somebody chose how a conversation wants its recordings treated (`policy` as JSON)."""

    policy: str
    kind: Literal["chosen"] = "chosen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consented(Letter):
    """Whether somebody wants a file of the transcript, as `card` asked; if so it is to be put at `upload`,
    and shown then under the other names."""

    share: str
    format: str
    card: str
    upload: str = ""
    name: str = ""
    unique_id: str = ""
    file_type: str = ""
    url: str = ""
    kind: Literal["consented"] = "consented"


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn(Letter):
    """A message was deleted."""

    message: str
    kind: Literal["withdrawn"] = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored(Letter):
    """The deletion of a message was undone."""

    message: str
    kind: Literal["restored"] = "restored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Met(Letter):
    """A meeting ended at `at`, Unix seconds; its chat was looked at `look` times for the recording."""

    meeting: str
    at: float
    look: int = 0
    kind: Literal["met"] = "met"


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined(Letter):
    """The app was taken into a conversation."""

    kind: Literal["joined"] = "joined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left(Letter):
    """The app was taken out of a conversation, or (`whole`) of the whole team."""

    whole: bool
    kind: Literal["left"] = "left"


Any_ = (
    Shared
    | Asked
    | Told
    | Pressed
    | Renamed
    | Retried
    | Chosen
    | Consented
    | Withdrawn
    | Restored
    | Met
    | Joined
    | Left
)

_letter: TypeAdapter[Any_] = TypeAdapter(Annotated[Any_, Field(discriminator="kind")])


def dump(letter: Any_) -> str:
    """The letter as text."""
    return _letter.dump_json(letter).decode()


def load(text: str) -> Any_:
    """The reverse of `dump`. Raises ValueError."""
    return _letter.validate_json(text)
