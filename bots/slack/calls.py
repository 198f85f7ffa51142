"""Calling Slack's Web API and its response addresses, with errors as ours."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Mapping
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse
from slack_sdk.webhook.async_client import AsyncWebhookClient
from yarl import URL

from bots.slack.hosts import Hosts
from bots.slack.records import Json, mapping
from bots.slack.retries import CALL_SECONDS, handlers
from bots.slack.troubles import broken, by_status, from_sdk, lost, trouble
from core.errors import Rejected


class Calls:
    """The Web API with one token. `session` comes from `Hosts.session`, and its owner closes it. `team` is
    the workspace's id where the token is that of an organisation."""

    def __init__(
        self, token: str, *, hosts: Hosts, session: aiohttp.ClientSession, team: str | None = None
    ) -> None:
        self.hosts = hosts
        self.session = session
        # The SDK logs what it sends below this level: texts, which are nobody's business.
        self._quiet = logging.getLogger("bots.slack.sdk")
        self._quiet.setLevel(logging.WARNING)
        self.web = AsyncWebClient(
            token=token,
            base_url=str(hosts.base),
            timeout=int(CALL_SECONDS),
            session=session,
            team_id=team,
            retry_handlers=handlers(),
            logger=self._quiet,
        )
        self.web.proxy = hosts.proxy(hosts.base)  # the SDK's own choice ignores NO_PROXY

    @property
    def token(self) -> str:
        """The token in use."""
        return self.web.token or ""

    def renew(self, token: str) -> None:
        """Go on with another token of the same workspace."""
        self.web.token = token

    async def ask(self, method: str, call: Awaitable[AsyncSlackResponse]) -> Json:
        """The answer to `call`, which is one of `web`'s of the Web API method `method`."""
        return mapping((await self.answer(method, call)).data)

    async def answer(self, method: str, call: Awaitable[AsyncSlackResponse]) -> AsyncSlackResponse:
        """The same with its headers."""
        try:
            return await call
        except SlackApiError as error:
            raise from_sdk(method, error) from None
        except (aiohttp.ClientError, OSError) as error:
            raise broken(method, error) from None
        except (AttributeError, ValueError) as error:
            # How the SDK fails on JSON that is no object, and on text that is none.
            raise lost(method, type(error).__name__) from None

    async def form(self, method: str, fields: Mapping[str, str]) -> Json:
        """The answer of `method` to a form, for what the SDK would put into the address."""
        return await self.ask(method, self.web.api_call(method, data=dict(fields)))

    async def respond(self, response_url: str, text: str, **more: Any) -> None:
        """Answer a command or a button by the address that came with it; `more` are further fields of the
        message, such as `blocks`, `response_type`, `replace_original`, `delete_original`, `thread_ts`.

        Raises Rejected if the address is not Slack's, TooLate if it has expired.
        """
        try:
            url = URL(response_url)
        except ValueError:
            url = URL()
        if not self.hosts.takes_token(url):
            raise Rejected("This did not come from Slack, so it is not answered.")
        hook = AsyncWebhookClient(
            str(url),
            timeout=int(CALL_SECONDS),
            session=self.session,
            retry_handlers=handlers(),
            logger=self._quiet,
        )
        hook.proxy = self.hosts.proxy(url)
        try:
            response = await hook.send_dict({"text": text, **more})
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise broken("response_url", error) from None
        said = response.body.strip()
        if response.status_code == 200 and not said.startswith("<"):
            return
        if re.fullmatch(r"[a-z_]{2,80}", said):
            raise trouble("response_url", said)
        raise by_status("response_url", response.status_code, response.headers)
