"""The real service with the Slack door open, as a child process beside a Slack on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bots.slack import ids
from bots.slack.settings import EVENTS_PATH
from tests.adapters.slack_desk import Desk, desk
from tests.e2e.children import PATIENCE, Children, Process
from tests.e2e.test_cli_transcribe import environment
from tests.vendors.slack_limits import interactive
from tests.vendors.slack_model import File, Message

Way = Literal["socket", "http"]

FILES = ["talk about money.transcript.md", "talk about money.transcript.srt"]


@dataclass(kw_only=True)
class Services(Children):
    """Slack reaches them by `way`; `more` are settings of every one."""

    at: Desk
    way: Way = "socket"
    more: dict[str, str] = field(default_factory=dict)

    def settings(self, **more: str) -> dict[str, str]:
        app, token = self.at.server.app, self.at.server.installation(self.at.workspace).token
        own = {
            "ERNI_ADAPTERS": "slack",
            "ERNI_HTTP_PORT": "0",
            "SLACK_BOT_TOKEN": token,
            "SLACK_API_BASE_URL": self.at.server.api_url,
        }
        if self.way == "socket":
            own |= {"SLACK_APP_TOKEN": app.app_token}
        else:
            own |= {"SLACK_SIGNING_SECRET": app.signing_secret, "ERNI_PUBLIC_URL": "https://erni.example"}
        return environment(self.home, **own | self.more | more)

    @asynccontextmanager
    async def running(self, **more: str) -> AsyncIterator[Process]:
        """A service that Slack can reach, until it is stopped as a service manager does it."""
        delivery = self.at.server.delivery
        connected = delivery.opened
        async with super().running(**more) as process:
            if self.way == "socket":
                await self.until(lambda: delivery.opened > connected, process)
            else:
                delivery.request_url = f"{self.address}{EVENTS_PATH}"
            yield process

    # what people see

    def replies(self, message: Message) -> list[Message]:
        """What the app wrote under a message."""
        return [reply for reply in self.at.thread(message) if reply.bot_id is not None]

    def files(self, message: Message) -> list[File]:
        """The transcript's files in a thread: every one that is there."""
        attached = (file for reply in self.replies(message) for file in self.at.server.attached(reply))
        return [file for file in attached if not file.deleted]

    async def transcribed(self, message: Message) -> Message:
        """Wait for the answer that shows the transcript."""
        await self.until(lambda: any(shows_transcript(reply) for reply in self.replies(message)))
        return next(reply for reply in self.replies(message) if shows_transcript(reply))

    async def quiet(self) -> None:
        """Until Slack has told everything and was asked nothing for a while: would there be more?"""
        await self.at.server.delivered(seconds=PATIENCE)
        calls = -1
        while calls < (calls := len(self.at.server.calls)):
            await asyncio.sleep(2.0)  # longer than the pauses between two calls of one answer

    def once(self, message: Message) -> bytes:
        """That a thread holds one answer, which shows the transcript, and its two files in one message, and
        nothing else; the subtitles."""
        answer, carrier = sorted(self.replies(message), key=lambda reply: bool(reply.files))
        assert self.at.answers(message) == [answer]
        assert shows_transcript(answer)
        assert len(carrier.files) == 2
        assert sorted(file.name for file in self.files(message)) == FILES
        return next(file.data for file in self.files(message) if file.name.endswith(".srt"))

    def leaked(self, words: Iterable[str]) -> list[str]:
        """What the log says and must not: some of `words` that were said, names, secrets."""
        app, server = self.at.server.app, self.at.server
        people = [name for user in server.slack.users.values() for name in (user.name, user.real_name)]
        files = [name for file in server.slack.files.values() for name in (file.name, "about money", file.id)]
        secrets = [
            app.app_token,
            app.signing_secret,
            app.client_secret,
            *(each.token for each in server.slack.installations),
            *server.slack.response_urls,
            *server.slack.uploads,
        ]
        log = self.log.replace(str(self.home), "")
        private = {*people, *files, *secrets, *words} - {"erni", "Erni", app.name}
        return [text for text in private if text in log]


def shows_transcript(message: Message) -> bool:
    """Whether the names of speakers can be given under it, which is so for nothing else."""
    return any(element["action_id"] == ids.RENAME for _, element in interactive(message.blocks))


@asynccontextmanager
async def services(home: Path, **more: object) -> AsyncIterator[Services]:
    """See `Services`, with a Slack of its own."""
    home.mkdir(parents=True, exist_ok=True)
    async with desk(home) as at:
        yield Services(home=home, at=at, **more)  # type: ignore[arg-type]  # passed on as they are
