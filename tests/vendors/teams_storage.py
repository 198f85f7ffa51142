"""The host behind pre-authenticated addresses: bytes of files, upload sessions. It must never see a token."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from tests.vendors.teams_items import DriveItem, Session, stamp
from tests.vendors.teams_model import Json, Microsoft
from tests.vendors.teams_traffic import Refused, Traffic

BLOCK = 327_680  # bytes: every piece but the last is a multiple of it
MAX_PIECE = 60 * 1024 * 1024  # bytes, and a piece is smaller
CHUNK = 1024 * 1024
PAGE = "<!DOCTYPE html><html><head><title>Sign in to your account</title></head><body>Sign in</body></html>"
Conflict = Literal["fail", "replace", "rename"]


@dataclass(slots=True)
class Storage:
    """`life` of a download address and `session_life` of an upload address are in seconds."""

    m365: Microsoft
    traffic: Traffic
    origin: str = ""
    life: float = 3600.0
    session_life: float = 900.0

    def download_url(self, item: DriveItem) -> str:
        """A pre-authenticated address of a file."""
        return self.m365.download_url(item, self.origin, self.life)

    def _no_token(self, request: web.Request) -> None:
        if "Authorization" in request.headers:
            name = "a download" if request.method == "GET" else "an upload"
            self.traffic.violations.append(f"the pre-authenticated address of {name} was sent a token")
            raise Refused(401, "unauthenticated", "The caller is not authenticated.")

    # Downloads

    async def download(self, request: web.Request) -> web.StreamResponse:
        self._no_token(request)
        found = self.m365.downloads.get(request.match_info["key"])
        if found is None or "tempauth" not in request.query:
            return web.Response(status=403, text="403 FORBIDDEN")
        item, until = found
        if self.m365.clock() >= until:
            return web.Response(
                status=401, text="3001000;reason=The token has expired", content_type="text/plain"
            )
        if item.deleted:
            return web.Response(status=404, text=PAGE, content_type="text/html")
        if item.redirects:
            return web.Response(status=302, headers={"Location": item.redirects.pop(0)})
        if item.pages:
            item.pages -= 1
            return web.Response(text=PAGE, content_type="text/html")
        return await self._send(request, item)

    async def _send(self, request: web.Request, item: DriveItem) -> web.StreamResponse:
        start, end, status = 0, item.size, 200
        headers = {"Content-Type": item.mime_type, "Accept-Ranges": "bytes", "ETag": item.etag}
        asked = request.headers.get("Range")
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked or "")
        same = request.headers.get("If-Range") in (None, item.etag)
        if wanted and same and not item.ignores_ranges:
            start, end = int(wanted[1]), min(int(wanted[2] or end - 1) + 1, end)
            if start >= end:
                return web.Response(status=416, headers={"Content-Range": f"bytes */{item.size}"})
            headers["Content-Range"], status = f"bytes {start}-{end - 1}/{item.size}", 206
        announced = end - start if item.announces is None else item.announces
        headers["Content-Length"] = str(announced)
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        stop = min(end, start + item.cuts.pop(0)) if item.cuts else end
        for position in range(start, stop, CHUNK):
            await response.write(item.read(position, min(position + CHUNK, stop)))
        item.served.append((asked or "", stop - start))
        if announced > stop - start and request.transport is not None:
            request.transport.close()
        return response

    # Uploads

    def open(self, drive: str, parent: str, name: str, conflict: str) -> Session:
        """Begin an upload into a folder."""
        key = self.m365.opaque("session", 40)
        session = Session(
            key=key,
            drive=drive,
            parent=parent,
            name=name,
            conflict=conflict,
            until=self.m365.clock() + self.session_life,
        )
        self.m365.sessions[key] = session
        return session

    def upload_url(self, session: Session) -> str:
        return f"{self.origin}/upload/{session.key}?tempauth={session.key[::-1]}"

    def _session(self, request: web.Request) -> Session:
        self._no_token(request)
        session = self.m365.sessions.get(request.match_info["key"])
        if session is None or session.ended or self.m365.clock() >= session.until:
            raise Refused(404, "itemNotFound", "The upload session was not found")
        return session

    def _state(self, session: Session) -> Json:
        return {
            "expirationDateTime": stamp(session.until),
            "nextExpectedRanges": [f"{len(session.data)}-"],
        }

    async def piece(self, request: web.Request) -> web.StreamResponse:
        """PUT a piece of an upload; the last one makes the file."""
        session = self._session(request)
        said = request.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", said)
        if match is None:
            raise Refused(400, "invalidRequest", "The Content-Range header is missing or malformed.")
        start, end, total = int(match[1]), int(match[2]) + 1, int(match[3])
        data = await request.read()
        if len(data) != end - start or end > total:
            raise Refused(400, "invalidRequest", "The Content-Range header does not match the content.")
        if len(data) >= MAX_PIECE:
            raise Refused(413, "maxFragmentLengthExceeded", "A fragment is smaller than 60 MiB.")
        if session.total not in (None, total):
            raise Refused(400, "invalidRequest", "fragmentLengthMismatch")
        if end < total and len(data) % BLOCK:
            self.traffic.violations.append(f"a piece of {len(data)} bytes is not a multiple of 320 KiB")
            raise Refused(400, "invalidRequest", "A fragment is a multiple of 320 KiB.")
        if start != len(session.data):
            raise Refused(416, "invalidRange", "The uploaded fragment overlaps or is out of order.")
        session.total = total
        session.data += data
        session.pieces.append(said)
        if end < total:
            return web.json_response(self._state(session), status=202)
        item, created = self.store(
            session.drive, session.parent, session.name, bytes(session.data), session.conflict
        )
        if session.unique_id is not None:
            item.unique_id = session.unique_id
        session.item, session.ended = item, True
        return web.json_response(self.item(item), status=201 if created else 200)

    async def state(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._state(self._session(request)))

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        self._session(request).ended = True
        return web.Response(status=204)

    def store(
        self, drive_id: str, parent_id: str, name: str, data: bytes, conflict: str, mime_type: str = ""
    ) -> tuple[DriveItem, bool]:
        """Put a file into a folder; whether it is a new one."""
        drive = self.m365.drives[drive_id]
        parent = drive.items[parent_id]
        if parent.deleted:
            raise Refused(404, "itemNotFound", "Item not found")
        existing = self.m365.child(parent, name)
        if existing is not None and (conflict == "fail" or existing.is_folder):
            raise Refused(409, "nameAlreadyExists", "An item with the same name already exists.")
        if existing is not None and conflict == "replace":
            existing.data, existing.version = data, existing.version + 1
            existing.modified = self.m365.clock()
            return existing, False
        name = self.m365.free_name(parent, name)
        return self.m365.add_item(drive, parent, name, data, mime_type), True

    def item(self, item: DriveItem) -> Json:
        """A driveItem as Graph shows it."""
        drive = self.m365.drives[item.drive]
        shown: Json = {"id": item.id, "name": item.name, "webUrl": self.m365.web_url(item)}
        shown |= {"eTag": item.etag, "cTag": f'"c:{item.etag[1:]}', "createdDateTime": stamp(item.modified)}
        shown |= {"lastModifiedDateTime": stamp(item.modified)}
        maker = {"user": {"id": item.by}} if item.by else {"application": {"displayName": "An app"}}
        shown["createdBy"] = maker
        shown["size"] = item.size if item.says is None else item.says
        if item.parent is not None:
            above = self.m365.path(drive.items[item.parent])
            kind = "business" if drive.user else "documentLibrary"
            shown["parentReference"] = {"driveId": drive.id, "driveType": kind, "id": item.parent}
            shown["parentReference"]["path"] = f"/drives/{drive.id}/root:" + (f"/{above}" if above else "")
        if item.is_folder:
            shown["folder"] = {"childCount": len(self.m365.children(item))}
        else:
            shown["file"] = {"mimeType": item.mime_type}
            shown["@microsoft.graph.downloadUrl"] = self.download_url(item)
        return shown

    def add_routes(self, router: web.UrlDispatcher) -> None:
        at = self.traffic.route
        router.add_get("/download/{key}", at("storage", "download", self.download), allow_head=False)
        router.add_put("/upload/{key}", at("storage", "piece", self.piece))
        router.add_get("/upload/{key}", at("storage", "upload state", self.state))
        router.add_delete("/upload/{key}", at("storage", "cancel upload", self.cancel))
