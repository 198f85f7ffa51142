"""Metadata of files, folders, accounts and links as Dropbox sends them."""

from __future__ import annotations

from tests.vendors.dropbox_model import (
    Account,
    File,
    Folder,
    Json,
    Namespace,
    Node,
    Revision,
    SharedLink,
    lower,
    namespace_of,
    stamp,
)
from tests.vendors.dropbox_view import View


def paths(names: list[str], *, careless: bool = False) -> Json:
    """The path fields; `careless`: only the last name has the right case, which is all that is promised."""
    path = "".join(f"/{name}" for name in names)
    display = lower(path[: -len(names[-1])]) + names[-1] if careless else path
    return {"path_lower": lower(path), "path_display": display}


def metadata(view: View, node: Node, *, revision: Revision | None = None, careless: bool = False) -> Json:
    """FileMetadata or FolderMetadata, with its tag."""
    names = view.names(node)
    where = namespace_of(node)
    answer: Json = {".tag": "file" if isinstance(node, File) else "folder", "name": node.name, "id": node.id}
    if names:
        answer |= paths(names, careless=careless)
    if where.is_shared:
        answer["parent_shared_folder_id"] = where.id
    if isinstance(node, File):
        return answer | _file(view, revision or node.current, where)
    assert isinstance(node, Folder)
    if node.mounts is not None:
        read_only = view.access(node.mounts) == "viewer"
        answer["shared_folder_id"] = node.mounts.id
        answer["sharing_info"] = {
            "read_only": read_only,
            "shared_folder_id": node.mounts.id,
            "traverse_only": False,
            "no_access": False,
        }
    elif where.is_shared:
        answer["sharing_info"] = {
            "read_only": view.access(where) == "viewer",
            "parent_shared_folder_id": where.id,
            "traverse_only": False,
            "no_access": False,
        }
    return answer


def _file(view: View, revision: Revision, where: Namespace) -> Json:
    answer: Json = {
        "client_modified": stamp(revision.client_modified),
        "server_modified": stamp(revision.server_modified),
        "rev": revision.rev,
        "size": revision.content.size,
        "is_downloadable": True,
        "content_hash": revision.content.hash,
    }
    if where.is_shared:
        answer["sharing_info"] = {
            "read_only": view.access(where) == "viewer",
            "parent_shared_folder_id": where.id,
            "modified_by": revision.modified_by,
        }
    return answer


def deleted(names: list[str], *, careless: bool = False) -> Json:
    """DeletedMetadata."""
    return {".tag": "deleted", "name": names[-1], **paths(names, careless=careless)}


def untagged(answer: Json) -> Json:
    """Metadata where its type is known already."""
    return {name: value for name, value in answer.items() if name != ".tag"}


def root_info(account: Account) -> Json:
    """RootInfo."""
    answer: Json = {
        ".tag": "user" if account.team is None else "team",
        "root_namespace_id": account.root.id,
        "home_namespace_id": account.home.id,
    }
    if account.team is not None:
        mount = next(m for m in account.home.mounted if namespace_of(m) is account.root)
        answer["home_path"] = f"/{mount.name}"
    return answer


def full_account(account: Account) -> Json:
    """FullAccount."""
    given, _, surname = account.name.partition(" ")
    answer: Json = {
        "account_id": account.id,
        "name": {
            "given_name": given,
            "surname": surname,
            "familiar_name": given,
            "display_name": account.name,
            "abbreviated_name": "".join(part[0] for part in account.name.split()),
        },
        "email": account.email,
        "email_verified": True,
        "disabled": False,
        "locale": "en",
        "referral_link": "https://www.dropbox.com/referrals/AAC0",
        "is_paired": False,
        "account_type": {".tag": "basic" if account.team is None else "business"},
        "root_info": root_info(account),
        "country": "CH",
    }
    if account.team is not None:
        answer["team_member_id"] = account.member_id
        answer["team"] = {
            "id": account.team.id,
            "name": account.team.name,
            "sharing_policies": {
                "shared_folder_member_policy": {".tag": "team"},
                "shared_folder_join_policy": {".tag": "from_anyone"},
                "shared_link_create_policy": {".tag": "team_only"},
                "group_creation_policy": {".tag": "admins_only"},
                "shared_folder_link_restriction_policy": {".tag": "anyone"},
                "enforce_link_password_policy": {".tag": "optional"},
                "default_link_expiration_days_policy": {".tag": "none"},
                "shared_link_default_permissions_policy": {".tag": "default"},
            },
            "office_addin_policy": {".tag": "disabled"},
            "top_level_content_policy": {".tag": "admin_only"},
        }
    return answer


def _who_may_follow(link: SharedLink) -> Json:
    if link.told == "audience":
        return {
            "effective_audience": {".tag": link.audience},
            "link_access_level": {".tag": "viewer"},
            "require_password": link.password is not None,
        }
    visibility = {"public": "public", "team": "team_only", "no_one": "no_one"}[link.audience]
    return {"resolved_visibility": {".tag": "password" if link.password else visibility}}


def shared_link(view: View, link: SharedLink, node: Node) -> Json:
    """SharedLinkMetadata of what a link leads to."""
    path = view.path(node)
    mine = link.owner is view.account
    answer: Json = {
        ".tag": "file" if isinstance(node, File) else "folder",
        "url": link.url,
        "id": node.id,
        "name": node.name,
        "link_permissions": {
            "can_revoke": mine,
            **_who_may_follow(link),
            "visibility_policies": [],
            "can_set_expiry": False,
            "can_remove_expiry": False,
            "allow_download": link.downloads,
            "can_allow_download": mine,
            "can_disallow_download": mine,
            "allow_comments": True,
            "team_restricts_comments": False,
        },
        "created_timestamp": stamp(link.created),
    }
    if path:
        answer["path_lower"] = path
    if link.owner.team is not None:
        team = {"id": link.owner.team.id, "name": link.owner.team.name}
        answer["team_member_info"] = {"team_info": team, "display_name": link.owner.name}
    if isinstance(node, File):
        current = node.current
        answer |= {
            "client_modified": stamp(current.client_modified),
            "server_modified": stamp(current.server_modified),
            "rev": current.rev,
            "size": current.content.size,
        }
    return answer


def shared_folder(view: View, namespace: Namespace) -> Json:
    """SharedFolderMetadata."""
    level = view.access(namespace)
    names = view.names_before(namespace)
    answer: Json = {
        "access_type": {".tag": level},
        "is_inside_team_folder": False,
        "is_team_folder": namespace.kind == "team_folder",
        "name": namespace.name,
        "policy": {
            "acl_update_policy": {".tag": "editors"},
            "shared_link_policy": {".tag": "anyone"},
            "member_policy": {".tag": "anyone"},
            "resolved_member_policy": {".tag": "anyone"},
        },
        "preview_url": f"https://www.dropbox.com/scl/fo/{namespace.id}",
        "shared_folder_id": namespace.id,
        "time_invited": stamp(namespace.since),
        "access_inheritance": {".tag": "inherit"},
        "folder_id": namespace.top.id,
    }
    return answer | (paths(names) if names else {})
