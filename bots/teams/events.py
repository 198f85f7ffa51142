"""What Teams tells of: messages, their changes and deletions, and where the app comes and goes.

Everything is only written down here; see `bots.teams.adapter` for who acts on it.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from html import unescape

from bots.teams.commands import WORDS
from bots.teams.conversations import Conversations
from bots.teams.incoming import Incoming
from bots.teams.letters import Asked, Joined, Left, Met, Restored, Shared, Told, Withdrawn
from bots.teams.posting import Posting, origin, seconds
from bots.teams.presses import read_press
from bots.teams.pressing import Pressing
from bots.teams.records import links_in, text
from bots.teams.shares import Found, is_alone, linked, sent_in
from core.policies import Mode
from core.ports import Links

_MENTION = re.compile(r"<at[^<>]*>[^<]*</at>")
_BARE_LINK = re.compile(r"https://[^\s<>\"]+")
MEETING_END = "application/vnd.microsoft.meetingEnd"
_GONE = frozenset({"channelDeleted", "teamDeleted", "teamHardDeleted"})


class Events:
    """Takes activities that want no answer."""

    def __init__(
        self, posting: Posting, conversations: Conversations, pressing: Pressing, links: Links
    ) -> None:
        self._posting = posting
        self._conversations = conversations
        self._pressing = pressing
        self._links = links

    async def take(self, incoming: Incoming) -> None:
        """Write down what is to be done about an activity. Raises what the store raises."""
        match incoming.kind:
            case "message":
                await self._message(incoming)
            case "messageUpdate" if incoming.event == "editMessage":
                await self._requested(incoming, edited=True)
            case "messageUpdate" if incoming.event == "undeleteMessage":
                letter = Restored(**origin(incoming), message=incoming.id)
                await self._posting.keep(letter, incoming.id, *_version(incoming))
                await self._requested(incoming, edited=True)
            case "event" if incoming.name == MEETING_END:
                await self._met(incoming)
            case "messageDelete":
                gone = Withdrawn(**origin(incoming), message=incoming.id)
                await self._posting.keep(gone, incoming.id, *_version(incoming))
            case "conversationUpdate":
                await self._conversation(incoming)
            case "installationUpdate":
                await self._installation(incoming)
            case _:
                return

    async def _message(self, incoming: Incoming) -> None:
        if (press := read_press(incoming.value)) is not None:
            await self._pressing.pressed(incoming, press)  # as clients do that know no better button
        else:
            await self._requested(incoming, edited=False)

    async def _requested(self, incoming: Incoming, *, edited: bool) -> None:
        """A message, or what became of one."""
        if not incoming.id:
            return
        if incoming.user and is_alone(incoming.where):
            await self._written_to(incoming, edited=edited)
        elif incoming.user and incoming.mentions_app:
            await self._asked(incoming, (), edited=edited)
        elif await self._is_looked_at(incoming):
            letter = Shared(**origin(incoming), message=incoming.id, look=True, at=time.time())
            await self._posting.keep(letter, incoming.id)

    async def _is_looked_at(self, incoming: Incoming) -> bool:
        """Whether what nobody addressed to the app is looked at: what people write, or also other apps."""
        if is_alone(incoming.where):
            return False
        policy = await self._conversations.policy(incoming.where)
        return policy.mode is Mode.ALL and (policy.bots or bool(incoming.user))

    async def _met(self, incoming: Incoming) -> None:
        """A meeting ended, and its recording may come."""
        if incoming.where.kind == "channel":
            return  # in whose thread it was is not said
        if (await self._conversations.policy(incoming.where)).mode is Mode.ALL:
            at = seconds(text(incoming.value, "EndTime"), now=time.time())
            await self._posting.keep(Met(**origin(incoming), meeting=incoming.meeting, at=at))

    async def _written_to(self, incoming: Incoming, *, edited: bool) -> None:
        """Somebody wrote to the app alone."""
        found = self._found(incoming)
        if found and _word(incoming) != "transcribe":
            shared = Shared(**origin(incoming), message=incoming.id, found=found)
            await self._posting.keep(shared, incoming.id, *_version(incoming))
        elif found or not edited:
            await self._asked(incoming, found, edited=edited)

    async def _asked(self, incoming: Incoming, found: tuple[Found, ...], *, edited: bool) -> None:
        word = _word(incoming)
        known = word if word in WORDS else ""
        if not known and not found and is_alone(incoming.where) and word != "transcribe":
            known = "help"
        if known and not edited:
            told = Told(**origin(incoming), word=known, message=incoming.id)
            await self._posting.keep(told, incoming.id)
        elif not known:
            asked = Asked(
                **origin(incoming),
                message=incoming.id,
                found=found,
                request="" if edited else incoming.id,
                at=time.time(),
            )
            await self._posting.keep(asked, incoming.id, *_version(incoming))

    def _found(self, incoming: Incoming) -> tuple[Found, ...]:
        """What somebody sent to the app, or linked to."""
        html = [each.content for each in incoming.attachments if each.kind == "text/html"]
        urls = [*_BARE_LINK.findall(incoming.text), *(url for each in html for url in links_in(each))]
        found = [
            *sent_in(incoming.downloads, incoming.user),
            *linked(tuple(dict.fromkeys(urls)), incoming.user, self._links.covers, asked=True),
        ]
        # What was sent is nearer at hand than a link to the same.
        return tuple({each.file: each for each in reversed(found)}.values())[::-1]

    async def _conversation(self, incoming: Incoming) -> None:
        if incoming.where.bot in incoming.added:
            await self._posting.keep(Joined(**origin(incoming)), "")
        elif incoming.event in _GONE:
            where, whole = incoming.where, incoming.event != "channelDeleted"
            if incoming.channel and not whole:
                where = replace(where, conversation=incoming.channel)
            if whole or incoming.channel:
                left = Left(**origin(replace(incoming, where=where)), whole=whole)
                await self._posting.keep(left, incoming.id)

    async def _installation(self, incoming: Incoming) -> None:
        """An upgrade takes the app out and in again, which is no leaving."""
        if incoming.action == "remove":
            left = Left(**origin(incoming), whole=incoming.where.kind == "channel")
            await self._posting.keep(left, incoming.id)
        elif incoming.action.startswith("add"):
            await self._posting.keep(Joined(**origin(incoming)), "")


def _version(incoming: Incoming) -> tuple[str, ...]:
    """What tells one change of a message from another; nothing where it is new."""
    return () if incoming.kind == "message" else (text(incoming.payload, "timestamp"),)


def _word(incoming: Incoming) -> str:
    """What somebody wrote, if that is but a word or two for the app."""
    said = unescape(_MENTION.sub(" ", incoming.text))
    return " ".join(said.split()).strip(" .,!?").lower()
