"""Accept or refuse a share: the one gate behind every front door."""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from core.errors import Transient
from core.jobs import LONG, SHORT, Queue
from core.ledger import Ledger, Ticket, follow_up_key
from core.ledger import job_id as id_of
from core.model import JobState, JobView, Recording, Transcript
from core.pipeline import is_long
from core.ports import Kept
from core.settings import Settings
from core.store import RedisStore
from core.telemetry import Metrics

logger = logging.getLogger(__name__)


def refusal(recording: Recording, settings: Settings) -> str:
    """Why this recording can't be accepted, for its sharer; empty if it can."""
    if recording.size is not None and recording.size > settings.max_bytes:
        return (
            f"This recording is {recording.size / 2**30:.1f} GB; the limit here is "
            f"{settings.max_bytes / 2**30:.1f} GB. Share it in parts, or as audio only."
        )
    return ""


class Intake:
    """`submit` is what adapters are given, and the `Jobs` port."""

    def __init__(
        self,
        ledger: Ledger,
        queue: Queue,
        store: RedisStore,
        settings: Settings,
        metrics: Metrics,
        *,
        kept: Kept | None = None,
    ) -> None:
        self._ledger = ledger
        self._queue = queue
        self._store = store
        self._settings = settings
        self._metrics = metrics
        self._kept = kept

    async def submit(self, recording: Recording) -> str:
        """Accept a share durably and return its job id; a known key is a no-op. See `core.ports.Submit`."""
        lane = LONG if is_long(recording, self._settings.long_seconds) else SHORT
        try:
            new, ticket = await self._ledger.submit(recording, lane, refusal(recording, self._settings))
            if new:
                await self._queue.enqueue([ticket])
                await self._record(recording, ticket)
        except (RedisError, OSError) as error:
            raise Transient("The store can't be reached, so nothing was accepted.") from error
        return ticket.job_id

    async def cancel(self, job_id: str) -> bool:
        """Stop a job on a person's wish. False: it was over."""
        done, tickets = await self._ledger.cancel(job_id)
        await self._queue.enqueue(tickets)
        if done:
            await self._store.audit("cancelled", {"job": job_id})
            if view := await self._ledger.view(job_id):
                self._metrics.job(view.job.recording.platform, JobState.CANCELLED)
        return done

    async def view(self, job_id: str) -> JobView | None:
        """See `core.ports.Jobs`."""
        return await self._ledger.view(job_id)

    async def transcript(self, job_id: str) -> Transcript | None:
        """See `core.ports.Jobs`."""
        view = await self._ledger.view(job_id)
        if view is None or view.result is None or view.state not in {JobState.DONE, JobState.DELIVERING}:
            return None
        return await self._store.transcript(view.result)

    async def forget(self, job_id: str) -> None:
        """See `core.ports.Jobs`."""
        view = await self._ledger.view(job_id)
        if view is None:
            return
        # First, or one that is under way would bring the transcript back.
        _, tickets = await self._ledger.cancel(id_of(follow_up_key(view.job.recording.key)))
        await self._queue.enqueue(tickets)
        if view.result is not None:
            transcript = await self._store.transcript(view.result)
            if transcript is not None and self._kept is not None:
                await self._kept.drop(transcript.content_key)
            await self._store.drop_result(view.result, lambda transcript: transcript)
            await self._store.audit("forgotten", {"job": job_id})
        await self._ledger.scrub(job_id)

    async def _record(self, recording: Recording, ticket: Ticket) -> None:
        logger.info("accepted %s from %s, lane %s", ticket.job_id, recording.platform, ticket.lane)
        self._metrics.job(recording.platform, JobState.QUEUED)
        facts = {"job": ticket.job_id, "platform": recording.platform, "door": recording.door}
        if recording.shared_by is not None:
            facts["shared_by"] = recording.shared_by
        await self._store.audit("accepted", facts)
