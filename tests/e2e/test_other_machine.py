"""Workers on other machines know Redis and nothing else: no folder, no credentials, no data directory."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.killing import FORMATS, Actors, make_recording, surplus, unfinished
from core.embedded import find_server

PASSWORD = "only for this test"


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A real server over TCP, the machine's own Redis where it has one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    directory = tmp_path / "redis"
    directory.mkdir()
    program = shutil.which("redis-server") or str(find_server())
    options = ["--port", str(port), "--bind", "127.0.0.1", "--requirepass", PASSWORD, "--appendonly", "yes"]
    server = subprocess.Popen([program, *options, "--logfile", "log"], cwd=directory)
    assert until(lambda: _listens(port))
    yield f"redis://:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}/0"
    server.terminate()
    server.wait()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def machines(tmp_path: Path, redis_url: str) -> Iterator[Callable[..., Actors]]:
    """Makes machines that share nothing but the Redis."""
    made: list[Actors] = []

    def machine(name: str, **settings: str) -> Actors:
        home = tmp_path / name
        (home / "inbox").mkdir(parents=True)
        actors = Actors(home, workers=0, settings={"REDIS_URL": redis_url, **settings})
        made.append(actors)
        return actors

    yield machine
    for actors in made:
        actors.end()


def door_only(machines: Callable[..., Actors], **settings: str) -> Actors:
    """A machine that watches a folder and recognises nothing itself."""
    door = machines("door", ERNI_SHORT_WORKERS="0", ERNI_LONG_WORKERS="0", **settings)
    door.start("service")
    return door


@pytest.mark.slow
def test_a_worker_elsewhere_gets_the_bytes_and_the_folder_gets_the_transcript(
    machines: Callable[..., Actors],
) -> None:
    door = door_only(machines)
    inbox = door.home / "inbox"
    make_recording(inbox / "talk.wav", 1)
    (inbox / "broken.wav").write_bytes(b"no sound at all")
    other = machines("other")
    other.start("worker0")
    assert until(lambda: not unfinished(inbox, ["talk"])), (door.home / "log").read_text()[-2000:]
    assert until((inbox / "broken.transcript-error.txt").exists)
    assert surplus(inbox, ["talk", "broken"]) == ["broken.transcript-error.txt"]
    assert not list((other.home / "inbox").iterdir())


@pytest.mark.slow
def test_a_dead_machine_is_noticed_and_its_work_done_within_a_minute(machines: Callable[..., Actors]) -> None:
    """With the time-outs that the product ships with."""
    door = door_only(machines, ERNI_REDELIVERY_SECONDS="20")
    dying = machines("dying", ERNI_REDELIVERY_SECONDS="20")
    dying.start("worker0", "before transcribe")
    inbox = door.home / "inbox"
    make_recording(inbox / "talk.wav", 1)
    assert until(lambda: not dying.alive("worker0"))
    healthy = machines("healthy", ERNI_REDELIVERY_SECONDS="20")
    healthy.start("worker0")
    assert until(lambda: not unfinished(inbox, ["talk"]), 60), (healthy.home / "log").read_text()[-2000:]
    assert sorted(path.name for path in inbox.iterdir() if not path.name.startswith(".")) == sorted(
        ["talk.wav", *(f"talk.transcript.{form}" for form in FORMATS)]
    )


@pytest.mark.slow
def test_an_encrypted_store_takes_no_worker_without_the_key(machines: Callable[..., Actors]) -> None:
    from core.vault import Vault

    key = Vault.new_key()
    door = door_only(machines, ERNI_ENCRYPTION_KEY=key)
    inbox = door.home / "inbox"
    assert until((door.home / "log").exists)
    make_recording(inbox / "talk.wav", 1)
    keyed = machines("keyed", ERNI_ENCRYPTION_KEY=key)
    keyed.start("worker0")
    assert until(lambda: not unfinished(inbox, ["talk"]))
    stranger = machines("stranger")
    stranger.start("worker0")
    assert until(lambda: "ERNI_ENCRYPTION_KEY" in (stranger.home / "log").read_text())
