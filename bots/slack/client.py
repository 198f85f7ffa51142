"""One workspace's Slack: what the front door asks of it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bots.slack.calls import Calls
from bots.slack.hosts import Hosts
from bots.slack.people import People, next_cursor
from bots.slack.records import Identity, Json, Message, SlackFile, mapping
from bots.slack.troubles import Gone, lost
from core.errors import Transient
from core.fresh import Fresh

Blocks = Sequence[Mapping[str, Any]]

_PERMALINK_SECONDS: Final = 86400.0
_PAGE: Final = 200
_HOW: Final[Mapping[str, Any]] = {"link_names": False, "parse": "none"}
_UNFURLED: Final[Mapping[str, Any]] = {"unfurl_links": False, "unfurl_media": False}


@dataclass(slots=True, kw_only=True)
class Bookmark:
    """How far a thread was read: the page that comes next, and how many replies came before it."""

    cursor: str = ""
    read: int = 0


class Workspace(People):
    """The Slack of one workspace, seen with the bot token `token`.

    `session` comes from `Hosts.session` and may be shared by all workspaces; its owner closes it. `team` is
    the workspace's id where the token is that of an organisation, `bot_user` the app's own user id there.
    `clock` gives seconds, for what is remembered of people and conversations.

    Methods raise what `bots.slack.troubles` describes: Transient, Denied, Refused or Unshowable and what is
    derived of them; Unsure where a message may have been posted.
    """

    def __init__(
        self,
        token: str,
        *,
        hosts: Hosts,
        session: aiohttp.ClientSession,
        team: str | None = None,
        bot_user: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(Calls(token, hosts=hosts, session=session, team=team), clock)
        self.bot_user = bot_user
        self._permalinks: Fresh[str] = Fresh(_PERMALINK_SECONDS, clock)

    def renew(self, token: str) -> None:
        """Go on with another token of the same workspace."""
        self.calls.renew(token)

    # the app and files

    async def identity(self) -> Identity:
        """Who we are there, and with which scopes."""
        response = await self.calls.answer("auth.test", self._web.auth_test())
        data = mapping(response.data)
        granted = str(response.headers.get("x-oauth-scopes", ""))
        return Identity(
            user=str(data.get("user_id") or ""),
            bot_id=str(data.get("bot_id") or ""),
            team=str(data.get("team_id") or ""),
            enterprise=str(data.get("enterprise_id") or ""),
            url=str(data.get("url") or ""),
            scopes=frozenset(filter(None, (scope.strip() for scope in granted.split(",")))),
        )

    async def file(self, file_id: str) -> SlackFile:
        """The file as it is now. Raises Gone if it was deleted or the app can't see it."""
        data = await self._ask("files.info", self._web.files_info(file=file_id))
        file = SlackFile.from_payload(data.get("file"))
        if not file.id:
            raise Transient("Slack answered files.info without a file.")
        return file

    async def delete_file(self, file_id: str) -> None:
        """Delete a file, which must be ours. One that is gone already is fine."""
        await self._gone("files.delete", self._web.files_delete(file=file_id))

    # messages

    async def post(
        self,
        channel: str,
        text: str,
        *,
        thread_ts: str | None = None,
        blocks: Blocks | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Post a message, in a thread if `thread_ts` is given; its time stamp. `text` is what notifications
        and screen readers get, and the message itself without `blocks`. Raises Unsure if it may be there."""
        call = self._web.chat_postMessage(
            channel=channel,
            text=text,
            thread_ts=thread_ts,
            blocks=_plain(blocks),
            metadata=None if metadata is None else dict(metadata),
            **_HOW,
            **_UNFURLED,
        )
        data = await self._ask("chat.postMessage", call)
        if not isinstance(ts := data.get("ts"), str) or not ts:
            raise lost("chat.postMessage", "an answer without a time stamp")
        return ts

    async def update(
        self,
        channel: str,
        ts: str,
        text: str,
        *,
        blocks: Blocks | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Change a message of ours; its time stamp. Without `blocks` it has none any more. Metadata stays
        unless it is given. `text` may have 4,000 bytes."""
        call = self._web.chat_update(
            channel=channel,
            ts=ts,
            text=text,
            blocks=_plain(blocks) or [],
            metadata=None if metadata is None else dict(metadata),
            **_HOW,
        )
        await self._ask("chat.update", call)
        return ts

    async def delete_message(self, channel: str, ts: str) -> None:
        """Delete a message of ours. One that is gone already is fine."""
        await self._gone("chat.delete", self._web.chat_delete(channel=channel, ts=ts))

    async def ephemeral(
        self,
        channel: str,
        user: str,
        text: str,
        *,
        thread_ts: str | None = None,
        blocks: Blocks | None = None,
    ) -> None:
        """Tell one member of the conversation something that nobody else sees and that nobody keeps."""
        call = self._web.chat_postEphemeral(
            channel=channel, user=user, text=text, thread_ts=thread_ts, blocks=_plain(blocks), **_HOW
        )
        await self._ask("chat.postEphemeral", call)

    async def permalink(self, channel: str, ts: str) -> str:
        """The address of a message, for people; it stays the same."""

        async def ask() -> str:
            call = self._web.chat_getPermalink(channel=channel, message_ts=ts)
            return str((await self._ask("chat.getPermalink", call)).get("permalink") or "")

        return await self._permalinks.get(f"{channel}:{ts}", ask)

    async def replies(
        self,
        channel: str,
        ts: str,
        *,
        oldest: float = 0.0,
        metadata: bool = False,
        limit: int = 2000,
        bookmark: Bookmark | None = None,
    ) -> AsyncGenerator[Message, None]:
        """The thread of the message `ts`, that message first, or what was said in it from `oldest` on; at
        most `limit` of them. It begins at the `bookmark`, which goes along."""
        mark = bookmark or Bookmark()
        while (left := limit - mark.read) > 0:
            call = self._web.conversations_replies(
                channel=channel,
                ts=ts,
                limit=min(left, _PAGE),
                cursor=mark.cursor or None,
                oldest=f"{oldest:.6f}" if oldest else None,
                inclusive=True if oldest else None,
                include_all_metadata=metadata,
            )
            data = await self._ask("conversations.replies", call)
            found = _messages(data)[:left]
            mark.read += max(1, len(found))  # an empty page must not go on for ever
            mark.cursor = next_cursor(data)
            for each in found:
                yield Message.from_payload(each)
            if not mark.cursor:
                return

    async def message(self, channel: str, ts: str, thread_ts: str | None = None) -> Message | None:
        """The message `ts`, a reply in the thread of `thread_ts` if that is given; None if there is none."""
        call = self._web.conversations_replies(
            channel=channel,
            ts=thread_ts or ts,
            oldest=ts,
            latest=ts,
            inclusive=True,
            limit=10,
            include_all_metadata=True,
        )
        try:
            data = await self._ask("conversations.replies", call)
        except Gone as error:
            if error.code in {"thread_not_found", "message_not_found"}:
                return None
            raise
        messages = map(Message.from_payload, _messages(data))
        return next((each for each in messages if each.ts == ts), None)

    async def respond(self, response_url: str, text: str, **more: Any) -> None:
        """See `Calls.respond`."""
        await self.calls.respond(response_url, text, **more)

    # views

    async def open_view(self, trigger_id: str, view: Mapping[str, Any]) -> str:
        """Open a modal for whoever did what `trigger_id` stands for, within three seconds of it; its id."""
        call = self._web.views_open(trigger_id=trigger_id, view=dict(view))
        return str(mapping((await self._ask("views.open", call)).get("view")).get("id") or "")

    async def update_view(self, view_id: str, view: Mapping[str, Any], hash: str | None = None) -> None:  # noqa: A002
        """Change a modal that is open; TooLate if it is not, or not as `hash` says."""
        await self._ask("views.update", self._web.views_update(view_id=view_id, view=dict(view), hash=hash))

    async def publish_home(self, user_id: str, view: Mapping[str, Any]) -> None:
        """Set somebody's App Home."""
        await self._ask("views.publish", self._web.views_publish(user_id=user_id, view=dict(view)))

    async def _gone(self, method: str, call: Awaitable[AsyncSlackResponse]) -> None:
        try:
            await self._ask(method, call)
        except Gone as error:
            if error.code not in {"message_not_found", "file_not_found", "file_deleted"}:
                raise


def _plain(blocks: Blocks | None) -> Sequence[dict[str, Any]] | None:
    return None if blocks is None else [dict(block) for block in blocks]


def _messages(data: Json) -> list[Any]:
    found = data.get("messages")
    return found if isinstance(found, list) else []
