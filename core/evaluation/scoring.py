"""The figures: WER, cpWER and tcpWER by meeteval, DER by pyannote.metrics.

- WER: Levenshtein distance between all words in one line, whoever says them, over reference words. The line
  is in order of time; but people who talk at once have no such order, and two right transcripts can cut their
  speech differently. So speaker after speaker, as cpWER pairs them, is the line if that gives fewer errors:
  both are upper bounds of what the best interleaving gives, which is exponential to find (MIMO-WER).
- cpWER: the words of each speaker in one string, under the assignment of speakers with the fewest errors
  (Watanabe et al., CHiME-6, 2020).
- tcpWER: cpWER in which two words match only within `collar` seconds (von Neumann et al., MeetEval, 2023).
- DER: missed, false and wrongly attributed speech, in seconds, over the reference's speech, under the
  assignment with the most agreement (NIST RT; Bredin, pyannote.metrics, 2017).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from core.evaluation.figures import Assignment, Options, Order, Scores, SpeechErrors, WordErrors
from core.evaluation.session import Segment, Session, scoring_package
from core.evaluation.wording import Normalizer, Unit, tokens, unit_of

Region = Sequence[tuple[float, float]]
"""Stretches, in seconds, outside of which diarization is not scored."""

UNKNOWN = "(unknown)"
"""The one speaker to whom everything without a label is counted."""

MEETEVAL_SPEAKERS = 20
"""More than these meeteval refuses, taking them for a mistake."""

_NOISY_LOGGERS = ("preprocess", "time_constrained", "error_rate")


def score(reference: Session, hypothesis: Session, options: Options, region: Region | None = None) -> Scores:
    """Every figure that both sides carry enough for. Without a `region` DER covers all that either side calls
    speech; with an empty one it is not scored. Raises Misconfigured without the `evaluate` extra."""
    unit = options.unit
    if unit is Unit.AUTO:
        unit = unit_of(segment.text or "" for segment in reference.segments)
    not_scored = {name: why for name, why in _obstacles(reference, hypothesis, region) if why}
    ours, theirs = (_Side.of(session, options.normalizer, unit) for session in (reference, hypothesis))
    with _quiet():
        cpwer = None if "cpwer" in not_scored else _cpwer(ours, theirs)
        return Scores(
            unit=unit,
            wer=None if "wer" in not_scored else _wer(ours, theirs, cpwer),
            cpwer=cpwer,
            tcpwer=None if "tcpwer" in not_scored else _tcpwer(ours, theirs, options.collar),
            der=None if "der" in not_scored else _der(reference, hypothesis, options, region),
            reference_speakers=_speakers(reference),
            hypothesis_speakers=_speakers(hypothesis),
            not_scored=not_scored,
        )


def _obstacles(reference: Session, hypothesis: Session, region: Region | None) -> Iterator[tuple[str, str]]:
    def lacking(*needs: str) -> str:
        for name, session in (("reference", reference), ("hypothesis", hypothesis)):
            missing = [need for need in needs if not getattr(session, f"has_{need}")]
            if missing:
                words = {"text": "words", "speakers": "speakers", "times": "times"}
                return f"the {name} has no {' and no '.join(words[need] for need in missing)}"
        return ""

    yield "wer", lacking("text")
    yield "cpwer", lacking("text", "speakers")
    yield "tcpwer", lacking("text", "speakers", "times")
    nowhere = "the UEM names no region of this recording" if region is not None and not region else ""
    yield "der", lacking("speakers", "times") or nowhere


def _label(segment: Segment) -> str:
    return segment.speaker or UNKNOWN


def _speakers(session: Session) -> int | None:
    return len({_label(segment) for segment in session.segments}) if session.has_speakers else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One session as rows for meeteval: whole segments in order of time, and the same cut at timed words."""

    rows: list[dict[str, Any]]
    timed: list[dict[str, Any]]

    @classmethod
    def of(cls, session: Session, normalizer: Normalizer, unit: Unit) -> _Side:
        rows: list[dict[str, Any]] = []
        timed: list[dict[str, Any]] = []
        segments = session.segments
        if session.has_times:
            segments = tuple(sorted(segments, key=lambda segment: segment.start or 0.0))
        for segment in segments:
            found = tokens(segment.text or "", normalizer, unit)
            if not found:
                continue
            row: dict[str, Any] = {"speaker": _label(segment), "words": " ".join(found)}
            if session.has_times:
                row |= {"start_time": segment.start, "end_time": segment.end}
            rows.append(row)
            words = [(a, b, tokens(text, normalizer, unit)) for a, b, text in segment.words]
            # A mark that spans words, as in "[loud noise]", disappears only from the whole text.
            if [token for _, _, part in words for token in part] == found:
                timed += [
                    row | {"words": " ".join(part), "start_time": a, "end_time": b}
                    for a, b, part in words
                    if part
                ]
            else:
                timed.append(row)
        return cls(rows=rows, timed=timed)


def _errors(found: Any, assignment: Assignment | None = None) -> WordErrors:
    return WordErrors(
        insertions=int(found.insertions),
        deletions=int(found.deletions),
        substitutions=int(found.substitutions),
        length=int(found.length),
        missed_speakers=None if assignment is None else sum(theirs is None for _, theirs in assignment),
        false_speakers=None if assignment is None else sum(ours is None for ours, _ in assignment),
        assignment=assignment,
    )


def _siso(reference: list[dict[str, Any]], hypothesis: list[dict[str, Any]]) -> Any:
    word_error_rate = scoring_package("meeteval.wer.wer.siso").siso_word_error_rate
    joined = [[{"words": " ".join(row["words"] for row in rows)}] for rows in (reference, hypothesis)]
    return word_error_rate(*map(scoring_package("meeteval.io.seglst").SegLST, joined))


def _wer(reference: _Side, hypothesis: _Side, cpwer: WordErrors | None) -> WordErrors:
    found = _errors(_siso(reference.rows, hypothesis.rows))
    if cpwer is None or found.errors <= cpwer.errors:
        return replace(found, order=Order.TIME)
    return replace(cpwer, assignment=None, missed_speakers=None, false_speakers=None, order=Order.SPEAKERS)


def _cpwer(reference: _Side, hypothesis: _Side) -> WordErrors:
    whole = scoring_package("meeteval.wer.wer.cp").cp_word_error_rate
    return _permuted(reference.rows, hypothesis.rows, whole, _siso)


def _tcpwer(reference: _Side, hypothesis: _Side, collar: float) -> WordErrors:
    package = scoring_package("meeteval.wer.wer.time_constrained")
    seglst = scoring_package("meeteval.io.seglst").SegLST

    def whole(ours: Any, theirs: Any) -> Any:
        return package.time_constrained_minimum_permutation_word_error_rate(ours, theirs, collar=collar)

    def pair(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> Any:
        return package.time_constrained_siso_word_error_rate(seglst(ours), seglst(theirs), collar=collar)

    return _permuted(reference.timed, hypothesis.timed, whole, pair)


def _permuted(
    reference: list[dict[str, Any]],
    hypothesis: list[dict[str, Any]],
    whole: Callable[[Any, Any], Any],
    pair: Callable[[list[dict[str, Any]], list[dict[str, Any]]], Any],
) -> WordErrors:
    """`whole` is meeteval's figure over all speakers; beyond its limit `pair` is summed over the best
    assignment: a diarizer that shatters a meeting into 30 speakers must not go without a score."""
    ours, theirs = _by_speaker(reference), _by_speaker(hypothesis)
    if max(len(ours), len(theirs)) <= MEETEVAL_SPEAKERS:
        seglst = scoring_package("meeteval.io.seglst").SegLST
        found = whole(seglst(reference), seglst(hypothesis))
        return _errors(found, tuple(found.assignment or ()))
    return many_speakers(ours, theirs, pair)


def many_speakers(
    reference: Mapping[str, list[dict[str, Any]]],
    hypothesis: Mapping[str, list[dict[str, Any]]],
    pair: Callable[[list[dict[str, Any]], list[dict[str, Any]]], Any],
) -> WordErrors:
    """The errors of the cheapest one-to-one assignment of speakers, those without a partner included."""
    solve = scoring_package("scipy.optimize").linear_sum_assignment
    size = max(len(reference), len(hypothesis))
    ours: list[str | None] = [*reference, *[None] * (size - len(reference))]
    theirs: list[str | None] = [*hypothesis, *[None] * (size - len(hypothesis))]
    found = [[pair(reference[a] if a else [], hypothesis[b] if b else []) for b in theirs] for a in ours]
    chosen = list(zip(*solve([[cell.errors for cell in row] for row in found]), strict=True))
    total = sum((found[i][j] for i, j in chosen[1:]), start=found[chosen[0][0]][chosen[0][1]])
    return _errors(total, tuple((ours[i], theirs[j]) for i, j in chosen))


def _by_speaker(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["speaker"], []).append(row)
    return found


def _der(reference: Session, hypothesis: Session, options: Options, region: Region | None) -> SpeechErrors:
    package = scoring_package("pyannote.metrics.diarization")
    core = scoring_package("pyannote.core")
    ours, theirs = _annotation(reference), _annotation(hypothesis)
    if region is None:
        extent = ours.get_timeline().extent() | theirs.get_timeline().extent()
        region = [(extent.start, extent.end)] if extent else []
    scored = core.Timeline([core.Segment(start, end) for start, end in region]).support()
    metric = package.DiarizationErrorRate(collar=options.der_collar, skip_overlap=options.skip_overlap)
    found = metric(ours, theirs, detailed=True, uem=scored)
    cropped = metric.uemify(
        ours, theirs, uem=scored, collar=options.der_collar, skip_overlap=options.skip_overlap
    )
    partner = {mine: yours for yours, mine in metric.optimal_mapping(*cropped).items()}
    alone = [label for label in theirs.labels() if label not in partner.values()]
    return SpeechErrors(
        missed=float(found["missed detection"]),
        false_alarm=float(found["false alarm"]),
        confusion=float(found["confusion"]),
        total=float(found["total"]),
        assignment=(
            *((label, partner.get(label)) for label in ours.labels()),
            *((None, label) for label in alone),
        ),
    )


def _annotation(session: Session) -> Any:
    core = scoring_package("pyannote.core")
    annotation = core.Annotation()
    for track, segment in enumerate(session.segments):
        annotation[core.Segment(segment.start, segment.end), track] = _label(segment)
    # Speech is counted once per speaker, so a speaker's own overlapping segments become one.
    return annotation.support()


@contextmanager
def _quiet() -> Iterator[None]:
    """meeteval logs about overlaps and unsorted words for every recording; they are no news to the reader."""
    loggers = [logging.getLogger(name) for name in _NOISY_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
