"""What the service connects to on Microsoft's word: encrypted and public, or this machine if all of it is."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from core.addresses import is_loopback, is_public, is_public_unless_name
from core.errors import Transient

CONNECT_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 30.0
"""The longest silence within a request."""

_HOST: Final = re.compile(rb"[A-Za-z0-9._:-]+")
_NONE: Final = "Microsoft named something that is no address."
_FAILURES = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)


class Forbidden(Transient):
    """An address that nothing is sent to, or fetched from. The message names no more than its host."""


def parsed(address: str, base: httpx.URL | None = None) -> httpx.URL:
    """The address that Microsoft named, which may be relative to `base`. Raises Forbidden if it is none."""
    try:
        url = httpx.URL(address.strip()) if base is None else base.join(address.strip())
    except (httpx.InvalidURL, ValueError):
        raise Forbidden(_NONE) from None
    if url.scheme not in {"http", "https"} or not _HOST.fullmatch(url.raw_host):
        raise Forbidden(_NONE)
    return url


class Hosts:
    """Which addresses are used: encrypted ones in the internet. `local`: those of this machine too."""

    def __init__(self, *, local: bool = False) -> None:
        self.local = local
        self._proxies = getproxies()

    def check(self, url: httpx.URL) -> None:
        """Raise Forbidden unless a request to `url` may be made. Names are looked at when they are resolved,
        by the client, unless the operator's proxy resolves them."""
        host = url.host
        if url.scheme not in {"http", "https"} or not _HOST.fullmatch(url.raw_host) or url.userinfo:
            raise Forbidden(_NONE)
        if self.local and is_loopback(host):
            return
        if url.scheme != "https":
            raise Forbidden(f"Microsoft pointed to an unencrypted address at {host}.")
        if is_loopback(host) or not is_public_unless_name(host):
            raise Forbidden(f"Microsoft pointed into a private network ({host}).")

    def allows(self, address: str) -> bool:
        """Whether a resolved IP address may be connected to."""
        return is_public(address) or (self.local and is_loopback(address))

    def proxy(self, url: httpx.URL) -> str | None:
        """The operator's proxy (HTTPS_PROXY, NO_PROXY) for a request to `url`."""
        if is_loopback(url.host) or proxy_bypass(url.host):
            return None
        return self._proxies.get(url.scheme)

    def client(self) -> httpx.AsyncClient:
        """A client that keeps these rules and follows no redirects. The caller closes it."""
        return httpx.AsyncClient(
            transport=_Guarded(self),
            timeout=httpx.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS),
            follow_redirects=False,
            trust_env=False,
        )


class _Guarded(httpx.AsyncBaseTransport):
    """Asks `hosts` before every request and every connection. Nothing is opened before the first request."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._trusted: ssl.SSLContext | None = None
        self._direct: httpcore.AsyncConnectionPool | None = None
        self._through: dict[str, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._hosts.check(request.url)
        if self._trusted is None:
            self._trusted = await asyncio.to_thread(_trusted)
        proxy = self._hosts.proxy(request.url)
        if proxy is not None:
            if proxy not in self._through:
                self._through[proxy] = httpx.AsyncHTTPTransport(
                    verify=self._trusted, proxy=proxy, trust_env=False
                )
            return await self._through[proxy].handle_async_request(request)
        if self._direct is None:
            self._direct = httpcore.AsyncConnectionPool(
                ssl_context=self._trusted,
                max_connections=None,
                max_keepalive_connections=20,
                keepalive_expiry=5.0,
                network_backend=_PublicNames(self._hosts),
            )
        url = request.url
        with _as_httpx():
            answer = await self._direct.handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        if self._direct is not None:
            await self._direct.aclose()
        for transport in self._through.values():
            await transport.aclose()


class _PublicNames(httpcore.AsyncNetworkBackend):
    """Connects to the addresses of a name only after it looked at them, so that none can change between."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._resolved(host, port, timeout)
        if not all(map(self._hosts.allows, addresses)):
            raise Forbidden(f"{host} leads into a private network.")
        for last, address in enumerate(addresses, 1 - len(addresses)):
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if last == 0:
                    raise
        raise httpcore.ConnectError("The name has no address.")

    async def _resolved(self, host: str, port: int, seconds: float | None) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise httpcore.ConnectTimeout("The name was not resolved in time.") from None
        except OSError:
            raise httpcore.ConnectError("The name can't be resolved.") from None
        return list(dict.fromkeys(str(each[4][0]) for each in found))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream: AsyncIterable[bytes] = stream
        self._close = stream.aclose

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        with _as_httpx():
            await self._close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Failures of the layer below under the names that they have in httpx."""
    try:
        yield
    except _FAILURES as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error


@cache
def _trusted() -> ssl.SSLContext:
    """Reading the certificates takes up to 0.4 s: once is enough for all, and not on the event loop."""
    return httpx.create_ssl_context()
