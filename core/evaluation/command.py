"""The command `erni-audio evaluate`. Register with `app.command()(evaluate)`."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from core.errors import ErniError
from core.evaluation.comparing import Evaluation, compare
from core.evaluation.figures import Options
from core.evaluation.report import printable, show, to_json
from core.evaluation.wording import Normalizer, Unit

EXIT_OK = 0
EXIT_UNMATCHED = 1
EXIT_UNUSABLE = 2


def _collar(value: float) -> float:
    if not math.isfinite(value) or value < 0:
        raise typer.BadParameter("a number of seconds, 0 or more")
    return value


def evaluate(
    reference: Annotated[
        Path,
        typer.Argument(metavar="REFERENCE", help="What was really said: a file, or a folder of them."),
    ],
    hypotheses: Annotated[
        list[Path],
        typer.Argument(
            metavar="HYPOTHESIS...", help="Transcripts to score: files or folders, each scored by itself."
        ),
    ],
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON with every count instead of a table.")
    ] = False,
    normalizer: Annotated[
        Normalizer,
        typer.Option(help="`basic`: compare in lower case without punctuation. `none`: compare as it is."),
    ] = Normalizer.BASIC,
    unit: Annotated[
        Unit,
        typer.Option(
            help="What to count. `auto`: words, or characters for scripts without spaces (Chinese, Thai...)."
        ),
    ] = Unit.AUTO,
    collar: Annotated[
        float,
        typer.Option(
            callback=_collar, help="tcpWER: how far apart two words may be and still match, seconds."
        ),
    ] = 5.0,
    der_collar: Annotated[
        float,
        typer.Option(
            callback=_collar,
            help="DER: full width of the stretch around each reference boundary that is not scored, seconds. "
            "md-eval's `-c 0.25` is 0.5 here.",
        ),
    ] = 0.25,
    skip_overlap: Annotated[
        bool, typer.Option("--skip-overlap", help="DER: leave out where reference speakers overlap.")
    ] = False,
    uem: Annotated[Path | None, typer.Option(help="DER: score only the regions in this UEM file.")] = None,
) -> None:
    """Score transcripts against a reference: WER, cpWER, tcpWER and DER.

    Reads our JSON, SegLST, STM, CTM, RTTM and plain text. In folders, recordings are paired by the session \
id in the file, by file name, or by folder name; `NAME.transcript.json` is a transcript of NAME.

    Exit codes: 0, everything was scored; 1, scored, but something had no counterpart; 2, a file can't be \
used, nothing could be scored, or the call is wrong.
    """
    options = Options(
        normalizer=normalizer, unit=unit, collar=collar, der_collar=der_collar, skip_overlap=skip_overlap
    )
    errors = Console(stderr=True)
    try:
        if errors.is_terminal:
            with errors.status("Scoring") as status:
                found = compare(
                    reference,
                    hypotheses,
                    options,
                    uem=uem,
                    announce=lambda what: status.update(f"Scoring {printable(what)}".replace("[", r"\[")),
                )
        else:
            found = compare(reference, hypotheses, options, uem=uem)
    except ErniError as error:
        _complain(str(error))
        raise typer.Exit(EXIT_UNUSABLE) from None
    for line in (*found.unreadable, *found.unmatched):
        _complain(line)
    if as_json:
        sys.stdout.write(to_json(found) + "\n")
    elif found.rows:
        show(found, Console())
    else:
        _complain("Nothing could be scored.")
    raise typer.Exit(_exit_code(found))


def _exit_code(found: Evaluation) -> int:
    if found.unreadable or not found.rows:
        return EXIT_UNUSABLE
    return EXIT_UNMATCHED if found.unmatched else EXIT_OK


def _complain(line: str) -> None:
    typer.echo(printable(line), err=True)
