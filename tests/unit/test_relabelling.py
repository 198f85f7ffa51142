"""Naming speakers and joining those who are one person: nothing that was said is lost or moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model import Transcript, Utterance, Word
from core.relabelling import amended, circles, relabel
from core.segmentation import into_utterances


def said(speaker: str | None, start: float, text: str, *, overlap: bool = False) -> Utterance:
    words = tuple(
        Word(start=start + 0.4 * index, end=start + 0.4 * index + 0.35, text=part, speaker=speaker)
        for index, part in enumerate(text.split())
    )
    return Utterance(speaker=speaker, start=start, end=words[-1].end, words=words, overlap=overlap)


def transcript(
    *utterances: Utterance,
    names: Mapping[str, str] | None = None,
    suggestions: Mapping[str, str] | None = None,
) -> Transcript:
    return Transcript(
        content_key="c",
        languages=("en",),
        seconds=60,
        utterances=utterances,
        engine="e",
        names=names or {},
        suggestions=suggestions or {},
    )


TALK = transcript(
    said("A", 0, "We should go."),
    said("B", 1.5, "Yes."),
    said("C", 3, "No."),
    said("B", 12, "Later then."),
    names={"A": "Ada", "B": "Ben"},
    suggestions={"C": "Cleo"},
)


def lines(found: Transcript) -> list[tuple[str | None, str]]:
    return [(each.speaker, each.text) for each in found.utterances]


def test_names_are_given_changed_and_taken_away() -> None:
    found = relabel(TALK, {"A": " Eva\n Maria ", "B": "", "C": "Cleo"}, {})
    assert found.names == {"A": "Eva Maria", "C": "Cleo"}
    assert found.suggestions == {}
    assert found.utterances == TALK.utterances


def test_neighbours_who_are_one_person_say_it_in_one_go() -> None:
    found = relabel(TALK, {}, {"B": "A"})
    assert lines(found) == [("A", "We should go. Yes."), ("C", "No."), ("A", "Later then.")]
    assert (found.utterances[0].start, found.utterances[0].end) == (0, TALK.utterances[1].end)
    assert {word.speaker for word in found.utterances[0].words} == {"A"}
    assert found.names == {"A": "Ada"}
    assert found.suggestions == {"C": "Cleo"}


def test_long_pauses_still_part_what_is_said() -> None:
    assert lines(relabel(TALK, {}, {"C": "B"}))[-2:] == [("B", "Yes. No."), ("B", "Later then.")]


def test_chains_lead_to_one_person() -> None:
    found = relabel(TALK, {}, {"C": "B", "B": "A"})
    assert lines(found) == [("A", "We should go. Yes. No."), ("A", "Later then.")]
    assert (found.names, found.suggestions) == ({"A": "Ada"}, {})


def test_a_chain_may_lead_over_somebody_who_is_gone() -> None:
    assert {each.speaker for each in relabel(TALK, {}, {"C": "Z", "Z": "A"}).utterances} == {"A", "B"}


def test_whoever_has_no_name_takes_over_that_of_the_other() -> None:
    assert relabel(TALK, {}, {"A": "C"}).names == {"B": "Ben", "C": "Ada"}
    assert relabel(TALK, {"A": "Eva"}, {"A": "C"}).names == {"B": "Ben", "C": "Eva"}
    assert relabel(TALK, {"C": "Cleo"}, {"A": "C"}).names == {"B": "Ben", "C": "Cleo"}
    assert relabel(TALK, {"C": ""}, {"A": "C"}).names == {"B": "Ben"}
    nameless = replace(TALK, names={})
    assert relabel(nameless, {}, {"C": "A"}).suggestions == {"A": "Cleo"}


@pytest.mark.parametrize("merged", [{"A": "A"}, {"A": "B", "B": "A"}, {"X": "Y", "Y": "X"}])
def test_circles_are_refused(merged: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="circle"):
        relabel(TALK, {}, merged)
    assert circles(merged) == set(merged)


def test_only_the_labels_in_the_circle_are_blamed() -> None:
    assert circles({"A": "B", "B": "C", "C": "B", "D": "A", "E": "F"}) == {"B", "C"}


def test_what_is_said_of_strangers_is_ignored() -> None:
    assert relabel(TALK, {"Z": "Zoe"}, {"Z": "Y", "Y": "A"}) == TALK
    assert relabel(TALK, {}, {"A": "Z"}) == TALK
    assert relabel(TALK, {}, {"C": "A", "A": "Z"}) == relabel(TALK, {}, {"C": "A"})


def test_what_is_said_later_counts_more() -> None:
    assert amended({"B": "A", "C": "A"}, {"B": "C"}) == {"B": "C", "C": "A"}
    assert amended({"B": "A", "C": "A"}, {"B": ""}) == {"C": "A"}
    assert amended({"B": "A"}, {"A": "B"}) == {"A": "B"}
    assert amended({"B": "C", "C": "A"}, {"A": "B"}) == {"A": "B"}
    assert amended({}, {"D": ""}) == {}
    with pytest.raises(ValueError, match="circle"):
        amended({}, {"A": "B", "B": "A"})


def test_gaps_stay_as_they_are_and_part_what_is_said() -> None:
    gap = replace(said(None, 1.0, "[not recognised]"), gap=True)
    owned = replace(said("B", 4.0, "[not recognised]"), gap=True)
    found = relabel(transcript(said("A", 0, "Well"), gap, said("B", 2, "so"), owned), {}, {"B": "A"})
    assert [each.gap for each in found.utterances] == [False, True, False, True]
    assert found.utterances[1] == gap


def test_whoever_talks_at_the_same_time_is_not_joined() -> None:
    both = transcript(said("A", 0, "one two three four"), said("B", 0.5, "at once", overlap=True))
    found = relabel(both, {}, {"B": "A"})
    assert len(found.utterances) == 2
    assert found.utterances[1].overlap


def test_what_was_over_somebody_else_stays_so() -> None:
    found = relabel(transcript(said("A", 0, "one", overlap=True), said("B", 0.5, "two")), {}, {"B": "A"})
    (one,) = found.utterances
    assert one.overlap


# --- whatever is said ---

LABELS = ("A", "B", "C", "D")


@st.composite
def words(draw: st.DrawFn) -> list[Word]:
    at = 0.0
    found = []
    for _ in range(draw(st.integers(0, 25))):
        at += draw(st.sampled_from([0.05, 0.3, 1.4, 1.6, 2.9, 3.5]))
        text = draw(st.sampled_from(["yes", "yes.", "well,", "what?", "because"]))
        found.append(Word(start=at, end=at + 0.2, text=text, speaker=draw(st.sampled_from(LABELS))))
        at += 0.2
    return found


MERGES = st.dictionaries(st.sampled_from(LABELS), st.sampled_from(LABELS), max_size=3).filter(
    lambda merged: not circles(merged)
)
NAMES = st.dictionaries(st.sampled_from(LABELS), st.sampled_from(["Ada", "Ben", "", " "]), max_size=4)


def root(label: str, merged: dict[str, str]) -> str:
    return root(merged[label], merged) if label in merged else label


@given(words(), MERGES)
@settings(deadline=None)
def test_it_is_as_if_the_speakers_had_been_known_from_the_start(
    spoken: list[Word], merged: dict[str, str]
) -> None:
    known = {label: label for label in LABELS}  # so that all of them may be merged into
    talk = transcript(*into_utterances(spoken), names=known)
    better = [replace(word, speaker=root(str(word.speaker), merged)) for word in spoken]
    assert relabel(talk, {}, merged).utterances == into_utterances(better)


@given(MERGES, MERGES)
def test_amended_merges_never_go_round_in_circles(earlier: dict[str, str], later: dict[str, str]) -> None:
    found = amended(earlier, later)
    assert not circles(found)
    assert later.items() <= found.items() <= (earlier | later).items()


UTTERANCES = st.lists(
    st.builds(
        said,
        st.sampled_from([*LABELS, None]),
        st.floats(0, 30),
        st.sampled_from(["yes.", "well then", "no, I do not think so."]),
        overlap=st.booleans(),
    ).flatmap(lambda each: st.booleans().map(lambda gap: replace(each, gap=gap))),
    max_size=15,
).map(tuple)


@given(UTTERANCES, NAMES, MERGES, NAMES, NAMES)
@settings(deadline=None)
def test_nothing_that_was_said_is_lost_or_moved(
    utterances: tuple[Utterance, ...],
    names: dict[str, str],
    merged: dict[str, str],
    known: dict[str, str],
    hints: dict[str, str],
) -> None:
    talk = transcript(*utterances, names=dict.fromkeys(LABELS, "X") | known, suggestions=hints)
    found = relabel(talk, names, merged)
    before = [(word.text, word.start, word.end) for each in utterances for word in each.words]
    assert [(word.text, word.start, word.end) for each in found.utterances for word in each.words] == before
    assert not {each.speaker for each in found.utterances} & set(merged)
    assert not (set(found.names) | set(found.suggestions)) & set(merged)
    assert not set(found.names) & set(found.suggestions)
    assert all(name.strip() for name in found.names.values())
    for label, name in names.items():
        if label not in merged:
            assert found.names.get(label, "") == name.strip()
    assert replace(found, utterances=(), names={}, suggestions={}) == replace(
        talk, utterances=(), names={}, suggestions={}
    )
    assert relabel(found, names, {}).utterances == found.utterances


@given(UTTERANCES, NAMES)
@settings(deadline=None)
def test_nothing_said_changes_nothing(utterances: tuple[Utterance, ...], names: dict[str, str]) -> None:
    known = {label: name for label, name in names.items() if name.strip()}
    talk = transcript(*utterances, names=known)
    assert relabel(talk, {}, {}) == talk
