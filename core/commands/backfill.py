"""Before everything is transcribed that lies in a folder already: how much that is, and what it costs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from core.commands.clouds import tell
from core.commands.costs import bill_of, dollars
from core.commands.display import a_person_looks
from core.commands.models import megabytes
from core.engines.prices import PRICED_ON
from core.existing import Tally, cost, count
from core.following import Selection
from core.hearing import Listener
from core.methods import create_engines, prepare
from core.places import WatchedFolder
from core.remote import RemoteFolder
from core.render.times import duration
from core.settings import Settings
from core.state import State

_LINE_SECONDS = 5.0


async def tell_extent(place: RemoteFolder, folder: WatchedFolder, settings: Settings, state: State) -> Tally:
    """Say how many recordings lie there and what transcribing them would cost. Raises as the port does."""
    selection = Selection(since=0.0, backfill=True, recursive=folder.recursive, output=folder.output)
    with counting("Looking through the folder", "recording") as report:
        tally = await count(place, selection, lambda tally: report(tally.files))
    if not tally.files:
        tell("No recordings lie there yet.")
        return tally
    are = "recording lies" if tally.files == 1 else "recordings lie"
    guess = ", guessed from their sizes" if tally.guessed else ""
    tell(
        f"{tally.files:,} {are} there already: about {duration(tally.seconds)} of audio in all{guess}, "
        f"{megabytes(tally.size)}."
    )
    for line in await _cost(tally, folder, settings, state):
        tell(line)
    return tally


async def _cost(tally: Tally, folder: WatchedFolder, settings: Settings, state: State) -> list[str]:
    wanted = folder.policy.method
    listener = await _first_method(settings, wanted)
    if listener is None:
        which = f"the method `{wanted}` can't" if wanted else "no method of recognition can"
        return [f"What that costs can't be told: {which} run here. `erni-audio doctor` says why."]
    prices = _prices(listener)
    amount = cost(tally, prices)
    lines = [_priced(listener.method, amount) if any(prices) else _free(listener.method)]
    if listener.draft:
        lines.append(
            "The texts will be drafts with many mistakes. `erni-audio doctor` says how to get good ones."
        )
    left = await _left(settings, state)
    if amount and left is not None and amount > left:
        lines.append(
            f"The budget has {dollars(left)} left this month: what goes beyond it is refused, with a note "
            "beside each recording."
        )
    return lines


def _free(method: str) -> str:
    return f"The method `{method}` runs on your own machines and costs nothing but time."


def _priced(method: str, amount: float | None) -> str:
    if amount is None:
        return f"What that costs can't be told: the price of the method `{method}` is not known here."
    return (
        f"With the method `{method}` that costs about {dollars(amount)}, by list prices of "
        f"{PRICED_ON.isoformat()}."
    )


def _prices(listener: Listener) -> list[str]:
    halves = [listener.transcriber.capabilities]
    if listener.diarizer is not None:
        halves.append(listener.diarizer.capabilities)
    return [half.price for half in halves]


async def _first_method(settings: Settings, wanted: str | None) -> Listener | None:
    """The method that hears a recording first, None if it can't run here. `wanted` is the folder's choice."""
    engines = create_engines(settings)
    try:
        _, chain = await prepare(settings, engines)
    finally:
        for engine in engines.values():
            await engine.close()
    return next((listener for listener in chain if wanted in {None, listener.method}), None)


async def _left(settings: Settings, state: State) -> float | None:
    """What the month's budgets allow a folder, US dollars; None without one."""
    bill = await bill_of(settings, state)
    known = [amount for amount in (bill.left, bill.tenant_budget) if amount is not None]
    return min(known, default=None)


@contextmanager
def counting(what: str, thing: str) -> Iterator[Callable[[int], None]]:
    """Shows what is done, and how many there were so far, to whoever looks."""
    if not a_person_looks():
        yield _Lines(what, thing)
        return
    progress = Progress(
        TextColumn(what),
        BarColumn(bar_width=24),
        _Count(thing),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with progress:
        row = progress.add_task("", total=None)
        yield lambda number: progress.update(row, completed=number)


class _Count(ProgressColumn):
    """How many there were so far."""

    def __init__(self, thing: str) -> None:
        super().__init__()
        self._thing = thing

    def render(self, task: Task) -> Text:
        return Text(counted(int(task.completed), self._thing))


def counted(number: int, thing: str) -> str:
    """`1 file`, `2,000 files`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


class _Lines:
    """A line from time to time."""

    def __init__(self, what: str, thing: str) -> None:
        self._what = what
        self._thing = thing
        self._said = time.monotonic()

    def __call__(self, number: int) -> None:
        if time.monotonic() - self._said >= _LINE_SECONDS:
            self._said = time.monotonic()
            sys.stderr.write(f"{self._what}: {counted(number, self._thing)} so far\n")
            sys.stderr.flush()
