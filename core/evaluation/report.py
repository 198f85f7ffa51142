"""An `Evaluation` as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.evaluation.comparing import FIGURES, Evaluation, Total
from core.evaluation.figures import Scores, SpeechErrors, WordErrors
from core.evaluation.wording import Normalizer, Unit

SCHEMA = "urn:erni-audio:evaluation:1"
"""Changes when a field changes its meaning or goes; new fields may come."""

_NONE = "-"
_NAMES = {"wer": "WER", "cpwer": "cpWER", "tcpwer": "tcpWER", "der": "DER"}


def to_json(evaluation: Evaluation) -> str:
    """Every count, with rates as fractions and times in seconds; null for what can't be computed."""
    options = evaluation.options
    document = {
        "schema": SCHEMA,
        "options": {
            "normalizer": options.normalizer.value,
            "unit": options.unit.value,
            "collar": options.collar,
            "der_collar": options.der_collar,
            "skip_overlap": options.skip_overlap,
        },
        "results": [
            {
                "recording": row.recording,
                "hypothesis": row.hypothesis,
                "reference_file": _path(row.reference_path),
                "hypothesis_file": _path(row.hypothesis_path),
                "unit": row.scores.unit.value,
                "reference_speakers": row.scores.reference_speakers,
                "hypothesis_speakers": row.scores.hypothesis_speakers,
                **{figure: _figure(getattr(row.scores, figure)) for figure in FIGURES},
                "not_scored": dict(row.scores.not_scored),
            }
            for row in evaluation.rows
        ],
        "totals": [
            {
                "hypothesis": total.hypothesis,
                "unit": total.unit.value,
                **{figure: _total_figure(total, figure) for figure in FIGURES},
            }
            for total in evaluation.totals
        ],
        "unreadable": [_encodable(line) for line in evaluation.unreadable],
        "unmatched": [_encodable(line) for line in evaluation.unmatched],
    }
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)


def _encodable(text: str) -> str:
    """File names may hold bytes that are no text; they must not make the output unwritable."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _path(path: Path) -> str:
    return _encodable(str(path))


def _figure(found: WordErrors | SpeechErrors | None) -> dict[str, Any] | None:
    if found is None:
        return None
    if isinstance(found, SpeechErrors):
        figure: dict[str, Any] = {
            "rate": None if found.rate is None else round(found.rate, 9),
            "total": _rounded(found.total),
            "missed": _rounded(found.missed),
            "false_alarm": _rounded(found.false_alarm),
            "confusion": _rounded(found.confusion),
        }
    else:
        figure = {
            "rate": found.rate,
            "errors": found.errors,
            "insertions": found.insertions,
            "deletions": found.deletions,
            "substitutions": found.substitutions,
            "length": found.length,
        }
        if found.order is not None:
            figure["order"] = found.order.value
        if found.missed_speakers is not None:
            figure |= {"missed_speakers": found.missed_speakers, "false_speakers": found.false_speakers}
    if found.assignment is not None:
        figure["assignment"] = [list(both) for both in found.assignment]
    return figure


def _total_figure(total: Total, figure: str) -> dict[str, Any] | None:
    found = _figure(getattr(total.scores, figure))
    return None if found is None else {"recordings": total.recordings[figure]} | found


def _rounded(seconds: float) -> float:
    return round(seconds, 6) + 0.0  # the addition turns -0.0 into 0.0


def show(evaluation: Evaluation, console: Console) -> None:
    """A table with lines on a terminal, aligned plain text elsewhere, then what was not scored."""
    header, body = _cells(evaluation)
    if console.is_terminal:
        table = Table(box=box.SIMPLE_HEAD)
        for place, title in enumerate(header):
            left = title in {"Recording", "Hypothesis"}
            table.add_column(title, justify="left" if left else "right", overflow="fold", no_wrap=place > 0)
        for cells in body:
            total = cells[0].startswith("Total")
            table.add_row(*(Text(cell, style="bold" if total else "") for cell in cells))
        console.print(table)
    else:
        for line in _aligned([header, *body]):
            console.print(line, markup=False, highlight=False, soft_wrap=True, emoji=False)
    for line in (_conditions(evaluation), *_gaps(evaluation)):
        console.print(line, markup=False, highlight=False, soft_wrap=True, emoji=False)


def _cells(evaluation: Evaluation) -> tuple[list[str], list[list[str]]]:
    several = len({row.hypothesis for row in evaluation.rows}) > 1
    characters = {row.scores.unit for row in evaluation.rows} == {Unit.CHARACTER}
    # A figure that no row has only takes room; why it is missing stands below the table.
    shown = [
        figure
        for figure in FIGURES
        if any(getattr(row.scores, figure) is not None for row in evaluation.rows)
    ]
    titles = [_NAMES[figure].replace("WER", "CER") if characters else _NAMES[figure] for figure in shown]
    header = ["Recording", *(["Hypothesis"] if several else []), *titles, "Length", "Speakers"]
    body = []
    for row in evaluation.rows:
        scores = row.scores
        body.append(
            [
                printable(row.recording),
                *([printable(row.hypothesis)] if several else []),
                *(_rate(getattr(scores, figure)) for figure in shown),
                _length(scores),
                _speakers(scores),
            ]
        )
    body += [
        [
            f"Total ({total.unit.value}s)",
            *([printable(total.hypothesis)] if several else []),
            *(_rate(getattr(total.scores, figure)) for figure in shown),
            _length(total.scores),
            "",
        ]
        for total in evaluation.totals
        if sum(row.hypothesis == total.hypothesis for row in evaluation.rows) > 1
    ]
    return header, body


def _rate(found: WordErrors | SpeechErrors | None) -> str:
    if found is None:
        return _NONE
    if found.rate is not None:
        return f"{100 * found.rate:.1f} %"
    if isinstance(found, SpeechErrors):
        return f"{found.false_alarm:.1f} s false" if found.false_alarm else _NONE
    return f"{found.insertions} inserted" if found.insertions else _NONE


def _length(scores: Scores) -> str:
    unit = "words" if scores.unit is Unit.WORD else "characters"
    counted = scores.wer or scores.cpwer
    return f"{counted.length} {unit}" if counted else f"{scores.der.total:.1f} s" if scores.der else _NONE


def _speakers(scores: Scores) -> str:
    counts = (scores.reference_speakers, scores.hypothesis_speakers)
    return "/".join(_NONE if count is None else str(count) for count in counts)


def _aligned(rows: list[list[str]]) -> Iterator[str]:
    widths = [max(cell_len(row[place]) for row in rows) for place in range(len(rows[0]))]
    left = {place for place, title in enumerate(rows[0]) if title in {"Recording", "Hypothesis"}}
    for row in rows:
        cells = []
        for place, cell in enumerate(row):
            room = " " * (widths[place] - cell_len(cell))
            cells.append(cell + room if place in left else room + cell)
        yield "  ".join(cells).rstrip()


def _conditions(evaluation: Evaluation) -> str:
    options = evaluation.options
    text = "as it is" if options.normalizer is Normalizer.NONE else "lower case, without punctuation"
    overlap = "left out" if options.skip_overlap else "scored"
    return (
        f"Text: {text}. tcpWER collar: {options.collar:g} s. "
        f"DER collar: {options.der_collar:g} s in all, overlap {overlap}. Speakers: reference/hypothesis."
    )


def _gaps(evaluation: Evaluation) -> Iterator[str]:
    """Why figures are missing, once for all recordings that miss them for the same reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in evaluation.rows:
        by_reason: dict[str, list[str]] = {}
        for figure, reason in row.scores.not_scored.items():
            by_reason.setdefault(reason, []).append(_NAMES[figure])
        for reason, figures in by_reason.items():
            reasons.setdefault((", ".join(figures), reason), []).append(printable(row.recording))
    for (missing, reason), recordings in reasons.items():
        names = ", ".join(recordings[:3]) + (
            f" and {len(recordings) - 3} more" if len(recordings) > 3 else ""
        )
        yield f"No {missing}: {reason} ({names})."


def printable(text: str) -> str:
    """Names come from files: no control characters, escapes or line breaks reach the terminal."""
    return "".join(c if c.isprintable() else "�" for c in text)
