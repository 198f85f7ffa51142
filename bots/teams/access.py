"""The way to Microsoft: one set of connections, open while anybody needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from bots.teams.connector import Connector
from bots.teams.drives import Drives
from bots.teams.graph import Graph
from bots.teams.hosts import Hosts
from bots.teams.incoming import Reference
from bots.teams.records import DriveItem, Place
from bots.teams.settings import Registration, TeamsSettings, graph_scope, is_local
from bots.teams.shares import Share, is_alone
from bots.teams.tokens import AppToken
from bots.teams.troubles import Refused
from bots.teams.upload import Upload
from core.errors import Transient


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    client: httpx.AsyncClient
    connector: Connector
    graph: Graph
    drives: Drives
    upload: Upload
    token: AppToken | None


class Access:
    """Teams and Graph for the app `registration`; None in local development."""

    def __init__(self, settings: TeamsSettings, registration: Registration | None) -> None:
        self._settings = settings
        self.registration = registration
        self._hosts = Hosts(local=is_local(settings))
        self._opened: _Opened | None = None
        self._users = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Connections are kept until the last one who is in here leaves: results are still brought when the
        door has been closed."""
        self._users += 1
        if self._opened is None:
            self._opened = self._connections()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                opened, self._opened = self._opened, None
                await opened.client.aclose()

    def _connections(self) -> _Opened:
        client = self._hosts.client()
        token = None
        if self.registration is not None:
            token = AppToken(
                client, self.registration, login_base_url=self._settings.login_base_url, scope=self._scope
            )
        graph = Graph(self._settings, self.registration, hosts=self._hosts, client=client)
        drives = Drives(graph)
        return _Opened(
            client=client,
            connector=Connector(self._settings, self.registration, hosts=self._hosts, client=client),
            graph=graph,
            drives=drives,
            upload=Upload(drives),
            token=token,
        )

    async def _scope(self) -> str:
        return graph_scope(self._settings)

    async def sign_in(self) -> None:
        """Find out whether Microsoft's login knows the app. Raises Denied, Misconfigured or Transient."""
        if self._now.token is not None:
            await self._now.token.get()

    @property
    def _now(self) -> _Opened:
        if self._opened is None:
            raise Transient("The way to Teams is not open yet.")
        return self._opened

    @property
    def client(self) -> httpx.AsyncClient:
        """For addresses that need no token."""
        return self._now.client

    @property
    def connector(self) -> Connector:
        """Conversations."""
        return self._now.connector

    @property
    def graph(self) -> Graph:
        """Messages and people."""
        return self._now.graph

    @property
    def drives(self) -> Drives:
        """Files."""
        return self._now.drives

    @property
    def upload(self) -> Upload:
        """Putting files somewhere."""
        return self._now.upload

    @property
    def app(self) -> str:
        """The app's id; empty in local development."""
        return "" if self.registration is None else self.registration.app

    async def recording(self, share: Share) -> DriveItem:
        """The file of a share in OneDrive or SharePoint. Raises as `bots.teams.drives.Drives.find`. The app
        finds more than people do: see `bots.teams.rights`."""
        try:
            place = await self.place(share.where, share.team, share.user)
        except Refused:
            place = None  # the address says enough, if the app may open it
        people = dict.fromkeys(filter(None, (share.user, share.claimed)))
        return await self.drives.find(share.url, place=place, people=list(people))

    async def place(self, where: Reference, team: str, user: str) -> Place:
        """A conversation as Graph names it; `user` is somebody in it, by the directory's id."""
        if where.kind == "channel":
            group = await self.connector.group(where, team)
            return Place(team=group, channel=where.conversation)
        if is_alone(where):
            return Place(chat=f"19:{user}_{self.app}@unq.gbl.spaces")
        return Place(chat=where.conversation)
