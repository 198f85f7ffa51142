"""`erni-audio voices` as an operator calls it: the real command, the real store, a tiny network."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings, load_settings
from core.state import open_any_state
from core.vault import Vault
from tests.e2e.test_cli_serve import service, until
from tests.e2e.test_cli_transcribe import REAL, environment
from tests.tiny_models import silence, voice, write_wav

KEY = Vault.new_key()
PASSPHRASE = "correct horse battery"
# Calls that end at once, in one process: starting takes longer than they do.
IN_TURN = """
import contextlib, io, json, os, sys
from core.cli import run
answers = []
for changes, arguments in json.load(sys.stdin):
    before = dict(os.environ)
    os.environ.update(changes)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(["voices", *arguments])
    answers.append([code, out.getvalue(), err.getvalue()])
    os.environ.clear()
    os.environ.update(before)
json.dump(answers, sys.stdout)
"""


@pytest.fixture
def on(tmp_path: Path, tiny_models: Path) -> dict[str, str]:
    """What an operator sets who wants voices recognised. The samples lie in the current directory."""
    write_wav(tmp_path / "bright.wav", [silence(1), voice("bright", 8, seed=7)])
    (tmp_path / "passphrase").write_text(f"{PASSPHRASE}\n")
    return {
        "ERNI_VOICES": "true",
        "ERNI_ENCRYPTION_KEY": KEY,
        "MODELS_DIR": str(tiny_models),
        "ERNI_LOCAL_SPEAKERS": "toy-speakers",
    }


def run(
    program: list[str], home: Path, settings: dict[str, str], stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        program,
        cwd=home,
        env=environment(home, **settings),
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
    )


def voices(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    return run([*REAL, "voices", *arguments], home, more)


def in_turn(home: Path, calls: list[Any], **more: str) -> list[tuple[int, str, str]]:
    """Exit code, output and messages of several calls: (what is set differently, arguments)."""
    done = run([sys.executable, "-c", IN_TURN], home, more, json.dumps(calls).encode())
    assert done.returncode == 0, done.stderr
    return [(code, out, err) for code, out, err in json.loads(done.stdout)]


def export_by_hand(home: Path, settings: dict[str, str]) -> bytes:
    """Export at a terminal, where the passphrase is asked for twice; what the terminal showed."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [*REAL, "voices", "export", "voices.bin"],
        cwd=home,
        env=environment(home, **settings),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    with process:
        for _ in range(2):
            asked = seen.count(b": ")
            while seen.count(b": ") == asked:
                seen += os.read(ours, 4096)
            os.write(ours, f"{PASSPHRASE}\n".encode())
        assert process.wait(60) == 0, seen
    os.close(ours)
    return seen


def on_disk(home: Path) -> bytes:
    files = (home / "data" / "valkey" / "appendonlydir").iterdir()
    return b"".join(path.read_bytes() for path in files)


def test_a_voice_from_its_first_sample_to_its_last_trace(tmp_path: Path, on: dict[str, str]) -> None:
    added = voices(tmp_path, "add", "Anna Example", "bright.wav", **on)
    assert added.returncode == 0, added.stderr
    assert added.stderr.decode().startswith("✓ Anna Example: 1 sample, 8 s of speech, since ")
    assert added.stderr.decode().endswith(", recognised here\n")
    # No service ran, so the store was opened for this and closed again. Nothing is left of the audio.
    assert not (tmp_path / "data" / "valkey" / "valkey.sock").exists()
    assert not list((tmp_path / "data").rglob("*.wav"))
    held = on_disk(tmp_path)
    (kept,) = re.findall(rb"memory:voices:default\r\n.*?(1gAAAA[\w=-]{200,})", held, re.DOTALL)
    assert b"Anna" not in held

    assert b"horse" not in export_by_hand(tmp_path, on)
    assert stat.S_IMODE((tmp_path / "voices.bin").stat().st_mode) == 0o600

    gone = voices(tmp_path, "remove", "anna example", **on | {"ERNI_VOICES": "false"})
    assert gone.returncode == 0, gone.stderr
    assert gone.stderr.decode() == "✓ Removed, and from 0 stored transcripts.\n"
    # Not even sealed: the store's files were written anew. Their compression leaves such pieces whole.
    held = on_disk(tmp_path)
    assert held
    assert not any(kept[at : at + 16] in held for at in range(len(kept) - 16))

    imported = ("import", "voices.bin", "--workspace", "team", "--passphrase-file", "passphrase")
    listed = ("list", "--json", "--workspace")
    (tmp_path / "other").write_text("incorrect horse battery")
    first, second, team, default, wrong, there = in_turn(
        tmp_path,
        [
            ({}, imported),
            ({}, imported),
            ({}, (*listed, "team")),
            ({}, (*listed, "default")),
            ({}, ("import", "voices.bin", "--passphrase-file", "other")),
            ({}, ("export", "voices.bin", "--workspace", "team", "--passphrase-file", "passphrase")),
        ],
        **on,
    )
    assert first == (0, "", "✓ 1 voice added.\n")
    assert (second[0], second[2]) == (
        1,
        "Anna Example is known here already and was passed over.\n✓ 0 voices added.\n",
    )
    assert [entry["name"] for entry in json.loads(team[1])] == ["Anna Example"]
    assert json.loads(default[1]) == []
    assert (wrong[0], "passphrase is wrong" in wrong[2]) == (2, True)
    assert (there[0], "is there already" in there[2]) == (2, True)


def test_a_service_that_runs_keeps_its_store(tmp_path: Path, on: dict[str, str]) -> None:
    with service(tmp_path, METHODS="quick", **on) as running:
        until((tmp_path / "data" / "valkey" / "valkey.sock").exists)
        assert voices(tmp_path, "add", "Ben", "bright.wav", **on).returncode == 0
        (_, before, _), (code, _, _), (_, after, _) = in_turn(
            tmp_path, [({}, ("list",)), ({}, ("remove", "Ben")), ({}, ("list",))], **on
        )
        assert before.startswith("Ben: 1 sample")
        assert (code, after) == (0, "")
        assert running.poll() is None
        assert (tmp_path / "data" / "valkey" / "valkey.sock").exists()
    logged = (tmp_path / "log").read_text()
    assert "Valkey ended" not in logged
    assert "Ben" not in logged


async def _begin(data_dir: Path) -> None:
    async with open_any_state(load_settings(Settings, data_dir=data_dir)):
        pass


def test_what_cannot_be_done_is_said_in_one_line(tmp_path: Path, on: dict[str, str]) -> None:
    asyncio.run(_begin(tmp_path / "data"))
    add = ("add", "Anna", "bright.wav")
    cases: list[tuple[dict[str, str], tuple[str, ...], int, str]] = [
        ({"ERNI_VOICES": "false"}, add, 2, "Voiceprints are biometric data"),
        ({"ERNI_ENCRYPTION_KEY": ""}, add, 2, "set ERNI_ENCRYPTION_KEY"),
        ({"ERNI_LOCAL_SPEAKERS": "none"}, add, 2, "PYANNOTEAI_API_KEY"),
        ({}, ("add", "Anna", "absent.wav"), 2, "absent.wav"),
        ({}, ("add", "Anna", "passphrase"), 1, "passphrase: "),
        ({}, ("add", "Speaker 3", "bright.wav"), 2, "must not look like a speaker's label"),
        ({}, ("remove", "Nobody\x1b[31m"), 1, "No voice of Nobody[31m is known"),
        ({}, ("export", "voices.bin"), 2, "Give --passphrase-file"),
        ({}, ("export", "voices.bin", "--passphrase-file", "passphrase"), 1, "no file was made"),
        ({}, ("import", "bright.wav", "--passphrase-file", "passphrase"), 2, "no file of voices"),
        ({}, ("list", "--workspace", " "), 2, "A workspace has an id"),
    ]
    answers = in_turn(tmp_path, [(changes, arguments) for changes, arguments, _, _ in cases], **on)
    for (_, arguments, code, wanted), answer in zip(cases, answers, strict=True):
        assert (answer[0], answer[1], wanted in answer[2]) == (code, "", True), (arguments, answer)
        assert len(answer[2].splitlines()) == 1
        assert answer[2].startswith("erni-audio: ")
    assert not (tmp_path / "voices.bin").exists()
