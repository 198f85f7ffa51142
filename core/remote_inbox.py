"""One watched folder in somebody's cloud: from what the platform tells to recordings submitted.

The cursor that is remembered is never ahead of what is: it is stored only when everything that was told
before it has been submitted, or decided otherwise, and remembered. So a crash at any time leads to being told
again.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Collection
from typing import Any, Protocol

from core.departures import Departures, Withdrawing
from core.errors import ErniError, Transient
from core.following import Checkpoints, Rhythm, Selection, Timetable, cursor_of
from core.inbox import Clock, Examined, Inbox, Later
from core.leases import alone, turn
from core.model import Recording
from core.polling import poll
from core.ports import Store, Submit
from core.remote import CursorLost, Notified, RemoteFile, RemoteFolder
from core.remote_view import RemoteView
from core.sightings import UNREAD, Decision, Entry, Sighting
from core.watching import Watched

logger = logging.getLogger(__name__)

_ARRIVING_SECONDS = 10.0
_NOTICES_SECONDS = 60.0  # until we ask for notices again after trouble
_CLOCKS_SECONDS = 120.0  # by which our clock and the platform's may differ


class Outputs(Withdrawing, Protocol):
    """What the watcher has to do with outputs: `core.remote_outputs`."""

    async def owner(self, folder: str, base: str, number: int, name: str) -> str:
        """The line that has a transcript of this name on record, in a set of these names; or ""."""
        ...


class RemoteInbox(Inbox):
    """Watches `folder`. `submitted_as` says how one of its files is submitted; `delete`: what a recording led
    to is taken back when it is deleted."""

    unread_seconds = None

    def __init__(
        self,
        *,
        folder: RemoteFolder,
        place: str,
        store: Store,
        selection: Selection,
        rhythm: Rhythm,
        submitted_as: Callable[[RemoteFile, Entry], Recording],
        outputs: Outputs,
        delete: bool,
        clock: Clock = time.monotonic,
        today: Clock = time.time,
    ) -> None:
        super().__init__(place=place, store=store, clock=clock)
        self.folder = folder
        self._selection = selection
        self._rhythm = rhythm
        self._submitted_as = submitted_as
        self._outputs = outputs
        self._departures = Departures(
            place=place,
            folder=folder,
            store=store,
            outputs=outputs,
            delete=delete,
            today=self.today,
        )
        self._today = today
        self._followed = asyncio.Event()
        self._reset()

    def _reset(self) -> None:
        self._watched = None
        self._view = RemoteView(self._selection)
        self._at_hand: RemoteFile | None = None
        self._times = Timetable(self._rhythm)
        self._checkpoints = Checkpoints()
        self._cursor = ""
        self._stored: str | None = None
        self._begun = False  # it was listed to the end once
        self._widened = self._selection.widened  # as it was when it was listed last

    async def recollect(self, entries: dict[str, Entry]) -> Watched:
        watched = await asyncio.to_thread(
            Watched,
            place=self.place,
            entries=entries,
            settle=self._rhythm.settle,
            grace=self._rhythm.grace,
            lasting=True,
            today=self.today(),
        )
        await self._departures.end_broken_off(watched)
        self._stored = await self._store.recall(f"{self.place}:folder", "cursor")
        if self._stored is not None:
            self._cursor, listed, marks = cursor_of(self._stored)
            self._widened = float(await self._store.recall(f"{self.place}:folder", "widened") or 0.0)
            is_wider = self._widened != self._selection.widened
            self._begun, self._times = True, Timetable(self._rhythm, None if is_wider else listed)
            self._view.recall(marks)
            watched.trust(self._clock())
        return watched

    async def follow_on(self, watched: Watched, path: str, decision: Decision) -> None:
        await self._departures.follow_on(watched, path, decision)

    async def retire(self, line: str) -> None:
        await self._departures.retire(line)

    def today(self) -> float:
        """The Unix time."""
        return self._today()

    def nudge(self) -> None:
        """Something may have changed: ask now."""
        if self._times.nudge():
            self._wake.set()

    async def take_stock(self, report: Callable[[int], None]) -> None:
        """Before the folder is watched: note what lies there, which `watch` leaves alone then, and go on from
        here. `report` hears how many files there were so far. Raises Transient and AuthFailed."""
        async with turn(self._store, f"{self.place}:leases", "watch"):
            watched = await self.watched()
            await self._list(watched, report)
            await self._remember_cursor(watched)

    async def watch(self, submit: Submit) -> None:
        """Submit what arrives until cancelled, in one process of those that share the store."""
        await alone(self._store, f"{self.place}:leases", "watch", lambda: self._watch(submit))

    async def _watch(self, submit: Submit) -> None:
        self._reset()  # another process may have watched meanwhile
        pace: dict[str, Any] = {"name": self.place, "trouble": self.tell, "denied": self._rhythm.denied}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(poll(lambda: self.step(submit), self._wake, **pace))
            if isinstance(self.folder, Notified):
                tasks.create_task(self._listen(self.folder))

    async def step(self, submit: Submit) -> float:
        """Ask what changed and take what is complete. Returns how long, in seconds, there will be nothing to
        do unless something changes."""
        watched = await self.watched()
        await self._hear_of_failures(watched)
        if not self._cursor or self._times.must_list(self._clock(), self._today()):
            await self._list(watched)
        if self._times.must_ask(self._clock()):
            await self._follow(watched)
        watched.expire(self._clock(), self._today())
        await self._departures.part(watched, self._view, self._clock())
        await self.take_due(watched, submit)
        await self._remember_cursor(watched)
        due, wanted = watched.next_due(), self._times.next()
        return max(0.0, (wanted if due is None else min(wanted, due)) - self._clock())

    # looking

    async def _list(self, watched: Watched, report: Callable[[int], None] | None = None) -> None:
        started, today = self._clock(), self._today()
        skipping = not (self._begun or self._selection.backfill)
        widened = self._selection.widened
        widening = self._begun and self._widened != widened
        since = (widened if widening else self._selection.since) - _CLOCKS_SECONDS
        since = since if report is None else math.inf  # then nothing is new
        news: set[str] = set()
        cursor, seen = "", 0
        before, self._view = self._view, self._view.begin()
        watched.begin()
        try:
            async for page in self.folder.listing():
                for item in page.items:
                    if isinstance(item, RemoteFile):
                        old = skipping or (widening and item.folders)
                        fresh = not old or (item.appeared or 0.0) >= since
                        if self._view.see(watched, item, self._clock(), keep=fresh) and fresh:
                            news.add(item.id)
                cursor, seen = page.cursor, seen + len(page.items)
                if report is not None:
                    report(seen)
                await asyncio.sleep(0)
        except BaseException:
            self._view = before
            raise
        # In threads: with 100,000 files each takes seconds, in which nobody else touches what is watched.
        await asyncio.to_thread(watched.finish, self._clock(), today)
        if skipping or widening:
            await asyncio.to_thread(watched.skip_all, news)
            await self.save()
        if widened and (widening or not self._begun):
            await self._store.remember(f"{self.place}:folder", "widened", repr(widened))
        self._cursor, self._begun, self._widened = cursor, True, widened
        self._times.list_done(started, self._clock(), today)
        self._checkpoints.add(cursor, today, watched.open(), self._view.marks())

    async def _follow(self, watched: Watched) -> None:
        self._times.begin_asking()
        try:
            await self._read_changes(watched)
        except CursorLost:
            logger.info("the cursor of %s was lost: everything is listed anew", self.place)
            self._cursor = ""
            await self._list(watched)
            try:
                await self._read_changes(watched)
            except CursorLost:
                raise Transient("The platform lost a cursor that it has just given.") from None
        self._times.asked(self._clock())
        self._checkpoints.add(self._cursor, self._times.listed, watched.open(), self._view.marks())
        self._followed.set()

    async def _read_changes(self, watched: Watched) -> None:
        more = True
        while more:
            page = await self.folder.changes(self._cursor)
            for item in page.items:
                if isinstance(item, RemoteFile):
                    self._view.see(watched, item, self._clock())
                    continue
                for file_id in await self._view.named(watched, item):
                    self._view.lose(watched, file_id, self._clock())
            if page.unclear:
                self._times.listed = None
            self._cursor, more = page.cursor, page.more

    async def look_again(self, watched: Watched, paths: Collection[str]) -> None:
        """What changed was told, in order, and read to the end before anything is taken. It is only to be
        found out whether files that are missing were deleted: a file that is elsewhere still is not the one
        that has come to light here."""
        missing = {path for path in paths if watched.is_missing(path)}
        await self._departures.tell_apart(watched, missing)

    # taking

    async def examine(self, watched: Watched, sighting: Sighting) -> Examined | Later | None:
        file = self._view.take(sighting.path)
        if file is None:  # a process that died had begun with it, or the store was away
            file = await self.folder.look(sighting.path)
            if file is None or not self._view.see(watched, file, self._clock()):
                return None
            if file.sighting() != sighting:
                return Later(seconds=0.0)
        if self._view.arriving(sighting.label):
            self._view.keep(file)
            return Later(seconds=_ARRIVING_SECONDS)
        self._at_hand = file
        return await self._answered(watched, sighting) or Examined(content=sighting.content or UNREAD)

    async def _answered(self, watched: Watched, sighting: Sighting) -> Examined | None:
        """What is known of a transcript of this content beside it, of nobody else's if there is one."""
        found: Examined | None = None
        for answer in self._view.answers(sighting.label, sighting.content):
            file = answer.file
            owner = await self._outputs.owner(file.parent, answer.base, answer.number, file.name)
            owner = owner or watched.adopter(file.id)
            there = await self.folder.look(file.id)  # it may be one that has just been taken back
            if there is not None and there.made_from == sighting.content:
                found = Examined(content=sighting.content, answered=file.id, owner=owner)
                if not owner:
                    return found
        return found

    def recording(self, sighting: Sighting, entry: Entry) -> Recording:
        if self._at_hand is None or self._at_hand.id != sighting.path:
            raise ValueError("Only what was just examined is submitted.")
        return self._submitted_as(self._at_hand, entry)

    # remembering

    async def _remember_cursor(self, watched: Watched) -> None:
        """Store the latest cursor before which nothing is undecided."""
        stored = self._checkpoints.passed(watched.is_open)
        if stored is not None and stored != self._stored:
            await self._store.remember(f"{self.place}:folder", "cursor", stored)
            self._stored = stored

    async def _hear_of_failures(self, watched: Watched) -> None:
        failures = await self._departures.hear_of_failures(watched, self._view, self._clock())
        await self._departures.part(watched, self._view, self._clock())
        if failures:
            await self.save()
            await self._departures.drop_failures(failures)

    # notices of the platform

    async def _listen(self, folder: Notified) -> None:
        while True:
            await self._followed.wait()
            self._followed.clear()
            try:
                await folder.wait(self._cursor)
            except CursorLost:
                self._times.listed = None
            except (ErniError, OSError) as error:
                logger.debug("no notices of changes in %s: %s", self.place, type(error).__name__)
                await asyncio.sleep(_NOTICES_SECONDS)
                self._followed.set()
                continue
            self.nudge()
