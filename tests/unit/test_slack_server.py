"""The local Slack, driven by Slack's own libraries: what they can do with it, they can do with Slack."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from tests.vendors import faults
from tests.vendors.faults import HTML, Fault
from tests.vendors.slack import (
    BOT_SCOPES,
    App,
    Delivery,
    Installer,
    Item,
    SlackServer,
    rate_limited,
    refusal,
    serving,
)
from tests.vendors.slack_delivery import NoAnswer
from tests.vendors.slack_fields import published, sample_of, unknown
from tests.vendors.slack_model import Channel, File, Installation, Message, User, Workspace
from tests.vendors.slack_views import Missing

TALK = Item(name="Board meeting.mp3", data=bytes(range(256)) * 40)
BUTTON = {
    "type": "button",
    "text": {"type": "plain_text", "text": "Stop"},
    "action_id": "erni.stop",
    "value": "0123456789abcdef0123",
}
BLOCKS: list[dict[str, Any]] = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "Transcribing"}},
    {"type": "actions", "elements": [BUTTON]},
]
OPTIONS = [{"text": {"type": "plain_text", "text": name.title()}, "value": name} for name in ("all", "asked")]
MODAL: dict[str, Any] = {
    "type": "modal",
    "callback_id": "erni.view.settings",
    "title": {"type": "plain_text", "text": "Settings"},
    "submit": {"type": "plain_text", "text": "Save"},
    "private_metadata": "{}",
    "blocks": [
        {
            "type": "input",
            "block_id": "when",
            "label": {"type": "plain_text", "text": "When"},
            "element": {
                "type": "static_select",
                "action_id": "mode",
                "options": OPTIONS,
                "initial_option": OPTIONS[0],
            },
        },
        {
            "type": "input",
            "block_id": "words",
            "optional": True,
            "label": {"type": "plain_text", "text": "Words"},
            "element": {"type": "plain_text_input", "action_id": "vocabulary", "max_length": 10},
        },
    ],
}


@dataclass(slots=True)
class Place:
    """A workspace with two people and the bot in one channel."""

    server: SlackServer
    team: Workspace
    ann: User
    bob: User
    channel: Channel
    clients: list[AsyncWebClient] = field(default_factory=list)

    @property
    def installed(self) -> Installation:
        return self.server.installation(self.team)

    @property
    def client(self) -> AsyncWebClient:
        return AsyncWebClient(token=self.installed.token, base_url=self.server.api_url, retry_handlers=[])

    async def share(self, *items: Item, **more: Any) -> tuple[Message, File]:
        message, files = await self.server.share(self.channel, self.ann, *(items or (TALK,)), **more)
        return message, files[0]


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with serving() as server:
        team = server.add_workspace("Acme")
        ann, bob = server.add_user(team, "ann.lee"), server.add_user(team, "bob")
        channel = server.add_channel(team, "meetings", members=[ann, bob])
        yield Place(server=server, team=team, ann=ann, bob=bob, channel=channel)


@dataclass(slots=True)
class Bolt:
    """An app of slack_bolt that notes what it hears."""

    app: AsyncApp
    heard: list[dict[str, Any]] = field(default_factory=list)

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.heard]


EVENTS = (
    *("app_home_opened", "app_mention", "app_uninstalled", "file_deleted", "file_shared", "message"),
    *("member_joined_channel", "member_left_channel", "tokens_revoked"),
)


def _bolt(place: Place) -> Bolt:
    bolt = Bolt(AsyncApp(client=place.client, signing_secret=place.server.app.signing_secret))

    async def hear(event: dict[str, Any]) -> None:
        bolt.heard.append(event)

    for kind in EVENTS:
        bolt.app.event(kind)(hear)
    return bolt


@asynccontextmanager
async def connected(place: Place, bolt: Bolt, *, count: int = 1) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for _ in range(count):
            handler = AsyncSocketModeHandler(bolt.app, place.server.app.app_token)
            stack.push_async_callback(handler.close_async)
            await handler.connect_async()  # type: ignore[no-untyped-call]
        await place.server.connected(count)
        yield


@asynccontextmanager
async def over_http(place: Place, bolt: Bolt) -> AsyncIterator[str]:
    async def receive(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await bolt.app.async_dispatch(await to_bolt_request(request)))

    site = web.Application()
    site.router.add_post("/slack/events", receive)
    async with faults.serving(site) as origin:
        place.server.delivery.request_url = f"{origin}/slack/events"
        yield origin


async def refused(call: Any) -> Any:
    """The answer of a call that Slack refuses."""
    with pytest.raises(SlackApiError) as caught:
        await call
    return caught.value.response


async def error_of(call: Any) -> str:
    return str((await refused(call))["error"])


# Events


async def test_a_share_over_socket_mode_comes_as_both_events(place: Place) -> None:
    bolt = _bolt(place)
    async with connected(place, bolt):
        message, file = await place.share(text=f"please, <@{place.installed.bot_user_id}>")
        await place.server.delivered()
    assert bolt.kinds() == ["file_shared", "message", "app_mention"]
    shared, posted, mention = bolt.heard
    assert (shared["file_id"], shared["channel_id"]) == (file.id, place.channel.id)
    assert "ts" not in shared
    assert posted["subtype"] == "file_share"
    assert posted["files"][0]["id"] == file.id
    assert posted["ts"] == mention["ts"] == message.ts
    assert all(took < 3 for took in place.server.acknowledged_in())
    assert len(place.server.acknowledged_in()) == 3


async def test_a_share_over_signed_http_comes_as_both_events(place: Place) -> None:
    bolt = _bolt(place)
    async with over_http(place, bolt):
        assert await place.server.verify_url()
        await place.share()
        await place.server.delivered()
    assert sorted(bolt.kinds()) == ["file_shared", "message"]
    assert [d.attempts[0].status for d in place.server.deliveries] == [200, 200]


async def test_a_body_with_another_secret_or_an_old_stamp_is_refused_by_bolt(place: Place) -> None:
    delivery = place.server.delivery
    async with over_http(place, _bolt(place)):
        kind = {"Content-Type": "application/json"}
        forged = await delivery.post("{}", kind | delivery.signed("{}", secret="another"))
        old = await delivery.post("{}", kind | delivery.signed("{}", at=1_000_000_000))
    assert (forged[0], old[0]) == (401, 401)


@pytest.mark.parametrize(
    ("order", "kinds"),
    [
        ("file_shared first", ["file_shared", "message"]),
        ("message first", ["message", "file_shared"]),
        ("file_shared only", ["file_shared"]),
        ("message only", ["message"]),
    ],
)
async def test_the_order_of_events_is_as_told(place: Place, order: Any, kinds: list[str]) -> None:
    bolt = _bolt(place)
    async with connected(place, bolt):
        await place.share(order=order)
        await place.server.delivered()
    assert bolt.kinds() == kinds


async def test_copies_come_under_one_event_id(place: Place) -> None:
    bolt = _bolt(place)
    async with connected(place, bolt):
        await place.share(order="file_shared only", copies=3)
        await place.server.delivered()
    assert bolt.kinds() == ["file_shared"] * 3
    assert len({delivery.payload["event_id"] for delivery in place.server.deliveries}) == 1


async def test_what_comes_while_nobody_is_connected_comes_later_as_a_repetition(place: Place) -> None:
    bolt = _bolt(place)
    await place.share(order="file_shared only")
    async with connected(place, bolt):
        await place.server.delivered()
    assert bolt.kinds() == ["file_shared"]
    (attempt,) = place.server.deliveries[0].attempts
    assert (attempt.number, attempt.reason) == (1, "timeout")


async def test_an_event_that_is_not_acknowledged_is_repeated_three_times(place: Place) -> None:
    place.server.delivery.ack_within, place.server.delivery.retry_after = 0.05, (0, 0, 0)
    bolt = _bolt(place)
    never = asyncio.Event()

    @bolt.app.middleware
    async def stuck(next_: Any) -> None:
        await never.wait()

    async with connected(place, bolt):
        await place.share(order="file_shared only")
        await place.server.delivered()
        never.set()
    (delivery,) = place.server.deliveries
    assert not delivery.acknowledged
    assert [a.number for a in delivery.attempts] == [0, 1, 2, 3]
    assert [a.reason for a in delivery.attempts] == ["", "timeout", "timeout", "timeout"]


async def test_http_errors_are_repeated_with_their_reason(place: Place) -> None:
    place.server.delivery.retry_after = (0, 0, 0)
    seen: list[Any] = []

    async def receive(request: web.Request) -> web.Response:
        seen.append((request.headers.get("X-Slack-Retry-Num"), request.headers.get("X-Slack-Retry-Reason")))
        return web.Response(status=500 if len(seen) < 3 else 200)

    site = web.Application()
    site.router.add_post("/", receive)
    async with faults.serving(site) as origin:
        place.server.delivery.request_url = origin
        await place.share(order="file_shared only")
        await place.server.delivered()
    assert seen == [(None, None), ("1", "http_error"), ("2", "http_error")]
    assert place.server.deliveries[0].acknowledged


async def test_an_app_can_ask_for_no_repetition(place: Place) -> None:
    place.server.delivery.retry_after = (0, 0, 0)
    seen: list[str] = []

    async def receive(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=503, headers={"X-Slack-No-Retry": "1"})

    site = web.Application()
    site.router.add_post("/", receive)
    async with faults.serving(site) as origin:
        place.server.delivery.request_url = origin
        await place.share(order="file_shared only")
        await place.server.delivered()
    assert seen == ["/"]


async def test_connections_take_turns(place: Place) -> None:
    bolt = _bolt(place)
    async with connected(place, bolt, count=2):
        for _ in range(4):
            await place.share(order="file_shared only")
        await place.server.delivered()
    assert sorted(d.attempts[0].connection or 0 for d in place.server.deliveries) == [1, 1, 2, 2]


@pytest.mark.parametrize("reason", ["refresh_requested", "warning"])
async def test_the_library_connects_again_when_told(place: Place, reason: str) -> None:
    bolt, server = _bolt(place), place.server
    async with connected(place, bolt):
        await server.delivery.disconnect(reason)
        await server.until(lambda: server.delivery.opened == 2 and len(server.delivery.connections) == 1)
        await place.share()
        await server.delivered()
    assert bolt.kinds() == ["file_shared", "message"]


async def test_an_event_on_a_connection_that_is_cut_is_repeated_on_the_next(place: Place) -> None:
    bolt, server = _bolt(place), place.server
    server.delivery.retry_after = (0, 0, 0)
    gate = asyncio.Event()

    @bolt.app.middleware
    async def wait(next_: Callable[[], Any]) -> None:
        await gate.wait()
        await next_()

    async with connected(place, bolt, count=2):
        await place.share(order="file_shared only")
        await server.until(lambda: any(c.waiting for c in server.delivery.connections))
        await server.delivery.cut()
        handler = AsyncSocketModeHandler(bolt.app, server.app.app_token)
        await handler.connect_async()  # type: ignore[no-untyped-call]
        gate.set()
        await server.delivered()
        await handler.close_async()  # type: ignore[no-untyped-call]
    (delivery,) = server.deliveries
    assert delivery.acknowledged
    assert [attempt.number for attempt in delivery.attempts] == [0, 1]


async def test_a_ticket_opens_one_connection_and_ten_are_the_most(place: Place) -> None:
    client = AsyncWebClient(base_url=place.server.api_url)
    token = place.server.app.app_token
    async with aiohttp.ClientSession() as session, AsyncExitStack() as stack:
        for _ in range(10):
            url = (await client.apps_connections_open(app_token=token))["url"]
            socket = await stack.enter_async_context(session.ws_connect(str(url)))
            assert (await socket.receive_json())["type"] == "hello"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(str(url))
        assert await error_of(client.apps_connections_open(app_token=token)) == "too_many_websockets"


async def test_events_need_their_scope_the_membership_and_the_subscription(place: Place) -> None:
    server = place.server
    other = server.add_channel(place.team, "elsewhere", members=[place.ann], bot=False)
    await server.share(other, place.ann, TALK)
    assert server.deliveries == []
    place.installed.scopes = BOT_SCOPES - {"channels:history"}
    await server.share(place.channel, place.ann, TALK)
    assert [d.kind for d in server.deliveries] == ["file_shared"]
    async with serving(app=App(events=frozenset({"message.im"}))) as quiet:
        team = quiet.add_workspace()
        await quiet.share(quiet.add_channel(team), quiet.add_user(team, "ann"), TALK)
        assert quiet.deliveries == []


async def test_the_bot_hears_nothing_of_its_own_doings_through_bolt(place: Place) -> None:
    bolt = _bolt(place)
    async with connected(place, bolt):
        posted = await place.client.chat_postMessage(channel=place.channel.id, text="hello")
        await place.client.chat_update(channel=place.channel.id, ts=posted["ts"], text="bye")
        await place.client.files_upload_v2(filename="a.md", content="# A", channel=place.channel.id)
        await place.server.delivered()
    kinds = [(d.kind, d.event.get("subtype")) for d in place.server.deliveries]
    assert kinds == [
        ("message", None),
        ("message", "message_changed"),
        ("file_shared", None),
        ("message", "file_share"),
    ]
    assert bolt.heard == []


async def test_another_bot_is_heard_and_known_as_one(place: Place) -> None:
    bolt, other = _bolt(place), place.server.add_user(place.team, "recorder", is_bot=True)
    async with connected(place, bolt):
        await place.server.say(place.channel, other, "Here it comes.")
        await place.server.share(place.channel, other, TALK)
        await place.server.delivered()
    assert bolt.kinds() == ["message", "file_shared", "message"]
    assert bolt.heard[0]["bot_id"] not in (None, place.installed.bot_id)
    assert bolt.heard[1]["user_id"] == other.id
    assert (await place.client.users_info(user=other.id))["user"]["is_bot"]


# Messages


async def test_a_placeholder_is_posted_edited_found_and_deleted(place: Place) -> None:
    message, _ = await place.share()
    client, channel = place.client, place.channel.id
    metadata = {"event_type": "erni_audio_share", "event_payload": {"share": "0123456789abcdef0123"}}
    posted = await client.chat_postMessage(
        channel=channel, thread_ts=message.ts, text="Transcribing", blocks=BLOCKS, metadata=metadata
    )
    (placed,) = place.server.messages(place.channel, message.ts)
    assert placed.shown == "Transcribing\nStop"
    thread = await client.conversations_replies(channel=channel, ts=message.ts, include_all_metadata=True)
    assert [m["ts"] for m in thread["messages"]] == [message.ts, posted["ts"]]
    assert thread["messages"][1]["metadata"] == metadata
    assert thread["messages"][0]["reply_users"] == [place.installed.bot_user_id]
    bare = await client.conversations_replies(channel=channel, ts=message.ts)
    assert "event_payload" not in bare["messages"][1]["metadata"]
    await client.chat_update(channel=channel, ts=posted["ts"], text="Done", blocks=BLOCKS[:1])
    await client.chat_update(channel=channel, ts=posted["ts"], text="Plain")
    assert [version.text for version in placed.versions] == ["Transcribing", "Done", "Plain"]
    assert (placed.shown, placed.blocks, placed.metadata) == ("Plain", [], metadata)
    link = await client.chat_getPermalink(channel=channel, message_ts=posted["ts"])
    assert link["permalink"].endswith(f"?thread_ts={message.ts}&cid={channel}")
    await client.chat_delete(channel=channel, ts=posted["ts"])
    assert place.server.messages(place.channel, message.ts) == []


async def test_threads_and_history_come_in_pages(place: Place) -> None:
    parent = await place.server.say(place.channel, place.ann, "parent")
    for number in range(5):
        await place.server.say(place.channel, place.bob, f"reply {number}", thread_ts=parent.ts)
        await place.server.say(place.channel, place.bob, f"message {number}")
    texts: list[str] = []
    async for page in await place.client.conversations_replies(
        channel=place.channel.id, ts=parent.ts, limit=4
    ):
        texts += [message["text"] for message in page["messages"]]
    assert texts == ["parent", *(f"reply {number}" for number in range(5))]
    history = await place.client.conversations_history(channel=place.channel.id, limit=2, oldest=parent.ts)
    assert [m["text"] for m in history["messages"]] == ["message 4", "message 3"]
    assert history["has_more"]
    members: list[str] = []
    async for page in await place.client.conversations_members(channel=place.channel.id, limit=2):
        members += page["members"]
    assert members == [place.ann.id, place.bob.id, place.installed.bot_user_id]


async def test_messages_are_refused_for_what_is_wrong_with_them(place: Place) -> None:
    client, server = place.client, place.server
    message = await server.say(place.channel, place.ann, "hello")
    reply = await server.say(place.channel, place.ann, "again", thread_ts=message.ts)
    private = server.add_channel(place.team, "secret", kind="group", members=[place.ann], bot=False)
    public = server.add_channel(place.team, "open", members=[place.ann], bot=False)
    here = place.channel.id
    assert await error_of(client.chat_postMessage(channel="C404", text="x")) == "channel_not_found"
    assert await error_of(client.chat_postMessage(channel=private.id, text="x")) == "channel_not_found"
    assert await error_of(client.chat_postMessage(channel=public.id, text="x")) == "not_in_channel"
    assert await error_of(client.api_call("chat.postMessage", json={"channel": here})) == "no_text"
    assert (
        await error_of(client.chat_postMessage(channel=here, text="x", thread_ts="1.2")) == "thread_not_found"
    )
    reply_to_reply = client.chat_postMessage(channel=here, text="x", thread_ts=reply.ts)
    assert await error_of(reply_to_reply) == "cannot_reply_to_message"
    assert await error_of(client.chat_update(channel=here, ts="1.2", text="x")) == "message_not_found"
    assert await error_of(client.chat_update(channel=here, ts=message.ts, text="x")) == "cant_update_message"
    assert await error_of(client.chat_delete(channel=here, ts=message.ts)) == "cant_delete_message"
    assert await error_of(client.conversations_replies(channel=here, ts="1.2")) == "thread_not_found"
    assert await error_of(client.users_info(user="U404")) == "user_not_found"
    assert (await refused(client.api_call("users.info")))["response_metadata"]["messages"]
    place.channel.archived = True
    assert await error_of(client.chat_postMessage(channel=here, text="x")) == "is_archived"


async def test_a_deleted_parent_leaves_a_tombstone_or_nothing(place: Place) -> None:
    server, client, here = place.server, place.client, place.channel.id
    kept, gone = [await server.say(place.channel, place.ann, text) for text in ("one", "two")]
    await server.say(place.channel, place.bob, "reply", thread_ts=kept.ts)
    for message in (kept, gone):
        await server.delete_message(place.channel, message)
    thread = await client.conversations_replies(channel=here, ts=kept.ts)
    assert thread["messages"][0]["subtype"] == "tombstone"
    changed, deleted = [delivery for delivery in server.events("message") if "subtype" in delivery.event]
    assert changed.event["subtype"] == "message_changed"
    assert (
        changed.event["message"] | {"subtype": "tombstone", "user": "USLACKBOT"} == changed.event["message"]
    )
    assert changed.event["previous_message"]["user"] == place.ann.id
    assert (deleted.event["subtype"], deleted.event["deleted_ts"]) == ("message_deleted", gone.ts)
    assert not unknown(sample_of(changed), changed.payload)
    await client.chat_postMessage(channel=here, text="x", thread_ts=kept.ts)
    assert (
        await error_of(client.chat_postMessage(channel=here, text="x", thread_ts=gone.ts))
        == "thread_not_found"
    )
    server.api.dead_thread = None
    await client.chat_postMessage(channel=here, text="x", thread_ts=gone.ts)


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _cell(text: str) -> dict[str, Any]:
    return {"type": "raw_text", "text": text}


def _actions(*elements: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements), **more}


@pytest.mark.parametrize(
    ("blocks", "error"),
    [
        ([_section("x" * 3001)], "invalid_blocks"),
        ([_section("")], "invalid_blocks"),
        ([{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}], "invalid_blocks"),
        ([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}], "invalid_blocks"),
        ([{"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 11}], "invalid_blocks"),
        ([{"type": "context", "elements": []}], "invalid_blocks"),
        ([{"type": "divider"}] * 51, "invalid_blocks"),
        ([_actions(*({**BUTTON, "action_id": str(n)} for n in range(26)))], "invalid_blocks"),
        ([_actions(BUTTON, BUTTON)], "invalid_blocks"),
        ([_actions(BUTTON, block_id="a"), _actions(BUTTON, block_id="a")], "invalid_blocks"),
        ([_actions(BUTTON | {"value": "x" * 2001})], "invalid_blocks"),
        ([_actions(BUTTON | {"text": {"type": "plain_text", "text": "x" * 76}})], "invalid_blocks"),
        ([_actions(BUTTON | {"text": {"type": "mrkdwn", "text": "x"}})], "invalid_blocks"),
        ([_actions(BUTTON | {"colour": "red"})], "invalid_blocks"),
        ([_actions(BUTTON | {"style": "green"})], "invalid_blocks"),
        ([_actions({"type": "plain_text_input", "action_id": "a"})], "invalid_blocks"),
        ([{"type": "nonsense"}], "invalid_blocks"),
        ([{"type": "markdown", "text": "x" * 7000}] * 2, "msg_blocks_too_long"),
        ([_section("x" * 2800)] * 5, "msg_blocks_too_long"),
        ([_section("x" * 2600)] * 5, "msg_blocks_too_long"),
        ([{"type": "table", "rows": [[_cell("x" * 2100)] * 5]}], "invalid_blocks"),
        ([{"type": "table", "rows": [[_cell("x")] * 21]}], "invalid_blocks"),
        ([{"type": "table", "rows": [[_cell("x")]]}] * 2, "only_one_table_allowed"),
        ("nonsense", "invalid_blocks_format"),
    ],
)
async def test_blocks_beyond_slacks_limits_are_refused(place: Place, blocks: Any, error: str) -> None:
    call = place.client.chat_postMessage(channel=place.channel.id, text="x", blocks=blocks)
    assert await error_of(call) == error
    assert place.server.messages(place.channel) == []


async def test_blocks_at_the_limits_are_taken(place: Place) -> None:
    blocks = [_section("x" * 3000)] * 4 + [
        {"type": "header", "text": {"type": "plain_text", "text": "x" * 150}}
    ]
    await place.client.chat_postMessage(channel=place.channel.id, text="x", blocks=blocks)
    full = [_actions(*({**BUTTON, "action_id": str(n), "value": "x" * 2000} for n in range(25)))]
    await place.client.chat_postMessage(channel=place.channel.id, text="x", blocks=full)


async def test_texts_and_metadata_have_limits(place: Place) -> None:
    client, here = place.client, place.channel.id
    posted = await client.chat_postMessage(channel=here, text="x" * 40_000)
    assert await error_of(client.chat_postMessage(channel=here, text="x" * 40_001)) == "msg_too_long"
    await client.chat_update(channel=here, ts=posted["ts"], text="x" * 4000)
    for long in ("x" * 4001, "é" * 2001, "<" * 1001):
        assert await error_of(client.chat_update(channel=here, ts=posted["ts"], text=long)) == "msg_too_long"
    large = {"event_type": "x", "event_payload": {"share": "x" * 9000}}
    assert (
        await error_of(client.chat_postMessage(channel=here, text="x", metadata=large))
        == "metadata_too_large"
    )
    wrong = {"event_type": "x"}
    call = client.chat_postMessage(channel=here, text="x", metadata=wrong)
    assert await error_of(call) == "invalid_metadata_format"


async def test_what_is_for_one_person_is_seen_by_nobody_else(place: Place) -> None:
    await place.client.chat_postEphemeral(channel=place.channel.id, user=place.ann.id, text="psst")
    assert [(e.user, e.text) for e in place.server.ephemerals] == [(place.ann.id, "psst")]
    assert place.server.messages(place.channel) == []
    eve = place.server.add_user(place.team, "eve")
    call = place.client.chat_postEphemeral(channel=place.channel.id, user=eve.id, text="psst")
    assert await error_of(call) == "user_not_in_channel"


async def test_a_message_to_a_person_opens_one_direct_message(place: Place) -> None:
    first = await place.client.chat_postMessage(channel=place.ann.id, text="one")
    second = await place.client.chat_postMessage(channel=place.ann.id, text="two")
    assert first["channel"] == second["channel"]
    info = await place.client.conversations_info(channel=first["channel"])
    assert (info["channel"]["is_im"], info["channel"]["user"]) == (True, place.ann.id)
    assert await error_of(place.client.conversations_open(users=[place.ann.id])) == "missing_scope"
    place.installed.scopes |= {"im:write"}
    opened = await place.client.conversations_open(users=[place.ann.id])
    assert opened["channel"]["id"] == first["channel"]
    await place.server.deactivate(place.ann)
    assert await error_of(place.client.chat_postMessage(channel=place.ann.id, text="x")) == "user_disabled"
    assert (await place.client.users_info(user=place.ann.id))["user"]["deleted"]


# Tokens, scopes, rates


async def test_tokens_are_checked(place: Place) -> None:
    client, url = place.client, place.server.api_url
    answer = await client.auth_test()
    assert (answer["bot_id"], answer["team_id"]) == (place.installed.bot_id, place.team.id)
    assert answer.headers["X-OAuth-Scopes"] == ",".join(sorted(BOT_SCOPES))
    assert await error_of(AsyncWebClient(base_url=url).auth_test()) == "not_authed"
    assert await error_of(AsyncWebClient(token="xoxb-no", base_url=url).auth_test()) == "invalid_auth"
    app_token = AsyncWebClient(token=place.server.app.app_token, base_url=url)
    assert await error_of(app_token.auth_test()) == "not_allowed_token_type"
    bot_token = client.apps_connections_open(app_token=client.token or "")
    assert await error_of(bot_token) == "not_allowed_token_type"
    await client.auth_revoke()
    assert await error_of(client.auth_test()) == "token_revoked"


async def test_uninstalling_ends_the_token_and_tells_the_app(place: Place) -> None:
    bolt, client = _bolt(place), place.client
    await client.auth_test()
    async with connected(place, bolt):
        await place.server.uninstall(place.team)
        await place.server.delivered()
    assert [d.kind for d in place.server.deliveries] == ["tokens_revoked", "app_uninstalled"]
    assert place.server.deliveries[0].event["tokens"]["bot"]
    assert await error_of(client.auth_test()) == "account_inactive"


SCOPED: list[tuple[str, Callable[[AsyncWebClient, Place], Any]]] = [
    ("chat:write", lambda c, p: c.chat_postMessage(channel=p.channel.id, text="x")),
    ("chat:write", lambda c, p: c.chat_update(channel=p.channel.id, ts="1.2", text="x")),
    ("chat:write", lambda c, p: c.chat_postEphemeral(channel=p.channel.id, user=p.ann.id, text="x")),
    ("channels:history", lambda c, p: c.conversations_replies(channel=p.channel.id, ts="1.2")),
    ("channels:history", lambda c, p: c.conversations_history(channel=p.channel.id)),
    ("channels:read", lambda c, p: c.conversations_info(channel=p.channel.id)),
    ("channels:read", lambda c, p: c.conversations_members(channel=p.channel.id)),
    ("channels:read", lambda c, _: c.users_conversations()),
    ("files:read", lambda c, _: c.files_info(file="F1")),
    ("files:write", lambda c, _: c.files_getUploadURLExternal(filename="a", length=1)),
    ("files:write", lambda c, _: c.files_completeUploadExternal(files=[{"id": "F1"}])),
    ("files:write", lambda c, _: c.files_delete(file="F1")),
    ("users:read", lambda c, p: c.users_info(user=p.ann.id)),
    ("usergroups:read", lambda c, _: c.usergroups_users_list(usergroup="S1")),
]


@pytest.mark.parametrize(("scope", "call"), SCOPED)
async def test_a_missing_scope_is_named(place: Place, scope: str, call: Callable[..., Any]) -> None:
    place.installed.scopes = BOT_SCOPES - {scope}
    answer = await refused(call(place.client, place))
    assert (answer["error"], answer["needed"]) == ("missing_scope", scope)
    assert scope not in answer["provided"].split(",")


async def test_our_scopes_do_not_reach_team_info(place: Place) -> None:
    assert await error_of(place.client.team_info()) == "missing_scope"
    place.installed.scopes |= {"team:read"}
    assert (await place.client.team_info())["team"]["name"] == "Acme"


async def test_conversations_are_listed_by_kind(place: Place) -> None:
    server = place.server
    secret = server.add_channel(place.team, "secret", kind="group", members=[place.ann])
    server.add_channel(place.team, "hidden", kind="group", members=[place.ann], bot=False)
    listed = await place.client.users_conversations(types="public_channel,private_channel", user=place.ann.id)
    assert [c["id"] for c in listed["channels"]] == [place.channel.id, secret.id]
    place.installed.scopes = BOT_SCOPES - {"groups:read"}
    assert (await place.client.users_conversations())["channels"][0]["id"] == place.channel.id
    answer = await refused(place.client.users_conversations(types="public_channel,private_channel"))
    assert answer["needed"] == "groups:read"
    group = server.add_group(place.team, [place.bob])
    assert (await place.client.usergroups_users_list(usergroup=group.id))["users"] == [place.bob.id]


async def test_rates_are_limited_once_switched_on(place: Place) -> None:
    client, here = place.client, place.channel.id
    posted = await client.chat_postMessage(channel=here, text="x")
    for _ in range(60):
        await client.chat_update(channel=here, ts=posted["ts"], text="x")
    place.server.freeze()
    place.server.limit_rates()
    for _ in range(50):
        await client.chat_update(channel=here, ts=posted["ts"], text="x")
    answer = await refused(client.chat_update(channel=here, ts=posted["ts"], text="x"))
    assert (answer["error"], answer.status_code) == ("ratelimited", 429)
    assert answer.headers["Retry-After"] == "60"
    place.server.advance(60)
    await client.chat_update(channel=here, ts=posted["ts"], text="x")
    for _ in range(4):
        await client.chat_postMessage(channel=here, text="x")
    assert await error_of(client.chat_postMessage(channel=here, text="x")) == "ratelimited"
    other = place.server.add_channel(place.team, "other", members=[place.ann])
    await client.chat_postMessage(channel=other.id, text="x")


# Files


async def _get(place: Place, url: str, **headers: str) -> tuple[int, bytes, Any]:
    async with aiohttp.ClientSession() as session:
        token = {"Authorization": f"Bearer {place.installed.token}"} | headers
        async with session.get(url, headers=token) as response:
            return response.status, await response.read(), response.headers


async def test_a_file_tells_where_it_was_shared_and_downloads_with_the_token(place: Place) -> None:
    parent = await place.server.say(place.channel, place.ann, "parent")
    message, file = await place.share(thread_ts=parent.ts, delay_shares=1)
    early = (await place.client.files_info(file=file.id))["file"]
    assert early["shares"] == {}
    info = (await place.client.files_info(file=file.id))["file"]
    share = info["shares"]["public"][place.channel.id][0]
    assert (share["ts"], share["thread_ts"]) == (message.ts, parent.ts)
    assert (info["name"], info["size"], info["mode"]) == (TALK.name, len(TALK.data), "hosted")
    for url in (info["url_private"], info["url_private_download"]):
        status, data, headers = await _get(place, url)
        assert (status, data, headers["Content-Type"]) == (200, TALK.data, "audio/mpeg")
    status, data, headers = await _get(place, url, Range="bytes=1000-")
    assert (status, data) == (206, TALK.data[1000:])
    assert headers["Content-Range"] == f"bytes 1000-{len(TALK.data) - 1}/{len(TALK.data)}"
    assert (await _get(place, url, Range="bytes=99999-"))[0] == 416
    file.ignores_ranges = True
    assert (await _get(place, url, Range="bytes=1000-"))[:2] == (200, TALK.data)
    async with aiohttp.ClientSession() as session, session.head(url, headers=place_token(place)) as head:
        assert (head.status, head.content_length) == (200, len(TALK.data))


def place_token(place: Place) -> dict[str, str]:
    return {"Authorization": f"Bearer {place.installed.token}"}


async def test_a_download_can_be_cut_and_lie_about_its_size(place: Place) -> None:
    _, file = await place.share()
    url = (await place.client.files_info(file=file.id))["file"]["url_private_download"]
    file.cuts.append(100)
    with pytest.raises(aiohttp.ClientPayloadError):
        await _get(place, url)
    assert file.served == [("", 100)]
    file.announces = 500
    assert (await _get(place, url))[1] == TALK.data[:500]
    file.announces = 20_000
    with pytest.raises(aiohttp.ClientPayloadError):
        await _get(place, url)
    file.announces, file.fields["size"] = None, 3
    assert (await place.client.files_info(file=file.id))["file"]["size"] == 3


async def test_without_a_good_token_a_page_to_sign_in_comes(place: Place) -> None:
    _, file = await place.share()
    url = (await place.client.files_info(file=file.id))["file"]["url_private_download"]
    other = place.server.add_workspace("Other")
    wrong = {"Authorization": f"Bearer {place.server.installation(other).token}"}
    for sign_in in ("redirect", "page"):
        place.server.api.sign_in = sign_in
        for headers in ({}, wrong):
            async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
                assert (response.status, response.content_type) == (200, "text/html")
                assert len(response.history) == (sign_in == "redirect")
    place.installed.scopes = BOT_SCOPES - {"files:read"}
    assert (await _get(place, url))[2]["Content-Type"].startswith("text/html")


async def test_a_download_can_lead_to_another_host_which_must_not_see_the_token(place: Place) -> None:
    server = place.server
    _, file = await place.share()
    url = (await place.client.files_info(file=file.id))["file"]["url_private_download"]
    file.redirects.append(f"{server.elsewhere}/innocent")
    async with aiohttp.ClientSession() as session:
        async with session.get(url, headers=place_token(place), allow_redirects=False) as response:
            target = response.headers["Location"]
        async with session.get(target) as response:
            assert response.status == 200
        assert server.violations == []
        async with session.get(target, headers=place_token(place)) as response:
            assert response.status == 200
    assert [stray.authorization is None for stray in server.strays] == [True, False]
    assert server.violations.pop().startswith("another host was sent the token")


async def test_violations_fail_the_test_that_made_them() -> None:
    async def upload_with_the_token() -> None:
        async with serving() as server, aiohttp.ClientSession() as session:
            token = server.installation(server.add_workspace()).token
            client = AsyncWebClient(token=token, base_url=server.api_url)
            asked = await client.files_getUploadURLExternal(filename="a", length=1)
            await session.post(asked["upload_url"], data=b"x", headers={"Authorization": f"Bearer {token}"})

    with pytest.raises(AssertionError, match="Authorization"):
        await upload_with_the_token()


async def test_files_that_cannot_be_had(place: Place) -> None:
    server, client = place.server, place.client
    drive = Item(
        name="Talk", data=b"", mode="external", external_type="gdrive", external_url="https://drive/x"
    )
    hidden = Item(name="old.mp3", data=b"x", mode="hidden_by_limit")
    _, files = await server.share(place.channel, place.ann, drive, hidden, TALK, check_file_info=True)
    info = (await client.files_info(file=files[0].id))["file"]
    assert (info["is_external"], info["external_type"], info["size"]) == (True, "gdrive", 0)
    assert info["url_private"] == "https://drive/x"
    assert (await client.files_info(file=files[1].id))["file"] == {
        "id": files[1].id,
        "mode": "hidden_by_limit",
    }
    stub = server.events("message")[0].event["files"][2]
    assert (stub["file_access"], "url_private" in stub) == ("check_file_info", False)
    assert (await client.files_info(file=files[2].id))["file"]["file_access"] == "visible"
    await server.delete_file(files[2])
    assert await error_of(client.files_info(file=files[2].id)) == "file_deleted"
    assert server.events("file_deleted")[0].event["file_id"] == files[2].id
    other = server.add_channel(place.team, "private", kind="group", members=[place.ann], bot=False)
    _, (unseen,) = await server.share(other, place.ann, TALK)
    assert await error_of(client.files_info(file=unseen.id)) == "file_not_found"
    await server.invite(other, place.installed.bot_user_id)
    assert (await client.files_info(file=unseen.id))["file"]["id"] == unseen.id


async def test_a_clip_has_slacks_own_transcript(place: Place) -> None:
    clip = Item(
        name="audio_message.m4a",
        data=b"x",
        mimetype="audio/mp4",
        subtype="slack_audio",
        transcript="hello " * 50,
        vtt="WEBVTT",
        seconds=12.5,
    )
    _, file = await place.share(clip)
    info = (await place.client.files_info(file=file.id))["file"]
    assert (info["subtype"], info["duration_ms"]) == ("slack_audio", 12_500)
    assert info["transcription"]["status"] == "complete"
    assert info["transcription"]["preview"]["has_more"]
    assert (await _get(place, info["vtt"]))[1] == b"WEBVTT"


async def test_an_upload_lands_in_the_thread(place: Place) -> None:
    message, shared = await place.share()
    uploads = [{"filename": f"t.{kind}", "content": f"as {kind}", "title": "T"} for kind in ("md", "srt")]
    answer = await place.client.files_upload_v2(
        file_uploads=uploads, channel=place.channel.id, thread_ts=message.ts, initial_comment="Here"
    )
    (posted,) = place.server.messages(place.channel, message.ts)
    assert posted.text == "Here"
    assert [(file.name, file.data) for file in place.server.attached(posted)] == [
        ("t.md", b"as md"),
        ("t.srt", b"as srt"),
    ]
    first = answer["files"][0]
    assert first["user"] == place.installed.bot_user_id
    await place.client.files_delete(file=first["id"])
    assert await error_of(place.client.files_info(file=first["id"])) == "file_deleted"
    assert await error_of(place.client.files_delete(file=shared.id)) == "cant_delete_file"


async def test_uploads_are_refused_for_what_is_wrong_with_them(place: Place) -> None:
    client = place.client
    asked = await client.files_getUploadURLExternal(filename="a.md", length=3)
    complete: dict[str, Any] = {"files": [{"id": asked["file_id"]}], "channel_id": place.channel.id}
    assert await error_of(client.files_completeUploadExternal(**complete)) == "file_not_found"
    assert await error_of(client.files_info(file=asked["file_id"])) == "file_not_found"
    async with aiohttp.ClientSession() as session:
        async with session.post(asked["upload_url"], data=b"four") as response:
            assert response.status == 400
        async with session.post(asked["upload_url"], data=b"abc") as response:
            assert (response.status, await response.text()) == (200, "OK - 3")
        async with session.post(asked["upload_url"], data=b"abc") as response:
            assert response.status == 404
    missing = client.files_completeUploadExternal(**complete, thread_ts="1.2")
    assert await error_of(missing) == "thread_not_found"
    await client.files_completeUploadExternal(**complete)
    assert await error_of(client.files_completeUploadExternal(**complete)) == "file_not_found"


# People who use the app


@asynccontextmanager
async def interactive(place: Place, way: str) -> AsyncIterator[Bolt]:
    """An app with a button, a modal, a shortcut and a command, over Socket Mode or HTTP."""
    bolt = _bolt(place)

    @bolt.app.action("erni.stop")
    async def stop(ack: Any, body: Any, client: Any) -> None:
        await ack()
        bolt.heard.append(body)
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    @bolt.app.view("erni.view.settings")
    async def save(ack: Any, body: Any, view: Any) -> None:
        bolt.heard.append(body)
        values = view["state"]["values"]
        if values["words"]["vocabulary"]["value"] == "bad":
            await ack(response_action="errors", errors={"words": "No such word."})
        else:
            await ack()

    @bolt.app.shortcut("erni.transcribe")
    async def transcribe(ack: Any, body: Any, respond: Any) -> None:
        await ack()
        bolt.heard.append(body)
        await respond("On it.")

    @bolt.app.command("/transcribe")
    async def command(ack: Any, body: Any) -> None:
        bolt.heard.append(body)
        await ack(f"Help for {body['text']}")

    async with connected(place, bolt) if way == "socket" else over_http(place, bolt):
        yield bolt
        await place.server.delivered()


@pytest.mark.parametrize("way", ["socket", "http"])
async def test_a_button_opens_a_modal_that_is_filled_in_and_saved(place: Place, way: str) -> None:
    server = place.server
    async with interactive(place, way) as bolt:
        posted = await place.client.chat_postMessage(channel=place.channel.id, text="x", blocks=BLOCKS)
        (message,) = server.messages(place.channel)
        with pytest.raises(Missing):
            await server.press(message, "erni.delete", place.ann)
        with pytest.raises(Missing):
            await server.press(message, "erni.stop", server.add_user(place.team, "eve"))
        await server.press(message, "erni.stop", place.ann)
        await server.until(lambda: server.views)
        pressed = next(body for body in bolt.heard if body["type"] == "block_actions")
        assert pressed["actions"][0]["value"] == BUTTON["value"]
        assert pressed["message"]["ts"] == pressed["container"]["message_ts"] == posted["ts"]
        (view,) = server.views
        assert "Settings" in view.shown
        with pytest.raises(Missing):
            await server.submit_view(view, {"mode": "never"})
        with pytest.raises(Missing):
            await server.submit_view(view, {"vocabulary": "much too long"})
        answered = await server.submit_view(view, {"mode": "asked", "vocabulary": "bad"})
        assert answered.answer == {"response_action": "errors", "errors": {"words": "No such word."}}
        assert (view.errors, view.is_open) == ({"words": "No such word."}, True)
        await server.submit_view(view, {"vocabulary": "good"})
        values = bolt.heard[-1]["view"]["state"]["values"]
        assert values["when"]["mode"]["selected_option"]["value"] == "asked"
        assert values["words"]["vocabulary"] == {"type": "plain_text_input", "value": "good"}
        assert server.views == []


@pytest.mark.parametrize("way", ["socket", "http"])
async def test_shortcuts_and_commands_are_answered(place: Place, way: str) -> None:
    server = place.server
    async with interactive(place, way) as bolt:
        message, file = await place.share()
        await server.delivered()
        await server.shortcut(message, place.bob, "erni.transcribe")
        await server.until(lambda: server.ephemerals)
        assert bolt.heard[-1]["message"]["files"][0]["id"] == file.id
        await server.slash(place.channel, place.bob, "settings")
        assert bolt.heard[-1]["channel_name"] == "meetings"
        assert [(e.user, e.text) for e in server.ephemerals] == [
            (place.bob.id, "On it."),
            (place.bob.id, "Help for settings"),
        ]
        server.delivery.ack_within = 0.05
        with pytest.raises(NoAnswer):
            await server.shortcut(message, place.bob, "unknown")


async def test_triggers_open_one_modal_within_three_seconds(place: Place) -> None:
    server, client = place.server, place.client
    server.freeze()
    async with interactive(place, "socket") as bolt:
        await server.slash(place.channel, place.ann)
        await server.slash(place.channel, place.ann)
        first, second = [body["trigger_id"] for body in bolt.heard]
    assert await error_of(client.views_open(trigger_id="1.2.3", view=MODAL)) == "invalid_trigger_id"
    opened = await client.views_open(trigger_id=first, view=MODAL)
    assert await error_of(client.views_open(trigger_id=first, view=MODAL)) == "exchanged_trigger_id"
    server.advance(3.5)
    assert await error_of(client.views_open(trigger_id=second, view=MODAL)) == "expired_trigger_id"
    (view,) = server.views
    update = {"view_id": opened["view"]["id"], "view": MODAL | {"private_metadata": "new"}}
    assert await error_of(client.views_update(**update, hash="old")) == "hash_conflict"
    await client.views_update(**update, hash=opened["view"]["hash"])
    assert view.body["private_metadata"] == "new"
    await server.close_view(view)
    assert await error_of(client.views_update(**update)) == "not_found"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"title": {"type": "plain_text", "text": "x" * 25}}, "invalid_arguments"),
        ({"submit": {"type": "mrkdwn", "text": "x"}}, "invalid_arguments"),
        ({"close": {"type": "plain_text", "text": "x" * 25}}, "invalid_arguments"),
        ({"private_metadata": "x" * 3001}, "invalid_arguments"),
        ({"callback_id": "x" * 256}, "invalid_arguments"),
        ({"blocks": [{"type": "divider"}] * 101}, "invalid_arguments"),
        ({"blocks": [{"type": "markdown", "text": "x"}]}, "invalid_arguments"),
        ({"blocks": []}, "invalid_arguments"),
        ({"type": "home"}, "invalid_arguments"),
        ({"colour": "red"}, "invalid_arguments"),
        ({"blocks": [_section("\\" * 2900)] * 90}, "view_too_large"),
        (
            {"blocks": [_actions({"type": "static_select", "action_id": "a", "options": OPTIONS * 51})]},
            "invalid_arguments",
        ),
    ],
)
async def test_views_beyond_slacks_limits_are_refused(place: Place, change: Any, error: str) -> None:
    call = place.client.views_open(trigger_id="1.2.3", view=MODAL | change)
    assert await error_of(call) == error


async def test_the_home_tab_is_published_and_shown_when_opened(place: Place) -> None:
    home = {"type": "home", "blocks": [_section("Recent transcripts"), _actions(BUTTON)]}
    await place.client.views_publish(user_id=place.ann.id, view=home)
    assert "Recent transcripts" in place.server.home(place.ann).shown
    async with interactive(place, "socket") as bolt:
        await place.server.open_home(place.team, place.ann)
        await place.server.press(place.server.home(place.ann), "erni.stop", place.ann)
    assert bolt.kinds() == ["app_home_opened", "block_actions"]
    assert bolt.heard[1]["container"]["type"] == "view"
    assert await error_of(place.client.views_publish(user_id=place.ann.id, view=MODAL)) == "invalid_arguments"


async def test_a_response_url_is_used_five_times_in_half_an_hour(place: Place) -> None:
    server = place.server
    async with interactive(place, "socket") as bolt:
        await server.slash(place.channel, place.ann)
        await server.slash(place.channel, place.ann)
    first, second = [AsyncWebhookClient(body["response_url"]) for body in bolt.heard]
    shown = len(server.ephemerals)
    for _ in range(4):
        assert (await first.send(text="private")).status_code == 200
    assert (await first.send(text="public", response_type="in_channel")).status_code == 200
    assert (await first.send(text="more")).status_code == 404
    assert len(server.ephemerals) == shown + 4
    assert [message.text for message in server.messages(place.channel)] == ["public"]
    server.advance(1900)
    assert (await second.send(text="late")).status_code == 404


# Many workspaces

OLD_BASIC_AUTH = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")
"""What slack_sdk 3.48 does in oauth_v2_access with aiohttp 3.14."""


async def _install(place: Place, installer: Installer) -> dict[str, str]:
    """Open the OAuth page as a browser does; what it sends back."""
    place.server.api.installer = installer
    asked = {"client_id": place.server.app.client_id, "scope": ",".join(BOT_SCOPES), "state": "s1"}
    asked["redirect_uri"] = "https://erni.example/slack/oauth"
    page = f"{place.server.origin}/oauth/v2/authorize"
    async with (
        aiohttp.ClientSession() as session,
        session.get(page, params=asked, allow_redirects=False) as response,
    ):
        back = urlsplit(response.headers["Location"])
    assert back.netloc == "erni.example"
    return {name: values[0] for name, values in parse_qs(back.query).items()}


async def _exchange(place: Place, **more: str) -> Any:
    app = place.server.app
    return await AsyncWebClient(base_url=place.server.api_url).oauth_v2_access(
        client_id=app.client_id, client_secret=app.client_secret, **more
    )


@OLD_BASIC_AUTH
async def test_the_app_is_installed_through_oauth(place: Place) -> None:
    server = place.server
    other = server.add_workspace("Other", install=False)
    eve = server.add_user(other, "eve")
    back = await _install(place, Installer(user=eve.id, team=other.id))
    assert back["state"] == "s1"
    answer = await _exchange(place, code=back["code"])
    assert (answer["team"]["id"], answer["authed_user"]["id"]) == (other.id, eve.id)
    assert answer["access_token"] == server.installation(other).token
    assert await error_of(_exchange(place, code=back["code"])) == "code_already_used"
    assert await error_of(_exchange(place, code="no")) == "invalid_code"
    again = await _install(place, Installer(user=eve.id, team=other.id))
    elsewhere = _exchange(place, code=again["code"], redirect_uri="https://evil.example/")
    assert await error_of(elsewhere) == "bad_redirect_uri"
    client = AsyncWebClient(base_url=server.api_url)
    wrong = client.oauth_v2_access(client_id=server.app.client_id, client_secret="no", code=again["code"])
    assert await error_of(wrong) == "bad_client_secret"
    declined = await _install(place, Installer(user=eve.id, team=other.id, declines=True))
    assert declined == {"error": "access_denied", "state": "s1"}


@OLD_BASIC_AUTH
async def test_tokens_rotate(place: Place) -> None:
    server = place.server
    server.api.rotates_tokens = True
    other = server.add_workspace("Other", install=False)
    back = await _install(place, Installer(user=place.ann.id, team=other.id))
    first = await _exchange(place, code=back["code"])
    assert first["expires_in"] == 43_200
    old = AsyncWebClient(token=first["access_token"], base_url=server.api_url)
    await old.auth_test()
    second = await _exchange(place, grant_type="refresh_token", refresh_token=first["refresh_token"])
    used = _exchange(place, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert await error_of(used) == "invalid_refresh_token"
    assert second["bot_user_id"] == first["bot_user_id"]
    server.advance(43_200)
    assert await error_of(old.auth_test()) == "token_expired"
    third = await _exchange(place, grant_type="refresh_token", refresh_token=second["refresh_token"])
    await AsyncWebClient(token=third["access_token"], base_url=server.api_url).auth_test()


async def test_one_installation_serves_an_enterprise(place: Place) -> None:
    server = place.server
    east, west = [
        server.add_workspace(n, enterprise_id="E0000000001", install=False) for n in ("East", "West")
    ]
    ann = server.add_user(west, "ann")
    installed = server.install(None, ann, enterprise_id="E0000000001")
    channel = server.add_channel(west, "west", members=[ann])
    assert server.installation(east).token == server.installation(west).token == installed.token
    await server.share(channel, ann, TALK, order="file_shared only")
    body = server.deliveries[0].payload
    assert (body["team_id"], body["enterprise_id"]) == (west.id, "E0000000001")
    assert body["authorizations"][0]["is_enterprise_install"] is True
    client = AsyncWebClient(token=installed.token, base_url=server.api_url)
    assert (await client.auth_test())["is_enterprise_install"] is True
    listed = await client.users_conversations(team_id=west.id)
    assert [c["id"] for c in listed["channels"]] == [channel.id]
    assert await error_of(client.users_conversations()) == "missing_argument"
    assert await error_of(client.users_conversations(team_id=place.team.id)) == "team_access_not_granted"
    await client.chat_postMessage(channel=channel.id, text="hello")


async def test_an_app_outside_the_marketplace_reads_a_short_page_a_minute(place: Place) -> None:
    server, client, here = place.server, place.client, place.channel.id
    server.freeze()
    parent = await server.say(place.channel, place.ann, "first")
    for number in range(20):
        await server.say(place.channel, place.bob, str(number), thread_ts=parent.ts)
    server.api.history_seconds = 60.0
    first = await client.conversations_replies(channel=here, ts=parent.ts, limit=200)
    assert len(first["messages"]) == 15
    cursor = first["response_metadata"]["next_cursor"]
    assert await error_of(client.conversations_replies(channel=here, ts=parent.ts)) == "ratelimited"
    await client.conversations_history(channel=here)  # each method by itself
    server.advance(60)
    rest = await client.conversations_replies(channel=here, ts=parent.ts, cursor=cursor)
    assert len(rest["messages"]) == 6


async def test_where_apps_may_not_post_nothing_gets_through(place: Place) -> None:
    place.channel.restricted = True
    here, client = place.channel.id, place.client
    assert await error_of(client.chat_postMessage(channel=here, text="x")) == "restricted_action"
    said = client.chat_postEphemeral(channel=here, user=place.ann.id, text="x")
    assert await error_of(said) == "restricted_action"
    await client.chat_postMessage(channel=place.ann.id, text="x")


async def test_a_stranger_shares_in_a_channel_of_two_companies(place: Place) -> None:
    server = place.server
    partner = server.add_workspace("Partner", install=False)
    eve = server.add_user(partner, "eve")
    channel = server.add_channel(place.team, "joint", members=[place.ann, eve], shared_with=[partner])
    _, (file,) = await server.share(channel, eve, TALK, check_file_info=True)
    shared = server.deliveries[0].payload
    assert (shared["is_ext_shared_channel"], shared["team_id"]) == (True, place.team.id)
    info = (await place.client.files_info(file=file.id))["file"]
    assert (info["user"], info["user_team"]) == (eve.id, partner.id)
    assert (await _get(place, info["url_private_download"]))[1] == TALK.data
    assert (await place.client.users_info(user=eve.id))["user"]["team_id"] == partner.id
    assert (await place.client.conversations_info(channel=channel.id))["channel"]["is_ext_shared"]


# What goes wrong on command


async def test_calls_go_wrong_as_told(place: Place) -> None:
    server, client = place.server, place.client
    server.fail("auth.test", refusal("fatal_error"), rate_limited(7), Fault(status=503), HTML, "cut")
    assert await error_of(client.auth_test()) == "fatal_error"
    limited = await refused(client.auth_test())
    assert (limited["error"], limited.headers["Retry-After"]) == ("ratelimited", "7")
    with pytest.raises(SlackApiError):
        await client.auth_test()
    with pytest.raises((SlackApiError, SlackRequestError)):
        await client.auth_test()
    with pytest.raises(aiohttp.ClientError):
        await client.auth_test()
    await client.auth_test()
    server.faults.add("POST /api/chat.postMessage", Fault(status=500, body="{}"))
    with pytest.raises(SlackApiError):
        await client.chat_postMessage(channel=place.channel.id, text="x")


async def test_the_library_waits_as_long_as_it_is_told(place: Place) -> None:
    client = place.client
    client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=1))
    place.server.fail("auth.test", rate_limited(0))
    await client.auth_test()


async def test_a_message_can_be_posted_although_the_answer_is_lost(place: Place) -> None:
    place.server.fail("chat.postMessage", "lost")
    with pytest.raises(aiohttp.ClientError):
        await place.client.chat_postMessage(channel=place.channel.id, text="once")
    assert [message.text for message in place.server.messages(place.channel)] == ["once"]
    assert place.server.called("chat.postMessage")[0].error is None


async def test_a_call_can_hang_until_the_client_gives_up(place: Place) -> None:
    place.server.fail("auth.test", "hang")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await place.client.auth_test()


async def test_a_call_can_be_held_before_it_takes_effect(place: Place) -> None:
    hold = place.server.hold("chat.postMessage")
    posting = asyncio.create_task(place.client.chat_postMessage(channel=place.channel.id, text="x"))
    await hold.arrived.wait()
    assert place.server.messages(place.channel) == []
    hold.release()
    await posting
    assert len(place.server.messages(place.channel)) == 1


# Fields

READ_BY_US = {
    "events/FileSharedPayload.json": {
        *("event_id", "team_id", "enterprise_id", "event.file_id", "event.channel_id", "event.user_id"),
        *("authorizations[].is_enterprise_install", "is_ext_shared_channel"),
    },
    "events/MessageFileSharePayload.json": {
        *("event.ts", "event.thread_ts", "event.channel", "event.user", "event.text", "event.files"),
        "event.channel_type",
    },
    "events/AppMentionPayload.json": {
        "event.ts",
        "event.thread_ts",
        "event.channel",
        "event.user",
        "event.text",
    },
    "events/FileDeletedPayload.json": {"event.file_id"},
    "events/TokensRevokedPayload.json": {"event.tokens.bot", "team_id", "enterprise_id"},
    "events/AppUninstalledPayload.json": {"team_id", "enterprise_id"},
    "events/AppHomeOpenedPayload.json": {"event.user", "event.tab"},
    "events/MemberJoinedChannelPayload.json": {"event.user", "event.channel"},
    "api/files.info.json": {
        *(
            "file:id",
            "file:name",
            "file:title",
            "file:size",
            "file:mimetype",
            "file:mode",
            "file:file_access",
        ),
        *("file:is_external", "file:external_type", "file:url_private", "file:url_private_download"),
        *("file:shares.public.*[].ts", "file:shares.private.*[].thread_ts", "file:user", "file:subtype"),
        *("file:transcription.status", "file:transcription.preview.content", "file:vtt", "file:duration_ms"),
    },
    "api/chat.postMessage.json": {"ts", "channel", "message.ts"},
    "api/conversations.replies.json": {
        *("messages[].ts", "messages[].metadata.event_type", "messages[].bot_id", "messages[].files"),
        "response_metadata.next_cursor",
    },
    "api/conversations.info.json": {
        "channel.creator",
        "channel.is_ext_shared",
        "channel.name",
        "channel.is_private",
    },
    "api/files.getUploadURLExternal.json": {"upload_url", "file_id"},
    "api/files.completeUploadExternal.json": {"files", "file:id"},
    "api/users.info.json": {
        "user.is_admin",
        "user.is_owner",
        "user.deleted",
        "user.real_name",
        "user.is_bot",
    },
    "api/oauth.v2.access.json": {
        *("access_token", "refresh_token", "expires_in", "team.id", "enterprise.id", "bot_user_id", "scope"),
        "is_enterprise_install",
    },
    "app-backend/interactive-components/BlockActionPayload.json": {
        *(
            "actions[].action_id",
            "actions[].value",
            "user.id",
            "team.id",
            "channel.id",
            "container.message_ts",
        ),
        *("trigger_id", "response_url", "message.thread_ts", "view.private_metadata"),
    },
    "app-backend/interactive-components/MessageShortcutPayload.json": {
        *("callback_id", "message.ts", "message.thread_ts", "message.files", "channel.id", "user.id"),
        *("trigger_id", "response_url", "team.id"),
    },
    "app-backend/slash-commands/SlashCommandPayload.json": {
        *("command", "text", "channel_id", "user_id", "team_id", "trigger_id", "response_url"),
        "is_enterprise_install",
    },
    "app-backend/views/ViewSubmissionPayload.json": {
        *("view.callback_id", "view.private_metadata", "view.state", "user.id", "team.id", "view.id"),
    },
}
"""Sample -> the fields that our front door reads."""


@pytest.mark.parametrize("sample", READ_BY_US)
def test_what_we_read_is_published(sample: str) -> None:
    assert READ_BY_US[sample] <= published(sample)


def test_a_field_of_our_invention_is_found() -> None:
    event = {"type": "file_shared", "file": {"id": "F1", "colour": "red"}, "file_ids": []}
    found = unknown("events/FileSharedPayload.json", {"team_id": "T1", "event": event})
    assert found == {"event.file_ids", "file:colour"}


def _sent(delivery: Delivery) -> set[str]:
    return unknown(sample_of(delivery), delivery.payload)


@OLD_BASIC_AUTH
async def test_everything_that_the_server_sends_is_published(place: Place) -> None:
    """A day in a workspace of an enterprise: no payload and no answer has a field of our invention."""
    server, client, here = place.server, place.client, place.channel.id
    place.team.enterprise_id, place.team.enterprise_name = "E0000000001", "Acme Group"
    place.installed.enterprise_id = "E0000000001"
    clip = Item(
        name="clip.mp4", data=b"x", mimetype="video/mp4", subtype="slack_video", transcript="x", vtt="x"
    )
    remote = Item(name="r", data=b"", mode="external", external_type="gdrive", external_url="https://drive/x")
    async with interactive(place, "socket"):
        hello = f"<@{place.installed.bot_user_id}>"
        server.mentions_carry_files = True
        message, files = await server.share(place.channel, place.ann, TALK, clip, remote, text=hello)
        await server.share(
            place.channel, place.bob, again=files[:1], thread_ts=message.ts, check_file_info=True
        )
        await server.say(place.channel, place.bob, hello, thread_ts=message.ts)
        await server.edit(place.channel, message, "edited")
        posted = await client.chat_postMessage(
            channel=here,
            thread_ts=message.ts,
            text="x",
            blocks=BLOCKS,
            metadata={"event_type": "a", "event_payload": {"b": "c"}},
        )
        direct = await client.chat_postMessage(channel=place.ann.id, text="x")
        for channel in (here, direct["channel"]):
            await client.conversations_info(channel=channel, include_num_members=True)
            await client.conversations_history(channel=channel, include_all_metadata=True)
            await client.conversations_members(channel=channel)
        await client.conversations_replies(channel=here, ts=message.ts, include_all_metadata=True)
        await client.users_conversations(types="public_channel,private_channel,im,mpim")
        await client.users_info(user=place.ann.id)
        await client.auth_test()
        await client.chat_getPermalink(channel=here, message_ts=posted["ts"])
        await client.chat_postEphemeral(channel=here, user=place.ann.id, text="x")
        await client.usergroups_users_list(usergroup=server.add_group(place.team, []).id)
        for file in files:
            await client.files_info(file=file.id)
        uploaded = await client.files_upload_v2(
            filename="t.md", content="x", channel=here, thread_ts=message.ts
        )
        await client.files_delete(file=uploaded["file"]["id"])
        (placed, *_) = [m for m in server.messages(place.channel, message.ts) if m.ts == posted["ts"]]
        await server.press(placed, "erni.stop", place.ann)
        await server.until(lambda: server.views)
        await server.submit_view(server.views[0])
        await server.shortcut(message, place.bob, "erni.transcribe")
        await server.slash(place.channel, place.bob, "help")
        await client.views_publish(user_id=place.ann.id, view={"type": "home", "blocks": [_actions(BUTTON)]})
        await server.open_home(place.team, place.ann)
        await client.chat_update(channel=here, ts=posted["ts"], text="x")
        await client.chat_delete(channel=here, ts=posted["ts"])
        await server.delete_file(files[0])
        await server.invite(place.channel, server.add_user(place.team, "eve"), by=place.ann)
        await server.kick(place.channel, place.bob)
        await server.delivered()
    await _exchange(
        place, code=(await _install(place, Installer(user=place.ann.id, team=place.team.id)))["code"]
    )
    await server.uninstall(place.team)
    assert {d.kind for d in server.deliveries} >= {
        *EVENTS,
        "block_actions",
        "view_submission",
        "message_action",
    }
    assert {sample_of(d): _sent(d) for d in server.deliveries if _sent(d)} == {}
    wrong = {call.method: unknown(f"api/{call.method}.json", call.answer) for call in server.calls}
    assert {method: fields for method, fields in wrong.items() if fields} == {}
    assert [call.method for call in server.calls if call.error] == []


async def test_two_hundred_shares_are_delivered_within_seconds(place: Place) -> None:
    bolt = _bolt(place)
    async with connected(place, bolt, count=2):
        for number in range(200):
            await place.share(Item(name=f"{number}.mp3", data=b"x"))
        await place.server.delivered(seconds=30)
    assert len({event["file_id"] for event in bolt.heard if event["type"] == "file_shared"}) == 200
    assert json.dumps(bolt.heard)
