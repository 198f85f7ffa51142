"""Cards as people use them: which buttons there are, and what they type in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.vendors.teams_cards import parts_of
from tests.vendors.teams_model import Json


class Missing(AssertionError):
    """The person does not see such a thing, or may not do that with it."""


def find_action(card: Json, wanted: str) -> Json:
    """The action with a title, id or verb, also one that shows when another is pressed or of an element."""
    found = [
        part
        for part in parts_of(card)
        if part["type"].startswith("Action.")
        and wanted in (part.get("id"), part.get("verb"), part.get("title"))
        and part.get("isEnabled", True)
    ]
    if not found:
        raise Missing(f"there is no action {wanted}, only {titles(card)}")
    if len(found) > 1:
        raise Missing(f"there are {len(found)} actions {wanted}")
    return found[0]


def titles(card: Json) -> list[str]:
    """What can be pressed, by title (or id, or verb)."""
    return [
        str(part.get("title") or part.get("id") or part.get("verb"))
        for part in parts_of(card)
        if part["type"].startswith("Action.")
    ]


def inputs(card: Json, action: Json | None = None) -> dict[str, Json]:
    """What can be filled in, by id; with an action, what is sent with it: the inputs of its card and of those
    that it is shown in."""
    if action is None:
        return {part["id"]: part for part in parts_of(card) if part["type"].startswith("Input.")}
    return next(
        (_own_inputs(cards) for cards in _chains(card) if any(p is action for p in _own(cards[-1]))), {}
    )


def _own_inputs(cards: list[Json]) -> dict[str, Json]:
    return {p["id"]: p for card in cards for p in _own(card) if p["type"].startswith("Input.")}


def _own(part: Any) -> Iterator[Json]:
    """What a card shows before anything is pressed."""
    hidden = [
        inner for p in parts_of(part) if p["type"] == "Action.ShowCard" for inner in parts_of(p["card"])
    ]
    return (p for p in parts_of(part) if not any(p is inner for inner in hidden))


def _chains(card: Json) -> Iterator[list[Json]]:
    """A card, and every card that is shown in it, each after those that it is in."""
    yield [card]
    for part in _own(card):
        if part["type"] == "Action.ShowCard":
            yield from ([card, *chain] for chain in _chains(part["card"]))


def filled(card: Json, action: Json, values: Mapping[str, Any]) -> Json:
    """What a client sends for the inputs of a card: its values over those that the card begins with.

    Choices are given by value or title, several as a list; toggles as True or False.
    """
    known = inputs(card, action)
    if unknown := set(values) - set(known):
        raise Missing(f"there are no fields {sorted(unknown)}, only {sorted(known)}")
    if action.get("associatedInputs") == "none":
        return {}
    sent: Json = {}
    for name, element in known.items():
        given = values.get(name, element.get("value"))
        text = _text(element, given)
        if text is None:
            if element.get("isRequired"):
                raise Missing(f"{name} must be filled in: {element.get('errorMessage')}")
            continue
        sent[name] = text
    return sent


def _text(element: Json, given: Any) -> Any:
    kind = element["type"]
    if kind == "Input.Toggle":
        on, off = element.get("valueOn", "true"), element.get("valueOff", "false")
        return on if given in (True, on) else off
    if given is None or given in ("", []):
        return None
    if kind == "Input.ChoiceSet":
        return ",".join(_chosen(element, given))
    if kind == "Input.Text" and len(str(given)) > element.get("maxLength", 10**6):
        raise Missing(f"{element['id']} takes {element['maxLength']} characters")
    if kind == "Input.Number" and not element.get("min", given) <= given <= element.get("max", given):
        raise Missing(f"{element['id']} is {element.get('min')} to {element.get('max')}")
    return given if kind == "Input.Number" else str(given)


def _chosen(element: Json, given: Any) -> Iterator[str]:
    several = element.get("isMultiSelect", False)
    if isinstance(given, list) and not several:
        raise Missing(f"{element['id']} takes one choice")
    by_name = {c["title"]: c["value"] for c in element["choices"]}
    values = set(by_name.values())
    for one in given if isinstance(given, list) else str(given).split(",") if several else [given]:
        if one not in values and one not in by_name:
            raise Missing(f"{one} is not a choice of {element['id']}: {sorted(by_name)}")
        yield one if one in values else by_name[one]
