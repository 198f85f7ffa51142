"""What attribution promises for every input."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core import lattice
from core.attribution import attribute, into_utterances
from core.lattice import CANDIDATES
from core.model import SpeakerTurn, Utterance, Word
from core.segmentation import BLUR, repaired, spoken_ends, voices
from core.speech import CROWD, NOBODY, Speech

CALM = settings(deadline=None, max_examples=40)
FEW = settings(deadline=None, max_examples=5)

# Multiples of 1/64 s add and subtract exactly, so that invariance can be tested for equality.
ticks = st.integers(min_value=0, max_value=64 * 40).map(lambda tick: tick / 64)
lengths = st.integers(min_value=0, max_value=64 * 3).map(lambda tick: tick / 64)
texts = st.sampled_from(["yes", "well,", "no.", "really?", "", " ", "それ。", "12,000", "I", "mm-hmm"])
wild = st.one_of(ticks, st.floats(allow_nan=True, allow_infinity=True))
names = st.sampled_from("ABCDEF")

sound_words = st.lists(
    st.builds(lambda at, long, text: Word(start=at, end=at + long, text=text), ticks, lengths, texts),
    max_size=40,
).map(lambda words: sorted(words, key=lambda word: word.start))
wild_words = st.lists(
    st.builds(lambda start, end, text: Word(start=start, end=end, text=text), wild, wild, texts), max_size=30
)
sound_turns = st.lists(
    st.builds(lambda at, long, who: SpeakerTurn(start=at, end=at + long, speaker=who), ticks, lengths, names),
    max_size=25,
)
wild_turns = st.lists(
    st.builds(lambda start, end, who: SpeakerTurn(start=start, end=end, speaker=who), wild, wild, names),
    max_size=20,
)


def flat(utterances: tuple[Utterance, ...]) -> list[Word]:
    return [word for utterance in utterances for word in utterance.words]


@CALM
@given(sound_words, sound_turns, st.booleans())
def test_every_word_is_kept_in_order_exactly_once(
    words: list[Word], turns: list[SpeakerTurn], overlapping: bool
) -> None:
    found = flat(attribute(words, turns, overlapping=overlapping))
    assert [replace(word, speaker=None) for word in found] == words


@CALM
@given(wild_words, wild_turns, st.booleans())
def test_no_input_breaks_it(words: list[Word], turns: list[SpeakerTurn], overlapping: bool) -> None:
    found = attribute(words, turns, overlapping=overlapping)
    assert sorted(word.text for word in flat(found)) == sorted(word.text for word in words)
    known = {turn.speaker for turn in turns}
    for utterance in found:
        assert utterance.words
        assert utterance.speaker is None or utterance.speaker in known
        assert {word.speaker for word in utterance.words} == {utterance.speaker}
        assert utterance.start == min(word.start for word in utterance.words)
        assert utterance.end == max(word.end for word in utterance.words)
        assert all(
            math.isfinite(w.start) and math.isfinite(w.end) and w.start <= w.end for w in utterance.words
        )
    starts = [word.start for word in flat(found)]
    assert starts == sorted(starts)


@CALM
@given(sound_words, sound_turns)
def test_it_is_deterministic_and_blind_to_the_order_and_doubling_of_turns(
    words: list[Word], turns: list[SpeakerTurn]
) -> None:
    once = attribute(words, turns)
    assert attribute(words, turns) == once
    assert attribute(words, [*turns, *turns]) == once
    distinct = {(turn.start, turn.end) for turn in turns}
    if len(distinct) == len(turns):
        assert attribute(words, turns[::-1]) == once


@CALM
@given(sound_words, sound_turns, st.integers(min_value=-100, max_value=4000))
def test_shifting_time_shifts_the_result(words: list[Word], turns: list[SpeakerTurn], by: int) -> None:
    moved: list[Any] = [
        [replace(each, start=each.start + by, end=each.end + by) for each in x] for x in (words, turns)
    ]
    before, after = attribute(words, turns), attribute(*moved)
    assert [word.speaker for word in flat(after)] == [word.speaker for word in flat(before)]
    assert [u.start - by for u in after] == [u.start for u in before]


@CALM
@given(sound_words, sound_turns, st.permutations("ABCDEF"))
def test_renaming_speakers_renames_the_result(
    words: list[Word], turns: list[SpeakerTurn], names: list[str]
) -> None:
    new = dict(zip("ABCDEF", names, strict=True))
    before = attribute(words, turns)
    after = attribute(words, [replace(turn, speaker=new[turn.speaker]) for turn in turns])
    assert [u.speaker for u in after] == [None if u.speaker is None else new[u.speaker] for u in before]
    assert [u.overlap for u in after] == [u.overlap for u in before]


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Word], list[SpeakerTurn]]:
    """Turns of two or more words, one after the other, with exact edges: words carry their true speaker."""
    words: list[Word] = []
    turns: list[SpeakerTurn] = []
    now, speaker = 0.0, ""
    for _ in range(draw(st.integers(min_value=1, max_value=8))):
        speaker = draw(st.sampled_from([each for each in "ABC" if each != speaker]))
        start = now
        for _ in range(draw(st.integers(min_value=2, max_value=8))):
            end = now + draw(st.integers(min_value=8, max_value=16)) / 32
            words.append(Word(start=now, end=end, text="word", speaker=speaker))
            now = end
        turns.append(SpeakerTurn(start=start, end=now, speaker=speaker))
        now += draw(st.integers(min_value=4, max_value=64)) / 32
    return words, turns


@CALM
@given(conversations())
def test_exact_turns_without_overlap_give_exact_labels(talk: tuple[list[Word], list[SpeakerTurn]]) -> None:
    words, turns = talk
    assert flat(attribute(words, turns)) == words


@CALM
@given(sound_words, st.lists(ticks, min_size=1, max_size=10))
def test_a_single_speaker_says_everything(words: list[Word], starts: list[float]) -> None:
    turns = [SpeakerTurn(start=start, end=start + 1, speaker="A") for start in starts]
    assert {word.speaker for word in flat(attribute(words, turns))} <= {"A"}


@CALM
@given(sound_words)
def test_without_turns_nobody_is_named(words: list[Word]) -> None:
    assert {word.speaker for word in flat(attribute(words, []))} <= {None}


@CALM
@given(
    st.integers(min_value=4, max_value=20),
    st.integers(min_value=2, max_value=16),
    st.sampled_from(["okay.", "ja"]),
)
def test_an_interjection_with_its_own_turn_survives(count: int, place: int, text: str) -> None:
    place = min(place, count - 2)
    words = [Word(start=i * 0.3, end=i * 0.3 + 0.3, text="word") for i in range(count)]
    at = place * 0.3 + 0.1
    words.append(Word(start=at, end=at + 0.35, text=text))
    words.sort(key=lambda word: word.start)
    turns = [
        SpeakerTurn(start=0, end=count * 0.3, speaker="A"),
        SpeakerTurn(start=at, end=at + 0.35, speaker="B"),
    ]
    found = attribute(words, turns, overlapping=True)
    assert [word.text for word in flat(found) if word.speaker == "B"] == [text]
    assert all(u.overlap for u in found if u.speaker == "B")


@CALM
@given(sound_words, sound_turns)
def test_overlap_is_marked_only_with_cause(words: list[Word], turns: list[SpeakerTurn]) -> None:
    found = attribute(words, turns, overlapping=True)
    speech = Speech(turns)
    for utterance in found:
        ends = spoken_ends(utterance.words)
        crossed = any(
            min(end, other_end) - max(word.start, other.start) > BLUR
            for rival in found
            if rival.speaker != utterance.speaker
            for other, other_end in zip(rival.words, spoken_ends(rival.words), strict=True)
            for word, end in zip(utterance.words, ends, strict=True)
        )
        two_turns = any(
            len({t.speaker for t in turns if t.start <= at < t.end}) > 1
            for word, end in zip(utterance.words, ends, strict=True)
            for at in (tick / 64 for tick in range(int(word.start * 64), math.ceil(end * 64)))
        )
        if utterance.overlap:
            assert crossed or (two_turns and speech.speakers)


@st.composite
def crosstalk(draw: st.DrawFn) -> list[Word]:
    """Words of three people, none of whom says two at once."""
    words: list[Word] = []
    for speaker in "ABC":
        now = 0
        for _ in range(draw(st.integers(min_value=0, max_value=12))):
            now += draw(st.integers(min_value=0, max_value=160))
            end = now + draw(st.integers(min_value=1, max_value=24))
            words.append(Word(start=now / 64, end=end / 64, text="word", speaker=speaker))
            now = end
    return sorted(words, key=lambda word: word.start)


@CALM
@given(crosstalk())
def test_overlap_between_words_is_marked_exactly(words: list[Word]) -> None:
    found = into_utterances(words)
    assert flat(found) == words
    for utterance in found:
        crossed = any(
            min(word.end, other.end) - max(word.start, other.start) > BLUR
            for word in utterance.words
            for other in words
            if other.speaker != word.speaker
        )
        assert utterance.overlap == crossed


@CALM
@given(wild_words)
def test_repairing_twice_changes_nothing(words: list[Word]) -> None:
    once = repaired(words)
    assert repaired(once) == once


@CALM
@given(sound_words)
def test_voices_are_a_permutation_and_leave_separate_words_alone(words: list[Word]) -> None:
    ends = spoken_ends(words)
    order = voices(words, ends)
    assert sorted(order) == list(range(len(words)))
    if all(after.start >= end for after, end in zip(words[1:], ends, strict=False)):
        assert order == list(range(len(words)))


@CALM
@given(sound_turns, st.lists(ticks, min_size=1, max_size=20))
def test_speech_answers_as_a_search_through_all_turns_does(turns: list[SpeakerTurn], at: list[float]) -> None:
    speech = Speech(turns)
    real = [turn for turn in turns if turn.end > turn.start]
    if not real:
        assert speech.speakers == []
        return
    times = np.array(at)
    active = speech.active(times)
    for who, name in enumerate(speech.speakers):
        mine = [turn for turn in real if turn.speaker == name]
        index = np.full(len(at), who)
        gaps = [min(max(turn.start - t, t - turn.end, 0.0) for turn in mine) for t in at]
        assert speech.distance(index, times).tolist() == gaps
        ticks_in = [
            sum(
                any(turn.start <= k / 64 < turn.end for turn in mine)
                for k in range(int(t * 64), int(t * 64) + 64)
            )
            for t in at
        ]
        assert (speech.covered(index, times, times + 1) * 64).tolist() == ticks_in
        for t, row in zip(at, active.tolist(), strict=True):
            inside = any(turn.start <= t < turn.end for turn in mine)
            crowd = {turn.speaker for turn in real if turn.start <= t < turn.end}
            assert (who in row) == inside or (inside and len(crowd) > CROWD)
    for t, alone in zip(at, speech.alone(times - 1, times + 1).tolist(), strict=True):
        heard = {turn.speaker for turn in real if turn.end > t - 1 and turn.start <= t + 1}
        if alone != NOBODY:
            assert heard <= {speech.speakers[alone]}
        elif len(heard) == 1:
            # At most a silence that others border, or a turn ending at that very moment, is left open.
            assert len(speech.speakers) > 1


@FEW
@given(st.integers(min_value=0, max_value=2**32 - 1))
def test_crowds_of_overlapping_turns_cost_a_bounded_search_per_word(seed: int) -> None:
    """2,000 speakers at once: no word considers more than `CANDIDATES`, no moment more than `CROWD`."""
    turns = [
        SpeakerTurn(
            start=(i * 7919 + seed) % 997 / 997, end=60 - (i * 31 + seed) % 101 / 101, speaker=f"s{i}"
        )
        for i in range(2000)
    ]
    words = [Word(start=i * 0.03, end=i * 0.03 + 0.5, text="word") for i in range(2000)]
    speech = Speech(turns)
    seen: list[int] = []
    step = lattice._Lattice._step

    def counted(self: lattice._Lattice, i: int, total: list[float]) -> tuple[list[float], list[int]]:
        seen.append(len(total))
        return step(self, i, total)

    lattice._Lattice._step = counted  # type: ignore[method-assign]  # counts the work of the real method
    try:
        assert len(lattice.labels(words, speech)) == len(words)
    finally:
        lattice._Lattice._step = step  # type: ignore[method-assign]  # restored
    assert 0 < len(seen) <= len(words)
    assert max(seen) <= CANDIDATES
    assert speech._active.shape[1] == CROWD
