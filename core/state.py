"""The open store, for the service and for commands: the one behind REDIS_URL, or our own Valkey."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.embedded import EmbeddedValkey, socket_path, socket_url
from core.errors import Misconfigured
from core.ledger import Ledger
from core.settings import Settings
from core.store import RedisStore
from core.vault import Vault

# No time-out on reads: some commands wait for a minute, and redis-py's time-outs swallow cancellations on
# Python 3.11. A network that is gone is noticed by the probes of the connection instead, after a minute.
_PROBES = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
_KEEP_ALIVE: dict[str, Any] = {
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "socket_keepalive_options": {
        getattr(socket, name): value for name, value in _PROBES.items() if hasattr(socket, name)
    },
}
_ELSEWHERE = "If a service runs elsewhere, call this in the folder with its .env, or set ERNI_DATA_DIR."


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The open store and what is built on it."""

    url: str
    redis: Redis
    vault: Vault
    ledger: Ledger
    store: RedisStore
    node: str


def node_id(data_dir: Path) -> str:
    """This data directory's name among machines: made once, kept for ever."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    data_dir.chmod(0o700)
    path = data_dir / "node-id"
    try:
        with path.open("x") as file:
            file.write(secrets.token_hex(4))
    except FileExistsError:
        pass
    return path.read_text().strip()


@asynccontextmanager
async def open_state(settings: Settings, *, own: bool) -> AsyncIterator[State]:
    """Connect to the store. Where no REDIS_URL is set, `own` is for the service, which has the data directory
    and its embedded Valkey for itself and commands; else that Valkey must be up.

    Raises Misconfigured if the store can't be had.
    """
    if settings.redis_url is None and not own and not socket_path(settings.data_dir).exists():
        raise Misconfigured(
            f"No service runs on the data directory {settings.data_dir.absolute()}. "
            f"Start `erni-audio serve`, or set REDIS_URL. {_ELSEWHERE}"
        )
    node = node_id(settings.data_dir)
    if settings.redis_url is not None:
        async with _connect(settings, settings.redis_url.get_secret_value(), node) as state:
            yield state
    elif own:
        async with EmbeddedValkey(settings.data_dir) as valkey, _connect(settings, valkey.url, node) as state:
            yield state
    else:
        async with _connect(settings, socket_url(settings.data_dir), node) as state:
            yield state


@asynccontextmanager
async def open_any_state(settings: Settings, *, reading: bool = False) -> AsyncIterator[State]:
    """The store of the service that runs here; where none does, the same store, up for as long as any command
    uses it. Services and commands come and go in any order. It is made where there is none, but not for
    `reading`.

    Raises Misconfigured if it can't be had.
    """
    if settings.redis_url is not None:
        async with open_state(settings, own=False) as state:
            yield state
        return
    if reading and not (settings.data_dir / "valkey").is_dir():
        raise Misconfigured(
            f"Nothing is kept in the data directory {settings.data_dir.absolute()} yet. {_ELSEWHERE}"
        )
    node = node_id(settings.data_dir)
    async with (
        EmbeddedValkey(settings.data_dir, service=False) as valkey,
        _connect(settings, valkey.url, node) as state,
    ):
        yield state


@asynccontextmanager
async def _connect(settings: Settings, url: str, node: str) -> AsyncIterator[State]:
    key = settings.encryption_key
    vault = Vault(key.get_secret_value() if key else None)
    try:
        redis = Redis.from_url(url, socket_timeout=None, **{} if url.startswith("unix:") else _KEEP_ALIVE)
    except ValueError as error:
        raise Misconfigured(f"REDIS_URL is not a Redis URL: {error}") from None
    async with redis:
        ledger = Ledger(redis, vault, worker=f"{node}-{os.getpid()}", retention_days=settings.retention_days)
        store = RedisStore(redis, vault, ledger)
        try:
            await store.check_key()
        except (RedisError, OSError) as error:
            raise Misconfigured(f"The store behind REDIS_URL can't be used: {error}") from None
        yield State(url=url, redis=redis, vault=vault, ledger=ledger, store=store, node=node)
