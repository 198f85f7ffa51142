"""What platforms tell us, written down before it is acted on, so that an acknowledged event is never lost.

A front door has seconds, or less, to acknowledge an event: it only posts a letter here. Letters are worked on
beside that, by whichever process has the lease on one, and thrown away when that is done. A process that
dies leaves its letters to the others, or to the next one: what is done with a letter has to be repeatable.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import astuple, dataclass

from core.errors import AuthFailed, ErniError, Rejected, Transient
from core.leases import Lost, holding
from core.ports import Store
from core.tasks import end

logger = logging.getLogger(__name__)

Handle = Callable[[str], Awaitable[None]]
"""Acts on a letter's text. Raises Transient to be asked again later, or AuthFailed for what the operator has
to mend meanwhile; other errors of ours end the letter."""

_SWEEP_SECONDS = 5.0  # between looks for letters that another process left
_LONGEST_SECONDS = 90.0  # that a letter may take
_LONGEST_PAUSE = 60.0
_OLDEST_SECONDS = 6 * 3600.0  # a letter that could not be acted on for so long is given up
_BLIND_TRIES = 20  # after errors that nobody foresaw


@dataclass(slots=True)
class _Letter:
    """`posted` and `due` are Unix seconds: processes tell one another when to try again."""

    text: str
    posted: float
    due: float
    tries: int = 0


class Mailbox:
    """The letters of one front door, kept in `space` of the store.

    `at_once` letters are worked on side by side in a process.
    """

    def __init__(self, store: Store, space: str, *, at_once: int = 16) -> None:
        self._store = store
        self._space = space
        self._at_once = at_once
        self._letters: dict[str, _Letter] = {}
        self._working: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()

    async def post(self, key: str, text: str, *, delay: float = 0.0) -> None:
        """Keep a letter durably, to be acted on in `delay` seconds or a little later; one under a known key
        that still waits stays as it is. Raises Transient or what the store raises: nothing was kept then."""
        now = time.time()
        letter = _Letter(text=text, posted=now, due=now + delay)
        await self._keep(key, letter)
        self._letters.setdefault(key, letter)
        self._news.set()

    async def run(self, handle: Handle) -> None:
        """Act on letters until cancelled, also on those that other processes left."""
        sweeping = asyncio.create_task(self._sweep(), name=f"letters of {self._space}")
        try:
            while True:
                self._news.clear()
                now = time.time()
                for key, letter in list(self._letters.items()):
                    if len(self._working) >= self._at_once:
                        break
                    if key not in self._working and letter.due <= now:
                        self._begin(key, letter, handle)
                waits = [
                    letter.due - now for key, letter in self._letters.items() if key not in self._working
                ]
                full = len(self._working) >= self._at_once
                try:
                    async with asyncio.timeout(None if full or not waits else max(0.0, min(waits))):
                        await self._news.wait()
                except TimeoutError:
                    pass
        finally:
            await end(sweeping, *self._working.values())

    def _begin(self, key: str, letter: _Letter, handle: Handle) -> None:
        task = asyncio.create_task(self._attend(key, letter, handle), name=f"letter of {self._space}")
        self._working[key] = task

        def over(_task: asyncio.Task[None]) -> None:
            self._working.pop(key, None)
            self._news.set()

        task.add_done_callback(over)

    async def _attend(self, key: str, letter: _Letter, handle: Handle) -> None:
        try:
            async with holding(self._store, self._space, key) as is_mine:
                if not is_mine or await self._store.recall(self._space, key) is None:
                    # Another process acts on it, or was done with it before we had the lease. If the other
                    # one does not come to an end, the next sweep finds the letter.
                    self._letters.pop(key, None)
                    return
                try:
                    async with asyncio.timeout(_LONGEST_SECONDS):
                        await handle(letter.text)
                except Exception as error:  # noqa: BLE001  (a letter must not end the mailbox)
                    await self._failed(key, letter, error)
                else:
                    await self._done(key)
        except Lost:
            self._letters.pop(key, None)  # the next sweep finds it, unless another process is done with it
        except Exception as error:  # noqa: BLE001  (the store's)
            await self._failed(key, letter, error)

    async def _keep(self, key: str, letter: _Letter) -> None:
        await self._store.remember(self._space, key, json.dumps(astuple(letter)))

    async def _done(self, key: str) -> None:
        await self._store.forget(self._space, key)
        self._letters.pop(key, None)

    async def _failed(self, key: str, letter: _Letter, error: Exception) -> None:
        letter.tries += 1
        foreseen = isinstance(error, ErniError)
        passing = isinstance(error, AuthFailed | Transient) if foreseen else letter.tries < _BLIND_TRIES
        asked = error.retry_after if isinstance(error, Transient) and error.retry_after else 0.0
        if passing and time.time() - letter.posted < _OLDEST_SECONDS:
            letter.due = time.time() + max(asked, min(0.5 * 2 ** min(letter.tries, 20), _LONGEST_PAUSE))
            level = logging.WARNING if letter.tries > 1 else logging.INFO
            logger.log(
                level,
                "an event of %s is acted on again later: %s",
                self._space,
                error if foreseen else type(error).__name__,
                exc_info=None if foreseen or isinstance(error, TimeoutError) else error,
            )
            with contextlib.suppress(Exception):  # only this process waits then
                await self._keep(key, letter)
            return
        level = logging.INFO if isinstance(error, Rejected) else logging.ERROR
        logger.log(level, "an event of %s is given up: %s", self._space, type(error).__name__)
        try:
            await self._done(key)
        except Exception:  # noqa: BLE001  (the sweep finds it again)
            self._letters.pop(key, None)

    async def _sweep(self) -> None:
        while True:
            try:
                found: Mapping[str, str] = await self._store.memories(self._space)
                for key, value in found.items():
                    if key not in self._letters:
                        self._letters[key] = _Letter(*json.loads(value))
                        self._news.set()
            except Exception as error:  # noqa: BLE001  (asked again soon)
                logger.warning("letters of %s can't be listed: %s", self._space, type(error).__name__)
            await asyncio.sleep(_SWEEP_SECONDS)
