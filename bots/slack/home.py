"""The app's home tab: what is being transcribed, and the latest transcripts that a person may see. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from bots.slack import parts
from bots.slack.parts import Block, View, paragraph, rich, words
from core import wording
from core.render.safe import isolate

_RUNNING: Final = 30
_RECENT: Final = 30
_PLACE: Final = 80

_ENDS: Final = {"done": "", "failed": "could not be transcribed", "stopped": "stopped"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A recording and how far it is. `place` is where it was shared, as people call it: `#design`.
    `permalink` leads to the answer. `progress`, 0..1, is how much is done while it is `working` (None:
    nothing yet)."""

    name: str
    place: str
    state: Literal["working", "done", "failed", "stopped"]
    when: datetime
    permalink: str | None = None
    progress: float | None = None


def home_view(entries: Sequence[Entry], *, me: str) -> View:
    """The home tab. `me` is what the app is called in Slack; `entries` come in any order."""
    newest = sorted(entries, key=lambda entry: entry.when, reverse=True)
    running = [entry for entry in newest if entry.state == "working"]
    recent = [entry for entry in newest if entry.state != "working"]
    blocks: list[Block] = []
    if running:
        blocks += [parts.header("In progress"), *_rows(running, _RUNNING)]
    if recent:
        blocks += [parts.header("Recent transcripts"), *_rows(recent, _RECENT)]
    if not entries:
        blocks += [parts.header("Nothing here yet")]
    return {"type": "home", "blocks": [*blocks, {"type": "divider"}, *how_to_start(me)]}


def how_to_start(me: str) -> list[Block]:
    """What to do to get a transcript."""
    name = isolate(parts.line(me, _PLACE) or "this app")
    lines = [
        f"Invite {name} to a channel: type /invite @{name} there. Or write to {name} directly.",
        "Share an audio or video file, or record a clip.",
        "The transcript comes as a reply to it, with who said what.",
    ]
    return [
        rich(
            paragraph(words("How to get a transcript", bold=True)),
            parts.bullets(*(paragraph(words(line)) for line in lines)),
        ),
        parts.context("Type /transcribe help in any channel for more."),
    ]


def row(entry: Entry) -> list[parts.Element]:
    """An entry as rich text."""
    elements = [parts.link(parts.title(entry.name), entry.permalink)]
    details = [wording.bar(entry.progress or 0)] if entry.state == "working" else [_ENDS[entry.state]]
    if place := parts.line(entry.place, _PLACE):
        details.insert(0, isolate(place))
    told = " · ".join(filter(None, details))
    return [*elements, words(f"\n{told} · " if told else "\n"), parts.moment(entry.when)]


def _rows(entries: Sequence[Entry], most: int) -> list[Block]:
    blocks = [rich(paragraph(*row(entry))) for entry in entries[:most]]
    if len(entries) > most:
        blocks.append(parts.context(f"and {len(entries) - most} more"))
    return blocks
