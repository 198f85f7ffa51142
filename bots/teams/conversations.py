"""What holds in each conversation, who may change it, and in which the app is."""

from __future__ import annotations

import logging
from dataclasses import replace

from bots.teams.access import Access
from bots.teams.incoming import Reference
from bots.teams.records import Place
from bots.teams.settings import TeamsSettings
from bots.teams.shares import is_alone
from bots.teams.troubles import Gone, Removed
from core.policies import ChannelPolicy, Mode, dump_policy, load_policy, may_change
from core.ports import Store
from core.voices import OWN_WORKSPACE

logger = logging.getLogger(__name__)

_POLICIES = "teams:policies"
_PLACES = "teams:places"
_REMEMBERED = 4096


class Conversations:
    """All conversations of the organisation."""

    def __init__(
        self, store: Store, access: Access, settings: TeamsSettings, *, languages: tuple[str, ...]
    ) -> None:
        self._store = store
        self._access = access
        self._kept: dict[str, str] = {}
        self.default = ChannelPolicy(
            mode=Mode(settings.transcribe), formats=settings.formats, languages=languages
        )

    async def policy(self, where: Reference) -> ChannelPolicy:
        """What was chosen for a conversation, else the default."""
        text = await self._store.recall(_POLICIES, where.conversation)
        # Who writes to the app alone asks by that.
        default = replace(self.default, mode=Mode.ALL) if is_alone(where) else self.default
        return default if text is None else load_policy(text, default)

    async def choose(self, where: Reference, policy: ChannelPolicy) -> None:
        """Keep what somebody chose."""
        await self._store.remember(_POLICIES, where.conversation, dump_policy(policy))

    @property
    def voices(self) -> str:
        """Whose known voices may be named (`core.model.Policy.workspace`): there is one organisation."""
        return OWN_WORKSPACE

    async def may_change(self, where: Reference, team: str, user: str) -> bool:
        """Whether `user` may change what holds there: owners of the team, people of the chat. Raises
        MissingPermission if that can't be seen."""
        if where.kind != "channel":
            return may_change(user, direct=True, creator=None, admin=False)
        return may_change(user, direct=False, creator=None, admin=await self.owns(where, team, user))

    async def owns(self, where: Reference, team: str, user: str) -> bool:
        """Whether `user` owns the team that a channel is in. Raises MissingPermission."""
        if where.kind != "channel" or not user:
            return False
        group = await self._access.connector.group(where, team)
        return user in await self._access.graph.owners(Place(team=group))

    async def remember(self, where: Reference) -> None:
        """The app is there: something came from it."""
        kept = replace(where, root="").to_json()
        if self._kept.get(where.conversation) == kept:
            return
        await self._store.remember(_PLACES, where.conversation, kept)
        while len(self._kept) >= _REMEMBERED:
            del self._kept[next(iter(self._kept))]
        self._kept[where.conversation] = kept

    async def is_known(self, where: Reference) -> bool:
        """Whether anything came from there before."""
        return await self._store.recall(_PLACES, where.conversation) is not None

    async def is_in(self, where: Reference, user: str) -> bool:
        """Whether the app can answer there. `user` is somebody in the conversation, by either id."""
        if await self.is_known(where):
            return True
        try:
            await self._access.connector.member(where, user)
        except Removed:
            return False
        except Gone:
            return where.kind != "personal"  # the app is there, and doesn't know of this person
        return True

    async def lost(self, conversation: str) -> None:
        """The app turned out not to be there (any more)."""
        self._kept.pop(conversation, None)
        await self._store.forget(_PLACES, conversation)

    async def forget(self, conversation: str) -> None:
        """Drop what was chosen and noted there."""
        await self.lost(conversation)
        await self._store.forget(_POLICIES, conversation)
