"""What Slack tells us of by itself: shares, mentions, deletions, and where the app comes and goes."""

from __future__ import annotations

import hashlib
import json
import time

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.async_context import AsyncBoltContext

from bots.slack.letters import Asked, Filed, Joined, Left, Shared, Withdrawn
from bots.slack.listening import Body, Listening, place, slim
from bots.slack.records import mapping, texts

_MESSAGE_SECONDS = 1.2  # for which the message of a file is waited for: its event says more


class Events(Listening):
    """Everything that the manifest subscribes to."""

    def _register(self, app: AsyncApp) -> None:
        app.event("message")(self._message)
        app.event("file_shared")(self._file_shared)
        app.event("app_mention")(self._mention)
        app.event("file_deleted")(self._file_deleted)
        app.event("member_joined_channel")(self._joined)
        app.event("app_home_opened")(self._home)
        app.event("app_uninstalled")(self._left)
        app.event("tokens_revoked")(self._tokens_revoked)
        app.event("team_access_revoked")(self._team_left)

    async def _message(self, event: Body, context: AsyncBoltContext, body: Body) -> None:
        team, enterprise = place(context, body)
        channel, subtype = str(event.get("channel", "")), event.get("subtype")
        if ts := _deleted(event, context.bot_user_id):
            letter = Withdrawn(team=team, enterprise=enterprise, channel=channel, ts=ts)
            await self.keep(letter, channel, ts)
        elif event.get("files") and subtype in {None, "file_share", "bot_message", "thread_broadcast"}:
            shared = Shared(team=team, enterprise=enterprise, channel=channel, message=slim(event))
            await self.keep(shared, _event_id(body, event))
        if event.get("channel_type") == "im" and subtype in {None, "file_share", "thread_broadcast"}:
            # Slack sends no app_mention there.
            text, me = str(event.get("text", "")), context.bot_user_id
            if me and (f"<@{me}>" in text or f"<@{me}|" in text):
                await self._mention(event, context, body)

    async def _file_shared(self, event: Body, context: AsyncBoltContext, body: Body) -> None:
        team, enterprise = place(context, body)
        letter = Filed(
            team=team,
            enterprise=enterprise,
            channel=str(event.get("channel_id", "")),
            file=str(event.get("file_id") or mapping(event.get("file")).get("id", "")),
            user=str(event.get("user_id", "")),
            at=time.time(),
        )
        if letter.channel and letter.file:
            await self.keep(letter, _event_id(body, event), delay=_MESSAGE_SECONDS)

    async def _mention(self, event: Body, context: AsyncBoltContext, body: Body) -> None:
        team, enterprise = place(context, body)
        user = str(event.get("user") or "")
        if not user or event.get("bot_id"):
            return
        letter = Asked(
            team=team,
            enterprise=enterprise,
            user=user,
            channel=str(event.get("channel", "")),
            ts=str(event.get("ts") or ""),
            thread=str(event.get("thread_ts") or ""),
            message=slim(event) if event.get("files") else {},
            text=str(event.get("text", ""))[:4000],
        )
        await self.keep(letter, _event_id(body, event))

    async def _file_deleted(self, event: Body, context: AsyncBoltContext, body: Body) -> None:
        team, enterprise = place(context, body)
        file = str(event.get("file_id", ""))
        if file:
            await self.keep(Withdrawn(team=team, enterprise=enterprise, file=file), file)

    async def _joined(self, event: Body, context: AsyncBoltContext, body: Body) -> None:
        team, enterprise = place(context, body)
        channel, ts = str(event.get("channel", "")), str(event.get("event_ts", ""))
        if event.get("user") != context.bot_user_id or not ts:
            return
        await self.keep(Joined(team=team, enterprise=enterprise, channel=channel, ts=ts), channel, ts)

    async def _home(self, event: Body, context: AsyncBoltContext, body: Body) -> None:
        team, enterprise = place(context, body)
        if event.get("tab") == "home":
            self.beside(self.dialogs.home(team, enterprise, str(event.get("user", ""))))

    async def _left(self, context: AsyncBoltContext, body: Body) -> None:
        team, enterprise = place(context, body)
        await self.keep(Left(team=team, enterprise=enterprise), str(body.get("event_id", "")))

    async def _tokens_revoked(self, event: Body, context: AsyncBoltContext, body: Body) -> None:
        if mapping(event.get("tokens")).get("bot"):
            await self._left(context, body)

    async def _team_left(self, event: Body, context: AsyncBoltContext, body: Body) -> None:
        for team in texts(event.get("team_ids")):
            letter = Left(team=team, enterprise=context.enterprise_id, certain=True)
            await self.keep(letter, str(body.get("event_id", "")))


def _deleted(event: Body, me: str | None) -> str:
    """The time stamp of a message, not by `me`, that was deleted and may have had files; else nothing. One
    with replies, as our answers are, is not deleted but changed: a tombstone takes its place."""
    before, after = mapping(event.get("previous_message")), mapping(event.get("message"))
    if before.get("user") == me:
        return ""
    if event.get("subtype") == "message_changed" and after.get("subtype") == "tombstone":
        return str(after.get("ts") or before.get("ts", ""))
    had_files = before.get("files") or before.get("subtype") == "file_share" or before.get("upload")
    if event.get("subtype") == "message_deleted" and had_files:
        return str(event.get("deleted_ts") or before.get("ts", ""))
    return ""


def _event_id(body: Body, event: Body) -> str:
    """The same for every delivery of an event."""
    found = str(body.get("event_id", ""))
    return found or hashlib.sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()
