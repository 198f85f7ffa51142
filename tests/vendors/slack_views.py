"""views.*: modals and App Home, and what people put into them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.vendors import slack_payloads as payloads
from tests.vendors.slack_api import Api, Args, Caller, Handler
from tests.vendors.slack_limits import check_view, interactive, invalid, with_ids
from tests.vendors.slack_model import Installation, Json, Refused, Slack, Trigger, View

MAX_STACK = 3
TRIGGER_LIFE = 3.0  # seconds


class Missing(AssertionError):
    """A test wants a person to use what is not there."""


def new_trigger(api: Api, user: str, team: str, view: str | None = None) -> str:
    name = f"{api.slack.new_id('')}.{team}.{'0123456789abcdef' * 2}"
    until = api.slack.clock() + TRIGGER_LIFE
    api.slack.triggers[name] = Trigger(user=user, team=team, until=until, view=view)
    return name


def _exchange(api: Api, args: Args) -> Trigger:
    trigger = api.slack.triggers.get(args.need("trigger_id"))
    if trigger is None:
        raise Refused("invalid_trigger_id")
    if trigger.used:
        raise Refused("exchanged_trigger_id")
    if api.slack.clock() > trigger.until:
        raise Refused("expired_trigger_id")
    trigger.used = True
    return trigger


def new_view(
    api: Api, team: str, user: str, body: Json, installed: Installation, *, parent: View | None = None
) -> View:
    """Show a view; on top of `parent` if there is one."""
    slack, external = api.slack, body.get("external_id")
    if external and any(v.body.get("external_id") == external and v.is_open for v in slack.views.values()):
        raise Refused("duplicate_external_id")
    name = slack.new_id("V")
    view = View(
        id=name,
        team=team,
        user=user,
        body=body | {"blocks": with_ids(body["blocks"])},
        hash=f"{slack.new_ts()}.0123abcd",
        installed=installed,
        root=parent.root if parent else name,
        previous=parent.id if parent else None,
    )
    view.state = {"values": state_of(slack, view.blocks, {})}
    slack.views[view.id] = view
    return view


def replace_view(api: Api, view: View, body: Json) -> None:
    """Show something else in a view; what was typed into fields that remain, remains."""
    before: Json = view.state.get("values", {})
    view.body = body | {"blocks": with_ids(body["blocks"])}
    view.hash, view.errors = f"{api.slack.new_ts()}.0123abcd", {}
    values = state_of(api.slack, view.blocks, {})
    for block, actions in values.items():
        for action, value in actions.items():
            kept = before.get(block, {}).get(action)
            if kept is not None and kept["type"] == value["type"]:
                actions[action] = kept
    view.state = {"values": values}


def stack(slack: Slack, view: View) -> list[View]:
    """The open views of a modal, the first at the bottom."""
    return [v for v in slack.views.values() if v.root == view.root and v.is_open]


def _opened(api: Api, caller: Caller, view: View) -> Json:
    return {"view": payloads.view_object(api.app, caller.installed, view)}


def _body(args: Args, kind: str) -> Json:
    view: Json = args.json("view")
    if view is None:
        raise invalid("invalid_arguments", "missing required field: view")
    check_view(view, kind)
    return view


def _open(api: Api, caller: Caller, args: Args) -> Json:
    body, trigger = _body(args, "modal"), _exchange(api, args)
    return _opened(api, caller, new_view(api, trigger.team, trigger.user, body, caller.installed))


def _push(api: Api, caller: Caller, args: Args) -> Json:
    body, trigger = _body(args, "modal"), _exchange(api, args)
    parent = api.slack.views.get(trigger.view or "")
    if parent is None or not parent.is_open:
        raise Refused("not_found")
    if len(stack(api.slack, parent)) >= MAX_STACK:
        raise Refused("push_limit_reached")
    view = new_view(api, trigger.team, trigger.user, body, caller.installed, parent=parent)
    return _opened(api, caller, view)


def _update(api: Api, caller: Caller, args: Args) -> Json:
    name, external = args.text("view_id"), args.text("external_id")
    if name is None and external is None:
        raise invalid("invalid_arguments", "missing required field: view_id")
    body = _body(args, "modal")
    found = [
        view
        for view in api.slack.views.values()
        if view.id == name or (external is not None and view.body.get("external_id") == external)
    ]
    if not found or not found[-1].is_open or found[-1].installed is not caller.installed:
        raise Refused("not_found")
    if args.text("hash") not in (None, found[-1].hash):
        raise Refused("hash_conflict")
    replace_view(api, found[-1], body)
    return _opened(api, caller, found[-1])


def _publish(api: Api, caller: Caller, args: Args) -> Json:
    user, body = args.need("user_id"), _body(args, "home")
    if user not in api.slack.users or caller.installed.state != "active":
        raise invalid("invalid_arguments", "user_id is not a person here")
    team = api.slack.users[user].team
    if team not in api.slack.teams_of(caller.installed):
        raise invalid("invalid_arguments", "user_id is not a person here")
    home = api.slack.homes.get(user)
    if home is None:
        home = api.slack.homes[user] = new_view(api, team, user, body, caller.installed)
        del api.slack.views[home.id]
    else:
        if args.text("hash") not in (None, home.hash):
            raise Refused("hash_conflict")
        replace_view(api, home, body)
    return _opened(api, caller, home)


# What people put in


def _option(element: Json, value: Any) -> Json:
    groups = [option for group in element.get("option_groups", ()) for option in group["options"]]
    for option in [*element.get("options", ()), *groups, *element.get("suggested", ())]:
        if option["value"] == value:
            return dict(option)
    raise Missing(f"{element['action_id']} has no option {value!r}")


def _person(slack: Slack, value: Any) -> str:
    name = value if isinstance(value, str) else value.id
    if name not in slack.users and name not in slack.channels:
        raise Missing(f"there is nobody and no conversation {name}")
    return str(name)


def _text(element: Json, value: Any) -> str:
    least, most = element.get("min_length", 0), element.get("max_length", 3000)
    if not least <= len(value) <= most:
        raise Missing(f"{element['action_id']} takes {least} to {most} characters")
    return str(value)


def _number(element: Json, value: Any) -> str:
    number = float(value)
    least, most = float(element.get("min_value", "-inf")), float(element.get("max_value", "inf"))
    whole = element["is_decimal_allowed"] or number == int(number)
    if not whole or not least <= number <= most:
        raise Missing(f"{element['action_id']} does not take {value}")
    return str(value)


_Taken = Callable[[Slack, Json, Any], Any]
_OPTION: tuple[str, str, _Taken] = (
    "selected_option",
    "initial_option",
    lambda _, e, value: _option(e, value),
)
_OPTIONS: tuple[str, str, _Taken] = (
    "selected_options",
    "initial_options",
    lambda _, element, value: [_option(element, one) for one in value],
)


def _one(of: str) -> tuple[str, str, _Taken]:
    return f"selected_{of}", f"initial_{of}", lambda slack, _, value: _person(slack, value)


def _several(of: str) -> tuple[str, str, _Taken]:
    return f"selected_{of}", f"initial_{of}", lambda slack, _, value: [_person(slack, one) for one in value]


_STATES: Mapping[str, tuple[str, str, _Taken]] = {
    "plain_text_input": ("value", "initial_value", lambda _, element, value: _text(element, value)),
    "number_input": ("value", "initial_value", lambda _, element, value: _number(element, value)),
    "static_select": _OPTION,
    "external_select": _OPTION,
    "radio_buttons": _OPTION,
    "checkboxes": _OPTIONS,
    "multi_static_select": _OPTIONS,
    "users_select": _one("user"),
    "conversations_select": _one("conversation"),
    "channels_select": _one("channel"),
    "multi_users_select": _several("users"),
    "multi_conversations_select": _several("conversations"),
    "multi_channels_select": _several("channels"),
    "datepicker": ("selected_date", "initial_date", lambda _slack, _element, value: str(value)),
}
"""Type of an element -> the field of its state, the field it begins with, what a person's choice becomes."""

_LISTS = {name for name, (field, _, _) in _STATES.items() if field.endswith("s")}


def chosen(slack: Slack, element: Json, value: Any) -> Json:
    """The state of an element once a person chose `value` (None empties it)."""
    if element["type"] not in _STATES:
        raise Missing(f"this server cannot fill in a {element['type']}")
    name, _, taken = _STATES[element["type"]]
    empty: Any = [] if element["type"] in _LISTS else None
    return {"type": element["type"], name: empty if value is None else taken(slack, element, value)}


def state_of(slack: Slack, blocks: Sequence[Json], given: Mapping[str, Any]) -> Json:
    """`state.values` of blocks; `given` are choices by action or block id, the rest as it began."""
    values: Json = {}
    for block, element in interactive(list(blocks)):
        if element["type"] not in _STATES:
            continue
        action, name = element["action_id"], block["block_id"]
        if action in given or name in given:
            state = chosen(slack, element, given.get(action, given.get(name)))
        else:
            field, initial, _ = _STATES[element["type"]]
            empty: Any = [] if element["type"] in _LISTS else None
            state = {"type": element["type"], field: element.get(initial, empty)}
        values.setdefault(name, {})[action] = state
    return values


def apply_answer(api: Api, installed: Installation, view: View, answer: Json | None) -> None:
    """Do with a modal what the app answered to its submission."""
    action = (answer or {}).get("response_action")
    views = stack(api.slack, view)
    if not answer:
        view.is_open = False
    elif action == "clear":
        for one in views:
            one.is_open = False
    elif action == "errors":
        view.errors = dict(answer["errors"])
        inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
        if not view.errors or not set(view.errors) <= inputs:
            raise Refused("errors name blocks that are not inputs of this view")
    elif action in ("update", "push"):
        check_view(answer.get("view"), "modal")
        if action == "update":
            replace_view(api, view, answer["view"])
        elif len(views) >= MAX_STACK:
            raise Refused("push_limit_reached")
        else:
            new_view(api, view.team, view.user, answer["view"], installed, parent=view)
    else:
        raise Refused(f"response_action {action!r}")


HANDLERS: dict[str, Handler] = {
    "views.open": _open,
    "views.publish": _publish,
    "views.push": _push,
    "views.update": _update,
}
