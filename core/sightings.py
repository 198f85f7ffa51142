"""What is seen of files in a watched folder, and what is remembered of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self, TypedDict


class Look(TypedDict):
    """What tells whether a file changed, and what it is called."""

    size: int
    modified: int
    identity: str
    revision: str
    shown: str


UNREAD = ""
"""The content of a file that could not be read."""

SKIPPED = "skipped"
"""The content of a file that lay there before the folder was watched and is to be left alone; where the
listing tells contents, its own follows after a colon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One file as a listing shows it. `path` is relative to the folder, with slashes; `modified` is in
    nanoseconds. `identity` stays with a file that is renamed; it is empty where there is no such thing.
    `busy` says that something beside it marks it as still arriving.

    Where files have lasting ids, `path` is that id, and `shown` the path that people see, which need not be
    unique. `revision` changes with the content, and `content` is its key; both are empty where a listing does
    not tell them.
    """

    path: str
    size: int
    modified: int
    identity: str = ""
    busy: bool = False
    shown: str = ""
    revision: str = ""
    content: str = ""

    @property
    def label(self) -> str:
        """The path that people see."""
        return self.shown or self.path

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in it yet, rather than nothing that we are told of."""
        return not self.size and not (self.revision and self.content == UNREAD)

    def look(self) -> Look:
        """What an entry keeps of it."""
        return {
            "size": self.size,
            "modified": self.modified,
            "identity": self.identity,
            "revision": self.revision,
            "shown": self.shown,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is remembered of a file that was taken.

    `content` is its content key, `key` that of its share. `line` names the row of contents that replaced one
    another in this file, by the key of the first one, and `version` counts them; `base` is what its outputs'
    names begin with. `sent` is False from before its submit until after it. `failed` says that there is a
    failure note instead of a transcript; `gone` is since when the file is missing, as a Unix time. `turn`
    counts how often the line was handed on to another file. `adopted` names the transcript that lay there
    already: it was never submitted then.
    """

    size: int
    modified: int
    identity: str
    content: str
    key: str
    line: str
    version: int = 0
    base: str = ""
    sent: bool = True
    failed: bool = False
    gone: float | None = None
    shown: str = ""
    revision: str = ""
    turn: int = 0
    adopted: str = ""

    @property
    def skipped(self) -> bool:
        """Whether it lay there before the folder was watched, and has not changed since."""
        return self.content.partition(":")[0] == SKIPPED

    def shows(self, sighting: Sighting) -> bool:
        """Whether the file looks as it did when it was taken."""
        return (
            self.size == sighting.size
            and self.modified == sighting.modified
            and self.revision == sighting.revision
            and (not self.identity or not sighting.identity or self.identity == sighting.identity)
        )

    def look(self) -> Look:
        """What it keeps of the file's sighting."""
        return {
            "size": self.size,
            "modified": self.modified,
            "identity": self.identity,
            "revision": self.revision,
            "shown": self.shown,
        }

    def to_json(self) -> str:
        """One line of ASCII, also for names that are not Unicode."""
        return json.dumps([getattr(self, name) for name in self.__slots__])

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The reverse of `to_json`, also of earlier versions, which had fewer fields. Raises ValueError."""
        try:
            return cls(**dict(zip(cls.__slots__, json.loads(text), strict=False)))
        except TypeError as error:
            raise ValueError(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a file is: `entry` is to be remembered, and the share submitted if `submit` says so. `moved_from`
    is the path that it had, or, where files have lasting ids, that of another file which is gone and was the
    same. `replaces` is that of one in whose place it came under the same name. Both hand their line on."""

    entry: Entry
    submit: bool = False
    moved_from: str | None = None
    replaces: str | None = None
