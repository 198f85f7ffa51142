"""The pure pieces that every transcript format is made of."""

# ruff: noqa: RUF001  (the text under test is Chinese)

from __future__ import annotations

import html
import math
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from core.model import Recording, Transcript, Utterance, Word
from core.render import times
from core.render.cues import LINE, cut, flatten
from core.render.languages import language_names
from core.render.layout import lay_out, shares
from core.render.markdown import escape
from core.render.safe import clean, is_rtl, isolate, shown, visible
from core.render.words import cells, join_pieces, join_words, pieces, wrap

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
MARKUP = st.text(st.sampled_from(list("\\`*_[](){}<>#+-.!|&;:/~=$^\"'@ a1é日\u05d0w")), max_size=40)
RECORDING = Recording(
    key="k",
    content_key="c",
    platform="folder",
    door="folder",
    address="{}",
    name="a.wav",
    shared_at=datetime(2026, 11, 14, 9, 30, tzinfo=UTC),
)


def said(*texts: str, start: float = 0.0, each: float = 0.3, gap: float = 0.0) -> tuple[Word, ...]:
    step = each + gap
    return tuple(
        Word(start=start + index * step, end=start + index * step + each, text=text)
        for index, text in enumerate(texts)
    )


def spoken(text: str, *, start: float = 0.0, each: float = 0.3, gap: float = 0.0) -> tuple[Word, ...]:
    return said(*text.split(), start=start, each=each, gap=gap)


def utterance(speaker: str | None, words: tuple[Word, ...], *, overlap: bool = False) -> Utterance:
    return Utterance(speaker=speaker, start=words[0].start, end=words[-1].end, words=words, overlap=overlap)


def transcript(*utterances: Utterance, names: dict[str, str] | None = None) -> Transcript:
    return Transcript(
        content_key="c",
        languages=("en",),
        seconds=60.0,
        utterances=utterances,
        engine="e",
        names=names or {},
    )


# --- times ---


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0:00"),
        (123.999, "2:03"),
        (3723, "1:02:03"),
        (24 * 3600, "24:00:00"),
        (100 * 3600 + 61, "100:01:01"),
        (-1, "0:00"),
        (math.nan, "0:00"),
        (math.inf, "0:00"),
    ],
)
def test_a_position_has_hours_only_where_it_needs_them(seconds: float, expected: str) -> None:
    assert times.clock(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (0.4, "under 1 s"),
        (3, "3 s"),
        (59.6, "1 min"),
        (123, "2 min 3 s"),
        (3723, "1 h 2 min"),
        (26 * 3600, "26 h"),
    ],
)
def test_a_length_cannot_be_misread_as_a_time_of_day(seconds: float, expected: str) -> None:
    assert times.duration(seconds) == expected


def test_subtitle_stamps_go_on_beyond_99_hours() -> None:
    last = times.milliseconds(99 * 3600 + 59 * 60 + 59.9995)
    assert times.stamp(last - 1, ",") == "99:59:59,999"
    assert times.stamp(last, ".") == "100:00:00.000"


def test_dates_are_utc_and_say_so() -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    assert times.date(datetime(2026, 3, 1, 2, 5, tzinfo=zone)) == "28 February 2026, 20:35 UTC"
    assert times.iso(datetime(2026, 3, 1, 2, 5, tzinfo=zone)) == "2026-02-28T20:35:00Z"
    assert times.iso(datetime(2026, 3, 1, 2, 5)) == "2026-03-01T02:05:00Z"  # noqa: DTZ001  (a careless adapter)


# --- languages ---


def test_languages_have_english_names_and_unknown_codes_stay() -> None:
    assert language_names(["en", "de-CH", "de", "yue", "x-klingon", "qqq"]) == (
        "English, German, Cantonese, x-klingon, qqq"
    )
    assert language_names([]) == ""


# --- safety ---


@given(ANY_TEXT)
def test_clean_text_is_one_encodable_line_without_overrides(text: str) -> None:
    found = clean(text)
    found.encode()
    assert found == clean(found)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffe\uffff]", found)
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert [letter for letter in found if letter.isalnum()] == [
        letter for letter in whole if letter.isalnum()
    ]


def test_clean_keeps_what_emoji_and_scripts_need_and_mends_surrogates() -> None:
    family = "👩‍👩‍👧 می‌خواهم 🏴󠁧󠁢󠁥󠁮󠁧󠁿"
    assert clean(family) == family
    assert clean("\ud83d\ude00 \ud83d") == "😀 \ufffd"


def test_a_speaker_without_a_visible_name_keeps_the_label() -> None:
    names = {"S1": "Ada\nLovelace", "S2": "\u200b\u202e", "": "  "}
    assert [shown(label, names) for label in ("S1", "S2", "S3", "", None)] == [
        "Ada Lovelace",
        "S2",
        "S3",
        "Unknown speaker",
        "Unknown speaker",
    ]


def test_direction_goes_by_most_letters() -> None:
    assert is_rtl("Python זו שפה נהדרת")
    assert not is_rtl("The word שלום means peace")
    assert isolate("Ada") == "Ada"
    assert isolate("שרה") == "\u2068שרה\u2069"


# --- words ---


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["Hello,", "world!"], "Hello, world!"),
        ([" Hello", " world"], "Hello world"),
        (["Hello", ",", "world", "."], "Hello, world."),
        (["我", "想", "说", "，", "好", "。"], "我想说，好。"),
        (["我", "用", "Python", "写"], "我用 Python 写"),
        (["こんにちは", "世界"], "こんにちは世界"),
        (["안녕하세요", "여러분"], "안녕하세요 여러분"),
        (["สวัส", "ดี", " ครับ"], "สวัสดี ครับ"),
        (["葛󠄀", "城"], "葛󠄀城"),
        (["שלום", "עולם"], "שלום עולם"),
        (["a", "", "\u200b", "b"], "a b"),
        ([], ""),
    ],
)
def test_words_are_joined_as_their_script_writes_them(texts: list[str], expected: str) -> None:
    assert join_words(said(*texts) if texts else ()) == expected


@given(st.lists(st.one_of(ANY_TEXT, MARKUP), max_size=8), st.integers(2, 50))
def test_pieces_lose_nothing_and_fit_the_line(texts: list[str], limit: int) -> None:
    words = said(*texts)
    parts = pieces(words, limit=limit)
    assert join_pieces(parts) == join_words(words)
    for line in wrap(parts, limit):
        assert cells(line) <= limit
        assert line == line.strip(" ")
    assert "".join(wrap(parts, limit)).replace(" ", "") == join_words(words).replace(" ", "")


def test_pieces_of_a_long_word_share_its_time() -> None:
    parts = pieces([Word(start=1, end=3, text="one two")], limit=42)
    assert [(part.text, part.start, part.end) for part in parts] == [("one", 1000, 2000), ("two", 2000, 3000)]


def test_emoji_and_accents_are_never_cut_in_two() -> None:
    word = "👩‍👩‍👧" * 5 + "é" * 5
    lines = wrap(pieces(said(word), limit=4), 4)
    assert lines == ["👩‍👩‍👧" * 2, "👩‍👩‍👧" * 2, "👩‍👩‍👧é" + "é", "éé" + "é"]


def test_a_line_does_not_begin_with_closing_punctuation() -> None:
    lines = wrap(pieces(said("今天天气很好，我们（大家）走。"), limit=12), 12)
    assert all(line[0] not in "，。）" and line[-1] != "（" for line in lines)
    assert len(lines) > 1


# --- Markdown ---


@given(st.one_of(ANY_TEXT, MARKUP))
def test_escaped_markdown_shows_exactly_the_text(text: str) -> None:
    text = clean(text)
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    literal = html.escape(text, quote=False).replace('"', "&quot;")
    assert parser.render(escape(text)) == (f"<p>{literal}</p>\n" if text else "")
    assert f"<p><strong>Note:</strong> {literal}".rstrip() in parser.render(f"> **Note:** {escape(text)}")
    assert f"<td>{literal}</td>" in parser.render(f"| a |\n| - |\n| {escape(text)} |")


@pytest.mark.parametrize(
    "text", ["file_name_2.txt", "C# and a+b - 3", "Q&A", "well... (yes)", "costs $5", "1.5"]
)
def test_ordinary_text_needs_no_escapes(text: str) -> None:
    assert escape(text) == text


# --- layout ---


def test_shares_add_up_to_a_hundred_and_overlapping_speech_of_one_counts_once() -> None:
    thirds = [("a", 0.0, 10.0), ("b", 10.0, 20.0), ("c", 20.0, 30.0), ("a", 5.0, 10.0)]
    found = shares(
        (label, Utterance(speaker=label, start=start, end=end, words=())) for label, start, end in thirds
    )
    assert [(share.speaker, share.seconds) for share in found] == [("a", 10.0), ("b", 10.0), ("c", 10.0)]
    assert sorted(share.percent for share in found) == [33, 33, 34]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0, 1e5), st.floats(0, 1e4)), max_size=12))
def test_shares_always_add_up(spans: list[tuple[str, float, float]]) -> None:
    found = shares(
        (label, Utterance(speaker=label, start=start, end=start + length, words=()))
        for label, start, length in spans
    )
    total = sum(share.percent for share in found)
    assert total == (100 if any(share.seconds for share in found) else 0)
    assert all(0 <= share.fraction <= 1 for share in found)


def test_one_speaker_has_one_heading_and_paragraphs_at_pauses() -> None:
    page = lay_out(
        transcript(
            utterance("A", said("One", "sentence.")),
            utterance("A", said("Another", "one.", start=0.8)),
            utterance("A", said("After", "a", "pause.", start=5)),
            utterance("B", said("Mhm.", start=7), overlap=True),
            utterance("A", said("Going", "on.", start=8)),
            names={"A": "Ada"},
        ),
        RECORDING,
    )
    assert [
        (section.speaker, [(part.start, part.text, part.overlap) for part in section.paragraphs])
        for section in page.sections
    ] == [
        ("Ada", [(0.0, "One sentence. Another one.", False), (5.0, "After a pause.", False)]),
        ("B", [(7.0, "Mhm.", True)]),
        ("Ada", [(8.0, "Going on.", False)]),
    ]


def test_a_long_monologue_without_pauses_becomes_paragraphs() -> None:
    sentence = ["word"] * 14 + ["end."]
    page = lay_out(transcript(utterance("A", said(*(sentence * 40)))), RECORDING)
    lengths = [len(part.text) for part in page.sections[0].paragraphs]
    assert len(lengths) > 3
    assert max(lengths) < 900
    assert all(part.text.endswith("end.") for part in page.sections[0].paragraphs)


# --- cues ---

SENTENCES = (
    "The migration of the customer table took four hours instead of one, and nobody had measured it on a copy"
    " of production. That is the whole story. We will measure next time, and we will have a switch."
)


def test_cues_are_readable_and_end_where_sentences_do() -> None:
    cues = cut(transcript(utterance("A", spoken(SENTENCES, gap=0.05))))
    texts = [" ".join(cue.voices[0].lines(named=False)) for cue in cues]
    assert " ".join(texts) == SENTENCES
    for cue in cues:
        assert len(cue.voices[0].lines(named=False)) <= 2
        assert all(cells(line) <= LINE for line in cue.voices[0].lines(named=False))
        assert 1000 <= cue.end - cue.start <= 7000
    assert all(text[-1] in ".," for text in texts)


def test_a_pause_ends_a_cue() -> None:
    words = said("Before", "it") + said("after", "it", start=10)
    cues = cut(transcript(utterance("A", words)))
    assert [(cue.start, join_pieces(cue.voices[0].pieces)) for cue in cues] == [
        (0, "Before it"),
        (10_000, "after it"),
    ]


def test_a_turn_without_word_times_is_cut_by_width() -> None:
    whole = Word(start=0, end=20, text=SENTENCES)
    cues = cut(transcript(utterance("A", (whole,))))
    assert len(cues) >= 3
    assert all(cue.end - cue.start <= 7000 for cue in cues)
    assert " ".join(join_pieces(cue.voices[0].pieces) for cue in cues) == whole.text


def test_an_interjection_joins_the_cue_that_it_falls_into() -> None:
    long = spoken("I was saying that the release went out on Thursday", each=0.5)
    both = cut(transcript(utterance("A", long), utterance("B", said("Mhm.", start=2), overlap=True)))
    assert len(both) == 2
    assert both[1].start < both[0].end  # WebVTT keeps the true times
    (one,) = flatten(both)
    assert [(voice.speaker, join_pieces(voice.pieces)) for voice in one.voices] == [
        ("A", "I was saying that the release went out on Thursday"),
        ("B", "Mhm."),
    ]


def test_two_who_talk_at_once_follow_one_another_once_the_first_could_be_read() -> None:
    first = spoken("This is what the first one says now", each=0.6)
    second = spoken("and this is the second over it", start=4.2, each=0.6)
    flat = flatten(cut(transcript(utterance("A", first), utterance("B", second, overlap=True))))
    assert [voice.speaker for cue in flat for voice in cue.voices] == ["A", "B"]
    assert flat[0].end == flat[1].start == 4200


def test_visible_knows_what_a_reader_sees() -> None:
    assert [visible(text) for text in ("a", "😀", ".", "", " ", "\u200d\u200b", "\u0301")] == [
        True, True, True, False, False, False, False,
    ]  # fmt: skip
