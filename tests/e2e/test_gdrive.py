"""The real service at a Google Drive on this machine: files in, transcripts out, whatever dies in between."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis.asyncio import Redis

from connectors.gdrive.push import PATH
from core.embedded import socket_url
from core.ledger import PREFIX
from core.vault import Vault
from tests.e2e.children import Children, Process
from tests.e2e.held import Held
from tests.e2e.test_cli_transcribe import environment, record
from tests.vendors.gdrive import GDriveServer, serving
from tests.vendors.gdrive_model import Account, File

PROMPT = [sys.executable, str(Path(__file__).with_name("prompt_erni_audio.py"))]
PUBLIC = "https://erni.example"
NAME = "talk about money"
FILES = [f"{NAME}.transcript.md", f"{NAME}.transcript.srt"]


@dataclass(kw_only=True)
class Place(Children):
    """Services at one folder of a shared drive. `more` are settings of every one."""

    program: Sequence[str] = tuple(PROMPT)
    server: GDriveServer
    anna: Account
    account: Account
    inbox: File
    key: str
    more: dict[str, str] = field(default_factory=dict)

    def settings(self, **more: str) -> dict[str, str]:
        key_file = self.home / "key.json"
        key_file.write_text(json.dumps(self.server.key_file(self.account)))
        own = {
            "ERNI_ADAPTERS": "gdrive",
            "ERNI_ENCRYPTION_KEY": self.key,
            "ERNI_HTTP_PORT": "0",
            "ERNI_REDELIVERY_SECONDS": "2",
            "ERNI_LOG_LEVEL": "DEBUG",
            "GDRIVE_API_BASE_URL": self.server.api_url,
            "GDRIVE_CREDENTIALS": str(key_file),
            "GDRIVE_FOLDERS": self.inbox.id,
            "GDRIVE_FORMATS": "md,srt",
            "GDRIVE_BACKFILL": "yes",
        }
        return environment(self.home, **own | self.more | more)

    @asynccontextmanager
    async def running(self, **more: str) -> AsyncIterator[Process]:
        """A service that Google can reach, until it is stopped as a service manager does it."""
        async with super().running(**more) as process:
            self.server.push.hosts[PUBLIC] = self.address
            yield process

    async def kill(self, process: Process) -> None:
        """Without a word, and the time passes for which a dead process still counts."""
        await super().kill(process)
        async with Redis.from_url(socket_url(self.home / "data")) as redis:
            leases = [key async for key in redis.scan_iter(f"{PREFIX}:lease:*")]
            assert leases
            await redis.delete(*leases)

    def share(self, pitch: float = 220, name: str = NAME) -> File:
        sound = record(self.home / f"{pitch}.wav", 4, pitch)
        return self.server.upload(self.inbox, f"{name}.wav", sound.read_bytes(), by=self.anna)

    def outputs(self) -> list[tuple[str, str]]:
        """Names and texts, of which there may be several with the same name."""
        found = (file for file in self.server.files_in(self.inbox) if not file.name.endswith(".wav"))
        return [(file.name, file.text) for file in found]

    async def answered(self, process: Process | None = None, recordings: int = 1) -> list[tuple[str, str]]:
        """What there is once each of so many recordings has its files."""
        await self.until(lambda: len(self.outputs()) >= 2 * recordings, process)
        return self.outputs()

    async def quiet(self, process: Process | None = None) -> None:
        """The watcher has looked around twice, and nothing was written meanwhile."""
        written = -1
        while written < (written := len(self.server.called("files.create"))):
            looked = len(self.server.called("changes.list"))
            await self.until(lambda: len(self.server.called("changes.list")) >= looked + 2, process)  # noqa: B023  (awaited at once)

    def methods_since(self, method: str) -> list[str]:
        """What was called after the last call of a method."""
        methods = [call.method for call in self.server.calls]
        return methods[len(methods) - methods[::-1].index(method) :]

    def leaked(self, texts: Iterable[str]) -> list[str]:
        """What the log says and must not."""
        secrets = [self.anna.email, self.anna.name, self.account.email, NAME, self.key]
        secrets += [self.server.key_file(self.account)["private_key"].splitlines()[1]]
        secrets += [*self.server.oauth.tokens]
        secrets += [channel.token for channel in self.server.push.channels if channel.token]
        return [text for text in (*secrets, *texts) if text in self.log]


@asynccontextmanager
async def drive(home: Path, **more: str) -> AsyncIterator[Place]:
    home.mkdir(parents=True, exist_ok=True)
    async with serving() as server:
        anna = server.person("anna.lee@example.com", name="Anna Lee")
        account = server.service_account()
        team = server.shared_drive("Team", {anna: "organizer", account: "fileOrganizer"})
        inbox = server.folder(team, "Inbox")
        key = Vault.new_key()
        yield Place(home=home, server=server, anna=anna, account=account, inbox=inbox, key=key, more=more)


def long_words(text: str) -> list[str]:
    """Words that are in no log by chance."""
    found = re.findall(r"\b[a-z]{6,}\b", text)
    assert found
    return found


async def test_a_recording_is_answered_beside_it_and_the_log_is_discreet(tmp_path: Path) -> None:
    async with drive(tmp_path) as place:
        async with place.running() as process:
            await place.until(lambda: place.server.called("changes.list"), process)
            place.share()
            found = await place.answered(process)
            assert [name for name, _ in found] == FILES
        # Nobody looks now: one recording gets another name, and another one takes its name.
        place.server.rename(place.server.named(place.inbox, f"{NAME}.wav"), "first.wav", by=place.anna)
        place.share(330)
        async with place.running() as process:
            await place.answered(process, 2)
            await place.quiet(process)
        second = [name.replace(".transcript", ".transcript (2)") for name in FILES]
        outputs = place.outputs()
        assert sorted(name for name, _ in outputs) == sorted(FILES + second)
        assert [each for each in outputs if each[0] in FILES] == found
        assert place.leaked(long_words(found[1][1])) == []
        assert "Traceback" not in place.log
        assert "Unclosed" not in place.log


async def test_a_recording_as_google_meet_saves_it_needs_no_ending(tmp_path: Path) -> None:
    name = "Weekly sync - 2026/11/20 10:00 CET - Recording"
    shown = name.replace("/", "_")
    async with drive(tmp_path) as place, place.running() as process:
        sound = record(tmp_path / "meet.wav", 4, 220).read_bytes()
        place.server.upload(place.inbox, name, sound, by=place.anna, mime_type="video/mp4")
        await place.until(lambda: len(place.server.files_in(place.inbox)) >= 3, process)
        outputs = {file.name: file.text for file in place.server.files_in(place.inbox) if file.name != name}
    assert set(outputs) == {f"{shown}.transcript.md", f"{shown}.transcript.srt"}
    assert long_words(outputs[f"{shown}.transcript.srt"])


async def test_google_tells_of_changes_and_after_a_restart_it_still_does(tmp_path: Path) -> None:
    async with drive(tmp_path, ERNI_PUBLIC_URL=PUBLIC, DRIVE_CHANGES="3600") as place:
        push = place.server.push
        async with place.running() as process:
            await place.until(push.live, process)
            [channel] = push.live()
            assert channel.address == PUBLIC + PATH
            # What changed before it was made nobody told, and so is asked for.
            await place.until(lambda: "changes.list" in place.methods_since("changes.watch"), process)
            place.share()
            await place.answered(process)
        calls = len(place.server.calls)
        place.share(330, "another")  # nobody is there to be told of it
        await push.delivered()
        async with place.running() as process:
            await place.answered(process, 2)
            place.share(440, "a third")
            await place.answered(process, 3)
            await push.delivered()
        assert push.live() == [channel]
        assert "changes.watch" not in [call.method for call in place.server.calls[calls:]]
        assert push.log[-1].status == 204
        assert len(place.outputs()) == len({name for name, _ in place.outputs()}) == 6
        assert place.leaked([]) == []


MOMENTS = {
    "told of it": Held(call="changes.list", count=2),
    "fetching": Held(call="download"),
    "before the first file": Held(call="files.create"),
    "first file written, not remembered": Held(call="files.create", done=True),
    "between the files": Held(call="files.create", count=2),
    "files written, not remembered": Held(call="files.create", count=2, done=True),
}


async def killed(home: Path, moment: str) -> list[tuple[str, str]]:
    async with drive(home) as place:
        async with place.running() as process:
            await place.until(lambda: place.server.called("changes.list"), process)
            await MOMENTS[moment](place, process)
        async with place.running() as process:
            await place.answered(process)
            await place.quiet(process)
            return place.outputs()


@pytest.mark.slow
async def test_killed_at_any_moment_it_answers_once_and_loses_nothing(tmp_path: Path) -> None:
    async with drive(tmp_path / "undisturbed") as place, place.running() as process:
        place.share()
        expected = await place.answered(process)
        assert [name for name, _ in expected] == FILES
    found = await asyncio.gather(*(killed(tmp_path / moment, moment) for moment in MOMENTS))
    assert {moment: outputs[1] for moment, outputs in zip(MOMENTS, found, strict=True)} == dict.fromkeys(
        MOMENTS, expected[1]
    )
    assert all([name for name, _ in outputs] == FILES for outputs in found)


async def test_two_services_at_one_folder_answer_once_and_stand_in_for_each_other(tmp_path: Path) -> None:
    async with drive(tmp_path / "one") as one, AsyncExitStack() as stack:
        url = socket_url(one.home / "data")
        (tmp_path / "two").mkdir()
        two = Place(
            home=tmp_path / "two",
            server=one.server,
            anna=one.anna,
            account=one.account,
            inbox=one.inbox,
            key=one.key,
            more={"REDIS_URL": url},
        )
        first = await stack.enter_async_context(one.running())
        await one.until(lambda: one.server.called("changes.list"), first)
        second = await stack.enter_async_context(two.running())
        names = [f"{NAME} {number}" for number in range(6)]
        for number, name in enumerate(names):
            one.share(200 + 20 * number, name)
        await one.answered(second, len(names))

        # The one that watches dies over a recording: the other one does it.
        hold = one.server.hold("files.create")
        one.share(500)
        await one.until(hold.arrived.is_set, first)
        await one.kill(first)
        hold.release()
        await two.answered(second, len(names) + 1)
        await two.quiet(second)
        made = [name for name, _ in one.outputs()]
        wanted = [f"{name}.transcript.{suffix}" for name in (*names, NAME) for suffix in ("md", "srt")]
        assert sorted(made) == sorted(wanted)
        assert len({text for _, text in one.outputs()}) == len(wanted)
        assert one.leaked([]) == two.leaked([]) == []
