"""How people use the app: the message command, dialogs, buttons of cards, consent to files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.vendors.teams_answers import BadAnswer, Shown, read
from tests.vendors.teams_delivery import Delivery, NoAnswer
from tests.vendors.teams_forms import Missing, filled, find_action
from tests.vendors.teams_installing import Installing
from tests.vendors.teams_items import Session
from tests.vendors.teams_model import CONSENT, Conversation, Json, Message, User

CONTEXT = {"theme": "default"}


@dataclass(slots=True, kw_only=True)
class Dialog:
    """A dialog that is open. `command` and `message` are what it came from, if it was a message command."""

    conversation: Conversation
    user: User
    info: Json
    command: str | None = None
    message: Message | None = None
    root: str | None = None
    is_open: bool = True

    @property
    def title(self) -> str:
        return str(self.info.get("title", ""))

    @property
    def card(self) -> Json:
        """Its Adaptive Card."""
        card: Json = self.info["card"]["content"]
        return card


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an action led to: what was sent, and what the person sees then. `session` is where an accepted
    file is to be uploaded, `url` what was opened."""

    deliveries: list[Delivery] = field(default_factory=list)
    dialog: Dialog | None = None
    message: str | None = None
    card: Json | None = None
    error: str | None = None
    session: Session | None = None
    url: str | None = None

    @property
    def delivery(self) -> Delivery:
        """The last activity that was sent."""
        return self.deliveries[-1]


@dataclass(slots=True)
class Interactions(Installing):
    """NoAnswer: the bot did not answer in time, or answered with an error. BadAnswer: Teams does not
    understand what it answered. Missing: the person does not see such a thing. `names_requests`: invokes of
    the message command have a `requestId`, which the library's classes do not know."""

    names_requests: bool = True

    async def command(
        self, message: Message, user: User, command: str = "transcribe", *, copies: int = 1
    ) -> Outcome:
        """Use a message command; the bot need not be in the conversation."""
        conversation = self.m365.conversations[message.conversation]
        self._may(conversation, user)
        dialog = Dialog(conversation=conversation, user=user, info={}, command=command, message=message)
        dialog.root = message.root if conversation.kind == "channel" else None
        return await self._extension("composeExtension/fetchTask", dialog, {}, copies=copies)

    async def submit(
        self,
        dialog: Dialog,
        action: str,
        values: Mapping[str, Any] | None = None,
        *,
        copies: int = 1,
    ) -> Outcome:
        """Fill a dialog in and press a button of it; also the one that installs the app first."""
        if not dialog.is_open:
            raise Missing("the dialog is closed")
        found = find_action(dialog.card, action)
        if found["type"] == "Action.OpenUrl":
            return Outcome(url=found["url"])
        if found["type"] not in ("Action.Submit", "Action.Execute"):
            raise Missing(f"{found['type']} sends nothing")
        data = _with(found.get("data"), filled(dialog.card, found, values or {}))
        if dialog.command is None:
            return await self._task("task/submit", dialog, data, copies=copies)
        if (data.get("msteams") or {}).get("justInTimeInstall"):
            await self.install(dialog.conversation, dialog.user)
            data = {"msteams": {"justInTimeInstall": True}}
        return await self._extension("composeExtension/submitAction", dialog, {"data": data}, copies=copies)

    async def _extension(self, name: str, dialog: Dialog, more: Json, *, copies: int) -> Outcome:
        if dialog.message is None:
            raise Missing("a message command is used on a message")
        value: Json = {"commandId": dialog.command, "commandContext": "message"}
        value["context"] = CONTEXT
        if self.names_requests:
            value["requestId"] = self.m365.guid("request").replace("-", "")
        value["messagePayload"] = self.payloads.command_payload(dialog.conversation, dialog.message)
        activity = self._invoke(name, dialog.conversation, dialog.user, value | more, root=dialog.root)
        activity["channelData"]["source"] = {"name": "message"}
        activity["imdisplayname"] = dialog.user.name
        return await self._ask(activity, dialog, copies=copies)

    async def _task(self, name: str, dialog: Dialog, data: Json, *, copies: int = 1) -> Outcome:
        value = {"data": data, "context": CONTEXT}
        activity = self._invoke(name, dialog.conversation, dialog.user, value, root=dialog.root)
        if dialog.message is not None:
            activity["replyToId"] = dialog.message.id
        return await self._ask(activity, dialog, copies=copies)

    async def _ask(self, activity: Json, dialog: Dialog, *, copies: int) -> Outcome:
        delivery = self.delivery.add(activity, copies=copies)
        shown = await self._answered(delivery)
        dialog.is_open = False
        opened = None
        if shown.dialog is not None:
            opened = Dialog(
                conversation=dialog.conversation,
                user=dialog.user,
                info=shown.dialog,
                command=dialog.command,
                message=dialog.message,
                root=dialog.root,
            )
        return Outcome(deliveries=[delivery], dialog=opened, message=shown.message, card=shown.card)

    # Cards

    async def press(
        self,
        message: Message,
        action: str,
        user: User,
        values: Mapping[str, Any] | None = None,
        *,
        copies: int = 1,
    ) -> Outcome:
        """Press a button of a card, by title, id or verb, with what is filled into its inputs."""
        conversation = self.m365.conversations[message.conversation]
        self._may(conversation, user)
        if message.deleted:
            raise Missing("the message was deleted")
        card = message.views.get(user.id, message.card)
        found = find_action(card, action)
        if found["type"] == "Action.OpenUrl":
            return Outcome(url=found["url"])
        if found["type"] not in ("Action.Submit", "Action.Execute"):
            raise Missing(f"{found['type']} sends nothing")
        typed = filled(card, found, values or {})
        if found["type"] == "Action.Execute":
            return await self._execute(message, user, found, typed, copies=copies)
        data = _with(found.get("data"), typed)
        extra = data.get("msteams") or {}
        if extra.get("type") == "task/fetch":
            dialog = Dialog(conversation=conversation, user=user, info={}, message=message)
            dialog.root = message.root if conversation.kind == "channel" else None
            return await self._task("task/fetch", dialog, data, copies=copies)
        return await self._submit(message, user, data, copies=copies)

    async def _submit(self, message: Message, user: User, data: Json, *, copies: int) -> Outcome:
        conversation = self.m365.conversations[message.conversation]
        extra = data.get("msteams") or {}
        root = message.root if conversation.kind == "channel" else None
        activity = self.payloads.activity("message", conversation, user, root=root)
        activity["replyToId"] = message.id
        activity["channelData"] |= {"source": {"name": "message"}}
        activity["channelData"]["legacy"] = {"replyToId": f"1:{self.m365.opaque('legacy', 40)}"}
        if extra.get("type") == "imBack":
            activity |= {"text": extra["value"], "textFormat": "plain"}
        elif extra.get("type") == "messageBack":
            activity |= {"value": extra.get("value"), "text": extra.get("text", ""), "textFormat": "plain"}
        elif "type" in extra:
            raise Missing(f"this server cannot do {extra['type']}")
        else:
            activity["value"] = data
        delivery = self.delivery.add(activity, copies=copies)
        await delivery.over.wait()
        if not delivery.acknowledged:
            raise NoAnswer(f"the bot did not take the message: {delivery.attempts}")
        return Outcome(deliveries=[delivery])

    async def _execute(
        self,
        message: Message,
        user: User,
        found: Json,
        typed: Json,
        *,
        trigger: str = "manual",
        copies: int = 1,
    ) -> Outcome:
        conversation = self.m365.conversations[message.conversation]
        action: Json = {k: found[k] for k in ("type", "title", "id", "verb") if k in found}
        action["data"] = _with(found.get("data"), typed)
        root = message.root if conversation.kind == "channel" else None
        value = {"action": action, "trigger": trigger}
        activity = self._invoke("adaptiveCard/action", conversation, user, value, root=root)
        activity["replyToId"] = message.id
        delivery = self.delivery.add(activity, copies=copies)
        shown = await self._answered(delivery)
        if shown.card is not None:
            message.views[user.id] = shown.card
        return Outcome(deliveries=[delivery], message=shown.message, card=shown.card, error=shown.error)

    async def look(self, message: Message, user: User) -> Json:
        """The card that somebody sees, refreshed first if it does so by itself for them."""
        card = message.views.get(user.id, message.card)
        refresh = card.get("refresh")
        if refresh is not None and user.mri in refresh.get("userIds", [user.mri]):
            await self._execute(message, user, refresh["action"], {}, trigger="automatic")
        return message.views.get(user.id, message.card)

    # Consent to files

    async def accept_consent(self, message: Message, user: User, *, copies: int = 1) -> Outcome:
        """Allow the bot to put a file into one's OneDrive; it is told where to upload it."""
        conversation, card = self._consent(message, user)
        drive = self.m365.drive_of(user=user.id)
        folder = self.m365.folder(self.m365.root(drive), f"Applications/{self.app.name}")
        name = self.m365.free_name(folder, card["name"])
        session = self.storage.open(drive.id, folder.id, name, "replace")
        info: Json = {"name": name, "uploadUrl": self.storage.upload_url(session)}
        session.unique_id = self.m365.guid("unique")
        info |= {"contentUrl": f"{self.m365.web_url(folder)}/{quote(name)}", "uniqueId": session.unique_id}
        info["fileType"] = name.rpartition(".")[2]
        value = {"type": "fileUpload", "action": "accept", "uploadInfo": info}
        value["context"] = card["content"].get("acceptContext")
        return await self._consented(conversation, message, user, value, session, copies=copies)

    async def decline_consent(self, message: Message, user: User) -> Outcome:
        conversation, card = self._consent(message, user)
        value = {"type": "fileUpload", "action": "decline", "context": card["content"].get("declineContext")}
        return await self._consented(conversation, message, user, value, None, copies=1)

    def _consent(self, message: Message, user: User) -> tuple[Conversation, Json]:
        conversation = self.m365.conversations[message.conversation]
        self._may(conversation, user)
        card = next((a for a in message.attachments if a["contentType"] == CONSENT), None)
        if card is None or message.deleted:
            raise Missing("there is no consent card")
        return conversation, card

    async def _consented(
        self,
        conversation: Conversation,
        message: Message,
        user: User,
        value: Json,
        session: Session | None,
        *,
        copies: int,
    ) -> Outcome:
        activity = self._invoke("fileConsent/invoke", conversation, user, value)
        activity["replyToId"] = message.id
        delivery = self.delivery.add(activity, copies=copies)
        await self._answered(delivery)
        return Outcome(deliveries=[delivery], session=session)

    # What they share

    def _invoke(
        self, name: str, conversation: Conversation, user: User, value: Json, *, root: str | None = None
    ) -> Json:
        return self.payloads.activity("invoke", conversation, user, root=root, name=name, value=value)

    async def _answered(self, delivery: Delivery) -> Shown:
        await delivery.over.wait()
        if delivery.answered is None or delivery.status != 200:
            raise NoAnswer(f"the bot did not answer {delivery.kind}: {delivery.attempts}")
        try:
            return read(delivery.kind, delivery.answer)
        except BadAnswer as error:
            delivery.problem = str(error)
            raise


def _with(data: Any, typed: Json) -> Json:
    """Hidden data of an action with what was typed in; a text is put beside it."""
    return {**(data if isinstance(data, dict) else {} if data is None else {"data": data}), **typed}
