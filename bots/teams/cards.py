"""What Adaptive Cards are made of, each piece as Teams takes and shows it. Pure.

Clients disagree about Markdown in `TextBlock` and about its escapes. Hence whatever people say and whatever
things are called goes into `TextRun`s, which have no markup, and nothing made here is a mention: Teams takes
`<at>` for one only beside an entity that names it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from core import fitting
from core.fitting import NAME
from core.render import times
from core.render.safe import clean, encodable, isolate

Card: TypeAlias = dict[str, Any]
Element: TypeAlias = dict[str, Any]
Action: TypeAlias = dict[str, Any]

ADAPTIVE: Final = "application/vnd.microsoft.card.adaptive"

HEAVIEST: Final = 72_000
"""Bytes of a card as `weight` counts them. Teams advises 80 KB for a whole message."""

TEXT: Final = 4_000
"""UTF-16 units of one piece of text."""

_SUMMARY: Final = 300
_URL: Final = 2_000
_BREAK: Final = "\u2060"  # a word joiner: nobody sees it


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message: its card, and the line that notifications and lists of chats show of it."""

    summary: str
    card: Card


def message(summary: str, *body: Element, actions: tuple[Action, ...] = (), wide: bool = False) -> Message:
    """A message with a card. `summary` may have strangers' text in it; `wide`: as broad as the window."""
    plain = harmless(fitting.fit(summary, _SUMMARY))
    return Message(summary=plain, card=card(*body, actions=actions, wide=wide) | {"fallbackText": plain})


def card(*body: Element, actions: tuple[Action, ...] = (), wide: bool = False) -> Card:
    """A card by itself, as dialogs and answers to buttons have it."""
    found: Card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.5",
        "body": list(body),
    }
    if actions:
        found["actions"] = list(actions)
    return found | ({"msteams": {"width": "Full"}} if wide else {})


def attachment(content: Card) -> dict[str, Any]:
    """A card as it stands in a message or a dialog."""
    return {"contentType": ADAPTIVE, "content": content}


def weight(part: Any) -> int:
    """Bytes of a card or of a piece of one, as Teams counts them: of its JSON in UTF-16."""
    return 2 * fitting.units(json.dumps(part, ensure_ascii=False, separators=(",", ":")))


# --- text ---


def title(name: str, limit: int = 150) -> str:
    """A recording's name, safe to stand among other words."""
    return isolate(fitting.line(name, limit - 2) or "Recording")


def speaker(name: str) -> str:
    """A person's name or label, safe to stand among other words."""
    return isolate(fitting.fit(name, NAME))


def harmless(text: str) -> str:
    """Text from a stranger for where it is not known how Teams reads it: what would be a tag, a character
    reference or a date to fill in looks the same but is none."""
    return _literal(clean(text).replace("<", f"<{_BREAK}").replace("&", f"&{_BREAK}"))


def run(
    text: str,
    *,
    bold: bool = False,
    subtle: bool = False,
    italic: bool = False,
    underline: bool = False,
    size: str = "",
    color: str = "",
) -> Element:
    """Text that is shown as it is; what clients would take for a date to fill in is no such thing."""
    found: Element = {"type": "TextRun", "text": _literal(fitting.fit(encodable(text), TEXT))}
    if bold:
        found["weight"] = "bolder"
    if subtle:
        found["isSubtle"] = True
    if italic:
        found["italic"] = True
    if underline:
        found["underline"] = True
    return found | ({"size": size} if size else {}) | ({"color": color} if color else {})


def _literal(text: str) -> str:
    return text.replace("{{", f"{{{_BREAK}{{")


def rich(*runs: Element, spacing: str = "", right: bool = False) -> Element:
    """A paragraph; `right`: at the right edge, as numbers are."""
    found: Element = {"type": "RichTextBlock", "inlines": list(runs)}
    if right:
        found["horizontalAlignment"] = "right"
    return found | ({"spacing": spacing} if spacing else {})


def heading(text: str) -> Element:
    """A large line that names what follows."""
    return rich(run(text, bold=True, size="large"))


def small(text: str, *, spacing: str = "none") -> Element:
    """A line in small grey letters."""
    return rich(run(text, subtle=True, size="small"), spacing=spacing)


def moment(at: datetime) -> Element:
    """A point in time, which each reader's client shows in its own time zone and language."""
    iso = times.utc(at).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "TextBlock",
        "text": f"{{{{DATE({iso}, SHORT)}}}}, {{{{TIME({iso})}}}}",
        "isSubtle": True,
        "size": "small",
        "wrap": True,
        "spacing": "none",
    }


# --- boxes ---


def box(*items: Element, style: str = "", spacing: str = "", separator: bool = False) -> Element:
    """Elements that belong together."""
    found: Element = {"type": "Container", "items": list(items)}
    if separator:
        found["separator"] = True
    return found | ({"style": style} if style else {}) | ({"spacing": spacing} if spacing else {})


def link(text: str, url: str) -> Element:
    """A line that opens `url`, or just the line if nothing safe is there. All clients open boxes that are
    pressed, but not all of them runs of text."""
    if not is_link(url):
        return box(rich(run(text)), spacing="small")
    opens = {"type": "Action.OpenUrl", "title": fitting.fit(clean(text), 100), "url": url}
    return box(rich(run(text, color="accent", underline=True)), spacing="small") | {"selectAction": opens}


def columns(*cells: tuple[str, Element], spacing: str = "small") -> Element:
    """Elements side by side, each with its width: `stretch`, `auto`, or as `70px`."""
    return {
        "type": "ColumnSet",
        "spacing": spacing,
        "columns": [{"type": "Column", "width": width, "items": [item]} for width, item in cells],
    }


# --- buttons ---


def execute(
    text: str, verb: str, data: Mapping[str, Any], *, inputs: bool = False, danger: bool = False
) -> Action:
    """A button that sends `verb` and `data`, with what was filled in if it has to do with `inputs`. Clients
    that don't know such buttons send a message instead, with the verb among the data."""
    found: Action = {
        "type": "Action.Execute",
        "title": text,
        "verb": verb,
        "data": dict(data),
        "associatedInputs": "Auto" if inputs else "None",
        "fallback": {"type": "Action.Submit", "title": text, "data": {**data, "verb": verb}},
    }
    return found | ({"style": "destructive"} if danger else {})


def opens(text: str, dialog: str, data: Mapping[str, Any]) -> Action:
    """A button that opens a dialog."""
    return {
        "type": "Action.Submit",
        "title": text,
        "associatedInputs": "None",
        "data": {**data, "dialog": dialog, "msteams": {"type": "task/fetch"}},
    }


def reveals(text: str, *body: Element, actions: tuple[Action, ...]) -> Action:
    """A button under which more appears."""
    return {"type": "Action.ShowCard", "title": text, "card": card(*body, actions=actions)}


def row(*actions: Action) -> Element:
    """Buttons among other elements."""
    return {"type": "ActionSet", "actions": list(actions)}


def goes_to(text: str, url: str) -> tuple[Action, ...]:
    """A button that opens `url`; none if that is not safe."""
    return ({"type": "Action.OpenUrl", "title": text, "url": url},) if is_link(url) else ()


def is_link(url: str) -> bool:
    """Whether `url` is one that people may be sent to."""
    if len(url) > _URL or not url.isascii() or any(character <= " " for character in url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname)
