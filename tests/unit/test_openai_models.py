"""What models can do, and words that get their punctuation back."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.engines.openai_answers import ESTIMATED, has_times, language_code, punctuated, recognition
from core.engines.openai_models import MAX_BYTES, SpeechModel, ended, ending, form, lookup, parse
from core.engines.prices import price_of
from core.errors import Misconfigured
from core.model import Hints, Word
from tests.vendors import openai_audio as vendor

WORDS = SpeechModel(name="words", word_times=True, segments=True)
PHRASES = SpeechModel(name="phrases", segments=True)
LABELS = SpeechModel(name="labels", labels_speakers=True)
TEXT = SpeechModel(name="text")


def model(name: str) -> SpeechModel:
    found = lookup(name, {})
    assert found is not None
    return found


# --- the table ---


@pytest.mark.parametrize("name", [*vendor.MODELS])
def test_every_model_of_openai_is_asked_for_what_it_takes(name: str) -> None:
    takes = vendor.MODELS[name]
    asked, warnings = form(model(name), Hints(languages=("de",), vocabulary=("Erni",)))
    assert asked.pop("model") == name
    assert asked.pop("response_format") in takes.formats
    assert set(asked.get("timestamp_granularities", ())) <= takes.granularities
    fields = {f"{field}[]" if isinstance(value, list) else field for field, value in asked.items()}
    assert fields <= takes.fields
    assert not takes.chunking or asked["chunking_strategy"] == "auto"
    assert model(name).max_seconds < takes.max_seconds
    assert model(name).max_bytes < vendor.MAX_BYTES
    assert warnings == ()


@pytest.mark.parametrize("name", [*vendor.MODELS])
def test_every_model_of_openai_has_a_price(name: str) -> None:
    assert price_of(f"openai/{name}") is not None


def test_what_each_model_gives() -> None:
    assert model("whisper-1").granularities == ("word", "segment")
    assert model("whisper-large-v3-turbo").word_times
    assert model("gpt-4o-transcribe-diarize").response_format == "diarized_json"
    assert model("gpt-4o-transcribe-diarize").max_seconds == 1390
    assert [name for name in vendor.MODELS if not model(name).timed] == [
        "gpt-4o-transcribe",
        "gpt-4o-mini-transcribe",
        "gpt-4o-mini-transcribe-2025-12-15",
        "gpt-transcribe",
    ]


def test_a_dated_name_is_its_model_and_keeps_its_name() -> None:
    assert model("gpt-4o-transcribe-diarize-2031-01-02").labels_speakers
    assert model("gpt-4o-transcribe-diarize-2031-01-02").name == "gpt-4o-transcribe-diarize-2031-01-02"


@pytest.mark.parametrize(
    "name", ["gpt-4o-transcribe-loud", "Systran/faster-whisper-small", "whisper-1-2", ""]
)
def test_nobody_knows_other_names(name: str) -> None:
    assert lookup(name, {}) is None


def test_hints_go_where_the_model_takes_them() -> None:
    hints = Hints(languages=("de", "en"), vocabulary=("Erni", "Kraków"))
    asked, _ = form(model("gpt-transcribe"), hints)
    assert (asked["languages"], asked["keywords"]) == (["de", "en"], ["Erni", "Kraków"])
    assert "prompt" not in asked
    asked, _ = form(model("gpt-4o-transcribe"), hints)
    assert asked["prompt"] == "Erni, Kraków"
    assert "language" not in asked  # it takes one, and there are two
    asked, _ = form(model("gpt-4o-transcribe-diarize"), Hints(languages=("de",), vocabulary=("Erni",)))
    assert asked["language"] == "de"
    assert not {"prompt", "keywords"} & set(asked)


def test_a_vocabulary_that_does_not_fit_is_said() -> None:
    terms = tuple(f"Term{number:04}" for number in range(200))
    asked, warnings = form(model("whisper-1"), Hints(vocabulary=terms))
    assert len(asked["prompt"]) <= 600
    used = asked["prompt"].split(", ")
    assert used == list(terms[: len(used)])
    assert warnings == (f"Of the vocabulary only the first {len(used)} terms were used.",)
    asked, warnings = form(model("gpt-transcribe"), Hints(vocabulary=terms))
    assert asked["keywords"] == list(terms[:100])
    assert warnings
    asked, warnings = form(model("whisper-1"), Hints(vocabulary=("x" * 601,)))
    assert "prompt" not in asked
    assert warnings


# --- the setting ---


def test_the_setting_adds_and_corrects() -> None:
    extra = parse(
        '{"mine": {"word_times": true, "max_seconds": 600}, '
        '"whisper-1": {"max_bytes": 104857600, "ends": null}, "gone": {"ends": "2026-01-31"}}'
    )
    assert extra["mine"] == SpeechModel(name="mine", word_times=True, max_seconds=600.0)
    assert extra["mine"].max_bytes == MAX_BYTES
    whisper = lookup("whisper-1", extra)
    assert whisper is not None
    assert whisper.word_times
    assert (whisper.max_bytes, whisper.ends) == (100 * 2**20, None)
    assert ended(lookup("gone", extra), date(2026, 2, 1))
    mine = lookup("mine-2030-01-01", extra)
    assert mine is not None
    assert mine.word_times


@pytest.mark.parametrize("text", ["", "  \n"])
def test_no_setting_is_no_model(text: str) -> None:
    assert parse(text) == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ('{"x": true}', "a name and an object"),
        ('{"": {}}', "a name and an object"),
        ('{"x": {"wordtimes": true}}', "'wordtimes'. There are: word_times, "),
        ('{"x": {"word_times": 1}}', "true or false"),
        ('{"x": {"max_seconds": 5}}', "30 or more"),
        ('{"x": {"max_seconds": NaN}}', "30 or more"),
        ('{"x": {"max_seconds": Infinity}}', "30 or more"),
        ('{"x": {"max_seconds": true}}', "30 or more"),
        ('{"x": {"max_bytes": 1e9999}}', "200000 or more"),
        ('{"x": {"max_bytes": 300000.5}}', "200000 or more"),
        ('{"x": {"ends": "soon"}}', "2027-02-26"),
        ('{"x": {"ends": 5}}', "2027-02-26"),
        ('{"x": {"name": "y"}}', "'name'"),
    ],
)
def test_a_wrong_setting_is_explained(text: str, says: str) -> None:
    with pytest.raises(Misconfigured, match="OPENAI_MODELS") as raised:
        parse(text)
    assert says in str(raised.value)


# --- the end ---


@pytest.mark.parametrize(
    ("today", "says"),
    [
        (date(2026, 11, 27), ""),
        (date(2026, 11, 28), "OpenAI ends whisper-1 on 2027-02-26, in 90 days."),
        (date(2027, 2, 25), "OpenAI ends whisper-1 on 2027-02-26, in 1 day."),
        (date(2027, 2, 26), "OpenAI ended whisper-1 on 2027-02-26."),
    ],
)
def test_the_end_is_announced(today: date, says: str) -> None:
    assert ending("whisper-1", today) == says
    assert ended(model("whisper-1"), today) == ("ended" in says)


@pytest.mark.parametrize("name", ["gpt-transcribe", "whisper-large-v3", "unheard-of"])
def test_others_do_not_end(name: str) -> None:
    assert ending(name, date(2099, 1, 1)) == ""
    assert not ended(lookup(name, {}), date(2099, 1, 1))


# --- languages ---


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("english", "en"),
        ("German ", "de"),
        ("haitian creole", "ht"),
        ("cantonese", "yue"),
        ("javanese", "jv"),
        ("jw", "jv"),
        ("de", "de"),
        ("en-GB", "en"),
        ("pt_BR", "pt"),
        ("unknown", None),
        ("und", None),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_languages_become_codes(name: object, code: str | None) -> None:
    assert language_code(name) == code


# --- words and text ---


def said(*texts: str) -> list[Word]:
    return [Word(start=float(at), end=at + 0.8, text=text) for at, text in enumerate(texts)]


def read(words: tuple[Word, ...]) -> list[tuple[float, str]]:
    return [(round(word.start, 2), word.text) for word in words]


def test_words_get_their_punctuation_back() -> None:
    words = punctuated(said("hello", "world", "it's", "me"), '"Hello, world! It\'s me."', 9)
    assert read(words) == [(0, '"Hello,'), (1, "world!"), (2, "It's"), (3, 'me."')]


def test_what_the_text_writes_as_one_word_is_one() -> None:
    words = punctuated(said("a", "state", "of", "the", "art", "job"), "A state-of-the-art job.", 9)
    assert read(words) == [(0, "A"), (1, "state-of-the-art"), (5, "job.")]
    assert words[1].end == 4.8


def test_unspaced_scripts_keep_the_timed_words() -> None:
    words = punctuated(said("你好", "世界", "再见"), "你好\uff0c世界。「再见」\uff01", 9)
    assert read(words) == [(0, "你好\uff0c"), (1, "世界。"), (2, "「再见」\uff01")]


def test_a_timed_word_of_two_words_is_two() -> None:
    assert read(punctuated(said("an", "ice cream"), "An ice cream!", 9)) == [
        (0, "An"),
        (1, "ice"),
        (1.3, "cream!"),
    ]


def test_a_word_without_times_is_put_beside_its_neighbours() -> None:
    words = punctuated(said("one", "three"), "One two three four.", 1.9)
    assert [word.text for word in words] == ["One", "two", "three", "four."]
    assert 0.8 <= words[1].start <= words[1].end <= 1.0
    assert words[3].end <= 1.9


def test_a_timed_word_that_the_text_lacks_is_kept() -> None:
    assert read(punctuated(said("one", "two", "three"), "One three.", 9)) == [
        (0, "One"),
        (1, "two"),
        (2, "three."),
    ]


def test_a_text_that_breaks_off_loses_no_words() -> None:
    many = [f"word{number}" for number in range(40)]
    words = punctuated(said(*many), "Nonsense", 99)
    assert [word.text for word in words] == many


@pytest.mark.parametrize("text", ["", "♪ ... ♪"])
def test_without_a_text_the_words_stand(text: str) -> None:
    assert read(punctuated(said("one", "two"), text, 9)) == [(0, "one"), (1, "two")]


def test_lone_dashes_go_with_the_next_word() -> None:
    assert read(punctuated(said("yes", "no"), "- Yes. - No …", 9)) == [(0, "- Yes."), (1, "- No …")]


letters = st.text(alphabet="abcdeé你好ก1", min_size=1, max_size=6)
marks = st.sampled_from(["", ",", ".", "?!", "…", ")", "\uff0c"])
times = st.floats(min_value=-5, max_value=40)


@given(st.lists(st.tuples(letters, marks), max_size=30))
def test_punctuation_changes_neither_words_nor_times(parts: list[tuple[str, str]]) -> None:
    words = said(*[word for word, _ in parts])
    text = " ".join(word.capitalize() + mark for word, mark in parts)
    found = punctuated(words, text, 100)
    assert " ".join(word.text for word in found) == text
    assert [(word.start, word.end) for word in found] == [(word.start, word.end) for word in words]


@given(
    st.lists(st.tuples(letters, times, times), max_size=20), st.lists(st.tuples(letters, marks), max_size=20)
)
def test_whatever_comes_the_words_are_in_bounds_and_each_letter_is_there(
    timed: list[tuple[str, float, float]], parts: list[tuple[str, str]]
) -> None:
    words = [Word(start=start, end=end, text=text) for text, start, end in timed]
    text = " ".join(word + mark for word, mark in parts)
    found = punctuated(words, text, 30)
    latest = 0.0
    for word in found:
        assert latest <= word.start <= word.end <= 30
        assert word.text.strip() == word.text != ""
        latest = word.start
    said_by = {"text": plain(text), "words": plain("".join(word.text for word in words))}
    result = plain("".join(word.text for word in found))
    if not said_by["words"] or said_by["words"] == said_by["text"]:
        assert result == said_by["text"]
    if not said_by["text"]:
        assert result == said_by["words"]
    assert len(result) >= len(said_by["text"])


def plain(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())


# --- whole answers ---


def answer(**parts: Any) -> dict[str, Any]:
    return {"text": "Hi there. Yes.", "language": "english"} | parts


SEGMENTS = [
    {"start": 0.0, "end": 2.0, "text": " Hi there.", "speaker": "A"},
    {"start": 2.0, "end": 3.0, "text": " Yes.", "speaker": "B"},
]


def test_an_answer_with_words() -> None:
    words = [{"word": "Hi", "start": 0, "end": 0.5}, {"word": "there", "start": 0.5, "end": 9}]
    found = recognition(answer(words=words, segments=SEGMENTS, text="Hi there."), WORDS, 3.0, ())
    assert read(found.words) == [(0, "Hi"), (0.5, "there.")]
    assert found.words[1].end == 3.0
    assert found.languages == ("en",)
    assert found.warnings == ()


def test_words_within_phrases_count_too() -> None:
    phrase = {
        "start": 0,
        "end": 2,
        "text": "Hi.",
        "words": [{"word": " Hi.", "start": 0.1, "end": 0.4, "probability": 0.7}],
    }
    found = recognition(answer(words=None, segments=[phrase], text="Hi."), WORDS, 3.0, ())
    assert found.words == (Word(start=0.1, end=0.4, text="Hi.", confidence=0.7),)


@pytest.mark.parametrize("kind", [WORDS, PHRASES])
def test_phrases_are_spread_into_words(kind: SpeechModel) -> None:
    found = recognition(answer(segments=SEGMENTS), kind, 3.0, ())
    assert [word.text for word in found.words] == ["Hi", "there.", "Yes."]
    assert found.words[0].start == 0
    assert found.words[1].end == found.words[2].start == 2.0
    assert found.words[2].end == 3.0
    assert found.warnings == ()


def test_a_timed_model_that_gives_text_only_loses_nothing() -> None:
    found = recognition(answer(), WORDS, 3.0, ())
    assert [word.text for word in found.words] == ["Hi", "there.", "Yes."]
    assert found.words[-1].end == pytest.approx(3.0)
    assert found.warnings == (ESTIMATED,)


def test_labels_become_speakers() -> None:
    late_first = [SEGMENTS[1], SEGMENTS[0]]
    found = recognition({"text": "…", "segments": late_first}, LABELS, 2.5, ("de",))
    assert [(word.text, word.speaker) for word in found.words] == [
        ("Hi", "A"),
        ("there.", "A"),
        ("Yes.", "B"),
    ]
    assert found.words[-1].end == 2.5
    assert found.languages == ("de",)


def test_a_text_is_a_text() -> None:
    found = recognition({"text": " Hi. ", "languages": [{"code": "en"}, {"code": "de-CH"}]}, TEXT, 3.0, ())
    assert (found.words, found.text, found.languages) == ((), "Hi.", ("en", "de"))


@pytest.mark.parametrize("kind", [WORDS, PHRASES, LABELS, TEXT])
@pytest.mark.parametrize("segments", [[], None, "x", [None, {"text": None}, {"start": "x"}]])
def test_nothing_said_is_nothing_heard(kind: SpeechModel, segments: Any) -> None:
    found = recognition({"text": "", "words": [], "segments": segments, "language": "english"}, kind, 3.0, ())
    assert (found.words, found.text, found.languages) == ((), "", ())


def test_times_are_lists() -> None:
    assert has_times({"words": []})
    assert has_times({"segments": []})
    assert not has_times({"words": None, "text": ""})
