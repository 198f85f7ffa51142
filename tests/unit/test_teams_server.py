"""The local Microsoft 365, driven by Microsoft's own libraries and by httpx: what they can do with it, they
can do with the real one."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeVar

import httpx
import jwt
import msal  # type: ignore[import-untyped]
import pytest
from aiohttp import web
from botbuilder.core import MessageFactory, TurnContext
from botbuilder.core.teams import TeamsActivityHandler, TeamsInfo
from botbuilder.integration.aiohttp import CloudAdapter, ConfigurationBotFrameworkAuthentication
from botbuilder.schema import (
    Activity,
    Attachment,
    ChannelAccount,
    ConversationParameters,
    ErrorResponseException,
)
from botbuilder.schema.teams import MessagingExtensionAction, TaskModuleRequest, TeamsChannelData
from botframework.connector.auth import AppCredentials, ServiceClientCredentialsFactory
from msrest.exceptions import HttpOperationError

from tests.vendors import faults
from tests.vendors.faults import HTML
from tests.vendors.teams import (
    FORGERIES,
    MAX_MESSAGE,
    App,
    BadAnswer,
    File,
    Forgery,
    Missing,
    NoAnswer,
    Padded,
    TeamsServer,
    connector_error,
    graph_error,
    graph_throttled,
    serving,
    share_token,
    size_of,
    throttled,
    titles,
)
from tests.vendors.teams_answers import read
from tests.vendors.teams_cards import problems
from tests.vendors.teams_login import CONNECTOR, GRAPH
from tests.vendors.teams_model import (
    ADAPTIVE,
    CONSENT,
    DOWNLOAD_INFO,
    FILE_INFO,
    Conversation,
    Message,
    Team,
    User,
)
from tests.vendors.teams_storage import BLOCK

Json = dict[str, Any]

SOUND = bytes(range(256)) * 40
TALK = File(name="Board meeting.mp3", data=SOUND)
CARD: Json = {
    "type": "AdaptiveCard",
    "version": "1.5",
    "body": [
        {"type": "TextBlock", "text": "Transcribing", "wrap": True},
        {
            "type": "Input.ChoiceSet",
            "id": "language",
            "label": "Language",
            "choices": [{"title": "English", "value": "en"}, {"title": "German", "value": "de"}],
            "value": "en",
        },
        {"type": "Input.Text", "id": "words", "label": "Words", "maxLength": 10},
        {"type": "Input.Toggle", "id": "speakers", "title": "Speakers", "value": "true"},
    ],
    "actions": [
        {"type": "Action.Submit", "title": "Start", "data": {"do": "start"}},
        {"type": "Action.Execute", "title": "Stop", "verb": "erni.stop", "data": {"job": "j1"}},
        {
            "type": "Action.Submit",
            "id": "settings",
            "title": "Settings",
            "data": {"msteams": {"type": "task/fetch"}, "open": "settings"},
        },
        {"type": "Action.OpenUrl", "title": "Help", "url": "https://erni.example/help"},
    ],
}


def dialog(card: Json, title: str = "Transcribe") -> Json:
    attachment = {"contentType": ADAPTIVE, "content": card}
    value = {"title": title, "height": "medium", "width": "medium", "card": attachment}
    return {"task": {"type": "continue", "value": value}}


def with_card(card: Json) -> Activity:
    return attached(Attachment(content_type=ADAPTIVE, content=card))


def attached(attachment: Attachment) -> Activity:
    """A message with an attachment and nothing else."""
    message: Activity = MessageFactory.attachment(attachment)
    return message


Model = TypeVar("Model")


def as_model(model: Model, data: Json) -> Model:
    """JSON as a class of botbuilder has it."""
    filled: Model = model.deserialize(data)  # type: ignore[attr-defined]
    return filled


@dataclass(slots=True)
class Place:
    """An organisation with two people, a team, a group chat, and the chat of one of them with the bot."""

    server: TeamsServer
    ann: User
    bob: User
    team: Team
    channel: Conversation
    chat: Conversation
    personal: Conversation

    async def token(self, scope: str = GRAPH) -> str:
        app = self.server.app
        form = {"grant_type": "client_credentials", "client_id": app.id, "client_secret": app.secret}
        url = f"{self.server.login_url}/{app.tenant}/oauth2/v2.0/token"
        async with httpx.AsyncClient() as client:
            answer = await client.post(url, data=form | {"scope": f"{scope}/.default"})
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    @asynccontextmanager
    async def graph(self, *roles: str) -> AsyncIterator[httpx.AsyncClient]:
        """A client with a token; with these roles only, if any are named."""
        if roles:
            self.server.app.roles = frozenset(roles)
        headers = {"Authorization": f"Bearer {await self.token()}"}
        async with httpx.AsyncClient(base_url=self.server.graph_url, headers=headers) as client:
            yield client

    def at(self, conversation: Conversation) -> str:
        return f"{self.server.service_url}v3/conversations/{conversation.id}"


@pytest.fixture(autouse=True)
def nothing_holds_up_the_event_loop() -> None:
    """Not here: the bot of these tests is Microsoft's own, which fetches keys on the loop; ours does not."""


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with serving() as server:
        tenant = server.add_tenant("Acme")
        ann, bob = server.add_user(tenant, "Ann Lee"), server.add_user(tenant, "Bob Ray")
        team = server.add_team(tenant, "Board", members=[ann, bob])
        yield Place(
            server=server,
            ann=ann,
            bob=bob,
            team=team,
            channel=server.m365.conversations[team.channels[0]],
            chat=server.add_group_chat([ann, bob]),
            personal=server.add_personal_chat(ann),
        )


class Credentials(AppCredentials):
    """A token from the local login. MSAL, which the library uses, takes only https."""

    def __init__(self, server: TeamsServer, scope: str) -> None:
        super().__init__(server.app.id, server.app.tenant, scope)
        self.url = f"{server.login_url}/{server.app.tenant}/oauth2/v2.0/token"
        self.secret = server.app.secret

    def get_access_token(self, force_refresh: bool = False) -> str:
        form = {"grant_type": "client_credentials", "client_id": self.microsoft_app_id}
        form |= {"client_secret": self.secret, "scope": f"{self.oauth_scope}/.default"}
        answer = httpx.post(self.url, data=form)
        answer.raise_for_status()
        return str(answer.json()["access_token"])


class Factory(ServiceClientCredentialsFactory):
    def __init__(self, server: TeamsServer) -> None:
        self.server = server

    async def is_valid_app_id(self, app_id: str) -> bool:
        return app_id == self.server.app.id

    async def is_authentication_disabled(self) -> bool:
        return False

    async def create_credentials(
        self, app_id: str, oauth_scope: str, login_endpoint: str, validate_authority: bool
    ) -> Credentials:
        return Credentials(self.server, oauth_scope)


Answer = Json | None | Callable[[Any], Json | None]


@dataclass
class Bot(TeamsActivityHandler):
    """A bot of botbuilder that notes what it hears. `answers` are bodies by name of the invoke; `says` is
    sent back to a message. The next `held` invokes are not answered until `gate` is set."""

    heard: list[Activity] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    says: Activity | None = None
    held: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    refusals: list[BaseException] = field(default_factory=list)

    def kinds(self) -> list[str]:
        return [activity.name or activity.type for activity in self.heard]

    async def on_turn(self, turn_context: TurnContext) -> None:
        self.heard.append(turn_context.activity)
        if turn_context.activity.type == "invoke" and self.held:
            self.held -= 1
            await self.gate.wait()
        await super().on_turn(turn_context)

    async def on_message_activity(self, turn_context: TurnContext) -> None:
        if self.says is not None:
            await turn_context.send_activity(self.says)

    async def on_invoke_activity(self, turn_context: TurnContext) -> Any:
        activity = turn_context.activity
        answer = self.answers[activity.name]
        return (
            self._create_invoke_response(None)
            if answer is None
            else SimpleNamespace(status=200, body=answer(activity) if callable(answer) else answer)
        )


@dataclass(slots=True)
class Running:
    """A bot on a thread of its own: botbuilder fetches keys and tokens without awaiting."""

    bot: Bot
    adapter: CloudAdapter
    server: TeamsServer
    loop: asyncio.AbstractEventLoop

    async def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    async def proactively(
        self, activity: Activity, act: Callable[[TurnContext], Awaitable[Any]], *, thread: str | None = None
    ) -> Any:
        """Do something later in a conversation that was heard of, and give what it returns."""
        reference = TurnContext.get_conversation_reference(activity)
        reference.conversation.id = thread or reference.conversation.id
        found = []

        async def turn(context: TurnContext) -> None:
            context.activity.channel_data = activity.channel_data
            found.append(await act(context))

        await self.do(self.adapter.continue_conversation(reference, turn, self.server.app.id))
        return found[0]

    async def say(self, activity: Activity, what: Activity, *, thread: str | None = None) -> str:
        """Say something in a conversation that was heard of; the id of the message."""
        response = await self.proactively(activity, lambda c: c.send_activity(what), thread=thread)
        return str(response.id)

    async def refused(self, work: Coroutine[Any, Any, Any]) -> tuple[int, str]:
        """Status and code of a call that the Bot Connector refuses."""
        with pytest.raises(HttpOperationError) as caught:
            await work
        response = caught.value.response
        return response.status_code, json.loads(response.text)["error"]["code"]


@asynccontextmanager
async def running(place: Place) -> AsyncIterator[Running]:
    server, loop = place.server, asyncio.new_event_loop()
    settings = SimpleNamespace(
        APP_ID=server.app.id,
        APP_PASSWORD=server.app.secret,
        APP_TYPE="SingleTenant",
        APP_TENANTID=server.app.tenant,
        TO_BOT_FROM_CHANNEL_OPENID_METADATA_URL=server.openid_metadata,
        TO_BOT_FROM_CHANNEL_TOKEN_ISSUER=CONNECTOR,
        TO_CHANNEL_FROM_BOT_OAUTH_SCOPE=CONNECTOR,
        TO_CHANNEL_FROM_BOT_LOGIN_URL=f"{server.login_url}/{server.app.tenant}",
        OAUTH_URL=CONNECTOR,
    )
    authentication = ConfigurationBotFrameworkAuthentication(settings, credentials_factory=Factory(server))
    bot, adapter = Bot(), CloudAdapter(authentication)

    async def raise_it(_: TurnContext, error: Exception) -> None:
        raise error

    adapter.on_turn_error = raise_it

    async def receive(request: web.Request) -> web.Response:
        # Not adapter.process: it answers 500 to an invoke with a body, and to most bad tokens.
        activity = as_model(Activity(), await request.json())
        try:
            header = request.headers.get("Authorization", "")
            response = await adapter.process_activity(header, activity, bot.on_turn)
        except Exception as error:  # noqa: BLE001 - whatever it raises over a bad token is noted
            bot.refusals.append(error)
            return web.Response(status=401)
        if response is None:
            return web.Response(status=201)
        return web.json_response(response.body) if response.body is not None else web.Response()

    site = web.Application()
    site.router.add_post("/api/messages", receive)
    thread = threading.Thread(target=loop.run_forever, name="bot")
    thread.start()
    run = Running(bot=bot, adapter=adapter, server=server, loop=loop)
    stack = AsyncExitStack()
    try:
        origin = await run.do(stack.enter_async_context(faults.serving(site)))
        server.delivery.endpoint = f"{origin}/api/messages"
        yield run
    finally:
        loop.call_soon_threadsafe(bot.gate.set)
        await server.delivery.end()
        await run.do(stack.aclose())
        await run.do(loop.shutdown_default_executor())
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)
        loop.close()


@pytest.fixture
async def bot(place: Place) -> AsyncIterator[Running]:
    async with running(place) as run:
        yield run


def forgive(server: TeamsServer) -> list[str]:
    """The violations so far, which are the point of a test."""
    found = list(server.violations)
    server.violations.clear()
    return found


# Login


async def test_tokens_are_signed_with_keys_that_are_published(place: Place) -> None:
    keys = f"{place.server.login_url}/{place.server.app.tenant}/discovery/v2.0/keys"
    for audience in (GRAPH, CONNECTOR):
        token = await place.token(audience)
        key = await asyncio.to_thread(jwt.PyJWKClient(keys).get_signing_key_from_jwt, token)
        claims = jwt.decode(token, key.key, algorithms=["RS256"], audience=audience)
        assert claims["appid"] == place.server.app.id
        assert claims["tid"] == place.server.app.tenant
        assert claims.get("roles", []) == (sorted(place.server.app.roles) if audience == GRAPH else [])


class Plain:
    """MSAL's way out: it insists on https, which this server does not speak."""

    def get(self, url: str, **options: Any) -> httpx.Response:
        answer = httpx.get(url.replace("https://", "http://"), params=options.get("params"))
        return httpx.Response(answer.status_code, text=answer.text.replace("http://", "https://"))

    def post(self, url: str, data: Any = None, **options: Any) -> httpx.Response:
        return httpx.post(url.replace("https://", "http://"), data=data)

    def close(self) -> None:
        """Nothing is kept."""


def _msal(server: TeamsServer, secret: str) -> msal.ConfidentialClientApplication:
    return msal.ConfidentialClientApplication(
        server.app.id,
        client_credential=secret,
        authority=f"{server.login_url.replace('http', 'https')}/{server.app.tenant}",
        instance_discovery=False,
        http_client=Plain(),
    )


async def test_msal_gets_a_token_keeps_it_and_hears_of_a_wrong_secret(place: Place) -> None:
    def ask() -> tuple[Json, Json, Json]:
        good, bad = _msal(place.server, place.server.app.secret), _msal(place.server, "wrong")
        scopes = [f"{GRAPH}/.default"]
        first, again = (good.acquire_token_for_client(scopes=scopes) for _ in range(2))
        return first, again, bad.acquire_token_for_client(scopes=scopes)

    first, again, refused = await asyncio.to_thread(ask)
    assert first["access_token"] == again["access_token"]
    assert len(place.server.login.issued) == 1
    assert (refused["error"], refused["error_codes"]) == ("invalid_client", [7000215])


@pytest.mark.parametrize(
    ("change", "status", "error", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_secret": None}, 401, "invalid_client", 7000218),
        ({"client_id": "00000000-0000-0000-0000-000000000001"}, 400, "unauthorized_client", 700016),
        ({"scope": "https://graph.microsoft.com/User.Read"}, 400, "invalid_scope", 70011),
        ({"scope": "https://elsewhere.example/.default"}, 400, "invalid_scope", 70011),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"tenant": "botframework.com"}, 400, "unauthorized_client", 700016),
        ({"tenant": "other.example"}, 400, "invalid_request", 90002),
    ],
)
async def test_the_login_refuses(place: Place, change: Json, status: int, error: str, number: int) -> None:
    app = place.server.app
    form: Json = {"grant_type": "client_credentials", "client_id": app.id, "client_secret": app.secret}
    form |= {"scope": f"{CONNECTOR}/.default", "tenant": app.tenant} | change
    tenant = form.pop("tenant")
    async with httpx.AsyncClient() as client:
        url = f"{place.server.login_url}/{tenant}/oauth2/v2.0/token"
        answer = await client.post(url, data={k: v for k, v in form.items() if v is not None})
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_codes"] == [number]
    assert not place.server.login.issued


async def test_an_expired_secret_and_throttling_at_the_login(place: Place) -> None:
    place.server.app.secret_expired = True
    with pytest.raises(httpx.HTTPStatusError) as caught:
        await place.token()
    assert caught.value.response.json()["error_codes"] == [7000222]
    place.server.app.secret_expired = False
    place.server.fail("token", faults.Fault(status=429, headers={"Retry-After": "7"}))
    with pytest.raises(httpx.HTTPStatusError) as caught:
        await place.token()
    assert caught.value.response.headers["Retry-After"] == "7"
    assert await place.token()


async def test_tokens_expire_are_revoked_and_are_for_one_api(place: Place) -> None:
    async def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(headers=headers) as client:
            return (await client.get(f"{place.at(place.personal)}/members")).status_code

    token = await place.token(CONNECTOR)
    assert await status(token) == 200
    assert await status(await place.token(GRAPH)) == 401
    place.server.advance(place.server.login.lifetime)
    assert await status(token) == 401
    token = await place.token(CONNECTOR)
    place.server.login.revoke()
    assert await status(token) == 401
    assert await status(await place.token(CONNECTOR)) == 200


async def test_roles_are_those_of_when_the_token_was_issued(place: Place) -> None:
    async with place.graph("Files.Read.All") as graph:
        assert (await graph.get(f"/users/{place.ann.id}")).status_code == 403
        place.server.app.roles |= {"User.Read.All"}
        assert (await graph.get(f"/users/{place.ann.id}")).status_code == 403
    async with place.graph() as graph:
        assert (await graph.get(f"/users/{place.ann.id}")).status_code == 200


async def test_activities_are_signed_with_an_endorsed_key_also_after_rotation(place: Place) -> None:
    async with httpx.AsyncClient() as client:
        document = (await client.get(place.server.openid_metadata)).json()
    assert document["issuer"] == CONNECTOR
    for _ in range(2):
        token = place.server.login.header(place.server.service_url).removeprefix("Bearer ")
        keys = jwt.PyJWKClient(document["jwks_uri"])
        key = await asyncio.to_thread(keys.get_signing_key_from_jwt, token)
        claims = jwt.decode(
            token, key.key, algorithms=["RS256"], audience=place.server.app.id, issuer=CONNECTOR
        )
        assert claims["serviceurl"] == place.server.service_url
        assert "msteams" in key._jwk_data["endorsements"]
        place.server.login.rotate()
    assert len(place.server.login.keys) == 5


TAKEN_BY_BOTBUILDER: frozenset[Forgery] = frozenset({"no endorsements"})
"""A key without endorsements vouches for nobody, but the library lets its tokens pass."""


@pytest.mark.parametrize("forgery", sorted(set(FORGERIES) - TAKEN_BY_BOTBUILDER))
async def test_botbuilder_refuses_what_is_forged(place: Place, bot: Running, forgery: Forgery) -> None:
    status, _ = await place.server.deliver_forged(forgery, place.server.sample(place.personal, place.ann))
    assert status == 401
    assert bot.bot.heard == []
    assert len(bot.bot.refusals) == 1


async def test_forged_tokens_differ_from_a_good_one_in_what_they_say(place: Place) -> None:
    login, url = place.server.login, place.server.service_url
    headers: dict[str, str | None] = {name: login.forge(name, url) for name in FORGERIES}
    assert headers["no header"] is None
    assert len({h for h in headers.values() if h is not None}) == len(FORGERIES) - 1
    by_kid = {key.kid: key for key in login.keys}
    for name, wanted in (("no endorsements", None), ("missing endorsement", ("telegram", "webchat"))):
        token = str(headers[name]).removeprefix("Bearer ")
        key = by_kid[jwt.get_unverified_header(token)["kid"]]
        assert key.endorsements == wanted
        jwt.decode(token, key.pem, algorithms=["RS256"], audience=place.server.app.id, issuer=CONNECTOR)


# Activities


async def test_a_personal_message_is_heard_and_answered(place: Place, bot: Running) -> None:
    bot.bot.says = MessageFactory.text("I transcribe recordings.")
    sent = await place.server.post(place.personal, place.ann, "help")
    await place.server.delivered()
    [heard] = bot.bot.heard
    assert (heard.text, heard.id, heard.from_property.id) == ("help", sent.id, place.ann.mri)
    assert heard.conversation.conversation_type == "personal"
    assert [m.shown for m in place.server.messages(place.personal)] == ["help", "I transcribe recordings."]
    assert place.server.of_bot(place.personal)[0].sender is None
    [delivery] = place.server.deliveries
    assert delivery.acknowledged
    assert place.server.acknowledged_in() == [delivery.took]


async def test_a_mention_in_a_channel_is_answered_in_its_thread(place: Place, bot: Running) -> None:
    bot.bot.says = MessageFactory.text("On it.")
    await place.server.post(place.channel, place.ann, "lunch?")
    post = await place.server.post(place.channel, place.ann, "transcribe", mention_bot=True, files=[TALK])
    await place.server.delivered()
    [heard] = bot.bot.heard
    assert heard.text == "<at>Erni</at> transcribe"
    assert TurnContext.remove_recipient_mention(heard) == " transcribe"
    assert heard.conversation.id == f"{place.channel.id};messageid={post.id}"
    assert [m.shown for m in place.server.messages(place.channel, post)] == ["On it."]
    assert len(place.server.messages(place.channel)) == 2
    later = await place.server.post(
        place.channel, place.bob, "thanks", reply_to=post, mention_bot=True, mentions=[place.ann]
    )
    await place.server.delivered()
    assert bot.bot.heard[-1].conversation.id == f"{place.channel.id};messageid={post.id}"
    assert later.is_reply
    assert [m.text for m in place.server.messages(place.channel, post)] == ["On it.", "thanks", "On it."]


async def test_files_in_channels_and_group_chats_come_without_an_address(place: Place, bot: Running) -> None:
    for conversation in (place.channel, place.chat):
        await place.server.post(conversation, place.ann, "transcribe", mention_bot=True, files=[TALK])
    await place.server.delivered()
    for heard in bot.bot.heard:
        assert [a.content_type for a in heard.attachments] == ["text/html"]
        assert "<attachment id=" in heard.attachments[0].content
        text = json.dumps(heard.serialize())  # type: ignore[no-untyped-call]
        assert "sharepoint" not in text
        assert TALK.name not in text
    place.server.payloads.placeholders = False
    await place.server.post(place.chat, place.ann, "transcribe", mention_bot=True, files=[TALK])
    await place.server.delivered()
    assert "<attachment" not in bot.bot.heard[-1].attachments[0].content


async def test_a_file_in_the_personal_chat_is_downloaded_without_a_token(place: Place, bot: Running) -> None:
    await place.server.send_file(place.personal, place.ann, TALK, text="this one")
    await place.server.delivered()
    [heard] = bot.bot.heard
    info = heard.attachments[1]
    assert (info.content_type, info.name) == (DOWNLOAD_INFO, TALK.name)
    assert set(info.content) == {"downloadUrl", "uniqueId", "fileType", "etag"}
    assert info.content_url.startswith("https://acme-my.sharepoint.com/personal/ann_lee_acme_example/")
    async with httpx.AsyncClient() as client:
        answer = await client.get(info.content["downloadUrl"])
    assert answer.content == SOUND
    with pytest.raises(Missing):
        await place.server.send_file(place.chat, place.ann, TALK)


async def test_consent_to_read_lets_the_bot_hear_everything(place: Place, bot: Running) -> None:
    await place.server.install(place.chat, place.ann, rsc=frozenset({"ChatMessage.Read.Chat"}))
    await place.server.post(place.chat, place.bob, "not for you")
    await place.server.delivered()
    assert bot.bot.heard[-1].text == "not for you"
    assert [e.type for e in bot.bot.heard[-1].entities] == ["clientInfo"]


async def test_an_answer_that_quotes(place: Place, bot: Running) -> None:
    first = await place.server.post(place.chat, place.ann, "here it is", files=[TALK])
    answer = await place.server.post(place.chat, place.bob, "transcribe", reply_to=first, mention_bot=True)
    await place.server.delivered()
    html = bot.bot.heard[0].attachments[0].content
    assert 'itemtype="http://schema.skype.com/Reply"' in html
    assert f'itemid="{first.id}"' in html
    async with place.graph() as graph:
        shown = (await graph.get(f"/chats/{place.chat.chat_id}/messages/{answer.id}")).json()
    assert [a["contentType"] for a in shown["attachments"]] == ["messageReference"]
    assert json.loads(shown["attachments"][0]["content"])["messageId"] == first.id


async def test_edits_and_deletions_are_told(place: Place, bot: Running) -> None:
    message = await place.server.post(place.personal, place.ann, "one")
    await place.server.edit(message, "two")
    await place.server.delete(message)
    await place.server.delivered()
    assert sorted(bot.bot.kinds()) == ["message", "messageDelete", "messageUpdate"]
    by_kind = {activity.type: activity for activity in bot.bot.heard}
    assert by_kind["messageUpdate"].text == "two"
    assert by_kind["messageUpdate"].channel_data["eventType"] == "editMessage"
    assert by_kind["messageDelete"].channel_data["eventType"] == "softDeleteMessage"
    assert not by_kind["messageDelete"].text
    assert {activity.id for activity in bot.bot.heard} == {message.id}
    assert place.server.messages(place.personal) == []
    assert [version.text for version in message.versions] == ["one", "two"]


async def test_a_message_can_come_twice(place: Place, bot: Running) -> None:
    message = await place.server.post(place.personal, place.ann, "help", copies=2)
    await place.server.delivered()
    assert [activity.id for activity in bot.bot.heard] == [message.id, message.id]


async def test_the_app_comes_and_goes(place: Place, bot: Running) -> None:
    await place.server.remove(place.channel, place.ann)
    await place.server.install(place.channel, place.ann)
    await place.server.install(place.personal, place.ann)
    await place.server.delivered()
    updates = [a for a in bot.bot.heard if a.type == "conversationUpdate"]
    assert sorted(a.action for a in bot.bot.heard if a.type == "installationUpdate") == [
        "add",
        "add",
        "remove",
    ]
    assert [a.members_removed[0].id for a in updates if a.members_removed] == [place.server.app.bot]
    added = [a for a in updates if a.members_added and a.conversation.conversation_type == "channel"]
    assert added[0].members_added[0].id == added[0].recipient.id
    assert added[0].channel_data["team"]["aadGroupId"] == place.team.id
    assert added[0].channel_data["settings"]["selectedChannel"]["id"] == place.channel.id


async def test_members_and_channels_change(place: Place, bot: Running) -> None:
    cleo = place.server.add_user(place.server.m365.tenants[place.team.tenant], "Cleo Kay")
    other = place.server.add_channel(place.team, "Calls")
    await place.server.add_member(place.team, cleo)
    await place.server.remove_member(place.team, cleo)
    await place.server.rename_team(place.team, place.ann, "Executive board")
    await place.server.delete_channel(other, place.ann)
    await place.server.delivered()
    events = [activity.channel_data["eventType"] for activity in bot.bot.heard]
    assert sorted(events) == ["channelDeleted", "teamMemberAdded", "teamMemberRemoved", "teamRenamed"]
    assert cleo.id not in place.team.members


KNOWN_BEYOND_BOTBUILDER = {
    *("Activity.imdisplayname", "Activity.isGroup", "ConversationAccount.tenantId"),
    *("Entity.*", "MessagingExtensionAction.requestId", "MessageActionsPayloadFrom.device"),
    *("TeamsChannelData.legacy", "TeamsChannelData.source", "TeamsChannelData.teamsChannelId"),
    "TeamsChannelData.teamsTeamId",
}
"""Fields that Teams sends and that the library's classes lack."""


def unknown_fields(model: Any) -> Iterator[str]:
    """Fields that botbuilder's classes do not know, wherever they are."""
    name = type(model).__name__
    if name == "Entity":
        return
    yield from (f"{name}.{key}" for key in getattr(model, "additional_properties", None) or {})
    for attribute in getattr(type(model), "_attribute_map", {}):
        value = getattr(model, attribute, None)
        for inner in value if isinstance(value, list) else [value]:
            if hasattr(inner, "_attribute_map"):
                yield from unknown_fields(inner)


async def test_botbuilder_knows_every_field_that_is_sent(place: Place, bot: Running) -> None:
    bot.bot.answers = {
        "composeExtension/fetchTask": dialog(CARD),
        "composeExtension/submitAction": None,
        "task/fetch": dialog(CARD),
        "task/submit": None,
        "adaptiveCard/action": {
            "statusCode": 200,
            "type": "application/vnd.microsoft.activity.message",
            "value": "Stopped",
        },
    }
    bot.bot.says = with_card(CARD)
    message = await place.server.post(place.channel, place.ann, "go", mention_bot=True, files=[TALK])
    await place.server.send_file(place.personal, place.ann, TALK)
    await place.server.edit(message, "on")
    await place.server.install(place.channel, place.ann)
    await place.server.delivered()
    bot.bot.says = None
    opened = await place.server.command(message, place.bob)
    assert opened.dialog is not None
    await place.server.submit(opened.dialog, "Start")
    card = place.server.of_bot(place.channel, message)[0]
    for action in ("Start", "Stop", "Settings"):
        outcome = await place.server.press(card, action, place.ann)
    assert outcome.dialog is not None
    await place.server.submit(outcome.dialog, "Start")
    found = set()
    for delivery in place.server.deliveries:
        activity = as_model(Activity(), delivery.activity)
        found |= set(unknown_fields(activity))
        found |= set(unknown_fields(as_model(TeamsChannelData(), activity.channel_data)))
        if delivery.kind.startswith("composeExtension/"):
            found |= set(unknown_fields(as_model(MessagingExtensionAction(), activity.value)))
        if delivery.kind.startswith("task/"):
            found |= set(unknown_fields(as_model(TaskModuleRequest(), activity.value)))
    assert len({delivery.kind for delivery in place.server.deliveries}) == 9
    assert found <= KNOWN_BEYOND_BOTBUILDER


# Commands, dialogs, cards


async def test_a_message_command_opens_a_dialog_whose_values_are_sent(place: Place, bot: Running) -> None:
    bot.bot.answers = {
        "composeExtension/fetchTask": dialog(CARD),
        "composeExtension/submitAction": {"task": {"type": "message", "value": "It has begun."}},
    }
    post = await place.server.post(place.channel, place.ann, "listen", files=[TALK])
    outcome = await place.server.command(post, place.bob)
    assert outcome.dialog is not None
    assert (outcome.dialog.title, titles(outcome.dialog.card)[0]) == ("Transcribe", "Start")
    payload = bot.bot.heard[0].value["messagePayload"]
    [attachment] = payload["attachments"]
    assert (attachment["contentType"], attachment["content"]) == ("reference", None)
    assert attachment["contentUrl"].startswith("https://acme.sharepoint.com/sites/Board/Shared%20Documents/")
    assert payload["from"]["user"]["id"] == place.ann.id
    assert bot.bot.heard[0].conversation.id == f"{place.channel.id};messageid={post.id}"
    done = await place.server.submit(outcome.dialog, "Start", {"language": "German", "speakers": False})
    assert done.message == "It has begun."
    value = bot.bot.heard[1].value
    assert value["data"] == {"do": "start", "language": "de", "speakers": "false"}
    assert (value["commandId"], value["messagePayload"]["id"]) == ("transcribe", post.id)
    assert not outcome.dialog.is_open
    with pytest.raises(Missing):
        await place.server.submit(outcome.dialog, "Start")


async def test_the_dialog_can_install_the_app_first(place: Place, bot: Running) -> None:
    chat = place.server.add_chat(place.ann, place.bob)
    card = CARD | {
        "body": [{"type": "TextBlock", "text": "Erni is not here yet."}],
        "actions": [
            {"type": "Action.Submit", "title": "Add", "data": {"msteams": {"justInTimeInstall": True}}}
        ],
    }

    def here(activity: Activity) -> Json:
        return dialog(CARD if chat.installed else card)

    bot.bot.answers = {"composeExtension/fetchTask": here, "composeExtension/submitAction": here}
    message = await place.server.post(chat, place.ann, "", files=[TALK])
    outcome = await place.server.command(message, place.bob)
    assert outcome.dialog is not None
    asked = bot.bot.heard[0]
    status = await bot.refused(bot.say(asked, MessageFactory.text("hello")))
    assert status == (403, "BotNotInConversationRoster")
    again = await place.server.submit(outcome.dialog, "Add")
    await place.server.delivered()
    assert {"conversationUpdate", "installationUpdate"} <= set(bot.bot.kinds())
    assert place.server.events("composeExtension/submitAction")[0].activity["value"]["data"] == {
        "msteams": {"justInTimeInstall": True}
    }
    assert again.dialog is not None
    assert titles(again.dialog.card)[0] == "Start"
    await bot.say(asked, MessageFactory.text("hello"))
    assert [m.text for m in place.server.of_bot(chat)] == ["hello"]


async def test_an_invoke_is_repeated_and_late_answers_are_dropped(place: Place, bot: Running) -> None:
    bot.bot.answers = {"composeExtension/fetchTask": dialog(CARD)}
    message = await place.server.post(place.chat, place.ann, "", files=[TALK])
    place.server.delivery.invoke_within = 0.05
    bot.bot.held = 3
    with pytest.raises(NoAnswer):
        await place.server.command(message, place.ann)
    [delivery] = place.server.events("composeExtension/fetchTask")
    assert [attempt.number for attempt in delivery.attempts] == [0, 1, 2]
    assert not delivery.acknowledged
    bot.loop.call_soon_threadsafe(bot.bot.gate.set)
    await place.server.until(lambda: all(a.late is not None for a in delivery.attempts))
    assert delivery.answer is None
    assert len({activity.id for activity in bot.bot.heard}) == 1


async def test_the_answer_to_a_repetition_counts(place: Place, bot: Running) -> None:
    bot.bot.answers = {"composeExtension/fetchTask": dialog(CARD)}
    message = await place.server.post(place.chat, place.ann, "", files=[TALK])
    place.server.delivery.invoke_within = 1.0
    place.server.delivery.new_ids = True
    bot.bot.held = 1
    outcome = await place.server.command(message, place.ann)
    assert outcome.dialog is not None
    assert outcome.delivery.answered is outcome.delivery.attempts[-1]
    assert outcome.delivery.attempts[0].took is None
    assert len({attempt.id for attempt in outcome.delivery.attempts}) == len(outcome.delivery.attempts)


async def test_buttons_send_what_their_kind_says(place: Place, bot: Running) -> None:
    stopped = CARD | {"body": [{"type": "TextBlock", "text": "Stopped"}], "actions": []}
    bot.bot.answers = {
        "adaptiveCard/action": {"statusCode": 200, "type": ADAPTIVE, "value": stopped},
        "task/fetch": dialog(CARD, "Settings"),
        "task/submit": None,
    }
    bot.bot.says = with_card(CARD)
    post = await place.server.post(place.channel, place.ann, "go", mention_bot=True)
    await place.server.delivered()
    bot.bot.says = None
    [card] = place.server.of_bot(place.channel, post)

    assert card.shown.splitlines()[:2] == ["Transcribing", "Language"]
    assert "erni.stop" not in card.shown
    await place.server.press(card, "Start", place.bob, {"words": "Erni"})
    heard = bot.bot.heard[-1]
    assert (heard.type, heard.reply_to_id) == ("message", card.id)
    assert not heard.text
    assert heard.value == {"do": "start", "language": "en", "words": "Erni", "speakers": "true"}
    assert heard.conversation.id.endswith(f";messageid={post.id}")

    outcome = await place.server.press(card, "settings", place.bob)
    assert outcome.dialog is not None
    assert bot.bot.heard[-1].value["data"]["open"] == "settings"
    closed = await place.server.submit(outcome.dialog, "Start")
    assert (closed.dialog, bot.bot.heard[-1].name) == (None, "task/submit")

    outcome = await place.server.press(card, "erni.stop", place.bob)
    action = bot.bot.heard[-1].value["action"]
    assert (action["verb"], action["data"]["job"], bot.bot.heard[-1].value["trigger"]) == (
        "erni.stop",
        "j1",
        "manual",
    )
    assert outcome.card == stopped
    assert await place.server.look(card, place.bob) == stopped
    assert await place.server.look(card, place.ann) == CARD

    assert (await place.server.press(card, "Help", place.ann)).url == "https://erni.example/help"


async def test_people_can_do_only_what_they_see(place: Place, bot: Running) -> None:
    bot.bot.says = with_card(CARD)
    await place.server.post(place.personal, place.ann, "go")
    await place.server.delivered()
    [card] = place.server.of_bot(place.personal)
    for action, values in (("Pause", {}), ("Start", {"length": 3}), ("Start", {"language": "fr"})):
        with pytest.raises(Missing):
            await place.server.press(card, action, place.ann, values)
    with pytest.raises(Missing):
        await place.server.press(card, "Start", place.ann, {"words": "x" * 11})
    with pytest.raises(Missing):
        await place.server.press(card, "Start", place.bob)
    assert len(place.server.deliveries) == 1


async def test_a_card_inside_a_card_sends_what_is_around_it(place: Place, bot: Running) -> None:
    name = {"type": "Input.Text", "id": "name", "label": "Name", "isRequired": True, "errorMessage": "Whose?"}
    inner = {
        "type": "AdaptiveCard",
        "body": [name],
        "actions": [{"type": "Action.Submit", "title": "Rename", "data": {"do": "rename"}}],
    }
    more = {"type": "Action.ShowCard", "title": "More", "card": inner}
    bot.bot.says = with_card(CARD | {"actions": [*CARD["actions"][:1], more]})
    await place.server.post(place.personal, place.ann, "go")
    await place.server.delivered()
    bot.bot.says = None
    [card] = place.server.of_bot(place.personal)
    await place.server.press(card, "Start", place.ann)
    assert set(bot.bot.heard[-1].value) == {"do", "language", "speakers"}
    with pytest.raises(Missing, match="Whose"):
        await place.server.press(card, "Rename", place.ann)
    await place.server.press(card, "Rename", place.ann, {"name": "Dr Lee"})
    assert set(bot.bot.heard[-1].value) == {"do", "language", "speakers", "name"}
    with pytest.raises(Missing):
        await place.server.press(card, "More", place.ann)


async def test_a_card_refreshes_by_itself_for_those_it_names(place: Place, bot: Running) -> None:
    done = CARD | {"body": [{"type": "TextBlock", "text": "Done"}], "actions": []}
    bot.bot.answers = {"adaptiveCard/action": {"statusCode": 200, "type": ADAPTIVE, "value": done}}
    action = {"type": "Action.Execute", "verb": "erni.look"}
    bot.bot.says = with_card(CARD | {"refresh": {"action": action, "userIds": [place.bob.mri]}})
    await place.server.post(place.chat, place.ann, "go", mention_bot=True)
    await place.server.delivered()
    [card] = place.server.of_bot(place.chat)
    assert await place.server.look(card, place.bob) == done
    assert bot.bot.heard[-1].value["trigger"] == "automatic"
    assert (await place.server.look(card, place.ann))["body"] == CARD["body"]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("composeExtension/fetchTask", None),
        ("composeExtension/fetchTask", {"task": {"type": "continue", "value": {"title": "T"}}}),
        ("composeExtension/fetchTask", {"task": {"type": "continue", "value": {"title": "T", "card": CARD}}}),
        ("composeExtension/fetchTask", {"task": {"type": "message", "value": {"text": "x"}}}),
        ("composeExtension/fetchTask", {"taskInfo": {}}),
        ("composeExtension/submitAction", {"composeExtension": {"type": "result", "attachments": []}}),
        ("composeExtension/submitAction", {"status": "ok"}),
        ("task/fetch", {"composeExtension": {"type": "message", "text": "x"}}),
        ("task/submit", dialog(CARD | {"version": "1.7"})),
        ("adaptiveCard/action", None),
        ("adaptiveCard/action", {"statusCode": 200, "type": "text", "value": "x"}),
        ("adaptiveCard/action", {"statusCode": 200, "type": ADAPTIVE, "value": {"type": "AdaptiveCard"}}),
        (
            "adaptiveCard/action",
            {
                "statusCode": 200,
                "type": "application/vnd.microsoft.error",
                "value": {"code": "x", "message": "y"},
            },
        ),
        ("fileConsent/invoke", {"ok": True}),
    ],
)
def test_answers_of_the_wrong_shape(name: str, body: Any) -> None:
    with pytest.raises(BadAnswer):
        read(name, body)


def test_answers_of_the_right_shape() -> None:
    assert read("composeExtension/submitAction", None).dialog is None
    assert read("task/submit", {"task": {"type": "message", "value": "ok"}}).message == "ok"
    assert read("composeExtension/fetchTask", dialog(CARD)).dialog == dialog(CARD)["task"]["value"]
    text: Json = {"composeExtension": {"type": "message", "text": "Not here"}}
    assert read("composeExtension/fetchTask", text).message == "Not here"
    attachment = {"contentType": ADAPTIVE, "content": CARD}
    result = {"type": "result", "attachmentLayout": "list", "attachments": [attachment]}
    assert read("composeExtension/submitAction", {"composeExtension": result}).card == CARD
    error = {"statusCode": 500, "type": "application/vnd.microsoft.error"}
    error |= {"value": {"code": "BadRequest", "message": "No"}}
    assert read("adaptiveCard/action", error).error == "No"
    assert read("fileConsent/invoke", None).message is None


async def test_a_wrong_answer_is_noted_and_raised(place: Place, bot: Running) -> None:
    bot.bot.answers = {"composeExtension/fetchTask": {"text": "Hello"}}
    message = await place.server.post(place.chat, place.ann, "", files=[TALK])
    with pytest.raises(BadAnswer):
        await place.server.command(message, place.ann)
    assert "text" in str(place.server.deliveries[-1].problem)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, ""),
        ({"version": "1.6"}, "version"),
        ({"version": None}, "version"),
        ({"body": [{"type": "Headline", "text": "x"}]}, "Headline"),
        ({"body": [{"type": "TextBlock"}]}, "text"),
        ({"body": [{"type": "TextBlock", "text": "x", "colour": "good"}]}, "colour"),
        ({"body": [{"type": "TextBlock", "text": "x", "color": "green"}]}, "color"),
        ({"body": [{"type": "Container", "items": [{"type": "Image"}]}]}, "url"),
        ({"version": "1.2", "body": [], "actions": CARD["actions"][1:2]}, "Action.Execute needs version 1.4"),
        ({"actions": [{"type": "Action.Submit", "title": str(n)} for n in range(7)]}, "only 6"),
        ({"actions": [{"type": "Action.Submit", "data": {}}]}, "without a title"),
        ({"actions": [{"type": "Action.OpenUrl", "title": "x", "url": "/help"}]}, "opens nothing"),
        ({"body": [{"type": "TextBlock", "text": "x", "id": "a"}] * 2}, "two elements"),
        (
            {"body": [{"type": "Input.ChoiceSet", "id": "a", "choices": [], "value": "b"}]},
            "nothing to choose",
        ),
        ({"body": [{"type": "Input.Text", "id": "a", "isRequired": True}]}, "errorMessage"),
        ({"msteams": {"width": "Half"}}, "msteams"),
        ({"refresh": {"action": CARD["actions"][1], "userIds": ["29:1"] * 61}}, "at most 60"),
        (
            {"actions": [{"type": "Action.ToggleVisibility", "title": "x", "targetElements": ["gone"]}]},
            "no element gone",
        ),
    ],
)
def test_cards_are_what_teams_shows(change: Json, found: str) -> None:
    card = {k: v for k, v in (CARD | change).items() if v is not None}
    assert (found in "; ".join(problems(card))) if found else problems(card) == []


# Consent to files


def consent_card(size: int) -> Activity:
    content = {"description": "The transcript", "sizeInBytes": size, "acceptContext": {"job": "j1"}}
    attachment = Attachment(
        content_type=CONSENT, name="Board meeting.docx", content=content | {"declineContext": {"job": "j1"}}
    )
    return attached(attachment)


async def test_an_accepted_file_is_uploaded_in_pieces_and_shown(place: Place, bot: Running) -> None:
    data = bytes(range(256)) * 2000
    bot.bot.answers = {"fileConsent/invoke": None}
    bot.bot.says = consent_card(len(data))
    await place.server.post(place.personal, place.ann, "file please")
    await place.server.delivered()
    bot.bot.says = None
    [card] = place.server.of_bot(place.personal)
    outcome = await place.server.accept_consent(card, place.ann)
    value = bot.bot.heard[-1].value
    assert (value["action"], value["context"]) == ("accept", {"job": "j1"})
    info = value["uploadInfo"]
    async with httpx.AsyncClient() as client:

        async def put(start: int, end: int) -> httpx.Response:
            return await client.put(
                info["uploadUrl"],
                content=data[start:end],
                headers={"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"},
            )

        first = await put(0, BLOCK)
        assert (first.status_code, first.json()["nextExpectedRanges"]) == (202, [f"{BLOCK}-"])
        assert (await put(0, BLOCK)).status_code == 416
        assert (await client.get(info["uploadUrl"])).json()["nextExpectedRanges"] == [f"{BLOCK}-"]
        last = await put(BLOCK, len(data))
        assert (last.status_code, last.json()["size"]) == (201, len(data))
        assert (await put(BLOCK, len(data))).status_code == 404
    assert outcome.session is not None
    assert outcome.session.item is not None
    assert place.server.items(place.ann)["Applications/Erni/Board meeting.docx"].data == data
    shown = Attachment(
        content_type=FILE_INFO,
        content_url=info["contentUrl"],
        name=info["name"],
        content={"uniqueId": info["uniqueId"], "fileType": info["fileType"]},
    )
    await bot.say(bot.bot.heard[0], attached(shown))
    assert place.server.of_bot(place.personal)[-1].attachments[0]["name"] == "Board meeting.docx"


async def test_a_declined_file_and_a_file_card_outside_personal_chats(place: Place, bot: Running) -> None:
    bot.bot.answers = {"fileConsent/invoke": None}
    bot.bot.says = consent_card(10)
    await place.server.post(place.personal, place.ann, "file please")
    await place.server.delivered()
    [card] = place.server.of_bot(place.personal)
    outcome = await place.server.decline_consent(card, place.ann)
    assert (outcome.session, bot.bot.heard[-1].value["action"]) == (None, "decline")
    await place.server.post(place.chat, place.ann, "file please", mention_bot=True)
    await place.server.delivered()
    assert place.server.of_bot(place.chat) == []
    assert "personal chats only" in forgive(place.server)[0]


# The Bot Connector


async def heard_in(place: Place, bot: Running, conversation: Conversation) -> tuple[Message, Activity]:
    """A message that mentions the bot, as it was heard."""
    message = await place.server.post(conversation, place.ann, "go", mention_bot=True)
    await place.server.delivered()
    return message, bot.bot.heard[-1]


async def test_messages_are_sent_later_changed_and_deleted(place: Place, bot: Running) -> None:
    post, heard = await heard_in(place, bot, place.channel)
    name = await bot.say(heard, MessageFactory.text("25 %"))
    changed = with_card(CARD)
    changed.id = name
    await bot.proactively(heard, lambda c: c.update_activity(changed))
    [shown] = place.server.messages(place.channel, post)
    assert shown.id == name
    assert shown.card == CARD
    assert [v.text for v in shown.versions] == ["25 %", ""]
    await bot.proactively(heard, lambda c: c.delete_activity(name))
    assert place.server.messages(place.channel, post) == []
    changed.id = name
    gone = bot.proactively(heard, lambda c: c.update_activity(changed))
    assert await bot.refused(gone) == (404, "ActivityNotFoundInConversation")


async def test_a_new_post_and_a_reply_go_where_the_address_says(place: Place, bot: Running) -> None:
    post, heard = await heard_in(place, bot, place.channel)
    await bot.say(heard, MessageFactory.text("a post"), thread=place.channel.id)
    assert [m.text for m in place.server.of_bot(place.channel)] == ["a post"]
    await bot.say(heard, MessageFactory.text("a reply"))
    assert [m.text for m in place.server.messages(place.channel, post)] == ["a reply"]

    async def announce(context: TurnContext) -> Any:
        return await TeamsInfo.send_message_to_teams_channel(
            context, MessageFactory.text("news"), place.channel.id, bot_app_id=place.server.app.id
        )

    reference, activity_id = await bot.proactively(heard, announce)
    assert reference.conversation.id == f"{place.channel.id};messageid={activity_id}"
    assert [m.text for m in place.server.of_bot(place.channel)] == ["a post", "news"]
    never = bot.say(heard, MessageFactory.text("x"), thread=f"{place.channel.id};messageid=1")
    assert await bot.refused(never) == (404, "ActivityNotFoundInConversation")


async def test_a_chat_with_a_person_is_opened_where_the_app_reaches_them(place: Place, bot: Running) -> None:
    bobs = place.server.add_personal_chat(place.bob, installed=False)
    parameters = ConversationParameters(
        is_group=False,
        bot=ChannelAccount(id=place.server.app.bot),
        members=[ChannelAccount(id=place.bob.mri)],
        tenant_id=place.team.tenant,
        channel_data={"tenant": {"id": place.team.tenant}},
    )

    async def greet(context: TurnContext) -> None:
        await context.send_activity(MessageFactory.text("Your transcript is ready."))

    def opened() -> Coroutine[Any, Any, Any]:
        work: Coroutine[Any, Any, Any] = bot.do(
            bot.adapter.create_conversation(
                place.server.app.id, greet, parameters, "msteams", place.server.service_url
            )
        )
        return work

    await opened()
    assert [m.text for m in place.server.messages(bobs)] == ["Your transcript is ready."]
    bobs.installed = place.team.installed = place.chat.installed = False
    assert await bot.refused(opened()) == (403, "ForbiddenOperationException")


async def test_members_and_the_team_behind_a_channel(place: Place, bot: Running) -> None:
    _, heard = await heard_in(place, bot, place.channel)
    page = await bot.proactively(heard, TeamsInfo.get_paged_members)
    assert [m.user_principal_name for m in page.members] == [
        "ann.lee@acme.example",
        "bob.ray@acme.example",
    ]
    member = await bot.proactively(heard, lambda c: TeamsInfo.get_member(c, place.bob.mri))
    assert (member.aad_object_id, member.tenant_id) == (place.bob.id, place.team.tenant)
    # get_team_details blocks its loop, which is not the server's here
    details = await bot.proactively(heard, TeamsInfo.get_team_details)
    assert (details.aad_group_id, details.member_count) == (place.team.id, 2)
    missing = bot.proactively(heard, lambda c: TeamsInfo.get_member(c, "29:1nobody"))
    assert await bot.refused(missing) == (404, "MemberNotFoundInConversation")


async def test_members_come_in_pages(place: Place, bot: Running) -> None:
    place.server.connector.smallest_page = 1
    _, heard = await heard_in(place, bot, place.chat)
    first = await bot.proactively(heard, lambda c: TeamsInfo.get_paged_members(c, page_size=1))
    assert len(first.members) == 1
    token = first.continuation_token
    second = await bot.proactively(heard, lambda c: TeamsInfo.get_paged_members(c, token, 1))
    assert [m.id for m in (*first.members, *second.members)] == [place.ann.mri, place.bob.mri]
    assert second.continuation_token is None


async def test_a_bot_that_was_removed_blocked_or_whose_channel_is_gone(place: Place, bot: Running) -> None:
    _, heard = await heard_in(place, bot, place.channel)
    _, chatted = await heard_in(place, bot, place.chat)
    hello = MessageFactory.text("hello")
    place.server.block(place.chat)
    assert await bot.refused(bot.say(chatted, hello)) == (403, "ConversationBlockedByUser")
    place.server.block(place.chat, blocked=False)
    await place.server.remove(place.channel, place.ann)
    assert await bot.refused(bot.say(heard, hello)) == (403, "BotNotInConversationRoster")
    members = bot.proactively(heard, TeamsInfo.get_paged_members)
    assert await bot.refused(members) == (403, "BotNotInConversationRoster")
    await place.server.install(place.channel, place.ann)
    await place.server.delete_channel(place.channel, place.ann)
    assert await bot.refused(bot.say(heard, hello)) == (404, "ConversationNotFound")
    assert place.server.of_bot(place.chat) == []


async def test_a_message_that_is_too_large(place: Place, bot: Running) -> None:
    _, heard = await heard_in(place, bot, place.chat)
    # Two bytes for every letter
    assert size_of({"text": "x" * 100}) == 2 * len('{"text":""}') + 200
    await bot.say(heard, MessageFactory.text("x" * (MAX_MESSAGE // 2 - 1000)))
    large = bot.say(heard, MessageFactory.text("x" * (MAX_MESSAGE // 2)))
    assert await bot.refused(large) == (413, "MessageSizeTooBig")
    assert len(place.server.of_bot(place.chat)) == 1


async def test_a_bad_card_is_refused_and_noted(place: Place, bot: Running) -> None:
    _, heard = await heard_in(place, bot, place.chat)
    card = with_card(CARD | {"body": [{"type": "Headline"}]})
    assert await bot.refused(bot.say(heard, card)) == (400, "BadArgument")
    assert await bot.refused(bot.say(heard, MessageFactory.text(""))) == (400, "BadArgument")
    assert len(forgive(place.server)) == 2
    assert place.server.of_bot(place.chat) == []


HERO = "application/vnd.microsoft.card.hero"
FILE_CARD: Json = {"contentType": CONSENT, "name": "a.docx", "content": {"sizeInBytes": 5}}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"text": None}, "needs text or attachments"),
        ({"colour": "red"}, "unknown fields"),
        ({"textFormat": "html"}, "textFormat"),
        ({"attachmentLayout": "grid"}, "attachmentLayout"),
        ({"entities": [{"type": "mention", "text": "<at>Bob</at>"}]}, "mention"),
        ({"attachments": [{"contentType": "audio/mpeg", "contentUrl": "x"}]}, "unknown attachment"),
        ({"attachments": [{"contentType": HERO, "content": {}}]}, "an empty card"),
        ({"attachments": [FILE_CARD | {"name": None}]}, "needs a name"),
        ({"attachments": [FILE_CARD | {"content": {"sizeInBytes": 0}}]}, "positive"),
        ({"attachments": [{"contentType": FILE_INFO, "content": {"uniqueId": "x"}}]}, "no file"),
        ({"suggestedActions": {"actions": [{"type": "imBack"}] * 7}}, "at most six"),
        ({"type": "event"}, "Unknown activity type"),
    ],
)
async def test_messages_that_teams_cannot_show(place: Place, change: Json, found: str) -> None:
    headers = {"Authorization": f"Bearer {await place.token(CONNECTOR)}"}
    message = {k: v for k, v in ({"type": "message", "text": "hello"} | change).items() if v is not None}
    async with httpx.AsyncClient(headers=headers) as client:
        answer = await client.post(f"{place.at(place.personal)}/activities", json=message)
        assert answer.status_code == 400
        assert found in answer.json()["error"]["message"]
        typing = await client.post(f"{place.at(place.personal)}/activities", json={"type": "typing"})
        assert typing.status_code == 201
    forgive(place.server)
    assert place.server.of_bot(place.personal) == []


async def test_the_rate_of_messages_in_a_conversation(place: Place, bot: Running) -> None:
    _, heard = await heard_in(place, bot, place.chat)
    _, elsewhere = await heard_in(place, bot, place.channel)
    place.server.freeze()
    place.server.limit_rates()
    hello = MessageFactory.text("hello")
    for _ in range(7):
        await bot.say(heard, hello)
    with pytest.raises(ErrorResponseException) as caught:
        await bot.say(heard, hello)
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "1"
    await bot.say(elsewhere, hello)
    place.server.advance(1.0)
    await bot.say(heard, hello)
    assert (await bot.refused(bot.say(heard, hello)))[0] == 429
    place.server.advance(1.0)
    await bot.say(heard, hello)


async def test_the_rate_over_a_tenant(place: Place, bot: Running) -> None:
    _, heard = await heard_in(place, bot, place.chat)
    _, elsewhere = await heard_in(place, bot, place.channel)
    place.server.freeze()
    place.server.limit_rates(scale=100, per_tenant=3)
    hello = MessageFactory.text("hello")
    await bot.say(heard, hello)
    for _ in range(2):
        await bot.say(elsewhere, hello)
    assert (await bot.refused(bot.say(heard, hello)))[0] == 429
    place.server.advance(1.0)
    await bot.say(heard, hello)


@pytest.mark.parametrize("status", [412, 429, 502, 503, 504])
async def test_passing_trouble_at_the_connector(place: Place, bot: Running, status: int) -> None:
    _, heard = await heard_in(place, bot, place.chat)
    place.server.fail("reply", connector_error(status, "ServiceError", "Try again", retry_after=2))
    with pytest.raises(ErrorResponseException) as caught:
        await bot.say(heard, MessageFactory.text("hello"))
    assert caught.value.response.status_code == status
    assert caught.value.response.headers["Retry-After"] == "2"
    await bot.say(heard, MessageFactory.text("hello"))
    assert [m.text for m in place.server.of_bot(place.chat)] == ["hello"]
    assert [call.status for call in place.server.called("reply")] == [status, 201]


async def test_an_answer_can_be_lost_or_never_come(place: Place) -> None:
    headers = {"Authorization": f"Bearer {await place.token(CONNECTOR)}"}
    url = f"{place.at(place.chat)}/activities"
    async with httpx.AsyncClient(headers=headers, timeout=10) as client:
        place.server.fail("send", "lost", "cut", throttled(3))
        for text in ("arrives", "does not"):
            with pytest.raises(httpx.TransportError):
                await client.post(url, json={"type": "message", "text": text})
        assert (await client.post(url, json={"type": "message", "text": "x"})).status_code == 429
        assert [m.text for m in place.server.of_bot(place.chat)] == ["arrives"]
        place.server.fail("send", "hang")
        with pytest.raises(httpx.ReadTimeout):
            await client.post(url, json={"type": "message", "text": "x"}, timeout=0.1)
        hold = place.server.hold("send")
        sending = asyncio.create_task(client.post(url, json={"type": "message", "text": "later"}))
        await hold.arrived.wait()
        assert len(place.server.of_bot(place.chat)) == 1
        hold.release()
        assert (await sending).status_code == 201
    with pytest.raises(AssertionError):
        place.server.fail("sent", "cut")


async def test_who_may_call_the_connector(place: Place) -> None:
    url = f"{place.at(place.chat)}/activities"
    message = {"type": "message", "text": "hello"}
    graph = await place.token(GRAPH)
    forged = str(place.server.login.forge("unsigned", place.server.service_url))
    async with httpx.AsyncClient() as client:
        for header in ({}, {"Authorization": f"Bearer {graph}"}, {"Authorization": forged}):
            answer = await client.post(url, json=message, headers=header)
            assert answer.status_code == 401
            assert "message" in answer.json()
        token = {"Authorization": f"Bearer {await place.token(CONNECTOR)}"}
        stranger = url.replace(place.team.tenant, "00000000-0000-0000-0000-000000000001")
        assert (await client.post(stranger, json=message, headers=token)).status_code == 404
        sent = await place.server.post(place.chat, place.ann, "mine")
        theirs = await client.delete(f"{url}/{sent.id}", headers=token)
        assert theirs.json()["error"]["code"] == "NotEnoughPermissions"


async def test_a_client_without_tokens_for_local_development(place: Place) -> None:
    seen: list[str | None] = []

    async def receive(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response()

    site = web.Application()
    site.router.add_post("/api/messages", receive)
    async with faults.serving(site) as origin:
        place.server.delivery.endpoint = f"{origin}/api/messages"
        place.server.delivery.anonymous = True
        await place.server.post(place.personal, place.ann, "help")
        await place.server.delivered()
    assert seen == [None]


async def test_a_bot_that_is_down_hears_nothing(place: Place, unused_port: int) -> None:
    place.server.delivery.endpoint = f"http://127.0.0.1:{unused_port}/api/messages"
    await place.server.post(place.personal, place.ann, "help")
    await place.server.delivered()
    [delivery] = place.server.deliveries
    assert not delivery.acknowledged
    assert delivery.attempts[0].error
    place.server.delivery.event_repeats = 2
    await place.server.post(place.personal, place.ann, "help")
    await place.server.delivered()
    assert [attempt.status for attempt in place.server.deliveries[-1].attempts] == [None] * 3


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


# Messages and people in Graph


async def test_graph_shows_where_the_files_of_a_message_are(place: Place) -> None:
    post = await place.server.post(place.channel, place.ann, "listen", files=[TALK])
    reply = await place.server.post(place.channel, place.bob, "and this", files=[TALK], reply_to=post)
    chatted = await place.server.post(place.chat, place.ann, "here", files=[TALK])
    base = f"/teams/{place.team.id}/channels/{place.channel.id}/messages"
    async with place.graph() as graph:
        root = (await graph.get(f"{base}/{post.id}")).json()
        answer = (await graph.get(f"{base}/{post.id}/replies/{reply.id}")).json()
        message = (await graph.get(f"/chats/{place.chat.chat_id}/messages/{chatted.id}")).json()
        assert (await graph.get(f"{base}/{reply.id}")).status_code == 404
        assert (await graph.get(f"{base}/1")).json()["error"]["code"] == "NotFound"
        by_thread = await graph.get(f"/teams/{place.team.thread_id}/channels/{place.channel.id}/messages/1")
        assert by_thread.status_code == 404
    assert [a["contentType"] for a in root["attachments"]] == ["reference"]
    site = "https://acme.sharepoint.com/sites/Board/Shared%20Documents/General"
    assert root["attachments"][0]["contentUrl"] == f"{site}/Board%20meeting.mp3"
    assert answer["attachments"][0]["contentUrl"] == f"{site}/Board%20meeting%201.mp3"
    assert answer["replyToId"] == post.id
    drive = "https://acme-my.sharepoint.com/personal/ann_lee_acme_example/Documents"
    assert message["attachments"][0]["contentUrl"].startswith(f"{drive}/Microsoft%20Teams%20Chat%20Files/")
    assert message["attachments"][0]["id"] in message["body"]["content"]


async def test_replies_and_chat_messages_come_in_pages(place: Place) -> None:
    post = await place.server.post(place.channel, place.ann, "listen")
    for number in range(5):
        await place.server.post(place.channel, place.bob, str(number), reply_to=post)
    seen = []
    async with place.graph() as graph:
        url = f"/teams/{place.team.id}/channels/{place.channel.id}/messages/{post.id}/replies?$top=2"
        while url:
            page = (await graph.get(url)).json()
            assert len(page["value"]) <= 2
            seen += [one["body"]["content"] for one in page["value"]]
            url = page.get("@odata.nextLink", "")
    assert seen == ["<p>4</p>", "<p>3</p>", "<p>2</p>", "<p>1</p>", "<p>0</p>"]


async def test_deleted_messages_and_recordings_of_meetings(place: Place) -> None:
    message = await place.server.post(place.chat, place.ann, "here", files=[TALK])
    await place.server.delete(message)
    recording = await place.server.post_recording(place.chat, place.ann, "Weekly.mp4", b"mp4" * 100)
    base = f"/chats/{place.chat.chat_id}/messages"
    async with place.graph() as graph:
        deleted = (await graph.get(f"{base}/{message.id}")).json()
        assert (deleted["attachments"], deleted["body"]["content"]) == ([], "")
        assert deleted["deletedDateTime"]
        plain = (await graph.get(f"{base}/{recording.id}")).json()
        assert plain["messageType"] == "unknownFutureValue"
        headers = {"Prefer": "include-unknown-enum-members"}
        known = (await graph.get(f"{base}/{recording.id}", headers=headers)).json()
        assert known["messageType"] == "systemEventMessage"
        link = known["eventDetail"]["callRecordingUrl"]
        item = (await graph.get(f"/shares/{share_token(link)}/driveItem")).json()
    assert (item["name"], item["size"]) == ("Weekly.mp4", 300)


async def test_graph_knows_people_and_owners(place: Place) -> None:
    async with place.graph("User.Read.All", "TeamMember.Read.All", "ChatMember.Read.All") as graph:
        person = (await graph.get(f"/users/{place.ann.mail}")).json()
        assert (person["id"], person["displayName"]) == (place.ann.id, "Ann Lee")
        members = (await graph.get(f"/teams/{place.team.id}/members")).json()["value"]
        assert [(m["userId"], m["roles"]) for m in members] == [(place.ann.id, ["owner"]), (place.bob.id, [])]
        chatting = (await graph.get(f"/chats/{place.chat.chat_id}/members")).json()["value"]
        assert [m["displayName"] for m in chatting] == ["Ann Lee", "Bob Ray"]
        assert (await graph.get("/users/nobody")).json()["error"]["code"] == "Request_ResourceNotFound"
        denied = (await graph.get(f"/groups/{place.team.id}/owners")).json()["error"]
        assert denied["code"] == "Authorization_RequestDenied"
    async with place.graph("GroupMember.Read.All", "Team.ReadBasic.All") as graph:
        owners = (await graph.get(f"/groups/{place.team.id}/owners")).json()["value"]
        assert [owner["id"] for owner in owners] == [place.ann.id]
        assert (await graph.get(f"/teams/{place.team.id}")).json()["displayName"] == "Board"


# Permissions of Graph


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An operation: how it is called and how Graph refuses it."""

    method: str
    url: str
    code: str
    least: str
    body: Any = None


WANTED = [
    Wanted(
        method="GET",
        url="/teams/{team}/channels/{channel}/messages/{post}",
        code="Forbidden",
        least="ChannelMessage.Read.All",
    ),
    Wanted(method="GET", url="/chats/{chat}/messages/{said}", code="Forbidden", least="Chat.Read.All"),
    Wanted(method="GET", url="/chats/{chat}/members", code="Forbidden", least="ChatMember.Read.All"),
    Wanted(method="GET", url="/teams/{team}", code="Forbidden", least="Team.ReadBasic.All"),
    Wanted(method="GET", url="/teams/{team}/members", code="Forbidden", least="TeamMember.Read.All"),
    Wanted(
        method="GET",
        url="/groups/{team}/owners",
        code="Authorization_RequestDenied",
        least="GroupMember.Read.All",
    ),
    Wanted(method="GET", url="/users/{ann}", code="Authorization_RequestDenied", least="User.ReadBasic.All"),
    Wanted(
        method="GET",
        url="/teams/{team}/channels/{channel}/filesFolder",
        code="accessDenied",
        least="Files.Read.All",
    ),
    Wanted(method="GET", url="/shares/{share}/driveItem", code="accessDenied", least="Files.ReadWrite.All"),
    Wanted(
        method="GET",
        url="/shares/{share}/driveItem/content",
        code="accessDenied",
        least="Files.ReadWrite.All",
    ),
    Wanted(method="GET", url="/drives/{drive}/items/{item}", code="accessDenied", least="Files.Read.All"),
    Wanted(
        method="GET", url="/drives/{drive}/items/{item}/content", code="accessDenied", least="Files.Read.All"
    ),
    Wanted(
        method="GET",
        url="/users/{ann}/drive/root:/Recordings/Call.mp4:/content",
        code="accessDenied",
        least="Files.Read.All",
    ),
    Wanted(
        method="PUT",
        url="/users/{ann}/drive/root:/Recordings/Call.docx:/content",
        code="accessDenied",
        least="Files.ReadWrite.All",
        body=b"text",
    ),
    Wanted(
        method="POST",
        url="/drives/{drive}/root:/Call.docx:/createUploadSession",
        code="accessDenied",
        least="Files.ReadWrite.All",
    ),
    Wanted(
        method="POST",
        url="/drives/{drive}/items/{item}/createLink",
        code="accessDenied",
        least="Files.ReadWrite.All",
        body=b'{"type": "view"}',
    ),
    Wanted(
        method="POST",
        url="/drives/{drive}/items/{item}/invite",
        code="accessDenied",
        least="Files.ReadWrite.All",
        body=b'{"recipients": [{"objectId": "{ann}"}], "roles": ["read"], "requireSignIn": true, '
        b'"sendInvitation": false}',
    ),
    Wanted(
        method="DELETE", url="/drives/{drive}/items/{item}", code="accessDenied", least="Files.ReadWrite.All"
    ),
]


@pytest.mark.parametrize("wanted", WANTED, ids=lambda w: f"{w.method} {w.url}")
async def test_every_operation_needs_its_permission(place: Place, wanted: Wanted) -> None:
    post = await place.server.post(place.channel, place.ann, "listen")
    said = await place.server.post(place.chat, place.ann, "listen")
    item = place.server.add_file(place.ann, "Recordings/Call.mp4", b"mp4")
    names = {"team": place.team.id, "channel": place.channel.id, "post": post.id, "said": said.id}
    names |= {"chat": place.chat.chat_id, "ann": place.ann.id, "drive": item.drive, "item": item.id}
    names["share"] = share_token(place.server.m365.web_url(item))
    url, body = wanted.url.format(**names), (wanted.body or b"").replace(b"{ann}", place.ann.id.encode())
    async with place.graph("Calendars.Read") as graph:
        refused = await graph.request(wanted.method, url, content=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, wanted.code)
    named = wanted.least in refused.text
    assert named == (wanted.code == "Forbidden")
    async with place.graph(wanted.least) as graph:
        allowed = await graph.request(wanted.method, url, content=body)
    assert allowed.status_code < 400
    place.server.app.roles = frozenset()
    async with place.graph() as graph:
        assert (await graph.request(wanted.method, url, content=body)).status_code == 403


async def test_consent_in_one_team_is_for_that_team(place: Place) -> None:
    other = place.server.add_team(place.team.tenant, "Sales", members=[place.ann])
    place.team.rsc = frozenset({"ChannelMessage.Read.Group", "TeamMember.Read.Group"})
    post = await place.server.post(place.channel, place.ann, "listen")
    async with place.graph("Calendars.Read") as graph:
        url = f"/teams/{place.team.id}/channels/{place.channel.id}/messages/{post.id}"
        assert (await graph.get(url)).status_code == 200
        assert (await graph.get(f"/teams/{place.team.id}/members")).status_code == 200
        assert (await graph.get(f"/teams/{other.id}/members")).status_code == 403
        place.team.installed = False
        assert (await graph.get(url)).status_code == 403


async def test_selected_sites_and_sharing_addresses(place: Place) -> None:
    item = place.server.add_file(place.team, "General/Call.mp4", b"mp4")
    shared = f"/shares/{share_token(place.server.m365.web_url(item))}/driveItem"
    direct = f"/drives/{item.drive}/items/{item.id}"
    async with place.graph("Sites.Selected") as graph:
        assert (await graph.get(direct)).status_code == 403
        place.server.grant_site(place.team, "read")
        assert (await graph.get(direct)).status_code == 200
        assert (await graph.get(shared)).status_code == 403
        assert (await graph.put(f"{direct}/content", content=b"x")).status_code == 403
        place.server.grant_site(place.team, "write")
        assert (await graph.get(shared)).status_code == 403
        folder = f"/teams/{place.team.id}/channels/{place.channel.id}/filesFolder"
        assert (await graph.get(folder)).status_code == 403
        assert (await graph.put(f"{direct}/content", content=b"x")).status_code == 200
    async with place.graph("Files.Read.All") as graph:
        assert (await graph.get(shared)).status_code == 403
        place.server.graph.permissions["shares"] += ("Files.Read.All",)
        assert (await graph.get(shared)).status_code == 200


async def test_graph_refuses_other_tokens(place: Place) -> None:
    async with httpx.AsyncClient(base_url=place.server.graph_url) as client:
        empty = await client.get(f"/users/{place.ann.id}")
        headers = {"Authorization": f"Bearer {await place.token(CONNECTOR)}"}
        foreign = await client.get(f"/users/{place.ann.id}", headers=headers)
    for answer in (empty, foreign):
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
        assert set(answer.json()["error"]["innerError"]) == {"date", "request-id", "client-request-id"}


# Files in Graph


async def test_content_is_behind_a_redirect_to_a_host_that_sees_no_token(place: Place) -> None:
    item = place.server.add_file(place.ann, "Recordings/Call.mp4", SOUND)
    shared = f"/shares/{share_token(place.server.m365.web_url(item))}/driveItem"
    link = f"/shares/{share_token(place.server.share_link(item))}/driveItem/content"
    async with place.graph() as graph:
        shown = (await graph.get(shared)).json()
        assert (shown["name"], shown["size"], shown["file"]) == (
            "Call.mp4",
            len(SOUND),
            {"mimeType": "video/mp4"},
        )
        assert shown["webUrl"] == place.server.m365.web_url(item)
        redirect = await graph.get(f"{shared}/content")
        assert redirect.status_code == 302
        assert redirect.headers["Location"].startswith(place.server.storage.origin)
        for url in (link, f"/drives/{item.drive}/items/{item.id}/content"):
            assert (await graph.get(url, follow_redirects=True)).content == SOUND
        forwarded = await graph.get(redirect.headers["Location"])
    assert forwarded.status_code == 401
    assert "was sent a token" in forgive(place.server)[0]


@pytest.mark.parametrize("token", ["u!%%%", "u!", "aHR0cHM6Ly9hY21l", "u!aHR0cHM6Ly9hY21lLmV4YW1wbGU="])
async def test_bad_sharing_tokens(place: Place, token: str) -> None:
    async with place.graph() as graph:
        answer = await graph.get(f"/shares/{httpx.URL('/' + token).path[1:]}/driveItem")
    assert answer.status_code == 400


async def test_files_that_are_not_there(place: Place) -> None:
    item = place.server.add_file(place.ann, "Recordings/Call.mp4", b"mp4")
    shared = share_token(place.server.m365.web_url(item))
    item.deleted = True
    async with place.graph() as graph:
        for url in (
            f"/shares/{shared}/driveItem",
            f"/shares/{share_token('https://elsewhere.example/Call.mp4')}/driveItem/content",
            f"/drives/{item.drive}/items/{item.id}",
            f"/users/{place.ann.id}/drive/root:/Recordings/Call.mp4:/content",
            "/drives/b!nothing/items/x/content",
            "/users/nobody/drive/root:/x.mp4",
        ):
            answer = await graph.get(url)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "itemNotFound")


async def test_the_folder_of_a_channel_and_its_files(place: Place) -> None:
    for number in range(3):
        await place.server.post(place.channel, place.ann, files=[File(name=f"{number}.mp3", data=b"mp3")])
    place.server.graph.page = 2
    async with place.graph() as graph:
        folder = (await graph.get(f"/teams/{place.team.id}/channels/{place.channel.id}/filesFolder")).json()
        assert folder["folder"] == {"childCount": 3}
        drive = folder["parentReference"]["driveId"]
        assert (await graph.get(f"/groups/{place.team.id}/drive")).json()["id"] == drive
        first = (await graph.get(f"/drives/{drive}/items/{folder['id']}/children")).json()
        second = (await graph.get(first["@odata.nextLink"])).json()
        names = [item["name"] for page in (first, second) for item in page["value"]]
        assert names == ["0.mp3", "1.mp3", "2.mp3"]
        url = f"/drives/{drive}/items/{folder['id']}:/1.mp3:/content"
        assert (await graph.get(url, follow_redirects=True)).content == b"mp3"
        by_path = await graph.get(f"/groups/{place.team.id}/drive/root:/General/2.mp3")
        assert by_path.json()["name"] == "2.mp3"


async def test_small_files_are_put_and_conflicts_are_solved(place: Place) -> None:
    url = f"/users/{place.ann.id}/drive/root:/Microsoft Teams Chat Files/Call.docx:/content"
    conflict = "@microsoft.graph.conflictBehavior"
    async with place.graph() as graph:
        made = await graph.put(url, content=b"one", params={conflict: "fail"})
        assert (made.status_code, made.json()["size"]) == (201, 3)
        again = await graph.put(url, content=b"two", params={conflict: "fail"})
        assert (again.status_code, again.json()["error"]["code"]) == (409, "nameAlreadyExists")
        renamed = await graph.put(url, content=b"three", params={conflict: "rename"})
        assert (renamed.status_code, renamed.json()["name"]) == (201, "Call 1.docx")
        replaced = await graph.put(url, content=b"four")
        assert (replaced.status_code, replaced.json()["id"]) == (200, made.json()["id"])
        assert replaced.json()["eTag"] != made.json()["eTag"]
        bad = await graph.put(url.replace("Call", "C*ll"), content=b"x")
        assert bad.status_code == 400
        place.server.drives.put_limit = 10
        assert (await graph.put(url, content=b"x" * 11)).status_code == 413
    kept = {path: item.data for path, item in place.server.items(place.ann).items()}
    assert kept == {
        "Microsoft Teams Chat Files/Call.docx": b"four",
        "Microsoft Teams Chat Files/Call 1.docx": b"three",
    }


async def test_an_upload_session(place: Place) -> None:
    data = bytes(range(256)) * 2560
    url = f"/groups/{place.team.id}/drive/root:/General/Call.docx:/createUploadSession"
    async with place.graph() as graph, httpx.AsyncClient() as plain:
        item = {"@microsoft.graph.conflictBehavior": "rename", "name": "Call.docx"}
        session = (await graph.post(url, json={"item": item})).json()
        assert session["nextExpectedRanges"] == ["0-"]

        async def put(client: httpx.AsyncClient, start: int, end: int, total: int = 0) -> int:
            headers = {"Content-Range": f"bytes {start}-{end - 1}/{total or len(data)}"}
            target = session["uploadUrl"]
            return (await client.put(target, content=data[start:end], headers=headers)).status_code

        assert await put(plain, BLOCK, 2 * BLOCK) == 416
        assert await put(graph, 0, BLOCK) == 401
        assert await put(plain, 0, 1000) == 400
        assert len(forgive(place.server)) == 2
        assert await put(plain, 0, BLOCK) == 202
        assert await put(plain, BLOCK, 2 * BLOCK, total=3 * BLOCK) == 400
        assert await put(plain, BLOCK, len(data)) == 201
        assert place.server.items(place.team)["General/Call.docx"].data == data

        session = (await graph.post(url)).json()
        assert await put(plain, 0, BLOCK) == 202
        assert await put(plain, BLOCK, len(data)) == 409
        assert (await plain.delete(session["uploadUrl"])).status_code == 204
        assert await put(plain, BLOCK, len(data)) == 404
        session = (await graph.post(url)).json()
        place.server.advance(place.server.storage.session_life)
        assert await put(plain, 0, BLOCK) == 404
    assert list(place.server.items(place.team)) == ["General/Call.docx"]


async def test_links_and_deletions_of_what_was_uploaded(place: Place) -> None:
    item = place.server.add_file(place.team, "General/Call.docx", b"docx")
    async with place.graph() as graph:
        body = {"type": "view", "scope": "organization"}
        link = await graph.post(f"/drives/{item.drive}/items/{item.id}/createLink", json=body)
        assert link.status_code == 201
        shared = f"/shares/{share_token(link.json()['link']['webUrl'])}/driveItem"
        assert (await graph.get(shared)).json()["id"] == item.id
        wrong = await graph.post(f"/drives/{item.drive}/items/{item.id}/createLink", json={"type": "own"})
        assert wrong.status_code == 400
        assert (await graph.delete(f"/drives/{item.drive}/items/{item.id}")).status_code == 204
        assert (await graph.get(shared)).status_code == 404
    assert place.server.items(place.team) == {}


async def test_graph_throttles_and_breaks_down(place: Place) -> None:
    item = place.server.add_file(place.ann, "Call.mp4", b"mp4")
    url = f"/drives/{item.drive}/items/{item.id}"
    place.server.fail("item", graph_throttled(4), graph_error(503, "serviceNotAvailable"), HTML)
    async with place.graph() as graph:
        first, second, third, fourth = [await graph.get(url) for _ in range(4)]
    assert (first.status_code, first.headers["Retry-After"]) == (429, "4")
    assert (second.status_code, second.json()["error"]["code"]) == (503, "serviceNotAvailable")
    assert third.headers["Content-Type"].startswith("text/html")
    assert fourth.json()["id"] == item.id
    assert [call.status for call in place.server.called("item")] == [429, 503, 200, 200]


# Downloads


async def test_downloads_in_ranges_cut_wrong_and_expired(place: Place) -> None:
    data = bytes(range(256)) * 40
    item = place.server.add_file(place.ann, "Call.mp4", data)
    url = place.server.storage.download_url(item)
    async with httpx.AsyncClient() as client:
        part = await client.get(url, headers={"Range": "bytes=100-199"})
        assert (part.status_code, part.content) == (206, data[100:200])
        assert part.headers["Content-Range"] == f"bytes 100-199/{len(data)}"
        rest = await client.get(url, headers={"Range": "bytes=10000-", "If-Range": item.etag})
        assert rest.content == data[10000:]
        changed = await client.get(url, headers={"Range": "bytes=10000-", "If-Range": '"other"'})
        assert (changed.status_code, changed.content) == (200, data)
        assert (await client.get(url, headers={"Range": f"bytes={len(data)}-"})).status_code == 416
        item.ignores_ranges = True
        assert (await client.get(url, headers={"Range": "bytes=100-199"})).status_code == 200
        item.cuts = [1000]
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(url)
        assert item.served[-1] == ("", 1000)
        item.announces = len(data) + 1
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(url)
        item.announces, item.pages = None, 1
        page = await client.get(url)
        assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        item.redirects = [f"{place.server.elsewhere}/Call.mp4"]
        assert (await client.get(url, follow_redirects=True)).content == b"not Microsoft"
        assert (await client.get(url.partition("?")[0])).status_code == 403
        assert (await client.get(f"{place.server.storage.origin}/download/x?tempauth=y")).status_code == 403
        place.server.advance(place.server.storage.life)
        assert (await client.get(url)).status_code == 401


async def test_graph_can_lie_about_a_size(place: Place) -> None:
    item = place.server.add_file(place.ann, "Call.mp4", b"mp4")
    item.says = 10
    async with place.graph() as graph:
        assert (await graph.get(f"/drives/{item.drive}/items/{item.id}")).json()["size"] == 10


async def test_two_gigabytes_are_there_without_being_held(place: Place) -> None:
    size = 2 * 1024**3
    item = place.server.add_file(place.ann, "Day.mp4", Padded(head=b"mp4 begins", size=size))
    url = place.server.storage.download_url(item)
    async with httpx.AsyncClient() as client, client.stream("GET", url) as answer:
        assert int(answer.headers["Content-Length"]) == size
        async for chunk in answer.aiter_bytes(1024):
            assert chunk == b"mp4 begins" + bytes(1014)
            break
    async with httpx.AsyncClient() as client:
        end = await client.get(url, headers={"Range": f"bytes={size - 5}-"})
    assert end.content == bytes(5)


# What no app may do


async def test_violations_end_a_test() -> None:
    running_server = serving(app=App(name="Other"))
    server = await running_server.__aenter__()
    async with httpx.AsyncClient(headers={"Authorization": "Bearer x"}) as client:
        assert (await client.get(f"{server.elsewhere}/sites/x")).status_code == 200
    with pytest.raises(AssertionError, match="no app may do this"):
        await running_server.__aexit__(None, None, None)
