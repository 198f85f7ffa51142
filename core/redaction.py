"""Texts made fit for a log: no secret in them, and no character that forges a line. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, SecretStr

_MARK = "[redacted]"
# Secrets that no settings class knows: vendors' error texts hold signed URLs and their own tokens.
_PATTERNS = (
    (re.compile(r"(?<=://)[^/\s@\"']+@"), f"{_MARK}@"),
    (re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://[^\s?#\"'<>]+)[?#][^\s\"'<>]+"), rf"\1?{_MARK}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{16,}"), rf"\1 {_MARK}"),
    (re.compile(r"\b(?:xox[a-z]|xapp|sk|r8|hf|gh[a-z]|ya29|sl)[-_.][\w.-]{16,}"), _MARK),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), _MARK),
)
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escape_controls(text: str) -> str:
    """`text` without characters that end a line, drive a terminal or reorder what is read: each becomes
    its backslash escape. A file name so treated can't forge a log line."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class Redactor:
    """Replaces every secret that it has learnt, and what looks like one, in texts."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._known: re.Pattern[str] | None = None

    def learn(self, *sources: BaseModel | SecretStr) -> None:
        """Never let these secrets through: each `SecretStr`, or all that a settings object holds.

        Also in the forms in which they turn up in messages: URL-quoted, escaped, the password of a URL, the
        lines of a key file.
        """
        for source in sources:
            for secret in _secrets_in(source):
                self._secrets.update(_forms(secret))
        if self._secrets:
            longest_first = sorted(self._secrets, key=lambda form: (-len(form), form))
            self._known = re.compile("|".join(map(re.escape, longest_first)))

    def __call__(self, text: str) -> str:
        """`text` with each secret replaced."""
        if self._known is not None:
            text = self._known.sub(_MARK, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text


def _secrets_in(source: Any) -> Iterator[str]:
    if isinstance(source, SecretStr):
        yield source.get_secret_value()
    elif isinstance(source, BaseModel):
        for name in type(source).model_fields:
            yield from _secrets_in(getattr(source, name))
    elif isinstance(source, dict):
        for value in source.values():
            yield from _secrets_in(value)
    elif isinstance(source, (list, tuple, set, frozenset)):
        for value in source:
            yield from _secrets_in(value)


def _forms(secret: str) -> Iterator[str]:
    whole = [secret, *(line for line in secret.splitlines() if len(line) >= 16)]
    try:
        password = urlsplit(secret).password
    except ValueError:
        password = None
    if password:
        whole += [password, unquote(password)]
    for form in whole:
        quoted = (quote(form), quote(form, safe=""), json.dumps(form)[1:-1], repr(form)[1:-1])
        yield from filter(None, (form, form.strip(), *quoted))
