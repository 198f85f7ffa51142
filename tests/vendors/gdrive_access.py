"""What an account may do in a Google Drive: roles, inherited or given, and the capabilities they mean."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.vendors.gdrive_model import (
    ANYONE,
    RANK,
    SHORTCUT,
    Account,
    Drive,
    File,
    Json,
    Refused,
    Role,
    SharedDrive,
    not_found,
)

FILE_SCOPE = "https://www.googleapis.com/auth/drive.file"


def highest(*roles: Role | None) -> Role | None:
    return max(roles, key=RANK.__getitem__)


@dataclass(slots=True)
class Access:
    """What one caller sees; made for a request, as it remembers the folders it came by.

    `client` None is a person at Drive's own pages; `only_own`: the app sees what it made or was opened with.
    """

    drive: Drive
    account: Account
    client: str | None = None
    only_own: bool = False
    _in_folder: dict[str, tuple[Role | None, bool, bool]] = field(default_factory=dict)

    def _folder(self, folder_id: str | None) -> tuple[Role | None, bool, bool]:
        """Of a folder: the role that things in it inherit, whether that is more than a link gives, and
        whether it is in the trash."""
        if folder_id is None:
            return None, False, False
        found = self._in_folder.get(folder_id)
        if found is None:
            folder = self.drive.files[folder_id]
            role, known = self._of(folder)
            found = "writer" if role == "owner" else role, known, self.trashed(folder)
            self._in_folder[folder_id] = found
        return found

    def _of(self, file: File) -> tuple[Role | None, bool]:
        role, known, _ = self._folder(file.parent)
        if file.drive is not None and file.parent is None:
            member = file.drive.members.get(self.account.id)
            role, known = (member.role, True) if member else (None, False)
        if file.owner is self.account:
            return "owner", True
        if file.permissions:
            given = file.permissions.get(self.account.id)
            anyone = file.permissions.get(ANYONE)
            role = highest(role, given.role if given else None, anyone.role if anyone else None)
            known = known or given is not None
        return role, known

    def role(self, file: File) -> Role | None:
        """The role, None where the file does not exist for the caller."""
        if self.only_own and self.client not in file.apps:
            return None
        return self._of(file)[0]

    def listed(self, file: File) -> bool:
        """Whether it is found without knowing its id, so not by a link only."""
        return self._of(file)[1] and self.role(file) is not None

    def trashed(self, file: File) -> bool:
        """Whether it, or a folder that it is in, is in the trash."""
        return file.trashed or self._folder(file.parent)[2]

    def parents(self, file: File) -> list[str]:
        """The folder it is in, if the caller may see that."""
        if file.parent is None or self.role(self.drive.files[file.parent]) is None:
            return []
        return [file.parent]

    def find(self, file_id: str, *, all_drives: bool, location: str = "fileId") -> File:
        """A file that the caller sees; without `all_drives` those of shared drives are not found."""
        file = self.drive.files.get(self.account.root if file_id == "root" else file_id)
        if file is None or self.role(file) is None or (file.drive is not None and not all_drives):
            raise not_found(file_id, location)
        return file

    def member_of(self, drive_id: str) -> SharedDrive:
        """A shared drive that the caller is in."""
        drive = self.drive.drives.get(drive_id)
        if drive is None or self.account.id not in drive.members:
            raise Refused(404, "notFound", f"Shared drive not found: {drive_id}", "driveId", "parameter")
        return drive

    def need(self, file: File, capability: str) -> None:
        """Refuse what the caller may not do with a file."""
        if not self.capabilities(file)[capability]:
            raise Refused(
                403,
                "insufficientFilePermissions",
                f"The user does not have sufficient permissions for file {file.id}.",
            )

    def can_download(self, file: File) -> bool:
        rank = RANK[self.role(file)]
        kept = file.copy_needs_writer or (file.drive is not None and file.drive.copy_needs_writer)
        return rank >= RANK["writer" if kept else "reader"] and file.mime_type != SHORTCUT

    def capabilities(self, file: File) -> Json:
        """Every capability that we tell, by Drive's names."""
        role = self.role(file)
        rank, folder, shared = RANK[role], file.is_folder, file.drive is not None
        root = file.parent is None and (shared or file.id == self.account.root)
        writer, organizes = rank >= RANK["writer"], rank >= RANK["fileOrganizer"]
        owner = role in ("owner", "organizer")
        trashes = organizes if shared else role == "owner"
        can: Json = {
            "canAddChildren": folder and writer,
            "canComment": rank >= RANK["commenter"],
            "canCopy": not folder and self.can_download(file),
            "canDelete": owner and not root,
            "canDownload": self.can_download(file),
            "canEdit": writer,
            "canListChildren": folder and rank >= 0,
            "canModifyContent": writer and not folder,
            "canMoveItemWithinDrive": (organizes if shared else writer) and not root,
            "canReadRevisions": writer and not folder,
            "canRename": writer and not root,
            "canShare": (organizes if folder else writer) if shared else writer,
            "canTrash": trashes and not root,
            "canUntrash": trashes and not root,
        }
        if shared:
            can |= {
                "canDeleteChildren": folder and role == "organizer",
                "canReadDrive": self.account.id in file.drive.members if file.drive else False,
                "canTrashChildren": folder and organizes,
            }
        else:
            can["canRemoveChildren"] = folder and writer
        return can

    def drive_capabilities(self, drive: SharedDrive) -> Json:
        """What the caller may do in a shared drive."""
        role = drive.members[self.account.id].role
        rank = RANK[role]
        kept: Role = "writer" if drive.copy_needs_writer else "reader"
        return {
            "canAddChildren": rank >= RANK["writer"],
            "canComment": rank >= RANK["commenter"],
            "canDeleteChildren": role == "organizer",
            "canDeleteDrive": role == "organizer",
            "canDownload": rank >= RANK[kept],
            "canEdit": rank >= RANK["writer"],
            "canListChildren": True,
            "canManageMembers": role == "organizer",
            "canReadRevisions": rank >= RANK["writer"],
            "canRename": rank >= RANK["writer"],
            "canShare": rank >= RANK["writer"],
            "canTrashChildren": rank >= RANK["fileOrganizer"],
        }
