"""Who and what there is in Teams, and what people say in it."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from tests.vendors.teams_connector import Connector
from tests.vendors.teams_delivery import Deliveries, Delivery
from tests.vendors.teams_forms import Missing
from tests.vendors.teams_items import Drive, DriveItem, Padded, stamp
from tests.vendors.teams_login import App
from tests.vendors.teams_model import Conversation, Json, Message, Microsoft, Team, Tenant, User, Version
from tests.vendors.teams_payloads import Payloads
from tests.vendors.teams_storage import Storage

CHAT_FILES = "Microsoft Teams Chat Files"


class Named(Protocol):
    """A tenant, person, team or message: methods take it or its id."""

    @property
    def id(self) -> str: ...


def id_of(thing: Named | str) -> str:
    return thing if isinstance(thing, str) else thing.id


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of a message."""

    name: str
    data: bytes | Padded
    mime_type: str | None = None


@dataclass(slots=True)
class People:
    """A Teams with people in it. Every method that is an action of somebody sends the activities it causes.

    Nobody is told anything where the bot is not installed. In channels and group chats it hears what mentions
    it, and everything where it has resource-specific consent to read.
    """

    m365: Microsoft
    app: App
    connector: Connector
    storage: Storage
    payloads: Payloads
    delivery: Deliveries

    # Who and what there is

    def add_tenant(self, name: str = "Acme") -> Tenant:
        """An organisation. The first one is the app's own."""
        id_ = self.m365.guid("tenant") if self.m365.tenants else self.app.tenant
        tenant = Tenant(id=id_, name=name, domain=name.lower().replace(" ", ""))
        self.m365.tenants[id_] = tenant
        return tenant

    def add_user(self, tenant: Named | str, name: str = "Ann Lee", *, guest: bool = False) -> User:
        """A person, with a OneDrive. A `guest` has an account of another organisation."""
        home = self.m365.tenants[id_of(tenant)]
        account = name.lower().replace(" ", ".")
        user = User(
            id=self.m365.guid("user"),
            mri=f"29:1{self.m365.opaque('mri', 80)}",
            tenant=home.id,
            name=name,
            mail=f"{account}@{home.domain}.example",
            guest=guest,
        )
        self.m365.users[user.id] = user
        site = f"https://{home.domain}-my.sharepoint.com/personal/"
        site += user.mail.replace("@", "_").replace(".", "_")
        self._add_drive(f"{site}/Documents", user=user.id)
        return user

    def _add_drive(self, web_url: str, *, user: str | None = None, team: str | None = None) -> Drive:
        drive = Drive(
            id=f"b!{self.m365.opaque('drive', 60)}", web_url=web_url, root="root", user=user, team=team
        )
        root = DriveItem(
            id="root",
            drive=drive.id,
            parent=None,
            name="root",
            unique_id=self.m365.guid("unique"),
            modified=self.m365.clock(),
        )
        drive.items["root"] = root
        self.m365.drives[drive.id] = drive
        return drive

    def add_team(
        self,
        tenant: Named | str,
        name: str = "Board",
        *,
        members: Sequence[Named | str],
        owners: Sequence[Named | str] = (),
        installed: bool = True,
    ) -> Team:
        """A team with its first channel, "General"; owners are the first member unless named."""
        home = self.m365.tenants[id_of(tenant)]
        people = list(dict.fromkeys(id_of(u) for u in (*members, *owners)))
        team = Team(
            id=self.m365.guid("team"),
            thread_id="",
            tenant=home.id,
            name=name,
            drive="",
            owners=[id_of(owner) for owner in owners] or people[:1],
            members=people,
            installed=installed,
            rsc=self.app.rsc,
        )
        self.m365.teams[team.id] = team
        site = f"https://{home.domain}.sharepoint.com/sites/{quote(name)}/Shared%20Documents"
        team.drive = self._add_drive(site, team=team.id).id
        team.thread_id = self.add_channel(team, "General").id
        return team

    def add_channel(self, team: Team, name: str) -> Conversation:
        """A standard channel, with a folder in the team's library."""
        channel = Conversation(
            id=f"19:{self.m365.opaque('channel', 44)}@thread.tacv2",
            kind="channel",
            tenant=team.tenant,
            name=name,
            team=team.id,
            folder=name,
        )
        self.m365.conversations[channel.id] = channel
        team.channels.append(channel.id)
        self.m365.folder(self.m365.root(self.m365.drives[team.drive]), name)
        return channel

    def add_group_chat(
        self, members: Sequence[Named | str], *, name: str = "Planning", installed: bool = True
    ) -> Conversation:
        """A chat of several people."""
        people = [id_of(user) for user in members]
        chat = Conversation(
            id=f"19:{self.m365.opaque('chat', 32)}@thread.v2",
            kind="groupChat",
            tenant=self.m365.users[people[0]].tenant,
            name=name,
            members=people,
            installed=installed,
            rsc=self.app.rsc,
        )
        chat.chat_id = chat.id
        self.m365.conversations[chat.id] = chat
        return chat

    def add_chat(self, one: User, other: User, *, installed: bool = False) -> Conversation:
        """A chat of two people."""
        chat = Conversation(
            id=f"19:{one.id}_{other.id}@unq.gbl.spaces",
            kind="oneOnOne",
            tenant=one.tenant,
            name="",
            members=[one.id, other.id],
            installed=installed,
            rsc=self.app.rsc,
        )
        chat.chat_id = chat.id
        self.m365.conversations[chat.id] = chat
        return chat

    def add_personal_chat(self, user: User, *, installed: bool = True) -> Conversation:
        """The chat of a person with the bot. Graph has another id for it than activities have."""
        chat = Conversation(
            id=f"a:1{self.m365.opaque('personal', 100)}",
            kind="personal",
            tenant=user.tenant,
            name="",
            members=[user.id],
            installed=installed,
            chat_id=f"19:{user.id}_{self.app.id}@unq.gbl.spaces",
        )
        self.m365.conversations[chat.id] = chat
        return chat

    # Files

    def add_file(self, owner: User | Team, path: str, data: bytes | Padded, mime_type: str = "") -> DriveItem:
        """A file in somebody's OneDrive or a team's library, at a path such as "Recordings/Call.mp4"."""
        where = {"user": owner.id} if isinstance(owner, User) else {"team": owner.id}
        drive = self.m365.drive_of(**where)
        folder, _, name = path.rpartition("/")
        kind = mime_type or mimetypes.guess_type(name)[0] or ""
        above = self.m365.folder(self.m365.root(drive), folder)
        by = owner.id if isinstance(owner, User) else ""
        return self.m365.add_item(drive, above, name, data, kind, by=by)

    def share_link(self, item: DriveItem, kind: str = ":v:", *, narrow: bool = False) -> str:
        """A sharing link to a file, as people paste it: for everybody in the organisation, or (`narrow`) for
        those who can open it anyway."""
        site = self.m365.drives[item.drive].web_url.partition(".sharepoint.com")[0]
        link = f"{site}.sharepoint.com/{kind}/p/{self.m365.opaque('link', 20)}"
        item.links.append(link)
        if narrow:
            item.narrow.add(link)
        return f"{link}?e={self.m365.opaque('e', 6)}"

    def _store(self, conversation: Conversation, user: User, file: File) -> DriveItem:
        """Where Teams puts a file that is attached: the channel's folder, or the sender's OneDrive."""
        path: User | Team = user
        folder = CHAT_FILES
        if conversation.team is not None:
            path, folder = self.m365.teams[conversation.team], conversation.folder
        drive = self.m365.drive_of(**({"team": path.id} if isinstance(path, Team) else {"user": path.id}))
        above = self.m365.folder(self.m365.root(drive), folder)
        name = self.m365.free_name(above, file.name)
        kind = file.mime_type or mimetypes.guess_type(name)[0] or ""
        return self.m365.add_item(drive, above, name, file.data, kind, by=user.id)

    def _let_in(self, conversation: Conversation, *items: DriveItem) -> None:
        """Teams lets those in a chat open what is shared in it; later members are not let in by that."""
        if conversation.team is None:
            for item in items:
                item.grants.update(self.m365.members(conversation))

    # What people say

    async def post(
        self,
        conversation: Conversation,
        user: User,
        text: str = "",
        *,
        files: Sequence[File | DriveItem] = (),
        reply_to: Message | None = None,
        mention_bot: bool = False,
        mentions: Sequence[User] = (),
        copies: int = 1,
    ) -> Message:
        """Say something: a post or a reply of a channel, a message of a chat (an answer that quotes, with
        `reply_to`). Files are uploaded where Teams puts them; an item is attached from where it is."""
        self._may(conversation, user)
        items = [self._store(conversation, user, f) if isinstance(f, File) else f for f in files]
        self._let_in(conversation, *items)
        message = self._new(conversation, user.id, text, reply_to)
        message.files = {self.m365.guid("attachment"): item for item in items}
        if mention_bot:
            message.mentions.append((self.app.bot, self.app.name))
        message.mentions += [(one.mri, one.name) for one in mentions]
        self._tell("message", conversation, message, copies=copies)
        return message

    async def send_file(
        self, conversation: Conversation, user: User, *files: File, text: str = "", copies: int = 1
    ) -> Message:
        """Send files to the bot in a personal chat."""
        if conversation.kind != "personal":
            raise Missing("files reach the bot itself in its personal chat only")
        return await self.post(conversation, user, text, files=files, copies=copies)

    async def post_as_app(
        self, conversation: Conversation, text: str = "", *, files: Sequence[DriveItem] = ()
    ) -> Message:
        """What another app says. Whether Teams tells bots of that is not published; here it does."""
        message = self._new(conversation, None, text, None)
        message.app = self.m365.guid("app")
        message.files = {self.m365.guid("attachment"): item for item in files}
        user = self.m365.users[self.m365.members(conversation)[0]]
        told = self.payloads.message("message", conversation, message, user)
        told["from"] = {"id": f"28:{message.app}", "name": "Another app"}
        self.delivery.add(told)
        return message

    async def post_recording(
        self,
        conversation: Conversation,
        organiser: User,
        name: str,
        data: bytes | Padded,
        *,
        status: str = "success",
    ) -> Message:
        """What Teams posts about a recorded meeting: no attachment, but where the recording is. Teams tells
        no bot of that."""
        item = self.add_file(organiser, f"Recordings/{name}", data)
        self._let_in(conversation, item)
        message = self._new(conversation, organiser.id, "", None)
        message.event = {
            "@odata.type": "#microsoft.graph.callRecordingEventMessageDetail",
            "callId": self.m365.guid("call"),
            "callRecordingDisplayName": name,
            "callRecordingUrl": self.share_link(item, narrow=True),
            "callRecordingDuration": "PT1H",
            "callRecordingStatus": status,
            "initiator": {"user": {"id": organiser.id, "displayName": organiser.name}},
        }
        return message

    async def end_meeting(self, conversation: Conversation, user: User, *, copies: int = 1) -> None:
        """The last one leaves a meeting."""
        wanted = "OnlineMeeting.ReadBasic.Chat"
        if not self.m365.installed(conversation) or wanted not in self.m365.rsc(conversation):
            return
        now = stamp(self.m365.clock())
        meeting = self.m365.opaque("meeting", 60)
        value = {"MeetingType": "Scheduled", "Title": "Weekly", "Id": meeting, "EndTime": f"{now[:-1]}4567Z"}
        name = "application/vnd.microsoft.meetingEnd"
        event = self.payloads.activity("event", conversation, user, name=name, value=value)
        event["conversation"].pop("conversationType")
        event["from"].pop("name")
        event["channelData"] |= {"meeting": {"id": meeting}, "source": None}
        self.delivery.add(event, copies=copies)

    def _new(
        self, conversation: Conversation, sender: str | None, text: str, reply_to: Message | None
    ) -> Message:
        now, name = self.m365.clock(), self.m365.message_id()
        message = Message(id=name, conversation=conversation.id, sender=sender, text=text, at=now)
        if conversation.kind == "channel":
            message.root = (reply_to.root or reply_to.id) if reply_to is not None else name
        elif reply_to is not None:
            message.quotes = reply_to.id
        message.versions.append(Version(at=now, text=text, attachments=()))
        conversation.messages[name] = message
        return message

    async def edit(self, message: Message, text: str) -> None:
        """Change one's own message."""
        now = self.m365.clock()
        message.text, message.edited_at = text, now
        message.versions.append(Version(at=now, text=text, attachments=()))
        self._tell("messageUpdate", self.m365.conversations[message.conversation], message)

    async def delete(self, message: Message) -> None:
        """Delete one's own message; its replies stay."""
        message.deleted_at = self.m365.clock()
        self._tell("messageDelete", self.m365.conversations[message.conversation], message)

    async def undelete(self, message: Message) -> None:
        """Undo that."""
        message.deleted_at = None
        self._tell("messageUndelete", self.m365.conversations[message.conversation], message)

    def _tell(self, kind: str, conversation: Conversation, message: Message, *, copies: int = 1) -> None:
        if not self.m365.installed(conversation) or message.sender is None:
            return
        reads = {"ChannelMessage.Read.Group", "ChatMessage.Read.Chat"} & self.m365.rsc(conversation)
        mentioned = any(mri == self.app.bot for mri, _ in message.mentions)
        if conversation.kind == "personal" or mentioned or reads:
            user = self.m365.users[message.sender]
            self.delivery.add(self.payloads.message(kind, conversation, message, user), copies=copies)

    def _may(self, conversation: Conversation, user: User) -> None:
        if conversation.gone or user.id not in self.m365.members(conversation):
            raise Missing(f"{user.name} is not in this conversation")

    def _send(self, activity: Json) -> Delivery:
        return self.delivery.add(activity)
