"""What Teams would show of a card or a dialog, as text to look at; and whether it takes it.

Bars stand for the edge of a card, brackets for what can be pressed, `»` for what is typed or chosen, `~` for
small or grey letters, `▎` for a coloured box, `!` for what is red.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bots.teams import ids
from bots.teams.cards import HEAVIEST, TEXT, Card, Element, Message, attachment, weight
from bots.teams.forms import Dialog, task
from bots.teams.presses import DIALOGS, VERBS
from core import questions, quotes
from core.fitting import units
from core.model import Word
from core.render.words import pieces, wrap
from core.wording import FORMAT_NAMES
from tests.vendors.teams_answers import read
from tests.vendors.teams_cards import parts_of, problems
from tests.vendors.teams_content import size_of

WIDTH = 78
MOST = 80_000  # bytes that Teams advises to stay within
SHOWN = {"RichTextBlock", "TextRun", "Container", "ColumnSet", "Column", "ActionSet", "AdaptiveCard"}
FILLED = {"Input.Text", "Input.Number", "Input.ChoiceSet"}
PRESSED = {"Action.Execute", "Action.Submit", "Action.OpenUrl", "Action.ShowCard"}
MOMENT = re.compile(r"\{\{DATE\([0-9TZ:-]+, SHORT\)\}\}, \{\{TIME\([0-9TZ:-]+\)\}\}")
MACRO = re.compile(r"\{\{(?:DATE|TIME)\(")
ANSWERING = {ids.TRANSCRIBE_DIALOG, ids.SETTINGS_DIALOG, ids.RENAME_DIALOG, ids.RETRY_DIALOG}
LABELS = {
    *(value.label for value in vars(questions).values() if isinstance(value, questions.Question)),
    *("Which recording?", "Which file would you like?", "Which page?"),
    *("Who is this?", "Or another name", quotes.APART),
}
OWN_CHOICES = {
    *FORMAT_NAMES.values(),
    *questions.EXTRA_NAMES.values(),
    *(
        f"{text} ({more})"
        for text, more in questions.modes("From the message's menu, or by mention").values()
    ),
}
BUTTONS = {
    *("Stop", "Try again…", "Name the speakers", "Show the whole transcript", "Get as…", "Get it"),
    *("Delete…", "Delete the transcript", "Previous", "Next", "Go to…", "Go", "Overview", "Settings"),
    *("See the transcript", "See how far it is", "Save", "Transcribe", "Transcribe again", "Add it here"),
}
ENVELOPE = {
    "type": "message",
    "channelId": "msteams",
    "serviceUrl": "https://smba.trafficmanager.net/emea/0d9b645f-597b-41f0-a2a3-ef103fbd91bb/",
    "id": "1611060744833",
    "from": {"id": "28:b1c1c68c-e290-4bdd-81c3-266f310751dc", "name": "Erni Audio", "role": "bot"},
    "conversation": {
        "id": "19:6decf54d86d945e4b3924b63a9161a78@thread.tacv2;messageid=1611060744833",
        "conversationType": "channel",
        "isGroup": True,
        "tenantId": "0d9b645f-597b-41f0-a2a3-ef103fbd91bb",
    },
    "recipient": {"id": "29:1aBjVi5MwCFfhPIV03E5uDdfpBFXp_2Yz-sjrvVg12oavg96cqpE", "name": "Ada " * 30},
    "attachmentLayout": "list",
}


def check_message(message: Message) -> None:
    """Raises if Teams could refuse the message or show it otherwise, or if something in it could mention or
    format."""
    assert message.summary.strip()
    assert units(message.summary) <= 700  # 300 and what makes it harmless
    assert not re.search(r"<[a-zA-Z/!]|&[#a-zA-Z]", message.summary)
    activity = ENVELOPE | {"summary": message.summary, "attachments": [attachment(message.card)]}
    assert size_of(activity) <= MOST
    check_card(message.card)


def check_card(card: Card) -> None:
    """The same for a card by itself."""
    assert problems(card) == []
    assert card["version"] == "1.5"
    assert weight(card) <= HEAVIEST
    assert_harmless(card)


def check_dialog(dialog: Dialog) -> None:
    """The same for a dialog."""
    assert read("task/fetch", {"task": task(dialog)}).dialog is not None
    assert units(dialog.title) <= 64
    check_card(dialog.card)


def assert_harmless(card: Card) -> None:
    """Nothing that people say or name things is parsed by a client: no Markdown, no mentions, no links but
    ours, no dates to fill in."""
    assert "entities" not in card.get("msteams", {})
    for part in parts_of(card):
        kind = part["type"]
        assert kind in SHOWN | FILLED | PRESSED | {"TextBlock"}
        if kind == "TextRun":
            assert part["text"]
            assert units(part["text"]) <= TEXT + TEXT // 2
            assert not MACRO.search(part["text"])
        if kind == "TextBlock":
            assert MOMENT.fullmatch(part["text"])
        if kind in FILLED:
            assert part["label"] in LABELS
        if kind == "Input.ChoiceSet":
            # Clients show these as buttons with Markdown beside them; other choices are plain text.
            if part.get("isMultiSelect") or part["style"] == "expanded":
                assert {choice["title"] for choice in part["choices"]} <= OWN_CHOICES
            assert all(choice["title"].strip() for choice in part["choices"])
        if kind == "Action.OpenUrl":
            assert part["url"].startswith("https://")
        elif kind in PRESSED:
            assert part["title"] in BUTTONS
        if kind == "Action.Execute":
            assert part["verb"] in VERBS
            assert part["fallback"]["data"] == part["data"] | {"verb": part["verb"]}
        if kind == "Action.Submit" and "dialog" in part["data"]:
            assert part["data"]["dialog"] in (DIALOGS if "msteams" in part["data"] else ANSWERING)


def texts(card: Any) -> list[str]:
    """Every text that a person can read, paragraph by paragraph."""
    return [
        "".join(each["text"] for each in part["inlines"])
        for part in parts_of(card)
        if part["type"] == "RichTextBlock"
    ]


def draw_message(message: Message) -> str:
    """The message as it looks in a conversation, after the line that a notification shows."""
    lines = [f"({line})" for line in _wrapped(message.summary)] + [""]
    return "\n".join(lines) + "\n" + draw_card(message.card)


def draw_card(card: Card) -> str:
    """The card."""
    return "".join(f"│ {line}".rstrip() + "\n" for line in _card(card))


def draw_dialog(dialog: Dialog) -> str:
    """The dialog."""
    top = f"┌─ {dialog.title} {'─' * (WIDTH - len(dialog.title))}\n"
    return f"{top}{draw_card(dialog.card)}└─ {dialog.height}\n"


def _card(card: Card) -> Iterator[str]:
    yield from _items(card["body"])
    if "actions" in card:
        yield ""
        yield from _buttons(card["actions"])


def _items(items: list[Element]) -> Iterator[str]:
    for place, item in enumerate(items):
        if item.get("separator"):
            yield "─" * WIDTH
        elif place and item.get("spacing") not in {"none", "small"}:
            yield ""
        yield from _item(item)


def _item(item: Element) -> Iterator[str]:
    match item["type"]:
        case "RichTextBlock":
            yield from _wrapped("".join(map(_run, item["inlines"])))
        case "TextBlock":
            yield f"~{item['text']}~"
        case "Container":
            mark = "▎ " if "style" in item else ""
            opens = f" → {item['selectAction']['url']}" if "selectAction" in item else ""
            yield from (f"{mark}{line}{opens}" for line in _items(item["items"]))
        case "ColumnSet":
            cells = [" ".join(_items(column["items"])) for column in item["columns"]]
            yield "  ".join(f"{cell:<4}" for cell in cells).rstrip()
        case "ActionSet":
            yield from _buttons(item["actions"])
        case _:
            yield from _field(item)


def _run(run: Element) -> str:
    text: str = run["text"]
    if run.get("weight") == "bolder":
        text = f"**{text}**"
    if run.get("underline"):
        text = f"_{text}_"
    if run.get("color") == "attention":
        text = f"! {text}"
    return f"~{text}~" if run.get("isSubtle") and text.strip() else text


def _buttons(actions: list[Element]) -> Iterator[str]:
    yield "  ".join(f"[{'!' if each.get('style') else ''}{each['title']}]" for each in actions)
    for each in actions:
        if each["type"] == "Action.ShowCard":
            yield f"    {each['title']} shows:"
            yield from (f"      {line}" for line in _card(each["card"]))
        elif each["type"] == "Action.OpenUrl":
            yield f"    {each['title']} → {each['url']}"
        elif dialog := each["data"].get("dialog"):
            yield f"    {each['title']} {'opens' if 'msteams' in each['data'] else 'answers'} {dialog}"
        elif "verb" in each:
            yield f"    {each['title']} sends {each['verb']} {each['data']}"


def _field(element: Element) -> Iterator[str]:
    yield element["label"] + (" *" if element.get("isRequired") else "")
    value = element.get("value")
    if element["type"] != "Input.ChoiceSet":
        empty = element.get("placeholder", "")
        yield from [f"  » {line}" for line in str(value).splitlines()] if value else [f"  [{empty:<30}]"]
        return
    chosen = value.split(",") if value and element.get("isMultiSelect") else [value]
    marks = ("☑", "☐") if element.get("isMultiSelect") else ("◉", "○")
    if element["style"] != "expanded":
        yield f"  [{element.get('placeholder', 'Choose')} ▾]"
        marks = ("  »", "   ")
    for choice in element["choices"]:
        yield f"  {marks[choice['value'] not in chosen]} {choice['title']}"


def _wrapped(text: str) -> list[str]:
    found = wrap(pieces([Word(start=0, end=0, text=text)], limit=WIDTH), WIDTH)
    return found or [""]
