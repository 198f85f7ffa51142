"""The bars in answers under way, as new as Slack's rate limits allow."""

from __future__ import annotations

from typing import Final

from bots.slack import format as messages
from bots.slack.answers import Answers
from bots.slack.results import Shown
from bots.slack.shares import OVER, Share
from core.bars import Bar, Moved
from core.bars import Bars as AnyBars
from core.model import Stage
from core.ports import Store

_EDIT_SECONDS: Final = 4.0  # between two changes of one answer
_UPDATE_SECONDS: Final = 1.5  # between two changes of a workspace's: Slack takes 50 a minute, results too

Bars = AnyBars[Share]


def bars(store: Store, answers: Answers) -> Bars:
    """Shows how far each share is."""

    async def move(bar: Bar[Share]) -> Moved:
        async with answers.hold_if_free(bar.about) as hold:
            if hold is None:
                return "busy"
            if hold.state.phase in OVER or hold.state.job not in {"", bar.job}:
                return "over"
            waits = bool(hold.state.waits) and bar.stage in {Stage.QUEUED, Stage.FETCHING}
            if hold.state.message and not waits:
                about = Shown(share=bar.about.id, name=bar.about.name)
                said = messages.working(about, bar.stage, bar.fraction, bar.pace.seconds_left())
                await answers.say(hold, said, anew=False)
        return "done"

    return AnyBars(store, "slack:bars", move, edit_seconds=_EDIT_SECONDS, group_seconds=_UPDATE_SECONDS)
