"""`erni-audio serve` as people and service managers run it."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from tests.e2e.test_cli_transcribe import QUICK, REAL, call, environment, record

HTTP = build_opener(ProxyHandler({}))  # this machine's proxy has no business here


def settings(home: Path, **more: str) -> dict[str, str]:
    """The environment of a service with an inbox of its own."""
    (home / "inbox").mkdir(exist_ok=True)
    own = {"FOLDER_PATHS": "inbox", "FOLDER_SETTLE_SECONDS": "0.2", "ERNI_HTTP_PORT": "0"}
    return environment(home, **own, **more)


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.05)  # asked again until it is so


@contextmanager
def service(home: Path, *program: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [*(program or QUICK), "serve"],
            cwd=home,
            env=settings(home, **more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def get(url: str) -> str:
    with HTTP.open(url, timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def test_a_recording_that_is_dropped_comes_back_and_the_service_tells_how_it_is(tmp_path: Path) -> None:
    with service(tmp_path) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        assert "`quick`" in lines[1]
        address = re.search(r"http://127\.0\.0\.1:\d+", lines[2])
        assert address is not None, lines
        record(tmp_path / "inbox" / "talk.wav", 2)
        until((tmp_path / "inbox" / "talk.transcript.md").exists)
        assert json.loads(get(f"{address[0]}/healthz")) == {"status": "ok"}
        ready = json.loads(get(f"{address[0]}/readyz"))
        assert ready["store"]["usable"] is True
        assert ready["engine quick"]["usable"] is True
        assert any(name.startswith("adapter folder@") for name in ready)
        until(lambda: 'outcome="transcript"' in get(f"{address[0]}/metrics"))

        second = subprocess.run(
            [*QUICK, "serve"], cwd=tmp_path, env=settings(tmp_path), capture_output=True, check=False
        )
        assert second.returncode == 2
        (line,) = second.stderr.decode().splitlines()
        assert f"Another service (process {process.pid}) uses this data directory." in line
        assert second.stdout == b""

        events = [json.loads(line)["event"] for line in call(tmp_path, "audit").stdout.splitlines()]
        assert events == ["accepted", "fetched", "delivered"]
        later = call(tmp_path, "audit", "--since", "2999-01-01")
        assert (later.returncode, later.stdout) == (0, b"")
        seen = json.loads(call(tmp_path, "doctor", "--json", FOLDER_PATHS="inbox").stdout)
        assert {"ok"} == {f["level"] for f in seen["findings"] if f["area"] in {"store", "front door folder"}}

        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        assert rest == ""  # three lines and no more
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert "\x1b" not in log


def test_why_better_methods_can_not_run_is_logged_once(tmp_path: Path) -> None:
    with service(tmp_path, *REAL) as process:
        assert process.stdout is not None
        assert all(process.stdout.readline() for _ in range(3))
        log = tmp_path / "log"
        until(lambda: "recognition by draft" in log.read_text() and "Draft quality" in log.read_text())
    assert log.read_text().count("local can't run") == 1


class Screen:
    """What a terminal was sent."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self.text = ""

    def shows(self, wanted: str) -> bool:
        """Whether it was shown by now; takes in what is there."""
        while select.select([self._terminal], [], [], 0)[0]:
            try:
                data = os.read(self._terminal, 65536)
            except OSError:  # Linux says so when the other side is closed
                break
            if not data:
                break
            self.text += data.decode(errors="replace")
        return wanted in self.text


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_person_sees_bars_and_what_became_of_each_recording(tmp_path: Path, stop: signal.Signals) -> None:
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [*QUICK, "serve"],
        cwd=tmp_path,
        env=settings(tmp_path, TERM="xterm-256color"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    screen = Screen(mine)
    try:
        until(lambda: screen.shows("Ctrl-C stops it."))
        record(tmp_path / "inbox" / "talk.wav", 2)
        (tmp_path / "inbox" / "page.mp3").write_bytes(b"<html>sign in</html>")
        until(lambda: screen.shows("✓ talk.wav → talk.transcript.md and 2 more ("))
        until(lambda: screen.shows("✗ page.mp3: "))
        assert "━" in screen.text
        assert " INFO " not in screen.text
        process.send_signal(stop)
        until(lambda: screen.shows("Stopping.") and process.poll() is not None, 30)
        assert process.returncode == 0
        assert screen.text.rindex("\x1b[?25h") > screen.text.rindex("\x1b[?25l")  # the cursor is back
        assert "Traceback" not in screen.text
    finally:
        process.kill()
        process.wait()
        os.close(mine)


def test_a_worker_needs_a_store_and_says_so(tmp_path: Path) -> None:
    done = call(tmp_path, "worker")
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert "Start `erni-audio serve`, or set REDIS_URL." in line


def test_jobs_in_progress_are_listed_and_stopped(tmp_path: Path) -> None:
    with service(tmp_path, QUICK_SECONDS="100000", ERNI_DRAIN_SECONDS="0"):
        record(tmp_path / "inbox" / "talk.wav", 2)
        until(lambda: b"recognising" in call(tmp_path, "jobs").stdout)
        (line,) = call(tmp_path, "jobs").stdout.decode().splitlines()
        job = line.split()[0]
        assert line.endswith(" try 1 talk.wav")
        assert call(tmp_path, "jobs", "--cancel", job).returncode == 0
        until(lambda: call(tmp_path, "jobs").stdout == b"")
        again = call(tmp_path, "jobs", "--cancel", job)
        assert (again.returncode, again.stderr.decode()) == (1, f"erni-audio: {job} is not in progress.\n")
        assert sorted(path.name for path in (tmp_path / "inbox").iterdir()) == ["talk.wav"]


def valkey_of(home: Path) -> int:
    return int((home / "data" / "valkey" / "valkey.pid").read_text())


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_signal_that_comes_twice_at_once_is_one_and_another_ends_the_store_too(tmp_path: Path) -> None:
    with service(tmp_path, QUICK_SECONDS="100000", ERNI_DRAIN_SECONDS="60") as process:
        assert process.stdout is not None
        assert all(process.stdout.readline() for _ in range(3))
        record(tmp_path / "inbox" / "talk.wav", 2)
        until(lambda: b"recognising" in call(tmp_path, "jobs").stdout)
        valkey = valkey_of(tmp_path)
        process.send_signal(signal.SIGTERM)  # to the group, and
        process.send_signal(signal.SIGINT)  # by whoever hands it on
        until(lambda: "running ones may finish" in (tmp_path / "log").read_text())
        assert process.poll() is None
        assert is_there(valkey)
        until(lambda: process.send_signal(signal.SIGTERM) or process.poll() is not None)  # type: ignore[func-returns-value]
        assert process.returncode == 128 + signal.SIGTERM
        until(lambda: not is_there(valkey))
    with service(tmp_path) as process:  # nothing is lost
        until((tmp_path / "inbox" / "talk.transcript.md").exists)


def test_commands_that_only_read_make_no_data_directory(tmp_path: Path) -> None:
    place = tmp_path / "data"
    for arguments in (
        ["costs"],
        ["folders", "list"],
        ["folders", "check"],
        ["folders", "remove", "dropbox", "/Inbox"],
        ["connect", "--list"],
        ["voices", "list"],
        ["jobs"],
        ["audit"],
    ):
        done = call(tmp_path, *arguments)
        assert (done.returncode, done.stdout) == (2, b""), arguments
        (line,) = done.stderr.decode().splitlines()
        assert f"the data directory {place}" in line
        assert "call this in the folder with its .env, or set ERNI_DATA_DIR" in line
        assert not place.exists(), arguments
