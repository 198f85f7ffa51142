"""Operators who call `erni-audio`: many calls by one process, or one of them at a terminal."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from redis.asyncio import Redis

from core.settings import Settings, load_settings
from core.state import State, open_state
from core.vault import Vault
from tests.e2e.test_cli_transcribe import REAL, ROOT

KEY = Vault.new_key()
PATIENCE = 60.0

# Starting takes longer than most calls do. Nobody can be asked: standard input is a pipe.
_IN_TURN = """
import contextlib, io, json, os, sys
from core.cli import run
for line in sys.stdin:
    settings, arguments = json.loads(line)
    os.environ.clear()
    os.environ.update(settings)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(arguments)
    print(json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)
"""

# Whoever asks for a secret opens the controlling terminal, which a child has to take first.
_AT_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True, slots=True)
class Said:
    """How a call ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Of what people are told."""
        return self.err.splitlines()


class Caller:
    """A process that calls the command again and again."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def call(self, settings: Mapping[str, str], arguments: Sequence[str]) -> Said:
        """One call. Blocks."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([dict(settings), list(arguments)]) + "\n")
        self._process.stdin.flush()
        return Said(*json.loads(self._process.stdout.readline()))


@contextmanager
def calling() -> Iterator[Caller]:
    """For the calls of many tests."""
    with (
        TemporaryDirectory() as nowhere,
        subprocess.Popen(
            [sys.executable, "-c", _IN_TURN],
            cwd=nowhere,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        yield Caller(process)
        assert process.stdin is not None
        process.stdin.close()


def _environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "LC_ALL", "HOME"}}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "COLUMNS": "100"} | more


@dataclass(kw_only=True)
class Operator:
    """Somebody with a store and settings of their own."""

    caller: Caller
    home: Path
    settings: dict[str, str]

    async def call(self, *arguments: str, **more: str) -> Said:
        """Call `erni-audio`, with settings besides; an empty one is not set."""
        settings = {name: value for name, value in (self.settings | more).items() if value}
        return await asyncio.to_thread(self.caller.call, _environment(**settings), arguments)

    @asynccontextmanager
    async def at_terminal(self, *arguments: str, **more: str) -> AsyncIterator[Sitting]:
        """Call it at a terminal of 100 columns."""
        ours, theirs = os.openpty()
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        settings = {name: value for name, value in (self.settings | more).items() if value}
        process = subprocess.Popen(  # noqa: ASYNC220  (returns at once)
            [sys.executable, "-c", _AT_TERMINAL, *REAL, *arguments],
            cwd=self.home,
            env=_environment(**settings, TERM="xterm"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        try:
            yield Sitting(process, ours)
        finally:
            process.kill()
            process.wait()
            os.close(ours)

    @asynccontextmanager
    async def state(self) -> AsyncIterator[State]:
        """The store, as the service has it."""
        async with open_state(self.core_settings(), own=False) as state:
            yield state

    def core_settings(self) -> Settings:
        return load_settings(Settings, _env_file=None, **self.settings)


class Sitting:
    """What happens at a terminal. `seen` is what it showed so far, without colours."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self._process = process
        self._terminal = terminal
        self._raw = b""
        self._answered = 0

    @property
    def seen(self) -> str:
        text = self._raw.decode(errors="replace").replace("\r", "")
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)

    async def asked(self, question: str) -> str:
        """Wait until something is asked that was not asked before; all that was shown since the last
        answer."""
        async with asyncio.timeout(PATIENCE):
            while question not in (news := self.seen[self._answered :]):
                assert await self._read(), self.seen
        return news

    def type(self, text: str) -> None:
        self._answered = len(self.seen)
        os.write(self._terminal, f"{text}\n".encode())

    async def answer(self, question: str, text: str) -> str:
        """Both."""
        news = await self.asked(question)
        self.type(text)
        return news

    def leave(self, how: str | signal.Signals) -> None:
        """By a signal, or by a key such as "C" together with Ctrl."""
        if isinstance(how, str):
            os.write(self._terminal, bytes([ord(how) - 64]))
        else:
            self._process.send_signal(how)

    async def end(self, leave: Callable[[], None] | None = None) -> int:
        """Wait for the end; the exit code. `leave` is called first, and again and again: the interpreter
        does not hear of a signal that comes in the moment before it begins to read."""
        ended = asyncio.create_task(self._ended())
        async with asyncio.timeout(PATIENCE):
            while leave is not None and not ended.done():
                leave()
                await asyncio.wait({ended}, timeout=2.0)
            return await ended

    async def _ended(self) -> int:
        while await self._read():
            pass
        return await asyncio.to_thread(self._process.wait)

    async def _read(self) -> bool:
        try:
            got = await asyncio.to_thread(os.read, self._terminal, 4096)
        except OSError:  # the other side is closed
            return False
        self._raw += got
        return bool(got)


@asynccontextmanager
async def operator(caller: Caller, url: str, home: Path, **settings: str) -> AsyncIterator[Operator]:
    """Somebody at an empty store."""
    async with Redis.from_url(url) as redis:
        await redis.flushall()
    yield Operator(
        caller=caller,
        home=home,
        settings={
            "ERNI_DATA_DIR": str(home / "data"),
            "ERNI_ENCRYPTION_KEY": KEY,
            "REDIS_URL": url,
            "ERNI_ADAPTERS": "gdrive,dropbox",
            **settings,
        },
    )
