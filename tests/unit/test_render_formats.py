"""Each format by example: goldens to read, and names, scripts, hours, drafts and silence."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import pairwise
from pathlib import Path

import pytest
import srt  # type: ignore[import-untyped]  # ships no types
import webvtt
from docx import Document
from docx.oxml.ns import qn
from jsonschema import Draft202012Validator, FormatChecker
from markdown_it import MarkdownIt
from meeteval.io import SegLST  # type: ignore[import-untyped]  # ships no types
from meeteval.wer import cpwer  # type: ignore[import-untyped]  # ships no types

from core.model import Recording, Transcript, Utterance, Word
from core.registry import FORMATS, load
from core.render.data import SCHEMA, parse_json
from core.render.layout import DRAFT_NOTICE, NO_SPEECH
from core.render.markdown import content_key_of

GOLDEN = Path(__file__).parent / "golden"
HUMAN = ("txt", "md", "docx", "srt", "vtt")


def speak(speaker: str | None, start: float, text: str, *, overlap: bool = False) -> Utterance:
    words: list[Word] = []
    at = start
    for part in text.split():
        length = 0.1 + 0.05 * len(part)
        words.append(Word(start=at, end=at + length, text=part, confidence=0.9))
        at += length + (0.5 if part[-1] in ".?!" else 0.04)
    return Utterance(
        speaker=speaker, start=words[0].start, end=words[-1].end, words=tuple(words), overlap=overlap
    )


RECORDING = Recording(
    key="folder:a",
    content_key="sha256:" + "0f" * 32,
    platform="folder",
    door="folder",
    address="{}",
    name="Weekly_sync *final* [v2] <b>.m4a",
    shared_at=datetime(2026, 11, 14, 9, 30, 15, tzinfo=UTC),
)
MEETING = Transcript(
    content_key="sha256:" + "0f" * 32,
    languages=("en", "he"),
    seconds=104.2,
    utterances=(
        speak(
            "Speaker 1",
            3,
            "Good morning, everybody. Thank you for joining at such short notice. Before we start with the"
            " agenda, I would like to say a few words about last week's release, because some of you were on"
            " holiday. It went out on Thursday, a day late, and it has been quiet since.",
        ),
        speak("Speaker 2", 14.2, "Mhm.", overlap=True),
        speak("Speaker 2", 28, "Can you say what the delay was?"),
        speak(
            "Speaker 1",
            32,
            "The migration took four hours instead of one. Nobody had measured it on a copy of production.",
        ),
        speak(
            "Speaker 1", 46, "Anna wrote it down in #wiki, with <b>bold</b> numbers & commands --> read it."
        ),
        speak(None, 60, "Who else is in the room?"),
        speak("Speaker 3", 64, "שלום לכולם, אני רוצה לדבר על Python היום. תודה רבה!"),
        speak("Speaker 2", 72, "👩‍👩‍👧 {\\an8} =1+1 | done."),
    ),
    engine="local",
    warnings=("The recording ends early: it may have been cut off while it was sent.",),
    names={"Speaker 1": "Ada *Lovelace*", "Speaker 3": "שרה"},
)
SILENT = replace(MEETING, utterances=(), names={}, warnings=(), languages=(), seconds=12.0)


def rendered(name: str, transcript: Transcript = MEETING, recording: Recording = RECORDING) -> bytes:
    render: Callable[[Transcript, Recording], bytes] = load(FORMATS[name].render)
    return render(transcript, recording)


def docx_text(document: bytes) -> str:
    found = Document(io.BytesIO(document))
    cells = [cell.text for table in found.tables for row in table.rows for cell in row.cells]
    return "\n".join([line.text for line in found.paragraphs] + cells)


def text_of(name: str, transcript: Transcript, recording: Recording = RECORDING) -> str:
    document = rendered(name, transcript, recording)
    return docx_text(document) if name == "docx" else document.decode()


def validate_json(document: bytes) -> None:
    schema = json.loads((resources.files("core.render") / "transcript.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == SCHEMA
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(json.loads(document))


@pytest.mark.parametrize("name", ["txt", "md", "srt", "vtt", "json", "seglst"])
def test_the_meeting_looks_as_it_was_approved(name: str) -> None:
    """After a wanted change run pytest on this file with `UPDATE_GOLDEN=1`, then read the diff."""
    golden = GOLDEN / f"meeting.{FORMATS[name].suffix}"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_bytes(rendered(name))
    assert rendered(name).decode() == golden.read_text("utf-8")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("transcript", [MEETING, SILENT], ids=["meeting", "silent"])
def test_the_same_input_gives_the_same_bytes(name: str, transcript: Transcript) -> None:
    assert rendered(name, transcript) == rendered(name, replace(transcript))


def test_nothing_in_a_word_document_depends_on_the_clock_or_the_machine() -> None:
    document = rendered("docx")
    with zipfile.ZipFile(io.BytesIO(document)) as archive:
        for member in archive.infolist():
            assert (member.date_time, member.create_system) == ((2026, 11, 14, 9, 30, 14), 3)
    properties = Document(io.BytesIO(document)).core_properties
    assert properties.created == properties.modified == RECORDING.shared_at
    assert properties.identifier == MEETING.content_key
    assert properties.title == RECORDING.name


@pytest.mark.parametrize("year", [1, 1979, 2108, 9999])
def test_dates_that_an_archive_cannot_hold_are_no_obstacle(year: int) -> None:
    shared = replace(RECORDING, shared_at=datetime(year, 2, 28, tzinfo=UTC))
    for name in FORMATS:
        assert rendered(name, MEETING, shared)
    assert f" {year}, " in text_of("docx", MEETING, shared)


def test_the_header_says_what_a_reader_wants_to_know() -> None:
    for name in ("txt", "md", "docx"):
        text = text_of(name, MEETING)
        for fact in ("14 November 2026, 09:30 UTC", "1 min 44 s", "English, Hebrew", "%", "cut off while"):
            assert fact in text, (name, fact)


# --- Markdown ---


def test_markup_in_names_and_words_stays_literal_on_the_page() -> None:
    page = MarkdownIt("commonmark").enable("table").render(rendered("md").decode())
    assert "<h1>Weekly_sync *final* [v2] &lt;b&gt;.m4a</h1>" in page
    assert "<strong>Ada *Lovelace*</strong>" in page
    assert "#wiki, with &lt;b&gt;bold&lt;/b&gt; numbers &amp; commands --&gt; read it." in page
    assert "<em>(overlapping)</em>" in page
    assert page.count("<table>") == 1


@pytest.mark.parametrize("name", ["#", "# ## #", "a #", "a \\#", "- [ ] x", "1. x", "---", "<!--", "a\\"])
def test_a_heading_shows_the_whole_name(name: str) -> None:
    page = MarkdownIt("commonmark").render(rendered("md", SILENT, replace(RECORDING, name=name)).decode())
    assert page.startswith(f"<h1>{name.replace('<', '&lt;')}</h1>\n")


@pytest.mark.parametrize("key", ["sha256:ab", "x --> <b> é\n--", "", "\ud800", "a%20b"])
def test_the_content_key_is_read_back_from_markdown(key: str) -> None:
    document = rendered("md", replace(MEETING, content_key=key))
    assert content_key_of(document) == key.replace("\ud800", "\ufffd")
    page = MarkdownIt("commonmark").render(document.decode())
    assert page.rstrip().endswith("-->")
    assert page.count("-->") == 1


def test_other_markdown_has_no_content_key() -> None:
    assert content_key_of(b"# Notes\n\nSee <!-- erni-audio transcript=1 content=x --> above.\n") is None
    assert content_key_of(rendered("md") + b"\nMy own notes.\n") is None


# --- subtitles ---


def test_subtitles_satisfy_their_parsers() -> None:
    cues = list(srt.parse(rendered("srt").decode()))
    assert [cue.index for cue in cues] == list(range(1, len(cues) + 1))
    for cue, following in pairwise(cues):
        assert cue.start < cue.end <= following.start
    captions = webvtt.from_string(rendered("vtt").decode()).captions
    assert {caption.voice for caption in captions} == {
        "Ada *Lovelace*",
        "Speaker 2",
        "Unknown speaker",
        "שרה",
    }


def test_markup_in_speech_stays_text_in_subtitles() -> None:
    vtt, plain = rendered("vtt").decode(), rendered("srt").decode()
    assert "&lt;b&gt;bold&lt;/b&gt;" in vtt
    assert "--&gt;" in vtt
    assert "<\u2060b>bold<\u2060/b>" in plain
    assert "{\u2060\\an8}" in plain
    assert plain.count("-->") == len(list(srt.parse(plain)))


def test_a_name_cannot_break_out_of_a_voice_tag() -> None:
    transcript = replace(MEETING, names={"Speaker 1": "A</v><c.x>B\n\n00:00 --> 1 & <i"})
    text = rendered("vtt", transcript).decode()
    assert "<v A&lt;/v&gt;&lt;c.x&gt;B 00:00 --&gt; 1 &amp; &lt;i>" in text
    assert len(webvtt.from_string(text).captions) == len(
        webvtt.from_string(rendered("vtt").decode()).captions
    )


def test_names_come_where_the_speaker_changes() -> None:
    cues = [cue.content for cue in srt.parse(rendered("srt").decode())]
    lines = [line.lstrip("\u202a\u202b") for content in cues for line in content.split("\n")]
    assert [line.partition(":")[0] for line in lines if ": " in line] == [
        "Ada *Lovelace*",
        "Speaker 2",
        "Ada *Lovelace*",
        "Speaker 2",
        "Ada *Lovelace*",
        "Unknown speaker",
        "שרה",
        "Speaker 2",
    ]
    assert "Speaker 2: Mhm." in lines


@pytest.mark.parametrize(
    ("start", "stamp", "clock", "length"),
    [
        (24 * 3600.0, "24:00:00.000", "[24:00:00]", "24 h 1 min"),
        (99 * 3600 + 3599.5, "99:59:59.500", "[99:59:59]", "100 h 1 min"),
        (250 * 3600 + 61.25, "250:01:01.250", "[250:01:01]", "250 h 2 min"),
    ],
)
def test_hours_go_on(start: float, stamp: str, clock: str, length: str) -> None:
    utterances = (speak("A", start, "Still here."), speak("B", start + 5, "Yes."))
    transcript = replace(MEETING, seconds=start + 60, utterances=utterances)
    first, second = srt.parse(rendered("srt", transcript).decode())
    assert first.start == timedelta(seconds=start)
    assert second.start - first.start == timedelta(seconds=5)
    captions = webvtt.from_string(rendered("vtt", transcript).decode()).captions
    assert captions[0].start == stamp
    text = text_of("txt", transcript)
    assert clock in text
    assert length in text
    assert parse_json(rendered("json", transcript)).seconds == start + 60


# --- documents ---


def test_right_to_left_speech_is_laid_out_so_in_word() -> None:
    lines = Document(io.BytesIO(rendered("docx"))).paragraphs
    (hebrew,) = [line for line in lines if "Python" in line.text]
    assert hebrew._p.pPr is not None
    assert hebrew._p.pPr.find(qn("w:bidi")) is not None
    assert all(run.font.rtl for run in hebrew.runs)
    english = next(line for line in lines if line.text.startswith("Good morning"))
    assert english._p.pPr is None or english._p.pPr.find(qn("w:bidi")) is None


# --- data ---


def test_the_schema_and_its_reader_accept_what_we_write() -> None:
    validate_json(rendered("json"))
    validate_json(rendered("json", SILENT))
    found = json.loads(rendered("json"))
    assert [entry["speaker"] for entry in found["speakers"]] == ["Speaker 1", "Speaker 2", None, "Speaker 3"]
    assert [entry["name"] for entry in found["speakers"]] == ["Ada *Lovelace*", None, None, "שרה"]
    assert found["utterances"][1]["overlap"] is True
    assert found["utterances"][1]["words"] == [
        {"start": 14.2, "end": 14.5, "text": "Mhm.", "confidence": 0.9}
    ]
    assert "שלום" in rendered("json").decode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "urn:erni-audio:transcript:2"),
        (("content_key",), None),
        (("seconds",), -1),
        (("seconds",), "12"),
        (("languages",), "en"),
        (("draft",), 1),
        (("warnings", 0), 3),
        (("speakers",), {}),
        (("utterances", 0, "start"), None),
        (("utterances", 0, "overlap"), "no"),
        (("utterances", 0, "words", 0, "text"), 5),
        (("utterances", 0, "words", 0, "confidence"), 1.5),
        (("utterances", 0, "words", 0), "word"),
        (("utterances", 0, "words"), None),
    ],
)
def test_what_the_schema_refuses_the_reader_refuses_naming_the_place(
    path: tuple[str | int, ...], value: object
) -> None:
    found = json.loads(rendered("json"))
    place = found
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    document = json.dumps(found).encode()
    with pytest.raises(Exception, match=r".") as schema_error:
        validate_json(document)
    assert type(schema_error.value).__name__ == "ValidationError"
    with pytest.raises(ValueError, match=r"no transcript in our JSON") as refused:
        parse_json(document)
    assert ".".join(map(str, path)) in str(refused.value)
    assert "morning" not in str(refused.value)


@pytest.mark.parametrize(
    "document", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"schema": 1}', b"[" * 100_000, b'{"a": NaN}']
)
def test_what_is_no_transcript_is_refused_in_one_sentence(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"^This is no transcript in our JSON \(urn:[^\n]*\.$"):
        parse_json(document)


def test_readers_ignore_members_that_they_do_not_know() -> None:
    found = json.loads(rendered("json"))
    found["later"] = found["utterances"][0]["later"] = found["utterances"][0]["words"][0]["later"] = [1]
    document = b"\xef\xbb\xbf" + json.dumps(found).encode()
    assert parse_json(document) == parse_json(rendered("json"))


def test_a_spreadsheet_shows_the_text_and_runs_no_formula() -> None:
    transcript = replace(
        MEETING,
        names={"Speaker 1": "=cmd|'/c calc'!A1", "Speaker 3": "@SUM(1)"},
        utterances=(*MEETING.utterances, speak("Speaker 2", 90, '-1 "quoted", with\u2028a comma')),
    )
    document = rendered("csv", transcript)
    assert document.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(document.decode("utf-8-sig"), newline=""), strict=True))
    assert rows[0] == ["time", "start_seconds", "end_seconds", "speaker", "text", "overlap", "draft"]
    assert {len(row) for row in rows} == {7}
    assert rows[1][:4] == ["0:03", "3.000", rows[1][2], "'=cmd|'/c calc'!A1"]
    assert rows[7][3] == "'@SUM(1)"
    assert rows[9][4] == '\'-1 "quoted", with a comma'
    assert rows[2][5:] == ["yes", "no"]


def test_scoring_tools_read_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    # meeteval's reader wants simplejson, which only its command line installs; json takes the same call.
    monkeypatch.setitem(sys.modules, "simplejson", json)
    segments = SegLST.parse(rendered("seglst").decode())
    assert len(segments) == 8
    assert segments.unique("session_id") == {"Weekly_sync *final* [v2] <b>"}
    assert segments.unique("speaker") == {"Ada *Lovelace*", "Speaker 2", "Unknown speaker", "שרה"}
    scores = cpwer(reference=segments, hypothesis=segments)
    assert [score.errors for score in scores.values()] == [0]
    assert SegLST.parse(rendered("seglst", SILENT).decode()).segments == []


# --- drafts and silence ---


@pytest.mark.parametrize("name", HUMAN)
@pytest.mark.parametrize("transcript", [MEETING, SILENT], ids=["meeting", "silent"])
def test_a_draft_says_so_at_the_top(name: str, transcript: Transcript) -> None:
    text = " ".join(text_of(name, replace(transcript, draft=True)).replace("! ", " ").split())
    notice = "[Draft: expect mistakes]" if name in ("srt", "vtt") else DRAFT_NOTICE
    assert notice.replace("-", "") in text.replace("\\", "").replace("-", "")[:900]
    if name == "vtt":
        assert DRAFT_NOTICE in text
    plain = text_of(name, transcript)
    assert "raft" not in plain


def test_a_draft_is_marked_in_data() -> None:
    draft = replace(MEETING, draft=True)
    assert json.loads(rendered("json", draft))["draft"] is True
    assert parse_json(rendered("json", draft)).draft is True
    assert rendered("csv", draft).decode("utf-8-sig").splitlines()[1].endswith(",yes")


def test_silence_is_said_and_valid_in_every_format() -> None:
    for name in HUMAN:
        assert NO_SPEECH in text_of(name, SILENT), name
    assert len(list(srt.parse(rendered("srt", SILENT).decode()))) == 1
    assert len(webvtt.from_string(rendered("vtt", SILENT).decode()).captions) == 1
    assert parse_json(rendered("json", SILENT)).utterances == ()
    assert len(rendered("csv", SILENT).splitlines()) == 1
    assert rendered("seglst", SILENT) == b"[]\n"
