"""Doors with the real store and intake, for what is kept of their shares; the test is the worker."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from prometheus_client import CollectorRegistry

from core.intake import Intake
from core.jobs import Queue
from core.ledger import Claim
from core.model import Transcript
from core.ports import Adapter
from core.settings import Settings, load_settings
from core.state import State, open_state
from core.store import life_seconds, pack
from core.telemetry import Metrics


class Vendor(Protocol):
    async def delivered(self) -> None: ...


class Desk(Protocol):
    @property
    def server(self) -> Vendor: ...
    @property
    def adapter(self) -> Adapter: ...


D = TypeVar("D", bound=Desk)


@asynccontextmanager
async def real(home: Path) -> AsyncIterator[tuple[State, Intake]]:
    """A store, and the intake over it."""
    settings = load_settings(Settings, _env_file=None, data_dir=home / "data")
    async with (
        open_state(settings, own=True) as state,
        Queue(state.url, state.ledger, redelivery_seconds=5, drain_seconds=0.2, worker="w") as queue,
    ):
        yield state, Intake(state.ledger, queue, state.store, settings, Metrics(CollectorRegistry()))


@dataclass(kw_only=True)
class Kept(Generic[D]):
    """A desk whose door has the real store; its letters are in the space `letters`."""

    at: D
    state: State
    letters: str

    async def work(self, transcript: Transcript) -> str:
        """Bring `transcript` to the job that waits; the key under which it is kept."""
        [job] = await self.state.ledger.open_jobs()
        result = f"result of {job}"
        claim = await self.state.ledger.begin(job, 1, max_crashes=9, poison_message="")
        assert isinstance(claim, Claim)
        blob, life = self.state.vault.seal(pack(transcript)), life_seconds(transcript)
        await self.state.ledger.commit(claim, result, blob, life_seconds=life, budget_bytes=10**7)
        claim = await self.state.ledger.begin(job, 2, max_crashes=9, poison_message="")
        assert isinstance(claim, Claim)
        await self.state.ledger.settle(claim, await self.at.adapter.deliver(transcript, claim.job))
        return result

    async def kept(self, *results: str) -> set[str]:
        return await self.state.store.kept_results(results)

    async def settled(self) -> None:
        """Until everything that the vendor told is dealt with."""
        await self.at.server.delivered()
        deadline = time.monotonic() + 15
        while await self.state.store.memories(self.letters):
            assert time.monotonic() < deadline
