"""A Slack in a process of its own in which people share recordings: `python -m benchmarks.slack_load`.

For `benchmarks.slack`; see `sharing` for how they speak. The Slack is the tests' own, with its rate limits
on.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from benchmarks import sharing
from benchmarks.service import Trouble, end_with_parent
from benchmarks.sharing import TOLD_TWICE, Outcome, another, made_recording, tell, times
from bots.slack import ids
from bots.slack.settings import EVENTS_PATH, INSTALL_PATH
from core.vault import Vault
from tests.vendors.slack import Installer, Item, SlackServer, serving
from tests.vendors.slack_limits import interactive
from tests.vendors.slack_model import Channel, File, Message

_CHANNELS = 40  # in all workspaces together
_PEOPLE = 5


def outcome(server: SlackServer, message: Message) -> Outcome:
    """What people see under a message now."""
    replies = [
        reply
        for reply in server.messages(server.slack.channels[message.channel], message.ts)
        if reply.bot_id is not None
    ]
    answers = [reply for reply in replies if not reply.files]
    carriers = [reply for reply in replies if reply.files]
    began = float(message.ts)
    done = [reply for reply in answers if _shows_transcript(reply)]
    stem = server.attached(message)[0].name.rpartition(".")[0]
    return Outcome(
        replied=min((float(reply.ts) for reply in replies), default=began - 1) - began if replies else None,
        transcribed=max(done[0].versions[-1].at - began, 0.0) if done else None,
        surplus=max(0, len(answers) - 1) + max(0, len(carriers) - 1),
        failed=any("Could not transcribe" in reply.shown for reply in answers),
        complete=sorted(file.name for reply in carriers for file in server.attached(reply))
        == [f"{stem}.transcript.md", f"{stem}.transcript.srt"],
    )


def _shows_transcript(message: Message) -> bool:
    return any(element["action_id"] == ids.RENAME for _, element in interactive(message.blocks))


@dataclass(kw_only=True)
class Load:
    """A Slack with `workspaces` in it, reached by `way`."""

    server: SlackServer
    workspaces: int
    channels: list[Channel] = field(default_factory=list)
    shared: list[tuple[Message, File]] = field(default_factory=list)
    late: sharing.Lateness = field(default_factory=sharing.Lateness)

    def settings(self, way: str) -> dict[str, str]:
        """The environment of a service for it; what is not used is empty, whatever is set here."""
        app = self.server.app
        reached = (
            {"SLACK_APP_TOKEN": app.app_token, "SLACK_SIGNING_SECRET": ""}
            if way == "socket"
            else {"SLACK_APP_TOKEN": "", "SLACK_SIGNING_SECRET": app.signing_secret}
        )
        if self.workspaces == 1:
            workspace = self.server.add_workspace()
            self._furnish(workspace.id)
            who = {
                "SLACK_BOT_TOKEN": self.server.installation(workspace).token,
                "SLACK_CLIENT_ID": "",
                "SLACK_CLIENT_SECRET": "",
            }
        else:
            who = {
                "SLACK_BOT_TOKEN": "",
                "SLACK_CLIENT_ID": app.client_id,
                "SLACK_CLIENT_SECRET": app.client_secret,
                "ERNI_ENCRYPTION_KEY": Vault.new_key(),
            }
        public = (
            {} if self.workspaces == 1 and way == "socket" else {"ERNI_PUBLIC_URL": "https://erni.example"}
        )
        return {
            "ERNI_ADAPTERS": "slack",
            "SLACK_API_BASE_URL": self.server.api_url,
            **reached,
            **who,
            **public,
        }

    async def install(self, address: str) -> None:
        """The app in every workspace, by the service's pages as people do it. Raises Trouble."""
        if self.workspaces == 1:
            return
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:
            for number in range(self.workspaces):
                workspace = self.server.add_workspace(f"Acme {number}", install=False)
                owner = next(u for u in self.server.slack.users.values() if u.team == workspace.id)
                self.server.api.installer = Installer(user=owner.id, team=workspace.id)
                async with browser.get(f"{address}{INSTALL_PATH}", allow_redirects=False) as answer:
                    cookies = SimpleCookie("; ".join(answer.headers.getall("Set-Cookie", [])))
                    place = answer.headers.get("Location", "")
                async with browser.get(place, allow_redirects=False) as answer:
                    back = urlsplit(answer.headers.get("Location", ""))
                sent = {"Cookie": "; ".join(f"{name}={each.value}" for name, each in cookies.items())}
                async with browser.get(f"{address}{back.path}?{back.query}", headers=sent) as answer:
                    if answer.status != 200:
                        raise Trouble(f"The app could not be installed: HTTP {answer.status}.")
                self._furnish(workspace.id)

    def _furnish(self, team: str) -> None:
        people = [self.server.add_user(team, f"person{number}") for number in range(_PEOPLE)]
        for number in range(_CHANNELS // self.workspaces):
            self.channels.append(self.server.add_channel(team, f"channel{number}", members=people))

    async def share(self, when: Sequence[float], recording: bytes, seed: int) -> None:
        """Everything, each at its time."""
        chance = random.Random(seed)

        async def one(number: int) -> None:
            channel = chance.choice(self.channels)
            person = chance.choice([m for m in channel.members if not self.server.slack.users[m].is_bot])
            item = Item(name=f"recording {number}.m4a", data=another(recording, number), mimetype="audio/mp4")
            message, files = await self.server.share(
                channel,
                person,
                item,
                copies=2 if chance.random() < TOLD_TWICE else 1,
                order="file_shared first" if chance.random() < 0.5 else "message first",
            )
            self.shared.append((message, files[0]))

        await sharing.at_their_times(when, one)

    async def settle(self) -> None:
        """Wait until every share is answered."""

        def let_go(share: tuple[Message, File]) -> None:
            share[1].data = b""

        await sharing.settle(
            self.shared, lambda share: outcome(self.server, share[0]), lambda: len(self.server.calls), let_go
        )

    def found(self) -> dict[str, Any]:
        """See `benchmarks.platforms.Found`."""
        asked = Counter(call.method for call in self.server.calls)
        refused = Counter(call.method for call in self.server.calls if call.error == "ratelimited")
        return {
            "outcomes": [asdict(outcome(self.server, message)) for message, _ in self.shared],
            "acknowledged": {"": self.server.acknowledged_in()},
            "sent": sum(len(delivery.attempts) for delivery in self.server.deliveries),
            "unacknowledged": sum(not delivery.acknowledged for delivery in self.server.deliveries),
            "late": self.late.seconds,
            "calls": {method: [count, refused[method]] for method, count in asked.items()},
        }


async def run(way: str, workspaces: int, when: Sequence[float], seconds: float, seed: int) -> None:
    """See the module. Raises Trouble if the service can't be used."""
    recording = await asyncio.to_thread(made_recording, seconds)
    async with serving() as server:
        load = Load(server=server, workspaces=workspaces)
        tell(settings=load.settings(way))
        address = await sharing.answer()
        await load.install(address)
        if way == "http":
            server.delivery.request_url = f"{address}{EVENTS_PATH}"
        else:
            await server.connected(seconds=60)
        installing = len(server.calls)
        server.limit_rates()
        watching = asyncio.create_task(load.late.watch())
        tell(event="began")
        await load.share(when, recording, seed)
        waiting = sum(outcome(server, message).lost for message, _ in load.shared)
        watching.cancel()
        tell(event="shared", waiting=waiting)
        await load.settle()
        del server.calls[:installing]
        tell(event="done", found=load.found())


def main() -> int:
    """Be that Slack."""
    parser = sharing.arguments(__doc__ or "")
    parser.add_argument("--way", choices=["socket", "http"], default="socket")
    parser.add_argument("--workspaces", type=int, default=1)
    options = parser.parse_args()
    end_with_parent()
    when = times(options.rate, options.minutes, options.seed)
    asyncio.run(run(options.way, options.workspaces, when, options.seconds, options.seed))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
