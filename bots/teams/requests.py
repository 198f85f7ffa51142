"""The message command: a dialog that asks how, and what somebody wants then."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from dataclasses import replace
from typing import Any, Final

from bots.teams import ids, notes
from bots.teams.access import Access
from bots.teams.conversations import Conversations
from bots.teams.dialogs import (
    Dialog,
    install_dialog,
    is_installed,
    nothing_dialog,
    read_dialog,
    read_transcribe,
    transcribe_dialog,
)
from bots.teams.forms import Mistakes, closing, task
from bots.teams.incoming import Incoming
from bots.teams.letters import TOLD, Asked, told_key
from bots.teams.posting import Origin, Posting, origin
from bots.teams.records import ChatMessage, mapping, text
from bots.teams.shares import Found, found_in
from bots.teams.troubles import Denied, Gone
from core.errors import Transient
from core.policies import Mode, dump_policy
from core.ports import Links, Store

logger = logging.getLogger(__name__)

_ASKING_SECONDS: Final = 2.0  # of the five within which Teams wants its answer
_SAME_SECONDS: Final = 60.0
_POST: Final = re.compile(r"\d{1,20}")
_LINKED: Final = "Linked recording"
_UNKNOWN: Final = "This command is of another version of the app."


class Requests:
    """Answers the message command's invokes."""

    def __init__(
        self, access: Access, conversations: Conversations, posting: Posting, *, store: Store, links: Links
    ) -> None:
        self._store = store
        self._access = access
        self._conversations = conversations
        self._posting = posting
        self._links = links

    async def opened(self, incoming: Incoming) -> dict[str, Any]:
        """Somebody chose the command on a message."""
        return await self._open(incoming, installed=False)

    async def submitted(self, incoming: Incoming) -> dict[str, Any]:
        """Somebody sent the dialog, or has just added the app to the conversation."""
        data = mapping(incoming.value.get("data"))
        if is_installed(data):
            return await self._open(incoming, installed=True)
        if read_dialog(data) != ids.TRANSCRIBE_DIALOG:
            return {"task": closing(_UNKNOWN)}
        message = self._message(incoming)
        policy = await self._conversations.policy(incoming.where)
        found = found_in(message, self._links.covers, asked=True)
        wish = read_transcribe(data, policy)
        if isinstance(wish, dict):
            mistakes = Mistakes(sent=data, problems=wish)
            dialog = transcribe_dialog(policy, _offered(found), data={}, mistakes=mistakes)
            return {"task": task(dialog)}
        wanted = [each for each in found if each.file in wish.recordings]
        letter = Asked(
            **self._origin(incoming, message),
            message=message.id,
            found=tuple(wanted),
            policy=dump_policy(wish.policy),
            at=0.0,
        )
        request = text(incoming.value, "requestId") or await self._request(letter)
        await self._posting.keep(replace(letter, request=request), request)
        return {"task": closing(notes.UNDER_WAY)}

    async def _request(self, letter: Asked) -> str:
        """What names a wish that Teams gave no name. It repeats what was not answered in time, so the same
        wish of the same person within a minute is one."""
        files = (each.file for each in letter.found)
        wish = "\n".join((letter.user, letter.message, letter.policy, *files))
        while True:
            request = hashlib.sha256(wish.encode()).hexdigest()[:32]
            at = await self._store.recall(TOLD, told_key(letter.where, request))
            if at is None or time.time() - float(at) < _SAME_SECONDS:
                return request
            wish = f"{request}\n{at}"  # the next of its kind, however often that is told

    async def _open(self, incoming: Incoming, *, installed: bool) -> dict[str, Any]:
        if text(incoming.value, "commandId") != ids.COMMAND:
            return {"task": closing(_UNKNOWN)}
        return {"task": task(await self._dialog(incoming, installed=installed))}

    async def _dialog(self, incoming: Incoming, *, installed: bool) -> Dialog:
        policy = await self._conversations.policy(incoming.where)
        if policy.mode is Mode.NEVER:
            return nothing_dialog(notes.switched_off(incoming.where))
        if not installed and not await self._is_in(incoming):
            return install_dialog(text(mapping(incoming.payload.get("recipient")), "name"))
        message = self._message(incoming)
        found = found_in(message, self._links.covers, asked=True)
        if not found:
            try:
                found = await self._looked_up(incoming, message)
            except Denied as error:
                logger.error("a message can't be looked at: %s", error)  # noqa: TRY400  (an operator's matter)
                return nothing_dialog(f"{notes.NOTHING_TO_TRANSCRIBE} {error}")
        if not found:
            return nothing_dialog(notes.NOTHING_TO_TRANSCRIBE)
        return transcribe_dialog(policy, _offered(found), data={})

    async def _is_in(self, incoming: Incoming) -> bool:
        """Whether the app can answer there; if that is not known in time, it is tried."""
        try:
            async with asyncio.timeout(_ASKING_SECONDS):
                return await self._conversations.is_in(incoming.where, incoming.user_chat_id or incoming.user)
        except (TimeoutError, Transient):
            return True

    async def _looked_up(self, incoming: Incoming, message: ChatMessage) -> tuple[Found, ...]:
        """What Graph shows: Teams' own message about a meeting's recording says nothing to the command."""
        where = self._origin(incoming, message)["where"]
        place = await self._access.place(where, incoming.thread, incoming.user)
        try:
            seen = await self._access.graph.message(place, message.id, root=where.root)
        except Gone:
            return ()
        return found_in(seen, self._links.covers, asked=True)

    @staticmethod
    def _message(incoming: Incoming) -> ChatMessage:
        return ChatMessage.from_payload(incoming.value.get("messagePayload"))

    @staticmethod
    def _origin(incoming: Incoming, message: ChatMessage) -> Origin:
        """Where the answer goes: in a channel into the message's thread."""
        found = origin(incoming)
        if incoming.where.kind == "channel":
            named = (message.root, message.id, incoming.where.root)
            root = next((each for each in named if _POST.fullmatch(each)), "")
            found["where"] = replace(incoming.where, root=root)
        return found


def _offered(found: tuple[Found, ...]) -> list[tuple[str, str]]:
    return [(each.file, each.name or _LINKED) for each in found]
