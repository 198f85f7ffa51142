"""Whether Teams understands what a bot answers to an invoke, and what people see then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.vendors.teams_cards import problems as card_problems
from tests.vendors.teams_model import ADAPTIVE, Json

_TASK = {"title", "height", "width", "url", "card", "fallbackUrl", "completionBotId"}
_SIZES = ("small", "medium", "large")
_STATUSES = {
    "application/vnd.microsoft.card.adaptive": (200,),
    "application/vnd.microsoft.activity.message": (200,),
    "application/vnd.microsoft.error": (400, 500),
    "application/vnd.microsoft.activity.loginRequest": (401,),
    "application/vnd.microsoft.error.incorrectAuthCode": (401,),
    "application/vnd.microsoft.error.preconditionFailed": (412,),
}


class BadAnswer(AssertionError):
    """An answer that Teams does not understand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What people see after an answer: a dialog, a message, a card (in place of the old one, or in the
    compose box), or nothing at all."""

    dialog: Json | None = None
    message: str | None = None
    card: Json | None = None
    error: str | None = None


def read(name: str, body: Any) -> Shown:
    """What an answer with status 200 shows; BadAnswer if its shape is wrong."""
    if name == "adaptiveCard/action":
        found, shown = list(_action_problems(body)), _action(body)
    elif name.startswith(("composeExtension/", "task/")):
        extension = name.startswith("composeExtension/")
        empty = name.endswith(("submitAction", "submit"))
        found = list(_task_problems(body, extension=extension, may_be_empty=empty))
        shown = Shown() if found else _task(body)
    else:
        found = [] if body is None else [f"{name} has no body, not {str(body)[:100]}"]
        shown = Shown()
    if found:
        raise BadAnswer(f"Teams does not understand the answer to {name}: {'; '.join(found)}")
    return shown


def _task_problems(body: Any, *, extension: bool, may_be_empty: bool) -> Iterator[str]:
    if body in (None, {}) and may_be_empty:
        return
    if not isinstance(body, dict):
        yield f"not an object: {str(body)[:100]}"
        return
    allowed = {"task", "cacheInfo"} | ({"composeExtension"} if extension else set())
    if set(body) - allowed or not set(body) & {"task", "composeExtension"}:
        yield f"it has {sorted(body)}"
        return
    if "task" in body:
        yield from _one_task(body["task"])
    if "composeExtension" in body:
        yield from _extension_problems(body["composeExtension"])


def _one_task(task: Any) -> Iterator[str]:
    if not isinstance(task, dict) or task.get("type") not in ("continue", "message"):
        yield f"a task continues or is a message, not {str(task)[:100]}"
    elif task["type"] == "message":
        if not isinstance(task.get("value"), str) or not task["value"]:
            yield "the value of a message is text"
    elif not isinstance(value := task.get("value"), dict):
        yield "the value of a task is an object"
    else:
        if unknown := set(value) - _TASK:
            yield f"unknown fields {sorted(unknown)}"
        for name in ("height", "width"):
            size = value.get(name)
            if size is not None and size not in _SIZES and not (isinstance(size, int) and size > 0):
                yield f"{name} cannot be {size}"
        if not value.get("title"):
            yield "a dialog needs a title"
        if bool(value.get("card")) == bool(value.get("url")):
            yield "a dialog has either a card or a url"
        elif value.get("card"):
            yield from _card_attachment(value["card"])


def _card_attachment(attachment: Any) -> Iterator[str]:
    if not isinstance(attachment, dict) or attachment.get("contentType") != ADAPTIVE:
        yield f"a card comes as an attachment of type {ADAPTIVE}"
    else:
        yield from card_problems(attachment.get("content"))


def _extension_problems(extension: Any) -> Iterator[str]:
    kind = extension.get("type") if isinstance(extension, dict) else None
    if kind == "message":
        if not extension.get("text"):
            yield "a message needs text"
    elif kind == "result":
        if extension.get("attachmentLayout") not in ("list", "grid"):
            yield "attachmentLayout is list or grid"
        if len(attachments := extension.get("attachments", ())) != 1:
            yield "a result of an action has one attachment"
        for attachment in attachments:
            yield from _card_attachment(attachment)
    else:
        yield f"unknown type {kind}"


def _task(body: Any) -> Shown:
    task = (body or {}).get("task")
    extension = (body or {}).get("composeExtension")
    if task is not None:
        if task["type"] == "message":
            return Shown(message=task["value"])
        return Shown(dialog=task["value"])
    if extension is not None:
        if extension["type"] == "message":
            return Shown(message=extension["text"])
        return Shown(card=extension["attachments"][0]["content"])
    return Shown()


def _action_problems(body: Any) -> Iterator[str]:
    if not isinstance(body, dict) or set(body) != {"statusCode", "type", "value"}:
        yield f"it has statusCode, type and value, not {str(body)[:100]}"
        return
    kind, value = body["type"], body["value"]
    if body["statusCode"] not in _STATUSES.get(kind, ()):
        yield f"{kind} with the statusCode {body['statusCode']}"
    elif kind == "application/vnd.microsoft.card.adaptive":
        yield from card_problems(value)
    elif kind == "application/vnd.microsoft.activity.message":
        if not isinstance(value, str) or not value:
            yield "the value of a message is text"
    elif kind == "application/vnd.microsoft.error" and (
        not isinstance(value, dict) or not {"code", "message"} <= set(value)
    ):
        yield "the value of an error has a code and a message"


def _action(body: Any) -> Shown:
    if not isinstance(body, dict):
        return Shown()
    kind, value = body.get("type"), body.get("value")
    if kind == "application/vnd.microsoft.card.adaptive":
        return Shown(card=value)
    if kind == "application/vnd.microsoft.activity.message":
        return Shown(message=value)
    return Shown(error=value.get("message") if isinstance(value, dict) else str(kind))
