"""What a bot may say in Teams: texts, cards, file cards, and how large all of it may be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.vendors.teams_cards import problems as card_problems
from tests.vendors.teams_model import ADAPTIVE, CONSENT, FILE_INFO, Conversation, Json, Microsoft
from tests.vendors.teams_traffic import Refused

MAX_MESSAGE = 100 * 1024  # bytes of the whole message as UTF-16, images in base64 left out
HERO = "application/vnd.microsoft.card.hero"
THUMBNAIL = "application/vnd.microsoft.card.thumbnail"
_CARDS = {ADAPTIVE, HERO, THUMBNAIL, CONSENT, FILE_INFO}
_FORMATS = {None, "plain", "markdown", "xml", "extendedmarkdown"}
_KNOWN = {
    *("attachmentLayout", "attachments", "callerId", "channelData", "channelId", "conversation", "entities"),
    *("expiration", "from", "id", "importance", "inputHint", "locale", "localTimestamp", "recipient"),
    *("replyToId", "serviceUrl", "speak", "suggestedActions", "summary", "text", "textFormat", "timestamp"),
    *("deliveryMode", "type", "value"),
}


def size_of(activity: Json) -> int:
    """What Teams counts: bytes of UTF-16."""
    text = json.dumps(activity, ensure_ascii=False, separators=(",", ":"))
    return len(re.sub(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]+", "", text).encode("utf-16-le"))


def check(activity: Json, conversation: Conversation, m365: Microsoft) -> None:
    """Refuse a message that Teams would not take, or not show as it is meant."""
    if size_of(activity) > MAX_MESSAGE:
        raise Refused(413, "MessageSizeTooBig", "Message size too large.")
    found = list(_problems(activity, conversation, m365))
    if found:
        raise Refused(400, "BadArgument", "; ".join(found)[:1000])


def _problems(activity: Json, conversation: Conversation, m365: Microsoft) -> Iterator[str]:
    text, attachments = activity.get("text"), activity.get("attachments") or []
    if unknown := set(activity) - _KNOWN:
        yield f"unknown fields {sorted(unknown)}"
    if not text and not attachments:
        yield "a message needs text or attachments"
    if activity.get("textFormat") not in _FORMATS:
        yield f"unknown textFormat {activity['textFormat']}"
    if activity.get("attachmentLayout") not in (None, "list", "carousel"):
        yield f"unknown attachmentLayout {activity['attachmentLayout']}"
    for entity in activity.get("entities") or ():
        if entity.get("type") == "mention" and entity.get("text", "?") not in (text or ""):
            yield f"the text does not have the mention {entity.get('text')}"
    for attachment in attachments:
        yield from attachment_problems(attachment, conversation, m365)
    actions = (activity.get("suggestedActions") or {}).get("actions", ())
    if actions and (conversation.kind != "personal" or attachments or len(actions) > 6):
        yield "suggested actions: at most six, in personal chats, without attachments"


def attachment_problems(attachment: Any, conversation: Conversation, m365: Microsoft) -> Iterator[str]:
    """What is wrong with an attachment of a message or a dialog."""
    if not isinstance(attachment, dict) or attachment.get("contentType") not in _CARDS:
        yield f"unknown attachment {str(attachment)[:100]}"
        return
    kind, content = attachment["contentType"], attachment.get("content")
    if kind == ADAPTIVE:
        yield from card_problems(content)
    elif kind in (HERO, THUMBNAIL):
        if not isinstance(content, dict) or not set(content) & {"title", "text", "subtitle", "buttons"}:
            yield "an empty card"
    elif conversation.kind != "personal":
        yield "file cards work in personal chats only"
    elif kind == CONSENT:
        yield from _consent_problems(attachment, content)
    else:
        yield from _file_problems(attachment, content, m365)


def _consent_problems(attachment: Json, content: Any) -> Iterator[str]:
    if not isinstance(content, dict) or not attachment.get("name"):
        yield "a consent card needs a name and content"
        return
    if set(content) - {"description", "sizeInBytes", "acceptContext", "declineContext"}:
        yield f"unknown content of a consent card {sorted(content)}"
    size = content.get("sizeInBytes")
    if not isinstance(size, int) or size <= 0:
        yield "sizeInBytes must be a positive number"


def _file_problems(attachment: Json, content: Any, m365: Microsoft) -> Iterator[str]:
    if not isinstance(content, dict):
        yield "a file card needs content"
        return
    items = (item for drive in m365.drives.values() for item in drive.items.values())
    item = next((i for i in items if i.unique_id == content.get("uniqueId")), None)
    if item is None:
        yield f"there is no file {content.get('uniqueId')}"
    elif attachment.get("contentUrl") != m365.web_url(item):
        yield "the contentUrl is not that of the file"
    elif attachment.get("name") != item.name or content.get("fileType") != item.extension:
        yield "name and fileType are not those of the file"
