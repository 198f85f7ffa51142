"""Getting a recording, and saying in its answer when that takes somebody who looks after the app."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Final

from bots.slack import download
from bots.slack import format as messages
from bots.slack.answers import Answers
from bots.slack.departures import Departures
from bots.slack.results import Shown
from bots.slack.shares import OVER, Share, is_past, share_of
from bots.slack.troubles import Denied, MissingScope
from bots.slack.workspaces import Workspaces
from core.errors import AuthFailed, ErniError
from core.model import Recording
from core.ports import AdapterContext

logger = logging.getLogger(__name__)

_RIGHTS: Final = {"files:read": "to read files", "files:write": "to put files into conversations"}
_SCOPE: Final = re.compile(r"[a-z:._]{1,60}")
_NO_FILE: Final = frozenset({"sign_in_page", "http_401", "http_403"})


class Fetching:
    """Gets recordings for their jobs."""

    def __init__(
        self, context: AdapterContext, workspaces: Workspaces, answers: Answers, departures: Departures
    ) -> None:
        self._context = context
        self._workspaces = workspaces
        self._answers = answers
        self._departures = departures

    async def fetch(self, recording: Recording, into: Path) -> None:
        """See `core.ports.Adapter.fetch`. A recording that Slack only links to comes through the door that
        knows the link. Where the operator has to mend something first, the answer says what."""
        share = share_of(recording.address)
        try:
            await self._fetch(share, into)
        except AuthFailed as error:
            if recording.follows is None:  # else the transcript is there
                await self._say(share, lacking(error))
            raise
        known = await self._answers.state(share.owner, share.id)
        if known is not None and known.waits:
            async with self._answers.hold(share) as hold:
                await hold.save(replace(hold.state, waits=""))

    async def _fetch(self, share: Share, into: Path) -> None:
        if share.link:
            await self._context.links.fetch_link(share.link, into)
            return
        async with self._workspaces.open(), self._departures.noticed(share.team, share.enterprise):
            slack = await self._workspaces.slack(share.team, share.enterprise)
            file = await slack.file(share.file)
            await download.fetch(slack, file, into, limit=self._context.settings.max_bytes)

    async def _say(self, share: Share, why: str) -> None:
        try:
            async with self._workspaces.open(), self._answers.hold(share) as hold:
                state = hold.state
                if state.phase in OVER or is_past(state, share) or not state.message or state.waits == why:
                    return
                await hold.save(replace(state, waits=why))  # first, so that no bar covers it
                about = Shown(share=share.id, name=share.name)
                await self._answers.say(hold, messages.waiting(about, why), anew=False)
        except ErniError as error:
            logger.warning("share %s does not say what it waits for: %s", share.id, error)


def lacking(error: AuthFailed) -> str:
    """What whoever looks after the app has to mend before a recording can be read, or, where a scope is
    missing, before anything can be done that takes it."""
    if isinstance(error, MissingScope):
        what = _RIGHTS.get(error.scope, "")
        scope = f" ({error.scope})" if _SCOPE.fullmatch(error.scope) else ""
        return f"The Slack app lacks a permission: {what or 'one that it needs for this'}{scope}."
    if isinstance(error, Denied) and error.code in _NO_FILE:
        return (
            "Slack does not let me read the file: either the Slack app lacks the permission to read files "
            "(files:read), or it is not in this conversation any more."
        )
    if isinstance(error, Denied):
        return "Slack does not let me in at the moment, so I can't read the file."
    return "I have no access any more to the service that the file lies with."
