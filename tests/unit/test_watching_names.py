"""Names in watched folders."""

from __future__ import annotations

import os
import re
import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.filenames import (
    display_name,
    family,
    folded,
    is_arriving,
    is_output,
    is_recording,
    is_watched,
    note_name,
    output_base,
    output_names,
    stem,
)
from core.registry import FORMATS

SUFFIXES = [entry.suffix for entry in FORMATS.values()]
NAMES = st.one_of(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=120),
    st.binary(min_size=1, max_size=250).map(
        lambda raw: os.fsdecode(raw.replace(b"/", b"_").replace(b"\0", b"_"))
    ),
).filter(lambda name: name not in {".", ".."} and len(os.fsencode(name)) <= 251)


@pytest.mark.parametrize(
    "name", ["a.mp3", "A.MP3", "Zoom.Mp4", "voice.opus", "x.transcript.mp3", "ü ñ.M4A", "a\nb.wav"]
)
def test_recordings(name: str) -> None:
    assert is_recording(name)


@pytest.mark.parametrize(
    "name",
    [
        *("notes.txt", "mp3", ".mp3", "._a.mp3", ".a.mp3", "~$a.mp3", ".~lock.a.mp3#", "a.mp3.part"),
        *("a.mp3.crdownload", "~syncthing~a.mp3", ".syncthing.a.mp3.tmp", "a.mp3~", "a.transcript.json"),
        *("a.mp3 ", "a.mp3."),
    ],
)
def test_no_recordings(name: str) -> None:
    assert not is_recording(name)


MEET = "Weekly sync - 2026_11_20 10_00 CET - Recording"


@pytest.mark.parametrize("name", [MEET, "v1.2 sync", "talk.data", "a.mp3"])
@pytest.mark.parametrize("kind", ["video/mp4", "audio/mpeg", "Audio/MP4; codecs=x"])
def test_recordings_by_their_type(name: str, kind: str) -> None:
    assert is_recording(name, kind)
    assert is_watched(f"inner/{name}", kind)
    assert is_recording(name) == name.endswith(".mp3")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("talk.mp4.crdownload", "video/mp4"),
        ("Talk.PART", "video/mp4"),
        (".hidden", "video/mp4"),
        ("", "video/mp4"),
        ("a.transcript.md", "audio/mpeg"),
        (".erni-audio-1", "audio/mpeg"),
        ("song.mid", "audio/midi"),
        ("list.m3u", "audio/x-mpegurl"),
        ("notes", "text/plain"),
        ("notes", ""),
        ("notes", None),
    ],
)
def test_no_recordings_whatever_their_type(name: str, kind: str | None) -> None:
    assert not is_recording(name, kind)


@pytest.mark.parametrize(
    ("name", "base"),
    [
        (MEET, MEET),
        ("v1.2 sync", "v1.2 sync"),
        ("v1.2 sync.mp4", "v1.2 sync"),
        ("a.MP3", "a"),
        (".mp3", ".mp3"),
    ],
)
def test_only_the_ending_of_media_is_left_out_of_names(name: str, base: str) -> None:
    assert output_base(name, shared=False) == stem(name) == base
    assert output_base(name, shared=True) == name


def test_with_and_without_an_ending_they_are_kept_apart() -> None:
    assert family("Weekly sync") == family("weekly sync.mp4")
    assert family("v1.2 sync") != family("v1.3 sync")


@pytest.mark.parametrize("path", [".stversions/a.mp3", "x/@eaDir/a.mp3", "#recycle/a.mp3", "x/.git/y/a.mp3"])
def test_places_that_are_not_looked_into(path: str) -> None:
    assert not is_watched(path)


def test_control_files_of_downloads_mark_what_they_belong_to() -> None:
    assert is_arriving("a.mp4", {"a.mp4", "a.mp4.aria2"}.__contains__)
    assert is_arriving("a.mp4", {"a.mp4", "a.mp4.part"}.__contains__)
    assert not is_arriving("a.mp4", {"a.mp4", "b.mp4.part"}.__contains__)


@given(NAMES, st.booleans(), st.integers(1, 999))
def test_outputs_stay_in_their_folder_and_are_recognised(name: str, shared: bool, number: int) -> None:
    base = output_base(f"{name}.mp3", shared)
    outputs = [*output_names(base, SUFFIXES, number).values(), note_name(base, number)]
    assert len(set(outputs)) == len(outputs)
    for output in outputs:
        assert is_output(output)
        assert not is_recording(output)
        assert "/" not in output
        assert "\0" not in output
        assert output not in {".", ".."}
        assert len(os.fsencode(output)) <= 255


@pytest.mark.parametrize("letter", ["x", "é", "😀", "\udcff", "\0"])
@pytest.mark.parametrize("shared", [False, True])
def test_long_names_of_strangers_are_little_work(
    letter: str, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    fsencode = os.fsencode

    def counted(name: str) -> bytes:
        encoded.append(len(name))
        return fsencode(name)

    monkeypatch.setattr(os, "fsencode", counted)
    base = output_base(letter * 10_000 + ".mp3", shared)
    monkeypatch.undo()
    assert sum(encoded) < 100_000
    assert len(os.fsencode(base)) in range(197, 201)
    assert base != output_base(letter * 9_999 + ".mp3", shared)


@given(NAMES, NAMES)
def test_different_recordings_have_different_outputs(one: str, other: str) -> None:
    one, other = f"{one}.mp3", f"{other}.wav"
    shared = family(one) == family(other)
    if one != other:
        assert output_base(one, shared) != output_base(other, shared)


@given(NAMES)
def test_display_names_can_be_shown_and_stored(name: str) -> None:
    shown = display_name(name)
    assert shown.encode()
    assert not any(ord(char) < 32 for char in shown)


def test_the_name_that_the_issue_promises() -> None:
    assert output_names(output_base("Team meeting.mp3", False), ["md", "seglst.json"]) == {
        "md": "Team meeting.transcript.md",
        "seglst.json": "Team meeting.transcript.seglst.json",
    }
    assert output_names("a", ["md"], 2) == {"md": "a.transcript (2).md"}
    assert note_name("a") == "a.transcript-error.txt"


def test_names_that_differ_in_case_or_composition_only_are_one_family() -> None:
    assert family("É.mp3") == family("e\u0301.WAV")


@pytest.mark.parametrize(
    "text", ["\u0301\u0323" * 50_000, "e\u0323\u0301" * 50_000, "a" + "\u0345\u0301" * 50_000]
)
def test_rows_of_marks_in_names_of_strangers_are_little_work(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To compose them takes the square of the length of every row."""
    work = 0
    normalize = unicodedata.normalize

    def counting(form: Literal["NFC"], text: str) -> str:
        nonlocal work
        rows = "".join("m" if unicodedata.combining(char) else " " for char in text).split()
        work += sum(len(row) ** 2 for row in rows)
        return normalize(form, text)

    monkeypatch.setattr("core.filenames.unicodedata.normalize", counting)
    for form in (display_name, family, folded):
        work = 0
        form(f"{text}.mp3")
        assert work <= 100 * len(text)


@given(st.text("e\u0301\u0323A", min_size=301, max_size=400), st.integers(0, 400))
def test_long_names_are_one_only_if_they_differ_in_case_or_composition_only(name: str, at: int) -> None:
    other = f"{name[:at]}b{name[at:]}"
    assert folded(other) != folded(name)
    assert folded(name.swapcase()) == folded(name.casefold())
    if not re.search("[\u0301\u0323]{25}", name):
        assert folded(unicodedata.normalize("NFD", name)) == folded(name)
        assert folded(unicodedata.normalize("NFC", name)) == folded(name)
