"""Files as Drive tells them, in the core's terms. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from core.filenames import folded, stem, valid_name
from core.remote import Held, RemoteFile

Json = Mapping[str, Any]

FOLDER: Final = "application/vnd.google-apps.folder"
SHORTCUT: Final = "application/vnd.google-apps.shortcut"
DOCUMENT: Final = "application/vnd.google-apps.document"
_GOOGLES: Final = "application/vnd.google-apps"  # folders, documents and the like, which have no bytes
_EMPTY: Final = f"sha256:{hashlib.sha256().hexdigest()}"

FIELDS: Final = (
    "id,name,mimeType,trashed,parents,driveId,size,md5Checksum,sha256Checksum,headRevisionId,modifiedTime,"
    "createdTime,appProperties,capabilities(canDownload,canAddChildren,canListChildren),"
    "owners(permissionId,me),lastModifyingUser(permissionId,me),shortcutDetails(targetId,targetMimeType),"
    "videoMediaMetadata(durationMillis)"
)
"""What is asked of every file."""

# Private properties of our files, which no other app sees. Copies that people make keep them.
MADE_FROM: Final = "erni_from"
MADE_FOR: Final = "erni_for"
MADE_AS: Final = "erni_id"  # what finds a file of which we never learnt that it was made
MADE_AT: Final = "erni_at"
WRITTEN_AT: Final = "erni_written"
DIGEST: Final = "erni_digest"  # of what a document was made from


def is_folder(told: Json) -> bool:
    """Whether it is a folder."""
    return told.get("mimeType") == FOLDER


def parent_of(told: Json) -> str:
    """The folder that it is in, as far as we may see that."""
    parents = told.get("parents") or [""]
    return str(parents[0])


def content_key(told: Json) -> str:
    """See `RemoteFile.content`; documents and shortcuts have none."""
    if "size" not in told or str(told.get("mimeType", "")).startswith(_GOOGLES):
        return ""
    if not size_of(told):
        return _EMPTY
    if told.get("sha256Checksum"):
        return f"sha256:{told['sha256Checksum']}"
    return f"md5:{told['md5Checksum']}" if told.get("md5Checksum") else ""


def size_of(told: Json) -> int:
    """Bytes, 0 if unknown."""
    return int(told.get("size") or 0)


def remote_file(
    told: Json, folders: tuple[str, ...], behind: Json | None = None, *, theirs: bool = True
) -> RemoteFile:
    """A file in the watched folder; `behind` is what a shortcut leads to, and `theirs` says whether those
    around it may read that. Else only what the shortcut itself says is told."""
    if behind is None:
        made_from = (told.get("appProperties") or {}).get(MADE_FROM, "")
        return _file(told, told, folders, name=str(told["name"]), made_from=made_from)
    target = str(behind["id"])
    if theirs:
        return _file(told, behind, folders, name=_shown(told["name"], behind["name"]), target=target)
    kind = str((told.get("shortcutDetails") or {}).get("targetMimeType") or "")
    return replace(
        _file(told, told, folders, name=str(told["name"]), target=target),
        content="" if kind.startswith(_GOOGLES) else f"shortcut:{target}",  # so that it is noticed
        revision=f"shortcut:{target}",
        downloadable=False,
        media_type=kind or None,
    )


def _file(
    told: Json, real: Json, folders: tuple[str, ...], *, name: str, target: str = "", made_from: str = ""
) -> RemoteFile:
    """What lies there as `told`, with the content of `real`."""
    people = real.get("owners") or [real.get("lastModifyingUser") or {}]
    length = (real.get("videoMediaMetadata") or {}).get("durationMillis")
    content = content_key(real)
    return RemoteFile(
        id=told["id"],
        name=valid_name(name),
        folders=tuple(valid_name(each) for each in folders),
        parent=parent_of(told),
        size=size_of(real),
        # Drive's time of the last change is also that of a new name; of content the revision tells.
        modified=round((_seconds(real.get("createdTime")) or 0.0) * 1e9),
        revision=str(real.get("headRevisionId") or content),
        content=content,
        downloadable=bool((real.get("capabilities") or {}).get("canDownload", True)),
        appeared=_seconds(told.get("createdTime")),
        owner=people[0].get("permissionId"),
        media_type=real.get("mimeType"),
        seconds=int(length) / 1000 if length is not None else None,
        target=target,
        made_from=made_from,
    )


def held(told: Json) -> Held:
    """A file where we write."""
    properties = told.get("appProperties") or {}
    written = _seconds(told.get("modifiedTime"))
    revision = str(told.get("headRevisionId") or "")
    if told.get("md5Checksum"):
        digest = f"md5:{told['md5Checksum']}"
    elif DIGEST in properties and _seconds(properties.get(WRITTEN_AT)) == written:
        digest = properties[DIGEST]  # a document that nobody has changed since
    else:
        digest = f"changed:{told.get('modifiedTime', '')}"
    original = MADE_AT in properties and _seconds(properties[MADE_AT]) == _seconds(told.get("createdTime"))
    return Held(
        id=told["id"],
        name=told["name"],
        folder=parent_of(told),
        digest=digest,
        revision=revision or str(told.get("modifiedTime", "")),
        made_for=properties.get(MADE_FOR, "") if original else "",
    )


def digest(data: bytes) -> str:
    """What `Held.digest` of a plain file with these bytes is."""
    return f"md5:{hashlib.md5(data, usedforsecurity=False).hexdigest()}"


def quoted(text: str) -> str:
    """A string in Drive's search language."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _shown(name: str, target: str) -> str:
    """The name of a shortcut, which may lack the ending that says what it leads to."""
    ending = folded(target.removeprefix(stem(target)))
    return name if folded(name).endswith(ending) else target


def _seconds(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None
