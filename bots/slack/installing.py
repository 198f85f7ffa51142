"""The pages by which workspaces and organisations install the app."""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import urlencode

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.oauth.async_callback_options import AsyncCallbackOptions, AsyncFailureArgs, AsyncSuccessArgs
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.web.async_client import AsyncWebClient

from bots.slack.installations import Installations
from bots.slack.settings import INSTALL_PATH, REDIRECT_PATH, SCOPES, authorize_url, web_origin
from bots.slack.states import STATE_SECONDS, States
from bots.slack.tokens import FAILURES, trouble
from core.errors import AuthFailed, Rejected
from core.ports import Store

logger = logging.getLogger(__name__)

_COOKIE: Final = "__Host-erni-slack-state"  # with this prefix browsers insist on Secure, path / and no domain
_TEAM: Final = re.compile(r"[TE][A-Z0-9]{2,20}")


class InstallFlow(AsyncOAuthFlow):
    """Bolt's OAuth flow into our store, with pages that work under our Content-Security-Policy.

    `public_url` is where the service is reached, `api_base_url` where Slack is.
    """

    install_path = INSTALL_PATH
    redirect_path = REDIRECT_PATH

    def __init__(
        self,
        installations: Installations,
        store: Store,
        client: AsyncWebClient,
        *,
        client_id: str,
        client_secret: str,
        public_url: str,
        api_base_url: str,
    ) -> None:
        self._slack = web_origin(api_base_url)
        self._installations = installations
        super().__init__(
            client=client,
            logger=logger,
            settings=AsyncOAuthSettings(
                client_id=client_id,
                client_secret=client_secret,
                scopes=SCOPES,
                user_scopes=(),
                redirect_uri=f"{public_url.rstrip('/')}{self.redirect_path}",
                install_path=self.install_path,
                install_page_rendering_enabled=False,
                redirect_uri_path=self.redirect_path,
                callback_options=AsyncCallbackOptions(success=self._succeeded, failure=self._failed),
                authorization_url=authorize_url(api_base_url),
                installation_store=installations,
                installation_store_bot_only=True,
                state_store=States(store, client_secret),
                state_cookie_name=_COOKIE,
                state_expiration_seconds=STATE_SECONDS,
            ),
        )

    async def build_authorize_url(self, state: str, request: AsyncBoltRequest) -> str:
        asked = {
            "state": state,
            "client_id": self.client_id,
            "scope": ",".join(SCOPES),
            "redirect_uri": self.redirect_uri or "",
        }
        team = request.query.get("team", [""])[0]
        if _TEAM.fullmatch(team):
            asked["team"] = team
        return f"{self.settings.authorization_url}?{urlencode(asked)}"

    async def run_installation(self, code: str) -> Installation:
        """Bolt's logs the code if it fails. Raises Denied, Transient."""
        try:
            answer = await self.client.oauth_v2_access(
                client_id=self.client_id,
                client_secret=self.settings.client_secret,
                code=code,
                redirect_uri=self.redirect_uri,
            )
            token = answer.get("access_token")
            if not isinstance(token, str) or answer.get("token_type") != "bot":
                raise ValueError("no bot token")
            me = await self.client.auth_test(token=token)
            team, enterprise = answer.get("team") or {}, answer.get("enterprise") or {}
            return Installation(
                app_id=answer.get("app_id"),
                enterprise_id=enterprise.get("id"),
                enterprise_name=enterprise.get("name"),
                enterprise_url=me.get("url"),
                team_id=team.get("id"),
                team_name=team.get("name"),
                bot_token=token,
                bot_id=me["bot_id"],
                bot_user_id=me["user_id"],
                bot_scopes=answer.get("scope") or "",
                bot_refresh_token=answer.get("refresh_token"),
                bot_token_expires_in=answer.get("expires_in"),
                user_id=(answer.get("authed_user") or {}).get("id") or "",
                is_enterprise_install=answer.get("is_enterprise_install") is True,
                token_type=answer.get("token_type"),
            )
        except FAILURES as error:
            raise trouble("oauth.v2.access", error) from None

    async def _succeeded(self, args: AsyncSuccessArgs) -> BoltResponse:
        done, app = args.installation, args.installation.app_id or ""
        if done.is_enterprise_install:
            place, address = done.enterprise_name, str(done.enterprise_url or "")
            steps = [
                "An admin of the organisation now chooses the workspaces where people can use it.",
                link(f"{address}manage/organization/apps/profile/{app}/workspaces/add", "Choose workspaces"),
            ]
        else:
            place = done.team_name
            query = urlencode({"app": app, "team": done.team_id or ""})
            steps = [
                "Invite it to a channel (type /invite and its name there), then share a recording in it.",
                link(f"{self._slack}/app_redirect?{query}", "Open it in Slack"),
            ]
        return self.page(200, f"Erni Audio is installed in {html.escape(place or 'Slack')}", *steps)

    async def _failed(self, args: AsyncFailureArgs) -> BoltResponse:
        logger.info("an installation ended: %s", args.reason if args.reason in _REASONS else "another reason")
        return self.failure(_REASONS.get(args.reason, "Slack ended the installation."), 400)

    def failure(self, why: str, status: int) -> BoltResponse:
        """The page that says that nothing was installed."""
        return self.page(status, "Erni Audio was not installed", why, link("install", "Start again"))

    def page(self, status: int, title: str, *paragraphs: str) -> BoltResponse:
        """A page of paragraphs, which are HTML; the state of this browser is over."""
        text = "".join(f"<p>{paragraph}</p>\n" for paragraph in paragraphs if paragraph)
        return BoltResponse(
            status=status,
            body=f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width">\n<title>{title}</title>\n'
            f"<h1>{title}</h1>\n{text}</html>\n",
            headers={
                "Content-Type": "text/html; charset=utf-8",
                "Set-Cookie": self.settings.state_utils.build_set_cookie_for_deletion(),
            },
        )


_REASONS: Final[Mapping[str, str]] = {
    "access_denied": "You did not allow it in Slack.",
    "invalid_browser": "The installation was begun in another browser, or cookies are switched off here.",
    "invalid_state": "The installation took more than ten minutes, or this page was loaded twice. If the app "
    "is in Slack already, there is nothing to do.",
    "missing_code": "This page was not reached from Slack.",
}


def link(address: str, text: str) -> str:
    """A link; nothing if the address is another one than it should be."""
    if not re.match(r"https?://[a-z0-9]|(\.\./)?install$|uninstall\?go=yes$", address):
        return ""
    return f'<a href="{html.escape(address)}">{html.escape(text)}</a>'


def pages(flow: InstallFlow) -> list[web.RouteDef]:
    """`GET /slack/install`, which leads to Slack, and `GET /slack/oauth_redirect`, where Slack leads back."""

    async def install(request: web.Request) -> web.Response:
        return await shown(flow, request, flow.handle_installation)

    async def finish(request: web.Request) -> web.Response:
        return await shown(flow, request, flow.handle_callback)

    return [
        web.get(INSTALL_PATH, install, allow_head=False),
        web.get(REDIRECT_PATH, finish, allow_head=False),
    ]


async def shown(
    flow: InstallFlow,
    request: web.Request,
    handle: Callable[[AsyncBoltRequest], Awaitable[BoltResponse]],
) -> web.Response:
    """What a step of the flow answers to a browser; a page that says so if it fails."""
    asked = AsyncBoltRequest(
        body="", query=request.query_string, headers={"cookie": request.headers.get("Cookie", "")}
    )
    try:
        answer = await handle(asked)
    except AuthFailed as error:
        logger.error("an installation failed: %s", error)  # noqa: TRY400  (foreseen)
        answer = flow.failure("Slack did not accept that.", 400)
    except Rejected as error:
        answer = flow.failure(html.escape(error.user_message), 403)
    except Exception as error:  # noqa: BLE001  (whatever it is, the person at the browser gets a page)
        logger.error("an installation failed with %s", type(error).__name__)  # noqa: TRY400
        answer = flow.failure("Something did not answer just now. Try again in a few minutes.", 503)
    response = await to_aiohttp_response(answer)
    for cookie in response.cookies.values():
        cookie["samesite"] = "Lax"  # Slack's page leads back here, which Strict would not count as ours
    return response
