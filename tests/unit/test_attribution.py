"""Attribution on examples: what must happen where the evidence is clear."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from core.attribution import attribute, into_utterances, label_speakers, speaker_labels
from core.model import SpeakerTurn, Utterance, Word


def said(text: str, start: float, *, step: float = 0.3, speaker: str | None = None) -> list[Word]:
    """The words of `text` from `start` on, one every `step` seconds with a breath between them."""
    return [
        Word(start=start + i * step, end=start + i * step + step - 0.02, text=each, speaker=speaker)
        for i, each in enumerate(text.split())
    ]


def turn(start: float, end: float, speaker: str) -> SpeakerTurn:
    return SpeakerTurn(start=start, end=end, speaker=speaker)


def lines(utterances: Sequence[Utterance]) -> list[tuple[str | None, str]]:
    return [(utterance.speaker, utterance.text) for utterance in utterances]


def test_without_turns_the_speaker_is_unknown() -> None:
    assert lines(attribute(said("Hello there.", 0), [])) == [(None, "Hello there.")]


def test_without_words_there_is_nothing() -> None:
    assert attribute([], [turn(0, 1, "A")]) == ()


def test_words_far_from_every_turn_are_unknown() -> None:
    words = [*said("One two.", 1), *said("Three four.", 30), *said("Five six.", 60)]
    turns = [turn(1, 1.6, "A"), turn(60, 60.6, "B")]
    assert lines(attribute(words, turns)) == [("A", "One two."), (None, "Three four."), ("B", "Five six.")]


def test_the_only_speaker_found_says_everything() -> None:
    words = [*said("One two.", 1), *said("Three four.", 30)]
    assert {u.speaker for u in attribute(words, [turn(1, 1.6, "A")])} == {"A"}


def test_a_turn_edge_within_a_sentence_moves_to_its_end() -> None:
    words = [*said("We should start now.", 0), *said("Fine with me.", 1.25)]
    turns = [turn(0, 0.95, "A"), turn(0.95, 2.2, "B")]
    assert lines(attribute(words, turns)) == [("A", "We should start now."), ("B", "Fine with me.")]


def test_a_turn_edge_within_a_phrase_moves_to_the_pause_without_punctuation() -> None:
    words = [*said("we should start now", 0), *said("fine with me", 1.5)]
    turns = [turn(0, 1.0, "A"), turn(1.1, 2.4, "B")]
    assert lines(attribute(words, turns)) == [("A", "we should start now"), ("B", "fine with me")]


def test_a_reply_inside_a_longer_turn_survives() -> None:
    words = [
        *said("So the plan is to ship it", 0),
        *said("Okay.", 2.15),
        *said("on Monday if nothing breaks.", 2.5),
    ]
    turns = [turn(0, 4.0, "A"), turn(2.12, 2.48, "B")]
    found = attribute(words, turns, overlapping=True)
    assert lines(found) == [
        ("A", "So the plan is to ship it"),
        ("B", "Okay."),
        ("A", "on Monday if nothing breaks."),
    ]
    assert found[1].overlap


def test_a_reply_spoken_across_the_others_words_survives() -> None:
    words = said("so the plan is to ship it on Monday", 0)
    words.append(Word(start=1.1, end=1.55, text="yeah"))
    words.sort(key=lambda word: word.start)
    found = attribute(words, [turn(0, 2.7, "A"), turn(1.1, 1.55, "B")], overlapping=True)
    assert [word.text for u in found if u.speaker == "B" for word in u.words] == ["yeah"]


def test_interleaved_sentences_keep_their_voices() -> None:
    first, second = said("I really think we should go", 0), said("No wait a minute please", 0.95)
    words = sorted([*first, *second], key=lambda word: word.start)
    turns = [turn(0, 1.78, "A"), turn(0.95, 2.43, "B")]
    found = attribute(words, turns, overlapping=True)
    said_by = {w.text: w.speaker for u in found for w in u.words}
    assert said_by == {**{w.text: "A" for w in first}, **{w.text: "B" for w in second}}
    assert all(u.overlap for u in found)


def test_a_spurious_label_within_a_phrase_is_smoothed_away() -> None:
    words = said("this is one long sentence without any break at all.", 0)
    turns = [turn(0, 1.2, "A"), turn(1.25, 1.45, "B"), turn(1.5, 3.0, "A")]
    assert {word.speaker for u in attribute(words, turns) for word in u.words} == {"A"}


def test_a_word_stretched_over_a_pause_belongs_to_where_it_began() -> None:
    words = [*said("Are you sure", 0), Word(start=0.9, end=4.9, text="then?"), *said("Yes I am.", 4.92)]
    turns = [turn(0, 1.3, "A"), turn(2.0, 5.9, "B")]
    assert lines(attribute(words, turns)) == [("A", "Are you sure then?"), ("B", "Yes I am.")]


def test_a_constant_lag_between_the_clocks_is_found() -> None:
    words: list[Word] = []
    turns: list[SpeakerTurn] = []
    for i in range(12):
        at = i * 2.7
        words.extend(said("one two three four five six seven eight", at, speaker="AB"[i % 2]))
        turns.append(turn(at + 0.3, at + 2.38 + 0.3, "AB"[i % 2]))
    found = [word for u in attribute(words, turns) for word in u.words]
    assert [word.speaker for word in found] == [word.speaker for word in words]


@pytest.mark.parametrize("overlapping", [True, False])
def test_overlap_is_marked_from_the_turns(overlapping: bool) -> None:
    words = [*said("One two three four five six.", 0), *said("Seven eight nine ten.", 5)]
    turns = [turn(0, 1.8, "A"), turn(1.0, 1.8, "B"), turn(5, 6.2, "B")]
    assert [u.overlap for u in attribute(words, turns, overlapping=overlapping)][-1] is False
    assert any(u.overlap for u in attribute(words, turns, overlapping=overlapping))


def test_blurred_edges_are_no_overlap_for_a_diarizer_without_overlap() -> None:
    words = [*said("One two three four.", 0), *said("Five six seven.", 1.25)]
    turns = [turn(0, 1.4, "A"), turn(1.1, 2.2, "B")]
    assert not any(u.overlap for u in attribute(words, turns, overlapping=False))
    assert any(u.overlap for u in attribute(words, turns, overlapping=True))


def test_a_monologue_is_cut_at_long_pauses_after_sentences() -> None:
    words = [
        *said("First part.", 0, speaker="A"),
        *said("Second after a breath.", 1.2, speaker="A"),
        *said("Third after two", 5, speaker="A"),
        *said("seconds in mid sentence.", 8, speaker="A"),
        *said("and after four in", 20, speaker="A"),
        *said("mid sentence.", 25.5, speaker="A"),
    ]
    assert [u.text for u in into_utterances(words)] == [
        "First part. Second after a breath.",
        "Third after two seconds in mid sentence.",
        "and after four in",
        "mid sentence.",
    ]


def test_broken_times_are_filled_in_and_no_word_is_lost() -> None:
    nan, inf = math.nan, math.inf
    words = [
        Word(start=nan, end=nan, text="a"),
        Word(start=1.0, end=1.2, text="b"),
        Word(start=nan, end=inf, text="c"),
        Word(start=-inf, end=nan, text="d"),
        Word(start=2.0, end=1.0, text="e"),
        Word(start=1.9, end=2.1, text="f"),
        Word(start=1e300, end=1e301, text=""),
        Word(start=nan, end=3.0, text="h"),
    ]
    found = attribute(words, [turn(0, 4, "A"), turn(nan, 2, "B"), turn(5, 4, "C"), turn(3, inf, "D")])
    flat = [word for u in found for word in u.words]
    assert [word.text for word in flat] == [word.text for word in words]
    assert {word.speaker for word in flat} == {"A"}
    assert all(math.isfinite(word.start) and word.start <= word.end <= 4 for word in flat)
    assert flat == sorted(flat, key=lambda word: word.start)


def test_all_times_missing_leaves_the_text() -> None:
    words = [Word(start=math.nan, end=math.nan, text=text) for text in "abc"]
    assert "".join(w.text for u in attribute(words, [turn(5, 6, "A")]) for w in u.words) == "abc"


def test_small_disorder_keeps_the_text_and_great_disorder_follows_the_clock() -> None:
    words = [
        Word(start=1.0, end=1.2, text="one"),
        Word(start=0.9, end=1.3, text="two"),
        Word(start=9.0, end=9.2, text="four"),
        Word(start=3.0, end=3.2, text="three"),
    ]
    flat = [word for u in attribute(words, [turn(0, 10, "A")]) for word in u.words]
    assert [word.text for word in flat] == ["one", "two", "three", "four"]
    assert flat[1].start == 1.0


def test_labels_are_numbered_by_first_appearance() -> None:
    words = [
        *said("Hi.", 0, speaker="SPEAKER_07"),
        *said("Hm?", 1, speaker=None),
        *said("Ho.", 2, speaker="SPEAKER_00"),
        *said("Ha.", 3, speaker="SPEAKER_07"),
    ]
    raw = into_utterances(words)
    assert speaker_labels(raw) == {"SPEAKER_07": "Speaker 1", "SPEAKER_00": "Speaker 2"}
    shown = label_speakers(raw)
    assert [u.speaker for u in shown] == ["Speaker 1", None, "Speaker 2", "Speaker 1"]
    assert all(word.speaker == u.speaker for u in shown for word in u.words)
    assert label_speakers(raw, {"SPEAKER_00": "Ada"})[2].speaker == "Ada"
    assert label_speakers(raw, {"SPEAKER_00": "Ada"})[0].speaker == "SPEAKER_07"


def test_a_turn_shorter_than_any_sound_overflows_nothing() -> None:
    words = [Word(start=0.0, end=0.0, text="yes"), Word(start=0.0, end=0.4, text="yes")]
    turns = [
        SpeakerTurn(start=0.0, end=1.0, speaker="A"),
        SpeakerTurn(start=0.0, end=5e-324, speaker="B"),
        SpeakerTurn(start=0.0, end=1e-310, speaker="B"),
    ]
    said = attribute(words, turns, overlapping=True)
    assert [word.text for utterance in said for word in utterance.words] == ["yes", "yes"]
