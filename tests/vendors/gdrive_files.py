"""Looking at files: `files.get`, `files.list`, `files.export`, and what else can be asked about them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tests.vendors.gdrive_access import Access
from tests.vendors.gdrive_api import Handler, Request
from tests.vendors.gdrive_fields import Mask, select
from tests.vendors.gdrive_model import (
    DOCUMENT,
    EDITORS,
    Comment,
    File,
    Json,
    Refused,
    Revision,
    SharedDrive,
    invalid,
    not_found,
)
from tests.vendors.gdrive_query import Query, parse, sort_key
from tests.vendors.gdrive_resources import EXPORTS, SHORT

_LISTED: Mask = {"kind": None, "incompleteSearch": None, "nextPageToken": None, "files": SHORT}
_PERMISSION: Mask = dict.fromkeys(("kind", "id", "type", "role"))
_DRIVE: Mask = dict.fromkeys(("kind", "id", "name"))
_REVISION: Mask = dict.fromkeys(("kind", "id", "mimeType", "modifiedTime"))


def in_list(mask: Mask, name: str) -> tuple[bool, Mask]:
    """Whether the items of a list are wanted, and what of them."""
    if mask is None:
        return True, None
    return name in mask, mask.get(name)


def needs_all_drives(request: Request, drive_id: str | None, *, includes: bool) -> SharedDrive | None:
    """The shared drive that a call is about; refused where it does not say that it knows about such."""
    if (drive_id or includes) and not request.all_drives:
        message = "The supportsAllDrives parameter must be set to true."
        raise Refused(403, "supportsTeamDrivesRequired", message)
    if drive_id and not includes:
        message = "The includeItemsFromAllDrives parameter must be set to true when driveId is specified."
        raise Refused(403, "includeTeamDriveItemsRequired", message)
    return request.access.member_of(drive_id) if drive_id else None


def get(request: Request) -> Json:
    return request.tell_file(request.find())


def list_files(request: Request) -> Json:
    mask = request.mask(_LISTED)
    ids, following = request.paged(lambda: _found(request))
    told: Json = {"kind": "drive#fileList", "incompleteSearch": False}
    if following is not None:
        told["nextPageToken"] = following
    told = select(mask, told)
    wanted, inner = in_list(mask, "files")
    if wanted:
        files, view, access = request.drive.files, request.view, request.access
        there = [files[one] for one in ids if one in files]
        told["files"] = [view.file(file, inner) for file in there if access.role(file) is not None]
    return told


def _found(request: Request) -> list[str]:
    """The ids of everything that a search finds, in no order but what `orderBy` says."""
    params, access = request.params, request.access
    includes = bool(params["includeItemsFromAllDrives"] or params["includeTeamDriveItems"])
    corpora = params.get("corpora", "user")
    if corpora not in ("user", "drive", "allDrives"):
        raise invalid("corpora")
    if (corpora == "drive") != ("driveId" in params):
        message = "The driveId parameter must be specified if and only if corpora is set to drive."
        raise Refused(403, "teamDriveIdRequiresTeamDriveCorpora", message)
    shared = needs_all_drives(request, params.get("driveId"), includes=includes)
    if corpora == "allDrives" and not includes:
        message = "The includeItemsFromAllDrives parameter must be set to true when corpora is allDrives."
        raise Refused(403, "includeTeamDriveItemsRequired", message)
    query = parse(params.get("q", ""))
    there, matches, hidden = _candidates(request, query), query.matches, request.drive.not_found_yet
    everywhere = corpora == "allDrives" or shared is not None
    files = [
        file
        for file in there
        if matches(access, file)
        and (file.drive is None or includes)
        and (shared is None or file.drive is shared)
        and (query.folder is not None or _in_corpus(access, file, everywhere=everywhere))
        and access.role(file) is not None
        and file.id not in hidden
    ]
    files.sort(key=lambda file: file.id)
    if "orderBy" in params:
        sort_key(params["orderBy"])(files)
    return [file.id for file in files]


def _in_corpus(access: Access, file: File, *, everywhere: bool) -> bool:
    """What a search without a folder looks through: what is the user's or was given to them, and of the
    shared drives that they are in, what is asked for."""
    if not access.listed(file):
        return False
    return everywhere or file.drive is None or access.account.id not in file.drive.members


def _candidates(request: Request, query: Query) -> Iterable[File]:
    drive, access = request.drive, request.access
    if query.folder is None:
        roots = {account.root for account in drive.accounts.values()} | set(drive.drives)
        return [file for file in list(drive.files.values()) if file.id not in roots]
    folder = drive.files.get(access.account.root if query.folder == "root" else query.folder)
    if folder is None or access.role(folder) is None:
        raise not_found("")
    return list(drive.children.get(folder.id, {}).values())


def export(request: Request) -> tuple[str, bytes]:
    """The type and bytes of a document in another format."""
    file = request.access.find(request.params["fileId"], all_drives=True)
    kind = request.params.get("mimeType")
    if file.mime_type not in EDITORS:
        message = "Export only supports Docs Editors files."
        raise Refused(403, "fileNotExportable", message, "fileId", "parameter")
    if not request.access.can_download(file):
        raise Refused(403, "cannotExportFile", "This file cannot be exported by the user.")
    if kind not in EXPORTS:
        raise Refused(400, "badRequest", "The requested conversion is not supported.")
    made_from = file.head.mime_type
    if made_from == kind or file.mime_type != DOCUMENT:
        return kind, file.data
    text = file.text
    if made_from == "text/html":
        text = re.sub(r"<[^>]*>", "", re.sub(r"</(p|h\d|li)>|<br ?/?>", "\n", text))
    return kind, f"<p>{text}</p>".encode() if kind == "text/html" else text.encode()


def generate_ids(request: Request) -> Json:
    space, kind, drive = request.params["space"], request.params["type"], request.drive
    if space != "drive" or kind not in ("files", "shortcuts"):
        raise invalid("space" if space != "drive" else "type")
    ids = [drive.new_id() for _ in range(request.params["count"])]
    drive.reserved |= dict.fromkeys(ids, (request.account.id, kind))
    return request.tell({"kind": "drive#generatedIds", "space": space, "ids": ids})


def list_permissions(request: Request) -> Json:
    file = request.find()
    if file.drive is None:
        request.access.need(file, "canShare")
    found = {one["id"]: one for one in request.view.permissions(file)}
    ids, following = request.paged(lambda: list(found))
    told: Json = {"kind": "drive#permissionList", "permissions": [found[one] for one in ids if one in found]}
    if following is not None:
        told["nextPageToken"] = following
    return request.tell(told, {"kind": None, "nextPageToken": None, "permissions": _PERMISSION})


def list_drives(request: Request) -> Json:
    account, drives = request.account.id, request.drive.drives
    ids, following = request.paged(lambda: [one for one, d in drives.items() if account in d.members])
    told: Json = {"kind": "drive#driveList"}
    told["drives"] = [request.view.shared_drive(drives[one]) for one in ids if account in drives[one].members]
    if following is not None:
        told["nextPageToken"] = following
    return request.tell(told, {"kind": None, "nextPageToken": None, "drives": _DRIVE})


def get_drive(request: Request) -> Json:
    return request.tell(
        request.view.shared_drive(request.access.member_of(request.params["driveId"])), _DRIVE
    )


def about(request: Request) -> Json:
    mask, account = request.needs_mask(), request.account
    used = str(request.drive.usage(account))
    quota = {"usage": used, "usageInDrive": used, "usageInDriveTrash": "0"}
    limit = 0 if account.is_service else account.quota
    told: Json = {
        "kind": "drive#about",
        "user": request.view.user(account),
        "storageQuota": quota if limit is None else quota | {"limit": str(limit)},
        "exportFormats": {DOCUMENT: list(EXPORTS)},
        "importFormats": {kind: [DOCUMENT] for kind in EXPORTS},
        "maxUploadSize": "5497558138880",
        "canCreateDrives": False,
        "appInstalled": True,
    }
    answer: Json = select(mask, told)
    return answer


def _commented(request: Request) -> File:
    """Comments have no `supportsAllDrives`: they are found everywhere."""
    file = request.access.find(request.params["fileId"], all_drives=True)
    if file.is_folder:
        raise Refused(403, "insufficientFilePermissions", "Folders have no comments.")
    return file


def list_comments(request: Request) -> Json:
    mask, file = request.needs_mask(), _commented(request)
    found = {comment.id: comment for comment in file.comments}
    ids, following = request.paged(lambda: list(reversed(found)))
    told: Json = {
        "kind": "drive#commentList",
        "comments": [request.view.comment(found[one]) for one in ids if one in found],
    }
    if following is not None:
        told["nextPageToken"] = following
    answer: Json = select(mask, told)
    return answer


def create_comment(request: Request) -> Json:
    """A comment is a change of the file, but not of its time."""
    mask, file, drive = request.needs_mask(), _commented(request), request.drive
    request.access.need(file, "canComment")
    content = request.body.get("content")
    if not isinstance(content, str) or not content or set(request.body) - {"content"}:
        raise Refused(400, "badRequest", "A comment has content, and nothing else is known here.")
    comment = Comment(
        id=drive.new_id("AAAA", 11), author=request.account, content=content, created=drive.clock()
    )
    file.comments.append(comment)
    drive.touched(file)
    answer: Json = select(mask, request.view.comment(comment))
    return answer


def get_revision(request: Request) -> Json:
    file = request.access.find(request.params["fileId"], all_drives=True)
    request.access.need(file, "canReadRevisions")
    return request.tell(request.view.revision(revision_of(file, request.params["revisionId"])), _REVISION)


def revision_of(file: File, wanted: str) -> Revision:
    """A revision by its id, or "head"."""
    if wanted == "head" and file.is_blob:
        return file.head
    for revision in file.revisions:
        if revision.id == wanted and file.is_blob:
            return revision
    raise Refused(404, "notFound", f"Revision not found: {wanted}.", "revisionId", "parameter")


def list_revisions(request: Request) -> Json:
    file = request.access.find(request.params["fileId"], all_drives=True)
    request.access.need(file, "canReadRevisions")
    found = {one.id: one for one in file.revisions if file.is_blob}
    ids, following = request.paged(lambda: list(found))
    told: Json = {
        "kind": "drive#revisionList",
        "revisions": [request.view.revision(found[one]) for one in ids if one in found],
    }
    if following is not None:
        told["nextPageToken"] = following
    return request.tell(told, {"kind": None, "nextPageToken": None, "revisions": _REVISION})


HANDLERS: Mapping[str, Handler] = {
    "about.get": about,
    "comments.create": create_comment,
    "comments.list": list_comments,
    "drives.get": get_drive,
    "drives.list": list_drives,
    "files.generateIds": generate_ids,
    "files.get": get,
    "files.list": list_files,
    "permissions.list": list_permissions,
    "revisions.get": get_revision,
    "revisions.list": list_revisions,
}
