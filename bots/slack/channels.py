"""What holds in each conversation, and who may change it."""

from __future__ import annotations

import logging
from dataclasses import replace

from bots.slack.client import Workspace
from bots.slack.settings import SlackSettings
from bots.slack.shares import State
from bots.slack.troubles import Denied, Refused
from core.policies import ChannelPolicy, Mode, dump_policy, load_policy, may_change
from core.ports import Jobs, Store
from core.voices import OWN_WORKSPACE

logger = logging.getLogger(__name__)


class Channels:
    """The policies of all channels. `many`: the app serves any number of workspaces, so that known voices of
    one are no business of another."""

    def __init__(
        self, store: Store, settings: SlackSettings, *, languages: tuple[str, ...], many: bool
    ) -> None:
        self._store = store
        self._settings = settings
        self._many = many
        self.default = ChannelPolicy(
            mode=Mode(settings.transcribe), formats=settings.formats, languages=languages
        )

    async def policy(self, owner: str, channel: str) -> ChannelPolicy:
        """What was chosen for a channel, else the default. `owner` is the workspace or organisation that
        installed the app."""
        text = await self._store.recall(_space(owner), channel)
        default = self.default
        if channel.startswith("D") and default.mode is Mode.ASKED:
            default = replace(default, mode=Mode.ALL)  # who writes to the app alone asks by that
        return default if text is None else load_policy(text, default)

    async def used(self, state: State, jobs: Jobs) -> ChannelPolicy:
        """What a share was transcribed with last; what that does not say is as its channel wants it now."""
        policy = await self.policy(state.share.owner, state.share.channel)
        view = await jobs.view(state.job)
        return policy if view is None else policy.as_used(view.job.recording.policy)

    async def choose(self, owner: str, channel: str, policy: ChannelPolicy) -> None:
        """Keep what somebody chose."""
        await self._store.remember(_space(owner), channel, dump_policy(policy))

    def voices(self, team: str) -> str:
        """Whose known voices may be named in a workspace (`core.model.Policy.workspace`)."""
        return f"slack:{team}" if self._many else OWN_WORKSPACE

    async def may_change(self, slack: Workspace, team: str, channel: str, user: str) -> bool:
        """Whether `user` may change what holds in a channel."""
        place, person = await slack.channel(channel), await slack.user(user)
        return may_change(
            user,
            direct=place.kind in {"im", "group"},
            creator=place.creator or None,
            admin=person.is_admin or person.is_owner,
            group=await self._groups(slack),
            stranger=bool(person.team) and not person.is_of(team),
        )

    async def forget(self, owner: str) -> None:
        """Drop what was chosen in a workspace or organisation."""
        for channel in await self._store.memories(_space(owner)):
            await self._store.forget(_space(owner), channel)

    async def _groups(self, slack: Workspace) -> frozenset[str]:
        """The members of the configured groups. A group belongs to one workspace, also in an organisation, so
        that of several those of other workspaces are not found."""
        groups = self._settings.settings_groups
        found: set[str] = set()
        failures: list[Exception] = []
        for group in groups:
            try:
                found |= await slack.group_members(group)
            except (Denied, Refused) as error:
                failures.append(error)
        if groups and len(failures) == len(groups):
            logger.error("SLACK_SETTINGS_GROUP counts for nothing here: %s", failures[0])
        return frozenset(found)


def _space(owner: str) -> str:
    return f"slack:policies:{owner}"
