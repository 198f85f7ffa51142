"""The settings tables of the README, rendered from the settings classes so that they can't drift.

`python -m core.configuration --check README.md` says whether the tables are current, `--write` makes them so.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from core.engines.credentials import ACCOUNTS
from core.errors import Misconfigured
from core.registry import ADAPTERS
from core.settings import Settings

BEGIN = "<!-- configuration:begin -->"
END = "<!-- configuration:end -->"

_HOME = "/home/of-nobody"


def settings_classes() -> tuple[type[BaseSettings], ...]:
    """The core's settings, those in the `settings` module of every adapter in the registry, and accounts."""
    classes: list[type[BaseSettings]] = [Settings]
    for target in ADAPTERS.values():
        name = f"{target.partition(':')[0].rpartition('.')[0]}.settings"
        try:
            module = import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            continue  # an adapter may need no settings
        classes += [
            found
            for found in vars(module).values()
            if isinstance(found, type) and issubclass(found, BaseSettings) and found.__module__ == name
        ]
    return (*classes, *ACCOUNTS)


def render(classes: Iterable[type[BaseSettings]]) -> str:
    """One Markdown table per class: variable, default, meaning. Secrets never show a value."""
    parts = []
    with _nobodys_environment():
        for kind in classes:
            summary = (kind.__doc__ or kind.__name__).strip().partition("\n")[0]
            rows = ["| Variable | Default | Meaning |", "| --- | --- | --- |"]
            for name, field in kind.model_fields.items():
                cells = (f"`{_variable(kind, name, field)}`", _default(field), _meaning(field))
                rows.append("| " + " | ".join(map(_cell, cells)) + " |")
            parts.append(f"**{_cell(summary)}**\n\n" + "\n".join(rows))
    return "\n\n".join(parts)


def replaced(document: str, tables: str) -> str:
    """`document` with `tables` between the markers. Raises Misconfigured unless they occur once, in order."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or any(mark in before + after for mark in (BEGIN, END)):
        raise Misconfigured(f"The document needs the lines {BEGIN} and {END}, once each and in this order.")
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


@contextmanager
def _nobodys_environment() -> Iterator[None]:
    """Defaults that depend on the user's folders come out as `~/...`, on every machine alike."""
    kept = dict(os.environ)
    os.environ.clear()
    os.environ["HOME"] = os.environ["USERPROFILE"] = _HOME
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def _variable(kind: type[BaseSettings], name: str, field: FieldInfo) -> str:
    alias = field.validation_alias or field.alias
    if isinstance(alias, AliasChoices):
        alias = next(choice for choice in alias.choices if isinstance(choice, str))
    return alias if isinstance(alias, str) else f"{kind.model_config.get('env_prefix') or ''}{name}".upper()


def _default(field: FieldInfo) -> str:
    if SecretStr in _members(field.annotation):
        return "**required** (secret)" if field.is_required() else "unset (secret)"
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value == ():
        return "unset"
    text = f"`{_plain(value)}`"
    if isinstance(value, int) and value >= 2**20 and value % 2**20 == 0:
        text += f" ({value // 2**30} GiB)" if value % 2**30 == 0 else f" ({value // 2**20} MiB)"
    return text


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list, set, frozenset)):
        return ",".join(map(_plain, value))
    return str(value).replace(_HOME, "~")


def _meaning(field: FieldInfo) -> str:
    text = field.description or ""
    members = _members(field.annotation)
    choices = [
        str(choice) for member in members if get_origin(member) is Literal for choice in get_args(member)
    ]
    if choices:
        choices += ["true", "false"] if bool in members else []
        text += " One of " + ", ".join(f"`{choice}`" for choice in choices) + "."
    return text.strip()


def _members(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Literal:
        return [annotation]
    # Unions, and containers too: a tuple of secrets is a secret.
    inner = [member for argument in get_args(annotation) for member in _members(argument)]
    return inner if origin in (Union, UnionType) else [annotation, *inner]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Exit codes: 0 current or written, 1 not current, 2 wrong use."""
    parser = argparse.ArgumentParser(prog="python -m core.configuration", description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "--check", type=Path, metavar="FILE", help="fail if the tables in FILE are not current"
    )
    action.add_argument("--write", type=Path, metavar="FILE", help="bring the tables in FILE up to date")
    options = parser.parse_args(arguments)
    path: Path = options.check or options.write
    try:
        document = path.read_text(encoding="utf-8")
        current = replaced(document, render(settings_classes()))
    except (OSError, UnicodeError, Misconfigured) as error:
        sys.stderr.write(f"{path}: {error}\n")
        return 2
    if document == current:
        return 0
    if options.check:
        sys.stderr.write(f"{path}: the settings tables are not current. Run: make configuration\n")
        return 1
    path.write_text(current, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
