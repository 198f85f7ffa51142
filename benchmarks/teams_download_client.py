"""Fetches one recording from Teams, as the service does, for `teams_download`.

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

from benchmarks.clouds_download import forget_most, memory, read
from benchmarks.service import end_with_parent
from bots.teams import fetching
from bots.teams.access import Access
from bots.teams.settings import TeamsSettings, registration_of
from bots.teams.shares import share_of
from core.settings import load_settings
from core.testing import MemoryLinks


async def fetch(asked: dict[str, Any]) -> dict[str, float]:
    """Find the recording, and download it."""
    settings = load_settings(TeamsSettings, **asked["settings"])
    access = Access(settings, registration_of(settings, http_host="127.0.0.1", public_url=None))
    async with access.open():
        forget_most()
        before, began = memory("VmRSS"), time.monotonic()
        await fetching.fetch(
            share_of(asked["address"]),
            Path(asked["into"]),
            access=access,
            links=MemoryLinks(),
            limit=asked["limit"],
        )
        return {"seconds": time.monotonic() - began, "before": before, "most": memory("VmHWM")}


def main() -> None:
    end_with_parent()
    asked = json.load(sys.stdin)
    found = asyncio.run(fetch(asked))
    print(json.dumps(found | {"plainly": read(asked["plain"])}))


if __name__ == "__main__":
    main()
