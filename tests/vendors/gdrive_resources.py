"""Files, people, permissions, drives and comments as Drive's API tells them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from tests.vendors.gdrive_access import Access
from tests.vendors.gdrive_fields import Mask, select
from tests.vendors.gdrive_model import (
    DOCUMENT,
    EDITORS,
    FOLDER,
    RANK,
    Account,
    Comment,
    File,
    Json,
    Permission,
    Revision,
    Role,
    SharedDrive,
)

EXPORTS = ("text/plain", "text/html", "text/markdown")


def when(seconds: float) -> str:
    """A time in RFC 3339, to the millisecond as Drive has it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class View:
    """How things look to a caller."""

    access: Access

    def user(self, account: Account) -> Json:
        return {
            "kind": "drive#user",
            "displayName": account.name,
            "me": account is self.access.account,
            "permissionId": account.id,
            "emailAddress": account.email,
        }

    def author(self, account: Account) -> Json:
        """Who wrote a comment: without the address and id, as Drive keeps them back there."""
        user = self.user(account)
        return {name: user[name] for name in ("kind", "displayName", "me")}

    def file(self, file: File, mask: Mask) -> Json:
        """A file with the fields that are wanted."""
        resource: Json = {}
        for name in FIELDS if mask is None else mask:
            tell = FIELDS.get(name)
            value = None if tell is None else tell(self, file)
            if value is not None:
                resource[name] = value if mask is None else select(mask[name], value)
        return resource

    def permission(self, permission: Permission, *, inherited: bool, shared_drive: bool) -> Json:
        told: Json = {
            "kind": "drive#permission",
            "id": permission.id,
            "type": permission.type,
            "role": permission.role,
        }
        if permission.account is not None:
            told |= {
                "emailAddress": permission.account.email,
                "displayName": permission.account.name,
                "deleted": False,
                "pendingOwner": False,
            }
        else:
            told["allowFileDiscovery"] = False
        if shared_drive:
            kind = "member" if permission.role == "organizer" or inherited else "file"
            told["permissionDetails"] = [
                {"permissionType": kind, "role": permission.role, "inherited": inherited}
            ]
        return told

    def permissions(self, file: File) -> list[Json]:
        """Everybody who may see a file, owners first."""
        found: dict[str, tuple[Permission, bool]] = {}
        drive = self.access.drive
        for one in [file, *drive.above(file)]:
            given = dict(one.permissions)
            if one.owner is not None:
                role: Role = "owner" if one is file else "writer"
                own = Permission(id=one.owner.id, type="user", role=role, account=one.owner)
                given[own.id] = own
            if one.drive is not None and one.parent is None:
                given = one.drive.members | given
            for name, permission in given.items():
                if name not in found or RANK[permission.role] > RANK[found[name][0].role]:
                    found[name] = permission, one is not file
        ordered = sorted(found.values(), key=lambda item: -RANK[item[0].role])
        shared = file.drive is not None
        return [self.permission(one, inherited=inherited, shared_drive=shared) for one, inherited in ordered]

    def shared_drive(self, drive: SharedDrive) -> Json:
        return {
            "kind": "drive#drive",
            "id": drive.id,
            "name": drive.name,
            "createdTime": when(drive.created),
            "hidden": False,
            "capabilities": self.access.drive_capabilities(drive),
            "restrictions": {
                "adminManagedRestrictions": False,
                "copyRequiresWriterPermission": drive.copy_needs_writer,
                "domainUsersOnly": False,
                "driveMembersOnly": False,
            },
        }

    def comment(self, comment: Comment) -> Json:
        return {
            "kind": "drive#comment",
            "id": comment.id,
            "author": self.author(comment.author),
            "content": comment.content,
            "htmlContent": comment.content.replace("&", "&amp;").replace("<", "&lt;"),
            "createdTime": when(comment.created),
            "modifiedTime": when(comment.created),
            "deleted": False,
            "resolved": False,
            "replies": [],
        }

    def revision(self, revision: Revision) -> Json:
        md5, _, _ = revision.content.checksums
        return {
            "kind": "drive#revision",
            "id": revision.id,
            "mimeType": revision.mime_type,
            "modifiedTime": when(revision.modified),
            "keepForever": revision.keep,
            "lastModifyingUser": self.user(revision.by),
            "originalFilename": revision.original_name,
            "md5Checksum": md5,
            "size": str(revision.content.size),
        }


def _blob(tell: Callable[[File], Any]) -> Callable[[View, File], Any]:
    return lambda _view, file: tell(file) if file.is_blob else None


def _mine(tell: Callable[[View, File], Any]) -> Callable[[View, File], Any]:
    """Not of items in shared drives."""
    return lambda view, file: tell(view, file) if file.drive is None else None


def _shortcut(_view: View, file: File) -> Json | None:
    if file.target is None:
        return None
    return {"targetId": file.target, "targetMimeType": file.target_mime}


def _extension(file: File) -> str:
    return PurePath(file.name).suffix.removeprefix(".")


def _permissions(view: View, file: File) -> list[Json] | None:
    return view.permissions(file) if view.access.capabilities(file)["canShare"] else None


def _permission_ids(view: View, file: File) -> list[str] | None:
    if not (view.access.drive.tells_readers or view.access.capabilities(file)["canShare"]):
        return None
    return [one["id"] for one in view.permissions(file)]


def _size(_view: View, file: File) -> str | None:
    """Of documents too: the discovery document says so, though they have no checksum."""
    return str(file.head.content.size) if file.revisions else None


def _exports(_view: View, file: File) -> Json | None:
    if file.mime_type not in EDITORS:
        return None
    at = f"https://docs.google.com/feeds/download/documents/export/Export?id={file.id}"
    return {kind: f"{at}&exportFormat={kind.partition('/')[2]}" for kind in EXPORTS}


def _page(_view: View, file: File) -> str:
    if file.mime_type == FOLDER:
        return f"https://drive.google.com/drive/folders/{file.id}"
    if file.mime_type == DOCUMENT:
        return f"https://docs.google.com/document/d/{file.id}/edit?usp=drivesdk"
    return f"https://drive.google.com/file/d/{file.id}/view?usp=drivesdk"


FIELDS: Mapping[str, Callable[[View, File], Any]] = {
    "kind": lambda _view, _file: "drive#file",
    "id": lambda _view, file: file.id,
    "name": lambda _view, file: file.name,
    "mimeType": lambda _view, file: file.mime_type,
    "description": lambda _view, file: file.description,
    "starred": lambda _view, file: file.starred,
    "trashed": lambda view, file: view.access.trashed(file),
    "explicitlyTrashed": lambda _view, file: file.trashed,
    "trashedTime": lambda _view, file: when(file.trashed_at) if file.drive and file.trashed_at else None,
    "trashingUser": lambda view, file: view.user(file.trashed_by) if file.drive and file.trashed_by else None,
    "parents": lambda view, file: view.access.parents(file) or None,
    "properties": lambda _view, file: dict(file.properties) or None,
    "appProperties": lambda view, file: dict(file.app_properties.get(view.access.client or "", {})) or None,
    "spaces": lambda _view, _file: ["drive"],
    "version": lambda _view, file: str(file.version),
    "createdTime": lambda _view, file: when(file.created),
    "modifiedTime": lambda _view, file: when(file.modified),
    "modifiedByMe": lambda view, file: file.by is view.access.account,
    "sharedWithMeTime": lambda view, file: (
        when(file.shared_at[view.access.account.id]) if view.access.account.id in file.shared_at else None
    ),
    "lastModifyingUser": lambda view, file: view.user(file.by),
    "owners": _mine(lambda view, file: [view.user(file.owner)] if file.owner else None),
    "ownedByMe": _mine(lambda view, file: file.owner is view.access.account),
    "shared": _mine(lambda view, file: len(view.permissions(file)) > 1),
    "driveId": lambda _view, file: file.drive.id if file.drive else None,
    "teamDriveId": lambda _view, file: file.drive.id if file.drive else None,
    "capabilities": lambda view, file: view.access.capabilities(file),
    "permissions": _mine(_permissions),
    "permissionIds": _permission_ids,
    "hasAugmentedPermissions": lambda _view, file: bool(file.permissions) if file.drive else None,
    "copyRequiresWriterPermission": lambda _view, file: file.copy_needs_writer,
    "writersCanShare": _mine(lambda _view, _file: True),
    "isAppAuthorized": lambda view, file: view.access.client in file.apps,
    "shortcutDetails": _shortcut,
    "originalFilename": _blob(lambda file: file.head.original_name),
    "fullFileExtension": _blob(_extension),
    "fileExtension": _blob(_extension),
    "md5Checksum": _blob(lambda file: file.head.content.checksums[0]),
    "sha1Checksum": _blob(lambda file: file.head.content.checksums[1]),
    "sha256Checksum": _blob(lambda file: file.head.content.checksums[2]),
    "size": _size,
    "quotaBytesUsed": lambda _view, file: str(sum(one.content.size for one in file.revisions[-1:])),
    "headRevisionId": _blob(lambda file: file.head.id),
    "exportLinks": _exports,
    "webViewLink": _page,
    "webContentLink": _blob(lambda file: f"https://drive.google.com/uc?id={file.id}&export=download"),
    "iconLink": lambda _view, file: (
        f"https://drive-thirdparty.googleusercontent.com/16/type/{file.mime_type}"
    ),
    "hasThumbnail": lambda _view, _file: False,
    "thumbnailVersion": lambda _view, _file: "0",
}
"""The fields of a file that we tell, each with how it looks; None where a file has none."""

SHORT: Mask = dict.fromkeys(("kind", "id", "name", "mimeType", "driveId", "teamDriveId"))
"""What is told of a file where "fields" does not say."""
