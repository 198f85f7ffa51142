"""What people do in a Slack: they come, talk, share recordings, and delete them again."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tests.vendors import slack_payloads as payloads
from tests.vendors.slack_api import Api, Installer
from tests.vendors.slack_chat import changed_event, remove
from tests.vendors.slack_delivery import Delivery
from tests.vendors.slack_files import delete_file, place_files
from tests.vendors.slack_model import (
    Channel,
    File,
    Installation,
    Json,
    Kind,
    Message,
    Slack,
    User,
    UserGroup,
    Workspace,
)
from tests.vendors.slack_oauth import install
from tests.vendors.slack_scopes import BOT_SCOPES

Order = Literal["file_shared first", "message first", "file_shared only", "message only"]


class Named(Protocol):
    """A workspace, person, conversation, ...: methods take it or its id."""

    @property
    def id(self) -> str: ...


def id_of(thing: Named | str) -> str:
    return thing if isinstance(thing, str) else thing.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One file of a share. `transcript` and `vtt` are Slack's own, of a clip of `seconds`."""

    name: str
    data: bytes
    mimetype: str | None = None
    subtype: Literal["slack_audio", "slack_video"] | None = None
    mode: str = "hosted"
    external_type: str = ""
    external_url: str | None = None
    transcript: str | None = None
    vtt: str | None = None
    seconds: float | None = None
    title: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class People:
    """A Slack with people in it. Every method that is an action of somebody sends the events it causes.

    Whether an app_mention carries the message's files is not published: `mentions_carry_files`.
    """

    slack: Slack
    api: Api
    mentions_carry_files: bool = False

    # Who and what there is

    def add_workspace(
        self,
        name: str = "Acme",
        *,
        enterprise_id: str | None = None,
        install: bool = True,
        scopes: frozenset[str] = BOT_SCOPES,
    ) -> Workspace:
        """A workspace, the app installed in it by its owner unless `install` is False."""
        workspace = Workspace(
            id=self.slack.new_id("T"),
            name=name,
            domain=name.lower().replace(" ", "-"),
            enterprise_id=enterprise_id,
            enterprise_name=f"{name} Group" if enterprise_id else None,
        )
        self.slack.workspaces[workspace.id] = workspace
        owner = self.add_user(workspace, "owner", is_owner=True, is_admin=True)
        if install:
            self.install(workspace, owner, scopes=scopes)
        return workspace

    def install(
        self,
        team: Named | str | None,
        user: Named | str,
        *,
        enterprise_id: str | None = None,
        scopes: frozenset[str] = BOT_SCOPES,
    ) -> Installation:
        """Install the app without OAuth; `team` None: in all workspaces of `enterprise_id`."""
        where = None if team is None else id_of(team)
        return install(self.api, Installer(user=id_of(user), team=where, enterprise_id=enterprise_id), scopes)

    def installation(self, team: Named | str) -> Installation:
        """The live installation of a workspace: its `token`, `bot_user_id`, `bot_id`, `scopes`."""
        found = self.slack.installation_for(id_of(team))
        if found is None:
            raise AssertionError("the app is not installed there")
        return found

    def add_user(
        self,
        team: Named | str,
        name: str,
        *,
        is_bot: bool = False,
        also_in: Sequence[Named | str] = (),
        **flags: bool,
    ) -> User:
        """A person, or another bot; flags are is_admin, is_owner, is_restricted (a guest) and deleted."""
        real = name.replace(".", " ").title()
        user = User(
            id=self.slack.new_id("U"),
            team=id_of(team),
            name=name,
            real_name=real,
            is_bot=is_bot,
            also_in=[id_of(other) for other in also_in],
            **flags,
        )
        self.slack.users[user.id] = user
        return user

    def add_channel(
        self,
        team: Named | str,
        name: str = "general",
        *,
        kind: Kind = "channel",
        creator: Named | str | None = None,
        members: Sequence[Named | str] = (),
        bot: bool = True,
        shared_with: Sequence[Named | str] = (),
    ) -> Channel:
        """A conversation, the app's bot in it unless `bot` is False. Without a creator: the first member."""
        everyone = [id_of(member) for member in members]
        there = (user.id for user in self.slack.users.values() if user.team == id_of(team))
        maker = id_of(creator) if creator is not None else next(iter([*everyone, *there]))
        channel = Channel(
            id=self.slack.new_id({"channel": "C", "group": "C", "mpim": "C", "im": "D"}[kind]),
            team=id_of(team),
            name="" if kind == "im" else name,
            kind=kind,
            creator=maker,
            created=int(self.slack.clock()),
            members=list(dict.fromkeys([maker, *everyone])),
            shared_with=[id_of(other) for other in shared_with],
        )
        if bot:
            channel.members.append(self.installation(team).bot_user_id)
        self.slack.channels[channel.id] = channel
        return channel

    def add_group(self, team: Named | str, users: Sequence[Named | str]) -> UserGroup:
        """A user group, such as the one that may change settings."""
        group = UserGroup(id=self.slack.new_id("S"), team=id_of(team), users=[id_of(user) for user in users])
        self.slack.groups[group.id] = group
        return group

    # What people do

    async def invite(self, channel: Channel, user: Named | str, *, by: Named | str | None = None) -> None:
        """Bring somebody, or the bot, into a conversation."""
        channel.members.append(id_of(user))
        self._membership("member_joined_channel", channel, id_of(user), id_of(by) if by else channel.creator)

    async def kick(self, channel: Channel, user: Named | str) -> None:
        """Take somebody out. The bot itself is not told when it is taken out."""
        channel.members.remove(id_of(user))
        self._membership("member_left_channel", channel, id_of(user), None)

    def _membership(self, kind: str, channel: Channel, user: str, inviter: str | None) -> None:
        event: Json = {"type": kind, "user": user, "channel": channel.id, "team": self.slack.users[user].team}
        event |= {"channel_type": "G" if channel.is_private else "C", "event_ts": self.slack.new_ts()}
        self.api.emit(event | ({"inviter": inviter} if inviter else {}), channel)

    async def say(
        self, channel: Channel, user: Named | str, text: str, *, thread_ts: str | None = None, copies: int = 1
    ) -> Message:
        """Write a message; an app_mention comes too where the bot is mentioned (outside direct messages)."""
        message = self.slack.post(channel, self._message(channel, id_of(user), text, thread_ts))
        self._announce(channel, message, [], "message first", copies)
        return message

    async def share(
        self,
        channel: Channel,
        user: Named | str,
        *items: Item,
        text: str = "",
        thread_ts: str | None = None,
        delay_shares: int = 0,
        check_file_info: bool = False,
        order: Order = "file_shared first",
        copies: int = 1,
        again: Sequence[File] = (),
    ) -> tuple[Message, list[File]]:
        """Share recordings in one message, with both kinds of events.

        `delay_shares` is how many requests of files.info do not see the shares yet, `check_file_info` makes
        the files of the event stubs (Slack Connect), `copies` delivers each event so many times under the
        same event id, `again` shares files that exist already. Over HTTP events may overtake one another,
        as in life.
        """
        files = [*again, *(self._file(channel, id_of(user), item) for item in items)]
        for file in files:
            file.stub_in_events = check_file_info
        message = self._message(channel, id_of(user), text, thread_ts)
        message.subtype, message.files = "file_share", [file.id for file in files]
        events = place_files(self.api, channel, message, files, lag=delay_shares)
        self._announce(channel, message, events, order, copies)
        return message, files

    def _announce(
        self, channel: Channel, message: Message, events: list[Json], order: Order, copies: int
    ) -> None:
        after: list[Json] = []
        for event in events if order in ("file_shared first", "file_shared only") else ():
            self.api.emit(event, channel, copies=copies)
        if order == "message first":
            after = events
        if order != "file_shared only":
            self.api.emit_message(message, copies=copies)
            self._mention(channel, message, copies)
        for event in after:
            self.api.emit(event, channel, copies=copies)

    def _mention(self, channel: Channel, message: Message, copies: int) -> None:
        bots = [i.bot_user_id for i in self.slack.installations_in(channel)]
        if channel.kind == "im" or not payloads.mentions(message.text, bots):
            return
        event = payloads.message_event(self.slack, self.api.app, message, self.api.origin)
        unpublished = {"channel_type", "files", "parent_user_id", "subtype"}
        for name in unpublished - ({"files"} if self.mentions_carry_files else set()):
            event.pop(name, None)
        self.api.emit(event | {"type": "app_mention"}, channel, copies=copies)

    def _message(self, channel: Channel, user: str, text: str, thread_ts: str | None) -> Message:
        message = Message(
            ts=self.slack.new_ts(),
            channel=channel.id,
            user=user,
            text=text,
            team=self.slack.users[user].team,
            thread_ts=thread_ts,
        )
        if self.slack.users[user].is_bot:
            message.bot_id = f"B{user[1:]}"
        else:
            message.client_msg_id = f"00000000-0000-4000-8000-{self.slack.new_id('').rjust(12, '0')}"
        return message

    def _file(self, channel: Channel, user: str, item: Item) -> File:
        guessed = mimetypes.guess_type(item.name)[0] or "application/octet-stream"
        file = File(
            id=self.slack.new_id("F"),
            team=self.slack.users[user].team,
            user=user,
            name=item.name,
            title=item.title or item.name,
            mimetype=item.mimetype or guessed,
            data=item.data,
            created=int(self.slack.clock()),
            mode=item.mode,
            subtype=item.subtype,
            external_type=item.external_type,
            external_url=item.external_url,
            transcript=item.transcript,
            vtt=item.vtt,
            seconds=item.seconds,
            fields=dict(item.fields),
        )
        self.slack.files[file.id] = file
        return file

    async def edit(self, channel: Channel, message: Message, text: str) -> None:
        """Change one's own message."""
        before = payloads.changed_message(self.slack, self.api.app, message, self.api.origin)
        message.text, message.edited_ts = text, self.slack.new_ts()
        self.api.emit(changed_event(self.api, channel, message, before), channel)

    async def delete_message(self, channel: Channel, message: Message) -> None:
        """Delete a message; a tombstone stays where it has replies."""
        remove(self.api, channel, message)

    async def delete_file(self, file: File) -> None:
        """Delete a file everywhere."""
        delete_file(self.api, file)

    async def deactivate(self, user: Named | str) -> None:
        self.slack.users[id_of(user)].deleted = True

    async def open_home(self, team: Named | str, user: Named | str) -> Delivery | None:
        """Look at the app's Home tab."""
        installed = self.installation(team)
        event: Json = {"type": "app_home_opened", "user": id_of(user), "tab": "home"}
        event |= {"channel": f"D{id_of(user)[1:]}", "event_ts": self.slack.new_ts()}
        if (view := self.slack.homes.get(id_of(user))) is not None:
            event["view"] = payloads.view_object(self.api.app, installed, view)
        return self.api.emit(event, None, installed=installed)

    async def hold_back(self, team: Named | str, minute: int) -> Delivery:
        """Tell that events of a minute (Unix seconds) were not told, because there were too many. It is no
        event among others: the fields are all in the outer body. By Socket Mode that is unverified."""
        body: Json = {"token": self.api.app.verification_token, "type": "app_rate_limited"}
        body |= {"team_id": id_of(team), "minute_rate_limited": minute, "api_app_id": self.api.app.id}
        return self.api.deliveries.add("events_api", body)

    async def uninstall(self, team: Named | str) -> None:
        """Remove the app: its tokens are dead before the two events come, in either order in life."""
        installed = self.installation(team)
        await self.revoke_tokens(team)
        installed.state = "inactive"
        self.api.emit({"type": "app_uninstalled"}, None, installed=installed)

    async def revoke_tokens(self, team: Named | str, *, of_users: Sequence[Named | str] = ()) -> None:
        """Revoke the bot's token, or the tokens of people if any are named (the bot keeps its own then)."""
        installed = self.installation(team)
        tokens = {
            "oauth": [id_of(user) for user in of_users],
            "bot": [] if of_users else [installed.bot_user_id],
        }
        if not of_users:
            installed.state = "revoked"
        self.api.emit({"type": "tokens_revoked", "tokens": tokens}, None, installed=installed)
