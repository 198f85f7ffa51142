"""Bolt, which tells us what Slack sends, and the connection by which that comes if nobody can call us."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bots.slack.records import Json, mapping
from bots.slack.settings import SlackSettings
from bots.slack.tokens import FAILURES, TokenSource, trouble
from core.errors import AuthFailed, ErniError, Transient
from core.tasks import end

logger = logging.getLogger(__name__)

_OFFLINE_SECONDS = 60.0  # after which a connection that is lost is not waited for any more


async def connect(app: AsyncApp, settings: SlackSettings) -> None:
    """Socket Mode. The SDK reconnects by itself, but goes on for ever with an address that has expired:
    then it is begun anew."""
    token = settings.app_token.get_secret_value() if settings.app_token else ""
    handler = AsyncSocketModeHandler(app, token, web_client=app.client)
    client = handler.client
    try:
        client.wss_uri = await client.issue_new_wss_url()
        connecting = asyncio.create_task(client.connect(), name="slack connect")  # type: ignore[no-untyped-call]  # the SDK's
        last = time.monotonic()
        try:
            while time.monotonic() - last < _OFFLINE_SECONDS:
                if await client.is_connected():
                    last = time.monotonic()
                await asyncio.sleep(1)
        finally:
            await end(connecting)
        raise Transient("There is no connection to Slack.")
    except FAILURES as error:
        raise _refusal(error) from None
    finally:
        await client.close()  # type: ignore[no-untyped-call]  # the SDK's


async def try_to_connect(settings: SlackSettings) -> None:
    """Ask for a connection's address, which opens none. Raises AuthFailed if Slack refuses; that it may be
    asked only about once a minute is no refusal."""
    token = settings.app_token.get_secret_value() if settings.app_token else ""
    try:
        client = AsyncWebClient(base_url=settings.api_base_url, timeout=10)
        await client.apps_connections_open(app_token=token)
    except FAILURES as error:
        if isinstance(refusal := _refusal(error), AuthFailed):
            raise refusal from None


def _refusal(error: Exception) -> ErniError:
    failure = trouble("apps.connections.open", error)
    if not isinstance(failure, AuthFailed):
        return failure
    return AuthFailed(
        "Slack does not accept SLACK_APP_TOKEN for Socket Mode. Make an app-level token with the "
        "scope connections:write on the app's page Basic Information, and switch Socket Mode on."
    )


def bolt_app(settings: SlackSettings, source: TokenSource) -> AsyncApp:
    """Bolt's dispatcher: which of our listeners a request is for."""
    secret = settings.signing_secret
    with _unread("SLACK_BOT_TOKEN", "SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET"):
        return _App(
            signing_secret=secret.get_secret_value() if secret is not None else "",
            authorize=source.authorize,
            client=AsyncWebClient(base_url=settings.api_base_url, timeout=10),
            request_verification_enabled=False,  # by bots.slack.pages, before bolt sees a request
            process_before_response=True,  # what is acknowledged has been written down
            logger=_bolt_logger(),
            user_facing_authorize_error_message=(
                "This app is not installed here any more. An admin of the workspace can install it again."
            ),
        )


class _App(AsyncApp):
    """Bolt with what it does not know: `app_rate_limited` is no event among others."""

    async def async_dispatch(self, req: AsyncBoltRequest) -> BoltResponse:
        if req.body.get("type") == "app_rate_limited":
            _note_loss(mapping(req.body))
            return BoltResponse(status=200)
        return await super().async_dispatch(req)


def _note_loss(body: Json) -> None:
    team, minute = str(body.get("team_id", "")), body.get("minute_rate_limited")
    known = isinstance(minute, int) and 0 < minute < 2**33
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(minute)) if known else "now"
    logger.warning(
        "Slack holds back events of workspace %s since %s: there were more than 30,000 in an hour, or too "
        "few were acknowledged in time. Recordings shared meanwhile have no answer unless somebody asks.",
        *(team if re.fullmatch(r"[A-Z0-9]{2,20}", team) else "unknown", when),
    )


@contextmanager
def _unread(*names: str) -> Iterator[None]:
    """Bolt looks into the environment by itself, and would keep installations in files of its own."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _bolt_logger() -> logging.Logger:
    """Bolt's debug lines hold whole requests."""
    quiet = logging.getLogger("bots.slack.bolt")
    quiet.setLevel(logging.WARNING)
    return quiet
