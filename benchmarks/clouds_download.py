"""Fetches one file through a connector, as the service does, for `clouds`.

What it is to fetch comes as JSON on its standard input, what that took goes to its output: the resident
memory of this process in bytes before it and the most while it lasted, the seconds, and those that only
reading the same bytes over HTTP takes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from benchmarks.service import end_with_parent
from connectors.dropbox.connecting import DropboxConnecting
from connectors.dropbox.settings import DropboxSettings
from connectors.gdrive.connecting import GDriveConnecting
from connectors.gdrive.settings import GDriveSettings
from core.connecting import Connecting
from core.places import Credentials, WatchedFolder
from core.settings import load_settings

_BLOCK = 1 << 20


def connecting(connector: str, address: str) -> Connecting:
    """The connector for a platform at an address."""
    if connector == "gdrive":
        return GDriveConnecting(load_settings(GDriveSettings, GDRIVE_API_BASE_URL=address))
    return DropboxConnecting(load_settings(DropboxSettings, DROPBOX_API_BASE_URL=address))


def memory(name: str) -> int:
    """The resident memory of this process in bytes, now (VmRSS) or at most since `forget_most` (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def forget_most() -> None:
    """Let the highest resident memory be that of now (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


async def fetch(connector: str, address: str, asked: dict[str, Any], into: Path) -> dict[str, float]:
    """Look the file up and download it."""
    credentials = Credentials(account="account", label="label", secret=asked["secret"])
    folder = WatchedFolder(connector=connector, id=asked["folder"], account="account", name="Inbox")
    place = connecting(connector, address).open(folder, credentials)
    try:
        file = await place.look(asked["file"])
        assert file is not None
        forget_most()
        before, began = memory("VmRSS"), time.monotonic()
        await place.download(file, into)
        return {"seconds": time.monotonic() - began, "before": before, "most": memory("VmHWM")}
    finally:
        await place.close()


def read(plain: dict[str, Any]) -> float:
    """The seconds that it takes to read the bytes and do nothing with them."""
    request = Request(plain["url"], headers=plain["headers"], method=plain["method"])
    began = time.monotonic()
    with build_opener(ProxyHandler({})).open(request) as answer:
        while answer.read(_BLOCK):
            pass
    return time.monotonic() - began


def main() -> None:
    end_with_parent()
    asked = json.loads(sys.stdin.readline())
    found = asyncio.run(fetch(asked["connector"], asked["address"], asked, Path(asked["into"])))
    print(json.dumps(found | {"plainly": read(asked["plain"])}))


if __name__ == "__main__":
    main()
