"""The search language of `files.list`: what `q` means, and which folder it is limited to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from tests.vendors.gdrive_access import Access
from tests.vendors.gdrive_model import RANK, File, invalid

Test = Callable[[Access, File], bool]

_TOKEN = re.compile(r"\s*(?:('(?:[^'\\]|\\.)*')|([A-Za-z][\w.]*)|(!=|<=|>=|[=<>(){}]))")
_ORDERED: dict[str, Callable[[float, float], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


@dataclass(frozen=True, slots=True)
class Query:
    """A search. `folder` is the id that it is limited to with "'ID' in parents"."""

    matches: Test
    folder: str | None


def parse(text: str) -> Query:
    """Read `q`; refused as Drive refuses what it does not understand."""
    tokens = list(_tokens(text))
    if not tokens:
        return Query(lambda _access, _file: True, None)
    reader = _Reader(tokens)
    query = reader.expression()
    if reader.left:
        raise invalid("q")
    return query


def _tokens(text: str) -> Iterator[str]:
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise invalid("q")
        at = found.end()
        yield found[1] or found[2] or found[3]


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self.left = tokens

    def take(self, *wanted: str) -> str:
        if not self.left or (wanted and self.left[0].lower() not in wanted):
            raise invalid("q")
        return self.left.pop(0)

    def text(self) -> str:
        token = self.take()
        if not token.startswith("'"):
            raise invalid("q")
        return re.sub(r"\\(.)", r"\1", token[1:-1])

    def flag(self) -> bool:
        return self.take("true", "false").lower() == "true"

    def expression(self) -> Query:
        """Terms joined by "and" and "or", which Drive takes from left to right."""
        query = self.term()
        while self.left and self.left[0].lower() in ("and", "or"):
            joint = self.take().lower()
            query = _joined(query, self.term(), "and" if joint == "and" else "or")
        return query

    def term(self) -> Query:
        head = self.take()
        if head == "(":
            inner = self.expression()
            self.take(")")
            return inner
        if head.lower() == "not":
            negated = self.term().matches
            return Query(lambda access, file: not negated(access, file), None)
        if head.startswith("'"):
            self.left.insert(0, head)
            return self.membership()
        return Query(self.comparison(head), None)

    def membership(self) -> Query:
        value = self.text()
        self.take("in")
        where = self.take("parents", "owners", "writers", "readers").lower()
        if where == "parents":
            return Query(lambda access, file: file.parent == _folder(access, value), value)
        return Query(lambda access, file: _has(access, file, value, where), None)

    def comparison(self, field: str) -> Test:
        if field in ("appProperties", "properties"):
            return self.property_has(field)
        if field in ("sharedWithMe", "starred", "trashed"):
            return self.switch(field)
        operator = self.take("=", "!=", "<", "<=", ">", ">=", "contains").lower()
        if field in ("modifiedTime", "createdTime") and operator in _ORDERED:
            return _by_time(field, operator, self.text())
        if field in ("name", "mimeType") and operator in ("=", "!=", "contains"):
            return _by_text(field, operator, self.text())
        if field == "shortcutDetails.targetId" and operator in ("=", "!="):
            target = self.text()
            return lambda _access, file: (file.target == target) == (operator == "=")
        raise invalid("q")

    def switch(self, field: str) -> Test:
        wanted = True
        if field != "sharedWithMe" or (self.left and self.left[0] in ("=", "!=")):
            wanted = (self.take("=", "!=") == "=") == self.flag()
        if field == "sharedWithMe":
            return lambda access, file: (access.account.id in file.shared_at) == wanted
        if field == "starred":
            return lambda _access, file: file.starred == wanted
        return lambda access, file: access.trashed(file) == wanted

    def property_has(self, field: str) -> Test:
        for token in ("has", "{", "key", "="):
            self.take(token)
        key = self.text()
        for token in ("and", "value", "="):
            self.take(token)
        value = self.text()
        self.take("}")
        if field == "properties":
            return lambda _access, file: file.properties.get(key) == value
        return lambda access, file: file.app_properties.get(access.client or "", {}).get(key) == value


def _joined(one: Query, other: Query, joint: Literal["and", "or"]) -> Query:
    a, b = one.matches, other.matches
    if joint == "or":
        return Query(lambda access, file: a(access, file) or b(access, file), None)
    return Query(lambda access, file: a(access, file) and b(access, file), one.folder or other.folder)


def _folder(access: Access, value: str) -> str:
    return access.account.root if value == "root" else value


def _has(access: Access, file: File, email: str, where: str) -> bool:
    if email == "me":
        email = access.account.email
    account = next((one for one in access.drive.accounts.values() if one.email == email), None)
    if account is None:
        return False
    if where == "owners":
        return file.owner is account
    role = Access(access.drive, account).role(file)
    return RANK[role] >= RANK["writer" if where == "writers" else "reader"]


def _by_time(field: str, operator: str, text: str) -> Test:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid("q") from None
    at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    compare = _ORDERED[operator]
    if field == "modifiedTime":
        return lambda _access, file: compare(file.modified, at)
    return lambda _access, file: compare(file.created, at)


def _by_text(field: str, operator: str, text: str) -> Test:
    """Names are compared without regard to case; "contains" finds the beginning of a word in a name."""
    if field == "mimeType":
        if operator == "contains":
            return lambda _access, file: file.mime_type.startswith(text)
        return lambda _access, file: (file.mime_type == text) == (operator == "=")
    wanted = text.casefold()
    if operator == "contains":
        words = re.compile(r"(?<!\w)" + re.escape(wanted))
        return lambda _access, file: words.search(file.name.casefold()) is not None
    return lambda _access, file: (file.name.casefold() == wanted) == (operator == "=")


def sort_key(order: str) -> Callable[[list[File]], None]:
    """How `orderBy` sorts files; refused where a key is not one of those that we know."""
    keys: list[tuple[Callable[[File], tuple[float | str, ...]], bool]] = []
    known: dict[str, Callable[[File], tuple[float | str, ...]]] = {
        "createdTime": lambda file: (file.created,),
        "folder": lambda file: (0.0 if file.is_folder else 1.0,),
        "modifiedTime": lambda file: (file.modified,),
        "name": lambda file: (file.name.casefold(),),
        "name_natural": _natural,
        "recency": lambda file: (max(file.created, file.modified),),
    }
    for one in order.split(","):
        name, _, direction = one.strip().partition(" ")
        if name not in known or direction not in ("", "desc"):
            raise invalid("orderBy")
        keys.append((known[name], direction == "desc"))

    def sort(files: list[File]) -> None:
        for key, backwards in reversed(keys):
            files.sort(key=key, reverse=backwards)

    return sort


def _natural(file: File) -> tuple[float | str, ...]:
    return tuple(
        part.rjust(20, "0") if part.isdecimal() else part
        for part in re.split(r"(\d+)", file.name.casefold())
        if part
    )
