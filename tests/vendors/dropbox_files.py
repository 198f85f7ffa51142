"""files/*: listing, metadata, folders, moving, copying, deleting, and tags."""

from __future__ import annotations

from typing import Any

from tests.vendors import dropbox_payloads as payloads
from tests.vendors.dropbox_api import Api, Endpoint, Incoming
from tests.vendors.dropbox_model import (
    CannotFind,
    CannotWrite,
    File,
    Folder,
    Json,
    Node,
    Refused,
    bad_input,
    lower,
    namespace_of,
    path_in,
)
from tests.vendors.dropbox_view import View

MAX_TAGS = 20


def found(view: View, path: str, tag: str = "path") -> Node:
    """What is at a path. Raises Refused with the LookupError under `tag`."""
    try:
        return view.find(path)
    except CannotFind as error:
        raise Refused({".tag": tag, tag: error.reason}) from None


def refused_write(error: CannotWrite, tag: str) -> Refused:
    return Refused({".tag": tag, tag: error.reason})


def _folder(incoming: Incoming, arg: Any) -> Folder:
    if arg.path == "/":
        problem = 'path: Specify the root folder as an empty string rather than as "/".'
        raise bad_input(incoming.route, problem)
    if arg.shared_link is not None or arg.include_property_groups is not None:
        raise bad_input(incoming.route, "this server lists without shared_link and include_property_groups")
    node = found(incoming.view, arg.path)
    if not isinstance(node, Folder):
        raise Refused({".tag": "path", "path": {".tag": "not_folder"}})
    return node


def _list_folder(api: Api, incoming: Incoming, arg: Any) -> Json:
    return api.cursors.page(api.cursors.list_folder(incoming.view, _folder(incoming, arg), arg))


def _latest(api: Api, incoming: Incoming, arg: Any) -> Json:
    cursor = api.cursors.list_folder(incoming.view, _folder(incoming, arg), arg, latest=True)
    return {"cursor": api.cursors.token(cursor)}


def _continue(api: Api, incoming: Incoming, arg: Any) -> Json:
    return api.cursors.page(api.cursors.resume(incoming.route, arg.cursor, only=incoming.view))


async def _longpoll(api: Api, incoming: Incoming, arg: Any) -> Json:
    return await api.longpoll.wait(incoming.route, arg.cursor, arg.timeout)


def _get_metadata(api: Api, incoming: Incoming, arg: Any) -> Json:
    if arg.path in ("", "/"):
        raise bad_input(incoming.route, "path: The root folder is unsupported.")
    view = incoming.view
    if arg.path.startswith("rev:"):
        file, revision = api.storage.revs.get(arg.path.removeprefix("rev:"), (None, None))
        if file is None or view.names(file) is None:
            raise Refused({".tag": "path", "path": {".tag": "not_found"}})
        return payloads.metadata(view, file, revision=revision, careless=api.cursors.careless_case)
    try:
        node = view.find(arg.path)
    except CannotFind as error:
        if arg.include_deleted and (names := _deleted(view, arg.path)):
            return payloads.deleted(names)
        raise Refused({".tag": "path", "path": error.reason}) from None
    return payloads.metadata(view, node, careless=api.cursors.careless_case)


def _deleted(view: View, path: str) -> list[str] | None:
    """The names to something deleted."""
    above, _, name = path.rpartition("/")
    try:
        folder = view.find(above)
        assert isinstance(folder, Folder)
        gone = namespace_of(folder.inside).deleted.get(f"{path_in(folder.inside)}/{lower(name)}")
        return None if gone is None else [*(view.names(folder) or []), gone[1].name]
    except (CannotFind, AssertionError):
        return None


def _create_folder(api: Api, incoming: Incoming, arg: Any) -> Json:
    try:
        folder = api.storage.make_folder(incoming.view, arg.path, autorename=arg.autorename)
    except CannotWrite as error:
        raise refused_write(error, "path") from None
    return {"metadata": payloads.untagged(payloads.metadata(incoming.view, folder))}


def _delete(api: Api, incoming: Incoming, arg: Any) -> Json:
    view = incoming.view
    node = found(view, arg.path, "path_lookup")
    answer = payloads.metadata(view, node)
    if arg.parent_rev is not None and (not isinstance(node, File) or node.rev != arg.parent_rev):
        raise refused_write(
            CannotWrite("conflict", "file" if isinstance(node, File) else "folder"), "path_write"
        )
    try:
        view.check_removable(node)
    except CannotWrite as error:
        raise refused_write(error, "path_write") from None
    api.storage.remove(node)
    return {"metadata": answer}


def _source(view: View, arg: Any) -> Node:
    node = found(view, arg.from_path, "from_lookup")
    if node.parent is None:
        raise Refused({".tag": "from_lookup", "from_lookup": {".tag": "malformed_path"}})
    return node


def _move(api: Api, incoming: Incoming, arg: Any) -> Json:
    view = incoming.view
    node = _source(view, arg)
    try:
        view.check_removable(node)
    except CannotWrite as error:
        raise refused_write(error, "from_write") from None
    try:
        moved = api.storage.move(view, node, arg.to_path, autorename=arg.autorename)
    except CannotWrite as error:
        raise refused_write(error, "to") from None
    return {"metadata": payloads.metadata(view, moved)}


def _copy(api: Api, incoming: Incoming, arg: Any) -> Json:
    view = incoming.view
    try:
        copy = api.storage.copy(view, _source(view, arg), arg.to_path, autorename=arg.autorename)
    except CannotWrite as error:
        raise refused_write(error, "to") from None
    return {"metadata": payloads.metadata(view, copy)}


def _add_tag(api: Api, incoming: Incoming, arg: Any) -> None:
    node, tag = found(incoming.view, arg.path), arg.tag_text.lower()
    if tag not in node.tags:
        if len(node.tags) >= MAX_TAGS:
            raise Refused({".tag": "too_many_tags"})
        node.tags.append(tag)


def _remove_tag(api: Api, incoming: Incoming, arg: Any) -> None:
    node, tag = found(incoming.view, arg.path), arg.tag_text.lower()
    if tag not in node.tags:
        raise Refused({".tag": "tag_not_present"})
    node.tags.remove(tag)


def _get_tags(api: Api, incoming: Incoming, arg: Any) -> Json:
    return {
        "paths_to_tags": [
            {
                "path": path,
                "tags": [
                    {".tag": "user_generated_tag", "tag_text": tag} for tag in found(incoming.view, path).tags
                ],
            }
            for path in arg.paths
        ]
    }


ENDPOINTS = {
    "files/copy_v2": Endpoint(_copy, "files.content.write"),
    "files/create_folder_v2": Endpoint(_create_folder, "files.content.write"),
    "files/delete_v2": Endpoint(_delete, "files.content.write"),
    "files/get_metadata": Endpoint(_get_metadata, "files.metadata.read"),
    "files/list_folder": Endpoint(_list_folder, "files.metadata.read"),
    "files/list_folder/continue": Endpoint(_continue, "files.metadata.read"),
    "files/list_folder/get_latest_cursor": Endpoint(_latest, "files.metadata.read"),
    "files/list_folder/longpoll": Endpoint(_longpoll),
    "files/move_v2": Endpoint(_move, "files.content.write"),
    "files/tags/add": Endpoint(_add_tag, "files.metadata.write"),
    "files/tags/get": Endpoint(_get_tags, "files.metadata.read"),
    "files/tags/remove": Endpoint(_remove_tag, "files.metadata.write"),
}
