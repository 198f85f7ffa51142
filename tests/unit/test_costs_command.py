"""`erni-audio costs`: a month's bill for people and for programs."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from pydantic import SecretStr
from redis.asyncio import Redis
from rich.console import Console

from core.accounts import Cost, RedisAccounts
from core.commands.costs import Bill, _costs, dollars, parse_month, show, to_json
from core.settings import Settings, load_settings
from core.state import open_any_state
from tests.quick_store import quick_store

ROOT = Path(__file__).resolve().parents[2]


def cost(tenant: str, engine: str, price: str, requests: int, seconds: float, amount: float | None) -> Cost:
    return Cost(
        month="2026-11",
        tenant=tenant,
        engine=engine,
        price=price,
        requests=requests,
        seconds=seconds,
        dollars=amount,
    )


COSTS = (
    cost("slack:T1", "openai", "openai/whisper-1", 3, 5400.0, 0.54),
    cost("slack:T1", "pyannoteai", "pyannoteai/diarize/precision-2", 3, 5400.0, 0.2016),
    cost("folder@n1", "replicate", "replicate/whisper-diarization", 1, 60.0, None),
)


def bill(
    costs: tuple[Cost, ...] = COSTS,
    reserved: float = 0.0,
    budget: float | None = None,
    tenant_budget: float | None = None,
) -> Bill:
    return Bill(month="2026-11", costs=costs, reserved=reserved, budget=budget, tenant_budget=tenant_budget)


def shown(what: Bill, *, terminal: bool = False) -> str:
    out = io.StringIO()
    show(what, Console(file=out, force_terminal=terminal, width=120, color_system=None))
    return out.getvalue()


def test_a_table_with_a_total_that_says_what_it_leaves_out() -> None:
    assert shown(bill()).splitlines() == [
        "Engine      Workspace  Price                           Requests       Audio     Cost",
        "openai      slack:T1   openai/whisper-1                       3  1 h 30 min    $0.54",
        "pyannoteai  slack:T1   pyannoteai/diarize/precision-2         3  1 h 30 min    $0.20",
        "replicate   folder@n1  replicate/whisper-diarization          1       1 min  unknown",
        "Total                                                         7   3 h 1 min    $0.74",
        "The total leaves out 1 request whose price is unknown.",
        "No budget is set; ERNI_MONTHLY_BUDGET sets one.",
        "By list prices of 2026-08-01; the vendors' invoices count.",
    ]


def test_a_terminal_gets_the_same_numbers() -> None:
    plain, drawn = (shown(bill(), terminal=terminal).split() for terminal in (False, True))
    assert [word for word in drawn if not set(word) <= set("─━╶╴")] == plain


def test_budgets_and_what_is_left() -> None:
    said = shown(bill(budget=5.0, reserved=0.25, tenant_budget=0.5))
    assert "Budget of the month: $5.00, $0.25 set aside for recordings under way, $4.01 left." in said
    assert "  slack:T1: $0.74 spent, $0.00 left." in said
    assert "  folder@n1: $0.00 spent, $0.50 left." in said
    assert "Budget of the month: $0.10, $0.00 left." in shown(bill(budget=0.1))


def test_what_nobody_can_price_has_no_total() -> None:
    lines = shown(bill(COSTS[2:])).splitlines()
    assert lines[2].split() == ["Total", "1", "1", "min", "unknown"]


def test_a_month_without_costs_is_said() -> None:
    said = shown(bill(()))
    assert said.startswith("Nothing was spent in 2026-11: no engine that charges was used.\n")
    assert "Total" not in said
    assert "invoices" not in said


def test_json_has_every_number_and_null_for_the_unknown() -> None:
    found = json.loads(to_json(bill(budget=1.0, reserved=0.1)))
    assert found["schema"] == "urn:erni-audio:costs:1"
    assert found["month"] == "2026-11"
    assert found["costs"][1] == {
        "tenant": "slack:T1",
        "engine": "pyannoteai",
        "price": "pyannoteai/diarize/precision-2",
        "requests": 3,
        "seconds": 5400.0,
        "dollars": 0.2016,
    }
    assert found["costs"][2]["dollars"] is None
    assert (found["total"], found["reserved"], found["budget"], found["left"]) == (0.7416, 0.1, 1.0, 0.1584)
    assert found["requests_of_unknown_price"] == 1
    assert json.loads(to_json(bill()))["left"] is None


def test_small_amounts_are_not_shown_as_nothing() -> None:
    assert [dollars(amount) for amount in (None, 0.0, 0.004, 0.01, 1234.5)] == [
        "unknown",
        "$0.00",
        "under $0.01",
        "$0.01",
        "$1,234.50",
    ]


def test_names_from_strangers_stay_on_their_line() -> None:
    odd = cost("evil\n\x1b[31mname", "openai", "openai/whisper-1", 1, 1, 0.1)
    said = shown(bill((odd,)))
    assert "\x1b" not in said
    assert "evil [31mname" in said


@pytest.mark.parametrize("wrong", ["2026", "2026-13", "2026-1", "11-2026", "2026-11-01", ""])
def test_what_is_no_month_is_refused(wrong: str) -> None:
    with pytest.raises(typer.BadParameter, match="2026-11"):
        parse_month(wrong)
    assert parse_month("2026-11") == "2026-11"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with quick_store() as url:
        yield url


def test_the_command_reads_what_the_service_booked(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(
        Settings, _env_file=None, data_dir=tmp_path, redis_url=SecretStr(url), monthly_budget=1.0
    )

    async def book() -> str:
        async with Redis.from_url(url) as redis:
            accounts = RedisAccounts(redis, settings)
            await accounts.settle(await accounts.reserve("t1", "openai", "openai/whisper-1", 600), 600)
            await accounts.reserve("t1", "openai", "openai/whisper-1", 600)
            return accounts.month()

    month = asyncio.run(book())
    assert asyncio.run(_costs(settings, None, as_json=False)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["openai", "t1", "openai/whisper-1", "1", "10", "min", "$0.06"]
    assert "Budget of the month: $1.00, $0.06 set aside for recordings under way, $0.88 left." in lines
    assert asyncio.run(_costs(settings, month, as_json=True)) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["month"], len(found["costs"]), found["left"]) == (month, 1, 0.88)
    assert asyncio.run(_costs(settings, "2020-01", as_json=True)) == 0
    assert json.loads(capsys.readouterr().out)["costs"] == []


async def _begin(data_dir: Path) -> None:
    async with open_any_state(load_settings(Settings, data_dir=data_dir)):
        pass


def test_it_works_while_no_service_does(tmp_path: Path) -> None:
    asyncio.run(_begin(tmp_path))
    result = subprocess.run(
        [sys.executable, "-m", "core", "costs", "--month", "2026-11", "--json"],
        env={"PATH": os.environ["PATH"], "ERNI_DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["costs"] == []
    assert result.stderr == ""
