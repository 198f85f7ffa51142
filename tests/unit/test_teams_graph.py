"""Graph against one on this machine: messages, people and files, and what an admin has not granted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from bots.teams.drives import Drives
from bots.teams.graph import Graph
from bots.teams.hosts import Forbidden, Hosts
from bots.teams.records import (
    Attachment,
    ChatMessage,
    DriveItem,
    Grant,
    Person,
    Place,
    below,
    links_in,
    share_token,
)
from bots.teams.settings import TeamsSettings, registration_of
from bots.teams.troubles import Conflict, Denied, Gone, MissingPermission, Refused
from core.errors import Transient
from core.settings import load_settings
from tests.vendors import teams
from tests.vendors.faults import HTML, Fault
from tests.vendors.teams import App, File, TeamsServer, graph_error, graph_throttled
from tests.vendors.teams_model import Conversation, Team, User

LEAST = frozenset({"Files.Read.All"})
RSC = frozenset({"ChannelMessage.Read.Group", "ChatMessage.Read.Chat", "TeamMember.Read.Group"})
TALK = File(name="talk #1 100% ünï.mp3", data=b"ID3 talk")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bots.teams.calls.pause", lambda _attempt: 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The app in a Microsoft 365 with a team, a channel and a group chat."""

    server: TeamsServer
    graph: Graph
    ada: User
    ben: User
    team: Team
    channel: Conversation
    chat: Conversation

    @property
    def drives(self) -> Drives:
        return Drives(self.graph)

    def place(self, conversation: Conversation) -> Place:
        if conversation.team is not None:
            return Place(team=conversation.team, channel=conversation.id)
        return Place(chat=conversation.chat_id)


@asynccontextmanager
async def scene(**app: Any) -> AsyncIterator[Scene]:
    async with teams.serving(app=App(**app)) as server:
        tenant = server.add_tenant()
        ada, ben = server.add_user(tenant, "Ada Byron"), server.add_user(tenant, "Ben Okri")
        team = server.add_team(tenant, members=[ada, ben], owners=[ben])
        settings = load_settings(TeamsSettings, **server.settings)
        hosts = Hosts(local=True)
        async with hosts.client() as client:
            registration = registration_of(settings, http_host="127.0.0.1", public_url=None)
            yield Scene(
                server=server,
                graph=Graph(settings, registration, hosts=hosts, client=client),
                ada=ada,
                ben=ben,
                team=team,
                channel=server.m365.conversations[team.channels[0]],
                chat=server.add_group_chat([ada, ben]),
            )


# messages


async def test_a_post_a_reply_and_a_message_of_a_chat() -> None:
    async with scene() as at:
        post = await at.server.post(at.channel, at.ada, "listen", files=[TALK])
        reply = await at.server.post(at.channel, at.ben, "https://example.com/a?b=1&c=2", reply_to=post)
        said = await at.server.post(at.chat, at.ada, "here", files=[TALK])
        answer = await at.server.post(at.chat, at.ben, "that one", reply_to=said)
        channel, chat = at.place(at.channel), at.place(at.chat)
        found = await at.graph.message(channel, post.id)
        assert (found.id, found.root, found.user, found.user_name) == (post.id, "", at.ada.id, "Ada Byron")
        assert [each.name for each in found.files] == [TALK.name]
        assert found == await at.graph.message(channel, post.id, root=post.id)
        found = await at.graph.message(channel, reply.id, root=post.id)
        assert (found.id, found.root, found.links) == (reply.id, post.id, ("https://example.com/a?b=1&c=2",))
        found = await at.graph.message(chat, answer.id)
        assert (found.id, found.quotes, found.files) == (answer.id, (said.id,), ())
        with pytest.raises(Gone):
            await at.graph.message(channel, reply.id)
        with pytest.raises(Gone):
            await at.graph.message(chat, "1")


async def test_a_deleted_message_says_so() -> None:
    async with scene() as at:
        said = await at.server.post(at.chat, at.ada, "here", files=[TALK])
        await at.server.delete(said)
        found = await at.graph.message(at.place(at.chat), said.id)
        assert (found.deleted, found.files) == (True, ())


async def test_the_recording_of_a_meeting_is_found() -> None:
    async with scene() as at:
        said = await at.server.post_recording(at.chat, at.ada, "Call.mp4", b"mp4")
        found = await at.graph.message(at.place(at.chat), said.id)
        assert found.recording_name == "Call.mp4"
        item = await at.drives.find(found.recording)
        assert (item.name, item.size) == ("Call.mp4", 3)


async def test_recent_messages_come_newest_first_over_all_pages() -> None:
    async with scene() as at:
        at.server.graph.page = 2
        said = [await at.server.post(at.chat, at.ada, str(number)) for number in range(5)]
        post = await at.server.post(at.channel, at.ada, "post")
        replies = [await at.server.post(at.channel, at.ada, str(n), reply_to=post) for n in range(3)]
        found = [each.id async for each in at.graph.recent(at.place(at.chat))]
        assert found == [each.id for each in said[::-1]]
        found = [each.id async for each in at.graph.recent(at.place(at.channel), root=post.id)]
        assert found == [each.id for each in replies[::-1]]


async def test_further_pages_are_only_asked_of_graph() -> None:
    async with scene() as at:
        for away in (at.server.elsewhere, "http://10.0.0.1", "https://graph.example", "nothing"):
            page = json.dumps({"value": [{"id": "1"}], "@odata.nextLink": f"{away}/v1.0/more"})
            at.server.fail("chat messages", Fault(status=200, body=page))
            with pytest.raises(Forbidden):
                [each async for each in at.graph.recent(at.place(at.chat))]
        assert not at.server.called("elsewhere")


async def test_pages_without_end_come_to_one() -> None:
    async with scene() as at:
        page = json.dumps({"value": [], "@odata.nextLink": f"{at.server.graph_url}/chats/x/messages"})
        at.server.fail("chat messages", *[Fault(status=200, body=page)] * 150)
        assert [each async for each in at.graph.recent(at.place(at.chat))] == []
        assert len(at.server.called("chat messages")) == 100


# people


async def test_members_of_a_team_and_its_owners() -> None:
    async with scene() as at:
        ada, ben = [await at.graph.member(at.team.id, each.id) for each in (at.ada, at.ben)]
        assert ada is not None
        assert ben is not None
        assert (ada.id, ada.name, ada.mail, ada.is_owner) == (at.ada.id, "Ada Byron", at.ada.mail, False)
        assert ben.is_owner
        stranger = at.server.add_user(at.server.add_tenant("Umbrella"), "Eve")
        for nobody in (stranger.id, at.ada.mri, "", f"{at.ada.id[:-1]}'"):
            assert await at.graph.member(at.team.id, nobody) is None


async def test_of_a_large_team_only_one_is_asked_for() -> None:
    async with scene() as at:
        at.server.graph.page = 1
        at.team.members[:0] = [at.server.add_user(at.ada.tenant, f"Nr {n}").id for n in range(30)]
        found = await at.graph.member(at.team.id, at.ben.id)
        assert found is not None
        assert found.is_owner
        assert len(at.server.called("team members")) == 1


# permissions


async def test_consent_in_a_team_or_chat_is_enough() -> None:
    async with scene(roles=frozenset(), rsc=RSC) as at:
        post = await at.server.post(at.channel, at.ada, "listen")
        said = await at.server.post(at.chat, at.ada, "here")
        assert (await at.graph.message(at.place(at.channel), post.id)).id == post.id
        assert (await at.graph.message(at.place(at.chat), said.id)).id == said.id
        assert await at.graph.member(at.team.id, at.ben.id)


async def test_what_an_admin_must_grant_is_named() -> None:
    async with scene(roles=frozenset()) as at:
        post = await at.server.post(at.channel, at.ada, "listen", files=[TALK])
        (item,) = post.files.values()
        asked = [
            (at.graph.message(at.place(at.channel), post.id), "ChannelMessage.Read.All", "Read.Group"),
            (at.graph.message(at.place(at.chat), "1"), "Chat.Read.All", "ChatMessage.Read.Chat"),
            (at.graph.member(at.team.id, at.ada.id), "TeamMember.Read.All", "TeamMember.Read.Group"),
            (at.drives.find(at.server.m365.web_url(item)), "Files.ReadWrite.All", ""),
            (at.drives.item(item.drive, item.id), "Files.Read.All", ""),
        ]
        for call, permission, here in asked:
            with pytest.raises(MissingPermission, match=permission) as caught:
                await call
            assert caught.value.permission == permission
            assert "admin" in str(caught.value)
            assert here in str(caught.value)


async def test_a_permission_that_was_just_granted_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene(roles=frozenset()) as at:
        said = await at.server.post(at.chat, at.ada, "here")
        with pytest.raises(MissingPermission):
            await at.graph.message(at.place(at.chat), said.id)
        at.server.app.roles = frozenset({"Chat.Read.All"})
        with pytest.raises(MissingPermission):
            await at.graph.message(at.place(at.chat), said.id)
        assert len(at.server.called("token")) == 1  # not a new one for each refusal
        monkeypatch.setattr("bots.teams.calls._YOUNG", -1.0)
        assert (await at.graph.message(at.place(at.chat), said.id)).id == said.id
        assert len(at.server.called("token")) == 2


async def test_a_token_that_graph_takes_no_more_is_renewed_once() -> None:
    async with scene() as at:
        await at.graph.member(at.team.id, at.ada.id)
        at.server.login.revoke()
        await at.graph.member(at.team.id, at.ada.id)
        assert len(at.server.called("token")) == 2
        at.server.fail("team members", *[graph_error(401, "InvalidAuthenticationToken")] * 9)
        with pytest.raises(Denied, match="GRAPH_BASE_URL"):
            await at.graph.member(at.team.id, at.ada.id)
        assert len(at.server.called("token")) == 3


async def test_there_is_no_graph_in_local_development() -> None:
    settings = load_settings(TeamsSettings, TEAMS_INSECURE_LOCAL_DEVELOPMENT=True)
    hosts = Hosts(local=True)
    async with hosts.client() as client:
        with pytest.raises(Denied):
            await Graph(settings, None, hosts=hosts, client=client).member("x", str(uuid4()))


# trouble


@pytest.mark.parametrize(
    "trouble",
    [graph_throttled(0), graph_error(503, "serviceNotAvailable", retry_after=0), 500, 502, 504, "cut", HTML],
)
async def test_a_passing_trouble_is_borne(trouble: Any) -> None:
    async with scene() as at:
        at.server.fail("team members", *[Fault(status=trouble) if isinstance(trouble, int) else trouble] * 2)
        assert await at.graph.member(at.team.id, at.ada.id)
        assert len(at.server.called("team members")) == 3


async def test_a_lasting_trouble_is_not() -> None:
    async with scene() as at:
        at.server.fail("team members", graph_throttled(60))
        with pytest.raises(Transient) as caught:
            await at.graph.member(at.team.id, at.ada.id)
        assert caught.value.retry_after == 60
        at.server.fail("team members", *[Fault(status=500)] * 9)
        with pytest.raises(Transient):
            await at.graph.member(at.team.id, at.ada.id)
        assert len(at.server.called("team members")) == 5


@pytest.mark.parametrize(
    "body", ["[]", "null", '"text"', "[" * 100_000, "\ufeff{", '{"id": 1, "from": [], "body": 3}']
)
async def test_an_answer_that_is_none(body: str) -> None:
    async with scene() as at:
        at.server.fail("chat message", *[Fault(status=200, body=body)] * 9)
        with pytest.raises(Transient):
            await at.graph.message(at.place(at.chat), "1")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (graph_error(409, "nameAlreadyExists"), Conflict),
        (graph_error(410, "Gone"), Gone),
        (graph_error(412, "preconditionFailed"), Conflict),
        (graph_error(423, "resourceLocked"), Transient),
        (graph_error(501, "notSupported"), Refused),
        (graph_error(507, "quotaLimitReached"), Refused),
        (graph_error(400, "invalidRequest"), Refused),
    ],
)
async def test_refusals(fault: Fault, kind: type[Exception]) -> None:
    async with scene() as at:
        at.server.fail("team members", fault)
        with pytest.raises(kind) as caught:
            await at.graph.member(at.team.id, at.ada.id)
        assert type(caught.value) is kind
        assert len(at.server.called("team members")) == 1


# files


async def shared(at: Scene, conversation: Conversation) -> tuple[Attachment, Any]:
    message = await at.server.post(conversation, at.ada, "listen", files=[TALK])
    found = await at.graph.message(at.place(conversation), message.id)
    (item,) = message.files.values()
    return found.files[0], item


@pytest.mark.parametrize("where", ["channel", "chat"])
async def test_a_shared_file_is_found_by_its_address(where: str) -> None:
    async with scene() as at:
        attachment, item = await shared(at, at.channel if where == "channel" else at.chat)
        found = await at.drives.find(attachment.url)
        assert (found.drive, found.id, found.name, found.size) == (item.drive, item.id, TALK.name, 8)
        assert found.etag == item.etag
        assert not found.is_folder
        assert found == await at.drives.item(found.drive, found.id)
        assert found.parent == item.parent


async def test_a_sharing_link_is_opened() -> None:
    async with scene() as at:
        item = at.server.add_file(at.ada, "Recordings/Call.mp4", b"mp4")
        found = await at.drives.find(at.server.share_link(item))
        assert (found.id, found.name) == (item.id, "Call.mp4")


async def test_a_link_to_a_folder_is_refused() -> None:
    async with scene() as at:
        item = at.server.add_file(at.ada, "Recordings/Call.mp4", b"mp4")
        folder = at.server.m365.drives[item.drive].items[item.parent or ""]
        with pytest.raises(Refused, match="folder"):
            await at.drives.find(at.server.share_link(folder))


async def test_a_file_that_was_deleted_is_gone() -> None:
    async with scene() as at:
        attachment, item = await shared(at, at.chat)
        found = await at.drives.find(attachment.url)
        item.deleted = True
        with pytest.raises(Gone):
            await at.drives.find(attachment.url)
        with pytest.raises(Gone):
            await at.drives.item(found.drive, found.id)


async def test_reading_is_enough_for_what_lies_in_a_known_place() -> None:
    async with scene(roles=LEAST | {"ChannelMessage.Read.All", "Chat.Read.All"}) as at:
        attachment, item = await shared(at, at.channel)
        found = await at.drives.find(attachment.url, place=at.place(at.channel))
        assert (found.drive, found.id) == (item.drive, item.id)
        attachment, item = await shared(at, at.chat)
        found = await at.drives.find(attachment.url, place=at.place(at.chat), people=[at.ben.id, at.ada.id])
        assert (found.drive, found.id) == (item.drive, item.id)


async def test_nothing_else_of_the_same_name_is_taken() -> None:
    async with scene(roles=LEAST | {"Chat.Read.All"}) as at:
        attachment, _ = await shared(at, at.chat)
        at.server.add_file(at.ben, f"Microsoft Teams Chat Files/{TALK.name}", b"another")
        with pytest.raises(MissingPermission, match=r"Files\.ReadWrite\.All"):
            await at.drives.find(attachment.url, people=[at.ben.id, "nobody"])
        link = at.server.share_link(at.server.add_file(at.ada, "Recordings/Call.mp4", b"mp4"))
        with pytest.raises(MissingPermission):
            await at.drives.find(link, place=at.place(at.channel), people=[at.ada.id])


async def test_a_file_that_is_gone_from_its_known_place() -> None:
    async with scene(roles=LEAST | {"Chat.Read.All"}) as at:
        attachment, item = await shared(at, at.chat)
        item.deleted = True
        with pytest.raises(Gone):
            await at.drives.find(attachment.url, people=[at.ada.id])


async def test_the_folder_of_a_channel() -> None:
    async with scene() as at:
        found = await at.drives.folder(at.place(at.channel))
        assert (found.name, found.is_folder, found.drive) == ("General", True, at.team.drive)


async def test_the_end_of_a_file() -> None:
    async with scene() as at:
        item = at.server.add_file(at.ada, "Recordings/Call.md", b"text")
        found = await at.drives.item(item.drive, item.id)
        await at.drives.delete(found.drive, found.id)
        assert item.deleted
        await at.drives.delete(found.drive, found.id)
        at.server.fail("delete item", graph_error(412, "preconditionFailed"))
        with pytest.raises(Conflict):
            await at.drives.delete(found.drive, found.id, etag=found.etag)


async def test_people_are_let_in_by_name_and_nobody_else_is() -> None:
    async with scene() as at:
        item = at.server.add_file(at.ada, "Recordings/Call.md", b"text")
        found = await at.drives.item(item.drive, item.id)
        outsider = at.server.add_user(at.ada.tenant, "Olga Out")
        guest = at.server.add_user(at.ada.tenant, "Guy Guest", guest=True)
        stranger = at.server.add_user(at.server.add_tenant("Umbrella"), "Eve Else")
        assert not at.server.can_open(item, at.ben)
        for _ in range(2):
            assert await at.drives.let_in(found, [at.ben.id, guest.id])
        with pytest.raises(Refused):
            await at.drives.let_in(found, [at.ben.id, stranger.id])
        some = {"value": [{"roles": ["read"]}, {"error": {"code": "notAllowed"}}]}
        at.server.fail("invite", Fault(status=207, body=json.dumps(some)))
        assert not await at.drives.let_in(found, [at.ben.id, guest.id])
        at.server.drives.lets_in = "people"
        with pytest.raises(Denied):
            await at.drives.let_in(found, [guest.id])
        allowed = [at.server.can_open(item, user) for user in (at.ben, guest, outsider, stranger)]
    assert allowed == [True, True, False, False]


async def test_who_can_open_a_file() -> None:
    async with scene() as at:
        item = at.server.add_file(at.ada, "Recordings/Call.mp4", b"call")
        found = await at.drives.item(item.drive, item.id)
        link = at.server.share_link(item).partition("?")[0]
        narrow = at.server.share_link(item, narrow=True).partition("?")[0]
        item.grants.add(at.ben.id)
        own, let_in, *links = await at.drives.grants(found)
        assert own == Grant(people=frozenset({at.ada.id}))
        assert (let_in.people, let_in.for_all) == (frozenset({at.ben.id}), False)
        assert [(each.link, each.for_all) for each in links] == [(link, True), (narrow, False)]
        assert (await at.drives.onedrive(at.ada.id)).id == item.drive
        shared = at.server.add_file(at.team, "General/Call.mp4", b"call")
        assert (await at.drives.drive(shared.drive)).team == at.team.id
        assert (await at.drives.drive(item.drive)).team == ""


def test_old_and_odd_ways_to_say_who_can_open_a_file() -> None:
    assert Grant.from_payload({"grantedTo": {"user": {"id": "A-1"}}}).people == {"a-1"}
    several = {"grantedToIdentities": [{"user": {"id": "a"}}, {"user": None}, {"application": {"id": "x"}}]}
    assert Grant.from_payload(several).people == {"a"}
    nobody = Grant(people=frozenset())
    strange: list[Any] = [None, [], {"link": "x"}, {"grantedToV2": []}, {"link": {"scope": "users"}}]
    for odd in strange:
        assert Grant.from_payload(odd) == nobody


# records


def test_share_tokens() -> None:
    for url in ("https://a.sharepoint.com/x y?", "https://a.example/ü>>>", "https://a"):
        token = share_token(url)
        assert token.startswith("u!")
        assert not set(token) & set("=+/")


@pytest.mark.parametrize(
    ("url", "folder", "path"),
    [
        ("https://a.example/sites/B/Docs/x/y z.mp3", "https://a.example/sites/B/Docs", "x/y z.mp3"),
        ("https://A.example/Sites/b/docs/y%20z.mp3?e=1", "https://a.example/sites/B/Docs/", "y z.mp3"),
        ("https://a.example/sites/B/Docs2/y.mp3", "https://a.example/sites/B/Docs", None),
        ("https://b.example/sites/B/Docs/y.mp3", "https://a.example/sites/B/Docs", None),
        ("https://a.example/sites/B/Docs/../Secret/y.mp3", "https://a.example/sites/B/Docs", None),
        ("https://a.example/sites/B/Docs/%2e%2e/y.mp3", "https://a.example/sites/B/Docs", None),
        ("https://a.example/sites/B/Docs", "https://a.example/sites/B/Docs", None),
        ("https://a.example/y.mp3", "https://a.example", None),
        ("https://[a", "https://a.example/x", None),
        ("", "", None),
    ],
)
def test_paths_below_a_folder(url: str, folder: str, path: str | None) -> None:
    assert below(url, folder) == path


def test_links_in_html() -> None:
    html = '<a href="https://a">x</a><A HREF=\'https://b?c=1&amp;d\'>y<a>z</a><a href="https://a"><img src="https://i">'
    assert links_in(html) == ("https://a", "https://b?c=1&d")
    assert len(links_in("".join(f'<a href="https://{n}">' for n in range(99)))) == 50


@pytest.mark.parametrize(
    "payload", [None, [], 1, "x", {}, {"attachments": {}, "from": 1, "body": [], "eventDetail": 1}]
)
def test_odd_payloads_are_empty(payload: Any) -> None:
    assert ChatMessage.from_payload(payload) == ChatMessage(id="")
    assert DriveItem.from_payload(payload) == DriveItem(drive="", id="", is_folder=True)
    assert Person.from_payload(payload) == Person(id="")


def test_a_quote_and_an_item_elsewhere() -> None:
    quotes = [
        {"contentType": "messageReference", "id": "17", "content": '{"messageId": "18"}'},
        {"contentType": "messageReference", "id": "19", "content": "{"},
        {"contentType": "messageReference", "id": "x", "content": None},
    ]
    assert ChatMessage.from_payload({"attachments": quotes}).quotes == ("18", "19")
    item = {"id": "1", "remoteItem": {"id": "2", "file": {}, "parentReference": {"driveId": "d"}}}
    found = DriveItem.from_payload(item)
    assert (found.drive, found.id, found.is_folder) == ("d", "2", False)


async def test_a_client_that_was_closed_is_no_trouble_to_close() -> None:
    client = Hosts().client()
    assert isinstance(client, httpx.AsyncClient)
    await client.aclose()
