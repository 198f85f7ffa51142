"""What Teams and Graph write about a conversation: activities for the bot, messages for readers."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

from tests.vendors.teams_items import DriveItem, stamp
from tests.vendors.teams_login import App
from tests.vendors.teams_model import DOWNLOAD_INFO, Conversation, Json, Message, Microsoft, User

_LINK = re.compile(r"https?://[^\s<>]+")
_TYPES = {"personal": "personal", "oneOnOne": "personal", "groupChat": "groupChat", "channel": "channel"}
_TOLD_AS = {"messageUndelete": "messageUpdate"}
_EVENTS = {
    "messageDelete": "softDeleteMessage",
    "messageUpdate": "editMessage",
    "messageUndelete": "undeleteMessage",
}
CLIENT = {"locale": "en-GB", "country": "GB", "platform": "Web", "timezone": "Europe/London"}


@dataclass(slots=True)
class Payloads:
    """`placeholders` is whether the HTML that a bot gets has an <attachment> for every file."""

    m365: Microsoft
    app: App
    service_url: Callable[[str], str]
    download_url: Callable[[DriveItem], str]
    placeholders: bool = True

    # Activities

    def account(self, user: User) -> Json:
        return {"id": user.mri, "name": user.name, "aadObjectId": user.id}

    def conversation(self, conversation: Conversation, root: str | None = None) -> Json:
        """Where something happened; a post of a channel has its thread in the id."""
        shown: Json = {"isGroup": True} if conversation.is_group else {}
        shown |= {"conversationType": _TYPES[conversation.kind], "tenantId": conversation.tenant}
        return shown | {"id": conversation.id + (f";messageid={root}" if root else "")}

    def channel_data(self, conversation: Conversation, **more: Any) -> Json:
        data: Json = {}
        if conversation.team is not None:
            thread = self.m365.teams[conversation.team].thread_id
            data = {"teamsChannelId": conversation.id, "teamsTeamId": thread}
            data |= {"channel": {"id": conversation.id}, "team": {"id": thread}}
        return data | {"tenant": {"id": conversation.tenant}} | more

    def activity(
        self, kind: str, conversation: Conversation, user: User, *, root: str | None = None, **more: Any
    ) -> Json:
        """What every activity has; `more` adds or replaces fields."""
        now = stamp(self.m365.clock())
        activity: Json = {"type": kind, "id": f"f:{uuid.uuid4()}", "channelId": "msteams"}
        activity |= {"timestamp": now, "localTimestamp": now[:-1] + "+00:00"}
        activity |= {"serviceUrl": self.service_url(conversation.tenant), "from": self.account(user)}
        activity["conversation"] = self.conversation(conversation, root)
        activity["recipient"] = {"id": self.app.bot, "name": self.app.name}
        activity["channelData"] = self.channel_data(conversation)
        activity |= {"locale": "en-GB", "localTimezone": "Europe/London"}
        activity["entities"] = [CLIENT | {"type": "clientInfo"}]
        return activity | more

    def message(self, kind: str, conversation: Conversation, message: Message, user: User) -> Json:
        """A message that a person wrote, changed ("messageUpdate"), deleted ("messageDelete") or brought back
        ("messageUndelete", which Teams tells as a change)."""
        root = message.root if conversation.kind == "channel" else None
        activity = self.activity(_TOLD_AS.get(kind, kind), conversation, user, root=root, id=message.id)
        if kind in _EVENTS:
            activity["channelData"]["eventType"] = _EVENTS[kind]
        if kind == "messageDelete":
            return activity
        spans = "".join(f"<at>{name}</at> " for _, name in message.mentions)
        activity |= {"text": spans + message.text, "textFormat": "plain"}
        activity["attachments"] = [{"contentType": "text/html", "content": self._bot_html(message)}]
        if conversation.kind == "personal":
            activity["attachments"] += [self.download_info(item) for item in message.files.values()]
        activity["entities"] = [
            {"type": "mention", "text": f"<at>{name}</at>", "mentioned": {"id": mri, "name": name}}
            for mri, name in message.mentions
        ] + activity["entities"]
        return activity

    def download_info(self, item: DriveItem) -> Json:
        """A file sent to the bot in its personal chat."""
        content = {"downloadUrl": self.download_url(item), "uniqueId": item.unique_id}
        content |= {"fileType": item.extension, "etag": item.etag}
        attachment: Json = {"contentType": DOWNLOAD_INFO, "contentUrl": self.m365.web_url(item)}
        return attachment | {"name": item.name, "content": content}

    def _bot_html(self, message: Message) -> str:
        quoted = ""
        if message.quotes is not None:
            original = self.m365.conversations[message.conversation].messages[message.quotes]
            name, mri = self._author(original)
            quoted = (
                '<blockquote itemscope="" itemtype="http://schema.skype.com/Reply" '
                f'itemid="{original.id}"><strong itemprop="mri" itemid="{mri}">{escape(name)}</strong>'
                f'<span itemprop="time" itemid="{original.id}"></span>'
                f'<p itemprop="preview">{escape(original.text[:100])}</p></blockquote>'
            )
        spans = "".join(
            f'<span itemscope="" itemtype="http://schema.skype.com/Mention" itemid="{number}">'
            f"{escape(name)}</span>&nbsp;"
            for number, (_, name) in enumerate(message.mentions)
        )
        files = "".join(f'<attachment id="{name}"></attachment>' for name in message.files)
        return f"{quoted}<p>{spans}{_html(message.text)}</p>{files if self.placeholders else ''}"

    def _author(self, message: Message) -> tuple[str, str]:
        if message.sender is None:
            return self.app.name, self.app.bot
        return self.m365.users[message.sender].name, f"8:orgid:{message.sender}"

    # Messages for readers

    def _content(self, message: Message) -> str:
        spans = "".join(
            f'<at id="{number}">{escape(name)}</at>&nbsp;'
            for number, (_, name) in enumerate(message.mentions)
        )
        quoted = f'<attachment id="{message.quotes}"></attachment>' if message.quotes else ""
        files = "".join(f'<attachment id="{name}"></attachment>' for name in message.files)
        return f"{quoted}<p>{spans}{_html(message.text)}</p>{files}"

    def _from(self, message: Message, *, graph: bool) -> Json:
        nobody: Json = {"application": None, "device": None, "user": None}
        if not graph:
            nobody["conversation"] = None
        if message.sender is None:
            bot = {"applicationIdentityType": "bot", "id": message.app or self.app.id}
            bot["displayName"] = "Another app" if message.app else self.app.name
            return nobody | {"application": bot}
        user = self.m365.users[message.sender]
        shown = {"userIdentityType": "aadUser", "id": user.id, "displayName": user.name}
        return nobody | {"user": shown | ({"tenantId": user.tenant} if graph else {})}

    def _mentions(self, message: Message) -> list[Json]:
        found: list[Json] = []
        for number, (mri, name) in enumerate(message.mentions):
            who: Json = {"application": None, "device": None, "conversation": None, "user": None}
            user = next((u for u in self.m365.users.values() if u.mri == mri), None)
            if user is None:
                who["application"] = {"applicationIdentityType": "bot", "id": mri[3:], "displayName": name}
            else:
                who["user"] = {"userIdentityType": "aadUser", "id": user.id, "displayName": name}
            found.append({"id": number, "mentionText": name, "mentioned": who})
        return found

    def attachments(self, message: Message) -> list[Json]:
        """Files (by address, without content), cards, and the message that is quoted."""
        found: list[Json] = []
        empty: Json = {"contentUrl": None, "content": None, "name": None, "thumbnailUrl": None}
        if message.quotes is not None:
            original = self.m365.conversations[message.conversation].messages[message.quotes]
            reference: Json = {"messageId": original.id, "messagePreview": original.text[:100]}
            reference |= {"messageSender": self._from(original, graph=True)}
            found.append(
                empty
                | {
                    "id": original.id,
                    "contentType": "messageReference",
                    "content": json.dumps(reference),
                }
            )
        for name, item in message.files.items():
            file = {"id": name, "contentType": "reference", "contentUrl": self.m365.web_url(item)}
            found.append(empty | file | {"name": item.name})
        for number, card in enumerate(message.attachments):
            content = json.dumps(card.get("content"))
            kind = {"id": f"{message.id}-{number}", "contentType": card["contentType"], "content": content}
            found.append(empty | kind | {"name": card.get("name")})
        return found

    def link(self, conversation: Conversation, message: Message) -> str:
        """The address of a message in Teams."""
        url = f"https://teams.microsoft.com/l/message/{quote(conversation.id, safe='')}/{message.id}"
        if conversation.team is not None:
            return f"{url}?groupId={conversation.team}&parentMessageId={message.root}"
        return f"{url}?context=%7B%22contextType%22%3A%22chat%22%7D"

    def command_payload(self, conversation: Conversation, message: Message) -> Json:
        """The message that a message command is used on."""
        reply = message.root if message.is_reply else None
        payload: Json = {"id": message.id, "replyToId": reply, "deleted": message.deleted, "subject": None}
        payload |= {"linkToMessage": self.link(conversation, message), "summary": None, "locale": "en-gb"}
        payload |= {"createdDateTime": stamp(message.at), "importance": "normal", "messageType": "message"}
        payload["lastModifiedDateTime"] = stamp(message.edited_at) if message.edited_at else None
        payload["body"] = {"contentType": "html", "content": self._content(message)}
        payload["from"] = self._from(message, graph=False)
        payload["attachments"] = self.attachments(message)
        return payload | {"mentions": self._mentions(message), "reactions": []}

    def graph_message(self, conversation: Conversation, message: Message, *, unknown: bool = False) -> Json:
        """A chatMessage; `unknown` is whether the reader asked for kinds newer than Graph's version."""
        shown: Json = {"id": message.id, "etag": str(round(message.seen_at * 1000)), "subject": None}
        shown["replyToId"] = message.root if message.is_reply else None
        shown["messageType"] = "message"
        shown |= {"createdDateTime": stamp(message.at), "lastModifiedDateTime": stamp(message.seen_at)}
        shown["lastEditedDateTime"] = stamp(message.edited_at) if message.edited_at else None
        shown["deletedDateTime"] = stamp(message.deleted_at) if message.deleted_at else None
        shown |= {"summary": None, "importance": "normal", "locale": "en-gb", "policyViolation": None}
        shown |= {"chatId": conversation.chat_id or None, "webUrl": None, "channelIdentity": None}
        if conversation.team is not None:
            shown["channelIdentity"] = {"teamId": conversation.team, "channelId": conversation.id}
            shown["webUrl"] = self.link(conversation, message)
        shown["from"] = self._from(message, graph=True)
        shown["body"] = {"contentType": "html", "content": self._content(message)}
        shown |= {"attachments": self.attachments(message), "mentions": self._mentions(message)}
        shown |= {"reactions": [], "messageHistory": [], "eventDetail": message.event}
        if message.deleted:
            shown |= {"body": {"contentType": "html", "content": ""}, "attachments": [], "mentions": []}
        if message.event is not None:
            shown["messageType"] = "systemEventMessage" if unknown else "unknownFutureValue"
            shown |= {"from": None, "body": {"contentType": "html", "content": "<systemEventMessage/>"}}
        return shown


def _html(text: str) -> str:
    """Text as HTML, with its addresses as links."""
    parts, end = [], 0
    for link in _LINK.finditer(text):
        url = escape(link.group())
        parts += [escape(text[end : link.start()]), f'<a href="{url}" title="{url}">{url}</a>']
        end = link.end()
    return "".join([*parts, escape(text[end:])]).replace("\n", "<br>")
