"""Which reference belongs to which hypothesis."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from core.evaluation.pairing import Recording, find, pair, stem
from core.evaluation.session import Session, Unreadable

STM = "{} 1 a 0 1 hello\n"


def put(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def named(*names: str) -> Recording:
    session = Session(session_id=None, segments=(), has_text=True, has_speakers=True, has_times=True)
    return Recording(path=Path(names[0]), session=session, names=names)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("meeting.transcript.json", "meeting"),
        ("meeting.transcript.seglst.json", "meeting"),
        ("meeting.seglst.json", "meeting"),
        ("meeting.words.seglst.json", "meeting"),
        ("meeting.m4a.transcript.json", "meeting.m4a"),
        ("board 1.5.stm", "board 1.5"),
        ("ref.words.seglst.json", "ref"),
        ("REF.only_words.rttm", "REF"),
        ("a.STM", "a"),
        (".transcript.json", ".transcript"),
    ],
)
def test_names_lose_format_and_purpose(name: str, expected: str) -> None:
    assert stem(PurePosixPath(name)) == expected


def test_one_and_one_are_a_pair_whatever_they_are_called(tmp_path: Path) -> None:
    put(tmp_path / "truth.stm", STM.format("ami_0-30"))
    put(tmp_path / "asr.stm", STM.format("upload-7"))
    pairing = pair(find(tmp_path / "truth.stm").recordings, find(tmp_path / "asr.stm").recordings)
    assert len(pairing.pairs) == 1
    assert pairing.pairs[0][0].names[0] == "ami_0-30"


def test_the_session_id_counts_more_than_the_file_name(tmp_path: Path) -> None:
    put(tmp_path / "ref" / "a.stm", STM.format("one"))
    put(tmp_path / "ref" / "b.stm", STM.format("two"))
    put(tmp_path / "hyp" / "a.stm", STM.format("two"))
    put(tmp_path / "hyp" / "b.stm", STM.format("one"))
    pairing = pair(find(tmp_path / "ref").recordings, find(tmp_path / "hyp").recordings)
    assert [(a.path.name, b.path.name) for a, b in pairing.pairs] == [("a.stm", "b.stm"), ("b.stm", "a.stm")]


def test_folders_per_recording_meet_flat_and_foldered_hypotheses(tmp_path: Path) -> None:
    for name in ("ami-1", "ami-2", "ami-3"):
        put(tmp_path / "ref" / name / "ref.stm", STM.format(f"{name}_0-30"))
        put(tmp_path / "ref" / name / "ref.rttm", "")
        put(tmp_path / "ref" / name / "SOURCE.json", '{"licence": "MIT"}')
    put(tmp_path / "hyp" / "ami-1.transcript.json", '{"utterances": []}')
    put(tmp_path / "hyp" / "ami-2" / "output.json", '{"utterances": []}')
    put(tmp_path / "hyp" / "ami-3_0-30.wav.transcript.json", '{"utterances": []}')
    found = find(tmp_path / "ref")
    assert [(one.path.name, one.names[0]) for one in found.recordings] == [
        ("ref.stm", f"ami-{i}_0-30") for i in (1, 2, 3)
    ]
    pairing = pair(found.recordings, find(tmp_path / "hyp").recordings)
    assert [(a.path.parent.name, b.path.relative_to(tmp_path).as_posix()) for a, b in pairing.pairs] == [
        ("ami-1", "hyp/ami-1.transcript.json"),
        ("ami-2", "hyp/ami-2/output.json"),
        ("ami-3", "hyp/ami-3_0-30.wav.transcript.json"),
    ]
    assert not pairing.lone_references
    assert not pairing.lone_hypotheses


def test_the_richest_and_plainest_file_of_a_recording_is_taken(tmp_path: Path) -> None:
    segment = '[{"session_id": "m", "speaker": "a", "start_time": 0, "end_time": 1, "words": "x"}]'
    for name in ("ref.words.seglst.json", "ref.seglst.json"):
        put(tmp_path / "m" / name, segment)
    put(tmp_path / "m" / "ref.stm", STM.format("m"))
    put(tmp_path / "m" / "ref.txt", "hello")
    (one,) = find(tmp_path).recordings
    assert one.path.name == "ref.seglst.json"


def test_one_file_of_many_recordings_meets_files_of_one(tmp_path: Path) -> None:
    put(tmp_path / "all.stm", STM.format("one") + STM.format("two") + STM.format("three"))
    put(tmp_path / "hyp" / "one.txt", "hello")
    put(tmp_path / "hyp" / "two.transcript.json", '{"utterances": []}')
    put(tmp_path / "hyp" / "four.txt", "hello")
    pairing = pair(find(tmp_path / "all.stm").recordings, find(tmp_path / "hyp").recordings)
    assert [(a.names[0], b.path.name) for a, b in pairing.pairs] == [
        ("one", "one.txt"),
        ("two", "two.transcript.json"),
    ]
    assert [one.names[0] for one in pairing.lone_references] == ["three"]
    assert [one.path.name for one in pairing.lone_hypotheses] == ["four.txt"]


def test_a_session_in_a_collection_and_in_a_file_of_its_own_counts_once(tmp_path: Path) -> None:
    put(tmp_path / "all.stm", STM.format("one") + STM.format("two"))
    put(tmp_path / "one.stm", STM.format("one"))
    found = find(tmp_path).recordings
    assert sorted((one.names[0], one.path.name) for one in found) == [("one", "one.stm"), ("two", "all.stm")]


def test_names_that_several_share_match_nothing() -> None:
    twice = pair([named("a/audio", "audio"), named("b/audio", "audio")], [named("audio"), named("b/audio")])
    assert [(a.names[0], b.names[0]) for a, b in twice.pairs] == [("b/audio", "b/audio")]
    assert [one.names[0] for one in twice.lone_references] == ["a/audio"]
    assert [one.names[0] for one in twice.lone_hypotheses] == ["audio"]


def test_a_name_composed_of_other_code_points_is_the_same(tmp_path: Path) -> None:
    put(tmp_path / "ref" / "re\u0301union.txt", "x")
    put(tmp_path / "ref" / "other.txt", "x")
    put(tmp_path / "hyp" / "r\u00e9union.txt", "x")
    put(tmp_path / "hyp" / "third.txt", "x")
    assert len(pair(find(tmp_path / "ref").recordings, find(tmp_path / "hyp").recordings).pairs) == 1


def test_damage_in_a_folder_is_listed_and_the_rest_is_found(tmp_path: Path) -> None:
    put(tmp_path / "good.stm", STM.format("good"))
    put(tmp_path / "bad.stm", "prose\n")
    put(tmp_path / "notes.md", "prose\n")
    put(tmp_path / ".hidden.stm", "prose\n")
    found = find(tmp_path)
    assert [one.path.name for one in found.recordings] == ["good.stm"]
    assert len(found.problems) == 1
    assert "bad.stm: line 1" in found.problems[0]


def test_a_folder_without_transcripts_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "SOURCE.json", '{"licence": "MIT"}')
    with pytest.raises(Unreadable, match="no transcript in this folder"):
        find(tmp_path)


def test_the_corpus_is_found_by_itself(corpus: Path) -> None:
    found = find(corpus)
    assert not found.problems
    assert {"ami_EN2001a_0-30", "ami_ES2003a_0-30", "sample"} <= {one.names[0] for one in found.recordings}
    pairing = pair(found.recordings, found.recordings)
    assert len(pairing.pairs) == len(found.recordings)
    assert all(a is b for a, b in pairing.pairs)
