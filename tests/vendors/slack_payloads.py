"""The JSON that a Slack sends: objects of its Web API, events and interactions. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.vendors.slack_model import Channel, File, Installation, Json, Message, Slack, View

_PRETTY = {"m4a": "M4A", "mp3": "MP3", "mp4": "MPEG 4 Video", "ogg": "OGG", "wav": "WAV", "webm": "WebM"}
_SHARED_DIRECTORY = {"channel": "channels", "group": "groups", "im": "ims", "mpim": "groups"}


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Our app as Slack knows it. `events` are the subscriptions of its manifest."""

    id: str = "A0000000001"
    name: str = "Erni Audio"
    client_id: str = "1000000000001.2000000000002"
    client_secret: str = "0123456789abcdef0123456789abcdef"
    signing_secret: str = "8f742231b10e8888abcd99yyyzzz85a5"
    verification_token: str = "gIkuvaNzQIHg97ATvDxqgjtO"
    app_tokens: Mapping[str, frozenset[str]] = field(
        default_factory=lambda: {"xapp-1-A0000000001-1-test": frozenset({"connections:write"})}
    )
    events: frozenset[str] = frozenset(
        {
            *("app_home_opened", "app_mention", "app_uninstalled", "file_deleted", "file_shared"),
            *("member_joined_channel", "member_left_channel", "tokens_revoked"),
            *("message.channels", "message.groups", "message.im", "message.mpim"),
        }
    )

    @property
    def app_token(self) -> str:
        return next(iter(self.app_tokens))


def workspace_url(slack: Slack, team: str) -> str:
    return f"https://{slack.workspaces[team].domain}.slack.com/"


def permalink(slack: Slack, channel: Channel, message: Message) -> str:
    """The link that people copy from a message's menu."""
    link = f"{workspace_url(slack, channel.team)}archives/{channel.id}/p{message.ts.replace('.', '')}"
    return f"{link}?thread_ts={message.thread_ts}&cid={channel.id}" if message.is_reply else link


def filetype(file: File) -> str:
    return file.name.rpartition(".")[2].lower() if "." in file.name else "binary"


def file_object(slack: Slack, file: File, origin: str) -> Json:
    """A file as files.info shows it."""
    if file.mode in ("tombstone", "hidden_by_limit"):
        return {"id": file.id, "mode": file.mode}
    slug = re.sub(r"[^a-z0-9._-]+", "_", file.name.lower())
    base = f"{origin}/files-pri/{file.team}-{file.id}"
    link = f"{workspace_url(slack, file.team)}files/{file.user}/{file.id}/{slug}"
    shown: Json = {
        "id": file.id,
        "created": file.created,
        "timestamp": file.created,
        "name": file.name,
        "title": file.title,
        "mimetype": file.mimetype,
        "filetype": filetype(file),
        "pretty_type": _PRETTY.get(filetype(file), filetype(file).upper()),
        "user": file.user,
        "user_team": slack.users[file.user].team,
        "editable": False,
        "size": len(file.data),
        "mode": file.mode,
        "is_external": file.is_external,
        "external_type": file.external_type,
        "is_public": any(slack.channels[c].kind == "channel" for c in file.shares),
        "public_url_shared": False,
        "display_as_bot": False,
        "username": "",
        "url_private": file.external_url or f"{base}/{slug}",
        "permalink": link,
        "has_rich_preview": False,
        "file_access": "visible",
        **_shares(slack, file),
    }
    if file.is_external:
        shown |= {"size": 0, "mimetype": "application/vnd.slack-remote", "external_url": file.external_url}
        shown |= {"external_id": f"external-{file.id}"}
    else:
        shown |= {"url_private_download": f"{base}/download/{slug}"}
        shown |= {"permalink_public": f"https://slack-files.com/{file.team}-{file.id}-0123456789"}
        shown |= {"media_display_type": "audio" if file.mimetype.startswith("audio/") else "video"}
    if file.subtype:
        shown |= {"subtype": file.subtype, "transcription": _transcription(file)}
        shown |= {"duration_ms": round(1000 * (file.seconds or 0))}
        if file.subtype == "slack_video":
            shown |= {"mp4": f"{origin}/files-tmb/{file.team}-{file.id}-0123456789/{slug}"}
    if file.vtt is not None:
        shown["vtt"] = f"{origin}/files-tmb/{file.team}-{file.id}-0123456789/file.vtt?_xcb=abcde"
    return shown | file.fields


def _transcription(file: File) -> Json:
    if file.transcript is None:
        return {"status": "processing"}
    preview = {"content": file.transcript[:100], "has_more": len(file.transcript) > 100}
    return {"status": "complete", "locale": "en-US", "preview": preview}


def _shares(slack: Slack, file: File) -> Json:
    channels = [slack.channels[channel] for channel in file.shares] if file.hidden_for == 0 else []
    found: Json = {"channels": [], "groups": [], "ims": [], "shares": {}}
    for channel in channels:
        found[_SHARED_DIRECTORY[channel.kind]].append(channel.id)
        where = found["shares"].setdefault("private" if channel.is_private else "public", {})
        where[channel.id] = [_share(slack, channel, ts) for ts in reversed(file.shares[channel.id])]
    return found


def _share(slack: Slack, channel: Channel, ts: str) -> Json:
    """One message that carries the file. A message that was deleted since is still named, as in Slack."""
    share: Json = {"ts": ts, "channel_name": channel.name, "team_id": channel.team}
    message = channel.messages.get(ts)
    replies = slack.replies(channel, ts)
    if message is not None:
        share["share_user_id"] = message.user
        if message.is_reply:
            share["thread_ts"] = message.thread_ts
    share |= {"reply_users": [*dict.fromkeys(reply.user for reply in replies)], "reply_count": len(replies)}
    share["reply_users_count"] = len(share["reply_users"])
    if replies:
        share |= {"latest_reply": replies[-1].ts, "thread_ts": ts}
    return share


def event_file(slack: Slack, file: File, origin: str) -> Json:
    """A file as it stands in a message: a stub where Slack Connect makes one."""
    if file.deleted:
        return {"id": file.id, "mode": "tombstone"}
    if file.stub_in_events:
        stub = {"id": file.id, "mode": "file_access", "file_access": "check_file_info"}
        return stub | {"created": 0, "timestamp": 0, "user": ""}
    shown = file_object(slack, file, origin)
    for name in ("shares", "channels", "groups", "ims"):
        shown.pop(name, None)
    return shown


def _written_by(slack: Slack, app: App, message: Message) -> Json:
    """What tells that a bot wrote a message, ours or another."""
    ours = any(installed.bot_id == message.bot_id for installed in slack.installations)
    icons = {f"image_{size}": f"https://a.slack-edge.com/bot_{size}.png" for size in (36, 48, 72)}
    app_id, name = (app.id, app.name) if ours else ("A9999999999", slack.users[message.user].real_name)
    profile: Json = {"id": message.bot_id, "app_id": app_id, "name": name, "icons": icons, "deleted": False}
    profile |= {"updated": 1_700_000_000, "team_id": message.team}
    return {"bot_id": message.bot_id, "app_id": app_id, "bot_profile": profile}


def message_object(
    slack: Slack, app: App, message: Message, origin: str, *, metadata: bool = True, subtype: bool = False
) -> Json:
    """A message as the Web API shows it. `subtype`: as an event names it, "file_share" included."""
    shown: Json = {"type": "message", "user": message.user, "text": message.text, "ts": message.ts}
    shown["team"] = message.team
    if message.subtype and (subtype or message.subtype != "file_share"):
        shown["subtype"] = message.subtype
    if message.client_msg_id:
        shown["client_msg_id"] = message.client_msg_id
    if message.blocks:
        shown["blocks"] = message.blocks
    if message.files:
        shown["files"] = [event_file(slack, slack.files[name], origin) for name in message.files]
        shown |= {"upload": True, "display_as_bot": False}
    if message.edited_ts:
        shown["edited"] = {"user": message.bot_id or message.user, "ts": message.edited_ts}
    if message.bot_id:
        shown |= _written_by(slack, app, message)
    if message.metadata:
        shown["metadata"] = message.metadata if metadata else {"event_type": message.metadata["event_type"]}
    if message.thread_ts:
        shown["thread_ts"] = message.thread_ts
    channel = slack.channels[message.channel]
    if message.is_reply and message.thread_ts in channel.messages:
        shown["parent_user_id"] = channel.messages[message.thread_ts].user
    replies = slack.replies(channel, message.ts) if message.thread_ts == message.ts else []
    if replies:
        users = [*dict.fromkeys(reply.user for reply in replies)]
        shown |= {"reply_count": len(replies), "reply_users": users, "reply_users_count": len(users)}
        shown |= {"latest_reply": replies[-1].ts, "is_locked": False, "subscribed": False}
    return shown


def channel_object(slack: Slack, channel: Channel, viewer: str, team: str) -> Json:
    """A conversation as conversations.info shows it to a member of `team`."""
    shown: Json = {"id": channel.id, "created": channel.created, "is_archived": channel.archived}
    shown |= {"is_im": channel.kind == "im", "is_org_shared": False, "context_team_id": team}
    shown["updated"] = channel.created * 1000
    if channel.kind == "im":
        return shown | {"user": next((member for member in channel.members if member != viewer), viewer)}
    empty = {"value": "", "creator": "", "last_set": 0}
    return shown | {
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": channel.kind == "channel",
        "is_group": channel.kind == "group",
        "is_mpim": channel.kind == "mpim",
        "is_private": channel.is_private,
        "is_general": False,
        "is_member": viewer in channel.members,
        "is_shared": bool(channel.shared_with),
        "is_ext_shared": bool(channel.shared_with),
        "is_pending_ext_shared": False,
        "pending_shared": [],
        "shared_team_ids": channel.teams,
        "creator": channel.creator,
        "topic": empty,
        "purpose": empty,
        "previous_names": [],
        "unlinked": 0,
    }


def user_object(slack: Slack, user_id: str) -> Json:
    user = slack.users[user_id]
    profile = {"real_name": user.real_name, "real_name_normalized": user.real_name, "display_name": user.name}
    profile |= {"display_name_normalized": user.name, "team": user.team, "title": "", "phone": ""}
    shown: Json = {"id": user.id, "team_id": user.team, "name": user.name, "deleted": user.deleted}
    shown |= {"profile": profile, "is_bot": user.is_bot, "is_app_user": False, "updated": 1_700_000_000}
    if user.deleted:
        return shown
    shown |= {"real_name": user.real_name, "tz": "Europe/Zurich", "tz_offset": 3600, "color": "9f69e7"}
    shown |= {
        "tz_label": "Central European Time",
        "is_restricted": user.is_restricted,
        "is_ultra_restricted": False,
    }
    workspace = slack.workspaces.get(user.team)
    if workspace is not None and workspace.enterprise_id:
        shown["enterprise_user"] = {
            "id": user.id,
            "enterprise_id": workspace.enterprise_id,
            "enterprise_name": workspace.enterprise_name,
            "is_admin": False,
            "is_owner": False,
            "teams": [user.team, *user.also_in],
        }
    return shown | {"is_admin": user.is_admin, "is_owner": user.is_owner, "is_primary_owner": False}


def view_object(app: App, installation: Installation, view: View) -> Json:
    """A view as the Web API and interactions show it."""
    body = {"private_metadata": "", "callback_id": "", "external_id": "", "clear_on_close": False} | view.body
    body = {"notify_on_close": False, "submit_disabled": False, "close": None, "submit": None} | body
    ids: Json = {"id": view.id, "team_id": view.team, "app_id": app.id, "bot_id": installation.bot_id}
    ids |= {"app_installed_team_id": installation.team or installation.enterprise_id, "hash": view.hash}
    return body | ids | {"state": view.state, "root_view_id": view.root, "previous_view_id": view.previous}


def callback(
    slack: Slack, app: App, installation: Installation, event: Json, *, team: str, shared: bool
) -> Json:
    """The outer body of an event."""
    authorization = {
        "enterprise_id": installation.enterprise_id,
        "team_id": installation.team,
        "user_id": installation.bot_user_id,
        "is_bot": True,
        "is_enterprise_install": installation.is_enterprise_install,
    }
    return {
        "token": app.verification_token,
        "team_id": team,
        "enterprise_id": slack.workspaces[team].enterprise_id,
        "context_team_id": team,
        "context_enterprise_id": slack.workspaces[team].enterprise_id,
        "api_app_id": app.id,
        "event": event,
        "type": "event_callback",
        "event_id": slack.new_id("Ev"),
        "event_time": int(slack.clock()),
        "authorizations": [authorization],
        "is_ext_shared_channel": shared,
        "event_context": f"4-{slack.new_id('EC')}",
    }


def message_event(slack: Slack, app: App, message: Message, origin: str) -> Json:
    """A message as its event tells it: with less than the Web API shows."""
    channel = slack.channels[message.channel]
    shown = message_object(slack, app, message, origin, metadata=False, subtype=True)
    unpublished = ["app_id", "reply_count", "reply_users", "reply_users_count", "latest_reply", "is_locked"]
    if message.subtype == "file_share":
        unpublished += ["bot_id", "bot_profile", "client_msg_id", "team"]
    for name in (*unpublished, "subscribed"):
        shown.pop(name, None)
    return shown | {"channel": channel.id, "event_ts": message.ts, "channel_type": channel.kind}


def changed_message(slack: Slack, app: App, message: Message, origin: str) -> Json:
    """A message as the events of its change and its deletion tell it."""
    shown = message_object(slack, app, message, origin, subtype=True)
    for name in ("app_id", "files", "metadata", "reply_users"):
        shown.pop(name, None)
    return shown


def file_event(kind: str, file: File, channel: Channel, user: str, event_ts: str) -> Json:
    event: Json = {"type": kind, "file_id": file.id, "user_id": user, "file": {"id": file.id}}
    return event | {"channel_id": channel.id, "event_ts": event_ts}


def place(
    slack: Slack, app: App, installation: Installation, team: str, user: str, home: str | None = None
) -> Json:
    """What every interaction says about where it comes from; `home` is the person's workspace if it is not
    `team`."""
    workspace, name = slack.workspaces[team], slack.users[user].name
    shown: Json = {"id": team, "domain": workspace.domain}
    enterprise = None
    if workspace.enterprise_id:
        enterprise = {"id": workspace.enterprise_id, "name": workspace.enterprise_name or ""}
        shown |= {
            "enterprise_id": workspace.enterprise_id,
            "enterprise_name": workspace.enterprise_name or "",
        }
    return {
        "team": shown,
        "enterprise": enterprise,
        "is_enterprise_install": installation.is_enterprise_install,
        "user": {"id": user, "username": name, "name": name, "team_id": home or team},
        "api_app_id": app.id,
        "token": app.verification_token,
    }


def pages(items: Sequence[Any], cursor: str, limit: int) -> tuple[Sequence[Any], str]:
    """One page of `items` from a cursor on, and the cursor of the next ("" after the last)."""
    start = int(cursor.removeprefix("page-")) if cursor else 0
    end = start + limit
    return items[start:end], f"page-{end}" if end < len(items) else ""


def mentions(text: str, users: Iterable[str]) -> bool:
    return any(f"<@{user}>" in text or f"<@{user}|" in text for user in users)
