"""How people use an app: buttons, menus, modals, shortcuts and slash commands, and what they see of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.vendors import slack_limits as limits
from tests.vendors import slack_payloads as payloads
from tests.vendors.slack_api import Api
from tests.vendors.slack_chat import remove
from tests.vendors.slack_delivery import Delivery, NoAnswer, Way
from tests.vendors.slack_model import (
    Channel,
    Ephemeral,
    Installation,
    Json,
    Message,
    Refused,
    ResponseUrl,
    Version,
    View,
)
from tests.vendors.slack_people import Named, People, id_of
from tests.vendors.slack_views import Missing, apply_answer, chosen, new_trigger, state_of

RESPONSE_LIFE = 1800.0  # seconds
RESPONSE_USES = 5
_PRIVATE_NAMES = {"channel": "", "group": "privategroup", "im": "directmessage", "mpim": "mpdm"}


@dataclass(slots=True)
class Interactions(People):
    """Every method returns what was sent once the app answered; NoAnswer if it did not within `ack_within`
    (a person sees then that the app did not respond). Missing: the person does not see such a thing."""

    async def press(
        self,
        where: Message | Ephemeral | View,
        action_id: str,
        user: Named | str,
        *,
        value: str | None = None,
        block_id: str | None = None,
    ) -> Delivery:
        """Press a button; `value` or `block_id` where several have the same action id."""
        for block, element in limits.interactive(where.blocks):
            if element["type"] == "button" and element["action_id"] == action_id:
                same = value is None or element.get("value") == value
                if same and block_id in (None, block["block_id"]):
                    shown: Json = {
                        name: element[name] for name in ("value", "style", "url") if name in element
                    }
                    shown["text"] = {"emoji": True} | element["text"]
                    return await self._act(where, block, element, shown, user)
        raise Missing(f"there is no button {action_id} here")

    async def select(
        self, where: Message | Ephemeral | View, action_id: str, value: Any, user: Named | str
    ) -> Delivery:
        """Choose in a menu (also of an overflow menu, or of an input that dispatches its action)."""
        for block, element in limits.interactive(where.blocks):
            if element["action_id"] != action_id or element["type"] == "button":
                continue
            if block["type"] == "input" and not block.get("dispatch_action"):
                raise Missing(f"{action_id} is sent with the modal only")
            kind = "static_select" if element["type"] == "overflow" else element["type"]
            state = chosen(self.slack, element | {"type": kind}, value)
            if isinstance(where, View) and kind == element["type"]:
                where.state["values"].setdefault(block["block_id"], {})[action_id] = state
            return await self._act(where, block, element, state, user)
        raise Missing(f"there is no menu {action_id} here")

    async def _act(
        self,
        where: Message | Ephemeral | View,
        block: Json,
        element: Json,
        state: Json,
        user: Named | str,
    ) -> Delivery:
        person = id_of(user)
        action = state | {"type": element["type"], "action_id": element["action_id"]}
        action |= {"block_id": block["block_id"], "action_ts": self.slack.new_ts()}
        if isinstance(where, View):
            installed, body = self._begin(where.team, person, where.id, where.installed)
            body["view"] = payloads.view_object(self.api.app, installed, where)
            body["container"] = {"type": "view", "view_id": where.id}
        else:
            channel = self.slack.channels[where.channel]
            self._inside(channel, person)
            if isinstance(where, Ephemeral) and where.user != person:
                raise Missing("somebody else sees that")
            body = self._under(channel, person, where)
            body |= self._in_message(channel, where, person)
        body |= {"type": "block_actions", "actions": [action]}
        return await self._send("interactive", body)

    def _in_message(self, channel: Channel, where: Message | Ephemeral, person: str) -> Json:
        ephemeral = isinstance(where, Ephemeral)
        container: Json = {"type": "message", "message_ts": where.ts, "channel_id": channel.id}
        container |= {"is_ephemeral": ephemeral}
        if where.thread_ts:
            container["thread_ts"] = where.thread_ts
        body: Json = {"container": container, "channel": self._named(channel)}
        body["state"] = {"values": state_of(self.slack, where.blocks, {})}
        if isinstance(where, Message):
            body["message"] = payloads.message_object(self.slack, self.api.app, where, self.api.origin)
        return body | {"response_url": self._response_url(channel, person, where.ts)}

    async def shortcut(self, message: Message, user: Named | str, callback_id: str) -> Delivery:
        """Use a message shortcut; the bot need not be in the conversation."""
        channel, person = self.slack.channels[message.channel], id_of(user)
        self._inside(channel, person)
        installed, body = self._begin(self._team(channel, person), person)
        self._may(installed)
        del body["api_app_id"], body["user"]["username"]
        body |= {"type": "message_action", "callback_id": callback_id, "message_ts": message.ts}
        body["message"] = payloads.message_object(self.slack, self.api.app, message, self.api.origin)
        body |= {"channel": self._named(channel), "action_ts": self.slack.new_ts()}
        body["response_url"] = self._response_url(channel, person, message.ts)
        return await self._send("interactive", body)

    async def slash(
        self, channel: Channel, user: Named | str, text: str = "", *, command: str = "/transcribe"
    ) -> Delivery:
        """Type a slash command (never inside a thread); the bot need not be in the conversation."""
        person = id_of(user)
        self._inside(channel, person)
        team = self._team(channel, person)
        installed, _ = self._begin(team, person)
        self._may(installed)
        workspace = self.slack.workspaces[team]
        body: Json = {
            "token": self.api.app.verification_token,
            "api_app_id": self.api.app.id,
            "team_id": team,
        }
        body |= {"team_domain": workspace.domain, "channel_id": channel.id, "user_id": person}
        body["channel_name"] = _PRIVATE_NAMES[channel.kind] or channel.name
        body |= {"user_name": self.slack.users[person].name, "command": command, "text": text}
        if workspace.enterprise_id:
            body |= {"enterprise_id": workspace.enterprise_id, "enterprise_name": workspace.enterprise_name}
        body["is_enterprise_install"] = str(installed.is_enterprise_install).lower()
        body["response_url"] = self._response_url(channel, person, None)
        body["trigger_id"] = new_trigger(self.api, person, team)
        delivery = await self._send("slash_commands", body)
        text = "" if delivery.answer is not None else delivery.attempts[0].text
        answer = delivery.answer or ({"text": text} if text else None)
        if answer and (answer.get("text") or answer.get("blocks")):
            respond(self.api, self.slack.response_urls[body["response_url"]], answer)
        return delivery

    async def submit_view(self, view: View, values: Mapping[str, Any] | None = None) -> Delivery:
        """Fill a modal in and submit it. `values` are choices by action or block id: texts, values of
        options, people; lists for those that take several. The answer is applied to the modal."""
        if not view.is_open or "submit" not in view.body:
            raise Missing("there is no such modal to submit")
        fields = list(limits.interactive(view.blocks))
        ids = {block["block_id"] for block, _ in fields} | {element["action_id"] for _, element in fields}
        if unknown := set(values or {}) - ids:
            raise Missing(f"there are no fields {sorted(unknown)}")
        given = state_of(self.slack, view.blocks, values or {})
        for block, element in fields:
            name, action = block["block_id"], element["action_id"]
            if block["type"] == "input" and name not in given:
                raise Missing(f"this server cannot fill in a {element['type']}")
            if name in given and not {name, action} & set(values or {}):
                given[name][action] = view.state["values"].get(name, {}).get(action, given[name][action])
            if block["type"] == "input" and not block.get("optional"):
                filled = {k: v for k, v in given[name][action].items() if k != "type"}
                if not any(filled.values()):
                    raise Missing(f"{action} must be filled in")
        view.state, view.errors = {"values": given}, {}
        installed, body = self._begin(view.team, view.user, view.id, view.installed)
        body["type"] = "view_submission"
        body["view"] = payloads.view_object(self.api.app, installed, view)
        delivery = await self._send("interactive", body)
        try:
            apply_answer(self.api, installed, view, delivery.answer)
        except Refused as refused:
            delivery.refused = f"{refused.error} {refused.extra}"
            raise AssertionError(f"Slack refuses the answer to this submission: {delivery.refused}") from None
        return delivery

    async def close_view(self, view: View) -> Delivery | None:
        """Close a modal with its cross; the app hears of it if it asked to."""
        view.is_open = False
        if not view.body.get("notify_on_close"):
            return None
        installed, body = self._begin(view.team, view.user, view.id, view.installed)
        body.pop("trigger_id")
        body |= {"type": "view_closed", "is_cleared": False}
        body["view"] = payloads.view_object(self.api.app, installed, view)
        return await self._send("interactive", body)

    async def suggest(self, view: View, action_id: str, typed: str) -> list[Json]:
        """Type into an external select; the options that the app answers with can be chosen afterwards."""
        for block, element in limits.interactive(view.blocks):
            if element["action_id"] == action_id and element["type"] == "external_select":
                installed, body = self._begin(view.team, view.user, view.id, view.installed)
                body.pop("trigger_id")
                body |= {"type": "block_suggestion", "action_id": action_id, "block_id": block["block_id"]}
                body |= {"value": typed, "container": {"type": "view", "view_id": view.id}}
                body["view"] = payloads.view_object(self.api.app, installed, view)
                delivery = await self._send("interactive", body)
                options: list[Json] = list((delivery.answer or {}).get("options", []))
                if len(options) > 100:
                    raise AssertionError("a menu shows at most 100 options")
                element["suggested"] = options
                return options
        raise Missing(f"there is no such menu {action_id}")

    # What they share

    async def _send(self, way: Way, body: Json) -> Delivery:
        delivery = self.api.deliveries.add(way, body)
        await delivery.over.wait()
        if not delivery.acknowledged:
            raise NoAnswer(f"the app did not answer {delivery.kind}: {delivery.attempts}")
        return delivery

    def _begin(
        self,
        team: str,
        person: str,
        view: str | None = None,
        installed: Installation | None = None,
        home: str | None = None,
    ) -> tuple[Installation, Json]:
        if self.slack.users[person].deleted:
            raise Missing(f"{person} is deactivated")
        installed = installed or self.installation(team)
        body = payloads.place(self.slack, self.api.app, installed, team, person, home)
        return installed, body | {"trigger_id": new_trigger(self.api, person, home or team, view)}

    def _may(self, installed: Installation) -> None:
        if "commands" not in installed.scopes:
            raise Missing("the app has no commands and shortcuts here")

    def _inside(self, channel: Channel, person: str) -> None:
        if person not in channel.members:
            raise Missing(f"{person} is not in {channel.id}")

    def _under(self, channel: Channel, person: str, where: Message | Ephemeral) -> Json:
        """What comes of a button or menu of a message. With Slack Connect it may be somebody of another
        organisation, whether that has the app or not: `team` is then the workspace whose app wrote the
        message, and only `user.team_id` is theirs (java-slack-sdk#1041). Of a modal that they submit, `team`
        is theirs too, and `view.app_installed_team_id` the app's (bolt-js#1614). Both are reported, not
        documented; within an organisation nothing is known but the fields."""
        home, bot = self._team(channel, person), where.bot_id if isinstance(where, Message) else None
        for installed in self.slack.installations_in(channel):
            if installed.team not in {None, home} and bot in {None, installed.bot_id}:
                return self._begin(installed.team or "", person, None, installed, home)[1]
        return self._begin(home, person)[1]

    def _team(self, channel: Channel, person: str) -> str:
        own = self.slack.users[person].team
        return own if own in channel.teams else channel.team

    def _named(self, channel: Channel) -> Json:
        return {"id": channel.id, "name": _PRIVATE_NAMES[channel.kind] or channel.name}

    def _response_url(self, channel: Channel, person: str, message: str | None) -> str:
        url = f"{self.api.origin}/actions/{channel.team}/{self.slack.new_id('')}/0123456789abcdef"
        until = self.slack.clock() + RESPONSE_LIFE
        self.slack.response_urls[url] = ResponseUrl(
            channel=channel.id, user=person, until=until, message=message
        )
        return url


def respond(api: Api, where: ResponseUrl, body: Json) -> None:
    """Show what an app answers to an interaction."""
    slack, channel = api.slack, api.slack.channels[where.channel]
    shown = channel.messages.get(where.message or "")
    hidden = next((e for e in slack.ephemerals if e.ts == where.message), None)
    blocks, text = body.get("blocks") or [], body.get("text") or ""
    if blocks:
        limits.check_message_blocks(blocks)
    limits.check_posted_text(text)
    blocks = limits.with_ids(blocks)
    if body.get("delete_original"):
        if hidden is not None:
            slack.ephemerals.remove(hidden)
        elif shown is not None:
            remove(api, channel, shown)
        return
    if not text and not blocks:
        raise Refused("no_text")
    if body.get("replace_original") and hidden is not None:
        hidden.text, hidden.blocks = text, blocks
    elif body.get("replace_original") and shown is not None and shown.bot_id is not None:
        shown.text, shown.blocks = text, blocks
        shown.versions.append(Version(at=slack.clock(), text=text, blocks=list(blocks)))
    elif body.get("response_type") == "in_channel":
        installed = slack.installation_for(channel.team)
        if installed is None:
            raise Refused("account_inactive")
        message = Message(
            ts=slack.new_ts(),
            channel=channel.id,
            user=installed.bot_user_id,
            text=text,
            team=channel.team,
            thread_ts=body.get("thread_ts"),
            blocks=blocks,
            bot_id=installed.bot_id,
        )
        api.emit_message(slack.post(channel, message))
    else:
        ephemeral = Ephemeral(
            ts=slack.new_ts(), channel=channel.id, user=where.user, text=text, blocks=blocks
        )
        ephemeral.thread_ts = body.get("thread_ts")
        slack.ephemerals.append(ephemeral)


async def response_url(api: Api, request: web.Request) -> web.StreamResponse:
    """Take what is posted to a response URL."""
    where = api.slack.response_urls.get(f"{api.origin}{request.path}")
    if where is None or api.slack.clock() > where.until:
        return web.Response(status=404, text="expired_url")
    if where.uses >= RESPONSE_USES:
        return web.Response(status=404, text="used_url")
    where.uses += 1
    try:
        respond(api, where, await request.json())
    except Refused as refused:
        return web.Response(status=400, text=refused.error)
    finally:
        api.changed()
    return web.Response(text="ok")
