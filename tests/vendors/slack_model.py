"""What a Slack holds: workspaces, people, conversations, messages, files, installations and views."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
Kind = Literal["channel", "group", "im", "mpim"]

KIND_NAMES: Mapping[Kind, str] = {
    "channel": "public_channel",
    "group": "private_channel",
    "im": "im",
    "mpim": "mpim",
}
"""Kind of a conversation -> the name that `types` of users.conversations has for it."""


class Refused(Exception):
    """An answer with `ok: false`. `extra` goes into the answer beside the error."""

    def __init__(self, error: str, **extra: Any) -> None:
        super().__init__(f"{error} {extra}" if extra else error)
        self.error = error
        self.extra = extra


@dataclass(slots=True, kw_only=True)
class Workspace:
    id: str
    name: str
    domain: str
    enterprise_id: str | None = None
    enterprise_name: str | None = None


@dataclass(slots=True, kw_only=True)
class User:
    """A person or a bot. `team` is a workspace, or an enterprise for the bot of an org-wide install, and
    `also_in` other workspaces of the enterprise."""

    id: str
    team: str
    name: str
    real_name: str
    is_bot: bool = False
    is_admin: bool = False
    is_owner: bool = False
    is_restricted: bool = False
    deleted: bool = False
    also_in: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A message's content since `at` (seconds of the server's clock)."""

    at: float
    text: str
    blocks: Sequence[Json]


@dataclass(slots=True, kw_only=True)
class Message:
    """`files` are ids. `deleted` remains in the thread as a tombstone. `versions` starts with the first."""

    ts: str
    channel: str
    user: str
    text: str
    team: str
    thread_ts: str | None = None
    subtype: str | None = None
    blocks: list[Json] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    metadata: Json | None = None
    bot_id: str | None = None
    client_msg_id: str | None = None
    edited_ts: str | None = None
    deleted: bool = False
    versions: list[Version] = field(default_factory=list)

    @property
    def is_reply(self) -> bool:
        return self.thread_ts is not None and self.thread_ts != self.ts

    @property
    def shown(self) -> str:
        """All text that a person sees, line by line; the fallback text where there are no blocks."""
        return "\n".join(shown_texts(self.blocks)) if self.blocks else self.text


def shown_texts(part: Any) -> Iterator[str]:
    """Every text of blocks, in order."""
    if isinstance(part, list):
        for item in part:
            yield from shown_texts(item)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key == "text" and isinstance(value, str):
                yield value
            elif isinstance(value, (dict, list)):
                yield from shown_texts(value)


@dataclass(slots=True, kw_only=True)
class Ephemeral:
    """What only `user` sees."""

    ts: str
    channel: str
    user: str
    text: str
    blocks: list[Json] = field(default_factory=list)
    thread_ts: str | None = None

    @property
    def shown(self) -> str:
        return "\n".join(shown_texts(self.blocks)) if self.blocks else self.text


@dataclass(slots=True, kw_only=True)
class Channel:
    """A conversation. `team` hosts it, `shared_with` are other workspaces in it (Slack Connect). Where it is
    `restricted`, its settings let no app post."""

    id: str
    team: str
    name: str
    kind: Kind
    creator: str
    created: int
    members: list[str] = field(default_factory=list)
    shared_with: list[str] = field(default_factory=list)
    archived: bool = False
    restricted: bool = False
    messages: dict[str, Message] = field(default_factory=dict)

    @property
    def is_private(self) -> bool:
        return self.kind != "channel"

    @property
    def teams(self) -> list[str]:
        return [self.team, *self.shared_with]


@dataclass(slots=True, kw_only=True)
class File:
    """A file. `shares` is channel -> messages that carry it; `fields` overrides what its object says.

    For downloads: `cuts` are byte counts after which the next connections end, `redirects` where the next
    requests are sent, `announces` a wrong Content-Length, `ignores_ranges` answers 200 to a Range.
    `hidden_for` is how many more requests of files.info do not see the shares.
    """

    id: str
    team: str
    user: str
    name: str
    title: str
    mimetype: str
    data: bytes
    created: int
    mode: str = "hosted"
    subtype: str | None = None
    external_type: str = ""
    external_url: str | None = None
    transcript: str | None = None
    vtt: str | None = None
    seconds: float | None = None
    stub_in_events: bool = False
    shares: dict[str, list[str]] = field(default_factory=dict)
    fields: Json = field(default_factory=dict)
    deleted: bool = False
    complete: bool = True
    hidden_for: int = 0
    cuts: list[int] = field(default_factory=list)
    redirects: list[str] = field(default_factory=list)
    announces: int | None = None
    ignores_ranges: bool = False
    served: list[tuple[str, int]] = field(default_factory=list)

    @property
    def is_external(self) -> bool:
        return self.mode == "external"


@dataclass(slots=True, kw_only=True)
class Upload:
    """An upload that was announced; `data` once it came."""

    file: File
    length: int
    by: str
    data: bytes | None = None


@dataclass(slots=True, kw_only=True)
class Installation:
    """The app in one workspace, or (team None) in all workspaces of an enterprise."""

    token: str
    team: str | None
    enterprise_id: str | None
    bot_user_id: str
    bot_id: str
    scopes: frozenset[str]
    installer: str
    refresh_token: str | None = None
    expires_at: float | None = None
    state: Literal["active", "revoked", "inactive"] = "active"

    @property
    def is_enterprise_install(self) -> bool:
        return self.team is None


@dataclass(slots=True, kw_only=True)
class UserGroup:
    id: str
    team: str
    users: list[str]


@dataclass(slots=True, kw_only=True)
class View:
    """A modal that is open, or somebody's App Home. `body` is what the app sent, ids filled in; `installed`
    who sent it, which with Slack Connect need not be the app of the person's own workspace `team`."""

    id: str
    team: str
    user: str
    body: Json
    hash: str
    root: str
    previous: str | None = None
    installed: Installation | None = None
    state: Json = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    is_open: bool = True

    @property
    def blocks(self) -> list[Json]:
        return list(self.body["blocks"])

    @property
    def shown(self) -> str:
        return "\n".join(shown_texts(self.body))


@dataclass(slots=True, kw_only=True)
class Trigger:
    """A permission to open a modal. `view` is the view that the interaction was in."""

    user: str
    team: str
    until: float
    used: bool = False
    view: str | None = None


@dataclass(slots=True, kw_only=True)
class ResponseUrl:
    """Where an interaction may be answered. `message` is the message or ephemeral that it was in."""

    channel: str
    user: str
    until: float
    message: str | None = None
    uses: int = 0


@dataclass(slots=True)
class Slack:
    """Everything that a Slack remembers. `clock` gives seconds since 1970."""

    clock: Callable[[], float] = time.time
    workspaces: dict[str, Workspace] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    installations: list[Installation] = field(default_factory=list)
    groups: dict[str, UserGroup] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    homes: dict[str, View] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    response_urls: dict[str, ResponseUrl] = field(default_factory=dict)
    ephemerals: list[Ephemeral] = field(default_factory=list)
    _numbers: defaultdict[str, Iterator[int]] = field(
        default_factory=lambda: defaultdict(lambda: itertools.count(1))
    )
    _last_ts: int = 0

    def new_id(self, prefix: str) -> str:
        """The next id of its kind, about as long as those of Slack."""
        return f"{prefix}{next(self._numbers[prefix]):0{max(6, 11 - len(prefix))}d}"

    def new_ts(self) -> str:
        """Now, later than every timestamp before."""
        self._last_ts = max(round(self.clock() * 1e6), self._last_ts + 1)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def teams_of(self, installation: Installation) -> list[str]:
        """The workspaces that an installation serves."""
        if installation.team is not None:
            return [installation.team]
        return [w.id for w in self.workspaces.values() if w.enterprise_id == installation.enterprise_id]

    def installations_in(self, channel: Channel) -> list[Installation]:
        """Live installations whose bot is in the conversation, the host's first."""
        found = [
            (channel.teams.index(team), installation)
            for installation in self.installations
            if installation.state == "active" and installation.bot_user_id in channel.members
            for team in self.teams_of(installation)
            if team in channel.teams
        ]
        return [installation for _, installation in sorted(found, key=lambda pair: pair[0])]

    def installation_for(self, team: str) -> Installation | None:
        """The live installation that serves a workspace."""
        for installation in self.installations:
            if installation.state == "active" and team in self.teams_of(installation):
                return installation
        return None

    def sees(self, installation: Installation, file: File) -> bool:
        """Whether the bot may see a file: its own, or one in a conversation that it is in."""
        return file.user == installation.bot_user_id or any(
            installation.bot_user_id in self.channels[channel].members for channel in file.shares
        )

    def replies(self, channel: Channel, thread_ts: str) -> list[Message]:
        """The replies of a thread, the parent not among them."""
        return [m for m in channel.messages.values() if m.thread_ts == thread_ts and m.ts != thread_ts]

    def post(self, channel: Channel, message: Message) -> Message:
        """Put a message into its conversation; the parent of a reply begins a thread by it."""
        message.versions.append(Version(at=self.clock(), text=message.text, blocks=list(message.blocks)))
        channel.messages[message.ts] = message
        if message.is_reply and message.thread_ts in channel.messages:
            parent = channel.messages[message.thread_ts]
            parent.thread_ts = parent.ts
        return message

    def unpost(self, channel: Channel, message: Message) -> None:
        """Delete a message: a tombstone remains where it has replies."""
        if self.replies(channel, message.ts):
            message.deleted, message.subtype = True, "tombstone"
            message.text, message.blocks, message.files = "This message was deleted.", [], []
            message.user, message.bot_id, message.client_msg_id = "USLACKBOT", None, None
            message.edited_ts, message.metadata = None, None
        else:
            del channel.messages[message.ts]
