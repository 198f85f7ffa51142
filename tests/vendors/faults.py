"""Local servers that speak a vendor's protocol, and answer wrongly when they are told to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An answer in place of the right one."""

    status: int = 500
    body: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


HTML = Fault(status=200, body="<html><body>Down for maintenance</body></html>", content_type="text/html")


class Faults:
    """Faults to come, by method and the pattern of the route; `calls` counts every request that came."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, list[Fault]] = defaultdict(list)
        self.calls: defaultdict[str, int] = defaultdict(int)

    def add(self, route: str, *faults: Fault) -> None:
        """Answer the next requests to `route`, such as "GET /v1/jobs/{job}", with these, one each."""
        self._waiting[route] += faults

    def forgive(self) -> None:
        """No more faults to come."""
        self._waiting.clear()

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        resource = request.match_info.route.resource
        route = f"{request.method} {resource.canonical if resource else '?'}"
        self.calls[route] += 1
        if self._waiting[route]:
            await request.read()
            fault = self._waiting[route].pop(0)
            return web.Response(
                status=fault.status, text=fault.body, content_type=fault.content_type, headers=fault.headers
            )
        return await handler(request)


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """Serve `app` on a free port; its origin."""
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
