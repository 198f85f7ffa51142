"""The real service with the Teams door open, as a child process beside a Microsoft 365 on this machine."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bots.teams import ids
from bots.teams.settings import MESSAGES_PATH
from tests.adapters.teams_desk import Desk, desk
from tests.e2e.children import PATIENCE, Children, Process
from tests.e2e.test_cli_transcribe import QUICK, environment, record
from tests.vendors.teams import App, File
from tests.vendors.teams_model import CONSENT, FILE_INFO, Message

NAME = "talk about money"
FILES = [f"{NAME}.transcript.md", f"{NAME}.transcript.srt"]


@dataclass(kw_only=True)
class Child(Children):
    """`own` are the services' settings."""

    own: dict[str, str]

    def settings(self, **more: str) -> dict[str, str]:
        return environment(self.home, **self.own | more)


@dataclass(kw_only=True)
class Services:
    """`child` is the service and `at` the Microsoft 365 that calls it. Recordings are sent to the app in
    Ann's chat with it, or (`in_channel`) posted in a channel, where Bo asks for the transcript."""

    at: Desk
    child: Child
    in_channel: bool = False
    accepted: set[str] = field(default_factory=set)

    @asynccontextmanager
    async def running(self, **more: str) -> AsyncIterator[Process]:
        """A service that Teams can reach."""
        async with self.child.running(**more) as process:
            self.at.server.delivery.endpoint = self.child.address + MESSAGES_PATH
            yield process

    async def share(self, pitch: float = 220, *, copies: int = 1) -> Message:
        """Somebody wants a recording transcribed, and everything they sent was acknowledged. There is a
        recording of its own for each pitch, always with the same name."""
        path = record(self.child.home / f"{pitch}.wav", 4, pitch)
        file, at = File(name=f"{NAME}.wav", data=path.read_bytes()), self.at
        if not self.in_channel:
            message = await at.server.send_file(at.alone, at.anna, file, copies=copies)
        else:
            message = await at.server.post(at.channel, at.anna, "What we said", files=[file])
            opened = await at.server.command(message, at.bo)
            assert opened.dialog is not None
            sent = await at.server.submit(opened.dialog, "Transcribe", copies=copies)
            assert sent.message is not None
        await at.server.delivered(seconds=PATIENCE)
        assert all(delivery.acknowledged for delivery in at.server.deliveries)
        return message

    # what people see

    async def transcribed(self, message: Message) -> Message:
        """Wait for the answer that shows the transcript, and for its files."""
        await self.child.until(lambda: any(map(shows_transcript, self.at.answers(message))))
        if not self.in_channel:
            await self.child.until(lambda: len(self.offers(message)) >= len(FILES))
        return next(filter(shows_transcript, self.at.answers(message)))

    def offers(self, message: Message, *kinds: str) -> list[Message]:
        """Where the app asks whether a file is wanted (CONSENT), or shows it once it is there (FILE_INFO)."""
        wanted = kinds or (CONSENT, FILE_INFO)
        said = self.at.said(message)
        return [one for one in said if any(each["contentType"] in wanted for each in one.attachments)]

    async def quiet(self) -> None:
        """Until Microsoft has told everything and was asked nothing for a while: would there be more?"""
        await self.at.server.delivered(seconds=PATIENCE)
        calls = -1
        while calls < (calls := len(self.at.server.calls)):
            await asyncio.sleep(2.0)  # longer than the pauses between two calls of one answer

    async def accept(self, question: Message) -> None:
        """Accept a file that is offered; nobody does that twice."""
        self.accepted.add(question.id)
        outcome = await self.at.server.accept_consent(question, self.at.anna)
        assert outcome.delivery.acknowledged

    async def take(self, message: Message) -> None:
        """Accept every file that is offered."""
        for question in self.offers(message, CONSENT):
            if question.id not in self.accepted:
                await self.accept(question)
        await self.child.until(lambda: not self.offers(message, CONSENT))

    async def tidy(self, message: Message) -> int:
        """Press what lost answers left over, as people do who find it; the number of these messages. A card
        says where to look, and goes. A question is as good as the one that was asked again, which goes."""
        left = [one for one in self.at.answers(message) if not shows_transcript(one)]
        for card in left:
            assert "look for a newer message" in card.shown
            await self.at.server.press(card, ids.STOP, self.at.anna)
            await self._goes(card)
        asked: dict[str, Message] = {}
        for question in self.offers(message, CONSENT):
            older = asked.setdefault(question.attachments[0]["name"], question)
            if older is not question:
                left.append(older)
                await self.accept(older)
                await self._goes(question)
        await self.quiet()
        return len(left)

    async def _goes(self, message: Message) -> None:
        await self.child.until(lambda: message.deleted)

    def files(self) -> dict[str, bytes]:
        """The files of transcripts that are there, by name; each name once."""
        owner = self.at.team if self.in_channel else self.at.anna
        found = [item for item in self.at.server.items(owner).values() if not item.name.endswith(".wav")]
        assert len({item.name for item in found}) == len(found)
        return {item.name: item.read(0, item.size) for item in found}

    async def once(self, message: Message) -> bytes:
        """That there is one answer, which shows the transcript, and each of its files once, and nothing else;
        the subtitles."""
        [answer] = self.at.answers(message)
        assert shows_transcript(answer)
        offers = [one.id for one in self.offers(message)]
        assert len(offers) == (0 if self.in_channel else len(FILES))
        assert [one.id for one in self.at.said(message)] == [answer.id, *offers]
        if not self.in_channel:
            await self.take(message)
            await self.quiet()
        assert sorted(self.files()) == FILES
        return self.files()[FILES[1]]

    def leaked(self, words: Iterable[str]) -> list[str]:
        """What the log says and must not: some of `words` that were said, names, secrets."""
        server = self.at.server
        people = [name for user in server.m365.users.values() for name in (user.name, user.mail)]
        secrets = [
            server.app.secret,
            *(issued.token for issued in server.login.issued),
            *server.m365.downloads,
            *server.m365.sessions,
        ]
        log = self.child.log.replace(str(self.child.home), "")
        private = {*people, *secrets, *words, NAME, "about money", "What we said", "tempauth"}
        return [text for text in private if text in log]

    def acknowledged_ms(self) -> list[float]:
        """How long Teams waited for each answer, milliseconds, the longest last."""
        return sorted(round(1000 * seconds, 1) for seconds in self.at.server.acknowledged_in())


def shows_transcript(message: Message) -> bool:
    """Whether the names of speakers can be given under it, which is so for nothing else."""
    return ids.RENAME_DIALOG in str(message.card)


def said_in(subtitles: bytes) -> list[str]:
    """Words that are in no log by chance."""
    found = re.findall(r"\b[a-z]{6,}\b", subtitles.decode())
    assert found
    return found


@asynccontextmanager
async def services(
    home: Path,
    app: App | None = None,
    /,
    *,
    in_channel: bool = False,
    program: Sequence[str] = tuple(QUICK),
    **more: str,
) -> AsyncIterator[Services]:
    """See `Services`, with a Microsoft 365 of its own; `more` are settings."""
    home.mkdir(parents=True, exist_ok=True)
    async with desk(home, app) as at:
        own = {"ERNI_ADAPTERS": "teams", "ERNI_HTTP_PORT": "0", **at.server.settings}
        child = Child(home=home, own=own | more, program=program)
        yield Services(at=at, child=child, in_channel=in_channel)
