"""The workspaces that the app is installed in, each with a token that is valid now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from bots.slack.client import Workspace
from bots.slack.hosts import Hosts
from bots.slack.tokens import Installed, NotInstalled, TokenSource

_MOST = 1000  # clients that are kept; the oldest make room


class Workspaces:
    """Clients by team, over one session."""

    def __init__(self, source: TokenSource, hosts: Hosts) -> None:
        self.source = source
        self._hosts = hosts
        self._session: aiohttp.ClientSession | None = None
        self._known: dict[str, Workspace] = {}
        self._users = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Connections are kept until the last one who is in here leaves: results are still brought when the
        door has been closed."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if not self._users and self._session is not None:
                session, self._session = self._session, None
                self._known.clear()
                await session.close()

    async def slack(self, team: str, enterprise: str | None) -> Workspace:
        """The client of a workspace. Raises AuthFailed if the app is not installed there (any more)."""
        token = await self.source.token(team, enterprise)
        found = self._known.pop(team, None)
        if found is None:
            if self._session is None or self._session.closed:
                self._session = self._hosts.session()
            app = await self.app(team, enterprise)
            found = Workspace(
                token,
                hosts=self._hosts,
                session=self._session,
                team=team if app.wide and team != app.enterprise else None,
                bot_user=app.bot_user,
            )
        else:
            found.renew(token)
        self._known[team] = found
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
        return found

    async def app(self, team: str, enterprise: str | None) -> Installed:
        """Who the app is in a workspace. Raises NotInstalled."""
        found = await self.source.find(team, enterprise)
        if found is None:
            raise NotInstalled("The app is not installed in this Slack workspace (any more).")
        return found

    async def owner(self, team: str, enterprise: str | None) -> str:
        """Whose installation serves a workspace: its own, or its organisation's. Raises NotInstalled."""
        return (await self.app(team, enterprise)).key
