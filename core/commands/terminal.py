"""Whoever sits at the terminal: told, asked, and free to leave at any time."""

from __future__ import annotations

import signal
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

import typer
from rich.console import Console

from core.commands import exits
from core.errors import Misconfigured
from core.redaction import escape_controls

_WIDEST = 100  # columns: longer lines are hard to read


class Terminal:
    """`core.connecting.Dialogue` on standard input and standard error. `instead` says what to do where nobody
    can be asked."""

    def __init__(self, instead: str) -> None:
        self._instead = instead
        self._width = min(_WIDEST, Console(stderr=True).width)

    def require_somebody(self) -> None:
        """Raises Misconfigured if nobody is there to be asked."""
        if not sys.stdin.isatty():
            raise Misconfigured(f"This is no terminal, so nobody can be asked. {self._instead}")

    def say(self, text: str) -> None:
        """A paragraph. Words such as addresses stay whole, however long they are, to be copied."""
        lines = [self._wrapped(line) for line in text.splitlines()]
        typer.echo("\n".join([*lines, ""]), err=True)

    def ask(self, question: str, *, hidden: bool = False) -> str:
        """See the port. Asked again until something is written."""
        self.require_somebody()
        shown = f"{question} (not shown)" if hidden else question
        answer = ""
        while not answer:
            with _heeding_signals():
                answer = str(typer.prompt(shown, default="", show_default=False, hide_input=hidden, err=True))
            answer = answer.strip()
        return answer

    def choose(self, question: str, choices: Mapping[str, str]) -> str:
        """See the port. Chosen by number, or by the key itself."""
        numbered = {str(number): key for number, key in enumerate(choices, 1)}
        lines = [self._wrapped(f"{number}  {choices[key]}", hanging=3) for number, key in numbered.items()]
        typer.echo("\n".join([self._wrapped(question), *lines]), err=True)
        *others, last = numbered
        while True:
            answer = self.ask(f"{', '.join(others)} or {last}" if others else last)
            if answer in choices:
                return answer
            if answer in numbered:
                return numbered[answer]

    def confirm(self, question: str) -> bool:
        """Whether the answer is yes; that has to be written."""
        self.require_somebody()
        with _heeding_signals():
            return bool(typer.confirm(question, default=False, err=True, prompt_suffix=" "))

    def _wrapped(self, line: str, hanging: int = 0) -> str:
        return textwrap.fill(
            escape_controls(line),
            self._width,
            subsequent_indent=" " * hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )


@contextmanager
def _heeding_signals() -> Iterator[None]:
    """While somebody is asked the event loop stands still, and with it its handling of signals."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [(number, signal.signal(number, _leave)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  (as handlers are called)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise typer.Exit(exits.TERMINATED)
