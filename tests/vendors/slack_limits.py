"""What Slack takes in a message or a view: the SDK's own validators, and the limits that those leave out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

from tests.vendors.slack_model import Json, Refused, shown_texts

MAX_POSTED_TEXT = 40_000  # characters
MAX_UPDATED_TEXT = 4_000  # bytes, counted after escaping
MAX_BLOCKS = 50
MAX_BLOCKS_LENGTH = 13_200  # characters over all blocks; unpublished, see platforms.md
BLOCK_COST = 125  # characters that every block after the first counts for
MAX_MARKDOWN = 12_000  # characters over all markdown blocks
MAX_TABLE = 10_000  # characters over all cells
MAX_METADATA = 8_192  # bytes; the true number is unpublished
MAX_VIEW = 250_000  # bytes

_MULTI = ("multi_static_select", "multi_users_select", "multi_conversations_select", "multi_channels_select")
_SINGLE = (
    *("static_select", "external_select", "users_select", "conversations_select", "channels_select"),
    *("button", "overflow", "datepicker", "timepicker", "datetimepicker", "checkboxes", "radio_buttons"),
)
_INPUTS = (
    *("plain_text_input", "number_input", "email_text_input", "url_text_input", "rich_text_input"),
    "file_input",
)
_ALLOWED = {
    "actions": frozenset({*_SINGLE, "workflow_button"}),
    "section": frozenset({*_SINGLE, *_MULTI, "multi_external_select", "image", "workflow_button"}),
    "context": frozenset({"image", "plain_text", "mrkdwn"}),
    "input": frozenset({*_SINGLE, *_MULTI, *_INPUTS, "multi_external_select"}) - {"button", "overflow"},
}
_SURFACES = {
    "message": frozenset(
        {
            *("actions", "context", "divider", "file", "header", "image", "input", "markdown", "rich_text"),
            *("section", "table", "video"),
        }
    ),
    "modal": frozenset({"actions", "context", "divider", "header", "image", "input", "rich_text", "section"}),
    "home": frozenset({"actions", "context", "divider", "header", "image", "input", "rich_text", "section"}),
}
_PLAIN = {"label", "hint", "placeholder", "title", "submit", "close", "deny"}
_MAX_OPTIONS = {"checkboxes": 10, "radio_buttons": 10, "overflow": 5}


def invalid(error: str, *messages: str) -> Refused:
    """A refusal with the reasons that Slack gives in `response_metadata`."""
    return Refused(error, response_metadata={"messages": [f"[ERROR] {message}" for message in messages]})


def check_posted_text(text: str) -> None:
    if len(text) > MAX_POSTED_TEXT:
        raise Refused("msg_too_long")


def check_updated_text(text: str) -> None:
    escaped = re.sub(r"&(?!(amp|lt|gt);)", "&amp;", text).replace("<", "&lt;").replace(">", "&gt;")
    if len(escaped.encode()) > MAX_UPDATED_TEXT:
        raise Refused("msg_too_long")


def check_metadata(metadata: Any) -> None:
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_type"), str):
        raise Refused("invalid_metadata_format")
    if not isinstance(metadata.get("event_payload"), dict) or set(metadata) - {"event_type", "event_payload"}:
        raise Refused("invalid_metadata_format")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,255}", metadata["event_type"]):
        raise Refused("invalid_metadata_format")
    if len(json.dumps(metadata).encode()) > MAX_METADATA:
        raise Refused("metadata_too_large")


def check_message_blocks(blocks: Any) -> None:
    """Refuse blocks that a message cannot have."""
    if not isinstance(blocks, list):
        raise Refused("invalid_blocks_format")
    if len(blocks) > MAX_BLOCKS:
        raise invalid("invalid_blocks", f"no more than {MAX_BLOCKS} items allowed [json-pointer:/blocks]")
    _check(blocks, "message", "invalid_blocks")
    if sum(block["type"] == "table" for block in blocks) > 1:
        raise Refused("only_one_table_allowed")
    if sum(len(block["text"]) for block in blocks if block["type"] == "markdown") > MAX_MARKDOWN:
        raise Refused("msg_blocks_too_long")
    if sum(map(_length, blocks)) + BLOCK_COST * (len(blocks) - 1) > MAX_BLOCKS_LENGTH:
        raise Refused("msg_blocks_too_long")


def check_view(view: Any, kind: str) -> None:
    """Refuse a view that cannot be shown as `kind`, "modal" or "home"."""
    if not isinstance(view, dict) or view.get("type") != kind:
        raise invalid("invalid_arguments", f"must be a {kind} [json-pointer:/view/type]")
    if len(json.dumps(view).encode()) > MAX_VIEW:
        raise Refused("view_too_large")
    if kind == "modal" and not view.get("title"):
        raise invalid("invalid_arguments", "missing required field: title [json-pointer:/view]")
    unknown = set(view) - (View.attributes | {"submit_disabled"})
    if unknown or {"id", "hash", "state", "team_id", "app_id", "bot_id"} & set(view):
        raise invalid("invalid_arguments", f"invalid additional property: {sorted(unknown)}")
    for name in ("title", "submit", "close"):
        if name in view and view[name].get("type") != "plain_text":
            raise invalid("invalid_arguments", f"must be plain_text [json-pointer:/view/{name}]")
    if len(view.get("external_id") or "") > 255:
        raise invalid(
            "invalid_arguments", "must be less than 256 characters [json-pointer:/view/external_id]"
        )
    blocks = view.get("blocks")
    if not isinstance(blocks, list):
        raise invalid("invalid_arguments", "missing required field: blocks [json-pointer:/view]")
    _check(blocks, kind, "invalid_arguments")
    if kind == "modal" and "submit" not in view and any(block["type"] == "input" for block in blocks):
        raise invalid("invalid_arguments", "submit is required with input blocks [json-pointer:/view]")
    try:
        View(**view).to_dict()
    except SlackObjectFormationError as error:
        raise invalid("invalid_arguments", f"{error} [json-pointer:/view]") from None


def interactive(blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
    """Every element that a person can use, with its block."""
    for block in blocks:
        for element in (*block.get("elements", ()), block.get("accessory"), block.get("element")):
            if element and "action_id" in element:
                yield block, element


def with_ids(blocks: list[Json]) -> list[Json]:
    """Blocks with the ids that Slack makes up where there are none."""
    copy: list[Json] = json.loads(json.dumps(blocks))
    for number, block in enumerate(copy):
        block.setdefault("block_id", f"auto{number}")
        for element in (*block.get("elements", ()), block.get("accessory"), block.get("element")):
            if element and element.get("type") in {*_SINGLE, *_MULTI, *_INPUTS}:
                element.setdefault("action_id", f"auto{number}")
    return copy


def _length(block: Json) -> int:
    if block["type"] in ("rich_text", "table"):
        return len(json.dumps(block, ensure_ascii=False))
    return sum(map(len, shown_texts(block)))


def _check(blocks: list[Any], surface: str, error: str) -> None:
    problems = [
        f"{problem} [json-pointer:/blocks/{number}]"
        for number, block in enumerate(blocks)
        for problem in _problems(block, surface)
    ]
    ids = [block["block_id"] for block in blocks if isinstance(block, dict) and "block_id" in block]
    problems += [f"block_id `{name}` already exists" for name in {*ids} if ids.count(name) > 1]
    if problems:
        raise invalid(error, *problems)


def _problems(block: Any, surface: str) -> Iterator[str]:
    if not isinstance(block, dict) or block.get("type") not in _SURFACES[surface]:
        yield f"unsupported type in a {surface}"
        return
    try:
        parsed = Block.parse(block)
        kept = parsed.to_dict() if parsed else {}
    except (SlackObjectFormationError, TypeError, KeyError, AttributeError) as error:
        yield str(error)
        return
    yield from _lost(block, kept, "")
    elements = [*block.get("elements", ()), *(block[k] for k in ("accessory", "element") if k in block)]
    allowed = _ALLOWED.get(block["type"])
    if block["type"] in ("actions", "context") and not elements:
        yield "must provide elements"
    if allowed is not None:
        yield from (f"unsupported element {e.get('type')}" for e in elements if e.get("type") not in allowed)
        actions = [e["action_id"] for e in elements if "action_id" in e]
        yield from (f"action_id `{name}` already exists" for name in {*actions} if actions.count(name) > 1)
    if block["type"] == "table":
        rows = block["rows"]
        if not 0 < len(rows) <= 100 or any(len(row) > 20 for row in rows):
            yield "a table has 1 to 100 rows of at most 20 cells"
        if sum(map(len, shown_texts(rows))) > MAX_TABLE:
            yield f"a table has at most {MAX_TABLE} characters"
    if block["type"] == "header" and block["text"]["type"] != "plain_text":
        yield "a header is plain_text"
    yield from (
        f"fields: {problem}" for field in block.get("fields", ()) for problem in _too_long(field, 2000)
    )
    yield from _inner_problems(block)


def _too_long(text: Any, limit: int) -> Iterator[str]:
    if isinstance(text, dict) and not 0 < len(text.get("text", "")) <= limit:
        yield f"must be 1 to {limit} characters"


def _inner_problems(part: Any) -> Iterator[str]:
    """What the SDK does not look at, anywhere inside a block."""
    if isinstance(part, list):
        for item in part:
            yield from _inner_problems(item)
    if not isinstance(part, dict):
        return
    if part.get("type") in ("plain_text", "mrkdwn"):
        yield from _too_long(part, 3000)
    if part.get("type") == "button" and part["text"].get("type") != "plain_text":
        yield "text of a button is plain_text"
    for name in _PLAIN & set(part):
        if isinstance(part[name], dict) and part[name].get("type") != "plain_text":
            yield f"{name} is plain_text"
    if part.get("type") == "plain_text_input":
        if len(part.get("initial_value", "")) > part.get("max_length", 3000):
            yield "initial_value is longer than max_length"
        if not 0 < part.get("max_length", 3000) <= 3000:
            yield "max_length must be 1 to 3000"
    options = [*part.get("options", ()), *(o for g in part.get("option_groups", ()) for o in g["options"])]
    if ("options" in part or "option_groups" in part) and "type" in part:
        yield from _option_problems(part, options)
    for value in part.values():
        if isinstance(value, (dict, list)):
            yield from _inner_problems(value)


def _option_problems(element: Json, options: list[Json]) -> Iterator[str]:
    limit = _MAX_OPTIONS.get(element["type"], 100)
    if not 0 < len(options) <= limit:
        yield f"{element['type']} has 1 to {limit} options"
    mrkdwn = element["type"] in ("checkboxes", "radio_buttons")
    for option in options:
        yield from _too_long(option.get("text"), 75)
        yield from _too_long(option.get("description"), 75)
        if not 0 < len(option.get("value", "")) <= 150:
            yield "value of an option must be 1 to 150 characters"
        if not mrkdwn and option.get("text", {}).get("type") != "plain_text":
            yield "text of an option is plain_text"
    if len({option.get("value") for option in options}) < len(options):
        yield "values of options must differ"
    chosen = [*element.get("initial_options", ()), *filter(None, [element.get("initial_option")])]
    yield from (f"initial option {o.get('value')} is not an option" for o in chosen if o not in options)
    if "initial_options" in element and not element["initial_options"]:
        yield "initial_options must not be empty"


def _lost(given: Any, kept: Any, path: str) -> Iterator[str]:
    """Keys that the SDK does not know, or that are empty."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            if key not in kept:
                yield f"invalid or empty property {path}/{key}"
            else:
                yield from _lost(value, kept[key], f"{path}/{key}")
    elif isinstance(given, list) and isinstance(kept, list):
        if len(given) != len(kept):
            yield f"invalid item in {path}"
        for number, (one, other) in enumerate(zip(given, kept, strict=False)):
            yield from _lost(one, other, f"{path}/{number}")
