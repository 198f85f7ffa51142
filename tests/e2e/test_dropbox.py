"""The real service at a Dropbox on this machine: files in, transcripts out, whatever dies in between."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.adapters.dropbox_desk import INBOX
from tests.e2e.children import Children, Process
from tests.e2e.held import Held
from tests.e2e.test_cli_transcribe import environment, record
from tests.quick_store import quick_store
from tests.vendors.dropbox_server import DropboxServer, Grant, Person, serving

NAME = "talk about money"
FILES = [f"{NAME}.transcript.md", f"{NAME}.transcript.srt"]


@dataclass(kw_only=True)
class Place(Children):
    """Services at one Dropbox."""

    server: DropboxServer
    ann: Person
    grant: Grant

    def settings(self, **more: str) -> dict[str, str]:
        assert self.grant.refresh_token is not None
        return environment(
            self.home,
            ERNI_ADAPTERS="dropbox",
            ERNI_HTTP_PORT="0",
            ERNI_REDELIVERY_SECONDS="2",
            ERNI_LOG_LEVEL="DEBUG",
            DROPBOX_APP_KEY=self.server.app.key,
            DROPBOX_REFRESH_TOKEN=self.grant.refresh_token,
            DROPBOX_FOLDERS=INBOX,
            DROPBOX_FORMATS="md,srt",
            DROPBOX_BACKFILL="yes",
            DROPBOX_API_BASE_URL=self.server.origin,
            **more,
        )

    def share(self, pitch: float = 220, name: str = NAME) -> None:
        self.ann.upload(f"{INBOX}/{name}.wav", record(self.home / f"{pitch}.wav", 4, pitch).read_bytes())

    def outputs(self) -> dict[str, str]:
        return {
            name: self.ann.file(f"{INBOX}/{name}").data.decode()
            for name in self.ann.names(INBOX)
            if not name.endswith(".wav")
        }

    async def answered(self, process: Process | None = None) -> dict[str, str]:
        await self.until(lambda: sorted(self.outputs()) == FILES, process)
        return self.outputs()

    async def quiet(self) -> None:
        """Nothing is written any more."""
        calls = -1
        while calls < (calls := len(self.server.called("files/upload"))):
            await asyncio.sleep(2.0)  # longer than the pauses between two calls of one answer

    def leaked(self, texts: list[str]) -> list[str]:
        """What the log says and must not."""
        secrets = [self.server.app.secret, self.ann.account.name, self.ann.account.email, NAME]
        secrets += [each.access_token for each in self.server.grants.all]
        secrets += [each.refresh_token or "-" * 9 for each in self.server.grants.all]
        return [text for text in (*secrets, *texts) if text in self.log]


@asynccontextmanager
async def dropbox(home: Path) -> AsyncIterator[Place]:
    home.mkdir(parents=True, exist_ok=True)
    async with serving() as server:
        ann = server.add_person("Ann Lee")
        ann.make_folder(INBOX)
        yield Place(home=home, server=server, ann=ann, grant=server.connect(ann, pkce=True))
        assert server.misfits() == []


def long_words(text: str) -> list[str]:
    """Words that are in no log by chance."""
    found = re.findall(r"\b[a-z]{6,}\b", text)
    assert found
    return found


async def test_a_recording_is_answered_beside_it_and_the_log_is_discreet(tmp_path: Path) -> None:
    async with dropbox(tmp_path) as place:
        async with place.running() as process:
            await place.until(lambda: place.server.longpoll.waiting, process)
            place.share()
            found = await place.answered(process)
        # Nobody looks now: one recording gets another name, and another one takes its name.
        place.ann.move(f"{INBOX}/{NAME}.wav", f"{INBOX}/first.wav")
        place.share(330)
        async with place.running() as process:
            await place.until(lambda: len(place.outputs()) == 4, process)
        second = [name.replace(".transcript", ".transcript (2)") for name in FILES]
        assert sorted(place.outputs()) == sorted(FILES + second)
        assert {name: text for name, text in place.outputs().items() if name in FILES} == found
        assert place.leaked(long_words(found[FILES[1]])) == []
        assert "Traceback" not in place.log
        assert "Unclosed" not in place.log


MOMENTS = {
    "told of it": Held(call="files/list_folder/continue", count=2),
    "fetching": Held(call="files/download"),
    "before the first file": Held(call="files/upload"),
    "first file written, not remembered": Held(call="files/upload", done=True),
    "between the files": Held(call="files/upload", count=2),
    "files written, not remembered": Held(call="files/upload", count=2, done=True),
}


async def killed(home: Path, moment: str) -> dict[str, str]:
    async with dropbox(home) as place:
        async with place.running() as process:
            await MOMENTS[moment](place, process)
        async with place.running() as process:
            await place.answered(process)
            await place.until(lambda: place.server.longpoll.waiting, process)
            await place.quiet()
            return await place.answered(process)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_killed_at_any_moment_it_answers_once_and_loses_nothing(tmp_path: Path) -> None:
    async with dropbox(tmp_path / "undisturbed") as place, place.running() as process:
        place.share()
        expected = (await place.answered(process))[FILES[1]]

    async def one(moment: str) -> str:
        return (await killed(tmp_path / moment, moment))[FILES[1]]

    found = await asyncio.gather(*map(one, MOMENTS), return_exceptions=True)
    assert dict(zip(MOMENTS, found, strict=True)) == dict.fromkeys(MOMENTS, expected)


CALLS = ("files/list_folder/continue", "files/download", "files/upload")


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_two_services_on_one_store_outlive_kills_at_random(tmp_path: Path) -> None:
    chance = random.Random(20261125)
    with quick_store() as url:
        async with dropbox(tmp_path / "0") as one, AsyncExitStack() as last:
            (tmp_path / "1").mkdir()
            two = Place(home=tmp_path / "1", server=one.server, ann=one.ann, grant=one.grant)
            lives = [await last.enter_async_context(AsyncExitStack()) for _ in range(2)]

            async def start(number: int) -> Process:
                return await lives[number].enter_async_context((one, two)[number].running(REDIS_URL=url))

            processes = [await start(number) for number in range(2)]
            names = [f"{NAME} {number}" for number in range(6)]
            for number, name in enumerate(names):
                hold, victim = one.server.hold(chance.choice(CALLS)), chance.randrange(2)
                one.share(200 + 20 * number, name)
                await one.until(hold.arrived.is_set)
                await one.kill(processes[victim])  # which may be the one that calls, or the other one
                hold.release()
                await lives[victim].aclose()
                processes[victim] = await start(victim)
            wanted = sorted(f"{name}.transcript.{suffix}" for name in names for suffix in ("md", "srt"))
            await one.until(lambda: len(one.outputs()) >= len(wanted))
            await one.quiet()
            found = one.outputs()
    assert sorted(found) == wanted
    assert len(set(found.values())) == len(wanted)
    assert one.leaked([]) == two.leaked([]) == []
