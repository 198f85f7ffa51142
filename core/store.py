"""What outlives a process, besides jobs, in Redis: transcripts, what adapters remember, the audit log."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, cast

from pydantic import TypeAdapter
from redis.asyncio import Redis

from core.errors import Misconfigured
from core.ledger import PREFIX, Ledger
from core.model import Delivery, Transcript
from core.vault import Vault

_transcript = TypeAdapter(Transcript)
_AUDIT_ENTRIES = 1_000_000  # about 200 MB; the oldest go first
_DAY = 86400.0
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
_RENEW = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""


def pack(transcript: Transcript) -> bytes:
    """The bytes of a transcript, losslessly."""
    return _transcript.dump_json(transcript)


def unpack(data: bytes) -> Transcript:
    """The reverse of `pack`. Raises ValueError."""
    return _transcript.validate_json(data)


def life_seconds(transcript: Transcript, *retentions: float | None) -> float:
    """How long a result stays in the cache: longer the more it cost, never longer than a retention (days).

    Three months, in which people name speakers and want other formats, and a day more for each minute of
    audio, at most a year; an hour for one with gaps, which another try may fill.
    """
    if any(said.gap for said in transcript.utterances):
        return 3600.0
    life = min(365.0, 90.0 + transcript.seconds / 60) * _DAY
    return min([life, *(days * _DAY for days in retentions if days is not None)])


class RedisStore:
    """The `Store` port on Redis or Valkey. `redis` answers bytes (no decoding)."""

    def __init__(self, redis: Redis, vault: Vault, ledger: Ledger) -> None:
        self._redis = redis
        self._vault = vault
        self._ledger = ledger
        folder = files("core") / "lua"
        script = (folder / "prelude.lua").read_text() + (folder / "drop.lua").read_text()
        self._drop = redis.register_script(script)
        self._release = redis.register_script(_RELEASE)
        self._renew = redis.register_script(_RENEW)

    async def check_key(self) -> None:
        """Refuse to mix keys: every process on this store must encrypt alike. Raises Misconfigured."""
        place = f"{PREFIX}:vault"
        await self._redis.set(place, self._vault.fingerprint, nx=True)
        await self.require_key()
        # Turned on later: what was stored before stays readable, what comes is encrypted.
        await self._redis.set(place, self._vault.fingerprint)

    async def require_key(self) -> None:
        """The same, and nothing is changed. Raises Misconfigured."""
        known = cast("bytes | None", await self._redis.get(f"{PREFIX}:vault"))
        if not known or known.decode() == self._vault.fingerprint:
            return
        raise Misconfigured(
            "This store is encrypted with another key: set ERNI_ENCRYPTION_KEY to the key used before."
        )

    async def transcript(self, result_key: str) -> Transcript | None:
        blob = cast("bytes | None", await self._redis.get(f"{PREFIX}:result:{result_key}"))
        return None if blob is None else await asyncio.to_thread(lambda: unpack(self._vault.open(blob)))

    async def drop_result(self, result_key: str, instead: Callable[[Transcript], Transcript]) -> bool:
        """Forget a finished transcript; one that is still to be delivered becomes `instead` of it. False:
        there was none."""
        transcript = await self.transcript(result_key)
        if transcript is None:
            return False
        blob = self._vault.seal(pack(instead(transcript)))
        return bool(await self._drop(keys=[PREFIX], args=[result_key, blob]))

    async def kept_results(self, result_keys: Iterable[str]) -> set[str]:
        """Those of the keys under which there is still a transcript."""
        kept: set[str] = set()
        for key in result_keys:
            if await self._redis.exists(f"{PREFIX}:result:{key}"):
                kept.add(key)
        return kept

    async def delivery(self, job_id: str) -> Delivery | None:
        view = await self._ledger.view(job_id)
        if view is None or view.receipt is None or view.finished_at is None:
            return None
        return Delivery(job_id=job_id, at=view.finished_at, receipt=view.receipt)

    async def content_of(self, content_key: str) -> str | None:
        """The `sha256:` key once found behind a vendor's id and revision, None if not seen before; a key that
        is one already stands for itself."""
        if content_key.startswith("sha256:"):
            return content_key
        found = cast("bytes | None", await self._redis.get(f"{PREFIX}:alias:{content_key}"))
        return None if found is None else found.decode()

    async def learn_content(self, content_key: str, sha256_key: str) -> None:
        """Keep that a vendor's id and revision stand for these bytes, for as long as results may live."""
        if not content_key.startswith("sha256:"):
            await self._redis.set(f"{PREFIX}:alias:{content_key}", sha256_key, ex=int(365 * _DAY))

    async def alone(self, what: str, who: str, seconds: float) -> bool:
        """Whether `who` may do `what` now, and nobody else for `seconds`."""
        place = f"{PREFIX}:alone:{what}"
        await self._redis.set(place, who, nx=True, ex=max(1, int(seconds)))
        return cast("bytes | None", await self._redis.get(place)) == who.encode()

    async def recall(self, space: str, key: str) -> str | None:
        found = cast("bytes | None", await self._redis.hget(f"{PREFIX}:memory:{space}", key))
        return None if found is None else self._vault.open(found).decode()

    async def remember(self, space: str, key: str, value: str) -> None:
        await self._redis.hset(f"{PREFIX}:memory:{space}", key, self._vault.seal(value.encode()))

    async def remember_all(self, space: str, values: Mapping[str, str]) -> None:
        if values:
            sealed = {key: self._vault.seal(value.encode()) for key, value in values.items()}
            await self._redis.hset(f"{PREFIX}:memory:{space}", mapping=cast("dict[Any, Any]", sealed))

    async def forget(self, space: str, key: str) -> None:
        await self._redis.hdel(f"{PREFIX}:memory:{space}", key)

    async def memories(self, space: str) -> Mapping[str, str]:
        found: dict[str, str] = {}
        async for name, value in self._redis.hscan_iter(f"{PREFIX}:memory:{space}", count=1000):
            found[name.decode()] = self._vault.open(value).decode()
        return found

    async def acquire(self, space: str, key: str, seconds: float) -> str | None:
        lease = secrets.token_hex(8)
        place = f"{PREFIX}:lease:{space}:{key}"
        return lease if await self._redis.set(place, lease, nx=True, px=max(1, int(1000 * seconds))) else None

    async def renew(self, space: str, key: str, lease: str, seconds: float) -> bool:
        place, life = f"{PREFIX}:lease:{space}:{key}", max(1, int(1000 * seconds))
        return bool(await self._renew(keys=[place], args=[lease, life]))

    async def release(self, space: str, key: str, lease: str) -> None:
        await self._release(keys=[f"{PREFIX}:lease:{space}:{key}"], args=[lease])

    async def audit(self, event: str, facts: Mapping[str, str]) -> None:
        entry = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
        await self._redis.xadd(f"{PREFIX}:audit", entry, maxlen=_AUDIT_ENTRIES, approximate=True)  # type: ignore[arg-type]  # dict is invariant

    async def audit_entries(self) -> AsyncIterator[dict[str, str]]:
        """The audit log, oldest first."""
        after = "-"
        while rows := cast(
            "list[tuple[bytes, dict[bytes, bytes]]]",
            await self._redis.xrange(f"{PREFIX}:audit", min=after, count=1000),
        ):
            for _, fields in rows:
                yield {name.decode(): value.decode() for name, value in fields.items()}
            after = f"({rows[-1][0].decode()}"
