"""The folder that a person names: by a path, a link, or an id."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from dropbox.exceptions import ApiError
from dropbox.files import FileMetadata
from dropbox.sharing import FolderLinkMetadata

from connectors.dropbox.client import Account
from connectors.dropbox.root import metadata
from connectors.dropbox.troubles import BadRequest, refused, tags
from core.connecting import FoundFolder
from core.errors import Rejected

_HOME: Final = "https://www.dropbox.com/home"
_NO_LINK: Final = (
    "Dropbox knows no folder behind this link, or the connected account may not see it. Copy the link anew, "
    "or write the path of the folder, such as /Recordings."
)


async def find(account: Account, text: str) -> FoundFolder:
    """Raises Rejected with what to do for what was written, AuthFailed and Transient."""
    path = await _path(account, text.strip())
    profile = await account.profile()
    top = f"ns:{profile.root}"
    if path == "":
        return FoundFolder(id=top, name="/", link=_HOME)
    found = await metadata(account, path)
    if isinstance(found, FileMetadata):
        raise Rejected("This is a file. Name the folder that it lies in.")
    if found is None or not found.path_lower:
        raise Rejected(
            f"There is no folder {text.strip()} in the Dropbox of {profile.email}. Check how it is written: "
            "a path begins at the top of the Dropbox, such as /Team/Recordings."
        )
    around = [folder.id for folder in await _around(account, found.path_lower)]
    shown = found.path_display or found.path_lower
    return FoundFolder(id=found.id, name=shown, link=_HOME + quote(shown), around=(*around, top))


async def _path(account: Account, text: str) -> str:
    """A path or id for Dropbox, "" for the top."""
    if re.match(r"https?://", text, re.IGNORECASE):
        return await _behind(account, text)
    if text.startswith("id:"):
        return text
    names = [name for name in text.split("/") if name]
    return "".join(f"/{name}" for name in names)


async def _behind(account: Account, link: str) -> str:
    """The path of the folder that a link leads to: one of the address bar, or one that is shared."""
    try:
        parts = urlsplit(link)
        host = parts.hostname
    except ValueError:
        host = None
    if host not in {"dropbox.com", "www.dropbox.com"}:
        raise Rejected("This is no link of Dropbox. It begins with https://www.dropbox.com/.")
    place, _, rest = unquote(parts.path).strip("/").partition("/")
    if place == "home":
        return f"/{rest}" if rest else ""
    try:
        found = await account.ask("sharing_get_shared_link_metadata", link)
    except BadRequest:
        raise Rejected(_NO_LINK) from None
    except ApiError as error:
        if any(tag.startswith(("shared_link_", "unsupported_")) for tag in tags(error.error)):
            raise Rejected(_NO_LINK) from None
        raise refused(error) from None
    if not isinstance(found, FolderLinkMetadata):
        raise Rejected("This link leads to a file. Copy the link of the folder that it lies in.")
    if not found.path_lower:
        raise Rejected(
            "This folder is not in the connected Dropbox. Open the link and choose “Add to Dropbox”, or have "
            "the folder shared with the connected account, and try again."
        )
    return str(found.path_lower)


async def _around(account: Account, path: str) -> list[Any]:
    """The folders that the one at `path` lies in, nearest first."""
    found = []
    while path := path.rpartition("/")[0]:
        folder = await metadata(account, path)
        if folder is not None:
            found.append(folder)
    return found
