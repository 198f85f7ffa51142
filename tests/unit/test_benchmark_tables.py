"""What the benchmarks print is computed and laid out as they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.overhead import COLUMNS, costs
from benchmarks.queueing import first_begins, rate
from benchmarks.service import SETTLE_SECONDS
from benchmarks.tables import megabytes, percentile, seconds, table
from benchmarks.tracing import Span

_values = st.lists(st.floats(0, 1e6), min_size=1, max_size=200)


def span(name: str, began: float, ended: float, job: str = "") -> Span:
    return Span(name=name, began=began, ended=ended, job=job)


@given(values=_values, share=st.floats(0, 1))
def test_a_percentile_is_the_least_value_that_enough_others_do_not_exceed(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9 * len(values)
    assert sum(value < found for value in values) < max(1, share * len(values))


def test_percentiles_of_a_hundred_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0, 0.5, 0.99, 1)] == [1, 50, 99, 100]


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 1.1), ([1.0], -0.1)])
def test_a_percentile_of_nothing_is_refused(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, share)


def test_a_table_is_aligned_and_escapes_its_separator() -> None:
    assert table(["what", "s"], [["a|b", "1.5"], ["c", "10.25"]]).splitlines() == [
        "| what |     s |",
        "| ---- | ----: |",
        "| a\\|b |   1.5 |",
        "| c    | 10.25 |",
    ]


def test_a_ragged_table_is_refused() -> None:
    with pytest.raises(ValueError, match="as many cells"):
        table(["a", "b"], [["1"]])


def test_figures_have_the_digits_that_mean_something() -> None:
    assert [seconds(value) for value in (0.0004, 0.5, 1.234, 78.66, None)] == [
        "0.000",
        "0.500",
        "1.23",
        "78.7",
        "-",
    ]
    assert [megabytes(value) for value in (97_400_000, None)] == ["97", "-"]


def test_overhead_leaves_out_recognition_and_settling_and_accounts_for_the_rest() -> None:
    found = costs(
        100.0,
        [
            span("door hash", 101.0, 101.5),
            span("submit", 101.5, 101.6),
            span("begin", 101.8, 101.9),
            span("fetch", 102.0, 102.5),
            span("decode", 102.5, 104.0),
            span("transcribe", 104.0, 109.0),
            span("attribute", 109.0, 109.3),
            span("label", 109.3, 109.4),
            span("commit", 109.5, 109.6),
            span("begin", 109.9, 110.0),
            span("render", 110.1, 110.3),
            span("deliver", 110.1, 110.8),
            span("settle", 110.8, 110.9),
        ],
    )
    assert found.total == pytest.approx(9.8 - 5.0)
    assert found.noticed == pytest.approx(1.0 - SETTLE_SECONDS)
    assert set(found.stages) == set(COLUMNS)
    assert found.stages["decode"] == pytest.approx(1.5)
    assert found.stages["attribution"] == pytest.approx(0.4)
    assert found.waits == pytest.approx(0.2 + 0.3)
    assert found.placing == pytest.approx(0.5)
    known = 0.5 + 0.1 + 0.5 + 1.5 + 0.4 + 0.1 + 0.2 + 0.5 + 0.5
    assert found.rest == pytest.approx(found.total - known)


def test_a_recording_that_was_not_delivered_has_no_overhead() -> None:
    with pytest.raises(ValueError, match="not delivered"):
        costs(0.0, [span("door hash", 1, 2)])


def test_the_start_of_a_job_is_its_first_claim_by_any_worker() -> None:
    one = [span("begin", 3, 4, "a"), span("begin", 8, 9, "b"), span("settle", 9, 10, "b")]
    two = [span("begin", 2, 3, "a"), span("ready", 0, 1), span("settle", 4, 7, "a")]
    assert first_begins([one, two]) == {"a": 2, "b": 8}
    assert rate([one, two]) == pytest.approx(2 / (10 - 2))
