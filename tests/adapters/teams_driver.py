"""A chat with the app, and a channel, of a Microsoft 365 on this machine, for the suite that every adapter
passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import patch

from aiohttp import web

from tests.adapters.teams_desk import Desk, desk
from tests.vendors import faults
from tests.vendors.teams import File, titles
from tests.vendors.teams_model import CONSENT, Conversation, Message


class TeamsBench:
    """See `tests.contracts.test_adapter_contract.Bench`. What people see are the cards there."""

    def __init__(self, at: Desk, where: Conversation) -> None:
        self._at = at
        self._where = where
        self._shared: dict[str, Message] = {}
        self.adapter = at.adapter

    def restart(self) -> None:
        self.adapter = self._at.open()

    async def share(self, name: str, data: bytes) -> None:
        file = File(name=name, data=data)
        self._shared[name] = await self._at.server.post(self._where, self._at.anna, files=[file])
        await self._at.server.delivered()

    async def withdraw(self, name: str) -> None:
        [item] = self._shared[name].files.values()
        item.deleted = True

    async def outputs(self) -> list[str]:
        """What each answer shows that is a transcript; of its files, each that is there once too often."""
        found = [one.shown for one in self._said() if one.has_card and "Get as…" in titles(one.card)]
        offered = [one.attachments[0]["name"] for one in self._said() if _asks(one)]
        beside = [path for path in self._at.server.items(self._at.team) if ".transcript (" in path]
        return [*found, *(Counter(offered) - Counter(set(offered))).elements(), *beside]

    async def failures(self) -> list[str]:
        return [one.shown for one in self._said() if "Could not transcribe" in one.shown]

    def _said(self) -> list[Message]:
        everything = self._where.messages.values()
        return [message for message in everything if message.sender is None and not message.deleted]


def _asks(message: Message) -> bool:
    return any(attachment["contentType"] == CONSENT for attachment in message.attachments)


@asynccontextmanager
async def _serving(at: Desk, where: Conversation) -> AsyncIterator[TeamsBench]:
    bench = TeamsBench(at, where)

    async def receive(request: web.Request) -> web.StreamResponse:
        [route] = bench.adapter.routes()
        assert isinstance(route, web.RouteDef)
        answer: web.StreamResponse = await route.handler(request)
        return answer

    app = web.Application()
    app.router.add_post("/teams/messages", receive)
    # The suite delivers once, without a worker that would try again; and this Graph shows everything at once.
    with patch("bots.teams.answers.LAG_SECONDS", 0.0):
        async with faults.serving(app) as origin:
            at.server.delivery.endpoint = f"{origin}/teams/messages"
            yield bench


@asynccontextmanager
async def teams_alone_bench(tmp_path: Path) -> AsyncIterator[TeamsBench]:
    """Somebody's chat with the app."""
    async with desk(tmp_path) as at, _serving(at, at.alone) as bench:
        yield bench


@asynccontextmanager
async def teams_channel_bench(tmp_path: Path) -> AsyncIterator[TeamsBench]:
    """A channel in which everything is transcribed."""
    async with desk(tmp_path, TEAMS_TRANSCRIBE="all") as at, _serving(at, at.channel) as bench:
        yield bench
