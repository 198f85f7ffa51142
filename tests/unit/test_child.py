"""The process in which native code may crash, hang or eat memory without taking the service along."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.child import Child, ChildDied, ChildFailed, run_in_child
from core.errors import Rejected, Transient

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches processes through pidfd")

WORK = """
import ctypes, os, signal, subprocess, sys, time

from core.errors import Rejected, Transient

kept = []

def double(number, report):
    report(0.25)
    report(0.5)
    return number * 2

def identity(value):
    return value

def pid():
    return os.getpid()

def remember(value):
    kept.append(value)
    return kept

def crash():
    ctypes.string_at(1)

def leave(status):
    os._exit(status)

def reject():
    raise Rejected("Please share something else.")

def later():
    raise Transient("not now", retry_after=7.5)

def fail():
    raise KeyError("what")

def unanswerable():
    return object()

def hog(megabytes):
    kept.append(bytearray(megabytes * 2**20))
    return len(kept[-1])

def burn():
    while True:
        pass

def wait(report):
    report(os.getpid())
    time.sleep(600)

def chatter():
    print("noise on standard output", flush=True)
    os.write(1, b'["result", "forged"]\\n')
    ctypes.CDLL(None).puts(b"native noise")
    ctypes.CDLL(None).fflush(None)
    subprocess.run([sys.executable, "-c", "print('grandchild')"], check=True)
    return "answer"

def grandchild_reads():
    done = subprocess.run([sys.executable, "-c", "import sys; print(len(sys.stdin.read()))"],
                          check=True, capture_output=True)
    return int(done.stdout)

def niceness():
    return os.nice(0)

def policy():
    return os.sched_getscheduler(0)

def ask_to_stop():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(os.getpid(), number)
    return "still here"
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "child_work.py").write_text(WORK)
    return {"PYTHONPATH": str(tmp_path)}


@pytest.fixture
async def child(environment: dict[str, str]) -> AsyncIterator[Child]:
    async with Child(environment=environment) as child:
        yield child


class Waiting:
    """A call of `wait` that is under way in the child, and the child's process id."""

    def __init__(self, child: Child) -> None:
        self._reported: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(child.call("child_work:wait", {}, report=self._reported.set_result))

    async def pid(self) -> int:
        async with asyncio.timeout(30):
            return int(await self._reported)


async def gone(pid: int) -> None:
    """Wait until the process has ended; fails if it lives on."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        readable, _, _ = await asyncio.to_thread(select.select, [handle], [], [], 10)
    finally:
        os.close(handle)
    assert readable, "the process lives on"


async def test_an_answer_and_progress(child: Child) -> None:
    seen: list[float] = []
    assert await child.call("child_work:double", {"number": 21}, report=seen.append) == 42
    assert seen == [0.25, 0.5]


async def test_the_process_stays_between_calls(child: Child) -> None:
    await child.call("child_work:remember", {"value": 1})
    assert await child.call("child_work:remember", {"value": 2}) == [1, 2]


async def test_calls_queue_up(child: Child) -> None:
    answers = await asyncio.gather(
        *(child.call("child_work:identity", {"value": value}) for value in range(20))
    )
    assert answers == list(range(20))


@pytest.mark.parametrize("length", [65_536, 3_000_000])
async def test_long_lines_both_ways(child: Child, length: int) -> None:
    value = "é\u2028" * (length // 2)
    assert await child.call("child_work:identity", {"value": value}) == value


async def test_an_answer_beyond_the_limit_is_a_failure(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.child._LINE_LIMIT", 10_000)
    with pytest.raises(ChildFailed, match="too much"):
        await child.call("child_work:identity", {"value": "x" * 50_000})
    assert await child.call("child_work:identity", {"value": 1}) == 1


async def test_rejected_and_transient_cross_over_and_leave_the_process_alive(child: Child) -> None:
    before = await child.call("child_work:pid", {})
    with pytest.raises(Rejected) as rejected:
        await child.call("child_work:reject", {})
    assert rejected.value.user_message == "Please share something else."
    with pytest.raises(Transient) as transient:
        await child.call("child_work:later", {})
    assert transient.value.retry_after == 7.5
    with pytest.raises(ChildFailed) as failed:
        await child.call("child_work:fail", {})
    assert failed.value.kind == "KeyError"
    assert await child.call("child_work:pid", {}) == before


async def test_an_answer_that_is_no_json_is_a_failure(child: Child) -> None:
    with pytest.raises(ChildFailed) as failed:
        await child.call("child_work:unanswerable", {})
    assert failed.value.kind == "TypeError"


@pytest.mark.parametrize(
    ("function", "kind"), [("child_work:nothing", "AttributeError"), ("no_such:x", "ModuleNotFoundError")]
)
async def test_an_unknown_function_is_a_failure(child: Child, function: str, kind: str) -> None:
    with pytest.raises(ChildFailed) as failed:
        await child.call(function, {})
    assert failed.value.kind == kind


async def test_a_crash_is_reported_and_the_next_call_gets_a_new_process(child: Child) -> None:
    before = await child.call("child_work:pid", {})
    with pytest.raises(ChildDied) as died:
        await child.call("child_work:crash", {})
    assert died.value.signal_number == signal.SIGSEGV
    assert await child.call("child_work:pid", {}) != before


async def test_leaving_without_an_answer_is_a_death(child: Child) -> None:
    with pytest.raises(ChildDied) as died:
        await child.call("child_work:leave", {"status": 3})
    assert died.value.signal_number is None


async def test_a_death_between_calls_is_not_the_next_call_s_fault(child: Child) -> None:
    pid = await child.call("child_work:pid", {})
    os.kill(pid, signal.SIGKILL)
    await gone(pid)
    assert await child.call("child_work:double", {"number": 1}) == 2


async def test_memory_limit(environment: dict[str, str]) -> None:
    async with Child(memory_bytes=512 * 2**20, environment=environment) as child:
        assert await child.call("child_work:hog", {"megabytes": 50}) == 50 * 2**20
        with pytest.raises(ChildFailed) as failed:
            await child.call("child_work:hog", {"megabytes": 2000})
        assert failed.value.kind == "MemoryError"


async def test_processor_limit(environment: dict[str, str]) -> None:
    with pytest.raises(ChildDied) as died:
        await run_in_child("child_work:burn", {}, cpu_seconds=1, environment=environment)
    assert died.value.signal_number == signal.SIGXCPU


async def test_limits_beyond_what_the_machine_allows_are_no_error(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    program = (
        "import asyncio, resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (100, 100))\n"
        "from core.child import run_in_child\n"
        "call = run_in_child('child_work:identity', {'value': 5}, cpu_seconds=10**6,"
        f" environment={environment!r})\n"
        "print(asyncio.run(call))\n"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "5", done.stderr


async def test_a_timeout_kills(child: Child) -> None:
    pid = await child.call("child_work:pid", {})
    with pytest.raises(TimeoutError):
        await child.call("child_work:wait", {}, timeout=0.2)
    await gone(pid)
    assert await child.call("child_work:identity", {"value": 1}) == 1


async def test_cancellation_kills_and_passes_on(child: Child) -> None:
    waiting = Waiting(child)
    pid = await waiting.pid()
    waiting.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting.task
    await gone(pid)
    assert await child.call("child_work:identity", {"value": 1}) == 1


async def test_closing_ends_a_call_that_runs(child: Child) -> None:
    waiting = Waiting(child)
    pid = await waiting.pid()
    await child.close()
    with pytest.raises(ChildDied):
        await waiting.task
    await gone(pid)


@pytest.mark.parametrize("error", [Rejected("no"), Transient("no"), ValueError("no")])
async def test_answers_never_reach_the_wrong_call_when_report_raises(child: Child, error: Exception) -> None:
    def report(fraction: float) -> None:
        raise error

    with pytest.raises(type(error)):
        await child.call("child_work:double", {"number": 21}, report=report)
    assert await child.call("child_work:identity", {"value": "mine"}) == "mine"


async def test_noise_on_standard_output_is_no_answer(child: Child) -> None:
    assert await child.call("child_work:chatter", {}) == "answer"
    assert await child.call("child_work:identity", {"value": 1}) == 1


async def test_what_a_function_starts_can_not_read_our_calls(child: Child) -> None:
    assert await child.call("child_work:grandchild_reads", {}) == 0


async def test_requests_to_stop_are_the_parent_s_to_answer(child: Child) -> None:
    assert await child.call("child_work:ask_to_stop", {}) == "still here"


async def test_it_gives_way_to_the_service(child: Child) -> None:
    assert await child.call("child_work:niceness", {}) >= os.nice(0) + 5 or os.nice(0) > 14


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="this system has no such scheduling policy")
async def test_it_leaves_a_processor_at_once(child: Child) -> None:
    assert await child.call("child_work:policy", {}) == os.SCHED_IDLE


async def test_modules_in_the_current_directory_are_not_imported(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    (downloads / "json.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')")
    monkeypatch.chdir(downloads)
    answer = await run_in_child("child_work:identity", {"value": 1}, environment=environment)
    assert answer == 1
    assert not (tmp_path / "executed").exists()


async def test_it_dies_with_its_parent_even_under_sigkill(environment: dict[str, str]) -> None:
    program = (
        "import asyncio, json, sys\n"
        "from core.child import run_in_child\n"
        "asyncio.run(run_in_child('child_work:wait', {}, environment=json.loads(sys.argv[1]),"
        " report=lambda pid: print(pid, flush=True)))\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, json.dumps(environment), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    parent.kill()
    await parent.wait()
    await gone(pid)
