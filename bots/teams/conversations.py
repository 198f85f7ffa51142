"""What holds in each conversation, who may change it, and in which the app is."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

from bots.teams.access import Access
from bots.teams.incoming import Reference
from bots.teams.places import Places
from bots.teams.rights import Rights
from bots.teams.settings import TeamsSettings
from bots.teams.shares import Share, is_alone
from bots.teams.troubles import Denied, Gone, Refused
from core.leases import turn
from core.policies import ChannelPolicy, Mode, dump_policy, load_policy, may_change
from core.ports import Store
from core.voices import OWN_WORKSPACE

logger = logging.getLogger(__name__)

_POLICIES = "teams:policies"
_WHEN = "when"  # it was chosen, beside what was


class Conversations:
    """All conversations of the organisation."""

    def __init__(
        self,
        store: Store,
        access: Access,
        places: Places,
        settings: TeamsSettings,
        *,
        languages: tuple[str, ...],
    ) -> None:
        self._store = store
        self._access = access
        self._rights = Rights(access)
        self._places = places
        self.default = ChannelPolicy(
            mode=Mode(settings.transcribe), formats=settings.formats, languages=languages
        )

    async def policy(self, where: Reference) -> ChannelPolicy:
        """What was chosen for a conversation, else the default."""
        text = await self._store.recall(_POLICIES, where.conversation)
        # Who writes to the app alone asks by that.
        default = replace(self.default, mode=Mode.ALL) if is_alone(where) else self.default
        return default if text is None else load_policy(text, default)

    async def choose(self, where: Reference, policy: ChannelPolicy, *, when: float = 0.0) -> bool:
        """Keep what somebody chose at `when`, Unix seconds. False: somebody chose otherwise later."""
        async with turn(self._store, _POLICIES, where.conversation):
            kept = await self._store.recall(_POLICIES, where.conversation)
            if kept is not None and json.loads(kept).get(_WHEN, 0.0) > when:
                return False
            chosen = json.loads(dump_policy(policy)) | {_WHEN: when}
            await self._store.remember(_POLICIES, where.conversation, json.dumps(chosen, ensure_ascii=False))
        return True

    @property
    def voices(self) -> str:
        """Whose known voices may be named (`core.model.Policy.workspace`): there is one organisation."""
        return OWN_WORKSPACE

    async def may_change(self, where: Reference, team: str, user: str) -> bool:
        """Whether `user` may change what holds there: owners of the team, people of the chat. Raises
        MissingPermission if that can't be seen."""
        if where.kind != "channel":
            return may_change(user, direct=await self._belongs(where, user), creator=None, admin=False)
        return may_change(user, direct=False, creator=None, admin=await self._owns(where, team, user))

    async def may_delete(self, share: Share, user: str) -> bool:
        """Whether `user` may delete the transcript of a share: who shared the recording, and owners of the
        team; in a chat that they have left, its people; where nobody vouches for who shared it, also whose
        file it is. Raises as `may_change`."""
        where = share.where
        if is_alone(where) or (user and user == share.user) or await self._has_it(share, user):
            return True
        if where.kind == "channel":
            return await self._owns(where, share.team, user)
        return not await self._is_member(where, share.user) and await self._belongs(where, user)

    async def _has_it(self, share: Share, user: str) -> bool:
        """Whether the file is theirs, as far as that is asked for and can be seen."""
        if share.claimed is None or share.is_link:
            return False
        try:
            return await self._rights.owns(await self._access.recording(share), user)
        except (Refused, Denied) as error:
            logger.info("it can't be seen whose file a recording is: %s", error.code)
            return False

    async def _owns(self, where: Reference, team: str, user: str) -> bool:
        group = await self._access.connector.group(where, team)
        found = await self._access.graph.member(group, user)
        return found is not None and found.is_owner

    async def _belongs(self, where: Reference, user: str) -> bool:
        """Whether somebody is in a chat now and no guest there. In development there are no guests."""
        if is_alone(where) or self._access.registration is None:
            return True
        try:
            person = await self._access.connector.member(where, user) if user else None
        except Gone:
            return False
        return person is not None and not person.is_guest and person.tenant in {"", where.tenant}

    async def _is_member(self, where: Reference, user: str) -> bool:
        try:
            return bool(user) and bool((await self._access.connector.member(where, user)).id)
        except Gone:
            return False

    async def is_in(self, where: Reference, user: str) -> bool:
        """Whether the app can answer there. `user` is somebody in the conversation, by either id."""

        async def ask() -> None:
            await self._access.connector.member(where, user)

        try:
            await self._places.seek(where, ask)
        except Refused:  # whatever the reason: the app was never heard of there
            return False
        return True

    async def forget(self, conversation: str) -> None:
        """Drop what was chosen and noted there."""
        await self._places.lost(conversation)
        await self._store.forget(_POLICIES, conversation)
