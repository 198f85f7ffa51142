"""What a file in a watched folder is, given what is remembered of others: known, moved, copied, replaced or
new. Pure.

A recording's row of contents, its *line*, has one set of outputs. It stays with its file. When a file went
away and another one came that must be it, or took its place, the line is handed on to that one: it is never
with two files at once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import replace

from core.known import Known, is_buried
from core.presence import Presence
from core.sightings import SKIPPED, UNREAD, Decision, Entry, Sighting

_RIVALS = 50  # of a thousand copies, it is enough to look at some


class Judge:
    """`place` begins the keys of shares. `there` are the files that are in the folder now, `missing` those
    that were and are not, and may just be moving. `strangers` came to light and may have been at another path
    before. `lasting`: see `core.watching.Watched`."""

    def __init__(
        self, *, place: str, known: Known, there: Presence, missing: Mapping[str, float], lasting: bool
    ) -> None:
        self.strangers: set[str] = set()
        self._place = place
        self._known = known
        self._entries = known.entries
        self._there = there
        self._missing = missing
        self._lasting = lasting

    # where it was before

    def moves(self, is_pending: Callable[[str], bool]) -> dict[str, str]:
        """Strangers that merely moved, as their identity tells, and the paths that they had."""
        moves: dict[str, str] = {}
        for path in list(self.strangers):
            sighting = self._there.get(path)
            identity = "" if sighting is None else sighting.identity
            if sighting is None or not is_pending(path) or not self._known.with_identity(identity):
                self.strangers.discard(path)
            elif donor := self._former(sighting, moves.values()):
                moves[path] = donor
        return moves

    def rivals(self, sighting: Sighting, content: str = "") -> list[str]:
        """Other files that seem to have this identity or content, or came under this name. To be looked at
        once more before `decide`: if one has gone, the file at hand is not a copy of it, but it itself."""
        alike = [self._known.with_content(content), self._known.with_identity(sighting.identity)]
        if self._lasting:  # what is there, is itself
            alike += [self._known.with_content(_skipped(content)), self._known.with_name(sighting.shown)]
            alike = [self._missing.keys() & each for each in alike]
        found: Set[str] = frozenset().union(*alike)
        return sorted(path for path in found if path != sighting.path and not is_buried(path))[:_RIVALS]

    # what it is

    def decide(self, sighting: Sighting, content: str, *, answered: str, owner: str) -> Decision:
        """See `core.watching.Watched.decide`."""
        entry = self._entries.get(sighting.path)
        if entry is not None and entry.content in {content, _skipped(content)}:
            return self._unchanged(entry, sighting, content, answered=answered)
        if entry is not None and self._lasting:
            return self._retake(entry, sighting, content)
        donor = self._donor(sighting, content) or self._donor(sighting, _skipped(content))
        if donor is not None:
            return self._moved(donor, sighting, content)
        if entry is not None and entry.gone is None:
            return self._retake(entry, sighting, content)
        if entry is None and (former := self._predecessor(sighting, content)):
            decision = self._retake(self._entries[former], sighting, content)
            return replace(decision, entry=_handed_on(decision.entry), replaces=former)
        return self._fresh(entry, sighting, content, answered=answered, owner=owner)

    def as_seen(self, entry: Entry, sighting: Sighting) -> Entry:
        """What is to be remembered of a file whose content is known, now that it is seen like this."""
        base = entry.base if entry.shown == sighting.shown else self._there.base(sighting.path)
        return replace(entry, **sighting.look(), gone=None, base=base)

    def moved_to(self, sighting: Sighting, entry: Entry) -> Entry:
        """What is to be remembered of a file that has moved there from the path of `entry`."""
        return _handed_on(replace(entry, **sighting.look(), gone=None, base=self._there.base(sighting.path)))

    def skip(self, sighting: Sighting, content: str) -> Entry:
        """What is to be remembered of a file that is left alone until it changes."""
        key = f"{self._place}:{SKIPPED}:{_digest(sighting.path)}"
        content = _skipped(content) if content else SKIPPED
        return Entry(**sighting.look(), content=content, key=key, line=key)

    def bereft(self, path: str, today: float) -> Entry:
        """What is to be remembered of a file of a lasting id that went away and whose line another one has:
        should it come back, it begins a line of its own."""
        entry = self._entries[path]
        line = f"{self._place}:{path}:returned:{_digest(entry.line)}"
        gone = today if entry.gone is None else entry.gone
        past = replace(entry, key=line, line=line, version=entry.version + 1, turn=0)
        return replace(past, sent=True, failed=True, gone=gone, adopted="")

    def _unchanged(self, entry: Entry, sighting: Sighting, content: str, *, answered: str) -> Decision:
        """What a file is whose content was seen at its path before."""
        if entry.skipped:
            return Decision(entry=self.as_seen(entry, sighting))
        if not entry.sent and (entry.gone is None or not entry.failed):
            return Decision(entry=self.as_seen(entry, sighting), submit=True)
        if (entry.gone is None or answered) and not entry.failed:
            return Decision(entry=self.as_seen(entry, sighting))
        # deleted and dropped again, or a failure tried once more
        return self._retake(entry, sighting, content)

    def _moved(self, donor: str, sighting: Sighting, content: str) -> Decision:
        """What a file is that was at the path `donor`."""
        entry = self._entries[donor]
        if self._lasting and entry.skipped:
            return Decision(entry=self.skip(sighting, content))
        moved = self.moved_to(sighting, entry)
        if entry.failed and (self._lasting or entry.gone is not None):  # no mere move: it was put here anew
            return replace(self._retake(moved, sighting, content), moved_from=donor)
        return Decision(entry=moved, moved_from=donor, submit=not entry.sent)

    def _retake(self, past: Entry, sighting: Sighting, content: str) -> Decision:
        """What follows on an earlier share."""
        base = self.as_seen(past, sighting).base
        entry = self._share(sighting, content, version=past.version + 1, line=past.line, base=base)
        return Decision(submit=True, entry=replace(entry, turn=past.turn))

    def _fresh(
        self, past: Entry | None, sighting: Sighting, content: str, *, answered: str, owner: str
    ) -> Decision:
        """What a file is that is nobody's heir: `past` is what was at its path long ago."""
        others = self._known.with_content(content)
        version = 0 if past is None else past.version + 1
        entry = self._share(sighting, content, version=version)
        if answered and self._lasting and owner:
            path = next((path for path in others if self._left_behind(path, owner)), None)
            if path is not None:  # it came back as another file, beside its transcript
                return self._moved(path, sighting, content)
        elif answered:
            here = (self._entries[path] for path in others if self._entries[path].gone is None)
            if self._lasting or all(other.adopted for other in here):  # else it may be another one's
                return Decision(entry=replace(entry, adopted=answered))
        return Decision(entry=entry, submit=True)

    def _share(
        self,
        sighting: Sighting,
        content: str,
        *,
        version: int,
        line: str = "",
        base: str = "",
    ) -> Entry:
        whose = f"{self._place}:{sighting.path}" if self._lasting else self._place
        first = key = f"{whose}:{content.removeprefix('sha256:') or 'unread'}"
        if version or (content == UNREAD and not self._lasting):
            when = f"{sighting.modified}\0{sighting.revision}" if sighting.revision else sighting.modified
            key = f"{first}:{_digest(version, when, sighting.path, line)}"
        while not line and self._known.has_line(key):  # an earlier share of the content used this up
            key = f"{first}:{_digest(key, sighting.modified, sighting.path)}"
        return Entry(
            **sighting.look(),
            content=content,
            key=key,
            line=line or key,
            version=version,
            base=base or self._there.base(sighting.path),
        )

    # whose heir it is

    def _former(self, sighting: Sighting, used: Iterable[str]) -> str | None:
        """The path that the file of a sighting had."""
        found = (
            path
            for path in sorted(self._known.with_identity(sighting.identity))
            if path != sighting.path
            and path not in used
            and self._entries[path].gone is None
            and self._entries[path].shows(sighting)
            and not self._holds(path)
        )
        return next(found, None)

    def _donor(self, sighting: Sighting, content: str) -> str | None:
        """A path that had this content and lost it, most likely to the file at hand."""
        found = self._known.with_content(content)
        if self._lasting:
            found = found & set(self.rivals(sighting, content))
        name = _name(sighting.label)
        return min(
            (path for path in found if self._gave_up(path, sighting)),
            key=lambda path: (_name(self._entries[path].shown or path) != name, path),
            default=None,
        )

    def _gave_up(self, path: str, sighting: Sighting) -> bool:
        """Whether the file of a sighting may be the one that was at `path`."""
        entry = self._entries[path]
        is_it = sighting.identity != "" and entry.identity == sighting.identity
        if path == sighting.path or self._claimed(entry.identity, sighting):
            return False
        if entry.gone is not None and not is_it:
            return False
        return path not in self._there or (is_it and not self._holds(path))

    def _predecessor(self, sighting: Sighting, content: str) -> str | None:
        """The path of a file that went away from the name under which this one came."""
        found = self._known.with_name(sighting.shown) & set(self.rivals(sighting, content))
        return min((path for path in found if not self._entries[path].skipped), default=None)

    def _claimed(self, identity: str, sighting: Sighting) -> bool:
        """Whether another file that came to light has a better claim to be the one that had `identity`."""
        return identity not in {"", sighting.identity} and any(
            path != sighting.path and (other := self._there.get(path)) and other.identity == identity
            for path in self.strangers
        )

    def _left_behind(self, path: str, line: str) -> bool:
        entry = self._entries[path]
        return entry.line == line and entry.gone is not None and not entry.failed

    def _holds(self, path: str) -> bool:
        present = self._there.get(path)
        return present is not None and self._entries[path].shows(present)


def _handed_on(entry: Entry) -> Entry:
    return replace(entry, turn=entry.turn + 1)


def _skipped(content: str) -> str:
    return f"{SKIPPED}:{content}"


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _digest(*parts: object) -> str:
    return hashlib.sha256(os.fsencode("\0".join(map(str, parts)))).hexdigest()[:16]
