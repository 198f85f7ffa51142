"""Quality of attribution: `python -m benchmarks.attribution [--corpus DIR] [--seeds N] [--write]`.

Reference words, stripped of their speakers, are attributed with turns degraded in stated ways, by our rule
and by those of others, and compared with the true speakers. Two measures, in percent:

- WDER, word diarization error rate: words with a wrong speaker over all words (El Shafey, Soltau, Shafran
  2019, "Joint speech recognition and speaker diarization via sequence transduction", equation 2, with perfect
  recognition). Labels are compared as they are, without an optimal mapping; no speaker counts as wrong.
- cpWER (Watanabe et al. 2020), by meeteval, over the same words; those without a speaker form one of their
  own.

Each figure is the mean over seeds with a 95 % confidence interval over them (1.96 standard errors): it speaks
of the randomness of the degradation (and, for synthetic data, of the conversation), not of other recordings.
"""

from __future__ import annotations

import argparse
import logging
import random
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import meeteval  # type: ignore[import-untyped]  # it ships no types

from benchmarks.attribution_data import (
    CORPUS,
    DEGRADATIONS,
    Conversation,
    load,
    reference_turns_of_another_hand,
    serialised,
    synthetic,
    without_punctuation,
)
from benchmarks.attribution_rules import RULES
from core.model import Word

RESULTS = Path(__file__).parent / "results" / "attribution.md"
SYNTHETIC_SEEDS = 500
"""The first seed of the conversations measured here. The weights were fitted on seeds from 1000 on."""

MARK = "<!-- Below: printed by `python -m benchmarks.attribution --write`, which keeps what stands above. -->"

FORMS = {
    "as spoken": "every reference word at its own time, with punctuation; words overlap as speakers do",
    "as recognised": "one word after the other, as a single-channel recogniser hears it, with punctuation",
    "as recognised, bare": "the same in lower case without punctuation",
}


@dataclass(slots=True)
class Tally:
    """Per rule, the error rate of each seed."""

    wder: dict[str, list[float]]
    cpwer: dict[str, list[float]]


def formed(words: Sequence[Word], form: str, rng: random.Random) -> tuple[Word, ...]:
    if form == "as spoken":
        return tuple(words)
    heard = serialised(words, rng)
    return without_punctuation(heard) if form.endswith("bare") else heard


def measure(talks: Iterable[Iterable[Conversation]], form: str, degradation: str) -> Tally:
    """One round per group of conversations; the errors of a round are pooled over its conversations."""
    tally = Tally(wder={rule: [] for rule in RULES}, cpwer={rule: [] for rule in RULES})
    for seed, group in enumerate(talks):
        wrong, cp_errors = dict.fromkeys(RULES, 0), dict.fromkeys(RULES, 0)
        total = 0
        for talk in group:
            rng = random.Random(f"{seed} {degradation} {talk.name}")
            words = formed(talk.words, form, rng)
            turns = DEGRADATIONS[degradation](talk.turns, rng)
            total += len(words)
            reference = by_speaker(words, [word.speaker for word in words])
            for rule, label in RULES.items():
                labels = label(words, turns)
                wrong[rule] += sum(word.speaker != each for word, each in zip(words, labels, strict=True))
                cp_errors[rule] += meeteval.wer.cp_word_error_rate(
                    reference, by_speaker(words, labels)
                ).errors
        for rule in RULES:
            tally.wder[rule].append(100 * wrong[rule] / total)
            tally.cpwer[rule].append(100 * cp_errors[rule] / total)
    return tally


def by_speaker(words: Sequence[Word], labels: Sequence[str | None]) -> dict[str, str]:
    texts: dict[str, list[str]] = {}
    for word, label in zip(words, labels, strict=True):
        texts.setdefault(label if label is not None else "nobody", []).append(word.text)
    return {label: " ".join(spoken) for label, spoken in texts.items()}


def cp_errors_between(reference: dict[str, str], hypothesis: dict[str, str]) -> int:
    rate = meeteval.wer.cp_word_error_rate(reference, hypothesis, reference_sort=False, hypothesis_sort=False)
    return int(rate.errors)


def figure(rates: Sequence[float]) -> str:
    mean = statistics.fmean(rates)
    spread = statistics.stdev(rates) if len(rates) > 1 else 0.0
    return f"{mean:.2f} ± {1.96 * spread / len(rates) ** 0.5:.2f}" if spread else f"{mean:.2f}"


def verdict(rates: dict[str, list[float]]) -> str:
    """Ours against the best of the others, seed by seed."""
    best = min((rule for rule in rates if rule != "ours"), key=lambda rule: statistics.fmean(rates[rule]))
    gains = [theirs - mine for mine, theirs in zip(rates["ours"], rates[best], strict=True)]
    mean = statistics.fmean(gains)
    half = 1.96 * (statistics.stdev(gains) if len(gains) > 1 else 0.0) / len(gains) ** 0.5
    word = "better" if mean > half else "worse" if mean < -half else "level"
    return f"{word}, {mean:+.2f} ± {half:.2f} ({best})"


def table(tallies: dict[str, Tally], measure_name: str) -> str:
    rows = [
        f"| {measure_name} % | {' | '.join(RULES)} | ours against the best other |",
        f"|---|{'---:|' * len(RULES)}---|",
    ]
    sums: dict[str, list[float]] = {rule: [] for rule in RULES}
    for degradation, tally in tallies.items():
        rates = tally.wder if measure_name == "WDER" else tally.cpwer
        for rule in RULES:
            sums[rule].append(statistics.fmean(rates[rule]))
        cells = " | ".join(figure(rates[rule]) for rule in RULES)
        rows.append(f"| {degradation} | {cells} | {verdict(rates)} |")
    means = " | ".join(f"**{statistics.fmean(sums[rule]):.2f}**" for rule in RULES)
    rows.append(f"| **mean** | {means} | |")
    return "\n".join(rows)


def section(title: str, rounds: Sequence[Sequence[Conversation]]) -> list[str]:
    parts = [f"## {title}"]
    for form, meaning in FORMS.items():
        tallies = {degradation: measure(rounds, form, degradation) for degradation in DEGRADATIONS}
        parts.append(f"### {form}: {meaning}")
        parts.extend((table(tallies, "WDER"), table(tallies, "cpWER")))
    return parts


def report(corpus: Path, seeds: int) -> str:
    real = load(corpus)
    other_hand = reference_turns_of_another_hand(corpus)
    talk = [[synthetic(SYNTHETIC_SEEDS + i, minutes=4.0)] for i in range(seeds)]
    hand = Tally(wder={}, cpwer={})
    for rule, label in RULES.items():
        wrong = [
            sum(word.speaker != each for word, each in zip(c.words, label(c.words, c.turns), strict=True))
            for c in other_hand
        ]
        hand.wder[rule] = [100 * sum(wrong) / sum(len(c.words) for c in other_hand)]
    row = " | ".join(figure(hand.wder[rule]) for rule in RULES)
    return "\n\n".join(
        [
            *section(f"Corpus: {len(real)} clips, {sum(len(c.words) for c in real)} words", [real] * seeds),
            "### The same meetings with the looser turns of another annotator (`ref.rttm`), as spoken",
            f"| WDER % | {' | '.join(RULES)} |\n|---|{'---:|' * len(RULES)}\n| AMI | {row} |",
            *section(
                f"Synthetic: {seeds} conversations, {sum(len(c.words) for g in talk for c in g)} words", talk
            ),
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure attribution against the rules of others.")
    parser.add_argument(
        "--corpus", type=Path, default=CORPUS, help="the folder of recordings with references"
    )
    parser.add_argument("--seeds", type=int, default=10, help="rounds per degradation (default 10)")
    parser.add_argument("--write", action="store_true", help=f"also replace the tables in {RESULTS.name}")
    options = parser.parse_args()
    if not (options.corpus / "README.md").is_file():
        print(f"No corpus at {options.corpus}: name its folder with --corpus.", file=sys.stderr)
        return 2
    logging.getLogger("preprocess").setLevel(logging.ERROR)  # meeteval warns per call of missing times
    began = time.monotonic()
    tables = report(options.corpus, options.seeds)
    print(tables)
    print(f"\n{time.monotonic() - began:.0f} s", file=sys.stderr)
    if options.write:
        note, _, _ = (RESULTS.read_text("utf-8") if RESULTS.exists() else "").partition(MARK)
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(f"{note}{MARK}\n\n{tables}\n", "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
