"""The whole transcript in the conversation, by pages: who asks sees it in place of the result. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bots.teams import cards, ids, presses
from bots.teams.cards import Action, Card, Element, small
from bots.teams.excerpt import drawn
from bots.teams.results import Shown
from core.excerpt import Turn, is_named, paragraphs, turns
from core.fitting import units
from core.model import Transcript
from core.render import times
from core.render.words import cells

_COLUMNS: Final = 4_000  # of text on a page: about 600 words, or four minutes
_HEAVIEST: Final = 48_000  # bytes of what is said on a page
_OFFERED: Final = 60  # pages that can be chosen from


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What is said on one page, from `start` to the `start` of the next, in seconds."""

    start: float
    elements: tuple[Element, ...]


def cut(transcript: Transcript) -> list[Page]:
    """All pages; none where nobody says anything."""
    named = is_named(transcript)
    found: list[Page] = []
    elements: list[Element] = []
    start, wide, heavy = 0.0, 0, 0
    for turn, continued in _parts(transcript):
        said = list(drawn(turn, named=named and not continued))
        columns, weight = _columns(turn.said[0].text), cards.weight(said)
        if elements and (wide + columns > _COLUMNS or heavy + weight > _HEAVIEST):
            found.append(Page(start=start, elements=tuple(elements)))
            elements = []
        if not elements:
            start, wide, heavy = turn.said[0].start, 0, 0
            said = list(drawn(turn, named=named, continued=continued))
        elements += said
        wide += columns
        heavy += weight
    if elements:
        found.append(Page(start=start, elements=tuple(elements)))
    return found


def page(about: Shown, transcript: Transcript, number: int) -> Card:
    """A page by its number, from 1 on; the nearest one if there is no such page. Raises ValueError where
    nobody says anything."""
    pages = cut(transcript)
    if not pages:
        raise ValueError("There is nothing to show.")
    number = min(max(1, number), len(pages))
    shown = pages[number - 1]
    place = f"Page {number} of {len(pages)}, from {times.clock(shown.start)}"
    return cards.card(
        cards.heading(cards.title(about.name)),
        small(f"{place}. Only you see this."),
        cards.box(*shown.elements, separator=True, spacing="medium"),
        actions=_actions(about, pages, number),
        wide=True,
    )


def _parts(transcript: Transcript) -> Iterator[tuple[Turn, bool]]:
    """Turns of one paragraph each, and whether the same turn goes on."""
    for turn in turns(transcript):
        for place, said in enumerate(paragraphs(turn).said):
            yield Turn(name=turn.name, said=[said]), place > 0


def _columns(text: str) -> int:
    """How much of a page a paragraph takes."""
    return max(cells(text), units(text)) + 80


def _actions(about: Shown, pages: Sequence[Page], number: int) -> tuple[Action, ...]:
    data = {presses.SHARE: about.share}
    found: list[Action] = []
    if number > 1:
        found.append(cards.execute("Previous", ids.PAGE, {**data, presses.PAGE: number - 1}))
    if number < len(pages):
        found.append(cards.execute("Next", ids.PAGE, {**data, presses.PAGE: number + 1}))
    if len(pages) > 2:
        found.append(_go(data, pages, number))
    return (*found, cards.execute("Overview", ids.PAGE, {**data, presses.PAGE: 0}))


def _go(data: dict[str, str], pages: Sequence[Page], number: int) -> Action:
    step = -(-len(pages) // _OFFERED)
    numbers = sorted({*range(1, len(pages) + 1, step), number})
    choices = [
        {"title": f"Page {each}, from {times.clock(pages[each - 1].start)}", "value": str(each)}
        for each in numbers
    ]
    return cards.reveals(
        "Go to…",
        {
            "type": "Input.ChoiceSet",
            "id": presses.TO,
            "label": "Which page?",
            "style": "compact",
            "value": str(number),
            "choices": choices,
        },
        actions=(cards.execute("Go", ids.PAGE, {**data, presses.GO: True}, inputs=True),),
    )
