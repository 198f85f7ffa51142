"""Text that nobody said is cut, said to be cut, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.invented import cut_invented, prompt_echoes, runaways, stock_phrases
from core.model import Recognition, Word
from core.plausibility import outside_speech
from core.render.times import clock
from core.repetition import bearable, normal, superfluous, text_runaway
from core.stock_phrases import mentions

PROSE = {
    "English": (
        "We looked at the numbers again and again, and no, no, no, they did not add up. Very, very slowly "
        "the train left the station, and the station left our minds. One, two, three, four, one, two, three, "
        "four. Bye bye, see you, bye bye! Ha ha ha ha, that is what she said, and that is what he said, and "
        "that is what they all said. Yes, yes, yes, yes, yes, I know. It was the best of plans, it was the "
        "worst of plans. Row, row, row your boat, gently down the stream, merrily, merrily, merrily, "
        "merrily. Round and round and round and round and round it goes. Thank you, thank you very much."
    ),
    "German": (
        "Das, was du da sagst, das, das stimmt so nicht. Wir sind, wir sind, also wir sind schon fast "
        "fertig. Nein, nein, nein, nein. Die Nummer ist null null null sieben, null null null sieben."
    ),
    "French": "Je ne sais pas, je ne sais pas du tout, mais on va voir, on va voir, on va voir bien.",
}


def spoken(text: str, start: float = 0.0, pace: float = 3.0) -> list[Word]:
    """The words of `text` from `start` seconds on, `pace` words a second."""
    return [
        Word(start=start + index / pace, end=start + (index + 0.9) / pace, text=word)
        for index, word in enumerate(text.split())
    ]


def heard(*parts: Sequence[Word]) -> Recognition:
    return Recognition(words=tuple(word for part in parts for word in part), languages=("en",))


def said(recognition: Recognition) -> str:
    return " ".join(word.text for word in recognition.words)


# loops


@pytest.mark.parametrize("language", PROSE)
def test_people_may_repeat_themselves(language: str) -> None:
    text = PROSE[language]
    assert runaways(spoken(text)) == []
    assert text_runaway(text) == text
    everywhere = ((0.0, 1000.0),)
    for speech in (None, everywhere):
        assert cut_invented(heard(spoken(text)), speech=speech) == heard(spoken(text))


@pytest.mark.parametrize(
    ("phrase", "times"),
    [
        ("no", 170),
        ("Thank you.", 85),
        ("I don't know.", 40),
        ("going to go to the", 20),
        ("and then we went back to the house on the hill by the sea", 8),
    ],
)
@pytest.mark.parametrize("tail", ["", "And so on."])
def test_a_loop_is_written_once(phrase: str, times: int, tail: str) -> None:
    loop = " ".join([phrase] * times)
    before = "So this is what I meant."
    words = spoken(f"{before} {loop} {tail}")
    recognition = cut_invented(heard(words), speech=None)
    assert said(recognition) == f"{before} {phrase} {tail}".strip()
    first, length = len(before.split()) + len(phrase.split()), len(phrase.split())
    start, end = words[first].start, words[first + length * (times - 1) - 1].end
    assert recognition.warnings == (
        f"Between {clock(start)} and {clock(end)} the recogniser repeated itself, so that text was cut.",
    )
    assert text_runaway(f"{before} {loop} {tail}") == f"{before} {phrase} {tail}"


def test_case_and_punctuation_hide_no_loop() -> None:
    loop = " ".join(("Okay.", "okay,", "OKAY", "okay")[index % 4] for index in range(60))
    assert text_runaway(f"Well. {loop}") == "Well. Okay."


def test_a_loop_of_loops_is_written_once() -> None:
    inner = " ".join(["no"] * 30)
    text = " ".join([f"oh {inner} dear"] * 12)
    assert text_runaway(text) == "oh no dear"
    assert len(superfluous(text.split())) == len(text.split()) - 3


def test_a_loop_within_a_word_is_cut() -> None:
    thanks = "ご視聴ありがとうございました。"
    assert text_runaway(f"今日は {thanks * 20}") == f"今日は {thanks}"
    assert text_runaway("Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft")
    word = Word(start=1.0, end=31.0, text=thanks * 20)
    recognition = cut_invented(Recognition(words=(word,)), speech=None)
    assert said(recognition) == thanks
    assert recognition.warnings == (
        "Between 0:01 and 0:31 the recogniser repeated itself, so that text was cut.",
    )


def test_lines_of_dots_and_dashes_are_left_alone() -> None:
    text = f"{'.' * 80} {'-' * 80}"
    assert text_runaway(text) == text


def test_what_is_too_fast_or_silent_is_borne_less() -> None:
    text = " ".join(["well I never"] * 8)
    assert runaways(spoken(text)) == []
    assert runaways(spoken(text, pace=12)) == [(3, 24)]
    assert runaways(spoken(text), speech=[(100.0, 110.0)]) == [(3, 24)]
    assert runaways(spoken(text), speech=[(0.0, 10.0)]) == []


def test_single_characters_may_come_faster() -> None:
    text = " ".join("ありがとう" * 7)
    assert runaways(spoken(text, pace=12)) == []
    assert runaways(spoken(text, pace=20)) == [(5, 35)]


@pytest.mark.parametrize("tokens", range(1, 41))
def test_longer_phrases_are_borne_less_often(tokens: int) -> None:
    assert bearable(tokens, doubtful=False) >= bearable(tokens + 1, doubtful=False)
    assert bearable(tokens, doubtful=True) < bearable(tokens, doubtful=False)
    # below what a stuck Whisper writes: 224 tokens, at about 1.3 a word
    assert bearable(tokens, doubtful=False) < 170 / tokens or tokens > 30


def test_a_loop_over_silence_and_speech_is_cut_whole() -> None:
    words = [*spoken("Here we are. okay"), *spoken(" ".join(["okay"] * 50), start=10, pace=50)]
    words += spoken("Next point.", start=60)
    recognition = cut_invented(heard(words), speech=[(0.0, 1.4), (8.0, 30.0), (40.0, 45.0), (60.0, 61.0)])
    assert said(recognition) == "Here we are. okay Next point."
    assert recognition.warnings == (
        "Between 0:10 and 0:10 the recogniser repeated itself, so that text was cut.",
    )


# echoes of the vocabulary

NAMES = ("Anna Novak", "Bilal", "Chidi", "Daria", "Elif", "Project Falcon")


def test_an_echo_of_the_vocabulary_is_cut() -> None:
    echo = "Anna Novak, Bilal, Chidi, Daria, Elif, Project Falcon."
    words = [*spoken(echo), *spoken("Good morning, Bilal.", start=20)]
    recognition = cut_invented(heard(words), speech=None, vocabulary=NAMES)
    assert said(recognition) == "Good morning, Bilal."
    assert recognition.warnings == (
        "Between 0:00 and 0:02 the recogniser wrote down the vocabulary it was given, so that text was cut.",
    )
    silent = cut_invented(heard(words), speech=[(20.0, 21.0)], vocabulary=NAMES)
    assert said(silent) == "Good morning, Bilal."


@pytest.mark.parametrize(
    "text",
    [
        "Anna Novak, Bilal, Chidi and Daria are here, Elif is not.",
        "Elif, Daria, Chidi, Bilal, Anna Novak.",  # not in its order
        "Anna Novak, Bilal. Chidi?",
        "Welcome Anna Novak, Bilal, Chidi, Daria, Elif, and Project Falcon.",
    ],
)
def test_people_may_be_named(text: str) -> None:
    assert prompt_echoes(spoken(text), NAMES) == []
    assert prompt_echoes(spoken(text), NAMES, speech=[(0.0, 9.0)]) == []


def test_a_list_read_aloud_at_the_pace_of_speech_stays() -> None:
    words = spoken("Anna Novak, Bilal, Chidi, Daria, Elif, Project Falcon.")
    assert prompt_echoes(words, NAMES, speech=[(0.0, 9.0)]) == []


def test_an_echo_of_part_of_a_long_vocabulary_is_found() -> None:
    vocabulary = [f"term{number}" for number in range(60)]
    words = spoken(" ".join(vocabulary[20:31]))
    assert prompt_echoes(words, vocabulary) == [(0, 11)]
    assert prompt_echoes(spoken(" ".join(vocabulary[20:25])), vocabulary) == []


@pytest.mark.parametrize("vocabulary", [(), ("",), ("Bilal",), ("Anna", "Bilal", "Chidi")])
def test_little_or_no_vocabulary_is_never_an_echo(vocabulary: tuple[str, ...]) -> None:
    assert prompt_echoes(spoken("Anna Bilal Chidi"), vocabulary) == []


def test_text_without_times_is_cleaned_too() -> None:
    loop = " ".join(["Right."] * 80)
    text = f"Anna Novak, Bilal, Chidi, Daria, Elif. Now then. {loop}"
    recognition = cut_invented(Recognition(words=(), text=text), speech=None, vocabulary=NAMES)
    assert recognition.text == "Now then. Right."
    assert recognition.warnings == (
        "The recogniser repeated itself, so that text was cut.",
        "The recogniser wrote down the vocabulary it was given, so that text was cut.",
    )
    assert cut_invented(recognition, speech=None, vocabulary=NAMES) == recognition


# text over silence


def test_words_outside_speech_by_more_than_the_slack() -> None:
    words = spoken("a b c d e f", pace=1)  # each 0.9 s long
    assert outside_speech(words, [(2.1, 2.8)]) == [(0, 1), (4, 6)]
    assert outside_speech(words, [(2.1, 2.8)], slack=0.1) == [(0, 2), (3, 6)]
    assert outside_speech(words, [(0.0, 1.0), (0.5, 4.0)], slack=0.0) == [(5, 6)]
    assert outside_speech(words, []) == [(0, 6)]
    assert outside_speech([], [(0.0, 1.0)]) == []


def test_text_over_silence_is_cut_and_said() -> None:
    talk = spoken("This is what we have to decide today, so let us begin with the office and its rent.")
    end = talk[-1].end
    invented = spoken("We will be right back after this.", start=end + 30)
    recognition = cut_invented(heard(talk, invented), speech=[(0.0, end)])
    assert recognition.words == tuple(talk)
    assert recognition.warnings == (
        "Between 0:35 and 0:38 nobody speaks, so the text that the recogniser gave there was cut.",
    )
    assert cut_invented(heard(talk, invented), speech=None).words == (*talk, *invented)


def test_a_short_answer_that_the_detector_missed_stays() -> None:
    talk = spoken("Shall we take the one by the station, then?")
    answer = spoken("Mm-hm, yes.", start=talk[-1].end + 3)
    assert cut_invented(heard(talk, answer), speech=[(0.0, talk[-1].end)]) == heard(talk, answer)


def test_a_detector_that_misses_much_is_not_believed() -> None:
    near = spoken("I can hear you well, can you hear me? Please go on.")
    end = near[-1].end
    far = spoken("Yes, well, from this end of the room I would say that it works quite well.", start=end + 2)
    recognition = cut_invented(heard(near, far), speech=[(0.0, end)])
    assert recognition.words == (*near, *far)
    (warning,) = recognition.warnings
    assert warning.startswith("Between 0:05 and 0:11 there is text although no speech could be detected")
    assert cut_invented(heard(far), speech=()).words == tuple(far)
    longer = spoken("I can hear you well, can you hear me? Please go on. " * 3)
    shifted = [replace(word, start=word.start + 30, end=word.end + 30) for word in far]
    assert 2 * len(shifted) < len(longer)  # most words lie in speech, but too many don't
    assert cut_invented(heard(longer, shifted), speech=[(0.0, longer[-1].end)]).words == (
        *longer,
        *shifted,
    )


@pytest.mark.parametrize(
    "phrase",
    [
        "Thanks for watching!",
        "you",
        "Thank you.",
        "Untertitel der Amara.org-Community",
        "Subtitles by the Amara.org community",
        "Sous-titrage Société Radio-Canada",
        "Untertitelung des ZDF, 2020",
        "ご視聴 ありがとう ござい ました",
        "Редактор субтитров Б.Семкин Корректор Д.Егорова",
        "시청해주셔서 감사합니다.",
    ],
)
def test_stock_phrases_are_cut_over_silence_only(phrase: str) -> None:
    talk = spoken("That is all for today.")
    sign_off = spoken(phrase, start=10)
    whole = heard(talk, sign_off)
    assert cut_invented(whole, speech=[(0.0, 2.0)]).words == tuple(talk)
    assert cut_invented(whole, speech=[(0.0, 20.0)]) == whole
    assert cut_invented(whole, speech=None) == whole


def test_a_stock_phrase_half_over_speech_stays() -> None:
    words = [Word(start=0.0, end=1.0, text="Thank"), Word(start=1.0, end=2.0, text="you.")]
    assert stock_phrases(words, [(0.0, 1.0)]) == []
    assert stock_phrases(words, [(0.0, 0.4)]) == [(0, 2)]


def test_stock_phrases_are_whole_words() -> None:
    assert mentions([normal(word) for word in ["Young", "men", "thank", "your", "mother"]]) == []
    assert mentions(["thank", "you", "for", "watching", "bye"]) == [(0, 4, False), (4, 5, False)]


def test_credits_end_at_a_pause() -> None:
    words = [*spoken("Subtitles by Someone Else", start=10), *spoken("hello there", start=15)]
    assert stock_phrases(words, [(0.0, 1.0)]) == [(0, 4)]


def test_many_places_share_a_sentence() -> None:
    parts = [spoken("We go on from here with the next of the points on our list.", 20 * n) for n in range(6)]
    loops = [spoken(" ".join([f"word{n}"] * 30), 20 * n + 6, pace=6) for n in range(6)]
    recognition = cut_invented(
        heard(*(part for pair in zip(parts, loops, strict=True) for part in pair)), speech=None
    )
    assert recognition.warnings == (
        "In 6 places, the first between 0:06 and 0:10, the recogniser repeated itself, so that text was cut.",
    )


# anything

TEXTS = st.lists(
    st.sampled_from(["a", "b", "no", "Thank", "you.", "Anna", "Bilal", "Chidi", "Daria"]), max_size=8
)
PHRASES = st.lists(st.tuples(TEXTS, st.integers(1, 40)), max_size=6)
SPEECH = st.none() | st.lists(st.tuples(st.floats(0, 60), st.floats(0, 10)), max_size=5)


@given(PHRASES, st.floats(0.5, 30), SPEECH)
def test_only_ever_removes_and_is_content_with_what_is_left(
    phrases: list[tuple[list[str], int]], pace: float, spans: list[tuple[float, float]] | None
) -> None:
    words = spoken(" ".join(word for phrase, times in phrases for word in phrase * times), pace=pace)
    speech = None if spans is None else [(start, start + length) for start, length in spans]
    before = Recognition(words=tuple(words), languages=("en",), warnings=("first",))
    after = cut_invented(before, speech=speech, vocabulary=("Anna", "Bilal", "Chidi", "Daria"))
    places = {id(word): index for index, word in enumerate(words)}
    kept = [places[id(word)] for word in after.words]  # the very same words
    assert kept == sorted(set(kept))
    assert bool(after.warnings[1:]) >= (len(kept) < len(words))
    assert (after.languages, after.warnings[0]) == (before.languages, "first")
    again = cut_invented(after, speech=speech, vocabulary=("Anna", "Bilal", "Chidi", "Daria"))
    assert again == after


@given(st.text(max_size=60), st.integers(1, 30), st.text(max_size=20))
def test_text_only_shrinks_and_settles(unit: str, times: int, rest: str) -> None:
    text = unit * times + rest
    shorter = text_runaway(text)
    assert len(shorter) <= len(text)
    assert text_runaway(shorter) == shorter
    left = iter(text)
    assert all(character in left for character in shorter)  # a subsequence


@given(st.lists(st.sampled_from("abc"), max_size=120))
def test_what_is_superfluous_follows_its_like(tokens: list[str]) -> None:
    cut = superfluous(tokens)
    assert cut == sorted(set(cut))
    gone = set(cut)
    left = [token for index, token in enumerate(tokens) if index not in gone]
    assert set(left) == set(tokens)
    assert superfluous(left) == []


@given(st.lists(st.integers(), unique=True, max_size=300))
def test_text_without_repetition_is_never_touched(numbers: list[int]) -> None:
    words = spoken(" ".join(f"w{number}" for number in numbers))
    assert cut_invented(heard(words), speech=None) == heard(words)


def spread(entry: dict[str, Any]) -> list[Word]:
    """An entry's words over its time."""
    start, end, text = float(entry["start_time"]), float(entry["end_time"]), entry["words"]
    return spoken(text, start, pace=max(1, len(text.split())) / max(0.1, end - start))


def test_real_references_are_never_touched(corpus: Path) -> None:
    seen = 0
    for path in sorted(corpus.glob("*/*.seglst.json")):
        entries = sorted(json.loads(path.read_text()), key=lambda entry: float(entry["start_time"]))
        words = [
            word for entry in entries for word in spoken(entry["words"], float(entry["start_time"]), pace=3.0)
        ]
        words.sort(key=lambda word: word.start)
        assert cut_invented(heard(words), speech=None) == heard(words), path
        text = " ".join(word.text for word in words)
        assert text_runaway(text) == text
        seen += len(words)
    assert seen > 500


def test_the_sample_is_never_touched() -> None:
    samples = Path(__file__).resolve().parents[2] / "samples"
    lines = json.loads((samples / "meeting.seglst.json").read_text())
    words = [word for line in lines for word in spread(line)]
    speech = [(line["start_time"], line["end_time"]) for line in lines]
    assert cut_invented(heard(words), speech=speech, vocabulary=("Anna", "Mark", "Ian")) == heard(words)


@pytest.mark.parametrize("kind", ["prose", "one loop", "many loops"])
def test_a_hundred_thousand_words(kind: str) -> None:
    texts = {
        "prose": [
            f"{word}{index % 977}" for index, word in enumerate((" ".join(PROSE.values()).split()) * 900)
        ],
        "one loop": ["no"] * 100_000,
        "many loops": [f"w{index // 25}" for index in range(100_000)],
    }
    words = spoken(" ".join(texts[kind][:100_000]))
    vocabulary = [f"w{number}" for number in range(200)]
    speech = [(float(start), start + 4.0) for start in range(0, 33_000, 5)]
    recognition = cut_invented(heard(words), speech=speech, vocabulary=vocabulary)
    if kind == "one loop":
        assert len(recognition.words) == 1
    elif kind == "prose":
        assert len(recognition.words) > 90_000
