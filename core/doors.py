"""Reaching a recording's front door, wherever it is open.

A worker on another machine knows Redis and nothing else. The bytes of a recording whose door is open
elsewhere come to it through Redis, a few pieces at a time, from the machine that has the credentials or disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import uuid
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.errors import AuthFailed, ErniError, Rejected, Transient
from core.ledger import PREFIX, Ledger
from core.model import Recording
from core.ports import Adapter
from core.tasks import end
from core.vault import Vault

logger = logging.getLogger(__name__)

_PIECE = 1 << 20  # bytes
_PIECES_AHEAD = 8  # what one transfer may hold in Redis
_PRESENCE_SECONDS = 15
_PATIENCE_SECONDS = 60  # without a piece, the other side is gone


class DoorAway(Transient):
    """The door is open on no machine now: the job waits, and the attempt does not count."""


class Doors:
    """The adapters of this process, and the way to those of others.

    `work` is a directory for files in transit.
    """

    def __init__(
        self, redis: Redis, ledger: Ledger, vault: Vault, adapters: Mapping[str, Adapter], work: Path
    ) -> None:
        self._redis = redis
        self._ledger = ledger
        self._vault = vault
        self._work = work
        self.adapters = adapters

    async def fetch(self, recording: Recording, job_id: str, into: Path) -> None:
        """The recording's bytes into the file `into`. Raises as `Adapter.fetch`, and DoorAway."""
        if adapter := self.adapters.get(recording.door):
            await adapter.fetch(recording, into)
            return
        if not await self._redis.exists(f"{PREFIX}:door:{recording.door}"):
            raise DoorAway("The place of this recording is not connected now.", retry_after=10)
        transfer = f"{PREFIX}:transfer:{uuid.uuid4().hex}"
        request = json.dumps({"job": job_id, "transfer": transfer})
        await self._redis.rpush(f"{PREFIX}:fetch:{recording.door}", request)
        try:
            with into.open("wb") as file:
                while (piece := await self._piece(transfer)) != b"":
                    file.write(piece or b"")
        finally:
            await self._redis.delete(transfer)

    async def _piece(self, transfer: str) -> bytes | None:
        """The next bytes; None while the other side is still getting them itself, empty at the end."""
        found = cast(
            "tuple[bytes, bytes] | None", await self._redis.blpop([transfer], timeout=_PATIENCE_SECONDS)
        )
        if found is None:
            raise Transient("The machine that has the recording stopped sending.")
        kind, body = found[1][:1], self._vault.open(found[1][1:])
        match kind:
            case b"D":
                return body
            case b"K":
                return None
            case b"R":
                raise Rejected(body.decode())
            case b"A":
                raise AuthFailed(body.decode())
            case b"T":
                raise Transient(body.decode())
        return b""

    def services(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What answers the fetches of workers elsewhere, for every door of this process, until cancelled."""
        return {f"presence {door}": self._present(door) for door in self.adapters} | {
            f"transfers {door}": self._answer(door) for door in self.adapters
        }

    async def _present(self, door: str) -> None:
        while True:
            with contextlib.suppress(RedisError, OSError):
                await self._redis.set(f"{PREFIX}:door:{door}", 1, ex=_PRESENCE_SECONDS)
            await asyncio.sleep(_PRESENCE_SECONDS / 3)

    async def _answer(self, door: str) -> None:
        transfers: set[asyncio.Task[None]] = set()
        try:
            while True:
                try:
                    found = cast(
                        "tuple[bytes, bytes] | None",
                        await self._redis.blpop([f"{PREFIX}:fetch:{door}"], timeout=5),
                    )
                except (RedisError, OSError):
                    await asyncio.sleep(1)
                    continue
                if found is not None:
                    transfer = asyncio.create_task(self._send(self.adapters[door], json.loads(found[1])))
                    transfers.add(transfer)
                    transfer.add_done_callback(transfers.discard)
        finally:
            await end(*transfers)

    async def _send(self, adapter: Adapter, request: dict[str, str]) -> None:
        transfer = request["transfer"]
        path = self._work / f"transfer-{transfer.rpartition(':')[2]}"
        try:
            view = await self._ledger.view(request["job"])
            if view is None:
                return
            try:
                await self._fetched(adapter, view.job.recording, path, transfer)
                with path.open("rb") as file:
                    while piece := file.read(_PIECE):
                        await self._push(transfer, b"D", piece)
                await self._push(transfer, b"E", b"")
            except ErniError as error:
                await self._push(transfer, _kind_of(error), str(error).encode())
        except (RedisError, OSError, TimeoutError) as error:
            logger.warning("sending a recording to another machine failed: %s", type(error).__name__)
        finally:
            path.unlink(missing_ok=True)

    async def _fetched(self, adapter: Adapter, recording: Recording, path: Path, transfer: str) -> None:
        """Fetch to `path`, telling the waiting side now and then that it goes on."""
        fetching = asyncio.create_task(adapter.fetch(recording, path))
        try:
            while not (await asyncio.wait({fetching}, timeout=_PATIENCE_SECONDS / 4))[0]:
                await self._push(transfer, b"K", b"")
            await fetching
        finally:
            await end(fetching)

    async def _push(self, transfer: str, kind: bytes, body: bytes) -> None:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while await self._redis.llen(transfer) >= _PIECES_AHEAD:  # noqa: ASYNC110  (Redis has no event)
                await asyncio.sleep(0.02)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.rpush(transfer, kind + self._vault.seal(body))
            pipe.pexpire(transfer, int(2000 * _PATIENCE_SECONDS))
            await pipe.execute()


def _kind_of(error: ErniError) -> bytes:
    return b"R" if isinstance(error, Rejected) else b"A" if isinstance(error, AuthFailed) else b"T"
