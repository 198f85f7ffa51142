"""`erni-audio jobs`: what is in progress, and a way to stop it."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from typing import Annotated

import typer
from prometheus_client import CollectorRegistry
from redis.exceptions import RedisError

from core.commands import exits
from core.errors import Misconfigured
from core.intake import Intake
from core.jobs import Queue
from core.model import JobView
from core.render.safe import clean
from core.settings import Settings, load_settings
from core.state import State, open_state
from core.telemetry import Metrics, configure_logging


def jobs(
    *,
    cancel: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Stop this job; may be given more than once.")
    ] = None,
) -> None:
    """List the recordings in progress: id, state, stage, how far, tries, name. With --cancel, stop some.

    A stopped recording gets no transcript and no message. The service of this data directory must be running,
    or REDIS_URL be set. Exit codes: 0; 1, a job to stop was over or unknown; 2, there is no service.
    """
    settings = exits.quiet_by_default(load_settings(Settings))
    configure_logging(settings)
    raise typer.Exit(exits.run_to_end(_jobs(settings, cancel or [])))


async def _jobs(settings: Settings, cancel: list[str]) -> int:
    async with open_state(settings, own=False) as state:
        try:
            if cancel:
                return await _cancel(settings, state, cancel)
            views = [view async for view in _open(state)]
            sys.stdout.writelines(line(view) + "\n" for view in views)
            if not views:
                sys.stderr.write("Nothing is in progress.\n")
        except RedisError as error:
            raise Misconfigured(f"The store does not answer: {type(error).__name__}.") from None
    return exits.OK


async def _open(state: State) -> AsyncIterator[JobView]:
    for job_id in await state.ledger.open_jobs():
        if view := await state.ledger.view(job_id):
            yield view


def line(view: JobView) -> str:
    """One job, for people: `ab12… running recognising 45% try 1 meeting.m4a`."""
    shown = "" if view.fraction is None else f" {view.fraction:.0%}"
    stage = f" {view.stage}{shown}" if view.stage != view.state else ""
    return f"{view.job.id} {view.state}{stage} try {view.job.attempt} {clean(view.job.recording.name)}"


async def _cancel(settings: Settings, state: State, cancel: list[str]) -> int:
    code = exits.OK
    async with Queue(
        state.url,
        state.ledger,
        redelivery_seconds=settings.redelivery_seconds,
        drain_seconds=0,
        worker=f"{state.node}-{os.getpid()}",
    ) as queue:
        intake = Intake(state.ledger, queue, state.store, settings, Metrics(CollectorRegistry()))
        for job_id in cancel:
            if not await intake.cancel(job_id):
                sys.stderr.write(f"erni-audio: {clean(job_id)} is not in progress.\n")
                code = exits.FAILED
    return code
