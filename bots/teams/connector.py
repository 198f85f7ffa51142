"""Speaking with Teams through the Bot Connector: the only module that knows Microsoft's Bot Framework SDK.

The SDK is archived, so its successor can take its place here. It carries what the app says. Its HTTP and its
tokens are not used: they block the event loop, insist on encrypted hosts that Microsoft knows (MSAL) and hide
Retry-After. Nor is its check of what comes in: it blocks too, fails with 500 on odd tokens, takes keys that
vouch for no channel, and tokens of the emulator that say nothing about the address to answer to.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, cast
from urllib.parse import quote

import httpx
from botbuilder.core import TurnContext
from botbuilder.integration.aiohttp import CloudAdapter
from botbuilder.schema import Activity, ChannelAccount, ConversationAccount, ConversationReference
from botframework.connector import BotFrameworkConnectorConfiguration
from botframework.connector.aio import ConnectorClient
from botframework.connector.auth import (
    AuthenticateRequestResult,
    BotFrameworkAuthentication,
    ClaimsIdentity,
    ConnectorFactory,
    MicrosoftAppCredentials,
    UserTokenClient,
)
from msrest.pipeline import Request, Response
from msrest.pipeline.async_abc import AsyncHTTPSender, AsyncPipeline
from msrest.pipeline.universal import RawDeserializer
from msrest.universal_http import HTTPClientResponse

from bots.teams.calls import Answer, Calls
from bots.teams.hosts import Forbidden, Hosts, parsed
from bots.teams.incoming import Incoming, Reference
from bots.teams.issuer import Issuer
from bots.teams.records import Json, Person, objects, text
from bots.teams.settings import Registration, TeamsSettings
from bots.teams.tokens import AppToken
from bots.teams.troubles import Unsure, from_connector
from bots.teams.trust import CHANNEL, Neighbourhood, Trust
from core.addresses import is_loopback

_PAGE: Final = 500
_MOST_PAGES: Final = 200
_SENT: Final = ("Content-Type", "User-Agent")
_DOING: Final[Mapping[str, str]] = {"POST": "send", "PUT": "update", "DELETE": "delete"}


class Connector:
    """Teams as the app `registration` sees it; without one, whoever develops on this machine.

    `client` comes from `hosts.client()`; its owner closes it. Methods raise what `bots.teams.troubles`
    describes: Transient, Denied, Refused (Gone, Removed) or Unshowable; Unsure where a message may have been
    posted.
    """

    def __init__(
        self,
        settings: TeamsSettings,
        registration: Registration | None,
        *,
        hosts: Hosts,
        client: httpx.AsyncClient,
    ) -> None:
        self._hosts = hosts
        self._registration = registration
        self._groups: dict[str, str] = {}
        self._issuer: Issuer | None = None
        self._trust: Trust | Neighbourhood = Neighbourhood()
        token: AppToken | None = None
        if registration is not None:
            self._issuer = Issuer(client, hosts, settings.openid_metadata)
            self._trust = Trust(self._issuer, registration)
            token = AppToken(
                client, registration, login_base_url=settings.login_base_url, scope=self._issuer.name
            )
        self._token = token
        self._calls = Calls(client, who="Teams", token=token)
        self._adapter = CloudAdapter(_Outgoing(self._calls))

    async def prepare(self) -> None:
        """Get what the first request would have to wait for: the keys that requests are checked with, and the
        app's token. Raises Transient, Denied or Misconfigured."""
        if self._issuer is not None and self._token is not None:
            await self._issuer.name()
            await self._token.get()

    async def tend(self) -> None:
        """Keep ready what checking a request needs, until cancelled."""
        if self._issuer is not None:
            await self._issuer.tend()

    async def receive(self, body: bytes, headers: Mapping[str, str]) -> Incoming:
        """The activity of a request. Raises Untrusted with the status to answer with if Teams did not send it
        to this app, Transient if that can't be found out now."""
        return await self._trust.admit(body, headers)

    # what the app says

    async def send(self, where: Reference, activity: Json) -> str:
        """Say something; the id of the message, empty for what leaves none, such as "typing".

        Raises Unsure if it may be there.
        """
        sent: list[str] = []

        async def say(turn: TurnContext) -> None:
            # Else the SDK answers the activity that it made up for this turn, which Teams does not know.
            turn.activity.id = None
            answer = await turn.send_activity(_activity(activity))
            sent.append(str(answer.id or "") if answer is not None else "")

        await self._continue(where, say)
        if not sent[0] and activity.get("type", "message") == "message":
            raise Unsure("It is not known whether Teams did send: an answer without an id.")
        return sent[0]

    async def update(self, where: Reference, message: str, activity: Json) -> None:
        """Put something else in the place of a message of the app."""
        changed = _activity(activity)

        async def say(turn: TurnContext) -> None:
            changed.id = message
            await turn.update_activity(changed)

        await self._continue(where, say)

    async def delete(self, where: Reference, message: str) -> None:
        """Delete a message of the app. Raises Gone if there is none."""

        async def say(turn: TurnContext) -> None:
            await turn.delete_activity(message)

        await self._continue(where, say)

    async def _continue(self, where: Reference, say: Callable[[TurnContext], Awaitable[None]]) -> None:
        self._base(where)
        reference = ConversationReference(
            channel_id=CHANNEL,
            service_url=where.service_url,
            bot=ChannelAccount(id=where.bot),
            conversation=ConversationAccount(
                id=where.id,
                conversation_type=where.kind,
                is_group=where.kind != "personal",
                tenant_id=where.tenant or None,
            ),
        )
        await self._adapter.continue_conversation(reference, say, where.bot)

    # people and teams

    async def member(self, where: Reference, person: str) -> Person:
        """Somebody in a conversation, by either of their ids. Raises Gone if they are not in it."""
        found = await self._get(
            where, f"v3/conversations/{_quoted(where.conversation)}/members/{_quoted(person)}"
        )
        return Person.from_payload(found)

    async def members(self, where: Reference) -> AsyncIterator[Person]:
        """Everybody in a conversation."""
        path, token = f"v3/conversations/{_quoted(where.conversation)}/pagedmembers?pageSize={_PAGE}", ""
        for _ in range(_MOST_PAGES):
            page = await self._get(where, path + (f"&continuationToken={_quoted(token)}" if token else ""))
            for each in objects(page.get("members")):
                yield Person.from_payload(each)
            if not (token := text(page, "continuationToken")):
                return

    async def group(self, where: Reference, thread: str) -> str:
        """The directory's id of the team that activities call `thread`. Raises Gone if there is none."""
        if thread not in self._groups:
            found = await self._get(where, f"v3/teams/{_quoted(thread)}")
            self._groups[thread] = text(found, "aadGroupId")
        return self._groups[thread]

    async def _get(self, where: Reference, path: str) -> Json:
        url = self._base(where).join(path)
        return (await self._calls.ask("GET", url, doing="read", trouble=partial(from_connector, "read"))).data

    def _base(self, where: Reference) -> httpx.URL:
        """The address of Teams for a conversation, with a slash at its end. Raises Forbidden."""
        url = parsed(where.service_url.rstrip("/") + "/")
        self._hosts.check(url)
        if self._registration is None and not is_loopback(url.host):
            raise Forbidden(f"In local development nothing is sent to {url.host}.")
        if set("{}?#") & set(where.service_url):  # the SDK would read them as something else
            raise Forbidden("Teams named something that is no address.")
        return url


def _activity(payload: Json) -> Activity:
    model: Any = Activity  # its annotations don't cover this
    found: Activity = model.deserialize(dict(payload))
    return found


def _quoted(part: str) -> str:
    return quote(part, safe="")


# --- the SDK's places for somebody else's HTTP and credentials ---


class _Outgoing(BotFrameworkAuthentication):
    """Lets the SDK speak through `calls`. What comes in is `Connector.receive`'s to check."""

    def __init__(self, calls: Calls) -> None:
        self._factory = _Factory(calls)

    async def authenticate_request(
        self,
        activity: Activity,  # noqa: ARG002  (the SDK's signature)
        auth_header: str,  # noqa: ARG002
    ) -> AuthenticateRequestResult:
        raise PermissionError("Requests are checked elsewhere.")

    async def authenticate_streaming_request(
        self,
        auth_header: str,  # noqa: ARG002
        channel_id_header: str,  # noqa: ARG002
    ) -> AuthenticateRequestResult:
        raise PermissionError("Streaming is not served.")

    def create_connector_factory(
        self,
        claims_identity: ClaimsIdentity,  # noqa: ARG002
    ) -> ConnectorFactory:
        return self._factory

    async def create_user_token_client(
        self,
        claims_identity: ClaimsIdentity,  # noqa: ARG002
    ) -> UserTokenClient:
        return cast("UserTokenClient", None)  # the SDK only keeps it, for bots that sign people in


class _Factory(ConnectorFactory):
    def __init__(self, calls: Calls) -> None:
        self._sender = _Sender(calls)
        self._clients: dict[
            str, ConnectorClient
        ] = {}  # making one takes milliseconds; Teams has few addresses

    async def create(
        self,
        service_url: str,
        audience: str,  # noqa: ARG002
    ) -> ConnectorClient:
        if service_url not in self._clients:
            configuration = BotFrameworkConnectorConfiguration(
                MicrosoftAppCredentials("", ""), service_url, pipeline_type=_Pipeline, sender=self._sender
            )
            self._clients[service_url] = ConnectorClient(None, custom_configuration=configuration)
        return self._clients[service_url]


class _Pipeline(AsyncPipeline[Any, Any]):
    def __init__(self, configuration: BotFrameworkConnectorConfiguration) -> None:
        super().__init__([configuration.user_agent_policy, RawDeserializer()], configuration.sender)


class _Sender(AsyncHTTPSender[Any, Any]):
    """Sends what the SDK made, with errors as ours."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def __aexit__(self, *_details: object) -> None:
        """The client is closed by its owner."""

    async def send(self, request: Request[Any], **_config: Any) -> Response[Any, Any]:
        made = request.http_request
        doing = _DOING.get(made.method, made.method.lower())
        answer = await self._calls.ask(
            made.method,
            parsed(made.url),
            doing=doing,
            trouble=partial(from_connector, doing),
            content=None if made.data is None else made.data.encode(),
            headers={name: made.headers[name] for name in _SENT if name in made.headers},
            once=made.method == "POST",
        )
        return Response(request, _Received(made, answer))


class _Received(HTTPClientResponse):
    """An answer as the SDK reads it."""

    def __init__(self, request: Any, answer: Answer) -> None:
        super().__init__(request, answer)
        self.status_code = 200
        self.headers = {"content-type": "application/json"}
        self._body = json.dumps(answer.data).encode()

    def body(self) -> bytes:
        return self._body
