"""What `erni-audio doctor` finds out, and what it finds out about the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.embedded import find_server, socket_path, socket_url
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
    """What adapters may ask while they are checked, and what is to be said about it. Nothing is started:
    where no store is up, adapters see one that remembers nothing."""
    try:
        url, findings = _embedded(settings) if settings.redis_url is None else (_redis_url(settings), [])
        vault = Vault(settings.encryption_key.get_secret_value() if settings.encryption_key else None)
    except ErniError as error:
        yield MemoryStore(), [Finding(area="store", level=Level.BAD, state=str(error))]
        return
    if not url:
        yield MemoryStore(), findings
        return
    redis = Redis.from_url(url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS)
    async with redis:
        try:
            await redis.ping()
        except (RedisError, OSError) as error:
            reason = type(error).__name__
            if settings.redis_url is not None:
                findings.append(
                    Finding(
                        area="store",
                        level=Level.BAD,
                        state=f"the Redis at REDIS_URL can't be used ({reason})",
                        remedy="Check address, password and certificate in REDIS_URL, and that it runs.",
                    )
                )
            yield MemoryStore(), findings
            return
        if settings.redis_url is not None:
            findings += await _shared(redis, url)
        else:
            findings.append(
                Finding(
                    area="store", level=Level.OK, state="a service or a command uses this data directory now"
                )
            )
        yield RedisStore(redis, vault, Ledger(redis, vault)), findings


def _embedded(settings: Settings) -> tuple[str, list[Finding]]:
    finding = Finding(
        area="store", level=Level.OK, state=f"own Valkey, started with the service: {find_server()}"
    )
    return socket_url(settings.data_dir) if socket_path(settings.data_dir).exists() else "", [finding]


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
