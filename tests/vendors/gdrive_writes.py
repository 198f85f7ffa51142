"""Changing files: `files.create`, `files.update`, `files.copy`, `files.delete`.

`check_create` and `check_update` refuse what may not be done and give what does it, so that an upload in
pieces is refused before the first piece.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from tests.vendors import gdrive_store as store
from tests.vendors.gdrive_api import Handler, Request
from tests.vendors.gdrive_fields import schema
from tests.vendors.gdrive_model import (
    DOCUMENT,
    EDITORS,
    FOLDER,
    SHORTCUT,
    Content,
    File,
    Json,
    Refused,
    invalid,
)
from tests.vendors.gdrive_resources import EXPORTS

Do = Callable[[Content | None, str], File]
"""Takes what was uploaded and its type."""

_TEXTS = {"name", "description", "mimeType"}
_WRITABLE = {
    *_TEXTS,
    "appProperties",
    "contentHints",
    "copyRequiresWriterPermission",
    "createdTime",
    "id",
    "modifiedTime",
    "parents",
    "properties",
    "shortcutDetails",
    "starred",
    "trashed",
    "writersCanShare",
}
MAX_PROPERTY = 124  # bytes of a key and its value
MAX_PROPERTIES = 30  # private ones of an app


def _check_body(body: Json, *, new: bool) -> None:
    for name, value in body.items():
        if name not in schema("File")["properties"]:
            message = f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
            raise Refused(400, "badRequest", message)
        if name not in _WRITABLE or (not new and name == "id"):
            message = "The resource body includes fields which are not directly writable."
            raise Refused(403, "fieldNotWritable", message)
        if (name in _TEXTS and not isinstance(value, str)) or (
            name in ("trashed", "starred") and not isinstance(value, bool)
        ):
            raise invalid(name)
    if not new and "parents" in body:
        message = (
            "The parents field is not directly writable in update requests. "
            "Use the addParents and removeParents parameters instead."
        )
        raise Refused(403, "fieldNotWritable", message)
    for kind in ("properties", "appProperties"):
        for key, value in _pairs(body.get(kind, {})).items():
            if len(key.encode()) + len((value or "").encode()) > MAX_PROPERTY:
                raise invalid(kind, "Property keys and values are limited to 124 bytes together.")


def _pairs(found: Any) -> dict[str, str | None]:
    if not isinstance(found, dict) or not all(v is None or isinstance(v, str) for v in found.values()):
        raise invalid("properties")
    return found


def _set_properties(request: Request, file: File) -> None:
    private = _changed(file.app_properties.get(request.token.client, {}), request.body, "appProperties")
    if len(private) > MAX_PROPERTIES:
        raise invalid("appProperties", f"An app has at most {MAX_PROPERTIES} properties on a file.")
    file.app_properties[request.token.client] = private
    file.properties = _changed(file.properties, request.body, "properties")


def _changed(found: dict[str, str], body: Json, kind: str) -> dict[str, str]:
    """Properties with what a body says about them: null takes one away."""
    both: dict[str, str | None] = {**found, **_pairs(body.get(kind, {}))}
    return {key: value for key, value in both.items() if value is not None}


def _set(request: Request, file: File) -> None:
    """Take over what the body says of a file, but for where it is and whether it is in the trash."""
    body = request.body
    _set_properties(request, file)
    file.description = body.get("description", file.description)
    file.starred = body.get("starred", file.starred)
    file.copy_needs_writer = body.get("copyRequiresWriterPermission", file.copy_needs_writer)
    file.apps.add(request.token.client)


def _set_times(request: Request, file: File) -> None:
    for name in ("createdTime", "modifiedTime"):
        if name in request.body:
            try:
                at = datetime.fromisoformat(request.body[name]).timestamp()
            except (TypeError, ValueError):
                raise invalid(name) from None
            if name == "createdTime":
                file.created = at
            else:
                file.modified = at


def _folder(request: Request, parents: Any) -> File:
    """Where a new file goes; without `parents` into the root of My Drive."""
    if not isinstance(parents, list) or not all(isinstance(one, str) for one in parents):
        raise invalid("parents")
    if len(parents) > 1:
        raise Refused(400, "invalid", "A file can only have one parent.")
    wanted = parents[0] if parents else request.account.root
    if wanted == "root":
        wanted = request.account.root
    if wanted == request.account.root:
        return request.drive.files[wanted]
    folder = request.access.find(wanted, all_drives=request.all_drives)
    if not folder.is_folder:
        message = "The specified parent is not a folder."
        raise Refused(403, "parentNotAFolder", message)
    request.access.need(folder, "canAddChildren")
    return folder


def _new_id(request: Request, folder: File, kind: str) -> str | None:
    """The id that the caller chose, if one of those made for it."""
    wanted = request.body.get("id")
    if wanted is None:
        return None
    drive = request.drive
    if wanted in drive.used:
        raise Refused(409, "fileIdInUse", "A file already exists with the provided ID.")
    if kind in EDITORS:
        message = "Generated IDs are not supported for Docs Editors formats."
        raise Refused(403, "insufficientFilePermissions", message)
    made_for = request.account.id, "shortcuts" if kind == SHORTCUT else "files"
    if drive.reserved.get(wanted) != made_for or (folder.drive and not drive.ids_in_shared_drives):
        raise invalid("file.id", "The provided file ID is not usable.")
    return str(wanted)


def check_create(request: Request, *, size: int = 0) -> Do:
    """Whether a file may be made; `size` is what is announced of an upload."""
    body = request.body
    _check_body(body, new=True)
    folder = _folder(request, body.get("parents", []))
    wanted_kind = body.get("mimeType")
    chosen = _new_id(request, folder, wanted_kind or "")
    store.check_storage(request.drive, request.account, folder, size)
    if wanted_kind == SHORTCUT:
        target = (body.get("shortcutDetails") or {}).get("targetId")
        if not isinstance(target, str):
            raise Refused(400, "badRequest", "A shortcut needs shortcutDetails.targetId.")
        request.access.find(target, all_drives=request.all_drives)

    def do(content: Content | None, uploaded: str) -> File:
        _new_id(request, folder, wanted_kind or "")
        kind = wanted_kind or uploaded or store.guessed(body.get("name", ""))
        made = store.new_file(
            request.drive,
            name=body.get("name") or "Untitled",
            mime_type=kind,
            folder=folder,
            by=request.account,
            id=chosen,
        )
        _set(request, made)
        if kind == SHORTCUT:
            target = request.drive.files[body["shortcutDetails"]["targetId"]]
            made.target, made.target_mime = target.target or target.id, target.target_mime or target.mime_type
        _set_times(request, made)
        if kind in (FOLDER, SHORTCUT):
            if content is not None:
                raise Refused(400, "badRequest", "A folder or shortcut has no content.")
            return store.add(request.drive, made)
        return store.add(request.drive, made, content or Content(b""), _source(kind, uploaded))

    return do


def _source(kind: str, uploaded: str) -> str:
    """The type that a revision has: of a document, what it was made from."""
    if kind not in EDITORS:
        return kind
    if uploaded not in ("", *EXPORTS) or (uploaded and kind != DOCUMENT):
        raise Refused(400, "badRequest", "The requested conversion is not supported.")
    return uploaded or "text/plain"


def create(request: Request) -> Json:
    size = request.content.size if request.content else 0
    return request.tell_file(check_create(request, size=size)(request.content, request.content_type))


def check_update(request: Request, *, size: int = 0, media: bool = False) -> Do:
    """Whether a file may be changed as asked."""
    file, body, access = request.find(), request.body, request.access
    _check_body(body, new=False)
    if media or set(body) - {"trashed", "starred"}:
        access.need(file, "canModifyContent" if media else "canEdit")
    if media:
        if file.mime_type in (FOLDER, SHORTCUT):
            raise Refused(400, "badRequest", "A folder or shortcut has no content.")
        store.check_quota(request.drive, file.owner, size)
    if "name" in body:
        access.need(file, "canRename")
    if "trashed" in body:
        access.need(file, "canTrash" if body["trashed"] else "canUntrash")
    into = _moved_to(request, file)

    def do(content: Content | None, uploaded: str) -> File:
        kind = file.mime_type
        if content is not None and kind not in EDITORS:
            kind = body.get("mimeType") or uploaded or kind
        source = _source(kind, uploaded if content is not None else "")
        _set(request, file)
        file.name, file.mime_type = body.get("name", file.name), kind
        if content is not None:
            keep = bool(request.params["keepRevisionForever"])
            store.write(request.drive, file, content, request.account, source=source, keep=keep)
        elif set(body) - {"trashed"}:
            file.modified, file.by = request.drive.clock(), request.account
            request.drive.touched(file)
        _set_times(request, file)
        if into is not None:
            store.move(request.drive, file, into, request.account)
        if "trashed" in body and body["trashed"] != file.trashed:
            if body["trashed"]:
                store.trash(request.drive, file, request.account)
            else:
                store.untrash(request.drive, file)
        return file

    return do


def _moved_to(request: Request, file: File) -> File | None:
    """The folder that a file is to be moved to."""
    added = request.params.get("addParents")
    removed = request.params.get("removeParents", "").split(",")
    if added is None:
        if file.parent in removed:
            raise Refused(400, "badRequest", "A file must stay in a folder.")
        return None
    if file.parent not in removed and request.access.parents(file):
        if file.drive is not None:
            message = "A shared drive item must have exactly one parent."
            raise Refused(403, "teamDrivesParentLimit", message)
        raise Refused(403, "cannotAddParent", "Increasing the number of parents is not allowed.")
    folder = _folder(request, [added])
    request.access.need(file, "canMoveItemWithinDrive")
    if folder.drive is None and file.drive is None:
        return folder
    if folder.drive is not file.drive and request.access.role(file) not in ("owner", "organizer"):
        message = "The user does not have sufficient permissions for this file."
        raise Refused(403, "insufficientFilePermissions", message)
    return folder


def update(request: Request) -> Json:
    content = request.content
    do = check_update(request, size=content.size if content else 0, media=content is not None)
    return request.tell_file(do(content, request.content_type))


def copy(request: Request) -> Json:
    file, body = request.find(), request.body
    _check_body(body, new=True)
    request.access.need(file, "canCopy")
    folder = _folder(request, body.get("parents") or request.access.parents(file))
    store.check_storage(request.drive, request.account, folder, file.head.content.size)
    made = store.copy(request.drive, file, folder, request.account, name=body.get("name"))
    _set(request, made)
    return request.tell_file(made)


def delete(request: Request) -> None:
    file = request.find()
    request.access.need(file, "canDelete")
    store.delete(request.drive, file)


HANDLERS: Mapping[str, Handler] = {
    "files.copy": copy,
    "files.create": create,
    "files.delete": delete,
    "files.update": update,
}
