"""What is taken from a folder in somebody's cloud, when it is looked at, and how far that is done. Pure."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from core.filenames import is_watched
from core.remote import RemoteFile

_APART_SECONDS = 1.0  # between two questions for changes, however often we are nudged
_SHARE = 5  # listing takes a sixth of the time at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often a folder is looked at, seconds. `changes` are asked for that often even if nothing is said to
    have changed, everything is listed every `listing`. `settle` is how long a file must stay the same,
    `grace` how long it may be missing before it counts as gone, `denied` what is between two tries when only
    the operator can help."""

    changes: float = 30.0
    listing: float = 6 * 3600.0
    settle: float = 2.0
    grace: float = 60.0
    denied: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which files of a folder are taken. `since` is the Unix time from which the folder is watched: without
    `backfill`, what lay there before is left alone until it changes; so is what lay in folders inside it
    before `widened`, from which `recursive` holds. `output`: see `core.inbox.output_folder`."""

    since: float
    backfill: bool = False
    recursive: bool = True
    widened: float = 0.0
    output: str = "beside"

    def wants(self, file: RemoteFile) -> bool:
        """Whether a file is a recording that is to be taken."""
        here = self.recursive or not file.folders
        if not here or not file.content or file.made_from:
            return False
        return is_watched(file.path, file.media_type)


class Timetable:
    """When to list a folder and when to ask for changes. `now` is a steady clock in seconds, `today` the Unix
    time, which may jump. `listed` is when the folder was last listed in full, None: that is to be done."""

    def __init__(self, rhythm: Rhythm, listed: float | None = None) -> None:
        self.listed = listed
        self._rhythm = rhythm
        self._nudged = False
        self._asking = False
        self._next_changes = self._earliest_changes = self._earliest_listing = 0.0

    def nudge(self) -> bool:
        """Something may have changed. False: it is to be asked for already."""
        is_news = not self._nudged
        self._nudged = True
        return is_news

    def must_list(self, now: float, today: float) -> bool:
        """Whether to list everything now."""
        due = self.listed is None or not 0 <= today - self.listed < self._rhythm.listing
        return due and now >= self._earliest_listing

    def must_ask(self, now: float) -> bool:
        """Whether to ask for changes now."""
        return now >= self._next_asking()

    def begin_asking(self) -> None:
        """What nudges from now on means that it is to be asked again. So does it if asking breaks off."""
        self._nudged = False
        self._asking = True

    def asked(self, now: float) -> None:
        """All changes are known that there were when it was begun."""
        self._asking = False
        self._earliest_changes = now + _APART_SECONDS
        self._next_changes = now + self._rhythm.changes

    def list_done(self, started: float, now: float, today: float) -> None:
        """Everything was listed between two times; `today` was at the first. What changed since is to be
        asked for at once."""
        self.listed = today
        self._earliest_listing = now + _SHARE * (now - started)
        self._next_changes = self._earliest_changes = 0.0

    def next(self) -> float:
        """When there is something to do, if nobody nudges."""
        asking = self._next_asking()
        return asking if self.listed is not None else min(asking, self._earliest_listing)

    def _next_asking(self) -> float:
        return self._earliest_changes if self._nudged or self._asking else self._next_changes


class Checkpoints:
    """Cursors that may be stored once everything told before them is decided.

    Of those that wait, only the first and the last are kept: that bounds the memory, and only delays.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, list[str]]] = deque()

    def add(
        self, cursor: str, listed: float | None, undecided: Iterable[str], marks: Mapping[str, str]
    ) -> None:
        """Everything up to `cursor` was told, and what it told of the `undecided` files is still to be
        decided. `listed`: see `Timetable`. `marks`: see `core.remote_view`."""
        if len(self._waiting) > 1:
            self._waiting.pop()
        self._waiting.append((json.dumps([cursor, listed, marks]), list(undecided)))

    def passed(self, is_open: Callable[[str], bool]) -> str | None:
        """The last of those before which nothing is open, for `cursor_of`; None if there is none."""
        last: str | None = None
        while self._waiting:
            stored, undecided = self._waiting[0]
            while undecided and not is_open(undecided[-1]):
                undecided.pop()
            if undecided:
                break
            last = stored
            self._waiting.popleft()
        return last


def cursor_of(stored: str) -> tuple[str, float | None, Mapping[str, str]]:
    """The cursor, when the folder was listed, and the marks, which earlier versions did not store. Raises
    ValueError."""
    cursor, listed, *more = json.loads(stored)
    return str(cursor), None if listed is None else float(listed), more[0] if more else {}
