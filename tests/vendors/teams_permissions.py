"""Which application permissions of Graph each operation needs, and how Graph refuses without them."""

from __future__ import annotations

from collections.abc import Mapping

from tests.vendors.teams_items import Drive
from tests.vendors.teams_traffic import Refused

_READ = ("Files.Read.All", "Files.ReadWrite.All", "Sites.Read.All", "Sites.ReadWrite.All")
_WRITE = ("Files.ReadWrite.All", "Sites.ReadWrite.All")

PERMISSIONS: Mapping[str, tuple[str, ...]] = {
    "channel message": ("ChannelMessage.Read.All", "Group.Read.All", "Group.ReadWrite.All"),
    "chat message": ("Chat.Read.All", "Chat.ReadWrite.All"),
    "chat members": (
        *("ChatMember.Read.All", "ChatMember.ReadWrite.All", "Chat.ReadBasic.All", "Chat.Read.All"),
        "Chat.ReadWrite.All",
    ),
    "team": ("Team.ReadBasic.All", "TeamSettings.Read.All", "TeamSettings.ReadWrite.All"),
    "team members": ("TeamMember.Read.All", "TeamMember.ReadWrite.All"),
    "owners": ("GroupMember.Read.All", "Group.Read.All", "Directory.Read.All"),
    "user": ("User.ReadBasic.All", "User.Read.All", "User.ReadWrite.All", "Directory.Read.All"),
    "files folder": ("Files.Read.All", "Files.ReadWrite.All", "Group.Read.All", "Group.ReadWrite.All"),
    # The page on shares lists writing as the least (platforms.md). People report that reading is enough.
    "shares": _WRITE,
    "item": _READ,
    "content": _READ,
    "children": _READ,
    "permissions": _READ,
    "drive": _READ,
    "put content": _WRITE,
    # The page lists Sites.ReadWrite.All alone; that Files.ReadWrite.All is enough is unverified.
    "upload session": _WRITE,
    "create link": _WRITE,
    "invite": _WRITE,
    "delete item": _WRITE,
}
"""Operation -> any one of these is enough (Graph's reference, version 1.0, application permissions)."""

RSC: Mapping[str, tuple[str, ...]] = {
    "channel message": ("ChannelMessage.Read.Group",),
    "chat message": ("ChatMessage.Read.Chat",),
    "chat members": ("ChatMember.Read.Chat", "Chat.Manage.Chat"),
    "team": ("TeamSettings.Read.Group", "TeamSettings.ReadWrite.Group"),
    "team members": ("TeamMember.Read.Group",),
}
"""Operation -> resource-specific consent that is enough in the team or chat it was given in."""

_TEAMS = frozenset({"channel message", "chat message", "chat members", "team", "team members"})
_DIRECTORY = frozenset({"owners", "user"})
_WRITES = frozenset({"put content", "upload session", "create link", "invite", "delete item"})
_NEVER_SELECTED = frozenset({"files folder", "shares"})


def check(
    operation: str,
    roles: frozenset[str],
    *,
    wanted: Mapping[str, tuple[str, ...]] = PERMISSIONS,
    rsc: frozenset[str] = frozenset(),
    drive: Drive | None = None,
) -> None:
    """Refuse a caller that lacks every permission for an operation.

    `rsc` is what the team or chat consented to, `drive` where the file is. Teams names the permissions that
    are missing, the directory and files do not.
    """
    if roles & set(wanted[operation]) or rsc & set(RSC.get(operation, ())):
        return
    if drive is not None and "Sites.Selected" in roles and _selected(operation, drive):
        return
    if operation in _TEAMS:
        raise Refused(
            403,
            "Forbidden",
            "Missing role permissions on the request. API requires one of "
            f"'{', '.join((*wanted[operation], *RSC.get(operation, ())))}'. "
            f"Roles on the request '{', '.join(sorted(roles))}'.",
        )
    if operation in _DIRECTORY:
        message = "Insufficient privileges to complete the operation."
        raise Refused(403, "Authorization_RequestDenied", message)
    if not roles:
        raise Refused(403, "AccessDenied", "Either scp or roles claim need to be present in the token.")
    raise Refused(403, "accessDenied", "Access denied")


def _selected(operation: str, drive: Drive) -> bool:
    """Whether Sites.Selected reaches into a drive. The reference lists it neither for a channel's folder nor
    for sharing addresses."""
    if operation in _NEVER_SELECTED:
        return False
    return drive.granted == "write" or (drive.granted == "read" and operation not in _WRITES)
