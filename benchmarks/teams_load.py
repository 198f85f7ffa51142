"""A Microsoft 365 of its own process in which people share recordings: `python -m benchmarks.teams_load`.

For `benchmarks.teams`; see `sharing` for how they speak. It is the tests' own, with Teams' rate limits on. A
third of the recordings are sent to the app, a third posted with a mention of it, and for a third somebody
uses the message command (in one channel, half are mentions). Who is offered a file accepts it.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Final

from benchmarks import sharing
from benchmarks.service import end_with_parent
from benchmarks.sharing import TOLD_TWICE, Outcome, another, made_recording, tell, times
from bots.teams import ids
from bots.teams.package import RESOURCE_SPECIFIC
from bots.teams.settings import MESSAGES_PATH
from core.tasks import end
from tests.vendors.teams import App, Delivery, File, NoAnswer, TeamsServer, serving
from tests.vendors.teams_items import DriveItem
from tests.vendors.teams_model import CONSENT, Conversation, Message, User

PERSONAL, GROUPS, CHANNELS = 20, 10, 10
"""Chats with the app, group chats and channels, where they are spread."""

TO_APP: Final = "messages to the app"
DIALOGS: Final = "dialogs and consents"
AMONG_PEOPLE: Final = "messages among people"

_IN_GROUP = 5  # people
_EVERY: Final = 0.25  # seconds between two looks at what the app said
_MOMENT: Final = 1.0  # seconds until somebody tries again
_NAME: Final = re.compile(r"recording (\d{5})")


@dataclass(slots=True, kw_only=True)
class Share:
    """A recording that somebody wants transcribed since `at` (seconds of the server's clock), and what the
    app said of it."""

    message: Message
    item: DriveItem
    at: float
    said: list[Message] = field(default_factory=list)


@dataclass(kw_only=True)
class Load:
    """A Microsoft 365 in whose `conversations` people share."""

    server: TeamsServer
    conversations: list[Conversation] = field(default_factory=list)
    shares: dict[int, Share] = field(default_factory=dict)
    strays: int = 0
    late: sharing.Lateness = field(default_factory=sharing.Lateness)
    _seen: Counter[str] = field(default_factory=Counter)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def settings(self) -> dict[str, str]:
        """The environment of a service for it."""
        return {"ERNI_ADAPTERS": "teams", **self.server.settings}

    def furnish(self, where: str) -> None:
        """People, and where they speak: "spread" over many conversations, or in one "channel"."""
        server, tenant = self.server, self.server.add_tenant()
        people = [server.add_user(tenant, f"Person {number}") for number in range(PERSONAL)]
        groups = [people[start : start + _IN_GROUP] for start in range(0, PERSONAL, _IN_GROUP)]
        if where == "channel":
            team = server.add_team(tenant, "Board", members=people)
            self.conversations = [server.m365.conversations[team.channels[0]]]
            return
        self.conversations = [server.add_personal_chat(person) for person in people]
        self.conversations += [
            server.add_group_chat(groups[number % len(groups)], name=f"Plan {number}")
            for number in range(GROUPS)
        ]
        for number in range(CHANNELS):
            team = server.add_team(tenant, f"Team {number}", members=groups[number % len(groups)])
            self.conversations.append(server.m365.conversations[team.channels[0]])

    # what people do

    async def share(self, when: Sequence[float], recording: bytes, seed: int) -> None:
        """Everything, each at its time. Who waits for a dialog keeps nobody else waiting."""
        chance = random.Random(seed)
        alone = any(map(_is_alone, self.conversations))
        ways = ["sent", "mention", "command"] if alone else ["mention", "command"]

        async def one(number: int) -> None:
            way = ways[number % len(ways)]
            where = chance.choice([each for each in self.conversations if _is_alone(each) == (way == "sent")])
            person, other = (
                self.server.m365.users[name] for name in chance.choices(self.server.m365.members(where), k=2)
            )
            file = File(name=f"recording {number:05}.m4a", data=another(recording, number))
            copies = [_copies(chance) for _ in range(3)]
            asked: dict[str, Any] = {"text": "transcribe", "mention_bot": True} if way == "mention" else {}
            message = await self.server.post(where, person, files=[file], copies=copies[0], **asked)
            [item] = message.files.values()
            self.shares[number] = Share(message=message, item=item, at=message.at)
            if way == "command":
                self._start(partial(self.use_command, self.shares[number], other, copies[1:]))

        await sharing.at_their_times(when, one)

    async def use_command(self, share: Share, person: User, copies: Sequence[int]) -> None:
        """Somebody uses the message command on a recording."""
        opened = await self.server.command(share.message, person, copies=copies[0])
        assert opened.dialog is not None, opened.message
        share.at = self.server.m365.clock()
        await self.server.submit(opened.dialog, "Transcribe", copies=copies[1])

    def _start(self, deed: Callable[[], Awaitable[object]]) -> None:
        """Let somebody do it beside what else happens, and again where the app could not be reached."""

        async def insist() -> None:
            while True:
                try:
                    await deed()
                except NoAnswer:
                    await asyncio.sleep(_MOMENT)
                else:
                    return

        task = asyncio.create_task(insist())
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            print(f"somebody could not do what they wanted: {error!r}", file=sys.stderr)

    async def read(self, seed: int) -> None:
        """Look at what the app says, and accept the files that it offers, until cancelled."""
        chance = random.Random(seed)
        try:
            while True:
                for message in self._news():
                    found = _NAME.search(_text(message))
                    share = self.shares.get(int(found[1])) if found else None
                    if share is None or share.message.conversation != message.conversation:
                        self.strays += 1
                        continue
                    share.said.append(message)
                    if _is_offer(message):
                        owner = self.server.m365.users[share.message.sender or ""]
                        copies = _copies(chance)
                        self._start(partial(self.server.accept_consent, message, owner, copies=copies))
                await asyncio.sleep(_EVERY)
        finally:
            await end(*self._tasks)

    def _news(self) -> Iterator[Message]:
        """What the app said since the last look."""
        for conversation in self.conversations:
            messages = list(conversation.messages.values())
            yield from (each for each in messages[self._seen[conversation.id] :] if each.sender is None)
            self._seen[conversation.id] = len(messages)

    # what comes of it

    def outcome(self, share: Share) -> Outcome:
        """What people see of a share now."""
        said = [message for message in share.said if not message.deleted]
        answers = [message for message in said if message.has_card]
        offers = [message for message in said if not message.has_card]
        done = [message for message in answers if ids.RENAME_DIALOG in str(message.card)]
        files = self._files(share) if done else []
        stem = share.item.name.rpartition(".")[0]
        expected = [f"{stem}.transcript.md", f"{stem}.transcript.srt"]
        alone = _is_alone(self.server.m365.conversations[share.message.conversation])
        offered = len(expected) if alone else 0
        return Outcome(
            replied=max(min(message.at for message in answers) - share.at, 0.0) if answers else None,
            transcribed=max(_shown_at(done[0]) - share.at, 0.0) if done else None,
            surplus=sum(
                max(0, len(found) - most)
                for found, most in ((answers, 1), (offers, offered), (files, len(expected)))
            ),
            failed=any("Could not transcribe" in message.shown for message in answers),
            complete=files == expected and len(offers) == offered and not any(map(_is_offer, offers)),
        )

    def _files(self, share: Share) -> list[str]:
        """The transcript's files, wherever in the drive of the recording they are."""
        start = f"{share.item.name.rpartition('.')[0]}.transcript"
        items = self.server.m365.drives[share.item.drive].items.values()
        return sorted(item.name for item in items if item.name.startswith(start) and not item.deleted)

    async def settle(self) -> None:
        """Wait until every share is answered."""

        def let_go(share: Share) -> None:
            share.item.data = b""

        await sharing.settle(self.shares.values(), self.outcome, lambda: len(self.server.calls), let_go)

    def found(self) -> dict[str, Any]:
        """See `benchmarks.platforms.Found`."""
        asked = Counter(call.name for call in self.server.calls)
        refused = Counter(call.name for call in self.server.calls if call.status == 429)
        took: dict[str, list[float]] = {kind: [] for kind in (TO_APP, DIALOGS, AMONG_PEOPLE)}
        for delivery in self.server.deliveries:
            if delivery.took is not None:
                took[self._kind(delivery)].append(delivery.took)
        return {
            "outcomes": [asdict(self.outcome(share)) for share in self.shares.values()],
            "acknowledged": took,
            "sent": sum(len(delivery.attempts) for delivery in self.server.deliveries),
            "unacknowledged": sum(not delivery.acknowledged for delivery in self.server.deliveries),
            "late": self.late.seconds,
            "calls": {name: [count, refused[name]] for name, count in asked.items()},
        }

    def _kind(self, delivery: Delivery) -> str:
        """Messages for the app are written down when they are acknowledged, others are only looked at."""
        if delivery.is_invoke:
            return DIALOGS
        mentions = [each.get("mentioned", {}).get("id") for each in delivery.activity["entities"]]
        alone = delivery.activity["conversation"]["conversationType"] == "personal"
        return TO_APP if alone or self.server.app.bot in mentions else AMONG_PEOPLE


def _text(message: Message) -> str:
    """What it is about: its card, or the file that it offers or shows."""
    return " ".join([message.shown, *(str(each.get("name", "")) for each in message.attachments)])


def _copies(chance: random.Random) -> int:
    return 2 if chance.random() < TOLD_TWICE else 1


def _is_alone(conversation: Conversation) -> bool:
    return conversation.kind == "personal"


def _shown_at(message: Message) -> float:
    """When it began to show the transcript."""
    return next(each.at for each in message.versions if ids.RENAME_DIALOG in str(each.attachments))


def _is_offer(message: Message) -> bool:
    return any(each["contentType"] == CONSENT for each in message.attachments)


async def run(where: str, when: Sequence[float], seconds: float, seed: int) -> None:
    """See the module."""
    recording = await asyncio.to_thread(made_recording, seconds)
    async with serving(app=App(rsc=frozenset(RESOURCE_SPECIFIC))) as server:
        load = Load(server=server)
        load.furnish(where)
        tell(settings=load.settings())
        server.delivery.endpoint = await sharing.answer() + MESSAGES_PATH
        server.limit_rates()
        reading = asyncio.create_task(load.read(seed))
        watching = asyncio.create_task(load.late.watch())
        tell(event="began")
        await load.share(when, recording, seed)
        waiting = sum(load.outcome(share).lost for share in load.shares.values())
        await end(watching)
        tell(event="shared", waiting=waiting)
        await load.settle()
        await end(reading)
        if load.strays:
            print(f"{load.strays} messages of the app are about no share", file=sys.stderr)
        tell(event="done", found=load.found())


def main() -> int:
    """Be that Microsoft 365."""
    parser = sharing.arguments(__doc__ or "")
    parser.add_argument("--where", choices=["spread", "channel"], default="spread")
    options = parser.parse_args()
    end_with_parent()
    when = times(options.rate, options.minutes, options.seed)
    asyncio.run(run(options.where, when, options.seconds, options.seed))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
