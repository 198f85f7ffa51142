"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

SpeakersOption = Annotated[
    str | None,
    typer.Option(
        "--speakers", "-s", metavar="N|MIN-MAX", help="How many people speak.", show_default="counted"
    ),
]
