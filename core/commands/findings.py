"""What `erni-audio doctor` finds out, and what it finds out about the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as SlowError

from core.embedded import EmbeddedValkey, find_server, socket_url
from core.errors import ErniError, Misconfigured
from core.ledger import Ledger
from core.ports import Store
from core.settings import Settings
from core.store import RedisStore
from core.testing import MemoryStore
from core.vault import Vault

ANSWER_SECONDS = 5.0
"""How long anything that is asked may take."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Level(StrEnum):
    """How a finding is meant."""

    OK = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at: what it is, how it is, and what to do about it."""

    area: str
    level: Level
    state: str
    remedy: str = ""


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[tuple[Store, list[Finding]]]:
    """What adapters may ask while they are checked, and what is to be said about it. The store of a service
    that runs is used as it is; without one our own Valkey is up for so long, if it has data. Where no store
    can be had, adapters see one that remembers nothing."""
    findings: list[Finding] = []
    async with AsyncExitStack() as opened:
        store: Store = MemoryStore()
        try:
            store = await _found(settings, findings, opened) or store
        except ErniError as error:
            findings.append(Finding(area="store", level=Level.BAD, state=str(error)))
        except (RedisError, OSError) as error:
            findings.append(_unusable(settings, error))
        yield store, findings


async def _found(settings: Settings, findings: list[Finding], opened: AsyncExitStack) -> Store | None:
    """None where nothing was stored yet. Raises ErniError, RedisError, OSError."""
    vault = Vault(settings.encryption_key.get_secret_value() if settings.encryption_key else None)
    if settings.redis_url is not None:
        redis = await _connect(_redis_url(settings), opened)
        await redis.ping()
        findings += await _shared(redis, _redis_url(settings))
    else:
        state = f"own Valkey, started with the service: {find_server()}"
        findings.append(Finding(area="store", level=Level.OK, state=state))
        if not (settings.data_dir / "valkey").is_dir():
            return None
        redis = await _connect(socket_url(settings.data_dir), opened)
        try:
            await redis.ping()
        except SlowError:
            raise  # it may be busy, and belongs to others
        except (RedisError, OSError):
            await opened.enter_async_context(EmbeddedValkey(settings.data_dir, service=False))
        else:
            state = "a service or a command uses this data directory now"
            findings.append(Finding(area="store", level=Level.OK, state=state))
    store = RedisStore(redis, vault, Ledger(redis, vault))
    try:
        await store.require_key()
    except Misconfigured as error:
        findings.append(Finding(area="encryption", level=Level.BAD, state=str(error)))
    return store


async def _connect(url: str, opened: AsyncExitStack) -> Redis:
    redis = Redis.from_url(url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS)
    return await opened.enter_async_context(redis)


def _unusable(settings: Settings, error: Exception) -> Finding:
    reason = type(error).__name__
    if settings.redis_url is None:
        return Finding(
            area="store",
            level=Level.BAD,
            state=f"the store in {settings.data_dir.absolute()} can't be used ({reason})",
            remedy="Run this as the user that the service runs as. If it is, start the service anew.",
        )
    return Finding(
        area="store",
        level=Level.BAD,
        state=f"the Redis at REDIS_URL can't be used ({reason})",
        remedy="Check address, password and certificate in REDIS_URL, and that it runs.",
    )


def _redis_url(settings: Settings) -> str:
    url = settings.redis_url.get_secret_value() if settings.redis_url is not None else ""
    if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        raise Misconfigured("REDIS_URL is not a Redis URL: it begins with redis://, rediss:// or unix://.")
    return url


async def _shared(redis: Redis, url: str) -> list[Finding]:
    info = cast("Mapping[str, Any]", await redis.info("server"))
    product = "Valkey" if "valkey_version" in info else "Redis"
    number = info.get("valkey_version") or info.get("redis_version", "?")
    findings = [Finding(area="store", level=Level.OK, state=f"{product} {number} at REDIS_URL answers")]
    durable = await _configured(redis, "appendonly")
    if durable not in {"yes", None}:
        findings.append(
            Finding(
                area="store",
                level=Level.NOTE,
                state="it keeps no append-only file: a crash of it loses accepted recordings",
                remedy="Set `appendonly yes` and `appendfsync always` there.",
            )
        )
    eviction = await _configured(redis, "maxmemory-policy")
    if eviction not in {"noeviction", None}:
        findings.append(
            Finding(
                area="store",
                level=Level.NOTE,
                state=f"it may throw jobs away when memory is short (maxmemory-policy {eviction})",
                remedy="Set `maxmemory-policy noeviction` there.",
            )
        )
    parts = urlsplit(url)
    private = parts.scheme in {"rediss", "unix"} or parts.hostname in _LOOPBACK
    known = parts.scheme == "unix" or bool(parts.password)
    if not (private and known):
        lacks = " and ".join(
            text for text, fine in (("encryption (TLS)", private), ("a password", known)) if not fine
        )
        findings.append(
            Finding(
                area="store",
                level=Level.NOTE,
                state=f"the connection lacks {lacks}. Who can write to this Redis can run code here",
                remedy="Use rediss://, and an ACL user with a password that is used by nothing else.",
            )
        )
    return findings


async def _configured(redis: Redis, name: str) -> str | None:
    """A setting of the server; None where it does not tell."""
    try:
        found = cast("Mapping[Any, Any]", await redis.config_get(name))
    except (RedisError, OSError):
        return None
    value = found.get(name, found.get(name.encode()))
    return value.decode() if isinstance(value, bytes) else value
