"""Watching folders for recordings, without any I/O: what is complete, what is new, what merely moved.

`Watched` holds one folder's state. The connector lists the folder (`see`, `finish`), asks for the files that
have come to rest (`due`), reads their content and lets `decide` say what each one is: known, moved, copied,
replaced or new. What is to be submitted is remembered before that (`intend`) and after it (`apply`): after a
crash between, or a store that lost its last writes, the same share is submitted again under the same key.
"""

from __future__ import annotations

import hashlib
import heapq
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace

from core.filenames import family, output_base
from core.sightings import SKIPPED, UNREAD, Decision, Entry, Sighting

KEEP_GONE_SECONDS = 400 * 86400.0
"""How long a file that went away is remembered, so that it is known when it returns."""

_RIVALS = 50  # of a thousand copies, it is enough to look at some


class Watched:
    """The files of one folder. `place` begins the keys of its shares and is unique in the whole service.

    `settle` is how long, in seconds, a file must stay the same to be complete; `empty_settle` is that for
    empty files, which more often are about to be written. A file missing for `grace` seconds was deleted
    rather than moved. `now` is a steady clock in seconds throughout.
    """

    def __init__(
        self,
        *,
        place: str,
        entries: Mapping[str, Entry],
        settle: float,
        empty_settle: float = 60.0,
        grace: float = 60.0,
    ) -> None:
        self.place = place
        self.entries: dict[str, Entry] = {}
        self.unsaved: dict[str, Entry | None] = {}  # what changed since it was last stored; None: forget it
        self.retired: list[str] = []  # lines whose last file is long gone
        self._settle = settle
        self._empty_settle = empty_settle
        self._grace = grace
        self._present: dict[str, Sighting] = {}
        self._families: dict[str, set[str]] = {}
        self._by_content: dict[str, set[str]] = {}
        self._by_identity: dict[str, set[str]] = {}
        self._by_key: dict[str, str] = {}
        self._failures: set[str] = set()  # reported before the entry was there
        self._pending: dict[str, float] = {}
        self._strangers: set[str] = set()  # pending files that may have come from another path
        self._queues: tuple[list[tuple[float, str]], ...] = ([], [])  # news, and what lay there at the start
        self._offered: list[tuple[float, str]] = []
        self._missing: dict[str, float] = {}
        self._round: set[str] = set()
        self._rounds = 0
        for path, entry in entries.items():
            self._put(path, entry)

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
            if before is None:
                self._families.setdefault(_family(path), set()).add(path)
            self._present[path] = sighting
            entry = self.entries.get(path)
            if entry is not None and entry.shows(sighting) and not sighting.busy and entry.content != UNREAD:
                if entry.sent and (entry.gone is None or not entry.failed):
                    self._pending.pop(path, None)
                    if entry.gone is not None:
                        self._save(path, replace(entry, gone=None))
                    continue
            elif entry is not None and entry.content == UNREAD and before == sighting:
                continue  # `postpone` says when it is tried again
            if before != sighting or sighting.busy or path not in self._pending:
                self._await(path, now + (self._settle if sighting.size else self._empty_settle))

    def lose(self, path: str, now: float) -> None:
        """Take note that there is no file at `path`."""
        if self._present.pop(path, None) is not None:
            relatives = self._families[_family(path)]
            relatives.discard(path)
            if not relatives:
                del self._families[_family(path)]
        self._pending.pop(path, None)
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
        for path, since in list(self._missing.items()):
            if now - since >= self._grace:
                self.mark_gone(path, today)
        for path, entry in list(self.entries.items()):
            if entry.gone is not None and today - entry.gone > KEEP_GONE_SECONDS:
                self._drop(path)
                self.retired.append(entry.line)
        self._rounds += 1
        self.relocate()

    def skip_all(self) -> None:
        """Leave alone what is there now and is not known, until it changes."""
        for path, sighting in self._present.items():
            if path not in self.entries:
                key = f"{self.place}:{SKIPPED}:{_digest(path)}"
                self._pending.pop(path, None)
                self._save(path, Entry(**sighting.look(), content=SKIPPED, key=key, line=key))

    def mark_gone(self, path: str, today: float) -> None:
        """The file at `path` is not just moving: it was deleted or taken elsewhere."""
        self._missing.pop(path, None)
        entry = self.entries.get(path)
        if entry is not None and entry.gone is None and path not in self._present:
            self._save(path, replace(entry, gone=today))

    # what has come to rest

    def due(self, now: float, limit: int) -> list[str]:
        """Files that have been the same for long enough, what arrived recently first. Look at each again with
        `see` or `lose`; if it is `ready` still, it is complete."""
        for offer in self._offered:  # whoever asked last broke off before an answer
            if self._pending.get(offer[1]) == offer[0]:
                heapq.heappush(self._queues[0], offer)
        self._offered = []
        for queue in self._queues:
            while queue and queue[0][0] <= now and len(self._offered) < limit:
                offer = heapq.heappop(queue)
                if self._pending.get(offer[1]) == offer[0]:
                    self._offered.append(offer)
        return [path for _, path in self._offered]

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

    def next_due(self) -> float | None:
        """When `due` has something to say next, None if nothing is pending."""
        times = [queue[0][0] for queue in self._queues if queue]
        return min(times, default=None)

    # what it is

    def relocate(self) -> None:
        """Recognise files that merely moved by their identity, without reading them, all of them at once:
        two may have swapped names."""
        moves: dict[str, str] = {}
        for path in list(self._strangers):
            sighting = self._present.get(path)
            if sighting is None or path not in self._pending or sighting.identity not in self._by_identity:
                self._strangers.discard(path)
            elif donor := self._former(sighting, moves.values()):
                moves[path] = donor
        entries = {
            path: replace(_seen_as(self.entries[donor], self._present[path]), base=self.base(path))
            for path, donor in moves.items()
        }
        for donor in moves.values():
            self._drop(donor)
        for path, entry in entries.items():
            self._save(path, entry)
            if entry.sent and entry.content != UNREAD:
                self._pending.pop(path, None)

    def rivals(self, sighting: Sighting, content: str = "") -> list[str]:
        """Other files that seem to have this identity or content. To be looked at once more before `decide`:
        if one has gone, the file at hand is not a copy of it, but it itself."""
        found = self._by_content.get(content, set()) | self._by_identity.get(sighting.identity, set())
        return sorted(found - {sighting.path})[:_RIVALS]

    def decide(self, sighting: Sighting, content: str, *, answered: bool) -> Decision:
        """What the file is, now that its `content` key is known (UNREAD if it can't be read).

        `answered` says that beside it lies a transcript of just this content.
        """
        path = sighting.path
        entry = self.entries.get(path)
        if entry is not None and entry.content == content:
            if not entry.sent or ((entry.gone is None or answered) and not entry.failed):
                return Decision(entry=_seen_as(entry, sighting), submit=not entry.sent)
            # deleted and dropped again, or a failure tried once more
            return self._take(sighting, content, version=entry.version + 1, line=entry.line, base=entry.base)
        if donor := self._donor(sighting, content):
            moved = replace(_seen_as(self.entries[donor], sighting), base=self.base(path))
            return Decision(entry=moved, moved_from=donor, submit=not moved.sent)
        if entry is not None and entry.gone is None:
            return self._take(sighting, content, version=entry.version + 1, line=entry.line, base=entry.base)
        version = 0 if entry is None else entry.version + 1
        unique = content == UNREAD or content in self._by_content
        taken = self._take(sighting, content, version=version, unique=unique)
        return replace(taken, submit=not answered)

    def intend(self, path: str, decision: Decision) -> None:
        """Remember what is about to be submitted."""
        self._accept(path, decision, sent=False)

    def apply(self, path: str, decision: Decision) -> None:
        """Remember what `decide` said of the file at `path`, and that it was submitted if it had
        to be."""
        self._accept(path, decision, sent=True)
        self._pending.pop(path, None)

    def _accept(self, path: str, decision: Decision, *, sent: bool) -> None:
        if decision.moved_from is not None:
            self._drop(decision.moved_from)
        entry = decision.entry
        before = self.entries.get(path)
        failed = entry.failed or (before is not None and before.key == entry.key and before.failed)
        if entry.key in self._failures:  # while it was being submitted
            self._failures.discard(entry.key)
            failed = True
        self._save(path, replace(entry, sent=sent, failed=failed))

    def fail(self, key: str) -> None:
        """The share `key` ended with a failure note: saving the file anew tries again."""
        path = self._by_key.get(key)
        if path is None:
            self._failures.add(key)
        elif not self.entries[path].failed:
            self._save(path, replace(self.entries[path], failed=True))

    def where(self, key: str) -> str | None:
        """The path at which the share `key` was last seen."""
        return self._by_key.get(key)

    def base(self, path: str) -> str:
        """What the outputs of the recording at `path` are to be called."""
        return output_base(
            path.rpartition("/")[2], len(self._families.get(_family(path), {path}) - {path}) > 0
        )

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
        if version or unique:  # the content alone was used up by another share of it
            key += ":" + _digest(f"{version}\0{sighting.modified}\0{sighting.path}")
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
            for path in sorted(self._by_identity[sighting.identity])
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
            for path in self._by_content.get(content, ())
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

    def _await(self, path: str, when: float) -> None:
        self._pending[path] = when
        self._strangers.add(path)
        heapq.heappush(self._queues[0 if self._rounds else 1], (when, path))

    def _save(self, path: str, entry: Entry) -> None:
        self._put(path, entry)
        self.unsaved[path] = entry

    def _put(self, path: str, entry: Entry) -> None:
        self._unlink(path)
        self.entries[path] = entry
        if entry.content != UNREAD:
            self._by_content.setdefault(entry.content, set()).add(path)
        if entry.identity:
            self._by_identity.setdefault(entry.identity, set()).add(path)
        self._by_key[entry.key] = path

    def _drop(self, path: str) -> None:
        self._unlink(path)
        if self.entries.pop(path, None) is not None:
            self.unsaved[path] = None
        self._missing.pop(path, None)

    def _unlink(self, path: str) -> None:
        entry = self.entries.get(path)
        if entry is None:
            return
        for index, value in ((self._by_content, entry.content), (self._by_identity, entry.identity)):
            paths = index.get(value, set())
            paths.discard(path)
            if not paths:
                index.pop(value, None)
        if self._by_key.get(entry.key) == path:
            del self._by_key[entry.key]


def _family(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/{family(name)}"


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]


def _seen_as(entry: Entry, sighting: Sighting) -> Entry:
    return replace(entry, **sighting.look(), gone=None)
