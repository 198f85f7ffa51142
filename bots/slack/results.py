"""The message that a share ends with, and the pieces that all messages about a share have in common. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bots.slack import ids, parts
from bots.slack.excerpt import conversation
from bots.slack.parts import Block, Element, Message, paragraph, rich, words
from core import summary
from core.excerpt import WHOLE, is_silent
from core.model import Transcript
from core.registry import FORMATS
from core.render import times
from core.render.layout import NO_SPEECH
from core.render.safe import shown
from core.summary import Ranking

_TEXT: Final = 800  # characters of a message's `text`: with four bytes each within chat.update's 4,000
_TROUBLE: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a message is about: the id that buttons send back for the share, and the recording's name."""

    share: str
    name: str


def result(
    about: Shown, transcript: Transcript, *, whole: int = WHOLE, files: bool = True, trouble: str = ""
) -> Message:
    """The transcript in short; all of it where its text has at most `whole` characters. `files`: it is also
    in files below; `trouble` says why it is not."""
    if is_silent(transcript):
        return nothing_said(about, transcript, trouble=trouble)
    people = summary.people(transcript)
    facts = summary.facts(transcript, people, parts.length)
    blocks = [
        parts.header(parts.title(about.name, 150)),
        parts.context(" · ".join(facts)),
        *_shares(summary.ranking(transcript, people)),
        *_notes(transcript),
    ]
    more = parts.context(summary.BELOW if files else summary.ONLY_BEGINNING)
    buttons = _actions(about, rename=any(share.speaker for share in people))
    below = [*_trouble(trouble), buttons]
    said, complete = conversation(
        transcript, whole, room=parts.HEAVIEST - parts.weight([*blocks, more, *below])
    )
    return Message(
        text=headline(f"Transcript of {quoted(about)} ({parts.escape(', '.join(facts))})"),
        blocks=[*blocks, *said, *([] if complete else [more]), *below],
    )


def nothing_said(about: Shown, transcript: Transcript, *, trouble: str = "") -> Message:
    """The result where nobody says a word. `trouble` as in `result`."""
    length = times.duration(transcript.seconds)
    return Message(
        text=headline(f"{NO_SPEECH} {quoted(about)} is {length} long."),
        blocks=[
            parts.header(parts.title(about.name, 150)),
            rich(
                paragraph(
                    words(NO_SPEECH, bold=True),
                    words(f" {summary.silence(transcript)}"),
                )
            ),
            *_notes(transcript),
            *_trouble(trouble),
            _actions(about, rename=False, formats=False),
        ],
    )


def read_format(value: str) -> tuple[str, str] | None:
    """Share and format that a choice under "Get as…" sends back; None if it is none of ours."""
    share, _, name = value.partition("/")
    return (share, name) if share and name in FORMATS else None


# --- pieces ---


def bold_name(about: Shown) -> Element:
    """The recording's name among other words of a conversation."""
    return words(parts.title(about.name), bold=True)


def quoted(about: Shown) -> str:
    """The recording's name for a message's `text`."""
    return parts.escape(parts.title(about.name))


def headline(text: str) -> str:
    """A message's `text`, not too long."""
    return parts.fit(text, _TEXT)


def again_button(about: Shown) -> Element:
    """Opens the form for another try."""
    return parts.button("Try again…", ids.RETRY, about.share)


def _delete_button(about: Shown) -> Element:
    return parts.button(
        "Delete",
        ids.DELETE,
        about.share,
        danger=True,
        confirm=parts.confirmation(
            "Delete this transcript?",
            "The text and its files disappear for everybody. The recording stays.",
            yes="Delete",
            no="Keep it",
            danger=True,
        ),
    )


def _actions(about: Shown, *, rename: bool, formats: bool = True) -> Block:
    elements = [again_button(about)]
    if rename:
        elements.insert(0, parts.button("Name the speakers", ids.RENAME, about.share))
    if formats:
        elements.append(parts.menu(ids.FORMAT, "Get as…", parts.format_options(f"{about.share}/")))
    return parts.actions(*elements, _delete_button(about))


def _shares(ranking: Ranking) -> list[Block]:
    """The list of speakers; none where there is nobody to compare or to name."""
    lines = [
        paragraph(
            words(parts.speaker(shown(share.speaker, {})), bold=True),
            words(f"  {share.shown_percent} · {times.duration(share.seconds)}"),
        )
        for share in ranking.most
    ]
    if ranking.rest:
        lines.append(paragraph(words(ranking.rest)))
    return [rich(parts.bullets(*lines))] if lines else []


def _trouble(text: str) -> list[Block]:
    said = parts.line(text, _TROUBLE)
    return [rich(paragraph(words("Note:", bold=True), words(f" {said}")))] if said else []


def _notes(transcript: Transcript) -> list[Block]:
    found = summary.notes(transcript, parts.length)
    return (
        [rich(*(paragraph(words(kind, bold=True), words(f" {text}")) for kind, text in found))]
        if found
        else []
    )
