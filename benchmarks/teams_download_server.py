"""A Microsoft 365 with one large recording, in a process of its own, for `teams_download`.

It says in a line of JSON how it is reached and what was shared, and ends when its input does.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.service import end_with_parent
from benchmarks.sharing import tell
from bots.teams.incoming import Download, Reference
from bots.teams.shares import Found, address_of, share_in
from tests.vendors.teams import App, File, TeamsServer, serving
from tests.vendors.teams_items import DriveItem, Padded
from tests.vendors.teams_model import Conversation, Message


@dataclass(slots=True, kw_only=True)
class _Stored(Padded):
    """Content in the open file `descriptor`."""

    descriptor: int

    def read(self, start: int, end: int) -> bytes:
        return os.pread(self.descriptor, min(end, self.size) - start, start)


def _address(server: TeamsServer, message: Message, item: DriveItem, *, sent: bool) -> str:
    """What a recording of it carries for its way back."""
    conversation: Conversation = server.m365.conversations[message.conversation]
    where = Reference(
        service_url=server.service_url,
        conversation=conversation.id,
        kind="personal" if sent else "channel",
        tenant=conversation.tenant,
        bot=server.app.bot,
    )
    download = None
    if sent:
        url = server.storage.download_url(item)
        download = Download(name=item.name, url=url, unique_id=item.unique_id)
    found = Found(name=item.name, url=server.m365.web_url(item), sent=download)
    team = "" if conversation.team is None else server.m365.teams[conversation.team].thread_id
    share = share_in(where, message.id, found, team=team, user=message.sender or "", now=message.at)
    return address_of(share)


async def serve(name: str, content: _Stored) -> None:
    """Until the input ends."""
    async with serving(app=App()) as server:
        person = server.add_user(server.add_tenant())
        team = server.add_team(person.tenant, members=[person])
        places = {
            "in a channel": server.m365.conversations[team.channels[0]],
            "sent to the app": server.add_personal_chat(person, installed=False),
        }
        addresses, url = {}, ""
        for way, where in places.items():
            message = await server.post(where, person, files=[File(name=name, data=content)])
            [item] = message.files.values()
            addresses[way] = _address(server, message, item, sent=where.kind == "personal")
            url = server.storage.download_url(item)
        plain = {"url": url, "headers": {}, "method": "GET"}
        tell(settings=server.settings, addresses=addresses, size=content.size, plain=plain)
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    end_with_parent()
    path = Path(sys.argv[1])
    with path.open("rb") as source:
        content = _Stored(head=b"", size=path.stat().st_size, descriptor=source.fileno())
        asyncio.run(serve(path.name, content))


if __name__ == "__main__":
    main()
