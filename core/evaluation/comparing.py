"""From paths to an `Evaluation`: find the recordings, pair them, score the pairs, add the counts up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.evaluation.figures import Options, Scores, SpeechErrors, WordErrors
from core.evaluation.pairing import Found, Recording, find, pair
from core.evaluation.reading import read_uem
from core.evaluation.scoring import Region, score
from core.evaluation.session import Unreadable
from core.evaluation.wording import Unit

FIGURES = ("wer", "cpwer", "tcpwer", "der")

Announce = Callable[[str], None]
"""Told what is scored next, for a display."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One recording scored. `hypothesis` is the argument that it came from, as people know it."""

    recording: str
    hypothesis: str
    reference_path: Path
    hypothesis_path: Path
    scores: Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """Counts of a hypothesis over all recordings counted in the same unit. A figure's rate is errors over
    reference length, not a mean of rates; `recordings` says how many of them each figure covers."""

    hypothesis: str
    unit: Unit
    scores: Scores
    recordings: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """`unreadable` and `unmatched` are one line each, for people."""

    options: Options
    rows: tuple[Row, ...]
    totals: tuple[Total, ...]
    unreadable: tuple[str, ...]
    unmatched: tuple[str, ...]


def compare(
    reference: Path,
    hypotheses: Sequence[Path],
    options: Options,
    *,
    uem: Path | None = None,
    announce: Announce = lambda _: None,
) -> Evaluation:
    """Score every recording of `reference` that a hypothesis has too.

    Raises Unreadable if the reference or the UEM file can't be used, Misconfigured without the extra.
    """
    ours = find(reference)
    regions = read_uem(uem) if uem else None
    unreadable = list(ours.problems)
    unmatched: list[str] = []
    rows: list[Row] = []
    for label, found in _contestants(ours, hypotheses, unreadable):
        pairing = pair(ours.recordings, found.recordings)
        for one, other in pairing.pairs:
            announce(f"{one.names[0]} · {label}")
            rows.append(
                Row(
                    recording=one.names[0],
                    hypothesis=label,
                    reference_path=one.path,
                    hypothesis_path=other.path,
                    scores=score(one.session, other.session, options, _region(one, ours, regions)),
                )
            )
        unmatched += [
            f"{one.path}: {label} has no transcript of {one.names[0]}." for one in pairing.lone_references
        ]
        unmatched += [
            f"{one.path}: there is no reference for {one.names[0]}." for one in pairing.lone_hypotheses
        ]
    return Evaluation(
        options=options,
        rows=tuple(rows),
        totals=totals(rows),
        unreadable=tuple(unreadable),
        unmatched=tuple(dict.fromkeys(unmatched)),
    )


def _contestants(
    ours: Found, hypotheses: Sequence[Path], unreadable: list[str]
) -> Iterable[tuple[str, Found]]:
    """Each argument is a contestant of its own, except where files are plainly one contestant's recordings:
    several, each of another recording of the reference."""
    found: list[tuple[Path, Found]] = []
    for path in hypotheses:
        try:
            found.append((path, find(path)))
        except Unreadable as error:
            unreadable.append(str(error))
    for _, one in found:
        unreadable += one.problems
    if len(found) > 1 and len(ours.recordings) > 1 and not any(path.is_dir() for path, _ in found):
        together = [recording for _, one in found for recording in one.recordings]
        if not pair(ours.recordings, together).lone_hypotheses:
            return [(f"{len(found)} files", Found(recordings=tuple(together)))]
    names = [path.absolute().name for path, _ in found]
    return [
        (name if names.count(name) == 1 else str(path), one)
        for name, (path, one) in zip(names, found, strict=True)
    ]


def _region(one: Recording, ours: Found, regions: Mapping[str, Region] | None) -> Region | None:
    if regions is None:
        return None
    for name in one.names:
        if name in regions:
            return regions[name]
    alone = len(ours.recordings) == 1 and len(regions) == 1
    return next(iter(regions.values())) if alone else ()


def totals(rows: Iterable[Row]) -> tuple[Total, ...]:
    """One per hypothesis and unit: words and characters don't add up."""
    groups: dict[tuple[str, Unit], list[Scores]] = {}
    for row in rows:
        groups.setdefault((row.hypothesis, row.scores.unit), []).append(row.scores)
    return tuple(
        Total(
            hypothesis=hypothesis,
            unit=unit,
            scores=Scores(
                unit=unit,
                wer=_words([one.wer for one in group]),
                cpwer=_words([one.cpwer for one in group]),
                tcpwer=_words([one.tcpwer for one in group]),
                der=_speech([one.der for one in group]),
            ),
            recordings={figure: sum(getattr(one, figure) is not None for one in group) for figure in FIGURES},
        )
        for (hypothesis, unit), group in groups.items()
    )


def _words(found: Iterable[WordErrors | None]) -> WordErrors | None:
    known = [one for one in found if one is not None]
    if not known:
        return None
    speakers = all(one.missed_speakers is not None for one in known)
    return WordErrors(
        insertions=sum(one.insertions for one in known),
        deletions=sum(one.deletions for one in known),
        substitutions=sum(one.substitutions for one in known),
        length=sum(one.length for one in known),
        missed_speakers=sum(one.missed_speakers or 0 for one in known) if speakers else None,
        false_speakers=sum(one.false_speakers or 0 for one in known) if speakers else None,
    )


def _speech(found: Iterable[SpeechErrors | None]) -> SpeechErrors | None:
    known = [one for one in found if one is not None]
    if not known:
        return None
    return SpeechErrors(
        missed=sum(one.missed for one in known),
        false_alarm=sum(one.false_alarm for one in known),
        confusion=sum(one.confusion for one in known),
        total=sum(one.total for one in known),
    )
