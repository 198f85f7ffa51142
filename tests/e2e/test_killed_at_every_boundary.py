"""The service is killed where each stage ends and the next begins, and started again: nothing is lost, and
nothing is answered twice. The random version of this is `benchmarks.killing`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.killing import FORMATS, Actors, make_recording, run, surplus, unfinished
from benchmarks.killing_actors import BOUNDARIES

TRANSCRIPT = [name for name in BOUNDARIES if name not in {"fail", "report failure"}]
FAILURE = ["submit", "begin", "decode", "fail", "report failure", "settle"]


@contextmanager
def service(home: Path) -> Iterator[Actors]:
    (home / "inbox").mkdir(parents=True)
    actors = Actors(home, workers=0)
    try:
        yield actors
    finally:
        actors.end()


def until(condition: object, seconds: float = 60) -> bool:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def killed_and_started_again(home: Path, trap: str, *, sound: bool) -> list[str]:
    """What lies in the folder in the end."""
    with service(home) as actors:
        inbox = home / "inbox"
        actors.start("service", trap)
        if sound:
            make_recording(inbox / "talk.wav", 1)
        else:
            (inbox / "talk.wav").write_bytes(b"this is no sound, and no RIFF header either")
        assert until(lambda: not actors.alive("service")), f"{trap}: was never reached"
        actors.start("service")
        done = inbox / "talk.transcript-error.txt"
        assert until(lambda: not unfinished(inbox, ["talk"]) if sound else done.exists()), (
            f"{trap}: lost; the log says: {(home / 'log').read_text()[-2000:]}"
        )
        time.sleep(1.5)  # longer than a redelivery takes: would there be a second answer?
        return sorted(path.name for path in inbox.iterdir() if not path.name.startswith("."))


def outcomes(root: Path, boundaries: list[str], *, sound: bool) -> dict[str, list[str]]:
    traps = [f"{when} {boundary}" for boundary in boundaries for when in ("before", "after")]
    with ThreadPoolExecutor(6) as pool:
        folders = pool.map(
            lambda trap: killed_and_started_again(root / trap.replace(" ", "-"), trap, sound=sound), traps
        )
        return dict(zip(traps, folders, strict=True))


@pytest.mark.slow
def test_a_recording_gets_its_one_transcript(tmp_path: Path) -> None:
    expected = sorted(["talk.wav", *(f"talk.transcript.{form}" for form in FORMATS)])
    for trap, names in outcomes(tmp_path, TRANSCRIPT, sound=True).items():
        assert names == expected, trap


@pytest.mark.slow
def test_a_file_that_is_no_recording_gets_its_one_message(tmp_path: Path) -> None:
    for trap, names in outcomes(tmp_path, FAILURE, sound=False).items():
        assert names == ["talk.transcript-error.txt", "talk.wav"], trap


@pytest.mark.slow
def test_random_kills_of_everything_lose_and_double_nothing() -> None:
    result = run(kills=25, seed=20261122)
    assert result.jobs >= 12
    assert result.losses == ()
    assert result.duplicates == ()


def test_the_count_of_losses_and_duplicates_sees_both(tmp_path: Path) -> None:
    """The measure itself: a missing output is a loss, a numbered copy is a duplicate."""
    make_recording(tmp_path / "a.wav", 1)
    for form in FORMATS:
        (tmp_path / f"a.transcript.{form}").touch()
    assert unfinished(tmp_path, ["a"]) == []
    assert surplus(tmp_path, ["a"]) == []
    shutil.copy(tmp_path / "a.transcript.md", tmp_path / "a.transcript (2).md")
    (tmp_path / "a.transcript.srt").unlink()
    assert unfinished(tmp_path, ["a"]) == ["a"]
    assert surplus(tmp_path, ["a"]) == ["a.transcript (2).md"]
