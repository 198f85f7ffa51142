"""`POST /teams/messages`: everything that Teams sends."""

from __future__ import annotations

import logging
from typing import Final

from aiohttp import web

from bots.teams.access import Access
from bots.teams.events import Events
from bots.teams.invokes import Invokes
from bots.teams.settings import MESSAGES_PATH
from bots.teams.trust import Untrusted
from core.errors import ErniError

logger = logging.getLogger(__name__)

MOST_BYTES: Final = 512 * 1024
"""Of a body: Teams' messages have 100 KB, and the message command brings one along."""


def routes(access: Access, events: Events, invokes: Invokes) -> list[web.RouteDef]:
    """What the service's HTTP server answers for Teams.

    401, 403 or 400 for what Teams did not send to this app, 413 for what is too large, 503 where it can't be
    written down now. Everything else was written down, or is answered, when it is acknowledged.
    """

    async def receive(request: web.Request) -> web.Response:
        body = await _body(request)
        if body is None:
            return web.Response(status=413)
        async with access.open():  # what comes before the door runs is written down too
            return await answer(body, request)

    async def answer(body: bytes, request: web.Request) -> web.Response:
        try:
            incoming = await access.connector.receive(body, request.headers)
        except Untrusted as error:
            logger.warning("refused a request to %s: %s", MESSAGES_PATH, error)
            return web.Response(status=error.status)
        except ErniError as error:
            logger.warning("can't check a request to %s now: %s", MESSAGES_PATH, error)
            return web.Response(status=503)
        if incoming.kind == "invoke":
            status, said = await invokes.answer(incoming)
            return web.Response(status=status) if said is None else web.json_response(said, status=status)
        try:
            await events.take(incoming)
        except ErniError as error:
            logger.warning("an activity of Teams can't be written down now: %s", error)
            return web.Response(status=503)
        return web.Response(status=200)

    return [web.post(MESSAGES_PATH, receive)]


async def _body(request: web.Request) -> bytes | None:
    """The body, None if it is too large: as much as that is never held."""
    if (request.content_length or 0) > MOST_BYTES:
        return None
    taken = bytearray()
    async for block in request.content.iter_any():
        taken += block
        if len(taken) > MOST_BYTES:
            return None
    return bytes(taken)
