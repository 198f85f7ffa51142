"""What Teams tells the app, as far as we read it, and where it can be answered."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, Literal

from bots.teams.records import Attachment, Json, mapping, objects, text

Kind = Literal["personal", "groupChat", "channel"]

DOWNLOAD: Final = "application/vnd.microsoft.teams.file.download.info"
"""The content type of a file that somebody sent to the app in its personal chat."""

_THREAD: Final = ";messageid="


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A place where the app can speak: it can be kept, and used much later.

    `conversation` is a chat or a channel; in a channel, `root` is the post whose thread is meant, empty for a
    new post. `bot` is the app's own id there. `service_url` is the address that Teams vouched for.
    """

    service_url: str
    conversation: str
    root: str = ""
    kind: Kind
    tenant: str
    bot: str

    @property
    def id(self) -> str:
        """The conversation as the Bot Connector names it, with its thread."""
        return f"{self.conversation}{_THREAD}{self.root}" if self.root else self.conversation

    def to_json(self) -> str:
        """The same as text, for `from_json`."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}, separators=(",", ":"))

    @classmethod
    def from_json(cls, kept: str) -> Reference:
        """What `to_json` made. Raises ValueError for anything else."""
        found = mapping(json.loads(kept))
        kind = _kind(text(found, "kind"))
        if kind is None or not all(text(found, name) for name in ("service_url", "conversation", "bot")):
            raise ValueError("no reference to a conversation")
        return cls(kind=kind, **{name: text(found, name) for name in cls.__slots__ if name != "kind"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file that somebody sent to the app in its personal chat. `url` needs no token, for a short time."""

    name: str
    url: str
    unique_id: str = ""
    file_type: str = ""
    etag: str = ""
    web_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """An activity whose sender was checked.

    `kind` is "message", "messageUpdate", "messageDelete", "conversationUpdate", "installationUpdate",
    "invoke" or another of Teams', `name` what an invoke is about, `value` what came with it, `event` what
    `channelData.eventType` says, `action` what an installationUpdate does. `id` is the message's in its
    conversation, except for invokes. `user_chat_id` ("29:...") and `user` (the directory's id) are who did
    it. `thread` and `group` are a team's id in activities and in the directory, the latter often empty;
    `channel` is a channel's, `mentioned` the ids of those who are mentioned. `payload` is all of it.
    """

    kind: str
    id: str
    where: Reference
    name: str = ""
    action: str = ""
    event: str = ""
    user: str = ""
    user_chat_id: str = ""
    user_name: str = ""
    text: str = ""
    reply_to: str = ""
    value: Json
    locale: str = ""
    thread: str = ""
    group: str = ""
    channel: str = ""
    meeting: str = ""
    mentioned: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    downloads: tuple[Download, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    payload: Json

    @classmethod
    def from_payload(cls, payload: object) -> Incoming:
        """The activity of a request, or one that was kept. Raises ValueError if it can't be answered: no
        place, no kind, or not of Teams."""
        activity = mapping(payload)
        sender, channel_data = mapping(activity.get("from")), mapping(activity.get("channelData"))
        team = mapping(channel_data.get("team"))
        attached = objects(activity.get("attachments"))
        if not text(activity, "type"):
            raise ValueError("an activity needs a type")
        return cls(
            kind=text(activity, "type"),
            id=text(activity, "id"),
            where=_place(activity),
            name=text(activity, "name"),
            action=text(activity, "action"),
            event=text(channel_data, "eventType"),
            user=text(sender, "aadObjectId"),
            user_chat_id=text(sender, "id"),
            user_name=text(sender, "name"),
            text=text(activity, "text"),
            reply_to=text(activity, "replyToId"),
            value=mapping(activity.get("value")),
            locale=text(activity, "locale"),
            thread=text(team, "id") or text(channel_data, "teamsTeamId"),
            group=text(team, "aadGroupId"),
            channel=text(mapping(channel_data.get("channel")), "id") or text(channel_data, "teamsChannelId"),
            meeting=text(mapping(channel_data.get("meeting")), "id"),
            mentioned=tuple(
                text(mapping(each.get("mentioned")), "id")
                for each in objects(activity.get("entities"))
                if text(each, "type") == "mention"
            ),
            attachments=tuple(map(Attachment.from_payload, attached)),
            downloads=tuple(_download(each) for each in attached if text(each, "contentType") == DOWNLOAD),
            added=_ids(activity.get("membersAdded")),
            removed=_ids(activity.get("membersRemoved")),
            payload=activity,
        )

    @property
    def mentions_app(self) -> bool:
        """Whether the app itself is mentioned."""
        return self.where.bot in self.mentioned


def tenant_of(activity: Json) -> str:
    """The organisation in which something happened; empty if the activity does not say."""
    named = text(mapping(activity.get("conversation")), "tenantId")
    return named or text(mapping(mapping(activity.get("channelData")).get("tenant")), "id")


def _place(activity: Json) -> Reference:
    conversation = mapping(activity.get("conversation"))
    named, _, root = text(conversation, "id").partition(_THREAD)
    kind = _kind(text(conversation, "conversationType")) or _guessed(
        named, group=bool(conversation.get("isGroup"))
    )
    bot, service_url = text(mapping(activity.get("recipient")), "id"), text(activity, "serviceUrl")
    if not named or not bot or not service_url:
        raise ValueError("an activity needs a conversation, a recipient and a service")
    return Reference(
        service_url=service_url,
        conversation=named,
        root=root if kind == "channel" and re.fullmatch(r"\d{1,20}", root) else "",
        kind=kind,
        tenant=tenant_of(activity),
        bot=bot,
    )


def _kind(named: str) -> Kind | None:
    kinds: dict[str, Kind] = {"personal": "personal", "groupchat": "groupChat", "channel": "channel"}
    return kinds.get(named.lower())


def _guessed(conversation: str, *, group: bool) -> Kind:
    """What kind of conversation it is where Teams does not say."""
    if conversation.endswith(("@thread.tacv2", "@thread.skype")):
        return "channel"
    return "groupChat" if group or conversation.endswith("@thread.v2") else "personal"


def _download(attachment: Json) -> Download:
    content = mapping(attachment.get("content"))
    return Download(
        name=text(attachment, "name"),
        url=text(content, "downloadUrl"),
        unique_id=text(content, "uniqueId"),
        file_type=text(content, "fileType").lower(),
        etag=text(content, "etag"),
        web_url=text(attachment, "contentUrl"),
    )


def _ids(members: object) -> tuple[str, ...]:
    return tuple(filter(None, (text(each, "id") for each in objects(members))))
