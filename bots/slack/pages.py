"""What the service's HTTP server answers for Slack: events, and the pages that install the app."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.signature import SignatureVerifier

from bots.slack.installations import Installations
from bots.slack.installing import InstallFlow, pages
from bots.slack.removing import RemoveFlow, removal
from bots.slack.settings import EVENTS_PATH, SlackSettings
from bots.slack.tokens import TokenSource
from core.ports import AdapterContext
from core.webhooks import Forged, check_time, header

logger = logging.getLogger(__name__)

_SHAPELESS: Final = (ValueError, TypeError, AttributeError, LookupError, RecursionError)
"""What reading a body that is not made as Slack makes them fails with."""


def routes(
    app: AsyncApp, context: AdapterContext, settings: SlackSettings, source: TokenSource, *, socket: bool
) -> list[web.RouteDef]:
    """What the service's HTTP server answers for Slack: events unless they come by a `socket`, and the pages
    by which workspaces install the app if there may be many."""
    found: list[web.RouteDef] = []
    if not socket and settings.signing_secret is not None:
        found += events(app, settings.signing_secret.get_secret_value())
    if isinstance(source, Installations) and settings.client_id and settings.client_secret:
        options = {
            "client_id": settings.client_id,
            "client_secret": settings.client_secret.get_secret_value(),
            "public_url": context.settings.public_url or "",
            "api_base_url": settings.api_base_url,
        }
        found += pages(InstallFlow(source, context.store, app.client, **options))
        found += removal(RemoveFlow(source, context.store, app.client, **options))
    return found


def events(app: AsyncApp, signing_secret: str) -> list[web.RouteDef]:
    """`POST /slack/events`, for everything that Slack sends.

    401 for what Slack did not sign, or signed more than five minutes ago; 400 for what can't be read, which
    Slack need not send again. Bolt looks at signatures too, but stumbles over odd ones and logs bodies.
    """
    verifier = SignatureVerifier(signing_secret)

    async def receive(request: web.Request) -> web.Response:
        body = await request.read()
        try:
            text = _signed(verifier, request.headers, body)
        except Forged as error:
            logger.warning("refused a request to %s: %s", EVENTS_PATH, error)
            return web.Response(status=401)
        try:
            bolt_request = _readable(text, request.headers)
        except _SHAPELESS as error:
            logger.warning("can't read a request of Slack (%s)", type(error).__name__)
            return web.Response(status=400, headers={"X-Slack-No-Retry": "1"})
        return await to_aiohttp_response(await app.async_dispatch(bolt_request))

    return [web.post(EVENTS_PATH, receive)]


def _signed(verifier: SignatureVerifier, headers: Mapping[str, str], body: bytes) -> str:
    """The body's text. Raises Forged."""
    stamp = header(headers, "x-slack-request-timestamp")
    check_time(stamp, time.time())
    try:
        text = body.decode()
        given = header(headers, "x-slack-signature").encode()
    except UnicodeError:
        raise Forged("It is no text.") from None
    expected = verifier.generate_signature(timestamp=stamp, body=text) or ""
    if not hmac.compare_digest(expected.encode(), given):
        raise Forged("Its signature is wrong.")
    return text


def _readable(text: str, headers: Mapping[str, str]) -> AsyncBoltRequest:
    """The request for bolt, without headers that Slack does not send. Raises one of `_SHAPELESS`."""
    sent = (
        "content-type",
        "x-slack-request-timestamp",
        "x-slack-signature",
        "x-slack-retry-num",
        "x-slack-retry-reason",
    )
    request = AsyncBoltRequest(body=text, headers={name: headers[name] for name in sent if name in headers})
    body: Any = request.body
    kind = body["command"] if "command" in body else body["type"]
    parts = [body["event"]] if kind == "event_callback" else []
    parts += [body["view"]] if "view" in body else []
    if not isinstance(kind, str) or not all(isinstance(part.get("type"), str) for part in parts):
        raise TypeError("no request of Slack's")
    return request
