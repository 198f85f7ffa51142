"""What Teams waits five seconds for: dialogs, buttons, the message command, consent to files.

Each is answered from what is known, and what is to be done is only written down. Teams asks again under a new
id if an answer is late, which changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from bots.teams.files import read_consent
from bots.teams.forms import closing
from bots.teams.incoming import Incoming
from bots.teams.letters import Consented
from bots.teams.posting import Posting, origin
from bots.teams.presses import read_press
from bots.teams.pressing import Pressing, answer_of
from bots.teams.records import mapping, text
from bots.teams.requests import Requests
from bots.teams.troubles import Denied
from bots.teams.windows import Windows
from core.errors import ErniError, Rejected

logger = logging.getLogger(__name__)

Answer = tuple[int, dict[str, Any] | None]
"""Status and JSON of an answer."""

_SECONDS: Final = 4.0  # after which Teams would hardly get the answer in time
_BUSY: Final = "That took too long. Please try again."
_UNKNOWN: Final = "This button is of an older version of the app."


class Invokes:
    """Answers them."""

    def __init__(self, posting: Posting, requests: Requests, windows: Windows, pressing: Pressing) -> None:
        self._posting = posting
        self._pressing = pressing
        self._known: dict[str, Callable[[Incoming], Awaitable[dict[str, Any] | None]]] = {
            "composeExtension/fetchTask": requests.opened,
            "composeExtension/submitAction": requests.submitted,
            "task/fetch": windows.opened,
            "task/submit": windows.submitted,
            "adaptiveCard/action": self._action,
            "fileConsent/invoke": self._consent,
        }

    async def answer(self, incoming: Incoming) -> Answer:
        """The answer to an invoke: always one, and in time."""
        found = self._known.get(incoming.name)
        if found is None:
            return 501, None
        try:
            async with asyncio.timeout(_SECONDS):
                return 200, await found(incoming)
        except Denied as error:
            logger.error("%s can't be done: %s", incoming.name, error)  # noqa: TRY400  (an operator's matter)
            why = str(error)
        except Rejected as error:
            why = error.user_message
        except (TimeoutError, ErniError) as error:
            logger.warning("%s can't be done now (%s): %s", incoming.name, type(error).__name__, error)
            why = _BUSY
        except Exception:
            logger.exception("%s failed", incoming.name)
            why = _BUSY
        return self._sorry(incoming.name, why)

    @staticmethod
    def _sorry(name: str, why: str) -> Answer:
        if name == "fileConsent/invoke":
            return 503, None  # nothing can be said; who pressed may press again
        if name == "adaptiveCard/action":
            return 200, answer_of(why)
        return 200, {"task": closing(why)}

    async def _action(self, incoming: Incoming) -> dict[str, Any]:
        press = read_press(incoming.value)
        if press is None:
            return answer_of(_UNKNOWN)
        return answer_of(await self._pressing.pressed(incoming, press))

    async def _consent(self, incoming: Incoming) -> None:
        consent = read_consent(incoming.value)
        info = mapping(incoming.value.get("uploadInfo"))
        if consent is None or (consent.accepted and not text(info, "uploadUrl")):
            return
        letter = Consented(
            **origin(incoming),
            share=consent.share,
            format=consent.format,
            card=incoming.reply_to,
            upload=text(info, "uploadUrl") if consent.accepted else "",
            name=text(info, "name"),
            unique_id=text(info, "uniqueId"),
            file_type=text(info, "fileType"),
            url=text(info, "contentUrl"),
        )
        await self._posting.keep(letter)
