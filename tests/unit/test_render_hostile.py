"""Whatever is said and whatever things are called: parsers accept every format, and no word is lost."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import pairwise

import pytest
import srt  # type: ignore[import-untyped]  # ships no types
import webvtt
from docx import Document
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from markdown_it import MarkdownIt
from meeteval.io import SegLST  # type: ignore[import-untyped]  # ships no types

from core.model import Recording, Transcript, Utterance, Word
from core.registry import FORMATS, load
from core.render.data import parse_json
from core.render.markdown import content_key_of

SCHEMA = Draft202012Validator(
    json.loads((resources.files("core.render") / "transcript.schema.json").read_text("utf-8")),
    format_checker=FormatChecker(),
)
NASTY = st.sampled_from(
    [
        "<b>", "</v>", "-->", "00:00:01.000 --> 00:00:02.000", "{\\an8}", "NOTE", "WEBVTT", "&amp;",
        "&", "\n\n1\n", "# x", "1.", "- ", "> ", "***", "__x__", "`", "```",
        "[a](http://e.example)", "![x](y)", "|", "\\", "---", "<!--", "=1+1", "@SUM(1)", '"', "'",
        ",", "\r\n", "\t", "\x00", "\x1b[31m", "\u202e", "\u2066", "\u2028", "\ud800", "\udc00",
        "\ufffe", "\ufeff", "e\u0301", "👩‍👩‍👧", "🇩🇪", "שלום", "العربية،", "日本語", "。", "ไทย", "",
        " ", "x" * 300, "漢" * 100, "a b  c", "$x$", "www.e.example",
    ]
)  # fmt: skip
TEXT = st.one_of(
    NASTY,
    st.text(st.characters(exclude_categories=()), max_size=12),
    st.lists(NASTY, max_size=3).map("".join),
)
# Names without letters, so that the letters found in an output are those that were said.
SYMBOLS = st.text(st.sampled_from(list("*_[]<>#|`\\&-=+@(){}!\u202e\n\x00 ★😀")), max_size=12).map(
    "☺".__add__
)
LABELS = st.sampled_from(["☺1", "☺2", "☺3", None])
SECONDS = st.floats(0, 4e5)


@st.composite
def utterances(draw: st.DrawFn) -> Utterance:
    start = at = draw(SECONDS)
    words = []
    for text in draw(st.lists(TEXT, max_size=6)):
        at += draw(st.floats(0, 3))
        end = at + draw(st.floats(0, 9))
        words.append(
            Word(
                start=at,
                end=end,
                text=text,
                confidence=draw(st.none() | st.floats(0, 1)),
                speaker=draw(st.none() | st.just("\x00raw")),
            )
        )
    last = max([start, *(word.end for word in words)])
    return Utterance(
        speaker=draw(LABELS), start=start, end=last, words=tuple(words), overlap=draw(st.booleans())
    )


TRANSCRIPTS = st.builds(
    Transcript,
    content_key=TEXT,
    languages=st.lists(st.sampled_from(["en", "he", "", "<x>", "zz"]), max_size=3).map(tuple),
    seconds=SECONDS,
    utterances=st.lists(utterances(), max_size=6).map(tuple),
    engine=TEXT,
    draft=st.booleans(),
    warnings=st.lists(TEXT, max_size=2).map(tuple),
    names=st.dictionaries(st.sampled_from(["☺1", "☺2", "☺9"]), SYMBOLS, max_size=3),
)
RECORDINGS = st.builds(
    Recording,
    key=st.just("k"),
    content_key=st.just("c"),
    platform=st.just("folder"),
    door=st.just("folder"),
    address=st.just("{}"),
    name=TEXT,
    shared_at=st.datetimes(timezones=st.just(UTC)),
)
RECORDING = Recording(
    key="k",
    content_key="c",
    platform="folder",
    door="folder",
    address="{}",
    name="n",
    shared_at=datetime(2026, 1, 1, tzinfo=UTC),
)
MANY = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
FEW = settings(MANY, max_examples=12)


def rendered(name: str, transcript: Transcript, recording: Recording) -> bytes:
    render: Callable[[Transcript, Recording], bytes] = load(FORMATS[name].render)
    return render(transcript, recording)


def mended(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def letters(text: str) -> Counter[str]:
    return Counter(character for character in text if character.isalpha())


def heard(transcript: Transcript) -> Counter[str]:
    return letters("".join(mended(word.text) for said in transcript.utterances for word in said.words))


def assert_words(found: Counter[str], transcript: Transcript, *, exactly: bool) -> None:
    assert not heard(transcript) - found
    if exactly:
        assert not found - heard(transcript)


@given(TRANSCRIPTS, RECORDINGS)
@MANY
def test_json_is_valid_and_comes_back(transcript: Transcript, recording: Recording) -> None:
    document = rendered("json", transcript, recording)
    SCHEMA.validate(json.loads(document))
    back = parse_json(document)
    assert rendered("json", back, recording) == document
    assert back.content_key == mended(transcript.content_key)
    assert back.names == transcript.names
    assert back.warnings == tuple(map(mended, transcript.warnings))
    assert (back.engine, back.draft, back.languages) == (
        mended(transcript.engine),
        transcript.draft,
        transcript.languages,
    )
    for said, original in zip(back.utterances, transcript.utterances, strict=True):
        assert (said.speaker, said.overlap) == (original.speaker, original.overlap)
        for word, source in zip(said.words, original.words, strict=True):
            assert word.text == mended(source.text)
            assert (word.confidence, word.speaker) == (source.confidence, source.speaker)
            assert abs(word.start - source.start) <= 0.00051
            assert abs(word.end - source.end) <= 0.00051


def test_times_that_are_no_numbers_make_no_invalid_file() -> None:
    bad = float("nan")
    words = tuple(
        Word(start=at, end=end, text="so", confidence=bad)
        for at, end in [(bad, bad), (5, -3), (-1, float("inf"))]
    )
    transcript = Transcript(
        content_key="c",
        languages=(),
        seconds=bad,
        utterances=(Utterance(speaker="☺1", start=bad, end=float("inf"), words=words),),
        engine="e",
    )
    for name in FORMATS:
        assert b"nan" not in rendered(name, transcript, RECORDING).replace(b"finance", b"")
    SCHEMA.validate(json.loads(rendered("json", transcript, RECORDING)))
    assert len(parse_json(rendered("json", transcript, RECORDING)).utterances[0].words) == 3
    assert_srt(rendered("srt", transcript, RECORDING), transcript)


def assert_srt(document: bytes, transcript: Transcript) -> None:
    cues = list(srt.parse(document.decode()))
    assert all(cue.start < cue.end for cue in cues)
    assert all(before.end <= after.start for before, after in pairwise(cues))
    text = "".join(cue.content for cue in cues)
    text = text.replace("[Draft: expect mistakes]", "").replace("Unknown speaker:", "")
    if heard(transcript):
        assert_words(letters(text), transcript, exactly=True)


@given(TRANSCRIPTS, RECORDINGS)
@MANY
def test_srt_is_valid_in_order_and_complete(transcript: Transcript, recording: Recording) -> None:
    assert_srt(rendered("srt", transcript, recording), transcript)


TIMING = re.compile(r"(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3}) --> (\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})")


def test_a_name_that_ends_like_an_arrow_begins_no_cue() -> None:
    """Found by the property below."""
    transcript = Transcript(
        content_key="c",
        languages=(),
        seconds=1.0,
        utterances=(Utterance(speaker="☺1", start=0, end=1, words=(Word(start=0, end=1, text="so"),)),),
        engine="e",
        names={"☺1": "☺--"},
    )
    assert rendered("vtt", transcript, RECORDING).decode().count("-->") == 1


@given(TRANSCRIPTS, RECORDINGS)
@MANY
def test_vtt_follows_the_grammar_and_is_complete(transcript: Transcript, recording: Recording) -> None:
    document = rendered("vtt", transcript, recording).decode()
    signature, *blocks = document.removesuffix("\n").split("\n\n")
    assert signature == "WEBVTT"
    starts, text = [timedelta()], ""
    for block in blocks:
        head, *body = block.split("\n")
        assert body
        assert all(body)
        assert "-->" not in "\n".join(body)
        if head == "NOTE":
            continue
        timing = TIMING.fullmatch(head)
        assert timing is not None
        h, m, s, ms, *end = map(int, timing.groups())
        start = timedelta(hours=h, minutes=m, seconds=s, milliseconds=ms)
        assert start >= starts[-1]
        assert timedelta(hours=end[0], minutes=end[1], seconds=end[2], milliseconds=end[3]) > start
        starts.append(start)
        payload = "\n".join(line for line in body if line != "[Draft: expect mistakes]")
        voice = re.fullmatch(r"<v ([^<>\n]+)>([^<>]*)</v>", payload)
        if voice is None:
            assert payload == "[No speech was found in this recording.]"
        else:
            text += html.unescape(voice[2])
    assert len(webvtt.from_string(document).captions) == len(starts) - 1
    assert_words(letters(text), transcript, exactly=True)


@given(TRANSCRIPTS, RECORDINGS)
@MANY
def test_csv_is_valid_complete_and_runs_nothing(transcript: Transcript, recording: Recording) -> None:
    document = rendered("csv", transcript, recording).decode("utf-8-sig")
    _, *rows = csv.reader(io.StringIO(document, newline=""), strict=True)
    assert all(len(row) == 7 for row in rows)
    assert not any(cell.startswith(tuple("=+-@\t\r")) for row in rows for cell in row)
    starts = [float(row[1]) for row in rows]
    assert starts == sorted(starts)
    assert_words(letters("".join(row[4] for row in rows)), transcript, exactly=True)


@given(TRANSCRIPTS, RECORDINGS)
@settings(MANY, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_seglst_is_read_by_meeteval(
    monkeypatch: pytest.MonkeyPatch, transcript: Transcript, recording: Recording
) -> None:
    monkeypatch.setitem(sys.modules, "simplejson", json)  # only meeteval's command line installs that
    segments = SegLST.parse(rendered("seglst", transcript, recording).decode())
    assert_words(letters("".join(entry["words"] for entry in segments)), transcript, exactly=True)
    assert all(entry["end_time"] >= entry["start_time"] for entry in segments)


@given(TRANSCRIPTS, RECORDINGS)
@MANY
def test_txt_has_narrow_lines_and_every_word(transcript: Transcript, recording: Recording) -> None:
    text = rendered("txt", transcript, recording).decode()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\ufeff]", text)
    assert_words(letters(text), transcript, exactly=False)


ALLOWED = {
    "h1",
    "blockquote",
    "p",
    "strong",
    "ul",
    "li",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "hr",
    "em",
    "code",
}


@given(TRANSCRIPTS, RECORDINGS)
@MANY
def test_markdown_shows_every_word_and_no_foreign_markup(
    transcript: Transcript, recording: Recording
) -> None:
    document = rendered("md", transcript, recording)
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(document.decode())
    body, _, comment = page.rpartition("<!-- erni-audio")
    assert comment.endswith("-->\n")
    assert set(re.findall(r"<([a-z0-9]+)", body)) <= ALLOWED
    assert "<!--" not in body
    assert page.count("<hr") == page.count("<h1>") == 1
    assert_words(letters(html.unescape(re.sub("<[^>]*>", "", body))), transcript, exactly=False)
    assert content_key_of(document) == mended(transcript.content_key)


@given(TRANSCRIPTS, RECORDINGS)
@FEW
@example(
    Transcript(
        content_key="c" * 999,
        languages=("en",),
        seconds=1.0,
        utterances=(),
        engine="e",
    ),
    Recording(
        key="k",
        content_key="c",
        platform="f",
        door="f",
        address="",
        name="n" * 999,
        shared_at=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    ),
)
def test_docx_opens_and_has_every_word(transcript: Transcript, recording: Recording) -> None:
    document = rendered("docx", transcript, recording)
    assert document == rendered("docx", transcript, recording)
    text = "".join(line.text for line in Document(io.BytesIO(document)).paragraphs)
    assert_words(letters(text), transcript, exactly=False)
