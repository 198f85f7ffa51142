"""Dialogs and their fields, and what people put into them. Pure.

Teams shows no complaints of ours by itself: a form that came back with mistakes is shown again, as it was
filled in, with each complaint over its field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from bots.teams import cards
from bots.teams.cards import Action, Card, Element, box, rich, run, small
from core.fitting import fit
from core.questions import Question

_TITLE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialog:
    """A window with a card in it."""

    title: str
    card: Card
    height: Literal["small", "medium", "large"] = "medium"


def task(dialog: Dialog) -> dict[str, Any]:
    """The `task` of an answer to an invoke that opens or goes on with a dialog."""
    value = {
        "title": dialog.title,
        "height": dialog.height,
        "width": "medium",
        "card": cards.attachment(dialog.card),
    }
    return {"type": "continue", "value": value}


def closing(text: str) -> dict[str, Any]:
    """The `task` of an answer that only says something."""
    return {"type": "message", "value": text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was filled in, by field."""

    data: Mapping[str, Any] = field(default_factory=dict)

    def written(self, name: str) -> str:
        """What was typed."""
        value = self.data.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""

    def chosen(self, name: str) -> str | None:
        """The value of the choice, None if there is none."""
        value = self.data.get(name)
        return value if isinstance(value, str) and value else None

    def all_chosen(self, name: str) -> tuple[str, ...]:
        """The values of the choices where there may be several."""
        return tuple(filter(None, (self.chosen(name) or "").split(",")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistakes:
    """A form that came back: what was filled in, and complaints by field."""

    sent: Mapping[str, Any]
    problems: Mapping[str, str]


def form(
    title: str,
    *body: Element,
    submit: str,
    data: Mapping[str, Any],
    height: Literal["small", "medium", "large"] = "medium",
) -> Dialog:
    """A dialog whose button sends `data` with what was filled in."""
    return Dialog(
        title=fit(title, _TITLE), card=cards.card(*body, actions=(send(submit, data),)), height=height
    )


def send(text: str, data: Mapping[str, Any]) -> Action:
    """The button that sends a form."""
    return {"type": "Action.Submit", "title": text, "data": dict(data)}


class Fields:
    """Makes the fields of a form, anew or after mistakes."""

    def __init__(self, mistakes: Mistakes | None) -> None:
        self._sent = None if mistakes is None else Sent(data=mistakes.sent)
        self._problems = {} if mistakes is None else mistakes.problems

    def text(self, question: Question, value: str, *, lines: bool = False, most: int = 300) -> Element:
        """A field to type in."""
        now = value if self._sent is None else self._sent.written(question.field)
        found: Element = {"type": "Input.Text", "maxLength": most}
        if question.placeholder:
            found["placeholder"] = question.placeholder
        if lines:
            found["isMultiline"] = True
        return self._framed(question, found | ({"value": fit(now, most)} if now else {}))

    def number(self, question: Question, value: int | None, *, low: int, high: int) -> Element:
        """A field for a whole number."""
        now = "" if value is None else str(value)
        if self._sent is not None:
            now = self._sent.written(question.field)
        found: Element = {
            "type": "Input.Number",
            "min": low,
            "max": high,
            "errorMessage": f"Please write a number from {low} to {high}, or nothing.",
        }
        known = now.isascii() and now.isdigit() and low <= int(now[:9]) <= high
        return self._framed(question, found | ({"value": int(now)} if known else {}))

    def choice(
        self,
        question: Question,
        options: Sequence[tuple[str, str]],
        value: str | None,
        *,
        open_: bool = False,
        required: bool = True,
    ) -> Element:
        """A field to choose one value in; `options` are values and what people read. `open_`: all are seen at
        once, for which what people read must be our own words."""
        now = value if self._sent is None else self._sent.chosen(question.field)
        style = "expanded" if open_ else "compact"
        found: Element = {"type": "Input.ChoiceSet", "style": style, "choices": _choices(options)}
        if open_:
            found["wrap"] = True
        if question.placeholder:
            found["placeholder"] = question.placeholder
        if required:
            found |= {"isRequired": True, "errorMessage": "Please choose one."}
        return self._framed(question, found | ({"value": now} if now in dict(options) else {}))

    def choices(
        self,
        question: Question,
        options: Sequence[tuple[str, str]],
        values: Sequence[str],
        *,
        required: bool = False,
    ) -> Element:
        """A field to choose several values in. What people read must be our own words."""
        now = values if self._sent is None else self._sent.all_chosen(question.field)
        chosen = [value for value, _ in options if value in now]
        found: Element = {
            "type": "Input.ChoiceSet",
            "style": "expanded",
            "isMultiSelect": True,
            "wrap": True,
            "choices": _choices(options),
        }
        if required:
            found |= {"isRequired": True, "errorMessage": "Please choose at least one."}
        return self._framed(question, found | ({"value": ",".join(chosen)} if chosen else {}))

    def _framed(self, question: Question, element: Element) -> Element:
        """A field between the complaint about it and what helps to fill it in."""
        items: list[Element] = []
        if problem := self._problems.get(question.field):
            items.append(rich(run(problem, color="attention", bold=True)))
        items.append({**element, "id": question.field, "label": question.label})
        if question.hint:
            items.append(small(question.hint, spacing="small"))
        return box(*items, spacing="medium")


def _choices(options: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"title": title, "value": value} for value, title in options]
