"""The app package: what an admin uploads so that people find the app in Teams. Pure but for `write`."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from bots.teams import ids
from bots.teams.graph import CHANNEL_MESSAGES, CHAT_MESSAGES, TEAM_MEMBERS
from bots.teams.icons import ACCENT, color_icon, outline_icon
from core.errors import Misconfigured

FILE: Final = "erni-teams.zip"
MANIFEST: Final = "1.29"
"""Version of the manifest's schema."""

VERSION: Final = "1.0.0"
"""The package's own version, higher with every change of what it says: Teams takes no other as an update."""

MEETINGS: Final = "OnlineMeeting.ReadBasic.Chat"
"""By which Teams tells that a meeting ended (`bots.teams.meetings`)."""

RESOURCE_SPECIFIC: Final = (CHANNEL_MESSAGES.here, CHAT_MESSAGES.here, TEAM_MEMBERS.here, MEETINGS)
"""What the app is allowed in a team or chat by adding it there."""

NAME: Final = "Erni"
ORGANISATION: Final = "Erni Audio"
SCOPES: Final = ("personal", "team", "groupChat")
TITLE: Final = "Transcribe recording"
"""The message command, as people see it in the menu of a message."""

_COLOR, _OUTLINE = "color.png", "outline.png"
_MOST_NAME, _MOST_ORGANISATION, _MOST_ADDRESS = 30, 32, 2048  # characters that the schema allows
_SEMVER: Final = re.compile(r"(0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8})){2}")
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP knows: the same app gives the same file
_SHORT: Final = "Answers a shared recording with a transcript that says who said what."
_FULL: Final = (
    "Send the app an audio or video file, or choose “Transcribe recording” in the menu of a message with "
    "one. It answers in the same conversation: first that it is at work and how far it is, then with who "
    "spoke how much, how it begins, the whole transcript to page through, and files. You can name the "
    "speakers, get other formats, try again with other settings, and delete it. Each conversation chooses "
    "which recordings are transcribed, and how.\n\n"
    "In teams and chats that it was added to, the app reads messages to find the recordings in them and "
    "the requests for it, and hears when a meeting ended, whose recording may follow. It keeps no messages."
)
_COMMANDS: Final = (
    ("status", "What is being transcribed here"),
    ("settings", "What is transcribed here, and how"),
    ("stop", "Stop what is being transcribed here"),
    ("help", "How to use the app"),
)
_TRANSCRIBE: Final = (ids.COMMAND, "Transcribe the recording of this message, or of the one you reply to")


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What is said of the app. `id` is the GUID of the app registration and of its bot, `public_url` where
    the service is reached; `name` is what people mention. The addresses tell people about the app, about
    their data and on which terms they use it: without them, `public_url`."""

    id: str
    public_url: str
    name: str = NAME
    organisation: str = ORGANISATION
    website: str | None = None
    privacy: str | None = None
    terms: str | None = None
    version: str = VERSION

    @property
    def host(self) -> str:
        """The host of `public_url`. Raises Misconfigured if it has none."""
        try:
            host = urlsplit(self.public_url).hostname or ""
        except ValueError:
            host = ""
        if not host:
            raise Misconfigured("ERNI_PUBLIC_URL is no address. Set it as in https://audio.example.com.")
        return host


def manifest_of(app: App) -> dict[str, Any]:
    """The manifest. Raises Misconfigured for what Teams would not take."""
    host = app.host
    name = _short(app.name, "app's name", _MOST_NAME)
    organisation = _short(app.organisation, "organisation's name", _MOST_ORGANISATION)
    if not _SEMVER.fullmatch(app.version):
        raise Misconfigured(f"{app.version} is no version number. Write it as in {VERSION}.")
    return {
        "$schema": "https://developer.microsoft.com/json-schemas/teams/"
        f"v{MANIFEST}/MicrosoftTeams.schema.json",
        "manifestVersion": MANIFEST,
        "version": app.version,
        "id": app.id,
        "developer": {
            "name": organisation,
            "websiteUrl": _address(app.website, app),
            "privacyUrl": _address(app.privacy, app),
            "termsOfUseUrl": _address(app.terms, app),
        },
        "name": {"short": name, "full": f"{name}: transcripts of recordings"},
        "description": {"short": _SHORT, "full": _FULL},
        "icons": {"color": _COLOR, "outline": _OUTLINE},
        "accentColor": ACCENT,
        "bots": [
            {
                "botId": app.id,
                "scopes": list(SCOPES),
                "supportsFiles": True,
                "isNotificationOnly": False,
                "commandLists": [
                    {"scopes": ["personal"], "commands": _listed(*_COMMANDS)},
                    {"scopes": ["team", "groupChat"], "commands": _listed(_TRANSCRIBE, *_COMMANDS)},
                ],
            }
        ],
        "composeExtensions": [
            {
                "botId": app.id,
                "commands": [
                    {
                        "id": ids.COMMAND,
                        "type": "action",
                        "context": ["message"],
                        "title": TITLE,
                        "description": "Write down what is said in the recordings of this message",
                        "fetchTask": True,
                    }
                ],
            }
        ],
        "validDomains": [host],
        # `resource` means nothing for these permissions, but has to be there.
        "webApplicationInfo": {"id": app.id, "resource": f"api://botid-{app.id}"},
        "authorization": {
            "permissions": {
                "resourceSpecific": [{"name": name, "type": "Application"} for name in RESOURCE_SPECIFIC]
            }
        },
        "defaultInstallScope": "personal",
        "defaultGroupCapability": {"team": "bot", "groupchat": "bot", "meetings": "bot"},
    }


def package_of(app: App) -> bytes:
    """The package, a ZIP: the same bytes for the same app. Raises as `manifest_of`."""
    manifest = json.dumps(manifest_of(app), indent=2, ensure_ascii=False) + "\n"
    files: Mapping[str, bytes] = {
        "manifest.json": manifest.encode(),
        _COLOR: color_icon(),
        _OUTLINE: outline_icon(),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, also where it is not, so that the bytes are the same
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return packed.getvalue()


def write(app: App, folder: Path) -> Path:
    """Put the package into `folder`, which is made, in place of an earlier one. Raises as `manifest_of`, and
    OSError."""
    data = package_of(app)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / FILE
    partial = folder / f".{FILE}.{os.getpid()}"
    try:
        partial.write_bytes(data)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _listed(*commands: tuple[str, str]) -> list[dict[str, str]]:
    return [{"title": title, "description": description} for title, description in commands]


def _short(text: str, what: str, most: int) -> str:
    clean = " ".join(text.split())
    if not clean or len(clean) > most or not clean.isprintable():
        raise Misconfigured(f"The {what} has 1 to {most} visible characters in Teams.")
    return clean


def _address(given: str | None, app: App) -> str:
    address = app.public_url if given is None else given.strip()
    try:
        good = bool(urlsplit(address).hostname) and address.startswith("https://") and address.isprintable()
    except ValueError:
        good = False
    if not good or " " in address or len(address) > _MOST_ADDRESS:
        raise Misconfigured(f"Teams takes only addresses that begin with https://, not {address[:200]!r}.")
    return address
