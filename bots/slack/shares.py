"""What counts as sharing a recording in Slack, and what is remembered about each share. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import TypeAdapter

from bots.slack.records import Message, SlackFile
from core.filenames import MEDIA_SUFFIXES

DOOR: Final = "slack"

Phase = Literal["new", "working", "done", "failed", "stopped", "deleted"]
OVER: Final = frozenset({"done", "failed", "stopped", "deleted"})

_DRIVE: Final = frozenset({"application/vnd.google-apps.audio", "application/vnd.google-apps.video"})
_CLIPS: Final = frozenset({"slack_audio", "slack_video"})
_MESSAGE_PATH: Final = re.compile(r"^/archives/([A-Z0-9]+)/p(\d{10})(\d{6})$")
_FILE_PATH: Final = re.compile(r"^/files/[A-Z0-9]+/(F[A-Z0-9]+)(/|$)")
_SLACK_HOSTS: Final = (".slack.com", ".slack-gov.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One file in one message. `owner` is the workspace or organisation that installed the app: people of any
    of an organisation's workspaces may be in the conversation, of which `team` is one. `thread` is the time
    stamp of the message that the answer goes under; `user` shared it. `version` counts the tries that people
    asked for with other settings. `link` is where the file lies if Slack only links to it."""

    owner: str
    team: str
    enterprise: str | None
    channel: str
    ts: str
    thread: str
    file: str
    user: str
    name: str
    clip: bool = False
    link: str = ""
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
        return f"slack:{self.owner}:{self.channel}:{self.ts}:{self.file}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """A version that led to a transcript, and what people said of its speakers. `kept_from` as in `State`."""

    job: str
    names: Mapping[str, str]
    merged: Mapping[str, str]
    kept_from: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is known of a share's answer.

    `share` is the newest version and `job` its job. `message` is the time stamp of the one message that
    answers it, empty until it is posted; `posting` is set before that is tried, first at `since`. `files` are
    the transcript's files in the thread, made of what `digest` stands for; `prepared` and `prepared_digest`
    those that are uploaded and may or may not be in the thread yet. `names` and `merged` are what people said
    of the speakers' labels, `formats` those that were asked for besides the channel's. `good` is the job of
    the last version that led to a transcript, shown again where a newer one leads to none; `earlier` are all
    jobs but the newest. `leaving`: it was deleted, but what Slack shows of it may be there yet. `tried` is
    the form in which the newest version was asked for, if it was. `waits` is what the operator has to mend
    before it can go on, as the answer says it. `at` is when it was shared; `kept_from` when its newest
    version was asked for or, after that, answered: what is said of days for which things are kept counts from
    there.
    Times are Unix seconds.
    """

    share: Share
    job: str = ""
    phase: Phase = "new"
    message: str = ""
    posting: bool = False
    since: float = 0.0
    files: tuple[str, ...] = ()
    digest: str = ""
    prepared: tuple[str, ...] = ()
    prepared_digest: str = ""
    formats: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    merged: Mapping[str, str] = field(default_factory=dict)
    good: Good | None = None
    earlier: tuple[str, ...] = ()
    leaving: bool = False
    tried: str = ""
    waits: str = ""
    at: float = 0.0
    kept_from: float = 0.0

    @property
    def jobs(self) -> tuple[str, ...]:
        """All jobs that may have led to a transcript."""
        found = (self.job, self.good.job if self.good else "", *self.earlier)
        return tuple(dict.fromkeys(filter(None, found)))

    def age(self, now: float) -> float:
        """Seconds for which it is kept by `now`. Older versions of this program noted only `at`."""
        return now - (self.kept_from or self.at)


STATE: Final = TypeAdapter(State)
_share = TypeAdapter(Share)


def address_of(share: Share) -> str:
    """What a recording of it carries for its way back."""
    return _share.dump_json(share).decode()


def share_of(address: str) -> Share:
    """The reverse of `address_of`. Raises ValueError."""
    return _share.validate_json(address)


def is_recording(file: SlackFile) -> bool:
    """Whether a file looks like audio or video; what it is in truth is found out when it is decoded."""
    if file.mode == "snippet" or file.mimetype.startswith("text/"):
        return False  # a .ts file may be a program
    if file.subtype in _CLIPS or file.mimetype.startswith(("audio/", "video/")):
        return True
    names = [file.name]
    if file.is_external:
        # What lies elsewhere is often known by its title only, and its address may hold the name.
        names += [file.title, unquote(urlsplit(file.external_url).path)]
    endings = {name.rpartition(".")[2].lower() for name in names if "." in name}
    return file.filetype in MEDIA_SUFFIXES or file.mimetype in _DRIVE or bool(endings & MEDIA_SUFFIXES)


def is_elsewhere(file: SlackFile) -> bool:
    """Whether it is a link to a file at another service, which may be anything."""
    return file.is_external and bool(file.external_url)


def is_clip(file: SlackFile) -> bool:
    """Whether it was recorded in Slack itself, which writes transcripts of its own for those."""
    return file.subtype in _CLIPS


def share_in(
    message: Message, file: SlackFile, *, owner: str, team: str, enterprise: str | None, channel: str
) -> Share:
    """The share of `file` in a message of `channel`, as an event or a thread shows it."""
    return Share(
        owner=owner,
        team=team,
        enterprise=enterprise,
        channel=channel,
        ts=message.ts,
        thread=message.thread_ts or message.ts,
        file=file.id,
        user=message.user or file.user,
        name=file.title_or_name,
        clip=is_clip(file),
        link=file.external_url if file.is_external else "",
    )


def share_on_record(
    file: SlackFile, *, owner: str, team: str, enterprise: str | None, channel: str, user: str
) -> Share | None:
    """The newest share of `file` in `channel` by the file's own record; None while Slack shows none yet."""
    places = [place for place in file.shares if place.channel == channel]
    if not places:
        return None
    place = max(places, key=lambda place: float(place.ts))
    message = Message.from_payload({"ts": place.ts, "thread_ts": place.thread_ts, "user": user})
    return share_in(message, file, owner=owner, team=team, enterprise=enterprise, channel=channel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a link that somebody gave us points to: a message, or a file by its id."""

    channel: str = ""
    ts: str = ""
    thread: str = ""
    file: str = ""


def link_in(text: str) -> Link | None:
    """The first link to a message or file of Slack in `text`, as Slack writes links or bare."""
    for word in re.findall(r"https://[^\s<>|]+", text):
        parts = urlsplit(word)
        if not (parts.hostname or "").endswith(_SLACK_HOSTS):
            continue
        if found := _MESSAGE_PATH.match(parts.path):
            query = parse_qs(parts.query)
            channel, seconds, micros = found.groups()
            thread = query.get("thread_ts", [""])[0]
            return Link(channel=channel, ts=f"{seconds}.{micros}", thread=thread)
        if found := _FILE_PATH.match(parts.path):
            return Link(file=found.group(1))
    return None


def taken_up(state: State, share: Share, job: str, now: float) -> State:
    """The state once `share` is recognised as `job`, or that led to something, at `now`: a newer version has
    other speakers."""
    state = replace(state, at=state.at or float(share.ts))
    if share.version <= state.share.version:
        known = state.phase == "done"  # and only said again
        return replace(led_to(state, job), kept_from=state.kept_from if known else now)
    done = state.phase == "done" and bool(state.job)
    kept_from = state.kept_from or state.at
    good = Good(job=state.job, names=state.names, merged=state.merged, kept_from=kept_from)
    return replace(
        led_to(state, job),
        share=share,
        phase="working",
        names={},
        merged={},
        good=good if done else state.good,
        leaving=False,
        tried="",
        waits="",
        kept_from=now,
    )


def led_to(state: State, job: str) -> State:
    """The state with `job` as its newest; those that it had before are remembered."""
    return replace(state, job=job, earlier=tuple(each for each in state.jobs if each != job))


def is_past(state: State, share: Share) -> bool:
    """Whether nobody waits for what comes of `share` any more: there is a newer version of it, or it was
    stopped or deleted."""
    if state.share.version != share.version:
        return state.share.version > share.version
    return state.phase in {"stopped", "deleted"}
