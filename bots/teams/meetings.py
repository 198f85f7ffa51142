"""Recordings of meetings: Teams tells the app that a meeting ended, and not that its recording is there.

What Teams writes about the recording into the chat of the meeting comes minutes or hours later. Where
everything is transcribed, the chat is looked at for it a few times.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Final

from bots.teams.access import Access
from bots.teams.conversations import Conversations
from bots.teams.letters import Met
from bots.teams.posting import Posting
from bots.teams.reception import Reception
from bots.teams.shares import found_in
from bots.teams.troubles import Denied, Refused
from core.policies import ChannelPolicy, Mode

logger = logging.getLogger(__name__)

_LOOKS: Final = (60.0, 180.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0)
"""Seconds after a meeting's end at which its chat is looked at."""

_LONGEST_SECONDS: Final = 24 * 3600.0  # from the first recording of a meeting to its end
_MESSAGES: Final = 300  # of a chat that are looked at, the newest first


class Meetings:
    """Finds recordings, and has them taken in."""

    def __init__(
        self, access: Access, conversations: Conversations, reception: Reception, posting: Posting
    ) -> None:
        self._access = access
        self._conversations = conversations
        self._reception = reception
        self._posting = posting

    async def met(self, letter: Met) -> None:
        """A meeting ended: look for its recording, and once more later. Repeatable."""
        policy = await self._conversations.policy(letter.where)
        if policy.mode is not Mode.ALL:
            return
        if letter.look < len(_LOOKS):
            due = letter.at + _LOOKS[letter.look]
            await self._posting.keep(replace(letter, look=letter.look + 1), delay=max(0.0, due - time.time()))
        if letter.look:
            await self._look(letter, policy)

    async def _look(self, letter: Met, policy: ChannelPolicy) -> None:
        left = _MESSAGES
        try:
            place = await self._access.place(letter.where, letter.team, letter.user)
            async for message in self._access.graph.recent(place):
                old = message.id.isdigit() and int(message.id) / 1000 < letter.at - _LONGEST_SECONDS
                if old or not left:
                    return
                left -= 1
                for each in found_in(message, lambda _: False, asked=False):
                    if each.of_meeting:
                        share = self._reception.share(letter, each, message=message.id, now=time.time())
                        await self._reception.accept(share, policy, by=None)
        except (Denied, Refused) as error:
            logger.error("a chat is not looked at for a meeting's recording: %s", error)  # noqa: TRY400  (an operator's)
