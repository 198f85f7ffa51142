"""What Slack's answers and events say, as far as we read it. What is missing or odd there is empty here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Json = Mapping[str, Any]

Kind = Literal["channel", "private", "group", "im"]

_MOST_SHARES: Final = 1000
_STAMP: Final = re.compile(r"[0-9]{1,12}\.[0-9]{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A message by which a file was shared. `thread_ts` is set where that is in a thread."""

    channel: str
    ts: str
    thread_ts: str = ""
    public: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackFile:
    """A file of Slack's. `size` in bytes, `seconds` its length where Slack knows it, `created` Unix seconds.

    `url` is where a token downloads it; of an external file it is the foreign address. `conversations` are
    the ids of all places where it is shared, `shares` the messages there, which Slack may show later.
    `transcript` begins Slack's own transcript of a clip, whole unless `transcript_goes_on`.
    """

    id: str
    name: str = ""
    title: str = ""
    mimetype: str = ""
    filetype: str = ""
    subtype: str = ""
    size: int = 0
    mode: str = ""
    file_access: str = ""
    is_external: bool = False
    external_type: str = ""
    external_url: str = ""
    url: str = ""
    permalink: str = ""
    user: str = ""
    bot_id: str = ""
    team: str = ""
    created: float = 0.0
    seconds: float | None = None
    transcription: str = ""
    transcript: str = ""
    transcript_goes_on: bool = False
    locale: str = ""
    vtt: str = ""
    shares: tuple[Place, ...] = ()
    conversations: frozenset[str] = frozenset()

    @classmethod
    def from_payload(cls, payload: object) -> SlackFile:
        """The file of an event, a message or files.info."""
        file = mapping(payload)
        external = file.get("is_external") is True or _text(file, "mode") == "external"
        foreign = _text(file, "external_url") or _text(file, "url_private") if external else ""
        clip = mapping(file.get("transcription"))
        preview = mapping(clip.get("preview"))
        shares = tuple(_shares(mapping(file.get("shares"))))
        milliseconds = _number(file, "duration_ms")
        return cls(
            id=_text(file, "id"),
            name=_text(file, "name"),
            title=_text(file, "title"),
            mimetype=_text(file, "mimetype").lower(),
            filetype=_text(file, "filetype").lower(),
            subtype=_text(file, "subtype"),
            size=int(_number(file, "size")),
            mode=_text(file, "mode"),
            file_access=_text(file, "file_access"),
            is_external=external,
            external_type=_text(file, "external_type"),
            external_url=foreign,
            url=_text(file, "url_private_download") or _text(file, "url_private"),
            permalink=_text(file, "permalink"),
            user=_text(file, "user"),
            bot_id=_text(file, "bot_id"),
            team=_text(file, "user_team") or _text(file, "team_id"),
            created=_number(file, "created"),
            seconds=milliseconds / 1000 if milliseconds else None,
            transcription=_text(clip, "status"),
            transcript=_text(preview, "content"),
            transcript_goes_on=preview.get("has_more") is True,
            locale=_text(clip, "locale"),
            vtt=_text(file, "vtt"),
            shares=shares,
            conversations=frozenset(
                (
                    *(place.channel for place in shares),
                    *(each for kind in ("channels", "groups", "ims") for each in texts(file.get(kind))),
                )
            ),
        )

    @property
    def title_or_name(self) -> str:
        """What people call it."""
        return self.title or self.name or self.id

    @property
    def is_stub(self) -> bool:
        """Whether this is only a mention of a file (Slack Connect) whose facts files.info has."""
        return self.file_access == "check_file_info" or self.mode == "file_access"

    @property
    def is_gone(self) -> bool:
        """Whether it was deleted and this is what remains."""
        return self.mode == "tombstone" or self.file_access in {"tombstone", "file_deleted"}

    @property
    def is_hidden(self) -> bool:
        """Whether the workspace's plan hides it because it is old."""
        return self.mode == "hidden_by_limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message. `metadata` is what an app added (`event_type`, `event_payload`), `payload` all of it."""

    ts: str
    thread_ts: str = ""
    user: str = ""
    bot_id: str = ""
    app_id: str = ""
    subtype: str = ""
    text: str = ""
    files: tuple[SlackFile, ...] = ()
    metadata: Json
    payload: Json

    @classmethod
    def from_payload(cls, payload: object) -> Message:
        """The message of an event or of a list."""
        message = mapping(payload)
        files = message.get("files")
        return cls(
            ts=_stamp(message, "ts"),
            thread_ts=_stamp(message, "thread_ts"),
            user=_text(message, "user"),
            bot_id=_text(message, "bot_id"),
            app_id=_text(message, "app_id"),
            subtype=_text(message, "subtype"),
            text=_text(message, "text"),
            files=tuple(map(SlackFile.from_payload, files)) if isinstance(files, list) else (),
            metadata=mapping(message.get("metadata")),
            payload=message,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody, or a bot. `team` is their own workspace, which in shared channels may be another one; `teams`
    are those of an organisation that they are in."""

    id: str
    name: str
    team: str = ""
    teams: tuple[str, ...] = ()
    is_bot: bool = False
    is_admin: bool = False
    is_owner: bool = False
    is_guest: bool = False
    deleted: bool = False

    @classmethod
    def from_payload(cls, payload: object) -> Person:
        """The user of users.info."""
        user = mapping(payload)
        profile = mapping(user.get("profile"))
        names = (
            _text(profile, "display_name"),
            _text(profile, "real_name"),
            _text(user, "real_name"),
            _text(user, "name"),
        )
        return cls(
            id=_text(user, "id"),
            name=next((name for name in names if name.strip()), ""),
            team=_text(user, "team_id"),
            teams=texts(mapping(user.get("enterprise_user")).get("teams")),
            is_bot=user.get("is_bot") is True or user.get("id") == "USLACKBOT",
            is_admin=user.get("is_admin") is True,
            is_owner=user.get("is_owner") is True or user.get("is_primary_owner") is True,
            is_guest=user.get("is_restricted") is True or user.get("is_ultra_restricted") is True,
            deleted=user.get("deleted") is True,
        )

    def is_of(self, team: str) -> bool:
        """Whether they are a member of that workspace."""
        return team in {self.team, *self.teams}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A channel or the like. `user` is the other one in a direct message (`im`), `is_member` whether the app
    is in it, `is_shared` whether people of other organisations may be."""

    id: str
    name: str = ""
    kind: Kind = "channel"
    creator: str = ""
    user: str = ""
    is_archived: bool = False
    is_member: bool = False
    is_shared: bool = False

    @classmethod
    def from_payload(cls, payload: object) -> Conversation:
        """The channel of conversations.info."""
        channel = mapping(payload)
        kind: Kind = "channel"
        if channel.get("is_im") is True:
            kind = "im"
        elif channel.get("is_mpim") is True:
            kind = "group"
        elif channel.get("is_private") is True or channel.get("is_group") is True:
            kind = "private"
        return cls(
            id=_text(channel, "id"),
            name=_text(channel, "name"),
            kind=kind,
            creator=_text(channel, "creator"),
            user=_text(channel, "user"),
            is_archived=channel.get("is_archived") is True,
            is_member=channel.get("is_member") is True or kind == "im",
            is_shared=channel.get("is_ext_shared") is True or channel.get("is_pending_ext_shared") is True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a token is: the app's bot user in a team. `scopes` are what it was granted, empty if unknown."""

    user: str
    bot_id: str
    team: str
    enterprise: str
    url: str
    scopes: frozenset[str] = frozenset()


def mapping(value: object) -> Json:
    """The JSON object, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def texts(value: object) -> tuple[str, ...]:
    """The strings of a JSON array, none for anything else."""
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _text(payload: Json, key: str) -> str:
    value = payload.get(key)
    return value if isinstance(value, str) else ""


def _stamp(payload: Json, key: str) -> str:
    """A time stamp, which names a message in its channel."""
    found = _text(payload, key)
    return found if _STAMP.fullmatch(found) else ""


def _number(payload: Json, key: str) -> float:
    """Finite and not negative; Slack writes some numbers as strings."""
    value = payload.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0.0
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return 0.0
    return found if 0.0 < found < 1e15 else 0.0


def _shares(shares: Json) -> Iterator[Place]:
    left = _MOST_SHARES
    for kind in ("public", "private"):
        for channel, places in mapping(shares.get(kind)).items():
            for each in places if isinstance(places, list) else ():
                place = mapping(each)
                if left and (ts := _stamp(place, "ts")):
                    left -= 1
                    thread = _stamp(place, "thread_ts")
                    yield Place(channel=str(channel), ts=ts, thread_ts=thread, public=kind == "public")
