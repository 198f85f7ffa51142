"""What is done beside the listeners, because somebody waits for a window or a word: a few seconds at most."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from bots.slack import notes
from bots.slack.parts import Message
from core.errors import AuthFailed, ErniError
from core.tasks import end

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 100  # that are opened at once; more are not, and who asked for them is told
_ALL: Final = 400  # with those who are told

Tell = Callable[[Message], Awaitable[None]]
"""Says something to who waits."""


class Windows:
    """Runs such work. What it raises is said to who waits, and logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_open = False

    def open(self) -> None:
        """Begin what is asked for from now on."""
        self._is_open = True

    async def close(self) -> None:
        """End what is under way. What is asked for from now on is not done."""
        self._is_open = False
        await end(*self._tasks)

    def begin(self, work: Coroutine[Any, Any, None], tell: Tell | None = None) -> None:
        """Run something beside the listeners; `tell` reaches who waits for it."""
        if not self._is_open or len(self._tasks) >= _ALL:
            work.close()
            logger.warning("a window of Slack's is not shown: %d are being opened", len(self._tasks))
        elif len(self._tasks) < _AT_ONCE:
            self._start(_shown(work, tell))
        else:
            work.close()
            logger.warning("a window of Slack's is not shown: %d are being opened", len(self._tasks))
            if tell is not None:
                self._start(_told(tell, notes.too_many()))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="slack window")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _shown(work: Coroutine[Any, Any, None], tell: Tell | None) -> None:
    said = notes.not_shown()
    try:
        await work
    except ErniError as error:
        logger.warning("a window of Slack's could not be shown: %s", error)
        if isinstance(error, AuthFailed):
            said = notes.not_allowed()
    except Exception:
        logger.exception("a window of Slack's could not be shown")
    else:
        return
    if tell is not None:
        await _told(tell, said)


async def _told(tell: Tell, message: Message) -> None:
    try:
        await tell(message)
    except ErniError as error:
        logger.warning("who waits for a window of Slack's could not be told: %s", error)
    except Exception:
        logger.exception("who waits for a window of Slack's could not be told")
