"""What Slack told us and what people asked for, as it waits to be acted on (`core.mailbox`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """`team` and `enterprise` say in which workspace it happened."""

    team: str
    enterprise: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared(Letter):
    """A message with files, as its event shows it."""

    channel: str
    message: Mapping[str, Any]
    kind: Literal["shared"] = "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed(Letter):
    """A file appeared in a channel; in which message is for its record to say."""

    channel: str
    file: str
    user: str
    at: float
    kind: Literal["filed"] = "filed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Letter):
    """`user` wants recordings transcribed: those in `message` if it has any, else what `text` links to, else
    those of the message `ts` and of the thread `thread` in `channel`. `reply` is the response URL for an
    answer to the person, where the request came with one."""

    user: str
    channel: str
    ts: str = ""
    thread: str = ""
    message: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    reply: str = ""
    kind: Literal["asked"] = "asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed(Letter):
    """A button, or a choice in a menu, under the answer to `share`, which is in `thread` of `channel`."""

    user: str
    share: str
    action: str
    choice: str = ""
    channel: str = ""
    thread: str = ""
    kind: Literal["pressed"] = "pressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed(Letter):
    """What somebody said of the speakers: names or ids of members by label, and who is the same as whom. The
    answer that this is about is in `thread` of `channel`."""

    user: str
    share: str
    names: Mapping[str, str]
    merged: Mapping[str, str]
    channel: str = ""
    thread: str = ""
    kind: Literal["renamed"] = "renamed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried(Letter):
    """Somebody wants `share` recognised once more, with the languages, speakers and method of `policy` (JSON
    of a channel's policy). `form` is the id of the window in which they chose, `thread` of `channel` where
    its answer is."""

    user: str
    share: str
    policy: str
    version: int
    form: str = ""
    channel: str = ""
    thread: str = ""
    kind: Literal["retried"] = "retried"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen(Letter):
    """Somebody chose how a channel wants its recordings treated (`policy` as JSON)."""

    user: str
    channel: str
    policy: str
    kind: Literal["chosen"] = "chosen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn(Letter):
    """A file was deleted, or a message with its files."""

    file: str = ""
    channel: str = ""
    ts: str = ""
    kind: Literal["withdrawn"] = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined(Letter):
    """The app was taken into a channel; what was shared there before is nobody's wish to transcribe."""

    channel: str
    ts: str
    kind: Literal["joined"] = "joined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left(Letter):
    """The workspace took the app out, or its token back. `certain`: an organisation took it out of this one
    of its workspaces, which Slack can't be asked about."""

    certain: bool = False
    kind: Literal["left"] = "left"


Any_ = Shared | Filed | Asked | Pressed | Renamed | Retried | Chosen | Withdrawn | Joined | Left

_letter: TypeAdapter[Any_] = TypeAdapter(Annotated[Any_, Field(discriminator="kind")])


def dump(letter: Any_) -> str:
    """The letter as text."""
    return _letter.dump_json(letter).decode()


def load(text: str) -> Any_:
    """The reverse of `dump`. Raises ValueError."""
    return _letter.validate_json(text)
