"""What people do in a Google Drive, at its own pages or through a desktop client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vendors import gdrive_store as store
from tests.vendors.gdrive_access import Access
from tests.vendors.gdrive_model import (
    DOCUMENT,
    FOLDER,
    Account,
    Comment,
    Content,
    Drive,
    File,
    Role,
    SharedDrive,
)


@dataclass(slots=True)
class People:
    """Everything that a person can do. `by` is who does it, else the owner of the folder, or of a shared
    drive its first organizer; what they may not do raises Refused."""

    drive: Drive

    # Accounts and drives

    def person(self, email: str, *, name: str = "", quota: int | None = None) -> Account:
        """Somebody with a My Drive; `quota` is in bytes."""
        return self._account(email, name or email.partition("@")[0].title(), quota=quota)

    def _account(
        self, email: str, name: str, *, quota: int | None = None, is_service: bool = False
    ) -> Account:
        drive = self.drive
        account = Account(
            id=f"{len(drive.accounts) + 1:020d}",
            email=email,
            name=name,
            log=drive.new_log(),
            quota=quota,
            is_service=is_service,
        )
        drive.accounts[account.id] = account
        now = drive.clock()
        account.root = drive.new_id("0A", 19)
        drive.put(
            File(
                id=account.root,
                name="My Drive",
                mime_type=FOLDER,
                parent=None,
                created=now,
                modified=now,
                by=account,
                owner=account,
            )
        )
        return account

    def shared_drive(self, name: str, members: Mapping[Account, Role]) -> SharedDrive:
        """A shared drive. Its root folder is `root` of it."""
        drive, now = self.drive, self.drive.clock()
        shared = SharedDrive(id=drive.new_id("0A", 19), name=name, created=now, log=drive.new_log())
        drive.drives[shared.id] = shared
        first = next(iter(members))
        drive.put(
            File(
                id=shared.id,
                name=name,
                mime_type=FOLDER,
                parent=None,
                created=now,
                modified=now,
                by=first,
                drive=shared,
            )
        )
        for account, role in members.items():
            store.join(drive, shared, account, role)
        return shared

    def root(self, of: Account | SharedDrive) -> File:
        """The folder at the top of somebody's My Drive or of a shared drive."""
        return self.drive.files[of.root if isinstance(of, Account) else of.id]

    def join(self, shared: SharedDrive, account: Account, role: Role) -> None:
        """Make somebody a member, or change their role."""
        store.join(self.drive, shared, account, role)

    def leave(self, shared: SharedDrive, account: Account) -> None:
        store.leave(self.drive, shared, account)

    def rename_drive(self, shared: SharedDrive, name: str) -> None:
        store.rename_drive(self.drive, shared, name)

    # Files

    def folder(self, where: File | Account | SharedDrive, name: str, *, by: Account | None = None) -> File:
        into, who = self._into(where, by)
        made = store.new_file(self.drive, name=name, mime_type=FOLDER, folder=into, by=who)
        return store.add(self.drive, made)

    def upload(
        self,
        where: File | Account | SharedDrive,
        name: str,
        data: bytes | Path,
        *,
        by: Account | None = None,
        mime_type: str | None = None,
    ) -> File:
        """Put a file somewhere; it appears once it is complete. Bytes of a path are not read into memory."""
        into, who = self._into(where, by)
        kind = mime_type or store.guessed(name)
        made = store.new_file(self.drive, name=name, mime_type=kind, folder=into, by=who)
        return store.add(self.drive, made, Content(data))

    def document(
        self, where: File | Account | SharedDrive, name: str, text: str, *, by: Account | None = None
    ) -> File:
        """A Google Doc."""
        into, who = self._into(where, by)
        made = store.new_file(self.drive, name=name, mime_type=DOCUMENT, folder=into, by=who)
        return store.add(self.drive, made, Content(text.encode()), "text/plain")

    def fill(
        self,
        where: File | Account | SharedDrive,
        names: Sequence[str],
        data: bytes = b"the same in all",
        *,
        by: Account | None = None,
    ) -> list[File]:
        """Many files with the same content at once; 100,000 take seconds."""
        into, who = self._into(where, by)
        return store.fill(self.drive, into, list(names), Content(data), who)

    def replace(self, file: File, data: bytes | Path, *, by: Account | None = None) -> None:
        """Upload a new version."""
        who = self._may(file, by, "canModifyContent")
        store.write(self.drive, file, Content(data), who)

    def rename(self, file: File, name: str, *, by: Account | None = None) -> None:
        store.rename(self.drive, file, name, self._may(file, by, "canRename"))

    def describe(self, file: File, text: str, *, by: Account | None = None) -> None:
        file.description, file.by = text, self._may(file, by, "canEdit")
        self.drive.touched(file)

    def move(self, file: File, where: File | Account | SharedDrive, *, by: Account | None = None) -> None:
        """Into another folder, also of another drive."""
        who = self._may(file, by, "canMoveItemWithinDrive")
        store.move(self.drive, file, self._into(where, who)[0], who)

    def copy(
        self,
        file: File,
        where: File | Account | SharedDrive | None = None,
        *,
        name: str | None = None,
        by: Account | None = None,
    ) -> File:
        who = self._may(file, by, "canCopy")
        into, who = self._into(where or self.drive.files[file.parent or ""], who)
        return store.copy(self.drive, file, into, who, name=name)

    def trash(self, file: File, *, by: Account | None = None) -> None:
        store.trash(self.drive, file, self._may(file, by, "canTrash"))

    def untrash(self, file: File, *, by: Account | None = None) -> None:
        self._may(file, by, "canUntrash")
        store.untrash(self.drive, file)

    def delete(self, file: File, *, by: Account | None = None) -> None:
        """For ever, with everything in it."""
        self._may(file, by, "canDelete")
        store.delete(self.drive, file)

    def make_shortcut(
        self,
        file: File,
        where: File | Account | SharedDrive,
        *,
        name: str | None = None,
        by: Account | None = None,
    ) -> File:
        into, who = self._into(where, by)
        return store.shortcut(self.drive, file, into, who, name=name)

    def comment(self, file: File, text: str, *, by: Account | None = None) -> Comment:
        who = self._may(file, by, "canComment")
        made = Comment(id=self.drive.new_id("AAAA", 11), author=who, content=text, created=self.drive.clock())
        file.comments.append(made)
        self.drive.touched(file)
        return made

    # Who may see and do what

    def share(self, file: File, account: Account | None, role: Role = "reader") -> None:
        """Give somebody a role; None: anyone with the link."""
        store.share(self.drive, file, account, role)

    def unshare(self, file: File, account: Account | None) -> None:
        store.unshare(self.drive, file, account)

    def forbid_download(self, file: File, *, forbid: bool = True) -> None:
        """Readers and commenters may not download, print or copy it."""
        file.copy_needs_writer = forbid
        self.drive.touched(file)

    def flag_abuse(self, file: File) -> None:
        """Google takes it for malware."""
        file.abusive = True
        self.drive.touched(file)

    # Looking

    def files_in(self, where: File | Account | SharedDrive, *, trashed: bool = False) -> list[File]:
        """What is in a folder and not in the trash (or what of it is), by name."""
        folder = where if isinstance(where, File) else self.root(where)
        found = self.drive.children.get(folder.id, {}).values()
        return sorted((file for file in found if file.trashed == trashed), key=lambda file: file.name)

    def named(self, where: File | Account | SharedDrive, name: str) -> File:
        """The only file of that name in a folder."""
        (found,) = [file for file in self.files_in(where) if file.name == name]
        return found

    def hold_search(self) -> None:
        """From now on searches do not find new files, as if the index came behind."""
        self.drive.search_held = True

    def release_search(self) -> None:
        self.drive.search_held = False
        self.drive.not_found_yet.clear()

    def _first(self, file: File) -> Account:
        for one in [file, *self.drive.above(file)]:
            if one.owner is not None:
                return one.owner
        members = file.drive.members.values() if file.drive else ()
        return next(m.account for m in members if m.role == "organizer" and m.account is not None)

    def _into(self, where: File | Account | SharedDrive, by: Account | None) -> tuple[File, Account]:
        folder = where if isinstance(where, File) else self.root(where)
        who = by or self._first(folder)
        access = Access(self.drive, who)
        access.need(folder, "canAddChildren")
        return folder, who

    def _may(self, file: File, by: Account | None, capability: str) -> Account:
        who = by or self._first(file)
        Access(self.drive, who).need(file, capability)
        return who
