"""Vendors' answers that were paid for, kept until the recording they belong to has its transcript.

A recording that is tried again, because its worker died, an engine failed halfway or some pieces did, is
asked about only where something is missing. What is kept is text of the recording: sealed like transcripts,
gone after a day at most, and never more than a share of the room that transcripts have.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import zlib
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, TypeVar, cast

from pydantic import TypeAdapter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.cutting import Piece
from core.errors import Misconfigured
from core.ledger import PREFIX
from core.model import Diarization, Hints, Recognition, Transcript
from core.ports import Accounts, Capabilities, Kept
from core.settings import Settings
from core.vault import Vault

logger = logging.getLogger(__name__)

T = TypeVar("T", Recognition, Diarization)
_R = TypeVar("_R")

_DAY = 86400.0
_ANSWER_SECONDS = 5.0  # for which the store is waited for: an answer bought twice is better than a hang
_SHARE = 4  # of the room for transcripts, one part in so many

_PLACE = f"{PREFIX}:kept"
_KEEP = """
-- ARGV: recording, piece, blob, life in ms, room in bytes. One hash per recording, which goes as a whole:
-- after the shortest life that was asked for, or when room is short and it is the next to go.
local place, recording, piece, blob = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local own, ends, sizes = place .. ':of:' .. recording, place .. ':ends', place .. ':sizes'
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local function forget(which)
  redis.call('DEL', place .. ':of:' .. which)
  redis.call('ZREM', ends, which)
  redis.call('HDEL', sizes, which)
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now)) do forget(gone) end
local more = #blob - redis.call('HSTRLEN', own, piece)
local total = more
for _, size in ipairs(redis.call('HVALS', sizes)) do total = total + tonumber(size) end
local room = tonumber(ARGV[5])
if tonumber(redis.call('HGET', sizes, recording) or '0') + more > room then return 0 end
for _, oldest in ipairs(redis.call('ZRANGE', ends, 0, -1)) do
  if total <= room then break end
  if oldest ~= recording then
    total = total - tonumber(redis.call('HGET', sizes, oldest) or '0')
    forget(oldest)
  end
end
local known = redis.call('ZSCORE', ends, recording)
local till = now + tonumber(ARGV[4])
if known then till = math.min(till, tonumber(known)) end
redis.call('HSET', own, piece, blob)
redis.call('PEXPIREAT', own, string.format('%d', till))
redis.call('HINCRBY', sizes, recording, more)
redis.call('ZADD', ends, string.format('%d', till), recording)
return 1
"""


def life_seconds(*retentions: float | None) -> float:
    """How long answers are kept at most: a day, or a shorter retention (days)."""
    return min([_DAY, *(days * _DAY for days in retentions if days is not None)])


async def release(kept: Kept | None, transcript: Transcript) -> None:
    """`transcript` is safe, so what was kept for it may go; unless something is missing in it that another
    try may add: that one should not pay for the rest again."""
    gaps = any(said.gap for said in transcript.utterances)
    if kept is not None and not transcript.unlabelled and not gaps:
        await kept.drop(transcript.content_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bought:
    """An answer to `seconds` of audio, and the receipt that the money for it was set aside under."""

    answer: Recognition | Diarization
    seconds: float
    receipt: str


_bought = TypeAdapter(_Bought)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Where the answers to one `recording` (its content key) are kept, for `seconds` at most. `channels` are
    the files that hold one speaker each, in order; any other file is all of it."""

    kept: Kept
    accounts: Accounts
    recording: str
    channels: Sequence[Path]
    seconds: float

    def answers(
        self, kind: type[T], engine: str, *, model: str, can: Capabilities, hints: Hints, path: Path
    ) -> Answers[T]:
        """Those of one engine's `model` to the audio at `path`. The account is no part of what is asked:
        whoever replaces a revoked key does not pay again."""
        channel = self.channels.index(path) if path in self.channels else None
        known: list[object] = [can.price, can.word_times, can.labels_speakers, channel, asdict(hints)]
        return Answers(shelf=self, kind=kind, asked=json.dumps([kind.__name__, engine, model, *known]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers(Generic[T]):
    """What one engine answered to pieces of one recording. `asked` is all that an answer depends on besides
    the piece."""

    shelf: Shelf
    kind: type[T]
    asked: str

    async def find(self, pieces: Sequence[Piece]) -> dict[int, T]:
        """The answers that are known, by the number of the piece. What an attempt that died has bought is
        booked now."""
        names = [self._name(piece) for piece in pieces]
        blobs = await self.shelf.kept.find(self.shelf.recording, names)
        if not blobs:
            return {}
        known = await asyncio.to_thread(lambda: {name: _unpacked(blob) for name, blob in blobs.items()})
        found: dict[int, T] = {}
        spent: dict[str, float] = {}
        for number, name in enumerate(names):
            bought = known.get(name)
            if bought is None or not isinstance(bought.answer, self.kind):
                continue
            found[number] = bought.answer
            if bought.receipt:
                spent[bought.receipt] = spent.get(bought.receipt, 0.0) + bought.seconds
        for receipt, seconds in spent.items():
            with suppress(ValueError, TypeError):  # another version's receipt
                # Does nothing if the attempt lived to do it itself.
                await self.shelf.accounts.settle(receipt, seconds)
        return found

    async def keep(self, piece: Piece, answer: T, receipt: str) -> None:
        """Keep what `receipt` paid for, also if the caller is cancelled meanwhile. Raises nothing else."""
        keeping = asyncio.create_task(self._keep(piece, answer, receipt), name="keeping an answer")
        cancelled: asyncio.CancelledError | None = None
        while not keeping.done():
            try:
                await asyncio.wait({keeping})
            except asyncio.CancelledError as error:
                cancelled = error  # in a few seconds: the store is not waited for any longer
        keeping.result()
        if cancelled is not None:
            raise cancelled

    async def _keep(self, piece: Piece, answer: T, receipt: str) -> None:
        bought = _Bought(answer=answer, seconds=piece.seconds, receipt=receipt)
        try:
            packed = await asyncio.to_thread(_bought.dump_json, bought)
        except ValueError:  # no text that JSON can carry
            return
        shelf = self.shelf
        await shelf.kept.keep(shelf.recording, self._name(piece), packed, seconds=shelf.seconds)

    def _name(self, piece: Piece) -> str:
        place = f"{round(piece.start * 1000)}-{round(piece.end * 1000)}"
        return hashlib.sha256(f"{place} {self.asked}".encode()).hexdigest()


def _unpacked(blob: bytes) -> _Bought | None:
    try:
        return _bought.validate_json(blob)
    except ValueError:  # another version's: bought again
        return None


class RedisKept:
    """The `Kept` port for all workers on the store. `redis` answers bytes (no decoding)."""

    def __init__(self, redis: Redis, vault: Vault, settings: Settings) -> None:
        self._redis = redis
        self._vault = vault
        self._room = settings.cache_bytes // _SHARE
        self._script = redis.register_script(_KEEP)
        self._away = False

    async def find(self, recording: str, pieces: Sequence[str]) -> Mapping[str, bytes]:
        """See the port."""
        if not pieces:
            return {}
        asked = cast(
            "Awaitable[list[bytes | None]]", self._redis.hmget(f"{_PLACE}:of:{recording}", list(pieces))
        )
        found = await self._quietly(asked) or []

        def opened() -> dict[str, bytes]:
            plain: dict[str, bytes] = {}
            for piece, blob in zip(pieces, found, strict=False):
                with suppress(Misconfigured, ValueError, zlib.error):  # sealed with another key: bought again
                    if blob is not None:
                        plain[piece] = self._vault.open(blob)
            return plain

        return await asyncio.to_thread(opened) if any(found) else {}

    async def keep(self, recording: str, piece: str, answer: bytes, *, seconds: float) -> None:
        """See the port. One that is larger than all the room there is is not kept."""
        blob = await asyncio.to_thread(self._vault.seal, answer)
        life = max(1, int(1000 * seconds))
        await self._quietly(self._script(keys=[_PLACE], args=[recording, piece, blob, life, self._room]))

    async def drop(self, recording: str) -> None:
        """See the port."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.delete(f"{_PLACE}:of:{recording}")
        pipeline.zrem(f"{_PLACE}:ends", recording)
        pipeline.hdel(f"{_PLACE}:sizes", recording)
        await self._quietly(pipeline.execute())

    async def _quietly(self, work: Awaitable[_R]) -> _R | None:
        """None if the store does not answer, which is said once until it does again."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                found = await work
        except (RedisError, OSError):
            if not self._away:
                logger.warning("the store can't keep what vendors answer: a retry may pay for it again")
            self._away = True
            return None
        self._away = False
        return found
