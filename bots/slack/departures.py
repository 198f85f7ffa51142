"""Workspaces that took the app out while nobody was there to be told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bots.slack.letters import Left, dump
from bots.slack.troubles import Revoked
from core.mailbox import Mailbox


class Departures:
    """Notices by Slack's refusals what its event of a departure would have said."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    @asynccontextmanager
    async def noticed(self, team: str, enterprise: str | None) -> AsyncIterator[None]:
        """Around what is asked of Slack in a workspace: if the app is gone there, that is acted on as if the
        event had come. By a letter: acting on it ends the workspace's jobs, and so whoever works on one."""
        try:
            yield
        except Revoked:
            await self._mailbox.post(f"revoked:{team}", dump(Left(team=team, enterprise=enterprise)))
            raise
