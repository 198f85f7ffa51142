"""Watching folders for recordings, without any I/O: what is complete, what is new, what merely moved.

`Watched` holds one folder's state. The connector lists the folder (`see`, `finish`), asks for the files that
have come to rest (`due`), reads their content and lets `decide` say what each one is: known, moved, copied,
replaced or new. What is to be submitted is remembered before that (`intend`) and after it (`apply`): after a
crash between, or a store that lost its last writes, the same share is submitted again under the same key.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace

from core.judging import Judge
from core.known import Awaited, Known, buried, is_buried
from core.presence import Presence
from core.sightings import UNREAD, Decision, Entry, Sighting

KEEP_GONE_SECONDS = 400 * 86400.0
"""How long a file that went away is remembered, so that it is known when it returns."""


class Watched:
    """The files of one folder. `place` begins the keys of its shares and is unique in the whole service.

    `settle` is how long, in seconds, a file must stay the same to be complete; `empty_settle` is that for
    empty files, which more often are about to be written. A file missing for `grace` seconds was deleted
    rather than moved. `lasting` says that paths are ids which files keep for life: keys then name the file
    too. `now` is a steady clock in seconds throughout, `today` the Unix time.
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
        today: float = 0.0,
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
        self._there = Presence()
        self._awaited = Awaited()  # what arrives is urgent, what lay there at the start is not
        self._pending = self._awaited.when
        self._missing: dict[str, float] = {}
        self._judge = Judge(
            place=place, known=self._known, there=self._there, missing=self._missing, lasting=lasting
        )
        self._round: set[str] = set()
        self._rounds = 0
        self._today = today
        self._end_handovers()

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
            before = self._there.get(path)
            self._there.put(sighting)
            entry = self.entries.get(path)
            if entry is not None and entry.shows(sighting) and not sighting.busy and entry.content != UNREAD:
                if entry.sent and (entry.gone is None or not entry.failed):
                    self._awaited.discard(path)
                    if entry.gone is not None or entry.shown != sighting.shown:
                        self._known.save(path, self._judge.as_seen(entry, sighting))
                    continue
            elif entry is not None and entry.content == UNREAD and before == sighting:
                continue  # `postpone` says when it is tried again
            if before != sighting or sighting.busy or path not in self._pending:
                self._await(path, now + (self._empty_settle if sighting.is_empty else self._settle))

    def lose(self, path: str, now: float) -> None:
        """Take note that there is no file at `path`."""
        self._there.discard(path)
        self._awaited.discard(path)
        entry = self.entries.get(path)
        if entry is not None and entry.gone is None:
            self._missing.setdefault(path, now)

    def finish(self, now: float, today: float, unread: Iterable[str] = ()) -> None:
        """End a complete round of `see`: what was not seen is not there, except in the folders `unread`."""
        blind = tuple(folder + "/" if folder else "" for folder in unread)
        there = {sighting.path for sighting in self._there}
        for path in (there | self.entries.keys()) - self._round:
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
        """Take files that have been missing for long enough for gone."""
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
                self._there.put(Sighting(path=path, content=known, **entry.look()))
                if not entry.sent:
                    self._await(path, now)
        self._rounds += 1

    def skip_all(self, news: Container[str] = ()) -> None:
        """Leave alone what is there now and is neither known nor among the `news`, until it changes."""
        for sighting in self._there:
            if sighting.path not in self.entries and sighting.path not in news:
                self._awaited.discard(sighting.path)
                self._known.save(sighting.path, self._judge.skip(sighting, sighting.content))

    def mark_gone(self, path: str, today: float) -> None:
        """The file at `path` is not just moving: it was deleted or taken elsewhere."""
        self._missing.pop(path, None)
        entry = self.entries.get(path)
        if entry is not None and entry.gone is None and path not in self._there:
            self._known.save(path, replace(entry, gone=today))
            self.departed.append(path)

    # what has come to rest

    def due(self, now: float, limit: int) -> list[str]:
        """Files that have been the same for long enough, what arrived recently first. Look at each again with
        `see` or `lose`; if it is `ready` still, it is complete."""
        return self._awaited.due(now, limit)

    def ready(self, path: str, now: float) -> Sighting | None:
        """The file as it was last seen, if it is complete; otherwise it will be `due` again."""
        sighting, when = self._there.get(path), self._pending.get(path)
        if sighting is None or when is None or when > now or sighting.busy:
            return None
        return sighting

    def postpone(self, path: str, until: float) -> None:
        """Ask again about the file at a later time."""
        if path in self._there:
            self._await(path, until)

    def is_open(self, path: str) -> bool:
        """Whether something about the file is still to be decided."""
        return path in self._pending or path in self._missing

    def open(self) -> set[str]:
        """All such paths."""
        return self._pending.keys() | self._missing.keys()

    def labels(self) -> Iterator[tuple[str, str]]:
        """The path of every file that is there, and the one that people see."""
        return ((sighting.path, sighting.label) for sighting in self._there)

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
        moves = self._judge.moves(self._pending.__contains__)
        entries = {
            path: self._judge.moved_to(sighting, self.entries[donor])
            for path, donor in moves.items()
            if (sighting := self._there.get(path))
        }
        for donor in moves.values():
            self._drop(donor)
        for path, entry in entries.items():
            self._put(path, entry)
            if entry.sent and entry.content != UNREAD:
                self._awaited.discard(path)

    def rivals(self, sighting: Sighting, content: str = "") -> list[str]:
        """Other files to be looked at once more before `decide`: if one of them has gone, the file at hand is
        not a copy of it, but it itself."""
        return self._judge.rivals(sighting, content)

    def decide(self, sighting: Sighting, content: str, *, answered: str = "", owner: str = "") -> Decision:
        """What the file is, now that its `content` key is known (UNREAD if it can't be read).

        `answered` names a transcript of just this content that lies beside it, "" for none, and `owner` the
        line that has this on record: another one's transcript is none of this file.
        """
        return self._judge.decide(sighting, content, answered=answered, owner=owner)

    def intend(self, path: str, decision: Decision) -> None:
        """Remember what is about to be submitted."""
        self._accept(path, decision, sent=False)

    def apply(self, path: str, decision: Decision) -> None:
        """Remember what `decide` said of the file at `path`, and that it was submitted if it had to be."""
        self._accept(path, decision, sent=True)
        self._awaited.discard(path)

    def fail(self, key: str) -> None:
        """The share `key` ended with a failure note: saving the file anew tries again."""
        path = self._known.path_of(key)
        if path is not None and not self.entries[path].failed:
            self._known.save(path, replace(self.entries[path], failed=True))

    def adopter(self, transcript: str) -> str:
        """The line of the file that was found to have this transcript already, "" if there is none."""
        path = self._known.adopter(transcript)
        return "" if path is None else self.entries[path].line

    def where(self, key: str) -> str | None:
        """The path at which the share `key` was last seen, None if nothing is known of it, or another file
        took that path."""
        path = self._known.path_of(key)
        return None if path is None or is_buried(path) else path

    def base(self, path: str) -> str:
        """What the outputs of the recording at `path` are to be called."""
        return self._there.base(path)

    # bookkeeping

    def _accept(self, path: str, decision: Decision, *, sent: bool) -> None:
        before, entry = self.entries.get(path), decision.entry
        failed = entry.failed or (before is not None and before.key == entry.key and before.failed)
        self._put(path, replace(entry, sent=sent, failed=failed))
        for former in (decision.moved_from, decision.replaces):
            if former is not None and former in self.entries and self.entries[former].line == entry.line:
                self._take_line(former)

    def _put(self, path: str, entry: Entry) -> None:
        before = self.entries.get(path)
        if before is not None and before.line != entry.line and not self._lasting:
            self._known.save(buried(path, before.line), before)
        self._known.save(path, entry)

    def _take_line(self, path: str) -> None:
        """Another file has the line of the one that was at `path`."""
        if self._lasting:
            self._missing.pop(path, None)
            self._known.save(path, self._judge.bereft(path, self._today))
        else:
            self._drop(path)

    def _end_handovers(self) -> None:
        """Lines are with one file each: with the one to which it was handed on last, should a crash have kept
        from memory that another one has it no more."""
        holders: dict[str, str] = {}
        for path, entry in list(self.entries.items()):
            rival = holders.setdefault(entry.line, path)
            if rival != path:
                earlier, holders[entry.line] = sorted((rival, path), key=self._claim)
                self._take_line(earlier)

    def _claim(self, path: str) -> tuple[int, int, bool]:
        entry = self.entries[path]
        return entry.turn, entry.version, not is_buried(path)

    def _await(self, path: str, when: float) -> None:
        self._judge.strangers.add(path)
        self._awaited.add(path, when, urgent=self._rounds > 0)

    def _drop(self, path: str) -> None:
        self._known.drop(path)
        self._missing.pop(path, None)
