"""The pages by which the app is removed from a workspace or organisation, with all that is known of it."""

from __future__ import annotations

import html
import logging
from typing import Final

from aiohttp import web
from slack_bolt.oauth.async_callback_options import AsyncSuccessArgs
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.oauth.installation_store import Installation

from bots.slack.installing import InstallFlow, link, shown
from bots.slack.settings import REDIRECT_PATH, UNINSTALL_PATH
from bots.slack.tokens import FAILURES, is_dead, trouble
from core.errors import Rejected

logger = logging.getLogger(__name__)

_GO: Final = "uninstall?go=yes"
_BY_HAND: Final = (
    "An admin can remove it in Slack: Tools &amp; settings, Manage apps, Erni Audio, Remove App. Everything "
    "that the service keeps of the workspace is deleted then too."
)


class RemoveFlow(InstallFlow):
    """Who allows the app once more has shown to be somebody of that workspace, and which one it is. It is
    removed if they installed it or are an admin there; else the installation stays as it was.

    Its address to come back to lies below the one for installing, which is all that Slack asks for.
    """

    install_path = UNINSTALL_PATH
    redirect_path = f"{REDIRECT_PATH}/uninstall"

    async def store_installation(self, request: AsyncBoltRequest, installation: Installation) -> None:  # noqa: ARG002  (bolt's)
        """Raises Rejected unless this person may remove the app, and what asking Slack raises."""
        team, enterprise, wide = _place(installation)
        known = await self._installations.find(team, enterprise, wide=wide)
        if known is None:
            await self._installations.async_save(installation)
            return
        await self._installations.async_save_bot(installation.to_bot())  # Slack may have renewed the token
        if known.installer != installation.user_id and not await self._installations.rules(installation):
            raise Rejected("Erni Audio can be removed by who installed it and by admins.")

    async def _succeeded(self, args: AsyncSuccessArgs) -> BoltResponse:
        done = args.installation
        team, enterprise, wide = _place(done)
        try:
            await self.client.apps_uninstall(
                client_id=self.client_id, client_secret=self.settings.client_secret, token=done.bot_token
            )
        except FAILURES as error:
            failure = trouble("apps.uninstall", error)
            if not is_dead(failure):
                raise failure from None
        await self._installations.async_delete_bot(enterprise_id=enterprise, team_id=team)
        name = (done.enterprise_name if wide else done.team_name) or "Slack"
        return self.page(
            200,
            f"Erni Audio was removed from {html.escape(name)}",
            "What the service kept of it is deleted. Transcripts that were posted in Slack stay there.",
            link("../install", "Install it again"),
        )

    def failure(self, why: str, status: int) -> BoltResponse:
        """The page that says that nothing was removed."""
        return self.page(status, "Erni Audio was not removed", why, _BY_HAND)

    def question(self) -> BoltResponse:
        """The first page, from which people go on if they mean it."""
        return self.page(
            200,
            "Remove Erni Audio from Slack",
            "It stops transcribing in the workspace that you choose, and what this service keeps of it is "
            "deleted: tokens, settings, transcripts. Transcripts that were posted in Slack stay there.",
            "Slack asks you to allow the app once more, which shows who you are. It can be removed by who "
            "installed it and by admins.",
            link(_GO, "Go on"),
        )


def _place(done: Installation) -> tuple[str | None, str | None, bool]:
    """Workspace, enterprise, and whether all of the enterprise is meant."""
    wide = done.is_enterprise_install is True
    return (None if wide else done.team_id), done.enterprise_id, wide


def removal(flow: RemoveFlow) -> list[web.RouteDef]:
    """`GET /slack/uninstall`, and where Slack leads back to from there."""

    async def begin(request: web.Request) -> web.Response:
        # Another site could send an admin to Slack's page, where it looks like an installation.
        if request.query.get("go") == "yes" and request.headers.get("Sec-Fetch-Site") == "same-origin":
            return await shown(flow, request, flow.handle_installation)

        async def ask(_request: object) -> BoltResponse:
            return flow.question()

        return await shown(flow, request, ask)

    async def finish(request: web.Request) -> web.Response:
        return await shown(flow, request, flow.handle_callback)

    return [
        web.get(UNINSTALL_PATH, begin, allow_head=False),
        web.get(RemoveFlow.redirect_path, finish, allow_head=False),
    ]
