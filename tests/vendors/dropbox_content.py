"""files/*: uploads, upload sessions, downloads and temporary links."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from aiohttp import web

from tests.vendors import dropbox_payloads as payloads
from tests.vendors.dropbox_api import Api, Download, Endpoint, Incoming, send
from tests.vendors.dropbox_files import found
from tests.vendors.dropbox_model import (
    BLOCK,
    CannotWrite,
    Content,
    File,
    Json,
    Refused,
    Revision,
    content,
    content_hash,
)

SESSION_LIFE = 7 * 86_400  # seconds
LINK_LIFE = 4 * 3_600  # seconds


@dataclass(slots=True, kw_only=True)
class Session:
    """An upload session. Parts of a concurrent one may come in any order, by where they begin."""

    owner: str
    until: float
    concurrent: bool
    closed: bool = False
    parts: dict[int, bytes] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(map(len, self.parts.values()))

    def whole(self) -> bytes:
        return b"".join(self.parts[at] for at in sorted(self.parts))


def _check_body(api: Api, incoming: Incoming, arg: Any) -> None:
    if len(incoming.body) > api.max_request:
        raise Refused({".tag": "payload_too_large"})
    if arg.content_hash is not None and content_hash(iter([incoming.body])) != arg.content_hash:
        raise Refused({".tag": "content_hash_mismatch"})


def _commit(api: Api, incoming: Incoming, arg: Any, data: Content, refuse: Callable[[Json], Json]) -> Json:
    mode = arg.mode
    modified = None if arg.client_modified is None else arg.client_modified.replace(tzinfo=UTC).timestamp()
    try:
        file = api.storage.put(
            incoming.view,
            arg.path,
            data,
            mode="update" if mode.is_update() else "overwrite" if mode.is_overwrite() else "add",
            rev=mode.get_update() if mode.is_update() else None,
            autorename=arg.autorename,
            strict=arg.strict_conflict,
            client_modified=modified,
        )
    except CannotWrite as error:
        raise Refused(refuse(error.reason)) from None
    metadata = payloads.metadata(incoming.view, file, careless=api.cursors.careless_case)
    return payloads.untagged(metadata)


def _upload(api: Api, incoming: Incoming, arg: Any) -> Json:
    _check_body(api, incoming, arg)

    def refuse(reason: Json) -> Json:
        session = _open(api, incoming, concurrent=False)
        api.sessions[session].parts = {0: incoming.body}
        return {".tag": "path", "reason": reason, "upload_session_id": session}

    return _commit(api, incoming, arg, content(incoming.body), refuse)


def _open(api: Api, incoming: Incoming, *, concurrent: bool) -> str:
    until = api.storage.clock() + SESSION_LIFE
    name = api.storage.new_id("pid_upload_session:")
    api.sessions[name] = Session(owner=incoming.view.account.id, until=until, concurrent=concurrent)
    return name


def _session(api: Api, incoming: Incoming, cursor: Any) -> Session | None:
    session: Session | None = api.sessions.get(cursor.session_id)
    if session is None or session.owner != incoming.view.account.id or api.storage.clock() >= session.until:
        return None
    return session


def _start(api: Api, incoming: Incoming, arg: Any) -> Json:
    _check_body(api, incoming, arg)
    concurrent = arg.session_type is not None and arg.session_type.is_concurrent()
    if concurrent and incoming.body:
        raise Refused({".tag": "concurrent_session_data_not_allowed"})
    if concurrent and arg.close:
        raise Refused({".tag": "concurrent_session_close_not_allowed"})
    name = _open(api, incoming, concurrent=concurrent)
    session = api.sessions[name]
    if incoming.body:
        session.parts[0] = incoming.body
    session.closed = arg.close
    return {"session_id": name}


def _append(api: Api, incoming: Incoming, arg: Any) -> None:
    _check_body(api, incoming, arg)
    session, offset = _session(api, incoming, arg.cursor), arg.cursor.offset
    if session is None:
        raise Refused({".tag": "not_found"})
    if session.closed and not session.concurrent:
        raise Refused({".tag": "closed"})
    if session.concurrent:
        if offset % BLOCK:
            raise Refused({".tag": "concurrent_session_invalid_offset"})
        if len(incoming.body) % BLOCK and not arg.close:
            raise Refused({".tag": "concurrent_session_invalid_data_size"})
    elif offset != session.size:
        raise Refused({".tag": "incorrect_offset", "correct_offset": session.size})
    if incoming.body:
        session.parts[offset] = incoming.body
    session.closed = session.closed or arg.close


def _finish(api: Api, incoming: Incoming, arg: Any) -> Json:
    _check_body(api, incoming, arg)
    session, offset = _session(api, incoming, arg.cursor), arg.cursor.offset
    if session is None:
        raise Refused({".tag": "lookup_failed", "lookup_failed": {".tag": "not_found"}})
    if session.concurrent:
        if incoming.body:
            raise Refused({".tag": "concurrent_session_data_not_allowed"})
        if not session.closed:
            raise Refused({".tag": "concurrent_session_not_closed"})
        reached = 0
        for at in sorted(session.parts):
            if at != reached:
                raise Refused({".tag": "concurrent_session_missing_data"})
            reached += len(session.parts[at])
    if offset != session.size:
        failed = {".tag": "incorrect_offset", "correct_offset": session.size}
        raise Refused({".tag": "lookup_failed", "lookup_failed": failed})
    whole = content(session.whole() + incoming.body)
    answer = _commit(api, incoming, arg.commit, whole, lambda reason: {".tag": "path", "path": reason})
    del api.sessions[arg.cursor.session_id]
    return answer


def _wanted(api: Api, incoming: Incoming, path: str) -> tuple[File, Revision]:
    if path.startswith("rev:"):
        file, revision = api.storage.revs.get(path.removeprefix("rev:"), (None, None))
        if file is None or revision is None or incoming.view.names(file) is None:
            raise Refused({".tag": "path", "path": {".tag": "not_found"}})
        return file, revision
    node = found(incoming.view, path)
    if not isinstance(node, File):
        raise Refused({".tag": "path", "path": {".tag": "not_file"}})
    return node, node.current


def _download(api: Api, incoming: Incoming, arg: Any) -> Download:
    file, revision = _wanted(api, incoming, arg.path if arg.rev is None else f"rev:{arg.rev}")
    metadata = payloads.metadata(incoming.view, file, revision=revision, careless=api.cursors.careless_case)
    return Download(metadata=payloads.untagged(metadata), revision=revision)


def _temporary_link(api: Api, incoming: Incoming, arg: Any) -> Json:
    file, revision = _wanted(api, incoming, arg.path)
    key = api.storage.new_id("")
    api.temporary[key] = (file, revision, api.storage.clock() + LINK_LIFE)
    metadata = payloads.untagged(payloads.metadata(incoming.view, file))
    return {"metadata": metadata, "link": f"{api.origin}/cd/0/get/{key}/file"}


async def temporary(api: Api, request: web.Request) -> web.StreamResponse:
    """A download by a temporary link, which needs no token."""
    if "Authorization" in request.headers:
        api.violations.append("a temporary link was sent an Authorization header")
    _, revision, until = api.temporary.get(request.match_info["key"], (None, None, 0.0))
    if revision is None:
        return web.Response(status=404, text="Not Found")
    if api.storage.clock() >= until:
        return web.Response(status=410, text="Gone")
    return await send(request, revision.content, {}, etag=f'W/"{revision.rev}"')


ENDPOINTS = {
    "files/download": Endpoint(_download, "files.content.read"),
    "files/get_temporary_link": Endpoint(_temporary_link, "files.content.read"),
    "files/upload": Endpoint(_upload, "files.content.write"),
    "files/upload_session/append_v2": Endpoint(_append, "files.content.write"),
    "files/upload_session/finish": Endpoint(_finish, "files.content.write"),
    "files/upload_session/start": Endpoint(_start, "files.content.write"),
}
