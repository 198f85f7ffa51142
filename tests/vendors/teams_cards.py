"""What Teams takes as an Adaptive Card: the published schema, and the limits that it leaves out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator

Json = dict[str, Any]

MAX_VERSION = (1, 5)
MAX_ACTIONS = 6  # that a row shows; Teams drops the rest unless they say `mode: secondary`
MAX_REFRESHED = 60  # people whose card refreshes by itself
_ROOT_EXTRA = {"width", "entities", "allowExpand"}
_SUBMIT_TYPES = {"messageBack", "imBack", "invoke", "task/fetch", "signin"}
_BUTTONS = {"Action.Execute", "Action.OpenUrl", "Action.ShowCard", "Action.Submit", "Action.ToggleVisibility"}


@cache
def _definitions() -> Json:
    schema = json.loads(Path(__file__).with_name("teams_card_schema.json").read_text(encoding="utf-8"))
    definitions: Json = _strict(schema["definitions"])
    for name, definition in definitions.items():
        if name.startswith("ImplementationsOf."):
            definitions[name] = _by_type([one["allOf"][0]["$ref"] for one in definition["anyOf"]])
    return definitions


def _strict(part: Any) -> Any:
    """Enumerations without the patterns beside them, which take almost anything."""
    if isinstance(part, list):
        return [_strict(item) for item in part]
    if not isinstance(part, dict):
        return part
    options = part.get("anyOf")
    if isinstance(options, list) and len(options) == 2 and set(options[1]) == {"pattern"}:
        part = {k: v for k, v in part.items() if k != "anyOf"} | {"enum": options[0]["enum"]}
    return {key: _strict(value) for key, value in part.items()}


def _by_type(references: list[str]) -> Json:
    """A union that looks at `type` first, so that errors name what is wrong and nested unions stay fast."""
    names = [reference.rpartition("/")[2] for reference in references]
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": names}},
        "allOf": [
            {
                "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
                "then": {"$ref": reference},
            }
            for name, reference in zip(names, references, strict=True)
        ],
    }


@cache
def _validator() -> Draft7Validator:
    return Draft7Validator({"definitions": _definitions(), "$ref": "#/definitions/AdaptiveCard"})


def problems(card: Any) -> list[str]:
    """Everything for which Teams would not show a card as it is meant, empty if it is good."""
    if not isinstance(card, dict) or card.get("type") != "AdaptiveCard":
        return ["not an AdaptiveCard"]
    plain = {k: v for k, v in card.items() if k != "msteams"}
    found = [
        f"{'/'.join(map(str, error.absolute_path)) or 'card'}: {error.message[:200]}"
        for error in _validator().iter_errors(plain)
    ]
    if found:
        return found
    version = _version(str(card.get("version", "")))
    if not (1, 0) <= version <= MAX_VERSION:
        return [f"version must be 1.0 to 1.5, not {card.get('version')}"]
    return [*_root_problems(card), *_inner_problems(plain, version)]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")) if text.replace(".", "").isdecimal() else (0, 0)


def _root_problems(card: Json) -> Iterator[str]:
    extra = card.get("msteams", {})
    if set(extra) - _ROOT_EXTRA or extra.get("width", "Full") not in ("Full", "full"):
        yield f"unknown msteams settings {extra}"
    for entity in extra.get("entities", ()):
        if entity.get("type") != "mention" or not {"id", "name"} <= set(entity.get("mentioned", {})):
            yield f"not a mention: {entity}"
        elif entity.get("text") not in json.dumps(card.get("body", []), ensure_ascii=False):
            yield f"the text of the card does not have {entity.get('text')}"
    if len(card.get("refresh", {}).get("userIds", ())) > MAX_REFRESHED:
        yield f"at most {MAX_REFRESHED} people's cards refresh by themselves"
    parts = list(parts_of(card))
    for what, ids in (
        ("elements", [p["id"] for p in parts if "id" in p and p.get("type") not in _BUTTONS]),
        ("actions", [p["id"] for p in parts if "id" in p and p.get("type") in _BUTTONS]),
    ):
        yield from (f"two {what} have the id {name}" for name, n in Counter(ids).items() if n > 1)
    shown = {p["id"] for p in parts if "id" in p}
    for part in parts:
        for target in part.get("targetElements", ()):
            name = target if isinstance(target, str) else target["elementId"]
            if name not in shown:
                yield f"there is no element {name} to show or hide"


def parts_of(part: Any) -> Iterator[Json]:
    """Every element and action of a card, nested ones too; not what stands in for them elsewhere."""
    if isinstance(part, list):
        for item in part:
            yield from parts_of(item)
    elif isinstance(part, dict):
        if "type" in part:
            yield part
        for key, value in part.items():
            if key not in ("data", "fallback", "msteams"):
                yield from parts_of(value)


def _inner_problems(card: Json, version: tuple[int, ...]) -> Iterator[str]:
    for part in parts_of(card):
        kind = part["type"]
        yield from _too_new(part, version)
        rows = part.get("actions", ())
        if len([a for a in rows if a.get("mode", "primary") == "primary"]) > MAX_ACTIONS:
            yield f"{kind}: only {MAX_ACTIONS} actions are shown"
        for action in rows:
            if not (action.get("title") or action.get("iconUrl")):
                yield f"{action['type']}: a button without a title"
        if kind == "Action.OpenUrl" and not part["url"].startswith(("https://", "http://", "msteams:")):
            yield f"Action.OpenUrl: {part['url']} opens nothing"
        if kind in ("Action.Submit", "Action.Execute") and isinstance(part.get("data"), dict):
            yield from _data_problems(part["data"])
        if kind == "Input.ChoiceSet":
            yield from _choice_problems(part)
        if kind.startswith("Input.") and part.get("isRequired") and not part.get("errorMessage"):
            yield f"{part['id']}: a required input needs an errorMessage"


def _data_problems(data: Json) -> Iterator[str]:
    extra = data.get("msteams")
    if extra is None:
        return
    if not isinstance(extra, dict):
        yield "msteams must be an object"
    elif "type" in extra and extra["type"] not in _SUBMIT_TYPES:
        yield f"unknown msteams type {extra['type']}"


def _choice_problems(part: Json) -> Iterator[str]:
    values = [choice["value"] for choice in part.get("choices", ())]
    if not values:
        yield f"{part['id']}: there is nothing to choose"
    if len(set(values)) < len(values):
        yield f"{part['id']}: values of choices must differ"
    chosen = (
        part["value"].split(",") if part.get("isMultiSelect") and part.get("value") else [part.get("value")]
    )
    yield from (f"{part['id']}: {v} is not a choice" for v in chosen if v and v not in values)


def _too_new(part: Mapping[str, Any], version: tuple[int, ...]) -> Iterator[str]:
    """Elements and properties that came with a later version than the card declares."""
    definition = _definitions().get(part["type"])
    if definition is None:
        return
    if _version(definition.get("version", "1.0")) > version:
        yield f"{part['type']} needs version {definition['version']}"
    properties = _properties(definition)
    for name in part:
        since = properties.get(name, {}).get("version", "1.0")
        if _version(since) > version:
            yield f"{part['type']}.{name} needs version {since}"


def _properties(definition: Json) -> Json:
    own: Json = {k: v for k, v in definition.get("properties", {}).items() if v}
    for parent in definition.get("allOf", ()):
        if "$ref" in parent:
            own = _properties(_definitions()[parent["$ref"].rpartition("/")[2]]) | own
    return own
