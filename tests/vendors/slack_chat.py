"""chat.*, conversations.* and the small methods beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.vendors import slack_limits as limits
from tests.vendors import slack_payloads as payloads
from tests.vendors.slack_api import Api, Args, Caller, Handler
from tests.vendors.slack_model import KIND_NAMES, Channel, Ephemeral, Json, Message, Refused, Version
from tests.vendors.slack_scopes import METHODS

SLOW_PAGE = 15  # messages for an app that is distributed outside the Marketplace


def direct_message(api: Api, caller: Caller, user: str) -> Channel:
    """The conversation of a person and the bot; it begins if there is none."""
    slack, bot = api.slack, caller.installed.bot_user_id
    if user not in slack.users or slack.users[user].team not in slack.teams_of(caller.installed):
        raise Refused("user_not_found")
    if slack.users[user].deleted:
        raise Refused("user_disabled")
    for channel in slack.channels.values():
        if channel.kind == "im" and {*channel.members} == {user, bot}:
            return channel
    channel = Channel(
        id=slack.new_id("D"),
        team=slack.users[user].team,
        name="",
        kind="im",
        creator=bot,
        created=int(slack.clock()),
        members=[user, bot],
    )
    slack.channels[channel.id] = channel
    return channel


def _content(args: Args) -> tuple[str, list[Json] | None, Json | None]:
    """Text, blocks and metadata of a message, checked; None where they were not sent."""
    if any(args.values.get(name) for name in ("attachments", "markdown_text")):
        raise limits.invalid("invalid_arguments", "this server knows blocks and text only")
    blocks, metadata = args.json("blocks", "invalid_blocks_format"), args.json("metadata")
    text = args.text("text") or ""
    if blocks:
        limits.check_message_blocks(blocks)
    if metadata:
        limits.check_metadata(metadata)
    return text, blocks, metadata


def _post_message(api: Api, caller: Caller, args: Args) -> Json:
    where, installed = args.need("channel"), caller.installed
    if where.startswith(("U", "W")):
        channel = direct_message(api, caller, where)
    else:
        public = "chat:write.public" in installed.scopes
        channel = api.conversation("chat.postMessage", caller, where, member=not public)
    if channel.archived:
        raise Refused("is_archived")
    if channel.restricted:
        raise Refused("restricted_action")
    text, blocks, metadata = _content(args)
    if not text and not blocks:
        raise Refused("no_text")
    limits.check_posted_text(text)
    thread_ts = args.text("thread_ts")
    api.check_thread(channel, thread_ts)
    message = api.slack.post(
        channel,
        Message(
            ts=api.slack.new_ts(),
            channel=channel.id,
            user=installed.bot_user_id,
            text=text,
            team=channel.team if installed.team is None else installed.team,
            thread_ts=thread_ts,
            blocks=limits.with_ids(blocks or []),
            metadata=metadata or None,
            bot_id=installed.bot_id,
        ),
    )
    api.emit_message(message)
    shown = payloads.message_object(api.slack, api.app, message, api.origin)
    return {"channel": channel.id, "ts": message.ts, "message": shown}


def changed_event(api: Api, channel: Channel, message: Message, before: Json) -> Json:
    after = payloads.changed_message(api.slack, api.app, message, api.origin)
    ts = api.slack.new_ts()
    event: Json = {"type": "message", "subtype": "message_changed", "hidden": True, "channel": channel.id}
    event |= {"ts": ts, "event_ts": ts, "channel_type": channel.kind}
    return event | {"message": after, "previous_message": before}


def _update(api: Api, caller: Caller, args: Args) -> Json:
    channel = api.conversation("chat.update", caller, args.need("channel"))
    message = api.message(channel, args.need("ts"))
    if message.bot_id != caller.installed.bot_id:
        raise Refused("cant_update_message")
    if channel.archived:
        raise Refused("is_archived")
    text, blocks, metadata = _content(args)
    if not text and not blocks:
        raise Refused("no_text")
    limits.check_updated_text(text)
    before = payloads.changed_message(api.slack, api.app, message, api.origin)
    if blocks is not None or text:
        # Text alone takes the blocks away.
        message.blocks = limits.with_ids(blocks or [])
    message.text = text
    if not message.blocks:
        message.edited_ts = api.slack.new_ts()
    if metadata is not None:
        message.metadata = metadata or None
    message.versions.append(Version(at=api.slack.clock(), text=text, blocks=list(message.blocks)))
    api.emit(changed_event(api, channel, message, before), channel)
    shown = payloads.message_object(api.slack, api.app, message, api.origin)
    for name in ("ts", "thread_ts", "parent_user_id"):
        shown.pop(name, None)
    return {"channel": channel.id, "ts": message.ts, "text": text, "message": shown}


def remove(api: Api, channel: Channel, message: Message) -> None:
    """Delete a message and tell of it: where it has replies, it is changed into a tombstone."""
    before = payloads.changed_message(api.slack, api.app, message, api.origin)
    if api.slack.replies(channel, message.ts):
        api.slack.unpost(channel, message)
        changed = changed_event(api, channel, message, before)
        changed["message"] |= {"hidden": True}
        api.emit(changed, channel)
        return
    event: Json = {"type": "message", "subtype": "message_deleted", "hidden": True, "channel": channel.id}
    ts = api.slack.new_ts()
    event |= {"deleted_ts": message.ts, "previous_message": before, "channel_type": channel.kind}
    api.slack.unpost(channel, message)
    api.emit(event | {"ts": ts, "event_ts": ts}, channel)


def _delete(api: Api, caller: Caller, args: Args) -> Json:
    channel = api.conversation("chat.delete", caller, args.need("channel"))
    message = api.message(channel, args.need("ts"))
    if message.bot_id != caller.installed.bot_id:
        raise Refused("cant_delete_message")
    remove(api, channel, message)
    return {"channel": channel.id, "ts": message.ts}


def _permalink(api: Api, caller: Caller, args: Args) -> Json:
    channel = api.conversation("chat.getPermalink", caller, args.need("channel"), member=False)
    message = api.message(channel, args.need("message_ts"))
    return {"channel": channel.id, "permalink": payloads.permalink(api.slack, channel, message)}


def _post_ephemeral(api: Api, caller: Caller, args: Args) -> Json:
    channel = api.conversation("chat.postEphemeral", caller, args.need("channel"))
    if channel.archived:
        raise Refused("is_archived")
    if channel.restricted:
        raise Refused("restricted_action")
    user = args.need("user")
    if user not in channel.members:
        raise Refused("user_not_in_channel")
    text, blocks, _ = _content(args)
    if not text and not blocks:
        raise Refused("no_text")
    limits.check_posted_text(text)
    shown = limits.with_ids(blocks or [])
    thread_ts, ts = args.text("thread_ts"), api.slack.new_ts()
    api.slack.ephemerals.append(
        Ephemeral(ts=ts, channel=channel.id, user=user, text=text, blocks=shown, thread_ts=thread_ts)
    )
    return {"message_ts": ts}


def _page(api: Api, args: Args, found: list[Message], limit: int) -> Json:
    oldest, latest, inclusive = args.text("oldest"), args.text("latest"), args.flag("inclusive")
    within = [
        message
        for message in found
        if (oldest is None or message.ts > oldest or (inclusive and message.ts == oldest))
        and (latest is None or message.ts < latest or (inclusive and message.ts == latest))
    ]
    if api.history_seconds:
        limit = min(limit, SLOW_PAGE)
    some, cursor = payloads.pages(within, args.text("cursor") or "", limit)
    metadata = args.flag("include_all_metadata")
    shown = [
        payloads.message_object(api.slack, api.app, message, api.origin, metadata=metadata)
        for message in some
    ]
    return {"messages": shown, "has_more": bool(cursor), "response_metadata": {"next_cursor": cursor}}


def _replies(api: Api, caller: Caller, args: Args) -> Json:
    channel = api.conversation("conversations.replies", caller, args.need("channel"))
    parent = channel.messages.get(args.need("ts"))
    if parent is None:
        raise Refused("thread_not_found")
    thread = [parent, *api.slack.replies(channel, parent.ts)]
    return _page(api, args, thread, args.number("limit", 1000, 1000))


def _history(api: Api, caller: Caller, args: Args) -> Json:
    channel = api.conversation("conversations.history", caller, args.need("channel"))
    found = [m for m in reversed(list(channel.messages.values())) if not m.is_reply]
    return _page(api, args, found, args.number("limit", 100, 999))


def _info(api: Api, caller: Caller, args: Args) -> Json:
    channel = api.conversation("conversations.info", caller, args.need("channel"), member=False)
    bot = caller.installed.bot_user_id
    shown = payloads.channel_object(api.slack, channel, bot, caller.team or channel.team)
    if args.flag("include_num_members"):
        shown["num_members"] = len(channel.members)
    return {"channel": shown}


def _members(api: Api, caller: Caller, args: Args) -> Json:
    channel = api.conversation("conversations.members", caller, args.need("channel"), member=False)
    some, cursor = payloads.pages(channel.members, args.text("cursor") or "", args.number("limit", 100, 1000))
    return {"members": list(some), "response_metadata": {"next_cursor": cursor}}


def _open(api: Api, caller: Caller, args: Args) -> Json:
    users = (args.text("users") or "").split(",") if args.text("users") else []
    if len(users) != 1:
        raise limits.invalid("invalid_arguments", "this server opens direct messages with one person")
    if "im:write" not in caller.installed.scopes:
        granted = ",".join(sorted(caller.installed.scopes))
        raise Refused("missing_scope", needed="im:write", provided=granted)
    return {"channel": {"id": direct_message(api, caller, users[0]).id}}


def _users_conversations(api: Api, caller: Caller, args: Args) -> Json:
    names: Mapping[str, Any] = {name: kind for kind, name in KIND_NAMES.items()}
    types = (args.text("types") or "public_channel").split(",")
    if unknown := set(types) - set(names):
        raise limits.invalid("invalid_arguments", f"types: {sorted(unknown)}")
    scope, granted = METHODS["users.conversations"].scope, caller.installed.scopes
    needed = [scope[names[name]] for name in types] if isinstance(scope, Mapping) else []
    if missing := [name for name in needed if name not in granted]:
        raise Refused("missing_scope", needed=",".join(missing), provided=",".join(sorted(granted)))
    if caller.team is None:
        raise Refused("missing_argument")
    bot = caller.installed.bot_user_id
    member = args.text("user") or bot
    found = [
        payloads.channel_object(api.slack, channel, bot, caller.team)
        for channel in api.slack.channels.values()
        if KIND_NAMES[channel.kind] in types
        and caller.team in channel.teams
        and member in channel.members
        and (not channel.is_private or bot in channel.members)
        and not (channel.archived and args.flag("exclude_archived"))
    ]
    for shown in found:
        shown.pop("is_member", None)
    some, cursor = payloads.pages(found, args.text("cursor") or "", args.number("limit", 100, 999))
    return {"channels": list(some), "response_metadata": {"next_cursor": cursor}}


def _users_info(api: Api, caller: Caller, args: Args) -> Json:
    user = api.slack.users.get(args.need("user"))
    if user is None:
        raise Refused("user_not_found")
    teams = {*api.slack.teams_of(caller.installed), caller.installed.enterprise_id}
    bot = caller.installed.bot_user_id
    together = any(user.id in c.members and bot in c.members for c in api.slack.channels.values())
    if user.team not in teams and not together:
        raise Refused("user_not_visible")
    return {"user": payloads.user_object(api.slack, user.id)}


def _usergroup(api: Api, caller: Caller, args: Args) -> Json:
    group = api.slack.groups.get(args.need("usergroup"))
    if caller.team is None:
        raise Refused("missing_argument")
    if group is None or group.team != caller.team:
        raise Refused("no_such_subteam")
    return {"users": list(group.users)}


def _team_info(api: Api, caller: Caller, args: Args) -> Json:
    team = args.text("team") or caller.team
    if team is None or team not in api.slack.teams_of(caller.installed):
        raise Refused("team_not_found")
    workspace = api.slack.workspaces[team]
    shown: Json = {"id": team, "name": workspace.name, "domain": workspace.domain, "email_domain": ""}
    if workspace.enterprise_id:
        shown |= {"enterprise_id": workspace.enterprise_id, "enterprise_name": workspace.enterprise_name}
    return {"team": shown | {"url": payloads.workspace_url(api.slack, team)}}


HANDLERS: dict[str, Handler] = {
    "chat.delete": _delete,
    "chat.getPermalink": _permalink,
    "chat.postEphemeral": _post_ephemeral,
    "chat.postMessage": _post_message,
    "chat.update": _update,
    "conversations.history": _history,
    "conversations.info": _info,
    "conversations.members": _members,
    "conversations.open": _open,
    "conversations.replies": _replies,
    "team.info": _team_info,
    "usergroups.users.list": _usergroup,
    "users.conversations": _users_conversations,
    "users.info": _users_info,
}
