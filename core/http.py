"""The one HTTP server: is it alive, can it work, how is it doing, and the webhooks of adapters."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from types import TracebackType
from typing import Self

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler

from core.errors import ErniError, Misconfigured
from core.ports import Readiness

logger = logging.getLogger(__name__)

Probe = Callable[[], Awaitable[Readiness]]

_PROBE_SECONDS = 5.0
_CACHE_SECONDS = 5.0
_REQUEST_SECONDS = 60.0
_SHUTDOWN_SECONDS = 5.0
_BODY_BYTES = 2**20
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Server": "erni-audio",  # the library's and Python's versions are nobody's business
}


def is_ready(parts: Mapping[str, Readiness], any_of: Collection[str]) -> bool:
    """Whether the service can work. Of the parts whose name's first word is in `any_of` one is enough, of
    the others each must be usable: weights that one engine lacks don't matter while another one can run."""
    groups: dict[tuple[str, str], list[bool]] = {}
    for name, part in parts.items():
        kind, _, own_name = name.partition(" ")
        groups.setdefault((kind, "" if kind in any_of else own_name), []).append(part.usable)
    return all(any(group) for group in groups.values())


class Probes:
    """Asks every part at once whether it is usable, and keeps the answer for a few seconds.

    However often and by however many it is asked, each part sees one call per `cache_seconds`: nobody can
    hammer a vendor through us. A part that does not answer in `probe_seconds` counts as unusable.
    """

    def __init__(
        self,
        probes: Mapping[str, Probe],
        *,
        probe_seconds: float = _PROBE_SECONDS,
        cache_seconds: float = _CACHE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._probes = dict(probes)
        self._probe_seconds = probe_seconds
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._lock = asyncio.Lock()
        self._known: dict[str, Readiness] | None = None
        self._until = 0.0

    async def parts(self) -> Mapping[str, Readiness]:
        """Each part's readiness by name, at most `cache_seconds` old."""
        async with self._lock:  # who comes while we ask waits and shares the answer
            if self._known is None or self._clock() >= self._until:
                async with asyncio.TaskGroup() as group:
                    tasks = {name: group.create_task(self._ask(name)) for name in self._probes}
                self._known = {name: task.result() for name, task in tasks.items()}
                self._until = self._clock() + self._cache_seconds
            return self._known

    async def _ask(self, name: str) -> Readiness:
        try:
            async with asyncio.timeout(self._probe_seconds):
                return await self._probes[name]()
        except TimeoutError:
            return Readiness(usable=False, reason=f"It did not answer within {self._probe_seconds:g} s.")
        except ErniError as error:
            return Readiness(usable=False, reason=str(error))
        except Exception as error:
            # A foreign exception's text may hold an address or a token; the log redacts, an answer can't.
            logger.exception("the probe of %s failed", name)
            return Readiness(
                usable=False, reason=f"Its check failed with {type(error).__name__}.", remedy="See the log."
            )


class HttpServer:
    """Serves `/healthz`, `/readyz`, `/metrics` and the `routes` that adapters bring for their webhooks.

    `probes` are asked by `/readyz`; see `is_ready` for `any_of`. `port` 0 takes a free one. Bodies above
    `body_bytes` are refused with 413, and a request that takes longer than `request_seconds` with 503.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int,
        probes: Mapping[str, Probe],
        registry: CollectorRegistry,
        routes: Iterable[web.AbstractRouteDef] = (),
        any_of: Collection[str] = ("engine",),
        body_bytes: int = _BODY_BYTES,
        request_seconds: float = _REQUEST_SECONDS,
    ) -> None:
        self._host = host or "127.0.0.1"  # an empty name would mean every address of this machine
        self._wanted_port = port
        self._probes = Probes(probes)
        self._any_of = frozenset(any_of)
        self._body_bytes = body_bytes
        self._request_seconds = request_seconds
        self._runner: web.AppRunner | None = None
        self._app = web.Application(client_max_size=body_bytes, middlewares=[self._limits])
        self._app.add_routes(
            [
                web.get("/healthz", self._alive),
                web.get("/readyz", self._ready),
                web.get("/metrics", make_aiohttp_handler(registry)),
                *routes,
            ]
        )
        self._app.on_response_prepare.append(_add_headers)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """The port it listens on. Raises RuntimeError while it does not."""
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("The HTTP server is not running.")
        port: int = self._runner.addresses[0][1]
        return port

    async def start(self) -> None:
        """Listen. Raises Misconfigured naming the variable if host and port can't be had."""
        runner = web.AppRunner(
            self._app,
            access_log=logger,
            access_log_class=_AccessLog,
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._wanted_port).start()
        except OSError as error:
            await runner.cleanup()
            raise Misconfigured(_cannot_listen(self._host, self._wanted_port, error)) from None
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner

    async def stop(self) -> None:
        """Stop listening, let running requests finish for a few seconds, then end them. Safe to repeat."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _alive(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _ready(self, _request: web.Request) -> web.Response:
        parts = await self._probes.parts()
        body = {
            name: {"usable": part.usable, "reason": part.reason, "remedy": part.remedy}
            for name, part in parts.items()
        }
        return web.json_response(body, status=200 if is_ready(parts, self._any_of) else 503)

    @web.middleware
    async def _limits(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        announced = request.content_length
        if announced is not None and announced > self._body_bytes:
            raise web.HTTPRequestEntityTooLarge(max_size=self._body_bytes, actual_size=announced)
        limit = asyncio.timeout(self._request_seconds)  # also ends a body that trickles in for ever
        try:
            async with limit:
                return await handler(request)
        except TimeoutError:
            if not limit.expired():
                raise
            raise web.HTTPServiceUnavailable(text="The request took too long.\n") from None


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


class _AccessLog(AbstractAccessLogger):
    """One line per request: the route's pattern rather than the path that was sent, which may hold a
    webhook's secret or anything else, and never the query or the client."""

    @property
    def enabled(self) -> bool:
        return self.logger.isEnabledFor(logging.INFO)

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        route = "(no route)"
        if isinstance(request, web.Request) and request.match_info.route.resource is not None:
            route = request.match_info.route.resource.canonical
        self.logger.log(
            logging.DEBUG if route in _QUIET and response.status < 400 else logging.INFO,
            "%s %s %d in %.0f ms",
            request.method,
            route,
            response.status,
            time * 1000,
        )


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is taken by another program. Set ERNI_HTTP_PORT to a free port, "
            "or to 0 to take any."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} needs rights that this user lacks. Set ERNI_HTTP_PORT to 1024 or more."
    return (
        f"Can't listen on {host} port {port} ({error.strerror or error}). Set ERNI_HTTP_HOST to an address "
        "of this machine and ERNI_HTTP_PORT to a free port."
    )
