"""The real service as a child process, beside a platform that the tests play on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.test_cli_transcribe import QUICK

Process = asyncio.subprocess.Process

PATIENCE = 120.0  # seconds; what is waited for comes within a few where nothing else is going on


@dataclass(kw_only=True)
class Children(ABC):
    """Starts services in `home`, all on the same data and with the same log. `patience` is how many seconds
    anything may take."""

    home: Path
    program: Sequence[str] = tuple(QUICK)
    patience: float = PATIENCE

    @abstractmethod
    def settings(self, **more: str) -> dict[str, str]:
        """The environment of a service."""

    @property
    def log(self) -> str:
        """Everything that the services said."""
        path = self.home / "log"
        return path.read_text() if path.exists() else ""

    @property
    def address(self) -> str:
        """Where the newest service's HTTP server is."""
        return str(re.findall(r"Running at (http://127\.0\.0\.1:\d+)", self.log)[-1])

    @asynccontextmanager
    async def running(self, **more: str) -> AsyncIterator[Process]:
        """A service, until it is stopped as a service manager does it."""
        before = len(self.log)
        with (self.home / "log").open("a") as log:
            process = await asyncio.create_subprocess_exec(
                *(*self.program, "serve"),
                cwd=self.home,
                env=self.settings(**more),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            await self.until(lambda: re.search(r"Running at http\S+", self.log[before:]), process)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
                process.send_signal(signal.SIGCONT)  # a test that failed may have stopped it
            async with asyncio.timeout(self.patience):
                await process.wait()

    async def command(self, *arguments: str, **more: str) -> tuple[int, str]:
        """What a command beside the service answers; the platform goes on meanwhile."""
        process = await asyncio.create_subprocess_exec(
            *(*self.program, *arguments),
            cwd=self.home,
            env=self.settings(**more),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode()

    async def kill(self, process: Process) -> None:
        """As a power cut does it."""
        process.kill()
        await process.wait()

    async def until(self, condition: Callable[[], object], process: Process | None = None) -> None:
        """Until something is so. Raises AssertionError with the end of the log if it takes too long, or if
        `process` ends before."""
        try:
            async with asyncio.timeout(self.patience):
                while not condition():
                    assert process is None or process.returncode is None, self.log[-3000:]
                    await asyncio.sleep(0.02)  # asked again until it is so
        except TimeoutError:
            raise AssertionError(f"it never came to be; the log says: {self.log[-3000:]}") from None
