"""A Slack in a process of its own in which people share recordings: `python -m benchmarks.slack_load`.

For `benchmarks.slack`. The Slack is the tests' own, with its rate limits on. It speaks with the benchmark in
lines of JSON: first it says with which settings a service is to be started; then it reads where that service
is, says when people begin to share and when they have, and in the end what came of it.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from http.cookies import SimpleCookie
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import av

from benchmarks.service import Trouble, end_with_parent
from bots.slack import ids
from bots.slack.settings import EVENTS_PATH, INSTALL_PATH
from core.vault import Vault
from tests.vendors.slack import Installer, Item, SlackServer, serving
from tests.vendors.slack_limits import interactive
from tests.vendors.slack_model import Channel, File, Message

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "meeting.m4a"

_CHANNELS = 40  # in all workspaces together
_PEOPLE = 5
_TOLD_TWICE = 0.25  # of the shares: their events are delivered twice under the same event id
_PATIENCE = 420.0  # seconds without news after which what is missing counts as lost
_AFTERWARDS = 10.0  # seconds in which a second answer would show
_EVERY = 0.01


def times(rate: float, minutes: float, seed: int) -> list[float]:
    """When people share, in seconds from the beginning: `rate` a minute on average, at random."""
    chance = random.Random(seed)
    count = round(rate * minutes)
    gaps = [chance.expovariate(1) for _ in range(count)]
    scale = 60 * minutes / sum(gaps)
    return list(accumulate(scale * gap for gap in gaps))


def made_recording(seconds: float) -> bytes:
    """The sample meeting over and over, as the phones of today record: AAC in MP4, here at 24 kbit/s."""
    into = io.BytesIO()
    with av.open(into, "w", format="mp4") as target:
        stream = target.add_stream("aac", rate=16000, layout="mono", bit_rate=24000)
        done = 0
        while done < seconds * 16000:
            for part in _samples():
                if done >= seconds * 16000:
                    break
                part.pts = done
                done += part.samples
                target.mux(stream.encode(part))
        target.mux(stream.encode(None))
    return into.getvalue()


def _samples() -> Iterator[av.AudioFrame]:
    with av.open(str(SAMPLE)) as source:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=16000)
        for frame in source.decode(audio=0):
            yield from resampler.resample(frame)


def another(recording: bytes, number: int) -> bytes:
    """The same sound in other bytes, so that it is recognised anew: a box that players skip."""
    return recording + struct.pack(">I4sQ", 16, b"free", number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a share: seconds to the first reply and to the transcript (None: never came), how many
    answers and how many messages with files there are, whether the answer is that it failed, and whether the
    files are those that there should be."""

    replied: float | None
    transcribed: float | None
    answers: int
    carriers: int
    failed: bool
    complete: bool

    @property
    def lost(self) -> bool:
        return self.transcribed is None or not self.complete

    @property
    def surplus(self) -> int:
        """Messages that are there once too often."""
        return max(0, self.answers - 1) + max(0, self.carriers - 1)


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
        answers=len(answers),
        carriers=len(carriers),
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
    late: list[float] = field(default_factory=list)

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
        began = time.monotonic()
        for number, at in enumerate(when):
            await asyncio.sleep(max(0.0, began + at - time.monotonic()))
            channel = chance.choice(self.channels)
            person = chance.choice([m for m in channel.members if not self.server.slack.users[m].is_bot])
            item = Item(name=f"recording {number}.m4a", data=another(recording, number), mimetype="audio/mp4")
            message, files = await self.server.share(
                channel,
                person,
                item,
                copies=2 if chance.random() < _TOLD_TWICE else 1,
                order="file_shared first" if chance.random() < 0.5 else "message first",
            )
            self.shared.append((message, files[0]))

    async def settle(self) -> None:
        """Wait until every share is answered, or nothing has happened for too long."""
        open_ones = list(self.shared)
        calls, changed = 0, time.monotonic()
        while open_ones and time.monotonic() - changed < _PATIENCE:
            await asyncio.sleep(1.0)
            if len(self.server.calls) > calls:
                calls, changed = len(self.server.calls), time.monotonic()
            for message, file in list(open_ones):
                found = outcome(self.server, message)
                if found.failed or not found.lost:
                    file.data = b""  # nobody fetches it any more, and there are many
                    open_ones.remove((message, file))
        await asyncio.sleep(_AFTERWARDS)

    async def watch_itself(self) -> None:
        """Note by how much this process is late itself, which acknowledgements are measured with."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(_EVERY)
            self.late.append(max(0.0, time.monotonic() - began - _EVERY))

    def found(self) -> dict[str, Any]:
        """See `benchmarks.slack.Found`."""
        asked = Counter(call.method for call in self.server.calls)
        refused = Counter(call.method for call in self.server.calls if call.error is not None)
        return {
            "outcomes": [asdict(outcome(self.server, message)) for message, _ in self.shared],
            "acknowledged": self.server.acknowledged_in(),
            "sent": sum(len(delivery.attempts) for delivery in self.server.deliveries),
            "unacknowledged": sum(not delivery.acknowledged for delivery in self.server.deliveries),
            "late": self.late,
            "calls": {method: [count, refused[method]] for method, count in asked.items()},
        }


def tell(**said: Any) -> None:
    print(json.dumps(said), flush=True)


async def run(way: str, workspaces: int, when: Sequence[float], seconds: float, seed: int) -> None:
    """See the module. Raises Trouble if the service can't be used."""
    recording = await asyncio.to_thread(made_recording, seconds)
    async with serving() as server:
        load = Load(server=server, workspaces=workspaces)
        tell(settings=load.settings(way))
        address = (await asyncio.to_thread(sys.stdin.readline)).strip()
        await load.install(address)
        if way == "http":
            server.delivery.request_url = f"{address}{EVENTS_PATH}"
        else:
            await server.connected(seconds=60)
        installing = len(server.calls)
        server.limit_rates()
        watching = asyncio.create_task(load.watch_itself())
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
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--way", choices=["socket", "http"], default="socket")
    parser.add_argument("--workspaces", type=int, default=1)
    parser.add_argument("--rate", type=float, default=200, help="shares a minute")
    parser.add_argument("--minutes", type=float, default=3, help="for which people share")
    parser.add_argument("--seconds", type=float, default=900, help="length of a recording")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    end_with_parent()
    when = times(options.rate, options.minutes, options.seed)
    asyncio.run(run(options.way, options.workspaces, when, options.seconds, options.seed))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
