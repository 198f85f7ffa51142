"""Links of Google Drive. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

_HOSTS: Final = frozenset({"drive.google.com", "docs.google.com"})
_ID: Final = re.compile(r"[A-Za-z0-9_-]{10,200}")
_PATH: Final = re.compile(r"/(?:file/(?:u/\d+/)?d|drive/(?:u/\d+/)?folders|[a-z]+/(?:u/\d+/)?d)/([^/]+)")
_BY_QUERY: Final = frozenset({"/open", "/uc", "/folderview", "/leaf"})


def id_in(url: str) -> str | None:
    """The id of the file or folder that a link leads to; None if it is no link of Drive."""
    try:
        parts = urlsplit(url.strip())
        if parts.scheme not in {"https", "http"} or parts.hostname not in _HOSTS:
            return None
        found = _PATH.match(parts.path)
        text = found[1] if found else ""
        if not text and parts.path in _BY_QUERY:
            text = parse_qs(parts.query).get("id", [""])[0]
    except ValueError:
        return None
    return text if _ID.fullmatch(text) else None


def is_of_folder(url: str) -> bool:
    """Whether a link of Drive says itself that it leads to a folder."""
    return urlsplit(url.strip()).path.startswith(("/drive/", "/folderview"))


def is_id(text: str) -> bool:
    """Whether a text may be an id itself."""
    return _ID.fullmatch(text) is not None
