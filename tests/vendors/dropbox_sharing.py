"""sharing/*, users/*, check/* and auth/*: what a link leads to, shared folders, and whose account it is."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.vendors import dropbox_payloads as payloads
from tests.vendors.dropbox_api import Api, Download, Endpoint, Incoming
from tests.vendors.dropbox_model import (
    CannotFind,
    File,
    Folder,
    Json,
    Namespace,
    Node,
    Refused,
    SharedLink,
    lower,
)
from tests.vendors.dropbox_view import View, split


def _same(one: str, other: str) -> bool:
    """Whether two addresses are one link: what people copy differs in `dl` and `st`."""
    first, second = urlsplit(one), urlsplit(other)
    return (first.netloc, first.path) == (second.netloc, second.path) and (
        parse_qs(first.query).get("rlkey") == parse_qs(second.query).get("rlkey")
    )


def _behind(api: Api, view: View, arg: Any) -> tuple[SharedLink, Node]:
    link = next((link for link in api.storage.links if _same(link.url, arg.url)), None)
    if link is None or link.audience == "no_one" or not _exists(api, link):
        raise Refused({".tag": "shared_link_not_found"})
    outside = link.audience == "team" and (
        link.owner.team is None or view.account.team is not link.owner.team
    )
    if link.owner is not view.account and (outside or arg.link_password != link.password):
        raise Refused({".tag": "shared_link_access_denied"})
    node = link.node
    try:
        for name in split(arg.path or ""):
            node = node.children[lower(name)] if isinstance(node, Folder) else node
    except (KeyError, CannotFind):
        raise Refused({".tag": "shared_link_not_found"}) from None
    return link, node


def _exists(api: Api, link: SharedLink) -> bool:
    return api.storage.view(link.owner, link.owner.root).names(link.node) is not None


def _link_metadata(api: Api, incoming: Incoming, arg: Any) -> Json:
    link, node = _behind(api, incoming.view, arg)
    return payloads.shared_link(incoming.view, link, node)


def _link_file(api: Api, incoming: Incoming, arg: Any) -> Download:
    link, node = _behind(api, incoming.view, arg)
    if not isinstance(node, File):
        raise Refused({".tag": "shared_link_is_directory"})
    if not link.downloads:
        raise Refused({".tag": "shared_link_access_denied"})
    return Download(metadata=payloads.shared_link(incoming.view, link, node), revision=node.current)


def _shared(api: Api, view: View) -> list[Namespace]:
    return [n for n in api.storage.namespaces.values() if n.is_shared and view.access(n) is not None]


def _folder_page(api: Api, view: View, start: int, limit: int) -> Json:
    shared = _shared(api, view)
    answer: Json = {
        "entries": [payloads.shared_folder(view, namespace) for namespace in shared[start : start + limit]]
    }
    if start + limit < len(shared):
        answer["cursor"] = f"AAE{start + limit}-{limit}"
    return answer


def _list_folders(api: Api, incoming: Incoming, arg: Any) -> Json:
    return _folder_page(api, incoming.view, 0, arg.limit)


def _list_folders_continue(api: Api, incoming: Incoming, arg: Any) -> Json:
    start, _, limit = arg.cursor.removeprefix("AAE").partition("-")
    if not (start.isdecimal() and limit.isdecimal()):
        raise Refused({".tag": "invalid_cursor"})
    return _folder_page(api, incoming.view, int(start), int(limit))


def _folder_metadata(api: Api, incoming: Incoming, arg: Any) -> Json:
    namespace = api.storage.namespaces.get(arg.shared_folder_id)
    if namespace is None or not namespace.is_shared:
        raise Refused({".tag": "invalid_id"})
    if incoming.view.access(namespace) is None:
        raise Refused({".tag": "not_a_member"})
    return payloads.shared_folder(incoming.view, namespace)


def _current_account(api: Api, incoming: Incoming, arg: Any) -> Json:
    return payloads.full_account(incoming.view.account)


def _echo(api: Api, incoming: Incoming, arg: Any) -> Json:
    return {"result": arg.query}


def _revoke(api: Api, incoming: Incoming, arg: Any) -> None:
    assert incoming.grant is not None
    incoming.grant.revoked = True


ENDPOINTS = {
    "auth/token/revoke": Endpoint(_revoke),
    "check/app": Endpoint(_echo),
    "check/user": Endpoint(_echo, "account_info.read"),
    "sharing/get_folder_metadata": Endpoint(_folder_metadata, "sharing.read"),
    "sharing/get_shared_link_file": Endpoint(_link_file, "sharing.read"),
    "sharing/get_shared_link_metadata": Endpoint(_link_metadata, "sharing.read"),
    "sharing/list_folders": Endpoint(_list_folders, "sharing.read"),
    "sharing/list_folders/continue": Endpoint(_list_folders_continue, "sharing.read"),
    "users/get_current_account": Endpoint(_current_account, "account_info.read"),
}
