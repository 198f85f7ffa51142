"""Who may read a file, as far as Drive tells: the service often may more than the people around it. Pure."""

from __future__ import annotations

from typing import Final

from connectors.gdrive.files import FIELDS, Json

FIELDS_FOR_IT: Final = f"{FIELDS},permissionIds,permissions(type)"
"""What is asked of a file where this matters."""

_ANYONE: Final = "anyoneWithLink"


def is_open(told: Json) -> bool:
    """Whether anybody who has the link may read it."""
    types = {permission.get("type") for permission in told.get("permissions") or ()}
    return _ANYONE in (told.get("permissionIds") or ()) or "anyone" in types


def is_theirs(shortcut: Json, target: Json) -> bool:
    """Whether whoever put a shortcut there may read what it leads to, or everybody who sees the shortcut may.
    Who may only as a member of a group can't be told."""
    drive = target.get("driveId")
    if is_open(target) or (drive and drive == shortcut.get("driveId")):
        return True
    people = shortcut.get("owners") or [shortcut.get("lastModifyingUser") or {}]
    readers = {*(target.get("permissionIds") or ()), *_ids(target.get("owners") or ())}
    return any(person.get("me") for person in people) or bool(_ids(people) & readers)


def _ids(people: list[Json] | tuple[Json, ...]) -> set[str]:
    return {str(person["permissionId"]) for person in people if person.get("permissionId")}
