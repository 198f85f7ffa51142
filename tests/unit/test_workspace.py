"""Working directories: private, gone afterwards, also after a crash, and off the disk where it matters."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from core import workspace as module
from core.settings import Settings, load_settings
from core.vault import Vault
from core.workspace import workspace, workspace_root


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(Settings, data_dir=tmp_path / "data")


def test_it_is_private_and_gone_in_the_end(settings: Settings) -> None:
    with workspace(settings) as work:
        assert stat.S_IMODE(work.stat().st_mode) == 0o700
        assert stat.S_IMODE(work.parent.stat().st_mode) == 0o700
        (work / "audio.wav").write_bytes(b"x")
    assert not work.exists()


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_has_is_not(settings: Settings) -> None:
    code = (
        "import sys, time; from core.settings import *; from core.workspace import workspace\n"
        "with workspace(load_settings(Settings)) as work:\n"
        "    (work / 'audio.wav').write_bytes(b'x'); print(work, flush=True); time.sleep(600)"
    )
    environment = os.environ | {"ERNI_DATA_DIR": str(settings.data_dir)}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        lines = [process.stdout.readline().strip() for process in processes if process.stdout]
        killed, living = map(Path, lines)
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        assert killed.exists()
        with workspace(settings):
            assert not killed.exists()
            assert (living / "audio.wav").exists()
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_with_a_key_audio_stays_in_memory_where_there_is_room(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keyed = load_settings(Settings, data_dir=settings.data_dir, encryption_key=Vault.new_key())
    memory = tmp_path / "shm"
    memory.mkdir()
    monkeypatch.setattr(module, "_MEMORY", memory)
    monkeypatch.setattr(module, "_ROOM", 1)
    assert workspace_root(settings) == settings.data_dir / "work"
    assert workspace_root(keyed).parent == memory
    monkeypatch.setattr(module, "_ROOM", 1 << 62)
    assert workspace_root(keyed) == settings.data_dir / "work"
    assert "unencrypted on disk" in caplog.text
