"""What people do with the app: its shortcut and command, the buttons under answers, and forms."""

from __future__ import annotations

import json

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.async_context import AsyncBoltContext

from bots.slack import ids
from bots.slack.dialogs import Press
from bots.slack.letters import Asked, Chosen, Pressed, Renamed, Retried
from bots.slack.listening import Body, Listening, place, slim
from bots.slack.modals import read_retry, read_settings
from bots.slack.records import mapping
from bots.slack.renaming import read_names
from bots.slack.results import read_format
from core.policies import ChannelPolicy, dump_policy


class Interactions(Listening):
    """Each is acknowledged once it was written down."""

    def _register(self, app: AsyncApp) -> None:
        app.shortcut(ids.SHORTCUT)(self._shortcut)
        app.command(ids.COMMAND)(self._command)
        for action in (ids.STOP, ids.DELETE, ids.FORMAT):
            app.action(action)(self._pressed)
        app.action(ids.RENAME)(self._rename)
        app.action(ids.RETRY)(self._retry)
        app.view(ids.SETTINGS_VIEW)(self._settings_chosen)
        app.view(ids.RENAME_VIEW)(self._names_given)
        app.view(ids.RETRY_VIEW)(self._retry_chosen)

    async def _shortcut(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        team, enterprise = place(context, body)
        message = mapping(body.get("message"))
        letter = Asked(
            team=team,
            enterprise=enterprise,
            user=str(mapping(body.get("user")).get("id", "")),
            channel=str(mapping(body.get("channel")).get("id", "")),
            thread=str(message.get("thread_ts") or message.get("ts") or body.get("message_ts", "")),
            message=slim(message) if message.get("files") else {},
            reply=str(body.get("response_url", "")),
        )
        await self.keep(letter, str(body.get("trigger_id") or body.get("action_ts", "")))
        await ack()

    async def _command(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        team, enterprise = place(context, body)
        text, user, channel = (str(body.get(name, "")) for name in ("text", "user_id", "channel_id"))
        reply, trigger = str(body.get("response_url", "")), str(body.get("trigger_id", ""))
        match text.strip().lower():
            case "" | "help":
                await ack()
                self.shown(team, enterprise, body, self.dialogs.help(team, enterprise, channel, reply))
            case "status":
                await ack()
                self.shown(team, enterprise, body, self.dialogs.status(team, enterprise, channel, reply))
            case "settings":
                await ack()
                form = self.dialogs.settings(
                    team, enterprise, channel=channel, user=user, trigger=trigger, reply=reply
                )
                self.shown(team, enterprise, body, form)
            case _:
                letter = Asked(
                    team=team,
                    enterprise=enterprise,
                    user=user,
                    channel=channel,
                    text=text[:4000],
                    reply=reply,
                )
                await self.keep(letter, trigger)
                await ack()

    async def _pressed(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        team, enterprise = place(context, body)
        action = _action(body)
        share, choice = str(action.get("value", "")), ""
        if action.get("action_id") == ids.FORMAT:
            chosen = str(mapping(action.get("selected_option")).get("value", ""))
            share, choice = read_format(chosen) or ("", "")
        press = _press(body)
        letter = Pressed(
            team=team,
            enterprise=enterprise,
            user=press.user,
            share=share,
            action=str(action.get("action_id", "")),
            choice=choice,
            channel=press.channel,
            thread=press.thread,
        )
        if share:
            await self.keep(letter, share, str(action.get("action_ts", "")), letter.action)
        await ack()

    async def _rename(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        await ack()
        where = place(context, body)
        self.shown(*where, body, self.dialogs.rename(*where, _press(body)))

    async def _retry(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        await ack()
        where = place(context, body)
        self.shown(*where, body, self.dialogs.retry(*where, _press(body)))

    async def _settings_chosen(
        self, ack: AsyncAck, body: Body, view: Body, context: AsyncBoltContext
    ) -> None:
        about = _about(view)
        team, enterprise = place(context, body, about)
        policy = read_settings(_state(view))
        if isinstance(policy, dict):
            await ack(response_action="errors", errors=policy)
            return
        letter = Chosen(
            team=team,
            enterprise=enterprise,
            user=str(mapping(body.get("user")).get("id", "")),
            channel=about.get("channel", ""),
            policy=dump_policy(policy),
        )
        await self.keep(letter, str(view.get("id", "")), str(view.get("hash", "")))
        await ack()

    async def _names_given(self, ack: AsyncAck, body: Body, view: Body, context: AsyncBoltContext) -> None:
        about = _about(view)
        team, enterprise = place(context, body, about)
        given = read_names(_state(view))
        if isinstance(given, dict):
            await ack(response_action="errors", errors=given)
            return
        names, merged = given
        letter = Renamed(
            team=team,
            enterprise=enterprise,
            user=str(mapping(body.get("user")).get("id", "")),
            share=about.get("share", ""),
            names=names,
            merged=merged,
            channel=about.get("channel", ""),
            thread=about.get("thread", ""),
        )
        await self.keep(letter, str(view.get("id", "")), str(view.get("hash", "")))
        await ack()

    async def _retry_chosen(self, ack: AsyncAck, body: Body, view: Body, context: AsyncBoltContext) -> None:
        about = _about(view)
        team, enterprise = place(context, body, about)
        policy = read_retry(_state(view), ChannelPolicy())  # the rest stays as it was
        if isinstance(policy, dict):
            await ack(response_action="errors", errors=policy)
            return
        letter = Retried(
            team=team,
            enterprise=enterprise,
            user=str(mapping(body.get("user")).get("id", "")),
            share=about.get("share", ""),
            policy=dump_policy(policy),
            version=int(about.get("version", "1")),
            form=str(view.get("id", "")),
            channel=about.get("channel", ""),
            thread=about.get("thread", ""),
        )
        await self.keep(letter, str(view.get("id", "")), str(view.get("hash", "")))
        await ack()


def _action(body: Body) -> Body:
    actions = body.get("actions")
    return mapping(actions[0]) if isinstance(actions, list) and actions else {}


def _press(body: Body) -> Press:
    """Who pressed a button, about which share and where, and what opens a window for them."""
    message = mapping(body.get("message"))
    return Press(
        user=str(mapping(body.get("user")).get("id", "")),
        share=str(_action(body).get("value", "")),
        trigger=str(body.get("trigger_id", "")),
        channel=str(mapping(body.get("channel")).get("id", "")),
        thread=str(message.get("thread_ts") or message.get("ts", "")),
    )


def _state(view: Body) -> Body:
    return mapping(view.get("state"))


def _about(view: Body) -> dict[str, str]:
    """What we put into a view when it was opened."""
    try:
        found = json.loads(str(view.get("private_metadata") or "{}"))
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}
