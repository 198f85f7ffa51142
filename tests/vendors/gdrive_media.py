"""Bytes on their way: downloads, by ranges or whole, and uploads, at once or in pieces."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message

from aiohttp import web

from tests.vendors.gdrive_api import Api, Request, asked_of, parsed
from tests.vendors.gdrive_files import export, revision_of
from tests.vendors.gdrive_model import Content, File, Json, Refused, Revision, not_found
from tests.vendors.gdrive_oauth import Token
from tests.vendors.gdrive_troubles import Partly, Short, Trouble, Wrong, error
from tests.vendors.gdrive_writes import Do, check_create, check_update

STEP = 256 * 1024  # bytes; pieces of an upload are multiples of it
_BLOCK = 1 << 20
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_PIECE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass(slots=True, kw_only=True)
class Upload:
    """An upload in pieces. `total` None: the client does not know yet. `answer` is what its end was."""

    key: str
    method: str
    request: Request
    total: int | None
    content_type: str
    received: bytearray = field(default_factory=bytearray)
    answer: Json | None = None


@dataclass(slots=True)
class Media:
    """Downloads and uploads of an API; `uploads` are those in pieces, by the key in their addresses."""

    api: Api
    uploads: dict[str, Upload] = field(default_factory=dict)

    # Downloads

    async def download(self, method: str, web_request: web.Request) -> web.StreamResponse:
        """`files.get` or `revisions.get` with alt=media, or `files.export`."""
        kind = "files.export" if method == "files.export" else "download"

        async def answer(trouble: Trouble | None) -> web.StreamResponse:
            token: Token | None = None
            try:
                token = self.api.token(web_request, method)
                self.api.check_scope(token, method, media=True)
                params = self.api.params(method, asked_of(web_request))
                request = Request(api=self.api, method=method, token=token, params=params, body={})
                if method == "files.export":
                    content_type, data = export(request)
                    content = Content(data)
                else:
                    revision = _revision(request)
                    content, content_type = revision.content, revision.mime_type
                start, end = _range(web_request.headers.get("Range"), content.size)
            except Refused as refused:
                status, reason = refused.status, refused.reason
                self.api.record(kind, asked_of(web_request), status=status, reason=reason, token=token)
                return self._refused(refused)
            whole = start == 0 and end == content.size and "Range" not in web_request.headers
            asked = asked_of(web_request) | {"range": f"{start}-{end}"}
            self.api.record(kind, asked, status=200 if whole else 206, token=token)
            headers = {"Content-Type": content_type, "Content-Length": str(end - start)}
            if not whole:
                headers["Content-Range"] = f"bytes {start}-{end - 1}/{content.size}"
            response = web.StreamResponse(status=200 if whole else 206, headers=headers)
            await _send(web_request, response, content, start, end, trouble)
            return response

        return await self.api.serve(kind, web_request, answer)

    def _refused(self, refused: Refused) -> web.Response:
        if refused.status != 416:
            return self.api.refused(refused)
        headers = {"Content-Range": f"bytes */{refused.location}"}
        return web.json_response(error(refused), status=416, headers=headers)

    # Uploads

    async def upload(self, method: str, web_request: web.Request) -> web.StreamResponse:
        """The first request of an upload, or all of it."""

        async def answer(_trouble: Trouble | None) -> web.StreamResponse:
            token: Token | None = None
            body: Json = {}
            try:
                token = self.api.token(web_request, method)
                self.api.check_scope(token, method, media=True)
                params = self.api.params(method, asked_of(web_request))
                body, content, content_type = await _parts(web_request, params.get("uploadType", ""))
                request = Request(
                    api=self.api,
                    method=method,
                    token=token,
                    params=params,
                    body=body,
                    content=content,
                    content_type=content_type,
                )
                if content is None:
                    response = self._begin(web_request, request)
                else:
                    made = _check(request, content.size)(content, content_type)
                    response = self.api.told(method, request.tell_file(made))
            except Refused as refused:
                self.api.record(
                    method,
                    asked_of(web_request),
                    status=refused.status,
                    reason=refused.reason,
                    body=body,
                    token=token,
                )
                return self.api.refused(refused)
            self.api.record(method, asked_of(web_request), status=200, body=body, token=token)
            return response

        return await self.api.serve(method, web_request, answer)

    def _begin(self, web_request: web.Request, request: Request) -> web.Response:
        announced = web_request.headers.get("X-Upload-Content-Length")
        total = int(announced) if announced and announced.isdecimal() else None
        _check(request, total or 0)
        upload = Upload(
            key=f"local-upload-{len(self.uploads) + 1}",
            method=request.method,
            request=request,
            total=total,
            content_type=web_request.headers.get("X-Upload-Content-Type", "application/octet-stream"),
        )
        self.uploads[upload.key] = upload
        at = web_request.url.with_query(uploadType="resumable", upload_id=upload.key)
        return web.Response(status=200, headers={"Location": str(at), "X-GUploader-UploadID": upload.key})

    async def piece(self, web_request: web.Request) -> web.StreamResponse:
        """A piece of an upload, or the question how much has come."""

        async def answer(trouble: Trouble | None) -> web.StreamResponse:
            data = await web_request.read()
            upload = self.uploads.get(web_request.query.get("upload_id", ""))
            asked = {**web_request.query, "range": web_request.headers.get("Content-Range", "")}
            try:
                if upload is None:
                    raise not_found("upload", "upload_id")
                told = self._take(upload, data, web_request.headers.get("Content-Range"), trouble)
            except Refused as refused:
                self.api.record("upload", asked, status=refused.status, reason=refused.reason)
                return self.api.refused(refused)
            self.api.record("upload", asked, status=200 if told else 308, token=upload.request.token)
            if isinstance(trouble, Partly) and web_request.transport is not None:
                web_request.transport.abort()
            if told:
                return self.api.told(upload.method, told)
            there = len(upload.received)
            return web.Response(status=308, headers={"Range": f"bytes=0-{there - 1}"} if there else {})

        return await self.api.serve("upload", web_request, answer)

    def _take(self, upload: Upload, data: bytes, header: str | None, trouble: Trouble | None) -> Json | None:
        """Put a piece to the others; the answer if it was the last."""
        if upload.answer is not None:
            return upload.answer
        found = _PIECE.fullmatch(header) if header is not None else None
        if header is not None and found is None:
            raise Refused(400, "badRequest", "Failed to parse Content-Range header.")
        total = upload.total if found is None or found[3] == "*" else int(found[3])
        if found is None and header is None and not upload.received:
            total = len(data)
        if upload.total is not None and total != upload.total:
            raise Refused(400, "badRequest", "Invalid request. The total size has changed.")
        if found is not None and found[1] is not None:
            first, last = int(found[1]), int(found[2])
            ends = last + 1 == total
            if first > len(upload.received) or last - first + 1 != len(data):
                raise Refused(400, "badRequest", "Invalid request. The piece does not fit to those before.")
            if not ends and len(data) % STEP:
                raise Refused(400, "badRequest", "Invalid request. Pieces are multiples of 256 KiB.")
            data = data[len(upload.received) - first :]
        if isinstance(trouble, Partly):
            upload.received += data[: trouble.kept // STEP * STEP]
            return None
        upload.received += data
        if total is None or len(upload.received) < total:
            return None
        content = Content(bytes(upload.received))
        made = _check(upload.request, content.size)(content, upload.content_type)
        upload.answer = upload.request.tell_file(made)
        upload.received.clear()
        return upload.answer


def _check(request: Request, size: int) -> Do:
    if request.method == "files.create":
        return check_create(request, size=size)
    return check_update(request, size=size, media=True)


def _revision(request: Request) -> Revision:
    """What is to be downloaded; refused where that cannot be."""
    by_revision = request.method == "revisions.get"
    file = request.access.find(request.params["fileId"], all_drives=by_revision or request.all_drives)
    if not file.is_blob:
        message = (
            "Only files with binary content can be directly downloaded. Use Export with Docs Editors files."
        )
        raise Refused(403, "fileNotDownloadable", message, "alt", "parameter")
    if not request.access.can_download(file):
        message = "This file cannot be downloaded by the user."
        raise Refused(403, "cannotDownloadFile", message, "alt", "parameter")
    if file.abusive and not _may_take_abusive(request, file):
        message = "This file has been identified as malware or spam and cannot be downloaded."
        raise Refused(403, "cannotDownloadAbusiveFile", message, "alt", "parameter")
    if not by_revision:
        return file.head
    request.access.need(file, "canReadRevisions")
    return revision_of(file, request.params["revisionId"])


def _may_take_abusive(request: Request, file: File) -> bool:
    return bool(request.params["acknowledgeAbuse"]) and request.access.role(file) in ("owner", "organizer")


def _range(header: str | None, size: int) -> tuple[int, int]:
    """The first byte, and the one after the last; a range that is not understood means everything."""
    found = _RANGE.fullmatch(header) if header else None
    if found is None or found.groups() == ("", ""):
        return 0, size
    if not found[1]:
        return max(0, size - int(found[2])), size
    start, end = int(found[1]), int(found[2]) + 1 if found[2] else size
    if start >= size or end <= start:
        message = "Request range not satisfiable"
        raise Refused(416, "requestedRangeNotSatisfiable", message, str(size))
    return start, min(end, size)


async def _send(
    request: web.Request,
    response: web.StreamResponse,
    content: Content,
    start: int,
    end: int,
    trouble: Trouble | None,
) -> None:
    stop = min(end, start + trouble.after) if isinstance(trouble, Short) else end
    await response.prepare(request)
    for at in range(start, stop, _BLOCK):
        block = content.read(at, min(at + _BLOCK, stop))
        if isinstance(trouble, Wrong):
            block = bytes(byte ^ 0x55 for byte in block)
        await response.write(block)
    if isinstance(trouble, Short) and request.transport is not None:
        request.transport.close()
        return
    await response.write_eof()


async def _parts(request: web.Request, kind: str) -> tuple[Json, Content | None, str]:
    """The description of a file, what is in it (None if that comes in pieces), and the type of that."""
    raw = await request.read()
    if kind == "media":
        return {}, Content(raw), request.content_type
    if kind == "resumable":
        return parsed(raw) if raw else {}, None, ""
    boundary = Message()
    boundary["Content-Type"] = request.headers.get("Content-Type", "")
    if kind != "multipart" or boundary.get_content_type() != "multipart/related":
        raise Refused(400, "badContent", f"Unsupported upload: {kind}, {request.content_type}")
    found = list(_split(raw, f"--{boundary.get_boundary()}".encode()))
    if len(found) != 2 or found[0][0] != "application/json":
        raise Refused(400, "badContent", "Two parts were expected, the first of them JSON.")
    return parsed(found[0][1]), Content(found[1][1]), found[1][0]


def _split(raw: bytes, boundary: bytes) -> Iterator[tuple[str, bytes]]:
    """Type and bytes of every part; lines end as the first one does, so that the bytes stay as they are."""
    _, *rest = raw.split(boundary)
    newline = b"\r\n" if rest and rest[0].startswith(b"\r\n") else b"\n"
    for part in rest:
        if part.startswith(newline):
            head, _, data = part.removeprefix(newline).partition(newline * 2)
            yield email.message_from_bytes(head).get_content_type(), data.removesuffix(newline)
