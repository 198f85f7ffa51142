"""What can be done in a Google Drive, by whoever may: every change of files, and its trace in the logs."""

from __future__ import annotations

import mimetypes
from dataclasses import replace

from tests.vendors.gdrive_model import (
    ANYONE,
    SHORTCUT,
    Account,
    Content,
    Drive,
    File,
    Permission,
    Refused,
    Revision,
    Role,
    SharedDrive,
)

NO_STORAGE = (
    "Service Accounts do not have storage quota. Leverage shared drives "
    "(https://developers.google.com/workspace/drive/api/guides/about-shareddrives), or use OAuth delegation "
    "(http://support.google.com/a/answer/7281227) instead."
)
_KINDS = {".m4a": "audio/x-m4a", ".md": "text/markdown", ".opus": "audio/ogg", ".srt": "application/x-subrip"}


def guessed(name: str) -> str:
    """The type that Drive's own pages give a file of that name."""
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    return _KINDS.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def check_storage(drive: Drive, account: Account, folder: File, size: int) -> None:
    """Refuse what has no room: a service account owns nothing, a person has a quota."""
    if folder.drive is not None:
        return
    if account.is_service:
        raise Refused(403, "storageQuotaExceeded", NO_STORAGE, domain="usageLimits")
    check_quota(drive, account, size)


def check_quota(drive: Drive, owner: Account | None, size: int) -> None:
    if owner is not None and owner.quota is not None and drive.usage(owner) + size > owner.quota:
        message = "The user's Drive storage quota has been exceeded."
        raise Refused(403, "storageQuotaExceeded", message, domain="usageLimits")


def new_file(
    drive: Drive,
    *,
    name: str,
    mime_type: str,
    folder: File,
    by: Account,
    id: str | None = None,  # noqa: A002 - as Drive names it
) -> File:
    """A file that is in no log yet; `add` takes it in."""
    now = drive.clock()
    shared = folder.drive
    return File(
        id=id or drive.new_id(),
        name=name,
        mime_type=mime_type,
        parent=folder.id,
        created=now,
        modified=now,
        by=by,
        owner=None if shared else by,
        drive=shared,
        version=0,
    )


def add(drive: Drive, file: File, content: Content | None = None, source: str | None = None) -> File:
    """Take a new file in, with what is in it; `source` is the type of what a document is made from."""
    if content is not None:
        file.revisions.append(_revision(drive, file, content, file.by, source))
    drive.put(file)
    drive.touched(file)
    return file


def _revision(drive: Drive, file: File, content: Content, by: Account, source: str | None = None) -> Revision:
    return Revision(
        id=drive.new_id("0B", 51),
        content=content,
        modified=drive.clock(),
        mime_type=source or file.mime_type,
        by=by,
        original_name=file.name,
    )


def write(
    drive: Drive,
    file: File,
    content: Content,
    by: Account,
    *,
    source: str | None = None,
    keep: bool = False,
) -> None:
    """Give a file new content; earlier revisions stay."""
    file.revisions.append(_revision(drive, file, content, by, source))
    file.head.keep = keep
    file.modified, file.by = drive.clock(), by
    drive.touched(file)


def rename(drive: Drive, file: File, name: str, by: Account) -> None:
    file.name, file.modified, file.by = name, drive.clock(), by
    drive.touched(file)


def move(drive: Drive, file: File, folder: File, by: Account) -> None:
    """Put a file, or a folder with everything in it, into another folder or another drive."""
    if folder is file or file in drive.above(folder):
        raise Refused(403, "cannotMoveIntoDescendant", "A folder cannot be moved into itself.")
    before, old = drive.audience(file), file.drive
    if file.parent is not None:
        drive.children[file.parent].pop(file.id, None)
    file.parent = folder.id
    drive.put(file)
    if old is not folder.drive:
        for one in drive.inside(file):
            one.owner = None if folder.drive else one.owner or by
            one.drive = folder.drive
            if old is not None:
                old.log.add("file", one.id, drive.clock())
    drive.touched_folder(file, before)


def trash(drive: Drive, file: File, by: Account) -> None:
    file.trashed, file.trashed_at, file.trashed_by = True, drive.clock(), by
    drive.touched_folder(file)


def untrash(drive: Drive, file: File) -> None:
    file.trashed, file.trashed_at, file.trashed_by = False, None, None
    drive.touched_folder(file)


def delete(drive: Drive, file: File) -> None:
    """Delete for ever, a folder with everything in it."""
    gone = list(drive.inside(file))
    told = {one.id: (drive.audience(one), one.drive) for one in gone}
    for one in gone:
        del drive.files[one.id]
        drive.children.pop(one.id, None)
    if file.parent is not None:
        drive.children[file.parent].pop(file.id, None)
    for one in gone if drive.cascades else [file]:
        audience, shared = told[one.id]
        for name in sorted(audience):
            drive.accounts[name].log.add("file", one.id, drive.clock())
        if shared is not None:
            shared.log.add("file", one.id, drive.clock())


def share(drive: Drive, file: File, account: Account | None, role: Role) -> Permission:
    """Give somebody a role; None: anyone with the link."""
    permission = Permission(
        id=account.id if account else ANYONE,
        type="user" if account else "anyone",
        role=role,
        account=account,
    )
    file.permissions[permission.id] = permission
    if account is not None:
        file.shared_at[account.id] = drive.clock()
    drive.touched_folder(file)
    return permission


def unshare(drive: Drive, file: File, account: Account | None) -> None:
    before = drive.audience(file)
    file.permissions.pop(account.id if account else ANYONE)
    if account is not None:
        file.shared_at.pop(account.id, None)
    drive.touched_folder(file, before)


def join(drive: Drive, shared: SharedDrive, account: Account, role: Role) -> None:
    """Make somebody a member of a shared drive: one change in their log, none of the files in it."""
    permission = Permission(id=account.id, type="user", role=role, account=account)
    shared.members[account.id] = permission
    account.log.add("drive", shared.id, drive.clock())


def leave(drive: Drive, shared: SharedDrive, account: Account) -> None:
    del shared.members[account.id]
    account.log.add("drive", shared.id, drive.clock())


def copy(drive: Drive, file: File, folder: File, by: Account, *, name: str | None = None) -> File:
    """Another file with the same content; it has neither comments nor permissions of its own."""
    made = new_file(
        drive, name=name or f"Copy of {file.name}", mime_type=file.mime_type, folder=folder, by=by
    )
    made.description, made.properties = file.description, dict(file.properties)
    made.app_properties = {client: dict(found) for client, found in file.app_properties.items()}
    if not file.revisions:
        return add(drive, made)
    return add(drive, made, file.head.content, file.head.mime_type)


def shortcut(drive: Drive, target: File, folder: File, by: Account, *, name: str | None = None) -> File:
    """A shortcut; one to a shortcut points to where that one points."""
    made = new_file(drive, name=name or target.name, mime_type=SHORTCUT, folder=folder, by=by)
    made.target, made.target_mime = target.target or target.id, target.target_mime or target.mime_type
    return add(drive, made)


def rename_drive(drive: Drive, shared: SharedDrive, name: str) -> None:
    """Give a shared drive another name: a change in its log and in those of its members."""
    shared.name = drive.files[shared.id].name = name
    shared.log.add("drive", shared.id, drive.clock())
    for member in shared.members.values():
        if member.account is not None:
            member.account.log.add("drive", shared.id, drive.clock())


def fill(drive: Drive, folder: File, names: list[str], content: Content, by: Account) -> list[File]:
    """Many files with the same content at once, as fast as can be."""
    kind = guessed(names[0]) if names else ""
    first = new_file(drive, name="", mime_type=kind, folder=folder, by=by)
    revision = _revision(drive, first, content, by)
    now = drive.clock()
    made = [
        replace(
            first,
            id=drive.new_id(),
            name=name,
            version=1,
            revisions=[replace(revision, id=drive.new_id("0B", 51), original_name=name)],
            permissions={},
            properties={},
            app_properties={},
            apps=set(),
            comments=[],
            shared_at={},
        )
        for name in names
    ]
    for file in made:
        drive.put(file)
    logs = [drive.accounts[name].log for name in drive.audience(made[0])] if made else []
    for log in [*logs, *([folder.drive.log] if folder.drive else [])]:
        log.add_all([file.id for file in made], now)
    return made
