"""The card that a share ends with, and the pieces that all cards about a share have in common. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bots.teams import cards, ids, presses
from bots.teams.cards import Action, Element, Message, box, message, rich, run, small
from bots.teams.excerpt import conversation
from core import summary
from core.excerpt import WHOLE, is_silent
from core.fitting import fit, line
from core.model import Transcript
from core.render import times
from core.render.layout import NO_SPEECH
from core.render.safe import shown
from core.summary import Ranking
from core.wording import offered_formats

FILES: Final = 12
"""Files that a card lists."""

_FILES_GO: Final = "The text and its files disappear for everybody. The recording stays."
_NOTHING_GOES: Final = "This message disappears for everybody. The recording stays."
_TEXT_GOES: Final = "The text disappears. The recording stays, and so do files in your OneDrive."
_SHORT: Final = 28_000  # bytes, as `bots.teams.cards.weight` counts them
_FEW: Final = 3  # files in a short card
_BOX: Final = 300  # bytes of what stands around the text itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a card is about: the id that buttons send back for the share, and the recording's name."""

    share: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A file of the transcript, and where it lies."""

    name: str
    url: str


def result(
    about: Shown,
    transcript: Transcript,
    *,
    files: Sequence[Link] = (),
    offered: bool = False,
    trouble: str = "",
    alone: bool = False,
    short: bool = False,
    whole: int = WHOLE,
) -> Message:
    """The transcript in short; all of it where its text has at most `whole` characters.

    `files` are those that lie somewhere; `offered`: others wait below to be accepted; `trouble` says why
    there are none, and what to do. `alone`: in a chat with the app alone, where people take the files into
    their OneDrive. `short`: for a Teams that takes much less than it promises.
    """
    if is_silent(transcript):
        return nothing_said(about, transcript)
    people = summary.people(transcript)
    facts = summary.facts(transcript, people)
    before = [
        cards.heading(cards.title(about.name)),
        small(" · ".join(facts)),
        *_shares(summary.ranking(transcript, people)),
        *_notes(transcript),
    ]
    after = _files(files, most=_FEW if short else FILES, offered=offered, trouble=trouble)
    actions = _actions(about, rename=any(share.speaker for share in people), alone=alone)
    more = [
        small("This is how it begins.", spacing="medium"),
        cards.row(cards.execute("Show the whole transcript", ids.PAGE, _first_page(about))),
    ]
    around = cards.weight(_card(about, facts, [*before, *more, *after], actions).card)
    heaviest, whole = (_SHORT, 0) if short else (cards.HEAVIEST, whole)
    said, complete = conversation(transcript, whole, room=heaviest - around - _BOX)
    text = box(*said, *([] if complete else more), separator=True, spacing="medium")
    return _card(about, facts, [*before, text, *after], actions)


def nothing_said(about: Shown, transcript: Transcript) -> Message:
    """The result where nobody says a word."""
    name = cards.title(about.name)
    return message(
        f"{NO_SPEECH} {name} is {times.duration(transcript.seconds)} long.",
        cards.heading(name),
        rich(run(NO_SPEECH, bold=True), run(f" {summary.silence(transcript)}"), spacing="small"),
        *_notes(transcript),
        actions=(again_button(about), _delete_button(about, _NOTHING_GOES)),
    )


# --- pieces ---


def again_button(about: Shown) -> Action:
    """Opens the form for another try."""
    return cards.opens("Try again…", ids.RETRY_DIALOG, {presses.SHARE: about.share})


def _card(
    about: Shown, facts: Sequence[str], body: Sequence[Element], actions: tuple[Action, ...]
) -> Message:
    told = f"Transcript of {cards.title(about.name)} ({', '.join(facts)})"
    return message(told, *body, actions=actions, wide=True)


def _first_page(about: Shown) -> dict[str, object]:
    return {presses.SHARE: about.share, presses.PAGE: 1}


def _actions(about: Shown, *, rename: bool, alone: bool) -> tuple[Action, ...]:
    names = cards.opens("Name the speakers", ids.RENAME_DIALOG, {presses.SHARE: about.share})
    delete = _delete_button(about, _TEXT_GOES if alone else _FILES_GO)
    rest = (again_button(about), _format_button(about), delete)
    return (names, *rest) if rename else rest


def _format_button(about: Shown) -> Action:
    choices = [{"title": name, "value": value} for value, name in offered_formats().items()]
    return cards.reveals(
        "Get as…",
        {
            "type": "Input.ChoiceSet",
            "id": presses.CHOICE,
            "label": "Which file would you like?",
            "style": "compact",
            "value": choices[0]["value"],
            "choices": choices,
        },
        actions=(cards.execute("Get it", ids.FORMAT, {presses.SHARE: about.share}, inputs=True),),
    )


def _delete_button(about: Shown, what: str) -> Action:
    return cards.reveals(
        "Delete…",
        rich(run("Delete this transcript?", bold=True)),
        rich(run(what), spacing="none"),
        actions=(
            cards.execute("Delete the transcript", ids.DELETE, {presses.SHARE: about.share}, danger=True),
        ),
    )


def _shares(ranking: Ranking) -> list[Element]:
    """The list of speakers; none where there is nobody to compare or to name."""
    rows = [
        cards.columns(
            ("45px", rich(run(share.shown_percent), right=True)),
            (
                "stretch",
                rich(
                    run(cards.speaker(shown(share.speaker, {})), bold=True),
                    run(f"  {times.duration(share.seconds)}", subtle=True),
                ),
            ),
        )
        for share in ranking.most
    ]
    if ranking.rest:
        rows.append(small(ranking.rest, spacing="small"))
    return [box(*rows, spacing="medium")] if rows else []


def _notes(transcript: Transcript) -> list[Element]:
    found = [
        rich(run(kind, bold=True), run(f" {text}"), spacing="small" if place else "")
        for place, (kind, text) in enumerate(summary.notes(transcript))
    ]
    return [box(*found, style="warning", spacing="medium")] if found else []


def _files(files: Sequence[Link], *, most: int, offered: bool, trouble: str) -> list[Element]:
    lines = [cards.link(fit(line(each.name, 120) or "File", 120), each.url) for each in files[:most]]
    if len(files) > most:
        lines.append(small(f"and {len(files) - most} more"))
    if offered:
        lines.append(small("Accept the files below to keep them in your OneDrive.", spacing="small"))
    if text := line(trouble, 500):
        lines.append(box(rich(run(text)), style="warning", spacing="small"))
    if not lines:
        return []
    title = [rich(run("Files", bold=True))] if files else []
    return [box(*title, *lines, separator=True, spacing="medium")]
