"""What buttons on cards send back, read with care: anybody in a conversation can send anything. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bots.teams import ids
from core.registry import FORMATS

VERBS: Final = frozenset({ids.STOP, ids.FORMAT, ids.DELETE, ids.PAGE})
DIALOGS: Final = frozenset({ids.SETTINGS_DIALOG, ids.RENAME_DIALOG, ids.RETRY_DIALOG})

SHARE, PAGE, GO, TO, CHOICE, VERSION = "share", "page", "go", "to", "format", "version"
_SHARE: Final = re.compile(r"[0-9a-z]{1,64}")
_PAGE: Final = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """A button on the card of `share`. `page` is the page that is wanted (0: the overview), `format` the
    format; both only where the verb is about that."""

    verb: str
    share: str
    page: int | None = None
    format: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A button that opens a dialog; `share` is empty where the dialog is not about one."""

    dialog: str
    share: str


def read_press(value: Any) -> Press | None:
    """The press in the value of an `adaptiveCard/action` invoke, or in that of the message which older
    clients send instead; None if it is none of ours."""
    action = _mapping(_mapping(value).get("action"))
    data = _mapping(action.get("data")) if action else _mapping(value)
    verb = _text(action.get("verb") if action else data.get("verb"))
    share = read_share(data)
    if verb not in VERBS or not share:
        return None
    if verb == ids.PAGE:
        page = _number(data.get(TO) if data.get(GO) else data.get(PAGE))
        return None if page is None else Press(verb=verb, share=share, page=page)
    if verb == ids.FORMAT:
        wanted = _text(data.get(CHOICE))
        return Press(verb=verb, share=share, format=wanted) if wanted in FORMATS else None
    return Press(verb=verb, share=share)


def read_opening(data: Any) -> Opening | None:
    """The dialog that a button opens, from the data of a `task/fetch` invoke; None if it is none of ours."""
    found = _mapping(data)
    dialog, share = _text(found.get("dialog")), read_share(found)
    if dialog not in DIALOGS or not (share or dialog == ids.SETTINGS_DIALOG):
        return None
    return Opening(dialog=dialog, share=share)


def read_share(data: Mapping[str, Any]) -> str:
    """The id of the share that a button or form is about; empty if there is none."""
    share = _text(data.get(SHARE))
    return share if _SHARE.fullmatch(share) else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int | None:
    text = str(value) if isinstance(value, str | int) else ""
    return int(text) if _PAGE.fullmatch(text) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
