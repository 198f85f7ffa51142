"""`erni-audio costs`: what recognition cost, by month, engine and workspace, and what the budget has left."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.accounts import Cost, RedisAccounts
from core.commands import exits
from core.engines.prices import PRICED_ON
from core.render.safe import clean
from core.render.times import duration
from core.settings import Settings, load_settings
from core.state import State, open_any_state
from core.telemetry import configure_logging

SCHEMA = "urn:erni-audio:costs:1"
"""Changes when a field changes its meaning or goes; new fields may come."""

_HEADER = ("Engine", "Workspace", "Price", "Requests", "Audio", "Cost")
_WORDS = 3  # columns of text; the rest are numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A month's costs with the budgets of today's settings. Money in US dollars; `reserved` is set aside for
    recordings under way. Budgets None mean none."""

    month: str
    costs: Sequence[Cost]
    reserved: float
    budget: float | None
    tenant_budget: float | None

    @property
    def total(self) -> float:
        """Of what has a known price."""
        return sum(cost.dollars for cost in self.costs if cost.dollars is not None)

    @property
    def unpriced(self) -> int:
        """Requests that the total leaves out because nobody knows their price."""
        return sum(cost.requests for cost in self.costs if cost.dollars is None)

    @property
    def left(self) -> float | None:
        """Of the budget, after what is set aside; None without one."""
        return None if self.budget is None else max(0.0, self.budget - self.total - self.reserved)

    def by_tenant(self) -> dict[str, float]:
        """What each workspace was charged, of what has a known price."""
        found = dict.fromkeys(sorted({cost.tenant for cost in self.costs}), 0.0)
        for cost in self.costs:
            found[cost.tenant] += cost.dollars or 0.0
        return found


def parse_month(value: str) -> str:
    """A month as `2026-11`. Raises BadParameter."""
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", value):
        raise typer.BadParameter(f"{value!r} is no month. Give one such as 2026-11.")
    return value


def costs(
    *,
    month: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM", help="A month in UTC.", show_default="the current one"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show what recognition by vendors cost in a month, per engine and workspace, and what the budget has
    left. Computed from a table of list prices: the vendors' invoices count.

    Works while the service runs and while it does not. Exit codes: 0; 2, the store can't be had.
    """
    wanted = parse_month(month) if month is not None else None
    settings = exits.quiet_by_default(load_settings(Settings))
    configure_logging(settings)
    raise typer.Exit(exits.run_to_end(_costs(settings, wanted, as_json=as_json)))


async def bill_of(settings: Settings, state: State, month: str | None = None) -> Bill:
    """What a month came to so far, the current one if none is named."""
    accounts = RedisAccounts(state.redis, settings)
    month = month or accounts.month()
    return Bill(
        month=month,
        costs=await accounts.costs(month),
        reserved=await accounts.reserved(month),
        budget=settings.monthly_budget,
        tenant_budget=settings.tenant_monthly_budget,
    )


async def _costs(settings: Settings, month: str | None, *, as_json: bool) -> int:
    async with open_any_state(settings, reading=True) as state:
        bill = await bill_of(settings, state, month)
    if as_json:
        sys.stdout.write(to_json(bill) + "\n")
    else:
        show(bill, Console())
    return exits.OK


def to_json(bill: Bill) -> str:
    """Everything, with seconds of audio and US dollars; null for an unknown price and for no budget."""
    document = {
        "schema": SCHEMA,
        "month": bill.month,
        "priced_on": PRICED_ON.isoformat(),
        "costs": [
            {name: value for name, value in asdict(cost).items() if name != "month"} for cost in bill.costs
        ],
        "total": round(bill.total, 6),
        "requests_of_unknown_price": bill.unpriced,
        "reserved": bill.reserved,
        "budget": bill.budget,
        "left": None if bill.left is None else round(bill.left, 6),
        "tenant_budget": bill.tenant_budget,
    }
    return json.dumps(document, indent=2)


def dollars(amount: float | None) -> str:
    """`$1,234.50`, `under $0.01`, `unknown`."""
    if amount is None:
        return "unknown"
    return "under $0.01" if 0 < amount < 0.01 else f"${amount:,.2f}"


def show(bill: Bill, console: Console) -> None:
    """A table with lines on a terminal, aligned plain text elsewhere, then the budget."""
    if not bill.costs:
        console.print(
            Text(f"Nothing was spent in {bill.month}: no engine that charges was used."), soft_wrap=True
        )
    else:
        _table(bill, console)
    for line in _remarks(bill):
        console.print(Text(line), soft_wrap=True)


def _table(bill: Bill, console: Console) -> None:
    rows = [_cells(cost) for cost in bill.costs]
    seconds = sum(cost.seconds for cost in bill.costs)
    requests = sum(cost.requests for cost in bill.costs)
    known = bill.total if bill.unpriced < requests else None
    total = ("Total", "", "", str(requests), duration(seconds), dollars(known))
    if console.is_terminal:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for place, title in enumerate(_HEADER):
            text = place < _WORDS
            table.add_column(title, justify="left" if text else "right", overflow="fold", no_wrap=not text)
        for cells in rows:
            table.add_row(*map(Text, cells))
        table.add_section()
        table.add_row(*(Text(cell, style="bold") for cell in total))
        console.print(table)
        return
    lines = [_HEADER, *rows, total]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = [
            cell + " " * (width - cell_len(cell)) if place < _WORDS else " " * (width - cell_len(cell)) + cell
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        console.print(Text("  ".join(padded).rstrip()), soft_wrap=True)


def _cells(cost: Cost) -> tuple[str, ...]:
    return (
        clean(cost.engine),
        clean(cost.tenant),
        clean(cost.price) or "-",
        str(cost.requests),
        duration(cost.seconds),
        dollars(cost.dollars),
    )


def _remarks(bill: Bill) -> Iterator[str]:
    if bill.unpriced:
        count = "1 request" if bill.unpriced == 1 else f"{bill.unpriced} requests"
        yield f"The total leaves out {count} whose price is unknown."
    if bill.budget is None:
        yield "No budget is set; ERNI_MONTHLY_BUDGET sets one."
    else:
        aside = f", {dollars(bill.reserved)} set aside for recordings under way" if bill.reserved > 0 else ""
        yield f"Budget of the month: {dollars(bill.budget)}{aside}, {dollars(bill.left)} left."
    if bill.tenant_budget is not None:
        yield f"Budget of each workspace: {dollars(bill.tenant_budget)}."
        for tenant, spent in bill.by_tenant().items():
            left = max(0.0, bill.tenant_budget - spent)
            yield f"  {clean(tenant)}: {dollars(spent)} spent, {dollars(left)} left."
    if bill.costs:
        yield f"By list prices of {PRICED_ON.isoformat()}; the vendors' invoices count."
