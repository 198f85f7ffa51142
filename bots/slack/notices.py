"""What one person reads who asked: how to use the app, what is going on, where a result is. Pure.

The `text` of these says all that their blocks do, for where only text is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bots.slack import parts
from bots.slack.home import Entry, row
from bots.slack.parts import Message, paragraph, rich, words
from core.fitting import NAME
from core.policies import ChannelPolicy, Mode
from core.render.languages import language_names
from core.render.safe import isolate
from core.wording import FORMAT_NAMES, HERE, PURPOSE, percent

LISTED: Final = 10
"""Recordings that `status_text` names."""


def pointer(permalink: str | None, *, done: bool = True) -> Message:
    """Somebody asked for what was done already, or (not `done`) is being done."""
    said = "This recording was transcribed already" if done else "This recording is being transcribed"
    if not permalink:
        return Message(text=f"{said}.", blocks=[rich(paragraph(words(f"{said}.")))])
    to = "See the transcript" if done else "See how far it is"
    return Message(
        text=parts.fit(f"{said}: {parts.escape(permalink)}", 800),
        blocks=[rich(paragraph(words(f"{said}. "), parts.link(to, permalink)))],
    )


def help_text(policy: ChannelPolicy | None = None, *, me: str = "") -> Message:
    """How to use the app: in a channel with this policy, if that is known, by the name `me`, if that is."""
    name = parts.line(me, NAME)
    mention = f"@{isolate(name)}" if name else "me"
    asking = [
        [
            words("On the message: "),
            words("More actions ⋮", bold=True),
            words(", then "),
            words("Transcribe recording", bold=True),
        ],
        [words("In a reply to it: mention "), words(mention, bold=True)],
        [words("With a link to the message or the file: "), words("/transcribe LINK", bold=True)],
    ]
    commands = [
        [words("/transcribe status", bold=True), words("  what is being transcribed in this channel")],
        [words("/transcribe settings", bold=True), words("  what is transcribed here, and how")],
        [words("/transcribe help", bold=True), words("  this text")],
    ]
    intro = [PURPOSE]
    if policy is not None:
        intro.append(HERE[policy.mode])
    where = f"I have to be in the channel: type /invite {mention if name else 'and my name'} there."
    lists = [("Ask for a transcript", asking), ("Commands", commands)]
    plain = [
        line
        for title, rows in lists
        for line in (f"{title}:", *("• " + "".join(s["text"] for s in row) for row in rows))
    ]
    return Message(
        text="\n".join(map(parts.escape, [" ".join(intro), *plain, where])),
        blocks=[
            rich(paragraph(words(" ".join(intro)))),
            *(
                rich(paragraph(words(title, bold=True)), parts.bullets(*(paragraph(*row) for row in rows)))
                for title, rows in lists
            ),
            parts.context(where),
        ],
    )


def status_text(entries: Sequence[Entry], policy: ChannelPolicy, *, more: int = 0) -> Message:
    """How far the recordings of this channel are, and what is transcribed in it, and how. `more` of them are
    in progress that are not among `entries`, and newer."""
    here = [HERE[policy.mode]]
    if policy.mode is not Mode.NEVER:
        spoken = parts.line(language_names(policy.languages), 200)
        here.append(f"Languages: {spoken or 'found out by listening'}.")
        formats = ", ".join(FORMAT_NAMES.get(name, name) for name in policy.formats)
        here.append(f"Files: {formats}.")
    running = sorted((each for each in entries if each.state == "working"), key=lambda each: each.when)
    if running:
        state = f"In progress: {len(running) + more}"
    else:
        state = "" if policy.mode is Mode.NEVER else "Nothing is being transcribed right now."
    shown, rest = running[:LISTED], len(running) + more - LISTED
    blocks = [rich(paragraph(words(" ".join(here))))]
    if state:
        blocks.append(rich(paragraph(words(state, bold=True))))
    blocks += [rich(paragraph(*row(each))) for each in shown]
    if rest > 0:
        blocks.append(parts.context(f"and {rest} more"))
    lines = [f"• {parts.title(each.name, 60)}, {percent(each.progress or 0)}" for each in shown]
    return Message(
        text="\n".join(map(parts.escape, filter(None, [" ".join(here), state, *lines]))), blocks=blocks
    )
