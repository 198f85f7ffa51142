"""Fields of forms, and what people put into them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bots.slack.parts import Block, Element, View, plain


def form(callback: str, title: str, metadata: str, blocks: list[Block], *, submit: str | None) -> View:
    """A modal. Without `submit` there is nothing to fill in."""
    view: View = {
        "type": "modal",
        "callback_id": callback,
        "title": plain(title, 24),
        "close": plain("Close" if submit is None else "Cancel", 24),
        "private_metadata": metadata,
        "blocks": blocks,
    }
    return view if submit is None else view | {"submit": plain(submit, 24)}


def entry(block: str, label: str, element: Element, *, hint: str = "", optional: bool = True) -> Block:
    """A field of a form. `block` names it in the answer and in complaints about it."""
    found: Block = {
        "type": "input",
        "block_id": block,
        "label": plain(label, 2000),
        "element": {"action_id": "value", **element},
        "optional": optional,
    }
    return found | ({"hint": plain(hint, 2000)} if hint else {})


def written(state: Mapping[str, Any], block: str) -> str:
    """What was typed in the field `block` of a form with this state."""
    return _typed(str(_sent(state, block).get("value") or ""))


def chosen(state: Mapping[str, Any], block: str) -> str | None:
    """The value that was chosen in it, or the id of the person."""
    sent = _sent(state, block)
    found = (sent.get("selected_option") or {}).get("value") or sent.get("selected_user")
    return None if found is None else _typed(str(found))


def all_chosen(state: Mapping[str, Any], block: str) -> tuple[str, ...]:
    """The values that were chosen in it."""
    return tuple(str(each.get("value")) for each in _sent(state, block).get("selected_options") or ())


def fields(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was sent, by field."""
    found = state.get("values") or {}
    return found if isinstance(found, Mapping) else {}


def _sent(state: Mapping[str, Any], block: str) -> Mapping[str, Any]:
    return next(iter((fields(state).get(block) or {}).values()), {})


def _typed(text: str) -> str:
    """What a person typed, of which Slack may send `&`, `<`, `>` as entities."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
