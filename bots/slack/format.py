"""What people see in a thread: one message per share, from "transcribing" to the result. Pure.

`Message.text` is what notifications show, `Message.blocks` what the conversation shows. See
`bots.slack.parts` for why nothing in them can mention or format.
"""

from __future__ import annotations

from typing import Final

from bots.slack import ids, parts
from bots.slack.notices import help_text, pointer, status_text
from bots.slack.parts import Element, Message, paragraph, rich, words
from bots.slack.results import (
    Shown,
    again_button,
    bold_name,
    headline,
    nothing_said,
    quoted,
    read_format,
    result,
)
from core.fitting import NAME
from core.model import Stage
from core.pace import overall
from core.render.safe import isolate
from core.wording import STAGES, about_left, bar, percent

__all__ = [
    "Message",
    "Shown",
    "accepted",
    "deleted",
    "elsewhere",
    "failed",
    "help_text",
    "is_short",
    "nothing_said",
    "pointer",
    "read_format",
    "refused",
    "result",
    "slack_own",
    "status_text",
    "stopped",
    "waiting",
    "working",
]

SLACKS_OWN: Final = 2_500
"""Characters of Slack's own transcript that an answer shows."""

_ELSEWHERE: Final = {"gdrive": "Google Drive", "dropbox": "Dropbox", "onedrive": "OneDrive", "box": "Box"}


# --- under way ---


def accepted(about: Shown) -> Message:
    """The first answer to a recording."""
    return Message(
        text=headline(f"Transcribing {quoted(about)}. The transcript will appear here."),
        blocks=[
            rich(
                paragraph(
                    words("Transcribing "),
                    bold_name(about),
                    words(". The transcript will appear here, in place of this."),
                )
            ),
            parts.actions(_stop(about)),
        ],
    )


def working(about: Shown, stage: Stage, fraction: float | None, left: float | None) -> Message:
    """How far it is: `fraction` of `stage` is done (None: unknown), and about `left` seconds remain (None:
    nobody can tell)."""
    told = [STAGES[stage]]
    done = None if fraction is None or stage is Stage.QUEUED else overall(stage, fraction)
    if done is not None:
        told.insert(0, bar(done))
    if left is not None and stage is not Stage.QUEUED:
        told.append(f"{about_left(left)} left")
    so_far = "" if done is None else f", {percent(done)}"
    return Message(
        text=headline(f"Transcribing {quoted(about)}: {STAGES[stage].lower()}{so_far}"),
        blocks=[
            rich(paragraph(words("Transcribing "), bold_name(about), words(f"\n{' · '.join(told)}"))),
            parts.actions(_stop(about)),
        ],
    )


def waiting(about: Shown, why: str) -> Message:
    """It goes on once somebody has mended what `why` says."""
    then = "Please tell whoever looks after this app. I try again by myself, for three days."
    return Message(
        text=headline(f"Waiting to transcribe {quoted(about)}. {parts.escape(why)} {then}"),
        blocks=[
            rich(paragraph(words("Waiting to transcribe "), bold_name(about), words(f"\n{why} {then}"))),
            parts.actions(_stop(about)),
        ],
    )


# --- instead of a result ---


def failed(about: Shown, message: str, *, again: bool) -> Message:
    """There is no transcript; `message` says why and what to do. `again`: other settings may help."""
    reason = parts.line(message, 2_000) or "Something went wrong. Please share it again."
    return Message(
        text=headline(f"Could not transcribe {quoted(about)}. {parts.escape(reason)}"),
        blocks=[
            rich(paragraph(words("Could not transcribe "), bold_name(about), words(f"\n{reason}"))),
            *([parts.actions(again_button(about))] if again else []),
        ],
    )


def refused(about: Shown, message: str) -> Message:
    """The recording can't be transcribed at all; `message` says why and what to do."""
    return failed(about, message, again=False)


def stopped(about: Shown, by: str | None) -> Message:
    """Somebody, called `by` if that is known, stopped it."""
    return Message(
        text=headline(f"The transcription of {quoted(about)} was stopped."),
        blocks=[
            rich(
                paragraph(words("The transcription of "), bold_name(about), words(f" was stopped{_by(by)}."))
            ),
            parts.actions(again_button(about)),
        ],
    )


def deleted(about: Shown, by: str | None) -> Message:
    """The transcript was deleted by somebody, or (None) because the recording was."""
    if by is None:
        text = "The recording was deleted, and its transcript with it."
        return Message(text=text, blocks=[rich(paragraph(words(text)))])
    return Message(
        text=headline(f"The transcript of {quoted(about)} was deleted."),
        blocks=[
            rich(paragraph(words("The transcript of "), bold_name(about), words(f" was deleted{_by(by)}.")))
        ],
    )


def elsewhere(about: Shown, kind: str) -> Message:
    """The recording is a link to a file at another service, to which nothing here has access. `kind` is
    Slack's `external_type`."""
    place = _ELSEWHERE.get(kind)
    at, how = (f"in {place}", f"to connect {place}") if place else ("on another website", "to connect that")
    return failed(
        about,
        f"The file itself is {at}, which this app can't open. Please download it there and share it here, or"
        f" ask whoever looks after this app {how}.",
        again=False,
    )


def slack_own(about: Shown, message: str, text: str, *, complete: bool, attached: bool = False) -> Message:
    """Recognition failed, as `message` says, but Slack has written a transcript of the clip, or (not
    `complete`) shows the beginning of one. `attached`: all of it is in a file in the thread."""
    reason = parts.line(message, 1_000)
    theirs = parts.line(text, SLACKS_OWN)
    if not theirs:
        return failed(about, message, again=True)
    whole = complete and is_short(text)
    what = "Slack's own transcript" if whole else "The beginning of Slack's own transcript"
    return Message(
        text=headline(f"Could not transcribe {quoted(about)}. {what} is shown instead."),
        blocks=[
            rich(
                paragraph(
                    words("Could not transcribe "),
                    bold_name(about),
                    *([words(f"\n{reason}")] if reason else []),
                )
            ),
            rich(
                paragraph(words(f"{what}", bold=True), words(", which does not tell speakers apart:")),
                parts.quote(words(theirs)),
            ),
            *([parts.context("All of it is in the file below.")] if attached else []),
            parts.actions(again_button(about)),
        ],
    )


def is_short(text: str) -> bool:
    """Whether all of Slack's own transcript fits into an answer."""
    return parts.line(text, SLACKS_OWN) == parts.line(text, 10 * len(text) + 10)


# --- pieces ---


def _stop(about: Shown) -> Element:
    return parts.button(
        "Stop",
        ids.STOP,
        about.share,
        confirm=parts.confirmation(
            "Stop transcribing?", "What was done so far is lost.", yes="Stop", no="Go on", danger=True
        ),
    )


def _by(person: str | None) -> str:
    name = parts.line(person or "", NAME)
    return f" by {isolate(name)}" if name else ""
