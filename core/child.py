"""Work in a child process, so that a crash, a hang or a bomb in native code fails one job and nothing else.

A `Child` is a Python process that runs functions named `module:function`, one at a time, and stays: a loaded
model is reused. The two sides speak JSON lines over pipes; a function gets its keyword arguments and may take
`report`, a callable for the finished fraction. It ends with its parent, and `CancelledError` kills it.
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
from collections.abc import Callable, Mapping
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from core.errors import ErniError, Rejected, Transient

_LINE_LIMIT = 64 * 2**20  # a 12-hour recording's words are one line of about 20 MB
_PR_SET_PDEATHSIG = 1


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
    means no limit. Started with the first call and again after a death.
    """

    def __init__(
        self,
        *,
        memory_bytes: int | None = None,
        cpu_seconds: int | None = None,
        nice: int = 5,
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
                    return await self._exchange(process, function, arguments, report)
            except BaseException as error:
                if not isinstance(error, (Rejected, Transient, ChildFailed)):
                    await self._kill()
                raise

    async def close(self) -> None:
        """End the process."""
        await self._kill()

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "core.child",
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
    ) -> Any:
        if process.stdin is None or process.stdout is None:
            raise ChildDied("The process has no pipes.")
        with contextlib.suppress(ConnectionError):  # a dead reader shows below as an empty line
            process.stdin.write(json.dumps([function, dict(arguments)]).encode() + b"\n")
            await process.stdin.drain()
        while line := await process.stdout.readline():
            kind, value = json.loads(line)
            if kind == "progress":
                if report is not None:
                    report(value)
            elif kind == "result":
                return value
            elif kind == "rejected":
                raise Rejected(value)
            elif kind == "transient":
                raise Transient(value)
            else:
                raise ChildFailed(*value)
        code = await process.wait()
        raise ChildDied(
            f"The process running {function} ended with status {code}.",
            signal_number=-code if code < 0 else None,
        )

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
) -> Any:
    """`Child.call` in a process of its own, which ends afterwards."""
    async with Child(memory_bytes=memory_bytes, cpu_seconds=cpu_seconds) as child:
        return await child.call(function, arguments, report=report, timeout=timeout)


def _apply(limits: Mapping[str, Any]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != limits["parent"]:  # the parent died before the line above
            sys.exit(1)
    os.nice(limits["nice"])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limits["memory_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_AS, (limits["memory_bytes"],) * 2)
    if limits["cpu_seconds"] is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_seconds"], limits["cpu_seconds"] + 5))


def serve() -> None:
    """The child's side: read calls from standard input until it closes."""
    _apply(json.loads(sys.argv[1]))
    # Native libraries print to standard output; the pipe is kept for answers alone.
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)

    def answer(kind: str, value: Any) -> None:
        answers.write(json.dumps([kind, value]) + "\n")
        answers.flush()

    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            module, _, attribute = name.partition(":")
            function = getattr(import_module(module), attribute)
            if "report" in inspect.signature(function).parameters:
                arguments["report"] = lambda fraction: answer("progress", fraction)
            answer("result", function(**arguments))
        except Rejected as error:
            answer("rejected", error.user_message)
        except Transient as error:
            answer("transient", str(error))
        except Exception as error:  # noqa: BLE001  (the boundary: the parent decides)
            answer("failed", [type(error).__name__, str(error)])


if __name__ == "__main__":
    serve()
