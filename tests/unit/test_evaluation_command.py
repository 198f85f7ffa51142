"""The command as people and programs see it: tables, JSON, errors, exit codes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from core.evaluation.command import evaluate
from core.evaluation.comparing import compare
from core.evaluation.figures import Options
from core.evaluation.report import show

REFERENCE = "m1 1 A 0 4 a b c d\nm1 1 B 4 8 e f g h\n"
OTHER = "m2 1 A 0 2 a b\n"


@pytest.fixture
def call() -> Any:
    app = typer.Typer()
    app.command()(evaluate)

    def run(*arguments: object) -> Any:
        return CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "200"})

    return run


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_pair_as_a_table(tmp_path: Path, call: Any) -> None:
    reference = put(tmp_path / "ref.stm", REFERENCE)
    hypothesis = put(tmp_path / "asr.stm", "up 1 X 0 4 A b x D.\nup 1 Y 4 8 e f g\n")
    result = call(reference, hypothesis, "--der-collar", "0")
    assert result.exit_code == 0, result.output
    header, row, conditions, *rest = result.stdout.splitlines()
    assert header.split() == ["Recording", "WER", "cpWER", "tcpWER", "DER", "Length", "Speakers"]
    assert row.split("  ")[0] == "m1"
    assert row.split()[1:] == ["25.0", "%", "25.0", "%", "25.0", "%", "0.0", "%", "8", "words", "2/2"]
    assert conditions.startswith("Text: lower case")
    assert not rest
    assert not result.stderr


def test_a_pair_as_json(tmp_path: Path, call: Any) -> None:
    reference = put(tmp_path / "ref.stm", REFERENCE)
    hypothesis = put(tmp_path / "asr.stm", "up 1 X 0 4 a b c d e\nup 1 Y 5 8 f g h\n")
    result = call(reference, hypothesis, "--json", "--der-collar", "0")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["schema"] == "urn:erni-audio:evaluation:1"
    assert found["options"] == {
        "normalizer": "basic",
        "unit": "auto",
        "collar": 5.0,
        "der_collar": 0.0,
        "skip_overlap": False,
    }
    (one,) = found["results"]
    assert one == {
        "recording": "m1",
        "hypothesis": "asr.stm",
        "reference_file": str(reference),
        "hypothesis_file": str(hypothesis),
        "unit": "word",
        "reference_speakers": 2,
        "hypothesis_speakers": 2,
        "wer": {
            "rate": 0.0,
            "errors": 0,
            "insertions": 0,
            "deletions": 0,
            "substitutions": 0,
            "length": 8,
            "order": "time",
        },
        "cpwer": {
            "rate": 0.25,
            "errors": 2,
            "insertions": 1,
            "deletions": 1,
            "substitutions": 0,
            "length": 8,
            "missed_speakers": 0,
            "false_speakers": 0,
            "assignment": [["A", "X"], ["B", "Y"]],
        },
        "tcpwer": one["cpwer"],
        "der": {
            "rate": 0.125,
            "total": 8.0,
            "missed": 1.0,
            "false_alarm": 0.0,
            "confusion": 0.0,
            "assignment": [["A", "X"], ["B", "Y"]],
        },
        "not_scored": {},
    }
    assert found["unreadable"] == found["unmatched"] == []


def test_a_total_adds_counts_up_and_does_not_average_rates(tmp_path: Path, call: Any) -> None:
    put(tmp_path / "ref" / "m1.stm", REFERENCE)
    put(tmp_path / "ref" / "m2.stm", OTHER)
    put(tmp_path / "hyp" / "m1.stm", REFERENCE)
    put(tmp_path / "hyp" / "m2.stm", "m2 1 A 0 2 x y\n")
    result = call(tmp_path / "ref", tmp_path / "hyp", "--json")
    assert result.exit_code == 0
    (total,) = json.loads(result.stdout)["totals"]
    for figure in ("wer", "cpwer", "tcpwer"):
        assert (total[figure]["errors"], total[figure]["length"]) == (2, 10)
        assert total[figure]["rate"] == pytest.approx(0.2)  # the mean of the rates would be 0.5
        assert total[figure]["recordings"] == 2
    table = call(tmp_path / "ref", tmp_path / "hyp").stdout
    assert "Total (words)" in table
    assert "20.0 %" in table


def test_words_and_characters_are_not_added_up(tmp_path: Path, call: Any) -> None:
    put(tmp_path / "ref" / "en.txt", "hello there")
    put(tmp_path / "ref" / "zh.txt", "今天天气很好")
    put(tmp_path / "hyp" / "en.txt", "hello there")
    put(tmp_path / "hyp" / "zh.txt", "今天天气好")
    totals = json.loads(call(tmp_path / "ref", tmp_path / "hyp", "--json").stdout)["totals"]
    assert {total["unit"]: total["wer"]["length"] for total in totals} == {"word": 2, "character": 6}
    only = call(tmp_path / "ref" / "zh.txt", tmp_path / "hyp" / "zh.txt").stdout
    assert only.split()[:2] == ["Recording", "CER"]


def test_several_hypotheses_are_told_apart(tmp_path: Path, call: Any) -> None:
    reference = put(tmp_path / "ref.stm", REFERENCE)
    good = put(tmp_path / "good.stm", REFERENCE)
    bad = put(tmp_path / "bad.stm", "m1 1 X 0 8 x\n")
    result = call(reference, good, bad)
    assert result.exit_code == 0
    header, first, second, *_ = result.stdout.splitlines()
    assert header.split()[:2] == ["Recording", "Hypothesis"]
    assert first.split()[:3] == ["m1", "good.stm", "0.0"]
    assert second.split()[:3] == ["m1", "bad.stm", "100.0"]


def test_files_of_the_same_name_are_told_apart_by_their_paths(tmp_path: Path, call: Any) -> None:
    reference = put(tmp_path / "ref.stm", REFERENCE)
    paths = [put(tmp_path / name / "m1.stm", REFERENCE) for name in ("one", "two")]
    results = json.loads(call(reference, *paths, "--json").stdout)["results"]
    assert [one["hypothesis"] for one in results] == [str(path) for path in paths]


def test_files_of_different_recordings_are_one_hypothesis(tmp_path: Path, call: Any) -> None:
    reference = put(tmp_path / "ref.stm", REFERENCE + OTHER)
    paths = [put(tmp_path / "m1.stm", REFERENCE), put(tmp_path / "m2.stm", OTHER)]
    result = call(reference, *paths, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {one["hypothesis"] for one in found["results"]} == {"2 files"}
    assert found["totals"][0]["wer"]["length"] == 10


def test_what_has_no_counterpart_is_listed_and_the_exit_code_says_so(tmp_path: Path, call: Any) -> None:
    put(tmp_path / "ref" / "m1.stm", REFERENCE)
    put(tmp_path / "ref" / "m2.stm", OTHER)
    put(tmp_path / "hyp" / "m1.stm", REFERENCE)
    put(tmp_path / "hyp" / "m3.stm", "m3 1 A 0 1 a\n")
    result = call(tmp_path / "ref", tmp_path / "hyp")
    assert result.exit_code == 1
    assert "m1" in result.stdout
    assert f"{tmp_path / 'ref' / 'm2.stm'}: hyp has no transcript of m2." in result.stderr.splitlines()
    assert f"{tmp_path / 'hyp' / 'm3.stm'}: there is no reference for m3." in result.stderr.splitlines()


@pytest.mark.parametrize("side", ["reference", "hypothesis"])
@pytest.mark.parametrize("content", [b"prose\n", b"\xff\xfe\x00", b"m1 1 A 5 1 a\n"])
def test_a_bad_file_is_one_line_and_exit_code_2(tmp_path: Path, call: Any, side: str, content: bytes) -> None:
    good, bad = put(tmp_path / "good.stm", REFERENCE), put(tmp_path / "bad.stm", content)
    result = call(*((bad, good) if side == "reference" else (good, bad)))
    assert result.exit_code == 2
    assert not result.stdout
    assert result.stderr.startswith(str(bad))
    assert len(result.stderr.splitlines()) == (1 if side == "reference" else 2)


def test_a_bad_file_in_a_folder_does_not_keep_the_rest_from_being_scored(tmp_path: Path, call: Any) -> None:
    put(tmp_path / "ref" / "m1.stm", REFERENCE)
    put(tmp_path / "ref" / "m2.stm", OTHER)
    put(tmp_path / "hyp" / "m1.stm", REFERENCE)
    put(tmp_path / "hyp" / "m2.stm", "prose\n")
    result = call(tmp_path / "ref", tmp_path / "hyp", "--json")
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    assert [one["recording"] for one in found["results"]] == ["m1"]
    assert len(found["unreadable"]) == 1
    assert len(found["unmatched"]) == 1


@pytest.mark.parametrize(
    "arguments", [["--collar", "nan"], ["--collar", "-1"], ["--der-collar", "inf"], ["--unit", "phoneme"]]
)
def test_a_wrong_call_is_exit_code_2(tmp_path: Path, call: Any, arguments: list[str]) -> None:
    path = put(tmp_path / "ref.stm", REFERENCE)
    result = call(path, path, *arguments)
    assert result.exit_code == 2
    assert arguments[0] in result.stderr


def test_figures_that_are_missing_say_why(tmp_path: Path, call: Any) -> None:
    reference = put(tmp_path / "ref.rttm", "SPEAKER m1 1 0 4 <NA> <NA> A <NA> <NA>\n")
    result = call(reference, put(tmp_path / "asr.stm", REFERENCE), "--der-collar", "0")
    assert result.exit_code == 0
    header, row, *_, gaps = result.stdout.splitlines()
    assert header.split() == ["Recording", "DER", "Length", "Speakers"]
    assert row.split() == ["m1", "100.0", "%", "4.0", "s", "1/2"]
    assert gaps == "No WER, cpWER, tcpWER: the reference has no words (m1)."


def test_a_uem_limits_der(tmp_path: Path, call: Any) -> None:
    reference = put(tmp_path / "ref.stm", REFERENCE)
    hypothesis = put(tmp_path / "asr.stm", "m1 1 X 0 4 a b c d\nm1 1 Y 6 8 e f g h\n")
    uem = put(tmp_path / "all.uem", "m1 1 0 4\nother 1 0 1\n")
    found = json.loads(call(reference, hypothesis, "--uem", uem, "--der-collar", 0, "--json").stdout)
    assert found["results"][0]["der"]["total"] == 4.0
    assert found["results"][0]["der"]["rate"] == 0.0
    put(uem, "m7 1 0 4\nother 1 0 1\n")
    found = json.loads(call(reference, hypothesis, "--uem", uem, "--json").stdout)
    assert found["results"][0]["der"] is None
    assert "UEM" in found["results"][0]["not_scored"]["der"]
    assert call(reference, hypothesis, "--uem", tmp_path / "no.uem").exit_code == 2


def test_skipped_overlap_reaches_the_figures(tmp_path: Path, call: Any) -> None:
    reference = put(tmp_path / "ref.stm", "m1 1 A 0 10 a\nm1 1 B 5 10 b\n")
    hypothesis = put(tmp_path / "asr.stm", "m1 1 X 0 10 a b\n")
    arguments = (reference, hypothesis, "--der-collar", 0, "--json")
    assert json.loads(call(*arguments).stdout)["results"][0]["der"]["total"] == 15
    assert json.loads(call(*arguments, "--skip-overlap").stdout)["results"][0]["der"]["total"] == 5


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "a.txt", "hello")
    monkeypatch.setitem(sys.modules, "meeteval.wer.wer.siso", None)
    result = call(path, path)
    assert result.exit_code == 2
    assert "pip install 'erni-audio[evaluate]'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_names_from_files_cannot_write_to_the_terminal(tmp_path: Path, call: Any) -> None:
    evil = "\x1b[2J[red]m1\u202e"
    rows = [{"session_id": evil, "speaker": "a", "start_time": 0, "end_time": 1, "words": "x"}]
    path = put(tmp_path / "ref.json", json.dumps(rows))
    result = call(path, path)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert "[red]m1" in result.stdout
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    show(compare(path, [path], Options()), terminal)
    drawn = terminal.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO from above
    assert "[red]m1" in drawn
    assert "\x1b[2J" not in drawn
    assert "─" in drawn
    assert "0.0 %" in drawn


def test_wide_names_stay_aligned(tmp_path: Path, call: Any) -> None:
    put(tmp_path / "ref" / "会議.txt", "a b")
    put(tmp_path / "ref" / "plain.txt", "a b")
    lines = call(tmp_path / "ref", tmp_path / "ref").stdout.splitlines()
    wide = next(line for line in lines if line.startswith("会議"))
    plain = next(line for line in lines if line.startswith("plain"))
    assert wide.index("0.0 %") + 2 == plain.index("0.0 %")


def test_the_corpus_against_itself_is_without_error(corpus: Path, call: Any) -> None:
    result = call(corpus, corpus, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert len(found["results"]) >= 8
    (total,) = found["totals"]
    assert [total[figure]["rate"] for figure in ("wer", "cpwer", "tcpwer", "der")] == [0, 0, 0, 0]
    assert total["wer"]["length"] > total["cpwer"]["length"] > 300


def test_evaluation_is_imported_without_the_scoring_packages() -> None:
    packages = "{'meeteval', 'pyannote', 'pandas', 'scipy'}"
    code = f"import sys, core.evaluation.command; print({packages} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"
