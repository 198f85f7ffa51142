"""The pure decisions: retries, methods, lanes, lives."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import TimeoutError as RedisTimeoutError

from core.doors import DoorAway
from core.errors import AuthFailed, Misconfigured, QuotaExhausted, Rejected, Transient
from core.intake import refusal
from core.methods import choose
from core.model import Policy, Recording, Transcript
from core.pipeline import is_long, result_key
from core.ports import Readiness
from core.retrying import Again, GiveUp, backoff, decide
from core.settings import Settings, load_settings
from core.store import life_seconds
from core.tasks import end
from core.vault import Vault

READY = Readiness(usable=True)
BROKEN = Readiness(usable=False, reason="No weights.", remedy="Run `erni-audio models fetch`.")
RECORDING = Recording(
    key="k",
    content_key="c",
    platform="folder",
    door="d",
    address="{}",
    name="n",
    shared_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def decision(error: Exception, attempt: int = 1, age: float = 0) -> Again | GiveUp:
    return decide(error, job_id="ref1", attempt=attempt, max_attempts=5, age=age, jitter=0.5)


def test_a_refusal_is_final_and_told_as_it_is() -> None:
    assert decision(Rejected("Too short.")) == GiveUp(message="Too short.")


def test_a_passing_fault_is_tried_again_later_each_time() -> None:
    delays = [decision(Transient("x"), attempt) for attempt in range(1, 5)]
    assert [again.delay for again in delays if isinstance(again, Again)] == [5, 10, 20, 40]
    end = decision(Transient("x"), 5)
    assert isinstance(end, GiveUp)
    assert "ref1" in end.message
    assert "5 times" in end.message


def test_the_wait_that_the_vendor_asks_for_is_honoured() -> None:
    again = decision(Transient("slow down", retry_after=120))
    assert again == Again(delay=120, counts=True)


def test_unknown_errors_are_tried_again_and_then_told_with_a_reference() -> None:
    assert isinstance(decision(ZeroDivisionError()), Again)
    end = decision(ZeroDivisionError(), 5)
    assert isinstance(end, GiveUp)
    assert "ZeroDivision" not in end.message


@pytest.mark.parametrize("error", [AuthFailed("token"), Misconfigured("key")])
def test_what_the_operator_must_mend_waits_days_and_costs_no_attempt(error: Exception) -> None:
    again = decision(error, attempt=50, age=86400)
    assert again == Again(delay=900, counts=False)
    assert isinstance(decision(error, age=4 * 86400), GiveUp)


def test_the_stores_own_trouble_costs_no_attempt_and_little_time() -> None:
    """Found by the kill loop: after eight crashes a time-out of the store put a job off for ten minutes."""
    assert decision(RedisTimeoutError("reading"), attempt=8) == Again(delay=2, counts=False)


def test_a_closed_door_costs_no_attempt() -> None:
    assert decision(DoorAway("away", retry_after=10), attempt=99) == Again(delay=10, counts=False)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_backoff_is_bounded(attempt: int, jitter: float) -> None:
    assert 3 <= backoff(attempt, jitter) <= 900 * 1.25


def test_the_best_method_that_can_run_is_chosen_and_the_rest_explained() -> None:
    drafts = frozenset({"draft"})
    both = choose((), {"local": READY, "draft": READY}, drafts)
    assert both.methods == ("local",)
    assert both.notes == ()
    guess = choose((), {"local": BROKEN, "draft": READY}, drafts)
    assert guess.methods == ("draft",)
    assert guess.notes == ("local can't run: No weights. Run `erni-audio models fetch`.",)
    assert choose((), {"local": BROKEN, "draft": BROKEN}, drafts).methods == ()


def test_the_operators_word_decides() -> None:
    drafts = frozenset({"draft"})
    chain = choose(("draft", "local"), {"local": READY, "draft": READY}, drafts)
    assert chain.methods == ("draft", "local")
    with pytest.raises(Misconfigured, match=r"nonsense.*local, draft"):
        choose(("nonsense",), {"local": READY, "draft": READY}, drafts)


def test_long_recordings_are_recognised_by_their_size() -> None:
    hour = replace(RECORDING, size=3600 * 16_000, media_type="audio/mp4")
    assert is_long(hour, 1200)
    assert not is_long(replace(hour, media_type="video/mp4"), 1200)
    assert not is_long(replace(hour, size=None), 1200)


def test_a_result_is_kept_under_all_that_changes_it_and_nothing_else() -> None:
    base = result_key("sha256:a", Policy(), ("local",))
    assert base == result_key("sha256:a", Policy(formats=("txt",), tenant="other"), ("local",))
    different = [
        result_key("sha256:b", Policy(), ("local",)),
        result_key("sha256:a", Policy(languages=("de",)), ("local",)),
        result_key("sha256:a", Policy(max_speakers=2), ("local",)),
        result_key("sha256:a", Policy(vocabulary=("Erni",)), ("local",)),
        result_key("sha256:a", Policy(), ("draft",)),
    ]
    assert len({base, *different}) == 6


def test_results_live_longer_the_more_they_cost_but_never_beyond_the_retention() -> None:
    minute = Transcript(content_key="c", languages=(), seconds=60, utterances=(), engine="e")
    hours = replace(minute, seconds=4 * 3600)
    assert life_seconds(minute, None) == 91 * 86400
    assert life_seconds(hours, None) == 330 * 86400
    assert life_seconds(replace(minute, seconds=10 * 3600), None) == 365 * 86400
    assert life_seconds(hours, 2) == 2 * 86400


def test_what_is_too_large_is_refused_in_words() -> None:
    settings = load_settings(Settings, max_bytes=2**30)
    assert "3.0 GB" in refusal(replace(RECORDING, size=3 * 2**30), settings)
    assert refusal(replace(RECORDING, size=5), settings) == ""


@given(st.binary())
def test_sealed_bytes_open_again(data: bytes) -> None:
    key = Vault.new_key()
    assert Vault(key).open(Vault(key).seal(data)) == data
    assert Vault(key).open(Vault().seal(data)) == data, "what was stored before the key was set"


def test_another_key_is_a_clear_error() -> None:
    blob = Vault(Vault.new_key()).seal(b"secret")
    with pytest.raises(Misconfigured, match="ERNI_ENCRYPTION_KEY"):
        Vault(Vault.new_key()).open(blob)
    with pytest.raises(Misconfigured, match="ERNI_ENCRYPTION_KEY"):
        Vault().open(blob)
    with pytest.raises(Misconfigured, match="new-key"):
        Vault("too short")


async def test_a_task_that_swallows_a_cancellation_is_asked_again() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if swallowed == 2:
                    raise
                swallowed += 1

    async def failing() -> None:
        raise ValueError("its own matter")

    tasks = [asyncio.create_task(stubborn()), asyncio.create_task(failing())]
    await asyncio.sleep(0)
    await end(*tasks, patience=0.01)
    assert swallowed == 2
    assert all(task.done() for task in tasks)


def test_an_account_without_credit_is_not_asked_again() -> None:
    end = decision(QuotaExhausted("no credit"))
    assert isinstance(end, GiveUp)
    assert "no credit left" in end.message
    assert "ref1" in end.message


def test_the_stores_trouble_costs_no_attempt_however_it_is_wrapped() -> None:
    error = Transient("the store does not answer")
    error.__cause__ = RedisTimeoutError()
    again = decision(error, attempt=5)
    assert isinstance(again, Again)
    assert not again.counts
