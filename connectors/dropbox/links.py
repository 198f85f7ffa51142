"""Links to files in Dropbox that people share elsewhere, fetched with an account that may."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from dropbox import sharing
from dropbox.exceptions import ApiError
from dropbox.sharing import FileLinkMetadata, LinkPermissions

from connectors.dropbox.client import Account
from connectors.dropbox.connecting import DropboxConnecting
from connectors.dropbox.download import Download, Open
from connectors.dropbox.troubles import BadRequest, refused, tags
from core.errors import Rejected
from core.links import FOLDER, Closed, first_that_may
from core.places import Credentials
from core.remote import Changed

_HOSTS: Final = frozenset({"dropbox.com", "www.dropbox.com"})
_PLACES: Final = ("/s/", "/sh/", "/scl/fi/", "/scl/fo/")
_LONGEST: Final = 2000

_NO_ACCOUNT: Final = "No Dropbox account is connected to fetch links with. Run `erni-audio connect dropbox`."
_UNKNOWN: Final = (
    "Dropbox knows no file behind this link. It may have been deleted, or its link switched off."
)
_CLOSED: Final = (
    "The link to this file in Dropbox has a password, or is only for certain people. Share the recording "
    "itself, or a link that is open to all."
)
_NO_DOWNLOADS: Final = (
    "Downloads are switched off for this link in Dropbox. Share the recording itself, or a link that allows "
    "downloads."
)


def covers(url: str) -> bool:
    """Whether this is a link to something in Dropbox."""
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" and parts.port is None and "@" not in parts.netloc
    except ValueError:
        return False
    return plain and parts.hostname in _HOSTS and parts.path.startswith(_PLACES) and len(url) <= _LONGEST


async def fetch_link(
    connecting: DropboxConnecting,
    accounts: Sequence[Credentials],
    url: str,
    into: Path,
    *,
    limit: int,
    closed: bool,
) -> None:
    """Stream the file behind a link to `into`, at most `limit` bytes, with the first of the `accounts` that
    may; `closed`: also behind a link that is not open to all. Raises Rejected, AuthFailed or Transient."""

    async def fetch_with(credentials: Credentials) -> None:
        async with connecting.using(credentials) as account:
            await _fetch(account, url, into, limit, closed=closed)

    await first_that_may(accounts, fetch_with, missing=_NO_ACCOUNT)


async def _fetch(account: Account, url: str, into: Path, limit: int, *, closed: bool) -> None:
    try:
        found = await account.ask("sharing_get_shared_link_metadata", url)
        if not isinstance(found, FileLinkMetadata):
            raise Rejected(FOLDER)
        if not (closed or _is_open(found.link_permissions)):
            raise Closed(_CLOSED)
        if not found.link_permissions.allow_download:
            raise Rejected(_NO_DOWNLOADS)
        if found.size > limit:
            raise Rejected("This recording is larger than the limit here. Share it in parts, or as audio.")

        begin = _opening(url, found.rev)
        await Download(account=account, open=begin, into=into, size=found.size, hash="", id=found.id).run()
    except Changed:
        raise Rejected("This file was changed while it was fetched. Share the link again.") from None
    except BadRequest:
        raise Rejected(_UNKNOWN) from None
    except ApiError as error:
        raise _refused(error) from None


def _is_open(permissions: LinkPermissions) -> bool:
    """Whether everybody may follow the link, which Dropbox tells in one of two ways, or does not. One of them
    says apart from that whether there is a password."""
    resolved, audience = permissions.resolved_visibility, permissions.effective_audience
    if permissions.require_password:
        return False
    if resolved is not None:
        return bool(resolved.is_public())
    return audience is not None and bool(audience.is_public())


def _opening(url: str, rev: str) -> Open:
    def begin(client: Any, headers: dict[str, str]) -> tuple[Any, requests.Response]:
        argument = sharing.GetSharedLinkMetadataArg(url)
        found, answer = client.request(
            sharing.get_shared_link_file, "sharing", argument, None, extra_headers=headers
        )
        if found.rev != rev:
            answer.close()
            raise Changed
        return found, answer

    return begin


def _refused(error: ApiError) -> Exception:
    found = set(tags(error.error))
    if "shared_link_access_denied" in found:
        return Closed(_CLOSED)
    if "shared_link_is_directory" in found:
        return Rejected(FOLDER)
    if {"shared_link_not_found", "unsupported_link_type"} & found:
        return Rejected(_UNKNOWN)
    return refused(error)
