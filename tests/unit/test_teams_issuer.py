"""The keys that Teams signs with: there before anybody comes, and in nobody's way while they are renewed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bots.teams.connector import Connector
from bots.teams.hosts import Hosts
from bots.teams.issuer import Issuer
from bots.teams.settings import TeamsSettings, registration_of
from bots.teams.trust import Untrusted
from core.errors import Transient
from core.settings import load_settings
from core.tasks import end
from tests.adapters.teams_desk import desk
from tests.vendors import teams
from tests.vendors.faults import Fault
from tests.vendors.teams import TeamsServer
from tests.vendors.teams_model import Conversation, User

HOUR = 3600.0


@dataclass(slots=True, kw_only=True)
class Scene:
    """A Teams, the app's connector to it, and an issuer by itself that takes `now` for the time."""

    server: TeamsServer
    connector: Connector
    issuer: Issuer
    alone: Conversation
    ada: User
    now: list[float] = field(default_factory=lambda: [1000.0])

    @property
    def looks(self) -> int:
        """How often what is published was asked for."""
        return len(self.server.called("metadata"))

    async def come(self, header: str = "") -> str:
        """What an activity says that Teams sent, or somebody who has that header."""
        body = json.dumps(self.server.sample(self.alone, self.ada)).encode()
        header = header or self.server.login.header(self.server.service_url)
        return (await self.connector.receive(body, {"Authorization": header})).text


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    async with teams.serving() as server:
        ada = server.add_user(server.add_tenant())
        settings = load_settings(TeamsSettings, **server.settings)
        registration = registration_of(settings, http_host="127.0.0.1", public_url=None)
        hosts, now = Hosts(local=True), [1000.0]
        async with hosts.client() as client:
            yield Scene(
                server=server,
                connector=Connector(settings, registration, hosts=hosts, client=client),
                issuer=Issuer(client, hosts, server.openid_metadata, clock=lambda: now[0]),
                alone=server.add_personal_chat(ada),
                ada=ada,
                now=now,
            )


async def test_who_is_prepared_asks_for_nothing_when_somebody_comes() -> None:
    async with scene() as at:
        await at.connector.prepare()
        tending = asyncio.create_task(at.connector.tend())
        before = len(at.server.calls)
        assert {call.name for call in at.server.calls} == {"metadata", "keys", "token"}
        assert await at.come() == "help"
        assert await at.come() == "help"
        await at.connector.prepare()
        assert len(at.server.calls) == before
        await end(tending)


async def test_what_is_not_ready_is_said_and_tried_again() -> None:
    async with scene() as at:
        at.server.fail("keys", Fault(status=503))
        with pytest.raises(Transient, match="keys of Teams"):
            await at.connector.prepare()
        await at.connector.prepare()
        assert await at.come() == "help"


async def test_a_login_that_is_silent_does_not_keep_the_service_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bots.teams.adapter._PREPARING_SECONDS", 0.2)
    async with desk(tmp_path) as at:
        at.server.fail("token", "hang")
        async with at.adapter.prepared():
            assert "Teams can't be heard yet: Microsoft is silent." in caplog.messages
            assert len(at.server.called("keys")) == 1
            assert (await at.adapter.check()).usable, "it is tried again"
            assert len(at.server.called("keys")) == 1


async def test_nobody_waits_for_a_look_that_somebody_else_caused() -> None:
    async with scene() as at:
        await at.connector.prepare()
        hold = at.server.hold("keys")
        stranger = at.server.login.forge("unknown key", at.server.service_url)
        looking = asyncio.create_task(at.come(stranger or ""))
        await hold.arrived.wait()
        assert await at.come() == "help"
        assert not looking.done()
        hold.release()
        with pytest.raises(Untrusted):
            await looking


async def test_who_waited_for_a_look_that_failed_does_not_look_again() -> None:
    async with scene() as at:
        hold = at.server.hold("metadata")
        at.server.fail("metadata", Fault(status=503))
        waiting = [asyncio.create_task(at.come()) for _ in range(5)]
        await hold.arrived.wait()
        hold.release()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in found] == [Transient] * 5
        assert at.looks == 1
        assert await at.come() == "help"


async def test_keys_that_can_not_be_renewed_stay_good_for_their_day() -> None:
    async with scene() as at:
        known = await at.issuer.name()
        at.server.fail("metadata", *[Fault(status=503)] * 2)
        at.now[0] += 7 * HOUR
        assert await at.issuer.key("nobody's") is None
        assert at.looks == 2
        at.now[0] += 16 * HOUR
        assert await at.issuer.name() == known
        assert at.looks == 2, "nobody was kept waiting for what is not urgent"
        at.now[0] += 2 * HOUR
        assert await at.issuer.name() == known, "old ones are better than none"
        assert at.looks == 3


async def test_who_comes_while_keys_are_renewed_too_late_shares_the_answer() -> None:
    async with scene() as at:
        await at.issuer.name()
        hold = at.server.hold("keys")
        at.now[0] += 30 * HOUR
        tending = asyncio.create_task(at.issuer.tend())
        await hold.arrived.wait()
        coming = asyncio.create_task(at.issuer.name())
        hold.release()
        await coming
        assert at.looks == 2
        at.now[0] += 20 * HOUR
        await at.issuer.name()
        assert at.looks == 2
        await end(tending)
