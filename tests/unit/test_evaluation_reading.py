"""Every format gives the same segments, and no file, however damaged, gives anything but one clear line."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Misconfigured
from core.evaluation.reading import MAX_BYTES, read, read_uem
from core.evaluation.session import NoTranscript, Segment, Unreadable, scoring_package
from core.model import Recording, Transcript, Utterance, Word
from core.registry import load

ANNA = Segment(speaker="anna", start=0.5, end=2.0, text="hello there")
BERT = Segment(speaker="bert", start=2.0, end=3.25, text="hi")


def put(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_stm_gives_speakers_times_and_words(tmp_path: Path) -> None:
    path = put(tmp_path, "a.stm", ";; comment\nm1 1 anna 0.5 2.0 hello there\n\nm1 B bert 2 3.25 hi\n")
    (session,) = read(path)
    assert session.session_id == "m1"
    assert session.segments == (ANNA, BERT)
    assert (session.has_text, session.has_speakers, session.has_times) == (True, True, True)


def test_stm_labels_and_ignored_stretches_are_no_words(tmp_path: Path) -> None:
    path = put(
        tmp_path,
        "a.stm",
        "m1 1 anna 0.5 2.0 <o,f0,female> hello there\n"
        "m1 1 bert 3 4 IGNORE_TIME_SEGMENT_IN_SCORING\n"
        "m1 1 inter_segment_gap 4 5\n",
    )
    assert read(path)[0].segments == (ANNA,)


def test_seglst_gives_the_same_as_stm(tmp_path: Path) -> None:
    rows = [
        {"session_id": "m1", "speaker": s.speaker, "start_time": s.start, "end_time": s.end, "words": s.text}
        for s in (ANNA, BERT)
    ]
    assert read(put(tmp_path, "a.seglst.json", json.dumps(rows)))[0].segments == (ANNA, BERT)


def test_seglst_without_speakers_or_times_says_so(tmp_path: Path) -> None:
    path = put(tmp_path, "a.json", json.dumps([{"session_id": 7, "words": "hello"}]))
    (session,) = read(path)
    assert session.session_id == "7"
    assert (session.has_speakers, session.has_times) == (False, False)


def test_rttm_has_speakers_but_no_words(tmp_path: Path) -> None:
    path = put(
        tmp_path,
        "a.rttm",
        "SPKR-INFO m1 1 <NA> <NA> <NA> unknown anna <NA> <NA>\n"
        "SPEAKER m1 1 0.5 1.5 <NA> <NA> anna <NA> <NA>\nSPEAKER m1 1 2 1.25 <NA> <NA> bert <NA>\n",
    )
    (session,) = read(path)
    assert not session.has_text
    assert [(s.speaker, s.start, s.end, s.text) for s in session.segments] == [
        ("anna", 0.5, 2.0, None),
        ("bert", 2.0, 3.25, None),
    ]


def test_channels_of_a_ctm_are_speakers_only_if_there_are_several(tmp_path: Path) -> None:
    one = put(tmp_path, "one.ctm", "m1 1 0.5 0.5 hello 0.9\nm1 1 1.0 1.0 there\n")
    (session,) = read(one)
    assert not session.has_speakers
    assert [(s.start, s.end, s.text) for s in session.segments] == [(0.5, 1.0, "hello"), (1.0, 2.0, "there")]
    two = put(tmp_path, "two.ctm", "call A 0.5 0.5 hello\ncall B 1.0 1.0 hi\nother A 0 1 well\n")
    call, other = read(two)
    assert (call.has_speakers, other.has_speakers) == (True, False)
    assert {s.speaker for s in call.segments} == {"A", "B"}


def test_plain_text_is_words_alone(tmp_path: Path) -> None:
    (session,) = read(put(tmp_path, "a.txt", "\ufeffhello\nthere\n"))
    assert (session.has_text, session.has_speakers, session.has_times) == (True, False, False)
    assert session.segments[0].text == "hello\nthere\n"


def test_our_json_as_it_is_rendered(tmp_path: Path) -> None:
    transcript = Transcript(
        content_key="sha256:0",
        languages=("en",),
        seconds=4.0,
        engine="test",
        utterances=(
            Utterance(
                speaker="Speaker 1",
                start=0.5,
                end=2.0,
                words=(Word(start=0.5, end=1.0, text="Hello"), Word(start=1.0, end=2.0, text="there.")),
            ),
            Utterance(speaker=None, start=2.5, end=3.0, words=(Word(start=2.5, end=3.0, text="Hi"),)),
        ),
    )
    recording = Recording(
        key="k",
        content_key="sha256:0",
        platform="folder",
        door="folder@here",
        address="{}",
        name="board meeting.m4a",
        shared_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    (session,) = read(
        put(tmp_path, "a.transcript.json", load("core.render.data:render_json")(transcript, recording))
    )
    assert session.session_id == "board meeting"
    assert (session.has_text, session.has_speakers, session.has_times) == (True, True, True)
    assert session.segments[0].words == ((0.5, 1.0, "Hello"), (1.0, 2.0, "there."))
    assert [(s.speaker, s.start, s.end, s.text) for s in session.segments] == [
        ("Speaker 1", 0.5, 2.0, "Hello there."),
        (None, 2.5, 3.0, "Hi"),
    ]


def test_recordings_of_one_file_are_kept_apart(tmp_path: Path) -> None:
    path = put(tmp_path, "a.stm", "m1 1 a 0 1 x\nm2 1 a 0 1 y\nm1 1 b 1 2 z\n")
    first, second = read(path)
    assert [first.session_id, second.session_id] == ["m1", "m2"]
    assert [s.text for s in first.segments] == ["x", "z"]


@pytest.mark.parametrize("name", ["a.stm", "a.rttm", "a.ctm", "a.txt"])
def test_an_empty_file_is_a_recording_without_speech(tmp_path: Path, name: str) -> None:
    (session,) = read(put(tmp_path, name, b""))
    assert not any((s.text or "").strip() for s in session.segments)


ROW = {"session_id": "m", "speaker": "a", "start_time": 0, "end_time": 1, "words": "x"}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", b"", "not valid JSON"),
        ("a.json", b"[" * 100_000, "not valid JSON"),
        ("a.json", b"null", "not a transcript"),
        ("a.json", b'{"source": "AMI"}', "not a transcript"),
        ("a.json", b"[1, 2]", "not of SegLST segments"),
        ("a.json", json.dumps([ROW, 3]).encode(), "segment 2: not an object"),
        ("a.json", json.dumps([ROW, {**ROW, "session_id": None}]).encode(), "segment 2: no session_id"),
        ("a.json", json.dumps([{**ROW, "words": ["x"]}]).encode(), "segment 1: `words` is not text"),
        ("a.json", json.dumps([{**ROW, "speaker": {}}]).encode(), "speaker is neither text nor a number"),
        ("a.json", json.dumps([{**ROW, "end_time": "soon"}]).encode(), "not a number of seconds"),
        ("a.json", json.dumps([{**ROW, "end_time": True}]).encode(), "not a number of seconds"),
        ("a.json", json.dumps([{**ROW, "end_time": float("nan")}]).encode(), "beyond 10000000 seconds"),
        ("a.json", json.dumps([{**ROW, "end_time": 10**400}]).encode(), "not a number of seconds"),
        ("a.json", b'{"utterances": [{"start": 0, "end": 1}]}', "utterance 1: `text` is not text"),
        ("a.json", b'{"utterances": [{"start": 2, "end": 1, "text": "x"}]}', "ends before it starts"),
        ("a.stm", b"m1 1 anna 2.0 0.5 hello\n", "line 1: speech from 2 s ends before it starts"),
        ("a.stm", b"\nm1 1 anna 1e9 1e10 hello\n", "line 2: a time is beyond 10000000 seconds"),
        ("a.stm", b"m1 1 anna 0 inf hello\n", "line 1: a time is beyond"),
        ("a.stm", b"m1 1 anna zero one hello\n", "line 1: not of the form"),
        ("a.stm", b"just some prose\n", "line 1: not of the form"),
        ("a.ctm", b"m1 1 0.5 -0.5 hello\n", "line 1: not of the form"),
        ("a.ctm", b"m1 1 0.5\n", "line 1: not of the form"),
        ("a.rttm", b"SPEAKER m1 1 0.5 -1 <NA> <NA> anna <NA> <NA>\n", "ends before it starts"),
        ("a.rttm", b"m1 1 anna 0.5 2 hello\n", "line 1: not of the form"),
        ("a.stm", b"m1 1 anna 0 1 caf\xe9\n", "not UTF-8 text (byte 17)"),
        ("a.txt", "hello".encode("utf-16"), "not UTF-8 text"),
        ("a.txt", "hello".encode("utf-16-le"), "zero bytes"),
        ("a.docx", b"PK", "unknown format; readable are .json"),
        ("a", b"hello", "unknown format"),
    ],
)
def test_damage_is_one_clear_line(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = put(tmp_path, name, content)
    with pytest.raises(Unreadable) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert says in message
    assert "\n" not in message
    assert "hello" not in message.removeprefix(str(path))


def test_what_is_no_transcript_can_be_told_from_damage(tmp_path: Path) -> None:
    with pytest.raises(NoTranscript):
        read(put(tmp_path, "SOURCE.json", b'{"licence": "MIT"}'))


def test_missing_files_folders_and_endless_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no such file"):
        read(tmp_path / "nothing.stm")
    (tmp_path / "folder.stm").mkdir()
    with pytest.raises(Unreadable, match="no such file"):
        read(tmp_path / "folder.stm")
    large = tmp_path / "large.txt"
    with large.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # sparse: takes no room
    with pytest.raises(Unreadable, match="too large for a transcript"):
        read(large)


@given(
    content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode),
    suffix=st.sampled_from(["json", "stm", "ctm", "rttm", "txt", "seglst.json"]),
)
def test_no_bytes_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any.{suffix}"
    path.write_bytes(content)
    with contextlib.suppress(Unreadable):
        assert read(path)


def test_uem_regions_of_one_recording_add_up(tmp_path: Path) -> None:
    path = put(tmp_path, "a.uem", ";; comment\nm1 1 0 10\nm1 1 20 30.5\nm2 1 0 5\n")
    assert read_uem(path) == {"m1": ((0.0, 10.0), (20.0, 30.5)), "m2": ((0.0, 5.0),)}


@pytest.mark.parametrize("content", ["", "m1 1 5 2\n", "m1 1 0\n", "m1 1 0 nan\n"])
def test_a_damaged_uem_is_one_clear_line(tmp_path: Path, content: str) -> None:
    path = put(tmp_path, "a.uem", content)
    with pytest.raises(Unreadable) as caught:
        read_uem(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_missing_extra_says_how_to_install_it() -> None:
    with pytest.raises(Misconfigured, match=r"pip install 'erni-audio\[evaluate\]'"):
        scoring_package("no_such_package_as_this")
