"""Work in a child process, so that a crash, a hang or a bomb in native code fails one job and nothing else.

A `Child` is a Python process that runs functions named `module:function`, one at a time, and stays: a loaded
model is reused. The two sides speak JSON lines over pipes; a function gets its keyword arguments and may take
`report`, a callable for the finished fraction. It ends with its parent, and `CancelledError` kills it.

The signals that ask a service to stop (SIGTERM, SIGINT, SIGHUP) are the parent's to answer: service managers
send them to every process of the service, and a child that obeyed would fail the recording it works on.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import inspect
import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from core.errors import ErniError, Rejected, Transient

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Environment of children of which several run at once: threads in each would only compete."""

_LINE_LIMIT = 64 * 2**20  # a 12-hour recording's words are one line of about 20 MB
_PR_SET_PDEATHSIG = 1
_ROOT = str(Path(__file__).resolve().parents[1])
# Not `-m`, which would let files in the current directory, such as a folder of downloads, pass for modules.
_START = "import sys; sys.path.append(sys.argv.pop(1)); from core.child import serve; serve()"


class ChildDied(ErniError):
    """The process ended without an answer: it crashed or hit a limit."""

    def __init__(self, message: str, *, signal_number: int | None = None) -> None:
        super().__init__(message)
        self.signal_number = signal_number


class ChildFailed(ErniError):
    """The function raised something unexpected; `kind` is the exception's class name."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class Child:
    """A process that runs functions for us. Calls queue up behind one another.

    `memory_bytes` limits the address space and `cpu_seconds` the processor time of the whole process; None
    means no limit. It runs at the lowest priority: the event loop, and whatever else is on the machine, goes
    first, and where nothing else wants a processor it is as fast as any. Started with the first call and
    again after a death.
    """

    def __init__(
        self,
        *,
        memory_bytes: int | None = None,
        cpu_seconds: int | None = None,
        nice: int = 19,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._limits = {"memory_bytes": memory_bytes, "cpu_seconds": cpu_seconds, "nice": nice}
        self._environment = dict(environment or {})
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def call(
        self,
        function: str,
        arguments: Mapping[str, Any],
        *,
        report: Callable[[float], None] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  (the child must be killed, not only left)
    ) -> Any:
        """Run `function` with JSON `arguments` and return its JSON result.

        Raises Rejected and Transient as the function raised them, ChildFailed for any other exception,
        ChildDied if the process ended, TimeoutError after `timeout` seconds. The process is killed on a
        time-out and on cancellation.
        """
        async with self._lock:
            process = await self._running()
            try:
                async with asyncio.timeout(timeout):
                    kind, value = await self._exchange(process, function, arguments, report)
            except (
                BaseException
            ):  # also what `report` raises: the rest of this call's answers is still to come
                await self._kill()
                raise
        if kind == "rejected":
            raise Rejected(value)
        if kind == "transient":
            raise Transient(value[0], retry_after=value[1])
        if kind == "failed":
            raise ChildFailed(*value)
        return value

    async def close(self) -> None:
        """End the process."""
        await self._kill()

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is not None and not _ended(self._process):
            return self._process
        await self._kill()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-c",
            _START,
            _ROOT,
            json.dumps(self._limits | {"parent": os.getpid()}),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_LIMIT,
            env=os.environ | self._environment,
            start_new_session=True,  # a Ctrl-C in the terminal is the parent's to handle
        )
        return self._process

    async def _exchange(
        self,
        process: asyncio.subprocess.Process,
        function: str,
        arguments: Mapping[str, Any],
        report: Callable[[float], None] | None,
    ) -> tuple[str, Any]:
        """Send one call; its answer as kind and value."""
        if process.stdin is None or process.stdout is None:
            raise ChildDied("The process has no pipes.")
        with contextlib.suppress(ConnectionError):  # a dead reader shows below as an empty line
            process.stdin.write(json.dumps([function, dict(arguments)]).encode() + b"\n")
            await process.stdin.drain()
        while (line := await self._line(process.stdout, function)).endswith(b"\n"):
            kind, value = json.loads(line)
            if kind != "progress":
                return kind, value
            if report is not None:
                report(value)
        code = await process.wait()
        raise ChildDied(
            f"The process running {function} ended with status {code}.",
            signal_number=-code if code < 0 else None,
        )

    async def _line(self, answers: asyncio.StreamReader, function: str) -> bytes:
        try:
            return await answers.readline()
        except ValueError as error:
            raise ChildFailed("AnswerTooLong", f"{function} answered with too much.") from error

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())


async def run_in_child(
    function: str,
    arguments: Mapping[str, Any],
    *,
    report: Callable[[float], None] | None = None,
    memory_bytes: int | None = None,
    cpu_seconds: int | None = None,
    timeout: float | None = None,  # noqa: ASYNC109
    environment: Mapping[str, str] | None = None,
) -> Any:
    """`Child.call` in a process of its own, which ends afterwards."""
    async with Child(memory_bytes=memory_bytes, cpu_seconds=cpu_seconds, environment=environment) as child:
        return await child.call(function, arguments, report=report, timeout=timeout)


def _ended(process: asyncio.subprocess.Process) -> bool:
    """Whether the process is dead, also if the event loop has not been told yet."""
    if process.returncode is not None:
        return True
    if not hasattr(os, "waitid"):
        return False
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _apply(limits: Mapping[str, Any]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != limits["parent"]:  # the parent died before the line above
            sys.exit(1)
    os.nice(limits["nice"])
    _stand_back()
    _limit(resource.RLIMIT_CORE, 0, 0)
    if limits["memory_bytes"] is not None:
        _limit(resource.RLIMIT_AS, limits["memory_bytes"], limits["memory_bytes"])
    if limits["cpu_seconds"] is not None:
        _limit(resource.RLIMIT_CPU, limits["cpu_seconds"], limits["cpu_seconds"] + 5)


def _stand_back() -> None:
    """Leave a processor at once to whoever else wakes up on it: the lowest priority alone may keep it for
    some milliseconds more, and an event loop that has to answer within a hundred feels that."""
    if hasattr(os, "SCHED_IDLE"):
        with contextlib.suppress(OSError):  # not in every sandbox
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _limit(what: int, soft: int, hard: int) -> None:
    """Set a limit, but never ask for more than the machine already allows, which would fail."""
    _, allowed = resource.getrlimit(what)
    if allowed != resource.RLIM_INFINITY:
        soft, hard = min(soft, allowed), min(hard, allowed)
    resource.setrlimit(what, (soft, hard))


def _listen(calls: SimpleQueue[bytes]) -> None:
    """Pass lines on from standard input; its end means that the parent is gone or wants us gone."""
    with os.fdopen(os.dup(0), "rb") as questions:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)  # what a function starts must not read our calls
        os.close(nothing)
        for line in questions:
            calls.put(line)
    os._exit(0)


def serve() -> None:
    """The child's side: answer calls from standard input until it closes."""
    _apply(json.loads(sys.argv[1]))
    # Native libraries print to standard output; the pipe is kept for answers alone.
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    calls: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(calls,), daemon=True).start()

    def answer(kind: str, value: Any) -> None:
        answers.write(json.dumps([kind, value]) + "\n")
        answers.flush()

    while True:
        name, arguments = json.loads(calls.get())
        try:
            module, _, attribute = name.partition(":")
            function = getattr(import_module(module), attribute)
            if "report" in inspect.signature(function).parameters:
                arguments["report"] = lambda fraction: answer("progress", fraction)
            answer("result", function(**arguments))
        except Rejected as error:
            answer("rejected", error.user_message)
        except Transient as error:
            answer("transient", [str(error), error.retry_after])
        except Exception as error:  # noqa: BLE001  (the boundary: the parent decides)
            answer("failed", [type(error).__name__, str(error)])
