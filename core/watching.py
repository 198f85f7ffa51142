"""Watching folders for recordings, without any I/O: what is complete, what is new, what merely moved.

`Watched` holds one folder's state. The connector lists the folder (`see`, `finish`), asks for the files that
have come to rest (`due`), reads their content and lets `decide` say what each one is: known, moved, copied,
replaced or new. What is to be submitted is remembered before that (`intend`) and after it (`apply`): after a
crash between, or a store that lost its last writes, the same share is submitted again under the same key.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace

from core.filenames import family, output_base
from core.known import Awaited, Known
from core.sightings import SKIPPED, UNREAD, Decision, Entry, Sighting

KEEP_GONE_SECONDS = 400 * 86400.0
"""How long a file that went away is remembered, so that it is known when it returns."""

_RETURNED = ":returned"
_RIVALS = 50  # of a thousand copies, it is enough to look at some


class Watched:
    """The files of one folder. `place` begins the keys of its shares and is unique in the whole service.

    `settle` is how long, in seconds, a file must stay the same to be complete; `empty_settle` is that for
    empty files, which more often are about to be written. A file missing for `grace` seconds was deleted
    rather than moved. `lasting` says that paths are ids which files keep for life: keys then name the file
    too. `now` is a steady clock in seconds throughout.
    """

    def __init__(
        self,
        *,
        place: str,
        entries: Mapping[str, Entry],
        settle: float,
        empty_settle: float = 60.0,
        grace: float = 60.0,
        lasting: bool = False,
    ) -> None:
        self.place = place
        self._known = Known(entries)
        self.entries = self._known.entries
        self.unsaved = self._known.unsaved
        self.retired: list[str] = []  # lines whose last file is long gone
        self.departed: list[str] = []  # paths of files that were found to be gone
        self._settle = settle
        self._empty_settle = empty_settle
        self._grace = grace
        self._lasting = lasting
        self._present: dict[str, Sighting] = {}
        self._families: dict[str, set[str]] = {}
        self._failures: set[str] = set()  # reported before the entry was there
        self._awaited = Awaited()  # what arrives is urgent, what lay there at the start is not
        self._pending = self._awaited.when
        self._strangers: set[str] = set()  # pending files that may have come from another path
        self._missing: dict[str, float] = {}
        self._round: set[str] = set()
        self._rounds = 0
        self._today = 0.0

    # what a listing shows

    def begin(self) -> None:
        """Start a complete round: `see` everything, then `finish`. One that broke off is started anew."""
        self._round.clear()

    def see(self, sightings: Iterable[Sighting], now: float) -> None:
        """Take note of files that are there."""
        for sighting in sightings:
            path = sighting.path
            self._round.add(path)
            self._missing.pop(path, None)
            before = self._present.get(path)
            self._settle_in(sighting)
            entry = self.entries.get(path)
            if entry is not None and entry.shows(sighting) and not sighting.busy and entry.content != UNREAD:
                if entry.sent and (entry.gone is None or not entry.failed):
                    self._awaited.discard(path)
                    if entry.gone is not None or entry.shown != sighting.shown:
                        self._known.save(path, self._as_seen(entry, sighting))
                    continue
            elif entry is not None and entry.content == UNREAD and before == sighting:
                continue  # `postpone` says when it is tried again
            if before != sighting or sighting.busy or path not in self._pending:
                self._await(path, now + (self._settle if sighting.size else self._empty_settle))

    def lose(self, path: str, now: float) -> None:
        """Take note that there is no file at `path`."""
        if sighting := self._present.pop(path, None):
            self._leave_family(sighting)
        self._awaited.discard(path)
        entry = self.entries.get(path)
        if entry is not None and entry.gone is None:
            self._missing.setdefault(path, now)

    def finish(self, now: float, today: float, unread: Iterable[str] = ()) -> None:
        """End a complete round of `see`: what was not seen is not there, except in the folders `unread`.

        `today` is the Unix time.
        """
        blind = tuple(folder + "/" if folder else "" for folder in unread)
        for path in (self._present.keys() | self.entries.keys()) - self._round:
            if not path.startswith(blind or ("\0",)):
                self.lose(path, now)
        self.expire(now, today)
        for path, entry in list(self.entries.items()):
            if entry.gone is not None and today - entry.gone > KEEP_GONE_SECONDS:
                self._drop(path)
                self.retired.append(entry.line)
        self._rounds += 1
        self.relocate()

    def expire(self, now: float, today: float) -> None:
        """Take files that have been missing for long enough for gone. `today` is the Unix time."""
        self._today = today
        for path, since in list(self._missing.items()):
            if now - since >= self._grace:
                self.mark_gone(path, today)

    def trust(self, now: float) -> None:
        """Take what is remembered for what is there: for those who are told of every change since. Replaces
        the first round."""
        for path, entry in self.entries.items():
            if entry.gone is None:
                known = "" if entry.skipped else entry.content
                self._settle_in(Sighting(path=path, content=known, **entry.look()))
                if not entry.sent:
                    self._await(path, now)
        self._rounds += 1

    def skip_all(self, news: Container[str] = ()) -> None:
        """Leave alone what is there now and is neither known nor among the `news`, until it changes."""
        for path, sighting in self._present.items():
            if path not in self.entries and path not in news:
                key = f"{self.place}:{SKIPPED}:{_digest(path)}"
                content = f"{SKIPPED}:{sighting.content}" if sighting.content else SKIPPED
                self._awaited.discard(path)
                self._known.save(path, Entry(**sighting.look(), content=content, key=key, line=key))

    def mark_gone(self, path: str, today: float) -> None:
        """The file at `path` is not just moving: it was deleted or taken elsewhere."""
        self._missing.pop(path, None)
        entry = self.entries.get(path)
        if entry is not None and entry.gone is None and path not in self._present:
            self._known.save(path, replace(entry, gone=today))
            self.departed.append(path)

    # what has come to rest

    def due(self, now: float, limit: int) -> list[str]:
        """Files that have been the same for long enough, what arrived recently first. Look at each again with
        `see` or `lose`; if it is `ready` still, it is complete."""
        return self._awaited.due(now, limit)

    def ready(self, path: str, now: float) -> Sighting | None:
        """The file as it was last seen, if it is complete; otherwise it will be `due` again."""
        sighting, when = self._present.get(path), self._pending.get(path)
        if sighting is None or when is None or when > now or sighting.busy:
            return None
        return sighting

    def postpone(self, path: str, until: float) -> None:
        """Ask again about the file at a later time."""
        if path in self._present:
            self._await(path, until)

    def is_open(self, path: str) -> bool:
        """Whether something about the file is still to be decided."""
        return path in self._pending or path in self._missing

    def open(self) -> set[str]:
        """All such paths."""
        return self._pending.keys() | self._missing.keys()

    def labels(self) -> Iterator[tuple[str, str]]:
        """The path of every file that is there, and the one that people see."""
        return ((path, sighting.label) for path, sighting in self._present.items())

    def is_missing(self, path: str) -> bool:
        """Whether the file was there and is not, and it is not known yet whether it has just moved."""
        return path in self._missing

    def next_due(self) -> float | None:
        """When `due` has something to say next, None if nothing is pending."""
        return self._awaited.next()

    # what it is

    def relocate(self) -> None:
        """Recognise files that merely moved by their identity, without reading them, all of them at once:
        two may have swapped names."""
        moves: dict[str, str] = {}
        for path in list(self._strangers):
            sighting = self._present.get(path)
            identity = "" if sighting is None else sighting.identity
            if sighting is None or path not in self._pending or not self._known.with_identity(identity):
                self._strangers.discard(path)
            elif donor := self._former(sighting, moves.values()):
                moves[path] = donor
        entries = {
            path: replace(self.entries[donor], **self._present[path].look(), gone=None, base=self.base(path))
            for path, donor in moves.items()
        }
        for donor in moves.values():
            self._drop(donor)
        for path, entry in entries.items():
            self._known.save(path, entry)
            if entry.sent and entry.content != UNREAD:
                self._awaited.discard(path)

    def rivals(self, sighting: Sighting, content: str = "") -> list[str]:
        """Other files that seem to have this identity or content. To be looked at once more before `decide`:
        if one has gone, the file at hand is not a copy of it, but it itself."""
        found = self._known.with_content(content) | self._known.with_identity(sighting.identity)
        if self._lasting:
            skipped = self._known.with_content(f"{SKIPPED}:{content}")
            found = found | skipped | self._known.with_name(sighting.shown)
        return sorted(found - {sighting.path})[:_RIVALS]

    def decide(self, sighting: Sighting, content: str, *, answered: bool) -> Decision:
        """What the file is, now that its `content` key is known (UNREAD if it can't be read).

        `answered` says that beside it lies a transcript of just this content.
        """
        entry = self.entries.get(sighting.path)
        if entry is not None and entry.content in {content, f"{SKIPPED}:{content}"}:
            return self._known_content(entry, sighting, content, answered=answered)
        donor = self._donor(sighting, content) or self._donor(sighting, f"{SKIPPED}:{content}")
        if donor is not None:
            return self._moved(donor, sighting, content)
        if entry is not None and (entry.gone is None or self._lasting):
            return self._retake(entry, sighting, content)
        if entry is None and (former := self._predecessor(sighting)):
            return replace(self._retake(self.entries[former], sighting, content), replaces=former)
        version = 0 if entry is None else entry.version + 1
        unique = content == UNREAD or bool(self._known.with_content(content))
        taken = self._take(sighting, content, version=version, unique=unique)
        return replace(taken, submit=not answered)

    def _known_content(self, entry: Entry, sighting: Sighting, content: str, *, answered: bool) -> Decision:
        """What a file is whose content was seen at its path before."""
        if entry.skipped:
            return Decision(entry=self._as_seen(entry, sighting))
        if not entry.sent and (entry.gone is None or not entry.failed):
            former = self._predecessor(sighting)
            if former is not None and self.entries[former].line != entry.line:
                former = None
            return Decision(entry=self._as_seen(entry, sighting), submit=True, replaces=former)
        if (entry.gone is None or answered) and not entry.failed:
            return Decision(entry=self._as_seen(entry, sighting))
        # deleted and dropped again, or a failure tried once more
        return self._retake(entry, sighting, content)

    def _moved(self, donor: str, sighting: Sighting, content: str) -> Decision:
        """What a file is that was at the path `donor`."""
        entry = self.entries[donor]
        if self._lasting and entry.failed:  # not moved, which would not change its id, but put here anew
            return replace(self._retake(entry, sighting, content), moved_from=donor)
        moved = replace(entry, **sighting.look(), gone=None, base=self.base(sighting.path))
        return Decision(entry=moved, moved_from=donor, submit=not moved.sent)

    def intend(self, path: str, decision: Decision) -> None:
        """Remember what is about to be submitted."""
        self._accept(path, decision, sent=False)

    def apply(self, path: str, decision: Decision) -> None:
        """Remember what `decide` said of the file at `path`, and that it was submitted if it had
        to be."""
        self._accept(path, decision, sent=True)
        self._awaited.discard(path)

    def _accept(self, path: str, decision: Decision, *, sent: bool) -> None:
        if decision.moved_from is not None and not self._lasting:
            self._drop(decision.moved_from)
        for past in (decision.moved_from, decision.replaces):
            if past is not None and self._lasting and sent:
                self.detach(past)
        entry = decision.entry
        before = self.entries.get(path)
        failed = entry.failed or (before is not None and before.key == entry.key and before.failed)
        if entry.key in self._failures:  # while it was being submitted
            self._failures.discard(entry.key)
            failed = True
        self._known.save(path, replace(entry, sent=sent, failed=failed))

    def fail(self, key: str) -> None:
        """The share `key` ended with a failure note: saving the file anew tries again."""
        path = self._known.path_of(key)
        if path is None:
            self._failures.add(key)
        elif not self.entries[path].failed:
            self._known.save(path, replace(self.entries[path], failed=True))

    def where(self, key: str) -> str | None:
        """The path at which the share `key` was last seen."""
        return self._known.path_of(key)

    def base(self, path: str) -> str:
        """What the outputs of the recording at `path` are to be called."""
        sighting = self._present.get(path)
        shown = path if sighting is None else sighting.label
        return output_base(
            shown.rpartition("/")[2], len(self._families.get(_family(shown), {path}) - {path}) > 0
        )

    def _as_seen(self, entry: Entry, sighting: Sighting) -> Entry:
        base = entry.base if entry.shown == sighting.shown else self.base(sighting.path)
        return replace(entry, **sighting.look(), gone=None, base=base)

    def _retake(self, past: Entry, sighting: Sighting, content: str) -> Decision:
        """What follows on an earlier share."""
        base = self._as_seen(past, sighting).base
        return self._take(sighting, content, version=past.version + 1, line=past.line, base=base)

    def _take(
        self,
        sighting: Sighting,
        content: str,
        *,
        version: int,
        line: str = "",
        base: str = "",
        unique: bool = False,
    ) -> Decision:
        key = f"{self.place}:{content.removeprefix('sha256:') or 'unread'}"
        if self._lasting:
            key = f"{self.place}:{sighting.path}:{content.removeprefix('sha256:') or 'unread'}"
        if version or unique:  # the content alone was used up by another share of it
            when = f"{sighting.modified}\0{sighting.revision}" if sighting.revision else sighting.modified
            key += ":" + _digest(f"{version}\0{when}\0{sighting.path}")
        return Decision(
            submit=True,
            entry=Entry(
                **sighting.look(),
                content=content,
                key=key,
                line=line or key,
                version=version,
                base=base or self.base(sighting.path),
            ),
        )

    def _former(self, sighting: Sighting, used: Iterable[str]) -> str | None:
        """The path that the file of a sighting had."""
        found = (
            path
            for path in sorted(self._known.with_identity(sighting.identity))
            if path != sighting.path
            and path not in used
            and self.entries[path].gone is None
            and self.entries[path].shows(sighting)
            and not self._holds(path)
        )
        return next(found, None)

    def _donor(self, sighting: Sighting, content: str) -> str | None:
        """A path that had this content and lost it, most likely to the file at hand."""
        found = [
            path
            for path in self._known.with_content(content)
            if path != sighting.path
            and (entry := self.entries[path]).gone is None
            and not self._claimed(entry.identity, sighting)
            and (
                path not in self._present
                or (sighting.identity and entry.identity == sighting.identity and not self._holds(path))
            )
        ]
        name = sighting.path.rpartition("/")[2]
        return min(found, key=lambda path: (path.rpartition("/")[2] != name, path), default=None)

    def _predecessor(self, sighting: Sighting) -> str | None:
        """The path of a file that went away from the name under which this one came."""
        found = (
            path
            for path in self._known.with_name(sighting.shown)
            if path != sighting.path and self.entries[path].gone is None and path not in self._present
        )
        return min(found, default=None)

    def detach(self, path: str) -> None:
        """Another file took over the line of the one that was at `path`: should that come back, it begins a
        line of its own."""
        entry = self.entries.get(path)
        self._missing.pop(path, None)
        if entry is not None and path not in self._present and not entry.skipped:
            key = entry.key.removesuffix(_RETURNED) + _RETURNED
            past = replace(entry, key=key, line=key, sent=True, failed=True)
            self._known.save(path, replace(past, version=entry.version + 1, gone=entry.gone or self._today))
        elif entry is not None and path not in self._present:
            self._drop(path)

    def _claimed(self, identity: str, sighting: Sighting) -> bool:
        """Whether another file that came to light has a better claim to be the one that had `identity`."""
        return identity not in {"", sighting.identity} and any(
            path != sighting.path and self._present[path].identity == identity
            for path in self._strangers
            if path in self._present
        )

    def _holds(self, path: str) -> bool:
        present = self._present.get(path)
        return present is not None and self.entries[path].shows(present)

    # bookkeeping

    def _settle_in(self, sighting: Sighting) -> None:
        before = self._present.get(sighting.path)
        if before is None or before.label != sighting.label:
            if before is not None:
                self._leave_family(before)
            self._families.setdefault(_family(sighting.label), set()).add(sighting.path)
        self._present[sighting.path] = sighting

    def _leave_family(self, sighting: Sighting) -> None:
        relatives = self._families[_family(sighting.label)]
        relatives.discard(sighting.path)
        if not relatives:
            del self._families[_family(sighting.label)]

    def _await(self, path: str, when: float) -> None:
        self._strangers.add(path)
        self._awaited.add(path, when, urgent=self._rounds > 0)

    def _drop(self, path: str) -> None:
        self._known.drop(path)
        self._missing.pop(path, None)


def _family(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/{family(name)}"


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]
