"""Drive's own description of itself, as the official client library ships it: methods, fields, masks.

What the local Drive answers is checked against it, and a mask ("fields") may name only what is in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import googleapiclient

from tests.vendors.gdrive_model import Json, Refused

Mask: TypeAlias = "dict[str, Mask] | None"
"""Which fields are wanted; None: all of them."""

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
}
_CHECKED = 5  # of a long list, only so many are checked
COMMON = frozenset({"alt", "fields", "key", "prettyPrint", "quotaUser", "uploadType"})
"""Parameters of every method."""


@cache
def discovery() -> Json:
    """The description of Drive v3."""
    path = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents" / "drive.v3.json"
    described: Json = json.loads(path.read_text(encoding="utf-8"))
    return described


@cache
def methods() -> Mapping[str, Json]:
    """The description of every method, by names such as "files.list"."""
    found: dict[str, Json] = {}
    for resource in discovery()["resources"].values():
        for method in resource["methods"].values():
            found[method["id"].removeprefix("drive.")] = method
    return found


def schema(name: str) -> Json:
    """The fields of a resource, such as "File"."""
    described: Json = discovery()["schemas"][name]
    return described


def _inner(described: Json) -> Json:
    """What a field consists of: an item of a list, a resource that it refers to."""
    while True:
        if "$ref" in described:
            described = schema(described["$ref"])
        elif described.get("type") == "array":
            described = described["items"]
        else:
            return described


def parse(text: str, resource: str) -> Mask:
    """Read `fields`: refused if it names what the resource does not have."""
    parsed, rest = _selection(text.replace(" ", ""))
    if rest or not text:
        raise _bad(text)
    _check(parsed, schema(resource), text)
    return parsed


def _bad(text: str) -> Refused:
    return Refused(400, "invalidParameter", f"Invalid field selection {text}", "fields", "parameter")


def _selection(text: str) -> tuple[Mask, str]:
    """A list of fields up to its end or a closing parenthesis, and what is left."""
    wanted: dict[str, Mask] = {}
    everything = False
    while True:
        name, inner, text = _field(text)
        if name == "*":
            everything = True
        else:
            wanted[name] = _both(wanted.get(name, {}), inner)
        if not text.startswith(","):
            return None if everything else wanted, text
        text = text[1:]


def _field(text: str) -> tuple[str, Mask, str]:
    """A field, what is wanted of it, and what is left."""
    length = next((i for i, char in enumerate(text) if char in ",()/"), len(text))
    name, text = text[:length], text[length:]
    inner: Mask = None
    if text.startswith("/"):
        below, deeper, text = _field(text[1:])
        inner = None if below == "*" else {below: deeper}
    elif text.startswith("("):
        inner, text = _selection(text[1:])
        if not text.startswith(")"):
            raise _bad(text)
        text = text[1:]
    if not name:
        raise _bad(text)
    return name, inner, text


def _both(one: Mask, other: Mask) -> Mask:
    if one is None or other is None:
        return None
    return one | {name: _both(one.get(name, {}), inner) for name, inner in other.items()}


def _check(mask: Mask, described: Json, text: str) -> None:
    described = _inner(described)
    for name, inner in (mask or {}).items():
        fields = described.get("properties")
        if fields is not None and name in fields:
            _check(inner, fields[name], text)
        elif fields is not None or "additionalProperties" not in described:
            raise _bad(name)


def select(mask: Mask, value: Any) -> Any:
    """Only the wanted fields of a value; of a list, those of its items."""
    if mask is None:
        return value
    if isinstance(value, Mapping):
        return {name: select(inner, value[name]) for name, inner in mask.items() if name in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [select(mask, item) for item in value]
    return value


def _fits(value: object, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def wrong(value: Any, described: Json, path: str = "") -> list[str]:
    """What in an answer is not as Drive describes it: unknown fields, and types."""
    if "$ref" in described:
        described = schema(described["$ref"])
    kind = described["type"]
    if not _fits(value, kind):
        return [f"{path} is {type(value).__name__}, not {kind}"]
    if kind == "array":
        return [w for item in value[:_CHECKED] for w in wrong(item, described["items"], f"{path}[]")]
    if kind == "string" and described.get("format") == "int64" and not value.lstrip("-").isdecimal():
        return [f"{path} is no whole number"]
    if kind != "object":
        return []
    fields, found = described.get("properties", {}), []
    for name, inner in value.items():
        here = f"{path}.{name}"
        if name in fields:
            found += wrong(inner, fields[name], here)
        elif "additionalProperties" in described:
            found += wrong(inner, described["additionalProperties"], here)
        else:
            found.append(f"{here} is unknown")
    return found
