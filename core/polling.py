"""The loop of a watcher that outlives every trouble."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

from core.errors import AuthFailed, ErniError, Transient

logger = logging.getLogger(__name__)


async def poll(
    step: Callable[[], Awaitable[float]],
    wake: asyncio.Event,
    *,
    name: str,
    trouble: Callable[[str], None],
    longest: float = 300.0,
    denied: float | None = None,
) -> None:
    """Call `step` again and again, until cancelled: after the seconds that it returns, or when `wake` is set.

    A step that raises is repeated after 1, 2, 4, ... up to `longest` seconds, or after what the error asks
    for. What only the operator can mend is logged once and tried again every `denied` seconds (None: every
    `longest`). `trouble` is told what is wrong, and the empty string when it is over.
    """
    failures, told = 0, ""
    while True:
        wake.clear()  # before the step, so that what happens meanwhile counts
        try:
            delay = await step()
        except (ErniError, OSError, RedisError) as error:
            asked = error.retry_after if isinstance(error, Transient) else None
            operator = isinstance(error, AuthFailed)
            delay = (denied or longest) if operator else _patience(failures, longest, asked)
            level = logging.DEBUG if operator and told == str(error) else logging.WARNING
            told = str(error)
            logger.log(level, "watching %s failed, next try in %.0f s: %s", name, delay, error)
            trouble(told)
        except Exception as error:
            # A watcher that ends would leave its folder unwatched without anybody noticing.
            delay = _patience(failures, longest, None)
            told = ""
            logger.exception("watching %s failed, next try in %.0f s", name, delay)
            trouble(f"An internal error ({type(error).__name__}); the log has the details.")
        else:
            if failures:
                logger.info("watching %s works again", name)
            failures, told = 0, ""
            trouble("")
            try:
                async with asyncio.timeout(delay):
                    await wake.wait()
            except TimeoutError:
                pass
            continue
        failures += 1
        await asyncio.sleep(delay)


def _patience(failures: int, longest: float, asked: float | None) -> float:
    return min(longest, max(asked or 0.0, 2.0 ** min(failures, 30)))
