"""One speaker per channel: order, overlap, and what is taken for cross-talk and what is not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from core.attribution import label_speakers, merge_channels, merge_speakers
from core.model import Word


def said(text: str, start: float, *, sure: float | None = 0.9, step: float = 0.3) -> list[Word]:
    return [
        Word(start=start + i * step, end=start + i * step + step - 0.02, text=each, confidence=sure)
        for i, each in enumerate(text.split())
    ]


def lines(*channels: list[Word]) -> list[tuple[str | None, str]]:
    return [(utterance.speaker, utterance.text) for utterance in label_speakers(merge_channels(channels))]


def test_a_reply_stands_where_it_was_made() -> None:
    first = [*said("Do you have it with you?", 0), *said("Good, then let us go.", 3)]
    assert lines(first, said("Yes I do.", 1.9)) == [
        ("Speaker 1", "Do you have it with you?"),
        ("Speaker 2", "Yes I do."),
        ("Speaker 1", "Good, then let us go."),
    ]


def test_talking_at_once_is_marked_and_not_shredded() -> None:
    found = merge_channels([said("He began a confused complaint", 0), said("The horizon seems distant", 0.1)])
    assert [(u.text, u.overlap) for u in found] == [
        ("He began a confused complaint", True),
        ("The horizon seems distant", True),
    ]


def test_a_faint_copy_of_a_phrase_is_dropped() -> None:
    loud, faint = said("Please send me the report.", 1), said("please send me a report", 1.05, sure=0.5)
    assert lines(loud, faint) == [("Speaker 1", "Please send me the report.")]
    assert lines(faint, loud) == [("Speaker 1", "Please send me the report.")]


def test_of_three_copies_the_surest_stays() -> None:
    copies = [
        said("Please send me the report.", 1 + i / 50, sure=sure) for i, sure in enumerate((0.3, 0.5, 0.9))
    ]
    assert len(merge_channels(copies)) == 1
    assert merge_channels(copies)[0].speaker == "channel 3"


def test_weak_evidence_drops_nothing() -> None:
    loud = said("Please send me the report.", 1)
    for other in (
        said("Please send me the report.", 1.05, sure=0.85),  # nearly as sure
        said("Please send me the report.", 1.05, sure=None),  # no confidence
        said("Please send me the report.", 2.6, sure=0.3),  # repeated later
        said("report the me send Please", 1.05, sure=0.3),  # another order
        said("Please find me some paper.", 1.05, sure=0.3),  # other words
    ):
        assert sum(len(u.words) for u in merge_channels([loud, other])) == 10
    assert len(merge_channels([said("Yes, okay.", 1), said("Yes, okay.", 1.02, sure=0.3)])) == 2


def test_words_beyond_the_original_are_not_dropped_with_the_echo() -> None:
    faint = said("please send me the report now", 1.05, sure=0.5)
    assert lines(said("Please send me the report", 1), faint)[-1] == (
        "Speaker 2",
        "please send me the report now",
    )


ticks = st.integers(min_value=0, max_value=64 * 20).map(lambda tick: tick / 64)
channel = st.lists(
    st.builds(
        lambda at, text, sure: Word(start=at, end=at + 0.25, text=text, confidence=sure),
        ticks,
        st.sampled_from(["a", "b.", "c", ""]),
        st.one_of(st.none(), st.floats(min_value=0, max_value=1)),
    ),
    max_size=20,
).map(lambda words: sorted(words, key=lambda word: word.start))


@settings(deadline=None, max_examples=80)
@given(st.lists(channel, max_size=4))
def test_channels_keep_their_words_in_order(channels: list[list[Word]]) -> None:
    bare = [[replace(word, confidence=None) for word in words] for words in channels]
    found = merge_channels(bare)
    for number, words in enumerate(bare, start=1):
        mine = [w for u in found for w in u.words if w.speaker == f"channel {number}"]
        assert [replace(word, speaker=None) for word in mine] == words
    assert [u.start for u in found] == sorted(u.start for u in found)


@settings(deadline=None, max_examples=80)
@given(st.lists(channel, max_size=4))
def test_nothing_is_said_only_on_a_channel_that_was_dropped(channels: list[list[Word]]) -> None:
    kept = [word for u in merge_channels(channels) for word in u.words]
    texts = Counter(word.text for word in kept)
    for words in channels:
        for word in words:
            if len([w for w in kept if w.text == word.text and w.start == word.start]) == 0:
                assert any(abs(other.start - word.start) <= 0.5 for other in kept)
    assert sum(texts.values()) <= sum(map(len, channels))


def test_speakers_of_one_engine_who_talk_at_once_are_not_shredded() -> None:
    five = [
        Word(start=n * 0.3, end=n * 0.3 + 0.29, text=text, speaker="M")
        for n, text in enumerate(["Lease", "for", "five", "years."])
    ]
    okay = Word(start=0.7, end=1.0, text="Okay.", speaker="A")
    after = Word(start=2, end=2.4, text="Why?", speaker=None)
    mixed = sorted([*five, okay, after], key=lambda word: word.start)
    found = merge_speakers(mixed)
    assert [(said.speaker, said.text) for said in found] == [
        ("M", "Lease for five years."),
        ("A", "Okay."),
        (None, "Why?"),
    ]
    assert found[0].overlap
    assert merge_speakers([]) == ()


@given(
    st.lists(
        st.tuples(
            st.floats(0, 100),
            st.floats(0.05, 2),
            st.sampled_from(["A", "B", None]),
            st.sampled_from(["a", "b.", "c"]),
        ),
        max_size=60,
    )
)
def test_every_word_of_every_speaker_is_kept_in_order(
    said: list[tuple[float, float, str | None, str]],
) -> None:
    words = sorted(
        (Word(start=s, end=s + n, text=text, speaker=who) for s, n, who, text in said),
        key=lambda word: word.start,
    )
    merged = [word for utterance in merge_speakers(words) for word in utterance.words]
    for who in ("A", "B", None):
        assert [w.text for w in merged if w.speaker == who] == [w.text for w in words if w.speaker == who]
