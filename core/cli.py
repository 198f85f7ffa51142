"""The command `erni-audio`: what there is. Each command's module is imported only when it is called."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from core.errors import ErniError
from core.registry import COMMANDS as OF_PLATFORMS
from core.registry import load

COMMANDS: Mapping[str, tuple[str, str]] = {
    "transcribe": (
        "core.commands.transcribe:transcribe",
        "Transcribe files or whole folders, here and now.",
    ),
    "serve": (
        "core.commands.serve:serve",
        "Run the service: watch, transcribe, answer in the same place.",
    ),
    "worker": ("core.commands.serve:worker", "Work for a service that runs elsewhere on the same store."),
    "doctor": (
        "core.commands.doctor:doctor",
        "Say what is set up, what is missing and how to mend it.",
    ),
    "models": ("core.commands.models:app", "List and fetch the weights for local recognition."),
    "evaluate": ("core.evaluation.command:evaluate", "Score transcripts against a reference."),
    "jobs": ("core.commands.jobs:jobs", "List what is in progress, or stop it."),
    "costs": ("core.commands.costs:costs", "Show what recognition cost, by month, engine and workspace."),
    "connect": (
        "core.commands.connect:connect",
        "Let the service into a Google Drive or a Dropbox.",
    ),
    "folders": (
        "core.commands.folders:app",
        "Add, list, check and remove watched folders in Google Drive and Dropbox.",
    ),
    "voices": ("core.commands.voices:app", "Add, list and remove the voices of people to be recognised."),
    "audit": (
        "core.commands.audit:audit",
        "Print who shared, what was fetched, delivered and deleted.",
    ),
    **OF_PLATFORMS,
}
"""Name -> where it is (a function, or a `typer.Typer` with commands of its own), and what it is for."""

_EPILOG = (
    "[bold]Exit codes[/]: 0 done; 1 some recordings failed, or doctor found that nothing can be transcribed; "
    "2 wrong call or wrong settings; 3 no recognition method can run here; 70 a fault in this program; "
    "130 interrupted; 143 terminated. `evaluate --help` has its own.\n\n"
    "Settings come from the environment and from `.env` in the current directory; README.md lists them all."
)


class _Lazy(TyperGroup):
    """Knows its commands by name and line of help, and loads one when it is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Name, command and remaining arguments. Raises a usage error for an unknown name."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and name in COMMANDS:
            found: Any = load(COMMANDS[name][0])
            if not isinstance(found, typer.Typer):
                only = typer.Typer(add_completion=False, rich_markup_mode="rich")
                only.command(name)(found)
                found = only
            command = typer.main.get_command(found)
            command.name = name
        return name, command, rest


app = typer.Typer(
    cls=_Lazy,
    add_completion=False,
    rich_markup_mode="rich",
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415  (slow, and seldom asked for)

        typer.echo(f"erni-audio {version('erni-audio')}")
        raise typer.Exit


@app.callback()
def _erni_audio(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Answers a recording with a speaker-labelled transcript: here in the terminal, or as a service in the
    place where the recording was shared.

    Begin with `erni-audio transcribe meeting.m4a`, or `erni-audio serve` and drop a recording into ./inbox.
    """


def _placeholder() -> None:
    """Stands in the list of commands; `_Lazy` puts the command itself in its place."""


for _name, (_, _help) in COMMANDS.items():
    app.command(_name, help=_help)(_placeholder)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """The exit code of a call. What can be foreseen to go wrong is said in one line on standard error."""
    try:
        code = app(list(arguments) or ["--help"], prog_name="erni-audio", standalone_mode=False)
    except typer.TyperException as error:
        _complain(_usage(error))
        return 2
    except typer.Abort:
        return 130
    except Exception as error:  # noqa: BLE001  (the last resort: one line instead of a trace)
        return _explain(error)
    if code == 130:
        _complain("interrupted.")
    return code if isinstance(code, int) else 0


def _explain(error: Exception) -> int:
    if logging.getLogger("core").isEnabledFor(logging.DEBUG):
        sys.excepthook(type(error), error, error.__traceback__)
    for cause in _leaves(error):
        if isinstance(cause, BrokenPipeError):  # who read our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        if isinstance(cause, ErniError):
            _complain(str(cause))
            return 2
        if isinstance(cause, OSError) and cause.strerror:
            where = f"{cause.filename}: " if cause.filename else ""
            _complain(f"{where}{cause.strerror}.")
            return 2
    _complain(
        f"unexpected {type(error).__name__}: {error}. This is a fault in erni-audio; ERNI_LOG_LEVEL=DEBUG "
        "shows where it happened."
    )
    return 70


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _usage(error: typer.TyperException) -> str:
    message = error.format_message()
    ours = "Invalid value: "  # raised by a command that says all there is to say
    if message.startswith(ours):
        return message.removeprefix(ours)
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "erni-audio"
    stop = "" if message.endswith((".", "?", "!")) else "."
    return f"{message}{stop} `{path} --help` shows how to call it."


def _complain(message: str) -> None:
    from core.redaction import Redactor, escape_controls  # noqa: PLC0415  (slow: help needs none of it)

    lines = [escape_controls(line) for line in Redactor()(message).splitlines()]
    sys.stderr.write("erni-audio: " + "\n".join(lines) + "\n")
