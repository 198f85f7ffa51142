"""What Graph's answers say, as far as we read it. What is missing or odd there is empty here."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import unquote, urlsplit

Json = Mapping[str, Any]

REFERENCE: Final = "reference"
"""The content type of a file in a message; `url` of such an attachment is its address in SharePoint."""

_QUOTE: Final = "messageReference"
_RECORDING: Final = "#microsoft.graph.callRecordingEventMessageDetail"
_MOST_LINKS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A conversation as Graph names it: a channel of a team (the directory's id), or a chat."""

    team: str = ""
    channel: str = ""
    chat: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What hangs on a message. `content` is whatever the kind says, as text."""

    id: str = ""
    kind: str = ""
    name: str = ""
    url: str = ""
    content: str = ""

    @classmethod
    def from_payload(cls, payload: object) -> Attachment:
        """An attachment of a chatMessage, or of the message that a message command is used on."""
        found = mapping(payload)
        return cls(
            id=text(found, "id"),
            kind=text(found, "contentType"),
            name=text(found, "name"),
            url=text(found, "contentUrl"),
            content=text(found, "content"),
        )

    @property
    def is_file(self) -> bool:
        """Whether it is a file in SharePoint or OneDrive."""
        return self.kind == REFERENCE and bool(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage:
    """A message. `user` is the directory's id of who wrote it, empty if that was an app (`app`). `root` is
    the post whose thread it is in, `quotes` are the messages that it answers, `links` the addresses in its
    text, `recording` that of a meeting's recording once it is there, `recording_name` its title, and
    `recorded_by` who began it, by the directory's id."""

    id: str
    root: str = ""
    user: str = ""
    user_name: str = ""
    app: str = ""
    html: str = ""
    etag: str = ""
    deleted: bool = False
    attachments: tuple[Attachment, ...] = ()
    quotes: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    recording: str = ""
    recording_name: str = ""
    recorded_by: str = ""
    url: str = ""

    @classmethod
    def from_payload(cls, payload: object) -> ChatMessage:
        """A chatMessage of Graph, or the message that a message command is used on."""
        message = mapping(payload)
        sender = mapping(message.get("from"))
        user, app = mapping(sender.get("user")), mapping(sender.get("application"))
        body = mapping(message.get("body"))
        html = text(body, "content")
        attachments = tuple(map(Attachment.from_payload, objects(message.get("attachments"))))
        event = mapping(message.get("eventDetail"))
        recorded = text(event, "@odata.type") == _RECORDING
        recorded = recorded and text(event, "callRecordingStatus") in {"success", ""}
        return cls(
            id=text(message, "id"),
            root=text(message, "replyToId"),
            user=text(user, "id"),
            user_name=text(user, "displayName"),
            app=text(app, "id"),
            html=html,
            etag=text(message, "etag"),
            deleted=bool(text(message, "deletedDateTime")) or message.get("deleted") is True,
            attachments=attachments,
            quotes=tuple(filter(None, map(_quoted, attachments))),
            links=links_in(html) if text(body, "contentType") == "html" else (),
            recording=text(event, "callRecordingUrl") if recorded else "",
            recording_name=text(event, "callRecordingDisplayName") if recorded else "",
            recorded_by=text(mapping(mapping(event.get("initiator")).get("user")), "id") if recorded else "",
            url=text(message, "webUrl") or text(message, "linkToMessage"),
        )

    @property
    def files(self) -> tuple[Attachment, ...]:
        """Its files in SharePoint and OneDrive."""
        return tuple(each for each in self.attachments if each.is_file)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveItem:
    """A file or folder in OneDrive or SharePoint. `size` in bytes. `etag` changes with the item, `ctag` with
    its content only. `maker` is who made it, by the directory's id, empty for an app."""

    drive: str
    id: str
    name: str = ""
    size: int = 0
    mime_type: str = ""
    parent: str = ""
    etag: str = ""
    ctag: str = ""
    web_url: str = ""
    is_folder: bool = False
    maker: str = ""

    @classmethod
    def from_payload(cls, payload: object) -> DriveItem:
        """A driveItem; one that is a link to something in another drive is that thing."""
        item = mapping(payload)
        remote = item.get("remoteItem")
        if isinstance(remote, dict):
            item = {**item, **remote}
        parent, file = mapping(item.get("parentReference")), item.get("file")
        size = item.get("size")
        return cls(
            drive=text(parent, "driveId"),
            id=text(item, "id"),
            name=text(item, "name"),
            size=size if isinstance(size, int) and size > 0 else 0,
            mime_type=text(mapping(file), "mimeType").lower(),
            parent=text(parent, "id"),
            etag=text(item, "eTag"),
            ctag=text(item, "cTag"),
            web_url=text(item, "webUrl"),
            is_folder=isinstance(item.get("folder"), dict) or not isinstance(file, dict),
            maker=text(mapping(mapping(item.get("createdBy")).get("user")), "id"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """A document library, or somebody's OneDrive. `web_url` is where its files begin, `team` whose library it
    is, by the directory's id."""

    id: str
    web_url: str
    team: str = ""

    @classmethod
    def from_payload(cls, payload: object) -> Drive:
        """A drive of Graph."""
        found = mapping(payload)
        group = mapping(mapping(found.get("owner")).get("group"))
        return cls(id=text(found, "id"), web_url=text(found, "webUrl"), team=text(group, "id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Who can open a file: `people`, by the directory's ids, and whoever has the `link`; `for_all`: everybody
    in the organisation who does, otherwise only those people."""

    people: frozenset[str]
    link: str = ""
    for_all: bool = False

    @classmethod
    def from_payload(cls, payload: object) -> Grant:
        """A permission of Graph."""
        found = mapping(payload)
        several = (*objects(found.get("grantedToIdentitiesV2")), *objects(found.get("grantedToIdentities")))
        whom = [mapping(found.get("grantedToV2")), mapping(found.get("grantedTo")), *several]
        link = mapping(found.get("link"))
        return cls(
            people=frozenset(filter(None, (text(mapping(each.get("user")), "id").lower() for each in whom))),
            link=text(link, "webUrl"),
            for_all=text(link, "scope") in {"anonymous", "organization"},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody. `id` is the directory's; `chat_id` how activities name them ("29:..."), empty from Graph."""

    id: str
    name: str = ""
    mail: str = ""
    chat_id: str = ""
    tenant: str = ""
    is_owner: bool = False
    is_guest: bool = False

    @classmethod
    def from_payload(cls, payload: object) -> Person:
        """A user or a member of Graph, or a member of the Bot Connector."""
        found = mapping(payload)
        roles = texts(found.get("roles"))
        aad = text(found, "userId") or text(found, "aadObjectId") or text(found, "objectId")
        principal = text(found, "userPrincipalName")
        return cls(
            id=aad or text(found, "id"),
            name=text(found, "displayName") or text(found, "name"),
            mail=text(found, "mail") or text(found, "email") or principal,
            chat_id=text(found, "id") if text(found, "id").startswith("29:") else "",
            tenant=text(found, "tenantId"),
            is_owner="owner" in roles or text(found, "userRole") == "owner",
            is_guest="guest" in roles or "#ext#" in principal.lower(),
        )


def share_token(url: str) -> str:
    """How Graph names what an address in SharePoint or OneDrive points to."""
    return "u!" + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def below(url: str, folder_url: str) -> str | None:
    """The path of the file at `url` from the folder or drive at `folder_url`, None if it is not in there.
    Both are addresses in SharePoint; capitals make no difference there."""
    try:
        file, folder = urlsplit(url), urlsplit(folder_url)
    except ValueError:
        return None
    path, base = unquote(file.path), unquote(folder.path).rstrip("/") + "/"
    same = file.netloc.lower() == folder.netloc.lower() and path.lower().startswith(base.lower())
    rest = path[len(base) :].strip("/")
    parts = rest.split("/")
    return rest if same and len(base) > 1 and all(part not in {"", ".", ".."} for part in parts) else None


def links_in(html: str) -> tuple[str, ...]:
    """The addresses that a message's text links to, each once."""
    found = _Links()
    found.feed(html)
    return tuple(dict.fromkeys(found.urls))[:_MOST_LINKS]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.urls += [value for name, value in attrs if name == "href" and value]


def _quoted(attachment: Attachment) -> str:
    if attachment.kind != _QUOTE:
        return ""
    try:
        named = text(mapping(json.loads(attachment.content)), "messageId")
    except (ValueError, RecursionError):
        named = ""
    return named or (attachment.id if re.fullmatch(r"\d{1,20}", attachment.id) else "")


def mapping(value: object) -> Json:
    """The JSON object, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> tuple[Json, ...]:
    """The objects of a JSON array, none for anything else."""
    return tuple(each for each in value if isinstance(each, dict)) if isinstance(value, list) else ()


def texts(value: object) -> tuple[str, ...]:
    """The strings of a JSON array, none for anything else."""
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def text(payload: Json, key: str) -> str:
    """The string under `key`, an empty one for anything else."""
    value = payload.get(key)
    return value if isinstance(value, str) else ""
