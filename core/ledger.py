"""Job records in Redis: the truth about every accepted recording, whatever the queue engine remembers.

Every change of a record is one Lua script (`core/lua/`), so a process that dies at any instant leaves either
the old state or the new one. A job's *run* number changes with every change of hands, a *fencing token* is
taken by every claim, and a result is committed together with the *outbox* row that owes its delivery, only
under the newest token: a worker that was frozen and resumed commits nothing. (Fencing tokens: M. Kleppmann,
"How to do distributed locking", 2016; transactional outbox: C. Richardson, microservices.io.)
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from importlib.resources import files
from typing import Any, Literal, cast

from pydantic import TypeAdapter
from redis.asyncio import Redis

from core.model import Job, JobState, JobView, Policy, Recording
from core.vault import Vault

PREFIX = "{erni}"
_RECORD_DAYS = 90.0
"""How long a finished record is kept, so that a late duplicate of its event is still known; longer if its
result is."""

_recording = TypeAdapter(Recording)
_SCRIPTS = (
    "submit",
    "begin",
    "beat",
    "lead",
    "commit",
    "fail",
    "again",
    "settle",
    "cancel",
    "revive",
    "sweep",
    "reissue",
    "scrub",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What the queue engine is handed: this run of a job waits in `lane` until `due` (Unix seconds)."""

    job_id: str
    run: int
    lane: str
    due: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job in this worker's hands. `outcome` is what is to be delivered, None while it is to be recognised.

    `tries` counts the attempts to deliver, `job.attempt` those to recognise; both include this one.
    """

    job: Job
    fence: int
    state: JobState
    tries: int
    outcome: Literal["transcript", "failure"] | None
    result: str | None
    message: str
    submitted_at: datetime


class Role(StrEnum):
    """Who recognises some bytes: this job, another one, nobody any more; or this job lost its claim."""

    LEAD = "lead"
    WAIT = "wait"
    CACHED = "cached"
    VOID = "void"


def job_id(key: str) -> str:
    """The id of the share named `key`: 20 hexadecimal digits of its SHA-256, safe everywhere."""
    return hashlib.sha256(key.encode()).hexdigest()[:20]


def follow_up_key(key: str) -> str:
    """The key of what adds the speakers to the transcript of the share named `key` later."""
    return f"{key}#speakers"


def _at(seconds: str) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)


class Ledger:
    """The job records. `redis` answers bytes (no decoding); what is personal goes through `vault`.

    `retention_days` bounds how long a finished record is kept, which is as long as its result at least.
    """

    def __init__(
        self, redis: Redis, vault: Vault, *, worker: str = "", retention_days: float | None = None
    ) -> None:
        self._redis = redis
        self._record_life = int(86400 * min(_RECORD_DAYS, retention_days or _RECORD_DAYS)) or 1
        self._vault = vault
        self._worker = worker
        folder = files("core") / "lua"
        prelude = (folder / "prelude.lua").read_text()
        self._scripts = {
            name: redis.register_script(prelude + (folder / f"{name}.lua").read_text()) for name in _SCRIPTS
        }

    async def submit(
        self, recording: Recording, lane: str, refusal: str = "", *, delay: float = 0.0
    ) -> tuple[bool, Ticket]:
        """Accept a share, or refuse it with a message that will be delivered. False: it is known already.
        It is taken up after `delay` seconds."""
        new, ticket = await self._run(
            "submit",
            job_id(recording.key),
            self._vault.seal(_recording.dump_json(recording)),
            recording.door,
            recording.policy.tenant,
            lane,
            self._seal_text(refusal),
            delay,
        )
        return bool(new), _ticket(ticket)

    async def begin(
        self, job: str, run: int, *, max_crashes: int, poison_message: str, tenant_jobs: int = 1000
    ) -> Claim | Literal["void", "undeliverable"] | list[Ticket]:
        """Claim run `run`. A list of tickets means that the crash budget is spent and a failure is owed.

        "void": there is nothing to do, or `tenant_jobs` jobs of the tenant are being worked on already; this
        one is in line then, and is called by the ticket that whoever frees a slot is given.
        """
        answer = await self._run(
            "begin",
            job,
            run,
            self._worker,
            max_crashes,
            self._record_life,
            self._seal_text(poison_message),
            tenant_jobs,
        )
        if answer[0] == b"void":
            return "void"
        if answer[0] == b"undeliverable":
            return "undeliverable"
        if answer[0] == b"poison":
            return [_ticket(row) for row in answer[1]]
        fields = await self._fields(job)
        outcome = fields.get("outcome")
        return Claim(
            job=self._job(job, fields),
            fence=int(answer[1]),
            state=JobState(fields["state"].decode()),
            tries=int(fields["tries"]),
            outcome=None if outcome is None else "transcript" if outcome == b"transcript" else "failure",
            result=fields["result"].decode() if "result" in fields else None,
            message=self._open_text(fields.get("message", b"")),
            submitted_at=_at(fields["submitted"].decode()),
        )

    async def beat(self, claim: Claim, stage: str = "", fraction: float | None = None) -> bool:
        """Say that the work goes on, and how far it is. False: the job was taken away or cancelled."""
        shown = "" if fraction is None else f"{fraction:.4f}"
        return bool(await self._run("beat", claim.job.id, claim.fence, stage, shown))

    async def lead(self, claim: Claim, result: str) -> tuple[Role, list[Ticket]]:
        """Decide who recognises the bytes behind `result`, so that it happens once at a time."""
        role, tickets = await self._run("lead", claim.job.id, claim.fence, result)
        return Role(role.decode()), [_ticket(row) for row in tickets]

    async def commit(
        self, claim: Claim, result: str, blob: bytes, *, life_seconds: float, budget_bytes: int
    ) -> list[Ticket] | Literal["void", "missing"]:
        """Store the result and owe its delivery to this job and to all that waited for it, in one step.

        An empty `blob` takes the result from the cache ("missing" if it is gone by now).
        """
        answer = await self._run(
            "commit", claim.job.id, claim.fence, result, blob, int(life_seconds * 1000), budget_bytes
        )
        if answer[0] == b"ok":
            return [_ticket(row) for row in answer[1]]
        return "missing" if answer[0] == b"missing" else "void"

    async def fail(self, claim: Claim, message: str) -> list[Ticket]:
        """Give up and owe the sharer `message`. Empty: the job was taken away."""
        return _tickets(await self._run("fail", claim.job.id, claim.fence, self._seal_text(message)))

    async def again(
        self, claim: Claim, delay: float, *, counts: bool = True, lane: str | None = None
    ) -> list[Ticket]:
        """Give the job back, to be taken up in `delay` seconds. Empty: it was taken away."""
        return _tickets(await self._run("again", claim.job.id, claim.fence, delay, int(counts), lane or ""))

    async def settle(self, claim: Claim, receipt: str, *, delivered: bool = True) -> bool:
        """End the job after its delivery, or after giving up on it. False: it was taken away."""
        return bool(
            await self._run("settle", claim.job.id, claim.fence, receipt, self._record_life, int(delivered))
        )

    async def cancel(self, job: str, claim: Claim | None = None) -> tuple[bool, list[Ticket]]:
        """Stop a job on a person's wish, or on that of whoever holds the newest `claim`. False: it was over,
        never was, or was taken away."""
        fence = "" if claim is None else str(claim.fence)
        done, tickets = await self._run("cancel", job, self._record_life, fence)
        return bool(done), [_ticket(row) for row in tickets]

    async def scrub(self, job: str) -> bool:
        """Take out of a finished record what it says of people: names, ids, where it was shared. False: it
        is under way, or unknown."""
        view = await self.view(job)
        if view is None:
            return False
        bare = replace(view.job.recording, name="", address="{}", shared_by=None, policy=Policy())
        return bool(await self._run("scrub", job, self._vault.seal(_recording.dump_json(bare))))

    async def overdue(self, silence_seconds: float) -> AsyncIterator[Ticket]:
        """Every ticket that the queue engine must know, recomputed from the records."""
        async for member, _ in self._redis.zscan_iter(f"{PREFIX}:open", count=500):
            row = await self._run("revive", member.decode(), silence_seconds)
            if row:
                yield _ticket(row)

    async def reissue(self, ticket: Ticket) -> Ticket | None:
        """A fresh ticket in place of one that the queue engine lost; None if the job moved on meanwhile."""
        row = await self._run("reissue", ticket.job_id, ticket.run)
        return _ticket(row) if row else None

    async def sweep(self) -> int:
        """Forget the book-keeping of expired results; the number forgotten."""
        return int(await self._run("sweep"))

    async def view(self, job: str) -> JobView | None:
        """The record of a job, None if there is none."""
        fields = await self._fields(job)
        if "recording" not in fields:
            return None
        fraction, finished = fields.get("fraction", b""), fields.get("finished")
        return JobView(
            job=self._job(job, fields),
            state=JobState(fields["state"].decode()),
            stage=fields["stage"].decode(),
            fraction=float(fraction) if fraction else None,
            message=self._open_text(fields.get("message", b"")),
            receipt=fields["receipt"].decode() if "receipt" in fields else None,
            submitted_at=_at(fields["submitted"].decode()),
            finished_at=_at(finished.decode()) if finished else None,
            result=fields["result"].decode() if "result" in fields else None,
        )

    async def open_jobs(self) -> list[str]:
        """The ids of the accepted jobs that are not over, oldest first."""
        members = cast("list[bytes]", await self._redis.zrange(f"{PREFIX}:open", 0, -1))
        return [member.decode() for member in members]

    async def open_count(self) -> int:
        """How many accepted jobs are not over."""
        count: int = await self._redis.zcard(f"{PREFIX}:open")
        return count

    async def _run(self, script: str, *arguments: Any) -> Any:
        return await self._scripts[script](keys=[PREFIX], args=arguments)

    async def _fields(self, job: str) -> dict[str, bytes]:
        raw = cast("dict[bytes, bytes]", await self._redis.hgetall(f"{PREFIX}:job:{job}"))
        return {name.decode(): value for name, value in raw.items()}

    def _job(self, job: str, fields: dict[str, bytes]) -> Job:
        return Job(
            id=job,
            recording=_recording.validate_json(self._vault.open(fields["recording"])),
            attempt=int(fields["attempts"]),
        )

    def _seal_text(self, text: str) -> bytes:
        return self._vault.seal(text.encode()) if text else b""

    def _open_text(self, blob: bytes) -> str:
        return self._vault.open(blob).decode() if blob else ""


def _ticket(row: Iterable[bytes]) -> Ticket:
    job, run, lane, due = (part.decode() for part in row)
    return Ticket(job_id=job, run=int(run), lane=lane, due=float(due))


def _tickets(answer: Any) -> list[Ticket]:
    return [_ticket(row) for row in answer[1]] if answer[0] == b"ok" else []
