"""What to do with one output of a set in somebody's folder, and what is on record of sets. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from core.remote import Held, Output

Contents = Callable[[str, int], Mapping[str, Output]]
"""What the names begin with, and the number of the set -> name -> file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whose output it is, the job and the line and version of its recording (see `core.sightings.Entry`), and
    where it belongs: the folder, the subfolder of it ("" for none) and what names begin with, unless an
    earlier run put others on record."""

    job: str
    line: str
    version: int
    folder: str
    subfolder: str = ""
    base: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """One file of ours as it was left: where, its id ("" if that was not learnt), and its digest."""

    folder: str
    name: str
    file_id: str
    digest: str

    def is_as_left(self, held: Held) -> bool:
        """Whether a file that is there is this one, untouched."""
        return self.may_be(held) and held.digest == self.digest

    def may_be(self, held: Held) -> bool:
        """Whether a file of its name is this one, touched or not."""
        return self.file_id in {"", held.id}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The set of outputs of a line. `before` are files of an earlier set that this one takes the place of."""

    job: str
    version: int
    done: bool
    folder: str
    base: str
    number: int
    files: tuple[Filed, ...] = ()
    before: tuple[Filed, ...] = field(default=())

    def to_json(self) -> str:
        """ASCII."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The reverse of `to_json`. Raises ValueError."""
        fields: dict[str, Any] = json.loads(text)
        for name in ("files", "before"):
            fields[name] = tuple(Filed(**file) for file in fields[name])
        return cls(**fields)

    @property
    def names(self) -> tuple[str, str, int]:
        """The folder, what the names begin with, and the number of the set, for `core.output_names`."""
        return self.folder, self.base, self.number

    def has(self, folder: str, names: Collection[str]) -> bool:
        """Whether a file of it has one of these names."""
        return any(file.folder == folder and file.name in names for file in self.files + self.before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Nothing has the name: make the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """An earlier file of ours that nobody touched: give it the new content. `surplus`: see `Adopt`."""

    held: Held
    surplus: tuple[Held, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """The very file is there already. `surplus` are doubles of it that an answer lost on the way led to."""

    held: Held
    surplus: tuple[Held, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """It was placed before a crash, and a person has changed it since."""


Step = Create | Replace | Adopt | Leave


def plan(
    wanted: Filed,
    found: Sequence[Held],
    before: Iterable[Filed],
    *,
    made_for: str,
    resumed: bool,
    taken: bool,
) -> Step | None:
    """What to do with a file, given what bears its name now. None: the name belongs to somebody else.

    `made_for`: see `core.remote.Output`. `resumed`: the set was begun by a run that broke off, so its names
    are ours; `wanted.file_id` is the id that was reserved for it then, or "". `taken`: another recording has
    its outputs under these names, even if they say the same.
    """
    ours = [held for held in found if held.made_for == made_for or not (held.made_for or taken)]
    same = [held for held in ours if held.digest == wanted.digest]
    if same:
        same.sort(key=lambda held: (held.id != wanted.file_id, not held.made_for))
        return Adopt(held=same[0], surplus=tuple(held for held in same[1:] if held.made_for))
    left = [held for held in found if any(file.is_as_left(held) for file in before)]
    if left:
        return Replace(held=left[0], surplus=tuple(left[1:]))
    if not found:
        return Create()
    return Leave() if resumed and any(wanted.may_be(held) for held in ours) else None


def free_to_go(before: Iterable[Filed], found: Mapping[tuple[str, str], Sequence[Held]]) -> tuple[Held, ...]:
    """Those of an earlier set's files that may be deleted now that another set took its place: all that are
    left, or none if a person touched any of them. `found` is what bears each name, by folder and name."""
    going: list[Held] = []
    for file in before:
        for held in found.get((file.folder, file.name), ()):
            if file.is_as_left(held):
                going.append(held)
            elif file.may_be(held):
                return ()
    return tuple(going)


def settles(old: Record, target: Target) -> bool:
    """Whether what is on record leaves nothing to do."""
    return old.version > target.version or (old.job == target.job and old.done)


def answers(transcript: Record, target: Target) -> bool:
    """Whether a transcript makes a note of a failure needless."""
    return transcript.done and (transcript.version > target.version or transcript.job == target.job)
