"""What Slack would show of a message, a modal or the home tab, as text to look at; and whether it takes it.

Bars stand for the edge of a message, brackets for what can be pressed, `»` for what is typed or chosen, `~`
for small grey letters.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from bots.slack import ids
from bots.slack.parts import HEAVIEST, Block, Element, Message, View
from core.model import Word
from core.render.words import pieces, wrap
from tests.vendors.slack_limits import check_message_blocks, check_updated_text, check_view

WIDTH = 78
BLOCKS = {"actions", "context", "divider", "header", "input", "rich_text"}
RICH = {"rich_text_section", "rich_text_quote", "rich_text_list"}
SPANS = {"text", "link", "date"}
ACTIONS = {ids.STOP, ids.RETRY, ids.FORMAT, ids.RENAME, ids.DELETE}


def check_message(message: Message) -> None:
    """Raises if Slack could refuse the message, or if something in it could mention or format."""
    check_updated_text(message.text)
    assert message.text.strip()
    assert "<" not in message.text
    assert ">" not in message.text
    check_message_blocks(message.blocks)
    assert len(json.dumps(message.blocks, ensure_ascii=False)) <= HEAVIEST
    assert_harmless(message.blocks)
    for block in message.blocks:
        for element in block["elements"] if block["type"] == "actions" else ():
            assert element["action_id"] in ACTIONS


def check_modal(view: View) -> None:
    """The same for a modal."""
    check_view(view, "modal")
    assert_harmless(view["blocks"])
    json.loads(view["private_metadata"])


def check_home(view: View) -> None:
    """The same for the home tab."""
    check_view(view, "home")
    assert_harmless(view["blocks"])


def assert_harmless(blocks: list[Block]) -> None:
    """Nothing is parsed by Slack: no markup, no mentions, no emoji codes, no links but ours."""
    assert {block["type"] for block in blocks} <= BLOCKS
    for part in _parts(blocks):
        kind = part.get("type")
        assert kind != "mrkdwn"
        assert kind not in {"user", "usergroup", "broadcast", "channel", "team", "emoji", "color"}
        if kind == "plain_text":
            assert part["emoji"] is False
            assert part["text"].strip()
        if kind == "rich_text":
            for element in part["elements"]:
                assert element["type"] in RICH
        if kind in {"rich_text_section", "rich_text_quote"}:
            assert {span["type"] for span in part["elements"]} <= SPANS
            assert all(span["text"] for span in part["elements"] if span["type"] == "text")
        if kind == "link":
            assert part["url"].startswith("https://")
            assert part["text"].strip()


def texts(shown: Any) -> list[str]:
    """Every text that a person can read."""
    return [part["text"] for part in _parts(shown) if isinstance(part.get("text"), str)]


def _parts(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from _parts(each)


def draw_message(message: Message) -> str:
    """The message as it looks in a thread, after the line that a notification shows."""
    lines = [f"({line})" for line in _wrapped(message.text)] + [""]
    for block in message.blocks:
        lines += [f"│ {line}".rstrip() for line in _block(block)]
    return "\n".join(lines) + "\n"


def draw_view(view: View) -> str:
    """The modal or home tab."""
    lines = []
    if view["type"] == "modal":
        lines += [f"┌─ {view['title']['text']} {'─' * (WIDTH - len(view['title']['text']))}", "│"]
    for block in view["blocks"]:
        lines += [f"│ {line}".rstrip() for line in [*_block(block), ""]]
    if view["type"] == "modal":
        buttons = [f"[{view[name]['text']}]" for name in ("close", "submit") if name in view]
        lines.append(f"└─ {' '.join(buttons)}")
    return "\n".join(lines) + "\n"


def _wrapped(text: str, width: int = WIDTH) -> list[str]:
    found: list[str] = []
    for line in text.split("\n"):
        lead = "  " if line.startswith("  ") else ""
        cut = wrap(pieces([Word(start=0, end=0, text=line)], limit=width), width)
        found += [lead + each for each in cut] or [""]
    return found


def _block(block: Block) -> list[str]:
    match block["type"]:
        case "divider":
            return ["─" * WIDTH]
        case "header":
            lines = _wrapped(block["text"]["text"])
            return [*lines, "═" * max(map(len, lines))]
        case "context":
            return [f"~ {line}" for each in block["elements"] for line in _wrapped(each["text"])]
        case "actions":
            return ["", "  ".join(map(_pressed, block["elements"])), *_asked(block["elements"])]
        case "rich_text":
            return ["", *(line for each in block["elements"] for line in _rich(each))]
        case "input":
            return list(_field(block))
    raise AssertionError(block["type"])


def _rich(element: Element) -> list[str]:
    match element["type"]:
        case "rich_text_list":
            return [
                ("• " if number == 0 else "  ") + line
                for item in element["elements"]
                for number, line in enumerate(_rich(item))
            ]
        case "rich_text_quote":
            return [f"▎ {line}" for line in _spans(element)]
    return _spans(element)


def _spans(element: Element) -> list[str]:
    text = ""
    for span in element["elements"]:
        match span["type"]:
            case "text":
                bold = span.get("style", {}).get("bold")
                text += f"**{span['text']}**" if bold else span["text"]
            case "link":
                text += f"{span['text']}→"
            case "date":
                text += f"{{{span['fallback']}}}"
    return _wrapped(text)


def _pressed(element: Element) -> str:
    if element["type"] == "button":
        mark = "!" if element.get("style") == "danger" else ""
        return f"[{mark}{element['text']['text']}]"
    return f"[{element['placeholder']['text']} ▾]"


def _asked(elements: list[Element]) -> Iterator[str]:
    for element in elements:
        if "confirm" in element:
            asks = element["confirm"]
            yield (
                f"    {element['text']['text']} asks: {asks['title']['text']} {asks['text']['text']}"
                f" [{asks['deny']['text']}] [{asks['confirm']['text']}]"
            )
        if "options" in element:
            yield f"    {element['placeholder']['text']} offers: " + ", ".join(
                each["text"]["text"] for each in element["options"]
            )


def _field(block: Block) -> Iterator[str]:
    element = block["element"]
    yield block["label"]["text"] + (" (optional)" if block.get("optional") else "")
    chosen = [*element.get("initial_options", ()), *filter(None, [element.get("initial_option")])]
    match element["type"]:
        case "plain_text_input" | "number_input":
            value = element.get("initial_value")
            empty = element.get("placeholder", {}).get("text", "")
            yield from textwrap.indent(value, "  » ").splitlines() if value else [f"  [{empty:<30}]"]
        case "users_select":
            yield f"  [{element['placeholder']['text']} ▾: anybody in the workspace]"
        case "radio_buttons" | "checkboxes":
            for option in element["options"]:
                mark = ("◉" if option in chosen else "○") if element["type"] == "radio_buttons" else None
                mark = mark or ("☑" if option in chosen else "☐")
                more = option.get("description", {}).get("text", "")
                yield f"  {mark} {option['text']['text']}" + (f" ({more})" if more else "")
        case _:
            yield f"  [{element['placeholder']['text']} ▾]"
            for group in element.get("option_groups", [{"options": element.get("options", ())}]):
                if "label" in group:
                    yield f"      {group['label']['text']}:"
                for option in group["options"]:
                    yield f"    {'»' if option in chosen else ' '} {option['text']['text']}"
    if "hint" in block:
        yield from (f"  ~ {line}" for line in _wrapped(block["hint"]["text"]))
