"""What a worker does with a job: claim it, keep the claim alive, recognise or deliver, retry, give up."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from redis.exceptions import RedisError

from core.beat import Beat, TakenAway, held
from core.doors import Doors
from core.errors import AuthFailed, ErniError, Misconfigured, Rejected, Transient
from core.hearing import Listener
from core.jobs import LONG, SHORT, Queue
from core.kept import release
from core.ledger import Claim, Ledger, Role, follow_up_key
from core.model import Audio, JobState, Recording, Stage, Transcript
from core.pipeline import content_key_of, is_long, result_key, transcribe_file
from core.retrying import Again, GiveUp, decide, poison_message
from core.settings import Settings
from core.store import RedisStore, life_seconds, pack
from core.studio import Studio
from core.telemetry import Metrics
from core.vault import Vault
from core.voices import Voices

logger = logging.getLogger(__name__)

_DELIVERY_TRIES = 30  # with backoff about six hours, so that an evening's outage loses nothing
_FOLLOW_TRIES = 20  # at telling speakers for a text that went out without: with backoff about four hours
_FOLLOW_DELAY = 60.0
_ALONE_SECONDS = 1800.0  # for which one job alone tells the speakers of some bytes
_COMMIT_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


class _MovedLane(Exception):
    """The recording is longer than its size promised."""


class _Pointless(Exception):
    """A follow-up has nothing to add any more."""


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
        studio: Studio,
        voices: Voices,
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
        self._studio = studio
        self._voices = voices
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
            async with held(self._ledger, claim, self._metrics) as beat:
                self._metrics.job(claim.job.recording.platform, claim.state)
                if claim.state is JobState.DELIVERING:
                    await self._deliver(claim, beat)
                else:
                    await self._recognise(claim, beat)
        except TakenAway:
            logger.info("job %s was taken away", job_id)
        except asyncio.CancelledError:
            # The service stops: the job goes back, with its attempt, to whoever comes next.
            await asyncio.shield(self._again(claim, 0, counts=False))
            raise

    # recognition

    async def _recognise(self, claim: Claim, beat: Beat) -> None:
        directory = self._work / f"{claim.job.id}-{claim.fence}"
        directory.mkdir(mode=0o700)
        follow = claim.job.recording.follows is not None
        try:
            await (self._follow_up if follow else self._transcribe)(claim, beat, directory)
        except TakenAway:
            raise
        except _Pointless:
            beat.leaving = True
            await self._drop(claim)
        except _MovedLane:
            logger.info("job %s is longer than it looked: moved to the long lane", claim.job.id)
            beat.leaving = True
            await self._again(claim, 0, counts=False, lane=LONG)
        except Exception as error:  # noqa: BLE001  (what to do about it is for `decide`)
            beat.leaving = True
            budget = _FOLLOW_TRIES if follow else self._settings.max_attempts
            verdict = self._verdict(claim, error, budget, claim.job.attempt)
            if isinstance(verdict, Again):
                # Nobody waits for a follow-up: what an operator must mend uses it up as well.
                counts = verdict.counts or (follow and isinstance(error, AuthFailed | Misconfigured))
                await self._again(claim, verdict.delay, counts=counts)
            elif follow:
                await self._drop(claim)
            else:
                await self._queue.enqueue(await self._ledger.fail(claim, verdict.message))
        finally:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def _transcribe(self, claim: Claim, beat: Beat, directory: Path) -> None:
        recording = claim.job.recording
        source = directory / "source"
        known = await self._store.content_of(recording.content_key)
        if known is None:
            known = await self._fetched(claim, beat, source)
        voices = await self._voices.fingerprint(recording.policy.workspace)
        key = result_key(known, recording.policy, self._methods_for(recording.policy.method), voices)
        beat.leaving = True  # waiting for somebody else's result gives the claim back
        role, tickets = await self._ledger.lead(claim, key)
        beat.leaving = role is Role.WAIT
        match role:
            case Role.VOID:
                raise TakenAway
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

        transcript = await self._recognised(claim, beat, directory, known)
        await self._keep(claim, beat, key, transcript)

    async def _follow_up(self, claim: Claim, beat: Beat, directory: Path) -> None:
        """Tell the speakers of a transcript that went out without them, and send it again."""
        key = claim.job.recording.follows or ""
        listeners = self._listeners_for(claim.job.recording.policy.method)
        transcript = await self._store.transcript(key)
        if transcript is None or not any(listener.diarizer for listener in listeners):
            raise _Pointless
        if transcript.unlabelled:
            if await self._fetched(claim, beat, directory / "source") != transcript.content_key:
                raise _Pointless
            if not await self._store.alone(f"speakers:{key}", claim.job.id, _ALONE_SECONDS):
                raise Transient("Another job tells the same speakers.", retry_after=_FOLLOW_DELAY)
            labelled = await self._recognised(claim, beat, directory, transcript.content_key, transcript)
            await self._keep(claim, beat, key, labelled)
        elif not await self._commit(claim, beat, key, b"", life=0):  # somebody else's follow-up did it
            raise _Pointless

    async def _recognised(
        self,
        claim: Claim,
        beat: Beat,
        directory: Path,
        known: str,
        unlabelled: Transcript | None = None,
    ) -> Transcript:
        recording = claim.job.recording

        async def decoded(audio: Audio) -> None:
            if self._lane != LONG and audio.seconds >= self._settings.long_seconds:
                raise _MovedLane

        started = time.monotonic()
        transcript, audio = await transcribe_file(
            directory / "source",
            name=recording.name,
            content_key=known,
            policy=recording.policy,
            listeners=self._listeners_for(recording.policy.method),
            settings=self._settings,
            studio=self._studio,
            work=directory,
            progress=beat.progress,
            decoded=decoded,
            fell_back=self._metrics.fell_back,
            unlabelled=unlabelled,
        )
        self._metrics.recognised(transcript.engine, transcript.seconds, time.monotonic() - started)
        return await self._voices.label(transcript, audio, recording.policy.workspace)

    async def _keep(self, claim: Claim, beat: Beat, key: str, transcript: Transcript) -> None:
        blob = await asyncio.to_thread(lambda: self._vault.seal(pack(transcript)))
        life = life_seconds(
            transcript, self._settings.retention_days, claim.job.recording.policy.retention_days
        )
        async with self._voices.derived(claim.job.recording.policy.workspace, transcript, key):
            await self._commit(claim, beat, key, blob, life=life)
        await release(self._studio.kept, transcript)
        logger.info(
            "job %s: %.0f s of audio recognised by %s", claim.job.id, transcript.seconds, transcript.engine
        )

    async def _drop(self, claim: Claim) -> None:
        """End a follow-up: its sharer has the text and is told nothing."""
        logger.info("job %s: the speakers are not added any more", claim.job.id)
        _, tickets = await self._ledger.cancel(claim.job.id, claim)
        await self._queue.enqueue(tickets)

    async def _fetched(self, claim: Claim, beat: Beat, source: Path) -> str:
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

    async def _commit(self, claim: Claim, beat: Beat, key: str, blob: bytes, *, life: float) -> bool:
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
            raise TakenAway
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

    async def _deliver(self, claim: Claim, beat: Beat) -> None:
        beat.progress(Stage.DELIVERING, None)
        adapter = self._doors.adapters[claim.job.recording.door]
        try:
            if claim.outcome == "failure" and claim.job.recording.follows is not None:
                receipt = "{}"  # the sharer has the text
            elif claim.outcome == "failure":
                receipt = await adapter.report_failure(claim.job, claim.message)
            else:
                transcript = await self._result(claim)
                receipt = await adapter.deliver(transcript, claim.job)
                if transcript.unlabelled and claim.job.recording.follows is None:
                    await self._order_follow_up(claim.job.recording, claim.result or "")
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

    async def _order_follow_up(self, recording: Recording, result: str) -> None:
        """Before the delivery is settled: a crash in between only orders it again, which is a no-op."""
        later = replace(recording, key=follow_up_key(recording.key), follows=result)
        lane = LONG if is_long(recording, self._settings.long_seconds) else SHORT
        _, ticket = await self._ledger.submit(later, lane, delay=_FOLLOW_DELAY)
        await self._queue.enqueue([ticket])

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
        elif (
            claim.outcome == "transcript"
            and isinstance(error, Rejected)
            and claim.job.recording.follows is None
        ):
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
