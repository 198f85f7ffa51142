"""What changed: `changes.getStartPageToken` and `changes.list`, of a user or of a shared drive."""

from __future__ import annotations

from collections.abc import Mapping

from tests.vendors.gdrive_api import Handler, Request
from tests.vendors.gdrive_fields import Mask, select
from tests.vendors.gdrive_files import in_list, needs_all_drives
from tests.vendors.gdrive_model import ChangeLog, Entry, Json, SharedDrive, invalid
from tests.vendors.gdrive_resources import SHORT, when

_CHANGE: Mask = {
    **dict.fromkeys(("kind", "changeType", "type", "time", "removed", "fileId", "driveId", "teamDriveId")),
    "file": SHORT,
    "drive": dict.fromkeys(("kind", "id", "name")),
}
_LISTED: Mask = {"kind": None, "newStartPageToken": None, "nextPageToken": None, "changes": _CHANGE}
_NEXT = "~!!~"  # what a token begins with that is no start token


def _includes(request: Request) -> bool:
    return bool(request.params["includeItemsFromAllDrives"] or request.params["includeTeamDriveItems"])


def shared_drive_of(request: Request) -> SharedDrive | None:
    """The shared drive whose changes are asked for; None: those of the user."""
    return needs_all_drives(request, request.params.get("driveId"), includes=_includes(request))


def number_of(request: Request, log: ChangeLog) -> int:
    """The change that a page token stands for; refused if it is not one of this log, or too old."""
    text = str(request.params.get("pageToken", "")).removeprefix(_NEXT)
    if not text.isdecimal() or not log.kept_from <= int(text) <= log.next:
        raise invalid("pageToken")
    return int(text)


def start_token(request: Request) -> Json:
    drive_id = request.params.get("driveId")
    shared = needs_all_drives(request, drive_id, includes=drive_id is not None)
    log = shared.log if shared else request.account.log
    return request.tell({"kind": "drive#startPageToken", "startPageToken": str(log.next)})


def list_changes(request: Request) -> Json:
    mask, shared = request.mask(_LISTED), shared_drive_of(request)
    log = shared.log if shared else request.account.log
    found: list[Entry] = []
    following: int | None = None
    for entry in log.since(number_of(request, log)):
        if len(found) == request.params["pageSize"]:
            following = entry.number
            break
        found.append(entry)
    told: Json = {"kind": "drive#changeList"}
    if following is None:
        told["newStartPageToken"] = str(log.next)
    else:
        told["nextPageToken"] = f"{_NEXT}{following}"
    told = select(mask, told)
    wanted, inner = in_list(mask, "changes")
    if wanted:
        changes = (_change(request, entry, shared, inner) for entry in found)
        told["changes"] = [select(inner, change) for change in changes if change is not None]
    return told


def _change(request: Request, entry: Entry, shared: SharedDrive | None, mask: Mask) -> Json | None:
    """A change as the caller sees it now; None if it does not. A page of them can be empty so."""
    told: Json = {"kind": "drive#change", "time": when(entry.at), "changeType": entry.kind}
    told |= {"type": entry.kind, "removed": False}
    if entry.kind == "drive":
        return _drive_change(request, entry, told)
    told["fileId"] = entry.id
    access, file = request.access, request.drive.files.get(entry.id)
    if file is not None and access.only_own and access.client not in file.apps:
        return None
    if file is not None and access.role(file) is not None and (shared is None or file.drive is shared):
        if shared is None and file.drive is not None and not _includes(request):
            return None
        if request.params["restrictToMyDrive"] and file.owner is not request.account:
            return None
        wanted, inner = in_list(mask, "file")
        if wanted:
            told["file"] = request.view.file(file, inner)
        return told
    return told | {"removed": True} if request.params["includeRemoved"] else None


def _drive_change(request: Request, entry: Entry, told: Json) -> Json | None:
    """A change of a shared drive itself, such as that the user became a member."""
    if not _includes(request):
        return None
    told |= {"driveId": entry.id, "teamDriveId": entry.id}
    drive = request.drive.drives[entry.id]
    if request.account.id in drive.members:
        return told | {"drive": request.view.shared_drive(drive)}
    return told | {"removed": True} if request.params["includeRemoved"] else None


HANDLERS: Mapping[str, Handler] = {
    "changes.getStartPageToken": start_token,
    "changes.list": list_changes,
}
