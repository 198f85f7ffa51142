"""Google's own client library, unchanged, with the local Drive behind it."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import google_auth_httplib2
import httplib2
from google.oauth2.credentials import Credentials
from google.oauth2.service_account import Credentials as ServiceCredentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaIoBaseDownload, MediaIoBaseUpload

from tests.vendors.gdrive import GDriveServer
from tests.vendors.gdrive_model import Account, Json


class LocalHttp(httplib2.Http):
    """Sends to the local Drive what goes to Google. Of uploads the library changes the host as `api_endpoint`
    says, but they stay HTTPS."""

    def __init__(self, origin: str) -> None:
        super().__init__(timeout=20)
        self.origin = origin
        # Drive says with 308 that the next piece of an upload may come; httplib2 would follow it.
        self.redirect_codes = self.redirect_codes - {308}

    def request(self, uri: str, *args: Any, **kwargs: Any) -> tuple[httplib2.Response[str], Any]:
        asked, local = urlsplit(uri), urlsplit(self.origin)
        if asked.scheme == "https" and asked.netloc in ("www.googleapis.com", local.netloc):
            uri = asked._replace(scheme=local.scheme, netloc=local.netloc).geturl()
        response, content = super().request(uri, *args, **kwargs)
        return response, content


with_token: Callable[[str], Any] = Credentials
service_credentials: Callable[..., Any] = ServiceCredentials.from_service_account_info


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveApp:
    """An app that calls Drive: `service` is that of googleapiclient."""

    service: Any
    http: Any

    async def do(self, request: Any, **kwargs: Any) -> Any:
        """Execute a request of the library in a thread."""
        return await asyncio.to_thread(request.execute, **kwargs)

    async def get(self, file_id: str, fields: str = "*", **kwargs: Any) -> Json:
        found: Json = await self.do(self.service.files().get(fileId=file_id, fields=fields, **kwargs))
        return found

    async def listed(self, **kwargs: Any) -> list[Json]:
        """Everything that a search finds, page by page."""
        found: list[Json] = []
        request = self.service.files().list(**kwargs)
        while request is not None:
            answer = await self.do(request)
            found += answer["files"]
            request = self.service.files().list_next(request, answer)
        return found


@asynccontextmanager
async def app_of(server: GDriveServer, credentials: Account | Any, *scopes: str) -> AsyncIterator[DriveApp]:
    """An app that acts as an account, with a token for `scopes`, or with credentials of google-auth."""
    if isinstance(credentials, Account):
        credentials = with_token(server.token(credentials, *scopes))
    http = google_auth_httplib2.AuthorizedHttp(credentials, http=LocalHttp(server.origin))
    service = build(
        "drive",
        "v3",
        http=http,
        client_options={"api_endpoint": server.api_url},
        cache_discovery=False,
    )
    try:
        yield DriveApp(service=service, http=http)
    finally:
        service.close()


def media(data: bytes, mime_type: str = "text/markdown", *, chunk: int | None = None) -> MediaIoBaseUpload:
    """What the library uploads, in pieces of `chunk` bytes if that is given."""
    size = {} if chunk is None else {"chunksize": chunk}
    return MediaIoBaseUpload(io.BytesIO(data), mimetype=mime_type, resumable=chunk is not None, **size)


async def create(app: DriveApp, body: dict[str, Any], data: bytes | None = None, **kwargs: Any) -> Any:
    uploaded = {} if data is None else {"media_body": media(data)}
    return await app.do(app.service.files().create(body=body, **uploaded, **kwargs))


async def download(app: DriveApp, file_id: str, *, chunk: int = 4096, **kwargs: Any) -> bytes:
    into = io.BytesIO()
    reader = MediaIoBaseDownload(into, app.service.files().get_media(fileId=file_id, **kwargs), chunk)
    done = False
    while not done:
        _, done = await asyncio.to_thread(reader.next_chunk)
    return into.getvalue()


def reason_of(error: HttpError) -> tuple[int, str]:
    """Status and reason of a refusal."""
    return error.resp.status, json.loads(error.content)["error"]["errors"][0]["reason"]


def ids(found: list[dict[str, Any]]) -> set[str]:
    return {file["id"] for file in found}
