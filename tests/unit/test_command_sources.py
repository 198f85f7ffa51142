"""Which recordings a call names, and what their transcripts are called."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.commands.sources import Source, bases, gather, write

NOWHERE = Path("nowhere")


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(path.name.encode())
    return path


def test_folders_are_walked_for_recordings_alone(tmp_path: Path) -> None:
    for name in (
        "b.wav",
        "a.MP3",
        "notes.txt",
        "deep/c.m4a",
        ".hidden/d.wav",
        "a.transcript.md",
        "._b.wav",
    ):
        touch(tmp_path / name)
    sources, complaints = gather([str(tmp_path)], NOWHERE)
    assert [(source.folder, source.name) for source in sources] == [
        ("", "a.MP3"),
        ("", "b.wav"),
        ("deep", "c.m4a"),
    ]
    assert complaints == []


def test_a_named_file_may_be_called_anything_and_counts_once(tmp_path: Path) -> None:
    file = touch(tmp_path / "dictation")
    os.link(file, tmp_path / "again.wav")
    sources, complaints = gather([str(file), str(tmp_path), str(file)], NOWHERE)
    assert [source.path for source in sources] == [file]
    assert complaints == []


def test_what_is_no_recording_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    arguments = [str(tmp_path / name) for name in ("gone.wav", "empty", "pipe.wav")]
    sources, complaints = gather(arguments, NOWHERE)
    assert sources == []
    for argument, complaint, reason in zip(
        arguments,
        sorted(complaints, key=lambda line: arguments.index(line.rpartition(": ")[0])),
        ("no such file", "no recordings", "neither a file nor a folder"),
        strict=True,
    ):
        assert complaint.startswith(argument)
        assert reason in complaint


def source(path: str, folder: str = "") -> Source:
    return Source(path=Path(path), folder=folder, name=PurePath(path).name)


def test_outputs_keep_subfolders_and_stay_apart() -> None:
    named = [
        source("x/a.wav"),
        source("y/a.wav"),
        source("d/b/a.wav", "b"),
        source("t/talk.mp3"),
        source("t/talk.WAV"),
        source("t/voice"),
    ]
    assert bases(named) == ["a", "a (2)", "b/a", "talk.mp3", "talk.WAV", "voice"]


names = st.text(st.sampled_from("aAbé. /\x00\n-")).map(lambda text: text.replace("/", "").replace("\0", ""))


@given(st.lists(st.tuples(names, st.sampled_from(["", "b", "b/c"])), max_size=12))
def test_no_two_outputs_share_a_name_and_none_leaves_its_folder(given: list[tuple[str, str]]) -> None:
    found = bases([source(f"x/{name}.wav", folder) for name, folder in given])
    assert len({base.casefold() for base in found}) == len(given)
    for base, (_, folder) in zip(found, given, strict=True):
        assert str(PurePath(base).parent) == (folder or ".")
        assert ".." not in PurePath(base).parts


def test_nothing_is_overwritten_unless_told_to(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.txt"
    write({target: b"one"}, replace=False)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~stat.S_IMODE(_umask())
    with pytest.raises(FileExistsError):
        write({target: b"two"}, replace=False)
    assert target.read_bytes() == b"one"
    write({target: b"two"}, replace=True)
    assert target.read_bytes() == b"two"
    assert list(target.parent.iterdir()) == [target]


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
