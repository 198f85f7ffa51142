"""What one person reads who asked: how to use the app, what is going on, where a result is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bots.teams import cards, ids
from bots.teams.cards import Action, Element, Message, box, message, rich, run, small
from core.fitting import NAME, line
from core.policies import ChannelPolicy, Mode
from core.render.languages import language_names
from core.render.safe import isolate
from core.wording import FORMAT_NAMES, HERE, PURPOSE, bar

_SHOWN: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A recording under way, and how much is done, 0..1 (None: nothing yet)."""

    name: str
    when: datetime
    progress: float | None = None


def note(text: str) -> Message:
    """A sentence or two: ours, or an error's."""
    found = line(text, 2_000) or "Something went wrong. Please try again."
    return message(found, rich(run(found)))


def pointer(url: str | None, *, done: bool = True) -> Message:
    """Somebody asked for what was done already, or (not `done`) is being done. `url` leads there."""
    said = "This recording was transcribed already." if done else "This recording is being transcribed."
    to = "See the transcript" if done else "See how far it is"
    return message(said, rich(run(said)), actions=cards.goes_to(to, url or ""))


def help_text(policy: ChannelPolicy | None = None, *, me: str = "", personal: bool = False) -> Message:
    """How to use the app: in a conversation with this policy, if that is known, by the name `me`, if that is;
    `personal`: in a chat with the app alone."""
    name = isolate(line(me, NAME))
    mention = f"@{name}" if name else "me"
    intro = [PURPOSE]
    if policy is not None:
        intro.append(HERE[policy.mode])
    menu = [
        run("On any message with a recording: "),
        run("More options (…)", bold=True),
        run(", then "),
        run("Transcribe recording", bold=True),
    ]
    if personal:
        asking = [[run("Send me an audio or video file, or a link to one in OneDrive or SharePoint")], menu]
        before = ""
    else:
        asking = [
            menu,
            [run("With the recording, or in a reply to it: mention "), run(mention, bold=True)],
            [run("In the chat of a meeting, for its recording: mention "), run(mention, bold=True)],
        ]
        before = f"@{name} " if name else ""
    commands = [
        [run(f"{before}status", bold=True), run("  what is being transcribed here")],
        [run(f"{before}settings", bold=True), run("  what is transcribed here, and how")],
        [run(f"{before}stop", bold=True), run("  stop what is being transcribed here")],
        [run(f"{before}help", bold=True), run("  this text")],
    ]
    body = [rich(run(" ".join(intro)))]
    for title, rows in (("Ask for a transcript", asking), ("Write", commands)):
        body.append(rich(run(title, bold=True), spacing="medium"))
        body += [rich(run("•  "), *row, spacing="small") for row in rows]
    return message(" ".join(intro), *body, actions=(settings_button(),))


def status_text(entries: Sequence[Entry], policy: ChannelPolicy) -> Message:
    """How far the recordings of this conversation are, and what is transcribed in it, and how."""
    here = [HERE[policy.mode]]
    if policy.mode is not Mode.NEVER:
        spoken = line(language_names(policy.languages), 200)
        here.append(f"Languages: {spoken or 'found out by listening'}.")
        here.append(f"Files: {', '.join(FORMAT_NAMES.get(name, name) for name in policy.formats)}.")
    running = sorted(entries, key=lambda each: each.when)
    if running:
        state = f"In progress: {len(running)}"
    else:
        state = "" if policy.mode is Mode.NEVER else "Nothing is being transcribed right now."
    body = [rich(run(" ".join(here)))]
    if state:
        body.append(rich(run(state, bold=True), spacing="medium"))
    body += [_row(each) for each in running[:_SHOWN]]
    if len(running) > _SHOWN:
        body.append(small(f"and {len(running) - _SHOWN} more", spacing="small"))
    return message(state or " ".join(here), *body, actions=(settings_button(),))


def settings_button() -> Action:
    """Opens the settings of the conversation."""
    return cards.opens("Settings", ids.SETTINGS_DIALOG, {})


def _row(entry: Entry) -> Element:
    return box(
        rich(run(cards.title(entry.name), bold=True)),
        rich(run(bar(entry.progress or 0)), spacing="none"),
        cards.moment(entry.when),
        spacing="small",
    )
