"""Figures against values worked out by hand, and what must hold for any transcript."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.evaluation.figures import Options, Order
from core.evaluation.reading import read
from core.evaluation.scoring import _by_speaker, _cpwer, _Side, _siso, many_speakers, score
from core.evaluation.session import Segment, Session, scoring_package
from core.evaluation.wording import Normalizer, Unit

EXACT = Options(der_collar=0.0)


def spoken(*rows: tuple[str | None, float, float, str]) -> Session:
    segments = tuple(Segment(speaker=who, start=a, end=b, text=text) for who, a, b, text in rows)
    return Session(session_id="m", segments=segments, has_text=True, has_speakers=True, has_times=True)


def turns(*rows: tuple[str, float, float]) -> Session:
    segments = tuple(Segment(speaker=who, start=a, end=b, text=None) for who, a, b in rows)
    return Session(session_id="m", segments=segments, has_text=False, has_speakers=True, has_times=True)


REFERENCE = spoken(("A", 0, 4, "a b c d"), ("B", 4, 8, "e f g h"))


def test_substitutions_and_deletions_count_alike_everywhere() -> None:
    found = score(REFERENCE, spoken(("X", 0, 4, "a b x d"), ("Y", 4, 8, "e f g")), EXACT)
    for figure in (found.wer, found.cpwer, found.tcpwer):
        assert figure is not None
        assert (figure.insertions, figure.deletions, figure.substitutions) == (0, 1, 1)
        assert (figure.errors, figure.length, figure.rate) == (2, 8, 0.25)
    assert found.cpwer is not None
    assert set(found.cpwer.assignment or ()) == {("A", "X"), ("B", "Y")}
    assert (found.reference_speakers, found.hypothesis_speakers) == (2, 2)


def test_a_word_given_to_the_wrong_speaker_counts_twice_in_cpwer_and_not_in_wer() -> None:
    found = score(REFERENCE, spoken(("X", 0, 3, "a b c"), ("Y", 3, 8, "d e f g h")), EXACT)
    assert found.wer is not None
    assert found.wer.errors == 0
    assert found.cpwer is not None
    assert (found.cpwer.insertions, found.cpwer.deletions, found.cpwer.rate) == (1, 1, 0.25)


def test_merged_speakers_are_missed() -> None:
    found = score(REFERENCE, spoken(("X", 0, 8, "a b c d e f g h")), EXACT)
    assert found.wer is not None
    assert found.wer.errors == 0
    assert found.cpwer is not None
    assert (found.cpwer.insertions, found.cpwer.deletions, found.cpwer.rate) == (4, 4, 1.0)
    assert (found.cpwer.missed_speakers, found.cpwer.false_speakers) == (1, 0)
    assert sorted(b or "" for _, b in found.cpwer.assignment or ()) == ["", "X"]


def test_an_invented_speaker_is_a_false_one() -> None:
    found = score(REFERENCE, spoken(("X", 0, 4, "a b c d"), ("Y", 4, 8, "e f g h"), ("Z", 9, 10, "i")), EXACT)
    assert found.cpwer is not None
    assert (found.cpwer.insertions, found.cpwer.false_speakers, found.cpwer.rate) == (1, 1, 0.125)


def test_words_at_the_wrong_time_do_not_match_within_the_collar() -> None:
    late = spoken(("X", 100, 104, "a b c d"), ("Y", 104, 108, "e f g h"))
    found = score(REFERENCE, late, EXACT)
    assert found.cpwer is not None
    assert found.cpwer.errors == 0
    assert found.tcpwer is not None
    assert (found.tcpwer.insertions, found.tcpwer.deletions, found.tcpwer.rate) == (8, 8, 2.0)
    wide = score(REFERENCE, late, replace(EXACT, collar=100.0)).tcpwer
    assert wide is not None
    assert wide.errors == 0


def test_word_times_are_used_where_there_are_any() -> None:
    words = ((0.0, 1.0, "a"), (99.0, 100.0, "b"))
    timed = spoken(("X", 0, 100, "a b"))
    timed = replace(timed, segments=(replace(timed.segments[0], words=words),))
    found = score(timed, timed, EXACT)
    assert found.tcpwer is not None
    assert found.tcpwer.errors == 0
    # without them the words are taken to be spread evenly, at 25 s and 75 s
    guessed = score(timed, spoken(("X", 0, 100, "a b")), EXACT).tcpwer
    assert guessed is not None
    assert (guessed.insertions, guessed.deletions) == (2, 2)


def test_an_event_across_timed_words_is_still_no_word() -> None:
    plain = spoken(("X", 0, 3, "[loud noise] a"))
    words = ((0.0, 1.0, "[loud"), (1.0, 2.0, "noise]"), (2.0, 3.0, "a"))
    timed = replace(plain, segments=(replace(plain.segments[0], words=words),))
    found = score(plain, timed, EXACT)
    assert found.tcpwer is not None
    assert (found.tcpwer.length, found.tcpwer.errors) == (1, 0)


def test_people_who_talk_at_once_have_no_one_order() -> None:
    whole = spoken(("A", 0, 4, "a b c d"), ("B", 1, 3, "e f"))
    cut = spoken(("A", 0, 1, "a"), ("B", 1, 2, "e"), ("A", 1.5, 3, "b c"), ("B", 2, 3, "f"), ("A", 3, 4, "d"))
    found = score(whole, cut, EXACT)
    assert found.wer is not None
    assert (found.wer.errors, found.wer.order) == (0, Order.SPEAKERS)
    nobody = replace(cut, has_speakers=False)
    in_time = score(whole, nobody, EXACT)
    assert in_time.wer is not None
    # a b c d e f against a e b c f d: move e, move d (or f): two deletions and two insertions
    assert (in_time.wer.errors, in_time.wer.order) == (4, Order.TIME)


def test_characters_where_words_are_not_spaced() -> None:
    found = score(spoken(("A", 0, 6, "今天天气很好。")), spoken(("X", 0, 6, "今天 天汽好")), Options())
    assert found.unit is Unit.CHARACTER
    for figure in (found.wer, found.cpwer, found.tcpwer):
        assert figure is not None
        assert (figure.substitutions, figure.deletions, figure.insertions, figure.length) == (1, 1, 0, 6)
    forced = score(spoken(("A", 0, 6, "今天 很好")), spoken(("X", 0, 6, "今天 好")), Options(unit=Unit.WORD))
    assert forced.wer is not None
    assert (forced.wer.errors, forced.wer.length) == (1, 2)


def test_text_is_compared_as_it_is_on_request() -> None:
    upper = spoken(("X", 0, 4, "A b c, d"), ("Y", 4, 8, "e f g h"))
    same = score(REFERENCE, upper, EXACT).wer
    raw = score(REFERENCE, upper, replace(EXACT, normalizer=Normalizer.NONE)).wer
    assert same is not None
    assert raw is not None
    assert (same.errors, raw.substitutions) == (0, 2)


SPEECH = turns(("A", 0, 10), ("B", 10, 20))


@pytest.mark.parametrize(
    ("hypothesis", "missed", "false", "confused"),
    [
        (turns(("X", 0, 12), ("Y", 12, 20)), 0, 0, 2),
        (turns(("X", 1, 10), ("Y", 10, 22)), 1, 2, 0),
        (turns(("X", 0, 20)), 0, 0, 10),
        (turns(("X", 0, 10), ("Y", 10, 20), ("Z", 5, 8)), 0, 3, 0),
        (turns(), 20, 0, 0),
    ],
)
def test_der_counts_seconds(hypothesis: Session, missed: float, false: float, confused: float) -> None:
    found = score(SPEECH, hypothesis, EXACT).der
    assert found is not None
    assert found.total == pytest.approx(20)
    assert (found.missed, found.false_alarm, found.confusion) == pytest.approx((missed, false, confused))
    assert found.rate == pytest.approx((missed + false + confused) / 20)


def test_the_der_collar_is_the_full_width_around_a_boundary() -> None:
    found = score(SPEECH, turns(("X", 0, 12), ("Y", 12, 20)), Options(der_collar=0.5)).der
    assert found is not None
    # 0..0.25, 9.75..10.25 and 19.75..20 are not scored
    assert found.total == pytest.approx(19)
    assert found.confusion == pytest.approx(1.75)


def test_overlap_is_scored_unless_it_is_left_out() -> None:
    reference, hypothesis = turns(("A", 0, 10), ("B", 5, 10)), turns(("X", 0, 10))
    found = score(reference, hypothesis, EXACT).der
    assert found is not None
    assert (found.total, found.missed) == pytest.approx((15, 5))
    without = score(reference, hypothesis, replace(EXACT, skip_overlap=True)).der
    assert without is not None
    assert (without.total, without.missed) == pytest.approx((5, 0))


def test_a_speaker_overlapping_himself_is_one_voice() -> None:
    found = score(turns(("A", 0, 6), ("A", 4, 10)), turns(("X", 0, 10)), EXACT).der
    assert found is not None
    assert (found.total, found.rate) == pytest.approx((10, 0))


def test_only_the_region_is_scored() -> None:
    found = score(SPEECH, turns(("X", 0, 12), ("Y", 12, 20)), EXACT, [(0.0, 11.0), (15.0, 16.0)]).der
    assert found is not None
    assert (found.total, found.confusion) == pytest.approx((12, 1))
    nowhere = score(SPEECH, SPEECH, EXACT, [])
    assert nowhere.der is None
    assert "UEM" in nowhere.not_scored["der"]


def test_what_a_side_does_not_carry_is_not_scored() -> None:
    found = score(REFERENCE, SPEECH, EXACT)
    assert (found.wer, found.cpwer, found.tcpwer) == (None, None, None)
    assert found.der is not None
    assert found.not_scored["wer"] == "the hypothesis has no words"
    plain = replace(REFERENCE, has_speakers=False, has_times=False)
    bare = score(plain, REFERENCE, EXACT)
    assert bare.wer is not None
    assert (bare.cpwer, bare.tcpwer, bare.der) == (None, None, None)
    assert bare.not_scored["der"] == "the reference has no speakers and no times"
    assert (bare.reference_speakers, bare.hypothesis_speakers) == (None, 2)


def test_speakers_without_times_are_enough_for_cpwer() -> None:
    untimed = replace(
        REFERENCE,
        has_times=False,
        segments=tuple(replace(one, start=None, end=None) for one in REFERENCE.segments),
    )
    found = score(untimed, untimed, EXACT)
    assert found.cpwer is not None
    assert found.cpwer.rate == 0
    assert found.tcpwer is None


def test_silence_has_no_rate_but_counts() -> None:
    found = score(spoken(), REFERENCE, EXACT)
    for figure in (found.wer, found.cpwer, found.tcpwer):
        assert figure is not None
        assert (figure.insertions, figure.length, figure.rate) == (8, 0, None)
    assert found.der is not None
    assert (found.der.false_alarm, found.der.rate) == (8.0, None)
    nothing = score(spoken(), spoken(), Options())
    assert nothing.cpwer is not None
    assert (nothing.cpwer.errors, nothing.cpwer.rate) == (0, None)
    all_missed = score(REFERENCE, spoken(), EXACT)
    assert all_missed.tcpwer is not None
    assert (all_missed.tcpwer.deletions, all_missed.tcpwer.rate) == (8, 1.0)


def test_what_nobody_is_named_for_is_one_more_speaker() -> None:
    found = score(REFERENCE, spoken(("X", 0, 4, "a b c d"), (None, 4, 8, "e f g h")), EXACT)
    assert found.cpwer is not None
    assert found.cpwer.errors == 0
    assert found.hypothesis_speakers == 2


def test_more_speakers_than_meeteval_takes_are_scored_all_the_same() -> None:
    reference = spoken(*((f"r{i}", i, i + 1, f"a{i} b{i}") for i in range(30)))
    hypothesis = spoken(*((f"h{i}", i, i + 1, f"a{i} x{i}") for i in range(24)))
    found = score(reference, hypothesis, EXACT)
    for figure in (found.cpwer, found.tcpwer):
        assert figure is not None
        assert (figure.substitutions, figure.deletions, figure.insertions) == (24, 12, 0)
        assert (figure.missed_speakers, figure.false_speakers, figure.length) == (6, 0, 60)
        assert set(figure.assignment or ()) == {(f"r{i}", f"h{i}" if i < 24 else None) for i in range(30)}


SPEAKERS = st.sampled_from(["A", "B", "C", "D"])
ROWS = st.lists(
    st.tuples(
        SPEAKERS,
        st.floats(0, 60).map(lambda t: round(t, 2)),
        st.floats(0, 5).map(lambda t: round(t, 2)),
        st.lists(st.sampled_from("abcd"), max_size=5).map(" ".join),
    ),
    max_size=8,
)


def session(rows: Sequence[tuple[str, float, float, str]]) -> Session:
    return spoken(*((who, start, start + length, text) for who, start, length, text in rows))


@settings(deadline=None, max_examples=40)
@given(reference=ROWS, hypothesis=ROWS, labels=st.permutations(["A", "B", "C", "D"]))
def test_names_of_speakers_do_not_matter(
    reference: list[tuple[str, float, float, str]],
    hypothesis: list[tuple[str, float, float, str]],
    labels: list[str],
) -> None:
    renamed = [(labels["ABCD".index(who)], *rest) for who, *rest in hypothesis]
    one = score(session(reference), session(hypothesis), EXACT)
    other = score(session(reference), session(renamed), EXACT)  # type: ignore[arg-type]  # *rest loses types
    for figure in ("wer", "cpwer", "tcpwer"):
        assert getattr(one, figure).errors == getattr(other, figure).errors
    assert one.der is not None
    assert other.der is not None
    wrong = [found.missed + found.false_alarm + found.confusion for found in (one.der, other.der)]
    assert wrong[0] == pytest.approx(wrong[1], abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(reference=ROWS, hypothesis=ROWS)
def test_each_constraint_only_adds_errors(
    reference: list[tuple[str, float, float, str]], hypothesis: list[tuple[str, float, float, str]]
) -> None:
    found = score(session(reference), session(hypothesis), EXACT)
    assert found.wer is not None
    assert found.cpwer is not None
    assert found.tcpwer is not None
    assert found.wer.errors <= found.cpwer.errors
    assert found.wer.length == found.cpwer.length == found.tcpwer.length
    itself = score(session(reference), session(reference), EXACT)
    assert itself.cpwer is not None
    assert itself.cpwer.errors == 0


@settings(deadline=None, max_examples=40)
@given(reference=ROWS, hypothesis=ROWS)
def test_the_way_for_many_speakers_agrees_with_meeteval(
    reference: list[tuple[str, float, float, str]], hypothesis: list[tuple[str, float, float, str]]
) -> None:
    sides = [_Side.of(session(rows), Normalizer.BASIC, Unit.WORD) for rows in (reference, hypothesis)]
    grouped = [_by_speaker(side.rows) for side in sides]
    assume(any(grouped))
    ours = many_speakers(grouped[0], grouped[1], _siso)
    theirs = _cpwer(sides[0], sides[1])
    assert (ours.errors, ours.length) == (theirs.errors, theirs.length)
    assert (ours.missed_speakers, ours.false_speakers) == (theirs.missed_speakers, theirs.false_speakers)


AMI = ["ami-EN2001a-30s", "ami-EN2003a-30s", "ami-EN2004a-30s", "ami-ES2003a-30s", "pyannote-sample"]


@pytest.mark.parametrize("name", AMI)
def test_a_real_reference_against_itself_in_every_format(corpus: Path, name: str) -> None:
    (reference,) = read(corpus / name / "ref.seglst.json")
    for hypothesis in (reference, *read(corpus / name / "ref.stm")):
        found = score(reference, hypothesis, EXACT)
        assert [figure.rate for figure in (found.wer, found.cpwer, found.tcpwer, found.der) if figure] == [
            0
        ] * 4
        assert found.reference_speakers == found.hypothesis_speakers


@pytest.mark.parametrize("name", AMI)
def test_a_real_reference_with_known_damage(corpus: Path, name: str) -> None:
    (reference,) = read(corpus / name / "ref.seglst.json")
    labels = sorted({one.speaker or "" for one in reference.segments})
    swapped = replace(
        reference,
        segments=tuple(
            replace(one, speaker=labels[labels.index(one.speaker or "") - 1]) for one in reference.segments
        ),
    )
    found = score(reference, swapped, EXACT)
    assert found.cpwer is not None
    assert found.der is not None
    assert (found.cpwer.errors, found.der.rate) == (0, 0)

    silent = labels[0]
    kept = replace(reference, segments=tuple(s for s in reference.segments if s.speaker != silent))
    found = score(reference, kept, EXACT)
    lost = score(
        replace(reference, segments=tuple(s for s in reference.segments if s.speaker == silent)), kept, EXACT
    )
    assert found.der is not None
    assert lost.der is not None
    assert found.der.missed == pytest.approx(lost.der.total)
    assert (found.der.false_alarm, found.der.confusion) == pytest.approx((0, 0))
    assert found.cpwer is not None
    assert lost.cpwer is not None
    assert found.cpwer.deletions == found.cpwer.errors == lost.cpwer.length
    assert found.cpwer.missed_speakers == 1


def test_figures_do_not_depend_on_the_format(tmp_path: Path, corpus: Path) -> None:
    (reference,) = read(corpus / AMI[0] / "ref.stm")
    dice = random.Random(1)
    damaged = [
        (
            dice.choice(["S1", "S2", "S3"]),
            (one.start or 0) + dice.random(),
            (one.end or 0) + 1 + dice.random(),
            " ".join(word for word in (one.text or "").split() if dice.random() < 0.8) or "x",
        )
        for one in reference.segments
    ]
    stm = "".join(f"m 1 {who} {a:.3f} {b:.3f} {text}\n" for who, a, b, text in damaged)
    rows = [(who, float(f"{a:.3f}"), float(f"{b:.3f}"), text) for who, a, b, text in damaged]
    seglst = [
        {"session_id": "m", "speaker": who, "start_time": a, "end_time": b, "words": text}
        for who, a, b, text in rows
    ]
    ours = {
        "utterances": [
            {"speaker": who, "start": a, "end": b, "text": t, "words": []} for who, a, b, t in rows
        ]
    }
    rttm = "".join(f"SPEAKER m 1 {a:.3f} {b - a:.3f} <NA> <NA> {who} <NA> <NA>\n" for who, a, b, _ in rows)
    (tmp_path / "h.stm").write_text(stm)
    (tmp_path / "h.seglst.json").write_text(json.dumps(seglst))
    (tmp_path / "h.json").write_text(json.dumps(ours))
    (tmp_path / "h.rttm").write_text(rttm)
    first, *others = (
        score(reference, read(tmp_path / name)[0], EXACT) for name in ("h.stm", "h.seglst.json", "h.json")
    )
    assert first.cpwer is not None
    assert first.cpwer.errors > 0
    assert others == [first, first]
    speech = score(reference, read(tmp_path / "h.rttm")[0], EXACT)
    assert speech.wer is None
    assert speech.der is not None
    assert first.der is not None
    assert speech.der.rate == pytest.approx(first.der.rate)


def test_scoring_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    overlapping = spoken(("A", 0, 9, "a b c d"), ("A", 1, 2, "e"), ("A", 1.5, 9, "f g h"))
    score(overlapping, overlapping, replace(EXACT, collar=0.0))
    assert not caplog.records
    assert scoring_package("logging").getLogger("preprocess").level == 0
