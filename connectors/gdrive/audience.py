"""Who may read a file, as far as Drive tells: the service often may more than the people around it. Pure.

Drive's word for this is `permissionIds`: people, groups, domains, and "anyoneWithLink". Whether Google tells
them to an account that may only read, and all of them in shared drives, is unconfirmed. Where they are
missing, the answer is no.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from connectors.gdrive.files import FIELDS, Json

FIELDS_FOR_IT: Final = f"{FIELDS},permissionIds,permissions(type)"
"""What is asked of a file where this matters."""

READERS: Final = "id,permissionIds"
"""What is asked of a shortcut where `is_within` is to be told."""

_ANYONE: Final = "anyoneWithLink"


def is_open(told: Json) -> bool:
    """Whether anybody who has the link may read it."""
    types = {permission.get("type") for permission in told.get("permissions") or ()}
    return _ANYONE in (told.get("permissionIds") or ()) or "anyone" in types


def is_owners(shortcut: Json, target: Json) -> bool:
    """Whether anybody may read what a shortcut leads to, or the shortcut's owner may, who is the account
    itself or named there. In shared drives shortcuts have no owner, and who changed one last need not be who
    put it there."""
    owners = shortcut.get("owners") or ()
    readers = _readers(target) | _ids(target.get("owners") or ())
    return is_open(target) or any(owner.get("me") for owner in owners) or bool(_ids(owners) & readers)


def is_within(shortcut: Json, target: Json) -> bool:
    """Whether everybody who may read a shortcut may read what it leads to. A group counts as one reader: who
    is in it can't be told."""
    readers = _readers(shortcut)
    return bool(readers) and readers <= _readers(target)


def _readers(told: Json) -> set[str]:
    return {str(one) for one in told.get("permissionIds") or () if one}


def _ids(people: Iterable[Json]) -> set[str]:
    return {str(person["permissionId"]) for person in people if person.get("permissionId")}
