"""The job records, against a real server: what a zombie may not do, and what no crash may lose."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis.asyncio import Redis

from core.embedded import EmbeddedValkey
from core.ledger import PREFIX, Claim, Ledger, Ticket, job_id
from core.model import JobState, Policy, Recording
from core.store import RedisStore
from core.vault import Vault

RECORDING = Recording(
    key="folder:/inbox:abc",
    content_key="sha256:abc",
    platform="folder",
    door="folder@n1",
    address="{}",
    name="meeting.m4a",
    shared_at=datetime(2026, 11, 22, tzinfo=UTC),
    policy=Policy(tenant="t1"),
)


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    async with (
        EmbeddedValkey(tmp_path / "data") as valkey,
        Redis.from_url(valkey.url) as client,
    ):
        yield client


@pytest.fixture
def ledger(redis: Redis) -> Ledger:
    return Ledger(redis, Vault(), worker="w1")


async def submitted(ledger: Ledger, name: str = "a") -> Ticket:
    _, ticket = await ledger.submit(replace(RECORDING, key=name), "short")
    return ticket


async def claimed(ledger: Ledger, ticket: Ticket, max_crashes: int = 3) -> Claim:
    claim = await ledger.begin(ticket.job_id, ticket.run, max_crashes=max_crashes, poison_message="poison")
    assert isinstance(claim, Claim), claim
    return claim


async def committed(
    ledger: Ledger, claim: Claim, result: str = "r1", blob: bytes = b"x" * 10
) -> list[Ticket]:
    tickets = await ledger.commit(claim, result, blob, life_seconds=60, budget_bytes=10_000)
    assert isinstance(tickets, list), tickets
    return tickets


async def test_a_share_is_accepted_once(ledger: Ledger) -> None:
    new, first = await ledger.submit(RECORDING, "short")
    again, second = await ledger.submit(RECORDING, "long")
    assert (new, again) == (True, False)
    assert first == second
    assert first.job_id == job_id(RECORDING.key)
    view = await ledger.view(first.job_id)
    assert view is not None
    assert view.job.recording == RECORDING
    assert view.state is JobState.QUEUED


async def test_the_whole_life_of_a_job(ledger: Ledger) -> None:
    claim = await claimed(ledger, await submitted(ledger))
    assert claim.job.attempt == 1
    assert await ledger.beat(claim, "decoding", 0.5)
    assert (await ledger.lead(claim, "r1"))[0] == "lead"
    (ticket,) = await committed(ledger, claim)
    assert ticket.lane == "post:folder@n1"
    assert not await ledger.beat(claim), "the claim ended with the commit"
    delivery = await claimed(ledger, ticket)
    assert (delivery.outcome, delivery.result, delivery.tries) == ("transcript", "r1", 1)
    assert await ledger.settle(delivery, '{"ok": 1}')
    view = await ledger.view(ticket.job_id)
    assert view is not None
    assert (view.state, view.receipt) == (JobState.DONE, '{"ok": 1}')
    assert await ledger.open_count() == 0
    assert await ledger.begin(ticket.job_id, ticket.run, max_crashes=3, poison_message="") == "void"


async def test_a_frozen_worker_commits_nothing(ledger: Ledger) -> None:
    ticket = await submitted(ledger)
    zombie = await claimed(ledger, ticket)
    heir = await claimed(ledger, ticket)
    assert heir.fence > zombie.fence
    assert await ledger.commit(zombie, "r1", b"old", life_seconds=60, budget_bytes=1000) == "void"
    assert await ledger.fail(zombie, "old") == []
    assert await ledger.again(zombie, 0) == []
    assert not await ledger.settle(zombie, "{}")
    assert not await ledger.beat(zombie)
    assert len(await committed(ledger, heir)) == 1


async def test_a_frozen_deliverer_settles_nothing(ledger: Ledger) -> None:
    (ticket,) = await committed(ledger, await claimed(ledger, await submitted(ledger)))
    zombie = await claimed(ledger, ticket)
    heir = await claimed(ledger, ticket)
    assert not await ledger.settle(zombie, "zombie")
    assert await ledger.settle(heir, "heir")


async def test_a_poison_job_runs_out_of_crashes_and_owes_a_message(ledger: Ledger) -> None:
    ticket = await submitted(ledger)
    for _ in range(3):
        await claimed(ledger, ticket)
    answer = await ledger.begin(ticket.job_id, ticket.run, max_crashes=3, poison_message="it kills")
    assert isinstance(answer, list)
    delivery = await claimed(ledger, answer[0])
    assert (delivery.outcome, delivery.message) == ("failure", "it kills")
    assert await ledger.settle(delivery, "{}")
    view = await ledger.view(ticket.job_id)
    assert view is not None
    assert view.state is JobState.FAILED


async def test_giving_back_without_counting_keeps_the_attempt(ledger: Ledger) -> None:
    claim = await claimed(ledger, await submitted(ledger))
    (ticket,) = await ledger.again(claim, 0, counts=False)
    second = await claimed(ledger, ticket)
    assert second.job.attempt == 1
    (ticket,) = await ledger.again(second, 0)
    assert (await claimed(ledger, ticket)).job.attempt == 2


async def test_the_same_bytes_are_recognised_once_for_all_who_wait(ledger: Ledger) -> None:
    leader = await claimed(ledger, await submitted(ledger, "a"))
    follower = await claimed(ledger, await submitted(ledger, "b"))
    assert (await ledger.lead(leader, "r1"))[0] == "lead"
    assert (await ledger.lead(leader, "r1"))[0] == "lead", "asking again changes nothing"
    assert (await ledger.lead(follower, "r1"))[0] == "wait"
    tickets = await committed(ledger, leader)
    assert {ticket.job_id for ticket in tickets} == {leader.job.id, follower.job.id}
    for ticket in tickets:
        assert (await claimed(ledger, ticket)).outcome == "transcript"
    late = await claimed(ledger, await submitted(ledger, "c"))
    assert (await ledger.lead(late, "r1"))[0] == "cached"
    assert len(await committed(ledger, late, blob=b"")) == 1


@pytest.mark.parametrize("end", ["fail", "cancel", "poison"])
async def test_those_who_waited_go_on_when_the_leader_fails(ledger: Ledger, end: str) -> None:
    ticket = await submitted(ledger, "a")
    leader = await claimed(ledger, ticket)
    follower = await claimed(ledger, await submitted(ledger, "b"))
    assert (await ledger.lead(leader, "r1"))[0] == "lead"
    assert (await ledger.lead(follower, "r1"))[0] == "wait"
    if end == "fail":
        tickets = await ledger.fail(leader, "no")
    elif end == "cancel":
        _, tickets = await ledger.cancel(leader.job.id)
    else:
        answer = await ledger.begin(ticket.job_id, ticket.run, max_crashes=1, poison_message="p")
        assert isinstance(answer, list)
        tickets = answer
    mine = [ticket for ticket in tickets if ticket.job_id == follower.job.id]
    again = await claimed(ledger, mine[0])
    assert again.outcome is None
    assert again.job.attempt == 1, "waiting is no attempt"
    assert (await ledger.lead(again, "r1"))[0] == "lead"


async def test_a_cancelled_job_is_taken_from_its_worker(ledger: Ledger) -> None:
    claim = await claimed(ledger, await submitted(ledger))
    assert (await ledger.cancel(claim.job.id))[0]
    assert not await ledger.beat(claim)
    assert await ledger.commit(claim, "r1", b"x", life_seconds=60, budget_bytes=100) == "void"
    assert not (await ledger.cancel(claim.job.id))[0], "it is over"


async def test_the_cache_keeps_its_budget_but_never_drops_what_is_owed(ledger: Ledger, redis: Redis) -> None:
    owed = []
    for index in range(5):
        claim = await claimed(ledger, await submitted(ledger, f"job{index}"))
        (ticket,) = await committed(ledger, claim, f"r{index}", b"x" * 5000)  # the budget holds two
        owed.append(ticket)
    assert await redis.exists(*(f"{PREFIX}:result:r{index}" for index in range(5))) == 5
    for ticket in owed:
        assert await ledger.settle(await claimed(ledger, ticket), "{}")
    claim = await claimed(ledger, await submitted(ledger, "last"))
    await committed(ledger, claim, "r9", b"x" * 5000)
    kept = [index for index in range(5) if await redis.exists(f"{PREFIX}:result:r{index}")]
    assert kept == [4], "the oldest went first"


async def test_expired_results_leave_no_book_keeping(ledger: Ledger, redis: Redis) -> None:
    claim = await claimed(ledger, await submitted(ledger))
    await ledger.commit(claim, "r1", b"x", life_seconds=60, budget_bytes=100)
    await redis.delete(f"{PREFIX}:result:r1")
    assert await ledger.sweep() == 1
    assert await redis.hlen(f"{PREFIX}:sizes") == 0


async def test_a_record_is_kept_as_long_as_its_result(ledger: Ledger, redis: Redis) -> None:
    lives = {}
    for name, days in (("a", 7), ("b", 200)):
        claim = await claimed(ledger, await submitted(ledger, name))
        answer = await ledger.commit(claim, name, b"x", life_seconds=days * 86400, budget_bytes=100)
        assert isinstance(answer, list)
        assert await ledger.settle(await claimed(ledger, answer[0]), "{}")
        lives[name] = await redis.ttl(f"{PREFIX}:job:{claim.job.id}") / 86400
    assert 89 < lives["a"] <= 90
    assert 199 < lives["b"] <= 201
    assert lives["b"] * 86400 >= await redis.ttl(f"{PREFIX}:result:b")


async def test_reconciling_finds_what_the_engine_forgot(ledger: Ledger, redis: Redis) -> None:
    waiting = await submitted(ledger, "a")
    running = await claimed(ledger, await submitted(ledger, "b"))
    tickets = [ticket async for ticket in ledger.overdue(silence_seconds=60)]
    assert tickets == [waiting], "what is worked on is left alone"
    await redis.hset(f"{PREFIX}:job:{running.job.id}", "beat", "0")
    revived = {ticket.job_id: ticket async for ticket in ledger.overdue(silence_seconds=60)}
    assert set(revived) == {waiting.job_id, running.job.id}
    heir = await claimed(ledger, revived[running.job.id])
    assert not await ledger.beat(running)
    assert await ledger.beat(heir)


async def test_reconciling_frees_who_waits_for_a_lost_leader(ledger: Ledger, redis: Redis) -> None:
    leader = await claimed(ledger, await submitted(ledger, "a"))
    follower = await claimed(ledger, await submitted(ledger, "b"))
    await ledger.lead(leader, "r1")
    await ledger.lead(follower, "r1")
    await redis.delete(f"{PREFIX}:job:{leader.job.id}")  # as a truncated append-only file does
    tickets = {ticket.job_id for ticket in [t async for t in ledger.overdue(60)]}
    assert follower.job.id in tickets


async def test_a_refused_share_is_owed_its_message(ledger: Ledger) -> None:
    new, ticket = await ledger.submit(RECORDING, "short", "too big")
    assert new
    assert ticket.lane == "post:folder@n1"
    claim = await claimed(ledger, ticket)
    assert (claim.outcome, claim.message) == ("failure", "too big")


@pytest.mark.parametrize("seed", range(20))
async def test_any_order_of_events_ends_in_one_answer_per_share(
    ledger: Ledger, redis: Redis, seed: int
) -> None:
    """Random workers that die, freeze, wake up and repeat themselves; every share is settled exactly once."""
    chance = random.Random(seed)
    shares = [f"share{index}" for index in range(4)]
    results = {job_id(share): f"r{index % 2}" for index, share in enumerate(shares)}
    tickets = {(await submitted(ledger, share)) for share in shares}
    claims: list[Claim] = []
    settled: list[str] = []

    async def act(claim: Claim) -> None:
        if claim.state is JobState.DELIVERING:
            if await ledger.settle(claim, "{}"):
                settled.append(claim.job.id)
            return
        result = results[claim.job.id]
        role, called = await ledger.lead(claim, result)
        tickets.update(called)
        if role in {"cached", "lead"}:
            done = await ledger.commit(
                claim, result, b"" if role == "cached" else b"x", life_seconds=60, budget_bytes=1000
            )
            tickets.update(done if isinstance(done, list) else ())

    for _ in range(60):
        move = chance.random()
        if move < 0.5:
            ticket = chance.choice(sorted(tickets, key=lambda t: (t.job_id, t.run)))
            claim = await ledger.begin(
                ticket.job_id, ticket.run, max_crashes=1000, poison_message="p", tenant_jobs=1 + seed % 3
            )
            if isinstance(claim, Claim):
                claims.append(claim)
        elif move < 0.85 and claims:
            await act(chance.choice(claims))  # also a zombie's, also twice
        elif move < 0.95 and claims:
            tickets.update(await ledger.again(chance.choice(claims), 0, counts=False))
        else:
            for job in results:
                if await redis.hexists(f"{PREFIX}:job:{job}", "beat"):
                    await redis.hset(f"{PREFIX}:job:{job}", "beat", "0")
            tickets.update([ticket async for ticket in ledger.overdue(60)])
    for _ in range(20):  # calm: no more crashes, so everything must come to its end
        for job in results:
            if await redis.hexists(f"{PREFIX}:job:{job}", "beat"):
                await redis.hset(f"{PREFIX}:job:{job}", "beat", "0")
        for ticket in [ticket async for ticket in ledger.overdue(60)]:
            claim = await ledger.begin(
                ticket.job_id, ticket.run, max_crashes=1000, poison_message="p", tenant_jobs=1 + seed % 3
            )
            if isinstance(claim, Claim):
                await act(claim)
    assert sorted(settled) == sorted(results)


async def test_what_is_personal_is_encrypted_where_a_key_is_set(redis: Redis) -> None:
    vault = Vault(Vault.new_key())
    ledger = Ledger(redis, vault)
    store = RedisStore(redis, vault, ledger)
    await ledger.submit(replace(RECORDING, name="Salary talk with Anna.m4a"), "short")
    await store.remember("space", "key", "Salary talk")
    for key in await redis.keys("*"):
        assert b"Salary" not in (await redis.dump(key) or b"")
    view = await ledger.view(job_id(RECORDING.key))
    assert view is not None
    assert view.job.recording.name == "Salary talk with Anna.m4a"


@pytest.mark.parametrize("ending", ["settled", "cancelled"])
async def test_a_finished_record_is_kept_as_long_as_its_result(
    ledger: Ledger, redis: Redis, ending: str
) -> None:
    claim = await claimed(ledger, await submitted(ledger))
    tickets = await ledger.commit(claim, "r1", b"x", life_seconds=300 * 86400.0, budget_bytes=1000)
    assert isinstance(tickets, list)
    if ending == "settled":
        assert await ledger.settle(await claimed(ledger, tickets[0]), "{}")
    else:
        assert (await ledger.cancel(claim.job.id))[0]
    record = await redis.pttl(f"{PREFIX}:job:{claim.job.id}")  # first: both run out
    assert record >= await redis.pttl(f"{PREFIX}:result:r1") > 299 * 86_400_000


@pytest.mark.parametrize(("retention", "days"), [(None, 90), (7.0, 7), (400.0, 90)])
async def test_a_finished_record_is_kept_no_longer_than_the_retention(
    redis: Redis, retention: float | None, days: int
) -> None:
    ledger = Ledger(redis, Vault(), retention_days=retention)
    (ticket,) = await committed(ledger, await claimed(ledger, await submitted(ledger)))
    key = f"{PREFIX}:job:{ticket.job_id}"
    assert await redis.ttl(key) == -1, "what is owed does not expire"
    await ledger.settle(await claimed(ledger, ticket), "{}")
    assert 0 < days * 86400 - await redis.ttl(key) + 60 <= 120


async def test_a_tenants_jobs_stand_in_line_for_its_slots(ledger: Ledger) -> None:
    tickets = [await submitted(ledger, name) for name in "abc"]

    async def begin(ticket: Ticket) -> object:
        return await ledger.begin(ticket.job_id, ticket.run, max_crashes=9, poison_message="p", tenant_jobs=1)

    first = await begin(tickets[0])
    assert isinstance(first, Claim)
    assert await begin(tickets[1]) == "void"
    assert await begin(tickets[2]) == "void"
    assert [ticket async for ticket in ledger.overdue(60)] == [], "no slot is free, so nobody is called"
    crashed_and_back = await begin(tickets[0])
    assert isinstance(crashed_and_back, Claim), "who had a slot keeps it over a crash"
    called = await committed(ledger, crashed_and_back)
    assert [ticket.job_id for ticket in called] == [tickets[0].job_id, tickets[1].job_id], "first come"
    second = await begin(called[1])
    assert isinstance(second, Claim)
    _, called = await ledger.cancel(second.job.id)
    assert [ticket.job_id for ticket in called] == [tickets[2].job_id]


async def test_a_call_that_was_lost_is_made_again(ledger: Ledger, redis: Redis) -> None:
    tickets = [await submitted(ledger, name) for name in "ab"]
    first = await ledger.begin(tickets[0].job_id, 1, max_crashes=9, poison_message="p", tenant_jobs=1)
    second = await ledger.begin(tickets[1].job_id, 1, max_crashes=9, poison_message="p", tenant_jobs=1)
    assert isinstance(first, Claim)
    assert second == "void"
    await redis.srem(f"{PREFIX}:slots:t1", first.job.id)  # the slot is free, and nobody was told
    assert tickets[1].job_id in {ticket.job_id for ticket in [t async for t in ledger.overdue(60)]}
