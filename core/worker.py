"""What a worker does with a job: claim it, keep the claim alive, recognise or deliver, retry, give up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from redis.exceptions import RedisError

from core.doors import Doors
from core.errors import AuthFailed, ErniError, Misconfigured, Rejected, Transient
from core.jobs import LONG, Queue
from core.ledger import Claim, Ledger, Role
from core.model import Audio, JobState, Stage, Transcript
from core.pipeline import Listener, content_key_of, result_key, transcribe_file
from core.retrying import Again, GiveUp, decide, poison_message
from core.settings import Settings
from core.store import RedisStore, life_seconds, pack
from core.tasks import end
from core.telemetry import Metrics
from core.vault import Vault

logger = logging.getLogger(__name__)

_DELIVERY_TRIES = 30  # with backoff about six hours, so that an evening's outage loses nothing
_BEAT_SECONDS = 1.0
_COMMIT_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


class _MovedLane(Exception):
    """The recording is longer than its size promised."""


class _TakenAway(Exception):
    """Somebody else holds the job now, or it was cancelled: whatever we have is void."""


class Worker:
    """Handles the tickets of one lane. `listeners` are that lane's methods in order of preference."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        queue: Queue,
        store: RedisStore,
        doors: Doors,
        vault: Vault,
        settings: Settings,
        metrics: Metrics,
        work: Path,
        listeners: Sequence[Listener] = (),
        lane: str = "",
    ) -> None:
        self._ledger = ledger
        self._queue = queue
        self._store = store
        self._doors = doors
        self._vault = vault
        self._settings = settings
        self._metrics = metrics
        self._work = work
        self._listeners = listeners
        self._methods = tuple(listener.method for listener in listeners)
        self._lane = lane

    async def handle(self, job_id: str, run: int) -> None:
        """Do what run `run` of a job asks for. Raises only what nobody foresaw."""
        claim = await self._ledger.begin(
            job_id,
            run,
            max_crashes=self._settings.max_crashes,
            poison_message=poison_message(job_id),
            tenant_jobs=self._settings.tenant_jobs,
        )
        if claim == "void":
            return
        if claim == "undeliverable":
            logger.error("job %s ended its worker while delivering; given up", job_id)
            return
        if isinstance(claim, list):
            logger.error("job %s ended its worker too often; its sharer is told", job_id)
            await self._queue.enqueue(claim)
            return
        try:
            async with self._held(claim) as beat:
                self._metrics.job(claim.job.recording.platform, claim.state)
                if claim.state is JobState.DELIVERING:
                    await self._deliver(claim, beat)
                else:
                    await self._recognise(claim, beat)
        except _TakenAway:
            logger.info("job %s was taken away", job_id)
        except asyncio.CancelledError:
            # The service stops: the job goes back, with its attempt, to whoever comes next.
            await asyncio.shield(self._again(claim, 0, counts=False))
            raise

    @asynccontextmanager
    async def _held(self, claim: Claim) -> AsyncIterator[_Beat]:
        """Keep the claim alive while the body runs, and end the body when the claim is lost."""
        body = asyncio.current_task()
        beat = _Beat(self._ledger, claim, self._metrics)
        lost = False

        async def watch() -> None:
            nonlocal lost
            while True:
                with contextlib.suppress(RedisError, OSError):  # a short outage of the store costs no work
                    if not await beat.send() and not beat.leaving:
                        break
                await beat.wait(_BEAT_SECONDS)
            lost = True
            if body is not None:
                body.cancel()

        keeper = asyncio.create_task(watch(), name=f"beat {claim.job.id}")
        try:
            yield beat
        except asyncio.CancelledError:
            if lost and body is not None:
                body.uncancel()
                raise _TakenAway from None
            raise
        finally:
            beat.close()
            await end(keeper)

    # recognition

    async def _recognise(self, claim: Claim, beat: _Beat) -> None:
        directory = self._work / f"{claim.job.id}-{claim.fence}"
        directory.mkdir(mode=0o700)
        try:
            await self._transcribe(claim, beat, directory)
        except _TakenAway:
            raise
        except _MovedLane:
            logger.info("job %s is longer than it looked: moved to the long lane", claim.job.id)
            beat.leaving = True
            await self._again(claim, 0, counts=False, lane=LONG)
        except Exception as error:  # noqa: BLE001  (what to do about it is for `decide`)
            beat.leaving = True
            verdict = self._verdict(claim, error, self._settings.max_attempts, claim.job.attempt)
            if isinstance(verdict, Again):
                await self._again(claim, verdict.delay, counts=verdict.counts)
            else:
                await self._queue.enqueue(await self._ledger.fail(claim, verdict.message))
        finally:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def _transcribe(self, claim: Claim, beat: _Beat, directory: Path) -> None:
        recording = claim.job.recording
        source = directory / "source"
        known = await self._store.content_of(recording.content_key)
        if known is None:
            known = await self._fetched(claim, beat, source)
        key = result_key(known, recording.policy, self._methods_for(recording.policy.method))
        beat.leaving = True  # waiting for somebody else's result gives the claim back
        role, tickets = await self._ledger.lead(claim, key)
        beat.leaving = role is Role.WAIT
        match role:
            case Role.VOID:
                raise _TakenAway
            case Role.WAIT:
                await self._queue.enqueue(tickets)
                logger.info("job %s waits for another one with the same bytes", claim.job.id)
                return
            case Role.CACHED:
                if await self._commit(claim, beat, key, b"", life=0):
                    self._metrics.cache_hit()
                    return
        self._metrics.cache_miss()
        if not source.exists() and await self._fetched(claim, beat, source) != known:
            # A result is kept under the bytes that it was made from, never under what they were said to be.
            raise Transient("The recording changed while it was fetched.")

        async def decoded(audio: Audio) -> None:
            if self._lane != LONG and audio.seconds >= self._settings.long_seconds:
                raise _MovedLane

        started = time.monotonic()
        transcript = await transcribe_file(
            source,
            name=recording.name,
            content_key=known,
            policy=recording.policy,
            listeners=self._listeners_for(recording.policy.method),
            settings=self._settings,
            work=directory,
            progress=beat.progress,
            decoded=decoded,
            fell_back=self._metrics.fell_back,
        )
        self._metrics.recognised(transcript.engine, transcript.seconds, time.monotonic() - started)
        blob = await asyncio.to_thread(lambda: self._vault.seal(pack(transcript)))
        life = life_seconds(transcript, self._settings.retention_days)
        await self._commit(claim, beat, key, blob, life=life)
        logger.info(
            "job %s: %.0f s of audio recognised by %s", claim.job.id, transcript.seconds, transcript.engine
        )

    async def _fetched(self, claim: Claim, beat: _Beat, source: Path) -> str:
        recording = claim.job.recording
        beat.progress(Stage.FETCHING, None)
        await self._doors.fetch(recording, claim.job.id, source)
        size = source.stat().st_size
        if size > self._settings.max_bytes:
            raise Rejected("This recording is larger than the limit here. Share it in parts, or as audio.")
        known = await content_key_of(source)
        await self._store.learn_content(recording.content_key, known)
        await self._store.audit("fetched", {"job": claim.job.id, "bytes": str(size)})
        return known

    async def _commit(self, claim: Claim, beat: _Beat, key: str, blob: bytes, *, life: float) -> bool:
        """Make the result true. False: it was to come from the cache and is gone."""
        beat.leaving = True
        for pause in (*_COMMIT_PAUSES, None):
            try:
                tickets = await self._ledger.commit(
                    claim, key, blob, life_seconds=life, budget_bytes=self._settings.cache_bytes
                )
                break
            except (RedisError, OSError):
                # An hour of recognition is not thrown away because the store restarts.
                if pause is None:
                    raise
                await asyncio.sleep(pause)
        if tickets == "void":
            raise _TakenAway
        if tickets == "missing":
            beat.leaving = False
            return False
        await self._queue.enqueue(tickets)
        return True

    def _listeners_for(self, method: str | None) -> Sequence[Listener]:
        if method is None:
            return self._listeners
        wanted = [listener for listener in self._listeners if listener.method == method]
        if not wanted:
            raise Misconfigured(f"The method {method} was asked for but can't run here.")
        return wanted

    def _methods_for(self, method: str | None) -> tuple[str, ...]:
        return self._methods if method is None else (method,)

    # delivery

    async def _deliver(self, claim: Claim, beat: _Beat) -> None:
        beat.progress(Stage.DELIVERING, None)
        adapter = self._doors.adapters[claim.job.recording.door]
        try:
            if claim.outcome == "failure":
                receipt = await adapter.report_failure(claim.job, claim.message)
            else:
                receipt = await adapter.deliver(await self._result(claim), claim.job)
        except Exception as error:  # noqa: BLE001  (what to do about it is for `decide`)
            beat.leaving = True
            await self._not_delivered(claim, error)
            return
        beat.leaving = True
        await asyncio.shield(self._delivered(claim, receipt))

    async def _result(self, claim: Claim) -> Transcript:
        transcript = await self._store.transcript(claim.result or "")
        if transcript is None:
            raise RuntimeError("a pinned result is gone from the store")
        return transcript

    async def _delivered(self, claim: Claim, receipt: str) -> None:
        if not await self._ledger.settle(claim, receipt):
            return
        outcome, platform = claim.outcome or "", claim.job.recording.platform
        seconds = (datetime.now(UTC) - claim.submitted_at).total_seconds()
        logger.info("job %s answered with a %s after %.1f s", claim.job.id, outcome, seconds)
        self._metrics.delivered(platform, outcome, seconds)
        self._metrics.job(platform, JobState.DONE if outcome == "transcript" else JobState.FAILED)
        await self._store.audit("delivered", {"job": claim.job.id, "outcome": outcome})

    async def _not_delivered(self, claim: Claim, error: Exception) -> None:
        verdict = self._verdict(claim, error, _DELIVERY_TRIES, claim.tries)
        if isinstance(verdict, Again):
            await self._again(claim, verdict.delay, counts=verdict.counts)
        elif claim.outcome == "transcript" and isinstance(error, Rejected):
            # The transcript can't be put there; its sharer may still be told so.
            await self._queue.enqueue(await self._ledger.fail(claim, error.user_message))
        else:
            logger.error("job %s can't be answered and is given up", claim.job.id)
            await self._ledger.settle(claim, "{}", delivered=False)
            await self._store.audit("undeliverable", {"job": claim.job.id})

    # what goes wrong

    def _verdict(self, claim: Claim, error: Exception, budget: int, attempt: int) -> Again | GiveUp:
        age = (datetime.now(UTC) - claim.submitted_at).total_seconds()
        verdict = decide(error, job_id=claim.job.id, attempt=attempt, max_attempts=budget, age=age)
        foreseen = isinstance(error, ErniError)
        for_operator = isinstance(error, AuthFailed | Misconfigured)
        then = f"again in {verdict.delay:.0f} s" if isinstance(verdict, Again) else "given up"
        # What the operator must mend is said; what the sharer is told may name their file.
        detail = f": {error}" if for_operator or isinstance(error, Transient) else ""
        logger.log(
            _level(error),
            "job %s: %s in attempt %d, %s%s",
            *(claim.job.id, type(error).__name__, attempt, then, detail),
            exc_info=error if not foreseen else None,
        )
        kind = type(error).__name__ if foreseen else "Unexpected"
        self._metrics.failed(kind)
        if isinstance(verdict, Again):
            self._metrics.retried(kind)
        return verdict

    async def _again(self, claim: Claim, delay: float, *, counts: bool, lane: str | None = None) -> None:
        await self._queue.enqueue(await self._ledger.again(claim, delay, counts=counts, lane=lane))


def _level(error: Exception) -> int:
    """How loud: the sharer's matter is no news, a passing fault is a warning, the rest is the operator's."""
    if isinstance(error, Rejected):
        return logging.INFO
    return logging.WARNING if isinstance(error, Transient) else logging.ERROR


class _Beat:
    """Tells the record that the work goes on, and how far it is."""

    def __init__(self, ledger: Ledger, claim: Claim, metrics: Metrics) -> None:
        self._ledger = ledger
        self._claim = claim
        self._metrics = metrics
        self._measured = ExitStack()
        self._stage = ""
        self._fraction: float | None = None
        self._news = asyncio.Event()
        self.leaving = False
        """The body is giving the claim back itself, so losing it is no news."""

    def progress(self, stage: Stage, fraction: float | None) -> None:
        if stage != self._stage:
            self._news.set()
            self._measured.close()
            self._measured.enter_context(self._metrics.stage(stage))
        self._stage, self._fraction = stage, fraction

    async def send(self) -> bool:
        return await self._ledger.beat(self._claim, self._stage, self._fraction)

    def close(self) -> None:
        """The last stage is over."""
        self._measured.close()

    async def wait(self, longest: float) -> None:
        """Until the next stage begins, or `longest` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest):
                await self._news.wait()
        self._news.clear()
