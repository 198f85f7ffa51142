"""What a Microsoft 365 holds: tenants, people, teams, conversations and messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.vendors.teams_items import DriveItem, Items

Json = dict[str, Any]
Kind = Literal["personal", "groupChat", "channel", "oneOnOne"]
"""`personal` is a person with the bot, `oneOnOne` two people."""

ADAPTIVE = "application/vnd.microsoft.card.adaptive"
CONSENT = "application/vnd.microsoft.teams.card.file.consent"
FILE_INFO = "application/vnd.microsoft.teams.card.file.info"
DOWNLOAD_INFO = "application/vnd.microsoft.teams.file.download.info"


@dataclass(slots=True, kw_only=True)
class Tenant:
    id: str
    name: str
    domain: str


@dataclass(slots=True, kw_only=True)
class User:
    """A person. `id` is that of the directory, `mri` that in activities."""

    id: str
    mri: str
    tenant: str
    name: str
    mail: str
    guest: bool = False
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What a message said since `at` (seconds of the server's clock). `activity` is the bot's, if it sent."""

    at: float
    text: str
    attachments: Sequence[Json]
    activity: Json | None = None


@dataclass(slots=True, kw_only=True)
class Message:
    """`text` is what people read, without mentions. `sender` is a user's id, None for an app: `app`, or the
    bot. `root` is the id of the post whose thread it is in (channels), `quotes` that of the message it
    answers (chats). `mentions` are ids in activities and names. `files` are the ids of its attachments and
    the items. `attachments` are those of the bot. `event` is what Teams tells of a meeting. `views` are the
    cards that single people see instead."""

    id: str
    conversation: str
    sender: str | None
    text: str
    at: float
    root: str | None = None
    quotes: str | None = None
    mentions: list[tuple[str, str]] = field(default_factory=list)
    files: dict[str, DriveItem] = field(default_factory=dict)
    attachments: list[Json] = field(default_factory=list)
    event: Json | None = None
    edited_at: float | None = None
    deleted_at: float | None = None
    versions: list[Version] = field(default_factory=list)
    views: dict[str, Json] = field(default_factory=dict)
    app: str = ""

    @property
    def is_of_bot(self) -> bool:
        return self.sender is None and not self.app

    @property
    def is_reply(self) -> bool:
        return self.root is not None and self.root != self.id

    @property
    def seen_at(self) -> float:
        """When it was last changed."""
        return max(filter(None, (self.at, self.edited_at, self.deleted_at)))

    @property
    def deleted(self) -> bool:
        return self.deleted_at is not None

    @property
    def card(self) -> Json:
        """The Adaptive Card that it shows."""
        for attachment in self.attachments:
            if attachment["contentType"] == ADAPTIVE:
                card: Json = attachment["content"]
                return card
        raise AssertionError(f"message {self.id} has no Adaptive Card")

    @property
    def has_card(self) -> bool:
        return any(a["contentType"] == ADAPTIVE for a in self.attachments)

    @property
    def shown(self) -> str:
        """All text that a person sees, line by line."""
        cards = (line for a in self.attachments for line in shown_texts(a.get("content")))
        return "\n".join(filter(None, [self.text, *cards]))


_TEXTS = ("text", "title", "subtitle", "value", "label", "placeholder", "description", "altText")


def shown_texts(part: Any) -> Iterator[str]:
    """Every text of a card, in order; hidden data of its actions is not shown."""
    if isinstance(part, list):
        for item in part:
            yield from shown_texts(item)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key in _TEXTS and isinstance(value, str):
                yield value
            elif isinstance(value, (dict, list)) and key not in ("data", "acceptContext", "declineContext"):
                yield from shown_texts(value)


@dataclass(slots=True, kw_only=True)
class Conversation:
    """A chat or a channel. `members` are user ids. `installed` is whether the bot is in it (for channels, the
    team decides); `chat_id` how Graph names it. `gone` is after it was deleted."""

    id: str
    kind: Kind
    tenant: str
    name: str
    members: list[str] = field(default_factory=list)
    team: str | None = None
    chat_id: str = ""
    installed: bool = False
    rsc: frozenset[str] = frozenset()
    blocked: bool = False
    gone: bool = False
    folder: str = ""
    messages: dict[str, Message] = field(default_factory=dict)

    @property
    def is_group(self) -> bool:
        return self.kind in ("groupChat", "channel")


@dataclass(slots=True, kw_only=True)
class Team:
    """`id` is that of the directory's group, `thread_id` that in activities (its first channel's)."""

    id: str
    thread_id: str
    tenant: str
    name: str
    drive: str
    owners: list[str]
    members: list[str]
    channels: list[str] = field(default_factory=list)
    installed: bool = False
    rsc: frozenset[str] = frozenset()


@dataclass(slots=True)
class Microsoft(Items):
    """Everything that is remembered."""

    tenants: dict[str, Tenant] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    teams: dict[str, Team] = field(default_factory=dict)
    conversations: dict[str, Conversation] = field(default_factory=dict)
    _last: int = 0

    def message_id(self) -> str:
        """Milliseconds since 1970, later than every id before."""
        self._last = max(round(self.clock() * 1000), self._last + 1)
        return str(self._last)

    def find(self, conversation: str) -> tuple[Conversation | None, str | None]:
        """A conversation by its id in activities, and the post that `;messageid=` names."""
        base, _, root = conversation.partition(";messageid=")
        return self.conversations.get(base), root or None

    def installed(self, conversation: Conversation) -> bool:
        """Whether the bot is in a conversation."""
        if conversation.team is not None:
            return self.teams[conversation.team].installed
        return conversation.installed

    def rsc(self, conversation: Conversation) -> frozenset[str]:
        """What the installation in a conversation may read there."""
        if not self.installed(conversation):
            return frozenset()
        return conversation.rsc if conversation.team is None else self.teams[conversation.team].rsc

    def members(self, conversation: Conversation) -> list[str]:
        if conversation.team is not None and not conversation.members:
            return self.teams[conversation.team].members
        return conversation.members

    def replies(self, conversation: Conversation, root: str) -> list[Message]:
        """The replies of a post, the post not among them."""
        return [m for m in conversation.messages.values() if m.root == root and m.id != root]
