"""The app comes into conversations and goes; people and channels do too."""

from __future__ import annotations

from dataclasses import dataclass

from tests.vendors.teams_forms import Missing
from tests.vendors.teams_model import Conversation, Json, Team, User
from tests.vendors.teams_people import People


@dataclass(slots=True)
class Installing(People):
    """`upgrades` is whether the next installation replaces an older version of the app."""

    upgrades: bool = False

    async def install(
        self, conversation: Conversation, user: User, *, rsc: frozenset[str] | None = None
    ) -> None:
        """Add the app to a chat, or (in a channel) to its team; `rsc` is what it may read there."""
        granted = self.app.rsc if rsc is None else rsc
        where = self._holder(conversation)
        where.installed, where.rsc = True, granted
        added: list[Json] = [{"id": self.app.bot}]
        if conversation.kind == "personal":
            added.append({"id": user.mri, "aadObjectId": user.id})
        self._both(conversation, user, "membersAdded", added, "teamMemberAdded", "add")

    async def remove(self, conversation: Conversation, user: User) -> None:
        """Remove the app from a chat, or (in a channel) from its team: nothing can be posted any more."""
        removed: list[Json] = [{"id": self.app.bot}]
        self._both(conversation, user, "membersRemoved", removed, "teamMemberRemoved", "remove")
        self._holder(conversation).installed = False

    def _holder(self, conversation: Conversation) -> Conversation | Team:
        return self.m365.teams[conversation.team] if conversation.team is not None else conversation

    def _both(
        self,
        conversation: Conversation,
        user: User,
        field: str,
        members: list[Json],
        event: str,
        action: str,
    ) -> None:
        data = self._team_data(conversation)
        if data:
            data["eventType"] = event
        update = self.payloads.activity("conversationUpdate", conversation, user)
        update["channelData"] |= data
        self._send(update | {field: members})
        data.pop("eventType", None)
        change = self.payloads.activity("installationUpdate", conversation, user)
        change["channelData"] |= data | {"source": {"name": "message"}}
        self._send(change | {"action": f"{action}-upgrade" if self.upgrades else action})

    def _team_data(self, conversation: Conversation) -> Json:
        """Only events about the team name its group; messages do not."""
        if conversation.team is None:
            return {}
        team = self.m365.teams[conversation.team]
        named = {"id": team.thread_id, "name": team.name, "aadGroupId": team.id}
        return {"team": named, "settings": {"selectedChannel": {"id": conversation.id}}}

    def _event(self, team: Team, user: User, event: str, **more: object) -> None:
        """A conversationUpdate of a team comes from its first channel."""
        general = self.m365.conversations[team.thread_id]
        update = self.payloads.activity("conversationUpdate", general, user)
        named = {"id": team.thread_id, "name": team.name, "aadGroupId": team.id}
        update["channelData"] |= {"team": named, "eventType": event}
        if team.installed:
            self._send(update | more)

    async def add_member(self, team: Team, user: User) -> None:
        team.members.append(user.id)
        members = [{"id": user.mri, "aadObjectId": user.id}]
        self._event(team, user, "teamMemberAdded", membersAdded=members)

    async def remove_member(self, team: Team, user: User) -> None:
        """Somebody leaves a team, and is its owner no more."""
        team.members.remove(user.id)
        team.owners = [owner for owner in team.owners if owner != user.id]
        members = [{"id": user.mri, "aadObjectId": user.id}]
        self._event(team, user, "teamMemberRemoved", membersRemoved=members)

    async def rename_team(self, team: Team, user: User, name: str) -> None:
        team.name = name
        self._event(team, user, "teamRenamed")

    async def delete_channel(self, channel: Conversation, user: User) -> None:
        """Delete a channel: nothing is found in it any more."""
        if channel.team is None:
            raise Missing("that is not a channel")
        channel.gone = True
        team = self.m365.teams[channel.team]
        general = self.m365.conversations[team.thread_id]
        update = self.payloads.activity("conversationUpdate", general, user)
        update["channelData"] |= {
            "channel": {"id": channel.id, "name": channel.name},
            "eventType": "channelDeleted",
        }
        self._send(update)

    def block(self, conversation: Conversation, *, blocked: bool = True) -> None:
        """Somebody blocks the bot (or does no more)."""
        conversation.blocked = blocked
