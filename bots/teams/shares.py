"""What counts as sharing a recording in Teams, and what is remembered about each share. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

from pydantic import TypeAdapter

from bots.teams.incoming import Download, Reference
from bots.teams.records import ChatMessage
from core.filenames import MEDIA_SUFFIXES

DOOR: Final = "teams"

Phase = Literal["new", "working", "done", "failed", "stopped", "deleted"]
OVER: Final = frozenset({"done", "failed", "stopped", "deleted"})

_SHAREPOINT: Final = (".sharepoint.com", ".sharepoint.us", ".sharepoint-mil.us")
_CLOUDS: Final = ("drive.google.com", "dropbox.com", "box.com", "sharefile.com", "egnyte.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A recording in a message: at `url`, or sent to the app. `user` is the directory's id of who shared it,
    `is_link` is whether it lies with another service than Microsoft's, `of_meeting` whether it is Teams
    itself that tells of it. `claimed` is who shared it as somebody's client says, if nobody else does: `user`
    is who asked for it then. An empty name is not known yet."""

    name: str
    url: str = ""
    user: str = ""
    claimed: str | None = None
    sent: Download | None = None
    is_link: bool = False
    of_meeting: bool = False

    @property
    def file(self) -> str:
        """16 hexadecimal digits that stand for the file, however it is written of."""
        address = self.url if self.is_link else _plain(self.url) or (self.sent.unique_id if self.sent else "")
        return hashlib.sha256(address.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One file in one message. The answer goes to `where`. `team` is what activities call the team that it is
    in, `user` who shared it by the directory's id, `at` when that was, Unix seconds. See `Found` for `url`,
    `sent`, `is_link` and `claimed`. `version` counts the tries that people asked for with other settings."""

    where: Reference
    team: str = ""
    message: str
    file: str
    user: str
    name: str
    url: str = ""
    sent: Download | None = None
    is_link: bool = False
    claimed: str | None = None
    at: float
    version: int = 0

    @property
    def id(self) -> str:
        """20 hexadecimal digits that stand for the share, whatever its version."""
        return hashlib.sha256(self._key.encode()).hexdigest()[:20]

    @property
    def key(self) -> str:
        """The recording's key: every version is a recording of its own."""
        return f"{self._key}#{self.version}" if self.version else self._key

    @property
    def _key(self) -> str:
        return f"teams:{self.where.conversation}:{self.message}:{self.file}"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of a transcript, made of what `digest` stands for.

    Beside the recording it is `item` in `drive`, whose content is that of `ctag`; `closed` is what is to be
    said where not everybody can open it. In a chat with the app alone `message` asks somebody whether they
    want it (`posting` is set before that is tried, at `tried`), and shows it where it is `taken`, until it is
    `declined`; `filling` is the upload that was begun. `url` is where people find it.
    """

    name: str
    digest: str = ""
    drive: str = ""
    item: str = ""
    ctag: str = ""
    url: str = ""
    closed: str = ""
    message: str = ""
    posting: bool = False
    tried: float = 0.0
    taken: bool = False
    declined: bool = False
    filling: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """A version that led to a transcript, and what people said of its speakers."""

    job: str
    names: Mapping[str, str]
    merged: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is known of a share's answer.

    `share` is the newest version and `job` its job. `message` is the one message that answers it, empty until
    it is posted; `posting` is set before that is tried, at `tried`. `files` are the transcript's, by format;
    `trouble` says why there are none. `names` and `merged` are what people said of the speakers' labels,
    `formats` those that were asked for besides the conversation's. `good` is the last version that led to a
    transcript, shown again where a newer one leads to none; `earlier` are the jobs of all versions before.
    `said` is when people last said something of each label, Unix seconds. `asked` is the request that it was
    last taken in for. `withdrawn` is the phase from which it was deleted with its message; `leaving`: it was
    deleted, but what Teams shows of it may be there yet. `at` is when it was shared, Unix seconds.
    """

    share: Share
    job: str = ""
    phase: Phase = "new"
    message: str = ""
    posting: bool = False
    tried: float = 0.0
    files: Mapping[str, File] = field(default_factory=dict)
    trouble: str = ""
    formats: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    merged: Mapping[str, str] = field(default_factory=dict)
    said: Mapping[str, float] = field(default_factory=dict)
    good: Good | None = None
    earlier: tuple[str, ...] = ()
    asked: str = ""
    withdrawn: Phase | Literal[""] = ""
    leaving: bool = False
    at: float = 0.0

    @property
    def jobs(self) -> tuple[str, ...]:
        """All jobs that may have led to a transcript, the newest first."""
        found = (self.job, self.good.job if self.good else "", *reversed(self.earlier))
        return tuple(dict.fromkeys(filter(None, found)))


STATE: Final = TypeAdapter(State)
_share = TypeAdapter(Share)


def address_of(share: Share) -> str:
    """What a recording of it carries for its way back."""
    return _share.dump_json(share).decode()


def share_of(address: str) -> Share:
    """The reverse of `address_of`. Raises ValueError."""
    return _share.validate_json(address)


def share_in(where: Reference, message: str, found: Found, *, team: str, user: str, now: float) -> Share:
    """The share of a recording in a message. `user` is who asked, for what nobody shared; messages are named
    by when they were written, others count as written `now`."""
    written = int(message) / 1000 if message.isascii() and message.isdigit() and len(message) == 13 else now
    if where.kind == "channel" and not where.root:
        where = replace(where, root=message)
    return Share(
        where=where,
        team=team,
        message=message,
        file=found.file,
        user=found.user or user,
        name=found.name or "Recording",
        url=found.url,
        sent=found.sent,
        is_link=found.is_link,
        claimed=found.claimed,
        at=written,
    )


def is_alone(where: Reference) -> bool:
    """Whether it is somebody's chat with the app alone: chats of two people call themselves personal too."""
    return where.kind == "personal" and not where.conversation.endswith("@unq.gbl.spaces")


def is_recording(name: str, mime_type: str = "") -> bool:
    """Whether a file looks like audio or video; what it is in truth is found out when it is decoded."""
    if mime_type.startswith("text/"):
        return False  # a .ts file may be a program
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    return ending in MEDIA_SUFFIXES or mime_type.startswith(("audio/", "video/"))


def sent_in(downloads: tuple[Download, ...], user: str) -> tuple[Found, ...]:
    """The recordings that somebody sent to the app itself."""
    return tuple(
        Found(name=each.name, url=each.web_url, user=user, sent=each)
        for each in downloads
        if each.url and is_recording(each.name if "." in each.name else f"{each.name}.{each.file_type}")
    )


def found_in(message: ChatMessage, covers: Callable[[str], bool], *, asked: bool) -> tuple[Found, ...]:
    """The recordings that a message has as files, as a meeting's recording, or as links; `covers` tells which
    links of other services can be opened. What is `asked` for is looked at more widely."""
    if message.deleted:
        return ()
    found = [
        Found(name=each.name, url=each.url, user=message.user)
        for each in message.files
        if is_recording(each.name)
    ]
    if message.recording:
        name = message.recording_name or "Recording.mp4"
        user = message.recorded_by or message.user
        found.append(Found(name=name, url=message.recording, user=user, of_meeting=True))
    found += linked(message.links, message.user, covers, asked=asked)
    return tuple({each.file: each for each in reversed(found)}.values())[::-1]


def linked(urls: tuple[str, ...], user: str, covers: Callable[[str], bool], *, asked: bool) -> list[Found]:
    """The recordings behind links."""
    found = []
    for url in map(_straight, urls):
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").lower()
        except ValueError:
            continue
        if parts.scheme != "https" or not host:
            continue
        path = unquote(parts.path)
        name = path.rpartition("/")[2]
        media = is_recording(name)
        if host.endswith(_SHAREPOINT):
            if media or path.startswith("/:v:/") or (asked and path.startswith("/:u:/")):
                found.append(Found(name=name if media else "", url=url, user=user))
        elif covers(url) or (asked and f".{host}".endswith(tuple(f".{cloud}" for cloud in _CLOUDS))):
            found.append(Found(name=name if media else "", url=url, user=user, is_link=True))
    return found


def taken_up(state: State, share: Share, job: str) -> State:
    """The state once `share` is recognised as `job`: a newer version has other speakers."""
    state = replace(state, at=state.at or share.at, withdrawn="", leaving=False)
    if share.version <= state.share.version:
        return replace(state, job=job)
    done = state.phase == "done" and bool(state.job)
    good = Good(job=state.job, names=state.names, merged=state.merged) if done else state.good
    now = replace(state, share=share, job=job, phase="working", names={}, merged={}, said={}, good=good)
    return left_behind(now, state.job)


def left_behind(state: State, job: str) -> State:
    """The state once `job` is not the newest any more."""
    earlier = (*(each for each in state.earlier if each != job), job) if job else state.earlier
    return replace(state, earlier=earlier)


def is_past(state: State, share: Share) -> bool:
    """Whether nobody waits for what comes of `share` any more: there is a newer version of it, or it was
    stopped or deleted."""
    if state.share.version != share.version:
        return state.share.version > share.version
    return state.phase in {"stopped", "deleted"}


def _plain(url: str) -> str:
    """An address in SharePoint as all ways to write it have in common."""
    try:
        parts = urlsplit(url)
        return f"{parts.netloc}{unquote(parts.path)}".lower()
    except ValueError:
        return url


def _straight(url: str) -> str:
    """The address of the file itself, for that of Microsoft's player."""
    try:
        parts = urlsplit(url)
        inside = parse_qs(parts.query).get("id", [""])[0]
    except ValueError:
        return url
    if parts.path.lower().endswith("/_layouts/15/stream.aspx") and inside.startswith("/"):
        return f"{parts.scheme}://{parts.netloc}{quote(inside)}"
    return url
