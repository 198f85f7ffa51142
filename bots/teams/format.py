"""What people see of a recording: one card per share, from "transcribing" to the result. Pure.

`Message.summary` is what notifications show, `Message.card` what the conversation shows. See
`bots.teams.cards` for why nothing in them can mention or format.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from bots.teams import cards, ids
from bots.teams.cards import Action, Message, message, rich, run, small
from bots.teams.notices import help_text, pointer, status_text
from bots.teams.pages import page
from bots.teams.results import Link, Shown, again_button, nothing_said, result
from core.fitting import NAME, line
from core.model import Stage
from core.pace import overall
from core.render.safe import isolate
from core.wording import STAGES, about_left, bar, percent

__all__ = [
    "Link",
    "Message",
    "Shown",
    "accepted",
    "deleted",
    "elsewhere",
    "failed",
    "help_text",
    "nothing_said",
    "page",
    "pointer",
    "refused",
    "result",
    "status_text",
    "stopped",
    "working",
]

_NEWER: Final = "If nothing changes here for some minutes, look for a newer message about it below."
"""It may have been posted twice, and only the newer one is known then (see `bots.teams.answers`)."""

_ELSEWHERE: Final = {
    "google.com": "Google Drive",
    "dropbox.com": "Dropbox",
    "box.com": "Box",
    "sharefile.com": "ShareFile",
    "egnyte.com": "Egnyte",
}


# --- under way ---


def accepted(about: Shown, *, again: bool = False) -> Message:
    """The first answer to a recording, or (`again`) what takes the place of an answer that is there."""
    name = cards.title(about.name)
    return message(
        f"Transcribing {name}. The transcript will appear here.",
        rich(
            run("Transcribing "),
            run(name, bold=True),
            run(". The transcript will appear here, in place of this."),
        ),
        *(() if again else (small(_NEWER, spacing="small"),)),
        actions=(_stop(about),),
    )


def working(about: Shown, stage: Stage, fraction: float | None, left: float | None) -> Message:
    """How far it is: `fraction` of `stage` is done (None: unknown), and about `left` seconds remain (None:
    nobody can tell)."""
    name = cards.title(about.name)
    told = [STAGES[stage]]
    done = None if fraction is None or stage is Stage.QUEUED else overall(stage, fraction)
    if done is not None:
        told.insert(0, bar(done))
    if left is not None and stage is not Stage.QUEUED:
        told.append(f"{about_left(left)} left")
    so_far = "" if done is None else f", {percent(done)}"
    return message(
        f"Transcribing {name}: {STAGES[stage].lower()}{so_far}",
        rich(run("Transcribing "), run(name, bold=True)),
        rich(run(" · ".join(told)), spacing="small"),
        actions=(_stop(about),),
    )


# --- instead of a result ---


def failed(about: Shown, why: str, *, again: bool) -> Message:
    """There is no transcript; `why` says what happened and what to do. `again`: other settings may help."""
    name = cards.title(about.name)
    reason = line(why, 2_000) or "Something went wrong. Please share it again."
    return message(
        f"Could not transcribe {name}. {reason}",
        rich(run("Could not transcribe "), run(name, bold=True)),
        rich(run(reason), spacing="small"),
        actions=(again_button(about),) if again else (),
    )


def refused(about: Shown, why: str) -> Message:
    """The recording can't be transcribed at all; `why` says what is wrong and what to do."""
    return failed(about, why, again=False)


def stopped(about: Shown, by: str | None) -> Message:
    """Somebody, called `by` if that is known, stopped it."""
    name = cards.title(about.name)
    return message(
        f"The transcription of {name} was stopped.",
        rich(run("The transcription of "), run(name, bold=True), run(f" was stopped{_by(by)}.")),
        actions=(again_button(about),),
    )


def deleted(about: Shown, by: str | None) -> Message:
    """The transcript was deleted by somebody, or (None) because the recording was."""
    if by is None:
        text = "The recording was deleted, and its transcript with it."
        return message(text, rich(run(text)))
    name = cards.title(about.name)
    return message(
        f"The transcript of {name} was deleted.",
        rich(run("The transcript of "), run(name, bold=True), run(f" was deleted{_by(by)}.")),
    )


def elsewhere(about: Shown, url: str) -> Message:
    """The recording is a link to a file at another service, to which nothing here has access."""
    place = _place(url)
    at, how = (f"in {place}", f"to connect {place}") if place else ("on another website", "to connect that")
    return failed(
        about,
        f"The file itself is {at}, which this app can't open. Please download it there and share it here, or"
        f" ask whoever looks after this app {how}.",
        again=False,
    )


# --- pieces ---


def _stop(about: Shown) -> Action:
    """At once, without asking: the card is changed every few seconds, which would close the question; and
    whoever stopped it by mistake can try again."""
    return cards.execute("Stop", ids.STOP, {"share": about.share})


def _by(person: str | None) -> str:
    name = line(person or "", NAME)
    return f" by {isolate(name)}" if name else ""


def _place(url: str) -> str:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return next((name for end, name in _ELSEWHERE.items() if f".{host}".endswith(f".{end}")), "")
