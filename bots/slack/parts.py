"""What messages, modals and the home tab are made of, each piece within Slack's limits. Pure.

Nothing made here is `mrkdwn`. What people say and what things are called goes into `plain_text` objects and
`text` elements of `rich_text`, which Slack shows as they are: it can't format, link or mention anything. Only
the `text` of a message, which notifications show, has markup; for that there is `escape`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from core import fitting
from core.fitting import NAME
from core.render import times
from core.render.safe import clean, isolate
from core.wording import offered_formats

Block: TypeAlias = dict[str, Any]
Element: TypeAlias = dict[str, Any]
View: TypeAlias = dict[str, Any]

OPTION: Final = 75
"""Characters of an option's text, and of its description."""
OPTION_VALUE: Final = 150
"""Characters of the value that comes back when an option is chosen."""
OPTIONS: Final = 100
"""Options of a list, or of one group in it."""

HEAVIEST: Final = 10_000
"""Characters of a message's blocks. Slack refuses messages of somewhat above 12,000, counted in a way that it
does not publish; see `weight`."""

_URL: Final = 3000
_LOOKALIKES: Final = str.maketrans({"*": "\u2217", "`": "\u02cb", "~": "\u223c"})
_EDGE_UNDERSCORE: Final = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_CALL: Final = re.compile(r"([@#])(?=\w)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message: `text` for notifications, in Slack's markup, and `blocks` for the conversation."""

    text: str
    blocks: list[Block]


def length(text: str) -> int:
    """How long `text` is, by the strictest way Slack may count: UTF-16 units, `&`, `<`, `>` as entities."""
    entities = 4 * text.count("&") + 3 * (text.count("<") + text.count(">"))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2 + entities


def fit(text: str, limit: int) -> str:
    """`text`, cut between characters as people see them so that its `length` is at most `limit`; what was cut
    ends in an ellipsis, after a whole word where one ends nearby."""
    return fitting.fit(text, limit, length)


def line(text: str, limit: int) -> str:
    """Text from a stranger on one line of at most `limit`; empty if nobody would see anything of it."""
    return fitting.line(text, limit, length)


def title(name: str, limit: int = 100) -> str:
    """A recording's name, safe to stand among other words."""
    return isolate(line(name, limit - 2) or "Recording")


def speaker(name: str) -> str:
    """A speaker's name or label, safe to stand among other words."""
    return isolate(fit(name, NAME))


def escape(text: str) -> str:
    """Text from a stranger for the `text` of a message. `<!channel>` and its like become harmless; what would
    be bold or a call for somebody is replaced by what looks the same."""
    text = _EDGE_UNDERSCORE.sub("\u02cd", clean(text)).translate(_LOOKALIKES)
    text = _CALL.sub("\\1\u2060", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def weight(blocks: Sequence[Block]) -> int:
    """How much a message weighs by the strictest way Slack may count; see `HEAVIEST`."""
    return length(json.dumps(blocks, ensure_ascii=False))


# --- text ---


def plain(text: str, limit: int = 3000) -> Element:
    """A `plain_text` object."""
    return {"type": "plain_text", "text": fit(text, limit), "emoji": False}


def words(text: str, *, bold: bool = False) -> Element:
    """Text within rich text."""
    return {"type": "text", "text": text} | ({"style": {"bold": True}} if bold else {})


def link(text: str, url: str | None) -> Element:
    """A link within rich text; bold text where there is no address that can be linked to."""
    if url is None or not url.startswith("https://") or length(url) > _URL:
        return words(text, bold=True)
    return {"type": "link", "url": url, "text": text}


def moment(at: datetime) -> Element:
    """A point in time within rich text, which Slack shows in each reader's own time zone."""
    return {
        "type": "date",
        "timestamp": int(times.utc(at).timestamp()),
        "format": "{date_short_pretty} at {time}",
        "fallback": times.date(at),
    }


def paragraph(*elements: Element) -> Element:
    """A paragraph of rich text."""
    return {"type": "rich_text_section", "elements": list(elements)}


def quote(*elements: Element) -> Element:
    """What somebody said, with a bar in front."""
    return {"type": "rich_text_quote", "elements": list(elements)}


def bullets(*paragraphs: Element) -> Element:
    """A list."""
    return {"type": "rich_text_list", "style": "bullet", "elements": list(paragraphs)}


# --- blocks ---


def rich(*parts: Element) -> Block:
    """A block of paragraphs, quotes and lists."""
    return {"type": "rich_text", "elements": list(parts)}


def header(text: str) -> Block:
    """A large heading."""
    return {"type": "header", "text": plain(text, 150)}


def context(text: str) -> Block:
    """A line in small grey letters."""
    return {"type": "context", "elements": [plain(text, 2000)]}


def actions(*elements: Element) -> Block:
    """A row of buttons and menus."""
    return {"type": "actions", "elements": list(elements)}


def button(
    text: str, action: str, value: str, *, danger: bool = False, confirm: Element | None = None
) -> Element:
    """A button that sends `value` back."""
    found: Element = {"type": "button", "action_id": action, "text": plain(text, OPTION), "value": value}
    if danger:
        found["style"] = "danger"
    if confirm:
        found["confirm"] = confirm
    return found


def confirmation(question: str, text: str, *, yes: str, no: str, danger: bool = False) -> Element:
    """The dialog that asks again before a button does something."""
    found: Element = {
        "title": plain(question, 100),
        "text": plain(text, 300),
        "confirm": plain(yes, 30),
        "deny": plain(no, 30),
    }
    return found | ({"style": "danger"} if danger else {})


def option(text: str, value: str, description: str = "") -> Element:
    """Something to choose."""
    found: Element = {"text": plain(text, OPTION), "value": value}
    return found | ({"description": plain(description, OPTION)} if description else {})


def menu(
    action: str,
    placeholder: str,
    options: Sequence[Element] = (),
    *,
    groups: Sequence[tuple[str, Sequence[Element]]] = (),
    initial: str | None = None,
) -> Element:
    """A list to choose one from, plain or in groups with a heading; groups without options are left out.
    `initial` is the value that is chosen already."""
    found: Element = {"type": "static_select", "action_id": action, "placeholder": plain(placeholder, 150)}
    if groups:
        found["option_groups"] = [
            {"label": plain(label, OPTION), "options": list(entries[:OPTIONS])}
            for label, entries in groups
            if entries
        ]
    else:
        found["options"] = list(options[:OPTIONS])
    chosen = [each for each in options if each["value"] == initial]
    return found | ({"initial_option": chosen[0]} if chosen else {})


def format_options(prefix: str = "") -> list[Element]:
    """All formats to choose from; their values are their names after `prefix`."""
    return [option(shown, prefix + name) for name, shown in offered_formats().items()]
