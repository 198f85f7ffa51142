"""Dialogs that buttons open: a conversation's settings, the speakers' names, another try."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from bots.teams import ids, notes
from bots.teams.access import Access
from bots.teams.answers import Answers
from bots.teams.conversations import Conversations
from bots.teams.dialogs import (
    Mistakes,
    read_dialog,
    read_names,
    read_retry,
    read_settings,
    rename_dialog,
    retry_dialog,
    settings_dialog,
)
from bots.teams.forms import closing, task
from bots.teams.incoming import Incoming
from bots.teams.letters import Chosen, Renamed, Retried, dump
from bots.teams.posting import Posting, origin
from bots.teams.presses import SHARE, VERSION, read_opening, read_share
from bots.teams.records import mapping
from bots.teams.shares import State
from core.errors import ErniError
from core.policies import ChannelPolicy, dump_policy
from core.ports import AdapterContext

logger = logging.getLogger(__name__)

_UNKNOWN: Final = "This button is of an older version of the app."
_FORGOTTEN: Final = "The service does not know of this recording any more."
_PEOPLE_SECONDS: Final = 1.5  # for which their names are waited for; they can be typed
_MOST_PEOPLE: Final = 500


class Windows:
    """Opens dialogs, and takes what was filled in."""

    def __init__(
        self,
        context: AdapterContext,
        access: Access,
        answers: Answers,
        conversations: Conversations,
        posting: Posting,
    ) -> None:
        self._context = context
        self._access = access
        self._answers = answers
        self._conversations = conversations
        self._posting = posting

    async def opened(self, incoming: Incoming) -> dict[str, Any]:
        """A button that opens a dialog."""
        opening = read_opening(incoming.value.get("data"))
        if opening is None:
            return {"task": closing(_UNKNOWN)}
        if opening.dialog == ids.SETTINGS_DIALOG:
            return {"task": await self._settings(incoming)}
        state = await self._state(incoming, opening.share)
        if state is None:
            return {"task": closing(_FORGOTTEN)}
        if opening.dialog == ids.RENAME_DIALOG:
            return {"task": await self._rename(incoming, state)}
        return {"task": await self._retry(state)}

    async def submitted(self, incoming: Incoming) -> dict[str, Any]:
        """A dialog that was sent; with mistakes it is shown again."""
        data = mapping(incoming.value.get("data"))
        dialog = read_dialog(data)
        if dialog == ids.SETTINGS_DIALOG:
            return {"task": await self._settings_chosen(incoming, data)}
        if dialog not in {ids.RENAME_DIALOG, ids.RETRY_DIALOG}:
            return {"task": closing(_UNKNOWN)}
        state = await self._state(incoming, read_share(data))
        if state is None:
            return {"task": closing(_FORGOTTEN)}
        if dialog == ids.RENAME_DIALOG:
            return {"task": await self._names_given(incoming, state, data)}
        return {"task": await self._retry_chosen(incoming, state, data)}

    async def _settings(self, incoming: Incoming, mistakes: Mistakes | None = None) -> dict[str, Any]:
        if not await self._conversations.may_change(incoming.where, incoming.thread, incoming.user):
            return closing(notes.may_not_set(incoming.where))
        dialog = settings_dialog(
            await self._conversations.policy(incoming.where),
            "",
            methods=self._methods(),
            data={},
            defaults=self._conversations.default,
            keeps_days=self._context.settings.retention_days,
            mistakes=mistakes,
        )
        return task(dialog)

    async def _settings_chosen(self, incoming: Incoming, data: Mapping[str, Any]) -> dict[str, Any]:
        policy = read_settings(data)
        if isinstance(policy, dict):
            return await self._settings(incoming, Mistakes(sent=data, problems=policy))
        if not await self._conversations.may_change(incoming.where, incoming.thread, incoming.user):
            return closing(notes.may_not_set(incoming.where))
        letter = Chosen(**origin(incoming), policy=dump_policy(policy))
        await self._posting.keep(letter, dump(letter))
        return closing(notes.SAVED)

    async def _rename(
        self, incoming: Incoming, state: State, mistakes: Mistakes | None = None
    ) -> dict[str, Any]:
        transcript = await self._context.jobs.transcript(state.job)
        if state.phase != "done":
            return closing(notes.NOT_YET)
        if transcript is None:
            return closing(notes.NOT_KEPT)
        people = await self._people(incoming)
        dialog = await asyncio.to_thread(
            rename_dialog,
            transcript,
            people,
            share=state.share.id,
            version=state.share.version,
            names=state.names,
            merged=state.merged,
            mistakes=mistakes,
        )
        return task(dialog)

    async def _names_given(self, incoming: Incoming, state: State, data: Mapping[str, Any]) -> dict[str, Any]:
        transcript = await self._context.jobs.transcript(state.job)
        if state.phase != "done" or transcript is None or data.get(VERSION) != state.share.version:
            return closing(notes.TOO_LATE)
        given = read_names(data)
        if isinstance(given, dict):
            return await self._rename(incoming, state, Mistakes(sent=data, problems=given))
        labels = {said.speaker for said in transcript.utterances}
        names, merged = ({label: to for label, to in each.items() if label in labels} for each in given)
        letter = Renamed(
            **origin(incoming),
            share=state.share.id,
            version=state.share.version,
            names=names,
            merged=merged,
        )
        await self._posting.keep(letter, dump(letter))
        return closing(notes.RENAMED)

    async def _retry(self, state: State, mistakes: Mistakes | None = None) -> dict[str, Any]:
        if state.phase == "deleted":
            return closing(_FORGOTTEN)
        version = state.share.version + 1
        dialog = retry_dialog(
            await self._used(state),
            state.share.name,
            methods=self._methods(),
            data={SHARE: state.share.id, VERSION: version},
            mistakes=mistakes,
        )
        return task(dialog)

    async def _retry_chosen(
        self, incoming: Incoming, state: State, data: Mapping[str, Any]
    ) -> dict[str, Any]:
        version = data.get(VERSION)
        if version == state.share.version and version:
            return closing(notes.UNDER_WAY)  # the same once more
        if version != state.share.version + 1 or state.phase == "deleted":
            return closing(notes.TOO_LATE)
        policy = read_retry(data, await self._used(state))
        if isinstance(policy, dict):
            return await self._retry(state, Mistakes(sent=data, problems=policy))
        letter = Retried(
            **origin(incoming), share=state.share.id, policy=dump_policy(policy), version=int(version)
        )
        await self._posting.keep(letter)
        return closing(notes.UNDER_WAY)

    async def _used(self, state: State) -> ChannelPolicy:
        """What a recording was transcribed with, to choose anew from."""
        policy = await self._conversations.policy(state.share.where)
        view = await self._context.jobs.view(state.job)
        if view is None:
            return policy
        used = view.job.recording.policy
        return replace(policy.as_used(used), formats=used.formats or policy.formats)

    async def _state(self, incoming: Incoming, share: str) -> State | None:
        """What is known of a share, for people of its conversation only."""
        state = await self._answers.state(share) if share else None
        if state is None or state.share.where.conversation != incoming.where.conversation:
            return None
        return state

    async def _people(self, incoming: Incoming) -> list[str]:
        """The names of those in the conversation, as far as they come in time."""
        found: list[str] = []
        try:
            async with asyncio.timeout(_PEOPLE_SECONDS):
                async for person in self._access.connector.members(incoming.where):
                    found.append(person.name)
                    if len(found) == _MOST_PEOPLE:
                        break
        except (TimeoutError, ErniError) as error:
            logger.info("names are typed: %s", type(error).__name__)
        return sorted(filter(None, found))

    def _methods(self) -> tuple[str, ...]:
        return self._context.methods() or self._context.settings.methods
