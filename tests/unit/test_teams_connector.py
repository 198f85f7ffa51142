"""Teams' connector against a Teams on this machine that signs, forges, throttles and turns away."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from aiohttp import web

from bots.teams.connector import Connector
from bots.teams.hosts import Forbidden, Hosts
from bots.teams.incoming import Incoming, Reference
from bots.teams.letters import Told, dump, load
from bots.teams.settings import TeamsSettings, registration_of
from bots.teams.tokens import AppToken
from bots.teams.troubles import Denied, Gone, Refused, Removed, TooLarge, Unshowable, Unsure
from bots.teams.trust import Untrusted
from core.errors import Misconfigured, Transient
from core.settings import load_settings
from tests.vendors import faults, teams
from tests.vendors.faults import HTML, Fault
from tests.vendors.teams import FORGERIES, Forgery, TeamsServer, connector_error, throttled
from tests.vendors.teams_model import Conversation, Team, User

HELLO = {"type": "message", "text": "Hello"}
CARD = {
    "type": "message",
    "attachments": [
        {
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "type": "AdaptiveCard",
                "version": "1.5",
                "body": [{"type": "TextBlock", "text": "Ünïcode 音声 {curly} “quotes”", "wrap": True}],
                "actions": [
                    {"type": "Action.Execute", "title": "Stop", "verb": "erni.stop", "data": {"a": [1]}}
                ],
            },
        }
    ],
}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bots.teams.calls.pause", lambda _attempt: 0.0)


@dataclass(slots=True, kw_only=True)
class Scene:
    """The app in a Teams with a team, a channel, a group chat and a personal chat."""

    server: TeamsServer
    connector: Connector
    hosts: Hosts
    client: httpx.AsyncClient
    ada: User
    team: Team
    channel: Conversation
    chat: Conversation
    personal: Conversation
    came: list[Incoming] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)

    def where(self, conversation: Conversation, root: str = "") -> Reference:
        kinds: dict[str, Any] = {"channel": "channel", "groupChat": "groupChat"}
        return Reference(
            service_url=self.server.service_url,
            conversation=conversation.id,
            root=root,
            kind=kinds.get(conversation.kind, "personal"),
            tenant=conversation.tenant,
            bot=self.server.app.bot,
        )

    async def receive(self, request: web.Request) -> web.Response:
        try:
            self.came.append(await self.connector.receive(await request.read(), request.headers))
        except Untrusted as error:
            self.refused.append(error.status)
            return web.Response(status=error.status)
        except Transient:
            return web.Response(status=503)
        return web.Response(status=202)


def settings_for(server: TeamsServer, **others: Any) -> TeamsSettings:
    return load_settings(TeamsSettings, **server.settings | others)


def connector_for(server: TeamsServer, hosts: Hosts, client: httpx.AsyncClient, **others: Any) -> Connector:
    settings = settings_for(server, **others)
    registration = registration_of(settings, http_host="127.0.0.1", public_url=None)
    return Connector(settings, registration, hosts=hosts, client=client)


@asynccontextmanager
async def scene(**others: Any) -> AsyncIterator[Scene]:
    async with teams.serving() as server:
        tenant = server.add_tenant()
        ada, ben = server.add_user(tenant, "Ada Byron"), server.add_user(tenant, "Ben Okri")
        team = server.add_team(tenant, members=[ada, ben])
        hosts = Hosts(local=True)
        async with hosts.client() as client:
            at = Scene(
                server=server,
                connector=connector_for(server, hosts, client, **others),
                hosts=hosts,
                client=client,
                ada=ada,
                team=team,
                channel=server.m365.conversations[team.channels[0]],
                chat=server.add_group_chat([ada, ben]),
                personal=server.add_personal_chat(ada),
            )
            app = web.Application()
            app.router.add_post("/teams/messages", at.receive)
            async with faults.serving(app) as origin:
                server.delivery.endpoint = f"{origin}/teams/messages"
                yield at


# what comes in


async def test_what_teams_signs_is_read() -> None:
    async with scene() as at:
        post = await at.server.post(at.channel, at.ada, "please", mention_bot=True)
        reply = await at.server.post(at.channel, at.ada, "and this", mention_bot=True, reply_to=post)
        await at.server.post(at.personal, at.ada, "help")
        await at.server.delivered()
        first, second, third = sorted(at.came, key=lambda each: each.id)
        assert (first.kind, first.id, first.where) == ("message", post.id, at.where(at.channel, post.id))
        assert (first.user, first.user_chat_id, first.user_name) == (at.ada.id, at.ada.mri, "Ada Byron")
        assert (first.thread, first.channel, first.mentions_app) == (
            at.team.thread_id,
            at.channel.id,
            True,
        )
        assert (second.id, second.where.root) == (reply.id, post.id)
        assert (third.where, third.mentions_app, third.text) == (at.where(at.personal), False, "help")
        assert third.locale == "en-GB"


async def test_files_sent_to_the_app_are_read() -> None:
    async with scene() as at:
        await at.server.send_file(at.personal, at.ada, teams.File(name="talk.mp3", data=b"ID3"))
        await at.server.delivered()
        (download,) = at.came[0].downloads
        assert (download.name, download.file_type) == ("talk.mp3", "mp3")
        assert download.url.startswith(at.server.storage.origin)


async def test_a_kept_activity_and_a_kept_reference_are_the_same_again() -> None:
    async with scene() as at:
        await at.server.post(at.channel, at.ada, "please", mention_bot=True)
        await at.server.delivered()
        assert Incoming.from_payload(json.loads(json.dumps(at.came[0].payload))) == at.came[0]
        assert Reference.from_json(at.came[0].where.to_json()) == at.came[0].where


@pytest.mark.parametrize("kept", ["{}", "[]", "1", '{"kind":"elsewhere"}', "nothing"])
def test_anything_else_is_no_reference(kept: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (json's or ours)
        Reference.from_json(kept)


@pytest.mark.parametrize(
    ("conversation", "kind", "root"),
    [
        ({"id": "19:a@thread.tacv2;messageid=17", "conversationType": "channel"}, "channel", "17"),
        ({"id": "19:a@thread.tacv2;messageid=x/y", "conversationType": "channel"}, "channel", ""),
        ({"id": "19:a@thread.tacv2;messageid=17"}, "channel", "17"),
        ({"id": "19:a@thread.v2;messageid=17", "conversationType": "groupChat"}, "groupChat", ""),
        ({"id": "19:a@thread.v2"}, "groupChat", ""),
        ({"id": "b", "isGroup": True}, "groupChat", ""),
        ({"id": "a:1", "conversationType": "another"}, "personal", ""),
    ],
)
def test_where_something_happened(conversation: dict[str, Any], kind: str, root: str) -> None:
    activity = {"type": "message", "serviceUrl": "https://a", "recipient": {"id": "28:x"}}
    where = Incoming.from_payload(activity | {"conversation": conversation}).where
    assert (where.kind, where.root) == (kind, root)
    assert where.conversation == conversation["id"].partition(";")[0]


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_no_forgery_gets_in(forgery: Forgery) -> None:
    async with scene() as at:
        activity = at.server.sample(at.personal, at.ada)
        status, text = await at.server.deliver_forged(forgery, activity)
        assert status in {401, 403}
        assert text == ""
        assert not at.came


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer .",
        "Bearer ..",
        "Bearer é.é.é",
        "Bearer " + "a" * 20_000,
        "Bearer e30.e30.",
        "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6WzFdfQ.e30.AA",
        "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.W10.AA",
        "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.bnVsbA.AA",
        "Bearer W10.W10.AA",
        "Bearer eyJhbGciOltdfQ.e30.AA",
        "\x00",
        "Bearer a b c",
    ],
)
async def test_odd_tokens_are_no_tokens(header: str) -> None:
    async with scene() as at:
        body = json.dumps(at.server.sample(at.personal, at.ada)).encode()
        with pytest.raises(Untrusted) as caught:
            await at.connector.receive(body, {"authorization": header})
        assert caught.value.status == 401


@pytest.mark.parametrize("claims", [{"exp": None}, {"exp": "x"}, {"aud": ["x"]}, {"aud": 1}, {"nbf": {}}])
async def test_odd_claims_are_no_proof(claims: dict[str, Any]) -> None:
    async with scene() as at:
        header = at.server.login.header(at.server.service_url, **claims)
        body = json.dumps(at.server.sample(at.personal, at.ada)).encode()
        with pytest.raises(Untrusted) as caught:
            await at.connector.receive(body, {"Authorization": header})
        assert caught.value.status in {401, 403}


@pytest.mark.parametrize("body", [b"", b"nothing", b"[]", b"null", b"\xff", b"[" * 100_000, b"{}"])
async def test_a_body_that_is_no_activity_is_refused(body: bytes) -> None:
    async with scene() as at:
        header = at.server.login.header(at.server.service_url)
        for given, statuses in ((header, {403}), ("Bearer a.b.c", {401})):
            with pytest.raises(Untrusted) as caught:
                await at.connector.receive(body, {"Authorization": given})
            assert caught.value.status in statuses


async def test_names_that_were_cut_in_the_middle_of_a_character_can_be_kept() -> None:
    async with scene() as at:
        activity = at.server.sample(at.personal, at.ada, "hello \U0001f600")
        activity["from"]["name"] = "Ada \ud83d"
        header = at.server.login.header(at.server.service_url)
        found = await at.connector.receive(json.dumps(activity).encode(), {"Authorization": header})
        assert (found.user_name, found.text) == ("Ada ?", "hello \U0001f600")
        letter = Told(where=found.where, user_name=found.user_name, word="help", message="1")
        assert load(dump(letter)) == letter


@pytest.mark.parametrize(
    "change", [{"type": None}, {"conversation": {}}, {"conversation": []}, {"recipient": "x"}]
)
async def test_an_activity_that_cannot_be_answered_is_refused(change: dict[str, Any]) -> None:
    async with scene() as at:
        header = at.server.login.header(at.server.service_url)
        body = json.dumps(at.server.sample(at.personal, at.ada) | change).encode()
        with pytest.raises(Untrusted) as caught:
            await at.connector.receive(body, {"Authorization": header})
        assert caught.value.status == 400


@pytest.mark.parametrize("channel", ["webchat", "emulator", "directline", "", None, ["msteams"]])
async def test_other_channels_are_not_served(channel: Any) -> None:
    async with scene() as at:
        header = at.server.login.header(at.server.service_url)
        body = json.dumps(at.server.sample(at.personal, at.ada) | {"channelId": channel}).encode()
        with pytest.raises(Untrusted) as caught:
            await at.connector.receive(body, {"Authorization": header})
        assert caught.value.status == 403


async def test_another_organisation_is_not_served() -> None:
    async with scene() as at:
        header = at.server.login.header(at.server.service_url)
        activity = at.server.sample(at.personal, at.ada)
        activity["conversation"]["tenantId"] = "7d9b645f-597b-41f0-a2a3-ef103fbd91bb"
        with pytest.raises(Untrusted, match="another organisation") as caught:
            await at.connector.receive(json.dumps(activity).encode(), {"Authorization": header})
        assert caught.value.status == 403


async def test_keys_are_asked_for_once_and_again_after_a_rotation() -> None:
    async with scene() as at:
        for _ in range(3):
            await at.server.post(at.personal, at.ada, "help")
        await at.server.delivered()
        assert len(at.server.called("keys")) == 1
        at.server.login.rotate()
        await at.server.post(at.personal, at.ada, "help")
        await at.server.delivered()
        assert len(at.came) == 4
        assert len(at.server.called("keys")) == 2


async def test_unknown_keys_do_not_make_us_ask_each_time() -> None:
    async with scene() as at:
        activity = at.server.sample(at.personal, at.ada)
        for _ in range(10):
            await at.server.deliver_forged("unknown key", activity)
        assert at.refused == [401] * 10
        assert len(at.server.called("keys")) <= 2


@pytest.mark.parametrize(
    "trouble", [Fault(status=500), HTML, "cut", Fault(body="[]"), Fault(body='{"keys": 1}')]
)
@pytest.mark.parametrize("document", ["metadata", "keys"])
async def test_nobody_is_believed_while_the_keys_are_unknown(document: str, trouble: Any) -> None:
    async with scene() as at:
        at.server.fail(document, trouble)
        header = at.server.login.header(at.server.service_url)
        body = json.dumps(at.server.sample(at.personal, at.ada)).encode()
        with pytest.raises(Transient):
            await at.connector.receive(body, {"Authorization": header})
        assert (await at.connector.receive(body, {"Authorization": header})).text == "help"


async def test_known_keys_outlive_an_outage() -> None:
    async with scene() as at:
        await at.server.post(at.personal, at.ada, "one")
        await at.server.delivered()
        at.server.fail("metadata", *[Fault(status=503)] * 5)
        await at.server.deliver_forged("unknown key", at.server.sample(at.personal, at.ada))
        await at.server.post(at.personal, at.ada, "two")
        await at.server.delivered()
        assert [each.text for each in at.came] == ["one", "two"]
        assert at.refused == [401]


async def test_keys_are_ready_before_anybody_comes() -> None:
    async with scene() as at:
        tending = asyncio.create_task(at.connector.tend())
        await at.server.until(lambda: at.server.called("keys"))
        await at.server.post(at.personal, at.ada, "help")
        await at.server.delivered()
        assert len(at.server.called("keys")) == 1
        tending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await tending


# local development


@asynccontextmanager
async def developing() -> AsyncIterator[tuple[Connector, TeamsServer, dict[str, Any]]]:
    async with teams.serving() as server:
        settings = load_settings(TeamsSettings, TEAMS_INSECURE_LOCAL_DEVELOPMENT=True)
        registration = registration_of(settings, http_host="127.0.0.1", public_url=None)
        hosts = Hosts(local=True)
        tenant = server.add_tenant()
        ada = server.add_user(tenant)
        async with hosts.client() as client:
            connector = Connector(settings, registration, hosts=hosts, client=client)
            yield connector, server, server.sample(server.add_personal_chat(ada), ada)


NEAR = {"Host": "localhost:8765", "Content-Type": "application/json; charset=utf-8"}


async def test_local_development_believes_this_machine() -> None:
    async with developing() as (connector, _, activity):
        found = await connector.receive(json.dumps(activity).encode(), NEAR)
        assert found.text == "help"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {**NEAR, "Host": "audio.example.com"},
        {**NEAR, "Host": "127.0.0.1.example.com:8765"},
        {**NEAR, "Host": "[::1"},
        {**NEAR, "Content-Type": "text/plain"},
        {"Host": "localhost"},
    ],
)
async def test_local_development_believes_no_page_in_a_browser(headers: dict[str, str]) -> None:
    async with developing() as (connector, _, activity):
        with pytest.raises(Untrusted) as caught:
            await connector.receive(json.dumps(activity).encode(), headers)
        assert caught.value.status == 403


@pytest.mark.parametrize(
    "service_url",
    [
        "https://smba.trafficmanager.net/emea/",
        "http://10.0.0.1/",
        "http://[::1",
        "ftp://localhost/",
        "",
        None,
    ],
)
async def test_local_development_answers_nobody_else(service_url: str | None) -> None:
    async with developing() as (connector, _, activity):
        body = json.dumps(activity | {"serviceUrl": service_url}).encode()
        with pytest.raises(Untrusted):
            await connector.receive(body, NEAR)
        if service_url:
            where = Incoming.from_payload(activity).where
            with pytest.raises(Forbidden):
                await connector.send(replace(where, service_url=service_url), HELLO)


async def test_local_development_sends_without_a_token() -> None:
    async with developing() as (connector, _, activity):
        seen: list[Any] = []

        async def take(request: web.Request) -> web.Response:
            seen.append((request.path, request.headers.get("Authorization"), (await request.json())["text"]))
            return web.json_response({"id": "7"}, status=201)

        app = web.Application()
        app.router.add_post("/_connector/v3/conversations/{conversation}/activities", take)
        async with faults.serving(app) as origin:
            where = replace(Incoming.from_payload(activity).where, service_url=f"{origin}/_connector")
            assert await connector.send(where, HELLO) == "7"
            ((path, authorization, text),) = seen
            assert path.endswith(f"/{where.conversation}/activities")
            assert (authorization, text) == (None, "Hello")


# what the app says


async def test_a_message_is_sent_changed_and_deleted() -> None:
    async with scene() as at:
        for conversation in (at.personal, at.chat, at.channel):
            where = at.where(conversation)
            name = await at.connector.send(where, CARD)
            (message,) = at.server.of_bot(conversation)
            assert message.id == name
            assert message.card == CARD["attachments"][0]["content"]  # type: ignore[index]
            await at.connector.update(where, name, HELLO)
            assert (message.text, message.attachments) == ("Hello", [])
            await at.connector.delete(where, name)
            assert at.server.of_bot(conversation) == []
            with pytest.raises(Gone):
                await at.connector.update(where, name, HELLO)
            with pytest.raises(Gone):
                await at.connector.delete(where, name)


async def test_an_answer_goes_into_the_thread() -> None:
    async with scene() as at:
        post = await at.server.post(at.channel, at.ada, "please", mention_bot=True)
        await at.server.delivered()
        name = await at.connector.send(at.came[0].where, HELLO)
        (message,) = at.server.of_bot(at.channel, post)
        assert message.id == name
        await at.connector.update(at.came[0].where, name, CARD)
        assert message.has_card
        assert not at.server.called("reply")  # it answers the post, not an activity that nobody sent


async def test_typing_leaves_no_message() -> None:
    async with scene() as at:
        assert await at.connector.send(at.where(at.personal), {"type": "typing"}) == ""
        assert at.server.of_bot(at.personal) == []


async def test_a_kept_reference_works_in_another_process() -> None:
    async with scene() as at:
        kept = at.where(at.chat).to_json()
        async with at.hosts.client() as client:
            other = connector_for(at.server, at.hosts, client)
            await other.send(Reference.from_json(kept), HELLO)
        assert [message.text for message in at.server.of_bot(at.chat)] == ["Hello"]


async def test_one_token_serves_many_messages_and_is_renewed_in_time() -> None:
    async with scene() as at:
        await asyncio.gather(*(at.connector.send(at.where(at.chat), HELLO) for _ in range(5)))
        assert len(at.server.called("token")) == 1
        at.server.login.revoke()
        await at.connector.send(at.where(at.chat), HELLO)
        assert len(at.server.called("token")) == 2
        assert len(at.server.of_bot(at.chat)) == 6


@pytest.mark.parametrize("status", [412, 429, 503])
async def test_what_was_not_done_is_asked_again(status: int) -> None:
    async with scene() as at:
        at.server.fail("send", *[connector_error(status, "Busy", "Again.", retry_after=0)] * 2)
        await at.connector.send(at.where(at.chat), HELLO)
        assert len(at.server.called("send")) == 3
        assert len(at.server.of_bot(at.chat)) == 1


async def test_a_long_wait_is_the_workers() -> None:
    async with scene() as at:
        at.server.fail("send", throttled(120))
        with pytest.raises(Transient) as caught:
            await at.connector.send(at.where(at.chat), HELLO)
        assert caught.value.retry_after == 120
        assert not isinstance(caught.value, Unsure)


async def test_throttling_without_end_is_given_up() -> None:
    async with scene() as at:
        at.server.fail("update", *[connector_error(429, "Throttled", "Again.")] * 50)
        name = await at.connector.send(at.where(at.chat), HELLO)
        with pytest.raises(Transient):
            await at.connector.update(at.where(at.chat), name, CARD)
        assert len(at.server.called("update")) == 4


@pytest.mark.parametrize(
    "trouble", ["cut", "lost", HTML, Fault(status=201), connector_error(500, "ServiceError", "?"), 502, 504]
)
async def test_what_may_have_been_said_is_not_said_again(trouble: Any) -> None:
    async with scene() as at:
        fault = Fault(status=trouble) if isinstance(trouble, int) else trouble
        at.server.fail("send", fault)
        with pytest.raises(Unsure):
            await at.connector.send(at.where(at.chat), HELLO)
        assert len(at.server.called("send")) == 1
        assert len(at.server.of_bot(at.chat)) == (1 if trouble == "lost" else 0)


@pytest.mark.parametrize("trouble", ["cut", "lost", HTML, 500, 502, 504])
async def test_a_change_can_be_repeated(trouble: Any) -> None:
    async with scene() as at:
        name = await at.connector.send(at.where(at.chat), HELLO)
        at.server.fail("update", Fault(status=trouble) if isinstance(trouble, int) else trouble)
        await at.connector.update(at.where(at.chat), name, CARD)
        assert at.server.of_bot(at.chat)[0].has_card
        assert len(at.server.called("update")) == 2


async def test_an_answer_that_never_comes_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bots.teams.calls.CALL_SECONDS", 0.2)
    async with scene() as at:
        name = await at.connector.send(at.where(at.chat), HELLO)
        at.server.fail("send", "hang")
        with pytest.raises(Unsure, match="in time"):
            await at.connector.send(at.where(at.chat), HELLO)
        at.server.fail("update", "hang")
        await at.connector.update(at.where(at.chat), name, CARD)


async def test_what_is_too_large_is_said_so() -> None:
    async with scene() as at:
        with pytest.raises(TooLarge) as caught:
            await at.connector.send(at.where(at.chat), {"type": "message", "text": "x" * 60_000})
        assert caught.value.code == "MessageSizeTooBig"


async def test_what_teams_does_not_understand_is_our_mistake() -> None:
    async with scene() as at:
        at.server.fail("send", connector_error(400, "BadSyntax", "Invalid card"))
        with pytest.raises(Unshowable) as caught:
            await at.connector.send(at.where(at.chat), HELLO)
        assert caught.value.code == "BadSyntax"


async def test_where_the_app_was_removed_or_blocked_nothing_is_said() -> None:
    async with scene() as at:
        name = await at.connector.send(at.where(at.chat), HELLO)
        at.chat.installed = False
        at.personal.blocked = True
        for where in (at.where(at.chat), at.where(at.personal)):
            with pytest.raises(Removed):
                await at.connector.send(where, HELLO)
        with pytest.raises(Removed):
            await at.connector.update(at.where(at.chat), name, HELLO)


async def test_another_refusal_is_none_of_these() -> None:
    async with scene() as at:
        at.server.fail("send", connector_error(403, "Forbidden", "No."))
        with pytest.raises(Refused) as caught:
            await at.connector.send(at.where(at.chat), HELLO)
        assert not isinstance(caught.value, Removed)


@pytest.mark.parametrize("status", [405, 501])
async def test_what_can_not_be_done_somewhere_is_no_mistake_of_ours(status: int) -> None:
    """The Agents Playground deletes nothing, for example."""
    async with scene() as at:
        at.server.fail("delete", connector_error(status, "NotImplemented", "No."))
        with pytest.raises(Refused):
            await at.connector.delete(at.where(at.chat), "1")
        assert len(at.server.called("delete")) == 1


async def test_a_conversation_that_is_gone_is_said_so() -> None:
    async with scene() as at:
        at.chat.gone = True
        with pytest.raises(Gone):
            await at.connector.send(at.where(at.chat), HELLO)
        with pytest.raises(Gone):
            await at.connector.send(at.where(at.channel, "1234"), HELLO)


async def test_people_of_a_conversation() -> None:
    async with scene() as at:
        at.server.connector.smallest_page = 1
        at.server.connector.page = 1
        members = [each async for each in at.connector.members(at.where(at.channel, "1"))]
        assert sorted(each.name for each in members) == ["Ada Byron", "Ben Okri"]
        ada = await at.connector.member(at.where(at.chat), at.ada.mri)
        assert (ada.id, ada.name, ada.chat_id) == (at.ada.id, "Ada Byron", at.ada.mri)
        assert await at.connector.member(at.where(at.chat), at.ada.id) == ada
        with pytest.raises(Gone):
            await at.connector.member(at.where(at.chat), "29:nobody")


async def test_a_teams_other_name() -> None:
    async with scene() as at:
        for _ in range(2):
            assert await at.connector.group(at.where(at.channel), at.team.thread_id) == at.team.id
        assert len(at.server.called("team")) == 1
        with pytest.raises(Gone):
            await at.connector.group(at.where(at.channel), "19:other@thread.tacv2")


# the app's own token


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"TEAMS_APP_PASSWORD": "wrong"}, "TEAMS_APP_PASSWORD is wrong"),
        ({"TEAMS_APP_ID": "00000000-8f0e-4d0b-9a55-3b8f0d1f6f2e"}, "TEAMS_APP_ID"),
        ({"TEAMS_TENANT_ID": "00000000-8f0e-4d0b-9a55-3b8f0d1f6f2e"}, "TEAMS_TENANT_ID"),
    ],
)
async def test_wrong_credentials_are_named(change: dict[str, str], says: str) -> None:
    async with scene(**change) as at:
        with pytest.raises(Denied, match=says) as caught:
            await at.connector.send(at.where(at.chat), HELLO)
        assert "wrong" not in str(caught.value).replace("is wrong", "")


async def test_an_expired_secret_is_named() -> None:
    async with scene() as at:
        at.server.app.secret_expired = True
        with pytest.raises(Denied, match="has expired"):
            await at.connector.send(at.where(at.chat), HELLO)


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (Fault(status=503), Transient),
        (Fault(status=429, headers={"Retry-After": "7"}), Transient),
        (HTML, Transient),
        ("cut", Transient),
        (Fault(status=200, body="{}"), Transient),
        (Fault(status=200, body='{"access_token": "a\\r\\nb", "expires_in": 3599}'), Transient),
        (Fault(status=404), Misconfigured),
    ],
)
async def test_without_a_token_nothing_is_sent(trouble: Any, kind: type[Exception]) -> None:
    async with scene() as at:
        at.server.fail("token", trouble)
        with pytest.raises(kind) as caught:
            await at.connector.send(at.where(at.chat), HELLO)
        assert not isinstance(caught.value, Unsure)
        assert not at.server.called("send")
        await at.connector.send(at.where(at.chat), HELLO)


async def test_a_token_is_renewed_before_it_ends_and_kept_if_that_fails() -> None:
    async with scene() as at:
        settings, now = settings_for(at.server), [1000.0]
        registration = registration_of(settings, http_host="127.0.0.1", public_url=None)
        assert registration is not None

        async def scope() -> str:
            return "https://graph.microsoft.com"

        token = AppToken(
            at.client,
            registration,
            login_base_url=settings.login_base_url,
            scope=scope,
            clock=lambda: now[0],
        )
        first = await token.get()
        now[0] += 3200
        assert await token.get() == first
        assert token.age(first) == 3200
        now[0] += 200  # less than five minutes are left
        at.server.fail("token", *[Fault(status=503)] * 2)
        assert await token.get() == first
        assert await token.get() == first  # it is not asked each time
        assert len(at.server.called("token")) == 2
        now[0] += 300
        with pytest.raises(Transient):
            await token.get()
        assert await token.get() != first
        assert "Bearer" not in repr(token)
        assert first not in repr(vars(token))


async def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with scene() as at:
        at.server.fail("send", throttled(0))
        await at.server.post(at.personal, at.ada, "a private matter")
        await at.server.delivered()
        await at.connector.send(at.where(at.chat), {"type": "message", "text": "a private matter"})
        tokens = [issued.token for issued in at.server.login.issued]
        ours = [record.getMessage() for record in caplog.records if not record.name.startswith("aiohttp")]
        for secret in (*tokens, at.server.app.secret, "a private matter"):
            assert not any(secret in line for line in ours)


# where nothing is sent


NOWHERE = [
    "http://smba.trafficmanager.net/emea/",
    "https://127.0.0.1/",
    "https://localhost/",
    "https://10.0.0.1/",
    "https://[::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://169.254.169.254/",
    "https://who@smba.trafficmanager.net/",
    "ftp://smba.trafficmanager.net/",
]


@pytest.mark.parametrize(
    "address", [*NOWHERE, "https:///emea", "emea", "", "https://smba.trafficmanager.net/{teams}/"]
)
async def test_some_addresses_are_never_written_to(address: str) -> None:
    async with scene() as at:
        connector = connector_for(at.server, Hosts(), at.client)
        with pytest.raises(Forbidden):
            await connector.send(replace(at.where(at.chat), service_url=address), HELLO)
        assert not at.server.calls  # not even a token was asked for


@pytest.mark.parametrize("address", NOWHERE)
async def test_some_addresses_are_never_asked(address: str) -> None:
    with pytest.raises(Forbidden):
        Hosts().check(httpx.URL(address))
    async with Hosts().client() as client:
        with pytest.raises((Forbidden, httpx.UnsupportedProtocol)):
            await client.get(address)


async def test_the_operators_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", "intern.example")
        hosts = Hosts()
        assert hosts.proxy(httpx.URL("https://intern.example/")) is None
        assert hosts.proxy(httpx.URL("https://127.0.0.1/")) is None
        async with hosts.client() as client:
            with pytest.raises(httpx.ProxyError):
                await client.get("https://teams.example/")
            with pytest.raises(Forbidden):
                await client.get("https://10.0.0.1/")
    assert asked == [b"CONNECT teams.example:443 HTTP/1.1\r\n"]


async def test_a_name_that_leads_into_a_private_network_is_not_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def resolved(*_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", ("93.184.215.14", 443)), (2, 1, 6, "", ("10.0.0.7", 443))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
    async with Hosts().client() as client:
        with pytest.raises(Forbidden, match=r"teams\.example leads into a private network"):
            await client.get("https://teams.example/")
