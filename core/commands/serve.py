"""`erni-audio serve` and `erni-audio worker`: the service, and more hands for it."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from core import app
from core.app import Announcement
from core.commands import exits
from core.commands.display import Bars, Lines, log_stream, make_display
from core.commands.jobs_shown import JobsShown
from core.commands.wording import draft_notice
from core.embedded import abandon
from core.methods import Choice
from core.ports import Adapter, Readiness, Welcome, Welcoming
from core.settings import Settings, load_settings
from core.state import State
from core.tasks import end
from core.telemetry import configure_logging

logger = logging.getLogger(__name__)

_GRACE_SECONDS = 45.0  # for giving jobs back, delivering what is ready and stopping Valkey

# `make` hands on a signal that the service got from its group too: no second wish to stop.
_SAME_SECONDS = 1.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def serve() -> None:
    """Run the service until it is stopped: its front doors (ERNI_ADAPTERS), its workers, and the HTTP server
    with /healthz (alive), /readyz (each part usable, or why not) and /metrics (Prometheus).

    Ctrl-C or SIGTERM stops it: nothing new is accepted, running work may finish for ERNI_DRAIN_SECONDS, and
    what does not is taken up again at the next start. Another Ctrl-C after a second ends it at once; that
    loses nothing either. In a terminal it shows a progress bar for each recording, elsewhere log lines.

    Exit codes: 0, stopped as asked; 2, it can't start, and why.
    """
    _run(front_doors=True)


def worker() -> None:
    """Work for a service that runs elsewhere: on the store at REDIS_URL, or on this machine with the same
    data directory. It recognises recordings; the service that accepted them answers them.

    It is stopped like `serve`. Exit codes: 0, stopped as asked; 2, it can't start, and why.
    """
    _run(front_doors=False)


def _run(*, front_doors: bool) -> None:
    settings = load_settings(Settings)
    display = make_display() if front_doors else Lines(sys.stderr)
    if isinstance(display, Bars):
        settings = exits.quiet_by_default(settings)
    with display:
        configure_logging(settings, stream=log_stream(display))
        asyncio.run(_serve(settings, display, front_doors=front_doors))
    raise typer.Exit(exits.OK)


async def _serve(settings: Settings, display: Bars | Lines, *, front_doors: bool) -> None:
    stop = asyncio.Event()
    _answer_signals(stop, settings, display)
    shown: list[asyncio.Task[None]] = []

    def announce(announcement: Announcement, state: State) -> None:
        if front_doors:
            with display.aside():
                lines = welcome(settings, announcement, for_log=not isinstance(display, Bars))
                sys.stdout.write("".join(f"{line}\n" for line in lines))
                sys.stdout.flush()
        if not isinstance(display, Bars):  # there they are shown
            for door, found in announcement.troubles.items():
                logger.warning("front door %s can't be used: %s", door, _why(found, for_log=True))
        for notice in notices(announcement.choice):
            if isinstance(display, Bars):
                display.say(notice)
            else:
                logger.warning("%s", notice)
        if isinstance(display, Bars):
            jobs = JobsShown(state, announcement.adapters.keys(), display)
            shown.append(asyncio.create_task(jobs.run(), name="jobs shown"))

    try:
        await app.serve(settings, stop=stop, front_doors=front_doors, announce=announce)
    finally:
        await end(*shown)


def _answer_signals(stop: asyncio.Event, settings: Settings, display: Bars | Lines) -> None:
    first = math.inf

    def answer(number: int) -> None:
        nonlocal first
        if stop.is_set():
            if loop.time() < first + _SAME_SECONDS:
                return
            if isinstance(display, Bars):
                display.close()
            leave(128 + number)
        stop.set()
        first = loop.time()
        if isinstance(display, Bars):
            display.say(
                f"Stopping. Running work may take {settings.drain_seconds:.0f} s more to finish; "
                "Ctrl-C again ends it now, and it is done at the next start."
            )

        # A store that is gone for good must not keep a stopping service for ever; nothing is lost by this.
        loop.call_later(settings.drain_seconds + _GRACE_SECONDS, leave, exits.TERMINATED)

    def leave(code: int) -> NoReturn:
        abandon()
        os._exit(code)  # as if killed: what it worked on is taken up again at the next start

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, answer, number)


def welcome(settings: Settings, announcement: Announcement, *, for_log: bool = False) -> tuple[str, ...]:
    """Three lines for who started the service: where to share, what happens then, how to see and stop it. For
    each door that can't be used there is one more, which says why; `for_log` without what people named."""
    troubles = announcement.troubles
    invitations = [
        _invitation(door, adapter) for door, adapter in announcement.adapters.items() if door not in troubles
    ]
    shares = [each.share for each in invitations]
    shares[1:] = [share[:1].lower() + share[1:] for share in shares[1:]]
    nowhere = "no front door can be used" if troubles else "ERNI_ADAPTERS opens no front door"
    where = ", or ".join(shares) or f"Nowhere yet: {nowhere}"
    answers = "; ".join(dict.fromkeys(each.answer for each in invitations))
    methods = announcement.choice.methods
    how = " or ".join(f"`{name}`" for name in methods[:2])
    if len(methods) > 2:
        how = f"`{methods[0]}` (if that fails, by one of {len(methods) - 1} others)"
    what = (
        f"It is transcribed by {how}, speaker by speaker"
        if how
        else "It waits until a recognition method can run (`erni-audio doctor` says why none can)"
    )
    host = settings.http_host
    host = f"[{host}]" if ":" in host else host
    address = f"http://{host}:{announcement.port}"
    return (
        f"{where}.",
        *(
            f"Front door {_platform(door)} can't be used now: {_why(found, for_log=for_log)}"
            for door, found in troubles.items()
        ),
        f"{what}; {answers}." if answers else f"{what}.",
        f"Running at {address} (/healthz, /readyz, /metrics). Ctrl-C stops it.",
    )


def _invitation(door: str, adapter: Adapter) -> Welcome:
    if isinstance(adapter, Welcoming):
        return adapter.welcome()
    return Welcome(share=f"Share a recording in {_platform(door)}", answer="the transcript comes back there")


def _platform(door: str) -> str:
    return door.partition("@")[0]


def _why(found: Readiness, *, for_log: bool) -> str:
    return (for_log and found.for_log) or f"{found.reason} {found.remedy}".rstrip()


def notices(choice: Choice) -> Sequence[str]:
    """What the operator should know about the method in use, and what to do about it."""
    if not choice.methods:
        return (f"No recognition method can run here. {' '.join(choice.notes)}",)
    return (draft_notice(choice),) if choice.draft else ()
