"""What is asked of an evaluation and what comes out: counts, and rates made of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from core.evaluation.wording import Normalizer, Unit

Assignment = tuple[tuple[str | None, str | None], ...]
"""Pairs of reference and hypothesis speaker; None where one has no partner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`collar` is tcpWER's, in seconds; `der_collar` the full width, in seconds, of the stretch around each
    reference boundary that DER leaves out (md-eval's `-c 0.25` is 0.5 here)."""

    normalizer: Normalizer = Normalizer.BASIC
    unit: Unit = Unit.AUTO
    collar: float = 5.0
    der_collar: float = 0.25
    skip_overlap: bool = False


class Order(StrEnum):
    """In which order WER lines the words up."""

    TIME = "time"
    SPEAKERS = "speakers"


@dataclass(frozen=True, slots=True, kw_only=True)
class WordErrors:
    """Counts of words (or characters). `length` is the reference's; the speakers only where they matter, the
    order for WER of one recording only."""

    insertions: int
    deletions: int
    substitutions: int
    length: int
    missed_speakers: int | None = None
    false_speakers: int | None = None
    assignment: Assignment | None = None
    order: Order | None = None

    @property
    def errors(self) -> int:
        return self.insertions + self.deletions + self.substitutions

    @property
    def rate(self) -> float | None:
        """None where the reference has no words."""
        return self.errors / self.length if self.length else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechErrors:
    """Seconds of speech, counted once per speaker. `total` is the reference's."""

    missed: float
    false_alarm: float
    confusion: float
    total: float
    assignment: Assignment | None = None

    @property
    def rate(self) -> float | None:
        """None where the reference has no speech."""
        return (self.missed + self.false_alarm + self.confusion) / self.total if self.total else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """One hypothesis against one reference. A figure that could not be computed is None, and `not_scored`
    says why, by its name."""

    unit: Unit
    wer: WordErrors | None = None
    cpwer: WordErrors | None = None
    tcpwer: WordErrors | None = None
    der: SpeechErrors | None = None
    reference_speakers: int | None = None
    hypothesis_speakers: int | None = None
    not_scored: Mapping[str, str] = field(default_factory=dict)
